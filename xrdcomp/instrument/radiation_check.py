"""Another tube, axis or slits that opened with the angle, tried on a pattern that fits badly as it was taken.

Nothing is changed: wavelength and slits are the user's to state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, message_kind
from xrdcomp.instrument.build import RADIATION_CONTRADICTED, build_instrument, instrument_messages, radiation_is_assumed
from xrdcomp.recipe import InstrumentRecipe, Recipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.nuisance import Score, score_phases, search_residual
from xrdcomp.search.search import Identification, fit_and_search
from xrdcomp.search.templates import COLD_VARIANTS, Candidate, Variant, candidate, library, searched_phases
from xrdcomp.units import BoolArray, d_to_two_theta, two_theta_to_d

_TUBES = ("CoKa", "FeKa", "CrKa", "MoKa")
_DOUBTFUL_GOF = 2.0
_SLIT_GOF = 1.5  # slits taken for fixed ones bend the whole pattern, which amorphous scattering half follows
_EXPLAINED = 0.25  # of the excess χ²
_HOPELESS = 0.7  # of the goodness of fit: a first fit this bad will not end below a quarter of the excess χ²
_SEARCHED_TUBES = _TUBES[:3]  # molybdenum has ten times the reflections in range
_ALL_TUBES = ("CuKa", *_TUBES, "AgKa")
_REFLECTIONS = 6
_MOST_SEEN = 5  # of them, with which a search with that tube is worth its time
_TEXTURED = 9.0  # χ² per reflection about their ratio that texture makes
_SMALLEST_SPACING = 1.2  # Å: the strongest reflections of most phases are above, thousands of weak ones below
_FEWEST_POINTS = 200
_ENOUGH_POINTS = 4000  # of a scan that is searched with another tube
_IN_RATIO = 1.0  # χ² per reflection; reflections met by chance are at 2 and more
_SIZES_NM = (60.0,)
_RADIATION = "another radiation explains the pattern"
_SAME_TUBE = 0.01  # relative difference of wavelengths
_VARIANTS = tuple(v for v in COLD_VARIANTS if abs(v.strain) < 1e-9)
# Relative errors of the axis that are tried, all together, and the largest that a search by itself bridges.
_LEAST_SCALE, _MOST_SCALE, _SCALE_STEP = 0.004, 0.02, 0.001
_SCALES = tuple(
    Variant(strain=float(sign * strain), shift=float(shift))
    for sign in (-1.0, 1.0)
    for strain in np.arange(_LEAST_SCALE, _MOST_SCALE + 0.5 * _SCALE_STEP, _SCALE_STEP)
    for shift in (-0.1, 0.0, 0.1)
)

OTHER_RADIATION = message_kind(
    "XRD_OTHER_RADIATION",
    "warning",
    "The file states no wavelength, and a tube other than the assumed copper explains the pattern; until it is stated, "
    "no conclusion on phases and amounts can be drawn.",
    remedy="State the radiation of the tube named in the text.",
    threshold="goodness of fit above 2 with copper, of whose excess χ² the other tube leaves less than a quarter; or "
    "the six strongest reflections of a phase at the right positions and in the right ratio",
    origin="judgement; reflections that match by chance scatter by χ² of 2 and more about their ratio",
)
FILE_RADIATION_FITS = message_kind(
    "XRD_FILE_RADIATION_FITS",
    "error",
    "The radiation stated by the user is not that of the file, and that of the file explains the pattern. Do not use "
    "any result obtained with the stated one.",
    remedy="Omit the radiation or the wavelength.",
    threshold="goodness of fit above 2 as stated, of whose excess χ² the file's radiation leaves less than a quarter",
    origin="judgement, as for another tube",
)
STATED_RADIATION_WRONG = message_kind(
    "XRD_STATED_RADIATION_WRONG",
    "error",
    "No phase is found with the radiation stated in the file or the settings, and a search with another tube explains "
    "the pattern. Do not use any result obtained with the stated one.",
    remedy="State the radiation of the tube named in the text, if the diffractometer had it.",
    threshold="goodness of fit above 2 as stated and no phase detected; with the other tube phases are detected, not "
    "only cubic ones, and less than a quarter of the excess χ² remains",
    origin="judgement, as for another tube; the single edge of a cubic cell can be fitted with any wavelength",
)
AXIS_SCALED = message_kind(
    "XRD_AXIS_SCALED",
    "warning",
    "All spacings differ by the same factor from those of phases of the library: the wavelength or the steps of the "
    "axis are not the stated ones, the specimen was hot, or it is another compound of the same structure. Until this "
    "is settled, no conclusion on phases and amounts can be drawn.",
    remedy="Check wavelength, first angle and step against the record of the measurement, or measure a standard.",
    threshold=f"spacings wrong by {100 * _LEAST_SCALE:g} to {100 * _MOST_SCALE:g} %; once corrected, a phase that is "
    "neither cubic nor an apatite is found, and less than a quarter of the excess χ² remains",
    origin="judgement, as for another tube; neighbouring anodes differ by 7 % at least, and few solid solutions change "
    "all axes alike by as much",
)
OTHER_SLIT = message_kind(
    "XRD_OTHER_SLIT",
    "warning",
    "Slits that open with the angle explain a pattern for which fixed slits were assumed; until they are stated, no "
    "conclusion on amounts can be drawn.",
    remedy="Set instrument.variable_slit to true.",
    threshold="goodness of fit above 1.5 with fixed slits, of whose excess χ² automatic ones leave less than a quarter",
    origin="judgement",
)


class OtherOptics(NamedTuple):
    """What fits better than the optics that were assumed or stated.

    `reason` is why no phase is decided: another tube or axis explains the pattern. It is None where slits do, which
    change intensities alone.
    """

    message: Diagnostic
    reason: str | None


def other_optics(  # noqa: C901 - one after the other, each where those before it do not fit
    search: Identification, pattern: Pattern, phases: Sequence[Phase], recipe: Recipe, blank: Pattern | None = None
) -> OtherOptics | None:
    """Name the tube or the slits that fit, where those that were assumed or stated fit badly; else return None.

    `search` is what was found with the assumed optics, `phases` those it started from. A tube is sought with the start
    phases, and, where the search found nothing at all, with the library; a radiation that the user states against the
    file is held against that of the file. Then an axis of another scale is tried, and automatic slits (a factor sinθ)
    where a phase is found and nobody says which there were.
    """
    given, gof = recipe.instrument, search.fit.gof_of_phases
    shown = any(phase.decision == "detected" for phase in search.phases)

    def changed(**settings: Any) -> Instrument:
        return build_instrument(pattern, msgspec.structs.replace(given, **settings))

    def goodness(instrument: Instrument) -> float:
        """Goodness of fit of the start phases with it, infinity where a first fit gives no hope."""
        hopeless = _HOPELESS * gof
        return Refinement.trial_goodness(pattern, phases, instrument, recipe.fit, blank=blank, abandon_gof=hopeless)

    def explains(trial: float) -> bool:
        """Tell whether a goodness of fit leaves less than a quarter of the excess χ² that the whole fit left."""
        return trial**2 - 1.0 <= _EXPLAINED * (gof**2 - 1.0)

    stated = next((m for m in instrument_messages(pattern, given) if m.code == RADIATION_CONTRADICTED.code), None)
    if stated is not None and (given.radiation or given.wavelengths) and gof > _DOUBTFUL_GOF:
        default = InstrumentRecipe()
        own = changed(radiation=default.radiation, wavelengths=default.wavelengths)
        with_it = fit_and_search(pattern, phases, own, recipe.fit, recipe.identification, blank=blank)
        trial = with_it.fit.gof_of_phases
        if explains(trial):
            text = (
                f"With the radiation stated by the user the residual is {gof:.1f} times the scatter of counting, with "
                f"that of the file ({own.wavelength:.5f} Å) {trial:.1f} times. The file is right; omit the option. "
                "Do not use any result obtained with the stated radiation."
            )
            return OtherOptics(FILE_RADIATION_FITS(text, gof=gof, gof_with_it=trial), _RADIATION)
    assumed = radiation_is_assumed(pattern, given)
    if assumed and gof > _DOUBTFUL_GOF:
        if phases:
            tried = {name: goodness(changed(radiation=name)) for name in _TUBES}
            best = min(tried, key=lambda name: tried[name])
            if explains(tried[best]):
                text = (
                    f"The file states no wavelength. With the assumed copper Kα the residual is {gof:.1f} times the "
                    f"scatter of counting, with {best} {tried[best]:.1f} times; this was probably the tube. "
                    f"State the radiation as {best}; until then no conclusion on phases and amounts can be drawn."
                )
                message = OTHER_RADIATION(text, gof=gof, radiation=best, gof_with_it=tried[best])
                return OtherOptics(message, _RADIATION)
        if not shown and recipe.identification.search:
            instruments = {name: changed(radiation=name) for name in _SEARCHED_TUBES}
            met = _best_met(pattern, instruments, recipe, blank)
            if met is not None:
                tube, score = met
                phase, z = score.phase, score.z
                text = (
                    "The file states no wavelength, and with the assumed copper Kα no phase is found. With "
                    f"{tube} the {_REFLECTIONS} strongest reflections of {phase.name.lower()} have the right positions "
                    f"and ratio (z = {z:.0f}); this was probably the tube. State the radiation as {tube}; until then "
                    "no conclusion on phases and amounts can be drawn."
                )
                message = OTHER_RADIATION(text, gof=gof, radiation=tube, phase=phase.id, z=z)
                return OtherOptics(message, _RADIATION)
    slits_known = given.variable_slit is not None or "variable_slit" in pattern.metadata
    if not shown and recipe.identification.search and gof > _DOUBTFUL_GOF and not given.file:
        tubes = {name: changed(radiation=name, wavelengths=InstrumentRecipe().wavelengths) for name in _ALL_TUBES}
        now = search.fit.wavelengths[0]
        others = {name: tube for name, tube in tubes.items() if abs(tube.wavelength / now - 1.0) > _SAME_TUBE}
        found = _searched_with(pattern, phases, others, recipe, blank)
        if found is not None and explains(found.gof):
            without = "with copper, which was assumed," if assumed else "as stated"
            text = (
                f"With {found.optics} the pattern is that of {', '.join(found.phases)}; {without} ({now:.5f} Å) no "
                f"phase is found. {found.optics} was probably the tube, since the residual decreases from {gof:.1f} to "
                f"{found.gof:.1f} times the scatter of counting. State the radiation as {found.optics} if so; until "
                "then no conclusion on phases and amounts can be drawn."
            )
            kind = OTHER_RADIATION if assumed else STATED_RADIATION_WRONG
            return OtherOptics(kind(text, gof=gof, radiation=found.optics, gof_with_it=found.gof), _RADIATION)
    scaled = _with_scaled_axis(search, pattern, phases, recipe, blank, explains)
    if scaled is not None:
        return OtherOptics(scaled.message(gof), "another axis explains the pattern")
    # slits show in the ratios of reflections; halos of matter that is not in the fit they only bend towards it
    if not phases or not shown or slits_known or gof <= _SLIT_GOF:
        return None
    instrument = changed(variable_slit=True)
    trial = goodness(instrument) if instrument.geometry == "bragg_brentano" else np.inf
    if not explains(trial):
        return None
    text = (
        f"With the assumed fixed slits the residual is {gof:.1f} times the scatter of counting, with slits that open "
        f"with the angle {trial:.1f} times; the scan was probably measured with automatic slits. "
        "Set instrument.variable_slit to true; until then no conclusion on amounts can be drawn."
    )
    return OtherOptics(OTHER_SLIT(text, gof=gof, gof_with_it=trial), None)


class _Searched(NamedTuple):
    """What a search with other `optics` found: phases, goodness of fit of them."""

    optics: str
    phases: tuple[str, ...]
    gof: float

    @classmethod
    def with_optics(
        cls,
        optics: str,
        pattern: Pattern,
        phases: Sequence[Phase],
        instrument: Instrument,
        recipe: Recipe,
        blank: Pattern | None,
    ) -> _Searched:
        """Search a pattern, beginning with `phases`."""
        found = fit_and_search(pattern, phases, instrument, recipe.fit, recipe.identification, blank=blank)
        names = tuple(phase.id for phase in found.phases if phase.decision == "detected")
        return cls(optics, names, found.fit.gof_of_phases)


def _searched_with(
    pattern: Pattern,
    phases: Sequence[Phase],
    instruments: Mapping[str, Instrument],
    recipe: Recipe,
    blank: Pattern | None,
) -> _Searched | None:
    """Search with the tube whose radiation puts a phase of the library in its place; None where none does.

    Cubic phases alone do not count: a cubic crystal of no list is one of the list with another tube.
    """
    pattern = _coarser(pattern)
    met = _best_met(
        pattern, instruments, recipe, blank, seen=_MOST_SEEN, in_ratio=_TEXTURED, cubic=False, d_min=_SMALLEST_SPACING
    )
    if met is None:
        return None
    found = _Searched.with_optics(met[0], pattern, phases, instruments[met[0]], recipe, blank)
    systems = {
        phase.crystal_system for phase in (*phases, *searched_phases(recipe.identification)) if phase.id in found.phases
    }
    return found if systems - {"cubic"} else None


class _Scaled(NamedTuple):
    """By which share the spacings of a pattern are longer than the library's, and what a search without it found."""

    share: float
    found: _Searched

    def message(self, gof: float) -> Diagnostic:
        """Say so; `gof` is the goodness of fit with it."""
        text = (
            f"All spacings are {100 * abs(self.share):.1f} % too {'long' if self.share > 0.0 else 'short'}: "
            f"with {self.found.optics} the pattern is {', '.join(self.found.phases)}, and what no phase explains falls "
            f"from {gof:.1f} to {self.found.gof:.1f} times the scatter of counting. The wavelength or the steps of the "
            "axis are probably not the stated ones; otherwise the specimen was hot, or it is another compound of the "
            f"same structure. {AXIS_SCALED.remedy} Until then no conclusion on phases and amounts can be drawn."
        )
        return AXIS_SCALED(text, gof=gof, share=self.share, gof_with_it=self.found.gof)


