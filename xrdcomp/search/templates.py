"""Patterns of candidates per gram, drawn many at a time on bins as coarse as the reflections allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial

import msgspec
import numpy as np

from xrdcomp.data import Instrument, Phase
from xrdcomp.phases.library import list_phases, load_phases
from xrdcomp.physics import corrections, profiles
from xrdcomp.recipe import IdentificationRecipe
from xrdcomp.refinement import reflections as optics
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import bin_means
from xrdcomp.search.structures import stored_reflections
from xrdcomp.units import FloatArray, IntArray

MAX_TWO_THETA = 92.0  # beyond it reflections are many, weak and close
TEMPLATE_SIZES_NM = (80.0, 20.0)  # crystallite sizes with which every candidate is tried
_WEAKEST = 2e-3  # of the strongest reflection, as it appears
_TYPICAL_AREA = 0.08  # of the strongest reflections of calcium salts: radians × electron² mol / g, Cu Kα
_BINS_PER_FWHM = 3.0
_MAX_BIN = 8
_ETA = 0.5
_SINE_MAX = 0.99999
_AXIAL_NODES = 3
_NARROW = 0.3  # bins of mean shift up to which its spread is not drawn
_MEAN_NODE = 6.0**-0.5  # place at which a reflection has its mean shift
_LARGE_NM = 80.0
_MIDDLE = 18.0  # θ in degrees, near the middle of the useful range
_SHARP_SHARE = 0.3  # of the Bragg intensity
_NODES = (5.0, 15.0, 25.0, 35.0, 45.0)  # θ in degrees, between which widths are interpolated
_FARTHEST = 1.0  # degrees by which templates are read beside where they were drawn
_LIBRARY = 16  # candidates from which on they are those of a library
# values of a set of curves up to which it is kept for the next specimen, of a library and of single phases or groups of
# their reflections: 8 MB with two sizes, 1 MB with four
_KEPT, _KEPT_FEW = 1_000_000, 65_536
_RUNG = 0.1  # of the logarithm of axial divergence: a twentieth of the asymmetry at most, whose mean is kept
_CLEAR = 10.0  # standard deviations of an amount: at its detection limit a phase has half of that


@dataclass(frozen=True)
class Variant:
    """Deviation of a candidate from its entry: relative change of spacings; displacement, shift · cosθ in degrees."""

    strain: float = 0.0
    shift: float = 0.0


# Relative changes of spacings stand for solid solution and temperature, shifts for what broad reflections leave open of
# the displacement: at 10 degrees a change of spacing moves them too little to stand for it.
STRAINS = (
    *(Variant(strain=float(s)) for s in np.linspace(-0.004, 0.004, 9)),
    *(Variant(shift=s) for s in (-0.06, -0.03, 0.03, 0.06)),
)
# The same while no phase has fixed the displacement yet.
COLD_VARIANTS = tuple(
    Variant(strain=float(strain), shift=float(shift))
    for shift in np.linspace(-0.15, 0.15, 7)
    for strain in np.linspace(-0.002, 0.002, 5)
)


# ---- reflections of library phases: spacings and strengths per gram, from the atoms or from a list of positions


@dataclass(frozen=True, eq=False)
class Candidate:
    """Spacings (Å) and absolute strengths (m |F|² / (V · cell mass), before geometry) of a phase's reflections."""

    phase: Phase
    d_spacing: FloatArray
    strength: FloatArray

    @property
    def apparent(self) -> FloatArray:
        """Strengths by which reflections are ranked: as they appear at low angles, where LP goes with d²."""
        return self.strength * self.d_spacing**2


def library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    """Return the named phases, all of the library where none is named; the user's files are read anew each time."""
    return _of_library(ids) if set(ids) <= set(list_phases()) else load_phases(ids)


@lru_cache(maxsize=4)
def _of_library(ids: tuple[str, ...]) -> tuple[Phase, ...]:
    return load_phases(ids or list_phases())


