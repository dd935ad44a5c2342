"""The commands that write label files: `convert` out of a store, `corrupt` into noisy copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import adelecli
from adelecli.cli import completion, options
from adelecli.cli.commands import Outcome, command

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.progress import Callback


@command(example="adele convert cleaned.zarr --out ./cleaned --which corrected")
@options.argument("store")
@options.out("DIR", "Folder for the files.", required=True)
@click.option(
    "--which",
    type=click.Choice(["corrected", "original", "change", "confidence"]),
    help="What to write [default: corrected].",
)
@click.option(
    "--format",
    type=click.Choice(["source", "nifti", "nrrd", "mha", "png", "dicom-seg"]),
    help="File format [default: source, as the masks were].",
)
@click.option("-i", "--images", type=options.FILE, metavar="DIR", help="DICOM series that a dicom-seg refers to.")
@options.flag("--binary", "Write dicom-seg as one bit a voxel and segment, for older viewers.")
@click.option(
    "--terminology", type=options.FILE, metavar="FILE.json", help="Codes of the segments, in the form of dcmqi."
)
@options.cases
@options.overwrite
def convert(store: Path, *, out: Path, progress: Callback, **given: Any) -> Outcome:
    """Write the labels of a store as files, in their own geometry."""
    from adelecli.cli.reports import show_conversion

    conversion = adelecli.convert(store, out=out, progress=progress, **given)
    return Outcome(conversion, lambda console: show_conversion(console, conversion))


@command(example="adele corrupt ./true-masks --out ./masks --noise adele-de --seed 0")
@options.argument("masks", required=False)
@options.out("DIR", "Folder for the corrupted masks.", required=True)
@click.option(
    "--noise",
    metavar="FAMILY",
    help="Family of annotation noise [default: adele-de].",
    shell_complete=completion.offer_noises,
)
@options.seed
@options.noise
@options.overwrite
def corrupt(masks: Path | None = None, *, out: Path, progress: Callback, **given: Any) -> Outcome:
    """Write noisy copies of masks, and measure the noise.

    MASKS defaults to ./masks (or ./labelsTr).
    """
    from adelecli.cli.reports import show_corruption

    corruption = adelecli.corrupt(masks, out=out, progress=progress, **given)
    return Outcome(corruption, lambda console: show_corruption(console, corruption, out))
