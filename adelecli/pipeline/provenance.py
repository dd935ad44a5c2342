"""How a run explains itself: versions, seconds per stage, peak memory.

A result that cannot say which model and which libraries made it is of no use in an audit; a report that hides where the time
went hides regressions (nnU-Net's users found 534 s of export behind 16 s of inference).
"""

from __future__ import annotations

import platform
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adelecli.errors import AdeleError
from adelecli.version import find_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = ("numpy", "scipy", "nibabel", "Pillow", "msgspec", "zarr", "numcodecs", "onnxruntime-gpu", "onnxruntime")


@dataclass
class Clock:
    """Adds up wall seconds per stage; stages may repeat, and a stage that raises still counts."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside under ``name``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def rounded(self) -> dict[str, float]:
        """Seconds per stage to the millisecond, in order of first use."""
        return {name: round(value, 3) for name, value in self.seconds.items()}


def list_libraries() -> dict[str, str]:
    """Installed versions of the libraries that touch the numbers."""
    return find_versions(LIBRARIES)


def list_devices() -> list[str]:
    """What ``--device`` can name on this machine: ``cpu`` and each GPU, or why there is none."""
    from adelecli.runtime.devices import find_problem, survey_cuda

    try:
        facts = survey_cuda()
    except AdeleError as error:
        return [f"none ({error})"]
    problem = find_problem(facts)
    if problem is not None:
        return ["cpu", f"no GPU ({problem})"]
    count = facts.driver.count if facts.driver is not None else 1
    return ["cpu", *(f"cuda:{index}" for index in range(count))]


def describe_platform() -> str:
    """Operating system and processor, without the host's name (it may name a hospital)."""
    return f"{platform.system()} {platform.machine()}"


def measure_peak_memory() -> float | None:
    """Peak resident memory of this process in MB; ``None`` where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
