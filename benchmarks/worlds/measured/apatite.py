"""The mineral of bone, dentine, enamel and ectopic calcification as reflections of measured width.

Column lengths along c and across, cells and carbonate: bone 20–32 and 8–10 nm [Foley 2020], about 22 and 7 nm
[Wheeler & Lewis 1977]; dentine alike; enamel long and thick [Dorozhkin 2011]; calcinosis 30–45 nm along c with
002 widths of 0.2–0.27° [Eidelman 2009]; plaque and valves about 20 nm [2004; Foreman & Fulkerson 1987].
Paracrystalline strain 1.5 % for bone along with size [Wheeler & Lewis]: here up to 0.4 % as Lorentzian strain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.worlds.atoms import Array, atom, compton
from benchmarks.worlds.crystals import Reflections, Structure, between_reflections, reflections, structure

# tissue: column lengths (nm) along c and across, cell a and c (Å), each low and high
TISSUES = {
    "bone": ((20.0, 32.0), (6.5, 10.0), (9.405, 9.430), (6.878, 6.895)),
    "dentine": ((18.0, 30.0), (6.0, 10.0), (9.41, 9.43), (6.88, 6.892)),
    "enamel": ((60.0, 120.0), (25.0, 50.0), (9.435, 9.446), (6.876, 6.884)),
    "calcinosis": ((26.0, 48.0), (9.0, 18.0), (9.40, 9.44), (6.875, 6.895)),
    "plaque": ((14.0, 26.0), (5.5, 10.0), (9.40, 9.44), (6.875, 6.895)),
}
Q_MAX = 6.6


@dataclass(frozen=True, kw_only=True)
class Mineral:
    """Carbonated apatite of one tissue; `carbonate` is the mass fraction of CO3 in the mineral."""

    tissue: str
    length_c_nm: float
    length_a_nm: float
    a: float
    c: float
    strain: float
    mixing: float
    extra_b: float
    carbonate: float

    def crystal(self) -> Structure:
        return structure("hydroxyapatite").with_cell(self.a, self.c)

    def substitution(self) -> dict[str, tuple[str, float]]:
        """Carbonate on phosphate sites with a vacant oxygen each, and one calcium less for two of them."""
        # mass of the cell: 1004.6 - 55 x dalton, 60 x of it CO3
        x = 1004.6 * self.carbonate / (60.01 + 55.0 * self.carbonate)
        return {"P": ("C", x / 6.0), "O": ("", x / 26.0), "Ca": ("", 0.5 * x / 10.0)}

    def reflections(self) -> Reflections:
        return reflections(self.crystal(), q_max=Q_MAX, replaced=self.substitution(), extra_b=self.extra_b)

    def diffuse(self, q: Array) -> Array:
        """Thermal and Laue scattering and Compton between the reflections, e.u. per dalton."""
        crystal = self.crystal()
        laue = np.zeros_like(q)
        for element, (other, share) in self.substitution().items():
            n = crystal.formula[element]
            f = atom(element).f(q) - (atom(other).f(q) if other else 0.0)
            laue += n * share * (1.0 - share) * np.abs(f) ** 2
        thermal = between_reflections(crystal, q, extra_b=self.extra_b)
        return np.asarray(thermal + laue / crystal.mass + compton(crystal.formula, q), dtype=np.float64)

    def breadths(self, at: Reflections) -> Array:
        """Integral breadths in q: 2π / column length, which turns from along c to across, and strain."""
        length = 10.0 / np.sqrt((at.cos_c / self.length_c_nm) ** 2 + (1 - at.cos_c**2) / self.length_a_nm**2)
        return np.asarray(2.0 * np.pi / length + 2.0 * self.strain * at.q, dtype=np.float64)

    def bragg(self, q: Array) -> Array:
        """Bragg scattering on rising q, e.u. per dalton."""
        lines = self.reflections()
        return lines_on(q, lines, self.breadths(lines), self.mixing)


def lines_on(q: Array, lines: Reflections, breadths: Array, mixing: float) -> Array:
    """Sum of pseudo-Voigt reflections of given integral breadths; their tails reach 60 breadths."""
    total = np.zeros_like(q)
    # breadth = FWHM · (π/2 for Lorentzian, 1.0645 for Gaussian), so a given breadth means a narrower Lorentzian
    width = breadths / (mixing * np.pi / 2.0 + (1.0 - mixing) * np.sqrt(np.pi / np.log(2.0)) / 2.0)
    for centre, area, fwhm in zip(lines.q, lines.area, width, strict=True):
        low, high = np.searchsorted(q, [centre - 60.0 * fwhm, centre + 60.0 * fwhm])
        x = (q[low:high] - centre) / fwhm
        gauss = 2.0 * np.sqrt(np.log(2.0) / np.pi) * np.exp(-4.0 * np.log(2.0) * x**2)
        lorentz = 2.0 / np.pi / (1.0 + 4.0 * x**2)
        profile = ((1.0 - mixing) * gauss + mixing * lorentz) / fwhm
        total[low:high] += area * profile / (centre * q[low:high])
    return total


def draw_mineral(rng: np.random.Generator, carbonate: float) -> Mineral:
    """Mineral of a tissue drawn at random, `carbonate` its mass fraction of CO3."""
    tissue = str(rng.choice(list(TISSUES), p=(0.3, 0.1, 0.1, 0.35, 0.15)))
    along, across, a, c = (float(rng.uniform(*bounds)) for bounds in TISSUES[tissue])
    return Mineral(
        tissue=tissue,
        length_c_nm=along,
        length_a_nm=across,
        a=a,
        c=c,
        strain=float(rng.uniform(0.0, 0.004)),
        mixing=float(rng.uniform(0.25, 0.85)),
        extra_b=float(rng.uniform(0.0, 0.45)),
        carbonate=carbonate,
    )
