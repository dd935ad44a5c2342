"""The one place where an error becomes an exit code and a line on stderr.

What must hold: an error is one line (the file, the fact, the remedy); only an internal error, which is our bug, shows its
traceback and ends with code 1; with `--json` stdout still holds one JSON object, with `error` and `code`. The numbers
themselves live in `adelecli.errors`.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from adelecli.cli.streams import ReaderGoneError, StdoutError, drop_stream, guarded_streams
from adelecli.errors import INTERRUPTED, AdeleError, ConfigError, RunInterrupt, find_refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

INTERNAL = AdeleError.exit_code
ONE_REQUEST_S = 1.0
"""Signals closer together are one request: `timeout` and schedulers send theirs to the process and to its group."""

REMEDIES = {
    "train": "the run can be resumed with --resume RUN",
    "correct": "the run can be resumed with --resume",
    "predict": "the run can be resumed with --resume",
    "bench": "the same command goes on where it stopped",
    "revert": "the same command goes on where it stopped",
    "convert": "the same command with --overwrite starts again",
    "corrupt": "the same command with --overwrite starts again",
    "demo": "remove its folder, or name another --out, to start again",
}
"""How to go on with an interrupted command; the others start again. ``RUN`` stands for the folder of the run."""


def guard_exit(work: Callable[[], object], *, as_json: bool, command: str = "") -> int:
    """Run `work` and return the exit code of its end: what it returned, or the code of the error it raised.

    `command` is the word that named it: an interruption is told with how to go on.

    An error nobody expected passes through, with its traceback, by way of Python's own hook, which exits with 1.
    """
    _listen()
    if as_json:
        sys.excepthook = _report_bug
    try:
        with guarded_streams():
            try:
                return _end_work(work, as_json=as_json, command=command)
            except StdoutError as error:
                return _give_up(error)
    except StdoutError as error:  # what was held back until the end
        return _give_up(error)


def _end_work(work: Callable[[], object], *, as_json: bool, command: str) -> int:
    try:
        code = work()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ConfigError.exit_code
    except click.UsageError as error:
        return _refuse(_describe_usage(error), ConfigError.exit_code, as_json=as_json)
    except (click.Abort, KeyboardInterrupt) as error:  # click makes the one of the other while it runs
        interruption = (error.__cause__ or error) if isinstance(error, click.Abort) else error
        if not isinstance(interruption, KeyboardInterrupt):
            raise
        return _refuse(_describe_interruption(command, interruption), INTERRUPTED, as_json=as_json)
    except (AdeleError, ModuleNotFoundError) as error:
        refusal = find_refusal(error)
        if refusal is None or refusal.exit_code == INTERNAL or isinstance(refusal, StdoutError):
            raise
        return _refuse(str(refusal), refusal.exit_code, as_json=as_json)
    return code if isinstance(code, int) else 0


def _listen() -> None:
    """Let SIGTERM end the work as Ctrl-C does: what is finished stays, the rest can be resumed."""
    heard = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        before, heard = heard, time.monotonic()
        if heard - before > ONE_REQUEST_S:  # a second exception would disturb the first one's tidying up
            raise KeyboardInterrupt(number, frame)

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # `nohup` and `&` have it ignored; so be it
        signal.signal(signal.SIGINT, interrupt)


def _describe_interruption(command: str, interruption: KeyboardInterrupt) -> str:
    """One line that says how to go on, with the run's folder where it is known."""
    run = interruption.run if isinstance(interruption, RunInterrupt) else "RUN"
    return f"interrupted; {REMEDIES.get(command, 'the same command starts again').replace('RUN', str(run))}"


def _describe_usage(error: click.UsageError) -> str:
    """One line: which command, what is wrong, where the help is."""
    command = error.ctx.command_path if error.ctx else "adele"
    fact = " ".join(error.format_message().split()).rstrip(".").replace(". (", " (")
    return f"{command}: {fact}; see `{command} -h`"


def _refuse(line: str, code: int, *, as_json: bool) -> int:
    click.echo(f"Error: {line}", err=True)
    if as_json:
        try:
            click.echo(_encode_error(line, code))
        except StdoutError as error:  # what went wrong first has been told, and its code says more
            _give_up(error)
    return code


def _give_up(error: StdoutError) -> int:
    """Write no more to stdout, tell why unless its reader has gone, and return the code."""
    drop_stream(sys.stdout)
    if not isinstance(error, ReaderGoneError):
        click.echo(f"Error: {error}", err=True)
    return error.exit_code


def _encode_error(line: str, code: int) -> str:
    import json  # only a failing `--json` call pays for it

    return json.dumps({"error": line, "code": code})


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The hook for what nobody expected under `--json`: the traceback on stderr, the object on stdout."""
    sys.__excepthook__(kind, error, trace)
    try:
        click.echo(_encode_error(f"internal error: {kind.__name__}: {error}", INTERNAL))
    except OSError:
        drop_stream(sys.stdout)
