"""`--log-json` appends one JSON object an event, described by its schema, without ids and paths unless they are asked for."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adelecli.cli.naming import WITHHELD, CaseNames
from adelecli.errors import InputError
from adelecli.progress import Progress

SCHEMA = json.loads(files("adelecli").joinpath("schemas", "log-1.schema.json").read_text(encoding="utf-8"))


def read_log(path: Path) -> list[dict]:
    """Every line, held to the schema of the package."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    return lines


def work(make_case, make_report):
    """A run of two cases, of which one fails."""

    def act(progress):
        progress(Progress("correct", 0, 2, case="Doe_Jane"))
        progress(Progress("case", case="Doe_Jane", notice="/data/ward 7/Doe_Jane.nii.gz: holds label 7; mend it"))
        progress(Progress("epoch", 1, 9, detail={"losses": {"ce": 1.0}}))
        progress(Progress("correct", 2, 2, detail={"seconds": 1.5, "path": "/data/x"}))
        return make_report(make_case("Doe_Jane", "failed", error="broken"), make_case("b", "corrected"))

    return act


@pytest.mark.parametrize(
    ("case", "told", "kept"),
    [
        ("M\u00fcller 3", "/data/M\u00fcller 3.nii.gz: holds label 7; mend it", "holds label 7; mend it"),
        ("M\u00fcller 3", "M\u00fcller 3: is listed, but has no mask; add it", "#: is listed, but has no mask; add it"),
        ("a  M\u00fcller", "a M\u00fcller is odd", "# is odd"),
        ("\u5c71\u3000\u7530", "\u5c71 \u7530 is odd", "# is odd"),
        ("Tom; Jones; x", "m/Tom; Jones; x.nii.gz: is odd; mend it", "is odd; mend it"),
        ("Tom; Jones; x", "m/Tom; Jones; x_0001.nii.gz: is odd", "is odd"),
        ("other", "m/Tom; Jones; y.nii.gz: has no mask and is left out", "has no mask and is left out"),
        ("scan (1)", "scan (1) and scan (1)_0000 are odd", "# and #_0000 are odd"),
    ],
)
def test_names_of_people_do_not_reach_a_log(case: str, told: str, kept: str) -> None:
    """Spaces, semicolons, brackets and other scripts hide no part of an id or of a path from what leaves them out."""
    names = CaseNames(log_ids=False)
    hidden = names.name(case)
    assert names.clean(told).replace(hidden, "#") == kept


def test_a_run_in_lines(adele, replace, make_case, make_report, tmp_path) -> None:
    """Start, steps, the failed case, the end with its code; steps of an optimiser are no lines; stdout and stderr are as ever."""
    replace("correct", work(make_case, make_report))
    ended = adele("correct", "m", "-o", "o", "--log-json", tmp_path / "log.jsonl", "-q")
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["event"] for line in lines] == ["started", "step", "case_failed", "step", "finished"]
    assert [line["level"] for line in lines] == ["info", "info", "error", "info", "warning"]
    assert (ended.code, lines[-1]["code"]) == (3, 3)
    assert {line["command"] for line in lines} == {"correct"}
    assert len({line["run"] for line in lines}) == 1
    assert lines[1]["case"] == lines[2]["case"]
    assert lines[2]["message"] == "holds label 7; mend it"
    assert (lines[3]["done"], lines[3]["total"], lines[3]["detail"]) == (2, 2, {"seconds": 1.5})
    text = (tmp_path / "log.jsonl").read_text()
    assert "Doe" not in text
    assert "/data" not in text


def test_ids_stand_there_when_they_are_asked_for(adele, replace, make_case, make_report, tmp_path) -> None:
    """--log-ids: the id, and the message as it is."""
    replace("correct", work(make_case, make_report))
    adele("correct", "m", "-o", "o", "--log-json", tmp_path / "log.jsonl", "--log-ids", "-q")
    line = read_log(tmp_path / "log.jsonl")[2]
    assert line["case"] == "Doe_Jane"
    assert line["message"] == "/data/ward 7/Doe_Jane.nii.gz: holds label 7; mend it"


