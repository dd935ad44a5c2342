"""The pages for programs (`docs/machine.md`, `docs/api.md`) can be followed: their blocks run one after the other in a folder of tiny data.

```python blocks of a page share one namespace; of a ```console block each line that begins with `$ ` is a command for bash, and the lines
below it are what it tells, `...` standing for anything. A block after `<!-- slow -->` runs in the slow test, behind all others.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?P<slow><!-- slow -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```\n", re.DOTALL)


def list_blocks(page: str, *, slow: bool) -> list[tuple[str, str]]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [(found["language"], found["text"]) for found in BLOCK.finditer(text) if slow or not found["slow"]]


def run_console(text: str, folder: Path) -> None:
    """Each command ends with 0 and tells what is shown."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for command, *shown in (part.splitlines() for part in text.split("$ ") if part):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        pattern = ".*".join(map(re.escape, "\n".join(shown).split("...")))
        assert not shown or re.fullmatch(pattern, done.stdout.strip()), f"{command}: {done.stdout}"


def test_the_page_for_programs_can_be_followed(folder: Path) -> None:
    """Every command of docs/machine.md does what is said."""
    blocks = list_blocks("machine.md", slow=False)
    assert {language for language, _ in blocks} == {"console"}
    for _, text in blocks:
        run_console(text, folder)
    assert (folder / "answer.json").read_text().startswith('{"run":')


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_examples_of_the_api_run(folder: Path, capsys: pytest.CaptureFixture[str], slow: bool) -> None:
    """Every block of docs/api.md, in one namespace; those that start processes have their guard."""
    if slow and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    names: dict[str, object] = {"__name__": "a page"}
    blocks = list_blocks("api.md", slow=slow)
    for number, (language, text) in enumerate(blocks, 1):
        assert language == "python"
        exec(compile(text, f"docs/api.md, block {number}", "exec"), names)  # a page's own code is meant to be run
    assert ("weights/liver.onnx" in capsys.readouterr().out) is slow


def test_processes_are_started_from_a_program(folder: Path) -> None:
    """The last block of docs/api.md as a file of its own."""
    _, text = list_blocks("api.md", slow=False)[-1]
    (folder / "program.py").write_text(f"import adelecli\n\n{text}", encoding="utf-8")
    subprocess.run([sys.executable, "program.py"], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert (folder / "parallel.zarr" / "a" / "zarr.json").exists()
