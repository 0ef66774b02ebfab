"""Whole files in layouts of programs that laboratories use, beside those of the writers: read, or asked about."""

from __future__ import annotations

import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.xrd_writers import example, xrdml
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_xrd, read_xrd_scans

SCAN = example(301)
X, Y, N = SCAN.two_theta, SCAN.counts, SCAN.n
START, STEP, END = f"{SCAN.start:.2f}", f"{SCAN.step:.2f}", f"{SCAN.end:.2f}"


def rows(form: str = "{x:.4f} {y}", decimal: str = ".") -> list[str]:
    """Rows of angle x, counts y, their root s, index i."""
    cells = zip(X, Y, np.sqrt(np.maximum(Y, 1)), range(N), strict=True)
    return [form.format(x=x, y=y, s=s, i=i).replace(".", decimal) for x, y, s, i in cells]


def wrapped(per_row: int, form: str = "{:8d}") -> list[str]:
    return ["".join(form.format(y) for y in Y[i : i + per_row]) for i in range(0, N, per_row)]


UXD = [
    "; C:\\a.raw", "_FILEVERSION=2", "_SAMPLE='HA'", "_WL1=1.54060", "_WL2=1.54439", "_WLRATIO=0.5", "_ANODE='Cu'",
    "_DRIVE='COUPLED'", "_STEPTIME=2.0", f"_STEPSIZE={STEP}", f"_START={START}", f"_STEPCOUNT={N}",
]  # fmt: skip
XPERT = [
    "[Measurement conditions]", "Sample identification,apatite, heated", "Scan axis,Gonio", "Anode material,Cu",
    "K-Alpha1 wavelength,1.540598", "K-Alpha2 wavelength,1.544426", "Ratio K-Alpha2/K-Alpha1,0.5",
    f"Scan range,{START},{END}", f"Scan step size,{STEP}", f"No. of points,{N}", "", "[Scan points]",
]  # fmt: skip
JCAMP = [
    "##TITLE=HA", "##JCAMP-DX=4.24", "##DATA TYPE=X-RAY DIFFRACTION", "##XUNITS=DEGREES 2-THETA", "##YUNITS=COUNTS",
    f"##NPOINTS={N}", "##XFACTOR=1", "##YFACTOR=1",
]  # fmt: skip
RAS = ["*RAS_INT_START", *rows("{x:.4f} {y}.0000 1.0000"), "*RAS_INT_END", "*RAS_DATA_END"]
CU = (1.5406, 1.54439)
FILES: dict[str, tuple[list[str], str, tuple[float, ...]]] = {
    "uxd with times.uxd": ([*UXD, "_2THETACOUNTSTIME", *rows("{x:.4f} {y} 2.0")], "uxd", CU),
    "uxd counts with times.uxd": ([*UXD, "_COUNTSTIME", *rows("{y} 2.0")], "uxd", CU),
    "jade.mdi": (
        ["Zircon 05/12/03 15:17 DIF", f" {START} {STEP} 2.0 CU 1.540562 {END} {N}", *wrapped(8)], "jade_mdi",
        (1.540562,),
    ),
    "riet7.dat": (["one", "two", "three", f" {START} {STEP} {END}", *wrapped(8)], "fullprof_dat", ()),
    "xfit.xdd": (["/* made by */", f"{START} {STEP} {END}", *map(str, Y)], "fullprof_dat", ()),
    "rietan.int": (["GENERAL$", f"  {N}", *rows()], "xrd_text", ()),
    "fullprof xysigma.dat": (
        ["XYDATA", "INTER  1.0  1.0  2  0.0", "! 1", "! 2", "! 3", "! 4", *rows("{x:.4f} {y} {s:.3f}")], "xrd_text", (),
    ),
    "bruker.txt": (
        ["[HardwareConfiguration]", "Anode=Cu", "Alpha1=1.54060", "Alpha2=1.54439", "[ScanInformation]",
         f"Start={START}", "[Data]", "   Angle,    Det1Disc1,", *rows("{x:.4f},   {y},")], "xrd_text", CU,
    ),
    "xpert.csv": ([*XPERT, "Angle,TimePerStep,Intensity,ESD", *rows("{x:.4f},48.195,{y},{s:.4f}")], "xrd_text",
                  (1.540598, 1.544426)),
    "xpert older.csv": ([*XPERT, "Angle,Intensity", *rows("{x:.4f},{y}")], "xrd_text", (1.540598, 1.544426)),
    "highscore.csv": (
        ["Pos. [°2θ],Iobs [cts],Icalc [cts],Iback [cts]", *rows("{x:.4f},{y},{s:.2f},200")], "xrd_text", ()
    ),
    "gsas-ii.csv": (
        ['"Instparm: Type","PXC"', '"x","y_obs","weight","y_calc","y_bkg","Q"',
         *rows("{x:.5f},{y:.5f},{s:.5f},{s:.5f},200.1,{i}.5")], "xrd_text", (),
    ),
    "pandas.csv": ([",2theta,intensity", *rows("{i},{x:.4f},{y}")], "xrd_text", ()),
    "numbered.csv": (["No.,Pos. [°2Th.],Iobs [cts]", *rows("{i},{x:.4f},{y}")], "xrd_text", ()),
    "relative beside.csv": (["2theta,d,counts,I/Imax", *rows("{x:.4f},{s:.5f},{y},{s:.2f}")], "xrd_text", ()),
    "words.csv": (["diffraction angle 2θ;intensity", *rows("{x:.4f};{y}", ",")], "xrd_text", ()),
    "pdxl.csv": (
        ["2-theta (deg),Meas. data:HA (Counts),BG data,Calc. data", *rows("{x:.4f},{y},{s:.2f},{s:.2f}")], "xrd_text",
        (),
    ),
    "xpert german.csv": (
        ["[Measurement conditions]", "Anode material;Cu", "K-Alpha1 wavelength;1,54060", "[Scan points]",
         "Angle;Intensity", *rows("{x:.4f};{y}", ",")], "xrd_text", (1.5406,),
    ),
    "numbered wavelength.txt": (
        ["Wavelength 1 (Å): 1.5406", "", "Angle\tCounts", *rows("{x:.4f}\t{y}")], "xrd_text", (1.5406,)
    ),
    "dioptas.xy": (
        ["# wavelength: 4.133e-11", "# 2th_deg I", *rows("{x:.6f} {y}")], "xrd_text", (0.4133,)
    ),
    "smartlab.txt": (
        [";KAlpha1 = 1.540593", "#Intensity_unit=cps", "#Attenuator_coefficient=1.0000", *rows("{x:.4f}\t{y}\t1")],
        "xrd_text", (1.540593,),
    ),
    "maud.esg": (
        ["_pd_block_id noTitle|#0", "_diffrn_detector 'Point'", "_diffrn_radiation_wavelength 1.5406", "loop_",
         "_pd_meas_angle_2theta", "_pd_meas_intensity_total", *rows()], "pdcif", (1.5406,),
    ),
    "spec.dat": (
        ["#F a.dat", "", "#S 1 ascan tth", "#N 4", "#L Two Theta  Epoch  Monitor  Detector",
         *rows("{x:.4f} {i} 50000 {y}")], "xrd_text", (),
    ),
    "beamline.dat": (
        ["&SRS", "<MetaDataAtStart>", "cmd=scan", "</MetaDataAtStart>", " SRSRUN=1,SRSDAT=2020", "&END",
         "tth\tcounts\terror", *rows("{x:.6f}\t{y}\t{s:.4f}")], "xrd_text", (),
    ),
    "pyfai.dat": (
        ["# == pyFAI calibration", "# Wavelength: 1e-10 m", "#  2th_deg  I  sigma", *rows("{x:.5e} {y:.5e} {s:.4e}")],
        "xrd_text", (1.0,),
    ),
    "shimadzu.txt": (["# Group : Standard", "<2Theta>   <   I   >", *rows("{x:.4f}   {y}")], "xrd_text", ()),
    "german.csv": (["2Theta (°);Intensität (Impulse)", *rows("{x:.4f};{y}", ",")], "xrd_text", ()),
    "japanese.csv": (["2θ(度),強度(counts)", *rows("{x:.4f},{y}")], "xrd_text", ()),
    "rows.jdx": (
        [*JCAMP, f"##FIRSTX={START}", f"##LASTX={END}", "##XYDATA=(X++(Y..Y))",
         *(f"{X[i]:.4f} " + " ".join(map(str, Y[i : i + 10])) for i in range(0, N, 10)), "##END="], "jcamp_xrd", (),
    ),
    "pairs.jdx": ([*JCAMP, "##XYPOINTS=(XY..XY)", *rows("{x:.4f}, {y}"), "##END="], "jcamp_xrd", ()),
    "start end step.pow": ([f"{START} {END} {STEP} 1.5406", *map(str, Y)], "fullprof_dat", ()),
    "blank before the wavelength.xy": (["# wavelength 1.5406 1.5444", *rows()], "xrd_text", (1.5406,)),
    "index on the wavelength.txt": (
        ["wavelength1: 0.7093", "Angle\tCounts", *rows("{x:.4f}\t{y}")], "xrd_text", (0.7093,)
    ),
    "greek wavelengths.csv": (
        ["Anode material,Cu", "K-α1 [Å],1.54060", "K-α2 [Å],1.54443", "K-A2 / K-A1 Ratio,0.50000", "[Scan points]",
         "Angle,Intensity", *rows("{x:.4f},{y}")], "xrd_text", (1.5406, 1.54443),
    ),
    "keys in brackets.txt": (
        ["[Sample]HA", "[StepAngle]0.02", "[WaveLength]1.5406", "[Data]", *rows()], "xrd_text", (1.5406,)
    ),
    "axis of the scan.txt": (
        [";ScanAxis = Theta/2-Theta", ";WaveLength1 = 1.540593", ";WaveLength2 = 1.544414", "#Intensity_unit=counts",
         *rows("{x:.4f}\t{y}.0")], "xrd_text", (1.540593,),
    ),
    "points with a point.mdi": (
        ["HA", f" {START} {STEP} 1.00 CU 1.5406 {END} {N}.", *wrapped(8)], "jade_mdi", (1.5406,)
    ),
    "copied from a page.txt": (rows("{x:.4f}\u00a0{y}"), "xrd_text", ()),
    "decoded wrongly.csv": (["2Î¸ (Â°),counts", *rows("{x:.4f},{y}")], "xrd_text", ()),
    "german wavelength.csv": (
        ["Wellenlänge [Å];1,54060", "2Theta;Intensität", *rows("{x:.4f};{y}", ",")], "xrd_text", (1.5406,)
    ),
    "prose of a beamline.xye": (
        ["/* 11bmb_1234 HA", "  wavelength 0.413893 Angstrom", "*/", *rows("{x:.4f} {y}.0 {s:.4f}")], "xrd_text",
        (0.413893,),
    ),
    "spec with hkl.dat": (
        ["#S 1 ascan tth 20 26 300 1", "#L tth  H  K  L  Epoch  Seconds  mon  det",
         *rows("{x:.4f} 0 0 0 {i} 1 50000 {y}")], "xrd_text", (),
    ),
    "no header.ras": (["*RAS_DATA_START", *RAS], "ras", ()),
    "fortran.xye": ([row.replace("E", "D") for row in rows("{x:.6E} {y:.6E} {s:.6E}")], "xrd_text", ()),
    "rows in quotes.csv": (['"2theta;counts"', *rows('"{x:.4f};{y}"', ",")], "xrd_text", ()),
    "quoted twice.csv": (rows('"""{x:.4f}"",""{y}"""'), "xrd_text", ()),
    "protected.csv": (["2theta,counts", *rows('="{x:.4f}",="{y}"')], "xrd_text", ()),
    "sep.csv": (["sep=;", "2Theta;I", *rows("{x:.4f};{y}", ",")], "xrd_text", ()),
    "kcps.csv": (["2theta,kcts", *(f"{x:.4f},{y / 1000:.3f}" for x, y in zip(X, Y, strict=True))], "xrd_text", ()),
    "eva scale.txt": (["2-Theta - Scale\tLin (Counts)", *rows("{x:.4f}\t{y}")], "xrd_text", ()),
    "comments between.xy": ([*rows()[:90], "# pause", *rows()[90:200], "", *rows()[200:]], "xrd_text", ()),
    "instrm 1.dat": ([f" {START} {STEP} {END}", *wrapped(10, " 1{:6d}")], "fullprof_dat", ()),
    "instrm 4.dat": ([f" {START} {STEP} {END} beamline", *(
        "".join(form.format(value) for value in values[i : i + 10]) for i in range(0, N, 10)
        for form, values in (("{:8.0f}", Y), ("{:8.1f}", np.sqrt(np.maximum(Y, 1))))
    )], "fullprof_dat", ()),
    "commas.dat": ([f"{START}, {STEP}, {END}", *(f"{y}," for y in Y)], "fullprof_dat", ()),
    "small letters.gsa": (
        ["HA", f"Bank 1 {N} {-(-N // 10)} const {SCAN.start * 100:.1f} {SCAN.step * 100:.1f} 0 0 std",
         *wrapped(10, " 1{:6d}")], "gsas", (),
    ),
    "comma.uxd": ([*UXD, "_2THETACOUNTS", "; from here", *rows("{x:.4f}, {y}")], "uxd", CU),
    "decimal comma.uxd": (
        [*UXD[:3], *(line.replace(".", ",") for line in UXD[3:]), "_2THETACOUNTS", *rows("{x:.4f} {y}", ",")], "uxd", CU
    ),
    "small letters.uxd": ([*(line.lower() for line in UXD), "_2thetacounts", *rows()], "uxd", CU),
    "two theta.uxd": ([line.replace("COUPLED", "TWOTHETA") for line in [*UXD, "_COUNTS", *wrapped(8)]], "uxd", CU),
    "no axis.ras": (["*RAS_DATA_START", "*RAS_HEADER_START", "*RAS_HEADER_END", *RAS], "ras", ()),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_variants_are_read(name: str, tmp_path: Path) -> None:
    lines, format_id, wavelengths = FILES[name]
    path = tmp_path / name
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    pattern = read_xrd(path)
    assert pattern.source is not None
    assert pattern.source.format == format_id
    np.testing.assert_allclose(pattern.two_theta, X, atol=2e-4)  # six figures of a pyFAI row
    np.testing.assert_allclose(pattern.intensity, Y, rtol=1e-5)
    assert tuple(line.wavelength for line in pattern.emission_lines) == wavelengths
    assert pattern.intensity_unit != "cps"
    assert all(line.weight in (1.0, 0.5) for line in pattern.emission_lines)
    told = {note.code for note in pattern.messages if note.severity == "warning"}
    assert told == ({"XRD_AXIS_NAME"} if path.suffix == ".ras" else set())


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.xy", rows()),
        ("a.uxd", [*UXD, "_COUNTS", *wrapped(8)]),
        ("a.csv", [*XPERT, "Angle,Intensity", *rows("{x},{y}")]),
    ],
)
@pytest.mark.parametrize("padding", [b"\0" * 400, b"\x1a" + b"\0" * 127])
def test_zero_bytes_behind_a_text_are_no_part_of_it(
    name: str, lines: list[str], padding: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes("\r\n".join([*lines, ""]).encode() + padding)
    pattern = read_xrd(tmp_path / name)
    np.testing.assert_array_equal(pattern.intensity, Y)
    told = {note.code for note in pattern.messages if note.severity == "warning"}
    assert told == (set() if name == "a.uxd" else {"XRD_MAYBE_CUT"})  # a UXD says how many points it has


def test_what_a_copy_puts_around_an_xrdml_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.xrdml"
    path.write_bytes(b"\r\n\n" + xrdml(SCAN) + b"\x1a" + b"\0" * 300)
    np.testing.assert_array_equal(read_xrd(path).intensity, Y)


def test_two_scans_side_by_side_keep_their_own_angles(tmp_path: Path) -> None:
    path = tmp_path / "origin.csv"
    cells = zip(X, Y, strict=True)
    path.write_text("\n".join(["2Theta,A,2Theta,B", *(f"{x:.4f},{y},{x + 0.5:.4f},{y + 1}" for x, y in cells), ""]))
    first, second = read_xrd_scans(path)
    np.testing.assert_allclose(second.two_theta, first.two_theta + 0.5)
    np.testing.assert_array_equal(second.intensity, first.intensity + 1)


@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), ("\t", ".")])
def test_scans_side_by_side_may_end_before_each_other(separator: str, decimal: str, tmp_path: Path) -> None:
    path = tmp_path / "origin.txt"
    lines = [f"{x:.4f}|{y}|" + (f"{x + 0.5:.4f}|{y + 1}" if i < 200 else "|") for i, (x, y) in
             enumerate(zip(X, Y, strict=True))]  # fmt: skip
    lines = [line.replace(".", decimal).replace("|", separator) for line in lines]
    path.write_text("\n".join([separator.join(["2Theta", "A", "2Theta", "B"]), *lines, ""]))
    first, second = read_xrd_scans(path)
    assert (len(first), len(second)) == (N, 200)
    np.testing.assert_array_equal(first.intensity, Y)
    np.testing.assert_allclose(second.two_theta, X[:200] + 0.5)


