"""The commands that put volumes through a network: `correct` and `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import adelecli
from adelecli.cli import options
from adelecli.cli.commands import Outcome, command
from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from adelecli.cli.reports import Draw
    from adelecli.progress import Callback
    from adelecli.reporting.thumbnails import Thumbnail

dry_run = options.flag("--dry-run", "Do everything but write.")


@command(example="adele correct ./masks --images ./images --model weights/adele.onnx --out cleaned.zarr")
@options.argument("masks", required=False)
@options.out("STORE", "Zarr store for the corrected labels.", required=True)
@options.images
@options.model
@options.device
@click.option(
    "--confidence",
    multiple=True,
    metavar="T | NAME=T ...",
    callback=options.read_confidence,
    help="Correct where the network is surer than this, for all classes or for some [default: the model's own].",
)
@click.option(
    "--constraint",
    type=click.Choice(["slice", "volume", "none"]),
    help="A class may only be written where the slice, or the volume, has it already [default: the model's own].",
)
@click.option(
    "--max-change", type=float, metavar="F", help="Quarantine a case that changes more of a class [default: 0.5]."
)
@options.listing("--protect", "NAME", "Classes that never change.")
@options.listing("--classes", "NAME", "Only these classes may change [default: those whose memorisation was seen].")
@options.trusted
@options.cases
@dry_run
@options.resume
@options.overwrite
@options.confidence_maps
@options.execution
@options.report
@options.fail_fast
def correct(masks: Path | None = None, *, out: Path, progress: Callback, **given: Any) -> Outcome:
    """Correct noisy masks with a trained network, into a zarr store.

    MASKS defaults to ./masks (or ./labelsTr), the images to the folder `images` beside it. One bad case never stops the
    batch: its error stands in the report, and the exit code is 3. Exit code 4: some cases changed too much, and kept
    their labels.
    """
    report = adelecli.correct(masks, out=out, progress=progress, **given)

    def draw(cases: Mapping[str, Sequence[int]]) -> Sequence[Thumbnail]:
        from adelecli.reporting.thumbnails import draw_thumbnails

        return draw_thumbnails(out, cases, images=given.get("images"), masks=masks)

    return _report(report, out, draw)


@command(example="adele predict ./images --model weights/adele.onnx --out predicted.zarr")
@options.argument("images", required=False)
@click.option("-i", "--images", "folder", type=options.FILE, metavar="DIR", help="The same as IMAGES.")
@options.out("STORE", "Zarr store for the predicted labels.", required=True)
@options.model
@options.device
@options.cases
@dry_run
@options.resume
@options.overwrite
@options.confidence_maps
@options.execution
@options.report
@options.fail_fast
def predict(
    images: Path | None = None, folder: Path | None = None, *, out: Path, progress: Callback, **given: Any
) -> Outcome:
    """Segment new images, without masks, into a zarr store.

    IMAGES defaults to ./images (or ./imagesTr). One bad case never stops the batch.
    """
    if images and folder:
        raise ConfigError("the images are named twice", remedy="give them as the argument IMAGES or with --images")
    return _report(adelecli.predict(images or folder, out=out, progress=progress, **given), out)


def _report(report: adelecli.Report, out: Path, draw: Draw | None = None) -> Outcome:
    from adelecli.cli.reports import show_report

    return Outcome(report, lambda console: show_report(console, report, out, draw))
