"""The slices that a finished run keeps for its export: some to prove the file on, some with labels to measure it on.

What must hold: a run that was finished before validation slices were kept can still be exported; it is only not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safetensors import SafetensorError
from safetensors.numpy import load_file

from adelecli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Validation:
    """Slices of validation cases ``image [n, C, H, W]`` and their ``labels [n, H, W]`` (255: not annotated), true or as given."""

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    source: Literal["clean", "given"]


@dataclass(frozen=True)
class Samples:
    """``image [n, C, H, W]`` from all of the data, and what was ``held_out`` from training, if anything."""

    image: NDArray[np.float32]
    held_out: Validation | None = None


def read_samples(path: Path) -> Samples:
    """The samples of a run folder. Raises ``InputError``."""
    try:
        tensors = load_file(path)
        image = tensors["image"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"is damaged ({error})", path=path, remedy="train again") from None
    for source in ("clean", "given"):
        if f"val_{source}" in tensors and "val_image" in tensors:
            return Samples(image, Validation(tensors["val_image"], tensors[f"val_{source}"], source))
    return Samples(image)
