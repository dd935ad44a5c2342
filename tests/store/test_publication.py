"""Publishing one case: whole or not at all."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adelecli.errors import CaseError, OutputError
from adelecli.store import arrays, files
from adelecli.store.arrays import hash_array
from adelecli.store.collection import Store, create_store
from adelecli.store.documents import read_document
from adelecli.store.frame import Frame
from adelecli.store.journal import read_entries
from adelecli.store.layout import CHANGE_CLASSES, journal_path, plan_chunks, plan_strides, shard_keys
from adelecli.store.publication import publish_case
from adelecli.store.verification import verify_store

CLASSES = ({"id": 7, "name": "liver", "colour": (200, 30, 30)},)


def test_the_case_vouches_for_its_labels(store: Store, publish, labels: np.ndarray) -> None:
    """The hash in the case, in the label image and of the array that was given are one."""
    corrected = publish(store, "case", labels)
    case = read_document(store.path / "case")["attributes"]["adele"]
    image = read_document(store.path / "case/labels/corrected")["attributes"]["adele"]
    assert case["status"] == "complete"
    assert case["labels"]["corrected"] == image["sha256_zyx_c_order"] == hash_array(corrected)


def test_an_error_in_the_body_leaves_no_trace(store: Store, frame: Frame, labels: np.ndarray, tmp_path: Path) -> None:
    """The caller's exception passes unchanged; neither case nor draft remains."""
    with pytest.raises(KeyboardInterrupt), publish_case(store, "case") as draft:  # noqa: PT012  # the body is the point
        draft.write_labels("original", labels, frame, CLASSES)
        raise KeyboardInterrupt
    assert store.case_ids() == ()
    assert {path.name for path in tmp_path.iterdir()} == {"cleaned.zarr"}


def test_a_case_is_invisible_until_it_is_whole(store: Store, frame: Frame, labels: np.ndarray) -> None:
    """While it is drafted, the store holds nothing of it, not even strangers for other readers to warn about."""
    with publish_case(store, "case") as draft:
        draft.write_labels("original", labels, frame, CLASSES)
        draft.set_record({})
        assert [path.name for path in store.path.iterdir()] == ["zarr.json"]
    assert store.case_ids() == ("case",)


def test_replacing_is_one_step_and_leaves_a_line(store: Store, publish, labels: np.ndarray, tmp_path: Path) -> None:
    """A second publication takes the first one's place; the journal names both seals."""
    publish(store, "case", labels)
    corrected = publish(store, "case", labels[:, ::-1])
    assert np.array_equal(store.read("case"), corrected)
    first, second = read_entries(journal_path(store.path), store.id)
    assert (first.event, second.event, second.replaces) == ("published", "replaced", first.sha256)
    assert verify_store(store.path) == ()
    assert {path.name for path in tmp_path.iterdir()} == {"cleaned.zarr", "cleaned.zarr.journal.jsonl"}


def test_a_damaged_case_can_be_replaced(store: Store, publish, labels: np.ndarray) -> None:
    """Resume publishes a damaged case again, whatever is left of it."""
    publish(store, "case", labels)
    (store.path / "case/zarr.json").unlink()
    publish(store, "case", labels)
    assert store.is_complete("case")


def test_who_must_not_replace_is_told(store: Store, publish, labels: np.ndarray) -> None:
    """With ``replace=False`` the one who comes second changes nothing."""
    corrected = publish(store, "case", labels)
    with pytest.raises(OutputError, match="was published already"):
        publish(store, "case", labels[:, ::-1], replace=False)
    assert np.array_equal(store.read("case"), corrected)


def test_a_strangers_folder_is_never_replaced(store: Store, publish, labels: np.ndarray) -> None:
    """A folder of files, or a file, with a case's name stays."""
    (store.path / "case").mkdir()
    (store.path / "case" / "patient.nii").write_text("precious")
    (store.path / "other").write_text("precious")
    with pytest.raises(OutputError, match=r"patient\.nii"):
        publish(store, "case", labels)
    with pytest.raises(OutputError, match="not ours"):
        publish(store, "other", labels)
    assert (store.path / "case/patient.nii").read_text() == (store.path / "other").read_text() == "precious"


