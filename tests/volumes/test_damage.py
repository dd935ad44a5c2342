from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adelecli.errors import CaseError
from adelecli.volumes.cases import Case
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.reading import read_geometry, read_image, read_labels

Save = Callable[..., Path]
NOISE = np.random.default_rng(0).integers(0, 200, (20, 20, 20), dtype=np.uint8)


def test_a_truncated_gzip_volume_is_a_case_error(save_volume: Save) -> None:
    """Cut anywhere, even inside the checksum behind the last voxel, the file is refused."""
    path = save_volume("a.nii.gz", NOISE)
    whole = path.read_bytes()
    for length in (1, 10, 300, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CaseError, match=r"a\.nii\.gz: "):
            read_labels(path)
        with pytest.raises(CaseError):
            read_image(Case("c", (path,)))


def test_a_flipped_voxel_in_a_gzip_volume_is_found(save_volume: Save) -> None:
    """The checksum stands at the end of the stream, and it is read to the end."""
    path = save_volume("a.nii.gz", NOISE)
    stored = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), 0))  # level 0: stored bytes stay visible
    stored[2000] ^= 1
    path.write_bytes(stored)
    with pytest.raises(CaseError, match=r"cannot be read as NIfTI .*CRC"):
        read_labels(path)


def test_a_truncated_plain_volume_is_a_case_error(save_volume: Save) -> None:
    """The header promises more than the file holds."""
    path = save_volume("a.nii", NOISE)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CaseError, match=r"is shorter than its header says \(truncated\); copy it again"):
        read_labels(path)


def test_a_text_file_is_not_nifti(tmp_path: Path) -> None:
    """An ending does not make a volume, zipped or not; an empty file is none either."""
    for name, content in (
        ("a.nii.gz", b"<html>404</html>" * 100),
        ("b.nii.gz", gzip.compress(b"text")),
        ("c.nii", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CaseError, match="is not a NIfTI file"):
            read_labels(tmp_path / name)
        with pytest.raises(CaseError, match="is not a NIfTI file"):
            read_geometry(tmp_path / name)


def test_a_text_file_is_not_a_picture(tmp_path: Path) -> None:
    """The same for rasters."""
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(CaseError, match=r"a\.png: cannot be read as a picture"):
        read_labels(tmp_path / "a.png")


def test_files_that_are_gone_are_case_errors(tmp_path: Path) -> None:
    """A file deleted between listing and reading costs one case."""
    for name in ("a.nii.gz", "a.png"):
        with pytest.raises(CaseError, match="there is no such file"):
            read_labels(tmp_path / name)
    (tmp_path / "d.nii").mkdir()
    with pytest.raises(CaseError, match="cannot be read as NIfTI"):
        read_labels(tmp_path / "d.nii")


def test_a_header_that_promises_terabytes_asks_for_no_memory(save_volume: Save) -> None:
    """A small file cannot expand without limit, so the claim is compared with its size first."""
    path = save_volume("a.nii.gz", NOISE)
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[42:48] = np.array([30000] * 3, "<i2").tobytes()
    path.write_bytes(gzip.compress(raw))
    with pytest.raises(CaseError, match="shorter than its header says"):
        read_labels(path)


def test_analyze_and_header_pairs_are_refused(save_volume: Save) -> None:
    """Without orientation, or with voxels elsewhere, a file cannot be trusted."""
    path = save_volume("a.nii", NOISE)
    whole = path.read_bytes()
    for magic in (b"ni1\0", bytes(4)):
        path.write_bytes(whole[:344] + magic + whole[348:])
        with pytest.raises(CaseError, match="no single-file NIfTI"):
            read_labels(path)


def test_voxels_that_are_no_numbers_are_refused(save_volume: Save, tmp_path: Path) -> None:
    """Colour and complex volumes hold no intensities."""
    colour = np.zeros((2, 3, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    for voxels in (colour, np.zeros((2, 3, 4), np.complex64)):
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
        with pytest.raises(CaseError, match="not real numbers"):
            read_image(Case("c", (tmp_path / "a.nii",)))


def test_singular_affines_are_refused(save_volume: Save) -> None:
    """A volume without extent along an axis has no place in the patient."""
    path = save_volume("a.nii", NOISE)
    raw = bytearray(path.read_bytes())
    raw[280:296] = bytes(16)  # srow_x
    path.write_bytes(raw)
    with pytest.raises(CaseError, match="affine is singular or not finite"):
        read_geometry(path)


def test_our_own_bugs_are_not_swallowed() -> None:
    """Only decoding errors become a case error; an AttributeError is a bug and stays one."""
    with pytest.raises(AttributeError), refuse_damage(Path("x"), "NIfTI"):
        raise AttributeError
    with pytest.raises(CaseError, match=r"^mine$"), refuse_damage(Path("x"), "NIfTI"):
        raise CaseError("mine")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["a.nii", "a.nii.gz", "b.nii", "p.png", "p.tif", "p.bmp"]), st.data())
def test_random_damage_raises_nothing_but_case_errors(
    save_volume: Save, save_picture: Save, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    """Whatever bytes are flipped or cut, a file is read or refused; no other exception and no warning gets out."""
    if name.startswith("p"):
        path = save_picture(name, NOISE[:6, :5, 0])
    elif name == "b.nii":
        path = tmp_path / name
        nib.save(nib.Nifti2Image(NOISE[:2, :2, :2], np.eye(4)), path)
    else:
        path = save_volume(name, NOISE[:2, :2, :2])
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, min(len(content), 360) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    for read in (read_labels, read_geometry, lambda path: read_image(Case("c", (path,)))):
        with suppress(CaseError):
            read(path)
