"""Kinds of thermogravimetric files that laboratories have: each is read right, or refused with its true reason."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import tga_writers as w
from tests.helpers import assert_close
from xrdcomp.data import TgaRun
from xrdcomp.errors import ReadError
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.simulate import SpecimenModel, TgaConditions, XrdConditions, simulate_pattern, simulate_tga
from xrdcomp.simulate.cohort import TGA_FORMATS, XRD_FORMATS

CURVE = w.make_curve()
MINUTES, CELSIUS, MASS = CURVE.time_s / 60.0, CURVE.temperature_c, CURVE.mass_mg
WRITTEN = "digits that are printed"


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "run.txt", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def codes(run: TgaRun) -> dict[str, str]:
    return {message.code: message.severity for message in run.messages}


def check(run: TgaRun, *, timed: bool = True, step: int = 1) -> None:
    assert_close(run.temperature_c, CELSIUS[::step], because=WRITTEN, atol=1e-3)
    assert_close(run.mass, MASS[::step], because=WRITTEN, atol=1e-4)
    if timed:
        assert run.time_s is not None
        passed = run.time_s - run.time_s[0]
        assert_close(passed, CURVE.time_s[::step] - CURVE.time_s[0], because=WRITTEN, atol=0.01)


def rows(form: str = "{t:.6f},{c:.4f},{m:.5f}") -> str:
    columns = zip(MINUTES, CELSIUS, MASS, strict=True)
    return "\n".join(form.format(t=t, c=c, m=m, k=k) for k, (t, c, m) in enumerate(columns)) + "\n"


def refusal(path: Path, **options: object) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read_tga(path, **options)  # type: ignore[arg-type] # any option
    return caught.value


# Names, units, encodings


@pytest.mark.parametrize(
    "header",
    [
        "Temps (min);Température de l'échantillon (°C);Poids (mg)", "Tiempo (min);Temperatura (°C);Masa (mg)",
        "Tempo (min);Temperatura del campione (°C);Peso (mg)", "Zeit (min);Probentemperatur (°C);Gewicht (mg)",
        "時間 (min);試料温度 (°C);重量 (mg)", "时间 (分);样品温度 (℃);质量 (mg)",
        "Время (мин);Температура (°C);Масса (мг)",
        "Czas (min);Temperatura próbki (°C);Masa (mg)", "Tid (min);Temperatur (°C);Vikt (mg)",
        "Čas (min);Teplota (°C);Hmotnost (mg)", "Tijd (min);Temperatuur (°C);Massa (mg)",
        "시간 (min);온도 (°C);질량 (mg)",
    ],
)  # fmt: skip
def test_words_of_many_languages(save: Callable[..., Path], header: str) -> None:
    body = rows("{t:.6f};{c:.4f};{m:.5f}").replace(".", ",")
    run = read_tga(save(f"{header}\n{body}"))
    check(run)
    assert run.mass_unit == "mg"


@pytest.mark.parametrize("encoding", ["cp437", "cp850"])
def test_a_degree_sign_as_dos_wrote_it(save: Callable[..., Path], encoding: str) -> None:
    text = w.netzsch(CURVE).replace("#REMARK:", "#REMARK:Prüfung größer öl ")
    text = text if "Prüfung" in text else text.replace("#IDENTITY:", "#REMARK:Prüfung größer öl\n#IDENTITY:")
    run = read_tga(save(text.encode(encoding, errors="replace")))
    assert_close(run.temperature_c, CELSIUS, because=WRITTEN, atol=1e-3)
    assert run.metadata["temperature_column"] == "Temp. (°C)"


def test_calisto_names_its_temperatures_furnace_and_sample(save: Callable[..., Path]) -> None:
    lines = [
        "Calisto export",
        "Experiment : bone",
        "",
        f"{'Index':>8}{'Time (s)':>14}{'Furnace (°C)':>16}{'Sample (°C)':>16}{'TG (mg)':>14}",
    ]
    lines += [
        f"{k:>8}{60 * t:>14.3f}{c + 8:>16.4f}{c:>16.4f}{m:>14.5f}"
        for k, (t, c, m) in enumerate(zip(MINUTES, CELSIUS, MASS, strict=True))
    ]
    run = read_tga(save("\r\n".join(lines) + "\r\n", encoding="utf-16"))
    check(run)
    assert run.metadata["temperature_column"] == "Sample (°C)"


def test_utf16_without_mark_and_of_odd_length(save: Callable[..., Path]) -> None:
    data = ("Time (min)\tTemperature (°C)\tMass (mg)\n" + rows("{t:.6f}\t{c:.4f}\t{m:.5f}")).encode("utf-16-le")
    check(read_tga(save(data)))
    cut = read_tga(save(data + b"\x31"))
    check(cut)
    assert codes(cut)["TGA_CUT"] == "warning"


def test_kelvin_said_to_be_celsius(save: Callable[..., Path]) -> None:
    warm = rows("{t:.6f},{c:.4f},{m:.5f}").split("\n")
    body = "\n".join(
        f"{a},{float(b) + 313.15 - CELSIUS[0]:.4f},{c}" for a, b, c in (row.split(",") for row in warm if row)
    )
    run = read_tga(save(f"Time (min),Temperature (°C),Mass (mg)\n{body}\n"))
    assert codes(run)["TGA_TEMPERATURE_LOOKS_KELVIN"] == "warning"


# Layouts


def test_quoted_numbers_with_decimal_commas(save: Callable[..., Path]) -> None:
    body = rows('"{t:.6f}"|"{c:.4f}"|"{m:.5f}"').replace(".", ",").replace("|", ",")
    check(read_tga(save("Time,Temp.,TG\nmin,Cel,mg\n" + body, "run.csv")))
    check(read_tga(save("Time;Temp.;TG\nmin;Cel;mg\n" + body.replace('","', '";"'), "run.csv")))


def test_ta_text_without_startofdata(save: Callable[..., Path]) -> None:
    lines = w.ta_universal(CURVE).split("\n")
    start = next(i for i, line in enumerate(lines) if line.strip() == "StartOfData")
    body = [line.replace("\t", " ") for line in lines[start + 1 :] if not line.startswith("-")]
    check(read_tga(save("\n".join([*lines[:start], *body]))))
    assert "no row of numbers" in refusal(save("\n".join(lines[:start]))).reason


def test_stare_export_of_every_third_point(save: Callable[..., Path]) -> None:
    lines = w.mettler(CURVE).split("\n")
    head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["Index"])
    number = [i for i, line in enumerate(lines) if i > head and line.split()[:1] and line.split()[0].isdigit()]
    first = number[: len(MASS)]
    thin = [line for i, line in enumerate(lines) if i not in first or first.index(i) % 3 == 0]
    run = read_tga(save("\n".join(thin)))
    check(run, step=3)
    assert codes(run)["TGA_EVERY_NTH_POINT"] == "info"
    del thin[head + 10]
    assert "rows are missing" in refusal(save("\n".join(thin))).reason


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("Date,Time (min),Temperature (°C),Mass (mg)", "2024-03-01 09:{k:02d}:00,{t:.6f},{c:.4f},{m:.5f}"),
        ("Time (min),Temperature (°C),Clock,Mass (mg)", "{t:.6f},{c:.4f},23:59:{k:02d},{m:.5f}"),
        ("Time (min);Date;Temperature (°C);Mass (mg)", "{t:.6f};01.03.2024;{c:.4f};{m:.5f}"),
        ("When  Time(min)  Temp(°C)  Mass(mg)", "3/1/2024 11:59:{k:02d} PM {t:.6f} {c:.4f} {m:.5f}"),
    ],
)  # fmt: skip
def test_a_clock_beside_the_minutes(save: Callable[..., Path], header: str, form: str) -> None:
    columns = enumerate(zip(MINUTES, CELSIUS, MASS, strict=True))
    body = "\n".join(form.format(t=t, c=c, m=m, k=k % 60) for k, (t, c, m) in columns)
    check(read_tga(save(f"{header}\n{body}\n")))


def test_a_time_of_day_runs_on_past_midnight(save: Callable[..., Path]) -> None:
    seconds = 86_395 + np.arange(len(MASS))
    clock = [f"{s // 3600 % 24:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in seconds.tolist()]
    body = "\n".join(f"{a};{c:.4f};{m:.5f}" for a, c, m in zip(clock, CELSIUS, MASS, strict=True))
    run = read_tga(save("Stamp;Temp (°C);Mass (mg)\n" + body + "\n"))
    check(run, timed=False)
    assert run.time_s is not None
    assert np.array_equal(run.time_s, np.arange(len(MASS)))
    damaged = body.replace("00:00:03", "00:0x:03")
    assert "'00:0x:03'" in refusal(save("Stamp;Temp (°C);Mass (mg)\n" + damaged + "\n")).reason


def test_a_hold_without_time_keeps_its_order(save: Callable[..., Path]) -> None:
    celsius = np.concatenate([np.linspace(30, 600, 200), 600 + 0.05 * np.sin(np.arange(150))])
    mass = np.concatenate([np.linspace(10, 8, 200), np.linspace(8, 6, 150)])
    body = "\n".join(f"{c:.3f},{m:.4f}" for c, m in zip(celsius, mass, strict=True))
    run = read_tga(save(f"Temperature (°C),Mass (mg)\n{body}\n"))
    assert run.time_s is None
    assert_close(run.mass, mass, because=WRITTEN, atol=1e-4)
    assert_close(run.temperature_c, celsius, because=WRITTEN, atol=1e-3)


# How much of it there is


def test_more_records_than_declared(save: Callable[..., Path]) -> None:
    text = w.perkinelmer(CURVE)
    declared = next(line for line in text.split("\n") if line.startswith("Total Points"))
    shorter = text.replace(declared, declared.replace("240", "230"))
    run = read_tga(save(shorter))
    assert len(run) == 230
    assert codes(run)["TGA_RECORDS_BEYOND"] == "warning"
    assert "240" in refusal(save(text.replace(declared, declared.replace("240", "250")))).reason
    head = "Number of points: 240\nTime (min),Temperature (°C),Mass (mg)\n"
    padded = read_tga(save(head + rows() + "0.0,0.0,0.0\n" * 16))
    check(padded)
    assert codes(padded)["TGA_RECORDS_BEYOND"] == "warning"
    fewer = read_tga(save(head.replace("240", "400") + rows()))
    assert codes(fewer)["TGA_CUT"] == "warning"


def test_a_table_that_was_cut_within_its_last_number(save: Callable[..., Path]) -> None:
    text = "Time (min),Temperature (°C),Mass (mg)\n" + rows()
    assert codes(read_tga(save(text[:-3])))["TGA_CUT"] == "warning"
    assert codes(read_tga(save(text[:-1]))) == {"TGA_NO_FINAL_NEWLINE": "info"}


@pytest.mark.parametrize(
    "write", [w.netzsch, w.ta_universal, w.perkinelmer, w.trios, w.setaram, w.shimadzu, w.mettler],
    ids=lambda write: write.__name__,
)  # fmt: skip
def test_two_exports_in_one_file_are_two_runs(save: Callable[..., Path], write: Callable[[w.Curve], str]) -> None:
    text, other = write(CURVE), write(w.make_curve(initial_mg=8.0))
    problem = refusal(save(text + other))
    assert "2 " in problem.reason
    assert "run=N" in (problem.hint or "")
    first, second = (read_tga(save(text + other), run=run) for run in (0, 1))
    assert_close(first.mass[0] / second.mass[0], 1.0 if first.mass_unit == "percent" else 12.5 / 8.0, because=WRITTEN,
                 rtol=1e-3)  # fmt: skip
    assert len(first) == len(second) == len(MASS)
    twice = read_tga(save(text + text))
    assert len(twice) == len(MASS)
    assert codes(twice)["TGA_STORED_TWICE"] == "warning"


def test_tables_one_below_the_other(save: Callable[..., Path]) -> None:
    header = "Time (min),Temperature (°C),Mass (mg)\n"
    smaller = "\n".join(f"{t:.6f},{c:.4f},{m / 2:.5f}" for t, c, m in zip(MINUTES, CELSIUS, MASS, strict=True)) + "\n"
    both = save(header + rows() + header + smaller)
    assert "2 runs" in refusal(both).reason
    check(read_tga(both, run=0))
    assert_close(read_tga(both, run=1).mass, MASS / 2, because=WRITTEN, atol=1e-4)
    assert "no run 2" in refusal(both, run=2).reason
    other = save(header + rows() + "t (s),T (K),m (mg)\n" + rows("{t:.6f},{c:.4f},{m:.5f}"))
    assert "second table" in refusal(other).reason
    check(read_tga(other, run=0))


def test_every_row_stored_twice(save: Callable[..., Path]) -> None:
    doubled = "".join(f"{row}\n{row}\n" for row in rows().split("\n") if row)
    run = read_tga(save("Time (min),Temperature (°C),Mass (mg)\n" + doubled))
    check(run)
    assert codes(run)["TGA_STORED_TWICE"] == "warning"


# JCAMP-DX

JCAMP = "##TITLE=bone 7\n##JCAMP-DX=4.24\n##DATA TYPE=THERMOGRAVIMETRIC ANALYSIS\n##$GAS=N2\n"


def test_jcamp_pairs_and_tuples(save: Callable[..., Path]) -> None:
    head = JCAMP + "##XUNITS=°C\n##YUNITS=mg\n##NPOINTS=240\n##XYPOINTS=(XY..XY)\n"
    run = read_tga(save(head + rows("{c:.4f}, {m:.5f}") + "##END=\n", "run.jdx"))
    check(run, timed=False)
    assert (run.metadata["sample_name"], run.atmosphere) == ("bone 7", "nitrogen")
    names = "##VAR_NAME=Time,Temperature,Weight\n##SYMBOL=T,X,Y\n##UNITS=min,°C,mg\n##PAGE=N=1\n"
    body = names + "##DATA TABLE=(TXY..TXY), PEAKS\n" + rows("{t:.6f} {c:.4f} {m:.5f}")
    check(read_tga(save(JCAMP + "##NTUPLES=TGA\n" + body + "##END NTUPLES=TGA\n##END=\n", "run.jdx")))


def test_jcamp_rows_of_ordinates(save: Callable[..., Path]) -> None:
    head = JCAMP + "##XUNITS=°C\n##YUNITS=WEIGHT PERCENT\n##FIRSTX=25\n##DELTAX=2\n##NPOINTS=60\n##YFACTOR=0.01\n"
    lines = [f"{25 + 12 * i} " + " ".join(str(10_000 - 10 * (6 * i + k)) for k in range(6)) for i in range(10)]
    text = head + "##XYDATA=(X++(Y..Y))\n" + "\n".join(lines) + "\n##END=\n"
    run = read_tga(save(text, "run.jdx"))
    assert_close(run.temperature_c, 25.0 + 2.0 * np.arange(60), because=WRITTEN, atol=1e-9)
    assert_close(run.mass, 100.0 - 0.1 * np.arange(60), because=WRITTEN, atol=1e-9)
    assert run.mass_unit == "percent"
    assert "49 follows" in refusal(save(text.replace("\n49 ", "\n51 "), "run.jdx")).reason
    assert "plain numbers" in refusal(save(text.replace("10000", "10x00"), "run.jdx")).reason
    squeezed = read_tga(save(text.replace("10000", "A0000"), "run.jdx"))
    assert squeezed.mass.tolist() == run.mass.tolist()
    assert "60 points" in refusal(save(text.replace(lines[-1] + "\n", ""), "run.jdx")).reason


def test_jcamp_of_another_kind_is_named(save: Callable[..., Path]) -> None:
    text = JCAMP.replace("THERMOGRAVIMETRIC ANALYSIS", "INFRARED SPECTRUM") + "##END=\n"
    assert "'INFRARED SPECTRUM'" in refusal(save(text, "run.jdx")).reason


def test_jcamp_blocks_are_runs(save: Callable[..., Path]) -> None:
    head = "##XUNITS=°C\n##YUNITS=mg\n##XYPOINTS=(XY..XY)\n"
    block = JCAMP + head + rows("{c:.4f}, {m:.5f}") + "##END=\n"
    text = "##TITLE=both\n##JCAMP-DX=4.24\n##DATA TYPE=LINK\n##BLOCKS=2\n" + block + block.replace("bone 7", "bone 8")
    path = save(text + "##END=\n", "run.jdx")
    assert "2 blocks" in refusal(path).reason
    assert read_tga(path, run=1).metadata["sample_name"] == "bone 8"


# Gases


def test_trios_gas_changes(save: Callable[..., Path]) -> None:
    text = w.trios(CURVE)
    steps = "Select Gas: Gas 1 ; Ramp 10.00 °C/min to 480 °C; Select Gas: Gas 2; Ramp 10.00 °C/min to 900 °C"
    facts = f"Gas 1\tNitrogen\nGas 2\tAir\nproceduresegments\t{steps}\n"
    lines = [line for line in text.split("\n") if not line.startswith("proceduresegments")]
    run = read_tga(save(facts + "\n".join(lines)))
    assert run.atmosphere == "nitrogen"
    (change,) = run.gas_changes
    assert change.gas == "air"
    assert run.segment is not None
    assert run.time_s is not None
    begins = float(run.time_s[np.argmax(run.segment == 1)] - run.time_s[0])
    assert_close((change.from_min or 0.0) * 60.0, begins, because=WRITTEN, atol=1e-3)
    assert codes(run)["TGA_ATMOSPHERE_CHANGES"] == "info"


def test_ta_marks_say_where_the_gas_changes(save: Callable[..., Path]) -> None:
    text = w.ta_universal(CURVE).replace("Sample Gas: Air 90.0 ml/min", "Gas1: Nitrogen Gas2: Air")
    lines = text.split("\n")
    marks = [i for i, line in enumerate(lines) if line.startswith("-3")]
    row = marks[0] + 100
    width = lines[row].count("\t")
    lines.insert(row, "\t".join(["-3.000000", "2.000000", *["0.0000000"] * (width - 1)]))
    run = read_tga(save("\n".join(lines)))
    assert run.atmosphere == "nitrogen"
    assert [change.gas for change in run.gas_changes] == ["air"]
    assert run.gas_starts() == (row - marks[0] - 1,)


@pytest.mark.parametrize(
    ("words", "start", "later"),
    [
        ("nitrogen, air from 600 °C", "nitrogen", "air@600C"), ("N2 -> air at 30 min", "nitrogen", "air@30min"),
        ("N2 50 ml/min then O2 50 ml/min at 700 C", "nitrogen", "oxygen@700C"), ("Argon 5.0", "argon", ""),
    ],
)  # fmt: skip
def test_gases_of_a_header_in_words(save: Callable[..., Path], words: str, start: str, later: str) -> None:
    run = read_tga(save(f"# Atmosphere: {words}\nTime (min),Temperature (°C),Mass (mg)\n{rows()}"))
    assert (run.atmosphere, ",".join(map(str, run.gas_changes))) == (start, later)


# Workbooks and simulated exports


def test_old_workbook_whose_size_and_rows_differ(real_files: Path, save: Callable[..., Path]) -> None:
    data = bytearray((real_files / "tga/ta_trios/TA_instrument_excel.xls").read_bytes())
    # the record DIMENSIONS of the second sheet: first row, and one past the last
    at = data.index(b"\x00\x02\x0e\x00" + struct.pack("<II", 0, 3603))
    data[at + 8 : at + 12] = struct.pack("<I", 3703)
    assert "declares 3703 rows and holds 3603" in refusal(save(bytes(data), "run.xls")).reason


@pytest.mark.parametrize("name", ['tooth "7"', "two\nlines", "a;b\tc", "Кость 7", "\x00\x1b[2J"])
def test_simulated_exports_guard_their_names(save: Callable[..., Path], name: str) -> None:
    model = SpecimenModel(specimen_id=name, apatite=0.6, protein=0.3, water=0.1)
    run = simulate_tga(model, TgaConditions(points=200), seed=1)
    for write in TGA_FORMATS.values():
        assert len(read_tga(save(write(run), "run.txt"))) == 200
    pattern, _ = simulate_pattern(model, XrdConditions(two_theta_min=20.0, two_theta_max=40.0, step=0.05), seed=1)
    for export_format, write_xrd in XRD_FORMATS.items():
        read = read_xrd(save(write_xrd(pattern), f"scan.{export_format}"))
        assert np.array_equal(read.intensity, pattern.intensity), export_format
