"""Pools of worker processes that end with their parent's work, however that ends.

What must hold: Ctrl-C, which a terminal sends to every process, is the parent's to decide about, and no worker answers it with a
traceback of its own; once the parent gives up, no worker goes on with what nobody waits for.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ProcessPoolExecutor


def ignore_interrupts() -> None:
    """What a worker does first: the parent alone decides what Ctrl-C means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def shelter_start() -> Iterator[None]:
    """Hold Ctrl-C back while processes start; they inherit the mask, so that it cannot end them before they ignore it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def close_pool(pool: ProcessPoolExecutor, *, in_peace: bool) -> None:
    """End the workers: when they have done what they have in hand, or (not ``in_peace``) at once."""
    processes = list((pool._processes or {}).values())  # the pool has no public way to stop its workers
    if not in_peace:
        for process in processes:
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
