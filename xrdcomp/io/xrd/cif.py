"""Powder CIF (pdCIF): measured or processed profiles in any data block; gemmi parses the syntax.

Angles come from a loop or from range and increment; deviations from the figures in brackets, else from
the least-squares weights (1/variance), else from counting (Toby, von Dreele &
Larson 2003, J. Appl. Cryst. 36, 1290).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit
from xrdcomp.io.archive import number
from xrdcomp.io.registry import XrdReader
from xrdcomp.io.scans import MAX_POINTS, RawScan, two_theta_grid
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    from gemmi import cif

_INTENSITY: tuple[tuple[str, str], ...] = (
    ("_pd_meas_counts_total", "counts"),
    ("_pd_meas_intensity_total", "arbitrary"),
    ("_pd_proc_intensity_total", "arbitrary"),
    ("_pd_proc_intensity_net", "arbitrary"),
)
_ANGLE = ("_pd_meas_2theta_scan", "_pd_meas_2theta_corrected", "_pd_proc_2theta_corrected")
_INSTRUMENT: dict[str, tuple[str, ...]] = {
    "goniometer_radius_mm": ("_pd_instr_dist_spec/detc",),
    "equatorial_divergence_deg": ("_pd_instr_divg_eq_mono/spec", "_pd_instr_divg_eq_src/spec"),
    "soller_deg": ("_pd_instr_divg_ax_src/spec", "_pd_instr_soller_ax_src/spec"),
    "source_length_mm": ("_pd_instr_source_size_ax",),
    "specimen_length_mm": ("_pd_instr_beam_size_ax",),
    "monochromator_two_theta": ("_pd_instr_monochr_post_spec",),
    "specimen_temperature_c": ("_diffrn_ambient_temperature",),
}
_CRYSTAL_ANGLE = re.compile(r"(\d+\.?\d*) ?(?:deg|°)")
MAX_CIF_BYTES = 8 * 2**20
_BRACKETS = re.compile(r"([-+]?\d*\.?\d*(?:[eE][-+]?\d+)?)\((\d+)\)\Z")


def _sniff(source: SourceFile) -> float:
    head = source.head
    if not re.search(rb"^\s*data_\S", head, re.MULTILINE):
        return 0.0
    data = source.data
    if b"_pd_meas" in data or b"_pd_proc" in data:
        return 0.95
    return 0.5 if b"_cell_length" in data else 0.0


def _read(source: SourceFile) -> Sequence[RawScan]:
    from gemmi import cif

    if len(source.data) > MAX_CIF_BYTES:
        raise source.error(f"a CIF of {len(source.data)} bytes", expected=f"up to {MAX_CIF_BYTES}")
    try:
        document = cif.read_string(source.text)
    except (ValueError, RuntimeError) as problem:
        msg = f"the CIF syntax is broken: {str(problem).removeprefix('string:')}"
        raise source.error(msg, expected="a well-formed CIF", hint="The file may be cut.") from problem
    scans: list[RawScan] = []
    lines = next((found for found in map(_radiation, document) if found), ())
    facts = _diffractometer(document)
    for block in document:
        scan = _scan(block, source, _radiation(block) or lines, facts)
        if scan is not None:
            scans.append(scan)
    if not scans:
        msg = "no data block holds a measured powder profile"
        hint = "A CIF of a crystal structure is a phase, not a pattern: pass it with --phases."
        raise source.error(msg, expected="_pd_meas_ or _pd_proc_ intensities over 2θ", hint=hint)
    return scans


def _diffractometer(document: cif.Document) -> dict[str, str | float | int | bool]:
    """What the file says of the diffractometer, wherever it says it once: lengths in mm, angles in degrees, °C."""
    facts: dict[str, str | float | int | bool] = {}
    for name, items in _INSTRUMENT.items():
        texts = {block.find_value(item) or "" for item in items for block in document} - {"", "?", "."}
        if len(texts) != 1:
            continue
        text = texts.pop().strip("'\" ").partition("(")[0]
        angle = _CRYSTAL_ANGLE.match(text) if name == "monochromator_two_theta" else None
        value = number(angle[1] if angle else text)
        if value is not None and value > 0.0:
            facts[name] = value - 273.15 if name == "specimen_temperature_c" else value
    return facts


def _scan(
    block: cif.Block,
    source: SourceFile,
    lines: tuple[EmissionLine, ...],
    instrument: Mapping[str, str | float | int | bool],
) -> RawScan | None:
    place = f"data_{block.name}"
    column = next(((tag, unit) for tag, unit in _INTENSITY if len(block.find_loop(tag)) > 1), None)
    if column is None:
        return None
    tag, given = column
    y, sigma = _values(list(block.find_loop(tag)), source, f"{place}, {tag}")
    n = len(y)
    _check_declared(block, tag, n, source, place)
    x, axis, reason = _angles(block, tag, n, source, place)
    if sigma is None:
        sigma = _from_weights(block, tag, n, source, place)
    unit: IntensityUnit = "counts" if given == "counts" else "arbitrary"
    counting = number(block.find_value("_pd_meas_scan_method") or "") if unit == "cps" else None
    facts = {**instrument, "block": block.name, "intensity_item": tag}
    for item, name in (
        ("_pd_phase_name", "phase_name"),
        ("_pd_spec_description", "sample_name"),
        ("_pd_meas_datetime_initiated", "date"),
    ):
        text = (block.find_value(item) or "").strip("'\" ")
        if text not in {"", "?", "."}:
            facts[name] = text
    calculated = block.name.lower().endswith("_calc")
    notes = []
    if "neutron" in (block.find_value("_diffrn_radiation_probe") or "").lower():
        text = f"data block {block.name!r} was measured with neutrons; structure factors here are for X-rays"
        notes.append(Diagnostic(code="XRD_NEUTRONS", severity="warning", text=text))
    if calculated:
        text = f"data block {block.name!r} holds a calculated pattern, not a measurement"
        notes.append(Diagnostic(code="XRD_CALCULATED", severity="warning", text=text))
    return RawScan(
        two_theta=x,
        intensity=y,
        sigma=sigma,
        unit=unit,
        counting_time_s=counting,
        emission_lines=lines,
        axis=axis,
        not_powder=reason,
        default=not calculated,
        place=place,
        metadata=facts,
        messages=tuple(notes),
    )


def _values(tokens: list[str], source: SourceFile, place: str) -> tuple[FloatArray, FloatArray | None]:
    """Numbers and, where every one has its figure in brackets, standard deviations."""
    try:
        if not any("(" in token for token in tokens) and not any("_" in token for token in tokens):
            return np.array(list(map(float, tokens))), None
    except ValueError:
        pass
    if not any("e" in token or "E" in token or "_" in token for token in tokens):
        quick = _bracketed(tokens)
        if quick is not None:
            return quick
    values, errors = np.empty(len(tokens)), np.full(len(tokens), np.nan)
    for i, token in enumerate(tokens):
        found = _BRACKETS.match(token)
        value = number(found[1] if found else token)
        if value is None:
            msg = f"{token[:30]!r} is not a number"
            raise source.error(msg, place=f"{place}, row {i}", expected="a number in every row")
        values[i] = value
        if found:
            mantissa, _, exponent = found[1].lower().partition("e")
            decimals = len(mantissa.partition(".")[2])
            errors[i] = int(found[2][:15]) * 10.0 ** (int(exponent or 0) - decimals)
    return values, errors if np.isfinite(errors).all() else None


def _bracketed(tokens: list[str]) -> tuple[FloatArray, FloatArray] | None:
    """Values and deviations where every token is like ``119.2(17)``; None where one is not."""
    heads = [token.partition("(")[0] for token in tokens]
    figures = [token[len(head) + 1 : -1] for head, token in zip(heads, tokens, strict=True)]
    closed = all(token.endswith(")") for token in tokens)
    if not closed or not all(figure.isdecimal() and len(figure) < 16 for figure in figures):
        return None
    decimals = np.array([len(head) - 1 - head.find(".") if "." in head else 0 for head in heads])
    try:
        return np.array(list(map(float, heads))), np.array(list(map(float, figures))) * 10.0**-decimals
    except ValueError:
        return None


def _from_weights(block: cif.Block, tag: str, n: int, source: SourceFile, place: str) -> FloatArray | None:
    tokens = list(block.find_loop("_pd_proc_ls_weight"))
    if len(tokens) != n or not _same_loop(block, tag, "_pd_proc_ls_weight"):
        return None
    weight, _ = _values(tokens, source, f"{place}, _pd_proc_ls_weight")
    if not (weight > 0).all():
        return None
    sigma: FloatArray = 1.0 / np.sqrt(weight)
    return sigma


def _same_loop(block: cif.Block, one: str, other: str) -> bool:
    column = block.find_loop(one)
    loop = column.get_loop()
    return loop is not None and other in [name.lower() for name in loop.tags]


def _angles(
    block: cif.Block, tag: str, n: int, source: SourceFile, place: str
) -> tuple[FloatArray, str, str]:
    for item in _ANGLE:
        tokens = list(block.find_loop(item))
        if len(tokens) == n and n > 1:
            return _values(tokens, source, f"{place}, {item}")[0], "2theta", ""
    for part in ("meas", "proc") if "_meas_" in tag else ("proc", "meas"):
        low, high, step = (
            number((block.find_value(f"_pd_{part}_2theta_range_{end}") or "").partition("(")[0])
            for end in ("min", "max", "inc")
        )
        if low is None or high is None or step is None or step <= 0 or n > MAX_POINTS:
            continue
        if abs(low + step * (n - 1) - high) > 0.6 * step:
            msg = f"{n} intensities from {low:g} in steps of {step:g} do not end at {high:g}"
            raise source.error(msg, place=place, expected="as many intensities as the range has steps")
        return two_theta_grid(low, step, n), "2theta", ""
    for item, axis in (("_pd_meas_time_of_flight", "time of flight"), ("_pd_proc_d_spacing", "d spacing")):
        tokens = list(block.find_loop(item))
        if len(tokens) == n:
            return _values(tokens, source, place)[0], axis, f"the profile is over {axis}, not 2θ"
    raise source.error(
        "the profile has no 2θ", place=place, expected="a loop of 2θ, or its range and increment"
    )


def _check_declared(block: cif.Block, tag: str, n: int, source: SourceFile, place: str) -> None:
    part = "meas" if "_meas_" in tag else "proc"
    declared = number(block.find_value(f"_pd_{part}_number_of_points") or "")
    if declared is not None and int(declared) != n:
        msg = f"the block declares {int(declared)} points and holds {n}"
        raise source.error(
            msg, place=place, expected=f"{int(declared)} points", hint="The file is cut or edited."
        )


def _radiation(block: cif.Block) -> tuple[EmissionLine, ...]:
    tag = "_diffrn_radiation_wavelength"
    tokens = list(block.find_loop(tag)) or [block.find_value(tag) or ""]
    weights = list(block.find_loop(f"{tag}_wt")) or [block.find_value(f"{tag}_wt") or "1"]
    lines = []
    for token, weight in zip(tokens, weights + ["1"] * len(tokens), strict=False):
        value, share = number(token.partition("(")[0]), number(weight.partition("(")[0])
        if value is not None and 0.1 < value < 5.0:
            lines.append(EmissionLine(wavelength=value, weight=1.0 if share is None else share))
    return tuple(lines)


PDCIF = XrdReader(
    id="pdcif", name="Powder CIF (pdCIF)", extensions=("cif", "pdcif"), sniff=_sniff, read=_read
)
