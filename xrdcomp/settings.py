"""Settings in words: their dotted keys, which values are legal, which one may have been meant."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["all_keys", "did_you_mean", "explain", "explain_value", "from_text", "plain", "section_name"]


def section_name(struct: type[msgspec.Struct]) -> str:
    """``thermal.`` for ThermalRecipe, nothing for Recipe.

    Parameters
    ----------
    struct : type

    Returns
    -------
    str
    """
    name = struct.__name__.removesuffix("Recipe").lower()
    return f"{name}." if name else ""


def plain(value: Any) -> Any:
    """Scalars of numpy as those of Python; everything else as it is.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
    """
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def from_text(value: str) -> Any:
    """Value of a setting given as text: read as TOML where that is possible, else the text itself.

    Parameters
    ----------
    value : str

    Returns
    -------
    object
    """
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def all_keys(struct: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """Dotted keys of a group of settings and of those within it, in the order declared.

    Parameters
    ----------
    struct : type
        A group of settings.
    prefix : str
        What stands before its keys.

    Returns
    -------
    list of str
    """
    keys: list[str] = []
    for item in msgspec.structs.fields(struct):
        nested = item.type if isinstance(item.type, type) and issubclass(item.type, msgspec.Struct) else None
        keys += all_keys(nested, f"{prefix}{item.name}.") if nested else [prefix + item.name]
    return keys


def did_you_mean(key: str, legal: list[str]) -> str:
    """Say that a key is no setting, and which of the legal ones is nearest.

    Parameters
    ----------
    key : str
    legal : list of str

    Returns
    -------
    str
    """
    close = difflib.get_close_matches(key, legal, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]}?" if close else "recipe.toml of any result lists them all."
    return f"there is no such setting. {hint}"


def explain(message: str, struct: type[msgspec.Struct], data: Mapping[str, Any]) -> str:
    """Say in the user's words what msgspec says: key first, value found, what is legal.

    Parameters
    ----------
    message : str
        Of msgspec's ValidationError.
    struct : type
        The group of settings that was to be made.
    data : mapping
        What it was to be made from.

    Returns
    -------
    str
    """
    match = re.match(r"Object contains unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?", message)
    if match:
        key = f"{match[2]}.{match[1]}" if match[2] else match[1]
        return f"{key}: {did_you_mean(key, all_keys(struct))}"
    at = re.search(r" - at `\$\.([^`\[]+)", message)
    key = at[1] if at else ""
    kind: Any = struct
    value: Any = data
    for name in key.split("."):
        fields = {item.name: item.type for item in msgspec.structs.fields(kind)}
        if name not in fields or not isinstance(value, Mapping):
            return message
        kind, value = fields[name], value.get(name)
    return explain_value(message, key, value, kind)


def explain_value(message: str, key: str, value: Any, kind: Any) -> str:
    """Say what of a setting is not legal, from msgspec's message, the value found and the declared type.

    Parameters
    ----------
    message : str
        Of msgspec's ValidationError.
    key : str
    value : object
        What was given.
    kind : type
        What was declared.

    Returns
    -------
    str
    """
    if legal := _choices(msgspec.inspect.type_info(kind)):
        close = difflib.get_close_matches(str(value), legal, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        named = " or ".join(filter(None, (", ".join(legal[:-1]), legal[-1])))
        return f"{key}: {value!r} is no legal value. Expected: {named}.{hint}"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return (
            f"{key}: {value!r} is no section. Expected: settings {key}.… such as {key}.{all_keys(kind)[0]}."
        )
    expected = re.sub(r", got .*| - at .*", "", message.replace("Expected ", "")).replace("`", "")
    for sign, words in _WORDS.items():
        expected = expected.replace(sign, words)
    each = " as each item" if re.search(r"\[[^\]]*\]`\Z", message) else ""
    return f"{key}: {value!r} is no legal value. Expected: {expected}{each}."


_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    " | ": " or ",
    "null": "nothing",
    ">= ": "of at least ",
    "<= ": "of at most ",
    "> ": "above ",
    "< ": "below ",
}


def _choices(kind: msgspec.inspect.Type) -> list[str]:
    """Legal values of an enumerated setting, "" for none of them; empty where it is not enumerated."""
    if isinstance(kind, msgspec.inspect.LiteralType):
        return [str(value) for value in kind.values]
    if isinstance(kind, msgspec.inspect.UnionType):
        return [value for item in kind.types for value in _choices(item)]
    return []
