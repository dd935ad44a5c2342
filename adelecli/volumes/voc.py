"""PASCAL VOC 2012 as it is unpacked: ``JPEGImages``, ``SegmentationClass``, and lists of ids in ``ImageSets/Segmentation``.

The masks are palette pictures whose indices are the classes; 255 is the border that nobody judged. The data set has no
file that says so, because its names are a convention (Everingham et al., the VOC 2012 development kit, section 4.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.caseids import compose_id
from adelecli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

IMAGES = "JPEGImages"
MASKS = "SegmentationClass"
_LISTS = ("ImageSets", "Segmentation")
IGNORE = 255
NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv/monitor"),
)


def find_masks(root: Path, names: Sequence[str] = (MASKS,)) -> Path | None:
    """The masks below a VOC root; copies with more masks are called ``SegmentationClassAug`` and the like."""
    if MASKS not in names or not (root / IMAGES).is_dir():
        return None
    return next((path for path in sorted(root.glob(f"{MASKS}*")) if path.is_dir()), None)


def is_voc(place: Path) -> bool:
    """Whether ``place`` (a folder, or a mask in it) belongs to a VOC data set."""
    place = place.resolve()
    folder = place if place.is_dir() else place.parent
    return (folder.name.startswith(MASKS) and (folder.parent / IMAGES).is_dir()) or find_masks(folder) is not None


def choose_ids(lines: Iterable[str], masks: Container[str]) -> set[str]:
    """The ids that ``lines`` of a list name: a line that is the name of one of the ``masks``, else its first word.

    The lists of single classes have a number behind each id.
    """
    return {line if line in masks else line.split()[0] for line in map(compose_id, lines)}


def read_list(place: Path) -> tuple[Path, frozenset[str]] | None:
    """The masks' folder and the lines of a list such as ``ImageSets/Segmentation/train.txt``; None when it is no list.

    Raises InputError for a list that is empty, cannot be read or stands beside no masks.
    """
    place = Path(place)
    if place.suffix.lower() != ".txt" or place.resolve().parts[-3:-1] != _LISTS:
        return None
    masks = find_masks(place.resolve().parents[2])
    if masks is None:
        raise InputError(f"is a list of a data set without {IMAGES} and {MASKS}", path=place)
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read as a list of ids", path=place, remedy="write one id a line") from error
    ids = frozenset(line.strip() for line in lines if line.strip())
    if not ids:
        raise InputError("lists no ids", path=place, remedy="write one id a line")
    return masks, ids
