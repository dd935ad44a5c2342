"""An 8-bit copy of an exported graph for CPUs: static, in QDQ form, one scale per output channel of each weight.

Only the operators of `OPERATORS` become 8-bit, so that softmax, resizing and the average over scales stay float: quantised too, they
gain no time. Needs `onnx` (the export side has it); only onnxruntime's quantiser is used, because the runtime that must fuse the
pairs knows best where they have to stand. What must hold: nothing is written to the terminal or the current folder.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from adelecli.errors import ModelError
from adelecli.runtime.devices import load_onnxruntime
from adelecli.runtime.models import INPUT
from adelecli.runtime.sessions import list_errors, shorten_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPERATORS = ("Conv", "ConvTranspose", "Relu", "LeakyRelu", "MaxPool", "Concat")


def quantise_graph(blob: bytes, samples: NDArray[np.float32]) -> bytes:
    """The graph ``blob`` in int8, its activation ranges taken from the slices ``samples [n, C, H, W]``.

    Raises ModelError when onnxruntime cannot quantise it.
    """
    load_onnxruntime()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix="adele-") as folder, _Silence():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(blob)
        try:
            quantize_static(
                source,
                target,
                _make_reader(samples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except list_errors() as error:
            raise ModelError(f"the graph cannot be quantised ({shorten_error(error)})") from None
        return target.read_bytes()


def _make_reader(samples: NDArray[np.float32]) -> Any:
    """The samples one by one, in the form in which the quantiser asks for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.rest = iter(samples)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.rest, None)
            return None if image is None else {INPUT: image[None].copy()}

    return Reader()


class _Silence(contextlib.ExitStack):
    """The quantiser prints pages about tensors that it leaves alone, and advice that does not fit a dynamic graph."""

    def __enter__(self) -> Self:
        super().__enter__()
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        self.callback(logging.disable, level)
        self.enter_context(contextlib.redirect_stdout(io.StringIO()))
        self.enter_context(contextlib.redirect_stderr(io.StringIO()))
        return self
