"""Arrays in unlinked files: the values of ordinary arrays, no names on the disk, memory that is handed back."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adelecli import scratch
from adelecli.errors import OutputError
from adelecli.scratch import Scratch, cut_slabs, let_go, trim_heap


def test_large_arrays_leave_no_name_and_keep_their_values(tmp_path):
    """Values survive `let_go`, through views too; the folder stays empty."""
    array = Scratch(tmp_path, keep=10).allocate((3, 5, 7), np.dtype(np.int16))
    expected = np.arange(105, dtype=np.int16).reshape(3, 5, 7)
    array[...] = expected
    view = array.T[::-1]
    let_go(view)
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(view, expected.T[::-1])
    assert not list(tmp_path.iterdir())


def test_small_arrays_are_ordinary(tmp_path):
    """Up to the limit nothing is asked of the disk, and letting go of them does nothing."""
    array = Scratch(tmp_path / "nowhere", keep=8).allocate((8,), np.dtype(np.uint8))
    assert array.base is None
    array[:] = 7
    let_go(array)
    assert array.tolist() == [7] * 8


TRIM = """
import os, numpy
from adelecli.scratch import trim_heap
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
blocks = [numpy.ones(50_000, numpy.uint8) for _ in range(1200)]
del blocks[:-1]  # the last one lies on top, so that the others stay with the process
before = resident()
assert trim_heap()
print(before - resident())
"""


SHARE = """
import sys, threading, numpy
from adelecli.scratch import share_heap
assert share_heap() == (sys.argv[1] == "shared")
blocks, barrier = [], threading.Barrier(6)
def work():
    barrier.wait()
    blocks.append(numpy.ones(1000, numpy.uint8))
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len({block.ctypes.data >> 26 for block in blocks}))  # a heap of a thread lies in 64 MiB of its own
"""


@pytest.mark.skipif(not trim_heap(), reason="another C library")
@pytest.mark.parametrize("how", ["shared", "own"])
def test_threads_share_two_heaps_unless_the_user_has_a_word(how):
    """Six threads that allocate at once find their blocks in two places, or in more where the user has tuned malloc."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    told = {} if how == "shared" else {"MALLOC_TRIM_THRESHOLD_": "131072"}
    done = subprocess.run(
        [sys.executable, "-c", SHARE, how], env=clean | told, capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) <= 2) == (how == "shared")


@pytest.mark.skipif(not trim_heap(), reason="another C library")
def test_what_was_freed_goes_back_to_the_system():
    """60 MB in small blocks below one that is still used: more than half of it."""
    done = subprocess.run([sys.executable, "-c", TRIM], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 30_000_000


def test_a_disk_that_says_no_is_an_output_error(tmp_path, monkeypatch):
    """The space is taken at once, since a full disk would end the process when the array is written."""
    with pytest.raises(OutputError, match="cannot hold the 1 MiB of a working copy"):
        Scratch(tmp_path / "nowhere", keep=0).allocate((1 << 20,), np.dtype(np.uint8))

    def refuse(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "_reserve", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        Scratch(tmp_path, keep=0).allocate((1 << 20,), np.dtype(np.uint8))


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 200))
def test_slabs_cover_an_array_once_in_order(length, width, most):
    """Each index once, each slab within the limit or one index long."""
    array = np.zeros((length, width), np.uint8)
    parts = list(cut_slabs(array, most))
    assert [i for part in parts for i in range(length)[part]] == list(range(length))
    assert all(part.stop - part.start == 1 or (part.stop - part.start) * width <= most for part in parts)
