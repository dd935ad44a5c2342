"""A contract for a network that somebody else trained: ``export --from-onnx PLAIN.onnx --contract contract.toml``.

nnU-Net, MONAI and segmentation_models export a graph with one input and one output and say nothing about how to feed it. Its owner
says so in a TOML file; the graph gets the padding and the three outputs that it lacks, is run, and is sealed like our own.

What must hold: the wrapped graph answers what the plain one did, checked on the plain one's own output, for single images and
batches; nothing is assumed that the file does not say. Needs onnx, no torch.
"""

from __future__ import annotations

import hashlib
import time
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from adelecli.errors import ConfigError, ModelError
from adelecli.labels.classes import choose_colours
from adelecli.runtime.contract import (
    Axis,
    ClassEntry,
    Constraint,
    Contract,
    Count,
    Grid,
    Intensity,
    LabelId,
    Share,
    Tiles,
    encode_contract,
)
from adelecli.runtime.inspection import hash_weights, inspect_model
from adelecli.runtime.models import MAX_BYTES, refuse_outsiders
from adelecli.runtime.proof import open_graph
from adelecli.training.runfolder import library_versions
from adelecli.training.sealing import seal_graph, strip_traces
from adelecli.training.wrapping import PLAIN_OUTPUT, Plain, read_plain, wrap_plain

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.training.options import ExportOptions

TOLERANCE = 1e-5
SIZES = (1, 2, 3)  # multiples of the divisor, one less and one more of which a dynamic graph must take


class ForeignClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[classes]]`` entry, in the order of the network's channels; background (id 0) first."""

    id: LabelId
    name: Annotated[str, msgspec.Meta(min_length=1)]
    colour: tuple[int, int, int] | None = None
    tau: Share | None = None
    triggered: bool = True
    """Whether ``correct`` may change this class (background is never listed as triggered)."""


class ForeignChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[channels]]`` entry: its name and the fields of `contract.Intensity`."""

    name: str
    kind: Literal["fixed", "volume"]
    clip: tuple[float, float] | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)
    mean: float = 0.0
    std: float = 1.0


class ForeignGrid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[grid]``: the fields of `contract.Grid` that the owner decides."""

    axis: Axis = "z"
    spacing: tuple[float, float] | None = None
    max_size: Count | None = None
    canvas: tuple[Count, Count] | None = None


class ForeignContract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``contract.toml``: what only the network's owner knows.

    ``output``: what the network's head gives, ``logits`` or ``probabilities`` (one channel for two classes means a
    sigmoid). ``divisor``: the multiple that its sizes must have, ``padding`` what is put beyond the border. ``tau``: for
    classes that name none. ``input_name``, ``output_name``: tensors, where the graph has several.
    """

    name: str
    output: Literal["logits", "probabilities"]
    classes: tuple[ForeignClass, ...]
    channels: tuple[ForeignChannel, ...]
    grid: ForeignGrid = ForeignGrid()
    divisor: Count = 1
    padding: Literal["repeat", "zero"] = "repeat"
    ignore: LabelId | Literal["none"] = 255
    constraint: Constraint = "slice"
    tau: Share = 0.6
    tiles: Tiles | None = None
    licence: str = "unknown"
    input_name: str | None = None
    output_name: str | None = None


def adopt_network(source: Path, described: Path, options: ExportOptions) -> tuple[bytes, Contract]:
    """The file and the contract of the plain network ``source``, as the TOML file ``described`` says.

    Raises ``ConfigError`` where the TOML is wrong or does not fit the graph, ``ModelError`` where the graph cannot be used.
    """
    import onnx

    foreign = read_foreign(described)
    plain = read_plain(source, MAX_BYTES, (foreign.input_name, foreign.output_name))
    _check_fit(plain, foreign, described)
    described_contract = _make_contract(foreign, plain, _fix_grid(plain, foreign, described), options)
    try:
        encode_contract(described_contract)
    except ModelError as error:  # what is wrong here, the owner wrote
        raise ConfigError(error.fact, path=described) from None
    graph = wrap_plain(plain, foreign.output, foreign.divisor, foreign.padding)
    batch: Literal[1] | None = None
    parity = _try_batches(graph, plain, foreign)
    if parity is None:
        graph = wrap_plain(plain, foreign.output, foreign.divisor, foreign.padding, batch=1)
        batch, parity = 1, prove_wrapping(graph, plain, foreign, batches=(1,))
    del graph.graph.output[3:]
    strip_traces(graph)
    anatomy = inspect_model(graph.SerializeToString(), source)
    refuse_outsiders(anatomy, source)
    contract = msgspec.structs.replace(
        described_contract,
        batch=batch,
        parity=parity,
        weights_sha256=hash_weights(graph.SerializeToString()),
    )
    try:
        return seal_graph(graph, contract), contract
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"is no valid graph ({' '.join(str(error).split())[:160]})", path=source) from None


def read_foreign(path: Path) -> ForeignContract:
    """The TOML file. Raises ``ConfigError`` naming the key that is missing, unknown or wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ForeignContract)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error), path=path, remedy="see docs/model.md") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"is not a readable TOML file ({error})", path=path) from None


def _check_fit(plain: Plain, foreign: ForeignContract, path: Path) -> None:
    if plain.dims != 2:
        raise ModelError(
            f"takes {plain.dims}D volumes", path=plain.path, remedy="only networks of slices can be adopted"
        )
    if plain.channels not in {None, len(foreign.channels)}:
        fact = f"lists {len(foreign.channels)} `channels`, the network takes {plain.channels}"
        raise ConfigError(fact, path=path)
    binary = plain.classes == 1 and len(foreign.classes) == 2
    if plain.classes is not None and plain.classes != len(foreign.classes) and not binary:
        raise ConfigError(f"lists {len(foreign.classes)} `classes`, the network gives {plain.classes}", path=path)
    if plain.size is not None and any(size % foreign.divisor for size in plain.size):
        raise ConfigError(f"`divisor` {foreign.divisor} does not divide the network's size {plain.size}", path=path)


