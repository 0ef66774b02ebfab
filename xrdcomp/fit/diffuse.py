"""What a crystal scatters between its Bragg lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.fit.element_b import element_diffuse
from xrdcomp.fit.optics import polarization
from xrdcomp.physics import scattering
from xrdcomp.types import FloatArray, Instrument, Phase

if TYPE_CHECKING:
    from xrdcomp.fit.lines import PhaseLines

__all__ = ["diffuse_now", "diffuse_scattering"]


def diffuse_scattering(
    phase: Phase, instrument: Instrument, two_theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Thermal diffuse (1 − e^(−2Bs²)) f² and Compton scattering of the crystal, per gram, polarised; d/dB."""
    q = 4.0 * np.pi * np.sin(np.radians(two_theta) / 2.0) / instrument.wavelength
    s = q / (4.0 * np.pi)
    total, by_b = np.zeros_like(s), np.zeros_like(s)
    mass = 0.0
    keys: dict[tuple[str, float], float] = {}
    for element, occupancy, b_iso in zip(
        phase.site_element, phase.site_occupancy, phase.site_b_iso, strict=True
    ):
        key = (element, round(float(b_iso), 3))
        keys[key] = keys.get(key, 0.0) + float(occupancy)
    for (element, b_iso), count in keys.items():
        f = scattering.form_factor(element, s)
        bragg_share = np.exp(-2.0 * b_iso * s**2)
        total += count * (f**2 * (1.0 - bragg_share) + scattering.incoherent(element, s))
        by_b += count * f**2 * bragg_share * 2.0 * s**2
        mass += count * scattering.atomic_weight(element)
    weight = sum(line.weight for line in instrument.emission_lines)
    factor = weight * polarization(two_theta, instrument) / mass
    return total * factor, by_b * factor


def diffuse_now(lines: PhaseLines, values: Mapping[str, float]) -> FloatArray:
    """Thermal diffuse and Compton scattering of a phase per gram, on its points, at the B of `values`."""
    extra = values.get(f"{lines.phase.id}_b_extra", 0.0) * lines.diffuse_by_b
    return lines.diffuse + extra + element_diffuse(lines.elements, values)
