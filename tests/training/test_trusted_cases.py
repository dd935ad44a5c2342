"""Trusted cases through a whole run: said once, written down, never changed, respected after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest_training import SMALL, Folders

from adelecli.errors import ConfigError
from adelecli.progress import Progress
from adelecli.store.collection import open_store
from adelecli.training.trainer import train

EAGER = (
    *SMALL,
    "onset.forced_epoch=1",
    "correction.tau=0.0",
    "correction.guard=1.0",
    "network.width=4",
    "loss.scales=[[1, 1]]",
)
"""Every class triggers at once and every disagreement is believed, so that whatever may change does."""


@pytest.fixture(scope="module")
def started(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[int]]:
    """The folder of a finished run that trusts case0 and case2, and how many steps its epochs took."""
    root, steps = tmp_path_factory.mktemp("trusted"), set()
    listed = root / "trusted.txt"
    listed.write_text("case2\ncase0\n")

    def note(event: Progress) -> None:
        if event.stage == "epoch":
            steps.add(event.total)

    result = train(folders.masks, out=root, set=EAGER, epochs=2, seed=1, device="cpu", trusted=listed, progress=note)
    return result.folder, steps


@pytest.fixture
def begun(started: tuple[Path, set[int]]) -> Path:
    return started[0]


def changed_voxels(run: Path) -> dict[str, int]:
    store = open_store(run / "labels.zarr")
    return {case: int((store.read(case) != store.read(case, "original")).sum()) for case in store.case_ids()}


def test_a_run_writes_down_whom_it_trusts(begun: Path) -> None:
    """`plan.json` and `run.json` hold the ids, ascending; they are among the training cases."""
    plan, run = (json.loads((begun / name).read_text()) for name in ("plan.json", "run.json"))
    assert plan["trusted_cases"] == run["trusted"] == ["case0", "case2"]
    assert not set(plan["val_cases"]) & {"case0", "case2"}


def test_labels_of_trusted_cases_are_never_corrected(begun: Path) -> None:
    """`labels.zarr` holds the original labels of the trusted cases, and changed ones of the other."""
    changed = changed_voxels(begun)
    assert {case for case, count in changed.items() if not count} == {"case0", "case2"}
    assert len(changed) == 3
    assert open_store(begun / "labels.zarr").case_record("case0")["status"] == "unchanged"


def test_an_epoch_shows_their_slices_again(started: tuple[Path, set[int]]) -> None:
    """Five slices of three training cases, ten of them twice: 25 in batches of 2."""
    assert started[1] == {13}


def test_a_resumed_run_trusts_the_same_cases(begun: Path, folders: Folders, tmp_path: Path) -> None:
    """The list is read from the plan: the finished run's labels come out again, and another list is refused."""
    before = changed_voxels(begun)
    train(resume=begun, device="cpu")
    assert changed_voxels(begun) == before
    with pytest.raises(ConfigError, match="trusted is given"):
        train(resume=begun, device="cpu", trusted=["case1"])


def test_a_trusted_case_that_is_not_there_is_refused(folders: Folders, tmp_path: Path) -> None:
    """The file and the id are named; no run is begun."""
    listed = tmp_path / "trusted.txt"
    listed.write_text("case0\ncase9\n")
    with pytest.raises(ConfigError, match=r"trusted\.txt: names 'case9', which is no usable case"):
        train(folders.masks, out=tmp_path / "runs", set=EAGER, epochs=1, device="cpu", trusted=listed)
    assert not (tmp_path / "runs").exists()
