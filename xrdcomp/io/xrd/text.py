"""Columns of text: 2θ, intensity and, where it is there, its standard deviation.

Covers ``.xy .xye .csv .txt .dat .prn .tsv .asc`` with any separator and decimal sign, comment and header
lines before the numbers. The header decides what a column is; without one the first column is 2θ, the
second the intensity and a third the standard deviation if it behaves like one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit, message_kind
from xrdcomp.errors import MissingExtraError, ReadError, either
from xrdcomp.io.archive import number, stated
from xrdcomp.io.registry import xrd_reader
from xrdcomp.io.scans import (
    AXIS_NAME,
    MAYBE_CUT,
    WAVELENGTH_DOUBTFUL,
    RawScan,
    note_open_end,
    note_unusual_end,
    refuse_other_axis,
)
from xrdcomp.io.source import SourceFile
from xrdcomp.io.text_table import (
    COMMENTS,
    LEAST_ROWS,
    MAX_ROW,
    PARTED,
    UNPARTED,
    Dialect,
    Table,
    find_broken_row,
    find_table,
    guess_dialect,
    numeric_row,
    parse_rows,
    parse_table,
    read_table,
    split_cells,
)
from xrdcomp.io.workbook import is_workbook, read_sheets
from xrdcomp.units import KALPHA2_RATIO

THIRD_COLUMN = message_kind(
    "XRD_THIRD_COLUMN", "warning",
    "A third column without a name is no standard deviation of the second and is not used (info where it is 1 "
    "throughout, as a factor that changes nothing).",
    remedy="Name the columns.",
    threshold="positive, below half of the second, or within 10 % of its square root",
)  # fmt: skip

HEADER_NUMBERS = message_kind(
    "XRD_HEADER_NUMBERS", "warning",
    "A line with numbers above the rows, more of them than each row or one like those below, was taken as header.",
    remedy="Compare the first angle with the range of the measurement; mark the line as a comment.",
)  # fmt: skip
MAX_TABLES, LEAST_SCAN, _MOST_WIDER = 1000, 10, 5
"""Tables of one file at most; points of a scan that may follow another, and rows below a header, at least."""

_ROLES: tuple[tuple[str, str], ...] = (
    (
        r"2[\s_*·-]*(?:th|θ|theta|tht)\w*(?:\s*-?\s*scale)?|two[\s_-]*theta\w*|tth\w*|°?\s*2\s*th\.?|"
        r"(?:scattering|diffraction)[\s_]*angle|(?:\w+[\s_])*angle[\s_]*2\s*(?:θ|th\w*)",
        "2theta",
    ),
    (r"d|d[\s_-]*spacing|d[\s_-]*value", "d"),
    (r"q|q[\s_-]*vector|scattering vector", "q"),
    (r"theta|th|θ", "theta"),
    (r"omega|ω|phi|φ|chi|χ|psi|ψ|gamma|γ|azimuth\w*|eta|beta|alpha|khi", "other angle"),
    (r"(?:photon[\s_-]*)?energ(?:y|ie)\w*|e ?[\[(]?k?ev[\])]?|tof|time of flight|channel|wavelength|lambda", "energy"),
    (r"esd|e\.s\.d\.?|err\w*|sig|sigma|σ|std\w*|uncertainty|e|s\(?i?\)?|dy|di|u\(i\)", "sigma"),
    (
        r"diff\w*|resid\w*|[yi]?(?:back|bkg|bck)\w*|[yi]?calc\w*|y?fit\w*|bg|wt|cumulative|"
        r"(?:bg|calc\.?) data",
        "calculated",
    ),
    (r"temp\w*|t|ts|tr", "temperature"),
    (r"time|zeit|t ?\[?(?:s|min|h)\]?", "time"),
    (r"mass\w*|weight\w*|tg\w*|masse|gewicht|dtg|dsc|heat ?flow", "thermal"),
    (r"monitor|mon|i_?0|epoch|exposure|preset|date|i\s?/\s?i.*", "beside"),
    (
        r"counts?|cts|int|det(?:ector)?|intens\w*|i|[iy]obs|y|i\(?obs\)?|signal|cps|rel\w*[\s_]*int\w*|photons|obs\w*|"
        r"meas\. data.*",
        "intensity",
    ),
    (r"angles?|x|pos\w*\.?|°|deg\w*|winkel", "angle"),
)
"""Roles of columns by their names, which must match whole; the first that fits."""
_OF_WAVES = r"wellenl(?:ä|ae)nge|longueur d.onde|lunghezza d.onda|longitud de onda|длина волны|波長|波长"
_UNIT = re.compile(r"[\[(/,].*\Z")
_WAVELENGTH = re.compile(
    r"(?:(?<!delta )(?<!Δ)(?:wavelength(?:[\s_]?1(?![.\d]))?|lambda)|wave_length\w*|\bwl1?\b|"
    rf"(?:\b(?:k-?)?alpha|\bk-?[αa])[12]\b|{_OF_WAVES})\]?\s*(?:[(\[](?P<u1>\w+|Å)[)\]])?\s*[:=,;]?\s*[\"']?\s*"
    r"(?P<value>\d*\.\d+(?:e-?\d+)?|\d+e-\d+)(?![.,]?\d|\w*\d)[\"']?\s*(?P<unit>angstrom|å|nm|m\b|a\b)?",
    re.IGNORECASE,
)
_SAYS_WAVELENGTH = re.compile(
    rf"(?:wavelength|wave_length\w*|{_OF_WAVES}|\blambda|\balpha1)\s*(?:[(\[]\S+[)\]])?\s*[:=,;]?\s*[\"']?\s*[-+]?\w*\d",
    re.I,
)
_ALPHA2 = re.compile(r"alpha[\s_-]*2|\bk-?[αa]2\b|\bwl2\b", re.IGNORECASE)
_RATIO = re.compile(r"ratio[^:=,;]*[:=,;]\s*[\"']?\s*(0?\.\d+)", re.IGNORECASE)
_TWO_THETA = re.compile(r"2[\s_*·-]*(?:th|θ)|two[\s_-]*theta|\btth\b", re.IGNORECASE)
_ENERGY = re.compile(r"^[^\d:=]*(?:\b[km]?eV\b|\benerg(?:y|ie))[^\d:=]*$", re.IGNORECASE)
_ANODE = re.compile(
    r"(?:[Aa]node(?:[ _]material)?\w*\s*[:=,;]?|"
    r"\b(?:[Tt]arget|[Tt]ube|[Rr]adiation|[Rr]öhre|[Aa]nticathode)\s*[:=,;\t])\s*[\"']?\s*"
    r"(Cu|Co|Mo|Cr|Fe|Ag|W|Ga|Ni|Copper|Cobalt|Molybdenum|Chromium|Iron|Silver|Tungsten)(?:\b|(?=[ -]?K))"
)
_SCAN_TYPE = re.compile(r"scan[\s_]*(?:type|axis)\s*[:=,;]\s*[\"']?\s*([^\"'\n]{1,40})", re.IGNORECASE)
_SAMPLE = re.compile(r"\b(?:id|sample|sample[\s_]?name|title)\s*[:=]\s*[\"']?([^\"'\n]{1,80})", re.IGNORECASE)
_TIME = re.compile(r"time[\s_]*per[\s_]*step\s*(?:\(s(?:ec)?\))?\s*[:=]\s*[\"']?([\d.]+)", re.IGNORECASE)
_UNIT_LINE = re.compile(r"intensity unit:\s*(counts|cps)\b", re.IGNORECASE)
_WEIGHT = re.compile(r"\(weight ([\d.eE+-]+)\)")
_POWDER_SCAN = re.compile(
    r"2[\s-]*theta|two[\s-]*theta|2[\s-]*θ|2[\s-]*th|theta\s*[-/]\s*theta|tt\b|gonio|coupled|locked|continuous|step|psd",
    re.I,
)
_NO_DEGREES = re.compile(r"[\[(/,_ ]\s*(?:m?rad(?:ian)?s?|arc ?(?:min|sec)\w*|mdeg|millideg\w*)\b", re.IGNORECASE)
_DRAWN = re.compile(r"^\s*(?:log(?:10)?|lg|ln|sqrt|√|square root|wurzel)\b|^\s*√", re.IGNORECASE)
_OTHER_AXES = {"theta", "d", "q", "energy", "other angle"}
_OF_REFLECTIONS = re.compile(r"\bfwhm|\bhkl\b|multiplicit|rel\. int\.", re.IGNORECASE)
_NOT_MEASURED = {"calculated", "time", "d", "q", "beside"}


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Indices of the columns: 2θ, the intensities, and their standard deviation where there is one."""

    angle: int = 0
    intensities: tuple[int, ...] = (1,)
    sigma: int | None = None
    notes: tuple[Diagnostic, ...] = ()


