"""Small patterns for tests of the fit, made with its own physics (recovery tests use the simulator)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xrdcomp.data import EmissionLine, Instrument, Pattern
from xrdcomp.phases.library import load_phase
from xrdcomp.physics.amorphous import AMORPHOUS, halo_columns
from xrdcomp.physics.corrections import polarization
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.units import two_theta_to_q

INSTRUMENT = Instrument(
    emission_lines=(EmissionLine(wavelength=1.5405929), EmissionLine(wavelength=1.5444274, weight=0.5))
)
EMPTY = {"apatite": 0.0, "protein": 0.0, "lipid": 0.0, "water": 0.0, "amorphous_mineral": 0.0, "carbonate": 0.0}
"""A specimen of nothing, to which a test adds what it is about."""
VALUES = {
    "sample_displacement_mm": 0.03,
    "axial_divergence": 0.03,
    "caglioti_w": 0.004,
    "hydroxyapatite_a": 9.425,
    "hydroxyapatite_c": 6.880,
    "hydroxyapatite_inverse_size_a": 0.06,
    "hydroxyapatite_inverse_size_c": 0.03,
    "hydroxyapatite_size_mixing": 0.6,
    "hydroxyapatite_b_extra": 0.1,
}


def made_pattern(
    *, seed: int, strengthen: tuple[int, float] | None = None, variety: str = "hydroxyapatite", step: float = 0.04
) -> Pattern:
    """Nano-apatite, protein and air with Poisson counts; some 00l lines may be changed by a factor."""
    x = np.arange(10.0, 70.0, step)
    values = {name.replace("hydroxyapatite", variety): value for name, value in VALUES.items()}
    if variety != "hydroxyapatite":
        cell = load_phase(variety).cell
        values |= {f"{variety}_a": cell.a, f"{variety}_c": cell.c}
    lines = PhaseReflections.freeze(load_phase(variety), INSTRUMENT, x, values)
    if strengthen is not None:
        every, factor = strengthen
        lines.multiplier[::every] *= factor
    apatite, _ = lines.pattern(values)
    q = two_theta_to_q(x, INSTRUMENT.wavelength)
    protein = 1.5 * polarization(x) * halo_columns(AMORPHOUS["protein"], q, INSTRUMENT.wavelength).per_gram
    mean = 60.0 * apatite + 60.0 * protein + 40.0 * x[0] / x + 20.0
    counts = np.random.default_rng(seed).poisson(mean).astype(float)
    return Pattern(two_theta=x, intensity=counts, sigma=np.sqrt(np.maximum(counts, 1.0)), intensity_unit="counts")


def convolved(pattern: Pattern, length_nm: float, wavelength: float = 1.5418) -> Pattern:
    """Spread a scan by Lorentzians of FWHM 0.9 λ / (L cosθ); level ends stand for what lies outside."""
    x = pattern.two_theta
    half = 0.5 * np.degrees(0.09 * wavelength / (length_nm * np.cos(np.radians(x / 2.0))))
    kernel = (half / np.pi)[None, :] / ((x[:, None] - x[None, :]) ** 2 + half[None, :] ** 2)
    base = np.interp(x, x[[0, -1]], [pattern.intensity[:50].mean(), pattern.intensity[-50:].mean()])
    y = base + (kernel * np.gradient(x)[None, :]) @ (pattern.intensity - base)
    return replace(pattern, intensity=y, sigma=np.sqrt(np.maximum(y, 1.0)))
