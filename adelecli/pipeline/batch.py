"""The loop over cases that ``correct`` and ``predict`` share: one session, one case at a time, each published when it is done.

What must hold: one bad case never stops the batch (unless ``fail_fast``), its error stands in the report; an interruption at any
moment leaves every published case whole; nothing is trusted because a file exists. Errors that concern the whole run (the
model, the device, the disk) do stop it.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adelecli.errors import CaseError, ModelError
from adelecli.pipeline.discovery import find_hash, find_model
from adelecli.pipeline.filing import check_file_target, write_text
from adelecli.pipeline.options import BatchOptions, StrPath, match_ids
from adelecli.pipeline.provenance import Clock, describe_platform, list_libraries, measure_peak_memory
from adelecli.pipeline.records import CaseRecord, ModelRecord, Report, RunRecord, rank_cases
from adelecli.pipeline.resumption import find_finished
from adelecli.progress import Callback, Progress
from adelecli.runtime.models import Model, open_model
from adelecli.store.collection import Store, create_store
from adelecli.store.publication import publish_case
from adelecli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from adelecli.store.frame import Frame
    from adelecli.volumes.cases import Case, Pairing


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
    progress: Callback
    clock: Clock
    notices: list[str] = field(default_factory=list)

    def notify(self, notice: str | None) -> None:
        """Show a line to whoever watches, and keep it for the report."""
        if notice:
            self.notices.append(notice)
            self.progress(Progress("model", notice=notice))


@dataclass(frozen=True)
class Command:
    """What is special about a command: its name, and how it makes, for a session, the function that treats one case.

    ``prepare`` may raise ``ConfigError``: it is called before anything is written.
    """

    name: str
    prepare: Callable[[Session], Callable[[Case], Outcome]]


def run_batch(command: Command, pairing: Pairing, out: StrPath, options: BatchOptions, progress: Callback) -> Report:
    """Treat every chosen case of ``pairing`` and publish it into the store ``out``; see the module.

    Raises ``ConfigError``, ``DeviceError``, ``ModelError``, ``InputError`` or ``OutputError`` before the first case, and
    ``CaseError`` under ``fail_fast``; the report file is written in that case too.
    """
    ids = set(match_ids([case.id for case in pairing.cases] + [name for name, _ in pairing.faults], options.cases))
    cases = [case for case in pairing.cases if case.id in ids]
    report_file = check_file_target(Path(options.report)) if options.report is not None else None
    session = _open_session(options, progress)
    treat = command.prepare(session)
    store = None if options.dry_run else _open_store(command, out, session)
    finished = find_finished(store, cases) if store is not None and options.resume else {}
    records: list[CaseRecord] = []
    try:
        for name, fault in pairing.faults:
            if name in ids:
                _keep(_note_failure(name, fault, session), records, options)
        for done, case in enumerate(cases):
            progress(Progress(command.name, done, len(cases), case.id))
            _keep(finished.get(case.id) or _run_case(case, treat, session, store), records, options)
        progress(Progress(command.name, len(cases), len(cases)))
    finally:
        report = _make_report(command, session, records)
        if report_file is not None:
            write_text(report_file, report.to_json())
    return report


def _keep(record: CaseRecord, records: list[CaseRecord], options: BatchOptions) -> None:
    records.append(record)
    if options.fail_fast and record.error is not None:
        raise CaseError(record.error)


def _open_session(options: BatchOptions, progress: Callback) -> Session:
    clock = Clock()
    path = find_model(options.model)
    with clock.stage("model"):
        model = open_model(path, options.device, sha256=find_hash(path))
    if model.contract.dims != 2:
        raise ModelError("takes whole volumes", path=path, remedy="use a model of slices (`dims` 2 in its contract)")
    session = Session(model, options, progress, clock)
    session.notify(model.device.notice)
    return session


def _open_store(command: Command, out: StrPath, session: Session) -> Store:
    identity = {"command": command.name, "model": session.model.sha256, "options": session.options.identity()}
    return create_store(Path(out), run=identity, overwrite=session.options.overwrite, resume=session.options.resume)


def _run_case(case: Case, treat: Callable[[Case], Outcome], session: Session, store: Store | None) -> CaseRecord:
    begin = time.perf_counter()
    try:
        outcome = treat(case)
        record = msgspec.structs.replace(outcome.record, seconds=round(time.perf_counter() - begin, 3))
        if store is not None:
            with session.clock.stage("write"):
                _publish(store, outcome, record)
    except CaseError as error:
        return _note_failure(case.id, _name_file(error, case), session)
    except MemoryError:
        fact, remedy = "does not fit into memory", "crop it, or use a machine with more memory"
        return _note_failure(case.id, CaseError(fact, path=case.images[0], remedy=remedy), session)
    return record


def _name_file(error: CaseError, case: Case) -> CaseError:
    """The error itself, with the image's path where it was raised by a room that knows arrays but no files."""
    return error if error.path is not None else CaseError(error.fact, path=case.images[0], remedy=error.remedy)


def _note_failure(name: str, error: CaseError, session: Session) -> CaseRecord:
    session.progress(Progress("case", case=name, notice=str(error)))
    return CaseRecord(id=name, status="failed", error=str(error))


def _publish(store: Store, outcome: Outcome, record: CaseRecord) -> None:
    with publish_case(store, record.id) as draft:
        for name, (labels, classes) in outcome.labels.items():
            draft.write_labels(name, labels, outcome.frame, classes)
        if outcome.confidence is not None:
            draft.write_map("confidence", outcome.confidence)
        draft.set_record(msgspec.to_builtins(record))


def _make_report(command: Command, session: Session, records: list[CaseRecord]) -> Report:
    contract, options = session.model.contract, session.options
    run = RunRecord(
        command=command.name,
        adele=__version__,
        python=platform.python_version(),
        platform=describe_platform(),
        libraries=list_libraries(),
        model=ModelRecord(contract.name, session.model.sha256, str(contract.run.get("id") or "") or None),
        options=options.identity()
        | {"cases": list(options.cases), "dry_run": options.dry_run, "resume": options.resume},
        device_asked=options.device,
        device_used=session.model.device.name,
        started=session.clock.started,
        seconds=session.clock.rounded(),
        peak_memory_mb=measure_peak_memory(),
    )
    return Report(run, rank_cases(tuple(sorted(records, key=lambda record: record.id))), tuple(session.notices))
