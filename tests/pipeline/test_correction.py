"""``correct`` on cases whose right answer is known voxel by voxel."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from known_cases import make_noisy, make_truth, read_canonical
from tiny_models import make_contract, make_model

from adelecli.errors import ConfigError, InputError, ModelError
from adelecli.pipeline.conversion import convert
from adelecli.pipeline.correction import correct
from adelecli.pipeline.options import CorrectOptions
from adelecli.store.collection import open_store
from adelecli.volumes.reading import read_labels


def change_voxels(record, name: str) -> tuple[int, int, int, int]:
    entry = next(entry for entry in record.classes if entry.name == name)
    return entry.voxels_before, entry.voxels_after, entry.voxels_added, entry.voxels_removed


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL"])
def test_masks_in_any_orientation_are_corrected_on_the_right_voxel(data, codes) -> None:
    """However the file's axes run, the corrected file as nibabel reads it is the truth, voxel by voxel."""
    data.add("case_1", codes=codes)
    report = correct(data.masks, out=data.out, model=data.model)
    convert(data.out, out=data.root / "files")
    assert report.cases[0].status == "corrected"
    np.testing.assert_array_equal(read_canonical(data.root / "files" / "case_1.nii.gz"), make_truth())


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_slices_are_cut_along_the_axis_of_the_contract(data, axis) -> None:
    """A model made for coronal or sagittal slices puts every answer back where it belongs; only constraint ``none`` is blind to it."""
    contract = make_contract(grid=make_contract().grid.__class__(axis=axis))
    make_model(data.model, contract)
    data.add("case_1", codes="LPS")
    correct(data.masks, out=data.out, model=data.model, constraint="volume")
    convert(data.out, out=data.root / "files")
    np.testing.assert_array_equal(read_canonical(data.root / "files" / "case_1.nii.gz"), make_truth())


def test_the_record_counts_what_changed(data) -> None:
    """Voxels and mm3 before, after, added and removed are exact; the share is 1 - IoU; hashes are those of the files and the result."""
    data.add("case_1")
    record = correct(data.masks, out=data.out, model=data.model).cases[0]
    # class 1 lost a column of 6 rows x 4 slices, class 2 gained a row of 3 x 4
    assert change_voxels(record, "class 1") == (72, 96, 24, 0)
    assert change_voxels(record, "class 2") == (48, 36, 0, 12)
    one = record.classes[1]
    assert (one.mm3_before, one.mm3_after, one.mm3_added, one.mm3_removed) == (90.0, 120.0, 30.0, 0.0)
    assert one.changed_share == pytest.approx(0.25)
    assert record.changed_share == pytest.approx(0.25)
    assert record.mean_confidence == pytest.approx(1 / (1 + 2 * np.exp(-4)), abs=0.03)
    mask = (data.masks / "case_1.nii.gz").read_bytes()
    assert record.hashes.mask == hashlib.sha256(mask).hexdigest()
    assert record.hashes.result == hashlib.sha256(open_store(data.out).read("case_1").tobytes()).hexdigest()
    assert (record.jumps, record.far_jumps) == (0.0, 0.0)  # label and answer are the same in all slices that have any
    assert record.rank == 1


def test_labels_that_agree_with_the_network_are_left_alone(data) -> None:
    """A clean mask is ``unchanged``, is not ranked, and comes back as it was."""
    data.add("case_1", mask=make_truth())
    record = correct(data.masks, out=data.out, model=data.model).cases[0]
    assert (record.status, record.rank, record.changed_share) == ("unchanged", None, 0.0)
    np.testing.assert_array_equal(open_store(data.out).read("case_1", "change"), np.zeros_like(make_truth()))


def test_a_case_that_changes_too_much_keeps_its_labels(data) -> None:
    """Above ``max_change`` the original is published, the change map is empty, the case is first in the queue, the exit code 4."""
    data.add("calm")
    data.add("wild", mask=np.roll(make_truth(), 3, axis=1))
    report = correct(data.masks, out=data.out, model=data.model)
    wild = next(case for case in report.cases if case.id == "wild")
    store = open_store(data.out)
    assert (wild.status, wild.rank, report.exit_code) == ("quarantined", 1, 4)
    assert wild.changed_share is not None
    assert wild.changed_share > 0.5
    np.testing.assert_array_equal(store.read("wild"), np.roll(make_truth(), 3, axis=1))
    assert not store.read("wild", "change").any()
    assert [case.id for case in report.review_queue] == ["wild", "calm"]


