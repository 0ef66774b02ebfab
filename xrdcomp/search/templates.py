"""Patterns of candidates on bins as coarse as the lines allow, many at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from xrdcomp.data import Instrument, Phase
from xrdcomp.phases.library import list_phases, load_phases
from xrdcomp.physics import corrections, elements, profiles, reflections
from xrdcomp.recipe import IdentificationRecipe
from xrdcomp.refinement import reflections as optics
from xrdcomp.refinement.refine import Refinement
from xrdcomp.units import FloatArray, IntArray

# ------------ Lines of library phases: spacings and strengths per gram, from the atoms or from a list of
# positions.

MAX_TWO_THETA = 92.0
"""Largest angle that is searched: beyond it lines are many, weak and close."""

_WEAKEST = 2e-3
_TYPICAL_AREA = 0.08  # of the strongest lines of calcium salts: radians × electron² mol / g, Cu Kα


@dataclass(frozen=True)
class CandidateLines:
    """Spacings (Å) and absolute strengths (m |F|² / (V · cell mass), before geometry) of a candidate."""

    phase: Phase
    d_spacing: FloatArray
    strength: FloatArray


def library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    """Return the named phases, all of the library where none is named; the user's files are read anew each time."""
    return _of_library(ids) if set(ids) <= set(list_phases()) else load_phases(ids)


@lru_cache(maxsize=4)
def _of_library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    return load_phases(ids or list_phases())


def searched_phases(recipe: IdentificationRecipe) -> tuple[Phase, ...]:
    """Phases that a search tries: those of the recipe's library and the user's own.

    Parameters
    ----------
    recipe : IdentificationRecipe

    Returns
    -------
    tuple of Phase
        A phase of the user goes before one of the library that has the same id.

    Raises
    ------
    PhaseError
        As `load_phases`.
    """
    own = load_phases(recipe.own_phases)
    ids = {phase.id for phase in own}
    return (*(phase for phase in library(recipe.library) if phase.id not in ids), *own)


