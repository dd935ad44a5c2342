"""From a torch module to one self-contained ONNX graph.

What must hold of the file, each checked here: opset 18 (what the exporter works in; asked for less it silently keeps 18), sizes
dynamic, weights stored once, no control flow, no batch norm left (onnxruntime's fusion would copy the weights per scale), no
external data, and no trace of the machine that made it (the exporter writes local paths and source lines into every node).
"""

from __future__ import annotations

import copy
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adelecli.errors import ModelError
from adelecli.training.sealing import strip_traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from onnx import ModelProto

    from adelecli.training.network import MultiScale

OPSET = 18
OUTPUTS = ("probabilities", "label", "confidence")
FORBIDDEN = {"Loop", "If", "Scan", "BatchNormalization"}


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """A copy in eval mode in which each batch norm that follows a convolution in the same block is folded into it.

    MONAI's blocks hold the pair as ``conv.conv`` and ``norm``: ``convN``/``normN`` in a ``UnetBasicBlock``.
    """
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        for name, norm in list(block.named_children()):
            if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
                continue
            holder = getattr(block, name.replace("norm", "conv"))
            holder.conv = fuse_conv_bn_eval(holder.conv, norm)
            setattr(block, name, nn.Identity())
    return folded


def trace_graph(model: MultiScale, channels: int, dims: int = 2) -> ModelProto:
    """The ONNX graph of ``model``: ``image [batch, channels, height, width] -> probabilities, label, confidence``.

    With ``dims`` 3 there is a ``depth`` before ``height``; all sizes are dynamic.
    Raises ``ModelError`` when the graph breaks one of the promises of this module.
    """
    # batch 2 and unequal sizes: nothing may look like a constant
    example = torch.rand(2, channels, *((40, 56) if dims == 2 else (24, 40, 56)))
    axes = {0: "batch", **dict(enumerate(("depth", "height", "width")[-dims:], 2))}
    with warnings.catch_warnings(), _silencing("torch.onnx"), _Interruptible():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals; the checks below decide
        program = torch.onnx.export(
            model.eval(),
            (example,),
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_shapes=(axes,),
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    strip_traces(graph)
    check_graph(graph, sum(parameter.numel() for parameter in model.parameters()))
    return graph


@contextmanager
def _silencing(name: str) -> Iterator[None]:
    """Silence a logger and its children: the exporter talks to itself."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Interruptible:
    """Ctrl-C while torch imports a module of its own ends in an error about that module: raise the interruption behind it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        while error is not None:
            if isinstance(error, KeyboardInterrupt):
                raise error from None
            error = error.__cause__ or error.__context__


def check_graph(graph: ModelProto, parameters: int) -> None:
    """Hold the promises of this module. Raises ``ModelError``."""
    import onnx

    opsets = {entry.version for entry in graph.opset_import if not entry.domain}
    if opsets != {OPSET}:
        raise ModelError(f"the exporter wrote opset {sorted(opsets)} instead of {OPSET}")
    operators = {node.op_type for node in graph.graph.node} & FORBIDDEN
    if operators or graph.functions:
        raise ModelError(f"the exported graph holds {sorted(operators) or 'functions'}")
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    stored = sum(int(np.prod(tensor.dims)) for tensor in graph.graph.initializer if tensor.data_type in kinds)
    if stored > parameters * 1.01 + 1000:
        raise ModelError(f"the exported graph stores {stored} values for {parameters} parameters")
    for output in graph.graph.output:
        sizes = list(output.type.tensor_type.shape.dim)
        if output.name == "probabilities":
            del sizes[1]  # the classes are what they are
        if not all(size.dim_param for size in sizes):
            raise ModelError(f"the exported output {output.name} has a fixed size")
