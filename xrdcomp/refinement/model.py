"""A pattern as a linear combination of columns that depend on a few non-linear parameters.

y(2θ) = s(2θ) · [ Σ_phases c_p B_p(2θ; θ) + Σ_amorphous c_a (A_a(2θ) + Σ_modes t_am M_am(2θ)) ] + Σ_k d_k K_k(2θ)

B and A are per gram on one absolute scale (electron units); s is slits and absorption; K are instrument and air
background. Scales c_p of phases are signed, amorphous and physical background terms are not negative, modes t have
priors of one standard deviation (in units of their component's amount).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial import chebyshev

from xrdcomp.data import Instrument, Pattern, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.physics import amorphous, elements
from xrdcomp.physics.profiles import spread_shoulder
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.detector import PointFaults
from xrdcomp.refinement.parameters import ParameterTable
from xrdcomp.refinement.reflections import (
    PhaseReflections,
    bin_means,
    emitted_weight,
    geometry_factor,
    polarization,
    profiles_alike,
)
from xrdcomp.units import BoolArray, FloatArray, d_to_two_theta, two_theta_to_q

# Points of a fit.

MIN_TWO_THETA = 5.0  # degrees; below, the direct beam and the beam knife decide the counts
MAX_D_SPACING = 17.7  # ångström: 5° with Cu Kα, where a shorter wavelength begins as well
_MIN_POINTS = 50
# Below LOW_Q (Å⁻¹, 8 to 9° with Cu Kα) amorphous matter shows what no model of a material knows: packing of chains and
# lamellae, small angles. Misfit there would count as that of the whole pattern and bend the halos above. Such points
# are known to a share of their intensity at best.
LOW_Q, LOW_Q_FADING, LOW_Q_STD = 0.65, 0.1, 0.05
_MASKED = 1e4  # by which the standard deviation of a masked point is enlarged
_CLEAR_COUNTS = 20.0  # a Poisson mean at which a zero has a chance of 2e-9


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points of a fit: angle (degrees), intensity and its standard deviation, each (n,).

    Where reflections of unknown crystals are masked, `sigma` is so large there that the points have no weight;
    `measured_sigma` are then the standard deviations as measured. `unknown` is what was taken off the intensity for
    crystals that no phase describes. `smear_sq` is what means over neighbours add to the square of a Gaussian's width
    at half maximum, degrees².
    """

    two_theta: FloatArray
    intensity: FloatArray
    sigma: FloatArray
    measured_sigma: FloatArray | None = None
    unknown: FloatArray | None = None
    smear_sq: float = 0.0

    @property
    def measured(self) -> FloatArray:
        """Intensity with what was taken off, (n,)."""
        return self.intensity if self.unknown is None else self.intensity + self.unknown

    def without(self, unknown: FloatArray) -> Points:
        """Return the measured points less the intensity of unknown crystals, (n,)."""
        return replace(self, intensity=self.measured - unknown, unknown=unknown)

    @property
    def own_sigma(self) -> FloatArray:
        """Standard deviations as measured, masked points included, (n,)."""
        return self.sigma if self.measured_sigma is None else self.measured_sigma

    @property
    def masked(self) -> BoolArray:
        """Points that have no weight, (n,)."""
        return self.sigma > self.own_sigma

    def masking(self, mask: BoolArray) -> Points:
        """Return these points with the marked ones masked, and no others."""
        own = self.own_sigma
        return replace(self, sigma=np.where(mask, _MASKED * own, own), measured_sigma=own if mask.any() else None)

    def __len__(self) -> int:
        return len(self.two_theta)

    @classmethod
    def select(
        cls, pattern: Pattern, recipe: FitRecipe, wavelength: float, *, measured: Sequence[MeasuredAmorphous] = ()
    ) -> Points:
        """Take the recipe's range of a pattern, else everything above `MIN_TWO_THETA` or below `MAX_D_SPACING`.

        Beside amorphous components none of which is `measured`, points below `LOW_Q` have at least `LOW_Q_STD` of their
        intensity as uncertainty. Spikes and saturated points of the detector are mended (`PointFaults`).

        Raises AnalysisError where fewer than 50 points are left, or the intensities are all alike.
        """
        lowest = min(MIN_TWO_THETA, float(d_to_two_theta(MAX_D_SPACING, wavelength)))
        low, high = recipe.two_theta_range or (lowest, 180.0)
        inside = (pattern.two_theta >= low - 1e-9) & (pattern.two_theta <= high + 1e-9)
        inside &= ~padding_points(pattern)
        if inside.sum() < _MIN_POINTS:
            msg = (
                f"only {int(inside.sum())} points lie in {low:g}-{high:g}°; the scan covers "
                f"{pattern.two_theta[0]:g}-{pattern.two_theta[-1]:g}° and a fit needs at least {_MIN_POINTS}. Take "
                "another range."
            )
            raise AnalysisError(msg)
        last = float(pattern.two_theta[inside][-1])
        if np.sin(np.radians(last / 2.0)) / wavelength > elements.LARGEST_S:
            end = 2.0 * np.degrees(np.arcsin(elements.LARGEST_S * wavelength))
            raise AnalysisError(
                f"the pattern goes to {last:g}°, where {wavelength:g} Å is beyond the tables of scattering; these "
                f"end at {end:.1f}°. Take the upper end of the range lower, or correct the wavelength."
            )
        y = pattern.intensity[inside]
        if np.ptp(y) == 0.0:
            msg = f"all {len(y)} intensities in the range are {y[0]:g}: there is nothing to fit."
            raise AnalysisError(msg)
        x = pattern.two_theta[inside]
        y, sigma = (values[inside] for values in PointFaults.of(pattern, wavelength).mended(pattern))
        sigma = np.maximum(sigma, low_angle_share(x, recipe, wavelength, measured) * y)
        return cls(two_theta=x, intensity=y, sigma=sigma)

    @cached_property
    def step(self) -> float:
        """Distance of neighbouring points, degrees."""
        return float(np.median(np.diff(self.two_theta)))

    def binned(self, k: int) -> Points:
        """Means of k neighbouring points and their standard deviations."""
        if k <= 1:
            return self
        n = len(self) // k * k
        x, y, s = (a[:n].reshape(-1, k) for a in (self.two_theta, self.intensity, self.sigma))
        sigma = np.sqrt((s**2).sum(axis=1)) / k
        smear_sq = self.smear_sq + 2.0 * np.log(2.0) / 3.0 * (k**2 - 1) * self.step**2  # 8 ln2 × variance of k places
        return Points(two_theta=x.mean(axis=1), intensity=y.mean(axis=1), sigma=sigma, smear_sq=float(smear_sq))

    def coarsened(self, model: PatternModel, table: ParameterTable, per_fwhm: float = 5.0) -> Points:
        """Bin together until the narrowest reflection has `per_fwhm` points to its width at the current values.

        Five lose nothing of what widths and positions need, half of that nothing of what intensities do.
        """
        allowed = narrowest_fwhm(model, table.start) / (per_fwhm * self.step)
        return self.binned(int(np.clip(allowed, 1, _MAX_BIN)))


