"""What can be compared: every method by name, as the settings in which it differs from the default preset.

What must hold: a method differs from plain training in what its name says and in nothing else; network, optimiser, steps, slices
and seed are those of all others. So presets give up their own batch size and number of slices here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from adelecli.errors import ConfigError
from adelecli.training.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAIN = ("loss.scales=[[1, 1]]", "loss.weight=0", "correction.enabled=false")
"""Cross-entropy at one scale, no consistency, no correction."""


@dataclass(frozen=True)
class Method:
    """A method: its ``name``, what it is, its settings, the labels it trains on, and which network is scored.

    ``source``: the run that it is read from where it needs no training of its own. ``labels`` ``"fixed"``: those that confident
    learning made of the noisy ones with the network of ``noisy``.
    """

    name: str
    summary: str
    settings: tuple[str, ...] = ()
    preset: str = "adele"
    labels: Literal["noisy", "clean", "fixed"] = "noisy"
    network: Literal["student", "teacher"] = "teacher"
    source: str | None = None

    @property
    def run(self) -> str:
        """The name of the method whose training this one is read from."""
        return self.source or self.name


def _list_methods() -> tuple[Method, ...]:
    one_scale = PLAIN[:2]
    return (
        Method("clean", "plain training on the clean masks, moving average: the upper bound", PLAIN, labels="clean"),
        Method(
            "noisy", "plain training on the noisy masks, the network itself: the lower bound", PLAIN, network="student"
        ),
        Method("ema", "the same training, the moving average of its weights", PLAIN, source="noisy"),
        Method("scales", "cross-entropy at three scales", ("loss.weight=0", PLAIN[2])),
        Method("consistency", "three scales that must agree, no correction", (PLAIN[2],)),
        Method("correction", "one scale, labels corrected after the onset", one_scale),
        *(Method(name, f"preset {name}", preset=name, network=_predictor(preset)) for name, preset in PRESETS.items()),
        Method("gce", "rival: generalised cross-entropy, q = .7", (*PLAIN, "loss.kind='gce'")),
        Method("tloss", "rival: T-Loss, one class against the rest, its tail learnt", (*PLAIN, "loss.kind='tloss'")),
        Method(
            "coteaching",
            "rival: co-teaching per pixel, told the true share of wrong pixels; the first of its two networks",
            (*PLAIN, "coteaching.enabled=true"),
        ),
        Method(
            "cleanlab",
            "rival: labels fixed once by confident learning with `ema`, a fresh network",
            PLAIN,
            labels="fixed",
        ),
    )


def _predictor(preset: Mapping[str, object]) -> Literal["student", "teacher"]:
    """The network that a preset itself corrects with and exports."""
    teacher = preset.get("teacher", {})
    return "student" if isinstance(teacher, dict) and teacher.get("enabled") is False else "teacher"


METHODS: Mapping[str, Method] = {method.name: method for method in _list_methods()}

DEFAULT = ("clean", "noisy", "ema", "adele")


def choose_methods(names: str | Sequence[str]) -> tuple[Method, ...]:
    """The methods of a comma list or a sequence, each once, in the order of the registry. Raises ``ConfigError``."""
    parts = [part.strip() for text in ([names] if isinstance(names, str) else names) for part in text.split(",")]
    wanted = [part for part in parts if part]
    for name in wanted:
        if name not in METHODS:
            raise ConfigError(f"there is no method {name!r}", remedy=f"choose from {', '.join(METHODS)}")
    if not wanted:
        raise ConfigError("no method is named", remedy=f"choose from {', '.join(METHODS)}")
    return tuple(method for name, method in METHODS.items() if name in wanted)
