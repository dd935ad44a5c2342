"""The correction rule of a run: what the model's contract says, as far as the options do not say otherwise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.labels.correction import Rule
from adelecli.labels.gate import Gate
from adelecli.labels.omission import Restoration
from adelecli.labels.outline import choose_best, combine_outline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.pipeline.options import CorrectOptions
    from adelecli.runtime.contract import Contract
    from adelecli.runtime.segmentation import Judge


def make_rule(contract: Contract, table: ClassTable, options: CorrectOptions) -> Rule:
    """The correction rule of a run: the contract's thresholds and triggered classes, as far as the options do not say otherwise.

    Raises ``ConfigError`` for a class that the model does not know, or one that is both to be changed and protected.
    """
    tau = [entry.tau for entry in contract.classes]
    if isinstance(options.confidence, float | int):
        tau = [float(options.confidence)] * len(tau)
    elif options.confidence is not None:
        for name, value in options.confidence.items():
            tau[table.index_of(name)] = float(value)
    triggered = frozenset(index for index, entry in enumerate(contract.classes) if entry.triggered)
    named = frozenset(table.index_of(name) for name in options.classes)
    protect = frozenset(table.index_of(name) for name in options.protect)
    if named == {0}:
        raise ConfigError("`classes` names the background alone", remedy="name the classes that may change")
    if named & protect:
        both = ", ".join(table.names[index] for index in sorted(named & protect))
        raise ConfigError(f"{both}: both in `classes` and in `protect`", remedy="leave it in one of them")
    constraint, outline = options.constraint or contract.constraint, contract.outline
    rule = Rule(tuple(tau), (named or triggered) - {0}, constraint, protect=protect, outline=outline)
    if named:  # who names classes has judged the cases
        return rule
    asked = options.constraint in {None, "none"}  # who wants classes only where they are already gets no others
    restoration = Restoration(_read_numbers(contract.restore)) if asked and contract.restore is not None else None
    if contract.gate is None:
        return replace(rule, restoration=restoration)
    judge = Gate(_read_numbers(contract.gate.network), contract.gate.threshold, contract.gate.factor)
    return replace(rule, gate=judge, restoration=restoration)


def _read_numbers(values: tuple[float | None, ...]) -> tuple[float, ...]:
    """What a contract says of each foreground class; JSON has no NaN, which means that it says nothing."""
    return tuple(math.nan if value is None else value for value in values)


def make_judge(rule: Rule, slices: NDArray[np.uint8]) -> Judge | None:
    """How the probabilities of a slice become label and confidence: averaged along the outlines drawn in ``slices [S, H, W]``.

    ``None`` where the rule asks for no such average: the network's best class is wanted as it is.
    """
    if not (rule.outline and rule.active):
        return None

    def judge(index: int, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return choose_best(combine_outline(probabilities, slices[index], rule.outline))

    return judge


def explain_idleness(options: CorrectOptions) -> str:
    """Why no label will change, in words."""
    if options.classes or options.protect:
        return "every class that could change is protected: no label will change"
    return (
        "no class had begun to memorise noise when the model was made, or its labels looked clean: no label will change; "
        "name some with --classes"
    )