def _sniff(source: SourceFile) -> float:
    lines = source.head_text.split("\n")
    first, _ = find_table(lines)
    if first < 0:
        table = _quoted_or_dated(lines[:-1])
        if table is not None:
            return 0.5 if any(_role(name) == "2theta" for name in table.names) else 0.3
        return 0.3 if find_broken_row(lines) >= 0 or len(_parted_rows(lines)) >= LEAST_ROWS else 0.0
    named = any(_role(name) == "2theta" for line in lines[max(0, first - 3) : first] for name in _names(line))
    return 0.5 if named else 0.35


@xrd_reader("xrd_text", "Text with columns (XY, XYE, CSV, TXT, DAT, PRN)", "xy xye csv txt dat prn tsv asc", _sniff)
def columns(source: SourceFile) -> Sequence[RawScan]:
    """One scan per column of intensities of each table; a further table begins below a header at lower angles."""
    lines, tables = source.lines, _tables(source.lines)
    if len(tables) < 2:
        return _table_scans(source, lines)
    scans: list[RawScan] = []
    for begin, end in pairwise([*tables, len(lines)]):
        part = ("",) * begin + tuple(lines[begin:end])
        scans += _table_scans(source, part)
    return scans


def _tables(lines: Sequence[str]) -> list[int]:
    """First line of each table with its header: behind the last one's rows, where the axis starts again below names."""
    found, begin = [0], 0
    first, last = find_table(lines)
    while first >= 0 and len(found) <= MAX_TABLES:
        following, stop = find_table(lines, last)
        head = lines[last:following] if following >= 0 else ()
        if following < 0 or not any(map(str.strip, head)) or any(map(numeric_row, filter(str.strip, head))):
            break
        low, high, begins = (_first_number(lines[at]) for at in (first, _last_row(lines, last), following))
        # what follows must be a whole scan, whose axis starts again: a damaged row does not begin a table
        if not begins <= 0.5 * (low + high) or stop - following < LEAST_SCAN:
            break
        found.append(last)
        first, last, begin = following, stop, last
    return found if begin else [0]


