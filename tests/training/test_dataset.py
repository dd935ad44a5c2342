"""Slices on disk: who is shown when, and that nothing of it depends on anything but seed and epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.training.dataset import (
    ROW,
    Slices,
    choose_spread,
    create_cache,
    find_place,
    find_training_rows,
    open_slices,
    plan_epoch,
    spread_rows,
)  # fmt: skip
from adelecli.training.settings import DataSettings
from adelecli.training.survey import split_cases


@pytest.fixture
def slices(tmp_path: Path) -> Slices:
    """Five cases of ten slices, the last three of each empty; case c4 validates."""
    arrays = create_cache(tmp_path, 50, (1, 4, 4), clean=False)
    table = arrays["table"]
    table["case"], table["slice"] = np.repeat(np.arange(5), 10), np.tile(np.arange(10), 5)
    table["foreground"] = table["slice"] < 7
    arrays["labels"][...] = np.arange(50)[:, None, None]
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    return open_slices(tmp_path, [f"c{i}" for i in range(5)], ["c4"])


def test_an_epoch_is_a_function_of_seed_and_epoch(slices: Slices) -> None:
    """The same twice; different for another epoch or seed."""

    def plan(epoch: int, seed: int) -> list[int]:
        return plan_epoch(slices, epoch, seed=seed, limit=20, empty_share=0.2).tolist()

    assert plan(3, 1) == plan(3, 1)
    assert plan(3, 1) != plan(4, 1)
    assert plan(3, 1) != plan(3, 2)


@pytest.mark.parametrize("limit", [0, 20, 35, 1000])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_an_epoch_keeps_its_limits(slices: Slices, limit: int, share: float) -> None:
    """No validation row, no row twice, no more than the limit, no more empty rows than their share."""
    rows = plan_epoch(slices, 1, seed=0, limit=limit, empty_share=share)
    assert not slices.is_val[rows].any()
    assert len(set(rows.tolist())) == len(rows) <= (limit or 40)
    empty = int((~slices.table["foreground"][rows]).sum())
    assert empty <= share * len(rows) + 1
    if not limit and share == 1.0:
        assert len(rows) == 40


def test_validation_rows_are_evenly_spread(slices: Slices) -> None:
    """A limit keeps first and last and takes even steps."""
    assert spread_rows(slices, 0).tolist() == list(range(40, 50))
    assert spread_rows(slices, 4).tolist() == [40, 43, 46, 49]


def test_the_cache_is_read_only_and_mapped(slices: Slices) -> None:
    """The original labels can be changed by nobody."""
    assert isinstance(slices.labels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        slices.labels[0, 0, 0] = 1
    assert slices.labels[17, 2, 2] == 17


def test_patients_are_never_split() -> None:
    """Both scans of a patient fall on the same side; the same seed gives the same split; some remain to train."""
    ids = [f"p{i}_{side}" for i in range(10) for side in "LR"]
    settings = DataSettings(val_share=0.3, patient=r"(p\d+)_")
    held = split_cases(ids, settings, 5, None)
    assert held == split_cases(reversed(ids), settings, 5, None)
    assert len(held) == 6
    assert all(f"{case[:-1]}{'LR'['RL'.index(case[-1])]}" in held for case in held)
    assert split_cases(["only"], settings, 0, None) == ()


def test_trusted_cases_are_never_drawn_for_validation(tmp_path: Path) -> None:
    """Neither they nor their patients' other cases, whatever the seed; as many others are drawn as before, while there are enough."""
    ids = [f"p{i}_{side}" for i in range(10) for side in "LR"]
    settings = DataSettings(val_share=0.3, patient=r"(p\d+)_")
    trusted = {f"p{i}_L" for i in range(5)}
    for seed in range(20):
        held = split_cases(ids, settings, seed, None, trusted)
        assert len(held) == 6
        assert not {case[:2] for case in held} & {case[:2] for case in trusted}
    assert split_cases(ids, settings, 5, None, set(ids)) == ()
    assert split_cases(ids, settings, 5, None, ()) == split_cases(ids, settings, 5, None)
    listed = tmp_path / "val.txt"
    listed.write_text("p1_L\n")
    with pytest.raises(ConfigError, match=r"val\.txt: names 'p1_L', which is a trusted case"):
        split_cases(ids, settings, 0, listed, trusted)


