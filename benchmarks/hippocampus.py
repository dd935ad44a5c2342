"""The main job on real volumes: how much label error is removed, and what the network is worth, against clean masks.

    python benchmarks/hippocampus.py DATA --seed 0 --out /tmp/hippocampus [--epochs N] [--set key=value ...]

DATA is the Medical Segmentation Decathlon hippocampus set as volumes: ``images/``, ``masks/``, ``labels.json``, ``split.csv``. The
training masks get ``adele-de`` noise with k in {1..5}; the validation masks stay clean and are never trained on. Baseline and ADELE
get equal steps. Writes ``benchmarks/results/hippocampus-seed<N>.json``. Both trainings use every core; run nothing beside them.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from statistics import mean

import adelecli

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the whole protocol for one seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--name", default="hippocampus")
    options = parser.parse_args()
    folder = options.out / f"seed{options.seed}"
    noise = read_noise(folder) if (folder / "val.txt").exists() else make_masks(options.data, folder, options.seed)
    result: dict[str, object] = {
        "seed": options.seed,
        "noise": noise,
        "settings": options.set,
    }
    for name in ("adele", "baseline"):
        result[name] = learn(name, options, folder)
    runs = {name: folder / "runs" / result[name]["run"] for name in ("adele", "baseline")}  # type: ignore[index]
    result["export"], result["correct"], result["labels"] = clean(options, folder, runs["adele"])
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{options.name}-seed{options.seed}.json"
    target.write_text(json.dumps(result, indent=1, default=str) + "\n")
    print(json.dumps(result, indent=1, default=str))


def read_noise(folder: Path) -> dict[str, object]:
    """The measures that `adele corrupt` left beside the noisy masks."""
    measured = json.loads((folder / "noisy" / "corruption.json").read_text())
    return {key: measured[key] for key in ("noise", "mean_iou", "label_error")}


def make_masks(data: Path, folder: Path, seed: int) -> dict[str, object]:
    """``noisy/``: corrupted training masks; ``masks/``: those and the clean validation masks; ``val.txt``."""
    with (data / "split.csv").open() as file:
        split = {row["name"]: row["split"] for row in csv.DictReader(file)}
    train = folder / "train"
    train.mkdir(parents=True)
    held = [name for name, part in split.items() if part == "val" and (data / "masks" / name).exists()]
    for name in (path.name for path in (data / "masks").glob("*.nii.gz")):
        if name not in held:
            shutil.copy(data / "masks" / name, train / name)
    adelecli.corrupt(train, out=folder / "noisy", noise="adele-de", k="1-5", seed=seed)
    shutil.copytree(folder / "noisy", folder / "masks")
    for name in held:
        shutil.copy(data / "masks" / name, folder / "masks" / name)
    shutil.copy(data / "labels.json", folder / "labels.json")
    (folder / "val.txt").write_text("".join(name.removesuffix(".nii.gz") + "\n" for name in held))
    return read_noise(folder)


def learn(name: str, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Train once; scores on the validation cases of the network and of its moving average."""
    begin = time.perf_counter()
    stopped = sorted((folder / "runs").glob(f"*-{name}"))
    if stopped:  # a stopped benchmark goes on where it was; the run is the same, bit for bit
        run = adelecli.train(resume=stopped[-1], progress=report)
        return describe(run, time.perf_counter() - begin)
    run = adelecli.train(
        folder / "masks",
        images=options.data / "images",
        clean=options.data / "masks",
        val=folder / "val.txt",
        out=folder / "runs",
        name=name,
        baseline=name == "baseline",
        epochs=options.epochs,
        seed=options.seed,
        set=options.set,
        progress=report,
    )
    return describe(run, time.perf_counter() - begin)


def describe(run: adelecli.TrainResult, seconds: float) -> dict[str, object]:
    """What a training was worth; ``seconds`` is of this call, ``seconds_per_epoch`` of every epoch."""
    return {
        "run": run.folder.name,
        "seconds": round(seconds),
        "seconds_per_epoch": [record["seconds"] for record in run.history],
        "onsets": run.onsets,
        "student": summarise([record["val"]["student"] for record in run.history]),
        "teacher": summarise([record["val"]["teacher"] for record in run.history]),
        "shown_label_error": [record["label_error"] for record in run.history],
    }


def summarise(scores: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Best, last and mean of the last five epochs, of the mean foreground Dice and IoU."""
    return {
        key: {
            "best": round(max(values), 4),
            "last": round(values[-1], 4),
            "last_five": round(mean(values[-5:]), 4),
        }
        for key in ("mean_dice", "mean_iou")
        for values in [[score[key] for score in scores]]
    }


def clean(options: argparse.Namespace, folder: Path, run: Path) -> tuple[object, object, object]:
    """Export, correct all corrupted training masks, and measure the labels against the truth."""
    exported = adelecli.export(run, out=folder / "weights" / "adele.onnx")
    begin = time.perf_counter()
    report = adelecli.correct(
        folder / "noisy",
        out=folder / "cleaned.zarr",
        images=options.data / "images",
        model=exported.path,
    )
    seconds = time.perf_counter() - begin
    scores = adelecli.evaluate(folder / "cleaned.zarr", folder / "train")
    statuses = {status: report.count(status) for status in ("corrected", "unchanged", "quarantined", "failed")}
    return (
        {"seconds": exported.seconds, "parity": exported.parity, "bytes": exported.size},
        {"seconds": round(seconds, 1), "cases": statuses, "exit_code": report.exit_code},
        read_error(scores.label_error),
    )


def read_error(error: object) -> dict[str, object] | None:
    """A label error record as plain values."""
    import msgspec

    return None if error is None else msgspec.to_builtins(error)


def report(event: adelecli.Progress) -> None:
    """One line an epoch."""
    if event.stage == "train":
        detail = event.detail
        print(
            event.done,
            detail["losses"],
            detail["onset"],
            detail["val"]["teacher"]["mean_iou"],
            detail["seconds"],
            flush=True,
        )  # type: ignore[index]


if __name__ == "__main__":
    main()
