"""From a phase and parameter values to its pattern per gram, with derivatives; no loop over lines or points.

Reflections, quadrature nodes and windows are frozen in a `PhaseLines`; `phase_columns` then evaluates them for
any parameter values as a product of one sparse matrix (points × lines) with small dense ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.fit import optics, spread
from xrdcomp.fit.diffuse import diffuse_now, diffuse_scattering
from xrdcomp.fit.element_b import ElementB, element_b
from xrdcomp.fit.properties import (
    SCHERRER_CONSTANT,
    LineFrame,
    LineProperties,
    free_cell,
    line_frame,
    line_properties,
    metric,
)
from xrdcomp.physics import lattice, profile, scattering, structure_factors, texture
from xrdcomp.types import FloatArray, Instrument, IntArray, Phase

__all__ = [
    "SCHERRER_CONSTANT",
    "TEXTURE_ORDER",
    "LineProperties",
    "PhaseLines",
    "build_lines",
    "line_properties",
    "phase_columns",
    "refreeze_lines",
    "spread_lines",
]

WINDOW_FWHM = (5.0, 30.0)
"""Least and greatest half width of a line's window, in units of its FWHM."""

WINDOW_MAX = 20.0
"""Greatest half width of a window, degrees."""

_TAIL_CUT = 3e-5  # a Lorentzian tail is followed until it falls below this share of the strongest line

TEXTURE_ORDER = 6
"""Highest degree of the spherical harmonics of preferred orientation."""

_MIN_RELATIVE_INTENSITY = 1e-5
_NODES_MAX = 10
_WEAK, _FAINT = (
    0.01,
    1e-3,
)  # of the strongest line: three nodes, which give mean and spread; one, which gives the mean
_REACH = 3.0  # degrees beyond the points from which lines are taken in


@dataclass(frozen=True, kw_only=True)
class PhaseLines:
    """Everything of a phase that stays fixed during a least-squares run.

    Attributes
    ----------
    multiplicity : (r,) number of equivalent reflections
    harmonics : (r, k) texture harmonics; k is 0 where they are no parameters
    multiplier : (r,) factor on the intensity of each reflection; other than 1 in peaks mode only
    intensity_at_reference : (r,) multiplicity × |F|² / (V × cell mass), absolute, per gram
    cell_reference, cell_frozen : free cell parameters of the structure, and those at which the lines were frozen
    reflection, wavelength, weight, node : (l,) arrays
        For each line (reflection × emission line × axial node): index of the reflection, ångström, weight
        (all weights of a reflection sum to the sum of emission weights), relative height u.
    point, indptr : (nnz,), (l + 1,) integer arrays
        Column structure of the sparse matrices: the points each line reaches.
    diffuse, diffuse_by_b : (n,) arrays
        Thermal diffuse and Compton scattering per gram on the points, polarisation included, and its change
        per Å² of extra B: what the Bragg lines lose to disorder stays in the pattern.
    elements : parts by element where B of each is refined
    frame : what follows from the frozen angles of the lines
    """

    phase: Phase
    hkl: FloatArray
    multiplicity: FloatArray
    harmonics: FloatArray
    cell_names: tuple[str, ...]
    cell_reference: FloatArray
    cell_frozen: FloatArray
    axis_cos_sq: FloatArray
    intensity_at_reference: FloatArray
    multiplier: FloatArray
    inverse_d_squared: FloatArray
    reflection: IntArray
    wavelength: FloatArray
    weight: FloatArray
    node: FloatArray
    point: IntArray
    indptr: IntArray
    two_theta_points: FloatArray
    diffuse: FloatArray
    diffuse_by_b: FloatArray
    elements: ElementB | None = None
    frame: LineFrame | None = None


