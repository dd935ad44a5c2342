"""The last steps of every model file: nothing about its maker left in it, its contract sealed in, one rename into place.

Needs onnx and no torch, because a foreign network gets its contract on machines that cannot train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.replacement import open_beside
from adelecli.runtime.contract import METADATA_KEY, encode_contract

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from adelecli.runtime.contract import Contract


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


def seal_graph(graph: ModelProto, contract: Contract) -> bytes:
    """The graph with its contract as one byte string, checked by onnx."""
    import onnx

    onnx.helper.set_model_props(graph, {METADATA_KEY: encode_contract(contract)})
    onnx.checker.check_model(graph, full_check=True)
    blob: bytes = graph.SerializeToString()
    return blob


def publish_file(target: Path, blob: bytes) -> None:
    """Write ``blob`` atomically. Raises ``OutputError``."""
    with open_beside(target, remedy="pass another --out") as file:
        file.write(blob)
