"""OME-Zarr and plain zarr made by anybody, read as images and labels: versions 0.1 to 0.5, zarr v2 and v3, local or remote.

A store of ours is written strictly and read strictly (``arrays``). Here nothing can be demanded: other writers leave out
chunks that are empty, so absence is background, axes come in several dialects, and geometry is a scale at best. What must
hold: an axis that is not understood is refused, never dropped; where our own metadata stand beside, they decide, and
a shard of ours that is missing (here, not at an address) is damage, because we write the empty ones too. Nothing
outside the folder is read (a link in it could lead anywhere), and no array whose codecs can run what they decode.

Sources: OME-NGFF 0.1 to 0.5, "multiscales", "axes", "labels"; RFC-4 for ``orientation``. Without an orientation the axes
are taken to run to the right, to anterior and to superior; without units there are no millimetres (``kind`` raster).
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from adelecli.errors import CaseError
from adelecli.scratch import let_go
from adelecli.store.arrays import DAMAGE, MOST_BYTES, Array, check_shards
from adelecli.store.frame import LONGEST_HEADER, Frame, build_frame, decode_header
from adelecli.store.remote import connect, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adelecli.scratch import Allocate

Role: TypeAlias = Literal["image", "labels"]

PREFERRED = "corrected"
MAX_CHUNK = 1 << 30
_RUNNING = frozenset({"pickle"})
"""Codecs of numcodecs, which zarr v2 names by these ids, that run what they decode."""
_MILLIMETRES = {
    "meter": 1e3,
    "centimeter": 10.0,
    "millimeter": 1.0,
    "micrometer": 1e-3,
    "nanometer": 1e-6,
    "angstrom": 1e-7,
}
_DIRECTIONS = {
    "left-to-right": (0, 1.0),
    "right-to-left": (0, -1.0),
    "posterior-to-anterior": (1, 1.0),
    "anterior-to-posterior": (1, -1.0),
    "inferior-to-superior": (2, 1.0),
    "superior-to-inferior": (2, -1.0),
}
_NATURAL = {"x": (0, 1.0), "y": (1, 1.0), "z": (2, 1.0)}
_OLDEST = "tczyx"  # the five axes of OME-NGFF 0.1 and 0.2, which do not name them


@dataclass(frozen=True)
class _Level:
    """The finest level of an image: its array, the name of each axis, and where it lies."""

    array: Any
    axes: str
    frame: Frame

    @property
    def shape(self) -> tuple[int, int, int, int]:
        sizes = dict(zip(self.axes, self.array.shape, strict=True))
        c, z, y, x = (int(sizes.get(axis, 1)) for axis in "czyx")
        return c, z, y, x


def read_foreign(path: Path, role: Role, allocate: Allocate = np.empty, most: int = MOST_BYTES) -> tuple[Array, Frame]:
    """Read the finest level of an image or of labels as ``[C, Z, Y, X]`` in its own dtype, and its frame.

    For labels ``path`` may be the label image, or an image (or a case of a store) with one under ``labels/``: the only one,
    else the one called "corrected". ``allocate`` makes the array; one row of chunks is held beside it. Raises CaseError for
    what is damaged, has more than one time point or axes beyond t, c, z, y, x, or claims more than ``most`` bytes: absent chunks
    read as background, so that a few bytes may promise any size.
    """
    with _reporting(path):
        level = _find_level(path, role)
        claimed = math.prod(level.array.shape) * np.dtype(level.array.dtype).itemsize
        if claimed > most:
            fact = f"claims to hold {claimed >> 20} MiB, more than the {most >> 20} MiB that a volume may have"
            raise CaseError(fact, path=path, remedy="keep one volume of it")
        channels, depth, _, _ = level.shape
        target = allocate(level.shape, np.dtype(level.array.dtype).newbyteorder("="))
        step = _count_rows(level)
        for channel in range(channels):
            for start in range(0, depth, step):
                stop = min(start + step, depth)
                target[channel, start:stop] = _read_part(level, channel, slice(start, stop))
                let_go(target)
        return target, level.frame


def read_foreign_frame(path: Path, role: Role = "image") -> tuple[Frame, tuple[int, int, int]]:
    """The frame and the shape ``[Z, Y, X]`` of an image or of labels from the metadata alone; errors as `read_foreign`."""
    with _reporting(path):
        level = _find_level(path, role)
        return level.frame, level.shape[1:]


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except CaseError:
        raise
    except DAMAGE as error:
        fact = f"cannot be read as zarr ({str(error)[:200]})"
        raise CaseError(fact, path=path, remedy="restore it from its source") from error


def _open(path: Path) -> Any:
    import zarr

    if not is_remote(path) and not path.is_dir():
        raise CaseError("there is no such folder", path=path)
    if is_remote(path):
        return zarr.open(connect(path), mode="r")
    _refuse_strangers(path)
    return zarr.open(str(path), mode="r")


def _refuse_strangers(folder: Path) -> None:
    """Raise CaseError for a link that leaves the folder, and for what is no file: zarr would follow the one and wait for the other."""
    home, waiting = folder.resolve(), [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(home):
                    raise CaseError("holds a link that leaves it", path=folder, remedy="put the data itself there")
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not (entry.is_file() or entry.is_dir()):
                    raise CaseError("holds what is neither a file nor a folder", path=folder, remedy="remove it")


def _find_level(path: Path, role: Role) -> _Level:
    import zarr

    node = _open(path)
    if isinstance(node, zarr.Array):
        return _check(_Level(node, "tczyx"[5 - node.ndim :] if node.ndim < 5 else _OLDEST, _make_plain_frame()), path)
    if role == "labels":
        node = _enter_labels(node, path)
    attributes: dict[str, Any] = dict(node.attrs)
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    if not images:
        raise CaseError("is no OME-Zarr image (it has no multiscales)", path=path, remedy="name the image itself")
    image = images[0]
    dataset = image["datasets"][0]
    array = node[dataset["path"]]
    described = [one if isinstance(one, dict) else {"name": one} for one in image.get("axes", _OLDEST)]
    axes = "".join(str(axis["name"]).lower() for axis in described)
    own = _read_own_frame(node, attributes)
    if own is not None and not is_remote(path):
        check_shards(path / array.path)
    frame = own or _make_frame(described, image, dataset)
    return _check(_Level(array, axes, frame), path)


def _enter_labels(node: Any, path: Path) -> Any:
    """The label image to read: ``node`` itself, or one below its ``labels``."""
    import zarr

    inner = node.get("labels")
    if not isinstance(inner, zarr.Group):
        return node
    attributes: dict[str, Any] = dict(inner.attrs)
    listed = attributes.get("ome", attributes).get("labels")
    names = [str(name) for name in listed] if listed else sorted(inner.group_keys())
    name = names[0] if len(names) == 1 else PREFERRED if PREFERRED in names else None
    if name is None:
        remedy = f"name {path}/labels/{names[0]}, or another of them" if names else None
        raise CaseError(f"holds {len(names)} label images ({', '.join(names[:5])})", path=path, remedy=remedy)
    return inner[name]


def _check(level: _Level, path: Path) -> _Level:
    array, axes = level.array, level.axes
    if (
        len(axes) != array.ndim
        or len(set(axes)) != len(axes)
        or set(axes) - set("tczyx")
        or not {"y", "x"} <= set(axes)
    ):
        raise CaseError(f"has the axes {axes!r} and {array.ndim} dimensions", path=path, remedy="keep t, c, z, y, x")
    if array.ndim and min(array.shape) < 1:
        raise CaseError(f"has the shape {array.shape}, which is no volume", path=path)
    if "t" in axes and array.shape[axes.index("t")] != 1:
        raise CaseError("has several time points", path=path, remedy="save each of them as an image of its own")
    if np.dtype(array.dtype).kind not in "biuf":
        raise CaseError(f"holds {array.dtype} voxels, not real numbers", path=path)
    _refuse_running(array)
    chunk = math.prod(array.chunks) * np.dtype(array.dtype).itemsize
    if chunk > MAX_CHUNK:
        fact = f"has chunks of {array.chunks}, which is more than can be read at once"
        raise CaseError(fact, path=path, remedy="rechunk it")
    return level


def _refuse_running(array: Any) -> None:
    codecs = (*(getattr(array.metadata, "filters", None) or ()), getattr(array.metadata, "compressor", None))
    if any(getattr(codec, "codec_id", None) in _RUNNING for codec in codecs):
        raise ValueError("its codec runs what it decodes")


def _count_rows(level: _Level) -> int:
    """How many slices are read at once: a row of shards or chunks, at least one slice and no more than a chunk's limit."""
    if "z" not in level.axes:
        return 1
    c, _, y, x = level.shape
    rows = int((level.array.shards or level.array.chunks)[level.axes.index("z")])
    most = MAX_CHUNK // max(1, y * x * np.dtype(level.array.dtype).itemsize)
    return max(1, min(rows, most)) if c else 1


