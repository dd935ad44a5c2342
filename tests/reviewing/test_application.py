"""The page over HTTP: who is let in, what is answered, and a whole review in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import open_tab
from review_server import serve

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from adelecli.progress import Progress  # noqa: E402 - after the check that it can be imported
from adelecli.reviewing.desk import Desk  # noqa: E402 - after the check that it can be imported
from adelecli.reviewing.guards import Guard  # noqa: E402 - after the check that it can be imported
from adelecli.reviewing.serving import review  # noqa: E402 - after the check that it can be imported
from adelecli.store.collection import Store  # noqa: E402 - after the check that it can be imported


@pytest.fixture
def guard(desk: Desk) -> Iterator[Guard]:
    """A real server on a free port; the guard knows its address."""
    with serve(desk) as guard:
        yield guard


@pytest.fixture
def client(guard: Guard) -> Iterator[httpx.Client]:
    """A browser that has the address but has not opened it."""
    with httpx.Client(base_url=f"http://{guard.host}", trust_env=False) as client:
        yield client


@pytest.fixture
def inside(client: httpx.Client, guard: Guard) -> httpx.Client:
    """A browser that has opened the address."""
    assert client.get(guard.address, follow_redirects=True).status_code == 200
    return client


def test_the_address_works_once_and_becomes_a_cookie(client: httpx.Client, guard: Guard) -> None:
    """Without it nothing is shown; a second use, in another browser, is refused; the cookie is for this site and no script."""
    assert client.get("/").status_code == 403
    assert client.get("/api/queue").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    answer = client.get(guard.address)
    assert answer.status_code == 303
    assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().replace(" ", "").split(";"))
    assert client.get("/api/queue").status_code == 200
    client.cookies.clear()
    assert client.get(guard.address).status_code == 403


def test_two_reviews_in_one_browser_do_not_lock_each_other_out(client: httpx.Client, guard: Guard) -> None:
    """A browser sends the cookies of 127.0.0.1 to all of its ports, so each review has a name of its own for its cookie."""
    other = Guard("127.0.0.1:1")
    assert client.get(guard.address).status_code == 303
    client.cookies.set(other.cookie, "the other review's", domain="127.0.0.1")
    assert client.get("/api/queue").status_code == 200
    assert other.cookie != guard.cookie


def test_another_host_and_another_origin_are_refused(inside: httpx.Client, desk: Desk, guard: Guard) -> None:
    """A site that points its own name at 127.0.0.1, and a page of another site in the same browser."""
    assert inside.get("/api/queue", headers={"host": "evil.example:5555"}).status_code == 421
    assert inside.get("/api/queue", headers={"origin": "http://evil.example"}).status_code == 403
    wish = {"case": "b", "word": "accept"}
    assert inside.post("/api/decisions", json=wish).status_code == 403  # no origin: not from our page
    assert inside.post("/api/decisions", json=wish, headers={"origin": "http://localhost:5555"}).status_code == 403
    assert desk.decisions() == ()
    assert (
        inside.post("/api/decisions", json=wish, headers={"origin": f"http://{guard.host}"}).json()["word"] == "accept"
    )


def test_pages_may_load_nothing_from_elsewhere(inside: httpx.Client) -> None:
    """Every answer carries the policy, refusals too."""
    for path in ("/", "/review.js", "/api/queue", "/nothing"):
        headers = inside.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"


def test_errors_are_one_line_of_json(inside: httpx.Client, guard: Guard) -> None:
    """A case, a slice or a decision that does not exist."""
    origin = {"origin": f"http://{guard.host}"}
    assert inside.get("/api/cases/nobody").status_code == 404
    assert inside.get("/api/cases/a/axial/99").json() == {"error": "a has no axial slice 99"}
    assert inside.post("/api/decisions", content=b"{", headers=origin).status_code == 400
    assert inside.post("/api/decisions", json={"case": "a", "word": "burn"}, headers=origin).status_code == 400
    assert inside.get("/decisions.csv").text.startswith("time,case,class,decision")


def test_a_review_in_a_browser_from_opening_to_restored_labels(guard: Guard, store: Store) -> None:
    """Open, scroll, toggle the overlay, reject with one key, see the labels restored; nothing is asked of any other host."""
    with open_tab(1200, 800) as tab:
        page = tab.page
        page.goto(guard.address)
        page.wait_for_selector(
            '#stage[data-shown="b/axial/1/difference"]'
        )  # the queue comes with a later answer than the page
        assert page.locator("#queue .id").all_inner_texts() == ["1 b", "2 c", "3 a"]
        page.keyboard.press("ArrowUp")
        page.wait_for_selector('#stage[data-shown="b/axial/2/difference"]')
        assert page.locator("#place").inner_text() == "3 of 8"
        page.keyboard.press("p")
        page.wait_for_selector('#stage[data-shown^="b/coronal/"]')
        page.keyboard.press("o")
        assert page.locator("#labels").evaluate("e => e.style.opacity") == "0"
        page.keyboard.press("j")
        page.wait_for_selector('#stage[data-shown^="c/"]')
        page.keyboard.press("k")
        page.wait_for_selector('#stage[data-shown^="b/"]')
        page.keyboard.press("r")
        page.wait_for_selector('#queue [data-id="b"] .reverted')
        assert page.locator("#said").inner_text() == "b: the whole case: rejected, original labels are back"
        np.testing.assert_array_equal(store.read("b", "corrected"), store.read("b", "original"))
        page.keyboard.press("j")
        page.wait_for_selector('#stage[data-shown^="c/"]')
        page.keyboard.press("c")
        page.keyboard.press("a")
        page.wait_for_selector("#targets .accept")
        assert page.locator("#tally").inner_text() == "1 of 3 cases decided"  # of c one class alone
        page.reload()
        page.wait_for_selector('#queue [data-id="b"] .reverted')
        page.set_viewport_size({"width": 380, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 380
        assert tab.faults == []
        assert {url.split("/")[2] for url in tab.requests} == {guard.host}


def test_a_hurried_hand_decides_about_no_case_but_the_one_that_it_sees(guard: Guard, desk: Desk) -> None:
    """A key pressed while the next case opens decides nothing; an answer that comes late does not bring its case back."""
    held: list[Any] = []

    def hold(route: Any) -> None:  # Playwright takes no method of a list
        held.append(route)

    with open_tab(1200, 800) as tab:
        page = tab.page
        page.goto(guard.address)
        page.wait_for_selector('#stage[data-shown^="b/axial/"]')
        page.route("**/api/cases/c", hold)
        page.keyboard.press("j")
        page.keyboard.press("r")
        assert page.locator("#said").inner_text() == "c is being opened; nothing was decided"
        _let_go(page, held)
        page.wait_for_selector('#stage[data-shown^="c/"]')
        assert desk.decisions() == ()
        page.route("**/api/decisions", hold)
        page.keyboard.press("a")
        page.keyboard.press("j")
        page.wait_for_selector('#stage[data-shown^="a/"]')
        _let_go(page, held)
        page.wait_for_selector('#queue [data-id="c"] .accept')
        assert page.locator("#name").inner_text() == "a"
        assert [(entry.case, entry.word) for entry in desk.decisions()] == [("c", "accept")]
        assert tab.faults == []


def test_a_page_whose_review_has_ended_says_so(guard: Guard, desk: Desk) -> None:
    """A decision that no server took is told as such, and what was typed beside it stays."""
    with open_tab(1200, 800) as tab:
        page = tab.page
        page.goto(guard.address)
        page.wait_for_selector('#stage[data-shown^="b/axial/"]')
        page.fill("#note", "wrong organ")
        page.route("**/api/decisions", lambda route: route.abort())
        page.click("[data-word=reject]")
        page.wait_for_selector("#said:not(:empty)")
        assert page.locator("#said").inner_text() == "b: the review has ended; start `adele review` again"
        assert page.locator("#note").input_value() == "wrong organ"
        assert desk.decisions() == ()


def _let_go(page: Any, held: list[Any]) -> None:
    """Send the request that was held back, once it has arrived."""
    while not held:
        page.wait_for_timeout(10)
    held.pop().continue_()


def test_an_interruption_as_soon_as_the_address_is_told_ends_the_review(store: Store) -> None:
    """Ctrl-C is how a review ends, also before the server has begun to listen to it."""

    def interrupt(event: Progress) -> None:
        if event.stage == "address":
            raise KeyboardInterrupt

    assert review(store.path, browser=False, progress=interrupt).decisions == 0
