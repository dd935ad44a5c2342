"""Names that lead elsewhere, collide, or cannot be said: nothing is written outside the store, and no two cases share a place."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_cases import make_noisy, make_truth

from adelecli.caseids import fold_id, place_case
from adelecli.errors import CaseError, OutputError
from adelecli.pipeline.conversion import convert
from adelecli.pipeline.correction import correct
from adelecli.pipeline.preflight import check
from adelecli.pipeline.verification import verify
from adelecli.store.collection import create_store, open_store
from adelecli.store.documents import compute_seal
from adelecli.store.frame import Frame
from adelecli.store.layout import draft_folder, journal_path
from adelecli.store.publication import publish_case

AXES = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
LABELS = np.ones((2, 3, 4), np.uint8)

NAMES = [
    "...", "..a", "-rf", "a b", "a\nb", "a\x1b[2Jb", "лёгкие", "肺", "a\u0301", "\u202egpj", "C:evil", "a\\b", "%2e%2e", "~root",
    "zarr.json", "labels", "con", "nul.x", "x" * 128, "x" * 129, "x" * 248, "肺" * 82, "$(id)", "a;b", "c", "a.", "a..b",
    os.fsdecode(b"latin-\xe9"), "zero\u200bwidth", "\u2066iso", "a\x85b", "\u0645\u06cc\u200c\u062e", "山　田", "[1]", "=1+1", "<i>",
]  # fmt: skip
"""With ``.nii.gz`` the longest of them has 255 bytes, which is all that a file system gives."""
REFUSED = {"-rf", "a\nb", "a\x1b[2Jb", "\u202egpj", "C:evil", "a\\b", "con", "nul.x", os.fsdecode(b"latin-\xe9")}
REFUSED |= {"zero\u200bwidth", "\u2066iso", "a\x85b", "<i>"}
FINE = {unicodedata.normalize("NFC", name) for name in NAMES if name not in REFUSED and name[0] != "."}


def list_tree(folder: Path, but: Path) -> dict[bytes, bytes | None]:
    """Every path below ``folder`` outside ``but`` and its siblings of that name, with the files' content."""
    found: dict[bytes, bytes | None] = {}
    for parent, folders, names in os.walk(os.fsencode(folder)):
        for name in (*folders, *names):
            path = parent + b"/" + name
            if os.fsencode(but.name) not in path:
                found[path] = Path(os.fsdecode(path)).read_bytes() if name in names else None
    return found


def test_a_folder_of_hostile_names(data, tmp_path: Path) -> None:
    """Each is published under its own id or failed with one line (3); nothing outside the store changes; the report is JSON."""
    for name in (*NAMES, "Twin", "twin", "good"):
        data.add(name)
    before = list_tree(tmp_path, data.out)
    report = correct(data.masks, out=data.out, model=data.model)
    assert list_tree(tmp_path, data.out) == before
    published = {case.id for case in report.cases if case.error is None}
    assert published == FINE | {"good"}
    assert set(open_store(data.out).case_ids()) == published
    assert {path.name for path in data.out.iterdir()} == {*map(place_case, published), "zarr.json"}
    assert report.exit_code == 3
    decoded = json.loads(report.to_json())
    assert len(decoded["cases"]) == sum(not name.startswith(".") for name in NAMES) + 3  # hidden files are no cases
    errors = {case["id"]: case["error"] for case in decoded["cases"]}
    assert "differ only by case" in errors["twin"]
    assert "differ only by case" in errors["Twin"]
    assert all(error is None or error.isprintable() for error in errors.values())
    assert verify(data.out).findings == ()
    checkup = check(data.masks, model=data.model)
    assert json.loads(checkup.to_json())["cases"]
    assert {case.id for case in checkup.cases} == {case.id for case in report.cases}


