"""OME-Zarr 0.5 metadata, judged by ome-zarr-models and by our own rules."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image_label import ImageLabel
from ome_zarr_models.v05.labels import Labels

from adelecli.store.collection import Store
from adelecli.store.frame import Frame
from adelecli.store.ome import build_label_image, build_labels, check_label_image, check_labels, find_directions

LIVER = {"id": 7, "name": "liver", "colour": (200, 30, 30)}
STRIDES = ((1, 1, 1), (1, 2, 2))
LEVEL = {"dimension_names": ["z", "y", "x"], "data_type": "uint8"}


def test_a_second_implementation_accepts_our_labels(store: Store, publish, labels: np.ndarray) -> None:
    """ome-zarr-models validates the labels group and every label image, and reads our scales and colours."""
    publish(store, "case", labels)
    group = zarr.open_group(str(store.path / "case" / "labels"), mode="r")
    assert Labels.from_zarr(group).label_paths == ["original", "corrected", "change"]
    image = ImageLabel.from_zarr(group["corrected"])
    scales = [d.coordinateTransformations[0].scale for d in image.attributes.ome.multiscales[0].datasets]
    assert scales == [[2.5, 1.0, 1.0], [2.5, 2.0, 2.0]]
    assert [tuple(c.rgba) for c in image.attributes.ome.image_label.colors] == [(0, 0, 0, 0), (200, 30, 30, 255)]


def test_a_second_implementation_accepts_pictures(store: Store, publish, picture_frame: Frame) -> None:
    """A picture mask (Z = 1) is a valid label image too, without a unit."""
    publish(store, "picture", np.full((1, 40, 300), 7, np.uint16), frame=picture_frame)
    image = ImageLabel.from_zarr(zarr.open_group(str(store.path / "picture/labels/original"), mode="r"))
    assert [axis.unit for axis in image.attributes.ome.multiscales[0].axes] == [None] * 3
    assert [axis.name for axis in image.attributes.ome.multiscales[0].axes] == ["z", "y", "x"]


def test_plain_readers_open_the_levels_by_their_paths(store: Store, publish, labels: np.ndarray) -> None:
    """With zarr alone: level 0 is exact, higher levels are strided views, groups above are plain."""
    corrected = publish(store, "case", labels)
    root = zarr.open_group(str(store.path), mode="r")
    assert np.array_equal(root["case/labels/corrected/0"][:], corrected)
    assert np.array_equal(root["case/labels/corrected/1"][:], corrected[:, ::2, ::2])
    assert "2" not in root["case/labels/corrected"]
    assert root["case/labels"].attrs["ome"]["labels"] == ["original", "corrected", "change"]
    assert "ome" not in root.attrs


def test_every_document_is_strict_json(store: Store, publish, labels: np.ndarray) -> None:
    """No NaN or infinity, which readers in a browser reject; no consolidated metadata, which goes stale."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    publish(store, "case", labels)
    for path in store.path.rglob("zarr.json"):
        assert not json.loads(path.read_text(), parse_constant=refuse).get("consolidated_metadata")


def test_background_is_always_listed(frame: Frame) -> None:
    """A volume may be all background, and the schema wants one colour at least."""
    label = build_label_image("x", frame, STRIDES, [])["image-label"]
    assert label["colors"] == [{"label-value": 0, "rgba": [0, 0, 0, 0]}]
    assert build_label_image("x", frame, STRIDES, [LIVER])["image-label"]["properties"][1]["name"] == "liver"


def test_directions_follow_the_affine(frame: Frame) -> None:
    """LPS axes are named from the affine, also when the slices are sagittal or tilted by 30 degrees."""
    assert find_directions(frame) == ("inferior-to-superior", "anterior-to-posterior", "right-to-left")
    sagittal = ((0.0, 0.0, 2.0, 0.0), (0.87, 0.5, 0.0, 0.0), (0.5, -0.87, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    expected = ("left-to-right", "superior-to-inferior", "posterior-to-anterior")
    assert find_directions(replace(frame, affine_ras=sagittal)) == expected


def test_our_own_check_accepts_what_we_build(frame: Frame) -> None:
    """Builder and check are two statements of the same rules."""
    assert check_labels(build_labels(["a", "b"])["ome"], ["b", "a"]) == []
    assert check_label_image(build_label_image("x", frame, STRIDES, [LIVER]), [LEVEL, LEVEL]) == []


def test_our_own_check_names_each_broken_rule(frame: Frame) -> None:
    """Version, list of labels, type, axis names, level order, scales and colours are each checked."""
    assert "lists the labels" in check_labels(build_labels(["a"])["ome"], ["a", "b"])[0]
    assert "version" in check_labels({"version": "0.4", "labels": []}, [])[0]
    good = build_label_image("x", frame, STRIDES, [LIVER])
    assert "not integers" in check_label_image(good, [{**LEVEL, "data_type": "bool"}, LEVEL])[0]
    assert "differ from the axes" in check_label_image(good, [{**LEVEL, "dimension_names": ["x", "y", "z"]}])[0]
    datasets = good["multiscales"][0]["datasets"]
    broken = deepcopy(good)
    broken["multiscales"][0]["datasets"] = datasets[::-1]
    assert "not ordered" in check_label_image(broken, [LEVEL])[0]
    broken = deepcopy(good)
    broken["multiscales"][0]["datasets"][0]["coordinateTransformations"] *= 2
    broken["image-label"]["colors"], broken["version"] = [], "0.4"
    assert len(check_label_image(broken, [LEVEL])) == 3
