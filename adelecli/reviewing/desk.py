"""The desk at which a store is reviewed: its queue, its slices, and the decisions that are made; without a word of HTTP.

What must hold: a decision is on the disk before it is shown as made; a rejection is carried out through ``adelecli.revert`` and
noted, and one that a kill left half done is carried out when the desk is next opened; decisions are made one at a time.
"""

from __future__ import annotations

import getpass
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from adelecli.errors import AdeleError, CaseError, ConfigError, OutputError
from adelecli.reporting.overlays import encode_changes, encode_image, encode_labels, pick_colour, to_uri
from adelecli.reporting.pictures import Viewer, find_sources
from adelecli.reporting.planes import Plane, choose_slice, face_viewer, fit_size, frame_region
from adelecli.reporting.summaries import CaseRow, summarise_store
from adelecli.store.decisions import Decision, Word, find_pending, read_decisions, record_decision, settle_decisions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.store.collection import Store

WORDS: tuple[Word, ...] = ("accept", "reject", "edit", "open")
SIDE = 512
"""Pixels that the longer side of a slice has at least."""
_NOTES = {
    "quarantined": "The correction was refused and not stored: these are the original labels. Accept keeps them.",
    "reverted": "The original labels are back.",
}
"""What is told of a case whose labels are not those of its correction."""


class Revert(Protocol):
    """Gives cases, or some classes of them, their original labels back; ``adelecli.revert`` is one."""

    def __call__(
        self, store: Path, /, *, cases: Sequence[str], classes: Sequence[str], reason: str | None, actor: str | None
    ) -> object:
        """Raises ``AdeleError``, or tells the error of a case in ``cases`` of what it returns."""


def find_revert() -> Revert:
    """The library's own call. Raises ``ConfigError`` where this adele has none."""
    import adelecli

    found: Revert | None = getattr(adelecli, "revert", None)
    if found is None:
        raise ConfigError("this adele cannot revert cases", remedy="update adele")
    return found


