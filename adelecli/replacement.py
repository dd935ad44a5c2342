"""Files that are replaced as a whole: a reader sees the old one or the new one, never a part; and where nothing may be written.

The bytes go to a hidden sibling, are flushed to the disk and take the final name in one rename. What must hold: whatever interrupts
the writing, the file that stood there stands there still; a disk that says no is an ``OutputError`` (8) that names the file.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from adelecli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: one is a drive of Windows
_COPY = "name a folder, and copy what lies there when the command has ended"


def refuse_address(place: str | os.PathLike[str]) -> Path:
    """The path of a folder or file that is to be written; ``OutputError`` where it is an address such as ``s3://bucket/key``.

    A path swallows one of the two slashes, so that without this the results of a node that is thrown away afterwards would lie on
    its own disk, in a folder named ``s3:``.
    """
    path = Path(place)
    if path.parts and _SCHEME.fullmatch(path.parts[0]):
        address = "//".join([path.parts[0], "/".join(path.parts[1:])])
        raise OutputError("is an address, and only this machine's folders are written to", path=address, remedy=_COPY)
    return path


@contextmanager
def open_beside(path: Path, *, remedy: str | None = None, parents: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that takes the name ``path`` when the block ends well, and leaves nothing behind when it does not.

    Folders on the way are made, unless ``parents`` is false: then a missing one is an error. Raises ``OutputError`` with ``remedy``
    when the disk says no, and for an address (``refuse_address``).
    """
    refuse_address(path)
    beginning = path.name.encode(errors="surrogateescape")[:200].decode(errors="ignore")  # a name has 255 bytes at most
    beside = path.with_name(f".{beginning}.{secrets.token_hex(4)}.part")
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror or error})", path=path, remedy=remedy) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, remedy: str | None = None, parents: bool = True) -> Path:
    """Write ``text`` as UTF-8, line ends as they are, and return the path; errors as ``open_beside``."""
    with open_beside(path, remedy=remedy, parents=parents) as file:
        file.write(text.encode())
    return path


def refuse_stranger(path: Path, beginning: bytes, kind: str, remedy: str) -> None:
    """Keep a slip of the pen from costing a file: what is to be replaced must be empty or begin as a ``kind`` does.

    Raises ``OutputError`` with ``remedy`` for another file, and for one that cannot be read.
    """
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(beginning))
    except OSError as error:
        raise OutputError(f"cannot be replaced ({error.strerror or error})", path=path, remedy=remedy) from error
    if start and start != beginning:
        raise OutputError(f"exists and is no {kind} of adele", path=path, remedy=remedy)


def _sync_folder(folder: Path) -> None:
    # The rename itself must survive a power cut; some network file systems refuse, which costs nothing else.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
