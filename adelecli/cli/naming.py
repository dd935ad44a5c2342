"""How lines that outlive the terminal name cases, and what of a message they keep: ids and paths can be patient data.

What must hold: unless the user asked for ids, no case id and no path leaves this module; the same case has the same name
within one run of the program, and another one in the next (the salt is drawn anew), so that logs cannot be joined.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH_LIKE = re.compile(r"[/\\]|\.[A-Za-z][A-Za-z0-9]{1,4}\b")
"""What makes a piece of a message a path: a separator, or a word with the ending of a file."""

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
            line = re.sub(rf"(?<!\w){re.escape(case)}(?!\w)", self._hash(case), line)
        clauses = (_drop_paths(clause) for clause in line.split("; "))
        return "; ".join(clause for clause in clauses if clause) or WITHHELD

    def _hash(self, case: str) -> str:
        import hashlib  # only lines that name a case pay for it

        return "#" + hashlib.blake2s(case.encode(errors="surrogateescape"), key=self._salt, digest_size=4).hexdigest()


def _drop_paths(clause: str) -> str:
    parts = clause.split(": ")
    last = max((place for place, part in enumerate(parts) if PATH_LIKE.search(part)), default=-1)
    return ": ".join(parts[last + 1 :])
