"""A model file, opened once and checked before it may touch anybody's labels.

What must hold: the bytes that are hashed are the bytes that run (the file is read once, size-capped, and onnxruntime
gets those bytes); nothing outside the file is loaded; the contract, the graph's signature and the recorded hash of the
weights agree. Inputs become native float32, because onnxruntime reads big-endian arrays as garbage without a word.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import CaseError, ModelError
from adelecli.runtime.binding import Buffers
from adelecli.runtime.contract import METADATA_KEY, REMEDY, Contract, decode_contract
from adelecli.runtime.devices import Device, resolve_device
from adelecli.runtime.inspection import Anatomy, inspect_model
from adelecli.runtime.sessions import RunOptions, list_errors, shorten_error, start_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from adelecli.runtime.acceleration import Acceleration
    from adelecli.runtime.binding import Form

MAX_BYTES = 1 << 30
INPUT = "image"
OUTPUTS = ("probabilities", "label", "confidence")
_SIZES = {2: "H, W", 3: "D, H, W"}
_MEMORY_MARKS = ("bad_alloc", "allocate memory", "out of memory", "out_of_memory", "bfcarena", "bfc_arena")


@dataclass(frozen=True, eq=False)
class Model:
    """An open model: its ``contract``, the ``sha256`` and ``size`` (bytes) of its file, the ``device`` it runs on.

    Any number of threads may call it at once.
    """

    path: Path
    contract: Contract
    sha256: str
    size: int
    device: Device
    _session: Any = field(repr=False)
    _options: RunOptions = field(repr=False)
    _buffers: Buffers | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """One line; everything else that is known is in ``contract``."""
        return f"Model({str(self.path)!r}, {len(self.contract.classes)} classes, {self.contract.dims}D, on {self.device.name})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the same line, and the classes with what the contract says of them."""
        rows = "".join(
            f"<tr><td>{one.id}</td><td>{escape(one.name)}</td><td>{one.tau}</td><td>{'yes' if one.triggered else 'no'}</td></tr>"
            for one in self.contract.classes
        )
        head = "<tr><th>id</th><th>class</th><th>threshold</th><th>corrected</th></tr>"
        table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
        return f"<p><b>adele model</b> {escape(self.contract.name)}: {escape(repr(self))}</p>{table}"

    def run(self, image: NDArray[np.generic]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Segment prepared slices ``image`` [N, C, H, W]: class indices uint8 and their confidence, both [N, H, W].

        Raises CaseError when the image has another form than the model was made for, or memory runs out.
        """
        label, confidence = self._compute(["label", "confidence"], image)
        return label, confidence

    def run_probabilities(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """The class probabilities [N, K, H, W] of prepared slices ``image`` [N, C, H, W]; errors as `run`."""
        probabilities: NDArray[np.float32] = self._compute(["probabilities"], image)[0]
        return probabilities

    def _compute(self, outputs: list[str], image: NDArray[np.generic]) -> Sequence[Any]:
        channels = len(self.contract.channels)
        if image.ndim != self.contract.dims + 2 or image.shape[1] != channels:
            form = f"[N, {channels}, {_SIZES[self.contract.dims]}]"
            raise CaseError(f"the image has the form {image.shape}, the model wants {form}")
        step = self.contract.batch or max(1, len(image))
        if step < len(image):
            parts = [self._compute(outputs, image[i : i + step]) for i in range(0, len(image), step)]
            return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        feed = {INPUT: np.ascontiguousarray(image, dtype=np.float32)}
        options = self._options.choose(image.size)
        try:
            if self._buffers is not None:
                return self._buffers.run(INPUT, feed[INPUT], self._list_forms(outputs, image.shape), options)
            computed: Sequence[Any] = self._session.run(outputs, feed, options)
        except list_errors() as error:
            raise _explain_failure(error, image.shape) from None
        return computed

    def _list_forms(self, outputs: list[str], shape: tuple[int, ...]) -> dict[str, Form]:
        """Shape and dtype of each output for an image of ``shape``."""
        count, size = shape[0], shape[2:]
        forms: dict[str, Form] = {
            "probabilities": ((count, len(self.contract.classes), *size), np.float32),
            "label": ((count, *size), np.uint8),
            "confidence": ((count, *size), np.float32),
        }
        return {name: forms[name] for name in outputs}


def open_model(
    path: str | Path,
    device: str = "auto",
    *,
    sha256: str | None = None,
    threads: int = 0,
    low_memory: bool = False,
    how: Acceleration | None = None,
    bind: bool | None = None,
) -> Model:
    """Open the model file ``path`` on ``device`` (``auto``, ``cpu``, ``cuda``, ``cuda:N``), a GPU used as ``how`` says.

    ``sha256``: what the file's hash must be, where somebody recorded it. ``threads``: 0 uses all cores.
    ``low_memory``: allocate without an arena, some percent slower and with the lowest peak. ``bind``: keep buffers on the
    device between runs (``None``: on a GPU; on a CPU there is nothing to copy to).
    Raises ModelError (unreadable, no contract, wrong hash, forbidden content), DeviceError, ConfigError.
    """
    path, chosen = Path(path), resolve_device(device, how=how)
    blob = _read_file(path)
    digest = hashlib.sha256(blob).hexdigest()
    if sha256 is not None and digest != sha256.lower():
        fact = f"its sha256 is {digest}, but {sha256} is recorded for it"
        raise ModelError(fact, path=path, remedy="get the file again, or correct the record")
    anatomy = inspect_model(blob, path)
    refuse_outsiders(anatomy, path)
    session, used = start_session(blob, chosen, path, threads=threads, low_memory=low_memory)
    with _refuse_texts(path):
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError("lacks its contract", path=path, remedy=REMEDY)
    contract = decode_contract(text, path)
    if contract.weights_sha256 not in {"", anatomy.weights_sha256}:
        raise ModelError("its weights are not those that were exported", path=path, remedy="get the file again")
    with _refuse_texts(path):
        _check_signature(session, contract, path)
    options = RunOptions(shrink=used.name == "cpu" and not low_memory)
    buffers = Buffers(session, *used.place) if (used.name != "cpu" if bind is None else bind) else None
    return Model(path, contract, digest, len(blob), used, session, options, buffers)


@contextmanager
def _refuse_texts(path: Path) -> Iterator[None]:
    """The runtime hands names and metadata over as they stand in the file; Python refuses those that are not UTF-8."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ModelError(f"holds names or metadata that are no text ({error})", path=path, remedy=REMEDY) from None


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelError("is not a file" if path.exists() else "there is no such model file", path=path)
        with path.open("rb") as file:
            blob = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path=path) from None
    if len(blob) > MAX_BYTES:
        raise ModelError(f"is larger than {MAX_BYTES} bytes", path=path)
    return blob


