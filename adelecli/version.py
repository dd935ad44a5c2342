"""The version, alone in a module so that a build can read it without importing anything; and those of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__version__ = "0.1.0"


def find_versions(names: Iterable[str]) -> dict[str, str]:
    """The installed versions of distributions, from their metadata: nothing of them is imported. Those not installed are left out."""
    from importlib.metadata import PackageNotFoundError, version  # not for a build, nor for `adele --help`

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
