"""What every command has in common, so that each command's own code is one library call.

A command is a function `work(..., progress) -> Outcome`. `command(example=...)` gives it `-h`, `--json`, `-q`, `-v`, `--log-json`,
an example in its help, a display for its progress, and shows its outcome. Only what the user gave is passed on to the
library (an option left out is not mentioned), so that each default has one home: the library.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from adelecli.cli.display import Display
from adelecli.cli.naming import CaseNames
from adelecli.errors import OK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from adelecli.progress import Progress

COMMON = (
    click.option(
        "--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout, nothing else."
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show errors only (and, with --json, the object)."),
    click.option("-v", "--verbose", is_flag=True, help="Show every step as a line, also where stderr is no terminal."),
    click.option(
        "--log-json",
        type=click.Path(path_type=Path),
        metavar="FILE.jsonl",
        help="Append what happens to this file, one JSON object a line (docs/machine.md).",
    ),
    click.option("--log-ids", is_flag=True, help="Show case ids in progress and log lines as they are, not hashed."),
)


@dataclass(frozen=True)
class Talk:
    """What the user said about how much is told, and where; the words of the options above."""

    as_json: bool
    quiet: bool
    verbose: bool
    log_json: Path | None
    log_ids: bool


@dataclass(frozen=True)
class Outcome:
    """What a library call gave: the record for `--json`, and the way to show it to a person.

    `told`: whether this process tells it at all; of several that do one job only one does.
    """

    record: object
    show: Callable[[Console], None]
    told: bool = True

    @property
    def code(self) -> int:
        """The exit code that the record knows; a record without one is all done."""
        code: int = getattr(self.record, "exit_code", OK)
        return code


class ListingCommand(click.Command):
    """A command whose repeatable options also take several values in a row: `--protect liver spleen`.

    Arguments that must be given are filled first. One that may be left out (MASKS) takes a word behind such an option only where
    the word is a place: it is there, or is written as a path. A misspelt folder among the values is refused by the check that
    every value meets.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each further value, then parse as click does."""
        return super().parse_args(ctx, list(self._repeat_options(args)))

    def _repeat_options(self, args: list[str]) -> Iterator[str]:
        options = {flag: option for option in self.params if isinstance(option, click.Option) for flag in option.opts}
        # an argument that takes any number of words is never complete, so it cannot be waited for
        awaited = [one for one in self.params if isinstance(one, click.Argument) and one.nargs == 1]
        missing, optional = len(awaited), not any(one.required for one in awaited)
        listing, value_of = None, None  # the repeatable option whose values go on; the option that waits for its value
        for word in args:
            if value_of is not None:
                listing, value_of = (value_of if options[value_of].multiple else None), None
            elif word.startswith("-") and word != "-":
                option, listing = options.get(word), None
                value_of = word if option is not None and not option.is_flag else None
            elif listing is not None and (not missing or (optional and not _is_place(word))):
                yield listing
            else:
                missing, listing = max(missing - 1, 0), None
            yield word


def _is_place(word: str) -> bool:
    """Whether a word names a file or folder rather than a class, a case or a setting."""
    return word.startswith(("./", "../", "/", "~")) or "://" in word or Path(word).exists()


def command(*, example: str) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Make a click command of a function that calls the library and returns its `Outcome`; the docstring is the help."""

    def decorate(work: Callable[..., Outcome]) -> click.Command:
        def run(
            *, as_json: bool, quiet: bool, verbose: bool, log_json: Path | None, log_ids: bool, **given: Any
        ) -> int:
            talk = Talk(as_json, quiet, verbose, log_json, log_ids)
            outcome = _work_and_tell(work, _drop_defaults(given), talk)
            if outcome.told:
                _present(outcome, work.__name__, as_json=as_json, quiet=quiet)
            return outcome.code

        for option in reversed(COMMON):
            run = option(run)
        # click lists options from the last decorator to the first: what is special about a command stands before COMMON
        run.__click_params__ += getattr(work, "__click_params__", [])  # type: ignore[attr-defined]  # click's own list
        make = click.command(
            work.__name__, ListingCommand, help=inspect.getdoc(work), epilog=f"\b\nExample:\n  {example}"
        )
        return make(run)

    return decorate


def _drop_defaults(given: dict[str, Any]) -> dict[str, Any]:
    """Only what the user wrote; arguments that may be left out and were are gone too."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in given.items() if source(name) is not ParameterSource.DEFAULT}


def _work_and_tell(work: Callable[..., Outcome], given: dict[str, Any], talk: Talk) -> Outcome:
    """Do the work while its progress is shown and, where that was asked for, logged."""
    cases = given.get("cases", ())  # of `demo` it is a number
    names = CaseNames(log_ids=talk.log_ids, known=cases if isinstance(cases, tuple) else ())
    final = bool(given.get("fail_fast"))
    with Display(quiet=talk.quiet, verbose=talk.verbose, names=names, final=final) as display:
        if talk.log_json is None:
            return work(progress=display, **given)
        from adelecli.cli.eventlog import EventLog

        with EventLog(talk.log_json, work.__name__, names) as log:

            def tell(event: Progress) -> None:
                log(event)
                display(event)

            outcome = work(progress=tell, **given)
            log.finish(outcome.code)
            return outcome


def _present(outcome: Outcome, name: str, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from adelecli.cli.answers import VERSIONS
        from adelecli.cli.rendering import encode_answer

        click.echo(encode_answer(outcome.record, VERSIONS[name]))
    elif not quiet:
        from adelecli.cli.rendering import open_console

        outcome.show(open_console())
