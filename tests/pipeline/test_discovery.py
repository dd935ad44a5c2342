"""Which model is meant: the order of the contract, and the errors when there is none or too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from adelecli.errors import ConfigError, ModelError
from adelecli.pipeline import discovery
from adelecli.pipeline.discovery import find_hash, find_model, read_registry


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """An empty weights/ in the current folder."""
    monkeypatch.delenv("ADELE_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    return Path("weights")


def make(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def test_the_only_model_in_weights_is_the_default(weights) -> None:
    """One file needs no name."""
    only = make(weights / "adele.onnx")
    assert find_model() == only


def test_the_environment_comes_before_weights_and_an_argument_before_both(weights, monkeypatch) -> None:
    """--model, else $ADELE_MODEL, else weights/."""
    make(weights / "a.onnx")
    second, third = make(Path("b.onnx")), make(Path("c.onnx"))
    monkeypatch.setenv("ADELE_MODEL", "b.onnx")
    assert find_model() == second
    assert find_model("c.onnx") == third


def test_two_candidates_are_listed(weights) -> None:
    """A guess would clean labels with the wrong network."""
    make(weights / "a.onnx")
    make(weights / "b.onnx")
    with pytest.raises(ConfigError, match=r"holds 2 models: a\.onnx, b\.onnx; pass --model FILE"):
        find_model()


def test_no_model_says_how_to_get_one(weights) -> None:
    """Code 6 and both ways out."""
    with pytest.raises(
        ModelError, match="no model; pass --model FILE, or train one: adele train && adele export"
    ) as caught:
        find_model()
    assert caught.value.exit_code == 6


def test_a_name_in_the_registry_is_a_model_with_a_hash(weights) -> None:
    """The registry gives the file and the sha256 that it must have."""
    liver = make(weights / "liver.onnx")
    (weights / "registry.toml").write_text('[liver-v2]\nfile = "liver.onnx"\nsha256 = "abc"\n')
    assert find_model("liver-v2") == liver
    assert find_hash(liver) == "abc"
    assert find_hash(make(weights / "other.onnx")) is None
    with pytest.raises(
        ModelError, match=r"spleen: there is no such model; --model takes a file, or a name .*liver-v2\)"
    ):
        find_model("spleen")


def test_two_hashes_for_one_file_are_no_proof(weights) -> None:
    """Whichever entry comes first, the model is refused: one of the two promises is broken."""
    liver = make(weights / "liver.onnx")
    (weights / "registry.toml").write_text(
        '[old]\nfile = "liver.onnx"\nsha256 = "AB"\n[same]\nfile = "liver.onnx"\nsha256 = "ab"\n'
    )
    assert find_hash(liver) == "ab"
    with (weights / "registry.toml").open("a") as registry:
        registry.write('[new]\nfile = "./liver.onnx"\nsha256 = "cd"\n')
    with pytest.raises(ModelError, match=r"liver\.onnx: .*records different sha256 for it \(same, new\)") as caught:
        find_hash(liver)
    assert caught.value.exit_code == 6


def test_a_registered_file_that_is_gone_is_told(weights) -> None:
    """The name is known, the file is not there: another error than an unknown name."""
    (weights / "registry.toml").write_text('[liver]\nfile = "liver.onnx"\n')
    with pytest.raises(ModelError, match="its file is missing"):
        find_model("liver")


@pytest.mark.parametrize(("text", "said"), [("[", "is not TOML"), ("[liver]\nsha256 = 'x'\n", "`liver` has no `file`")])
def test_a_broken_registry_is_named(weights, text, said) -> None:
    """Code 2 with the file's name."""
    (weights / "registry.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_registry()


def test_a_model_of_the_package_is_found_by_name_only(weights, tmp_path, monkeypatch) -> None:
    """After the own registry the package's is asked; without a name what comes with the package is never taken."""
    packaged = tmp_path / "package" / "weights"
    packaged.mkdir(parents=True)
    (packaged / "registry.toml").write_text('[hippocampus]\nfile = "hippocampus.onnx"\nsha256 = "abc"\n')
    shipped = make(packaged / "hippocampus.onnx")
    monkeypatch.setattr(discovery, "find_packaged", lambda: (packaged,))
    assert find_model("hippocampus") == shipped
    assert find_hash(shipped) == "abc"
    with pytest.raises(ModelError, match="no model; pass --model"):
        find_model()
    with pytest.raises(ModelError, match=r"there is no such model; .*\(hippocampus\)"):
        find_model("spleen")
    (weights / "registry.toml").write_text('[hippocampus]\nfile = "mine.onnx"\n')
    make(weights / "mine.onnx")
    assert find_model("hippocampus") == weights / "mine.onnx"
