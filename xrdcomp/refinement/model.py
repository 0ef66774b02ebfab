"""What a fit's model is made of, and on how coarse points it may stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.polynomial import chebyshev

from xrdcomp.data import Instrument, Pattern, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.physics import amorphous, elements
from xrdcomp.physics import amorphous as amorphous_physics
from xrdcomp.physics.profiles import spread_shoulder, tch_widths
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.parameters import ParameterTable
from xrdcomp.refinement.reflections import (
    PhaseLines,
    build_lines,
    geometry_factor,
    line_properties,
    phase_columns,
    polarization,
    refreeze_lines,
    spread_lines,
)
from xrdcomp.units import BoolArray, FloatArray, two_theta_to_q

# ------------ Measured patterns of amorphous matter as components on the per-gram scale.

_WINDOW = (0.7, 4.1)  # Å⁻¹, where the scattering of free atoms gives the area: 10 to 60° with Cu Kα
_NEEDED = (0.9, 3.6)
_AREA = 1.02  # coherent scattering over that of free atoms in the window, see `physics.amorphous`
_BIN = 0.03  # Å⁻¹; halos are thirty times as wide
_AIR_STD = 0.1  # share of the curve that may be flat scatter of air or holder nobody took off
_SHARP = 0.25


@dataclass(frozen=True, kw_only=True)
class MeasuredHalo:
    """Scattering per gram of an amorphous component as measured: q (Å⁻¹, increasing), and values unpolarised."""

    name: str
    q: FloatArray
    per_gram: FloatArray


class _WithHalos(FitRecipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe whose `amorphous_patterns` were read."""

    halos: Any = None


def with_measured_halos(recipe: FitRecipe, halos: Mapping[str, MeasuredHalo]) -> FitRecipe:
    """Return the recipe with measured forms for some of its amorphous components.

    Parameters
    ----------
    recipe : FitRecipe
    halos : mapping of component name to MeasuredHalo

    Returns
    -------
    FitRecipe
    """
    given = {field.name: getattr(recipe, field.name) for field in msgspec.structs.fields(FitRecipe)}
    return _WithHalos(**given, halos=dict(halos)) if halos else recipe


def measured_halo(name: str, pattern: Pattern, instrument: Instrument) -> MeasuredHalo:
    """Put a measured pattern of an amorphous material on the per-gram scale.

    I(q) / (P · geometry) is scaled so that its area from 0.7 to 4.1 Å⁻¹ is 1.02 times the scattering of free atoms of
    the component's composition, Compton scattering added: what interference takes away at low angles it puts into the
    rings, whatever the rings are (``physics.amorphous``). No internal standard is needed.

    Parameters
    ----------
    name : str
        Component that the material stands for; decides its composition.
    pattern : Pattern
        Of the pure material, air and holder taken off, from about 10 to 55° with Cu Kα.
    instrument : Instrument
        On which it was measured.

    Returns
    -------
    MeasuredHalo

    Raises
    ------
    AnalysisError
        An unknown component, a range that is too short, sharp lines, or no positive intensity.
    """
    if name not in amorphous.AMORPHOUS:
        known = ", ".join(amorphous.AMORPHOUS)
        msg = f"fit.amorphous_patterns: {name!r} is no amorphous component. Expected one of {known}."
        raise AnalysisError(msg)
    x = pattern.two_theta
    keep = x > 3.0
    x, y = x[keep], pattern.intensity[keep]
    q = two_theta_to_q(x, instrument.wavelength)
    if len(q) < 2 or q[0] > _NEEDED[0] or q[-1] < _NEEDED[1]:
        ends = (q[0], q[-1]) if len(q) else (0.0, 0.0)
        msg = (
            f"fit.amorphous_patterns.{name}: the pattern covers {ends[0]:.2f}-{ends[1]:.2f} Å⁻¹; its scale needs "
            f"{_NEEDED[0]:g}-{_NEEDED[1]:g} Å⁻¹ (about 13 to 52° with Cu Kα). Measure it over a wider range."
        )
        raise AnalysisError(msg)
    curve = y / (geometry_factor(instrument, x) * polarization(x, instrument))
    grid, smooth, peak = _binned(q, curve)
    if peak > _SHARP:
        msg = (
            f"fit.amorphous_patterns.{name}: the pattern has lines narrower than a halo, {100 * peak:.0f} % above its "
            "running median. Expected: an amorphous material; give crystalline ones as phases."
        )
        raise AnalysisError(msg)
    fractions = amorphous.mass_fractions(amorphous.AMORPHOUS[name].atoms)
    inside = (grid >= _WINDOW[0]) & (grid <= _WINDOW[1])
    expected = _AREA * elements.coherent_per_gram(fractions, grid) + elements.incoherent_per_gram(
        fractions, grid
    )
    area = float(np.trapezoid(smooth[inside], grid[inside]))
    if not area > 0.0:
        msg = f"fit.amorphous_patterns.{name}: the pattern has no positive intensity between 0.7 and 4.1 Å⁻¹."
        raise AnalysisError(msg)
    scale = float(np.trapezoid(expected[inside], grid[inside])) / area
    return MeasuredHalo(name=name, q=grid, per_gram=scale * smooth)


