"""Before, after and difference of a case in three planes, small enough that two hundred cases fit into one file.

The slice of each plane is the one in which most voxels changed, cut out around the structures with some surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from adelecli.reporting.overlays import encode_changes, encode_image, encode_labels, to_uri
from adelecli.reporting.planes import choose_slice, fit_size, frame_region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from adelecli.reporting.pictures import View, Viewer
    from adelecli.reporting.planes import Plane

SIDE = 208
"""Longer side of a preview in pixels."""


@dataclass(frozen=True)
class Layer:
    """One picture over the image: what it shows, and its data URI."""

    name: str
    uri: str


@dataclass(frozen=True)
class Preview:
    """One plane of a case: which slice of how many, the pictures' size, the image (``None``: grey), and what lies over it."""

    plane: Plane
    index: int
    count: int
    width: int
    height: int
    image: str | None
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Characters that it takes in the page."""
        return len(self.image or "") + sum(len(layer.uri) for layer in self.layers)


def draw_previews(viewer: Viewer, ids: Sequence[int], side: int = SIDE, planes: int = 3) -> tuple[Preview, ...]:
    """The previews of a case in its first ``planes``; ``ids``: the label values of its foreground classes, in the order of colours.

    Raises ``CaseError`` for a damaged case.
    """
    store, geometry = viewer.store, viewer.geometry
    after = geometry.to_canonical(store.read(viewer.case, viewer.after_name))
    changed = np.zeros(after.shape, bool)
    if viewer.has_before:
        changed = geometry.to_canonical(store.read(viewer.case, "original")) != after
    draw = _draw_plane if changed.any() else _draw_unchanged
    return tuple(
        draw(viewer, plane, choose_slice(changed, after > 0, plane.axis), ids, side) for plane in viewer.planes[:planes]
    )


def _draw_plane(viewer: Viewer, plane: Plane, index: int, ids: Sequence[int], side: int) -> Preview:
    view = viewer.view(plane, index)
    pixel = viewer.pixel_size(plane)
    box = frame_region(_find_foreground(view, ids), pixel)
    size = fit_size(view.after[box].shape, pixel, side)
    layers = [Layer("after", to_uri(encode_labels(view.after[box], ids, size)))]
    if view.before is not None:
        layers.insert(0, Layer("before", to_uri(encode_labels(view.before[box], ids, size))))
        layers.append(Layer("difference", to_uri(encode_changes(view.changes[box], size))))
    image = None if view.image is None else to_uri(encode_image(view.image[box], size))
    return Preview(plane, index, viewer.count_slices(plane), size[1], size[0], image, tuple(layers))


def _draw_unchanged(viewer: Viewer, plane: Plane, index: int, ids: Sequence[int], side: int) -> Preview:
    """One picture, where before and after are the same and a difference is empty."""
    drawn = _draw_plane(viewer, plane, index, ids, side)
    return replace(drawn, layers=(replace(drawn.layers[0], name="labels"),))


def _find_foreground(view: View, ids: Sequence[int]) -> NDArray[np.bool_]:
    held = np.isin(view.after, ids)
    return held if view.before is None else held | np.isin(view.before, ids)
