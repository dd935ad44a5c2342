"""How lines that outlive the terminal name cases, and what of a message they keep: ids and paths can be patient data.

What must hold: unless the user asked for ids, no case id and no path leaves this module; the same case has the same name
within one run of the program, and another one in the next (the salt is drawn anew), so that logs cannot be joined.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from adelecli.errors import make_printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PATH_LIKE = re.compile(r"[/\\]|\.[A-Za-z][A-Za-z0-9]{1,4}\b")
"""What makes a piece of a message a path: a separator, or a word with the ending of a file."""

CHANNEL = r"_[0-9]{4}\b"
"""What may follow a case id in the name of an image."""

WITHHELD = "(withheld; --log-ids shows it)"


class CaseNames:
    """Gives each case its name in lines; ``known`` are words of the command line that may be ids or patterns of ids."""

    def __init__(self, *, log_ids: bool, known: Iterable[str] = ()) -> None:
        self._log_ids, self._salt = log_ids, os.urandom(8)
        self._seen = {word for word in known if word}

    def name(self, case: str) -> str:
        """The id itself where ids may be shown, else its salted short hash."""
        if self._log_ids:
            return case
        self._seen.add(case)
        return self._hash(case)

    def clean(self, message: str) -> str:
        """The message on one line, without ids and paths unless they may be shown.

        A message reads ``path: fact; remedy``. Of each clause only what comes after the last path in it is kept.
        """
        line = " ".join(message.split())
        if self._log_ids:
            return line
        for case in sorted(self._seen, key=len, reverse=True):
            told = make_printable(case)  # as every message tells it
            if told:
                line = re.sub(rf"(?<!\w){re.escape(told)}(?:(?!\w)|(?={CHANNEL}))", self._hash(case), line)
        clauses = map(_drop_paths, _join_paths(line.split("; ")))
        return "; ".join(clause for clause in clauses if clause) or WITHHELD

    def _hash(self, case: str) -> str:
        import hashlib  # only lines that name a case pay for it

        return "#" + hashlib.blake2s(case.encode(errors="surrogateescape"), key=self._salt, digest_size=4).hexdigest()


def _join_paths(clauses: Sequence[str]) -> list[str]:
    """The clauses, but for paths that hold a ``; `` themselves: what lies between two pieces of a path belongs to it."""
    joined: list[str] = []
    first = 0
    while first < len(clauses):
        last = first
        if PATH_LIKE.search(clauses[first].rpartition(": ")[2]):
            pieces = (at for at in range(first + 1, len(clauses)) if PATH_LIKE.search(clauses[at].partition(": ")[0]))
            last = max(pieces, default=first)
        joined.append("; ".join(clauses[first : last + 1]))
        first = last + 1
    return joined


def _drop_paths(clause: str) -> str:
    parts = clause.split(": ")
    last = max((place for place, part in enumerate(parts) if PATH_LIKE.search(part)), default=-1)
    return ": ".join(parts[last + 1 :])
