"""A review that is really served, for the tests that look at it from a browser; the caller has checked that uvicorn is there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adelecli.reviewing.desk import Desk
    from adelecli.reviewing.guards import Guard


@contextmanager
def serve(desk: Desk) -> Iterator[Guard]:
    """A real server on a free port; the guard knows its address."""
    import uvicorn

    from adelecli.reviewing.application import build_application
    from adelecli.reviewing.guards import Guard

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        guard = Guard(f"127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(build_application(desk, guard), log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield guard
        server.should_exit = True
        thread.join(10)
