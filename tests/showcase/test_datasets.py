"""`demo --only-data` leaves a data set to try the commands on, and the model of the package knows the hippocampus in it."""

from __future__ import annotations

import numpy as np
import pytest

import adelecli
from adelecli.errors import ConfigError
from adelecli.showcase.datasets import DATA_SETS
from adelecli.showcase.hippocampus import SHAPE, make_hippocampus


def test_a_hippocampus_is_a_function_of_its_two_numbers():
    """The same twice, another one with another seed or index; types and classes are as promised."""
    image, labels = make_hippocampus(0, 1)
    again = make_hippocampus(0, 1)
    assert np.array_equal(image, again[0])
    assert np.array_equal(labels, again[1])
    assert (image.dtype, labels.dtype, image.shape, labels.shape) == (np.float32, np.uint8, SHAPE, SHAPE)
    for other in (make_hippocampus(0, 2), make_hippocampus(1, 1)):
        assert np.count_nonzero(other[1] != labels) > 200


def test_the_anterior_part_lies_in_front():
    """Both parts are there, of like size, the anterior one nearer to the face and lower."""
    for index in range(3):
        _, labels = make_hippocampus(0, index)
        (z1, y1, _), (z2, y2, _) = (np.argwhere(labels == part).mean(axis=0) for part in (1, 2))
        assert y1 > y2 + 10
        assert z1 < z2 - 5
        assert min(np.count_nonzero(labels == part) for part in (1, 2)) > 600


@pytest.mark.parametrize("kind", DATA_SETS)
def test_data_alone_are_laid_out_like_a_users(tmp_path, kind):
    """Images, spoilt masks, the truth; the noise is measured and real; nothing else is made."""
    result = adelecli.demo(tmp_path / "set", only_data=kind, cases=2)
    assert {path.name for path in (tmp_path / "set").iterdir()} >= {"images", "masks", "truth", "labels.json"}
    assert not (tmp_path / "set" / "runs").exists()
    assert (result.labels, result.methods, result.train_cases) == ((), (), 2)
    evaluation = adelecli.evaluate(tmp_path / "set" / "masks", tmp_path / "set" / "truth")
    assert 0.4 < evaluation.iou < 0.85
    assert 0.1 < result.noise["label_error"] < 0.6


def test_the_model_of_the_package_corrects_the_spoilt_hippocampus(tmp_path):
    """More voxels are mended than broken: what the first steps show."""
    place = tmp_path / "set"
    adelecli.demo(place, only_data="hippocampus", cases=2)
    adelecli.correct(place / "masks", out=place / "cleaned.zarr", model="hippocampus", device="cpu")
    rate = adelecli.evaluate(place / "cleaned.zarr", place / "truth").label_error
    assert rate.fixed > 1.5 * rate.broken
    assert rate.error_after < 0.85 * rate.error_before


def test_what_data_alone_cannot_mean_is_refused(tmp_path):
    """An unknown data set, and options of the trainings."""
    with pytest.raises(ConfigError, match="chest, hippocampus"):
        adelecli.demo(tmp_path / "set", only_data="liver")
    with pytest.raises(ConfigError, match="`epochs`"):
        adelecli.demo(tmp_path / "set", only_data="chest", epochs=3)
    assert not (tmp_path / "set").exists()
