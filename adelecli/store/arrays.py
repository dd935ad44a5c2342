"""Arrays of a store, through zarr: written slab by slab, read so that a lost shard is an error.

This is the only module that touches zarr, and it imports it when first used. Every shard is written, also the empty
ones (``write_empty_chunks``): zarr reads a missing shard as zeros, that is as "no lesion", so absence must always mean
damage. It is also 4 times faster than testing for emptiness. zstd alone lets one flipped bit in ten through, hence
crc32c behind it.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adelecli.errors import CaseError
from adelecli.scratch import let_go
from adelecli.store.documents import Document, read_document
from adelecli.store.frame import LONGEST_HEADER, decode_header
from adelecli.store.layout import BLOCK, SHARD, Shape, plan_chunks, shard_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Array = NDArray[Any]
Region = slice | tuple[slice, ...]

# What zarr and its codecs raise on damaged metadata or bytes; zstd raises RuntimeError, metadata parsing the rest.
DAMAGE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError,
)  # fmt: skip

MOST_SHARDS = 1 << 20
"""More files than that no array has: at 32 MiB each, the smallest, they would hold 32 TiB."""

MOST_BYTES = 1 << 36
"""What one array may claim to hold (64 GiB): an absurd shape must not be asked of memory."""


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


def write_volume(folder: Path, array: Array, attributes: Document | None = None, *, shard: Shape = SHARD) -> None:
    """Write ``array`` ``[Z, Y, X]`` as a new zarr array at ``folder``, in shards of ``shard`` where it is that large.

    A block of whole chunks is written at once; that keeps 32 MiB (times the size of a voxel) in memory, whatever the volume's
    size, and the packed shard that the block joins. The bytes are those of a shard written whole.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    chunks, shards = plan_chunks(array.shape, shard)
    target = zarr.create_array(
        str(folder), shape=array.shape, dtype=array.dtype.newbyteorder("="), chunks=chunks, shards=shards, fill_value=0,
        compressors=[ZstdCodec(level=3), Crc32cCodec()], dimension_names=("z", "y", "x"), zarr_format=3,
        attributes=attributes, config={"write_empty_chunks": True},
    )  # fmt: skip
    _, size = plan_chunks(array.shape, BLOCK)
    for block in _cut_blocks(array.shape, size):
        target[block] = _copy_block(array[block])


def _cut_blocks(shape: Shape, size: Shape) -> Iterator[tuple[slice, ...]]:
    """The blocks of ``size``, the last ones cut off at the end, that cover an array of ``shape``, in C order."""
    starts = (range(0, n, step) for n, step in zip(shape, size, strict=True))
    for corner in product(*starts):
        yield tuple(slice(a, min(a + step, n)) for a, step, n in zip(corner, size, shape, strict=True))


def _copy_block(view: Array) -> Array:
    """A copy of ``view``, plane by plane: a strided view of a mapped volume reaches over many times its own size of it."""
    block = np.empty(view.shape, view.dtype)
    for target, plane in zip(block, view, strict=True):
        target[...] = plane
        let_go(view)
    return block


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
    """The files that hold an array's values, relative to its folder; ``KeyError`` for a group's document.

    Raises ``ValueError`` for a shape or chunks that no array of a store has: before anything of that size is made.
    """
    shape, stored = _read_sizes(document["shape"]), _read_sizes(document["chunk_grid"]["configuration"]["chunk_shape"])
    itemsize = np.dtype(document["data_type"]).itemsize
    if math.prod(shape) * itemsize > MOST_BYTES:
        raise ValueError(f"its shape {shape} claims more than {MOST_BYTES >> 30} GiB")
    if len(shape) == 3:
        inner = [_read_sizes(codec["configuration"]["chunk_shape"]) for codec in document["codecs"]]
        planned = any((inner, stored) == ([chunks], shards) for chunks, shards in _list_plans(shape))
    else:
        planned = len(shape) == 1 and stored == shape and shape[0] * itemsize <= LONGEST_HEADER
    if not planned:
        raise ValueError(f"its chunks are not those of a store ({stored} for the shape {shape})")
    if math.prod(math.ceil(n / step) for n, step in zip(shape, stored, strict=True)) > MOST_SHARDS:
        raise ValueError(f"its shape {shape} claims more than {MOST_SHARDS} files")
    return shard_keys(shape, stored)


def _list_plans(shape: Shape) -> tuple[tuple[Shape, Shape], ...]:
    """Chunks and shards that an array of ``shape`` may have: those of labels, of maps, and of labels in earlier stores."""
    return plan_chunks(shape), plan_chunks(shape, BLOCK)


def _read_sizes(value: object) -> Shape:
    sizes = tuple(value) if isinstance(value, list) else ()
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(f"{value!r} is no shape")
    return sizes


def read_array(folder: Path, region: Region = ()) -> Array:
    """The values of the array at ``folder``, or of a region of it.

    Raises ``CaseError`` when a shard is missing (zarr itself would return zeros) or anything else is damaged.
    """
    with reporting_damage(folder):
        return np.asarray(_open(folder)[region if region != () else ...])


def read_header(folder: Path, ours: Document) -> bytes:
    """The raw NIfTI header of the label image at ``folder``, whose own attributes are ``ours``; errors as ``read_array``.

    Earlier stores kept it in an array alone.
    """
    text = ours.get("nifti_header")
    return read_array(folder / "nifti").tobytes() if text is None else decode_header(text)


def read_slabs(folder: Path) -> Iterator[tuple[int, Array]]:
    """Pairs of a first index and the slab that starts there, a row of chunks each; errors as ``read_array``.

    The slab alone is in memory, since it is put together from one shard after another.
    """
    with reporting_damage(folder):
        array = _open(folder)
        depth, size = array.chunks[0], (array.chunks[0], *(array.shards or array.chunks)[1:])
        for start in range(0, array.shape[0], depth):
            slab = np.empty((min(depth, array.shape[0] - start), *array.shape[1:]), array.dtype)
            for block in _cut_blocks(slab.shape, size):
                rows = slice(block[0].start + start, block[0].stop + start)
                slab[block] = array[(rows, *block[1:])]
            yield start, slab


def read_shape(folder: Path) -> Shape:
    """The shape of the array at ``folder``; errors as ``read_array``."""
    with reporting_damage(folder):
        return tuple(read_document(folder)["shape"])


def check_shards(folder: Path) -> None:
    """Raise ``FileNotFoundError`` when a shard of the array at ``folder`` is missing: zarr itself would read zeros."""
    for key in sorted(expected_files(read_document(folder))):
        # An empty file (what a crash of the machine leaves of a file) reads as zeros too, so it counts as missing.
        if not (folder / key).is_file() or not (folder / key).stat().st_size:
            raise FileNotFoundError(f"shard {key} is missing")


def _open(folder: Path) -> Any:
    import zarr

    check_shards(folder)
    return zarr.open_array(str(folder), mode="r", zarr_format=3)
