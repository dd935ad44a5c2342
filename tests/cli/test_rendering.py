"""What a person reads: the numbers of the record, the cases that need a look, the errors."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console

from adelecli.benchmarking.records import BenchResult, Figure, Row, Table
from adelecli.cli.findings import show_checkup, show_demo, show_description, show_training, show_verification
from adelecli.cli.measurements import show_benchmark
from adelecli.cli.rendering import encode_record, format_number, format_share
from adelecli.cli.reports import describe_error_rate, show_conversion, show_corruption, show_evaluation, show_report
from adelecli.pipeline.checkup import CheckedCase, Checkup, Estimate, Machinery
from adelecli.pipeline.conversion import Conversion, ConvertedCase
from adelecli.pipeline.corruption import CorruptedCase, CorruptionReport
from adelecli.pipeline.description import RunDescription
from adelecli.pipeline.scores import CaseScore, ClassMean, ErrorRate, Evaluation
from adelecli.pipeline.verification import Verification
from adelecli.showcase.results import DemoResult, LabelRow, MethodRow
from adelecli.store.verification import Finding
from adelecli.training.trainer import TrainResult


def read_shown(show, *values: object) -> list[list[str]]:
    """The words of each line that `show` writes."""
    console = Console(file=io.StringIO(), width=160)
    show(console, *values)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip()]


def test_a_report_sums_up_its_cases(make_case, make_report) -> None:
    """Classes are summed over the published cases, the queue is worst first, failures carry their reason."""
    cases = [
        make_case("easy", "corrected", 0.1),
        make_case("bad", "quarantined", 0.9),
        make_case("hard", "corrected", 0.3),
        make_case("gone", "failed", error="gone.nii: truncated"),
    ]
    lines = read_shown(show_report, make_report(*cases), Path("c.zarr"))
    assert ["lesion", "200", "240", "50", "10"] in lines  # two published cases of 100 -> 120, +25 -5
    assert [line[1] for line in lines if line[0] in {"1", "2", "3"} and "%" in line] == ["bad", "hard", "easy"]
    assert ["failed:", "gone:", "gone.nii:", "truncated"] in lines
    assert " ".join(lines[-1]) == "2 corrected, 1 quarantined, 1 failed, in c.zarr; 1.5 s on cpu"


def test_a_dry_run_says_so(make_case, make_report) -> None:
    """Nobody looks for a store that was not written."""
    lines = read_shown(show_report, make_report(make_case("a", "corrected"), dry_run=True), Path("c.zarr"))
    assert "--dry-run" in " ".join(lines[-1])


def test_an_evaluation_shows_means_and_the_worst(make_case) -> None:
    """Means per class, cases from the lowest Dice, the label error in percent, what was not compared."""
    rate = ErrorRate(0.4, 0.1, 0.9, 0.8, 1000, 900, 100, 0.1111)
    evaluation = Evaluation(
        cases=(
            CaseScore("a", dice=0.9, iou=0.8),
            CaseScore("b", dice=0.5, iou=0.3),
            CaseScore("c", error="other grid"),
        ),
        classes=(ClassMean(1, "lesion", 2, 0.7, 0.55, 3.25, None, -0.125),),
        dice=0.7,
        iou=0.55,
        label_error=rate,
        missing=("d",),
    )
    lines = read_shown(show_evaluation, evaluation)
    assert ["lesion", "2", "0.700", "0.550", "3.25", "-", "-12.5", "%"] in lines
    assert [line[0] for line in lines if line[0] in {"a", "b"}] == ["b", "a"]
    text = " ".join(" ".join(line) for line in lines)
    assert "label error 40.0 % before, 10.0 % after" in text
    assert "900 were mended and 100 broken" in text
    assert "no prediction: d" in text
    assert "failed: c: other grid" in text
    assert "2 cases compared; mean Dice 0.700, mean IoU 0.550" in text


def test_a_terminal_is_spared_what_it_was_told_before() -> None:
    """Each failed case was told on stderr when it failed; a file that gets stdout alone has them all."""
    conversion = Conversion("f", "corrected", tuple(ConvertedCase(str(n), error="damaged") for n in range(25)))
    terminal = Console(file=io.StringIO(), width=160, force_terminal=True, highlight=False)
    show_conversion(terminal, conversion)
    lines = terminal.file.getvalue().splitlines()
    assert [line.startswith("failed: ") for line in lines] == [True] * 10 + [False] * 2
    assert lines[10] == "and 15 more failed, each told above; --json holds all"
    assert sum(line[0] == "failed:" for line in read_shown(show_conversion, conversion)) == 25
    report = CorruptionReport(
        "omit", 0, {}, tuple(CorruptedCase(str(n), error="damaged") for n in range(25)), {}, None, None
    )
    show_corruption(terminal, report, Path("noisy"))  # it is silent while it works
    assert terminal.file.getvalue().count("failed: ") == 10 + 25


def test_a_label_error_without_changes_has_no_ratio() -> None:
    """Nothing mended is nothing to compare with."""
    line = describe_error_rate(ErrorRate(0.1, 0.1, None, 0.0, 0, 0, 0, None))
    assert line == "label error 10.0 % before, 10.0 % after; of 0 changed voxels 0 were mended and 0 broken"


def test_a_corruption_shows_its_strength() -> None:
    """A family's name says nothing about its strength: the measured overlap does."""
    report = CorruptionReport("adele-de", 0, {}, (CorruptedCase("a", "a.nii"),), {"lesion": 0.612}, 0.612, 0.388)
    lines = read_shown(show_corruption, report, Path("noisy"))
    assert ["lesion", "0.612"] in lines
    assert " ".join(lines[-1]) == "1 masks in noisy; mean IoU 0.612, label error 38.8 %"


