"""The one place that talks to onnxruntime's session interface, with its traps closed.

Its defaults keep peak memory for ever, spin on cores that others need, print to the terminal and fall back from CUDA
without an error; its exceptions share no base class. What must hold: a session either runs on the device that it was
made for, or the caller gets another `Device` that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import ModelError
from adelecli.runtime.devices import Device, load_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SILENT = 4  # onnxruntime's severity "fatal": what goes wrong is an exception, its text must not reach the terminal
_DEFAULT_SEVERITY = 2
_WARM_UP_SIDES = {2: 64, 3: 32}  # pixels and voxels of the network's first image: multiples of any usual divisor
_DEVICE_MARKS = ("cuda", "cudnn", "cublas", "tensorrt", "nvinfer")  # in a message: it is the device's fault


def start_session(
    blob: bytes, device: Device, path: Path, *, threads: int = 0, low_memory: bool = False
) -> tuple[Any, Device]:
    """A session for the model ``blob`` on ``device``, and the device that it really runs on.

    That is the CPU when CUDA proves unusable and was not asked for by name (then: DeviceError).
    Raises ModelError naming ``path`` when onnxruntime does not accept the model.
    """
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _SILENT
    options.enable_mem_pattern = False  # sizes vary, and one memory plan per size would be kept
    options.enable_cpu_mem_arena = not low_memory
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # fair to the other work on the machine
    if device.name != "cpu":
        try:
            return _start_on_cuda(ort, blob, options, device), device
        except list_errors() as error:
            if not any(mark in str(error).lower() for mark in _DEVICE_MARKS):
                raise _refuse_model(error, path) from None  # a broken model is not a device problem
            device = device.fall_back(shorten_error(error))
    try:
        # its fallback would try the same again and print to stdout
        return ort.InferenceSession(blob, options, providers=list(device.providers), enable_fallback=0), device
    except list_errors() as error:
        raise _refuse_model(error, path) from None


class RunOptions:
    """The options of a session's runs: silent; with ``shrink`` the CPU arena returns its memory after a run that needed less.

    Not after every run: a volume's slices are of one size, and each would pay anew for the pages that the one before gave back
    (an eighth of the network's time at 256 x 256 pixels). But what a large slice took must not be kept while small ones follow.
    """

    def __init__(self, *, shrink: bool) -> None:
        self._keeping = _make_run_options(shrink=False)
        self._returning = _make_run_options(shrink=True) if shrink else self._keeping
        self._largest = 0

    def choose(self, values: int) -> Any:
        """Those of the next run, whose image has ``values`` values; threads may disagree about the largest, which costs time alone."""
        smaller = values < self._largest
        self._largest = values
        return self._returning if smaller else self._keeping


def _make_run_options(*, shrink: bool) -> Any:
    options = load_onnxruntime().RunOptions()
    options.log_severity_level = _SILENT
    if shrink:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def list_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime may raise: its own classes derive from Exception alone, its Python layer adds the others."""
    load_onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception))
    return (*own, RuntimeError, ValueError, MemoryError)


def shorten_error(error: Exception) -> str:
    """The first words of an onnxruntime message, without its error code."""
    text = " ".join(str(error).split())
    return text.split(" : ", 3)[-1][:160] if text.startswith("[ONNXRuntimeError]") else text[:160]


def _start_on_cuda(ort: Any, blob: bytes, options: Any, device: Device) -> Any:
    """A session on CUDA that has computed something: without cuDNN it starts, and its first convolution fails."""
    ort.set_default_logger_severity(_SILENT)  # the loading of providers reports to the default logger
    try:
        session = ort.InferenceSession(blob, options, providers=list(device.providers), enable_fallback=0)
        wanted = device.providers[0][0]
        if session.get_providers()[0] != wanted:
            name = wanted.removesuffix("ExecutionProvider")
            raise RuntimeError(f"onnxruntime did not accept the {name} provider")
        tensor = session.get_inputs()[0]
        image = np.zeros(plan_warm_up(tensor.shape), np.float32)
        session.run(None, {tensor.name: image}, _make_run_options(shrink=False))
    finally:
        ort.set_default_logger_severity(_DEFAULT_SEVERITY)
    return session


def plan_warm_up(shape: Sequence[object]) -> tuple[int, ...]:
    """The shape of a small image for an input ``shape`` [N, C, H, W] or [N, C, D, H, W]: the sizes that the graph fixes, small ones else.

    The contract, which is held to the same input later, is not read yet: it stands in the metadata of this very session.

    >>> plan_warm_up(["batch", 2, "depth", "height", 48])
    (1, 2, 32, 32, 48)
    """
    side = _WARM_UP_SIDES.get(len(shape) - 2, 1)
    wanted = (1, 1, *[side] * (len(shape) - 2))[: len(shape)]
    return tuple(size if isinstance(size, int) else small for size, small in zip(shape, wanted, strict=True))


def _refuse_model(error: Exception, path: Path) -> ModelError:
    return ModelError(f"is not a usable ONNX model ({shorten_error(error)})", path=path)
