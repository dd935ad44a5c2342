"""A way to run `adele` inside the test process, and to put a stand-in where it calls the library."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import adelecli
from adelecli.cli.app import main
from adelecli.pipeline.records import CaseRecord, ClassRecord, ModelRecord, Report, RunRecord, Status, rank_cases


@dataclass
class Ended:
    """How a call of `adele` ended."""

    code: int
    out: str
    err: str


@dataclass
class StandIn:
    """A library call that notes what it was given, then does what the test says."""

    act: Callable[..., object]
    calls: list[tuple[tuple[object, ...], dict[str, Any]]] = field(default_factory=list)

    def __call__(self, *args: object, **options: Any) -> object:
        progress = options.pop("progress", None)
        self.calls.append((args, options))
        return self.act(progress)


@pytest.fixture
def adele(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ended]]:
    """Run `adele WORDS`; what main() changes about the process is put back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("COLUMNS", "200")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*words: object) -> Ended:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Ended(end.value.code, captured.out, captured.err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def replace(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StandIn]:
    """Put a stand-in for `adelecli.<name>`."""

    def put(name: str, act: Callable[..., object]) -> StandIn:
        stand_in = StandIn(act)
        monkeypatch.setitem(adelecli.__dict__, name, stand_in)
        return stand_in

    return put


def build_case(name: str, status: Status, share: float = 0.25, error: str | None = None) -> CaseRecord:
    """A case with one foreground class: 100 voxels before, 120 after."""
    background = ClassRecord(0, "background", 900, 880, 5, 25, None, None, None, None, 0.03)
    lesion = ClassRecord(1, "lesion", 100, 120, 25, 5, None, None, None, None, share)
    classes = () if status == "failed" else (background, lesion)
    return CaseRecord(name, status, classes, None if status == "failed" else share, 0.9, error=error)


def build_report(*cases: CaseRecord, dry_run: bool = False) -> Report:
    """A report of `correct` on the CPU that took 1.5 seconds."""
    run = RunRecord(
        command="correct",
        adele="0.1.0",
        python="3.11",
        platform="Linux",
        libraries={},
        model=ModelRecord("m", "ab"),
        options={"dry_run": dry_run},
        device_asked="auto",
        device_used="cpu",
        started="2026-01-01",
        seconds={"read": 1.0, "write": 0.5},
        peak_memory_mb=None,
    )
    return Report(run, rank_cases(cases))


@pytest.fixture
def make_case() -> Callable[..., CaseRecord]:
    """Builds a case record whose numbers a test can recognise."""
    return build_case


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """Builds the report of `correct` over case records."""
    return build_report
