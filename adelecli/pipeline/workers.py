"""Cases spread over worker processes, each with its own session on one thread.

What must hold: a case is written by one process at a time; a worker that is killed (out of memory, by a person) costs at
most the cases that it and its neighbours had in hand, and those are done again, each alone in a fresh process, so that
only the case that kills its worker twice fails; what stands in the store afterwards is what one process would have made.
Processes are spawned, never forked: the runtime's threads do not survive a fork.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from adelecli.errors import CaseError, ModelError
from adelecli.pipeline.execution import note_failure, run_case
from adelecli.pipeline.provenance import measure_peak_memory
from adelecli.pipeline.session import open_session
from adelecli.processes import close_pool, ignore_interrupts, shelter_start
from adelecli.progress import ignore_progress
from adelecli.store.arrays import limit_threads
from adelecli.store.collection import open_store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from concurrent.futures import Future

    from adelecli.pipeline.records import CaseRecord
    from adelecli.pipeline.session import Job, Session, Treatment
    from adelecli.store.collection import Store
    from adelecli.volumes.cases import Case

AHEAD = 2
"""Cases handed out for each worker: one in hand and one waiting, so that nobody idles and a crash costs little."""

_LOCK = Lock()
_OPEN: dict[str, Any] = {}


@dataclass(frozen=True)
class Answer:
    """What a worker says of a case: its record, the seconds of each stage, and the worker's peak memory in MB."""

    record: CaseRecord
    seconds: dict[str, float]
    peak_memory_mb: float | None


def run_in_processes(cases: Iterable[Case], job: Job, workers: int) -> Generator[Answer, None, None]:
    """Treat ``cases`` in ``workers`` processes; yields answers as they come. Errors of the whole run are raised."""
    waiting = deque(cases)
    while waiting:
        suspects: list[Case] = []
        yield from _run_pool(waiting, suspects, job, workers)
        for case in suspects:  # alone, so that a crash tells whose it is
            again: list[Case] = []
            yield from _run_pool(deque([case]), again, job, 1)
            if again:
                fact = "its worker process was killed twice (by the system, when memory ran out, or by a person)"
                failure = CaseError(fact, path=case.images[0], remedy="use fewer --workers or more memory")
                yield Answer(note_failure(case.id, failure), {}, None)


def _run_pool(waiting: deque[Case], suspects: list[Case], job: Job, workers: int) -> Generator[Answer, None, None]:
    """Treat what is ``waiting`` until it is done or a worker dies; then the cases in hand are the ``suspects``."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=ignore_interrupts)
    running: dict[Future[Answer], Case] = {}
    try:
        while (waiting or running) and not suspects:
            while waiting and len(running) < AHEAD * workers:
                with shelter_start():
                    future = pool.submit(treat_case, job, waiting[0])
                running[future] = waiting.popleft()  # only now: a pool that broke meanwhile takes nothing
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                case = running.pop(future)
                try:
                    answer = future.result()
                except BrokenProcessPool:
                    suspects.append(case)
                    continue
                yield answer
    except BrokenProcessPool:  # by a submission that came too late
        pass
    finally:
        suspects.extend(running.values())
        close_pool(pool, in_peace=not running)


def treat_case(job: Job, case: Case) -> Answer:
    """Treat one case in this process, which opens its session and store for the first one and keeps them."""
    with _LOCK:  # where several threads of a process are asked, they take turns at its one session
        session, treatment, store = open_job(job)
        session.clock.seconds.clear()
        record = run_case(case, treatment, session, store)
        return Answer(record, dict(session.clock.seconds), measure_peak_memory())


def open_job(job: Job) -> tuple[Session, Treatment, Store | None]:
    """This process's session, treatment and store for ``job``, opened when it is asked for the first time."""
    if _OPEN.get("job") != job:  # options may hold a mapping, so a job cannot be hashed
        limit_threads()
        session = open_session(job.options, ignore_progress, job.store, path=job.model, threads=job.threads)
        if session.model.sha256 != job.sha256:
            raise ModelError("is not the model that this run began with", path=job.model, remedy="start the run again")
        store = None if job.store is None else open_store(job.store)
        _OPEN.update(job=job, opened=(session, job.command.prepare(session), store))
    opened: tuple[Session, Treatment, Store | None] = _OPEN["opened"]
    return opened