class _ByIdentity:
    """Lets a phase be an argument of a cached function: equal when it is the same object."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase

    def __hash__(self) -> int:
        return hash((self.phase.id, self.phase.source))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.phase is other.phase


def phase_lines(phase: Phase, state: Refinement) -> CandidateLines:
    """Lines of a phase inside the fitted range, up to `MAX_TWO_THETA`.

    Phases without atoms take their listed positions. Their absolute strength is made up: the coherent scattering
    of the listed lines together is set to that of a typical calcium salt, so that limits are right to about a
    factor of two. Such a phase is never quantified.
    """
    wavelength = state.instrument.wavelength
    if not phase.quantifiable:
        return _listed(_ByIdentity(phase), wavelength)
    low, high = state.points.two_theta[0] - 1.0, min(float(state.points.two_theta[-1]) + 1.0, MAX_TWO_THETA)
    sine = np.sin(np.radians([max(low, 1.0) / 2.0, high / 2.0]))
    d_max, d_min = wavelength / (2.0 * sine)
    return _from_atoms(_ByIdentity(phase), wavelength, round(float(d_min), 6), round(float(d_max), 6))


@lru_cache(maxsize=256)
def _from_atoms(reference: _ByIdentity, wavelength: float, d_min: float, d_max: float) -> CandidateLines:
    phase = reference.phase
    cell6 = np.array(phase.cell.parameters)
    found = reflections.generate_reflections(
        cell6, phase.rotations, phase.translations, phase.centring, d_min=d_min, d_max=d_max
    )
    f_sq = reflections.structure_factor_sq(
        found.hkl,
        found.d_spacing,
        phase.site_xyz,
        phase.site_element,
        phase.site_occupancy,
        phase.site_b_iso,
        wavelength,
    )
    pairs = zip(phase.site_element, phase.site_occupancy, strict=True)
    mass = float(sum(elements.atomic_weight(e) * o for e, o in pairs))
    strength = found.multiplicity * f_sq / (reflections.cell_volume(cell6) * mass)
    apparent = strength * found.d_spacing**2
    keep = apparent > _WEAKEST * float(apparent.max(initial=0.0))
    return CandidateLines(phase, found.d_spacing[keep], strength[keep])


@lru_cache(maxsize=64)
def _listed(reference: _ByIdentity, wavelength: float) -> CandidateLines:
    phase = reference.phase
    d = np.array([line.d_spacing for line in phase.reference_lines])
    relative = np.array([line.relative_intensity for line in phase.reference_lines])
    sine = wavelength / (2.0 * np.maximum(d, wavelength / 1.9))
    theta = np.arcsin(sine)
    geometry = (
        wavelength**3 * (1.0 + np.cos(2.0 * theta) ** 2) / (32.0 * np.pi * np.sin(theta) ** 2 * np.cos(theta))
    )
    strength = relative / geometry
    return CandidateLines(
        phase, d, strength * _TYPICAL_AREA / max(float((strength * geometry).sum()), 1e-300)
    )


# ------------ Patterns of candidates on bins as coarse as the lines allow, many at a time.

_BINS_PER_FWHM = 3.0
_MAX_BIN = 8
_ETA = 0.5
_BLOCK = 32  # patterns drawn at a time: what they need stays in a core's cache
_AXIAL_NODES = 3
_NARROW = 0.3  # bins of mean shift up to which its spread is not drawn
_MEAN_NODE = 6.0**-0.5  # place at which a line has its mean shift
_MIDDLE = 18.0  # θ in degrees
_SHARP_SHARE = 0.3  # of the Bragg intensity
_NODES = (5.0, 15.0, 25.0, 35.0, 45.0)  # θ in degrees, between which widths are interpolated
_CLEAR = 10.0  # standard deviations of an amount: at its detection limit a phase has half of that


@dataclass(frozen=True)
class Variant:
    """How a candidate may differ from its entry: change of all spacings, displacement of the specimen.

    strain : relative change of all spacings
    shift : degrees, added as shift · cosθ to what the fit found
    """

    strain: float = 0.0
    shift: float = 0.0


STRAINS = (
    *(Variant(strain=float(s)) for s in np.linspace(-0.004, 0.004, 9)),
    *(Variant(shift=s) for s in (-0.06, -0.03, 0.03, 0.06)),
)
"""Relative changes of all spacings that are tried for a candidate, for solid solution and temperature, and what broad
lines leave open of the displacement: at 10 degrees a change of spacing moves lines too little to stand for it."""

COLD_VARIANTS = tuple(
    Variant(strain=float(strain), shift=float(shift))
    for shift in np.linspace(-0.15, 0.15, 7)
    for strain in np.linspace(-0.002, 0.002, 5)
)
"""Strains and displacements tried while no phase has fixed the displacement yet."""

TEMPLATE_SIZES_NM = (80.0, 20.0)
"""Crystallite sizes with which every candidate is tried."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Bins of neighbouring points of a fit.

    Attributes
    ----------
    two_theta : (n,) centres, degrees
    slit : (n,) intensity factor of slits and absorption
    per_bin : points of the fit in each bin
    step : width of a bin, degrees
    moved : displacement or zero by which templates are drawn in place of the fitted one
    """

    state: Refinement
    two_theta: FloatArray
    slit: FloatArray
    per_bin: int
    step: float
    moved: Mapping[str, float] = field(default_factory=dict)

    def mean(self, values: FloatArray) -> FloatArray:
        """Means over the bins of an array whose first axis is the fit's points."""
        n = len(self.two_theta) * self.per_bin
        if self.per_bin == 1:
            return values[:n]
        out: FloatArray = values[:n].reshape(len(self.two_theta), self.per_bin, -1).mean(axis=1)
        return out.reshape(len(self.two_theta), *values.shape[1:])


