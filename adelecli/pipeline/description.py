"""``info``: what a model, a store or a run folder is, from the file itself and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adelecli.errors import CaseError, InputError
from adelecli.labels.triage import judge_cases, order_cases, weigh_record
from adelecli.progress import Callback, ignore_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adelecli.pipeline.options import StrPath

HISTORY = "history.jsonl"


class ModelDescription(msgspec.Struct, frozen=True, tag_field="kind", tag="model"):
    """A model file: its hash, its size, whether the registry beside it vouches for it, and its contract."""

    path: str
    sha256: str
    bytes: int
    registered: bool
    contract: dict[str, Any]


class StoreDescription(msgspec.Struct, frozen=True, tag_field="kind", tag="store"):
    """A store: the run that made it, its cases by status, and the review queue (worst first)."""

    path: str
    run: dict[str, Any]
    cases: int
    by_status: dict[str, int]
    review: tuple[str, ...]
    unreadable: tuple[str, ...]


class RunDescription(msgspec.Struct, frozen=True, tag_field="kind", tag="run"):
    """A run folder: whether it is finished, how far it came, its last epoch, and what it was made from."""

    path: str
    finished: bool
    epochs: int
    state: dict[str, Any]
    last: dict[str, Any]
    run: dict[str, Any]


Description = ModelDescription | StoreDescription | RunDescription


def info(
    file: StrPath,
    *,
    progress: Callback = ignore_progress,  # noqa: ARG001 - every call takes one; this one is done at once
) -> Description:
    """Describe ``file``: a model (``.onnx``, or the name of a registered one), a store, or a run folder.

    Raises ``InputError`` when it is none of these, ``ModelError`` when a model is unreadable or lacks its contract.

    >>> info("weights/adele.onnx").contract["name"]  # doctest: +SKIP
    'adele'
    """
    from adelecli.pipeline.discovery import find_registered

    path = Path(file)
    if not path.exists():
        path = find_registered(str(file)) or path
    if path.is_file():
        return _describe_model(path)
    if (path / "zarr.json").is_file():
        return _describe_store(path)
    if (path / HISTORY).is_file() or (path / "config.toml").is_file():
        return _describe_run(path)
    fact = "is neither a model nor a store nor a run folder" if path.exists() else "there is no such file or folder"
    raise InputError(fact, path=path, remedy="name a .onnx file, a .zarr store or a folder of runs/")


def _describe_model(path: Path) -> ModelDescription:
    from adelecli.pipeline.discovery import find_hash
    from adelecli.runtime.models import open_model

    registered = find_hash(path)
    model = open_model(path, "cpu", sha256=registered)
    contract = msgspec.to_builtins(model.contract)
    return ModelDescription(str(path), model.sha256, model.size, registered is not None, contract)


def _describe_store(path: Path) -> StoreDescription:
    from adelecli.store.collection import open_store

    store = open_store(path)
    records, unreadable = {}, []
    for case in store.case_ids():
        try:
            records[case] = store.case_record(case) | ({"status": "reverted"} if store.is_reverted(case) else {})
        except CaseError:
            unreadable.append(case)
    return StoreDescription(
        path=str(path),
        run=store.run(),
        cases=len(records) + len(unreadable),
        by_status=dict(Counter(str(record.get("status")) for record in records.values())),
        review=_list_queue(records),
        unreadable=tuple(unreadable),
    )


def _list_queue(records: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The cases that need a look in the order in which the run's own report and the page have them."""
    ids = list(records)
    refused = [records[case].get("status") == "quarantined" for case in ids]
    order = order_cases(judge_cases([weigh_record(record) for record in records.values()]), refused, ids)
    return tuple(ids[at] for at in order if records[ids[at]].get("status") in {"quarantined", "corrected"})


def _describe_run(path: Path) -> RunDescription:
    state, run = _read_object(path / "state.json"), _read_object(path / "run.json")
    history = path / HISTORY
    lines = history.read_bytes().splitlines() if history.is_file() else []
    try:
        last = json.loads(lines[-1]) if lines else {}
    except ValueError as error:
        raise InputError(
            f"its last line is not JSON ({error})", path=history, remedy="resume the run to restore it"
        ) from error
    return RunDescription(str(path), bool(state.get("finished")), len(lines), state, last, run)


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"is not JSON ({error})", path=path, remedy="name an intact run folder") from error
    return value if isinstance(value, dict) else {}