def _with_scaled_axis(
    search: Identification,
    pattern: Pattern,
    phases: Sequence[Phase],
    recipe: Recipe,
    blank: Pattern | None,
    explains: Callable[[float], bool],
) -> _Scaled | None:
    """Search with the axis that puts a phase in its place whose spacings are all off by one share; None without one.

    `explains` tells whether a goodness of fit does. Neither a cubic phase nor an apatite counts: other compounds of
    their structures look like that. A phase of fixed cell that was found vouches for the axis as it is.
    """
    fixed = {
        phase.id: phase
        for phase in (*phases, *searched_phases(recipe.identification))
        if phase.quantifiable and phase.crystal_system != "cubic" and not phase.is_apatite
    }
    vouched = any(phase.decision == "detected" and phase.id in fixed for phase in search.phases)
    asked = recipe.identification.search and search.fit.gof_of_phases > _DOUBTFUL_GOF
    if vouched or not asked or recipe.instrument.file:
        return None
    pattern = _coarser(pattern)
    instrument = build_instrument(pattern, recipe.instrument)
    bare = _without_phases(pattern, instrument, recipe, blank, _SMALLEST_SPACING)
    met = _met(bare, tuple(fixed.values()), variants=_SCALES, in_ratio=_TEXTURED)
    if not met:
        return None
    item, best = max(met, key=lambda pair: pair[1].z)
    share, first = best.variant.strain, float(pattern.two_theta[0])
    lines = (replace(line, wavelength=line.wavelength / (1.0 + share)) for line in instrument.emission_lines)
    # steps that are wrong leave the first angle where it is; those of the phase's reflections tell by how much
    at = d_to_two_theta(item.d_spacing, instrument.wavelength)
    moved = -2.0 * share * np.degrees(np.tan(np.radians(0.5 * at)))
    stretch = 1.0 + float(item.apparent @ ((at - first) * moved) / (item.apparent @ (at - first) ** 2))
    stretched = replace(pattern, two_theta=first + (pattern.two_theta - first) / stretch)
    trials = (
        ("another wavelength", pattern, replace(instrument, emission_lines=tuple(lines))),
        ("other steps of the axis", stretched, instrument),
    )
    searched = [_Searched.with_optics(name, scan, phases, optics, recipe, blank) for name, scan, optics in trials]
    found = [each for each in searched if set(each.phases) & fixed.keys() and explains(each.gof)]
    return _Scaled(share, min(found, key=lambda each: each.gof)) if found else None