def _binned(q: FloatArray, curve: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Means over bins of `_BIN`, and how far three of them rise over the median of their surroundings."""
    group = ((q - q[0]) / _BIN).astype(int)
    count = np.bincount(group)
    filled = count > 0
    count = np.maximum(count, 1)
    grid = (np.bincount(group, q) / count)[filled]
    values = (np.bincount(group, curve) / count)[filled]
    mean = np.convolve(np.pad(values, 1, mode="edge"), np.full(3, 1.0 / 3.0), mode="valid")
    half = 3  # bins: of the narrowest ring, 0.19 Å⁻¹ wide, the median takes an eighth, of a line all
    padded = np.pad(values, half, mode="reflect", reflect_type="odd")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    level = np.maximum(around, 0.2 * max(float(np.median(values)), 1e-300))
    return grid, mean, float(((mean - around) / level)[half:-half].max(initial=0.0))


def halo_pieces(recipe: FitRecipe, names: tuple[str, ...]) -> tuple[str | MeasuredHalo, ...]:
    """Amorphous components of a fit: their names, measured ones in place of theirs.

    Parameters
    ----------
    recipe : FitRecipe
    names : tuple of str

    Raises
    ------
    AnalysisError
        A name that no component has, or a pattern for a component that is not fitted.
    """
    halos: Mapping[str, MeasuredHalo] = (recipe.halos or {}) if isinstance(recipe, _WithHalos) else {}
    known = ", ".join(amorphous.AMORPHOUS)
    for name in names:
        if name not in amorphous.AMORPHOUS:
            msg = f"fit.amorphous: {name!r} is no amorphous component. Expected some of {known}."
            raise AnalysisError(msg)
    for name in halos:
        if name not in names:
            msg = f"fit.amorphous_patterns: {name} is not among the fitted components ({', '.join(names)})."
            raise AnalysisError(msg)
    return tuple(halos.get(name, name) for name in names)


def measured_columns(halo: MeasuredHalo, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scattering per gram at `q`, and its change by one standard deviation of flat scatter, area kept.

    Raises
    ------
    AnalysisError
        The measured pattern does not cover the fit.
    """
    if q[0] < halo.q[0] - 2.0 * _BIN or q[-1] > halo.q[-1] + 2.0 * _BIN:
        msg = (
            f"the measured pattern of {halo.name} covers {halo.q[0]:.2f}-{halo.q[-1]:.2f} Å⁻¹, the fit "
            f"{q[0]:.2f}-{q[-1]:.2f}. Measure it over the whole range or pass --range."
        )
        raise AnalysisError(msg)
    values = np.interp(q, halo.q, halo.per_gram)
    inside = (halo.q >= _WINDOW[0]) & (halo.q <= _WINDOW[1])
    flat = float(halo.per_gram[inside].mean())
    return values, _AIR_STD * (flat - values)


# ------------ The pattern as a linear combination of columns that depend on a few non-linear parameters.
# y(2θ) = s(2θ) · [ Σ_phases c_p B_p(2θ; θ) + Σ_amorphous c_a (A_a(2θ) + Σ_modes t_am M_am(2θ)) ] + Σ_k d_k K_k(2θ)
#
# B and A are per gram on one absolute scale (electron units); s is slits and absorption; K are
# instrument and air background. Scales c_p of phases are signed, amorphous and physical background terms are not
# negative, shape modes t have priors of one standard deviation (in units of their component's amount).

ALL_AMORPHOUS = "*"
"""Parent of modes that all amorphous components share; their prior scales with the sum of amounts."""

INELASTIC_STD = {"filter": 0.2, "monochromator": 0.6}
"""Relative uncertainty of inelastic and thermal diffuse scattering that reaches the detector: a crystal in the
diffracted beam takes out most of the Compton scattering at high angles, an energy window some of it."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One linear term: its kind, whether it must not be negative, and its prior.

    kind : "phase", "amorphous", "mode", "background" or "correction"
    parent : name of the amorphous component whose amount is the prior standard deviation of a mode, or "*"
    relative_std : prior standard deviation of a mode in units of its parent's amount
    prior_std : fixed prior standard deviation of the coefficient (infinity: none)
    halo : whether it belongs to the amorphous components, which depend on nothing that is refined
    """

    name: str
    kind: str
    nonnegative: bool
    parent: str = ""
    relative_std: float = 1.0
    prior_std: float = np.inf
    halo: bool = False


@dataclass(frozen=True, kw_only=True)
class PatternModel:
    """Frozen structure of one fit: lines of every phase and the columns that do not move."""

    two_theta: FloatArray
    instrument: Instrument
    lines: tuple[PhaseLines, ...]
    columns: tuple[Column, ...]
    fixed: FloatArray
    slit: FloatArray

    @cached_property
    def plain(self) -> bool:
        """Whether slits and absorption change nothing."""
        return bool((self.slit == 1.0).all())

    @property
    def phase_ids(self) -> tuple[str, ...]:
        """Ids of the phases, in the order of the first columns."""
        return tuple(item.phase.id for item in self.lines)


def build_model(
    two_theta: FloatArray,
    phases: Sequence[Phase],
    instrument: Instrument,
    table: ParameterTable,
    *,
    amorphous: Sequence[str | MeasuredHalo],
    background: tuple[Sequence[Column], FloatArray],
    like: PatternModel | None = None,
) -> PatternModel:
    """Freeze lines and fixed columns.

    Parameters
    ----------
    amorphous : names of amorphous components (keys of ``physics.amorphous.AMORPHOUS``), or measured ones
    background : columns and their (n, k) values
    like : PatternModel, optional
        A model with the same amorphous components, on the same points or on those that were binned to these: its
        reflections, with their intensities, and its halos are taken over.
    """
    columns = [Column(name=p.id, kind="phase", nonnegative=False) for p in phases]
    start = {item.name: item.value for item in table.items}
    if like is None:
        slit = geometry_factor(instrument, two_theta)
        halo_columns, halos = _halo_columns(two_theta, instrument, slit, amorphous)
        known: dict[str, PhaseLines] = {}
    else:
        n_halos = sum(c.halo for c in like.columns)
        halo_columns = [c for c in like.columns if c.halo]
        slit, halos = (_to_bins(a, len(two_theta)) for a in (like.slit, like.fixed[:, :n_halos]))
        known = {item.phase.id: _on_points(item, two_theta) for item in like.lines}
    columns += halo_columns
    values = [halos]
    lines = tuple(
        refreeze_lines(known[p.id], instrument, start)
        if p.id in known
        else build_lines(p, instrument, two_theta, start)
        for p in phases
    )
    window = _inelastic_std(instrument)
    for item in lines:
        name = item.phase.id
        column = Column(
            name=f"{name}_diffuse", kind="mode", nonnegative=False, parent=name, relative_std=window
        )
        columns.append(column)
        values.append((slit * item.diffuse)[:, None])
    columns += list(background[0])
    values.append(background[1])
    return PatternModel(
        two_theta=two_theta,
        instrument=instrument,
        lines=lines,
        columns=tuple(columns),
        fixed=np.concatenate(values, axis=1),
        slit=slit,
    )


def _inelastic_std(instrument: Instrument) -> float:
    return INELASTIC_STD["filter" if instrument.monochromator_two_theta is None else "monochromator"]


def _halo_columns(
    two_theta: FloatArray,
    instrument: Instrument,
    slit: FloatArray,
    amorphous: Sequence[str | MeasuredHalo],
) -> tuple[list[Column], FloatArray]:
    """Amorphous components and everything whose form is theirs: shape modes, smooth modes, Compton scattering."""
    columns: list[Column] = []
    values: list[FloatArray] = [np.empty((len(two_theta), 0))]
    q = two_theta_to_q(two_theta, instrument.wavelength)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = weight * slit * polarization(two_theta, instrument)
    calculated = {
        name: amorphous_physics.halo_columns(amorphous_physics.AMORPHOUS[name], q)
        for name in amorphous
        if isinstance(name, str)
    }
    flat = {}
    for item in amorphous:
        if isinstance(item, str):
            name, curve = item, calculated[item].per_gram
        else:
            name = item.name
            curve, flat[name] = measured_columns(item, q)
        columns.append(Column(name=name, kind="amorphous", nonnegative=True, halo=True))
        values.append((factor * curve)[:, None])
    for name, parts in calculated.items():
        columns += [_mode(f"{name}_mode_{k}", name) for k in range(parts.modes.shape[1])]
        values.append(factor[:, None] * parts.modes)
    for name, change in flat.items():
        columns.append(_mode(f"{name}_flat", name))
        values.append((factor * change)[:, None])
    if amorphous:
        smooth = amorphous_physics.smooth_modes(q)
        columns += [_mode(f"smooth_mode_{k}", ALL_AMORPHOUS) for k in range(smooth.shape[1])]
        values.append(factor[:, None] * smooth)
    window = _inelastic_std(instrument)
    for name, parts in calculated.items():
        columns.append(_mode(f"{name}_compton", name, window))
        values.append((factor * parts.incoherent)[:, None])
    return columns, np.concatenate(values, axis=1)


def _mode(name: str, parent: str, relative_std: float = 1.0) -> Column:
    return Column(
        name=name, kind="mode", nonnegative=False, parent=parent, relative_std=relative_std, halo=True
    )


def _to_bins(values: FloatArray, n: int) -> FloatArray:
    """Means of as many neighbours along the first axis as leave n."""
    k = len(values) // n
    if k == 1:
        return values
    out: FloatArray = values[: n * k].reshape(n, k, -1).mean(axis=1)
    return out.reshape(n, *values.shape[1:])


def _on_points(lines: PhaseLines, two_theta: FloatArray) -> PhaseLines:
    """Lines whose smooth scattering stands on other points; their windows are to be frozen again."""
    n = len(two_theta)
    diffuse, by_b = _to_bins(lines.diffuse, n), _to_bins(lines.diffuse_by_b, n)
    own = lines.elements
    own = own and own.on_points(_to_bins(own.diffuse_by_b.T, n).T)
    return replace(lines, two_theta_points=two_theta, diffuse=diffuse, diffuse_by_b=by_b, elements=own)


def refreeze(model: PatternModel, values: Mapping[str, float]) -> PatternModel:
    """Rebuild nodes and windows for new parameter values (between least-squares runs, never within one)."""
    lines = tuple(refreeze_lines(item, model.instrument, values) for item in model.lines)
    return replace(model, lines=lines)


def evaluate(
    model: PatternModel, values: Mapping[str, float], needed: frozenset[str]
) -> tuple[FloatArray, list[dict[str, FloatArray]]]:
    """Columns of the phases and the derivatives of each.

    Returns
    -------
    columns : (n, phases) array: the first of ``model.columns``; the others are ``model.fixed``
    derivatives : list of dict name → (n,) array, one dict per phase
    """
    columns = np.empty((len(model.two_theta), len(model.lines)))
    derivatives = []
    for k, lines in enumerate(model.lines):
        basis, slopes = phase_columns(lines, model.instrument, values, needed)
        columns[:, k] = model.slit * basis
        if not model.plain:
            slopes = {name: model.slit * column for name, column in slopes.items()}
        derivatives.append(slopes)
    return columns, derivatives


# ------------ What the instrument adds under the pattern: air scatter, a measured empty holder, slow
# corrections.

_HALF_WINDOW = 1.5  # degrees: humps of holders are four times as wide, the rise of air scatter is a parabola
_LINE_WIDTH = 0.15  # degrees, over which a line of the holder is looked for
_LINE_Z = 6.0
_LINE_REACH = 0.5  # degrees on either side of a line that are left as measured

_FALLING = ((0.0, "constant"), (1.0, "air_1"), (2.0, "air_2"), (4.0, "air_4"))


def background_columns(
    two_theta: FloatArray,
    intensity: FloatArray,
    *,
    flexible: bool,
    terms: int,
    blank: Pattern | None = None,
    correction_std: float = 0.01,
) -> tuple[list[Column], FloatArray]:
    """Background columns and their values on the points.

    Physical terms are non-negative and fall with angle, (2θ_min / 2θ)^k with k = 0, 1, 2, 4, so that no broad
    halo can hide in them. A measured blank joins them with a scale of its own, freed of its noise (`smooth_blank`):
    noise in a column pulls its coefficient towards zero, to a tenth for a blank counted as long as the scan. Slow
    corrections are
    Chebyshev polynomials, small (`correction_std` of the median intensity) unless `flexible`.

    Parameters
    ----------
    two_theta, intensity : (n,) arrays
    flexible : bool
        Free polynomial: follows anything that is broad, amorphous halos included.
    terms : int
        Number of Chebyshev terms; more follow shorter undulations.
    blank : Pattern, optional
        Empty-holder scan covering the range.

    Raises
    ------
    AnalysisError
        The blank does not cover the fitted range.
    """
    columns: list[Column] = []
    values: list[FloatArray] = []
    u = two_theta[0] / two_theta
    for power, name in _FALLING:
        columns.append(Column(name=f"background_{name}", kind="background", nonnegative=not flexible))
        values.append(u**power)
    if blank is not None:
        if blank.two_theta[0] > two_theta[0] + 0.05 or blank.two_theta[-1] < two_theta[-1] - 0.05:
            msg = (
                f"the blank covers {blank.two_theta[0]:.2f}-{blank.two_theta[-1]:.2f}°, the fit "
                f"{two_theta[0]:.2f}-{two_theta[-1]:.2f}°. Measure the blank over the whole range or pass --range."
            )
            raise AnalysisError(msg)
        columns.append(Column(name="background_blank", kind="background", nonnegative=True))
        values.append(smooth_blank(blank, two_theta))
    x = 2.0 * (two_theta - two_theta[0]) / (two_theta[-1] - two_theta[0]) - 1.0
    polynomials = chebyshev.chebvander(x, terms)[:, 1:]
    std = np.inf if flexible else correction_std * float(np.median(intensity))
    for k in range(terms):
        columns.append(
            Column(name=f"correction_{k + 1}", kind="correction", nonnegative=False, prior_std=std)
        )
        values.append(polynomials[:, k])
    return columns, np.stack(values, axis=1)


def smooth_blank(blank: Pattern, two_theta: FloatArray) -> FloatArray:
    """Scan of an empty holder on other points, without its noise; lines of the holder are left as measured.

    Parabolas through ± 1.5° [Savitzky & Golay 1964 Anal. Chem. 36, 1627]; where means over 0.15° stand six standard
    deviations from them, half a degree on either side keeps its values.

    Parameters
    ----------
    blank : Pattern
    two_theta : (n,) array, degrees, even steps

    Returns
    -------
    (n,) array
    """
    y = np.interp(two_theta, blank.two_theta, blank.intensity)
    step = float(np.median(np.diff(two_theta)))
    half = round(_HALF_WINDOW / step)
    if half < 2 or 2 * half + 1 > len(y):
        return y
    # interpolation between coarser points makes neighbours alike: noise is that of points, not of interpolated ones
    own = max(float(np.median(np.diff(blank.two_theta))), step)
    sigma = np.interp(two_theta, blank.two_theta, blank.sigma)
    width = max(round(_LINE_WIDTH / step), 1)
    error = np.maximum(sigma, 1e-300) / np.sqrt(max(_LINE_WIDTH / own, 1.0))
    base, line = y, np.zeros(len(y), dtype=bool)
    for _ in range(3):
        smooth = _parabolas(base, half)
        excess = np.convolve(np.pad(y - smooth, width, mode="edge"), np.full(width, 1.0 / width), mode="same")
        found = np.abs(excess[width:-width]) > _LINE_Z * error
        reach = round(_LINE_REACH / step)
        found = np.convolve(found.astype(float), np.ones(2 * reach + 1), mode="same") > 0.5
        if not (found & ~line).any() or found.all():
            break
        line |= found
        base = np.where(line, np.interp(two_theta, two_theta[~line], y[~line]) if not line.all() else y, y)
    return np.where(line, y, smooth)


def _parabolas(y: FloatArray, half: int) -> FloatArray:
    """Value of the least-squares parabola through 2·half + 1 points at each point; end points on the end parabola."""
    t = np.arange(-half, half + 1) / half
    powers = np.stack([np.ones_like(t), t, t**2], axis=1)
    pseudo = np.linalg.pinv(powers)
    out = np.convolve(y, pseudo[0][::-1], mode="same")
    out[:half] = (powers @ (pseudo @ y[: 2 * half + 1]))[:half]
    out[-half:] = (powers @ (pseudo @ y[-2 * half - 1 :]))[-half:]
    return np.asarray(out)


# ------------ A nuisance column for the form of a phase's lines: crystallites are never distributed as a
# pseudo-Voigt has it.

SHOULDER_STD = 0.05
"""Standard deviation of the amount of `physics.profiles.pseudo_voigt_shoulder` in a phase's lines, in units of their
area: lognormal sizes with standard deviations of ln size between 0.2 and 0.4 span −0.04 to +0.06."""


def shoulder_column(lines: PhaseLines, instrument: Instrument, values: Mapping[str, float]) -> FloatArray:
    """Change of a phase's pattern per gram when all its lines are deformed alike, at fixed widths.

    Every line keeps area, height and width, so that sizes, strain and intensities keep their meaning; without this
    freedom a misfit of tails and shoulders is made up by the scale, B and the halo beneath.

    Parameters
    ----------
    values : mapping
        Parameter values whose widths the column takes; they stay fixed during a least-squares run.

    Returns
    -------
    (n,) array on the lines' points, slits left out
    """
    properties = line_properties(lines, instrument, values, slopes=False)
    return spread_shoulder(spread_lines(lines, properties), properties.intensity)


def with_shoulders(model: PatternModel, values: Mapping[str, float]) -> PatternModel:
    """Add a `shoulder_column` of every phase to a model, as a mode with the prior `SHOULDER_STD`.

    Parameters
    ----------
    values : mapping
        Parameter values; widths far from the lines' own would make the column another shape altogether.
    """
    columns = tuple(
        Column(
            name=f"{phase_id}_shoulder",
            kind="mode",
            nonnegative=False,
            parent=phase_id,
            relative_std=SHOULDER_STD,
        )
        for phase_id in model.phase_ids
    )
    bent = [model.slit * shoulder_column(item, model.instrument, values) for item in model.lines]
    fixed = np.concatenate([model.fixed, *(column[:, None] for column in bent)], axis=1)
    return replace(model, columns=model.columns + columns, fixed=fixed)


# Points of a fit, and how coarse they may be.

_POINTS_PER_FWHM = 5.0  # a reflection sampled so loses nothing that its width and position need
_MAX_BIN = 8
_PROBE = (7.0, 63.0)  # degrees, where the sampling that reflections need is judged


MIN_TWO_THETA = 5.0
"""Below this angle the direct beam and the beam knife decide the counts."""

_MIN_POINTS = 50
_CLEAR_COUNTS = 20.0  # a Poisson mean at which a zero has a chance of 2e-9


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points of a fit: angle (degrees), intensity and its standard deviation, each (n,)."""

    two_theta: FloatArray
    intensity: FloatArray
    sigma: FloatArray

    def __len__(self) -> int:
        return len(self.two_theta)

    @classmethod
    def select(cls, pattern: Pattern, recipe: FitRecipe) -> Points:
        """Take the recipe's range of a pattern, else everything above `MIN_TWO_THETA`.

        Raises AnalysisError where fewer than 50 points are left, or the intensities are all alike.
        """
        low, high = recipe.two_theta_range or (MIN_TWO_THETA, 180.0)
        inside = (pattern.two_theta >= low - 1e-9) & (pattern.two_theta <= high + 1e-9)
        inside &= ~padding_points(pattern)
        if inside.sum() < _MIN_POINTS:
            msg = (
                f"only {int(inside.sum())} points lie in {low:g}-{high:g}°; the scan covers "
                f"{pattern.two_theta[0]:g}-{pattern.two_theta[-1]:g}° and a fit needs at least {_MIN_POINTS}. Change "
                "--range."
            )
            raise AnalysisError(msg)
        y = pattern.intensity[inside]
        if np.ptp(y) == 0.0:
            msg = f"all {len(y)} intensities in the range are {y[0]:g}: there is nothing to fit."
            raise AnalysisError(msg)
        return cls(two_theta=pattern.two_theta[inside], intensity=y, sigma=pattern.sigma[inside])

    @property
    def step(self) -> float:
        """Distance of neighbouring points, degrees."""
        return float(np.median(np.diff(self.two_theta)))

    def binned(self, k: int) -> Points:
        """Means of k neighbouring points and their standard deviations."""
        if k <= 1:
            return self
        n = len(self) // k * k
        x, y, s = (a[:n].reshape(-1, k) for a in (self.two_theta, self.intensity, self.sigma))
        return Points(
            two_theta=x.mean(axis=1), intensity=y.mean(axis=1), sigma=np.sqrt((s**2).sum(axis=1)) / k
        )

    def coarsened(self, model: PatternModel, table: ParameterTable) -> Points:
        """Bin as many points together as the reflections allow at the current values."""
        allowed = narrowest_fwhm(model, table) / (_POINTS_PER_FWHM * self.step)
        return self.binned(int(np.clip(allowed, 1, _MAX_BIN)))


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


def narrowest_fwhm(model: PatternModel, table: ParameterTable) -> float:
    """FWHM of the narrowest reflection, degrees; outside `_PROBE` only where none is inside; 0 without reflections."""
    values = {item.name: item.value for item in table.items}
    inside, outside = [], []
    for lines in model.lines:
        properties = line_properties(lines, model.instrument, values, slopes=False)
        fwhm = tch_widths(properties.gauss, properties.lorentz).fwhm
        near = (properties.position > _PROBE[0]) & (properties.position < _PROBE[1])
        inside.append(float(fwhm[near].min(initial=np.inf)))
        outside.append(float(fwhm.min(initial=np.inf)))
    narrowest = min([*inside, np.inf])
    narrowest = narrowest if np.isfinite(narrowest) else min([*outside, np.inf])
    return narrowest if np.isfinite(narrowest) else 0.0


# Everything a model is made of except points and parameter values.

DEFAULT_AMORPHOUS = ("protein", "lipid", "water", "amorphous_calcium_phosphate")


@dataclass(frozen=True, kw_only=True)
class ModelSetup:
    """Phases, instrument, recipe, amorphous components and empty-holder scan of a fit.

    `start_given`: the user chose where the parameters start, so that no other starts are tried.
    """

    phases: tuple[Phase, ...]
    instrument: Instrument
    recipe: FitRecipe
    amorphous: tuple[str | MeasuredHalo, ...]
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
        start_given: bool = False,
    ) -> ModelSetup:
        """Choose the amorphous components by the recipe; AnalysisError for phases without atoms."""
        without = [p.id for p in phases if not p.quantifiable]
        if without:
            msg = (
                f"{', '.join(without)}: known by line positions only, without atoms; it cannot be fitted, only "
                "searched."
            )
            raise AnalysisError(msg)
        default = () if recipe.background == "flexible" else DEFAULT_AMORPHOUS
        names = recipe.amorphous if recipe.amorphous is not None else default
        return cls(
            phases=tuple(phases),
            instrument=instrument,
            recipe=recipe,
            amorphous=halo_pieces(recipe, tuple(names)),
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
    ) -> PatternModel:
        """Freeze a model on some points, with the reflections and amorphous columns of another one.

        `shoulders` frees the form of each phase's profiles, which asks for widths that are about right.
        """
        model = build_model(
            points.two_theta,
            self.phases,
            self.instrument,
            table,
            amorphous=self.amorphous,
            background=background_columns(
                points.two_theta,
                points.intensity,
                flexible=self.recipe.background == "flexible",
                terms=self.recipe.background_terms,
                blank=self.blank,
            ),
            like=like,
        )
        return with_shoulders(model, {i.name: i.value for i in table.items}) if shoulders else model
