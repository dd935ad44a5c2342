"""The commands that look and change nothing: `evaluate`, `verify`, `info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import adelecli
from adelecli.cli import options
from adelecli.cli.commands import Outcome, command

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.progress import Callback


@command(example="adele evaluate cleaned.zarr ./true-masks --json")
@options.argument("prediction")
@options.argument("reference")
@click.option(
    "--before",
    type=options.FILE,
    metavar="MASKS",
    help="The labels before correction, for the label error rate [default: the store's own originals].",
)
@click.option(
    "--classes", type=options.FILE, metavar="FILE.json", help="Names of the classes, where neither side has them."
)
@options.cases
@click.option(
    "--labels", type=click.Choice(["corrected", "original"]), help="Which labels of a store [default: corrected]."
)
def evaluate(prediction: Path, reference: Path, *, progress: Callback, **given: Any) -> Outcome:
    """Compare labels with a reference, per class and case.

    Dice, IoU, HD95, ASSD, volumes and, where the labels before the correction are known, the label error rate.
    PREDICTION and REFERENCE are a store, a folder or a file each; cases are paired by their ids.
    """
    from adelecli.cli.reports import show_evaluation

    evaluation = adelecli.evaluate(prediction, reference, progress=progress, **given)
    return Outcome(evaluation, lambda console: show_evaluation(console, evaluation))


@command(example="adele verify cleaned.zarr --masks ./masks --images ./images")
@options.argument("store")
@click.option("--masks", type=options.FILE, metavar="DIR", help="Hold the source masks there to their recorded hashes.")
@click.option(
    "-i", "--images", type=options.FILE, metavar="DIR", help="Hold the source images there to their recorded hashes."
)
@click.option("-m", "--model", metavar="FILE", help="Hold this model to the one that the store names.")
def verify(store: Path, *, progress: Callback, **given: Any) -> Outcome:
    """Re-hash every array of a store and check its metadata.

    The metadata must agree with OME-Zarr and with the chain of provenance: source files (where they are named), original
    labels, model, options, result, and what was reverted since. Exit code 8 when anything is wrong.
    """
    from adelecli.cli.findings import show_verification

    verification = adelecli.verify(store, progress=progress, **given)
    return Outcome(verification, lambda console: show_verification(console, verification))


@command(example="adele info weights/adele.onnx")
@options.argument("file")
def info(file: Path, *, progress: Callback) -> Outcome:
    """Tell what a model, store or run is.

    A model tells its contract and hash, a store its cases and where they come from, a run its state and last epoch.
    """
    from adelecli.cli.findings import show_description

    description = adelecli.info(file, progress=progress)
    return Outcome(description, lambda console: show_description(console, description))