def test_a_conversion_counts_its_files() -> None:
    """PNG slices are files of one case."""
    conversion = Conversion("files", "corrected", (ConvertedCase("a", ("1", "2")), ConvertedCase("b", error="damaged")))
    lines = read_shown(show_conversion, conversion)
    assert lines == [["failed:", "b:", "damaged"], ["2", "files", "of", "1", "cases", "(corrected)", "in", "files"]]


def _check(*cases: CheckedCase, labels: dict[str, int], names: dict[str, str]) -> Checkup:
    return Checkup(
        cases,
        labels,
        names,
        Estimate(None, None, None, 1, 0, 9),
        Machinery("m.onnx", "cpu", "1.31", ("ort",), "", None),
    )


def test_a_check_names_a_shared_file_name_once_and_claims_no_missing_mask() -> None:
    """Image and mask mostly share a name; of a case that does not pair nothing is known but its error."""
    told = _check(
        CheckedCase("a", ("i/a.nii",), "m/a.nii", labels={"0": 5, "1": 3}),
        CheckedCase("b", ("i/b_0000.nii",), "m/b.nii"),
        CheckedCase("c", error="m/c.nii: has no image in i"),
        labels={"0": 5, "1": 3},
        names={"0": "background", "1": "lesion"},
    )
    lines = {line[0]: line for line in read_shown(show_checkup, told)}
    assert lines["a"][-2:] == ["1", "a.nii"]
    assert lines["b"][-2:] == ["b_0000.nii,", "b.nii"]
    assert lines["c"][-2:] == ["-", "-"]
    assert lines["m.onnx"] == [
        "m.onnx",
        "on",
        "cpu:",
        "time",
        "not",
        "known",
        "in",
        "one",
        "process,",
        "memory",
        "not",
        "known",
    ]


def test_a_check_of_an_image_taken_for_a_mask_stays_short() -> None:
    """Its hundreds of grey values are counted; labels with a name are all listed, however many."""
    labels = {str(number): 7 for number in range(300)}
    named = {str(number): f"organ{number}" for number in range(0, 300, 10)}
    lines = read_shown(show_checkup, _check(CheckedCase("a", (), "a.nii", labels=labels), labels=labels, names=named))
    assert "10, ..., 299 (300 labels)" in " ".join(lines[2])
    assert sum(line[1].startswith("organ") for line in lines if line[-1] == "7") == 30
    assert sum(line[1] == "-" for line in lines if line[-1] == "7") == 12
    assert "and 258 more labels without a name, up to 299" in [" ".join(line) for line in lines]


def test_a_verification_lists_its_findings() -> None:
    """Case, what and where for each; a store that is whole says so."""
    lines = read_shown(show_verification, Verification((Finding("a", "hash", "labels/corrected was altered"),), 3))
    assert ["a", "hash", "labels/corrected", "was", "altered"] in lines
    assert " ".join(lines[-1]) == "3 cases examined: 1 findings"
    assert " ".join(read_shown(show_verification, Verification((), 3))[-1]) == "3 cases examined: whole"