def low_angle_share(
    two_theta: FloatArray, recipe: FitRecipe, wavelength: float, measured: Sequence[MeasuredAmorphous] = ()
) -> FloatArray:
    """Share of the intensity that points (degrees) have as uncertainty at least, (n,)."""
    if recipe.background == "flexible" or recipe.amorphous == () or measured:
        return np.zeros_like(two_theta)
    q = two_theta_to_q(two_theta, wavelength)
    return np.asarray(LOW_Q_STD * np.clip((LOW_Q - q) / LOW_Q_FADING, 0.0, 1.0))


def padding_points(pattern: Pattern) -> BoolArray:
    """Mark zeros that end or begin a scan beside a clearly non-zero level: padding of the file, not counts."""
    padding = np.zeros(len(pattern), dtype=bool)
    live = np.flatnonzero(pattern.intensity > 0.0)
    if len(live) < _MIN_POINTS:
        return padding
    first, last = int(live[0]), int(live[-1])
    if pattern.intensity[first : first + 10].mean() > _CLEAR_COUNTS:
        padding[:first] = True
    if pattern.intensity[last - 9 : last + 1].mean() > _CLEAR_COUNTS:
        padding[last + 1 :] = True
    return padding


# Measured patterns of amorphous matter as components on the per-gram scale.

_NEEDED = (0.9, 3.6)  # Å⁻¹
_BIN = 0.03  # Å⁻¹; amorphous maxima are thirty times as wide
_AIR_STD = 0.1  # share of the curve that may be flat scatter of air or holder nobody took off
_SHARP = 0.25  # of the running median, by which a crystalline peak stands out
# Relative, of the scattering per gram of a material that only its name stands for: measured organics of unknown kind
# scatter by so much about free atoms (humic and fulvic acid, peat, charcoal, kerogen against fluorapatite).
UNCONTROLLED_STD = 0.16
_RING_ALIKE = 3.0  # standard deviations of its place within which the first maximum is that of the component
_CONTROL_STD = 0.03  # beyond that of the control's own scattering: filling, and surfaces of two specimens


