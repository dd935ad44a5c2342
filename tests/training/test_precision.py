"""Half precision: what is cast and what is not, wide logit gaps, steps that overflow, and a resume with the scaler's state."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest_training import SMALL, Folders

from adelecli.training.checkpoint import Learner, load_checkpoint, save_checkpoint
from adelecli.training.distribution import ALONE
from adelecli.training.loop import Experiment, take_step
from adelecli.training.network import build_network
from adelecli.training.precision import cast_network, make_scaler
from adelecli.training.resolving import resolve_settings
from adelecli.training.robust import make_criterion
from adelecli.training.settings import Settings
from adelecli.training.teacher import make_teacher
from adelecli.training.trainer import make_optimiser, train

CPU = torch.device("cpu")


def make_learner(settings: Settings) -> tuple[Learner, Experiment]:
    torch.manual_seed(0)
    network = build_network(settings.network, 1, 3)
    learner = Learner(
        network,
        make_teacher(network),
        make_optimiser(list(network.parameters()), settings),
        make_scaler(settings.precision, CPU),
    )
    experiment = Experiment(settings, SimpleNamespace(), ("background", "a", "b"), CPU, lambda _: None, world=ALONE)  # type: ignore[arg-type]
    return learner, experiment


def settings_of(precision: str, *more: str) -> Settings:
    return resolve_settings(overrides=("network.width=4", "network.depth=2", f"precision={precision}", *more))


def make_batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (2, 12, 12), generator=generator)
    return labels[:, None].float() + 0.1 * torch.randn(2, 1, 12, 12, generator=generator), labels


def test_fp32_is_the_network_itself() -> None:
    """The default adds nothing, not even a call, hence changes no number."""
    network = torch.nn.Conv2d(1, 2, 1)
    assert cast_network(network, "fp32", CPU) is network
    assert make_scaler("fp32", CPU) is None
    assert make_scaler("bf16", CPU) is None


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_only_the_network_computes_in_half_precision(precision: str) -> None:
    """Its layers give half precision, its logits, weights, gradients and moments are float32; the step is near that of fp32."""
    learner, experiment = make_learner(settings_of(precision))
    exact, reference = make_learner(settings_of("fp32"))
    seen: list[torch.dtype] = []
    for module in learner.network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _module, _given, output: seen.append(output.dtype))
    logits, losses = take_step(learner, experiment, *make_batch())
    expected, truth = take_step(exact, reference, *make_batch())
    assert set(seen) == {torch.bfloat16 if precision == "bf16" else torch.float16}
    assert logits.dtype == torch.float32
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in learner.network.parameters() if p.grad is not None)
    assert all(p.dtype == torch.float32 for p in learner.teacher.parameters())
    torch.testing.assert_close(logits, expected, atol=0.05, rtol=0.05)
    assert losses["ce"] == pytest.approx(truth["ce"], rel=0.02)
    assert losses["skipped"] == 0.0
    assert learner.step == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_logit_gaps_of_200_train_in_any_precision(precision: str) -> None:
    """Scales that contradict each other by a gap of 200: finite losses, finite gradients, steps that are taken.

    The scaler of float16 starts at 65536, which such gradients overflow: the first few steps are its search for a smaller one.
    """
    learner, experiment = make_learner(settings_of(precision, "loss.gate=0.0"))
    head = [module for module in learner.network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        assert head.bias is not None
        head.weight.mul_(100)
        head.bias.copy_(torch.tensor([0.0, 200.0, -200.0]))
    logits, losses = take_step(learner, experiment, *make_batch())
    assert float((logits.amax(1) - logits.amin(1)).max().detach()) > 200
    assert all(np.isfinite(value) for value in losses.values())
    assert losses["ce"] > 50
    searching = 8 if precision == "fp16" else 0
    while losses["skipped"] and searching:
        searching -= 1
        _, losses = take_step(learner, experiment, *make_batch())
        assert all(np.isfinite(value) for value in losses.values())
    assert losses["skipped"] == 0.0
    assert learner.step == 1
    assert all(torch.isfinite(p.grad).all() for p in learner.network.parameters() if p.grad is not None)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(precision: str) -> None:
    """A finite loss with an infinite gradient: weights, teacher and step count stay, the scaler backs off, the next step is taken."""
    learner, experiment = make_learner(settings_of(precision))
    weight = next(learner.network.parameters())
    handle = weight.register_hook(lambda gradient: gradient * float("inf"))
    before = [p.detach().clone() for p in (*learner.network.parameters(), *learner.teacher.parameters())]
    _, losses = take_step(learner, experiment, *make_batch())
    after = [p.detach() for p in (*learner.network.parameters(), *learner.teacher.parameters())]
    assert losses["skipped"] == 1.0
    assert losses["ce"] > 0
    assert learner.step == 0
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    if learner.scaler is not None:
        assert learner.scaler.get_scale() == 2.0**15
    handle.remove()
    assert take_step(learner, experiment, *make_batch())[1]["skipped"] == 0.0
    assert learner.step == 1


def test_a_loss_that_is_not_finite_is_skipped_and_counted() -> None:
    """An image of NaN: losses 0, skipped 1, nothing learnt."""
    learner, experiment = make_learner(settings_of("fp32"))
    image, labels = make_batch()
    _, losses = take_step(learner, experiment, image * float("nan"), labels)
    assert losses == {"ce": 0.0, "consistency": 0.0, "dice": 0.0, "skipped": 1.0}
    assert learner.step == 0


def test_the_scaler_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    """Two steps, save, load into a fresh learner, two more: the same weights and scale as four steps at a stretch."""
    settings = settings_of("fp16")
    straight, experiment = make_learner(settings)
    assert straight.scaler is not None
    straight.scaler.set_growth_interval(3)  # so that the scale grows within the test
    for seed in range(2):
        take_step(straight, experiment, *make_batch(seed))
    save_checkpoint(tmp_path, straight)
    resumed, _ = make_learner(settings)
    assert load_checkpoint(tmp_path, resumed)
    for learner in (straight, resumed):
        for seed in range(2, 4):
            take_step(learner, experiment, *make_batch(seed))
    assert resumed.scaler is not None
    assert straight.scaler.state_dict() == resumed.scaler.state_dict()
    assert straight.scaler.get_scale() == 2.0**17
    pairs = zip(straight.network.parameters(), resumed.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_each_of_two_networks_keeps_its_own_scaler_and_steps(tmp_path: Path) -> None:
    """Co-teaching in fp16, one step of the peer skipped: the checkpoint gives each its own step count and loss scale back."""
    settings = settings_of("fp16", "coteaching.enabled=true")
    (learner, experiment), (peer, _) = make_learner(settings), make_learner(settings)
    learner.peer = peer
    weight = next(peer.network.parameters())
    handle = weight.register_hook(lambda gradient: gradient * float("inf"))
    take_step(learner, experiment, *make_batch(0))
    handle.remove()
    take_step(learner, experiment, *make_batch(1))
    save_checkpoint(tmp_path, learner)
    (resumed, _), (other, _) = make_learner(settings), make_learner(settings)
    resumed.peer = other
    assert load_checkpoint(tmp_path, resumed)
    assert (resumed.step, other.step) == (learner.step, peer.step) == (2, 1)
    assert resumed.scaler is not None
    assert other.scaler is not None
    assert (resumed.scaler.get_scale(), other.scaler.get_scale()) == (2.0**16, 2.0**15)


def test_a_gradient_of_the_loss_itself_that_is_not_finite_is_skipped() -> None:
    """The T-Loss learns its tail: an infinite gradient there leaves everything as it was."""
    learner, experiment = make_learner(settings_of("fp32", "loss.kind=tloss"))
    learner.criterion = make_criterion(experiment.settings.loss, 3)
    tail = next(learner.criterion.parameters())
    tail.register_hook(lambda gradient: gradient * float("inf"))
    _, losses = take_step(learner, experiment, *make_batch())
    assert (losses["skipped"], learner.step) == (1.0, 0)


def test_a_run_in_bf16_learns(folders: Folders, tmp_path: Path) -> None:
    """From folders to a finished run on the CPU; config.toml says what was used."""
    result = train(
        folders.masks, out=tmp_path, set=(*SMALL, "network.width=4", "precision=bf16", "augment.rotate=10.0"),
        epochs=3, seed=1, device="cpu",
    )  # fmt: skip
    assert result.history[-1]["losses"]["ce"] < result.history[0]["losses"]["ce"]
    assert 'precision = "bf16"' in (result.folder / "config.toml").read_text()
