"""Whether another tube, or slits that opened with the angle, explain a pattern that fits badly as it was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase
from xrdcomp.instrument.build import build_instrument
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.results import FitResult
from xrdcomp.search.nuisance import Score, make_screen, score_phases
from xrdcomp.search.templates import COLD_VARIANTS, library, phase_lines

OTHER_TUBES = ("CoKa", "FeKa", "CrKa", "MoKa")
DOUBTFUL_GOF = 2.0
_SLIT_GOF = 1.5  # slits taken for fixed ones bend the whole pattern, which halos half follow
_EXPLAINED = 0.25  # of the excess χ²
_HOPELESS = 0.7  # of the goodness of fit: a first fit this bad will not end below a quarter of the excess χ²
_TUBES = tuple(name for name in OTHER_TUBES if name != "MoKa")  # molybdenum has ten times the lines in range
_LINES = 6
_IN_RATIO = 1.0  # χ² per line; lines met by chance are at 2 and more
_SIZES_NM = (60.0,)
_VARIANTS = tuple(v for v in COLD_VARIANTS if abs(v.strain) < 1e-9)


def other_radiation(
    fit: FitResult, pattern: Pattern, phases: Sequence[Phase], recipe: Recipe, blank: Pattern | None = None
) -> tuple[Diagnostic, ...]:
    """Whether another tube explains a pattern that was taken for copper and fits badly.

    Nothing is changed: the wavelength is the user's to state. A tube is named where the start phases alone, with its
    Kα lines, leave less than a quarter of the excess χ² that the whole fit left, and the lowest of all tubes tried.

    Parameters
    ----------
    fit : FitResult
        With the assumed radiation, all phases found included.
    pattern : Pattern
    phases : sequence of Phase
        Those the search started from.
    recipe : Recipe
    blank : Pattern, optional
        Empty-holder scan.

    Returns
    -------
    tuple of Diagnostic
        One where a tube explains the pattern better, else empty.
    """
    if fit.gof <= DOUBTFUL_GOF:
        return ()
    trial = _Trial(fit, pattern, phases, recipe, blank)
    tried = {name: trial.gof(trial.instrument(radiation=name)) for name in OTHER_TUBES}
    best = min(tried, key=lambda name: tried[name])
    if not trial.explains(tried[best]):
        return ()
    return (
        Diagnostic(
            code="XRD_OTHER_RADIATION",
            severity="warning",
            text=(
                f"The file states no wavelength. With the copper Kα that was assumed the fit leaves {fit.gof:.1f} "
                f"times the scatter of counting, with {best} {tried[best]:.1f} times: the tube was probably that. "
                f"Pass --radiation {best}; until then nothing follows about phases and amounts."
            ),
            facts={"gof": fit.gof, "radiation": best, "gof_with_it": tried[best]},
        ),
    )


def other_slit(
    fit: FitResult, pattern: Pattern, phases: Sequence[Phase], recipe: Recipe, blank: Pattern | None = None
) -> tuple[Diagnostic, ...]:
    """Whether slits that opened with the angle explain a pattern that was taken for one of fixed slits and fits badly.

    Nothing is changed. Asked only where neither the user nor the file says which slits there were; automatic slits are
    named where the start phases, with the factor sinθ, leave less than a quarter of the excess χ² of the whole fit.

    Parameters
    ----------
    fit : FitResult
        With fixed slits, all phases found included.
    pattern : Pattern
    phases : sequence of Phase
        Those the search started from.
    recipe : Recipe
    blank : Pattern, optional
        Empty-holder scan.

    Returns
    -------
    tuple of Diagnostic
        One where automatic slits explain the pattern better, else empty.
    """
    unsaid = recipe.instrument.variable_slit is None and "variable_slit" not in pattern.metadata
    if not unsaid or fit.gof <= _SLIT_GOF:
        return ()
    trial = _Trial(fit, pattern, phases, recipe, blank)
    instrument = trial.instrument(variable_slit=True)
    if instrument.geometry != "bragg_brentano":
        return ()
    tried = trial.gof(instrument)
    if not trial.explains(tried):
        return ()
    text = (
        f"With fixed slits, which were assumed, the fit leaves {fit.gof:.1f} times the scatter of counting, with slits "
        f"that open with the angle {tried:.1f} times: the scan was probably taken with automatic slits. Pass --set "
        "instrument.variable_slit=true; until then nothing follows about amounts."
    )
    facts = {"gof": fit.gof, "gof_with_it": tried}
    return (Diagnostic(code="XRD_OTHER_SLIT", severity="warning", text=text, facts=facts),)


def tube_of_lines(
    fit: FitResult, pattern: Pattern, recipe: Recipe, blank: Pattern | None = None
) -> tuple[Diagnostic, ...]:
    """Name the tube with which six lines of a library phase lie in place and ratio, where copper was assumed.

    For patterns in which the search found nothing; cobalt, iron and chromium are tried. Nothing is changed: the
    wavelength is the user's to state.

    Parameters
    ----------
    fit : FitResult
        With the assumed radiation; one that fits well is not doubted.
    pattern : Pattern
    recipe : Recipe
    blank : Pattern, optional
        Empty-holder scan.

    Returns
    -------
    tuple of Diagnostic
        One where a tube explains lines, else empty.
    """
    if fit.gof <= DOUBTFUL_GOF:
        return ()
    found: list[tuple[Score, str]] = []
    trial = _Trial(fit, pattern, (), recipe, blank)
    for name in _TUBES:
        state = Refinement.run(pattern, (), trial.instrument(radiation=name), recipe.fit, blank=blank)
        lines = [phase_lines(p, state) for p in library(recipe.identification.library) if p.quantifiable]
        scores = score_phases(lines, make_screen(state).nuisance(), variants=_VARIANTS, sizes=_SIZES_NM)
        found += [
            (score, name)
            for score in scores.values()
            if score.lines_seen == score.lines_expected == _LINES and score.consistency < _IN_RATIO
        ]
    if not found:
        return ()
    best, tube = max(found, key=lambda pair: pair[0].z)
    text = (
        f"The file states no wavelength, and with the copper Kα that was assumed nothing is found. With {tube} the "
        f"{_LINES} strongest lines of {best.phase.name.lower()} lie in place and ratio (z = {best.z:.0f}): the tube "
        f"was probably that. Pass --radiation {tube}; until then nothing follows about phases and amounts."
    )
    facts: dict[str, str | float] = {"gof": fit.gof, "radiation": tube, "phase": best.phase.id, "z": best.z}
    return (Diagnostic(code="XRD_OTHER_RADIATION", severity="warning", text=text, facts=facts),)


@dataclass(frozen=True)
class _Trial:
    """A pattern that fits badly, to be fitted with another instrument, and whether that explains it."""

    fit: FitResult
    pattern: Pattern
    phases: Sequence[Phase]
    recipe: Recipe
    blank: Pattern | None

    def instrument(self, **changes: Any) -> Instrument:
        """Instrument with some settings of the recipe changed."""
        return build_instrument(self.pattern, msgspec.structs.replace(self.recipe.instrument, **changes))

    def gof(self, instrument: Instrument) -> float:
        """Goodness of fit of the start phases with it, infinity where a first fit gives no hope."""
        hopeless = _HOPELESS * self.fit.gof
        fit = self.recipe.fit
        return Refinement.trial_goodness(
            self.pattern, self.phases, instrument, fit, blank=self.blank, abandon_gof=hopeless
        )

    def explains(self, gof: float) -> bool:
        """Whether a goodness of fit leaves less than a quarter of the excess χ² that the whole fit left."""
        return gof**2 - 1.0 <= _EXPLAINED * (self.fit.gof**2 - 1.0)
