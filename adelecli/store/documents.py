"""zarr.json of groups: written strictly, sealed with their own hash, read without zarr.

A group's document is three keys of JSON. Writing it here keeps NaN out (zarr-python would write a bare ``NaN``, which
is not JSON) and lets a listing of many thousand cases read one small file each. A sealed document holds the sha256 of
the rest of itself in ``attributes.adele.sha256``, so that damage to the one file that vouches for all others shows too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from adelecli.store.layout import DOCUMENT

Document = dict[str, Any]

MAX_BYTES = 1 << 26
"""A record of 65,535 classes takes less; a larger file is not read."""


def to_plain(value: object) -> Any:
    """``value`` as plain JSON types: numpy scalars and paths converted, NaN and infinity become null."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_convert))


def _convert(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


def write_group(folder: Path, attributes: Mapping[str, object], *, seal: bool = False) -> None:
    """Write the document of the zarr v3 group ``folder``, which is made when missing."""
    document: Document = {"zarr_format": 3, "node_type": "group", "attributes": to_plain(attributes)}
    if seal:
        document["attributes"]["adele"]["sha256"] = compute_seal(document)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")


def read_document(folder: Path) -> Document:
    """The document of the zarr node ``folder``; ``OSError`` when missing, ``ValueError`` when not a JSON object."""
    path = folder / DOCUMENT
    if not path.is_file() and path.exists():
        raise ValueError(f"{DOCUMENT} is no file")  # a pipe would be waited for, a device read without an end
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{DOCUMENT} has {path.stat().st_size} bytes, no group or array needs as many")
    try:
        document = msgspec.json.decode(path.read_bytes())
    except RecursionError as error:
        raise ValueError(f"{DOCUMENT} is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError(f"{DOCUMENT} is not an object")  # noqa: TRY004  # damage to a file, not a caller's wrong type
    return document


def adele_attributes(document: Document) -> Document:
    """The ``adele`` attributes of a document; empty when it has none: a stranger's group reads as not ours."""
    attributes = document.get("attributes")
    ours = attributes.get("adele") if isinstance(attributes, dict) else None
    return ours if isinstance(ours, dict) else {}


def compute_seal(document: Document) -> str:
    """sha256 of the canonical JSON of ``document`` without the seal itself."""
    attributes = document["attributes"]
    ours = {key: value for key, value in attributes["adele"].items() if key != "sha256"}
    bare = {**document, "attributes": {**attributes, "adele": ours}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_sealed(document: Document) -> bool:
    """Whether the document still is what was sealed."""
    ours = adele_attributes(document)
    return "sha256" in ours and ours["sha256"] == compute_seal(document)
