"""Decisions made once from the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adelecli.training.settings import DataSettings
from adelecli.training.survey import CaseFacts, Sample, decide_grid, decide_intensity
from adelecli.volumes.cases import Case


def facts(*spacings: tuple[float, float, float]) -> list[CaseFacts]:
    return [CaseFacts(Case(str(i), (Path("x"),)), (10, 20, 30), spacing) for i, spacing in enumerate(spacings)]


def sample(values: np.ndarray, low: float, *, integral: bool) -> Sample:
    return Sample(frozenset({0, 1}), (values.astype(np.float32),), (low,), integral)


@pytest.mark.parametrize(
    ("spacing", "axis"), [((3, 1, 1), "z"), ((1, 3, 1), "y"), ((1, 1, 3), "x"), ((1, 1, 1), "z"), ((1, 1.02, 1), "z")]
)
def test_slices_are_cut_along_the_coarsest_axis(spacing: tuple[float, float, float], axis: str) -> None:
    """The slice axis is the coarsest one; a tie goes to z; --axis outranks both."""
    assert decide_grid(facts(spacing), DataSettings()).axis == axis
    assert decide_grid(facts(spacing), DataSettings(axis="x")).axis == "x"


def test_spacing_stays_native_where_cases_agree() -> None:
    """Within 5 %: native. Beyond: the median of each axis. An explicit spacing outranks both."""
    assert decide_grid(facts((3, 1, 1), (3, 1.04, 1)), DataSettings()).spacing is None
    assert decide_grid(facts((3, 1, 1), (3, 2, 1), (3, 4, 3)), DataSettings()).spacing == (2.0, 1.0)
    assert decide_grid(facts((3, 1, 1)), DataSettings(spacing=(0.5, 0.5))).spacing == (0.5, 0.5)


def test_ct_gets_one_window_from_the_labelled_voxels() -> None:
    """Integers with air far below -200, or a data set that says CT: clip to the foreground's 0.5-99.5 % range."""
    values = np.arange(0, 1001)
    ct = [sample(values, -1000, integral=True)]
    (policy,) = decide_intensity(ct, DataSettings(), None)
    assert policy.kind == "fixed"
    assert policy.clip == pytest.approx((5.0, 995.0))
    assert (policy.mean, policy.std) == pytest.approx((500.0, values.clip(5, 995).std()), rel=1e-4)
    mr = [sample(values, 3, integral=False)]
    assert decide_intensity(mr, DataSettings(), None)[0].kind == "volume"
    assert decide_intensity(mr, DataSettings(), ("CT",))[0].kind == "fixed"
    assert decide_intensity(ct, DataSettings(intensity="volume"), ("CT",))[0].kind == "volume"
