"""Writers of thermogravimetric exports, one per layout, independent of the readers; for round trips and fuzzing."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A run to write: °C, mg, seconds."""

    temperature_c: FloatArray
    mass_mg: FloatArray
    time_s: FloatArray
    initial_mg: float = 12.5

    @property
    def percent(self) -> FloatArray:
        return 100.0 * self.mass_mg / self.initial_mg


def make_curve(n: int = 240, *, initial_mg: float = 12.5, rate_k_min: float = 10.0) -> Curve:
    """Two steps on a ramp from 30 °C: water near 110 °C, organic near 340 °C."""
    temperature = np.linspace(30.0, 930.0, n)
    lost = 0.08 / (1 + np.exp(-(temperature - 110) / 18)) + 0.35 / (1 + np.exp(-(temperature - 340) / 25))
    lost -= lost[0]
    return Curve(
        temperature_c=np.round(temperature, 4),
        mass_mg=np.round(initial_mg * (1 - lost), 6),
        time_s=np.round((temperature - 30.0) / rate_k_min * 60.0, 3),
        initial_mg=initial_mg,
    )


def rows(columns: list[FloatArray], separator: str, decimal: str = ".", digits: int = 6) -> str:
    table = [separator.join(f"{v:.{digits}f}" for v in row) for row in zip(*columns, strict=True)]
    return "\n".join(table).replace(".", decimal) + "\n"


