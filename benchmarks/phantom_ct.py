"""A synthetic CT with six organs, its noisy mask, and the default network trained on it for as long as it takes to be useful.

Real hospitals' volumes cannot be shipped and random voxels compress like nothing real, so the benchmarks of `correct` make theirs:
ellipsoids with their own density in a body of soft tissue, noise of 20 HU, masks whose organs are shifted by a voxel or two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("background", "liver", "spleen", "kidney", "stomach", "heart", "aorta")
HU = (-1000.0, 60.0, 90.0, 150.0, 20.0, 110.0, 200.0)
AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])


def make_labels(slices: int, size: int, filled: float = 1.0, seed: int = 0) -> np.ndarray:
    """Six ellipsoids as uint8 [Z, Y, X], all within the middle share ``filled`` of the slices."""
    rng = np.random.default_rng(seed)
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in (slices, size, size))
    labels = np.zeros((slices, size, size), np.uint8)
    for k in range(1, len(CLASSES)):
        angle = 2 * np.pi * k / (len(CLASSES) - 1)
        cy, cx = 0.5 * np.sin(angle), 0.5 * np.cos(angle)
        ry, rx = rng.uniform(0.12, 0.22, 2)
        reach = filled * (0.9 if k > 1 else 1.0)
        for i in np.flatnonzero(np.abs(z) <= reach):
            shrink = np.sqrt(max(0.0, 1 - (z[i] / (reach + 1e-6)) ** 2 * 0.8))
            inside = ((y[:, None] - cy) / (ry * shrink)) ** 2 + ((x - cx) / (rx * shrink)) ** 2 <= 1
            labels[i][inside] = k
    return labels


def make_image(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """int16 Hounsfield units [Z, Y, X] for ``labels``: organs in soft tissue (40 HU) in air, with noise."""
    rng = np.random.default_rng(seed)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in labels.shape[1:])
    body = np.where((y[:, None] / 0.85) ** 2 + (x / 0.95) ** 2 <= 1, 40.0, HU[0]).astype(np.float32)
    table = np.array(HU, np.float32)
    image = np.empty(labels.shape, np.int16)
    for i, plane in enumerate(labels):
        value = np.where(plane > 0, table[plane], body)
        image[i] = value + rng.normal(0, 20, plane.shape)
    return image


def make_noisy(labels: np.ndarray) -> np.ndarray:
    """The organs shifted by two pixels: what a hurried annotator leaves."""
    return np.roll(labels, (2, -2), axis=(1, 2))


def write_cases(folder: Path, *, cases: int = 1, slices: int = 200, size: int = 512, filled: float = 1.0) -> Path:
    """``images/`` and ``masks/`` of ``cases`` volumes below ``folder``; what is there already is kept."""
    for number in range(cases):
        image, mask = (folder / part / f"ct{number}.nii.gz" for part in ("images", "masks"))
        if mask.exists():
            continue
        image.parent.mkdir(parents=True, exist_ok=True)
        mask.parent.mkdir(parents=True, exist_ok=True)
        labels = make_labels(slices, size, filled, seed=number)
        nib.openers.Opener.default_compresslevel = 1
        nib.save(nib.Nifti1Image(make_image(labels, number).T, AFFINE), image)
        nib.save(nib.Nifti1Image(make_noisy(labels).T, AFFINE), mask)
    return folder / "masks"


def make_network(steps: int = 60, side: int = 96):
    """The default network (`adele train`'s width, depth and norm), trained on clean phantom slices; seeded."""
    import torch

    from adelecli.training.network import build_network
    from adelecli.training.settings import Settings

    torch.manual_seed(0)
    network = build_network(Settings().network, 1, len(CLASSES))
    labels = make_labels(24, side, seed=1)
    images = (make_image(labels, 1).clip(-200, 300).astype(np.float32) - 50) / 100
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        pick = rng.integers(0, len(labels), 8)
        batch, target = torch.from_numpy(images[pick, None]), torch.from_numpy(labels[pick].astype(np.int64))
        loss = torch.nn.functional.cross_entropy(network(batch), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


SCALES = ((7, 10), (1, 1), (3, 2))


def make_multi_scale(network):
    """The network at the paper's three scales, as it is exported."""
    from adelecli.training.network import MultiScale
    from adelecli.training.settings import Settings

    return MultiScale(network, SCALES, 2 ** Settings().network.depth).eval()


def write_model(path: Path, max_size: int | None = None) -> Path:
    """The default network at three scales as a model file with its contract; kept where it is there already."""
    if path.exists():
        return path
    import onnx

    from adelecli.runtime.contract import METADATA_KEY, ClassEntry, Contract, Grid, Intensity, encode_contract
    from adelecli.runtime.inspection import hash_weights
    from adelecli.training.graph import trace_graph
    from adelecli.training.settings import Settings

    graph = trace_graph(make_multi_scale(make_network()), 1)
    classes = tuple(
        ClassEntry(id=k, name=name, colour=(k, k, k), triggered=k > 0, onset=5 if k else None, tau=0.6)
        for k, name in enumerate(CLASSES)
    )
    contract = Contract(
        name="phantom",
        classes=classes,
        ignore=255,
        channels=(Intensity(kind="fixed", clip=(-200.0, 300.0), mean=50.0, std=100.0),),
        channel_names=("CT",),
        grid=Grid(max_size=max_size),
        scales=SCALES,
        divisor=2 ** Settings().network.depth,
        constraint="slice",
        outline=0.75,  # as the default preset exports it
        run={"id": "benchmark"},
        parity={},
        weights_sha256=hash_weights(graph.SerializeToString()),
        licence="CC0-1.0",
        created="2025-01-01T00:00:00Z",
    )
    onnx.helper.set_model_props(graph, {METADATA_KEY: encode_contract(contract)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return path


def write_int8(source: Path, target: Path, side: int) -> Path:
    """The model ``source`` in int8, its ranges taken from eight phantom slices of ``side`` pixels that no benchmark shows it."""
    if target.exists():
        return target
    import msgspec
    import onnx

    from adelecli.runtime.contract import METADATA_KEY, encode_contract
    from adelecli.runtime.inspection import hash_weights
    from adelecli.runtime.models import open_model
    from adelecli.runtime.preparation import fit_normaliser
    from adelecli.runtime.quantisation import quantise_graph

    contract = open_model(source, "cpu").contract
    image = make_image(make_labels(24, side, seed=4), 4)[None, ::3]
    blob = quantise_graph(source.read_bytes(), fit_normaliser(image, contract.channels)(image).swapaxes(0, 1))
    graph = onnx.load_from_string(blob)
    sealed = msgspec.structs.replace(contract, precision="int8", weights_sha256=hash_weights(blob))
    onnx.helper.set_model_props(graph, {METADATA_KEY: encode_contract(sealed)})
    target.write_bytes(graph.SerializeToString())
    return target
