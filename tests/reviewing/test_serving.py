"""A review ends when it is told to, from the moment on at which its address is known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import adelecli
from adelecli.reviewing import serving

if TYPE_CHECKING:
    from adelecli.progress import Progress
    from adelecli.store.collection import Store

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def answer(kind: signal.Signals):
    def act(event: Progress) -> None:
        if "http://" in (event.notice or ""):
            signal.raise_signal(kind)

    return act


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_signal_right_after_the_address_ends_the_review(store: Store, kind: signal.Signals) -> None:
    """The server has not begun to run; it never does, the decisions are summed up, and what listened before listens again."""
    before = [signal.getsignal(number) for number in SIGNALS]
    assert adelecli.review(store.path, browser=False, progress=answer(kind)).decisions == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_while_the_browser_opens_ends_the_review(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes."""
    monkeypatch.setattr(serving, "_open_browser", lambda _: signal.raise_signal(signal.SIGINT))
    assert adelecli.review(store.path).decisions == 0


def test_a_signal_ends_a_review_that_has_served(store: Store) -> None:
    """Once it has taken the token and sent the browser on to the page."""
    pages: list[int] = []

    def look(address: str) -> None:
        place = urlsplit(address)
        connection = HTTPConnection(place.netloc, timeout=30)
        try:
            connection.request("GET", f"{place.path}?{place.query}")
            pages.append(connection.getresponse().status)
        finally:
            connection.close()
            os.kill(os.getpid(), signal.SIGINT)

    def act(event: Progress) -> None:
        words = [word for word in (event.notice or "").split() if word.startswith("http://")]
        for address in words:
            Thread(target=look, args=(address,), daemon=True).start()

    assert adelecli.review(store.path, browser=False, progress=act).decisions == 0
    assert pages == [303]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIGNALS)
def test_no_signal_is_lost_behind_the_address(store: Store, kind: signal.Signals) -> None:
    """Twenty real programs, each sent the signal as soon as its address can be read: all end with 0 and the sum of the decisions."""
    command = [
        sys.executable,
        "-c",
        "from adelecli.cli.app import main; main()",
        "review",
        str(store.path),
        "--no-browser",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for _ in range(20):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as program:
            assert program.stderr is not None
            while "http://127.0.0.1" not in (line := program.stderr.readline()):
                assert line, "it ended before it told its address"
            program.send_signal(kind)
            out, error = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, error) == (0, "")
        assert out.startswith("0 decisions about ")
