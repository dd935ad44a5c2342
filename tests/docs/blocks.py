"""Reads the code blocks of a page and carries them out, in order, in one folder, as a reader of the page would.

```console blocks: a line that begins with `$ ` is a command (`> ` goes on with it), the others are what it tells; `...` stands for
anything, runs of blanks for one. A command that ends with another code than 0 fails, unless the block is about it and says
`; echo $?`. One that serves a page (`adele review`) is ended as Ctrl-C would, once it has told its address. ```python blocks share one
namespace a page. ```toml blocks are read by the reader that the program has for them. ```text blocks show something. An HTML comment on the
line before a block decides about it: `<!-- not run: reason -->`, `<!-- slow -->`, `<!-- file: NAME -->` (the block is that file).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.cli.app import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
NOTE = re.compile(r"<!-- (?P<kind>not run|slow|file)(?:: (?P<words>.+))? -->$")
NOTICE = "Note: "
"""Begins what stderr says about this machine, such as that it has no GPU: no page shows it."""
LANGUAGES = {"console", "python", "toml", "text"}
SHELL = set("|&;<>$`(){}*?~\n")
"""What only a shell understands; a command without it is a call of `main`, which saves a second each."""


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it is, and whether (and when) it is run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    slow: bool = False
    file: str | None = None

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(page: str, text: str) -> list[Block]:
    """All fenced blocks of a page in their order."""
    blocks = []
    for found in FENCE.finditer(text):
        above = text[: found.start()].rstrip("\n").rpartition("\n")[2].strip()
        note = NOTE.match(above)
        kind, words = (note["kind"], note["words"]) if note else (None, None)
        line = text.count("\n", 0, found.start()) + 1
        blocks.append(
            Block(
                page,
                line,
                found["language"],
                found["text"],
                reason=words if kind == "not run" else None,
                slow=kind == "slow",
                file=words if kind == "file" else None,
            )
        )
    return blocks


def find_indented(text: str) -> list[int]:
    """Lines on which an unfenced block begins: four blanks after an empty line that follows no list."""
    bare = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    lines = bare.split("\n")
    return [
        number + 1
        for number in range(1, len(lines))
        if lines[number].startswith("    ") and not lines[number - 1].strip() and not _is_listed(lines, number)
    ]


def _is_listed(lines: list[str], number: int) -> bool:
    """Whether what stands above, without indentation, is an item of a list."""
    above = next((line for line in reversed(lines[:number]) if line.strip() and not line.startswith("    ")), "")
    return bool(re.match(r"([*-]|\d+\.) ", above))


def read_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a ```console block with the lines that it is said to tell."""
    command: str | None = None
    told: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, told
            command, told = line[2:], []
        elif command is not None and not told and (line.startswith("> ") or line == ">"):
            command += "\n" + line[2:]
        elif command is None:
            raise AssertionError(f"a console block begins with `$ `, not with {line!r}")
        else:
            told.append(line)
    if command is not None:
        yield command, told


def match_output(expected: list[str], actual: str) -> bool:
    """Whether `actual` has the expected lines one after the other, with anything in the place of each `...`.

    Lines that the page does not show (before, between, behind) are allowed only where it says `...` on a line of its own, or shows nothing.
    """
    shown = [" ".join(line.split()) for line in expected if line.strip()]
    said = (line for line in actual.splitlines() if line.strip() and not line.startswith(NOTICE))
    told = "\n".join(" ".join(line.split()) for line in said)
    if not shown:
        return True
    pattern = "\n".join(
        r".*" if line == "..." else r"[^\n]*".join(map(re.escape, re.split(r"\s*\.\.\.\s*", line))) for line in shown
    )
    pattern = pattern.replace(".*\n", r"(?:.*\n)?").replace("\n.*", r"(?:\n.*)?")
    return re.fullmatch(pattern, told, re.DOTALL) is not None


