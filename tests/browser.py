"""A headless Chromium for tests; they are skipped, and say so, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Tab:
    """A page, with every console message of a fault and every request that it made (data URIs aside)."""

    page: Any
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def open_tab(width: int = 1200, height: int = 900, scheme: str = "light") -> Iterator[Tab]:
    """One tab of a fresh browser."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium")
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(Path(program)), args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        tab = Tab(page)
        page.on("console", lambda said: tab.faults.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: tab.faults.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith("data:") else tab.requests.append(asked.url))
        try:
            yield tab
        finally:
            browser.close()