@dataclass(frozen=True, kw_only=True)
class MeasuredAmorphous:
    """Scattering per gram of an amorphous component as measured: q (Å⁻¹, increasing), and values unpolarised.

    `area_std` is the relative standard uncertainty of its scale.
    """

    name: str
    q: FloatArray
    per_gram: FloatArray
    area_std: float = UNCONTROLLED_STD


@dataclass(frozen=True, kw_only=True)
class Control:
    """A scan of a material whose scattering per gram is known (a component's `name`), taken as the patterns were."""

    name: str
    pattern: Pattern


def measured_amorphous(
    name: str, pattern: Pattern, instrument: Instrument, *, formula: str = "", control: Control | None = None
) -> MeasuredAmorphous:
    """Put a measured pattern of an amorphous material on the per-gram scale.

    `name` is the component that the material stands for and gives its composition, unless a `formula` does; the pattern
    is that of the pure material, air and holder taken off, from about 10 to 55° with Cu Kα. With a `control`, measured
    under the same conditions on a thick specimen, I(q) / (P · geometry) follows from the ratio of both intensities,
    each times its attenuation per gram. Without one the area is taken as that of the component (`physics.amorphous`),
    with its uncertainty where the first maximum lies where the component's does, else with 16 %, as of organics of
    unknown kind.

    Raises AnalysisError for an unknown component or formula, a range that is too short, sharp peaks, or no positive
    intensity.
    """
    material = _known_component("fit.amorphous_patterns", name)
    if formula:
        try:
            fractions = elements.compound(formula)
        except ValueError as error:
            msg = f"fit.amorphous_formulas.{name}: {error}"
            raise AnalysisError(msg) from error
    else:
        fractions = elements.mass_fractions_of(material.atoms)
    q, values = _unpolarised(f"fit.amorphous_patterns.{name}", pattern, instrument)
    wavelength = instrument.wavelength
    if control is None:
        coherent = elements.coherent_per_gram(fractions, q, wavelength)
        expected = amorphous.area_over_free_atoms(material, wavelength) * coherent
        compton = elements.incoherent_per_gram(fractions, q)
        scale = _window_area(q, expected + compton) / _window_area(q, values)
        inside, ring = (q > amorphous.AREA_WINDOW[0]) & (q < amorphous.AREA_WINDOW[1]), material.rings[0]
        first = q[inside][np.argmax(((scale * values - compton) / coherent)[inside])]
        alike = not formula and abs(first - ring.q) < _RING_ALIKE * ring.q_std
        area_std = material.area_std if alike else UNCONTROLLED_STD
        return MeasuredAmorphous(name=name, q=q, per_gram=scale * values, area_std=area_std)
    known = _known_component("fit.amorphous_control", control.name)
    at, counted = _unpolarised(f"fit.amorphous_control.{control.name}", control.pattern, instrument)
    own = amorphous.halo_columns(known, at, wavelength).per_gram
    # what a thick specimen scatters is that of a gram over twice its attenuation per gram
    known_attenuation = elements.mass_attenuation_of(elements.mass_fractions_of(known.atoms), wavelength)
    thick = elements.mass_attenuation_of(fractions, wavelength) / known_attenuation
    scale = thick * _window_area(at, own) / _window_area(at, counted)
    std = float(np.hypot(known.area_std, _CONTROL_STD))
    return MeasuredAmorphous(name=name, q=q, per_gram=scale * values, area_std=std)


def _known_component(setting: str, name: str) -> amorphous.AmorphousComponent:
    if name not in amorphous.AMORPHOUS:
        known = ", ".join(amorphous.AMORPHOUS)
        msg = f"{setting}: {name!r} is no amorphous component. Expected one of {known}."
        raise AnalysisError(msg)
    return amorphous.AMORPHOUS[name]


def _window_area(q: FloatArray, values: FloatArray) -> float:
    inside = (q >= amorphous.AREA_WINDOW[0]) & (q <= amorphous.AREA_WINDOW[1])
    return float(np.trapezoid(values[inside], q[inside]))


