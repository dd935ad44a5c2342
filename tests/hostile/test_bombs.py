"""Small files that promise, or unpack to, more than there is: refused before memory is asked for."""

from __future__ import annotations

import gzip
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from watchers import limit_memory, limit_seconds

from adelecli.errors import CaseError, ConfigError
from adelecli.volumes.cases import Case
from adelecli.volumes.limits import VARIABLE, check_claim, find_cap
from adelecli.volumes.reading import read_geometry, read_image, read_labels


@pytest.fixture(autouse=True)
def watched():
    """Every bomb is refused within seconds and 150 MiB."""
    with limit_memory(150), limit_seconds(20):
        yield


def pack(path: Path, shape: tuple[int, ...], size: int, dtype: str = "u1") -> Path:
    """A ``.nii.gz`` whose header claims ``shape`` and which unpacks to ``size`` zero bytes."""
    header = nib.Nifti2Header()
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"], header["magic"] = 544, b"n+2"
    with gzip.open(path, "wb", 9) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


def refuse(path: Path, said: str) -> None:
    for read in (read_labels, lambda path: read_image(Case("c", (path,)))):
        with pytest.raises(CaseError, match=said):
            read(path)


def test_a_header_of_a_million_cubed_voxels(tmp_path: Path) -> None:
    """10^18 voxels in some kilobytes."""
    refuse(pack(tmp_path / "a.nii.gz", (10**6, 10**6, 10**6), 1 << 20), "shorter than its header says|claims to hold")
    assert read_geometry(tmp_path / "a.nii.gz").shape == (10**6, 10**6, 10**6)


def test_a_volume_above_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It unpacks to what it claims; the cap, which a hospital can raise, says how much that may be."""
    path = pack(tmp_path / "a.nii.gz", (1024, 1024, 64), 64 << 20)
    monkeypatch.setenv(VARIABLE, "0.05")
    refuse(path, rf"claims to hold 256 MiB, more than the 51 MiB .* or raise \${VARIABLE}")
    monkeypatch.setenv(VARIABLE, "0.25")
    assert read_labels(path).array.shape == (64, 1024, 1024)


def test_a_gzip_that_goes_on_behind_the_last_voxel(tmp_path: Path) -> None:
    """A volume of a few voxels before half a gigabyte of nothing: unpacked in pieces, and not to the end."""
    refuse(pack(tmp_path / "a.nii.gz", (2, 2, 2), 320 << 20), "goes on behind its last voxel")


def make_png(path: Path, width: int, height: int, rows: int) -> Path:
    """A PNG that claims a size and holds ``rows`` rows of it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * rows), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("size", [(60000, 60000, 1), (2**31 - 1, 2**31 - 1, 0), (12000, 12000, 1)])
def test_pictures_that_claim_too_much(tmp_path: Path, size: tuple[int, int, int]) -> None:
    """Beyond 179 megapixels, or beyond what so short a file can hold."""
    refuse(make_png(tmp_path / "a.png", *size), "cannot be read as a picture|claims to hold")


def test_a_multi_page_picture_whose_pages_are_one(tmp_path: Path) -> None:
    """A TIFF whose directory follows itself ends in an error or as few pages, never in a loop."""
    from PIL import Image

    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack("<I", data[4:8])
    (entries,) = struct.unpack("<H", data[first : first + 2])
    end = first + 2 + 12 * entries
    data[end : end + 4] = struct.pack("<I", first)
    path.write_bytes(data)
    with suppress(CaseError):
        assert len(read_labels(path).array) <= 2


@pytest.mark.parametrize("text", ["much", "-1", "0", "nan", "1e99"])
def test_a_cap_that_is_no_size_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The variable is named (2)."""
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=VARIABLE):
        find_cap()


def test_claims_are_held_to_the_length_of_the_file(tmp_path: Path) -> None:
    """Up to 64 MiB nothing is suspicious; beyond, a thousandfold is, where the format cannot pack so well."""
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    check_claim(path, 1 << 26, 10.0)
    check_claim(path, (1 << 26) + 1, 1e6)
    with pytest.raises(CaseError, match="claims to hold 64 MiB in a file of 1000 bytes"):
        check_claim(path, (1 << 26) + 1, 10.0)
    with pytest.raises(CaseError, match="more than the 65536 MiB"):
        check_claim(path, 1 << 50)
