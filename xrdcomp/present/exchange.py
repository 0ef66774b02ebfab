"""Every table of a result, and what takes them away: CSV, text, Excel, Parquet, LaTeX and powder CIF."""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import msgspec
import numpy as np

from xrdcomp.disk import no_formula, write_whole
from xrdcomp.errors import ArgumentError, MissingExtraError, OutputError, printable
from xrdcomp.results import Estimate, FitResult, PhaseResult, SampleResult, row_of_estimate
from xrdcomp.units import FloatArray, two_theta_to_q

if TYPE_CHECKING:
    import pandas as pd

Column: TypeAlias = Sequence[Any] | FloatArray
CURVES = ("pattern", "thermogram")
"""Tables with one row a point."""
CELL_UNITS = {"a": "Å", "b": "Å", "c": "Å", "alpha": "deg", "beta": "deg", "gamma": "deg"}
NOT_TESTED = 1.0
"""A detection limit of the whole specimen: nothing was excluded."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: its name, a title in words, and columns of one length by their heads, units in brackets."""

    name: str
    title: str
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def rows(self) -> Iterable[tuple[Any, ...]]:
        """Return the rows; NaN and missing values are None, scalars of numpy plain."""
        return zip(*(_plain_column(column) for column in self.columns.values()), strict=True)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table with the units of its columns in ``attrs["units"]``."""
        import pandas as pd

        found = pd.DataFrame({name: list(column) for name, column in self.columns.items()})
        found.attrs |= {"title": self.title, "units": {name: unit_of(name) for name in self.columns}}
        return found


def unit_of(head: str) -> str:
    """Unit in the brackets at the end of a column's head, "" where there is none."""
    found = re.search(r" \(([^()]+)\)$", head)
    return found[1] if found else ""


def _holds_numbers(column: Column) -> TypeGuard[FloatArray]:
    return isinstance(column, np.ndarray) and column.dtype.kind == "f"


def _plain_column(column: Column) -> list[Any]:
    if _holds_numbers(column) and np.isfinite(column).all():
        return list(column.tolist())  # thousands of points
    return [_plain(value) for value in column]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


TITLES = {
    "composition": "Composition",
    "other_basis": "Composition on the other basis",
    "phases": "Crystalline phases that were asked after, with the CO₃ of their lattices",
    "limits": "Decisions on phases, and what would have been found",
    "cells": "Unit cells",
    "microstructure": "Size and strain of crystallites, indices of apatite",
    "peaks": "Reflections of the fit, and peaks that no phase explains",
    "parameters": "Refined parameters",
    "correlations": "Correlations of the refined parameters",
    "fractions": "Mass fractions by diffraction alone",
    "steps": "Steps of the thermogravimetric run",
    "mass_balance": "Mass balance of the thermogravimetric run",
    "budget": "Shares of inputs in the variance of each component",
    "tga_budget": "Shares of sources in the variance of each thermogravimetric quantity",
    "claims": "Findings",
    "messages": "Messages",
    "measurement": "Scan, run and files",
    "settings": "Settings",
    "pattern": "Measured and fitted pattern",
    "thermogram": "Thermogravimetric curve",
}
"""Tables of a result in their order, with titles."""


