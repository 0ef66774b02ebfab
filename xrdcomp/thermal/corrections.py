"""Blank subtraction, buoyancy and drift: what the balance adds to the mass of the specimen."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.thermal.prepare import HeatingCurve, bin_means
from xrdcomp.thermal.program import heating_part, progress_axis
from xrdcomp.thermal.smooth import end_factor, estimate_noise, smoothed_std, whittaker
from xrdcomp.types import Atmosphere, Diagnostic, FloatArray, IntArray, TgaRun
from xrdcomp.units import celsius_to_kelvin

__all__ = ["UNIFORM", "BlankNoise", "Corrected", "correct_baseline", "gas_density", "settings_for"]

_GAS_DENSITY_25C = {  # mg/cm³ at 25 °C and 1013 hPa, ideal gas p M / (R T)
    "air": 1.184,
    "oxygen": 1.308,
    "nitrogen": 1.145,
    "argon": 1.633,
    "carbon_dioxide": 1.799,
    "unknown": 1.184,
}
_TO_MG = {"mg": 1.0, "ug": 1e-3, "g": 1e3}
_ASSUMED_MG = 10.0
_DOUBTFUL = 0.005
_CARRIER_STD = 0.6
_NOT_REPEATED = 0.5  # share of the drift of a run that its blank does not show
_BLANK_LENGTH = 15.0
_MIN_BLANK_POINTS = 20
UNIFORM = 3.0**-0.5  # standard deviation of a quantity anywhere between 0 and 1, about 0
_CARRIER_VOLUME_CM3 = 0.28  # raw gains of 0.24 mg by 800 °C are typical of simultaneous thermal analysers


@dataclass(frozen=True, kw_only=True)
class BlankNoise:
    """Standard deviation of the smoothed blank at its start and inside, fraction of the specimen's start mass."""

    start: float
    inside: float


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A heating curve after correction, and how the correction may be wrong.

    `buoyancy`, `weighing` and `drift` are (n,) arrays, fraction of the start mass: what one standard deviation
    of each would add to the corrected mass. `weighing` is the buoyancy of what has left, in cold gas: whether
    the start mass holds it depends on how the balance was zeroed, which no file tells. `blank` is None without a
    blank run.
    """

    curve: HeatingCurve
    buoyancy: FloatArray
    weighing: FloatArray
    drift: FloatArray
    blank: BlankNoise | None = None

    def covariances(self, index: IntArray) -> dict[str, FloatArray]:
        """Covariance of the corrected mass at some grid points, by the name each source has in the budget.

        Buoyancy, weighing and drift move the whole curve; the noise of the blank is that of its smoothed readings
        at each point, and at the start, to which its change refers.
        """
        together = {"buoyancy": self.buoyancy, "weighing": self.weighing, "drift": self.drift}
        found: dict[str, FloatArray] = {name: np.outer(d[index], d[index]) for name, d in together.items()}
        if self.blank is not None:
            found["blank"] = self.blank.inside**2 * np.eye(len(index)) + self.blank.start**2
        return found


def gas_density(temperature_c: FloatArray, atmosphere: Atmosphere) -> FloatArray:
    """Density of the purge gas in mg/cm³ (ideal gas at 1013 hPa)."""
    density: FloatArray = _GAS_DENSITY_25C[atmosphere] * 298.15 / celsius_to_kelvin(temperature_c)
    return density


def settings_for(run: TgaRun, recipe: ThermalRecipe) -> ThermalRecipe:
    """Settings with the displaced volume of a whole sample carrier, where a file holds raw balance readings.

    Exports of most instruments hold a mass from which a correction run was subtracted; for raw readings the
    reader says so (``TGA_NOT_CORRECTED``), and carrier and crucible displace about 0.28 cm³, give or take 60 %.
    """
    if not any(d.code == "TGA_NOT_CORRECTED" for d in run.diagnostics):
        return recipe
    return msgspec.structs.replace(
        recipe,
        pan_volume_cm3=max(recipe.pan_volume_cm3, _CARRIER_VOLUME_CM3),
        buoyancy_std=max(recipe.buoyancy_std, _CARRIER_STD),
    )


def correct_baseline(
    curve: HeatingCurve, recipe: ThermalRecipe, atmosphere: Atmosphere, blank: TgaRun | None
) -> Corrected:
    """Take the apparent mass out of a curve.

    With a blank run its change of mass since the specimen's run began is subtracted at equal progress of the
    programme (what the blank holds before and after is not used), and only the specimen's own volume is left to
    correct. Without one, buoyancy is calculated from the volumes of pan and
    specimen, Δm = V (ρ(T₀) − ρ(T)), subtracted, and carried as uncertainty (`recipe.buoyancy_std` of it).

    Raises
    ------
    AnalysisError
        The blank is in percent without a start mass, does not cover the run, or has fewer than 20 readings in it.
    """
    start_mg = curve.start_mass_mg or _ASSUMED_MG
    noise: BlankNoise | None = None
    gas = gas_density(curve.temperature_c, atmosphere)
    lighter = gas[0] - gas
    mass, found = curve.mass, []
    pan_volume = recipe.pan_volume_cm3
    if blank is not None:
        change, noise, message = _blank_change(curve, blank)
        mass = mass - change / start_mg
        noise = BlankNoise(start=noise.start / start_mg, inside=noise.inside / start_mg)
        pan_volume = 0.0
        if message is not None:
            found.append(message)
    specimen_volume = np.clip(mass, 0.0, None) * start_mg * 1e-3 / recipe.sample_density_g_cm3
    buoyancy = (pan_volume + specimen_volume) * lighter / start_mg
    passed = curve.minutes / max(float(curve.minutes[-1]), 1e-9)
    left = 1.0 if blank is None else _NOT_REPEATED
    drift = left * recipe.drift_std_ug * 1e-3 * passed / start_mg
    if blank is None:
        found.append(
            Diagnostic(
                code="TGA_NO_BLANK",
                severity="warning" if recipe.buoyancy_std * float(buoyancy[-1]) > _DOUBTFUL else "info",
                text=f"No blank run: an apparent gain of {100 * buoyancy[-1]:.2f} wt% at the end was "
                f"calculated for buoyancy and removed, with a relative uncertainty of "
                f"{100 * recipe.buoyancy_std:.0f} %. Give a blank run of the same programme.",
                facts={"gain": float(buoyancy[-1])},
            )
        )
    return Corrected(
        curve=curve.with_mass(mass - buoyancy, *found),
        buoyancy=recipe.buoyancy_std * buoyancy,
        weighing=UNIFORM * (1.0 - np.clip(mass, 0.0, 1.0)) * gas[0] * 1e-3 / recipe.sample_density_g_cm3,
        drift=drift,
        blank=noise,
    )


def _blank_change(curve: HeatingCurve, blank: TgaRun) -> tuple[FloatArray, BlankNoise, Diagnostic | None]:
    """Change of mass of the blank in mg on the curve's grid, smoothed, and what noise is left in it."""
    if blank.mass_unit in ("percent", "fraction"):
        if blank.initial_mass_mg is None:
            msg = (
                "the blank run is in percent without a start mass, so its change in mg is unknown. "
                "Export the blank in mg."
            )
            raise AnalysisError(msg)
        scale = blank.initial_mass_mg / (100.0 if blank.mass_unit == "percent" else 1.0)
    else:
        scale = _TO_MG[blank.mass_unit]
    index = heating_part(blank).index
    progress, rate = progress_axis(blank, index)
    if progress[0] > curve.progress[0] + 20.0 or progress[-1] < curve.progress[-1] - 20.0:
        msg = (
            f"the blank run covers {progress[0]:.0f} to {progress[-1]:.0f} °C, the specimen's run "
            f"{curve.progress[0]:.0f} to {curve.progress[-1]:.0f} °C. Measure the blank with the same "
            "programme."
        )
        raise AnalysisError(msg)
    edges = np.concatenate((curve.progress - 0.5 * curve.step, [curve.progress[-1] + 0.5 * curve.step]))
    shared = (progress >= edges[0]) & (progress <= edges[-1])
    index, progress = index[shared], progress[shared]
    if len(index) < _MIN_BLANK_POINTS:
        msg = (
            f"the blank run has {len(index)} readings in the range of the specimen's run; {_MIN_BLANK_POINTS} are "
            "needed. Export the blank as measured."
        )
        raise AnalysisError(msg)
    bins = np.clip(np.searchsorted(edges, progress, side="right") - 1, 0, len(curve.progress) - 1)
    counts = np.bincount(bins, minlength=len(curve.progress)).astype(float)
    means = bin_means(blank.mass[index] * scale, progress, bins, curve.progress)
    weights = counts / counts.mean()
    smooth = whittaker(means, weights, _BLANK_LENGTH)
    single = estimate_noise(means, counts) / np.sqrt(counts.mean())
    noise = BlankNoise(
        start=single * end_factor(weights, _BLANK_LENGTH), inside=smoothed_std(single, _BLANK_LENGTH)
    )
    message = None
    own = curve.heating_rate_k_min
    if rate and own and abs(rate / own - 1.0) > 0.05:
        message = Diagnostic(
            code="TGA_BLANK_RATE",
            severity="warning",
            text=f"The blank was heated at {rate:.2f} K/min, the specimen at {own:.2f} K/min. Buoyancy and "
            "drift differ with the rate; measure the blank with the same programme.",
            facts={"blank_k_min": rate, "run_k_min": own},
        )
    change: FloatArray = smooth - smooth[0]
    return change, noise, message
