"""An interruption in the first moments, while the commands are imported, ends the program without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

HURRIED = """
import os, signal, sys
from importlib.abc import MetaPathFinder

signal.signal(signal.SIGINT, {answer})

class Hurry(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "adelecli.cli.app":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Hurry())
sys.argv = ["adele", "--help"]
from adelecli.start import main
main()
"""


@pytest.mark.parametrize(
    ("answer", "code", "told"), [("signal.default_int_handler", -signal.SIGINT, False), ("signal.SIG_IGN", 0, True)]
)
def test_an_interruption_before_the_commands_are_there(answer, code, told):
    """The shell sees the signal (130), and nobody a traceback; a program whose starter has set the signal aside goes on."""
    program = [sys.executable, "-c", HURRIED.format(answer=answer)]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stderr == ""
    assert ("adele correct" in done.stdout) is told


def test_once_they_are_there_python_answers_again():
    """Every command ends its run in order (`tests/cli/test_signals.py`), which takes an exception."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import adelecli.cli.app as app;"
        "from adelecli import start; seen = []; app.main = lambda: seen.append(signal.getsignal(signal.SIGINT));"
        "start.main(); assert seen == [signal.default_int_handler]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
