"""A benchmark's figures show what the table has numbers for, and nothing else."""

from __future__ import annotations

from adelecli.reporting.benchmarks import draw_benchmark

CURVES = {"clean": (0.5, 0.8), "noisy": (0.4, None), "adele": (0.5, 0.7)}


def test_only_what_was_measured_is_drawn(tmp_path):
    """Curves always; gaps and label errors where there are any."""
    nothing = {name: {"gap": None} for name in CURVES}
    assert [path.name for path in draw_benchmark(tmp_path / "a", CURVES, nothing)] == ["iou.png"]
    full = nothing | {"adele": {"gap": -0.2, "error_before": 0.4, "error_after": 0.2}}
    drawn = draw_benchmark(tmp_path / "b", CURVES, full)
    assert [path.name for path in drawn] == ["iou.png", "gap.png", "labels.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    """A result that did not change makes no new file."""
    figures = {"adele": {"gap": 0.5}}
    one, two = (draw_benchmark(tmp_path / name, CURVES, figures) for name in ("a", "b"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
