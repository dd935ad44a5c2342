"""Streaming a volume: exact labels, in order, on the volume's own grid, each slice for itself."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tiny_models import compute_probabilities, make_contract, make_model

from adelecli.errors import CaseError
from adelecli.runtime import segmentation
from adelecli.runtime.contract import Grid, Intensity
from adelecli.runtime.devices import Device
from adelecli.runtime.models import open_model
from adelecli.runtime.preparation import resize_image, restore_axis
from adelecli.runtime.segmentation import segment_volume

SPACING = (3.0, 1.0, 1.0)


@pytest.fixture
def make(tmp_path):
    """Open a tiny model whose contract has the given changes."""
    return lambda **changes: open_model(make_model(tmp_path / "m.onnx", make_contract(**changes)), "cpu")


def make_labels(shape: tuple[int, ...] = (4, 6, 9), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.int16)


def collect(model, image, spacing=SPACING) -> tuple[np.ndarray, np.ndarray]:
    """The whole volume's labels and confidences, on its canonical grid."""
    indices, labels, confidences, own, sure = zip(*segment_volume(model, image, spacing), strict=True)
    assert all(a is b for a, b in zip((*labels, *confidences), (*own, *sure), strict=True))
    assert list(indices) == list(range(len(indices)))
    axis = model.contract.grid.axis
    return restore_axis(np.stack(labels), axis), restore_axis(np.stack(confidences), axis)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_intensities_that_are_classes_come_back_exactly(make, axis):
    """Cut along any axis, each voxel gets the class that its intensity is, with the formula's confidence."""
    labels = make_labels()
    found, confidence = collect(make(grid=Grid(axis=axis)), labels[None])
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_allclose(confidence, compute_probabilities(labels, [0, 1, 2]).max(-1), atol=1e-6)
    assert (found.dtype, confidence.dtype) == (np.uint8, np.float32)


def test_intensities_are_scaled_as_the_contract_says(make):
    """A window in the file's own units: (value - 100) / 50 is the class."""
    model = make(channels=(Intensity(kind="fixed", clip=(100.0, 200.0), mean=100.0, std=50.0),))
    image = np.array([[[[-1000, 110, 140, 155, 190, 30000]]]], np.int16)
    assert collect(model, image)[0].tolist() == [[[0, 0, 1, 1, 2, 2]]]


@pytest.mark.parametrize("dtype", [">i2", ">f4", "<f8", "u1"])
def test_the_type_of_the_volume_does_not_matter(make, dtype):
    """The file's own type and byte order need no conversion before."""
    labels = make_labels()
    np.testing.assert_array_equal(collect(make(), labels[None].astype(dtype))[0], labels)


def test_results_do_not_depend_on_how_slices_are_batched(make, monkeypatch):
    """One slice per run, all in one, or a rest that does not fill a run: the same bits."""
    model = make(grid=Grid(max_size=5))
    image = np.random.default_rng(0).normal(1, 1, (1, 7, 8, 6))
    runs = []
    for pixels in (1, 60, 1 << 20):
        monkeypatch.setattr(segmentation, "BATCH_PIXELS", pixels)
        runs.append(collect(model, image))
    for label, confidence in runs[1:]:
        np.testing.assert_array_equal(label, runs[0][0])
        np.testing.assert_array_equal(confidence, runs[0][1])


def test_a_slice_does_not_depend_on_the_others(make):
    """With fixed constants a volume's part gives that part's results, to the bit."""
    model = make()
    image = np.random.default_rng(0).normal(1, 1, (1, 6, 8, 7)).astype(np.float32)
    whole, part = collect(model, image), collect(model, image[:, 2:4])
    np.testing.assert_array_equal(part[0], whole[0][2:4])
    np.testing.assert_array_equal(part[1], whole[1][2:4])


