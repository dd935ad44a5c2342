"""Every way in which adele says no, and the exit code of each.

    AdeleError                     1    an internal error (our bug) when raised bare
    +-- ConfigError  (ValueError)  2    usage or configuration
    +-- CaseError    (ValueError)  3    one case cannot be used; a batch goes on without it
    +-- DeviceError  (RuntimeError)5    the requested device is not usable
    +-- ModelError   (ValueError)  6    the model is unreadable, lacks its contract, fails its hash or its parity
    +-- InputError   (OSError)     7    no usable input at all
    +-- OutputError  (OSError)     8    the output cannot be written, exists already, or fails verification

Outcomes that are not exceptions (a batch that ran to its end) have codes too: see ``SOME_FAILED`` and ``SOME_QUARANTINED``.
This module is the only place that knows the numbers. It must import nothing, because every room imports it.
"""

from __future__ import annotations

OK = 0
SOME_FAILED = 3
SOME_QUARANTINED = 4
INTERRUPTED = 130


class AdeleError(Exception):
    """An error that is told in one line: the file, the fact, the remedy.

    ``path`` names the file or folder (or ``None``), ``fact`` what was found, ``remedy`` what to do about it.

    >>> str(InputError("holds no masks", path="masks", remedy="name the folder that holds them"))
    'masks: holds no masks; name the folder that holds them'
    """

    exit_code = 1

    def __init__(self, fact: str, *, path: object = None, remedy: str | None = None) -> None:
        self.fact, self.path, self.remedy = fact, path, remedy
        line = fact if path is None else f"{path}: {fact}"
        super().__init__(line if remedy is None else f"{line}; {remedy}")

    def __str__(self) -> str:
        # OSError formats its own arguments; an AdeleError is always its one line.
        return make_printable(str(self.args[0]))


def make_printable(text: str) -> str:
    r"""``text`` on one line, with escapes for what a terminal would obey or an encoder refuse.

    File names hold any bytes: escape sequences, line breaks, and halves of characters that no JSON can carry.

    >>> make_printable("a\n b\x1b[2J")
    'a b\\x1b[2J'
    """
    return escape_unprintable(" ".join(text.split()))


def escape_unprintable(text: str) -> str:
    r"""``text`` with Python's escapes for what has no shape; spaces and signs of any script stay.

    >>> escape_unprintable("a\n  b")
    'a\\n  b'
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class ConfigError(AdeleError, ValueError):
    """Usage or configuration: an unknown option or key, options that contradict each other."""

    exit_code = 2


class CaseError(AdeleError, ValueError):
    """One case cannot be used: its files are damaged, do not belong together or hold forbidden values."""

    exit_code = SOME_FAILED


class DeviceError(AdeleError, RuntimeError):
    """The requested device is not usable; ``cuda`` never falls back."""

    exit_code = 5


class ModelError(AdeleError, ValueError):
    """The model is unreadable, lacks its contract, fails its hash or its parity."""

    exit_code = 6


class InputError(AdeleError, OSError):
    """No usable input at all: nothing found, nothing pairs, every case failed."""

    exit_code = 7


class OutputError(AdeleError, OSError):
    """The output cannot be written, exists already, or fails verification."""

    exit_code = 8


def find_refusal(error: BaseException) -> AdeleError | None:
    """The refusal that ``error`` is, or stands for where a library that an extra brings is not installed; None for anything else.

    >>> str(find_refusal(ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")))
    "uvicorn is not installed; `adele review` needs the extra: pip install 'adele[review]'"
    """
    if isinstance(error, AdeleError):
        return error
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library in {"", "adelecli"}:  # a module of ours that is missing is a bug
        return None
    if library in {"starlette", "uvicorn"}:
        remedy = "`adele review` needs the extra: pip install 'adele[review]'"
    else:
        remedy = "`adele train`, `export`, `demo` and `bench` need the extra: pip install 'adele[train]'"
    return ConfigError(f"{library} is not installed", remedy=remedy)


class RunInterrupt(KeyboardInterrupt):
    """An interruption of a training, which knows its folder ``run``: there it can be resumed, where the command was to train."""

    def __init__(self, run: object) -> None:
        self.run = run
        super().__init__(str(run))
