"""The command that compares methods: `bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import adelecli
from adelecli.cli import completion, options
from adelecli.cli.commands import Outcome, command

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.progress import Callback


@command(example="adele bench ./clean-masks --noise adele-de --k 1-5 --methods clean,noisy,ema,adele --seeds 0 1 2")
@options.argument("masks", required=False)
@options.images
@options.out("DIR", "Folder of tables, plots and results; results that stand there are read back [default: bench].")
@options.listing(
    "--methods",
    "NAME,...",
    "Methods to compare [default: clean,noisy,ema,adele]; a wrong name lists all.",
    completion.offer_methods,
)
@options.listing("--seeds", "N", "Seeds of noise, split and training [default: 0 1 2].")
@click.option(
    "--noise",
    metavar="FAMILY",
    help="Family of noise of `adele corrupt`, or none [default: adele-de].",
    shell_complete=completion.offer_noises,
)
@options.noise
@click.option("--noisy-share", type=float, metavar="F", help="Share of the training cases that get noise [default: 1].")
@click.option(
    "--val", type=options.FILE, metavar="FILE", help="Ids of the held-out cases, one a line [default: a share]."
)
@click.option("--epochs", type=int, metavar="N", help="Length of each training [default: 15].")
@click.option("--slices-per-case", type=int, metavar="N", help="Slices of each training case to learn from; 0: all.")
@options.listing("--set", "KEY=VALUE", "One setting of `adele train` for all methods.")
@options.device
@click.option("--jobs", type=int, metavar="N", help="Trainings side by side, one thread each [default: 1].")
@options.flag("--keep-runs", "Keep the run folder of each training; they are deleted once scored.")
def bench(masks: Path | None = None, *, progress: Callback, **given: Any) -> Outcome:
    """Compare methods on clean masks that are made noisy on purpose.

    MASKS defaults to ./masks (or ./labelsTr), the images to the folder `images` beside it. Every method gets the same noise, network and
    steps and is scored on held-out cases. A stopped benchmark goes on when it is started again.
    """
    from adelecli.cli.measurements import show_benchmark

    result = adelecli.bench(masks, progress=progress, **given)
    return Outcome(result, lambda console: show_benchmark(console, result))
