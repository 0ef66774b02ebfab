"""The page on readers: its example runs, and it names every format and every message there is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from xrdcomp.io import registry as registry_module
from xrdcomp.io.front import list_formats, read_xrd
from xrdcomp.io.registry import XrdReader

ROOT = Path(__file__).resolve().parents[2]
PAGE, RUNS, OWN = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("readers", "readers-tga", "howto/own-reader")
)


def test_the_reader_in_thirty_lines_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(# lab_format\.py.*?)```", OWN, re.DOTALL)
    assert code.count("\n") <= 35
    names: dict[str, object] = {}
    exec(compile(code, "lab_format.py", "exec"), names)
    reader = names["READER"]
    assert isinstance(reader, XrdReader)
    monkeypatch.setattr(registry_module, "_of_other_packages", lambda: (reader,))
    counts = np.random.default_rng(1).poisson(80, 300)
    path = tmp_path / "a.lab"
    path.write_text("LABFORMAT 20.0 0.02\n" + "\n".join(map(str, counts)) + "\n")
    pattern = read_xrd(path)
    np.testing.assert_array_equal(pattern.intensity, counts)
    assert pattern.two_theta[-1] == pytest.approx(20 + 299 * 0.02)


def test_every_format_is_on_the_pages() -> None:
    assert not {str(row["id"]) for row in list_formats() if f"`{row['id']}`" not in PAGE + RUNS}
