"""The graph of a foreign network, and what is put around it: padding to its multiple, softmax, label, confidence.

Its tensors are renamed first, so that none of its names can meet one of ours. Written with onnx alone. The output of the plain
network stays the fourth output until the proof is done, so that both can be compared in one run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import ModelError
from adelecli.runtime.models import INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

OLDEST, LIFTED = 13, 17
"""Below the first opset the operators mean other things, so that such a graph is converted to the second."""
PREFIX = "plain/"
PLAIN_OUTPUT = "plain"
MODES = {"repeat": "edge", "zero": "constant"}


@dataclass(frozen=True)
class Plain:
    """A foreign graph: its names, the ``channels`` and ``classes`` it fixes (``None``: open), and its ``size`` if it has only one."""

    path: Path
    model: ModelProto
    input: str
    output: str
    dims: int
    channels: int | None
    classes: int | None
    size: tuple[int, int] | None


def read_plain(path: Path, limit: int, names: tuple[str | None, str | None]) -> Plain:
    """Read the ONNX file ``path`` of at most ``limit`` bytes; ``names``: its input and output, needed where it has several.

    Weights kept beside the file are taken in. Raises ``ModelError`` for what cannot be adopted.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise ModelError("there is no such model file", path=path)
    if path.stat().st_size > limit:
        raise ModelError(f"is larger than {limit} bytes", path=path)
    try:
        model = _lift(onnx.load(path))
        onnx.checker.check_model(model)
    except (DecodeError, ValueError, RuntimeError, OSError, onnx.checker.ValidationError) as error:
        raise ModelError(f"is not a usable ONNX model ({' '.join(str(error).split())[:160]})", path=path) from None
    weights = {tensor.name for tensor in model.graph.initializer}
    entry = _pick([value for value in model.graph.input if value.name not in weights], names[0], "input", path)
    head = _pick(list(model.graph.output), names[1], "output", path)
    sizes, classes = _sizes(entry), _sizes(head)
    if len(sizes) not in {4, 5} or entry.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ModelError(f"its input `{entry.name}` is not float [N, C, H, W]", path=path)
    if head.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ModelError(f"its output `{head.name}` is not float", path=path, remedy="name another with `output_name`")
    spatial = sizes[2:]
    if None in spatial and any(size is not None for size in spatial):
        raise ModelError("fixes one of its sizes and leaves another open", path=path, remedy="export it with both open")
    return Plain(
        path=path,
        model=model,
        input=entry.name,
        output=head.name,
        dims=len(spatial),
        channels=sizes[1],
        classes=classes[1] if len(classes) > 1 else None,
        size=None if None in spatial else (int(spatial[-2] or 0), int(spatial[-1] or 0)),
    )


def _lift(model: ModelProto) -> ModelProto:
    import onnx

    opset = max((entry.version for entry in model.opset_import if not entry.domain), default=0)
    if opset >= OLDEST:
        return model
    lifted: ModelProto = onnx.version_converter.convert_version(model, LIFTED)
    return lifted


def _pick(values: list[ValueInfoProto], name: str | None, role: str, path: Path) -> ValueInfoProto:
    found = [value for value in values if name in {None, value.name}]
    if len(found) != 1:
        listed = ", ".join(f"`{value.name}`" for value in values)
        fact = f"has no {role} `{name}` among {listed}" if name else f"has {len(values)} {role}s: {listed}"
        raise ModelError(fact, path=path, remedy=f"name one with `{role}_name`")
    return found[0]


def _sizes(value: ValueInfoProto) -> list[int | None]:
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]


