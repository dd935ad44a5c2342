"""The noise of labels, measured by two networks on halves of the cases, and what a run makes of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from conftest_training import SMALL, Folders, write_data

from adelecli.errors import InputError
from adelecli.labels.excess import ClassNoise, Noise
from adelecli.progress import Progress
from adelecli.training.crossfit import LEAST_CASES
from adelecli.training.exporter import export
from adelecli.training.noisefile import read_noise, write_noise
from adelecli.training.trainer import train

ASKED = (*SMALL, "noise.enabled=true", "noise.steps=40", "data.val_share=0")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_data(tmp_path_factory.mktemp("many"), cases=6)


def make_noise(threshold: float | None) -> Noise:
    shown = ClassNoise(0.4, 0.2, 0.1, 0.35, 0.3, 0.4)
    absent = ClassNoise(math.nan, math.nan, math.nan, 0.0, 0.0, 0.0)
    return Noise((shown, absent), 0.25, (1.5, math.nan), threshold)


@pytest.mark.parametrize("threshold", [None, 1.25])
def test_what_was_measured_is_read_back(tmp_path: Path, threshold: float | None) -> None:
    """Numbers that are not known stay unknown; a missing threshold stays missing; damage is told."""
    assert read_noise(tmp_path) is None
    write_noise(tmp_path, make_noise(threshold))
    assert repr(read_noise(tmp_path)) == repr(make_noise(threshold))
    (tmp_path / "noise.json").write_text('{"classes": 3}')
    with pytest.raises(InputError, match="damaged"):
        read_noise(tmp_path)


def test_labels_that_look_clean_are_not_changed(many: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the onsets: no epoch corrects, the file corrects nothing, and the reasons say why."""
    clean = Noise(tuple(ClassNoise(0.2, 0.25, 0.1, 0.0, 0.0, 0.0) for _ in range(2)), 1.0, (0.8,) * 6, None)
    monkeypatch.setattr("adelecli.training.trainer.measure_noise", lambda *_: clean)
    told: list[Progress] = []
    result = train(many.masks, out=tmp_path / "runs", set=ASKED, epochs=6, seed=1, device="cpu", progress=told.append)
    assert any(epoch is not None for epoch in result.onsets.values())
    assert all(record["corrections"] is None for record in result.history)
    assert all("labels look clean: they disagree by 0.200" in reason for reason in result.reasons.values())
    assert sum("is not corrected" in (event.notice or "") for event in told) == 2


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


def test_too_few_cases_are_not_asked(folders: Folders, tmp_path: Path) -> None:
    """Three cases cannot be halved and judged; their labels are corrected unasked, as the paper does."""
    settings = (*SMALL, "noise.enabled=true", "noise.steps=5")
    assert len(list(folders.masks.iterdir())) - 1 < LEAST_CASES
    run = train(folders.masks, out=tmp_path, set=settings, epochs=1, seed=1, device="cpu")
    assert read_noise(run.folder) is None


def test_the_gate_decides_for_whole_cases() -> None:
    """A case whose labels agree with the network stays as it is; one that disagrees is corrected."""
    from adelecli.labels.correction import Rule
    from adelecli.labels.excess import Gate
    from adelecli.training.dataset import ROW, Slices
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
