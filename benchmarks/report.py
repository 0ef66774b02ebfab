"""What every benchmark shares: rows with their bars, the machine beside them, tables in pages."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure; `bar` None is for information, `holds` says whether the bar is met."""

    name: str
    value: float
    unit: str = ""
    bar: str | None = None
    holds: bool | None = None


def at_most(name: str, value: float, bar: float, unit: str = "") -> Row:
    return Row(name=name, value=value, unit=unit, bar=f"<= {bar:g}", holds=bool(value <= bar))


def at_least(name: str, value: float, bar: float, unit: str = "") -> Row:
    return Row(name=name, value=value, unit=unit, bar=f">= {bar:g}", holds=bool(value >= bar))


def between(name: str, value: float, low: float, high: float, unit: str = "") -> Row:
    return Row(name=name, value=value, unit=unit, bar=f"{low:g} to {high:g}", holds=bool(low <= value <= high))


def as_row(item: Row | Mapping[str, Any] | Any) -> Row:
    """Row from what a study returned: a Row, a mapping, or a dataclass with the same names.

    A bar that is a number is an upper bound of the absolute value, or a lower bound where `holds` says so and for
    shares of truths inside intervals.
    """
    if isinstance(item, Row):
        return item
    given: Mapping[str, Any] = item if isinstance(item, Mapping) else asdict(item)
    found = {key: given[key] for key in ("name", "value", "unit", "bar", "holds")}
    bar, value, holds = found["bar"], float(found["value"]), found["holds"]
    if isinstance(bar, int | float):
        upper = holds == (abs(value) <= bar) and "inside" not in given["name"]
        found["bar"] = f"within ±{bar:g}" if upper else f">= {bar:g}"
    return Row(**found | {"value": value})


def machine(**facts: Any) -> dict[str, Any]:
    """Machine and versions, and `facts` of the run."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    packages = {name: version(name) for name in ("xrdcomp", "numpy", "scipy")}
    about = {"machine": model, "system": platform.system(), "python": platform.python_version()}
    return about | packages | {"source": source_hash()} | facts


def source_hash() -> str:
    """First twelve digits of a SHA-256 over the package's code: rows of different code are never mixed."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "xrdcomp").rglob("*.py")):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def write_rows(name: str, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """Write ``benchmarks/results/<name>.json`` and the machine beside it, ``<name>.machine.json``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    data = [asdict(row) | {"value": float(f"{row.value:.6g}")} for row in rows]
    _write_json(RESULTS / f"{name}.json", data)
    _write_json(RESULTS / f"{name}.machine.json", dict(about))


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def table(rows: Iterable[Row]) -> str:
    """Markdown table of rows with their bars."""
    lines = ["| figure | value | bar | holds |", "|---|---|---|---|"]
    for row in rows:
        verdict = {True: "yes", False: "**no**", None: ""}[row.holds]
        lines.append(f"| {row.name} | {row.value:.4g} {row.unit} | {row.bar or ''} | {verdict} |")
    return "\n".join(lines)


def sentence(about: Mapping[str, Any]) -> str:
    """Machine and versions in one line, for a page."""
    return ", ".join(f"{key} {value}" for key, value in about.items())


def put_into_page(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name: begin -->`` and ``<!-- name: end -->`` of a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = page.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


def shortfalls(rows: Iterable[Row]) -> list[Row]:
    """Rows whose bar is not met."""
    return [row for row in rows if row.holds is False]
