"""Whatever bytes a file holds, it is read or refused in one line: no crash, no hang, no memory beyond a limit."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from formats import FORMATS, MASK, read_everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import MUTATIONS, damage_bytes, damage_json
from tiny_models import make_model
from watchers import limit_memory, limit_seconds

from adelecli.errors import AdeleError
from adelecli.runtime.models import open_model
from adelecli.store.changes import map_changes
from adelecli.store.collection import Store, create_store, open_store
from adelecli.store.documents import compute_seal
from adelecli.store.frame import Frame
from adelecli.store.publication import publish_case
from adelecli.store.verification import verify_store
from adelecli.volumes.naming import read_class_table

SECONDS, MEBIBYTES = 10.0, 400
QUICK = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SLOW = settings(QUICK, max_examples=1200, derandomize=False)
CLASSES = ({"id": 0, "name": "background", "colour": (0, 0, 0)}, {"id": 1, "name": "liver", "colour": (200, 30, 30)})


class Target:
    """A good input that is spoilt and read, over and over, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attack(self, mutations, place: int, *, as_json: bool) -> None:
        """Spoil it and read it; anything but success or an ``AdeleError`` comes out."""
        raise NotImplementedError


class FileTarget(Target):
    """One file of patient data, a model, or a table of names."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder)
        if kind == "onnx":
            path = make_model(folder / "a.onnx")
            self.reads = [lambda: open_model(path, "cpu", threads=1)]
        elif kind == "json":
            path = folder / "labels.json"
            path.write_text(json.dumps({"labels": {"0": "background", "1": "liver"}, "ignore": 255}))
            self.reads = [lambda: read_class_table(folder)]
        else:
            path = FORMATS[kind].make(folder)
            self.reads = read_everything(path)
        self.path, self.content = path, path.read_bytes()
        for read in self.reads[1:]:  # a mask may be refused for what it is (colours, a JPEG)
            read()

    def attack(self, mutations, _: int, *, as_json: bool) -> None:
        as_json = as_json and self.path.suffix == ".json"
        self.path.write_bytes((damage_json if as_json else damage_bytes)(self.content, mutations))
        for read in self.reads:
            with suppress(AdeleError), limit_seconds(SECONDS):
                read()


class StoreTarget(Target):
    """A store of one case; documents are sealed again after they were spoilt, as an attacker would."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "c.zarr"
        frame = Frame(((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0), (0, 0, 0, 1.0)), (1.0, 1.0, 1.0), bytes(348))
        with publish_case(create_store(self.path, run={"command": "correct"}), "a") as draft:
            for name in ("original", "corrected"):
                draft.write_labels(name, MASK, frame, CLASSES)
            draft.write_labels("change", map_changes(MASK, MASK), frame, CLASSES)
            draft.write_map("confidence", MASK)
            draft.set_record({"status": "corrected", "id": "a"})
        self.files = {path: path.read_bytes() for path in sorted(self.path.rglob("*")) if path.is_file()}
        assert verify_store(self.path) == ()

    def attack(self, mutations, place: int, *, as_json: bool) -> None:
        path = list(self.files)[place % len(self.files)]
        as_json = as_json and path.suffix == ".json"
        path.write_bytes((damage_json if as_json else damage_bytes)(self.files[path], mutations))
        if as_json:
            self._seal(path)
        try:
            with suppress(AdeleError), limit_seconds(SECONDS):
                verify_store(self.path)
                self._read(open_store(self.path))
        finally:
            for file, content in self.files.items():
                file.write_bytes(content)

    def _seal(self, path: Path) -> None:
        """Make the chain of hashes agree with what was spoilt, as far as there still is one."""
        from adelecli.store.inspection import hash_metadata

        with suppress(KeyError, TypeError, AttributeError, ValueError):
            for owner in (path, self.path / "a" / "zarr.json", self.path / "zarr.json"):
                document = json.loads(owner.read_text())
                if owner == self.path / "a" / "zarr.json" and path != owner:
                    document["attributes"]["adele"]["metadata"] = hash_metadata(self.path / "a")
                document["attributes"]["adele"]["sha256"] = compute_seal(document)
                if "status" in document["attributes"]["adele"] or "kind" in document["attributes"]["adele"]:
                    owner.write_text(json.dumps(document))

    @staticmethod
    def _read(store: Store) -> None:
        for case in store.case_ids():
            calls = [store.case_record, store.audit, store.is_reverted, store.label_names, store.map_names, store.frame]
            calls += [
                store.class_entries,
                store.read,
                store.shape,
                lambda case: list(store.read_slabs(case, "original")),
            ]
            for call in calls:
                with suppress(AdeleError):
                    call(case)


def make_target(folder: Path, kind: str) -> Target:
    return StoreTarget(folder) if kind == "zarr" else FileTarget(folder, kind)


def attack_often(target: Target, how: settings) -> None:
    @how
    @given(MUTATIONS, st.integers(0, 2**16), st.booleans())
    def attack(mutations, place: int, as_json: bool) -> None:
        target.attack(mutations, place, as_json=as_json)

    with limit_memory(MEBIBYTES):
        attack()


KINDS = [*FORMATS, "zarr", "onnx", "json"]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """A short turn of every format: read, or an AdeleError; in seconds, in bounded memory."""
    attack_often(make_target(tmp_path, kind), QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_much_damage_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """The same, 1,200 times for each format: more than 20,000 inputs in all."""
    attack_often(make_target(tmp_path, kind), SLOW)


def test_the_damage_is_real(tmp_path: Path) -> None:
    """Otherwise the attacks prove nothing: of 40 spoilt volumes more than half are refused, and some are read."""
    target = FileTarget(tmp_path, "nifti")
    refused = 0
    for seed in range(40):
        chance = np.random.default_rng(seed)
        mutation = ("byte", True, int(chance.integers(0, 400)), int(chance.integers(0, 256)), 0)
        target.path.write_bytes(damage_bytes(target.content, [mutation] * 1))
        try:
            target.reads[0]()
        except AdeleError:
            refused += 1
    assert 3 <= refused <= 37
    shutil.rmtree(tmp_path)
