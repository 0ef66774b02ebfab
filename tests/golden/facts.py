"""What of a result is kept, how it is stored, and when two results are the same.

Nothing here names a module of the package but the top one, nor a field of its dataclasses except those that hold
measured curves: the code may move, and this must not.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import xrdcomp as xc

DATA = Path(__file__).parent / "data"

LEFT_OUT = {
    "software": "versions are recorded once, in the head of each file",
    "sources": "the same files stand under `inputs`",
    "operator": "initials of a person who measured a real file",
}
"""Keys that are not kept, with the reason."""

MESSAGES_OF_STAGES = ("messages", "diagnostics")
"""Fields of objects that are not kept: the same messages stand under `messages` of the whole result's JSON."""

ADDED = (
    *("facts", "boundary_c", "boundary_mass", "salts_apart", "oxalate_steps", "noise", "corrected"),
    *("lattice_diffuse", "flatter_halo", "called_for", "open_reading"),
)
"""Fields of objects that came after the results were recorded; a fresh recording keeps them."""

STORED_AS = {"ci95": "interval"}
"""Fields of objects that had another name when the results were recorded."""

ADDED_TO_PHASES = ("facts",)
"""Keys of a phase in JSON that came later: they repeat the library's list; of own structures, the evidence."""

CATALOGUE = ("name", "formula")
"""Keys of a phase in a result that only repeat the library's list, which is a case of its own."""

WORDS = (
    *("text", "statement", "reason", "why", "limit_basis", "ring_missing", "warnings", "notes"),
    *("source", "citation"),
)
"""Keys that hold sentences: kept is only whether there are any, because sentences may be reworded."""

MEASURED = ("observed", "sigma", "intensity", "mass", "mass_fraction", "dtg_per_min", "temperature_c")
"""Arrays that are, or follow point by point from, what was measured: of real files only moments are kept."""

TOLD_BY_MOMENTS = ("draws", "hkl", "two_theta", "rotations", "site_xyz", "site_occupancy", "site_b_iso")
"""Arrays of which moments say enough: independent draws, indices, even axes, sites of a cell."""

SAMPLES, FEW_SAMPLES, SHORT = 24, 8, 12

