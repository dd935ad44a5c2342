"""Options that several commands share, so that one name means one thing everywhere.

What must hold: no option checks a file or repeats a default of the library; a missing folder is an InputError (7), which
only the library can tell from a misspelt option (2).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from adelecli.cli import completion

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]
Offer: TypeAlias = "Callable[[click.Context, click.Parameter, str], list[CompletionItem]]"

FILE = click.Path(path_type=Path)


def argument(name: str, *, required: bool = True) -> Decorator[Any]:
    """A positional path, shown in capitals."""
    return click.argument(name, type=FILE, required=required)


def flag(name: str, text: str) -> Decorator[Any]:
    """A switch that is off unless given."""
    return click.option(name, is_flag=True, help=text)


def listing(name: str, metavar: str, text: str, offer: Offer | None = None) -> Decorator[Any]:
    """An option with one or more values: `--protect liver spleen`, or repeated; ``offer`` completes them (``completion``)."""
    return click.option(name, multiple=True, metavar=f"{metavar} ...", help=text, shell_complete=offer)


def out(metavar: str, text: str, *, required: bool = False) -> Decorator[Any]:
    """`-o/--out`, where the result goes."""
    return click.option("-o", "--out", type=FILE, metavar=metavar, required=required, help=text)


images = click.option(
    "-i", "--images", type=FILE, metavar="DIR", help="Folder of images [default: images or imagesTr beside the masks]."
)
source_images = click.option(
    "-i", "--images", type=FILE, metavar="DIR", help="Folder of the images [default: labels are shown on grey]."
)
model = click.option(
    "-m",
    "--model",
    metavar="FILE",
    help="Model file, or a name of weights/registry.toml or of the package [default: $ADELE_MODEL, else the only weights/*.onnx].",
    shell_complete=completion.offer_models,
)
device = click.option(
    "-d",
    "--device",
    metavar="DEVICE",
    help="auto, cpu, cuda or cuda:N; cuda never falls back, auto may [default: auto].",
    shell_complete=completion.offer_devices,
)
seed = click.option("--seed", type=int, metavar="N", help="Seed of every random draw [default: 0].")
cases = listing("--cases", "PATTERN", "Only the cases whose id matches, such as 'liver_1*'.")
trusted = click.option(
    "--trusted",
    type=FILE,
    metavar="FILE",
    help="Ids of the cases whose labels are right, one a line: they never change.",
)
resume = flag("--resume", "Continue a stopped run; starts one where there is none.")
overwrite = flag("--overwrite", "Replace what an earlier run left at --out.")
report = click.option("--report", type=FILE, metavar="FILE.json", help="Write the report of this run there as well.")
fail_fast = flag("--fail-fast", "Stop at the first case that fails.")
confidence_maps = flag("--confidence-maps", "Store the network's confidence too, as 8 bits a voxel.")

_EXECUTION = (
    click.option(
        "--provider",
        type=click.Choice(["cuda", "tensorrt"]),
        help="Use the GPU through this provider of onnxruntime, and never fall back [default: cuda, where usable].",
    ),
    click.option(
        "--engine-cache",
        type=FILE,
        metavar="DIR",
        help="Where TensorRT keeps built engines [default: the user's cache].",
    ),
    click.option("--gpu-mem", metavar="SIZE", help="Most GPU memory that the network may take, such as 6G."),
    click.option("--workers", type=int, metavar="N", help="Processes, each with one thread [default: one, all cores]."),
    click.option("--max-ram", metavar="SIZE", help="Most memory that the whole run may take, such as 8G."),
    click.option(
        "--shard", metavar="I/N", help="Do only part I of N of the cases [default: Slurm's array variables, else all]."
    ),
    click.option(
        "--scheduler", metavar="ADDRESS", help="Do the cases on this Dask cluster (tls://, or this machine's)."
    ),
)


def execution(command: Decorated) -> Decorated:
    """Where, and by how many processes, cases are treated; none of it changes a result."""
    for option in reversed(_EXECUTION):
        command = option(command)
    return command


def read_confidence(
    context: click.Context,  # noqa: ARG001 - the signature is click's
    parameter: click.Parameter,  # noqa: ARG001 - the signature is click's
    values: tuple[str, ...],
) -> float | dict[str, float] | None:
    """`T` for all classes, or `NAME=T ...` for some; a usage error for a mixture or for what is no number in 0..1."""
    thresholds: dict[str, float] = {}
    for value in values:
        name, sign, number = value.rpartition("=")
        if sign and not name:  # an empty variable of a script must not set the threshold of every class
            raise click.BadParameter(f"'{value}' names no class")
        try:
            thresholds[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"'{value}' is neither a number nor NAME=NUMBER") from None
        if not 0 <= thresholds[name] <= 1:
            raise click.BadParameter(f"{number} is not in the range 0 to 1")
    if "" not in thresholds:
        return thresholds or None
    if len(values) > 1:
        raise click.BadParameter("give one number for all classes, or NAME=NUMBER for each; not both")
    return thresholds[""]


def read_settings(
    context: click.Context,  # noqa: ARG001 - the signature is click's
    parameter: click.Parameter,  # noqa: ARG001 - the signature is click's
    values: tuple[str, ...],
) -> dict[str, object]:
    """`KEY=VALUE ...` as a mapping; a value that is not TOML is text, so that words need no quotes."""
    import tomllib  # only few calls pay for it

    settings: dict[str, object] = {}
    for pair in values:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"'{pair}' is not KEY=VALUE")
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name] = value
    return settings


_NOISE = (
    click.option(
        "--k", metavar="A-B", help="Strengths to draw from, in pixels, as 1-5 or 2,3,4 [default: the family's own]."
    ),
    click.option("--share", type=float, metavar="F", help="Share of the slices or objects that are hit."),
    click.option("--coherent/--no-coherent", default=None, help="One draw for a whole case, or one for each slice."),
    click.option(
        "--settings",
        multiple=True,
        metavar="KEY=VALUE ...",
        callback=read_settings,
        help="Other options of the family, with their values as TOML writes them.",
    ),
    listing("--classes", "NAME", "Classes to corrupt, in this order [default: all]."),
    click.option("--axis", type=click.Choice(["z", "y", "x"]), help="Axis along which slices are cut [default: z]."),
)


def noise(command: Decorated) -> Decorated:
    """What a family of annotation noise does; the family itself is each command's own option."""
    for option in reversed(_NOISE):
        command = option(command)
    return command
