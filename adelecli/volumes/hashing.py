"""What identifies an input: one sha256 for a file, for the files of a series, and for a folder that is one image.

What must hold: the hash covers every byte that reading the input would read, and nothing that depends on where it lies
or, for DICOM, on how its files are called.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.errors import CaseError
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.itk import ENDINGS as ITK_ENDINGS
from adelecli.volumes.itk import find_data_file
from adelecli.volumes.listing import is_series, is_zarr, list_folder
from adelecli.volumes.series import list_series

if TYPE_CHECKING:
    from collections.abc import Iterable


def hash_file(path: Path) -> str:
    """The sha256 of an input in hex: of a file's bytes, else of the hashes of its parts; CaseError when it cannot be read.

    A DICOM series is the sorted hashes of its files, a zarr folder its relative paths with theirs, an MHD file itself and
    the file with its voxels.
    """
    path = Path(path)
    if path.is_dir() and is_zarr(path):
        return _join(f"{one.relative_to(path).as_posix()} {_hash_bytes(one)}" for one in _walk(path))
    if path.is_dir() or is_series(path):
        return _join(sorted(_hash_bytes(one) for one in list_series(path)))
    data = find_data_file(path) if path.suffix.lower() in ITK_ENDINGS and path.is_file() else None
    return _hash_bytes(path) if data is None else _join([_hash_bytes(path), _hash_bytes(data)])


def _hash_bytes(path: Path) -> str:
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited for
        raise CaseError("is no regular file", path=path, remedy="remove it")
    with refuse_damage(path, "a file"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _join(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _walk(folder: Path) -> list[Path]:
    found = []
    for path in list_folder(folder):
        found += _walk(path) if path.is_dir() and not path.is_symlink() else [path]
    return found
