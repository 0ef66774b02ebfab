"""Stored messages and errors speak to callers in Python and on the command line alike."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import xrdcomp
from xrdcomp.data import MESSAGE_KINDS
from xrdcomp.io.registry import all_readers

PACKAGE = Path(xrdcomp.__file__).parent
COMMAND = ("cli", "app", "qc", "present/report.py", "present/pdf.py", "present/files.py", "present/tables.py")
"""Parts that write command lines, or are reached through them."""
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def test_options_are_named_only_where_python_is_too() -> None:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith(COMMAND):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        in_two_languages = {
            id(part)
            for node in ast.walk(tree)
            if (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "either")
            for part in ast.walk(node)
        }
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
            and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        found += [
            f"{name}: {node.value.strip()[:60]}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and OPTION.search(node.value)
            and id(node) not in in_two_languages | docs and "in Python: " not in node.value
        ]  # fmt: skip
    assert found == ["io/columns.py: --column"]  # goes into a sentence in two languages


def test_kinds_of_messages_name_no_options() -> None:
    all_readers()
    for kind in MESSAGE_KINDS.values():
        assert not OPTION.search(" ".join((kind.meaning, kind.remedy, kind.threshold))), kind.code