def test_case_ids_differ_by_more_than_case(store: Store, publish, labels: np.ndarray) -> None:
    """A store must survive a file system that does not tell A from a."""
    publish(store, "Case", labels[:2])
    with pytest.raises(CaseError, match="only in upper and lower case"):
        publish(store, "case", labels[:2])
    with pytest.raises(CaseError, match="cannot be a case id"):
        publish(store, "../case", labels[:2])


def test_a_disk_that_lies_is_caught_before_the_rename(
    store: Store, publish, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read back differs from what was given: nothing is published."""
    write = arrays.write_volume

    def corrupt(folder: Path, array: np.ndarray, attributes: dict | None = None, **shard: object) -> None:
        damaged = array.copy()
        damaged[-1, -1, -1] ^= 1
        write(folder, damaged, attributes, **shard)

    monkeypatch.setattr(arrays, "write_volume", corrupt)
    with pytest.raises(OutputError, match=r"could not be read back as written \(labels/original/0 holds other values"):
        publish(store, "case", labels)
    assert store.case_ids() == ()


@pytest.mark.parametrize("place", ["write_volume", "write_bytes"])
def test_a_full_disk_is_an_output_error(
    store: Store, publish, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """ENOSPC while writing: one line, no case, no draft."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(arrays, place, refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        publish(store, "case", labels)
    assert [path.name for path in store.path.parent.iterdir()] == ["cleaned.zarr"]


def test_everything_is_synced_before_the_rename(
    store: Store, publish, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename may reach the disk before the content does, unless the content was forced there first."""
    events: list[str] = []
    sync, move = files.sync_tree, files.move_into_place
    monkeypatch.setattr(files, "sync_tree", lambda folder: (events.append("sync"), sync(folder)))
    monkeypatch.setattr(files, "move_into_place", lambda *a, **k: (events.append("move"), move(*a, **k))[1])
    publish(store, "case", labels[:2])
    assert events == ["sync", "move"]


def test_misuse_is_named(store: Store, frame: Frame, labels: np.ndarray) -> None:
    """Floats, flat arrays, other shapes, second names and missing parts are mistakes of the caller."""
    small = labels[:2, :9, :9]

    def attempt(*writes: tuple[str, np.ndarray], record: bool = True) -> None:
        with publish_case(store, "case") as draft:
            for name, array in writes:
                draft.write_labels(name, array, frame, CLASSES)
            if record:
                draft.set_record({})

    for writes, fact in (
        ([("a", small.astype(np.float32))], "must be integers"),
        ([("a", small.astype(bool))], "must be integers"),
        ([("a", small[0])], "must be a volume"),
        ([("a", small[:0])], "must be a volume"),
        ([("a", small), ("b", small[:1])], "has shape"),
        ([("a", small), ("a", small)], "already"),
        ([], "needs labels and a record"),
    ):
        with pytest.raises(ValueError, match=fact):
            attempt(*writes)
    with pytest.raises(ValueError, match="needs labels and a record"):
        attempt(("a", small), record=False)
    with pytest.raises(CaseError, match="cannot be a name"):
        attempt(("../a", small))


def test_maps_are_rounded_to_255_steps_and_must_lie_in_0_to_1(store: Store, frame: Frame, labels: np.ndarray) -> None:
    """0.5 becomes 128, 1 becomes 255; NaN and 1.1 are named with their slice."""
    small = labels[:2, :1, :3]
    with publish_case(store, "case") as draft:
        draft.write_labels("corrected", small, frame, CLASSES)
        draft.write_map("confidence", np.array([[[0, 0.5, 1]]] * 2))
        draft.write_map("given", small)
        draft.set_record({})
    assert store.read("case", "confidence")[1, 0].tolist() == [0, 128, 255]
    assert np.array_equal(store.read("case", "given"), small)
    for value in (1.1, -0.1, np.nan):
        with pytest.raises(CaseError, match="slice 1 reaches"), publish_case(store, "bad") as draft:
            draft.write_map("confidence", np.array([[[0.0]], [[value]]]))


def test_awkward_inputs_keep_their_values(store: Store, frame: Frame) -> None:
    """Big-endian, Fortran-ordered, single-voxel, many-shard and all-background volumes come back equal."""
    rng = np.random.default_rng(0)
    volumes = {
        "big-endian": rng.integers(0, 900, (3, 4, 5)).astype(">u2"),
        "fortran": np.asfortranarray(rng.integers(0, 9, (30, 40, 50), np.uint8)),
        "voxel": np.ones((1, 1, 1), np.uint8),
        "shards": rng.integers(0, 2, (140, 20, 600), np.uint8),
        "background": np.zeros((2, 3, 4), np.uint8),
        "int32": rng.integers(0, 2**20, (3, 3, 3), np.int32),
    }
    for case, volume in volumes.items():
        with publish_case(store, case) as draft:
            draft.write_labels("corrected", volume, replace(frame, header=None), CLASSES)
            draft.set_record({})
        assert np.array_equal(store.read(case), volume)
        assert store.read(case).dtype == volume.dtype.newbyteorder("=")
    assert verify_store(store.path) == ()


def test_real_masks_come_back_with_their_header(tmp_path: Path) -> None:
    """Hippocampus masks of the Medical Segmentation Decathlon: values and the raw header, bit for bit."""
    nibabel = pytest.importorskip("nibabel")
    folder = Path(__file__).parents[2] / "../shared/data/msd_hippocampus_3d"
    masks = sorted(folder.glob("masks/*.nii.gz"))[:2]
    if not masks:
        pytest.skip("the real data set is not here")
    store = create_store(tmp_path / "real.zarr", run={})
    for path in masks:
        mask = nibabel.load(path)
        labels = np.asarray(mask.dataobj).astype(np.uint8).T
        affine = tuple(tuple(map(float, row)) for row in mask.affine)
        frame = Frame(affine, tuple(map(float, mask.header.get_zooms()[::-1])), mask.header.binaryblock)
        case = path.name.removesuffix(".nii.gz")
        with publish_case(store, case) as draft:
            draft.write_labels("corrected", labels, frame, CLASSES)
            draft.set_record({})
        assert np.array_equal(store.read(case), labels)
        assert store.frame(case).header == mask.header.binaryblock
    assert verify_store(store.path) == ()


def test_a_case_of_the_usual_size_is_under_twenty_files(store: Store, frame: Frame) -> None:
    """Original, corrected and change map of 400 x 512 x 512 voxels: as many files as of this thin one, which is as deep."""
    thin, whole = np.zeros((400, 2, 300), np.uint8), (400, 512, 512)
    for a, b in zip(plan_strides(thin.shape, (1, 1, 1)), plan_strides(whole, (1, 1, 1)), strict=True):
        sizes = [
            tuple(-(-n // f) for n, f in zip(shape, step, strict=True)) for shape, step in ((thin.shape, a), (whole, b))
        ]
        assert [len(shard_keys(size, plan_chunks(size)[1])) for size in sizes] == [1, 1]
    with publish_case(store, "case") as draft:
        for name in ("original", "corrected", "change"):
            draft.write_labels(name, thin, replace(frame, spacing_mm=(1, 1, 1)), CHANGE_CLASSES)
        draft.set_record({})
    files = [path for path in (store.path / "case").rglob("*") if path.is_file()]
    assert len(files) == 2 + 3 * (1 + 2 * 2) + 2  # two groups; a group and two levels each; the raw header once
    assert verify_store(store.path) == ()
