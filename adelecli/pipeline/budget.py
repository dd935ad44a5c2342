"""Memory that a run may take, held to before anything is done.

What must hold: a limit never changes a result (it decides what lies in files instead of memory); one that is too small is
refused with the number that would do, measured by running the network once on the largest slice and not guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.errors import CaseError, ConfigError
from adelecli.flow import map_ahead
from adelecli.intake.formats import read_geometry
from adelecli.pipeline.provenance import measure_peak_memory
from adelecli.runtime.preparation import in_plane_spacing, pad_image, plan_size
from adelecli.runtime.tiling import choose_tile
from adelecli.store.layout import BLOCK, CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adelecli.runtime.models import Model
    from adelecli.volumes.cases import Case

_SLICES = 6
"""Slices in flight at once: taken, prepared and waiting, with the network, and its answers."""

_BLOCKS = 4
"""Copies of a block while a case is written: the block, its chunks, the packed shard they join, what is read back."""

_VOXEL = 2
"""Bytes of a label, at most: uint16."""


def check_budget(model: Model, cases: Iterable[Case], limit: int) -> None:
    """Hold what a process needs (``measure_need``) to ``limit`` bytes. Raises ConfigError with the number that would do."""
    needed = measure_need(model, cases)
    if needed is not None and needed > limit:
        fact = f"`max_ram` gives each process {limit >> 20} MiB, and this run needs {(needed >> 20) + 1} MiB"
        remedy = f"give at least {(needed >> 20) + 1}M for each worker, or export the model with a smaller `max_size`"
        raise ConfigError(fact, remedy=remedy)


def measure_need(model: Model, cases: Iterable[Case], lanes: int = 1) -> int | None:
    """Bytes that a process needs: measured by running ``model`` on an empty slice of the largest size among ``cases``.

    ``lanes``: so many runs at once. Files that cannot be read do not count: each is its own case's failure. ``None``: no case, or
    the system does not tell.
    """
    grid, channels = model.contract.grid, len(model.contract.channels)
    size, largest, room = (0, 0), 0, 0
    for case in cases:
        try:
            geometry = read_geometry(case.images[0])
            spacing = in_plane_spacing(geometry.canonical_spacing, grid.axis)
            shape = [n for n, name in zip(geometry.canonical_shape, "zyx", strict=True) if name != grid.axis]
            planned = plan_size(shape[0], shape[1], spacing, grid)
        except CaseError:
            continue
        room = max(room, _measure_writing(geometry.shape))
        size, largest = max((size, planned), key=lambda one: one[0] * one[1]), max(largest, shape[0] * shape[1])
    if not largest:
        return None
    tile = choose_tile(size, model.contract) or size
    image = pad_image(np.zeros((1, channels, *tile), np.float32), grid.canvas)
    for _ in map_ahead(model.run, [image] * lanes, lanes):
        pass
    peak = measure_peak_memory()
    if peak is None:
        return None  # a system that does not tell how much memory is used (Windows)
    fixed = int(peak * 2**20) + room + _SLICES * 4 * (channels + 2) * max(largest, size[0] * size[1])
    return fixed * 4 // 3  # a quarter of the limit is for the small arrays of three cases, see `session.open_session`


def _measure_writing(shape: tuple[int, int, int]) -> int:
    """Bytes that publishing labels ``[Z, Y, X]`` takes: some blocks while they are written, then a row of chunks, read back."""
    depth, height, width = shape
    (chunk, _, _), (deep, high, wide) = CHUNK, BLOCK
    blocks = _BLOCKS * min(depth, deep) * min(height, high) * min(width, wide)
    return _VOXEL * (blocks + min(depth, chunk) * height * width)
