"""A model that knows what honest disagreement is corrects only the cases that go beyond it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from known_cases import make_noisy, make_truth
from tiny_models import make_contract, make_model

from adelecli.labels.gate import JITTER, VARIANCE
from adelecli.pipeline.correction import correct
from adelecli.runtime.contract import GateEntry
from adelecli.store.collection import open_store

NETWORK = 0.05


def compute_excess() -> float:
    """By hand for the case of ``known_cases``: class 1 is 24 wide in labels and 30 ... in pixels per slice, in 4 slices."""
    ratios = []
    for ours, theirs in (((18, 18), (24, 20)), ((12, 14), (9, 12))):  # (area, edges) of labels and prediction, a slice
        seen = max(ours[0], theirs[0])
        disagreement = 1 - min(ours[0], theirs[0]) / seen
        outline = (ours[1] + theirs[1]) * math.pi / 4 / (ours[0] + theirs[0])
        ratios.append(disagreement / math.sqrt(VARIANCE * NETWORK**2 + (JITTER * outline) ** 2))
    return sum(ratios) / len(ratios)


@pytest.mark.parametrize("below", [True, False])
def test_a_case_is_corrected_when_its_excess_reaches_the_threshold(data, below) -> None:
    """Just above its excess nothing changes, just below everything does; the record tells the excess either way."""
    excess = compute_excess()
    threshold = excess - 0.001 if below else excess + 0.001
    make_model(data.model, make_contract(gate=GateEntry(network=(NETWORK, NETWORK), threshold=threshold)))
    data.add("case_1")
    record = correct(data.masks, out=data.out, model=data.model).cases[0]
    assert record.excess == pytest.approx(excess, abs=1e-4)
    assert record.status == ("corrected" if below else "unchanged")
    np.testing.assert_array_equal(open_store(data.out).read("case_1"), make_truth() if below else make_noisy())


def test_who_names_classes_has_judged_the_cases(data) -> None:
    """``classes`` outranks the gate; a class that does not judge (null) does not count."""
    make_model(data.model, make_contract(gate=GateEntry(network=(None, NETWORK), threshold=99.0)))
    data.add("case_1")
    assert correct(data.masks, out=data.out, model=data.model).cases[0].status == "unchanged"
    forced = correct(data.masks, out=data.root / "forced.zarr", model=data.model, classes=["class 1"])
    assert forced.cases[0].status == "corrected"
    assert forced.cases[0].excess is None
