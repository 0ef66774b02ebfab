"""The instrument of one analysis: what the user said, else what the file says, else a stated generic one."""

from __future__ import annotations

from dataclasses import replace

from xrdcomp.errors import RecipeError
from xrdcomp.physics import radiation
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.types import Diagnostic, EmissionLine, Instrument, Pattern

__all__ = ["build_instrument", "instrument_diagnostics"]

_DEFAULT_RADIATION = "CuKa"


def build_instrument(pattern: Pattern | None, recipe: InstrumentRecipe) -> Instrument:
    """Instrument for a pattern: wavelengths of the recipe, else of the file, else copper Kα.

    Parameters
    ----------
    pattern : Pattern or None
    recipe : InstrumentRecipe

    Raises
    ------
    RecipeError
        Unknown radiation.
    """
    instrument = Instrument(
        emission_lines=_lines(pattern, recipe),
        geometry=recipe.geometry,
        monochromator_two_theta=recipe.monochromator_two_theta,
        variable_slit=recipe.variable_slit,
    )
    radius = recipe.radius_mm or (_number(pattern, "goniometer_radius_mm") if pattern else None)
    return replace(instrument, radius_mm=radius) if radius else instrument


def _number(pattern: Pattern, key: str) -> float | None:
    value = pattern.metadata.get(key)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _lines(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[EmissionLine, ...]:
    if recipe.wavelengths:
        weights = [1.0, *[recipe.intensity_ratio] * (len(recipe.wavelengths) - 1)]
        return tuple(
            EmissionLine(wavelength=w, weight=g) for w, g in zip(recipe.wavelengths, weights, strict=True)
        )
    if recipe.radiation:
        return _named(recipe.radiation)
    if pattern is not None and pattern.emission_lines:
        return pattern.emission_lines
    if pattern is not None and pattern.anode:
        return _named(f"{pattern.anode}Ka")
    return _named(_DEFAULT_RADIATION)


def _named(name: str) -> tuple[EmissionLine, ...]:
    try:
        lines = radiation.emission_lines(name)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return tuple(EmissionLine(wavelength=wavelength, weight=weight) for wavelength, weight in lines)


def instrument_diagnostics(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[Diagnostic, ...]:
    """What was assumed about the instrument because neither the file nor the user said it."""
    if pattern is None or recipe.wavelengths or recipe.radiation or pattern.emission_lines or pattern.anode:
        return ()
    lines = _named(_DEFAULT_RADIATION)
    return (
        Diagnostic(
            code="XRD_RADIATION_ASSUMED",
            severity="warning",
            text=(
                f"The file states no wavelength; copper Kα ({lines[0].wavelength:.6f} Å) was assumed. "
                "Pass --radiation or --wavelength if the tube was another."
            ),
            facts={"wavelength": lines[0].wavelength},
        ),
    )
