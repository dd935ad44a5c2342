"""Who does the trainings: this process one after another, or several processes side by side; and where they are.

What must hold: the order and the number of workers change no result; a worker uses one thread of torch, so that workers side by side
do not wait for each other; the first error stops what has not begun.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from queue import Empty
from typing import TYPE_CHECKING, Any

from adelecli.benchmarking.work import Task, perform_unit
from adelecli.processes import close_pool, ignore_interrupts, refuse_processes, shelter_start
from adelecli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from adelecli.benchmarking.records import RunScore
    from adelecli.progress import Callback

_messages: Any = None  # in a worker: the queue to its parent, which only a process's start can hand over


@dataclass
class Board:
    """The whole plan: which trainings there are, which are done, how long the rest may take."""

    plan: Sequence[Task]
    epochs: int
    progress: Callback
    finished: set[str] = field(default_factory=set)
    reached: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def announce(self, task: Task) -> Callback:
        """The callback of one training."""
        return lambda event: self.take(task, event)

    def take(self, task: Task, event: Progress) -> None:
        """Pass on what a training says, with its name and its place in the plan, and move the bar of the whole plan."""
        number = [one.key for one in self.plan].index(task.key) + 1
        name = f"{task.method}, seed {task.seed} ({number} of {len(self.plan)})"
        self.progress(replace(event, stage=f"{name}: {event.stage}"))
        if event.stage == "train":
            self.reached[task.key] = max(self.reached.get(task.key, 0), event.done)
            self.tell(name)

    def tell(self, name: str = "") -> None:
        """Where the plan is, in epochs; ``detail`` holds the training and the seconds that may be left."""
        here = sum(self.reached.values())
        total = len(self.plan) * self.epochs
        done = min(total, here + len(self.finished) * self.epochs)
        left = (time.monotonic() - self.started) / here * (total - done) if here else None
        detail = {"step": name, "seconds_left": None if left is None else round(left)}
        self.progress(Progress("bench", done, total, detail=detail))


def perform_all(units: Sequence[Sequence[Task]], board: Board, *, jobs: int, keep: bool) -> list[RunScore]:
    """Do all units, ``jobs`` of them side by side. Raises the first error, and ``ConfigError`` where no process can be started."""
    if jobs == 1 or len(units) <= 1:
        return [score for unit in units for score in perform_unit(unit, board.announce, keep=keep)]
    refuse_processes(f"`jobs` is {jobs}")
    context = get_context("spawn")
    messages = context.Queue()
    by_key = {task.key: task for unit in units for task in unit}
    scores: list[RunScore] = []
    pool = ProcessPoolExecutor(min(jobs, len(units)), context, _start_worker, (messages,))
    try:
        with shelter_start():
            waiting: set[Future[list[RunScore]]] = {pool.submit(_perform_remotely, tuple(unit), keep) for unit in units}
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            _pass_on(messages, by_key, board)
            for future in done:
                scores += future.result()
    except KeyboardInterrupt:
        close_pool(pool, in_peace=False)  # a training takes minutes, and goes on from its last epoch another time
        raise
    finally:
        close_pool(pool, in_peace=True)
    return scores


def _pass_on(messages: Any, by_key: dict[str, Task], board: Board) -> None:
    while True:
        try:
            key, event = messages.get_nowait()
        except Empty:
            return
        board.take(by_key[key], event)


def _start_worker(messages: Any) -> None:
    """Before torch is loaded: one thread for it, and the way back to the parent."""
    ignore_interrupts()
    global _messages  # noqa: PLW0603 - a worker's only way to keep what its initialiser was given
    _messages = messages
    os.environ["OMP_NUM_THREADS"] = "1"


def _perform_remotely(unit: tuple[Task, ...], keep: bool) -> list[RunScore]:
    return perform_unit(unit, _announce_remotely, keep=keep)


def _announce_remotely(task: Task) -> Callable[[Progress], None]:
    def send(event: Progress) -> None:
        if event.stage == "train" or event.notice is not None:  # a step is not worth a message between processes
            _messages.put((task.key, event))

    return send
