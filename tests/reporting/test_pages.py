"""`report`: the page of a store and of a run, read back from the file and in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import open_tab
from small_stores import make_store

import adelecli
from adelecli.caseids import place_case
from adelecli.errors import InputError, OutputError
from adelecli.reporting import storepage
from adelecli.reporting.overlays import encode_changes, encode_labels
from adelecli.reporting.pictures import Viewer, find_sources
from adelecli.reporting.summaries import summarise_store
from adelecli.store.decisions import record_decision

QUEUE = "table.queue tbody tr:not([hidden]) a"


def test_the_queue_puts_the_largest_change_first_and_says_why(tmp_path: Path) -> None:
    """Case b lost 3 of 4 columns: 75 %, 144 mm3; the network's confidence of .75 is told too."""
    summary = summarise_store(make_store(tmp_path, images=False))
    assert [case.id for case in summary.queue] == ["b", "c", "a"]
    worst = summary.queue[0]
    assert worst.removed == 144.0
    assert worst.reasons == ("liver loses 75 %", "the network is unsure (mean confidence 0.75)")
    assert summary.changed_share == pytest.approx((24 + 72 + 48) / (3 * 96))
    liver = summary.classes[0]
    assert (liver.before, liver.after, liver.removed, sum(liver.bins)) == (576.0, 288.0, 288.0, 3)
    assert liver.quartiles is not None
    assert liver.quartiles[1] == pytest.approx(-0.5)


def test_a_reverted_case_has_left_the_queue(tmp_path: Path) -> None:
    """Its labels are the original ones again: it is shown as reverted, and nothing of it counts as changed."""
    store = make_store(tmp_path, images=False)
    adelecli.revert(store.path, cases=["b"], reason="a test")
    summary = summarise_store(store)
    assert [case.id for case in summary.queue] == ["c", "a"]
    assert dict(summary.by_status) == {"corrected": 2, "reverted": 1}
    assert summary.changed_share == pytest.approx((24 + 48) / (3 * 96))


def decide(store, *said: tuple[str, str, str | None]) -> None:
    for case, word, part in said:
        record_decision(store, case, word, part=part, actor="ada", note="<b>a note</b>" if part else None)


def test_the_last_word_about_a_case_is_told(tmp_path: Path) -> None:
    """One about the whole case outranks those about its classes; a case that was taken back is undecided again."""
    store = make_store(tmp_path, {"a": 1, "b": 3, "c": 2, "d": 1}, images=False)
    assert summarise_store(store).decisions == {}
    decide(store, ("a", "accept", None), ("a", "edit", None), ("b", "accept", "liver"), ("c", "accept", None))
    decide(store, ("c", "open", None))
    adelecli.revert(store.path, cases=["d"], reason="a test")
    summary = summarise_store(store)
    told = {case.id: case.decision for case in summary.cases}
    assert told == {"a": "to edit", "b": "in part", "c": "", "d": "reverted"}
    assert summary.decisions == {"to edit": 1, "in part": 1, "reverted": 1, "undecided": 1}


def test_decisions_can_be_sorted_and_filtered_in_a_browser(tmp_path: Path) -> None:
    """The filter stays while the table is sorted; a note is text and no markup; without decisions there is no column for them."""
    store = make_store(tmp_path, images=False)
    page = Path(adelecli.report(store.path).path)
    assert 'id="decision"' not in page.read_text(encoding="utf-8")
    decide(store, ("b", "accept", None), ("c", "edit", None), ("b", "accept", "liver"))
    adelecli.report(store.path)
    with open_tab() as tab:
        tab.page.goto(page.as_uri())
        assert "review: accepted 1" in " ".join(tab.page.locator(".facts").inner_text().split())
        tab.page.get_by_role("button", name="decision").click()
        assert tab.page.locator(QUEUE).all_inner_texts() == ["a", "b", "c"]  # undecided, accepted, to edit
        tab.page.get_by_role("button", name="decision").click()
        assert tab.page.locator(QUEUE).all_inner_texts() == ["c", "b", "a"]
        tab.page.select_option("#decision", "undecided")
        assert tab.page.locator(QUEUE).all_inner_texts() == ["a"]
        assert tab.page.locator(".case:not([hidden]) h3").all_text_contents() == ["a"]
        tab.page.get_by_role("button", name="case").click()
        assert tab.page.locator(QUEUE).all_inner_texts() == ["a"]
        tab.page.select_option("#decision", "accepted")
        assert "liver: accepted by ada" in (tab.page.locator(".case:not([hidden]) .said").text_content() or "")
        assert "<b>a note</b>" in (tab.page.locator(".case:not([hidden]) .said").text_content() or "")
        assert tab.faults == []


