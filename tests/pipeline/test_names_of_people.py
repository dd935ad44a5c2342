"""Cases called as people and scanners call them: spaces, umlauts, other scripts, brackets; through every command and back."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from known_cases import Data, make_noisy, make_truth

from adelecli.caseids import place_case
from adelecli.errors import CaseError, InputError
from adelecli.pipeline.comparison import evaluate
from adelecli.pipeline.conversion import convert, name_slice
from adelecli.pipeline.correction import correct
from adelecli.pipeline.prediction import predict
from adelecli.pipeline.preflight import check
from adelecli.pipeline.reversion import revert
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store
from adelecli.volumes.reading import read_labels

MUELLER = "M\u00fcller 2019-03"
DECOMPOSED = unicodedata.normalize("NFD", MUELLER)
NAMES = sorted([MUELLER, "patient 01", "患者 一", "Ασθενής_7", "scan 1", "scan [1]", "labels", "plain_1", "長" * 82])


@pytest.fixture
def people(data: Data) -> Data:
    """Cases of those names; the image of one is called in decomposed letters, its mask in composed ones."""
    for name in NAMES:
        data.add(name)
    (data.images / f"{MUELLER}.nii.gz").rename(data.images / f"{DECOMPOSED}.nii.gz")
    return data


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_over_such_names_is_whole_and_comes_back_under_them(people: Data) -> None:
    """check, correct, verify with its sources, evaluate, convert and back: the ids are the names, and files are called as they were."""
    assert [(case.id, case.error) for case in check(people.masks, model=people.model).cases] == [
        (n, None) for n in NAMES
    ]
    report = correct(people.masks, out=people.out, model=people.model)
    assert [(case.id, case.status) for case in report.cases] == [(name, "corrected") for name in NAMES]
    store = open_store(people.out)
    assert list(store.case_ids()) == NAMES
    assert {path.name for path in people.out.iterdir()} == {"zarr.json", *map(place_case, NAMES)}
    assert "plain_1" in {path.name for path in people.out.iterdir()}
    found = verify(people.out, masks=people.masks, images=people.images, model=people.model)
    assert (found.findings, found.sources) == ((), len(NAMES))
    truth = people.root / "truth"
    for name in NAMES:
        people.add(name, mask=make_truth())
    people.masks.rename(truth)
    scores = evaluate(people.out, truth)
    assert [(case.id, case.dice) for case in scores.cases] == [(name, 1.0) for name in NAMES]
    out = people.root / "converted"
    assert convert(people.out, out=out).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"labels.json", *(f"{name}.nii.gz" for name in NAMES)}
    for name in NAMES:
        given = read_labels(truth / f"{name}.nii.gz").array
        assert np.array_equal(read_labels(out / f"{name}.nii.gz").array, given)
    assert [case.dice for case in evaluate(out, truth).cases] == [1.0] * len(NAMES)


def test_patterns_take_either_spelling_and_a_name_with_brackets_means_itself(people: Data) -> None:
    """``--cases`` in decomposed letters finds the composed id; reverting ``scan [1]`` leaves ``scan 1`` alone."""
    report = correct(people.masks, out=people.out, model=people.model, cases=[f"{DECOMPOSED[:3]}*", "scan*", "患者*"])
    assert [case.id for case in report.cases] == [MUELLER, "scan 1", "scan [1]", "患者 一"]
    assert [case.id for case in revert(people.out, cases=["scan [1]"]).cases] == ["scan [1]"]
    assert [case.id for case in revert(people.out, cases=[DECOMPOSED]).cases] == [MUELLER]
    store = open_store(people.out)
    assert {name: store.is_reverted(name) for name in store.case_ids()} == {
        MUELLER: True,
        "scan 1": False,
        "scan [1]": True,
        "患者 一": False,
    }
    assert np.array_equal(store.read(DECOMPOSED), store.read(MUELLER, "original"))
    assert verify(people.out).findings == ()
    with pytest.raises(InputError, match="holds no case Meier"):
        revert(people.out, cases=["Meier"])


def test_a_stopped_run_resumes_and_parts_of_a_run_share_their_list(people: Data) -> None:
    """What is there is trusted by its hashes under these names too, a damaged case is made anew, and the bytes are the same."""
    correct(people.masks, out=people.out, model=people.model)
    whole = read_bytes(people.out)
    place = people.out / place_case(MUELLER) / "labels" / "corrected" / "0" / "c"
    damaged = next(path for path in sorted(place.rglob("*")) if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (finding, *_) = verify(people.out).findings
    assert finding.case == MUELLER
    report = correct(people.masks, out=people.out, model=people.model, resume=True)
    assert [case.id for case in report.cases] == NAMES
    voxels = {name: data for name, data in read_bytes(people.out).items() if "/c/" in name}
    assert voxels == {name: data for name, data in whole.items() if "/c/" in name}
    parts = people.root / "parts.zarr"
    shares = [correct(people.masks, out=parts, model=people.model, shard=f"{part}/2") for part in (1, 2)]
    assert [[case.id for case in share.cases] for share in shares] == [NAMES[::2], NAMES[1::2]]
    assert list(open_store(parts).case_ids()) == NAMES
    assert verify(parts).findings == ()


def test_a_case_whose_document_is_damaged_or_lost_is_still_called_by_its_name(people: Data) -> None:
    """The journal knows which id a folder belonged to; without it the folder is named."""
    correct(people.masks, out=people.out, model=people.model, cases=["患者*"])
    document = people.out / place_case("患者 一") / "zarr.json"
    document.write_text(document.read_text(encoding="utf-8").replace('"complete"', '"started"'), encoding="utf-8")
    assert [finding.case for finding in verify(people.out).findings] == ["患者 一"]
    (people.out.parent / f"{people.out.name}.journal.jsonl").unlink()
    document.write_text("{}", encoding="utf-8")
    assert [finding.case for finding in verify(people.out).findings] == [place_case("患者 一")]


def test_a_case_in_the_place_of_another_is_found_out(people: Data) -> None:
    """A folder that was renamed, and a document that claims another case's id, are damage, and neither is read as that case."""
    correct(people.masks, out=people.out, model=people.model, cases=["患者*", "patient*"])
    (people.out / place_case("患者 一")).rename(people.out / place_case("長"))
    store = open_store(people.out)
    assert store.case_ids() == ("patient 01",)
    found = {(finding.case, finding.what) for finding in verify(people.out).findings}
    assert found == {(place_case("長"), "record"), ("患者 一", "journal")}
    with pytest.raises(CaseError, match="holds no case"):
        store.read("患者 一")