def make_grid(state: Refinement) -> Grid:
    """Bin the fit's points to about a third of a line width, up to `MAX_TWO_THETA`."""
    x = state.points.two_theta
    step = float(np.median(np.diff(x)))
    per_bin = int(np.clip(template_fwhm(state, 80.0) / (_BINS_PER_FWHM * step), 1, _MAX_BIN))
    n = int((x <= MAX_TWO_THETA).sum()) // per_bin
    bins = x[: n * per_bin].reshape(n, per_bin)
    slit = state.model.slit[: n * per_bin].reshape(n, per_bin).mean(axis=1)
    return Grid(state=state, two_theta=bins.mean(axis=1), slit=slit, per_bin=per_bin, step=step * per_bin)


def template_fwhm(state: Refinement, size_nm: float, theta: float = _MIDDLE) -> float:
    """Line width of a template at a Bragg angle θ, by default near the middle of the useful range; degrees."""
    return _line_width(state, _resolution(state), size_nm, theta)


def _resolution(state: Refinement) -> Mapping[str, float]:
    """Parameters that give the instrument's share of a template's width; none where its own entry is taken.

    The refined ones serve where phases with lines hardly broader than the instrument's carry a good part of the
    intensity. Lines of small crystallites do not show it, and what is refined on them trades with their size.
    """
    return state.solution.values if _resolution_seen(state) else {}


def refined_fwhm(state: Refinement) -> float:
    """Width near the middle that the refined instrument gives a line of large crystallites, degrees."""
    return _line_width(state, state.solution.values, 80.0, _MIDDLE)


def _line_width(state: Refinement, values: Mapping[str, float], size_nm: float, theta: float) -> float:
    gauss, lorentz = _instrument_width(state.instrument, values, theta)
    size = np.degrees(0.9 * state.instrument.wavelength / (10.0 * size_nm * np.cos(np.radians(theta))))
    return float(np.hypot(gauss, 0.7 * size) + lorentz + 0.5 * size)


def _resolution_seen(state: Refinement) -> bool:
    """Whether clear phases with less broadening than the instrument's carry a good part of the Bragg intensity."""
    if not state.phases:
        return False
    broad = sum(_instrument_width(state.instrument, state.solution.values, _MIDDLE))
    amounts = state.evidence.amounts
    std = np.sqrt(np.maximum(np.diag(amounts.covariance), 1e-300))
    clear = dict(zip(amounts.names, (amounts.amounts > _CLEAR * std).tolist(), strict=True))
    sharp = np.array([_own_width(state, p.id) < broad and clear[p.id] for p in state.phases])
    n = len(state.phases)
    areas = np.abs(state.solution.columns[:, :n] * state.solution.coefficients[:n]).sum(axis=0)
    return bool(areas[sharp].sum() > _SHARP_SHARE * areas.sum())


def _instrument_width(
    instrument: Instrument, values: Mapping[str, float], theta: float
) -> tuple[float, float]:
    """Gaussian and Lorentzian widths that the instrument gives a line at a Bragg angle, degrees."""
    tangent = np.tan(np.radians(theta))
    u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
    strain = values.get("instrument_lorentzian_strain", instrument.lorentzian_strain)
    return float(np.sqrt(max(u * tangent**2 + v * tangent + w, 1e-3))), float(strain * tangent)


def _own_width(state: Refinement, phase_id: str) -> float:
    """Width that a fitted phase's smallest size and its strain give a line near the middle, degrees."""
    theta = np.radians(_MIDDLE)
    inverse = [state.solution.value("inverse_size", phase_id, axis) for axis in "ac"]
    size = 0.09 * state.instrument.wavelength * max(inverse) / np.cos(theta)
    strain = 4.0 * state.solution.value("microstrain", phase_id) * np.tan(theta)
    return float(np.degrees(size + strain))


