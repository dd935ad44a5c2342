"""Work that overlaps without changing its result: other threads make what the next stage will ask for.

Reading and preparing release Python's lock most of the time, as the network does, so a second thread fills the gaps. What
must hold: order and values are those of the plain loop; never more than ``depth`` items wait; an error comes out at the
item that caused it, in the thread that asks.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Made = TypeVar("Made")


class _End:
    """What stands behind the last item."""


_END: Final = _End()


def read_ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """Yield ``items``, of which a thread of its own makes at most ``depth`` in advance; see the module.

    >>> list(read_ahead(range(3)))
    [0, 1, 2]
    """
    source = iter(items)

    def make() -> Item | _End:
        return next(source, _END)

    with ThreadPoolExecutor(1, thread_name_prefix="adele-ahead") as thread:
        waiting: deque[Future[Item | _End]] = deque(thread.submit(make) for _ in range(depth))
        try:
            while not isinstance(item := waiting.popleft().result(), _End):
                waiting.append(thread.submit(make))
                yield item
        finally:
            for future in waiting:
                future.cancel()


def map_ahead(work: Callable[[Item], Made], items: Iterable[Item], lanes: int) -> Iterator[Made]:
    """Yield ``work`` of each of ``items``, in order, ``lanes`` of them made at a time in threads of their own; see the module.

    As many wait or are being made while the caller has one. The items themselves are taken in the caller's thread.

    >>> list(map_ahead(lambda item: item * item, range(4), 2))
    [0, 1, 4, 9]
    """
    source = iter(items)
    with ThreadPoolExecutor(lanes, thread_name_prefix="adele-lane") as threads:
        waiting = deque(threads.submit(work, item) for item in islice(source, lanes))
        try:
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(threads.submit(work, item) for item in islice(source, 1))
                yield made
        finally:
            for future in waiting:
                future.cancel()
