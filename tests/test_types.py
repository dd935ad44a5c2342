"""A program of somebody else, checked strictly against the types that the package promises with `py.typed`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROGRAM = '''
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import adelecli


def watch(event: adelecli.Progress) -> None:
    print(event.stage, event.done, event.total, event.case, event.notice)


def clean(masks: Path, out: Path) -> list[str]:
    """Correct, and name the cases to look at."""
    try:
        report: adelecli.Report = adelecli.correct(
            masks, out=out, device="cpu", protect=["liver"], workers=2, max_ram="2GiB", confidence={"liver": 0.9}, progress=watch
        )
    except adelecli.OutputError as error:
        code: int = error.exit_code
        raise SystemExit(code) from error
    case: adelecli.CaseRecord
    for case in report.review_queue:
        kinds: tuple[adelecli.ClassRecord, ...] = case.classes
        print(kinds, case.rank, case.changed_share)
    return [case.id for case in report.cases if case.error is None]


def read(out: Path) -> NDArray[np.generic]:
    store: adelecli.Store = adelecli.open_store(out)
    return store.read(store.case_ids()[0], "corrected")


def use_the_rest(out: Path) -> None:
    checked: adelecli.Verification = adelecli.verify(out)
    model: adelecli.Model = adelecli.open_model("weights/adele.onnx", "cpu")
    scores: adelecli.Evaluation = adelecli.evaluate(out, "truth")
    page: adelecli.Page = adelecli.report(out, images="images")
    files: adelecli.Conversion = adelecli.convert(out, out="files", format="nifti")
    back: adelecli.Reversion = adelecli.revert(out, cases=["a"], reason="drawn by an expert")
    noisy: adelecli.CorruptionReport = adelecli.corrupt("truth", out="noisy", seed=1, k="1-2")
    told: adelecli.Description = adelecli.info(out)
    checkup: adelecli.Checkup = adelecli.check("masks", device="cpu")
    predicted: adelecli.Report = adelecli.predict("images", out="p.zarr")
    run: adelecli.TrainResult = adelecli.train("masks", epochs=2, set=["network.width=4"])
    exported: adelecli.ExportResult = adelecli.export(run.folder, out="m.onnx", licence="CC0-1.0")
    reviewed: adelecli.Review = adelecli.review(out, export="decisions.csv")
    benched: adelecli.BenchResult = adelecli.bench("masks")
    print(checked.findings, model.contract.name, scores, page.path, files, back, noisy.mean_iou, told, checkup.estimate)
    print(predicted.exit_code, exported.sha256, reviewed.cases, benched.table)
'''

WRONG = {
    'adelecli.correct("masks", out="c.zarr", protekt=["liver"])': "call-arg",
    'adelecli.correct("masks", out="c.zarr", workers="2")': "arg-type",
    'adelecli.correkt("masks", out="c.zarr")': "attr-defined",
    "adelecli.open_store(3)": "arg-type",
}
"""A line that must not pass -> the kind of mypy's error."""


@pytest.mark.slow
def test_a_strict_checker_knows_the_public_functions(tmp_path: Path) -> None:
    """What the pages say passes `mypy --strict`; a misspelt option or function and a value of another type do not."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    (tmp_path / "program.py").write_text(PROGRAM + "\n" + "\n".join(WRONG) + "\n", encoding="utf-8")
    words = [
        "--strict",
        "--no-error-summary",
        "--show-error-codes",
        "--cache-dir",
        str(tmp_path / "cache"),
        "program.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    first = PROGRAM.count("\n") + 2
    wanted = [(first + number, kind) for number, kind in enumerate(WRONG.values())]
    errors = [line for line in done.stdout.splitlines() if line.startswith("program.py:") and ": error:" in line]
    assert [(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in errors] == wanted, done.stdout
