"""Training slices on disk, read as they are needed.

Cases are prepared once into a few flat files (``cache/`` of the run): images float32 ``[N, C, H, W]`` as the network sees them, the
original labels (and, where known, the clean ones) as class indices uint8 ``[N, H, W]``, and a table that says which case and slice a
row is. Rows are memory-mapped, so memory does not grow with the number of cases. All slices are padded right and bottom to
the largest one: images by repetition, labels with ``IGNORE``, which is what the network's own padding amounts to.

What must hold: nothing here ever writes to the original labels after preparation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ROW = np.dtype([("case", "<i4"), ("slice", "<i4"), ("height", "<i4"), ("width", "<i4"), ("foreground", "?")])


@dataclass(frozen=True)
class Slices:
    """All slices of a run: ``images[i]``, ``labels[i]`` (original, never modified), ``clean[i]`` or ``None``, and their ``table``.

    ``val_cases`` are held out; the labels of ``trusted`` cases are right, and nothing corrects them.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    clean: NDArray[np.uint8] | None
    table: NDArray[np.void]
    case_ids: tuple[str, ...]
    val_cases: frozenset[str]
    trusted: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_val(self) -> NDArray[np.bool_]:
        """Which rows belong to validation cases."""
        return self._mark(self.val_cases)

    @property
    def is_trusted(self) -> NDArray[np.bool_]:
        """Which rows belong to trusted cases."""
        return self._mark(self.trusted)

    def _mark(self, cases: frozenset[str]) -> NDArray[np.bool_]:
        marked = np.array([case in cases for case in self.case_ids], dtype=bool)
        rows: NDArray[np.bool_] = marked[self.table["case"]]
        return rows

    def rows_of(self, case: int) -> NDArray[np.intp]:
        """The rows of a case, in slice order."""
        return np.flatnonzero(self.table["case"] == case)


def create_cache(folder: Path, rows: int, shape: tuple[int, int, int], *, clean: bool) -> dict[str, NDArray[Any]]:
    """New, empty cache files for ``rows`` slices of ``shape`` ``(C, H, W)``."""
    folder.mkdir(parents=True, exist_ok=True)
    channels, height, width = shape
    arrays: dict[str, NDArray[Any]] = {
        "images": open_memmap(folder / "images.npy", "w+", np.float32, (rows, channels, height, width)),
        "labels": open_memmap(folder / "labels.npy", "w+", np.uint8, (rows, height, width)),
        "table": open_memmap(folder / "table.npy", "w+", ROW, (rows,)),
    }
    if clean:
        arrays["clean"] = open_memmap(folder / "clean.npy", "w+", np.uint8, (rows, height, width))
    return arrays


def open_slices(folder: Path, case_ids: Sequence[str], val_cases: Sequence[str], trusted: Sequence[str] = ()) -> Slices:
    """The cache in ``folder``, memory-mapped read-only."""

    def load(name: str) -> NDArray[Any]:
        mapped: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return mapped

    clean = load("clean") if (folder / "clean.npy").exists() else None
    images, labels, table = load("images"), load("labels"), load("table")
    return Slices(images, labels, clean, table, tuple(case_ids), frozenset(val_cases), frozenset(trusted))


GOLDEN = 0.6180339887498949
"""Multiples of it, without their whole part, are spread evenly over 0..1 whatever their number."""


def choose_spread(filled: NDArray[np.bool_], count: int, place: float = 0.5) -> NDArray[np.intp]:
    """Which slices of a case are learnt from: ``count`` of those that are ``filled [S]`` (labelled foreground), evenly spread.

    All ``filled`` slices where there are fewer; every slice for ``count`` 0. ``place``, 0..1: where in each of ``count`` equal parts
    the slice lies.
    """
    if not count:
        return np.arange(len(filled))
    held = np.flatnonzero(filled)
    if len(held) <= count:
        return held
    return held[((np.arange(count) + place) * len(held) / count).astype(np.intp)]


def find_place(number: int) -> float:
    """The ``place`` of ``choose_spread`` for the training case ``number`` (from 0, in the order of the run's plan)."""
    return number * GOLDEN % 1


def find_training_rows(slices: Slices, per_case: int) -> NDArray[np.intp]:
    """The rows of the training cases, ascending; ``per_case`` of each as ``choose_spread`` says (0: all).

    The place differs from case to case: one slice of each, always the middle one, would teach nothing about the others.
    """
    rows = np.flatnonzero(~slices.is_val)
    if not per_case:
        return rows
    filled, case_of = slices.table["foreground"], slices.table["case"]
    chosen = [
        part[choose_spread(filled[part], per_case, find_place(number))]
        for number, case in enumerate(np.unique(case_of[rows]))
        for part in [slices.rows_of(int(case))]
    ]
    return np.concatenate(chosen)


def plan_epoch(
    slices: Slices,
    epoch: int,
    *,
    seed: int,
    limit: int,
    empty_share: float,
    per_case: int = 0,
    trusted_weight: float = 1.0,
) -> NDArray[np.intp]:
    """The training rows of an epoch in the order in which they are shown; a function of ``(seed, epoch)`` alone.

    At most ``limit`` rows (0: all), of which at most ``empty_share`` hold no foreground, drawn without replacement from the
    ``per_case`` rows of each case (0: all), among which those of trusted cases stand ``trusted_weight`` times.
    """
    rng = np.random.default_rng((seed, epoch, 1))
    rows = _repeat_trusted(slices, find_training_rows(slices, per_case), trusted_weight, (seed, epoch))
    filled = slices.table["foreground"][rows]
    full, empty = rng.permutation(rows[filled]), rng.permutation(rows[~filled])
    wanted = limit or len(rows)
    if len(full) and empty_share < 1:
        empty = empty[: round(min(wanted, len(full) / (1 - empty_share)) * empty_share)]
    full = full[: max(wanted - len(empty), 0)]
    return rng.permutation(np.concatenate([full, empty[: wanted - len(full)]]))


def _repeat_trusted(slices: Slices, rows: NDArray[np.intp], weight: float, key: tuple[int, int]) -> NDArray[np.intp]:
    """``rows`` with each row of a trusted case ``weight`` times: the whole part for certain, what is left of it by chance."""
    if not slices.trusted:
        return rows
    whole = int(weight)
    chance = np.random.default_rng((*key, 6)).random(len(rows)) < weight - whole
    return np.repeat(rows, np.where(slices.is_trusted[rows], whole + chance, 1))


def spread_rows(slices: Slices, limit: int) -> NDArray[np.intp]:
    """Validation rows, at most ``limit`` (0: all), evenly spread over cases and slices."""
    rows = np.flatnonzero(slices.is_val)
    if not limit or len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.intp)]
