"""The run folder: what is in it, and how it is written so that a stopped run is never half a run.

``checkpoint.safetensors`` is the single point of commitment: it holds the weights, the optimiser's and, in its metadata, the whole
history. ``state.json`` and ``history.jsonl`` are copies of that for people and programs and are rewritten on resume; only the seconds
of each epoch stand in ``history.jsonl`` alone, which is therefore written before the checkpoint and may be one epoch ahead of it.
Everything is written beside and renamed. No pickle.
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError, InputError, OutputError, RunInterrupt
from adelecli.replacement import refuse_address, write_text
from adelecli.version import __version__, find_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.jsonl"
TIME = "seconds"
"""What of an epoch's record differs from run to run."""
LIBRARIES = ("torch", "numpy", "monai", "onnx", "zarr", "scipy", "nibabel")


def check_name(name: str | None) -> None:
    """Refuse a name that would put the run's folder anywhere but into the folder of the runs. Raises ``ConfigError``."""
    if name and any(sign in name for sign in "/\\\0"):
        raise ConfigError(f"`name` is {name!r}, which is no name of a folder", remedy="leave the slashes out")


@contextmanager
def naming_interruption(folder: Path) -> Iterator[None]:
    """A context whose interruption knows which run it stopped: a folder is named after the time, and nobody else can tell."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise RunInterrupt(folder) from error


def make_run_folder(out: Path, name: str) -> Path:
    """A new folder ``out/<time>-<name>``. Raises ``OutputError`` where it cannot be made, or is an address."""
    refuse_address(out)
    folder = out / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    number = 1
    while folder.exists():
        number += 1
        folder = out / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{number}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", path=folder, remedy="pass another --out") from None
    return folder


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Put what ``write`` makes in the place of ``path``: beside, synced, renamed, readable by whoever may read new files here.

    safetensors makes files that only their owner can read. Raises ``OSError`` and what ``write`` raises.
    """
    beside = path.with_name(f".{path.name}.tmp")
    beside.unlink(missing_ok=True)
    beside.touch()
    rights = beside.stat().st_mode
    write(beside)
    beside.chmod(rights)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def write_part(path: Path, text: str) -> None:
    """Write a text file of the run atomically; a run folder that vanished is an ``OutputError``, not made again."""
    write_text(path, text, remedy="free space or rights", parents=False)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Strict JSON (no NaN), atomically."""
    write_part(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, object]:
    """A JSON object of a run folder. Raises ``InputError`` where the folder is no run."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"is not a run folder of adele ({error})", path=path, remedy="pass a folder of runs/"
        ) from None
    if not isinstance(value, dict):
        raise InputError("holds no JSON object", path=path)
    return value


def write_history(folder: Path, history: Sequence[Mapping[str, object]]) -> None:
    """``history.jsonl``: one line per epoch."""
    lines = [json.dumps(record, allow_nan=False) for record in history]
    write_part(folder / HISTORY, "".join(f"{line}\n" for line in lines))


def read_times(folder: Path) -> dict[int, float]:
    """Seconds by epoch from ``history.jsonl``; lines that cannot be read are passed over, for nothing depends on them."""
    path = folder / HISTORY
    times = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
            times[int(record["epoch"])] = float(record[TIME])
        except (ValueError, KeyError, TypeError):
            continue
    return times


def library_versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {"adele": __version__, "python": platform.python_version()} | find_versions(LIBRARIES)


def newest_run(runs: Path) -> Path:
    """The newest finished run below ``runs``. Raises ``InputError`` where there is none."""
    found = []
    for state in runs.glob("*/state.json"):
        value = read_json(state)
        if value.get("finished"):
            found.append((str(value.get("finished_at", "")), state.parent))
    if not found:
        raise InputError("holds no finished run", path=runs, remedy="run `adele train`, or name a run folder")
    return max(found)[1]