def test_a_slice_is_shown_from_the_radiologists_side(tmp_path: Path) -> None:
    """On an LPS file (right to left, front to back) the axial picture is the file's own slice, unflipped."""
    store = make_store(tmp_path)
    viewer = Viewer(store, "b", find_sources(tmp_path / "images")["b"])
    view = viewer.view(viewer.planes[0], 2)
    np.testing.assert_array_equal(view.after, store.read("b", "corrected")[2])
    np.testing.assert_array_equal(view.changes, store.read("b", "change")[2])
    assert view.image is not None
    assert viewer.image is not None
    np.testing.assert_array_equal(view.image, viewer.image[2])
    coronal = viewer.read_slice("corrected", viewer.planes[1], 0)  # canonical y 0 is the back: the last row of the file
    np.testing.assert_array_equal(coronal, store.read("b", "corrected")[::-1, -1, :])


def test_pictures_show_classes_outlined_and_removed_voxels_hatched() -> None:
    """What is no class is transparent; a removed area is drawn in part (hatched) and an added one in full."""
    from io import BytesIO

    from PIL import Image

    def opacity(data: bytes) -> np.ndarray:
        return np.asarray(Image.open(BytesIO(data)).convert("RGBA"))[..., 3]

    labels = np.zeros((8, 8), np.uint8)
    labels[2:6, 2:6] = 7
    drawn = opacity(encode_labels(labels, (7,), (8, 8)))
    assert drawn[0, 0] == 0
    assert drawn[2, 2] == 255
    assert 0 < drawn[3, 3] < 255
    assert (opacity(encode_changes(np.full((8, 8), 1, np.uint8), (8, 8))) > 0).all()
    assert (opacity(encode_changes(np.full((8, 8), 2, np.uint8), (24, 24))) > 0).mean() == pytest.approx(0.6, abs=0.15)


def test_the_page_of_a_store_is_whole_in_itself(tmp_path: Path) -> None:
    """No address of the network, no link to another file; every case is listed and drawn; the same store gives the same bytes."""
    make_store(tmp_path)
    page = adelecli.report(tmp_path / "cleaned.zarr", images=tmp_path / "images")
    assert (page.path, page.kind, page.cases, page.drawn) == (str(tmp_path / "cleaned.html"), "store", 3, 3)
    text = Path(page.path).read_text(encoding="utf-8")
    assert page.bytes == len(text.encode())
    assert not re.findall(r"https?://|@import|<link[^>]+stylesheet|src=\"(?!data:)", text)
    assert text.count('<article class="case"') == 3
    assert adelecli.report(tmp_path / "cleaned.zarr", images=tmp_path / "images").bytes == page.bytes
    assert Path(page.path).read_text(encoding="utf-8") == text


def test_names_from_a_file_cannot_become_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a class comes from the user's files and is escaped."""
    monkeypatch.setattr("small_stores.describe_case", _describe_evil)
    make_store(tmp_path, {"a": 1})
    text = Path(adelecli.report(tmp_path / "cleaned.zarr").path).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def _describe_evil(case: str, before: int, after: int, lost: int) -> dict[str, object]:
    entry = {f"{unit}_{key}": 1 for unit in ("voxels", "mm3") for key in ("before", "after", "added", "removed")}
    classes = [{"id": 0, "name": "background", **entry}, {"id": 7, "name": "<script>alert(1)</script>", **entry}]
    return {"id": case, "status": "corrected", "classes": classes, "changed_share": 1.0}


