from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adelecli.errors import CaseError
from adelecli.volumes.rasters import read_indexed, read_picture, read_picture_geometry

Save = Callable[..., Path]
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_grey_pictures_are_one_channel_and_exact(save_picture: Save, ending: str) -> None:
    """[C, Z, Y, X] = [1, 1, rows, columns], values as stored; a mask is the same without the channel."""
    path = save_picture(f"a{ending}", GREY)
    array, geometry = read_picture(path)
    np.testing.assert_array_equal(array, GREY[None, None])
    assert (geometry.shape, geometry.kind) == ((1, 3, 4), "raster")
    np.testing.assert_array_equal(read_indexed(path)[0], GREY[None])
    assert read_picture_geometry(path).shape == (1, 3, 4)


def test_colour_pictures_are_three_channels(save_picture: Save) -> None:
    """Red, green, blue; transparency is no intensity."""
    colour = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)
    np.testing.assert_array_equal(read_picture(save_picture("a.png", colour))[0][:, 0], np.moveaxis(colour, -1, 0))
    clear = np.concatenate([colour, np.full((3, 4, 1), 9, np.uint8)], axis=-1)
    np.testing.assert_array_equal(read_picture(save_picture("b.png", clear))[0][:, 0], np.moveaxis(colour, -1, 0))


def test_jpeg_images_are_read(save_picture: Save) -> None:
    """A constant picture survives JPEG."""
    array, _ = read_picture(save_picture("a.jpg", np.full((8, 9), 77, np.uint8)))
    assert array.shape == (1, 1, 8, 9)
    assert np.unique(array).tolist() == [77]


def test_sixteen_bits_are_kept(save_picture: Save) -> None:
    """Values above 255 survive in images and masks, in either byte order of TIFF."""
    deep = GREY.astype(np.uint16) * 5000
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_picture(save_picture(name, deep))[0][0, 0], deep)
        array, _ = read_indexed(save_picture(name, deep))
        assert array.dtype == np.uint16
        np.testing.assert_array_equal(array[0], deep)


def test_palette_masks_keep_their_indices(tmp_path: Path) -> None:
    """VOC masks: the index is the class, the colour only how it looks; 255 stays 255."""
    picture = Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8)).convert("P")
    picture.putdata([0, 1, 2, 255])
    picture.putpalette([value for index in range(256) for value in (255 - index, index, 7)])
    picture.save(tmp_path / "a.png")
    assert read_indexed(tmp_path / "a.png")[0].ravel().tolist() == [0, 1, 2, 255]
    assert read_picture(tmp_path / "a.png")[0][:, 0, 0, 1].tolist() == [254, 1, 7]


def test_one_bit_masks_are_zero_and_one(save_picture: Save) -> None:
    """Black and white are 0 and 1, not 0 and 255."""
    array, _ = read_indexed(save_picture("a.png", np.array([[True, False]])))
    assert (array.dtype, array.ravel().tolist()) == (np.uint8, [1, 0])


def test_colour_masks_are_refused(save_picture: Save) -> None:
    """Nobody knows which colour is which class."""
    with pytest.raises(
        CaseError, match=r"a\.png: is a colour picture \(RGB\), so its labels are unknown; save the mask as"
    ):
        read_indexed(save_picture("a.png", np.zeros((3, 4, 3), np.uint8)))


def test_jpeg_masks_are_refused(save_picture: Save) -> None:
    """JPEG invents values at every edge."""
    with pytest.raises(CaseError, match="is a JPEG, which does not keep label values; save the mask as PNG"):
        read_indexed(save_picture("a.jpg", GREY))


def test_tiff_pages_are_slices(save_picture: Save) -> None:
    """A multi-page TIFF is a volume; pages of different size are not one."""
    pages = [Image.fromarray(GREY + page) for page in (0, 20, 40)]
    path = save_picture("a.tif", GREY, save_all=True, append_images=pages[1:])
    array, geometry = read_indexed(path)
    assert geometry.shape == (3, 3, 4)
    np.testing.assert_array_equal(array, [GREY, GREY + 20, GREY + 40])
    np.testing.assert_array_equal(read_picture(path)[0][0], array)
    assert read_picture_geometry(path).shape == (3, 3, 4)
    odd = save_picture("b.tif", GREY, save_all=True, append_images=[Image.fromarray(GREY.T.copy())])
    with pytest.raises(CaseError, match="page 2 differs from the first"):
        read_picture(odd)


def test_an_animated_png_is_one_picture(save_picture: Save) -> None:
    """Frames are time, not depth: the first one counts."""
    path = save_picture("a.png", GREY, save_all=True, append_images=[Image.fromarray(GREY + 9)])
    np.testing.assert_array_equal(read_picture(path)[0], GREY[None, None])


def test_decompression_bombs_are_refused(save_picture: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unfolds into gigapixels is a case error before memory is asked for."""
    path = save_picture("a.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(CaseError, match=r"cannot be read as a picture .*decompression bomb"):
        read_picture(path)


def test_other_formats_under_our_endings_are_refused(tmp_path: Path) -> None:
    """A GIF named .png is not opened: only the formats we promise are decoded."""
    Image.fromarray(GREY).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    with pytest.raises(CaseError, match="cannot be read as a picture"):
        read_picture(tmp_path / "a.png")


def write_png(path: Path, bits: int, colour: int, row: bytes, width: int) -> Path:
    """A PNG of one row, written without Pillow, which cannot write few bits."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + row)),
    ]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data)
    return path


def test_masks_of_few_bits_hold_their_numbers(tmp_path: Path) -> None:
    """Two and four bits a pixel: 0..3 and 0..15, not what a viewer would make of them."""
    two = read_indexed(write_png(tmp_path / "2.png", 2, 0, bytes([0b00011011]), 4))[0]
    assert two.reshape(-1).tolist() == [0, 1, 2, 3]
    four = read_indexed(write_png(tmp_path / "4.png", 4, 0, bytes([0x1F, 0x08]), 4))[0]
    assert four.reshape(-1).tolist() == [1, 15, 0, 8]
    palette = tmp_path / "p.png"
    picture = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8)).convert("P")
    picture.putpalette([9, 9, 9] * 4)
    picture.save(palette, bits=2)
    assert read_indexed(palette)[0].reshape(-1).tolist() == [0, 1, 2, 3]


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    """Pillow keeps the upper half of them only, and an image must not lose values without a word."""
    path = write_png(tmp_path / "c.png", 16, 2, bytes(range(6)), 1)
    with pytest.raises(CaseError, match="has 16 bits a colour; save each channel as a grey picture"):
        read_picture(path)
