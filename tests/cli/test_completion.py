"""Shell completion, as docs/install.md turns it on: the shell asks the installed program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ADELE = Path(sys.executable).with_name("adele")


def complete(words: str, place: int) -> list[str]:
    """What bash would be offered for the word ``place`` of the line ``words``."""
    asked = os.environ | {"_ADELE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    done = subprocess.run([ADELE], env=asked, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "place", "offered"),
    [
        ("adele co", 1, ["correct", "convert", "corrupt"]),
        ("adele correct --max-c", 2, ["--max-change"]),
        ("adele correct --constraint ", 3, ["slice", "volume", "none"]),
    ],
)
def test_commands_options_and_choices_complete(words: str, place: int, offered: list[str]) -> None:
    assert complete(words, place) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    """The script asks this program again; bash takes it."""
    asked = os.environ | {"_ADELE_COMPLETE": f"{shell}_source"}
    script = subprocess.run([ADELE], env=asked, capture_output=True, text=True, check=True).stdout
    assert f"_ADELE_COMPLETE={shell}_complete" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
