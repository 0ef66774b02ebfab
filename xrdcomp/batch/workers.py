"""Work on several processes that survives the death of one of them, in the order of the items and in bounded memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TERMINATED = 128 + 15
"""Exit code of a process that was terminated, as shells have it."""
GRACE_S = 5.0
"""Time in which a worker that was terminated clears up what it was writing."""
AHEAD = 3
"""Items that are handed out for each worker: enough that none waits, few enough that memory stays flat."""


@dataclass(frozen=True, kw_only=True)
class Done(Generic[Item, Result]):
    """An item with what its function returned, or the exception that it raised or died of."""

    item: Item
    result: Result | None = None
    error: BaseException | None = None

    def given(self) -> Result:
        """Return the result; raise the exception where there is none."""
        if self.result is None:
            raise self.error or RuntimeError("an item of work gave nothing")
        return self.result


class WorkerDied(RuntimeError):
    """A process ended in the midst of an item: memory ran out, or somebody killed it."""


class Stopped(RuntimeError):
    """An item was broken off because that was asked for."""


class Worker:
    """One process that takes one item after the other and can be stopped in the midst of one.

    It is a fresh interpreter, not a fork, so that a process with threads may have it, and begins with its first item.
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def call(
        self, function: Callable[[Item], Result], item: Item, *, stopped: Callable[[], bool]
    ) -> Done[Item, Result]:
        """Apply `function`; `WorkerDied` where the process ends meanwhile, `Stopped` soon after `stopped` is true."""
        if self._pool is None:
            self._pool = _new_pool(1, "spawn")
        future = self._pool.submit(_called_in_worker, function, item)
        while not stopped():
            try:
                return future.result(timeout=0.1)
            except TimeoutError:
                continue
            except BrokenProcessPool:
                self.close()
                return Done(item=item, error=WorkerDied(_DIED))
        self.close()
        return Done(item=item, error=Stopped("stopped"))

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._pool is not None:
            _break_off(self._pool)
        self._pool = None


_DIED = "the process ended before the analysis did: memory, or a kill"


def work_off(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1
) -> Iterator[Done[Item, Result]]:
    """Apply `function` to each item, on `workers` processes where that is more than one; outcomes in order.

    An exception is an outcome, so one bad item stops nothing. Where a process dies, the items that were handed out are
    tried again one at a time, so that only the item that kills its process is lost (`WorkerDied`).
    Whatever ends this process ends those as well; what they are writing is cleared up before, except after a kill -9.
    """
    if workers <= 1:
        for item in items:
            yield _called(function, item)
        return
    waiting = iter(items)
    with _heeded_signals() as heed, contextlib.ExitStack() as stack:
        pool = stack.enter_context(_pool(workers, function))
        running: deque[tuple[Item, Future[Done[Item, Result]]]] = deque()

        def hand_out() -> None:
            for item in waiting:
                running.append((item, pool.submit(_applied, item)))
                heed()
                if len(running) >= AHEAD * workers:
                    return

        hand_out()
        while running:
            item, future = running.popleft()
            try:
                outcome = future.result()
            except BrokenProcessPool:
                lost = [item, *(other for other, _ in running)]
                running.clear()
                yield from (_alone(function, each) for each in lost)
                pool = stack.enter_context(_pool(workers, function))
                hand_out()
                continue
            yield outcome
            hand_out()


def _called(function: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    try:
        return Done(item=item, result=function(item))
    except Exception as error:  # noqa: BLE001 - whatever one item raises is its outcome
        return Done(item=item, error=error)


def _called_in_worker(function: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    """Apply the function; a SIGTERM meanwhile ends the process, but not before what it was writing is cleared up.

    Where a callback swallows the interrupt, the process ends all the same: its result would wait for a reader for good.
    """
    told: list[int] = []

    def break_off(number: int, _: object) -> None:
        told.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the clearing up
        grace = threading.Timer(GRACE_S, os._exit, (TERMINATED,))
        grace.daemon = True
        grace.start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, break_off)
    try:
        return _called(function, item)
    except KeyboardInterrupt:
        os._exit(TERMINATED)
    finally:
        if told:
            os._exit(TERMINATED)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _alone(function: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    """Try an item in a process of its own."""
    try:
        with _pool(1, function) as pool:
            found: Done[Item, Result] = pool.submit(_applied, item).result()
            return found
    except BrokenProcessPool:
        return Done(item=item, error=WorkerDied(_DIED))


@contextlib.contextmanager
def _pool(workers: int, function: Callable[[Any], Any]) -> Iterator[ProcessPoolExecutor]:
    """Pool whose processes apply one function, leave interrupts to their parent and end with it."""
    pool = _new_pool(workers, function=function)
    try:
        yield pool
    except BaseException:
        _break_off(pool)  # nothing that was handed out may go on after an interrupt
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _heeded_signals() -> Iterator[Callable[[], None]]:
    """Yield a function that raises what a signal has raised: Python drops that while it forks a process."""
    heard: list[BaseException] = []
    kinds = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {kind: handler for kind in kinds if callable(handler := signal.getsignal(kind))}

    def note(kind: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(kind)](kind, frame)
        except BaseException as error:
            heard.append(error)
            raise

    def heed() -> None:
        if heard:
            raise heard[0]

    for kind in before:
        signal.signal(kind, note)
    try:
        yield heed
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _new_pool(
    workers: int, method: str | None = None, function: Callable[[Any], Any] | None = None
) -> ProcessPoolExecutor:
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(os.getpid(), function))


def _break_off(pool: ProcessPoolExecutor) -> None:
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


_given: list[Callable[[Any], Any]] = []
"""In a worker: what it applies to each item. A function that holds a common fit is not sent again with every item."""


def _applied(item: Any) -> Done[Any, Any]:
    return _called_in_worker(_given[0], item)


def _start_worker(parent: int, function: Callable[[Any], Any] | None) -> None:
    _given[:] = [] if function is None else [function]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(TERMINATED)

    threading.Thread(target=watch, daemon=True).start()
