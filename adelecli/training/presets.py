"""Presets: named differences from the defaults of ``settings``.

The three besides ``adele`` exist so that the published behaviour can be measured beside ours on the same data (algorithm section 6):
``paper`` is the method as the article describes it, ``segthor-code`` and ``voc-code`` what the two halves of the authors' published
code do. What of the code is not carried over stands in docs/fidelity.md. Numbers that a preset does not name are the defaults.
"""

from __future__ import annotations

_PLAIN_START = {"norm": "batch", "prior_bias": False}

_CODE_OPTIMISER = {"name": "sgd", "warmup_steps": 0, "clip_norm": 0.0}

PRESETS: dict[str, dict[str, object]] = {
    # what wins the measurements (docs/learning.md); the differences to `paper` stand in docs/settings.md
    "adele": {
        "correction": {"start": 1.0, "tau": 0.5, "outline": 0.75, "restore": True},
        "noise": {"enabled": True},
        "augment": {"rotate": 15.0, "scale": 0.15, "shift": 0.05, "brightness": 0.1, "contrast": 0.1},
    },
    # network and optimiser are the user's there, so they stay ours but for the batch norm
    "paper": {
        "network": {**_PLAIN_START},
        "loss": {"dice_steps": 0},
        "correction": {"tau": 0.8, "guard": 1.0},
        "teacher": {"enabled": False},
    },
    "segthor-code": {
        "epochs": 100,
        "data": {"max_size": 256, "intensity": "volume", "slices_per_epoch": 0, "empty_share": 1.0},
        "network": {**_PLAIN_START, "width": 64, "depth": 4},
        "optimiser": {**_CODE_OPTIMISER, "lr": 0.01, "momentum": 0.99, "weight_decay": 0.0, "batch_size": 5},
        "loss": {"temperature": 3.0, "dice_steps": 0},
        "onset": {"rule": "trimmed", "reference": "current"},
        "correction": {
            "tau": 0.7,
            "guard": 1.0,
            "scales": [[1, 1]],
            "predictions": "epoch",
            "mode": "accumulate",
            "interval": 10,
            "when": "onset",
        },
        "teacher": {"enabled": False},
    },
    # 20,000 steps of 10 among the 10,582 images of PASCAL VOC's augmented training set are nearly 19 epochs
    "voc-code": {
        "epochs": 19,
        "data": {"max_size": 448, "intensity": "fixed", "slices_per_epoch": 0, "empty_share": 1.0},
        "network": {**_PLAIN_START},
        "optimiser": {**_CODE_OPTIMISER, "lr": 0.001, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 10},
        "loss": {"temperature": 3.0, "reduction": "sum", "dice_steps": 0},
        "onset": {"consecutive": 1, "forced_epoch": 16},
        "correction": {
            "tau": 0.8,
            "guard": 1.0,
            "scales": [[3, 4], [1, 1], [3, 2]],
            "temperature": 3.0,
            "any_source": True,
            "fill_ignore": True,
        },
        "teacher": {"enabled": False},
    },
}

BASELINE: dict[str, object] = {
    "loss": {"scales": [[1, 1]], "weight": 0.0},
    "correction": {"enabled": False, "scales": None},
}
"""What ``--baseline`` changes: one scale, no consistency, no correction. The moving average is kept beside it, unused."""
