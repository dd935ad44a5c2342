"""The public API: every command is a function, and importing the package costs next to nothing."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import adelecli
from adelecli import _HOMES

ROOT = Path(__file__).parents[1]
HEAVY = {"numpy", "zarr", "torch", "onnxruntime", "msgspec", "nibabel", "scipy", "PIL", "click", "rich"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`import adelecli` alone, in a fresh interpreter, loads none of the libraries that the rooms are made of."""
    code = "import sys, adelecli; print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())


@pytest.mark.parametrize(
    "name", ["check", "convert", "correct", "corrupt", "evaluate", "info", "predict", "revert", "verify", "Report"]
)
def test_public_names_are_fetched_when_they_are_used(name) -> None:
    """The name is what its home defines, twice the same object, and listed."""
    value = getattr(adelecli, name)
    assert value is getattr(adelecli, name)
    assert value.__name__ == name
    assert name in dir(adelecli)


def test_all_lists_exactly_what_there_is() -> None:
    """`__all__` is sorted and names the lazy names and the eager ones, no more."""
    eager = {"AdeleError", "CaseError", "ConfigError", "DeviceError", "InputError", "ModelError", "OutputError"}
    lazy = {name for names in _HOMES.values() for name in names}
    assert set(adelecli.__all__) == lazy | eager | {"Progress", "__version__"}


def test_every_home_exists() -> None:
    """Each promised name stands in the module that is named as its home (where torch is installed, training too)."""
    for home, names in _HOMES.items():
        if home.startswith(("adelecli.training", "adelecli.showcase", "adelecli.benchmarking")):
            pytest.importorskip("torch")
        module = importlib.import_module(home)
        assert all(hasattr(module, name) for name in names), home


def test_no_room_hides_a_command() -> None:
    """Importing a room binds its name in the package, so no room may be called like a public name."""
    rooms = {path.name for path in (ROOT / "adelecli").iterdir() if path.is_dir()}
    modules = {path.stem for path in (ROOT / "adelecli").glob("*.py")}
    commands = {"report", "review"}  # of the interface, still to come
    assert not (rooms | modules) & (set(adelecli.__all__) | commands)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As for any module, so that `hasattr` works."""
    assert not hasattr(adelecli, "clean_everything")


def test_every_public_function_takes_its_output_and_progress_by_name() -> None:
    """One call per command: paths first, everything else by keyword, `progress` among them; an example in the docstring."""
    import inspect

    for name in ("check", "convert", "correct", "corrupt", "evaluate", "info", "predict", "revert", "verify"):
        function = getattr(adelecli, name)
        parameters = inspect.signature(function).parameters
        assert parameters["progress"].kind is inspect.Parameter.KEYWORD_ONLY, name
        assert ">>>" in (function.__doc__ or ""), name
