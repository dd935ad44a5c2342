"""What the package's own code may not do, read from its syntax trees: run data as code, unpack archives, call shells or networks."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "adelecli").rglob("*.py"))

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal",  # data that runs as code
    "code", "codeop", "runpy", "pty", "commands",
    "tarfile", "zipfile", "zipimport", "lzma",  # archives, whose members name their own places
    "yaml", "xmlrpc", "ftplib", "telnetlib", "smtplib", "poplib", "imaplib",
    "requests", "httpx", "aiohttp", "urllib3", "http.client", "http.server", "urllib.request",  # somebody else's machine
    "subprocess", "webbrowser.open", "socketserver",
}  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_METHODS = {
    ("os", "system"), ("os", "popen"), ("os", "execv"), ("os", "execvp"), ("os", "startfile"),
    ("torch", "load"), ("torch", "save"), ("torch", "hub"), ("shutil", "unpack_archive"), ("np", "fromregex"),
}  # fmt: skip

ALLOWED = {
    ("store/files.py", "socket"): "the name of this machine, hashed, tells whose drafts lie about; nothing is opened",
    ("reviewing/serving.py", "socket"): "the page of `adele review`, bound to the loopback address alone",
    ("pipeline/cluster.py", "urllib.parse"): "takes the address of --scheduler apart; opens nothing",
}
"""Every other use of a module whose name begins like one that could reach a network, each with its reason."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "adelecli").as_posix()


def find_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (entry.name for entry in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{entry.name}" for entry in node.names)


def find_calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_module_that_runs_data_unpacks_archives_or_calls_out(path: Path) -> None:
    found = set(find_imports(ast.parse(path.read_text(encoding="utf-8"))))
    assert not {name for name in found if name in FORBIDDEN_MODULES or name.partition(".")[0] in FORBIDDEN_MODULES}
    reaching = {name for name in found if name.partition(".")[0] in {"socket", "urllib", "ssl", "http", "ftplib"}}
    allowed = {module for file, module in ALLOWED if file == name_of(path)}
    assert {name for name in reaching if not any(name == one or name.startswith(f"{one}.") for one in allowed)} <= set()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_call_that_runs_text_or_trusts_a_pickle(path: Path) -> None:
    for call in find_calls(ast.parse(path.read_text(encoding="utf-8"))):
        function = call.func
        if isinstance(function, ast.Name):
            assert function.id not in FORBIDDEN_CALLS, f"line {call.lineno}: {function.id}()"
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            pair = (function.value.id, function.attr)
            assert pair not in FORBIDDEN_METHODS, f"line {call.lineno}: {'.'.join(pair)}()"
        given = {word.arg: word.value for word in call.keywords}
        assert "shell" not in given, f"line {call.lineno}: shell="
        allow = given.get("allow_pickle")
        assert allow is None or (isinstance(allow, ast.Constant) and allow.value is False), f"line {call.lineno}"
        if isinstance(function, ast.Attribute) and function.attr == "load" and pair_name(function) in {"np", "numpy"}:
            assert allow is not None, f"line {call.lineno}: np.load without allow_pickle=False"


def pair_name(function: ast.Attribute) -> str:
    return function.value.id if isinstance(function.value, ast.Name) else ""


def test_every_exception_is_still_needed() -> None:
    """An entry of the list whose module is no longer imported would hide the next one."""
    for file, module in ALLOWED:
        found = set(find_imports(ast.parse((ROOT / "adelecli" / file).read_text(encoding="utf-8"))))
        assert any(name == module or name.startswith(f"{module}.") for name in found), (file, module)


def test_telemetry_is_switched_off_where_onnxruntime_is_imported() -> None:
    """There is one place that imports it to run, and it switches telemetry off before anything else."""
    from adelecli.runtime.devices import load_onnxruntime

    text = (ROOT / "adelecli" / "runtime" / "devices.py").read_text(encoding="utf-8")
    assert "disable_telemetry_events()" in text.partition("def load_onnxruntime")[2].partition("\ndef ")[0]
    importing = [
        path for path in FILES if "onnxruntime" in set(find_imports(ast.parse(path.read_text(encoding="utf-8"))))
    ]
    assert {name_of(path).partition("/")[0] for path in importing} == {"runtime"}
    assert hasattr(load_onnxruntime(), "disable_telemetry_events")


def test_onnxruntime_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """Neither a device id nor a database of events: its telemetry is refused before it is imported, not after."""
    work = "from adelecli.runtime.devices import load_onnxruntime as load; import onnxruntime; print(load() is onnxruntime)"
    asked = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | {
        "HOME": str(tmp_path)
    }
    done = subprocess.run([sys.executable, "-c", work], env=asked, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert not list(tmp_path.iterdir())
