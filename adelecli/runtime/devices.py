"""Which processor runs the network, decided before a session exists and told in one sentence.

onnxruntime's own list of providers says what was compiled in, not what works, and a CUDA provider that cannot start
falls back to the CPU silently or with a block of text on stdout. So the driver is asked first, then the libraries; a
session on CUDA is still proved afterwards (`sessions`). What must hold: ``cpu`` never touches CUDA, ``cuda`` never
falls back, ``auto`` may fall back and says why, with nothing to say where onnxruntime was installed without CUDA.

`survey_cuda` collects the facts and `find_problem` judges them, so that each decision can be tested without a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import io
import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adelecli.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PACKAGES = ("onnxruntime", "onnxruntime-gpu")
REPAIR = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
_OLDEST_DRIVER = {12: "525", 13: "580"}

Provider = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Device:
    """A chosen device: ``name`` (``cpu``, ``cuda:0``), what was ``requested``, and onnxruntime's ``providers`` for it.

    ``notice``: a line that a person should see, why the GPU that could be expected is not used.
    """

    name: str
    requested: str
    providers: tuple[Provider, ...] = field(default=((CPU, {}),), repr=False)
    notice: str | None = None

    def fall_back(self, reason: str) -> Device:
        """The CPU instead, because of ``reason``. Raises DeviceError when this device was asked for by name."""
        if self.requested != "auto":
            raise DeviceError(f"--device {self.requested} is not usable: {reason}", remedy="use --device auto or cpu")
        return Device("cpu", self.requested, notice=f"GPU not used: {reason}; running on the CPU")


@dataclass(frozen=True)
class Driver:
    """What the NVIDIA driver says: the CUDA ``version`` it supports, cuInit's ``status``, the ``count`` of GPUs."""

    version: tuple[int, int]
    status: int
    count: int


@dataclass(frozen=True)
class Survey:
    """The facts that decide about CUDA.

    ``providers`` compiled into onnxruntime, installed ``packages`` of it, the ``cuda`` major version it needs (0: not
    known), the ``driver`` (``None``: there is none) and a ``missing`` library (``None``: all load, or nobody looked).
    """

    providers: tuple[str, ...]
    packages: tuple[str, ...]
    cuda: int = 0
    driver: Driver | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Build:
    """The installed onnxruntime: its packages, version, the CUDA version it needs ("" for none), what is wrong."""

    packages: tuple[str, ...]
    version: str
    cuda: str
    problem: str | None


def load_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off. Raises DeviceError with the repair when it is absent or broken."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(f"onnxruntime cannot be imported ({error})", remedy=REPAIR) from None
    if not hasattr(onnxruntime, "InferenceSession"):  # both packages own one folder; removing one empties it
        raise DeviceError(
            "onnxruntime is an empty folder, left by the removal of one of its two packages", remedy=REPAIR
        )
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def resolve_device(request: str = "auto", survey: Callable[[], Survey] | None = None) -> Device:
    """Choose the device for ``request``: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``survey`` collects the facts (default: `survey_cuda`); it is not called for ``cpu``.
    Raises ConfigError for another request, DeviceError when CUDA was asked for and is not usable.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d{1,3}))?", request)
    if match is None:
        raise ConfigError(f"--device {request} is not a device", remedy="use auto, cpu, cuda or cuda:N")
    if request == "cpu":
        return Device("cpu", request)
    index = int(match[1] or 0)
    facts = (survey or survey_cuda)()
    chosen = Device(f"cuda:{index}", request, ((CUDA, _cuda_options(index)), (CPU, {})))
    problem = find_problem(facts, index)
    if problem is None:
        return chosen
    device = chosen.fall_back(problem)
    if CUDA not in facts.providers and len(facts.packages) < 2:
        return replace(device, notice=None)  # nobody installed CUDA here, so nobody expects it
    return device


def find_problem(facts: Survey, index: int = 0) -> str | None:
    """Why GPU ``index`` cannot be used, as one sentence; ``None`` when nothing speaks against it."""
    if CUDA not in facts.providers:
        if len(facts.packages) > 1:
            return f"both {' and '.join(facts.packages)} are installed and overwrite each other ({REPAIR})"
        return f"this onnxruntime was built without CUDA ({REPAIR})"
    if facts.driver is None:
        return "there is no NVIDIA driver on this machine"
    problem = _find_driver_problem(facts.driver, facts.cuda, index)
    if problem is None and facts.missing is not None:
        return f"the CUDA library {facts.missing} is missing (pip install 'onnxruntime-gpu[cuda,cudnn]')"
    return problem


def survey_cuda() -> Survey:
    """Collect the facts about CUDA on this machine; libraries are only loaded when a driver shows a GPU."""
    ort = load_onnxruntime()
    providers, packages = tuple(ort.get_available_providers()), find_packages()
    if CUDA not in providers:
        return Survey(providers, packages)
    driver = read_driver()
    ready = driver is not None and driver.status == 0 and driver.count > 0
    major = str(getattr(ort, "cuda_version", "") or "0").split(".")[0]
    return Survey(providers, packages, int(major), driver, _find_missing_library(ort) if ready else None)


def find_packages() -> tuple[str, ...]:
    """The installed packages that provide the module onnxruntime: one, or a conflict."""
    return tuple(name for name in PACKAGES if any(importlib.metadata.distributions(name=name)))


def describe_build() -> Build:
    """Which onnxruntime is installed, to show to a person. Raises DeviceError when none works."""
    ort = load_onnxruntime()
    packages = find_packages()
    problem = None if len(packages) < 2 else f"both {' and '.join(packages)} are installed: {REPAIR}"
    return Build(packages, ort.__version__, str(getattr(ort, "cuda_version", "") or ""), problem)


def read_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver | None:
    """Ask the NVIDIA driver itself, through its C interface; ``None`` when there is none."""
    try:
        cuda = load("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    status = cuda.cuInit(0)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    if status == 0:
        status = cuda.cuDeviceGetCount(ctypes.byref(count))
    return Driver((version.value // 1000, version.value % 1000 // 10), status, count.value)


def _find_driver_problem(driver: Driver, cuda: int, index: int) -> str | None:
    """Age comes first: an old driver may also report no GPU, and its age is the reason."""
    if driver.version > (0, 0) and driver.version[0] < cuda:
        supported = ".".join(str(part) for part in driver.version)
        needed = f"CUDA {cuda} (driver {_OLDEST_DRIVER.get(cuda, 'newer')} or later)"
        return f"the NVIDIA driver supports CUDA {supported}, this onnxruntime needs {needed}"
    if driver.status != 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        return f"the NVIDIA driver reports no usable GPU (cuInit: {driver.status}; CUDA_VISIBLE_DEVICES: {visible})"
    if index >= driver.count:
        return f"there is no GPU {index}, the NVIDIA driver shows {driver.count}"
    return None


def _cuda_options(index: int) -> dict[str, str]:
    return {
        "device_id": str(index),
        "cudnn_conv_algo_search": "HEURISTIC",  # EXHAUSTIVE searches anew for each of our many sizes
        "use_tf32": "0",  # ten bits of mantissa would move confidences by 1e-3, across thresholds
    }


def _find_missing_library(ort: Any) -> str | None:
    """The library that keeps the CUDA provider from loading, or ``None``."""
    if hasattr(ort, "preload_dlls"):  # the libraries of the pip extras are not found without it
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    if not sys.platform.startswith("linux"):
        return None
    folder = Path(ort.__file__).parent / "capi"
    with contextlib.suppress(OSError):
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        name, _, rest = str(error).partition(":")
        return name if "cannot open shared object" in rest else None
    return None
