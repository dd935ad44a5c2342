"""What a training step costs beside the passes that it cannot do without.

    OMP_NUM_THREADS=1 python benchmarks/train_step.py [--sizes 48 256] [--repetitions 9]

One step (the network at three scales, loss, gradients, optimiser, teacher, tallies) against three bare forward and backward passes
of the same network at the same sizes. Both alternate in one process, and processor time is counted, so that other work on
the machine weighs on both alike. Prints and writes ``benchmarks/results/train_step.json``: the ratio of the medians, the median of the
ratios of neighbours, and their spread. Aim: 1.1.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from adelecli.training.checkpoint import Learner
from adelecli.training.dataset import ROW, Slices
from adelecli.training.loop import Experiment, take_step
from adelecli.training.measures import EpochTallies
from adelecli.training.memory import keep_freed_memory
from adelecli.training.network import build_network, forward_scale
from adelecli.training.settings import Settings
from adelecli.training.teacher import make_teacher
from adelecli.training.trainer import make_optimiser

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "train_step.json"
CPU = torch.device("cpu")
CLASSES = 3


def main() -> None:
    """Measure every size and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[48, 256])
    parser.add_argument("--repetitions", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = keep_freed_memory(CPU)  # as `adele train` does; both sides gain
    rows = [measure(size, options.repetitions) for size in options.sizes]
    result = {"torch": torch.__version__, "batch": Settings().optimiser.batch_size, "memory_kept": kept, "sizes": rows}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(size: int, repetitions: int) -> dict[str, float]:
    """Medians of both over ``repetitions`` alternating pairs, each of enough steps to be timed."""
    step, bare = prepare(size)
    rounds = max(1, round(0.5 / clock(bare, 1)))
    pairs = [(clock(step, rounds), clock(bare, rounds)) for _ in range(repetitions + 1)][1:]  # the first one warms up
    ratios = sorted(a / b for a, b in pairs)
    return {
        "size": size,
        "steps_per_repetition": rounds,
        "step_ms": round(1000 * median(a for a, _ in pairs) / rounds, 2),
        "bare_ms": round(1000 * median(b for _, b in pairs) / rounds, 2),
        "ratio_of_medians": round(median(a for a, _ in pairs) / median(b for _, b in pairs), 3),
        "median_ratio": round(median(ratios), 3),
        "least_ratio": round(ratios[0], 3),
        "largest_ratio": round(ratios[-1], 3),
    }


def clock(work: Callable[[], None], rounds: int) -> float:
    """Seconds of processor time of ``rounds`` calls."""
    start = time.process_time()
    for _ in range(rounds):
        work()
    return time.process_time() - start


def prepare(size: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """A training step and its bare passes on one batch of blobs, the default network and settings, after the Dice epochs."""
    settings = Settings()
    torch.manual_seed(0)
    network = build_network(settings.network, 1, CLASSES)
    learner = Learner(network, make_teacher(network), make_optimiser(network, settings))
    learner.step = settings.loss.dice_steps
    labels = torch.zeros(settings.optimiser.batch_size, size, size, dtype=torch.long)
    labels[:, size // 4 : size // 2, size // 4 : size // 2] = 1
    labels[:, size // 2 : size - size // 4, size // 3 : size // 2] = 2
    labels[:, :2] = 255
    image = labels[:, None].clamp(max=2).float() + 0.5 * torch.randn(len(labels), 1, size, size)
    experiment = Experiment(settings, no_slices(), ("background", "a", "b"), CPU, lambda _: None)
    tallies = EpochTallies(CLASSES, CPU)

    def step() -> None:
        logits, losses = take_step(learner, experiment, image, labels)
        assert not losses["skipped"]
        tallies.add(logits, labels, None)

    passes = build_network(settings.network, 1, CLASSES)

    def bare() -> None:
        for parameter in passes.parameters():
            parameter.grad = None
        for scale in settings.loss.scales:
            forward_scale(passes, image, scale, experiment.divisor).sum().backward()

    step()
    bare()
    return step, bare


def no_slices() -> Slices:
    """A data set without a slice: a single step asks for none."""
    empty = np.zeros((0, 1, 1), np.uint8)
    return Slices(np.zeros((0, 1, 1, 1), np.float32), empty, None, np.zeros(0, ROW), (), frozenset())


if __name__ == "__main__":
    main()
