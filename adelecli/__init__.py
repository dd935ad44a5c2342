"""adele cleans noisy segmentation labels and trains networks that do not memorise the noise (ADELE, CVPR 2022).

Every command is one function of the same name: it takes a callback for progress, returns a record, raises an ``AdeleError`` of one
line, and never prints or exits.

    import adelecli
    report = adelecli.correct("masks", out="cleaned.zarr", model="weights/adele.onnx")
    for case in report.review_queue:
        ...

Importing this package imports nothing heavy: each name is fetched from its home when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.errors import (
    AdeleError,
    CaseError,
    ConfigError,
    DeviceError,
    InputError,
    ModelError,
    OutputError,
)
from adelecli.importing import import_extra
from adelecli.progress import Progress
from adelecli.version import __version__

if TYPE_CHECKING:
    from adelecli.benchmarking.protocol import bench
    from adelecli.benchmarking.records import BenchResult
    from adelecli.pipeline.checkup import Checkup
    from adelecli.pipeline.comparison import evaluate
    from adelecli.pipeline.conversion import Conversion, convert
    from adelecli.pipeline.correction import correct
    from adelecli.pipeline.corruption import CorruptionReport, corrupt
    from adelecli.pipeline.description import Description, info
    from adelecli.pipeline.prediction import predict
    from adelecli.pipeline.preflight import check
    from adelecli.pipeline.records import CaseRecord, ClassRecord, Report
    from adelecli.pipeline.reversion import Reversion, revert
    from adelecli.pipeline.scores import Evaluation
    from adelecli.pipeline.verification import Verification, verify
    from adelecli.reporting.pages import Page, report
    from adelecli.reviewing.serving import Review, review
    from adelecli.runtime.models import Model, open_model
    from adelecli.showcase.staging import demo
    from adelecli.store.collection import Store, open_store
    from adelecli.training.exporter import ExportResult, export
    from adelecli.training.trainer import TrainResult, train

__all__ = [
    "AdeleError",
    "BenchResult",
    "CaseError",
    "CaseRecord",
    "Checkup",
    "ClassRecord",
    "ConfigError",
    "Conversion",
    "CorruptionReport",
    "Description",
    "DeviceError",
    "Evaluation",
    "ExportResult",
    "InputError",
    "Model",
    "ModelError",
    "OutputError",
    "Page",
    "Progress",
    "Report",
    "Reversion",
    "Review",
    "Store",
    "TrainResult",
    "Verification",
    "__version__",
    "bench",
    "check",
    "convert",
    "correct",
    "corrupt",
    "demo",
    "evaluate",
    "export",
    "info",
    "open_model",
    "open_store",
    "predict",
    "report",
    "revert",
    "review",
    "train",
    "verify",
]

_HOMES = {
    "adelecli.benchmarking.protocol": ("bench",),
    "adelecli.benchmarking.records": ("BenchResult",),
    "adelecli.showcase.staging": ("demo",),
    "adelecli.pipeline.checkup": ("Checkup",),
    "adelecli.pipeline.comparison": ("evaluate",),
    "adelecli.pipeline.conversion": ("Conversion", "convert"),
    "adelecli.pipeline.correction": ("correct",),
    "adelecli.pipeline.corruption": ("CorruptionReport", "corrupt"),
    "adelecli.pipeline.description": ("Description", "info"),
    "adelecli.pipeline.prediction": ("predict",),
    "adelecli.pipeline.preflight": ("check",),
    "adelecli.pipeline.records": ("CaseRecord", "ClassRecord", "Report"),
    "adelecli.pipeline.reversion": ("Reversion", "revert"),
    "adelecli.pipeline.scores": ("Evaluation",),
    "adelecli.pipeline.verification": ("Verification", "verify"),
    "adelecli.reporting.pages": ("Page", "report"),
    "adelecli.reviewing.serving": ("Review", "review"),
    "adelecli.runtime.models": ("Model", "open_model"),
    "adelecli.store.collection": ("Store", "open_store"),
    "adelecli.training.exporter": ("ExportResult", "export"),
    "adelecli.training.trainer": ("TrainResult", "train"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # with it in sight a checker would take any misspelt name for an object

    def __getattr__(name: str) -> object:
        """Fetch a public name from its home, once. ``ConfigError`` where that needs an extra that is not installed."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_extra(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names, fetched or not."""
    return sorted({*globals(), *__all__})
