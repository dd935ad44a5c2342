"""The room that runs a model: its contract, its device, and a volume streamed through it.

Only this room imports onnxruntime, and only when a model is opened: `contract` and `preparation` need numpy and msgspec
alone, because training prepares its images with the very same functions that inference uses.
"""