def test_runs_share_a_file(adele, replace, make_case, make_report, tmp_path) -> None:
    """Appended; each has its own id, and another hash for the same case."""
    replace("correct", work(make_case, make_report))
    for _ in range(2):
        adele("correct", "m", "-o", "o", "--log-json", tmp_path / "log.jsonl", "-q")
    lines = read_log(tmp_path / "log.jsonl")
    assert len(lines) == 10
    assert lines[0]["run"] != lines[5]["run"]
    assert lines[1]["case"] != lines[6]["case"]


def test_the_last_line_tells_an_error(adele, replace, tmp_path) -> None:
    """Without the path; an interruption is one too; a bug is told by its kind alone."""
    ends = {
        "failed 7 holds no masks; name another": InputError("holds no masks", path="/data/Doe", remedy="name another"),
        "interrupted 130 None": KeyboardInterrupt(),
    }
    for number, (expected, error) in enumerate(ends.items()):

        def act(_, error=error):
            raise error

        replace("verify", act)
        log = tmp_path / f"{number}.jsonl"
        adele("verify", "s", "--log-json", log)
        last = read_log(log)[-1]
        assert f"{last['event']} {last['code']} {last.get('message')}" == expected


def test_a_log_that_cannot_be_written_is_refused_before_the_work(adele, replace, tmp_path) -> None:
    """Code 8, and the library is not called."""
    verify = replace("verify", lambda _: None)
    ended = adele("verify", "s", "--log-json", tmp_path / "none" / "log.jsonl")
    assert ended.code == 8
    assert "log.jsonl: the log cannot be written" in ended.err
    assert not verify.calls


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize(("error", "code"), [(None, 8), (KeyboardInterrupt(), 130), (InputError("is empty"), 7)])
def test_a_log_that_breaks_off_ends_the_work(adele, replace, tmp_path, error: BaseException | None, code: int) -> None:
    """In one line with code 8; what ended the work before keeps its own."""
    log = tmp_path / "log.fifo"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)

    def act(progress):
        assert b"started" in os.read(reader, 1000)
        os.close(reader)
        if error is not None:
            raise error
        progress(Progress("verify", 1, 1))
        pytest.fail("the work goes on unwatched")

    replace("verify", act)
    ended = adele("verify", "s", "--log-json", log)
    assert ended.code == code
    assert ended.err.strip().count("\n") == 0  # click breaks the line on which a terminal shows ^C
    assert ("the log cannot be written" in ended.err) is (error is None)


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("/data/Jane Doe/a.nii.gz: is damaged; copy it again", "is damaged; copy it again"),
        ("left out: masks/x: is empty", "is empty"),
        ("Doe.nii.gz: is damaged", "is damaged"),
        (r"C:\scans\Doe: is damaged", "is damaged"),
        ("GPU not used: no driver; running on the CPU", "GPU not used: no driver; running on the CPU"),
        ("/data/Doe", WITHHELD),
    ],
)
def test_messages_lose_their_paths(message: str, kept: str) -> None:
    """What is kept is the fact and the remedy."""
    assert CaseNames(log_ids=False).clean(message) == kept


IDS = st.text(st.characters(categories=("L", "N")), min_size=3, max_size=12)


@given(IDS, st.lists(IDS, max_size=3))
def test_no_id_survives(case: str, folders: list[str]) -> None:
    """Whatever the case and its folders are called, none of them is in the cleaned line as a word."""
    names = CaseNames(log_ids=False)
    shown = names.name(case)
    path = "/".join(["", *folders, f"{case}.nii.gz"])
    line = names.clean(f"{path}: {case} differs; look at {case}")
    assert case not in line.replace(shown, "").replace("differs", "").replace("look at", "").split()
    assert shown in line
    assert CaseNames(log_ids=True).name(case) == case
