"""What lies in the folder in which a page is followed: tiny data of the kind that the page speaks of, and a model.

`images/`, `masks/` (noisy) and `truth/` with four cases of 16 x 16 x 6 voxels, the classes liver and tumour, `labels.json`; and
`weights/adele.onnx`, for which an intensity *is* a class, unless the page trains and exports one itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import nibabel as nib
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_models import make_contract, make_model

import adelecli

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("background", "liver", "tumour")
CASES = 4


def make_truth(number: int) -> np.ndarray:
    """A large and a small box, in slices 1 to 4 of a volume [16, 16, 6] (x, y, z); each case a little different."""
    truth = np.zeros((16, 16, 6), np.uint8)
    truth[2 : 9 + number % 2, 2:10, 1:5] = 1
    truth[4:7, 5 : 8 + number // 2, 1:5] = 2
    truth[11:14, 10:14, 1:5] = 2
    return truth


def write_volume(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0]))
    picture.header.set_xyzt_units("mm")
    nib.save(picture, path)


def fill_folder(folder: Path, *, model: bool = True) -> None:
    """Write the data, and the model unless the page makes one."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(CASES):
        case, truth = f"case_{number + 1:04d}.nii.gz", make_truth(number)
        noisy = truth.copy()
        noisy[8:, 2:10, 1:3] = 0
        noisy[13, 10:14, 1:3] = 0
        grain = np.random.default_rng(number).normal(0, 0.05, truth.shape)
        write_volume(folder / "images" / case, (truth + grain).astype(np.float32))
        write_volume(folder / "masks" / case, noisy)
        write_volume(folder / "truth" / case, truth)
    (folder / "labels.json").write_text(json.dumps(dict(enumerate(NAMES))), encoding="utf-8")
    if model:
        make_model(folder / "weights" / "adele.onnx", make_named_contract())


def make_named_contract() -> msgspec.Struct:
    """The contract of the tiny model with the names of this data set."""
    contract = make_contract(len(NAMES))
    classes = tuple(
        msgspec.structs.replace(entry, name=name) for entry, name in zip(contract.classes, NAMES, strict=True)
    )
    return msgspec.structs.replace(contract, classes=classes, name="adele")


def prepare_page(page: str, folder: Path) -> None:
    """What one page takes for granted besides."""
    (folder / "trusted.txt").write_text("case_0001\ncase_0002\n", encoding="utf-8")
    if page == "docs/model.md":
        write_plain(folder / "plain.onnx")
    if page in {"docs/review.md", "docs/store.md"}:
        adelecli.correct(folder / "masks", out=folder / "cleaned.zarr", model=folder / "weights" / "adele.onnx")


def write_plain(path: Path) -> None:
    """A network from elsewhere: one convolution of 1 x 1, one channel in, two classes out, any size."""
    sizes = ["batch", None, "height", "width"]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [sizes[0], channels, *sizes[2:]])
        for name, channels in (("input", 1), ("logits", 2))
    ]
    weights = numpy_helper.from_array(np.array([[[[-1.0]]], [[[1.0]]]], np.float32), "weights")
    node = helper.make_node("Conv", ["input", "weights"], ["logits"])
    graph = helper.make_graph([node], "plain", ends[:1], ends[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
