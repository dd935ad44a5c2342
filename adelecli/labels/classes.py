"""The class table: what the numbers in a label file mean, and the way from there to network channels and back.

Why: files hold *ids* (uint8 or uint16, with gaps, chosen by a hospital), networks hold *indices* (0..K-1, one per
channel). Mixing the two silently relabels an organ, so every array crosses this table exactly once in each direction.
What must hold: an unknown value is never guessed or dropped, it is an error that names it; ``decode(encode(x)) == x``;
index 0 is background.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError, ConfigError

IGNORE = 255
"""The index of voxels that carry no label: never trained on, never corrected unless asked for, never scored."""

MAX_ID = 65535

NAME_IT = "relabel it, or name it in labels.json beside the masks"
"""What to do about a label of no class where the classes are those of the data set."""

LabelArray: TypeAlias = npt.NDArray[np.integer[Any]]
IndexArray: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008): legible with every common colour vision deficiency. Black is
# background.
_OKABE_ITO: tuple[Colour, ...] = (
    (0, 0, 0),
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


@dataclass(frozen=True)
class ClassTable:
    """Ids, names and colours of K classes in channel order; background (id 0) comes first.

    ``ignore`` is the id that marks voxels without a label (``None``: the files hold none). Colours left out get a
    default palette. Raises ConfigError when ids or names repeat, do not match in number, or exceed 255 classes or
    uint16.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    ignore: int | None = IGNORE
    colours: tuple[Colour, ...] = ()

    def __post_init__(self) -> None:
        if not self.colours:
            object.__setattr__(self, "colours", choose_colours(len(self.ids)))
        fault = _find_fault(self)
        if fault is not None:
            raise ConfigError(fault, remedy="give every class one id and one name of its own, background id 0")

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, name_or_id: str) -> int:
        """The index of a class given by name or, failing that, by its id in digits; ConfigError lists the names."""
        wanted = name_or_id.strip()
        if wanted in self.names:
            return self.names.index(wanted)
        if wanted.isdecimal() and int(wanted) in self.ids:
            return self.ids.index(int(wanted))
        raise ConfigError(f"unknown class {name_or_id!r}", remedy=f"choose from {', '.join(self.names)}")

    def encode(self, labels: LabelArray, *, path: object = None, remedy: str = NAME_IT) -> IndexArray:
        """Label ids of any integer dtype and shape (usually [Z, Y, X]) -> uint8 indices; ignore -> ``IGNORE``.

        Raises CaseError with the value, its count and its first place when a label is in no class; ``remedy``: what helps
        there, which only the caller knows, since it depends on where the table came from.
        """
        if labels.dtype.kind not in "biu":
            raise CaseError(
                f"labels are {labels.dtype}, not integers", path=path, remedy="store them as uint8 or uint16"
            )
        table = np.zeros(MAX_ID + 1, np.uint8)
        known = np.zeros(MAX_ID + 1, np.bool_)
        keys = list(self.ids) if self.ignore is None else [*self.ids, self.ignore]
        known[keys] = True
        table[list(self.ids)] = np.arange(len(self), dtype=np.uint8)
        if self.ignore is not None:
            table[self.ignore] = IGNORE
        if labels.dtype == np.uint8:
            indices = _translate(labels.view(np.uint8), table[:256], known[:256])
            if indices is None:
                raise self._unknown_label(labels, ~known[labels], path, remedy)
            return indices
        if labels.dtype.itemsize > 2 or labels.dtype.kind == "i":
            outside = (labels < 0) | (labels > MAX_ID)
            if outside.any():
                raise self._unknown_label(labels, outside, path, remedy)
        narrow = labels.astype(np.uint16, copy=False)
        valid = known[narrow]
        if not valid.all():
            raise self._unknown_label(labels, ~valid, path, remedy)
        return table[narrow]

    def decode(self, indices: IndexArray) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """Indices -> ids, uint8 when every id (and ``ignore``) fits, else uint16; any shape.

        Raises CaseError for an index that is no class, and for ``IGNORE`` when the table has no ignore id.
        """
        table = np.zeros(256, np.uint16)
        known = np.zeros(256, np.bool_)
        table[: len(self)] = self.ids
        known[: len(self)] = True
        if self.ignore is not None:
            table[IGNORE], known[IGNORE] = self.ignore, True
        fits = max(*self.ids, self.ignore or 0) <= np.iinfo(np.uint8).max
        ids = _translate(indices, table.astype(np.uint8), known) if fits else None
        if ids is not None:
            return ids
        valid = known[indices]
        if not valid.all():
            raise CaseError(
                f"class index {int(indices[~valid][0])} stands for no label", remedy="check the class table"
            )
        return table[indices]

    def _unknown_label(
        self, labels: LabelArray, unknown: npt.NDArray[np.bool_], path: object, remedy: str
    ) -> CaseError:
        place = np.unravel_index(int(unknown.argmax()), unknown.shape)
        value = int(labels[place])
        count = int(np.count_nonzero(labels == value))
        axes = ("z", "y", "x")[-labels.ndim :] if labels.ndim <= 3 else tuple("?" * labels.ndim)
        where = ", ".join(f"{axis}={int(i)}" for axis, i in zip(axes, place, strict=True))
        listed = ", ".join(f"{i} {name}" for i, name in zip(self.ids, self.names, strict=True))
        return CaseError(
            f"label {value} ({count} voxels, first at {where}) is in no class of: {listed}",
            path=path,
            remedy=remedy,
        )


