"""Damaged structure files give a phase or a PhaseError, nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xrdcomp.errors import PhaseError
from xrdcomp.phases.library import load_phase, reference_folder

SOURCES = tuple(
    (reference_folder() / name / "structure.cif").read_text(encoding="utf-8")
    for name in ("hydroxyapatite", "brushite", "vaterite", "cppd_triclinic")
)
PIECES = st.sampled_from(["", "?", ".", "nan", "-1", "1e400", "loop_", "data_x", "'", ";\n", "\x00", "x,y", "é"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    source=st.sampled_from(SOURCES),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), min_size=1, max_size=4),
)
def test_damaged_cif(source: str, edits: list[tuple[float, int, str]]) -> None:
    text = source
    for place, length, piece in edits:
        start = int(place * len(text))
        text = text[:start] + piece + text[start + length :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.cif"
        path.write_text(text, encoding="utf-8")
        refusal = ""
        try:
            phase = load_phase(path)
        except PhaseError as error:
            refusal = str(error)
    if refusal:
        assert "damaged.cif" in refusal
        return
    assert len(phase.site_element) == len(phase.site_xyz) > 0
    assert np.isfinite(phase.site_xyz).all()
    assert np.isfinite(phase.site_b_iso).all()
    assert ((phase.site_occupancy > 0) & (phase.site_occupancy <= 1)).all()
