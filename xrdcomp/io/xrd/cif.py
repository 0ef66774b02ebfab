"""Powder CIF (pdCIF): measured or processed profiles in any data block; gemmi parses the syntax.

Angles come from a loop or from range and increment; deviations from the figures in brackets, else from the
least-squares weights (1/variance), else from counting (Toby, von Dreele & Larson 2003, J. Appl. Cryst. 36, 1290).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, IntensityUnit, message_kind
from xrdcomp.errors import ReadError, either
from xrdcomp.io.archive import number
from xrdcomp.io.registry import xrd_reader
from xrdcomp.io.scans import (
    DOUBTFUL,
    MAX_POINTS,
    SURPLUS_RECORDS,
    RawScan,
    declared_part,
    doubtful,
    emission_lines,
    grid_to_end,
    stated_wavelength,
)
from xrdcomp.io.source import SourceFile
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    from gemmi import cif

NEUTRONS = message_kind(
    "XRD_NEUTRONS", "warning", "A neutron pattern; the structure factors used here are those for X-rays.",
    remedy="Measure or choose an X-ray pattern.",
)  # fmt: skip
CALCULATED = message_kind("XRD_CALCULATED", "warning", "A calculated pattern in the file, not a measurement.")

_INTENSITY: dict[str, IntensityUnit] = {
    "_pd_meas_counts_total": "counts",
    "_pd_meas_intensity_total": "arbitrary",
    "_pd_proc_intensity_total": "arbitrary",
    "_pd_proc_intensity_net": "arbitrary",
}
_ANGLE = ("_pd_meas_2theta_scan", "_pd_meas_angle_2theta", "_pd_meas_2theta_corrected", "_pd_proc_2theta_corrected")
_OTHER_AXES = {"_pd_meas_time_of_flight": "time of flight", "_pd_proc_d_spacing": "d spacing"}
_INSTRUMENT: dict[str, tuple[str, ...]] = {
    "goniometer_radius_mm": ("_pd_instr_dist_spec/detc",),
    "equatorial_divergence_deg": ("_pd_instr_divg_eq_mono/spec", "_pd_instr_divg_eq_src/spec"),
    "soller_deg": ("_pd_instr_divg_ax_src/spec", "_pd_instr_soller_ax_src/spec"),
    "source_length_mm": ("_pd_instr_source_size_ax",),
    "specimen_length_mm": ("_pd_instr_beam_size_ax",),
    "monochromator_two_theta": ("_pd_instr_monochr_post_spec",),
    "specimen_temperature_c": ("_diffrn_ambient_temperature",),
}
_FACTS = {"phase_name": "_pd_phase_name", "sample_name": "_pd_spec_description", "date": "_pd_meas_datetime_initiated"}
_UNKNOWN = {"", "?", "."}
_CRYSTAL_ANGLE = re.compile(r"(\d+\.?\d*) ?(?:deg|°)")
MAX_CIF_BYTES = 8 * 2**20
_FIGURE = re.compile(r"\d{1,15}\)")


def _sniff(source: SourceFile) -> float:
    data = source.data
    if not re.search(rb"^\s*(?:data_\S|_pd_block_id\b)", source.head, re.MULTILINE):  # MAUD's .esg have no data_
        return 0.0
    if b"_pd_meas" in data or b"_pd_proc" in data:
        return 0.95
    return 0.5 if b"_cell_length" in data else 0.0


@xrd_reader("pdcif", "Powder CIF (pdCIF)", "cif pdcif", _sniff)
def pdcif(source: SourceFile) -> Sequence[RawScan]:
    """Profiles of all data blocks that hold one."""
    from gemmi import cif

    if len(source.data) > MAX_CIF_BYTES:
        raise ReadError(f"a CIF of {len(source.data)} bytes", expected=f"up to {MAX_CIF_BYTES}")
    try:
        text, numbers = source.text, itertools.count()
        if not re.search(r"^\s*data_\S", text, re.MULTILINE):
            several = len(re.findall(r"(?m)^\s*_pd_block_id\b", text)) > 1
            place = r"(?m)^\s*(?=_pd_block_id\b)" if several else r"\A"
            text = re.sub(place, lambda _: f"data_{next(numbers)} ", text)
        document = cif.read_string(text)
    except (ValueError, RuntimeError) as problem:
        msg = f"the CIF syntax is broken: {str(problem).removeprefix('string:')}"
        raise ReadError(msg, expected="a well-formed CIF", hint="The file may be cut.") from problem
    lines = next((found for found in map(_radiation, document) if found), ())
    # facts of the diffractometer, wherever the file states them once: lengths in mm, angles in degrees, °C
    facts: dict[str, str | float | int | bool] = {}
    for name, items in _INSTRUMENT.items():
        texts = {block.find_value(item) or "" for item in items for block in document} - _UNKNOWN
        if len(texts) != 1:
            continue
        text = texts.pop().strip("'\" ").partition("(")[0]
        angle = _CRYSTAL_ANGLE.match(text) if name == "monochromator_two_theta" else None
        value = number(angle[1] if angle else text)
        if value is not None and value > 0.0:
            facts[name] = value - 273.15 if name == "specimen_temperature_c" else value
    scans: list[RawScan] = []
    for block in document:
        tag = next((tag for tag in _INTENSITY if len(_known(block, tag)) > 1), None)
        if tag is not None:
            common = RawScan(emission_lines=_radiation(block) or lines, metadata=facts)
            scans.append(_scan(block, tag, replace(common, place=f"data_{block.name}")))
    if not scans:
        msg = "no data block holds a measured powder profile"
        hint = "A CIF of a crystal structure is a phase, not a pattern."
        hint += either(" Pass it as phases=[path].", " Pass it with --phases.")
        raise ReadError(msg, expected="_pd_meas_ or _pd_proc_ intensities over 2θ", hint=hint)
    return scans


def _known(block: cif.Block, item: str) -> list[str]:
    """Texts of a loop's item without those at its end that are unknown (``.`` or ``?``); none where all are."""
    tokens = list(block.find_loop(item))
    while tokens and tokens[-1] in _UNKNOWN:
        tokens.pop()
    return tokens


