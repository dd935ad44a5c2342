"""Peak memory of one training where several follow one another in a process.

The system's peak never falls by itself; Linux lets a process reset its own. Elsewhere the peak is that of the process so far, and the
first method of a benchmark shows the least.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from adelecli.pipeline.provenance import measure_peak_memory

_SELF = Path("/proc/self")


def reset_peak() -> None:
    """Forget the peak so far, where the system allows it."""
    with suppress(OSError):
        (_SELF / "clear_refs").write_text("5", encoding="ascii")


def read_peak() -> float | None:
    """Peak resident memory in MB since ``reset_peak``, or of the whole process where that is all that can be known."""
    try:
        lines = (_SELF / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return measure_peak_memory()
    for line in lines:
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 2**10, 1)
    return measure_peak_memory()
