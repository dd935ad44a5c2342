"""How well the order of the review queue follows the true label error, and what else could have ordered it.

    python benchmarks/triage.py DATA --work /tmp/triage --name hippocampus [--model FILE] [--split PART] [--cases N [--others]] [--drop ID]

DATA holds ``images/``, ``masks/`` (taken to be right) and ``labels.json``. The masks are made noisy once for each of ``--noises`` and
``--seeds``; a network that has seen noisy labels alone (``--model``, or one trained here on the first noise and seed) judges them, and
the queue's score is held against the true error: the share of the foreground of either that is labelled wrongly. Measured twice: with
every case noisy, and with a fifth of them. Beside it stand the score as it was before, the parts that a score could have, each alone, two
other sums with the jumps, and cleanlab's image score on the same predictions. ``--others``: ``--cases`` of those that ``--cases`` alone
leaves out, so that the network of another run has seen nothing of them. Results go to ``benchmarks/results/triage.json``, under ``--name``,
beside those of other noises with the same model.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from scipy.stats import spearmanr
from triage_candidates import Answer, measure_candidates

import adelecli
from adelecli.labels.outline import choose_best, combine_outline
from adelecli.labels.triage import ClassEvidence, Evidence, find_gaps, judge_cases
from adelecli.pipeline.evidence import ConfidenceSummary, JumpCount
from adelecli.runtime.models import open_model
from adelecli.runtime.preparation import (
    fit_normaliser,
    in_plane_spacing,
    move_axis,
    pad_image,
    plan_size,
    resize_image,
)
from adelecli.volumes.cases import pair_cases
from adelecli.volumes.reading import read_image, read_labels

if TYPE_CHECKING:
    from adelecli.runtime.contract import Contract

RESULTS = Path(__file__).parent / "results" / "triage.json"


@dataclass(frozen=True)
class Row:
    """A case under one noise: its true error, what the product's record says of it, and candidates that could order it."""

    error: float
    evidence: Evidence
    candidates: dict[str, float]


