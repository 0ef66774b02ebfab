"""Scattering of protein, lipid, water and amorphous calcium phosphate on the absolute scale.

Per dalton: (Σ|f|²/M) · S(Q) + Σ S_inc / M. S(Q) is a liquid-like structure factor that is small at low Q
and tends to 1 at high Q. Its family can be chosen and its halos moved, so that what is simulated need not
have the shape that a fit assumes.

Halo positions and widths are those that measured patterns show with Cu Kα (collagen 20–22°, FWHM 7–9°; lipid
acyl halo 19.3–19.8°, 5–7°; water 28° and 40–42°, about 10°; amorphous calcium phosphate 29–31°, 6–8°, second
45–50°): Eanes & Posner for the phosphate, Narten & Levy for water, fibre-diffraction texts for collagen. The
maximum of the halo, not of S, is put there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from xrdcomp.simulate.elements import atomic_mass, coherent_amplitude, incoherent_intensity
from xrdcomp.types import FloatArray
from xrdcomp.units import q_to_two_theta, two_theta_to_q

__all__ = [
    "MATERIALS",
    "AmorphousMaterial",
    "HaloShape",
    "amorphous_scattering",
    "independent_atoms",
    "structure_factor",
]

HaloFamily = Literal["gaussian", "lorentzian", "hard_sphere"]
_CU_KA1 = 1.540598


@dataclass(frozen=True, kw_only=True)
class HaloShape:
    """The liquid-like structure factor of an amorphous component.

    Parameters
    ----------
    two_theta : float, degrees with Cu Kα1
        Where the main halo of the scattered intensity has its maximum.
    fwhm : float, degrees with Cu Kα1
        Width of the main halo; larger blurs the structure.
    height : float
        How far the structure stands out of independent-atom scattering: 1 is the default, 0 would be a gas.
    second_two_theta, second_height : float
        Second maximum of S and its height relative to the first; 0 leaves it out. Used by the peak families.
    low_q : float
        S at Q = 0, between 0 (incompressible) and 1.
    packing_two_theta, packing_height : float
        Lateral packing of protein chains (12–14 Å); height relative to the main halo, 0 leaves it out.
    area_factor : float
        Scattering in 10–60° (Cu Kα1) relative to independent atoms; 1 keeps the scale per gram.
    family : {"gaussian", "lorentzian", "hard_sphere"}
        Form of S: peaks on a step, sharper peaks with longer tails, or a Percus-Yevick liquid.
    """

    two_theta: float
    fwhm: float
    height: float = 1.0
    second_two_theta: float = 44.0
    second_height: float = 0.0
    low_q: float = 0.08
    packing_two_theta: float = 6.8
    packing_height: float = 0.0
    area_factor: float = 1.0
    family: HaloFamily = "gaussian"

    def jittered(self, *, shift: float = 0.0, width: float = 1.0, height: float = 1.0) -> HaloShape:
        """Return a copy with the halo moved by `shift` degrees and its width and height multiplied."""
        return replace(
            self, two_theta=self.two_theta + shift, fwhm=self.fwhm * width, height=self.height * height
        )


@dataclass(frozen=True, kw_only=True)
class AmorphousMaterial:
    """Composition (atoms per formula unit) and halo of an amorphous component."""

    atoms: tuple[tuple[str, float], ...]
    halo: HaloShape

    @property
    def mass(self) -> float:
        """Mass of the formula unit, dalton."""
        return sum(n * atomic_mass(e) for e, n in self.atoms)

    def element_mass_fractions(self) -> dict[str, float]:
        """Mass fraction of each element."""
        return {e: n * atomic_mass(e) / self.mass for e, n in self.atoms}


MATERIALS: dict[str, AmorphousMaterial] = {
    # collagen as amino-acid analysis gives it
    "protein": AmorphousMaterial(
        atoms=(("C", 65.0), ("H", 102.0), ("N", 18.0), ("O", 21.0)),
        halo=HaloShape(
            two_theta=21.0, fwhm=8.0, second_two_theta=42.0, second_height=0.12, packing_height=0.12
        ),
    ),
    # triolein
    "lipid": AmorphousMaterial(
        atoms=(("C", 57.0), ("H", 104.0), ("O", 6.0)),
        halo=HaloShape(two_theta=19.5, fwhm=6.0, second_two_theta=42.0, second_height=0.10),
    ),
    "water": AmorphousMaterial(
        atoms=(("H", 2.0), ("O", 1.0)),
        halo=HaloShape(two_theta=28.3, fwhm=10.0, second_two_theta=42.5, second_height=0.30),
    ),
    # Ca9(PO4)6 with about 10 % of its mass as bound water
    "amorphous_calcium_phosphate": AmorphousMaterial(
        atoms=(("Ca", 9.0), ("P", 6.0), ("O", 29.25), ("H", 10.5)),
        halo=HaloShape(two_theta=30.0, fwhm=7.0, second_two_theta=47.5, second_height=0.25),
    ),
}


def independent_atoms(
    atoms: tuple[tuple[str, float], ...], q: FloatArray, wavelength: float
) -> tuple[FloatArray, FloatArray]:
    """Coherent Σ|f|²/M and incoherent ΣS/M of free atoms, electron units per dalton, at Q in Å⁻¹."""
    s = np.asarray(q, dtype=float) / (4.0 * np.pi)
    mass = sum(n * atomic_mass(e) for e, n in atoms)
    coherent = sum(n * np.abs(coherent_amplitude(e, s, wavelength)) ** 2 for e, n in atoms) / mass
    incoherent = sum(n * incoherent_intensity(e, s) for e, n in atoms) / mass
    return np.asarray(coherent), np.asarray(incoherent)


def _percus_yevick(q_diameter: FloatArray, packing: float) -> FloatArray:
    """Hard-sphere structure factor [Percus & Yevick 1958; Wertheim 1963], q·diameter > 0."""
    eta = packing
    alpha = (1.0 + 2.0 * eta) ** 2 / (1.0 - eta) ** 4
    beta = -6.0 * eta * (1.0 + 0.5 * eta) ** 2 / (1.0 - eta) ** 4
    gamma = 0.5 * eta * alpha
    x = np.maximum(q_diameter, 1e-2)
    sin, cos = np.sin(x), np.cos(x)
    g = alpha * (sin - x * cos) / x**2
    g += beta * (2.0 * x * sin + (2.0 - x**2) * cos - 2.0) / x**3
    g += gamma * (-(x**4) * cos + 4.0 * ((3.0 * x**2 - 6.0) * cos + (x**3 - 6.0 * x) * sin + 6.0)) / x**5
    factor: FloatArray = 1.0 / (1.0 + 24.0 * eta * g / x)
    return factor


def _peak(family: HaloFamily, q: FloatArray, centre: float, fwhm: float) -> FloatArray:
    t = (q - centre) / fwhm
    if family == "lorentzian":  # squared Lorentzian: longer tails than a Gaussian, still integrable
        squared: FloatArray = 1.0 / (1.0 + 4.0 * (np.sqrt(2.0) - 1.0) * t * t) ** 2
        return squared
    gauss: FloatArray = np.exp(-4.0 * np.log(2.0) * t * t)
    return gauss


def _raw_structure_factor(halo: HaloShape, q: FloatArray, centre: float) -> FloatArray:
    """S(Q) with its main maximum near `centre`, before the halo is put where it belongs."""
    width = halo.fwhm * (
        two_theta_to_q(halo.two_theta + 0.5, _CU_KA1) - two_theta_to_q(halo.two_theta - 0.5, _CU_KA1)
    )
    if halo.family == "hard_sphere":
        packing = float(np.clip(0.34 * halo.height / (1.0 + 1.2 * (float(width) / centre - 0.35)), 0.2, 0.47))
        diameter = 7.05 / centre
        liquid = _percus_yevick(q * diameter, packing)
        loss = np.exp(-np.square(q / (4.5 * centre)))
        out: FloatArray = 1.0 + (liquid - 1.0) * loss
        return halo.low_q + (1.0 - halo.low_q) * out
    rise = 1.0 / (1.0 + np.exp(-(q - (centre - 0.35 * width)) / (0.33 * width)))
    out = halo.low_q + (1.0 - halo.low_q) * rise
    out = out + 0.75 * halo.height * _peak(halo.family, q, centre, float(width))
    if halo.second_height > 0.0:
        second = float(two_theta_to_q(halo.second_two_theta, _CU_KA1))
        out = out + 0.75 * halo.height * halo.second_height * _peak(
            halo.family, q, second, 1.4 * float(width)
        )
    if halo.packing_height > 0.0:
        q_packing = float(two_theta_to_q(halo.packing_two_theta, _CU_KA1))
        out = out + halo.height * halo.packing_height * _peak(halo.family, q, q_packing, 0.13)
    return out


def structure_factor(material: AmorphousMaterial, q: FloatArray) -> FloatArray:
    """S(Q) of an amorphous component with the halo's maximum at `halo.two_theta`.

    The free-atom curve falls with Q and would pull the maximum to lower angles; the centre of S is found by
    bisection so that polarised S·Σ|f|² has it where asked. The result is scaled to `halo.area_factor`.

    Parameters
    ----------
    q : array, Å⁻¹

    Returns
    -------
    array of the shape of `q`
    """
    halo = material.halo
    two_theta = np.linspace(10.0, 60.0, 1001)
    grid = two_theta_to_q(two_theta, _CU_KA1)
    coherent, _ = independent_atoms(material.atoms, grid, _CU_KA1)
    coherent = coherent * 0.5 * (1.0 + np.cos(np.radians(two_theta)) ** 2)
    target = float(two_theta_to_q(halo.two_theta, _CU_KA1))
    near = np.abs(two_theta - halo.two_theta) < max(4.0, halo.fwhm)
    low, high = 0.8 * target, 1.5 * target
    for _ in range(30):
        centre = 0.5 * (low + high)
        curve = np.where(near, coherent * _raw_structure_factor(halo, grid, centre), 0.0)
        if float(two_theta[int(np.argmax(curve))]) < halo.two_theta:
            low = centre
        else:
            high = centre
    s_grid = _raw_structure_factor(halo, grid, centre)
    scale = halo.area_factor * np.trapezoid(coherent, two_theta) / np.trapezoid(coherent * s_grid, two_theta)
    q = np.asarray(q, dtype=float)
    # the scale belongs to the window; beyond it S returns to 1
    fade = 1.0 / (1.0 + np.exp((q - 7.0) / 0.6))
    result: FloatArray = _raw_structure_factor(halo, q, centre) * (1.0 + (scale - 1.0) * fade)
    return result


def amorphous_scattering(material: AmorphousMaterial, q: FloatArray, wavelength: float) -> FloatArray:
    """Coherent and Compton scattering of an amorphous component, electron units per dalton, Q in Å⁻¹."""
    coherent, incoherent = independent_atoms(material.atoms, q, wavelength)
    return coherent * structure_factor(material, q) + incoherent


def halo_maximum(material: AmorphousMaterial, *, wavelength: float = _CU_KA1) -> float:
    """Angle in degrees at which the polarised scattering has its main maximum (10–60° with Cu Kα1)."""
    two_theta = np.linspace(10.0, 60.0, 5001)
    q = two_theta_to_q(two_theta, _CU_KA1)
    curve = amorphous_scattering(material, q, wavelength) * (1.0 + np.cos(np.radians(two_theta)) ** 2)
    return float(q_to_two_theta(q[int(np.argmax(curve))], wavelength))