def _first_number(line: str) -> float:
    found = re.search(r"[-+\d.]+", line)
    value = number(found[0].replace(",", ".")) if found else None
    return float("nan") if value is None else value


def _last_row(lines: Sequence[str], stop: int) -> int:
    return max((i for i in range(max(0, stop - 50), stop) if lines[i].strip()), default=stop - 1)


def _table_scans(source: SourceFile, lines: Sequence[str]) -> list[RawScan]:
    first, last = find_table(lines)
    quoted = _quoted_or_dated(lines) if first < 0 else None
    wider: list[Diagnostic] = []
    if quoted is not None:
        table, header, names = quoted, lines[: int(quoted.lines[0]) - 1], list(quoted.names)
        first = len(header)
    elif first < 0:
        if (broken := find_broken_row(lines)) >= 0:
            msg = f"{lines[broken].strip()[:50]!r} is not a row of numbers"
            hint = "A figure is damaged there; copy the file again, or export it again."
            raise ReadError(msg, f"line {broken + 1}", "numbers in every row", hint)
        if len(parted := _parted_rows(lines)) >= LEAST_ROWS:
            msg = f"{lines[parted[0]].strip()[:50]!r} has separators of thousands"
            raise ReadError(msg, f"line {parted[0] + 1}", "plain numbers", UNPARTED)
        msg = "there is no block of numbers with two columns"
        raise ReadError(msg, expected="rows of 2θ and intensity", hint="Export as text with two columns.")
    else:
        last = _continued(lines, first, last)
        wider = _wider_rows(lines, first, last)
        first += len(wider)
        _refuse_bare_counts(lines, first, last)
        if beside := _of_several_lengths(source, lines, first, last):
            return beside
        table, header = parse_table(source, first, last, lines), lines[:first]
        _refuse_damaged_rows(header, table)
        wider += _half_row(header, table)
        names = _names_above(header, table)
    # several columns of angles, each before its own intensities, are as many scans
    axes = [i for i, name in enumerate(names) if _role(name) == "2theta"]
    edges = [*axes, len(names)] if len(axes) > 1 and axes[0] == 0 and max(np.diff(axes)) > 1 else [0, len(names)]
    scans: list[RawScan] = []
    for begin, end in pairwise(edges):
        part = replace(table, values=table.values[:, begin:end]) if names else table
        scans += _scans_of(source, lines, part, header, names[begin:end], wider, begin if quoted is None else None)
    return scans


