"""Which training cases a class was left out of, seen by networks that have not learnt from them (``labels.omission``).

Why in the training: what was left out is taught as background, in every epoch anew, and a network that has learnt it does not see it any
more. So where it lies is found before, and the background around it is not learnt. What must hold: nothing depends on clean
labels; the box is a matter of the case's slices alone, so that a resumed run finds it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from adelecli.labels.classes import IGNORE
from adelecli.labels.excess import Omission
from adelecli.labels.omission import Sight, find_box, find_omissions, sum_masses, sum_sizes
from adelecli.progress import Progress
from adelecli.training.relabelling import find_classes, predict_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from adelecli.labels.excess import Noise
    from adelecli.training.dataset import Slices
    from adelecli.training.loop import Experiment
    from adelecli.training.network import MultiScale


def find_held(slices: Slices, case: int, classes: int) -> NDArray[np.bool_]:
    """Which of the classes 1..K-1 the case has in any slice ``[K - 1]``."""
    return np.isin(np.arange(1, classes), sorted(find_classes(slices, case)))


@dataclass
class Lookout:
    """What is drawn and seen in the cases, one after another."""

    classes: int
    _drawn: list[NDArray[np.float64]] = field(default_factory=list)
    _seen: list[NDArray[np.float64]] = field(default_factory=list)
    _inside: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
        """A case's slices ``[S, H, W]`` and what a network that has not seen it says of them ``[S, K, H, W]``."""
        seen, inside = sum_masses(probabilities, labels)
        self._drawn.append(sum_sizes(np.where(labels == IGNORE, 0, labels), self.classes))
        self._seen.append(seen)
        self._inside.append(inside)

    def sum_up(self, held: NDArray[np.bool_]) -> Sight:
        """All of it; ``held [cases, K - 1]``."""
        return Sight(np.array(self._drawn), np.array(self._seen), np.array(self._inside), held)


def add_omissions(
    noise: Noise, experiment: Experiment, cases: NDArray[np.intp], sight: Sight, choose: Callable[[int], MultiScale]
) -> Noise:
    """``noise`` with the classes that look left out of the ``cases``, and when a class is to be restored.

    ``sight.held`` is true of all classes of a case that is trusted. ``choose`` gives the network that has not seen a case.
    """
    omitted, restoration = find_omissions(sight)
    slices = experiment.slices
    found: list[Omission] = []
    for case, lacks in zip(cases.tolist(), omitted, strict=True):
        indices = (np.flatnonzero(lacks) + 1).tolist()
        if indices:
            seen = _look_again(experiment, choose(case), case, indices)
            found += [Omission(slices.case_ids[case], c, find_box(seen[:, n])) for n, c in enumerate(indices)]
    return replace(noise, restoration=restoration, omitted=tuple(found))


def _look_again(experiment: Experiment, model: MultiScale, case: int, indices: list[int]) -> NDArray[np.float32]:
    """What ``model`` sees of the classes ``indices`` in all slices of the case ``[S, len(indices), H, W]``."""
    rows = experiment.slices.rows_of(case)
    parts = predict_probabilities(model, experiment.slices, rows, experiment.device)
    return np.concatenate([part[:, indices] for _, part in parts])


def mark_unknown(slices: Slices, omitted: Iterable[Omission]) -> dict[int, list[tuple[slice, slice]]]:
    """The boxes of rows and columns in which the background of a row of the cache is not to be learnt, by that row."""
    numbers = {name: number for number, name in enumerate(slices.case_ids)}
    boxes: dict[int, list[tuple[slice, slice]]] = {}
    for one in omitted:
        first, last, top, bottom, left, right = one.box
        for row in slices.rows_of(numbers[one.case])[first:last]:
            boxes.setdefault(int(row), []).append((slice(top, bottom), slice(left, right)))
    return boxes


def tell_omissions(experiment: Experiment, noise: Noise) -> None:
    """A notice for each class that looks left out of some cases."""
    for index, name in enumerate(experiment.names[1:], 1):
        count = sum(one.index == index for one in noise.omitted)
        if count:
            told = f"class {name}: looks left out of {count} case{'s' if count > 1 else ''}; the background around it is not learnt there"
            experiment.progress(Progress("noise", notice=told))
