"""Keyword options of the library calls: one place that refuses what does not exist or has the wrong type.

Every command is a call with the option names of the command line; a misspelt keyword must be told, not ignored, in the same words
as an unknown key in a file. Programs hand over what a form or a configuration gave them, so a number that came as text must be
an error with a name too, and `None` means what it means on the command line: not given.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeVar

from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

_PLAIN: dict[str, tuple[type | tuple[type, ...], str]] = {
    "str": (str, "text"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "StrPath": ((str, os.PathLike), "a path"),
    "float | Mapping[str, float]": ((Real, Mapping), "a number, or one for each name"),
}
"""Annotation of a field (without its `None`) -> what a value of it must be, and the word for that."""


def read_keywords(kind: type[Options], keywords: Mapping[str, object]) -> Options:
    """Build the dataclass ``kind`` from keywords; ``None`` leaves an option at its default.

    Raises ``ConfigError`` naming an unknown one and listing the known, and for a value of another type than the field's.
    """
    types = {field.name: str(field.type) for field in fields(kind)}
    for name, value in keywords.items():
        if name not in types:
            raise ConfigError(f"there is no option `{name}`", remedy=f"the options are {', '.join(sorted(types))}")
        if value is not None:
            _check_type(name, value, types[name].removesuffix(" | None"))
    return kind(**{name: value for name, value in keywords.items() if value is not None})


def _check_type(name: str, value: object, annotation: str) -> None:
    """Refuse what the code behind would stumble over; an annotation that is not known here is checked there."""
    if annotation in _PLAIN:
        wanted, word = _PLAIN[annotation]
        fits = isinstance(value, wanted) and not (isinstance(value, Mapping) and not _is_text(value))
        if not fits:
            raise ConfigError(f"`{name}` is {value!r}", remedy=f"give {word}")
    if annotation == "bool" and value not in (True, False):  # "no" would count as yes
        raise ConfigError(f"`{name}` is {value!r}", remedy="give True or False")
    if annotation.startswith(("Sequence[str]", "tuple[str")):
        refuse_string(name, value)
        if not isinstance(value, Collection) or not _is_text(value):
            raise ConfigError(f"`{name}` is {value!r}", remedy="give a list of strings")


def refuse_string(name: str, value: object) -> None:
    """Raise ``ConfigError`` for one string where a list of them belongs: it would be taken letter by letter."""
    if isinstance(value, str):
        raise ConfigError(f"`{name}` is a list, not one string", remedy=f"pass [{value!r}]")


def _is_text(values: Collection[object]) -> bool:
    return all(isinstance(one, str) for one in values)
