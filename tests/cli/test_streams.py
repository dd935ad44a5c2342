"""A reader that has gone, a full disk, a stream that never was: quiet or one line, the documented code, and no work is lost."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from tiny_models import make_contract, make_model

sys.path.insert(0, str(Path(__file__).parent))

from exit_cases import make_truth, write_volume

from adelecli.cli.streams import Outlet, ReaderGoneError, StdoutError
from adelecli.errors import InputError, OutputError
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")
CANNOT = OutputError.exit_code
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
WORDS = [
    "--help",
    "--version",
    "--schema correct",
    "info MODEL",
    "info MODEL --json",
    "check MASKS --json",
]
ABSENT = "verify absent --json"
NO_INPUT = InputError.exit_code
TRACED = "check MASKS --model MODEL --device cpu --verbose"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and one case to correct."""
    root = tmp_path_factory.mktemp("data")
    make_model(root / "model.onnx", make_contract())
    truth = make_truth()
    write_volume(root / "images" / "case_1.nii.gz", truth.astype(np.float32))
    write_volume(root / "masks" / "case_1.nii.gz", truth)
    return root


def start(words: str, data: Path, stdout: object, **more: object) -> subprocess.Popen[str]:
    named = words.replace("MODEL", str(data / "model.onnx")).replace("MASKS", str(data / "masks"))
    command = [sys.executable, "-c", "from adelecli.cli.app import main; main()", *named.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    streams = {"stdout": stdout, "stderr": subprocess.PIPE} | more
    return subprocess.Popen(command, cwd=data, **{"text": True, "env": environment} | streams)  # type: ignore[call-overload]


def open_pipe_without_reader() -> IO[str]:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


@pytest.mark.parametrize("words", WORDS)
def test_a_reader_who_has_gone_is_no_error_to_tell_of(words: str, data: Path) -> None:
    """No traceback, no line but what the command itself had to say, and the code of output that cannot be written."""
    with open_pipe_without_reader() as pipe, start(words, data, pipe) as process:
        _, said = process.communicate()
    assert process.returncode == CANNOT
    assert "Traceback" not in said
    assert "standard output" not in said


def test_signs_that_a_terminal_has_not_are_escaped_and_json_stays_json(data: Path, tmp_path: Path) -> None:
    """An old code page ends no command: tables hold escapes, and JSON those of JSON, so that a program reads the id as it is."""
    for folder in ("masks", "images"):
        write_volume(tmp_path / folder / "\u80ba M\u00fcller.nii.gz", make_truth())
    more = {"env": os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"}}
    for words in (f"check {tmp_path}/masks --model MODEL --json", f"check {tmp_path}/masks --model MODEL"):
        with start(words, data, subprocess.PIPE, encoding="latin-1", **more) as process:
            told, said = process.communicate()
        assert (process.returncode, "Traceback" in said) == (0, False)
        assert "\\u80ba M\u00fcller" in told
        if words.endswith("--json"):
            assert json.loads(told)["cases"][0]["id"] == "\u80ba M\u00fcller"


@needs_full
@pytest.mark.parametrize("words", WORDS)
def test_a_full_disk_is_one_line(words: str, data: Path) -> None:
    """What could not be written and why."""
    with FULL.open("w") as full, start(words, data, full) as process:
        _, said = process.communicate()
    assert process.returncode == CANNOT
    assert "Traceback" not in said
    told = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert told[-1].startswith("Error: standard output: cannot be written (No space left on device)")


def test_an_error_is_told_although_nobody_reads_the_answer(data: Path) -> None:
    """What went wrong first keeps its line and its code: an interrupted run above all can still be resumed by its code."""
    with open_pipe_without_reader() as pipe, start(ABSENT, data, pipe) as process:
        _, said = process.communicate()
    assert process.returncode == NO_INPUT
    assert [line.partition(" ")[0] for line in said.splitlines()] == ["Error:"]
    assert "absent" in said


@needs_full
def test_an_error_is_told_although_the_disk_is_full(data: Path) -> None:
    """And then that its object could not be written."""
    with FULL.open("w") as full, start(ABSENT, data, full) as process:
        _, said = process.communicate()
    first, second = said.splitlines()
    assert process.returncode == NO_INPUT
    assert "absent" in first
    assert second.startswith("Error: standard output: cannot be written")


@pytest.mark.parametrize(("words", "code"), [(TRACED, 0), ("verify absent", NO_INPUT)])
def test_notes_that_nobody_takes_change_nothing(words: str, code: int, data: Path) -> None:
    """Stderr whose reader has gone: the answer and the exit code are as ever."""
    with open_pipe_without_reader() as pipe, start(words, data, subprocess.PIPE, stderr=pipe) as process:
        out, _ = process.communicate()
    assert process.returncode == code
    assert ("case" in out) is (code == 0)


@needs_full
def test_notes_on_a_full_disk_change_nothing(data: Path) -> None:
    """Nor when Python closes."""
    with FULL.open("w") as full, start(TRACED, data, subprocess.PIPE, stderr=full) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert "case" in out


@pytest.mark.skipif(os.name == "nt", reason="a shell of Unix")
def test_a_program_without_streams_does_its_work(data: Path) -> None:
    """As a service may be started; no file of the store takes the number of a stream, and so gets what is meant for it."""
    script = 'exec "$@" <&- >&- 2>&-'
    program = [sys.executable, "-c", "from adelecli.cli.app import main; main()"]
    words = ["correct", "masks", "--model", "model.onnx", "--out", "silent.zarr", "--verbose"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", script, "sh", *program, *words], cwd=data, env=environment, check=False)
    assert done.returncode == 0
    assert verify(data / "silent.zarr").findings == ()


@needs_full
def test_the_store_is_whole_although_nobody_could_be_told(data: Path) -> None:
    """The report of a run that has ended comes last: what it tells of has been published."""
    with FULL.open("w") as full, start("correct MASKS --model MODEL --out told.zarr --json", data, full) as process:
        process.communicate()
    assert process.returncode == CANNOT
    assert verify(data / "told.zarr").findings == ()
    np.testing.assert_array_equal(open_store(data / "told.zarr").read("case_1").T, make_truth())


@needs_full
def test_a_log_that_cannot_be_written_stops_before_the_work(data: Path) -> None:
    """One line with the file, and no store."""
    with start(f"correct MASKS --model MODEL --out logged.zarr --log-json {FULL}", data, subprocess.PIPE) as process:
        _, said = process.communicate()
    assert process.returncode == CANNOT
    assert said.splitlines()[-1].startswith(f"Error: {FULL}: the log cannot be written (No space left on device)")
    assert not (data / "logged.zarr").exists()


class Broken(io.StringIO):
    """A stream that refuses as told."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(("error", "kind"), [(BrokenPipeError(), ReaderGoneError), (OSError(28, "full"), StdoutError)])
def test_the_errors_of_a_stream_become_ours(error: OSError, kind: type[OutputError]) -> None:
    """At writing and at flushing; all else of the stream is as it was."""
    outlet = Outlet(Broken(error))
    with pytest.raises(kind):
        outlet.write("a")
    with pytest.raises(kind):
        outlet.flush()
    assert not outlet.isatty()
