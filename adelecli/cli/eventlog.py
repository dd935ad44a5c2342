"""``--log-json``: what happened, as JSON Lines, for the programs that watch a run.

One line an event, appended and flushed at once, so that whoever follows the file is never behind and a killed run keeps what
it said; several runs may share a file, since each line names its run. Described by ``schemas/log-1.schema.json``. What must hold: a
line holds no case id and no path unless ``--log-ids`` (see ``naming``); the last line of a run that was not killed tells its exit code.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from adelecli.cli.display import FAILED, is_worth_a_line
from adelecli.errors import INTERRUPTED, OK, AdeleError, OutputError, find_refusal

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from adelecli.cli.naming import CaseNames
    from adelecli.progress import Progress

VERSION: Final = 1
MEASURES = ("epoch", "epochs", "losses", "names", "curve", "onset", "seconds", "step", "seconds_left")
"""What of an event's detail is logged: numbers and names of classes, never paths or ids."""

Event = Literal["started", "step", "notice", "case_failed", "finished", "interrupted", "failed"]


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. ``time`` is UTC, ISO 8601; ``run`` tells the runs of a shared file apart; ``case`` is a salted hash or the id.

    ``done`` of ``total`` units of the ``stage`` are finished; ``detail`` holds what an epoch measured; ``code``: the exit code, in the
    last line of a run.
    """

    time: str
    level: Literal["debug", "info", "warning", "error"]
    event: Event
    command: str
    run: str
    schema: Literal[1]
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    case: str | None = None
    message: str | None = None
    detail: dict[str, Any] | None = None
    code: int | None = None


class EventLog:
    """Writes the lines of one run of ``command`` to ``path``; a callback for progress and a context manager around the work.

    Raises ``OutputError`` where the file cannot be opened or written.
    """

    def __init__(self, path: Path, command: str, names: CaseNames) -> None:
        self._path, self._command, self._names = path, command, names
        self._run, self._lock, self._code = os.urandom(4).hex(), Lock(), OK
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._refuse(error) from error
        self._write("info", "started")

    def __enter__(self) -> Self:
        return self

    def finish(self, code: int) -> None:
        """Take note of the exit code of work that ran to its end."""
        self._code = code

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._write("info" if self._code == OK else "warning", "finished", code=self._code)
                return
            with suppress(OutputError):  # what ended the work matters more than that the log cannot tell it
                self._tell_end(error)

    def _tell_end(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._write("warning", "interrupted", code=INTERRUPTED)
        elif (refusal := find_refusal(error)) is not None:
            self._write("error", "failed", code=refusal.exit_code, message=self._names.clean(str(refusal)))
        else:  # the message of a bug may hold anything; its traceback goes to stderr
            self._write("error", "failed", code=AdeleError.exit_code, message=type(error).__name__)

    def __call__(self, event: Progress) -> None:
        """Log a step that is worth a line, or a notice."""
        case = None if event.case is None else self._names.name(event.case)
        if event.notice is not None:
            message = self._names.clean(event.notice)
            failed = event.stage == FAILED
            what: Event = "case_failed" if failed else "notice"
            self._write("error" if failed else "warning", what, stage=event.stage, case=case, message=message)
        elif is_worth_a_line(event):
            detail = {name: event.detail[name] for name in MEASURES if name in event.detail} or None
            self._write("info", "step", stage=event.stage, done=event.done, total=event.total, case=case, detail=detail)

    def _write(self, level: Literal["info", "warning", "error"], event: Event, **more: Any) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = LogLine(time, level, event, self._command, self._run, VERSION, **more)
        try:
            with self._lock:  # the reading thread tells of its cases too
                self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise self._refuse(error) from error

    def _refuse(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(f"the log cannot be written ({reason})", path=self._path, remedy="name another --log-json")
