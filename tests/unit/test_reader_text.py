"""Columns of text: separators, decimal signs, headers, and what is ambiguous."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.xrd_writers import example, text_rows
from xrdcomp.data import Pattern
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_xrd, read_xrd_scans

SCAN = example(201)


def read(tmp_path: Path, text: str | bytes, name: str = "a.txt") -> Pattern:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_xrd(path)


def refused(tmp_path: Path, text: str) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read(tmp_path, text)
    return caught.value


def is_scan(pattern: Pattern) -> None:
    np.testing.assert_allclose(pattern.two_theta, SCAN.two_theta, atol=6e-5)
    np.testing.assert_array_equal(pattern.intensity, SCAN.counts)


@pytest.mark.parametrize("separator", [" ", "\t", "   ", ";", " ; ", ",", ", ", "\t,"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_separators_and_decimal_signs(tmp_path: Path, separator: str, decimal: str) -> None:
    if "," in separator and decimal == ",":
        error = refused(tmp_path, text_rows(SCAN, separator, decimal))
        assert "decimal signs or separators" in error.reason or "column" in error.reason
    else:
        is_scan(read(tmp_path, text_rows(SCAN, separator, decimal)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "cp932"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    header = "Prüfung °2θ" if encoding in {"utf-8", "utf-8-sig", "utf-16", "utf-16-le"} else "2theta counts"
    header = "Messung 2° counts" if encoding == "cp1252" else "測定 2θ 強度" if encoding == "cp932" else header
    is_scan(read(tmp_path, f"# {header}\n{text_rows(SCAN)}".encode(encoding)))


@pytest.mark.parametrize("mark", ["#", ";", "!", "%", "'", '"', "//", "*", ""])
def test_comment_lines_before_and_after(tmp_path: Path, mark: str) -> None:
    is_scan(read(tmp_path, f"{mark} made by a program, version 3\n\n{text_rows(SCAN)}\n\n{mark or '#'} end of data\n"))


def columns(names: str, *arrays: np.ndarray, separator: str = ",") -> str:
    rows = [separator.join(f"{v:.10g}" for v in row) for row in zip(*arrays, strict=True)]
    return "\n".join([names, *rows]) + "\n"


X, Y = SCAN.two_theta, SCAN.counts.astype(float)


def test_header_names_decide_which_column_is_which(tmp_path: Path) -> None:
    error, d = 2 * np.sqrt(Y), 1.5406 / 2 / np.sin(np.radians(X / 2))
    pattern = read(tmp_path, columns("esd,d_spacing,Intensity (counts),2Theta (deg)", error, d, Y, X))
    is_scan(pattern)
    np.testing.assert_allclose(pattern.sigma, error, rtol=1e-9)
    pattern = read(tmp_path, columns("2θ,yobs,ycalc,background,diff", X, Y, Y + 1, Y * 0 + 5, Y * 0 - 1))
    is_scan(pattern)


def test_several_intensity_columns_are_scans_to_choose_from(tmp_path: Path) -> None:
    text = columns("2theta,counts A,counts B", X, Y, 2 * Y)
    with pytest.raises(ReadError, match="2 powder scans"):
        read(tmp_path, text)
    one, two = read_xrd_scans(tmp_path / "a.txt")
    np.testing.assert_array_equal(two.intensity, 2 * one.intensity)
    assert read_xrd(tmp_path / "a.txt", scan=1).metadata["intensity_column"] == "counts B"
    with pytest.raises(ReadError, match="no scan 2"):
        read_xrd(tmp_path / "a.txt", scan=2)


def test_a_third_column_without_name_is_a_deviation_only_if_it_behaves_like_one(tmp_path: Path) -> None:
    head = columns("", X, Y, np.sqrt(Y), separator=" ").lstrip()
    assert read(tmp_path, head).sigma[3] == pytest.approx(np.sqrt(Y[3]), rel=1e-6)
    smooth = read(tmp_path, columns("", X, Y, Y * 1.01, separator=" ").lstrip())
    assert "XRD_THIRD_COLUMN" in {note.code for note in smooth.messages}
    np.testing.assert_array_equal(smooth.sigma, np.sqrt(np.maximum(Y, 1)))


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ("q,intensity", "'q'"),
        ("d,intensity", "'d'"),
        ("theta,intensity", "'theta'"),
        ("time,intensity", "'time'"),
        ("chi,intensity", "'chi'"),
        ("energy,counts", "'energy'"),
        ("temperature,mass", "thermogravimetric"),
        ("temp (C),weight (%)", "thermogravimetric"),
    ],
)
def test_other_axes_are_refused_by_name(tmp_path: Path, names: str, word: str) -> None:
    assert word in refused(tmp_path, columns(names, X, Y)).reason


def test_temperature_as_a_name_is_accepted_only_for_what_must_be_a_pattern(tmp_path: Path) -> None:
    pattern = read(tmp_path, columns("temperature,signal", X, Y))
    assert "XRD_AXIS_NAME" in {note.code for note in pattern.messages}
    assert "'temperature'" in refused(tmp_path, columns("temperature,signal", X * 9, Y)).reason
    assert "'temperature'" in refused(tmp_path, columns("temperature,signal", X, Y / 7)).reason


def test_header_facts(tmp_path: Path) -> None:
    header = 'Id: "B12" Anode: "Co" Wavelength: "1.78897" Scantype: "Locked Coupled" TimePerStep: "2.5"\n'
    pattern = read(tmp_path, header + text_rows(SCAN))
    assert pattern.anode == "Co"
    assert [line.wavelength for line in pattern.emission_lines] == [1.78897]
    assert pattern.metadata["sample_name"] == "B12"
    nanometre = read(tmp_path, "# lambda = 0.15406 nm\n" + text_rows(SCAN))
    assert nanometre.emission_lines[0].wavelength == pytest.approx(1.5406)


EXPORTS = {
    "PANalytical": "[Measurement conditions]\nAnode material,Cu\nK-Alpha1 wavelength,1.5406\nScan axis,Gonio\n"
    "Start angle,20\n[Scan points]\nAngle,Intensity\n",
    "Bruker": ";RAW4.00\n[Measurement]\nAnode=Cu\nAlpha1=1.5406\nScanType=Locked Coupled\n[Data]\nAngle,       PSD,\n",
    "Shimadzu": "<Group>=1\nAnode=Cu\nlambda=1.5406\n[Data]\n<2Theta>  < I >\n",
    "Rigaku": "#Anode=Cu\n#Wavelength=1.5406\n#Intensity_unit=counts\n2-Theta,Intensity\n",
}


@pytest.mark.parametrize("vendor", EXPORTS)
def test_text_exports_of_the_vendors(vendor: str, tmp_path: Path) -> None:
    separator = "  " if vendor == "Shimadzu" else ", "
    rows = text_rows(SCAN, separator)
    pattern = read(tmp_path, EXPORTS[vendor] + (rows.replace("\n", ",\n") if vendor == "Bruker" else rows))
    is_scan(pattern)
    assert pattern.anode == "Cu"
    assert [line.wavelength for line in pattern.emission_lines] == [1.5406]


@pytest.mark.parametrize("scan_type", ["Rocking curve", "Phi", "Chi scan", "Gamma (Gamma)", "Omega"])
def test_scan_types_that_are_no_powder_scans(tmp_path: Path, scan_type: str) -> None:
    for header in (f'# Scantype: "{scan_type}"', f"Scan axis,{scan_type}"):
        assert scan_type in refused(tmp_path, f"{header}\n{text_rows(SCAN)}").reason


def test_damage_is_named_with_its_line(tmp_path: Path) -> None:
    rows = text_rows(SCAN).split("\n")
    for bad, word in (
        ("20.2000 1x3", "follows"),
        ("20.2000", "column"),
        ("20.2000 1 2", "column"),
        ("20.2 nan", "follows"),
        ("20.2 1_0", "follows"),
    ):
        broken = [*rows[:10], bad, *rows[11:]]
        error = refused(tmp_path, "\n".join(broken))
        assert word in error.reason
        assert "11" in error.place
    assert "does not increase" in refused(tmp_path, "\n".join([*rows[:10], rows[9], *rows[10:]])).reason
    assert "empty cell" in refused(tmp_path, text_rows(SCAN, ";").replace("20.2000;", "20.2000;;")).reason


def test_two_tables_are_two_scans_to_choose_from(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("2theta counts\n" + text_rows(SCAN) + "2theta counts\n" + text_rows(SCAN))
    with pytest.raises(ReadError, match="holds 2 powder scans"):
        read_xrd(path)
    first, second = read_xrd_scans(path)
    is_scan(first)
    is_scan(second)
    is_scan(read_xrd(path, scan=1))


def test_a_damaged_row_begins_no_second_table(tmp_path: Path) -> None:
    rows = text_rows(SCAN).split("\n")
    rows[100] = "x" + rows[100]
    error = refused(tmp_path, "\n".join(rows))
    assert (error.place, "follows the block" in error.reason) == ("line 101", True)


def test_numbers_of_a_header_are_told_apart_from_rows(tmp_path: Path) -> None:
    pattern = read(tmp_path, "HA\n1.5406 1.5444 0.5\n20.0 24.0 0.02\n" + text_rows(SCAN))
    is_scan(pattern)
    assert [note.code for note in pattern.messages if note.severity == "warning"] == ["XRD_HEADER_NUMBERS"] * 2


def test_a_lost_line_end_between_header_and_rows_is_seen(tmp_path: Path) -> None:
    error = refused(tmp_path, "# 2theta counts " + text_rows(SCAN))
    assert "looks like a row of it" in error.reason


def test_a_damaged_first_row_is_no_header(tmp_path: Path) -> None:
    rows = text_rows(SCAN).split("\n")
    for bad in (f"x{rows[0][1:]}", rows[0].replace(" ", " L", 1)):
        assert "looks like a row" in refused(tmp_path, "\n".join(["# header", bad, *rows[1:]])).reason
    for header in ("2024-01-05 10:33:12", "12/05/2024 10:33", "CuKa1 1.5406", "sample 12"):
        is_scan(read(tmp_path, f"{header}\n{text_rows(SCAN)}"))


def test_missing_rows_and_wild_values_are_noted(tmp_path: Path) -> None:
    rows = text_rows(SCAN).split("\n")
    missing = read(tmp_path, "\n".join(rows[:50] + rows[55:]))
    assert "XRD_UNEVEN_STEP" in {note.code for note in missing.messages}
    wild = read(tmp_path, "\n".join([*rows[:9], rows[9][:8] + "91234", *rows[10:]]))
    assert "XRD_SPIKE" in {note.code for note in wild.messages}


def test_four_columns_without_names_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, columns("", X, Y, Y, Y, separator=" ").lstrip())
    assert "4 columns without names" in error.reason


@pytest.mark.parametrize("bad", range(12))
@pytest.mark.parametrize("n", [5, 6, 7, 12])
def test_a_bad_figure_in_a_short_scan_is_named_with_its_line(n: int, bad: int, tmp_path: Path) -> None:
    bad %= n
    rows = [f"{10 + i / 10:.1f} {5 + i}" for i in range(n)]
    rows[bad] = rows[bad].replace(" ", " x")
    error = refused(tmp_path, "\n".join(rows))
    assert error.place == f"line {bad + 1}"
    assert rows[bad] in error.reason


def test_a_last_row_without_a_value_is_no_footer(tmp_path: Path) -> None:
    assert refused(tmp_path, f"{text_rows(SCAN).rstrip()}\nnan nan\n").place == f"line {len(SCAN.counts) + 1}"


def test_numbers_among_prose_are_no_scan(tmp_path: Path) -> None:
    text = "Dear all,\n1 2\nthis is\na letter\nwith\n3 4\nand\n5 6\nin it\n"
    assert "no reader recognises" in refused(tmp_path, text).reason


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (["10.00,abc", *(["x,y"] * 5)], 2),
        ([f"{10 + 0.02 * i:.2f},n/a" for i in range(50)], 2),
        ([f"a{10 + 0.02 * i:.2f},3OO" for i in range(50)], 2),
        (["10.00,300", "10.02,bad"], 3),
        ([f"{10 + 0.02 * i:.2f}°;{300 + i}°" for i in range(50)], 2),
    ],
)
def test_rows_that_are_no_numbers_are_named(rows: list[str], line: int, tmp_path: Path) -> None:
    """Of a table without one block of numbers the first such row is named, with what was expected there."""
    refusal = refused(tmp_path, "\n".join(["2theta,counts" if "," in rows[0] else "2theta;counts", *rows]))
    assert refusal.place == f"line {line}"
    assert rows[line - 2] in refusal.reason
    assert refusal.expected.startswith("numbers in every row")