def _scans_of(
    source: SourceFile, lines: Sequence[str], table: Table, header: Sequence[str], names: Sequence[str],
    notes_above: Sequence[Diagnostic], offset: int | None,
) -> list[RawScan]:  # fmt: skip
    """One scan for each column of intensities of a table; `offset` is its first one in rows of plain cells."""
    columns = _named(table, names) if names else _unnamed(table)
    x = table.values[:, columns.angle]
    text = "\n".join(header)
    commas = table.dialect.decimal == ","
    lines_of_tube, notes = _radiation([re.sub(r"(\d),(\d)", r"\1.\2", line) if commas else line for line in header])
    # an axis that is called 2θ is one; on any other only steps and range can tell
    hard = any(line.wavelength < 1.0 for line in lines_of_tube)
    if not hard and not (names and _role(names[columns.angle]) == "2theta") and not _TWO_THETA.search(text):
        hint = (
            "Convert it to 2θ (for q and d with the wavelength), or write a header such as `two_theta counts` above it."
        )
        refuse_other_axis(x, f"2θ in degrees in column {columns.angle + 1}, in even steps or under a name", hint)
        if energy := next((line.strip() for line in header[-6:] if _ENERGY.search(line)), ""):
            raise ReadError(f"the header says {energy[:60]!r}, as over energy", expected="2θ in degrees", hint=hint)
    if offset is not None:
        _refuse_thousands(lines, table, columns.intensities, offset)
    anode, scan_type, seconds, sample = (each.search(text) for each in (_ANODE, _SCAN_TYPE, _TIME, _SAMPLE))
    facts = stated(
        separator=table.dialect.separator or "blank", sample_name=sample[1].strip() if sample else "",
        time_per_step_in_header_s=float(seconds[1]) if seconds else None,
    )  # fmt: skip
    reason = ""
    if scan_type and not _POWDER_SCAN.search(scan_type[1]):
        reason = f"the header says scan type {scan_type[1].strip()!r}, which is no scan over 2θ"
    cut = _note_count(header, len(x)) or note_unusual_end(x)
    common = RawScan(
        two_theta=x, sigma=None if columns.sigma is None else table.values[:, columns.sigma],
        emission_lines=lines_of_tube, anode=anode[1] if anode else "",
        axis=scan_type[1].strip() if scan_type else "2theta", not_powder=reason,
        place=f"lines {table.lines[0]} to {table.lines[-1]}",
        messages=(*notes_above, *columns.notes, *notes, *cut, *note_open_end(source.data)),
    )  # fmt: skip
    scans = []
    for column in columns.intensities:
        name = names[column] if names else ""
        intensity = table.values[:, column]
        if re.search(r"\bk(?:cps|cts|counts?)\b", name, re.IGNORECASE):
            intensity = np.round(1000.0 * intensity, 9)
        measured = replace(common, intensity=intensity, unit=_unit(name, text))
        scans.append(replace(measured, metadata=facts | ({"intensity_column": name[:80]} if names else {})))
    return scans


def _continued(lines: Sequence[str], first: int, last: int) -> int:
    """End of a block that blank lines and comments part, where the axis goes on in its steps behind them."""
    while True:
        following, stop = find_table(lines, last)
        between = [line.strip() for line in lines[last:following] if line.strip()] if following >= 0 else []
        if following < 0 or any(line[0] not in COMMENTS for line in between):
            return last
        begin, end, next_angle = (_first_number(lines[at]) for at in (first, _last_row(lines, last), following))
        step = (end - begin) / max(1, last - first - 1)
        if not 0.5 * abs(step) < abs(next_angle - end) < 1.5 * abs(step) or (next_angle > end) != (step > 0):
            return last
        last = stop


def _refuse_bare_counts(lines: Sequence[str], first: int, last: int) -> None:
    """Refuse rows of one number, or of many without a name: counts whose angles stand in a header nobody knows."""
    held = [line for line in lines[first : min(last, first + 200)] if line.strip()]
    usual = int(np.median([len(re.findall(r"[-+\d.][-+\d.eE]*", line)) for line in held]))
    named = any(_role(name) for line in lines[max(0, first - 6) : first] for name in _names(line, usual))
    rising = all(a < b for a, b in pairwise(map(_first_number, held)))
    if usual == 1 or (usual > 4 and not named and not rising):
        many = "one number" if usual == 1 else f"{usual} numbers"
        msg = f"the rows hold {many} each and have no names: counts without angles, in a layout that is not known"
        raise ReadError(msg, f"line {first + 1}", "rows of 2θ and intensity", "Export as text with two columns.")


def _of_several_lengths(source: SourceFile, lines: Sequence[str], first: int, last: int) -> list[RawScan]:
    """Scans side by side of which some end before others; none where every row is full or no axis stands twice."""
    names = _names(next((line for line in reversed(lines[:first]) if line.strip()), ""))
    axes = [i for i, name in enumerate(names) if _role(name) == "2theta"]
    if len(axes) < 2 or axes[0]:
        return []
    rows = [line for line in lines[first:last] if line.strip()]
    if max(map(len, rows)) > MAX_ROW:
        return []
    dialect = guess_dialect(rows, tabs="\t" in rows[0], place=f"line {first + 1}")
    cells = [split_cells(row, dialect) for row in rows]
    cells = [row[: len(names)] + [""] * (len(names) - len(row)) for row in cells]
    lengths = [sum(bool(row[i]) for row in cells) for i in range(len(names))]
    whole = all(row[i] for i, n in enumerate(lengths) for row in cells[:n])
    if not whole or len(set(lengths)) == 1:
        return []
    scans: list[RawScan] = []
    for begin, end in pairwise([*axes, len(names)]):
        kept = [i for i in range(begin, end) if lengths[i]]
        n = lengths[begin]
        if len(kept) < 2 or any(lengths[i] != n for i in kept):
            return []
        part = [" ".join(row[i].replace(dialect.decimal, ".") for i in kept) for row in cells[:n]]
        values = parse_rows(part, Dialect(), first_line=first + 1)
        table = Table(
            values=values,
            lines=np.arange(first + 1, first + n + 1),
            dialect=Dialect(),
            part=np.zeros(n, dtype=np.int64),
        )
        scans += _scans_of(source, lines, table, lines[:first], [names[i] for i in kept], (), None)
    return scans


