"""What segments are called in codes: a terminology file in the form of dcmqi, which 3D Slicer and others write as well.

Names like "liver" are a data set's own; an archive wants coded concepts (SNOMED CT). Codes are facts that somebody
decided: without a file each segment gets the general category "Tissue" and its own name under a private scheme.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CATEGORY, _TYPE = "SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence"
_FIELDS = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_EXAMPLE = '{"segmentAttributes": [[{"labelID": 1, "SegmentLabel": "liver", ...}]]}'


@dataclass(frozen=True)
class Code:
    """A coded concept: value, scheme and meaning (at most 16, 16 and 64 characters)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Term:
    """The codes of a segment: what kind of thing it is, and which."""

    category: Code
    type: Code


TISSUE = Code("85756007", "SCT", "Tissue")


def make_term(number: int, name: str) -> Term:
    """The codes of a segment about which nothing is known but its name."""
    return Term(TISSUE, Code(f"LABEL-{number}", "99ADELE", name[:64] or str(number)))


def read_terminology(path: Path) -> Mapping[int | str, Term]:
    """Read the terms of a dcmqi file by ``labelID`` and by ``SegmentLabel``; ConfigError, naming the place, when it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", path=path) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not JSON ({error})", path=path, remedy=f"write {_EXAMPLE}") from error
    groups = content.get("segmentAttributes") if isinstance(content, dict) else None
    if not isinstance(groups, list):
        raise ConfigError("has no segmentAttributes", path=path, remedy=f"write {_EXAMPLE}")
    terms: dict[int | str, Term] = {}
    segments = [segment for group in groups for segment in (group if isinstance(group, list) else [group])]
    for number, segment in enumerate(segments):
        place = f"segmentAttributes[{number}]"
        if not isinstance(segment, dict) or not isinstance(segment.get("labelID"), int):
            raise ConfigError(f"{place} has no labelID", path=path, remedy=f"write {_EXAMPLE}")
        term = Term(*(_read_code(path, f"{place}.{key}", segment.get(key)) for key in (_CATEGORY, _TYPE)))
        terms[segment["labelID"]] = term
        if isinstance(segment.get("SegmentLabel"), str):
            terms[segment["SegmentLabel"]] = term
    return terms


def find_term(terms: Mapping[int | str, Term], number: int, name: str) -> Term:
    """The term of a segment: by its name, else by its number, else a general one."""
    return terms.get(name) or terms.get(number) or make_term(number, name)


def _read_code(path: Path, place: str, given: object) -> Code:
    values = [given.get(field) for field in _FIELDS] if isinstance(given, dict) else [None]
    if not all(isinstance(value, str) and value for value in values):
        raise ConfigError(f"{place} is no code", path=path, remedy=f"give it {', '.join(_FIELDS)}")
    return Code(*(str(value) for value in values))
