"""Simulated exports: what is in the files, and that the readers get back what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.simulate.cohort import TGA_FORMATS, XRD_FORMATS, simulate_specimen, write_pattern, write_tga
from xrdcomp.simulate.specimens import SimulatedSpecimen, TgaConditions, XrdConditions, tissue

SUFFIX = {"gsas": "gsa", "netzsch": "txt", "ta": "txt"}


@pytest.fixture(scope="module")
def bone() -> SimulatedSpecimen:
    conditions = TgaConditions(points=400, atmosphere="nitrogen", heating_rate_k_min=20.0)
    return simulate_specimen(tissue("bone"), xrd=XrdConditions(step=0.025), tga=conditions, seed=2)


@pytest.mark.parametrize("export_format", list(XRD_FORMATS))
def test_pattern_is_read_back(bone: SimulatedSpecimen, tmp_path: Path, export_format: str) -> None:
    path = tmp_path / f"bone.{SUFFIX.get(export_format, export_format)}"
    write_pattern(path, bone.pattern, export_format)
    assert b"SIMULATED by xrdcomp" in path.read_bytes()
    read = read_xrd(path)
    assert_close(read.two_theta, bone.pattern.two_theta, atol=5e-5, because="four decimals in the file")
    assert_close(read.intensity, bone.pattern.intensity, atol=0.0, because="whole counts")
    assert read.intensity_unit == "counts"
    assert not read.messages, "an export that makes its reader suspicious is not like the instrument's"
    if export_format in ("xrdml", "ras"):
        assert len(read.emission_lines) == 2
        assert_close(
            [line.wavelength for line in read.emission_lines], [1.540598, 1.544426], atol=1e-6, because="six decimals"
        )


@pytest.mark.parametrize("export_format", list(TGA_FORMATS))
def test_run_is_read_back(bone: SimulatedSpecimen, tmp_path: Path, export_format: str) -> None:
    path = tmp_path / f"bone_tga.{SUFFIX.get(export_format, export_format)}"
    write_tga(path, bone.tga, export_format)
    encoding = "utf-16" if export_format == "ta" else "cp1252"
    assert "SIMULATED by xrdcomp" in path.read_bytes().decode(encoding)
    read = read_tga(path)
    assert_close(read.temperature_c, bone.tga.temperature_c, atol=6e-4, because="three decimals or more")
    mass = read.mass * (bone.tga.initial_mass_mg or 0.0) / 100.0 if read.mass_unit == "percent" else read.mass
    assert_close(mass, bone.tga.mass, atol=6e-5, because="four decimals or more, mg")
    assert read.time_s is not None
    assert bone.tga.time_s is not None
    assert_close(read.time_s, bone.tga.time_s, atol=4e-3, because="four decimals or more, minutes")
    assert read.atmosphere == "nitrogen"
    assert read.heating_rate_k_min == 20.0
    assert not read.messages, "an export that makes its reader suspicious is not like the instrument's"
    assert_close(read.initial_mass_mg or 0.0, 12.0, atol=1e-9, because="four decimals")


def test_kalpha1_instrument_states_one_line(tmp_path: Path) -> None:
    simulated = simulate_specimen(tissue("bone"), xrd=XrdConditions(kalpha2_ratio=0.0), seed=1)
    path = tmp_path / "a.xrdml"
    write_pattern(path, simulated.pattern, "xrdml")
    assert len(read_xrd(path).emission_lines) == 1


def test_xrdml_escapes_the_name_of_a_specimen(bone: SimulatedSpecimen, tmp_path: Path) -> None:
    name = "bone & dentine, <2 µm> (simulated)"
    pattern = replace(bone.pattern, metadata={**bone.pattern.metadata, "sample_name": name})
    write_pattern(tmp_path / "a.xrdml", pattern, "xrdml")
    read = read_xrd(tmp_path / "a.xrdml")
    assert read.metadata["sample_name"] == name
    assert_close(read.intensity, bone.pattern.intensity, atol=0.0, because="whole counts")


def test_gsas_records_have_80_columns(bone: SimulatedSpecimen, tmp_path: Path) -> None:
    path = tmp_path / "a.gsa"
    write_pattern(path, bone.pattern, "gsas")
    lines = path.read_text().split("\n")[:-1]
    assert {len(line) for line in lines} == {80}
    n = len(bone.pattern)
    assert lines[1].split()[:8] == ["BANK", "1", str(n), str(-(-n // 10)), "CONST", "500", "2.5", "0"]


def test_what_no_instrument_would_write_is_refused(bone: SimulatedSpecimen, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="not exported"):
        write_pattern(tmp_path / "a", bone.pattern, "raw")
    with pytest.raises(AnalysisError, match="not exported"):
        write_tga(tmp_path / "a", bone.tga, "raw")
    rates = Pattern(
        two_theta=bone.pattern.two_theta,
        intensity=bone.pattern.intensity / 3.0,
        sigma=np.ones(len(bone.pattern)),
        intensity_unit="cps",
    )
    with pytest.raises(AnalysisError, match="whole counts"):
        write_pattern(tmp_path / "a", rates, "xy")
    with pytest.raises(AnalysisError, match="in mg"):
        write_tga(tmp_path / "a", replace(bone.tga, time_s=None), "csv")
    assert not (tmp_path / "a").exists()