def test_a_store_of_such_cases_serves_as_masks(people: Data) -> None:
    """Cases of a store are masks under their ids, for another run with the images they had."""
    correct(people.masks, out=people.out, model=people.model)
    again = correct(people.out, images=people.images, out=people.root / "again.zarr", model=people.model)
    assert [(case.id, case.status) for case in again.cases] == [(name, "unchanged") for name in NAMES]


def test_predictions_and_trusted_lists_take_such_names(people: Data) -> None:
    """A list as Windows' editor saves it (with its mark, carriage returns and decomposed letters) names the cases meant."""
    report = predict(people.images, out=people.root / "predicted.zarr", model=people.model, cases=[MUELLER])
    assert [(case.id, case.error) for case in report.cases] == [(MUELLER, None)]
    listed = people.root / "trusted.txt"
    listed.write_bytes(f"\ufeff{DECOMPOSED}\r\nscan [1]\r\n".encode())
    report = correct(people.masks, out=people.out, model=people.model, trusted=listed)
    kept = [case.id for case in report.cases if case.status == "unchanged"]
    assert kept == [MUELLER, "scan [1]"]
    assert np.array_equal(open_store(people.out).read(MUELLER), make_noisy())


def test_pictures_of_a_case_with_a_long_name_have_names_that_a_file_system_takes(people: Data) -> None:
    """One PNG a slice in the case's folder; the id is left out of their names where it would not fit."""
    name = "長" * 82
    assert name_slice("case", 3) == "case_z0003.png"
    correct(people.masks, out=people.out, model=people.model, cases=[name])
    (case,) = convert(people.out, out=people.root / "png", format="png").cases
    assert [Path(file).name for file in case.files] == [f"z{index:04d}.png" for index in range(6)]
    assert {Path(file).parent.name for file in case.files} == {name}


def test_the_report_of_a_run_holds_the_ids_as_they_are(people: Data) -> None:
    """JSON in UTF-8, readable by any program."""
    file = people.root / "report.json"
    correct(people.masks, out=people.out, model=people.model, report=file)
    assert [case["id"] for case in json.loads(file.read_text(encoding="utf-8"))["cases"]] == NAMES
