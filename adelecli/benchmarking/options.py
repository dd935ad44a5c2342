"""What a caller of ``bench`` may pass; the names are those of the command line, those of the noise are those of ``corrupt``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from os import PathLike
from typing import TYPE_CHECKING

from adelecli.benchmarking.methods import DEFAULT, Method, choose_methods
from adelecli.errors import ConfigError
from adelecli.pipeline.corruption import CorruptOptions, NoiseKeywords, NoiseOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

StrPath = str | PathLike[str]
NO_NOISE = "none"


class BenchKeywords(NoiseKeywords, total=False):
    """Keywords of ``bench``."""

    images: StrPath | None
    val: StrPath | None
    noisy_share: float
    seeds: str | int | Sequence[str | int]
    methods: str | Sequence[str]
    epochs: int | None
    slices_per_case: int | None
    set: Sequence[str]
    device: str
    jobs: int
    keep_runs: bool


@dataclass(frozen=True)
class BenchOptions(NoiseOptions):
    """Options of ``bench``.

    ``val``: file of held-out case ids; ``noise``: a family of ``corrupt``, or ``none``, with ``k``, ``share``, ``coherent``, ``settings``,
    ``classes`` and ``axis`` as there; ``noisy_share``: share of the training cases that get it; ``seeds``: of the noise, the split and
    the training alike; ``methods``: names of the registry; ``set``: settings for all of them; ``jobs``: trainings side by side.
    """

    images: StrPath | None = None
    val: StrPath | None = None
    noisy_share: float = 1.0
    seeds: str | int | Sequence[str | int] = (0, 1, 2)
    methods: str | Sequence[str] = DEFAULT
    epochs: int | None = None
    slices_per_case: int | None = None
    set: Sequence[str] = ()
    device: str = "auto"
    jobs: int = 1
    keep_runs: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.noisy_share <= 1:
            raise ConfigError(f"`noisy_share` is {self.noisy_share:g}", remedy="choose a value in 0..1")
        if self.jobs < 1:
            raise ConfigError(f"`jobs` is {self.jobs}", remedy="choose 1 or more")
        given = [name for name in ("k", "share", "coherent", "settings", "classes") if getattr(self, name)]
        if self.noise == NO_NOISE and given:
            raise ConfigError(f"there is no noise, but `{given[0]}` is given", remedy="name the noise, or leave it out")
        self.list_seeds()
        self.corruption(0)
        choose_methods(self.methods)

    def list_seeds(self) -> tuple[int, ...]:
        """The seeds, each once, in the order given. Raises ``ConfigError``."""
        given = [self.seeds] if isinstance(self.seeds, str | int) else self.seeds
        words = [word.strip() for item in given for word in str(item).split(",") if word.strip()]
        if not words or not all(word.isdecimal() for word in words):
            raise ConfigError(f"`seeds` is {self.seeds!r}", remedy="write 0,1,2")
        return tuple(dict.fromkeys(int(word) for word in words))

    def list_methods(self) -> tuple[Method, ...]:
        """The methods to compare, in the order of the registry."""
        return choose_methods(self.methods)

    def corruption(self, seed: int) -> CorruptOptions | None:
        """The noise as ``corrupt`` takes it; nothing where there is none. Raises ``ConfigError`` for what it would refuse."""
        if self.noise == NO_NOISE:
            return None
        noise = {part.name: getattr(self, part.name) for part in fields(NoiseOptions)}
        chosen = CorruptOptions(seed=seed, **noise | {"classes": tuple(self.classes)})
        chosen.family_options()
        return chosen

    def describe_noise(self) -> dict[str, object]:
        """Name and options of the noise, as they stand in the table and decide a result."""
        chosen = self.corruption(0)
        if chosen is None:
            return {"family": NO_NOISE}
        options = {"classes": list(chosen.classes), "axis": chosen.axis} | dict(chosen.family_options())
        shown = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
        return {"family": self.noise, **shown, "noisy_share": self.noisy_share}
