"""Columns of text: 2θ, intensity and, where it is there, its standard deviation.

Covers ``.xy .xye .csv .txt .dat .prn .tsv .asc`` with any separator and decimal sign, comment and header
lines before the numbers. The header decides what a column is; without one the first column is 2θ, the
second the intensity and a third the standard deviation if it behaves like one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit
from xrdcomp.io.archive import number
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import RawScan, note_open_end, note_unusual_end
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import Table, find_broken_row, find_table, numeric_row, parse_table
from xrdcomp.units import FloatArray

_ROLES: tuple[tuple[str, str], ...] = (
    (r"2[\s_*·-]*(?:th|θ|theta|tht)\w*|two[\s_-]*theta\w*|tth\w*|°?\s*2\s*th\.?|scattering angle", "2theta"),
    (r"d|d[\s_-]*spacing|d[\s_-]*value", "d"),
    (r"q|q[\s_-]*vector|scattering vector", "q"),
    (r"theta|th|θ", "theta"),
    (r"omega|ω|phi|φ|chi|χ|psi|ψ|gamma|γ|azimuth\w*|eta|beta|alpha|khi", "other angle"),
    (r"energy|e ?\[?kev\]?|tof|time of flight|channel|wavelength|lambda", "energy"),
    (r"esd|e\.s\.d\.?|err\w*|sig|sigma|σ|std\w*|uncertainty|e|s\(?i?\)?|dy|di|u\(i\)", "sigma"),
    (r"diff\w*|resid\w*|bkg\w*|backgr\w*|ycalc|icalc|calc\w*|y?fit\w*|bg|wt|cumulative", "calculated"),
    (r"temp\w*|t|ts|tr", "temperature"),
    (r"time|zeit|t ?\[?(?:s|min|h)\]?", "time"),
    (r"mass\w*|weight\w*|tg\w*|masse|gewicht|dtg|dsc|heat ?flow", "thermal"),
    (
        r"counts?|cts|int|intens\w*|i|[iy]obs|y|i\(?obs\)?|signal|cps|rel\w*[\s_]*int\w*|photons|obs\w*",
        "intensity",
    ),
    (r"angles?|x|pos\w*|°|deg\w*|winkel", "angle"),
)
_UNIT = re.compile(r"[\[(/,].*\Z")
_WAVELENGTH = re.compile(
    r"(?:wavelength|wave_length\w*|lambda|\bwl1?\b|\balpha1\b)\s*(?:\((?P<u1>\w+|Å)\))?\s*[:=,;]?\s*[\"']?\s*"
    r"(?P<value>\d*\.\d+(?:e-?\d+)?)[\"']?\s*(?P<unit>angstrom|å|nm|m\b|a\b)?",
    re.IGNORECASE,
)
_ANODE = re.compile(r"[Aa]node(?:[ _]material)?\w*\s*[:=,;]?\s*[\"']?\s*(Cu|Co|Mo|Cr|Fe|Ag|W|Ga|Ni)\b")
_SCAN_TYPE = re.compile(r"scan[\s_]*(?:type|axis)\s*[:=,;]\s*[\"']?\s*([^\"'\n]{1,40})", re.IGNORECASE)
_SAMPLE = re.compile(r"\b(?:id|sample|sample[\s_]?name|title)\s*[:=]\s*[\"']?([^\"'\n]{1,80})", re.IGNORECASE)
_TIME = re.compile(r"time[\s_]*per[\s_]*step\s*(?:\(s(?:ec)?\))?\s*[:=]\s*[\"']?([\d.]+)", re.IGNORECASE)
_UNIT_LINE = re.compile(r"intensity unit:\s*(counts|cps)\b", re.IGNORECASE)
_WEIGHT = re.compile(r"\(weight ([\d.eE+-]+)\)")
_POWDER_SCAN = re.compile(
    r"2\s*theta|two\s*theta|2θ|2th|theta\s*[-/]\s*theta|tt\b|gonio|coupled|locked|continuous|step|psd", re.I
)


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    first, _ = find_table(lines)
    if first < 0:
        return 0.3 if find_broken_row(lines) >= 0 else 0.0
    named = any(_role(name) == "2theta" for line in lines[max(0, first - 3) : first] for name in _names(line))
    return 0.5 if named else 0.35


def _read(source: SourceFile) -> Sequence[RawScan]:
    lines = source.lines
    first, last = find_table(lines)
    if first < 0:
        if (broken := find_broken_row(lines)) >= 0:
            msg = f"{lines[broken].strip()[:50]!r} is not a row of numbers"
            hint = "A figure is damaged there; copy the file again, or export it again."
            raise source.error(msg, place=f"line {broken + 1}", expected="numbers in every row", hint=hint)
        msg = "there is no block of numbers with two columns"
        raise source.error(msg, expected="rows of 2θ and intensity", hint="Export as text with two columns.")
    table = parse_table(source, first, last)
    header = lines[:first]
    _refuse_damaged_rows(source, header, table)
    roles, names = _roles(header, table)
    x_column, y_columns, sigma_column, notes = _assign(source, table, roles, names)
    notes += note_unusual_end(table.values[:, x_column]) + note_open_end(source.data)
    text = "\n".join(header)
    lines_found, anode = _radiation(text)
    seconds = _TIME.search(text)
    scans: list[RawScan] = []
    for column in y_columns:
        y = table.values[:, column]
        sigma = None if sigma_column is None else table.values[:, sigma_column]
        metadata: dict[str, str | float | int | bool] = {"separator": table.dialect.separator or "blank"}
        if names:
            metadata["intensity_column"] = names[column][:80]
        sample = _SAMPLE.search(text)
        if sample and sample[1].strip():
            metadata["sample_name"] = sample[1].strip()
        if seconds:
            metadata["time_per_step_in_header_s"] = float(seconds[1])
        scans.append(
            RawScan(
                two_theta=table.values[:, x_column],
                intensity=y,
                sigma=sigma,
                unit=_unit(names[column] if names else "", text),
                emission_lines=lines_found,
                anode=anode,
                axis=_axis(text),
                not_powder=_not_powder(text),
                place=f"lines {table.lines[0]} to {table.lines[-1]}",
                metadata=metadata,
                messages=tuple(notes),
            )
        )
    return scans


def _refuse_damaged_rows(source: SourceFile, header: Sequence[str], table: Table) -> None:
    """Refuse a header line that is, or ends with, what must be a row: a figure or line end is damaged there."""
    if not header or len(table.values) < 3:
        return
    bare = [
        line.replace(table.dialect.separator or " ", " ").replace(table.dialect.decimal, ".").split()
        for line in header[-3:]
    ]
    x = table.values[:, 0]
    step = float(x[1] - x[0])
    width = table.values.shape[1]
    numbers = [value for value in map(number, bare[-1][-3:]) if value is not None]
    joined = len(numbers) >= 2 and any(abs(x[0] - step - value) < 0.2 * abs(step) for value in numbers[:-1])
    damaged = len(bare[-1]) == width and all(map(_mostly_figures, bare[-1]))
    angle = number(bare[-1][0]) if len(bare[-1]) > 1 else None
    on_grid = angle is not None and abs(x[0] - step - angle) < 0.02 * abs(step)
    if joined or damaged or on_grid:
        msg = f"the line before the block reads {header[-1].strip()[-60:]!r}, which looks like a row of it"
        hint = "A figure or a line end is damaged there; copy the file again, or mark the line as a comment."
        raise source.error(
            msg, place=f"line {table.lines[0] - 1}", expected="header and rows apart", hint=hint
        )


def _mostly_figures(token: str) -> bool:
    """Whether a token must have been a number: figures and points, and neither date, time nor word."""
    if re.fullmatch(r"\d{1,4}[-/.:]\d{1,2}(?:[-/.:]\d{1,4})*", token) and not re.fullmatch(
        r"\d+\.\d*", token
    ):
        return False
    return sum(character in "0123456789." for character in token) >= 0.6 * len(token)


def _names(line: str) -> list[str]:
    """Names in a header line, by the strongest separator it holds."""
    bare = line.strip().lstrip("#;!%'\"*/ \t").rstrip()
    for separator in (";", "\t", ","):
        if separator in bare:
            return [name.strip().strip("\"'") for name in bare.split(separator) if name.strip()]
    return [name.strip("\"'") for name in re.split(r"\s{2,}", bare)] if "  " in bare else bare.split()


def _role(name: str) -> str:
    plain = name.strip().lower().strip("\"'<> ")
    for text in (plain, _UNIT.sub("", plain).strip(), plain.split("_")[0]):
        for pattern, role in _ROLES:
            if text and re.fullmatch(pattern, text):
                return role
    return ""


def _roles(header: Sequence[str], table: Table) -> tuple[list[str], list[str]]:
    """Roles and names of the columns from the last header line that names them all; empty without one."""
    width = table.values.shape[1]
    for line in reversed(header[-6:]):
        for names in (_names(line), line.strip().lstrip("#;!%'\"* \t").split()):
            if len(names) == width and not numeric_row(line):
                roles = [_role(name) for name in names]
                if any(roles):
                    return roles, names
    return [], []


def _assign(
    source: SourceFile, table: Table, roles: list[str], names: list[str]
) -> tuple[int, list[int], int | None, list[Diagnostic]]:
    """Which column is 2θ, which the intensities, which the standard deviation."""
    width = table.values.shape[1]
    if not roles:
        return _assign_unnamed(source, table)
    place = f"line {table.lines[0] - 1}"
    if "thermal" in roles and ("temperature" in roles or "time" in roles):
        msg = f"the columns {', '.join(names)} are those of a thermogravimetric run"
        hint = "Pass it as the TGA file: read_tga(path), or --tga on the command line."
        raise source.error(msg, place=place, expected="2θ and intensity", hint=hint)
    notes: list[Diagnostic] = []
    x = next((roles.index(role) for role in ("2theta", "angle", "") if role in roles[: max(1, width - 1)]), 0)
    x = roles.index("2theta") if "2theta" in roles else x
    if roles[x] == "temperature":
        notes.append(_temperature_note(source, table, names[x], place))
    elif roles[x] not in {"2theta", "angle", "", "intensity"}:
        hint = "Export it over 2θ; for q or d the wavelength must be known to convert." + (
            " If θ is meant as 2θ, rename the column." if roles[x] == "theta" else ""
        )
        raise source.error(
            f"the first column is {names[x]!r}", place=place, expected="2θ in degrees", hint=hint
        )
    sigma = roles.index("sigma") if "sigma" in roles else None
    rest = [
        i for i in range(width) if i not in {x, sigma} and roles[i] not in {"calculated", "time", "d", "q"}
    ]
    observed = [i for i in rest if roles[i] == "intensity"] or rest
    if not observed:
        msg = f"none of the columns {', '.join(names)} is an intensity"
        raise source.error(msg, place=place, expected="a column of measured intensities")
    return x, observed, sigma if len(observed) == 1 else None, notes


def _temperature_note(source: SourceFile, table: Table, name: str, place: str) -> Diagnostic:
    """Accept an axis called temperature only where nothing but a 2θ scan looks like that."""
    x, y = table.values[:, 0], table.values[:, 1]
    step = np.diff(x)
    even = len(x) > 100 and float(np.ptp(step)) < 1e-3 * float(np.median(step))
    if not (even and x[-1] <= 170 and (y == np.round(y)).all() and y.max() > 50):
        msg = f"the first column is called {name!r}"
        hint = "Pass a thermogravimetric file to read_tga; rename the column if it holds 2θ."
        raise source.error(msg, place=place, expected="2θ in degrees", hint=hint)
    text = (
        f"the first column is called {name!r}, but runs in even steps of {np.median(step):.4f} from {x[0]:g} "
        f"to {x[-1]:g} beside whole counts: read as 2θ in degrees; rename the column to silence this"
    )
    return Diagnostic(code="XRD_AXIS_NAME", severity="warning", text=text, facts={"name": name})


def _assign_unnamed(source: SourceFile, table: Table) -> tuple[int, list[int], int | None, list[Diagnostic]]:
    width = table.values.shape[1]
    if width == 2:
        return 0, [1], None, []
    if width > 3:
        msg = f"{width} columns without names"
        hint = "Add a header line such as `two_theta intensity sigma`, or export two columns."
        raise source.error(msg, place=f"line {table.lines[0]}", expected="2 or 3 columns", hint=hint)
    y, third = table.values[:, 1], table.values[:, 2]
    if _like_sigma(y, third):
        return 0, [1], 2, []
    text = (
        "the third column is no standard deviation of the second (its median is "
        f"{np.median(third):g} beside {np.median(y):g}) and has no name; it is not used"
    )
    return 0, [1], None, [Diagnostic(code="XRD_THIRD_COLUMN", severity="warning", text=text)]


def _like_sigma(y: FloatArray, third: FloatArray) -> bool:
    """Say whether a column can be the standard deviation of another: positive, below it, growing with it."""
    inside = (y > 0) & np.isfinite(third)
    if inside.sum() < 5 or (third[inside] < 0).any() or not third.any():
        return False
    ratio = third[inside] / np.sqrt(np.maximum(y[inside], 1.0))
    if np.allclose(ratio, 1.0, atol=0.1):
        return True
    return bool(np.median(third[inside] / y[inside]) < 0.5 and np.median(third) < 0.5 * np.median(y[inside]))


def _unit(name: str, header: str) -> IntensityUnit:
    stated = _UNIT_LINE.search(header)
    if stated:
        return "counts" if stated[1].lower() == "counts" else "cps"
    plain = name.lower()
    if "cps" in plain or "/s" in plain or "per sec" in plain:
        return "cps"
    return "counts" if re.search(r"\b(?:counts|cts)\b", plain) else "arbitrary"


def _radiation(header: str) -> tuple[tuple[EmissionLine, ...], str]:
    anode = _ANODE.search(header)
    lines: list[EmissionLine] = []
    for line in header.split("\n"):
        found = _WAVELENGTH.search(line)
        if not found:
            continue
        unit = (found["unit"] or found["u1"] or "a").lower()
        value = float(found["value"]) * {"nm": 10.0, "m": 1e10}.get(unit, 1.0)
        weight = _WEIGHT.search(line)
        if 0.1 < value < 5.0 and (weight or not lines):
            lines.append(
                EmissionLine(wavelength=round(value, 12), weight=float(weight[1]) if weight else 1.0)
            )
    return tuple(lines), anode[1] if anode else ""


def _axis(header: str) -> str:
    found = _SCAN_TYPE.search(header)
    return found[1].strip() if found else "2theta"


def _not_powder(header: str) -> str:
    found = _SCAN_TYPE.search(header)
    if found and not _POWDER_SCAN.search(found[1]):
        return f"the header says scan type {found[1].strip()!r}, which is no scan over 2θ"
    return ""


TEXT = XrdReader(
    id="xrd_text",
    name="Text with columns (XY, XYE, CSV, TXT, DAT, PRN)",
    extensions=("xy", "xye", "csv", "txt", "dat", "prn", "tsv", "asc"),
    sniff=_sniff,
    read=_read,
)
