"""Every edge case of evaluation section 4, here or in the test named beside it.

Class absent from an epoch: ``test_measures``, ``test_dynamics``, and here. Never learnt, fit failure: ``test_dynamics``. Ignore in masks:
``test_trainer`` (pictures); in padding and consistency: ``test_losses``. Odd sizes at .7: ``test_network``. Logit gaps of 200 in
half precision: ``test_losses``. Resume between onset and first correction: ``test_keeping``. All others: here.
"""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest_training import STILL

from adelecli.dynamics import detect_onset
from adelecli.labels.correction import Rule, correct_labels, find_present, guard_collapse
from adelecli.progress import Progress
from adelecli.store.collection import open_store
from adelecli.training.checkpoint import Learner
from adelecli.training.dataset import ROW, Slices
from adelecli.training.descent import needs_dice
from adelecli.training.loop import Experiment, take_step, train_epoch
from adelecli.training.measures import Tally, curve_points
from adelecli.training.resolving import resolve_settings
from adelecli.training.trainer import TrainResult, start_learner, train

IGNORE = 255
SMALL = ("network.width=2", "network.depth=2", "optimiser.batch_size=2", "optimiser.lr=0.001", *STILL)


def start(
    labels: np.ndarray, classes: int, *overrides: str, preset: str | None = None
) -> tuple[Learner, Experiment, torch.Tensor, torch.Tensor]:
    """A fresh learner on slices ``labels [N, H, W]``, with their images and labels as tensors."""
    images = np.random.default_rng(0).normal(size=(len(labels), 1, *labels.shape[1:])).astype(np.float32)
    table = np.zeros(len(labels), ROW)
    table["slice"] = np.arange(len(labels))
    slices = Slices(images, labels, None, table, ("a",), frozenset())
    settings = resolve_settings(preset, overrides=(*SMALL, *overrides))
    names = tuple(f"class{i}" for i in range(classes))
    experiment = Experiment(settings, slices, names, torch.device("cpu"), lambda _: None)
    return start_learner(experiment, 1), experiment, torch.from_numpy(images), torch.from_numpy(labels).long()


def weights_of(learner: Learner) -> list[torch.Tensor]:
    return [value.detach().clone() for value in learner.network.parameters()]


def test_a_loss_that_is_not_finite_is_skipped_and_counted() -> None:
    """The weights, the step count and the teacher stay as they were, and the next step is an ordinary one."""
    learner, experiment, image, labels = start(np.ones((2, 8, 8), np.uint8), 2)
    before, averaged = weights_of(learner), [value.clone() for value in learner.teacher.parameters()]
    _, losses = take_step(learner, experiment, torch.full_like(image, math.nan), labels)
    assert (losses["skipped"], losses["ce"], learner.step) == (1.0, 0.0, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(learner), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(averaged, learner.teacher.parameters(), strict=True))
    _, losses = take_step(learner, experiment, image, labels)
    assert (losses["skipped"], learner.step) == (0.0, 1)
    assert losses["ce"] > 0


def test_a_batch_that_is_all_ignored_teaches_nothing() -> None:
    """Loss 0, no gradient, finite weights, no point on the curve."""
    labels = np.full((2, 8, 8), IGNORE, np.uint8)
    learner, experiment, _, _ = start(labels, 3, "optimiser.weight_decay=0")
    before = weights_of(learner)
    losses, tallies = train_epoch(learner, experiment, np.arange(2), labels)
    assert losses == {"ce": 0.0, "consistency": 0.0, "dice": 0.0, "skipped": 0.0}
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(learner), strict=True))
    assert curve_points(tallies.curve.confusion()) == [None, None, None]


@pytest.mark.parametrize("preset", ["adele", "paper", "voc-code", "segthor-code"])
@pytest.mark.parametrize("classes", [2, 20])
def test_two_and_twenty_classes_learn_under_every_preset(preset: str, classes: int) -> None:
    """A step lowers the cross-entropy of the batch that it was taken on; every class that is there has a point."""
    labels = (np.arange(2 * 8 * 8) % classes).astype(np.uint8).reshape(2, 8, 8)
    learner, experiment, image, target = start(
        labels, classes, "optimiser.lr=0.01", "optimiser.warmup_steps=0", "optimiser.clip_norm=1", preset=preset
    )
    losses = [take_step(learner, experiment, image, target)[1]["ce"] for _ in range(6)]
    assert losses[-1] < losses[0]
    tally = Tally(classes, torch.device("cpu"))
    tally.add(target, target)
    assert curve_points(tally.confusion()) == [1.0] * classes


