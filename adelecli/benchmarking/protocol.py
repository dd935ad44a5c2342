"""``bench``: methods on a data set with known truth, as the protocol of the design asks for it (evaluation.md, section 1).

Noise fixed before training and seeded, in training labels only; equal network, optimiser and steps; held-out masks clean and never
touched; best epoch, last epoch and mean of the last five; the noise's ceiling beside every table. What must hold: what was done once
is read back, and a benchmark that was stopped goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from adelecli.benchmarking.crew import Board, perform_all
from adelecli.benchmarking.dataset import DataSet, Stage, make_stage, open_data, pool_ceiling
from adelecli.benchmarking.measures import average_known
from adelecli.benchmarking.methods import METHODS
from adelecli.benchmarking.options import NO_NOISE, BenchKeywords, BenchOptions
from adelecli.benchmarking.pages import format_page
from adelecli.benchmarking.plan import group_units, hash_source, hash_values, plan_tasks, resolve_common
from adelecli.benchmarking.records import BenchResult, CeilingRecord, RunScore, Table
from adelecli.benchmarking.tables import average_curves, list_rows
from adelecli.benchmarking.work import Task, read_result
from adelecli.errors import ConfigError, OutputError
from adelecli.importing import import_extra
from adelecli.keywords import read_keywords
from adelecli.pipeline.scores import drop_infinite
from adelecli.progress import Callback, ignore_progress
from adelecli.replacement import refuse_address, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adelecli.benchmarking.methods import Method
    from adelecli.labels.noise.ceiling import Ceiling
    from adelecli.pipeline.options import StrPath
    from adelecli.training.settings import Settings


def bench(
    masks: StrPath | None = None,
    *,
    out: StrPath = "bench",
    progress: Callback = ignore_progress,
    **options: Unpack[BenchKeywords],
) -> BenchResult:
    """Train every method with every seed on noisy copies of the clean ``masks``, and compare them on held-out cases.

    Options are those of ``BenchOptions``. ``out`` gets ``bench.json`` and ``bench.md`` (one table for each noise and number of
    slices that was ever measured there), ``plots/`` and ``results/``; what stands there already is not trained again, and the table
    shows it too, asked for or not. Raises
    ``ConfigError``, ``InputError``, ``OutputError``, and what ``train`` raises.

    >>> bench("masks", noise="adele-de", k="1-5", methods="clean,noisy,ema,adele").table.rows[3].figures["gap"].mean  # doctest: +SKIP
    0.57
    """
    chosen = read_keywords(BenchOptions, options)
    kind = _find_device(chosen.device)
    data = open_data(_path(masks), _path(chosen.images))
    folder = _open_folder(refuse_address(out), data)
    commons = {seed: resolve_common(chosen, seed) for seed in chosen.list_seeds()}
    stages = {seed: make_stage(data, folder / "data", chosen, common, progress) for seed, common in commons.items()}
    plan = {seed: plan_tasks(data, stages[seed], chosen, common, (folder, kind)) for seed, common in commons.items()}
    methods = choose_shown(plan, chosen)
    scores, trained = _perform(plan, methods, chosen, progress)
    ceiling = _find_ceiling(data, next(iter(stages.values())), chosen, folder, progress)
    table = _make_table((data, chosen, kind), commons, stages, (methods, scores), ceiling)
    table, files = _publish(folder, table)
    done = sum(len(per_seed) for per_seed in scores.values())
    return BenchResult(str(folder), table, trained=trained, read_back=done - trained, files=files)


def choose_shown(plan: Mapping[int, Mapping[str, Task]], chosen: BenchOptions) -> tuple[Method, ...]:
    """The methods of the table: those asked for, and those whose results for all seeds stand there from earlier calls."""
    asked = set(chosen.list_methods())

    def is_known(method: Method) -> bool:
        return all(read_result(tasks[method.run]) is not None for tasks in plan.values())

    return tuple(method for method in METHODS.values() if method in asked or is_known(method))


def _path(given: StrPath | None) -> Path | None:
    return None if given is None else Path(given)


def _open_folder(out: Path, data: DataSet) -> Path:
    """Make the output folder, which may hold an earlier benchmark. Raises ``ConfigError``, ``OutputError``."""
    if out.resolve().is_relative_to(data.masks.resolve()):
        raise ConfigError(f"lies where {data.masks} is read from", path=out, remedy="choose another --out")
    try:
        for name in ("data", "results", "runs"):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", path=out, remedy="choose another --out") from error
    return out.resolve()


def _find_device(request: str) -> str:
    import_extra("adelecli.training.trainer")
    from adelecli.training.distribution import count_processes
    from adelecli.training.trainer import choose_device

    if count_processes() > 1:
        raise ConfigError(
            "a benchmark is for one process, but torchrun starts several", remedy="use --jobs to train side by side"
        )
    return str(choose_device(request).type)


def _perform(
    plan: Mapping[int, Mapping[str, Task]], methods: tuple[Method, ...], chosen: BenchOptions, progress: Callback
) -> tuple[dict[str, dict[int, RunScore]], int]:
    """The results of the methods' trainings by name and seed, and how many of them were not there before."""
    names = tuple(dict.fromkeys(method.run for method in methods))
    tasks = [per_seed[name] for per_seed in plan.values() for name in names]
    known = {task.key: score for task in tasks if (score := read_result(task)) is not None}
    epochs = resolve_common(chosen, 0).epochs
    board = Board(tasks, epochs, progress, finished=set(known))
    board.tell()
    units = group_units([task for task in tasks if task.key not in known])
    for score in perform_all(units, board, jobs=chosen.jobs, keep=chosen.keep_runs):
        known[score.key] = score
    scores = {name: {seed: known[per_seed[name].key] for seed, per_seed in plan.items()} for name in names}
    return scores, sum(map(len, units))


