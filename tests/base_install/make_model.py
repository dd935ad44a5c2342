"""Makes `threshold.onnx`, a model of a few KB whose output anyone can compute: bright pixels are the lesion.

    python tests/base_install/make_model.py

The base package has no onnx, so the file is kept beside this script. Its network: the image, scaled by the contract to
(x - 50) / 25, times 4 is the log-odds of class 1 against background; so above 50 is lesion, and 0 or 100 are sure.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from adelecli.runtime.contract import METADATA_KEY, ClassEntry, Contract, Grid, Intensity, encode_contract

MODEL = Path(__file__).with_name("threshold.onnx")


def make_contract() -> Contract:
    """Background and one class whose memorisation was seen, so that `correct` may change it."""
    black, red = (0, 0, 0), (230, 60, 50)
    return Contract(
        name="threshold",
        classes=(
            ClassEntry(id=0, name="background", colour=black, triggered=False, onset=None, tau=0.6),
            ClassEntry(id=1, name="lesion", colour=red, triggered=True, onset=3, tau=0.6),
        ),
        ignore=255,
        channels=(Intensity(kind="fixed", clip=(0.0, 100.0), mean=50.0, std=25.0),),
        channel_names=("CT",),
        grid=Grid(axis="z"),
        scales=((1, 1),),
        divisor=1,
        constraint="slice",
        run={"id": "fixture"},
        parity={},
        weights_sha256="",
        licence="Apache-2.0",
        created="2026-01-01T00:00:00+00:00",
    )


def build_model() -> bytes:
    """The ONNX file: one 1x1 convolution, softmax, and the two outputs derived from it."""
    size = ["batch", None, "height", "width"]
    weight = numpy_helper.from_array(np.array([-2.0, 2.0], np.float32).reshape(2, 1, 1, 1), "weight")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceMax", ["probabilities", "axes"], ["confidence"], keepdims=0),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        helper.make_node("Cast", ["index"], ["label"], to=TensorProto.UINT8),
    ]
    plane = ["batch", "height", "width"]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [size[0], 2, *size[2:]]),
        helper.make_tensor_value_info("label", TensorProto.UINT8, plane),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, plane),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [size[0], 1, *size[2:]])]
    graph = helper.make_graph(nodes, "threshold", inputs, outputs, [weight, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="adele")
    helper.set_model_props(model, {METADATA_KEY: encode_contract(make_contract(), MODEL)})
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


if __name__ == "__main__":
    MODEL.write_bytes(build_model())
