"""The noise families by name, and the one call that applies one of them to a case.

Why: ``adele corrupt --noise NAME`` and every test and benchmark choose noise by name; options belong to families, so an
option that a family does not have must be refused and not ignored. What must hold: adding a family means one file and
one line here.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.labels.classes import IGNORE, IndexArray
from adelecli.labels.noise.adele_de import damage_outlines
from adelecli.labels.noise.affine import move_objects
from adelecli.labels.noise.annotator import imitate_annotator
from adelecli.labels.noise.boundary import walk_boundaries
from adelecli.labels.noise.omit import omit_objects
from adelecli.labels.noise.swap import swap_classes
from adelecli.labels.noise.weak import simplify_outlines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np


@dataclass(frozen=True)
class Family:
    """A noise family: its name, what it does in one line, and the function (labels, generator, classes, options) -> labels."""

    name: str
    summary: str
    damage: Callable[..., IndexArray]

    @cached_property
    def options(self) -> Mapping[str, object]:
        """The options of the family with their defaults."""
        parameters = inspect.signature(self.damage).parameters.values()
        return MappingProxyType({p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY})


_FAMILIES = (
    Family(
        "adele-de", "outlines eroded or dilated slice by slice, equal relative damage to every organ", damage_outlines
    ),
    Family("affine", "objects turned, shifted and resized", move_objects),
    Family("boundary", "outlines that wander, biased outwards or inwards", walk_boundaries),
    Family("omit", "classes left out of slices or cases", omit_objects),
    Family("swap", "two classes exchanged", swap_classes),
    Family("annotator", "a share of the cases drawn by someone who always draws too large", imitate_annotator),
    Family("weak", "boxes, ellipses or superpixels instead of outlines", simplify_outlines),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _FAMILIES})


def corrupt_labels(
    labels: IndexArray,
    family: str,
    rng: np.random.Generator,
    *,
    n_classes: int,
    order: Sequence[int] | None = None,
    **options: object,
) -> IndexArray:
    """The indices [Z, Y, X] of one case with simulated annotation errors in its slices (axis 0); a new array.

    ``order``: the class indices to damage, in order (default 1..K-1). ``options``: those of the family, see
    ``FAMILIES[family].options``; None stands for the default. The result depends on the arguments and the generator's
    state only. Raises ConfigError for an unknown family, an option that it lacks or cannot use, or an order that names
    no foreground class.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels have {labels.ndim} axes, not 3")
    chosen = find_family(family)
    classes = tuple(range(1, n_classes)) if order is None else tuple(order)
    if len(set(classes)) != len(classes) or not all(0 < c < n_classes and c != IGNORE for c in classes):
        raise ConfigError(
            f"order {classes} repeats a class or leaves 1..{n_classes - 1}", remedy="name each class once"
        )
    given = {name: value for name, value in options.items() if value is not None}
    if unknown := sorted(set(given) - set(chosen.options)):
        raise ConfigError(
            f"noise {family} has no option {unknown[0]}", remedy=f"choose from {', '.join(chosen.options)}"
        )
    for name, value in given.items():
        _check_kind(name, value, chosen.options[name])
    return chosen.damage(labels, rng, classes, **given)


def find_family(name: str) -> Family:
    """The family of this name; ConfigError lists the names."""
    if name not in FAMILIES:
        raise ConfigError(f"unknown noise {name!r}", remedy=f"choose from {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _check_kind(name: str, value: object, default: object) -> None:
    """ConfigError unless the value is of the default's kind: options arrive as a person typed them."""
    kinds: tuple[type, ...] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}.get(
        type(default), (list, tuple, range)
    )
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{name} is {value!r}", remedy=f"give it like its default, {default!r}")
