"""Holds the doors of the house: who may import whom, where heavy libraries live, and how large anything may grow.

Syntax trees are read, nothing is imported, so an import inside a function counts as much as one at the top.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "adelecli"
FILES = sorted(PACKAGE.rglob("*.py"))

LEAVES = {
    "caseids",
    "errors",
    "flow",
    "importing",
    "keywords",
    "processes",
    "progress",
    "replacement",
    "scratch",
    "version",
}
PURE = {"labels", "dynamics"}
EDGES = {"runtime", "store", "volumes"}
PUBLIC = "the public API"  # adelecli/__init__.py, as in `import adelecli`

ARROWS = {
    "__main__": {"start"},
    "start": {"cli"},
    "cli": {PUBLIC, "benchmarking", "showcase", "reviewing", "pipeline", "reporting", "training"} | LEAVES,
    PUBLIC: {"benchmarking", "showcase", "reviewing", "pipeline", "intake", "reporting", "training"}
    | EDGES
    | PURE
    | LEAVES,
    "reviewing": {PUBLIC, "reporting", "store", "volumes"} | LEAVES,
    "showcase": {PUBLIC, "pipeline", "reporting", "training"} | EDGES | PURE | LEAVES,
    "benchmarking": {PUBLIC, "pipeline", "reporting", "training"} | EDGES | PURE | LEAVES,
    "pipeline": {"intake"} | EDGES | PURE | LEAVES,
    "training": {"intake", "reporting"} | EDGES | PURE | LEAVES,  # report: a run folder holds its own plots
    "intake": {"store", "volumes"} | PURE | LEAVES,
    "reporting": {"store", "volumes"} | PURE | LEAVES,
    "runtime": PURE | LEAVES,
    "store": PURE | LEAVES,
    "volumes": PURE | LEAVES,
    "labels": {"errors"},
    "dynamics": {"errors"},
    "caseids": {"errors"},
    "keywords": {"errors"},
    "importing": {"errors"},
    "replacement": {"errors"},
    "scratch": {"errors"},
    "flow": set(),
    "processes": {"errors"},
    "progress": set(),
    "errors": set(),
    "version": set(),
}
"""Room -> the other rooms it may import; arrows go down only."""

DOORS = {
    "onnxruntime": {"runtime"},
    "zarr": {"store"},
    "numcodecs": {"store"},
    "torch": {"training"},
    "monai": {"training"},
    "onnx": {"training"},
    "google": {"training"},  # protobuf, for the one exception that onnx lets through
    "onnxscript": {"training"},
    "safetensors": {"training"},
    "distributed": {"pipeline"},
    "click": {"cli"},
    "rich": {"cli"},
    "nibabel": {"volumes"},
    "pydicom": {"volumes"},
    "highdicom": {"volumes"},
    "SimpleITK": {"volumes"},
    "obstore": {"store"},
    "PIL": {"volumes", "showcase", "reporting"},
    "matplotlib": {"showcase", "reporting"},
    "jinja2": {"reporting"},
    "starlette": {"reviewing"},
    "uvicorn": {"reviewing"},
    "scipy": {"labels", "dynamics", "showcase"},
}
"""Heavy library -> the only rooms that may import it."""

WEIGHTLESS = {"numpy", "msgspec", "tomli_w", "_typeshed"}
"""What any room may import besides the standard library, unless PLAIN says less."""

PLAIN = {
    "labels": {"numpy"},
    "dynamics": {"numpy"},
    "caseids": set(),
    "errors": set(),
    "keywords": {"_typeshed"},
    "progress": set(),
    "replacement": set(),
    "scratch": {"numpy"},
    "flow": set(),
    "processes": set(),
    "version": set(),
    "cli": {"msgspec"},
}

MAX_LINES, MAX_BODY, MAX_PARAMETERS = 300, 60, 7


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    """The folder below the package, or the name of a file that stands alone."""
    first = path.relative_to(PACKAGE).parts[0]
    return PUBLIC if first == "__init__.py" else first.removesuffix(".py")


def list_imports(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, inside functions and behind TYPE_CHECKING too."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: imports are absolute"
            if node.module == "adelecli":
                yield from (f"adelecli.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)


def list_functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_room_is_in_the_plan() -> None:
    """A new room needs a decision about its arrows."""
    assert {room_of(path) for path in FILES} <= set(ARROWS)


@pytest.mark.parametrize("room", ARROWS)
def test_rooms_import_downwards_only(room: str) -> None:
    """Cli -> showcase, benchmarking -> pipeline, reporting, training -> runtime, store, volumes -> labels, dynamics -> errors, progress."""
    rooms = set(ARROWS) - {PUBLIC}
    for path in FILES:
        if room_of(path) != room:
            continue
        for module in list_imports(path):
            head, _, rest = module.partition(".")
            if head != "adelecli":
                continue
            target = rest.partition(".")[0]
            target = target if target in rooms else PUBLIC
            assert target == room or target in ARROWS[room], f"{name_of(path)}: {room} may not import {module}"


@pytest.mark.parametrize("library", DOORS)
def test_heavy_libraries_stay_in_their_room(library: str) -> None:
    """Each heavy library has one door, so that the rest of adele runs without it."""
    for path in FILES:
        if any(module.partition(".")[0] == library for module in list_imports(path)):
            assert room_of(path) in DOORS[library], f"{name_of(path)} imports {library}"


def test_nothing_unlisted_is_imported() -> None:
    """A library without a door here would be a dependency nobody decided on."""
    for path in FILES:
        allowed = PLAIN.get(room_of(path), WEIGHTLESS) | set(DOORS) | {"adelecli"}
        for module in list_imports(path):
            head = module.partition(".")[0]
            assert head in allowed or head in sys.stdlib_module_names, f"{name_of(path)} imports {module}"


def test_only_the_cli_prints_or_exits() -> None:
    """The library works, the CLI talks."""
    for path in FILES:
        if room_of(path) == "cli":
            continue
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "input", "exit", "quit", "sys.exit", "os._exit"}, (
                    f"{name_of(path)}:{node.lineno} calls {called}"
                )


def test_nothing_is_caught_that_was_not_named() -> None:
    """`except Exception` hides our own bugs behind somebody else's error."""
    for path in FILES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = "everything" if node.type is None else ast.unparse(node.type)
                broad = {"everything", "Exception", "BaseException"} & set(caught.strip("()").replace(",", " ").split())
                assert not broad, f"{name_of(path)}:{node.lineno} catches {caught}"


