"""Whole commands on real measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import xrdcomp

pytestmark = pytest.mark.fixtures


def test_fluorapatite_from_the_shell(real_files: Path, tmp_path: Path) -> None:
    source = real_files / "xrd" / "gsas" / "FAP.XRA"
    done = xrdcomp(
        *("analyze", str(source), "--phases", "fluorapatite", "--wavelength", "1.5405,1.5443"),
        *("--range", "15,129.98", "--out", "out", "--format", "json", "--quiet"),
        folder=tmp_path,
    )
    assert done.code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["xrd"]["rwp"] <= 0.094, "best of three programs with atoms held: 0.0878"
    (apatite,) = [phase for phase in result["phases"] if phase["id"] == "fluorapatite"]
    assert apatite["decision"] == "detected"
    because = "half a milli-angstrom around GSAS's converged refinement of the same file"
    assert apatite["cell"]["a"]["value"] == pytest.approx(9.3717, abs=5e-4), because
    assert apatite["cell"]["c"]["value"] == pytest.approx(6.8859, abs=5e-4), because
    assert result["xrd"]["wavelengths"] == [1.5405, 1.5443]
    assert (tmp_path / "out" / "FAP" / "figures" / "fit.svg").is_file()


def test_portlandite_and_a_ta_export_from_the_shell(real_files: Path, tmp_path: Path) -> None:
    files = {"netzsch_text/Ca(OH)2_roh.csv": (0.21, 0.245), "ta_trios/CLSOx10_2.txt": (0.85, 1.0)}
    for name, (low, high) in files.items():
        done = xrdcomp("tga", str(real_files / "tga" / name), "--format", "json", "--quiet", folder=tmp_path)
        assert done.code == 0, done.stderr
        steps = json.loads(done.stdout)["tga"]["steps"]
        largest = max(step["mass_loss"]["value"] for step in steps)
        assert low <= largest <= high, "portlandite's water is 24.3 % by stoichiometry, less what is carbonated"


def test_a_mangled_export_is_refused(real_files: Path, tmp_path: Path) -> None:
    source = real_files / "tga" / "setaram" / "sample_tga_data.csv"
    done = xrdcomp("tga", str(source), "--out", "out", folder=tmp_path)
    assert done.code == 2, done.stdout
    assert "sample_tga_data.csv" in done.stderr
    assert not (tmp_path / "out").exists()
