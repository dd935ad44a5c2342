"""The run folder: files that everybody may read who may read new files, and times that no result depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from adelecli.errors import ConfigError, InputError
from adelecli.training.checkpoint import Learner, load_checkpoint, read_checkpoint, save_checkpoint
from adelecli.training.runfolder import check_name, read_times, replace_file, write_history

if TYPE_CHECKING:
    from pathlib import Path


def make_learner(seconds: float | None = None) -> Learner:
    """One weight, one epoch, which took ``seconds``."""
    network, teacher = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    for module in (network, teacher):
        torch.nn.init.ones_(module.weight)
        torch.nn.init.zeros_(module.bias)
    learner = Learner(network, teacher, torch.optim.SGD(network.parameters(), lr=0.1))
    if seconds is not None:
        learner.epoch, learner.history = 1, [{"epoch": 1, "losses": {"ce": 0.5}, "seconds": seconds}]
    return learner


def test_a_file_is_replaced_with_the_rights_of_new_files(tmp_path: Path) -> None:
    """The library makes files for their owner alone; a colleague who may read the run folder may read them too."""
    (tmp_path / "new").touch()
    (tmp_path / ".model.tmp").write_text("left by a killed run")
    (tmp_path / ".model.tmp").chmod(0o600)

    def write(path: Path) -> None:
        path.unlink()
        path.write_text("weights")
        path.chmod(0o600)

    replace_file(tmp_path / "model", write)
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "new").stat().st_mode
    assert (tmp_path / "model").read_text() == "weights"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "new"]


def test_a_checkpoint_does_not_depend_on_how_long_an_epoch_took(tmp_path: Path) -> None:
    """Two runs of different speed have the same file; each takes its seconds up again from its history."""
    for name, seconds in (("slow", 9.5), ("fast", 0.25)):
        (tmp_path / name).mkdir()
        learner = make_learner(seconds)
        write_history(tmp_path / name, learner.history)
        save_checkpoint(tmp_path / name, learner)
        resumed = make_learner()
        assert load_checkpoint(tmp_path / name, resumed)
        assert resumed.history == learner.history
    slow, fast = ((tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("slow", "fast"))
    assert slow == fast


def test_a_lost_history_loses_the_times_only(tmp_path: Path) -> None:
    """What cannot be read is passed over: the record stays, its seconds are unknown."""
    save_checkpoint(tmp_path, make_learner(2.0))
    (tmp_path / "history.jsonl").write_text('{"epoch": 2, "seconds": 3}\n{"epoch": 1}\nnonsense\n[]\n{"epoch": 4, "se')
    assert read_times(tmp_path) == {2: 3.0}
    resumed = make_learner()
    assert load_checkpoint(tmp_path, resumed)
    assert resumed.history == [{"epoch": 1, "losses": {"ce": 0.5}, "seconds": None}]


def test_a_checkpoint_that_may_not_be_read_is_not_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own reason, and no advice to train again."""
    path = tmp_path / "checkpoint.safetensors"

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); check its permissions"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", "a\0b"])
def test_a_name_with_a_path_in_it_is_refused(name: str) -> None:
    """A run lies in the folder of the runs, where `adele export` finds it."""
    with pytest.raises(ConfigError, match="leave the slashes out"):
        check_name(name)
    for harmless in (None, "", "liver v1.2", "a..b"):
        check_name(harmless)
