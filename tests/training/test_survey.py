"""Decisions made once from the data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adelecli.errors import InputError
from adelecli.intake.formats import pair_cases
from adelecli.progress import ignore_progress
from adelecli.training.settings import DataSettings
from adelecli.training.survey import CaseFacts, Sample, Survey, decide_grid, decide_intensity, survey_cases
from adelecli.volumes.cases import Case
from adelecli.volumes.naming import read_class_table


def facts(*spacings: tuple[float, float, float]) -> list[CaseFacts]:
    return [CaseFacts(Case(str(i), (Path("x"),)), (10, 20, 30), spacing) for i, spacing in enumerate(spacings)]


def sample(values: np.ndarray, low: float, *, integral: bool) -> Sample:
    return Sample(frozenset({0, 1}), (values.astype(np.float32),), (low,), integral)


@pytest.mark.parametrize(
    ("spacing", "axis"), [((3, 1, 1), "z"), ((1, 3, 1), "y"), ((1, 1, 3), "x"), ((1, 1, 1), "z"), ((1, 1.02, 1), "z")]
)
def test_slices_are_cut_along_the_coarsest_axis(spacing: tuple[float, float, float], axis: str) -> None:
    """The slice axis is the coarsest one; a tie goes to z; --axis outranks both."""
    assert decide_grid(facts(spacing), DataSettings()).axis == axis
    assert decide_grid(facts(spacing), DataSettings(axis="x")).axis == "x"


def test_spacing_stays_native_where_cases_agree() -> None:
    """Within 5 %: native. Beyond: the median of each axis. An explicit spacing outranks both."""
    assert decide_grid(facts((3, 1, 1), (3, 1.04, 1)), DataSettings()).spacing is None
    assert decide_grid(facts((3, 1, 1), (3, 2, 1), (3, 4, 3)), DataSettings()).spacing == (2.0, 1.0)
    assert decide_grid(facts((3, 1, 1)), DataSettings(spacing=(0.5, 0.5))).spacing == (0.5, 0.5)


def test_ct_gets_one_window_from_the_labelled_voxels() -> None:
    """Integers with air far below -200, or a data set that says CT: clip to the foreground's 0.5-99.5 % range."""
    values = np.arange(0, 1001)
    ct = [sample(values, -1000, integral=True)]
    (policy,) = decide_intensity(ct, DataSettings(), None)
    assert policy.kind == "fixed"
    assert policy.clip == pytest.approx((5.0, 995.0))
    assert (policy.mean, policy.std) == pytest.approx((500.0, values.clip(5, 995).std()), rel=1e-4)
    mr = [sample(values, 3, integral=False)]
    assert decide_intensity(mr, DataSettings(), None)[0].kind == "volume"
    assert decide_intensity(mr, DataSettings(), ("CT",))[0].kind == "fixed"
    assert decide_intensity(ct, DataSettings(intensity="volume"), ("CT",))[0].kind == "volume"


def survey_pictures(root: Path, label: int, colours: tuple[int, ...] = (1, 1)) -> Survey:
    """The survey of pictures with so many colours each; their masks hold 0 and ``label``."""
    (root / "images").mkdir()
    (root / "masks").mkdir()
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for number, count in enumerate(colours):
        picture = grey if count == 1 else np.stack([grey] * count, -1)
        Image.fromarray(picture).save(root / "images" / f"{number}.png")
        Image.fromarray((grey > 31).astype(np.uint8) * np.uint8(label)).save(root / "masks" / f"{number}.png")
    cases = pair_cases(root / "masks", None).cases
    return survey_cases(cases, DataSettings(), read_class_table(root / "masks"), None, ignore_progress)


def test_black_and_white_masks_are_refused_with_what_to_write(tmp_path: Path) -> None:
    """255 means not annotated: the error says so and what makes it a class."""
    with pytest.raises(
        InputError, match=r"background and 255 only, which means not annotated.*name it in labels\.json"
    ):
        survey_pictures(tmp_path, 255)


def test_a_data_set_that_names_255_has_it_as_a_class(tmp_path: Path) -> None:
    """What the refusal advises works: the class is there, nothing is ignored, its pixels are those that count."""
    (tmp_path / "labels.json").write_text(json.dumps({"0": "background", "255": "lesion"}))
    survey = survey_pictures(tmp_path, 255)
    assert (survey.table.ids, survey.table.names, survey.table.ignore) == ((0, 255), ("background", "lesion"), None)


def test_a_label_in_no_class_is_told_with_its_file(tmp_path: Path) -> None:
    """A training says nothing else about a case that it leaves out."""
    (tmp_path / "labels.json").write_text(json.dumps({"0": "background", "1": "lesion"}))
    with pytest.raises(InputError, match=r"no usable case; the first: .*masks/0\.png: label 7 \(32 voxels"):
        survey_pictures(tmp_path, 7)


def test_a_picture_with_other_colours_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    """One grey picture among coloured ones: the file, both counts, the way out; wherever in the list it stands."""
    with pytest.raises(
        InputError, match=r"images/0\.png: has 1 channel\(s\) where other cases have 3; give every case"
    ):
        survey_pictures(tmp_path, 1, (1, 3, 3))
