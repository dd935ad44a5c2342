"""Pictures of a few cells for a terminal: before, after and difference of the cases that a correction changed most.

A cell is half a character, so a picture is twenty cells wide and every cell stands for several voxels: its colour is mixed by the
share of them that a class or a change holds, and a change of one voxel is faint and not lost. What must hold: nothing here stops a
command that has done its work; a case that cannot be drawn is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import AdeleError
from adelecli.reporting.overlays import CHANGE_COLOURS, find_window, pick_colour, split_colour
from adelecli.reporting.pictures import Viewer, find_sources
from adelecli.reporting.planes import choose_slice, fit_size, frame_region
from adelecli.store.collection import open_store
from adelecli.volumes.cases import find_images, find_masks
from adelecli.volumes.listing import is_remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from adelecli.reporting.pictures import View
    from adelecli.volumes.cases import Case

    Cells = NDArray[np.uint8]

SIDE = 20
"""Cells of the longer side."""
MOST_VOXELS = 60_000_000
"""A larger volume is not read once more for a picture of a few cells."""
GREY = 96
"""What stands for the image where there is none, 0..255."""
STRENGTH = 0.8
"""How much of the image a cell that is wholly of one class or change covers."""


@dataclass(frozen=True)
class Thumbnail:
    """A case as cells ``[H, W, 3]``, H even: the labels before and after over the image, and what changed."""

    case: str
    before: Cells
    after: Cells
    difference: Cells


def draw_thumbnails(
    store: Path, cases: Mapping[str, Sequence[int]], *, images: Path | None, masks: Path | None
) -> tuple[Thumbnail, ...]:
    """Thumbnails of some cases of a store of ``correct``.

    ``cases``: the ids of each one's foreground classes, in the order of their colours. ``images``: their folder; ``None``: the one
    beside ``masks``, or beside the masks of the working folder. Without images the labels are on grey. What cannot be read, lies at
    a remote address or is too large is left out.
    """
    if is_remote(store):
        return ()
    sources = _find_local(images, masks)
    drawn = []
    for case, ids in cases.items():
        try:
            drawn.append(draw_thumbnail(Viewer(open_store(store), case, sources.get(case)), ids))
        except AdeleError:
            continue
    return tuple(one for one in drawn if one is not None)


def draw_thumbnail(viewer: Viewer, ids: Sequence[int], side: int = SIDE) -> Thumbnail | None:
    """The axial slice in which most voxels changed, cut out around the labels; ``None`` for a case that is too large.

    Raises ``CaseError`` for a damaged case.
    """
    store, geometry, plane = viewer.store, viewer.geometry, viewer.planes[0]
    if np.prod(geometry.shape) > MOST_VOXELS or not viewer.has_before:
        return None
    before, after = (geometry.to_canonical(store.read(viewer.case, name)) for name in ("original", viewer.after_name))
    view = viewer.view(plane, choose_slice(before != after, after > 0, plane.axis))
    assert view.before is not None  # the case has them
    pixel = viewer.pixel_size(plane)
    box = frame_region(np.isin(view.before, ids) | np.isin(view.after, ids), pixel)
    height, width = fit_size(view.after[box].shape, pixel, side)
    size = (height + height % 2, width)
    ground = _draw_ground(view, box, size)
    colours = {number: pick_colour(place) for place, number in enumerate(ids)}
    return Thumbnail(
        viewer.case,
        _paint(ground, view.before[box], colours),
        _paint(ground, view.after[box], colours),
        _paint(ground, view.changes[box], CHANGE_COLOURS),
    )


def _find_local(images: Path | None, masks: Path | None) -> dict[str, Case]:
    try:
        folder = images if images is not None else find_images(find_masks(Path()) if masks is None else masks)
        return {} if is_remote(folder) else find_sources(folder)
    except AdeleError:
        return {}


def _draw_ground(view: View, box: tuple[slice, slice], size: tuple[int, int]) -> NDArray[np.float32]:
    """The image as grey cells ``[H, W, 3]``."""
    if view.image is None:
        return np.full((*size, 3), GREY, np.float32)
    part = np.nan_to_num(view.image[box].astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = find_window(part)
    grey = np.clip((average_cells(part, size) - low) / max(high - low, 1e-6) * 255, 0, 255)
    return np.repeat(grey[..., None], 3, axis=2)


def _paint(ground: NDArray[np.float32], labels: NDArray[Any], colours: dict[int, str]) -> Cells:
    cells = ground.copy()
    for number, colour in colours.items():
        share = STRENGTH * average_cells((labels == number).astype(np.float32), (ground.shape[0], ground.shape[1]))
        cells += share[..., None] * (np.array(split_colour(colour), np.float32) - cells)
    return np.rint(cells).astype(np.uint8)


def average_cells(picture: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mean of ``picture [H, W]`` in each of the cells ``size``, voxels counting by the part of them that lies in the cell.

    >>> average_cells(np.array([[0, 1, 1, 1]], np.float32), (1, 2))
    array([[0.5, 1. ]], dtype=float32)
    """
    rows, columns = (_share_out(have, want) for have, want in zip(picture.shape, size, strict=True))
    return np.asarray(rows @ picture @ columns.T, np.float32)


def _share_out(have: int, want: int) -> NDArray[np.float32]:
    """Of which parts of ``have`` voxels each of ``want`` cells is made, ``[want, have]``; rows sum to 1."""
    edges = np.arange(want + 1) * have / want
    low, high = edges[:-1, None], edges[1:, None]
    voxels = np.arange(have)
    held = np.clip(np.minimum(high, voxels + 1) - np.maximum(low, voxels), 0, None)
    return np.asarray(held * want / have, np.float32)