def test_pictures_that_do_not_fit_are_left_out_from_the_end_of_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full page still lists every case; the worst ones keep their pictures."""
    store = make_store(tmp_path)
    monkeypatch.setattr(storepage, "PAGE_BYTES", 0)
    content = storepage.describe_store(store, None, lambda _: None, 1)
    assert [(section.row.id, bool(section.previews)) for section in content["sections"]] == [
        ("b", False),
        ("c", False),
        ("a", False),
    ]
    size = sum(
        preview.size for preview in storepage.describe_store(store, None, lambda _: None, 10**9)["sections"][0].previews
    )
    content = storepage.describe_store(store, None, lambda _: None, size)
    assert [bool(section.previews) for section in content["sections"]] == [True, False, False]


def test_what_is_no_store_and_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    """A folder of anything is an InputError; a file that adele did not write is not overwritten."""
    with pytest.raises(InputError, match="neither a store nor a run"):
        adelecli.report(tmp_path)
    make_store(tmp_path, {"a": 1})
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    with pytest.raises(OutputError, match="is no report of adele"):
        adelecli.report(tmp_path / "cleaned.zarr", out=tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"


def test_a_damaged_case_is_told_and_the_others_are_shown(tmp_path: Path) -> None:
    """One unreadable record does not cost the page."""
    store = make_store(tmp_path)
    (store.path / "a" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0").unlink()
    text = Path(adelecli.report(store.path).path).read_text(encoding="utf-8")
    assert "shard c/0/0/0 is missing" in text


def make_run(folder: Path) -> Path:
    """Three epochs of two classes, the second's onset at epoch 2; the last line is torn."""
    folder.mkdir()
    epochs = [
        {
            "epoch": number,
            "losses": {"ce": 1.0 / number, "skipped": 0.0},
            "curve": [0.9, 0.2 * number],
            "onset": [None, 2 if number > 1 else None],
            "corrections": {"added": [1, number]} if number > 1 else None,
            "val": {"teacher": {"iou": [0.9, 0.5], "mean_iou": 0.5}},
            "seconds": 30.0,
        }
        for number in (1, 2, 3)
    ]
    lines = [json.dumps(epoch) for epoch in epochs]
    (folder / "history.jsonl").write_text("\n".join([*lines, lines[0][:20]]))
    (folder / "plan.json").write_text(json.dumps({"class_names": ["background", "liver"], "cases": []}))
    (folder / "run.json").write_text(json.dumps({"seed": 5}))
    return folder


def test_the_page_of_a_run_tells_onset_corrections_and_provenance(tmp_path: Path) -> None:
    """A run that is still going on, killed in the middle of a line, has its page."""
    pytest.importorskip("matplotlib")
    page = adelecli.report(make_run(tmp_path / "run"))
    text = Path(page.path).read_text(encoding="utf-8")
    assert (page.kind, page.path) == ("run", str(tmp_path / "run" / "report.html"))
    assert re.search(r"<td class=\"text\">liver</td><td>0.600</td><td>epoch 2</td><td>0.500</td>", text)
    assert re.search(r"<td>3</td><td>0.333</td><td>0.500</td><td>4</td>", text)  # 1 + 3 pixels corrected
    assert text.count('class="plot"') == 2
    assert "not finished" in text


def test_a_history_with_a_damaged_byte_is_refused_with_its_line(tmp_path: Path) -> None:
    """A flipped bit that leaves no UTF-8 is told like any other damage, not as a fault of the program."""
    history = make_run(tmp_path / "run") / "history.jsonl"
    history.write_bytes(history.read_bytes().replace(b"losses", b"l\xefsses", 1))
    with pytest.raises(InputError, match="line 1 is not JSON"):
        adelecli.report(tmp_path / "run")


