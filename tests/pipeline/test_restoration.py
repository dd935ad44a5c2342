"""``correct`` gives a case the class that it lacks, as a whole and only where the model says how much must be seen of it."""

from __future__ import annotations

import numpy as np
import pytest
from known_cases import make_truth
from tiny_models import make_contract, make_model

from adelecli.pipeline.correction import correct
from adelecli.pipeline.preflight import check
from adelecli.runtime.contract import GateEntry
from adelecli.store.collection import open_store

SEEN = 9.0
"""Class 2 is a box of 3 x 3 pixels in each of its slices, and the network is sure of it."""
PARTS = frozenset({"class 2"})


def lack_class_2() -> np.ndarray:
    labels = make_truth()
    labels[labels == 2] = 0
    return labels


def run(data, labels: np.ndarray, *, out: str = "cleaned.zarr", contract: dict[str, object] | None = None, **options):
    """``correct`` one case with a model whose classes are all restorable from ``SEEN`` on; what stands in the store, and its record."""
    settings: dict[str, object] = {"restore": (None, SEEN)}
    make_model(data.model, make_contract(**{**settings, **(contract or {})}))
    data.add("case_1", mask=labels)
    record = correct(data.masks, out=data.root / out, model=data.model, **options).cases[0]
    return open_store(data.root / out).read("case_1"), record


def test_a_class_that_was_left_out_comes_back_whole(data) -> None:
    """Every voxel of it and no other; so much of a class is new that any other change of that size would be quarantined."""
    labels, record = run(data, lack_class_2())
    assert make_contract().constraint == "slice"  # which binds single pixels
    np.testing.assert_array_equal(labels, make_truth())
    assert record.status == "corrected"
    np.testing.assert_array_equal(open_store(data.out).read("case_1", "original"), lack_class_2())


@pytest.mark.parametrize(
    ("contract", "options"),
    [
        pytest.param({"restore": (None, SEEN + 0.01)}, {}, id="less is seen than asked for"),
        pytest.param({"restore": (SEEN, None)}, {}, id="the class is not in the list"),
        pytest.param({"restore": (None, SEEN + 0.01), "constraint": "none"}, {}, id="the same without a constraint"),
        pytest.param({"restore": None}, {}, id="the model says nothing of it"),
        pytest.param({}, {"constraint": "slice"}, id="only what the slices hold is asked for"),
        pytest.param({}, {"constraint": "volume"}, id="only what the volume holds is asked for"),
        pytest.param({}, {"protect": PARTS}, id="it is protected"),
    ],
)
def test_otherwise_the_case_stays_as_it_is(data, contract, options) -> None:
    """Also pixel by pixel nothing of the class appears, although the constraint alone would let it."""
    labels, record = run(data, lack_class_2(), contract=contract, **options)
    np.testing.assert_array_equal(labels, lack_class_2())
    assert record.status == "unchanged"


def test_one_pixel_of_it_makes_it_a_matter_of_the_rule(data) -> None:
    """A class that is drawn, however badly, is not omitted: it is corrected or quarantined like every other."""
    labels = lack_class_2()
    labels[1, 3, 6] = 2
    kept, record = run(data, labels)
    np.testing.assert_array_equal(kept, labels)
    assert record.status == "quarantined"


def test_what_is_missing_says_nothing_of_how_the_rest_is_drawn(data) -> None:
    """A gate that all classes together would open stays shut, and the class comes back all the same."""
    noisy = lack_class_2()
    noisy[:, :, 4][noisy[:, :, 4] == 1] = 0
    expected = noisy.copy()
    expected[make_truth() == 2] = 2
    for number, (threshold, right) in enumerate(((1e6, expected), (0.0, make_truth()))):
        gate = GateEntry(network=(0.3, 0.01), threshold=threshold)
        labels, record = run(data, noisy, out=f"{number}.zarr", contract={"gate": gate})
        np.testing.assert_array_equal(labels, right)
        assert record.excess < 2  # with the missing class it would be above 40


def test_who_names_classes_asks_for_the_plain_rule(data) -> None:
    """``--classes`` outranks what the model knows of cases, as it does the gate."""
    labels, _ = run(data, lack_class_2(), classes=["class 2"])
    np.testing.assert_array_equal(labels, lack_class_2())
    labels, _ = run(data, lack_class_2(), out="any.zarr", classes=["class 2"], constraint="none", max_change=1.0)
    np.testing.assert_array_equal(labels, make_truth())


def test_slices_that_may_get_a_class_back_are_not_skipped(data) -> None:
    """Nothing is drawn in the outer slices, and the network is asked about them nevertheless; check announces as many."""
    _, record = run(data, lack_class_2())
    assert record.skipped_slices == 0
    _, complete = run(data, make_truth(), out="complete.zarr")
    assert complete.skipped_slices == 2
    assert check(data.masks, model=data.model).cases


def test_without_a_constraint_it_comes_back_as_well(data) -> None:
    """``none`` is the one constraint that names no place."""
    labels, _ = run(data, lack_class_2(), constraint="none")
    np.testing.assert_array_equal(labels, make_truth())


@pytest.mark.parametrize("codes", ["LPS", "ASR"])
def test_it_lands_on_the_right_voxels_of_any_orientation(data, codes) -> None:
    """The slices are cut from the canonical grid, the labels are those of the file."""
    make_model(data.model, make_contract(restore=(None, SEEN)))
    data.add("case_1", mask=lack_class_2(), codes=codes)
    data.add("case_2", mask=make_truth(), codes=codes)
    correct(data.masks, out=data.out, model=data.model)
    store = open_store(data.out)
    np.testing.assert_array_equal(store.read("case_1"), store.read("case_2"))
