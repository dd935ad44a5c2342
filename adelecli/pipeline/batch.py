"""A run over many cases, as ``correct`` and ``predict`` share it: what is chosen, where it is done, what is told of it.

What must hold: one bad case never stops the batch (unless ``fail_fast``), its error stands in the report; an interruption at any
moment leaves every published case whole; nothing is trusted because a file exists. Errors that concern the whole run (the
model, the device, the disk) do stop it. Where cases are treated (here, in worker processes, on a cluster, in parts on machines
that do not know each other) changes nothing in what stands in the store.
"""

from __future__ import annotations

import platform
import time
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.errors import CaseError, ConfigError
from adelecli.pipeline.budget import check_budget
from adelecli.pipeline.cluster import check_address, run_on_cluster
from adelecli.pipeline.execution import note_failure, run_cases
from adelecli.pipeline.filing import check_report_target
from adelecli.pipeline.options import BatchOptions, StrPath, match_ids
from adelecli.pipeline.provenance import describe_platform, list_libraries, measure_peak_memory
from adelecli.pipeline.records import CaseRecord, ModelRecord, Report, RunRecord, rank_cases
from adelecli.pipeline.resumption import find_finished
from adelecli.pipeline.session import Command, Job, Session, Treatment, open_session
from adelecli.pipeline.shards import Shard, find_shard, freeze_cases
from adelecli.pipeline.sharing import SliceSharing
from adelecli.pipeline.workers import run_in_processes
from adelecli.processes import refuse_processes
from adelecli.progress import Callback, Progress
from adelecli.replacement import refuse_address, write_text
from adelecli.store.collection import Store, create_store
from adelecli.store.locking import hold_store
from adelecli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adelecli.volumes.cases import Case, Pairing


@dataclass
class _Run:
    """A run on its way: what it shares, where it writes, and what has come out so far."""

    command: Command
    session: Session
    store: Store | None
    shard: Shard | None
    begin: float = field(default_factory=time.perf_counter)
    peak_memory_mb: float = 0.0
    records: list[CaseRecord] = field(default_factory=list)

    def keep(self, record: CaseRecord) -> None:
        """Take a case's record in; raises CaseError for a failed one under ``fail_fast``."""
        self.records.append(record)
        if record.error is not None:
            self.session.progress(Progress("case", case=record.id, notice=record.error))
            if self.session.options.fail_fast:
                raise CaseError(record.error)


def run_batch(command: Command, pairing: Pairing, out: StrPath, options: BatchOptions, progress: Callback) -> Report:
    """Treat every chosen case of ``pairing`` and publish it into the store ``out``; see the module.

    Raises ``ConfigError``, ``DeviceError``, ``ModelError``, ``InputError`` or ``OutputError`` before the first case, and
    ``CaseError`` under ``fail_fast``; the report file is written in that case too.
    """
    place, faults = refuse_address(out), dict(pairing.faults)
    ids = match_ids([*(case.id for case in pairing.cases), *faults], options.cases)
    report_file = check_report_target(Path(options.report)) if options.report is not None else None
    shard = find_shard(options.shard)
    _check_execution(options, shard)
    session = open_session(options, progress, None if options.dry_run else place)
    treatment = command.prepare(session)
    session.notify(pairing.describe_spare())
    cases = {case.id: case for case in pairing.cases if case.id in set(ids)}
    if options.max_ram_bytes is not None:
        check_budget(session.model, cases.values(), options.max_ram_bytes)
    with (
        nullcontext()
        if options.dry_run
        else hold_store(place, part=None if shard is None else f"{shard.number}of{shard.count}")
    ):
        store = None if options.dry_run else _open_store(command, place, session, shard)
        session.begin()
        run = _Run(command, session, store, shard)
        try:
            mine = ids if shard is None else _cut_part(run, shard, ids)
            _refuse_faults(run, mine, cases, faults)
            todo = [cases[name] for name in sorted(mine) if name in cases]
            _treat_all(run, treatment, todo)
        finally:
            report = _make_report(run)
            if report_file is not None:
                write_text(report_file, report.to_json())
    return report


def _check_execution(options: BatchOptions, shard: Shard | None) -> None:
    if options.scheduler is not None:
        check_address(options.scheduler)
    if options.workers > 1:
        refuse_processes(f"`workers` is {options.workers}")
    if shard is not None and options.overwrite:
        fact = "`shard` and `overwrite` contradict each other: each part would delete the others' results"
        raise ConfigError(fact, remedy="remove the store first, or name another --out")


