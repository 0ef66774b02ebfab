"""From a phase and parameter values to its pattern per gram, with derivatives; no loop over lines or points.

Reflections, quadrature nodes and windows are frozen in a `PhaseLines`; `phase_columns` then evaluates them for
any parameter values as a product of one sparse matrix (points × lines) with small dense ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from xrdcomp.data import Instrument, Phase
from xrdcomp.physics import corrections, profiles, texture
from xrdcomp.physics import elements as scattering
from xrdcomp.physics import reflections as lattice
from xrdcomp.physics import reflections as structure_factors
from xrdcomp.results import parameter_name
from xrdcomp.units import FloatArray, IntArray

# ------------ What the instrument does to lines besides resolution: tube spectrum, axial height, fixed
# aberrations, geometry.

_DEG = 180.0 / np.pi
_PER_MM = 10.0  # cm⁻¹, a depth of transparency of 1 mm


def axial_height(instrument: Instrument, values: Mapping[str, float]) -> float:
    """Refined axial divergence, else the calibrated one, else none."""
    return values.get("axial_divergence", instrument.axial_divergence if instrument.calibrated else 0.0)


def refined_ratios(instrument: Instrument) -> dict[str, tuple[tuple[float, ...], float]]:
    """Emission lines whose weight a fit may refine: name → (wavelengths, weight at the start).

    ``kalpha2_ratio`` for the lines 0.1 to 1 % longer than the strongest, relative to those beside it;
    ``kbeta_ratio`` and ``w_la_ratio`` for lines of these labels, all lines of a label in the ratio they have.
    """
    top = instrument.wavelength
    plain = [x for x in instrument.emission_lines if not x.label and x.weight > 0 and x.wavelength != top]
    near = [x for x in plain if 0.001 < x.wavelength / top - 1.0 < 0.01]
    out: dict[str, tuple[tuple[float, ...], float]] = {}
    if near:
        own = sum(x.weight for x in instrument.emission_lines if abs(x.wavelength / top - 1.0) <= 0.001)
        out["kalpha2_ratio"] = (tuple(x.wavelength for x in near), sum(x.weight for x in near) / own)
    for label in ("kbeta", "w_la"):
        named = [x for x in instrument.emission_lines if x.label == label and x.weight > 0]
        if named:
            out[f"{label}_ratio"] = (tuple(x.wavelength for x in named), named[0].weight)
    return out


def natural_width(instrument: Instrument, wavelength: FloatArray) -> FloatArray:
    """Lorentzian FWHM, in degrees per tanθ, that each line has from its natural width: 2 Δλ/λ.

    Parameters
    ----------
    wavelength : (l,) array, ångström, each one of the instrument's
    """
    width = np.zeros_like(wavelength)
    for line in instrument.emission_lines:
        if line.fwhm > 0.0:
            width[wavelength == line.wavelength] = 2.0 * _DEG * line.fwhm / line.wavelength
    return width


def depth_and_flatness(instrument: Instrument, two_theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shifts of the lines' centroids by transparency, per mm of 1/μ, and by the flat specimen, degrees.

    −sin2θ / 2R and −α² cotθ / 6   [Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry]

    Returns
    -------
    depth, flat : arrays of the shape of `two_theta`
    """
    depth = corrections.transparency_shift(two_theta, _PER_MM, instrument.radius_mm)
    alpha = np.radians(instrument.equatorial_divergence)
    flat = -_DEG * alpha**2 / 6.0 / np.tan(np.radians(two_theta) / 2.0)
    return depth, np.asarray(flat)


