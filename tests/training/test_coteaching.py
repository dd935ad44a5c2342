"""Co-teaching exchanges easy pixels, and a run of it goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest_training import SMALL, Folders
from torch.nn import functional

from adelecli.training.checkpoint import read_checkpoint
from adelecli.training.coteaching import exchange_losses, forget_rate
from adelecli.training.settings import CoteachingSettings
from adelecli.training.trainer import train

IGNORE = 255


def test_the_forget_rate_rises_to_its_value() -> None:
    """A fifth of it in each of the first five epochs."""
    settings = CoteachingSettings(forget=0.2, warmup_epochs=5)
    assert [forget_rate(settings, epoch) for epoch in (1, 2, 5, 9)] == pytest.approx([0.04, 0.08, 0.2, 0.2])


def test_each_network_learns_from_what_the_other_finds_easy() -> None:
    """Four pixels, half forgotten: A's losses on B's two smallest, B's losses on A's two smallest; ignored ones are none."""
    own = torch.tensor([[0.0, 1, 2, 3, 0], [0.0] * 5]).view(1, 2, 1, 5)
    other = own.flip(3).clone()
    other[..., 0] = own[..., 3]
    labels = torch.tensor([0, 0, 0, 0, IGNORE]).view(1, 1, 5)
    mine = functional.cross_entropy(own[..., :4], labels[..., :4], reduction="none").ravel()
    theirs = functional.cross_entropy(other[..., :4], labels[..., :4], reduction="none").ravel()
    a, b = exchange_losses([own], [other], labels, 0.5)
    assert float(a) == pytest.approx(float(mine[theirs.argsort()[:2]].mean()))
    assert float(b) == pytest.approx(float(theirs[mine.argsort()[:2]].mean()))
    whole, _ = exchange_losses([own], [other], labels, 0.0)
    assert float(whole) == pytest.approx(float(mine.mean()))
    nothing, _ = exchange_losses([own], [other], torch.full_like(labels, IGNORE), 0.5)
    assert float(nothing) == 0


@pytest.mark.parametrize("rival", ["coteaching.enabled=true", "loss.kind='tloss'"])
def test_rivals_are_trained_and_resumed_bit_identically(folders: Folders, tmp_path: Path, rival: str) -> None:
    """Stopped after one of two epochs and resumed: every tensor of the undisturbed run, second network and nu included."""
    settings = (*SMALL, "network.width=4", "loss.scales=[[1, 1]]", "correction.enabled=false", rival)

    class StopError(Exception):
        pass

    def stop(event: object) -> None:
        if event.stage == "train" and event.done == 1:  # type: ignore[attr-defined]
            raise StopError

    whole = train(folders.masks, out=tmp_path / "whole", set=settings, epochs=2, device="cpu")
    with pytest.raises(StopError):
        train(folders.masks, out=tmp_path / "part", set=settings, epochs=2, device="cpu", progress=stop)
    (folder,) = (tmp_path / "part").iterdir()
    train(resume=folder, device="cpu")
    tensors = [read_checkpoint(place / "checkpoint.safetensors")[0] for place in (whole.folder, folder)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    extra = "peer.network" if "teach" in rival else "criterion.log_nu"
    assert any(name.startswith(extra) for name in tensors[0])
    assert all(record["losses"]["skipped"] == 0 for record in whole.history)
