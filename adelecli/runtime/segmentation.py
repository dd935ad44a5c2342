"""A volume streamed through the model, slice by slice, so that a volume's probabilities are never held at once.

What must hold: results come in slice order on the volume's own in-plane grid, and a slice's result does not depend on
the slices beside it, nor on how many share a run (the intensity constants are the volume's; slices share a run only to
save time), nor on how many runs go beside each other. The next slices are prepared while the network works on these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import CaseError
from adelecli.flow import map_ahead, read_ahead
from adelecli.runtime.preparation import (
    Normaliser,
    fit_normaliser,
    in_plane_spacing,
    move_axis,
    pad_image,
    plan_size,
    resize_image,
)
from adelecli.runtime.tiling import blend_tiles, choose_overlap, choose_tile
from adelecli.scratch import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from adelecli.runtime.models import Model

    Shape = tuple[int, int]
    Answer = tuple[NDArray[np.uint8], NDArray[np.float32]]
    Slice = tuple[int, NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
    Judge = Callable[[int, NDArray[np.float32]], Answer]
    Prepared = tuple[Sequence[int], NDArray[np.float32]]

BATCH_PIXELS = 1 << 14
"""Pixels that share one run. A 2D U-Net on 2 cores took 1.6 times as long for 48 x 48 slices one by one as for eight at
once; from 96 x 96 on a batch gained nothing and cost memory."""

GPU_BATCH_PIXELS = 1 << 20
"""The same on a GPU, which is idle between runs; the last run is filled up, so that all have one shape."""

AHEAD_VALUES = 1 << 24
"""Probabilities that may wait for the judge while the network works on (64 MiB); of larger slices none do."""


@dataclass(frozen=True)
class Passage:
    """How the slices of a volume go through a network.

    Their intensities and the size to which they are brought; how many share a run, all runs having one shape where ``filled``; how many
    runs go beside each other.
    """

    normalise: Normaliser
    size: tuple[int, int]
    step: int
    filled: bool
    lanes: int


def segment_volume(
    model: Model,
    image: NDArray[np.generic],
    spacing: tuple[float, float, float],
    numbers: Sequence[int] | None = None,
    judge: Judge | None = None,
    lanes: int = 1,
) -> Iterator[Slice]:
    """Segment ``image`` [C, Z, Y, X] (canonical grid, native dtype) with voxels of ``spacing`` (z, y, x) mm.

    Yields (index, label, confidence, own label, own confidence) for each slice along the contract's axis, in order: ``label`` uint8
    [H, W] holds class indices (0..K-1, not the label ids of files), ``confidence`` float32 [H, W] is their probability. ``numbers``:
    only these slices (ascending), with the values that they have among all. ``judge``: what makes label and confidence of a slice
    from its number and its probabilities [K, H, W], where something else than the best class and its probability is wanted; these are
    the network's own, and all there is without a judge. ``lanes``: so many runs go beside each other, in threads of their own.
    `preparation.move_axis` with that axis shows where a slice belongs. Where the contract resamples, or a slice is run in
    tiles, the probabilities are brought back to the volume's grid before the best class is taken. Raises CaseError at once
    when the image does not suit the model, and on the way when memory runs out or a result is not finite.
    """
    contract = model.contract
    if numbers is not None and not len(numbers):
        return iter(())
    normalise = fit_normaliser(image, contract.channels)
    slices = move_axis(image, contract.grid.axis)
    height, width = slices.shape[-2:]
    size = plan_size(height, width, in_plane_spacing(spacing, contract.grid.axis), contract.grid)
    chosen = range(slices.shape[1]) if numbers is None else numbers
    on_gpu = model.device.name != "cpu"
    step = max(1, (GPU_BATCH_PIXELS if on_gpu else BATCH_PIXELS) // (size[0] * size[1]))
    return _segment_slices(model, slices, chosen, Passage(normalise, size, step, on_gpu, lanes), judge)


def _segment_slices(
    model: Model, slices: NDArray[np.generic], chosen: Sequence[int], passage: Passage, judge: Judge | None
) -> Iterator[Slice]:
    """Prepare, run and bring back the ``chosen`` of ``slices`` [C, S, H, W], as many at once as a run may hold."""

    def prepare() -> Iterator[Prepared]:
        for start in range(0, len(chosen), passage.step):
            part = chosen[start : start + passage.step]
            taken = np.stack([slices[:, number] for number in part], axis=1)
            let_go(slices)
            batch = resize_image(passage.normalise(taken), passage.size).swapaxes(0, 1)
            yield part, _fill_up(batch, min(passage.step, len(chosen))) if passage.filled else batch

    shape = (slices.shape[-2], slices.shape[-1])
    for part, answers in _answer_batches(model, read_ahead(prepare()), shape, passage, judge):
        for number, ((label, confidence), own) in zip(part, answers, strict=False):  # what fills up comes last
            if not np.isfinite(confidence).all():
                fact = f"the prediction of slice {number} is not finite"
                raise CaseError(fact, remedy="look for values in the image that are not numbers")
            yield number, label, confidence, *own


def _fill_up(prepared: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    missing = count - len(prepared)
    return prepared if missing <= 0 else np.concatenate([prepared, np.repeat(prepared[-1:], missing, axis=0)])


def _segment_batch(model: Model, prepared: NDArray[np.float32], shape: Shape) -> Iterator[Answer]:
    """Label and confidence [*shape] of each of ``prepared`` [N, C, h, w], seen on the canvas of the training."""
    height, width = prepared.shape[-2:]
    if choose_tile((height, width), model.contract) is None and (height, width) == shape:
        label, confidence = model.run(pad_image(prepared, model.contract.grid.canvas))
        return zip(label[:, :height, :width], confidence[:, :height, :width], strict=True)
    return (choose_classes(one, shape) for one in _compute_probabilities(model, prepared))


def _answer_batches(
    model: Model, batches: Iterator[Prepared], shape: Shape, passage: Passage, judge: Judge | None
) -> Iterator[tuple[Sequence[int], Iterator[tuple[Answer, Answer]]]]:
    """Numbers and answers of each batch, by ``judge`` and by the network; the one is found while it works on the next ones."""
    values = passage.step * passage.size[0] * passage.size[1] * len(model.contract.classes)
    ahead = passage.lanes > 1 or (judge is not None and values <= AHEAD_VALUES)

    def ask(prepared: Prepared) -> tuple[Sequence[int], Iterable[Any]]:
        part, batch = prepared
        found = _segment_batch(model, batch, shape) if judge is None else _compute_probabilities(model, batch)
        return part, list(found) if ahead else found

    for part, found in map_ahead(ask, batches, passage.lanes) if ahead else map(ask, batches):
        yield part, ((one, one) for one in found) if judge is None else _judge_batch(found, shape, part, judge)


def _judge_batch(
    found: Iterable[NDArray[np.float32]], shape: Shape, part: Sequence[int], judge: Judge
) -> Iterator[tuple[Answer, Answer]]:
    """What ``judge`` and the network say of the slices ``part``: their probabilities at their own size, one slice after another."""
    for number, probabilities in zip(part, found, strict=False):
        sized = probabilities if probabilities.shape[1:] == shape else _resize_classes(probabilities, shape)
        yield judge(number, sized), choose_classes(sized, shape)


def _compute_probabilities(model: Model, prepared: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Probabilities [K, h, w] of each of ``prepared`` [N, C, h, w]; where slices are run in tiles, those of one slice are held."""
    tile = choose_tile((prepared.shape[-2], prepared.shape[-1]), model.contract)
    if tile is None:
        return iter(_run_padded(model, prepared))
    overlap = choose_overlap(model.contract)
    return (blend_tiles(image, lambda part: _run_padded(model, part), tile, overlap) for image in prepared)


def _resize_classes(probabilities: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """Class by class, which keeps a plane in the processor's cache."""
    resized = np.empty((len(probabilities), *shape), np.float32)
    for plane, target in zip(probabilities, resized, strict=True):
        target[...] = resize_image(plane, shape)
    return resized


def _run_padded(model: Model, image: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = image.shape[-2:]
    return model.run_probabilities(pad_image(image, model.contract.grid.canvas))[..., :height, :width]


def choose_classes(
    probabilities: NDArray[np.float32], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The best class and its probability, both [*size], of ``probabilities`` [K, h, w] brought to ``size``.

    Class by class, which keeps a plane in the processor's cache and never holds K of them at the larger size. Of equal
    classes the first is taken, as by ``argmax``; NaN stays NaN in the confidence.
    """
    label = np.zeros(size, np.uint8)
    confidence = resize_image(probabilities[0], size).copy()
    for k in range(1, len(probabilities)):
        plane = resize_image(probabilities[k], size)
        np.copyto(label, np.uint8(k), where=plane > confidence)
        np.maximum(confidence, plane, out=confidence)
    return label, confidence
