"""Labels are corrected by predictions along the drawn outline, and ranked by what the network itself thinks of them."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import make_contract, make_model

from adelecli.pipeline.correction import correct
from adelecli.store.collection import open_store


def run(data, outline: float, **options: object):
    make_model(data.model, make_contract(outline=outline))
    report = correct(data.masks, out=data.root / f"{outline}.zarr", model=data.model, overwrite=True, **options)
    return report.cases[0], open_store(data.root / f"{outline}.zarr").read("case_1")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_outline_decides_about_labels_and_not_about_who_is_looked_at(data, workers: int) -> None:
    """Other labels, and the same disagreement, confidence and jumps; with the slices shared by two processes as well."""
    data.add("case_1")
    (plain, labels), (moved, other) = (run(data, weight, workers=workers) for weight in (0.0, 1.0))
    assert (labels != other).any()
    assert plain.classes != moved.classes
    assert (plain.disagreement, plain.mean_confidence, plain.jumps, plain.far_jumps) == (
        moved.disagreement,
        moved.mean_confidence,
        moved.jumps,
        moved.far_jumps,
    )
    assert plain.disagreement
    assert plain.disagreement > 0
    assert np.isfinite(moved.mean_confidence)
