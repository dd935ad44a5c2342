"""``export``: a finished run as one ONNX file that carries its whole contract, beside its model card and registry entry.

The file is published only after it was proved equal to the trained network, by one rename. torch is imported where a run is
exported, because giving a foreign network its contract does not need it.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from adelecli.errors import ConfigError, InputError, OutputError
from adelecli.keywords import read_keywords
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.replacement import refuse_address
from adelecli.runtime.contract import Contract  # noqa: TC001 - the schema of the answer is read off the annotations
from adelecli.runtime.inspection import hash_weights
from adelecli.training import runfolder
from adelecli.training.contracting import choose_triggered, make_contract
from adelecli.training.noisefile import read_noise
from adelecli.training.options import PRECISIONS, ExportKeywords, ExportOptions
from adelecli.training.plan import PlanRecord
from adelecli.training.registration import register_model
from adelecli.training.resolving import read_settings
from adelecli.training.samples import Samples, read_samples
from adelecli.training.sealing import publish_file, seal_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from adelecli.labels.excess import Noise
    from adelecli.training.network import MultiScale
    from adelecli.training.settings import Scale, Settings


STEPS = 5


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
class Proof:
    """What an export found out about its graph: the parity record, scores, the thresholds that belong to it, its hash."""

    parity: dict[str, Any]
    validation: dict[str, Any]
    taus: tuple[float, ...]
    weights_sha256: str


@dataclass(frozen=True)
class FinishedRun:
    """What an export needs of a run folder."""

    folder: Path
    settings: Settings
    plan: PlanRecord
    run: dict[str, object]
    onsets: dict[str, int | None]
    samples: Samples
    noise: Noise | None = None


def export(
    run: str | Path | None = None,
    *,
    out: str | Path = Path("weights") / "adele.onnx",
    progress: Callback = ignore_progress,
    **options: Unpack[ExportKeywords],
) -> ExportResult:
    """Write the multi-scale ensemble of ``run`` (default: the newest finished run below ``./runs``) to ``out``.

    With ``from_onnx`` and ``contract`` a foreign network gets a contract instead, which needs no torch (see ``adoption``).
    Raises ``InputError`` where there is no finished run, ``OutputError`` where the file exists or cannot be written,
    ``ModelError`` where parity does not hold (then no file is left).
    """
    started = time.monotonic()
    chosen = read_keywords(ExportOptions, options)
    target = refuse_address(out)
    if target.exists() and not chosen.overwrite:
        raise OutputError("exists already", path=target, remedy="pass --overwrite or another --out")
    if target.exists() and (target.is_dir() or target.suffix.lower() != ".onnx"):
        raise OutputError("exists and is no model of adele", path=target, remedy="pass another --out")
    if chosen.from_onnx is not None or chosen.contract is not None:
        from adelecli.training.adoption import adopt_network

        _refuse_mixture(run, chosen)
        blob, contract = adopt_network(Path(chosen.from_onnx or ""), Path(chosen.contract or ""), chosen)
    else:
        blob, contract = _build_file(
            Path(run) if run is not None else runfolder.newest_run(Path("runs")), chosen, progress
        )
    publish_file(target, blob)
    register_model(target, blob, contract)
    progress(Progress("export", STEPS, STEPS, detail={"step": "done"}))
    digest = hashlib.sha256(blob).hexdigest()
    return ExportResult(target, digest, len(blob), contract, round(time.monotonic() - started, 3))


def _refuse_mixture(run: object, options: ExportOptions) -> None:
    """A foreign network brings its own graph: nothing of a run, and none of what is decided while tracing."""
    if options.from_onnx is None or options.contract is None:
        raise ConfigError("`from_onnx` and `contract` belong together", remedy="give both")
    if run is not None or options.scales or options.triggered is not None or options.precision != "fp32":
        fact = "`from_onnx` takes no run, `scales`, `triggered` or `precision`"
        raise ConfigError(fact, remedy="say what may be corrected in the contract file")


def _build_file(folder: Path, options: ExportOptions, progress: Callback) -> tuple[bytes, Contract]:
    """Trace, prove and seal the ensemble of the run in ``folder``."""
    from adelecli.training.ensembles import compare_scales
    from adelecli.training.graph import trace_graph
    from adelecli.training.halves import halve_model
    from adelecli.training.parity import prove_parity, prove_quantised

    if options.precision not in PRECISIONS:
        raise ConfigError(f"{options.precision!r} is no precision", remedy=f"use {', '.join(PRECISIONS)}")
    finished = read_run(folder)
    choose_triggered(finished, options)  # what is misspelt must be told before minutes of work
    samples = finished.samples.image
    scales = parse_scales(options.scales) if options.scales else finished.settings.ensemble_scales
    progress(Progress("export", 0, STEPS, detail={"step": "load"}))
    model = load_model(finished, scales)
    progress(Progress("export", 1, STEPS, detail={"step": "trace"}))
    half = options.precision == "fp16"
    graph = trace_graph(halve_model(model) if half else model, len(finished.plan.channels), dims=samples.ndim - 2)
    progress(Progress("export", 2, STEPS, detail={"step": "parity"}))
    parity = prove_parity(graph.SerializeToString(), model, samples, "fp16" if half else "fp32")
    taus = (finished.settings.correction.tau,) * len(finished.plan.class_ids)
    if options.precision == "int8":
        graph = quantise(graph.SerializeToString(), finished)
        quantised, taus = prove_quantised(graph.SerializeToString(), model, pool_samples(finished.samples), taus)
        parity = quantised | {"fp32": parity}
    progress(Progress("export", 3, STEPS, detail={"step": "measure"}))
    choices = (scales, finished.settings.ensemble_scales)
    validation = compare_scales(lambda chosen: load_model(finished, chosen), choices, finished.samples.held_out)
    progress(Progress("export", 4, STEPS, detail={"step": "publish"}))
    proof = Proof(parity, validation, taus, hash_weights(graph.SerializeToString()))
    contract = make_contract(finished, scales, options, proof)
    return seal_graph(graph, contract), contract


def read_run(folder: Path) -> FinishedRun:
    """A finished run folder. Raises ``InputError`` where it is none."""
    import msgspec

    state = runfolder.read_json(folder / "state.json")
    if not state.get("finished"):
        raise InputError("is not finished", path=folder, remedy=f"go on with `adele train --resume {folder}`")
    try:
        plan = msgspec.convert(runfolder.read_json(folder / "plan.json"), PlanRecord)
    except msgspec.ValidationError as error:
        raise InputError(f"is damaged ({error})", path=folder, remedy="train again") from None
    samples = read_samples(folder / "samples.safetensors")
    onset = state["onset"]
    assert isinstance(onset, dict)
    run, noise = runfolder.read_json(folder / "run.json"), read_noise(folder)
    return FinishedRun(folder, read_settings(folder / "config.toml"), plan, run, onset, samples, noise)


def load_model(finished: FinishedRun, scales: tuple[Scale, ...]) -> MultiScale:
    """The run's predictor (its teacher where it has one) at ``scales``, batch norms folded, in eval mode."""
    from adelecli.training.checkpoint import read_checkpoint
    from adelecli.training.graph import fold_batch_norms
    from adelecli.training.network import MultiScale, build_network

    tensors, _ = read_checkpoint(finished.folder / runfolder.CHECKPOINT)
    settings = finished.settings
    network = build_network(settings.network, len(finished.plan.channels), len(finished.plan.class_ids))
    prefix = "teacher." if settings.teacher.enabled else "network."
    weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    network.load_state_dict(weights)
    temperature = settings.correction.temperature
    return MultiScale(fold_batch_norms(network), scales, 2**settings.network.depth, temperature).eval()


def quantise(blob: bytes, finished: FinishedRun) -> ModelProto:
    """The graph in int8, its ranges taken from slices of the run, and again without a trace of the machine."""
    import onnx

    from adelecli.runtime.quantisation import quantise_graph
    from adelecli.training.sealing import strip_traces

    graph = onnx.load_from_string(quantise_graph(blob, finished.samples.image))
    strip_traces(graph)
    return graph


def pool_samples(samples: Samples) -> NDArray[np.float32]:
    """All slices that the run kept: int8 must not be judged only on those that its ranges were taken from."""
    return samples.image if samples.held_out is None else np.concatenate([samples.image, samples.held_out.image])


def parse_scales(texts: Any) -> tuple[Scale, ...]:
    """``["1", "7/10"]`` as integer fractions. Raises ``ConfigError``."""
    scales = []
    for text in texts:
        n, _, d = str(text).partition("/")
        if not n.isdecimal() or not (d or "1").isdecimal() or int(n) < 1 or int(d or 1) < 1:
            raise ConfigError(f"{text!r} is no scale", remedy="write an integer fraction, for instance 7/10")
        scales.append((int(n), int(d or 1)))
    return tuple(scales)
