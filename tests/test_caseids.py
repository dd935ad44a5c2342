"""Ids and their places: readable back, apart wherever any system takes names for one, and never outside the store."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from adelecli.caseids import (
    LONGEST,
    compose_id,
    explain_refusal,
    find_id,
    fold_id,
    hash_folded,
    is_encoded,
    is_plain,
    match_pattern,
    place_case,
    show_id,
)
from adelecli.errors import CaseError

TRICKY = "aAäÄßſKk\u212aﬁİıσς肺１1²\u0301\u0308 ._-\u00a0\u3000\u200c\u200d\ufe0f%#[]()'&;,=+@~$"
ids = st.one_of(
    st.text(st.sampled_from(TRICKY), min_size=1, max_size=8),
    st.text(min_size=1, max_size=40),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True),
).filter(lambda name: explain_refusal(name) is None)


@given(ids)
@example("x" * LONGEST)
@example("肺" * (LONGEST // 3))
def test_a_place_is_one_portable_folder_and_leads_back(name: str) -> None:
    """The letters that zarr recommends, at most 128, one part of a path that every system can make; document and place agree on the id."""
    place = place_case(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", place)
    assert not place.startswith("__")
    assert not place.endswith(".")
    assert ".." not in place
    assert Path("store", place).parent == Path("store")
    assert find_id(place, compose_id(name)) == compose_id(name)
    assert place.casefold() not in {"zarr.json", "labels", "ome", "con", "nul"}


@given(ids)
def test_what_a_program_normalises_keeps_its_place(name: str) -> None:
    """NFC and NFD are one id."""
    assert place_case(unicodedata.normalize("NFD", name)) == place_case(unicodedata.normalize("NFC", name))


@given(ids, ids)
@example("straße", "STRASSE")
@example("K", "\u212a")
@example("a", "a.")
@example("ﬁ", "fi")
@example("σ", "ς")
def test_places_differ_where_ids_do_and_tell_when_they_fall_together(one: str, other: str) -> None:
    """Two ids never share a place, not even where case does not count, unless they fold together, and that shows in the places alone."""
    together = fold_id(one) == fold_id(other)
    assert (hash_folded(place_case(one)) == hash_folded(place_case(other))) == together
    if compose_id(one) != compose_id(other):
        assert place_case(one) != place_case(other)
        if not together:
            assert place_case(one).casefold() != place_case(other).casefold()


@given(ids)
def test_case_spelling_and_ends_do_not_count_when_folding(name: str) -> None:
    """Folding twice is folding once; composing, decomposing, case and trailing dots and spaces change nothing."""
    folded = fold_id(name)
    for variant in (folded, name.casefold(), unicodedata.normalize("NFD", name), f"{name} ", f"{name}. ", f" {name}"):
        assert fold_id(variant) == folded


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_simple_ids_are_their_own_places(name: str) -> None:
    """As in every store that was ever written: what was a place once still is."""
    windows = name.lower().split(".")[0] in {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{d}{n}" for d in ("com", "lpt") for n in range(10)),
    }
    assume(
        ".." not in name
        and not name.endswith(".")
        and not windows
        and name.lower() not in {"zarr.json", "ome", "labels"}
    )
    assert place_case(name) == name
    assert is_plain(name)
    assert not is_encoded(name)


@given(st.text(max_size=300))
def test_what_is_refused_is_told_in_one_line_with_a_remedy_and_has_no_place(name: str) -> None:
    """Fact and remedy are printable whatever the name is, and so is what lists call it."""
    refusal = explain_refusal(name)
    if refusal is None:
        return
    assert all(part.isprintable() and part for part in refusal)
    assert show_id(name).isprintable()
    with pytest.raises(CaseError, match="cannot be a case id"):
        place_case(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no letter or digit"),
        (".", "starts with a dot"),
        ("..", "starts with a dot"),
        ("../x", r"U\+002F \(solidus\)"),
        ("a\\b", r"U\+005C \(reverse solidus\)"),
        ("C:evil", r"U\+003A \(colon\)"),
        ("a\nb", r"U\+000A \(a control character\)"),
        ("\u202egpj", r"U\+202E \(right-to-left override\)"),
        ("a\u2028b", r"U\+2028 \(line separator\)"),
        ("\udce9", r"U\+DCE9 \(bytes that are no UTF-8\)"),
        ("-rf", "starts with a dash"),
        (" ", "no letter or digit"),
        ("\u3000", "no letter or digit"),
        ("NUL", "Windows"),
        ("con.1", "Windows"),
        ("COM¹", "Windows"),
        ("aux ", "Windows"),
        ("é" * 125, "250 bytes"),
    ],
)
def test_names_that_stay_refused(name: str, why: str) -> None:
    """Separators, control and bidi signs, what reads as an option or a hidden file, devices of Windows, too long."""
    refusal = explain_refusal(name)
    assert refusal is not None
    assert re.search(why, refusal[0])


@pytest.mark.parametrize("folder", ["_x", "_muller.0", f"_muller.{'0' * 40}", "_labels", "__pycache__"])
def test_a_folder_that_no_id_leads_to_is_no_case_of_another_id(folder: str) -> None:
    """A document may claim any id; only the place that this id has can hold it."""
    assert find_id(folder, "Müller") in {None, folder}
    assert place_case("Müller") != folder


def test_an_id_as_a_pattern_means_that_case_alone() -> None:
    """Brackets in a file name are no pattern where a case is called so: to revert one must not revert another."""
    known = ["scan 1", "scan [1]", "M\u00fcller"]
    assert match_pattern(known, "scan [1]") == ["scan [1]"]
    assert match_pattern(known, "scan ?") == ["scan 1"]
    assert match_pattern(known, "Mu\u0308*") == ["M\u00fcller"]
    assert match_pattern(known, "[ax]*") == []
