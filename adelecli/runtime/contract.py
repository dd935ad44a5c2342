"""What a model file promises about itself, so that nobody has to guess how to feed it or what its channels mean.

The contract is one JSON value in the ONNX file's ``metadata_props`` under the key ``adele``. The exporter writes it,
the runtime refuses a file without it. Nothing in ONNX validates metadata, so what must hold is checked here, in both
directions: typed fields, finite numbers, distinct classes, at most 64 KB. Unknown keys are allowed, so that a later
version may add fields without making its models unreadable; a change of meaning raises `FORMAT` instead.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from adelecli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
METADATA_KEY = "adele"
MAX_BYTES = 64 * 1024
MAX_CLASSES = 255  # the network's labels are uint8 and 255 means "ignore"
MAX_CANVAS = 1 << 26  # pixels of a slice; what a file asks for is made before the network sees it
REMEDY = "export it with `adele export`"

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
LabelId = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Axis = Literal["z", "y", "x"]
Constraint = Literal["slice", "volume", "none"]
Precision = Literal["fp32", "fp16", "int8"]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How ``tau`` was chosen: the ``method``, and the threshold for each ``precision`` that could be requested."""

    method: Annotated[str, msgspec.Meta(min_length=1)]
    precision: dict[str, Share] = {}


class NoiseEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Estimated ``share`` of wrong pixels among those labelled as the class, 0..1, with its interval ``low`` to ``high``."""

    share: Share
    low: Share
    high: Share


class ClassEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One class: the label value in files, how to show it, and when the correction may change it.

    ``triggered``: this class may be corrected, because memorisation was detected in training (``onset``: in which epoch) or
    because whoever made the file says so. ``tau``: the confidence that a prediction of this class needs before it replaces
    a label; ``calibration`` and ``noise``: how it was chosen and how noisy the labels were, where that was measured.
    """

    id: LabelId
    name: Annotated[str, msgspec.Meta(min_length=1)]
    colour: tuple[Byte, Byte, Byte]
    triggered: bool
    onset: int | None
    tau: Share
    calibration: Calibration | None = None
    noise: NoiseEstimate | None = None


class Intensity(msgspec.Struct, frozen=True, kw_only=True):
    """How one channel's values become network input.

    ``fixed``: clip to the window ``clip`` (in the file's own units), then subtract ``mean`` and divide by ``std``.
    ``volume``: clip to the volume's own ``percentiles``, then subtract the mean and divide by the standard deviation of
    what is left, so that it suits images without an absolute scale (MR).
    """

    kind: Literal["fixed", "volume"]
    clip: tuple[float, float] | None = None
    percentiles: tuple[Percent, Percent] = (0.5, 99.5)
    mean: float = 0.0
    std: Positive = 1.0


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """Which slices the network sees: the canonical axis they are cut along, and their sampling.

    ``spacing``: in-plane millimetres (row, column) to resample to; ``None`` keeps the file's own.
    ``max_size``: longest in-plane side in pixels; larger slices are shrunk to it, keeping their aspect.
    ``canvas``: (rows, columns) to which smaller slices are padded right and bottom by repetition, as they were in training;
    norms and scales see the whole canvas, so without it the same network gives other labels.
    """

    axis: Axis = "z"
    spacing: tuple[Positive, Positive] | None = None
    max_size: Count | None = None
    canvas: tuple[Count, Count] | None = None


class Tiles(msgspec.Struct, frozen=True, kw_only=True):
    """The tile ``shape`` (one size per spatial dimension, pixels) and ``overlap`` (share of a tile) the model was made for."""

    shape: tuple[Count, ...]
    overlap: Annotated[float, msgspec.Meta(ge=0, lt=1)]


class GateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases look noisy enough to be corrected (`labels.gate.Gate`).

    ``network``: per foreground class the disagreement of two networks, ``None`` for a class that does not judge;
    ``threshold``: the least excess of a case that is corrected. ``factor``: per foreground class, by what the disagreement of honest
    labels is multiplied because trusted cases said so; empty: by 1.
    """

    network: tuple[Share | None, ...]
    threshold: Annotated[float, msgspec.Meta(ge=0)]
    factor: tuple[Positive, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must be known to run a model: classes and channels in network order, sampling, provenance.

    ``dims``: spatial dimensions of the graph, 2 (slices) or 3 (volumes). ``orientation``: the frame in which the axes of
    ``grid`` and the channels' volumes stand. ``ignore``: the label value that means "not annotated" (``None``: none does).
    ``scales`` and ``flips``: the fractions and mirrored axes (of H and W: "y", "x") averaged inside the graph; ``divisor``:
    the multiple to which the graph itself pads its sizes, ``padding``: by repetition of the border, or with zeros.
    ``batch``: the only batch size that the graph takes (``None``: any). ``tiles``: ``None`` takes whole slices.
    ``precision``: of the arithmetic in the graph; inputs and outputs are float32 in any case. ``gate``: ``None`` corrects every
    case. ``outline``: the weight with which predictions are averaged along the outline of the label (`labels.outline`). ``restore``: per
    foreground class the sure pixels per slice, on the network's grid, from which on a case that lacks it gets it back
    (`labels.omission`; ``None``: never); without the list no case does, and ``none`` lets single pixels take any class.

    ``run`` says where the weights come from (``id``, ``data``: fingerprint of all training inputs, ``versions``...),
    ``parity`` how the export was proved, ``validation`` what was measured at export, ``weights_sha256`` is
    `inspection.hash_weights` of the file (empty: not recorded). A field with a default may be absent in a file.
    """

    format: int = FORMAT
    name: str
    dims: Literal[2, 3] = 2
    orientation: Literal["RAS+ canonical"] = "RAS+ canonical"
    classes: tuple[ClassEntry, ...]
    ignore: LabelId | None
    channels: tuple[Intensity, ...]
    channel_names: tuple[str, ...]
    grid: Grid
    scales: tuple[tuple[Count, Count], ...]
    flips: tuple[Axis, ...] = ()
    divisor: Count
    padding: Literal["repeat", "zero"] = "repeat"
    batch: Literal[1] | None = None
    tiles: Tiles | None = None
    precision: Precision = "fp32"
    constraint: Constraint
    outline: Share = 0.0
    gate: GateEntry | None = None
    restore: tuple[Positive | None, ...] | None = None
    run: dict[str, Any]
    parity: dict[str, Any]
    validation: dict[str, Any] = {}
    weights_sha256: str
    licence: str
    created: str


class _Head(msgspec.Struct):
    """Read first: a contract of another format may differ in every other field."""

    format: int


def decode_contract(text: str | bytes, path: object = None) -> Contract:
    """Read a contract and hold it to its promises.

    Raises ModelError naming ``path`` and the field that is missing or wrong.
    """
    if len(text if isinstance(text, bytes) else text.encode()) > MAX_BYTES:
        raise ModelError(f"its contract is larger than {MAX_BYTES} bytes", path=path, remedy=REMEDY)
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.format != FORMAT:
            fact = f"its contract has format {head.format}, this version reads format {FORMAT}"
            raise ModelError(fact, path=path, remedy="install the version that wrote it, or export it again")
        contract = msgspec.json.decode(text, type=Contract)
    except msgspec.ValidationError as error:
        raise ModelError(_tell(error), path=path, remedy=REMEDY) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"its contract is not JSON ({error})", path=path, remedy=REMEDY) from None
    fault = next(_find_faults(contract), None)
    if fault is not None:
        raise ModelError(f"its contract is wrong: {fault}", path=path, remedy=REMEDY)
    return contract


