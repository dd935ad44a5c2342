"""A benchmark on tiny volumes: its numbers are those of the runs, what is done is read back, what was stopped goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from conftest_benchmarking import TINY, CleanData

import adelecli
from adelecli.benchmarking.protocol import bench
from adelecli.benchmarking.records import BenchResult
from adelecli.errors import ConfigError, InputError
from adelecli.progress import Progress

COMMON: dict[str, Any] = {"seeds": 1, "epochs": 2, "set": TINY, "device": "cpu", "k": "1-3"}


def read_history(out: Path, method: str) -> list[dict[str, Any]]:
    (run,) = (out / "runs").glob(f"*/*-{method}")
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def read_figures(result: BenchResult, method: str) -> dict[str, float | None]:
    return {
        name: figure.mean for name, figure in next(r for r in result.table.rows if r.method == method).figures.items()
    }


@pytest.fixture(scope="module")
def first(clean_data: CleanData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BenchResult]:
    out = tmp_path_factory.mktemp("bench")
    methods = "clean,noisy,ema,correction"
    settings = (
        *TINY,
        "onset.min_points=4",
        "onset.consecutive=1",
        "onset.r=0.01",
        "onset.learnt=0.0",
        "onset.min_iou=0.0",
    )
    options = COMMON | {"set": settings, "epochs": 5, "keep_runs": True, "methods": methods}
    return out, bench(clean_data.masks, out=out, val=clean_data.val, **options)


def test_the_table_holds_what_the_histories_say(first: tuple[Path, BenchResult]) -> None:
    """Best, last and mean of five of the student for `noisy`, of the teacher for `ema`; the gap and seconds by hand."""
    out, result = first
    noisy, clean = read_history(out, "noisy"), read_history(out, "clean")
    student = [record["val"]["student"]["mean_iou"] for record in noisy]
    teacher = [record["val"]["teacher"]["mean_iou"] for record in noisy]
    figures = read_figures(result, "noisy")
    assert figures["iou_best"] == max(student)
    assert figures["iou_last"] == student[-1]
    assert figures["iou_last_five"] == pytest.approx(np.mean(student), abs=1e-6)
    assert figures["iou:square"] == pytest.approx(np.mean([r["val"]["student"]["iou"][1] for r in noisy]), abs=1e-6)
    assert figures["seconds"] == pytest.approx(sum(record["seconds"] for record in noisy), abs=1e-3)
    averaged = read_figures(result, "ema")
    assert averaged["iou_last_five"] == pytest.approx(np.mean(teacher), abs=1e-6)
    upper = np.mean([record["val"]["teacher"]["mean_iou"] for record in clean])
    if upper > np.mean(student):
        gap = (np.mean(teacher) - np.mean(student)) / (upper - np.mean(student))
        assert averaged["gap"] == pytest.approx(gap, abs=1e-3)
    assert {read_figures(result, row.method)["steps"] for row in result.table.rows} == {15}  # 9 slices, batches of 4
    assert (result.trained, result.read_back, result.exit_code) == (3, 0, 0)


def test_label_scores_are_those_of_the_published_labels(first: tuple[Path, BenchResult], clean_data: CleanData) -> None:
    """The error after correction, counted again from labels.zarr and the files; held-out cases are not among them."""
    out, result = first
    (run,) = (out / "runs").glob("*/*-correction")
    store = adelecli.open_store(run / "labels.zarr")
    wrong = union = changed = 0
    for case in store.case_ids():
        truth = np.asarray(nib.load(clean_data.masks / f"{case}.nii.gz").dataobj).T
        noisy, fixed = store.read(case, "original"), store.read(case, "corrected")
        wrong += (fixed != truth).sum()
        union += ((noisy > 0) | (truth > 0)).sum()
        changed += (noisy != fixed).sum()
    figures = read_figures(result, "correction")
    assert figures["error_after"] == pytest.approx(wrong / union, abs=1e-6)
    assert changed > 0
    assert figures["fixed"] + figures["broken"] <= changed  # type: ignore[operator]
    assert figures["error_before"] == pytest.approx(result.table.measured["label_error"], abs=1e-6)


def test_noise_is_in_training_masks_only(first: tuple[Path, BenchResult], clean_data: CleanData) -> None:
    """Each training mask differs from the clean one, the held-out one is equal byte by byte."""
    (place,) = (first[0] / "data").iterdir()
    same = {p.name: p.read_bytes() == (clean_data.masks / p.name).read_bytes() for p in (place / "masks").iterdir()}
    assert same == {"case0.nii.gz": False, "case1.nii.gz": False, "case2.nii.gz": False, "case3.nii.gz": True}
    assert (place / "val.txt").read_text() == "case3\n"


def test_everything_is_written_and_tables_gather(first: tuple[Path, BenchResult], clean_data: CleanData) -> None:
    """JSON, Markdown and plots stand there; another noise in the same folder adds its table, with its own clean training read back."""
    out, result = first
    assert json.loads((out / "bench.json").read_text())["tables"][0]["key"] == result.table.key
    assert {Path(name).name for name in result.table.plots} >= {"iou.png", "labels.png"}
    assert all((out / name).stat().st_size > 5000 for name in result.table.plots)
    assert result.table.ceiling is not None
    assert result.table.ceiling.cases == 3
    options = COMMON | {"set": result.table.settings, "epochs": 5, "methods": "clean", "noise": "none", "k": None}
    again = bench(clean_data.masks, out=out, val=clean_data.val, **options)
    assert (again.trained, again.read_back) == (0, 1)
    assert again.table.ceiling is None
    assert len(json.loads((out / "bench.json").read_text())["tables"]) == 2
    text = (out / "bench.md").read_text()
    assert text.count("## ") == 2
    assert "## none, all slices" in text


def test_a_second_call_trains_nothing(clean_data: CleanData, tmp_path: Path) -> None:
    """Finished results are read back and give the same rows; run folders are gone; a damaged result is made again."""
    options = COMMON | {"methods": "noisy,ema", "val": clean_data.val, "out": tmp_path / "out"}
    seen: list[Progress] = []
    one = bench(clean_data.masks, **options)
    two = bench(clean_data.masks, progress=seen.append, **options)
    assert (one.trained, two.trained, two.read_back) == (1, 0, 1)
    assert one.table.rows == two.table.rows
    assert not any("train" in event.stage for event in seen)
    assert (seen[0].stage, seen[0].done, seen[0].total) == ("bench", 2, 2)
    assert not list((tmp_path / "out" / "runs").iterdir())
    (result,) = (path for path in (tmp_path / "out" / "results").glob("*.json") if not path.name.startswith("ceiling"))
    result.write_text(result.read_text()[:-20])
    assert bench(clean_data.masks, **options).trained == 1


def test_a_stopped_benchmark_goes_on_in_the_middle_of_a_training(clean_data: CleanData, tmp_path: Path) -> None:
    """Stopped after one of two epochs: the second call trains the second epoch only, and the scores are the undisturbed ones."""

    class StopError(Exception):
        pass

    def stop(event: Progress) -> None:
        if event.stage.endswith(": train") and event.done == 1:
            raise StopError

    options = COMMON | {"methods": "noisy,ema", "val": clean_data.val}
    with pytest.raises(StopError):
        bench(clean_data.masks, out=tmp_path / "part", progress=stop, **options)
    seen: list[Progress] = []
    resumed = bench(clean_data.masks, out=tmp_path / "part", progress=seen.append, **options)
    whole = bench(clean_data.masks, out=tmp_path / "whole", **options)
    assert [event.done for event in seen if event.stage.endswith(": train")] == [2]
    assert all("(1 of 1)" in event.stage for event in seen if event.stage.endswith(": train"))
    for name in ("iou_best", "iou_last_five", "dice_last", "steps"):
        assert read_figures(resumed, "noisy")[name] == read_figures(whole, "noisy")[name]


def test_confident_learning_trains_on_fixed_labels(clean_data: CleanData, tmp_path: Path) -> None:
    """A mixture: labels fixed with the baseline's network, harm counted on clean cases, the held-out mask copied as it is."""
    options = COMMON | {"methods": "cleanlab", "val": clean_data.val, "noisy_share": 0.67, "keep_runs": True}
    result = bench(clean_data.masks, out=tmp_path, slices_per_case=1, **options)
    (fixed,) = (tmp_path / "runs").glob("*/fixed/masks")
    assert {path.name for path in fixed.iterdir()} == {path.name for path in clean_data.masks.iterdir()}
    assert (fixed / "case3.nii.gz").read_bytes() == (clean_data.masks / "case3.nii.gz").read_bytes()
    (noisy,) = (tmp_path / "data").glob("*/masks")
    for case in range(3):
        before, after = (np.asarray(nib.load(p / f"case{case}.nii.gz").dataobj) for p in (noisy, fixed))
        assert (before != after).any((0, 1)).sum() <= 1  # one slice of each case was learnt from
    figures = read_figures(result, "cleanlab")
    assert figures["harm"] is not None
    assert 0 <= figures["error_before"] < 0.5  # type: ignore[operator]
    assert sum(case.spoilt for case in read_labels(tmp_path)) == 2


