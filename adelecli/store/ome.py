"""OME-Zarr 0.5 metadata of label images: built here, and checked here by rules of our own.

Sources: OME-NGFF 0.5, sections "multiscales", "labels" and "image-label"; RFC-4 for ``orientation``. 0.5 holds no
affine, so viewers get a positive scale and the closest anatomical direction of each axis, and the exact geometry
stands in ``adele`` and in the raw header. No ``translation`` is written: tools disagree on whether it is RAS or LPS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adelecli.store.frame import Frame
    from adelecli.store.layout import Shape

VERSION = "0.5"
AXES = ("z", "y", "x")

Entry = Mapping[str, Any]  # {"id": int, "name": str, "colour": (r, g, b)}

_DIRECTIONS = (
    ("right-to-left", "left-to-right"),
    ("anterior-to-posterior", "posterior-to-anterior"),
    ("superior-to-inferior", "inferior-to-superior"),
)
_INTEGER = re.compile(r"u?int(8|16|32|64)")


def build_labels(names: Sequence[str]) -> dict[str, Any]:
    """Attributes of the ``labels`` group that lists label images of these names."""
    return {"ome": {"version": VERSION, "labels": list(names)}}


def build_label_image(name: str, frame: Frame, strides: Sequence[Shape], classes: Sequence[Entry]) -> dict[str, Any]:
    """The ``ome`` attributes of one label image ``[Z, Y, X]`` whose levels are strided views of level 0.

    Label 0 is always listed, transparent: a schema wants at least one colour, and a volume may be all background.
    """
    entries = list(classes) if any(entry["id"] == 0 for entry in classes) else [_BACKGROUND, *classes]
    spacing = frame.spacing_mm if frame.is_physical else (1.0, 1.0, 1.0)
    image: dict[str, Any] = {
        "name": name,
        "axes": _build_axes(frame),
        "datasets": [_build_dataset(str(level), spacing, stride) for level, stride in enumerate(strides)],
        "type": "nearest",
        "metadata": {"description": "each level takes every n-th voxel of level 0", "method": "stride"},
    }
    label = {
        "colors": [{"label-value": entry["id"], "rgba": _rgba(entry)} for entry in entries],
        "properties": [{"label-value": entry["id"], "name": entry["name"]} for entry in entries],
    }
    return {"version": VERSION, "multiscales": [image], "image-label": label}


_BACKGROUND: Entry = {"id": 0, "name": "background", "colour": (0, 0, 0)}


def _rgba(entry: Entry) -> list[int]:
    return [0, 0, 0, 0] if entry["id"] == 0 else [*map(int, entry["colour"]), 255]


def _build_dataset(path: str, spacing: Sequence[float], stride: Shape) -> dict[str, Any]:
    scale = [float(step * factor) for step, factor in zip(spacing, stride, strict=True)]
    return {"path": path, "coordinateTransformations": [{"type": "scale", "scale": scale}]}


def _build_axes(frame: Frame) -> list[dict[str, Any]]:
    axes: list[dict[str, Any]] = [{"name": name, "type": "space"} for name in AXES]
    if frame.is_physical:
        for axis, direction in zip(axes, find_directions(frame), strict=True):
            axis["unit"] = "millimeter"
            axis["orientation"] = {"type": "anatomical", "value": direction}
    return axes


def find_directions(frame: Frame) -> tuple[str, ...]:
    """The anatomical direction (RFC-4) closest to each axis ``(z, y, x)``, each body axis used once."""
    columns = [[frame.affine_ras[world][voxel] for world in range(3)] for voxel in (2, 1, 0)]
    units = [[value / (sum(v * v for v in column) ** 0.5 or 1.0) for value in column] for column in columns]
    best = max(permutations(range(3)), key=lambda order: sum(abs(units[a][world]) for a, world in enumerate(order)))
    return tuple(_DIRECTIONS[world][int(units[axis][world] >= 0)] for axis, world in enumerate(best))


def list_classes(ome: Entry) -> tuple[dict[str, Any], ...]:
    """The classes of a label image as they were written: ``{"id", "name", "colour"}``."""
    label = ome["image-label"]
    names = {item["label-value"]: item["name"] for item in label["properties"]}
    return tuple(
        {"id": item["label-value"], "name": names[item["label-value"]], "colour": tuple(item["rgba"][:3])}
        for item in label["colors"]
    )


def check_labels(ome: Entry, present: Sequence[str]) -> list[str]:
    """What is wrong with the ``ome`` attributes of a ``labels`` group that holds label images of these names."""
    faults = [] if ome.get("version") == VERSION else [f"ome version is {ome.get('version')!r}, not {VERSION}"]
    if sorted(ome.get("labels", ())) != sorted(present):
        faults.append(f"lists the labels {ome.get('labels')}, but holds {sorted(present)}")
    return faults


def check_label_image(ome: Entry, levels: Sequence[Entry]) -> list[str]:
    """What is wrong with the ``ome`` attributes of a label image with these level documents; lookups may fail."""
    faults = [] if ome.get("version") == VERSION else [f"ome version is {ome.get('version')!r}, not {VERSION}"]
    image = ome["multiscales"][0]
    names = [axis["name"] for axis in image["axes"]]
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in image["datasets"]]
    for level in levels:
        if level["dimension_names"] != names:
            faults.append(f"dimension names {level['dimension_names']} differ from the axes {names}")
        if not _INTEGER.fullmatch(str(level["data_type"])):
            faults.append(f"labels are of type {level['data_type']}, not integers")
    if any(fine > coarse for a, b in pairwise(scales) for fine, coarse in zip(a, b, strict=True)):
        faults.append("pyramid levels are not ordered from fine to coarse")
    if any(len(dataset["coordinateTransformations"]) != 1 or min(s) <= 0 for dataset, s in _pairs(image, scales)):
        faults.append("a level needs exactly one positive scale")
    if not ome["image-label"]["colors"]:
        faults.append("image-label lists no colour")
    return faults


def _pairs(image: Entry, scales: Sequence[Sequence[float]]) -> list[tuple[Entry, Sequence[float]]]:
    return list(zip(image["datasets"], scales, strict=True))
