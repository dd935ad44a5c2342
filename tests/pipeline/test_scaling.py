"""The same store however the work is spread: threads, processes, parts, a cluster; and workers that are killed."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import pickle
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from killers import kill_always, kill_once, quit_always, quit_once
from known_cases import make_noisy, make_truth
from tiny_models import make_contract, make_model

from adelecli.errors import CaseError, ConfigError, OutputError
from adelecli.pipeline import cluster, session, workers
from adelecli.pipeline.batch import run_batch
from adelecli.pipeline.correction import correct, prepare_correction
from adelecli.pipeline.options import CorrectOptions
from adelecli.pipeline.prediction import predict
from adelecli.pipeline.session import Command
from adelecli.pipeline.sizes import read_size
from adelecli.pipeline.verification import verify
from adelecli.progress import ignore_progress
from adelecli.runtime import segmentation
from adelecli.store.collection import open_store
from adelecli.volumes.cases import pair_cases

NAMES = ("a", "b", "c")


@pytest.fixture
def cases(data, monkeypatch):
    """Three cases, of which the second is broken; no array stands in the environment."""
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    data.add("a")
    data.add("b", mask=np.full_like(make_noisy(), 7))
    data.add("c", codes="PIR")
    return data


def read_store(path: Path) -> dict[str, object]:
    """All that a store says of its cases but the seconds that they took: arrays, and the records in the metadata."""
    store = open_store(path)
    content: dict[str, object] = {}
    for name in store.case_ids():
        record = store.case_record(name)
        record.pop("seconds")
        content[name] = record, [store.read(name, label).tobytes() for label in store.label_names(name)]
    return content


def strip(report) -> list[object]:
    return [msgspec.structs.replace(case, seconds=0.0, resumed=False) for case in report.cases]


def test_worker_processes_make_the_store_of_one_process(cases) -> None:
    """Arrays, records, failures and the exit code; their peak memory and seconds are in the report."""
    one = correct(cases.masks, out=cases.root / "one.zarr", model=cases.model)
    two = correct(cases.masks, out=cases.root / "two.zarr", model=cases.model, workers=2)
    assert read_store(cases.root / "two.zarr") == read_store(cases.root / "one.zarr")
    assert strip(two) == strip(one)
    assert (two.exit_code, two.run.options["workers"]) == (3, 2)
    assert {"read", "segment", "write"} <= set(two.run.seconds)
    assert verify(cases.root / "two.zarr").exit_code == 0
    assert not list(cases.root.glob(".*"))


def test_a_daemon_process_cannot_have_workers(cases) -> None:
    """In a pool of multiprocessing, or Celery's, which is one of daemons: refused before a store is made; one process does the work."""
    words = {"out": cases.root / "c.zarr", "model": cases.model}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(ConfigError, match="`workers` is 2, and this process is a daemon"):
            pool.apply(correct, (cases.masks,), {**words, "workers": 2})
        assert not (cases.root / "c.zarr").exists()
        assert pool.apply(correct, (cases.masks,), words).exit_code == 3