def show_counts(slices: Slices, epoch: int, weight: float, limit: int = 0) -> np.ndarray:
    rows = plan_epoch(slices, epoch, seed=0, limit=limit, empty_share=1.0, trusted_weight=weight)
    return np.bincount(rows, minlength=50).reshape(5, 10)


def test_an_epoch_shows_trusted_slices_as_often_as_they_weigh(slices: Slices) -> None:
    """Weight 1 changes nothing, 3 shows each slice of c1 three times, 1.5 once or twice, half of them each; within the limit."""
    known = replace(slices, trusted=frozenset({"c1"}))
    plain = plan_epoch(slices, 1, seed=0, limit=0, empty_share=0.2)
    assert plan_epoch(known, 1, seed=0, limit=0, empty_share=0.2).tolist() == plain.tolist()
    counts = show_counts(known, 1, 3.0)
    assert (counts[1] == 3).all()
    assert (counts[[0, 2, 3]] == 1).all()
    assert not counts[4].any()
    partly = [show_counts(known, epoch, 1.5)[1] for epoch in range(40)]
    assert set(np.unique(partly)) == {1, 2}
    assert np.mean(partly) == pytest.approx(1.5, abs=0.1)
    assert np.array_equal(show_counts(known, 7, 1.5), show_counts(known, 7, 1.5))
    drawn = [show_counts(known, epoch, 3.0, limit=20) for epoch in range(40)]
    assert {counts.sum() for counts in drawn} == {20}
    assert np.mean(drawn, axis=0)[1].sum() == pytest.approx(20 * 30 / 60, abs=1.0)


def test_a_list_of_validation_cases_is_held_to_the_data(tmp_path: Path) -> None:
    """Unknown ids, and a list that leaves nothing to train on, are refused."""
    listed = tmp_path / "val.txt"
    listed.write_text("b\n\na\n")
    assert split_cases(["a", "b", "c"], DataSettings(), 0, listed) == ("a", "b")
    with pytest.raises(ConfigError, match="'b'"):
        split_cases(["a", "c"], DataSettings(), 0, listed)
    with pytest.raises(ConfigError, match="no case to train on"):
        split_cases(["a", "b"], DataSettings(), 0, listed)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, [0, 1, 2, 3, 4, 5, 6, 7]), (1, [4]), (2, [2, 5]), (3, [2, 4, 6]), (9, [1, 2, 3, 4, 5, 6])],
)
def test_few_slices_of_a_case_are_spread_over_its_labelled_ones(count: int, expected: list[int]) -> None:
    """Slices 1 to 6 are labelled: one is the middle, more are evenly spread, too many are all of them; 0 takes everything."""
    filled = np.array([0, 1, 1, 1, 1, 1, 1, 0], bool)
    assert choose_spread(filled, count).tolist() == expected


def test_an_epoch_with_few_slices_per_case_shows_those_alone(slices: Slices) -> None:
    """Two of the seven labelled slices of each of the four training cases, the same in every epoch, not the same in every case."""
    places = [0, 0.618034, 0.236068, 0.854102]  # multiples of the golden ratio without their whole part
    expected = [10 * case + int((part + place) * 7 / 2) for case, place in enumerate(places) for part in (0, 1)]
    for epoch in (1, 2):
        rows = plan_epoch(slices, epoch, seed=0, limit=0, empty_share=0.2, per_case=2)
        assert sorted(rows.tolist()) == expected


def test_whoever_judges_the_slices_that_were_learnt_from_finds_the_same_ones() -> None:
    """The n-th training case in the order of the plan has the n-th place; validation cases are not counted."""
    table = np.zeros(40, ROW)
    table["case"], table["slice"] = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    table["foreground"] = (table["slice"] > 1) & (table["slice"] < 9)
    slices = Slices(
        np.zeros((40, 1, 1, 1), np.float32), np.zeros((40, 1, 1), np.uint8), None, table, tuple("abcd"), frozenset("b")
    )
    filled = np.asarray(table["foreground"][:10])
    expected = [10 * case + choose_spread(filled, 2, find_place(number)) for number, case in enumerate((0, 2, 3))]
    found = find_training_rows(slices, 2)
    assert found.tolist() == np.concatenate(expected).tolist()
    assert len({tuple(rows % 10) for rows in expected}) > 1  # they do not all lie in the same place
