"""From a phase and parameter values to its pattern per gram, with derivatives; no loop over lines or points.

Reflections, quadrature nodes and windows are frozen in a `PhaseLines`; `phase_columns` then evaluates them for
any parameter values as a product of one sparse matrix (points × lines) with small dense ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from xrdcomp.fit import optics
from xrdcomp.fit.diffuse import diffuse_now, diffuse_scattering
from xrdcomp.fit.element_b import ElementB, element_b, element_factor
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
]

SCHERRER_CONSTANT = 0.9
"""K of L = K λ / (FWHM cosθ); 0.9 goes with widths at half maximum."""

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
_SINE_MAX = 0.99999  # 2θ = 179.5°, outside every scan


@dataclass(frozen=True, kw_only=True)
class PhaseLines:
    """Everything of a phase that stays fixed during a least-squares run.

    Attributes
    ----------
    multiplicity : (r,) number of equivalent reflections
    multiplier : (r,) factor on the intensity of each reflection; other than 1 in peaks mode only
    intensity_at_reference : (r,) multiplicity × |F|² / (V × cell mass), absolute, per gram
    reflection, wavelength, weight, node : (l,) arrays
        For each line (reflection × emission line × axial node): index of the reflection, ångström, weight
        (all weights of a reflection sum to the sum of emission weights), relative height u.
    point, indptr : (nnz,), (l + 1,) integer arrays
        Column structure of the sparse matrices: the points each line reaches.
    diffuse, diffuse_by_b : (n,) arrays
        Thermal diffuse and Compton scattering per gram on the points, polarisation included, and its change
        per Å² of extra B: what the Bragg lines lose to disorder stays in the pattern.
    elements : parts by element where B of each is refined
    """

    phase: Phase
    hkl: FloatArray
    multiplicity: FloatArray
    harmonics: FloatArray
    cell_names: tuple[str, ...]
    cell_reference: FloatArray
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


@dataclass(frozen=True, kw_only=True)
class LineProperties:
    """Position, widths and intensity of every line, with derivatives as (parameter name, (l,) array) pairs."""

    position: FloatArray
    gauss: FloatArray
    lorentz: FloatArray
    intensity: FloatArray
    d_position: tuple[tuple[str, FloatArray], ...]
    d_gauss: tuple[tuple[str, FloatArray], ...]
    d_lorentz: tuple[tuple[str, FloatArray], ...]
    d_intensity: tuple[tuple[str, FloatArray], ...]


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
        harmonics=texture.harmonic_columns(hkl, phase.rotations, phase.cell.parameters, TEXTURE_ORDER),
        cell_names=tuple(names),
        cell_reference=cell_start,
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
    cell = _cell(lines, values)
    g, _ = _metric(lines, cell)
    if not np.array_equal(g, lines.inverse_d_squared):
        _, freedom = lattice.cell_freedom(lines.phase.crystal_system)
        cell6 = np.array(lines.phase.cell.parameters) + freedom @ (cell - lines.cell_reference)
        d_spacing = 1.0 / np.sqrt(g)
        strength = _strength(
            lines.phase, lines.hkl, lines.multiplicity, d_spacing, cell6, instrument.wavelength
        )
        axis_cos_sq = np.clip((lines.hkl[:, 2] / cell6[2] * d_spacing) ** 2, 0.0, 1.0)
        lines = replace(lines, inverse_d_squared=g, intensity_at_reference=strength, axis_cos_sq=axis_cos_sq)
    return _frozen(lines, instrument, values)


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
    lines = _inside(lines, line_properties(lines, instrument, values), _REACH)
    return _with_windows(_with_nodes(lines, instrument, values), instrument, values)


def _cell(lines: PhaseLines, values: Mapping[str, float]) -> FloatArray:
    """Free cell parameters at the given values."""
    pairs = zip(lines.cell_names, lines.cell_reference, strict=True)
    return np.array([values.get(f"{lines.phase.id}_{name}", reference) for name, reference in pairs])


def _take(lines: PhaseLines, index: IntArray, **changes: FloatArray) -> PhaseLines:
    """Return a copy with the per-line arrays indexed."""
    fields = {name: getattr(lines, name) for name in lines.__dataclass_fields__}
    for name in ("reflection", "wavelength", "weight", "node"):
        fields[name] = fields[name][index]
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
    properties = line_properties(lines, instrument, {**values, "axial_divergence": 0.0})
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
    properties = line_properties(lines, instrument, values)
    fwhm = profile.tch_widths(properties.gauss, properties.lorentz).fwhm
    height = properties.intensity / fwhm
    reach = np.sqrt(height / (2.0 * np.pi * _TAIL_CUT * height.max()))
    half = np.minimum(fwhm * np.clip(reach, *WINDOW_FWHM), WINDOW_MAX)
    x = lines.two_theta_points
    first = np.searchsorted(x, properties.position - half)
    last = np.searchsorted(x, properties.position + half)
    length = last - first
    indptr = np.concatenate([[0], np.cumsum(length)])
    point = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - first, length)
    return _take(lines, np.arange(len(first)), point=point, indptr=indptr)


def line_properties(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> LineProperties:
    """Position, widths and intensity of every line for the given parameter values.

    position = 2 asin(λ/2d) + zero_shift − 2 s cosθ/R − sin2θ t/2R − α² cotθ/6 + axial shift, t = 1/μ the depth of
    transparency, α the equatorial divergence [Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry]
    Γ_G² = U tan²θ + V tanθ + W + (size Gaussian)²; Γ_L = X/cosθ + Y tanθ + size Lorentzian + 4 ε tanθ
    size FWHM = K λ / (D_hkl cosθ), 1/D_hkl² = sin²φ/D_a² + cos²φ/D_c²
    """
    p, cell = f"{lines.phase.id}_", _cell(lines, values)
    g_of_reflection, dg_by_cell = _metric(lines, cell)
    g = g_of_reflection[lines.reflection]
    theta = _theta(lines.wavelength, g)
    cosine = np.cos(theta)
    deg = 180.0 / np.pi
    bare = 2.0 * theta * deg
    height = optics.axial_height(instrument, values) * 2.0 * lines.node
    bare_frozen = 2.0 * deg * _theta(lines.wavelength, lines.inverse_d_squared[lines.reflection])
    axial = profile.axial_shift(bare_frozen, height, instrument.axial_correlation)
    displacement = values.get("sample_displacement_mm", 0.0)
    lever = -2.0 * deg / instrument.radius_mm * np.cos(np.radians(bare_frozen) / 2.0)
    depth, flat = optics.depth_and_flatness(instrument, bare_frozen)
    # the spread of a flat specimen's shift, proportional to the square of the place, is that of the axial one; the
    # variance of the decay with depth, its mean squared, is 1/1.4 of that
    spread = np.where(lines.node > 0.0, 6.0 * lines.node**2, 1.0)
    depth = depth * (1.0 + (spread - 1.0) / np.sqrt(1.4))
    fixed = flat * spread + values.get("transparency_mm", 0.0) * depth
    position = bare + values.get("zero_shift", instrument.zero_shift) + displacement * lever + axial + fixed
    d_position = [
        (p + n, lines.wavelength / (2.0 * np.sqrt(g) * cosine) * deg * dg_by_cell[lines.reflection, i])
        for i, n in enumerate(lines.cell_names)
    ]
    d_position += [("zero_shift", np.ones_like(bare)), ("sample_displacement_mm", lever)]
    d_position.append(("transparency_mm", depth))
    if height.any():
        slope = profile.axial_shift_slope(bare_frozen, height, instrument.axial_correlation)
        slope = slope * 2.0 * lines.node
        d_position.append(("axial_divergence", slope))
    frozen = lines.inverse_d_squared[lines.reflection]
    gauss, lorentz, d_gauss, d_lorentz = _widths(lines, instrument, values, frozen)
    intensity, d_intensity = _intensity(lines, instrument, values, frozen)
    return LineProperties(
        position=position,
        gauss=gauss,
        lorentz=lorentz,
        intensity=intensity,
        d_position=tuple(d_position),
        d_gauss=tuple(d_gauss),
        d_lorentz=tuple(d_lorentz),
        d_intensity=tuple(d_intensity),
    )


def _theta(wavelength: FloatArray, inverse_d_squared: FloatArray) -> FloatArray:
    """Bragg angle in radians; a line that a changing cell drives beyond 90° stays just below it."""
    sine = wavelength * np.sqrt(inverse_d_squared) / 2.0
    return np.asarray(np.arcsin(np.minimum(sine, _SINE_MAX)))


def _metric(lines: PhaseLines, cell: FloatArray) -> tuple[FloatArray, FloatArray]:
    """1/d² of each reflection and its derivatives by the free cell parameters, at the given cell."""
    _, freedom = lattice.cell_freedom(lines.phase.crystal_system)
    cell6 = freedom @ cell + (np.array(lines.phase.cell.parameters) - freedom @ lines.cell_reference)
    return (
        lattice.inverse_d_squared(lines.hkl, cell6),
        lattice.inverse_d_squared_derivatives(lines.hkl, cell6) @ freedom,
    )


def _widths(
    lines: PhaseLines,
    instrument: Instrument,
    values: Mapping[str, float],
    inverse_d_squared: FloatArray,
) -> tuple[FloatArray, FloatArray, list[tuple[str, FloatArray]], list[tuple[str, FloatArray]]]:
    theta = _theta(lines.wavelength, inverse_d_squared)
    cosine, tangent = np.cos(theta), np.tan(theta)
    p = f"{lines.phase.id}_"
    deg = 180.0 / np.pi
    u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
    strain_width = values.get("instrument_lorentzian_strain", instrument.lorentzian_strain)
    scherrer = SCHERRER_CONSTANT * lines.wavelength / 10.0 / cosine * deg
    ia = values.get(p + "inverse_size_a", 0.0)
    ic = values.get(p + "inverse_size_c", ia)
    cos_sq = lines.axis_cos_sq[lines.reflection]
    if p + "inverse_size_c" in values:
        inverse = np.sqrt(ia**2 * (1.0 - cos_sq) + ic**2 * cos_sq + 1e-10)
        d_inverse = [
            (p + "inverse_size_a", ia * (1.0 - cos_sq) / inverse),
            (p + "inverse_size_c", ic * cos_sq / inverse),
        ]
    else:
        inverse = np.full_like(cosine, max(ia, 1e-5))
        d_inverse = [(p + "inverse_size_a", np.ones_like(cosine))]
    size = scherrer * inverse
    mixing = values.get(p + "size_mixing", 0.5)
    share_g, share_l, d_share_g, d_share_l = profile.size_components(mixing)
    epsilon = values.get(p + "microstrain", 0.0)
    instrument_sq = u * tangent**2 + v * tangent + w
    floor = 1e-4  # (0.01°)²: no laboratory line is narrower, and U, V, W may go negative together
    low = instrument_sq < floor
    square = np.where(low, floor, instrument_sq) + (size * share_g) ** 2
    gauss = np.sqrt(square)
    lorentz = (
        instrument.lorentzian_size / cosine
        + strain_width * tangent
        + size * share_l
        + 4.0 * epsilon * tangent * deg
    )
    lorentz = lorentz + optics.natural_width(instrument, lines.wavelength) * tangent
    lorentz = np.maximum(lorentz, 1e-4)
    half = np.where(low, 0.0, 0.5 / gauss)
    d_gauss = [("caglioti_u", half * tangent**2), ("caglioti_v", half * tangent), ("caglioti_w", half)]
    d_lorentz = [("instrument_lorentzian_strain", tangent), (p + "microstrain", 4.0 * tangent * deg)]
    for name, slope in d_inverse:
        d_gauss.append((name, size * share_g**2 * scherrer * slope / gauss))
        d_lorentz.append((name, scherrer * share_l * slope))
    d_gauss.append((p + "size_mixing", size**2 * share_g * d_share_g / gauss))
    d_lorentz.append((p + "size_mixing", size * d_share_l))
    return gauss, lorentz, d_gauss, d_lorentz


def _intensity(
    lines: PhaseLines,
    instrument: Instrument,
    values: Mapping[str, float],
    inverse_d_squared: FloatArray,
) -> tuple[FloatArray, list[tuple[str, FloatArray]]]:
    """Area of each line in degrees, electron units per gram.

    A = 2π² m |F|² / (V Q²) · dQ⁻¹/d2θ · P = m |F|² λ³ P / (16 π V sin²θ cosθ) per radian
    """
    theta = _theta(lines.wavelength, inverse_d_squared)
    p = f"{lines.phase.id}_"
    geometry = (
        lines.wavelength**3
        * optics.polarization(np.degrees(2.0 * theta), instrument)
        / (16.0 * np.pi * np.sin(theta) ** 2 * np.cos(theta))
        * (180.0 / np.pi)
    )
    s_sq = inverse_d_squared / 4.0
    factor = np.exp(-2.0 * values.get(p + "b_extra", 0.0) * s_sq)
    logarithmic = [(p + "b_extra", -2.0 * s_sq)]
    if lines.elements is not None:
        by_element, slopes = element_factor(lines.elements, values)
        factor = factor * by_element[lines.reflection]
        logarithmic += [(name, slope[lines.reflection]) for name, slope in slopes]
    for name, (wavelengths, start) in optics.refined_ratios(instrument).items():
        if name in values:
            own, ratio = np.isin(lines.wavelength, wavelengths), max(values[name], 1e-9)
            factor = factor * np.where(own, ratio / start, 1.0)
            logarithmic.append((name, np.where(own, 1.0 / ratio, 0.0)))
    if p + "march_dollase" in values:
        march, slope = texture.march_dollase(values[p + "march_dollase"], lines.axis_cos_sq[lines.reflection])
        factor = factor * march
        logarithmic.append((p + "march_dollase", slope / march))
    if p + "harmonic_1" in values:
        columns = lines.harmonics[lines.reflection]
        names = [f"{p}harmonic_{k + 1}" for k in range(columns.shape[1])]
        harmonic = np.maximum(1.0 + columns @ np.array([values[name] for name in names]), 0.05)
        factor = factor * harmonic
        logarithmic += [(name, columns[:, k] / harmonic) for k, name in enumerate(names)]
    strength = (lines.intensity_at_reference * lines.multiplier)[lines.reflection]
    intensity = strength * lines.weight * geometry * factor
    return intensity, [(name, intensity * slope) for name, slope in logarithmic]


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
    properties = line_properties(lines, instrument, values)
    shape = (len(lines.two_theta_points), len(properties.position))
    widths = profile.tch_widths(properties.gauss, properties.lorentz)
    per_line = np.diff(lines.indptr)
    offset = lines.two_theta_points[lines.point] - np.repeat(properties.position, per_line)
    broad = (offset, np.repeat(widths.fwhm, per_line), np.repeat(widths.eta, per_line))

    spread = sparse.csc_matrix((offset, lines.point, lines.indptr), shape=shape, copy=False)
    intensity = properties.intensity
    b_name = f"{lines.phase.id}_b_extra"
    diffuse = diffuse_now(lines, values)
    if not vary:
        spread.data = profile.pseudo_voigt_value(*broad)
        return spread @ intensity + diffuse, {}
    value, d_offset, d_fwhm, d_eta = profile.pseudo_voigt(*broad)
    groups: list[tuple[FloatArray, list[tuple[str, FloatArray]]]] = [
        (value, [("", intensity), *((n, d) for n, d in properties.d_intensity if n in vary)]),
        (d_offset, [(n, -intensity * d) for n, d in properties.d_position if n in vary]),
    ]
    width_terms: list[tuple[str, FloatArray, FloatArray]] = []
    width_terms += [
        (n, d * widths.d_fwhm_gauss, d * widths.d_eta_gauss) for n, d in properties.d_gauss if n in vary
    ]
    width_terms += [
        (n, d * widths.d_fwhm_lorentz, d * widths.d_eta_lorentz) for n, d in properties.d_lorentz if n in vary
    ]
    groups.append((d_fwhm, [(n, intensity * f) for n, f, _ in width_terms]))
    groups.append((d_eta, [(n, intensity * e) for n, _, e in width_terms]))
    columns: dict[str, FloatArray] = {}
    for data, terms in groups:
        if not terms:
            continue
        spread.data = data  # the places of the entries, which were checked, are those of all groups
        product = (spread @ np.stack([t for _, t in terms], axis=1)).T.copy()
        for (name, _), column in zip(terms, product, strict=True):
            columns[name] = columns[name] + column if name in columns else column
    basis = columns.pop("") + diffuse
    if b_name in columns:
        columns[b_name] = columns[b_name] + lines.diffuse_by_b
    if lines.elements is not None:
        for name, change in zip(lines.elements.names, lines.elements.diffuse_by_b, strict=True):
            if name in columns:
                columns[name] = columns[name] + change
    return basis, columns