def searched_phases(recipe: IdentificationRecipe) -> tuple[Phase, ...]:
    """Return the phases that a search tries: those of the recipe's library and the user's own.

    A phase of the user goes before one of the library that has the same id; errors are those of `load_phases`.
    """
    own = load_phases(recipe.own_phases)
    ids = {phase.id for phase in own}
    return (*(phase for phase in library(recipe.library) if phase.id not in ids), *own)


def candidate(phase: Phase, fit: Refinement) -> Candidate:
    """Reflections of a phase inside the fitted range, up to `MAX_TWO_THETA`.

    Phases without atoms take their listed positions. Their absolute strength is made up: the coherent scattering
    of the listed reflections together is set to that of a typical calcium salt, so that limits are right to about a
    factor of two. Such a phase is never quantified.
    """
    wavelength = fit.instrument.wavelength
    first, last = (float(fit.points.two_theta[k]) for k in (0, -1))
    low, high = first - 1.0, min(last + 1.0, MAX_TWO_THETA)
    d_max, d_min = wavelength / (2.0 * np.sin(np.radians([max(low, 1.0) / 2.0, high / 2.0])))
    d_min = np.maximum(d_min, _LEAST_SPACING)
    return _candidate(phase, wavelength, round(float(d_min), 6), round(float(d_max), 6))


_LEAST_SPACING = 0.49  # ångström: `MAX_TWO_THETA` with Mo Kα; a search gains nothing from the crowd beyond


