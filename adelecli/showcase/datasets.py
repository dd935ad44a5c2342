"""The data sets that `adele demo` makes: which there are, and how their cases become files.

What must hold: a data set is laid out as a user's would be (``images/``, masks beside them, ``labels.json``), and every case is a
function of seed and number alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import ConfigError, OutputError
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.showcase import hippocampus, phantom

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from adelecli.pipeline.corruption import CorruptionReport

    Drawing = Callable[[int, int], tuple[NDArray[Any], NDArray[np.uint8]]]


@dataclass(frozen=True)
class DataSet:
    """Names of the classes; ``draw(seed, index)`` gives image and labels ``[Z, Y, X]`` on the grid of ``affine`` (x, y, z to RAS+ mm).

    ``noise_order``: the classes as `adele corrupt` takes them, those that give way first.
    """

    class_names: tuple[str, ...]
    noise_order: tuple[str, ...]
    affine: NDArray[np.float64]
    draw: Drawing


DATA_SETS = {
    "chest": DataSet(
        phantom.CLASS_NAMES,
        ("esophagus", "trachea", "aorta", "heart"),
        phantom.lay_affine(),
        lambda seed, index: phantom.make_case(seed, index)[:2],
    ),
    "hippocampus": DataSet(
        hippocampus.CLASS_NAMES, hippocampus.CLASS_NAMES[1:], np.eye(4), hippocampus.make_hippocampus
    ),
}


def find_data_set(kind: str) -> DataSet:
    """The data set of that name; ConfigError for another."""
    if kind not in DATA_SETS:
        raise ConfigError(f"there is no data set `{kind}`", remedy=f"choose one of {', '.join(DATA_SETS)}")
    return DATA_SETS[kind]


def write_cases(
    folder: Path | str,
    kind: str,
    *,
    cases: int,
    seed: int = 0,
    masks: str = "masks",
    progress: Callback = ignore_progress,
) -> Path:
    """Write ``images/case_000.nii.gz``, ``MASKS/case_000.nii.gz``, ... and ``labels.json``; returns the folder.

    Raises ConfigError for an unknown ``kind``, OutputError when the folder cannot be written.
    """
    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.writing import write_image, write_labels

    folder, made = Path(folder), find_data_set(kind)
    names = {str(index): name for index, name in enumerate(made.class_names)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "labels.json").write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror or error})", path=folder, remedy="name another folder"
        ) from error
    for index in range(cases):
        image, labels = made.draw(seed, index)
        geometry = Geometry(shape=labels.shape, affine=made.affine, kind="nifti", header=None)
        name = f"case_{index:03d}"
        write_image(folder / "images" / f"{name}.nii.gz", image, geometry)
        write_labels(folder / masks / f"{name}.nii.gz", labels, geometry)
        progress(Progress("phantom", index + 1, cases, case=name))
    return folder


def write_data(
    folder: Path, kind: str, *, cases: int, seed: int, progress: Callback = ignore_progress
) -> CorruptionReport:
    """A data set as a user would have it, with its truth: ``images/``, ``masks/`` (spoilt), ``truth/``; what the noise measures."""
    from adelecli.pipeline.corruption import corrupt

    write_cases(folder, kind, cases=cases, seed=seed, masks="truth", progress=progress)
    return corrupt(
        folder / "truth",
        out=folder / "masks",
        noise="adele-de",
        k="1-5",
        classes=find_data_set(kind).noise_order,
        seed=seed,
        progress=progress,
    )
