"""Several processes that train one network, started by ``torchrun``: who is who, and every sum over all of them.

``N`` processes compute what one process computes, up to the order of summation. Each of them takes the rows ``rank::size`` of every
batch; numerators, denominators and tallies are summed over all before any ratio is taken; then the gradients of the parts are
added up. ``DistributedDataParallel`` is not used, because it averages the gradients of equal parts: here a part weighs as many
valid pixels as it holds, the consistency's weight is known only after the forward passes, and three forward passes share one
backward. One sum over one flat buffer is exact and costs the same traffic.

What must hold: every process makes the same calls in the same order, so whatever decides about a call (a loss that is not finite, an
onset, patience) is taken from sums, which are bit for bit the same everywhere. Alone (``World()``) each sum is its input.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import distributed

from adelecli.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

PATIENCE = timedelta(days=1)
"""How long a process waits for the others: the first one may prepare a large data set, and ``torchrun`` ends all when one fails."""

CHUNK = 2**26
LONGEST_TEXT = 4096


@dataclass(frozen=True)
class World:
    """This process among ``size`` processes; alone by default."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a device is a value

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports progress; exactly one does."""
        return self.rank == 0

    def pool(self, part: torch.Tensor) -> torch.Tensor:
        """The sum of ``part`` over all processes; its gradient reaches this process's part only.

        So a loss made of pooled sums has the same value everywhere, and the sum of the gradients over the processes is the
        gradient of that loss.
        """
        if self.size == 1:
            return part
        total = part.detach().clone()
        with _in_plain_words():
            distributed.all_reduce(total)
        return total + (part - part.detach()) if part.requires_grad else total

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes: one flat buffer, so one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        with _in_plain_words():
            distributed.all_reduce(flat)
        for gradient, total in zip(gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def sum_array(self, values: NDArray[Number]) -> NDArray[Number]:
        """The sum of an array of integers over all processes, of any shape, a piece at a time; its input when alone."""
        if self.size == 1:
            return values
        flat = values.reshape(-1).copy()
        for start in range(0, len(flat), CHUNK):
            piece = torch.from_numpy(flat[start : start + CHUNK]).to(self.device)
            with _in_plain_words():
                distributed.all_reduce(piece)
            flat[start : start + CHUNK] = piece.cpu().numpy()
        return flat.reshape(values.shape)

    def share_text(self, text: str) -> str:
        """The text that the leading process passes; the others wait here until it has one. At most 4096 bytes."""
        if self.size == 1:
            return text
        page = np.zeros(LONGEST_TEXT, np.uint8)
        encoded = np.frombuffer(text.encode(), np.uint8)
        if self.leads:
            page[: len(encoded)] = encoded
        return self.sum_array(page).tobytes().rstrip(b"\0").decode()

    def own_rows(self, rows: NDArray[Number]) -> NDArray[Number]:
        """The part of a batch that is this process's."""
        return rows[self.rank :: self.size]


ALONE = World()


def count_processes() -> int:
    """How many processes ``torchrun`` started for this training; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def read_rank() -> int:
    """The number of this process, from 0; 0 without ``torchrun``."""
    return int(os.environ.get("RANK", "0")) if count_processes() > 1 else 0


def read_local_rank() -> int:
    """The number of this process on its machine, hence of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if count_processes() > 1 else 0


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """The processes of this training, joined by NCCL on GPUs and gloo on CPUs, and left at the end.

    Raises ``ConfigError`` where the variables that ``torchrun`` sets are incomplete, ``DeviceError`` where the others cannot be
    reached.
    """
    if count_processes() == 1:
        yield World(device=device)
        return
    # The defaults of its functions are the group of the moment of its import. torch imports it late by itself, and a group that is
    # kept so outlives its end: gloo's threads then meet an interpreter that is closing, and abort a training that has succeeded.
    importlib.import_module("torch.distributed.nn.functional")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        with _in_plain_words():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except ValueError as error:
        raise ConfigError(
            f"WORLD_SIZE is set, but not all that goes with it ({error})", remedy="start with torchrun, or unset it"
        ) from None
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), device)
        with _in_plain_words():
            distributed.barrier()  # whoever left first would tear down connections that others still use
    finally:
        distributed.destroy_process_group()


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """A process that is gone is told in one line instead of torch's own words about sockets."""
    try:
        yield
    except RuntimeError as error:
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DeviceError(
            f"another process of this training cannot be reached ({fact})", remedy="see its error, then --resume"
        ) from None
