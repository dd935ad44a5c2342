"""Shell completion, as docs/install.md turns it on: the shell asks the installed program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adelecli.cli.completion import NOISES
from adelecli.labels.noise.registry import FAMILIES

ADELE = Path(sys.executable).with_name("adele")


def complete(words: str, place: int, folder: Path | None = None) -> list[str]:
    """What bash would be offered for the word ``place`` of the line ``words``, typed in ``folder``."""
    asked = os.environ | {"_ADELE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    done = subprocess.run([ADELE], env=asked, capture_output=True, text=True, check=True, cwd=folder)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "place", "offered"),
    [
        ("adele co", 1, ["correct", "convert", "corrupt"]),
        ("adele correct --max-c", 2, ["--max-change"]),
        ("adele correct --constraint ", 3, ["slice", "volume", "none"]),
        ("adele convert --format n", 3, ["nifti", "nrrd"]),
        ("adele correct --device c", 3, ["cpu", "cuda"]),
        ("adele train --preset ", 3, ["adele", "paper", "segthor-code", "voc-code"]),
        ("adele bench --methods clean,no", 3, ["clean,noisy"]),
        ("adele corrupt --noise a", 3, ["adele-de", "affine", "annotator"]),
    ],
)
def test_commands_options_and_choices_complete(words: str, place: int, offered: list[str]) -> None:
    assert complete(words, place) == offered


def test_the_names_of_noise_are_those_of_the_registry() -> None:
    """They are written twice, because the registry imports scipy."""
    assert list(NOISES) == sorted(FAMILIES)


def test_a_model_completes_as_a_name_or_as_a_file(tmp_path: Path) -> None:
    """Names of the package and of weights/registry.toml, model files of the folder; a broken registry offers nothing and stops nothing."""
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "registry.toml").write_text('[liver]\nfile = "liver.onnx"\n', encoding="utf-8")
    for name in ("liver.onnx", "liver.md"):
        (weights / name).touch()
    (tmp_path / "lung.onnx").touch()
    assert complete("adele correct -m ", 3, tmp_path) == ["hippocampus", "liver", "lung.onnx"]
    assert complete("adele correct -m l", 3, tmp_path) == ["liver", "lung.onnx"]
    assert complete("adele correct -m weights/", 3, tmp_path) == ["weights/liver.onnx"]
    assert complete("adele correct -m we", 3, tmp_path) == ["we"]  # of the type `file`: the shell looks itself
    (weights / "registry.toml").write_text("[", encoding="utf-8")
    assert complete("adele correct -m l", 3, tmp_path) == ["lung.onnx"]


def test_bash_itself_completes(tmp_path: Path) -> None:
    """The line of docs/install.md turns it on, and the function that it registers fills what bash shows."""
    typed = f"""
        PATH={ADELE.parent}:$PATH
        eval "$(_ADELE_COMPLETE=bash_source adele)"
        complete -p adele >&2
        COMP_WORDS=(adele correct --model hip) COMP_CWORD=3
        _adele_completion adele
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "hippocampus\n"
    assert done.stderr.rstrip().endswith("-F _adele_completion adele")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_itself_completes(tmp_path: Path) -> None:
    """The file of docs/install.md, read by fish."""
    script = (
        "_ADELE_COMPLETE=fish_source adele | source; complete -C 'adele corr'; complete -C 'adele train --preset p'"
    )
    asked = os.environ | {"PATH": f"{ADELE.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(["fish", "-c", script], env=asked, capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["correct", "corrupt", "paper"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    """The script asks this program again; the shell itself, where it is installed, takes it."""
    asked = os.environ | {"_ADELE_COMPLETE": f"{shell}_source"}
    script = subprocess.run([ADELE], env=asked, capture_output=True, text=True, check=True).stdout
    assert f"_ADELE_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
