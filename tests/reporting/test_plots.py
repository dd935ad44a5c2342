"""Figures of a run show what its history holds: curves, onsets, dynamics, errors, and nothing that was not measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from adelecli.errors import OutputError
from adelecli.reporting.plots import (
    ErrorBar,
    draw_curves,
    draw_dynamics,
    draw_label_errors,
    draw_run_plots,
    draw_scores,
    has_dynamics,
    read_scores,
)

NAMES = ("background", "liver", "spleen")
VERMILLION, BLUE, BAR_GREY = (213, 94, 0), (0, 114, 178), (195, 200, 207)


def make_history(epochs=10, *, onset=6, dynamics=True, absent=()):
    records = []
    for t in range(1, epochs + 1):
        iou = None if t in absent else 0.8 * (1 - math.exp(-t / 3))
        teacher = {"mean_iou": 0.6 + 0.01 * t, "dice": [None, 0.7, 0.8]}
        records.append(
            {
                "epoch": t,
                "losses": {"ce": 1 / t, "skipped": 0.0} | ({"dice": 0.5} if t < 3 else {}),
                "curve": [0.99, iou, 0.02],
                "onset": [None, onset if onset and t >= onset else None, None],
                "dynamics": {"early": [None, 0.5, 0.4], "memorised": [None, t / 20, 0.1]} if dynamics else {},
                "val": {"student": {"mean_iou": None if t == 2 else 0.5}, "teacher": teacher},
            }
        )
    return records


def read_size(path):
    with Image.open(path) as image:
        return image.size


def count_colour(path, colour, tolerance=6):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(pixels - colour).max(axis=-1) <= tolerance).sum())


def test_a_run_gets_all_the_plots_it_has_numbers_for(tmp_path):
    """Dynamics need clean labels; an empty history gives nothing."""
    assert [path.name for path in draw_run_plots(tmp_path / "a", make_history(), NAMES)] == [
        "curves.png",
        "losses.png",
        "dynamics.png",
    ]
    without = draw_run_plots(tmp_path / "b", make_history(dynamics=False), NAMES)
    assert [path.name for path in without] == ["curves.png", "losses.png"]
    assert draw_run_plots(tmp_path / "c", [], NAMES) == ()
    assert not (tmp_path / "c").exists()


def test_an_onset_is_marked_and_no_other(tmp_path):
    """The onset's line is drawn for a class that triggered; a history without one has no pixel of that colour."""
    marked = draw_curves(tmp_path / "a.png", make_history(onset=6), NAMES)
    unmarked = draw_curves(tmp_path / "b.png", make_history(onset=None), NAMES)
    assert count_colour(marked, VERMILLION) > 300
    assert count_colour(unmarked, VERMILLION) == 0


def test_points_that_were_not_measured_are_left_out(tmp_path):
    """A class absent from half of the epochs has fewer dots, and the figure is still drawn."""
    full = count_colour(draw_curves(tmp_path / "a.png", make_history(onset=None), NAMES), BLUE)
    half = count_colour(draw_curves(tmp_path / "b.png", make_history(onset=None, absent=(2, 4, 6, 8, 10)), NAMES), BLUE)
    assert 0 < half < full


def test_one_epoch_is_enough_for_every_plot(tmp_path):
    """A run that is stopped after its first epoch has plots too."""
    assert len(draw_run_plots(tmp_path, make_history(1, onset=None), NAMES)) == 3


def test_twenty_classes_fit(tmp_path):
    """Panels go into rows of four, so the figure grows downwards."""
    names = ["background", *(f"organ {i}" for i in range(1, 21))]
    history = [record | {"curve": [0.5] * 21, "onset": [None] * 21} for record in make_history(4, dynamics=False)]
    few = read_size(draw_curves(tmp_path / "a.png", make_history(4), NAMES))
    many = read_size(draw_curves(tmp_path / "b.png", history, names))
    assert many[1] > 3 * few[1]
    assert many[0] < 2000


def test_bars_are_as_long_as_the_errors(tmp_path):
    """Half the error is half as many pixels of bar."""
    path = draw_label_errors(tmp_path / "a.png", [ErrorBar("liver", 0.4, 0.2), ErrorBar("spleen", 0.4, 0.2)])
    before, after = count_colour(path, BAR_GREY, 1), count_colour(path, BLUE, 1)
    legend = 0.06 * before
    assert after == pytest.approx(before / 2, abs=legend)


def test_a_class_without_error_can_be_shown(tmp_path):
    """0 before and after: no division by zero, no bar."""
    path = draw_label_errors(tmp_path / "a.png", [ErrorBar("liver", 0.0, 0.0)])
    assert count_colour(path, BLUE, 1) < 2000


def test_dynamics_of_two_runs_share_their_panels(tmp_path):
    """A second run adds lines, not panels."""
    one = draw_dynamics(tmp_path / "a.png", {"": make_history()}, NAMES)
    two = draw_dynamics(tmp_path / "b.png", {"noisy": make_history(), "ADELE": make_history()}, NAMES)
    assert read_size(one) == read_size(two)
    assert has_dynamics(make_history())
    assert not has_dynamics(make_history(dynamics=False))


def test_scores_are_read_with_gaps(tmp_path):
    """A score that was not measured is NaN, and a line with a gap can be drawn."""
    scores = read_scores(make_history(3), "student")
    assert scores[0] == scores[2] == 0.5
    assert math.isnan(scores[1])
    assert read_scores([{"val": {}}], "teacher", "mean_dice") != [0.0]
    path = draw_scores(tmp_path / "a.png", {"noisy": scores, "ADELE": [0.6, 0.7, 0.8]})
    assert count_colour(path, BLUE) > 500


def test_the_same_numbers_give_the_same_file(tmp_path):
    """No date and no random id in the PNG."""
    first, second = (draw_curves(tmp_path / name, make_history(), NAMES) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    """And no temporary file stays behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"a\.png"):
        draw_curves(tmp_path / "file" / "a.png", make_history(), NAMES)
