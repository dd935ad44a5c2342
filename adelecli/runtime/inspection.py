"""What stands inside an ONNX file, read without the `onnx` package and without running anything.

onnxruntime loads some files that this project refuses: weights kept in other files (looked for in the current folder
when a model is loaded from bytes), operators from outside the standard, weights with a flipped bit. So the bytes are
walked once as what they are, protocol buffers. Only the messages of onnx.proto named below are entered, without
recursion, so that no file can exhaust the stack; a field that stands twice is looked at twice, so that nothing hides.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from adelecli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})

# onnx.proto: for each message, its fields that hold messages in which a tensor or an operator can stand
_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "initializer", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_OPERATOR, _DOMAIN = 4, 7  # of a node
_DIMS, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 8, 9, 13, 14  # of a tensor
_MOST_VALUES = 1 << 32
"""Of one tensor: a file has at most 2^30 bytes, and no type takes less than two bits."""

_Fields = dict[int, list[memoryview]]


@dataclass(frozen=True)
class Anatomy:
    """What was found, and the hash of the weights.

    ``external``: tensors kept in other files; ``foreign``: operators; ``absurd``: tensors that claim more values than a file can hold.
    ``weights_sha256``: over the raw data of the initializers in the order of their names, so it does not change with
    the metadata that records it.
    """

    external: tuple[str, ...]
    foreign: tuple[str, ...]
    absurd: tuple[str, ...]
    weights_sha256: str


def inspect_model(blob: bytes, path: object = None) -> Anatomy:
    """Walk the bytes of an ONNX file. Raises ModelError naming ``path`` when they are not one."""
    external: list[str] = []
    absurd: list[str] = []
    foreign: set[str] = set()
    weights: list[tuple[str, list[memoryview]]] = []
    try:
        for kind, fields in _walk(memoryview(blob)):
            if kind in {"initializer", "tensor"} and _is_external(fields):
                external.append(_text(fields, _NAME))
            if kind in {"initializer", "tensor"} and prod(_read_sizes(fields.get(_DIMS, []))) > _MOST_VALUES:
                absurd.append(_text(fields, _NAME))
            if kind == "initializer":
                weights.append((_text(fields, _NAME), fields.get(_RAW_DATA, [])))
            if kind == "node" and _text(fields, _DOMAIN) not in STANDARD_DOMAINS:
                foreign.add(f"{_text(fields, _DOMAIN)}.{_text(fields, _OPERATOR)}")
    except ValueError as error:
        raise ModelError(f"is not an ONNX file ({error})", path=path) from None
    digest = hashlib.sha256()
    for _, parts in sorted(weights, key=lambda weight: weight[0]):
        for part in parts:
            digest.update(part)
    return Anatomy(tuple(sorted(external)), tuple(sorted(foreign)), tuple(sorted(absurd)), digest.hexdigest())


def hash_weights(blob: bytes) -> str:
    """The hash that a contract records as ``weights_sha256``. Raises ModelError when ``blob`` is not an ONNX file."""
    return inspect_model(blob).weights_sha256


def _is_external(tensor: _Fields) -> bool:
    return _EXTERNAL_DATA in tensor or any(bytes(value) != b"\x00" for value in tensor.get(_DATA_LOCATION, []))


def _read_sizes(values: list[memoryview]) -> Iterator[int]:
    """The sizes of a tensor: one number a field, or several packed into one; both are varints."""
    for value in values:
        position = 0
        while position < len(value):
            size, position = _read_varint(value, position)
            yield size


def _text(fields: _Fields, number: int) -> str:
    return b"/".join(fields.get(number, [])).decode("utf-8", "replace")


def _walk(blob: memoryview) -> Iterator[tuple[str, _Fields]]:
    """Every message that `_INSIDE` leads to, the model first. Raises ValueError for bytes that are no messages."""
    waiting = [("model", blob)]
    while waiting:
        kind, message = waiting.pop()
        fields = _read_fields(message)
        if kind == "model" and not any(fields.get(number) for number in _INSIDE["model"]):
            raise ValueError("no graph in it")
        yield kind, fields
        for number, inner in _INSIDE.get(kind, {}).items():
            waiting += [(inner, part) for part in fields.get(number, [])]


def _read_fields(message: memoryview) -> _Fields:
    """The fields of one message by number; a value is a view of its bytes, whatever its type."""
    fields: _Fields = {}
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        start, end = _find_value(message, position, key & 7)
        if end > len(message):
            raise ValueError("it ends too early")
        fields.setdefault(key >> 3, []).append(message[start:end])
        position = end
    return fields


def _find_value(message: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    """Where the value of a field begins and ends, by the wire types of protocol buffers."""
    match wire_type:
        case 0:
            return position, _read_varint(message, position)[1]
        case 1:
            return position, position + 8
        case 2:
            length, start = _read_varint(message, position)
            return start, start + length
        case 5:
            return position, position + 4
        case _:
            raise ValueError("no protocol buffer")


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """A base-128 number and the position after it."""
    value = 0
    for i, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise ValueError("it ends too early")
