"""An open model computes what its graph says, whatever the form of its input, and fails in one clear line."""

from __future__ import annotations

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import helper, numpy_helper
from tiny_models import compute_probabilities, make_contract, make_model

from adelecli.errors import CaseError
from adelecli.runtime import models
from adelecli.runtime.contract import Intensity
from adelecli.runtime.devices import Device
from adelecli.runtime.models import open_model
from adelecli.runtime.sessions import RunOptions


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_model(make_model(tmp_path_factory.mktemp("weights") / "tiny.onnx"), "cpu")


def make_image(shape: tuple[int, ...] = (2, 1, 5, 7), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 2.5, shape).astype(np.float32)


def test_a_model_computes_its_formula(model):
    """Probabilities, labels and confidences agree with the same formula in numpy."""
    image = make_image()
    expected = compute_probabilities(image[:, 0], [0, 1, 2])
    label, confidence = model.run(image)
    np.testing.assert_allclose(model.run_probabilities(image), np.moveaxis(expected, -1, 1), atol=1e-6)
    np.testing.assert_array_equal(label, expected.argmax(-1))
    np.testing.assert_allclose(confidence, expected.max(-1), atol=1e-6)
    assert (label.dtype, confidence.dtype) == (np.uint8, np.float32)


def test_an_open_model_tells_itself_in_a_line_and_in_a_notebook(model):
    """Where it is and what it knows, not its whole contract."""
    count = len(model.contract.classes)
    assert repr(model) == f"Model('{model.path}', {count} classes, 2D, on cpu)"
    assert model._repr_html_().count("<tr><td>") == count


def test_an_open_model_tells_what_it_is(model):
    """The contract, the hash and size of the file's bytes, and the device in use."""
    blob = model.path.read_bytes()
    assert model.sha256 == hashlib.sha256(blob).hexdigest()
    assert model.size == len(blob)
    assert model.device == Device("cpu", "cpu")
    assert [entry.name for entry in model.contract.classes] == ["background", "class 1", "class 2"]


@pytest.mark.parametrize("dtype", [">f4", ">f8", "f8", ">i2", "u1"])
def test_the_type_of_the_input_does_not_matter(model, dtype):
    """Big-endian arrays, which onnxruntime reads as garbage, give the same answer as native ones."""
    image = make_image().round().clip(0)
    np.testing.assert_array_equal(model.run(image.astype(dtype))[0], image[:, 0].astype(np.uint8))


def test_strides_do_not_matter(model):
    """A flipped, transposed view gives the bits of its copy."""
    view = make_image((2, 1, 8, 6)).transpose(0, 1, 3, 2)[..., ::-1]
    np.testing.assert_array_equal(model.run(view)[1], model.run(view.copy())[1])


def test_a_batch_equals_its_images_to_the_bit(model):
    """No image sees its neighbours."""
    image = make_image((5, 1, 9, 4))
    label, confidence = model.run(image)
    for i in range(5):
        alone = model.run(image[i : i + 1])
        np.testing.assert_array_equal(alone[0][0], label[i])
        np.testing.assert_array_equal(alone[1][0], confidence[i])


def test_an_empty_batch_is_fine(model):
    """Nothing in, nothing out."""
    assert model.run(make_image((0, 1, 4, 4)))[0].shape == (0, 4, 4)


def test_threads_share_a_model(model):
    """Four threads on one model get what one thread gets."""
    images = [make_image(seed=i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model.run, images))
    for image, (label, confidence) in zip(images, together, strict=True):
        np.testing.assert_array_equal(label, model.run(image)[0])
        np.testing.assert_array_equal(confidence, model.run(image)[1])


@pytest.mark.parametrize("options", [{"threads": 1}, {"low_memory": True}])
def test_session_options_do_not_change_results(model, options):
    """Threads and memory are a matter of cost."""
    other = open_model(model.path, "cpu", **options)
    np.testing.assert_array_equal(other.run(make_image())[1], model.run(make_image())[1])


def test_several_channels_are_used(tmp_path):
    """A model of two channels averages them, as its graph says."""
    channels = (Intensity(kind="fixed"),) * 2
    path = make_model(tmp_path / "m.onnx", make_contract(channels=channels, channel_names=("a", "b")))
    image = make_image((1, 2, 4, 4))
    expected = compute_probabilities(image.mean(axis=1), [0, 1, 2]).argmax(-1)
    np.testing.assert_array_equal(open_model(path, "cpu").run(image)[0], expected)


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (1, 4, 4), (1, 1, 1, 4, 4)])
def test_an_image_of_another_form_is_refused(model, shape):
    """The error tells what came and what the model wants."""
    with pytest.raises(CaseError, match=r"the model wants \[N, 1, H, W\]"):
        model.run(np.zeros(shape, np.float32))


