"""A run from folders to labels, and everything that may go wrong before it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest_training import SMALL, Folders

from adelecli.dynamics import detect_onset
from adelecli.errors import ConfigError, DeviceError, InputError
from adelecli.progress import Progress
from adelecli.store.collection import open_store
from adelecli.store.verification import verify_store
from adelecli.training.checkpoint import read_checkpoint
from adelecli.training.trainer import TrainResult, choose_device, train


def test_a_run_learns_triggers_and_corrects(run: TrainResult, folders: Folders) -> None:
    """Every class is learnt and triggers; the corrected labels are nearer to the clean ones; other classes stay."""
    last = run.history[-1]
    assert min(last["curve"][1:]) > 0.5
    assert all(run.onsets[name] is not None for name in ("square", "disc"))
    assert last["label_error"]["after"] < last["label_error"]["before"]
    store = open_store(run.folder / "labels.zarr")
    held = set(json.loads((run.folder / "plan.json").read_text())["val_cases"])
    assert set(store.case_ids()) == {f"case{i}" for i in range(4)} - held
    for case in store.case_ids():
        source = np.asarray(nib.load(folders.masks / f"{case}.nii.gz").dataobj).T
        truth = np.asarray(nib.load(folders.clean / f"{case}.nii.gz").dataobj).T
        assert np.array_equal(store.read(case, "original"), source)
        assert (store.read(case, "corrected") != truth).sum() <= (source != truth).sum()


def test_the_run_folder_says_what_was_done(run: TrainResult) -> None:
    """history, config, run.json, state, plots stand there; the cache is gone; labels.zarr verifies."""
    names = {path.name for path in run.folder.iterdir()}
    assert {
        "config.toml",
        "history.jsonl",
        "checkpoint.safetensors",
        "state.json",
        "labels.zarr",
        "plots",
        "run.json",
    } <= names
    assert "cache" not in names
    history = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == list(range(1, 11))
    assert history == list(run.history)
    state = json.loads((run.folder / "state.json").read_text())
    assert state["finished"]
    assert state["onset"]["square"] == run.onsets["square"]
    labels = state["labels"]
    assert (labels["cases"], labels["corrected"]) == (3, 3)
    assert labels["error"]["after"] < labels["error"]["before"]
    assert sum(labels["added"]) == sum(labels["removed"]) > 0  # what one class loses another one gains
    about = json.loads((run.folder / "run.json").read_text())
    assert about["versions"]["torch"] == torch.__version__
    files = ("config.toml", "plan.json")
    assert about["hashes"] == {name: hashlib.sha256((run.folder / name).read_bytes()).hexdigest() for name in files}
    assert not verify_store(run.folder / "labels.zarr")
    assert {"student", "teacher"} == set(history[-1]["val"])


def test_history_holds_the_fitted_curve_of_each_class(run: TrainResult) -> None:
    """``fit`` is null until there is one and for the background; then it is the least-squares fit to the curve so far."""
    first, last = run.history[0], run.history[-1]
    assert first["fit"] == [None] * len(last["fit"])
    assert last["fit"][0] is None
    curve = [record["curve"][1] for record in run.history]
    fit = detect_onset(curve).fit
    assert fit is not None
    assert last["fit"][1] == {"a": fit.a, "b": fit.b, "c": fit.c, "rmse": fit.rmse}


def test_correction_starts_after_the_onset_and_from_the_original(run: TrainResult) -> None:
    """No label changes up to the onset epoch; after it the shown labels differ from the original ones."""
    first = min(epoch for epoch in run.onsets.values() if epoch is not None)
    assert all(record["corrections"] is None for record in run.history[:first])
    assert all(record["corrections"] is not None for record in run.history[first:])


def test_a_killed_run_resumes_bit_identically(run: TrainResult, folders: Folders, tmp_path: Path) -> None:
    """SIGKILL in the middle of an epoch, then --resume: the weights and the history equal the undisturbed run's."""
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from adelecli.training.trainer import train\n"
        f"train({str(folders.masks)!r}, out={str(tmp_path)!r}, set={SMALL!r}, epochs=10, seed=1, device='cpu',"
        f" clean={str(folders.clean)!r}, name='run')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/checkpoint.safetensors")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder,) = tmp_path.iterdir()
    assert (
        not json.loads((folder / "state.json").read_text()).get("finished")
        if (folder / "state.json").exists()
        else True
    )
    resumed = train(resume=folder, device="cpu")
    expected, _ = read_checkpoint(run.folder / "checkpoint.safetensors")
    tensors, _ = read_checkpoint(folder / "checkpoint.safetensors")
    assert expected.keys() == tensors.keys()
    assert all(torch.equal(expected[name], tensors[name]) for name in expected)
    timeless = [[{k: v for k, v in r.items() if k != "seconds"} for r in h] for h in (run.history, resumed.history)]
    assert timeless[0] == timeless[1]


def test_a_resumed_run_refuses_changed_inputs_and_new_options(
    run: TrainResult, folders: Folders, tmp_path: Path
) -> None:
    """Another mask under the same name, or an option that the run did not have, is named and refused."""
    with pytest.raises(ConfigError, match="epochs"):
        train(resume=run.folder, epochs=3)
    copy = tmp_path / "data"
    shutil.copytree(folders.root, copy, ignore=shutil.ignore_patterns("runs", "weights"))
    begun = train(copy / "masks", out=tmp_path / "runs", set=SMALL, epochs=1, device="cpu")
    nib.save(
        nib.Nifti1Image(np.ones((22, 19, 5), np.uint8), np.diag([1.0, 1.0, 3.0, 1.0])), copy / "masks" / "case0.nii.gz"
    )
    with pytest.raises(ConfigError, match="case0 has changed"):
        train(resume=begun.folder, device="cpu")