def tables_of(result: SampleResult, *, curves: bool = True) -> dict[str, Table]:
    """Every table of a result by name, those that would be empty left out; `curves` as well where asked for."""
    makers: dict[str, Callable[[], Any]] = {
        "composition": result.composition.rows,
        "other_basis": lambda: _estimates({}, result.composition.other_basis, scale=100.0, unit="wt%"),
        "phases": result.phases.rows,
        "limits": lambda: [_limit(phase) for phase in result.phases],
        "cells": lambda: [row for phase in result.phases for row in _cell(phase)],
        "microstructure": lambda: [row for phase in result.phases for row in _microstructure(phase)],
        "peaks": lambda: _peaks(result),
        "fractions": lambda: _fractions(result),
        "budget": lambda: _budget(result.composition.budget, "component"),
        "claims": lambda: [claim.to_dict() for claim in result.claims],
        "messages": lambda: [
            {"severity": m.severity, "code": m.code, "text": m.text, "concerns": " ".join(m.concerns)}
            for m in result.messages
        ],
        "measurement": lambda: _measurement(result),
        "settings": lambda: [
            {"setting": key, "value": value} for key, value in flattened(result.settings) if not key.startswith("used")
        ],
    }
    if (fit := result.xrd) is not None:
        makers |= {"parameters": fit.rows, "correlations": lambda: _correlations(fit)}
        makers |= {"pattern": lambda: pattern_columns(result)} if curves else {}
    if (tga := result.tga) is not None:
        makers |= {"steps": tga.rows, "mass_balance": lambda: tga.rows("quantities")}
        makers["tga_budget"] = lambda: _budget(tga.budget, "quantity")
        if curves:
            makers["thermogram"] = lambda: {
                "temperature (°C)": tga.temperature_c,
                "mass (wt%)": 100.0 * tga.mass_fraction,
                "mass_loss_rate (wt%/min)": 100.0 * tga.dtg_per_min,
            }
    found = {}
    for name, title in TITLES.items():
        content = makers.get(name, dict)()
        columns = content if isinstance(content, Mapping) else _columns(content)
        if columns:
            found[name] = Table(name=name, title=title, columns=columns)
    return found


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    heads = dict.fromkeys(head for row in rows for head in row)
    return {head: [row.get(head) for row in rows] for head in heads}


