"""Which processor runs the network, decided before a session exists and told in one sentence.

onnxruntime's own list of providers says what was compiled in, not what works, and a CUDA provider that cannot start
falls back to the CPU silently or with a block of text on stdout. So the driver is asked first, then the libraries; a
session on CUDA is still proved afterwards (`sessions`). What must hold: ``cpu`` never touches CUDA, ``cuda`` never
falls back, ``auto`` may fall back and says why, with nothing to say where onnxruntime was installed without CUDA.

`survey_cuda` collects the facts and `find_problem` judges them, so that each decision can be tested without a GPU.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adelecli.errors import ConfigError, DeviceError
from adelecli.runtime.acceleration import CPU, CUDA, TENSORRT, Acceleration, Provider, describe_tf32
from adelecli.runtime.libraries import CUDA_LIBRARY, TENSORRT_LIBRARY, find_missing_library

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("onnxruntime", "onnxruntime-gpu")
REPAIR = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
_OLDEST_DRIVER = {12: "525", 13: "580"}


@dataclass(frozen=True)
class Device:
    """A chosen device: ``name`` (``cpu``, ``cuda:0``), what was ``requested``, and onnxruntime's ``providers`` for it.

    ``notice``: a line that a person should see, why the GPU that could be expected is not used.
    """

    name: str
    requested: str
    providers: tuple[Provider, ...] = field(default=((CPU, {}),), repr=False)
    notice: str | None = None

    @property
    def tf32(self) -> bool | None:
        """See `acceleration.describe_tf32`."""
        return describe_tf32(self.providers)

    @property
    def place(self) -> tuple[str, int]:
        """Where tensors live, in onnxruntime's words: ``("cpu", 0)`` or ``("cuda", N)``."""
        kind, _, index = self.name.partition(":")
        return kind, int(index or 0)

    def fall_back(self, reason: str) -> Device:
        """The CPU instead, because of ``reason``. Raises DeviceError when this device, or a provider, was asked for by name."""
        if self.requested != "auto":
            remedy = "use --device auto or cpu" + (" without --provider" if "--provider" in self.requested else "")
            raise DeviceError(f"--device {self.requested} is not usable: {reason}", remedy=remedy)
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
    known), the ``driver`` (``None``: there is none) and a ``missing`` library (``None``: all load, or nobody looked);
    ``missing_tensorrt``: the same for TensorRT.
    """

    providers: tuple[str, ...]
    packages: tuple[str, ...]
    cuda: int = 0
    driver: Driver | None = None
    missing: str | None = None
    missing_tensorrt: str | None = None


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


def resolve_device(
    request: str = "auto", survey: Callable[[], Survey] | None = None, how: Acceleration | None = None
) -> Device:
    """Choose the device for ``request``: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, used as ``how`` says.

    ``survey`` collects the facts (default: `survey_cuda`); it is not called for ``cpu``. A provider that is named in ``how``
    asks for a GPU, so with it ``auto`` does not fall back either.
    Raises ConfigError for another request, DeviceError when CUDA or TensorRT was asked for and is not usable.
    """
    how = how or Acceleration()
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d{1,3}))?", request)
    if match is None:
        raise ConfigError(f"--device {request} is not a device", remedy="use auto, cpu, cuda or cuda:N")
    if request == "cpu":
        if how.provider is not None:
            raise ConfigError(f"--provider {how.provider} needs a GPU, --device is cpu", remedy="leave one of them out")
        return Device("cpu", request)
    index, tensorrt = int(match[1] or 0), how.provider == "tensorrt"
    facts = survey() if survey is not None else survey_cuda(tensorrt=tensorrt)
    asked = request if how.provider is None else f"{request} --provider {how.provider}"
    chosen = Device(f"cuda:{index}", asked, how.list_providers(index))
    problem = find_problem(facts, index, tensorrt=tensorrt)
    if problem is None:
        return chosen
    device = chosen.fall_back(problem)
    if CUDA not in facts.providers and len(facts.packages) < 2:
        return replace(device, notice=None)  # nobody installed CUDA here, so nobody expects it
    return device


def find_problem(facts: Survey, index: int = 0, *, tensorrt: bool = False) -> str | None:
    """Why GPU ``index`` cannot be used (by TensorRT), as one sentence; ``None`` when nothing speaks against it."""
    if CUDA not in facts.providers:
        if len(facts.packages) > 1:
            return f"both {' and '.join(facts.packages)} are installed and overwrite each other ({REPAIR})"
        return f"this onnxruntime was built without CUDA ({REPAIR})"
    if facts.driver is None:
        return "there is no NVIDIA driver on this machine"
    problem = _find_driver_problem(facts.driver, facts.cuda, index)
    if problem is None and facts.missing is not None:
        return f"the CUDA library {facts.missing} is missing (pip install 'onnxruntime-gpu[cuda,cudnn]')"
    if problem is None and tensorrt:
        return _find_tensorrt_problem(facts)
    return problem


def _find_tensorrt_problem(facts: Survey) -> str | None:
    if TENSORRT not in facts.providers:
        return "this onnxruntime was built without TensorRT"
    if facts.missing_tensorrt is not None:
        return f"the TensorRT library {facts.missing_tensorrt} is missing (pip install tensorrt)"
    return None


def survey_cuda(*, tensorrt: bool = False) -> Survey:
    """Collect the facts about CUDA on this machine; libraries are only loaded when a driver shows a GPU."""
    ort = load_onnxruntime()
    providers, packages = tuple(ort.get_available_providers()), find_packages()
    if CUDA not in providers:
        return Survey(providers, packages)
    driver = read_driver()
    ready = driver is not None and driver.status == 0 and driver.count > 0
    major = str(getattr(ort, "cuda_version", "") or "0").split(".")[0]
    missing = find_missing_library(ort, CUDA_LIBRARY) if ready else None
    wanted = ready and tensorrt and missing is None and TENSORRT in providers
    lacking = find_missing_library(ort, TENSORRT_LIBRARY) if wanted else None
    return Survey(providers, packages, int(major), driver, missing, lacking)


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
