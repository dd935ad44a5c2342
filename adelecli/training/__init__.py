"""The only room that may import torch: network, losses, data, the loop, the export.

It stands above ``volumes``, ``labels``, ``dynamics``, ``store`` and ``runtime`` and below nothing but ``demo`` and ``cli``, so that a
machine without torch can do everything except learn. Importing the package itself imports nothing.
"""