def test_volume_constants_are_the_volumes_and_not_the_slices(make):
    """An all-dark slice of a bright volume stays dark: its own constants would call it average."""
    model = make(channels=(Intensity(kind="volume", percentiles=(0.0, 100.0)),))
    image = np.zeros((1, 2, 4, 4), np.float32)
    image[0, 1] = 100
    assert collect(model, image)[0].tolist() == [[[0] * 4] * 4, [[1] * 4] * 4]


def test_a_resampled_volume_comes_back_on_its_own_grid(make):
    """Probabilities are computed at the contract's spacing and brought back, then the best class is taken."""
    model = make(grid=Grid(spacing=(2.0, 1.5)))
    image = np.random.default_rng(0).normal(1, 1, (1, 3, 10, 12)).astype(np.float32)
    found, confidence = collect(model, image)
    for z in range(3):
        small = resize_image(image[0, z], (5, 8))
        back = resize_image(np.moveaxis(compute_probabilities(small, [0, 1, 2]), -1, 0), (10, 12))
        np.testing.assert_allclose(confidence[z], back.max(axis=0), atol=1e-5)
        top = np.sort(back, axis=0)
        sure = top[-1] - top[-2] > 1e-4
        np.testing.assert_array_equal(found[z][sure], back.argmax(axis=0)[sure])


@pytest.mark.parametrize("value", [0, 1, 2])
def test_a_constant_volume_stays_constant_when_resampled(make, value):
    """Resampling there and back invents no class."""
    model = make(grid=Grid(max_size=7))
    found, confidence = collect(model, np.full((1, 2, 19, 11), value, np.int16))
    assert (found == value).all()
    assert np.unique(confidence).size == 1


def test_the_spacing_of_the_cut_planes_counts(make):
    """Cut along x, rows are z and columns are y."""
    model = make(grid=Grid(axis="x", spacing=(1.0, 1.0)))
    sizes = []
    run = type(model).run_probabilities

    class Spy(type(model)):
        def run_probabilities(self, image):
            sizes.append(image.shape)
            return run(self, image)

    spy = Spy(*(getattr(model, name) for name in model.__dataclass_fields__))
    found, _ = collect(spy, make_labels((4, 6, 3))[None], (3.0, 0.5, 1.0))
    assert found.shape == (4, 6, 3)
    assert sizes == [(3, 1, 12, 3)]


def test_a_raster_is_one_slice(make):
    """A picture is a volume with one slice and no spacing that matters."""
    labels = make_labels((1, 5, 8))
    np.testing.assert_array_equal(collect(make(), labels[None], (1.0, 1.0, 1.0))[0], labels)


def test_a_value_that_is_not_finite_is_told_with_its_slice(make):
    """NaN must not become a label."""
    image = make_labels().astype(np.float32)[None]
    image[0, 2, 1, 1] = np.nan
    stream = segment_volume(make(), image, SPACING)
    assert [index for index, *_ in (next(stream), next(stream))] == [0, 1]
    with pytest.raises(CaseError, match="the prediction of slice 2 is not finite"):
        next(stream)


def test_a_wrong_number_of_channels_is_told_at_once(make):
    """Before the first slice is asked for."""
    with pytest.raises(CaseError, match=r"has 2 channel\(s\), the model was made for 1"):
        segment_volume(make(), np.zeros((2, 1, 4, 4)), SPACING)


def test_the_image_is_not_changed(make):
    """Streaming reads; it writes nothing back."""
    image = make_labels()[None].astype(np.float32)
    image.flags.writeable = False
    collect(make(), image)


@pytest.mark.parametrize("numbers", [[], [3], [0, 2, 5], range(6)])
@pytest.mark.parametrize("kind", ["fixed", "volume"])
def test_chosen_slices_are_those_of_the_whole_volume(make, numbers, kind):
    """To the bit, with the numbers that they have in the volume: its constants are not those of the chosen slices."""
    model = make(channels=(Intensity(kind=kind),))
    image = np.random.default_rng(0).normal(1, 1, (1, 6, 8, 7)).astype(np.float32)
    labels, confidences = collect(model, image)
    found = list(segment_volume(model, image, SPACING, numbers))
    assert [number for number, *_ in found] == list(numbers)
    for number, label, confidence, *_ in found:
        np.testing.assert_array_equal(label, labels[number])
        np.testing.assert_array_equal(confidence, confidences[number])


