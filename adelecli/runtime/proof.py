"""Run a graph's bytes without a contract, for the exporter's proof that the file computes what the trained network did.

The proof is made twice: with onnxruntime's optimiser, as the model will be used, and without it, so that a difference can be
laid at the door of the graph or of its fusions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adelecli.errors import ModelError
from adelecli.runtime.devices import load_onnxruntime
from adelecli.runtime.models import INPUT, OUTPUTS
from adelecli.runtime.sessions import list_errors, shorten_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray


def open_graph(
    blob: bytes, *, optimised: bool, outputs: Sequence[str] = OUTPUTS
) -> Callable[[NDArray[np.float32]], list[NDArray[Any]]]:
    """A function from ``image [N, C, H, W]`` to ``[probabilities, label, confidence]`` (or ``outputs``), on the CPU.

    Raises ModelError when onnxruntime does not accept the graph.
    """
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(blob, options, providers=["CPUExecutionProvider"])
    except list_errors() as error:
        raise ModelError(f"the exported graph does not load ({shorten_error(error)})") from None

    def run(image: NDArray[np.float32]) -> list[NDArray[Any]]:
        try:
            computed: list[NDArray[Any]] = session.run(list(outputs), {INPUT: image})
        except list_errors() as error:
            raise ModelError(f"the exported graph does not run on {image.shape} ({shorten_error(error)})") from None
        return computed

    return run
