"""Material of an empty holder, recognised by where its humps lie. Below a specimen: ``refinement.result``."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Instrument, Pattern
from xrdcomp.errors import OutputError, RecipeError
from xrdcomp.physics import elements, profiles
from xrdcomp.physics.amorphous import COPPER, HOLDERS, Holder, holder_shape
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.units import FloatArray

# ------------ What a tube diffractometer does to sharp lines: the shape of its spectrum, inclined rays, a
# flat specimen.
# At 0.1° of width these move a refined cell by parts in 10⁵. They are put in wherever lines are that sharp and the user
# has not given wavelengths as numbers, which stand for lines as symmetric as the numbers are plain.

AXIAL_CORRELATION = (0.3, 0.15)
"""Correlation of axial inclinations of a tube diffractometer with Soller slits, and how far it may be off: 0.2 to
0.5 for sources of 10-12 mm, specimens of 10-20 mm and Soller slits of 2.3-6.8 degrees (``physics.profiles``)."""

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
    copper = elements.emission_lines("CuKa1")[0][0]
    if abs(instrument.wavelength / copper - 1.0) > _SAME_LINE:
        return instrument
    rows = elements.fine_profile("hoelzer")
    extra = tuple(line for line in instrument.emission_lines if line.label)
    # the table of wavelengths gives the top of the profile, 0.3 parts per million above that of Hölzer's energies
    scale = copper / elements.profile_top(rows)
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
    return profiles.axial_correlation((source, specimen, specimen), soller, radius_mm)


def _number(pattern: Pattern | None, key: str) -> float | None:
    value = pattern.metadata.get(key) if pattern is not None else None
    return float(value) if isinstance(value, int | float) and value > 0 else None


# ------------ An instrument on disk: TOML with the fields of `Instrument`, as `xrdcomp calibrate` writes
# it.

_FIELDS = tuple(field.name for field in dataclasses.fields(Instrument))
_PROVENANCE = "provenance"


def read_instrument(path: str | Path) -> Instrument:
    """Read an instrument file.

    Parameters
    ----------
    path : path
        TOML; keys are the fields of `Instrument`, ``emission_lines`` is a list of tables with ``wavelength``
        in ångström and ``weight``. Fields that are left out take their defaults; the table ``provenance``
        is for people.

    Returns
    -------
    Instrument

    Raises
    ------
    RecipeError
        The file cannot be read, a key does not exist (the nearest is proposed) or has an illegal value.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{path}: cannot be read as an instrument ({reason}). Expected: TOML as `xrdcomp calibrate` writes."
        raise RecipeError(msg) from error
    data.pop(_PROVENANCE, None)
    unknown = [key for key in data if key not in _FIELDS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], _FIELDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else f" Known: {', '.join(_FIELDS)}."
        msg = f"{path}: {unknown[0]}: an instrument has no such property.{hint}"
        raise RecipeError(msg)
    try:
        return msgspec.convert(data, Instrument)
    except msgspec.ValidationError as error:
        msg = f"{path}: {error}"
        raise RecipeError(msg) from error


def write_instrument(
    instrument: Instrument, path: str | Path, *, provenance: Mapping[str, str | float] | None = None
) -> Path:
    """Write an instrument file, whole or not at all.

    Parameters
    ----------
    instrument : Instrument
    path : path
    provenance : mapping, optional
        Where the numbers come from (standard, file, figures of the fit); kept, not used.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    OutputError
        The place cannot be written.
    """
    target = Path(path)
    fields = dataclasses.asdict(instrument)
    lines = fields.pop("emission_lines")
    parts = [_table(fields), *(f"[[emission_lines]]\n{_table(line)}" for line in lines)]
    if provenance:
        parts.append(f"[{_PROVENANCE}]\n{_table(provenance)}")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        msg = f"{target}: cannot be written ({error.strerror}). Choose another place with -o."
        raise OutputError(msg) from error
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
        stream.write("\n".join(parts))
    Path(name).chmod(0o644)
    Path(name).replace(target)
    return target


