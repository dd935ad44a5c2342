"""Making a folder appear at once, whole, and never deleting what is not ours.

A draft is written under a name that tells who writes it, synchronised to the disk, and renamed into place: rename is
the commit and the lock. Everything here is about POSIX directories; nothing knows zarr.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.errors import AdeleError, OutputError
from adelecli.store.layout import DOCUMENT, draft_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_STALE_SECONDS = 7 * 24 * 3600  # drafts of other hosts: their process cannot be asked, so only their age tells
_OCCUPIED = {errno.ENOTEMPTY, errno.EEXIST}
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SHARD_FILE = re.compile(r"(.*/)?c(/\d+)+")


@contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the body (full disk, read-only folder) into an ``OutputError`` that names ``path``."""
    try:
        yield
    except AdeleError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror or error})", path=path, remedy="free the disk or name another --out"
        ) from error


def make_draft(store: Path, name: str) -> Path:
    """A new empty folder beside ``store`` for drafting ``name``; its name holds host and process, for the cleaner."""
    draft = draft_folder(store) / f"{name}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:12]}"
    _refuse_link(draft.parent)
    for _ in range(10):
        draft.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process removed the empty parent in between
            draft.mkdir()
            return draft
    raise OSError(errno.EBUSY, "the folder for drafts keeps vanishing", str(draft.parent))


def _refuse_link(folder: Path) -> None:
    """A link in the place of the drafts would take them, and the cleaning of them, to another folder."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "a link is in the place of the folder for drafts", str(folder))


def remove_draft(draft: Path) -> None:
    """Delete a draft, and the folder for drafts when it was the last one."""
    shutil.rmtree(draft, ignore_errors=True)
    with suppress(OSError):
        draft.parent.rmdir()


def remove_stale_drafts(store: Path) -> None:
    """Delete drafts whose process has died (on this host by asking for the process, elsewhere by an age of a week), and an empty folder."""
    folder = draft_folder(store)
    _refuse_link(folder)
    for draft in list(folder.iterdir()) if folder.is_dir() else []:
        if _is_stale(draft):
            remove_draft(draft)
    with suppress(OSError):  # empty already: a worker was killed after it made the folder, or between its drafts
        folder.rmdir()


def _is_stale(draft: Path) -> bool:
    parts = draft.name.rsplit(".", 3)
    if len(parts) != 4 or not parts[2].isdigit():
        return False
    if parts[1] != _host():
        with suppress(OSError):
            return time.time() - draft.stat().st_mtime > _STALE_SECONDS
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it lives, as another user
    return False


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def sync_tree(folder: Path) -> None:
    """Force every file and directory below ``folder`` to the disk, so that a rename cannot outlive its content."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(parent) / name)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Force the entries of one directory to the disk; Windows has no such call and needs none."""
    if os.name != "nt":
        _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_into_place(draft: Path, target: Path, *, replace: bool) -> bool:
    """Rename ``draft`` to ``target`` and sync; return whether an earlier ``target`` was replaced, now at ``draft``.

    Raises ``FileExistsError`` when ``target`` is not empty and ``replace`` is false: someone else was first.
    """
    try:
        draft.rename(target)
        replaced = False
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        if not replace:
            raise FileExistsError(errno.EEXIST, "exists already", str(target)) from error
        if not exchange(draft, target):
            _replace_in_two_steps(draft, target)
        replaced = True
    sync_folder(target.parent)
    return replaced


def exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step (Linux ``renameat2``); False where the system or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(second))


def _replace_in_two_steps(draft: Path, target: Path) -> None:
    """The fallback leaves a moment without ``target``: absent is safe (resume does it again), half would not be."""
    aside = draft.with_name(f"old-{draft.name}")
    target.rename(aside)
    try:
        draft.rename(target)
    except OSError:
        aside.rename(target)
        raise
    aside.rename(draft)


def find_foreign(folder: Path) -> str | None:
    """The first thing below ``folder`` that no store contains (a user's file, a link); None when all is ours."""
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        for name in sorted(folders):
            if (here / name).is_symlink():
                return (here / name).relative_to(folder).as_posix()
        for name in sorted(names):
            inside = (here / name).relative_to(folder).as_posix()
            if (here / name).is_symlink() or not (name == DOCUMENT or _SHARD_FILE.fullmatch(inside)):
                return inside
    return None
