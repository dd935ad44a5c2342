"""The review page over HTTP: a few addresses, each one call to the desk, all behind the guard.

What must hold: nothing here decides or reads by itself; every error of the library is one line of JSON with a fitting code.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adelecli.errors import AdeleError, CaseError, ConfigError
from adelecli.reviewing.exporting import format_decisions
from adelecli.reviewing.guards import HEADERS, Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from adelecli.reviewing.desk import Desk

    Handler = Callable[[Request], Awaitable[Response]]

FILES = {
    "/": ("review.html", "text/html"),
    "/review.js": ("review.js", "text/javascript"),
    "/picture.js": ("picture.js", "text/javascript"),
    "/review.css": ("review.css", "text/css"),
}


def build_application(desk: Desk, guard: Guard) -> ASGIApp:
    """The ASGI application of one review."""

    async def queue(_: Request) -> Response:
        content = {"store": desk.store.path.name, "actor": desk.actor, "cases": desk.list_queue()}
        return JSONResponse(content)

    async def case(request: Request) -> Response:
        return await _answer(desk.describe_case, request.path_params["case"])

    async def slices(request: Request) -> Response:
        path = request.path_params
        return await _answer(desk.draw_slice, path["case"], path["plane"], path["index"])

    async def decide(request: Request) -> Response:
        try:
            wish = await request.json()
        except ValueError:
            wish = None
        if not isinstance(wish, dict) or not isinstance(wish.get("case"), str) or not isinstance(wish.get("word"), str):
            return JSONResponse({"error": "a decision names its case and its word"}, 400)
        part, note = (
            value if isinstance(value, str) and value else None for value in (wish.get("part"), wish.get("note"))
        )
        return await _answer(lambda: desk.decide(wish["case"], wish["word"], part=part, note=note))

    async def table(_: Request) -> Response:
        headers = {"Content-Disposition": 'attachment; filename="decisions.csv"'}
        return Response(format_decisions(desk.decisions()), media_type="text/csv", headers=headers)

    routes = [Route(path, _serve_file(*kind)) for path, kind in FILES.items()]
    routes += [
        Route("/api/queue", queue),
        Route("/api/cases/{case}", case),
        Route("/api/cases/{case}/{plane}/{index:int}", slices),
        Route("/api/decisions", decide, methods=["POST"]),
        Route("/decisions.csv", table),
    ]
    return _Guarded(Starlette(routes=routes), guard)


async def _answer(work: Callable[..., Any], *arguments: object) -> Response:
    """The result as JSON; reading and drawing happen in a thread, so that slices are drawn side by side."""
    try:
        return JSONResponse(await run_in_threadpool(work, *arguments))
    except CaseError as error:
        return JSONResponse({"error": str(error)}, 404)
    except AdeleError as error:
        return JSONResponse({"error": str(error)}, 400 if isinstance(error, ConfigError) else 500)


def _serve_file(name: str, kind: str) -> Handler:
    text = files("adelecli.reviewing").joinpath("templates", name).read_text(encoding="utf-8")

    async def serve(_: Request) -> Response:
        return Response(text, media_type=kind)

    return serve


class _Guarded:
    """Asks the guard first, and puts its headers on every answer."""

    def __init__(self, application: ASGIApp, guard: Guard) -> None:
        self._application, self._guard = application, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request

        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def sign(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        refusal = self._guard.refuse(Request(scope))
        await (refusal or self._application)(scope, receive, sign)
