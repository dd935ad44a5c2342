"""The correction rule: which pixels take the model's prediction instead of their label.

Why one pure function: training applies it after every epoch and ``adele correct`` applies it to a hospital's masks, and
both must do the same thing (ADELE, arXiv 2110.03740, section 3). What must hold: a pixel changes only when every
condition of ``Rule`` holds; ignored pixels, protected classes and classes that have not triggered are never touched;
the input is never modified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from adelecli.labels.classes import IGNORE, LabelArray
from adelecli.labels.omission import keep_present
from adelecli.labels.overlap import count_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adelecli.labels.gate import Gate
    from adelecli.labels.omission import Restoration

Constraint: TypeAlias = Literal["slice", "volume", "none"]
_Labels = TypeVar("_Labels", bound=np.integer[Any])


@dataclass(frozen=True)
class Rule:
    """When a pixel changes. All conditions must hold.

    ``tau``: per class (length K), the confidence that a prediction of this class must exceed. ``triggered``: the
    foreground classes U whose memorisation has begun; label and prediction must both lie in {0} and U, and nothing
    happens while U is empty. ``constraint``: the prediction must be background or a class present in the original label
    of the same slice, of the volume, or anywhere (``none``). ``fill_ignore``: ignored pixels may take a prediction too.
    ``protect``: classes that neither lose nor gain a pixel. ``any_source``: the label may be of any class, triggered or
    not (the reference code's half for natural images); the prediction must still lie in {0} and U. ``gate``: cases that
    it does not admit stay as they are; ``correct_labels`` sees slices, so whoever holds the whole case asks it. ``outline``: the
    weight with which the prediction is averaged along the label's outline before (``labels.outline``); so does who has probabilities.
    ``restoration``: a class that a case lacks altogether appears as a whole or not at all, whatever the constraint
    (``labels.omission``); here too who holds the whole case decides.
    """

    tau: tuple[float, ...]
    triggered: frozenset[int]
    constraint: Constraint = "slice"
    fill_ignore: bool = False
    protect: frozenset[int] = frozenset()
    any_source: bool = False
    gate: Gate | None = None
    outline: float = 0.0
    restoration: Restoration | None = None

    @property
    def restorable(self) -> frozenset[int]:
        """The classes that may be restored in a case that lacks them, triggered or not."""
        return frozenset() if self.restoration is None else self.restoration.classes - self.protect

    @property
    def reach(self) -> Constraint:
        """``constraint`` for single pixels: what a volume lacks is left to the restoration, where there is one."""
        return "volume" if self.constraint == "none" and self.restoration is not None else self.constraint

    def measure_excess(
        self, counts: npt.NDArray[np.int64], present: frozenset[int], scale: float = 1.0
    ) -> float | None:
        """The excess of a case (``Gate.excess``) that holds the classes ``present``; ``None`` without a gate."""
        return None if self.gate is None else self.gate.excess(self._choose_counts(counts, present), scale)

    def admits(self, counts: npt.NDArray[np.int64], present: frozenset[int], scale: float = 1.0) -> bool:
        """Whether the gate, where there is one, lets a case be corrected that holds the classes ``present``."""
        return self.gate is None or self.gate.admits(self._choose_counts(counts, present), scale)

    def _choose_counts(self, counts: npt.NDArray[np.int64], present: frozenset[int]) -> npt.NDArray[np.int64]:
        """What a case lacks does not judge how well the rest of it is drawn, where it is restored as a whole."""
        return counts if self.restoration is None else keep_present(counts, present)

    @property
    def active(self) -> frozenset[int]:
        """The foreground classes that may change: triggered and not protected."""
        return self.triggered - self.protect - {0, IGNORE}


def correct_labels(
    labels: npt.NDArray[_Labels],
    prediction: LabelArray,
    confidence: npt.NDArray[np.floating[Any]],
    rule: Rule,
    *,
    present: frozenset[int] | None = None,
    original: LabelArray | None = None,
) -> npt.NDArray[_Labels]:
    """The labels with every pixel changed that ``rule`` lets change; a new array of the same dtype.

    All arrays are indices (``IGNORE`` = 255) of one shape, [Y, X] or [Z, Y, X] with slices along axis 0; ``confidence``
    is the probability of ``prediction``, 0..1 (NaN never changes anything). ``present``: the classes of the whole
    volume, for ``constraint="volume"`` when only a part of it is passed. ``original``: the labels that decide which
    pixels may change and which classes are present, when ``labels`` are already corrected ones (accumulating instead of
    restarting). Raises ValueError when shapes differ or a triggered class has no tau.
    """
    source = labels if original is None else original
    if not labels.shape == prediction.shape == confidence.shape == source.shape:
        raise ValueError(f"shapes differ: {labels.shape}, {prediction.shape}, {confidence.shape}, {source.shape}")
    corrected = labels.copy()
    if not rule.active:
        return corrected
    if max(rule.active) >= len(rule.tau):
        raise ValueError(f"class {max(rule.active)} has triggered but there are {len(rule.tau)} taus")
    if rule.reach == "volume" and present is None:
        present = find_present(source)
    planes = [()] if labels.ndim == 2 else [(z,) for z in range(labels.shape[0])]
    for plane in planes:
        targets = _choose_targets(source[plane], rule, present)
        if targets is not None:
            other = np.nonzero(prediction[plane] != labels[plane])  # few: nothing else needs to be looked up
            change = _find_changes(
                source[plane][other], prediction[plane][other], confidence[plane][other], rule, targets
            )
            picked = tuple(places[change] for places in other)
            corrected[plane][picked] = prediction[plane][picked]
    return corrected


def may_change(held: frozenset[int], rule: Rule, *, ignored: bool, present: frozenset[int] = frozenset()) -> bool:
    """Whether ``rule`` could change any pixel of a slice, whatever a network says of it: else nobody need ask.

    ``held``: the classes of the slice's original label (`find_present`); ``ignored``: whether it holds ``IGNORE`` too;
    ``present``: the classes of the volume. A pixel can change when its class may be left and another may be taken, and where a class
    of which the volume holds nothing may be restored.
    """
    if 0 in held and rule.restorable - present:
        return True
    if not rule.active or (rule.constraint == "slice" and not held & rule.active):
        return False
    sources = (held if rule.any_source else held & (rule.active | {0})) - rule.protect
    allowed = {"slice": held, "volume": present, "none": rule.active}[rule.reach]
    targets = (rule.active & allowed) | ({0} - rule.protect)
    return any(targets - {source} for source in sources) or bool(ignored and rule.fill_ignore and targets)


def find_present(labels: LabelArray) -> frozenset[int]:
    """The class indices that occur in an array, without ``IGNORE``; union the parts of a volume for ``present``."""
    seen = np.zeros(256, np.bool_)
    seen[labels] = True
    return frozenset(np.flatnonzero(seen[:IGNORE]).tolist())


def _choose_targets(source: LabelArray, rule: Rule, present: frozenset[int] | None) -> npt.NDArray[np.bool_] | None:
    """The classes that a slice may change to, as a table [256]; None when the slice is to be skipped."""
    classes = (rule.active | {0}) - rule.protect
    if rule.constraint == "slice":
        held = find_present(source)
        if not held & rule.active:
            return None
        classes &= held | {0}
    elif rule.reach == "volume" and present is not None:
        classes &= present | {0}
    return _make_table(classes)


def _find_changes(
    source: LabelArray,
    prediction: LabelArray,
    confidence: npt.NDArray[np.floating[Any]],
    rule: Rule,
    targets: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Which of some pixels [N] of one slice change."""
    sources = _make_table((frozenset(range(IGNORE)) if rule.any_source else rule.active | {0}) - rule.protect)
    sources[IGNORE] = rule.fill_ignore
    # in the dtype of the confidence, so that a float32 of exactly tau is not above tau by a rounding error
    tau = np.full(256, np.inf, confidence.dtype)
    tau[: len(rule.tau)] = rule.tau
    change = targets[prediction] & sources[source] & (confidence > tau[prediction])
    return np.asarray(change, np.bool_)


def _make_table(classes: Iterable[int]) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(classes)] = True
    return table


