"""The classes of a run: those that the model's contract promises, as long as the data set does not call them otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.labels.classes import ClassTable
from adelecli.volumes.listing import is_remote
from adelecli.volumes.naming import read_class_table

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.runtime.contract import Contract


def read_table(contract: Contract) -> ClassTable:
    """The class table that a model's contract promises, in channel order."""
    entries = contract.classes
    return ClassTable(
        ids=tuple(entry.id for entry in entries),
        names=tuple(entry.name for entry in entries),
        ignore=contract.ignore,
        colours=tuple(entry.colour for entry in entries),
    )


def refuse_other_ids(table: ClassTable, masks: Path) -> None:
    """Raise ``ConfigError`` where the data set of ``masks`` gives another number to a class that the model knows by its name.

    A model knows labels by their numbers, so it would take one organ for another in every case. Capitals and what stands between words
    do not matter; a data set that names nothing, or regions of several labels, is taken at its numbers. A file of names that cannot
    be read or understood is a ``ConfigError`` too: what it says might be that very difference.
    """
    named = None if is_remote(masks) else read_class_table(masks, skip_regions=True)
    if named is None:
        return
    known = {_fold(name): number for number, name in zip(table.ids, table.names, strict=True) if number}
    for number, name in zip(named.ids, named.names, strict=True):
        if number and known.get(_fold(name), number) != number:
            raise ConfigError(
                f"{masks}: label {number} is called {name!r}, which is label {known[_fold(name)]} of the model",
                remedy="renumber the labels, or use a model that was made for these",
            )


def _fold(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())
