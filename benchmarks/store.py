"""What a long study has measured so far, one CSV row per case, so that an interrupted run goes on where it was."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from xrdcomp.batch.workers import work_off

Item = TypeVar("Item")
Case = TypeVar("Case")

_CONVERT: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text == "True",
}


def read_store(store: Path | None, kind: type[Any]) -> list[Any]:
    """Cases stored as `kind`, a dataclass of str, int, float and bool; a last row that was cut off is left out."""
    if store is None or not store.is_file():
        return []
    kinds = {field.name: str(field.type) for field in fields(kind)}
    rows = csv.DictReader(_whole_rows(store).decode("utf-8").splitlines())
    return [kind(**{name: _CONVERT[kinds[name]](text) for name, text in row.items()}) for row in rows]


def append_store(store: Path | None, found: Iterable[Any]) -> None:
    """Add cases of one kind, with a header if they are the first; no store keeps nothing."""
    rows = list(found)
    if store is None or not rows:
        return
    names = [field.name for field in fields(rows[0])]
    store.parent.mkdir(parents=True, exist_ok=True)
    whole = _whole_rows(store) if store.is_file() else b""
    if whole and len(whole) < store.stat().st_size:
        store.write_bytes(whole)
    new = not whole
    with store.open("w" if new else "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(names)
        writer.writerows([[getattr(row, name) for name in names] for row in rows])


def measured_in_turn(
    measure: Callable[[Item], list[Case]], items: Sequence[Item], *, workers: int = 1
) -> Iterator[list[Case]]:
    """Cases of one item after the other, on several processes where asked for; says on standard error how far it is."""
    for number, done in enumerate(work_off(measure, items, workers=workers), start=1):
        yield done.given()
        if number % 10 == 0:
            print(f"{number} of {len(items)}", file=sys.stderr)


def _whole_rows(store: Path) -> bytes:
    """What the file holds up to its last end of line: a number that was cut off would still be a number."""
    data = store.read_bytes()
    return data[: data.rfind(b"\n") + 1]
