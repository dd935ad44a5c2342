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
    """Build the dataclass ``kind`` from keywords.

    Raises ``ConfigError`` naming an unknown one and listing the known, and for one string where a list of them belongs.
    """
    types = {field.name: str(field.type) for field in fields(kind)}
    for name, value in keywords.items():
        if name not in types:
            raise ConfigError(f"there is no option `{name}`", remedy=f"the options are {', '.join(sorted(types))}")
        if isinstance(value, str) and types[name].startswith("Sequence[str]"):  # it would be taken letter by letter
            raise ConfigError(f"`{name}` is a list, not one string", remedy=f"pass [{value!r}]")
    return kind(**keywords)
