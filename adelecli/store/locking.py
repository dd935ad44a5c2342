"""One run at a time on one store: the second process, started by mistake, is told at once instead of after hours.

The lock is the kernel's (``flock``) on a file beside the store, so it ends with the process that holds it, however that
ends, and what a dead process left is taken over without asking. Several parts of one run share it; everything else holds
it alone. What must hold: the lock is a courtesy on top of the atomic publication, never what keeps cases whole, so a
system that cannot lock files (Windows, some network file systems) goes on without it.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from adelecli.errors import OutputError
from adelecli.store.files import reporting_write_errors
from adelecli.store.layout import lock_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_CANNOT_LOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_TRIES, _PATIENCE = 100, 10


def lock_handle(handle: int) -> bool:
    """Wait until this process alone may use the open file, until ``handle`` is closed; False where files cannot be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _CANNOT_LOCK:
            return False
        raise
    return True


@contextmanager
def hold_store(path: Path, *, part: str | None = None) -> Iterator[None]:
    """Hold the store at ``path`` (there or not yet) for the block, alone or, as the ``part`` of a run (its name), with its other parts.

    Raises ``OutputError`` in one line when another process holds it, or when its folder cannot be written.
    """
    if fcntl is None:
        yield
        return
    lock = lock_path(path.resolve())
    with _hold(lock, path, shared=part is not None):
        if part is None:
            yield
            return
        # the same part started twice would treat every case of it twice, and each would replace the other's
        with _hold(lock.with_name(f"{lock.name}-{part}"), path, shared=False):
            yield


@contextmanager
def _hold(lock: Path, store: Path, *, shared: bool) -> Iterator[None]:
    with reporting_write_errors(store):
        handle = _acquire(lock, store, shared=shared)
    try:
        yield
    finally:
        _release(handle, lock)


def _acquire(lock: Path, store: Path, *, shared: bool) -> int:
    lock.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    for tries in range(_TRIES):
        # A link in its place could lead out of the folder, hence O_NOFOLLOW.
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _CANNOT_LOCK:
                return handle
            holder = os.pread(handle, 64, 0).decode("ascii", "replace").strip()
            os.close(handle)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            if (
                shared and tries < _PATIENCE
            ):  # another part may just be letting go, which takes the lock alone for a moment
                time.sleep(0.05)
                continue
            raise _refuse(store, holder) from None
        if _is_current(handle, lock):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}\n".encode(), 0)
            return handle
        os.close(handle)  # its holder deleted it in between: lock the one that is there now
    raise OSError(errno.EBUSY, "its lock keeps vanishing", str(lock))


def _refuse(store: Path, holder: str) -> OutputError:
    who = f" ({holder})" if holder.startswith("process ") else ""
    return OutputError(f"another run is using it{who}", path=store, remedy="wait for that run, or stop it")


def _is_current(handle: int, lock: Path) -> bool:
    try:
        there = lock.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _release(handle: int, lock: Path) -> None:
    """Delete the file unless others hold it too, then let go. Closing the handle lets go in any case."""
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(handle, lock):
                lock.unlink()
    finally:
        os.close(handle)
