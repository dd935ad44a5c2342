"""A process that has everything imported and forks a child for every library call: cheap to start, and to kill, many times.

    with Zygote() as zygote:
        code = zygote.call("correct", masks, out=out, model=model, kill_at=17)

The child kills itself by SIGKILL just before its ``kill_at``-th file operation (an open, a rename, a deletion, a lock...), so
that moments are spread over what matters and do not depend on the load of the machine; or it is killed from outside after
``kill_after`` seconds. No thread runs in the process that forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Self

ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL
OPERATIONS = ("open", "os.", "shutil.", "ctypes.dlsym", "fcntl.")


class Zygote:
    """The process, seen from the test."""

    def __enter__(self) -> Self:
        command = [sys.executable, str(Path(__file__).resolve()), str(ROOT)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def call(self, name: str, *places: object, kill_at: int = 0, kill_after: float | None = None, **options) -> int:
        """The exit code of ``adelecli.<name>(*places, **options)``: 0, an error's, or ``KILLED``; sets ``operations``."""
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
        order = {"name": name, "places": list(map(str, places)), "options": plain, "kill_at": kill_at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code, self.operations = map(int, self.process.stdout.readline().split())
        return code


class Counter:
    """Counts file operations, as Python's audit hooks see them; at the ``kill_at``-th the process ends."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at, self.count = kill_at, 0

    def __call__(self, event: str, _: tuple[object, ...]) -> None:
        if event.startswith(OPERATIONS):
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    """Import what a run needs, without starting a thread; then a child for each line."""
    import nibabel  # noqa: F401
    import onnxruntime  # noqa: F401
    import zarr  # noqa: F401

    import adelecli.pipeline.correction
    import adelecli.pipeline.reversion  # noqa: F401

    for line in sys.stdin:
        order, (receive, send) = json.loads(line), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            run(order, send)
        os.close(send)
        answer(child)
        _, status = os.waitpid(child, 0)
        told = os.read(receive, 64) or b"0"
        os.close(receive)
        answer(os.waitstatus_to_exitcode(status), int(told))


def answer(*numbers: int) -> None:
    sys.stdout.write(" ".join(map(str, numbers)) + "\n")
    sys.stdout.flush()


def run(order: dict, send: int) -> None:
    """What the child does; it never returns."""
    import adelecli

    code, counter = 1, Counter(order["kill_at"])
    try:
        sys.addaudithook(counter)
        getattr(adelecli, order["name"])(*order["places"], **order["options"])
        code = 0
    except adelecli.AdeleError as error:
        code = error.exit_code
        sys.stderr.write(f"{error}\n")
    finally:
        os.write(send, str(counter.count).encode())
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    serve()
