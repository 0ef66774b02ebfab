"""The README is true: every line of its Python runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from xrdcomp.results import Composition, SampleResult
from xrdcomp.simulate.cohort import load_cohort

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    entry = load_cohort()[0]
    shutil.copy(entry.xrd, tmp_path / "scan.xrdml")
    shutil.copy(entry.tga, tmp_path / "run.csv")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert isinstance(names["result"], SampleResult)
    assert isinstance(names["composition"], Composition)
    assert (tmp_path / "results" / "scan" / "result.json").is_file()
