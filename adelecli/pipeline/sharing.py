"""One case shared by several processes: each asks the network about blocks of its slices; one process applies the rule and writes.

For a run of fewer cases than workers, above all of one huge volume. What must hold: the answers are those that the one process would
have got, in the same order, so the store's bytes are too; a process that is killed costs the blocks that were in hand, which fresh
processes take over, and only a second time the case; no more than a few blocks wait in memory. Nothing is written by the workers,
so no region of the store ever has two owners. Each of them reads the case itself: arrays that lie in a file are shared by the
system's cache, and what must be unpacked is unpacked once in each.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from adelecli.errors import CaseError
from adelecli.pipeline.workers import open_job
from adelecli.processes import close_pool, ignore_interrupts, shelter_start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adelecli.pipeline.inference import Answer
    from adelecli.pipeline.session import Job
    from adelecli.volumes.cases import Case

BLOCK_BYTES = 1 << 25
"""Answers that travel at once: of a 512 x 512 slice they take 2.6 MB at most, so a dozen slices share a block."""
PIXEL_BYTES = 10
"""Of an answer: two class indices and two confidences."""
AHEAD = 2
"""Blocks handed out for each worker."""

_READ: dict[str, Any] = {}


class SliceSharing:
    """Processes that answer for slices of one case after another."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job, self._workers = job, workers
        self._pool: ProcessPoolExecutor | None = None

    def ask(self, case: Case, numbers: Sequence[int], pixels: int) -> Iterator[Answer]:
        """The network's word on the canonical slices ``numbers`` of ``case``, in order; ``pixels`` of one slice.

        Raises what reading and segmenting the case raise, and ``CaseError`` when workers are killed twice.
        """
        step = max(1, min(BLOCK_BYTES // (PIXEL_BYTES * pixels), -(-len(numbers) // (AHEAD * self._workers))))
        waiting = deque(numbers[start : start + step] for start in range(0, len(numbers), step))
        running: deque[tuple[Sequence[int], Future[list[Answer]]]] = deque()
        again = False
        while waiting or running:
            try:
                while waiting and len(running) < AHEAD * self._workers:
                    running.append((waiting[0], self._submit(case, waiting[0])))
                    waiting.popleft()  # only now: a pool that broke meanwhile takes nothing
                answers = running[0][1].result()
            except BrokenProcessPool:
                if again:
                    fact = "its worker processes were killed twice (by the system, when memory ran out, or by a person)"
                    remedy = "use fewer --workers or more memory"
                    raise CaseError(fact, path=case.images[0], remedy=remedy) from None
                again = True
                waiting.extendleft(reversed([block for block, _ in running]))
                running.clear()
                self.close()
                continue
            running.popleft()
            yield from answers

    def _submit(self, case: Case, block: Sequence[int]) -> Future[list[Answer]]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=ignore_interrupts)
        with shelter_start():
            return self._pool.submit(answer_block, self._job, case, block)

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        if self._pool is not None:
            close_pool(self._pool, in_peace=False)
            self._pool = None


def answer_block(job: Job, case: Case, block: Sequence[int]) -> list[Answer]:
    """What a worker says of the slices ``block``; it reads the case for the first of them and keeps it until another case comes."""
    _, treatment, _ = open_job(job)
    if _READ.get("case") != case:
        _READ.clear()  # before the next one is read: two at once might be too many
        _READ.update(case=case, loaded=treatment.read(case))
    return list(treatment.answer(case, _READ["loaded"], block))
