"""``verify``: an intact store, damaged bytes, a record that lies, and a second reader."""

from __future__ import annotations

import json

import pytest
from known_cases import make_noisy, make_truth

from adelecli.errors import InputError, OutputError
from adelecli.pipeline.correction import correct
from adelecli.pipeline.verification import verify
from adelecli.store.documents import compute_seal


def test_what_correct_publishes_is_whole_and_valid_ome_zarr(two_cases) -> None:
    """Our own examination finds nothing, and ome-zarr-models accepts each label image of each case."""
    from ome_zarr_models.v05.image_label import ImageLabel
    from zarr import open_group

    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    verification = verify(two_cases.out)
    assert (verification.findings, verification.cases, verification.exit_code) == ((), 2, 0)
    for case in ("a", "b"):
        for name in ("original", "corrected", "change"):
            group = open_group(two_cases.out / case / "labels" / name, mode="r", zarr_format=3)
            assert ImageLabel.from_zarr(group).ome_attributes.version == "0.5"


def test_a_flipped_byte_is_found(two_cases) -> None:
    """One bit of one shard: the case is named, the code is 8."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    shard = two_cases.out / "b" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[12] ^= 4
    shard.write_bytes(content)
    verification = verify(two_cases.out)
    assert verification.exit_code == 8
    assert {finding.case for finding in verification.findings} == {"b"}
    assert json.loads(verification.to_json())["cases"] == 2


def test_a_record_that_names_another_result_is_found(two_cases) -> None:
    """Even when somebody sealed the lie: the record's result must be the hash of the labels that lie there."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    file = two_cases.out / "a" / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["adele"]["record"]["hashes"]["result"] = "0" * 64
    document["attributes"]["adele"]["sha256"] = compute_seal(document)
    file.write_text(json.dumps(document))
    assert [(finding.case, finding.what) for finding in verify(two_cases.out).findings] == [("a", "record")]


def test_what_is_no_store_is_refused(data) -> None:
    """A folder of masks is not a store (7)."""
    data.add("a", mask=make_truth())
    with pytest.raises(InputError, match="is not an adele store"):
        verify(data.masks)


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("damage", [None, b"", b"adele", b'"schema":1'])
def test_a_store_that_lost_its_own_document_is_damaged_not_absent(two_cases, damage, journal) -> None:
    """Lost, emptied, or a bit flipped where the store is told from strangers or from later versions: code 8, not 7."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    file = two_cases.out / "zarr.json"
    if not damage:
        file.unlink() if damage is None else file.write_bytes(damage)
    else:
        content = file.read_bytes().replace(b'"schema": 1', b'"schema":1')
        place = content.index(damage) + len(damage) - 1
        file.write_bytes(content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :])
    if not journal:
        two_cases.out.with_name(f"{two_cases.out.name}.journal.jsonl").unlink()
    with pytest.raises(OutputError, match=r"zarr\.json was altered or lost"):
        verify(two_cases.out)


def test_a_single_case_and_a_store_of_a_later_version_are_not_called_damaged(two_cases) -> None:
    """Their documents are what was written: 7, with the remedy."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    with pytest.raises(InputError, match="is not an adele store"):
        verify(two_cases.out / "a")
    file = two_cases.out / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["adele"]["schema"] = 99
    document["attributes"]["adele"]["sha256"] = compute_seal(document)
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match="schema 99"):
        verify(two_cases.out)


def test_sources_and_model_are_held_to_their_hashes(two_cases) -> None:
    """Where they are named: whole as they are; an exchanged mask, image or model is named."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    places = {"masks": two_cases.masks, "images": two_cases.images, "model": two_cases.model}
    verification = verify(two_cases.out, **places)
    assert (verification.findings, verification.sources) == ((), 2)
    two_cases.add("a", mask=make_truth())
    two_cases.add("b", image=make_truth().astype("f4") + 1, mask=make_noisy())
    (two_cases.root / "other.onnx").write_bytes(two_cases.model.read_bytes() + b"\0")
    found = verify(two_cases.out, **places | {"model": two_cases.root / "other.onnx"}).findings
    assert [(finding.case, finding.what) for finding in found] == [(None, "model"), ("a", "source"), ("b", "source")]
    assert "is not the mask" in found[1].detail
    assert "is not the image" in found[2].detail
    assert verify(two_cases.out).findings == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": []}, "does not name the files"),
        ({"mask": None}, "does not name the files"),
        ({"mask": "none"}, "does not name the files"),
    ],
)
def test_a_record_without_its_sources_is_found(two_cases, change, said) -> None:
    """A result that cannot say what it was made from is no evidence, whoever sealed it."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    file = two_cases.out / "a" / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["adele"]["record"]["hashes"] |= change
    document["attributes"]["adele"]["sha256"] = compute_seal(document)
    file.write_text(json.dumps(document))
    (finding,) = verify(two_cases.out).findings
    assert (finding.case, finding.what) == ("a", "record")
    assert said in finding.detail


def test_a_lost_shard_is_found(two_cases) -> None:
    """Zarr would read it as background; the file is named."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    (two_cases.out / "a" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0").unlink()
    (finding,) = verify(two_cases.out).findings
    assert (finding.case, finding.what) == ("a", "missing")
    assert "labels/corrected/0/c/0/0/0" in finding.detail
