"""Two processes train what one trains: same curves, same onsets, equal weights; and a process that fails ends both in plain words."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest_training import SMALL, Folders

from adelecli.errors import ConfigError
from adelecli.training.checkpoint import read_checkpoint
from adelecli.training.distribution import ALONE, World, join_world
from adelecli.training.losses import jensen_shannon, soft_dice
from adelecli.training.robust import make_criterion
from adelecli.training.settings import LossSettings
from adelecli.training.trainer import choose_device, train

SETTINGS = (
    *SMALL,
    "network.width=4",
    "loss.gate=0.0",
    "augment.flip=0.3",
    "augment.noise=0.05",
    "optimiser.batch_size=4",
    "onset.r=0.3",
    "onset.learnt=0.01",
    "onset.min_iou=0.02",
    "correction.guard=0.3",
    "correction.tau=0.4",
)
EPOCHS = 5

WORKER = """
import json, pathlib, sys
import torch
torch.set_num_threads(1)
from adelecli.training import trainer
options = json.loads(sys.argv[1])
failing = options.pop("fails", None)
if failing:
    import os
    from adelecli.training import loop
    whole = loop.take_step
    def fail(learner, *rest):
        if learner.step == 3 and os.environ["RANK"] == failing:
            raise OSError("no space left on this test")
        return whole(learner, *rest)
    loop.take_step = fail
kept = trainer.start_learner
learners = []
trainer.start_learner = lambda *given: learners.append(kept(*given)) or learners[-1]
result = trainer.train(**options)
weights = torch.cat([p.detach().reshape(-1) for p in learners[0].network.parameters()])
teacher = torch.cat([p.detach().reshape(-1) for p in learners[0].teacher.parameters()])
for record in result.history:
    del record["seconds"]
tasks = pathlib.Path("/proc/self/task").glob("*/comm")
print(json.dumps({"gloo": [name for name in (task.read_text() for task in tasks) if "gloo" in name],
                  "history": result.history, "onsets": result.onsets, "reasons": result.reasons,
                  "weights": weights.double().sum().item().hex() + teacher.double().sum().item().hex()}))
"""


def start_two(options: dict[str, object]) -> list[subprocess.Popen[str]]:
    """The two processes that ``torchrun --nproc-per-node 2`` would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(options)],
            env=os.environ
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
            | {"MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]


def test_two_processes_train_what_one_trains(folders: Folders, tmp_path: Path) -> None:
    """Losses, curves, scores and corrections of every epoch within 1e-3, equal onsets and weights on both; one writes; no thread stays."""
    one = train(
        folders.masks, out=tmp_path / "1", set=SETTINGS, epochs=EPOCHS, seed=1, device="cpu", clean=folders.clean
    )
    options = {
        "masks": str(folders.masks), "out": str(tmp_path / "2"), "set": SETTINGS, "epochs": EPOCHS, "seed": 1,
        "device": "cpu", "clean": str(folders.clean),
    }  # fmt: skip
    processes = start_two(options)
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in ends)
    assert first == second
    assert first["gloo"] == [], "a thread that outlives its group may abort the process while the interpreter closes"
    assert first["onsets"] == one.onsets
    assert first["reasons"].keys() == one.reasons.keys()
    assert any(record["corrections"] for record in one.history)
    for mine, theirs in zip(one.history, first["history"], strict=True):
        compare({key: value for key, value in mine.items() if key != "seconds"}, theirs)
    (folder,) = (tmp_path / "2").iterdir()
    assert json.loads((folder / "run.json").read_text())["processes"] == 2
    assert json.loads((folder / "state.json").read_text())["finished"]
    expected, _ = read_checkpoint(one.folder / "checkpoint.safetensors")
    tensors, _ = read_checkpoint(folder / "checkpoint.safetensors")
    for name, value in expected.items():
        torch.testing.assert_close(tensors[name], value, rtol=0, atol=5e-3, msg=name)


def compare(mine: object, theirs: object, name: str = "record") -> None:
    """Two records are alike: numbers within 1e-3 (counts of pixels within 2), the rest equal."""
    if isinstance(mine, dict):
        assert isinstance(theirs, dict)
        assert mine.keys() == theirs.keys()
        for key in mine:
            compare(mine[key], theirs[key], f"{name}.{key}")
    elif isinstance(mine, list | tuple):
        assert isinstance(theirs, list | tuple)
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            compare(a, b, name)
    elif isinstance(mine, float):
        assert theirs == pytest.approx(mine, abs=1e-3, rel=1e-2 if "per_fixed" in name else 0), name
    elif "added" in name or "removed" in name:
        assert abs(mine - theirs) <= 2, name  # type: ignore[operator]
    else:
        assert mine == theirs, name


