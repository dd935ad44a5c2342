"""Each command is one library call of the same name with the same options, and nothing that the user did not say."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import adelecli
from adelecli.cli.app import COMMANDS, program
from adelecli.cli.commands import COMMON
from adelecli.pipeline.corruption import CorruptionReport
from adelecli.progress import Progress

DESIGN = Path(__file__).parents[3] / "shared" / "design" / "interface.md"
TALK = {"as_json", "quiet", "verbose", "log_json", "log_ids"}
ALIASES = {"folder": "images"}  # `predict` takes its images as an argument or as --images


def find_command(name: str) -> click.Command:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    return command


def list_library_options(name: str) -> set[str]:
    """Every keyword that `adelecli.<name>` takes, but for the callback."""
    function = getattr(adelecli, name)
    found: set[str] = set()
    for parameter in inspect.signature(function).parameters.values():
        unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
        if unpacked:
            found |= set(getattr(sys.modules[function.__module__], unpacked[1]).__annotations__)
        else:
            found.add(parameter.name)
    return found - {"progress"}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_those_of_the_library(name: str) -> None:
    """What can be said on the command line can be said in Python, in the same words, and the other way round."""
    options = {ALIASES.get(str(option.name), str(option.name)) for option in find_command(name).params}
    assert options - TALK == list_library_options(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_holds_a_working_example(name: str) -> None:
    """Every command has -h, a docstring, the common options, and an example that parses."""
    command = find_command(name)
    text = command.get_help(click.Context(command, info_name=name, help_option_names=["-h", "--help"]))
    example = text.partition("Example:")[2].strip()
    words = shlex.split(example)
    assert words[:2] == ["adele", name]
    assert command.make_context(name, words[2:]).params["as_json"] in {True, False}
    assert {"-h", "--json", "-q", "-v"} <= set(text.replace(",", " ").split())
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.skipif(not DESIGN.exists(), reason="the design is not beside this checkout")
def test_commands_are_in_the_contract() -> None:
    """The interface page lists each command beside the library call of that name."""
    rows = dict(
        re.findall(r"^\| `adele (\w+)(?:\\\||[^|])*\| `(\w+)\(\)`", DESIGN.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {name: rows.get(name) for name in COMMANDS} == {name: name for name in COMMANDS}


def test_only_what_was_said_is_passed_on(adele, replace, make_case, make_report) -> None:
    """An option left out is not mentioned, so that its default has one home."""
    correct = replace("correct", lambda _: make_report(make_case("a", "corrected")))
    assert adele("correct", "m", "-o", "out.zarr").code == 0
    assert correct.calls == [((Path("m"),), {"out": Path("out.zarr")})]


def test_hospital_aliases(adele, replace, make_case, make_report) -> None:
    """-i, -o, -m and -d are accepted as in the tools hospitals use."""
    correct = replace("correct", lambda _: make_report(make_case("a", "corrected")))
    adele("correct", "m", "-i", "ct", "-o", "o", "-m", "net.onnx", "-d", "cuda:1", "--max-change", "0.2", "--resume")
    given = {"images": Path("ct"), "model": "net.onnx", "device": "cuda:1", "max_change": 0.2, "resume": True}
    assert correct.calls[0][1] == {"out": Path("o")} | given


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--protect", "liver", "spleen"], {"protect": ("liver", "spleen")}),
        (["--protect", "liver", "--protect", "spleen"], {"protect": ("liver", "spleen")}),
        (
            ["--protect=liver", "--cases", "a*", "b*", "--resume"],
            {"protect": ("liver",), "cases": ("a*", "b*"), "resume": True},
        ),
        (["--confidence", "0.8"], {"confidence": 0.8}),
        (["--confidence", "liver=0.8", "left kidney=0.7"], {"confidence": {"liver": 0.8, "left kidney": 0.7}}),
    ],
)
def test_repeatable_options(
    adele, replace, make_case, make_report, words: list[str], expected: dict[str, object]
) -> None:
    """Several values follow one option, or the option is repeated."""
    correct = replace("correct", lambda _: make_report(make_case("a", "corrected")))
    assert adele("correct", "m", "-o", "o", *words).code == 0
    assert correct.calls[0][1] == {"out": Path("o")} | expected


@pytest.fixture
def in_empty_folder(tmp_path, monkeypatch) -> Path:
    """Nothing that a word could name is there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["masks", "./elsewhere", "s3://bucket/masks"])
