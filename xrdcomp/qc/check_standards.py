"""What a run of a check standard says of an instrument.

Cell, width and intensity of a line-profile standard, steps of a stoichiometric one, background of an empty holder,
drift of an empty pan.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, Pattern, TgaRun
from xrdcomp.errors import RecipeError, naming
from xrdcomp.instrument.calibrate import STANDARDS as LINE_PROFILES
from xrdcomp.instrument.calibrate import calibrate, instrument_fwhm
from xrdcomp.instrument.history import CheckRun, Kind, stated_time
from xrdcomp.io.front import read_empty_pan, read_tga, read_xrd
from xrdcomp.recipe import Recipe
from xrdcomp.results import Estimate
from xrdcomp.thermal.balance import mass_balance
from xrdcomp.thermal.standards import STANDARDS as STOICHIOMETRIC
from xrdcomp.thermal.standards import tga_check

EMPTY_HOLDER, EMPTY_PAN = "empty-holder", "empty-pan"
_SHORT_NAMES = {"oxalate": "calcium-oxalate-monohydrate", "blank": EMPTY_HOLDER}
_WIDTH_AT = 60.0
"""Angle (degrees) whose width is followed: in the middle of what laboratories scan."""
_LOW_ANGLES = 5.0
"""Degrees from the begin of an empty scan whose level is followed on its own: air scatter and the direct beam."""


def standards() -> dict[str, Kind]:
    """Names of the check standards that are measured from a file, and the kind of instrument that they check."""
    found: dict[str, Kind] = dict.fromkeys((*LINE_PROFILES, EMPTY_HOLDER), "xrd")
    return found | dict.fromkeys((*STOICHIOMETRIC, EMPTY_PAN), "tga")


def measure_standard(
    file: str | os.PathLike[str],
    standard: str,
    instrument: str,
    recipe: Recipe | None = None,
    *,
    scan: int | None = None,
    input_format: str | None = None,
    measured_at: datetime | None = None,
    **notes: str,
) -> tuple[CheckRun, tuple[Diagnostic, ...]]:
    """Measure a check standard in a file: the run to be recorded, and messages on it.

    `standard` is a name of `standards`, `instrument` that of the instrument in its history; `scan` and `input_format`
    are those of `analyze`. The time is `measured_at`, else the file's, else its time stamp. `notes` are ``operator``
    and ``note``.
    """
    name = _SHORT_NAMES.get(standard.casefold(), standard.casefold())
    known, recipe = standards(), recipe or Recipe()
    if name not in known:
        raise RecipeError(f"standard {standard!r} is not known. Expected: {', '.join(known)}; or values of your own.")
    measured: Pattern | TgaRun
    if known[name] == "xrd":
        measured = read_xrd(file, scan=scan, format=input_format)
        with naming(os.fspath(file)):
            values, messages = (
                _empty_holder(measured) if name == EMPTY_HOLDER else _line_profile(measured, name, recipe)
            )
        first, last = (float(measured.two_theta[k]) for k in (0, -1))
        conditions = f"{first:.3g}-{last:.4g}°, {len(measured.two_theta)} points, {measured.counting_time_s or '?'} s"
    else:
        measured = (read_empty_pan if name == EMPTY_PAN else read_tga)(file, format=input_format)
        with naming(os.fspath(file)):
            values, messages = _empty_pan(measured) if name == EMPTY_PAN else _steps(measured, name, recipe)
        first, last = float(measured.temperature_c[0]), float(measured.temperature_c[-1])
        conditions = f"{first:.0f}-{last:.0f} °C, {measured.atmosphere}"
    moment, dated_by = measured_at, "user"
    if moment is None:
        moment, dated_by = stated_time(measured), "file"
    if moment is None:
        moment, dated_by = datetime.fromtimestamp(Path(file).stat().st_mtime, UTC), "time stamp of the file"
    source = measured.source
    run = CheckRun(
        kind=known[name], instrument=instrument, standard=name, measured_at=moment, dated_by=dated_by, values=values,
        file="" if source is None else source.file, sha256="" if source is None else source.sha256,
        conditions=conditions, **notes,
    )  # fmt: skip
    return run, messages


_MICROGRAMS = {"mg": 1e3, "ug": 1.0, "g": 1e6}
Measured = tuple[Mapping[str, Estimate], tuple[Diagnostic, ...]]


def _line_profile(pattern: Pattern, name: str, recipe: Recipe) -> Measured:
    """Cell at the certificate's temperature, width and net intensity of a line-profile standard, displacement."""
    found = calibrate(pattern, name, recipe.instrument, refine_cell=True, two_theta_range=recipe.fit.two_theta_range)
    fit = found.fit
    net = np.trapezoid(fit.observed - fit.background, fit.two_theta)
    noise = float(np.sqrt(np.sum((fit.sigma * np.gradient(fit.two_theta)) ** 2)))
    seconds = pattern.counting_time_s if pattern.intensity_unit == "counts" else None
    unit = "cps·deg" if seconds else f"{pattern.intensity_unit}·deg"
    scale = 1.0 / (seconds or 1.0)
    width = float(instrument_fwhm(found.instrument, np.array([_WIDTH_AT]))[0])
    certificate = LINE_PROFILES[name]
    temperature = float(found.provenance.get("temperature_c", certificate.temperature_c))
    values = {}
    for axis, estimate in found.cell.items():  # at the certificate's temperature, so that the room's does not count
        factor = certificate.cell[axis] / certificate.cell_at(temperature)[axis] if axis in certificate.cell else 1.0
        values[f"cell_{axis}"] = replace(estimate, value=factor * estimate.value, ci95=None)
    values["width_at_60"] = Estimate(value=width, unit="deg")
    values["net_intensity"] = Estimate(value=scale * float(net), std=scale * noise, unit=unit)
    if found.displacement_mm is not None:
        values["displacement"] = found.displacement_mm
    return values, found.messages