def test_a_process_that_fails_ends_the_other_in_plain_words(folders: Folders, tmp_path: Path) -> None:
    """The second process meets a bug in its third step: the first one says that another process is gone, and neither hangs."""
    options = {"masks": str(folders.masks), "out": str(tmp_path), "set": SETTINGS, "epochs": 2, "device": "cpu"}
    processes = start_two({**options, "fails": "1"})
    ends = [process.communicate(timeout=120) for process in processes]
    assert all(process.returncode for process in processes)
    assert "no space left on this test" in ends[1][1]
    assert "another process of this training cannot be reached" in ends[0][1]


def test_processes_that_cannot_share_a_run_give_the_same_reason(folders: Folders, tmp_path: Path) -> None:
    """A rival loss in two processes: both say so, and no run folder is made."""
    options = {"masks": str(folders.masks), "out": str(tmp_path / "runs"), "set": ["loss.kind=gce"], "device": "cpu"}
    processes = start_two(options)
    ends = [process.communicate(timeout=120) for process in processes]
    assert all(process.returncode for process in processes)
    assert all("loss.kind = gce is for one process, but torchrun starts 2" in err for _, err in ends), ends
    assert not (tmp_path / "runs").exists()


class Half(World):
    """A process whose partner's parts are known: what the sum over both would be, without a second process."""

    def pool(self, part: torch.Tensor) -> torch.Tensor:
        return part + next(PARTNER)


PARTNER = iter(())


class Parts:
    """The sums that a process would send, in order."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def pool(self, part: torch.Tensor) -> torch.Tensor:
        self.seen.append(part)
        return part


def test_the_gradients_of_the_parts_add_up_to_the_gradient_of_the_whole() -> None:
    """A temperature, unequal valid pixels, a gate that half the images pass, Dice over the whole batch: value and gradient are exact."""
    global PARTNER  # noqa: PLW0603 - the fake partner's numbers
    generator = torch.Generator().manual_seed(0)
    logits = [3 * torch.randn(4, 3, 5, 6, generator=generator, dtype=torch.float32) for _ in range(3)]
    labels = torch.randint(0, 3, (4, 5, 6), generator=generator)
    labels[0, :4] = 255

    def loss(z: list[torch.Tensor], y: torch.Tensor, pool) -> torch.Tensor:
        return (
            make_criterion(LossSettings(temperature=3.0), 3, pool)(z, y)
            + jensen_shannon(z, y != 255, 0.97, pool)
            + torch.stack([soft_dice(one, y, pool) for one in z]).mean()
        )

    whole = [z.clone().requires_grad_() for z in logits]
    expected = loss(whole, labels, ALONE.pool)
    expected.backward()
    for rank in (0, 1):
        parts = Parts()
        loss([z[1 - rank :: 2] for z in logits], labels[1 - rank :: 2], parts.pool)
        PARTNER = iter(parts.seen)
        own = [z[rank::2].clone().requires_grad_() for z in logits]
        value = loss(own, labels[rank::2], Half(rank, 2).pool)
        value.backward()
        assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
        for mine, all_of_it in zip(own, whole, strict=True):
            assert mine.grad is not None
            assert all_of_it.grad is not None
            torch.testing.assert_close(mine.grad, all_of_it.grad[rank::2], rtol=1e-5, atol=1e-8)


def test_alone_every_sum_is_its_input() -> None:
    """Without torchrun nothing is copied and nothing is sent."""
    values, tensor = np.arange(3), torch.ones(2)
    with join_world(torch.device("cpu")) as world:
        assert (world.rank, world.size, world.leads) == (0, 1, True)
        assert world.sum_array(values) is values
        assert world.pool(tensor) is tensor
        assert world.share_text("runs/a") == "runs/a"
        assert world.own_rows(values).tolist() == [0, 1, 2]


def test_rows_are_dealt_out_once_each() -> None:
    """Three processes take every row of a batch of eight exactly once."""
    dealt = [World(rank, 3).own_rows(np.arange(8)).tolist() for rank in range(3)]
    assert dealt == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_several_processes_are_told_what_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """WORLD_SIZE without the rest of torchrun, and one GPU for all of them, are usage errors."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="torchrun"), join_world(torch.device("cpu")):
        pass
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == choose_device("auto") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="one GPU"):
        choose_device("cuda:0")