def flattened(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys of nested mappings with their values, lists as text."""
    found: list[tuple[str, Any]] = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            found += flattened(value, f"{prefix}{key}.")
        else:
            listed = isinstance(value, list | tuple)
            found.append((prefix + key, ", ".join(map(str, value)) if listed else value))
    return found


def _estimates(
    first: Mapping[str, Any], estimates: Mapping[str, Estimate | None], *, scale: float = 1.0, unit: str | None = None
) -> list[dict[str, Any]]:
    """Rows of estimates by name behind the cells in `first`; a unit stands in the head, or else in a column."""
    return [
        {**first, "name": name, **row_of_estimate(item, scale=scale, unit=unit or "")}
        | ({} if unit is not None else {"unit": item.unit if item is not None else ""})
        for name, item in estimates.items()
    ]


def _limit(phase: PhaseResult) -> dict[str, Any]:
    evidence, limit = phase.evidence, phase.detection_limit
    tested = limit is not None and limit < NOT_TESTED
    return {
        "id": phase.id, "decision": phase.decision, "tested": "yes" if tested or phase.decision == "detected" else "no",
        "detection_limit (wt%)": 100.0 * limit if limit is not None and tested else None, "z": evidence.z,
        "threshold_z": evidence.rule.threshold if evidence.rule is not None and evidence.z is not None else None,
        "reflections_expected": evidence.reflections_expected, "reflections_seen": evidence.reflections_seen,
        "basis": evidence.limit_basis, "reason": evidence.reason, "alternatives": " ".join(evidence.alternatives),
    }  # fmt: skip


def _cell(phase: PhaseResult) -> list[dict[str, Any]]:
    return _estimates({"id": phase.id}, phase.cell)


def _microstructure(phase: PhaseResult) -> list[dict[str, Any]]:
    found: dict[str, Estimate | None] = {
        f"crystallite_size_{axis}": item for axis, item in phase.crystallite_size_nm.items()
    }
    if phase.microstrain is not None:
        found["microstrain"] = phase.microstrain
    notes = {}
    for name, item in phase.apatite_indices.items():
        parts = item.items() if isinstance(item, Mapping) and "value" not in item else [("", item)]
        for part, index in parts:
            key = f"{name}_{part}" if part else name
            data = index if isinstance(index, Mapping) else {"value": index}
            found[key] = None if data.get("value") is None else _estimate_of(data)
            if data.get("in_domain") is False:
                notes[key] = "outside its domain" + (f": {data['why']}" if data.get("why") else "")
    rows = _estimates({"id": phase.id}, found)
    return [{**row, "note": notes.get(row["name"], "")} for row in rows]


def _peaks(result: SampleResult) -> dict[str, Column]:
    """Peak list by angle: reflections of every phase of the fit, and what no phase explains."""
    rows: list[dict[str, Any]] = []
    intensity = result.metadata.get("intensity_unit", "arbitrary")
    area, height = f"area ({intensity}·deg)", f"height ({intensity})"
    for phase, table in (result.xrd.reflections if result.xrd is not None else {}).items():
        for i, angle in enumerate(table.two_theta):
            further = {
                head: None if values is None else values[i]
                for head, values in (
                    ("d (Å)", table.d_spacing), (height, table.height), (area, table.area), ("fwhm (deg)", table.fwhm)
                )
            }  # fmt: skip
            indices = dict(zip("hkl", (int(index) for index in table.hkl[i]), strict=True))
            relative = {"relative_intensity (%)": table.intensity[i]}
            rows.append(
                {"two_theta (deg)": angle, **further, **relative, "phase": phase, **indices, "explained": "yes"}
            )
    for peak in result.metadata.get("unexplained_peaks") or ():
        named = {"two_theta (deg)": peak["two_theta"], "d (Å)": peak["d_spacing"], height: peak["height"]}
        near = " ".join(peak["candidates"])
        rows.append({**named, "phase": "", "explained": "no", "z": peak["z"], "candidates": near})

    def place(row: Mapping[str, Any]) -> tuple[float, str, tuple[int, ...]]:
        # rounding alone puts one of two reflections at the same angle first: then by indices
        return round(float(row["two_theta (deg)"]), 6), row["phase"], tuple(row.get(index, 0) for index in "hkl")

    return _columns(sorted(rows, key=place))


def _correlations(fit: FitResult) -> dict[str, Column]:
    matrix, names = fit.correlations, fit.covariance_names
    return {"name": names, **{name: matrix[:, i] for i, name in enumerate(names)}} if matrix.size else {}


def _fractions(result: SampleResult) -> list[dict[str, Any]]:
    found = result.metadata.get("quantification") or {}
    first = {key: found.get(key) for key in ("method", "basis")}
    estimates: dict[str, Estimate | None] = {
        name: _estimate_of(item) for name, item in found.get("fractions", {}).items()
    }
    return _estimates(first, estimates, scale=100.0, unit="wt%")


def _estimate_of(data: Mapping[str, Any]) -> Estimate:
    """Estimate from the contract's ``quantity``."""
    interval = tuple(data["ci95"]) if data.get("ci95") else None
    return Estimate(value=data["value"], std=data.get("std"), ci95=interval, unit=str(data.get("unit", "")))


def _budget(budget: Mapping[str, Mapping[str, float]], kind: str) -> list[dict[str, Any]]:
    return [
        {kind: name, "input": source, "share_of_variance (%)": 100.0 * share}
        for name, parts in budget.items()
        for source, share in parts.items()
    ]


def _measurement(result: SampleResult) -> list[dict[str, Any]]:
    """Facts of scan and run, as analysed and as their files state them, and where they came from."""
    rows: list[tuple[str, str, Any, str]] = []
    if (fit := result.xrd) is not None:
        low, high, n = float(fit.two_theta[0]), float(fit.two_theta[-1]), len(fit.two_theta)
        rows += [("xrd", "first angle of the fit", low, "deg"), ("xrd", "last angle of the fit", high, "deg")]
        rows += [("xrd", "points", n, ""), ("xrd", "mean step", (high - low) / max(n - 1, 1), "deg")]
        rows += [("xrd", f"wavelength {i}", value, "Å") for i, value in enumerate(fit.wavelengths, start=1)]
        rows += [("xrd", "Rwp", 100.0 * fit.rwp, "%"), ("xrd", "Rexp", 100.0 * fit.rexp, "%")]
        rows += [("xrd", "goodness of fit", fit.gof, ""), ("xrd", "refined numbers", fit.n_parameters, "")]
        rows += [("xrd", "unit of intensity", result.metadata.get("intensity_unit"), "")]
        rows += [("xrd", key, value, "") for key, value in flattened(result.settings.get("used", {}))
                 if key == "instrument"]  # fmt: skip
    if (tga := result.tga) is not None:
        rows += [("tga", "gas", tga.atmosphere, ""), ("tga", "mass weighed in", tga.initial_mass_mg, "mg")]
        rows += [("tga", "heating rate", tga.heating_rate_k_min, "K/min")]
        rows += [("tga", "lowest temperature", float(tga.temperature_c.min()), "°C")]
        rows += [("tga", "highest temperature", float(tga.temperature_c.max()), "°C")]
    for item in result.inputs:
        kind = item["kind"] + (f" ({item['setting']})" if "setting" in item else "")
        rows += [(kind, key, item[key], "") for key in ("file", "sha256", "format", "sample_name") if item.get(key)]
        rows += [(kind, f"file: {key}", value, "") for key, value in flattened(item.get("metadata", {}))]
    rows += [("software", name, version, "") for name, version in result.software.items()]
    heads = ("of", "quantity", "value", "unit")
    return [dict(zip(heads, row, strict=True)) for row in rows if row[2] is not None]


def pattern_columns(result: SampleResult) -> dict[str, Column]:
    """Curves of the fit over its points, with their unit and, where a wavelength is known, q."""
    fit = result.xrd
    assert fit is not None, "asked for by `tables_of` only where there is a fit"
    unit = result.metadata.get("intensity_unit", "arbitrary")
    columns: dict[str, Column] = {"two_theta (deg)": fit.two_theta}
    if fit.wavelengths:
        columns["q (1/Å)"] = two_theta_to_q(fit.two_theta, fit.wavelengths[0])
    for name in ("observed", "sigma", "calculated", "background"):
        columns[f"{name} ({unit})"] = getattr(fit, name)
    columns[f"difference ({unit})"] = fit.observed - fit.calculated
    columns |= {f"amorphous {name} ({unit})": curve for name, curve in fit.amorphous.items()}
    return columns | {f"phase {name} ({unit})": curve for name, curve in fit.phases.items()}


# Many results


def tables_of_many(results: Sequence[SampleResult], names: Sequence[str] = ()) -> dict[str, Table]:
    """Tables of several results, each with the sample id before its rows, and ``specimens``, one row a specimen."""
    single = [
        (result.sample_id, tables_of(result, curves=not names or bool({*CURVES} & {*names}))) for result in results
    ]
    found = {"specimens": Table(name="specimens", title="Specimens", columns=_columns([_specimen(r) for r in results]))}
    for name, title in TITLES.items():
        parts = [(sample, tables[name]) for sample, tables in single if name in tables]
        if not parts:
            continue
        heads = dict.fromkeys(head for _, table in parts for head in table.columns)
        columns: dict[str, Column] = {"sample_id": [sample for sample, table in parts for _ in range(len(table))]}
        for head in heads:
            columns[head] = [
                value for _, table in parts for value in table.columns.get(head, [None] * len(table))
            ]  # fmt: skip
        found[name] = Table(name=name, title=title, columns=columns)
    return found


def _specimen(result: SampleResult) -> dict[str, Any]:
    composition = result.composition
    row: dict[str, Any] = {"sample_id": result.sample_id, "status": result.status, "verdict": result.verdict}
    row |= {"basis": composition.basis, "method": composition.method}
    for name, estimate in (*composition.components.items(), *composition.identifiable_sums.items()):
        row |= row_of_estimate(estimate, name, scale=100.0, unit="wt%")
    detected = " ".join(phase.id for phase in result.phases.detected)
    return row | {"phases_detected": detected, **{f"P {claim.id}": claim.probability for claim in result.claims}}


# Formats


def to_csv(table: Table, *, separator: str = ",") -> str:
    """Table as CSV (or with another separator): numbers exact, what is missing empty, no text that is a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", delimiter=separator)
    writer.writerow(map(no_formula, table.columns))
    if len(table) and all(map(_holds_numbers, table.columns.values())):  # of thousands of points: a tenth of the time
        rows = np.column_stack([*table.columns.values()]).tolist()
        body = msgspec.json.encode(rows)[2:-2].replace(b"],[", b"\n").replace(b"null", b"").decode() + "\n"
        return printable(stream.getvalue()) + (body if separator == "," else body.replace(",", separator))
    columns = [
        _plain_column(column) if _holds_numbers(column) else map(no_formula, _plain_column(column))
        for column in table.columns.values()
    ]
    writer.writerows(zip(*columns, strict=True))
    return printable(stream.getvalue())


def _excel(tables: Mapping[str, Table]) -> bytes:
    """Workbook of one sheet a table, heads frozen; the same bytes for the same tables."""
    try:
        import xlsxwriter
    except ImportError as missing:
        raise MissingExtraError("Excel files need XlsxWriter: pip install 'xrdcomp[excel]'") from missing
    import datetime

    stream = io.BytesIO()
    settings = {
        "in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False,
        "nan_inf_to_errors": False,
    }  # fmt: skip
    book = xlsxwriter.Workbook(stream, settings)
    fixed = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)
    book.set_properties({"author": "xrdcomp", "created": fixed, "comments": "written by xrdcomp"})
    bold = book.add_format({"bold": True, "bottom": 1})
    for table in tables.values():
        sheet = book.add_worksheet(table.name[:31])
        for place, head in enumerate(table.columns):
            sheet.write_string(0, place, printable(head), bold)
        widths = [len(head) for head in table.columns]
        for number, row in enumerate(table.rows(), start=1):
            for place, value in enumerate(row):
                if isinstance(value, bool) or (value is not None and not isinstance(value, int | float)):
                    text = printable(str(value))[:32_767]  # the longest text of a cell
                    sheet.write_string(number, place, text)
                    widths[place] = max(widths[place], len(text))
                elif value is not None:
                    sheet.write_number(number, place, value)
        for place, width in enumerate(widths):
            sheet.set_column(place, place, min(max(width + 1, 8), 60))
        sheet.freeze_panes(1, 1)
        sheet.autofilter(0, 0, max(len(table), 1), max(len(table.columns) - 1, 0))
    book.close()
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"written by xrdcomp"  # what is inside is packed, and this tells whose file it is
    return stream.getvalue()


def _parquet(table: Table) -> bytes:
    """Arrow table with the unit of each column in its metadata; a column of text and numbers becomes text."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as missing:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'xrdcomp[batch]'") from missing
    columns = list(zip(*table.rows(), strict=True)) or [()] * len(table.columns)
    arrays, fields = [], []
    for head, column in zip(table.columns, columns, strict=True):
        numbers = all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in column
        )
        values = [value if value is None or numbers else str(value) for value in column]
        arrays.append(pa.array(values, type=pa.float64() if numbers else pa.string()))
        fields.append(pa.field(head, arrays[-1].type, metadata={"unit": unit_of(head)}))
    schema = pa.schema(fields, metadata={"creator": "xrdcomp", "title": table.title})
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), stream, compression="zstd")
    return stream.getvalue()


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "Å": r"\AA{}", "°": r"$^\circ$", "±": r"$\pm$", "–": "--",
    "−": "$-$", "·": r"$\cdot$", "²": "$^2$", "³": "$^3$", "⁻": "$^-$", "¹": "$^1$", "₂": "$_2$", "₃": "$_3$",
    "₄": "$_4$", "θ": r"$\theta$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "σ": r"$\sigma$",
    "µ": r"$\mu$", "μ": r"$\mu$", "λ": r"$\lambda$", "ε": r"$\varepsilon$", "Σ": r"$\Sigma$", "Δ": r"$\Delta$",
    "χ": r"$\chi$", "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$", "×": r"$\times$", "√": r"$\surd$", "…": r"\dots{}",
    "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
}  # fmt: skip
_LONG = 40
"""Rows from which on a table breaks over pages."""


