"""Work on several processes, in the order of the items and in bounded memory, which survives the death of a process.

Each process has a pipe of its own and nothing in common with the others: no lock that one could hold when it is killed,
and no half of a message that anybody would wait for, since a pipe ends with the only process that holds its other end.
Nothing here waits without a bound for a process that was asked to end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TERMINATED = 128 + 15
"""Exit code of a process that was terminated, as shells have it."""
GRACE_S = 5.0
"""Time in which a worker that was terminated clears up what it was writing."""
AHEAD = 3
"""Items that are handed out for each worker: enough that none waits, few enough that memory stays flat."""
SENT = 2
"""Of them, items that a process has: the one in work, and the next, so that it need not wait for this process."""


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
    """A process ended in the middle of an item: memory ran out, or it was killed."""


class Stopped(RuntimeError):
    """An item was stopped on request."""


_DIED = "the process ended before the analysis did: memory, or a kill"


def work_off(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1
) -> Iterator[Done[Item, Result]]:
    """Apply `function` to each item, on `workers` processes where that is more than one; outcomes in order.

    An exception is an outcome, so one bad item stops nothing. If a process dies, its item is tried again while no other
    process is working, so only an item that kills its process is lost (`WorkerDied`). Whatever ends this process also
    ends the others; what they are writing is cleared up first, except after a kill -9.
    """
    if workers <= 1:
        for item in items:
            result, error = _tried(function, item)
            yield Done(item=item, result=result, error=error)
        return
    waiting = iter(items)
    tasks: deque[_Task[Item, Result]] = deque()  # in order: all that is handed out and not yet yielded
    with _Team(function, workers) as team:
        while True:
            while len(tasks) < AHEAD * workers:
                try:
                    tasks.append(_Task(next(waiting)))
                except StopIteration:
                    break
                team.waiting.append(tasks[-1])
            if not tasks:
                return
            team.hand_out()
            while (done := tasks[0].done) is None:
                team.listen()
                team.hand_out()
            tasks.popleft()
            yield done


class Worker:
    """One process that takes one item after the other and can be stopped in the middle of one.

    It is a fresh interpreter, not a fork, so that a process with threads may have it, and begins with its first item.
    """

    def __init__(self) -> None:
        self._process: _Process | None = None

    def call(
        self, function: Callable[[Item], Result], item: Item, *, stopped: Callable[[], bool]
    ) -> Done[Item, Result]:
        """Apply `function`; `WorkerDied` where the process ends meanwhile, `Stopped` soon after `stopped` is true."""
        task: _Task[Item, Result] = _Task(item)
        if self._process is None:
            self._process = _Process(_applied, "spawn")
        self._process.give(task, _Call(function, item))
        while not stopped():
            if not wait([self._process.pipe], timeout=0.1):
                continue
            if not self._process.receive():
                self.close()
                return Done(item=item, error=WorkerDied(_DIED))
            if task.done is not None:
                return task.done
        self.close()
        return Done(item=item, error=Stopped("stopped"))

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            _end([self._process])
        self._process = None


class _Call(NamedTuple):
    """What a `Worker` is sent: its function may be another each time."""

    function: Callable[[Any], Any]
    item: Any


def _applied(call: _Call) -> Any:
    return call.function(call.item)


# ---- in the process that hands out


@dataclass(eq=False)
class _Task(Generic[Item, Result]):
    """An item on its way; `suspect` where a process died while it was in work."""

    item: Item
    done: Done[Item, Result] | None = None
    suspect: bool = False


class _Process:
    """A worker process with its pipe and the tasks it was given, the one in work first."""

    def __init__(self, function: Callable[[Any], Any], method: str) -> None:
        context = multiprocessing.get_context(method)
        self.pipe, theirs = context.Pipe()
        self.tasks: deque[_Task[Any, Any]] = deque()
        # a daemon: should an interrupt come between the end of the work and that of its processes, Python ends them
        self.process: multiprocessing.process.BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, function, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()  # else the pipe would not end with the process

    def give(self, task: _Task[Any, Any], message: Any) -> None:
        """Send the message of a task; where the process is dead the next `receive` says so."""
        data = ForkingPickler.dumps(message)
        self.tasks.append(task)
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(data)

    def receive(self) -> bool:
        """Take the outcome of the task in work from the pipe; False where the process has died."""
        try:
            data = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return False
        task = self.tasks.popleft()
        outcome, error = _tried(pickle.loads, data)
        result, error = (None, error) if outcome is None else outcome
        task.done = Done(item=task.item, result=result, error=error)
        return True


class _Team:
    """Processes that apply one function, and the tasks that none of them has yet."""

    def __init__(self, function: Callable[[Any], Any], workers: int) -> None:
        self._function, self._number = function, workers
        self._processes: list[_Process] = []
        self.waiting: deque[_Task[Any, Any]] = deque()

    def __enter__(self) -> _Team:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._processes)

    def hand_out(self) -> None:
        """Give the waiting tasks to the processes that have the fewest; a suspect waits until all others rest."""
        while self.waiting:
            task, at_work = self.waiting[0], [process for process in self._processes if process.tasks]
            if any(process.tasks[0].suspect for process in at_work) or (task.suspect and at_work):
                return
            least = min(self._processes, key=lambda process: len(process.tasks), default=None)
            if (least is None or least.tasks) and len(self._processes) < self._number:
                least = self._start()
            if least is None or len(least.tasks) >= SENT:
                return
            least.give(task, task.item)
            self.waiting.popleft()

    def listen(self) -> None:
        """Wait for the next outcomes or deaths; a dead process is dropped, and its tasks are handed out again."""
        at_work = {process.pipe: process for process in self._processes if process.tasks}
        for pipe in wait(list(at_work)):
            process = at_work[pipe]  # type: ignore[index]
            if process.receive():
                continue
            self._processes.remove(process)
            _end([process])
            first = process.tasks[0]
            if first.suspect:
                first.done = Done(item=first.item, error=WorkerDied(_DIED))
                process.tasks.popleft()
            first.suspect = True
            self.waiting.extendleft(reversed(process.tasks))

    def _start(self) -> _Process:
        with _signals_held():  # until the process stands in the list of those that have to be ended
            # a fork has loaded what its parent has; elsewhere than on Linux libraries of the system do not bear it
            self._processes.append(_Process(self._function, "fork" if sys.platform == "linux" else "spawn"))
        return self._processes[-1]


def _end(processes: list[_Process]) -> None:
    """End processes: by asking, and after `GRACE_S` without."""
    with _signals_held():  # a second interrupt must not leave some of them behind
        for each in processes:
            each.process.terminate()
        until = time.monotonic() + GRACE_S + 1.0
        for each in processes:
            each.process.join(max(until - time.monotonic(), 0.0))
            if each.process.is_alive():
                each.process.kill()
                each.process.join(1.0)
            each.pipe.close()


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Put off the signals that end the work until the end of a block, in a process that is started there too.

    Python drops what a handler raises while it forks, and in the new process it would run through the parent's code.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has neither
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _held())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _held() -> set[signal.Signals]:
    return {signal.SIGINT, signal.SIGTERM, signal.SIGALRM}


# ---- in the processes that work


def _work(pipe: Connection, function: Callable[[Any], Any], parent: int) -> None:
    """Apply the function to what comes, one after the other, until SIGTERM.

    That ends the process, but not before what it was writing is cleared up. Where a callback swallows the interrupt,
    the process ends all the same: its result would wait for a reader for good.
    """
    told: list[int] = []

    def break_off(number: int, _: object) -> None:
        told.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the clearing up
        raise KeyboardInterrupt

    came: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, came), daemon=True).start()
    threading.Thread(target=_watch, args=(parent, told), daemon=True).start()
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the whole group is its parent's business
        signal.signal(signal.SIGTERM, break_off)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _held())
        while True:
            outcome = _tried(_loaded, came.get(), function)
            if told:
                break
            pipe.send_bytes(_packed(outcome))
    except (KeyboardInterrupt, OSError):  # told to end, or nobody listens any more
        pass
    os._exit(TERMINATED)


def _tried(function: Callable[..., Any], *arguments: Any) -> tuple[Any, BaseException | None]:
    try:
        return function(*arguments), None
    except Exception as error:  # noqa: BLE001 - whatever one item raises is its outcome
        return None, error


def _loaded(data: bytes, function: Callable[[Any], Any]) -> Any:
    return function(pickle.loads(data))


def _packed(outcome: tuple[Any, BaseException | None]) -> Any:
    try:
        return ForkingPickler.dumps(outcome)
    except Exception as error:  # noqa: BLE001 - what cannot be sent is an outcome too
        return ForkingPickler.dumps((None, RuntimeError(f"what came of it cannot be sent: {error}")))


def _read(pipe: Connection, came: queue.SimpleQueue[bytes]) -> None:
    """Take what comes off the pipe at once: two processes that both write would wait for each other."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            came.put(pipe.recv_bytes())
    os._exit(TERMINATED)


def _watch(parent: int, told: list[int]) -> None:
    """End the process with its parent, whose end of the pipe others may hold as well, and `GRACE_S` after SIGTERM."""
    while not told and os.getppid() == parent:
        time.sleep(0.3)
    if told:
        time.sleep(GRACE_S)
    os._exit(TERMINATED)
