"""How long looking takes: to write and open the report of many cases, and to scroll one slice in the review.

    python benchmarks/looking.py DATA --model hippocampus --work /tmp/looking [--cases 200]

DATA holds ``images/`` and ``masks/``. The first masks by name get ``adele-de`` noise, seed 0, and are corrected; then the report is written
and opened in a fresh headless Chromium, and the review is served and scrolled in one. The yardstick for a scrolled slice is what it
cannot do without: reading the slice of both label arrays from the store. Figures go to ``benchmarks/results/looking.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

import adelecli
from adelecli.reporting.pictures import Viewer
from adelecli.store.collection import open_store

RESULTS = Path(__file__).parent / "results" / "looking.json"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
OPENINGS = 5
CASES_SCROLLED = 6

STEP = """async ([key, steps, wait]) => {
  const stage = document.getElementById("stage");
  const times = [];
  for (let step = 0; step < steps; step++) {
    const before = stage.dataset.shown, begin = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    while (stage.dataset.shown === before) {
      await new Promise((done) => requestAnimationFrame(done));
      if (performance.now() - begin > 5000) return times;
    }
    times.push(performance.now() - begin);
    await new Promise((done) => setTimeout(done, wait));
  }
  return times;
}"""
"""Presses a key and waits until the slice that it asks for is shown; milliseconds of each step."""


def main() -> None:
    """Make the store, then measure report and review."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--cases", type=int, default=200)
    options = parser.parse_args()
    store = make_store(options)
    images = options.data / "images"
    begin = time.perf_counter()
    page = adelecli.report(store, images=images)
    result: dict[str, Any] = {"cases": page.cases, "drawn": page.drawn, "bytes": page.bytes}
    result["seconds to write"] = round(time.perf_counter() - begin, 1)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        result["ms to open"] = describe([time_opening(browser, Path(page.path).resolve()) for _ in range(OPENINGS)])
        result |= time_scrolling(browser, store, images)
        browser.close()
    result["ms to read"] = describe(time_reading(store))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def make_store(options: argparse.Namespace) -> Path:
    """``cleaned.zarr`` below the work folder, made once."""
    store: Path = options.work / "cleaned.zarr"
    if store.exists():
        return store
    masks = options.work / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    for file in sorted((options.data / "masks").glob("*.nii.gz"))[: options.cases]:
        shutil.copyfile(file, masks / file.name)
    adelecli.corrupt(masks, out=options.work / "noisy", noise="adele-de", seed=0)
    shutil.copyfile(options.data / "labels.json", options.work / "labels.json")
    images = options.data / "images"
    adelecli.correct(options.work / "noisy", out=store, images=images, model=options.model, device="cpu")
    return store


def time_opening(browser: Browser, page: Path) -> float:
    """Milliseconds until a fresh tab has loaded the page and painted a frame of it."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    begin = time.perf_counter()
    tab.goto(page.as_uri(), wait_until="load")
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    seconds = time.perf_counter() - begin
    tab.close()
    return 1000 * seconds


def time_scrolling(browser: Browser, store: Path, images: Path) -> dict[str, Any]:
    """Milliseconds from a key to its slice: of the next slice, which is fetched ahead, and of the tenth next, which is not."""
    address: list[str] = []

    def listen(event: adelecli.Progress) -> None:
        if event.notice and event.notice.startswith("open "):
            address.append(event.notice.split()[1])

    options = {"images": images, "browser": False, "progress": listen}
    threading.Thread(target=adelecli.review, args=(store,), kwargs=options, daemon=True).start()
    while not address:
        time.sleep(0.05)
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(address[0])
    near: list[float] = []
    far: list[float] = []
    for _ in range(CASES_SCROLLED):
        tab.wait_for_selector("#stage[data-shown]")
        tab.wait_for_timeout(500)
        near += tab.evaluate(STEP, ["ArrowUp", 6, 150])
        near += tab.evaluate(STEP, ["ArrowDown", 10, 150])
        tab.keyboard.press("p")
        tab.wait_for_timeout(500)
        far += tab.evaluate(STEP, ["PageUp", 1, 500])
        far += tab.evaluate(STEP, ["PageDown", 2, 500])
        shown = tab.get_attribute("#stage", "data-shown")
        tab.keyboard.press("j")
        tab.wait_for_function("(was) => document.getElementById('stage').dataset.shown !== was", arg=shown)
    tab.close()
    return {"ms to scroll one slice": describe(near), "ms to scroll ten slices": describe(far)}


def time_reading(store: Path) -> list[float]:
    """Milliseconds to read one slice of the labels before and after from the store, in the first cases."""
    opened = open_store(store)
    times = []
    for case in opened.case_ids()[:CASES_SCROLLED]:
        viewer = Viewer(opened, case)
        plane = viewer.planes[0]
        for index in range(0, viewer.count_slices(plane), 3):
            begin = time.perf_counter()
            for name in ("original", "corrected"):
                viewer.read_slice(name, plane, index)
            times.append(1000 * (time.perf_counter() - begin))
    return times


def describe(values: list[float]) -> dict[str, float]:
    """Median and the 5th and 95th percentile."""
    low, middle, high = np.percentile(values, (5, 50, 95))
    return {
        "count": len(values),
        "median": round(float(middle), 1),
        "p5": round(float(low), 1),
        "p95": round(float(high), 1),
    }


if __name__ == "__main__":
    main()
