"""What `train`, `export`, `demo`, `verify` and `info` tell a person when they are done (see `reports.py` for the others)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.cli.rendering import format_number, format_share, show_line, show_table, show_tree, simplify_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    import adelecli
    from adelecli.pipeline.checkup import CheckedCase
    from adelecli.pipeline.verification import Verification
    from adelecli.showcase.results import DemoResult
    from adelecli.training.exporter import ExportResult
    from adelecli.training.trainer import TrainResult

LISTED = 12
"""How many labels are listed before the others are only counted."""


def show_training(console: Console, result: TrainResult) -> None:
    """When memorisation of each class began, the last scores, and where the run lies."""
    last = result.history[-1]
    validation = last.get("val") or {}
    dice = validation.get("teacher", validation.get("student", {})).get("dice", [])
    rows = (
        (
            name,
            format_number(last["curve"][index]),
            format_number(dice[index] if index < len(dice) else None),
            *_onset(onset),
        )
        for index, (name, onset) in enumerate(result.onsets.items(), start=1)
    )
    headings = ("class", "IoU with the given labels", "validation Dice", "onset")
    show_table(console, f"After {len(result.history)} epochs", headings, rows)
    for name, reason in result.reasons.items():
        if result.onsets.get(name) is None:
            show_line(console, f"{name}: not corrected, because {reason}")
    for case, fault in result.left_out:
        show_line(console, f"left out: {case}: {fault}")
    show_line(console, f"run in {result.folder}; {result.seconds:.1f} s; next: adele export {result.folder}")


def _onset(epoch: int | None) -> tuple[str]:
    return ("-" if epoch is None else f"epoch {epoch}",)


def show_export(console: Console, result: ExportResult) -> None:
    """The file, its hash, and how closely it agrees with the trained network."""
    show_line(console, f"{result.path}: {result.size / 2**20:.1f} MB, sha256 {result.sha256}")
    show_tree(console, {"classes": [entry.name for entry in result.contract.classes], "parity": result.parity})
    measured = result.contract.validation
    if measured:
        rows = ((" ".join(one["scales"]), format_number(one["mean_dice"], 4)) for one in measured["ensembles"])
        title = f"Scales, on {measured['slices']} validation slices ({measured['labels']} labels)"
        show_table(console, title, ("scales", "mean Dice"), rows)


def show_verification(console: Console, verification: Verification) -> None:
    """Every finding, then the verdict."""
    rows = ((finding.case or "the store", finding.what, finding.detail) for finding in verification.findings)
    show_table(console, "Findings", ("case", "what", "detail"), rows)
    verdict = "whole" if not verification.findings else f"{len(verification.findings)} findings"
    extras = [f"{verification.reverted} reverted"] if verification.reverted else []
    extras += [f"{verification.sources} held to their source files"] if verification.sources else []
    examined = f"{verification.cases} cases examined" + (f" ({', '.join(extras)})" if extras else "")
    show_line(console, f"{examined}: {verdict}")


def show_checkup(console: Console, checkup: adelecli.Checkup) -> None:
    """The pairing, what is wrong or suspicious, the labels, and what a run would take."""
    rows = (
        (
            case.id,
            "x".join(map(str, reversed(case.shape))) or "-",
            "x".join(f"{size:.3g}" for size in reversed(case.spacing_mm or ())) or "-",
            case.axes or "-",
            f"{case.open_slices} of {case.slices}",
            _list_labels(list(case.labels)),
            _list_files(case),
        )
        for case in checkup.cases
    )
    show_table(console, "Pairing", ("case", "x, y, z", "mm", "axes", "slices to ask about", "labels", "files"), rows)
    for case in checkup.cases:
        if case.error is not None:
            show_line(console, f"failed: {case.id}: {case.error}")
        for concern in case.concerns:
            show_line(console, f"look at: {case.id}: {concern}")
    _show_labels(console, checkup)
    for notice in checkup.notices:
        show_line(console, f"note: {notice}")
    _show_estimate(console, checkup)


def _list_labels(labels: Sequence[str]) -> str:
    """Ids of labels; of many the first and the last, since an image taken for a mask holds hundreds."""
    if len(labels) > LISTED:
        return f"{', '.join(labels[: LISTED - 1])}, ..., {labels[-1]} ({len(labels)} labels)"
    return ", ".join(labels) or "-"


def _list_files(case: CheckedCase) -> str:
    """Names of the files; one that image and mask share is said once."""
    paths = (*case.images, *([] if case.mask is None else [case.mask]))
    return ", ".join(dict.fromkeys(path.rpartition("/")[2] for path in paths)) or "-"


def _show_labels(console: Console, checkup: adelecli.Checkup) -> None:
    """Voxels of each label; of those that have no name only the first few."""
    nameless = [number for number in checkup.labels if number not in checkup.names]
    hidden = set(nameless[LISTED:])
    counts = (
        (number, checkup.names.get(number, "-"), f"{count:,}")
        for number, count in checkup.labels.items()
        if number not in hidden
    )
    show_table(console, "Labels", ("id", "name", "voxels"), counts)
    if hidden:
        show_line(console, f"and {len(hidden)} more labels without a name, up to {nameless[-1]}")


def _show_estimate(console: Console, checkup: adelecli.Checkup) -> None:
    estimate, machinery = checkup.estimate, checkup.machinery
    cuda = f"for CUDA {machinery.cuda}" if machinery.cuda else "without CUDA"
    build = (
        f"onnxruntime {machinery.onnxruntime} ({', '.join(machinery.packages) or 'package not known'}), built {cuda}"
    )
    show_line(console, machinery.problem or build)
    if machinery.model is not None:
        time = "time not known" if estimate.seconds is None else f"about {estimate.seconds:,.0f} s"
        memory = "not known" if estimate.memory_mb is None else f"{estimate.memory_mb:,} MB"
        show_line(console, f"{machinery.model} on {machinery.device}: {time} in one process, memory {memory}")
    disk = f"disk about {estimate.disk_mb:,} MB, and {estimate.scratch_mb:,} MB while it runs; free {estimate.free_mb:,} MB"
    failed = sum(case.error is not None for case in checkup.cases)
    show_line(console, disk)
    show_line(console, f"{len(checkup.cases) - failed} cases can be used, {failed} cannot")


def show_reversion(console: Console, reversion: adelecli.Reversion) -> None:
    """The cases that got labels back, the errors, and what the audit trail will say."""
    rows = ((case.id, f"{case.voxels:,}") for case in reversion.cases if case.voxels)
    show_table(console, "Original labels given back", ("case", "voxels"), rows)
    for case in reversion.cases:
        if case.error is not None:
            show_line(console, f"failed: {case.id}: {case.error}")
    same = sum(case.error is None and not case.voxels for case in reversion.cases)
    changed = sum(case.voxels > 0 for case in reversion.cases)
    what = ", ".join(reversion.classes) or "all classes"
    why = f": {reversion.reason}" if reversion.reason else ""
    show_line(
        console, f"{changed} cases reverted ({what}), {same} had their original labels; by {reversion.actor}{why}"
    )


def show_description(console: Console, description: adelecli.Description) -> None:
    """Everything that the file says about itself, line by line."""
    show_tree(console, simplify_record(description))


def show_demo(console: Console, result: DemoResult) -> None:
    """The gain, in labels and on unseen patients, and where everything lies; of data alone only the latter."""
    if not result.labels:
        show_tree(console, {name: f"{result.folder}/{path}" for name, path in result.files.items()})
        show_line(
            console,
            f"{result.train_cases} cases in {result.folder}, masks spoilt to a mean IoU of {result.noise['mean_iou']}",
        )
        return
    strength = f"mean IoU with the truth {result.noise['mean_iou']}"
    labels = (
        (
            row.name,
            *map(format_share, (row.error_before, row.error_after, row.precision, row.recall)),
            format_number(row.broken_per_fixed, 2),
            *_onset(row.onset),
        )
        for row in result.labels
    )
    title = f"Labels of {result.train_cases} patients, spoilt to a {strength}"
    changes = ("error before", "after", "precision", "recall", "broken per fixed", "onset")
    show_table(console, title, ("training labels", *changes), labels)
    organs = tuple(result.methods[0].organ_dice) if result.methods else ()
    scores = (
        (
            row.name,
            *map(format_number, (row.dice_last, row.dice_best, row.iou_last, row.iou_best)),
            format_share(row.gap_recovered),
            *map(format_number, map(row.organ_dice.get, organs)),
        )
        for row in result.methods
    )
    means = ("Dice, last 5", "Dice, best", "IoU, last 5", "IoU, best", "gap recovered")
    show_table(console, f"{result.test_cases} unseen patients, true labels", ("training", *means, *organs), scores)
    show_line(console, f"the exported model on the unseen patients: Dice {format_number(result.exported_dice)}")
    show_tree(console, {name: f"{result.folder}/{path}" for name, path in result.files.items()})
    show_line(console, f"pictures: {', '.join(f'{result.folder}/{path}' for path in result.pictures)}")
    show_line(console, f"{result.seconds.get('total', 0.0):.0f} s")