def main() -> None:
    """Make the masks, train where needed, judge every noise and seed, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--noises", nargs="+", default=["adele-de", "omit", "swap", "annotator"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--split", help="only the cases of this part of split.csv")
    parser.add_argument("--cases", type=int, help="as many cases, evenly spread")
    parser.add_argument("--others", action="store_true", help="as many of the other cases")
    parser.add_argument("--drop", type=int, nargs="*", default=[], help="label ids that become background")
    parser.add_argument(
        "--outline",
        type=float,
        default=0.0,
        help="judge by predictions averaged along the drawn outline, with this weight",
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    begin = time.perf_counter()
    ids = make_clean(options)
    model = options.model or learn(options)
    answers = ask_network(options, model, ids)
    truth = {case: read_slices(options.work / "clean", case, model) for case in ids}
    clean = judge(options, model, "clean", truth, answers)
    result: dict[str, Any] = {"cases": len(ids), "model": describe_model(options, model)}
    result |= {"outline": options.outline, "noises": {}}
    for noise in options.noises:
        for seed in options.seeds:
            folder = options.work / f"{noise}-{seed}"
            corrupt(options, folder, noise, seed)
            rows = judge(options, model, folder.name, truth, answers)
            few = mix(rows, clean, seed)
            result["noises"][f"{noise} {seed}"] = {"every": score(rows), "fifth": score(few)}
            print(noise, seed, json.dumps(result["noises"][f"{noise} {seed}"]), flush=True)
    result["seconds"] = round(time.perf_counter() - begin)
    written = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    earlier = written.get(options.name, {})
    if earlier.get("model") == result["model"]:  # noises may be measured in runs of their own
        result["noises"] = earlier["noises"] | result["noises"]
        result["seconds"] += earlier["seconds"]
    RESULTS.write_text(json.dumps(written | {options.name: result}, indent=1) + "\n")


def make_clean(options: argparse.Namespace) -> list[str]:
    """``clean/`` below the work folder: the masks of the chosen cases, without the dropped classes; their ids."""
    target = options.work / "clean"
    target.mkdir(parents=True, exist_ok=True)
    files = sorted((options.data / "masks").glob("*.nii.gz"))
    if options.split:
        with (options.data / "split.csv").open() as table:
            chosen = {
                row["name"].removesuffix(".nii.gz") for row in csv.DictReader(table) if row["split"] == options.split
            }
        files = [file for file in files if file.name.removesuffix(".nii.gz") in chosen]
    if options.cases:
        spread = take_spread(files, options.cases)
        others = [file for file in files if file not in spread]
        files = take_spread(others, options.cases) if options.others else spread
    for file in files:
        mask = nib.load(file)
        array = np.asarray(mask.dataobj)
        array = np.where(np.isin(array, options.drop), 0, array).astype(np.uint8)
        nib.Nifti1Image(array, mask.affine).to_filename(target / file.name)
    names = json.loads((options.data / "labels.json").read_text())
    kept = {key: name for key, name in names.items() if int(key) not in options.drop}
    (options.work / "labels.json").write_text(json.dumps(kept))
    return [file.name.removesuffix(".nii.gz") for file in files]


def take_spread(files: list[Path], count: int) -> list[Path]:
    """``count`` of the files, evenly spread."""
    return [files[at] for at in np.linspace(0, len(files) - 1, count).round().astype(int)]


def corrupt(options: argparse.Namespace, folder: Path, noise: str, seed: int) -> None:
    if not (folder / "corruption.json").exists():
        adelecli.corrupt(options.work / "clean", out=folder, noise=noise, seed=seed)


def learn(options: argparse.Namespace) -> Path:
    """A network from the labels of the first noise and seed; all of its classes may be corrected, so that all are asked about."""
    target = options.work / "weights" / "adele.onnx"
    if target.exists():
        return target
    folder = options.work / f"{options.noises[0]}-{options.seeds[0]}"
    corrupt(options, folder, options.noises[0], options.seeds[0])
    run = adelecli.train(
        folder,
        images=options.data / "images",
        out=options.work / "runs",
        epochs=options.epochs,
        set=options.set,
        device="cpu",
    )
    told = {"onsets": run.onsets, "seconds": round(sum(epoch["seconds"] for epoch in run.history))}
    (options.work / "training.json").write_text(json.dumps(told))
    return adelecli.export(run.folder, out=target, triggered=list(run.onsets)).path


def describe_model(options: argparse.Namespace, model: Path) -> dict[str, Any]:
    if options.model:
        opened = open_model(model, "cpu", threads=1)
        return {"file": model.name, "sha256": opened.sha256, "run": opened.contract.name}
    learnt = f"{options.noises[0]} {options.seeds[0]}"
    told = json.loads((options.work / "training.json").read_text())
    return {"learnt": learnt, "epochs": options.epochs, "set": options.set, **told}


def ask_network(options: argparse.Namespace, model: Path, ids: list[str]) -> dict[str, Answer]:
    """The probabilities of every case, on the slices that the contract cuts; they do not depend on the noise."""
    opened = open_model(model, "cpu", threads=1)
    grid = opened.contract.grid
    answers = {}
    for case in pair_cases(options.work / "clean", options.data / "images").cases:
        if case.id not in ids:
            continue
        volume = read_image(case)
        image = volume.geometry.to_canonical(volume.array)
        spacing = volume.geometry.canonical_spacing
        normalise = fit_normaliser(image, opened.contract.channels)
        slices = move_axis(image, grid.axis)
        shape = slices.shape[-2:]
        size = plan_size(*shape, in_plane_spacing(spacing, grid.axis), grid)
        planes = []
        for index in range(slices.shape[1]):
            small = resize_image(normalise(slices[:, index]), size)[None]
            one = opened.run_probabilities(pad_image(small, grid.canvas))[0][..., : size[0], : size[1]]
            planes.append(resize_image(one, shape).astype(np.float16))
        order = ["zyx".index(grid.axis), *(at for at, name in enumerate("zyx") if name != grid.axis)]
        answers[case.id] = Answer(np.stack(planes, axis=1), tuple(spacing[at] for at in order))
    return answers


@cache
def read_contract(model: Path) -> Contract:
    return open_model(model, "cpu", threads=1).contract


def read_slices(folder: Path, case: str, model: Path) -> Any:
    """Class indices ``[S, H, W]`` of a mask, cut as the model cuts; ids and indices are the same where ids run from 0."""
    contract = read_contract(model)
    labels = read_labels(folder / f"{case}.nii.gz")
    canonical = labels.geometry.to_canonical(labels.array)
    indices = np.zeros(canonical.shape, np.int64)
    for index, entry in enumerate(contract.classes):
        indices[canonical == entry.id] = index
    return move_axis(indices, contract.grid.axis)


def judge(
    options: argparse.Namespace, model: Path, name: str, truth: dict[str, Any], answers: dict[str, Answer]
) -> dict[str, Row]:
    """Hold what `adele correct` would record of the masks of ``name`` against the truth.

    The network's answers do not depend on the masks, so they are asked for once and not once for each noise.
    """
    memorised = find_memorised(options)
    rows = {}
    for case, right in truth.items():
        given, answer = read_slices(options.work / name, case, model), answers[case]
        held = np.count_nonzero((given > 0) | (right > 0))
        error = np.count_nonzero(given != right) / max(held, 1)
        rows[case] = Row(error, weigh(given, answer, options.outline), measure_candidates(given, answer, memorised))
    return rows


def weigh(given: Any, answer: Answer, outline: float) -> Evidence:
    """The evidence that the record of the case would hold: slices without any label are not asked about."""
    summary, jumps = ConfidenceSummary(given.shape, "z", None), JumpCount()
    for index, ours in enumerate(given):
        if ours.any():
            drawn = ours.astype(np.uint8)
            own = answer.probabilities[:, index].astype(np.float32)
            label, sure = choose_best(combine_outline(own, drawn, outline))
            summary.add(sure, (ours > 0) | (label > 0), ours != label)
            jumps.add(index, drawn, label)
    areas = np.count_nonzero(given, axis=(1, 2))
    slices, missing = find_gaps(areas)
    counts = [np.count_nonzero(given == index) for index in range(1, len(answer.probabilities))]
    return Evidence(
        classes=tuple(ClassEvidence(str(index), count, count, 0, 0) for index, count in enumerate(counts, start=1)),
        disagreement=summary.disagreement(missing),
        confidence=summary.mean,
        gap_slices=slices,
        jumps=jumps.measure_excess(areas),
        far_jumps=jumps.measure_excess(areas, distance=2),
    )


def find_memorised(options: argparse.Namespace) -> list[int]:
    """The classes whose labels the network had begun to memorise when its training ended; none where it was trained elsewhere."""
    onsets = {} if options.model else json.loads((options.work / "training.json").read_text())["onsets"]
    return [index for index, epoch in enumerate(onsets.values(), start=1) if epoch is not None]


def mix(rows: dict[str, Row], clean: dict[str, Row], seed: int) -> dict[str, Row]:
    """A fifth of the cases noisy, the others as they were."""
    ids = sorted(rows)
    picked = set(np.random.default_rng(seed).choice(ids, round(0.2 * len(ids)), replace=False))
    return {case: (rows if case in picked else clean)[case] for case in ids}


def score(rows: dict[str, Row]) -> dict[str, Any]:
    """Spearman with the true error, and the error found in the first fifth against a random order, per way to order."""
    cases = list(rows.values())
    errors = np.array([row.error for row in cases])
    orders = {"queue": np.array([verdict.score for verdict in judge_cases([row.evidence for row in cases])])}
    orders["confident disagreement"] = np.array([row.evidence.disagreement or 0.0 for row in cases])
    orders |= {name: np.array([row.candidates[name] for row in cases]) for name in cases[0].candidates}
    jumps = np.array([max(row.evidence.jumpiness or 0.0, 0.0) for row in cases])
    orders["regret and jumps"] = orders["regret"] + jumps
    orders["confident disagreement and jumps"] = orders["confident disagreement"] + jumps
    table = {"label error": round(float(errors.mean()), 4), "perfect": round(find_early(errors, errors), 3)}
    for name, values in orders.items():
        rank = float(spearmanr(errors, values)[0]) if np.ptp(values) else 0.0
        table[name] = [round(rank, 3), round(find_early(errors, values), 3)]
    return table


def find_early(errors: Any, values: Any) -> float:
    """The share of all errors in the first fifth when the highest of ``values`` come first, in times of a random order's."""
    first = round(0.2 * len(errors))
    found = errors[np.argsort(-values, kind="stable")[:first]].sum() / errors.sum()
    return float(found / (first / len(errors)))


if __name__ == "__main__":
    main()
