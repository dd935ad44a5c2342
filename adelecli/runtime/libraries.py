"""The shared libraries of NVIDIA that a provider of onnxruntime needs, wherever they were installed.

They may lie on the system's path, in the ``nvidia-*`` packages of pip, or in torch's own folder; the loader only looks at
the first. What must hold: the system's come first (an administrator chose them), nothing is printed, and the absence of a
library is a fact with its name and not a fallback in silence.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CUDA_LIBRARY, TENSORRT_LIBRARY = "onnxruntime_providers_cuda", "onnxruntime_providers_tensorrt"


def find_missing_library(ort: Any, name: str = CUDA_LIBRARY) -> str | None:
    """The library that keeps onnxruntime's own library ``name`` from loading from every place, or ``None``."""
    missing = None
    for make_ready in _list_places(ort):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(OSError, RuntimeError):
            make_ready()
        if not sys.platform.startswith("linux"):
            continue  # the loader's words are Linux's; elsewhere the first run tells
        missing = _try_loading(ort, name)
        if missing is None:
            return None
    return missing


def find_folder(package: str, inside: str = "") -> Path | None:
    """The folder ``inside`` an installed package, without importing it; ``None`` where there is none."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = Path(places[0]) / inside if places else None
    return folder if folder is not None and folder.is_dir() else None


def _list_places(ort: Any) -> Iterator[Callable[[], object]]:
    """What makes libraries known to the loader, place by place: nothing (the system's), pip's packages, torch, TensorRT's wheel."""
    yield lambda: None
    if hasattr(ort, "preload_dlls"):
        yield lambda: ort.preload_dlls(directory="")
        torch = find_folder("torch", "lib")
        if torch is not None:
            yield lambda: ort.preload_dlls(directory=str(torch))
    wheel = find_folder("tensorrt_libs")
    if wheel is not None:
        yield lambda: [
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in sorted(wheel.glob("libnvinfer*.so.*"))
        ]


def _try_loading(ort: Any, name: str) -> str | None:
    folder = Path(ort.__file__).parent / "capi"
    with contextlib.suppress(OSError):
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
    try:
        ctypes.CDLL(str(folder / f"lib{name}.so"))
    except OSError as error:
        library, _, rest = str(error).partition(":")
        return library if "cannot open shared object" in rest else None
    return None
