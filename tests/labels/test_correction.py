"""The correction rule: which pixels change, and above all which never do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.labels.classes import IGNORE
from adelecli.labels.correction import (
    Change,
    Rule,
    correct_labels,
    count_changes,
    find_present,
    guard_collapse,
    may_change,
)

# the exact example of the specification (algorithm.md, section 4)
LABELS = np.array([[0, 1, 2, 3, 255, 0, 0, 1]], np.uint8)
PREDICTION = np.array([[1, 0, 1, 1, 1, 2, 4, 2]], np.uint8)
CONFIDENCE = np.full(LABELS.shape, 0.9, np.float32)
TAU = (0.8,) * 5


def correct_example(rule: Rule, labels: np.ndarray = LABELS) -> list[int]:
    return correct_labels(labels, PREDICTION, CONFIDENCE, rule)[0].tolist()


def test_only_class_one_triggered() -> None:
    """U = {1}: only background and class 1 take part."""
    assert correct_example(Rule(TAU, frozenset({1}))) == [1, 0, 2, 3, 255, 0, 0, 1]


def test_classes_one_and_two_triggered() -> None:
    """U = {1, 2}: class 3 and ignore still stay, and class 4 is in no label of the slice."""
    assert correct_example(Rule(TAU, frozenset({1, 2}))) == [1, 0, 1, 3, 255, 2, 0, 2]


def test_nothing_triggered_changes_nothing() -> None:
    """Background is neither source nor target before any class has triggered."""
    assert correct_example(Rule(TAU, frozenset(), constraint="none", fill_ignore=True)) == LABELS[0].tolist()


def test_without_constraint_a_class_may_appear() -> None:
    """Class 4 is in no label, so it appears only under ``none``."""
    rule = Rule(TAU, frozenset({1, 2, 4}))
    assert correct_example(rule)[6] == 0
    assert correct_example(replace(rule, constraint="volume"))[6] == 0
    assert correct_example(replace(rule, constraint="none"))[6] == 4


def test_ignored_pixels_change_only_when_asked_for() -> None:
    """``fill_ignore`` is the only way to a pixel marked 255."""
    rule = Rule(TAU, frozenset({1}))
    assert correct_example(rule)[4] == IGNORE
    assert correct_example(replace(rule, fill_ignore=True))[4] == 1


def test_any_source_lets_every_label_take_an_allowed_prediction() -> None:
    """U = {1}: pixels of classes 2 and 3 may go to {0} and U too, never to others, ignore and protected ones not at all."""
    rule = Rule(TAU, frozenset({1}), any_source=True)
    assert correct_example(rule) == [1, 0, 1, 1, 255, 0, 0, 1]
    assert correct_example(replace(rule, fill_ignore=True)) == [1, 0, 1, 1, 1, 0, 0, 1]
    assert correct_example(replace(rule, protect=frozenset({3}))) == [1, 0, 1, 3, 255, 0, 0, 1]


def test_protected_classes_neither_lose_nor_gain() -> None:
    """Protecting class 2 keeps its pixel and refuses it the two that are predicted as 2."""
    assert correct_example(Rule(TAU, frozenset({1, 2}), protect=frozenset({2}))) == [1, 0, 2, 3, 255, 0, 0, 1]


def test_protected_background_leaves_changes_between_classes() -> None:
    """With background protected the outline of the foreground stands; classes inside it may still change."""
    assert correct_example(Rule(TAU, frozenset({1, 2}), protect=frozenset({0}))) == [0, 1, 1, 3, 255, 0, 0, 2]


def test_confidence_must_exceed_tau_of_the_predicted_class() -> None:
    """Exactly tau is not enough, in float32 too; the predicted class's tau counts; NaN changes nothing."""
    labels = np.array([[0, 0, 1, 1, 0, 2]], np.uint8)
    prediction = np.array([[1, 1, 0, 0, 1, 1]], np.uint8)
    confidence = np.array([[0.8, 0.81, 0.5, 0.61, np.nan, 0.81]], np.float32)
    rule = Rule((0.6, 0.8, 0.99), frozenset({1, 2}))
    assert correct_labels(labels, prediction, confidence, rule).tolist() == [[0, 1, 1, 0, 0, 1]]


def test_slice_constraint_looks_at_each_slice() -> None:
    """A class of the neighbouring slice may enter under ``volume`` and not under ``slice``."""
    labels = np.array([[[1, 0]], [[2, 0]]], np.uint8)
    prediction = np.array([[[1, 2]], [[2, 1]]], np.uint8)
    confidence = np.ones(labels.shape, np.float32)
    rule = Rule((0.5,) * 3, frozenset({1, 2}))
    assert correct_labels(labels, prediction, confidence, rule).tolist() == [[[1, 0]], [[2, 0]]]
    by_volume = replace(rule, constraint="volume")
    assert correct_labels(labels, prediction, confidence, by_volume).tolist() == [[[1, 2]], [[2, 1]]]


