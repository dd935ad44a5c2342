"""``report``: one HTML file that shows a store or a run, and that can be mailed, archived and opened without a network.

What must hold: the file is whole in itself (styles, script and pictures are inside, nothing is fetched), stays below ``MAX_BYTES``
for two hundred cases, and appears at once or not at all; a file that adele did not write is not overwritten.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adelecli.caseids import explain_refusal, place_case
from adelecli.errors import InputError, OutputError
from adelecli.progress import Callback, ignore_progress
from adelecli.replacement import write_text

if TYPE_CHECKING:
    import os

    from jinja2 import Environment

MARK = "<!-- made by `adele report` -->"
MAX_BYTES = 14_500_000
"""Previews that would make the page larger are left out, the least urgent ones first, and the page says so."""


class Page(msgspec.Struct, frozen=True):
    """What was written: the file, of what (``store`` or ``run``), its size in bytes, how many cases it lists and how many it draws."""

    path: str
    kind: str
    bytes: int
    cases: int = 0
    drawn: int = 0


def report(
    target: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    progress: Callback = ignore_progress,
) -> Page:
    """Write one self-contained HTML file about ``target``, a store or a run folder.

    ``out``: the file (default: ``cleaned.html`` beside the store ``cleaned.zarr``, ``report.html`` in a run folder). ``images``: the
    folder of the images, for the previews of a store; without it labels are shown on grey. Raises ``InputError`` when ``target``
    is neither, ``OutputError`` when the file cannot be written or is not one of ours.

    >>> report("cleaned.zarr", images="images").path  # doctest: +SKIP
    'cleaned.html'
    """
    from adelecli.reporting.runpage import describe_run, is_run
    from adelecli.reporting.storepage import describe_store
    from adelecli.store.collection import open_store

    place = Path(target)
    if is_run(place):
        file = Path(out) if out is not None else place / "report.html"
        _check_ours(file)
        return _publish(file, "run", "run.html", describe_run(place))
    if not (place / "zarr.json").is_file():
        fact = "is neither a store nor a run folder" if place.exists() else "there is no such folder"
        raise InputError(fact, path=place, remedy="name a store of `adele correct` or a folder of runs/")
    file = Path(out) if out is not None else place.with_name(place.name.removesuffix(".zarr") + ".html")
    _check_ours(file)
    content = describe_store(open_store(place), Path(images) if images is not None else None, progress, MAX_BYTES)
    return _publish(file, "store", "store.html", content)


def open_templates() -> Environment:
    """The templates of the package; everything they print is escaped."""
    from jinja2 import Environment as NewEnvironment
    from jinja2 import PackageLoader, StrictUndefined

    environment = NewEnvironment(
        loader=PackageLoader("adelecli.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(share=format_share, amount=format_amount, decimal=format_decimal)
    environment.filters.update(bound=bind_signs, parts=split_name, anchor=name_anchor)
    return environment


def format_share(value: float | None, signed: bool = False) -> str:  # a template's filter
    """A share in percent; a dash where it was not measured.

    >>> format_share(0.1234), format_share(None), format_share(-0.05, signed=True)
    ('12.3 %', '–', '−5.0 %')
    """
    return "–" if value is None else f"{100 * value:{'+' if signed else ''}.1f} %".replace("-", "\N{MINUS SIGN}")


def format_amount(value: float | None) -> str:
    """A volume or a count with thousands apart; a dash where it was not measured.

    >>> format_amount(12345.6), format_amount(1.25)
    ('12,346', '1.2')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:,.1f}"


def format_decimal(value: float | None) -> str:
    """A score with three digits; a dash where it was not measured.

    >>> format_decimal(0.51234)
    '0.512'
    """
    return "–" if value is None else f"{value:.3f}"


def bind_signs(text: str) -> str:
    """A text in which no line begins with a percent sign.

    >>> bind_signs("loses 75 %") == "loses 75\N{NO-BREAK SPACE}%"
    True
    """
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def split_name(name: str) -> list[str]:
    """The parts between which a narrow column may break a name: after ``_``, ``-`` and ``.``, and not within a word.

    >>> split_name("case_0001.a")
    ['case_', '0001.', 'a']
    """
    return re.split(r"(?<=[_.-])(?=.)", name)


def name_anchor(case: str) -> str:
    """The id of a case as an HTML id, which must have no spaces, and needs no escapes in an address if it is ASCII.

    >>> name_anchor("case_0001")
    'case_0001'
    """
    return case if explain_refusal(case) else place_case(case)  # a case that failed may be called anything


def _check_ours(file: Path) -> None:
    if not file.exists():
        return
    try:
        with file.open(encoding="utf-8", errors="replace") as old:
            ours = MARK in old.read(200)
    except OSError as error:
        raise OutputError(f"cannot be replaced ({error.strerror})", path=file, remedy="pass another --out") from error
    if not ours:
        raise OutputError("exists and is no report of adele", path=file, remedy="pass another --out")


def _publish(file: Path, kind: str, template: str, content: dict[str, Any]) -> Page:
    text = open_templates().get_template(template).render(mark=MARK, **content)
    write_text(file, text, remedy="free the disk or pass --out")
    return Page(str(file), kind, file.stat().st_size, content.get("total", 0), content.get("drawn", 0))