def draw_patterns(
    candidates: Sequence[CandidateLines], grid: Grid, variants: Sequence[Variant], sizes: Sequence[float]
) -> FloatArray:
    """Bragg patterns of one gram of each candidate in each variant and size.

    Returns
    -------
    (sizes, candidates, variants, bins) array, electron units per gram
    """
    n_variants = len(variants)
    strain = np.array([v.strain for v in variants])
    counts = np.array([len(c.d_spacing) for c in candidates])
    d = np.concatenate([c.d_spacing for c in candidates])
    strength = np.concatenate([c.strength for c in candidates])
    first = np.repeat(np.arange(len(candidates)) * n_variants, counts)
    row = first[:, None] + np.arange(n_variants)[None, :]
    shift = np.broadcast_to(np.array([v.shift for v in variants])[None, :], row.shape)
    d_all = d[:, None] * (1.0 + strain[None, :])
    strength_all = np.broadcast_to(strength[:, None], row.shape)
    sticks = _sticks(grid, (d_all.ravel(), strength_all.ravel(), shift.ravel()), row.ravel())
    n_rows = len(candidates) * n_variants
    curves = _convolved(sticks, grid, n_rows, [template_fwhm(grid.state, size) for size in sizes])
    return curves.reshape(len(sizes), len(candidates), n_variants, -1)


def draw_crystals(candidates: Sequence[CandidateLines], grid: Grid, size_nm: float) -> FloatArray:
    """Bragg patterns of one gram of crystals with each candidate's own cell, whose widths grow with the angle.

    Templates have the width of the middle of the useful range everywhere, which is quick. Size broadens with
    1/cosθ and the instrument with tanθ, so that lines at low angles are sharper than their templates, and stand out
    more than these tell.

    Returns
    -------
    (candidates, bins) array, electron units per gram
    """
    row = np.repeat(np.arange(len(candidates)), [len(c.d_spacing) for c in candidates])
    d = np.concatenate([c.d_spacing for c in candidates])
    strength = np.concatenate([c.strength for c in candidates])
    theta = np.degrees(np.arcsin(np.minimum(grid.state.instrument.wavelength / (2.0 * d), 1.0)))
    values = _resolution(grid.state)
    widths = [_line_width(grid.state, values, size_nm, node) for node in _NODES]
    total = np.zeros((len(candidates), len(grid.two_theta)))
    for k, width in enumerate(widths):
        share = np.interp(theta, _NODES, np.eye(len(_NODES))[k])
        pick = share > 0.0
        sticks = _sticks(grid, (d[pick], (strength * share)[pick], np.zeros(int(pick.sum()))), row[pick])
        total += _convolved(sticks, grid, len(candidates), [width])[0]
    return total


def draw_lines(
    lines: CandidateLines, chosen: npt.NDArray[np.bool_], grid: Grid, variant: Variant, size_nm: float
) -> FloatArray:
    """Patterns of groups of lines of one candidate.

    Parameters
    ----------
    chosen : (groups, lines) boolean array, which lines belong to each group

    Returns
    -------
    (groups, bins) array, electron units per gram
    """
    row, line = np.nonzero(chosen)
    d = lines.d_spacing[line] * (1.0 + variant.strain)
    shift = np.full(len(line), variant.shift)
    sticks = _sticks(grid, (d, lines.strength[line], shift), row)
    (drawn,) = _convolved(sticks, grid, len(chosen), [template_fwhm(grid.state, size_nm)])
    return np.asarray(drawn)


