"""The instrument of one analysis: what the user said, else what the file says, else a stated generic one.

Where reflections are sharp a tube diffractometer is more than a doublet and a width: the spectrum has a shape, rays are
inclined, and the specimen is flat. At 0.1° of width these move a refined cell by parts in 10⁵.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Geometry, Instrument, Pattern, message_kind
from xrdcomp.disk import read_toml, write_whole
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.physics import elements, profiles
from xrdcomp.physics.amorphous import COPPER, best_holder
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.refinement.result import HOLDER_SHOWS
from xrdcomp.units import FloatArray

# Correlation of axial inclinations of a tube diffractometer with Soller slits, and how far it may be off: 0.2 to 0.5
# for sources of 10-12 mm, specimens of 10-20 mm and Soller slits of 2.3-6.8 degrees (physics.profiles).
AXIAL_CORRELATION = (0.3, 0.15)
# Divergence of fixed slits where nobody says, and how far it may be off, degrees: slits of 0.5 and 1 are usual.
EQUATORIAL_DIVERGENCE = (0.7, 0.3)

GENERIC_INSTRUMENT = message_kind(
    "XRD_GENERIC_INSTRUMENT",
    "info",
    "No instrument file was given: sizes and strains are relative to a generic laboratory diffractometer.",
    remedy="Measure a line-profile standard, calibrate with it and give the instrument file.",
)
RADIATION_ASSUMED = message_kind(
    "XRD_RADIATION_ASSUMED",
    "warning",
    "Neither the file nor the user states a wavelength; copper Kα was assumed.",
    remedy="Give the radiation or the wavelength if the tube was another.",
)

RADIATION_CONTRADICTED = message_kind(
    "XRD_RADIATION_CONTRADICTED",
    "warning",
    "The user's radiation is not that of the file, or the file's wavelength is not that of its anode.",
    remedy="Leave the option out, or name the radiation that was used.",
    threshold="wavelengths that differ by 1 %",
    origin="Kα1 and the mean of Kα of one anode differ by 0.1 to 0.7 %, neighbouring anodes by 7 % at least",
)

RADIUS_ASSUMED = message_kind(
    "XRD_RADIUS_ASSUMED",
    "warning",
    "How much of the beam a short specimen catches follows from its length, the slit and the radius of the goniometer, "
    "which neither the file nor the user states; a usual one was assumed.",
    remedy="Give instrument.radius_mm, the distance from the specimen to the slit of the detector.",
    threshold="instrument.specimen_length_mm without a radius",
    origin="200 mm in place of 240 gives 5 wt% of apatite too much for 15 mm under a slit of 1 degree, 13 for 10 mm",
)

_DEFAULT_RADIATION = "CuKa"
_CONTRADICTS = 0.01
_SHARP_FWHM = 0.2  # degrees, up to which a reflection shows the shape of the spectrum
_SAME_LINE = 2e-4  # relative difference of wavelengths up to which a doublet is copper's
_SAME_RADIATION = 2e-3  # Kα1 against a mean of Kα1 and Kα2, and tables against each other
_BESIDE_A_FILE = (
    "radius_mm",
    "monochromator_two_theta",
    "polarization_fraction",
    "variable_slit",
    "absorption_radius",
    "incidence_angle",
    "specimen_length_mm",
    "equatorial_divergence",
    "axial_correlation",
)


SHORT_WAVELENGTH = 0.5
"""Ångström: below the K lines of any tube in use; generic resolution and axial divergence shrink from there."""


def build_instrument(pattern: Pattern | None, recipe: InstrumentRecipe) -> Instrument:
    """Instrument for a pattern: wavelengths (Å) of the recipe, else of the file, else copper Kα.

    With an instrument file, resolution and aberrations are taken from it; settings of the recipe that differ from their
    defaults go before it. RecipeError: unknown radiation, an instrument file that cannot be read, or one of another
    radiation or geometry. AnalysisError: a wavelength outside the tables of scattering.
    """
    return _same(refuse_wavelengths(_from_file(pattern, recipe) if recipe.file else _without_file(pattern, recipe)))


def _same(instrument: Instrument) -> Instrument:
    """Return the instrument that was built before with the same values, so that what is drawn for it serves again."""
    known = _KNOWN.setdefault(repr(astuple(instrument)), instrument)
    while len(_KNOWN) > _MOST_KNOWN:
        del _KNOWN[next(iter(_KNOWN))]
    return known


_KNOWN: dict[str, Instrument] = {}
_MOST_KNOWN = 64


def refuse_wavelengths(instrument: Instrument) -> Instrument:
    """Return an instrument whose wavelengths are those that dispersion and absorption are tabulated for."""
    low, high = elements.WAVELENGTHS
    for line in instrument.emission_lines:
        if not low <= line.wavelength <= high:
            raise AnalysisError(
                f"wavelength {line.wavelength:g} Å: the tables of scattering go from {low:.4f} to {high:.3f} "
                "Å (130 to 4 keV). Give the wavelength in ångström, or one within these."
            )
    return instrument


def _without_file(pattern: Pattern | None, recipe: InstrumentRecipe) -> Instrument:
    """Instrument of the settings and of what the scan states."""
    monochromator, variable_slit = recipe.monochromator_two_theta, recipe.variable_slit
    if monochromator is None:
        monochromator = _stated_number(pattern, "monochromator_two_theta")
    instrument = Instrument(
        emission_lines=_emission_lines(pattern, recipe),
        geometry=_geometry(pattern, recipe),
        monochromator_two_theta=monochromator,
        polarization_fraction=recipe.polarization_fraction,
        polarization_stated=monochromator is not None
        or recipe.polarization_fraction != InstrumentRecipe().polarization_fraction,
        variable_slit=_states_variable_slit(pattern) if variable_slit is None else variable_slit,
        equatorial_divergence=recipe.equatorial_divergence or 0.0,
        axial_correlation=recipe.axial_correlation or 0.0,
        absorption_radius=recipe.absorption_radius,
        incidence_angle=_incidence(pattern, recipe),
        specimen_length_mm=recipe.specimen_length_mm,
    )
    # with automatic slits the lit length does not depend on the angle
    if recipe.specimen_length_mm and instrument.geometry == "bragg_brentano" and not instrument.variable_slit:
        divergence = instrument.equatorial_divergence or _stated_number(pattern, "equatorial_divergence_deg") or 0.0
        if not divergence:
            msg = (
                "instrument.specimen_length_mm: of use with the divergence of the slit only. Expected: "
                "instrument.equatorial_divergence in degrees as well."
            )
            raise RecipeError(msg)
        instrument = replace(instrument, equatorial_divergence=divergence)
    radius = recipe.radius_mm or _stated_number(pattern, "goniometer_radius_mm")
    instrument = replace(instrument, radius_mm=radius) if radius else instrument
    if instrument.wavelength < SHORT_WAVELENGTH:
        # a diffractometer for short wavelengths resolves the same spacings, so that its angles are finer
        finer, plain = instrument.wavelength / SHORT_WAVELENGTH, Instrument(emission_lines=instrument.emission_lines)
        width, height = plain.caglioti_w * finer**2, plain.axial_divergence * finer
        instrument = replace(instrument, caglioti_w=width, axial_divergence=height)
    # wavelengths given as numbers stand for lines as symmetric as the numbers are plain
    symmetric = recipe.wavelengths or pattern is None or not has_sharp_reflections(pattern)
    return instrument if symmetric else with_tube_optics(instrument, recipe, pattern)


def _from_file(pattern: Pattern | None, recipe: InstrumentRecipe) -> Instrument:
    """Instrument of a file with what the settings say beside it; RecipeError where they contradict the calibration."""
    instrument, lines = read_instrument(recipe.file), _emission_lines(pattern, recipe)
    given = bool(recipe.wavelengths or recipe.radiation)
    calibrated = instrument.wavelength
    strongest = max(lines, key=lambda line: line.weight).wavelength
    stated = given or (pattern is not None and bool(pattern.emission_lines or pattern.anode))
    count, own_count = _number_of_lines(lines), _number_of_lines(instrument.emission_lines)
    default = InstrumentRecipe()
    wrong = ""
    if stated and abs(strongest / calibrated - 1.0) > _SAME_RADIATION:
        other = "the settings say" if given else "the scan says"
        wrong = f"with {calibrated:.5f} Å, but {other} {strongest:.5f} Å. Calibrate for this radiation"
    elif given and not recipe.wavelengths and count != own_count:
        wrong = f"with {own_count} line(s) of Kα, but {recipe.radiation} has {count}. Calibrate for this radiation"
    elif recipe.geometry not in (default.geometry, instrument.geometry):
        said = f"the settings say {recipe.geometry}"
        wrong = f"in {instrument.geometry} geometry, but {said}. Calibrate in this geometry"
    if wrong:
        msg = f"{recipe.file}: calibrated {wrong}, or leave the file out."
        raise RecipeError(msg)
    if not recipe.wavelengths:
        known = {line.label for line in instrument.emission_lines}
        residual = (line for line in _residual_lines(calibrated, recipe) if line.label not in known)
        lines = (*instrument.emission_lines, *residual)
    changes: dict[str, Any] = {
        name: getattr(recipe, name)
        for name in _BESIDE_A_FILE
        if getattr(recipe, name) not in (None, getattr(default, name))
    }
    if recipe.variable_slit is None and _states_variable_slit(pattern):
        changes["variable_slit"] = True
    return replace(instrument, emission_lines=lines, **changes)


def _number_of_lines(lines: tuple[EmissionLine, ...]) -> int:
    """Count the lines of a spectrum, those within 0.1 % being components of one."""
    plain = sorted(line.wavelength for line in lines if not line.label and line.weight > 0.0)
    return 1 + sum(b / a - 1.0 > 1e-3 for a, b in pairwise(plain))


def _states_variable_slit(pattern: Pattern | None) -> bool:
    return pattern is not None and pattern.metadata.get("variable_slit") is True


def _geometry(pattern: Pattern | None, recipe: InstrumentRecipe) -> Geometry:
    """Geometry of the settings where it is not the usual one, else what the scan states, as integrated frames do."""
    stated = pattern.metadata.get("geometry") if pattern is not None else None
    usual = recipe.geometry == InstrumentRecipe().geometry
    return "transmission" if usual and stated == "transmission" else recipe.geometry


def _incidence(pattern: Pattern | None, recipe: InstrumentRecipe) -> float:
    if recipe.incidence_angle is not None:
        return recipe.incidence_angle
    return _stated_number(pattern, "incidence_angle_deg") or 0.0


def _stated_number(pattern: Pattern | None, key: str) -> float | None:
    value = pattern.metadata.get(key) if pattern is not None else None
    return float(value) if isinstance(value, int | float) and value > 0 else None


def is_tube_in_nanometres(wavelength: float) -> bool:
    """Whether a number is the Kα of a tube in nm, where ångström are expected."""
    tubes = (line for name in elements.RADIATIONS for line, _ in elements.emission_lines(name))
    return any(abs(10.0 * wavelength / tube - 1.0) < 0.003 for tube in tubes)


def radiation_is_assumed(pattern: Pattern, recipe: InstrumentRecipe) -> bool:
    """Tell whether copper is only assumed: neither the settings nor the scan say which radiation it was."""
    stated = recipe.file or recipe.wavelengths or recipe.radiation or pattern.emission_lines or pattern.anode
    return not stated


def _emission_lines(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[EmissionLine, ...]:
    """Return the lines of the settings, else of the scan, else of copper, with the residual ones of the settings."""
    if recipe.wavelengths:
        equal = [recipe.intensity_ratio] * (len(recipe.wavelengths) - 1)
        weights = recipe.wavelength_weights or (1.0, *equal)
        pairs = zip(recipe.wavelengths, weights, strict=True)
        lines = tuple(EmissionLine(wavelength=wavelength, weight=weight) for wavelength, weight in pairs)
    elif recipe.radiation:
        lines = _named_lines(recipe.radiation)
    elif pattern is not None and pattern.emission_lines:
        lines = pattern.emission_lines
    else:
        anode = pattern.anode if pattern is not None else ""
        lines = _named_lines(f"{anode}Ka" if anode else _DEFAULT_RADIATION)
    strongest = max(lines, key=lambda line: line.weight).wavelength
    return (*lines, *_residual_lines(strongest, recipe))


def _named_lines(name: str) -> tuple[EmissionLine, ...]:
    try:
        lines = elements.emission_lines(name)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return tuple(EmissionLine(wavelength=wavelength, weight=weight) for wavelength, weight in lines)


def _residual_lines(strongest: float, recipe: InstrumentRecipe) -> tuple[EmissionLine, ...]:
    """Return Kβ and W Lα with the weights at which their refinement starts."""
    extra: list[EmissionLine] = []
    if recipe.kbeta_ratio > 0.0:
        try:
            wavelength = elements.kbeta_wavelength(strongest)
        except ValueError as error:
            msg = f"instrument.kbeta_ratio: {error}"
            raise RecipeError(msg) from error
        extra.append(EmissionLine(wavelength=wavelength, weight=recipe.kbeta_ratio, label="kbeta"))
    if recipe.w_la_ratio > 0.0:
        extra += [
            EmissionLine(wavelength=wavelength, weight=weight * recipe.w_la_ratio, label="w_la")
            for wavelength, weight in elements.emission_lines("WLa")
        ]
    return tuple(extra)


def _contradictions(pattern: Pattern, recipe: InstrumentRecipe) -> tuple[Diagnostic, ...]:
    """Messages on a radiation of the settings that is not the file's, or of the file that is not its anode's."""
    used = max(_emission_lines(pattern, recipe), key=lambda line: line.weight).wavelength
    of_anode: float | None = None
    with suppress(ValueError):  # an anode without a table of its own contradicts nothing
        of_anode = elements.emission_lines(f"{pattern.anode}Ka")[0][0] if pattern.anode else None
    of_lines = max(pattern.emission_lines, key=lambda line: line.weight).wavelength if pattern.emission_lines else None
    said = of_lines or of_anode
    given = recipe.radiation or ", ".join(f"{wavelength:g} Å" for wavelength in recipe.wavelengths)
    named = f"{pattern.anode} ({said:.5f} Å)" if pattern.anode else f"{said:.5f} Å" if said else ""
    if given and said and abs(used / said - 1.0) > _CONTRADICTS:
        text = (
            f"the settings say {given} ({used:.5f} Å), the file says {named}; the settings were taken. Every spacing "
            "and every phase depends on it: leave the option out where the file is right"
        )
        return (RADIATION_CONTRADICTED(text, used=used, stated=said),)
    lines_of_anode = (of_anode, elements.kbeta_wavelength(of_anode)) if of_anode else ()
    if (
        not given
        and of_lines
        and lines_of_anode
        and all(abs(of_lines / x - 1.0) > _CONTRADICTS for x in lines_of_anode)
    ):
        text = (
            f"the file states a wavelength of {of_lines:.5f} Å and an anode of {pattern.anode}, whose Kα1 has "
            f"{of_anode:.5f} Å; the wavelength was taken. Give the radiation or the wavelength to say which is right"
        )
        return (RADIATION_CONTRADICTED(text, used=of_lines, stated=float(of_anode or 0.0)),)
    return ()


def instrument_messages(pattern: Pattern | None, recipe: InstrumentRecipe) -> tuple[Diagnostic, ...]:
    """List what was assumed about the instrument because neither the file nor the user said it."""
    if pattern is None or recipe.file:
        return ()
    width = float(np.sqrt(Instrument(emission_lines=_emission_lines(pattern, recipe)).caglioti_w))
    generic = GENERIC_INSTRUMENT(
        f"No instrument file was given: crystallite sizes and strains are relative to a generic laboratory "
        f"diffractometer (Gaussian width {width:.3f}°, refined with the pattern); their uncertainty holds 0.03 "
        "degrees for it. Measure a line-profile standard, calibrate with it and give the instrument file. Say "
        "instrument.monochromator_two_theta if there was a crystal (26.6 for graphite): left out, its polarisation "
        "moves B by 0.1 Å² and fractions of crystals by some 0.3 wt%.",
        gaussian_fwhm=width,
    )
    said: tuple[Diagnostic, ...] = (generic,)
    if recipe.specimen_length_mm and not (recipe.radius_mm or _stated_number(pattern, "goniometer_radius_mm")):
        radius = Instrument(emission_lines=_emission_lines(pattern, recipe)).radius_mm
        text = (
            f"The specimen is {recipe.specimen_length_mm:g} mm long; a goniometer radius of {radius:g} mm was assumed. "
            "Give instrument.radius_mm: what the beam misses of a short specimen at low angles is in proportion to it."
        )
        said += (RADIUS_ASSUMED(text, radius_mm=radius),)
    if not radiation_is_assumed(pattern, recipe):
        return *said, *_contradictions(pattern, recipe)
    wavelength = _named_lines(_DEFAULT_RADIATION)[0].wavelength
    assumed = RADIATION_ASSUMED(
        f"The file states no wavelength; copper Kα ({wavelength:.6f} Å) was assumed. "
        "Give the radiation or the wavelength if the tube was another.",
        wavelength=wavelength,
    )
    return *said, assumed


# ---- spectrum and aberrations of a tube diffractometer


def with_tube_optics(instrument: Instrument, recipe: InstrumentRecipe | None, pattern: Pattern | None) -> Instrument:
    """Put the spectrum's shape and the aberrations of flat specimens and inclined rays into an instrument.

    For Cu Kα the four lines of Hölzer et al. 1997 with their natural widths replace the doublet, since two symmetric
    lines move the cell of LaB6 by 1e-4 Å; wavelengths that the recipe gives as numbers are taken as they are. Axial
    correlation and equatorial divergence are those of the recipe, else follow from what the scan states (lengths of
    source, specimen and slit, Soller acceptance, divergence), else are `AXIAL_CORRELATION` and
    `EQUATORIAL_DIVERGENCE`. Only the spectrum is changed where the geometry is another than reflection from a flat
    specimen.
    """
    recipe = recipe or InstrumentRecipe()
    copper = elements.emission_lines("CuKa1")[0][0]
    if not recipe.wavelengths and abs(instrument.wavelength / copper - 1.0) <= _SAME_LINE:
        plain = [line for line in instrument.emission_lines if not line.label]
        rows = elements.fine_profile("hoelzer")
        # the table of wavelengths gives the top of the profile, 0.3 parts per million above that of Hölzer's energies
        scale = copper / elements.profile_top(rows)
        if len(plain) == 1:  # Kα1 alone gets its natural width
            rows, scale = rows[:1], copper / rows[0, 0]
        # amounts are per unit of all weights: what is replaced keeps its sum, so that sharp and broad patterns compare
        total = sum(line.weight for line in plain) / rows[:, 2].sum()
        fine = (
            EmissionLine(wavelength=float(w * scale), weight=float(share * total), fwhm=float(fwhm))
            for w, fwhm, share in rows
        )
        residual = (line for line in instrument.emission_lines if line.label)
        instrument = replace(instrument, emission_lines=(*fine, *residual), lorentzian_strain=0.005)
    if instrument.geometry != "bragg_brentano":
        return instrument
    correlation, divergence = recipe.axial_correlation, recipe.equatorial_divergence
    if correlation is None:
        correlation = AXIAL_CORRELATION[0]
        source, specimen, soller = (
            _stated_number(pattern, key) for key in ("source_length_mm", "specimen_length_mm", "soller_deg")
        )
        if source is not None and specimen is not None and soller is not None:
            lengths = (source, specimen, specimen)
            correlation = profiles.axial_correlation(lengths, soller, instrument.radius_mm)
    if divergence is None:
        stated = _stated_number(pattern, "equatorial_divergence_deg")
        divergence = 0.0 if instrument.variable_slit else stated or EQUATORIAL_DIVERGENCE[0]
    return replace(instrument, axial_correlation=correlation, equatorial_divergence=divergence)


def has_sharp_reflections(pattern: Pattern) -> bool:
    """Tell whether one of the five highest peaks is narrower at half its height than 0.2°.

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
        if len(before) and len(behind) and x[last] - x[first] < _SHARP_FWHM:
            return True
        # three half widths on either side are this peak's own; the next highest is sought beyond
        left[max(0, 3 * first - 2 * top) : 3 * last - 2 * top + 1] = False
    return False


