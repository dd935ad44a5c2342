"""DICOM SEG out of a store: which series each case refers to, and what the segments are called.

The store knows neither patient nor study: these stay where they belong, in the images, and are taken from the series that the
user names. A case is written only on the series of its own id.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adelecli.errors import CaseError
from adelecli.volumes.archiving import Segmentation, write_segments
from adelecli.volumes.cases import list_images
from adelecli.volumes.reading import find_kind
from adelecli.volumes.terminology import read_terminology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from adelecli.pipeline.options import StrPath
    from adelecli.store.collection import Store
    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.terminology import Term


@dataclass(frozen=True)
class Archive:
    """The series by case id, and how segments are described."""

    store: Store
    place: Path
    series: Mapping[str, Path]
    terms: Mapping[int | str, Term]
    which: str
    binary: bool

    def write(self, path: Path, labels: NDArray[Any], geometry: Geometry, case: str) -> None:
        """Write the labels ``[Z, Y, X]`` of ``case`` as DICOM SEG; ``CaseError`` without a series of its own it lies on."""
        series = self.series.get(case)
        if series is None or find_kind(series) != "dicom":
            raise CaseError("has no DICOM series", path=case, remedy=f"add it to {self.place} under the id of the case")
        model = self.store.run().get("model")
        entries = self.store.class_entries(case, self.which)
        described = Segmentation(
            names={int(entry["id"]): str(entry["name"]) for entry in entries},
            terms=self.terms,
            original=self.which == "original",
            model_sha256=None if model is None else str(model),
            binary=self.binary,
        )
        write_segments(path, labels, geometry, series, described)


def open_archive(
    store: Store, which: str, *, images: StrPath | None, binary: bool, terminology: StrPath | None
) -> Archive | None:
    """The archive for the labels ``which`` of ``store``; ``None`` without ``images``. Raises ``InputError`` and ``ConfigError``."""
    if images is None:
        return None
    terms = {} if terminology is None else read_terminology(Path(terminology))
    place = Path(images)
    series = {case.id: case.images[0] for case in list_images(place).cases}
    return Archive(store, place, series, terms, which, binary)