def test_the_sum_over_scales_is_three_times_their_mean() -> None:
    """`loss.reduction = "sum"` gives gradients three times as large: a plain SGD step three times as far."""
    steps = []
    for reduction in ("mean", "sum"):
        learner, experiment, image, labels = start(
            np.ones((2, 8, 8), np.uint8), 2, f"loss.reduction={reduction!r}", "loss.dice_steps=0", "loss.gate=0",
            "optimiser.name='sgd'", "optimiser.momentum=0", "optimiser.weight_decay=0", "optimiser.clip_norm=0",
        )  # fmt: skip
        before = weights_of(learner)
        take_step(learner, experiment, image, labels)
        steps.append([after - old for after, old in zip(weights_of(learner), before, strict=True)])
    assert all(torch.allclose(3 * mean, total, atol=1e-7) for mean, total in zip(*steps, strict=True))


def test_the_learning_rate_warms_up_and_then_rests() -> None:
    """Linear to the full rate over the warm-up, then constant, so that no decay bends the onset's curve."""
    learner, experiment, image, labels = start(np.ones((2, 8, 8), np.uint8), 2, "optimiser.warmup_steps=4")
    rates = []
    for _ in range(7):
        take_step(learner, experiment, image, labels)
        rates.append(learner.optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.00025, 0.0005, 0.00075, 0.001, 0.001, 0.001, 0.001])


def test_epochs_of_warm_up_do_not_bend_the_curve() -> None:
    """A start at a small rate delays the onset by as many epochs as the class stays unlearnt, no more."""
    curve = [0.8 * -math.expm1(-epoch / 3) for epoch in range(1, 31)]
    plain = detect_onset(curve).epoch
    assert plain is not None
    assert detect_onset([0.0, 0.01, 0.03, *curve]).epoch == plain + 3


def test_ignore_is_no_class() -> None:
    """It is not among the classes of a slice, is nobody's prediction target and does not count as removed."""
    labels = np.array([[1, 255, 255, 0]], np.uint8)
    assert find_present(labels) == {0, 1}
    rule = Rule(tau=(0.5,) * 2, triggered=frozenset({1}))
    after = correct_labels(labels, np.array([[0, 1, 0, 0]], np.uint8), np.full((1, 4), 0.9), rule)
    assert after.tolist() == [[0, 255, 255, 0]]
    kept, cancelled = guard_collapse(labels, np.array([[1, 0, 0, 0]], np.uint8), {1, IGNORE})
    assert (kept.tolist(), cancelled) == ([[1, 0, 0, 0]], ())


def test_labels_that_are_already_clean_stay() -> None:
    """A network that agrees with the labels changes none of them, however sure it is and whatever has triggered."""
    labels = np.random.default_rng(0).integers(0, 4, (3, 6, 6)).astype(np.uint8)
    rule = Rule(tau=(0.0,) * 4, triggered=frozenset({1, 2, 3}), constraint="none", any_source=True)
    assert np.array_equal(correct_labels(labels, labels, np.ones(labels.shape), rule), labels)


def test_a_class_that_is_wholly_wrong_is_the_guards_business() -> None:
    """Every pixel of class 1 should be class 2: the rule alone changes all of them, the guard cancels it for that class only."""
    labels = np.array([[[1, 1, 1, 2, 2, 0]]], np.uint8)
    right = np.array([[[2, 2, 2, 2, 2, 2]]], np.uint8)
    rule = Rule(tau=(0.5,) * 3, triggered=frozenset({1, 2}))
    after = correct_labels(labels, right, np.full(labels.shape, 0.9), rule)
    assert after.tolist() == [[[2, 2, 2, 2, 2, 2]]]
    kept, cancelled = guard_collapse(labels, after, rule.triggered)
    assert (kept.tolist(), cancelled) == ([[[1, 1, 1, 2, 2, 2]]], (1,))


def test_a_class_of_one_case_has_points_only_where_it_was_shown() -> None:
    """An epoch without its slice gives None and skips the point; the next one goes on."""
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[:, 2:5], labels[0, 5:] = 1, 2
    learner, experiment, _, _ = start(labels, 3)
    curves = [
        curve_points(train_epoch(learner, experiment, np.array(rows), labels[rows])[1].curve.confusion())
        for rows in ([1, 2], [0, 1])
    ]
    assert curves[0][2] is None
    assert isinstance(curves[0][1], float)
    assert isinstance(curves[1][2], float)


