"""What a caller of ``train`` and ``export`` may pass; the names are those of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

    from adelecli.volumes.caselists import CaseList

PRECISIONS = ("fp32", "fp16", "int8")

StrPath = str | PathLike[str]
Options = TypeVar("Options", bound="DataclassInstance")


class TrainKeywords(TypedDict, total=False):
    """Keywords of ``train``; ``None`` leaves the choice to the preset."""

    out: StrPath
    name: str | None
    preset: str | None
    config: StrPath | None
    set: Sequence[str]
    epochs: int | None
    seed: int | None
    device: str
    patience: int | None
    axis: str | None
    baseline: bool
    resume: StrPath | None
    clean: StrPath | None
    val: StrPath | None
    trusted: CaseList | None


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``train`` with their defaults.

    ``out``: folder of the runs; ``clean``: folder of clean masks, for measuring only; ``val``: file with one validation
    case id a line; ``resume``: a run folder to go on with. ``trusted``: the cases whose labels are right, a file as ``val`` or the
    ids: they are trained on, never corrected, shown more often, and what honest disagreement is measured by.
    """

    out: StrPath = "runs"
    name: str | None = None
    preset: str | None = None
    config: StrPath | None = None
    set: Sequence[str] = ()
    epochs: int | None = None
    seed: int | None = None
    device: str = "auto"
    patience: int | None = None
    axis: str | None = None
    baseline: bool = False
    resume: StrPath | None = None
    clean: StrPath | None = None
    val: StrPath | None = None
    trusted: CaseList | None = None


class ExportKeywords(TypedDict, total=False):
    """Keywords of ``export``."""

    scales: Sequence[str] | None
    name: str | None
    licence: str | None
    overwrite: bool
    precision: str
    triggered: Sequence[str] | None
    from_onnx: StrPath | None
    contract: StrPath | None


@dataclass(frozen=True)
class ExportOptions:
    """Options of ``export``: ``scales`` as fractions (``"7/10"``; default: the run's), ``licence`` of the weights.

    ``precision``: fp32, fp16 (for GPUs) or int8 (for CPUs). ``triggered``: names of the classes that may be corrected, instead
    of those whose onset was seen; for a network trained on labels known to be clean. ``from_onnx``: a plain segmentation
    network that gets the contract of the TOML file ``contract``.
    """

    scales: Sequence[str] | None = None
    name: str | None = None
    licence: str | None = None
    overwrite: bool = False
    precision: str = "fp32"
    triggered: Sequence[str] | None = None
    from_onnx: StrPath | None = None
    contract: StrPath | None = None
