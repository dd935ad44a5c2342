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
from PIL import Image
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
    if page == "docs/researchers.md":
        write_segthor(folder / "SegTHOR" / "train")
        write_voc(folder / "VOCdevkit" / "VOC2012")
    if page == "docs/model.md":
        write_plain(folder / "plain.onnx")
    model = folder / "weights" / "adele.onnx"
    if page in {"README.md", "docs/review.md", "docs/store.md"} and model.exists():
        adelecli.correct(folder / "masks", out=folder / "cleaned.zarr", model=model)


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


def write_segthor(folder: Path) -> None:
    """Stand-ins in the layout of the challenge's training set: patients of all three parts, four organs as boxes."""
    for number in (1, 2, 3, 8, 21, 23, 27, 29, 32, 37):
        truth = np.zeros((16, 16, 6), np.uint8)
        for label, place in enumerate([(2, 2, 2, 3), (5, 4, 6, 7), (12, 3, 2, 3), (11, 11, 4, 3)], start=1):
            x, y, wide, deep = place
            truth[x : x + wide, y : y + deep, 1 : 5 - number % 2] = label
        grain = np.random.default_rng(number).normal(0, 5, truth.shape)
        patient = f"Patient_{number:02d}"
        write_volume(folder / patient / f"{patient}.nii.gz", (truth * 60.0 - 100 + grain).astype(np.int16))
        write_volume(folder / patient / "GT.nii.gz", truth)


def write_voc(root: Path) -> None:
    """Stand-ins as VOC 2012 is unpacked, two classes and the border; pseudo-labels of the training pictures lack a part."""
    ids = [f"2007_{number:06d}" for number in range(1, 7)]
    palette = [value for index in range(256) for value in (index, 255 - index, 7)]
    for name in ("JPEGImages", "SegmentationClass", "SegmentationClassPseudo", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for number, name in enumerate(ids):
        truth = np.zeros((18, 20), np.uint8)
        truth[3:9, 3 : 9 + number % 3], truth[10:16, 9:17] = 1, 20
        Image.fromarray(np.repeat((truth[..., None] * 10 + 60).astype(np.uint8), 3, 2)).save(
            root / "JPEGImages" / f"{name}.jpg", quality=95
        )
        pseudo = truth.copy()
        pseudo[5:7, 3:5] = 0
        truth[3, 3:9] = 255
        for folder, labels in (("SegmentationClass", truth), ("SegmentationClassPseudo", pseudo)):
            if folder == "SegmentationClass" or number < 4:
                picture = Image.fromarray(labels).convert("P")
                picture.putpalette(palette)
                picture.save(root / folder / f"{name}.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("\n".join(ids[:4]) + "\n", encoding="utf-8")
    (lists / "val.txt").write_text("\n".join(ids[4:]) + "\n", encoding="utf-8")