def _wider_rows(lines: Sequence[str], first: int, last: int) -> list[Diagnostic]:
    """A note for each line at the beginning of a block that holds more numbers than all the rows below: a header."""
    rows = [
        len(re.findall(r"[-+\d.][-+\d.eE]*", line)) for line in lines[first : min(last, first + 200)] if line.strip()
    ]
    usual = int(np.median(rows))
    n = next((i for i, width in enumerate(rows) if width <= usual), 0)
    if not 0 < n <= _MOST_WIDER or usual < 2 or len(rows) < LEAST_SCAN + n or max(rows[n:]) > usual:
        return []
    return [
        HEADER_NUMBERS(
            f"line {first + i + 1}, {lines[first + i].strip()[:50]!r}, holds {rows[i]} numbers and the rows below "
            f"{usual}: taken as part of the header; compare with the range of the measurement"
        )
        for i in range(n)
    ]


def _parted_rows(lines: Sequence[str]) -> list[int]:
    """Indices of lines with a cell whose thousands are separated."""
    return [i for i, line in enumerate(lines[:1000]) if PARTED.search(line[:200])]


def _quoted_or_dated(lines: Sequence[str]) -> Table | None:
    """The table of a text whose rows are not numbers alone: cells in quotes, dates and times of day beside them."""
    if not any('"' in line or re.search(r"\d:\d\d", line) for line in lines[:200]):
        return None
    try:
        table = read_table(lines)
    except ReadError:
        return None
    measured = [i for i in range(table.values.shape[1]) if i not in table.clocks and table.values[:, i].any()]
    kept = [i for i in measured if not np.isnan(table.values[:, i]).all()]
    if len(kept) < 2 or len(table.values) < LEAST_ROWS:
        return None
    units = table.units or ("",) * len(table.names)
    full = [f"{name} ({unit})" if unit else name for name, unit in zip(table.names, units, strict=True)]
    return replace(table, values=table.values[:, kept], names=tuple(full[i] for i in kept) if full else (), units=())


def _names_above(header: Sequence[str], table: Table) -> list[str]:
    """Names in the last header line that has one for each column and a role for any; none where it is a title.

    A title may hold a word such as ``2theta``: the column below it is no axis where it does not increase and the first
    one does.
    """
    width = table.values.shape[1]
    listed = (
        (line, _names(line, width), re.sub(r"^#L\s", "", line).strip().lstrip("#;!%'\"* \t").split())
        for line in reversed(header[-6:])
    )
    named = (names for line, *each in listed if not numeric_row(line) for names in each if len(names) == width)
    for names in named:
        roles = list(map(_role, names))
        stated = any(number(name) is not None for name in names)  # a fact, unless the columns are called by numbers
        if not any(roles) or (stated and not {"2theta", "angle"} & set(roles)):
            continue
        axis = roles.index("2theta") if "2theta" in roles else 0
        first, named_axis = (np.sign(np.diff(table.values[:, column])) for column in (0, axis))
        if abs(int(named_axis.sum())) == len(named_axis) or abs(int(first.sum())) < len(first):
            return names
    return []


def _note_count(header: Sequence[str], held: int) -> tuple[Diagnostic, ...]:
    """Note a whole number alone on the line above the rows that is not their number."""
    above = next((line.strip() for line in reversed(header) if line.strip()), "")
    if not re.fullmatch(r"\d{2,6}", above) or int(above) == held:
        return ()
    text = (
        f"the line above the rows says {above}, and {held} rows follow: where this is their number, the file is cut or "
        "edited; compare with the range of the measurement"
    )
    return (MAYBE_CUT(text, declared=int(above), held=held),)


def _sniff_workbook(source: SourceFile) -> float:
    """Sure of a sheet that names 2θ; a table of numbers could be a pattern."""
    if not is_workbook(source):
        return 0.0
    try:
        scores = [_sniff(_sheet(source, lines)) for lines in read_sheets(source.data).values()]
    except (ReadError, MissingExtraError):
        return 0.5
    return 0.75 if max(scores, default=0.0) >= 0.5 else 0.4 if any(scores) else 0.0


