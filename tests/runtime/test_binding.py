"""Bound buffers, on the CPU through the very code that a GPU uses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny_models import make_model

from adelecli.errors import CaseError
from adelecli.runtime.binding import MAX_FORMS
from adelecli.runtime.models import open_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same model with plain and with bound runs."""
    path = make_model(tmp_path_factory.mktemp("weights") / "tiny.onnx")
    return open_model(path, "cpu"), open_model(path, "cpu", bind=True)


def make_image(size: int, count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 2.5, (count, 1, size, size + 1)).astype(np.float32)


def test_bound_runs_give_the_bits_of_plain_runs(models):
    """All outputs, for sizes that change and come back, and for more sizes than are kept."""
    plain, bound = models
    for size in [3, 5, 3, *range(1, MAX_FORMS + 3), 3]:
        image = make_image(size, seed=size)
        for expected, found in zip(plain.run(image), bound.run(image), strict=True):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
        np.testing.assert_array_equal(bound.run_probabilities(image), plain.run_probabilities(image))
    assert len(bound._buffers._kept) <= 4 * MAX_FORMS


def test_an_answer_is_the_callers_own(models):
    """The next run of the same size does not change what the last one gave."""
    _, bound = models
    first = bound.run(make_image(4, seed=1))
    kept = [array.copy() for array in first]
    bound.run(make_image(4, seed=2))
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_buffers_are_reused(models):
    """The same size again allocates nothing."""
    _, bound = models
    bound.run(make_image(6))
    before = {key: id(value) for key, value in bound._buffers._kept.items()}
    bound.run(make_image(6, seed=3))
    assert {key: id(value) for key, value in bound._buffers._kept.items()} == before


def test_threads_do_not_share_buffers(models):
    """Four threads at once give the answers of one after another."""
    plain, bound = models
    images = [make_image(7, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda image: bound.run(image)[0], images))
    for image, labels in zip(images, found, strict=True):
        np.testing.assert_array_equal(labels, plain.run(image)[0])


def test_a_wrong_form_is_refused_as_by_a_plain_run(models):
    """Two channels into a model of one."""
    with pytest.raises(CaseError, match="the model wants"):
        models[1].run(np.zeros((1, 2, 3, 3), np.float32))