def test_a_description_is_a_tree() -> None:
    """Short values stand on their line, long ones below their name; inner lists keep their brackets."""
    description = RunDescription("r", True, 3, {"scales": [[7, 10], [1, 1]]}, {}, {"long": {"a": "x" * 110, "b": None}})
    lines = read_shown(show_description, description)
    assert ["kind:", "run"] in lines
    assert ["state:", "scales", "((7,", "10),", "(1,", "1))"] in lines
    assert ["b:", "-"] in lines


def test_json_takes_paths_and_numpy() -> None:
    """What the library measures may be numpy's; NaN becomes null."""

    class Record(msgspec.Struct):
        path: Path
        value: object
        missing: float

    text = encode_record(Record(Path("a/b"), np.float32(0.5), float("nan")))
    assert json.loads(text) == {"path": "a/b", "value": 0.5, "missing": None}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (float("nan"), "-"), (1234567, "1,234,567"), (0.12345, "0.123"), (float("inf"), "-")],
)
def test_numbers(value: float | None, text: str) -> None:
    """A number that does not exist is a dash."""
    assert format_number(value) == text


def test_shares() -> None:
    """Shares are in percent."""
    assert (format_share(0.1234), format_share(None)) == ("12.3 %", "-")


def test_a_demo_shows_the_gain() -> None:
    """Label error before and after, scores on unseen patients, where the files are."""
    result = DemoResult(
        folder="demo",
        seed=0,
        train_cases=14,
        test_cases=5,
        epochs=12,
        noise={"mean_iou": 0.61},
        labels=(LabelRow("heart", 0.4, 0.2, 0.9, 0.5, 0.11, 6),),
        methods=(MethodRow("ADELE", 0.8, 0.82, 0.7, 0.72, {"heart": 0.9}, 0.64),),
        exported_dice=0.79,
        seconds={"total": 300.0},
        files={"model": "weights/demo.onnx"},
        pictures=("labels.png",),
    )
    text = [" ".join(line) for line in read_shown(show_demo, result)]
    assert "heart 40.0 % 20.0 % 90.0 % 50.0 % 0.11 epoch 6" in text
    assert "ADELE 0.800 0.820 0.700 0.720 64.0 % 0.900" in text
    assert "model: demo/weights/demo.onnx" in text
    assert "the exported model on the unseen patients: Dice 0.790" in text


def test_a_benchmark_shows_mean_and_spread() -> None:
    """A row a method, the labels of those that corrected some, what was trained and read back, where the page lies."""
    figures = {
        "iou_best": Figure(0.72, 0.01, (0.71, 0.73)),
        "iou_last_five": Figure(0.7, None, (0.7,)),
        "gap": Figure(0.5, None, (0.5,)),
        "error_before": Figure(0.4, None, (0.4,)),
        "error_after": Figure(0.2, None, (0.2,)),
    }
    rows = (Row("noisy", "", "student", {"iou_best": figures["iou_best"]}), Row("adele", "", "teacher", figures))
    table = Table(
        "k", {"family": "adele-de"}, {"label_iou": 0.6}, None, 0, 2, (0,), ("a",), (), "d", "cpu", {}, rows, {}
    )
    result = BenchResult("bench", table, 2, 1, {"json": "bench.json", "markdown": "bench.md"})
    text = [" ".join(line) for line in read_shown(show_benchmark, result)]
    assert "Held-out cases, adele-de, label IoU 0.600" in text
    assert "noisy 0.720 ± 0.010 - - -" in text
    assert "adele 0.720 ± 0.010 0.700 - 50.0 %" in text
    assert "adele 0.400 0.200 - - -" in text
    assert text[-1] == "2 trained, 1 read back; bench/bench.md"
    assert json.loads(encode_record(result))["table"]["rows"][1]["figures"]["gap"]["mean"] == 0.5


def test_a_training_says_what_was_not_corrected() -> None:
    """Onset per class, the teacher's validation Dice, and the reason where a class never triggered."""
    last = {"curve": [0.99, 0.7, 0.2], "val": {"teacher": {"dice": [0.99, 0.8, None]}}}
    onsets, reasons = {"liver": 4, "tumour": None}, {"liver": "learnt", "tumour": "still learning"}
    result = TrainResult(Path("runs/r"), (last,), onsets, reasons, (("bad", "truncated"),), 3.0)
    text = [" ".join(line) for line in read_shown(show_training, result)]
    assert "liver 0.700 0.800 epoch 4" in text
    assert "tumour 0.200 - -" in text
    assert "tumour: not corrected, because still learning" in text
    assert "left out: bad: truncated" in text
    assert "adele export runs/r" in text[-1]
