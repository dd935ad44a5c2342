"""fp16 and int8 files, three dimensions, and what is measured at export: each against the network in float32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest_training import Folders
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.errors import ConfigError, ModelError
from adelecli.runtime.models import open_model
from adelecli.runtime.quantisation import quantise_graph
from adelecli.training.exporter import ExportResult, export, load_model, read_run
from adelecli.training.graph import trace_graph
from adelecli.training.network import MultiScale, build_network, forward_scale
from adelecli.training.parity import match_taus, prove_parity, prove_quantised
from adelecli.training.settings import NetworkSettings
from adelecli.training.trainer import TrainResult


@pytest.fixture(scope="module")
def half(run: TrainResult, folders: Folders) -> ExportResult:
    out = folders.root / "half" / "half.onnx"
    return export(run.folder, out=out, precision="fp16", scales=["1"], triggered=["disc"])


def test_half_precision_is_proved_against_the_full_network(half: ExportResult, run: TrainResult) -> None:
    """The contract says fp16 and its tolerance; outputs are float32 and near those of the float32 network; half the weights."""
    model = open_model(half.path, "cpu")
    image = np.random.default_rng(3).normal(size=(2, 1, 21, 30)).astype(np.float32)
    with torch.inference_mode():
        expected = load_model(read_run(run.folder), ((1, 1),))(torch.from_numpy(image))[0].numpy()
    got = model.run_probabilities(image)
    assert got.dtype == np.float32
    assert 0 < np.abs(got - expected).max() < 1e-2
    assert (model.contract.precision, model.contract.parity["tolerance"]) == ("fp16", 1e-2)


def test_the_owner_may_say_what_can_be_corrected(half: ExportResult, run: TrainResult, tmp_path: Path) -> None:
    """`triggered` names the classes instead of the onset, which stays as it was seen; an unknown name is refused."""
    square, disc = half.contract.classes[1:]
    assert (square.triggered, disc.triggered) == (False, True)
    assert square.onset == run.onsets["square"]
    with pytest.raises(ConfigError, match="there is no class 'disk'; the classes are square, disc"):
        export(run.folder, out=tmp_path / "x.onnx", scales=["1"], triggered=["disk"])
    with pytest.raises(ConfigError, match="'bf16' is no precision"):
        export(run.folder, out=tmp_path / "x.onnx", precision="bf16")
    assert list(tmp_path.iterdir()) == []


def test_several_scales_are_measured_against_one(exported: ExportResult, half: ExportResult) -> None:
    """Every file says what its ensemble and a single scale were worth on the run's validation slices, with true labels."""
    measured = exported.contract.validation
    assert [one["scales"] for one in measured["ensembles"]] == [["7/10", "1/1", "3/2"], ["1/1"]]
    assert (measured["slices"], measured["labels"]) == (5, "clean")
    assert all(0 < one["mean_dice"] <= 1 for one in measured["ensembles"])
    by_scales = {tuple(one["scales"]): one["mean_dice"] for one in half.contract.validation["ensembles"]}
    assert by_scales == {tuple(one["scales"]): one["mean_dice"] for one in measured["ensembles"]}
    assert "mean Dice" in exported.path.with_suffix(".md").read_text()
    json.dumps(measured)


def test_eight_bits_have_thresholds_of_their_own(
    run: TrainResult, half: ExportResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says int8 and how many labels it changes, opens (standard operators, its own hash), and tau moved a little.

    The limit is the one that a network of ten epochs on three volumes keeps.
    """
    monkeypatch.setattr("adelecli.training.parity.LABEL_LIMIT", 0.02)
    result = export(run.folder, out=tmp_path / "int8.onnx", precision="int8", scales=["1"])
    model = open_model(result.path, "cpu")
    assert model.contract.precision == "int8"
    assert 0 <= model.contract.parity["labels_that_differ"] <= 0.02
    assert model.contract.parity["fp32"]["max_probability_difference"] <= 2e-4
    taus = [entry.tau for entry in model.contract.classes]
    assert taus != [0.5] * 3
    assert all(abs(tau - 0.5) < 0.1 for tau in taus)


def test_eight_bits_that_change_labels_are_refused(
    exported: ExportResult, run: TrainResult, capfd: pytest.CaptureFixture[str]
) -> None:
    """Quantising is quiet and makes a smaller graph; against a network with other labels the proof fails with the share."""
    finished = read_run(run.folder)
    samples = finished.samples.image
    blob = quantise_graph(exported.path.read_bytes(), samples)
    assert len(blob) < exported.size
    assert capfd.readouterr() == ("", "")
    torch.manual_seed(5)
    other = MultiScale(build_network(finished.settings.network, 1, 3), ((1, 1),), 4).eval()
    with pytest.raises(
        ModelError, match=r"int8 changes .* % of the labels \(at most 0.1 %\); export with --precision fp32"
    ):
        prove_quantised(blob, other, samples, (0.6,) * 3)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.4, 0.9), st.floats(0.5, 2.0), st.integers(0, 1000))
def test_matched_thresholds_let_the_same_share_pass(tau: float, bend: float, seed: int) -> None:
    """Whatever monotone change the confidences suffer, as many pixels of each class pass as before."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, 500).astype(np.uint8)
    before = rng.uniform(0.34, 1, 500).astype(np.float32)
    after = (before**bend).astype(np.float32)
    matched = match_taus((tau,) * 3, (label, before), (label, after))
    for index in range(3):
        here = label == index
        assert abs(np.mean(before[here] > tau) - np.mean(after[here] > matched[index])) <= 2 / here.sum()


def test_a_threshold_without_evidence_stays() -> None:
    """A class without pixels, or whose pixels all pass, keeps its threshold."""
    label, sure = np.zeros(4, np.uint8), np.full(4, 0.9, np.float32)
    assert match_taus((0.5, 0.7), (label, sure), (label, sure)) == (0.5, 0.7)


def test_three_dimensions_are_a_parameter() -> None:
    """The same builder, ensemble, tracer and proof make a 3D graph with dynamic depth, height and width."""
    torch.manual_seed(0)
    network = build_network(NetworkSettings(width=2, depth=2), 1, 2, dims=3).eval()
    assert forward_scale(network, torch.zeros(1, 1, 5, 6, 7), (7, 10), 4).shape == (1, 2, 4, 4, 5)
    model = MultiScale(network, ((1, 1),), 4).eval()
    graph = trace_graph(model, 1, dims=3)
    sizes = [dim.dim_param for dim in graph.graph.input[0].type.tensor_type.shape.dim]
    assert sizes[2:] == ["depth", "height", "width"]
    samples = np.random.default_rng(0).normal(size=(1, 1, 6, 7, 9)).astype(np.float32)
    record = prove_parity(graph.SerializeToString(), model, samples)
    assert record["inputs"] == 2 * 13


@pytest.mark.slow
def test_parity_holds_up_to_1024_pixels(run: TrainResult, exported: ExportResult) -> None:
    """The difference grows with the width of the resized image; at 1024 it is still within 2e-4."""
    finished = read_run(run.folder)
    model = load_model(finished, finished.settings.ensemble_scales)
    tile = np.tile(finished.samples.image[:1], (1, 1, 64, 64))
    opened = open_model(exported.path, "cpu")
    for height, width in ((64, 1024), (1024, 61), (1024, 1023)):
        image = np.ascontiguousarray(tile[..., :height, :width])
        with torch.inference_mode():
            expected = model(torch.from_numpy(image))[0].numpy()
        assert np.abs(opened.run_probabilities(image) - expected).max() <= 2e-4
