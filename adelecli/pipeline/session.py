"""What every case of a run shares, and how it is opened: in this process, in a worker's, or on another machine.

A session cannot travel between processes (it holds the network), so what travels is the `Job` from which each process
opens its own. What must hold: all of them run the same bytes of the same model (the hash travels too) with the same options.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adelecli.errors import ModelError
from adelecli.pipeline.discovery import find_hash, find_model
from adelecli.pipeline.provenance import Clock
from adelecli.pipeline.sizes import read_size
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.runtime.acceleration import Acceleration
from adelecli.runtime.models import Model, open_model
from adelecli.scratch import KEEP_BYTES, Scratch, share_heap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from adelecli.pipeline.inference import Answer
    from adelecli.pipeline.options import BatchOptions
    from adelecli.pipeline.records import CaseRecord
    from adelecli.pipeline.sharing import SliceSharing
    from adelecli.store.frame import Frame
    from adelecli.volumes.cases import Case


@dataclass(frozen=True)
class Outcome:
    """What a case is to be published as: label arrays by name ``[Z, Y, X]`` on the source grid, each with its class entries."""

    record: CaseRecord
    frame: Frame
    labels: Mapping[str, tuple[NDArray[np.unsignedinteger], list[dict[str, object]]]]
    confidence: NDArray[np.uint8] | None = None


@dataclass
class Session:
    """What every case of a run shares."""

    model: Model
    options: BatchOptions
    progress: Callback = ignore_progress
    clock: Clock = field(default_factory=Clock)
    scratch: Scratch = field(default_factory=Scratch)
    notices: list[str] = field(default_factory=list)
    begun: bool = False
    sharing: SliceSharing | None = None
    """The processes that share each case's slices; ``None``: this process asks the network itself."""
    lanes: int = 1
    """How many runs of the network go beside each other."""

    def notify(self, notice: str | None) -> None:
        """Show a line to whoever watches, and keep it for the report; before ``begin`` it is only kept."""
        if notice:
            self.notices.append(notice)
        if notice and self.begun:
            self.progress(Progress("model", notice=notice))

    def begin(self) -> None:
        """Show what was kept: a call that is refused before its first case says one line, the reason, and no more."""
        self.begun = True
        for notice in self.notices:
            self.progress(Progress("model", notice=notice))


class Treatment(Protocol):
    """How a command treats one case, in two steps, so that the next case is read while the network works on this one."""

    def read(self, case: Case) -> Any:
        """Read the case's files and hold them to each other; what comes out is handed to ``treat``."""

    def answer(self, case: Case, loaded: Any, numbers: Sequence[int]) -> Iterator[Answer]:
        """The network's word on the canonical slices ``numbers``, in order: a function of the case's files alone."""

    def treat(self, case: Case, loaded: Any) -> Outcome:
        """Ask the network and make what is to be published."""


@dataclass(frozen=True)
class Command:
    """What is special about a command: its name, and how it makes the treatment of its cases for a session.

    ``prepare`` is a function of a module, since it travels to worker processes. It may raise ``ConfigError``: it is called
    before anything is written.
    """

    name: str
    prepare: Callable[[Session], Treatment]


@dataclass(frozen=True)
class Job:
    """All that a process needs to treat cases of a run; plain values only. ``threads`` of the network; 0: all cores."""

    command: Command
    options: BatchOptions
    model: Path
    sha256: str
    store: Path | None
    threads: int = 1


def open_session(
    options: BatchOptions, progress: Callback, out: Path | None, *, path: Path | None = None, threads: int = 0
) -> Session:
    """Open the model that ``options`` mean (or ``path``) with scratch space beside the store ``out``; errors of ``open_model``."""
    clock = Clock()
    path = path or find_model(options.model)
    limit = options.max_ram_bytes
    if limit is not None:
        share_heap()  # before the threads that would each have one of their own
    how = Acceleration(
        options.provider,
        Path(options.engine_cache) if options.engine_cache is not None else None,
        None if options.gpu_mem is None else read_size(options.gpu_mem, "gpu_mem"),
    )
    lanes, threads = (1, threads) if threads or limit is not None else _plan_lanes()
    with clock.stage("model"):
        model = open_model(
            path, options.device, sha256=find_hash(path), threads=threads, low_memory=limit is not None, how=how
        )
    if model.contract.dims != 2:
        raise ModelError("takes whole volumes", path=path, remedy="use a model of slices (`dims` 2 in its contract)")
    keep = KEEP_BYTES if limit is None else min(KEEP_BYTES, limit // 64)  # three cases at once, five arrays each
    folder = out.absolute().parent if out is not None and out.absolute().parent.is_dir() else None
    lanes = lanes if model.device.name == "cpu" else 1  # a GPU takes one run after another
    session = Session(model, options, progress, clock, Scratch(folder, keep), lanes=lanes)
    session.notify(model.device.notice)
    return session


def _plan_lanes() -> tuple[int, int]:
    """How many runs of the network go beside each other on a CPU, and the threads of each.

    Two runs of half the cores wait less for each other than the threads of one run do, the more so beside other work: 0.74 of
    the time on two busy cores, at the price of a second run's memory. So under a limit of memory there is one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (2, cores // 2) if cores > 1 else (1, 1)
