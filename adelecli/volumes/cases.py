"""Which files are cases, and which mask belongs to which image.

File names are the only link between a mask and its image, so this module is strict where a guess could pair the wrong
patient, and lenient everywhere else: any names, any mixture of channels, nnU-Net, Decathlon and VOC folders as they
are. What cannot be used is a fault of that case alone; only when nothing at all is usable does a call raise.

A case id is the file's stem without its ending (``.nii.gz`` is one ending) and without a channel suffix ``_0000``. Four
digits are also how people number patients. So a suffix counts as a channel only where that can be: a mask carries it
alone and as ``_0000``; an image that has the whole name of a mask belongs to that mask; channels start at ``_0000``
without gaps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.caseids import explain_refusal, fold_id, show_id
from adelecli.errors import CaseError, ConfigError, InputError, make_printable
from adelecli.volumes import voc
from adelecli.volumes.links import stay_inside
from adelecli.volumes.listing import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    Entry,
    Remote,
    enter_folder,
    is_remote,
    is_zarr,
    list_entries,
)
from adelecli.volumes.referencing import follow_references

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Case:
    """One patient, scan or picture: its image files in channel order, and its mask if it has one."""

    id: str
    images: tuple[Path, ...]
    mask: Path | None = None


@dataclass(frozen=True)
class Pairing:
    """What a folder holds: usable ``cases`` by id, ``faults`` as (id, error), and the images that no mask asks for."""

    cases: tuple[Case, ...]
    faults: tuple[tuple[str, CaseError], ...] = ()
    spare_images: tuple[Path, ...] = ()

    def describe_spare(self) -> str | None:
        """One line about the images without a mask, or None: nothing can be done with them, but a mask may be missing."""
        if not self.spare_images:
            return None
        more = f" (and {len(self.spare_images) - 1} more images)" if len(self.spare_images) > 1 else ""
        return make_printable(f"{self.spare_images[0]}{more}: has no mask and is left out")


def pair_cases(masks: Path, images: Path | None = None, remote: Remote | None = None) -> Pairing:
    """Pair the masks of a folder (one mask, or a VOC list of ids) with their images (None: the sibling ``images/`` or ``imagesTr/``).

    ``remote`` tells what an address holds. Raises InputError when a folder is missing or empty or nothing pairs,
    ConfigError when both are the same folder.
    """
    listed = voc.read_list(Path(masks))
    masks = enter_folder(Path(masks) if listed is None else listed[0], MASK_FOLDERS)
    mask_files = list_entries(masks, "masks", remote)
    images = find_images(masks) if images is None else enter_folder(Path(images), IMAGE_FOLDERS)
    image_files = list_entries(images, "images", remote)
    if _is_same(masks, images) and not all(is_zarr(file.path) for file in mask_files):
        # An OME-Zarr image holds its labels within itself; any other file cannot be both.
        raise ConfigError("is given both as masks and as images", path=masks, remedy="name two different places")
    by_mask = _identify_masks(mask_files)
    # One mask and one image belong together, whatever their names.
    by_hand = _is_one(masks, mask_files) and _is_one(images, image_files)
    by_image = {next(iter(by_mask)): image_files} if by_hand else _identify_images(image_files, by_mask)
    if not by_hand:
        by_mask = follow_references(by_mask, by_image)
    if listed is not None:
        by_mask = {name: by_mask.get(name, []) for name in voc.choose_ids(listed[1], by_mask)}
    pairing = _assemble(by_mask, by_image, images)
    if not pairing.cases:
        fact = f"none of its {len(mask_files)} masks has a usable image in {images}"
        _refuse_all(masks, pairing, fact, "give a mask and its image the same name" if pairing.spare_images else None)
    whole = listed is None and masks.is_dir() and not _is_one(masks, mask_files)
    return pairing if whole else replace(pairing, spare_images=())  # who asks for some masks leaves images over


def list_images(images: Path, remote: Remote | None = None) -> Pairing:
    """List the images of a folder (or one image file) as cases without masks; InputError when there is none."""
    images = enter_folder(Path(images), IMAGE_FOLDERS)
    pairing = _assemble(None, _identify_images(list_entries(images, "images", remote), ()), images)
    if not pairing.cases:
        _refuse_all(images, pairing, "none of its images can be used")
    return pairing


def list_masks(masks: Path, remote: Remote | None = None) -> Pairing:
    """List the masks of a folder (or one mask file) as cases without images; InputError when there is none."""
    masks = enter_folder(Path(masks), MASK_FOLDERS)
    pairing = _assemble(_identify_masks(list_entries(masks, "masks", remote)), None, masks)
    if not pairing.cases:
        _refuse_all(masks, pairing, "none of its masks can be used")
    return pairing


def find_masks(folder: Path) -> Path:
    """Find the masks of a data folder: ``masks``, ``labelsTr`` or ``SegmentationClass*``; InputError without."""
    found = next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), voc.find_masks(folder))
    if found is None:
        raise InputError("holds neither masks/ nor labelsTr/", path=folder, remedy="name the folder of the masks")
    return found


def find_images(masks: Path) -> Path:
    """Find the images beside a folder of masks (or beside the folder of one mask file); InputError when none are."""
    folder = masks if masks.is_dir() else masks.parent
    beside = folder.resolve().parent if folder.name in {"", ".."} else folder.parent
    split = folder.name.removeprefix("labels") if folder.name.startswith("labels") else None
    names = IMAGE_FOLDERS if not split else (f"images{split}", *IMAGE_FOLDERS)  # nnU-Net: labelsTs goes with imagesTs
    found = next((beside / name for name in names if (beside / name).is_dir()), None)
    if found is None:
        raise InputError(
            "no images/ or imagesTr/ lies beside the masks", path=masks, remedy="name it with --images DIR"
        )
    return found


def _is_same(masks: Path, images: Path) -> bool:
    return masks == images or (not is_remote(masks) and not is_remote(images) and masks.resolve() == images.resolve())


def _is_one(place: Path, files: Sequence[Entry]) -> bool:
    """Whether the user named a mask or an image itself (or a folder that is one DICOM series), and not a folder of them."""
    if len(files) != 1:
        return False
    path = files[0].path
    return path == place or not (is_remote(path) or path.exists() or path.is_symlink())


def _identify_masks(files: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for base, group in _group(files).items():
        for file in group:
            alone = len(group) == 1 and file.channel in {None, 0}
            found[base if alone else file.stem].append(file)
    return found


def _identify_images(files: Iterable[Entry], masks: Iterable[str]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    known = frozenset(masks)
    for base, group in _group(files).items():
        channels = base in known or any(file.channel == 0 for file in group)
        for file in group:
            found[base if channels and file.stem not in known else file.stem].append(file)
    return found


def _group(files: Iterable[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for file in files:
        groups[file.base].append(file)
    return groups


def _assemble(
    masks: Mapping[str, list[Entry]] | None, images: Mapping[str, list[Entry]] | None, place: Path
) -> Pairing:
    wanted = sorted(masks if masks is not None else images or ())
    folded: dict[str, list[str]] = defaultdict(list)
    for name in wanted:
        folded[fold_id(name)].append(name)
    cases: list[Case] = []
    faults: list[tuple[str, CaseError]] = []
    for name in wanted:
        try:
            mask = None if masks is None else _only_mask(name, masks[name])
            paths = () if images is None else _order_channels(name, images.get(name, []), mask, place)
            _check_id(name, [one for one in folded[fold_id(name)] if one != name], mask or paths[0])
            cases.append(Case(name, paths, mask))
        except CaseError as fault:
            faults.append((show_id(name), fault))  # it is told, but no place is made of it
    return Pairing(tuple(cases), tuple(faults), _list_spare(masks, images))


def _list_spare(masks: Mapping[str, list[Entry]] | None, images: Mapping[str, list[Entry]] | None) -> tuple[Path, ...]:
    if masks is None or images is None:
        return ()
    return tuple(sorted(file.path for name, files in images.items() if name not in masks for file in files))


def _only_mask(name: str, files: Sequence[Entry]) -> Path:
    if not files:
        raise CaseError("is listed, but has no mask", path=name, remedy="add its mask or take it off the list")
    if len(files) > 1:
        names = ", ".join(file.path.name for file in files)
        raise CaseError(f"has {len(files)} masks ({names})", path=name, remedy="leave one of them")
    return stay_inside(files[0].path)


def _order_channels(name: str, files: Sequence[Entry], mask: Path | None, place: Path) -> tuple[Path, ...]:
    if not files:
        raise CaseError(f"has no image in {place}", path=mask, remedy=f"add its image as {name} or {name}_0000, ...")
    ordered = sorted(files, key=lambda file: -1 if file.channel is None else file.channel)
    numbers = [file.channel for file in ordered]
    if len(files) > 1 and numbers != list(range(len(files))):
        names = ", ".join(file.path.name for file in ordered)
        raise CaseError(
            f"its images are not one set of channels ({names})",
            path=name,
            remedy="number them _0000, _0001, ... without gaps",
        )
    return tuple(stay_inside(file.path) for file in ordered)


def _check_id(name: str, twins: Sequence[str], path: Path) -> None:
    refusal = explain_refusal(name)
    if refusal is not None:
        raise CaseError(refusal[0], path=path, remedy=refusal[1])
    if twins:
        # Every name stands before the colon, with the path, where logs look for what they must leave out.
        names = ", ".join(map(show_id, twins))
        fact = "these names differ only by case, or in what some systems ignore (accents' spelling, dots and spaces at the end)"
        raise CaseError(fact, path=f"{path} and {names}", remedy="rename all but one")


def _refuse_all(place: Path, pairing: Pairing, fact: str, remedy: str | None = None) -> None:
    first = f" (the first: {pairing.faults[0][1]})" if pairing.faults else ""
    spare = ", ".join(path.name for path in pairing.spare_images[:3])
    there = f"; images that are there: {spare}" if spare else ""
    raise InputError(f"{fact}{first}{there}", path=place, remedy=remedy)