def _scan(block: cif.Block, tag: str, common: RawScan) -> RawScan:
    place = common.place
    tokens, rows = _known(block, tag), len(block.find_loop(tag))
    y, sigma = _values(tokens, f"{place}, {tag}")
    part = "meas" if "_meas_" in tag else "proc"
    notes: list[Diagnostic] = []
    if rows > len(y):
        text = f"{place}: the loop ends with {rows - len(y)} rows without an intensity; they were left out"
        notes.append(SURPLUS_RECORDS(text, declared=len(y), held=rows))
    item = next((item for item in _ANGLE if len(_known(block, item)) in {len(y), rows}), "")
    angles = _values(_known(block, item)[: len(y)], f"{place}, {item}")[0] if item else None
    declared = number(block.find_value(f"_pd_{part}_number_of_points") or "")
    n, beyond = declared_part(y, declared, place, angles=angles)
    notes += beyond
    scan = replace(common, two_theta=angles[:n]) if angles is not None else _other_axis(block, part, n, common)
    facts = {**common.metadata, "block": block.name, "intensity_item": tag}
    for name, fact in _FACTS.items():
        text = (block.find_value(fact) or "").strip("'\" ")
        if text not in _UNKNOWN:
            facts[name] = text
    item = "_pd_proc_ls_weight"
    weights, loop = list(block.find_loop(item))[: len(y)], block.find_loop(tag).get_loop()
    # a weight that is not known makes none of them one
    known = len(weights) == len(y) and not _UNKNOWN.intersection(weights)
    if sigma is None and known and loop is not None and item in map(str.lower, loop.tags):
        weight, _ = _values(weights, f"{place}, {item}")
        sigma = 1.0 / np.sqrt(weight) if (weight > 0).all() else None
    calculated = block.name.lower().endswith("_calc")
    if "neutron" in (block.find_value("_diffrn_radiation_probe") or "").lower():
        text = f"data block {block.name!r} was measured with neutrons; structure factors here are for X-rays"
        notes.append(NEUTRONS(text))
    if calculated:
        notes.append(CALCULATED(f"data block {block.name!r} holds a calculated pattern, not a measurement"))
    return replace(
        scan, intensity=y[:n], sigma=None if sigma is None else sigma[:n], unit=_INTENSITY[tag],
        default=not calculated, metadata=facts, messages=tuple(notes),
    )  # fmt: skip


def _values(tokens: list[str], place: str) -> tuple[FloatArray, FloatArray | None]:
    """Numbers and, where every one has its figure in brackets, standard deviations."""
    cells = [token.partition("(") for token in tokens]
    for i, (head, bracket, figure) in enumerate(cells):
        if number(head) is None or (bracket and not _FIGURE.fullmatch(figure)):
            raise ReadError(f"{tokens[i][:30]!r} is not a number", f"{place}, row {i}", "a number in every row")
    values = np.array([float(head) for head, _, _ in cells])
    if not all(bracket for _, bracket, _ in cells):
        return values, None
    parts = (head.lower().partition("e") for head, _, _ in cells)
    last = np.array([int(exponent or 0) - len(mantissa.partition(".")[2]) for mantissa, _, exponent in parts])
    return values, np.array([float(figure[:-1]) for _, _, figure in cells]) * 10.0**last


def _other_axis(block: cif.Block, part: str, n: int, common: RawScan) -> RawScan:
    """The scan with its axis where no loop lists 2θ: a range of 2θ, else an axis that is no 2θ."""
    place = common.place
    for prefix in (part, "proc" if part == "meas" else "meas"):
        low, high, step = (
            number((block.find_value(f"_pd_{prefix}_2theta_range_{end}") or "").partition("(")[0])
            for end in ("min", "max", "inc")
        )
        if low is not None and high is not None and step is not None and step > 0 and n <= MAX_POINTS:
            return replace(common, two_theta=grid_to_end(low, step, n, high, place))
    for item, axis in _OTHER_AXES.items():
        tokens = list(block.find_loop(item))
        if len(tokens) == n:
            x, reason = _values(tokens, place)[0], f"the profile is over {axis}, not 2θ"
            return replace(common, two_theta=x, axis=axis, not_powder=reason)
    raise ReadError("the profile has no 2θ", place, "a loop of 2θ, or its range and increment")


def _radiation(block: cif.Block) -> tuple[EmissionLine, ...]:
    """Emission lines; a wavelength or a weight that is stated and cannot be one follows as `DOUBTFUL`."""
    tag = "_diffrn_radiation_wavelength"
    tokens = list(block.find_loop(tag)) or [block.find_value(tag) or ""]
    weights = list(block.find_loop(f"{tag}_wt")) or [block.find_value(f"{tag}_wt") or ""]
    lines: list[EmissionLine] = []
    for token, weight in zip(tokens, weights + [""] * len(tokens), strict=False):
        value, share = (stated_wavelength(text.strip("'\"").partition("(")[0]) for text in (token, weight))
        legal = share is None or 0.0 < share <= 1.0
        (line,) = emission_lines(value) or (None,)
        if line is not None and line.label != DOUBTFUL and legal:
            lines.append(replace(line, weight=1.0 if share is None else share))
        elif line is not None and share != 0.0:
            lines.append(doubtful(line.wavelength))
    return (lines[0],) if lines and lines[0].label == DOUBTFUL else tuple(lines)
