"""Who may talk to the review page: the browser that was given the address, on this machine, from the page itself.

A page on the loopback address can be reached by every program of the machine and by every web site that the browser has open. So:
the address holds a token that works once and becomes a cookie of this browser; the ``Host`` must be ours (a site cannot point its
own name at us, DNS rebinding); a request that comes from elsewhere, or that changes something without saying where it comes from, is
refused. Pages may load nothing but from here.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """The secrets of one review: a ``token`` for the address, good for one use, and the cookie that it buys."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._spent = False
        self.cookie = f"adele_review_{host.rpartition(':')[2]}"  # a browser shares cookies among the ports of a host

    @property
    def address(self) -> str:
        """What is opened in the browser."""
        return f"http://{self.host}/?token={self.token}"

    def refuse(self, request: Request) -> Response | None:
        """The answer to a request that may not pass; ``None`` for one that may."""
        origin = f"http://{self.host}"
        if request.headers.get("host") != self.host:
            return PlainTextResponse("wrong host", 421)
        foreign = request.headers.get("origin") not in {None, origin}
        changing = request.method not in {"GET", "HEAD"}
        if foreign or (changing and request.headers.get("origin") != origin):
            return PlainTextResponse("requests from other pages are refused", 403)
        if request.url.path == "/" and "token" in request.query_params:
            return self._admit(request.query_params["token"])
        if secrets.compare_digest(request.cookies.get(self.cookie, "").encode(), self._session.encode()):
            return None
        return PlainTextResponse("open the address that `adele review` printed; it works once, in one browser", 403)

    def _admit(self, token: str) -> Response:
        if self._spent or not secrets.compare_digest(token.encode(), self.token.encode()):
            return PlainTextResponse("this address was used already; start `adele review` again", 403)
        self._spent = True
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self._session, httponly=True, samesite="strict", path="/")
        return answer
