"""Files replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from adelecli.errors import OutputError
from adelecli.replacement import open_beside, refuse_address, refuse_stranger, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A reader never sees a part, whatever breaks the writer."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def break_off() -> None:
        with open_beside(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a.bin", b"old")]
    with open_beside(path) as file:
        file.write(b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a.bin", b"new")]


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    """UTF-8, line ends untouched, folders made on the way; the longest name that a file system takes still has a hidden sibling."""
    path = tmp_path / "new" / ("n" * 250 + ".csv")
    assert write_text(path, "é,1\r\nb\n") == path
    assert path.read_bytes() == "é,1\r\nb\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_refusal_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    """A missing folder is an error where folders are not to be made; nothing is left behind."""
    path = tmp_path / "gone" / "state.json"
    with pytest.raises(OutputError, match=r"state\.json: cannot be written \(No such file or directory\); free space$"):
        write_text(path, "x", remedy="free space", parents=False)
    assert not path.parent.exists()
    path.parent.touch()
    with pytest.raises(OutputError, match=r"cannot be written \((Not a directory|File exists)\)$"):
        write_text(path, "x")
    assert list(tmp_path.iterdir()) == [path.parent]


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    """What is empty, what is no file and what begins as it should may be replaced; anything else is named and stays."""
    path = tmp_path / "report.json"
    refuse_stranger(path, b"{", "report", "name another file")
    for content in (b"", b'{"run": 1}'):
        path.write_bytes(content)
        refuse_stranger(path, b"{", "report", "name another file")
    path.write_bytes(b"\x1f\x8bmask")
    with pytest.raises(OutputError, match=r"report\.json: exists and is no report of adele; name another file$"):
        refuse_stranger(path, b"{", "report", "name another file")
    refuse_stranger(tmp_path, b"{", "report", "name another file")


@pytest.mark.parametrize("name", ["x" * 255, "\u80ba" * 85, "\u00fc" * 127])
def test_a_name_as_long_as_a_file_system_takes_is_written(tmp_path: Path, name: str) -> None:
    """Names are counted in bytes, of which a letter has up to four; the file beside must fit too."""
    assert write_text(tmp_path / name, "x").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "address", ["s3://bucket/a/b.zarr", "gs://bucket", "memory://x/y", "https://host/a", Path("s3://bucket/a/b.zarr")]
)
def test_an_address_is_no_place_to_write_to(address: str | Path) -> None:
    """As text and as a path, which has lost a slash: named whole, with what to do."""
    with pytest.raises(OutputError, match=r"^[a-z0-9]+://[a-z/.]+: is an address, .*; name a folder") as caught:
        refuse_address(address)
    assert str(caught.value).startswith(str(address).replace(":/", "://").replace(":///", "://"))


@pytest.mark.parametrize("place", ["a/b.zarr", "/data/x: y", "./c:d/e", "12:30/a", "C:/data", "out"])
def test_a_folder_with_a_colon_is_a_folder(place: str) -> None:
    """A drive, a time of day, a sign within a name."""
    assert refuse_address(place) == Path(place)


def test_no_file_is_written_to_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a folder of that name made on the way."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is an address"):
        write_text(Path("s3://bucket/a.json"), "{}")
    assert list(tmp_path.iterdir()) == []