def test_present_classes_of_the_volume_may_be_given_for_a_part() -> None:
    """A slab corrected with the volume's classes equals the slab of the corrected volume."""
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 0, 0, 1, 2, 3, 255], np.uint8), (6, 4, 5))
    labels[:3][labels[:3] == 3] = 0
    prediction, confidence = rng.integers(0, 4, labels.shape, np.uint8), rng.random(labels.shape, np.float32)
    rule = Rule((0.3,) * 4, frozenset({1, 3}), constraint="volume")
    whole = correct_labels(labels, prediction, confidence, rule)
    present = find_present(labels)
    assert present == {0, 1, 2, 3}
    parts = [
        correct_labels(labels[p], prediction[p], confidence[p], rule, present=present)
        for p in (slice(0, 3), slice(3, 6))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (whole[:3] == 3).any()


def test_slices_without_a_triggered_class_are_skipped() -> None:
    """Under ``slice`` not even ignored pixels of such a slice are filled."""
    labels = np.array([[[0, 255, 2]], [[0, 255, 1]]], np.uint8)
    prediction = np.zeros(labels.shape, np.uint8)
    rule = Rule((0.5,) * 3, frozenset({1}), fill_ignore=True)
    corrected = correct_labels(labels, prediction, np.ones(labels.shape, np.float32), rule)
    assert corrected.tolist() == [[[0, 255, 2]], [[0, 0, 0]]]


def test_accumulating_decides_by_the_original() -> None:
    """A pixel that an earlier correction changed may change again, because its original label decides."""
    original = np.array([[1, 3, 0]], np.uint8)
    current = np.array([[0, 3, 1]], np.uint8)
    prediction = np.array([[1, 1, 0]], np.uint8)
    rule = Rule((0.5,) * 4, frozenset({1}))
    confidence = np.ones(current.shape, np.float32)
    assert correct_labels(current, prediction, confidence, rule, original=original).tolist() == [[1, 3, 0]]


def test_contradicting_arguments_are_refused() -> None:
    """Arrays of different shapes and classes without tau are the caller's mistake and say so."""
    with pytest.raises(ValueError, match="shapes differ"):
        correct_labels(LABELS, PREDICTION[:, :3], CONFIDENCE, Rule(TAU, frozenset({1})))
    with pytest.raises(ValueError, match="class 7 has triggered but there are 5 taus"):
        correct_labels(LABELS, PREDICTION, CONFIDENCE, Rule(TAU, frozenset({7})))


INDICES = st.sampled_from([0, 1, 2, 3, 4, 255])


@st.composite
def draw_problem(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, Rule]:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)))
    size = int(np.prod(shape))
    labels = np.array(draw(st.lists(INDICES, min_size=size, max_size=size)), np.uint8).reshape(shape)
    prediction = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), np.uint8).reshape(shape)
    confidence = np.array(draw(st.lists(st.floats(0, 1, width=32), min_size=size, max_size=size)), np.float32)
    rule = Rule(
        tau=tuple(draw(st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5))),
        triggered=frozenset(draw(st.sets(st.integers(1, 4)))),
        constraint=draw(st.sampled_from(["slice", "volume", "none"])),
        fill_ignore=draw(st.booleans()),
        protect=frozenset(draw(st.sets(st.integers(0, 4), max_size=2))),
    )
    return labels, prediction, confidence.reshape(shape), rule


@settings(max_examples=60, deadline=None)
@given(draw_problem())
def test_a_changed_pixel_meets_every_condition(problem: tuple[np.ndarray, np.ndarray, np.ndarray, Rule]) -> None:
    """Written down pixel by pixel, the rule's conditions give exactly the pixels that change."""
    labels, prediction, confidence, rule = problem
    before = labels.copy()
    corrected = correct_labels(labels, prediction, confidence, rule)
    np.testing.assert_array_equal(labels, before)
    assert corrected.dtype == labels.dtype
    active = rule.triggered - rule.protect
    for z, y, x in np.ndindex(*labels.shape):
        old, new = int(labels[z, y, x]), int(prediction[z, y, x])
        group = labels[z] if rule.constraint == "slice" else labels
        changes = (
            bool(active)
            and confidence[z, y, x] > np.float32(rule.tau[new])
            and (old in {0} | active or (old == IGNORE and rule.fill_ignore))
            and new in {0} | active
            and old not in rule.protect
            and new not in rule.protect
            and (rule.constraint == "none" or new in {0, *group.ravel().tolist()})
            and (rule.constraint != "slice" or bool(active & set(labels[z].ravel().tolist())))
        )
        assert corrected[z, y, x] == (new if changes else old)


@settings(max_examples=40, deadline=None)
@given(draw_problem())
def test_protected_ignored_and_untriggered_pixels_are_never_touched(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray, Rule],
) -> None:
    """The mask of every class that may not change is the same before and after."""
    labels, prediction, confidence, rule = problem
    corrected = correct_labels(labels, prediction, confidence, replace(rule, fill_ignore=False))
    fixed = {IGNORE} | rule.protect | (set(range(1, 5)) - rule.triggered)
    for c in fixed:
        np.testing.assert_array_equal(corrected == c, labels == c)


