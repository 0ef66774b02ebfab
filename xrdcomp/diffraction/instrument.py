"""The instrument of one analysis: what the user said, else what the file says, else a stated generic one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from xrdcomp.diffraction.instrument_file import read_instrument
from xrdcomp.diffraction.tube import has_sharp_lines, with_tube_optics
from xrdcomp.errors import RecipeError
from xrdcomp.physics import radiation
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.types import Diagnostic, EmissionLine, Instrument, Pattern

__all__ = ["build_instrument", "instrument_diagnostics"]

_DEFAULT_RADIATION = "CuKa"
_BESIDE_A_FILE = (
    "radius_mm",
    "monochromator_two_theta",
    "polarization_fraction",
    "variable_slit",
    "absorption_radius",
    "equatorial_divergence",
    "axial_correlation",
)
_SAME_RADIATION = 2e-3  # Kα1 against a mean of Kα1 and Kα2, and tables against each other


def build_instrument(pattern: Pattern | None, recipe: InstrumentRecipe) -> Instrument:
    """Instrument for a pattern: wavelengths of the recipe, else of the file, else copper Kα.

    With an instrument file, resolution and aberrations are taken from it; settings of the recipe that differ from their
    defaults go before it.

    Parameters
    ----------
    pattern : Pattern or None
    recipe : InstrumentRecipe

    Returns
    -------
    Instrument
        Wavelengths in ångström, angles in degrees, lengths in mm.

    Raises
    ------
    RecipeError
        Unknown radiation, an instrument file that cannot be read, or one of another radiation or geometry.
    """
    if recipe.file:
        return _from_file(pattern, recipe)
    monochromator = recipe.monochromator_two_theta
    if monochromator is None and pattern is not None:
        monochromator = _number(pattern, "monochromator_two_theta")
    instrument = Instrument(
        emission_lines=_lines(pattern, recipe),
        geometry=recipe.geometry,
        monochromator_two_theta=monochromator,
        polarization_fraction=recipe.polarization_fraction,
        variable_slit=_variable_slit(pattern, recipe),
        equatorial_divergence=recipe.equatorial_divergence or 0.0,
        axial_correlation=recipe.axial_correlation or 0.0,
        absorption_radius=recipe.absorption_radius,
    )
    radius = recipe.radius_mm or (_number(pattern, "goniometer_radius_mm") if pattern else None)
    instrument = replace(instrument, radius_mm=radius) if radius else instrument
    if recipe.wavelengths or pattern is None or not has_sharp_lines(pattern):
        return instrument
    return with_tube_optics(instrument, recipe, pattern)


def _from_file(pattern: Pattern | None, recipe: InstrumentRecipe) -> Instrument:
    instrument = read_instrument(recipe.file)
    given = bool(recipe.wavelengths or recipe.radiation)
    lines = _lines(pattern, recipe)
    stated = given or (pattern is not None and bool(pattern.emission_lines or pattern.anode))
    if stated and abs(_strongest(lines) / instrument.wavelength - 1.0) > _SAME_RADIATION:
        other = "the settings say" if given else "the scan says"
        msg = (
            f"{recipe.file}: calibrated with {instrument.wavelength:.5f} Å, but {other} {_strongest(lines):.5f} Å. "
            "Calibrate for this radiation, or leave the file out."
        )
        raise RecipeError(msg)
    if recipe.wavelengths:
        instrument = replace(instrument, emission_lines=lines)
    elif given and _families(lines) != _families(instrument.emission_lines):
        msg = (
            f"{recipe.file}: calibrated with {_families(instrument.emission_lines)} line(s) of Kα, but "
            f"{recipe.radiation} has {_families(lines)}. Calibrate for this radiation, or leave the file out."
        )
        raise RecipeError(msg)
    else:
        known = {line.label for line in instrument.emission_lines}
        residual = tuple(x for x in _residual_lines(instrument.wavelength, recipe) if x.label not in known)
        instrument = replace(instrument, emission_lines=(*instrument.emission_lines, *residual))
    default = InstrumentRecipe()
    if recipe.geometry not in (default.geometry, instrument.geometry):
        msg = (
            f"{recipe.file}: calibrated in {instrument.geometry} geometry, but the settings say {recipe.geometry}. "
            "Calibrate in this geometry, or leave the file out."
        )
        raise RecipeError(msg)
    changes: dict[str, Any] = {
        name: getattr(recipe, name)
        for name in _BESIDE_A_FILE
        if getattr(recipe, name) not in (None, getattr(default, name))
    }
    stated = pattern is not None and pattern.metadata.get("variable_slit") is True
    if stated and recipe.variable_slit is None:
        changes["variable_slit"] = True
    return replace(instrument, **changes)


def _families(lines: tuple[EmissionLine, ...]) -> int:
    """How many lines the spectrum has, those within 0.1 % being one of several components."""
    plain = sorted(line.wavelength for line in lines if not line.label and line.weight > 0.0)
    return 1 + sum(b / a - 1.0 > 1e-3 for a, b in pairwise(plain))


def _variable_slit(pattern: Pattern | None, recipe: InstrumentRecipe) -> bool:
    """Whether the slits opened with the angle: the user's word, else the file's."""
    if recipe.variable_slit is not None:
        return recipe.variable_slit
    return pattern is not None and pattern.metadata.get("variable_slit") is True


def _strongest(lines: tuple[EmissionLine, ...]) -> float:
    return max(lines, key=lambda line: line.weight).wavelength


def _number(pattern: Pattern, key: str) -> float | None:
    value = pattern.metadata.get(key)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _lines(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[EmissionLine, ...]:
    lines = _main_lines(pattern, recipe)
    return (*lines, *_residual_lines(_strongest(lines), recipe))


def _residual_lines(strongest: float, recipe: InstrumentRecipe) -> tuple[EmissionLine, ...]:
    extra: list[EmissionLine] = []
    if recipe.kbeta_ratio > 0.0:
        wavelength = _kbeta(strongest)
        extra.append(EmissionLine(wavelength=wavelength, weight=recipe.kbeta_ratio, label="kbeta"))
    if recipe.w_la_ratio > 0.0:
        extra += [
            EmissionLine(wavelength=wavelength, weight=weight * recipe.w_la_ratio, label="w_la")
            for wavelength, weight in radiation.emission_lines("WLa")
        ]
    return tuple(extra)


def _main_lines(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[EmissionLine, ...]:
    if recipe.wavelengths:
        weights = recipe.wavelength_weights or (
            1.0,
            *[recipe.intensity_ratio] * (len(recipe.wavelengths) - 1),
        )
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


def _kbeta(wavelength: float) -> float:
    try:
        return radiation.kbeta_wavelength(wavelength)
    except ValueError as error:
        msg = f"instrument.kbeta_ratio: {error}"
        raise RecipeError(msg) from error


def _named(name: str) -> tuple[EmissionLine, ...]:
    try:
        lines = radiation.emission_lines(name)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return tuple(EmissionLine(wavelength=wavelength, weight=weight) for wavelength, weight in lines)


def instrument_diagnostics(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[Diagnostic, ...]:
    """What was assumed about the instrument because neither the file nor the user said it.

    Parameters
    ----------
    pattern : Pattern or None
    recipe : InstrumentRecipe

    Returns
    -------
    tuple of Diagnostic
    """
    if pattern is None or recipe.file:
        return ()
    generic = Instrument(emission_lines=_lines(pattern, recipe))
    width = float(np.sqrt(generic.caglioti_w))
    out = [
        Diagnostic(
            code="XRD_GENERIC_INSTRUMENT",
            severity="info",
            text=(
                f"No instrument file was given: crystallite sizes and strains are relative to a generic laboratory "
                f"diffractometer (Gaussian width {width:.3f}°, refined with the pattern); their uncertainty holds 0.03 "
                "degrees for it. Measure a line-profile standard, run `xrdcomp calibrate` and pass --instrument."
            ),
            facts={"gaussian_fwhm": width},
        )
    ]
    if recipe.wavelengths or recipe.radiation or pattern.emission_lines or pattern.anode:
        return tuple(out)
    lines = _named(_DEFAULT_RADIATION)
    return (
        *out,
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
