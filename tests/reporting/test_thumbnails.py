"""Pictures of a few cells: what changed is seen where it changed, and nothing that cannot be drawn stops a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stores import make_store

from adelecli.reporting import thumbnails
from adelecli.reporting.pictures import Viewer
from adelecli.reporting.thumbnails import average_cells, draw_thumbnail, draw_thumbnails

VERMILLION = (213, 94, 0)


def mix(grey: int, colour: tuple[int, int, int]) -> list[int]:
    """Four fifths of a colour over grey."""
    return [round(grey + 0.8 * (part - grey)) for part in colour]


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 4))
def test_averaging_keeps_the_mean(sizes) -> None:
    """Whether the picture shrinks or grows: no voxel is lost or counted twice."""
    picture = np.random.default_rng(0).random(sizes[:2]).astype(np.float32)
    cells = average_cells(picture, sizes[2:])
    assert cells.shape == sizes[2:]
    assert cells.mean() == pytest.approx(picture.mean(), abs=1e-5)


def test_the_removed_columns_are_vermillion_and_the_rest_is_as_before(tmp_path: Path) -> None:
    """Case b lost columns 2, 3 and 4 of the liver (2..5); on grey, one cell a voxel of the 10 x 12 slice."""
    store = make_store(tmp_path, images=False)
    one = draw_thumbnail(Viewer(store, "b"), (7,), side=12)
    assert one is not None
    assert one.before.shape == (12, 10, 3)  # 12 rows of 1 mm, 10 columns
    grey, orange = [96, 96, 96], mix(96, (230, 159, 0))
    assert one.difference[5].tolist() == [grey] * 2 + [mix(96, VERMILLION)] * 3 + [grey] * 5
    assert one.before[5].tolist() == [grey] * 2 + [orange] * 4 + [grey] * 4
    assert one.after[5].tolist() == [grey] * 5 + [orange] + [grey] * 4


def test_a_change_of_one_voxel_among_many_is_faint_and_not_lost(tmp_path: Path) -> None:
    """Six cells for twelve voxels: where a quarter of a cell changed, a quarter of the colour is seen."""
    store = make_store(tmp_path, {"a": 1}, images=False)
    one = draw_thumbnail(Viewer(store, "a"), (7,), side=6)
    assert one is not None
    assert one.difference.shape == (6, 5, 3)
    assert one.difference[2, 1].tolist() == [round(96 + 0.4 * (part - 96)) for part in VERMILLION]


def test_the_image_beside_the_masks_is_found(tmp_path: Path) -> None:
    """No folder of images is named: the one that `correct` itself took."""
    store = make_store(tmp_path, {"a": 1})
    (tmp_path / "masks").mkdir()
    (drawn,) = draw_thumbnails(store.path, {"a": (7,)}, images=None, masks=tmp_path / "masks")
    assert len(np.unique(drawn.before[0])) > 5  # noise, and no even grey


def test_what_cannot_be_drawn_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that is damaged, one that is not there, a store at a remote address, a volume that is too large."""
    store = make_store(tmp_path, images=False)
    (store.path / "a" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0").unlink()
    cases = {"a": (7,), "b": (7,), "gone": (7,)}
    assert [one.case for one in draw_thumbnails(store.path, cases, images=None, masks=tmp_path)] == ["b"]
    assert draw_thumbnails(Path("s3://bucket/cleaned.zarr"), cases, images=None, masks=tmp_path) == ()
    monkeypatch.setattr(thumbnails, "MOST_VOXELS", 8 * 12 * 10 - 1)
    assert draw_thumbnails(store.path, cases, images=None, masks=tmp_path) == ()
