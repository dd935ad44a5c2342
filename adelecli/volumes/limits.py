"""What a file may claim to hold, held to its size before memory is asked for.

A header of some bytes can promise 10^18 voxels, and a packed file can unpack to a thousand times its size. So a claim is refused when no
honest file of this length could keep it, and, whatever the length, above a cap: one volume of 64 GiB. A hospital with larger ones sets
the environment variable ``ADELE_MAX_VOLUME_GIB``. What must hold: the check comes before the allocation.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from adelecli.errors import CaseError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "ADELE_MAX_VOLUME_GIB"
DEFAULT_GIB = 64.0

HARMLESS = 1 << 26
"""A claim up to 64 MiB needs no suspicion: an all-white page packs better than any rule foresees."""

PICTURE_RATIO = 10_000
"""Bytes of pixels per byte of a picture file, at most: ten times what deflate can do; fax coding of empty pages comes near it."""


def find_cap() -> int:
    """The most bytes that one volume may claim. Raises ConfigError when the variable is no number above 0."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return int(DEFAULT_GIB * 2**30)
    try:
        gib = float(text)
    except ValueError:
        gib = -1.0
    if not 0 < gib < 2**30:
        raise ConfigError(
            f"${VARIABLE} is {text!r}, not a number of GiB", remedy="write it as 64 or 0.5, or leave it out"
        )
    return int(gib * 2**30)


def check_claim(path: Path, claimed: int, ratio: float | None = None) -> None:
    """Raise CaseError when the file ``path`` claims more bytes than the cap, or more than ``ratio`` times its own size."""
    cap = find_cap()
    if claimed > cap:
        fact = f"claims to hold {claimed >> 20} MiB, more than the {cap >> 20} MiB that a volume may have"
        raise CaseError(fact, path=path, remedy=f"restore it from its source, or raise ${VARIABLE}")
    if ratio is not None and claimed > HARMLESS and claimed > ratio * path.stat().st_size:
        fact = f"claims to hold {claimed >> 20} MiB in a file of {path.stat().st_size} bytes"
        raise CaseError(fact, path=path, remedy="restore it from its source")
