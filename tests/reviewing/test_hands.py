"""A whole review by keys alone, by mouse alone, in a narrow window, and in spite of what happens beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import open_tab
from review_server import serve
from small_stores import make_store

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import adelecli  # after the check that a review can be served
from adelecli.reviewing.desk import Desk
from adelecli.reviewing.guards import Guard
from adelecli.store.collection import Store


@pytest.fixture
def real(store: Store, tmp_path: Path) -> Desk:
    """A desk whose rejections are carried out by the library itself."""
    return Desk(store, tmp_path / "images", actor="ada")


@pytest.fixture
def guard(real: Desk) -> Iterator[Guard]:
    """A real server on a free port; the guard knows its address."""
    with serve(real) as guard:
        yield guard


def begin(page: Any, guard: Guard, case: str = "b") -> None:
    page.goto(guard.address)
    page.wait_for_selector(f'#stage[data-shown^="{case}/"]')


def words(desk: Desk) -> list[tuple[str, str, str | None, str | None]]:
    return [(entry.case, entry.word, entry.part, entry.note) for entry in desk.decisions()]


def test_a_review_by_keys_alone(guard: Guard, real: Desk) -> None:
    """Planes, slices, layers, zoom, contrast, a note, a class, the next undecided case; the arrows choose a class when they are on one."""
    with open_tab(1280, 720) as tab:
        page = tab.page
        begin(page, guard)
        assert page.locator("#changed").inner_text() == "18 voxels"
        assert page.locator("#legend").inner_text().split() == ["added", "removed", "relabelled"]
        page.keyboard.press("l")
        page.wait_for_selector('#stage[data-shown$="/before"]')
        assert page.locator("#legend").inner_text() == "liver"
        page.keyboard.press(".")
        assert page.locator("#image").evaluate("e => e.style.filter") == "brightness(1) contrast(1.25)"
        page.keyboard.press(",")
        assert page.locator("#image").evaluate("e => e.style.filter") == ""
        page.keyboard.press("c")
        assert page.locator("#target").inner_text() == "b: liver"
        page.locator("#targets input").nth(1).focus()
        page.keyboard.press("ArrowUp")
        assert page.locator("#target").inner_text() == "b: the whole case"
        page.locator("#note").focus()
        page.keyboard.type("cut off, judged")
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        page.wait_for_selector('#queue [data-id="b"] .edit')
        page.keyboard.press("n")
        page.wait_for_selector('#stage[data-shown^="c/"]')
        page.keyboard.press("a")
        page.wait_for_selector('#queue [data-id="c"] .accept')
        page.keyboard.press("n")
        page.wait_for_selector('#stage[data-shown^="a/"]')
        page.keyboard.press("u")
        page.keyboard.press("n")
        page.wait_for_function("document.getElementById('said').textContent === 'no other case is undecided'")
        assert words(real) == [
            ("b", "edit", None, "cut off, judged"),
            ("c", "accept", None, None),
            ("a", "open", None, None),
        ]
        assert tab.faults == []


def test_labels_of_a_large_slice_fill_the_stage_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 by 50 pixels the liver and ten around it take 19 by 16: from the top of the picture to 19/60 of it, over the whole stage."""
    monkeypatch.setattr("small_stores.SHAPE", (8, 60, 50))
    desk = Desk(make_store(tmp_path / "large", {"b": 3}), None)
    assert desk.describe_case("b")["planes"][0]["box"] == pytest.approx([0, 0, 19 / 60, 16 / 50])
    with serve(desk) as guard, open_tab(1280, 720) as tab:
        begin(tab.page, guard)
        tab.page.keyboard.press("z")
        film = tab.page.locator("#film")
        assert film.evaluate("e => new DOMMatrix(e.style.transform).a") == pytest.approx(60 / 19, rel=1e-3)
        assert film.evaluate("e => new DOMMatrix(e.style.transform).f") == pytest.approx(0, abs=0.5)
        tab.page.keyboard.press("z")
        assert film.evaluate("e => e.style.transform") == ""
        assert tab.faults == []


@pytest.mark.parametrize("window", [(1280, 720), (390, 844)])
def test_a_review_by_mouse_alone(guard: Guard, real: Desk, store: Store, window: tuple[int, int]) -> None:
    """Choose a case, roll through it, see the labels larger, reject a class; every word is in the window without scrolling."""
    with open_tab(*window) as tab:
        page = tab.page
        begin(page, guard)
        assert page.evaluate("document.documentElement.scrollWidth") == window[0]
        for word in page.locator("[data-word]").all():
            box = word.bounding_box()
            assert box["y"] + box["height"] <= window[1]
        page.locator('#queue [data-id="c"]').click()
        page.wait_for_selector('#stage[data-shown^="c/axial/1/"]')
        page.locator("#stage").hover()
        page.mouse.wheel(0, 100)
        page.wait_for_selector('#stage[data-shown^="c/axial/2/"]')
        for _ in range(4):
            page.mouse.wheel(0, 20)  # a touchpad: three of these make a step
        page.wait_for_selector('#stage[data-shown^="c/axial/3/"]')
        page.get_by_role("button", name="zoom to labels").click()
        assert page.get_by_role("button", name="zoom to labels").get_attribute("aria-pressed") == "true"
        page.locator("#targets").get_by_text("liver").click()
        page.keyboard.press("ArrowUp")  # and not the class above it
        page.wait_for_selector('#stage[data-shown^="c/axial/4/"]')
        assert page.locator("#targets .counts").inner_text() == "192 → 96 mm³"
        page.locator("[data-word=reject]").click()
        page.wait_for_selector("#targets .reverted")
        np.testing.assert_array_equal(store.read("c", "corrected"), store.read("c", "original"))
        assert page.locator("#targets .counts").inner_text() == "192 → 192 mm³"
        assert page.locator("#about").inner_text() == "The original labels are back."
        page.locator("#undecided").check()
        assert page.locator("#queue .id").all_inner_texts() == ["1 b", "2 c", "3 a"]  # of c one class alone is decided
        assert words(real) == [("c", "reject", "liver", None), ("c", "reverted", "liver", None)]
        assert tab.faults == []


