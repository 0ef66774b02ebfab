"""Where the command starts: what is imported here must be next to nothing, so that signals are heard from the start."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from importlib.machinery import ExtensionFileLoader
from types import FrameType

from xrdcomp.cli import EXIT_INTERRUPTED, EXIT_TERMINATED, Terminated


def start() -> None:
    """Run the command line; a signal while it loads ends it with 130 or 143, as one during the work does."""

    def stop(number: int, frame: FrameType | None) -> None:
        if _loads_extension(frame) and hasattr(signal, "setitimer"):  # C++ ends the process on an exception there
            stop_later(number)
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the clearing up
        raise Terminated

    def stop_later(number: int) -> None:
        signal.signal(signal.SIGALRM, lambda _, frame: stop(number, frame))
        signal.setitimer(signal.ITIMER_REAL, 0.02)

    def lost(problem: sys.UnraisableHookArgs) -> None:  # Python drops what is raised while it clears up an object
        if isinstance(problem.exc_value, KeyboardInterrupt) and hasattr(signal, "setitimer"):
            stop_later(signal.SIGTERM if isinstance(problem.exc_value, Terminated) else signal.SIGINT)
        else:
            sys.__unraisablehook__(problem)

    sys.unraisablehook = lost
    # a command builds far more than it drops: the collector's usual turns, every 700 objects, take a tenth of its time
    gc.set_threshold(50_000, 20, 20)
    try:
        signal.signal(signal.SIGTERM, stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell had it ignored
            signal.signal(signal.SIGINT, stop)
        from xrdcomp.cli.main import main

        try:
            main()
        finally:
            _heed_no_alarm()
    except KeyboardInterrupt as error:
        _heed_no_alarm()
        sys.exit(EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED)


def _heed_no_alarm() -> None:
    """Drop a signal that was put off, and what is raised while objects are cleared up: the command has ended.

    The interpreter gives up its handlers last, and an alarm without one would end the process by itself.
    """

    def not_interrupts(problem: sys.UnraisableHookArgs) -> None:
        if not isinstance(problem.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(problem)

    sys.unraisablehook = not_interrupts
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def load_scipy() -> None:
    """Load scipy without what it makes numpy load and does not use: a front end of Fortran, test tools, masked arrays.

    Scipy looks at every public name of numpy, which loads the module behind it: a twentieth of a command's time. They
    are loaded when somebody asks for them afterwards.
    """
    import numpy as np

    spared = [name for name in ("f2py", "testing", "ma", "ctypeslib") if name not in vars(np)]
    try:
        for name in spared:
            setattr(np, name, None)
        importlib.import_module("scipy.linalg")
    finally:
        for name in spared:
            delattr(np, name)


def _loads_extension(frame: FrameType | None) -> bool:
    """Whether a frame is called from the beginning of a compiled module."""
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False
