"""Noise family ``annotator``: one person of several who always draws too large (or too small).

Why: in real data errors belong to people; their bias is the same in every slice they drew, and averaging over cases
does not remove it. What must hold: a case is either wholly this person's work or untouched; the direction never varies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.labels.noise.adele_de import Mode, damage_outlines

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from adelecli.labels.classes import IndexArray


def imitate_annotator(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    mode: Mode = "dilate",
    k: Sequence[int] = (2, 3, 4),
    share: float = 0.5,
    coherent: bool = False,
) -> IndexArray:
    """With probability ``share`` the whole case [Z, Y, X] drawn by the biased annotator, else a copy.

    ``mode`` is the bias, ``k`` its strengths, drawn per slice as in ``adele-de``, or once for a case that is
    ``coherent``. ConfigError for impossible values.
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"share is {share:g}", remedy="choose a value in 0..1")
    if mode not in {"erode", "dilate"}:
        raise ConfigError(f"mode is {mode!r}", remedy="choose erode or dilate")
    biased = rng.random() < share
    return damage_outlines(labels, rng, classes, k=k, mode=mode, share=float(biased), coherent=coherent)
