"""Damage to bytes, drawn by hypothesis: flips, numbers that mean too much, cuts, repetitions; in the head more often than elsewhere."""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 10**6, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1)
KINDS = ("flip", "byte", "number", "zero", "cut", "drop", "repeat", "insert")
HEAD = 400

MUTATION = st.tuples(
    st.sampled_from(KINDS), st.booleans(), st.integers(0, 2**20), st.integers(0, 255), st.sampled_from(NUMBERS)
)
MUTATIONS = st.lists(MUTATION, min_size=1, max_size=5)

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**6, 2**53, 1.5, 1e308, "", "x", "../../x", "/etc", "nan", [], {}, [[]], [10**6] * 3, {"": {}},
)  # fmt: skip


def damage_bytes(content: bytes, mutations: list[tuple[str, bool, int, int, int]]) -> bytes:
    """``content`` after the mutations, one after another."""
    data = bytearray(content)
    for kind, in_head, place, byte, number in mutations:
        if not data:
            break
        at = place % min(HEAD, len(data)) if in_head else place % len(data)
        if kind == "flip":
            data[at] ^= 1 << byte % 8
        elif kind == "byte":
            data[at] = byte
        elif kind == "number":
            size = (1, 2, 4, 8)[byte % 4]
            packed = struct.pack("<Q" if byte & 64 else ">Q", number)
            packed = packed[:size] if byte & 64 else packed[-size:]
            data[at : at + size] = packed
        elif kind == "zero":
            data[at : at + byte] = bytes(min(byte, len(data) - at))
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + byte]
        elif kind == "repeat":
            data[at:at] = data[at : at + byte] * (1 + number % 50)
        else:
            data[at:at] = bytes([byte]) * (1 + number % 9)
    return bytes(data)


def damage_json(text: bytes, mutations: list[tuple[str, bool, int, int, int]]) -> bytes:
    """A JSON document whose values were exchanged or removed: still JSON, another form."""
    document = json.loads(text)
    for kind, _, place, byte, _ in mutations:
        holder, key = _choose_place(document, place)
        if holder is None:
            continue
        if kind in {"cut", "drop"}:
            del holder[key]
        else:
            holder[key] = deepcopy(VALUES[byte % len(VALUES)])
    return json.dumps(document).encode()


def _choose_place(document: Any, place: int) -> tuple[Any, Any]:
    places = list(_list_places(document))
    return places[place % len(places)] if places else (None, None)


def _list_places(node: Any) -> Any:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _list_places(node[key])
