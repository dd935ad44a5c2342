"""The commands that make a model: `train`, `export`, and `demo`, which runs everything on a data set of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import adelecli
from adelecli.cli import completion, options
from adelecli.cli.commands import Outcome, command

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.progress import Callback


@command(example="adele train ./masks --images ./images --epochs 20 --name liver")
@options.argument("masks", required=False)
@options.images
@options.out("DIR", "Folder of the runs; this one becomes <time>-<name> in it [default: runs].")
@click.option("--name", metavar="NAME", help="Name of the run and, later, of its model [default: the preset's].")
@click.option(
    "--preset",
    metavar="NAME",
    help="Settings to start from: adele, paper, segthor-code or voc-code [default: adele].",
    shell_complete=completion.offer_presets,
)
@click.option("--config", type=options.FILE, metavar="FILE.toml", help="Settings that outrank the preset.")
@options.listing("--set", "KEY=VALUE", "One setting that outranks the file, such as loss.weight=2.")
@click.option("--epochs", type=int, metavar="N", help="Length of the training [default: 15].")
@options.seed
@options.device
@click.option("--patience", type=int, metavar="N", help="Stop after N epochs without gain; 0: never [default: 0].")
@options.flag("--baseline", "Plain training: no correction, one scale, no consistency.")
@click.option("--resume", type=options.FILE, metavar="RUN", help="Continue this stopped run, bit for bit.")
@click.option(
    "--clean", type=options.FILE, metavar="DIR", help="Clean masks of the same cases, to measure the gain with."
)
@click.option(
    "--val", type=options.FILE, metavar="FILE", help="Ids of the cases to validate on, one a line [default: a share]."
)
@options.trusted
@click.option("--axis", type=click.Choice(["auto", "z", "y", "x"]), help="Slice axis [default: auto, the coarsest].")
def train(masks: Path | None = None, *, progress: Callback, **given: Any) -> Outcome:
    """Train a network that does not memorise the noise of its labels.

    MASKS defaults to ./masks (or ./labelsTr), the images to the folder `images` beside it. For each class the moment at
    which memorisation sets in is detected, and from then on its labels are corrected by the network itself. On several
    GPUs: torchrun --standalone --nproc-per-node N --no-python adele train ... (the same result up to rounding).
    """
    from adelecli.cli.findings import show_training

    result = adelecli.train(masks, progress=progress, **given)

    from adelecli.training.distribution import read_rank  # after training, when torch is loaded anyway

    return Outcome(result, lambda console: show_training(console, result), told=read_rank() == 0)


@command(example="adele export runs/20260101-120000-liver --out weights/liver.onnx")
@options.argument("run", required=False)
@options.out("FILE.onnx", "The model file [default: weights/adele.onnx].")
@options.listing("--scales", "N/M", "Scales of the ensemble, such as 7/10 1 3/2 [default: those of the training].")
@click.option("--name", metavar="NAME", help="Name of the model [default: the run's].")
@click.option("--licence", metavar="TEXT", help="Licence of the weights, as the data allow it [default: unknown].")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="fp16 is for GPUs; int8 for CPUs, refused where it changes more than 0.1 % of the labels [default: fp32].",
)
@options.listing(
    "--triggered",
    "NAME",
    "Classes that may be corrected [default: those whose onset was seen]; for clean training labels.",
)
@click.option(
    "--from-onnx", type=options.FILE, metavar="FILE.onnx", help="Give this plain network a contract; takes no RUN."
)
@click.option("--contract", type=options.FILE, metavar="FILE.toml", help="What that network is (docs/model.md).")
@options.overwrite
def export(run: Path | None = None, *, progress: Callback, **given: Any) -> Outcome:
    """Write a finished run as one ONNX file, with its proof of parity.

    RUN defaults to the newest finished run below ./runs. The file carries its contract: classes, sampling, provenance.
    With --from-onnx a network from elsewhere (nnU-Net, MONAI, segmentation_models) gets one, so that correct runs it too.
    """
    from adelecli.cli.findings import show_export

    result = adelecli.export(run, progress=progress, **given)
    return Outcome(result, lambda console: show_export(console, result))


@command(example="adele demo --out ./demo")
@options.out("DIR", "Folder for everything the demo makes [default: ./adele-demo].")
@options.seed
@options.device
@click.option("--cases", type=int, metavar="N", help="Patients to train on [default: 12].")
@click.option("--test-cases", type=int, metavar="N", help="Patients kept unseen, to test on [default: 4].")
@click.option("--epochs", type=int, metavar="N", help="Length of each training [default: 18].")
@click.option(
    "--only-data",
    metavar="KIND",
    help="Make this data set and stop: chest, or hippocampus (for `--model hippocampus`); trains nothing.",
)
def demo(*, progress: Callback, **given: Any) -> Outcome:
    """Show the whole method on a small data set of its own.

    The labels of a made-up anatomy are spoilt; then train, export, correct and evaluate run on them and show the gain. With
    --only-data there are images/, masks/ (spoilt) and truth/ to try the commands on.
    """
    from adelecli.cli.findings import show_demo

    result = adelecli.demo(progress=progress, **given)
    return Outcome(result, lambda console: show_demo(console, result))
