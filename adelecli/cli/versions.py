"""What `adele --version` prints: the first line for programs, the rest for whoever has to find out why two machines differ.

What must hold: nothing heavy is imported for it, torch above all, and nothing at all before it is asked for; what is not installed
is said, not hidden.
"""

from __future__ import annotations

import click

from adelecli.version import __version__, find_versions

LINES = (
    ("runtime", ("onnxruntime-gpu", "onnxruntime", "numpy", "scipy")),
    ("store", ("zarr", "numcodecs")),
    ("formats", ("nibabel", "Pillow", "SimpleITK", "pydicom", "highdicom", "obstore")),
    ("training", ("torch", "monai", "onnx", "onnxscript", "safetensors")),
    ("review", ("starlette", "uvicorn")),
    ("cluster", ("distributed",)),
    ("program", ("click", "rich", "msgspec", "Jinja2")),
)
"""Distributions by what they are for; of the two builds of onnxruntime one is enough."""


def print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """The callback of ``--version``: prints and ends the program with 0."""
    if not wanted or context.resilient_parsing:
        return
    import platform

    from adelecli.pipeline.provenance import list_devices

    click.echo(f"adele {__version__}")
    click.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for purpose, names in LINES:
        click.echo(f"{purpose}: {', '.join(_tell_versions(names))}")
    click.echo(f"devices: {', '.join(list_devices())}")
    context.exit()


def _tell_versions(names: tuple[str, ...]) -> list[str]:
    found = find_versions(names)
    told = [f"{name} {number}" for name, number in found.items()]
    missing = [name for name in names if name not in found and not name.startswith("onnxruntime")]
    if "onnxruntime-gpu" not in found and "onnxruntime" not in found and "onnxruntime" in names:
        missing.insert(0, "onnxruntime")
    return told + ([f"not installed: {' '.join(missing)}"] if missing else [])
