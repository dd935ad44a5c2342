"""Peak memory of `adele correct --max-ram` on volumes that are larger than memory should hold, by depth and by number of cases.

    python benchmarks/huge_volume.py --work /tmp/huge [--side 2000] [--depth 1000] [--max-ram 2GiB] [--times 1 2 4] [--kind nifti zarr]

For each factor of ``--times`` a volume of ``side x side x (depth * factor)`` voxels is made (an int16 image and its uint8 mask, as
uncompressed NIfTI or as OME-Zarr 0.5 in chunks of 16 slices, written slice by slice) and corrected by a process of its own, whose
peak resident memory the kernel tells; then the same number of cases of the plain depth. With the defaults that is the volume of
2000 x 2000 x 1000, whose files take 12 GB, and 48 GB at four times the depth. The network sees slices of ``--shown`` pixels, so that
the time is that of everything else. Writes ``benchmarks/results/huge_volume.json``. A factor whose files do not fit the disk is left
out, and said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

RESULTS = Path(__file__).parent / "results"
PROGRAM = "from adelecli.cli.app import main; main()"
BYTES = 3  # of a voxel: int16 and uint8
CHUNK = 16


def main() -> None:
    """Measure every row; this process itself stays small, because a child's peak begins with its parent's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=1000)
    parser.add_argument("--filled", type=float, default=0.3, help="share of the slices that hold a label")
    parser.add_argument("--shown", type=int, default=128, help="side of the slices that the network sees")
    parser.add_argument("--max-ram", default="2GiB")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--kind", nargs="+", choices=["nifti", "zarr"], default=["nifti", "zarr"])
    parser.add_argument("--make", nargs=3, metavar=("DEPTH", "CASES", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_inputs(options, int(options.make[0]), int(options.make[1]), options.make[2])
        return
    rows = []
    options.work.mkdir(parents=True, exist_ok=True)
    for kind in options.kind:
        for factor in options.times:
            for depth, cases in dict.fromkeys([(options.depth * factor, 1), (options.depth, factor)]):
                row = measure(options, depth, cases, kind)
                print(json.dumps(row), flush=True)
                rows.append(row)
    figures = {"side": options.side, "max_ram": options.max_ram, "shown": options.shown, "rows": rows}
    (RESULTS / "huge_volume.json").write_text(json.dumps(figures, indent=1) + "\n")


def measure(options: argparse.Namespace, depth: int, cases: int, kind: str) -> dict[str, object]:
    """Make the input, correct it, verify the store, delete both; figures of `correct` and of `verify`."""
    row: dict[str, object] = {"kind": kind, "depth": depth, "cases": cases}
    folder, out = options.work / f"{kind}-d{depth}c{cases}", options.work / "cleaned.zarr"
    needed = BYTES * options.side**2 * depth * 3  # and twice that for working copies beside the store
    if shutil.disk_usage(options.work.parent).free < needed:
        return row | {"left_out": f"needs {needed >> 30} GiB of disk"}
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--make", str(depth), str(cases), kind], check=True)
    words = [
        "correct",
        folder / "masks",
        "-o",
        out,
        "-m",
        options.work / "model.onnx",
        "-d",
        "cpu",
        "--overwrite",
        "-q",
    ]
    row["correct"] = run_measured([*words, "--max-ram", options.max_ram])
    row["verify"] = run_measured(["verify", out, "-q"])
    shutil.rmtree(folder)
    shutil.rmtree(out)
    return row


def run_measured(words: list[object]) -> dict[str, float]:
    """Peak resident memory and seconds of `adele WORDS`; its exit code must be 0 (or 4: a network nobody trained may change much)."""
    begin = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", PROGRAM, *map(str, words)], os.environ)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in {0, 4}:
        sys.exit(f"adele {words[0]} ended with {code}")
    return {"peak_mb": round(usage.ru_maxrss / 1024, 1), "seconds": round(time.perf_counter() - begin, 1), "code": code}


def make_inputs(options: argparse.Namespace, depth: int, cases: int, kind: str) -> None:
    """Write the model and the volumes, slice by slice; further cases are further names of the first one's files."""
    import numpy as np
    import phantom_ct

    phantom_ct.write_model(options.work / "model.onnx", options.shown)
    folder, side = options.work / f"{kind}-d{depth}c{cases}", options.side
    noise = np.random.default_rng(0).normal(0, 30, (side, side)).astype(np.int16)
    mask = np.zeros((side, side), np.uint8)
    mask[side // 4 : side // 2, side // 4 : side // 2] = 1

    def draw(dtype: type) -> Iterator[np.ndarray]:
        for number in range(depth):
            labels = np.roll(mask, number % 7, axis=0) * np.uint8(number < options.filled * depth)
            yield noise + 100 * labels.astype(np.int16) if dtype == np.int16 else labels

    for name, dtype in (("images", np.int16), ("masks", np.uint8)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write = write_nifti if kind == "nifti" else write_zarr
        first = write(folder / name, draw(dtype), (depth, side, side), np.dtype(dtype))
        for number in range(1, cases):
            further = first.with_name(first.name.replace("case0", f"case{number}"))
            if kind == "nifti":
                further.hardlink_to(first)
            else:
                shutil.copytree(first, further, copy_function=os.link)


def write_nifti(folder: Path, slices: Iterator[np.ndarray], shape: tuple[int, int, int], dtype: np.dtype) -> Path:
    """An uncompressed NIfTI file, written as its slices come."""
    import nibabel as nib
    import numpy as np

    path = folder / "case0.nii"
    header = nib.Nifti1Image(np.zeros((1, 1, 1), dtype), np.eye(4)).header
    header.set_data_shape(shape[::-1])
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1, 0
    header.set_xyzt_units("mm")
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for one in slices:
            file.write(one.tobytes())
    return path


def write_zarr(folder: Path, slices: Iterator[np.ndarray], shape: tuple[int, int, int], dtype: np.dtype) -> Path:
    """An OME-Zarr 0.5 image of 1 mm, in chunks of 16 slices."""
    import numpy as np
    import zarr

    path = folder / "case0.ome.zarr"
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]}
    group = zarr.open_group(str(path), mode="w")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}
    array = group.create_array("0", shape=shape, dtype=dtype, chunks=(CHUNK, *shape[1:]))
    for start in range(0, shape[0], CHUNK):
        array[start : start + CHUNK] = np.stack([next(slices) for _ in range(min(CHUNK, shape[0] - start))])
    return path


if __name__ == "__main__":
    main()