def test_max_change_is_a_share_of_the_class(data) -> None:
    """A share of exactly ``max_change`` is not more than it; a little less quarantines."""
    data.add("case_1")
    assert (
        correct(data.masks, out=data.root / "1.zarr", model=data.model, max_change=0.25).cases[0].status == "corrected"
    )
    assert (
        correct(data.masks, out=data.root / "2.zarr", model=data.model, max_change=0.24).cases[0].status
        == "quarantined"
    )


def test_the_change_map_says_how_each_voxel_changed(data) -> None:
    """1 where a class was added to background, 2 where it was removed to it."""
    data.add("case_1")
    correct(data.masks, out=data.out, model=data.model)
    expected = np.zeros_like(make_truth())
    expected[(make_noisy() == 0) & (make_truth() == 1)] = 1
    expected[(make_noisy() == 2) & (make_truth() == 0)] = 2
    np.testing.assert_array_equal(open_store(data.out).read("case_1", "change"), expected)


def test_protected_classes_and_unnamed_classes_stay(data) -> None:
    """``protect`` keeps a class, ``classes`` restricts the change to the named ones: both give the same labels here."""
    data.add("case_1")
    half = make_noisy()
    half[make_truth() == 1] = 1
    for name, options in (("1", {"protect": ["class 2"]}), ("2", {"classes": ["class 1"]})):
        out = data.root / f"{name}.zarr"
        correct(data.masks, out=out, model=data.model, **options)
        np.testing.assert_array_equal(open_store(out).read("case_1"), half)


def test_confidence_is_a_threshold_for_all_or_for_one_class(data) -> None:
    """Nothing passes a threshold above every confidence; with one for class 1 alone, class 1 cannot grow."""
    data.add("case_1")
    record = correct(data.masks, out=data.root / "1.zarr", model=data.model, confidence=0.99).cases[0]
    assert record.status == "unchanged"
    record = correct(data.masks, out=data.root / "2.zarr", model=data.model, confidence={"class 1": 0.99}).cases[0]
    assert change_voxels(record, "class 1") == (72, 72, 0, 0)
    assert change_voxels(record, "class 2") == (48, 36, 0, 12)


def test_the_constraint_is_the_contracts_unless_given(data) -> None:
    """A class that the slice does not hold is not written under ``slice``, and is under ``volume``."""
    noisy = make_noisy()
    noisy[1][noisy[1] == 2] = 0
    data.add("case_1", mask=noisy)
    correct(data.masks, out=data.root / "1.zarr", model=data.model)
    correct(data.masks, out=data.root / "2.zarr", model=data.model, constraint="volume")
    assert not (open_store(data.root / "1.zarr").read("case_1")[1] == 2).any()
    np.testing.assert_array_equal(open_store(data.root / "2.zarr").read("case_1"), make_truth())


def test_a_model_without_triggered_classes_changes_nothing_and_says_so(data, notices) -> None:
    """No class began to memorise: every label stays, a notice tells why, and it stands in the report."""
    seen, watch = notices
    entries = tuple(type(entry)(**{name: getattr(entry, name) for name in entry.__struct_fields__} | {"triggered": False})
                    for entry in make_contract().classes)  # fmt: skip
    make_model(data.model, make_contract(classes=entries))
    data.add("case_1")
    report = correct(data.masks, out=data.out, model=data.model, progress=watch)
    assert report.cases[0].status == "unchanged"
    assert any("no label will change" in notice for notice in seen)
    assert any("no label will change" in notice for notice in report.notices)


def test_ignored_voxels_and_gaps_in_the_ids_survive(data) -> None:
    """Files with ids 0, 7, 300 and an ignore label are corrected in their own ids; ignored voxels stay ignored."""
    ids = (0, 7, 300)
    entries = tuple(
        type(entry)(**{name: getattr(entry, name) for name in entry.__struct_fields__} | {"id": number})
        for entry, number in zip(make_contract().classes, ids, strict=True)
    )
    make_model(data.model, make_contract(classes=entries))
    noisy = np.array(ids, np.uint16)[make_noisy()]
    noisy[2, 10, :] = 255
    data.add("case_1", mask=noisy)
    correct(data.masks, out=data.out, model=data.model)
    expected = np.array(ids, np.uint16)[make_truth()]
    expected[2, 10, :] = 255
    result = open_store(data.out).read("case_1")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, expected)


def test_pictures_are_corrected_in_their_own_format(data) -> None:
    """PNG masks and images go in, a PNG with the same size comes out; pictures have no mm3."""
    from PIL import Image

    data.images.mkdir(parents=True)
    data.masks.mkdir()
    Image.fromarray(make_truth()[2]).save(data.images / "p.png")
    Image.fromarray(make_noisy()[2]).save(data.masks / "p.png")
    record = correct(data.masks, out=data.out, model=data.model).cases[0]
    convert(data.out, out=data.root / "files")
    assert record.classes[1].mm3_added is None
    np.testing.assert_array_equal(read_labels(data.root / "files" / "p.png").array[0], make_truth()[2])


