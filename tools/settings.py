"""Write docs/reference/settings.md and api.rst: every setting from the recipe's docstrings, every public name.

python -m tools.settings
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from pathlib import Path
from typing import Any

import msgspec

import xrdcomp
from xrdcomp.recipe import Recipe

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
INTRO = """# Settings

Every setting can be given as `--set group.name=value`, in a recipe (`--recipe`, TOML), or in Python by its name. The
`recipe.toml` of every result contains all of them. Unknown names and illegal values are refused, and the message gives
the nearest legal one. This page is made from `xrdcomp/recipe.py` by `python -m tools.settings`.
"""


def described(struct: type[Any]) -> dict[str, tuple[str, str]]:
    """Type in words and meaning of each setting of a group, from the Attributes of its docstring."""
    text = inspect.getdoc(struct) or ""
    body = text.partition("Attributes\n----------\n")[2]
    found: dict[str, tuple[str, str]] = {}
    for block in re.split(r"\n(?=\S)", body):
        head, _, rest = block.partition("\n")
        names, _, kind = head.partition(" : ")
        for name in names.split(","):
            found[name.strip()] = (kind.strip(), " ".join(rest.split()))
    return found


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _default(item: Any) -> str:
    if item.default is not msgspec.NODEFAULT:
        value = item.default
    elif item.default_factory is not msgspec.NODEFAULT:
        value = item.default_factory()
    else:
        return ""
    shown = {True: "true", False: "false", None: "none"}.get(value) if isinstance(value, bool | None) else None
    text = shown or (
        f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)
    )
    return f"`{text}`"


def _legal(kind: Any) -> str:
    """Words of an enumerated setting."""
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if isinstance(kind, types.UnionType):
        return ", ".join(filter(None, map(_legal, typing.get_args(kind))))
    return ""


def settings_page() -> str:
    """Return the page of every setting with type, default and meaning."""
    lines = [INTRO]

    def table(struct: type[Any], prefix: str, title: str) -> None:
        words, rows = described(struct), []
        for item in msgspec.structs.fields(struct):
            if isinstance(item.type, type) and issubclass(item.type, msgspec.Struct):
                continue
            kind, meaning = words.get(item.name, ("", ""))
            kind = _legal(item.type) or kind
            rows.append(f"| `{prefix}{item.name}` | {_cell(kind)} | {_cell(_default(item))} | {_cell(meaning)} |")
        if rows:
            summary = (inspect.getdoc(struct) or "").partition("\n\nAttributes")[0]
            lines.extend(
                [f"## {title}\n", _cell(" ".join(summary.split())) + "\n", "| setting | kind | default | meaning |"]
            )
            lines.extend(["|---|---|---|---|", *rows, ""])

    table(Recipe, "", "Of the whole")
    for item in msgspec.structs.fields(Recipe):
        if isinstance(item.type, type) and issubclass(item.type, msgspec.Struct):
            table(item.type, f"{item.name}.", f"[{item.name}]")
    return "\n".join(lines).rstrip("\n") + "\n"


def api_page() -> str:
    """Return the page of every public name, for Sphinx to fill."""
    lines = [
        "Python",
        "======",
        "",
        "What ``import xrdcomp as xc`` offers. Docstrings give units and what a value means.",
        "",
    ]
    for name in sorted(xrdcomp.__all__):
        item = getattr(xrdcomp, name)
        if inspect.isclass(item):
            lines += [f".. autoclass:: xrdcomp.{name}", "   :members:", ""]
        elif callable(item):
            lines += [f".. autofunction:: xrdcomp.{name}", ""]
    return "\n".join(lines)


def main() -> None:
    """Write both pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "settings.md").write_text(settings_page(), encoding="utf-8")
    (FOLDER / "api.rst").write_text(api_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
