"""The files of docs/pipelines do what their page says: run by bash, and by the engines where those are installed.

An engine counts as installed when its program is on the PATH, or in a folder that `ADELE_ENGINES` names; `make test-slow` installs
each in an environment of its own and names those.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from adelecli.cli.app import COMMANDS, program
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "docs" / "pipelines"
ENGINES = os.environ.get("ADELE_ENGINES", "")
PATIENCE_S = 300


def make_environment(folder: Path, **more: str) -> dict[str, str]:
    """A PATH with a program `adele` that runs this tree, in whatever environment the engine lives; no telemetry."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    adele = programs / "adele"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from adelecli.cli.app import main; main()"
    adele.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n', encoding="utf-8")
    adele.chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PYTHONPATH"))}
    path = os.pathsep.join(filter(None, [str(programs), ENGINES, os.environ["PATH"]]))
    return plain | {"PATH": path, "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1"} | more


def find_engine(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join(filter(None, [ENGINES, os.environ["PATH"]])))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(words: list[str], folder: Path, **more: str) -> str:
    """Stdout of a program that must end with 0."""
    environment = make_environment(folder, **more)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_slurm_array_makes_one_store(folder: Path) -> None:
    """The tasks of an array of three, of which one has nothing to do; said again, nothing is done twice."""
    words = ["bash", str(PIPELINES / "slurm_array.sh"), "masks", "images", "weights/adele.onnx", "cleaned.zarr"]
    array = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "3"}
    for again in (False, True):
        done = []
        for task in "123":
            run(words, folder, SLURM_ARRAY_TASK_ID=task, **array)
            report = json.loads((folder / f"cleaned.zarr.report-{task}.json").read_text())
            assert report["run"]["shard"] == f"{task}/3"
            assert all(case["resumed"] is again for case in report["cases"])
            done += [case["id"] for case in report["cases"]]
        assert sorted(done) == ["a", "b"]
    assert verify(folder / "cleaned.zarr").findings == ()


def make_batch(folder: Path, name: str) -> None:
    for kind in ("images", "masks"):
        shutil.copytree(folder / kind, folder / "inbox" / name / kind)
    (folder / "inbox" / name / "READY").touch()


def test_a_watched_folder_is_worked_off(folder: Path) -> None:
    """Batches that are ready are done once each; a bad one is told by its code and stops nothing; one that is not ready waits."""
    make_batch(folder, "good")
    make_batch(folder, "bad")
    for mask in (folder / "inbox" / "bad" / "masks").iterdir():
        mask.write_bytes(b"damaged")
    make_batch(folder, "early")
    (folder / "inbox" / "early" / "READY").unlink()
    words = [str(PIPELINES / "watch_folder.sh"), "inbox", "outbox", "weights/adele.onnx"]
    run(words, folder, INTERVAL="0")
    codes = {path.stem: path.read_text().strip() for path in (folder / "outbox").glob("*.done")}
    assert codes == {"good": "0", "bad": "7"}
    assert open_store(folder / "outbox" / "good.zarr").case_ids() == ("a", "b")
    assert json.loads((folder / "outbox" / "good.json").read_text())["run"]["command"] == "correct"
    logged = (folder / "outbox" / "good.jsonl").read_text()
    (folder / "inbox" / "early" / "READY").touch()
    run(words, folder, INTERVAL="0")
    assert (folder / "outbox" / "early.done").read_text() == "0\n"
    assert (folder / "outbox" / "good.jsonl").read_text() == logged


def test_the_watching_loop_ends_when_it_is_asked_to(folder: Path) -> None:
    """SIGTERM while it waits for the next batch: it ends at once."""
    make_batch(folder, "good")
    words = [str(PIPELINES / "watch_folder.sh"), "inbox", "outbox", "weights/adele.onnx"]
    with subprocess.Popen(words, cwd=folder, env=make_environment(folder, INTERVAL="3600")) as loop:
        end = time.monotonic() + PATIENCE_S
        while not (folder / "outbox" / "good.done").exists() and loop.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        loop.terminate()
        assert loop.wait(PATIENCE_S) == 0
    assert (folder / "outbox" / "good.done").read_text() == "0\n"


@pytest.mark.slow
def test_snakemake_runs_the_rules(folder: Path) -> None:
    """Report, store and files; a second run finds nothing to do."""
    words = [
        find_engine("snakemake"),
        "--cores",
        "2",
        "--rerun-incomplete",
        "--snakefile",
        str(PIPELINES / "Snakefile"),
    ]
    run(words, folder)
    assert len(json.loads((folder / "report.json").read_text())["cases"]) == 2
    assert sorted(path.name for path in (folder / "cleaned").glob("*.nii.gz")) == ["a.nii.gz", "b.nii.gz"]
    before = (folder / "correct.jsonl").read_text()
    run(words, folder)
    assert (folder / "correct.jsonl").read_text() == before


@pytest.mark.slow
def test_prefect_runs_the_flow(folder: Path) -> None:
    """The flow's result, and its files; run again, it comes to the same."""
    python = Path(find_engine("prefect")).with_name("python")
    words = [str(python), str(PIPELINES / "prefect_flow.py"), "masks", "images", "weights/adele.onnx", "c.zarr", "out"]
    home = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(PATIENCE_S),
    }
    for _ in range(2):
        answer = json.loads(run(words, folder, **home).splitlines()[-1])
        assert (sorted(answer["to_review"]), answer["cases"]) == (["a", "b"], 2)
        assert len(list((folder / "out").glob("*.nii.gz"))) == 2


