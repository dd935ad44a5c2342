"""Names, chunks and pyramid levels: where each thing of a store lies and how large it is.

    cleaned.zarr/                      plain group, {"adele": {"kind": "collection", ...}}
      case_0001/                       plain group, {"adele": {"status": "complete", ...}}; see ``caseids.place_case``
        labels/                        {"ome": {"labels": ["original", "corrected", "change"]}}
          corrected/                   an OME-Zarr 0.5 label image: 0/ 1/ ... and nifti/ (the raw header; of this image alone)
        maps/confidence                a plain array
    .cleaned.zarr.adele-tmp/           drafts; a sibling, since readers warn about strangers inside a store
    .cleaned.zarr.adele-lock           held by the run that writes
    cleaned.zarr.journal.jsonl         an index of published cases; a sibling, rebuildable

Everything here is arithmetic on names and numbers, without disk or zarr.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from adelecli.caseids import is_plain
from adelecli.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
DOCUMENT = "zarr.json"
CHUNK = (64, 128, 128)
# What is written at once; also the shard of arrays that pack badly, and of earlier stores' labels.
BLOCK = (128, 512, 512)
SHARD = (512, 512, 512)  # of labels: they pack a hundredfold, so a deep shard is a small file, and files are what costs
# The label image beside which the raw header also lies as an array, for readers that know no adele.
HEADER_PLACE = "corrected"
SMALLEST_LEVEL = 256  # a level whose longest side is no longer than this needs no smaller one

CHANGE_CLASSES: tuple[dict[str, object], ...] = (
    {"id": 0, "name": "same", "colour": (0, 0, 0)},
    {"id": 1, "name": "added", "colour": (0, 158, 115)},
    {"id": 2, "name": "removed", "colour": (213, 94, 0)},
    {"id": 3, "name": "relabelled", "colour": (86, 180, 233)},
)

Shape = tuple[int, ...]


def safe_name(name: str) -> str:
    """``name`` itself when it can name labels or a map, and so be a folder of a case; it is rejected rather than rewritten.

    Raises ``CaseError`` otherwise.

    >>> safe_name("case_0001")
    'case_0001'
    """
    if not is_plain(name):
        raise CaseError(
            f"{name!r} cannot be a name in a store",
            remedy="use up to 128 letters, digits, '.', '_', '-', a letter or digit first, and no reserved name",
        )
    return name


def draft_folder(store: Path) -> Path:
    """The folder beside ``store`` in which drafts are written; same file system, so that a rename is atomic."""
    return store.with_name(f".{store.name}.adele-tmp")


def lock_path(store: Path) -> Path:
    """The file beside ``store`` that a run locks while it writes."""
    return store.with_name(f".{store.name}.adele-lock")


def journal_path(store: Path) -> Path:
    """The journal beside ``store``."""
    return store.with_name(f"{store.name}.journal.jsonl")


def plan_chunks(shape: Shape, largest: Shape = SHARD) -> tuple[Shape, Shape]:
    """Chunk and shard shapes for a volume ``[Z, Y, X]``, capped to the volume; ``largest`` is the shard of a large one.

    >>> plan_chunks((100, 600, 50))
    ((64, 128, 50), (128, 512, 50))
    """
    # A shard holds whole chunks, so it is counted in chunks and may reach past the volume.
    chunk = tuple(min(c, n) for c, n in zip(CHUNK, shape, strict=True))
    most = (s // c for s, c in zip(largest, CHUNK, strict=True))
    shard = tuple(c * min(math.ceil(n / c), m) for c, n, m in zip(chunk, shape, most, strict=True))
    return chunk, shard


def plan_strides(shape: Shape, spacing: tuple[float, ...]) -> tuple[Shape, ...]:
    """Strides ``(z, y, x)`` of each pyramid level, level 0 (all ones) first.

    Each level halves the axes that are finer than twice the finest one, so that thick slices are kept until the voxels
    are about cubic. Striding invents no labels and, unlike the mode, does not make small lesions vanish.

    >>> plan_strides((40, 512, 512), (3.0, 1.0, 1.0))
    ((1, 1, 1), (1, 2, 2))
    """
    strides = [(1,) * len(shape)]
    while True:
        last = strides[-1]
        sizes = [math.ceil(n / f) for n, f in zip(shape, last, strict=True)]
        if max(sizes) <= SMALLEST_LEVEL:
            return tuple(strides)
        steps = [s * f for s, f in zip(spacing, last, strict=True)]
        finest = min(step for step, size in zip(steps, sizes, strict=True) if size > 1)
        halved = [size > 1 and step < 2 * finest for step, size in zip(steps, sizes, strict=True)]
        strides.append(tuple(f * 2 if half else f for f, half in zip(last, halved, strict=True)))


def shard_keys(shape: Shape, shard: Shape) -> set[str]:
    """The file of every shard of an array, relative to the array's folder (``c/0/0/0``); all of them must exist.

    >>> sorted(shard_keys((3, 5), (2, 5)))
    ['c/0/0', 'c/1/0']
    """
    keys = ["c"]
    for size, step in zip(shape, shard, strict=True):
        keys = [f"{key}/{index}" for key in keys for index in range(math.ceil(size / step))]
    return set(keys)