def tex(text: str) -> str:
    """Text for LaTeX without packages; a character that it does not know becomes its code."""
    plain = printable(" ".join(text.split()))
    return "".join(_TEX.get(c) or (c if " " <= c <= "~" or c in "äöüßéèçàñÄÖÜ" else f"U+{ord(c):04X}") for c in plain)


def _latex(tables: Mapping[str, Table]) -> str:
    """Tables for LaTeX's input: a value and its standard uncertainty in one cell, as 33.0(1.5)."""
    parts = ["% written by xrdcomp; read it in with \\input. A number in brackets is one standard uncertainty."]
    if any(len(table) > _LONG for table in tables.values()):
        parts.append("% needs \\usepackage{longtable}")
    for table in tables.values():
        heads, rows = _joined(table)
        body = [" & ".join(map(tex, row)) + r" \\" for row in rows]
        columns = "".join("r" if any(re.match(r"-?\d", row[i]) for row in rows) else "l" for i in range(len(heads)))
        kind, breaks = ("longtable", [r"\endhead"]) if len(table) > _LONG else ("tabular", [])
        head = " & ".join(map(tex, heads)) + r" \\"
        lines = [f"\\begin{{{kind}}}{{{columns}}}", r"\hline", head, r"\hline", *breaks, *body, r"\hline"]
        parts.append("\n".join([f"% {printable(table.title)}", *lines, f"\\end{{{kind}}}"]))
    return "\n\n".join(parts) + "\n"


