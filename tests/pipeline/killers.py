"""Treatments that end their own worker process, in a module that the worker can import."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

from adelecli.pipeline.correction import prepare_correction


class Killer:
    """Corrects, but kills its process when it reads case ``b``: every time, or the first time."""

    def __init__(self, session, *, once: bool) -> None:
        self.treatment, self.once = prepare_correction(session), once
        self.mark = Path(session.scratch.folder or ".") / "killed"

    def read(self, case):
        if case.id == "b" and not (self.once and self.mark.exists()):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.treatment.read(case)

    def treat(self, case, loaded):
        return self.treatment.treat(case, loaded)


class Quitter:
    """Corrects, but kills the worker that is asked about slice 5: every time, or the first time. The run's own process lives."""

    def __init__(self, session, *, once: bool) -> None:
        self.treatment, self.once = prepare_correction(session), once
        self.mark = Path(session.scratch.folder or ".") / "killed"

    def read(self, case):
        return self.treatment.read(case)

    def answer(self, case, loaded, numbers):
        if 5 in numbers and multiprocessing.parent_process() is not None and not (self.once and self.mark.exists()):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.treatment.answer(case, loaded, numbers)

    def treat(self, case, loaded):
        return self.treatment.treat(case, loaded)


def quit_always(session) -> Quitter:
    return Quitter(session, once=False)


def quit_once(session) -> Quitter:
    return Quitter(session, once=True)


def kill_always(session) -> Killer:
    return Killer(session, once=False)


def kill_once(session) -> Killer:
    return Killer(session, once=True)
