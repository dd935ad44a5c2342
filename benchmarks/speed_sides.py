"""One side of one comparison of `correct_speed.py`, in a process of its own: does it, and prints its figures as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

THREADS = os.cpu_count() or 1


def main() -> None:
    """Do what the JSON on the command line says."""
    task = json.loads(sys.argv[1])
    print(json.dumps(globals()[f"do_{task['side']}"](task)))


def find_inputs(task: dict[str, Any]) -> tuple[Path, Path]:
    """The masks and the model of a task, made where they are missing."""
    import phantom_ct

    work, filled, cases = Path(task["work"]), task.get("filled", 1.0), task.get("cases", 1)
    folder = work / f"ct{task['slices']}x{task['size']}-{filled}"
    masks = folder / "masks"
    if len(list(masks.glob("*.nii.gz"))) < cases:
        phantom_ct.write_cases(folder, cases=cases, slices=task["slices"], size=task["size"], filled=filled)
    model = Path(task["model"]) if task["model"] else work / f"model{task['shown']}.onnx"
    if not model.exists():
        phantom_ct.write_model(model, None if task["shown"] == task["size"] else task["shown"])
    return masks, model


def read_status(name: str) -> float:
    """A figure of this process in MB: ``VmHWM`` (peak) or ``VmRSS`` (now)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def do_correct(task: dict[str, Any]) -> dict[str, float]:
    """`correct` as a library call, model and all; what is imported beforehand is what any program has."""
    import numpy as np

    import adelecli
    from adelecli.pipeline import batch, correction, execution
    from adelecli.runtime.models import open_model

    masks, path = find_inputs(task)
    ids = [f"ct{number}" for number in range(task.get("cases", 1))]
    if not task.get("skip", True):
        correction.may_change = lambda *_, **__: True
    if "threads" in task:
        real = batch.open_session
        batch.open_session = lambda *given, **more: real(*given, **more | {"threads": task["threads"]})
        # what one worker process does: a case after another, without reading ahead and writing behind
        batch.run_cases = lambda cases, *rest: (execution.run_case(case, *rest[:-1]) for case in cases)
    side = task["shown"]
    model = open_model(path, "cpu")
    model.run(np.zeros((1, 1, side, side), np.float32))  # the session's own peak
    base = read_status("VmHWM")
    del model
    begin, used = time.perf_counter(), time.process_time()
    report = adelecli.correct(
        masks,
        out=Path(task["work"]) / "out.zarr",
        model=path,
        device="cpu",
        overwrite=True,
        max_change=1.0,
        workers=task.get("workers", 1),
        cases=ids,
    )
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    assert report.exit_code == 0, report
    peak = read_status("VmHWM")
    skipped = sum(case.skipped_slices for case in report.cases)
    figures = {"seconds": seconds, "cpu": cpu, "peak_mb": peak, "beyond_mb": peak - base, "skipped": skipped}
    return figures | report.run.seconds


def do_bare(task: dict[str, Any]) -> dict[str, float]:
    """`session.run` on prepared tiles, and nothing else; preparing them is not counted."""
    import numpy as np

    from adelecli.runtime.models import open_model
    from adelecli.runtime.preparation import fit_normaliser, resize_image
    from adelecli.volumes.cases import pair_cases
    from adelecli.volumes.reading import read_image

    masks, path = find_inputs(task)
    model = open_model(path, "cpu")  # all cores for one run after another, as the runtime does by itself
    volume = read_image(pair_cases(masks).cases[0])
    image = volume.geometry.to_canonical(volume.array)
    normalise, size = fit_normaliser(image, model.contract.channels), (task["shown"], task["shown"])
    tiles = [np.ascontiguousarray(resize_image(normalise(image[:, i]), size)[None]) for i in range(image.shape[1])]
    outputs = ["label", "confidence"] if task["shown"] == task["size"] else ["probabilities"]
    model._session.run(outputs, {"image": tiles[0]})
    begin, used = time.perf_counter(), time.process_time()
    for tile in tiles:
        model._session.run(outputs, {"image": tile})
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - used}