def _unpolarised(setting: str, pattern: Pattern, instrument: Instrument) -> tuple[FloatArray, FloatArray]:
    """Intensity over polarisation and geometry, smooth, against q (Å⁻¹), of a pattern that a `setting` names.

    Raises AnalysisError for a range that is too short, sharp peaks, or no positive intensity.
    """
    keep = pattern.two_theta > 3.0
    x, y = pattern.two_theta[keep], pattern.intensity[keep]
    q = two_theta_to_q(x, instrument.wavelength)
    if len(q) < 2 or q[0] > _NEEDED[0] or q[-1] < _NEEDED[1]:
        ends = (q[0], q[-1]) if len(q) else (0.0, 0.0)
        msg = (
            f"{setting}: the pattern covers {ends[0]:.2f}-{ends[1]:.2f} Å⁻¹; its scale needs "
            f"{_NEEDED[0]:g}-{_NEEDED[1]:g} Å⁻¹ (about 13 to 52° with Cu Kα). Measure it over a wider range."
        )
        raise AnalysisError(msg)
    curve = y / (geometry_factor(instrument, x) * polarization(x, instrument))
    group = ((q - q[0]) / _BIN).astype(int)
    count = np.bincount(group)
    filled, count = count > 0, np.maximum(count, 1)
    grid = (np.bincount(group, q) / count)[filled]
    values = (np.bincount(group, curve) / count)[filled]
    smooth = np.convolve(np.pad(values, 1, mode="edge"), np.full(3, 1.0 / 3.0), mode="valid")
    half = 3  # bins: of the narrowest maximum, 0.19 Å⁻¹ wide, the median takes an eighth, of a crystal's peak all
    padded = np.pad(values, half, mode="reflect", reflect_type="odd")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    level = np.maximum(around, 0.2 * max(float(np.median(values)), 1e-300))
    peak = float(((smooth - around) / level)[half:-half].max(initial=0.0))
    if peak > _SHARP:
        msg = (
            f"{setting}: the pattern has maxima narrower than a halo, {100 * peak:.0f} % above its "
            "running median. Expected: an amorphous material; give crystalline ones as phases."
        )
        raise AnalysisError(msg)
    if not _window_area(grid, smooth) > 0.0:
        msg = f"{setting}: the pattern has no positive intensity between 0.7 and 4.1 Å⁻¹."
        raise AnalysisError(msg)
    return grid, smooth


# Columns that nothing refined moves: amorphous scattering, what the instrument adds, deformation of profiles.

DEFAULT_AMORPHOUS = ("protein", "lipid", "water", "amorphous_calcium_phosphate")
# Parent of modes that all amorphous components share: their prior scales with the sum of amounts.
ALL_AMORPHOUS = "*"

# Relative uncertainty of inelastic and thermal diffuse scattering that reaches the detector: a crystal in the
# diffracted beam takes out most of the Compton scattering at high angles, an energy window some of it.
INELASTIC_STD = {"filter": 0.2, "monochromator": 0.6}
# Standard deviation of the amount of `physics.profiles.spread_shoulder` in a phase's profiles, in units of their
# area: lognormal sizes with standard deviations of ln size between 0.2 and 0.4 span −0.04 to +0.06.
SHOULDER_STD = 0.05
BLANK_FORM_STD = 0.1  # of falling corrections to a measured blank, in units of its mean
CORRECTION_STD = 0.01  # of slow corrections to the physical background, in units of the median intensity
_FALLING = ((0.0, "constant"), (1.0, "air_1"), (2.0, "air_2"), (4.0, "air_4"))  # exponents
_HALF_WINDOW = 1.5  # degrees: maxima of holders are four times as wide, the rise of air scatter is a parabola
_PEAK_WIDTH = 0.15  # degrees, over which a peak of the holder is looked for
_PEAK_Z = 6.0
_PEAK_REACH = 0.5  # degrees on either side of a peak that are left as measured


@dataclass(frozen=True, kw_only=True)
class Column:
    """One linear term: its kind, whether it must not be negative, and its prior."""

    name: str
    kind: str  # "phase", "amorphous", "mode", "background" or "correction"
    nonnegative: bool = False
    parent: str = ""  # of a mode or correction: component whose amount is the prior's standard deviation, or "*"
    relative_std: float = 1.0  # of a mode: prior standard deviation in units of that amount
    prior_std: float = np.inf  # fixed prior standard deviation of the coefficient
    area_std: float = 0.0  # of an amorphous component: relative, of its scattering per gram


_Terms = list[tuple[Column, FloatArray]]


def _mode(name: str, parent: str, relative_std: float = 1.0) -> Column:
    return Column(name=name, kind="mode", parent=parent, relative_std=relative_std)


def _inelastic_std(instrument: Instrument) -> float:
    return INELASTIC_STD["filter" if instrument.monochromator_two_theta is None else "monochromator"]