def test_a_gpu_gets_runs_of_one_shape(make, monkeypatch):
    """The last run is filled up, and what fills it is not delivered."""
    monkeypatch.setattr(segmentation, "GPU_BATCH_PIXELS", 3 * 30)
    model = make()
    image = np.random.default_rng(0).normal(1, 1, (1, 7, 5, 6)).astype(np.float32)
    expected, shapes = collect(model, image), []

    class Spy(type(model)):
        def run(self, batch):
            shapes.append(batch.shape)
            return super().run(batch)

    fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
    spy = Spy(**(fields | {"device": Device("cuda:0", "cuda")}))
    np.testing.assert_array_equal(collect(spy, image)[0], expected[0])
    assert shapes == [(3, 1, 5, 6)] * 3


@pytest.mark.parametrize("size", [(5, 7), (11, 13), (3, 20)])
def test_classes_chosen_plane_by_plane_are_those_of_all_at_once(size):
    """The first of equal classes, as `argmax` says; a NaN comes out in the confidence."""
    probabilities = np.random.default_rng(0).integers(0, 4, (5, 5, 7)).astype(np.float32) / 4
    whole = resize_image(probabilities, size)
    label, confidence = segmentation.choose_classes(probabilities, size)
    np.testing.assert_array_equal(label, whole.argmax(axis=0))
    np.testing.assert_array_equal(confidence, whole.max(axis=0))
    probabilities[2, 1, 1] = np.nan
    assert np.isnan(segmentation.choose_classes(probabilities, (5, 7))[1]).any()


@pytest.mark.parametrize("judged", [False, True])
def test_runs_beside_each_other_give_the_same_answers_in_the_same_order(make, judged):
    """Any number of lanes, through resampling and in batches that do not come out even."""
    image = np.random.default_rng(3).uniform(0, 2, (1, 21, 150, 90)).astype(np.float32)
    model = make(grid=Grid(spacing=(2.0, 2.0)))

    def judge(number, probabilities):
        return probabilities.argmin(0).astype(np.uint8), probabilities.min(0) + np.float32(number)

    found = [list(segment_volume(model, image, SPACING, None, judge if judged else None, lanes)) for lanes in (1, 2, 5)]
    assert [number for number, *_ in found[0]] == list(range(21))
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            assert first[0] == other[0]
            for ours, theirs in zip(first[1:], other[1:], strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("most", [0, 1 << 24])
def test_a_judge_sees_each_slice_once_in_order_whether_or_not_the_network_runs_ahead(make, monkeypatch, most):
    """In the thread that asks, with the probabilities that the plain loop would hand over; what it raises comes out."""
    monkeypatch.setattr(segmentation, "AHEAD_VALUES", most)
    labels, seen = make_labels((9, 6, 9)), []

    def judge(number, probabilities):
        seen.append((number, threading.current_thread() is threading.main_thread()))
        if number == 7:
            raise ZeroDivisionError
        return probabilities.argmax(0).astype(np.uint8), probabilities.min(0)

    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(segment_volume(make(), labels[None], SPACING, judge=judge))
    assert seen == [(number, True) for number in range(8)]
    assert len(found) == 7
    for number, label, confidence, own, sure in found:
        np.testing.assert_array_equal(label, labels[number])
        expected = compute_probabilities(labels[number], [0, 1, 2])
        np.testing.assert_allclose(confidence, expected.min(-1), atol=1e-6)
        np.testing.assert_array_equal(own, labels[number])
        np.testing.assert_allclose(sure, expected.max(-1), atol=1e-6)
