"""What several scales are worth: the exported ensemble against a single scale, measured where the run validates.

Three scales cost 3.7 times the arithmetic of one and do not always help, so the difference is recorded in every file instead of
being assumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adelecli.training.dataset import ROW, Slices
from adelecli.training.distribution import ALONE
from adelecli.training.measures import score_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adelecli.training.network import MultiScale
    from adelecli.training.samples import Validation
    from adelecli.training.settings import Scale

SINGLE: tuple[Scale, ...] = ((1, 1),)


def compare_scales(
    load: Callable[[tuple[Scale, ...]], MultiScale], choices: Sequence[tuple[Scale, ...]], held_out: Validation | None
) -> dict[str, Any]:
    """Dice of the ensembles that ``load`` makes of each of ``choices`` and of `SINGLE`, on the slices ``held_out``.

    Empty where the run kept no validation slices. The labels are the true ones where the run knew them (``clean``), else those
    given to it.
    """
    if held_out is None:
        return {}
    measured = []
    for scales in dict.fromkeys((*choices, SINGLE)):
        score = score_model(load(scales), held_out)
        measured.append(
            {"scales": [f"{n}/{d}" for n, d in scales], "mean_dice": score["mean_dice"], "dice": score["dice"]}
        )
    return {"slices": len(held_out.image), "labels": held_out.source, "ensembles": measured}


def score_model(model: MultiScale, held_out: Validation) -> dict[str, Any]:
    """Pooled Dice and IoU of ``model`` on the slices ``held_out``, as an epoch's validation has them."""
    count, classes = len(held_out.image), model(torch.from_numpy(held_out.image[:1]))[0].shape[1]
    slices = Slices(held_out.image, held_out.labels, None, np.zeros(count, ROW), ("",), frozenset())
    return score_rows(model, slices, np.arange(count), classes, ALONE)
