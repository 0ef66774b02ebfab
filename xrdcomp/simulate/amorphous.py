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

from xrdcomp.simulate.crystals import atomic_mass, coherent_amplitude, incoherent_intensity
from xrdcomp.units import FloatArray

HaloFamily = Literal["gaussian", "lorentzian", "hard_sphere"]
_CU_KA1 = 1.540598


@dataclass(frozen=True, kw_only=True)
class HaloShape:
    """The liquid-like structure factor S of an amorphous component; angles in degrees with Cu Kα1."""

    two_theta: float  # maximum of the scattered intensity
    fwhm: float  # of that maximum; larger blurs the structure
    height: float = 1.0  # factor on the maximum of S; other than 1 it changes the scattering per gram
    second_two_theta: float = 44.0  # second maximum of S, in the families with peaks
    second_height: float = 0.0  # relative to the first; 0 leaves it out
    low_q: float = 0.08  # S at Q = 0, between 0 (incompressible) and 1
    packing_two_theta: float = 6.8  # lateral packing of protein chains (12–14 Å)
    packing_height: float = 0.0  # in S; 0 leaves it out
    # Coherent scattering in 10–60° relative to that of free atoms, at `height` 1: what is missing at low angles has
    # gone into the maximum.
    area_factor: float = 1.0
    # Peaks on a step, sharper peaks with longer tails, or a Percus-Yevick liquid.
    family: HaloFamily = "gaussian"

    def jittered(self, *, shift: float = 0.0, width: float = 1.0, height: float = 1.0) -> HaloShape:
        """Return a copy with the halo moved by `shift` degrees and its width and height multiplied."""
        return replace(
            self, two_theta=self.two_theta + shift, fwhm=self.fwhm * width, height=self.height * height
        )


@dataclass(frozen=True, kw_only=True)
class AmorphousMaterial:
    """Composition (`atoms` per formula unit) and `halo` of an amorphous component."""

    atoms: tuple[tuple[str, float], ...]
    halo: HaloShape

    @property
    def mass(self) -> float:
        """Mass of the formula unit, dalton."""
        return sum(n * atomic_mass(e) for e, n in self.atoms)

    def element_mass_fractions(self) -> dict[str, float]:
        """Mass fraction of each element."""
        return {e: n * atomic_mass(e) / self.mass for e, n in self.atoms}


# Area factors: measured soil organic matter, humic and fulvic acid, peat and kerogen scatter 1.0–1.15 times
# free atoms per gram in 10–60° against fluorapatite, 1.25 times in 20–40°; liquid water peaks near 90 electron
# units per molecule.
MATERIALS: dict[str, AmorphousMaterial] = {
    # collagen as amino-acid analysis gives it
    "protein": AmorphousMaterial(
        atoms=(("C", 65.0), ("H", 102.0), ("N", 18.0), ("O", 21.0)),
        halo=HaloShape(
            two_theta=21.0,
            fwhm=8.0,
            second_two_theta=42.0,
            second_height=0.12,
            low_q=0.15,
            packing_height=0.15,
            area_factor=1.05,
        ),
    ),
    # triolein
    "lipid": AmorphousMaterial(
        atoms=(("C", 57.0), ("H", 104.0), ("O", 6.0)),
        halo=HaloShape(
            two_theta=19.5, fwhm=6.0, second_two_theta=42.0, second_height=0.10, low_q=0.12, area_factor=1.05
        ),
    ),
    "water": AmorphousMaterial(
        atoms=(("H", 2.0), ("O", 1.0)),
        halo=HaloShape(two_theta=28.3, fwhm=10.0, second_two_theta=42.5, second_height=0.30),
    ),
    # Ca9(PO4)6 with about 10 % of its mass as bound water
    "amorphous_calcium_phosphate": AmorphousMaterial(
        atoms=(("Ca", 9.0), ("P", 6.0), ("O", 29.25), ("H", 10.5)),
        halo=HaloShape(
            two_theta=30.0, fwhm=7.0, second_two_theta=47.5, second_height=0.25, low_q=0.30, area_factor=0.95
        ),
    ),
}


