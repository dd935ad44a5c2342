"""Where CUDA's libraries are looked for, in which order, with a made-up loader."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from adelecli.runtime import libraries
from adelecli.runtime.libraries import find_folder, find_missing_library

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader's message is Linux's")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine on which the provider loads once its libraries were preloaded from ``place``; gives the places asked for."""
    torch = tmp_path / "torch" / "lib"
    torch.mkdir(parents=True)
    asked: list[str] = []

    def install(place: str | None) -> SimpleNamespace:
        def preload(directory: str | None = None) -> None:
            asked.append("torch" if directory == str(torch) else directory or "nvidia")
            sys.stdout.write("Failed to load libcublasLt.so.13")

        def load(path: str, mode: int = 0) -> None:
            if path.endswith("providers_cuda.so") and place != "system" and place not in asked:
                raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")

        monkeypatch.setattr(libraries.ctypes, "CDLL", load)
        monkeypatch.setattr(libraries, "find_folder", lambda name, _="": torch if name == "torch" else None)
        return SimpleNamespace(__file__=str(tmp_path / "__init__.py"), preload_dlls=preload)

    return install, asked


@pytest.mark.parametrize(
    ("place", "missing", "places"),
    [
        ("system", None, []),
        ("nvidia", None, ["nvidia"]),
        ("torch", None, ["nvidia", "torch"]),
        (None, "libcublasLt.so.13", ["nvidia", "torch"]),
    ],
)
def test_libraries_are_taken_from_the_first_place_that_has_them(machine, capsys, place, missing, places):
    """The system, then pip's packages, then torch; what onnxruntime prints about it is not shown; a miss has its name."""
    install, asked = machine
    assert find_missing_library(install(place)) == missing
    assert asked == places
    assert capsys.readouterr().out == ""


def test_a_fault_that_is_no_missing_library_is_left_to_the_first_run(monkeypatch, tmp_path):
    """A provider that loads with another complaint is tried."""

    def load(path: str, mode: int = 0) -> None:
        raise OSError("undefined symbol: x")

    monkeypatch.setattr(libraries.ctypes, "CDLL", load)
    assert find_missing_library(SimpleNamespace(__file__=str(tmp_path / "__init__.py"))) is None


def test_a_package_is_found_without_importing_it():
    """Its folder inside, or nothing when the package or the folder is not there."""
    found = find_folder("adelecli", "runtime")
    assert found is not None
    assert found.name == "runtime"
    assert find_folder("adelecli", "nowhere") is None
    assert find_folder("no_such_package_at_all") is None