def encode_contract(contract: Contract, path: object = None) -> str:
    """Write a contract as JSON with sorted keys; what this returns, `decode_contract` accepts.

    Raises ModelError when a field has a wrong type or value (a struct does not check what it is built from).
    """
    fault = next(_find_non_finite(msgspec.to_builtins(contract), ""), None)
    if fault is not None:  # JSON has no NaN: it would be written as null
        raise ModelError(f"its contract is wrong: {fault}", path=path)
    text = msgspec.json.encode(contract, order="deterministic").decode()
    decode_contract(text, path)
    return text


def contract_schema() -> dict[str, Any]:
    """The JSON Schema of a contract, for readers that do not use this package."""
    return msgspec.json.schema(Contract)


def _tell(error: msgspec.ValidationError) -> str:
    """Turn msgspec's sentence into one that names the field as a user would look for it."""
    message, _, place = str(error).partition(" - at ")
    place = place.strip("`").removeprefix("$").removeprefix(".")
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing is None:
        return f"its contract is wrong: {message[0].lower()}{message[1:]}" + (f" at `{place}`" if place else "")
    field = f"{place}.{missing[1]}" if place else missing[1]
    return f"contract field `{field}` missing"


def _find_faults(contract: Contract) -> Iterator[str]:
    """What the field types cannot express, each as a phrase that names the field."""
    yield from _find_class_faults(contract)
    if not contract.channels:
        yield "`channels` is empty"
    if len(contract.channel_names) != len(contract.channels):
        yield f"{len(contract.channel_names)} `channel_names` for {len(contract.channels)} `channels`"
    for i, channel in enumerate(contract.channels):
        if channel.percentiles[0] >= channel.percentiles[1]:
            yield f"`channels[{i}].percentiles` do not ascend"
        if channel.clip is not None and channel.clip[0] >= channel.clip[1]:
            yield f"`channels[{i}].clip` does not ascend"
    yield from _find_gate_faults(contract)
    if not contract.scales:
        yield "`scales` is empty"
    if contract.grid.canvas is not None and math.prod(contract.grid.canvas) > MAX_CANVAS:
        yield f"`grid.canvas` is {contract.grid.canvas}, more than {MAX_CANVAS} pixels"
    if contract.tiles is not None and len(contract.tiles.shape) != contract.dims:
        yield f"`tiles.shape` has {len(contract.tiles.shape)} sizes for {contract.dims} `dims`"
    yield from _find_non_finite(msgspec.to_builtins(contract), "")


def _find_gate_faults(contract: Contract) -> Iterator[str]:
    foreground, gate = len(contract.classes) - 1, contract.gate
    entries = {"restore": contract.restore}
    if gate is not None:
        entries |= {"gate.network": gate.network, "gate.factor": gate.factor or None}
    for field, values in entries.items():
        if values is not None and len(values) != foreground:
            yield f"`{field}` has {len(values)} entries for {foreground} foreground classes"


def _find_class_faults(contract: Contract) -> Iterator[str]:
    ids = [entry.id for entry in contract.classes]
    if not 2 <= len(ids) <= MAX_CLASSES:
        yield f"`classes` holds {len(ids)} entries, not 2 to {MAX_CLASSES}"
    elif ids[0] != 0:
        yield f"`classes[0].id` is {ids[0]}, but the first class is the background and its id is 0"
    for field, values in (("id", ids), ("name", [entry.name for entry in contract.classes])):
        value, count = Counter(values).most_common(1)[0] if values else (None, 0)
        if count > 1:
            yield f"`classes` has {count} entries with the {field} {value!r}"
    for i, entry in enumerate(contract.classes):
        if entry.noise is not None and not entry.noise.low <= entry.noise.share <= entry.noise.high:
            yield f"`classes[{i}].noise` lies outside its own interval"
    if contract.ignore in ids:
        yield f"`ignore` is {contract.ignore}, which is also a class"


def _find_non_finite(value: object, place: str) -> Iterator[str]:
    """Walk built-in containers and yield each number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"`{place}` is {value}"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _find_non_finite(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _find_non_finite(item, f"{place}[{i}]")
