"""The noise of labels, measured by two networks on halves of the cases, and what a run makes of it."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest_training import SMALL, Folders, write_data

from adelecli.errors import InputError
from adelecli.labels.excess import ClassNoise, Noise, Omission
from adelecli.progress import Progress, ignore_progress
from adelecli.training.contracting import make_contract
from adelecli.training.crossfit import LEAST_CASES, choose_cases, describe_errors, measure_noise
from adelecli.training.dataset import ROW, Slices
from adelecli.training.exporter import Proof, export, read_run
from adelecli.training.finishing import _tell_why
from adelecli.training.loop import Experiment
from adelecli.training.noisefile import read_noise, write_noise
from adelecli.training.options import ExportOptions
from adelecli.training.resolving import resolve_settings
from adelecli.training.trainer import TrainResult, train

ASKED = (*SMALL, "noise.enabled=true", "noise.steps=40", "data.val_share=0")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_data(tmp_path_factory.mktemp("many"), cases=6)


def make_noise(threshold: float | None) -> Noise:
    shown = ClassNoise(0.4, 0.2, 0.1, 0.35, 0.3, 0.4)
    absent = ClassNoise(math.nan, math.nan, math.nan, 0.0, 0.0, 0.0)
    shown, absent = replace(shown, factor=1.25, bias=-0.5), replace(absent, bias=None)
    return Noise((shown, absent), 0.25, (1.5, math.nan), threshold)


def test_the_label_error_is_told_of_the_classes_that_can_be_judged() -> None:
    """A class that two networks do not know has no figure; one that looks clean is told of at the end, with the reason."""
    clean = ClassNoise(0.1, 0.1, 0.1, 0.0, 0.0, 0.0)
    noise = Noise((*make_noise(None).classes, clean), 0.25, (), None)
    assert list(describe_errors(("heart", "aorta", "lung"), noise)) == [
        "class heart: label error of about 35 % (90 % interval: 30 to 40 %)"
    ]


@pytest.mark.parametrize("threshold", [None, 1.25])
def test_what_was_measured_is_read_back(tmp_path: Path, threshold: float | None) -> None:
    """Numbers that are not known stay unknown; a missing threshold stays missing; damage is told."""
    assert read_noise(tmp_path) is None
    write_noise(tmp_path, make_noise(threshold))
    assert repr(read_noise(tmp_path)) == repr(make_noise(threshold))
    (tmp_path / "noise.json").write_text('{"classes": 3}')
    with pytest.raises(InputError, match="damaged"):
        read_noise(tmp_path)


def test_a_class_that_no_network_finds_is_told_in_words() -> None:
    """A figure that does not exist is no reason that a person could read."""
    unseen = ClassNoise(math.nan, math.nan, math.nan, 0.0, 0.0, 0.0)
    assert _tell_why(unseen) == "its labels cannot be judged: neither of two networks finds it"
    apart = _tell_why(replace(unseen, network=0.9))
    assert apart == "its labels cannot be judged: two networks disagree by 0.900"


def test_labels_that_look_clean_are_not_changed(many: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the onsets: no epoch corrects, the file corrects nothing, and the reasons say why."""
    entries = tuple(ClassNoise(0.2, 0.25, 0.1, 0.0, 0.0, 0.0) for _ in range(2))
    clean = Noise(entries, 1.0, (0.8,) * 6, None, omitted=(Omission("case0", 2, (0, 1, 0, 4, 0, 4)),))
    monkeypatch.setattr("adelecli.training.trainer.measure_noise", lambda *_: clean)
    told: list[Progress] = []
    result = train(many.masks, out=tmp_path / "runs", set=ASKED, epochs=6, seed=1, device="cpu", progress=told.append)
    assert any(epoch is not None for epoch in result.onsets.values())
    assert all(record["corrections"] is None for record in result.history)
    assert all("labels look clean: they disagree by 0.200" in reason for reason in result.reasons.values())
    assert sum("is not corrected" in (event.notice or "") for event in told) == 2
    back = [
        reason.endswith("; 1 case that lacks it gets it back where it is plainly seen")
        for reason in result.reasons.values()
    ]
    assert back == [False, True]


