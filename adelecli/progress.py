"""How long work tells its caller where it is, without printing.

A library call takes ``progress: Callback | None`` and calls it with one ``Progress`` after each step; the CLI turns those
into bars and lines, a pipeline into log records. A callback must not change results, so the library never reads its return value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a stage: ``done`` of ``total`` units (``total`` 0: unknown), with what a display may show beside it.

    ``notice`` is a line that a person should see (a warning); ``detail`` holds machine-readable values, for instance losses.
    """

    stage: str
    done: int = 0
    total: int = 0
    case: str | None = None
    notice: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


Callback = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """The default callback: nobody is watching."""
