"""What a reader sees at first sight: colours that mean one thing, pictures of a useful size, and notes where figures would mislead."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import open_tab
from small_stores import describe_case, make_store

import adelecli
from adelecli.reporting.overlays import LEGEND, PALETTE
from adelecli.reporting.planes import fit_size, frame_region
from adelecli.reporting.storepage import describe_store, list_colours
from adelecli.reporting.summaries import CaseRow, summarise_store
from adelecli.store.decisions import record_decision

CHANGES = {colour for _, colour in LEGEND}


def test_a_colour_stands_for_one_thing() -> None:
    """The first classes have none of the colours of a difference; twenty-one classes are told apart."""
    assert len(set(PALETTE)) == len(PALETTE) == 21
    assert not CHANGES & set(PALETTE[:4])


def test_thick_slices_get_no_more_surroundings_than_thin_ones() -> None:
    """A cut-out of slices of 5 mm, pixels of 1 mm: 10 mm on each side both ways, so it is as square as what it shows."""
    mask = np.zeros((32, 180), bool)
    mask[14:18, 80:100] = True  # 20 mm by 20 mm
    box = frame_region(mask, (5.0, 1.0), share=0.0)
    assert box == (slice(12, 20), slice(70, 110))
    assert fit_size((8, 40), (5.0, 1.0), 208) == (208, 208)


def describe(store: Any, images: Path | None = None) -> dict[str, Any]:
    return describe_store(store, images, lambda _: None, 10**7)


def test_figures_of_labels_that_are_not_there_are_told_as_such(tmp_path: Path) -> None:
    """Of a case that got its labels back there is one picture in each plane, and its volumes are those of the correction."""
    store = make_store(tmp_path)
    adelecli.revert(store.path, cases=["b"], reason="a test")
    sections = {section.row.id: section for section in describe(store)["sections"]}
    assert sections["b"].notes == (
        "The original labels are back. The figures are those of the correction that was taken back.",
    )
    assert [[layer.name for layer in preview.layers] for preview in sections["b"].previews] == [["labels"]] * 3
    assert sections["a"].notes == ()
    assert [layer.name for layer in sections["a"].previews[0].layers] == ["before", "after", "difference"]


def test_images_without_a_case_are_named(tmp_path: Path) -> None:
    """A case that failed is not in the store; a reader who counts would not know that it is missing."""
    store = make_store(tmp_path)
    (tmp_path / "images" / "lost.nii.gz").write_bytes((tmp_path / "images" / "a.nii.gz").read_bytes())
    assert describe(store, tmp_path / "images")["missing"] == ["lost"]
    text = Path(adelecli.report(store.path, images=tmp_path / "images").path).read_text(encoding="utf-8")
    assert "1 image has no case in this store (failed, or not in the run):\nlost." in text
    assert "no case in this store" not in Path(adelecli.report(store.path).path).read_text(encoding="utf-8")


def describe_many(case: str, before: int, after: int, lost: int) -> dict[str, object]:
    """A record of 20 classes, of which the n-th lost n voxels."""
    record: dict[str, Any] = describe_case(case, before, after, lost)
    liver = record["classes"][1]
    classes = [
        liver | {"id": 7 + n, "name": f"organ {n}", "voxels_removed": n, "mm3_removed": 2.0 * n} for n in range(20)
    ]
    return record | {"classes": [record["classes"][0], *classes]}


def test_of_many_classes_those_that_changed_most_are_shown_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is not pushed out of sight by a long table, and a case tells eight of its classes; the others on demand."""
    monkeypatch.setattr("small_stores.describe_case", describe_many)
    store = make_store(tmp_path, {"a": 1})
    content = describe(store)
    (section,) = content["sections"]
    assert [entry["name"] for entry in section.classes] == [f"organ {n}" for n in range(19, 11, -1)]
    assert len(section.others) == 12
    assert [name for name, _ in content["busiest"]] == [f"organ {n}" for n in range(19, 14, -1)]
    assert (content["colours"]["organ 0"], content["colours"]["organ 7"]) == (PALETTE[0], PALETTE[7])
    with open_tab(1440, 900) as tab:
        tab.page.goto(Path(adelecli.report(store.path).path).as_uri())
        assert tab.page.locator("#queue").bounding_box()["y"] < 600
        assert not tab.page.locator("table.classes").is_visible()
        tab.page.get_by_text("all 20 classes").click()
        assert tab.page.locator("table.classes").is_visible()


