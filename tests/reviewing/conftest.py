"""A store under review, with a stand-in for the library call that gives labels back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small_stores import make_store

sys.path.insert(0, str(Path(__file__).parent))

from restoring import Restorer  # after the line that makes it findable

from adelecli.reviewing.desk import Desk
from adelecli.store.collection import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Cases b, c, a, in the order of the queue."""
    return make_store(tmp_path)


@pytest.fixture
def restorer() -> Restorer:
    """Stands in for ``adelecli.revert``."""
    return Restorer()


@pytest.fixture
def desk(store: Store, tmp_path: Path, restorer: Restorer) -> Desk:
    """The desk at which the store is reviewed."""
    return Desk(store, tmp_path / "images", revert=restorer, actor="ada")