def _part(pattern: Pattern, kept: BoolArray) -> Pattern:
    """The points of a scan that are `kept`."""
    if kept.all():
        return pattern
    x, y, sigma = (a[kept] for a in (pattern.two_theta, pattern.intensity, pattern.sigma))
    return replace(pattern, two_theta=x, intensity=y, sigma=sigma)


def _coarser(pattern: Pattern) -> Pattern:
    """Means of as many neighbouring points as leave enough to search."""
    n = len(pattern.two_theta) // _ENOUGH_POINTS
    if n < 2:
        return pattern
    end = len(pattern.two_theta) // n * n
    x, y, variance = (a[:end].reshape(-1, n) for a in (pattern.two_theta, pattern.intensity, pattern.sigma**2))
    return replace(pattern, two_theta=x.mean(axis=1), intensity=y.mean(axis=1), sigma=np.sqrt(variance.sum(axis=1)) / n)


def _best_met(
    pattern: Pattern,
    instruments: Mapping[str, Instrument],
    recipe: Recipe,
    blank: Pattern | None,
    *,
    seen: int = _REFLECTIONS,
    in_ratio: float = _IN_RATIO,
    cubic: bool = True,
    d_min: float = 0.0,
) -> tuple[str, Score] | None:
    """Find the tube with which six reflections of a library phase lie in place and ratio, and its score.

    `seen` of the six are enough, and `in_ratio` is the χ² per reflection that they may have about their ratio. A phase
    may be `cubic`; spacings below `d_min` (Å) are not looked at.
    """
    able = [p for p in library(recipe.identification.library) if cubic or p.crystal_system != "cubic"]
    able = [p for p in able if p.quantifiable]
    found = [
        (tube, score)
        for tube, instrument in instruments.items()
        for _, score in _met(
            _without_phases(pattern, instrument, recipe, blank, d_min), able, seen=seen, in_ratio=in_ratio
        )
    ]
    return max(found, key=lambda pair: pair[1].z, default=None)


