"""The classes of a run: those that the model's contract promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.labels.classes import ClassTable

if TYPE_CHECKING:
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
