"""Which cases are this process's when a run is spread over machines that do not talk to each other.

What must hold: the parts of a run do not overlap and leave nothing out, although they start hours apart and files may come
and go in between. So the first part to start writes the sorted list of cases beside the store, once, and every part is cut
from that list. Slurm's array variables are read, so that the same command line serves every task of an array.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.pipeline.filing import write_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from adelecli.store.collection import Store


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (1..``count``) of a run."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            fact = f"`shard` {self.number}/{self.count} does not exist"
            raise ConfigError(fact, remedy=f"give 1/{max(1, self.count)} to {max(1, self.count)}/{max(1, self.count)}")

    def cut(self, ids: Sequence[str]) -> list[str]:
        """This part of a sorted list: every ``count``-th id, so that neighbours, often alike in size, are spread.

        >>> Shard(2, 3).cut(["a", "b", "c", "d", "e"])
        ['b', 'e']
        """
        return list(ids[self.number - 1 :: self.count])


def find_shard(given: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The part that ``given`` (``I/N``) names, else that of this task of a Slurm array of several; else ``None``: all.

    Raises ConfigError for anything else.
    """
    if given is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", given.strip())
        if match is None:
            raise ConfigError(
                f"`shard` is {given!r}", remedy="write it as I/N, such as 1/8 for the first of eight parts"
            )
        return Shard(int(match[1]), int(match[2]))
    names = ("ID", "MIN", "COUNT", "STEP")
    task = {name: environment.get(f"SLURM_ARRAY_TASK_{name}") for name in names}
    if task["ID"] is None or task["COUNT"] in {None, "1"}:
        return None
    try:
        number, first, count, step = (int(task[name] or default) for name, default in zip(names, "0001", strict=True))
    except ValueError:
        raise ConfigError(f"Slurm's array variables are no numbers ({task})", remedy="pass --shard I/N") from None
    return Shard((number - first) // max(1, step) + 1, count)


def freeze_cases(store: Store, ids: Iterable[str]) -> list[str]:
    """The list of cases of the run that made ``store``: these ``ids``, sorted, unless another part was first to write its own."""
    path = store.path.with_name(f"{store.path.name}.cases-{store.id[:8]}.txt")
    return write_once(path, "".join(f"{name}\n" for name in sorted(ids))).splitlines()