def _empty_holder(pattern: Pattern) -> Measured:
    """Mean level of a scan of the empty holder, and that of its first degrees."""
    per_second = pattern.counting_time_s if pattern.intensity_unit == "counts" else None
    scale = 1.0 / (per_second or 1.0)
    low = pattern.two_theta <= pattern.two_theta[0] + _LOW_ANGLES
    unit = "cps" if per_second else pattern.intensity_unit

    def mean(chosen: Any) -> Estimate:
        count = int(np.count_nonzero(chosen))
        std = float(np.sqrt(np.sum(pattern.sigma[chosen] ** 2))) / count
        return Estimate(value=scale * float(pattern.intensity[chosen].mean()), std=scale * std, unit=unit)

    return {"level": mean(np.ones_like(low)), "low_angle_level": mean(low)}, ()


def _steps(run: TgaRun, name: str, recipe: Recipe) -> Measured:
    """Losses of a stoichiometric standard, and the temperatures at which they are fastest."""
    check = tga_check(run, name, recipe.thermal)
    values: dict[str, Estimate] = {}
    peaks = mass_balance(run, recipe.thermal).steps
    for step in check.steps:
        key = step.name.replace(" ", "_").replace("(", "").replace(")", "").casefold()
        values[f"{key}_loss" if step.end_c > step.start_c else key] = step.measured
        inside = [
            (peak.mass_loss.value, peak.peak_c)
            for peak in peaks
            if peak.peak_c is not None and step.start_c <= peak.peak_c <= step.end_c
        ]
        if inside:
            values[f"{key}_peak"] = Estimate(value=float(max(inside)[1]), unit="°C")
    return values, check.messages


def _empty_pan(run: TgaRun) -> Measured:
    """Change of an empty pan from begin to end of its run, and its largest excursion."""
    if run.mass_unit in _MICROGRAMS:
        scale, unit = _MICROGRAMS[run.mass_unit], "µg"
    else:  # of a mass that no one weighed in
        scale, unit = {"percent": 100.0, "fraction": 1e4}[run.mass_unit], "0.01 %"
    mass = scale * np.asarray(run.mass, dtype=np.float64)
    ends = max(len(mass) // 100, 1)
    drift = float(mass[-ends:].mean() - mass[:ends].mean())
    excursion = float(np.abs(mass - mass[:ends].mean()).max())
    return {"drift": Estimate(value=drift, unit=unit), "excursion": Estimate(value=excursion, unit=unit)}, run.messages


def check_run_of_values(
    values: Sequence[str],
    standard: str,
    instrument: str,
    kind: Kind,
    *,
    measured_at: datetime | None = None,
    **notes: str,
) -> CheckRun:
    """Run of quantities that were measured elsewhere, each given as ``NAME=NUMBER``; now, where no time is given."""
    found: dict[str, Estimate] = {}
    for text in values:
        name, _, number = (part.strip() for part in text.partition("="))
        try:
            found[name] = Estimate(value=float(number))
        except ValueError:
            found[name] = Estimate(value=math.nan)
        if not name or not math.isfinite(found[name].value):
            raise RecipeError(f"--value {text}: expected NAME=NUMBER with a decimal point, e.g. mass_mg=100.002.")
    moment = measured_at or datetime.now(UTC)
    return CheckRun(
        kind=kind, instrument=instrument, standard=standard, measured_at=moment, values=found,
        dated_by="user" if measured_at else "recording", **notes,
    )  # fmt: skip


def moment_of(text: str | None) -> datetime | None:
    """Time that a user gives, ISO 8601; without a zone it is the computer's."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RecipeError(f"--date {text}: expected a time in ISO 8601, e.g. 2026-01-31T09:00+01:00.") from None