def _open_store(command: Command, place: Path, session: Session, shard: Shard | None) -> Store:
    options = session.options
    identity = {"command": command.name, "model": session.model.sha256, "options": options.identity()}
    resume = options.resume or shard is not None  # the parts of a run join the store that the first of them made
    return create_store(place, run=identity, overwrite=options.overwrite, resume=resume)


def _cut_part(run: _Run, shard: Shard, ids: list[str]) -> list[str]:
    """This part's ids, from the list that the first part wrote down."""
    frozen = sorted(ids) if run.store is None else freeze_cases(run.store, ids)
    spare = len(set(ids) - set(frozen))
    if spare:
        run.session.notify(f"{spare} cases came after the run began and are left out; start another run for them")
    return shard.cut(frozen)


def _refuse_faults(run: _Run, mine: list[str], cases: dict[str, Case], faults: dict[str, CaseError]) -> None:
    gone = CaseError("was there when the run began and is gone", remedy="put its files back and resume the run")
    for name in mine:
        if name not in cases:
            run.keep(note_failure(name, faults.get(name) or gone))


def _treat_all(run: _Run, treatment: Treatment, cases: list[Case]) -> None:
    """Take up what is finished, treat the rest, and tell of each."""
    session, started = run.session, iter(range(len(cases)))

    def announce(name: str) -> None:
        session.progress(Progress(run.command.name, next(started), len(cases), name))

    looks_back = run.store is not None and (session.options.resume or run.shard is not None)
    finished = find_finished(run.store, cases) if run.store is not None and looks_back else {}
    for name, record in finished.items():
        announce(name)
        run.keep(record)
    todo = [case for case in cases if case.id not in finished]
    options = session.options
    if options.scheduler is not None or 1 < options.workers <= len(todo):
        _treat_elsewhere(run, todo, announce)
    else:
        with _share_slices(run), closing(run_cases(todo, treatment, session, run.store, announce)) as records:
            for record in records:
                run.keep(record)
    session.progress(Progress(run.command.name, len(cases), len(cases)))


def _give_away(run: _Run) -> Job:
    """What worker processes need; this process's own session of the network, which is memory, is given up."""
    options, model = run.session.options, run.session.model
    run.session.model = replace(model, _session=None, _buffers=None)
    return Job(run.command, options, model.path.absolute(), model.sha256, None if run.store is None else run.store.path)


@contextmanager
def _share_slices(run: _Run) -> Iterator[None]:
    """While this is open, the slices of each case are shared by the workers, where there are more of them than cases."""
    workers = run.session.options.workers
    if workers < 2:
        yield
        return
    run.session.sharing = SliceSharing(_give_away(run), workers)
    try:
        yield
    finally:
        run.session.sharing.close()


def _treat_elsewhere(run: _Run, cases: list[Case], announce: Callable[[str], None]) -> None:
    options, job = run.session.options, _give_away(run)
    if options.scheduler is not None:
        answers = run_on_cluster(cases, job, options.scheduler)
    else:
        answers = run_in_processes(cases, job, options.workers)
    try:
        for answer in answers:
            announce(answer.record.id)
            for stage, seconds in answer.seconds.items():
                run.session.clock.seconds[stage] = run.session.clock.seconds.get(stage, 0.0) + seconds
            run.peak_memory_mb = max(run.peak_memory_mb, answer.peak_memory_mb or 0.0)
            run.keep(answer.record)
    finally:
        answers.close()
        if run.store is not None:
            run.store.remove_leftovers()


def _make_report(run: _Run) -> Report:
    session = run.session
    contract, options, device = session.model.contract, session.options, session.model.device
    own = measure_peak_memory()
    record = RunRecord(
        command=run.command.name,
        adele=__version__,
        python=platform.python_version(),
        platform=describe_platform(),
        libraries=list_libraries(),
        model=ModelRecord(contract.name, session.model.sha256, str(contract.run.get("id") or "") or None),
        options=options.identity()
        | options.execution()
        | {"cases": list(options.cases), "dry_run": options.dry_run, "resume": options.resume},
        device_asked=options.device,
        device_used=device.name,
        started=session.clock.started,
        seconds=session.clock.rounded(),
        peak_memory_mb=None if own is None else max(own, run.peak_memory_mb),
        elapsed=round(time.perf_counter() - run.begin, 3),
        tf32=device.tf32,
        shard=None if run.shard is None else f"{run.shard.number}/{run.shard.count}",
    )
    cases = rank_cases(tuple(sorted(run.records, key=lambda case: case.id)))
    return Report(record, cases, tuple(session.notices))