def test_a_dry_run_reports_the_same_and_writes_nothing(data) -> None:
    """Everything but the store: same counts, no file anywhere."""
    data.add("case_1")
    before = sorted(data.root.rglob("*"))
    dry = correct(data.masks, out=data.out, model=data.model, dry_run=True).cases[0]
    assert sorted(data.root.rglob("*")) == before
    wet = correct(data.masks, out=data.out, model=data.model).cases[0]
    assert (dry.classes, dry.hashes, dry.status) == (wet.classes, wet.hashes, wet.status)


def test_cases_are_chosen_by_pattern(two_cases) -> None:
    """Only the matching ids are corrected; a pattern that matches nothing is an input error."""
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, cases=["b*"])
    assert [case.id for case in report.cases] == ["b"]
    with pytest.raises(InputError, match="no case matches zzz"):
        correct(two_cases.masks, out=two_cases.root / "2.zarr", model=two_cases.model, cases=["zzz"])


def test_masks_default_to_the_folder_of_that_name(two_cases, monkeypatch) -> None:
    """In a folder with images/ and masks/ nothing but the output needs a name."""
    monkeypatch.chdir(two_cases.root)
    report = correct(out="cleaned.zarr", model=two_cases.model)
    assert report.count("corrected") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confidence": 1.5}, "outside 0..1"),
        ({"max_change": -1}, "outside 0..1"),
        ({"constraint": "patient"}, "choose slice, volume or none"),
        ({"protect": ["spleen"]}, "unknown class 'spleen'"),
        ({"classes": ["class 1"], "protect": ["class 1"]}, "both in `classes` and in `protect`"),
        ({"resume": True, "overwrite": True}, "contradict"),
        ({"colour": "red"}, "there is no option `colour`"),
        ({"cases": "a"}, "`cases` is a list, not one string"),
        ({"protect": "class 1"}, "`protect` is a list, not one string; pass \\['class 1'\\]"),
        ({"protect": [1]}, r"`protect` is \[1\]; give a list of strings"),
        ({"max_change": "0.5"}, "`max_change` is '0.5'; give a number"),
        ({"confidence": "0.5"}, "`confidence` is '0.5'; give a number, or one for each name"),
        ({"confidence": {"class 1": "0.5"}}, "`confidence` is 0.5, outside 0..1"),
        ({"confidence": {1: 0.5}}, "`confidence` is {1: 0.5}; give a number, or one for each name"),
        ({"workers": "2"}, "`workers` is '2'; give a whole number"),
        ({"workers": 0}, "`workers` is 0; give 1 or more"),
        ({"overwrite": "no"}, "`overwrite` is 'no'; give True or False"),
        ({"shard": (1, 2)}, r"`shard` is \(1, 2\); give text"),
        ({"images": b"images"}, "`images` is b'images'; give a path"),
    ],
)
def test_contradictory_options_are_refused_before_anything_is_written(two_cases, options, said) -> None:
    """Code 2, one line, and no store."""
    with pytest.raises(ConfigError, match=said) as caught:
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model, **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not two_cases.out.exists()


def test_none_leaves_every_option_at_its_default(two_cases) -> None:
    """Programs pass None for what their user did not say; that is not another value."""
    given = dict.fromkeys(CorrectOptions.__dataclass_fields__) | {"model": two_cases.model}
    report = correct(two_cases.masks, out=two_cases.out, **given)
    assert report.run.options["max_change"] == 0.5
    assert report.count("corrected") == 2


def test_an_id_that_is_not_there_is_told_although_others_are(two_cases) -> None:
    """A misspelt id would be left out of a run without a word; a pattern may match nothing."""
    with pytest.raises(InputError, match="no case matches case_9; 2 cases were found; names are case-sensitive"):
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model, cases=["*", "case_9"])
    assert not two_cases.out.exists()
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, cases=["?", "x*"])
    assert report.count("corrected") == 2


def test_a_model_of_whole_volumes_is_refused_before_the_first_case(data) -> None:
    """Slices are what `correct` cuts; a 3D model is told apart by its contract, and no store is begun."""
    make_model(data.model, make_contract(dims=3))
    data.add("case_1")
    with pytest.raises(ModelError, match="takes whole volumes; use a model of slices"):
        correct(data.masks, out=data.out, model=data.model)
    assert not data.out.exists()
