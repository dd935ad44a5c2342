"""Cases one after another in this process, with reading ahead of the network and writing behind it.

What must hold: one bad case never stops the others; what is published is what the plain loop would publish, in the same
order; at most one case waits to be treated and one to be written. An error that is not a case's own (a full disk, our
bug) comes out in the caller's thread, and what had been handed to the writer is finished first. Under a limit of memory a large
case is alone: three that are read, treated and written at once need three times the slabs, and a run of many cases must not need
more than a run of one.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from adelecli.errors import CaseError
from adelecli.flow import read_ahead
from adelecli.intake.formats import read_geometry
from adelecli.pipeline.records import CaseRecord
from adelecli.scratch import trim_heap
from adelecli.store.publication import publish_case

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Future
    from types import TracebackType

    from adelecli.pipeline.session import Outcome, Session, Treatment
    from adelecli.store.collection import Store
    from adelecli.volumes.cases import Case

Result = TypeVar("Result")


@dataclass(frozen=True)
class Naming:
    """A context whose unexpected errors say, as a note of their traceback, which case they belong to."""

    case: Case

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"while treating the case {self.case.id}")


def attempt(case: Case, work: Callable[[], Result]) -> Result | CaseError:
    """What ``work`` returns, or the error that belongs to the case alone, with a file in its name."""
    with Naming(case):
        try:
            return work()
        except CaseError as error:
            # the rooms that know arrays know no files
            return error if error.path is not None else CaseError(error.fact, path=case.images[0], remedy=error.remedy)
        except MemoryError:
            fact, remedy = "does not fit into memory", "crop it, or use a machine with more memory"
            return CaseError(fact, path=case.images[0], remedy=remedy)


def run_cases(
    cases: Iterable[Case],
    treatment: Treatment,
    session: Session,
    store: Store | None,
    announce: Callable[[str], None],
) -> Generator[CaseRecord, None, None]:
    """Treat ``cases`` and publish them into ``store``; yields each one's record in order, once it is on the disk.

    ``announce`` is told each id before the network is asked about it.
    """
    for is_large, group in groupby(cases, lambda case: _is_large(case, session)):
        if not is_large:
            yield from _run_overlapping(list(group), treatment, session, store, announce)
            continue
        for case in group:
            announce(case.id)
            yield run_case(case, treatment, session, store, tidy=trim_heap)


def _is_large(case: Case, session: Session) -> bool:
    """Whether memory is limited and a copy of the case's voxels (2 bytes each) would lie in a file; a header that is damaged is small."""
    if session.options.max_ram_bytes is None:
        return False
    try:
        return 2 * math.prod(read_geometry(case.images[0]).shape) > session.scratch.keep
    except CaseError:
        return False


def _run_overlapping(
    cases: list[Case],
    treatment: Treatment,
    session: Session,
    store: Store | None,
    announce: Callable[[str], None],
) -> Generator[CaseRecord, None, None]:
    loaded = ((case, *_read_case(case, treatment, session)) for case in cases)
    with ThreadPoolExecutor(1, thread_name_prefix="adele-write") as writer:
        writing: Future[CaseRecord] | None = None
        for case, content, seconds in read_ahead(loaded, 1):
            announce(case.id)
            outcome = _treat_case(case, content, seconds, treatment)
            if writing is not None:
                yield writing.result()
            writing = writer.submit(_publish_case, case, outcome, session, store)
        if writing is not None:
            yield writing.result()


def run_case(
    case: Case, treatment: Treatment, session: Session, store: Store | None, *, tidy: Callable[[], object] = int
) -> CaseRecord:
    """The same for one case, in this thread: what a worker process does. ``tidy`` is called after each stage."""
    content, seconds = _read_case(case, treatment, session)
    tidy()
    outcome = _treat_case(case, content, seconds, treatment)
    tidy()
    record = _publish_case(case, outcome, session, store)
    tidy()
    return record


def note_failure(name: str, error: CaseError) -> CaseRecord:
    """The record of a case that failed."""
    return CaseRecord(id=name, status="failed", error=str(error))


def _read_case(case: Case, treatment: Treatment, session: Session) -> tuple[Any, float]:
    begin = time.perf_counter()
    with session.clock.stage("read"):
        content = attempt(case, lambda: treatment.read(case))
    return content, time.perf_counter() - begin


def _treat_case(case: Case, content: Any, seconds: float, treatment: Treatment) -> Outcome | CaseError:
    if isinstance(content, CaseError):
        return content
    begin = time.perf_counter()
    outcome = attempt(case, lambda: treatment.treat(case, content))
    if isinstance(outcome, CaseError):
        return outcome
    spent = round(seconds + time.perf_counter() - begin, 3)
    return replace(outcome, record=msgspec.structs.replace(outcome.record, seconds=spent))


def _publish_case(case: Case, outcome: Outcome | CaseError, session: Session, store: Store | None) -> CaseRecord:
    if isinstance(outcome, CaseError):
        return note_failure(case.id, outcome)
    if store is not None:
        with session.clock.stage("write"):
            failure = attempt(case, lambda: publish_outcome(store, outcome))
        if failure is not None:
            return note_failure(case.id, failure)
    return outcome.record


def publish_outcome(store: Store, outcome: Outcome) -> None:
    """Publish the arrays and the record of a case, all of it or nothing."""
    with publish_case(store, outcome.record.id) as draft:
        for name, (labels, classes) in outcome.labels.items():
            draft.write_labels(name, labels, outcome.frame, classes)
        if outcome.confidence is not None:
            draft.write_map("confidence", outcome.confidence)
        draft.set_record(msgspec.to_builtins(outcome.record))
