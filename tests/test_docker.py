"""The Dockerfile, held to its promises as far as that can be done without an engine: its steps are read, not run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "docker" / "Dockerfile"


def read_steps() -> list[tuple[str, str]]:
    """Instruction and argument of every step; continued lines are joined."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


def read_stages() -> dict[str, list[tuple[str, str]]]:
    """The steps of each stage by its name, those of the stage that it builds on first."""
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for word, rest in read_steps():
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = stages[name] = list(stages.get(base, []))
        current.append((word, rest))
    return stages


def test_there_is_a_target_for_a_cpu_and_one_for_a_gpu() -> None:
    """Both end as a user who is not root, start `adele`, and write nothing outside /data and /tmp."""
    stages = read_stages()
    for name in ("cpu", "gpu"):
        steps = stages[name]
        users = [rest for word, rest in steps if word == "USER"]
        assert users == ["10001:10001"]  # a number: engines that refuse root cannot tell whose number a name is
        assert any("useradd --uid 10001 " in rest for word, rest in steps if word == "RUN")
        assert ("ENTRYPOINT", '["adele"]') in steps
        assert ("WORKDIR", "/data") in steps
        assert ("HEALTHCHECK", "NONE") in steps
        settings = " ".join(rest for word, rest in steps if word == "ENV")
        assert "PYTHONDONTWRITEBYTECODE=1" in settings
        assert "HOME=/tmp" in settings
    assert any("cuda" in rest for word, rest in stages["build-gpu"] if word == "RUN")


def test_every_version_is_named() -> None:
    """No `latest`, and every install is held to the constraints."""
    steps = read_steps()
    bases = [rest.partition(" ")[0] for word, rest in steps if word == "FROM"]
    assert all(":" in base or base in read_stages() for base in bases)
    assert not any("latest" in rest for _, rest in steps)
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in rest for rest in installs)
    pinned = (FILE.parent / "cuda-constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert "--constraint cuda-constraints.txt" in installs[1]
    assert all(re.fullmatch(r"nvidia-[a-z0-9-]+==[0-9.]+", line) for line in pinned)
    assert not any(word == "ADD" or re.search(r"\b(curl|wget|git)\b", rest) for word, rest in steps)


def test_what_is_copied_is_there_and_reaches_the_daemon() -> None:
    """Each source exists, and `.dockerignore`, which shuts everything out, lets it in."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    sources = [
        source for word, rest in read_steps() if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]
    ]
    assert set(sources) == let_in
    assert all((ROOT / source).exists() for source in sources)
