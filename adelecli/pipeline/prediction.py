"""``predict``: images in, segmentations out; ``correct`` without masks, through the same loop into the same kind of store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec
import numpy as np

from adelecli.errors import InputError
from adelecli.intake.formats import list_images
from adelecli.intake.frames import make_frame
from adelecli.keywords import read_keywords
from adelecli.labels.entries import list_entries
from adelecli.pipeline.batch import run_batch
from adelecli.pipeline.counting import count_slabs, describe_changes
from adelecli.pipeline.evidence import ConfidenceSummary, cut_slices
from adelecli.pipeline.inference import ask_network, read_volume, restore_volume, segment_case
from adelecli.pipeline.options import BatchKeywords, BatchOptions, StrPath
from adelecli.pipeline.records import CaseRecord, Report
from adelecli.pipeline.resumption import hash_inputs
from adelecli.pipeline.session import Command, Outcome, Session, Treatment
from adelecli.pipeline.tables import read_table
from adelecli.progress import Callback, ignore_progress
from adelecli.scratch import let_go
from adelecli.store.arrays import hash_array
from adelecli.volumes.listing import IMAGE_FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.pipeline.inference import Answer
    from adelecli.pipeline.records import Hashes
    from adelecli.volumes.cases import Case
    from adelecli.volumes.reading import Volume


def predict(
    images: StrPath | None = None,
    *,
    out: StrPath,
    progress: Callback = ignore_progress,
    **options: Unpack[BatchKeywords],
) -> Report:
    """Segment the files in ``images`` and publish the labels (named ``corrected``) into the OME-Zarr store ``out``.

    ``images`` is a folder or a file (default: ``./images``); the options are those of ``BatchOptions``. Every case ends as
    ``predicted`` or ``failed``; errors as in ``correct``.

    >>> report = predict("images", out="segmented.zarr")  # doctest: +SKIP
    """
    chosen = read_keywords(BatchOptions, options)
    pairing = list_images(Path(images) if images is not None else _find_images())
    return run_batch(Command("predict", prepare_prediction), pairing, out, chosen, progress)


def prepare_prediction(session: Session) -> Treatment:
    """How ``predict`` treats its cases in ``session``."""
    return _Predictor(session, read_table(session.model.contract))


def _find_images() -> Path:
    found = next((Path(name) for name in IMAGE_FOLDERS if Path(name).is_dir()), None)
    if found is None:
        raise InputError("there is neither images/ nor imagesTr/ here", remedy="name the folder of the images")
    return found


@dataclass(frozen=True)
class _Predictor:
    session: Session
    table: ClassTable

    def read(self, case: Case) -> tuple[Hashes, Volume]:
        return hash_inputs(case), read_volume(case, self.session)

    def answer(self, case: Case, loaded: tuple[Hashes, Volume], numbers: Sequence[int]) -> Iterator[Answer]:  # noqa: ARG002
        return segment_case(loaded[1], self.session, numbers)

    def treat(self, case: Case, loaded: tuple[Hashes, Volume]) -> Outcome:
        """Every slice is run: there is no label that could stay as it is."""
        hashes, volume = loaded
        geometry, axis, allocate = volume.geometry, self.session.model.contract.grid.axis, self.session.scratch.allocate
        indices: NDArray[np.uint8] = allocate(geometry.shape, np.dtype(np.uint8))
        keep_map = self.session.options.confidence_maps
        confidence = ConfidenceSummary(geometry.canonical_shape, axis, allocate if keep_map else None)
        slices = cut_slices(geometry.to_canonical(indices), axis)
        for index, label, sure, *_ in ask_network(self.session, self, case, loaded, range(len(slices)), slices[0].size):
            slices[index] = label
            confidence.keep(index, sure)
            confidence.add(sure, label > 0)
            let_go(indices)
        with self.session.clock.stage("count"):
            result = restore_volume(self.table, indices, np.dtype(np.uint8), allocate)
            record = CaseRecord(
                id=case.id,
                status="predicted",
                classes=describe_changes(self.table, count_slabs(indices, indices, len(self.table)), geometry),
                mean_confidence=confidence.mean,
                hashes=msgspec.structs.replace(hashes, result=hash_array(result)),
                slices=len(slices),
            )
        arrays = {"corrected": (result, list_entries(self.table))}
        return Outcome(record, make_frame(geometry, case.images[0]), arrays, confidence.restore_map(geometry))