def test_links_out_of_the_folder_are_not_followed(data, tmp_path: Path) -> None:
    """A mask or an image that is a link to elsewhere fails alone."""
    data.add("a")
    data.add("b")
    secret = tmp_path / "secret.nii.gz"
    (data.masks / "b.nii.gz").rename(secret)
    (data.masks / "b.nii.gz").symlink_to(secret)
    report = correct(data.masks, out=data.out, model=data.model)
    assert [case.status for case in report.cases] == ["corrected", "failed"]
    assert "leaves its folder" in str(report.cases[1].error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.sampled_from([*NAMES, "../../x", "/abs", "a/b", "..", ".", "", "a/../../b", "\0", "labels/x", "x\0y"]),
        st.text(max_size=12),
        st.text(alphabet="./\\aA-_~\0\n", max_size=8),
    )
)
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    """Whatever a program hands over as a case id: refused, or published under it in a folder of plain letters in the store."""
    path = tmp_path / "c.zarr"
    store = create_store(path, run={}, overwrite=path.exists())
    try:
        with publish_case(store, name) as draft:
            draft.write_labels("corrected", LABELS, Frame(AXES, (1.0, 1.0, 1.0)), [])
            draft.set_record({})
    except CaseError:
        assert store.case_ids() == ()
    else:
        assert store.case_ids() == (unicodedata.normalize("NFC", name),)
        assert store.read(name).tolist() == LABELS.tolist()
        other = name.swapcase()
        if unicodedata.normalize("NFC", name) != unicodedata.normalize("NFC", other) and fold_id(name) == fold_id(
            other
        ):
            twin = publish_case(store, other)
            with pytest.raises(CaseError, match="only in upper and lower case"), twin:
                pytest.fail("two cases share a place")
    assert sorted(entry.name for entry in tmp_path.iterdir()) in (["c.zarr", "c.zarr.journal.jsonl"], ["c.zarr"])
    places = {entry.name for entry in path.iterdir()} - {"zarr.json"}
    assert places <= ({place_case(name)} if store.case_ids() else set())
    assert all(re.fullmatch("[A-Za-z0-9_.-]{1,128}", place) for place in places)


@pytest.mark.parametrize("what", ["drafts", "journal"])
def test_links_beside_the_store_are_not_followed(data, tmp_path: Path, what: str) -> None:
    """Somebody who may write beside the store must not make a run write, or delete, elsewhere."""
    data.add("a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    precious = elsewhere / "a.00000000.1.000000000000"  # named as a draft is
    precious.write_text("precious")
    if what == "drafts":
        draft_folder(data.out).symlink_to(elsewhere)
    else:
        journal_path(data.out).symlink_to(precious)
    with pytest.raises(OutputError, match="cannot be written"):
        correct(data.masks, out=data.out, model=data.model)
    assert precious.read_text() == "precious"
    assert list(elsewhere.iterdir()) == [precious]


@pytest.mark.parametrize("name", ["../../../secret", "/secret", "..", "a/b"])
def test_names_in_a_stores_own_documents_are_not_trusted(data, tmp_path: Path, name: str) -> None:
    """A sealed document that names an array elsewhere is damage: nothing is read there, nothing is written there."""
    data.add("a")
    correct(data.masks, out=data.out, model=data.model)
    file = data.out / "a" / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["adele"]["labels"] = {name: "0" * 64}
    document["attributes"]["adele"]["sha256"] = compute_seal(document)
    file.write_text(json.dumps(document))
    with pytest.raises(CaseError, match="names what cannot lie in a store"):
        open_store(data.out).read("a", name)
    (finding,) = verify(data.out).findings
    assert (finding.case, finding.what) == ("a", "record")
    before = list_tree(tmp_path, data.root / "converted")
    assert convert(data.out, out=data.root / "converted").exit_code == 7
    assert list_tree(tmp_path, data.root / "converted") == before


def test_the_same_patient_is_never_two_cases(data) -> None:
    """Two files of one case id (another ending) fail; a picture and a volume of one name do not share a place."""
    from PIL import Image

    data.add("a")
    Image.fromarray(make_truth()[2]).save(data.masks / "a.png")
    data.add("b", mask=make_noisy())
    report = correct(data.masks, out=data.out, model=data.model)
    assert [(case.id, case.status) for case in report.cases] == [("a", "failed"), ("b", "corrected")]