def test_a_quarantined_case_keeps_the_colours_of_its_pictures(tmp_path: Path) -> None:
    """Also where no case was corrected, so that no class has totals."""
    summary = summarise_store(make_store(tmp_path, {"a": 1}))
    row: CaseRow = summary.cases[0]
    assert summary.classes
    assert list_colours(replace(summary, classes=())) == {row.classes[0]["name"]: PALETTE[0]}


def test_a_narrow_queue_gives_the_reason_a_line_of_its_own(tmp_path: Path) -> None:
    """In a telephone's window a reason is as wide as the window, and the score is told on a desk."""
    page = Path(adelecli.report(make_store(tmp_path).path).path)
    with open_tab(390, 844) as tab:
        tab.page.goto(page.as_uri())
        why = tab.page.locator(".queue td.why").first.bounding_box()
        assert why["width"] > 280
        assert why["height"] < 60
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 390
        tab.page.set_viewport_size({"width": 1280, "height": 720})
        assert (
            tab.page.locator(".queue td").nth(4).inner_text() == "0.75"
        )  # of b: 72 of 96 voxels changed, nothing else known
        assert tab.faults == []


def test_pictures_become_large_by_click_and_by_key(tmp_path: Path) -> None:
    """And small again; no picture is taller than half a laptop's window before."""
    page = Path(adelecli.report(make_store(tmp_path).path).path)
    with open_tab(1280, 720) as tab:
        tab.page.goto(page.as_uri())
        stack = tab.page.locator(".case").first.locator(".stack").first
        stack.scroll_into_view_if_needed()
        small = stack.bounding_box()
        assert small["height"] <= 360
        stack.click()
        assert stack.bounding_box()["width"] > 2 * small["width"]
        stack.click()
        assert stack.bounding_box()["width"] == small["width"]
        tab.page.keyboard.press("j")
        tab.page.keyboard.press("z")
        assert tab.page.locator(".case.here .row.large").count() == 3
        assert tab.page.locator(".row.large").count() == 3
        tab.page.keyboard.press("z")
        assert tab.page.locator(".row.large").count() == 0


def test_a_run_has_no_columns_of_dashes(tmp_path: Path) -> None:
    """Without clean labels there is no label error to show, and the page says why."""
    pytest.importorskip("matplotlib")
    folder = tmp_path / "run"
    folder.mkdir()
    epoch = {"epoch": 1, "losses": {"ce": 1.0}, "curve": [0.9, 0.2], "corrections": {"added": [0, 3]}, "seconds": 2.0}
    (folder / "history.jsonl").write_text(json.dumps(epoch))
    text = Path(adelecli.report(folder).path).read_text(encoding="utf-8")
    assert "<th>pixels corrected</th>" in text
    assert "<th>label error</th>" not in text
    assert "known only where clean labels were given" in text


def test_a_printed_page_is_no_wider_than_its_paper(tmp_path: Path) -> None:
    """A4 less its margins is 703 pixels wide: no column is cut off, with decisions and with words as long as these."""
    store = make_store(tmp_path, {"a_case_with_a_name_of_some_length_0001": 3, "b": 1})
    record_decision(store, "b", "accept", part=None, actor="ada", note=None)
    page = Path(adelecli.report(store.path, images=tmp_path / "images").path)
    with open_tab(703, 900) as tab:
        tab.page.goto(page.as_uri())
        tab.page.emulate_media(media="print")
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 703
        tables = tab.page.locator("table").evaluate_all("all => all.map((one) => one.getBoundingClientRect().right)")
        assert len(tables) >= 5
        assert max(tables) <= 703
