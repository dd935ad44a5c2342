"""A review ends when it is told to, from the moment on at which its address is known."""

from __future__ import annotations

import os
import signal
from http.client import HTTPConnection
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import adelecli
from adelecli.reviewing import serving

if TYPE_CHECKING:
    from adelecli.progress import Progress
    from adelecli.store.collection import Store

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
