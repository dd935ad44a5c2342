"""The options of the batch commands: what a caller may pass, what they default to, and the checks that need no file.

The ``TypedDict`` types tell a type checker which keywords exist; the frozen dataclass beside each holds defaults and refuses
contradictions. An unknown keyword is a ``ConfigError`` that names it, as an unknown key in a file is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar

from adelecli.caseids import select_ids
from adelecli.errors import ConfigError, InputError
from adelecli.pipeline.sizes import read_size

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from adelecli.volumes.caselists import CaseList

StrPath = str | PathLike[str]
Constraint = Literal["slice", "volume", "none"]
Options = TypeVar("Options", bound="DataclassInstance")


class BatchKeywords(TypedDict, total=False):
    """What ``predict`` takes, and ``correct`` with it."""

    model: StrPath | None
    device: str
    cases: Sequence[str]
    dry_run: bool
    resume: bool
    overwrite: bool
    confidence_maps: bool
    fail_fast: bool
    report: StrPath | None
    provider: Literal["cuda", "tensorrt"] | None
    engine_cache: StrPath | None
    gpu_mem: str | int | None
    workers: int
    max_ram: str | int | None
    shard: str | None
    scheduler: str | None


class CorrectKeywords(BatchKeywords, total=False):
    """What ``correct`` takes besides."""

    images: StrPath | None
    confidence: float | Mapping[str, float] | None
    constraint: Constraint | None
    max_change: float
    protect: Sequence[str]
    classes: Sequence[str]
    trusted: CaseList | None


class CheckKeywords(TypedDict, total=False):
    """What ``check`` takes."""

    images: StrPath | None
    out: StrPath | None
    model: StrPath | None
    device: str
    cases: Sequence[str]


@dataclass(frozen=True)
class CheckOptions:
    """Options of ``check``: those of ``correct`` that matter before it is started; ``out`` is where the disk space is looked for."""

    images: StrPath | None = None
    out: StrPath | None = None
    model: StrPath | None = None
    device: str = "auto"
    cases: Sequence[str] = ()


class VerifyKeywords(TypedDict, total=False):
    """What ``verify`` takes."""

    masks: StrPath | None
    images: StrPath | None
    model: StrPath | None


@dataclass(frozen=True)
class VerifyOptions:
    """Options of ``verify``: where the source files and the model lie, if they are to be read again."""

    masks: StrPath | None = None
    images: StrPath | None = None
    model: StrPath | None = None


@dataclass(frozen=True)
class BatchOptions:
    """Options of a batch through the network; ``device`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    None of ``provider`` to ``scheduler`` changes a result: they say where and by how many processes it is made.
    """

    model: StrPath | None = None
    device: str = "auto"
    cases: Sequence[str] = ()
    dry_run: bool = False
    resume: bool = False
    overwrite: bool = False
    confidence_maps: bool = False
    fail_fast: bool = False
    report: StrPath | None = None
    provider: Literal["cuda", "tensorrt"] | None = None
    engine_cache: StrPath | None = None
    gpu_mem: str | int | None = None
    workers: int = 1
    max_ram: str | int | None = None
    shard: str | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise ConfigError("`resume` and `overwrite` contradict each other", remedy="choose one of them")
        if self.workers < 1:
            raise ConfigError(f"`workers` is {self.workers}", remedy="give 1 or more")
        if self.workers > 1 and self.scheduler is not None:
            raise ConfigError(
                "`workers` and `scheduler` contradict each other", remedy="the cluster has its own workers"
            )
        for name, size in (("max_ram", self.max_ram), ("gpu_mem", self.gpu_mem)):
            if size is not None:
                read_size(size, name)

    @property
    def max_ram_bytes(self) -> int | None:
        """What each process may take: the whole run's ``max_ram`` shared among its ``workers``; ``None``: no limit."""
        return None if self.max_ram is None else read_size(self.max_ram) // self.workers

    def execution(self) -> dict[str, object]:
        """The options that say how a run was done and change nothing in its result (plain JSON values)."""
        return {
            "provider": self.provider,
            "workers": self.workers,
            "max_ram": self.max_ram,
            "shard": self.shard,
            "scheduler": self.scheduler,
        }

    def identity(self) -> dict[str, object]:
        """The options that change the result: a run can be resumed only under the same ones (plain JSON values)."""
        return {"confidence_maps": self.confidence_maps}


@dataclass(frozen=True)
class CorrectOptions(BatchOptions):
    """Options of ``correct``; ``None`` leaves the choice to the model's contract.

    ``trusted``: the cases whose labels are right and stay as they are: a file with one id a line, or the ids. ``correct`` puts the
    ids in place of the file, because these options travel to processes and machines that may not see it.
    """

    images: StrPath | None = None
    confidence: float | Mapping[str, float] | None = None
    constraint: Constraint | None = None
    max_change: float = 0.5
    protect: Sequence[str] = ()
    classes: Sequence[str] = ()
    trusted: CaseList | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        thresholds = self.confidence.values() if isinstance(self.confidence, Mapping) else (self.confidence,)
        for name, value in [("max_change", self.max_change), *(("confidence", value) for value in thresholds)]:
            if value is not None and not (isinstance(value, Real) and 0 <= value <= 1):
                raise ConfigError(f"`{name}` is {value}, outside 0..1", remedy="give a share between 0 and 1")
        if self.constraint not in {None, "slice", "volume", "none"}:
            raise ConfigError(f"`constraint` is {self.constraint!r}", remedy="choose slice, volume or none")

    @property
    def trusted_ids(self) -> frozenset[str]:
        """The ids of the trusted cases; a file must have been read before."""
        assert not isinstance(self.trusted, str | PathLike), "the list of trusted cases has not been read"
        return frozenset(self.trusted or ())

    def identity(self) -> dict[str, object]:
        """See ``BatchOptions.identity``."""
        confidence, trusted = self.confidence, sorted(self.trusted_ids)
        chosen = super().identity() | {
            "confidence": dict(sorted(confidence.items())) if isinstance(confidence, Mapping) else confidence,
            "constraint": self.constraint,
            "max_change": self.max_change,
            "protect": sorted(self.protect),
            "classes": sorted(self.classes),
        }
        return chosen | {"trusted": trusted} if trusted else chosen  # so that stores without any stay resumable


def match_ids(ids: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The ids that any pattern matches (see ``caseids.match_pattern``), in their order; no pattern matches all.

    Raises ``InputError`` when nothing is left, and for a plain id that is not there: its case would be left out without a word.
    """
    chosen, idle = select_ids(ids, patterns)
    absent = [pattern for pattern in idle if not set(pattern) & set("*?[")]
    if absent and ids:
        remedy = f"{len(ids)} cases were found; names are case-sensitive"
        raise InputError(f"no case matches {', '.join(absent)}", remedy=remedy)
    if not chosen:
        what = f"no case matches {', '.join(patterns)}" if patterns else "there are no cases"
        raise InputError(what, remedy=f"{len(ids)} cases were found; names are case-sensitive" if ids else None)
    return chosen
