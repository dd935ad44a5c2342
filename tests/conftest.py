"""What every room's tests may use. The folder joins the import path, so that a test can write ``import tiny_models``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