def _joined(table: Table) -> tuple[list[str], list[list[str]]]:
    """Heads and cells as text, a value with its standard uncertainty in one, the ends of an interval in another."""
    heads, rows = list(table.columns), [list(row) for row in table.rows()]
    shown, makers = [], []
    for place, head in enumerate(heads):
        base, unit = re.fullmatch(r"(.*?)( \([^()]*\))?", head).groups("")  # type: ignore[union-attr]  # matches all
        if re.search(r"(?:\A|_)(std|ci95_low|ci95_high)\Z", base):
            continue
        prefix = "" if base == "value" else f"{base}_"
        std, low, high = (
            heads.index(name) if (name := f"{prefix}{part}{unit}") in heads else None
            for part in ("std", "ci95_low", "ci95_high")
        )
        shown.append(base.replace("_", " ") + unit)
        makers.append((place, std))
        if low is not None and high is not None:
            shown.append("95 %")
            makers.append((low, high))
    out = []
    for row in rows:
        pairs = [(row[first], None if second is None else row[second]) for first, second in makers]
        out.append([
            _interval(*pair) if head == "95 %" else _cell_text(*pair) for head, pair in zip(shown, pairs, strict=True)
        ])  # fmt: skip
    return shown, out


def _cell_text(value: Any, std: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and std:
        return format(Estimate(value=value, std=std), "S")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} – {high:.4g}"


