"""Copies the repository's ``weights/`` into a built package, so that the models in git stand there once."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WEIGHTS = Path("weights")
SHIPPED = ("*.onnx", "*.md", "registry.toml")


class BuildWithWeights(build_py):
    """``build_py``, and the weights beside the modules; an editable install finds them in the checkout itself."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        for pattern in SHIPPED:
            for file in sorted(WEIGHTS.glob(pattern)):
                target = Path(self.build_lib, "adelecli", "weights", file.name)
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildWithWeights})