def _find_ceiling(
    data: DataSet, stage: Stage, chosen: BenchOptions, folder: Path, progress: Callback
) -> CeilingRecord | None:
    """The noise's ceiling on training cases of the first seed; read back where it was found before."""
    key = hash_values(["ceiling", data.fingerprint, chosen.describe_noise(), stage.training, hash_source()])
    path = folder / "results" / f"ceiling-{key}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=CeilingRecord)
    except (OSError, ValueError):  # not there, not JSON, not UTF-8, not such a record
        pooled = pool_ceiling(data, stage.training, chosen, progress) if chosen.noise != NO_NOISE else None
    if pooled is None:
        return None
    record = describe_ceiling(*pooled)
    write_text(path, msgspec.json.encode(record).decode() + "\n")
    return record


def describe_ceiling(ceiling: Ceiling, cases: int) -> CeilingRecord:
    """The ceiling as plain numbers; ``None`` for those that do not exist."""
    return CeilingRecord(
        cases=cases,
        taus=ceiling.taus,
        error_before=drop_infinite(ceiling.error_before),
        error_after=tuple(drop_infinite(rate.error_after) for rate in ceiling.rates),
        precision=tuple(drop_infinite(rate.precision) for rate in ceiling.rates),
        recall=tuple(drop_infinite(rate.recall) for rate in ceiling.rates),
        foreground_iou=drop_infinite(ceiling.foreground_iou),
    )


def _make_table(
    chosen: tuple[DataSet, BenchOptions, str],
    commons: Mapping[int, Settings],
    stages: Mapping[int, Stage],
    measured: tuple[tuple[Method, ...], dict[str, dict[int, RunScore]]],
    ceiling: CeilingRecord | None,
) -> Table:
    from adelecli.training.runfolder import library_versions

    (data, options, kind), (methods, scores) = chosen, measured
    common = next(iter(commons.values()))
    noise, seeds = options.describe_noise(), tuple(commons)
    slices = common.data.slices_per_case
    values = [noise, slices, common.epochs, list(options.set), data.fingerprint, kind]
    first = next(iter(next(iter(scores.values())).values()))
    return Table(
        key=hash_values(values),
        noise=noise,
        measured={
            name: average_known(stage.measured[name] for stage in stages.values())
            for name in next(iter(stages.values())).measured
        },
        ceiling=ceiling,
        slices_per_case=slices,
        epochs=common.epochs,
        seeds=seeds,
        classes=first.classes,
        settings=tuple(options.set),
        data=data.fingerprint,
        device=kind,
        versions=library_versions(),
        rows=list_rows(methods, seeds, scores, ceiling),
        curves=average_curves(methods, seeds, scores),
    )


def _publish(folder: Path, table: Table) -> tuple[Table, dict[str, str]]:
    """Draw the plots, then put the table among those of earlier calls: the one of the same key is replaced."""
    from adelecli.reporting.benchmarks import draw_benchmark

    bars = {row.method: {name: figure.mean for name, figure in row.figures.items()} for row in table.rows}
    drawn = draw_benchmark(folder / "plots" / table.key, table.curves, bars)
    table = msgspec.structs.replace(table, plots=tuple(path.relative_to(folder).as_posix() for path in drawn))
    path, page = folder / "bench.json", folder / "bench.md"
    tables = [one for one in _read_tables(path) if one.key != table.key] + [table]
    content: dict[str, Any] = {"tables": tables}
    write_text(path, msgspec.json.format(msgspec.json.encode(content).decode()) + "\n")
    write_text(page, format_page(tables))
    return table, {"json": path.name, "markdown": page.name}


def _read_tables(path: Path) -> list[Table]:
    """The tables of earlier calls; a file that is no longer understood is replaced."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[Table]]).get("tables", [])
    except (OSError, ValueError):  # not there, not JSON, not UTF-8, not such a record
        return []