def test_a_folder_is_never_taken_for_a_class(
    adele, replace, make_case, make_report, in_empty_folder, place: str
) -> None:
    """A word that is there, or is written as a path, is the argument, not one more value of the option before it."""
    (in_empty_folder / "masks").mkdir()
    correct = replace("correct", lambda _: make_report(make_case("a", "corrected")))
    adele("correct", "--protect", "liver", "spleen", place, "-o", "o")
    assert correct.calls == [((Path(place),), {"out": Path("o"), "protect": ("liver", "spleen")})]


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        ("correct", ["-o", "o", "--protect", "liver", "spleen"], {"out": Path("o"), "protect": ("liver", "spleen")}),
        ("correct", ["-o", "o", "--cases", "a*", "b"], {"out": Path("o"), "cases": ("a*", "b")}),
        ("train", ["--set", "loss.weight=2", "network.width=4"], {"set": ("loss.weight=2", "network.width=4")}),
        ("export", ["--scales", "7/10", "1", "3/2"], {"scales": ("7/10", "1", "3/2")}),
    ],
)
def test_several_values_follow_where_the_argument_is_left_out(
    adele, replace, make_report, in_empty_folder, command, words, expected
) -> None:
    """Masks and runs have defaults, so a second value is not taken for them."""
    call = replace(command, lambda _: make_report())
    adele(command, *words, "--quiet")
    arguments, options = call.calls[0]
    assert set(arguments) <= {None}
    assert options == expected


@pytest.mark.parametrize("words", [["--version"], ["correct", "--bogus"]])
def test_the_package_runs_as_a_module(words: list[str]) -> None:
    """`python -m adelecli` is the same program under the same name."""
    done = subprocess.run([sys.executable, "-m", "adelecli", *words], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if words == ["--version"] else 2)
    assert (done.stdout or done.stderr).startswith("adele " if done.stdout else "Error: adele correct: ")


@pytest.mark.parametrize("value", ["much", "liver=", "1.5", "liver=-1", "=0.8"])
def test_confidence_must_be_a_share(adele, replace, make_report, value: str) -> None:
    """A threshold that is no number from 0 to 1, or an empty name, is a usage error and never the threshold of all."""
    correct = replace("correct", lambda _: make_report())
    assert adele("correct", "m", "-o", "o", "--confidence", value).code == 2
    assert not correct.calls


def test_settings_of_a_family_are_toml(adele, replace) -> None:
    """Numbers, truths and lists keep their type; a plain word needs no quotes."""
    corrupt = replace("corrupt", lambda _: CorruptionReport("affine", 0, {}, (), {}, None, None))
    adele("corrupt", "m", "-o", "o", "--settings", "angle=5.5", "kind=box", "range=[1, 2]", "--no-coherent")
    settings = {"angle": 5.5, "kind": "box", "range": [1, 2]}
    assert corrupt.calls[0][1] == {"out": Path("o"), "settings": settings, "coherent": False}
    assert adele("corrupt", "m", "-o", "o", "--settings", "angle").code == 2


def test_images_by_argument_or_option(adele, replace, make_case, make_report) -> None:
    """`predict` takes its images either way, but not twice."""
    predict = replace("predict", lambda _: make_report(make_case("a", "predicted")))
    adele("predict", "ct", "-o", "o")
    adele("predict", "-i", "ct", "-o", "o")
    assert [args for args, _ in predict.calls] == [(Path("ct"),)] * 2
    assert adele("predict", "ct", "-i", "mr", "-o", "o").code == 2


def test_json_is_the_record_and_nothing_else(adele, replace, make_case, make_report) -> None:
    """--json prints one object on stdout; notices stay on stderr."""

    def act(progress):
        progress(Progress("model", notice="running on the CPU"))
        return make_report(make_case("a", "quarantined", 0.8))

    replace("correct", act)
    ended = adele("correct", "m", "-o", "o", "--json")
    assert json.loads(ended.out)["cases"][0]["changed_share"] == 0.8
    assert ended.out.count("\n") == 1
    assert (ended.err, ended.code) == ("Note: running on the CPU\n", 4)


def test_quiet_shows_nothing(adele, replace, make_case, make_report) -> None:
    """-q leaves the exit code."""

    def act(progress):
        progress(Progress("model", notice="running on the CPU"))
        return make_report(make_case("a", "failed", error="broken"), make_case("b", "corrected"))

    replace("correct", act)
    ended = adele("correct", "m", "-o", "o", "-q")
    assert (ended.code, ended.out, ended.err) == (3, "", "")


@pytest.mark.parametrize(("rank", "told"), [("0", 1), ("1", 0)])
def test_one_process_of_several_tells_the_result(adele, replace, monkeypatch, rank: str, told: int) -> None:
    """Under torchrun every process trains, and stdout still holds one JSON object."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    replace("train", lambda _: {"folder": "runs/a"})
    ended = adele("train", "--json")
    assert ended.code == 0
    assert ended.out.count("runs/a") == told


def test_common_options_come_last_in_the_help() -> None:
    """What is special about a command is read first."""
    names = [option.name for option in find_command("correct").params]
    assert names[-len(COMMON) :] == ["as_json", "quiet", "verbose", "log_json", "log_ids"]
    assert names[:2] == ["masks", "out"]
