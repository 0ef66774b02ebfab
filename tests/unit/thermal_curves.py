"""Small thermogravimetric runs with known losses, independent of the simulator, and phases found beside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xrdcomp.checks.registry import Analysis, run_checks
from xrdcomp.data import Atmosphere, Diagnostic, MassUnit, TgaRun
from xrdcomp.phases.library import load_phase
from xrdcomp.results import PhaseResult, TgaResult

FloatArray = npt.NDArray[np.float64]


def sigmoid_losses(temperature_c: FloatArray, rows: tuple[tuple[float, float, float], ...]) -> FloatArray:
    """Mass fraction left after logistic steps of (loss, centre °C, width °C)."""
    mass = np.ones(len(temperature_c))
    for loss, centre, width in rows:
        at_start = 1.0 / (1.0 + np.exp(-(temperature_c[0] - centre) / width))
        mass -= loss * (1.0 / (1.0 + np.exp(-(temperature_c - centre) / width)) - at_start)
    return mass


TISSUE = ((0.10, 90.0, 12.0), (0.25, 320.0, 16.0), (0.12, 470.0, 14.0), (0.03, 770.0, 16.0))
TISSUE_BALANCE = (0.10, 0.37, 0.03, 0.50)


def run_of(
    rows: tuple[tuple[float, float, float], ...] = TISSUE,
    *,
    end_c: float = 1000.0,
    start_mg: float = 20.0,
    noise_ug: float = 1.0,
    unit: MassUnit = "mg",
    atmosphere: Atmosphere = "air",
    header: bool = True,
) -> TgaRun:
    """Heat at 10 K/min, one reading per second, no buoyancy and no drift."""
    temperature = np.arange(25.0, end_c, 10.0 / 60.0)
    mass = sigmoid_losses(temperature, rows)
    mass += 1e-3 * noise_ug / start_mg * np.random.default_rng(7).standard_normal(len(mass))
    scale = {"mg": start_mg, "ug": 1e3 * start_mg, "g": 1e-3 * start_mg, "percent": 100.0, "fraction": 1.0}[unit]
    return TgaRun(
        temperature_c=temperature,
        mass=scale * mass,
        mass_unit=unit,
        time_s=(temperature - 25.0) * 6.0,
        initial_mass_mg=start_mg if header else None,
        atmosphere=atmosphere,
    )


def beside_phases(result: TgaResult, *found: str) -> list[Diagnostic]:
    """What the checks say of a thermal result beside phases of the library that diffraction found."""
    phases = tuple(
        PhaseResult(
            id=phase.id,
            name=phase.name,
            formula=phase.formula,
            decision="detected",
            detection_limit=None,
            facts=phase.facts,
        )
        for phase in map(load_phase, found)
    )
    said = run_checks(Analysis(tga=result, phases=phases), ["specimen"])
    return [message for message in said if message.code.startswith("TGA_")]
