"""The same work on Dask: local processes, or the workers of a running scheduler, also on other machines."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from xrdcomp.batch.workers import AHEAD, Done, Item, Result, WorkerDied, work_off
from xrdcomp.errors import MissingExtraError, XrdcompError

LOCAL = "local"
"""Instead of an address: a Dask cluster of processes of this machine that lives as long as the work."""
CONNECT_S = 20.0
"""How long a scheduler is waited for."""
WITHOUT_PROFILES = {"distributed.worker.profile.enabled": False}
"""A worker keeps what its profiler saw in each second of an hour: about a megabyte a chunk that nobody looks at."""
RETRIES = 2
"""Times that an item is tried again after an exception; Dask itself repeats those whose worker was lost."""


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1, scheduler: str = ""
) -> Iterator[Done[Item, Result]]:
    """Process items as `work_off` does, on Dask if a `scheduler` is named by its address or ``"local"``.

    If a worker is lost, its items are processed again elsewhere, so processing an item twice must be harmless. Only a
    few items per worker are handed out at a time.
    """
    if not scheduler:
        yield from work_off(function, items, workers=workers)
        return
    distributed = _distributed()
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_client(stack, distributed, scheduler, workers))
        waiting, own = enumerate(items), uuid.uuid4().hex
        running: deque[tuple[Item, Any]] = deque()

        def hand_out() -> None:
            most = AHEAD * max(sum(client.nthreads().values()), 1)  # workers come and go
            while len(running) < most and (found := next(waiting, None)) is not None:
                number, item = found
                key = f"xrdcomp-{own}-{number}"
                running.append((item, client.submit(function, item, key=key, pure=False, retries=RETRIES)))

        hand_out()
        while running:
            item, future = running.popleft()
            try:
                yield Done(item=item, result=future.result())
            except distributed.KilledWorker:
                said = "the workers that were given it ended before it was done: memory, or kills"
                yield Done(item=item, error=WorkerDied(said))
            except Exception as error:  # noqa: BLE001 - whatever one item raises is its outcome
                yield Done(item=item, error=error)
            hand_out()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as missing:
        msg = "a scheduler needs Dask: pip install 'xrdcomp[cluster]'"
        raise MissingExtraError(msg) from missing
    return distributed


def _client(stack: contextlib.ExitStack, distributed: Any, scheduler: str, workers: int) -> Any:
    if scheduler == LOCAL:
        import dask

        with dask.config.set(WITHOUT_PROFILES):
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        return distributed.Client(stack.enter_context(cluster))
    try:
        return distributed.Client(scheduler, timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"no Dask scheduler answers at {scheduler} ({error}). Expected: its address, such as tcp://host:8786."
        raise XrdcompError(msg) from error
