from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adelecli.errors import ConfigError
from adelecli.volumes.naming import read_class_table, read_modality


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", {"0": "background", "1": "liver", "7": "tumour"}),
        ("labels.json", {"background": 0, "liver": 1, "tumour": 7}),
        ("labels.json", {"tumour": "7", "liver": "1", "background": "0"}),
        ("labels.json", {"labels": {"1": "liver", "7": "tumour"}}),
        ("dataset.json", {"labels": {"0": "background", "1": "liver", "7": "tumour"}, "modality": {"0": "CT"}}),
        ("dataset.json", {"labels": {"background": 0, "liver": 1, "tumour": 7}, "channel_names": {"0": "CT"}}),
    ],
)
def test_every_dialect_gives_the_same_table(tmp_path: Path, name: str, content: object) -> None:
    """Plain, Decathlon and nnU-Net tables, found beside the masks or one folder above, from a folder or a mask file."""
    write_json(tmp_path / name, content)
    masks = tmp_path / "masks"
    masks.mkdir()
    for place in (tmp_path, masks, masks / "a.nii.gz", tmp_path / name):
        table = read_class_table(place)
        assert table is not None
        assert (table.ids, table.names, table.ignore) == ((0, 1, 7), ("background", "liver", "tumour"), 255)


def test_a_list_names_consecutive_labels(tmp_path: Path) -> None:
    """{"labels": ["background", "liver"]} counts from 0."""
    table = read_class_table(write_json(tmp_path / "labels.json", {"labels": ["background", "liver"]}))
    assert table is not None
    assert (table.ids, table.names) == ((0, 1), ("background", "liver"))


@pytest.mark.parametrize(
    ("content", "ignore", "ids"),
    [
        ({"labels": {"background": 0, "liver": 1, "ignore": 2}}, 2, (0, 1)),
        ({"labels": {"background": 0, "liver": 1}, "ignore": 9}, 9, (0, 1)),
        ({"0": "background", "1": "cat", "255": "void"}, 255, (0, 1)),
        ({"0": "background", "255": "skin"}, None, (0, 255)),
    ],
)
def test_the_ignore_label_is_no_class(
    tmp_path: Path, content: object, ignore: int | None, ids: tuple[int, ...]
) -> None:
    """nnU-Net's "ignore", an explicit one and VOC's void; a real class 255 leaves none."""
    table = read_class_table(write_json(tmp_path / "labels.json", content))
    assert table is not None
    assert (table.ignore, table.ids) == (ignore, ids)


def test_labels_json_wins_and_the_nearest_folder_wins(tmp_path: Path) -> None:
    """What lies closest to the masks is meant; a dataset.json without labels is passed over."""
    write_json(tmp_path / "masks" / "dataset.json", {"name": "x"})
    write_json(tmp_path / "dataset.json", {"labels": {"background": 0, "far": 1}})
    table = read_class_table(tmp_path / "masks")
    assert table is not None
    assert table.names == ("background", "far")
    write_json(tmp_path / "masks" / "labels.json", {"1": "near"})
    nearer = read_class_table(tmp_path / "masks")
    assert nearer is not None
    assert nearer.names == ("background", "near")


def test_without_names_the_found_labels_are_numbered(tmp_path: Path) -> None:
    """The fallback names what the masks hold, 255 excepted; without any there is no table to make up."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    table = read_class_table(folder, [3, 0, 1, 255])
    assert table is not None
    assert (table.ids, table.names, table.ignore) == ((0, 1, 3), ("background", "class 1", "class 3"), 255)
    assert read_class_table(folder) is None
    assert read_class_table(folder, [0, 255]) is None


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([1, 2], "is not a JSON object"),
        ({"labels": "liver"}, "its labels are no table of names"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "'whole' is a region of several labels"),
        ({"labels": {"background": 0, "liver": 1.5}}, "1.5 is no label id for 'liver'"),
        ({"labels": {"background": 0, "liver": True}}, "True is no label id for 'liver'"),
        ({"labels": {"background": 0, "liver": -1}}, "-1 is no label id for 'liver'"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "label 1 has two names"),
        ({"labels": {"background": 0, "a": None}}, "'a' has no id"),
        ({"0": "background", "1": "a", "2": "a"}, "a class name occurs twice"),
    ],
)
def test_a_table_that_cannot_be_understood_names_its_file(tmp_path: Path, content: object, fact: str) -> None:
    """Exit code 2 with the path: names are configuration."""
    path = write_json(tmp_path / "labels.json", content)
    with pytest.raises(ConfigError) as caught:
        read_class_table(tmp_path)
    assert str(caught.value).startswith(f"{path}: {fact}")
    assert caught.value.remedy


def test_regions_of_several_labels_may_count_as_no_names(tmp_path: Path) -> None:
    """They are nnU-Net's and no fault of the file; a fault beside them still is one."""
    path = write_json(tmp_path / "dataset.json", {"labels": {"background": 0, "whole": [1, 2]}})
    assert read_class_table(tmp_path, skip_regions=True) is None
    path.write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        read_class_table(tmp_path, skip_regions=True)


@pytest.mark.parametrize(
    ("place", "fact"),
    [
        (lambda path: path.mkdir(), "is no file"),
        (lambda path: path.symlink_to("nowhere"), r"cannot be read \(No such file"),
        (lambda path: path.write_bytes(b"\xff\xfe{"), "is not JSON"),
    ],
)
def test_what_lies_in_the_place_of_a_table_is_never_passed_over(
    tmp_path: Path, place: Callable[[Path], object], fact: str
) -> None:
    """Somebody meant it to say something."""
    place(tmp_path / "labels.json")
    with pytest.raises(ConfigError, match=rf"labels\.json: {fact}"):
        read_class_table(tmp_path)


def test_a_table_that_is_named_but_missing_is_an_error(tmp_path: Path) -> None:
    """Naming a file that is not there is not the same as naming none."""
    with pytest.raises(ConfigError, match=r"labels\.json: cannot be read \(No such file"):
        read_class_table(tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"channel_names": {"1": "T2", "0": "T1"}}, ("T1", "T2")),
        ({"modality": {"0": "MRI"}}, ("MRI",)),
        ({"modality": "CT"}, ("CT",)),
        ({"name": "x"}, None),
    ],
)
def test_channel_names_come_in_channel_order(tmp_path: Path, content: object, expected: tuple[str, ...] | None) -> None:
    """nnU-Net and Decathlon spellings; nothing said is None."""
    write_json(tmp_path / "dataset.json", content)
    assert read_modality(tmp_path) == expected
    (tmp_path / "masks").mkdir()
    assert read_modality(tmp_path / "masks") == expected
