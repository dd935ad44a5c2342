"""A network from elsewhere gets a contract: padded, completed, proved, and then `correct` runs it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import adelecli
from adelecli.errors import AdeleError, ConfigError, ModelError
from adelecli.runtime.models import open_model

CONTRACT = """
name = "bright"
output = "logits"
divisor = 4
licence = "CC0-1.0"
tau = 0.7

[[classes]]
id = 0
name = "background"

[[classes]]
id = 7
name = "bright"
tau = 0.8

[[channels]]
name = "CT"
kind = "fixed"
clip = [0, 100]
mean = 50
std = 25

[grid]
axis = "z"
"""


def make_plain(
    path: Path,
    *,
    sizes: Sequence[Any] = ("n", 1, "h", "w"),
    channels: int = 2,
    opset: int = 17,
    baked: bool = False,
    look: np.ndarray | None = None,
) -> Path:
    """Logits -2x and 2x for a pixel x, or 4x alone, through a strided path that takes multiples of 4 only.

    ``baked``: a Reshape that knows no batch but 1; ``look``: a kernel [1, 1, 1, 7] through which x is seen.
    """
    weight = np.array([-2.0, 2.0] if channels == 2 else [4.0], np.float32).reshape(channels, 1, 1, 1)
    down = np.zeros((1, 1, 4, 4), np.float32)
    tensors = {"weight": weight, "down": down, "up": down.copy()}
    nodes = [
        helper.make_node("Conv", ["image", "down"], ["small"], strides=[4, 4]),
        helper.make_node("ConvTranspose", ["small", "up"], ["large"], strides=[4, 4]),  # fails to add at other sizes
        helper.make_node("Add", ["image", "large"], ["sum"]),
        helper.make_node("Conv", ["sum", "weight"], ["label"]),  # a name that the wrapped graph needs for itself
    ]
    if look is not None:
        tensors["look"] = look
        nodes[-1].input[0] = "seen"
        nodes.insert(-1, helper.make_node("Conv", ["sum", "look"], ["seen"], pads=[0, 3, 0, 3]))
    if baked:
        tensors["form"] = np.array([1, channels, 8, 8], np.int64)
        nodes[-1].output[0] = "raw"
        nodes.append(helper.make_node("Reshape", ["raw", "form"], ["label"]))
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(sizes))],
        [helper.make_tensor_value_info("label", TensorProto.FLOAT, [sizes[0], channels, *sizes[2:]])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def adopt(folder: Path, text: str = CONTRACT, **plain: Any) -> adelecli.ExportResult:
    (folder / "contract.toml").write_text(text)
    source = make_plain(folder / "plain.onnx", **plain)
    return adelecli.export(from_onnx=source, contract=folder / "contract.toml", out=folder / "weights" / "bright.onnx")


def expect(image: np.ndarray) -> np.ndarray:
    """The probability of class 1."""
    return 1 / (1 + np.exp(-4 * image[:, 0].astype(np.float64)))


@pytest.mark.parametrize("opset", [11, 13, 17, 18])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_adopted_network_answers_at_any_size(tmp_path: Path, opset: int, channels: int) -> None:
    """Sizes that are no multiple of the divisor, batches, softmax or sigmoid: probabilities as the formula says."""
    model = open_model(adopt(tmp_path, opset=opset, channels=channels).path, "cpu")
    image = np.random.default_rng(1).normal(size=(3, 1, 7, 10)).astype(np.float32)
    label, confidence = model.run(image)
    np.testing.assert_allclose(model.run_probabilities(image)[:, 1], expect(image), atol=1e-6)
    np.testing.assert_array_equal(label, image[:, 0] > 0)
    np.testing.assert_allclose(confidence, np.maximum(expect(image), 1 - expect(image)), atol=1e-6)
    assert model.contract.batch is None


@pytest.mark.parametrize(("padding", "beyond"), [("repeat", 1.0), ("zero", 0.0)])
def test_the_border_is_continued_as_the_contract_says(tmp_path: Path, padding: str, beyond: float) -> None:
    """A network that looks three pixels to the right sees the last column repeated, or zeros."""
    shift = np.zeros((1, 1, 1, 7), np.float32)
    shift[..., 6] = 1
    text = CONTRACT.replace("divisor = 4", f'divisor = 4\npadding = "{padding}"')
    model = open_model(adopt(tmp_path, text, look=shift).path, "cpu")
    image = np.ones((1, 1, 4, 5), np.float32)
    answer = model.run_probabilities(image)[0, 1, 0]
    np.testing.assert_allclose(answer, expect(np.array([[1, 1, beyond, beyond, beyond]]).T)[:, None].ravel(), atol=1e-6)


def test_the_contract_says_what_its_owner_said(tmp_path: Path) -> None:
    """Ids, thresholds, sampling, licence and origin, and nothing of a training that nobody saw."""
    result = adopt(tmp_path)
    contract = result.contract
    assert [(c.id, c.name, c.tau, c.triggered, c.onset) for c in contract.classes] == [
        (0, "background", 0.7, False, None),
        (7, "bright", 0.8, True, None),
    ]
    assert (contract.divisor, contract.padding, contract.channel_names) == (4, "repeat", ("CT",))
    assert (contract.channels[0].clip, contract.channels[0].std) == ((0, 100), 25)
    assert contract.parity["max_probability_difference"] <= 1e-5
    assert tomllib.loads((tmp_path / "weights" / "registry.toml").read_text())["bright"]["sha256"] == result.sha256
    assert "Made elsewhere" in result.path.with_suffix(".md").read_text()


def test_a_network_of_one_size_sees_every_slice_at_that_size(tmp_path: Path) -> None:
    """A static graph of single images: slices are padded to its size, larger ones shrunk, stacks run one by one."""
    result = adopt(tmp_path, sizes=(1, 1, 8, 8), baked=True)
    assert (result.contract.batch, result.contract.grid.canvas, result.contract.grid.max_size) == (1, (8, 8), 8)
    model = open_model(result.path, "cpu")
    image = np.random.default_rng(2).normal(size=(3, 1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(model.run_probabilities(image)[:, 1], expect(image), atol=1e-6)


@pytest.mark.parametrize("plain", [{}, {"sizes": (1, 1, 8, 8), "baked": True}])
def test_correct_runs_it(tmp_path: Path, plain: dict[str, Any]) -> None:
    """A bright square whose mask lost a row gets it back, through the command that hospitals use."""
    truth = np.zeros((7, 6, 2), np.uint8)
    truth[2:5, 1:4] = 7
    noisy = truth.copy()
    noisy[2] = 0
    for name, array in (("images", (truth > 0).astype(np.int16) * 100), ("masks", noisy)):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / name / "a.nii.gz")
    model = adopt(tmp_path, **plain).path
    report = adelecli.correct(tmp_path / "masks", out=tmp_path / "out.zarr", model=model, device="cpu")
    assert [case.status for case in report.cases] == ["corrected"]
    adelecli.convert(tmp_path / "out.zarr", out=tmp_path / "files")
    assert np.array_equal(np.asarray(nib.load(tmp_path / "files" / "a.nii.gz").dataobj), truth)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('output = "logits"', "", "missing required field `output`"),
        ("tau = 0.7", "tua = 0.7", "unknown field `tua`"),
        ("id = 7", "id = 70000", r"<= 65535.*classes\[1\].id"),
        ("id = 7", "id = 0", "2 entries with the id 0"),
        ("[[channels]]", '[[classes]]\nid = 9\nname = "third"\n[[channels]]', "lists 3 `classes`, the network gives 2"),
        ("[grid]", '[[channels]]\nname = "MR"\nkind = "volume"\n[grid]', "lists 2 `channels`, the network takes 1"),
    ],
)
def test_a_wrong_description_is_told_with_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Code 2 with the file and the key; no model is written."""
    with pytest.raises(ConfigError, match=said):
        adopt(tmp_path, CONTRACT.replace(old, new, 1))
    assert not (tmp_path / "weights").exists()