def _amorphous_terms(
    x: FloatArray, instrument: Instrument, slit: FloatArray, components: Sequence[str | MeasuredAmorphous]
) -> _Terms:
    """Amorphous components and everything whose form is theirs: modes of each, smooth modes, Compton scattering."""
    wavelength = instrument.wavelength
    q = two_theta_to_q(x, wavelength)
    factor = emitted_weight(instrument) * slit * polarization(x, instrument)
    in_order: tuple[_Terms, ...] = ([], [], [], [], [])
    amounts, modes, flat, smooth, compton = in_order
    for item in components:
        if isinstance(item, str):
            name, parts = item, amorphous.halo_columns(amorphous.AMORPHOUS[item], q, wavelength)
            curve = parts.per_gram
            rows = (factor[:, None] * parts.modes).T
            modes += [(_mode(f"{name}_mode_{k}", name), row) for k, row in enumerate(rows)]
            inelastic = _mode(f"{name}_compton", name, _inelastic_std(instrument))
            compton.append((inelastic, factor * parts.incoherent))
        else:
            name = item.name
            if q[0] < item.q[0] - 2.0 * _BIN or q[-1] > item.q[-1] + 2.0 * _BIN:
                msg = (
                    f"the measured pattern of {name} covers {item.q[0]:.2f}-{item.q[-1]:.2f} Å⁻¹, the fit "
                    f"{q[0]:.2f}-{q[-1]:.2f}. Measure it over the whole range or give another range."
                )
                raise AnalysisError(msg)
            curve = np.interp(q, item.q, item.per_gram)
            inside = (item.q >= amorphous.AREA_WINDOW[0]) & (item.q <= amorphous.AREA_WINDOW[1])
            # one standard deviation of flat scatter that nobody took off, at constant area
            change = _AIR_STD * (float(item.per_gram[inside].mean()) - curve)
            flat.append((_mode(f"{name}_flat", name), factor * change))
        area_std = amorphous.AMORPHOUS[name].area_std if isinstance(item, str) else item.area_std
        amounts.append((Column(name=name, kind="amorphous", nonnegative=True, area_std=area_std), factor * curve))
    if components:
        rows = (factor[:, None] * amorphous.smooth_modes(q, wavelength)).T
        smooth += [(_mode(f"smooth_mode_{k}", ALL_AMORPHOUS), row) for k, row in enumerate(rows)]
    return [term for terms in in_order for term in terms]


@lru_cache(maxsize=16)
def _amorphous_on(
    two_theta: bytes, instrument: Instrument, components: tuple[str | MeasuredAmorphous, ...]
) -> tuple[FloatArray, tuple[tuple[Column, FloatArray], ...]]:
    """Slits and amorphous terms of a grid (degrees) and an instrument that come again, specimen after specimen."""
    x = np.frombuffer(two_theta)
    slit = geometry_factor(instrument, x)
    return slit, tuple(_amorphous_terms(x, instrument, slit, components))


def background_terms(points: Points, recipe: FitRecipe, blank: Pattern | None, slit: FloatArray) -> _Terms:
    """Background of the instrument under the pattern: air scatter, a measured empty holder, slow corrections.

    Physical terms are non-negative and fall with angle, (2θ_min / 2θ)^k with k = 0, 1, 2, 4, so that no amorphous
    maximum can hide in them. The constant holds the specimen's fluorescence too (of calcium with Cu Kα some 7 % of all
    counts without an energy window), which is flat in symmetric reflection; where geometry bends what leaves the
    specimen (`slit`, of `geometry_factor`) it is a term of its own, bent alike and not polarised. A measured blank has
    a scale of its own, freed of its noise (`smooth_blank`), which would pull it towards zero: to a tenth for a blank
    counted as long as the scan. What else falls with angle is then air that the blank has: a correction of a tenth of
    it, of either sign. Slow corrections are Chebyshev polynomials, small unless the recipe's background is
    flexible: free ones follow anything that is broad, amorphous scattering included. Raises AnalysisError where the
    blank does not cover the fitted range.
    """
    two_theta, flexible = points.two_theta, recipe.background == "flexible"
    falling, polynomials = _background_forms(two_theta.tobytes(), recipe.background_terms)
    out: _Terms = []
    held = None
    if blank is not None:
        if blank.two_theta[0] > two_theta[0] + 0.05 or blank.two_theta[-1] < two_theta[-1] - 0.05:
            msg = (
                f"the blank covers {blank.two_theta[0]:.2f}-{blank.two_theta[-1]:.2f}°, the fit "
                f"{two_theta[0]:.2f}-{two_theta[-1]:.2f}°. Measure the blank over the whole range or "
                "give another range."
            )
            raise AnalysisError(msg)
        measured = smooth_blank(blank, two_theta)
        out.append((Column(name="background_blank", kind="background", nonnegative=True), measured))
        held = None if flexible else float(measured.mean())
    for (power, name), form in zip(_FALLING, falling, strict=True):
        column = Column(name=f"background_{name}", kind="background", nonnegative=not flexible)
        if held is not None and power > 0.0:
            std = BLANK_FORM_STD * held / float(form.mean())
            column = Column(name=column.name, kind="correction", parent="background_blank", relative_std=std)
        out.append((column, form))
    if np.ptp(slit) > 0.01 * float(np.median(slit)):
        out.append((Column(name="background_fluorescence", kind="background", nonnegative=not flexible), slit))
    std = np.inf if flexible else CORRECTION_STD * float(np.median(points.intensity))
    for k, values in enumerate(polynomials):
        out.append((Column(name=f"correction_{k + 1}", kind="correction", prior_std=std), values))
    return out


