"""The walk through an ONNX file agrees with the `onnx` package and finds what must be refused."""

from __future__ import annotations

import contextlib
import hashlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_models import build_graph

from adelecli.errors import ModelError
from adelecli.runtime.inspection import hash_weights, inspect_model


def make_external(name: str = "far", place: str = "weights.bin") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    return tensor


def test_the_hash_is_of_the_initializers_in_the_order_of_their_names():
    """The definition, computed a second time with the `onnx` package."""
    model = build_graph([0, 1, 2])
    ordered = sorted(model.graph.initializer, key=lambda tensor: tensor.name)
    expected = hashlib.sha256(b"".join(tensor.raw_data for tensor in ordered)).hexdigest()
    assert hash_weights(model.SerializeToString()) == expected


def test_the_hash_depends_on_the_weights_alone():
    """Metadata may be added, the order of initializers may change; another weight is another hash."""
    model = build_graph([0, 1, 2])
    before = hash_weights(model.SerializeToString())
    helper.set_model_props(model, {"adele": "{}"})
    model.graph.initializer.sort(key=lambda tensor: tensor.name, reverse=True)
    assert hash_weights(model.SerializeToString()) == before
    assert hash_weights(build_graph([0, 1, 2.5]).SerializeToString()) != before


def test_an_ordinary_model_has_nothing_to_refuse():
    """No external tensors, no foreign operators."""
    anatomy = inspect_model(build_graph([0, 1]).SerializeToString())
    assert (anatomy.external, anatomy.foreign) == ((), ())


def nest(tensor: TensorProto) -> onnx.NodeProto:
    """Hide a tensor in the branch of an If."""
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "branch", [], [])
    return helper.make_node("If", ["condition"], ["out"], then_branch=branch, else_branch=branch)


@pytest.mark.parametrize(
    "hide",
    [
        lambda model, tensor: model.graph.initializer.append(tensor),
        lambda model, tensor: model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor)),
        lambda model, tensor: model.graph.node.append(nest(tensor)),
        lambda model, tensor: model.graph.sparse_initializer.add().values.CopyFrom(tensor),
        lambda model, tensor: model.functions.add().node.append(nest(tensor)),
    ],
    ids=["initializer", "constant", "branch", "sparse", "function"],
)
def test_external_tensors_are_found_wherever_they_stand(hide):
    """No corner of the format hides a reference to another file."""
    model = build_graph([0, 1])
    hide(model, make_external())
    assert set(inspect_model(model.SerializeToString()).external) == {"far"}


def test_an_external_mark_without_a_place_counts():
    """Only the location flag is set: still external."""
    model = build_graph([0, 1])
    model.graph.initializer.append(TensorProto(name="far", data_location=TensorProto.EXTERNAL))
    assert inspect_model(model.SerializeToString()).external == ("far",)


def test_foreign_operators_are_named():
    """The domain and the operator are told; the standard's two spellings are not foreign."""
    model = build_graph([0, 1])
    model.graph.node[0].domain = "ai.onnx"
    model.graph.node.append(helper.make_node("EPContext", [], ["a"], domain="com.microsoft"))
    model.graph.node.append(helper.make_node("Run", [], ["b"], domain="evil"))
    assert inspect_model(model.SerializeToString()).foreign == ("com.microsoft.EPContext", "evil.Run")


def test_a_field_given_twice_hides_nothing():
    """Protocol buffers merge a second graph into the first, so both are looked at."""
    model, addition = build_graph([0, 1]), onnx.ModelProto()
    addition.graph.initializer.append(make_external())
    blob = model.SerializeToString() + addition.SerializeToString()
    assert [tensor.name for tensor in onnx.load_from_string(blob).graph.initializer][-1] == "far"
    assert inspect_model(blob).external == ("far",)


@pytest.mark.parametrize("blob", [b"", b"hello, this is a text\n", b"\x80\x04K\x01.", b"PK\x03\x04zip", b"\x89PNG\r\n"])
def test_other_files_are_refused(blob):
    """Empty, text, pickle, zip and picture are told to be no ONNX file, with the path."""
    with pytest.raises(ModelError, match=r"^m\.onnx: is not an ONNX file"):
        inspect_model(blob, "m.onnx")


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_truncated_model_is_refused_or_empty(data):
    """A cut never raises anything but a model error, and never shows more weights than there are."""
    blob = build_graph([0, 1, 2]).SerializeToString()
    cut = blob[: data.draw(st.integers(0, len(blob) - 1))]
    with contextlib.suppress(ModelError):
        assert inspect_model(cut).external == ()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_an_answer_or_a_model_error(blob):
    """No input raises another exception."""
    with contextlib.suppress(ModelError):
        inspect_model(blob)


def wrap(field: int, message: bytes) -> bytes:
    """Encode ``message`` as a field of another message."""
    length, size = len(message), b""
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([field << 3 | 2]) + size + bytes([length]) + message


def test_deep_nesting_does_not_exhaust_the_stack():
    """Three thousand branches within branches are walked without recursion."""
    graph = make_external().SerializeToString()
    graph = wrap(5, graph)
    for _ in range(3000):
        graph = wrap(1, wrap(5, wrap(6, graph)))  # graph.node.attribute.g
    assert inspect_model(wrap(7, graph)).external == ("far",)


def test_values_stored_as_typed_fields_are_not_weights_of_ours():
    """The exporter stores raw data; a tensor with typed fields adds nothing to the hash."""
    model = build_graph([0, 1])
    before = hash_weights(model.SerializeToString())
    model.graph.initializer.append(helper.make_tensor("typed", TensorProto.FLOAT, [1], [3.0]))
    assert hash_weights(model.SerializeToString()) == before
    model.graph.initializer.append(numpy_helper.from_array(np.float32([3]), "raw"))
    assert hash_weights(model.SerializeToString()) != before
