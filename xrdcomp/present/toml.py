"""TOML out: the recipe of a result, as a file that repeats it (the standard library only reads TOML)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["to_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(data: Mapping[str, Any], *, comment: str = "") -> str:
    """Write nested mappings as TOML 1.0 text.

    Keys whose value is None are left out, because TOML has no null; a reader then takes its default.

    Parameters
    ----------
    data : mapping
        Values are str, bool, int, finite float, None, mappings, or sequences of these.
    comment : str
        Text for the head of the file, one ``#`` per line.

    Returns
    -------
    str
        Ends with a line feed.

    Raises
    ------
    TypeError
        A value of another type.
    ValueError
        A number that is not finite.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
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
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"a setting must be finite; got {value}."
            raise ValueError(msg)
        return repr(value)
    if isinstance(value, Mapping):
        items = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    msg = f"cannot write {type(value).__name__} as TOML."
    raise TypeError(msg)


def _string(text: str) -> str:
    # JSON's escapes are a subset of TOML's basic strings, except that TOML also wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
