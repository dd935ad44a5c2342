"""Labels that outlive an epoch: what they hold, and that a run killed at any moment goes on as if it had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest_training import SMALL, STILL, Folders, write_data

from adelecli.store.collection import open_store
from adelecli.training import keeping, loop, trainer
from adelecli.training.checkpoint import Learner, read_checkpoint
from adelecli.training.dataset import ROW, Slices
from adelecli.training.keeping import EpochPredictions, discard_kept, open_kept, renew_kept, show_kept
from adelecli.training.loop import Experiment, correction_rule
from adelecli.training.resolving import resolve_settings
from adelecli.training.settings import Settings
from adelecli.training.trainer import TrainResult, train

TINY = tuple(item for item in SMALL if "width" not in item and "val_share" not in item)
TINY += (
    "correction.outline=0",
    "network.width=4",
    "data.val_share=0",
    "loss.scales=[[1, 1]]",
    "onset.forced_epoch=2",
    "onset.r=1.0",
)
ORGANS = (
    *TINY, "correction.predictions='epoch'", "correction.mode='accumulate'", "correction.interval=3",
    "correction.when='onset'", "onset.reference='current'", "correction.constraint='none'", "optimiser.lr=0.02",
)  # fmt: skip

LABELS = np.array([[[0, 1, 1, 2]], [[0, 0, 2, 2]], [[1, 1, 0, 255]]], np.uint8)


class StopError(Exception):
    """Stands for the power that goes."""


def make_experiment(folder: Path, *overrides: str) -> tuple[Learner, Experiment]:
    """Three slices of two cases, none for validation; class 1 has triggered at epoch 1."""
    table = np.zeros(3, ROW)
    table["case"], table["slice"] = [0, 0, 1], [0, 1, 0]
    images = np.zeros((3, 1, 1, 4), np.float32)
    slices = Slices(images, LABELS.copy(), None, table, ("a", "b"), frozenset())
    settings: Settings = resolve_settings(overrides=(*STILL, "correction.outline=0", "correction.guard=1", *overrides))
    (folder / "cache").mkdir(exist_ok=True)
    experiment = Experiment(settings, slices, ("background", "one", "two"), torch.device("cpu"), print, folder)
    network = torch.nn.Conv2d(1, 3, 1)
    learner = Learner(network, network, torch.optim.SGD(network.parameters(), lr=1.0))
    return learner, experiment


def finish_epoch(
    learner: Learner, experiment: Experiment, predicted: list[list[int]], rows: list[int], onset: int = 1
) -> None:
    """One more epoch that showed ``rows`` and predicted ``predicted`` (class by pixel, nearly certain) on them."""
    learner.epoch += 1
    learner.history.append({"onset": [None, onset if learner.epoch >= onset else None, None]})
    source = EpochPredictions(experiment.folder / "cache", experiment.slices, 1.0)  # type: ignore[operator]
    logits = 20.0 * torch.nn.functional.one_hot(torch.tensor(predicted), 3).movedim(2, 1)[:, :, None]
    source.add(np.array(rows), logits)
    rule = correction_rule(learner, experiment)
    learner.history[-1]["kept"] = renew_kept(learner, experiment, rule, source)


def test_accumulated_corrections_stay_and_add_up(tmp_path: Path) -> None:
    """Epoch 1 corrects one slice, epoch 2 another; both corrections hold, the originals are untouched, ignore stays."""
    learner, experiment = make_experiment(tmp_path, "correction.mode='accumulate'")
    finish_epoch(learner, experiment, [[1, 1, 0, 2]], [0])
    assert open_kept(learner, experiment).tolist() == [[[1, 1, 0, 2]], [[0, 0, 2, 2]], [[1, 1, 0, 255]]]
    finish_epoch(learner, experiment, [[1, 0, 1, 1]], [2])
    assert open_kept(learner, experiment).tolist() == [[[1, 1, 0, 2]], [[0, 0, 2, 2]], [[1, 0, 1, 255]]]
    labels, corrections = show_kept(learner, experiment, np.array([2, 0]))
    assert labels.tolist() == [[[1, 0, 1, 255]], [[1, 1, 0, 2]]]
    assert corrections is not None
    assert (corrections.changes[1].added, corrections.changes[1].removed) == (2, 2)
    assert np.array_equal(experiment.slices.labels, LABELS)


@pytest.mark.parametrize("mode", ["mode='accumulate'", "predictions='epoch'"])
def test_labels_that_are_kept_are_the_original_ones_of_a_trusted_case(tmp_path: Path, mode: str) -> None:
    """However labels outlive an epoch, case a stays as it was drawn and case b is corrected."""
    learner, experiment = make_experiment(tmp_path, f"correction.{mode}")
    experiment = replace(experiment, slices=replace(experiment.slices, trusted=frozenset({"a"})))
    finish_epoch(learner, experiment, [[1, 1, 0, 2], [1, 0, 1, 1]], [0, 2])
    assert open_kept(learner, experiment).tolist() == [*LABELS[:2].tolist(), [[1, 0, 1, 255]]]


def test_restarting_forgets_what_an_earlier_correction_did(tmp_path: Path) -> None:
    """The second prediction of a slice is applied to the original label; a slice not shown keeps its last correction."""
    learner, experiment = make_experiment(tmp_path, "correction.predictions='epoch'")
    finish_epoch(learner, experiment, [[1, 1, 0, 2], [1, 0, 1, 1]], [0, 2])
    finish_epoch(learner, experiment, [[0, 1, 1, 2]], [0])
    assert open_kept(learner, experiment).tolist() == [[[0, 1, 1, 2]], [[0, 0, 2, 2]], [[1, 0, 1, 255]]]


def test_between_two_corrections_the_labels_rest(tmp_path: Path) -> None:
    """Interval 3 with a first correction at the onset: epochs 2 and 3 correct, epochs 4 and 5 do not."""
    learner, experiment = make_experiment(
        tmp_path, "correction.mode='accumulate'", "correction.interval=3", "correction.when='onset'"
    )
    files = []
    for _ in range(5):
        finish_epoch(learner, experiment, [[1, 1, 0, 2]], [0], onset=2)
        kept = learner.history[-1]["kept"]
        files.append(kept and kept["file"])
    assert files == [None, "labels-00002.npy", "labels-00003.npy", "labels-00003.npy", "labels-00003.npy"]
    discard_kept(tmp_path, learner.history)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["labels-00003.npy"]


def test_the_guard_counts_from_the_original_labels(tmp_path: Path) -> None:
    """A class that loses a pixel of two each time is not worn away: at more than half of the original it is restored."""
    learner, experiment = make_experiment(tmp_path, "correction.mode='accumulate'", "correction.guard=0.5")
    finish_epoch(learner, experiment, [[0, 0, 1, 2]], [0])
    assert open_kept(learner, experiment)[0].tolist() == [[0, 0, 1, 2]]
    finish_epoch(learner, experiment, [[0, 0, 0, 2]], [0])
    assert open_kept(learner, experiment)[0].tolist() == [[0, 1, 1, 2]]
    assert learner.history[-1]["kept"]["cancelled"] == {"a": [1]}


def test_fresh_predictions_correct_every_training_slice(tmp_path: Path) -> None:
    """In eval mode the rows need not have been shown."""
    learner, experiment = make_experiment(tmp_path, "correction.interval=2")

    class Everywhere(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
            label = torch.ones(len(image), 1, 4, dtype=torch.uint8)
            return None, label, torch.full(label.shape, 0.9)

    learner.epoch = 2
    learner.history = [{"kept": None}, {"onset": [None, 1, None]}]
    kept = renew_kept(learner, experiment, correction_rule(learner, experiment), Everywhere())  # type: ignore[arg-type]
    learner.history[-1]["kept"] = kept
    assert open_kept(learner, experiment).tolist() == [[[1, 1, 1, 2]], [[0, 0, 2, 2]], [[1, 1, 1, 255]]]


def run_tiny(folders: Folders, out: Path, settings: tuple[str, ...]) -> TrainResult:
    return train(folders.masks, out=out, set=settings, epochs=5, seed=1, device="cpu", name="run")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_data(tmp_path_factory.mktemp("tiny"), cases=2)


@pytest.fixture(scope="module")
def undisturbed(tiny: Folders, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run_tiny(tiny, tmp_path_factory.mktemp("undisturbed"), ORGANS)


def same(first: TrainResult, second: TrainResult) -> bool:
    """Weights, history (but for the seconds) and corrected labels are equal, bit by bit."""
    tensors = [read_checkpoint(result.folder / "checkpoint.safetensors")[0] for result in (first, second)]
    plain = [[{k: v for k, v in r.items() if k != "seconds"} for r in x.history] for x in (first, second)]
    stores = [open_store(result.folder / "labels.zarr") for result in (first, second)]
    return (
        tensors[0].keys() == tensors[1].keys()
        and all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
        and plain[0] == plain[1]
        and all(np.array_equal(stores[0].read(case), stores[1].read(case)) for case in stores[0].case_ids())
    )


def test_a_run_learns_from_the_labels_it_kept(undisturbed: TrainResult) -> None:
    """Forced onsets at 2, interval 3: corrections after epochs 2 and 3; the last file is what labels.zarr holds."""
    kept = [record["kept"] for record in undisturbed.history]
    assert [entry and entry["file"] for entry in kept] == [None, "labels-00002.npy", *["labels-00003.npy"] * 3]
    assert [record["corrections"] is None for record in undisturbed.history] == [True, True, False, False, False]
    assert sum(undisturbed.history[-1]["corrections"]["added"]) > 0
    (file,) = (undisturbed.folder / "kept").iterdir()
    labels = np.load(file)
    store = open_store(undisturbed.folder / "labels.zarr")
    for number, case in enumerate(store.case_ids()):
        corrected = store.read(case, "corrected")
        assert np.array_equal(
            labels[5 * number : 5 * number + 5, : corrected.shape[1], : corrected.shape[2]], corrected
        )
    assert not list(undisturbed.folder.rglob("predicted-*"))


@pytest.mark.parametrize(
    "moment", ["while labels are written", "before the checkpoint", "after the checkpoint", "in an epoch"]
)
@pytest.mark.parametrize("epoch", [2, 3])
def test_a_run_stopped_at_any_moment_goes_on_bit_identically(
    tiny: Folders, undisturbed: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, epoch: int
) -> None:
    """The checkpoint alone decides which labels count, whatever else lies in the folder."""
    module, name = {
        "while labels are written": (keeping, "correct_case"),
        "before the checkpoint": (trainer, "save_checkpoint"),
        "after the checkpoint": (trainer, "discard_kept"),
        "in an epoch": (loop, "take_step"),
    }[moment]
    whole = getattr(module, name)

    def stop(*arguments: object, **options: object) -> object:
        learner = next((a for a in arguments if isinstance(a, Learner)), None)
        reached = len(list(tmp_path.glob(f"*/kept/labels-{epoch:05}.npy*"))) > 0
        if reached and not (moment == "in an epoch" and learner is not None and learner.epoch < epoch):
            raise StopError
        return whole(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stop)
        with pytest.raises(StopError):
            run_tiny(tiny, tmp_path, ORGANS)
    (folder,) = tmp_path.iterdir()
    resumed = train(resume=folder, device="cpu")
    assert same(undisturbed, resumed)
    assert [path.name for path in (folder / "kept").iterdir()] == ["labels-00003.npy"]


def test_a_run_stopped_between_onset_and_first_correction_goes_on_bit_identically(
    tiny: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default nothing is kept: the labels of epoch 3 are made again from weights, originals and onsets."""
    expected = run_tiny(tiny, tmp_path / "whole", TINY)
    assert [record["corrections"] is None for record in expected.history] == [True, True, False, False, False]
    whole = loop.current_labels

    def stop(learner: Learner, *arguments: object) -> object:
        if learner.epoch == 2:
            raise StopError
        return whole(learner, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(loop, "current_labels", stop)
        with pytest.raises(StopError):
            run_tiny(tiny, tmp_path / "stopped", TINY)
    (folder,) = (tmp_path / "stopped").iterdir()
    assert same(expected, train(resume=folder, device="cpu"))
    assert not (folder / "kept").exists()
