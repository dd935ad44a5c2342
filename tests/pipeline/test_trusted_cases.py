"""``correct`` leaves the labels of trusted cases alone, and remembers which they were."""

from __future__ import annotations

import numpy as np
import pytest
from known_cases import make_noisy, make_truth
from tiny_models import make_contract, make_model

from adelecli.errors import ConfigError
from adelecli.pipeline.correction import correct
from adelecli.runtime.contract import GateEntry
from adelecli.store.collection import open_store


def test_a_trusted_case_is_published_as_it_was(two_cases) -> None:
    """Its labels are the original ones and it is `unchanged`; no slice of it is run; the other case is corrected."""
    listed = two_cases.root / "trusted.txt"
    listed.write_text("a\n")
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, trusted=listed)
    store = open_store(two_cases.out)
    assert [(case.id, case.status, case.rank) for case in report.cases] == [
        ("a", "unchanged", None),
        ("b", "corrected", 1),
    ]
    assert report.cases[0].skipped_slices == report.cases[0].slices == 6
    np.testing.assert_array_equal(store.read("a"), make_noisy())
    np.testing.assert_array_equal(store.read("b"), make_truth())
    assert not store.read("a", "change").any()
    assert report.run.options["trusted"] == ["a"]


def test_a_map_of_confidence_is_made_for_a_trusted_case_too(two_cases) -> None:
    """Who asks for maps gets them, and the labels stay."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model, trusted=["a"], confidence_maps=True)
    store = open_store(two_cases.out)
    np.testing.assert_array_equal(store.read("a"), make_noisy())
    assert (store.read("a", "confidence") > 128).all()


def test_a_trusted_case_is_not_judged(two_cases) -> None:
    """Where the model has a gate, only the cases that it may correct get an excess."""
    make_model(two_cases.model, make_contract(gate=GateEntry(network=(0.1, 0.1), threshold=0.1)))
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, trusted=["a"])
    assert report.cases[0].excess is None
    assert report.cases[1].excess is not None


def test_an_unknown_trusted_case_is_refused_before_anything_is_written(two_cases) -> None:
    """The file and the id are named; a case left out by ``cases`` is known nevertheless."""
    listed = two_cases.root / "trusted.txt"
    listed.write_text("a\nc\n")
    with pytest.raises(ConfigError, match=r"trusted\.txt: names 'c'"):
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model, trusted=listed)
    assert not two_cases.out.exists()
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, trusted=["a"], cases=["b"])
    assert [case.id for case in report.cases] == ["b"]


def test_a_run_is_resumed_with_the_same_trusted_cases_only(two_cases) -> None:
    """The ids count, not the file; a run without any goes on without any."""
    options = {"out": two_cases.out, "model": two_cases.model}
    correct(two_cases.masks, trusted=["a"], **options)
    listed = two_cases.root / "other.txt"
    listed.write_text("a\n\n")
    resumed = correct(two_cases.masks, trusted=listed, resume=True, **options)
    assert [case.resumed for case in resumed.cases] == [True, True]
    for trusted in (None, ["a", "b"]):
        with pytest.raises(ConfigError, match=r"cannot be resumed: options\.trusted"):
            correct(two_cases.masks, trusted=trusted, resume=True, **options)


def test_worker_processes_keep_trusted_cases(two_cases) -> None:
    """The ids travel with the options, so that a process needs no list."""
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, trusted=["b"], workers=2)
    assert [case.status for case in report.cases] == ["corrected", "unchanged"]