def _sticks(
    grid: Grid, lines: tuple[FloatArray, FloatArray, FloatArray], row: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, bin and area (degrees) of every line of every emission line, split between two bins."""
    d, strength, extra = lines
    state = grid.state
    values, instrument = {**state.solution.values, **grid.moved}, state.instrument
    displacement = values.get("sample_displacement_mm", 0.0)
    lever = -np.degrees(2.0 * displacement / instrument.radius_mm) + extra
    n = int(np.ceil((grid.two_theta[-1] - grid.two_theta[0]) / grid.step)) + 1
    height = optics.axial_height(instrument, values)
    nodes, shares = profiles.axial_nodes(_AXIAL_NODES)
    zero = values.get("zero_shift", instrument.zero_shift)
    rows, bins, areas = [], [], []
    for line in instrument.emission_lines:
        sine = line.wavelength / (2.0 * d)
        ok = sine < 0.9999
        theta = np.arcsin(np.where(ok, sine, 0.5))
        cosine = np.cos(theta)
        bare = np.degrees(2.0 * theta)
        depth, spread = optics.depth_and_flatness(instrument, bare)
        centre = bare + zero + lever * cosine + values.get("transparency_mm", 0.0) * depth
        # axial divergence and a flat specimen shift in proportion to the square of the place
        mean = spread + profiles.axial_shift(bare, 2.0 * height * _MEAN_NODE, instrument.axial_correlation)
        narrow = np.abs(mean) < _NARROW * grid.step
        lp = corrections.lp_factor(
            bare,
            monochromator_two_theta=instrument.monochromator_two_theta,
            polarization_fraction=instrument.polarization_fraction,
        )
        area = strength * (line.weight * np.degrees(1.0) * line.wavelength**3 / (16.0 * np.pi)) * lp
        pieces = [(mean, 1.0, ok & narrow)]
        pieces += [(6.0 * mean * u**2, share, ok & ~narrow) for u, share in zip(nodes, shares, strict=True)]
        for moved, share, pick in pieces:
            index = (centre + moved - grid.two_theta[0]) / grid.step
            inside = pick & (index >= 0) & (index < n - 1)
            index, weight = index[inside], area[inside] * share
            whole = index.astype(np.int64)
            part = index - whole
            rows += [row[inside], row[inside]]
            bins += [whole, whole + 1]
            areas += [weight * (1.0 - part), weight * part]
    return np.concatenate(rows), np.concatenate(bins), np.concatenate(areas)


def _convolved(
    sticks: tuple[IntArray, IntArray, FloatArray], grid: Grid, n_rows: int, widths: Sequence[float]
) -> FloatArray:
    """Convolve sticks with a pseudo-Voigt (eta 0.5) of each FWHM and bring them to the bins: (widths, rows, bins).

    In single precision, which takes half the time and errs by 1e-7 of the highest line.
    """
    from scipy import fft

    row, bin_index, area = sticks
    x = grid.two_theta
    n = int(np.ceil((x[-1] - x[0]) / grid.step)) + 1
    reach = [min(int(np.ceil(15.0 * fwhm / grid.step)), n) for fwhm in widths]
    size = fft.next_fast_len(
        n + max(reach), real=True
    )  # what wraps around falls outside the part that is kept
    kernels = np.zeros((len(widths), size), dtype=np.float32)
    for padded, fwhm, half in zip(kernels, widths, reach, strict=True):
        offset = np.asarray(np.arange(-half, half + 1) * grid.step, dtype=np.float64)
        kernel = profiles.pseudo_voigt_value(offset, np.full_like(offset, fwhm), np.full_like(offset, _ETA))
        padded[: half + 1], padded[-half:] = kernel[half:], kernel[:half]
    transfer = fft.rfft(kernels, axis=1)
    weights = np.bincount(row * n + bin_index, area, minlength=n_rows * n).reshape(n_rows, n)
    at = x[0] + grid.step * np.arange(n)
    even = np.allclose(at[: len(x)], x, atol=0.1 * grid.step)
    index = np.clip(np.searchsorted(at, x) - 1, 0, n - 2)
    part = (x - at[index]) / grid.step
    curves = np.empty((len(widths), n_rows, len(x)))
    for first in range(0, n_rows, _BLOCK):
        block = slice(first, first + _BLOCK)
        spectrum = fft.rfft(weights[block].astype(np.float32), size, axis=1)
        for k in range(len(widths)):
            out = fft.irfft(spectrum * transfer[k], size, axis=1)
            drawn = out[:, : len(x)] if even else out[:, index] * (1.0 - part) + out[:, index + 1] * part
            np.multiply(drawn, grid.slit, out=curves[k, block])
    return curves
