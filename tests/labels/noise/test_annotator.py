"""``annotator``: a case is wholly the biased person's work or untouched."""

from __future__ import annotations

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.labels.noise.annotator import imitate_annotator

LABELS = np.zeros((6, 40, 40), np.uint8)
LABELS[1:, 10:30, 12:28] = 1


@pytest.mark.parametrize(("mode", "sign"), [("dilate", 1), ("erode", -1)])
def test_half_of_the_cases_are_biased_in_every_slice(mode: str, sign: int) -> None:
    """About half of 60 cases; in these every labelled slice errs in the same direction."""
    biased = 0
    for seed in range(60):
        noisy = imitate_annotator(LABELS, np.random.default_rng(seed), (1,), mode=mode)  # type: ignore[arg-type]
        growth = (noisy[1:] == 1).sum((1, 2)).astype(int) - 320
        assert (growth == 0).all() or (np.sign(growth) == sign).all()
        biased += bool(growth.any())
    assert 20 <= biased <= 40


def test_a_coherent_annotator_is_wrong_by_the_same_amount_in_every_slice() -> None:
    """One strength for the case instead of one for each slice."""
    differs = {True: 0, False: 0}
    for coherent in differs:
        for seed in range(10):
            noisy = imitate_annotator(
                LABELS, np.random.default_rng(seed), (1,), k=range(1, 6), share=1.0, coherent=coherent
            )[1:]
            differs[coherent] += bool((noisy != noisy[:1]).any())
    assert differs[True] == 0
    assert differs[False] > 5


def test_impossible_options_are_refused() -> None:
    """Without a direction there is no bias."""
    with pytest.raises(ConfigError, match="mode is 'either'"):
        imitate_annotator(LABELS, np.random.default_rng(0), (1,), mode="either")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="share is -1"):
        imitate_annotator(LABELS, np.random.default_rng(0), (1,), share=-1)
