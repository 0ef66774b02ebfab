"""Score every phase of a library against what a fit leaves unexplained.

For a candidate's pattern b per gram (normalised by sigma) and the nuisance columns A of the fit (linear terms,
Jacobian of the non-linear ones, and one column for each reflection group of the phases already there, because
grainy specimens change intensities line by line) with prior precisions P, the amount is

ŵ = b·r⊥ / b·b⊥,   b⊥ = b − A (AᵀA + P)⁻¹ Aᵀ b,   var(ŵ) = f / b·b⊥,   z = ŵ / sqrt(var)

with f the overdispersion of the residual. It is the generalised least-squares estimate of one more term, so no
refinement is needed to score a phase; accepted phases are refined afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import linalg, optimize

from xrdcomp.fit.lines import line_properties
from xrdcomp.fit.pattern import FitState
from xrdcomp.physics import corrections, lattice, profile, scattering, structure_factors
from xrdcomp.types import FloatArray, IntArray, Phase

__all__ = [
    "CandidateLines",
    "Nuisance",
    "Score",
    "candidate_lines",
    "nuisance_space",
    "position_lines",
    "score_phase",
    "template",
    "template_fwhm",
]

GRAIN_STD = 0.25
"""Prior relative standard deviation of each reflection's intensity in a phase already fitted."""

CELL_STRAINS = np.linspace(-0.004, 0.004, 9)
"""Relative changes of all spacings that are tried for a candidate: solid solution, temperature, shift."""

TEMPLATE_SIZES_NM = (80.0, 20.0)
TAIL_STD = 0.01
"""Prior standard deviation of a copy of the lines at a fixed offset, relative to the lines."""

_TAIL_OFFSETS = (0.06, 0.12, 0.18, 0.24, 0.30, 0.38, 0.48, 0.60, 0.80)  # degrees
MAX_TWO_THETA = 92.0
_LOOK_AT_LINES = 3.0
_TYPICAL_AREA = 0.08  # of the strongest lines of calcium salts: radians × electron² mol / g, Cu Kα


