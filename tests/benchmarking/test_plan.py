"""Methods differ in what their name says and in nothing else; a key changes exactly with what decides a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adelecli.benchmarking.dataset import DataSet, Stage, choose_spoilt
from adelecli.benchmarking.methods import METHODS, choose_methods
from adelecli.benchmarking.options import BenchOptions
from adelecli.benchmarking.plan import EQUAL, group_units, list_overrides, plan_tasks, resolve_common
from adelecli.errors import ConfigError
from adelecli.labels.classes import ClassTable
from adelecli.training.presets import PRESETS
from adelecli.training.resolving import resolve_settings


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "val.txt").write_text("c\n")
    return Stage(tmp_path / "masks", tmp_path / "val.txt", ("a", "b"), ("a",), {"wrong_share": 0.03})


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    return DataSet((), tmp_path / "clean", tmp_path / "images", ClassTable((0, 1), ("background", "a")), "f" * 64)


def plan_keys(data: DataSet, stage: Stage, kind: str = "cpu", **options: object) -> dict[str, str]:
    chosen = BenchOptions(**({"methods": "clean,noisy,ema,adele,cleanlab"} | options))  # type: ignore[arg-type]
    tasks = plan_tasks(data, stage, chosen, resolve_common(chosen, 0), (Path("out"), kind))
    return {name: task.key for name, task in tasks.items()}


def test_every_method_shares_steps_network_and_optimiser() -> None:
    """Each method resolves to the default preset's data, optimiser and network, but for what a preset itself is about."""
    options = BenchOptions(epochs=3, slices_per_case=2, set=("optimiser.lr=0.002", "correction.tau=0.7"))
    common = resolve_common(options, 4)
    for method in METHODS.values():
        settings = resolve_settings(method.preset, overrides=list_overrides(method, options, common, 0.03))
        assert (settings.epochs, settings.seed, settings.patience, settings.data.slices_per_case) == (3, 4, 0, 2)
        for name in EQUAL:
            room, key = name.split(".")
            assert getattr(getattr(settings, room), key) == getattr(getattr(common, room), key), (method.name, name)
        if method.preset == "adele":
            assert (settings.network, settings.optimiser, settings.data) == (
                common.network,
                common.optimiser,
                common.data,
            )
            assert settings.correction.tau == 0.7
            assert settings.loss.dice_steps == common.loss.dice_steps


def test_methods_are_what_their_names_say() -> None:
    """Scales, consistency, correction and the rivals' losses, each alone."""

    def resolve(name: str):
        options = BenchOptions()
        method = METHODS[name]
        return resolve_settings(
            method.preset, overrides=list_overrides(method, options, resolve_common(options, 0), 0.03)
        )

    assert resolve("noisy") == resolve("clean") == resolve("ema") == resolve("cleanlab")
    assert (len(resolve("scales").loss.scales), resolve("scales").loss.weight) == (3, 0)
    assert (len(resolve("consistency").loss.scales), resolve("consistency").loss.weight) == (3, 1)
    assert (resolve("correction").loss.scales, resolve("correction").correction.enabled) == (((1, 1),), True)
    assert [resolve(name).loss.kind for name in ("gce", "tloss", "noisy")] == ["gce", "tloss", "ce"]
    assert (resolve("coteaching").coteaching.enabled, resolve("coteaching").coteaching.forget) == (True, 0.03)
    enabled = {name for name in METHODS if resolve(name).correction.enabled}
    assert enabled == {"correction", *PRESETS}
    assert METHODS["paper"].network == METHODS["noisy"].network == "student"
    assert METHODS["adele"].network == "teacher"


def test_a_key_changes_with_what_decides_the_result(data: DataSet, stage: Stage) -> None:
    """Data, device, epochs, settings, held-out cases: all keys; noise: all but the clean training's; `ema` has none of its own."""
    first = plan_keys(data, stage)
    assert set(first) == set(METHODS) - {"ema"}
    assert first == plan_keys(data, stage, methods=["adele", "cleanlab, noisy", "clean,ema"], jobs=4, keep_runs=True)
    for other in (
        plan_keys(replace(data, fingerprint="0" * 64), stage),
        plan_keys(data, stage, kind="cuda"),
        plan_keys(data, stage, epochs=2),
        plan_keys(data, stage, set=("optimiser.lr=0.5",)),
    ):
        assert not set(first.values()) & set(other.values())
    other = plan_keys(data, stage, k="2-3")
    assert {name for name in first if first[name] == other[name]} == {"clean"}
    assert len(set(first.values())) == len(first)


def test_what_builds_on_a_training_runs_after_it(data: DataSet, stage: Stage) -> None:
    """The baseline and confident learning are one unit; with the baseline done before, confident learning is one alone."""
    chosen = BenchOptions(methods="clean,noisy,cleanlab")
    tasks = plan_tasks(data, stage, chosen, resolve_common(chosen, 0), (Path("out"), "cpu"))
    planned = [tasks[name] for name in ("clean", "noisy", "cleanlab")]
    names = [[task.method for task in unit] for unit in group_units(planned)]
    assert names == [["clean"], ["noisy", "cleanlab"]]
    assert [unit[0].method for unit in group_units([tasks["clean"], tasks["cleanlab"]])] == ["clean", "cleanlab"]
    assert tasks["cleanlab"].base == tasks["noisy"]


def test_a_share_of_the_cases_gets_noise() -> None:
    """Half of four, by the seed alone; none without noise."""
    ids = ("a", "b", "c", "d")
    chosen = {seed: choose_spoilt(ids, BenchOptions(noisy_share=0.5), seed) for seed in range(6)}
    assert all(len(some) == 2 for some in chosen.values())
    assert len(set(chosen.values())) > 1
    assert choose_spoilt(ids, BenchOptions(), 0) == ids
    assert choose_spoilt(ids, BenchOptions(noise="none"), 0) == ()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"methods": "adele,wizardry"}, "wizardry"),
        ({"methods": ","}, "no method"),
        ({"seeds": "0,x"}, "seeds"),
        ({"seeds": ()}, "seeds"),
        ({"noise": "magic"}, "magic"),
        ({"noise": "none", "k": "1-5"}, "`k`"),
        ({"noisy_share": 1.5}, "noisy_share"),
        ({"jobs": 0}, "jobs"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, object], named: str) -> None:
    """Before anything is read, in one line that names the option."""
    with pytest.raises(ConfigError, match=named):
        BenchOptions(**options)  # type: ignore[arg-type]


def test_seeds_and_methods_are_lists_in_any_dress() -> None:
    """Comma lists, sequences, a number; each once, methods in the order of the registry."""
    assert BenchOptions(seeds="0, 2,2").list_seeds() == BenchOptions(seeds=["0,2"]).list_seeds() == (0, 2)
    assert BenchOptions(seeds=3).list_seeds() == (3,)
    assert [method.name for method in choose_methods(["adele,clean", "ema"])] == ["clean", "ema", "adele"]
