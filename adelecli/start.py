"""The first thing of the `adele` program that runs: a Ctrl-C before the program is there ends it like any other.

Importing the commands takes a while in which Python answers an interruption with a traceback. Until they are there the system's own
answer holds: the process ends by the signal, without a word, and the shell says 130. Nothing has begun, so nothing is lost. What must hold:
nothing is imported here but what is needed for that.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Run the program; a signal that the caller has set aside (`nohup`, a job in the background) stays set aside."""
    answer = signal.getsignal(signal.SIGINT)
    if answer is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from adelecli.cli.app import main as run

    signal.signal(signal.SIGINT, answer)
    run()
