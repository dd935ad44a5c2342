"""What ``check`` answers: records of plain values, for ``--json`` and for programs. Numbers that cannot be told are ``None``."""

from __future__ import annotations

import msgspec

from adelecli.pipeline.notebook import format_answer
from adelecli.pipeline.records import choose_exit_code


class CheckedCase(msgspec.Struct, frozen=True):
    """One case: its files, its grid (``shape`` and ``spacing_mm`` as z, y, x; ``axes`` such as "LPS"), and what its mask holds.

    ``labels``: voxels by label id. ``slices``: those of the network's axis, of which ``open_slices`` could change (without a
    model: those that hold a label). ``concerns`` are usable but suspicious; ``error`` is why a run would fail the case.
    """

    id: str
    images: tuple[str, ...] = ()
    mask: str | None = None
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] | None = None
    axes: str | None = None
    labels: dict[str, int] = {}  # msgspec copies defaults
    slices: int = 0
    open_slices: int = 0
    concerns: tuple[str, ...] = ()
    error: str | None = None


class Estimate(msgspec.Struct, frozen=True):
    """What a run would take: ``None`` where it cannot be told (no model).

    ``seconds``: reading and the network, on this machine in one process; ``memory_mb`` of that process; ``disk_mb`` of the store
    and ``scratch_mb`` of unlinked files beside it while the largest case is treated; ``free_mb`` where the store would lie.
    """

    seconds: float | None
    seconds_per_slice: float | None
    memory_mb: int | None
    disk_mb: int
    scratch_mb: int
    free_mb: int


class Machinery(msgspec.Struct, frozen=True):
    """What would compute: the model, the device, and the build of onnxruntime with the CUDA version that it needs ("": none)."""

    model: str | None
    device: str | None
    onnxruntime: str
    packages: tuple[str, ...]
    cuda: str
    problem: str | None


class Checkup(msgspec.Struct, frozen=True):
    """The whole answer of ``check``; ``labels`` are voxels by label id over all cases, ``names`` what the ids mean where known."""

    cases: tuple[CheckedCase, ...]
    labels: dict[str, int]
    names: dict[str, str]
    estimate: Estimate
    machinery: Machinery
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line; the cases themselves are in ``cases``."""
        return f"Checkup({self._summary})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the summary, and ten cases, those that cannot be used first."""
        first = sorted(self.cases, key=lambda case: (case.error is None, not case.concerns))[:10]
        rows = [
            (case.id, "x".join(map(str, case.shape)) or "-", case.error or "; ".join(case.concerns)) for case in first
        ]
        return format_answer("check", self._summary, ("case", "shape", "what is wrong"), rows)

    @property
    def _summary(self) -> str:
        refused = sum(case.error is not None for case in self.cases)
        return f"{len(self.cases) - refused} cases can be used, {refused} cannot"

    @property
    def exit_code(self) -> int:
        """0 all usable, 3 some cases would fail, 7 every case would fail."""
        return choose_exit_code(case.error for case in self.cases)

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()
