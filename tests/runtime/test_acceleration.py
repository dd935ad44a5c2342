"""Providers and their options, every decision about TensorRT, and engines that nobody else may have written."""

from __future__ import annotations

import os

import pytest

from adelecli.errors import ConfigError, DeviceError
from adelecli.runtime.acceleration import CPU, CUDA, TENSORRT, Acceleration, describe_tf32, find_engine_cache
from adelecli.runtime.devices import Driver, Survey, resolve_device

GOOD = Survey((TENSORRT, CUDA, CPU), ("onnxruntime-gpu",), 13, Driver((13, 0), 0, 2))


def spoil(**changes: object) -> Survey:
    return Survey(**(vars(GOOD) | changes))


def test_tensorrt_comes_before_cuda_and_keeps_its_engines(tmp_path):
    """Three providers in order; engines and timings go to the folder given, made for the user alone, in full precision."""
    folder = tmp_path / "engines"
    device = resolve_device("cuda:1", lambda: GOOD, Acceleration("tensorrt", folder))
    assert [name for name, _ in device.providers] == [TENSORRT, CUDA, CPU]
    options = device.providers[0][1]
    assert (options["device_id"], options["trt_engine_cache_enable"], options["trt_fp16_enable"]) == ("1", "1", "0")
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (device.name, device.place) == ("cuda:1", ("cuda", 1))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (spoil(providers=(CUDA, CPU)), "this onnxruntime was built without TensorRT"),
        (spoil(missing_tensorrt="libnvinfer.so.10"), "the TensorRT library libnvinfer.so.10 is missing"),
        (spoil(missing="libcublasLt.so.13"), "the CUDA library libcublasLt.so.13 is missing"),
        (spoil(driver=None), "there is no NVIDIA driver"),
    ],
)
def test_a_named_provider_never_falls_back(tmp_path, facts, said):
    """Whoever names TensorRT waits for its engines and wants it, also under `auto`."""
    with pytest.raises(
        DeviceError, match=f"--device auto --provider tensorrt is not usable: {said}.*without --provider"
    ):
        resolve_device("auto", lambda: facts, Acceleration("tensorrt", tmp_path))


def test_cuda_does_not_care_about_tensorrt(tmp_path):
    """A missing library of TensorRT keeps nobody from CUDA."""
    device = resolve_device("cuda", lambda: spoil(missing_tensorrt="x"), Acceleration("cuda"))
    assert [name for name, _ in device.providers] == [CUDA, CPU]


def test_contradictions_are_usage_errors():
    """A provider on the CPU, and a provider that does not exist."""
    with pytest.raises(ConfigError, match="--provider cuda needs a GPU, --device is cpu"):
        resolve_device("cpu", lambda: GOOD, Acceleration("cuda"))
    with pytest.raises(ConfigError, match="--provider rocm is not a provider; use cuda or tensorrt"):
        Acceleration("rocm")  # type: ignore[arg-type]


def test_a_memory_limit_makes_the_arena_grow_by_what_is_asked():
    """Doubling would meet the limit at half of it; without a limit nothing is set."""
    options = Acceleration(memory=2 << 30).list_providers(0)[0][1]
    assert (options["gpu_mem_limit"], options["arena_extend_strategy"]) == (str(2 << 30), "kSameAsRequested")
    assert "gpu_mem_limit" not in Acceleration().list_providers(0)[0][1]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_folder_that_others_can_write_to_is_refused(tmp_path):
    """An engine is native code."""
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by others, and TensorRT runs what lies there"):
        Acceleration("tensorrt", tmp_path).list_providers(0)


def test_the_default_folder_is_the_users_cache():
    """$XDG_CACHE_HOME where it is set."""
    assert find_engine_cache({"XDG_CACHE_HOME": "/c"}).as_posix() == "/c/adele/tensorrt"
    assert find_engine_cache({}).parts[-3:] == (".cache", "adele", "tensorrt")


def test_tf32_is_stated():
    """Off on CUDA by our option; on TensorRT only by the driver's switch; on a CPU there is none."""
    assert describe_tf32(((CUDA, {"use_tf32": "0"}), (CPU, {}))) is False
    assert describe_tf32(((CUDA, {}), (CPU, {}))) is True
    assert describe_tf32(((TENSORRT, {}),), {"NVIDIA_TF32_OVERRIDE": "0"}) is False
    assert describe_tf32(((TENSORRT, {}),), {}) is True
    assert describe_tf32(((CPU, {}),)) is None
