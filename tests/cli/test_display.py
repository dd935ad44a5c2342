"""Progress goes to stderr, live on a terminal only; a log keeps no case ids unless it is told to."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from adelecli.cli.display import Display
from adelecli.cli.epochs import describe_epoch, list_classes
from adelecli.cli.panel import LivePanel, draw_curve
from adelecli.progress import Progress

EPOCH = Progress(
    "train",
    3,
    20,
    detail={
        "epoch": 3,
        "losses": {"ce": 0.25, "jsd": 0.0625},
        "names": ["background", "liver", "tumour"],
        "curve": [0.99, 0.75, None],
        "onset": [None, 3, None],
        "seconds": 12.5,
    },
)


def test_without_a_terminal_only_notices_show(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets each notice once, and no bars."""
    with Display() as display:
        for done in range(3):
            display(Progress("correct", done, 3, case="patient_7"))
            display(Progress("model", notice="running on the CPU"))
    captured = capsys.readouterr()
    assert captured.err == "Note: running on the CPU\n"
    assert captured.out == ""


def test_quiet_still_tells_where_the_review_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Without its address a review that opens no browser would be of no use."""
    with Display(quiet=True) as display:
        display(Progress("model", notice="running on the CPU"))
        display(Progress("address", notice="open http://127.0.0.1:1/"))
    assert capsys.readouterr().err == "Note: open http://127.0.0.1:1/\n"


def test_verbose_lines_hash_the_case(capsys: pytest.CaptureFixture[str]) -> None:
    """The same case has the same hash within a run, another one in the next run."""
    hashes = []
    for _ in range(2):
        with Display(verbose=True) as display:
            display(Progress("correct", 0, 2, case="patient_7"))
            display(Progress("correct", 1, 2, case="patient_7"))
        first, second = capsys.readouterr().err.splitlines()
        assert "patient_7" not in first
        assert first.split()[-1] == second.split()[-1]
        hashes.append(first.split()[-1])
    assert hashes[0] != hashes[1]


def test_log_ids_shows_the_case(capsys: pytest.CaptureFixture[str]) -> None:
    """--log-ids shows ids as they are."""
    with Display(verbose=True, log_ids=True) as display:
        display(Progress("correct", 0, 2, case="patient_7"))
    assert capsys.readouterr().err.split()[2:] == ["correct", "0/2", "patient_7"]


def test_verbose_skips_steps_of_the_optimiser(capsys: pytest.CaptureFixture[str]) -> None:
    """An epoch is a line, its steps are not."""
    with Display(verbose=True) as display:
        display(Progress("epoch", 1, 100, detail={"epoch": 3, "epochs": 20, "losses": {"ce": 0.3}}))
        display(EPOCH)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "IoU liver 0.750 (onset 3), tumour -" in lines[0]


def test_an_epoch_in_one_line() -> None:
    """Losses, IoU per foreground class, onset, seconds."""
    expected = "ce 0.2500, jsd 0.0625; IoU liver 0.750 (onset 3), tumour -; 12.5 s"
    assert describe_epoch(EPOCH.detail) == expected


def test_classes_without_names_have_numbers() -> None:
    """A display never ends a training because a name is missing."""
    assert list_classes({"curve": [0.9, 0.5]}) == [("class 1", 0.5, None)]


def test_the_panel_draws_curve_and_onset() -> None:
    """On a terminal each class shows its IoU, its curve and the epoch at which memorisation set in."""
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    panel = LivePanel(console)
    panel.show(Progress("epoch", 50, 100, detail={"epoch": 3, "epochs": 20, "losses": {}}))
    panel.show(EPOCH)
    panel.say("a line")
    panel.close()
    text = console.file.getvalue()
    assert "epoch 3 of 20: ce 0.2500, jsd 0.0625" in text
    assert "epoch 3: correcting" in text
    assert "0.750" in text
    assert "a line" in text


def test_the_panel_hides_what_was_finished_long_ago() -> None:
    """Of twenty finished stages the last few stay in sight, and the one that is going on."""
    panel = LivePanel(Console(file=io.StringIO(), force_terminal=True, width=140))
    for number in range(20):
        panel.show(Progress(f"stage {number}", 3, 3))
    panel.show(Progress("going on", 1, 3))
    visible = [bar.description for bar in panel._bars.tasks if bar.visible]
    panel.close()
    assert visible == [*(f"stage {number}" for number in range(14, 20)), "going on"]


def test_curves_are_blocks_from_0_to_1() -> None:
    """A gap where there is no value; the last `width` values only."""
    assert draw_curve([0.0, 0.5, 1.0, math.nan]) == "▁▅█ "
    assert draw_curve([0.0] * 5 + [1.0], width=2) == "▁█"


def test_the_case_that_ends_the_work_is_told_once_by_the_error_that_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    """With `final` the display is silent about a failed case; a notice is still shown."""
    with Display(final=True) as display:
        display(Progress("case", case="patient_7", notice="a.nii: is damaged"))
        display(Progress("model", notice="running on the CPU"))
    assert capsys.readouterr().err == "Note: running on the CPU\n"


def test_a_failed_case_is_told_even_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """`-q` hides notes, never an error; the line is the error's own."""
    display = Display(quiet=True)
    display(Progress("model", notice="GPU not used"))
    display(Progress("case", case="a", notice="masks/a.nii.gz: is damaged"))
    assert capsys.readouterr().err == "Error: masks/a.nii.gz: is damaged\n"
