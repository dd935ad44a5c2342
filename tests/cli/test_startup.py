"""`adele --help` must feel like a shell command: it may not import what only work needs."""

from __future__ import annotations

import importlib.metadata
import json
import resource
import subprocess
import sys

import pytest

import adelecli
from adelecli.cli.app import COMMANDS

HEAVY = (
    "torch",
    "monai",
    "onnx",
    "onnxruntime",
    "zarr",
    "scipy",
    "numpy",
    "nibabel",
    "PIL",
    "matplotlib",
    "safetensors",
)

PROBE = """
import json, sys
from adelecli.cli.app import main
try:
    main({words!r})
except SystemExit as end:
    code = end.code
sys.stderr.write(json.dumps([code, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def run_probe(words: list[str]) -> tuple[int, set[str], str]:
    """The exit code of `adele WORDS`, what it imported, and its stdout."""
    script = PROBE.format(words=words)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules), done.stdout


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["correct", "-h"], ["train", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    """Help costs click, and nothing that reads, trains or infers."""
    code, modules, _ = run_probe(words)
    assert code == 0
    assert modules.isdisjoint(HEAVY), modules & set(HEAVY)


def test_version_tells_libraries_and_devices_without_torch() -> None:
    """The first line is for programs; torch's version comes from its metadata."""
    code, modules, text = run_probe(["--version"])
    first, *rest = text.splitlines()
    assert (code, first) == (0, f"adele {adelecli.__version__}")
    assert modules.isdisjoint({"torch", "monai", "onnx", "zarr", "matplotlib"})
    told = dict(line.split(": ", 1) for line in rest[1:])
    assert f"zarr {importlib.metadata.version('zarr')}" in told["store"]
    assert "onnxruntime" in told["runtime"]
    assert told["devices"].startswith("cpu, ")


def test_help_lists_every_command() -> None:
    """All commands of this release stand in the help, in the order of a project's life."""
    _, _, text = run_probe(["--help"])
    listed = [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == list(COMMANDS)


def measure_seconds(words: list[str]) -> float:
    """Processor seconds of a python process: other work on the machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_little_more_than_click_and_rich() -> None:
    """At most twice `import click, rich` in processor time, the best of several."""
    helping = "from adelecli.cli.app import main; main(['--help'])"
    pairs = [(measure_seconds(["-c", "import click, rich"]), measure_seconds(["-c", helping])) for _ in range(7)]
    base, adele = (min(times) for times in zip(*pairs, strict=True))
    assert adele <= 2 * base, f"adele --help took {adele:.3f} s, click and rich {base:.3f} s"
