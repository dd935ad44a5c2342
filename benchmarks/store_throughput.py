"""How fast labels are written into the store and read back, beside `numpy.save` and nibabel's `.nii.gz` of the same array.

    python benchmarks/store_throughput.py --work /tmp/throughput [--shape 400 512 512] [--repetitions 7]

Two uint8 label volumes, `sparse` (six round structures with wavy outlines) and `dense` (six organ-like classes that fill about half
of the volume), are published as the product publishes it (drafted, read back, hashed,
forced to the disk, renamed), once alone and once with corrected labels and change map, and written by the other two, whose files are
forced to the disk too. All alternate in one process. Then a slab of 16 slices in the middle is read back from each: `numpy.load` maps its
file, nibabel must unpack the file up to the slab. The cache of the system is warm in all of them. Prints and writes
``benchmarks/results/store_throughput.json``: medians with their spread (smallest and largest), ratios of the medians, bytes and files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from adelecli.store.changes import map_changes
from adelecli.store.collection import create_store
from adelecli.store.frame import Frame
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.store.publication import publish_case

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "store_throughput.json"
IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
CLASSES = [{"id": number, "name": f"class {number}", "colour": (40 * number, 0, 0)} for number in range(7)]
SLAB = 16


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shape", type=int, nargs=3, default=[400, 512, 512])
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    shape = (options.shape[0], options.shape[1], options.shape[2])
    volumes = {"sparse": draw_balls(shape), "dense": draw_organs(shape)}
    result = {name: measure(options, labels) for name, labels in volumes.items()}
    RESULTS.write_text(json.dumps({"shape": shape, "repetitions": options.repetitions, **result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(options: argparse.Namespace, labels: np.ndarray) -> dict[str, object]:
    """All figures of one label volume."""
    options.work.mkdir(parents=True, exist_ok=True)
    writers, readers = list_writers(options.work, labels), list_readers(options.work, labels)
    seconds: dict[str, list[float]] = {name: [] for name in (*writers, *readers)}
    for _ in range(options.repetitions + 1):
        for name, action in (*writers.items(), *readers.items()):
            seconds[name].append(action())
    rows = {name: summarise(values[1:]) for name, values in seconds.items()}  # the first one warms up
    result: dict[str, object] = {
        "labelled": round(float((labels > 0).mean()), 3),
        "seconds": rows,
        "size": {name: measure_size(options.work / name) for name in writers},
        "write: nii.gz / store": round(rows["nii.gz"]["median"] / rows["store"]["median"], 2),
        "write: numpy.save / store": round(rows["npy"]["median"] / rows["store"]["median"], 2),
        "read: nii.gz / store": round(rows["read nii.gz"]["median"] / rows["read store"]["median"], 2),
        "read: numpy.load / store": round(rows["read npy"]["median"] / rows["read store"]["median"], 2),
    }
    shutil.rmtree(options.work)
    return result


def draw_organs(shape: tuple[int, int, int]) -> np.ndarray:
    """The largest of seven smooth random fields ``[Z, Y, X]``, the background's raised: organs that touch, as in a whole-body model."""
    from scipy.ndimage import gaussian_filter, zoom

    rng = np.random.default_rng(1)
    coarse = tuple(-(-n // 8) for n in shape)
    best, labels = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.uint8)
    for number in range(7):
        field = gaussian_filter(rng.normal(size=coarse), 3).astype(np.float32)
        field /= field.std()
        field = zoom(field, 8, order=1)[: shape[0], : shape[1], : shape[2]] + np.float32(number == 0)
        np.copyto(labels, np.uint8(number), where=field > best)
        np.maximum(best, field, out=best)
    return labels


def draw_balls(shape: tuple[int, int, int]) -> np.ndarray:
    """Six balls of 30 to 80 voxels with wavy outlines ``[Z, Y, X]``: outlines of segmentations, not of noise."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint8)
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    for number in range(1, 7):
        centre, radius = rng.uniform(0.25, 0.75, 3) * shape, 30 + 10 * (number - 1)
        shifted = [axis - middle for axis, middle in zip(grid, centre, strict=True)]
        wave = 4 * np.sin(shifted[0] / 6) * np.cos(shifted[1] / 7) + 3 * np.sin(shifted[2] / 5)
        labels[sum(part**2 for part in shifted) < (radius + wave) ** 2] = number
    return labels


def list_writers(work: Path, labels: np.ndarray) -> dict[str, Callable[[], float]]:
    """What writes the array, each replacing what it wrote before; they return seconds."""
    corrected = np.roll(labels, 2, axis=1)
    changed = map_changes(labels, corrected)
    frame = Frame(IDENTITY, (1.0, 1.0, 1.0))

    def publish(name: str, arrays: dict[str, np.ndarray]) -> float:
        store = create_store(work / name, run={"command": "correct"}, overwrite=True)
        begin = time.perf_counter()  # what lay there before is no part of the cost
        with publish_case(store, "case") as draft:
            for part, array in arrays.items():
                draft.write_labels(part, array, frame, CHANGE_CLASSES if part == "change" else CLASSES)
            draft.set_record({"id": "case"})
        return time.perf_counter() - begin

    def save() -> float:
        (work / "npy").mkdir(exist_ok=True)
        begin = time.perf_counter()
        with (work / "npy" / "labels.npy").open("wb") as file:
            np.save(file, labels)
            os.fsync(file.fileno())
        return time.perf_counter() - begin

    def pack() -> float:
        (work / "nii.gz").mkdir(exist_ok=True)
        path = work / "nii.gz" / "labels.nii.gz"
        begin = time.perf_counter()
        nib.Nifti1Image(labels.T, np.eye(4)).to_filename(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return time.perf_counter() - begin

    return {
        "store": lambda: publish("store", {"original": labels}),
        "npy": save,
        "nii.gz": pack,
        "whole case": lambda: publish("whole case", {"original": labels, "corrected": corrected, "change": changed}),
    }


def list_readers(work: Path, labels: np.ndarray) -> dict[str, Callable[[], float]]:
    """What reads the slab; each compares it with the truth once it is read; they return seconds."""
    middle = len(labels) // 2
    part = slice(middle, middle + SLAB)

    def check(read: Callable[[], np.ndarray]) -> float:
        begin = time.perf_counter()
        found = read()
        seconds = time.perf_counter() - begin
        if not np.array_equal(found, labels[part]):
            raise SystemExit("what was read is not what was written")
        return seconds

    def open_shards() -> np.ndarray:
        import zarr

        return np.asarray(zarr.open_array(str(work / "store" / "case" / "labels" / "original" / "0"), mode="r")[part])

    return {
        "read store": lambda: check(open_shards),
        "read npy": lambda: check(lambda: np.array(np.load(work / "npy" / "labels.npy", mmap_mode="r")[part])),
        "read nii.gz": lambda: check(
            lambda: np.asarray(nib.load(work / "nii.gz" / "labels.nii.gz").dataobj[..., part], np.uint8).T
        ),
    }


def summarise(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest, in seconds."""
    return {"median": round(median(values), 4), "least": round(min(values), 4), "most": round(max(values), 4)}


def measure_size(folder: Path) -> dict[str, int]:
    """Bytes and files below ``folder``."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {"bytes": sum(path.stat().st_size for path in files), "files": len(files)}


if __name__ == "__main__":
    main()