# ---- an instrument on disk: TOML with the fields of `Instrument`, as `xrdcomp calibrate` writes it

_FIELDS = tuple(field.name for field in dataclasses.fields(Instrument))
_PROVENANCE = "provenance"


def read_instrument(path: str | Path) -> Instrument:
    """Read an instrument file (TOML).

    Keys are the fields of `Instrument`, ``emission_lines`` is a list of tables with ``wavelength`` in ångström and
    ``weight``. Fields that are left out take their defaults; the table ``provenance`` is for people. A file that cannot
    be read, a key that does not exist (the nearest is proposed) or an illegal value is a RecipeError.
    """
    data = read_toml(path, "an instrument file as `xrdcomp calibrate` writes")
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
    instrument: Instrument,
    path: str | Path,
    *,
    provenance: Mapping[str, str | float] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write an instrument file, whole or not at all (OutputError), and return its path.

    A file that xrdcomp did not write is replaced with `overwrite` only. `provenance` tells people where the numbers
    come from (standard, file, figures of the fit); it is kept, not used.
    """
    fields = dataclasses.asdict(instrument)
    lines = fields.pop("emission_lines")
    parts = [_table(fields), *(f"[[emission_lines]]\n{_table(line)}" for line in lines)]
    if provenance:
        parts.append(f"[{_PROVENANCE}]\n{_table(provenance)}")
    text = "# Instrument of xrdcomp.\n" + "\n".join(parts)
    return write_whole(Path(path), text, overwrite=overwrite)


def _table(values: Mapping[str, object]) -> str:
    """``key = value`` lines; None is left out. JSON's strings, numbers and booleans are TOML's as well."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n"
        for key, value in values.items()
        if value is not None
    )


