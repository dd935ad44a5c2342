"""One case through the network, slice by slice, as ``correct`` and ``predict`` both need it.

Nothing here holds more of the network's output than one slice: class scores times a volume is what exhausts memory in the peers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from adelecli.errors import CaseError
from adelecli.intake.formats import read_image
from adelecli.runtime.segmentation import segment_volume
from adelecli.scratch import cut_slabs, let_go
from adelecli.volumes.reading import check_finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.pipeline.session import Session, Treatment
    from adelecli.runtime.segmentation import Judge
    from adelecli.scratch import Allocate
    from adelecli.volumes.cases import Case
    from adelecli.volumes.reading import Volume


Answer: TypeAlias = "tuple[int, NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]"
"""A canonical slice: its number, class indices and confidence that the rule goes by, and the network's own, all ``[H, W]``."""


def read_volume(case: Case, session: Session) -> Volume:
    """Read the image of a case and hold it to what the model needs: channels, finite values, a slice axis that it has."""
    volume = read_image(case, session.scratch.allocate)
    contract = session.model.contract
    if len(volume.array) != len(contract.channels):
        fact = f"has {len(volume.array)} channels, the model takes {len(contract.channels)}"
        raise CaseError(fact, path=case.images[0], remedy=f"give {', '.join(contract.channel_names)} in this order")
    if volume.geometry.kind == "raster" and contract.grid.axis != "z":
        fact = f"is a picture, but the model cuts volumes along {contract.grid.axis}"
        raise CaseError(fact, path=case.images[0], remedy="use a model made for pictures")
    check_finite(volume.array, path=case.images[0])
    return volume


def ask_network(
    session: Session, treatment: Treatment, case: Case, loaded: Any, numbers: Sequence[int], pixels: int
) -> Iterator[Answer]:
    """``treatment.answer``, by this process or by those that share the case; either way the same. ``pixels``: of one slice."""
    if session.sharing is None or len(numbers) < 2:
        yield from treatment.answer(case, loaded, numbers)
        return
    begin, seconds = time.perf_counter(), session.clock.seconds
    for part in session.sharing.ask(case, numbers, pixels):
        seconds["segment"] = seconds.get("segment", 0.0) + time.perf_counter() - begin
        yield part
        begin = time.perf_counter()


def segment_case(
    volume: Volume, session: Session, numbers: Sequence[int], judge: Judge | None = None
) -> Iterator[Answer]:
    """The network's answer for the canonical slices ``numbers``, in order; counts its time as ``segment``.

    ``judge``: see `segment_volume`.
    """
    geometry, seconds = volume.geometry, session.clock.seconds
    image = geometry.to_canonical(volume.array)
    begin = time.perf_counter()
    for part in segment_volume(session.model, image, geometry.canonical_spacing, numbers, judge):
        seconds["segment"] = seconds.get("segment", 0.0) + time.perf_counter() - begin
        yield part
        begin = time.perf_counter()


def restore_volume(
    table: ClassTable, indices: NDArray[np.uint8], dtype: np.dtype[np.unsignedinteger], allocate: Allocate
) -> NDArray[np.unsignedinteger]:
    """Indices ``[Z, Y, X]`` as ids, in the mask's own ``dtype`` unless an id does not fit into it; slab by slab."""
    ids = (table.decode(indices[part]) for part in cut_slabs(indices))
    highest = max(*table.ids, table.ignore or 0)
    if highest > np.iinfo(dtype).max and max(int(part.max()) for part in ids) > np.iinfo(dtype).max:
        dtype = np.dtype(np.uint16)
    restored = allocate(indices.shape, dtype)
    for part in cut_slabs(indices):
        restored[part] = table.decode(indices[part])
        let_go(restored, indices)
    return restored
