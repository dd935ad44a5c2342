"""Lists of case ids, as users write them: a text file with one id a line, or the ids themselves.

Why: a misspelt id that is passed over would train on a case that was to be held out, or change labels that were to be kept. What must
hold: every id named is one of the data set's; empty lines and repetitions do not count.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.caseids import compose_id
from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CaseList = str | PathLike[str] | tuple[str, ...] | list[str]
"""A text is the path of a file, not an id."""


def read_case_list(given: CaseList, known: Iterable[str], kind: str) -> tuple[str, ...]:
    """The ids that the file ``given`` names, or the ids ``given``, ascending; ``kind`` says in errors what they are.

    Raises ``ConfigError`` for an unreadable file, and for an id that is not ``known`` (naming the file and the id).
    """
    path, lines = _read_lines(given, kind)
    ids = set(known)
    # An id may begin or end with a space; a line may too, where nobody meant it.
    wanted = {line if line in ids else line.strip() for line in map(compose_id, lines)} - {""}
    missing = sorted(wanted - ids)
    if missing:
        fact = f"names {missing[0]!r}, which is no usable case"
        raise ConfigError(
            fact if path is not None else f"the list of {kind} cases {fact}", path=path, remedy="one case id a line"
        )
    return tuple(sorted(wanted))


def _read_lines(given: CaseList, kind: str) -> tuple[Path | None, Sequence[str]]:
    if not isinstance(given, str | PathLike):
        return None, given
    path = Path(given)
    try:
        return path, path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the list of {kind} cases is not readable ({error})", path=path) from None
