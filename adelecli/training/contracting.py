"""What an exported file promises, gathered from a finished run: the contract with its thresholds, its noise and its gate."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.runtime.contract import ClassEntry, Contract, GateEntry, NoiseEstimate

if TYPE_CHECKING:
    from adelecli.labels.excess import Noise
    from adelecli.training.exporter import FinishedRun, Proof
    from adelecli.training.options import ExportOptions
    from adelecli.training.settings import Scale


def choose_triggered(finished: FinishedRun, options: ExportOptions) -> frozenset[str]:
    """The classes that may be corrected: those named, else those whose onset was seen and whose labels look noisy.

    Raises ``ConfigError`` for an unknown one.
    """
    known = finished.plan.class_names[1:]
    if options.triggered is None:
        seen = frozenset(name for name in known if finished.onsets.get(name) is not None)
        if finished.noise is None:
            return seen
        return seen & {known[index - 1] for index in finished.noise.noisy_classes}
    for name in options.triggered:
        if name not in known:
            raise ConfigError(f"there is no class {name!r}", remedy=f"the classes are {', '.join(known)}")
    return frozenset(options.triggered)


def make_contract(finished: FinishedRun, scales: tuple[Scale, ...], options: ExportOptions, proof: Proof) -> Contract:
    """The contract of the file (onnx design page, section 4.1)."""
    plan, settings = finished.plan, finished.settings
    triggered, noise = choose_triggered(finished, options), _describe_noise(finished)
    entries = zip(plan.class_ids, plan.class_names, plan.class_colours, proof.taus, strict=True)
    classes = tuple(
        ClassEntry(
            id=identity,
            name=name,
            colour=colour,
            triggered=name in triggered,
            onset=finished.onsets.get(name),
            tau=tau,
            noise=noise.get(name),
        )
        for identity, name, colour, tau in entries
    )
    run = {key: finished.run[key] for key in ("id", "versions", "seed", "preset", "data")}
    return Contract(
        name=options.name or str(finished.run["id"]),
        dims=2,
        classes=classes,
        ignore=plan.ignore,
        channels=plan.channels,
        channel_names=plan.channel_names,
        grid=plan.grid,
        scales=scales,
        divisor=2**settings.network.depth,
        precision=options.precision,  # type: ignore[arg-type]  # held to PRECISIONS before
        constraint=settings.correction.constraint,
        outline=settings.correction.outline,
        gate=None if options.triggered else _describe_gate(finished.noise),
        restore=None if options.triggered else _describe_restoration(finished.noise),
        run=run,
        parity=proof.parity,
        validation=proof.validation,
        weights_sha256=proof.weights_sha256,
        licence=options.licence or "unknown",
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )


def _describe_noise(finished: FinishedRun) -> dict[str, NoiseEstimate]:
    """The estimated label error of each foreground class, where it was measured."""
    if finished.noise is None:
        return {}
    return {
        name: NoiseEstimate(
            share=entry.error, low=min(entry.low, entry.error), high=min(1.0, max(entry.high, entry.error))
        )
        for name, entry in zip(finished.plan.class_names[1:], finished.noise.classes, strict=True)
    }


def _describe_gate(noise: Noise | None) -> GateEntry | None:
    gate = noise.gate if noise is not None else None
    if gate is None:
        return None
    return GateEntry(
        network=_write_numbers(gate.network),
        threshold=gate.threshold,
        factor=gate.factor,
    )


def _describe_restoration(noise: Noise | None) -> tuple[float | None, ...] | None:
    return None if noise is None or noise.restoration is None else _write_numbers(noise.restoration.least)


def _write_numbers(values: tuple[float, ...]) -> tuple[float | None, ...]:
    """NaN, which JSON does not have, as null."""
    return tuple(None if math.isnan(value) else value for value in values)
