"""docs/reference.md is what the program would say: no option is missing, none is left over, every default is that of the help."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from adelecli.cli.app import COMMANDS, program
from adelecli.cli.reference import ENVIRONMENT, format_reference

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference.md"

NOT_READ = {
    "_ADELE_COMPLETE",  # by click
    "OMP_NUM_THREADS",  # by torch and OpenMP; the crew of `bench` sets it
    *(f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "COUNT", "STEP")),  # put together in pipeline/shards.py
}
# told to torch, unless the user has said something, and to onnxruntime always
SET_FOR_OTHERS = {"OMP_WAIT_POLICY", "OMP_NUM_THREADS", "ORT_DISABLE_TELEMETRY"}
HINTS = {"GLIBC_TUNABLES"}  # only looked at, to leave the user's own choice alone
NO_VARIABLES = {"MADV_DONTNEED"}  # what else is called so in a file that looks at the environment


def test_the_page_is_current() -> None:
    """The committed page is the generated one; `make reference` makes it again."""
    assert PAGE.read_text(encoding="utf-8") == format_reference()


def test_the_module_writes_the_page() -> None:
    """`python -m adelecli.cli.reference`, which the make target calls, prints the page and nothing else."""
    told = subprocess.run([sys.executable, "-m", "adelecli.cli.reference"], capture_output=True, check=True)
    assert told.stdout.decode() == format_reference()
    assert told.stderr == b""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_its_commands_section(name: str) -> None:
    """Each command has a section of its own, with a row for every option but the common ones, which have one section for all."""
    page = format_reference()
    _, _, section = page.partition(f"\n## `adele {name}`\n")
    section = section.partition("\n## ")[0]
    common = page.partition("## Options of every command")[2].partition("\n## ")[0]
    command = program.get_command(click.Context(program), name)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            row = rf"^\| `{re.escape(', '.join([*option.opts, *option.secondary_opts]))}[ `]"
            assert re.search(row, section + common, re.MULTILINE), option.opts


def find_variables() -> set[str]:
    """Names of environment variables in the syntax trees: strings in capitals that are looked up, or stand in a constant VARIABLE."""
    found: set[str] = set()
    for path in (ROOT / "adelecli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "environ" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^_?[A-Z]+(?:_[A-Z0-9]+)+$|^RANK$", node.value))
    return found


def test_every_variable_that_is_read_is_listed() -> None:
    """The table of the environment names what the code looks up, and nothing that nobody reads."""
    listed: set[str] = set()
    for names in ENVIRONMENT:
        first, *rest = names.split(", ")
        listed |= {first, *(first.removesuffix("_ID") + name if name.startswith("_") else name for name in rest)}
    assert listed - NOT_READ == find_variables() - SET_FOR_OTHERS - HINTS - NO_VARIABLES