def geometry_factor(instrument: Instrument, two_theta: FloatArray) -> FloatArray:
    """Factor on everything the specimen scatters: variable slits, and absorption outside reflection.

    sinθ for slits that keep the lit length; for a capillary the transmission of its section, for a foil
    exp(−μt / cosθ) / cosθ, for a thin layer in reflection 1 − exp(−2μt / sinθ) (see ``physics.corrections``);
    relative to the middle of the scan's range for these three.

    Parameters
    ----------
    two_theta : (n,) array, degrees
    """
    factor = np.ones_like(two_theta)
    if instrument.variable_slit:
        factor = factor * corrections.variable_slit(two_theta)
    if instrument.absorption_radius > 0.0:
        if instrument.geometry == "debye_scherrer":
            own = corrections.absorption_cylinder(two_theta, instrument.absorption_radius)
        elif instrument.geometry == "bragg_brentano":
            own = corrections.absorption_flat_reflection(two_theta, instrument.absorption_radius)
        else:
            own = corrections.absorption_flat_transmission(two_theta, instrument.absorption_radius)
        factor = factor * own / own[len(own) // 2]
    return factor


def polarization(two_theta: FloatArray, instrument: Instrument) -> FloatArray:
    """Polarisation factor of the instrument, a monochromator's included."""
    return corrections.polarization(
        two_theta,
        monochromator_two_theta=instrument.monochromator_two_theta,
        polarization_fraction=instrument.polarization_fraction,
    )


# ------------ Displacement parameters of each element: what an addition to its B does to lines and to
# diffuse scattering.


@dataclass(frozen=True, kw_only=True)
class ElementB:
    """Parts of the structure factors by element.

    names : (e,) parameter names; parts : (4, e, r) real and imaginary sums of f0 + f' and of f'' of each element, at
    the structure's B; rest : (4, r) the same of all other elements; s_squared : (r,); diffuse_by_b : (e, n) per gram.
    """

    names: tuple[str, ...]
    parts: FloatArray
    rest: FloatArray
    s_squared: FloatArray
    diffuse_by_b: FloatArray

    def on_points(self, diffuse_by_b: FloatArray) -> ElementB:
        """The same with diffuse scattering on other points."""
        return replace(self, diffuse_by_b=diffuse_by_b)


def refinable_elements(phase: Phase) -> list[str]:
    """Elements whose B can be refined, hydrogen not among them."""
    return sorted({e for e in phase.site_element if e not in ("H", "D")})


def element_b(
    phase: Phase,
    instrument: Instrument,
    two_theta: FloatArray,
    reflections: tuple[FloatArray, FloatArray],
    values: Mapping[str, float],
) -> ElementB | None:
    """Freeze the parts of the structure factors whose B is refined; None where none is.

    Parameters
    ----------
    two_theta : (n,) array, degrees
    reflections : (r, 3) indices and (r,) spacings in ångström
    values : mapping
        Parameters of the fit; the B of `refinable_elements` among them count.
    """
    names = {e: parameter_name("b", phase.id, e.lower()) for e in refinable_elements(phase)}
    named = {e: name for e, name in names.items() if name in values}
    if not named:
        return None
    hkl, d_spacing = reflections
    s_squared = 0.25 / d_spacing**2
    angle = 2.0 * np.pi * (hkl @ np.asarray(phase.site_xyz, dtype=float).T)
    damped = np.asarray(phase.site_occupancy) * np.exp(-np.outer(s_squared, phase.site_b_iso))
    cosine, sine = np.cos(angle) * damped, np.sin(angle) * damped
    kinds = np.array([str(e) for e in phase.site_element])
    parts = {}
    for element in dict.fromkeys(kinds.tolist()):
        own = kinds == element
        f0 = scattering.form_factor(element, np.sqrt(s_squared))
        f1, f2 = scattering.anomalous(element, instrument.wavelength)
        a, b = cosine[:, own].sum(axis=1), sine[:, own].sum(axis=1)
        parts[element] = np.stack([(f0 + f1) * a, (f0 + f1) * b, f2 * a, f2 * b])
    others = [part for element, part in parts.items() if element not in named]
    return ElementB(
        names=tuple(named.values()),
        parts=np.stack([parts[element] for element in named], axis=1),
        rest=np.sum(others, axis=0) if others else np.zeros((4, len(s_squared))),
        s_squared=s_squared,
        diffuse_by_b=_diffuse_by_b(phase, instrument, two_theta, tuple(named)),
    )


def element_factor(
    elements: ElementB, values: Mapping[str, float]
) -> tuple[FloatArray, list[tuple[str, FloatArray]]]:
    """Factor on |F|² of every reflection and the logarithmic derivatives by each B.

    |F|² = Σ_k (Σ_e F_ek exp(−ΔB_e s²))², k the real and imaginary sums of f0 + f' and f''

    Returns
    -------
    factor : (r,) array
    slopes : list of (name, (r,) array)
    """
    change = np.array([values[name] for name in elements.names])
    damping = np.exp(-np.outer(change, elements.s_squared))
    moved = elements.parts * damping
    total = moved.sum(axis=1) + elements.rest
    start = elements.parts.sum(axis=1) + elements.rest
    base = np.maximum((start**2).sum(axis=0), 1e-12)
    now = np.maximum((total**2).sum(axis=0), 1e-9 * base)
    slopes = -2.0 * elements.s_squared * np.einsum("kr,ker->er", total, moved) / now
    return now / base, [(name, slopes[i]) for i, name in enumerate(elements.names)]


def element_diffuse(elements: ElementB | None, values: Mapping[str, float]) -> FloatArray | float:
    """Change of the diffuse scattering per gram, to first order in each B."""
    if elements is None:
        return 0.0
    change = np.array([values[name] for name in elements.names])
    total: FloatArray = change @ elements.diffuse_by_b
    return total


def _diffuse_by_b(
    phase: Phase, instrument: Instrument, two_theta: FloatArray, elements: tuple[str, ...]
) -> FloatArray:
    s = np.sin(np.radians(two_theta) / 2.0) / instrument.wavelength
    pairs = list(zip(phase.site_element, phase.site_occupancy, phase.site_b_iso, strict=True))
    mass = sum(scattering.atomic_weight(e) * o for e, o, _ in pairs)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = weight * polarization(two_theta, instrument) / mass * 2.0 * s**2
    rows = []
    for element in elements:
        own: dict[float, float] = {}
        for e, occupancy, b in pairs:
            if e == element:
                own[round(float(b), 3)] = own.get(round(float(b), 3), 0.0) + float(occupancy)
        share = sum(count * np.exp(-2.0 * b * s**2) for b, count in own.items())
        rows.append(factor * scattering.form_factor(element, s) ** 2 * share)
    return np.stack(rows)


# ------------ Position, widths and intensity of every line of a phase for given parameter values, with
# derivatives.

SCHERRER_CONSTANT = 0.9
"""K of L = K λ / (FWHM cosθ); 0.9 goes with widths at half maximum."""

_SINE_MAX = 0.99999  # 2θ = 179.5°, outside every scan

_Slopes = list[tuple[str, FloatArray]]


@dataclass(frozen=True, kw_only=True)
class LineFrame:
    """What depends on the frozen angle of each line alone, all (l,) arrays.

    Attributes
    ----------
    instrument : the one it holds for
    two_theta, cosine, tangent : degrees; of half the angle
    lever : shift per mm of displacement, degrees
    depth, flat : shifts by transparency per mm and by a flat specimen, degrees
    natural : natural Lorentzian width, degrees per tanθ
    geometry : factor of an area, λ³ P / (16 π sin²θ cosθ) per radian, in degrees
    s_squared : sin²θ/λ², Å⁻²
    """

    instrument: Instrument
    two_theta: FloatArray
    cosine: FloatArray
    tangent: FloatArray
    lever: FloatArray
    depth: FloatArray
    flat: FloatArray
    natural: FloatArray
    geometry: FloatArray
    s_squared: FloatArray

    def take(self, index: IntArray) -> LineFrame:
        """The same for some of the lines."""
        arrays = {field.name: getattr(self, field.name)[index] for field in fields(self)[1:]}
        return LineFrame(instrument=self.instrument, **arrays)


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


def line_frame(instrument: Instrument, wavelength: FloatArray, inverse_d_squared: FloatArray) -> LineFrame:
    """Freeze what depends on the angle of each line.

    Parameters
    ----------
    instrument : Instrument
    wavelength, inverse_d_squared : (l,) arrays, Å and Å⁻²

    Returns
    -------
    LineFrame
    """
    theta = _theta(wavelength, inverse_d_squared)
    two_theta, cosine = 2.0 * theta * _DEG, np.cos(theta)
    depth, flat = depth_and_flatness(instrument, two_theta)
    polarized = polarization(two_theta, instrument)
    return LineFrame(
        instrument=instrument,
        two_theta=two_theta,
        cosine=cosine,
        tangent=np.tan(theta),
        lever=-2.0 * _DEG / instrument.radius_mm * cosine,
        depth=depth,
        flat=flat,
        natural=natural_width(instrument, wavelength),
        geometry=wavelength**3 * polarized / (16.0 * np.pi * np.sin(theta) ** 2 * cosine) * _DEG,
        s_squared=inverse_d_squared / 4.0,
    )


def line_properties(
    lines: PhaseLines, instrument: Instrument, values: Mapping[str, float], *, slopes: bool = True
) -> LineProperties:
    """Position, widths and intensity of every line for the given parameter values.

    position = 2 asin(λ/2d) + zero_shift − 2 s cosθ/R − sin2θ t/2R − α² cotθ/6 + axial shift, t = 1/μ the depth of
    transparency, α the equatorial divergence [Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry]
    Γ_G² = U tan²θ + V tanθ + W + (size Gaussian)²; Γ_L = X/cosθ + Y tanθ + size Lorentzian + 4 ε tanθ
    size FWHM = K λ / (D_hkl cosθ), 1/D_hkl² = sin²φ/D_a² + cos²φ/D_c²

    Parameters
    ----------
    lines : PhaseLines
    instrument : Instrument
    values : mapping
    slopes : bool
        Without, no derivatives are made.

    Returns
    -------
    LineProperties
    """
    frame = lines.frame
    if frame is None or frame.instrument is not instrument:
        frame = line_frame(instrument, lines.wavelength, lines.inverse_d_squared[lines.reflection])
    position, d_position = _position(lines, frame, values, slopes=slopes)
    gauss, lorentz, d_gauss, d_lorentz = _widths(lines, frame, values, slopes=slopes)
    intensity, d_intensity = _intensity(lines, frame, values, slopes=slopes)
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


def _position(
    lines: PhaseLines, frame: LineFrame, values: Mapping[str, float], *, slopes: bool
) -> tuple[FloatArray, _Slopes]:
    instrument, cell = frame.instrument, free_cell(lines, values)
    g = metric(lines, cell)[lines.reflection]
    theta = _theta(lines.wavelength, g)
    height = axial_height(instrument, values) * 2.0 * lines.node
    axial = profiles.axial_shift(frame.two_theta, height, instrument.axial_correlation)
    # the spread of a flat specimen's shift, proportional to the square of the place, is that of the axial one; the
    # variance of the decay with depth, its mean squared, is 1/1.4 of that
    spread = np.where(lines.node > 0.0, 6.0 * lines.node**2, 1.0)
    depth = frame.depth * (1.0 + (spread - 1.0) / np.sqrt(1.4))
    fixed = frame.flat * spread + values.get("transparency_mm", 0.0) * depth
    displacement = values.get("sample_displacement_mm", 0.0)
    shift = values.get("zero_shift", instrument.zero_shift)
    position = 2.0 * theta * _DEG + shift + displacement * frame.lever + axial + fixed
    if not slopes:
        return position, []
    by_cell = metric_slopes(lines, cell)[lines.reflection]
    lever = lines.wavelength / (2.0 * np.sqrt(g) * np.cos(theta)) * _DEG
    out = [(lines.name("cell", name), lever * by_cell[:, i]) for i, name in enumerate(lines.cell_names)]
    out += [("zero_shift", np.ones_like(position)), ("sample_displacement_mm", frame.lever)]
    out.append(("transparency_mm", depth))
    if height.any():
        slope = profiles.axial_shift_slope(frame.two_theta, height, instrument.axial_correlation)
        out.append(("axial_divergence", slope * 2.0 * lines.node))
    return position, out


def free_cell(lines: PhaseLines, values: Mapping[str, float]) -> FloatArray:
    """Free cell parameters at the given values."""
    pairs = zip(lines.cell_names, lines.cell_reference, strict=True)
    return np.array([values.get(lines.name("cell", name), reference) for name, reference in pairs])


def metric(lines: PhaseLines, cell: FloatArray) -> FloatArray:
    """1/d² of each reflection at the given free cell parameters, Å⁻²."""
    if np.array_equal(cell, lines.cell_frozen):
        return lines.inverse_d_squared
    return lattice.inverse_d_squared(lines.hkl, _cell6(lines, cell)[0])


def metric_slopes(lines: PhaseLines, cell: FloatArray) -> FloatArray:
    """Derivatives of `metric` by the free cell parameters, (r, k)."""
    cell6, freedom = _cell6(lines, cell)
    slopes: FloatArray = lattice.inverse_d_squared_derivatives(lines.hkl, cell6) @ freedom
    return slopes


def _cell6(lines: PhaseLines, cell: FloatArray) -> tuple[FloatArray, FloatArray]:
    _, freedom = lattice.cell_freedom(lines.phase.crystal_system)
    return freedom @ cell + (np.array(lines.phase.cell.parameters) - freedom @ lines.cell_reference), freedom


def _theta(wavelength: FloatArray, inverse_d_squared: FloatArray) -> FloatArray:
    """Bragg angle in radians; a line that a changing cell drives beyond 90° stays just below it."""
    sine = wavelength * np.sqrt(inverse_d_squared) / 2.0
    return np.asarray(np.arcsin(np.minimum(sine, _SINE_MAX)))


def _widths(
    lines: PhaseLines, frame: LineFrame, values: Mapping[str, float], *, slopes: bool
) -> tuple[FloatArray, FloatArray, _Slopes, _Slopes]:
    instrument, cosine, tangent = frame.instrument, frame.cosine, frame.tangent
    size_a, size_c = lines.name("inverse_size", "a"), lines.name("inverse_size", "c")
    size_mixing, microstrain = lines.name("size_mixing"), lines.name("microstrain")
    u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
    strain_width = values.get("instrument_lorentzian_strain", instrument.lorentzian_strain)
    scherrer = SCHERRER_CONSTANT * lines.wavelength / 10.0 / cosine * _DEG
    ia = values.get(size_a, 0.0)
    ic = values.get(size_c, ia)
    anisotropic = size_c in values
    cos_sq = lines.axis_cos_sq[lines.reflection]
    if anisotropic:
        inverse = np.sqrt(ia**2 * (1.0 - cos_sq) + ic**2 * cos_sq + 1e-10)
    else:
        inverse = np.full_like(cosine, max(ia, 1e-5))
    size = scherrer * inverse
    share_g, share_l, d_share_g, d_share_l = profiles.size_components(values.get(size_mixing, 0.5))
    epsilon = values.get(microstrain, 0.0)
    instrument_sq = u * tangent**2 + v * tangent + w
    floor = 1e-4  # (0.01°)²: no laboratory line is narrower, and U, V, W may go negative together
    low = instrument_sq < floor
    gauss = np.sqrt(np.where(low, floor, instrument_sq) + (size * share_g) ** 2)
    lorentz = (
        instrument.lorentzian_size / cosine
        + strain_width * tangent
        + size * share_l
        + 4.0 * epsilon * tangent * _DEG
        + frame.natural * tangent
    )
    lorentz = np.maximum(lorentz, 1e-4)
    if not slopes:
        return gauss, lorentz, [], []
    d_inverse = [(size_a, np.ones_like(cosine))]
    if anisotropic:
        d_inverse = [
            (size_a, ia * (1.0 - cos_sq) / inverse),
            (size_c, ic * cos_sq / inverse),
        ]
    half = np.where(low, 0.0, 0.5 / gauss)
    d_gauss = [("caglioti_u", half * tangent**2), ("caglioti_v", half * tangent), ("caglioti_w", half)]
    d_lorentz = [("instrument_lorentzian_strain", tangent), (microstrain, 4.0 * tangent * _DEG)]
    for name, slope in d_inverse:
        d_gauss.append((name, size * share_g**2 * scherrer * slope / gauss))
        d_lorentz.append((name, scherrer * share_l * slope))
    d_gauss.append((size_mixing, size**2 * share_g * d_share_g / gauss))
    d_lorentz.append((size_mixing, size * d_share_l))
    return gauss, lorentz, d_gauss, d_lorentz


def _intensity(
    lines: PhaseLines, frame: LineFrame, values: Mapping[str, float], *, slopes: bool
) -> tuple[FloatArray, _Slopes]:
    """Area of each line in degrees, electron units per gram.

    A = 2π² m |F|² / (V Q²) · dQ⁻¹/d2θ · P = m |F|² λ³ P / (16 π V sin²θ cosθ) per radian
    """
    b_extra, march_dollase = lines.name("b_extra"), lines.name("march_dollase")
    factor = np.exp(-2.0 * values.get(b_extra, 0.0) * frame.s_squared)
    logarithmic = [(b_extra, -2.0 * frame.s_squared)]
    if lines.elements is not None:
        by_element, by_b = element_factor(lines.elements, values)
        factor = factor * by_element[lines.reflection]
        logarithmic += [(name, slope[lines.reflection]) for name, slope in by_b]
    for name, (wavelengths, start) in refined_ratios(frame.instrument).items():
        if name in values:
            own, ratio = np.isin(lines.wavelength, wavelengths), max(values[name], 1e-9)
            factor = factor * np.where(own, ratio / start, 1.0)
            logarithmic.append((name, np.where(own, 1.0 / ratio, 0.0)))
    if march_dollase in values:
        march, slope = texture.march_dollase(values[march_dollase], lines.axis_cos_sq[lines.reflection])
        factor = factor * march
        logarithmic.append((march_dollase, slope / march))
    if lines.name("harmonic", "1") in values:
        columns = lines.harmonics
        names = [lines.name("harmonic", str(k + 1)) for k in range(columns.shape[1])]
        harmonic = np.maximum(1.0 + columns @ np.array([values[name] for name in names]), 0.05)
        factor = factor * harmonic[lines.reflection]
        if slopes:
            relative = (columns / harmonic[:, None])[lines.reflection]
            logarithmic += [(name, relative[:, k]) for k, name in enumerate(names)]
    strength = (lines.intensity_at_reference * lines.multiplier)[lines.reflection]
    intensity = strength * lines.weight * frame.geometry * factor
    return intensity, [(name, intensity * slope) for name, slope in logarithmic] if slopes else []


# ------------ What a crystal scatters between its Bragg lines.


def diffuse_scattering(
    phase: Phase, instrument: Instrument, two_theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Thermal diffuse (1 − e^(−2Bs²)) f² and Compton scattering of the crystal, per gram, polarised; d/dB."""
    q = 4.0 * np.pi * np.sin(np.radians(two_theta) / 2.0) / instrument.wavelength
    s = q / (4.0 * np.pi)
    total, by_b = np.zeros_like(s), np.zeros_like(s)
    mass = 0.0
    keys: dict[tuple[str, float], float] = {}
    for element, occupancy, b_iso in zip(
        phase.site_element, phase.site_occupancy, phase.site_b_iso, strict=True
    ):
        key = (element, round(float(b_iso), 3))
        keys[key] = keys.get(key, 0.0) + float(occupancy)
    for (element, b_iso), count in keys.items():
        f = scattering.form_factor(element, s)
        bragg_share = np.exp(-2.0 * b_iso * s**2)
        total += count * (f**2 * (1.0 - bragg_share) + scattering.incoherent(element, s))
        by_b += count * f**2 * bragg_share * 2.0 * s**2
        mass += count * scattering.atomic_weight(element)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = weight * polarization(two_theta, instrument) / mass
    return total * factor, by_b * factor


def diffuse_now(lines: PhaseLines, values: Mapping[str, float]) -> FloatArray:
    """Thermal diffuse and Compton scattering of a phase per gram, on its points, at the B of `values`."""
    extra = values.get(lines.name("b_extra"), 0.0) * lines.diffuse_by_b
    return lines.diffuse + extra + element_diffuse(lines.elements, values)


# ------------ From a phase and parameter values to its pattern per gram, with derivatives; no loop over
# lines or points.
# Reflections, quadrature nodes and windows are frozen in a `PhaseLines`; `phase_columns` then evaluates them for
# any parameter values as a product of one sparse matrix (points × lines) with small dense ones.

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

    def name(self, kind: str, axis: str = "") -> str:
        """Name of a parameter of this phase."""
        return parameter_name(kind, self.phase.id, axis)


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
    pairs = zip(names, cell_start, strict=True)
    cell_now = np.array([values.get(parameter_name("cell", phase.id, n), v) for n, v in pairs])
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
    if parameter_name("harmonic", phase.id, "1") not in values:
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
    height = axial_height(instrument, values)
    start = max(height, 0.02) if "axial_divergence" in values else height
    if start == 0.0:
        return lines
    properties = line_properties(lines, instrument, {**values, "axial_divergence": 0.0}, slopes=False)
    fwhm = profiles.tch_widths(properties.gauss, properties.lorentz).fwhm
    depth, flat = depth_and_flatness(instrument, properties.position)
    flat = flat + values.get("transparency_mm", 0.0) * depth
    shift = np.abs(profiles.axial_shift(properties.position, 2.0 * start) + 6.0 * flat)
    relative = properties.intensity / max(float(properties.intensity.max(initial=0.0)), 1e-300)
    most = np.select([relative < _FAINT, relative < _WEAK], [1, 3], _NODES_MAX)
    count = np.clip(np.round(1.0 + 2.5 * shift / fwhm), 1, most).astype(int)
    pieces_index, pieces_node, pieces_weight = [], [], []
    for k in np.unique(count):
        nodes, node_weights = profiles.axial_nodes(int(k))
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
    fwhm = profiles.tch_widths(properties.gauss, properties.lorentz).fwhm
    height = properties.intensity / fwhm
    reach = np.sqrt(height / (2.0 * np.pi * _TAIL_CUT * height.max()))
    half = np.minimum(fwhm * np.clip(reach, *WINDOW_FWHM), WINDOW_MAX)
    point, indptr = profiles.reach_of(lines.two_theta_points, properties.position, half)
    return replace(lines, point=point, indptr=indptr)


def spread_lines(lines: PhaseLines, properties: LineProperties) -> profiles.Lines:
    """Lines on the points, for the sums of `physics.profiles`.

    Parameters
    ----------
    lines : PhaseLines
    properties : LineProperties
        Of these lines.

    Returns
    -------
    spread.Lines
    """
    return profiles.Lines(
        two_theta=lines.two_theta_points,
        point=lines.point,
        indptr=lines.indptr,
        position=properties.position,
        widths=profiles.tch_widths(properties.gauss, properties.lorentz),
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
        return profiles.spread_value(placed, properties.intensity) + diffuse, {}
    names, slopes = _slopes(properties, placed.widths, vary)
    columns: dict[str, FloatArray] = {}
    for own, rows in zip(names, profiles.spread_slopes(placed, slopes), strict=True):
        for name, row in zip(own, rows, strict=True):
            columns[name] = columns[name] + row if name in columns else row
    basis = columns.pop("") + diffuse
    b_name = lines.name("b_extra")
    if b_name in columns:
        columns[b_name] = columns[b_name] + lines.diffuse_by_b
    if lines.elements is not None:
        for name, change in zip(lines.elements.names, lines.elements.diffuse_by_b, strict=True):
            if name in columns:
                columns[name] = columns[name] + change
    return basis, columns


def _slopes(
    properties: LineProperties, widths: profiles.TchWidths, vary: frozenset[str]
) -> tuple[tuple[list[str], list[str], list[str]], profiles.Slopes]:
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
    slopes = profiles.Slopes(
        intensity=_stacked(by_intensity, intensity),
        position=_stacked(by_position, intensity),
        fwhm=_stacked(fwhm, intensity) * intensity[:, None],
        eta=_stacked(eta, intensity) * intensity[:, None],
    )
    return (list(by_intensity), list(by_position), list(fwhm)), slopes


def _stacked(terms: Mapping[str, FloatArray], like: FloatArray) -> FloatArray:
    """Arrays as columns, (l, k), also where there are none."""
    return np.stack(list(terms.values()), axis=1) if terms else np.empty((len(like), 0))
