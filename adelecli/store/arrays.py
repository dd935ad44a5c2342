"""Arrays of a store, through zarr: written slab by slab, read so that a lost shard is an error.

This is the only module that touches zarr, and it imports it when first used. Every shard is written, also the empty
ones (``write_empty_chunks``): zarr reads a missing shard as zeros, that is as "no lesion", so absence must always mean
damage. It is also 4 times faster than testing for emptiness. zstd alone lets one flipped bit in ten through, hence
crc32c behind it.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adelecli.errors import CaseError
from adelecli.scratch import let_go
from adelecli.store.documents import Document, read_document
from adelecli.store.layout import Shape, plan_chunks, shard_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Array = NDArray[Any]
Region = slice | tuple[slice, ...]

# What zarr and its codecs raise on damaged metadata or bytes; zstd raises RuntimeError, metadata parsing the rest.
DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, MemoryError)


@contextmanager
def reporting_damage(path: Path) -> Iterator[None]:
    """Turn what damaged files raise in the body into one ``CaseError`` that names ``path``."""
    try:
        yield
    except CaseError:
        raise
    except DAMAGE as error:
        raise CaseError(f"is damaged ({error})", path=path, remedy="run the case again with --resume") from error


def hash_array(array: Array) -> str:
    """sha256 of the array's values in C order, little-endian: what any other reader can recompute."""
    digest = hashlib.sha256()
    for part in array:
        digest.update(to_bytes(part))
        let_go(array)
    return digest.hexdigest()


def to_bytes(array: Array) -> memoryview:
    """The array's values in C order, little-endian, without a copy where memory has them so."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data


def write_volume(folder: Path, array: Array, attributes: Document | None = None) -> None:
    """Write ``array`` ``[Z, Y, X]`` as a new sharded zarr array at ``folder``, one row of shards after another."""
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    chunks, shards = plan_chunks(array.shape)
    target = zarr.create_array(
        str(folder), shape=array.shape, dtype=array.dtype.newbyteorder("="), chunks=chunks, shards=shards, fill_value=0,
        compressors=[ZstdCodec(level=3), Crc32cCodec()], dimension_names=("z", "y", "x"), zarr_format=3,
        attributes=attributes, config={"write_empty_chunks": True},
    )  # fmt: skip
    for start in range(0, array.shape[0], shards[0]):
        target[start : start + shards[0]] = _copy_row(array[start : start + shards[0]])


def _copy_row(view: Array) -> Array:
    """A copy of ``view``, plane by plane: a strided view of a mapped volume reaches over many times its own size of it."""
    row = np.empty(view.shape, view.dtype)
    for target, plane in zip(row, view, strict=True):
        target[...] = plane
        let_go(view)
    return row


def limit_threads() -> None:
    """Let zarr use one thread in this process: in a pool of workers each core has its worker already."""
    import zarr

    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 2})


def write_bytes(folder: Path, data: bytes) -> None:
    """Write ``data`` as a new uint8 array of one chunk."""
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    values = np.frombuffer(data, np.uint8)
    target = zarr.create_array(
        str(folder), shape=values.shape, dtype=values.dtype, chunks=values.shape, fill_value=0,
        dimension_names=("byte",), compressors=[ZstdCodec(level=3), Crc32cCodec()], zarr_format=3,
        config={"write_empty_chunks": True},
    )  # fmt: skip
    target[:] = values


def expected_files(document: Document) -> set[str]:
    """The files that hold an array's values, relative to its folder; ``KeyError`` for a group's document."""
    return shard_keys(tuple(document["shape"]), tuple(document["chunk_grid"]["configuration"]["chunk_shape"]))


def read_array(folder: Path, region: Region = ()) -> Array:
    """The values of the array at ``folder``, or of a region of it.

    Raises ``CaseError`` when a shard is missing (zarr itself would return zeros) or anything else is damaged.
    """
    with reporting_damage(folder):
        return np.asarray(_open(folder)[region if region != () else ...])


def read_slabs(folder: Path) -> Iterator[tuple[int, Array]]:
    """Pairs of a first index and the slab that starts there, a row of shards each; errors as ``read_array``."""
    with reporting_damage(folder):
        array = _open(folder)
        depth = (array.shards or array.chunks)[0]
        for start in range(0, array.shape[0], depth):
            yield start, np.asarray(array[start : start + depth])


def read_shape(folder: Path) -> Shape:
    """The shape of the array at ``folder``; errors as ``read_array``."""
    with reporting_damage(folder):
        return tuple(read_document(folder)["shape"])


def _open(folder: Path) -> Any:
    import zarr

    for key in sorted(expected_files(read_document(folder))):
        # An empty file (what a crash of the machine leaves of a file) reads as zeros too, so it counts as missing.
        if not (folder / key).is_file() or not (folder / key).stat().st_size:
            raise FileNotFoundError(f"shard {key} is missing")
    return zarr.open_array(str(folder), mode="r", zarr_format=3)