@pytest.mark.slow
def test_airflow_runs_the_dag(folder: Path) -> None:
    """Every task in order, its files, and the cases to review as the last task's result."""
    home, dag = folder / "airflow", PIPELINES / "airflow_dag.py"
    environment = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    (home / "dags").mkdir(parents=True)
    shutil.copy(dag, home / "dags")
    airflow = find_engine("airflow")
    run([airflow, "db", "migrate"], folder, **environment)
    names = {"masks": "masks", "images": "images", "model": "weights/adele.onnx", "store": "c.zarr", "out": "out"}
    paths = json.dumps({name: str(folder / place) for name, place in names.items()})
    run([airflow, "dags", "test", "clean_masks", "--conf", paths], folder, **environment)
    assert verify(folder / "c.zarr").findings == ()
    assert len(list((folder / "out").glob("*.nii.gz"))) == 2


@pytest.mark.slow
def test_nextflow_runs_the_workflow(folder: Path) -> None:
    """A store and a report a batch."""
    engine = find_engine("nextflow")
    if subprocess.run([engine, "-version"], capture_output=True, check=False).returncode:
        pytest.skip("the launcher of nextflow is here, but not the program that it fetches")
    make_batch(folder, "first")
    model = str(folder / "weights" / "adele.onnx")
    run([engine, "run", str(PIPELINES / "main.nf"), "--batches", f"{folder}/inbox/*", "--model", model], folder)
    assert open_store(folder / "results" / "first.zarr").case_ids() == ("a", "b")


def read_process(name: str, **given: str) -> str:
    """The shell script of a process of main.nf as Nextflow would write it: `${x}` is filled in, escapes are gone."""
    text = (PIPELINES / "main.nf").read_text(encoding="utf-8")
    found = re.search(rf'process {name} {{.*?script:\n\s+"""\n(.*?)"""', text, re.DOTALL)
    assert found is not None
    filled = re.sub(r"(?<!\\)\$\{([\w.() -]+)\}", lambda variable: given[variable[1]], found[1])
    return filled.replace("\\$", "$").replace("\\\\", "\\")


def test_the_scripts_of_the_nextflow_processes_run(folder: Path) -> None:
    """On links in a folder of the task's own, as Nextflow hands inputs over; a failed case is a result, a missing model is none."""
    make_batch(folder, "first")
    task = folder / "work"
    task.mkdir()
    (task / "first").symlink_to(folder / "inbox" / "first")
    (task / "adele.onnx").symlink_to(folder / "weights" / "adele.onnx")
    given = {
        "batch": "first",
        "batch.name": "first",
        "model": "adele.onnx",
        "task.cpus": "2",
        "task.memory.toGiga() - 1": "7",
    }
    words = ["bash", "-ue"]
    run([*words, "-c", read_process("CORRECT", **given)], task)
    assert json.loads((task / "first.json").read_text())["run"]["options"]["workers"] == 2
    (folder / "store").mkdir()
    for name in ("first.zarr", "first.zarr.journal.jsonl"):
        (folder / "store" / name).symlink_to(task / name)
    verify_script = read_process("VERIFY", **{"store": "first.zarr", "store.baseName": "first"})
    run([*words, "-c", verify_script], folder / "store")
    assert json.loads((folder / "store" / "first.verified.json").read_text())["findings"] == []
    (folder / "inbox" / "first" / "masks" / "a.nii.gz").write_bytes(b"damaged")
    shutil.rmtree(task / "first.zarr")
    run([*words, "-c", read_process("CORRECT", **given)], task)
    assert sorted(case["status"] for case in json.loads((task / "first.json").read_text())["cases"]) == [
        "corrected",
        "failed",
    ]
    (task / "adele.onnx").unlink()
    with pytest.raises(AssertionError, match=r"adele\.onnx"):
        run([*words, "-c", read_process("CORRECT", **given)], task)


@pytest.mark.parametrize("file", sorted(path.name for path in PIPELINES.iterdir() if path.suffix != ".md"))
def test_the_options_of_every_file_exist(file: str) -> None:
    """Whether or not an engine is there to run it: each `adele COMMAND` and its options are real, and the page names the file."""
    text = (PIPELINES / file).read_text(encoding="utf-8").replace("\\\\\n", " ").replace("\\\n", " ")
    calls = re.findall(r"^[^#/\"\n]*?\b(?:exec |run )?adele (\w+) (.*)$", text, re.MULTILINE)
    calls += [(name, rest) for name, rest in re.findall(r'call_adele\("(\w+)"(.*)\)', text)]
    assert calls, file
    for name, rest in calls:
        assert name in COMMANDS, f"{file}: {name}"
        command = program.get_command(click.Context(program), name)
        known = {opt for option in command.params for opt in option.opts}
        named = set(re.findall(r"(?<![\w-])--[a-z-]+", rest.partition("&&")[0]))
        assert named <= known, f"{file}: {named - known}"
    assert file in (PIPELINES / "README.md").read_text(encoding="utf-8")
