"""A reader that has gone, and a disk that is full: quiet or one line, the documented code, and the work is not lost."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_contract, make_model

sys.path.insert(0, str(Path(__file__).parent))

from exit_cases import make_truth, write_volume

from adelecli.cli.stdout import Outlet, ReaderGoneError, StdoutError
from adelecli.errors import OutputError
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
    "verify absent --json",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and one case to correct."""
    root = tmp_path_factory.mktemp("data")
    make_model(root / "model.onnx", make_contract())
    truth = make_truth()
    write_volume(root / "images" / "case_1.nii.gz", truth.astype(np.float32))
    write_volume(root / "masks" / "case_1.nii.gz", truth)
    return root


def start(words: str, data: Path, stdout: object) -> subprocess.Popen[str]:
    named = words.replace("MODEL", str(data / "model.onnx")).replace("MASKS", str(data / "masks"))
    command = [sys.executable, "-c", "from adelecli.cli.app import main; main()", *named.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=data, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)  # type: ignore[call-overload]


@pytest.mark.parametrize("words", WORDS)
def test_a_reader_who_has_gone_is_no_error_to_tell_of(words: str, data: Path) -> None:
    """No traceback, no line but what the command itself had to say, and the code of output that cannot be written."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, start(words, data, pipe) as process:
        _, said = process.communicate()
    assert process.returncode == CANNOT
    assert "Traceback" not in said
    assert "standard output" not in said


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
