"""The table of the real files in the documentation is that of the readers as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.fixtures import PAGE, page

pytest.importorskip("openpyxl")


def test_the_table_is_current_and_lists_every_measurement(real_files: Path) -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert page(real_files) == written, "python -m tools.fixtures"
    listed = len(re.findall(r"^\| (?:xrd|tga|standards)/", written, re.MULTILINE))
    present = [
        path for part in ("xrd", "tga", "standards") for path in (real_files / part).rglob("*") if path.is_file()
    ]
    assert listed == len(present) - 1  # rir.csv is a table of constants