def test_without_shared_memory_workers_are_refused(cases, monkeypatch) -> None:
    """Where a lock cannot be made (a container without /dev/shm), before a store is made."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", fail)
    with pytest.raises(
        ConfigError, match=r"shares no memory between processes \(.*Read-only file system\); give .* /dev/shm"
    ):
        correct(cases.masks, out=cases.root / "c.zarr", model=cases.model, workers=2)
    assert not (cases.root / "c.zarr").exists()


@pytest.mark.parametrize("batch", [1, 50, 1 << 20])
@pytest.mark.parametrize("keep", [0, 1 << 20])
@pytest.mark.parametrize("axis", ["z", "x"])
def test_slabs_and_files_change_no_byte(cases, monkeypatch, batch, keep, axis) -> None:
    """Any number of slices in a run, and arrays in memory or in unlinked files: the same store."""
    grid = make_contract().grid.__class__(axis=axis, max_size=7)
    make_model(cases.model, make_contract(grid=grid))
    monkeypatch.setattr(session, "KEEP_BYTES", 1 << 30)
    correct(cases.masks, out=cases.root / "plain.zarr", model=cases.model)
    monkeypatch.setattr(session, "KEEP_BYTES", keep)
    monkeypatch.setattr(segmentation, "BATCH_PIXELS", batch)
    correct(cases.masks, out=cases.root / "cut.zarr", model=cases.model)
    assert read_store(cases.root / "cut.zarr") == read_store(cases.root / "plain.zarr")


def test_parts_make_the_store_of_the_whole(cases) -> None:
    """Three parts, in any order, join one store without being told to; a part done again does nothing."""
    whole = correct(cases.masks, out=cases.root / "whole.zarr", model=cases.model)
    parts = [correct(cases.masks, out=cases.out, model=cases.model, shard=f"{part}/3") for part in (3, 1, 2)]
    assert read_store(cases.out) == read_store(cases.root / "whole.zarr")
    assert sorted(case.id for part in parts for case in part.cases) == [case.id for case in whole.cases]
    assert [part.run.shard for part in parts] == ["3/3", "1/3", "2/3"]
    again = correct(cases.masks, out=cases.out, model=cases.model, shard="1/3")
    assert [(case.id, case.resumed) for case in again.cases] == [("a", True)]


def test_parts_are_cut_from_the_list_of_the_first(cases) -> None:
    """A case that comes later is left out and told; one that is gone is a failure of the part that it belongs to."""
    correct(cases.masks, out=cases.out, model=cases.model, shard="1/2")
    cases.add("aa")
    (cases.masks / "c.nii.gz").unlink()
    first = correct(cases.masks, out=cases.out, model=cases.model, shard="1/2")
    second = correct(cases.masks, out=cases.out, model=cases.model, shard="2/2")
    assert {case.id for part in (first, second) for case in part.cases} == set(NAMES)
    gone = next(case for case in first.cases if case.id == "c")
    assert "is gone" in str(gone.error)
    assert any("1 cases came after the run began" in notice for notice in second.notices)


def test_a_task_of_a_slurm_array_does_its_part(cases, monkeypatch) -> None:
    """The variables of the array are enough; an option on the command line outranks them."""
    for name, value in {"ID": "7", "MIN": "6", "COUNT": "2", "MAX": "7"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    report = correct(cases.masks, out=cases.out, model=cases.model)
    assert ([case.id for case in report.cases], report.run.shard) == (["b"], "2/2")
    assert [case.id for case in correct(cases.masks, out=cases.out, model=cases.model, shard="1/2").cases] == ["a", "c"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shard": "0/2"}, "`shard` 0/2 does not exist"),
        ({"shard": "3/2"}, "`shard` 3/2 does not exist; give 1/2 to 2/2"),
        ({"shard": "first"}, "write it as I/N"),
        ({"shard": "1/2", "overwrite": True}, "each part would delete the others' results"),
        ({"workers": 0}, "`workers` is 0"),
        ({"workers": 2, "scheduler": "tls://x:1"}, "contradict each other"),
        ({"max_ram": "much"}, "`max_ram` is 'much', not a size"),
        ({"max_ram": "1M"}, r"`max_ram` gives each process 1 MiB, and this run needs \d+ MiB; give at least \d+M"),
        ({"scheduler": "tcp://example.org:8786"}, "neither encrypted nor on this machine"),
        ({"scheduler": "http://localhost:8786"}, "not an address"),
        ({"provider": "cuda", "device": "cpu"}, "needs a GPU"),
        ({"provider": "rocm"}, "is not a provider"),
    ],
)
def test_a_contradiction_is_refused_before_anything_is_written(cases, options, said) -> None:
    """Code 2, and no store."""
    with pytest.raises(ConfigError, match=said):
        correct(cases.masks, out=cases.out, model=cases.model, **options)
    assert not cases.out.exists()


@pytest.mark.parametrize("text", ["2G", "2g", "2GB", "2GiB", "2Gi", "2 GiB", "2048M", "2048Mi", "2147483648"])
def test_sizes_are_read_as_people_and_schedulers_write_them(text: str) -> None:
    """Kubernetes says 2Gi, Slurm 2G, people 2GB; all of them are powers of 1024 here."""
    assert read_size(text) == 2 * 2**30


def test_a_limit_that_suffices_changes_nothing(cases) -> None:
    """The number that the refusal names is enough, and the store is the same."""
    correct(cases.masks, out=cases.root / "plain.zarr", model=cases.model)
    correct(cases.masks, out=cases.out, model=cases.model, max_ram="64G")
    assert read_store(cases.out) == read_store(cases.root / "plain.zarr")


@pytest.mark.parametrize("limit", [None, "64G"])
def test_under_a_limit_large_cases_are_treated_one_at_a_time(cases, monkeypatch, limit) -> None:
    """The next one is read when this one is done, so that two need no more memory than one; the store is the same."""
    correct(cases.masks, out=cases.root / "plain.zarr", model=cases.model)
    monkeypatch.setattr("adelecli.pipeline.session.KEEP_BYTES", 1)
    here, threads = threading.current_thread(), []

    def prepare(session):
        treatment = prepare_correction(session)
        read = type(treatment).read
        monkeypatch.setattr(
            type(treatment), "read", lambda self, case: threads.append(threading.current_thread()) or read(self, case)
        )
        return treatment

    chosen = CorrectOptions(model=cases.model, max_ram=limit)
    run_batch(Command("correct", prepare), pair_cases(cases.masks), cases.out, chosen, ignore_progress)
    assert len(threads) == len(NAMES)
    assert {thread is here for thread in threads} == {limit is not None}
    assert read_store(cases.out) == read_store(cases.root / "plain.zarr")


@pytest.mark.parametrize(("prepare", "states"), [(kill_once, "ccc"), (kill_always, "cfc")])
def test_a_killed_worker_costs_at_most_its_case(data, prepare, states) -> None:
    """Its case is taken over by another worker; only one that kills that too fails, and its neighbours are published."""
    for name in NAMES:
        data.add(name)
    chosen = CorrectOptions(model=data.model, workers=2)
    report = run_batch(Command("correct", prepare), pair_cases(data.masks), data.out, chosen, ignore_progress)
    assert "".join(case.status[0] for case in report.cases) == states
    assert open_store(data.out).case_ids() == tuple(n for n, state in zip(NAMES, states, strict=True) if state == "c")
    if "f" in states:
        assert "its worker process was killed twice" in str(report.cases[1].error)
    assert not list(data.root.glob(".*"))
    assert verify(data.out).exit_code == 0


def add_deep(data) -> None:
    """One case of 16 slices, which is more than the workers are handed at once."""
    data.add(
        "deep", mask=np.tile(make_noisy()[:4], (4, 1, 1)), image=np.tile(make_truth()[:4], (4, 1, 1)).astype(np.float32)
    )


@pytest.mark.parametrize("run", [correct, predict])
def test_one_case_is_shared_by_the_workers(data, run) -> None:
    """Three workers ask about its slices and one process writes: the same bytes as without them, maps of confidence too."""
    add_deep(data)
    source = data.masks if run is correct else data.images
    options = {"model": data.model, "confidence_maps": True}
    plain = run(source, out=data.root / "plain.zarr", **options)
    shared = run(source, out=data.out, workers=3, **options)
    assert strip(shared) == strip(plain)
    assert shared.cases[0].status in {"corrected", "predicted"}
    assert read_store(data.out) == read_store(data.root / "plain.zarr")
    assert verify(data.out).exit_code == 0


@pytest.mark.parametrize(("prepare", "status"), [(quit_once, "corrected"), (quit_always, "failed")])
def test_a_killed_worker_of_a_shared_case_is_replaced(data, prepare, status) -> None:
    """Its slices are asked about again; only when that one is killed too the case fails, and the run tells so."""
    add_deep(data)
    chosen = CorrectOptions(model=data.model, workers=2)
    report = run_batch(Command("correct", prepare), pair_cases(data.masks), data.out, chosen, ignore_progress)
    assert report.cases[0].status == status
    if status == "corrected":
        correct(data.masks, out=data.root / "plain.zarr", model=data.model)
        assert read_store(data.out) == read_store(data.root / "plain.zarr")
    else:
        assert "were killed twice" in str(report.cases[0].error)
    assert not list(data.root.glob(".*"))


def test_an_error_of_the_whole_run_comes_out_of_a_worker(cases, monkeypatch) -> None:
    """A disk that is full, met in a worker process, ends the run with the same error and code."""
    error = OutputError("cannot be written (No space left)", path="x", remedy="free the disk")
    future: Future[object] = Future()
    future.set_exception(error)
    monkeypatch.setattr(workers.ProcessPoolExecutor, "submit", lambda *_: future)
    with pytest.raises(OutputError, match=r"^x: cannot be written \(No space left\); free the disk$"):
        correct(cases.masks, out=cases.out, model=cases.model, workers=2)


@pytest.mark.parametrize("kind", [CaseError, ConfigError, OutputError])
def test_errors_survive_the_way_between_processes(kind) -> None:
    """Their line, their parts and their code."""
    error = pickle.loads(pickle.dumps(kind("is bad", path="x", remedy="mend it")))
    assert (str(error), error.fact, error.path, error.remedy) == ("x: is bad; mend it", "is bad", "x", "mend it")


def test_fail_fast_stops_the_workers(cases) -> None:
    """The first failure ends the run, and no process or draft is left."""
    with pytest.raises(CaseError, match="label 7"):
        correct(cases.masks, out=cases.out, model=cases.model, workers=2, fail_fast=True)
    assert not multiprocessing.active_children()
    assert not list(cases.root.glob(".*"))


class FakeCluster:
    """The part of Dask's client that is used, running tasks at once in this process; it loses the worker of case ``b``."""

    class KilledWorker(Exception):  # noqa: N818 - Dask's name for it
        pass

    def __init__(self, *, deadly: str = "") -> None:
        self.deadly, self.handed_out, self.absolute, self.loop = deadly, 0, True, object()

    def Client(self, _address: str, *, set_as_default: bool):  # noqa: N802
        assert not set_as_default
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def nthreads(self) -> dict[str, int]:
        return {"tcp://127.0.0.1:1": 1}

    def submit(self, work, job, case, *, pure: bool):
        assert not pure
        self.absolute = self.absolute and all(
            path.is_absolute() for path in (*case.images, case.mask, job.model, job.store)
        )

        def result():
            if case.id == self.deadly:
                raise self.KilledWorker(case.id)
            return work(pickle.loads(pickle.dumps(job)), case)

        self.handed_out += 1
        return SimpleNamespace(key=f"task-{self.handed_out}", result=result)

    def as_completed(self, futures, *, loop):
        assert loop is self.loop  # without it Dask looks for a default client, and there is none
        waiting = list(futures)

        class Completed:
            add = staticmethod(waiting.append)

            def __iter__(self):
                while waiting:
                    yield waiting.pop()

        return Completed()


