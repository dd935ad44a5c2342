"""OME-Zarr of other people: every dialect of axes and versions, written with zarr alone; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from adelecli.caseids import place_case
from adelecli.errors import CaseError
from adelecli.store import remote
from adelecli.store.collection import create_store
from adelecli.store.foreign import read_foreign, read_foreign_frame

BLOCK = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
MM = "millimeter"


def make_axes(names: str, *, unit: str | None = MM, directions: dict[str, str] | None = None) -> list[dict[str, Any]]:
    axes = []
    for name in names:
        axis: dict[str, Any] = {"name": name, "type": {"t": "time", "c": "channel"}.get(name, "space")}
        if name in "zyx" and unit:
            axis["unit"] = unit
        if directions and name in directions:
            axis["orientation"] = {"type": "anatomical", "value": directions[name]}
        axes.append(axis)
    return axes


def write_image(path: Any, array: np.ndarray, axes: list[Any], *, version: str = "0.5", **keys: Any) -> None:
    """An OME-Zarr image of one level with a scale of 1, 2, 3, ... along its axes, unless ``steps`` say more."""
    steps = keys.pop("steps", [{"type": "scale", "scale": [float(n + 1) for n in range(array.ndim)]}])
    image = {"datasets": [{"path": "0", "coordinateTransformations": steps}], "axes": axes, **keys}
    old = version != "0.5"
    group = zarr.open_group(path, mode="w", zarr_format=2 if old else 3)
    group.attrs.update({"multiscales": [image]} if old else {"ome": {"version": version, "multiscales": [image]}})
    group.create_array("0", data=array, chunks=(1, *array.shape[1:]))


def add_labels(path: Path, **labels: np.ndarray) -> None:
    group = zarr.open_group(str(path), mode="a").create_group("labels")
    group.attrs["ome"] = {"version": "0.5", "labels": sorted(labels)}
    for name, array in labels.items():
        write_image(str(path / "labels" / name), array, make_axes("zyx"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("names", ["zyx", "czyx", "tczyx", "yx", "xyz", "zyxc"])
def test_axes_in_any_order_become_channels_and_slices(tmp_path: Path, version: str, names: str) -> None:
    """The voxel at c, z, y, x is the one that the file has there, with zarr v2 and v3."""
    sizes = {"t": 1, "c": 2, "z": 2, "y": 3, "x": 4}
    array = (
        np.arange(np.prod([sizes[name] for name in names])).reshape([sizes[name] for name in names]).astype(np.int16)
    )
    write_image(str(tmp_path / "a"), array, make_axes(names), version=version)
    read, frame = read_foreign(tmp_path / "a", "image")
    expanded = array.transpose([names.index(name) for name in "tczyx" if name in names])
    for place, name in enumerate("tczyx"):
        if name not in names:
            expanded = np.expand_dims(expanded, place)
    np.testing.assert_array_equal(read, expanded[0])
    assert read.dtype == np.int16
    assert read_foreign_frame(tmp_path / "a") == (frame, read.shape[1:])


def test_scales_become_millimetres_and_orientations_directions(tmp_path: Path) -> None:
    """Micrometres, a translation along the axis' own direction, a transformation of the whole image after the level's."""
    steps = [{"type": "scale", "scale": [5000, 2000, 1000]}, {"type": "translation", "translation": [0, 0, 4000]}]
    axes = make_axes("zyx", unit="micrometer", directions={"x": "right-to-left", "y": "anterior-to-posterior"})
    whole = [{"type": "scale", "scale": [1, 1, 2]}]
    write_image(str(tmp_path / "a"), BLOCK, axes, steps=steps, coordinateTransformations=whole)
    frame = read_foreign(tmp_path / "a", "image")[1]
    assert frame.affine_ras == ((-2, 0, 0, -8), (0, -2, 0, 0), (0, 0, 5, 0), (0, 0, 0, 1))
    assert (frame.spacing_mm, frame.kind) == ((5, 2, 2), "nifti")


def test_without_units_there_are_no_millimetres(tmp_path: Path) -> None:
    """A plain array and an image without units are pictures: their shape alone counts."""
    write_image(str(tmp_path / "a"), BLOCK, make_axes("zyx", unit=None))
    zarr.save_array(str(tmp_path / "b"), BLOCK)
    for name in "ab":
        array, frame = read_foreign(tmp_path / name, "image")
        np.testing.assert_array_equal(array[0], BLOCK)
        assert (frame.kind, frame.spacing_mm) == ("raster", (1, 1, 1))


def test_labels_are_found_below_an_image(tmp_path: Path) -> None:
    """The only one, else "corrected", else the user has to say which."""
    write_image(str(tmp_path / "a"), BLOCK, make_axes("zyx"))
    add_labels(tmp_path / "a", liver=BLOCK + 1)
    np.testing.assert_array_equal(read_foreign(tmp_path / "a", "labels")[0][0], BLOCK + 1)
    np.testing.assert_array_equal(read_foreign(tmp_path / "a", "image")[0][0], BLOCK)
    write_image(str(tmp_path / "b"), BLOCK, make_axes("zyx"))
    add_labels(tmp_path / "b", corrected=BLOCK + 2, original=BLOCK)
    np.testing.assert_array_equal(read_foreign(tmp_path / "b", "labels")[0][0], BLOCK + 2)
    write_image(str(tmp_path / "c"), BLOCK, make_axes("zyx"))
    add_labels(tmp_path / "c", liver=BLOCK, spleen=BLOCK)
    with pytest.raises(CaseError, match=r"holds 2 label images \(liver, spleen\); name .*c/labels/liver"):
        read_foreign(tmp_path / "c", "labels")
    np.testing.assert_array_equal(read_foreign(tmp_path / "c" / "labels" / "liver", "labels")[0][0], BLOCK)


def test_our_own_labels_bring_their_exact_frame(tmp_path: Path, frame: Any, publish: Any) -> None:
    """A case of an adele store: its corrected labels, with affine and raw header as they were stored."""
    store = create_store(tmp_path / "s.zarr", run={})
    corrected = publish(store, "case", np.full((3, 4, 9), 7, np.uint8))
    array, read = read_foreign(tmp_path / "s.zarr" / "case", "labels")
    np.testing.assert_array_equal(array[0], corrected)
    assert (read.affine_ras, read.header, read.kind, read.suffix) == (
        frame.affine_ras,
        frame.header,
        "nifti",
        ".nii.gz",
    )


def test_a_lost_shard_of_our_own_labels_is_no_background(tmp_path: Path, publish: Any) -> None:
    """Read as masks, a damaged case is refused by name, where other people's missing chunks are background."""
    publish(create_store(tmp_path / "s.zarr", run={}), "case", np.full((3, 4, 9), 7, np.uint8))
    (tmp_path / "s.zarr" / "case" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0").unlink()
    for inside in (".", "labels/corrected"):
        with pytest.raises(CaseError, match=r"case.*shard c/0/0/0 is missing"):
            read_foreign(tmp_path / "s.zarr" / "case" / inside, "labels")
    write_image(str(tmp_path / "a"), BLOCK, make_axes("zyx"))
    (tmp_path / "a" / "0" / "c" / "1" / "0" / "0").unlink()
    np.testing.assert_array_equal(read_foreign(tmp_path / "a", "image")[0][0], [BLOCK[0], np.zeros_like(BLOCK[1])])


def test_what_is_not_understood_is_refused(tmp_path: Path) -> None:
    """Several time points, strange axes and transformations, complex voxels, no image, no folder, damage, absurd sizes."""
    write_image(str(tmp_path / "t"), np.zeros((2, 3, 4), np.uint8), make_axes("tyx"))
    write_image(str(tmp_path / "q"), BLOCK, make_axes("qyx"))
    write_image(str(tmp_path / "r"), BLOCK, make_axes("zyx"), steps=[{"type": "affine", "affine": []}])
    write_image(str(tmp_path / "j"), BLOCK.astype(np.complex64), make_axes("zyx"))
    write_image(str(tmp_path / "d"), BLOCK, make_axes("zyx", directions={"x": "left-to-right", "y": "left-to-right"}))
    zarr.open_group(str(tmp_path / "g"), mode="w")
    write_image(str(tmp_path / "h"), BLOCK, make_axes("zyx"))
    document = json.loads((tmp_path / "h" / "0" / "zarr.json").read_text())
    document["shape"] = [10**6] * 3
    document["chunk_grid"]["configuration"]["chunk_shape"] = [10**5] * 3
    (tmp_path / "h" / "0" / "zarr.json").write_text(json.dumps(document))
    write_image(str(tmp_path / "k"), BLOCK, make_axes("zyx"))
    (tmp_path / "k" / "zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": [7]}}}'
    )
    for name, fact in {
        "t": "has several time points",
        "q": "has the axes 'qyx'",
        "r": "transformation of type 'affine' is not read",
        "j": "complex64 voxels",
        "d": "do not run in three different directions",
        "g": "no OME-Zarr image",
        "gone": "there is no such folder",
        "h": "more than can be read",
        "k": "cannot be read as zarr",
    }.items():
        with pytest.raises(CaseError, match=fact):
            read_foreign(tmp_path / name, "image")


