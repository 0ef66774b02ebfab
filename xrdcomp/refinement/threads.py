"""One thread of the linear algebra for whatever ends in numbers that are reported."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

from threadpoolctl import ThreadpoolController

Stage = TypeVar("Stage", bound=Callable[..., Any])


@functools.cache
def _linear_algebra() -> ThreadpoolController:
    importlib.import_module("scipy.linalg")  # has a library of its own, which must be loaded to be found
    return ThreadpoolController()


def single_threaded(stage: Stage) -> Stage:
    """Let a stage use one thread of the linear algebra, because sums in another order end in other digits."""

    @functools.wraps(stage)
    def run(*arguments: Any, **options: Any) -> Any:
        with _linear_algebra().limit(limits=1, user_api="blas"):
            return stage(*arguments, **options)

    return cast("Stage", run)