def test_the_measurement_names_both_classes_and_every_case(many: Folders, tmp_path: Path) -> None:
    """It stands in the run and in the contract; the same seed measures the same; progress is shown."""
    told: list[Progress] = []
    runs = [
        train(many.masks, out=tmp_path / name, set=ASKED, epochs=1, seed=3, device="cpu", progress=told.append)
        for name in ("a", "b")
    ]
    first, second = (read_noise(result.folder) for result in runs)
    assert first is not None
    assert repr(first) == repr(second)
    assert len(first.classes) == 2
    assert len(first.excess) == 6
    assert 0 < first.classes[0].disagreement < 1
    assert {event.total for event in told if event.stage == "noise"} == {80}
    contract = export(runs[0].folder, out=tmp_path / "m.onnx").contract
    shares = [entry.noise.share for entry in contract.classes[1:] if entry.noise is not None]
    assert shares == pytest.approx([entry.error for entry in first.classes])
    assert (contract.gate is None) == (first.gate is None)


@pytest.mark.parametrize(("steps", "rounds"), [(40, 1), (1, 3)])
def test_networks_learn_on_while_a_class_is_unknown(many: Folders, tmp_path: Path, steps: int, rounds: int) -> None:
    """After 40 steps both shapes are known; after one step none is, nor after two and three, and then it ends."""
    told: list[Progress] = []
    asked = (*ASKED, f"noise.steps={steps}")
    train(many.masks, out=tmp_path, set=asked, epochs=1, seed=3, device="cpu", progress=told.append)
    last = [event for event in told if event.stage == "noise" and not event.notice][-1]
    assert (last.done, last.total) == (2 * steps * rounds, 2 * steps * rounds)


def test_a_finished_measurement_is_not_made_again(
    many: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was stopped after it goes on with what it found."""
    run = train(many.masks, out=tmp_path, set=ASKED, epochs=1, seed=3, device="cpu").folder
    text = (run / "noise.json").read_text()
    marked = json.loads(text) | {"clean_share": 0.125}
    (run / "noise.json").write_text(json.dumps(marked))
    monkeypatch.setattr("adelecli.training.crossfit.estimate_noise", lambda *_, **__: pytest.fail("measured again"))
    train(resume=run, device="cpu")
    assert json.loads((run / "noise.json").read_text())["clean_share"] == 0.125


def test_an_older_measurement_reads_as_one_without_trusted_cases(tmp_path: Path) -> None:
    """What was added since has a default."""
    write_noise(tmp_path, make_noise(1.25))
    content = json.loads((tmp_path / "noise.json").read_text())
    for entry in content["classes"]:
        del entry["factor"], entry["bias"]
    (tmp_path / "noise.json").write_text(json.dumps(content))
    noise = read_noise(tmp_path)
    assert noise is not None
    assert [(entry.factor, entry.bias) for entry in noise.classes] == [(1.0, None)] * 2


def test_three_trusted_cases_calibrate_and_tell_the_bias(many: Folders, tmp_path: Path) -> None:
    """They are not judged; the factors and biases stand in the run, and the biases are told."""
    told: list[str] = []
    small = (*ASKED, "noise.steps=120", "loss.scales=[[1, 1]]")
    run = train(
        many.masks, out=tmp_path, set=small, epochs=1, seed=3, device="cpu", trusted=["case1", "case3", "case5"],
        progress=lambda event: told.append(event.notice) if event.stage == "noise" and event.notice else None,
    )  # fmt: skip
    noise = read_noise(run.folder)
    assert noise is not None
    assert len(noise.excess) == 3
    assert all(entry.factor != 1.0 for entry in noise.classes)
    sizes = {name: entry.bias for name, entry in zip(("square", "disc"), noise.classes, strict=True)}
    assert any(bias is not None for bias in sizes.values())
    assert [notice for notice in told if "label error" not in notice] == [
        f"class {name}: drawn {abs(round(bias, 1))} px too {'large' if bias > 0 else 'small'}"
        for name, bias in sizes.items()
        if bias is not None and round(bias, 1)
    ]


def test_the_factors_travel_in_the_gate_of_the_file(run: TrainResult, tmp_path: Path) -> None:
    """What the run's trusted cases said about honest disagreement judges the cases that the exported file corrects."""
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy, ignore=shutil.ignore_patterns("*.zarr"))
    entries = (
        ClassNoise(0.4, 0.3, 0.1, 0.2, 0.1, 0.3, factor=1.5),
        ClassNoise(0.2, 0.2, 0.1, 0.0, 0.0, 0.0, factor=0.75),
    )
    write_noise(copy, Noise(entries, 0.5, (1.5, 0.9), 1.25))
    finished = read_run(copy)
    gate = make_contract(finished, ((1, 1),), ExportOptions(), Proof({}, {}, (0.6,) * 3, "")).gate
    assert gate is not None
    assert (gate.network, gate.threshold, gate.factor) == ((0.1, None), 1.25, (1.5, 0.75))


