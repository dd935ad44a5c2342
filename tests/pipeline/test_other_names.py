"""A data set that numbers a class otherwise than the model is refused; numbers are all that a model knows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from known_cases import make_noisy

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
    """Also regions of several labels, which training would refuse: a correction does not need names."""
    data.add("case_1")
    if names is not None:
        (data.root / "labels.json").write_text(json.dumps(names))
    assert correct(data.masks, out=data.out, model=data.model).cases[0].status == "corrected"


@pytest.mark.parametrize("name", ["labels.json", "dataset.json"])
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ('{"labels": ', "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ('{"labels": {"liver": "one"}}', "'one' is no label id for 'liver'"),
        ('{"labels": {"a": 1, "b": 1}}', "label 1 has two names"),
    ],
)
def test_a_file_of_names_that_is_damaged_is_refused_before_anything_is_written(data, name, content, fact) -> None:
    """By run and preflight alike, with the file, the fact and a remedy: it might say that the numbers differ."""
    data.add("case_1")
    path = data.root / name
    path.write_text(content)
    for refuse in (
        lambda: correct(data.masks, out=data.out, model=data.model),
        lambda: check(data.masks, model=data.model),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert str(caught.value).startswith(f"{path}: {fact}")
        assert caught.value.remedy
        assert caught.value.exit_code == 2
    assert not data.out.exists()


def test_the_remedy_for_a_label_that_the_model_does_not_know_helps(data) -> None:
    """Naming it in labels.json does not, since the classes of a correction are the model's."""
    data.add("case_1", mask=np.full_like(make_noisy(), 7))
    (data.root / "labels.json").write_text('{"0": "background", "7": "kidney"}')
    told = str(correct(data.masks, out=data.out, model=data.model).cases[0].error)
    assert "label 7 (" in told
    assert "use a model that knows it: the classes are the model's, whatever labels.json says" in told
