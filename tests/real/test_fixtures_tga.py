"""Every real thermogravimetric file: read with the figures of its own text, or refused for the right reason."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.data import TgaRun
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.front import inspect_file, read_tga

pytestmark = pytest.mark.fixtures

needs_pyngb = pytest.mark.skipif(importlib.util.find_spec("pyngb") is None, reason="pyngb (extra ngb) is not installed")
PRINTED = "six digits of what the file prints"


class Run(NamedTuple):
    """What a file holds: figures looked up in its text, not computed by the reader."""

    path: str
    format: str
    n: int
    range_c: tuple[float, float]
    duration_s: float
    first_mass: float
    last_mass: float
    unit: str
    initial_mg: float | None
    atmosphere: str
    rate: float | None
    segments: int
    said: tuple[str, ...] = ()


RUNS = (
    Run("csv/Aalto_Wood_TGA_N2_10K_R1.csv", "tga_csv", 1520, (40.05, 797.75), 4556.3538, 7.427, 1.052, "mg",
        None, "unknown", None, 1),
    Run("csv/CERIB_Wood_STA_N2_10K_R1.csv", "tga_csv", 1730, (34.85, 899.35), 5068.7, 9.2461, 1.2893, "mg",
        None, "unknown", None, 1, ("TGA_ROWS_DROPPED",)),
    Run("csv/GIDAZE+_TGA_N2_10K_1.csv", "tga_csv", 125, (24.8, 644.8), 3690, 2.015, 0.106999926, "mg",
        None, "unknown", None, 1),
    Run("csv/TUBS_Wood_TGA_N2_10K_R1.csv", "tga_csv", 2283, (31.159, 799.65), 6116, 1.03978, 0.1756, "mg",
        None, "unknown", None, 1),
    Run("mettler_stare/Al_0.083_K_per_min.txt", "mettler_stare", 1080, (616.338, 710.596), 1079, 8.79633,
        8.78011, "mg", None, "argon", None, 1),
    Run("mettler_stare/In_0.083_k_per_s.txt", "mettler_stare", 780, (157.56, 204.871), 779, 13.2544, 13.2477,
        "mg", None, "argon", None, 1),
    Run("mettler_stare/MettlerToledo_example_file.txt", "mettler_stare", 12661, (45.647, 805.985), 12660,
        4.92915, 0.0286858, "mg", 4.9292, "unknown", None, 1),
    Run("mettler_stare/mettlerToledoWeight.txt", "mettler_stare", 2251, (36.622, 658.132), 2250, 12.8009,
        2.304, "mg", 12.802, "unknown", None, 1),
    Run("netzsch_text/80CASH01_20CH.csv", "netzsch_text", 9249, (21.031, 947.94098), 5548.8, 100, 78.04938,
        "percent", 24.3, "unknown", 10.0, 1),
    Run("netzsch_text/Ca(OH)2_roh.csv", "netzsch_text", 9251, (23.864, 948.08398), 5550, 100, 74.80508,
        "percent", 23.6, "unknown", 10.0, 1),
    Run("netzsch_text/DIG10_1.txt", "netzsch_text", 17451, (33.355, 899.823), 6150, 100, 31.65414, "percent",
        None, "unknown", None, 3, ("TGA_NO_INITIAL_MASS",)),
    Run("netzsch_text/netzsch2_example_file.txt", "netzsch_text", 270, (27.251, 699.751), 8039.3658, 99.99434,
        25.54136, "percent", 13.1, "unknown", 5.0, 1),
    Run("netzsch_text/netzsch_example_file.txt", "netzsch_text", 270, (27.141, 699.641), 8037.0984, 99.98948,
        19.39108, "percent", 8.91, "unknown", 5.0, 1),
    Run("perkinelmer/Methane_Pyrolysis.txt", "perkinelmer_pyris", 16077, (29.62, 600.28), 16076, 5.866467,
        11.55193, "mg", 5.881, "unknown", 10.0, 9, ("TGA_ATMOSPHERE_CHANGES",)),
    Run("perkinelmer/PerkinElmer_example_file.txt", "perkinelmer_pyris", 12098, (49.74, 1000.32), 12097.94,
        7.021777, 2.057777, "mg", 7.026, "nitrogen", None, 10, ("TGA_ATMOSPHERE_CHANGES",)),
    Run("perkinelmer/burnoff_example.txt", "perkinelmer_pyris", 4737, (29.69, 800.02), 4736, 8.825479,
        8.449349, "mg", 8.831, "oxygen", 10.0, 3, ("TGA_ATMOSPHERE_CHANGES",)),
    Run("perkinelmer/perkinElmer_tga4000.txt", "perkinelmer_pyris", 1155, (47.24, 696.23), 1154, 12.409264,
        7.604116, "mg", 12.492, "nitrogen", 40.0, 3),
    Run("ta_trios/CLSOx10_2.txt", "ta_trios", 15850, (35.26, 950.01), 7924.5, 5.891, -0.0056, "mg", 6.0847,
        "unknown", 10.0, 4),
    Run("ta_trios/MIS_1.txt", "ta_trios", 21868, (25.76, 949.21), 10933.5, 5.8273, -0.0302, "mg", 5.8105,
        "unknown", 10.0, 6, ("TGA_ROWS_DROPPED",)),
    Run("ta_trios/SDa_1.txt", "ta_trios", 27676, (21.21, 950.03), 13837.5, 18.3371, -0.0812, "mg", 18.3334,
        "unknown", None, 14, ("TGA_ROWS_DROPPED",)),
    Run("ta_trios/TA_instrument_excel.xls", "tga_excel", 21912, (29.08, 550.05), 21910.8, 7.5895, 0.5645,
        "mg", 7.567, "argon", 2.0, 5),
    Run("ta_universal/TAInstruments.txt", "ta_universal", 15577, (22.70189, 121.1074), 7787.708, 20.8216,
        19.18695, "mg", 20.821, "nitrogen", 10.0, 2),
    Run("ta_universal/TAInstruments_example_file.txt", "ta_universal", 15577, (22.70189, 121.1074), 7787.708,
        20.8216, 19.18695, "mg", 20.821, "nitrogen", 10.0, 2),
)  # fmt: skip
_RAW = ("TGA_MASS_IS_CHANGE", "TGA_NOT_CORRECTED")
BINARY = (
    Run("netzsch_ngb/01_Messung_Probe_G_300_Grad_Ar.ngb-ds3", "netzsch_ngb", 5801, (34.854, 304.049), 4380.05,
        10.848, 7.988, "mg", 10.848, "argon", 10.0, 5, _RAW),
    Run("netzsch_ngb/02_Messung_Probe_E_300_Grad_Ar.ngb-ds3", "netzsch_ngb", 5801, (34.077, 303.983), 4380.05,
        13.856, 8.359, "mg", 13.856, "argon", 10.0, 5, (*_RAW, "TGA_NEGATIVE_MASS", "TGA_SPIKE")),
    Run("netzsch_ngb/BM_80CASH01_20CH.ngb-ds3", "netzsch_ngb", 9249, (21.031, 947.941), 5548.8, 24.3, 19.202,
        "mg", 24.3, "nitrogen", 10.0, 1, _RAW),
    Run("netzsch_ngb/Douglas_Fir_STA_10K_250730_R13.ngb-ss3", "netzsch_ngb", 9190, (25.489, 815.306), 8391,
        4.026, 0.966, "mg", 4.026, "nitrogen", 10.0, 3, _RAW),
    Run("netzsch_ngb/Portlandit_roh.ngb-ds3", "netzsch_ngb", 9251, (23.864, 948.084), 5550, 23.6, 17.89, "mg",
        23.6, "nitrogen", 10.0, 1, _RAW),
    Run("netzsch_ngb/Red_Oak_STA_10K_250731_R7.ngb-ss3", "netzsch_ngb", 9171, (27.023, 815.347), 8381.95,
        4.044, 0.958, "mg", 4.044, "nitrogen", 10.0, 3, _RAW),
)  # fmt: skip
REFUSED = {
    "csv/2.Beechwood-10.xlsx": ("tga_excel", "row 1", "no header", "temperature_unit"),
    "csv/eucalyptus_bark.csv": ("tga_csv", "", "degree of conversion", "export the mass"),
    "setaram/sample_dsc_setaram.csv": ("setaram", "line 2", "50.026.184", "without opening it in a spreadsheet"),
    "setaram/sample_tga_data.csv": ("setaram", "line 2", "50.026.184", "without opening it in a spreadsheet"),
    "ta_universal/sample_dsc_tainstruments.txt": ("ta_universal", "", "heat flow", "TG signal"),
}


def short(path: str) -> str:
    return Path(path).name


def check(run: TgaRun, expected: Run) -> None:
    assert run.source is not None
    assert run.source.format == expected.format
    assert len(run) == expected.n
    assert_close([run.temperature_c.min(), run.temperature_c.max()], expected.range_c, because=PRINTED, atol=6e-4)
    assert run.time_s is not None
    assert_close(run.time_s[-1] - run.time_s[0], expected.duration_s, because=PRINTED, rtol=1e-6)
    assert_close(run.mass[[0, -1]], [expected.first_mass, expected.last_mass], because=PRINTED, rtol=1e-6)
    assert run.mass_unit == expected.unit == run.metadata["mass_unit_in_file"]
    if expected.initial_mg is None:
        assert run.initial_mass_mg is None
    else:
        assert_close(run.initial_mass_mg or 0.0, expected.initial_mg, because="digits of the header", rtol=2e-5)
    assert run.atmosphere == expected.atmosphere
    assert run.heating_rate_k_min == expected.rate
    assert run.segment is not None
    assert list(np.unique(run.segment)) == list(range(expected.segments))
    assert sorted(d.code for d in run.messages) == sorted(expected.said)


@pytest.mark.parametrize("expected", RUNS, ids=lambda run: short(run.path))
def test_text_and_workbooks(real_files: Path, expected: Run) -> None:
    check(read_tga(real_files / "tga" / expected.path), expected)


@needs_pyngb
@pytest.mark.parametrize("expected", BINARY, ids=lambda run: short(run.path))
def test_binary(real_files: Path, expected: Run) -> None:
    check(read_tga(real_files / "tga" / expected.path), expected)


@pytest.mark.skipif(importlib.util.find_spec("pyngb") is not None, reason="pyngb is installed")
@pytest.mark.parametrize("expected", BINARY, ids=lambda run: short(run.path))
def test_binary_without_its_package_says_what_to_install(real_files: Path, expected: Run) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install xrdcomp\[ngb\]"):
        read_tga(real_files / "tga" / expected.path)


@pytest.mark.parametrize("path", REFUSED, ids=short)
def test_refused_for_the_right_reason(real_files: Path, path: str) -> None:
    format_id, place, reason, hint = REFUSED[path]
    with pytest.raises(ReadError) as caught:
        read_tga(real_files / "tga" / path)
    assert caught.value.file.endswith(short(path))
    assert caught.value.format_id == format_id
    assert place in caught.value.place
    assert reason in caught.value.reason
    assert hint in caught.value.hint


def test_no_file_of_the_folder_is_left_out(real_files: Path) -> None:
    folder = real_files / "tga"
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert held == {run.path for run in (*RUNS, *BINARY)} | set(REFUSED)


def test_two_copies_of_one_ta_run_agree(real_files: Path) -> None:
    a, b = (
        read_tga(real_files / "tga" / "ta_universal" / name)
        for name in ("TAInstruments.txt", "TAInstruments_example_file.txt")
    )
    for name in ("temperature_c", "mass", "time_s", "segment"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@needs_pyngb
@pytest.mark.parametrize(
    ("binary", "text"),
    [("Portlandit_roh.ngb-ds3", "Ca(OH)2_roh.csv"), ("BM_80CASH01_20CH.ngb-ds3", "80CASH01_20CH.csv")],
)
def test_binary_and_text_of_one_run_agree(real_files: Path, binary: str, text: str) -> None:
    a = read_tga(real_files / "tga" / "netzsch_ngb" / binary)
    b = read_tga(real_files / "tga" / "netzsch_text" / text)
    assert a.time_s is not None
    assert b.time_s is not None
    assert_close(a.temperature_c, b.temperature_c, because="text prints five decimals of a float32", atol=2e-5)
    assert_close(a.time_s, b.time_s, because="text prints time to 1e-5 min", atol=6e-4)
    share = 100.0 * a.mass / a.mass[0]
    assert_close(share, b.mass, because="the correction run is up to 1.2 % of the sample", atol=1.3)


def test_portlandite_loses_its_water_in_one_step(real_files: Path) -> None:
    run = read_tga(real_files / "tga" / "netzsch_text" / "Ca(OH)2_roh.csv")
    before, after = (float(run.mass[np.argmax(run.temperature_c > t)]) for t in (330.0, 520.0))
    assert_close(before - after, 24.32, because="H2O of Ca(OH)2 by stoichiometry less 2 % carbonated", atol=1.5)


def test_workbook_without_header_is_read_when_told_its_units(real_files: Path) -> None:
    run = read_tga(real_files / "tga" / "csv" / "2.Beechwood-10.xlsx", temperature_unit="C", mass_unit="mg")
    assert len(run) == 14729
    assert_close([run.temperature_c[0], run.mass[0]], [25.60932, 5.633787], because=PRINTED, atol=1e-9)
    assert [d.code for d in run.messages if d.severity == "warning"] == ["TGA_COLUMNS_ASSUMED"]


def test_sample_temperature_is_used_where_there_is_a_choice(real_files: Path) -> None:
    pyris = read_tga(real_files / "tga" / "perkinelmer" / "perkinElmer_tga4000.txt")
    assert pyris.metadata["temperature_column"] == "Sample Temperature"
    stare = read_tga(real_files / "tga" / "mettler_stare" / "mettlerToledoWeight.txt")
    assert stare.metadata["temperature_column"] == "Ts (°C)"


def test_marks_of_the_instrument_are_no_points(real_files: Path) -> None:
    run = read_tga(real_files / "tga" / "ta_universal" / "TAInstruments.txt")
    assert (run.mass > 15).all()
    assert run.time_s is not None
    assert (np.diff(run.time_s) >= 0).all()


def segments_of(path: Path) -> list[dict[str, Any]]:
    found = inspect_file(path)
    assert found["kind"] == "tga"
    return cast("list[dict[str, Any]]", found["segments"])


def test_inspect_gives_one_record_per_segment(real_files: Path) -> None:
    (segment,) = segments_of(real_files / "tga" / "netzsch_text" / "Ca(OH)2_roh.csv")
    assert segment["n_points"] == 9251
    assert_close(segment["mass_start_mg"], 23.6, because="100.00000 % of 23.6 mg", atol=1e-9)
    assert segment["mass_unit_in_file"] == "percent"
    assert_close(segment["duration_s"], 5550.0, because=PRINTED, atol=1e-6)
    assert len(segments_of(real_files / "tga" / "ta_trios" / "SDa_1.txt")) == 14
    open_percent = segments_of(real_files / "tga" / "netzsch_text" / "DIG10_1.txt")
    assert [s["mass_start_mg"] for s in open_percent] == [None, None, None]
