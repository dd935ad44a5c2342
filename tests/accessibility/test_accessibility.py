"""The pages hold to the rules that a screen reader, a keyboard and weak eyes need: axe-core finds nothing in any of them.

`make test-slow` installs axe-core beside this file; without it these tests are skipped, and say so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import open_tab
from review_server import serve
from small_stores import make_store

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import adelecli

RULES = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
WINDOWS = [(1200, 900, "light"), (420, 900, "dark")]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RULES.exists(), reason="needs `npm ci` in tests/accessibility (make test-slow)"),
]


def find_faults(address: str, window: tuple[int, int, str], *keys: str) -> list[str]:
    """What axe-core says of the page at ``address``, once more after each of the ``keys``; each with an element that has it."""
    found = []
    with open_tab(*window) as tab:
        tab.page.goto(address)
        tab.page.wait_for_load_state("networkidle")
        tab.page.evaluate(RULES.read_text(encoding="utf-8"))
        for key in (None, *keys):
            if key is not None:
                tab.page.keyboard.press(key)
            answer = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert len(answer["passes"]) > 5, "the rules were not applied"
            found += [f"{one['id']}: {one['nodes'][0]['html']}" for one in answer["violations"]]
    return found


@pytest.mark.parametrize("window", WINDOWS)
def test_the_page_of_a_store(tmp_path: Path, window: tuple[int, int, str]) -> None:
    """Queue, classes, pictures, provenance."""
    store = make_store(tmp_path)
    page = adelecli.report(store.path, images=tmp_path / "images")
    assert find_faults(Path(page.path).as_uri(), window, "j") == []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that has ended."""
    pytest.importorskip("torch")
    from conftest_training import SMALL, write_data

    folders = write_data(tmp_path_factory.mktemp("data"))
    given = {
        "clean": folders.clean,
        "set": SMALL,
        "epochs": 6,
        "seed": 1,
        "device": "cpu",
        "out": folders.root / "runs",
    }
    return adelecli.train(folders.masks, **given).folder


@pytest.mark.parametrize("window", WINDOWS)
def test_the_page_of_a_run(run: Path, window: tuple[int, int, str]) -> None:
    """Curves, onsets, samples."""
    page = adelecli.report(run)
    assert find_faults(Path(page.path).as_uri(), window) == []


@pytest.fixture
def review(tmp_path: Path) -> Iterator[str]:
    """The address of a review that runs."""
    pytest.importorskip("uvicorn")
    from adelecli.reviewing.desk import Desk

    with serve(Desk(make_store(tmp_path), tmp_path / "images")) as guard:
        yield guard.address


@pytest.mark.parametrize("window", WINDOWS)
def test_the_page_of_a_review(review: str, window: tuple[int, int, str]) -> None:
    """Before and after a case is chosen and decided."""
    assert find_faults(review, window, "j", "a") == []
