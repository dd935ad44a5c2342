"""Progress on stderr: live on a terminal, one line a step with `-v`, silent otherwise.

What must hold: nothing here writes to stdout; notices are shown once each, unless `-q` (a failed case is an error and always
shown, and so is the address of a review); rich is imported when the first live step arrives, so short commands do not pay for it;
lines name cases by a salted short hash unless `--log-ids`, because a log outlives the terminal and case ids can be patient data.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, Self

import click

from adelecli.cli.epochs import CURVE, describe_epoch
from adelecli.cli.naming import CaseNames

if TYPE_CHECKING:
    from types import TracebackType

    from adelecli.progress import Progress


FAILED = "case"  # the stage of a notice that says why one case of a batch failed
ADDRESS = "address"  # the stage of a notice without which the work is of no use: where the review is


class Panel(Protocol):
    """What a terminal shows while work goes on (see `panel.py`)."""

    def show(self, event: Progress) -> None:
        """Take one step in."""

    def say(self, line: str) -> None:
        """A line above the moving part."""

    def close(self) -> None:
        """Give the terminal back."""


class Display:
    """The callback handed to the library; a context manager, so that the terminal is given back whatever happens."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        log_ids: bool = False,
        names: CaseNames | None = None,
        final: bool = False,
    ) -> None:
        self._final = final  # the first failed case ends the work, so the error that ends it is that case's line
        self._quiet, self._verbose = quiet, verbose and not quiet
        self._names = names or CaseNames(log_ids=log_ids)
        self._live = sys.stderr.isatty() and not quiet
        self._panel: Panel | None = None
        self._said: set[str] = set()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._panel is not None:
            self._panel.close()

    def __call__(self, event: Progress) -> None:
        """Show one step."""
        failed = event.stage == FAILED
        if failed and self._final:
            return
        if (
            event.notice is not None
            and (failed or event.stage == ADDRESS or not self._quiet)
            and event.notice not in self._said
        ):
            self._said.add(event.notice)
            self._say(f"{'Error' if failed else 'Note'}: {event.notice}")
        if self._live:
            self._open_panel().show(event)
        if self._verbose and event.notice is None and is_worth_a_line(event):
            self._say(self._describe(event))

    def _open_panel(self) -> Panel:
        if self._panel is None:
            from adelecli.cli.panel import LivePanel

            self._panel = LivePanel()
        return self._panel

    def _say(self, line: str) -> None:
        if self._panel is not None:
            self._panel.say(line)
        else:
            click.echo(line, err=True)

    def _describe(self, event: Progress) -> str:
        """One line: seconds since the start, the stage, where it is, the case, and what it measured."""
        parts = [f"{time.monotonic() - self._started:8.1f} s", event.stage]
        if event.total:
            parts.append(f"{event.done}/{event.total}")
        if event.case is not None:
            parts.append(self._names.name(event.case))
        if CURVE in event.detail:
            parts.append(describe_epoch(event.detail))
        return " ".join(parts)


def is_worth_a_line(event: Progress) -> bool:
    """Cases, epochs and the ends of stages are; a step of the optimiser is not."""
    return event.case is not None or CURVE in event.detail or event.done == event.total
