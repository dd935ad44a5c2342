"""Group documents."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from adelecli.store.documents import is_sealed, read_document, to_plain, write_group


class Record(msgspec.Struct):
    share: float


def test_what_pipelines_hold_becomes_plain_json() -> None:
    """Numpy scalars, arrays, paths, structs and tuples are converted; NaN, which is no JSON, becomes null."""
    value = {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x"), "d": Record(float("nan")), 1: (2,)}
    assert to_plain(value) == {"a": 0.5, "b": [0, 1], "c": "x", "d": {"share": None}, "1": [2]}


def test_what_is_no_data_is_refused() -> None:
    """An object without a JSON form is a mistake of the caller."""
    with pytest.raises(TypeError, match="cannot be stored"):
        to_plain({"x": object()})


def test_any_altered_value_breaks_the_seal(tmp_path: Path) -> None:
    """The seal covers the whole document, whatever its formatting."""
    write_group(tmp_path, {"adele": {"id": "a", "share": 0.1}}, seal=True)
    document = read_document(tmp_path)
    (tmp_path / "zarr.json").write_text(json.dumps(document, indent=7))
    assert is_sealed(read_document(tmp_path))
    assert not is_sealed({**document, "zarr_format": 2})
    document["attributes"]["adele"]["share"] = 0.2
    assert not is_sealed(document)
    assert not is_sealed({})
