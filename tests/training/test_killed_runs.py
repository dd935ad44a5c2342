"""`adele train`, killed by SIGKILL at chosen or random moments and resumed, ends bit for bit where an undisturbed run ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest_training import SMALL, Folders

from adelecli.errors import InputError
from adelecli.training.checkpoint import read_checkpoint
from adelecli.training.trainer import TrainResult, train

PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from adelecli.cli import app, display
from adelecli.training import checkpoint

kind, last = json.loads(sys.argv[1])
passed = {}

def reach(moment, before_death=lambda: None):
    for name in (moment, "any"):
        passed[name] = passed.get(name, 0) + 1
        if name == kind and passed[name] == last:
            before_death()
            os.kill(os.getpid(), signal.SIGKILL)

def show(self, event, whole=display.Display.__call__):
    reach(event.stage)
    whole(self, event)

def replace(self, target, whole=Path.replace):
    reach("before a rename")
    result = whole(self, target)
    reach("after a rename")
    return result

def save(tensors, path, metadata, whole=checkpoint.save_file):
    whole(tensors, path, metadata)
    reach("half a checkpoint", lambda: os.truncate(path, os.path.getsize(path) // 2))

display.Display.__call__, Path.replace, checkpoint.save_file = show, replace, save
app.main(json.loads(sys.argv[2]))
"""


def run_program(arguments: list[str], kind: str, count: int) -> int:
    """The end of `adele` with ``arguments``, killed when it reaches the ``count``-th moment of a ``kind`` (-9), or done (0)."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([kind, count]), json.dumps(arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert process.returncode in {0, -signal.SIGKILL}, process.stderr.decode()
    return process.returncode


def begin(folders: Folders, out: Path) -> list[str]:
    """The command line of the run that the fixture ``run`` made undisturbed."""
    sets = [word for one in SMALL for word in ("--set", one)]
    return [
        *("train", str(folders.masks), "--out", str(out), "--epochs", "10", "--seed", "1", "--device", "cpu"),
        *("--clean", str(folders.clean), "--name", "run", *sets),
    ]


def find_run(out: Path) -> Path | None:
    """The run folder that can be resumed, if the killed run got as far as that."""
    found = [path.parent for path in out.glob("*/config.toml")]
    assert len(found) <= 1
    return found[0] if found else None


def assert_equal_ends(run: TrainResult, folder: Path) -> None:
    """The checkpoints are the same file; beside it the history says the same and, alone, how long each epoch took."""
    checkpoints = [one / "checkpoint.safetensors" for one in (run.folder, folder)]
    expected, tensors = (read_checkpoint(path)[0] for path in checkpoints)
    assert expected.keys() == tensors.keys()
    assert all(torch.equal(expected[name], tensors[name]) for name in expected)
    assert checkpoints[0].read_bytes() == checkpoints[1].read_bytes()
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert all(record.pop("seconds") >= 0 for record in history)
    assert history == read_checkpoint(checkpoints[1])[1]["history"]
    assert json.loads((folder / "state.json").read_text())["finished"]
    names = [{path.name for path in one.iterdir() if path.name[0] != "."} for one in (run.folder, folder)]
    assert names[0] == names[1]


def test_a_run_killed_twice_ends_where_an_undisturbed_one_does(
    run: TrainResult, folders: Folders, tmp_path: Path
) -> None:
    """Killed in the middle of writing its second checkpoint, then in a step of the fourth epoch that it sees: the same to the bit."""
    assert run_program(begin(folders, tmp_path), "half a checkpoint", 2) == -signal.SIGKILL
    folder = find_run(tmp_path)
    assert folder is not None
    _, state = read_checkpoint(folder / "checkpoint.safetensors")
    assert state["epoch"] == 1
    assert run_program(["train", "--resume", str(folder), "--device", "cpu"], "epoch", 29) == -signal.SIGKILL
    train(resume=folder, device="cpu")
    assert_equal_ends(run, folder)


def test_a_run_killed_before_it_began_says_so(folders: Folders, tmp_path: Path) -> None:
    """A run folder without config.toml holds nothing to go on with: one line, and the way out."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json").write_text("{}")
    with pytest.raises(InputError, match="stopped before it began; train anew"):
        train(resume=tmp_path / "run", device="cpu")


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(run: TrainResult, folders: Folders, tmp_path: Path) -> None:
    """Steps, cases, halves of checkpoints, both sides of every rename, the end of the run: 20 seeded kills, each resumed."""
    rng = random.Random(0)
    kills = runs = 0
    while kills < 20:
        runs += 1
        out = tmp_path / str(runs)
        ended = False
        while not ended:
            folder = find_run(out)
            arguments = begin(folders, out) if folder is None else ["train", "--resume", str(folder), "--device", "cpu"]
            kind = rng.choice(["any", "any", "half a checkpoint", "before a rename", "after a rename", "finish"])
            end = run_program(arguments, kind, rng.randint(1, 90 if kind == "any" else 4))
            kills += end != 0
            ended = end == 0
            if kills >= 20 and not ended:
                folder = find_run(out)
                ended = run_program(["train", "--resume", str(folder), "--device", "cpu"], "never", 1) == 0
        folder = find_run(out)
        assert folder is not None
        assert_equal_ends(run, folder)
