"""Another tube, or slits that opened with the angle, tried on a pattern that fits badly as it was taken.

Nothing is changed: wavelength and slits are the user's to state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, message_kind
from xrdcomp.instrument.build import build_instrument, radiation_is_assumed
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.results import FitResult
from xrdcomp.search.nuisance import Score, score_phases, search_residual
from xrdcomp.search.search import Identification
from xrdcomp.search.templates import COLD_VARIANTS, candidate, library

OTHER_TUBES = ("CoKa", "FeKa", "CrKa", "MoKa")
DOUBTFUL_GOF = 2.0
_SLIT_GOF = 1.5  # slits taken for fixed ones bend the whole pattern, which amorphous scattering half follows
_EXPLAINED = 0.25  # of the excess χ²
_HOPELESS = 0.7  # of the goodness of fit: a first fit this bad will not end below a quarter of the excess χ²
_SEARCHED_TUBES = tuple(
    name for name in OTHER_TUBES if name != "MoKa"
)  # Mo has ten times the reflections in range
_REFLECTIONS = 6
_IN_RATIO = 1.0  # χ² per reflection; reflections met by chance are at 2 and more
_SIZES_NM = (60.0,)
_VARIANTS = tuple(v for v in COLD_VARIANTS if abs(v.strain) < 1e-9)

OTHER_RADIATION = message_kind(
    "XRD_OTHER_RADIATION",
    "warning",
    "The file states no wavelength, and another tube than the copper that was assumed explains the pattern; until it "
    "is stated nothing follows about phases and amounts.",
    remedy="Pass --radiation with the tube that is named.",
    threshold="goodness of fit above 2 with copper, of whose excess χ² the other tube leaves less than a quarter; or "
    "the six strongest reflections of a phase in place and ratio",
    origin="judgement; reflections met by chance scatter by χ² of 2 and more about their ratio",
)
OTHER_SLIT = message_kind(
    "XRD_OTHER_SLIT",
    "warning",
    "Slits that open with the angle explain a pattern that was taken for one of fixed slits; until they are stated "
    "nothing follows about amounts.",
    remedy="Pass --set instrument.variable_slit=true.",
    threshold="goodness of fit above 1.5 with fixed slits, of whose excess χ² automatic ones leave less than a quarter",
    origin="judgement",
)


def other_optics(
    search: Identification,
    pattern: Pattern,
    phases: Sequence[Phase],
    recipe: Recipe,
    blank: Pattern | None = None,
) -> tuple[Diagnostic, ...]:
    """Name the tube or the slits that fit, where copper or fixed slits were assumed and fit badly; else return nothing.

    `search` is what was found with the assumed optics, `phases` those it started from. A tube is sought with the start
    phases, and, where the search found nothing at all, with the library.
    """
    tried = _Trial(fit=search.fit, pattern=pattern, phases=phases, recipe=recipe, blank=blank)
    found: tuple[Diagnostic, ...] = ()
    if radiation_is_assumed(pattern, recipe.instrument) and search.fit.gof > DOUBTFUL_GOF:
        found = _tube_that_fits(tried) if phases else ()
        nothing = all(phase.decision != "detected" for phase in search.phases)
        if nothing and recipe.identification.search and not found:
            found = _tube_of_reflections(tried)
    return found or (_slit_that_fits(tried) if phases else ())


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """A pattern that fits badly, to be fitted with another instrument."""

    fit: FitResult
    pattern: Pattern
    phases: Sequence[Phase]
    recipe: Recipe
    blank: Pattern | None

    def instrument(self, *, radiation: str | None = None, variable_slit: bool | None = None) -> Instrument:
        """Build the instrument of the recipe with another tube or other slits."""
        given = {"radiation": radiation, "variable_slit": variable_slit}
        changes = {name: value for name, value in given.items() if value is not None}
        return build_instrument(self.pattern, msgspec.structs.replace(self.recipe.instrument, **changes))

    def goodness(self, instrument: Instrument) -> float:
        """Goodness of fit of the start phases with it, infinity where a first fit gives no hope."""
        return Refinement.trial_goodness(
            self.pattern,
            self.phases,
            instrument,
            self.recipe.fit,
            blank=self.blank,
            abandon_gof=_HOPELESS * self.fit.gof,
        )

    def explains(self, gof: float) -> bool:
        """Tell whether a goodness of fit leaves less than a quarter of the excess χ² that the whole fit left."""
        return gof**2 - 1.0 <= _EXPLAINED * (self.fit.gof**2 - 1.0)


def _tube_that_fits(trial: _Trial) -> tuple[Diagnostic, ...]:
    """Name the tube with whose Kα lines the start phases alone explain the pattern, the best of all tubes."""
    gof = trial.fit.gof
    tried = {name: trial.goodness(trial.instrument(radiation=name)) for name in OTHER_TUBES}
    best = min(tried, key=lambda name: tried[name])
    if not trial.explains(tried[best]):
        return ()
    text = (
        f"The file states no wavelength. With the copper Kα that was assumed the fit leaves {gof:.1f} times the "
        f"scatter of counting, with {best} {tried[best]:.1f} times: the tube was probably that. Pass "
        f"--radiation {best}; until then nothing follows about phases and amounts."
    )
    return (OTHER_RADIATION(text, gof=gof, radiation=best, gof_with_it=tried[best]),)


def _tube_of_reflections(trial: _Trial) -> tuple[Diagnostic, ...]:
    """Name the tube (Co, Fe, Cr) with which six reflections of a library phase lie in place and ratio."""
    found: list[tuple[Score, str]] = []
    for name in _SEARCHED_TUBES:
        recipe = trial.recipe
        state = Refinement.run(
            trial.pattern, (), trial.instrument(radiation=name), recipe.fit, blank=trial.blank
        )
        lines = [candidate(p, state) for p in library(recipe.identification.library) if p.quantifiable]
        scores = score_phases(lines, search_residual(state).projected(), variants=_VARIANTS, sizes=_SIZES_NM)
        found += [
            (score, name)
            for score in scores.values()
            if score.reflections_seen == score.reflections_expected == _REFLECTIONS
            and score.consistency < _IN_RATIO
        ]
    if not found:
        return ()
    best, tube = max(found, key=lambda pair: pair[0].z)
    text = (
        f"The file states no wavelength, and with the copper Kα that was assumed nothing is found. With {tube} the "
        f"{_REFLECTIONS} strongest reflections of {best.phase.name.lower()} lie in place and ratio (z = {best.z:.0f}): "
        f"the tube was probably that. Pass --radiation {tube}; until then nothing follows about phases and amounts."
    )
    return (OTHER_RADIATION(text, gof=trial.fit.gof, radiation=tube, phase=best.phase.id, z=best.z),)


def _slit_that_fits(trial: _Trial) -> tuple[Diagnostic, ...]:
    """Name automatic slits (a factor sinθ) where nobody says which there were and they explain the pattern."""
    gof, pattern = trial.fit.gof, trial.pattern
    if trial.recipe.instrument.variable_slit is not None or "variable_slit" in pattern.metadata:
        return ()
    if gof <= _SLIT_GOF:
        return ()
    instrument = trial.instrument(variable_slit=True)
    if instrument.geometry != "bragg_brentano":
        return ()
    tried = trial.goodness(instrument)
    if not trial.explains(tried):
        return ()
    text = (
        f"With fixed slits, which were assumed, the fit leaves {gof:.1f} times the scatter of counting, with slits "
        f"that open with the angle {tried:.1f} times: the scan was probably taken with automatic slits. Pass "
        "--set instrument.variable_slit=true; until then nothing follows about amounts."
    )
    return (OTHER_SLIT(text, gof=gof, gof_with_it=tried),)
