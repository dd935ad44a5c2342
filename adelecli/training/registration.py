"""What stands beside a published model: its line in ``registry.toml`` and its model card.

The registry names a file by a short name together with the sha256 that it must have; the card says what a person should know
before using it. Both are made from the contract, so they cannot contradict the file.
"""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any

from adelecli.errors import ConfigError
from adelecli.replacement import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.runtime.contract import ClassEntry, Contract

REMEDY = "free space or rights"


def register_model(path: Path, blob: bytes, contract: Contract) -> None:
    """Write or replace the entry of ``path`` in the ``registry.toml`` beside it, and its card. Raises ``ConfigError``."""
    import tomli_w

    registry = path.with_name("registry.toml")
    entries: dict[str, Any] = {}
    if registry.exists():
        try:
            entries = tomllib.loads(registry.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"is not a readable registry ({error})", path=registry, remedy="mend it") from None
    entries[path.stem] = {
        "file": path.name,
        "sha256": hashlib.sha256(blob).hexdigest(),
        "classes": [entry.name for entry in contract.classes],
        "data": str(contract.run["data"]),
        "licence": contract.licence,
        "card": f"{path.stem}.md",
    }
    write_text(registry, tomli_w.dumps(entries), remedy=REMEDY)
    write_text(path.with_suffix(".md"), format_card(path, blob, contract), remedy=REMEDY)


def format_card(path: Path, blob: bytes, contract: Contract) -> str:
    """The model card of the file ``path`` that holds ``blob``, in Markdown."""
    rows = "\n".join(
        f"| {c.id} | {c.name} | {'-' if c.onset is None else c.onset} | {'yes' if c.triggered else 'no'} | {c.tau:g} | {_format_noise(c)} |"
        for c in contract.classes
    )
    scales = ", ".join(f"{n}/{d}" for n, d in contract.scales)
    difference = f"{contract.parity['max_probability_difference']:.2g}"
    proof = f"{contract.parity['inputs']} inputs: probabilities differ by at most {difference}"
    return f"""# Model card: {path.stem}

* File: `{path.name}`, {len(blob) / 1e6:.2f} MB, {contract.precision}, sha256 `{hashlib.sha256(blob).hexdigest()}`
* Made {contract.created} with {_list_versions(contract)}
* Licence of the weights: {contract.licence}
{_describe_origin(contract)}
* Input: {len(contract.channels)} channel(s) ({", ".join(contract.channel_names)}), slices along {contract.grid.axis}, scales {scales}
* Proved against the original network on {proof}
{_describe_scores(contract)}
| id | class | onset (epoch) | corrected | tau | estimated label error of the training masks |
|---|---|---|---|---|---|
{rows}

Intended use: correcting segmentation labels of the same kind as the training data, with review of what changed. Not a medical device.
A class that has not triggered, or whose training labels looked clean, is never changed. The quality on other scanners, patients or
annotators is unknown until measured.
"""


def _describe_origin(contract: Contract) -> str:
    """Where the weights come from: a run of this project, or a foreign file whose owner described it."""
    run = contract.run
    if "source_sha256" in run:
        return f"* Made elsewhere: file `{run['id']}`, sha256 `{run['source_sha256']}`; the contract is what its owner says of it"
    trained = f"* Trained by run `{run['id']}`, preset `{run['preset']}`, seed {run['seed']}"
    return f"{trained}\n* Training data: sha256 `{run['data']}` over all inputs; their labels were taken to be noisy"


def _list_versions(contract: Contract) -> str:
    """The programs behind the weights, those that change what comes out."""
    versions = contract.run.get("versions", {})
    return ", ".join(f"{name} {versions[name]}" for name in ("adele", "torch", "onnx") if name in versions) or "-"


def _describe_scores(contract: Contract) -> str:
    """A line for each ensemble that was measured at export; nothing where nothing was."""
    measured = contract.validation
    lines = [
        f"* Scales {', '.join(entry['scales'])}: mean Dice {_format_dice(entry['mean_dice'])} on {measured['slices']} validation "
        f"slices, {measured['labels']} labels"
        for entry in measured.get("ensembles", ())
    ]
    return "".join(f"{line}\n" for line in lines)


def _format_noise(entry: ClassEntry) -> str:
    noise = entry.noise
    return "-" if noise is None else f"{noise.share:.2f} ({noise.low:.2f}..{noise.high:.2f})"


def _format_dice(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
