"""From files to the slice cache and back: the same preparation that inference uses, and its exact inverse for labels.

Training must see what ``adele correct`` will show the exported model, so images go through ``runtime.preparation``. Corrected labels
return to the source grid as *changes*: a source voxel is touched only where the network grid's label was changed, so a grid that
differs from the source's cannot blur labels that nobody corrected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.errors import CaseError
from adelecli.intake.formats import read_image, read_labels
from adelecli.labels.classes import IGNORE
from adelecli.progress import Progress
from adelecli.runtime.preparation import fit_normaliser, move_axis, resize_image, resize_labels, restore_axis
from adelecli.training.dataset import create_cache
from adelecli.training.survey import find_canvas

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.progress import Callback
    from adelecli.training.survey import CaseFacts, Survey
    from adelecli.volumes.geometry import Geometry


def write_cache(folder: Path, survey: Survey, clean: Mapping[str, Path], progress: Callback) -> None:
    """Prepare every case of the survey into ``folder``; ``clean`` maps case ids to clean masks where they are known."""
    shapes = [survey.slice_shape(facts) for facts in survey.facts]
    canvas = find_canvas(survey)
    arrays = create_cache(folder, sum(s[0] for s in shapes), (len(survey.channels), *canvas), clean=bool(clean))
    start = 0
    for number, (facts, shape) in enumerate(zip(survey.facts, shapes, strict=True)):
        rows = slice(start, start + shape[0])
        images, labels, truth = _prepare_case(survey, facts, shape, clean.get(facts.case.id))
        _pad_into(arrays["images"][rows], images)
        _pad_into(arrays["labels"][rows], labels, fill=IGNORE)
        if clean:
            _pad_into(arrays["clean"][rows], labels if truth is None else truth, fill=IGNORE)
        table = arrays["table"][rows]
        table["case"], table["slice"] = number, np.arange(shape[0])
        table["height"], table["width"] = shape[1], shape[2]
        table["foreground"] = ((labels > 0) & (labels != IGNORE)).any((1, 2))
        start = rows.stop
        progress(Progress("prepare", number + 1, len(shapes), facts.case.id))
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]  # a memory map


def _prepare_case(
    survey: Survey, facts: CaseFacts, shape: tuple[int, int, int], clean: Path | None
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Images ``[S, C, h, w]``, labels ``[S, h, w]`` and clean labels of one case on the network's grid."""
    assert facts.case.mask is not None
    volume = read_image(facts.case)
    axis = survey.grid.axis
    canonical = volume.geometry.to_canonical(volume.array)
    normalise = fit_normaliser(canonical, survey.channels)
    slices = np.moveaxis(move_axis(canonical, axis), 1, 0)
    images = np.stack([resize_image(normalise(one), shape[1:]) for one in slices])
    labels = read_network_labels(survey, facts, facts.case.mask, shape)
    truth = None if clean is None else read_network_labels(survey, facts, clean, shape)
    return images, labels, truth


def read_network_labels(survey: Survey, facts: CaseFacts, mask: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Class indices ``[S, h, w]`` of a mask on the network's grid. Raises ``CaseError`` where it does not fit the case."""
    labels = read_labels(mask, onto=facts.case.images[0])
    if labels.array.shape != _source_shape(labels.geometry, facts):
        raise CaseError(f"shape {labels.array.shape} does not belong to case {facts.case.id}", path=mask)
    indices = labels.geometry.to_canonical(survey.table.encode(labels.array))
    return resize_labels(move_axis(indices, survey.grid.axis), shape[1:])


def _source_shape(geometry: Geometry, facts: CaseFacts) -> tuple[int, ...]:
    return geometry.from_canonical(np.empty(facts.shape, dtype=bool)).shape


def _pad_into(target: NDArray[np.generic], values: NDArray[np.generic], fill: int | None = None) -> None:
    """Write ``values [S, ..., h, w]`` into ``target [S, ..., H, W]``; pad with ``fill`` or by repetition."""
    height, width = values.shape[-2:]
    margin = [(0, 0)] * (values.ndim - 2) + [(0, target.shape[-2] - height), (0, target.shape[-1] - width)]
    target[...] = np.pad(values, margin, mode="edge") if fill is None else np.pad(values, margin, constant_values=fill)


def restore_labels(
    survey: Survey, facts: CaseFacts, before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger], Geometry]:
    """The original and the corrected mask of a case on its source grid (label ids) and its geometry.

    ``before`` and ``after`` are ``[S, h, w]`` on the network's grid; voxels where they agree keep the source's own label.
    """
    assert facts.case.mask is not None
    labels = read_labels(facts.case.mask, onto=facts.case.images[0])
    source = survey.table.encode(labels.array)
    canonical = labels.geometry.to_canonical(source)
    plane = move_axis(canonical, survey.grid.axis).shape[1:]
    changed = resize_labels((before != after).astype(np.uint8), plane).astype(bool)
    values = resize_labels(after, plane)
    slices = move_axis(canonical, survey.grid.axis)
    corrected = labels.geometry.from_canonical(restore_axis(np.where(changed, values, slices), survey.grid.axis))
    return labels.array, survey.table.decode(np.ascontiguousarray(corrected)), labels.geometry