@lru_cache(maxsize=16)
def _background_forms(two_theta: bytes, terms: int) -> tuple[FloatArray, FloatArray]:
    """What falls with angle (4, n), and Chebyshev polynomials (terms, n), on a grid that comes again."""
    grid = np.frombuffer(two_theta)
    u = grid[0] / grid
    x = 2.0 * (grid - grid[0]) / (grid[-1] - grid[0]) - 1.0
    falling, polynomials = np.array([u**power for power, _ in _FALLING]), chebyshev.chebvander(x, terms)[:, 1:].T
    falling.flags.writeable = polynomials.flags.writeable = False
    return falling, polynomials


def smooth_blank(blank: Pattern, two_theta: FloatArray) -> FloatArray:
    """Scan of an empty holder on other points (degrees, even steps), without its noise; peaks stay as measured.

    Parabolas through ± 1.5° [Savitzky & Golay 1964 Anal. Chem. 36, 1627]; where means over 0.15° stand six standard
    deviations from them, half a degree on either side keeps its values.
    """
    y = np.interp(two_theta, blank.two_theta, blank.intensity)
    step = float(np.median(np.diff(two_theta)))
    half = round(_HALF_WINDOW / step)
    if half < 2 or 2 * half + 1 > len(y):
        return y
    # interpolation between coarser points makes neighbours alike: noise is that of points, not of interpolated ones
    own = max(float(np.median(np.diff(blank.two_theta))), step)
    sigma = np.interp(two_theta, blank.two_theta, blank.sigma)
    width = max(round(_PEAK_WIDTH / step), 1)
    error = np.maximum(sigma, 1e-300) / np.sqrt(max(_PEAK_WIDTH / own, 1.0))
    base, peak = y, np.zeros(len(y), dtype=bool)
    # a peak pulls the parabola up around it: found ones are bridged before others are looked for
    for _ in range(3):
        smooth = _parabolas(base, half)
        excess = np.convolve(np.pad(y - smooth, width, mode="edge"), np.full(width, 1.0 / width), mode="same")
        found = np.abs(excess[width:-width]) > _PEAK_Z * error
        reach = round(_PEAK_REACH / step)
        found = np.convolve(found.astype(float), np.ones(2 * reach + 1), mode="same") > 0.5
        if not (found & ~peak).any() or found.all():
            break
        peak |= found
        base = np.where(peak, np.interp(two_theta, two_theta[~peak], y[~peak]) if not peak.all() else y, y)
    return np.where(peak, y, smooth)


def _parabolas(y: FloatArray, half: int) -> FloatArray:
    """Value of the least-squares parabola through 2·half + 1 points at each point; end points on the end parabola."""
    t = np.arange(-half, half + 1) / half
    powers = np.stack([np.ones_like(t), t, t**2], axis=1)
    pseudo = np.linalg.pinv(powers)
    out = np.convolve(y, pseudo[0][::-1], mode="same")
    out[:half] = (powers @ (pseudo @ y[: 2 * half + 1]))[:half]
    out[-half:] = (powers @ (pseudo @ y[-2 * half - 1 :]))[-half:]
    return np.asarray(out)


def shoulder_columns(items: Sequence[PhaseReflections], values: Mapping[str, float]) -> FloatArray:
    """Change of each phase's pattern per gram when its profiles are deformed alike, at fixed area, height and width.

    Crystallites are never distributed as a pseudo-Voigt has it; without this freedom a misfit of tails and shoulders is
    made up by the scale, B and the amorphous scattering beneath. Widths are those of `values` during a least-squares
    run; slits are left out. The phases are frozen alike (`PhaseReflections.freeze_alike`); the result is (n, phases).
    """
    every = profiles_alike(items, values, slopes=False)
    areas = np.stack([found.intensity for found in every], axis=1)
    return spread_shoulder(items[0].spread(every[0]), areas)