def test_the_back_button_leads_to_the_case_before(guard: Guard) -> None:
    """A reload stays at the case; back and forward go through the cases that were opened, and the plane stays."""
    with open_tab(1280, 720) as tab:
        page = tab.page
        begin(page, guard)
        page.keyboard.press("p")
        page.keyboard.press("j")
        page.wait_for_selector('#stage[data-shown^="c/coronal/"]')
        page.reload()
        page.wait_for_selector('#stage[data-shown^="c/"]')
        page.go_back()
        page.wait_for_selector('#stage[data-shown^="b/"]')
        page.go_forward()
        page.wait_for_selector('#stage[data-shown^="c/"]')
        assert tab.faults == []


def test_a_review_that_begins_again_opens_at_the_first_undecided_case(store: Store, real: Desk) -> None:
    """After a kill, too: what was decided is on the disk, and a new server has a new address."""
    real.decide("b", "accept")
    with serve(Desk(store, None)) as guard, open_tab() as tab:
        begin(tab.page, guard, "c")
        assert tab.page.locator("#tally").inner_text() == "1 of 3 cases decided"
        tab.page.locator("#undecided").check()
        assert tab.page.locator("#queue .id").all_inner_texts() == ["2 c", "3 a"]


def test_no_slice_stands_below_the_number_of_another(guard: Guard) -> None:
    """Where a slice cannot be had, the picture before it is not left in its place; one that comes brings the picture back."""
    with open_tab() as tab:
        page = tab.page
        begin(page, guard)
        page.wait_for_load_state("networkidle")
        page.route("**/api/cases/b/axial/7", lambda route: route.abort())
        for number in range(2, 7):
            page.keyboard.press("ArrowUp")
            page.wait_for_selector(f'#stage[data-shown^="b/axial/{number}/"]')
        page.keyboard.press("ArrowUp")
        page.wait_for_selector("#film", state="hidden")
        assert page.locator("#place").inner_text() == "8 of 8"
        page.keyboard.press("ArrowDown")
        page.wait_for_selector("#film", state="visible")
        assert page.locator("#place").inner_text() == "7 of 8"


def test_what_was_decided_elsewhere_is_seen_when_the_tab_is_looked_at_again(
    guard: Guard, real: Desk, store: Store
) -> None:
    """A second tab decides about the case that is open, and another program reverts it."""
    with open_tab() as tab:
        page = tab.page
        begin(page, guard)
        with page.expect_popup() as opened:
            page.evaluate("void window.open('/')")
        other = opened.value
        other.wait_for_selector('#stage[data-shown^="b/"]')
        other.keyboard.press("e")
        other.wait_for_selector('#queue [data-id="b"] .edit')
        adelecli.revert(store.path, cases=["b"], reason="a test")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_selector('#queue [data-id="b"] .edit')
        page.wait_for_selector("#about:not([hidden])")
        assert page.locator("#changed").inner_text() == "no voxels"
        assert tab.faults == []


def test_a_quarantined_case_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its refused correction is not there: the labels are shown, with their own volumes, and the page says why."""
    monkeypatch.setattr("small_stores.describe_case", _quarantine)
    desk = Desk(make_store(tmp_path / "other", {"q": 0}), None)
    described = desk.describe_case("q")
    assert (described["status"], described["unit"]) == ("quarantined", "mm³")
    assert (described["classes"][0]["before"], described["classes"][0]["after"]) == (192.0, 192.0)
    assert described["planes"][0]["box"] == [0.0, 0.0, 1.0, 1.0]  # ten pixels around the labels are all there is
    with serve(desk) as guard, open_tab() as tab:
        begin(tab.page, guard, "q")
        assert tab.page.locator("#stage").get_attribute("data-shown").endswith("/after")
        assert "refused and not stored" in tab.page.locator("#about").inner_text()


def _quarantine(case: str, before: int, after: int, lost: int) -> dict[str, Any]:
    entry = {f"{unit}_{key}": 50 for unit in ("voxels", "mm3") for key in ("before", "after", "added", "removed")}
    classes = [{"id": 0, "name": "background", **entry}, {"id": 7, "name": "liver", **entry}]
    return {"id": case, "status": "quarantined", "classes": classes, "changed_share": 1.0}
