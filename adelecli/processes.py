"""Pools of worker processes that end with their parent's work, however that ends.

What must hold: Ctrl-C, which a terminal sends to every process, is the parent's to decide about, and no worker answers it with a
traceback of its own; once the parent gives up, no worker goes on with what nobody waits for.
"""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ProcessPoolExecutor


def refuse_processes(wish: str) -> None:
    """Refuse before any work what could not start a process after it; ``wish`` are the words for the option that asks for it.

    Raises ``ConfigError`` in a daemon, as the workers of Celery and of ``multiprocessing.Pool`` are, and where there is no shared
    memory to keep a lock in, as in some sandboxes and containers.
    """
    if multiprocessing.current_process().daemon:
        remedy = "leave it out, or call from a process or thread that is no daemon"
        raise ConfigError(f"{wish}, and this process is a daemon, which may start no other", remedy=remedy)
    try:
        multiprocessing.get_context("spawn").Lock()
    except (ImportError, OSError) as error:
        remedy = "give the container a writable /dev/shm, or leave the option out"
        raise ConfigError(
            f"{wish}, and this machine shares no memory between processes ({error})", remedy=remedy
        ) from error


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