# The model, and what it is made of.

_MAX_BIN = 8
_Evaluated = tuple[FloatArray, list[dict[str, FloatArray]]]  # see `PatternModel.evaluate`
_PROBE = (7.0, 63.0)  # degrees, where the sampling that reflections need is judged


@dataclass(frozen=True, kw_only=True)
class PatternModel:
    """Frozen structure of one fit: reflections of every phase, and the columns that do not move."""

    two_theta: FloatArray
    instrument: Instrument
    reflections: tuple[PhaseReflections, ...]
    columns: tuple[Column, ...]  # one of each phase, those of amorphous components, all others
    n_amorphous: int  # of amorphous components, which depend on nothing that is refined
    fixed: FloatArray  # (n, k) values of all columns but those of the phases
    slit: FloatArray  # (n,) of `geometry_factor`

    @property
    def phase_ids(self) -> tuple[str, ...]:
        """Ids of the phases, in the order of the first columns."""
        return tuple(item.phase.id for item in self.reflections)

    @property
    def blank_measured(self) -> bool:
        """True where an empty-holder scan is among the background terms."""
        return any(column.name == "background_blank" for column in self.columns)

    def of_kind(self, *kinds: str) -> BoolArray:
        """Mark the columns of some kinds."""
        return np.array([column.kind in kinds for column in self.columns], dtype=bool)

    @cached_property
    def nonnegative(self) -> BoolArray:
        """Mark the columns whose coefficients must not be negative."""
        return np.array([column.nonnegative for column in self.columns], dtype=bool)

    def refrozen(self, values: Mapping[str, float]) -> PatternModel:
        """Rebuild nodes, windows and shoulders for new parameter values (between least-squares runs, never within)."""
        items = tuple(item.refrozen(values) for item in self.reflections)
        places = {column.name: k - len(items) for k, column in enumerate(self.columns)}
        fixed = self.fixed
        for item in items:
            if (place := places.get(f"{item.phase.id}_shoulder")) is not None:
                fixed = fixed.copy(order="K") if fixed is self.fixed else fixed
                fixed[:, place] = self.slit * shoulder_columns([item], values)[:, 0]
        return replace(self, reflections=items, fixed=fixed)

    def evaluate(self, values: Mapping[str, float], needed: frozenset[str]) -> _Evaluated:
        """Columns of the phases, (n, phases), and the derivatives of each by the needed parameters."""
        return self.through_slit([item.pattern(values, needed) for item in self.reflections])

    def through_slit(self, patterns: Sequence[tuple[FloatArray, dict[str, FloatArray]]]) -> _Evaluated:
        """Columns of the phases and their derivatives, from the phases' patterns and theirs."""
        columns = np.empty((len(self.two_theta), len(self.reflections)))
        derivatives, plain = [], bool((self.slit == 1.0).all())
        for k, (basis, slopes) in enumerate(patterns):
            columns[:, k] = self.slit * basis
            derivatives.append(slopes if plain else {name: self.slit * column for name, column in slopes.items()})
        return columns, derivatives


@dataclass(frozen=True, kw_only=True)
class StartedModel(PatternModel):
    """A model that knows its columns and their slopes where a least-squares run starts."""

    start: Mapping[str, float]
    at_start: _Evaluated

    @classmethod
    def of(cls, model: PatternModel, start: Mapping[str, float], at_start: _Evaluated) -> StartedModel:
        """Add to a model what it is at the values of `start`."""
        own = {item.name: getattr(model, item.name) for item in fields(PatternModel)}
        return cls(**own, start=start, at_start=at_start)

    def evaluate(self, values: Mapping[str, float], needed: frozenset[str]) -> _Evaluated:
        """As of `PatternModel`."""
        return self.at_start if values == self.start else super().evaluate(values, needed)


def narrowest_fwhm(model: PatternModel, values: Mapping[str, float]) -> float:
    """FWHM of the narrowest reflection, degrees; outside `_PROBE` only where none is inside; 0 without reflections."""
    inside, outside = [np.inf], [np.inf]
    for item in model.reflections:
        found = item.at(values, slopes=False)
        near = (found.position > _PROBE[0]) & (found.position < _PROBE[1])
        inside.append(float(found.widths.fwhm[near].min(initial=np.inf)))
        outside.append(float(found.widths.fwhm.min(initial=np.inf)))
    return next((width for width in (min(inside), min(outside)) if np.isfinite(width)), 0.0)


