"""What no input may do: take longer than a limit, or more memory than one. Linux tells both; elsewhere the limit is time alone."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Hang(BaseException):
    """Not an Exception, so that no reader takes it for damage of a file."""


@contextmanager
def limit_seconds(seconds: float) -> Iterator[None]:
    """Raise ``Hang`` in the block when it takes longer."""

    def interrupt(*_: object) -> None:
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def limit_memory(mebibytes: int) -> Iterator[None]:
    """Fail when the block's peak of resident memory lies so much above its beginning."""
    if not REFERENCES.exists():
        yield
        return
    REFERENCES.write_text("5")  # resets the peak
    begin = _read_peak()
    yield
    grown = (_read_peak() - begin) >> 10
    assert grown <= mebibytes, f"the peak of memory grew by {grown} MiB"


def _read_peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    assert found
    return int(found[1])