# The fitted pattern as powder CIF


def to_cif(results: Sequence[SampleResult]) -> str:
    """Powder CIF of fitted patterns: one block a pattern with curves and reflections, one a phase with its cell.

    The background of the CIF is that of instrument and air with all amorphous scattering; what each amorphous component
    and each phase adds stands in columns of names of our own.
    """
    from gemmi import cif

    document = cif.Document()
    taken: set[str] = set()
    for result in results:
        fit = result.xrd
        if fit is None:
            raise OutputError(f"{result.sample_id}: no pattern to write as CIF; the analysis had none.")
        name = re.sub(r"[^\w.-]", "_", printable(result.sample_id))
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        block = document.add_new_block(name)
        _describe(block, result, fit)
        phases = list(fit.phases)
        loop = block.init_loop("_pd_phase_", ["id", "name", "block_id", "mass_%"])
        for number, phase in enumerate(phases, start=1):
            known = next((item for item in result.phases if item.id == phase), None)
            share = None if known is None else known.crystalline_weight_fraction
            mass = "." if share is None else _with_su(Estimate(value=100 * share.value, std=100 * (share.std or 0.0)))
            label = phase if known is None else known.name
            loop.add_row([str(number), _quoted(label), _quoted(f"{name}_phase_{number}"), mass])
        _curves(block, result, fit)
        _reflections(block, fit)
        for number, phase in enumerate(phases, start=1):
            own = document.add_new_block(f"{name}_phase_{number}")
            own.set_pair("_pd_block_id", _quoted(f"{name}_phase_{number}"))
            own.set_pair("_pd_phase_name", _quoted(phase))
            for item in (item for item in result.phases if item.id == phase):
                if item.formula:
                    own.set_pair("_chemical_formula_sum", _quoted(item.formula))
                for axis, estimate in item.cell.items():
                    kind = "length" if axis in "abc" else "angle"
                    own.set_pair(f"_cell_{kind}_{axis}", _with_su(estimate))
    return str(document.as_string())


