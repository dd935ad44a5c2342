"""Which symbolic links in a folder of cases are followed.

Why: a data set that comes from elsewhere may hold links to any file that its receiver can read, and what is read ends up in a store
that is passed on. Nobody can tell such a link from one into the receiver's own archive, so what must hold: a link may rename a
file beside it and reach no further; a refusal names a command that helps with the folders that people do have, those of git-annex,
DataLad and hand-made ones.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from adelecli.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

ANNEX = "annex/objects"
"""In the target of each link that git-annex makes, and so DataLad."""


def stay_inside(path: Path) -> Path:
    """``path``, unless it is a link that leads to no file or out of its folder: then raises ``CaseError``."""
    if not path.is_symlink():
        return path
    annexed = ANNEX in path.readlink().as_posix()
    if not path.exists():
        remedy = f"fetch it: `datalad get {shlex.quote(str(path))}`" if annexed else "put the file itself here"
        raise CaseError("is a link to a file that is not there", path=path, remedy=remedy)
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise CaseError("is a link that leaves its folder", path=path, remedy=_advise(path.parent, annexed=annexed))
    return path


def _advise(folder: Path, *, annexed: bool) -> str:
    """The command that makes files of all links in a folder."""
    place, copy = (shlex.quote(str(one)) for one in (folder, folder.with_name(f"{folder.name}-files")))
    if annexed:
        return f"make files of the links: `datalad unlock {place}` (or `git annex unlock {place}`)"
    return f"copy what the links point at: `cp -rL {place} {copy}`, and name that folder"
