"""Calls of `adele` on real files, with the exit code that each must end with; `docs/exit-codes.md` lists them.

A call's words hold `{site}`, a folder that all calls share and none changes, and `{new}`, an empty folder of its own. What a call
needs beyond the site is made by its `prepare`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from tiny_models import make_contract, make_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class Call:
    """`adele COMMAND WORDS` ends with `code` because of `why`; `extra` is a library without which it cannot be tried."""

    command: str
    code: int
    why: str
    words: str
    prepare: Callable[[Path, Path], object] | None = None
    extra: str | None = None
    slow: bool = False

    @property
    def name(self) -> str:
        return f"{self.command}-{self.code}-{self.why}"


def write_volume(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)


def make_truth(shift: int = 0) -> np.ndarray:
    """Two boxes, classes 1 and 2, in slices 1 to 4 of a volume [16, 16, 6] (x, y, z)."""
    truth = np.zeros((16, 16, 6), np.uint8)
    truth[2 + shift : 8, 2:7, 1:5] = 1
    truth[9:14, 8:14, 1:5] = 2
    return truth


def fill_site(site: Path) -> None:
    """Images and masks `a`, `b`; spoilt copies; a model (an intensity is a class) and a broken one; a full and a damaged store."""
    for number, case in enumerate("ab"):
        truth = make_truth(number)
        noisy = truth.copy()
        noisy[7, :, 2:4] = 0
        tiny = np.zeros_like(truth)
        tiny[2:4, 2:4, 1:5] = 1  # of which nearly all would change
        write_volume(site / "images" / f"{case}.nii.gz", truth.astype(np.float32))
        write_volume(site / "truth" / f"{case}.nii.gz", truth)
        for folder, mask in (("masks", noisy), ("small", tiny), ("some", noisy), ("wrong", np.full_like(truth, 7))):
            write_volume(site / folder / f"{case}.nii.gz", mask)
    write_volume(site / "some" / "b.nii.gz", np.full((16, 16, 6), 7, np.uint8))
    for folder in ("cut", "cut_images"):  # the second file is damaged
        source = site / ("truth" if folder == "cut" else "images")
        shutil.copytree(source, site / folder)
        (site / folder / "b.nii.gz").write_bytes((source / "b.nii.gz").read_bytes()[:40])
    (site / "empty").mkdir()
    make_model(site / "model.onnx", make_contract())
    (site / "broken.onnx").write_bytes(b"no model")


def fill_stores(site: Path) -> None:
    """`store.zarr`, whole; `half.zarr`, of which case `b` is damaged; `lost.zarr`, of which both are."""
    from adelecli.pipeline.correction import correct

    correct(site / "masks", images=site / "images", out=site / "store.zarr", model=site / "model.onnx")
    for name, cases in (("half", "b"), ("lost", "ab")):
        shutil.copytree(site / "store.zarr", site / f"{name}.zarr")
        for case in cases:
            for chunk in (site / f"{name}.zarr" / case).rglob("c/**/*"):
                if chunk.is_file():
                    chunk.write_bytes(b"\0" * 8)


def spoil_names(site: Path, new: Path) -> None:
    """The masks of the site in a folder of their own, beside a `labels.json` that was cut short."""
    shutil.copytree(site / "masks", new / "masks")
    (new / "labels.json").write_text('{"0": "background", ')


def copy_store(name: str) -> Callable[[Path, Path], object]:
    return lambda site, new: shutil.copytree(site / f"{name}.zarr", new / "store.zarr")


def put_file(name: str) -> Callable[[Path, Path], object]:
    return lambda _, new: (new / name).write_text("somebody else's", encoding="utf-8")


def hold_store(site: Path, new: Path) -> AbstractContextManager[object]:
    """Another run has the store for as long as the call lasts."""
    from adelecli.store import locking

    copy_store("store")(site, new)
    return locking.hold_store(new / "store.zarr")


RUN = "-i {site}/images -m {site}/model.onnx -d cpu"
SETS = (
    "--set network.width=4 --set network.depth=2 --set network.norm='instance' --set optimiser.batch_size=4 "
    "--set optimiser.warmup_steps=0 --set optimiser.lr=0.01 --set data.empty_share=1.0 --set noise.enabled=false"
)
TRAIN = f"-o {{new}}/runs --epochs 1 -d cpu {SETS} --set data.val_share=0.5"
BENCH = f"-i {{site}}/images --val {{site}}/val.txt -o {{new}}/bench --epochs 1 --seeds 0 --methods noisy -d cpu {SETS} --noise affine"

CALLS = (
    Call("train", 0, "done", "{site}/masks -i {site}/images " + TRAIN, extra="torch"),
    Call("train", 2, "an unknown setting", "{site}/masks -o {new}/runs --set network.colour=red", extra="torch"),
    Call("train", 3, "some cases left out", "{site}/cut3 -i {site}/images3 " + TRAIN, extra="torch"),
    Call("train", 5, "no such device", "{site}/masks -i {site}/images -o {new}/runs -d cuda:99", extra="torch"),
    Call("train", 7, "no masks", "{site}/empty -o {new}/runs", extra="torch"),
    Call("train", 8, "the folder cannot be made", "{site}/masks -i {site}/images -o {new}/file/runs --epochs 1 -d cpu",
         put_file("file"), "torch"),
    Call("train", 8, "an address to write to", "{site}/masks -i {site}/images -o s3://bucket/runs --epochs 1 -d cpu", extra="torch"),
    Call("export", 0, "done", "{site}/runs/run -o {new}/m.onnx", extra="torch"),
    Call("export", 2, "a precision without a name", "{site}/runs/run -o {new}/m.onnx --precision fp8"),
    Call("export", 6, "no model to adopt", "--from-onnx {site}/broken.onnx --contract {site}/contract.toml -o {new}/m.onnx",
         extra="onnx"),
    Call("export", 7, "no such run", "{site}/runs/none -o {new}/m.onnx"),
    Call("export", 8, "the file is there", "{site}/runs/run -o {new}/m.onnx", put_file("m.onnx"), "torch"),
    Call("export", 8, "an address to write to", "{site}/runs/run -o s3://bucket/m.onnx", extra="torch"),
    Call("demo", 0, "done", "-o {new}/demo --cases 2 --test-cases 1 --epochs 1 -d cpu", extra="torch", slow=True),
    Call("demo", 2, "no cases", "-o {new}/demo --cases 0", extra="torch"),
    Call("demo", 5, "no such device", "-o {new}/demo --cases 2 --test-cases 1 --epochs 1 -d cuda:99", extra="torch"),
    Call("demo", 8, "the folder is not empty", "-o {new}", put_file("precious.nii"), "torch"),
    Call("demo", 8, "an address to write to", "-o s3://bucket/demo", extra="torch"),
    Call("check", 0, "all can be used", "{site}/masks " + RUN),
    Call("check", 2, "no such case named", "{site}/masks " + RUN + " --case a"),
    Call("check", 3, "some cannot be used", "{site}/some " + RUN),
    Call("check", 5, "no such device", "{site}/masks -i {site}/images -m {site}/model.onnx -d cuda:99"),
    Call("check", 6, "no model", "{site}/masks -i {site}/images -m {site}/broken.onnx -d cpu"),
    Call("check", 7, "none can be used", "{site}/wrong " + RUN),
    Call("check", 8, "an address to write to", "{site}/masks -o s3://bucket/c.zarr " + RUN),
    Call("correct", 0, "done", "{site}/masks -o {new}/c.zarr " + RUN),
    Call("correct", 2, "two ways to spread", "{site}/masks -o {new}/c.zarr --workers 2 --scheduler tls://x:1 " + RUN),
    Call("correct", 2, "a damaged labels.json", "{new}/masks -o {new}/c.zarr " + RUN, spoil_names),
    Call("correct", 3, "some cases failed", "{site}/some -o {new}/c.zarr " + RUN),
    Call("correct", 4, "some cases quarantined", "{site}/small -o {new}/c.zarr --constraint none --max-change 0.1 " + RUN),
    Call("correct", 5, "no such device", "{site}/masks -o {new}/c.zarr -i {site}/images -m {site}/model.onnx -d cuda:99"),
    Call("correct", 6, "no model", "{site}/masks -o {new}/c.zarr -i {site}/images -m {site}/broken.onnx -d cpu"),
    Call("correct", 7, "every case failed", "{site}/wrong -o {new}/c.zarr " + RUN),
    Call("correct", 8, "the store is there", "{site}/masks -o {new}/store.zarr " + RUN, copy_store("store")),
    Call("correct", 8, "an address to write to", "{site}/masks -o s3://bucket/c.zarr " + RUN),
    Call("predict", 0, "done", "{site}/images -o {new}/p.zarr -m {site}/model.onnx -d cpu"),
    Call("predict", 2, "the images twice", "{site}/images -i {site}/images -o {new}/p.zarr -m {site}/model.onnx"),
    Call("predict", 3, "some cases failed", "{site}/cut_images -o {new}/p.zarr -m {site}/model.onnx -d cpu"),
    Call("predict", 5, "no such device", "{site}/images -o {new}/p.zarr -m {site}/model.onnx -d cuda:99"),
    Call("predict", 6, "no model", "{site}/images -o {new}/p.zarr -m {site}/broken.onnx -d cpu"),
    Call("predict", 7, "no images", "{site}/empty -o {new}/p.zarr -m {site}/model.onnx -d cpu"),
    Call("predict", 8, "the store is there", "{site}/images -o {new}/store.zarr -m {site}/model.onnx", copy_store("store")),
    Call("predict", 8, "an address to write to", "{site}/images -o gs://bucket/p.zarr -m {site}/model.onnx"),
    Call("evaluate", 0, "all compared", "{site}/store.zarr {site}/truth"),
    Call("evaluate", 2, "no reference named", "{site}/store.zarr"),
    Call("evaluate", 3, "some could not be", "{site}/store.zarr {site}/cut"),
    Call("evaluate", 7, "no such folder", "{site}/store.zarr {site}/none"),
    Call("verify", 0, "whole", "{site}/store.zarr"),
    Call("verify", 2, "an unknown option", "{site}/store.zarr --deep"),
    Call("verify", 7, "no store", "{site}/masks"),
    Call("verify", 8, "a damaged array", "{site}/half.zarr"),
    Call("verify", 8, "another model", "{site}/store.zarr -m {site}/broken.onnx"),
    Call("revert", 0, "done", "{new}/store.zarr a", copy_store("store")),
    Call("revert", 2, "an unknown option", "{new}/store.zarr --undo", copy_store("store")),
    Call("revert", 3, "one case is damaged", "{new}/store.zarr", copy_store("half")),
    Call("revert", 7, "no such case", "{new}/store.zarr nobody", copy_store("store")),
    Call("revert", 8, "another run has the store", "{new}/store.zarr", hold_store),
    Call("info", 0, "told", "{site}/model.onnx"),
    Call("info", 0, "of a store", "{site}/store.zarr"),
    Call("info", 0, "of a run", "{site}/runs/run", extra="torch"),
    Call("info", 2, "nothing named", ""),
    Call("info", 6, "no model", "{site}/broken.onnx"),
    Call("info", 7, "no such file", "{site}/none"),
    Call("report", 0, "done", "{site}/store.zarr -o {new}/r.html"),
    Call("report", 0, "of a run", "{site}/runs/run -o {new}/r.html", extra="torch"),
    Call("report", 2, "an unknown option", "{site}/store.zarr --pdf"),
    Call("report", 7, "neither store nor run", "{site}/masks -o {new}/r.html"),
    Call("report", 8, "not a page of ours", "{site}/store.zarr -o {new}/r.html", put_file("r.html")),
    Call("report", 8, "an address to write to", "{site}/store.zarr -o s3://bucket/r.html"),
    Call("review", 0, "exported", "{site}/store.zarr --export {new}/d.csv", extra="starlette"),
    Call("review", 2, "a port without a number", "{site}/store.zarr --port many"),
    Call("review", 7, "no store", "{site}/masks --export {new}/d.csv", extra="starlette"),
    Call("review", 8, "the table cannot be written", "{site}/store.zarr --export {new}/none/d.csv", extra="starlette"),
    Call("review", 8, "an address to write to", "{site}/store.zarr --export s3://bucket/d.csv", extra="starlette"),
    Call("convert", 0, "done", "{site}/store.zarr -o {new}/out"),
    Call("convert", 2, "no such array", "{site}/store.zarr -o {new}/out --which all"),
    Call("convert", 3, "one case is damaged", "{site}/half.zarr -o {new}/out"),
    Call("convert", 7, "all cases are damaged", "{site}/lost.zarr -o {new}/out"),
    Call("convert", 8, "a file is there", "{site}/store.zarr -o {new}", put_file("a.nii.gz")),
    Call("convert", 8, "an address to write to", "{site}/store.zarr -o s3://bucket/out"),
    Call("corrupt", 0, "done", "{site}/truth -o {new}/noisy"),
    Call("corrupt", 2, "no such family", "{site}/truth -o {new}/noisy --noise hail"),
    Call("corrupt", 3, "one file is damaged", "{site}/cut -o {new}/noisy"),
    Call("corrupt", 7, "no masks", "{site}/empty -o {new}/noisy"),
    Call("corrupt", 8, "a file is there", "{site}/truth -o {new}", put_file("a.nii.gz")),
    Call("corrupt", 8, "an address to write to", "{site}/truth -o az://bucket/noisy"),
    Call("bench", 0, "done", "{site}/truth " + BENCH, extra="torch"),
    Call("bench", 2, "no such method", "{site}/truth -o {new}/bench --methods magic", extra="torch"),
    Call("bench", 5, "no such device", "{site}/truth " + BENCH.replace("-d cpu", "-d cuda:99"), extra="torch"),
    Call("bench", 7, "no masks", "{site}/empty -o {new}/bench", extra="torch"),
    Call("bench", 8, "the folder cannot be made", "{site}/truth " + BENCH.replace("{new}/bench", "{new}/file/bench"),
         put_file("file"), "torch"),
    Call("bench", 8, "an address to write to", "{site}/truth " + BENCH.replace("{new}/bench", "s3://bucket/bench"), extra="torch"),
)  # fmt: skip

INTERRUPTED = ("train", "demo", "correct", "predict", "bench")
"""Commands whose interruption (130) `test_signals.py` tries with real processes."""


def draw_table() -> str:
    """Command x exit code, and below it why each call ends so: what `docs/exit-codes.md` quotes."""
    commands = list(dict.fromkeys(call.command for call in CALLS))
    codes = [*sorted({call.code for call in CALLS}), 130]
    reached = {(call.command, call.code) for call in CALLS} | {(command, 130) for command in INTERRUPTED}
    lines = [f"| command | {' | '.join(map(str, codes))} |", f"|---|{'---|' * len(codes)}"]
    for command in commands:
        marks = ("x" if (command, code) in reached else "" for code in codes)
        lines.append(f"| `{command}` | {' | '.join(marks)} |".replace("|  |", "| |").replace("|  |", "| |"))
    lines += ["", "| command | code | tried with |", "|---|---|---|"]
    lines += [f"| `{call.command}` | {call.code} | {call.why} |" for call in CALLS]
    return "\n".join(lines) + "\n"