def choose_colours(count: int) -> tuple[Colour, ...]:
    """``count`` distinct RGB colours (0..255): black, seven colour-blind-legible, then hues a golden angle apart."""
    colours = list(_OKABE_ITO[:count])
    step = 0
    while len(colours) < count:
        # lightness changes with the hue, because hue alone is what colour-blind readers cannot tell apart
        red, green, blue = colorsys.hls_to_rgb(step * 0.61803399 % 1, (0.35, 0.55, 0.75)[step % 3], 0.75)
        colour = (round(red * 255), round(green * 255), round(blue * 255))
        step += 1
        if colour not in colours:
            colours.append(colour)
    return tuple(colours)


def _find_fault(table: ClassTable) -> str | None:
    """What makes a class table unusable, in words, or None."""
    used = table.ids if table.ignore is None else (*table.ids, table.ignore)
    checks = (
        (not table.ids or table.ids[0] != 0, "the first class is not 0 (background)"),
        (len(table.ids) > IGNORE, f"{len(table.ids)} classes; at most {IGNORE} are possible"),
        (len(table.names) != len(table.ids), f"{len(table.ids)} class ids but {len(table.names)} names"),
        (len(table.colours) != len(table.ids), f"{len(table.ids)} class ids but {len(table.colours)} colours"),
        (any(not 0 <= i <= MAX_ID for i in used), f"class ids must lie in 0..{MAX_ID}"),
        (len(set(table.ids)) != len(table.ids), "a class id occurs twice"),
        (len(set(table.names)) != len(table.names), "a class name occurs twice"),
        (not all(table.names), "a class has no name"),
        (table.ignore in table.ids, f"the ignore id {table.ignore} is also a class"),
        (any(not 0 <= v <= 255 for colour in table.colours for v in colour), "a colour lies outside 0..255"),
    )
    return next((fault for wrong, fault in checks if wrong), None)


def _translate(
    values: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8] | None:
    """``table[values]``, by Python's own translation of bytes, which takes a sixth of the time; ``None`` where a value is not ``known``."""
    content = bytearray(np.ascontiguousarray(values))
    if content.translate(None, np.flatnonzero(known).astype(np.uint8).tobytes()):
        return None
    return np.frombuffer(content.translate(table.tobytes()), np.uint8).reshape(values.shape)