def test_a_nan_is_not_hidden(model):
    """A NaN in the image is a NaN in the confidence, for the caller to see."""
    image = make_image()
    image[0, 0, 1, 2] = np.nan
    assert np.argwhere(np.isnan(model.run(image)[1])).tolist() == [[0, 1, 2]]


class BrokenSession:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, *_):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code: std::bad_alloc"),
        RuntimeError("BFCArena::AllocateRawInternal Available memory of 0 is smaller than requested bytes"),
    ],
)
def test_no_memory_is_a_clear_case_error(model, error):
    """The batch can go on without this case, and the person learns what to do."""
    broken = models.Model(
        model.path, model.contract, "", 0, model.device, BrokenSession(error), RunOptions(shrink=True)
    )
    with pytest.raises(CaseError, match="not enough memory to segment slices of 5 x 7; free memory, use --device cpu"):
        broken.run(make_image())


def test_another_failure_is_told_without_its_code(model):
    """The runtime's own sentence, shortened."""
    error = RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Non-zero status code : in node Conv_3")
    broken = models.Model(
        model.path, model.contract, "", 0, model.device, BrokenSession(error), RunOptions(shrink=True)
    )
    with pytest.raises(CaseError, match=r"failed on slices of 5 x 7 \(Non-zero status code : in node Conv_3\)"):
        broken.run_probabilities(make_image())


def test_a_model_stays_usable_after_a_failure(model):
    """One bad image does not end the batch."""
    before = model.run(make_image())[1]
    with pytest.raises(CaseError):
        model.run(np.zeros((1, 3, 4, 4), np.float32))
    np.testing.assert_array_equal(model.run(make_image())[1], before)


def swell(model):
    """Put a petabyte between the image and the rest of the graph."""
    size = numpy_helper.from_array(np.int64([1, 1, 1 << 24, 1 << 24]))
    model.graph.node[0].input[0] = "wet"
    for i, node in enumerate(
        [
            helper.make_node("Constant", [], ["size"], value=size),
            helper.make_node("ConstantOfShape", ["size"], ["ocean"]),
            helper.make_node("ReduceMax", ["ocean"], ["drop"], keepdims=1),
            helper.make_node("Add", ["image", "drop"], ["wet"]),
        ]
    ):
        model.graph.node.insert(i, node)


def test_the_runtimes_own_lack_of_memory_is_recognised(tmp_path, capfd):
    """The real thing, not a made-up message: it is told in one line, and the terminal stays clean."""
    model = open_model(make_model(tmp_path / "m.onnx", change=swell), "cpu")
    with pytest.raises(CaseError, match="not enough memory to segment slices of 5 x 7"):
        model.run(make_image())
    assert capfd.readouterr() == ("", "")


def test_only_what_is_asked_for_is_computed(model, monkeypatch):
    """Labels and confidence do not bring the probabilities along, nor the other way round: outputs are named."""
    asked = []

    class Spy:
        def run(self, outputs, feed, options):
            asked.append(outputs)
            return model._session.run(outputs, feed, options)

    spied = dataclasses.replace(model, _session=Spy())
    spied.run(make_image())
    spied.run_probabilities(make_image())
    assert asked == [["label", "confidence"], ["probabilities"]]


def test_a_graph_of_single_images_gets_them_one_by_one(tmp_path):
    """Where the contract fixes the batch to 1, a stack gives what its images give alone, in order."""
    single = open_model(make_model(tmp_path / "one.onnx", make_contract(batch=1)), "cpu")
    image = make_image((3, 1, 4, 5))
    label, confidence = single.run(image)
    np.testing.assert_allclose(confidence, compute_probabilities(image[:, 0], [0, 1, 2]).max(-1), atol=1e-6)
    assert [part.shape for part in (label, confidence)] == [(3, 4, 5)] * 2
    np.testing.assert_array_equal(single.run(image[2:])[0][0], label[2])


def test_a_model_of_volumes_runs_on_volumes(tmp_path):
    """With `dims` 3 the same calls take [N, C, D, H, W]; an image of another rank is told the form that is wanted."""
    solid = open_model(make_model(tmp_path / "solid.onnx", make_contract(dims=3)), "cpu")
    image = make_image((2, 1, 3, 4, 5))
    label, confidence = solid.run(image)
    expected = compute_probabilities(image[:, 0], [0, 1, 2])
    np.testing.assert_array_equal(label, expected.argmax(-1))
    np.testing.assert_allclose(confidence, expected.max(-1), atol=1e-6)
    with pytest.raises(CaseError, match=r"wants \[N, 1, D, H, W\]"):
        solid.run(image[0])