def build_lines(
    phase: Phase, instrument: Instrument, two_theta: FloatArray, values: Mapping[str, float]
) -> PhaseLines:
    """Freeze reflections, nodes and windows for the given starting values.

    Parameters
    ----------
    two_theta : (n,) array, degrees, the points of the fit
    values : mapping
        Parameter values that fix windows and node counts.
    """
    wavelengths = [line.wavelength for line in instrument.emission_lines]
    names, freedom = lattice.cell_freedom(phase.crystal_system)
    cell6 = np.array(phase.cell.parameters)
    cell_start = np.linalg.lstsq(freedom, cell6, rcond=None)[0]
    cell_now = np.array([values.get(f"{phase.id}_{n}", v) for n, v in zip(names, cell_start, strict=True)])
    cell6 = cell6 + freedom @ (cell_now - cell_start)
    ends = np.clip(np.array([two_theta[0] - _REACH, two_theta[-1] + _REACH]), 0.5, 175.0)
    sine = np.sin(np.radians(ends) / 2.0)
    d_min, d_max = min(wavelengths) / (2.0 * sine[1]), max(wavelengths) / (2.0 * sine[0])
    found = lattice.generate_reflections(
        cell6, phase.rotations, phase.translations, phase.centring, d_min=d_min, d_max=d_max
    )
    strength = _strength(phase, found.hkl, found.multiplicity, found.d_spacing, cell6, instrument.wavelength)
    apparent = strength * found.d_spacing**2
    keep = apparent > _MIN_RELATIVE_INTENSITY * apparent.max()
    hkl, d_spacing = found.hkl[keep].astype(float), found.d_spacing[keep]
    diffuse, diffuse_by_b = diffuse_scattering(phase, instrument, two_theta)
    bare = PhaseLines(
        phase=phase,
        hkl=hkl,
        multiplicity=found.multiplicity[keep].astype(float),
        harmonics=_harmonics(phase, hkl, values),
        cell_names=tuple(names),
        cell_reference=cell_start,
        cell_frozen=cell_now,
        axis_cos_sq=np.clip((hkl[:, 2] / cell6[2] * d_spacing) ** 2, 0.0, 1.0),
        intensity_at_reference=strength[keep],
        multiplier=np.ones(len(hkl)),
        inverse_d_squared=1.0 / d_spacing**2,
        reflection=np.empty(0, np.int64),
        wavelength=np.empty(0),
        weight=np.empty(0),
        node=np.empty(0),
        point=np.empty(0, np.int64),
        indptr=np.zeros(1, np.int64),
        two_theta_points=two_theta,
        diffuse=diffuse,
        diffuse_by_b=diffuse_by_b,
        elements=element_b(phase, instrument, two_theta, (hkl, d_spacing), values),
    )
    return _frozen(bare, instrument, values)


