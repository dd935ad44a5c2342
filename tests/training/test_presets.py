"""Each preset says what the table of algorithm section 6 says."""

from __future__ import annotations

import pytest

from adelecli.training.presets import PRESETS
from adelecli.training.resolving import resolve_settings
from adelecli.training.settings import Settings

TABLE = {
    "paper": {
        "loss.scales": ((7, 10), (1, 1), (3, 2)), "ensemble_scales": ((7, 10), (1, 1), (3, 2)),
        "loss.temperature": 1, "loss.reduction": "mean", "loss.weight": 1, "loss.gate": 0.8,
        "correction.tau": 0.8, "correction.temperature": 1, "correction.predictions": "eval",
        "correction.mode": "restart", "correction.interval": 1, "correction.any_source": False,
        "correction.fill_ignore": False, "onset.reference": "original", "onset.rule": "fit", "onset.r": 0.9,
        "onset.forced_epoch": 0,
    },
    "segthor-code": {
        "loss.scales": ((7, 10), (1, 1), (3, 2)), "ensemble_scales": ((1, 1),),
        "loss.temperature": 3, "loss.reduction": "mean", "loss.weight": 1, "loss.gate": 0.8,
        "correction.tau": 0.7, "correction.temperature": 1, "correction.predictions": "epoch",
        "correction.mode": "accumulate", "correction.interval": 10, "correction.when": "onset",
        "correction.any_source": False, "correction.fill_ignore": False, "onset.reference": "current",
        "onset.rule": "trimmed", "onset.r": 0.9, "onset.forced_epoch": 0,
        "optimiser.name": "sgd", "optimiser.lr": 0.01, "optimiser.momentum": 0.99, "optimiser.batch_size": 5,
        "optimiser.weight_decay": 0, "epochs": 100, "data.max_size": 256, "network.norm": "batch",
        "network.width": 64, "network.depth": 4, "augment.brightness": 0,
    },
    "voc-code": {
        "loss.scales": ((7, 10), (1, 1), (3, 2)), "ensemble_scales": ((3, 4), (1, 1), (3, 2)),
        "loss.temperature": 3, "loss.reduction": "sum", "loss.weight": 1, "loss.gate": 0.8,
        "correction.tau": 0.8, "correction.temperature": 3, "correction.predictions": "eval",
        "correction.mode": "restart", "correction.interval": 1, "correction.any_source": True,
        "correction.fill_ignore": True, "onset.reference": "original", "onset.forced_epoch": 16,
        "optimiser.name": "sgd", "optimiser.lr": 0.001, "optimiser.momentum": 0.9, "optimiser.batch_size": 10,
        "optimiser.weight_decay": 5e-4, "data.max_size": 448,
    },
}  # fmt: skip


def value_of(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("preset", TABLE)
def test_a_published_preset_has_the_values_of_the_table(preset: str) -> None:
    """Every cell, and what none of the three has: teacher, guard, prior bias, Dice start."""
    settings = resolve_settings(preset)
    assert {path: value_of(settings, path) for path in TABLE[preset]} == TABLE[preset]
    assert not settings.teacher.enabled
    assert settings.correction.guard == 1
    assert not settings.network.prior_bias
    assert settings.loss.dice_steps == 0


def test_the_default_is_adele_with_nothing_of_the_code() -> None:
    """The settings that exist for the two code presets are off elsewhere, and no labels are kept."""
    settings = resolve_settings()
    assert (settings.loss.temperature, settings.loss.reduction) == (1, "mean")
    assert (settings.onset.rule, settings.onset.reference, settings.onset.forced_epoch) == ("fit", "original", 0)
    assert not settings.correction.outlives_epoch
    assert settings.ensemble_scales == settings.loss.scales


def test_only_the_organ_code_keeps_labels() -> None:
    """Labels outlive the epoch where they accumulate, come from the epoch's own predictions, or are renewed seldom."""
    kept = {name for name in PRESETS if resolve_settings(name).correction.outlives_epoch}
    assert kept == {"segthor-code"}
    assert resolve_settings(overrides=("correction.interval=2",)).correction.outlives_epoch
    assert not resolve_settings("segthor-code", baseline=True).correction.outlives_epoch


def test_the_baseline_of_a_code_preset_has_one_scale_everywhere() -> None:
    """`--baseline` takes the correction's own scales away too."""
    assert resolve_settings("voc-code", baseline=True).ensemble_scales == ((1, 1),)
