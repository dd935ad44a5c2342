"""What a place holds that could be a mask or an image: files by their ending, DICOM series, zarr folders.

Names are kept as they are. A DICOM series and an OME-Zarr image are many files and still one entry: the folder that
holds them. A series that shares its folder with others is named ``folder/<SeriesInstanceUID>``, as if it were a file
in it, so that every entry of every format is one path which can be printed, recorded and sent to another process.
Places that are not on this machine (``s3://...``) are paths too; what they hold is told by the caller's ``Remote``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from adelecli.caseids import compose_id, find_id, is_encoded
from adelecli.errors import InputError
from adelecli.volumes import voc

ENDINGS = (
    *(".nii.gz", ".nii", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"),
    *(".nrrd", ".mha", ".mhd", ".dcm"),
)
ZARR_ENDINGS = (".ome.zarr", ".zarr")
MASK_FOLDERS = ("masks", "labelsTr", "SegmentationClass")
IMAGE_FOLDERS = ("images", "imagesTr", "JPEGImages")
_ZARR_DOCUMENTS = ("zarr.json", ".zgroup", ".zarray")
_LONGEST_DOCUMENT = 1 << 26
_DICOM_MAGIC = (128, b"DICM")
_PEEK = 8  # files of a folder that are looked at before it is decided that it holds no DICOM series
_CHANNEL = re.compile(r"(.+)_([0-9]{4})", re.DOTALL)
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_SCHEME = re.compile(r"(s3|gs|az|abfs|memory):")

Remote: TypeAlias = Callable[[Path], Mapping[str, str]]
"""The names of the zarr folders at a remote place, each with the name of its case; one named "" is the place itself."""


@dataclass(frozen=True)
class Entry:
    """A mask or an image as it lies in its folder; ``stem`` is its name without ending, composed as ids are."""

    path: Path
    stem: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "stem", compose_id(self.stem))

    @property
    def base(self) -> str:
        """The stem without a channel suffix ``_0000``."""
        match = _CHANNEL.fullmatch(self.stem)
        return match[1] if match else self.stem

    @property
    def channel(self) -> int | None:
        """The number of the channel suffix; None without one."""
        match = _CHANNEL.fullmatch(self.stem)
        return int(match[2]) if match else None


def split_name(name: str) -> tuple[str, str] | None:
    """Split a file name into stem and ending, or None when it is not a name of ours (another ending, a hidden file)."""
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    if ending is None or name.startswith("."):
        return None
    return name[: -len(ending)], name[-len(ending) :]


def is_remote(path: Path) -> bool:
    """Whether ``path`` is an address (``s3://bucket/key``; pathlib makes one slash of the two).

    >>> is_remote(Path("s3://bucket/masks")), is_remote(Path("masks"))
    (True, False)
    """
    return bool(path.parts) and _SCHEME.fullmatch(path.parts[0]) is not None


def is_zarr(path: Path) -> bool:
    """Whether ``path`` is a zarr group or array: by its address, or by the metadata in its folder."""
    return is_remote(path) or any((path / name).is_file() for name in _ZARR_DOCUMENTS)


def is_series(path: Path) -> bool:
    """Whether ``path`` names a series among others: ``folder/<SeriesInstanceUID>``, where no file of that name is."""
    return _UID.fullmatch(path.name) is not None and not path.exists() and path.parent.is_dir()


def is_dicom(path: Path) -> bool:
    """Whether the file ``path`` is DICOM: its ending says so or, without an ending of ours, its first bytes do."""
    parts = split_name(path.name)
    if parts or path.name.startswith("."):
        return bool(parts) and parts[1].lower() == ".dcm"  # type: ignore[index]  # bool(parts) was asked before
    offset, magic = _DICOM_MAGIC
    try:
        with path.open("rb") as file:
            return file.read(offset + len(magic))[offset:] == magic
    except OSError:
        return False


def list_entries(place: Path, what: str, remote: Remote | None = None) -> list[Entry]:
    """The entries of a folder, or the one that ``place`` is, sorted by name. Raises InputError when there is none."""
    if is_remote(place):
        return _list_remote(place, what, remote)
    expected = f"expected {', '.join(ENDINGS)}, a folder of DICOM files or OME-Zarr"
    if not place.exists():
        raise InputError("there is no such file or folder", path=place, remedy=f"name what holds the {what}")
    if place.is_file() or is_zarr_image(place):
        found = Entry(place, place.stem) if place.is_file() and is_dicom(place) else _name_entry(place)
        entries = [found] if found else []
    else:
        paths = list_folder(place)
        entries = [entry for path in paths if (entry := _name_entry(path)) is not None]
        entries += _list_loose_dicom(place, [path for path in paths if path.is_file() and is_dicom(path)])
    if not entries and not place.is_dir():
        raise InputError("has an unknown ending", path=place, remedy=expected)
    if not entries:
        below = _find_below(place)
        raise InputError(
            f"holds no {what}" if below is None else f"holds no {what} itself, but its folder {below} may",
            path=place,
            remedy=expected if below is None else f"name the folder in which the {what} lie",
        )
    return sorted(entries, key=lambda entry: entry.path)


def _find_below(place: Path) -> str | None:
    """The first folder in ``place`` that holds files that could be read, for somebody who named one folder too few."""
    for folder in list_folder(place):
        with suppress(InputError):  # a folder that cannot be listed is no help
            if folder.is_dir() and any(_name_entry(path) is not None for path in list_folder(folder)):
                return folder.name
    return None


def enter_folder(place: Path, names: Sequence[str]) -> Path:
    """The folder of ``names`` in ``place``: a data set's root is as good, unless it holds usable files itself."""
    if (
        is_remote(place)
        or not place.is_dir()
        or is_zarr(place)
        or any(_name_entry(path) for path in list_folder(place) if path.is_file())
    ):
        return place
    return next((place / name for name in names if (place / name).is_dir()), voc.find_masks(place, names) or place)


def list_folder(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; InputError when the system does not say."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot be listed ({error.strerror})", path=folder, remedy="check its permissions") from error


def _list_remote(place: Path, what: str, remote: Remote | None) -> list[Entry]:
    if remote is None:
        raise InputError("is an address, which this command does not read", path=place, remedy="copy it here")
    found = remote(place)
    if not found:
        raise InputError(f"holds no {what}", path=place, remedy="name a folder of OME-Zarr images, or one of them")
    return [Entry(place / name if name else place, _zarr_stem(case)) for name, case in sorted(found.items())]


def _name_entry(path: Path) -> Entry | None:
    """The entry that ``path`` is by itself; None for a loose DICOM image, which is a part of its series."""
    if path.name.startswith("."):
        return None
    if path.is_dir():
        is_one = is_zarr_image(path) or (split_name(path.name) is None and _holds_series(path))
        return Entry(path, _zarr_stem(_name_folder(path))) if is_one else None
    # A broken link is kept: it stands for a case that somebody expects, and becomes its fault.
    parts = split_name(path.name) if path.is_file() or path.is_symlink() else None
    return Entry(path, parts[0]) if parts and parts[1].lower() != ".dcm" else None


def _name_folder(folder: Path) -> str:
    """The name of a folder; of a case of a store whose id is no folder name, that id."""
    if not is_encoded(folder.name):
        return folder.name
    document = _read_document(folder / "zarr.json")
    attributes = document.get("attributes") if isinstance(document, dict) else None
    ours = attributes.get("adele") if isinstance(attributes, dict) else None
    return find_id(folder.name, ours.get("id") if isinstance(ours, dict) else None) or folder.name


def is_zarr_image(folder: Path) -> bool:
    """Whether a zarr folder is one image or mask (an array, a multiscale, a group with ``labels``), and not a folder of them."""
    for name in (*_ZARR_DOCUMENTS, ".zattrs"):
        document = _read_document(folder / name)
        inner = document.get("attributes", document) if isinstance(document, dict) else None
        if not isinstance(inner, dict):
            continue
        ome = inner.get("ome", inner)
        if (
            name == ".zarray"
            or document.get("node_type") == "array"
            or (isinstance(ome, dict) and "multiscales" in ome)
        ):
            return True
    return is_zarr(folder) and is_zarr(folder / "labels")


def _read_document(path: Path) -> Any:
    """What a JSON file holds; None for no file, no JSON, and for more than metadata take."""
    try:  # is_file: a pipe would be waited for
        return json.loads(path.read_bytes()) if path.is_file() and path.stat().st_size <= _LONGEST_DOCUMENT else None
    except (OSError, ValueError, RecursionError):
        return None


def _holds_series(folder: Path) -> bool:
    files = [path for path in list_folder(folder) if path.is_file() and not path.name.startswith(".")]
    return any(is_dicom(path) for path in files[:_PEEK])


def _list_loose_dicom(folder: Path, paths: Sequence[Path]) -> list[Entry]:
    if not paths:
        return []
    from adelecli.volumes.series import group_series

    return [Entry(path, path.stem if path in paths else path.name) for path in group_series(folder, paths)]


def _zarr_stem(name: str) -> str:
    ending = next((ending for ending in ZARR_ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]
