"""Every way to end has its exit code, and an error is one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_stores import make_store

from adelecli.errors import (
    AdeleError,
    CaseError,
    ConfigError,
    DeviceError,
    InputError,
    ModelError,
    OutputError,
    RunInterrupt,
)

CODES = [(ConfigError, 2), (CaseError, 3), (DeviceError, 5), (ModelError, 6), (InputError, 7), (OutputError, 8)]


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_an_error_is_one_line_and_one_code(adele, replace, kind: type[AdeleError], code: int) -> None:
    """The file, the fact, the remedy on stderr; nothing on stdout."""

    def act(_):
        raise kind("is damaged\nin two lines", path="a.nii", remedy="copy it again")

    replace("verify", act)
    ended = adele("verify", "store")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err == "Error: a.nii: is damaged in two lines; copy it again\n"


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_json_errors_are_one_object(adele, replace, kind: type[AdeleError], code: int) -> None:
    """With --json a pipeline reads the error where it reads results."""

    def act(_):
        raise kind("is damaged", path="a.nii")

    replace("verify", act)
    ended = adele("verify", "store", "--json")
    assert json.loads(ended.out) == {"error": "a.nii: is damaged", "code": code}
    assert ended.err == "Error: a.nii: is damaged\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--nonsense"],
        ["corect"],
        ["correct", "--nonsense"],
        ["correct", "m"],
        ["verify"],
        ["convert", "s", "-o", "x", "--which", "all"],
    ],
)
def test_usage_errors_are_one_line(adele, words: list[str]) -> None:
    """Code 2, what is wrong, where the help is."""
    ended = adele(*words)
    assert ended.code == 2
    assert ended.err.startswith("Error: adele")
    assert ended.err.endswith(" -h`\n")
    assert ended.err.count("\n") == 1


def test_usage_errors_as_json(adele) -> None:
    """A misspelt option under --json is an object too."""
    assert json.loads(adele("verify", "--json").out)["code"] == 2


def test_a_misspelt_command_suggests_the_right_one(adele) -> None:
    """The nearest names are listed."""
    assert "correct" in adele("corect").err


def test_nothing_at_all_shows_the_help(adele) -> None:
    """`adele` alone is not an error message but the help, with the code of a usage error."""
    ended = adele()
    assert ended.code == 2
    assert "Commands:" in ended.err


def test_a_missing_extra_is_told_in_one_line(adele, replace) -> None:
    """Where torch is not installed, `train` names the extra."""

    def act(_):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    replace("train", act)
    ended = adele("train")
    assert ended.code == 2
    assert "torch is not installed" in ended.err
    assert "adele[train]" in ended.err


BASE_ONLY = """
import sys
for library in ("torch", "monai", "onnx", "onnxscript", "safetensors", "starlette", "uvicorn"):
    sys.modules[library] = None  # as if it were not installed
import adelecli
from adelecli.cli.app import main
"""


@pytest.mark.parametrize("command", ["train", "export", "demo", "bench", "review"])
def test_without_its_extra_a_command_refuses_everywhere_alike(command: str, tmp_path: Path, tmp_path_factory) -> None:
    """The line, the object and the last line of the log have one code; the function raises it; nothing is left behind."""
    (tmp_path / "masks").mkdir()
    store = [str(make_store(tmp_path_factory.mktemp("data"), images=False).path)] if command == "review" else []
    words = [command, *store, "--json", "--log-json", "log.jsonl"]
    code = f"{BASE_ONLY}sys.argv[1:] = {words!r}\nmain()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    told = json.loads(ended.stdout)
    extra = "review" if command == "review" else "train"
    assert told["code"] == 2
    assert f"need{'s' if command == 'review' else ''} the extra: pip install 'adele[{extra}]'" in told["error"]
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["code"]) == ("failed", 2)
    assert "is not installed" in last["message"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "masks"]
    code = f"""{BASE_ONLY}
try:
    adelecli.{command}(*{store!r})
except adelecli.ConfigError as error:
    print(error)
"""
    called = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (called.returncode, called.stdout) == (0, told["error"] + "\n"), called.stderr


def test_ctrl_c_is_130(adele, replace) -> None:
    """An interruption is one line that says how to go on, with options that the command has."""

    def act(_):
        raise KeyboardInterrupt

    for words, remedy in (
        ("correct m -o s.zarr", "the run can be resumed with --resume"),
        ("verify s.zarr", "the same command starts again"),
        ("convert s.zarr -o files", "the same command with --overwrite starts again"),
    ):
        replace(words.split()[0], act)
        ended = adele(*words.split(), "--json")
        assert (ended.code, json.loads(ended.out)["code"]) == (130, 130)
        assert ended.err.splitlines()[-1] == f"Error: interrupted; {remedy}"


def test_an_interruption_says_how_its_command_goes_on_and_names_no_case(adele, replace) -> None:
    """A training names its run; one inside a demo cannot be resumed as such; the note about a case is for tracebacks alone."""

    def stop_training(*_, **__):
        raise RunInterrupt("runs/a")

    def stop_case(*_, **__):
        error = KeyboardInterrupt()
        error.add_note("while treating the case Smith")
        raise error

    for words, act, remedy in (
        ("train", stop_training, "the run can be resumed with --resume runs/a"),
        ("demo", stop_training, "remove its folder, or name another --out, to start again"),
        ("correct m -o s.zarr", stop_case, "the run can be resumed with --resume"),
    ):
        replace(words.split()[0], act)
        ended = adele(*words.split())
        assert ended.code == 130
        assert ended.err.splitlines()[-1] == f"Error: interrupted; {remedy}"
        assert "Smith" not in ended.err


SLEEPY = """
import sys, time
import adelecli
from adelecli.cli.app import main
def verify(store, progress):
    sys.stderr.write("ready\\n")
    sys.stderr.flush()
    time.sleep(60)
adelecli.verify = verify
main(["verify", "store"])
"""


def test_sigterm_is_130() -> None:
    """A scheduler's request to stop ends the run as Ctrl-C does."""
    with subprocess.Popen([sys.executable, "-c", SLEEPY], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        text = process.stderr.read()
        assert process.wait(10) == 130
    assert "Traceback" not in text
    assert "interrupted" in text


BUGGY = """
import adelecli
from adelecli.cli.app import main
def verify(store, progress):
    return 1 / 0
adelecli.verify = verify
main(["verify", "store", *{words}])
"""


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_bug_shows_its_traceback(words: list[str]) -> None:
    """What nobody expected ends with code 1 and the traceback; --json still gets its object."""
    done = subprocess.run(
        [sys.executable, "-c", BUGGY.format(words=words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr.splitlines()[-1]
    assert "Traceback" in done.stderr
    if words:
        assert json.loads(done.stdout) == {"error": "internal error: ZeroDivisionError: division by zero", "code": 1}
    else:
        assert done.stdout == ""
