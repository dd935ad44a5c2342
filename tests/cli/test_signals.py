"""SIGINT and SIGTERM end real processes in one line with code 130, and the run goes on where it stopped.

Each test waits until the program has said, in its log, that it is in the middle of its work, and only then sends the signal.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_models import make_contract, make_model

sys.path.insert(0, str(Path(__file__).parent))

from exit_cases import INTERRUPTED, SETS, make_truth, write_volume

from adelecli.pipeline.correction import correct
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store
from adelecli.store.layout import draft_folder, lock_path

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
CASES = 40
PATIENCE_S = 300
PROGRAM = (  # whoever starts the tests in the background has SIGINT ignored, and hands that on
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from adelecli.cli.app import main; main()"
)
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def read_log(path: Path) -> list[dict]:
    """The whole lines of a log that may still grow."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def interrupt(words: str, log: Path, ready: Callable[[], bool], number: int, *, group: bool) -> str:
    """Run `adele WORDS`, send the signal once it is ready, and return stderr; stdout must be the error object alone."""
    command = [sys.executable, "-c", PROGRAM, *shlex.split(words), "--json", "--log-json", str(log)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        end = time.monotonic() + PATIENCE_S
        while not ready() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()[1]
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, error
    assert json.loads(out)["code"] == 130
    # a library that was stopped in the middle of its import may have a last word while Python closes
    assert any(line.startswith("Error: interrupted; ") for line in error.splitlines()), error
    assert "Traceback" not in error
    last = read_log(log)[-1]
    assert (last["event"], last["code"]) == ("interrupted", 130)
    return error


def write_cases(folder: Path, count: int) -> None:
    for number in range(count):
        truth = make_truth(number % 3)
        noisy = truth.copy()
        noisy[7, :, 2:4] = 0
        write_volume(folder / "images" / f"case{number:02d}.nii.gz", truth.astype(np.float32) + number / 1000)
        write_volume(folder / "masks" / f"case{number:02d}.nii.gz", noisy)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small cases, to train on."""
    folder = tmp_path_factory.mktemp("few")
    write_cases(folder, 3)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty small cases and a model; what an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("many")
    write_cases(folder, CASES)
    make_model(folder / "model.onnx", make_contract())
    correct(folder / "masks", images=folder / "images", out=folder / "whole.zarr", model=folder / "model.onnx")
    return folder


def read_results(path: Path) -> dict[str, object]:
    store = open_store(path)
    return {case: store.case_record(case)["hashes"] for case in store.case_ids()}


@pytest.mark.parametrize(
    ("number", "group", "workers"),
    [
        (signal.SIGTERM, False, 1),
        (signal.SIGINT, True, 2),
        pytest.param(signal.SIGINT, True, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, 2, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_correction_goes_on(many: Path, tmp_path: Path, number: int, group: bool, workers: int) -> None:
    """Sent to the process or to its group: what stands verifies, nothing is left behind, a process loses at most the case in hand."""
    out, log = tmp_path / "c.zarr", tmp_path / "log.jsonl"
    words = f"correct {many}/masks -i {many}/images -m {many}/model.onnx -d cpu -o {out} --workers {workers}"

    def published() -> int:
        return sum((one / "zarr.json").exists() for one in out.glob("case*"))

    error = interrupt(words, log, lambda: published() >= 2, number, group=group)
    assert "Error: interrupted; the run can be resumed with --resume" in error.splitlines()
    kept = len(open_store(out).case_ids())
    assert 2 <= kept < CASES
    told = sum(line["event"] == "step" and "case" in line for line in read_log(log))
    assert told - kept <= 1  # a case is told when it begins (or, of workers, when it is done)
    assert verify(out).findings == ()
    assert not draft_folder(out).exists()
    assert not lock_path(out).exists()
    report = correct(
        many / "masks", images=many / "images", out=out, model=many / "model.onnx", device="cpu", resume=True
    )
    assert report.exit_code == 0
    assert sum(case.resumed for case in report.cases) == kept
    assert read_results(out) == read_results(many / "whole.zarr")


def test_an_interrupted_prediction_goes_on(many: Path, tmp_path: Path) -> None:
    """The same command with --resume does the rest."""
    out, log = tmp_path / "p.zarr", tmp_path / "log.jsonl"
    words = f"predict {many}/images -m {many}/model.onnx -d cpu -o {out}"
    interrupt(words, log, lambda: len(list(out.glob("case*/zarr.json"))) >= 2, signal.SIGTERM, group=False)
    kept = len(open_store(out).case_ids())
    assert 2 <= kept < CASES
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words.split(), "--resume", "--json"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert sum(case["resumed"] for case in json.loads(done.stdout)["cases"]) == kept
    assert len(open_store(out).case_ids()) == CASES


@needs_torch
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_an_interrupted_training_goes_on(few: Path, tmp_path: Path, number: int) -> None:
    """Its epochs so far are kept, and resuming does only the others."""
    from adelecli.training.trainer import train

    log = tmp_path / "log.jsonl"
    words = f"train {few}/masks -i {few}/images -o {tmp_path}/runs --epochs 12 -d cpu {SETS}"

    def trained() -> int:
        return sum(line["event"] == "step" and line["stage"] == "train" for line in read_log(log))

    error = interrupt(words, log, lambda: trained() >= 2, number, group=True)
    (run,) = (tmp_path / "runs").iterdir()
    assert f"Error: interrupted; the run can be resumed with --resume {run}" in error.splitlines()
    before = (run / "history.jsonl").read_text().splitlines()
    assert 2 <= len(before) < 12
    result = train(resume=run)
    assert len(result.history) == 12
    assert [json.loads(line) for line in before] == list(result.history[: len(before)])


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_benchmark_goes_on(few: Path, tmp_path: Path, jobs: int) -> None:
    """Its workers end with it; the line says that the same command goes on."""
    log = tmp_path / "log.jsonl"
    words = (
        f"bench {few}/masks -i {few}/images -o {tmp_path}/bench --epochs 50 --seeds 0 1 --methods noisy -d cpu "
        f"--noise affine --jobs {jobs} --set data.val_share=0.34 {SETS}"
    )

    def learnt() -> bool:
        return any(line["event"] == "step" and line["stage"].endswith(": train") for line in read_log(log))

    error = interrupt(words, log, learnt, signal.SIGTERM, group=False)
    assert "the same command goes on where it stopped" in error
    assert list((tmp_path / "bench").rglob("checkpoint.safetensors"))


@needs_torch
def test_an_interrupted_demo_says_how_to_start_again(tmp_path: Path) -> None:
    """It keeps what it made, and cannot go on with it."""
    log = tmp_path / "log.jsonl"
    words = f"demo -o {tmp_path}/demo --cases 2 --test-cases 1 --epochs 50 -d cpu"
    error = interrupt(words, log, lambda: len(read_log(log)) > 3, signal.SIGINT, group=True)
    assert "name another --out" in error


def test_the_table_of_exit_codes_names_what_is_interrupted_here() -> None:
    """Each command of the table's column 130 has a test in this file."""
    assert set(INTERRUPTED) == {"correct", "predict", "train", "bench", "demo"}
