"""A run killed at random moments, resumed each time, ends in the store of an undisturbed run; nothing half is ever seen."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from known_cases import make_noisy, make_truth
from zygote import KILLED, Zygote

from adelecli.errors import OutputError
from adelecli.pipeline.correction import correct
from adelecli.pipeline.reversion import revert
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store
from adelecli.store.layout import draft_folder, journal_path, lock_path
from adelecli.store.locking import hold_store
from adelecli.store.verification import verify_store

ROOT = Path(__file__).parents[2]
WAITING = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from adelecli.cli.app import main
from adelecli.pipeline import batch

def wait(*given, treat=batch._treat_all):
    print("started", flush=True)
    sys.stdin.read()
    treat(*given)

batch._treat_all = wait
main()
"""  # the command line, which waits where the first case would be treated

CASE_DOCUMENT = re.compile(r"[^/]+/zarr\.json|zarr\.json")


def read_bytes(path: Path) -> dict[str, bytes]:
    """Every file of a store but the documents of cases and root, which hold seconds and a random id; their records instead."""
    store, content = open_store(path), {}
    for file in path.rglob("*"):
        inside = file.relative_to(path).as_posix()
        if file.is_file() and not CASE_DOCUMENT.fullmatch(inside):
            content[inside] = file.read_bytes()
    for case in store.case_ids():
        content[case] = repr(store.case_record(case) | {"seconds": 0}).encode()
    return content


def add_cases(data, count: int) -> None:
    """Cases that all differ, so that one cannot stand in for another."""
    for number in range(count):
        shift = np.roll(make_noisy(), number % 3, axis=1), np.roll(make_truth(), number % 3, axis=1)
        data.add(f"case{number:02d}", mask=shift[0], image=shift[1].astype(np.float32) + number % 5 / 50)


def kill_and_resume(data, zygote: Zygote, *, kills: int, cases: int) -> int:
    """Kill ``kills`` times, starting over whenever a run got through; return how many stores were completed and compared."""
    chance, whole, completed, killed = random.Random(0), data.root / "whole.zarr", 0, 0
    add_cases(data, cases)
    assert zygote.call("correct", data.masks, out=whole, model=data.model) == 0
    expected, operations = read_bytes(whole), zygote.operations
    assert len(open_store(whole).case_ids()) == cases
    while killed < kills or completed == 0:
        how: dict[str, float] = {}
        if killed < kills:
            in_time = killed % 5 == 4
            how = {"kill_after": chance.uniform(0, 1)} if in_time else {"kill_at": chance.randrange(1, operations)}
        code = zygote.call("correct", data.masks, out=data.out, model=data.model, resume=True, **how)
        assert code in {0, KILLED}
        killed += code == KILLED
        if data.out.exists():
            assert verify_store(data.out) == ()
        if code == 0:
            assert read_bytes(data.out) == expected
            assert verify(data.out).findings == ()
            assert not draft_folder(data.out).exists()
            assert not lock_path(data.out).exists()
            completed += 1
            shutil.rmtree(data.out)
            journal_path(data.out).unlink()
    return completed


def test_three_kills_lose_nothing(data) -> None:
    """Six cases, three kills: each time all that can be seen verifies, and the end is the undisturbed store, byte for byte."""
    with Zygote() as zygote:
        assert kill_and_resume(data, zygote, kills=3, cases=6) >= 1


@pytest.mark.slow
def test_fifty_kills_lose_nothing(data) -> None:
    """Forty cases, fifty kills."""
    with Zygote() as zygote:
        assert kill_and_resume(data, zygote, kills=50, cases=40) >= 1


