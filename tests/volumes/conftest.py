"""Small files to read: every test of this room builds its own data set in ``tmp_path``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

SaveVolume = Callable[..., Path]
SavePicture = Callable[..., Path]


@pytest.fixture
def save_volume(tmp_path: Path) -> SaveVolume:
    """Save an array (x, y, z) with nibabel under a name relative to ``tmp_path``; ``edit`` may change the header."""

    def save(name: str, array: Any, affine: Any = None, edit: Callable[[Any], None] | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(np.asarray(array), np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine)
        image.header.set_xyzt_units("mm", "sec")
        if edit:
            edit(image.header)
        nib.save(image, path)
        return path

    return save


@pytest.fixture
def save_picture(tmp_path: Path) -> SavePicture:
    """Save an array (y, x) or (y, x, colour) with Pillow under a name relative to ``tmp_path``."""

    def save(name: str, array: Any, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(array)).save(path, **options)
        return path

    return save
