"""Tiles: they cover every pixel, their weights are one everywhere, and a constant stays what it is."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import make_contract, make_model

from adelecli.runtime import tiling
from adelecli.runtime.models import open_model
from adelecli.runtime.segmentation import segment_volume
from adelecli.runtime.tiling import blend_tiles, choose_tile, plan_tiles, weigh_tile

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(sizes, sizes, st.floats(0, 0.9))
def test_tiles_cover_every_pixel_and_stay_inside(size, tile, overlap):
    """Also where the tile does not divide the slice; the first begins and the last ends at the border."""
    tile = (min(tile[0], size[0]), min(tile[1], size[1]))
    covered = np.zeros(size, int)
    for row, column in plan_tiles(size, tile, overlap):
        assert row + tile[0] <= size[0]
        assert column + tile[1] <= size[1]
        covered[row : row + tile[0], column : column + tile[1]] += 1
    assert covered.min() >= 1


@given(sizes, sizes, st.floats(0, 0.9), st.floats(-5, 5, width=32))
def test_a_constant_stays_that_constant_up_to_the_border(size, tile, overlap, value):
    """To the bit: the weights add up to 1 in every pixel, whatever their rounding."""
    tile = (min(tile[0], size[0]), min(tile[1], size[1]))
    answer = np.full((1, 2, *tile), value, np.float32)
    blended = blend_tiles(np.zeros((1, *size), np.float32), lambda _: answer, tile, overlap)
    assert (blended == np.float32(value)).all()


def test_blending_is_the_weighted_mean():
    """Each pixel is the mean of the tiles that cover it, weighted by the Gaussian."""
    image = np.random.default_rng(0).random((1, 9, 13)).astype(np.float32)
    tile, overlap, runs = (4, 6), 0.5, []

    def run(part: np.ndarray) -> np.ndarray:
        runs.append(part.shape)
        return np.concatenate([part, part * part.mean()], axis=1)

    blended = blend_tiles(image, run, tile, overlap)
    total, weights = np.zeros((2, 9, 13)), np.zeros((9, 13))
    for row, column in plan_tiles((9, 13), tile, overlap):
        place = (slice(row, row + 4), slice(column, column + 6))
        part = image[:, *place]
        total[:, *place] += weigh_tile(tile) * np.concatenate([part, part * part.mean()])
        weights[place] += weigh_tile(tile)
    np.testing.assert_allclose(blended, total / weights, atol=1e-6)
    assert set(runs) == {(1, 1, 4, 6)}


def test_a_slice_runs_whole_where_it_fits(monkeypatch):
    """Up to the limit whole; beyond it in tiles no larger than the slice; a contract's own tiles come first."""
    contract = make_contract()
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 1 << 20)
    assert choose_tile((1024, 1024), contract) is None
    assert choose_tile((1024, 1025), contract) == (512, 512)
    assert choose_tile((100, 20000), contract) == (100, 512)

    class Tiles(msgspec.Struct):
        shape: tuple[int, ...]
        overlap: float

    class Tiled:
        tiles = Tiles((32, 64), 0.5)

    assert choose_tile((32, 64), Tiled()) is None
    assert choose_tile((33, 64), Tiled()) == (32, 64)
    assert choose_tile((16, 65), Tiled()) == (16, 64)
    assert tiling.choose_overlap(Tiled()) == 0.5


@pytest.mark.parametrize("value", [0, 1, 2])
def test_a_tiled_volume_gives_the_labels_of_whole_slices(tmp_path, monkeypatch, value):
    """The tiny model looks at one pixel alone, so tiles must change nothing; a constant has one confidence."""
    model = open_model(make_model(tmp_path / "m.onnx"), "cpu")
    image = np.random.default_rng(value).integers(0, 3, (1, 2, 11, 23)).astype(np.int16)
    whole = list(segment_volume(model, image, (1, 1, 1)))
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 16)
    monkeypatch.setattr(tiling, "SHAPE", (4, 8))
    for (_, label, confidence, *_), (_, tiled, sure, *_) in zip(
        whole, segment_volume(model, image, (1, 1, 1)), strict=True
    ):
        np.testing.assert_array_equal(tiled, label)
        np.testing.assert_allclose(sure, confidence, atol=1e-6)
    constant = np.full((1, 1, 11, 23), value, np.int16)
    _, label, confidence, *_ = next(segment_volume(model, constant, (1, 1, 1)))
    assert (label == value).all()
    assert np.unique(confidence).size == 1
