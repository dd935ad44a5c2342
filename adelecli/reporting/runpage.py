"""What the page of a training run holds: curves, what the correction did epoch by epoch, samples, provenance; as plain values.

Everything comes from the files of the run folder. The figures are drawn anew from its history (``plots``), so a run from which the
plots were deleted, or which is still going on, has its page all the same.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import AdeleError, InputError
from adelecli.reporting.overlays import LEGEND, pick_colour, to_uri
from adelecli.reporting.pictures import Viewer
from adelecli.reporting.previews import draw_previews
from adelecli.reporting.storepage import flatten_record
from adelecli.volumes.cases import Case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HISTORY = "history.jsonl"
SAMPLES = 6
"""Cases whose training labels are shown before and after."""
FIGURES = {
    "curves.png": "Training IoU of each class against the given labels, the fitted growth curve, and the onset of memorisation.",
    "losses.png": "Losses, and the mean IoU on validation cases.",
    "dynamics.png": "On wrongly labelled pixels only: early learning of the truth, and memorisation of the mistakes.",
}


def is_run(place: Path) -> bool:
    """Whether ``place`` is a run folder."""
    return (place / HISTORY).is_file()


def describe_run(place: Path) -> dict[str, Any]:
    """Everything that ``run.html`` prints. Raises ``InputError`` when a file of the run is damaged."""
    history = read_history(place)
    state, run, plan = (_read_object(place / f"{name}.json") for name in ("state", "run", "plan"))
    names = _find_names(plan, len(history[0]["curve"]) if history else 1)
    rows = [_describe_epoch(record) for record in history]
    return {
        "title": place.resolve().name,
        "finished": bool(state.get("finished")),
        "labels": state.get("labels"),
        "epochs": len(history),
        "minutes": sum(record.get("seconds") or 0.0 for record in history) / 60,
        "classes": _describe_classes(history, names),
        "epoch_rows": rows,
        "epoch_columns": {
            name: any(row[name] is not None for row in rows) for name in ("changed", "error", "broken_per_fixed")
        },
        "legend": LEGEND,
        "figures": _draw_figures(history, names),
        "samples": _draw_samples(place / "labels.zarr", _find_sources(plan)),
        "provenance": flatten_record(run),
        "settings": flatten_record(_read_settings(place)),
    }


def read_history(place: Path) -> list[dict[str, Any]]:
    """The epochs of a run folder, one record each; a torn last line (the run was killed) is left out. Raises ``InputError``."""
    path, records = place / HISTORY, []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if number == len(lines):
                break
            raise InputError(
                f"its line {number} is not JSON ({error})", path=path, remedy="resume the run to restore it"
            ) from None
    return records


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"is not JSON ({error})", path=path, remedy="name an intact run folder") from error
    return value if isinstance(value, dict) else {}


def _read_settings(place: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((place / "config.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"is not TOML ({error})", path=place / "config.toml", remedy="name an intact run folder"
        ) from error


def _find_names(plan: Mapping[str, Any], count: int) -> list[str]:
    """The names of the classes, background first: those of the plan, else numbers."""
    names = [str(name) for name in plan.get("class_names") or []]
    return names if len(names) == count else ["background", *(f"class {number}" for number in range(1, count))]


def _find_sources(plan: Mapping[str, Any]) -> dict[str, Case]:
    """The image files that the run was made from, as far as they still lie where they lay."""
    found = {}
    for entry in plan.get("cases") or []:
        paths = tuple(Path(path) for path in entry.get("images") or ())
        if paths and all(path.is_file() for path in paths):
            found[str(entry["id"])] = Case(str(entry["id"]), paths)
    return found


def _describe_classes(history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Per foreground class: the last training IoU, the onset, and the last validation IoU."""
    if not history:
        return []
    last = history[-1]
    scores = ((last.get("val") or {}).get("teacher") or (last.get("val") or {}).get("student") or {}).get("iou")
    onsets = last.get("onset") or [None] * len(names)
    return [
        {
            "name": names[place],
            "colour": pick_colour(place - 1),
            "iou": last["curve"][place],
            "onset": onsets[place],
            "validation": None if not scores else scores[place],
        }
        for place in range(1, len(names))
    ]


def _describe_epoch(record: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the table of epochs; ``None`` for what was not measured."""
    losses = {name: value for name, value in record["losses"].items() if name != "skipped"}
    validation = record.get("val") or {}
    error = record.get("label_error") or {}
    return {
        "epoch": record["epoch"],
        "loss": sum(losses.values()),
        "validation": (validation.get("teacher") or validation.get("student") or {}).get("mean_iou"),
        "changed": _count_corrections(record.get("corrections")),
        "error": error.get("after"),
        "broken_per_fixed": error.get("broken_per_fixed"),
        "seconds": record.get("seconds"),
    }


def _count_corrections(corrections: object) -> int | None:
    """Changed pixels of an epoch: what the classes gained altogether (each changed pixel is gained by one class)."""
    if isinstance(corrections, dict):
        added = corrections.get("added")
        if isinstance(added, list):
            return sum(int(count or 0) for count in added)
        changed = corrections.get("changed")
        return int(changed) if isinstance(changed, int | float) else None
    return None


def _draw_figures(history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a caption and a picture; none without epochs."""
    from adelecli.reporting.plots import draw_run_plots

    if not history:
        return []
    with tempfile.TemporaryDirectory() as folder:
        made = draw_run_plots(Path(folder), history, names)
        return [(FIGURES[path.name], to_uri(path.read_bytes())) for path in made]


def _draw_samples(path: Path, sources: Mapping[str, Case]) -> list[dict[str, Any]]:
    """Before, after and difference of the training labels of the cases that changed most; none where no labels were kept."""
    from adelecli.store.collection import open_store

    if not (path / "zarr.json").is_file():
        return []
    store = open_store(path)
    found = []
    for case in store.case_ids():
        try:
            viewer = Viewer(store, case)
            if viewer.has_before:
                before, after = (store.read(case, name) for name in ("original", "corrected"))
                found.append((int(np.count_nonzero(before != after)), case))
        except AdeleError:
            continue  # a damaged case is the business of `adele verify`
    most = sorted(found, key=lambda pair: (-pair[0], pair[1]))[:SAMPLES]
    return [_draw_sample(Viewer(store, case, sources.get(case)), changed) for changed, case in most if changed]


def _draw_sample(viewer: Viewer, changed: int) -> dict[str, Any]:
    ids = [int(entry["id"]) for entry in viewer.store.class_entries(viewer.case) if entry["id"] != 0]
    return {"id": viewer.case, "changed": changed, "preview": draw_previews(viewer, ids, planes=1)[0]}
