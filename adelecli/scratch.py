"""Arrays larger than memory should hold: unlinked files that look like arrays.

A CT volume and the four label volumes made from it are more than many machines want to spare, and a deep volume must not
need more memory than a shallow one. So what is large lives in a file without a name (nobody else can open it, and the
system deletes it when the process ends, however it ends) and is mapped into memory. What must hold: code that works on
slabs and says `let_go` after each of them keeps a bounded part in memory; the values are those of an ordinary array.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from adelecli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

Allocate: TypeAlias = "Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]"
"""Makes an array of a shape and dtype whose values are not set: ``np.empty``, or ``Scratch.allocate``."""

KEEP_BYTES = 1 << 25
"""Arrays up to this size stay in ordinary memory: a file costs a system call or ten, and small cases are many."""

SLAB_BYTES = 1 << 24
"""What `cut_slabs` takes at once."""

_ARENA_MAX = -8  # malloc.h


@dataclass(frozen=True)
class Scratch:
    """Makes arrays: in memory up to ``keep`` bytes, in an unlinked file in ``folder`` beyond (``None``: the system's own)."""

    folder: Path | None = None
    keep: int = field(default=KEEP_BYTES)

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of ``shape`` and ``dtype``; its values are not set. Raises OutputError when the disk cannot hold it."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        if size <= self.keep:
            return np.empty(shape, kind)
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix=".adele-") as file:
                _reserve(file.fileno(), size)
                pages = mmap.mmap(file.fileno(), size)  # keeps the file alive when its handle is closed
        except OSError as error:
            folder = self.folder or tempfile.gettempdir()
            fact = f"cannot hold the {size >> 20} MiB of a working copy ({error.strerror or error})"
            raise OutputError(fact, path=folder, remedy="free the disk or name another --out") from error
        return np.ndarray(shape, kind, buffer=pages)


def let_go(*arrays: NDArray[Any]) -> None:
    """Hand the memory of mapped arrays back; their values stay in their files. Ordinary arrays are left as they are."""
    for array in arrays:
        base: object = array
        while isinstance(base, np.ndarray | memoryview):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)


def trim_heap() -> bool:
    """Hand what was freed in pieces back to the system, with glibc; whether anything was. Takes milliseconds.

    It stays with the process otherwise: each stage of a large case left about 100 MB behind, beneath the peak of the next.
    """
    library = _find_glibc()
    return library is not None and bool(library.malloc_trim(0))


def share_heap() -> bool:
    """Let the threads of this process share two heaps, with glibc, instead of eight for each core; whether that was done.

    What one thread has freed, another does not use, nor does all of it go back: of three label images written by zarr's threads about 80
    MB were kept. A user who has set ``MALLOC_*`` or ``GLIBC_TUNABLES`` has reasons, and is left alone.
    """
    told = "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ)
    library = None if told else _find_glibc()
    return library is not None and bool(library.mallopt(_ARENA_MAX, 2))


def _find_glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return library if hasattr(library, "gnu_get_libc_version") else None


def cut_slabs(array: NDArray[Any], most: int = SLAB_BYTES) -> Iterator[slice]:
    """Consecutive parts along the first axis of at most ``most`` bytes each, at least one index long."""
    row = max(1, array.nbytes // max(1, len(array)))
    step = max(1, most // row)
    yield from (slice(start, min(start + step, len(array))) for start in range(0, len(array), step))


def _reserve(handle: int, size: int) -> None:
    """Take the disk space now: writing to a mapped file on a full disk would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)
