"""How fast labels are written into the store and read back, beside `numpy.save` and nibabel's `.nii.gz` of the same array.

    python benchmarks/store_throughput.py --work /tmp/throughput [--shape 400 512 512] [--repetitions 7]

Two uint8 label volumes, `sparse` (six round structures with wavy outlines) and `dense` (six organ-like classes that fill about half
of the volume), are published as the product publishes it (drafted, read back, hashed,
forced to the disk, renamed), once alone and once with corrected labels and change map, and written by the other two, whose files are
forced to the disk too. What publishing does beside writing is measured alone: `arrays` writes the finest level without any of it, `hash`
hashes the labels once, `inspect` reads the published case back and holds it to its hashes. All alternate in one process. Then a slab of
16 slices in the middle is read back from each: `numpy.load` maps its file, nibabel must unpack the file up to the slab. The cache of
the system is warm in all of them. Prints and writes ``benchmarks/results/store_throughput.json``: medians of seconds and of processor
seconds (of all threads; they hardly depend on what else the machine does) with their spread (smallest and largest), ratios of the
medians, bytes and files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from adelecli.store.arrays import hash_array, write_volume
from adelecli.store.changes import map_changes
from adelecli.store.collection import create_store
from adelecli.store.files import sync_tree
from adelecli.store.frame import Frame
from adelecli.store.inspection import inspect_case
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
    writers = list_writers(options.work, labels)
    actions = writers | list_parts(options.work, labels) | list_readers(options.work, labels)
    taken: dict[str, list[Taken]] = {name: [] for name in actions}
    for _ in range(options.repetitions + 1):
        for name, action in actions.items():
            taken[name].append(action())
    seconds = {name: summarise([one.seconds for one in values[1:]]) for name, values in taken.items()}  # one warms up
    processor = {name: summarise([one.processor for one in values[1:]]) for name, values in taken.items()}
    result: dict[str, object] = {
        "labelled": round(float((labels > 0).mean()), 3),
        "seconds": seconds,
        "processor_seconds": processor,
        "size": {name: measure_size(options.work / name) for name in writers},
        "files of a case": measure_size(options.work / "whole case" / "case")["files"],
    }
    for word, rows in (("seconds", seconds), ("processor", processor)):
        result |= {
            f"write: nii.gz / store, {word}": divide(rows, "nii.gz", "store"),
            f"write: nii.gz / arrays, {word}": divide(rows, "nii.gz", "arrays"),
            f"write: numpy.save / store, {word}": divide(rows, "npy", "store"),
            f"read: nii.gz / store, {word}": divide(rows, "read nii.gz", "read store"),
            f"read: numpy.load / store, {word}": divide(rows, "read npy", "read store"),
        }
    shutil.rmtree(options.work)
    return result


@dataclass(frozen=True)
class Taken:
    """What an action took: seconds by the clock, and processor seconds of all threads."""

    seconds: float
    processor: float


class Watch:
    """Started when it is made."""

    def __init__(self) -> None:
        self.begin, self.used = time.perf_counter(), time.process_time()

    def stop(self) -> Taken:
        """What has passed since."""
        return Taken(time.perf_counter() - self.begin, time.process_time() - self.used)


def divide(rows: dict[str, dict[str, float]], one: str, other: str) -> float:
    """How many times the median of ``other`` that of ``one`` is."""
    return round(rows[one]["median"] / max(rows[other]["median"], 1e-4), 2)


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


def list_writers(work: Path, labels: np.ndarray) -> dict[str, Callable[[], Taken]]:
    """What writes the array, each replacing what it wrote before."""
    corrected = np.roll(labels, 2, axis=1)
    changed = map_changes(labels, corrected)
    frame = Frame(IDENTITY, (1.0, 1.0, 1.0), bytes(348))  # with a raw header, as every NIfTI has one

    def publish(name: str, arrays: dict[str, np.ndarray]) -> Taken:
        store = create_store(work / name, run={"command": "correct"}, overwrite=True)
        watch = Watch()  # what lay there before is no part of the cost
        with publish_case(store, "case") as draft:
            for part, array in arrays.items():
                draft.write_labels(part, array, frame, CHANGE_CLASSES if part == "change" else CLASSES)
            draft.set_record({"id": "case"})
        return watch.stop()

    def save() -> Taken:
        (work / "npy").mkdir(exist_ok=True)
        watch = Watch()
        with (work / "npy" / "labels.npy").open("wb") as file:
            np.save(file, labels)
            os.fsync(file.fileno())
        return watch.stop()

    def pack() -> Taken:
        (work / "nii.gz").mkdir(exist_ok=True)
        path = work / "nii.gz" / "labels.nii.gz"
        watch = Watch()
        nib.Nifti1Image(labels.T, np.eye(4)).to_filename(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return watch.stop()

    return {
        "store": lambda: publish("store", {"original": labels}),
        "npy": save,
        "nii.gz": pack,
        "whole case": lambda: publish("whole case", {"original": labels, "corrected": corrected, "change": changed}),
    }


def list_parts(work: Path, labels: np.ndarray) -> dict[str, Callable[[], Taken]]:
    """What publishing consists of, alone."""

    def write() -> Taken:
        shutil.rmtree(work / "arrays", ignore_errors=True)
        watch = Watch()
        write_volume(work / "arrays", labels)
        sync_tree(work / "arrays")
        return watch.stop()

    def digest() -> Taken:
        watch = Watch()
        hash_array(labels)
        return watch.stop()

    def inspect() -> Taken:
        watch = Watch()
        if inspect_case(work / "store" / "case", "case"):
            raise SystemExit("the store is damaged")
        return watch.stop()

    return {"arrays": write, "hash": digest, "inspect": inspect}


def list_readers(work: Path, labels: np.ndarray) -> dict[str, Callable[[], Taken]]:
    """What reads the slab; each compares it with the truth once it is read."""
    middle = len(labels) // 2
    part = slice(middle, middle + SLAB)

    def check(read: Callable[[], np.ndarray]) -> Taken:
        watch = Watch()
        found = read()
        taken = watch.stop()
        if not np.array_equal(found, labels[part]):
            raise SystemExit("what was read is not what was written")
        return taken

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
