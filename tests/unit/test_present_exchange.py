"""Tables leave the program whole: CSV, Excel, Parquet, LaTeX and powder CIF hold what the result holds."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import openpyxl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import xrdcomp as xc
from tests.builders import make_result
from xrdcomp.cli.main import main
from xrdcomp.data import Diagnostic
from xrdcomp.disk import no_formula
from xrdcomp.errors import ArgumentError, OutputError
from xrdcomp.io.front import read_xrd
from xrdcomp.present.exchange import TITLES, Table, tables_of, tables_of_many, tex, to_csv, unit_of
from xrdcomp.present.files import read_result, write_result
from xrdcomp.results import ReflectionTable, SampleResult
from xrdcomp.simulate.cohort import load_cohort

FOREIGN = {"two_theta": 36.5, "d_spacing": 2.46, "z": 9.1, "height": 120.0, "candidates": ["calcite", "quartz"]}


def full_result() -> SampleResult:
    """Return a made-up result whose reflections have widths, with a peak that nothing explains."""
    result = make_result(metadata={"intensity_unit": "counts", "unexplained_peaks": [FOREIGN]})
    assert result.xrd is not None
    table = result.xrd.reflections["hydroxyapatite"]
    n = len(table.two_theta)
    measured = ReflectionTable(
        hkl=table.hkl, two_theta=table.two_theta, intensity=table.intensity, d_spacing=np.linspace(8.2, 1.7, n),
        area=np.arange(n) + 1.0, height=np.arange(n) + 2.0, fwhm=np.full(n, 0.5),
    )  # fmt: skip
    return replace(result, xrd=replace(result.xrd, reflections={"hydroxyapatite": measured}))


@pytest.fixture(scope="module")
def analysed() -> SampleResult:
    from xrdcomp.analysis import analyze_embedded

    return analyze_embedded(load_cohort()[0])


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_table_has_a_title_and_columns_of_one_length() -> None:
    found = tables_of(full_result())
    assert list(found) == [name for name in TITLES if name in found]
    assert {"composition", "limits", "cells", "peaks", "parameters", "correlations", "steps", "budget", "measurement",
            "settings", "claims", "pattern", "thermogram"} <= set(found)  # fmt: skip
    for table in found.values():
        assert {len(column) for column in table.columns.values()} == {len(table)}


def test_the_peak_list_holds_place_width_phase_and_what_is_unexplained() -> None:
    rows = rows_of(to_csv(tables_of(full_result())["peaks"]))
    assert len(rows) == 19
    assert [float(row["two_theta (deg)"]) for row in rows] == sorted(float(row["two_theta (deg)"]) for row in rows)
    strongest = next(row for row in rows if row["relative_intensity (%)"] == "100.0")
    assert (strongest["phase"], strongest["h"], strongest["k"], strongest["l"]) == ("hydroxyapatite", "2", "1", "1")
    assert float(strongest["fwhm (deg)"]) == 0.5
    assert strongest["explained"] == "yes"
    (foreign,) = [row for row in rows if row["explained"] == "no"]
    assert (foreign["height (counts)"], foreign["candidates"], foreign["h"]) == ("120.0", "calcite quartz", "")


def test_reflections_of_a_fit_have_the_area_and_width_of_its_curve(analysed: SampleResult) -> None:
    fit = analysed.xrd
    assert fit is not None
    table = fit.reflections["hydroxyapatite"]
    assert table.area is not None
    assert table.height is not None
    assert table.fwhm is not None
    assert table.d_spacing is not None
    # tails end at the edges of the range and 5 widths away: some per cent of the area
    assert table.area.sum() == pytest.approx(fit.bragg_area["hydroxyapatite"], rel=0.03)
    cell = analysed.phases["hydroxyapatite"].cell
    a, c = cell["a"].value, cell["c"].value
    h, k, l = table.hkl.T  # noqa: E741 - index of Miller
    expected = 1.0 / np.sqrt(4.0 / 3.0 * (h * h + h * k + k * k) / a**2 + l * l / c**2)
    np.testing.assert_allclose(table.d_spacing, expected, rtol=1e-9)
    # 002 stands alone: at its place the curve is its own height and the tails of others
    (index,) = np.flatnonzero((table.hkl == [0, 0, 2]).all(axis=1))
    curve = float(np.interp(table.two_theta[index], fit.two_theta, fit.phases["hydroxyapatite"]))
    assert 0.7 * curve < table.height[index] < curve
    ratio = table.area[index] / (table.height[index] * table.fwhm[index])
    assert 1.06 < ratio < 1.9, "between a Gaussian and a Lorentzian, widened by the second emission line"


def test_limits_that_say_nothing_are_called_not_tested() -> None:
    result = full_result()
    calcite = replace(result.phases["calcite"], detection_limit=1.0, decision="inconclusive")
    rows = rows_of(to_csv(tables_of(replace(result, phases=(result.phases[0], calcite)))["limits"]))
    assert [(row["id"], row["tested"], row["detection_limit (wt%)"]) for row in rows] == [
        ("hydroxyapatite", "yes", "0.4"), ("calcite", "no", ""),
    ]  # fmt: skip


def test_an_index_that_could_not_be_found_is_empty_with_its_reason() -> None:
    result = full_result()
    index = {"person": {"value": None, "in_domain": False, "why": "no valley before 112"}, "inverse_width_002": 3.1}
    phases = (replace(result.phases[0], apatite_indices=index), result.phases[1])
    rows = rows_of(to_csv(tables_of(replace(result, phases=phases))["microstructure"]))
    found = {row["name"]: (row["value"], row["note"]) for row in rows}
    assert found["person"] == ("", "outside its domain: no valley before 112")
    assert found["inverse_width_002"] == ("3.1", "")


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\tx", "\rx"])
def test_no_text_is_a_formula(text: str, tmp_path: Path) -> None:
    assert no_formula(text) == f"'{text}"
    table = Table(name="t", title="t", columns={"name": [text, "plain"], "value (deg)": [-1.5, None]})
    cells = list(csv.reader(io.StringIO(to_csv(table))))
    assert cells[1][1] == "-1.5", "numbers stay numbers"
    assert not re.match(r"[=+\-@\t\r]", cells[1][0])
    note = Diagnostic(code="X", severity="info", text=text)
    xc.export(replace(full_result(), messages=(note,)), tmp_path / "a.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["messages"]
    assert sheet["C2"].data_type == "s"


def test_excel_holds_numbers_as_numbers_and_a_sheet_a_table(tmp_path: Path) -> None:
    result = full_result()
    path = result.export(tmp_path / "S1.xlsx")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == [name for name in tables_of(result) if name not in ("pattern", "thermogram")]
    sheet = book["composition"]
    heads = [cell.value for cell in sheet[1]]
    assert heads[:4] == ["name", "kind", "value (wt%)", "std (wt%)"]
    assert sheet["C2"].value == pytest.approx(33.0, rel=1e-12)
    assert sheet["C2"].data_type == "n"
    assert {cell.data_type for row in sheet.iter_rows(min_row=2) for cell in row} <= {"s", "n"}
    assert path.read_bytes() == result.export(tmp_path / "again.xlsx").read_bytes(), "the same bytes"
    assert result.export(path) == path, "its own workbook is replaced"
    assert result.export(tmp_path / "a.parquet") == result.export(tmp_path / "a.parquet")


def test_a_cohort_is_one_workbook_with_the_sample_id_first(tmp_path: Path) -> None:
    results = [full_result(), replace(full_result(), sample_id="S2")]
    book = openpyxl.load_workbook(xc.export(results, tmp_path / "cohort.xlsx"))
    assert book.sheetnames[0] == "specimens"
    sheet = book["specimens"]
    assert [row[0].value for row in sheet.iter_rows(min_row=2)] == ["S1", "S2"]
    peaks = book["peaks"]
    assert peaks["A1"].value == "sample_id"
    assert peaks.max_row == 1 + 2 * 19
    frame = tables_of_many(results)["peaks"].to_dataframe()
    assert frame.attrs["units"]["d (Å)"] == "Å"


def test_parquet_knows_the_units(tmp_path: Path) -> None:
    table = pq.read_table(full_result().export(tmp_path / "peaks.parquet", tables=["peaks"]))
    assert table.schema.field("d (Å)").metadata == {b"unit": "Å".encode()}
    assert table.column("two_theta (deg)").to_pylist()[0] == 10.84
    mixed = pq.read_table(full_result().export(tmp_path / "measurement.parquet", tables=["measurement"]))
    assert str(mixed.schema.field("value").type) == "string", "text and numbers in one column"


def test_data_frames_of_every_table() -> None:
    result = full_result()
    frames = result.tables()
    assert list(frames) == list(tables_of(result))
    assert result.to_dataframe("peaks")["fwhm (deg)"].iloc[0] == 0.5
    assert result.to_dataframe().loc["organic", "value (wt%)"] == pytest.approx(52.0)
    with pytest.raises(ArgumentError, match="one of composition"):
        result.to_dataframe("nothing")
    assert unit_of("share_of_variance (%)") == "%"


def test_curves_as_text_are_the_curves(tmp_path: Path) -> None:
    result = full_result()
    assert result.xrd is not None
    path = result.export(tmp_path / "curves.txt", tables=["pattern"])
    columns = path.read_text(encoding="utf-8").splitlines()[0].split("\t")
    numbers = np.loadtxt(path, delimiter="\t", skiprows=1)
    np.testing.assert_array_equal(numbers[:, columns.index("two_theta (deg)")], result.xrd.two_theta)
    np.testing.assert_array_equal(numbers[:, columns.index("calculated (counts)")], result.xrd.calculated)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_curves_as_text_are_exact_whatever_their_size(separator: str) -> None:
    numbers = np.array([0.1, 1e-7, -0.0, 1e22, 5e-324, 2.0 / 3.0, np.nan, 123456789.0])
    table = Table(name="curve", title="Curve", columns={"a": numbers, "b": numbers[::-1] * 3.0})
    head, *rows = csv.reader(io.StringIO(to_csv(table, separator=separator)), delimiter=separator)
    read = np.array([[float(cell or "nan") for cell in row] for row in rows])
    assert head == ["a", "b"]
    np.testing.assert_array_equal(read, np.stack([*table.columns.values()], axis=1))
    assert rows[6][0] == rows[1][1] == ""


def test_correlations_are_those_of_the_covariance(analysed: SampleResult) -> None:
    fit = analysed.xrd
    assert fit is not None
    scale = np.sqrt(np.diag(fit.covariance))
    np.testing.assert_allclose(fit.correlations * np.outer(scale, scale), fit.covariance, rtol=1e-12)
    assert np.abs(fit.correlations).max() <= 1.0 + 1e-9, "of a covariance"


def test_latex_escapes_and_joins_value_and_uncertainty(tmp_path: Path) -> None:
    text = full_result().export(tmp_path / "t.tex").read_text(encoding="utf-8")
    assert r"amorphous\_mineral" in text
    assert "33.0(1.5)" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    assert tex("50 % & a_b £") == r"50 \% \& a\_b U+00A3"
    for block in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end", text, re.DOTALL):
        rows = [line for line in block[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(block[0])}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_latex_compiles(tmp_path: Path, analysed: SampleResult) -> None:
    names = [name for name in tables_of(analysed) if name not in ("pattern", "thermogram", "correlations")]
    analysed.export(tmp_path / "t.tex", tables=names)
    head = "\\documentclass[landscape]{article}\\usepackage[utf8]{inputenc}\\usepackage{longtable}"
    (tmp_path / "m.tex").write_text(head + "\\begin{document}\\tiny\\input{t.tex}\\end{document}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "m.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_powder_cif_is_read_by_gemmi_with_the_same_curves(tmp_path: Path, analysed: SampleResult) -> None:
    fit = analysed.xrd
    assert fit is not None
    path = analysed.export(tmp_path / "fit.cif")
    document = gemmi.cif.read(str(path))
    block = document[0]

    def column(name: str) -> np.ndarray:
        return np.array([float(text) for text in block.find_values(name)])

    np.testing.assert_array_equal(column("_pd_meas_2theta_scan"), fit.two_theta)
    np.testing.assert_array_equal(column("_pd_calc_intensity_total"), fit.calculated)
    parts = column("_pd_proc_intensity_bkg_calc") + sum(column(f"_xrdcomp_phase_{name}") for name in fit.phases)
    np.testing.assert_allclose(parts, fit.calculated, rtol=1e-9)
    np.testing.assert_allclose(column("_pd_proc_ls_weight"), fit.sigma**-2.0, rtol=1e-12)
    assert float(block.find_value("_pd_proc_ls_prof_wR_factor")) == fit.rwp
    assert len(block.find_loop("_refln_index_h")) == len(block.find_loop("_pd_peak_2theta_centroid"))
    cell = document[1].find_value("_cell_length_a")
    assert gemmi.cif.as_number(cell) == pytest.approx(analysed.phases["hydroxyapatite"].cell["a"].value, abs=1e-4)
    assert re.fullmatch(r"\d\.\d+\(\d{1,3}\)", cell)
    again = read_xrd(path)
    np.testing.assert_array_equal(again.intensity, fit.observed)
    assert len({other.name for other in document}) == len(document)


def test_reflections_come_back_from_disk(tmp_path: Path) -> None:
    result = full_result()
    again = read_result(write_result(result, tmp_path, figures=False))
    assert to_csv(tables_of(again)["peaks"]) == to_csv(tables_of(result)["peaks"])
    csvs = {path.stem for path in (tmp_path / "S1" / "tables").glob("*.csv")}
    assert csvs == set(tables_of(result))


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="names no format"):
        full_result().export(tmp_path / "a.doc")
    with pytest.raises(ArgumentError, match="one table"):
        full_result().export(tmp_path / "a.csv", tables=["peaks", "phases"])
    with pytest.raises(OutputError, match="no pattern"):
        make_result(fit=False).export(tmp_path / "a.cif")
    full_result().export(tmp_path / "a.csv", tables=["peaks"])
    full_result().export(tmp_path / "a.csv")  # its own table is replaced
    (tmp_path / "b.csv").write_text("mine,1\n")
    with pytest.raises(OutputError, match="not written by xrdcomp"):
        full_result().export(tmp_path / "b.csv")


def test_the_command_takes_one_or_a_folder_of_results(tmp_path: Path) -> None:
    for name in ("S1", "S2"):
        write_result(replace(full_result(), sample_id=name), tmp_path / "out", figures=False)
    run = CliRunner()
    one = run.invoke(main, ["export", str(tmp_path / "out" / "S1"), "--table", "peaks", "-o", str(tmp_path / "p.csv")])
    assert one.exit_code == 0, one.output
    many = run.invoke(main, ["export", str(tmp_path / "out"), "-o", str(tmp_path / "all.csv")])
    assert many.exit_code == 0, many.output
    rows = rows_of((tmp_path / "all.csv").read_text(encoding="utf-8"))
    assert [row["sample_id"] for row in rows] == ["S1", "S2"]
    none = run.invoke(main, ["export", str(tmp_path), "-o", str(tmp_path / "x.csv")])
    assert none.exit_code == 2
    assert "xrdcomp analyze" in none.output