def _fix_grid(plain: Plain, foreign: ForeignContract, path: Path) -> Grid:
    """The contract's grid; a network of one size sees every slice padded to that size, larger ones shrunk into it."""
    grid = Grid(**msgspec.structs.asdict(foreign.grid))
    if plain.size is None:
        return grid
    if grid.canvas not in {None, plain.size} or (grid.max_size or 1) > min(plain.size):
        rows, columns = plain.size
        raise ConfigError(f"`grid` does not fit the network's only size {rows} x {columns}", path=path)
    return msgspec.structs.replace(grid, canvas=plain.size, max_size=grid.max_size or min(plain.size))


def _try_batches(graph: Any, plain: Plain, foreign: ForeignContract) -> dict[str, Any] | None:
    """The proof with batches, or ``None`` where the graph takes single images only."""
    try:
        return prove_wrapping(graph, plain, foreign, batches=(1, 2, 3))
    except ModelError:
        return None  # what is wrong with single images will be told by the second attempt


def prove_wrapping(graph: Any, plain: Plain, foreign: ForeignContract, batches: tuple[int, ...]) -> dict[str, Any]:
    """Run the wrapped graph, optimised and not, and compare it with numpy on the plain network's own output.

    Raises ``ModelError`` when it does not run, or when probabilities, labels or confidence are not those.
    """
    blob, divisor = graph.SerializeToString(), foreign.divisor
    sizes = [plain.size] if plain.size else [(n * divisor + 1, max(1, n * divisor - 1)) for n in SIZES] + [(64, 96)]
    rng, worst, compared = np.random.default_rng(0), 0.0, 0
    names = ("probabilities", "label", "confidence", PLAIN_OUTPUT)
    for run in (open_graph(blob, optimised=optimised, outputs=names) for optimised in (True, False)):
        for height, width in sizes:
            stack = rng.normal(size=(max(batches), len(foreign.channels), height, width)).astype(np.float32)
            for count in batches:
                got = run(stack[:count])
                expected = _finish(got[3], foreign.output, (height, width))
                worst = max(worst, _compare(expected, got, (count, height, width)))
                compared += 1
                alone = run(stack[count - 1 : count])[0]
                if not np.allclose(alone[0], got[0][-1], atol=1e-4):
                    raise ModelError("gives another result for an image in a batch", path=plain.path)
    return {
        "source": plain.path.name,
        "inputs": compared,
        "max_probability_difference": worst,
        "tolerance": TOLERANCE,
    }


def _finish(plain: NDArray[np.float32], kind: str, size: tuple[int, int]) -> NDArray[np.float64]:
    """Class probabilities ``[N, K, H, W]`` of the plain network's output, by numpy."""
    values = plain[..., : size[0], : size[1]].astype(np.float64)
    if values.shape[1] == 1:
        one = values if kind == "probabilities" else 1 / (1 + np.exp(-values))
        return np.concatenate([1 - one, one], axis=1)
    if kind == "probabilities":
        return values
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _compare(expected: NDArray[np.float64], got: list[NDArray[Any]], shape: tuple[int, ...]) -> float:
    probabilities, label, confidence, _ = got
    if probabilities.shape != expected.shape:
        fact = f"gives {probabilities.shape} for an image of {shape[1]} x {shape[2]}, not {expected.shape}"
        raise ModelError(fact, remedy="it must answer at the size of its input; is `divisor` right?")
    difference = float(np.abs(probabilities - expected).max())
    total = probabilities.sum(axis=1)
    if not difference <= TOLERANCE or np.abs(total - 1).max() > 1e-3:
        fact = "its output is no probability" if difference <= TOLERANCE else f"differs by {difference:.2g}"
        raise ModelError(f"parity: {fact}", remedy="is `output` right?")
    if not (np.array_equal(label, probabilities.argmax(1)) and np.array_equal(confidence, probabilities.max(1))):
        raise ModelError("parity: label and confidence are not those of the probabilities")
    return difference


def _make_contract(foreign: ForeignContract, plain: Plain, grid: Grid, options: ExportOptions) -> Contract:
    colours = choose_colours(len(foreign.classes))
    classes = tuple(
        ClassEntry(
            id=entry.id,
            name=entry.name,
            colour=entry.colour or colour,
            triggered=index > 0 and entry.triggered,
            onset=None,
            tau=foreign.tau if entry.tau is None else entry.tau,
        )
        for index, (entry, colour) in enumerate(zip(foreign.classes, colours, strict=True))
    )
    channels = [msgspec.structs.asdict(channel) for channel in foreign.channels]
    return Contract(
        name=options.name or foreign.name,
        classes=classes,
        ignore=None if foreign.ignore == "none" else foreign.ignore,
        channel_names=tuple(channel.pop("name") for channel in channels),
        channels=tuple(Intensity(**channel) for channel in channels),
        grid=grid,
        scales=((1, 1),),
        divisor=foreign.divisor,
        padding=foreign.padding,
        tiles=foreign.tiles,
        constraint=foreign.constraint,
        run={
            "id": plain.path.stem,
            "source_sha256": hashlib.sha256(plain.path.read_bytes()).hexdigest(),
            "versions": library_versions(),
            "data": "unknown",
        },
        parity={},
        weights_sha256="",
        licence=options.licence or foreign.licence,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
