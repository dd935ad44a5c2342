"""Arrays through zarr."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from adelecli.errors import CaseError
from adelecli.store import arrays
from adelecli.store.arrays import hash_array, read_array, read_slabs, write_bytes, write_volume
from adelecli.store.layout import BLOCK, SHARD


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 700, (140, 9, 130)).astype(np.uint16)


def test_zarr_reads_back_what_was_written(tmp_path: Path, volume: np.ndarray) -> None:
    """Any zarr reader sees the values, the type and the axis names, in the designed codecs."""
    write_volume(tmp_path / "0", volume)
    array = zarr.open_array(str(tmp_path / "0"), mode="r")
    assert np.array_equal(array[:], volume)
    assert array.dtype == np.uint16
    assert array.metadata.dimension_names == ("z", "y", "x")
    assert (array.chunks, array.shards) == ((64, 9, 128), (192, 9, 256))
    assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec", "Crc32cCodec"]


def test_the_hash_is_of_little_endian_c_order_values(tmp_path: Path, volume: np.ndarray) -> None:
    """Byte order and memory order of the input do not change the hash; a stranger can recompute it."""
    expected = hashlib.sha256(volume.tobytes()).hexdigest()
    assert hash_array(volume) == hash_array(volume.astype(">u2")) == hash_array(np.asfortranarray(volume)) == expected
    write_volume(tmp_path / "0", volume.astype(">u2"))
    assert hash_array(read_array(tmp_path / "0")) == expected


def test_slabs_and_regions_are_parts_of_the_whole(tmp_path: Path, volume: np.ndarray) -> None:
    """Slabs come in order, one chunk deep, and regions are what slicing gives."""
    write_volume(tmp_path / "0", volume)
    assert [(start, len(slab)) for start, slab in read_slabs(tmp_path / "0")] == [(0, 64), (64, 64), (128, 12)]
    assert np.array_equal(np.concatenate([slab for _, slab in read_slabs(tmp_path / "0")]), volume)
    assert np.array_equal(read_array(tmp_path / "0", (slice(130, 140), slice(2, 4))), volume[130:140, 2:4])


def test_an_empty_volume_still_has_its_shards_and_losing_one_is_an_error(tmp_path: Path) -> None:
    """Zarr reads a lost shard as background; here it is damage, even where all was background."""
    write_volume(tmp_path / "0", np.zeros((520, 3, 3), np.uint8))
    (tmp_path / "0/c/1/0/0").unlink()
    assert not zarr.open_array(str(tmp_path / "0"), mode="r")[:].any()
    with pytest.raises(CaseError, match="shard c/1/0/0 is missing"):
        read_array(tmp_path / "0")


@pytest.mark.parametrize("size", [0, 1, 40])
def test_a_truncated_shard_is_an_error(tmp_path: Path, volume: np.ndarray, size: int) -> None:
    """A file cut short never reads as data."""
    write_volume(tmp_path / "0", volume)
    shard = tmp_path / "0/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(CaseError, match="damaged"):
        read_array(tmp_path / "0")


def test_every_flipped_bit_is_an_error_or_harmless(tmp_path: Path, volume: np.ndarray) -> None:
    """crc32c behind zstd: no flipped bit gives other values silently."""
    write_volume(tmp_path / "0", volume)
    shard = tmp_path / "0/c/0/0/0"
    intact, detected = shard.read_bytes(), 0
    for place in np.random.default_rng(2).integers(0, len(intact), 25):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << int(place % 8)
        shard.write_bytes(damaged)
        try:
            assert np.array_equal(read_array(tmp_path / "0"), volume)
        except CaseError:
            detected += 1
    assert detected >= 24


def test_headers_keep_every_byte(tmp_path: Path) -> None:
    """A raw header comes back bit for bit."""
    write_bytes(tmp_path / "nifti", bytes(range(256)) * 2)
    assert read_array(tmp_path / "nifti").tobytes() == bytes(range(256)) * 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"shape": 3}'])
def test_damaged_metadata_is_a_case_error(tmp_path: Path, text: str) -> None:
    """Whatever stands in zarr.json, the error is one line about the file."""
    (tmp_path / "zarr.json").write_text(text)
    with pytest.raises(CaseError, match="damaged"):
        read_array(tmp_path)


def test_a_plane_of_several_shards_is_put_together(tmp_path: Path) -> None:
    """Wider than a shard on both sides: written shard by shard, read slab by slab, it is the same array to any reader."""
    wide = np.random.default_rng(3).integers(0, 9, (70, 600, 530)).astype(np.uint8)
    write_volume(tmp_path / "0", wide[::-1])
    assert np.array_equal(zarr.open_array(str(tmp_path / "0"), mode="r")[:], wide[::-1])
    assert np.array_equal(np.concatenate([slab for _, slab in read_slabs(tmp_path / "0")]), wide[::-1])


def test_a_shard_written_in_blocks_is_the_shard_written_whole(
    tmp_path: Path, volume: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much is written at once saves memory and leaves no trace in the bytes."""
    write_volume(tmp_path / "blocks", volume)
    monkeypatch.setattr(arrays, "BLOCK", SHARD)
    write_volume(tmp_path / "whole", volume)
    assert (tmp_path / "blocks/c/0/0/0").read_bytes() == (tmp_path / "whole/c/0/0/0").read_bytes()


def test_shards_of_earlier_stores_are_read(tmp_path: Path, volume: np.ndarray) -> None:
    """Labels used to lie in shards of 128 slices."""
    write_volume(tmp_path / "0", volume, shard=BLOCK)
    assert (tmp_path / "0/c/1/0/0").is_file()
    assert np.array_equal(read_array(tmp_path / "0"), volume)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"shape":[140,9,130]', '"shape":[1000000,1000000,1000000]', "claims more than 64 GiB"),
        ('"shape":[140,9,130]', '"shape":[140,9]', "are not those of a store"),
        ('"shape":[140,9,130]', '"shape":[140,9,-130]', "is no shape"),
        ('"chunk_shape":[192,9,256]', '"chunk_shape":[1,1,1]', "are not those of a store"),
        ('"chunk_shape":[64,9,128]', '"chunk_shape":[1000000,1000000,1000000]', "are not those of a store"),
    ],
)
def test_absurd_claims_are_refused_before_memory_is_asked_for(
    tmp_path: Path, volume: np.ndarray, old: str, new: str, said: str
) -> None:
    """A document that claims 10^6 cubed voxels, or chunks that no store of ours has, is damage."""
    write_volume(tmp_path / "0", volume)
    document = tmp_path / "0" / "zarr.json"
    text = json.dumps(json.loads(document.read_text()), separators=(",", ":"))
    assert old in text
    document.write_text(text.replace(old, new))
    with pytest.raises(CaseError, match=said):
        read_array(tmp_path / "0")
