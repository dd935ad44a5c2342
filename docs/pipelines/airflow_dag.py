"""An Airflow DAG: correct, verify, and write files again. Put it into the folder of DAGs; its parameters are paths that the workers see.

airflow dags trigger clean_masks --conf '{"masks": "/data/masks", "images": "/data/images", "model": "/data/adele.onnx",
"store": "/data/cleaned.zarr", "out": "/data/cleaned"}'
"""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task

PUBLISHED = {0, 3, 4}  # done; some cases failed; some were quarantined
INTERRUPTED = 130
PARAMETERS = {"masks": "masks", "images": "images", "model": "adele.onnx", "store": "cleaned.zarr", "out": "cleaned"}


def call_adele(*words: str) -> dict:
    """The answer of `adele WORDS --json`; an interrupted run fails so that Airflow tries again, any other error would come again."""
    done = subprocess.run(["adele", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in {INTERRUPTED, *PUBLISHED}:
        raise AirflowFailException(done.stdout or f"adele {words[0]} ended with {done.returncode}")
    if done.returncode == INTERRUPTED:
        raise RuntimeError("interrupted; the next try goes on with it")
    return json.loads(done.stdout)


@dag(schedule=None, catchup=False, params=PARAMETERS, tags=["adele"])
def clean_masks() -> None:
    """The whole job."""

    @task(retries=3, retry_delay=timedelta(seconds=5))
    def correct(params: dict[str, str] | None = None) -> list[str]:
        """Correct the masks; the ids of the cases that a person should look at, worst first."""
        assert params is not None  # Airflow fills it in
        where = ("--images", params["images"], "--model", params["model"], "--out", params["store"])
        report = call_adele("correct", params["masks"], *where, "--resume")
        queue = sorted((case for case in report["cases"] if case["rank"]), key=lambda case: case["rank"])
        return [case["id"] for case in queue]

    @task
    def write_files(queue: list[str], params: dict[str, str] | None = None) -> dict[str, object]:
        """Prove the store and write its labels as files; what is to be reviewed, and how many cases there are."""
        assert params is not None
        call_adele("verify", params["store"])
        return {
            "to_review": queue,
            "cases": len(call_adele("convert", params["store"], "--out", params["out"], "--overwrite")["cases"]),
        }

    write_files(correct())


clean_masks()
