"""What a case's document must hold: read strictly, since anybody can write one that carries a right seal.

A seal tells accident from intent no more than a checksum does. So names found in a document are held to the rules of
names before a path is made of them, and a document of another form is damage, told in one sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from adelecli.errors import CaseError
from adelecli.store.documents import adele_attributes, is_sealed
from adelecli.store.layout import DOCUMENT, safe_name

if TYPE_CHECKING:
    from adelecli.store.documents import Document


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a case's audit trail: a person (or a program) changed what the run had published.

    ``time`` is UTC; ``event`` is ``reverted``; ``classes`` are the names given back (empty: all of them) and ``voxels``
    how many changed their label. ``labels_before`` and ``labels_after`` are the sha256 of the corrected labels' values,
    ``replaces`` the seal of the version of the case that this one took the place of.
    """

    time: str
    event: str
    actor: str
    reason: str | None
    classes: tuple[str, ...]
    voxels: int
    labels_before: str
    labels_after: str
    replaces: str
    adele: str


class CaseForm(msgspec.Struct, frozen=True, kw_only=True):
    """The ``adele`` attributes of a case: hashes of labels, maps and metadata documents, the record, the audit trail."""

    id: str
    status: str
    labels: dict[str, str]
    maps: dict[str, str]
    metadata: dict[str, str]
    record: dict[str, Any]
    sha256: str
    audit: tuple[Revision, ...] = ()


def read_form(document: Document) -> CaseForm:
    """The attributes of a sealed, complete case; ``ValueError`` says in words what else the document is."""
    if not is_sealed(document) or adele_attributes(document).get("status") != "complete":
        raise ValueError("was altered, or never completed")
    try:
        form = msgspec.convert(adele_attributes(document), CaseForm)
    except msgspec.ValidationError as error:
        raise ValueError(f"is not the record of a case ({error})") from error
    try:
        for name in (*form.labels, *form.maps):
            safe_name(name)
        for inside in form.metadata:
            _check_inside(inside)
    except CaseError as error:
        raise ValueError(f"names what cannot lie in a store ({error.fact})") from error
    return form


def _check_inside(inside: str) -> None:
    *folders, name = inside.split("/")
    known = not folders or folders[0] in {"labels", "maps"}
    for folder in folders[1:]:
        safe_name(folder)
    if name != DOCUMENT or not known:
        raise CaseError(f"{inside!r} is no document of a case")
