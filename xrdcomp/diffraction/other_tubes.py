"""Whether the lines of a pattern that was taken for copper are those of a library phase with another tube."""

from __future__ import annotations

import msgspec

from xrdcomp.diffraction.candidates import library, phase_lines
from xrdcomp.diffraction.instrument import DOUBTFUL_GOF, OTHER_TUBES, build_instrument
from xrdcomp.diffraction.scoring import COLD_VARIANTS, Score, score_phases
from xrdcomp.diffraction.screening import make_screen
from xrdcomp.fit.pattern import fit_state
from xrdcomp.recipe import Recipe
from xrdcomp.results import Diagnostic, FitResult
from xrdcomp.types import Pattern

__all__ = ["tube_of_lines"]

_TUBES = tuple(name for name in OTHER_TUBES if name != "MoKa")  # molybdenum has ten times the lines in range
_LINES = 6
_IN_RATIO = 1.0  # χ² per line; lines met by chance are at 2 and more
_SIZES_NM = (60.0,)
_VARIANTS = tuple(v for v in COLD_VARIANTS if abs(v.strain) < 1e-9)


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
    for name in _TUBES:
        instrument = build_instrument(pattern, msgspec.structs.replace(recipe.instrument, radiation=name))
        state = fit_state(pattern, (), instrument, recipe.fit, blank=blank)
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