@dataclass
class PageRun:
    """One page in one folder: blocks are carried out in order, each once."""

    folder: Path
    blocks: list[Block]
    done: dict[str, str | None] = field(default_factory=dict)
    place: Path | None = None
    exports: list[str] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=dict)

    def run_to(self, name: str, *, slow: bool = False) -> str | None:
        """Carry out the blocks up to the one named; what went wrong in it, or nothing (also where it is not run)."""
        for block in self.blocks:
            if block.name not in self.done and not block.reason and (slow or not block.slow):
                self.done[block.name] = self._run(block)
            if block.name == name:
                break
        return self.done.get(name)

    def _run(self, block: Block) -> str | None:
        if block.file:
            (self.place or self.folder).joinpath(block.file).write_text(block.text, encoding="utf-8")
        if block.language == "toml":
            read_toml(self.folder / "block.toml", block.text)
        if block.language == "python":
            self._run_python(block)
        if block.language != "console":
            return None
        for command, expected in read_commands(block.text):
            code, told = self._run_command(command)
            if code:
                return f"{block.name}: `{command}` ended with {code}:\n{told}"
            if not match_output(expected, told):
                shown = "\n".join(expected)
                return f"{block.name}: `{command}` told\n{told}\nand the page shows\n{shown}"
        return None

    def _run_python(self, block: Block) -> None:
        with self._stage():
            exec(compile(block.text, block.name, "exec"), self.names)  # a page's own code is meant to be carried out

    def _run_command(self, command: str) -> tuple[int, str]:
        bare = re.sub(r"\s+# .*$", "", command).replace("\\\n", " ")
        plain = bare.startswith("adele ") and not SHELL & set(bare)
        if plain and bare.startswith("adele review") and "--export" not in bare:
            return self._call_server(shlex.split(bare))
        return self._call_program(shlex.split(bare)[1:]) if plain else self._call_shell(command)

    def _call_program(self, words: list[str]) -> tuple[int, str]:
        with self._stage() as told:
            try:
                main(words)
            except SystemExit as end:
                code = end.code
        return int(code or 0), told.getvalue()

    @contextlib.contextmanager
    def _stage(self) -> Iterator[io.StringIO]:
        """In the page's folder, with what is printed kept, and nothing of the process changed afterwards."""
        told, hook, handler = io.StringIO(), sys.excepthook, signal.getsignal(signal.SIGTERM)
        with (
            contextlib.chdir(self.place or self.folder),
            contextlib.redirect_stdout(told),
            contextlib.redirect_stderr(told),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("default")
            try:
                yield told
            finally:
                sys.excepthook = hook
                signal.signal(signal.SIGTERM, handler)

    def _call_server(self, words: list[str]) -> tuple[int, str]:
        """Start it, wait for its address, press Ctrl-C; the code is 0 when that ended it as it should."""
        with subprocess.Popen(
            words,
            cwd=self.place or self.folder,
            env=make_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            assert server.stdout is not None
            told = ""
            for line in server.stdout:
                told += line
                if "127.0.0.1" in line:
                    break
            while server.poll() is None:  # a person presses the keys again, too, when nothing happens
                server.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(5)
            code = server.returncode
        return (0 if code in {0, 130} else code), told

    def _call_shell(self, command: str) -> tuple[int, str]:
        mark = self.folder / ".place"
        script = "\n".join([*self.exports, command, "code=$?", f"pwd > {shlex.quote(str(mark))}", "exit $code"])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.place or self.folder,
            env=make_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if mark.exists():
            self.place = Path(mark.read_text().strip())
            mark.unlink()
        if command.startswith(("export ", "eval ", "source ")):
            self.exports.append(command)
        return done.returncode, done.stdout


def read_toml(path: Path, text: str) -> None:
    """Read a file of settings, or what describes a network from elsewhere, with the program's own reader."""
    from adelecli.training.adoption import read_foreign
    from adelecli.training.resolving import read_settings

    path.write_text(text, encoding="utf-8")
    read = read_foreign if "[[classes]]" in text else read_settings
    read(path)
    path.unlink()


def make_environment() -> dict[str, str]:
    """A reader's: this checkout's program first on the path, a browser that shows nothing, no clutter."""
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "BROWSER": "true",
        "TERM": "dumb",
    }
