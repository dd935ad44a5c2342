"""``review``: serve the review page of a store on this machine until it is stopped, or write its decisions as a table."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adelecli.errors import ConfigError
from adelecli.importing import import_extra
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.store.collection import open_store
from adelecli.store.decisions import read_decisions, settle_decisions

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import uvicorn

    from adelecli.store.collection import Store


class Review(msgspec.Struct, frozen=True):
    """What was decided about a store so far: the last words about whole cases and about classes, counted; and what was exported."""

    store: str
    decisions: int
    cases: dict[str, int]
    classes: dict[str, int]
    exported: str | None = None


def review(
    store: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    port: int = 0,
    browser: bool = True,
    export: str | os.PathLike[str] | None = None,
    progress: Callback = ignore_progress,
) -> Review:
    """Serve the review page of ``store`` on 127.0.0.1 until interrupted; then tell what was decided.

    The address, with its one-time token, is told as a notice to ``progress`` and, with ``browser``, opened. ``port`` 0: any free one.
    ``images``: the folder of the images; without it labels are shown on grey. ``export``: write the decisions as CSV there and
    serve nothing. Raises ``InputError`` (no store, no images), ``ConfigError`` (the port is taken, the extra is missing) and
    ``OutputError`` (the table cannot be written). A rejection of an earlier review that cannot be carried out is told as the failure of
    its case.

    >>> review("cleaned.zarr", export="decisions.csv").cases  # doctest: +SKIP
    {'accept': 12, 'reverted': 3}
    """
    opened = open_store(Path(store))
    if export is not None:
        from adelecli.reviewing.exporting import write_decisions

        write_decisions(Path(export), read_decisions(opened))
    else:
        for library in ("uvicorn", "starlette"):  # before anything is opened
            import_extra(library)
        _serve(opened, Path(images) if images is not None else None, _bind(port), browser=browser, progress=progress)
    return summarise_decisions(opened, None if export is None else str(export))


def summarise_decisions(store: Store, exported: str | None = None) -> Review:
    """What the decisions beside ``store`` come to."""
    entries = read_decisions(store)
    settled = settle_decisions(entries)
    whole: Counter[str] = Counter(entry.word for (_, part), entry in settled.items() if part is None)
    parts: Counter[str] = Counter(entry.word for (_, part), entry in settled.items() if part is not None)
    return Review(str(store.path), len(entries), dict(whole), dict(parts), exported)


def _bind(port: int) -> socket.socket:
    """A socket on the loopback address alone, bound before anybody is told of it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)  # a browser that is quicker than the server waits instead of being refused
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(
            f"port {port} cannot be used ({error})", remedy="leave --port out, or name another"
        ) from error
    return listener


def _serve(store: Store, images: Path | None, listener: socket.socket, *, browser: bool, progress: Callback) -> None:
    import uvicorn

    from adelecli.reviewing.application import build_application
    from adelecli.reviewing.desk import Desk
    from adelecli.reviewing.guards import Guard

    with listener:
        desk = Desk(store, images)
        for case, error in desk.finish_pending():
            fact = "a rejection of an earlier review was carried out"
            if error is not None:
                fact = f"{case}: a rejection of an earlier review could not be carried out ({error})"
            progress(Progress("review" if error is None else "case", case=case, notice=fact))
        guard = Guard(f"127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            build_application(desk, guard), lifespan="off", log_level="error", access_log=False, server_header=False,
            ws="none", proxy_headers=False, timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(config)
        with _ended_by_signals(server):  # from the moment on at which somebody can know that there is something to end
            progress(Progress("address", notice=f"open {guard.address} (it works once); Ctrl-C ends the review"))
            if browser:
                _open_browser(guard.address)
            server.run(sockets=[listener])


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Within, SIGINT and SIGTERM let ``server`` end, or not begin, in order: the server itself listens only once it runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(KeyboardInterrupt):  # one that was on its way before
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_browser(address: str) -> None:
    import webbrowser

    with suppress(webbrowser.Error):
        webbrowser.open(address)
