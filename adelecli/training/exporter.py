"""``export``: a finished run as one ONNX file that carries its whole contract, beside its model card and registry entry.

The file is published only after it was proved equal to the trained network, by one rename.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from safetensors import SafetensorError
from safetensors.numpy import load_file

from adelecli.errors import ConfigError, InputError, OutputError
from adelecli.keywords import read_keywords
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.runtime.contract import METADATA_KEY, ClassEntry, Contract, encode_contract
from adelecli.runtime.inspection import hash_weights
from adelecli.training import runfolder
from adelecli.training.checkpoint import read_checkpoint
from adelecli.training.graph import fold_batch_norms, trace_graph
from adelecli.training.network import MultiScale, build_network
from adelecli.training.options import ExportKeywords, ExportOptions
from adelecli.training.parity import prove_parity
from adelecli.training.plan import PlanRecord
from adelecli.training.registration import register_model
from adelecli.training.settings import read_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adelecli.training.settings import Scale, Settings


@dataclass(frozen=True)
class ExportResult:
    """The published file: its path, sha256 and size in bytes, the contract and the parity record in it."""

    path: Path
    sha256: str
    size: int
    contract: Contract
    seconds: float

    @property
    def parity(self) -> dict[str, Any]:
        """What was compared and how far it differed."""
        return self.contract.parity


@dataclass(frozen=True)
class FinishedRun:
    """What an export needs of a run folder."""

    folder: Path
    settings: Settings
    plan: PlanRecord
    run: dict[str, object]
    onsets: dict[str, int | None]
    samples: NDArray[np.float32]


def export(
    run: str | Path | None = None,
    *,
    out: str | Path = Path("weights") / "adele.onnx",
    progress: Callback = ignore_progress,
    **options: Unpack[ExportKeywords],
) -> ExportResult:
    """Write the multi-scale ensemble of ``run`` (default: the newest finished run below ``./runs``) to ``out``.

    Raises ``InputError`` where there is no finished run, ``OutputError`` where the file exists or cannot be written,
    ``ModelError`` where parity does not hold (then no file is left).
    """
    started = time.monotonic()
    chosen = read_keywords(ExportOptions, options)
    target = Path(out)
    if target.exists() and not chosen.overwrite:
        raise OutputError("exists already", path=target, remedy="pass --overwrite or another --out")
    finished = read_run(Path(run) if run is not None else runfolder.newest_run(Path("runs")))
    scales = parse_scales(chosen.scales) if chosen.scales else finished.settings.ensemble_scales
    progress(Progress("export", 0, 4, detail={"step": "load"}))
    model = load_model(finished, scales)
    progress(Progress("export", 1, 4, detail={"step": "trace"}))
    graph = trace_graph(model, len(finished.plan.channels))
    progress(Progress("export", 2, 4, detail={"step": "parity"}))
    parity = prove_parity(graph.SerializeToString(), model, finished.samples)
    progress(Progress("export", 3, 4, detail={"step": "publish"}))
    contract = make_contract(finished, scales, chosen, parity, hash_weights(graph.SerializeToString()))
    blob = seal_graph(graph, contract)
    publish_file(target, blob)
    register_model(target, blob, contract)
    progress(Progress("export", 4, 4, detail={"step": "done"}))
    digest = hashlib.sha256(blob).hexdigest()
    return ExportResult(target, digest, len(blob), contract, round(time.monotonic() - started, 3))


def read_run(folder: Path) -> FinishedRun:
    """A finished run folder. Raises ``InputError`` where it is none."""
    import msgspec

    state = runfolder.read_json(folder / "state.json")
    if not state.get("finished"):
        raise InputError("is not finished", path=folder, remedy=f"go on with `adele train --resume {folder}`")
    try:
        plan = msgspec.convert(runfolder.read_json(folder / "plan.json"), PlanRecord)
        samples = load_file(folder / "samples.safetensors")["image"]
    except (msgspec.ValidationError, OSError, SafetensorError, KeyError) as error:
        raise InputError(f"is damaged ({error})", path=folder, remedy="train again") from None
    onset = state["onset"]
    assert isinstance(onset, dict)
    return FinishedRun(
        folder, read_settings(folder / "config.toml"), plan, runfolder.read_json(folder / "run.json"), onset, samples
    )


def load_model(finished: FinishedRun, scales: tuple[Scale, ...]) -> MultiScale:
    """The run's predictor (its teacher where it has one) at ``scales``, batch norms folded, in eval mode."""
    tensors, _ = read_checkpoint(finished.folder / runfolder.CHECKPOINT)
    settings = finished.settings
    network = build_network(settings.network, len(finished.plan.channels), len(finished.plan.class_ids))
    prefix = "teacher." if settings.teacher.enabled else "network."
    weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    network.load_state_dict(weights)
    temperature = settings.correction.temperature
    return MultiScale(fold_batch_norms(network), scales, 2**settings.network.depth, temperature).eval()


def parse_scales(texts: Any) -> tuple[Scale, ...]:
    """``["1", "7/10"]`` as integer fractions. Raises ``ConfigError``."""
    scales = []
    for text in texts:
        n, _, d = str(text).partition("/")
        if not n.isdecimal() or not (d or "1").isdecimal() or int(n) < 1 or int(d or 1) < 1:
            raise ConfigError(f"{text!r} is no scale", remedy="write an integer fraction, for instance 7/10")
        scales.append((int(n), int(d or 1)))
    return tuple(scales)


def make_contract(
    finished: FinishedRun,
    scales: tuple[Scale, ...],
    options: ExportOptions,
    parity: dict[str, Any],
    weights: str,
) -> Contract:
    """The contract of the file (onnx design page, section 4.1)."""
    plan, settings = finished.plan, finished.settings
    classes = tuple(
        ClassEntry(
            id=identity,
            name=name,
            colour=colour,
            triggered=index > 0 and finished.onsets.get(name) is not None,
            onset=finished.onsets.get(name),
            tau=settings.correction.tau,
        )
        for index, (identity, name, colour) in enumerate(
            zip(plan.class_ids, plan.class_names, plan.class_colours, strict=True)
        )
    )
    run = {key: finished.run[key] for key in ("id", "versions", "seed", "preset", "data")}
    return Contract(
        name=options.name or str(finished.run["id"]),
        classes=classes,
        ignore=plan.ignore,
        channels=plan.channels,
        channel_names=plan.channel_names,
        grid=plan.grid,
        scales=scales,
        divisor=2**settings.network.depth,
        constraint=settings.correction.constraint,
        run=run,
        parity=parity,
        weights_sha256=weights,
        licence=options.licence,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )


def seal_graph(graph: Any, contract: Contract) -> bytes:
    """The graph with its contract as one byte string, checked by onnx."""
    import onnx

    onnx.helper.set_model_props(graph, {METADATA_KEY: encode_contract(contract)})
    onnx.checker.check_model(graph, full_check=True)
    blob: bytes = graph.SerializeToString()
    return blob


def publish_file(target: Path, blob: bytes) -> None:
    """Write beside, sync, rename. Raises ``OutputError``."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", path=target, remedy="pass another --out") from None
