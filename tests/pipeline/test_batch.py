"""The loop over cases: one bad case, an interruption, a resumed run, and every bad input with its code and its one line."""

from __future__ import annotations

import dataclasses
import gzip
import json

import msgspec
import nibabel as nib
import numpy as np
import pytest
from known_cases import make_noisy, make_truth, write_nifti
from tiny_models import make_contract, make_model

from adelecli.errors import AdeleError, CaseError, ConfigError, DeviceError, InputError, ModelError, OutputError
from adelecli.pipeline import execution, session
from adelecli.pipeline.correction import correct
from adelecli.pipeline.prediction import predict
from adelecli.pipeline.records import Report
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store
from adelecli.store.publication import Draft


def spoil_mask(data, value: float) -> None:
    mask = make_noisy().astype(np.float32)
    mask[1, 2, 3] = value
    data.add("bad", mask=mask)


def spoil_image(data) -> None:
    image = make_truth().astype(np.float32)
    image[0, 0, :2] = np.nan
    data.add("bad", image=image)


def cut_short(data) -> None:
    data.add("bad")
    path = data.masks / "bad.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])


def shift(data) -> None:
    data.add("bad")
    path = data.masks / "bad.nii.gz"
    image = nib.load(path)
    affine = image.affine.copy()
    affine[2, 3] += 1
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)


def add_channel(data) -> None:
    data.add("bad")
    (data.images / "bad.nii.gz").rename(data.images / "bad_0000.nii.gz")
    write_nifti(data.images / "bad_0001.nii.gz", make_truth().astype(np.float32))


def orphan(data) -> None:
    write_nifti(data.masks / "bad.nii.gz", make_noisy())


BAD_CASES = {
    "a label of no class": (
        lambda data: spoil_mask(data, 9),
        "label 9 (1 voxels, first at z=1, y=2, x=3) is in no class",
    ),
    "a fraction": (lambda data: spoil_mask(data, 1.5), "label 1.5 at z=1, y=2, x=3 is not a whole number"),
    "a negative label": (lambda data: spoil_mask(data, -1), "label -1"),
    "NaN in the image": (spoil_image, "2 of 720 voxels are NaN or infinite"),
    "a truncated file": (cut_short, "cannot be read as"),
    "no image file at all": (
        lambda data: data.add("bad", image=np.zeros((6, 12, 9), np.float32)),
        "does not match its image",
    ),
    "a shifted mask": (shift, "1 mm apart"),
    "a channel too many": (add_channel, "has 2 channels, the model takes 1"),
    "a mask without image": (orphan, "has no image"),
}


@pytest.mark.parametrize("name", BAD_CASES)
def test_a_bad_case_is_one_line_of_the_report_and_stops_nobody(data, notices, name) -> None:
    """Its file, the fact and the remedy in one line; exit code 3; the other case is published and the store verifies."""
    spoil, said = BAD_CASES[name]
    seen, watch = notices
    data.add("good")
    spoil(data)
    report = correct(data.masks, out=data.out, model=data.model, progress=watch)
    states = {case.id: case for case in report.cases}
    error = states["bad"].error
    assert (states["bad"].status, states["good"].status, report.exit_code) == ("failed", "corrected", 3)
    assert error is not None
    assert said in error
    assert "bad" in error.split(": ")[0]
    assert "; " in error
    assert "\n" not in error
    assert error in seen
    assert open_store(data.out).case_ids() == ("good",)
    assert verify(data.out).exit_code == 0


def break_model(data) -> None:
    data.model.write_bytes(b"not a model")


def strip_contract(data) -> None:
    make_model(data.model, change=lambda proto: proto.ClearField("metadata_props"))


def register_wrongly(data) -> None:
    registry = data.model.parent / "registry.toml"
    registry.write_text(f'[adele]\nfile = "adele.onnx"\nsha256 = "{"0" * 64}"\n')


def occupy(data) -> None:
    data.out.mkdir()
    (data.out / "patient.nii").write_text("precious")


def forbid(data) -> None:
    data.out.parent.mkdir(exist_ok=True)
    data.out.with_suffix(".file").write_text("a file where a folder should be")


