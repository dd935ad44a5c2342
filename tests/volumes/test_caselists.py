"""Lists of case ids: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from adelecli.errors import ConfigError
from adelecli.volumes.caselists import read_case_list


def test_a_file_and_the_ids_themselves_mean_the_same(tmp_path: Path) -> None:
    """Empty lines, blanks around an id and repetitions do not count; the ids come sorted."""
    path = tmp_path / "list.txt"
    path.write_text("b\n\n  a \nb\n")
    assert read_case_list(path, "abc", "trusted") == ("a", "b")
    assert read_case_list(str(path), "abc", "trusted") == ("a", "b")
    assert read_case_list(["b", "a"], "abc", "trusted") == ("a", "b")
    assert read_case_list([], "abc", "trusted") == ()


def test_an_unknown_id_is_named_with_its_file(tmp_path: Path) -> None:
    """The first that is not there, in a list of any kind."""
    path = tmp_path / "list.txt"
    path.write_text("a\nzz\n")
    with pytest.raises(ConfigError) as caught:
        read_case_list(path, "abc", "trusted")
    assert str(caught.value) == f"{path}: names 'zz', which is no usable case; one case id a line"
    with pytest.raises(ConfigError, match="the list of trusted cases names 'zz'"):
        read_case_list(["zz"], "abc", "trusted")


def test_a_list_that_cannot_be_read_says_whose_it_is(tmp_path: Path) -> None:
    """A missing file, and one that is no text."""
    with pytest.raises(ConfigError, match="list of validation cases is not readable"):
        read_case_list(tmp_path / "none.txt", "abc", "validation")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="list of trusted cases is not readable"):
        read_case_list(tmp_path / "bytes", "abc", "trusted")


def test_a_list_names_ids_as_people_save_them(tmp_path: Path) -> None:
    """With the mark of Windows' editor, in decomposed letters, indented; a space that belongs to an id is kept."""
    path = tmp_path / "ids.txt"
    path.write_bytes("\ufeffMu\u0308ller 1\r\n  b  \r\nc \r\n".encode())
    assert read_case_list(path, ["M\u00fcller 1", "b", "c "], "trusted") == ("M\u00fcller 1", "b", "c ")
