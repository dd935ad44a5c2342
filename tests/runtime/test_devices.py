"""The choice of a device: every decision, with the facts made up, since no test machine has all of them."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

from adelecli.errors import ConfigError, DeviceError
from adelecli.runtime import devices
from adelecli.runtime.devices import (
    CPU,
    CUDA,
    Device,
    Driver,
    Survey,
    describe_build,
    find_problem,
    read_driver,
    resolve_device,
)

GPU_PACKAGE = (CUDA, CPU)
GOOD = Survey(GPU_PACKAGE, ("onnxruntime-gpu",), 13, Driver((13, 0), 0, 2))


def spoil(**changes: object) -> Survey:
    return Survey(**(vars(GOOD) | changes))


UNUSABLE = {
    "the CPU package": (spoil(providers=(CPU,), packages=("onnxruntime",)), "was built without CUDA"),
    "both packages": (
        spoil(providers=(CPU,), packages=("onnxruntime", "onnxruntime-gpu")),
        "both onnxruntime and onnxruntime-gpu are installed and overwrite each other",
    ),
    "no driver": (spoil(driver=None), "there is no NVIDIA driver on this machine"),
    "an old driver": (
        spoil(driver=Driver((12, 8), 0, 1)),
        r"supports CUDA 12.8, this onnxruntime needs CUDA 13 \(driver 580 or later\)",
    ),
    "an old driver without a GPU": (spoil(driver=Driver((11, 4), 100, 0)), "supports CUDA 11.4"),
    "a driver without a GPU": (
        spoil(driver=Driver((13, 0), 100, 0)),
        "reports no usable GPU .cuInit: 100; CUDA_VISIBLE",
    ),
    "no such GPU": (spoil(driver=Driver((13, 0), 0, 0)), "there is no GPU 0, the NVIDIA driver shows 0"),
    "a missing library": (spoil(missing="libcublasLt.so.13"), "the CUDA library libcublasLt.so.13 is missing"),
}


@pytest.fixture(params=UNUSABLE)
def unusable(request):
    return UNUSABLE[request.param]


def test_cuda_never_falls_back(unusable):
    """Asked for by name, an unusable GPU is an error of one sentence with exit code 5."""
    facts, reason = unusable
    with pytest.raises(DeviceError, match=f"^--device cuda is not usable: .*{reason}") as caught:
        resolve_device("cuda", lambda: facts)
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)


def test_auto_falls_back_and_says_why(unusable):
    """Not asked for by name, the CPU is used, and one line tells the reason unless nobody could expect a GPU."""
    facts, reason = unusable
    device = resolve_device("auto", lambda: facts)
    assert (device.name, device.requested, device.providers) == ("cpu", "auto", ((CPU, {}),))
    if facts.packages == ("onnxruntime",):
        assert device.notice is None
    else:
        assert device.notice.startswith("GPU not used: ")
        assert device.notice.endswith("; running on the CPU")
        assert re.search(reason, device.notice)


@pytest.mark.parametrize(("request_", "index"), [("auto", 0), ("cuda", 0), ("cuda:1", 1)])
def test_a_usable_gpu_is_used(request_, index):
    """The provider list names the GPU and fixes what the defaults get wrong: algorithm search and precision."""
    device = resolve_device(request_, lambda: GOOD)
    assert (device.name, device.notice) == (f"cuda:{index}", None)
    options = {"device_id": str(index), "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    assert device.providers == ((CUDA, options), (CPU, {}))


def test_a_gpu_beyond_the_last_is_refused():
    """cuda:2 of two GPUs does not exist."""
    with pytest.raises(
        DeviceError, match="--device cuda:2 is not usable: there is no GPU 2, the NVIDIA driver shows 2"
    ):
        resolve_device("cuda:2", lambda: GOOD)


def test_cpu_never_asks_about_cuda():
    """No driver is loaded for a run that does not want one."""

    def survey() -> Survey:
        raise AssertionError("asked")

    assert resolve_device("cpu", survey) == Device("cpu", "cpu")


@pytest.mark.parametrize("request_", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:0\n", "cuda:0001"])
def test_another_word_is_a_usage_error(request_):
    """The error lists what may be said."""
    with pytest.raises(ConfigError, match="use auto, cpu, cuda or cuda:N"):
        resolve_device(request_, lambda: GOOD)


def test_an_unknown_version_is_no_reason_to_refuse():
    """A driver or a build that does not tell its version is tried."""
    assert find_problem(spoil(driver=Driver((0, 0), 0, 1))) is None
    assert find_problem(spoil(cuda=0)) is None


class FakeDriver:
    """The C interface of the NVIDIA driver, as ctypes shows it."""

    def __init__(self, version: int, status: int, count: int) -> None:
        self.version, self.status, self.count = version, status, count

    def cuInit(self, _flags):  # noqa: N802 - the driver's name for it
        return self.status

    def cuDriverGetVersion(self, reference):  # noqa: N802
        reference._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, reference):  # noqa: N802
        reference._obj.value = self.count
        return 0


@pytest.mark.parametrize(
    ("fake", "driver"),
    [
        (FakeDriver(12080, 0, 2), Driver((12, 8), 0, 2)),
        (FakeDriver(13000, 100, 0), Driver((13, 0), 100, 0)),
    ],
)
def test_the_driver_is_read(fake, driver):
    """12080 is CUDA 12.8; without an initialised driver nobody counts GPUs."""
    assert read_driver(lambda _: fake) == driver


def test_a_machine_without_the_library_has_no_driver():
    """The absence of libcuda is a fact and not an error."""

    def load(name: str) -> None:
        raise OSError(name)

    assert read_driver(load) is None


def test_the_survey_looks_for_libraries_only_where_a_gpu_is(monkeypatch):
    """Loading CUDA takes seconds and gigabytes, so it waits for a driver that shows a GPU."""
    ort = SimpleNamespace(get_available_providers=lambda: list(GPU_PACKAGE), cuda_version="13.0")
    monkeypatch.setattr(devices, "load_onnxruntime", lambda: ort)
    monkeypatch.setattr(devices, "find_packages", lambda: ("onnxruntime-gpu",))
    monkeypatch.setattr(devices, "find_missing_library", lambda *_: "libcublasLt.so.13")
    for driver, missing in [
        (None, None),
        (Driver((13, 0), 100, 0), None),
        (Driver((13, 0), 0, 1), "libcublasLt.so.13"),
    ]:
        monkeypatch.setattr(devices, "read_driver", lambda driver=driver: driver)
        assert devices.survey_cuda() == Survey(GPU_PACKAGE, ("onnxruntime-gpu",), 13, driver, missing)
    ort.get_available_providers = lambda: [CPU]
    assert devices.survey_cuda() == Survey((CPU,), ("onnxruntime-gpu",))


def test_an_empty_onnxruntime_is_told_with_its_repair(monkeypatch):
    """After the removal of one of two packages the module is an empty folder: the error says how to repair it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())
    with pytest.raises(
        DeviceError, match=r"empty folder.*; pip uninstall -y onnxruntime onnxruntime-gpu && pip install"
    ):
        devices.load_onnxruntime()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match="onnxruntime cannot be imported"):
        devices.load_onnxruntime()


def test_the_build_is_described(monkeypatch):
    """The version is onnxruntime's, and a double installation is a problem with its repair."""
    import onnxruntime

    build = describe_build()
    assert build.version == onnxruntime.__version__
    assert set(build.packages) <= set(devices.PACKAGES)
    monkeypatch.setattr(devices, "find_packages", lambda: devices.PACKAGES)
    assert describe_build().problem.startswith("both onnxruntime and onnxruntime-gpu are installed: pip uninstall")


def test_importing_the_room_does_not_import_onnxruntime():
    """The contract and the preparation serve training too, and `--help` must stay fast."""
    import subprocess

    code = (
        "import sys, adelecli.runtime.contract, adelecli.runtime.preparation, adelecli.runtime.models,"
        "adelecli.runtime.devices, adelecli.runtime.segmentation; sys.exit('onnxruntime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
