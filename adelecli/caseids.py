"""What can be a case id, which ids are one and the same to some file system, and where a case lies in a store.

Hospitals call their files as people are called, so an id is any name of letters, marks, digits, signs and spaces, in Unicode's
composed form (NFC): macOS hands out decomposed names, and a mask must find its image. What must hold:

* An id of ``A-Z a-z 0-9 . _ -`` is its own folder, as in every store so far. Any other id gets a folder of those characters (which zarr
  recommends for nodes, and which mean the same on Windows, macOS, S3 and in a URL, where a ``%`` would be decoded on the way):
  ``_`` (no plain id starts so), what is readable of the id, and a hash. The id itself stands in the documents of the case.
* Ids that a file system, or a person who types, could take for one another fold together, and a data set or a store never has two of them.
* No id holds what a terminal, a shell, a spreadsheet of paths or a file system would obey.

Sources: zarr v3, "node names"; UAX 15 (normalisation); The Unicode Standard, 3.13, D147 (caseless matching); Microsoft, "Naming files".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from adelecli.errors import CaseError, escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 248
"""Bytes of UTF-8: a file of that name still takes ``.nii.gz`` within the 255 that file systems give."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ENCODED = re.compile(r"_[a-z0-9-]{0,40}\.([0-9a-f]{32})[0-9a-f]{8}")
# Names that mean something to zarr and OME-Zarr, and so are no folders; or that Windows creates no file of.
_OF_STORES = {"zarr.json", "ome", "labels"}
_OF_WINDOWS = {"con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(10))}
_FORBIDDEN = frozenset('/\\:*?"<>|')
# Persian and Indic spelling needs the joiners; all other signs without a shape are refused.
_JOINERS = frozenset("\u200c\u200d")
_SHAPELESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# What Unicode calls default ignorable (DerivedCoreProperties), as far as it is not refused anyway.
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_RENAME = "rename it with letters, digits, spaces, dots, dashes and underscores"


def compose_id(name: str) -> str:
    r"""The id that ``name`` stands for: the same text in composed form (NFC).

    >>> compose_id("Mu\u0308ller") == "M\u00fcller"
    True
    """
    return unicodedata.normalize("NFC", name)


def fold_id(name: str) -> str:
    """What is left of an id where case, spelling of accents, width, invisible signs and spaces or dots at its ends do not count.

    >>> fold_id("STRASSE 1."), fold_id("straße 1")
    ('strasse 1', 'strasse 1')
    """
    text = unicodedata.normalize("NFKC", _IGNORED.sub("", unicodedata.normalize("NFD", name)).casefold())
    return unicodedata.normalize("NFKC", text.casefold()).strip(" ").rstrip(" .")


def explain_refusal(name: str) -> tuple[str, str] | None:
    """Why ``name`` cannot be a case id, and what to do about it; ``None`` where it can.

    >>> explain_refusal("Müller 2019-03")
    >>> explain_refusal("-rf")[0]
    'cannot be a case id: it starts with a dash, as an option does'
    """
    name = compose_id(name)
    why, remedy = None, _RENAME
    sign = next((sign for sign in name if _is_refused(sign)), None)
    if sign is not None:
        why = f"it holds {_describe_sign(sign)}"
    elif name.startswith((".", "-")):
        why = f"it starts with a {'dot, as hidden files do' if name[0] == '.' else 'dash, as an option does'}"
        remedy = "rename it with a letter or digit first"
    elif (size := len(name.encode())) > LONGEST:
        why, remedy = f"it has {size} bytes", f"rename it with {LONGEST} at most"
    elif not (folded := fold_id(name)):
        why = "it has no letter or digit"
    elif folded.split(".")[0].strip() in _OF_WINDOWS:
        why, remedy = "Windows keeps the name for a device", "give it another name"
    return None if why is None else (f"cannot be a case id: {why}", remedy)


def show_id(name: str) -> str:
    r"""``name`` where it can be an id, else that on one line with escapes for what has no shape, which no id holds.

    >>> show_id("a\nb")
    'a\\nb'
    """
    return name if explain_refusal(name) is None else escape_unprintable(name)


def place_case(name: str) -> str:
    """The folder of the case ``name`` in a store; ``CaseError`` for what cannot be an id.

    >>> place_case("case_0001"), place_case("Müller 2019")
    ('case_0001', '_muller-2019.4edff15c5a444fcd61a099f41547a59db740fbb6')
    """
    refusal = explain_refusal(name)
    if refusal is not None:
        raise CaseError(f"{name!r} {refusal[0]}", remedy=refusal[1])
    name = compose_id(name)
    if is_plain(name):
        return name
    letters = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    readable = re.sub("[^a-z0-9]+", "-", letters.lower())[:40].strip("-")
    return f"_{readable}.{_hash(fold_id(name))[:32]}{_hash(name)[:8]}"


def is_plain(name: str) -> bool:
    """Whether an id, or the name of labels or a map, is its own folder in a store."""
    reserved = name.lower() in _OF_STORES or name.lower().split(".")[0] in _OF_WINDOWS
    return bool(_PLAIN.fullmatch(name)) and ".." not in name and not name.endswith(".") and not reserved


def is_encoded(folder: str) -> bool:
    """Whether a folder of a store is one that ``place_case`` gives to an id that is not plain."""
    return _ENCODED.fullmatch(folder) is not None


def find_id(folder: str, claimed: object) -> str | None:
    """The id of the case in ``folder`` of a store, whose document claims an id; ``None`` where that cannot be its place."""
    if not is_encoded(folder):
        return folder
    fits = isinstance(claimed, str) and explain_refusal(claimed) is None and place_case(claimed) == folder
    return compose_id(str(claimed)) if fits else None


def hash_folded(folder: str) -> str:
    """A hash that two folders of a store share where the ids of their cases fold together; told from the name alone."""
    match = _ENCODED.fullmatch(folder)
    return match[1] if match else _hash(fold_id(folder))[:32]


def select_ids(ids: Sequence[str], patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ``ids`` that any of ``patterns`` matches, in their order (no pattern: all of them), and the patterns that match none."""
    found = {pattern: match_pattern(ids, pattern) for pattern in patterns}
    matched = {name for names in found.values() for name in names}
    chosen = [name for name in ids if not patterns or name in matched]
    return chosen, [pattern for pattern, names in found.items() if not names]


def match_pattern(ids: Sequence[str], pattern: str) -> list[str]:
    """The ids that ``pattern`` (``fnmatch``, case-sensitive) matches; that very id alone where it is one, whatever its signs mean.

    >>> match_pattern(["scan [1]", "scan 1"], "scan [1]"), match_pattern(["a1", "a2", "b"], "a*")
    (['scan [1]'], ['a1', 'a2'])
    """
    pattern = compose_id(pattern)
    return [pattern] if pattern in ids else [name for name in ids if fnmatchcase(name, pattern)]


def _is_refused(sign: str) -> bool:
    return sign in _FORBIDDEN or (unicodedata.category(sign) in _SHAPELESS and sign not in _JOINERS)


def _describe_sign(sign: str) -> str:
    # By number and name: a log takes a stroke for a path, and a terminal shows nothing of most of them.
    unnamed = {"Cc": "a control character", "Cs": "bytes that are no UTF-8"}.get(
        unicodedata.category(sign), "no character"
    )
    return f"U+{ord(sign):04X} ({unicodedata.name(sign, '').lower() or unnamed})"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
