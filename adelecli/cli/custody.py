"""The commands before and after a run: `check` what would go in, `revert` what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import adelecli
from adelecli.cli import options
from adelecli.cli.commands import Outcome, command

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.progress import Callback


@command(example="adele check ./masks --images ./images --model weights/adele.onnx")
@options.argument("masks", required=False)
@options.images
@options.out("STORE", "Where the store would lie: its disk is looked at, nothing is written.")
@options.model
@options.device
@options.cases
def check(masks: Path | None = None, *, progress: Callback, **given: Any) -> Outcome:
    """Examine masks and images before a run.

    Shows the pairing, problems of geometry, the labels, and what a run would take: time, memory and disk. Without a model
    time and memory are left out. MASKS defaults to ./masks (or ./labelsTr). Exit codes are those of a run: 3 when some cases
    cannot be used, 7 when none can.
    """
    from adelecli.cli.findings import show_checkup

    checkup = adelecli.check(masks, progress=progress, **given)
    return Outcome(checkup, lambda console: show_checkup(console, checkup))


@command(example="adele revert cleaned.zarr liver_12 --classes tumour --reason 'contrast agent'")
@options.argument("store")
@click.argument("cases", nargs=-1, metavar="[CASE]...")
@options.listing("--classes", "NAME", "Only the voxels that are, or were, one of these classes [default: all].")
@click.option("--reason", metavar="TEXT", help="Why; it stands in the audit trail.")
@click.option("--actor", metavar="NAME", help="Who wants it; it stands in the audit trail [default: the login name].")
def revert(store: Path, *, progress: Callback, **given: Any) -> Outcome:
    """Give cases their original labels back.

    CASE is an id or a pattern such as 'liver_1*'; without one, all cases are reverted. The labels come back bit for bit, the
    reversion is recorded in the case's audit trail and in the journal, and `adele verify` passes afterwards.
    """
    from adelecli.cli.findings import show_reversion

    reversion = adelecli.revert(store, progress=progress, **given)
    return Outcome(reversion, lambda console: show_reversion(console, reversion))
