"""Which model a command means when it is given a name, or nothing.

The order is ``--model`` (a file, a name in ``weights/registry.toml``, or a name in the registry that comes with the package),
``$ADELE_MODEL``, the only ``*.onnx`` in ``weights/``. What comes with the package is never chosen unless it is named.
Two candidates are an error that lists them: a tool that guesses cleans labels with the wrong network.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from adelecli.errors import ConfigError, ModelError

WEIGHTS = Path("weights")
REGISTRY = "registry.toml"
VARIABLE = "ADELE_MODEL"


def find_model(model: str | os.PathLike[str] | None = None, *, weights: Path = WEIGHTS) -> Path:
    """The model file that ``model`` means (see the module); raises ``ModelError`` or, with two candidates, ``ConfigError``."""
    if model is not None:
        return _resolve(os.fspath(model), weights, "--model")
    if os.environ.get(VARIABLE):
        return _resolve(os.environ[VARIABLE], weights, f"${VARIABLE}")
    found = sorted(weights.glob("*.onnx"))
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise ConfigError(f"holds {len(found)} models: {listed}", path=weights, remedy="pass --model FILE")
    if not found:
        raise ModelError("no model", remedy="pass --model FILE, or train one: adele train && adele export")
    return found[0]


def read_registry(weights: Path = WEIGHTS) -> dict[str, Mapping[str, object]]:
    """The models of ``weights/registry.toml`` by name; empty without a registry.

    Raises ``ConfigError`` when the file is not TOML or an entry lacks its ``file``.
    """
    path = weights / REGISTRY
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", path=path, remedy="mend it, or move it away") from error
    entries = {name: entry for name, entry in content.items() if isinstance(entry, Mapping)}
    for name, entry in entries.items():
        if not isinstance(entry.get("file"), str):
            raise ConfigError(f"`{name}` has no `file`", path=path, remedy="name the model's file in its entry")
    return entries


def find_hash(model: Path) -> str | None:
    """The sha256 that the registry beside ``model`` promises for it; ``None`` when the file is not registered.

    Raises ``ModelError`` when two entries promise different ones: one of them is broken, and nobody can say which.
    """
    promised = {
        str(entry["sha256"]).lower(): name
        for name, entry in read_registry(model.parent).items()
        if (model.parent / str(entry["file"])).resolve() == model.resolve() and isinstance(entry.get("sha256"), str)
    }
    if len(promised) > 1:
        fact = f"{model.parent / REGISTRY} records different sha256 for it ({', '.join(promised.values())})"
        raise ModelError(fact, path=model, remedy="correct the record")
    return next(iter(promised), None)


def _resolve(given: str, weights: Path, source: str) -> Path:
    path = Path(given)
    if path.is_file():
        return path
    registered = find_registered(given, weights=weights)
    if registered is not None:
        return registered
    known = {name for folder in (weights, *find_packaged()) for name in read_registry(folder)}
    names = f" ({', '.join(sorted(known))})" if known else ""
    remedy = f"{source} takes a file, or a name in {weights / REGISTRY}{names}"
    raise ModelError("there is no such model", path=given, remedy=remedy)


def find_registered(name: str, *, weights: Path = WEIGHTS) -> Path | None:
    """The file registered as ``name`` in ``weights``, else in the package; raises ``ModelError`` when it is missing."""
    for folder in (weights, *find_packaged()):
        registry = read_registry(folder)
        if name in registry:
            registered = folder / str(registry[name]["file"])
            if registered.is_file():
                return registered
            raise ModelError("is registered, but its file is missing", path=registered, remedy="export it again")
    return None


def find_packaged() -> tuple[Path, ...]:
    """The folder of the models that come with the package; none where it was built without them.

    An installed package holds a copy of the repository's ``weights/``; in a checkout the folder stands beside the package.
    """
    package = Path(__file__).parents[1]
    found = (package / "weights", package.parent / "weights")
    return tuple(folder for folder in found if (folder / REGISTRY).is_file())[:1]
