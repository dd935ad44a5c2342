"""Turning whatever a decoder throws at a damaged file into one sentence about that file.

nibabel, Pillow, gzip and numpy raise about a dozen unrelated exceptions for bytes that are not what they seem. A batch
must survive each of them and still stop at our own bugs, so the list is explicit: the rest is an internal error.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from adelecli.errors import AdeleError, CaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EVERYWHERE: tuple[type[Exception], ...] = (
    OSError,  # gzip's bad magic, short reads, Pillow's truncated and unidentified images
    EOFError,  # a gzip stream that ends early
    ValueError,
    OverflowError,  # sizes and offsets beyond what an integer holds
    MemoryError,  # a header that promises more than there is
    SyntaxError,  # Pillow, for a broken PNG or TIFF
    KeyError,  # Pillow and nibabel, for codes or tags they look up
    IndexError,
    TypeError,  # Pillow, for TIFF tags that are missing or of another type
    struct.error,
    zlib.error,
)


@contextmanager
def refuse_damage(path: Path, kind: str) -> Iterator[None]:
    """Raise CaseError ("cannot be read as <kind>") for any decoding error inside the block; our own errors pass."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from PIL.Image import DecompressionBombError

    damage: tuple[type[Exception], ...] = (*_EVERYWHERE, HeaderDataError, ImageFileError, DecompressionBombError)
    try:
        with np.errstate(all="ignore"):  # absurd numbers in a header are judged by what they are, not by a warning
            yield
    except AdeleError:
        raise
    except FileNotFoundError:
        raise CaseError("there is no such file", path=path) from None
    except damage as error:
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        fact = f"cannot be read as {kind} ({reason[:200]})"
        raise CaseError(fact, path=path, remedy="restore it from its source") from error
