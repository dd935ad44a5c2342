"""Sizes of memory as people write them."""

from __future__ import annotations

import math
import re

from adelecli.errors import ConfigError

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def read_size(text: str | int, name: str = "max_ram") -> int:
    """Bytes of ``8G``, ``512M``, ``2GiB``, ``2Gi`` or a plain number (powers of 1024). Raises ConfigError for anything else.

    >>> read_size("1.5k")
    1536
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:b|ib?)?", str(text).strip().lower())
    size = 0 if match is None else math.floor(float(match[1]) * 2 ** _UNITS[match[2]])
    if size <= 0:
        raise ConfigError(f"`{name}` is {text!r}, not a size", remedy="write it as 512M, 8G or a number of bytes")
    return size