def test_a_killed_reversion_is_the_old_or_the_new_version(data) -> None:
    """Killed at operations all over, most around the exchange: the case verifies each time, and asking again ends it."""
    data.add("a")
    correct(data.masks, out=data.root / "kept.zarr", model=data.model)
    original, states = make_noisy().tobytes(), set()
    with Zygote() as zygote:
        shutil.copytree(data.root / "kept.zarr", data.out)
        assert zygote.call("revert", data.out) == 0
        operations = zygote.operations
        for place in (operations // 3, operations * 2 // 3, *range(operations - 2, operations - 50, -6)):
            shutil.rmtree(data.out)
            journal_path(data.out).unlink(missing_ok=True)  # it remembers the reversion that is being undone here
            shutil.copytree(data.root / "kept.zarr", data.out)
            assert zygote.call("revert", data.out, kill_at=place) == KILLED
            assert verify(data.out).findings == ()
            states.add(open_store(data.out).read("a").tobytes() == original)
    assert states == {False, True}
    revert(data.out)
    assert open_store(data.out).read("a").tobytes() == original
    assert verify(data.out).findings == ()
    assert not draft_folder(data.out).exists()


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 1 MiB of its own, and a way to change it; skipped where this user may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str, *more: str) -> bool:
        command = ["mount", *more, "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    if not mount("size=1m"):
        pytest.skip("this user may not mount a small file system")
    yield disk, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_leaves_whole_cases(data, small_disk) -> None:
    """The run ends with one line (8), what stands verifies, and on a larger disk it goes on to the undisturbed store."""
    disk, remount = small_disk
    chance = np.random.default_rng(0)
    for number in range(6):
        mask = chance.integers(0, 3, (16, 150, 150)).astype(np.uint8)  # random, so that it does not pack
        data.add(f"case{number}", mask=mask, image=mask.astype(np.float32))
    out = disk / "c.zarr"
    with pytest.raises(OutputError, match="No space left on device"):
        correct(data.masks, out=out, model=data.model)
    assert len(open_store(out).case_ids()) in {1, 2, 3, 4, 5}
    assert verify(out).findings == ()
    assert remount("size=64m")
    correct(data.masks, out=out, model=data.model, resume=True)
    correct(data.masks, out=data.out, model=data.model)
    assert read_bytes(out) == read_bytes(data.out)
    assert verify(out).findings == ()


def test_a_read_only_store_is_read_and_never_touched(data, small_disk) -> None:
    """Verify passes; correct, resumed or not, and revert end with one line (8)."""
    disk, remount = small_disk
    data.add("a")
    out = disk / "c.zarr"
    correct(data.masks, out=out, model=data.model)
    assert remount("ro")
    assert verify(out).findings == ()
    for refused in (
        lambda: correct(data.masks, out=out, model=data.model, resume=True),
        lambda: correct(data.masks, out=out, model=data.model, overwrite=True),
        lambda: correct(data.masks, out=disk / "new.zarr", model=data.model),
        lambda: revert(out),
    ):
        with pytest.raises(OutputError, match="Read-only file system"):
            refused()
    assert np.array_equal(open_store(out).read("a"), make_truth())


def test_two_runs_on_one_store_by_mistake(data) -> None:
    """The second is refused in one line (8), resumed or reverting; parts of one run are not; the dead hold nothing."""
    data.add("a")
    correct(data.masks, out=data.out, model=data.model)
    with hold_store(data.out):
        for second in (
            lambda: correct(data.masks, out=data.out, model=data.model, resume=True),
            lambda: correct(data.masks, out=data.out, model=data.model, overwrite=True),
            lambda: correct(data.masks, out=data.out, model=data.model, shard="1/2"),
            lambda: revert(data.out),
        ):
            with pytest.raises(OutputError, match="another run is using it") as caught:
                second()
            assert caught.value.exit_code == 8
    with hold_store(data.out, part="2of2"):
        assert correct(data.masks, out=data.out, model=data.model, shard="1/2").exit_code == 0
        with pytest.raises(OutputError, match="another run is using it"):
            correct(data.masks, out=data.out, model=data.model, shard="2/2")
    assert verify(data.out).findings == ()


def test_the_same_part_started_twice_at_once(two_cases) -> None:
    """Of two processes with one command line exactly one goes on, the other ends with one line (8); a killed one's part is free."""
    words = ("correct", two_cases.masks, "-o", two_cases.out, "-m", two_cases.model, "--shard", "1/2", "-q")
    command, pipe = [sys.executable, "-c", WAITING, str(ROOT), *map(str, words)], subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as first,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as second,
    ):
        both = {first.stdout.readline(): first, second.stdout.readline(): second}
        assert both.keys() == {"started\n", ""}
        refused = both[""]
        assert re.fullmatch(
            r".*c\w*\.zarr: another run is using it.*; wait for that run, or stop it\n", refused.stderr.read()
        )
        assert refused.wait() == 8
        both["started\n"].kill()
    assert open_store(two_cases.out).case_ids() == ()
    for part, published in (("1/2", ("a",)), ("2/2", ("a", "b"))):
        assert correct(two_cases.masks, out=two_cases.out, model=two_cases.model, shard=part).exit_code == 0
        assert open_store(two_cases.out).case_ids() == published
    assert verify(two_cases.out).findings == ()
    assert not list(two_cases.root.glob(".cleaned*"))
