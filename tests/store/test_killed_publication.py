"""Two processes publish many cases into one store and are killed at random: nothing bad is ever visible."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from adelecli.store.collection import create_store, open_store
from adelecli.store.layout import draft_folder
from adelecli.store.verification import verify_store

ROOT = Path(__file__).parents[2]
CASES = [f"case{number:02d}" for number in range(24)]
KILLS = 8

# The worker resumes like `adele correct --resume`: it publishes what is not complete, and now and then replaces a case.
WORKER = f"""
import random, sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np, zarr
from adelecli.store.collection import create_store
from adelecli.store.frame import Frame
from adelecli.store.publication import publish_case
axes = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
frame = Frame(axes, (1.0, 1.0, 1.0), bytes(348))
print("ready", flush=True)
store = create_store(sys.argv[1], run={{"model": "m"}}, resume=True)
cases = {CASES!r}
random.shuffle(cases)
for case in cases:
    if store.is_complete(case) and random.random() < 0.7:
        continue
    labels = np.random.default_rng(int(case[4:])).integers(0, 3, (8, 20, 140), np.uint8)
    with publish_case(store, case) as draft:
        draft.write_labels("original", labels, frame, [])
        draft.write_labels("corrected", labels[:, ::-1], frame, [])
        draft.set_record({{"status": "corrected"}})
"""


def start_worker(path: Path) -> subprocess.Popen[str]:
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_kill_9_at_random_moments_leaves_only_whole_cases(tmp_path: Path) -> None:
    """After each kill every visible case verifies; in the end a plain resume completes the store and clears the rest."""
    path, chance = tmp_path / "c.zarr", random.Random(0)
    create_store(path, run={"model": "m"})
    left_drafts = 0
    for attempt in range(10 * KILLS):
        if attempt >= KILLS // 2 and left_drafts:
            break  # on a busy machine the first workers may be killed before they do anything
        workers = [start_worker(path), start_worker(path)]
        time.sleep(chance.uniform(0.05, 0.6))
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker.stdout.close()
        left_drafts += draft_folder(path).is_dir()
        assert verify_store(path) == ()
    assert left_drafts, "the workers were never killed at work; the test proves nothing"
    with start_worker(path) as last:
        assert last.wait(timeout=60) == 0
    store = open_store(path)
    assert store.case_ids() == tuple(CASES)
    assert verify_store(path) == ()
    assert not draft_folder(path).exists()
    expected = np.random.default_rng(5).integers(0, 3, (8, 20, 140), np.uint8)
    assert np.array_equal(store.read("case05"), expected[:, ::-1])
