"""What a file is, without being told: pattern, run or frame; and advice in the language of the caller."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests import tga_writers, xrd_writers
from xrdcomp.analysis import analyze
from xrdcomp.cli.main import main
from xrdcomp.data import parse_gases
from xrdcomp.errors import AnalysisError, ReadError, either, in_command, in_python
from xrdcomp.io.front import inspect_file, read_tga, read_xrd, read_xrd_scans
from xrdcomp.physics.elements import emission_lines

SCAN = xrd_writers.example(401)
CURVE = tga_writers.make_curve()


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    return done.exit_code, done.stdout, done.stderr


def bare(tmp_path: Path) -> Path:
    path = tmp_path / "bare.csv"
    path.write_text("".join(f"{t:.3f},{m:.4f}\n" for t, m in zip(CURVE.temperature_c, CURVE.mass_mg, strict=True)))
    return path


def test_inspect_finds_the_kind(tmp_path: Path) -> None:
    for name, content, kind, format_id in (
        ("scan.xlsx", xrd_writers.workbook(SCAN), "xrd", "xrd_excel"),
        ("run.xlsx", tga_writers.workbook(CURVE), "tga", "tga_excel"),
        ("scan.txt", xrd_writers.xy(SCAN), "xrd", "xrd_text"),
        ("run.txt", tga_writers.table(CURVE).encode(), "tga", "tga_csv"),
    ):
        (tmp_path / name).write_bytes(content)
        found = inspect_file(tmp_path / name)
        assert (found["kind"], found["format"]) == (kind, format_id)
        read_xrd(tmp_path / name) if kind == "xrd" else read_tga(tmp_path / name)


def test_a_table_without_names_is_what_it_can_be(tmp_path: Path) -> None:
    path = bare(tmp_path)
    with pytest.raises(ReadError, match="temperature_unit"):
        inspect_file(path)
    assert inspect_file(path, temperature_unit="C", mass_unit="mg")["kind"] == "tga"
    code, out, _ = run("inspect", path, "--temperature-unit", "C", "--mass-unit", "mg", "--format", "json")
    assert code == 0
    assert json.loads(out)["segments"][0]["mass_unit_in_file"]


def test_hints_name_only_what_the_command_has(tmp_path: Path) -> None:
    path = bare(tmp_path)
    code, _, err = run("inspect", path)
    assert code == 2
    assert "--mass-unit" in err
    assert "mass_unit=" not in err
    two = tmp_path / "two.uxd"
    two.write_bytes(xrd_writers.uxd(SCAN, xrd_writers.example(201, start=40.0)))
    for command in (["inspect", "--figure", tmp_path / "a.png"], ["identify"], ["convert"]):
        rest = [tmp_path / "a.xy"] if command == ["convert"] else []
        code, _, err = run(*command, two, *rest)
        assert code == 2
        assert "Pass --scan N." in err
    code, _, err = run("identify", two, "--out", tmp_path)
    assert "scan=N" not in err
    run_file = tmp_path / "run.csv"
    run_file.write_text(tga_writers.table(CURVE))
    _, _, err = run("convert", run_file, tmp_path / "a.xy")
    assert "`xrdcomp tga FILE`" in err
    assert "--tga" not in err
    with pytest.raises(ReadError, match=r"read_tga\(path\)"):
        read_xrd(run_file)


def test_inspect_says_what_is_wrong_with_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("theta,counts\n" + "".join(f"{5 + i / 100:.2f},{100 + i % 7}\n" for i in range(200)))
    with pytest.raises(ReadError, match="the first column is 'theta'"):
        inspect_file(path)


def test_two_languages() -> None:
    text = "It is open. " + either("Pass mass_unit.", "Pass --mass-unit.") + " Or export it again."
    assert in_python(text) == "It is open. Pass mass_unit. Or export it again."
    assert in_command(text, ["--mass-unit"]) == "It is open. Pass --mass-unit. Or export it again."
    assert in_command(text, ["--scan"]) == "It is open. Or export it again."
    assert AnalysisError(text).for_command(["--mass-unit"]) == "It is open. Pass --mass-unit. Or export it again."
    assert str(AnalysisError(text)) == "It is open. Pass mass_unit. Or export it again."
    assert ReadError("r", hint=text).hint == in_python(text)


def test_every_command_that_reads_takes_the_format(tmp_path: Path) -> None:
    scan = tmp_path / "scan.dat"
    scan.write_bytes(xrd_writers.dbws(SCAN))
    for command in (
        "analyze",
        "identify",
        "convert",
        "inspect",
        "calibrate",
        "calibrate-amorphous",
        "tga",
        "tga-check",
        "batch",
    ):
        assert "--input-format" in run(command, "--help")[1]
    code, out, _ = run("inspect", scan, "--input-format", "dbws_dat", "--format", "json")
    assert (code, json.loads(out)["format"]) == (0, "dbws_dat")
    code, _, err = run("inspect", scan, "--input-format", "dbws")
    assert code == 2
    assert "Did you mean dbws_dat?" in err
    code, _, err = run("convert", scan, tmp_path / "a.xy", "--input-format", "ras")
    assert code == 2
    assert "[ras]" in err
    with pytest.raises(AnalysisError, match="not that of a file that was given"):
        analyze(scan, input_format="tga_csv")
    with pytest.raises(ReadError, match="ras"):
        analyze(scan, input_format="ras")


def test_a_workbook_of_two_scans(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    book.create_sheet("notes").append(["read me"])
    for name, factor in (("A", 1), ("B", 2)):
        sheet = book.create_sheet(name)
        sheet.append(["2Theta", "Counts"])
        for x, y in zip(SCAN.two_theta, SCAN.counts, strict=True):
            sheet.append([round(float(x), 4), factor * int(y)])
    book.save(tmp_path / "a.xlsx")
    one, two = read_xrd_scans(tmp_path / "a.xlsx")
    np.testing.assert_array_equal(two.intensity, 2 * one.intensity)
    np.testing.assert_array_equal(one.intensity, SCAN.counts)


@pytest.mark.parametrize("name", ["copper", "Copper", "Cu", "cu", "Kupfer", "cuivre", "CuKa", "copper K-alpha"])
def test_names_of_copper(name: str) -> None:
    assert emission_lines(name) == emission_lines("CuKa")


def test_names_of_other_anodes_and_gases() -> None:
    for word, symbol in (("cobalt", "Co"), ("Molybdenum", "Mo"), ("Chrom", "Cr"), ("iron", "Fe"), ("Silber", "Ag")):
        assert emission_lines(word) == emission_lines(f"{symbol}Ka")
    for text in ("N2", "Nitrogen", "n2", "Stickstoff"):
        assert parse_gases(text)[0].gas == "nitrogen"