def guard_collapse(
    original: npt.NDArray[_Labels], corrected: npt.NDArray[_Labels], classes: Iterable[int], *, limit: float = 0.5
) -> tuple[npt.NDArray[_Labels], tuple[int, ...]]:
    """Cancel what a correction did to each class of which it would remove more than ``limit`` of the original pixels.

    For such a class all changes from it and to it are undone. Which classes collapse is decided on the proposed
    correction, so the order of ``classes`` does not matter; background and ``IGNORE`` are not foreground and never
    collapse. Returns the labels (new array) and the classes that were cancelled, ascending.
    """
    pairs = count_pairs(original, corrected)
    total = pairs.sum(1)
    removed = total - np.diagonal(pairs)
    cancelled = tuple(sorted(c for c in set(classes) - {0, IGNORE} if removed[c] > limit * total[c]))
    if not cancelled:
        return corrected.copy(), ()
    table = _make_table(cancelled)
    return np.where(table[original] | table[corrected], original, corrected), cancelled


@dataclass(frozen=True)
class Change:
    """Pixels of one class before and after a correction, and how many were added and removed; pools by ``+``."""

    before: int = 0
    after: int = 0
    added: int = 0
    removed: int = 0

    def __add__(self, other: Change) -> Change:
        return Change(
            self.before + other.before,
            self.after + other.after,
            self.added + other.added,
            self.removed + other.removed,
        )

    @property
    def share(self) -> float:
        """The larger of two shares: of the class's old pixels that it lost, and of its new pixels that it won; 0 when in neither.

        Not 1 - IoU, which counts both together: with noise that shrinks some slices and swells others, a right correction
        of .3 each way is .46 by IoU, and a limit of .5 quarantined 49 of 182 cases on which correction was working.
        """
        lost = self.removed / self.before if self.before else 0.0
        return max(lost, self.added / self.after if self.after else 0.0)


def add_changes(first: tuple[Change, ...], second: tuple[Change, ...]) -> tuple[Change, ...]:
    """The changes of two parts, slabs or cases, together; class by class."""
    return tuple(one + other for one, other in zip(first, second, strict=True))


def any_changed(changes: Iterable[Change]) -> bool:
    """Whether any pixel changed its class."""
    return any(change.added or change.removed for change in changes)


def count_changes(before: LabelArray, after: LabelArray, n_classes: int) -> tuple[Change, ...]:
    """What a correction did to each class 0..K-1; index arrays of one shape. The changes of slabs add up."""
    pairs = count_pairs(before, after)
    held, holds, kept = pairs.sum(1), pairs.sum(0), np.diagonal(pairs)
    return tuple(
        Change(int(held[c]), int(holds[c]), int(holds[c] - kept[c]), int(held[c] - kept[c])) for c in range(n_classes)
    )
