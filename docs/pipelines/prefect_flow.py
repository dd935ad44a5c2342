"""A Prefect flow: correct, verify, and write files again. `python prefect_flow.py masks images weights/adele.onnx cleaned.zarr cleaned`."""

from __future__ import annotations

import json
import subprocess
import sys

from prefect import flow, task

PUBLISHED = {0, 3, 4}  # done; some cases failed; some were quarantined
INTERRUPTED = 130


class InterruptedRunError(RuntimeError):
    """The run was stopped from outside; the same command goes on with it."""


def call_adele(*words: str) -> dict:
    """The answer of `adele WORDS --json`; raises when nothing usable came out."""
    done = subprocess.run(["adele", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    answer = json.loads(done.stdout)
    if done.returncode == INTERRUPTED:
        raise InterruptedRunError(answer["error"])
    if done.returncode not in PUBLISHED:
        raise RuntimeError(answer.get("error", f"adele {words[0]} ended with {done.returncode}"))
    return answer


def may_retry(_task: object, _run: object, state: object) -> bool:
    """Only an interruption is worth another try: every other error would come again."""
    return isinstance(state.result(raise_on_failure=False), InterruptedRunError)  # type: ignore[attr-defined]


@task(retries=3, retry_delay_seconds=5, retry_condition_fn=may_retry)
def correct(masks: str, images: str, model: str, store: str) -> list[str]:
    """Correct the masks; the ids of the cases that a person should look at, worst first."""
    report = call_adele("correct", masks, "--images", images, "--model", model, "--out", store, "--resume")
    queue = sorted((case for case in report["cases"] if case["rank"]), key=lambda case: case["rank"])
    return [case["id"] for case in queue]


@task
def write_files(store: str, out: str) -> int:
    """Prove the store and write its labels as files; how many cases there are."""
    call_adele("verify", store)
    return len(call_adele("convert", store, "--out", out, "--overwrite")["cases"])


@flow
def clean(masks: str, images: str, model: str, store: str, out: str) -> dict:
    """The whole job."""
    queue = correct(masks, images, model, store)
    return {"to_review": queue, "cases": write_files(store, out)}


if __name__ == "__main__":
    print(json.dumps(clean(*sys.argv[1:])))