class Desk:
    """A store under review; ``images`` is the folder of its images. Raises ``InputError`` when that holds none."""

    def __init__(
        self, store: Store, images: Path | None = None, *, revert: Revert | None = None, actor: str | None = None
    ) -> None:
        self.store, self.actor = store, actor or find_user()
        self._revert, self._sources, self._lock = revert, find_sources(images), Lock()
        summary = summarise_store(store)
        self.rows: dict[str, CaseRow] = {
            row.id: row for row in summary.cases if row.status not in {"failed", "unreadable"}
        }
        self._entries = list(read_decisions(store))
        self._viewer = lru_cache(maxsize=2)(self._open_viewer)

    def finish_pending(self) -> tuple[tuple[str, AdeleError | None], ...]:
        """Carry out the rejections that an earlier review did not get to; returns the cases, each with what prevented it.

        One damaged case must not keep a person from the others, so its error is told and its rejection stays pending.
        """
        return tuple((entry.case, self._try_out(entry)) for entry in find_pending(self._entries))

    def _try_out(self, entry: Decision) -> AdeleError | None:
        try:
            with self._lock:
                self._carry_out(entry)
        except AdeleError as error:
            return error
        return None

    def list_queue(self) -> list[dict[str, Any]]:
        """The cases, worst first, each with its reasons and the word about the whole of it (``""``: none yet)."""
        settled = settle_decisions(self._entries)
        return [
            {
                "id": row.id,
                "rank": row.rank,
                "status": row.status,
                "reasons": list(row.reasons[:2]),
                "changed": row.changed_share,
                "word": settled[row.id, None].word if (row.id, None) in settled else "",
            }
            for row in self.rows.values()
        ]

    def describe_case(self, case: str) -> dict[str, Any]:
        """Planes with the changed voxels of each slice and the slice to begin with, classes and the words about them.

        Raises ``CaseError``.
        """
        row, viewer = self._row(case), self._viewer(case)
        settled = settle_decisions(self._entries)
        after = viewer.geometry.to_canonical(self.store.read(case, viewer.after_name))
        before = viewer.geometry.to_canonical(self.store.read(case, "original")) if viewer.has_before else after
        ids = [int(entry["id"]) for entry in row.classes]
        wanted = np.zeros(1 + max(int(before.max()), int(after.max()), *ids, 0), bool)
        wanted[ids] = True
        changed, held = before != after, wanted[before] | wanted[after]
        planes = [describe_plane(viewer, plane, changed, held) for plane in viewer.planes]
        voxel = float(np.prod(viewer.geometry.canonical_spacing)) if viewer.planes[0].sides[0] else 1.0
        sizes = [count_labels(labels, len(wanted)) for labels in (before, after)]
        classes = [
            {
                "name": str(entry["name"]),
                "colour": pick_colour(place),
                "before": voxel * int(sizes[0][entry["id"]]),
                "after": voxel * int(sizes[1][entry["id"]]),
                "word": settled[case, str(entry["name"])].word if (case, str(entry["name"])) in settled else "",
            }
            for place, entry in enumerate(row.classes)
        ]
        word = settled[case, None].word if (case, None) in settled else ""
        status = "reverted" if self.store.is_reverted(case) else row.status
        return {
            "id": case,
            "status": status,
            "about": _NOTES.get(status, ""),
            "unit": "mm³" if viewer.planes[0].sides[0] else "px",
            "reasons": row.reasons,
            "word": word,
            "planes": planes,
            "classes": classes,
        }

    def draw_slice(self, case: str, plane: str, index: int) -> dict[str, Any]:
        """The pictures of one slice as data URIs, and their size. Raises ``CaseError``, also for a slice that is not there."""
        row, viewer = self._row(case), self._viewer(case)
        chosen = _find_plane(viewer, plane)
        if not 0 <= index < viewer.count_slices(chosen):
            raise CaseError(f"{case} has no {plane} slice {index}")
        view = viewer.view(chosen, index)
        shape, pixel = (view.after.shape[0], view.after.shape[1]), viewer.pixel_size(chosen)
        size = fit_size(shape, pixel, max(SIDE, *shape))
        ids = [int(entry["id"]) for entry in row.classes]
        drawn = {"after": to_uri(encode_labels(view.after, ids, size))}
        if view.before is not None:
            drawn["before"] = to_uri(encode_labels(view.before, ids, size))
            drawn["difference"] = to_uri(encode_changes(view.changes, size))
        if view.image is not None:
            drawn["image"] = to_uri(encode_image(view.image, size, viewer.window))
        return {**drawn, "width": size[1], "height": size[0]}

    def decide(self, case: str, word: str, *, part: str | None = None, note: str | None = None) -> dict[str, Any]:
        """Make a decision; a rejection gives the case, or the class ``part`` of it, its original labels back at once.

        Returns ``describe_case``. Raises ``ConfigError`` (no such word or class), ``CaseError``, ``OutputError``.
        """
        row = self._row(case)
        if word not in WORDS:
            raise ConfigError(f"there is no decision {word!r}", remedy=f"the decisions are {', '.join(WORDS)}")
        if part is not None and part not in {str(entry["name"]) for entry in row.classes}:
            raise ConfigError(f"{case} has no class {part!r}")
        with self._lock:
            entry = self._record(case, word, part, note)
            if entry.word == "reject":
                self._carry_out(entry)
        return self.describe_case(case)

    def decisions(self) -> tuple[Decision, ...]:
        """Every decision that was ever made about the store, oldest first."""
        return tuple(self._entries)

    def _record(self, case: str, word: Word, part: str | None, note: str | None) -> Decision:
        try:
            entry = record_decision(self.store, case, word, part=part, actor=self.actor, note=note)
        except OSError as error:
            raise OutputError(f"the decision cannot be written ({error.strerror})", path=self.store.path) from error
        self._entries.append(entry)
        return entry

    def _carry_out(self, entry: Decision) -> None:
        revert = self._revert or find_revert()
        reason = entry.note or "rejected in review"
        classes = [] if entry.part is None else [entry.part]
        result = revert(self.store.path, cases=[entry.case], classes=classes, reason=reason, actor=entry.actor)
        for case in getattr(result, "cases", ()):
            if getattr(case, "error", None):
                raise CaseError(str(case.error))
        self._record(entry.case, "reverted", entry.part, entry.note)

    def _row(self, case: str) -> CaseRow:
        if case not in self.rows:
            raise CaseError(f"there is no case {case!r} to review")
        return self.rows[case]

    def _open_viewer(self, case: str) -> Viewer:
        return Viewer(self.store, case, self._sources.get(case))


def count_labels(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """How many voxels of ``labels [Z, Y, X]`` have each of the values 0..``count`` - 1; by slices, as it takes 8 bytes a voxel.

    >>> count_labels(np.array([[[0, 2]], [[2, 2]]]), 4).tolist()
    [1, 0, 3, 0]
    """
    return np.sum([np.bincount(part.ravel(), minlength=count) for part in labels], axis=0)  # type: ignore[no-any-return]


def describe_plane(viewer: Viewer, plane: Plane, changed: NDArray[np.bool_], held: NDArray[np.bool_]) -> dict[str, Any]:
    """How many voxels changed in each slice, which slice to begin with, and where the classes lie in the picture.

    ``changed`` and ``held`` (of a class, before or after) are canonical ``[Z, Y, X]``. ``box``: top, left, height and width of what
    is held in any slice, with some surroundings, 0..1 of the picture.
    """
    others = tuple(at for at in range(3) if at != plane.axis)
    flat = face_viewer(plane, np.asarray(held.any(axis=plane.axis, keepdims=True)))
    rows, columns = frame_region(flat, viewer.pixel_size(plane))
    height, width = flat.shape
    return {
        "name": plane.name,
        "sides": plane.sides,
        "start": choose_slice(changed, held, plane.axis),
        "counts": [int(count) for count in np.count_nonzero(changed, axis=others)],
        "box": [
            rows.start / height,
            columns.start / width,
            (rows.stop - rows.start) / height,
            (columns.stop - columns.start) / width,
        ],
    }


def _find_plane(viewer: Viewer, name: str) -> Plane:
    for plane in viewer.planes:
        if plane.name == name:
            return plane
    raise CaseError(f"{viewer.case} has no {name} plane")


def find_user() -> str:
    """The login name of whoever reviews; ``unknown`` where the system has none."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "unknown"
