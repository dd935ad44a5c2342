"""The lock of a store: alone or shared, over processes, and never outliving the one who holds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adelecli.errors import OutputError
from adelecli.store.layout import lock_path
from adelecli.store.locking import hold_store

ROOT = Path(__file__).parents[2]
HOLDER = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from adelecli.store.locking import hold_store
with hold_store(Path(sys.argv[1]), part=sys.argv[2] or None):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_elsewhere(path: Path, how: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path), how], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize(("held", "asked"), [("", None), ("", "1of2"), ("1of2", None), ("1of2", "1of2")])
def test_a_second_process_is_refused(tmp_path: Path, held: str, asked: str | None) -> None:
    """In one line that names the process (8), also where both are the same part; a killed holder's lock is free without cleaning."""
    path = tmp_path / "c.zarr"
    with hold_elsewhere(path, held) as holder:
        refusal = rf"c\.zarr: another run is using it \(process {holder.pid}\); wait for that run, or stop it$"
        with pytest.raises(OutputError, match=refusal) as caught, hold_store(path, part=asked):
            pass
        assert caught.value.exit_code == 8
        holder.kill()
    assert lock_path(path).exists()
    with hold_store(path):
        pass
    assert not lock_path(path).exists()


def test_parts_of_one_run_share_it(tmp_path: Path) -> None:
    """Two parts hold it; the last one to let go removes the file."""
    path = tmp_path / "c.zarr"
    with hold_elsewhere(path, "1of2") as holder:
        with hold_store(path, part="2of2"), pytest.raises(OutputError), hold_store(path):
            pass
        assert lock_path(path).exists()
        with hold_store(path, part="2of2"):
            holder.kill()
            holder.wait()
        assert not lock_path(path).exists()


def test_an_error_in_the_block_lets_go(tmp_path: Path) -> None:
    """And a folder that is not there yet is made."""
    path = tmp_path / "new" / "c.zarr"
    with pytest.raises(ZeroDivisionError), hold_store(path):
        raise ZeroDivisionError
    with hold_store(path):
        pass
    assert list((tmp_path / "new").iterdir()) == []


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written where somebody's link leads."""
    (tmp_path / "precious").write_text("precious")
    lock_path(tmp_path / "c.zarr").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot be written"), hold_store(tmp_path / "c.zarr"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"