def _read_part(level: _Level, channel: int, rows: slice) -> Array:
    where: dict[str, int | slice] = {"t": 0, "c": channel, "z": rows}
    values = np.asarray(level.array[tuple(where.get(axis, slice(None)) for axis in level.axes)])
    left = [axis for axis in level.axes if axis in "zyx"]
    turned = values.transpose([left.index(axis) for axis in "zyx" if axis in left])
    return turned if "z" in left else turned[None]


def _read_own_frame(node: Any, attributes: Mapping[str, Any]) -> Frame | None:
    """The exact frame that adele wrote beside its labels, with the source's raw header; None for other people's images."""
    ours = attributes.get("adele")
    if not isinstance(ours, dict) or "affine_ras_mm" not in ours:
        return None
    text = ours.get("nifti_header")  # earlier stores of ours have the array alone
    header = (
        decode_header(text) if text is not None else _read_header(node["nifti"]) if ours.get("nifti_sha256") else None
    )
    frame = build_frame(ours["affine_ras_mm"], ours["spacing_mm"], header=header, kind=str(ours["kind"]))
    return Frame(frame.affine_ras, frame.spacing_mm, header, frame.kind, str(ours["suffix"]))


def _read_header(array: Any) -> bytes:
    """The raw header as adele writes it; anything else is refused before one byte of it is decoded."""
    _refuse_running(array)
    if np.dtype(array.dtype) != np.uint8 or array.ndim != 1 or array.shape[0] > LONGEST_HEADER:
        raise ValueError("its raw header is none")
    return np.asarray(array[:]).tobytes()