def refreeze_lines(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> PhaseLines:
    """Freeze the same reflections again for other values: strengths at the new cell, nodes and windows."""
    cell = free_cell(lines, values)
    if not np.array_equal(cell, lines.cell_frozen):
        g = metric(lines, cell)
        _, freedom = lattice.cell_freedom(lines.phase.crystal_system)
        cell6 = np.array(lines.phase.cell.parameters) + freedom @ (cell - lines.cell_reference)
        d_spacing = 1.0 / np.sqrt(g)
        strength = _strength(
            lines.phase, lines.hkl, lines.multiplicity, d_spacing, cell6, instrument.wavelength
        )
        axis_cos_sq = np.clip((lines.hkl[:, 2] / cell6[2] * d_spacing) ** 2, 0.0, 1.0)
        lines = replace(
            lines,
            cell_frozen=cell,
            inverse_d_squared=g,
            intensity_at_reference=strength,
            axis_cos_sq=axis_cos_sq,
        )
    if not lines.harmonics.size:
        lines = replace(lines, harmonics=_harmonics(lines.phase, lines.hkl, values))
    return _frozen(lines, instrument, values)


def _harmonics(phase: Phase, hkl: FloatArray, values: Mapping[str, float]) -> FloatArray:
    """Texture harmonics of the reflections, (r, k), where their coefficients are among the parameters."""
    if f"{phase.id}_harmonic_1" not in values:
        return np.empty((len(hkl), 0))
    return texture.harmonic_columns(hkl, phase.rotations, phase.cell.parameters, TEXTURE_ORDER)


def _strength(
    phase: Phase,
    hkl: FloatArray | IntArray,
    multiplicity: FloatArray | IntArray,
    d_spacing: FloatArray,
    cell6: FloatArray,
    wavelength: float,
) -> FloatArray:
    """Return m |F|² / (V × cell mass) of reflections."""
    f_sq = structure_factors.structure_factor_sq(
        hkl, d_spacing, phase.site_xyz, phase.site_element, phase.site_occupancy, phase.site_b_iso, wavelength
    )
    pairs = zip(phase.site_element, phase.site_occupancy, strict=True)
    mass = float(sum(scattering.atomic_weight(e) * o for e, o in pairs))
    strength: FloatArray = multiplicity * f_sq / (lattice.cell_volume(cell6) * mass)
    return strength


def _frozen(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> PhaseLines:
    """One line for each reflection and wavelength inside the range, with nodes and windows."""
    n = len(lines.hkl)
    wavelengths = np.array([line.wavelength for line in instrument.emission_lines])
    reflection = np.repeat(np.arange(n), len(wavelengths))
    lines = replace(
        lines,
        reflection=reflection,
        wavelength=np.tile(wavelengths, n),
        weight=np.tile([line.weight for line in instrument.emission_lines], n),
        node=np.zeros(len(reflection)),
    )
    lines = replace(
        lines, frame=line_frame(instrument, lines.wavelength, lines.inverse_d_squared[lines.reflection])
    )
    lines = _inside(lines, line_properties(lines, instrument, values, slopes=False), _REACH)
    return _with_windows(_with_nodes(lines, instrument, values), instrument, values)


def _take(lines: PhaseLines, index: IntArray, **changes: FloatArray) -> PhaseLines:
    """Return a copy with the per-line arrays indexed."""
    fields = {name: getattr(lines, name) for name in lines.__dataclass_fields__}
    for name in ("reflection", "wavelength", "weight", "node"):
        fields[name] = fields[name][index]
    if lines.frame is not None:
        fields["frame"] = lines.frame.take(index)
    fields.update(changes)
    return PhaseLines(**fields)


def _inside(lines: PhaseLines, properties: LineProperties, reach: float) -> PhaseLines:
    position = properties.position
    low, high = lines.two_theta_points[0] - reach, lines.two_theta_points[-1] + reach
    return _take(lines, np.flatnonzero(np.isfinite(position) & (position > low) & (position < high)))


def _with_nodes(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> PhaseLines:
    """Split each line into as many axial-divergence nodes as its asymmetry needs."""
    height = optics.axial_height(instrument, values)
    start = max(height, 0.02) if "axial_divergence" in values else height
    if start == 0.0:
        return lines
    properties = line_properties(lines, instrument, {**values, "axial_divergence": 0.0}, slopes=False)
    fwhm = profile.tch_widths(properties.gauss, properties.lorentz).fwhm
    depth, flat = optics.depth_and_flatness(instrument, properties.position)
    flat = flat + values.get("transparency_mm", 0.0) * depth
    shift = np.abs(profile.axial_shift(properties.position, 2.0 * start) + 6.0 * flat)
    relative = properties.intensity / max(float(properties.intensity.max(initial=0.0)), 1e-300)
    most = np.select([relative < _FAINT, relative < _WEAK], [1, 3], _NODES_MAX)
    count = np.clip(np.round(1.0 + 2.5 * shift / fwhm), 1, most).astype(int)
    pieces_index, pieces_node, pieces_weight = [], [], []
    for k in np.unique(count):
        nodes, node_weights = profile.axial_nodes(int(k))
        index = np.flatnonzero(count == k)
        pieces_index.append(np.repeat(index, k))
        pieces_node.append(np.tile(nodes, len(index)))
        pieces_weight.append(np.tile(node_weights, len(index)))
    index = np.concatenate(pieces_index)
    order = np.argsort(index, kind="stable")
    index = index[order]
    weight = lines.weight[index] * np.concatenate(pieces_weight)[order]
    return _take(lines, index, node=np.concatenate(pieces_node)[order], weight=weight)


def _with_windows(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> PhaseLines:
    """Freeze which points each line reaches."""
    properties = line_properties(lines, instrument, values, slopes=False)
    fwhm = profile.tch_widths(properties.gauss, properties.lorentz).fwhm
    height = properties.intensity / fwhm
    reach = np.sqrt(height / (2.0 * np.pi * _TAIL_CUT * height.max()))
    half = np.minimum(fwhm * np.clip(reach, *WINDOW_FWHM), WINDOW_MAX)
    point, indptr = spread.reach_of(lines.two_theta_points, properties.position, half)
    return replace(lines, point=point, indptr=indptr)


def spread_lines(lines: PhaseLines, properties: LineProperties) -> spread.Lines:
    """Lines on the points, for the sums of `fit.spread`.

    Parameters
    ----------
    lines : PhaseLines
    properties : LineProperties
        Of these lines.

    Returns
    -------
    spread.Lines
    """
    return spread.Lines(
        two_theta=lines.two_theta_points,
        point=lines.point,
        indptr=lines.indptr,
        position=properties.position,
        widths=profile.tch_widths(properties.gauss, properties.lorentz),
    )


def phase_columns(
    lines: PhaseLines, instrument: Instrument, values: Mapping[str, float], vary: frozenset[str]
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Pattern of one gram of the phase on the points and its derivatives by the varied parameters.

    Returns
    -------
    basis : (n,) array
        Bragg and diffuse scattering, electron units per gram.
    derivatives : dict of (n,) arrays
    """
    properties = line_properties(lines, instrument, values, slopes=bool(vary))
    placed, diffuse = spread_lines(lines, properties), diffuse_now(lines, values)
    if not vary:
        return spread.spread_value(placed, properties.intensity) + diffuse, {}
    names, slopes = _slopes(properties, placed.widths, vary)
    columns: dict[str, FloatArray] = {}
    for own, rows in zip(names, spread.spread_slopes(placed, slopes), strict=True):
        for name, row in zip(own, rows, strict=True):
            columns[name] = columns[name] + row if name in columns else row
    basis = columns.pop("") + diffuse
    b_name = f"{lines.phase.id}_b_extra"
    if b_name in columns:
        columns[b_name] = columns[b_name] + lines.diffuse_by_b
    if lines.elements is not None:
        for name, change in zip(lines.elements.names, lines.elements.diffuse_by_b, strict=True):
            if name in columns:
                columns[name] = columns[name] + change
    return basis, columns


def _slopes(
    properties: LineProperties, widths: profile.TchWidths, vary: frozenset[str]
) -> tuple[tuple[list[str], list[str], list[str]], spread.Slopes]:
    """Names and changes of the lines by the varied parameters; the first is the pattern itself, without a name."""
    intensity = properties.intensity
    by_intensity = {"": intensity, **{n: d for n, d in properties.d_intensity if n in vary}}
    by_position = {n: intensity * d for n, d in properties.d_position if n in vary}
    fwhm = {n: d * widths.d_fwhm_gauss for n, d in properties.d_gauss if n in vary}
    eta = {n: d * widths.d_eta_gauss for n, d in properties.d_gauss if n in vary}
    for name, d in properties.d_lorentz:
        if name in vary:
            fwhm[name] = fwhm.get(name, 0.0) + d * widths.d_fwhm_lorentz
            eta[name] = eta.get(name, 0.0) + d * widths.d_eta_lorentz
    slopes = spread.Slopes(
        intensity=_stacked(by_intensity, intensity),
        position=_stacked(by_position, intensity),
        fwhm=_stacked(fwhm, intensity) * intensity[:, None],
        eta=_stacked(eta, intensity) * intensity[:, None],
    )
    return (list(by_intensity), list(by_position), list(fwhm)), slopes


def _stacked(terms: Mapping[str, FloatArray], like: FloatArray) -> FloatArray:
    """Arrays as columns, (l, k), also where there are none."""
    return np.stack(list(terms.values()), axis=1) if terms else np.empty((len(like), 0))