def _sheet(source: SourceFile, lines: Sequence[str]) -> SourceFile:
    return replace(source, data=("\n".join(lines) + "\n").encode())


@xrd_reader(
    "xrd_excel", "Workbook with columns (.xlsx, .xls)", "xlsx xls", _sniff_workbook, extras=("excel",), verified=False,
)  # fmt: skip
def workbook(source: SourceFile) -> Sequence[RawScan]:
    """Scans of the sheets that name 2θ, else of the first with a table."""
    sheets = {name: _sheet(source, lines) for name, lines in read_sheets(source.data).items()}
    scores = {name: _sniff(sheet) for name, sheet in sheets.items()}
    best = max(scores.values(), default=0.0)
    if not best:
        msg = f"none of the {len(sheets)} sheets holds a table of numbers"
        raise ReadError(msg, expected="2θ and intensity below a header")
    chosen = [name for name, score in scores.items() if score == best]
    scans: list[RawScan] = []
    for name in chosen if best >= 0.5 else chosen[:1]:

        def placed(text: str, name: str = name) -> str:
            return re.sub(r"\blines? (\d+)", lambda match: f"sheet {name!r}, row {match[1]}", text)

        try:
            found = columns.read(sheets[name])
        except ReadError as problem:
            problem.place = placed(problem.place)
            raise
        listed = (found,) if isinstance(found, RawScan) else found
        scans += [replace(scan, place=placed(scan.place)) for scan in listed]
    return scans


_PERHAPS_PARTED = re.compile(r"\d{1,3}|[1-9]\d{0,2}(?:\.\d{3})+")
"""A number that separated thousands may be, below or above the first one."""


def _refuse_thousands(lines: Sequence[str], table: Table, columns: Sequence[int], offset: int) -> None:
    """Refuse ``985`` beside ``1.027`` in a column: a point before three figures separates thousands there.

    Counts that were really measured with three decimals have them below 1000 as well.
    """
    if table.dialect.decimal != ".":
        return
    for column in columns:
        if (table.values[:, column] == np.round(table.values[:, column])).all():
            continue
        cells = list[str]()
        for line in table.lines:
            cell = split_cells(lines[line - 1], table.dialect)[offset + column]
            if not _PERHAPS_PARTED.fullmatch(cell):
                break  # nearly always the first one
            cells.append(cell)
        else:
            parted = ["." in cell for cell in cells]
            if all(parted) or not any(parted):
                continue
            at = parted.index(True)
            msg = f"{cells[at]!r} beside {cells[parted.index(False)]!r}: the point seems to separate thousands"
            hint = "Export the numbers without separators of thousands."
            raise ReadError(msg, f"line {table.lines[at]}", "whole numbers, or as many decimals in every row", hint)


def _refuse_damaged_rows(header: Sequence[str], table: Table) -> None:
    """Refuse a header line that is, or ends with, what must be a row: a figure or line end is damaged there."""
    if not header or len(table.values) < 3:
        return
    dialect = table.dialect
    cells = header[-1].replace(dialect.separator or " ", " ").replace(dialect.decimal, ".").split()
    x = table.values[:, 0]
    step = float(x[1] - x[0])
    before = x[0] - step  # where the row above the block would stand
    numbers = [value for value in map(number, cells[-3:]) if value is not None]
    joined = len(numbers) >= 2 and any(abs(before - value) < 0.2 * abs(step) for value in numbers[:-1])
    damaged = len(cells) == table.values.shape[1] and all(map(_mostly_figures, cells))
    angle = number(cells[0]) if len(cells) > 1 else None
    alone = number(cells[0]) if len(cells) == 1 and cells[0] != str(len(x)) else None
    mended = number(re.sub(r"[^\d]", ".", cells[0])) if len(cells) > 1 else None
    on_grid = any(value is not None and abs(before - value) < 0.02 * abs(step) for value in (angle, alone, mended))
    if joined or damaged or on_grid:
        msg = f"the line before the block reads {header[-1].strip()[-60:]!r}, which looks like a row of it"
        hint = "A figure or a line end is damaged there; copy the file again, or mark the line as a comment."
        raise ReadError(msg, f"line {table.lines[0] - 1}", "header and rows apart", hint)


def _half_row(header: Sequence[str], table: Table) -> list[Diagnostic]:
    """A note where the line above the rows has their columns and a number as large as the one below it."""
    cells = (
        header[-1].replace(table.dialect.separator or " ", " ").replace(table.dialect.decimal, ".").split()
        if header
        else []
    )
    if len(cells) != table.values.shape[1] or cells[0][:1] in tuple("#;!%'*/"):
        return []
    values = [number(cell) for cell in cells]
    if not any(
        v is not None and 0.5 * below <= v <= 2.0 * below for v, below in zip(values, table.values[0], strict=True)
    ):
        return []
    text = (
        f"line {table.lines[0] - 1}, {header[-1].strip()[:50]!r}, has as many cells as the rows and a number like "
        "theirs: taken as part of the header, it may be a damaged row; compare with the range of the measurement"
    )
    return [HEADER_NUMBERS(text)]


