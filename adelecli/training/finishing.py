"""The end of a run: all training labels corrected once more, samples for the parity proof, plots, the mark "finished"."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from adelecli.labels.correction import Change, add_changes, any_changed, count_changes
from adelecli.labels.overlap import label_error
from adelecli.progress import Progress
from adelecli.training import runfolder
from adelecli.training.caching import restore_labels
from adelecli.training.dataset import spread_rows
from adelecli.training.keeping import open_kept
from adelecli.training.loop import Experiment, correction_rule, describe_error, predictor
from adelecli.training.onsets import find_onsets
from adelecli.training.relabelling import correct_rows

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.labels.excess import ClassNoise
    from adelecli.training.checkpoint import Learner
    from adelecli.training.plan import RunPlan

SAMPLES = 8
VAL_SAMPLES = 24


def explain_onsets(learner: Learner, experiment: Experiment, plan: RunPlan) -> dict[str, str]:
    """Why each foreground class did or did not trigger, or is not corrected although it did."""
    onsets = find_onsets(learner, experiment)
    reasons = {name: onset.reason for name, onset in list(zip(plan.survey.table.names, onsets, strict=True))[1:]}
    return reasons | {name: f"{reasons[name]}; {why}" for name, why in _find_clean(experiment, plan).items()}


def _find_clean(experiment: Experiment, plan: RunPlan) -> dict[str, str]:
    """The foreground classes whose labels look clean, each with the figures that say so."""
    noise = experiment.noise
    if noise is None:
        return {}
    lacking = Counter(omission.index for omission in noise.omitted)
    return {
        plan.survey.table.names[index]: _tell_why(entry) + _tell_omissions(lacking[index])
        for index, entry in enumerate(noise.classes, 1)
        if index not in noise.noisy_classes
    }


def _tell_omissions(cases: int) -> str:
    """A class that looks clean where it is drawn may have been left out elsewhere."""
    what = "1 case that lacks it gets" if cases == 1 else f"{cases} cases that lack it get"
    return f"; {what} it back where it is plainly seen" if cases else ""


def _tell_why(entry: ClassNoise) -> str:
    if not entry.judged and math.isnan(entry.network):
        return "its labels cannot be judged: neither of two networks finds it"
    if not entry.judged:
        return f"its labels cannot be judged: two networks disagree by {entry.network:.3f}"
    return (
        f"labels look clean: they disagree by {entry.disagreement:.3f} where honest ones would by {entry.expected:.3f}"
    )


def finish_run(folder: Path, learner: Learner, experiment: Experiment, plan: RunPlan) -> None:
    """Write ``labels.zarr``, ``samples.safetensors`` and ``plots/``, and mark the run as finished."""
    onsets = find_onsets(learner, experiment)
    names = plan.survey.table.names
    for name, onset in list(zip(names, onsets, strict=True))[1:]:
        if not onset.triggered and experiment.settings.correction.enabled:
            experiment.progress(Progress("finish", notice=f"class {name} never triggered: {onset.reason}"))
    for name, why in _find_clean(experiment, plan).items():
        experiment.progress(Progress("finish", notice=f"class {name} is not corrected: {why}"))
    labels = None
    if experiment.settings.correction.enabled:
        labels = write_corrected_labels(folder, learner, experiment, plan)
        experiment.progress(Progress("finish", notice=_tell_labels(labels)))
    save_samples(folder, experiment)
    draw_plots(folder, learner, experiment, plan)
    state = {
        "epoch": learner.epoch,
        "finished": True,
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "onset": {name: onset.epoch for name, onset in zip(names, onsets, strict=True)},
        "reasons": explain_onsets(learner, experiment, plan),
        "labels": labels,
    }
    runfolder.write_json(folder / "state.json", state)


def save_samples(folder: Path, experiment: Experiment) -> None:
    """A few real slices ``[n, C, H, W]``, spread over the data, so that an export can be proved and measured on them.

    Those of validation cases come with their labels ``[n, H, W]``: ``val_clean`` where true ones are known, else ``val_given``.
    """
    slices = experiment.slices
    rows = np.flatnonzero(slices.table["foreground"])
    rows = rows[np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).astype(np.intp)]
    tensors = {"image": np.array(slices.images[rows])}
    held_out = spread_rows(slices, VAL_SAMPLES)
    if len(held_out):
        name, labels = ("val_given", slices.labels) if slices.clean is None else ("val_clean", slices.clean)
        tensors |= {"val_image": np.array(slices.images[held_out]), name: np.array(labels[held_out])}
    runfolder.replace_file(folder / "samples.safetensors", lambda beside: save_file(tensors, beside))


def write_corrected_labels(folder: Path, learner: Learner, experiment: Experiment, plan: RunPlan) -> dict[str, Any]:
    """``labels.zarr``: every training case's original and corrected labels on its source grid, with the change map.

    Returns what was done to them: ``cases``, how many of them ``corrected``, pixels of the network's grid ``added`` and ``removed`` per
    class, and the label ``error`` before and after where clean labels are known.
    """
    from adelecli.training.labelstore import publish_labels

    slices, rule = experiment.slices, correction_rule(learner, experiment)
    model = experiment.ensemble(predictor(learner, experiment.settings))
    training = [i for i, case in enumerate(slices.case_ids) if case not in slices.val_cases]
    target = folder / "labels.zarr"
    if target.exists():  # a run stopped right here before: the store is a function of the checkpoint, so make it anew
        shutil.rmtree(target)
    counts, corrected_cases, errors = (Change(),) * experiment.classes, 0, []
    with publish_labels(target, plan) as publish:
        for done, case in enumerate(training, 1):
            rows = slices.rows_of(case)
            before = np.array(slices.labels[rows])
            after = before
            if experiment.settings.correction.outlives_epoch:
                after = np.array(open_kept(learner, experiment)[rows])
            elif rule is not None:
                guard = experiment.settings.correction.guard
                after, _ = correct_rows(model, slices, rows, rule, guard=guard, device=experiment.device)
            height, width = (int(slices.table[name][rows[0]]) for name in ("height", "width"))
            found = count_changes(before, after, experiment.classes)
            counts = add_changes(counts, found)
            corrected_cases += any_changed(found)
            if slices.clean is not None:
                errors.append(label_error(before, slices.clean[rows], after, n_classes=experiment.classes).overall)
            facts = plan.survey.facts[case]
            assert facts.case.mask is not None
            part = (slice(None), slice(height), slice(width))
            original, corrected, geometry = restore_labels(plan.survey, facts, before[part], after[part])
            publish(facts.case.id, facts.case.mask, original, corrected, geometry)
            experiment.progress(Progress("finish", done, len(training), facts.case.id))
    return {
        "cases": len(training),
        "corrected": corrected_cases,
        "added": [change.added for change in counts],
        "removed": [change.removed for change in counts],
        "error": describe_error(sum(errors[1:], start=errors[0])) if errors else None,
    }


def _tell_labels(labels: dict[str, Any]) -> str:
    text = f"labels of {labels['corrected']} of {labels['cases']} training cases corrected"
    error = labels["error"]
    if error is None or error["before"] is None or error["after"] is None:
        return text
    return f"{text}; label error {error['before']:.3f} -> {error['after']:.3f}"


def draw_plots(folder: Path, learner: Learner, experiment: Experiment, plan: RunPlan) -> None:
    """``plots/``: the curves with fit and onset, and the learning dynamics where clean labels are known."""
    from adelecli.reporting.plots import draw_run_plots

    draw_run_plots(folder / "plots", learner.history, plan.survey.table.names, experiment.settings.onset)
