"""Where results go as files: refused early when they could not be written, and written so that no reader sees half of one."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError, OutputError
from adelecli.replacement import refuse_address, refuse_stranger

if TYPE_CHECKING:
    from pathlib import Path


def check_report_target(path: Path) -> Path:
    """Refuse, before hours of work, a report file that could not be written after them, or would replace something else.

    Returns the path. Raises ``OutputError``.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise OutputError("is a folder", path=path, remedy="name a file")
    if not folder.is_dir():
        raise OutputError("cannot be written: its folder does not exist", path=path, remedy="make the folder first")
    if not os.access(folder, os.W_OK):
        raise OutputError("cannot be written: its folder is read-only", path=path, remedy="choose another place")
    refuse_stranger(path, b"{", "report", "name another file")
    return path


def open_folder(out: Path, *, source: Path, overwrite: bool) -> Path:
    """Make the folder ``out`` for results and return it.

    Raises ``OutputError`` when it holds something and ``overwrite`` is not given, is an address, or cannot be made; ``ConfigError`` when it
    is the place ``source`` that is being read, or lies inside it: results must never replace what they were made from.
    """
    refuse_address(out)
    inside = source if source.is_dir() else source.parent
    if out.resolve() == inside.resolve() or (source.is_dir() and out.resolve().is_relative_to(source.resolve())):
        raise ConfigError(f"lies where {source} is read from", path=out, remedy="choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        used = next(out.iterdir(), None) is not None
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", path=out, remedy="choose another --out") from error
    if used and not overwrite:
        raise OutputError("exists already and is not empty", path=out, remedy="pass --overwrite or another --out")
    return out


def write_once(path: Path, text: str) -> str:
    """Write ``text`` unless the file is there, and return what it holds then; whoever is first decides, and nobody sees half of it.

    Raises ``OutputError`` when the disk says no.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        if not path.exists():
            draft.write_text(text, encoding="utf-8")
            with suppress(FileExistsError):
                os.link(draft, path)  # unlike a rename, a link does not replace
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", path=path, remedy="choose another --out") from error
    finally:
        draft.unlink(missing_ok=True)