@dataclass(frozen=True)
class CandidateLines:
    """Spacings and absolute strengths (m |F|² / (V · cell mass), before geometry) of a candidate."""

    phase: Phase
    d_spacing: FloatArray
    hkl: FloatArray
    strength: FloatArray


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """Everything that can imitate a phase, factorised, and the residual it leaves.

    Attributes
    ----------
    points : (n,) indices of the fit's points that are searched
    sigma : (n,) standard deviation of those points, profile misfit of the fitted lines included
    half : (k, n) array
        L⁻¹Aᵀ with LLᵀ = AᵀA + P, so that a template's information is b·b − |half b|².
    residual : (n,) normalised residual of the fit, with what the nuisance columns explain taken out
    inflation : factor on variances from misfit that is left
    """

    points: IntArray
    sigma: FloatArray
    half: FloatArray
    residual: FloatArray
    inflation: float

    def estimate(self, template: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Amounts of normalised template columns and their standard deviations."""
        information = (template**2).sum(axis=0) - ((self.half @ template) ** 2).sum(axis=0)
        information = np.maximum(information, 1e-300)
        amount: FloatArray = (template.T @ self.residual) / information
        return amount, np.sqrt(self.inflation / information)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Best score of one phase over templates: amount, its standard deviation, z, and which template."""

    phase: Phase
    amount: float
    std: float
    z: float
    strain: float
    size_nm: float
    lines_expected: int
    lines_seen: int
    consistency: float


@lru_cache(maxsize=256)
def _strengths(key: tuple[str, str, float, float, float], phase_ref: _ByIdentity) -> CandidateLines:
    _, _, wavelength, d_min, d_max = key
    phase = phase_ref.phase
    cell6 = np.array(phase.cell.parameters)
    found = lattice.generate_reflections(
        cell6, phase.rotations, phase.translations, phase.centring, d_min=d_min, d_max=d_max
    )
    f_sq = structure_factors.structure_factor_sq(
        found.hkl,
        found.d_spacing,
        phase.site_xyz,
        phase.site_element,
        phase.site_occupancy,
        phase.site_b_iso,
        wavelength,
    )
    pairs = zip(phase.site_element, phase.site_occupancy, strict=True)
    mass = float(sum(scattering.atomic_weight(e) * o for e, o in pairs))
    strength = found.multiplicity * f_sq / (lattice.cell_volume(cell6) * mass)
    keep = strength * found.d_spacing**2 > 2e-3 * float((strength * found.d_spacing**2).max())
    return CandidateLines(phase, found.d_spacing[keep], found.hkl[keep].astype(float), strength[keep])


class _ByIdentity:
    """Lets a phase be an argument of a cached function: equal when id and source are equal."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase

    def __hash__(self) -> int:
        return hash((self.phase.id, self.phase.source))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.phase is other.phase


def candidate_lines(phase: Phase, state: FitState) -> CandidateLines:
    """Lines of a phase inside the fitted range (up to 92°), from its structure."""
    wavelength = state.instrument.wavelength
    low, high = state.two_theta[0] - 1.0, min(float(state.two_theta[-1]) + 1.0, MAX_TWO_THETA)
    sine = np.sin(np.radians([max(low, 1.0) / 2.0, high / 2.0]))
    d_max, d_min = wavelength / (2.0 * sine)
    key = (phase.id, phase.source, wavelength, round(float(d_min), 6), round(float(d_max), 6))
    return _strengths(key, _ByIdentity(phase))


def position_lines(phase: Phase, state: FitState) -> CandidateLines:
    """Lines of a phase known by positions only; strengths are made up from listed relative intensities.

    Absolute strength: the coherent scattering of the listed lines together is set to that of a typical calcium
    salt, Σ m|F|²/(V M) d² = 0.02 per line set, so that limits are right to about a factor of two. Such a phase
    is never quantified.
    """
    d = np.array([line.d_spacing for line in phase.reference_lines])
    relative = np.array([line.relative_intensity for line in phase.reference_lines])
    wavelength = state.instrument.wavelength
    sine = wavelength / (2.0 * np.maximum(d, wavelength / 1.9))
    theta = np.arcsin(sine)
    geometry = (
        wavelength**3 * (1.0 + np.cos(2.0 * theta) ** 2) / (32.0 * np.pi * np.sin(theta) ** 2 * np.cos(theta))
    )
    strength = relative / geometry
    strength = strength * _TYPICAL_AREA / max(float((strength * geometry).sum()), 1e-300)
    return CandidateLines(phase, d, np.zeros((len(d), 3)), strength)


def template(
    lines: CandidateLines,
    state: FitState,
    *,
    strains: FloatArray,
    size_nm: float,
    only: FloatArray | None = None,
) -> FloatArray:
    """Bragg patterns of one gram for several strains of the cell, on the fit's points.

    Parameters
    ----------
    strains : (k,) array, relative change of all spacings
    size_nm : float, crystallite size of the template
    only : boolean array over lines, optional

    Returns
    -------
    (n, k) array, electron units per gram
    """
    pick = np.ones(len(lines.d_spacing), bool) if only is None else only.astype(bool)
    x = state.two_theta
    step = float(np.median(np.diff(x)))
    n_grid = int(np.ceil((x[-1] - x[0]) / step)) + 1
    values = state.solution.values
    weights = np.zeros((n_grid + 1, len(strains)))
    for line in state.instrument.emission_lines:
        d = lines.d_spacing[pick][:, None] * (1.0 + strains[None, :])
        sine = line.wavelength / (2.0 * d)
        ok = sine < 1.0
        theta = np.arcsin(np.where(ok, sine, 0.5))
        bare = np.degrees(2.0 * theta)
        lever = -np.degrees(2.0 * values.get("sample_displacement_mm", 0.0) / state.instrument.radius_mm)
        position = bare + values.get("zero_shift", 0.0) + lever * np.cos(theta)
        polarization = corrections.polarization(
            bare,
            monochromator_two_theta=state.instrument.monochromator_two_theta,
            polarization_fraction=state.instrument.polarization_fraction,
        )
        geometry = line.wavelength**3 * polarization / (16.0 * np.pi * np.sin(theta) ** 2 * np.cos(theta))
        area = lines.strength[pick][:, None] * line.weight * geometry * (180.0 / np.pi)
        index = (position - x[0]) / step
        inside = ok & (index >= 0) & (index < n_grid - 1)
        whole = np.floor(np.where(inside, index, 0)).astype(int)
        part = index - whole
        column = np.broadcast_to(np.arange(len(strains)), whole.shape)
        np.add.at(weights, (whole[inside], column[inside]), (area * (1.0 - part))[inside])
        np.add.at(weights, (whole[inside] + 1, column[inside]), (area * part)[inside])
    grid = _convolve(weights[:n_grid], step, template_fwhm(state, size_nm))
    at = x[0] + step * np.arange(n_grid)
    if np.allclose(at[: len(x)], x, atol=0.02 * step) and n_grid >= len(x):
        out = grid[: len(x)]
    else:
        out = np.stack([np.interp(x, at, grid[:, k]) for k in range(grid.shape[1])], axis=1)
    return out * state.model.slit[:, None]


def template_fwhm(state: FitState, size_nm: float) -> float:
    """Line width of a template near the middle of the useful range, degrees."""
    theta = np.radians(18.0)
    values, instrument = state.solution.values, state.instrument
    u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
    gauss = np.sqrt(max(u * np.tan(theta) ** 2 + v * np.tan(theta) + w, 1e-3))
    lorentz = instrument.lorentzian_strain * np.tan(theta)
    size = np.degrees(0.9 * instrument.wavelength / (10.0 * size_nm * np.cos(theta)))
    return float(np.hypot(gauss, 0.7 * size) + lorentz + 0.5 * size)


def _convolve(weights: FloatArray, step: float, fwhm: float) -> FloatArray:
    """Convolve columns with a pseudo-Voigt (eta 0.5) of the given width."""
    from scipy import fft

    n = weights.shape[0]
    half = min(int(np.ceil(20.0 * fwhm / step)), n)
    offset = np.arange(-half, half + 1) * step
    kernel, *_ = profile.pseudo_voigt(offset, np.full_like(offset, fwhm), np.full_like(offset, 0.5))
    size = fft.next_fast_len(n + 2 * half, real=True)
    spectrum = fft.rfft(weights, size, axis=0) * fft.rfft(kernel, size)[:, None]
    out: FloatArray = fft.irfft(spectrum, size, axis=0)[half : half + n]
    return out


def nuisance_space(state: FitState) -> Nuisance:
    """Columns that may imitate a phase: the fit's own terms and line-by-line graininess of its phases."""
    points = np.flatnonzero(state.two_theta <= MAX_TWO_THETA)
    solution = state.solution
    residual = (state.intensity - solution.columns @ solution.coefficients)[points]
    sigma = _misfit_sigma(state, points, residual)
    keep = [solution.columns[:, solution.active][points], solution.jacobian[points]]
    precision = [solution.linear_prior[solution.active], solution.parameter_prior]
    pull = [
        -solution.linear_prior[solution.active] * solution.coefficients[solution.active],
        -solution.parameter_prior * solution.offset,
    ]
    for k in range(len(state.model.lines)):
        grain = _grain_columns(state, k)[points]
        keep.append(grain)
        precision.append(np.full(grain.shape[1], GRAIN_STD**-2))
        pull.append(np.zeros(grain.shape[1]))
    copies = _tail_columns(state, points)
    keep.append(copies)
    precision.append(np.full(copies.shape[1], TAIL_STD**-2))
    pull.append(np.zeros(copies.shape[1]))
    columns = np.concatenate(keep, axis=1) / sigma[:, None]
    gram = columns.T @ columns
    gram[np.diag_indices_from(gram)] += np.concatenate(precision) + 1e-9 * np.diag(gram) + 1e-12
    lower = linalg.cholesky(gram, lower=True)
    half = linalg.solve_triangular(lower, columns.T, lower=True)
    normal = residual / sigma
    shift = half @ normal + linalg.solve_triangular(lower, np.concatenate(pull), lower=True)
    cleaned = normal - half.T @ shift
    effective = max(len(cleaned) - float((half**2).sum()), 1.0)
    inflation = max(1.0, float(cleaned @ cleaned) / effective)
    return Nuisance(points=points, sigma=sigma, half=half, residual=cleaned, inflation=inflation)


def _tail_columns(state: FitState, points: IntArray) -> FloatArray:
    """Copies of the fitted lines at fixed offsets: filament tails of the tube and what else all lines share.

    Emission beside the focus makes a faint image of every line at a constant angle from it [Bergmann, Kleeberg,
    Haase & Breidenstein 2000 Mater. Sci. Forum 347, 303], which must not pass for a phase.
    """
    if not state.phases:
        return np.empty((len(points), 0))
    bragg = np.zeros(len(state.two_theta))
    for k, lines in enumerate(state.model.lines):
        smooth = lines.diffuse * state.model.slit
        bragg += (state.solution.columns[:, k] - smooth) * state.solution.coefficients[k]
    x = state.two_theta
    shifted = [np.interp(x, x + offset, bragg) for offset in (*_TAIL_OFFSETS, *(-v for v in _TAIL_OFFSETS))]
    return np.stack(shifted, axis=1)[points]


def _misfit_sigma(state: FitState, points: IntArray, residual: FloatArray) -> FloatArray:
    """Standard deviation of each point with the misfit of line profiles added.

    σ² + a B² + b (w dB/d2θ)², B the Bragg intensity of the fitted phases and w their line width; a and b are
    estimated from the residual by non-negative least squares: height and shape errors of strong lines scale so.
    """
    sigma = state.sigma[points]
    if not state.phases:
        return sigma
    bragg = np.zeros(len(points))
    for k in range(len(state.phases)):
        bragg += np.abs(state.solution.columns[points, k] * state.solution.coefficients[k])
    slope = np.gradient(bragg, state.two_theta[points]) * template_fwhm(state, 80.0)
    terms = np.stack([bragg**2, slope**2], axis=1)
    weight = 1.0 / (sigma**2 + (0.05 * bragg) ** 2 + (0.05 * slope) ** 2)
    target = np.clip(residual**2 - sigma**2, None, 25.0 / weight)
    share, _ = optimize.nnls(terms * weight[:, None], target * weight)
    return np.asarray(np.sqrt(sigma**2 + terms @ share))


def _grain_columns(state: FitState, index: int) -> FloatArray:
    """Contribution of each group of overlapping reflections of a fitted phase to the pattern."""
    lines = state.model.lines[index]
    amount = abs(float(state.solution.coefficients[index]))
    properties = line_properties(lines, state.instrument, state.solution.values)
    strongest = lines.wavelength == state.instrument.wavelength
    n = len(lines.hkl)
    centre = np.full(n, np.nan)
    centre[lines.reflection[strongest]] = properties.position[strongest]
    widths = profile.tch_widths(properties.gauss, properties.lorentz)
    width = np.full(n, 0.1)
    width[lines.reflection] = widths.fwhm
    order = np.argsort(np.where(np.isfinite(centre), centre, 1e9))
    gap = np.diff(centre[order], prepend=-1e9)
    new = np.where(np.isfinite(gap), gap, 0.0) > 0.35 * width[order]
    group = np.empty(n, dtype=np.int64)
    group[order] = np.cumsum(new) - int(new[0])
    offset = lines.two_theta_points[lines.point] - np.repeat(properties.position, np.diff(lines.indptr))
    per_line = np.diff(lines.indptr)
    value, *_ = profile.pseudo_voigt(
        offset, np.repeat(widths.fwhm, per_line), np.repeat(widths.eta, per_line)
    )
    value *= np.repeat(properties.intensity, per_line) * amount
    n_groups = int(group.max()) + 1
    flat = np.repeat(group[lines.reflection], per_line) + n_groups * lines.point
    out = np.bincount(flat, value, minlength=n_groups * len(state.two_theta)).reshape(-1, n_groups)
    strong = out.max(axis=0) > float(np.median(state.sigma))
    return out[:, strong] * state.model.slit[:, None]


def score_phase(lines: CandidateLines, state: FitState, nuisance: Nuisance, sizes: Sequence[float]) -> Score:
    """Score one candidate over cell strains and sizes, and check its strongest lines one by one."""
    best: tuple[float, float, float, float, float] | None = None
    for size in sizes:
        columns = template(lines, state, strains=CELL_STRAINS, size_nm=size)[nuisance.points]
        amount, std = nuisance.estimate(columns / nuisance.sigma[:, None])
        k = int(np.argmax(amount / std))
        if best is None or amount[k] / std[k] > best[0]:
            best = (float(amount[k] / std[k]), float(amount[k]), float(std[k]), float(CELL_STRAINS[k]), size)
    if best is None:
        msg = "at least one template size is needed"
        raise ValueError(msg)
    z, amount_best, std_best, strain, size = best
    expected, seen, consistency = 0, 0, 0.0
    if z > _LOOK_AT_LINES:
        expected, seen, consistency = _line_check(lines, state, nuisance, (amount_best, strain, size))
    return Score(
        phase=lines.phase,
        amount=amount_best,
        std=std_best,
        z=z,
        strain=strain,
        size_nm=size,
        lines_expected=expected,
        lines_seen=seen,
        consistency=consistency,
    )


def _line_check(
    lines: CandidateLines, state: FitState, nuisance: Nuisance, best: tuple[float, float, float]
) -> tuple[int, int, float]:
    """How many of the strongest lines should show at this amount, how many do, and the χ² per line of their ratio."""
    amount, strain, size = best
    strength = lines.strength * lines.d_spacing**2
    order = np.argsort(strength)[::-1][:6]
    estimates, errors = [], []
    for i in order:
        only = np.zeros(len(strength), bool)
        only[i] = True
        only |= np.abs(lines.d_spacing / lines.d_spacing[i] - 1.0) < 2e-3
        column = template(lines, state, strains=np.array([strain]), size_nm=size, only=only)
        one, std = nuisance.estimate(column[nuisance.points] / nuisance.sigma[:, None])
        estimates.append(float(one[0]))
        errors.append(float(std[0]))
    value, error = np.array(estimates), np.array(errors)
    expected = amount / error > 3.0
    seen = expected & (value / error > 1.5) & (value > 0.25 * amount)
    spread = (value - amount) / np.hypot(error, 0.35 * amount)
    consistency = float((spread[expected] ** 2).mean()) if expected.any() else 0.0
    return int(expected.sum()), int(seen.sum()), consistency
