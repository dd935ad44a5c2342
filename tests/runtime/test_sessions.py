"""A GPU that fails only when it is used, and what a model may be blamed for."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import make_contract, make_model

from adelecli.errors import DeviceError, ModelError
from adelecli.runtime import models, sessions
from adelecli.runtime.devices import CPU, CUDA, Device
from adelecli.runtime.models import open_model
from adelecli.runtime.sessions import RunOptions


class FakeSession:
    """A session of a made-up onnxruntime: CUDA fails where ``fault`` says, the CPU works."""

    def __init__(self, fault: str, providers: list[tuple[str, dict[str, str]]]) -> None:
        self.fault, self.cuda = fault, providers[0][0] == CUDA
        if self.cuda and fault == "start":
            raise RuntimeError("CUDA failure 35: CUDA driver version is insufficient")
        if fault == "model":
            raise RuntimeError("Node (x) has an invalid shape")

    def get_providers(self):
        return [CPU] if self.fault == "ignored" else [CUDA, CPU]

    def get_inputs(self):
        return [SimpleNamespace(name="image", shape=["batch", 1, "h", "w"])]

    def run(self, _outputs, feed, _options):
        assert feed["image"].shape == (1, 1, 64, 64)
        if self.fault == "run":
            raise RuntimeError("cuDNN is not available. Install cuDNN 9")


@pytest.fixture
def fake_runtime(monkeypatch):
    """Make `sessions` meet a made-up onnxruntime whose CUDA fails in a given way; gives the log severities it was set to."""
    real = sessions.load_onnxruntime()
    severities: list[int] = []

    def install(fault: str) -> list[int]:
        fake = SimpleNamespace(
            SessionOptions=real.SessionOptions,
            RunOptions=real.RunOptions,
            set_default_logger_severity=severities.append,
            InferenceSession=lambda _blob, _options, providers, **_: FakeSession(fault, providers),
        )
        monkeypatch.setattr(sessions, "load_onnxruntime", lambda: fake)
        return severities

    return install


FAULTS = {"start": "CUDA failure 35", "ignored": "did not accept the CUDA provider", "run": "cuDNN is not available"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_a_gpu_that_fails_when_used_counts_as_unusable(fake_runtime, tmp_path, fault, requested):
    """At the start, silently, or at the first run: `auto` gets the CPU and a reason, `cuda` gets an error."""
    severities = fake_runtime(fault)
    device = Device("cuda:0", requested, ((CUDA, {}), (CPU, {})))
    if requested == "cuda":
        with pytest.raises(DeviceError, match=FAULTS[fault]):
            sessions.start_session(b"", device, tmp_path)
    else:
        session, used = sessions.start_session(b"", device, tmp_path)
        assert not session.cuda
        assert used.name == "cpu"
        assert FAULTS[fault] in used.notice
    assert severities == [4, 2]


def test_a_working_gpu_is_kept(fake_runtime, tmp_path):
    """Nothing falls back that works."""
    fake_runtime("none")
    device = Device("cuda:0", "auto", ((CUDA, {}), (CPU, {})))
    session, used = sessions.start_session(b"", device, tmp_path)
    assert session.cuda
    assert used is device


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        (["batch", 1, "height", "width"], (1, 1, 64, 64)),
        ([None, 3, 96, None], (1, 3, 96, 64)),
        (["batch", 2, "depth", "height", "width"], (1, 2, 32, 32, 32)),
        ([1, "channels", 16, 24, "width"], (1, 1, 16, 24, 32)),
        ([], ()),
    ],
)
def test_the_first_image_has_the_dimensions_of_the_model(shape, image):
    """Slices or volumes, with the sizes that the graph fixes; a shape that no model of ours has is left to its own check."""
    assert sessions.plan_warm_up(shape) == image


@pytest.mark.parametrize("dims", [2, 3])
def test_real_models_of_slices_and_volumes_take_their_first_image(tmp_path, dims):
    """Through the start-up of a GPU, with the CPU in its place."""
    blob = make_model(tmp_path / "m.onnx", make_contract(dims=dims)).read_bytes()
    device = Device("cuda:0", "cuda", ((CPU, {}),))
    session, used = sessions.start_session(blob, device, tmp_path)
    assert used is device
    assert len(session.get_inputs()[0].shape) == dims + 2


@pytest.mark.parametrize("name", ["cpu", "cuda:0"])
def test_a_broken_model_is_not_a_device_problem(fake_runtime, tmp_path, name):
    """An error that does not speak of CUDA is the model's, on every device."""
    fake_runtime("model")
    providers = ((CPU, {}),) if name == "cpu" else ((CUDA, {}), (CPU, {}))
    with pytest.raises(ModelError, match=r"is not a usable ONNX model \(Node \(x\) has an invalid shape\)"):
        sessions.start_session(b"", Device(name, "auto", providers), tmp_path)


def test_a_claimed_gpu_without_one_falls_back_quietly(tmp_path, monkeypatch, capfd):
    """The real onnxruntime, told to use CUDA where there is none: the CPU answers and the terminal stays clean."""
    claimed = Device("cuda:0", "auto", ((CUDA, {"device_id": "0"}), (CPU, {})))
    monkeypatch.setattr(models, "resolve_device", lambda *_, **__: claimed)
    model = open_model(make_model(tmp_path / "m.onnx"))
    if model.device.name != "cpu":
        pytest.skip("this machine has a GPU")
    assert model.device.notice.startswith("GPU not used: ")
    assert model.run(np.float32([[[[0, 1, 2]]]]))[0].tolist() == [[[0, 1, 2]]]
    assert capfd.readouterr() == ("", "")


def test_memory_is_returned_after_a_run_that_is_smaller_than_the_one_before():
    """Equal and larger runs keep it, since the next will need it again; without an arena there is nothing to return."""
    options = RunOptions(shrink=True)
    key = "memory.enable_memory_arena_shrinkage"
    returned = ["cpu:0" in str(_read(options.choose(size), key)) for size in (5, 5, 9, 5, 5, 4, 9, 8)]
    assert returned == [False, False, False, True, False, True, False, True]
    assert all(_read(RunOptions(shrink=False).choose(size), key) is None for size in (9, 5))


def _read(options, key):
    try:
        return options.get_run_config_entry(key)
    except RuntimeError:
        return None


def test_what_a_large_slice_took_is_given_back(tmp_path):
    """After 64 MB of input the process is, with a small slice, where it was before; the resident memory says so."""
    code = """
import re, sys
from pathlib import Path
import numpy as np
from adelecli.runtime.models import open_model
from adelecli.runtime.sessions import RunOptions

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

model = open_model(sys.argv[1], "cpu")
small, large = np.zeros((1, 1, 64, 64), np.float32), np.zeros((1, 1, 4096, 4096), np.float32)
model.run(small)
before = resident()
model.run(large)
held = resident()
model.run(small)
print(before, held, resident())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, make_model(tmp_path / "m.onnx")], capture_output=True, text=True, check=True
    )
    before, held, after = map(float, done.stdout.split())
    assert held - before > 300, done.stdout
    assert after - before < 150, done.stdout