def _q(two_theta: float | FloatArray) -> FloatArray:
    """4π sinθ/λ of Cu Kα1 in Å⁻¹ from 2θ in degrees."""
    return np.asarray(4.0 * np.pi * np.sin(np.radians(two_theta) / 2.0) / _CU_KA1, dtype=np.float64)


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
    # 1/S − 1 is the transform of the direct correlation function α + βr + γr³ inside a sphere
    eta = packing
    alpha = (1.0 + 2.0 * eta) ** 2 / (1.0 - eta) ** 4
    beta = -6.0 * eta * (1.0 + 0.5 * eta) ** 2 / (1.0 - eta) ** 4
    gamma = 0.5 * eta * alpha
    x = np.maximum(q_diameter, 1e-2)  # differences of nearly equal terms lose all digits below
    sin, cos = np.sin(x), np.cos(x)
    g = alpha * (sin - x * cos) / x**2
    g += beta * (2.0 * x * sin + (2.0 - x**2) * cos - 2.0) / x**3
    g += gamma * (-(x**4) * cos + 4.0 * ((3.0 * x**2 - 6.0) * cos + (x**3 - 6.0 * x) * sin + 6.0)) / x**5
    return np.asarray(1.0 / (1.0 + 24.0 * eta * g / x), dtype=np.float64)


def _peak(family: HaloFamily, q: FloatArray, centre: float, fwhm: float) -> FloatArray:
    t = (q - centre) / fwhm
    if family == "lorentzian":  # squared Lorentzian: longer tails than a Gaussian, still integrable
        return np.asarray(1.0 / (1.0 + 4.0 * (np.sqrt(2.0) - 1.0) * t * t) ** 2, dtype=np.float64)
    return np.asarray(np.exp(-4.0 * np.log(2.0) * t * t), dtype=np.float64)


def _base_and_peaks(halo: HaloShape, q: FloatArray, centre: float) -> tuple[FloatArray, FloatArray]:
    """S(Q) without its main maximum, tending to 1, and the maximum of unit height with its second one."""
    width = float(halo.fwhm * (_q(halo.two_theta + 0.5) - _q(halo.two_theta - 0.5)))
    family: HaloFamily = "gaussian" if halo.family == "hard_sphere" else halo.family
    peaks = _peak(family, q, centre, width)
    if halo.family == "hard_sphere":
        # disorder of real bonds damps the oscillations of a liquid of hard spheres beyond its first maximum
        liquid = _percus_yevick(q * 7.05 / centre, 0.32)
        loss = np.exp(-np.square(q / (3.0 * centre)))
        return halo.low_q + (1.0 - halo.low_q) * (1.0 + (liquid - 1.0) * loss), peaks
    rise = 1.0 / (1.0 + np.exp(-(q - (centre - 0.35 * width)) / (0.33 * width)))
    base: FloatArray = halo.low_q + (1.0 - halo.low_q) * rise
    if halo.packing_height > 0.0:
        q_packing = float(_q(halo.packing_two_theta))
        base = base + halo.packing_height * _peak(family, q, q_packing, 0.13)
    if halo.second_height > 0.0:
        second = float(_q(halo.second_two_theta))
        peaks = peaks + halo.second_height * _peak(family, q, second, 1.4 * width)
    return base, peaks


def structure_factor(material: AmorphousMaterial, q: FloatArray) -> FloatArray:
    """S(Q) of an amorphous component whose scattering has its maximum at `halo.two_theta`.

    The free-atom curve falls with Q and would pull the maximum to lower angles; the centre of S is found by
    bisection so that polarised S·Σ|f|² has it where asked. At `height` 1 the maximum of S is as high as makes
    the scattering in the window `area_factor` times that of free atoms; S tends to 1 beyond in any case. q in Å⁻¹.
    """
    halo = material.halo
    two_theta = np.linspace(10.0, 60.0, 1001)
    grid = _q(two_theta)
    atoms, _ = independent_atoms(material.atoms, grid, _CU_KA1)
    atoms = atoms * 0.5 * (1.0 + np.cos(np.radians(two_theta)) ** 2)
    target = float(_q(halo.two_theta))
    # only the maximum near the one asked for is followed: a second one may be as high
    near = np.abs(two_theta - halo.two_theta) < max(4.0, halo.fwhm)
    low, high = 0.8 * target, 1.5 * target
    for _ in range(30):
        centre = 0.5 * (low + high)
        base, peaks = _base_and_peaks(halo, grid, centre)
        height = halo.height * (halo.area_factor * atoms.sum() - atoms @ base) / (atoms @ peaks)
        curve = np.where(near, atoms * (base + height * peaks), 0.0)
        if float(two_theta[int(np.argmax(curve))]) < halo.two_theta:
            low = centre
        else:
            high = centre
    base, peaks = _base_and_peaks(halo, np.asarray(q, dtype=float), centre)
    return np.asarray(base + height * peaks, dtype=np.float64)


def amorphous_scattering(material: AmorphousMaterial, q: FloatArray, wavelength: float) -> FloatArray:
    """Coherent and Compton scattering of an amorphous component, electron units per dalton, Q in Å⁻¹."""
    coherent, incoherent = independent_atoms(material.atoms, q, wavelength)
    return coherent * structure_factor(material, q) + incoherent