# ---- material of an empty holder, recognised by where its broad maxima lie

_MIN_RELATIVE_HEIGHT = 0.04
_MIN_Z = 6.0
_MIN_SHARE = 0.25
_BIN = 0.5  # degrees


def empty_holder_messages(blank: Pattern, *, wavelength: float = COPPER) -> tuple[Diagnostic, ...]:
    """Name the material of an empty holder from its scan, if it shows; `wavelength` in ångström.

    Falling air terms and a constant, (2θ0/2θ)^k with k = 0, 1, 2, 4, are fitted with and without each material's
    maxima, all non-negative; a material is named where it removes a quarter of what the falling terms leave, and its
    height exceeds 4 % of the level and six standard deviations.
    """
    from scipy import optimize

    # medians over bins of half a degree, so that sharp reflections do not count
    group = np.digitize(blank.two_theta, np.arange(blank.two_theta[0], blank.two_theta[-1] + _BIN, _BIN))
    picks = [group == k for k in np.unique(group)]
    x = np.array([float(blank.two_theta[pick].mean()) for pick in picks])
    y = np.array([float(np.median(blank.intensity[pick])) for pick in picks])
    noise = [float(np.median(blank.sigma[pick])) * 1.25 / np.sqrt(pick.sum()) for pick in picks]
    sigma = np.maximum(noise, 0.005 * np.maximum(np.abs(y), 1e-12))
    falling = np.stack([(x[0] / x) ** k for k in (0.0, 1.0, 2.0, 4.0)], axis=1) / sigma[:, None]
    plain = optimize.nnls(falling, y / sigma)[1] ** 2

    def improve(shape: FloatArray) -> tuple[float, float]:
        joined = np.concatenate([falling, (shape / sigma)[:, None]], axis=1)
        coefficients, rest = optimize.nnls(joined, y / sigma)
        return plain - rest**2, float(coefficients[-1])

    best = best_holder(x, wavelength, improve)
    if best is None:
        return ()
    inflation = max((plain - best.gain) / max(len(x) - 5, 1), 1.0)
    z, level, height = float(np.sqrt(max(best.gain, 0.0) / inflation)), float(np.median(y)), best.height
    shows = best.gain >= _MIN_SHARE * max(plain, 1e-12) and height >= _MIN_RELATIVE_HEIGHT * max(level, 1e-12)
    if z < _MIN_Z or not shows:
        return ()
    holder = best.holder
    positions = ", ".join(f"{p:.1f}" for p, *_ in holder.humps)
    text = (
        f"The empty holder shows the broad maxima of {holder.name} ({positions}° for Cu Kα), {height:.3g} high over a "
        f"level of {level:.3g} (z = {z:.0f}): {holder.advice}. The scan is scaled into the background."
    )
    found = HOLDER_SHOWS(text, holder=holder.name, height=height, level=level, z=z)
    return (replace(found, severity="info"),)  # known and subtracted: nothing to be careful about