def test_the_page_works_in_a_browser(tmp_path: Path) -> None:
    """It renders, sorts, filters and moves by keys; no fault on the console, no request but for the file itself."""
    make_store(tmp_path)
    page = adelecli.report(tmp_path / "cleaned.zarr", images=tmp_path / "images")
    with open_tab() as tab:
        tab.page.goto(Path(page.path).as_uri())
        assert tab.page.locator(QUEUE).all_inner_texts() == ["b", "c", "a"]
        tab.page.get_by_role("button", name="case").click()
        assert tab.page.locator(QUEUE).all_inner_texts() == ["a", "b", "c"]
        tab.page.get_by_role("button", name="changed").click()
        tab.page.get_by_role("button", name="changed").click()
        assert tab.page.locator(QUEUE).all_inner_texts() == ["b", "c", "a"]
        tab.page.keyboard.press("/")
        tab.page.keyboard.type("loses 50")
        assert tab.page.locator(QUEUE).all_inner_texts() == ["c"]
        assert tab.page.locator("#count").inner_text() == "1 of 3 cases"
        tab.page.keyboard.press("Escape")
        tab.page.keyboard.press("j")
        tab.page.keyboard.press("j")
        assert tab.page.locator(".case.here h3").inner_text() == "c"
        assert tab.page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).length") == 0
        tab.page.set_viewport_size({"width": 360, "height": 700})
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 360
        assert tab.faults == []
        assert tab.requests == [Path(page.path).as_uri()]


def test_the_page_of_a_finished_run_tells_what_became_of_the_labels(tmp_path: Path) -> None:
    """They may be corrected once, at the end: then no line of the epochs says so."""
    pytest.importorskip("matplotlib")
    folder = make_run(tmp_path / "run")
    labels = {"cases": 14, "corrected": 12, "error": {"before": 0.374, "after": 0.132, "broken_per_fixed": 0.2}}
    (folder / "state.json").write_text(json.dumps({"finished": True, "labels": labels}))
    text = Path(adelecli.report(folder).path).read_text(encoding="utf-8")
    assert "<dt>cases corrected</dt><dd>12 of 14</dd>" in text
    assert "<dt>label error</dt><dd>37.4 % → 13.2 %</dd>" in text


def test_printed_every_case_is_there_on_white_with_its_labels(tmp_path: Path) -> None:
    """Also from a dark, narrow window, and far below its edge: the header, all columns of the table, the pictures."""
    store = make_store(tmp_path, {f"{number:02d}": 1 + number % 3 for number in range(6)})
    page = Path(adelecli.report(store.path, images=tmp_path / "images").path)
    with open_tab(380, 500, "dark") as tab:
        tab.page.goto(page.as_uri())
        tab.page.emulate_media(media="print")
        heads = tab.page.locator(".case h3")
        assert sorted(heads.all_text_contents()) == [f"{number:02d}" for number in range(6)]
        assert all(head.is_visible() for head in heads.all())
        assert tab.page.locator(".queue th").evaluate_all("all => all.every((one) => one.offsetWidth > 0)")
        assert not tab.page.locator(".bar").is_visible()
        style = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert style == "rgb(255, 255, 255)"
        # a picture that waits until it is scrolled to is missing on paper
        assert tab.page.evaluate("[...document.images].every((one) => one.loading !== 'lazy' && one.naturalWidth > 0)")
        assert tab.page.pdf(format="A4").startswith(b"%PDF")


def test_names_with_spaces_have_links_that_lead_somewhere(tmp_path: Path) -> None:
    """An HTML id has no spaces and needs no escapes; what a reader sees is the id, escaped."""
    make_store(tmp_path, {"case_1": 1, "M\u00fcller & 2": 2, "50%25": 3})
    text = Path(adelecli.report(tmp_path / "cleaned.zarr").path).read_text(encoding="utf-8")
    targets, links = re.findall(r'id="case-([^"]*)"', text), re.findall(r'href="#case-([^"]*)"', text)
    assert sorted(targets) == sorted(links) == sorted(map(place_case, ["case_1", "M\u00fcller & 2", "50%25"]))
    assert '<h3 id="name-' + place_case("M\u00fcller & 2") + '">M\u00fcller &amp; 2</h3>' in text
    assert "case-case_1" in text
