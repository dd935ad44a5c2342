"""Models of a few hundred bytes whose every output is known by a formula, for the tests of all rooms.

The graph gives class k the logit ``-sharpness * (value - centre_k)**2``, where ``value`` is the mean of the channels, so
that a pixel gets the class whose centre is nearest to its intensity. With the default contract an intensity *is* a class.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from adelecli.runtime.contract import METADATA_KEY, ClassEntry, Contract, Grid, Intensity, encode_contract
from adelecli.runtime.inspection import hash_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SHARPNESS = 4.0
COLOURS = ((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115))


def make_contract(n_classes: int = 3, **changes: Any) -> Contract:
    """A contract that passes intensities on unchanged, with all foreground classes triggered; ``changes`` replace."""
    classes = tuple(
        ClassEntry(id=k, name=name, colour=COLOURS[k % 4], triggered=k > 0, onset=5 if k else None, tau=0.8)
        for k, name in enumerate(["background", *(f"class {k}" for k in range(1, n_classes))])
    )
    contract = Contract(
        name="tiny",
        classes=classes,
        ignore=255,
        channels=(Intensity(kind="fixed"),),
        channel_names=("image",),
        grid=Grid(),
        scales=((1, 1),),
        divisor=1,
        constraint="slice",
        run={"id": "test"},
        parity={"max_abs_difference": 0.0},
        weights_sha256="",
        licence="CC0-1.0",
        created="2025-01-01T00:00:00Z",
    )
    return msgspec.structs.replace(contract, **changes)


def make_model(
    path: Path,
    contract: Contract | None = None,
    *,
    centres: Sequence[float] | None = None,
    sharpness: float = SHARPNESS,
    change: Callable[[onnx.ModelProto], object] | None = None,
) -> Path:
    """Write a model with its contract (and the hash of its weights) to ``path``; ``change`` may spoil it before.

    ``centres``: the intensity of each class, 0, 1, 2... by default.
    """
    contract = contract or make_contract()
    model = build_graph(
        list(range(len(contract.classes))) if centres is None else centres,
        len(contract.channels),
        sharpness,
        contract.dims,
    )
    contract = msgspec.structs.replace(contract, weights_sha256=hash_weights(model.SerializeToString()))
    helper.set_model_props(model, {METADATA_KEY: encode_contract(contract)})
    if change is not None:
        change(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def build_graph(
    centres: Sequence[float], channels: int = 1, sharpness: float = SHARPNESS, dims: int = 2
) -> onnx.ModelProto:
    """The graph alone, without a contract."""
    constants = {
        "centres": np.asarray(centres, np.float32).reshape(1, -1, *[1] * dims),
        "slope": np.float32([-sharpness]),
        "channel_axis": np.int64([1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image", "channel_axis"], ["value"], keepdims=1),
        helper.make_node("Sub", ["value", "centres"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["square"]),
        helper.make_node("Mul", ["square", "slope"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        helper.make_node("Cast", ["index"], ["label"], to=TensorProto.UINT8),
        helper.make_node("ReduceMax", ["probabilities", "channel_axis"], ["confidence"], keepdims=0),
    ]
    sizes = ["depth", "height", "width"][-dims:]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", channels, *sizes])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(centres), *sizes]),
            helper.make_tensor_value_info("label", TensorProto.UINT8, ["batch", *sizes]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["batch", *sizes]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def compute_probabilities(
    value: NDArray[np.floating], centres: Sequence[float], sharpness: float = SHARPNESS
) -> NDArray[np.float64]:
    """What the model must answer for intensities ``value`` [...]: probabilities [..., K], by the formula above."""
    logits = -sharpness * (np.asarray(value, np.float64)[..., None] - np.asarray(centres, np.float64)) ** 2
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
