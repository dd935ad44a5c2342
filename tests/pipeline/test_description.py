"""``info``: a model, a store, a run folder, and what is none of them."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from known_cases import make_truth

from adelecli.errors import InputError, ModelError
from adelecli.pipeline.correction import correct
from adelecli.pipeline.description import ModelDescription, RunDescription, StoreDescription, info


def test_a_model_is_its_contract_and_its_hash(data) -> None:
    """The hash is that of the file, and the registry beside it is asked."""
    described = info(data.model, progress=lambda event: None)  # noqa: ARG005 - as every call takes one
    assert isinstance(described, ModelDescription)
    assert described.sha256 == hashlib.sha256(data.model.read_bytes()).hexdigest()
    assert (described.bytes, described.registered) == (data.model.stat().st_size, False)
    assert described.contract["classes"][2]["name"] == "class 2"
    registry = data.model.parent / "registry.toml"
    registry.write_text(f'[tiny]\nfile = "adele.onnx"\nsha256 = "{described.sha256}"\n')
    assert info(data.model).registered


def test_a_store_is_its_run_and_its_cases(data) -> None:
    """Cases by status and the review queue, quarantined first."""
    data.add("a")
    data.add("b", mask=make_truth())
    data.add("c", mask=np.roll(make_truth(), 3, axis=1))
    correct(data.masks, out=data.out, model=data.model)
    described = info(data.out)
    assert isinstance(described, StoreDescription)
    assert (described.cases, described.by_status) == (3, {"corrected": 1, "unchanged": 1, "quarantined": 1})
    assert described.review == ("c", "a")
    assert described.run["command"] == "correct"
    assert described.run["model"] == hashlib.sha256(data.model.read_bytes()).hexdigest()


def test_the_queue_is_that_of_the_run(data) -> None:
    """The order is the report's, which is not that of the changed shares: the smaller change is the surer one here."""
    for number, case in enumerate("abcdef"):
        mask = make_truth()
        mask[:, :, 2 : 3 + number % 3] = 0
        data.add(case, mask=mask, image=(make_truth() + (0.3 if number % 2 else 0)).astype("float32"))
    report = correct(data.masks, out=data.out, model=data.model, max_change=1.0)
    described = info(data.out)
    assert described.review == tuple(case.id for case in report.review_queue)
    shares = {case.id: case.changed_share for case in report.cases}
    assert list(described.review) != sorted(described.review, key=lambda case: (-shares[case], case))


def test_a_run_folder_is_its_state_and_its_last_epoch(tmp_path) -> None:
    """Finished or not, how many epochs, what the last one said."""
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "state.json").write_text('{"finished": true, "epoch": 2}')
    (tmp_path / "run.json").write_text('{"seed": 1}')
    (tmp_path / "history.jsonl").write_text("".join(json.dumps({"epoch": epoch}) + "\n" for epoch in (1, 2)))
    described = info(tmp_path)
    assert isinstance(described, RunDescription)
    assert (described.finished, described.epochs, described.last, described.run) == (True, 2, {"epoch": 2}, {"seed": 1})


def test_what_is_none_of_them_is_refused(tmp_path) -> None:
    """Code 7 for a strange folder or nothing at all, 6 for a file that is no model, 7 for a broken run."""
    with pytest.raises(InputError, match="neither a model nor a store nor a run folder"):
        info(tmp_path)
    with pytest.raises(InputError, match="there is no such"):
        info(tmp_path / "nowhere")
    (tmp_path / "x.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError):
        info(tmp_path / "x.onnx")
    for damaged in (b"{", b"\xff"):
        (tmp_path / "history.jsonl").write_bytes(damaged)
        with pytest.raises(InputError, match="not JSON"):
            info(tmp_path)


def test_a_registered_model_is_described_by_its_name(data, monkeypatch) -> None:
    """`adele info NAME` looks where `--model NAME` does, unless a file of that name stands there."""
    monkeypatch.chdir(data.model.parent.parent)
    digest = hashlib.sha256(data.model.read_bytes()).hexdigest()
    registry = data.model.parent / "registry.toml"
    registry.write_text(f'[tiny]\nfile = "{data.model.name}"\nsha256 = "{digest}"\n')
    assert data.model.parent.name == "weights"
    described = info("tiny")
    assert isinstance(described, ModelDescription)
    assert (described.sha256, described.registered) == (digest, True)
