"""Places that are addresses (``s3://bucket/key``), through obstore (extra ``remote``).

Nothing is ever sent anywhere unless the user named an address. What must hold: reading only; credentials are what
obstore finds in the environment, and none is ever put into a message. obstore was chosen over s3fs for speed and
because it leaves no open sessions behind (store.md). An address is a ``Path`` like every other place, in which the
double slash is a single one.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adelecli.caseids import find_id, is_encoded
from adelecli.errors import CaseError, InputError
from adelecli.store.documents import adele_attributes
from adelecli.store.layout import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEME = re.compile(r"(s3|gs|az|abfs|memory):")
_DOCUMENTS = ("zarr.json", ".zattrs", ".zarray")


def is_remote(path: Path) -> bool:
    """Whether ``path`` is an address."""
    return bool(path.parts) and _SCHEME.fullmatch(path.parts[0]) is not None


def form_url(path: Path) -> str:
    """The address that ``path`` stands for.

    >>> from pathlib import Path
    >>> form_url(Path("s3://bucket/masks"))
    's3://bucket/masks'
    """
    scheme, *rest = path.parts
    return f"{scheme}//{'/'.join(rest)}"


def connect(path: Path) -> Any:
    """The zarr store at an address, for reading; InputError when obstore is not installed or does not know the address."""
    from zarr.storage import ObjectStore

    return ObjectStore(open_bucket(path), read_only=True)


def open_bucket(path: Path) -> Any:
    """The obstore store whose root is the address ``path``; errors as `connect`."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        remedy = "pip install 'adele[remote]'"
        raise InputError("is an address, which needs obstore", path=form_url(path), remedy=remedy) from error
    try:
        return from_url(form_url(path))
    except (BaseError, ValueError) as error:
        raise InputError("cannot be opened", path=form_url(path), remedy="check the address") from error


def list_remote(path: Path) -> list[str]:
    """The names of the zarr folders directly below an address, or ``[""]`` when the address is one image itself.

    Raises InputError when the address does not answer.
    """
    import obstore

    bucket = open_bucket(path)
    with _reporting_silence(path):
        listed = obstore.list_with_delimiter(bucket)
        names = [str(prefix).rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"]]
        files = {str(item["path"]).rpartition("/")[2] for item in listed["objects"]}
        if _is_image(bucket, files) or (files and names == ["labels"]):
            return [""]
    is_group = bool(files & {"zarr.json", ".zgroup"})
    return sorted(name for name in names if is_group or name.lower().endswith(".zarr"))


def name_remote(path: Path) -> dict[str, str]:
    """What ``list_remote`` lists, each with the name of its case: of a store of ours the id, where that is no folder name.

    Errors as ``list_remote``.
    """
    bucket, names = open_bucket(path), list_remote(path)
    with _reporting_silence(path):
        return {name: _find_id(bucket, name) if is_encoded(name) else name or path.name for name in names}


def _find_id(bucket: Any, name: str) -> str:
    ours = adele_attributes(_read_document(bucket, f"{name}/{DOCUMENT}"))
    return find_id(name, ours.get("id")) or name


@contextmanager
def _reporting_silence(path: Path) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        remedy = "check the address, the credentials and the network"
        raise InputError("does not answer", path=form_url(path), remedy=remedy) from error


def hash_remote(path: Path) -> str:
    """The sha256 over the relative names and contents of every object below an address; CaseError when it does not answer.

    It is computed as that of a local folder, and reads every byte once more than the work itself does.
    """
    import obstore
    from obstore.exceptions import BaseError

    bucket = open_bucket(path)
    try:
        names = sorted(str(item["path"]) for batch in obstore.list(bucket) for item in batch)
        lines = [f"{name} {hashlib.sha256(obstore.get(bucket, name).bytes()).hexdigest()}" for name in names]
    except (BaseError, OSError) as error:
        raise CaseError("does not answer", path=form_url(path), remedy="check the network and try again") from error
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_image(bucket: Any, files: set[str]) -> bool:
    for name in _DOCUMENTS:
        document = _read_document(bucket, name) if name in files else {}
        if not document:
            continue
        inner = document.get("attributes", document)
        ome = inner.get("ome", inner) if isinstance(inner, dict) else {}
        if name == ".zarray" or document.get("node_type") == "array" or "multiscales" in ome:
            return True
    return False


def _read_document(bucket: Any, name: str) -> dict[str, Any]:
    """A JSON object at an address; empty for anything else, and for nothing."""
    import obstore
    from obstore.exceptions import NotFoundError

    try:
        document = json.loads(bytes(obstore.get(bucket, name).bytes()))
    except (ValueError, FileNotFoundError, NotFoundError):
        return {}
    return document if isinstance(document, dict) else {}
