"""The table's rows from results that can be worked out by hand, and what a person reads of them."""

from __future__ import annotations

import pytest

from adelecli.benchmarking.methods import METHODS, choose_methods
from adelecli.benchmarking.pages import format_page, format_table
from adelecli.benchmarking.records import CeilingRecord, Curve, LabelScores, RunScore, Table
from adelecli.benchmarking.tables import average_curves, list_rows
from adelecli.pipeline.scores import ErrorRate

CEILING = CeilingRecord(4, (0.5, 0.8), 0.4, (0.2, 0.3), (0.9, 1.0), (0.6, 0.1), 0.8)


def make_curve(*ious: float) -> Curve:
    """Class a is .1 better than the mean, class b .1 worse; Dice is .05 above."""
    return Curve(ious, tuple(iou + 0.05 for iou in ious), tuple((iou + 0.1, iou - 0.1) for iou in ious))


def make_score(name: str, seed: int, student: Curve, teacher: Curve, labels: LabelScores | None = None) -> RunScore:
    return RunScore(
        f"{name}{seed}", name, seed, ("a", "b"), 40, student, teacher, {"a": 4, "b": None}, 10.0, 5.0, 99.0, labels
    )


def make_labels() -> LabelScores:
    rate = ErrorRate(0.4, 0.3, 0.8, 0.5, 100, 80, 20, 0.25)
    return LabelScores(rate, rate, {"a": rate, "b": rate}, (), None, 0.5, 0.6)


def make_scores() -> dict[str, dict[int, RunScore]]:
    """Two seeds, two epochs: noisy .5 (its average .55), adele .6 and .7, clean .7."""
    flat = {0: make_curve(0.5, 0.5), 1: make_curve(0.5, 0.5)}
    return {
        "clean": {seed: make_score("clean", seed, flat[seed], make_curve(0.7, 0.7)) for seed in (0, 1)},
        "noisy": {seed: make_score("noisy", seed, flat[seed], make_curve(0.5, 0.6)) for seed in (0, 1)},
        "adele": {
            seed: make_score("adele", seed, flat[seed], make_curve(0.3, iou), make_labels())
            for seed, iou in ((0, 0.9), (1, 1.1))
        },
    }


def make_table() -> Table:
    methods = choose_methods("adele,ema,clean,noisy")
    rows = list_rows(methods, (0, 1), make_scores(), CEILING)
    noise = {"family": "adele-de", "k": [1, 2], "noisy_share": 1.0}
    return Table(
        "key", noise, {"label_iou": 0.6}, CEILING, 3, 2, (0, 1), ("a", "b"), (), "data", "cpu", {}, rows,
        average_curves(methods, (0, 1), make_scores()), ("plots/key/iou.png",),
    )  # fmt: skip


def test_rows_are_in_the_registrys_order_and_gaps_within_a_seed() -> None:
    """Adele's last five are .6 and .7 with clean .7 and noisy .5: gaps .5 and 1, mean .75; ema is noisy's average."""
    rows = {row.method: row for row in make_table().rows}
    assert list(rows) == ["clean", "noisy", "ema", "adele"]
    gap = rows["adele"].figures["gap"]
    assert gap.values == pytest.approx((0.5, 1.0))
    assert (gap.mean, gap.spread) == (pytest.approx(0.75), pytest.approx(0.353553))
    assert rows["ema"].figures["iou_last_five"].mean == pytest.approx(0.55)
    assert rows["ema"].figures["gap"].mean == pytest.approx(0.25)
    assert [rows[name].figures["gap"].mean for name in ("clean", "noisy")] == [1, 0]
    assert rows["adele"].figures["gap:b"].mean == pytest.approx(0.75)
    assert rows["adele"].figures["iou_best"].mean == pytest.approx(1.0)
    assert rows["adele"].figures["learnt_spread"].values == (1, 1)  # a at .4 in epoch 1, b at .2 only in epoch 2
    assert rows["adele"].figures["onset:b"].mean is None


def test_label_figures_stand_where_labels_were_corrected() -> None:
    """A quarter of the error removed where half can be: .5; plain training has no such figures."""
    rows = {row.method: row.figures for row in make_table().rows}
    assert rows["adele"]["removed"].mean == pytest.approx(0.5)
    assert rows["adele"]["broken_per_fixed"].mean == 0.25
    assert "error_after" not in rows["ema"]


def test_curves_are_means_over_the_seeds() -> None:
    """Adele: .3 twice, then .9 and 1.1; noisy is its network, ema its average."""
    curves = make_table().curves
    assert curves["adele"] == pytest.approx((0.3, 1.0))
    assert curves["noisy"] == pytest.approx((0.5, 0.5))
    assert curves["ema"] == pytest.approx((0.5, 0.6))


def test_without_clean_and_noisy_there_is_no_gap() -> None:
    """A share of an unknown gap would be a made-up number."""
    (row,) = list_rows((METHODS["adele"],), (0,), {"adele": make_scores()["adele"]}, None)
    assert "gap" not in row.figures
    assert row.figures["removed"].mean is None


def test_the_page_states_noise_ceiling_mean_and_spread() -> None:
    """The strength beside the name, the posterior's rates, `mean ± spread`, the picture."""
    text = format_page([make_table()])
    assert "## adele-de, 3 slices per case" in text
    assert "k [1, 2]" in text
    assert "label_iou 0.600" in text
    assert "tau 0.5: 0.900 / 0.600 -> 0.200" in text
    lines = {line.split(" | ")[0].strip("| "): line for line in format_table(make_table()).splitlines()}
    assert "0.750 ± 0.354" in next(line for line in text.splitlines() if line.startswith("| adele |"))
    assert "`adele` (teacher): preset adele" in next(name for name in lines if name.startswith("* `adele`"))
    assert "![iou](plots/key/iou.png)" in text
