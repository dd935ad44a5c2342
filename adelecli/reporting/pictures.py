"""One case of a store as somebody looks at it: any slice in any plane, image, labels before and after, and what changed.

The report and the review page both draw from here, so they show the same thing. What must hold: only the slice that is asked for is
read from the store; an image that is missing or does not fit leaves the labels on grey, and never stops a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import CaseError
from adelecli.reporting.overlays import find_window
from adelecli.reporting.planes import Plane, face_viewer, find_pixel_size, list_planes
from adelecli.store.changes import map_changes
from adelecli.volumes.geometry import Geometry

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.store.collection import Store
    from adelecli.volumes.cases import Case


@dataclass(frozen=True)
class View:
    """One slice as it is looked at, all ``[H, W]``: labels before and after (ids), the change map, the image if there is one."""

    before: NDArray[Any] | None
    after: NDArray[Any]
    changes: NDArray[np.uint8]
    image: NDArray[Any] | None


class Viewer:
    """Slices of one case of ``store``; ``source`` names its image files. Raises ``CaseError`` for a damaged case."""

    def __init__(self, store: Store, case: str, source: Case | None = None) -> None:
        self.store, self.case, self._source = store, case, source
        frame = store.frame(case)
        self.names = store.label_names(case)
        shape = store.shape(case, self.names[0])
        kind = "raster" if frame.kind == "raster" else "nifti"
        self.geometry = Geometry((shape[0], shape[1], shape[2]), np.array(frame.affine_ras), kind)  # type: ignore[arg-type]
        self.planes = list_planes(self.geometry.canonical_shape, physical=frame.is_physical)

    @property
    def has_before(self) -> bool:
        """Whether the case had labels before (a prediction had none)."""
        return "original" in self.names

    @property
    def after_name(self) -> str:
        """The name of the labels after the correction, or of a prediction."""
        return "corrected" if self.has_before else self.names[0]

    def count_slices(self, plane: Plane) -> int:
        """How many slices there are in ``plane``."""
        return self.geometry.canonical_shape[plane.axis]

    def pixel_size(self, plane: Plane) -> tuple[float, float]:
        """Height and width of a pixel of ``plane`` in millimetres."""
        return find_pixel_size(plane, self.geometry.canonical_spacing)

    def read_slice(self, name: str, plane: Plane, index: int) -> NDArray[Any]:
        """Labels ``name`` or a map in slice ``index`` of ``plane``, ``[H, W]``; nothing else is read."""
        part = self.store.read(self.case, name, self.geometry.locate_slice(plane.axis, index))
        return face_viewer(plane, self.geometry.to_canonical(part))

    def view(self, plane: Plane, index: int) -> View:
        """Everything about one slice."""
        after = self.read_slice(self.after_name, plane, index)
        before = self.read_slice("original", plane, index) if self.has_before else None
        changes = np.zeros(after.shape, np.uint8) if before is None else map_changes(before, after)
        return View(before, after, changes, self.view_image(plane, index))

    def view_image(self, plane: Plane, index: int) -> NDArray[Any] | None:
        """The first channel of the image, ``[H, W]``; ``None`` where there is none that fits."""
        if self.image is None:
            return None
        part = self.geometry.to_canonical(self.image[self.geometry.locate_slice(plane.axis, index)])
        return face_viewer(plane, part)

    @cached_property
    def window(self) -> tuple[float, float] | None:
        """The grey values of the whole image that become black and white, so that it does not flicker from slice to slice."""
        if self.image is None:
            return None
        step = max(1, round((self.image.size / 500_000) ** (1 / 3)))
        return find_window(self.image[::step, ::step, ::step])

    @cached_property
    def image(self) -> NDArray[Any] | None:
        """The first channel of the image on the source grid ``[Z, Y, X]``; ``None`` without one that fits the labels."""
        from adelecli.volumes.reading import read_image

        if self._source is None:
            return None
        try:
            volume = read_image(self._source)
        except CaseError:
            return None
        return None if volume.geometry.describe_difference(self.geometry) else volume.array[0]


def find_sources(images: Path | None) -> dict[str, Case]:
    """The image files by case id; empty without a folder. Raises ``InputError`` when the folder holds none."""
    from adelecli.volumes.cases import list_images

    return {} if images is None else {case.id: case for case in list_images(images).cases}
