"""docs/dependencies.md is the whole list: what pyproject.toml asks for, with the licences that the installed packages name."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([\w.-]+) \| (\w+) \| ([^|]+?) \| ([^|]+) \|$", re.MULTILINE)
LISTED = {
    name: (extra, licence, reason)
    for name, extra, licence, reason in ROW.findall((ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"))
    if name != "package"
}
WORDS = {
    "BSD-3-Clause": "BSD",
    "PSF-based": "Python Software Foundation",
    "Apache-2.0": "Apache",
    "MIT-CMU": "MIT-CMU",
    "MIT": "MIT",
}


def read_wishes() -> dict[str, str]:
    """Every distribution that pyproject.toml asks for, and with which extra; those that only bundle others are left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, str] = {}
    for extra, wishes in groups.items():
        if extra in {"dev", "all", "cuda"}:  # for our tests; the others together; base with its own extras
            continue
        found.update({re.split(r"[\[<>=!; ]", wish)[0]: extra for wish in wishes})
    return found


def test_the_list_is_that_of_pyproject() -> None:
    assert {name: extra for name, (extra, _, _) in LISTED.items()} == read_wishes()
    assert all(reason.strip() for _, _, reason in LISTED.values())


@pytest.mark.parametrize("name", sorted(LISTED))
def test_the_licence_is_the_one_that_the_package_names(name: str) -> None:
    try:
        facts = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    said = " ".join(str(facts.get(field) or "") for field in ("License-Expression", "License"))
    said += " ".join(facts.get_all("Classifier") or [])
    assert WORDS[LISTED[name][1]] in said


def test_every_one_is_pinned_for_the_tests() -> None:
    """But for the extra that the tests do not install, and the other build of onnxruntime."""
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    missing = {name for name, (extra, _, _) in LISTED.items() if extra != "dask" and name.lower() not in pinned}
    assert missing == {"onnxruntime"}
