"""Where the command starts: what is imported here must be next to nothing, so that signals are heard from the start."""

from __future__ import annotations

import gc
import importlib
import inspect
import signal
import sys
from importlib.machinery import ExtensionFileLoader
from types import FrameType, ModuleType
from typing import Any

from xrdcomp.cli import EXIT_INTERRUPTED, EXIT_TERMINATED, Terminated

PUT_OFF_S = 0.02
"""After which time a signal that came where nothing may be raised is heard."""
AGAIN_S = 3.0
"""After which time a signal is heard again where something swallowed what it raised; clearing up takes far less."""


def start() -> None:
    """Run the command line; a signal while it loads ends it with 130 or 143, as one during the work does."""

    def stop(number: int, frame: FrameType | None) -> None:
        if _loads_extension(frame) and hasattr(signal, "setitimer"):  # C++ ends the process on an exception there
            stop_later(number, PUT_OFF_S)
            return
        signal.signal(number, signal.SIG_IGN)  # a second one must not break the clearing up
        if hasattr(signal, "setitimer"):
            stop_later(number, AGAIN_S)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    def stop_later(number: int, seconds: float) -> None:
        signal.signal(signal.SIGALRM, lambda _, frame: stop(number, frame))
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def lost(problem: sys.UnraisableHookArgs) -> None:  # Python drops what is raised while it clears up an object
        if isinstance(problem.exc_value, KeyboardInterrupt) and hasattr(signal, "setitimer"):
            stop_later(signal.SIGTERM if isinstance(problem.exc_value, Terminated) else signal.SIGINT, PUT_OFF_S)
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
            _heed_no_signal()
            gc.freeze()  # else the interpreter ends with two turns over all objects, a twentieth of a command's time
    except KeyboardInterrupt as error:
        _heed_no_signal()
        sys.exit(EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED)


def _heed_no_signal() -> None:
    """Drop signals, those put off as well, and what is raised while objects are cleared up: the command has ended.

    The interpreter gives up its handlers last, and a signal without one would end the process with a code of its own.
    """

    def not_interrupts(problem: sys.UnraisableHookArgs) -> None:
        if not isinstance(problem.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(problem)

    sys.unraisablehook = not_interrupts
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def load_scipy() -> None:
    """Load scipy without what it makes others do that no command uses.

    It looks at every public name of numpy, which loads the module behind it: a front end of Fortran, test tools,
    ctypes. They are loaded when somebody asks for them afterwards. And it takes the texts of functions
    apart that know other arrays than numpy's, to add a note: without a text there is nothing to take apart.
    """
    import numpy as np

    spared = [name for name in ("f2py", "testing", "ctypeslib") if name not in vars(np)]
    changed: list[tuple[ModuleType, str, Any]] = [*((np, name, None) for name in spared), (inspect, "getdoc", _no_text)]
    text = inspect.getdoc
    try:
        for module, name, other in changed:
            setattr(module, name, other)
        for name in ("linalg", "special", "fft"):
            importlib.import_module(f"scipy.{name}")
    finally:
        for name in spared:
            delattr(np, name)
        inspect.getdoc = text


def _no_text(_: object) -> None:
    """Text of a function that nobody will read."""


def _loads_extension(frame: FrameType | None) -> bool:
    """Whether a frame is called from the beginning of a compiled module."""
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False
