"""What the shell is offered for a value when the user presses Tab: names that the program knows, asked for only then.

What must hold: nothing heavy is imported, because a person waits, and nothing that is broken (a registry, a folder) raises: it offers
nothing. A value that may be a file is offered as one, as every other path is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.errors import AdeleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click
    from click.shell_completion import CompletionItem

NOISES = ("adele-de", "affine", "annotator", "boundary", "omit", "swap", "weak")
"""The families of `adele corrupt`; the registry itself imports scipy, and a test holds the two together."""


def offer_models(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of the registries here and in the package, and model files in the folder that is typed; else whatever the shell finds."""
    from adelecli.pipeline.discovery import WEIGHTS, find_packaged, read_registry

    names: set[str] = set()
    for folder in (WEIGHTS, *find_packaged()):
        try:
            names |= set(read_registry(folder))
        except (AdeleError, OSError):
            continue
    offered = _matching([*sorted(names), *_find_files(word, ".onnx")], word)
    return offered or _matching([word], word, kind="file")


def offer_presets(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:  # noqa: ARG001
    """The presets of `adele train`."""
    from adelecli.training.presets import PRESETS

    return _matching(PRESETS, word)


def offer_methods(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:  # noqa: ARG001
    """The methods of `adele bench`; of a list joined by commas the last one."""
    from adelecli.benchmarking.methods import METHODS

    before, comma, _ = word.rpartition(",")
    return _matching((f"{before}{comma}{name}" for name in METHODS), word)


def offer_noises(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:  # noqa: ARG001
    """The families of noise."""
    return _matching(NOISES, word)


def offer_devices(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:  # noqa: ARG001
    """What `--device` takes on any machine; to ask the driver for its GPUs would take too long here."""
    return _matching(("auto", "cpu", "cuda"), word)


def _matching(values: Iterable[str], word: str, kind: str = "plain") -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # `adele --help` imports this module and completes nothing

    return [CompletionItem(value, type=kind) for value in values if value.startswith(word)]


def _find_files(word: str, ending: str) -> list[str]:
    """Files with that ending whose path starts with ``word``."""
    head, stroke, _ = word.rpartition("/")
    try:
        names = sorted(path.name for path in Path(head + stroke or ".").iterdir() if path.suffix == ending)
    except OSError:
        return []
    return [head + stroke + name for name in names]
