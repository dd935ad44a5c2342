"""Settings: layers outrank one another, and nothing unknown passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adelecli.errors import ConfigError
from adelecli.training.resolving import format_settings, read_settings, resolve_settings
from adelecli.training.settings import Settings


def test_paper_is_the_published_method_and_adele_adds_to_it() -> None:
    """`paper` corrects with the network itself at tau .8 without guard; `adele` has teacher, guard, group norm, outline, tau .5."""
    paper, adele = resolve_settings("paper"), resolve_settings()
    assert (paper.correction.tau, paper.correction.guard, paper.teacher.enabled) == (0.8, 1.0, False)
    assert (paper.network.norm, paper.loss.dice_steps, paper.augment.noise) == ("batch", 0, 0.0)
    assert (adele.correction.tau, adele.correction.guard, adele.teacher.enabled) == (0.5, 0.5, True)
    assert (paper.correction.outline, adele.correction.outline) == (0.0, 0.75)
    assert adele.network.norm == "group"
    assert paper.loss.scales == adele.loss.scales == ((7, 10), (1, 1), (3, 2))
    assert paper.onset.r == 0.9


def test_baseline_turns_everything_off() -> None:
    """`--baseline` leaves one scale, no consistency, no correction, and outranks the preset and the file."""
    settings = resolve_settings("paper", baseline=True)
    assert settings.loss.scales == ((1, 1),)
    assert settings.loss.weight == 0
    assert not settings.correction.enabled


def test_later_layers_outrank_earlier_ones(tmp_path: Path) -> None:
    """Flag over --set over file over preset."""
    file = tmp_path / "c.toml"
    file.write_text("epochs = 3\nseed = 4\n[optimiser]\nlr = 0.5\nname = 'sgd'\n")
    settings = resolve_settings(
        config=file, overrides=("seed=5", "optimiser.lr=0.25"), flags={"epochs": 9, "seed": None}
    )
    assert (settings.epochs, settings.seed, settings.optimiser.lr, settings.optimiser.name) == (9, 5, 0.25, "sgd")


@pytest.mark.parametrize(
    ("text", "place"),
    [("[loss]\nwieght = 1", "no setting 'loss.wieght'; did you mean loss.weight?"),
     ("[network]\ndepth = 1", "setting network.depth: expected `int` >= "),
     ("epoch = 1", "no setting 'epoch'; did you mean epochs"),
     ("[optimiser]\nlr = -1", "setting optimiser.lr: expected"),
     ("epochs = 'x'", "setting epochs: expected `int`")],
)  # fmt: skip
def test_unknown_or_wrong_keys_name_their_path(tmp_path: Path, text: str, place: str) -> None:
    """A misspelt key or a value out of range is an error with the file and the path in it."""
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        resolve_settings(config=file)
    assert place in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("override", "line"),
    [("lr=3", "there is no setting 'lr'; did you mean optimiser.lr?"),
     ("noise.estimate=false", "there is no setting 'noise.estimate'; did you mean noise.enabled, noise.steps, noise.cases?")],
)  # fmt: skip
def test_a_setting_that_is_not_there_is_told_with_those_that_are(override: str, line: str) -> None:
    """Without its table, or with another name in the right table: the remedy is a name that works."""
    with pytest.raises(ConfigError) as caught:
        resolve_settings(overrides=(override,))
    assert str(caught.value) == line


@pytest.mark.parametrize("override", ["nonsense", "=1", "loss.nope=1"])
def test_a_wrong_override_is_refused(override: str) -> None:
    """`--set` takes key=value with a known key."""
    with pytest.raises(ConfigError):
        resolve_settings(overrides=(override,))


def test_unknown_preset_lists_the_known_ones() -> None:
    """The remedy is in the line."""
    with pytest.raises(ConfigError, match="adele, paper"):
        resolve_settings("papre")


def test_the_resolved_file_reads_back_equal(tmp_path: Path) -> None:
    """config.toml of a run folder holds the whole tree."""
    settings = resolve_settings("paper", overrides=("data.spacing=[1.5, 2.0]", "patience=3"))
    file = tmp_path / "config.toml"
    file.write_text(format_settings(settings))
    assert read_settings(file) == settings
    assert read_settings(file) != Settings()
