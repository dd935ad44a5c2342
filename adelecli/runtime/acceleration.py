"""What a GPU is asked to do besides its number: by which provider, with how much memory, and where built engines are kept.

What must hold: the arithmetic is that of the CPU as far as a GPU can (no TF32, no half precision: both move confidences
across thresholds), and whether it was is stated in the run's record; an engine is native code, so it is only ever read
from a folder that nobody but the user can write to, never from beside a model.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from adelecli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

Provider: TypeAlias = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Acceleration:
    """How a GPU is used.

    ``provider``: ``cuda`` or ``tensorrt``; ``None`` is CUDA, and leaves ``--device auto`` free to fall back. ``engines``: the
    folder of TensorRT's built engines (``None``: the user's cache). ``memory``: bytes that CUDA's arena may take.
    """

    provider: Literal["cuda", "tensorrt"] | None = None
    engines: Path | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.provider not in {None, "cuda", "tensorrt"}:
            raise ConfigError(f"--provider {self.provider} is not a provider", remedy="use cuda or tensorrt")

    def list_providers(self, index: int) -> tuple[Provider, ...]:
        """The providers for GPU ``index``, the preferred one first. Raises ConfigError for an unsafe engine folder."""
        fallback: tuple[Provider, ...] = ((CUDA, self._cuda_options(index)), (CPU, {}))
        if self.provider != "tensorrt":
            return fallback
        engines = str(open_engine_cache(self.engines))
        options = {
            "device_id": str(index),
            "trt_engine_cache_enable": "1",  # building one takes minutes
            "trt_engine_cache_path": engines,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": engines,
            "trt_fp16_enable": "0",
            "trt_int8_enable": "0",
        }
        return ((TENSORRT, options), *fallback)

    def _cuda_options(self, index: int) -> dict[str, str]:
        options = {
            "device_id": str(index),
            "cudnn_conv_algo_search": "HEURISTIC",  # EXHAUSTIVE searches anew for each of our many sizes
            "use_tf32": "0",  # ten bits of mantissa would move confidences by 1e-3, across thresholds
        }
        if self.memory is not None:
            # the arena doubles by default, and would meet its limit at half of it
            options |= {"gpu_mem_limit": str(self.memory), "arena_extend_strategy": "kSameAsRequested"}
        return options


def find_engine_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where engines are kept by default: ``$XDG_CACHE_HOME/adele/tensorrt``, or below ``~/.cache``."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adele" / "tensorrt"


def open_engine_cache(folder: Path | None) -> Path:
    """Make the folder for engines (0700) and return it; ConfigError when others could put an engine there."""
    folder = (folder or find_engine_cache()).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        fact = f"cannot be made ({error.strerror})"
        raise ConfigError(fact, path=folder, remedy="name another --engine-cache") from error
    foreign = hasattr(os, "geteuid") and facts.st_uid != os.geteuid()
    if foreign or (os.name == "posix" and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        fact = "can be written by others, and TensorRT runs what lies there"
        raise ConfigError(fact, path=folder, remedy=f"chmod 700 {folder}, or name another --engine-cache")
    return folder


def describe_tf32(providers: tuple[Provider, ...], environment: Mapping[str, str] = os.environ) -> bool | None:
    """Whether products may be rounded to TF32; ``None`` where there is no such thing (CPU). TensorRT only obeys the driver's switch."""
    name, options = providers[0]
    if name == TENSORRT:
        return environment.get("NVIDIA_TF32_OVERRIDE") != "0"
    return options.get("use_tf32") != "0" if name == CUDA else None
