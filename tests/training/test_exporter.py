"""The exported file: its contract, its parity, and that it tells nothing about the machine that made it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from msgspec.structs import replace as replace_fields

import adelecli
from adelecli.errors import ConfigError, InputError, ModelError, OutputError
from adelecli.runtime.models import open_model
from adelecli.training.exporter import ExportResult, export, load_model, parse_scales, read_run
from adelecli.training.graph import fold_batch_norms, trace_graph
from adelecli.training.network import MultiScale, build_network
from adelecli.training.parity import prove_parity
from adelecli.training.settings import NetworkSettings
from adelecli.training.trainer import TrainResult


def test_the_file_computes_what_the_run_learnt(exported: ExportResult, run: TrainResult) -> None:
    """Onnxruntime's probabilities at a size that was never exported equal torch's within 1e-4."""
    finished = read_run(run.folder)
    model = load_model(finished, finished.settings.loss.scales)
    image = np.random.default_rng(3).normal(size=(3, 1, 37, 50)).astype(np.float32)
    with torch.inference_mode():
        expected, label, _ = (value.numpy() for value in model(torch.from_numpy(image)))
    opened = open_model(exported.path, "cpu")
    assert np.abs(opened.run_probabilities(image) - expected).max() < 1e-4
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 2e-4
    assert np.array_equal(opened.run(image)[0][clear], label[clear])


def test_the_contract_says_how_the_run_prepared_its_data(exported: ExportResult, run: TrainResult) -> None:
    """Classes with their onset, grid, channels, scales, data fingerprint, hashes: read back from the file alone."""
    contract = open_model(exported.path, "cpu").contract
    assert [(c.id, c.name) for c in contract.classes] == [(0, "background"), (1, "square"), (2, "disc")]
    assert [c.onset for c in contract.classes[1:]] == [run.onsets["square"], run.onsets["disc"]]
    assert all(c.triggered for c in contract.classes[1:])
    assert not contract.classes[0].triggered
    assert contract.classes[1].tau == 0.5
    assert (contract.grid.axis, contract.divisor) == ("z", 4)
    assert contract.scales == ((7, 10), (1, 1), (3, 2))
    assert contract.channels[0].kind == "volume"
    assert contract.run["id"] == run.folder.name
    assert contract.parity["inputs"] == 2 * 13
    assert contract.parity["max_probability_difference"] <= 2e-4
    assert contract.licence == "CC0-1.0"


def test_the_file_leaks_no_path_and_is_one_file(exported: ExportResult) -> None:
    """No local path, no source line, no external data, weights stored once, opset 18."""
    blob = exported.path.read_bytes()
    assert hashlib.sha256(blob).hexdigest() == exported.sha256
    for trace in (b"site-packages", b"stack_trace", str(Path(__file__).parents[2]).encode()):
        assert trace not in blob
    graph = onnx.load(exported.path)
    assert [o.version for o in graph.opset_import if not o.domain] == [18]
    assert not [t for t in graph.graph.initializer if t.external_data]
    assert {p.name for p in exported.path.parent.iterdir()} == {"adele.onnx", "adele.md", "registry.toml"}


def test_the_softmax_is_spelt_out(exported: ExportResult) -> None:
    """An operator that turns the classes to the end and back costs a tenth of the time; large logits do not overflow without it."""
    operators = [node.op_type for node in onnx.load(exported.path).graph.node]
    assert "Softmax" not in operators
    assert operators.count("Exp") == operators.count("ReduceMax") - 1 == 3  # the confidence takes one more maximum
    image = np.full((1, 1, 16, 16), 1e6, np.float32)
    assert np.isfinite(open_model(exported.path, "cpu").run_probabilities(image)).all()


def test_the_registry_and_the_card_stand_beside_it(exported: ExportResult) -> None:
    """registry.toml names the file with its sha256; the card names the classes, the hash and the versions."""
    entry = tomllib.loads((exported.path.parent / "registry.toml").read_text())["adele"]
    assert (entry["file"], entry["sha256"]) == ("adele.onnx", exported.sha256)
    assert entry["classes"] == ["background", "square", "disc"]
    card = (exported.path.parent / entry["card"]).read_text()
    assert "| 2 | disc |" in card
    assert f"sha256 `{exported.sha256}`" in card
    assert f"with adele {adelecli.__version__}, torch " in card


def test_an_existing_file_is_not_overwritten(exported: ExportResult, run: TrainResult) -> None:
    """Without --overwrite the file stays as it is."""
    with pytest.raises(OutputError, match="exists already"):
        export(run.folder, out=exported.path)
    assert hashlib.sha256(exported.path.read_bytes()).hexdigest() == exported.sha256


def test_only_a_model_is_overwritten(run: TrainResult, tmp_path: Path) -> None:
    """--overwrite replaces what an export left; a mask or a folder that was named by mistake stays as it is."""
    mask = tmp_path / "case.nii.gz"
    mask.write_bytes(b"labels")
    for target in (mask, tmp_path):
        with pytest.raises(OutputError, match="exists and is no model of adele; pass another --out"):
            export(run.folder, out=target, overwrite=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("case.nii.gz", b"labels")]


def test_no_run_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a finished run the error says what to do, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="adele train"):
        export()
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "state.json").write_text('{"finished": false}')
    with pytest.raises(InputError, match="--resume"):
        export("runs/x")
    assert not (tmp_path / "weights").exists()


def test_parity_fails_for_another_network(exported: ExportResult, run: TrainResult) -> None:
    """The proof can fail: the same file against other weights raises."""
    finished = read_run(run.folder)
    torch.manual_seed(5)
    other = MultiScale(build_network(finished.settings.network, 1, 3), finished.settings.loss.scales, 4).eval()
    with pytest.raises(ModelError, match="parity"):
        prove_parity(exported.path.read_bytes(), other, finished.samples.image)


@pytest.mark.parametrize(
    ("share", "difference", "flipped", "error"),
    [
        (0.005, 0.01, False, None),  # what onnxruntime's norms do to single pixels of a large slice
        (0.02, 0.01, False, "% of the probabilities differ by more than 0.0002"),
        (0.005, 0.2, False, "probabilities differ by 0.2"),
        (0.0, 0.0, True, "1 labels differ"),
    ],
)
def test_parity_forgives_a_few_pixels_a_little(
    run: TrainResult, monkeypatch: pytest.MonkeyPatch, share: float, difference: float, flipped: bool, error: str | None
) -> None:
    """A few values may drift by less than the ceiling; many, or one by much, or a label that was clear, may not."""
    finished = read_run(run.folder)
    model = load_model(finished, finished.settings.ensemble_scales)

    def answer(image: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            values = [value.numpy().copy() for value in model(torch.from_numpy(image))]
        flat = values[0].reshape(-1)
        flat[: int(share * flat.size)] += np.float32(difference)
        if flipped:
            best = np.sort(values[0], axis=1)
            at = np.unravel_index((best[:, -1] - best[:, -2]).argmax(), values[1].shape)
            values[1][at] = (values[1][at] + 1) % values[0].shape[1]
        return values

    monkeypatch.setattr("adelecli.training.parity.open_graph", lambda *_, **__: answer)
    if error is None:
        record = prove_parity(b"", model, finished.samples.image)
        assert record["max_probability_difference"] == pytest.approx(difference, abs=1e-4)
        assert (record["tolerance"], record["ceiling"]) == (2e-4, 5e-2)
    else:
        with pytest.raises(ModelError, match=error):
            prove_parity(b"", model, finished.samples.image)


def test_batch_norms_fold_without_changing_the_output() -> None:
    """After folding no batch norm is left and the output is the same within rounding."""
    torch.manual_seed(0)
    network = build_network(NetworkSettings(width=4, depth=2, norm="batch"), 1, 3)
    for _ in range(5):
        network(torch.randn(4, 1, 16, 16) * 3 + 1)
    network.eval()
    folded = fold_batch_norms(network)
    image = torch.randn(2, 1, 16, 24)
    assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert torch.allclose(folded(image), network(image), atol=1e-4)


def test_the_file_predicts_as_the_correction_did(run: TrainResult) -> None:
    """Scales and temperature of the correction, where a preset names them, are those of the exported ensemble."""
    finished = read_run(run.folder)
    correction = replace_fields(finished.settings.correction, scales=((3, 4), (1, 1)), temperature=3.0)
    finished = replace(finished, settings=replace_fields(finished.settings, correction=correction))
    model = load_model(finished, finished.settings.ensemble_scales)
    assert (model.scales, model.temperature) == (((3, 4), (1, 1)), 3.0)


def test_scales_are_integer_fractions() -> None:
    """Floats cannot be exported exactly, so they are refused."""
    assert parse_scales(["1", "7/10"]) == ((1, 1), (7, 10))
    for text in ("0.7", "1/0", "a", "-1"):
        with pytest.raises(ConfigError):
            parse_scales([text])


def test_an_interruption_is_not_lost_in_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while torch imports its parts, the exporter raises an error of its own; it is an interruption all the same."""

    def stumble(*_: object, **__: object) -> None:
        try:
            try:
                raise KeyboardInterrupt
            finally:
                _ = torch.no_such_part  # what `except torch._dynamo.exc.UserError` comes to
        except AttributeError as error:
            raise RuntimeError("failed to export the model") from error

    model = MultiScale(build_network(NetworkSettings(width=4, depth=2), 1, 2), (1.0,), 4)
    monkeypatch.setattr(torch.onnx, "export", stumble)
    with pytest.raises(KeyboardInterrupt):
        trace_graph(model, 1)


def test_an_error_of_the_exporter_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an interruption behind it, an error is told as it is."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator")

    model = MultiScale(build_network(NetworkSettings(width=4, depth=2), 1, 2), (1.0,), 4)
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RuntimeError, match="no such operator"):
        trace_graph(model, 1)
