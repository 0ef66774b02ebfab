"""What every thermogravimetric reader keeps: values, units, refusals that say what to pass, nothing guessed."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import tga_writers as w
from tests.helpers import SEGMENT_KEYS, assert_close
from xrdcomp.data import TgaRun
from xrdcomp.errors import MissingExtraError, ReadError
from xrdcomp.io.front import (
    describe_run,
    inspect_file,
    list_formats,
    read_empty_pan,
    read_tga,
    read_xrd,
    select_segments,
)
from xrdcomp.io.registry import TgaReader, all_readers
from xrdcomp.io.source import SourceFile

CURVE = w.make_curve()
WRITTEN = "digits that the writer prints"


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "run.txt", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def mass_mg(run: TgaRun) -> w.FloatArray:
    if run.mass_unit == "percent":
        assert run.initial_mass_mg is not None
        return run.mass * run.initial_mass_mg / 100.0
    return run.mass * {"mg": 1.0, "ug": 1e-3, "g": 1e3}[run.mass_unit]


def check(run: TgaRun, *, mass_atol: float = 2e-6) -> None:
    assert_close(run.temperature_c, CURVE.temperature_c, because=WRITTEN, atol=1e-6)
    assert_close(mass_mg(run), CURVE.mass_mg, because=WRITTEN, atol=mass_atol)
    assert run.time_s is not None
    assert_close(run.time_s, CURVE.time_s, because="1e-6 min of the writer", atol=1e-4)
    for array in (run.temperature_c, run.mass, run.time_s, run.segment):
        assert array is not None
        assert not array.flags.writeable


def refusal(path: Path, **given: object) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read_tga(path, **given)  # type: ignore[arg-type]  # wrong arguments are what is tested
    assert caught.value.file
    return caught.value


@pytest.mark.parametrize("format_id", w.TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_round_trip(save: Callable[..., Path], format_id: str, encoding: str) -> None:
    run = read_tga(save(w.TEXTS[format_id](CURVE), encoding=encoding))
    assert run.source is not None
    assert run.source.format == format_id
    check(run)
    assert [d for d in run.messages if d.severity != "info"] == []
    if format_id != "tga_csv":
        assert run.initial_mass_mg == pytest.approx(CURVE.initial_mg, rel=1e-6)
        assert run.metadata["temperature_column"]
        assert "furnace" not in str(run.metadata["temperature_column"]).lower()


@pytest.mark.parametrize("format_id", w.TEXTS)
def test_line_ends_and_packing_do_not_matter(save: Callable[..., Path], format_id: str) -> None:
    text = w.TEXTS[format_id](CURVE)
    plain = read_tga(save(text))
    for content in (
        text.replace("\n", "\r\n").encode(),
        text.replace("\n", "\r").encode(),
        gzip.compress(text.encode()),
    ):
        other = read_tga(save(content, "run.txt.gz" if content[:2] == b"\x1f\x8b" else "run.txt"))
        np.testing.assert_array_equal(other.mass, plain.mass)


@pytest.mark.parametrize(
    ("separator", "decimal"), [(";", "."), (";", ","), (",", "."), ("\t", "."), ("\t", ","), (" ", ","), (" ", ".")]
)
@pytest.mark.parametrize("unit", ["%", "mg"])
def test_netzsch_separators_and_decimals(save: Callable[..., Path], separator: str, decimal: str, unit: str) -> None:
    run = read_tga(save(w.netzsch(CURVE, separator=separator, decimal=decimal, unit=unit)))
    assert run.mass_unit == {"%": "percent", "mg": "mg"}[unit]
    assert (run.initial_mass_mg, run.heating_rate_k_min) == (12.5, 10.0)
    assert run.metadata["exo_sign"] == "-1"
    check(run)


def test_netzsch_segments_kelvin_and_gas(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.netzsch(CURVE, segments=3, kelvin=True, gas="AIR")))
    assert run.segment is not None
    assert list(np.unique(run.segment)) == [0, 1, 2]
    assert run.atmosphere == "air"
    check(run)
    assert [r["n_points"] for r in describe_run(run)] == [80, 80, 80]
    assert len(select_segments(run, [1])) == 80
    with pytest.raises(ReadError, match="no segment 7"):
        select_segments(run, [7])


def test_several_netzsch_tables_become_segments(save: Callable[..., Path]) -> None:
    text = w.netzsch(CURVE)
    head, _, body = text.partition("\n\n")
    names, _, body = body.partition("\n")
    lines = body.strip().split("\n")
    parts = ["\n".join([names, *lines[:100]]), "\n".join([names, *lines[100:]])]
    run = read_tga(save(head + "\n\n" + "\n\n".join(parts) + "\n"))
    assert run.segment is not None
    assert [int((run.segment == k).sum()) for k in (0, 1)] == [100, 140]


def test_netzsch_with_comma_twice_is_refused(save: Callable[..., Path]) -> None:
    error = refusal(save(w.netzsch(CURVE, separator=",", decimal=",")))
    assert "comma both" in error.reason


def test_ta_gas_rate_and_end_mark(save: Callable[..., Path]) -> None:
    text = w.ta_universal(CURVE)
    run = read_tga(save(text))
    assert (run.atmosphere, run.heating_rate_k_min, run.initial_mass_mg) == ("air", 10.0, 12.5)
    cut = read_tga(save("\n".join(text.split("\n")[:-2]) + "\n"))
    assert [d.code for d in cut.messages if d.severity == "warning"] == ["TGA_CUT"]


def test_trios_steps_missing_is_told(save: Callable[..., Path]) -> None:
    text = w.trios(CURVE, steps=3)
    run = read_tga(save(text))
    assert run.segment is not None
    assert run.segment.max() == 2
    assert "initial_mass_from" in run.metadata
    shorter = read_tga(save(text[: text.rindex("[step]")]))
    assert "TGA_STEPS_MISSING" in [d.code for d in shorter.messages]


def test_trios_file_cut_before_the_rows_of_a_step_is_told(save: Callable[..., Path]) -> None:
    text = w.trios(CURVE, steps=3)
    text = text[text.index("[step]") :]  # without facts, so that no procedure counts the steps
    run = read_tga(save(text))
    assert [d.code for d in run.messages if d.severity == "warning"] == []
    cut = read_tga(save(text[: text.rindex("[step]") + len("[step]\nRamp")]))
    assert "TGA_STEPS_MISSING" in [d.code for d in cut.messages]


def test_trios_csv(save: Callable[..., Path]) -> None:
    check(read_tga(save(w.trios(CURVE, separator=","), "run.csv")))


def test_columns_in_mg_and_percent_that_disagree_are_told(save: Callable[..., Path]) -> None:
    lines = w.trios(CURVE).split("\n")
    cells = lines[60].split("\t")
    cells[3] = f"{float(cells[3]) * 1.02:.6f}"
    lines[60] = "\t".join(cells)
    run = read_tga(save("\n".join(lines)))
    assert "TGA_COLUMNS_DISAGREE" in [d.code for d in run.messages]


def test_pyris_units_come_from_its_header_or_are_asked_for(save: Callable[..., Path]) -> None:
    text = w.perkinelmer(CURVE)
    run = read_tga(save(text))
    assert (run.metadata["mass_unit_from"], run.atmosphere) == ("file header", "oxygen")
    error = refusal(save(text.replace("12.5 mg", "12.5")))
    assert "mass_unit=" in error.hint
    check(read_tga(save(text.replace("12.5 mg", "12.5")), mass_unit="mg"))
    lines = text.split("\n")
    del lines[40]
    assert "240 points" in refusal(save("\n".join(lines))).reason


def test_pyris_gas_that_changes_is_told(save: Callable[..., Path]) -> None:
    text = w.perkinelmer(CURVE).replace(
        "to 930.00°C at 10.00°C/min ", "to 930.00°C at 10.00°C/min \n\t\tSwitch the Gas to Nitrogen at 45.0 ml/min"
    )
    run = read_tga(save(text))
    assert run.atmosphere == "oxygen"
    (change,) = run.gas_changes  # at the first reading of the step that switches
    assert (change.gas, change.source) == ("nitrogen", "file")
    assert run.time_s is not None
    assert run.segment is not None
    begins = run.time_s[np.argmax(run.segment == run.segment[-1])] - run.time_s[0]
    assert_close((change.from_min or 0.0) * 60.0, begins, because=WRITTEN, atol=1e-3)
    assert "TGA_ATMOSPHERE_CHANGES" in [d.code for d in run.messages]


def test_mettler_takes_the_mass_curve_and_misses_no_row(save: Callable[..., Path]) -> None:
    text = w.mettler(CURVE)
    run = read_tga(save(text))
    assert run.metadata["temperature_column"] == "Ts (°C)"
    lines = text.split("\n")
    del lines[50]
    assert "index 39 follows 37" in refusal(save("\n".join(lines))).reason
    only_heat = text[: text.index("Curve:")] + text[text.rindex("Curve:") :]
    assert "no curve holds a mass" in refusal(save(only_heat)).reason


def test_setaram_change_of_mass_needs_the_initial_mass(save: Callable[..., Path]) -> None:
    text = w.setaram(CURVE, change=True)
    run = read_tga(save(text, encoding="utf-16"))
    check(run)
    assert [d.code for d in run.messages] == ["TGA_MASS_IS_CHANGE"]
    bare = text.replace("Initial mass (mg) : 12.5\n", "")
    assert "initial_mass_mg" in refusal(save(bare)).hint
    check(read_tga(save(bare), initial_mass_mg=12.5))


@pytest.mark.parametrize("weighed", [0.0, -0.0004, 0.02, 63.0])
@pytest.mark.parametrize("unit", ["mg", "ug"])
@pytest.mark.parametrize("head", ["", "# Initial mass: 5.0786 mg\n"])
def test_blank_run_of_a_tared_balance_keeps_its_change(
    save: Callable[..., Path], weighed: float, unit: str, head: str
) -> None:
    """Only the change of an empty pan counts; its readings may lie on either side of nought.

    Some programs write the mass of the specimen to be corrected into the head of its blank.
    """
    factor = {"mg": 1.0, "ug": 1e3}[unit]
    temperature = np.arange(30.0, 900.0, 5.0)
    change = 4e-5 * (temperature - 30.0) - 0.003 * np.sin(temperature / 40.0)
    rows = [f"{t:.1f},{factor * (weighed + m):.6f}" for t, m in zip(temperature, change, strict=True)]
    path = save(head + "\n".join([f"Temperature (°C),Mass ({unit})", *rows]) + "\n")
    run = read_empty_pan(path)
    assert run.mass.min() > 0
    assert {message.code for message in run.messages} <= {"TGA_NO_TIME", "TGA_MASS_IS_CHANGE"}
    assert run.mass_unit == unit
    found = (run.mass - run.mass[0]) / factor
    assert_close(found, change - change[0], atol=2e-6, because="the file has six decimals")
    if weighed <= 0.0:
        assert "read_empty_pan" in refusal(path).hint or "above zero" in str(refusal(path).expected)


def test_number_mangled_by_a_spreadsheet_is_refused(save: Callable[..., Path]) -> None:
    lines = w.setaram(CURVE).split("\n")
    lines[7] = lines[7].replace(",", ".").replace(".", ".1.", 1)
    error = refusal(save("\n".join(lines)))
    assert error.place == "line 8"


def test_unverified_formats_are_marked() -> None:
    marked = {f["id"]: f["verified"] for f in list_formats() if f["kind"] == "tga"}
    assert marked["shimadzu_text"] is False
    assert marked["hitachi_text"] is False
    assert marked["netzsch_text"] is True


def test_hitachi_micrograms_stay_micrograms(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.hitachi(CURVE)))
    assert (run.mass_unit, run.atmosphere) == ("ug", "nitrogen")


def test_workbook(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.workbook(CURVE), "run.xlsx"))
    assert run.source is not None
    assert run.source.format == "tga_excel"
    check(run)


def test_workbook_errors_name_sheet_and_row(save: Callable[..., Path]) -> None:
    curve = w.make_curve()
    broken = w.Curve(temperature_c=curve.temperature_c, mass_mg=curve.mass_mg, time_s=curve.time_s[::-1])
    error = refusal(save(w.workbook(broken), "run.xlsx"))
    assert error.place == "sheet 'Sheet', row 3"


def test_workbook_without_openpyxl_names_the_extra(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(w.workbook(CURVE), "run.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"xrdcomp\[excel\]"):
        read_tga(path)


HEADERS = {
    "Time (s),Temperature (K),Mass (mg)": ("K", "mg"),
    "t/s,T/K,m/mg": ("K", "mg"),
    "time_s,temperature_K,mass_mg": ("K", "mg"),
    "Time [s],Temp. [K],TG [mg]": ("K", "mg"),
    "Zeit (s),Temperatur (K),Masse (mg)": ("K", "mg"),
    "Temps (s),Température échantillon (K),Masse (mg)": ("K", "mg"),
    '"Time (s)","Sample Temp (K)","Weight (mg)"': ("K", "mg"),
    "Time,Temperature,Mass\n[s],[K],[mg]": ("K", "mg"),
    "Time,Temperature,Mass\ns,K,mg": ("K", "mg"),
    "# Time (s),Temperature (K),Mass (mg)": ("K", "mg"),
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_units_are_read_from_headers_as_people_write_them(save: Callable[..., Path], header: str) -> None:
    check(read_tga(save(w.table(CURVE, header=header), "run.csv")))


@pytest.mark.parametrize(
    ("unit", "factor", "expected"),
    [("mg", 1, "mg"), ("µg", 1e3, "ug"), ("μg", 1e3, "ug"), ("ug", 1e3, "ug"), ("g", 1e-3, "g"), ("%", 8, "percent"),
     ("wt%", 8, "percent"), ("wt.-%", 8, "percent"), ("g/g", 0.08, "fraction")],
)  # fmt: skip
def test_mass_units(save: Callable[..., Path], unit: str, factor: float, expected: str) -> None:
    columns = [CURVE.temperature_c, CURVE.mass_mg * factor]
    run = read_tga(save(f"Temperature (°C),Mass ({unit})\n" + w.rows(columns, ",", digits=9), "a.csv"))
    assert run.mass_unit == expected
    assert_close(run.mass, CURVE.mass_mg * factor, because=WRITTEN, atol=1e-9)
    codes = [d.code for d in run.messages]
    assert ("TGA_NO_INITIAL_MASS" in codes) == (expected in ("percent", "fraction"))
    assert "TGA_NO_TIME" in codes


@pytest.mark.parametrize(("unit", "seconds"), [("s", 1), ("sec", 1), ("min", 60), ("h", 3600), ("hours", 3600)])
def test_time_units(save: Callable[..., Path], unit: str, seconds: float) -> None:
    columns = [CURVE.time_s / seconds, CURVE.temperature_c, CURVE.mass_mg]
    run = read_tga(save(f"Time ({unit}),Temp (°C),Mass (mg)\n" + w.rows(columns, ",", digits=10), "a.csv"))
    assert run.time_s is not None
    assert_close(run.time_s, CURVE.time_s, because=WRITTEN, atol=1e-5)


@pytest.mark.parametrize("degree", ["°C", "ºC", "C", "degC", "deg C", "oC", "℃", "Celsius", "Cel", ">C", "Â°C", "�C"])
def test_spellings_of_celsius(save: Callable[..., Path], degree: str) -> None:
    text = f"Temperature ({degree}),Mass (mg)\n" + w.rows([CURVE.temperature_c, CURVE.mass_mg], ",")
    run = read_tga(save(text, "a.csv"))
    assert_close(run.temperature_c, CURVE.temperature_c, because=WRITTEN, atol=1e-6)


def test_units_that_are_stated_nowhere_are_asked_for_all_at_once(save: Callable[..., Path]) -> None:
    path = save(w.table(CURVE, header="Time,Temperature,Mass"), "a.csv")
    error = refusal(path)
    for keyword in ("mass_unit=", "temperature_unit=", "time_unit="):
        assert keyword in error.hint
    check(read_tga(path, mass_unit="mg", temperature_unit="K", time_unit="s"))


def test_values_never_decide_a_unit(save: Callable[..., Path]) -> None:
    text = "Temperature (°C),Mass\n" + w.rows([CURVE.temperature_c, CURVE.percent], ",")
    assert "mass_unit=" in refusal(save(text, "a.csv")).hint


def test_values_contradict_a_unit(save: Callable[..., Path]) -> None:
    celsius_as_kelvin = "Temperature (K),Mass (mg)\n" + w.rows([CURVE.temperature_c, CURVE.mass_mg], ",")
    path = save(celsius_as_kelvin, "a.csv")
    assert "kelvin and starts at 30" in refusal(path).reason
    assert read_tga(path, temperature_unit="C").temperature_c[0] == 30.0
    fraction = "Temperature (°C),Mass (%)\n" + w.rows([CURVE.temperature_c, CURVE.percent / 100], ",")
    assert "as a fraction would" in refusal(save(fraction, "b.csv")).reason
    kelvin = "Temperature (°C),Mass (mg)\n" + w.rows([CURVE.temperature_c + 273.15, CURVE.mass_mg], ",")
    codes = [d.code for d in read_tga(save(kelvin, "c.csv")).messages]
    assert "TGA_TEMPERATURE_LOOKS_KELVIN" in codes


def test_a_unit_given_against_the_file_is_told(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.table(CURVE), "a.csv"), mass_unit="g")
    assert [d.code for d in run.messages if d.severity == "warning"] == ["TGA_UNIT_OVERRIDDEN"]


def test_initial_mass_given_against_the_header_is_told(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.netzsch(CURVE)), initial_mass_mg=20.0)
    assert run.initial_mass_mg == 20.0
    assert "TGA_INITIAL_MASS_OVERRIDDEN" in [d.code for d in run.messages]


def test_mass_column_can_be_chosen_by_its_unit(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.trios(CURVE)), mass_unit="percent")
    assert run.mass_unit == "percent"
    check(run, mass_atol=2e-5)


def test_duplicate_columns_are_resolved_by_content(save: Callable[..., Path]) -> None:
    header = "Temperature (°C),Mass (mg),Temperature (°C),Mass (mg)"
    equal = [CURVE.temperature_c, CURVE.mass_mg, CURVE.temperature_c, CURVE.mass_mg]
    run = read_tga(save(header + "\n" + w.rows(equal, ","), "a.csv"))
    assert [d.code for d in run.messages].count("TGA_DUPLICATE_COLUMN") == 2
    empty = [CURVE.temperature_c, np.zeros_like(CURVE.mass_mg), CURVE.temperature_c, CURVE.mass_mg]
    run = read_tga(save(header + "\n" + w.rows(empty, ","), "a.csv"))
    assert_close(run.mass, CURVE.mass_mg, because=WRITTEN, atol=1e-6)
    differ = [CURVE.temperature_c, CURVE.mass_mg * 0.9, CURVE.temperature_c, CURVE.mass_mg]
    path = save(header + "\n" + w.rows(differ, ","), "a.csv")
    assert "differ" in refusal(path).reason
    assert_close(read_tga(path, columns={"mass": 2}).mass, CURVE.mass_mg * 0.9, because=WRITTEN, atol=1e-6)


def test_program_temperature_only_is_used_with_a_warning(save: Callable[..., Path]) -> None:
    text = "Program Temperature (°C),Mass (mg)\n" + w.rows([CURVE.temperature_c, CURVE.mass_mg], ",")
    run = read_tga(save(text, "a.csv"))
    assert "TGA_TEMPERATURE_NOT_OF_SAMPLE" in [d.code for d in run.messages]


def test_heat_flow_only_and_conversion_are_refused(save: Callable[..., Path]) -> None:
    columns = [CURVE.time_s, CURVE.temperature_c, np.sin(CURVE.temperature_c)]
    dsc = "Time (s),Temperature (°C),Heat Flow (mW)\n" + w.rows(columns, ",")
    assert "no mass" in refusal(save(dsc, "a.csv")).reason
    alpha = "Temperature (°C),Conversion (-)\n" + w.rows([CURVE.temperature_c, CURVE.percent / 100], ",")
    assert "degree of conversion" in refusal(save(alpha, "b.csv")).reason


def test_blank_leading_values_are_left_out_with_a_message(save: Callable[..., Path]) -> None:
    lines = w.table(CURVE).split("\n")
    for k in (1, 2, 3):
        time, _, mass = lines[k].split(",")
        lines[k] = f"{time},,{mass}"
    run = read_tga(save("\n".join(lines), "a.csv"))
    assert len(run) == len(CURVE.mass_mg) - 3
    (said,) = [d for d in run.messages if d.code == "TGA_ROWS_DROPPED"]
    assert (said.facts["rows"], said.facts["leading"]) == (3, 3)


def test_loss_counted_upwards(save: Callable[..., Path]) -> None:
    text = "Temperature (°C),Mass loss (%)\n" + w.rows([CURVE.temperature_c, 100 - CURVE.percent], ",")
    run = read_tga(save(text, "a.csv"))
    assert_close(run.mass, CURVE.percent, because=WRITTEN, atol=2e-6)


def test_clock_that_restarts_with_each_segment_runs_on(save: Callable[..., Path]) -> None:
    header, _, body = w.table(CURVE).partition("\n")
    lines = body.strip().split("\n")
    second = [f"{float(t) - CURVE.time_s[120]:.6f},{rest}" for t, _, rest in (x.partition(",") for x in lines[120:])]
    run = read_tga(save("\n".join([header, *lines[:120], "", header, *second]) + "\n", "a.csv"))
    assert run.segment is not None
    assert run.segment[119:121].tolist() == [0, 1]
    assert run.time_s is not None
    assert (np.diff(run.time_s) >= 0).all()
    assert "TGA_TIME_RESTARTS" in [d.code for d in run.messages]


def test_cooling_is_kept(save: Callable[..., Path]) -> None:
    up = np.concatenate([CURVE.temperature_c, CURVE.temperature_c[::-1]])
    mass = np.concatenate([CURVE.mass_mg, np.full(len(CURVE.mass_mg), CURVE.mass_mg[-1])])
    text = "Time (s),Temperature (°C),Mass (mg)\n" + w.rows([np.arange(len(up)) * 10.0, up, mass], ",")
    assert len(read_tga(save(text, "a.csv"))) == len(up)


def test_comma_that_could_be_either_is_refused(save: Callable[..., Path]) -> None:
    body = "\n".join(f"{t:.0f},5,{m:.0f},3" for t, m in zip(CURVE.temperature_c, CURVE.mass_mg, strict=True))
    error = refusal(save("Temperature (°C);Mass (mg)\n" + body, "a.csv"))
    assert "decimal signs or separators" in error.reason


BAD_ROWS = {
    "letter": ("12.5x,400.0,12.0", "is not a number"),
    "infinite": ("inf,400.0,12.0", "inf"),
    "missing column": ("1.0,400.0", "columns"),
    "extra column": ("1.0,400.0,12.0,9.0", "columns"),
    "word": ("damaged", "stands between|columns"),
    "underscore": ("1_0,400.0,12.0", "is not a number"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
@pytest.mark.parametrize("line", [5, 120, 240])
def test_damaged_row_is_refused_at_its_line(save: Callable[..., Path], kind: str, line: int) -> None:
    row, reason = BAD_ROWS[kind]
    lines = w.table(CURVE).split("\n")
    lines[line - 1] = row
    error = refusal(save("\n".join(lines), "a.csv"))
    assert error.place == f"line {line}"

    assert re.search(reason, error.reason)


def test_row_cut_behind_its_decimal_comma_is_refused(save: Callable[..., Path]) -> None:
    text = w.setaram(CURVE, change=True)
    last = text.rstrip("\n").rpartition("\n")[2]
    cut = last.split(";")
    cut = [*cut[:3], cut[3].partition(",")[0] + ","]
    error = refusal(save(text.rstrip("\n").removesuffix(last) + ";".join(cut), encoding="utf-16"))
    assert "4 columns where 5" in error.reason


def test_absurd_values_are_refused_or_told(save: Callable[..., Path]) -> None:
    def with_row(row: str) -> Path:
        lines = w.table(CURVE).split("\n")
        time = lines[100].split(",")[0]
        lines[100] = f"{time},{row}"
        return save("\n".join(lines), "a.csv")

    assert "no thermobalance" in refusal(with_row("700.0,1e12")).reason
    assert "temperature is" in refusal(with_row("99999.0,12.0")).reason
    assert "temperature is" in refusal(with_row("-5.0,12.0")).reason
    spike = read_tga(with_row("700.0,9999"))
    assert "TGA_SPIKE" in [d.code for d in spike.messages]
    spike = read_tga(with_row("350.0,12.0"))
    assert "TGA_SPIKE" in [d.code for d in spike.messages]


def test_no_mass_at_all_is_refused(save: Callable[..., Path]) -> None:
    text = "Temperature (°C),Mass (mg)\n" + w.rows([CURVE.temperature_c, np.zeros(240)], ",")
    assert "not above zero" in refusal(save(text, "a.csv")).reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 500,
        b"hello",
        b"\n" * 90,
        b"PK\x03\x04" + b"\x00" * 90,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x01" * 900,
        b"1,2\n3,4\n",
        b"Temperature (C),Mass (mg)\n",
    ],
)
def test_what_is_no_run_is_refused(save: Callable[..., Path], content: bytes) -> None:
    assert str(refusal(save(content)))


def test_folders_missing_files_and_wrong_words(tmp_path: Path, save: Callable[..., Path]) -> None:
    assert "folder" in refusal(tmp_path).reason
    refusal(tmp_path / "none.csv")
    path = save(w.table(CURVE), "a.csv")
    assert "kg" in refusal(path, mass_unit="kg").reason
    refusal(path, initial_mass_mg=-1.0)
    refusal(path, initial_mass_mg=float("nan"))
    refusal(path, columns={"weight": 1})
    assert "no column 9" in refusal(path, columns={"mass": 9}).reason
    assert "no format" in refusal_format(path).reason


def refusal_format(path: Path) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read_tga(path, format="nonsense")
    return caught.value


def test_kinds_are_told_apart(save: Callable[..., Path]) -> None:
    pattern = "2theta,intensity\n" + "\n".join(f"{10 + 0.02 * i:.2f},{100 + i % 7}" for i in range(500))
    path = save(pattern, "p.csv")
    assert inspect_file(path)["kind"] == "xrd"
    found = inspect_file(save(w.netzsch(CURVE), "t.csv"))
    assert set(found) == {"kind", "format", "segments"}
    assert all(set(segment) == SEGMENT_KEYS for segment in found["segments"])  # type: ignore[attr-defined]  # JSON
    refusal(path)
    with pytest.raises(ReadError, match="thermogravimetric"):
        read_xrd(save(w.netzsch(CURVE), "t.csv"))


@pytest.mark.parametrize("reader", [r for r in all_readers() if isinstance(r, TgaReader)], ids=lambda r: r.id)
def test_sniffers_are_calm(reader: TgaReader) -> None:
    for data in (b"\x00\xff" * 50, b"a", "\u2603 \n".encode(), b"1e999," * 900, b"#" * 9000, b"\n\n\n"):
        score = reader.sniff(SourceFile(path=Path("x"), data=data))
        assert 0.0 <= score <= 1.0
    assert reader.name
    assert reader.extensions


def test_comma_before_three_digits_is_told(save: Callable[..., Path]) -> None:
    body = "\n".join(f"{t:.0f}\t{m:,.0f}" for t, m in zip(CURVE.temperature_c, CURVE.mass_mg * 1e3, strict=True))
    run = read_tga(save("Temperature (°C)\tTG (ug)\n" + body + "\n"))
    assert "TGA_COMMA_DOUBTFUL" in [d.code for d in run.messages]
    plain = w.rows([CURVE.temperature_c, CURVE.mass_mg], "\t", ",", digits=4)
    assert "TGA_COMMA_DOUBTFUL" not in [
        d.code for d in read_tga(save("Temperature (°C)\tMass (mg)\n" + plain)).messages
    ]


def test_decimal_comma_that_comes_late_is_seen(save: Callable[..., Path]) -> None:
    body = "".join(f"{20 + i};{10000 - i}\n" for i in range(300)) + "320,5;9699,5\n"
    run = read_tga(save("Temperature (°C);TG (ug)\n" + body))
    assert run.mass[-1] == 9699.5


@pytest.mark.parametrize(
    ("gas", "expected"),
    [
        ("AIR", "air"), ("synth. air (N2/O2)", "air"), ("Stickstoff", "nitrogen"), ("N2", "nitrogen"), ("O2", "oxygen"),
        ("Argon", "argon"), ("CO2", "carbon_dioxide"), ("He", "helium"), ("N2 / O2", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
def test_gases(save: Callable[..., Path], gas: str, expected: str) -> None:
    assert read_tga(save(w.netzsch(CURVE, gas=gas))).atmosphere == expected


def test_protective_gas_is_not_the_atmosphere(save: Callable[..., Path]) -> None:
    text = w.netzsch(CURVE, gas="AIR").replace("#EXO:-1", "#EXO:-1\n#PROT. MFC:NITROGEN / 20 (ml/min)")
    assert read_tga(save(text)).atmosphere == "air"


def test_lone_segment_number_is_told(save: Callable[..., Path]) -> None:
    lines = w.netzsch(CURVE, segments=3).split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("##")) + 50
    lines[at] = lines[at].rpartition(";")[0] + ";7.000000"
    assert "TGA_SEGMENTS_ODD" in [d.code for d in read_tga(save("\n".join(lines))).messages]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Temperature (C),Mass (mg)\n" + "1,2\n" * 1_100_000, "lines, more than"),
        ("Temperature (C),Mass (mg)\n" + "20,5\nx\n" * 5_000, "alternate"),
        ("Temperature (C),Mass (mg)\n20,5\n" + "1," * 15_000 + "\n", "characters"),
    ],
    ids=["lines", "alternating", "long"],
)
def test_sizes_that_no_run_has(save: Callable[..., Path], content: str, reason: str) -> None:
    assert reason in refusal(save(content)).reason


def test_page_lists_every_format() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "readers-tga.md").read_text(encoding="utf-8")
    assert not {f["id"] for f in list_formats() if f["kind"] == "tga" and f"`{f['id']}`" not in page}


def test_netzsch_saved_again_by_a_spreadsheet(save: Callable[..., Path]) -> None:
    lines = w.netzsch(CURVE, separator=",").replace("SEPARATOR:COMMA", "SEPARATOR:SEMICOLON").split("\n")
    padded = [line + ",,,," if line.startswith("#") and not line.startswith("##") else line for line in lines]
    text = "\n".join(line or ",,," for line in padded[:-2]) + "\n,,,\n"
    run = read_tga(save(text))
    assert run.initial_mass_mg == 12.5
    check(run)


def test_netzsch_blank_run_in_mg_is_a_change(save: Callable[..., Path]) -> None:
    text = w.netzsch(CURVE, unit="mg").replace("Mass/mg", "Mass loss/mg")
    head, _, body = text.partition("##")
    lines = body.split("\n")
    for k in range(1, 241):
        cells = lines[k].split(";")
        cells[2] = f"{float(cells[2]) - 12.5:.6f}"
        lines[k] = ";".join(cells)
    check(read_tga(save(head + "##" + "\n".join(lines))))


def test_shimadzu_facts(save: Callable[..., Path]) -> None:
    run = read_tga(save(w.shimadzu(CURVE)))
    assert (run.initial_mass_mg, run.atmosphere, run.heating_rate_k_min) == (12.5, "air", 10.0)
    assert run.metadata["sample_name"] == "made up"


def test_samples_side_by_side_are_refused_until_columns_are_given(save: Callable[..., Path]) -> None:
    header = "Time (s),Temperature (°C),Mass (mg),Time (s),Temperature (°C),Mass (mg)"
    other = [CURVE.time_s * 2, CURVE.temperature_c, CURVE.mass_mg * 0.7]
    text = header + "\n" + w.rows([CURVE.time_s, CURVE.temperature_c, CURVE.mass_mg, *other], ",")
    path = save(text, "two.csv")
    assert "columns=" in refusal(path).hint
    check(read_tga(path, columns={"time": 1, "temperature": 2, "mass": 3}))


def test_other_tables_are_told(save: Callable[..., Path]) -> None:
    extra = "calibration\n1.0,2.0\n2.0,3.0\n3.0,4.0\n4.0,5.0\n\n"
    for text in (extra + w.table(CURVE), w.table(CURVE) + "\n" + extra):
        run = read_tga(save(text, "a.csv"))
        assert len(run) == 240
        assert "TGA_OTHER_TABLE" in [d.code for d in run.messages]


def test_clock_times_are_the_time_where_there_is_no_other(save: Callable[..., Path]) -> None:
    body = "\n".join(f"00:{i // 60:02d}:{i % 60:02d},{t},{m}" for i, (t, m) in enumerate(CURVE_ROWS))
    run = read_tga(save("Time (hh:mm:ss),Temp (°C),Mass (mg)\n" + body, "a.csv"))
    assert run.time_s is not None
    assert np.array_equal(run.time_s, np.arange(len(CURVE_ROWS)))


CURVE_ROWS = list(zip(CURVE.temperature_c.tolist(), CURVE.mass_mg.tolist(), strict=True))


class FakeTable:
    """As much of a pyarrow table as the reader of NETZSCH binaries looks at."""

    def __init__(self, columns: dict[str, w.FloatArray], facts: dict[str, object]) -> None:
        self.columns, self.num_rows = columns, len(CURVE.mass_mg)
        metadata = {b"file_metadata": json.dumps(facts).encode()}
        self.schema = types.SimpleNamespace(names=list(columns), metadata=metadata)

    def column(self, name: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(to_numpy=lambda: self.columns[name])


@pytest.fixture
def binary(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def make(**changes: object) -> Path:
        stage = {"purge_1_mfc_flow": 0.0, "purge_2_mfc_flow": 20.0, "stage_type": 1, "heating_rate": 10.0}
        program = {
            "stage_0": {**stage, "stage_type": 0, "temperature": 30.0, "time": 0.0},
            "stage_1": {**stage, "temperature": 480.0, "time": 2700.0},
            "stage_2": {**stage, "temperature": 930.0, "time": 2699.0},
            "stage_3": {**stage, "stage_type": 2, "temperature": 950.0, "time": 0.0},
        }
        facts = {"sample_mass": 12.5, "temperature_program": program, "purge_1_mfc_gas": "NITROGEN"}
        facts |= {"purge_2_mfc_gas": "SYNTHETIC AIR", "sample_name": "made up", **changes}
        columns = {
            "time": CURVE.time_s,
            "sample_temperature": CURVE.temperature_c,
            "mass": CURVE.mass_mg - 12.5,
            "furnace_temperature": CURVE.temperature_c + 20,
        }
        dropped = changes.get("without")
        fake = types.ModuleType("pyngb")
        kept = {name: values for name, values in columns.items() if name != dropped}
        monkeypatch.setattr(fake, "read_ngb", lambda _: FakeTable(kept, facts), raising=False)
        monkeypatch.setitem(sys.modules, "pyngb", fake)
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("Streams/stream_1.table", b"x" * 100)
        return save(stream.getvalue(), "run.ngb-ss3")

    return make


def test_netzsch_binary_mass_is_change_before_correction(binary: Callable[..., Path]) -> None:
    run = read_tga(binary())
    check(run)
    assert run.source is not None
    assert run.source.format == "netzsch_ngb"
    assert (run.atmosphere, run.heating_rate_k_min, run.initial_mass_mg) == ("air", 10.0, 12.5)
    assert [d.code for d in run.messages] == ["TGA_NOT_CORRECTED", "TGA_MASS_IS_CHANGE"]
    assert not run.corrected
    assert run.segment is not None
    assert list(np.unique(run.segment)) == [0, 1]  # the point behind the last stage belongs to it


def test_netzsch_binary_without_sample_mass_asks_for_it(binary: Callable[..., Path]) -> None:
    path = binary(sample_mass=None)
    assert "initial_mass_mg" in refusal(path).hint
    check(read_tga(path, initial_mass_mg=12.5))


def test_netzsch_binary_without_mass_is_refused(binary: Callable[..., Path]) -> None:
    assert "no mass signal" in refusal(binary(without="mass")).reason


def test_netzsch_binary_that_its_package_cannot_decode(
    binary: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        msg = "bad stream"
        raise KeyError(msg)

    path = binary()
    monkeypatch.setattr(sys.modules["pyngb"], "read_ngb", fail)
    assert "bad stream" in refusal(path).reason


@pytest.mark.parametrize(
    ("gases", "method", "expected", "told"),
    [
        ("Gas1: Nitrogen\nXcomment\tGas2: Air", "Select gas 1", "nitrogen", False),
        ("Gas1: Nitrogen\nXcomment\tGas2: Air", "Select gas 2", "air", False),
        ("Gas1: Nitrogen\nXcomment\tGas2: Air", "Select gas 1\nOrgMethod\t2: Select gas 2", "nitrogen", True),
        ("Gas1: Argon\nXcomment\tGas2: Argon", "Select gas 1\nOrgMethod\t2: Select gas 2", "argon", False),
        ("Pan: Pt Gas1: Nitrogen 50 mL/min Gas2: None", "Ramp 10 °C/min to 900 °C", "nitrogen", False),
    ],
)
def test_ta_gases_follow_the_method(
    save: Callable[..., Path], gases: str, method: str, expected: str, *, told: bool
) -> None:
    text = w.ta_universal(CURVE).replace("Sample Gas: Air 90.0 ml/min", gases)
    run = read_tga(save(text.replace("OrgMethod\t1: Ramp", f"OrgMethod\t0: {method}\nOrgMethod\t1: Ramp")))
    assert run.atmosphere == expected
    assert ("TGA_ATMOSPHERE_CHANGES" in [d.code for d in run.messages]) is told