def refuse_outsiders(anatomy: Anatomy, path: Path) -> None:
    """Raise ModelError unless a model is one file of standard operators, so that its hash says all about what it does."""
    if anatomy.external:
        fact = f"keeps weights in other files ({anatomy.external[0]})"
        raise ModelError(fact, path=path, remedy=REMEDY)
    if anatomy.absurd:
        fact = f"holds a tensor that claims more values than a file can hold ({anatomy.absurd[0]})"
        raise ModelError(fact, path=path, remedy=REMEDY)
    if anatomy.foreign:
        fact = f"uses operators from outside the ONNX standard ({', '.join(anatomy.foreign)})"
        raise ModelError(fact, path=path, remedy=REMEDY)


def _check_signature(session: Any, contract: Contract, path: Path) -> None:
    """Hold the graph's inputs and outputs to the contract; a size that the graph leaves open cannot contradict it."""
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor for tensor in session.get_outputs()}
    if set(inputs) != {INPUT}:
        raise ModelError(f"its input is `{'`, `'.join(inputs)}`, not `{INPUT}`", path=path, remedy=REMEDY)
    missing = [name for name in OUTPUTS if name not in outputs]
    if missing:
        raise ModelError(f"it has no output `{missing[0]}`", path=path, remedy=REMEDY)
    for tensor, wanted in ((inputs[INPUT], contract.channels), (outputs[OUTPUTS[0]], contract.classes)):
        kind, shape = tensor.type, tensor.shape
        if kind != "tensor(float)" or len(shape) != contract.dims + 2:
            fact = f"`{tensor.name}` is {kind} {shape}, not float [N, _, {_SIZES[contract.dims]}]"
            raise ModelError(fact, path=path, remedy=REMEDY)
        if isinstance(shape[1], int) and shape[1] != len(wanted):
            fact = f"`{tensor.name}` has {shape[1]} channels, its contract names {len(wanted)}"
            raise ModelError(fact, path=path, remedy=REMEDY)


def _explain_failure(error: Exception, shape: tuple[int, ...]) -> CaseError:
    if isinstance(error, MemoryError) or any(mark in str(error).lower() for mark in _MEMORY_MARKS):
        remedy = "free memory, use --device cpu, or export the model with a smaller `max_size`"
        return CaseError(f"not enough memory to segment slices of {shape[-2]} x {shape[-1]}", remedy=remedy)
    return CaseError(f"the model failed on slices of {shape[-2]} x {shape[-1]} ({shorten_error(error)})")