@pytest.mark.parametrize("deadly", ["", "b"])
def test_a_cluster_makes_the_store_of_one_process(cases, monkeypatch, deadly) -> None:
    """Through the interface of Dask's client, with absolute paths; a case whose workers are lost fails alone."""
    fake = FakeCluster(deadly=deadly)
    monkeypatch.setitem(sys.modules, "distributed", fake)
    monkeypatch.setattr(cluster, "AHEAD", 2)
    monkeypatch.chdir(cases.root)
    one = correct(cases.masks, out=cases.root / "one.zarr", model=cases.model)
    far = correct("masks", images="images", out="far.zarr", model=cases.model, scheduler="localhost:8786")
    assert read_store(cases.root / "far.zarr") == read_store(cases.root / "one.zarr")
    assert fake.absolute
    assert fake.handed_out == 3
    if deadly:
        assert "every worker that took it was lost" in str(far.cases[1].error)
    else:
        assert [case.status for case in far.cases] == [case.status for case in one.cases]


def test_a_cluster_without_dask_says_what_to_install(cases, monkeypatch) -> None:
    """A usage error with the extra's name."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'adele\[dask\]'"):
        correct(cases.masks, out=cases.out, model=cases.model, scheduler="tls://scheduler:8786")


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("tls://scheduler.hospital:8786", True),
        ("tcp://127.0.0.1:8786", True),
        ("localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://localhost.evil.org:8786", False),
        ("10.0.0.1:8786", False),
        ("tls://", False),
    ],
)
def test_only_encrypted_or_local_schedulers_are_taken(address, fine) -> None:
    """Whoever reaches a plain scheduler runs code on it."""
    if fine:
        assert cluster.check_address(address) == address
    else:
        with pytest.raises(ConfigError):
            cluster.check_address(address)


def test_slices_that_cannot_change_are_not_run(data) -> None:
    """The same bytes as with every slice run; the report counts them; the mean confidence is that of the slices that could change."""
    noisy = make_noisy()
    noisy[4:] = 0
    data.add("a", mask=noisy)
    skipping = correct(data.masks, out=data.root / "1.zarr", model=data.model).cases[0]
    mapped = correct(data.masks, out=data.root / "2.zarr", model=data.model, confidence_maps=True).cases[0]
    assert (skipping.slices, skipping.skipped_slices) == (6, 3)
    assert (mapped.slices, mapped.skipped_slices) == (6, 0)
    assert skipping.mean_confidence == mapped.mean_confidence
    assert skipping.hashes == mapped.hashes
    everywhere = correct(data.masks, out=data.root / "3.zarr", model=data.model, constraint="none").cases[0]
    assert everywhere.skipped_slices == 0
    nowhere = correct(data.masks, out=data.root / "4.zarr", model=data.model, protect=["class 1", "class 2"]).cases[0]
    assert (nowhere.skipped_slices, nowhere.mean_confidence, nowhere.status) == (6, None, "unchanged")
    assert predict(data.images, out=data.root / "5.zarr", model=data.model).cases[0].skipped_slices == 0


def test_an_unexpected_error_names_its_case(two_cases, monkeypatch) -> None:
    """Our own bug, in the reading thread, comes out where the run was started, with the case as a note."""

    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("adelecli.pipeline.correction.check_pair", break_down)
    with pytest.raises(ZeroDivisionError) as caught:
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert caught.value.__notes__ == ["while treating the case a"]
    assert open_store(two_cases.out).case_ids() == ()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's own, about the machine that it runs on
def test_a_real_cluster_makes_the_store_of_one_process(cases) -> None:
    """A scheduler and two worker processes of Dask on this machine's loopback."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")
    plain = correct(cases.masks, out=cases.root / "plain.zarr", model=cases.model)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local:
        far = correct(cases.masks, out=cases.out, model=cases.model, scheduler=local.scheduler_address)
    assert strip(far) == strip(plain)
    assert read_store(cases.out) == read_store(cases.root / "plain.zarr")
    assert verify(cases.out).exit_code == 0