SAME, OTHER_MACHINE = (1e-9, 1e-13), (1e-3, 1e-7)
"""Relative tolerance, and absolute floor of single figures.

Reordering a sum changes its last digits; figures that are zero but for rounding are shares and fractions of 1, hence
1e3 epsilon as the floor. Another processor runs other kernels of the linear algebra and of numpy's functions, and an
iteration that ends at a tolerance carries their last digits up: two threads instead of one, which also changes the
kernels, moved differences of nearly equal areas by 6e-6 of their value, a processor of narrower vectors covariances of
a thermogravimetric step by 1.1e-4, most other figures by less than 1e-7. A thousandth is nothing beside any
uncertainty.
"""


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Maker, family and model of the processor, where the system tells them: kernels differ by them too."""
    if not cpuinfo.is_file():
        return platform.processor()
    lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    told = {key.strip(): value.strip() for key, _, value in lines}
    return " ".join(told[key] for key in ("vendor_id", "cpu family", "model") if key in told)


def environment() -> dict[str, Any]:
    """What decides the last digits: versions, and the processor and its instructions that kernels are chosen by."""
    found: Any = np.show_config(mode="dicts")
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        "processor": processor(),
        "vector_instructions": " ".join(found.get("SIMD Extensions", {}).get("found", [])),
        **{name: version(name) for name in ("numpy", "scipy", "matplotlib")},
    }


def facts_of(value: Any, *, real: bool, hide: Mapping[str, str], name: str = "") -> Any:
    """Nested plain facts of anything a call gives back.

    `real` says that the measurement is not the project's own; `hide` maps folders to what stands for them. What is
    None or empty is left out, so that a value in its place shows as an additional one.
    """
    more: Any = {"real": real, "hide": hide}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = fields_of(value)
    if isinstance(value, Mapping):
        if value.keys() == {"hkl", "two_theta", "intensity"}:
            value = _in_fixed_order(value)
        if "decision" in value:
            value = {key: item for key, item in value.items() if key not in ADDED_TO_PHASES}
        if "settings" in value and "composition" in value:
            phases = [{k: v for k, v in phase.items() if k not in CATALOGUE} for phase in value["phases"]]
            value = {**value, "settings": _chosen(value["settings"]), "phases": phases}
        found = {
            str(key): facts_of(item, **more, name=str(key))
            if key not in WORDS or not isinstance(item, str | list | tuple)
            else _words(item)
            for key, item in value.items()
            if key not in LEFT_OUT
        }
        return {key: item for key, item in found.items() if item is not None and item != {}}
    if isinstance(value, np.ndarray):
        return _array(value, moments_only=name in TOLD_BY_MOMENTS or (real and name in MEASURED))
    if isinstance(value, list | tuple):
        items = [facts_of(item, **more, name=name) for item in value]
        return _labelled(items) if any(isinstance(item, dict) for item in items) else items
    if isinstance(value, str | Path):
        text = str(value)
        for folder, stand_in in hide.items():
            text = text.replace(folder, stand_in)
        return text
    return value.item() if isinstance(value, np.generic) else value


def fields_of(item: Any) -> dict[str, Any]:
    """Fields of an object that are kept, under the names they are stored by."""
    names = (field.name for field in dataclasses.fields(item))
    return {
        STORED_AS.get(name, name): getattr(item, name) for name in names if name not in (*MESSAGES_OF_STAGES, *ADDED)
    }


def _chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are not the default ones; a case of its own keeps the defaults."""
    default = xc.Recipe().to_dict()

    def differing(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in given.items():
            if isinstance(value, Mapping) and isinstance(usual.get(key), Mapping):
                found |= {key: inner} if (inner := differing(value, usual[key])) else {}
            elif key not in usual or json.dumps(value) != json.dumps(usual[key]):
                found[key] = value
        return found

    return differing(settings, default)


def _in_fixed_order(table: Mapping[str, Any]) -> dict[str, Any]:
    """Reflections by angle, and by index where rounding alone decides which of one angle comes first."""
    order = np.lexsort((*np.asarray(table["hkl"]).T, np.round(table["two_theta"], 6)))
    return {key: np.asarray(values)[order] for key, values in table.items()}


def _words(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return f"<{len(value)} sentences>"
    return "<words>" if value else value


def _labelled(items: list[Any]) -> dict[str, Any]:
    """Objects of a list under their own names, so that one more does not move all others; their order beside."""
    found: dict[str, Any] = {}
    for item in items:
        names = (item.get(key) for key in ("id", "code", "name", "setting", "kind")) if isinstance(item, dict) else ()
        label = next((str(name) for name in names if isinstance(name, str) and name), "item")
        number = sum(key == label or key.startswith(f"{label}#") for key in found)
        found[f"{label}#{number}" if number else label] = item
        if isinstance(item, dict) and item.get("id") == label:
            del item["id"]
    return {"order": list(found), **found}


def _array(values: Any, *, moments_only: bool) -> Any:
    if values.dtype.kind not in "fiub":
        return values.tolist()
    if values.ndim > 2:
        values = values.ravel()
    if values.ndim == 2 and values.shape[0] == values.shape[1] and len(values):
        return values.tolist() if len(values) <= SHORT else _covariance(values)
    if values.ndim == 2:
        return {f"column_{i}": _array(column, moments_only=moments_only) for i, column in enumerate(values.T)}
    if values.ndim == 0 or (len(values) <= SHORT and not moments_only):
        return values.tolist()
    return _curve(values.astype(float), moments_only=moments_only)


def _curve(values: Any, *, moments_only: bool) -> dict[str, Any]:
    """Number of points, Σy, Σy², Σiy, and evenly spaced samples."""
    n = len(values)
    moments = [values.sum(), (values**2).sum(), (np.arange(n) * values).sum()]
    curve: dict[str, Any] = {"points": n, "moments": [float(moment) for moment in moments]}
    if not moments_only:
        count = SAMPLES if n >= 10 * SAMPLES else FEW_SAMPLES
        curve["samples"] = values[np.linspace(0, n - 1, count).round().astype(int)].tolist()
    return curve


def _covariance(values: Any) -> dict[str, Any]:
    """Standard deviations, and the correlations as a curve: covariances of unlike units have no common scale."""
    std = np.sqrt(np.abs(np.diag(values)))
    scale = np.where(std > 0.0, std, 1.0)
    correlation = values / scale / scale[:, None]
    return {"each": std.tolist(), "correlation": _curve(correlation.ravel(), moments_only=False)}


def write_facts(case: str, facts: Mapping[str, Any]) -> Path:
    """Write ``data/CASE.json``: one line for each group of figures, so that differences show by the line."""
    lines = [f"{json.dumps(path)}: {_compact(value)}" for path, value in _groups(facts)]
    head = _compact(environment())
    body = ",\n ".join(lines)
    target = DATA / f"{case}.json"
    target.write_text(f'{{"environment": {head},\n"facts": {{\n {body}\n}}}}\n', encoding="utf-8")
    return target


def read_facts(case: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Environment and facts of a stored case."""
    stored = json.loads((DATA / f"{case}.json").read_text(encoding="utf-8"))
    facts: dict[str, Any] = {}
    for path, value in stored["facts"].items():
        *above, last = path.split("|")
        node = facts
        for key in above:
            node = node.setdefault(key, {})
        node[last] = value
    return stored["environment"], facts


def as_stored(facts: Mapping[str, Any]) -> Any:
    """Facts as they come back from a file: plain JSON types."""
    return json.loads(_compact(facts))


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _groups(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        here = f"{path}|{key}" if path else key
        nested = isinstance(value, dict) and value and not value.keys() & {"moments", "each"}
        if nested and len(_compact(value)) > 1500 and any(isinstance(item, dict) for item in value.values()):
            yield from _groups(value, here)
        else:
            yield here, value


Difference = tuple[str, Any, Any]
MISSING = "<missing>"


def differences(stored: Any, fresh: Any, tolerances: tuple[float, float], path: str = "") -> Iterator[Difference]:
    """Path, stored and fresh value of everything that is not the same."""
    tolerance, zero = tolerances
    if isinstance(stored, dict) and isinstance(fresh, dict):
        if "moments" in stored and "moments" in fresh:
            yield from _curve_differences(stored, fresh, tolerance, path)
            return
        for key in (*stored, *(key for key in fresh if key not in stored)):
            here = f"{path}.{key}" if path else key
            yield from differences(stored.get(key, MISSING), fresh.get(key, MISSING), tolerances, here)
    elif isinstance(stored, list) and isinstance(fresh, list) and len(stored) == len(fresh):
        scales = _scales(stored, relative=path.endswith(".each"))
        for i, (old, new, scale) in enumerate(zip(stored, fresh, scales, strict=True)):
            if isinstance(scale, list):
                pairs = zip(old, new, scale, strict=True) if isinstance(new, list) and len(new) == len(old) else ()
                yield from (
                    (f"{path}[{i}][{j}]", a, b)
                    for j, (a, b, s) in enumerate(pairs)
                    if not _same(a, b, tolerance, tolerance * s)
                )
                if not pairs:
                    yield f"{path}[{i}]", old, new
            elif scale is None:
                yield from differences(old, new, tolerances, f"{path}[{i}]")
            elif not _same(old, new, tolerance, tolerance * scale):
                yield f"{path}[{i}]", old, new
    elif not _same(stored, fresh, tolerance, zero):
        yield path, stored, fresh


def _scales(values: list[Any], *, relative: bool) -> list[Any]:
    """Scale of each entry: the largest of a list of figures, √(cii cjj) in a covariance, 0 for unlike units."""
    n = len(values)
    if n and all(_is_number(value) for value in values):
        return [0.0] * n if relative else [max(map(abs, values))] * n
    if n and all(isinstance(row, list) and len(row) == n and all(map(_is_number, row)) for row in values):
        diagonal = [abs(values[i][i]) ** 0.5 for i in range(n)]
        return [[diagonal[i] * diagonal[j] for j in range(n)] for i in range(n)]
    return [None] * n


def _curve_differences(
    stored: dict[str, Any], fresh: dict[str, Any], tolerance: float, path: str
) -> Iterator[Difference]:
    """Curves: floors are relative to the curve's own root mean square, because its points may be next to zero.

    Σy of a curve that changes sign is small against the sum of its moduli, which √(n Σy²) bounds; Σiy likewise.
    """
    n = stored["points"]
    if n != fresh["points"] or ("samples" in stored) != ("samples" in fresh):
        yield f"{path}.points", n, fresh["points"]
        return
    total = stored["moments"][1]
    floors = ((n * total) ** 0.5, total, n * (n * total) ** 0.5)
    names = ("sum", "sum_of_squares", "first_moment")
    for name, old, new, floor in zip(names, stored["moments"], fresh["moments"], floors, strict=True):
        if not _same(old, new, tolerance, tolerance * floor):
            yield f"{path}.{name}", old, new
    level = (total / max(n, 1)) ** 0.5
    for i, (old, new) in enumerate(zip(stored.get("samples", ()), fresh.get("samples", ()), strict=True)):
        if not _same(old, new, tolerance, tolerance * level):
            yield f"{path}.samples[{i}]", old, new


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(old: Any, new: Any, tolerance: float, floor: float) -> bool:
    if not (_is_number(old) and _is_number(new)):
        return type(old) is type(new) and bool(old == new)
    if old == new or (old != old and new != new):
        return True
    if isinstance(old, int) and isinstance(new, int):
        return False
    return abs(old - new) <= max(tolerance * abs(old), floor)
