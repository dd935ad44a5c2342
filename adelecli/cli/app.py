"""The door of the `adele` program: the list of commands, each of whose modules is imported when it is first asked for.

What must hold: `adele --help` costs at most twice the import of click and rich, so nothing here (nor in any command's
module) imports a room of the library; `adelecli.<command>` does that when it is called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import click

from adelecli.cli.failures import guard_exit
from adelecli.cli.versions import print_version

COMMANDS = {
    "demo": "learning",
    "train": "learning",
    "export": "learning",
    "check": "custody",
    "correct": "cleaning",
    "predict": "cleaning",
    "evaluate": "inspection",
    "verify": "inspection",
    "revert": "custody",
    "info": "inspection",
    "report": "showing",
    "review": "showing",
    "convert": "exchange",
    "corrupt": "exchange",
    "bench": "measuring",
}
"""Every command, in the order of a project's life, and the module of this folder that holds it."""


class Program(click.Group):
    """A group that imports a command's module only when the command is named or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """All commands in the order of a project's life, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; an unknown name is a usage error that suggests the nearest ones."""
        if cmd_name in COMMANDS:
            command: click.Command = getattr(import_module(f"adelecli.cli.{COMMANDS[cmd_name]}"), cmd_name)
            return command
        if cmd_name.startswith("-"):
            return None
        raise click.NoSuchCommand(cmd_name, possibilities=COMMANDS, ctx=ctx)


HELP = """Clean noisy segmentation labels, and train networks that do not memorise the noise.

\b
In a folder that holds images/ and masks/:
  adele train                                # -> runs/<time>-<name>/
  adele export                               # -> weights/adele.onnx
  adele correct ./masks --out cleaned.zarr   # -> the corrected labels
"""


def _show_schema(context: click.Context, _: click.Parameter, answer: str | None) -> None:
    """Print the JSON Schema of an answer as it lies in the package, and end."""
    if answer is None or context.resilient_parsing:
        return
    from importlib.resources import files

    known = {file.name.rpartition("-")[0]: file for file in files("adelecli").joinpath("schemas").iterdir()}
    if answer not in known:
        raise click.BadParameter(f"'{answer}' has no schema; choose {', '.join(sorted(known))}")
    click.echo(known[answer].read_text(encoding="utf-8"), nl=False)
    context.exit()


@click.group(cls=Program, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version,
    help="Show the versions of what matters and the usable devices, and exit.",
)  # fmt: skip
@click.option(
    "--schema",
    metavar="COMMAND",
    is_eager=True,
    expose_value=False,
    callback=_show_schema,
    help="Print the JSON Schema of what COMMAND prints with --json (or: error, log).",
)
def program() -> None:
    """The group of all commands."""


def main(args: list[str] | None = None) -> NoReturn:
    """Run `adele` with `args` (default: the command line) and exit with the code of interface.md."""
    words = sys.argv[1:] if args is None else args
    sys.exit(
        guard_exit(
            lambda: program.main(words, prog_name="adele", standalone_mode=False),
            as_json="--json" in words,
            command=words[0] if words else "",
        )
    )