BAD_RUNS = {
    "no masks folder": (None, {"masks": "nowhere"}, InputError, "there is no such"),
    "no images folder": (None, {"images": "nowhere"}, InputError, "there is no such"),
    "no model": (
        lambda data: data.model.unlink(),
        {"model": None},
        ModelError,
        "no model; pass --model FILE, or train one",
    ),
    "unknown model": (None, {"model": "liver-v9"}, ModelError, "there is no such model"),
    "two models": (
        lambda data: make_model(data.model.with_name("b.onnx")),
        {"model": None},
        ConfigError,
        "adele.onnx, b.onnx",
    ),
    "a broken model": (break_model, {}, ModelError, "is not an ONNX file"),
    "a model without contract": (strip_contract, {}, ModelError, "lacks its contract; export it with `adele export`"),
    "a model of another hash": (register_wrongly, {}, ModelError, "is recorded for it"),
    "an unknown device": (None, {"device": "tpu"}, ConfigError, "is not a device"),
    "a GPU that is not there": (None, {"device": "cuda:99"}, DeviceError, "--device cuda:99 is not usable"),
    "an output that exists": (
        lambda data: correct(data.masks, out=data.out, model=data.model),
        {},
        OutputError,
        "exists already",
    ),
    "a folder of somebody's files": (occupy, {"overwrite": True}, OutputError, "not an adele store"),
    "a parent that is a file": (forbid, {"out": "cleaned.file/x.zarr"}, OutputError, "cannot be written"),
    "a report nowhere": (
        None,
        {"report": "nowhere/report.json"},
        OutputError,
        "its folder does not exist",
    ),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_bad_run_is_refused_with_its_code_and_one_line(two_cases, monkeypatch, name) -> None:
    """Codes 2, 5, 6, 7 and 8 of the contract, before any case is touched; what lies there stays."""
    monkeypatch.chdir(two_cases.root)
    (two_cases.root / "weights").symlink_to(two_cases.model.parent)
    spoil, options, kind, said = BAD_RUNS[name]
    if spoil is not None:
        spoil(two_cases)
    given = {"masks": two_cases.masks, "out": two_cases.out, "model": two_cases.model} | options
    with pytest.raises(kind) as caught:
        correct(given.pop("masks"), **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    if name == "a folder of somebody's files":
        assert (two_cases.out / "patient.nii").read_text() == "precious"


def test_every_case_failed_is_code_7(data) -> None:
    """A batch that ends without a single result says so by its code."""
    spoil_mask(data, 9)
    report = correct(data.masks, out=data.out, model=data.model)
    assert report.exit_code == 7
    assert report.count("failed") == 1


def test_an_image_without_a_mask_is_no_case(two_cases) -> None:
    """Images that no mask asks for are left alone, and one line says so."""
    write_nifti(two_cases.images / "spare.nii.gz", make_truth().astype(np.float32))
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert report.count("corrected") == 2
    assert [note for note in report.notices if "spare.nii.gz" in note and "has no mask" in note]


def test_fail_fast_stops_at_the_first_bad_case_and_still_writes_the_report(data) -> None:
    """The error is raised (code 3); what was published before stays; the report file holds the failure."""
    data.add("a")
    spoil_mask(data, 9)
    data.add("c")
    file = data.root / "report.json"
    with pytest.raises(CaseError, match="label 9"):
        correct(data.masks, out=data.out, model=data.model, fail_fast=True, report=file)
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert [(case.id, case.status) for case in report.cases] == [("a", "corrected"), ("bad", "failed")]
    assert open_store(data.out).case_ids() == ("a",)


def test_a_call_that_is_refused_says_nothing_but_the_reason(data, monkeypatch) -> None:
    """Notices wait for the first case: a store that is there is one line; the run that begins tells them, in order, once."""
    data.add("a")
    write_nifti(data.images / "spare.nii.gz", make_truth().astype(np.float32))
    open_model = session.open_model

    def open_with_notice(*arguments, **options):
        model = open_model(*arguments, **options)
        return dataclasses.replace(model, device=dataclasses.replace(model.device, notice="GPU not used"))

    monkeypatch.setattr(session, "open_model", open_with_notice)
    told: list[str] = []

    def tell(event) -> None:
        told.extend([event.notice] if event.notice else [])

    report = correct(data.masks, out=data.out, model=data.model, progress=tell)
    assert told == list(report.notices) == ["GPU not used", f"{data.images}/spare.nii.gz: has no mask and is left out"]
    told.clear()
    with pytest.raises(OutputError, match="exists already"):
        correct(data.masks, out=data.out, model=data.model, progress=tell)
    assert told == []


def test_a_report_never_replaces_a_mask(data) -> None:
    """A slip in `--report` is refused before anything is written; the report of an earlier run is replaced."""
    data.add("a")
    mask = data.masks / "a.nii.gz"
    before = mask.read_bytes()
    with pytest.raises(OutputError, match="is no report of adele"):
        correct(data.masks, out=data.out, model=data.model, report=mask)
    assert mask.read_bytes() == before
    assert not data.out.exists()
    for _ in range(2):
        correct(data.masks, out=data.out, model=data.model, report=data.root / "r.json", overwrite=True)
    assert msgspec.json.decode((data.root / "r.json").read_bytes(), type=Report).cases[0].id == "a"


def test_an_interruption_leaves_what_was_published_and_can_be_resumed(two_cases, monkeypatch) -> None:
    """Ctrl-C during the second case: the first stands and verifies; a resumed run does the second only."""
    treat = execution._treat_case

    def interrupt(case, *rest):
        if case.id == "b":
            raise KeyboardInterrupt
        return treat(case, *rest)

    monkeypatch.setattr(execution, "_treat_case", interrupt)
    with pytest.raises(KeyboardInterrupt):
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    monkeypatch.undo()
    assert open_store(two_cases.out).case_ids() == ("a",)
    assert verify(two_cases.out).exit_code == 0
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, resume=True)
    assert [(case.id, case.status, case.resumed) for case in report.cases] == [
        ("a", "corrected", True),
        ("b", "corrected", False),
    ]


def test_an_interruption_while_publishing_leaves_no_trace_of_that_case(two_cases, monkeypatch) -> None:
    """The case that was being written is absent as a whole, and so is its draft."""
    monkeypatch.setattr(Draft, "finish", _raise_interrupt)
    with pytest.raises(KeyboardInterrupt):
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert open_store(two_cases.out).case_ids() == ()
    assert not list(two_cases.root.glob(".cleaned*"))


def _raise_interrupt(_: object) -> None:
    raise KeyboardInterrupt


def test_resume_starts_where_nothing_is(two_cases) -> None:
    """``resume`` on a store that does not exist simply starts."""
    assert correct(two_cases.masks, out=two_cases.out, model=two_cases.model, resume=True).count("corrected") == 2


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda data: data.add("a", mask=make_truth()), {}, "the mask of case a changed"),
        (lambda data: data.add("a", image=make_noisy().astype(np.float32)), {}, "the image of case a changed"),
        (lambda data: make_model(data.model, make_contract(name="other")), {}, "cannot be resumed: model"),
        (None, {"max_change": 0.4}, "max_change was 0.5, is 0.4"),
        (None, {"confidence": 0.9}, "confidence was None, is 0.9"),
    ],
)
def test_resuming_something_else_is_refused_with_the_difference(two_cases, change, options, said) -> None:
    """Another model, other options or changed inputs: code 2, named; the store is untouched."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    before = open_store(two_cases.out).case_record("a")
    if change is not None:
        change(two_cases)
    with pytest.raises(ConfigError, match=said):
        correct(two_cases.masks, out=two_cases.out, model=two_cases.model, resume=True, **options)
    assert open_store(two_cases.out).case_record("a") == before


def test_resume_trusts_hashes_and_never_a_files_existence(two_cases) -> None:
    """A damaged result is there and is made again; the intact one is not."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    shard = two_cases.out / "a" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[10] ^= 1
    shard.write_bytes(content)
    assert verify(two_cases.out).exit_code == 8
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, resume=True)
    assert [(case.id, case.resumed) for case in report.cases] == [("a", False), ("b", True)]
    assert verify(two_cases.out).exit_code == 0


