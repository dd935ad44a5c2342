"""The room that runs a model: its contract, its device, and a volume streamed through it.

Only this room imports onnxruntime, and only when a model is opened: `contract` and `preparation` need numpy and msgspec
alone, because training prepares its images with the very same functions that inference uses.
"""

from __future__ import annotations

import os

# Its Linux builds write a device id and a database of events to the home folder while they are imported, so it is too late to say
# `disable_telemetry_events()` afterwards; processes that are started later inherit the word.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
