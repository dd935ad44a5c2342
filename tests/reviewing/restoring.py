"""A small stand-in for `adelecli.revert`, for tests of what calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from small_stores import CLASSES

from adelecli.store.changes import map_changes
from adelecli.store.collection import open_store
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.store.publication import publish_case


@dataclass
class Restorer:
    """Publishes the original labels as the corrected ones, and remembers its calls; ``fails`` makes it break down first."""

    calls: list[tuple[tuple[str, ...], tuple[str, ...], str | None, str | None]] = field(default_factory=list)
    fails: bool = False

    def __call__(
        self, path: Path, /, *, cases: Sequence[str], classes: Sequence[str], reason: str | None, actor: str | None
    ) -> None:
        if self.fails:
            raise KeyboardInterrupt
        self.calls.append((tuple(cases), tuple(classes), reason, actor))
        store = open_store(path)
        for case in cases:
            before, frame, record = store.read(case, "original"), store.frame(case), store.case_record(case)
            with publish_case(store, case, replace=True) as draft:
                draft.write_labels("original", before, frame, CLASSES)
                draft.write_labels("corrected", before, frame, CLASSES)
                draft.write_labels("change", map_changes(before, np.array(before)), frame, CHANGE_CLASSES)
                draft.set_record(record)
