"""The records of a batch: exit codes, ranks, and the way through JSON."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.pipeline.checkup import CheckedCase, Checkup, Estimate, Machinery
from adelecli.pipeline.records import SCHEMA, CaseRecord, Report, RunRecord, choose_exit_code, rank_cases, report_schema
from adelecli.pipeline.scores import CaseScore, ClassMean, ErrorRate, Evaluation

RUN = RunRecord("correct", "0", "3", "Linux", {}, None, {}, "cpu", "cpu", "2025", {}, None)


def make_report(*states: str) -> Report:
    cases = (
        CaseRecord(str(number), state, error="x: broken; mend it" if state == "failed" else None)
        for number, state in enumerate(states)
    )
    return Report(RUN, tuple(cases))


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ((), 0),
        (("corrected", "unchanged"), 0),
        (("unchanged",), 0),
        (("corrected", "failed"), 3),
        (("quarantined", "failed"), 3),
        (("corrected", "quarantined"), 4),
        (("failed", "failed"), 7),
    ],
)
def test_the_exit_code_follows_the_contract(states, code) -> None:
    """0 done, 3 some failed, 4 none failed but some quarantined, 7 every case failed."""
    assert make_report(*states).exit_code == code


def test_no_case_at_all_is_no_failure_of_a_case() -> None:
    """An empty batch never gets here (it is an InputError), and must not divide by nothing."""
    assert choose_exit_code([]) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["corrected", "unchanged", "quarantined", "failed"]), st.floats(0, 1)), max_size=12
    )
)
@settings(max_examples=40, deadline=None)
def test_ranks_are_1_to_n_quarantined_first_then_by_share(drawn) -> None:
    """Ranks number exactly the corrected and quarantined cases, without gaps, worst first; order and content stay."""
    cases = tuple(CaseRecord(f"c{i:02d}", status, changed_share=share) for i, (status, share) in enumerate(drawn))
    ranked = rank_cases(cases)
    assert [case.id for case in ranked] == [case.id for case in cases]
    queue = sorted((case for case in ranked if case.rank), key=lambda case: case.rank or 0)
    assert [case.rank for case in queue] == list(range(1, len(queue) + 1))
    assert {case.status for case in ranked if case.rank is None} <= {"unchanged", "failed"}
    keys = [(case.status != "quarantined", -(case.changed_share or 0)) for case in queue]
    assert keys == sorted(keys)


def test_a_report_survives_json() -> None:
    """What is written can be read back as it was; the schema describes it."""
    report = make_report("corrected", "failed")
    assert msgspec.json.decode(report.to_json(), type=Report) == report
    assert "CaseRecord" in report_schema()["$defs"]


def test_the_schema_in_the_package_is_the_reports_own() -> None:
    """Other programs read the file; when this fails, write ``report_schema()`` there (or raise SCHEMA when a meaning changed)."""
    text = files("adelecli.pipeline").joinpath(f"report-{SCHEMA}.schema.json").read_text(encoding="utf-8")
    assert msgspec.json.decode(text) == msgspec.json.decode(msgspec.json.encode(report_schema()))


def test_a_report_tells_itself_in_a_line_and_in_a_notebook() -> None:
    """Counts by status; in the table the queue, worst first; what comes from a file is escaped."""
    cases = rank_cases(
        (CaseRecord("a<b", "corrected", changed_share=0.5), CaseRecord("c", "quarantined", changed_share=0.9))
    )
    report = Report(RUN, cases)
    assert repr(report) == "Report(correct: 1 corrected, 1 quarantined)"
    shown = report._repr_html_()
    assert "a&lt;b" in shown
    assert shown.index("<td>c</td>") < shown.index("a&lt;b")


def test_an_evaluation_tells_itself_in_a_line_and_in_a_notebook() -> None:
    """Means and the label error; what cannot be told is a dash; names of classes are escaped."""
    error = ErrorRate(0.3125, 0.25, None, None, 0, 0, 0, None)
    classes = (ClassMean(1, "a<b", 1, 0.5, None, None, 2.0, None),)
    found = Evaluation((CaseScore("a"), CaseScore("b", error="is damaged")), classes, 0.5, None, error)
    assert repr(found) == "Evaluation(1 compared, 1 failed, mean Dice 0.500, label error 0.312 -> 0.250)"
    assert "<td>a&lt;b</td><td>1</td><td>0.500</td><td>-</td><td>-</td><td>2.000</td>" in found._repr_html_()


def test_a_checkup_tells_itself_in_a_line_and_in_a_notebook() -> None:
    """What cannot be used comes first, with the reason, escaped."""
    cases = (CheckedCase("a", shape=(2, 3)), CheckedCase("b", error="c<d: no image"))
    found = Checkup(cases, {}, {}, Estimate(None, None, None, 0, 0, 0), Machinery(None, None, "", (), "", None))
    assert repr(found) == "Checkup(1 cases can be used, 1 cannot)"
    shown = found._repr_html_()
    assert "<td>b</td><td>-</td><td>c&lt;d: no image</td>" in shown
    assert shown.index("<td>b</td>") < shown.index("<td>a</td><td>2x3</td>")
