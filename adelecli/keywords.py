"""Keyword options of the library calls: one place that refuses what does not exist.

Every command is a call with the option names of the command line; a misspelt keyword must be told, not ignored, in the same words
as an unknown key in a file.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def read_keywords(kind: type[Options], keywords: Mapping[str, object]) -> Options:
    """Build the dataclass ``kind`` from keywords. Raises ``ConfigError`` naming an unknown one and listing the known."""
    known = sorted(field.name for field in fields(kind))
    for name in keywords:
        if name not in known:
            raise ConfigError(f"there is no option `{name}`", remedy=f"the options are {', '.join(known)}")
    return kind(**keywords)
