"""What a tube diffractometer does to sharp lines: the shape of its spectrum, inclined rays, a flat specimen.

At 0.1° of width these move a refined cell by parts in 10⁵. They are put in wherever lines are that sharp and the user
has not given wavelengths as numbers, which stand for lines as symmetric as the numbers are plain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xrdcomp.physics import profile, radiation
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.types import EmissionLine, Instrument, Pattern

__all__ = ["AXIAL_CORRELATION", "EQUATORIAL_DIVERGENCE", "has_sharp_lines", "with_tube_optics"]

AXIAL_CORRELATION = (0.3, 0.15)
"""Correlation of axial inclinations of a tube diffractometer with Soller slits, and how far it may be off: 0.2 to
0.5 for sources of 10-12 mm, specimens of 10-20 mm and Soller slits of 2.3-6.8 degrees (``physics.profile``)."""

EQUATORIAL_DIVERGENCE = (0.7, 0.3)
"""Divergence of fixed slits where nobody says, and how far it may be off, degrees: slits of 0.5 and 1 are usual."""

SHARP_FWHM = 0.2
"""Full width at half maximum, degrees, up to which a line shows the shape of the spectrum."""

_SAME_LINE = 2e-4


def with_tube_optics(
    instrument: Instrument, recipe: InstrumentRecipe | None, pattern: Pattern | None
) -> Instrument:
    """Put the spectrum's shape and the aberrations of flat specimens and inclined rays into an instrument.

    For Cu Kα the four lines of Hölzer et al. 1997 with their natural widths replace the doublet, since two symmetric
    lines move the cell of LaB6 by 1e-4 Å. Axial correlation and equatorial divergence are those of the recipe, else
    follow from what the file states, else are `AXIAL_CORRELATION` and `EQUATORIAL_DIVERGENCE`. Only the spectrum is
    changed where the geometry is another than reflection from a flat specimen.

    Parameters
    ----------
    recipe : InstrumentRecipe, optional
        Wavelengths given as numbers are taken as they are.
    pattern : Pattern, optional
        Its metadata may state the lengths of source, specimen and slit, Soller acceptance and divergence.
    """
    recipe = recipe or InstrumentRecipe()
    if not recipe.wavelengths:
        instrument = _fine_spectrum(instrument)
    if instrument.geometry != "bragg_brentano":
        return instrument
    correlation, divergence = recipe.axial_correlation, recipe.equatorial_divergence
    if correlation is None:
        correlation = _stated_correlation(pattern, instrument.radius_mm)
    if divergence is None:
        stated = _number(pattern, "equatorial_divergence_deg")
        divergence = 0.0 if instrument.variable_slit else stated or EQUATORIAL_DIVERGENCE[0]
    return replace(instrument, axial_correlation=correlation, equatorial_divergence=divergence)


def has_sharp_lines(pattern: Pattern) -> bool:
    """Whether one of the five highest peaks is narrower at half its height than `SHARP_FWHM`.

    Peaks below a quarter of the highest, or below ten times their own scatter, are not looked at.
    """
    x, y = pattern.two_theta, pattern.intensity
    base = float(np.median(y))
    left = np.ones(len(y), dtype=bool)
    highest = float(y.max()) - base
    for _ in range(5):
        top = int(np.argmax(np.where(left, y, -np.inf)))
        height = float(y[top]) - base
        if height < max(0.25 * highest, 10.0 * float(pattern.sigma[top])):
            return False
        low = np.flatnonzero(y < base + 0.5 * height)
        before, behind = low[low < top], low[low > top]
        first = before[-1] if len(before) else 0
        last = behind[0] if len(behind) else len(y) - 1
        if len(before) and len(behind) and x[last] - x[first] < SHARP_FWHM:
            return True
        left[max(0, 3 * first - 2 * top) : 3 * last - 2 * top + 1] = False
    return False


def _fine_spectrum(instrument: Instrument) -> Instrument:
    """Hölzer's lines for a Cu Kα doublet; the natural width for Kα1 alone."""
    copper = radiation.emission_lines("CuKa1")[0][0]
    if abs(instrument.wavelength / copper - 1.0) > _SAME_LINE:
        return instrument
    rows = radiation.fine_profile("hoelzer")
    extra = tuple(line for line in instrument.emission_lines if line.label)
    # the table of wavelengths gives the top of the profile, 0.3 parts per million above that of Hölzer's energies
    scale = copper / radiation.profile_top(rows)
    if len(instrument.emission_lines) - len(extra) == 1:
        rows, scale = rows[:1], copper / rows[0, 0]
    # amounts are per unit of all weights: what is replaced keeps its sum, so that sharp and broad patterns compare
    total = sum(line.weight for line in instrument.emission_lines if not line.label) / rows[:, 2].sum()
    lines = tuple(
        EmissionLine(wavelength=float(w * scale), weight=float(share * total), fwhm=float(fwhm))
        for w, fwhm, share in rows
    )
    return replace(instrument, emission_lines=(*lines, *extra), lorentzian_strain=0.005)


def _stated_correlation(pattern: Pattern | None, radius_mm: float) -> float:
    source, specimen, soller = (
        _number(pattern, key) for key in ("source_length_mm", "specimen_length_mm", "soller_deg")
    )
    if source is None or specimen is None or soller is None:
        return AXIAL_CORRELATION[0]
    return profile.axial_correlation((source, specimen, specimen), soller, radius_mm)


def _number(pattern: Pattern | None, key: str) -> float | None:
    value = pattern.metadata.get(key) if pattern is not None else None
    return float(value) if isinstance(value, int | float) and value > 0 else None