def test_overwrite_replaces_a_store(two_cases) -> None:
    """With ``overwrite`` a store gives way to the new one as a whole."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model, overwrite=True, cases=["b"])
    assert open_store(two_cases.out).case_ids() == ("b",)


def test_a_case_that_needs_too_much_memory_fails_alone(two_cases, monkeypatch) -> None:
    """MemoryError is a fact about one case, not the end of the batch."""
    publish = execution.publish_outcome

    def exhaust(store, outcome):
        if outcome.record.id == "a":
            raise MemoryError
        publish(store, outcome)

    monkeypatch.setattr(execution, "publish_outcome", exhaust)
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert [case.status for case in report.cases] == ["failed", "corrected"]
    assert "does not fit into memory" in str(report.cases[0].error)


def test_the_report_explains_the_run(two_cases) -> None:
    """Versions, the model's hash, options, device asked and used, seconds per stage and peak memory, in one JSON object."""
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, device="auto", max_change=0.4)
    told = json.loads(report.to_json())
    assert told["run"]["model"]["name"] == "tiny"
    assert len(told["run"]["model"]["sha256"]) == 64
    assert told["run"]["options"]["max_change"] == 0.4
    assert (told["run"]["device_asked"], told["run"]["device_used"]) == ("auto", "cpu")
    assert set(told["run"]["seconds"]) == {"model", "read", "segment", "correct", "count", "write"}
    assert told["run"]["libraries"]["numpy"] == np.__version__
    assert told["run"]["peak_memory_mb"] > 10
    assert msgspec.json.decode(report.to_json(), type=Report) == report


