"""Runs with buffers that stay: on a GPU each plain run would allocate and copy its inputs and outputs anew.

What must hold: the answer is that of a plain run; what is returned is the caller's own (a copy), since the buffers are
written again by the next run; each thread has its own buffers, because a binding belongs to one thread. Nothing here
knows about CUDA: on the CPU the same code runs, which is how it is tested.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.runtime.devices import load_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Form = tuple[tuple[int, ...], type[np.generic]]

MAX_FORMS = 8
"""Shapes whose buffers are kept; a stream of pictures of all sizes must not collect one set for each."""


class Buffers(threading.local):
    """The bound input and outputs of one session on one device (``cpu``, ``cuda``; its ``index``), for each thread apart."""

    def __init__(self, session: Any, device: str = "cpu", index: int = 0) -> None:
        self._session, self._place = session, (device, index)
        self._binding = session.io_binding()
        self._kept: dict[tuple[str, Form], Any] = {}

    def run(
        self, name: str, image: NDArray[np.float32], outputs: Mapping[str, Form], options: Any
    ) -> Sequence[NDArray[Any]]:
        """The ``outputs`` (name -> shape and dtype) of the session for its input ``name``; raises what onnxruntime raises."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        source = self._get_buffer(name, (image.shape, np.float32))
        source.update_inplace(image)
        self._binding.bind_ortvalue_input(name, source)
        targets = [self._get_buffer(output, form) for output, form in outputs.items()]
        for output, target in zip(outputs, targets, strict=True):
            self._binding.bind_ortvalue_output(output, target)
        self._session.run_with_iobinding(self._binding, options)
        self._binding.synchronize_outputs()
        return [np.array(target.numpy()) for target in targets]

    def _get_buffer(self, name: str, form: Form) -> Any:
        buffer = self._kept.pop((name, form), None)
        if buffer is None:
            while sum(kept == name for kept, _ in self._kept) >= MAX_FORMS:
                del self._kept[next(key for key in self._kept if key[0] == name)]  # the one not used for longest
            shape, dtype = form
            buffer = load_onnxruntime().OrtValue.ortvalue_from_shape_and_type(shape, dtype, *self._place)
        self._kept[name, form] = buffer
        return buffer