def test_addresses_are_read_through_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed, read and hashed through obstore, here with a bucket in memory; a folder in it is an image by its metadata."""
    from obstore.store import MemoryStore
    from zarr.storage import ObjectStore

    bucket = MemoryStore()
    whole = ObjectStore(bucket)
    write_image(whole, BLOCK, make_axes("zyx"))
    monkeypatch.setattr(remote, "open_bucket", lambda _: bucket)
    place = Path("s3://bucket/images/a.zarr")
    assert remote.is_remote(place)
    assert remote.form_url(place) == "s3://bucket/images/a.zarr"
    assert remote.list_remote(place) == [""]
    np.testing.assert_array_equal(read_foreign(place, "image")[0][0], BLOCK)
    before = remote.hash_remote(place)
    bucket.put("0/c/0/0/0", b"changed")
    assert remote.hash_remote(place) != before


def test_a_folder_at_an_address_lists_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that ends in ``.zarr`` below a plain prefix, and every case below the root of a store."""
    from obstore.store import MemoryStore

    bucket = MemoryStore()
    for name in ("b.zarr/zarr.json", "a.ome.zarr/zarr.json", "notes/x.txt", "readme.md"):
        bucket.put(name, b"{}")
    monkeypatch.setattr(remote, "open_bucket", lambda _: bucket)
    assert remote.list_remote(Path("s3://bucket")) == ["a.ome.zarr", "b.zarr"]
    bucket.put("zarr.json", b'{"node_type": "group", "attributes": {}}')
    assert remote.list_remote(Path("s3://bucket")) == ["a.ome.zarr", "b.zarr", "notes"]


def test_cases_of_a_store_at_an_address_are_called_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document in an encoded folder tells the id, as long as it is that folder's; every other folder is its own name."""
    from obstore.store import MemoryStore

    bucket, place, other = MemoryStore(), place_case("M\u00fcller 1"), place_case("Meier 2")
    claim = json.dumps({"attributes": {"adele": {"id": "M\u00fcller 1"}}}).encode()
    for name, data in {"zarr.json": b"{}", "a": b"{}", place: claim, other: claim, f"_x.{'0' * 40}": b"["}.items():
        bucket.put(name if name == "zarr.json" else f"{name}/zarr.json", data)
    bucket.put("zarr.json", b'{"node_type": "group", "attributes": {}}')
    monkeypatch.setattr(remote, "open_bucket", lambda _: bucket)
    named = {place: "M\u00fcller 1", other: other, "a": "a", f"_x.{'0' * 40}": f"_x.{'0' * 40}"}
    assert remote.name_remote(Path("s3://bucket")) == named
