"""``predict``: images in, segmentations out; ``correct`` without masks, through the same loop into the same kind of store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec
import numpy as np

from adelecli.errors import InputError
from adelecli.keywords import read_keywords
from adelecli.labels.correction import count_changes
from adelecli.labels.entries import list_entries
from adelecli.pipeline.batch import Command, Outcome, Session, run_batch
from adelecli.pipeline.correction import describe_changes, restore_ids
from adelecli.pipeline.frames import make_frame, read_table
from adelecli.pipeline.inference import ConfidenceSummary, cut_slices, read_volume, segment_case
from adelecli.pipeline.options import BatchKeywords, BatchOptions, StrPath
from adelecli.pipeline.records import CaseRecord, Report
from adelecli.pipeline.resumption import hash_inputs
from adelecli.progress import Callback, ignore_progress
from adelecli.store.arrays import hash_array
from adelecli.volumes.cases import IMAGE_FOLDERS, list_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.volumes.cases import Case


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

    def prepare(session: Session) -> Callable[[Case], Outcome]:
        table = read_table(session.model.contract)
        return lambda case: _predict_case(case, table, session)

    return run_batch(Command("predict", prepare), pairing, out, chosen, progress)


def _find_images() -> Path:
    found = next((Path(name) for name in IMAGE_FOLDERS if Path(name).is_dir()), None)
    if found is None:
        raise InputError("there is neither images/ nor imagesTr/ here", remedy="name the folder of the images")
    return found


def _predict_case(case: Case, table: ClassTable, session: Session) -> Outcome:
    clock, axis = session.clock, session.model.contract.grid.axis
    with clock.stage("read"):
        hashes = hash_inputs(case)
        volume = read_volume(case, session)
    geometry = volume.geometry
    indices: NDArray[np.uint8] = np.zeros(geometry.canonical_shape, np.uint8)
    confidence = ConfidenceSummary(indices.shape, axis, keep_map=session.options.confidence_maps)
    slices = cut_slices(indices, axis)
    for index, label, sure in segment_case(volume, session):
        slices[index] = label
        confidence.add(index, sure, label > 0)
    with clock.stage("count"):
        result = restore_ids(table, geometry.from_canonical(indices), np.dtype(np.uint8))
        record = CaseRecord(
            id=case.id,
            status="predicted",
            classes=describe_changes(table, count_changes(indices, indices, len(table)), geometry),
            mean_confidence=confidence.mean,
            hashes=msgspec.structs.replace(hashes, result=hash_array(result)),
        )
    arrays = {"corrected": (result, list_entries(table))}
    return Outcome(record, make_frame(geometry, case.images[0]), arrays, confidence.restore_map(geometry))