def netzsch(
    curve: Curve,
    *,
    separator: str = ";",
    decimal: str = ".",
    unit: str = "%",
    segments: int = 1,
    kelvin: bool = False,
    gas: str = "",
) -> str:
    names = {";": "SEMICOLON", ",": "COMMA", "\t": "TAB", " ": "SPACE"}
    mark = "COMMA" if decimal == "," else "POINT"
    head = [
        "#EXPORTTYPE:DATA ALL",
        "#FORMAT:NETZSCH5",
        "#IDENTITY:made up",
        f"#DECIMAL:{mark}",
        f"#SEPARATOR:{names[separator]}",
        "#INSTRUMENT:NETZSCH TG 209",
        f"#SAMPLE MASS /mg:{str(curve.initial_mg).replace('.', decimal)}",
        "#EXO:-1",
        f"#SEGMENT:S1-{segments}/{segments}",
    ]
    if gas:
        head.append(f"#PURGE 1 MFC:{gas} / 20 (ml/min)")
    ends = np.linspace(30, 930, segments + 1)
    head += [
        f"#SEG. {k + 1}:{a:.0f}°C/10{decimal}0(K/min)/{b:.0f}°C" for k, (a, b) in enumerate(itertools.pairwise(ends))
    ]
    scale = "K" if kelvin else "°C"
    temperature = curve.temperature_c + (273.15 if kelvin else 0.0)
    mass = {"%": curve.percent, "mg": curve.mass_mg}[unit]
    cells = [f"##Temp./{scale}", "Time/min", f"Mass/{unit}", "DTG/(%/min)"]
    columns = [temperature, curve.time_s / 60, mass, np.zeros_like(mass)]
    if segments > 1:
        cells.append("Segment")
        number = np.minimum(np.arange(len(mass)) * segments // len(mass), segments - 1) + 1
        columns.append(number.astype(float))
    return "\n".join(head) + "\n\n" + separator.join(cells) + "\n" + rows(columns, separator, decimal) + "\n"


def ta_universal(curve: Curve, *, gas: str = "Air") -> str:
    head = [
        "CLOSED",
        "Version\t2.0",
        "Instrument\tTGA Q500 V20.13 Build 39",
        "Module\tTGA",
        "Sample\tmade up",
        f"Size\t{curve.initial_mg}\tmg",
        "Xcomment\tBalance Gas: Nitrogen 10.0 ml/min",
        f"Xcomment\tSample Gas: {gas} 90.0 ml/min",
        "Nsig\t3",
        "Sig1\tTime (min)",
        "Sig2\tTemperature (°C)",
        "Sig3\tWeight (mg)",
        "OrgMethod\t1: Ramp 10.00 °C/min to 930.00 °C",
        "StartOfData",
        "-3.000000\t1.000000\t0.0000000",
    ]
    body = rows([curve.time_s / 60, curve.temperature_c, curve.mass_mg], "\t")
    return "\n".join(head) + "\n" + body + "-1.000000\t930.0000\t0.0000000\n"


def trios(curve: Curve, *, steps: int = 2, separator: str = "\t") -> str:
    names = "; ".join(["Select Gas: Gas 1", *["Ramp 10.00 °C/min to 900.00 °C"] * steps, "Data Off"])
    lines = [f"Filename{separator}made up", f"Instrument name{separator}TGA", f"Sample name{separator}made up"]
    lines += [f"proceduresegments{separator}{names}"]
    for part in np.array_split(np.arange(len(curve.mass_mg)), steps):
        columns = [curve.time_s / 60, curve.temperature_c, curve.percent, curve.mass_mg]
        lines += ["[step]", "Ramp 10.00 °C/min to 900.00 °C"]
        lines.append(separator.join(("Time", "Temperature", "Weight", "Weight")))
        lines.append(separator.join(("min", "°C", "%", "mg")))
        lines += rows([c[part] for c in columns], separator, digits=7).split("\n")
    return "\n".join(lines) + "\n"


def mettler(curve: Curve) -> str:
    head = ["Title" + " " * 40 + "01.01.2024 18:00", "_" * 80, "", "FileName:", "  made up", "  Sample Weight"]
    head += ["SampleID:", f"  made up, {curve.initial_mg} mg", "Results:", "Curve:"]
    head += ["          Index              t             Ts             Tr          Value"]
    head += ["                           [s]           [°C]           [°C]           [mg]"]
    index = np.arange(len(curve.mass_mg))
    body = [
        f"{i:15d}{t:15.3f}{ts:15.4f}{ts + 3:15.4f}{m:15.6f}"
        for i, t, ts, m in zip(index, curve.time_s, curve.temperature_c, curve.mass_mg, strict=True)
    ]
    heat = ["Curve:", *head[-2:-1], head[-1].replace("[mg]", "[mW]"), *(line[:-15] + f"{1.0:15.6f}" for line in body)]
    return "\n".join([*head, *body, "", *heat, "", "_" * 80, " " * 60 + "STARe SW 17.00"]) + "\n"


def perkinelmer(curve: Curve, *, gas: str = "Oxygen") -> str:
    half = len(curve.mass_mg) // 2
    head = [
        "Filename:\tmade up",
        "Sample ID:\tmade up",
        f"Sample Weight:\t{curve.initial_mg} mg ",
        f"Display Weight:\t{curve.initial_mg} ",
        "Initial Conditions ",
        "Temperature:\t 30.00 °C ",
        f"Total Points in Run:\t{len(curve.mass_mg)} ",
        "Method Steps: ",
        "Pre-Run Actions ",
        f"Switch the Gas to {gas} at 45.0 ml/min  ",
        "1)\tHeat from 30.00°C to 480.00°C at 10.00°C/min ",
        "2)\tHeat from 480.00°C to 930.00°C at 10.00°C/min ",
        " ",
        "1) TGA Temperature Scan ",
        "\tTime     \tUnsubtracted\tBaseline     \tProgram     \tSample      ",
        "\t          \tWeight     \tWeight     \tTemperature\tTemperature ",
    ]
    zero = np.zeros(len(curve.mass_mg))
    columns = [curve.time_s / 60, curve.mass_mg, zero, curve.temperature_c + 2, curve.temperature_c]
    text = rows(columns, "\t", digits=7)
    lines = ["\t" + line + " " for line in text.strip().split("\n")]
    return (
        "\n".join([*head, *lines[:half], "2) TGA Temperature Scan ", *lines[half:], "Data taken using the\tLow Range "])
        + "\n"
    )


def setaram(curve: Curve, *, change: bool = False, decimal: str = ",") -> str:
    head = f"Experiment : made up\nInitial mass (mg) : {curve.initial_mg}\n"
    names = "Time (s);Furnace Temperature (°C);Sample Temperature (°C);TG (mg);HeatFlow (mW)\n"
    mass = curve.mass_mg - (curve.initial_mg if change else 0.0)
    columns = [curve.time_s, curve.temperature_c + 4, curve.temperature_c, mass, np.zeros_like(mass)]
    return head + names + rows(columns, ";", decimal)


def shimadzu(curve: Curve) -> str:
    head = "[Header]\nFile Name:\tmade up.tad\nDetector:\tDTG-60H\n[Sample Info]\nSample Name:\tmade up\n"
    head += f"Sample Weight:\t{curve.initial_mg}[mg]\nAtmosphere:\tAir\n[Temp Program]\n"
    head += "10.0\t480.0\t0\t0\n10.0\t930.0\t0\t0\n[Data]\n"
    body = rows([curve.time_s, curve.temperature_c, curve.mass_mg, np.zeros_like(curve.mass_mg)], "\t")
    return head + "Time\tTemp\tTGA\tDTA\nsec\tC\tmg\tuV\n" + body


def hitachi(curve: Curve) -> str:
    head = "Data Name:\tmade up\nModule:\tSTA7200RV Hitachi\nSample Name:\tmade up\n"
    head += f"Sample Weight:\t{curve.initial_mg} mg\nGas:\tN2\n"
    body = rows([curve.time_s / 60, curve.temperature_c, np.zeros_like(curve.mass_mg), curve.mass_mg * 1e3], "\t")
    return head + "Time\tTemp.\tDTA\tTG\nmin\tCel\tuV\tug\n" + body


def table(curve: Curve, *, separator: str = ",", header: str = "Time (s),Temperature (K),Mass (mg)") -> str:
    kelvin = curve.temperature_c + 273.15
    return header + "\n" + rows([curve.time_s, kelvin, curve.mass_mg], separator)


def workbook(curve: Curve, *, header: tuple[str, ...] = ("Time (min)", "Temperature (°C)", "Mass (mg)")) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    if header:
        sheet.append(list(header))
    for row in zip(curve.time_s / 60, curve.temperature_c, curve.mass_mg, strict=True):
        sheet.append([float(value) for value in row])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


TEXTS: dict[str, Callable[..., str]] = {
    "netzsch_text": netzsch,
    "ta_universal": ta_universal,
    "ta_trios": trios,
    "mettler_stare": mettler,
    "perkinelmer_pyris": perkinelmer,
    "setaram": setaram,
    "shimadzu_text": shimadzu,
    "hitachi_text": hitachi,
    "tga_csv": table,
}
