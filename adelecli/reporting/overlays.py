"""Slices as pictures that a page can hold: the image as a small JPEG, labels and changes as transparent PNGs laid over it.

Kept apart, so that one image serves before, after and difference, and so that a page can fade the labels. Colours are those of
Okabe & Ito, and what a correction removed is hatched as well: a picture must be legible without colour. What must hold: the same
arrays give the same bytes.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.reporting import style
from adelecli.store.changes import ADDED, RELABELLED, REMOVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

YELLOW = "#F0E442"
HUES = (style.ORANGE, style.BLUE, style.GREEN, style.PURPLE, YELLOW, style.SKY, style.VERMILLION)
"""Colours of the classes by their place.

The first two differ from each other and from the grey of an image for colour-blind readers, too; those that also stand for a change
come last, so that few stores need them.
"""
CHANGE_COLOURS = {ADDED: style.SKY, REMOVED: style.VERMILLION, RELABELLED: YELLOW}
LEGEND = tuple(zip(("added", "removed", "relabelled"), CHANGE_COLOURS.values(), strict=True))
"""What the colours of a difference mean, in words."""
FILL, LINE = 70, 255
"""Opacity of an area and of its outline, 0..255."""


def split_colour(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0..255, of ``#RRGGBB``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix_colours(one: str, other: str) -> str:
    """The colour half way between two.

    >>> mix_colours("#E69F00", "#FFFFFF")
    '#F2CF7F'
    """
    pairs = zip(split_colour(one), split_colour(other), strict=True)
    return "#" + "".join(f"{sum(pair) // 2:02X}" for pair in pairs)


PALETTE = (*HUES, *(mix_colours(hue, "#FFFFFF") for hue in HUES), *(mix_colours(hue, "#000000") for hue in HUES))
"""The hues, the same lighter, the same darker; with still more classes they repeat."""


def find_window(values: NDArray[Any]) -> tuple[float, float]:
    """The grey values that become black and white: the 1st and 99th percentile of an array that is not empty."""
    low, high = np.nanpercentile(values.astype(np.float32), (1, 99))
    return float(low), float(high)


def encode_image(picture: NDArray[Any], size: tuple[int, int], window: tuple[float, float] | None = None) -> bytes:
    """A grey JPEG of a slice ``[H, W]``, brought to ``size`` (height, width); ``window``: see ``find_window`` (``None``: its own)."""
    from PIL import Image

    values = np.nan_to_num(picture.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = window or find_window(values)
    grey = np.clip((values - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(grey).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return _save(image, "JPEG", quality=74, optimize=True)


def encode_labels(labels: NDArray[Any], ids: Sequence[int], size: tuple[int, int]) -> bytes:
    """A transparent PNG of the classes ``ids`` (in the order of their colours) of a slice ``[H, W]``: areas faint, outlines full."""
    numbers = np.zeros(labels.shape, np.uint8)
    for place, number in enumerate(ids):
        numbers[labels == number] = 1 + place % len(PALETTE)
    large = _enlarge(numbers, size)
    edge = _find_outline(large)
    index = np.where(large == 0, 0, 2 * large - 1 + edge).astype(np.uint8)
    colours, opacity = [(0, 0, 0)], [0]
    for colour in PALETTE[: len(ids)]:  # the fewer colours, the fewer bits a pixel takes
        colours += [split_colour(colour)] * 2
        opacity += [FILL, LINE]
    return _encode_indexed(index, colours, opacity)


def encode_changes(changes: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    """A transparent PNG of a change map ``[H, W]``: added full, removed hatched, relabelled dotted, each outlined."""
    large = _enlarge(changes, size)
    edge = _find_outline(large)
    rows, columns = np.indices(large.shape)
    hatched = (rows + columns) % 6 < 3
    dotted = (rows // 2 + columns // 2) % 2 == 0
    drawn = (large == ADDED) | ((large == REMOVED) & (hatched | edge)) | ((large == RELABELLED) & (dotted | edge))
    index = np.where(drawn, large, 0).astype(np.uint8)
    colours = [(0, 0, 0), *(split_colour(CHANGE_COLOURS[kind]) for kind in (ADDED, REMOVED, RELABELLED))]
    return _encode_indexed(index, colours, [0, 190, 235, 235])


def to_uri(data: bytes) -> str:
    """The picture as a data URI."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def pick_colour(place: int) -> str:
    """The colour of the foreground class at ``place`` (0 = first)."""
    return PALETTE[place % len(PALETTE)]


def _enlarge(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Nearest neighbour: a label is never a mixture of two."""
    rows = (np.arange(size[0]) + 0.5) * array.shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * array.shape[1] / size[1]
    grown: NDArray[Any] = array[rows.astype(int)][:, columns.astype(int)]
    return grown


def _find_outline(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of an area that touch another one, or the edge of the picture."""
    padded = np.pad(array, 1)
    middle = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs = np.logical_or.reduce([part != middle for part in around])
    return np.asarray(differs & (array != 0))


def _encode_indexed(index: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]], opacity: Sequence[int]) -> bytes:
    from PIL import Image

    image = Image.fromarray(index)
    image.putpalette([value for colour in colours for value in colour])
    return _save(image, "PNG", optimize=True, transparency=bytes(opacity))


def _save(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
