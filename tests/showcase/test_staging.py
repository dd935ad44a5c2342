"""`demo` runs every public command on a data set of its own and reports what came out."""

from __future__ import annotations

import json

import pytest

from adelecli.errors import ConfigError, OutputError
from adelecli.showcase.staging import STAGES, demo


def test_an_unknown_option_is_named(tmp_path):
    """Before anything is written."""
    with pytest.raises(ConfigError, match="colour"):
        demo(tmp_path / "x", colour="red")
    assert not (tmp_path / "x").exists()


def test_senseless_sizes_are_refused(tmp_path):
    """One case cannot be trained on and tested."""
    with pytest.raises(ConfigError, match="cases"):
        demo(tmp_path / "x", cases=0)
    with pytest.raises(ConfigError, match="epochs"):
        demo(tmp_path / "x", epochs=0)


def test_a_folder_that_holds_something_survives(tmp_path):
    """The demo never mixes with other files and never deletes any."""
    (tmp_path / "patient.nii").write_text("precious")
    with pytest.raises(OutputError, match="not empty"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["patient.nii"]


@pytest.mark.slow
def test_the_whole_demo_leaves_a_table_and_its_pictures(tmp_path):
    """A tiny demo: all stages in order, every file it names exists, the written record is the returned one."""
    steps = []
    result = demo(
        tmp_path / "demo",
        seed=1,
        cases=2,
        test_cases=1,
        epochs=2,
        device="cpu",
        progress=lambda event: steps.append(event.detail["step"]) if event.stage == "demo" and event.detail else None,
    )
    assert tuple(steps) == STAGES
    written = json.loads((tmp_path / "demo" / "results.json").read_text())
    assert written == json.loads(result.to_json())
    assert all((tmp_path / "demo" / name).stat().st_size > 10_000 for name in result.pictures)
    assert all((tmp_path / "demo" / place).exists() for place in result.files.values())
    assert 0.3 < result.labels[0].error_before < 0.5
    assert result.labels[0].error_before == pytest.approx(result.labels[0].error_after, abs=0.3)
    assert [row.name for row in result.methods][-2] == "ADELE"
    assert result.seconds["total"] >= sum(v for k, v in result.seconds.items() if k != "total") - 1
