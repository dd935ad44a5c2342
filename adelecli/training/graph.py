"""From a torch module to one self-contained ONNX graph.

What must hold of the file, each checked here: opset 18 (what the exporter works in; asked for less it silently keeps 18), sizes
dynamic, weights stored once, no control flow, no batch norm left (onnxruntime's fusion would copy the weights per scale), no
external data, and no trace of the machine that made it (the exporter writes local paths and source lines into every node).
"""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adelecli.errors import ModelError

if TYPE_CHECKING:
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
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            holder = getattr(block, name.replace("norm", "conv"))
            holder.conv = fuse_conv_bn_eval(holder.conv, norm)
            setattr(block, name, nn.Identity())
    return folded


def trace_graph(model: MultiScale, channels: int) -> ModelProto:
    """The ONNX graph of ``model``: ``image [batch, channels, height, width] -> probabilities, label, confidence``.

    Raises ``ModelError`` when the graph breaks one of the promises of this module.
    """
    example = torch.rand(2, channels, 40, 56)  # batch 2 and unequal sizes: nothing may look like a constant
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings(), _Quiet("torch.onnx"):
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


class _Quiet:
    """Silence a logger and its children while the exporter talks to itself."""

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)


def strip_traces(graph: ModelProto) -> None:
    """Remove what the exporter writes about the machine and the source code."""
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    values = (*graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer)
    for value in values:
        del value.metadata_props[:]
        value.doc_string = ""
    del graph.graph.metadata_props[:]
    del graph.metadata_props[:]
    graph.graph.doc_string = ""
    graph.doc_string = ""
    graph.producer_name = "adele"


def check_graph(graph: ModelProto, parameters: int) -> None:
    """Hold the promises of this module. Raises ``ModelError``."""
    import onnx

    opsets = {entry.version for entry in graph.opset_import if not entry.domain}
    if opsets != {OPSET}:
        raise ModelError(f"the exporter wrote opset {sorted(opsets)} instead of {OPSET}")
    operators = {node.op_type for node in graph.graph.node} & FORBIDDEN
    if operators or graph.functions:
        raise ModelError(f"the exported graph holds {sorted(operators) or 'functions'}")
    stored = sum(
        int(np.prod(tensor.dims)) for tensor in graph.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    )
    if stored > parameters * 1.01 + 1000:
        raise ModelError(f"the exported graph stores {stored} values for {parameters} parameters")
    for output in graph.graph.output:
        dims = output.type.tensor_type.shape.dim
        spatial = [dims[0], dims[-2], dims[-1]]
        if not all(dim.dim_param for dim in spatial):
            raise ModelError(f"the exported output {output.name} has a fixed size")