def do_monai(task: dict[str, Any]) -> dict[str, float]:
    """What one would write with MONAI: read, scale, slide the network over each slice, the rule in numpy, save."""
    import nibabel as nib
    import numpy as np
    import phantom_ct
    import torch
    from monai.inferers import sliding_window_inference

    masks, _ = find_inputs(task)
    torch.set_num_threads(THREADS)
    network = load_network(task)
    side = task["shown"]
    begin = time.perf_counter()
    mask_file = nib.load(masks / "ct0.nii.gz")
    labels = np.asarray(mask_file.dataobj).T
    image = np.asarray(nib.load(masks.parent / "images" / "ct0.nii.gz").dataobj).T.astype(np.float32)
    image = (np.clip(image, -200, 300) - 50) / 100
    corrected = labels.copy()
    with torch.inference_mode():
        for i in range(len(image)):
            tile = torch.from_numpy(image[i][None, None])
            shape = tile.shape[2:]
            if side != task["size"]:
                tile = torch.nn.functional.interpolate(tile, (side, side), mode="bilinear", antialias=True)
            answer = sliding_window_inference(
                tile, (side, side), 1, network.probabilities, overlap=0.25, mode="gaussian"
            )
            if side != task["size"]:
                answer = torch.nn.functional.interpolate(answer, shape, mode="bilinear")
            confidence, label = (array[0].numpy() for array in answer.max(1))
            held = np.unique(labels[i])
            change = (confidence > 0.6) & np.isin(label, held) & (len(held) > 1)
            corrected[i][change] = label[change]
    nib.save(nib.Nifti1Image(corrected.T, mask_file.affine), Path(task["work"]) / "monai.nii.gz")
    assert corrected.max() < len(phantom_ct.CLASSES)
    return {"seconds": time.perf_counter() - begin}


def load_network(task: dict[str, Any]) -> Any:
    """The torch network of the benchmark's model, trained once and kept."""
    import phantom_ct
    import torch
    from safetensors.torch import load_file, save_file

    path = Path(task["work"]) / "network.safetensors"
    if not path.exists():
        save_file({name: value.clone() for name, value in phantom_ct.make_network().state_dict().items()}, path)
    network = phantom_ct.make_network(steps=0)
    network.load_state_dict(load_file(path))
    torch.set_grad_enabled(mode=False)
    return phantom_ct.make_multi_scale(network)


def do_eager(task: dict[str, Any]) -> dict[str, float]:
    """The multi-scale network in torch, NCHW or channels last."""
    import torch

    torch.set_num_threads(task.get("cores", THREADS))
    network = load_network(task)
    image = torch.randn(1, 1, task["shown"], task["shown"], generator=torch.Generator().manual_seed(0))
    if task.get("last"):
        network, image = network.to(memory_format=torch.channels_last), image.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return {"seconds": time_best(lambda: network(image))}


def do_onnx(task: dict[str, Any]) -> dict[str, float]:
    """The multi-scale graph in onnxruntime, with the session options of `correct`."""
    import numpy as np

    from adelecli.runtime.models import open_model

    _, path = find_inputs(task)
    model = open_model(path, "cpu", threads=task.get("cores", THREADS))
    image = np.random.default_rng(0).normal(size=(1, 1, task["shown"], task["shown"])).astype(np.float32)
    return {"seconds": time_best(lambda: model.run(image))}


def time_best(work: Any, repeats: int = 3) -> float:
    """Seconds of the fastest of some calls, after one that warms up."""
    work()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def do_quantise(task: dict[str, Any]) -> dict[str, float]:
    """Make the int8 model that ``other`` names, where it is missing; what it weighs."""
    import phantom_ct

    _, path = find_inputs(task)
    return {"bytes": phantom_ct.write_int8(path, Path(task["other"]), task["shown"]).stat().st_size}


def do_differ(task: dict[str, Any]) -> dict[str, float]:
    """The share of the labels of phantom slices in which two models differ."""
    import numpy as np
    import phantom_ct

    from adelecli.runtime.models import open_model
    from adelecli.runtime.preparation import fit_normaliser

    _, path = find_inputs(task)
    first, second = open_model(path, "cpu"), open_model(task["other"], "cpu")
    image = phantom_ct.make_image(phantom_ct.make_labels(8, task["shown"], seed=9), 9)[None]
    normalise = fit_normaliser(image, first.contract.channels)
    tiles = [normalise(image[:, i])[None] for i in range(image.shape[1])]
    return {"share": float(np.mean([np.mean(first.run(tile)[0] != second.run(tile)[0]) for tile in tiles]))}


def do_arena(task: dict[str, Any]) -> dict[str, float]:
    """Memory that the session gives back."""
    import numpy as np

    from adelecli.runtime.models import open_model

    _, path = find_inputs(task)
    model = open_model(path, "cpu")
    for side in (256, 1024, 256):
        model.run(np.zeros((1, 1, side, side), np.float32))
    return {"resident_mb": read_status("VmRSS")}


def do_start(task: dict[str, Any]) -> dict[str, float]:
    """Open the model and answer once; the time is that of the whole process, taken outside."""
    import numpy as np

    from adelecli.runtime.models import open_model

    path = Path(task["model"]) if task["model"] else Path(task["work"]) / f"model{task['shown']}.onnx"
    if not path.exists():
        find_inputs(task)
    open_model(path, "cpu").run(np.zeros((1, 1, 256, 256), np.float32))
    return {"bytes": path.stat().st_size}


if __name__ == "__main__":
    main()
