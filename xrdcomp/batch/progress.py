"""A progress bar on standard error with rate and time left, if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(total: int | None, label: str, *, shown: bool = True) -> Iterator[Callable[..., None]]:
    """Yield a function to be called for what is done, with a word on it or "" and how many items it were [1].

    On a terminal a bar with count, rate and time left is drawn on standard error; elsewhere, and with an unknown
    `total`, nothing is, so that logs stay readable.
    """
    if not (shown and total and sys.stderr.isatty()):
        yield lambda *_: None
        return
    started, done = time.monotonic(), 0

    def rate(word: str | None) -> str:
        per_second = done / max(time.monotonic() - started, 1e-9)
        speed = f"{per_second:.1f}/s" if per_second >= 1.0 else f"{60 * per_second:.1f}/min"
        return f"{speed}  {word or ''}"

    with click.progressbar(
        length=total, label=label, file=sys.stderr, show_pos=True, show_eta=True, item_show_func=rate
    ) as bar:

        def advance(word: str, items: int = 1) -> None:
            nonlocal done
            done += items
            bar.update(items, word)

        yield advance
