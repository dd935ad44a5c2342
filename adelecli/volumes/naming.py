"""What the numbers in masks and the channels of images are called, as far as the data set says so.

Three dialects are in use: nnU-Net's ``{"liver": 1}``, Decathlon's ``{"1": "liver"}``, and a plain ``labels.json`` in
either. Names are facts of the data set and never guessed: where nothing is said, the caller decides what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.volumes import voc

if TYPE_CHECKING:
    from adelecli.labels.classes import ClassTable

FILES = ("labels.json", "dataset.json")
_IGNORE = 255
_LONGEST = 1 << 26  # bytes; 65,535 classes take less


def read_class_table(place: Path, fallback: Iterable[int] = (), *, skip_regions: bool = False) -> ClassTable | None:
    """Read the class table of a folder or a file: ``labels.json``, then ``dataset.json``, there or one folder above.

    A VOC folder has its 21 names without either.

    Where neither names labels, the ids in ``fallback`` (those found in the masks) are called "class 1", "class 2", ...;
    without any the answer is None. Raises ConfigError, naming the file, for a table that cannot be understood; nnU-Net's regions
    of several labels are understood and no classes, so with ``skip_regions`` such a table counts as none.
    """
    for path, content in _read_files(Path(place)):
        table = content.get("labels", None if path.name == "dataset.json" else content)
        if table and not (skip_regions and _holds_regions(table)):
            ignore = content.get("ignore") if "labels" in content else None
            return _make_table(path, _parse_names(path, table), _to_id(path, "ignore", ignore))
    if voc.is_voc(Path(place)):
        return _make_table(Path(place), dict(enumerate(voc.NAMES)), voc.IGNORE)
    ids = {0, *fallback} - {_IGNORE}
    if len(ids) == 1:
        return None
    return _make_table(Path(place), {i: f"class {i}" if i else "background" for i in ids}, None)


def read_modality(place: Path) -> tuple[str, ...] | None:
    """Read the channel names ("CT", "MRI", ...) that ``dataset.json`` gives, in channel order, or None."""
    for path, content in _read_files(Path(place)):
        names = content.get("channel_names", content.get("modality")) if path.name == "dataset.json" else None
        if isinstance(names, str):
            return (names,)
        if isinstance(names, Mapping):
            numbered = sorted((_to_id(path, name, key) or 0, str(name)) for key, name in names.items())
            return tuple(name for _, name in numbered)
    return None


def _read_files(place: Path) -> Iterator[tuple[Path, Mapping[str, object]]]:
    if place.suffix.lower() == ".json":
        yield place, _read_json(place)
        return
    folder = place.resolve() if place.is_dir() else place.resolve().parent
    for path in (where / name for where in (folder, folder.parent) for name in FILES):
        if path.exists() or path.is_symlink():  # a folder or a dangling link in its place is no absence
            yield path, _read_json(path)


def _read_json(path: Path) -> Mapping[str, object]:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("is no file", path=path, remedy="remove it, or put a file in its place")
        if path.stat().st_size > _LONGEST:
            raise ConfigError(f"is larger than {_LONGEST} bytes", path=path, remedy="correct it or remove it")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", path=path, remedy="make it readable or remove it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not JSON ({error})", path=path, remedy="correct it or remove it") from error
    if not isinstance(content, dict):
        raise ConfigError("is not a JSON object", path=path, remedy='write {"0": "background", "1": "liver"}')
    return content


def _holds_regions(table: object) -> bool:
    return isinstance(table, Mapping) and any(isinstance(value, list) for value in table.values())


def _parse_names(path: Path, table: object) -> dict[int, str]:
    if isinstance(table, list):
        table = dict(enumerate(table))
    if not isinstance(table, Mapping):
        raise ConfigError(
            "its labels are no table of names", path=path, remedy='write {"0": "background", "1": "liver"}'
        )
    names: dict[int, str] = {}
    for key, value in table.items():
        # Where the key is a number it is the id; otherwise the value must be.
        number, name = (key, value) if _is_number(key) and isinstance(value, str) else (value, key)
        label = _to_id(path, str(name), number)
        if label is None or label in names:
            fact = f"label {label} has two names" if label in names else f"{name!r} has no id"
            raise ConfigError(fact, path=path, remedy="give every class one id and one name of its own")
        names[label] = str(name)
    return names


def _to_id(path: Path, name: object, number: object) -> int | None:
    if number is None:
        return None
    if isinstance(number, list | tuple):
        raise ConfigError(
            f"{name!r} is a region of several labels", path=path, remedy="give every class one label of its own"
        )
    if isinstance(number, bool) or not isinstance(number, int | str) or not _is_number(number):
        raise ConfigError(
            f"{number!r} is no label id for {name!r}", path=path, remedy='write {"0": "background", "1": "liver"}'
        )
    return int(number)


def _is_number(value: object) -> bool:
    return (isinstance(value, int) and value >= 0) or (isinstance(value, str) and value.isascii() and value.isdecimal())


def _make_table(path: Path, names: Mapping[int, str], ignore: int | None) -> ClassTable:
    from adelecli.labels.classes import ClassTable

    marked = {
        label for label, name in names.items() if name.lower() == "ignore" or (label, name.lower()) == (_IGNORE, "void")
    }
    if ignore is None:
        ignore = next(iter(marked), None if _IGNORE in names else _IGNORE)
    ids = sorted(({0} | set(names)) - marked - {ignore})
    try:
        return ClassTable(tuple(ids), tuple(names.get(label, "background") for label in ids), ignore)
    except ConfigError as error:
        raise ConfigError(error.fact, path=path, remedy=error.remedy) from error
