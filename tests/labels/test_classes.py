"""The class table: every value crosses it exactly once in each direction, and nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.errors import CaseError, ConfigError
from adelecli.labels.classes import IGNORE, ClassTable, choose_colours

HEART = ClassTable(ids=(0, 5, 300), names=("background", "heart", "aorta"))


def test_encode_maps_ids_with_gaps_to_indices_and_ignore_to_255() -> None:
    """Ids become their place in the table; 255 stays 255."""
    labels = np.array([[[0, 5, 300], [255, 300, 0]]], np.uint16)
    encoded = HEART.encode(labels)
    assert encoded.dtype == np.uint8
    np.testing.assert_array_equal(encoded, [[[0, 1, 2], [IGNORE, 2, 0]]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.uint64, np.int64])
def test_encode_takes_every_integer_dtype(dtype: type) -> None:
    """The dtype of the file does not matter, only its values."""
    table = ClassTable((0, 7), ("background", "liver"))
    np.testing.assert_array_equal(table.encode(np.array([[[0, 7]]], dtype)), [[[0, 1]]])


def test_encode_names_an_unknown_label_its_count_and_its_first_place() -> None:
    """The error tells value, count, place and the file, so that a person can find the voxel."""
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 2, 3] = labels[1, 2, 1] = 9
    with pytest.raises(CaseError) as caught:
        ClassTable((0, 1), ("background", "liver")).encode(labels, path="a.nii.gz")
    assert str(caught.value).startswith(
        "a.nii.gz: label 9 (2 voxels, first at z=1, y=2, x=1) is in no class of: 0 back"
    )
    assert caught.value.remedy == "relabel it, or name it in labels.json beside the masks"
    with pytest.raises(CaseError) as caught:
        ClassTable((0, 1), ("background", "liver")).encode(labels, remedy="use another model")
    assert caught.value.remedy == "use another model"


@pytest.mark.parametrize("value", [-1, 65536, -(2**40), 2**40])
def test_encode_refuses_values_outside_uint16(value: int) -> None:
    """A value that would wrap around is an error, never another class."""
    with pytest.raises(CaseError, match=rf"label {value} \(1 voxels"):
        HEART.encode(np.array([[[0, value]]], np.int64))


def test_encode_refuses_ignore_when_the_table_has_none() -> None:
    """255 is a label like any other unless the table says that it means ignore."""
    with pytest.raises(CaseError, match="label 255"):
        ClassTable((0, 1), ("background", "liver"), ignore=None).encode(np.array([[255]], np.uint8))


def test_encode_refuses_floats() -> None:
    """Fractions are not labels."""
    with pytest.raises(CaseError, match="float32"):
        HEART.encode(np.zeros((1, 1, 1), np.float32))  # type: ignore[arg-type]


def test_ignore_id_of_the_files_may_differ_from_the_index() -> None:
    """An ignore id of 9 becomes 255 inside and 9 again outside."""
    table = ClassTable((0, 1), ("background", "liver"), ignore=9)
    encoded = table.encode(np.array([[0, 9, 1]], np.uint8))
    np.testing.assert_array_equal(encoded, [[0, 255, 1]])
    np.testing.assert_array_equal(table.decode(encoded), [[0, 9, 1]])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_decode_undoes_encode(data: st.DataObject) -> None:
    """decode(encode(x)) == x for any ids, in the narrowest dtype that holds them."""
    foreground = data.draw(
        st.lists(st.integers(1, 65535).filter(lambda i: i != 255), min_size=1, max_size=20, unique=True)
    )
    ids = (0, *foreground)
    table = ClassTable(ids, tuple(f"c{i}" for i in ids))
    values = data.draw(st.lists(st.sampled_from((*ids, 255)), min_size=1, max_size=30))
    labels = np.array(values, np.uint16).reshape(1, 1, -1)
    decoded = table.decode(table.encode(labels))
    np.testing.assert_array_equal(decoded, labels)
    assert decoded.dtype == (np.uint8 if max(ids) <= 255 else np.uint16)


def test_255_classes_fit_and_256_do_not() -> None:
    """Index 255 is taken by ignore, so 255 classes (indices 0..254) are the most."""
    ids = (*range(255), 256)
    table = ClassTable(ids[:255], tuple(map(str, ids[:255])))
    np.testing.assert_array_equal(table.decode(table.encode(np.array([254], np.uint8))), [254])
    with pytest.raises(ConfigError, match="256 classes"):
        ClassTable(ids, tuple(map(str, ids)))


def test_decode_refuses_an_index_without_class() -> None:
    """A network with more channels than classes is found out."""
    with pytest.raises(CaseError, match="index 3"):
        HEART.decode(np.array([0, 3], np.uint8))
    with pytest.raises(CaseError, match="index 255"):
        ClassTable((0, 1), ("background", "liver"), ignore=None).decode(np.array([255], np.uint8))


@pytest.mark.parametrize(
    ("ids", "names", "ignore", "fault"),
    [
        ((1, 2), ("a", "b"), 255, "first class is not 0"),
        ((), (), 255, "first class is not 0"),
        ((0, 1, 1), ("a", "b", "c"), 255, "id occurs twice"),
        ((0, 1), ("a", "a"), 255, "name occurs twice"),
        ((0, 1), ("a",), 255, "2 class ids but 1 names"),
        ((0, 1), ("a", ""), 255, "no name"),
        ((0, 255), ("a", "b"), 255, "ignore id 255"),
        ((0, 70000), ("a", "b"), 255, "0..65535"),
        ((0, -1), ("a", "b"), 255, "0..65535"),
    ],
)
def test_impossible_tables_are_refused(ids: tuple[int, ...], names: tuple[str, ...], ignore: int, fault: str) -> None:
    """Each way in which a table can be wrong is a ConfigError that says it."""
    with pytest.raises(ConfigError, match=fault):
        ClassTable(ids, names, ignore)


def test_colours_must_match_and_lie_in_range() -> None:
    """Given colours are checked like everything else."""
    with pytest.raises(ConfigError, match="1 colours"):
        ClassTable((0, 1), ("a", "b"), colours=((0, 0, 0),))
    with pytest.raises(ConfigError, match=r"outside 0\.\.255"):
        ClassTable((0, 1), ("a", "b"), colours=((0, 0, 0), (0, 256, 0)))


def test_index_of_finds_names_first_and_ids_second() -> None:
    """A class may be called by name or by id; a name that looks like an id wins."""
    assert HEART.index_of("aorta") == 2
    assert HEART.index_of("5") == 1
    assert ClassTable((0, 1, 2), ("0", "2", "1")).index_of("2") == 1


def test_index_of_lists_the_names_when_unknown() -> None:
    """A typing error is answered with the choice."""
    with pytest.raises(ConfigError, match="unknown class 'hart'; choose from background, heart, aorta"):
        HEART.index_of("hart")


def test_default_colours_are_distinct_and_start_with_black() -> None:
    """No two of 255 classes share a colour."""
    colours = choose_colours(255)
    assert colours[0] == (0, 0, 0)
    assert len(set(colours)) == 255
    assert HEART.colours == colours[:3]
