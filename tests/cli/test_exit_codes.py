"""Every exit code of every command on real files; with `--json` one document on stdout, as its schema in the package says."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from exit_cases import CALLS, SETS, Call, draw_table, fill_site, fill_stores  # after the line that makes it findable
from rewrite import MARK, PAGE, SCHEMAS

from adelecli.cli.answers import VERSIONS, build_schema, name_schema
from adelecli.cli.app import COMMANDS
from adelecli.errors import AdeleError

CONTRACT = """
name = "box"
output = "logits"
divisor = 1
classes = [{ id = 0, name = "background" }, { id = 1, name = "box" }]
channels = [{ name = "CT", kind = "fixed" }]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    fill_site(folder)
    fill_stores(folder)
    for name in ("images3", "cut3"):
        shutil.copytree(folder / ("images" if name == "images3" else "masks"), folder / name)
        shutil.copy(folder / name / "a.nii.gz", folder / name / "c.nii.gz")
    (folder / "cut3" / "c.nii.gz").write_bytes(b"damaged")
    (folder / "val.txt").write_text("b\n")
    (folder / "contract.toml").write_text(CONTRACT)
    return folder


@pytest.fixture(scope="module")
def run_folder(site: Path) -> Path:
    """A finished training of one epoch, under `runs/run` of the site."""
    pytest.importorskip("torch")
    from adelecli.training.trainer import train

    words = shlex.split(SETS)[1::2]
    masks, images = site / "masks", site / "images"
    made = train(masks, images=images, out=site / "made", epochs=1, device="cpu", set=[*words, "data.val_share=0.5"])
    shutil.copytree(made.folder, site / "runs" / "run")
    return site / "runs" / "run"


def validate(text: str, answer: str) -> dict:
    """One JSON document and a line break, nothing else, that the schema of the package describes."""
    document = json.loads(text)
    assert text.count("\n") == 1
    schema = json.loads(files("adelecli").joinpath("schemas", name_schema(answer)).read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    return document


def list_calls() -> list[object]:
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(call, id=call.name.replace(" ", "_"), marks=marks[call.slow]) for call in CALLS]


@pytest.mark.parametrize("call", list_calls())
def test_a_call_ends_with_its_code_and_its_answer(adele, site: Path, tmp_path: Path, monkeypatch, request, call: Call):
    """The code that the interface promises; stdout holds the answer or the error object; an error is one line on stderr."""
    if call.extra and importlib.util.find_spec(call.extra) is None:
        pytest.skip(f"{call.extra} is not installed")
    if "/runs/run" in call.words:
        request.getfixturevalue("run_folder")
    for name in [name for name in os.environ if name.startswith(("ADELE_", "SLURM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    prepared = call.prepare(site, tmp_path) if call.prepare else None
    words = shlex.split(call.words.format(site=site, new=tmp_path))
    with prepared if isinstance(prepared, AbstractContextManager) and not isinstance(prepared, Path) else nullcontext():
        ended = adele(call.command, *words, "--json")
    assert ended.code == call.code, ended.err
    document = json.loads(ended.out)
    if "error" in document:
        assert validate(ended.out, "error")["code"] == call.code
        assert ended.err.splitlines()[-1] == f"Error: {document['error']}"
    else:
        validate(ended.out, call.command)
        assert "Traceback" not in ended.err
    assert not list(tmp_path.glob("*:"))  # no folder named `s3:` either, where an address was to be written to


def test_every_command_has_a_schema_and_every_code_a_call() -> None:
    """Of the codes but 1 (a bug) and 130 (a signal), which have tests of their own; each command ends well and badly."""
    assert set(VERSIONS) == {*COMMANDS, "error", "log"}
    assert {call.code for call in CALLS} == {0, 4, *(kind.exit_code for kind in AdeleError.__subclasses__())}
    for command in COMMANDS:
        assert {0, 2} <= {call.code for call in CALLS if call.command == command}


@pytest.mark.parametrize("answer", VERSIONS)
def test_the_schemas_in_the_package_are_those_of_the_types(answer: str) -> None:
    """Other programs read the files; when this fails, run `tests/cli/rewrite.py` (and raise the version where a meaning changed)."""
    if answer in {"train", "export", "demo", "bench"}:
        pytest.importorskip("torch")
    schema = json.loads((SCHEMAS / name_schema(answer)).read_text(encoding="utf-8"))
    assert schema == json.loads(json.dumps(build_schema(answer)))
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("answer", VERSIONS)
def test_the_schema_of_an_answer_can_be_asked_for(adele, answer: str) -> None:
    """`adele --schema NAME` prints the file of the package."""
    ended = adele("--schema", answer)
    assert (ended.code, ended.out) == (0, (SCHEMAS / name_schema(answer)).read_text(encoding="utf-8"))


def test_a_schema_that_there_is_not_is_a_usage_error(adele) -> None:
    """And lists those there are."""
    ended = adele("--schema", "nothing")
    assert ended.code == 2
    assert "bench, check, convert" in ended.err


def test_a_document_of_another_shape_is_no_answer() -> None:
    """The schemas do refuse: a missing field, a wrong type, another version."""
    fine = {"path": "r.html", "kind": "run", "bytes": 3, "cases": 0, "drawn": 0, "schema": 1}
    validate(json.dumps(fine) + "\n", "report")
    for wrong in ({"bytes": "3"}, {"schema": 2}, {"path": None}):
        with pytest.raises(jsonschema.ValidationError):
            validate(json.dumps(fine | wrong) + "\n", "report")


def test_the_page_lists_the_calls() -> None:
    """`docs/exit-codes.md` quotes the table; when this fails, run `tests/cli/rewrite.py`."""
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2].strip() == draw_table().strip()