def wrap_plain(plain: Plain, kind: str, divisor: int, padding: str, batch: int | None = None) -> ModelProto:
    """``image -> probabilities, label, confidence, plain`` around the graph of ``plain`` whose head gives ``kind``.

    ``batch``: the graph's only batch size; ``None`` opens that axis, which the caller must prove.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.compose.add_prefix(plain.model, PREFIX)
    opset = max(entry.version for entry in model.opset_import if not entry.domain)
    pads = plain.size is None and divisor > 1
    inner, head = PREFIX + plain.input, PREFIX + plain.output
    constants: dict[str, Any] = {}
    before = (
        _pad_nodes(divisor, padding, inner, constants) if pads else [helper.make_node("Identity", [INPUT], [inner])]
    )
    after = [helper.make_node("Identity", [head], [PLAIN_OUTPUT]), *_crop_nodes(PLAIN_OUTPUT, constants, pads=pads)]
    after += _head_nodes(kind, constants, single=plain.classes == 1, opset=opset)
    keep = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*before, *keep, *after])
    weights = {tensor.name for tensor in model.graph.initializer}
    others = [value for value in model.graph.input if value.name in weights]
    del model.graph.input[:], model.graph.output[:], model.graph.value_info[:], model.metadata_props[:]
    sizes: list[Any] = ["height", "width"] if plain.size is None else list(plain.size)
    form = [batch or "batch"]
    image = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [*form, plain.channels or "channels", *sizes])
    classes = 2 if plain.classes == 1 else plain.classes or "classes"
    model.graph.input.extend([image, *others])
    model.graph.output.extend(
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*form, classes, *sizes]),
            helper.make_tensor_value_info("label", TensorProto.UINT8, [*form, *sizes]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [*form, *sizes]),
            helper.make_tensor_value_info(PLAIN_OUTPUT, TensorProto.FLOAT, None),
        ]
    )
    model.graph.initializer.extend(_tensors(constants))
    return model


def _tensors(constants: dict[str, Any]) -> Iterator[TensorProto]:
    from onnx import numpy_helper

    return (numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())


def _pad_nodes(divisor: int, padding: str, target: str, constants: dict[str, Any]) -> list[NodeProto]:
    """Pad ``image`` right and bottom to the next multiple; sizes stay symbolic, and nothing negative is divided."""
    from onnx import helper

    constants |= {
        "adele_axes": np.array([2, 3], np.int64),
        "adele_divisor": np.array([divisor, divisor], np.int64),
        "adele_before": np.array([0, 0, 0, 0, 0, 0], np.int64),
    }
    return [
        helper.make_node("Shape", [INPUT], ["adele_shape"]),
        helper.make_node("Gather", ["adele_shape", "adele_axes"], ["adele_size"]),
        helper.make_node("Mod", ["adele_size", "adele_divisor"], ["adele_rest"]),
        helper.make_node("Sub", ["adele_divisor", "adele_rest"], ["adele_missing"]),
        helper.make_node("Mod", ["adele_missing", "adele_divisor"], ["adele_margin"]),
        helper.make_node("Concat", ["adele_before", "adele_margin"], ["adele_pads"], axis=0),
        helper.make_node("Pad", [INPUT, "adele_pads"], [target], mode=MODES[padding]),
    ]


def _crop_nodes(source: str, constants: dict[str, Any], *, pads: bool) -> list[NodeProto]:
    """Cut the network's answer back to the size of ``image``."""
    from onnx import helper

    if not pads:
        return [helper.make_node("Identity", [source], ["adele_answer"])]
    constants["adele_origin"] = np.array([0, 0], np.int64)
    cut = ["adele_origin", "adele_size", "adele_axes"]
    return [helper.make_node("Slice", [source, *cut], ["adele_answer"])]


def _head_nodes(kind: str, constants: dict[str, Any], *, single: bool, opset: int) -> list[NodeProto]:
    """From the answer to probabilities, label and confidence; one channel is the probability of the second class."""
    from onnx import TensorProto, helper

    nodes = []
    if single:
        constants["adele_one"] = np.float32(1)
        activation = "Sigmoid" if kind == "logits" else "Identity"
        nodes += [
            helper.make_node(activation, ["adele_answer"], ["adele_second"]),
            helper.make_node("Sub", ["adele_one", "adele_second"], ["adele_first"]),
            helper.make_node("Concat", ["adele_first", "adele_second"], ["probabilities"], axis=1),
        ]
    elif kind == "logits":
        nodes.append(helper.make_node("Softmax", ["adele_answer"], ["probabilities"], axis=1))
    else:
        nodes.append(helper.make_node("Identity", ["adele_answer"], ["probabilities"]))
    if opset >= 18:  # the axes became an input
        constants["adele_class_axis"] = np.array([1], np.int64)
        greatest = helper.make_node("ReduceMax", ["probabilities", "adele_class_axis"], ["confidence"], keepdims=0)
    else:
        greatest = helper.make_node("ReduceMax", ["probabilities"], ["confidence"], axes=[1], keepdims=0)
    best = helper.make_node("ArgMax", ["probabilities"], ["adele_best"], axis=1, keepdims=0)
    return [*nodes, best, helper.make_node("Cast", ["adele_best"], ["label"], to=TensorProto.UINT8), greatest]