def _mostly_figures(token: str) -> bool:
    """True for what must have been a number: figures and points, and neither date, time nor word."""
    decimal = re.fullmatch(r"\d+\.\d*", token)
    if not decimal and re.fullmatch(r"\d{1,4}[-/.:]\d{1,2}(?:[-/.:]\d{1,4})*", token):
        return False
    return sum(character in "0123456789." for character in token) >= 0.6 * len(token)


def _names(line: str, width: int = 0) -> list[str]:
    """Names in a header line, by the strongest separator it holds; empty ones only where they make up the `width`."""
    bare = re.sub(r"^#L\s", "", line).strip().lstrip("#;!%'\"*/ \t").rstrip()
    for separator in (";", "\t", ","):
        if separator in bare:
            cells = [name.strip().strip("\"'") for name in bare.split(separator)]
            return cells if len(cells) == width else [name for name in cells if name]
    return [name.strip("\"'") for name in re.split(r"\s{2,}", bare)] if "  " in bare else bare.split()


def _role(name: str) -> str:
    """Role of a column by its name with its unit, without it, or up to an underscore; "" for none."""
    plain = name.strip().lower().strip("\"'<> ")
    bare = _UNIT.sub("", plain).strip()
    if re.fullmatch(r"[^\[(]*[\[(]°?\s*2\s*(?:th|θ)[^\])]*[\])]", plain):  # the unit says it: Pos. [°2Th.]
        return "2theta"
    if re.search(r"θ|theta|°\s*th\b|bragg", plain) and not re.search(r"2[\s_*·&-]*(?:θ|th)|two[\s_-]*th|tth", plain):
        return "theta"
    for text in filter(None, (plain, bare, re.sub(r"[_ ]", "", bare), plain.split("_")[0])):
        for pattern, role in _ROLES:
            if re.fullmatch(pattern, text):
                return role
    return ""


def _named(table: Table, names: Sequence[str]) -> _Columns:
    """Columns by the roles of their names; refuses an axis that is not 2θ and a run of a thermobalance."""
    roles = [_role(name) for name in names]
    width = len(roles)
    place = f"line {table.lines[0] - 1}"
    if "thermal" in roles and ("temperature" in roles or "time" in roles):
        msg = f"the columns {', '.join(names)} are those of a thermogravimetric run"
        hint = either("Pass it as the TGA file: read_tga(path).", "`xrdcomp tga FILE` analyses it.")
        hint += either("", " Or pass it with --tga.")
        raise ReadError(msg, place, "2θ and intensity", hint)
    first = [role for role in ("angle", "") if role in roles[: max(1, width - 1)]]
    x = roles.index(first[0]) if first and roles[0] not in _OTHER_AXES else 0
    x = roles.index("2theta") if "2theta" in roles else x
    steps = np.abs(np.diff(table.values[:, x]))
    uneven = float(np.quantile(steps, 0.9)) > 1.5 * float(np.quantile(steps, 0.1))  # a SPEC scan lists H K L as well
    listed = {"h", "k", "l"} <= {name.strip().lower() for name in names} and uneven
    if listed or _OF_REFLECTIONS.search(" ".join(names)):
        hint = "Export the measured scan."
        raise ReadError(f"the columns {', '.join(names)} are those of a list of reflections", place, "a scan", hint)
    notes: tuple[Diagnostic, ...] = ()
    if roles[x] == "temperature":
        # an axis called temperature stands only where nothing but a 2θ scan looks like that
        angles, y, name = table.values[:, 0], table.values[:, 1], names[x]
        step = np.diff(angles)
        even = len(angles) > 100 and float(np.ptp(step)) < 1e-3 * float(np.median(step))
        if not (even and angles[-1] <= 170 and (y == np.round(y)).all() and y.max() > 50):
            hint = "Rename the column if it holds 2θ. A thermogravimetric file is passed as one: "
            hint += either("read_tga(path).", "`xrdcomp tga FILE`.")
            raise ReadError(f"the first column is called {name!r}", place, "2θ in degrees", hint)
        text = (
            f"the first column is called {name!r}, but runs in even steps of {np.median(step):.4f} from {angles[0]:g} "
            f"to {angles[-1]:g} beside whole counts: read as 2θ in degrees; rename the column to silence this"
        )
        notes = (AXIS_NAME(text, name=name),)
    elif _NO_DEGREES.search(names[x]):
        raise ReadError(f"the axis is {names[x]!r}", place, "2θ in degrees", "Convert it to degrees, or export them.")
    elif roles[x] not in {"2theta", "angle", "", "intensity"}:
        hint = "Export it over 2θ; for q or d the wavelength must be known to convert."
        hint += " If θ is meant as 2θ, rename the column." if roles[x] == "theta" else ""
        raise ReadError(f"the first column is {names[x]!r}", place, "2θ in degrees", hint)
    sigma = roles.index("sigma") if "sigma" in roles else None
    rest = [i for i in range(width) if i not in {x, sigma} and roles[i] not in _NOT_MEASURED]
    observed = [i for i in rest if roles[i] == "intensity"] or rest
    if not observed:
        msg = f"none of the columns {', '.join(names)} is an intensity"
        raise ReadError(msg, place, "a column of measured intensities")
    if drawn := next((names[i] for i in observed if _DRAWN.search(names[i])), ""):
        hint = "Export the intensities on a linear scale; roots and logarithms are for figures."
        raise ReadError(f"{drawn!r} is a root or a logarithm of intensities", place, "measured intensities", hint)
    deviation = sigma if len(observed) == 1 else None
    return _Columns(angle=x, intensities=tuple(observed), sigma=deviation, notes=notes)


