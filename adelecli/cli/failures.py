"""The one place where an error becomes an exit code and a line on stderr.

What must hold: an error is one line (the file, the fact, the remedy); only an internal error, which is our bug, shows its
traceback and ends with code 1; with `--json` stdout still holds one JSON object, with `error` and `code`. The numbers
themselves live in `adelecli.errors`.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from adelecli.errors import INTERRUPTED, AdeleError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

INTERNAL = AdeleError.exit_code


def guard_exit(work: Callable[[], object], *, as_json: bool) -> int:
    """Run `work` and return the exit code of its end: what it returned, or the code of the error it raised.

    An error nobody expected passes through, with its traceback, by way of Python's own hook, which exits with 1.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if as_json:
        sys.excepthook = _report_bug
    try:
        code = work()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ConfigError.exit_code
    except click.UsageError as error:
        return _refuse(_describe_usage(error), ConfigError.exit_code, as_json=as_json)
    except click.Abort as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return _refuse("interrupted; the run can be resumed with --resume", INTERRUPTED, as_json=as_json)
    except ModuleNotFoundError as error:
        if (error.name or "adelecli").startswith("adelecli"):
            raise
        return _refuse(_describe_missing(str(error.name)), ConfigError.exit_code, as_json=as_json)
    except AdeleError as error:
        if error.exit_code == INTERNAL:
            raise
        return _refuse(str(error), error.exit_code, as_json=as_json)
    return code if isinstance(code, int) else 0


def _describe_missing(library: str) -> str:
    """Which extra brings a library that is not installed."""
    if library in {"starlette", "uvicorn"}:
        return f"{library} is not installed; `adele review` needs the extra: pip install 'adele[review]'"
    remedy = "`adele train`, `export`, `demo` and `bench` need the extra: pip install 'adele[train]'"
    return f"{library} is not installed; {remedy}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    """A polite request to stop is treated like the user's own Ctrl-C: what is finished stays, the rest can be resumed."""
    raise KeyboardInterrupt(number, frame)


def _describe_usage(error: click.UsageError) -> str:
    """One line: which command, what is wrong, where the help is."""
    command = error.ctx.command_path if error.ctx else "adele"
    fact = " ".join(error.format_message().split()).rstrip(".").replace(". (", " (")
    return f"{command}: {fact}; see `{command} -h`"


def _refuse(line: str, code: int, *, as_json: bool) -> int:
    if as_json:
        click.echo(_encode_error(line, code))
    click.echo(f"Error: {line}", err=True)
    return code


def _encode_error(line: str, code: int) -> str:
    import json  # only a failing `--json` call pays for it

    return json.dumps({"error": line, "code": code})


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The hook for what nobody expected under `--json`: the object on stdout, the traceback on stderr."""
    click.echo(_encode_error(f"internal error: {kind.__name__}: {error}", INTERNAL))
    sys.__excepthook__(kind, error, trace)
