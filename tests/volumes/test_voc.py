"""PASCAL VOC 2012 as it is unpacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adelecli.errors import InputError
from adelecli.volumes.cases import find_masks, pair_cases
from adelecli.volumes.naming import read_class_table
from adelecli.volumes.reading import read_image, read_labels


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three images, two masks, and a list with one id."""
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name in ("2007_000032", "2007_000039", "2007_000121"):
        Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(root / "JPEGImages" / f"{name}.jpg")
    mask = Image.fromarray(np.array([[0, 1, 20, 255, 0, 0]] * 4, np.uint8), "L").convert("P")
    mask.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    for name in ("2007_000032", "2007_000039"):
        mask.save(root / "SegmentationClass" / f"{name}.png")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000039\n")
    return root


def test_the_root_is_a_data_set_with_names(voc: Path) -> None:
    """Masks pair with JPEGs; 21 classes without a file that says so, 255 ignored; indices and not colours are the labels."""
    for place in (voc, voc / "SegmentationClass"):
        pairing = pair_cases(place)
        assert [case.id for case in pairing.cases] == ["2007_000032", "2007_000039"]
        assert [path.name for path in pairing.spare_images] == ["2007_000121.jpg"]
        table = read_class_table(place)
        assert table is not None
        assert (len(table.ids), table.names[0], table.names[20], table.ignore) == (21, "background", "tv/monitor", 255)
    assert find_masks(voc) == voc / "SegmentationClass"
    assert read_image(pairing.cases[0]).array.shape == (3, 1, 4, 6)
    assert np.unique(read_labels(pairing.cases[0].mask).array).tolist() == [0, 1, 20, 255]


def test_a_list_names_the_masks(voc: Path) -> None:
    """``ImageSets/Segmentation/train.txt`` given as the masks means those of its ids; an id without a mask is a fault."""
    ids = voc / "ImageSets" / "Segmentation" / "train.txt"
    assert [case.id for case in pair_cases(ids).cases] == ["2007_000039"]
    assert pair_cases(ids).spare_images == ()
    ids.write_text("2007_000039\n2007_999999  1\n")
    assert "is listed, but has no mask" in str(dict(pair_cases(ids).faults)["2007_999999"])
    ids.write_text("\n")
    with pytest.raises(InputError, match="lists no ids"):
        pair_cases(ids)


def test_augmented_masks_are_found_where_they_are_alone(voc: Path) -> None:
    """``SegmentationClassAug`` serves when there is no ``SegmentationClass``."""
    (voc / "SegmentationClass").rename(voc / "SegmentationClassAug")
    assert len(pair_cases(voc).cases) == 2
    assert find_masks(voc).name == "SegmentationClassAug"


def test_own_names_outrank_the_convention(voc: Path) -> None:
    """A ``labels.json`` beside the masks is what counts."""
    (voc / "SegmentationClass" / "labels.json").write_text('{"0": "background", "1": "thing"}')
    assert read_class_table(voc / "SegmentationClass").names == ("background", "thing")


def test_a_line_may_be_a_name_with_spaces(voc: Path) -> None:
    """A line that is a mask's name is that name, also in decomposed letters; any other line is read up to its first space."""
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        file = voc / folder / f"2007_000032.{ending}"
        file.rename(file.with_name(f"B\u00e4r 1.{ending}"))
    ids = voc / "ImageSets" / "Segmentation" / "train.txt"
    ids.write_text("Ba\u0308r 1\n2007_000039  -1\n", encoding="utf-8")
    pairing = pair_cases(ids)
    assert ([case.id for case in pairing.cases], pairing.faults) == (["2007_000039", "B\u00e4r 1"], ())
