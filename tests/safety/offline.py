"""Run by `test_network`: every command of the program in one process in which sockets cannot be used.

    python offline.py FOLDER WORDS...     # the folder holds images/, masks/ and weights/adele.onnx; WORDS: demo, to run that too

Prints one JSON object: the exit code of each command, and every attempt to reach a network.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ATTEMPTS: list[str] = []


def forbid(name: str) -> Callable[..., Any]:
    def refuse(*words: object, **_: object) -> Any:
        ATTEMPTS.append(f"{name}{words}")
        raise OSError(f"{name} is forbidden here")

    return refuse


class Closed(socket.socket):
    """A socket that reaches nobody: sockets of this machine's own (AF_UNIX, a pair) are pipes, and stay."""

    def connect(self, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            ATTEMPTS.append(f"connect{address}")
            raise OSError("connect is forbidden here")
        super().connect(address)

    def bind(self, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            ATTEMPTS.append(f"bind{address}")
            raise OSError("bind is forbidden here")
        super().bind(address)

    def sendto(self, *_: Any) -> int:
        ATTEMPTS.append("sendto")
        raise OSError("sendto is forbidden here")


TINY = ("--set", "network.width=2", "--set", "network.depth=2", "--set", "noise.enabled=false", "-q", "-d", "cpu")
COMMANDS = (
    ("--version",),
    ("info", "weights/adele.onnx"),
    ("check", "masks", "-q"),
    ("correct", "masks", "--out", "c.zarr", "-q", "-d", "cpu", "--workers", "2"),
    ("predict", "images", "--out", "p.zarr", "-q", "-d", "cpu"),
    ("verify", "c.zarr", "--masks", "masks", "--images", "images", "-q"),
    ("info", "c.zarr"),
    ("evaluate", "c.zarr", "masks", "-q"),
    ("report", "c.zarr", "-q"),
    ("revert", "c.zarr", "-q"),
    ("convert", "c.zarr", "--out", "files", "-q"),
    ("corrupt", "masks", "--out", "noisy/masks", "-q"),
    ("train", "masks", "--epochs", "1", *TINY),
    ("report", "runs", "-q"),
    ("export", "--out", "new.onnx", "-q"),
    ("bench", "masks", "--out", "bench", "--epochs", "1", "--methods", "noisy", *TINY),
)
DEMO = ("demo", "--cases", "2", "--test-cases", "1", "--epochs", "1", "-q", "-d", "cpu")


def main() -> None:
    os.chdir(sys.argv[1])
    for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "create_connection", "create_server"):
        setattr(socket, name, forbid(name))
    socket.socket = Closed  # type: ignore[misc]
    from adelecli.cli.app import main as run

    codes = {}
    for words in (*COMMANDS, *((DEMO,) if "demo" in sys.argv[2:] else ())):
        named = [str(next(Path("runs").iterdir())) if word == "runs" else word for word in words]
        try:
            run(named)
        except SystemExit as end:
            codes[" ".join(words[:2])] = end.code
    sys.stderr.write("\n" + json.dumps({"codes": codes, "attempts": ATTEMPTS}) + "\n")


if __name__ == "__main__":
    main()
