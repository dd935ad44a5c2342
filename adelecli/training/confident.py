"""The labels of a finished run, fixed once by confident learning: the rival that corrects from outside the training.

The network is the run's moving average and the cases are those it was trained on, so memorised errors count as confirmed; that is how
the method is mostly used, and part of what the benchmark compares. What must hold: masks of validation and of trusted cases are copied
as they are, only the slices that the run learnt from may change.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from adelecli.errors import InputError
from adelecli.labels.classes import IGNORE
from adelecli.labels.confident import fix_labels, measure_confidence
from adelecli.progress import Progress, ignore_progress
from adelecli.training.caching import restore_labels, write_cache
from adelecli.training.checkpoint import load_checkpoint
from adelecli.training.dataset import find_training_rows, open_slices
from adelecli.training.loop import Experiment
from adelecli.training.plan import read_plan
from adelecli.training.relabelling import predict_probabilities
from adelecli.training.resolving import read_settings
from adelecli.training.trainer import choose_device, start_learner
from adelecli.volumes.writing import write_labels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.progress import Callback
    from adelecli.training.dataset import Slices
    from adelecli.training.network import MultiScale
    from adelecli.training.plan import RunPlan


def write_fixed_masks(run: Path, out: Path, *, device: str = "auto", progress: Callback = ignore_progress) -> None:
    """Write a mask of every case of the finished run ``run`` into the folder ``out``, training labels fixed.

    Names, formats and headers are those of the run's masks. Source: labels.confident. Raises ``InputError`` for a folder that is no
    run, ``ConfigError`` where its inputs have changed.
    """
    settings, plan = read_settings(run / "config.toml"), read_plan(run)
    cache = run / "cache"
    write_cache(cache, plan.survey, {}, progress)
    slices = open_slices(cache, plan.case_ids, plan.val_cases, plan.trusted_cases)
    experiment = Experiment(settings, slices, plan.survey.table.names, choose_device(device), progress)
    learner = start_learner(experiment, len(plan.survey.channels))
    if not load_checkpoint(run, learner):
        raise InputError("holds no checkpoint", path=run, remedy="train it to its end")
    model = experiment.ensemble(learner.teacher.eval())
    rows = find_training_rows(slices, settings.data.slices_per_case)
    thresholds = _find_thresholds(model, slices, rows, experiment)
    fixed = np.array(slices.labels)
    rows = rows[~slices.is_trusted[rows]]
    for part, probabilities in predict_probabilities(model, slices, rows, experiment.device):
        fixed[part] = fix_labels(np.array(slices.labels[part]), probabilities, thresholds)
    out.mkdir(parents=True, exist_ok=True)
    _write_masks(out, slices, fixed, plan, progress)
    del slices, experiment
    shutil.rmtree(cache, ignore_errors=True)


def _find_thresholds(
    model: MultiScale, slices: Slices, rows: NDArray[np.intp], experiment: Experiment
) -> NDArray[np.float64]:
    found = predict_probabilities(model, slices, rows, experiment.device)
    parts = [measure_confidence(np.array(slices.labels[part]), probabilities) for part, probabilities in found]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total.thresholds


def _write_masks(out: Path, slices: Slices, fixed: NDArray[np.uint8], plan: RunPlan, progress: Callback) -> None:
    for number, facts in enumerate(plan.survey.facts):
        assert facts.case.mask is not None
        target = out / facts.case.mask.name
        rows = slices.rows_of(number)
        height, width = (int(slices.table[name][rows[0]]) for name in ("height", "width"))
        before, after = (np.array(values[rows][:, :height, :width]) for values in (slices.labels, fixed))
        if (before == after).all():
            shutil.copyfile(facts.case.mask, target)
        else:
            assert not ((after == IGNORE) & (before != IGNORE)).any()
            _, labels, geometry = restore_labels(plan.survey, facts, before, after)
            write_labels(target, labels, geometry)
        progress(Progress("fix", number + 1, len(plan.survey.facts), facts.case.id))