def _make_plain_frame() -> Frame:
    return build_frame(np.eye(4), (1.0, 1.0, 1.0), kind="raster", file_name="array.zarr")


def _make_frame(axes: Sequence[Mapping[str, Any]], image: Mapping[str, Any], dataset: Mapping[str, Any]) -> Frame:
    names = [str(axis["name"]).lower() for axis in axes]
    units = {name: _MILLIMETRES.get(str(axis.get("unit", ""))) for name, axis in zip(names, axes, strict=True)}
    if any(units.get(axis) is None for axis in "zyx"):
        return _make_plain_frame()
    scale, shift = np.ones(len(names)), np.zeros(len(names))
    for step in (*dataset.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())):
        if step["type"] == "scale":
            scale, shift = scale * np.array(step["scale"]), shift * np.array(step["scale"])
        elif step["type"] == "translation":
            shift = shift + np.array(step["translation"])
        elif step["type"] != "identity":
            raise ValueError(f"a transformation of type {step['type']!r} is not read")
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, name in enumerate("xyz"):
        number = names.index(name)
        direction = axes[number].get("orientation")
        value = direction.get("value") if isinstance(direction, dict) else None
        world, sign = _DIRECTIONS[value] if value is not None else _NATURAL[name]
        affine[world, column] = sign * scale[number] * (units[name] or 1.0)
        affine[world, 3] += sign * shift[number] * (units[name] or 1.0)
    sizes = np.abs(affine[:3, :3]).sum(axis=0)
    if (np.count_nonzero(affine[:3, :3], axis=1) != 1).any():
        raise ValueError("its axes do not run in three different directions")
    return build_frame(affine, sizes[::-1], file_name="image.zarr")
