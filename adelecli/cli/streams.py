"""Standard streams that may end before we do: a reader that has gone away, a disk that is full, a stream that never was.

Why: programs read our answers through pipes, and stop reading when they know enough (``| head``); a log that fills the disk must not look
like a bug of ours; services start programs without any stream. What must hold: a reader of stdout who has gone is no error to tell of; a
full disk under it is one line on stderr; both end with the code for output that cannot be written, and what the command did before it
spoke, a store above all, stays whole. Notes that stderr does not take are lost, and change neither the work nor its exit code.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of a text stream; what its encoding has no sign for is written as JSON escapes it."""
        with _translate():
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:  # nothing of it was written
                self._stream.write(escape_signs(text, self._stream.encoding))
                return len(text)

    def flush(self) -> None:
        """As of a text stream."""
        with _translate():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Hush(Outlet):
    """A text stream that loses what cannot be written: nobody is there to be told, and the work goes on."""

    def write(self, text: str) -> int:
        """As of a text stream, whether or not anything came of it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of a text stream, whether or not anything came of it."""
        with suppress(OSError):
            self._stream.flush()


def escape_signs(text: str, encoding: str) -> str:
    r"""``text`` with the escapes of JSON for what ``encoding`` does not know, so that JSON stays the same JSON.

    >>> escape_signs("M\u00fcller \u80ba", "latin-1") == "M\u00fcller \\u80ba"
    True
    """
    if text == text.encode(encoding, "ignore").decode(encoding):
        return text
    import json  # only such a stream pays for it

    known = {sign for sign in set(text) if sign.encode(encoding, "ignore")}
    return "".join(sign if sign in known else json.dumps(sign)[1:-1] for sign in text)


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
def guarded_streams() -> Iterator[None]:
    """Within, ``sys.stdout`` is an ``Outlet`` and ``sys.stderr`` a ``Hush``; at the end everything is written out.

    Raises ``StdoutError`` where that fails.
    """
    _fill_gaps()
    plain = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Outlet(sys.stdout), Hush(sys.stderr)
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = plain
        try:
            sys.stderr.flush()
        except OSError:
            drop_stream(sys.stderr)


def _fill_gaps() -> None:
    """Put the null device where no stream is: the next file to be opened would take its number, and get what is meant for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the program ends


def drop_stream(stream: TextIO) -> None:
    """Let nothing more be written to it: what is still held back would fail again while Python closes."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # closed, or no file at all
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
