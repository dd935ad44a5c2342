"""What the pages say can be done is done: every code block of README.md and docs/*.md is carried out, in order, in one folder a page.

Blocks that take minutes run under the slow marker, their whole page with them and without the prepared model, since such pages make
their own. Blocks that cannot be run here are skipped with the reason that stands in the page.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import click
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from blocks import LANGUAGES, ROOT, Block, PageRun, find_indented, match_output, read_blocks, read_commands
from stage import fill_folder, prepare_page

from adelecli.cli.app import COMMANDS, program

ELSEWHERE = {"api.md", "machine.md"}  # followed by test_machine_pages.py
GENERATED = {"reference.md"}  # its examples are parsed by tests/cli/test_commands.py
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name not in ELSEWHERE
}
BLOCKS = {page: read_blocks(page, text) for page, text in PAGES.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PageRun]:
    """Each page's folder, filled when its first block comes."""
    return {}


def start_page(page: str, folder: Path, *, model: bool) -> PageRun:
    fill_folder(folder, model=model)
    prepare_page(page, folder)
    return PageRun(folder, BLOCKS[page])


def list_blocks(*, slow: bool) -> list[object]:
    return [
        pytest.param(block, id=block.name)
        for blocks in BLOCKS.values()
        for block in blocks
        if block.slow == slow and block.language != "text"
    ]


@pytest.mark.parametrize("block", list_blocks(slow=False))
def test_a_block_does_what_its_page_says(
    block: Block, runs: dict[str, PageRun], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every command ends with 0 and tells what is shown; Python runs; settings are read."""
    if block.reason:
        pytest.skip(block.reason)
    if block.page not in runs:
        folder = tmp_path_factory.mktemp("page")
        runs[block.page] = start_page(block.page, folder, model=True)
    wrong = runs[block.page].run_to(block.name)
    assert wrong is None, wrong


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if any(block.slow for block in blocks)])
def test_a_page_with_long_blocks_can_be_followed(page: str, tmp_path: Path) -> None:
    """From its first line to its last, with nothing but the data prepared."""
    run = start_page(page, tmp_path / "page", model=False)
    run.run_to(BLOCKS[page][-1].name, slow=True)
    wrong = [fault for fault in run.done.values() if fault]
    assert not wrong, wrong[0]


@pytest.mark.parametrize("page", PAGES)
def test_no_code_escapes(page: str) -> None:
    """Code stands in a fence with a language that this test knows; an indented block would be run by nobody."""
    if Path(page).name not in GENERATED:
        assert find_indented(PAGES[page]) == []
    assert {block.language for block in BLOCKS[page]} <= LANGUAGES


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_are_understood(page: str) -> None:
    """`adele ...` in a sentence or table names a command and options that exist; what is only named may leave its arguments out."""
    for words in re.findall(r"`(adele [^`]+)`", PAGES[page]):
        name, *rest = shlex.split(words.replace("\\|", "|"))[1:]
        if name not in COMMANDS:
            assert name.startswith("-") or name.isupper(), f"{page}: {words}"
            continue
        command = program.get_command(click.Context(program), name)
        assert command is not None
        known = {opt for option in command.params for opt in (*option.opts, *option.secondary_opts)} | {"-h", "--help"}
        named = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert named <= known, f"{page}: {words}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every link to a page or file of the project finds it, and its heading."""
    here = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        place = here / path if path else ROOT / page
        assert place.exists(), f"{page}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_commands_and_their_output_are_told_apart() -> None:
    """A command goes on behind `> `; all up to the next one is what it tells."""
    text = "$ cat > list <<'END'\n> a\n> END\n$ cat list\na\n...\n"
    assert list(read_commands(text)) == [("cat > list <<'END'\na\nEND", []), ("cat list", ["a", "..."])]


@pytest.mark.parametrize(
    ("shown", "told", "fits"),
    [
        ([], "anything", True),
        (["a  b"], "a b\n", True),
        (["a ... c"], "a whatever c", True),
        (["a ... c"], "a\nc", False),
        (["a", "...", "c"], "a\nb\nb\nc", True),
        (["a", "...", "c"], "a\nc", True),
        (["a"], "a\nb", False),
        (["...", "b"], "a\nb", True),
        (["b", "..."], "b", True),
        (["x"], "y", False),
    ],
)
def test_output_is_compared_loosely_but_compared(shown: list[str], told: str, *, fits: bool) -> None:
    """An ellipsis is the only freedom besides blanks."""
    assert match_output(shown, told) is fits


def test_comments_before_a_block_decide_about_it() -> None:
    """A reason, the slow marker, a file; and a line number that an editor finds."""
    text = (
        "x\n\n<!-- not run: why -->\n```console\n$ a\n```\n"
        "\n<!-- slow -->\n```console\n$ b\n```\n"
        "<!-- file: c.toml -->\n```toml\nd = 1\n```\n"
    )
    first, second, third = read_blocks("p.md", text)
    assert (first.line, first.reason, first.slow) == (4, "why", False)
    assert (second.reason, second.slow) == (None, True)
    assert (third.language, third.text, third.file) == ("toml", "d = 1\n", "c.toml")


def test_indented_code_is_found_outside_of_lists() -> None:
    """Four blanks after an empty line are code, unless they go on with an item."""
    assert find_indented("a\n\n    code\n    more\n\n* item\n\n    its text\n") == [3]


def test_a_wrong_page_is_noticed(tmp_path: Path) -> None:
    """A command that fails, and one that tells something else, are told with their line."""
    page = "```console\n$ echo 1\n2\n```\n\n```console\n$ adele info nothing.onnx\n```\n"
    run = PageRun(tmp_path, read_blocks("p.md", page))
    assert "the page shows\n2" in str(run.run_to("p.md:1"))
    assert "ended with 7" in str(run.run_to("p.md:6"))