def _quoted(text: str) -> str:
    from gemmi import cif

    return str(cif.quote(printable(text)))


def _with_su(estimate: Estimate) -> str:
    """Value with its standard uncertainty in units of the last figure, as CIF has it: 9.4046(13)."""
    if not estimate.std or not math.isfinite(estimate.std):
        return repr(float(estimate.value))
    places = max(0, 1 - math.floor(math.log10(estimate.std)))
    return f"{estimate.value:.{places}f}({round(estimate.std * 10**places)})"


def _describe(block: Any, result: SampleResult, fit: FitResult) -> None:
    software = ", ".join(f"{name} {version}" for name, version in result.software.items())
    block.set_pair("_audit_creation_method", _quoted(software))
    block.set_pair("_pd_block_id", _quoted(block.name))
    block.set_pair("_pd_calc_method", _quoted("Rietveld refinement with amorphous scattering; see xrdcomp"))
    for item in (item for item in result.inputs if item["kind"] == "xrd" and "setting" not in item):
        told = f"from {item['file']}, SHA-256 {item['sha256']}"
        block.set_pair("_pd_proc_info_data_reduction", _quoted(told))
    pairs: dict[str, Any] = {"meas_number_of_points": len(fit.two_theta), "proc_number_of_points": len(fit.two_theta)}
    pairs |= {"proc_2theta_range_min": float(fit.two_theta[0]), "proc_2theta_range_max": float(fit.two_theta[-1])}
    residual = float(np.abs(fit.observed - fit.calculated).sum() / np.abs(fit.observed).sum())
    pairs |= {"proc_ls_prof_R_factor": residual, "proc_ls_prof_wR_factor": fit.rwp}
    pairs |= {"proc_ls_prof_wR_expected": fit.rexp}
    for key, value in pairs.items():
        block.set_pair(f"_pd_{key}", repr(value))
    block.set_pair("_refine_ls_goodness_of_fit_all", repr(fit.gof))
    block.set_pair("_refine_ls_number_parameters", str(fit.n_parameters))
    lines = result.settings.get("used", {}).get("emission_lines") or [
        {"wavelength": value, "weight": 1.0} for value in fit.wavelengths
    ]
    loop = block.init_loop("_diffrn_radiation_wavelength", ["_id", "", "_wt"])
    for number, line in enumerate(lines, start=1):
        loop.add_row([str(number), repr(float(line["wavelength"])), repr(float(line["weight"]))])


def _curves(block: Any, result: SampleResult, fit: FitResult) -> None:
    unit = result.metadata.get("intensity_unit", "arbitrary")
    whole = unit == "counts" and bool((fit.observed == np.round(fit.observed)).all())
    columns = {
        "_pd_meas_2theta_scan": fit.two_theta,
        "_pd_meas_counts_total" if whole else "_pd_meas_intensity_total": fit.observed,
        "_pd_proc_ls_weight": 1.0 / fit.sigma**2,
        "_pd_calc_intensity_total": fit.calculated,
        "_pd_proc_intensity_bkg_calc": fit.background + sum(fit.amorphous.values()),
    }
    for kind, parts in (("amorphous", fit.amorphous), ("phase", fit.phases)):
        for name, curve in parts.items():
            columns[f"_xrdcomp_{kind}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"] = curve
    table = block.init_loop("", list(columns))
    table.set_all_values([list(map(repr, np.asarray(column, dtype=float).tolist())) for column in columns.values()])


def _reflections(block: Any, fit: FitResult) -> None:
    found = [(number, table) for number, table in enumerate(fit.reflections.values(), start=1) if len(table.two_theta)]
    if not found:
        return
    heads = ["_refln_index_h", "_refln_index_k", "_refln_index_l", "_pd_refln_phase_id", "_pd_refln_peak_id",
             "_refln_d_spacing"]  # fmt: skip
    loop = block.init_loop("", heads)
    peaks: list[list[str]] = []
    for phase, table in found:
        for i, hkl in enumerate(table.hkl):
            spacing = "." if table.d_spacing is None else f"{table.d_spacing[i]:.6f}"
            number = str(len(peaks) + 1)
            loop.add_row([*(str(int(index)) for index in hkl), str(phase), number, spacing])
            width = "." if table.fwhm is None else f"{table.fwhm[i]:.5f}"
            height = "." if table.height is None else f"{table.height[i]:.6g}"
            peaks.append([number, f"{table.two_theta[i]:.5f}", height, width, str(phase)])
    loop = block.init_loop("_pd_peak_", ["id", "2theta_centroid", "intensity", "width_2theta", "pk_phase"])
    for row in peaks:
        loop.add_row(row)