@dataclass(frozen=True, kw_only=True)
class ModelSetup:
    """Everything a model is made of except points and parameter values.

    `amorphous` are names of components (keys of ``physics.amorphous.AMORPHOUS``), or measured ones; `start_given`: the
    user chose where the parameters start, so that no other starts are tried.
    """

    phases: tuple[Phase, ...]
    instrument: Instrument
    recipe: FitRecipe
    amorphous: tuple[str | MeasuredAmorphous, ...]
    blank: Pattern | None = None
    start_given: bool = False

    @classmethod
    def create(
        cls,
        phases: Sequence[Phase],
        instrument: Instrument,
        recipe: FitRecipe,
        *,
        blank: Pattern | None = None,
        measured: Sequence[MeasuredAmorphous] = (),
        start_given: bool = False,
    ) -> ModelSetup:
        """Choose the amorphous components by the recipe, measured ones in place of calculated ones of their names.

        Raises AnalysisError for phases without atoms, a name that no amorphous component has, or a measured one that is
        not among those of the fit.
        """
        without = [p.id for p in phases if not p.quantifiable]
        if without:
            names = ", ".join(without)
            msg = f"{names}: known by reflection positions only, without atoms; it cannot be fitted, only searched."
            raise AnalysisError(msg)
        default = () if recipe.background == "flexible" else DEFAULT_AMORPHOUS
        components = tuple(recipe.amorphous) if recipe.amorphous is not None else default
        for name in components:
            _known_component("fit.amorphous", name)
        by_name = {item.name: item for item in measured}
        for name in by_name:
            if name not in components:
                listed = ", ".join(components)
                msg = f"fit.amorphous_patterns: {name} is not among the fitted components ({listed})."
                raise AnalysisError(msg)
        return cls(
            phases=tuple(phases),
            instrument=instrument,
            recipe=recipe,
            amorphous=tuple(by_name.get(name, name) for name in components),
            blank=blank,
            start_given=start_given,
        )

    def build(
        self,
        points: Points,
        table: ParameterTable,
        like: PatternModel | None = None,
        *,
        shoulders: bool = True,
        replaced: str = "",
    ) -> PatternModel:
        """Freeze reflections and fixed columns on some points, at the values where the table starts.

        `like` is a model with the same amorphous components, on the same points or on those that were binned to these:
        its reflections, with their intensities, and its amorphous columns are taken over. `shoulders` frees the form of
        each phase's profiles (`shoulder_columns`), which asks for widths that are about right. A phase that is to be
        `replaced`, by its id, one of `like`, keeps its place and columns, with neither windows nor form.
        """
        x, instrument, start = points.two_theta, self.instrument, table.start
        known: dict[str, PhaseReflections] = {}
        if like is None:
            plain = all(isinstance(item, str) for item in self.amorphous)  # measured curves are none that come again
            make = _amorphous_on if plain else _amorphous_on.__wrapped__
            slit, amorphous_terms = make(x.tobytes(), instrument, self.amorphous)
            terms = list(amorphous_terms)
        else:
            columns = like.columns[len(like.reflections) :][: like.n_amorphous]
            slit, own = (bin_means(a, len(x)) for a in (like.slit, like.fixed[:, : like.n_amorphous]))
            terms = list(zip(columns, own.T, strict=True))
            known = {item.phase.id: item.binned(x, points.smear_sq) for item in like.reflections}
        n_amorphous = len(terms)
        reflections = tuple(
            (known[p.id] if p.id == replaced else known[p.id].refrozen(start))
            if p.id in known
            else PhaseReflections.freeze(p, instrument, x, start, points.smear_sq)
            for p in self.phases
        )
        std = _inelastic_std(instrument)
        terms += [(_mode(f"{r.phase.id}_diffuse", r.phase.id, std), slit * r.diffuse) for r in reflections]
        terms += background_terms(points, self.recipe, self.blank, slit)
        if shoulders:
            for item in reflections:
                column = _mode(f"{item.phase.id}_shoulder", item.phase.id, SHOULDER_STD)
                form = shoulder_columns([item], start)[:, 0] if item.phase.id != replaced else np.zeros_like(x)
                terms.append((column, slit * form))
        phases = (Column(name=phase.id, kind="phase") for phase in self.phases)
        return PatternModel(
            two_theta=x,
            instrument=instrument,
            reflections=reflections,
            columns=(*phases, *(column for column, _ in terms)),
            n_amorphous=n_amorphous,
            fixed=np.array([values for _, values in terms]).T,  # column after column, as they are made and used
            slit=slit,
        )
