"""``convert``: label images out of a store as files, in the source's own geometry, for programs that do not read OME-Zarr."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import msgspec
import numpy as np

from adelecli.errors import CaseError, ConfigError, OutputError
from adelecli.intake.frames import restore_geometry
from adelecli.keywords import read_keywords
from adelecli.labels.entries import rebuild_table
from adelecli.pipeline.archives import Archive, open_archive
from adelecli.pipeline.filing import open_folder
from adelecli.pipeline.options import StrPath, match_ids
from adelecli.pipeline.records import choose_exit_code
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.replacement import write_text
from adelecli.store.collection import open_store
from adelecli.volumes.extras import require_writer
from adelecli.volumes.geometry import Geometry, make_raster_geometry
from adelecli.volumes.writing import write_image, write_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.store.collection import Store

Which = Literal["corrected", "original", "change", "confidence"]
Format = Literal["source", "nifti", "nrrd", "mha", "png", "dicom-seg"]
CONFIDENCE = "confidence"
_LONGEST_NAME = 255
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif", ".tiff")


class ConvertKeywords(TypedDict, total=False):
    """What ``convert`` takes."""

    which: Which
    format: Format
    cases: list[str]
    overwrite: bool
    images: StrPath | None
    binary: bool
    terminology: StrPath | None


@dataclass(frozen=True)
class ConvertOptions:
    """``which`` array of each case; ``format``: as the source was, or another (PNG: one a slice); ``cases``: patterns on ids.

    For ``dicom-seg``: ``images`` holds the DICOM series to refer to, by case id; ``binary`` writes one bit a voxel and
    segment; ``terminology`` is a file of codes (see ``volumes.terminology``).
    """

    which: Which = "corrected"
    format: Format = "source"
    cases: tuple[str, ...] | list[str] = ()
    overwrite: bool = False
    images: StrPath | None = None
    binary: bool = False
    terminology: StrPath | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("which", self.which, Which), ("format", self.format, Format)):
            choices = known.__args__  # type: ignore[attr-defined]  # a Literal carries its values
            if value not in choices:
                raise ConfigError(f"`{name}` is {value!r}", remedy=f"choose {', '.join(choices)}")
        if self.format == "dicom-seg" and self.images is None:
            raise ConfigError("dicom-seg needs the series it refers to", remedy="name it with --images DIR")
        if self.format == "dicom-seg" and self.which == CONFIDENCE:
            raise ConfigError("a confidence map is no segmentation", remedy="choose nifti, nrrd or mha")
        if self.format not in {"dicom-seg", "source"} and (self.binary or self.terminology is not None):
            raise ConfigError("`binary` and `terminology` are about dicom-seg", remedy="pass --format dicom-seg")


class ConvertedCase(msgspec.Struct, frozen=True):
    """The files of one case, or why there are none."""

    id: str
    files: tuple[str, ...] = ()
    error: str | None = None


class Conversion(msgspec.Struct, frozen=True):
    """The answer of ``convert``."""

    out: str
    which: str
    cases: tuple[ConvertedCase, ...]

    @property
    def exit_code(self) -> int:
        """0 all written, 3 some cases failed, 7 every case failed."""
        return choose_exit_code(case.error for case in self.cases)

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


def convert(
    store: StrPath, *, out: StrPath, progress: Callback = ignore_progress, **options: Unpack[ConvertKeywords]
) -> Conversion:
    """Write one array of each case of ``store`` as files into the folder ``out``; options are those of ``ConvertOptions``.

    NIfTI files carry the source's header; a ``labels.json`` with the class names goes beside labels. A damaged case stands in the
    result with its error. Raises ``InputError``, ``ConfigError``, and ``OutputError`` when a file exists or cannot be written.

    >>> convert("cleaned.zarr", out="cleaned")  # doctest: +SKIP
    """
    chosen = read_keywords(ConvertOptions, options)
    require_writer(chosen.format)
    opened = open_store(Path(store))
    ids = match_ids(opened.case_ids(), chosen.cases)
    folder = open_folder(Path(out), source=Path(store), overwrite=True)
    archive = open_archive(
        opened, chosen.which, images=chosen.images, binary=chosen.binary, terminology=chosen.terminology
    )
    cases = []
    for done, case in enumerate(ids):
        progress(Progress("convert", done, len(ids), case))
        cases.append(_convert_case(case, opened, folder, _Plan(chosen, archive), progress))
    progress(Progress("convert", len(ids), len(ids)))
    return Conversion(str(folder), chosen.which, tuple(cases))


@dataclass(frozen=True)
class _Plan:
    """What is to be written, and the archive that DICOM SEG refers to."""

    options: ConvertOptions
    archive: Archive | None


def _convert_case(case: str, store: Store, folder: Path, plan_: _Plan, progress: Callback) -> ConvertedCase:
    options, archive = plan_.options, plan_.archive
    try:
        frame = store.frame(case)
        array = store.read(case, options.which)
        geometry = restore_geometry(frame, array.shape)
        wanted = "dicom-seg" if archive and options.format == "source" and frame.suffix == ".dcm" else options.format
        plan = list(_plan_files(folder / case, array, geometry, _choose_ending(wanted, frame.suffix, geometry)))
        for path, _, _ in plan:
            if path.exists() and not options.overwrite:
                raise OutputError("exists already", path=path, remedy="pass --overwrite or another --out")
        for path, part, part_geometry in plan:
            if wanted == "dicom-seg" and archive is not None:
                archive.write(path, part, part_geometry, case)
            else:
                _write(path, part, part_geometry, options.which)
        if options.which != CONFIDENCE:
            write_class_names(folder, rebuild_table(store.class_entries(case, options.which)))
    except CaseError as error:
        progress(Progress("case", case=case, notice=str(error)))
        return ConvertedCase(case, error=str(error))
    return ConvertedCase(case, tuple(str(path) for path, _, _ in plan))


def _choose_ending(wanted: Format, suffix: str, geometry: Geometry) -> str:
    fixed = {"png": ".png", "nrrd": ".nrrd", "mha": ".mha", "dicom-seg": ".dcm"}
    if wanted in fixed:
        return fixed[wanted]
    if wanted == "nifti":
        return suffix if suffix in {".nii", ".nii.gz"} else ".nii.gz"  # it comes out of the store, and may be any text
    if suffix == ".mhd":  # one file instead of two
        return ".mha"
    if suffix in WRITABLE:
        return suffix
    if geometry.kind == "raster":  # a plain zarr, which has no millimetres; one file, which is read back as what it was
        return ".png" if geometry.shape[0] == 1 else ".tif"
    return ".nii.gz"


def _plan_files(
    stem: Path, array: NDArray[np.generic], geometry: Geometry, ending: str
) -> Iterator[tuple[Path, NDArray[np.generic], Geometry]]:
    """The files of a case: one, or for PNG one a slice (in the folder of the case), each with its array and geometry."""
    if ending == ".png" and len(array) > 1:
        flat = make_raster_geometry((1, *geometry.shape[1:]))
        for index in range(len(array)):
            yield stem / name_slice(stem.name, index), array[index : index + 1], flat
        return
    if ending.startswith(".nii") and geometry.kind == "raster":
        geometry = Geometry(geometry.shape, geometry.affine, "nifti")
    # with_suffix would take "1.2.3" for a name with an ending
    yield stem.with_name(f"{stem.name}{ending}"), array, geometry


def name_slice(case: str, index: int) -> str:
    """The file of one slice in the folder of its case; without the id where a name would be longer than file systems allow."""
    name = f"{case}_z{index:04d}.png"
    return name if len(name.encode()) <= _LONGEST_NAME else f"z{index:04d}.png"


def _write(path: Path, array: NDArray[np.generic], geometry: Geometry, which: str) -> None:
    if which == CONFIDENCE:
        write_image(path, array.astype(np.float32) / np.float32(255), geometry)
    else:
        write_labels(path, array, geometry)


def write_class_names(folder: Path, table: ClassTable) -> Path:
    """``labels.json`` in ``folder``: what the numbers in the masks beside it mean."""
    names = {str(number): name for number, name in zip(table.ids, table.names, strict=True)}
    content = {"labels": names, "ignore": table.ignore} if table.ignore is not None else {"labels": names}
    return write_text(folder / "labels.json", msgspec.json.format(msgspec.json.encode(content)).decode() + "\n")
