"""Which class triggers by which rule, and which are corrected after which epoch."""

from __future__ import annotations

import pytest

from adelecli.dynamics import Onset
from adelecli.training.onsets import choose_due, force_onset
from adelecli.training.settings import CorrectionSettings

NEVER = Onset(triggered=False, epoch=None, fit=None, index=None, reason="not learnt")
AT_20 = Onset(triggered=True, epoch=20, fit=None, index=None, reason="memorisation began by epoch 20")


def test_a_forced_epoch_triggers_every_class_that_has_not() -> None:
    """From that epoch on and not before; an earlier onset stands, a later one does not move the forced one."""
    assert force_onset(NEVER, 16, 15) == NEVER
    assert force_onset(NEVER, 16, 16).epoch == 16
    assert force_onset(NEVER, 16, 30).reason == "forced at epoch 16"
    assert force_onset(AT_20, 25, 30) == AT_20
    assert force_onset(AT_20, 16, 30).epoch == 16
    assert force_onset(NEVER, 0, 30) == NEVER


@pytest.mark.parametrize(
    ("when", "interval", "expected"),
    [
        ("interval", 1, [set(), set(), {1}, {1}, {1, 2}, {1, 2}]),
        ("interval", 2, [set(), set(), set(), {1}, set(), {1, 2}]),
        ("onset", 4, [set(), set(), {1}, {1}, {2}, set()]),
        ("onset", 1, [set(), set(), {1}, {1}, {1, 2}, {1, 2}]),
    ],
)
def test_classes_are_due_at_their_onset_and_at_the_interval(when: str, interval: int, expected: list[set[int]]) -> None:
    """Class 1 triggers after epoch 3, class 2 after epoch 5."""
    settings = CorrectionSettings(when=when, interval=interval)  # type: ignore[arg-type]
    for epoch, classes in enumerate(expected, 1):
        onsets = [None, 3 if epoch >= 3 else None, 5 if epoch >= 5 else None]
        assert choose_due(onsets, epoch, settings) == classes, epoch