def test_a_description_that_does_not_fit_the_graph_is_refused(tmp_path: Path) -> None:
    """Logits called probabilities, a divisor that is none: the graph is run, and what comes out decides."""
    with pytest.raises(ModelError, match="its output is no probability; is `output` right"):
        adopt(tmp_path, CONTRACT.replace('"logits"', '"probabilities"'))
    with pytest.raises(ModelError, match="does not run"):
        adopt(tmp_path, CONTRACT.replace("divisor = 4", "divisor = 1"))
    with pytest.raises(ConfigError, match="`divisor` 3 does not divide"):
        adopt(tmp_path, CONTRACT.replace("divisor = 4", "divisor = 3"), sizes=(1, 1, 8, 8))
    assert not (tmp_path / "weights").exists()


def test_what_is_no_network_of_slices_is_refused(tmp_path: Path) -> None:
    """A text file, a missing one, options that belong to runs: one line each."""
    (tmp_path / "contract.toml").write_text(CONTRACT)
    (tmp_path / "text.onnx").write_text("nonsense")
    for name, said in (("text.onnx", "is not a usable ONNX model"), ("none.onnx", "there is no such model file")):
        with pytest.raises(ModelError, match=said):
            adelecli.export(from_onnx=tmp_path / name, contract=tmp_path / "contract.toml", out=tmp_path / "x.onnx")
    for wrong in ({"contract": None}, {"scales": ["1"]}, {"precision": "int8"}):
        keywords: dict[str, Any] = {"from_onnx": tmp_path / "text.onnx", "contract": tmp_path / "contract.toml"} | wrong
        with pytest.raises(ConfigError):
            adelecli.export(out=tmp_path / "x.onnx", **keywords)


def test_adoption_needs_no_torch(tmp_path: Path) -> None:
    """Where `import torch` fails, a network can still get its contract."""
    (tmp_path / "contract.toml").write_text(CONTRACT)
    make_plain(tmp_path / "plain.onnx")
    script = (
        "import sys; sys.modules['torch'] = sys.modules['monai'] = None; import adelecli; "
        f"adelecli.export(from_onnx={str(tmp_path / 'plain.onnx')!r}, contract={str(tmp_path / 'contract.toml')!r}, "
        f"out={str(tmp_path / 'x.onnx')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
    assert issubclass(ModelError, AdeleError)
    assert open_model(tmp_path / "x.onnx", "cpu").contract.name == "bright"
