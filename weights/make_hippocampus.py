"""How the model that comes with the package was made: a small network for hippocampus MR volumes, from clean labels.

    python weights/make_hippocampus.py DATA --work /tmp/hippocampus

DATA is the Medical Segmentation Decathlon hippocampus set as volumes: ``images/``, ``masks/``, ``labels.json``, ``split.csv``. The
network learns from the clean masks of the train split and is measured on those of the validation split, on which nothing but the
threshold was chosen; the test split is not read. Writes ``hippocampus.onnx``, its card and its entry in ``registry.toml`` beside this file.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

import adelecli

LICENCE = "CC BY-SA 4.0"
SOURCE = "Medical Segmentation Decathlon, Task04 Hippocampus"
LARGEST = 4_000_000
SETTINGS = (
    "network.width=16",
    "correction.tau=0.6",
    "correction.outline=0.75",
    "augment.brightness=0.1",
    "augment.contrast=0.1",
    "augment.noise=0.05",
)
NOISE, NOISE_K = "adele-de", "1-5"


def main() -> None:
    """Train, export, measure, write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for the run and what is measured")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("hippocampus.onnx"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="a setting that outranks the recipe's")
    make(parser.parse_args())


def make(options: argparse.Namespace) -> adelecli.ExportResult:
    """The whole recipe; ``options`` as the command line has them."""
    held = split_masks(options.data, options.work)
    run = adelecli.train(
        options.work / "masks",
        images=options.data / "images",
        val=options.work / "val.txt",
        out=options.work / "runs",
        name="hippocampus",
        baseline=True,  # the labels are clean: there is no noise to find, and one scale is enough
        epochs=options.epochs,
        seed=options.seed,
        set=(*SETTINGS, *options.set),
        progress=tell,
    )
    exported = adelecli.export(
        run.folder,
        out=options.out,
        name="hippocampus",
        licence=LICENCE,
        triggered=list(run.onsets),  # learnt from clean labels, so any class of other labels may be corrected
        overwrite=True,
    )
    if exported.size > LARGEST:
        raise SystemExit(f"{exported.path} has {exported.size} bytes, more than {LARGEST}")
    scores, noise, errors = measure(options, held, exported.path)
    card = format_card(exported, run, (scores, noise, errors), len(held))
    exported.path.with_suffix(".md").write_text(card, encoding="utf-8")
    registry = exported.path.with_name("registry.toml")
    entries = tomllib.loads(registry.read_text(encoding="utf-8"))
    entries[exported.path.stem]["source"] = SOURCE
    registry.write_text(tomli_w.dumps(entries), encoding="utf-8")
    return exported


def split_masks(data: Path, work: Path) -> list[str]:
    """``masks/`` (train and validation) and ``clean/`` (validation alone) below ``work``, and ``val.txt``; the validation ids."""
    with (data / "split.csv").open(encoding="utf-8") as file:
        split = {row["name"]: row["split"] for row in csv.DictReader(file)}
    for folder in ("masks", "clean"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    held = []
    for name, part in sorted(split.items()):
        mask = data / "masks" / name
        if part not in {"train", "val"} or not mask.exists():
            continue
        shutil.copyfile(mask, work / "masks" / name)
        if part == "val":
            shutil.copyfile(mask, work / "clean" / name)
            held.append(name.removesuffix(".nii.gz"))
    shutil.copyfile(data / "labels.json", work / "labels.json")
    (work / "val.txt").write_text("".join(f"{case}\n" for case in held), encoding="utf-8")
    return held


def measure(options: argparse.Namespace, held: list[str], model: Path) -> tuple[Any, Any, Any]:
    """Scores of the exported file on the validation cases; the noise put on their masks; label error before and after."""
    images, work = options.data / "images", options.work
    common: dict[str, Any] = {"model": model, "device": "cpu", "overwrite": True}
    adelecli.predict(images, out=work / "predicted.zarr", cases=held, **common)
    scores = adelecli.evaluate(work / "predicted.zarr", work / "clean")
    noise = adelecli.corrupt(
        work / "clean", out=work / "noisy", noise=NOISE, k=NOISE_K, seed=options.seed, overwrite=True
    )
    adelecli.correct(work / "noisy", out=work / "corrected.zarr", images=images, **common)
    errors = adelecli.evaluate(work / "corrected.zarr", work / "clean").label_error
    return scores, noise, errors


def format_card(
    exported: adelecli.ExportResult, run: adelecli.TrainResult, measured: tuple[Any, Any, Any], cases: int
) -> str:
    """The model card: data, scores on validation, limits."""
    scores, noise, errors = measured
    contract = exported.contract
    rows = "\n".join(
        f"| {c.id} | {c.name} | {show(c.dice)} | {show(c.iou)} | {show(c.hd95, 2)} | {show(c.assd, 2)} |"
        for c in scores.classes
    )
    difference = contract.parity["max_probability_difference"]
    return f"""# Model card: {exported.path.stem}

A small 2D U-Net that outlines the anterior and posterior hippocampus in T1-weighted MR volumes that were cropped around it. It comes
with the package so that `adele correct --model hippocampus` can be tried at once. **Not for clinical use; not a medical device.**

* File: `{exported.path.name}`, {exported.size / 1e6:.2f} MB, sha256 `{exported.sha256}`
* Licence of the weights: {LICENCE}, as that of the data
* Training data: {SOURCE} ({LICENCE}), the train split; labels as published, taken to be clean; fingerprint `{contract.run["data"]}`
* Recipe: `weights/make_hippocampus.py`, {len(run.history)} epochs, seed {contract.run["seed"]}; last weights, which were
  not chosen on validation
* Thresholds: a label changes where the network's average along the drawn outline is surer than {contract.classes[1].tau:g}
  (of .5, .6 and .7 the one that suited the spoilt masks below best); all classes may change, because the network has seen no noise
* Proved against the trained network on {contract.parity["inputs"]} inputs: probabilities differ by at most {difference:.2g}

## Measured on the {cases} volumes of the validation split

Means over the volumes, distances in mm:

| id | class | Dice | IoU | HD95 | ASSD |
|---|---|---|---|---|---|
{rows}

Masks of the same volumes, spoilt with `{NOISE}` noise (k {NOISE_K}, mean IoU with the truth {show(noise.mean_iou)}) and corrected:
label error {show(errors.error_before)} before, {show(errors.error_after)} after; precision of the changes {show(errors.precision)},
recall {show(errors.recall)}.

## Limits

* Left and right hippocampus of one person may stand on both sides of the split (the data name no patients), so the scores may be
  better than on new people.
* Volumes of about 35 x 50 x 36 voxels of 1 mm around one hippocampus: it has never seen a whole head, another contrast, another
  species of noise than scanners make, or a disease that changes the shape much.
* Masks that follow another protocol would be "corrected" towards that of the training labels.
"""


def show(value: float | None, digits: int = 4) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def tell(event: adelecli.Progress) -> None:
    """One line an epoch."""
    if event.stage == "train":
        print(event.done, event.detail["losses"], event.detail["seconds"], flush=True)


if __name__ == "__main__":
    main()
