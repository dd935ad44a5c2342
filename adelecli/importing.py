"""Modules that need an extra, imported so that a missing one is a refusal and no traceback: from Python as on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from adelecli.errors import find_refusal

if TYPE_CHECKING:
    from types import ModuleType


def import_extra(module: str) -> ModuleType:
    """Import ``module``, which may need an extra; ``ConfigError`` where that is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        refusal = find_refusal(error)
        if refusal is None:
            raise
        raise refusal from error
