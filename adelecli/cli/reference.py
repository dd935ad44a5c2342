"""`docs/reference.md`, made of the commands themselves: `python -m adelecli.cli.reference > docs/reference.md`, or `make reference`.

A reference kept by hand is wrong after the next option. What must hold: everything that `-h` says about a command stands in the
page, in the same words, and a test fails when the page is not what `format_reference` gives.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from itertools import chain
from typing import TYPE_CHECKING

import click

from adelecli import errors
from adelecli.cli.app import COMMANDS, program
from adelecli.cli.commands import COMMON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH = 140
HELP_NAMES = ["-h", "--help"]

HEAD = """# Reference: every command with its options

Made from the program by `make reference`; whoever changes an option makes the page again. `adele COMMAND -h` says the same.

A value in capitals is yours to fill in. An option with `...` takes several values in a row (`--protect liver spleen`) or may be repeated;
a word behind it that is there on disk, or is written as a path (`./masks`), is the argument.
Sizes are bytes with a unit (`8G`). Every command is a library call of the same name with the same options (see [api.md](api.md)).
"""

ENVIRONMENT = {
    "ADELE_MODEL": "model of `correct`, `predict` and `check` where no `--model` is given",
    "ADELE_MAX_VOLUME_GIB": "GiB that one volume may claim, a number; 64 where it is not set",
    "_ADELE_COMPLETE": "set by the completion of the shell (see [install.md](install.md#shell-completion))",
    "XDG_CACHE_HOME": "the user's cache, in which `adele/tensorrt` keeps the engines that TensorRT builds; `~/.cache` where it is not set",
    "SLURM_ARRAY_TASK_ID, _MIN, _COUNT, _STEP": "which part of the cases a job of a Slurm array takes, where no `--shard` is given",
    "NVIDIA_TF32_OVERRIDE": "the driver's; `0` makes TensorRT compute products in full float32",
    "CUDA_VISIBLE_DEVICES": "the driver's; the GPUs that the program sees",
    "RANK, LOCAL_RANK, WORLD_SIZE": "set by `torchrun`: one training on several GPUs",
    "OMP_NUM_THREADS": "threads of torch in training; `--workers` and `--jobs` use one thread a process",
}
"""What the program reads from its surroundings, one line each; none of it is needed."""

EXITS = (
    (errors.OK, "All done; also: nothing needed changing."),
    (errors.AdeleError.exit_code, "An internal error: our bug, with its traceback."),
    (errors.SOME_FAILED, "Some cases failed; the others are published."),
    (
        errors.SOME_QUARANTINED,
        "No case failed, some were quarantined: they keep their labels until somebody has looked.",
    ),
    (errors.INTERRUPTED, "Interrupted (Ctrl-C, SIGTERM); the run can be resumed."),
)


def format_reference() -> str:
    """The whole page, as Markdown that ends with a line break."""
    commands = {name: program.get_command(click.Context(program), name) for name in COMMANDS}
    found = {name: command for name, command in commands.items() if command is not None}
    exits = ((str(code), text) for code, text in _list_exits())
    blocks = chain(
        [HEAD],
        _list_commands(found.values()),
        *(_describe_command(name, command) for name, command in found.items()),
        ["\n## Options of every command\n"],
        _tabulate_options(_list_common()),
        ["\n## Options of the program\n"],
        _tabulate_options([*program.params, *_list_help(program)]),
        ["\n## Environment\n"],
        _tabulate(("variable", "meaning"), ((_quote(name), text) for name, text in ENVIRONMENT.items())),
        ["\n## Exit codes\n"],
        _tabulate(("code", "meaning"), exits),
        ["\nWhich command ends with which code, and how each is reached: [exit-codes.md](exit-codes.md)."],
    )
    return "\n".join(blocks).rstrip("\n") + "\n"


def _list_commands(commands: Iterable[click.Command]) -> Iterator[str]:
    rows = ((f"[`adele {one.name}`](#adele-{one.name})", one.get_short_help_str(200)) for one in commands)
    return _tabulate(("command", "does"), rows)


def _describe_command(name: str, command: click.Command) -> Iterator[str]:
    """Usage, what it does, arguments and options, an example."""
    context = click.Context(
        command, info_name=f"adele {name}", help_option_names=HELP_NAMES
    )  # click remembers the first
    usage = " ".join(command.collect_usage_pieces(context))
    example = (command.epilog or "").partition("Example:")[2].strip()
    yield f"\n## `adele {name}`\n"
    yield f"    adele {name} {usage}\n"
    yield _wrap(command.help or "") + "\n"
    common = {option.name for option in _list_common()}
    yield from _tabulate_options([option for option in command.params if option.name not in common])
    yield f"\nFor example:\n\n    {example}"


def _list_common() -> list[click.Parameter]:
    """What every command has besides its own options."""

    @click.command()
    def nothing() -> None:
        """Carry the common options, so that click tells them."""

    for option in COMMON:
        option(nothing)
    return [*nothing.params, *_list_help(nothing)]


def _list_help(command: click.Command) -> list[click.Parameter]:
    context = click.Context(command, help_option_names=HELP_NAMES)
    option = command.get_help_option(context)
    return [] if option is None else [option]


def _tabulate_options(parameters: Iterable[click.Parameter]) -> Iterator[str]:
    rows = [_describe_option(option) for option in parameters if isinstance(option, click.Option)]
    return _tabulate(("option", "default", "meaning"), rows)


def _describe_option(option: click.Option) -> tuple[str, str, str]:
    """Names with the value's form; the default as the help names it; the rest of the help."""
    names = ", ".join([*option.opts, *option.secondary_opts])
    form = "" if option.is_flag or option.count else option.make_metavar(click.Context(click.Command(None)))
    text, default = _split_default(_unwrap(option.help or ""))
    if option.is_flag and not option.secondary_opts:
        default = default or "off"
    return _quote(f"{names} {form}".strip()), "required" if option.required else default, _escape(text)


def _split_default(text: str) -> tuple[str, str]:
    """The help without its `[default: ...]`, and what stood in it.

    >>> _split_default("Seed of every draw [default: 0].")
    ('Seed of every draw.', '0')
    """
    found = re.search(r"\s*\[default: ([^\]]*)\]", text)
    if found is None:
        return text, ""
    return text[: found.start()] + text[found.end() :], _escape(found[1])


def _list_exits() -> list[tuple[int, str]]:
    """Every exit code with its meaning, in order: those of a whole run, and those of the errors, from their own docstrings."""
    leaves = [
        (leaf.exit_code, (inspect.getdoc(leaf) or "").replace("``", "`")) for leaf in errors.AdeleError.__subclasses__()
    ]
    told = {code for code, _ in EXITS}
    return sorted([*EXITS, *((code, text) for code, text in leaves if code not in told)])


def _tabulate(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A Markdown table; nothing at all where there are no rows."""
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    if lines:
        yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"
        yield from lines


def _unwrap(text: str) -> str:
    """Help as click wraps it, each paragraph on one line."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).replace("\b\n", "").split("\n\n"))


def _wrap(text: str) -> str:
    """The same with lines as wide as those of the other pages."""
    return "\n\n".join(
        textwrap.fill(part, WIDTH, break_on_hyphens=False, break_long_words=False)
        for part in _unwrap(text).split("\n\n")
    )


def _escape(text: str) -> str:
    """What would end a table's cell, or begin a tag, made harmless."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _quote(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


if __name__ == "__main__":
    click.echo(format_reference(), nl=False)