def _without_phases(
    pattern: Pattern, instrument: Instrument, recipe: Recipe, blank: Pattern | None, d_min: float
) -> Refinement | None:
    """Fit without phases of what lies above a spacing (Å); None where that is too few points."""
    wide = two_theta_to_d(pattern.two_theta, instrument.wavelength) > d_min
    if wide.sum() < _FEWEST_POINTS:
        return None
    return Refinement.run(_part(pattern, wide), (), instrument, recipe.fit, blank=blank)


def _met(
    fit: Refinement | None,
    phases: Sequence[Phase],
    *,
    variants: Sequence[Variant] = _VARIANTS,
    seen: int = _REFLECTIONS,
    in_ratio: float,
) -> list[tuple[Candidate, Score]]:
    """Phases of which `seen` of the six strongest reflections lie in place and ratio in what a fit without phases left.

    `variants` are the strains and shifts that are tried, `in_ratio` is the χ² per reflection about the ratio.
    """
    if fit is None:
        return []
    items = {phase.id: candidate(phase, fit) for phase in phases}
    scores = score_phases(list(items.values()), search_residual(fit).projected(), variants=variants, sizes=_SIZES_NM)
    return [
        (items[name], score)
        for name, score in scores.items()
        if score.reflections_expected == _REFLECTIONS
        and score.reflections_seen >= seen
        and score.consistency < in_ratio
    ]