def test_progress_counts_cases_to_the_end(two_cases) -> None:
    """One event before each case and one when all are done."""
    events = []
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model, progress=events.append)
    counted = [(event.done, event.total, event.case) for event in events if event.stage == "correct"]
    assert counted == [(0, 2, "a"), (1, 2, "b"), (2, 2, None)]


def test_confidence_maps_are_stored_where_asked(two_cases) -> None:
    """255 stands for certain; the map lies on the source grid."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model, confidence_maps=True, cases=["a"])
    store = open_store(two_cases.out)
    confidence = store.read("a", "confidence")
    sure = 1 / (1 + np.exp(-4.0) + np.exp(-4.0))
    assert store.map_names("a") == ("confidence",)
    assert int(confidence[2, 3, 2]) == round(255 * sure)
    assert confidence.shape == make_truth().shape


def test_predict_needs_no_masks(two_cases) -> None:
    """The same loop without masks: the labels are the network's, the counts are those of the result."""
    report = predict(two_cases.images, out=two_cases.out, model=two_cases.model)
    record = report.cases[0]
    assert (record.status, report.exit_code, report.run.command) == ("predicted", 0, "predict")
    np.testing.assert_array_equal(open_store(two_cases.out).read("a"), make_truth())
    assert [entry.voxels_after for entry in record.classes] == [720 - 96 - 36, 96, 36]
    assert record.hashes.mask is None


def test_predict_says_where_it_looks_for_images(data) -> None:
    """Without an argument and without images/ it is an input error (7)."""
    with pytest.raises(InputError, match="neither images/ nor imagesTr/"):
        predict(out=data.out, model=data.model)


def test_a_store_cannot_be_resumed_by_another_command(two_cases) -> None:
    """``predict --resume`` on a store of ``correct`` names the difference."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    with pytest.raises(ConfigError, match="command was 'correct', is 'predict'"):
        predict(two_cases.images, out=two_cases.out, model=two_cases.model, resume=True)


def test_errors_are_always_of_the_family(data) -> None:
    """Garbage under every name is still an AdeleError, never a decoder's own exception."""
    data.images.mkdir(parents=True)
    data.masks.mkdir()
    (data.images / "x.nii.gz").write_bytes(gzip.compress(b"garbage" * 100))
    (data.masks / "x.nii.gz").write_bytes(b"\x1f\x8b garbage")
    report = correct(data.masks, out=data.out, model=data.model)
    assert report.exit_code == 7
    assert issubclass(CaseError, AdeleError)
