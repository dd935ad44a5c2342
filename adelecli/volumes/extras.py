"""The libraries that not everybody needs, each behind the extra that installs it.

What must hold: a missing library is told as a missing extra, with the command that adds it, and only when a file needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from adelecli.errors import CaseError, ConfigError

_WRITERS = {"nrrd": ("SimpleITK", "itk"), "mha": ("SimpleITK", "itk"), "dicom-seg": ("highdicom", "dicom")}


def load_extra(module: str, extra: str, path: object = None) -> Any:
    """Import ``module``; CaseError naming the ``extra`` when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise CaseError(
            f"needs {module.partition('.')[0]}, which is not installed",
            path=path,
            remedy=f"pip install 'adele[{extra}]'",
        ) from error


def require_writer(form: str) -> None:
    """Raise ConfigError when files of the format ``form`` need an extra that is not installed: every case would fail alike."""
    if form in _WRITERS:
        try:
            load_extra(*_WRITERS[form])
        except CaseError as error:
            raise ConfigError(f"{form} {error.fact}", remedy=error.remedy) from error
