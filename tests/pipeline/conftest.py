"""Fixtures of the pipeline's tests; the data they hand out is made by ``known_cases``, which this folder's tests may import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import make_contract, make_model

sys.path.insert(0, str(Path(__file__).parent))

from known_cases import Data  # after the line that makes it findable


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    """An empty data folder with a model; ``data.add`` fills it."""
    monkeypatch.delenv("ADELE_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    return Data(tmp_path / "data", make_model(tmp_path / "weights" / "adele.onnx", make_contract()))


@pytest.fixture
def two_cases(data: Data) -> Data:
    """Two cases, ``a`` and ``b``."""
    data.add("a")
    data.add("b")
    return data


@pytest.fixture
def notices() -> tuple[list[str], Callable[[object], None]]:
    """A list and the callback that fills it with every notice."""
    seen: list[str] = []

    def watch(event: object) -> None:
        notice = getattr(event, "notice", None)
        if notice:
            seen.append(notice)

    return seen, watch
