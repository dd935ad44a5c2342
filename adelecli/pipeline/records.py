"""What a batch reports about itself: the records that travel into the store, the report file and ``--json``.

Every struct is frozen and holds plain values only, so a record read back from a store equals the one that was written.
Numbers that do not exist (no foreground, no spacing in mm, no such class) are ``None``, never NaN: JSON has no NaN.
A field may be added under the same ``SCHEMA``; a changed meaning needs a new one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from adelecli.errors import OK, SOME_FAILED, SOME_QUARANTINED, InputError
from adelecli.labels.triage import judge_cases, order_cases, weigh_record
from adelecli.pipeline.notebook import format_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = 1

Status = Literal["corrected", "unchanged", "quarantined", "predicted", "failed", "reverted"]
"""How a case ended; ``reverted`` where a run is resumed after somebody gave the case its original labels back."""


class ClassRecord(msgspec.Struct, frozen=True):
    """One class of one case: voxels and mm3 before and after the correction.

    ``changed_share`` (0..1) is the larger of the share of its old voxels that it lost and of its new ones that it won. In a
    quarantined case the numbers are those of the correction that was refused. Volumes are ``None`` where the
    file gives no spacing in mm (pictures).
    """

    id: int
    name: str
    voxels_before: int
    voxels_after: int
    voxels_added: int
    voxels_removed: int
    mm3_before: float | None
    mm3_after: float | None
    mm3_added: float | None
    mm3_removed: float | None
    changed_share: float


class Hashes(msgspec.Struct, frozen=True):
    """Sha256 (hex) of the image files in channel order, of the mask file, and of the result's voxels (C order, z y x)."""

    images: tuple[str, ...] = ()
    mask: str | None = None
    result: str | None = None


class CaseRecord(msgspec.Struct, frozen=True):
    """What happened to one case.

    ``changed_share`` is the largest share of any foreground class; ``mean_confidence`` the mean of the network's confidence
    over the voxels that the mask or the network calls foreground, in the slices in which the correction rule could change
    anything (in all, for a prediction); ``rank`` the place in the review queue (1 = look here first). Of its ``slices``, the
    network was not asked about ``skipped_slices``: the rule could not have changed them, whatever it had said. ``excess``: how many
    times more the labels disagree with the network than honest ones would (``labels.excess``), where the model knows that.
    ``disagreement`` (0..1): the share of the foreground on which labels and network disagree, weighted by the network's confidence, with
    what the ``gap_slices`` (no label, between labelled ones) should have had; ``jumps`` (-1..1): the share of the foreground that differs
    from one slice to the next in the labels, less that in the network's answer; ``far_jumps``: the same from one slice to the next but
    one; ``reasons``: why the case is in the queue.
    """

    id: str
    status: Status
    classes: tuple[ClassRecord, ...] = ()
    changed_share: float | None = None
    mean_confidence: float | None = None
    rank: int | None = None
    hashes: Hashes = Hashes()
    seconds: float = 0.0
    slices: int | None = None
    skipped_slices: int = 0
    excess: float | None = None
    disagreement: float | None = None
    gap_slices: int = 0
    jumps: float | None = None
    far_jumps: float | None = None
    reasons: tuple[str, ...] = ()
    resumed: bool = False
    error: str | None = None


class ModelRecord(msgspec.Struct, frozen=True):
    """The network that was asked: its name and run id from the contract, and the sha256 of its file."""

    name: str
    sha256: str
    run: str | None = None


class RunRecord(msgspec.Struct, frozen=True):
    """How a batch was run: enough to run it again and to explain a difference.

    ``seconds`` per stage add up over processes and overlap in time; ``elapsed`` is the wall time from the opened model to the
    end. ``tf32``: whether a GPU might round products to TF32 (``None``: no GPU). ``shard``: the part ``I/N`` that this was.
    """

    command: str
    adele: str
    python: str
    platform: str
    libraries: dict[str, str]
    model: ModelRecord | None
    options: dict[str, Any]
    device_asked: str
    device_used: str
    started: str
    seconds: dict[str, float]
    peak_memory_mb: float | None
    elapsed: float | None = None
    tf32: bool | None = None
    shard: str | None = None


class Report(msgspec.Struct, frozen=True):
    """The whole answer of ``correct`` or ``predict``; cases are sorted by id."""

    run: RunRecord
    cases: tuple[CaseRecord, ...]
    notices: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some cases failed, 4 none failed but some are quarantined, 7 every case failed."""
        code = choose_exit_code(case.error for case in self.cases)
        return SOME_QUARANTINED if code == OK and self.count("quarantined") else code

    @property
    def review_queue(self) -> tuple[CaseRecord, ...]:
        """The cases worth a look, worst first."""
        return tuple(sorted((case for case in self.cases if case.rank), key=lambda case: case.rank or 0))

    def __repr__(self) -> str:
        """One line; the records themselves are in ``cases``."""
        return f"Report({self.run.command}: {self._summary})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the summary, and the ten cases to look at first, with their reasons."""
        rows = [
            (case.rank, case.id, case.status, f"{100 * (case.changed_share or 0.0):.1f} %", "; ".join(case.reasons[:2]))
            for case in self.review_queue[:10]
        ]
        return format_answer(self.run.command, self._summary, ("rank", "case", "status", "changed", "why"), rows)

    @property
    def _summary(self) -> str:
        counts = Counter(case.status for case in self.cases)
        return ", ".join(f"{count} {status}" for status, count in counts.most_common()) or "no cases"

    def count(self, status: Status) -> int:
        """How many cases ended so."""
        return sum(case.status == status for case in self.cases)

    def to_json(self) -> str:
        """One JSON object; ``report_schema`` describes it."""
        return msgspec.json.encode(self).decode()


def report_schema() -> dict[str, object]:
    """JSON Schema of ``Report``."""
    return msgspec.json.schema(Report)


def choose_exit_code(errors: Iterable[str | None]) -> int:
    """The exit code of work on cases that ran to its end, from each case's error (``None``: it went well)."""
    went_wrong = [error is not None for error in errors]
    if not any(went_wrong):
        return OK
    return InputError.exit_code if all(went_wrong) else SOME_FAILED


def rank_cases(cases: tuple[CaseRecord, ...]) -> tuple[CaseRecord, ...]:
    """Number the cases for review (``labels.triage``): quarantined ones first, then by how wrong they look; order kept.

    Cases that failed or in which nothing changed are not ranked.
    """
    verdicts = judge_cases([weigh_record(msgspec.to_builtins(case)) for case in cases])
    order = order_cases(verdicts, [case.status == "quarantined" for case in cases], [case.id for case in cases])
    worth_it = [at for at in order if cases[at].status in {"quarantined", "corrected"}]
    ranks = {at: place for place, at in enumerate(worth_it, start=1)}
    return tuple(
        msgspec.structs.replace(case, rank=ranks.get(at), reasons=verdicts[at].reasons if at in ranks else ())
        for at, case in enumerate(cases)
    )
