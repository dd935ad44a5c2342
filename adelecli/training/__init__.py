"""The only room that may import torch: network, losses, data, the loop, the export.

It stands above ``volumes``, ``labels``, ``dynamics``, ``store`` and ``runtime`` and below nothing but ``showcase``, ``benchmarking`` and
``cli``, so that a machine without torch can do everything except learn. Importing the package itself imports nothing.
"""

from __future__ import annotations

import os

# Threads of torch spin while they wait for each other; on a machine that is shared that made an epoch twenty times slower
# (150 s instead of 7 s beside a second training). It must be said before torch is loaded, and the user's own word wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
