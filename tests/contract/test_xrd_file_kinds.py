"""Kinds of diffraction files that laboratories have: each is read right, told, or refused with its true reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import xrd_writers as w
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_xrd

SCAN = w.example(401)
X, Y = SCAN.two_theta, SCAN.counts
CHI = "bone.tif\n2-Theta Angle (Degrees)\n{label}\n  {n}\n"


def rows(form: str = "{x:.4f} {y}", decimal: str = ".") -> str:
    cells = (
        form.format(x=x, y=y, i=i, q=4 * np.pi * np.sin(np.radians(x / 2)) / 1.5406, thousand=f"{10 * y:,}")
        for i, (x, y) in enumerate(zip(X, Y, strict=True))
    )
    return ("\n".join(cells) + "\n").replace(".", decimal)


def edit(write: Callable[..., bytes], old: bytes, new: bytes, **options: bool) -> bytes:
    data = write(SCAN, **options)
    assert old in data
    return data.replace(old, new, 1)


def loop(*items: str, form: str) -> str:
    return "data_a\n_diffrn_radiation_wavelength 1.5406\nloop_\n" + "\n".join(items) + "\n" + rows(form)


WHOLE: dict[str, str | bytes] = {
    "chi without a second label.chi": CHI.format(label="", n=401) + rows(" {x:.5E} {y:.5E}"),
    "gsas latin.gsa": edit(w.gsas_std, b"example ", b"M\xfcller \xb0C"),
    "gsas utf-8.gsa": edit(w.gsas_std, b"example  ", "Müller °".encode()),
    "gsas japanese.gsa": edit(w.gsas_std, b"example  ", "測定試料".encode("cp932")),
    "gsas undefined byte.gsa": edit(w.gsas_std, b"example ", b"M\x9dller "),
    "optional columns.cif": loop(
        "_pd_proc_point_id", "_pd_meas_2theta_scan", "_pd_meas_counts_total", "_pd_proc_ls_weight",
        "_pd_calc_intensity_total", form="{i} {x:.4f} {y} ? .",
    ),
    "counts unknown.cif": loop(
        "_pd_meas_2theta_scan", "_pd_meas_counts_total", "_pd_proc_intensity_total", form="{x:.4f} . {y}"
    ),
    "angle unknown.cif": loop(
        "_pd_meas_2theta_scan", "_pd_proc_2theta_corrected", "_pd_proc_intensity_total", form="? {x:.4f} {y}"
    ),
    "quoted.csv": '"2Theta","Intensity"\n' + rows('"{x:.4f}","{y}"'),
    "quoted decimal comma.csv": '"2Theta","Intensity"\n' + rows('"{x:.4f}"|"{y}"', ",").replace("|", ","),
    "date and clock.csv": "Date,Time,2Theta,Counts\n" + rows("2024-01-05,10:30:00,{x:.4f},{y}"),
    "spec.dat": "#S 1 ascan tth 20 28 400 1\n#L tth  Epoch  Monitor  Detector\n" + rows("{x:.4f} 123.5 100000 {y}"),
    "monitor.dat": "2Theta Monitor Counts\n" + rows("{x:.4f} 100000 {y}"),
    "title with a role.xy": "bone 2theta\n" + rows(),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = WHOLE[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    pattern = read_xrd(path)
    np.testing.assert_allclose(pattern.two_theta, X, atol=6e-5)  # four decimals are written
    np.testing.assert_array_equal(pattern.intensity, Y)


ZEROS = b"       0" * 10 + b"\n"
BEYOND: dict[str, tuple[bytes, int]] = {
    "zeros.gsa": (w.gsas_std(SCAN) + 3 * ZEROS, 401),
    "more records.gsa": (edit(w.gsas_std, b"BANK 1 401 41", b"BANK 1 380 38"), 380),
    "more rows.fxye": (edit(w.gsas_fxye, b"BANK 1 401 401", b"BANK 1 398 398"), 398),
    "more pairs.uxd": (edit(w.uxd, b"_STEPSIZE", b"_STEPCOUNT=398\n_STEPSIZE"), 398),
    "zeros.uxd": (edit(w.uxd, b"_STEPSIZE", b"_STEPCOUNT=401\n_STEPSIZE", pairs=False) + b"  0  0  0\n", 401),
    "zeros.udf": (w.udf(SCAN)[:-2] + b",\n 0, 0, 0/\n", 401),
    "zeros.cpi": (w.cpi(SCAN) + b"0\r\n0\r\n", 401),
    "zeros.raw": (w.ascii_raw(SCAN) + b"   0.\r   0.\r", 401),
    "zeros.asc": (edit(w.rigaku_ascii, b"*END", b"0, 0, 0\r\n*END"), 401),
    "zeros.ras": (edit(w.ras, b"*RAS_INT_END", b"0.0000 0.0000 1.0000\r\n*RAS_INT_END"), 401),
    "more rows.ras": (edit(w.ras, b'"401.', b'"398.'), 398),
    "more rows.cif": (edit(w.pdcif, b"points 401", b"points 398"), 398),
    "zeros.cif": (w.pdcif(SCAN) + b" 0 0\n 0 0\n", 401),
    "unknown.cif": (w.pdcif(SCAN) + b" 28.02 ?\n 28.04 .\n", 401),
    "more rows.chi": (edit(w.chi, b"       401", b"       398"), 398),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_follows_the_declared_number_is_told(tmp_path: Path, name: str) -> None:
    data, n = BEYOND[name]
    path = tmp_path / name
    path.write_bytes(data)
    pattern = read_xrd(path)
    np.testing.assert_array_equal(pattern.intensity, Y[:n])
    np.testing.assert_allclose(pattern.two_theta, X[:n], atol=6e-4)  # UXD lists three decimals
    assert "XRD_SURPLUS_RECORDS" in {note.code for note in pattern.messages}


DOUBTFUL: dict[str, tuple[str | bytes, list[float]]] = {
    "two points.xy": ("# Wavelength: 1.54.06\n# 2theta counts\n" + rows(), []),
    "letter.xy": ("# K-Alpha1 [Å] = 1.54O60\n# 2theta counts\n" + rows(), []),
    "alpha1.xrdml": (edit(w.xrdml, b"<kAlpha1>1.5406", b"<kAlpha1>1.54.06"), []),
    "beyond.xrdml": (edit(w.xrdml, b"<kAlpha1>1.5406", b"<kAlpha1>154.06"), []),
    "alpha2.xrdml": (edit(w.xrdml, b"<kAlpha2>1.5444", b"<kAlpha2>x1.5444"), [1.5406]),
    "far alpha2.xrdml": (edit(w.xrdml, b"<kAlpha2>1.5444", b"<kAlpha2>15.444"), [1.5406]),
    "first.cif": (edit(w.pdcif, b" 1.5406 1.0", b" 1.54x6 1.0"), []),
    "weight.cif": (edit(w.pdcif, b"1.5444 0.5", b"1.5444 5.0"), [1.5406]),
    "far.fxye": (edit(w.gsas_fxye, b"1.5406", b"154.06"), []),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_wavelength_that_cannot_be_one_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    content, kept = DOUBTFUL[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    pattern = read_xrd(path)
    assert [line.wavelength for line in pattern.emission_lines] == kept
    assert "XRD_WAVELENGTH_DOUBTFUL" in {note.code for note in pattern.messages}


REFLECTIONS = (
    "10.8 12\n16.8 5\n21.7 8\n22.9 8\n25.88 40\n28.1 12\n31.77 100\n32.2 60\n34.05 25\n39.8 20\n46.7 30\n49.5 33\n"
)
REFUSED: dict[str, tuple[str, str]] = {
    "fewer rows.chi": (CHI.format(label="", n=500) + rows(" {x:.5E} {y:.5E}"), "declares 500 points"),
    "german thousands.csv": (rows("{x:.2f};{thousand}").translate(str.maketrans(".,", ",.")), "decimal comma"),
    "thousands in quotes.csv": ("2theta,counts\n" + rows('{x:.2f},"{thousand}"'), "separators of thousands"),
    "swiss thousands.csv": ("2theta;counts\n" + rows("{x:.2f};{thousand}").replace(",", "'"), "of thousands"),
    "energy.csv": ("Energie [keV];counts\n" + rows("{x:.3f};{y}"), "Energie [keV]"),
    "energy in words.xy": ("# counts against energy in keV\n" + rows(), "energy"),
    "channels.xy": (rows("{i} {y}"), "points or channels"),
    "few channels.xy": ("\n".join(rows("{i} {y}").split("\n")[:150]), "points or channels"),
    "reflections.xy": (REFLECTIONS, "list of reflections"),
    "first row without a count.xy": ("20.0000\n" + rows().split("\n", 1)[1], "looks like a row"),
    "last row without a count.xy": (rows() + "28.0200 -\n", "empty cell"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_of_a_refusal_is_the_true_one(tmp_path: Path, name: str) -> None:
    text, word = REFUSED[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ReadError) as caught:
        read_xrd(path)
    assert word in caught.value.reason


def test_a_count_above_the_rows_is_compared_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.xy").write_text("bone\n501\n" + rows())
    assert "says 501" in "".join(note.text for note in read_xrd(tmp_path / "a.xy").messages)
    (tmp_path / "b.xy").write_text("bone\n401\n" + rows())
    assert not [note for note in read_xrd(tmp_path / "b.xy").messages if note.severity == "warning"]


@pytest.mark.parametrize(("suffix", "word"), [("raw", "Rigaku and Shimadzu"), ("val", "Rayflex"), ("tri", "TRIOS")])
def test_a_binary_file_that_is_not_read_says_what_to_export(tmp_path: Path, suffix: str, word: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"FI\x00\x00" + Y.astype("<f4").tobytes())
    with pytest.raises(ReadError, match=word):
        read_xrd(path)
