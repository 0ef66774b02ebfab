"""Position, widths and intensity of every line of a phase for given parameter values, with derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.fit import optics
from xrdcomp.fit.element_b import element_factor
from xrdcomp.physics import lattice, profile, texture
from xrdcomp.types import FloatArray, Instrument, IntArray

if TYPE_CHECKING:
    from xrdcomp.fit.lines import PhaseLines

__all__ = [
    "SCHERRER_CONSTANT",
    "LineFrame",
    "LineProperties",
    "free_cell",
    "line_frame",
    "line_properties",
    "metric",
]

SCHERRER_CONSTANT = 0.9
"""K of L = K λ / (FWHM cosθ); 0.9 goes with widths at half maximum."""

_SINE_MAX = 0.99999  # 2θ = 179.5°, outside every scan
_DEG = 180.0 / np.pi

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
    depth, flat = optics.depth_and_flatness(instrument, two_theta)
    polarization = optics.polarization(two_theta, instrument)
    return LineFrame(
        instrument=instrument,
        two_theta=two_theta,
        cosine=cosine,
        tangent=np.tan(theta),
        lever=-2.0 * _DEG / instrument.radius_mm * cosine,
        depth=depth,
        flat=flat,
        natural=optics.natural_width(instrument, wavelength),
        geometry=wavelength**3 * polarization / (16.0 * np.pi * np.sin(theta) ** 2 * cosine) * _DEG,
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
    height = optics.axial_height(instrument, values) * 2.0 * lines.node
    axial = profile.axial_shift(frame.two_theta, height, instrument.axial_correlation)
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
    out = [(f"{lines.phase.id}_{name}", lever * by_cell[:, i]) for i, name in enumerate(lines.cell_names)]
    out += [("zero_shift", np.ones_like(position)), ("sample_displacement_mm", frame.lever)]
    out.append(("transparency_mm", depth))
    if height.any():
        slope = profile.axial_shift_slope(frame.two_theta, height, instrument.axial_correlation)
        out.append(("axial_divergence", slope * 2.0 * lines.node))
    return position, out


def free_cell(lines: PhaseLines, values: Mapping[str, float]) -> FloatArray:
    """Free cell parameters at the given values."""
    pairs = zip(lines.cell_names, lines.cell_reference, strict=True)
    return np.array([values.get(f"{lines.phase.id}_{name}", reference) for name, reference in pairs])


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
    p = f"{lines.phase.id}_"
    u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
    strain_width = values.get("instrument_lorentzian_strain", instrument.lorentzian_strain)
    scherrer = SCHERRER_CONSTANT * lines.wavelength / 10.0 / cosine * _DEG
    ia = values.get(p + "inverse_size_a", 0.0)
    ic = values.get(p + "inverse_size_c", ia)
    anisotropic = p + "inverse_size_c" in values
    cos_sq = lines.axis_cos_sq[lines.reflection]
    if anisotropic:
        inverse = np.sqrt(ia**2 * (1.0 - cos_sq) + ic**2 * cos_sq + 1e-10)
    else:
        inverse = np.full_like(cosine, max(ia, 1e-5))
    size = scherrer * inverse
    share_g, share_l, d_share_g, d_share_l = profile.size_components(values.get(p + "size_mixing", 0.5))
    epsilon = values.get(p + "microstrain", 0.0)
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
    d_inverse = [(p + "inverse_size_a", np.ones_like(cosine))]
    if anisotropic:
        d_inverse = [
            (p + "inverse_size_a", ia * (1.0 - cos_sq) / inverse),
            (p + "inverse_size_c", ic * cos_sq / inverse),
        ]
    half = np.where(low, 0.0, 0.5 / gauss)
    d_gauss = [("caglioti_u", half * tangent**2), ("caglioti_v", half * tangent), ("caglioti_w", half)]
    d_lorentz = [("instrument_lorentzian_strain", tangent), (p + "microstrain", 4.0 * tangent * _DEG)]
    for name, slope in d_inverse:
        d_gauss.append((name, size * share_g**2 * scherrer * slope / gauss))
        d_lorentz.append((name, scherrer * share_l * slope))
    d_gauss.append((p + "size_mixing", size**2 * share_g * d_share_g / gauss))
    d_lorentz.append((p + "size_mixing", size * d_share_l))
    return gauss, lorentz, d_gauss, d_lorentz


def _intensity(
    lines: PhaseLines, frame: LineFrame, values: Mapping[str, float], *, slopes: bool
) -> tuple[FloatArray, _Slopes]:
    """Area of each line in degrees, electron units per gram.

    A = 2π² m |F|² / (V Q²) · dQ⁻¹/d2θ · P = m |F|² λ³ P / (16 π V sin²θ cosθ) per radian
    """
    p = f"{lines.phase.id}_"
    factor = np.exp(-2.0 * values.get(p + "b_extra", 0.0) * frame.s_squared)
    logarithmic = [(p + "b_extra", -2.0 * frame.s_squared)]
    if lines.elements is not None:
        by_element, by_b = element_factor(lines.elements, values)
        factor = factor * by_element[lines.reflection]
        logarithmic += [(name, slope[lines.reflection]) for name, slope in by_b]
    for name, (wavelengths, start) in optics.refined_ratios(frame.instrument).items():
        if name in values:
            own, ratio = np.isin(lines.wavelength, wavelengths), max(values[name], 1e-9)
            factor = factor * np.where(own, ratio / start, 1.0)
            logarithmic.append((name, np.where(own, 1.0 / ratio, 0.0)))
    if p + "march_dollase" in values:
        march, slope = texture.march_dollase(values[p + "march_dollase"], lines.axis_cos_sq[lines.reflection])
        factor = factor * march
        logarithmic.append((p + "march_dollase", slope / march))
    if p + "harmonic_1" in values:
        columns = lines.harmonics
        names = [f"{p}harmonic_{k + 1}" for k in range(columns.shape[1])]
        harmonic = np.maximum(1.0 + columns @ np.array([values[name] for name in names]), 0.05)
        factor = factor * harmonic[lines.reflection]
        if slopes:
            relative = (columns / harmonic[:, None])[lines.reflection]
            logarithmic += [(name, relative[:, k]) for k, name in enumerate(names)]
    strength = (lines.intensity_at_reference * lines.multiplier)[lines.reflection]
    intensity = strength * lines.weight * frame.geometry * factor
    return intensity, [(name, intensity * slope) for name, slope in logarithmic] if slopes else []