@pytest.mark.parametrize("pack", ["xz", "zip"])
def test_a_packed_file_is_unpacked(pack: str, tmp_path: Path) -> None:
    text = "\n".join([*rows(), ""]).encode()
    path = tmp_path / f"a.{pack}"
    if pack == "xz":
        path.write_bytes(lzma.compress(text))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("scan.xy", text)
    np.testing.assert_array_equal(read_xrd(path).intensity, Y)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"%PDF-1.4\n\xe2\xe3", "a document"), (b"\x89PNG\r\n\x1a\n\x00", "a picture"),
        (b"<html><body><table><tr><td>2theta</td></tr></table>", "in XML or HTML"),
        (b'{"two_theta": [10.0, 10.1], "counts": [5, 6]}', "JSON"), ("2theta,I\n".encode("utf-32"), "UTF-32"),
        (b"7z\xbc\xaf'\x1c\x00\x04", "packed archive"), (b"PK\x03\x04 and no more", "archive that is broken"),
    ],
)  # fmt: skip
def test_what_is_no_measurement_is_named(content: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=word):
        read_xrd(path)


@pytest.mark.parametrize("end", ["\r\r\n", "\n\n", "\r\n\r\n"])
def test_line_ends_doubled_on_the_way(end: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xy"
    path.write_bytes(end.join([*rows(), ""]).encode())
    np.testing.assert_array_equal(read_xrd(path).intensity, Y)


@pytest.mark.parametrize("blank", [" ", "\u202f"])
def test_blanks_between_thousands_are_named(blank: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    cells = zip(rows("{x:.4f}", ","), Y, strict=True)
    path.write_text(
        "\n".join(["2Theta;Coups", *(f"{x};{y:,}".replace(",", blank, 9) if y > 999 else f"{x};{y}" for x, y in cells)])
    )
    with pytest.raises(ReadError, match="separators of thousands"):
        read_xrd(path)


def test_counting_times_of_a_uxd_may_vary(tmp_path: Path) -> None:
    path = tmp_path / "a.uxd"
    path.write_text("\n".join([*UXD, "_2THETACPSTIME", *(f"{x:.4f} {y} {1 + i % 2}" for i, (x, y) in
                                                     enumerate(zip(X, Y, strict=True)))]) + "\n")  # fmt: skip
    pattern = read_xrd(path)
    assert pattern.intensity_unit == "cps"
    np.testing.assert_allclose(
        pattern.sigma, np.sqrt(np.maximum(Y * (1 + np.arange(N) % 2), 1)) / (1 + np.arange(N) % 2)
    )


@pytest.mark.parametrize(
    ("name", "unit"),
    [("counts s^-1", "cps"), ("Imp/s", "cps"), ("counts x1000", "arbitrary"), ("Mcps", "cps"), ("kcounts", "counts")],
)
def test_units_in_the_name_of_a_column(name: str, unit: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([f"2theta;{name}", *(f"{x:.4f};{y / 1000:.3f}" for x, y in zip(X, Y, strict=True)), ""]))
    assert read_xrd(path).intensity_unit == unit


@pytest.mark.parametrize("words", ["Target: Co", "Radiation: CoKa", "Anode material;Co", "Tube: Cobalt"])
def test_the_anode_by_its_names(words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([words, "2theta;counts", *rows("{x:.4f};{y}"), ""]))
    assert read_xrd(path).anode in {"Co", "Cobalt"}


def test_uneven_coarse_steps_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    angles = (10.82, 16.84, 21.76, 25.88, 28.13, 31.77, 32.2, 34.05, 39.8, 46.7, 49.5, 53.2)
    path.write_text("\n".join(["2theta,intensity", *(f"{x},{k + 3}" for k, x in enumerate(angles)), ""]))
    assert "XRD_UNEVEN_STEP" in {note.code for note in read_xrd(path).messages}


def _digits(value: int, letters: str, zero: int) -> str:
    text = str(abs(value))
    first = int(text[0]) * (-1 if value < 0 else 1)
    return letters[zero + first] + text[1:]


def _compressed(form: str) -> list[str]:
    """Ordinates ten in a line: packed, squeezed, or as differences with duplicates suppressed."""
    lines = []
    for i in range(0, N, 10):
        part = [int(y) for y in Y[i : i + 10]]
        if form == "packed":
            lines.append(f"{X[i]:.2f}" + "".join(f"{y:+d}" for y in part))
        elif form == "squeezed":
            lines.append(f"{X[i]:.2f} " + "".join(_digits(y, "ihgfedcba@ABCDEFGHI", 9) for y in part))
        else:
            before = [int(Y[i - 1])] if i else []
            values = [*before, *part]
            text = f"{X[max(i - 1, 0)]:.2f} " + _digits(values[0], "ihgfedcba@ABCDEFGHI", 9)
            k = 1
            while k < len(values):
                step, run = values[k] - values[k - 1], 1
                while k + run < len(values) and values[k + run] - values[k + run - 1] == step:
                    run += 1
                text += _digits(step, "rqponmlkj%JKLMNOPQR", 9) + ("STUVWXYZs"[run - 1] if run > 1 else "")
                k += run
            lines.append(text)
    return lines


@pytest.mark.parametrize("form", ["packed", "squeezed", "differences"])
def test_compressed_ordinates_of_jcamp(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jdx"
    head = [*JCAMP, f"##FIRSTX={START}", f"##LASTX={END}", "##XYDATA=(X++(Y..Y))"]
    path.write_text("\n".join([*head, *_compressed(form), "##END=", ""]))
    np.testing.assert_array_equal(read_xrd(path).intensity, Y)
    if form == "differences":  # one that is damaged is seen in the line below, which repeats the last ordinate
        lines = _compressed(form)
        lines[3] = lines[3].replace("j", "k", 1) if "j" in lines[3] else lines[3] + "J"
        path.write_text("\n".join([*head, *lines, "##END=", ""]))
        with pytest.raises(ReadError, match="the line repeats"):
            read_xrd(path)


def test_jcamp_blocks_are_scans_to_choose_from(tmp_path: Path) -> None:
    block = [*JCAMP, "##XYPOINTS=(XY..XY)", *rows("{x:.4f}, {y}"), "##END="]
    path = tmp_path / "a.jdx"
    path.write_text("\n".join([*block, *block, ""]))
    with pytest.raises(ReadError, match="holds 2 powder scans"):
        read_xrd(path)
    assert len(read_xrd_scans(path)) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([*JCAMP[:3], "##XUNITS=1/CM", "##XYPOINTS=(XY..XY)", *rows("{i} {y}"), "##END="], "points or channels"),
        ([*JCAMP[:3], "##XUNITS=d (ANGSTROM)", "##XYPOINTS=(XY..XY)", *rows("{x}, {y}"), "##END="], "not 2θ"),
        ([*JCAMP, "##PEAK TABLE=(XY..XY)", *rows("{x:.4f}, {y}"), "##END="], "table of peaks"),
        (
            ["*RAS_DATA_START", "*RAS_INT_START", *rows("{i} {y} 1"), "*RAS_INT_END", "*RAS_DATA_END"],
            "points or channels",
        ),
        (["example", f"{START} {STEP} 2.0 CU 1.54 {END} {N + 5}", *wrapped(8)], "declares"),
        ([*UXD, "_2THETACOUNTSTIME", *rows("{x:.4f} {y}")], "than 3 for each point"),
        (["2theta (rad),counts", *(f"{x:.6f},{y}" for x, y in zip(np.radians(X), Y, strict=True))], r"\(rad\)"),
        (["2theta,log10(I)", *(f"{x:.4f},{y:.5f}" for x, y in zip(X, np.log10(Y + 1), strict=True))], "a logarithm"),
        (["2-Theta - Scale\tSqrt (Counts)", *rows("{x:.4f}\t{s:.5f}")], "a root"),
        ([f"{x:.6f} {y}" for x, y in zip(np.radians(X), Y, strict=True)], "may"),
        ([f"{x:.3f} {0.77 / np.sin(np.radians(x / 2)):.5f} {y}" for x, y in zip(X, Y, strict=True)], "d spacings"),
        (
            ["HA", f"BANK 1 {N} {-(-N // 10)} CONST {START} {STEP} 0 0 STD", *wrapped(10, " 1{:6d}")],
            "before any reflection",
        ),
        (["STANDARD", f"{N} {START} {STEP}", *wrapped(10)], "counts without angles"),
        (list(map(str, Y)), "one number each"),
        ([f"{x:.1f} {y}" for x, y in zip(X, Y, strict=True)], "rounded"),
        (["Angle (theta),counts", *(f"{x / 2:.4f},{y}" for x, y in zip(X, Y, strict=True))], "first column"),
        (["Pos. [°Th.],Iobs [cts]", *(f"{x / 2:.4f},{y}" for x, y in zip(X, Y, strict=True))], "first column"),
        (["Theta (deg),Zählrate,esd", *(f"{x / 2:.4f},{y},9" for x, y in zip(X, Y, strict=True))], "first column"),
        (["h,k,l,d,2Theta,I", *(f"1,0,0,3.4,{20 + 1.5**k:.3f},{k}" for k in range(9))], "list of reflections"),
        (
            ["Pos. [°2Th.],Height [cts],FWHM Left [°2Th.]", *(f"{20 + k},{9 * k + 1},0.1" for k in range(9))],
            "reflections",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(lines: list[str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    with pytest.raises(ReadError, match=words):
        read_xrd(path)