def _unnamed(table: Table) -> _Columns:
    """Columns by their place; a third one is used only if it behaves like a standard deviation."""
    width = table.values.shape[1]
    if width == 2:
        return _Columns()
    if width > 3:
        hint = "Add a header line such as `two_theta intensity sigma`, or export two columns."
        raise ReadError(f"{width} columns without names", f"line {table.lines[0]}", "2 or 3 columns", hint)
    y, third = table.values[:, 1], table.values[:, 2]
    # a standard deviation is positive, smaller than its intensity and grows with it
    inside = (y > 0) & np.isfinite(third)
    like_sigma = inside.sum() >= 5 and not (third[inside] < 0).any() and float(np.ptp(third)) > 0.0
    if like_sigma and not np.allclose(third[inside] / np.sqrt(np.maximum(y[inside], 1.0)), 1.0, atol=0.1):
        level = np.median(y[inside])
        like_sigma = np.median(third[inside] / y[inside]) < 0.5 and np.median(third) < 0.5 * level
    if like_sigma:
        return _Columns(sigma=2)
    text = (
        "the third column is no standard deviation of the second (its median is "
        f"{np.median(third):g} beside {np.median(y):g}) and has no name; it is not used"
    )
    said = THIRD_COLUMN(text)
    return _Columns(notes=(replace(said, severity="info") if (third == 1.0).all() else said,))


def _unit(name: str, header: str) -> IntensityUnit:
    """Unit from the line that this package writes, else from the name of the column."""
    stated, plain = _UNIT_LINE.search(header), name.lower()
    if stated:
        return "counts" if stated[1].lower() == "counts" else "cps"
    if "cps" in plain or "/s" in plain or "per sec" in plain or re.search(r"\bs\s?(?:\^?-1|⁻¹)", plain):
        return "cps"
    if re.search(r"[x×*]\s?10|10\^|10³", plain):  # counts times a power of ten
        return "arbitrary"
    return "counts" if re.search(r"\bk?(?:counts|cts)\b", plain) else "arbitrary"


def _radiation(header: Sequence[str]) -> tuple[tuple[EmissionLine, ...], tuple[Diagnostic, ...]]:
    """The first wavelength stated, a Kα2 by its name, further ones with their weights; a note on one that is none."""
    lines: list[EmissionLine] = []
    unread = ""
    for line in header:
        found = _WAVELENGTH.search(line)
        if not found:
            unread = unread or (line.strip()[:60] if _SAYS_WAVELENGTH.search(line) else "")
            continue
        unit = (found["unit"] or found["u1"] or "a").lower()
        value = float(found["value"])
        value *= 1e10 if value < 1e-8 else {"nm": 10.0, "m": 1e10}.get(unit, 1.0)
        weight, second = _WEIGHT.search(line), len(lines) == 1 and _ALPHA2.search(line)
        if second and 1.0 < value / lines[0].wavelength < 1.02:
            share = next((float(each[1]) for each in map(_RATIO.search, header) if each), KALPHA2_RATIO)
            lines += [EmissionLine(wavelength=round(value, 12), weight=share)] if 0.0 < share < 1.0 else []
        elif 0.1 < value < 5.0 and (weight or not lines):
            share = float(weight[1]) if weight else 1.0
            lines.append(EmissionLine(wavelength=round(value, 12), weight=share))
        elif not lines:
            unread = unread or line.strip()[:60]
    if lines or not unread:
        return tuple(lines), ()
    text = f"the header says {unread!r}, of which no wavelength between 0.1 and 5 Å can be read; give the wavelength"
    return (), (WAVELENGTH_DOUBTFUL(text),)