def test_the_curve_may_be_measured_against_the_labels_shown() -> None:
    """`onset.reference = "current"` compares with the labels of the epoch, `"original"` with those never changed."""
    original, shown = np.zeros((2, 8, 8), np.uint8), np.ones((2, 8, 8), np.uint8)
    totals = {}
    for reference in ("original", "current"):
        learner, experiment, _, _ = start(original, 2, f"onset.reference={reference!r}")
        tallies = train_epoch(learner, experiment, np.arange(2), shown)[1]
        totals[reference] = tallies.curve.confusion().sum(1).tolist()
    assert totals == {"original": [128, 0], "current": [0, 128]}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, Path, list[str]]:
    """A run on volumes of one slice, smaller than the stride, all background, with a class that only the validation case has."""
    root = tmp_path_factory.mktemp("odd")
    rng = np.random.default_rng(0)
    masks = {name: np.zeros(shape, np.uint8) for name, shape in
             (("alone", (9, 7, 1)), ("empty", (9, 7, 2)), ("little", (3, 2, 2)), ("rare", (5, 9, 1)), ("usual", (9, 7, 2)))}  # fmt: skip
    for name in ("alone", "little", "usual"):
        masks[name][1:, 1:] = 1
    masks["rare"][:2], masks["rare"][2:4] = 2, 1
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for name, mask in masks.items():
        for folder, values in (
            ("masks", mask),
            ("images", (mask * 90 + rng.normal(0, 9, mask.shape)).astype(np.float32)),
        ):
            nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), root / folder / f"{name}.nii.gz")
    (root / "val.txt").write_text("rare\n")
    notices: list[str] = []

    def listen(progress: Progress) -> None:
        if progress.notice:
            notices.append(progress.notice)

    result = train(
        root / "masks", out=root / "runs", val=root / "val.txt", epochs=6, device="cpu", progress=listen,
        set=("network.width=4", "network.depth=3", "optimiser.batch_size=2", "data.axis='z'", "onset.r=0.1",
             "onset.consecutive=1", "correction.tau=0.5", "optimiser.lr=0.01", "data.empty_share=1.0"),
    )  # fmt: skip
    return result, root, notices


def test_odd_volumes_train_side_by_side(odd: tuple[TrainResult, Path, list[str]]) -> None:
    """One slice, fewer pixels than the stride, nothing but background: none is left out, every loss is finite, none is skipped."""
    result, _, _ = odd
    assert result.left_out == ()
    assert all(math.isfinite(record["losses"]["ce"]) for record in result.history)
    assert all(record["losses"]["skipped"] == 0 for record in result.history)
    assert result.history[-1]["curve"][1] > 0.5
    assert result.onsets["class_1"] is not None
    store = open_store(result.folder / "labels.zarr")
    assert {case: store.read(case, "corrected").shape for case in store.case_ids()} == {
        "alone": (1, 7, 9), "empty": (2, 7, 9), "little": (2, 2, 3), "usual": (2, 7, 9),
    }  # fmt: skip
    assert not store.read("empty", "corrected").any()


def test_a_class_of_one_case_that_is_held_out_never_triggers(odd: tuple[TrainResult, Path, list[str]]) -> None:
    """It is absent from every epoch: no point, never 0; no onset; never written; and the run says so."""
    result, _, notices = odd
    assert all(record["curve"][2] is None for record in result.history)
    assert result.onsets["class_2"] is None
    assert result.reasons["class_2"] == "absent from every epoch so far"
    assert any("class class_2 never triggered: absent" in notice for notice in notices)
    store = open_store(result.folder / "labels.zarr")
    assert all(not (store.read(case, "corrected") == 2).any() for case in store.case_ids())


def test_soft_dice_stays_until_every_class_is_learnt() -> None:
    """In the first steps always; later while a class that has labels lies below .3; never where the setting is 0."""
    network = torch.nn.Conv2d(1, 3, 1)
    learner = Learner(network, network, torch.optim.SGD(network.parameters(), lr=1.0))
    some, none = resolve_settings(overrides=("loss.dice_steps=10",)), resolve_settings(overrides=("loss.dice_steps=0",))
    assert needs_dice(learner, some)
    learner.step = 10
    for curve, needed in (([0.1, 0.9, 0.29], True), ([0.1, 0.9, None], False), ([0.1, 0.9, 0.3], False)):
        learner.history.append({"curve": curve})
        assert needs_dice(learner, some) is needed
        assert not needs_dice(learner, none)
