"""Standard output that may end before we do: a reader that has gone away, a disk that is full.

Why: programs read our answers through pipes, and stop reading when they know enough (``| head``); a log that fills the disk must not look
like a bug of ours. What must hold: a reader who has gone is no error to tell of; a full disk is one line on stderr; both end with
the code for output that cannot be written, and what the command did before it spoke, a store above all, stays whole.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from adelecli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


class StdoutError(OutputError):
    """Standard output cannot be written."""


class ReaderGoneError(StdoutError):
    """Whoever read it has closed it."""


class Outlet:
    """A text stream whose ``write`` and ``flush`` raise ``StdoutError`` for ``OSError``, ``ReaderGoneError`` for a broken pipe.

    Neither click nor rich lets the plain error through: both end the program themselves, with the code of a bug.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of a text stream."""
        with _translate():
            return self._stream.write(text)

    def flush(self) -> None:
        """As of a text stream."""
        with _translate():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _translate() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGoneError("nobody reads it any more", path="standard output") from None
    except OSError as error:
        remedy = "free the disk, or send it elsewhere"
        raise StdoutError(
            f"cannot be written ({error.strerror or error})", path="standard output", remedy=remedy
        ) from None


@contextmanager
def guarded_stdout() -> Iterator[None]:
    """Within, ``sys.stdout`` is an ``Outlet``; at the end everything is written out, so that a failure is still told."""
    plain = sys.stdout
    if plain is None:
        yield
        return
    sys.stdout = Outlet(plain)
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = plain


def drop_stdout() -> None:
    """Let nothing more be written: what is still held back would fail again while Python closes."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # closed, or no file at all
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
