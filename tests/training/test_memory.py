"""Freed memory is used again, and only where that is ours to decide."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from adelecli.training.memory import keep_freed_memory

GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")

PROGRAM = """
import resource, sys
import torch
from adelecli.training.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory(torch.device("cpu"))
def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum(count_faults() for _ in range(40)) * resource.getpagesize())
"""


@pytest.mark.skipif(not GLIBC, reason="another C library")
def test_a_freed_block_is_used_again_without_a_page_fault() -> None:
    """Of 40 times 64 MB, one after the other, the kernel is asked for less than half once the memory is kept.

    Not for the first only: aligned blocks move on a few times before one fits where another was.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "kept"], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 20 * 64_000_000


def test_the_users_word_and_other_devices_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU has its own allocator; a user who has tuned malloc has reasons."""
    assert not keep_freed_memory(torch.device("cuda"))
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    assert not keep_freed_memory(torch.device("cpu"))