@lru_cache(maxsize=320)  # a phase is looked up by identity
def _candidate(phase: Phase, wavelength: float, d_min: float, d_max: float) -> Candidate:
    if not phase.quantifiable:
        listed = phase.reference_lines
        d = np.array([line.d_spacing for line in listed])
        theta = np.arcsin(wavelength / (2.0 * np.maximum(d, wavelength / 1.9)))
        lp = (1.0 + np.cos(2.0 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
        geometry = wavelength**3 * lp / (32.0 * np.pi)
        strength = np.array([line.relative_intensity for line in listed]) / geometry
        scale = _TYPICAL_AREA / max(float((strength * geometry).sum()), 1e-300)
        return Candidate(phase, d, strength * scale)
    if (stored := stored_reflections(phase, d_min, d_max)) is not None:
        return _without_weakest(Candidate(phase, stored.d_spacing, stored.strength(wavelength)))
    cell6 = np.array(phase.cell.parameters)
    found = optics.reflections_of(phase, cell6, d_min, d_max, most=optics.MAX_REFLECTIONS_SEARCHED)
    strength = optics.strength_per_gram(phase, found.hkl, found.multiplicity, found.d_spacing, cell6, wavelength)
    return _without_weakest(Candidate(phase, found.d_spacing, strength))


def _without_weakest(every: Candidate) -> Candidate:
    keep = every.apparent > _WEAKEST * float(every.apparent.max(initial=0.0))
    return Candidate(every.phase, every.d_spacing[keep], every.strength[keep])


# ---- bins, and the width of a template


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Bins of neighbouring points of a fit, about a third of a reflection's width.

    two_theta, slit : (n,) centres (degrees), intensity factor of slits and absorption
    per_bin, step : points of the fit in each bin, width of a bin (degrees)
    resolution : the instrument's parameters that widths of templates follow, see `template_resolution`
    moved : displacement or zero by which templates are drawn in place of the fitted one
    """

    fit: Refinement
    two_theta: FloatArray
    slit: FloatArray
    per_bin: int
    step: float
    resolution: Mapping[str, float]
    moved: Mapping[str, float] = field(default_factory=dict)

    def mean(self, values: FloatArray) -> FloatArray:
        """Means over the bins of an array whose first axis is the fit's points."""
        n = len(self.two_theta)
        return bin_means(values[: n * self.per_bin], n)

    def fwhm(self, size_nm: float, theta: float = _MIDDLE) -> float:
        """Width of a template's reflections at a Bragg angle θ, degrees."""
        return reflection_fwhm(self.fit, self.resolution, size_nm, theta)

    @cached_property
    def peak_fwhm(self) -> float:
        """Width of a peak of large crystallites in the residual, at least three bins; degrees."""
        return max(self.fwhm(100.0), 3.0 * self.step)

    @cached_property
    def shift(self) -> _Shift:
        """What moves reflections of all phases alike."""
        return _Shift.of(self)

    @cached_property
    def beside_usual(self) -> FloatArray | None:
        """Angles by which templates that serve many specimens are read beside the bins; None where none do."""
        return self.shift.beside_usual(self)


def make_grid(fit: Refinement) -> Grid:
    """Bin the fit's points up to `MAX_TWO_THETA`."""
    x, resolution = fit.points.two_theta, template_resolution(fit)
    step = float(np.median(np.diff(x)))
    fwhm = reflection_fwhm(fit, resolution)
    per_bin = int(np.clip(fwhm / (_BINS_PER_FWHM * step), 1, _MAX_BIN))
    n = int((x <= MAX_TWO_THETA).sum()) // per_bin
    centres, slit = (v[: n * per_bin].reshape(n, per_bin).mean(axis=1) for v in (x, fit.model.slit))
    return Grid(fit=fit, two_theta=centres, slit=slit, per_bin=per_bin, step=step * per_bin, resolution=resolution)


def reflection_fwhm(
    fit: Refinement, values: Mapping[str, float], size_nm: float = _LARGE_NM, theta: float = _MIDDLE
) -> float:
    """Width of a reflection with these parameters of the instrument, its own entry for those not given; degrees."""
    gauss, lorentz = _instrument_widths(fit, values, theta)
    size = np.degrees(
        optics.SCHERRER_CONSTANT * fit.instrument.wavelength / (10.0 * size_nm * np.cos(np.radians(theta)))
    )
    return float(np.hypot(gauss, 0.7 * size) + lorentz + 0.5 * size)


def _instrument_widths(fit: Refinement, values: Mapping[str, float], theta: float) -> tuple[float, float]:
    """Gaussian and Lorentzian widths that the instrument gives a reflection at a Bragg angle, degrees."""
    instrument, tangent = fit.instrument, np.tan(np.radians(theta))
    u, v, w = (values.get(f"caglioti_{k}", getattr(instrument, f"caglioti_{k}")) for k in "uvw")
    strain = values.get("instrument_lorentzian_strain", instrument.lorentzian_strain)
    return float(np.sqrt(max(u * tangent**2 + v * tangent + w, 1e-3))), float(strain * tangent)


def template_resolution(fit: Refinement) -> Mapping[str, float]:
    """Parameters of the refined resolution, or none, for which the instrument's own entry serves.

    The refined one serves where clear phases broadened less than by the instrument carry a good part of the Bragg
    intensity. Reflections of small crystallites do not show it, and what is refined on them trades with their size.
    """
    if not fit.phases:
        return {}
    values = fit.solution.values
    instrumental = sum(_instrument_widths(fit, values, _MIDDLE))
    theta, sharp = np.radians(_MIDDLE), []
    for phase in fit.phases:
        inverse = max(fit.solution.value("inverse_size", phase.id, axis) for axis in "ac")
        size = optics.SCHERRER_CONSTANT / 10.0 * fit.instrument.wavelength * inverse / np.cos(theta)
        strain = 4.0 * fit.solution.value("microstrain", phase.id) * np.tan(theta)
        sharp.append(float(np.degrees(size + strain)) < instrumental)
    areas = _bragg_areas(fit)
    least = _SHARP_SHARE * areas.sum()
    if areas[np.array(sharp)].sum() <= least:
        return {}
    amounts = fit.evidence.amounts  # which take as long as a fit's iteration
    std = np.sqrt(np.maximum(np.diag(amounts.covariance), 1e-300))
    clear = dict(zip(amounts.names, (amounts.amounts > _CLEAR * std).tolist(), strict=True))
    sharp_and_clear = np.array([narrow and clear[p.id] for narrow, p in zip(sharp, fit.phases, strict=True)])
    return values if areas[sharp_and_clear].sum() > least else {}


def _bragg_areas(fit: Refinement) -> FloatArray:
    """Absolute areas of the curves of a fit's phases, (phases,)."""
    n = len(fit.phases)
    out: FloatArray = np.abs(fit.solution.columns[:, :n] * fit.solution.coefficients[:n]).sum(axis=0)
    return out


def bragg_share(fit: Refinement, phase: Phase) -> float:
    """Share of the phase's curve in the sum of all phases' curves."""
    areas = _bragg_areas(fit)
    return float(areas[fit.model.phase_ids.index(phase.id)] / max(float(areas.sum()), 1e-300))


# ---- drawing


def draw_patterns(
    candidates: Sequence[Candidate], grid: Grid, variants: Sequence[Variant], sizes: Sequence[float]
) -> FloatArray:
    """Bragg patterns of one gram, electron units: (sizes in nm, candidates, variants, bins), single precision.

    Each candidate is drawn once, on a grid finer than the bins. A variant moves every reflection by what depends on its
    angle alone: it is the same curve read at other places, with the Lorentz and polarisation factor of the new ones.
    """
    x, instrument = grid.two_theta, grid.fit.instrument
    read, change = _places_of_variants(
        x.tobytes(), tuple(variants), instrument.monochromator_two_theta, instrument.polarization_fraction
    )
    widths = tuple(grid.fwhm(size) for size in sizes)
    ends, moved = (float(read.min()), float(read.max())), grid.beside_usual
    places = _Places.covering(grid, ends, 4, max(widths), margin=0.0 if moved is None else _FARTHEST)
    fine = _curves(_fine_patterns, candidates, places, widths, grid, beside_usual=moved is not None)
    out: FloatArray = np.empty((len(sizes), len(candidates), len(variants), len(x)), dtype=np.float32)
    for k, at in enumerate(read):
        place = at if moved is None else at - moved
        out[:, :, k] = places.read(fine, place, grid.slit * change[k])
    return out


@lru_cache(maxsize=16)
def _places_of_variants(
    two_theta: bytes, variants: tuple[Variant, ...], monochromator_two_theta: float | None, polarization_fraction: float
) -> tuple[FloatArray, FloatArray]:
    """Angles at which each variant is read for bins at angles (n,), and what becomes of LP there: each (variants, n).

    They are the same for all patterns of one grid, which come one after another.
    """
    x = np.frombuffer(two_theta)
    radians = np.radians(x / 2.0)
    lp = partial(
        corrections.lp_factor,
        monochromator_two_theta=monochromator_two_theta,
        polarization_fraction=polarization_fraction,
    )
    read = np.empty((len(variants), len(x)))
    for place, variant in zip(read, variants, strict=True):
        sine = np.minimum(np.sin(radians) * (1.0 + variant.strain), _SINE_MAX)
        place[:] = x + np.degrees(2.0 * (np.arcsin(sine) - radians)) - variant.shift * np.cos(radians)
    base = lp(x)
    return read, np.stack([base / lp(at) for at in read])


def _curves(
    draw: _Draw,
    candidates: Sequence[Candidate],
    places: _Places,
    widths: tuple[float, ...],
    grid: Grid,
    *,
    beside_usual: bool,
) -> FloatArray:
    """Curves of candidates with the shift of a fit, or with the usual one, which are kept unless they are too large."""
    shift, instrument = grid.shift, grid.fit.instrument
    if not beside_usual:
        return draw(candidates, places, widths, instrument, shift)
    few, values = len(candidates) < _LIBRARY, places.n * len(candidates)
    if values > (_KEPT_FEW if few else _KEPT):
        return draw(candidates, places, widths, instrument, shift.usual)
    make = _kept_of_few if few else _kept_of_library
    return make(draw, tuple(candidates), places, widths, instrument, shift.usual)


def _drawn(
    draw: _Draw,
    candidates: tuple[Candidate, ...],
    places: _Places,
    widths: tuple[float, ...],
    instrument: Instrument,
    shift: _Shift,
) -> FloatArray:
    """Curves of candidates that come again, specimen after specimen, with widths of the instrument."""
    return draw(candidates, places, widths, instrument, shift)


_kept_of_library = lru_cache(maxsize=24)(_drawn)
_kept_of_few = lru_cache(maxsize=96)(_drawn)


def _fine_patterns(
    candidates: Sequence[Candidate], places: _Places, widths: tuple[float, ...], instrument: Instrument, shift: _Shift
) -> FloatArray:
    """Curves of candidates for each width, (widths, candidates, places)."""
    row = np.repeat(np.arange(len(candidates)), [len(c.d_spacing) for c in candidates])
    d, strength = (np.concatenate([getattr(c, name) for c in candidates]) for name in ("d_spacing", "strength"))
    sticks = _sticks(instrument, shift, places, len(candidates), row=row, d_spacing=d, strength=strength)
    spectrum = places.spectrum(sticks)
    return np.stack([places.curves(spectrum * own) for own in places.transfer(widths)])


def draw_crystals(candidates: Sequence[Candidate], grid: Grid, size_nm: float) -> FloatArray:
    """Bragg patterns of one gram of crystals with each candidate's own cell, whose widths grow with the angle.

    Templates have the width of the middle of the useful range everywhere, which is quick. Size broadens with
    1/cosθ and the instrument with tanθ, so that reflections at low angles are sharper than their templates, and stand
    out more than these tell. Returns (candidates, bins), electron units.
    """
    x, widths = grid.two_theta, tuple(grid.fwhm(size_nm, node) for node in _NODES)
    moved = grid.beside_usual
    places = _Places.covering(grid, (x[0], x[-1]), 2, max(widths), margin=0.0 if moved is None else _FARTHEST)
    fine = _curves(_fine_crystals, candidates, places, widths, grid, beside_usual=moved is not None)
    return np.asarray(places.read(fine, x if moved is None else x - moved, grid.slit), dtype=float)


def _fine_crystals(
    candidates: Sequence[Candidate], places: _Places, widths: tuple[float, ...], instrument: Instrument, shift: _Shift
) -> FloatArray:
    """Curves of candidates with widths by angle, those of `_NODES`, (candidates, places)."""
    n = len(candidates)
    row = np.repeat(np.arange(n), [len(c.d_spacing) for c in candidates])
    d, strength = (np.concatenate([getattr(c, name) for c in candidates]) for name in ("d_spacing", "strength"))
    theta = np.degrees(np.arcsin(np.minimum(instrument.wavelength / (2.0 * d), 1.0)))
    # every reflection is shared between the widths of the two nodes beside it
    node = np.clip(np.searchsorted(_NODES, theta) - 1, 0, len(_NODES) - 2)
    share = np.clip((theta - np.take(_NODES, node)) / (_NODES[1] - _NODES[0]), 0.0, 1.0)
    sticks = _sticks(
        instrument,
        shift,
        places,
        len(_NODES) * n,
        row=np.concatenate([node * n + row, (node + 1) * n + row]),
        d_spacing=np.tile(d, 2),
        strength=np.concatenate([strength * (1.0 - share), strength * share]),
    )
    spectrum = places.spectrum(sticks).reshape(len(_NODES), n, -1)
    return places.curves(np.einsum("kns,ks->ns", spectrum, places.transfer(widths)))


@dataclass(frozen=True, kw_only=True)
class _Shift:
    """What moves reflections of all phases alike in a fit; `step` is the width of the bins in which it may show."""

    displacement_mm: float
    zero: float
    transparency_mm: float
    axial_height: float
    step: float

    @classmethod
    def of(cls, grid: Grid) -> _Shift:
        """Shift of a fit, with what its grid has in place of the fit's."""
        values, instrument = {**grid.fit.solution.values, **grid.moved}, grid.fit.instrument
        return cls(
            displacement_mm=values.get("sample_displacement_mm", 0.0),
            zero=values.get("zero_shift", instrument.zero_shift),
            transparency_mm=values.get("transparency_mm", 0.0),
            axial_height=optics.axial_height(instrument, values),
            step=grid.step,
        )

    @property
    def usual(self) -> _Shift:
        """Shift with which templates are drawn that serve many specimens: asymmetry alone, of the nearest rung."""
        height = self.axial_height
        rung = float(np.exp(_RUNG * np.round(np.log(height) / _RUNG))) if height > 0.0 else 0.0
        return replace(self, displacement_mm=0.0, zero=0.0, transparency_mm=0.0, axial_height=rung)

    def at(self, bare: FloatArray, instrument: Instrument) -> tuple[FloatArray, FloatArray]:
        """Shift of reflections at true angles, and the mean of what makes them asymmetric besides; degrees."""
        depth, spread = optics.depth_and_flatness(instrument, bare)
        lever = -np.degrees(2.0 * self.displacement_mm / instrument.radius_mm)
        # axial divergence and a flat specimen shift in proportion to the square of the place
        mean = spread + profiles.axial_shift(bare, 2.0 * self.axial_height * _MEAN_NODE, instrument.axial_correlation)
        return self.zero + lever * np.cos(np.radians(bare / 2.0)) + self.transparency_mm * depth, mean

    def beside_usual(self, grid: Grid) -> FloatArray | None:
        """Angles by which `usual` templates are read beside the bins; None where they do not serve.

        They do not where widths follow the fit, or the shift is large.
        """
        (moved, mean), (_, drawn) = (s.at(grid.two_theta, grid.fit.instrument) for s in (self, self.usual))
        away = moved + mean - drawn
        return None if grid.resolution or float(np.abs(away).max()) > _FARTHEST else away


class _Places(msgspec.Struct, frozen=True, kw_only=True):
    """An even grid of `n` places, several to a bin, on which reflections are drawn: from `first`, by `step` (deg).

    `size` is that of the transforms, padded so far that what wraps around falls outside the part that is kept. The
    first and last `empty` places hold tails alone.
    """

    first: float
    step: float
    n: int
    per_bin: int
    size: int
    empty: int

    @classmethod
    def covering(cls, grid: Grid, ends: tuple[float, float], per_bin: int, widest: float, *, margin: float) -> _Places:
        """Places for reflections between two angles (degrees), and a margin beyond, no wider than `widest`."""
        from scipy import fft

        step = grid.step / per_bin
        empty = int(np.ceil(margin / step))
        n = int(np.ceil((ends[1] - ends[0]) / step)) + 4 + 2 * empty
        size = fft.next_fast_len(n + _reach(widest, step, n), real=True)
        return cls(first=float(ends[0]) - (1 + empty) * step, step=step, n=n, per_bin=per_bin, size=size, empty=empty)

    def spectrum(self, sticks: FloatArray) -> FloatArray:
        """Transforms of sticks, (rows, places), in single precision: half the time, 1e-7 of the highest reflection."""
        from scipy import fft

        return np.asarray(fft.rfft(sticks.astype(np.float32), self.size, axis=-1))

    @lru_cache(maxsize=32)  # noqa: B019 - of a frozen object with a few numbers
    def transfer(self, widths: tuple[float, ...]) -> FloatArray:
        """Transforms of the mean over a bin of a pseudo-Voigt (eta 0.5) of each FWHM."""
        from scipy import fft

        kernels = np.zeros((len(widths), self.size), dtype=np.float32)
        mean = np.array([0.5, *[1.0] * (self.per_bin - 1), 0.5]) / self.per_bin
        for padded, fwhm in zip(kernels, widths, strict=True):
            half = _reach(fwhm, self.step, self.n)
            offset = np.asarray(np.arange(-half, half + 1) * self.step, dtype=np.float64)
            kernel = profiles.pseudo_voigt_value(offset, np.full_like(offset, fwhm), np.full_like(offset, _ETA))
            kernel = np.convolve(kernel, mean, mode="same")
            padded[: half + 1], padded[-half:] = kernel[half:], kernel[:half]
        return np.asarray(fft.rfft(kernels, axis=1))

    def curves(self, spectrum: FloatArray) -> FloatArray:
        from scipy import fft

        return np.asarray(fft.irfft(spectrum, self.size, axis=-1)[..., : self.n])

    def read(self, curves: FloatArray, at: FloatArray, factor: FloatArray) -> FloatArray:
        """Curves (..., places) at some angles, interpolated, times a factor at each."""
        index = np.clip(((at - self.first) / self.step).astype(np.int64), 0, self.n - 2)
        part = (at - self.first) / self.step - index
        out = np.take(curves, index, axis=-1)
        out *= np.asarray(factor * (1.0 - part), dtype=np.float32)
        beside = np.take(curves, index + 1, axis=-1)
        beside *= np.asarray(factor * part, dtype=np.float32)
        out += beside
        return out


def _reach(fwhm: float, step: float, most: int) -> int:
    """Places on either side over which a reflection is drawn."""
    return min(int(np.ceil(15.0 * fwhm / step)), most)


def _sticks(
    instrument: Instrument,
    shift: _Shift,
    on: _Places,
    n_rows: int,
    *,
    row: IntArray,
    d_spacing: FloatArray,
    strength: FloatArray,
) -> FloatArray:
    """Reflections of every emission line as areas (degrees), split between the two places beside: (rows, places)."""
    nodes, shares = profiles.axial_nodes(_AXIAL_NODES)
    places, areas = [], []
    for line in instrument.emission_lines:
        sine = line.wavelength / (2.0 * d_spacing)
        ok = sine < 0.9999
        theta = np.arcsin(np.where(ok, sine, 0.5))
        bare = np.degrees(2.0 * theta)
        moved, mean = shift.at(bare, instrument)
        centre = bare + moved
        # where the mean shift is well below a bin it stands for all, else the shift is spread over nodes of equal mean
        narrow = np.abs(mean) < _NARROW * shift.step
        lp = corrections.lp_factor(
            bare,
            monochromator_two_theta=instrument.monochromator_two_theta,
            polarization_fraction=instrument.polarization_fraction,
        )
        area = strength * (line.weight * np.degrees(1.0) * line.wavelength**3 / (16.0 * np.pi)) * lp
        pieces = [(mean, 1.0, ok & narrow)]
        pieces += [(6.0 * mean * u**2, share, ok & ~narrow) for u, share in zip(nodes, shares, strict=True)]
        for asymmetry, share, pick in pieces:
            index = (centre + asymmetry - on.first) / on.step
            inside = pick & (index >= on.empty) & (index < on.n - 1 - on.empty)
            index, weight = index[inside], area[inside] * share
            whole = index.astype(np.int64)
            part = index - whole
            place = row[inside] * on.n + whole
            places += [place, place + 1]
            areas += [weight * (1.0 - part), weight * part]
    drawn = np.bincount(np.concatenate(places), np.concatenate(areas), minlength=n_rows * on.n)
    return np.asarray(drawn.reshape(n_rows, on.n))


_Draw = Callable[[Sequence[Candidate], _Places, tuple[float, ...], Instrument, _Shift], FloatArray]