@settings(max_examples=40, deadline=None)
@given(draw_problem())
def test_changes_add_up_over_slabs(problem: tuple[np.ndarray, np.ndarray, np.ndarray, Rule]) -> None:
    """Counts of two slabs, added, are the counts of both together; the books balance."""
    labels, prediction, confidence, rule = problem
    corrected = correct_labels(labels, prediction, confidence, rule)
    whole = count_changes(labels, corrected, 5)
    first, second = count_changes(labels[:1], corrected[:1], 5), count_changes(labels[1:], corrected[1:], 5)
    assert tuple(a + b for a, b in zip(first, second, strict=True)) == whole
    for c, change in enumerate(whole):
        assert (change.before, change.after) == ((labels == c).sum(), (corrected == c).sum())
        assert change.after == change.before + change.added - change.removed
        old, new = labels == c, corrected == c
        lost, won = (old & ~new).sum() / max(1, old.sum()), (new & ~old).sum() / max(1, new.sum())
        assert change.share == pytest.approx(max(lost, won))


def test_share_of_a_change_is_the_larger_of_lost_and_won() -> None:
    """4 of 10 lost, 2 of 8 won: .4. A class that vanishes or appears has changed wholly, an absent one by nothing."""
    assert Change(before=10, after=8, added=2, removed=4).share == 0.4
    assert Change(before=10, after=20, added=10, removed=0).share == 0.5
    assert Change(before=10, after=0, added=0, removed=10).share == 1.0
    assert Change(before=0, after=3, added=3, removed=0).share == 1.0
    assert Change().share == 0.0


def test_collapse_of_a_class_is_cancelled_and_the_rest_stays() -> None:
    """Class 1 would lose 3 of 4 pixels: what leaves it and what joins it is undone. Class 2 loses half: allowed."""
    original = np.array([1, 1, 1, 1, 2, 2, 0, 0, 255], np.uint8)
    corrected = np.array([0, 0, 2, 1, 2, 0, 1, 2, 1], np.uint8)
    guarded, cancelled = guard_collapse(original, corrected, (2, 1))
    assert cancelled == (1,)
    assert guarded.tolist() == [1, 1, 1, 1, 2, 0, 0, 2, 255]
    assert corrected.tolist() == [0, 0, 2, 1, 2, 0, 1, 2, 1]


def test_collapse_limit_and_exempt_classes() -> None:
    """The limit is configurable; background and ignore are not foreground; absent classes cannot collapse."""
    original = np.array([1, 1, 1, 1, 0, 255, 255], np.uint8)
    corrected = np.array([0, 0, 0, 1, 1, 1, 1], np.uint8)
    assert guard_collapse(original, corrected, (0, 1, 2, 255), limit=0.75)[1] == ()
    assert guard_collapse(original, corrected, (0, 1, 2, 255), limit=0.7)[1] == (1,)
    assert guard_collapse(original, corrected, (0, 2, 255), limit=0.1)[1] == ()


@settings(max_examples=40, deadline=None)
@given(draw_problem(), st.floats(0, 1))
def test_guarded_labels_respect_the_limit(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray, Rule], limit: float
) -> None:
    """After the guard no guarded class has lost more than the limit, and cancelled classes are as they were."""
    labels, prediction, confidence, rule = problem
    corrected = correct_labels(labels, prediction, confidence, rule)
    guarded, cancelled = guard_collapse(labels, corrected, range(1, 5), limit=limit)
    for c, change in enumerate(count_changes(labels, guarded, 5)[1:], 1):
        assert change.removed <= limit * change.before
        if c in cancelled:
            np.testing.assert_array_equal(guarded == c, labels == c)


@settings(deadline=None)
@given(st.data())
def test_a_slice_that_may_not_change_never_does(data) -> None:
    """Whatever the network says of a slice that is skipped, its labels stay; and a slice that may change can."""
    classes = st.frozensets(st.integers(0, 3))
    rule = Rule(
        (0.0,) * 4,
        data.draw(classes),
        data.draw(st.sampled_from(["slice", "volume", "none"])),
        fill_ignore=data.draw(st.booleans()),
        protect=data.draw(classes),
        any_source=data.draw(st.booleans()),
    )
    labels = np.array([data.draw(st.lists(st.sampled_from([0, 1, 2, 3, IGNORE]), min_size=1, max_size=6))], np.uint8)
    held = find_present(labels)
    present = held | data.draw(classes)
    possible = may_change(held, rule, ignored=bool((labels == IGNORE).any()), present=present)
    answers = [np.full_like(labels, value) for value in range(4)]
    sure = np.ones(labels.shape, np.float32)
    changed = any((correct_labels(labels, answer, sure, rule, present=present) != labels).any() for answer in answers)
    assert possible == changed
