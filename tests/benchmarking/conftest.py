"""The shared fixtures of the room live in an importable module; see there."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest_benchmarking import clean_data  # noqa: F401
