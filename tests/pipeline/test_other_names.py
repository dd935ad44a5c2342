"""A data set that numbers a class otherwise than the model is refused; numbers are all that a model knows."""

from __future__ import annotations

import json

import pytest

from adelecli.errors import ConfigError
from adelecli.pipeline.correction import correct
from adelecli.pipeline.preflight import check


def test_a_class_under_another_number_is_refused_before_anything_is_written(data) -> None:
    """By run and preflight alike, with both numbers and the name; capitals and underscores do not hide it."""
    data.add("case_1")
    (data.root / "labels.json").write_text(json.dumps({"0": "background", "1": "Class_2", "2": "class 1"}))
    said = "label 1 is called 'Class_2', which is label 2 of the model"
    with pytest.raises(ConfigError, match=said):
        correct(data.masks, out=data.out, model=data.model)
    assert not data.out.exists()
    with pytest.raises(ConfigError, match=said):
        check(data.masks, model=data.model)


@pytest.mark.parametrize(
    "names",
    [
        {"0": "background", "1": "CLASS 1", "2": "class-2"},
        {"0": "background", "1": "liver", "2": "spleen"},
        {"0": "background", "7": "kidney"},
        {"labels": {"whole": [1, 2]}},
        None,
    ],
)
def test_the_same_names_other_names_and_no_names_are_taken_at_their_numbers(data, names) -> None:
    """Also a table that is not understood, which training would refuse: a correction does not need it."""
    data.add("case_1")
    if names is not None:
        (data.root / "labels.json").write_text(json.dumps(names))
    assert correct(data.masks, out=data.out, model=data.model).cases[0].status == "corrected"
