"""Constants counted slab by slab are those of a copy of the whole channel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adelecli.errors import CaseError
from adelecli.runtime import preparation, statistics
from adelecli.runtime.contract import Intensity
from adelecli.runtime.preparation import fit_normaliser
from adelecli.runtime.statistics import find_percentiles

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)
finite = st.floats(-(2.0**60), 2.0**60, width=32)
channels = st.one_of(
    hnp.arrays(np.float32, shapes, elements=finite),
    hnp.arrays(np.int16, shapes),
    hnp.arrays(np.float32, shapes, elements=st.sampled_from([-0.0, 0.0, 1.0, -1.5])),
)
percents = st.tuples(st.floats(0, 49.9), st.floats(50, 100))


@settings(deadline=None)
@given(channels, percents)
def test_percentiles_are_numpys_to_the_bit(channel, percentiles):
    """Any float32 or integer values, ties and both zeros included."""
    expected = np.percentile(channel.astype(np.float32).ravel(), percentiles)
    assert find_percentiles(channel, percentiles) == expected.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.int16, ">f4"])
@pytest.mark.parametrize("turn", [lambda a: a, lambda a: a.T, lambda a: a[::-1, :, ::-1]])
def test_constants_of_large_channels_are_those_of_small_ones(monkeypatch, dtype, turn):
    """Window, mean and deviation as the voxels see them (float32), for any layout and slab."""
    image = turn(np.random.default_rng(0).normal(100, 300, (7, 33, 29)).astype(dtype))[None]
    channel = (Intensity(kind="volume", percentiles=(2.0, 98.0)),)
    expected = fit_normaliser(image, channel)
    monkeypatch.setattr(preparation, "COPIED_VOXELS", 0)
    for slab in (1, 5000, 1 << 24):
        monkeypatch.setattr(statistics, "_SLAB", slab)
        found = fit_normaliser(image, channel)
        assert found.windows == expected.windows
        assert np.float32(found.means) == np.float32(expected.means)
        assert np.float32(found.stds) == np.float32(expected.stds)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_there_too(monkeypatch, value):
    """NaN would otherwise sort as the largest number."""
    monkeypatch.setattr(preparation, "COPIED_VOXELS", 0)
    image = np.zeros((1, 2, 3, 4), np.float32)
    image[0, 1, 1, 1] = value
    with pytest.raises(CaseError, match="not finite"):
        fit_normaliser(image, (Intensity(kind="volume"),))
