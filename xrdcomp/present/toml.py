"""TOML out: the recipe of a result, as a file that repeats it; the standard library only reads TOML."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from xrdcomp.errors import printable

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(data: Mapping[str, Any], *, comment: str = "") -> str:
    """Write nested mappings as TOML 1.0 text, `comment` at its head, one ``#`` per line.

    Keys whose value is None are left out, because TOML has no null; a reader then takes its default. A value that is
    not text, bool, number, mapping or a sequence of these raises TypeError, a number that is not finite ValueError.
    """
    lines = [f"# {printable(line)}".rstrip() for line in comment.splitlines()]
    if lines:
        lines.append("")
    _write_table(data, (), lines)
    return "\n".join(lines).rstrip("\n") + "\n"


def _write_table(data: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    for key, value in data.items():
        if value is not None and not isinstance(value, Mapping):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in data.items():
        if isinstance(value, Mapping):
            nested = (*path, key)
            if lines and lines[-1]:
                lines.append("")
            lines.append(f"[{'.'.join(_key(part) for part in nested)}]")
            _write_table(value, nested, lines)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a setting must be finite; got {value}.")
    if isinstance(value, str | int | float):
        # JSON writes truth values, numbers and text as TOML does, except that TOML also wants DEL escaped and, being
        # UTF-8, has no place for the bytes of a file name that are not.
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        return re.sub("[\ud800-\udfff]", lambda lone: json.dumps(printable(lone[0]))[1:-1], text)
    if isinstance(value, Mapping):
        items = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"cannot write {type(value).__name__} as TOML.")