def read_labels(out: Path) -> list[Any]:
    import msgspec

    from adelecli.benchmarking.records import RunScore

    scores = [
        msgspec.json.decode(path.read_bytes(), type=RunScore)
        for path in (out / "results").glob("*.json")
        if not path.name.startswith("ceiling")
    ]
    return [case for score in scores if score.labels is not None for case in score.labels.cases]


def test_a_table_grows_with_every_call(clean_data: CleanData, tmp_path: Path) -> None:
    """Methods measured before under the same conditions stay in the table, so a later one gets its gap; other seeds start anew."""
    options = COMMON | {"val": clean_data.val, "out": tmp_path}
    bench(clean_data.masks, methods="clean,noisy", **options)
    grown = bench(clean_data.masks, methods="gce", **options)
    assert [row.method for row in grown.table.rows] == ["clean", "noisy", "ema", "gce"]
    assert "gap" in grown.table.rows[3].figures
    assert (grown.trained, grown.read_back) == (1, 2)
    assert len(json.loads((tmp_path / "bench.json").read_text())["tables"]) == 1
    other = bench(clean_data.masks, methods="gce", **(options | {"seeds": "0,1"}))
    assert [row.method for row in other.table.rows] == ["gce"]


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_table(clean_data: CleanData, tmp_path: Path) -> None:
    """Two workers, each training in its own process: the scores of one after another; progress comes back."""
    options = COMMON | {"methods": "clean,noisy,ema,cleanlab", "val": clean_data.val}
    seen: list[Progress] = []
    both = bench(clean_data.masks, out=tmp_path / "two", jobs=2, progress=seen.append, **options)
    alone = bench(clean_data.masks, out=tmp_path / "one", **options)
    for name in ("clean", "noisy", "ema", "cleanlab"):
        for key in ("iou_best", "iou_last_five", "dice_last_five", "steps"):
            assert read_figures(both, name)[key] == pytest.approx(read_figures(alone, name)[key], abs=1e-3)
    assert any("noisy, seed 1" in event.stage for event in seen)


def test_what_cannot_be_measured_is_refused(clean_data: CleanData, tmp_path: Path) -> None:
    """Nothing held out, an output inside the masks, a damaged case, an unknown option: one line, before any training."""
    with pytest.raises(ConfigError, match="held out"):
        bench(clean_data.masks, out=tmp_path / "a", **(COMMON | {"set": ("data.val_share=0",)}))
    with pytest.raises(ConfigError, match="read from"):
        bench(clean_data.masks, out=clean_data.masks / "bench")
    with pytest.raises(ConfigError, match="epoch"):
        bench(clean_data.masks, out=tmp_path / "b", epoch=3)  # type: ignore[call-arg]
    broken = tmp_path / "broken"
    shutil.copytree(clean_data.root, broken)
    (broken / "images" / "case1.nii.gz").unlink()
    with pytest.raises(InputError, match="case1"):
        bench(broken / "masks", out=tmp_path / "c")


def test_a_benchmark_is_for_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun it is a usage error, and nothing is written."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        bench(tmp_path / "masks", out=tmp_path / "bench", **COMMON)
    assert not (tmp_path / "bench").exists()