def test_a_data_set_of_trusted_cases_is_not_asked(tmp_path: Path) -> None:
    """There is nobody to judge, so no network is made for it."""
    table = np.zeros(LEAST_CASES, ROW)
    table["case"], table["foreground"] = np.arange(LEAST_CASES), True
    pictures = np.ones((LEAST_CASES, 4, 4))
    ids = tuple("abcdefgh"[:LEAST_CASES])
    slices = Slices(pictures[:, None].astype(np.float32), pictures.astype(np.uint8), None, table, ids, frozenset())
    slices = replace(slices, trusted=frozenset(ids))
    experiment = Experiment(resolve_settings(), slices, ("background", "one"), torch.device("cpu"), ignore_progress)
    assert experiment.settings.noise.enabled
    assert measure_noise(experiment, lambda _: pytest.fail("a network was made"), tmp_path) is None


def test_the_limit_on_compared_cases_leaves_room_for_trusted_ones() -> None:
    """Up to half of it; without any the choice is an even spread."""
    cases, nobody = np.arange(20), np.zeros(20, bool)
    assert choose_cases(cases, nobody, 5).tolist() == [0, 5, 10, 14, 19]
    assert choose_cases(cases, nobody, 400).tolist() == list(range(20))
    known = np.isin(cases, [3, 11])
    chosen = choose_cases(cases, known, 6).tolist()
    assert {3, 11} <= set(chosen)
    assert len(chosen) == 6
    assert sum(choose_cases(cases, cases < 10, 6) < 10) == 3


def test_too_few_cases_are_not_asked(folders: Folders, tmp_path: Path) -> None:
    """Three cases cannot be halved and judged; their labels are corrected unasked, as the paper does."""
    settings = (*SMALL, "noise.enabled=true", "noise.steps=5")
    assert len(list(folders.masks.iterdir())) - 1 < LEAST_CASES
    run = train(folders.masks, out=tmp_path, set=settings, epochs=1, seed=1, device="cpu")
    assert read_noise(run.folder) is None


def test_the_gate_decides_for_whole_cases() -> None:
    """A case whose labels agree with the network stays as it is; one that disagrees is corrected."""
    from adelecli.labels.correction import Rule
    from adelecli.labels.gate import Gate
    from adelecli.training.relabelling import correct_case

    labels = np.zeros((2, 12, 12), np.uint8)
    labels[:, 3:9, 3:9] = 1
    table = np.zeros(2, ROW)
    table["case"] = [0, 1]
    slices = Slices(np.zeros((2, 1, 12, 12), np.float32), labels, None, table, ("a", "b"), frozenset())
    near, far = labels.copy(), np.zeros_like(labels)
    near[:, 3, 3] = 0
    far[:, 1:11, 1:11] = 1
    rule = Rule((0.5, 0.5), frozenset({1}), gate=Gate((0.1,), 1.5))
    sure = np.full((1, 12, 12), 0.9, np.float32)
    kept, _ = correct_case(slices, np.array([0]), labels[:1], (near[:1], sure), rule, 1.0)
    changed, _ = correct_case(slices, np.array([1]), labels[1:], (far[1:], sure), rule, 1.0)
    assert np.array_equal(kept, labels[:1])
    assert np.array_equal(changed, far[1:])
