"""How fast `correct` is, and how much memory it takes: one row of the table at a time, against what it must be compared with.

    python benchmarks/correct_speed.py ROW --work /tmp/speed [--side 256|512] [--slices 200] [--size 512] [--runs 7]

ROW is one of bare, monai, memory, torch, int8, arena, skipping, workers, start. Every measurement is a process of its own; the
two sides of a comparison alternate, and the figure is the ratio of their medians in this one run, so that a busy machine
disturbs both. Writes ``benchmarks/results/correct-ROW[-SIDE].json``. ``int8`` compares ``--model FILE`` with ``--other FILE``, or
the default network with its own int8 form.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"
ASIDE = Path(__file__).with_name("speed_sides.py")
LIMITS = {
    "bare": ("most", 1.25, 1.1),
    "monai": ("least", 1.5, 2.0),
    "memory": ("most", 1.1, 1.02),
    "torch": ("most", 0.8, 0.7),
    "torch-last": ("most", 0.95, 0.88),
    "int8": ("most", 0.4, 0.25),
    "arena": ("most", 400.0, 250.0),
    "skipping": ("least", 2.0, 2.4),
    "workers": ("least", 1.7, 1.9),
    "start": ("most", 1.5, 0.8),
}
"""Row -> the direction, what must be reached, what is aimed at (see the issue that asked for them)."""


def main() -> None:
    """Measure one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=sorted({name.removesuffix("-last") for name in LIMITS}))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument(
        "--cores", type=int, default=os.cpu_count(), help="threads of the networks of `torch` and `int8`"
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--other", type=Path)
    options = parser.parse_args()
    rows = globals()[f"measure_{options.row}"](options)
    for name, figures in rows.items():
        direction, must, aim = LIMITS[name]
        value = figures["value"]
        reached = value <= must if direction == "most" else value >= must
        figures |= {"direction": direction, "must": must, "aim": aim, "reached": reached}
        figures |= {"slices": options.slices, "size": options.size, "side": options.side, "runs": options.runs}
        if options.row in {"torch", "int8"}:
            figures["threads"] = options.cores
        print(f"{name}: {value:.3f} (must: {direction} {must}, aim {aim}) {'reached' if reached else 'NOT reached'}")
    RESULTS.mkdir(exist_ok=True)
    suffix = f"-{options.side}" if options.row in {"bare", "monai", "torch", "int8", "skipping"} else ""
    suffix += "-one-thread" if options.cores == 1 else ""
    target = RESULTS / f"correct-{options.row}{suffix}.json"
    target.write_text(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1) + "\n")
    print(f"in {target}")


def run_side(side: str, options: argparse.Namespace, **given: object) -> dict[str, float]:
    """One side of a comparison in a process of its own (`speed_sides.py`), which prints what it measured as JSON."""
    task = {
        "side": side,
        "work": str(options.work),
        "shown": options.side,
        "slices": options.slices,
        "size": options.size,
        "cores": options.cores,
        "model": str(options.model or ""),
        "other": str(options.other or ""),
    } | given
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, ASIDE, json.dumps(task)], check=True, capture_output=True, text=True)
    return {"wall": time.perf_counter() - begin} | json.loads(done.stdout.splitlines()[-1])


def alternate(sides: dict[str, dict[str, object]], options: argparse.Namespace, name: str) -> dict[str, list[float]]:
    """The figure ``name`` of each side, ``runs`` times in turn; the first turn only warms the file cache."""
    measured: dict[str, list[float]] = {label: [] for label in sides}
    for turn in range(options.runs + 1):
        for label, given in sides.items():
            figure = run_side(str(given["side"]), options, **{k: v for k, v in given.items() if k != "side"})[name]
            if turn:
                measured[label].append(figure)
                print(f"  {label} {figure:.3f}", flush=True)
    return measured


def compare(measured: dict[str, list[float]], over: str, under: str) -> dict[str, object]:
    """The ratio of two medians, with what it was made from."""
    value = median(measured[over]) / median(measured[under])
    return {"value": value, "medians": {k: median(v) for k, v in measured.items()}, "measured": measured}


def measure_bare(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """`correct` from file to store, against a bare loop of `session.run` on the tiles that it runs."""
    measured = alternate({"correct": {"side": "correct"}, "bare": {"side": "bare"}}, options, "seconds")
    return {"bare": compare(measured, "correct", "bare")}


def measure_monai(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """The same work with MONAI's sliding window on the torch network and the rule in numpy, against `correct`."""
    measured = alternate({"correct": {"side": "correct"}, "monai": {"side": "monai"}}, options, "seconds")
    return {"monai": compare(measured, "monai", "correct")}


def measure_memory(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Peak memory beyond that of the session after one slice, of a volume four times as deep against this one."""
    sides = {"deep": {"side": "correct", "slices": 4 * options.slices}, "flat": {"side": "correct"}}
    return {"memory": compare(alternate(sides, options, "beyond_mb"), "deep", "flat")}


def measure_torch(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """The multi-scale graph in onnxruntime against torch eager, in both memory layouts, equal threads, one process."""
    sides = {"onnx": {"side": "onnx"}, "nchw": {"side": "eager"}, "last": {"side": "eager", "last": True}}
    measured = alternate(sides, options, "seconds")
    return {"torch": compare(measured, "onnx", "nchw"), "torch-last": compare(measured, "onnx", "last")}


def measure_int8(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """The int8 model against the fp32 one, and the share of labels that differ on phantom slices."""
    if options.other is None:
        options.other = options.work / f"int8-{options.side}.onnx"
        run_side("quantise", options)
    sides = {"fp32": {"side": "onnx"}, "int8": {"side": "onnx", "model": str(options.other)}}
    row = compare(alternate(sides, options, "seconds"), "int8", "fp32")
    return {"int8": row | {"labels_differ": run_side("differ", options)["share"]}}


def measure_arena(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Resident memory of the process, in MB, after one slice of 1024 x 1024 and back at 256 x 256."""
    measured = alternate({"session": {"side": "arena"}}, options, "resident_mb")
    return {"arena": {"value": median(measured["session"]), "measured": measured}}


def measure_skipping(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """A volume of which 60 % of the slices hold no foreground, all slices run, against skipping what cannot change."""
    sides = {"skipping": {"side": "correct", "filled": 0.4}, "all": {"side": "correct", "filled": 0.4, "skip": False}}
    return {"skipping": compare(alternate(sides, options, "seconds"), "all", "skipping")}


def measure_workers(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """``--cases`` volumes with one thread, against two worker processes of one thread each."""
    sides = {
        "one": {"side": "correct", "cases": options.cases, "threads": 1},
        "two": {"side": "correct", "cases": options.cases, "workers": 2},
    }
    return {"workers": compare(alternate(sides, options, "seconds"), "one", "two")}


def measure_start(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Seconds from the start of Python to the first answer of the network, on 256 x 256 pixels."""
    measured = alternate({"start": {"side": "start"}}, options, "wall")
    return {"start": {"value": median(measured["start"]), "measured": measured}}


if __name__ == "__main__":
    main()
