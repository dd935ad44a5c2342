"""The model file is enough: a program in another language, with no code of ours, gives the same labels.

`make test-slow` installs onnxruntime-node beside this file; without it (or without node) these tests are skipped, and say so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import make_contract, make_model

from adelecli.runtime.contract import Grid, Intensity
from adelecli.runtime.models import Model, open_model
from adelecli.runtime.preparation import move_axis
from adelecli.runtime.segmentation import segment_volume

HERE = Path(__file__).parent
NODE = shutil.which("node")
INSTALLED = (HERE / "node_modules" / "onnxruntime-node").exists()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        NODE is None or not INSTALLED, reason="needs node and `npm ci` in tests/conformance (make test-slow)"
    ),
]


def segment_here(model: Model, image: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    labels = np.zeros(image.shape[1:], np.uint16)
    slices = move_axis(labels, model.contract.grid.axis)
    ids = np.array([entry.id for entry in model.contract.classes], np.uint16)
    for index, label, *_ in segment_volume(model, image, spacing):
        slices[index] = ids[label]
    return labels


def segment_there(model: Path, image: np.ndarray, spacing: tuple[float, float, float], folder: Path) -> np.ndarray:
    (folder / "volume.json").write_text(json.dumps({"shape": image.shape, "spacing": spacing}))
    (folder / "volume.raw").write_bytes(image.astype("<f4").tobytes())
    assert NODE is not None
    subprocess.run([NODE, str(HERE / "conform.mjs"), str(model), str(folder)], check=True)
    return np.frombuffer((folder / "labels.raw").read_bytes(), "<u2").reshape(image.shape[1:])


def make_volume(channels: int = 1, seed: int = 0) -> np.ndarray:
    """Smooth blobs between 0 and 300 with noise, [C, 5, 11, 14]."""
    rng = np.random.default_rng(seed)
    grid = np.indices((5, 11, 14)).astype(np.float32)
    blob = np.sin(grid[0] / 2) * np.cos(grid[1] / 3) * np.sin(grid[2] / 4)
    return (150 + 150 * blob + rng.normal(0, 5, (channels, 5, 11, 14))).astype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": (Intensity(kind="fixed", clip=(10, 290), mean=150, std=100),)},
        {"channels": (Intensity(kind="volume", percentiles=(2, 98)),)},
        {"grid": Grid(axis="x")},
        {"grid": Grid(axis="y", max_size=9)},
        {"grid": Grid(spacing=(1.5, 0.6), canvas=(16, 20))},
        {"channels": (Intensity(kind="volume"), Intensity(kind="fixed", std=50)), "channel_names": ("a", "b")},
    ],
    ids=", ".join,
)
def test_another_language_gives_the_same_labels(changes: dict[str, Any], tmp_path: Path) -> None:
    """Every policy of intensity, axis, size and padding, through a graph that anyone can compute."""
    contract = make_contract(3, **{"channels": (Intensity(kind="volume"),)} | changes)
    path = make_model(tmp_path / "tiny.onnx", contract, centres=[-0.7, 0.1, 0.9])
    image, spacing = make_volume(len(contract.channels)), (2.0, 1.0, 0.8)
    expected = segment_here(open_model(path, "cpu"), image, spacing)
    assert len(np.unique(expected)) == 3
    np.testing.assert_array_equal(segment_there(path, image, spacing, tmp_path), expected)


def test_another_language_runs_an_exported_ensemble(tmp_path: Path) -> None:
    """Three scales, resizing and padding inside the graph: the same labels from the file alone."""
    torch = pytest.importorskip("torch")
    from adelecli.runtime.inspection import hash_weights
    from adelecli.training.graph import trace_graph
    from adelecli.training.network import MultiScale, build_network
    from adelecli.training.sealing import seal_graph
    from adelecli.training.settings import NetworkSettings

    torch.manual_seed(1)
    network = build_network(NetworkSettings(width=4, depth=2), 1, 3).eval()
    head = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    image, spacing = make_volume(), (2.0, 1.0, 0.8)
    with torch.no_grad():
        head.weight *= 30  # an untrained network's classes are all alike, and ties prove nothing
        plane = torch.from_numpy((image[:, :, :8, :12] - image.mean()) / image.std()).swapaxes(0, 1)
        head.bias -= network(plane).mean((0, 2, 3))
    scales = ((7, 10), (1, 1), (3, 2))
    graph = trace_graph(MultiScale(network, scales, 4).eval(), 1)
    contract = make_contract(
        3,
        channels=(Intensity(kind="volume"),),
        scales=scales,
        divisor=4,
        grid=Grid(max_size=13, canvas=(12, 13)),
        weights_sha256=hash_weights(graph.SerializeToString()),
    )
    path = tmp_path / "ensemble.onnx"
    path.write_bytes(seal_graph(graph, contract))
    expected = segment_here(open_model(path, "cpu"), image, spacing)
    assert np.bincount(expected.ravel(), minlength=3).min() > 20
    np.testing.assert_array_equal(segment_there(path, image, spacing, tmp_path), expected)
