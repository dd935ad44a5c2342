"""Pictures as volumes: PNG, TIFF, JPEG and BMP, one page one slice, pixels exactly as stored.

In a mask the number in the file is the label: palette indices and 16-bit values are kept, colours are refused because
they are no numbers, and JPEG is refused because it changes them. EXIF rotation is not applied, for it would not be to
the mask either.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adelecli.errors import CaseError
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.geometry import Geometry, make_raster_geometry
from adelecli.volumes.limits import PICTURE_RATIO, check_claim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = ("PNG", "TIFF", "JPEG", "BMP")
_GREY = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_INDEXED = frozenset({"P"})
_PIXEL_BYTES = {
    "1": 1,
    "L": 1,
    "P": 1,
    "I;16": 2,
    "I;16B": 2,
    "I;16L": 2,
    "I;16N": 2,
    "LA": 2,
    "La": 2,
}  # the others: 4


def read_picture(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Read a picture as channels [C, Z, Y, X]: grey is one channel, colour is three, transparency is left out."""
    with _open_picture(path) as picture:
        if picture.mode not in _GREY and _count_bits(picture, path) > 8:
            # Pillow would hand out the upper 8 bits without a word.
            remedy = "save each channel as a grey picture: _0000, _0001, ..."
            raise CaseError("has 16 bits a colour", path=path, remedy=remedy)
        pages = [np.atleast_3d(np.asarray(_drop_transparency(page))) for page in _turn_pages(picture, path)]
    array = np.moveaxis(np.stack(pages), -1, 0)  # [Z, Y, X, C] -> [C, Z, Y, X]
    return _to_native(array), make_raster_geometry((array.shape[1], array.shape[2], array.shape[3]))


def read_indexed(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Read a mask [Z, Y, X] of grey values or palette indices; CaseError for colours and for JPEG."""
    with _open_picture(path) as picture:
        if picture.format == "JPEG":
            raise CaseError("is a JPEG, which does not keep label values", path=path, remedy="save the mask as PNG")
        if picture.mode not in _GREY | _INDEXED:
            raise CaseError(
                f"is a colour picture ({picture.mode}), so its labels are unknown",
                path=path,
                remedy="save the mask as grey values or palette indices",
            )
        array = np.stack([np.asarray(page) for page in _turn_pages(picture, path)])
        bits = _count_bits(picture, path)
        if picture.mode == "L" and bits in {2, 4}:
            array //= 255 // ((1 << bits) - 1)  # Pillow spreads few bits over 0..255: label 1 of two bits reads as 85
    return _to_native(array), make_raster_geometry((array.shape[0], array.shape[1], array.shape[2]))


def read_picture_geometry(path: Path) -> Geometry:
    """Read the size of a picture without its pixels."""
    with _open_picture(path) as picture:
        return make_raster_geometry((_count_pages(picture), picture.height, picture.width))


@contextmanager
def _open_picture(path: Path) -> Iterator[Image.Image]:
    # Pillow warns of odd metadata and stays silent about nothing that matters; beyond 179 megapixels it refuses.
    with refuse_damage(path, "a picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as picture:
            yield picture


def _turn_pages(picture: Image.Image, path: Path) -> Iterator[Image.Image]:
    size, mode, pages = picture.size, picture.mode, _count_pages(picture)
    width, height = size
    check_claim(path, pages * width * height * _PIXEL_BYTES.get(mode, 4), PICTURE_RATIO)
    for number in range(pages):
        picture.seek(number)
        if picture.size != size or picture.mode != mode:
            raise CaseError(
                f"page {number + 1} differs from the first in size or mode", path=path, remedy="split the file"
            )
        yield picture


def _count_bits(picture: Image.Image, path: Path) -> int:
    """Bits a sample has in the file, where Pillow's mode does not tell: in PNG (byte 24 of the file) and TIFF (tag 258)."""
    if picture.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if picture.format == "TIFF":
        given = getattr(picture, "tag_v2", {}).get(258, 8)
        return int(given[0] if isinstance(given, tuple) else given)
    return 8


def _count_pages(picture: Image.Image) -> int:
    # Only TIFF pages are slices; an animated PNG or a JPEG with a preview is one picture.
    return int(getattr(picture, "n_frames", 1)) if picture.format == "TIFF" else 1


def _drop_transparency(page: Image.Image) -> Image.Image:
    if page.mode in _GREY:
        return page
    return page.convert("L" if page.mode in {"LA", "La"} else "RGB")


def _to_native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