def test_names_say_what_things_are() -> None:
    """Modules are nouns, functions are verbs: no catch-all module, no function with the name of its module."""
    for path in FILES:
        assert path.stem not in {"utils", "util", "helpers", "common", "misc", "tools"}, name_of(path)
        names = {node.name for node in parse(path).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert path.stem not in names, f"{name_of(path)} holds a function named like its module"
    public = {alias.name for node in ast.walk(parse(PACKAGE / "__init__.py")) for alias in getattr(node, "names", ())}
    shared = public & {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not shared, f"importing the room {shared} would hide the public function of that name"


def test_every_module_says_why_it_exists() -> None:
    """A module's docstring is where its reason and its promises stand."""
    for path in FILES:
        assert ast.get_docstring(parse(path)), f"{name_of(path)} has no docstring"


def test_files_stay_small() -> None:
    """A file over 300 lines is two files."""
    for path in FILES:
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines < MAX_LINES, f"{name_of(path)}: {lines} lines"


def test_functions_stay_small() -> None:
    """At most 60 lines and 7 parameters, but for click's commands, whose parameters are the user's options."""
    for path in FILES:
        for node in list_functions(path):
            size = (node.end_lineno or 0) - node.lineno + 1
            arguments = node.args
            count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
            decorators = " ".join(map(ast.unparse, node.decorator_list))
            limit = count if "option" in decorators or "command" in decorators else MAX_PARAMETERS
            place = f"{name_of(path)}:{node.lineno} {node.name}"
            assert size <= MAX_BODY, f"{place}: {size} lines"
            assert count <= limit, f"{place}: {count} parameters"