def _table(values: Mapping[str, object]) -> str:
    """``key = value`` lines; None is left out. JSON's strings, numbers and booleans are TOML's as well."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n"
        for key, value in values.items()
        if value is not None
    )


# ------------ The instrument of one analysis: what the user said, else what the file says, else a stated
# generic one.

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
        monochromator = _instrument_number(pattern, "monochromator_two_theta")
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
    radius = recipe.radius_mm or (_instrument_number(pattern, "goniometer_radius_mm") if pattern else None)
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


def _instrument_number(pattern: Pattern, key: str) -> float | None:
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
            for wavelength, weight in elements.emission_lines("WLa")
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
        return elements.kbeta_wavelength(wavelength)
    except ValueError as error:
        msg = f"instrument.kbeta_ratio: {error}"
        raise RecipeError(msg) from error


def _named(name: str) -> tuple[EmissionLine, ...]:
    try:
        lines = elements.emission_lines(name)
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


# ------------ Material of an empty holder, recognised by where its humps lie. Below a specimen:
# ``refinement.result``.

_MIN_RELATIVE_HEIGHT = 0.04
_MIN_Z = 6.0
_MIN_SHARE = 0.25


def holder_humps(pattern: Pattern, *, wavelength: float = COPPER) -> tuple[Diagnostic, ...]:
    """Name the material of an empty holder from its scan.

    Falling air terms and a constant, (2θ0/2θ)^k with k = 0, 1, 2, 4, are fitted with and without each material's humps,
    all non-negative; a material is named where it removes most of what the falling terms leave, its height exceeds 4 %
    of the level and six standard deviations.

    Parameters
    ----------
    pattern : Pattern
        Scan of the empty holder.
    wavelength : float, ångström; positions scale with it at constant q

    Returns
    -------
    One Diagnostic ``HOLDER_HUMP``, or none.
    """
    found = _recognise((pattern.two_theta, pattern.intensity, pattern.sigma), wavelength)
    return tuple(
        replace(d, severity="info", text=f"{d.text} The scan is scaled into the background.") for d in found
    )


def _recognise(curve: tuple[FloatArray, FloatArray, FloatArray], wavelength: float) -> tuple[Diagnostic, ...]:
    from scipy import optimize

    x, y, s = _binned(*curve)
    falling = np.stack([(x[0] / x) ** k for k in (0.0, 1.0, 2.0, 4.0)], axis=1) / s[:, None]
    _, plain = optimize.nnls(falling, y / s)
    best: tuple[float, Holder, float, float, float] | None = None
    for holder in HOLDERS:
        shape = holder_shape(holder, x, wavelength)
        if shape is None:
            continue
        joined = np.concatenate([falling, (shape / s)[:, None]], axis=1)
        coefficients, with_it = optimize.nnls(joined, y / s)
        gain = plain**2 - with_it**2
        inflation = max(with_it**2 / max(len(x) - 5, 1), 1.0)
        height = float(coefficients[-1]) * float(shape.max())
        if best is None or gain > best[0]:
            best = (
                gain,
                holder,
                height,
                float(np.sqrt(max(gain, 0.0) / inflation)),
                gain / max(plain**2, 1e-12),
            )
    if best is None:
        return ()
    _, holder, height, z, share = best
    level = float(np.median(y))
    if z < _MIN_Z or share < _MIN_SHARE or height < _MIN_RELATIVE_HEIGHT * max(level, 1e-12):
        return ()
    positions = ", ".join(f"{p:.1f}" for p, *_ in holder.humps)
    text = (
        f"The empty holder shows the broad maxima of {holder.name} ({positions}° for Cu Kα), {height:.3g} high over a "
        f"level of {level:.3g} (z = {z:.0f}): {holder.advice}."
    )
    facts: dict[str, str | float] = {"holder": holder.name, "height": height, "level": level, "z": z}
    return (Diagnostic(code="HOLDER_HUMP", severity="warning", text=text, facts=facts),)


def _binned(
    two_theta: FloatArray, intensity: FloatArray, sigma: FloatArray, width: float = 0.5
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Medians over bins of half a degree, so that sharp lines do not count."""
    edges = np.arange(two_theta[0], two_theta[-1] + width, width)
    group = np.digitize(two_theta, edges)
    rows = []
    for k in np.unique(group):
        pick = group == k
        noise = float(np.median(sigma[pick])) * 1.25 / np.sqrt(pick.sum())
        rows.append((float(two_theta[pick].mean()), float(np.median(intensity[pick])), noise))
    x, y, s = np.array(rows).T
    return x, y, np.maximum(s, 0.005 * np.maximum(np.abs(y), 1e-12))
