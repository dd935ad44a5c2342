"""The plan of a run: which cases, how they are prepared, which of them validate. Made once, read back by a resumed run.

``plan.json`` names every input with its sha256, so that a resumed run can refuse inputs that have changed since.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adelecli.errors import ConfigError, InputError
from adelecli.intake.formats import hash_input, is_there, list_masks, name_place, pair_cases, read_class_table
from adelecli.labels.classes import ClassTable
from adelecli.progress import Progress
from adelecli.runtime.contract import Grid, Intensity
from adelecli.training.runfolder import read_json
from adelecli.training.survey import CaseFacts, Survey, split_cases, survey_cases
from adelecli.volumes.caselists import read_case_list
from adelecli.volumes.cases import Case, find_masks
from adelecli.volumes.naming import read_modality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adelecli.progress import Callback
    from adelecli.training.options import TrainOptions
    from adelecli.training.settings import Settings


class CaseRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case in ``plan.json``: its files and their sha256 (images in channel order, then the mask)."""

    id: str
    images: tuple[str, ...]
    mask: str
    clean: str | None
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    sha256: tuple[str, ...]


class PlanRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``plan.json``."""

    cases: tuple[CaseRecord, ...]
    val_cases: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    class_colours: tuple[tuple[int, int, int], ...]
    ignore: int | None
    grid: Grid
    channels: tuple[Intensity, ...]
    channel_names: tuple[str, ...]
    trusted_cases: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunPlan:
    """The survey, the split, the clean masks (for measuring only), the hashes of all inputs, and whose labels are right."""

    survey: Survey
    val_cases: tuple[str, ...]
    clean_masks: Mapping[str, Path]
    hashes: Mapping[str, tuple[str, ...]]
    channel_names: tuple[str, ...]
    trusted_cases: tuple[str, ...] = ()

    @property
    def case_ids(self) -> tuple[str, ...]:
        """All usable cases, in the order of the cache."""
        return tuple(facts.case.id for facts in self.survey.facts)

    def fingerprint(self) -> str:
        """One sha256 over the hashes of all inputs: what the model was trained on."""
        digest = hashlib.sha256()
        for case in sorted(self.hashes):
            digest.update("".join(self.hashes[case]).encode())
        return digest.hexdigest()

    def to_record(self) -> PlanRecord:
        """The plan as ``plan.json`` holds it."""
        survey = self.survey
        return PlanRecord(
            cases=tuple(self._record_case(facts) for facts in survey.facts),
            val_cases=self.val_cases,
            left_out=survey.faults,
            class_ids=survey.table.ids,
            class_names=survey.table.names,
            class_colours=survey.table.colours,
            ignore=survey.table.ignore,
            grid=survey.grid,
            channels=survey.channels,
            channel_names=self.channel_names,
            trusted_cases=self.trusted_cases,
        )

    def _record_case(self, facts: CaseFacts) -> CaseRecord:
        clean = self.clean_masks.get(facts.case.id)
        return CaseRecord(
            id=facts.case.id,
            images=tuple(name_place(path) for path in facts.case.images),
            mask=name_place(facts.case.mask) if facts.case.mask else "",
            clean=name_place(clean) if clean else None,
            shape=facts.shape,
            spacing=facts.spacing,
            sha256=self.hashes[facts.case.id],
        )


def make_plan(
    masks: str | Path | None,
    images: str | Path | None,
    settings: Settings,
    options: TrainOptions,
    progress: Callback,
) -> RunPlan:
    """Pair, survey and split. Raises ``InputError`` where nothing is usable, ``ConfigError`` for a wrong list or table."""
    folder = Path(masks) if masks is not None else find_masks(Path())
    pairing = pair_cases(folder, Path(images) if images is not None else None)
    spare = pairing.describe_spare()
    if spare:
        progress(Progress("survey", notice=spare))
    for case, error in pairing.faults:
        progress(Progress("survey", case=case, notice=f"left out: {error}"))
    modality = read_modality(folder)
    table = _named_classes(settings) or read_class_table(folder)
    survey = survey_cases(pairing.cases, settings.data, table, modality, progress)
    faults = (*((case, str(error)) for case, error in pairing.faults), *survey.faults)
    survey = Survey(survey.facts, faults, survey.table, survey.grid, survey.channels)
    ids = [facts.case.id for facts in survey.facts]
    listed = Path(options.val) if options.val is not None else None
    trusted = () if options.trusted is None else read_case_list(options.trusted, ids, "trusted")
    names = modality if modality and len(modality) == len(survey.channels) else ()
    return RunPlan(
        survey=survey,
        val_cases=split_cases(ids, settings.data, settings.seed, listed, trusted),
        clean_masks=_clean_masks(options, ids),
        hashes=_hash_inputs(survey),
        channel_names=tuple(names) or tuple(f"channel_{i}" for i in range(len(survey.channels))),
        trusted_cases=trusted,
    )


def _named_classes(settings: Settings) -> ClassTable | None:
    """The class table of the settings, in the order of the ids."""
    if settings.data.classes is None:
        return None
    named = sorted(settings.data.classes.items(), key=lambda item: item[1])
    ignore = settings.data.ignore if settings.data.ignore not in settings.data.classes.values() else None
    return ClassTable(tuple(number for _, number in named), tuple(name for name, _ in named), ignore)


def read_plan(folder: Path) -> RunPlan:
    """The plan of a run folder. Raises ``InputError`` for a foreign folder, ``ConfigError`` where an input has changed."""
    try:
        record = msgspec.convert(read_json(folder / "plan.json"), PlanRecord)
    except msgspec.ValidationError as error:
        raise InputError(f"is not a plan of adele ({error})", path=folder / "plan.json") from None
    table = ClassTable(record.class_ids, record.class_names, record.ignore, record.class_colours)
    facts = tuple(
        CaseFacts(Case(c.id, tuple(map(Path, c.images)), Path(c.mask)), c.shape, c.spacing) for c in record.cases
    )
    survey = Survey(facts, record.left_out, table, record.grid, record.channels)
    hashes = _hash_inputs(survey)
    for case in record.cases:
        if hashes[case.id] != case.sha256:
            raise ConfigError(f"case {case.id} has changed since the run began", path=case.mask, remedy="train anew")
    clean = {c.id: Path(c.clean) for c in record.cases if c.clean is not None}
    return RunPlan(survey, record.val_cases, clean, hashes, record.channel_names, record.trusted_cases)


def _hash_inputs(survey: Survey) -> dict[str, tuple[str, ...]]:
    hashes: dict[str, tuple[str, ...]] = {}
    for facts in survey.facts:
        case = facts.case
        files = [*case.images, *([case.mask] if case.mask else [])]
        gone = next((path for path in files if not is_there(path)), None)
        if gone is not None:
            raise InputError("is no longer there", path=gone, remedy="put it back or train anew")
        hashes[case.id] = tuple(hash_input(path) for path in files)
    return hashes


def _clean_masks(options: TrainOptions, ids: list[str]) -> dict[str, Path]:
    if options.clean is None:
        return {}
    wanted = set(ids)
    listed = list_masks(Path(options.clean)).cases
    found = {case.id: case.mask for case in listed if case.mask is not None and case.id in wanted}
    if not found:
        raise InputError("holds no clean mask of any training case", path=options.clean)
    return found
