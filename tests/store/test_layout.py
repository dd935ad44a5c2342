"""Names, chunks, pyramid levels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.errors import CaseError
from adelecli.store.layout import BLOCK, plan_chunks, plan_strides, safe_name, shard_keys

SIZES = st.tuples(*[st.integers(1, 700)] * 3)

HOSTILE = (
    "", ".", "..", "../x", "/abs", "x/y", "a\nb", "-rf", "C:evil", ".hidden", "a..b", "a b", "zarr.json", "OME", "labels",
    "con", "NUL.txt", "lpt1", "trailing.", "ü", "a\0b", "x" * 129, "a\\b",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_rejected(name: str) -> None:
    """A name that leaves the store, hides, confuses zarr or cannot exist on Windows is refused, never rewritten."""
    with pytest.raises(CaseError, match="cannot be a name"):
        safe_name(name)


@pytest.mark.parametrize("name", ["case_0001", "c", "0", "BraTS-2.1.3_4", "x" * 128])
def test_ordinary_names_are_kept(name: str) -> None:
    """Ids as data sets use them pass unchanged."""
    assert safe_name(name) == name


def test_chunks_are_the_designed_ones_on_a_large_volume() -> None:
    """A large volume gets chunks of 1 MiB and shards of 128 MiB (uint8), or of 32 MiB where blocks are asked for."""
    assert plan_chunks((2000, 2000, 2000)) == ((64, 128, 128), (512, 512, 512))
    assert plan_chunks((2000, 2000, 2000), BLOCK) == ((64, 128, 128), (128, 512, 512))
    assert plan_chunks((1, 90, 30)) == ((1, 90, 30), (1, 90, 30))


@settings(max_examples=50, deadline=None)
@given(SIZES)
def test_shards_hold_whole_chunks_and_cover_the_volume(shape: tuple[int, int, int]) -> None:
    """Zarr refuses other shards, and every voxel has exactly one shard file."""
    chunk, shard = plan_chunks(shape)
    assert all(s % c == 0 and c <= n for s, c, n in zip(shard, chunk, shape, strict=True))
    assert len(shard_keys(shape, shard)) == math.prod(-(-n // s) for n, s in zip(shape, shard, strict=True))


def test_thick_slices_are_halved_last() -> None:
    """An axis is halved only once its voxels are shorter than twice the shortest side."""
    assert plan_strides((40, 512, 512), (5.0, 1.0, 1.0)) == ((1, 1, 1), (1, 2, 2))
    assert plan_strides((400, 512, 1100), (3.0, 1.0, 1.0)) == ((1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8))
    assert plan_strides((1, 1000, 600), (1.0, 1.0, 1.0)) == ((1, 1, 1), (1, 2, 2), (1, 4, 4))


@settings(max_examples=50, deadline=None)
@given(SIZES, st.tuples(*[st.floats(0.01, 100)] * 3))
def test_pyramids_end_small_and_never_repeat_a_level(shape: tuple[int, int, int], spacing: tuple[float, ...]) -> None:
    """Whatever the voxel shape, each level is smaller than the one before and the last fits a screen."""
    strides = plan_strides(shape, spacing)
    assert strides[0] == (1, 1, 1)
    assert len(set(strides)) == len(strides)
    assert max(-(-n // f) for n, f in zip(shape, strides[-1], strict=True)) <= 256