# What takes results away

FORMATS = {
    ".csv": "one table as CSV",
    ".txt": "one table as text, columns apart by tabulators",
    ".xlsx": "every table as an Excel workbook",
    ".parquet": "one table as Parquet",
    ".tex": "composition, phases and steps for LaTeX",
    ".cif": "the fitted pattern as powder CIF",
}
"""What `export` writes by the suffix of the target."""
IN_TEX = ("composition", "phases", "steps")


def export(
    results: SampleResult | Sequence[SampleResult],
    target: str | Path,
    *,
    tables: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write tables of one or several results into one file, in the format of its suffix.

    Parameters
    ----------
    results : SampleResult or sequence of them
        Of several, every table has the sample id in its first column, and there is a table ``specimens``.
    target : path
        ``.csv`` and ``.txt`` (tabulators), ``.parquet`` (needs pyarrow): one table; ``.xlsx`` (needs XlsxWriter): one
        sheet a table; ``.tex``: to be read in by a manuscript; ``.cif``: the fitted pattern as powder CIF.
    tables : sequence of str, optional
        Names from ``xrdcomp.present.exchange.TITLES``. By default every table but the curves for Excel; composition,
        phases and steps for LaTeX; else the composition, of several results the table of specimens.
    overwrite : bool
        Replace a file that xrdcomp did not write.

    Returns
    -------
    Path
        That of the file.

    Raises
    ------
    OutputError, ArgumentError, MissingExtraError
        A suffix that names no format or a place that cannot be written; no such table; a package that is missing.
    """
    many = [results] if isinstance(results, SampleResult) else list(results)
    path, suffix = Path(target), Path(target).suffix.lower()
    if suffix not in FORMATS:
        legal = ", ".join(FORMATS)
        raise OutputError(f"{path}: {suffix or 'no suffix'!r} names no format of tables. Expected: {legal}.")
    if not many:
        raise ArgumentError("results", many, "at least one result")
    if suffix == ".cif":
        return write_whole(path, to_cif(many), overwrite=overwrite, parents=True)
    single = len(many) == 1
    found = tables_of(many[0]) if single else tables_of_many(many, tables)
    usual = {".xlsx": [name for name in found if name not in CURVES], ".tex": [n for n in IN_TEX if n in found]}
    names = list(tables) or usual.get(suffix, ["composition" if single else "specimens"])
    for name in names:
        if name not in found:
            raise ArgumentError("tables", name, f"one of {', '.join(found)}")
    if suffix in (".csv", ".txt", ".parquet") and len(names) > 1:
        raise ArgumentError("tables", ", ".join(names), f"one table for {suffix}; .xlsx and .tex take several")
    chosen = {name: found[name] for name in names}
    data: bytes | str
    if suffix == ".xlsx":
        data = _excel(chosen)
    elif suffix == ".tex":
        data = _latex(chosen)
    elif suffix == ".parquet":
        data = _parquet(chosen[names[0]])
    else:
        data = to_csv(chosen[names[0]], separator="," if suffix == ".csv" else "\t")
    return write_whole(path, data, overwrite=overwrite or _is_table(path), parents=True)


def _is_table(file: Path) -> bool:
    """Tell whether a text that stands there begins with the heads of a table that was written here."""
    try:
        with file.open("rb") as stream:
            head = stream.readline(4096).decode(errors="replace").rstrip("\n")
    except OSError:
        return False
    own = ("name,kind,value (wt%)", "sample_id,", "two_theta (deg)", "temperature (°C)")
    return file.suffix.lower() in (".csv", ".txt") and head.replace("\t", ",").startswith(own)