def test_the_baseline_corrects_nothing(folders: Folders, tmp_path: Path) -> None:
    """One scale, no consistency, no label changes, no labels.zarr."""
    seen: list[Progress] = []
    result = train(folders.masks, out=tmp_path, set=SMALL, epochs=6, device="cpu", baseline=True, progress=seen.append)
    assert all(record["corrections"] is None for record in result.history)
    assert all("consistency" not in record["losses"] for record in result.history)
    assert not (result.folder / "labels.zarr").exists()
    assert [p.done for p in seen if p.stage == "train"] == list(range(1, 7))


def test_bad_cases_are_left_out_and_listed(folders: Folders, tmp_path: Path) -> None:
    """A damaged, an unpaired and a misshapen case are named; the others train; the result says 3."""
    data = tmp_path / "data"
    shutil.copytree(folders.root, data, ignore=shutil.ignore_patterns("runs", "weights"))
    (data / "masks" / "case1.nii.gz").write_bytes(b"no volume")
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), data / "masks" / "case2.nii.gz")
    shutil.copy(data / "masks" / "case0.nii.gz", data / "masks" / "alone.nii.gz")
    notices: list[str] = []
    result = train(
        data / "masks", out=tmp_path / "runs", set=(*SMALL, "data.val_share=0"), epochs=1, device="cpu",
        progress=lambda p: notices.append(p.notice) if p.notice else None,
    )  # fmt: skip
    assert {case for case, _ in result.left_out} == {"alone", "case1", "case2"}
    assert result.exit_code == 3
    assert all(any(case in notice for notice in notices) for case in ("alone", "case1", "case2"))


def test_patience_stops_early(folders: Folders, tmp_path: Path) -> None:
    """Without any learning nothing improves: one epoch, then `patience` more."""
    result = train(
        folders.masks,
        out=tmp_path,
        set=(*SMALL, "optimiser.lr=1e-12"),
        epochs=9,
        patience=2,
        device="cpu",
        baseline=True,
    )
    assert len(result.history) == 3


def test_nothing_usable_is_an_input_error(folders: Folders, tmp_path: Path) -> None:
    """A missing folder, an empty one, masks of background only."""
    with pytest.raises(InputError):
        train(tmp_path / "nowhere", out=tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError):
        train(tmp_path / "masks", images=folders.images, out=tmp_path)
    nib.save(
        nib.Nifti1Image(np.zeros((22, 19, 5), np.uint8), np.diag([1, 1, 3, 1])), tmp_path / "masks" / "case0.nii.gz"
    )
    with pytest.raises(InputError, match="background only"):
        train(tmp_path / "masks", images=folders.images, out=tmp_path)


def test_the_device_is_what_was_asked_for() -> None:
    """Cpu is cpu; cuda never falls back; nonsense is a usage error."""
    assert choose_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(DeviceError, match="cuda:1"):
            choose_device("cuda:1")
    for text in ("gpu", "cuda:x", "cpu:0"):
        with pytest.raises(ConfigError):
            choose_device(text)


def test_options_that_do_not_exist_are_named() -> None:
    """A misspelt keyword is refused, not ignored."""
    with pytest.raises(ConfigError, match="epoch"):
        train("x", epoch=3)  # type: ignore[call-arg]


def test_colour_pictures_and_gapped_ids_train(tmp_path: Path) -> None:
    """RGB PNG images of unequal sizes, masks with ids 0, 3 and 7 named in the settings, 255 ignored: three channels, two classes."""
    from PIL import Image

    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(6):
        rng = np.random.default_rng(number)
        mask = np.zeros((20 + number, 30 - number), np.uint8)
        mask[4:12, 5:14], mask[12:18, 16:22], mask[0, 0] = 3, 7, 255
        shades = {0: (10, 10, 10), 3: (200, 20, 20), 7: (20, 200, 20), 255: (10, 10, 10)}
        image = np.array([shades[int(v)] for v in mask.ravel()]).reshape(*mask.shape, 3) + rng.integers(
            0, 20, (*mask.shape, 3)
        )
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "images" / f"p{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"p{number}.png")
    config = tmp_path / "c.toml"
    config.write_text("[data.classes]\nbackground = 0\ngreen = 7\nred = 3\n")
    result = train(tmp_path / "masks", out=tmp_path / "runs", config=config, set=SMALL, epochs=12, seed=0, device="cpu")
    plan = json.loads((result.folder / "plan.json").read_text())
    assert (plan["class_ids"], plan["class_names"]) == ([0, 3, 7], ["background", "red", "green"])
    assert len(plan["channels"]) == 3
    assert min(result.history[-1]["curve"][1:]) > 0.7
    store = open_store(result.folder / "labels.zarr")
    case = store.case_ids()[0]
    assert set(np.unique(store.read(case, "corrected"))) == {0, 3, 7, 255}
    assert store.read(case, "corrected")[0, 0, 0] == 255
