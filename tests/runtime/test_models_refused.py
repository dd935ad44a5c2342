"""What is no model of ours is refused with its path, the fact and, where there is one, the remedy."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper
from tiny_models import build_graph, make_contract, make_model

from adelecli.errors import ConfigError, ModelError
from adelecli.runtime import models
from adelecli.runtime.contract import Intensity, encode_contract
from adelecli.runtime.models import open_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_model(make_model(tmp_path_factory.mktemp("weights") / "tiny.onnx"), "cpu")


def test_a_missing_file_is_told(tmp_path):
    """No file and no regular file, each with its path."""
    with pytest.raises(ModelError, match=r"nowhere\.onnx: there is no such model file"):
        open_model(tmp_path / "nowhere.onnx", "cpu")
    with pytest.raises(ModelError, match="is not a file"):
        open_model(tmp_path, "cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    """A named pipe would block for ever."""
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="is not a file"):
        open_model(tmp_path / "pipe.onnx", "cpu")


def test_a_file_over_the_limit_is_refused(model, monkeypatch):
    """The size is capped before anything reads the content."""
    monkeypatch.setattr(models, "MAX_BYTES", 100)
    with pytest.raises(ModelError, match="is larger than 100 bytes"):
        open_model(model.path, "cpu")


def test_a_text_named_onnx_is_refused(tmp_path):
    """A file that is no model is told so, on one line."""
    path = tmp_path / "notes.onnx"
    path.write_text("this is not a model\n")
    with pytest.raises(ModelError, match=r"notes.onnx: is not an ONNX file") as caught:
        open_model(path, "cpu")
    assert caught.value.exit_code == 6


def test_a_model_without_a_contract_is_refused(tmp_path):
    """Any ONNX file that adele did not export: the remedy is told."""
    path = tmp_path / "foreign.onnx"
    path.write_bytes(build_graph([0, 1]).SerializeToString())
    with pytest.raises(ModelError, match=r"foreign\.onnx: lacks its contract; export it with `adele export`"):
        open_model(path, "cpu")


def test_a_contract_without_a_field_is_refused(tmp_path):
    """The missing field is named with the file."""
    contract = msgspec.json.decode(encode_contract(make_contract()))
    del contract["classes"]
    text = msgspec.json.encode(contract).decode()
    path = make_model(tmp_path / "m.onnx", change=lambda m: helper.set_model_props(m, {"adele": text}))
    with pytest.raises(ModelError, match=r"m\.onnx: contract field `classes` missing"):
        open_model(path, "cpu")


def test_another_hash_than_the_recorded_is_refused(model):
    """The registry's hash decides; upper case is the same hash."""
    assert open_model(model.path, "cpu", sha256=model.sha256.upper()).sha256 == model.sha256
    with pytest.raises(ModelError, match=f"its sha256 is {model.sha256}, but 0{{64}} is recorded"):
        open_model(model.path, "cpu", sha256="0" * 64)


def test_a_flipped_bit_in_the_weights_is_found(model, tmp_path):
    """The runtime loads it without a word; the contract's own hash does not."""
    blob = bytearray(model.path.read_bytes())
    place = blob.index(np.float32([0, 1, 2]).tobytes())
    blob[place + 6] ^= 1
    (tmp_path / "m.onnx").write_bytes(blob)
    with pytest.raises(ModelError, match="its weights are not those that were exported"):
        open_model(tmp_path / "m.onnx", "cpu")


def test_weights_in_another_file_are_refused_even_when_they_are_there(tmp_path, monkeypatch):
    """The runtime would take them from the current folder; a model is one file."""
    monkeypatch.chdir(tmp_path)

    def move_out(model):
        external_data_helper.convert_model_to_external_data(model, location="w.bin", size_threshold=0)
        external_data_helper.write_external_data_tensors(model, str(tmp_path))

    path = make_model(tmp_path / "m.onnx", change=move_out)
    assert (tmp_path / "w.bin").exists()
    with pytest.raises(ModelError, match=r"keeps weights in other files \(centres\)"):
        open_model(path, "cpu")


def test_custom_operators_are_refused(tmp_path):
    """Neither unknown ones nor onnxruntime's own extensions, which may embed native code."""

    def add_operator(model):
        model.graph.node.append(helper.make_node("Inverse", ["image"], ["unused"], domain="com.microsoft"))
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    with pytest.raises(ModelError, match=r"outside the ONNX standard \(com.microsoft.Inverse\)"):
        open_model(make_model(tmp_path / "m.onnx", change=add_operator), "cpu")


def test_a_graph_that_onnxruntime_refuses_is_told(tmp_path, capfd):
    """An operator that does not exist: one line, and nothing on the terminal."""

    def rename(model):
        model.graph.node[0].op_type = "NoSuchOperator"

    with pytest.raises(ModelError, match=r"is not a usable ONNX model \(.*NoSuchOperator") as caught:
        open_model(make_model(tmp_path / "m.onnx", change=rename), "cpu")
    assert "ONNXRuntimeError" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def rename_input(model):
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"


def rename_output(model):
    model.graph.output[2].name = model.graph.node[7].output[0] = "sureness"


def claim_double(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in model.graph.node[:1]:
        node.output[0] = "value64"
    model.graph.node.insert(1, helper.make_node("Cast", ["value64"], ["value"], to=TensorProto.FLOAT))


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (rename_input, "its input is `x`, not `image`"),
        (rename_output, "it has no output `confidence`"),
        (claim_double, r"`image` is tensor\(double\)"),
    ],
)
def test_a_graph_of_another_signature_is_refused(tmp_path, change, fact):
    """Names and types of inputs and outputs are part of the format."""
    with pytest.raises(ModelError, match=fact):
        open_model(make_model(tmp_path / "m.onnx", change=change), "cpu")


@pytest.mark.parametrize(
    ("contract", "fact"),
    [
        (make_contract(4), "`probabilities` has 3 channels, its contract names 4"),
        (
            make_contract(3, channels=(Intensity(kind="fixed"),) * 2, channel_names=("a", "b")),
            "`image` has 1 channels, its contract names 2",
        ),
    ],
)
def test_a_contract_of_another_graph_is_refused(tmp_path, contract, fact):
    """As many classes and channels as the network has."""

    def replace_contract(model):
        helper.set_model_props(model, {"adele": encode_contract(contract)})

    with pytest.raises(ModelError, match=fact):
        open_model(make_model(tmp_path / "m.onnx", change=replace_contract), "cpu")


def test_a_device_that_does_not_exist_is_a_usage_error(model):
    """The device is resolved before the file is read."""
    with pytest.raises(ConfigError):
        open_model(model.path, "gpu")


@pytest.mark.parametrize("text", [b"adele", b"probabilities"])
def test_texts_that_are_no_text_are_refused_in_silence(model, tmp_path, capfd, text):
    """Metadata and names that are not UTF-8 end in one line, and onnxruntime prints nothing."""
    path = tmp_path / "spoilt.onnx"
    path.write_bytes(model.path.read_bytes().replace(text, b"\xff" * len(text)))
    with pytest.raises(ModelError, match=r"spoilt\.onnx: "):
        open_model(path, "cpu")
    assert capfd.readouterr() == ("", "")
