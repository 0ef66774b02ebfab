"""Whole runs in layouts, languages and code pages beside those of the writers: read, or asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tga_writers import make_curve
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_tga

CURVE = make_curve(300)
MINUTES, CELSIUS, MG = CURVE.time_s / 60.0, CURVE.temperature_c, CURVE.mass_mg
START = float(MG[0])
SHARES = 100.0 * MG / START


def rows(form: str, decimal: str = ".") -> list[str]:
    """Rows of minutes t, °C T, mg m, per cent p, change of mass d, index i."""
    found = []
    for i, (t, degrees, m, p) in enumerate(zip(MINUTES, CELSIUS, MG, SHARES, strict=True)):
        found.append(form.format(t=t, T=degrees, m=m, p=p, q=p - 100, d=m - START, i=i).replace(".", decimal))
    return found


NETZSCH = ["#EXPORTTYPE:DATA ALL", "#FORMAT:NETZSCH5", "#IDENTITY:HA", f"#SAMPLE MASS /mg:{START}", ""]
COLUMNS = "{T:.5f};{t:.6f};{p:.6f}"
FILES: dict[str, tuple[list[str], str, str, str]] = {
    "netzsch german.txt": (
        ["#EXPORTTYPE:DATEN ALLE", "#FORMAT:NETZSCH5", "#DECIMAL:KOMMA", "#SEPARATOR:SEMIKOLON",
         f"#PROBENMASSE /mg:{START}", "", "##Temp./°C;Zeit/min;Masse/%", *rows(COLUMNS, ","), ""],
        "cp1252", "netzsch_text", "percent",
    ),
    "netzsch french.txt": (
        [*NETZSCH[:3], "#DECIMAL:VIRGULE", "#SEPARATOR:POINT-VIRGULE", "", "##Temp./°C;Temps/min;TG/%",
         *rows(COLUMNS, ","), ""], "cp1252", "netzsch_text", "percent",
    ),
    "netzsch chinese.txt": (
        [*NETZSCH, "##温度/°C;时间/min;质量/%", *rows(COLUMNS), ""], "gb18030", "netzsch_text", "percent"
    ),
    "netzsch recoded.txt": (
        [*NETZSCH, "##Temp./癈;Time/min;Mass/%", *rows(COLUMNS), ""], "utf-8", "netzsch_text", "percent"
    ),
    "russian.txt": (
        ["Время/мин\tТемпература/°C\tМасса/%", *rows("{t:.6f}\t{T:.5f}\t{p:.6f}")], "cp1251", "tga_csv", "percent"
    ),
    "korean.csv": (["시간(min),온도(°C),질량(mg)", *rows("{t:.6f},{T:.5f},{m:.7f}")], "cp949", "tga_csv", "mg"),
    "stare.csv": (
        ["HA;;;", "Index;t;Ts;Value", ";[min];[°C];[mg]", *rows("{i};{t:.6f};{T:.5f};{m:.7f}", ",")], "utf-8",
        "tga_csv", "mg",
    ),
    "thermo plus.csv": (
        ["Thermo plus EVO2", "Sample Name,HA", f"Sample Weight,{START},mg", "Time(min),Temp.(°C),TG(mg),DTA(uV)",
         *rows("{t:.6f},{T:.5f},{d:.7f},0.2")], "utf-8", "tga_csv", "mg",
    ),
    "calisto.txt": (
        ["Setaram", f"Mass (mg) : {START}",
         "Index ;Time (min) ;Furnace Temperature (°C) ;Sample Temperature (°C) ;TG (mg) ;",
         *rows("{i};{t:.6f};999;{T:.5f};{d:.7f};")], "utf-8", "setaram", "mg",
    ),
    "linseis.csv": (
        ["Linseis", "Time [min];Temperature [°C];Weight [mg];DTA [µV]", *rows("{t:.6f};{T:.5f};{m:.7f};0,2", ",")],
        "cp1252", "tga_csv", "mg",
    ),
    "spanish.csv": (["Tiempo (min);Temperatura (°C);Masa (mg)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "utf-8",
                    "tga_csv", "mg"),
    "hungarian.csv": (["Idő (min);Hőmérséklet (°C);Tömeg (mg)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "cp1250",
                      "tga_csv", "mg"),
    "turkish.csv": (["Zaman (dk);Sıcaklık (°C);Kütle (mg)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "iso8859-9",
                    "tga_csv", "mg"),
    "romanian.csv": (["Timp (min);Temperatură (°C);Masă (mg)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "cp1250",
                     "tga_csv", "mg"),
    "greek.csv": (["Χρόνος (min);Θερμοκρασία (°C);Μάζα (mg)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "cp1253",
                  "tga_csv", "mg"),
    "ukrainian.csv": (["Час (хв);Температура (°C);Маса (мг)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "cp1251",
                      "tga_csv", "mg"),
    "unix japanese.csv": (["時間(min);温度(℃);質量(mg)", *rows("{t:.6f};{T:.5f};{m:.7f}")], "euc-jp", "tga_csv", "mg"),
    "chinese units.csv": (
        ["时间(分);样品温度(摄氏度);重量(毫克)", *rows("{t:.6f};{T:.5f};{m:.7f}")], "utf-8", "tga_csv", "mg"
    ),
    "korean units.csv": (["시간(분);온도(℃);무게(mg)", *rows("{t:.6f};{T:.5f};{m:.7f}")], "cp949", "tga_csv", "mg"),
    "macintosh.csv": (["Zeit (min);Probentemperatur (°C);Masse (mg)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")],
                      "mac-roman", "tga_csv", "mg"),
    "netzsch russian.txt": (
        [*NETZSCH, "##Темп./°C;Время/мин;Масса/%", *rows(COLUMNS), ""], "cp1251", "netzsch_text", "percent"
    ),
    "fortran.txt": (
        ["Time(min) Temp(C) Mass(mg)", *(row.replace("E", "D") for row in rows("{t:.7E} {T:.7E} {m:.9E}"))], "ascii",
        "tga_csv", "mg",
    ),
    "rows in quotes.csv": (['"Time (min),Temperature (°C),Mass (mg)"', *rows('"{t:.6f},{T:.5f},{m:.7f}"')], "utf-8",
                           "tga_csv", "mg"),
    "protected.csv": (["Time (min),Temperature (°C),Mass (mg)", *rows('="{t:.6f}",="{T:.5f}",="{m:.7f}"')], "utf-8",
                      "tga_csv", "mg"),
    "zero bytes.csv": (
        ["Time (min),Temperature (°C),Mass (mg)", *rows("{t:.6f},{T:.5f},{m:.7f}"), "\0" * 300], "utf-8", "tga_csv",
        "mg",
    ),
    "remarks below.csv": (
        ["Time,Temperature,Mass", "min,°C,mg", "HA,HA,HA", *rows("{t:.6f},{T:.5f},{m:.7f}")], "utf-8", "tga_csv", "mg"
    ),
    "zone.csv": (
        ["Timestamp,Temperature (°C),Mass (mg)", *(
            f"2024-05-17 {int(s // 3600):02d}:{int(s // 60) % 60:02d}:{s % 60:06.3f}+02:00,{row}"
            for s, row in zip(CURVE.time_s, rows("{T:.5f},{m:.7f}"), strict=True))], "utf-8", "tga_csv", "mg",
    ),
    "afternoon.csv": (
        ["Time,Temperature (°C),Mass (mg)", *(
            f"{11 + int(s // 3600)}:{int(s // 60) % 60:02d}:{s % 60:06.3f} {'AP'[int(s >= 3600)]}M,{row}"
            for s, row in zip(CURVE.time_s, rows("{T:.5f},{m:.7f}"), strict=True))], "utf-8", "tga_csv", "mg",
    ),
    "names in two lines.csv": (
        ['"Time\n(min)","Temperature\n(°C)","Mass\n(mg)"', *rows("{t:.6f},{T:.5f},{m:.7f}")], "utf-8", "tga_csv", "mg"
    ),
    "set temperature.csv": (
        ["Time (min),Set temp (°C),Temp (°C),Weight (mg)", *rows("{t:.6f},999,{T:.5f},{m:.7f}")], "utf-8", "tga_csv",
        "mg",
    ),
    "wide brackets.csv": (
        ["時間（min）,温度（℃）,重量（mg）", *rows("{t:.6f},{T:.5f},{m:.7f}")], "utf-8", "tga_csv", "mg"
    ),
    "wide brackets.txt": (
        ["时间（min）\t温度（℃）\t质量（％）", *rows("{t:.6f}\t{T:.5f}\t{p:.7f}")], "gb18030", "tga_csv", "percent"
    ),
    "greek.txt": (["t/min;ϑ/°C;Δm/%", *rows("{t:.6f};{T:.5f};{q:.7f}")], "utf-8", "tga_csv", "percent"),
    "words for units.csv": (
        ["Time (minutes),Temperature (degrees Celsius),Mass (milligrams)", *rows("{t:.6f},{T:.5f},{m:.7f}")], "utf-8",
        "tga_csv", "mg",
    ),
    "typographic.csv": (
        ["Time (min),Temperature (°C),Weight change (%)",
         *(row.replace("-", "\u2212") for row in rows("{t:.6f},{T:.5f},{q:.7f}"))], "utf-8", "tga_csv", "percent",
    ),
    "dos russian.csv": (["Время (мин);Температура (C);Масса (мг)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "cp866",
                        "tga_csv", "mg"),
    "koi8.csv": (["Время (мин);Температура (C);Масса (мг)", *rows("{t:.6f};{T:.5f};{m:.7f}", ",")], "koi8-r",
                 "tga_csv", "mg"),
    "netzsch italian.txt": (
        [*NETZSCH[:3], "#DECIMAL:VIRGOLA", "#SEPARATOR:PUNTO E VIRGOLA", f"#MASSA CAMPIONE /mg:{START}", "",
         "##Temp./°C;Tempo/min;Massa/%",
         *rows(COLUMNS, ","), ""], "cp1252", "netzsch_text", "percent",
    ),
    "pandas.csv": ([",time_min,temp_C,mass_mg", *rows("{i},{t:.6f},{T:.5f},{m:.7f}")], "utf-8", "tga_csv", "mg"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_variants_are_read(name: str, tmp_path: Path) -> None:
    lines, encoding, format_id, unit = FILES[name]
    path = tmp_path / name
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))
    run = read_tga(path)
    assert run.source is not None
    assert (run.source.format, run.mass_unit) == (format_id, unit)
    np.testing.assert_allclose(run.temperature_c, CELSIUS, atol=1e-4)
    assert run.time_s is not None
    np.testing.assert_allclose(run.time_s, CURVE.time_s, atol=1e-3)
    np.testing.assert_allclose(run.mass, MG if unit == "mg" else SHARES, atol=1e-5)
    if name.startswith(("netzsch g", "netzsch c", "netzsch i", "thermo", "calisto")):
        assert run.initial_mass_mg == pytest.approx(START)


@pytest.mark.parametrize("language", [("Zeit", "Temperatur", "Gewicht"), ("時間", "温度", "重量")])
def test_universal_analysis_of_other_languages(language: tuple[str, ...], tmp_path: Path) -> None:
    names = [
        f"Sig{k}\t{name} ({unit})" for k, (name, unit) in enumerate(zip(language, ("min", "°C", "mg"), strict=True), 1)
    ]
    path = tmp_path / "a.txt"
    head = ["Language\tx", f"Size\t{START}\tmg", "Nsig\t3", *names, "StartOfData"]
    path.write_bytes("\r\n".join([*head, *rows("{t:.6f}\t{T:.5f}\t{m:.7f}"), "-2.0\t0.0\t0.0", ""]).encode("utf-16"))
    run = read_tga(path)
    np.testing.assert_allclose(run.mass, MG, atol=1e-6)
    np.testing.assert_allclose(run.time_s, CURVE.time_s, atol=1e-3)


def test_names_of_an_unknown_language_are_told_by_their_units(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["เวลา (min),อุณหภูมิ (°C),มวล (mg)", *rows("{t:.6f},{T:.5f},{m:.7f}"), ""]))
    run = read_tga(path)
    np.testing.assert_allclose(run.mass, MG, atol=1e-6)
    assert {note.code for note in run.messages} == {"TGA_UNKNOWN_NAME"}


def test_minutes_and_seconds_are_no_hours(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    clock = [f"{int(s // 60):02d}:{int(s % 60):02d}" for s in CURVE.time_s]
    lines = [f"{time},{row}" for time, row in zip(clock, rows("{T:.5f},{m:.7f}"), strict=True)]
    path.write_text("\n".join(["Time (mm:ss),Temperature (°C),Mass (mg)", *lines, ""]))
    np.testing.assert_allclose(read_tga(path).time_s, np.floor(CURVE.time_s), atol=1e-9)


def test_rows_of_blank_cells_part_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [",," if i % 7 == 0 else row for i, row in enumerate(rows("{t:.6f},{T:.5f},{m:.7f}"))]
    path.write_text("\n".join(["Time (min),Temperature (°C),Mass (mg)", *lines, ""]))
    np.testing.assert_allclose(read_tga(path).mass, MG[np.arange(len(MG)) % 7 > 0], atol=1e-6)


def test_two_columns_with_decimal_commas_are_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows("{T:.1f},{p:.1f}", ",")) + "\n")
    with pytest.raises(ReadError, match="commas"):
        read_tga(path)


def test_a_loss_that_is_called_a_mass_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{degrees:.4f},{100 - p:.5f}" for degrees, p in zip(CELSIUS, SHARES, strict=True)]
    path.write_text("\n".join(["Temperature (°C),TG (%)", *lines, ""]))
    with pytest.raises(ReadError, match="as a loss of mass would"):
        read_tga(path)


def test_numbered_columns_are_masses_to_choose_from(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["T1 (°C),TG1 (%),T2 (°C),TG2 (%)", *rows("{T:.4f},{p:.5f},{T:.4f},{m:.5f}")]) + "\n")
    with pytest.raises(ReadError, match="several columns could be the mass"):
        read_tga(path)
    assert read_tga(path, columns={"mass": 2, "temperature": 1}).mass[0] == pytest.approx(100.0)


def _csv(tmp_path: Path, time: np.ndarray = MINUTES, mass: np.ndarray = MG, unit: str = "mg") -> set[str]:
    path = tmp_path / "run.csv"
    lines = [f"{t:.5f},{degrees:.4f},{m:.6f}" for t, degrees, m in zip(time, CELSIUS, mass, strict=True)]
    path.write_text("\n".join([f"Time (min),Temperature (°C),Mass ({unit})", *lines, ""]))
    return {message.code for message in read_tga(path).messages}


def test_an_unusual_unit_is_told(tmp_path: Path) -> None:
    """12.5 g and 12.5 µg are told, 12.5 mg are not; seconds called minutes give 0.17 K/min."""
    assert not _csv(tmp_path)
    assert _csv(tmp_path, unit="g") == _csv(tmp_path, unit="ug") == {"TGA_MASS_UNUSUAL"}
    assert _csv(tmp_path, time=60.0 * MINUTES) == {"TGA_HEATING_RATE_ODD"}
    assert _csv(tmp_path, mass=SHARES) == {"TGA_MASS_UNUSUAL"}  # per cent that are called mg


def test_readings_lost_in_a_hold_are_told_by_the_clock(tmp_path: Path) -> None:
    """The clock jumps 30 steps while the temperature stands still."""
    hold = MINUTES + np.where(np.arange(len(MINUTES)) >= 150, 30.0 * np.median(np.diff(MINUTES)), 0.0)
    assert _csv(tmp_path, time=hold) == {"TGA_ROWS_MISSING"}


def test_a_stretch_of_mass_that_jumps_and_comes_back_is_told(tmp_path: Path) -> None:
    """Three readings 4 % up, where readings around change by a tenth of that."""
    mass = MG.copy()
    at = int(np.argmin(np.abs(CELSIUS - 150.0)))
    mass[at : at + 3] *= 1.04
    assert _csv(tmp_path, mass=mass) == {"TGA_SPIKE"}


def test_a_stretch_whose_ends_are_larger_than_any_other_step_is_told(tmp_path: Path) -> None:
    """A tenth of the readings are those of the change, ten times."""
    mass = MG.copy()
    mass[20:50] = START + 10.0 * (mass[20:50] - START) - 3.0
    assert "TGA_SPIKE" in _csv(tmp_path, mass=mass)
