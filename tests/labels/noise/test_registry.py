"""The registry: what every family promises, and how names and options are refused."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from adelecli.errors import ConfigError
from adelecli.labels.classes import IGNORE
from adelecli.labels.noise.registry import FAMILIES, corrupt_labels, find_family


def make_case(seed: int, shape: tuple[int, int, int] = (6, 35, 50)) -> np.ndarray:
    """Three blobby classes with a strip of ignored voxels."""
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.normal(size=(3, *shape)), (0, 0, 4, 4))
    labels = np.where(fields.max(0) > 0.12, fields.argmax(0) + 1, 0).astype(np.uint8)
    labels[:, :2, 10:20] = IGNORE
    return labels


FAMILY = pytest.mark.parametrize("family", FAMILIES)


def test_the_seven_families_are_there() -> None:
    """Names are part of the interface."""
    assert set(FAMILIES) == {"adele-de", "affine", "boundary", "omit", "swap", "annotator", "weak"}


@FAMILY
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_family_is_seeded_pure_and_leaves_ignore_alone(family: str, seed: int) -> None:
    """Same generator state, same result; the input stays; 255 neither moves nor spreads; no new label appears."""
    labels = make_case(seed % 7)
    before = labels.copy()
    first = corrupt_labels(labels, family, np.random.default_rng(seed), n_classes=4)
    second = corrupt_labels(labels, family, np.random.default_rng(seed), n_classes=4)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(first == IGNORE, labels == IGNORE)
    assert set(np.unique(first)) <= {0, 1, 2, 3, IGNORE}
    assert first.dtype == np.uint8
    assert not np.shares_memory(first, labels)


@FAMILY
def test_every_family_damages_and_differs_with_the_seed(family: str) -> None:
    """With share 1 something changes, and ten seeds do not all give the same."""
    results = [
        corrupt_labels(make_case(0), family, np.random.default_rng(seed), n_classes=4, share=0.9) for seed in range(10)
    ]
    assert any((result != make_case(0)).any() for result in results)
    assert len({result.tobytes() for result in results}) > 1


@FAMILY
def test_share_zero_and_empty_cases_change_nothing(family: str) -> None:
    """No share, no noise; and nothing comes of a case without foreground."""
    if family != "omit":  # for omit the share is that of the classes; test_omit.py has it
        same = corrupt_labels(make_case(0), family, np.random.default_rng(0), n_classes=4, share=0.0)
        np.testing.assert_array_equal(same, make_case(0))
    empty = np.zeros((3, 8, 9), np.uint8)
    empty[1, 2:4] = IGNORE
    np.testing.assert_array_equal(corrupt_labels(empty, family, np.random.default_rng(0), n_classes=4), empty)


@FAMILY
def test_only_the_classes_of_the_order_are_damaged(family: str) -> None:
    """Class 3 is not in the order: its voxels stay, and no voxel joins it."""
    labels = make_case(1)
    for seed in range(5):
        damaged = corrupt_labels(labels, family, np.random.default_rng(seed), n_classes=4, order=(2, 1))
        np.testing.assert_array_equal(damaged == 3, labels == 3)


@FAMILY
def test_every_family_can_err_alike_throughout_a_case(family: str) -> None:
    """Equal slices stay equal when the noise is coherent: one draw for the case."""
    labels = np.stack([make_case(2)[3]] * 5)
    for seed in range(5):
        damaged = corrupt_labels(labels, family, np.random.default_rng(seed), n_classes=4, coherent=True)
        assert (damaged == damaged[:1]).all()


@FAMILY
def test_slices_of_any_size_pass(family: str) -> None:
    """A single pixel, a single row and a full slice are no special case."""
    for shape in ((1, 1, 1), (2, 1, 9), (2, 7, 1)):
        damaged = corrupt_labels(np.ones(shape, np.uint8), family, np.random.default_rng(0), n_classes=2)
        assert damaged.shape == shape


def test_none_stands_for_the_default() -> None:
    """An option that a command line did not set is the family's own."""
    first = corrupt_labels(make_case(2), "adele-de", np.random.default_rng(3), n_classes=4, k=None, share=None)
    second = corrupt_labels(make_case(2), "adele-de", np.random.default_rng(3), n_classes=4)
    np.testing.assert_array_equal(first, second)


def test_families_tell_their_options_with_defaults() -> None:
    """What a command line may offer is read from the family itself."""
    assert dict(FAMILIES["omit"].options) == {"share": 0.3, "coherent": False}
    assert FAMILIES["adele-de"].options["k"] == (2, 3, 4)


@pytest.mark.parametrize(
    ("family", "options", "fault"),
    [
        ("adele", {}, "unknown noise 'adele'; choose from adele-de, affine"),
        ("omit", {"k": (1, 2)}, "noise omit has no option k; choose from share, coherent"),
        ("omit", {"share": "half"}, "share is 'half'; give it like its default, 0.3"),
        ("omit", {"coherent": 1}, "coherent is 1; give it like its default, False"),
        ("boundary", {"steps": True}, "steps is True"),
        ("adele-de", {"k": 3}, "k is 3; give it like its default"),
        ("weak", {"order": (1, 1)}, "repeats a class"),
        ("weak", {"order": (0, 1)}, "leaves 1..3"),
        ("weak", {"order": (4,)}, "leaves 1..3"),
    ],
)
def test_wrong_names_options_and_orders_are_refused(family: str, options: dict[str, object], fault: str) -> None:
    """Nothing is ignored silently."""
    with pytest.raises(ConfigError) as caught:
        corrupt_labels(make_case(0), family, np.random.default_rng(0), n_classes=4, **options)  # type: ignore[arg-type]
    assert fault in str(caught.value)


def test_find_family_and_shape_of_labels() -> None:
    """A family is found by name; labels are volumes."""
    assert find_family("swap") is FAMILIES["swap"]
    with pytest.raises(ValueError, match="2 axes"):
        corrupt_labels(np.ones((2, 2), np.uint8), "swap", np.random.default_rng(0), n_classes=2)


@FAMILY
def test_families_are_fast(family: str) -> None:
    """At least 100 slices of 35 x 50 a second of processor time, so that 6,500 take about a minute at worst."""
    labels = make_case(0, (100, 35, 50))
    start = time.process_time()
    corrupt_labels(labels, family, np.random.default_rng(0), n_classes=4)
    assert time.process_time() - start < 1.0
