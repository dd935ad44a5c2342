"""Zarr that somebody else made cannot run anything, lead out of its folder, be waited for, or claim what no disk holds."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zarr
from numcodecs import pickles
from watchers import limit_memory, limit_seconds

from adelecli.errors import AdeleError, CaseError, ConfigError
from adelecli.intake.formats import hash_input, read_geometry, read_labels
from adelecli.pipeline.conversion import convert
from adelecli.store.changes import map_changes
from adelecli.store.collection import create_store, open_store
from adelecli.store.frame import Frame
from adelecli.store.publication import publish_case
from adelecli.store.verification import verify_store
from adelecli.volumes import naming
from adelecli.volumes.cases import list_masks
from adelecli.volumes.limits import VARIABLE

LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 3
OURS = {
    "affine_ras_mm": np.eye(4).tolist(),
    "spacing_mm": [1, 1, 1],
    "kind": "nifti",
    "suffix": ".nii.gz",
    "nifti_sha256": "ab",
}


@pytest.fixture(autouse=True)
def watched():
    """Every one of them is refused within seconds and 150 MiB."""
    with limit_memory(150), limit_seconds(20):
        yield


def write_image(folder: Path, zarr_format: int = 2, **attributes: object) -> zarr.Group:
    """An OME-Zarr image of one level, its chunks as they are in memory."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=zarr_format)
    steps = [{"type": "scale", "scale": [1, 1, 1]}]
    image = {
        "axes": [{"name": name, "type": "space"} for name in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    group.attrs.update({"multiscales": [image], **attributes})
    group.create_array("0", data=LABELS, chunks=LABELS.shape, compressors=None)
    return group


class Bomb:
    """What a pickle does when it is read."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("array", ["nifti", "0"])
def test_no_codec_that_runs_what_it_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: str) -> None:
    """Zarr v2 may name `pickle`; not every numcodecs refuses it, so its own refusal is taken away here."""
    monkeypatch.setattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    folder, trap = tmp_path / "a.zarr", tmp_path / "ran"
    write_image(folder, adele=OURS)
    filters = [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}]  # the first one is why zarr takes the second
    document = {"zarr_format": 2, "shape": [3], "chunks": [3], "dtype": "|O", "fill_value": "", "order": "C"}
    (folder / array).mkdir(exist_ok=True)
    (folder / array / ".zarray").write_text(json.dumps({**document, "compressor": None, "filters": filters}))
    (folder / array / "0").write_bytes(pickle.dumps(Bomb(trap)))
    for read in (read_labels, read_geometry):
        with pytest.raises(CaseError):
            read(folder)
    assert not trap.exists()
    with suppress(TypeError):  # the trap is one: zarr itself walks into it, and then misses what it wanted
        zarr.open_array(str(folder / array))[:]
    assert trap.exists()


def test_a_raw_header_is_a_short_row_of_bytes(tmp_path: Path) -> None:
    """One that claims 2^40 of them, which are all absent and so zero, is refused before memory is asked for."""
    group = write_image(tmp_path / "a.zarr", adele=OURS)
    group.create_array("nifti", shape=(1 << 40,), chunks=(1 << 20,), dtype="u1")
    with pytest.raises(CaseError, match="its raw header is none"):
        read_geometry(tmp_path / "a.zarr")


def test_links_out_of_an_image_are_not_followed(tmp_path: Path) -> None:
    """A chunk that is a link to a file elsewhere would come back as labels; one to a file inside may."""
    write_image(tmp_path / "a.zarr")
    chunk = next(path for path in (tmp_path / "a.zarr" / "0").rglob("*") if path.is_file() and path.name[0] != ".")
    chunk.rename(tmp_path / "a.zarr" / "aside")
    chunk.symlink_to(tmp_path / "a.zarr" / "aside")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.zarr").array, LABELS)
    chunk.unlink()
    (tmp_path / "key").write_bytes(b"a secret of twenty-four.")
    chunk.symlink_to(tmp_path / "key")
    with pytest.raises(CaseError, match=r"a\.zarr: holds a link that leaves it"):
        read_labels(tmp_path / "a.zarr")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", [".zattrs", "0/.zarray", "0/other"])
def test_a_pipe_in_an_image_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Listing, hashing and reading go past it, or say so."""
    write_image(tmp_path / "masks" / "a.zarr")
    place = tmp_path / "masks" / "a.zarr"
    (place / name).unlink(missing_ok=True)
    os.mkfifo(place / name)
    with suppress(AdeleError):
        list_masks(place)
    for read in (read_labels, hash_input):
        with pytest.raises(CaseError, match=r"neither a file nor a folder|is no regular file"):
            read(place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_a_store_is_not_waited_for(tmp_path: Path) -> None:
    """A store received from elsewhere is opened and verified without hanging."""
    path = write_store(tmp_path, ".nii.gz")
    (path / "a" / "zarr.json").unlink()
    os.mkfifo(path / "a" / "zarr.json")
    assert open_store(path).case_ids() == ()
    assert "is no file" in verify_store(path)[0].detail


def test_what_is_absent_cannot_claim_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent chunks read as background; the cap of all formats holds for them."""
    group = write_image(tmp_path / "a.zarr")
    del group["0"]
    group.create_array("0", shape=(1 << 14, 1 << 14, 1 << 14), chunks=(64, 64, 64), dtype="u1")
    with pytest.raises(CaseError, match="claims to hold 4194304 MiB, more than the 65536 MiB"):
        read_labels(tmp_path / "a.zarr")
    monkeypatch.setenv(VARIABLE, "1e-8")
    write_image(tmp_path / "b.zarr")
    with pytest.raises(CaseError, match="claims to hold"):
        read_labels(tmp_path / "b.zarr")


def write_store(folder: Path, suffix: str) -> Path:
    """A store of one case that says its source file had that ending."""
    frame = Frame(((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0), (0, 0, 0, 1.0)), (1.0, 1.0, 1.0), suffix=suffix)
    classes = [{"id": number, "name": f"class {number}", "colour": (0, 0, 0)} for number in range(3)]
    with publish_case(create_store(folder / "c.zarr", run={}), "a") as draft:
        for name in ("original", "corrected"):
            draft.write_labels(name, LABELS, frame, classes)
        draft.write_labels("change", map_changes(LABELS, LABELS), frame, classes)
        draft.set_record({"status": "unchanged", "id": "a"})
    return folder / "c.zarr"


@pytest.mark.parametrize("suffix", [".nii/../../x.nii", ".nii\0", "/etc/x", "../x"])
@pytest.mark.parametrize("form", ["nifti", "source"])
def test_no_ending_leads_out_of_the_folder(tmp_path: Path, suffix: str, form: str) -> None:
    """The ending that a store remembers is text of somebody else's."""
    store = write_store(tmp_path, suffix)
    conversion = convert(store, out=tmp_path / "out" / "files", format=form)
    assert conversion.exit_code == 0
    found = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"out/files/a.nii.gz", "out/files/labels.json"}


def test_a_table_of_names_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read beyond what 65,535 classes need."""
    monkeypatch.setattr(naming, "_LONGEST", 20)
    (tmp_path / "labels.json").write_text(json.dumps({"labels": {"0": "background", "1": "liver"}}))
    with pytest.raises(ConfigError, match=r"labels\.json: is larger than 20 bytes"):
        naming.read_class_table(tmp_path)
