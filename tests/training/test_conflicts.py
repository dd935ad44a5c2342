"""Settings that contradict each other or the number of processes are usage errors before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest_training import SMALL, Folders

from adelecli.errors import ConfigError
from adelecli.training.conflicts import refuse_conflicts
from adelecli.training.distribution import ALONE, World
from adelecli.training.resolving import resolve_settings
from adelecli.training.trainer import train

TWO = World(0, 2, torch.device("cpu"))


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("loss.kind=gce", "loss.kind = gce"),
        ("loss.kind=tloss", "loss.kind = tloss"),
        ("coteaching.enabled=true", "coteaching.enabled"),
        ("correction.mode=accumulate", "labels kept"),
        ("correction.interval=2", "labels kept"),
        ("network.norm=batch", "network.norm = batch"),
    ],
)
def test_what_needs_the_whole_batch_is_for_one_process(override: str, fact: str) -> None:
    """Rivals, kept labels and batch norm on CPUs: fine alone, refused in two processes."""
    settings = resolve_settings(overrides=(override,))
    refuse_conflicts(settings, ALONE)
    with pytest.raises(ConfigError, match=fact):
        refuse_conflicts(settings, TWO)


@pytest.mark.parametrize(
    "override", ["seed=0", "loss.temperature=3.0", "loss.reduction=sum", "onset.reference=current"]
)
def test_cross_entropy_may_have_several_processes(override: str) -> None:
    """The default and the variants of its loss and curve, whose sums are pooled."""
    refuse_conflicts(resolve_settings(overrides=(override,)), TWO)


def test_predictions_of_the_epoch_need_slices_that_stay_in_place(folders: Folders, tmp_path: Path) -> None:
    """They would correct labels elsewhere in the slice; refused before a run folder is made."""
    settings = (*SMALL, "correction.predictions=epoch", "augment.flip=0.5")
    with pytest.raises(ConfigError, match="moves them"):
        train(folders.masks, out=tmp_path / "runs", set=settings, epochs=1, device="cpu")
    assert not (tmp_path / "runs").exists()
    refuse_conflicts(resolve_settings("paper", overrides=("correction.predictions=epoch", "augment.noise=0.1")), ALONE)
