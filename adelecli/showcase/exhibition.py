"""Which of the demo's products are drawn: reads them back from where the commands put them, so that a picture cannot lie.

What must hold: the cases shown are the first ones, the slices those that ``pictures.choose_slice`` takes without seeing the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adelecli.reporting.plots import ErrorBar, draw_curves, draw_dynamics, draw_label_errors, draw_scores, read_scores
from adelecli.showcase.phantom import CLASS_NAMES
from adelecli.showcase.pictures import View, choose_slice, draw_overlays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from adelecli.pipeline.scores import ErrorRate, Evaluation

    History = Sequence[Mapping[str, Any]]

ROWS = 3


def draw_pictures(
    folder: Path, histories: Mapping[str, History], training: Sequence[str], labels: Evaluation
) -> tuple[Path, ...]:
    """Draw everything into ``folder/pictures``; ``training`` names the corrected cases. Returns the files."""
    baseline, adele = histories["baseline"], histories["adele"]
    target = folder / "pictures"
    bars = [("all organs", labels.label_error), *((row.name, row.label_error) for row in labels.classes)]
    scores = {
        "noisy labels": read_scores(baseline, "student"),
        "noisy labels + moving average": read_scores(baseline, "teacher"),
        "true labels": read_scores(histories["clean"], "teacher"),
        "ADELE": read_scores(adele, "teacher"),
    }
    return (
        draw_overlays(target / "overlays.png", read_views(folder, training[:ROWS]), CLASS_NAMES),
        draw_label_errors(target / "label_errors.png", _make_bars(bars), note=f"{len(training)} training cases"),
        draw_curves(target / "curves.png", adele, CLASS_NAMES),
        draw_dynamics(target / "dynamics.png", {"noisy labels": baseline, "ADELE": adele}, CLASS_NAMES),
        draw_scores(target / "scores.png", scores, "Mean IoU on unseen patients"),
    )


def _make_bars(rates: Sequence[tuple[str, ErrorRate | None]]) -> list[ErrorBar]:
    """Only what was measured; a class without a label error has no bar."""
    return [
        ErrorBar(name, rate.error_before, rate.error_after)
        for name, rate in rates
        if rate is not None and rate.error_before is not None and rate.error_after is not None
    ]


def read_views(folder: Path, cases: Sequence[str]) -> list[View]:
    """One slice of each case, each from another height, as it stands in the files."""
    from adelecli.store.collection import open_store
    from adelecli.volumes.cases import Case
    from adelecli.volumes.reading import read_image, read_labels

    store = open_store(folder / "cleaned.zarr")
    views = []
    for row, name in enumerate(cases):
        image = read_image(Case(name, (folder / "images" / f"{name}.nii.gz",), None))
        true = read_labels(folder / "masks" / f"{name}.nii.gz").array.astype("uint8")
        noisy, corrected = (store.read(name, which).astype("uint8") for which in ("original", "corrected"))
        z = choose_slice(noisy, true, (row, len(cases)))
        title = f"{name}, slice {z + 1} of {len(true)}"
        views.append(View(title, image.array[0, z], noisy[z], corrected[z], true[z], image.geometry.spacing[1:]))
    return views
