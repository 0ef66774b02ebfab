"""Crystal structures of these worlds and their reflections on the absolute scale.

Structures as published: Hughes, Cameron & Crowley (1989) for hydroxyapatite, the BGMN/AMCSD lineages for calcite,
quartz, corundum, brushite [Curry & Jones 1971], gypsum and whewellite [Tazzoli & Domeneghetti 1980, water oxygens on
one site]; the cubic ones and hematite are textbook values. gemmi expands the symmetry; structure factors are plain
sums over all atoms of the cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import gemmi
import numpy as np

from benchmarks.worlds.atoms import Array, atom, formula_mass

# name | space group | cell; then element, x, y, z, occupancy, B in Å²
_STRUCTURES = """
hydroxyapatite | P 63/m | 9.4166 9.4166 6.8745 90 90 120
Ca 0.333333 0.666667 0.50144 1 0.664
Ca 0.99343 0.24706 0.25 1 0.567
H 0 0 0.04 0.5 3.3
O 0 0 0.1979 0.5 1.3
O 0.485 0.3289 0.25 1 0.954
O 0.4649 0.5871 0.25 1 1.01
O 0.258 0.3435 0.0703 1 1.5
P 0.3686 0.39866 0.25 1 0.477

calcite | R -3 c:H | 4.991 4.991 17.062 90 90 120
Ca 0 0 0 1 0.797
C 0 0 0.25 1 0.758
O 0.2573 0 0.25 1 1.4

quartz | P 32 2 1 | 4.9137 4.9137 5.4047 90 90 120
O 0.4133 0.2672 0.785467 1 0.998
Si 0.4697 0 0.666667 1 0.531

corundum | R -3 c:H | 4.76 4.76 12.993 90 90 120
Al 0 0 0.3522 1 0.225
O 0.3062 0 0.25 1 0.272

brushite | I 1 a 1 | 5.812 15.18 6.239 90 116.43 90
Ca 0.7559 0.3266 0.5059 1 0.89
P 0.2485 0.3225 0.9857 1 0.737
O 0.2423 0.3675 0.2163 1 1.16
O 0.5143 0.2823 0.0801 1 0.913
O 0.1918 0.3927 0.7984 1 1.02
O 0.0346 0.2532 0.8909 1 0.847
O 0.6233 0.4262 0.7343 1 1.75
O 0.7823 0.4473 0.2738 1 1.79
H 0.1568 0.3293 0.2897 1 2.17
H 0.6427 0.4898 0.7482 1 2.4
H 0.4647 0.4121 0.7452 1 2.5
H 0.7785 0.5094 0.2794 1 3.8
H 0.756 0.4334 0.1167 1 3.87

gypsum | C 1 2/c 1 | 6.284 15.2 6.523 90 127.41 90
Ca 0 0.42044 0.25 1 0.88
H 0.749 0.162 0.251 1 2.45
H 0.584 0.235 0.073 1 4.5
O 0.0372 0.13198 0.5872 1 1.49
O 0.2424 0.02211 0.9092 1 1.41
O 0.6202 0.18197 0.0784 1 2.19
S 0 0.92276 0.25 1 0.66

whewellite | P 1 21/c 1 | 6.29 14.583 10.116 90 109.5 90
Ca 0.9676 0.1243 0.0546 1 0.67
Ca 0.9968 0.1236 0.4357 1 0.66
C 0.9832 0.3201 0.2452 1 0.8
C 1.0009 0.427 0.2492 1 0.77
C 0.5189 0.1266 0.1812 1 1.07
C 0.4505 0.1173 0.3131 1 1.08
O 0.9756 0.2826 0.1322 1 1.16
O 1.0066 0.4659 0.1395 1 1.14
O 0.9799 0.2819 0.355 1 1.17
O 1.0073 0.4658 0.3614 1 1.21
O 0.3614 0.1418 0.069 1 2.2
O 0.7245 0.1227 0.1974 1 1.16
O 0.2438 0.1229 0.2957 1 1.31
O 0.6073 0.1068 0.4264 1 2.24
O 0.3932 0.3459 0.1022 1 1.81
O 0.5913 0.3829 0.3908 1 4.48
H 0.487 0.372 0.051 1 5
H 0.51 0.364 0.426 1 5
H 0.53 0.367 0.32 1 5

halite | F m -3 m | 5.6402 5.6402 5.6402 90 90 90
Na 0 0 0 1 1.7
Cl 0.5 0.5 0.5 1 1.4

sylvite | F m -3 m | 6.2931 6.2931 6.2931 90 90 90
K 0 0 0 1 2.15
Cl 0.5 0.5 0.5 1 2.15

villiaumite | F m -3 m | 4.6325 4.6325 4.6325 90 90 90
Na 0 0 0 1 0.9
F 0.5 0.5 0.5 1 1.0

ceria | F m -3 m | 5.4113 5.4113 5.4113 90 90 90
Ce 0 0 0 1 0.3
O 0.25 0.25 0.25 1 0.6

hematite | R -3 c:H | 5.0356 5.0356 13.7489 90 90 120
Fe 0 0 0.3553 1 0.35
O 0.3059 0 0.25 1 0.45

spinel | F d -3 m:2 | 8.0831 8.0831 8.0831 90 90 90
Mg 0.125 0.125 0.125 1 0.4
Al 0.5 0.5 0.5 1 0.35
O 0.2624 0.2624 0.2624 1 0.5

silver | F m -3 m | 4.0862 4.0862 4.0862 90 90 90
Ag 0 0 0 1 0.7
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """All atoms of a cell: `elements` (n), fractional `xyz` (n, 3), `occupancy` and `b_iso` (Å²)."""

    name: str
    cell: gemmi.UnitCell
    elements: tuple[str, ...]
    xyz: Array
    occupancy: Array
    b_iso: Array

    @property
    def formula(self) -> dict[str, float]:
        """Atoms of a cell by element."""
        found: dict[str, float] = {}
        for element, occupancy in zip(self.elements, self.occupancy, strict=True):
            found[element] = found.get(element, 0.0) + float(occupancy)
        return found

    @property
    def mass(self) -> float:
        """Mass of a cell in dalton."""
        return formula_mass(self.formula)

    def with_cell(self, a: float, c: float) -> Structure:
        """The hexagonal structure in another cell."""
        return replace(self, cell=gemmi.UnitCell(a, a, c, 90, 90, 120))


def _small_structure(block: str) -> gemmi.SmallStructure:
    head, *rows = block.strip().splitlines()
    name, group, cell = (part.strip() for part in head.split("|"))
    small = gemmi.SmallStructure()
    small.name = name
    small.cell = gemmi.UnitCell(*(float(v) for v in cell.split()))
    small.spacegroup_hm = group
    small.determine_and_set_spacegroup("h2")
    for number, row in enumerate(rows):
        element, *values = row.split()
        x, y, z, occupancy, b_iso = (float(v) for v in values)
        site = gemmi.SmallStructure.Site()
        site.label = f"{element}{number}"
        site.type_symbol = element
        site.element = gemmi.Element(element)
        site.fract = gemmi.Fractional(x, y, z)
        site.occ = occupancy
        site.u_iso = b_iso / (8.0 * np.pi**2)
        small.add_site(site)
    small.setup_cell_images()
    return small


@lru_cache(maxsize=1)
def small_structures() -> dict[str, gemmi.SmallStructure]:
    """Structures by name, as gemmi holds them."""
    found = [_small_structure(block) for block in _STRUCTURES.strip().split("\n\n")]
    return {small.name: small for small in found}


@lru_cache(maxsize=32)
def structure(name: str) -> Structure:
    """Structure with every atom of its cell."""
    small = small_structures()[name]
    sites = small.get_all_unit_cell_sites()
    return Structure(
        name=name,
        cell=small.cell,
        elements=tuple(site.element.name for site in sites),
        xyz=np.array([[site.fract.x, site.fract.y, site.fract.z] for site in sites]) % 1.0,
        occupancy=np.array([site.occ for site in sites]),
        b_iso=np.array([site.u_iso for site in sites]) * 8.0 * np.pi**2,
    )


@dataclass(frozen=True, kw_only=True)
class Reflections:
    """Equal q and tilt merged: `q` in Å⁻¹, `cos_c` to the c axis, `area` = ∫ I q² dq, e.u. per dalton and Å⁻³."""

    q: Array
    cos_c: Array
    area: Array


def reflections(
    crystal: Structure, *, q_max: float, replaced: dict[str, tuple[str, float]] | None = None, extra_b: float = 0.0
) -> Reflections:
    """Reflections of a powder: ⟨I⟩ per cell is 2π² Σ|F|² δ(Q − q) / (V Q²).

    `replaced`: another element on a share of an element's sites, ``{"P": ("C", 0.3)}`` or nothing, ``("", 0.1)``; the
    mass is that of what is there. `extra_b` (Å²) is added to each atom's B.
    """
    replaced = replaced or {}
    reciprocal = 2.0 * np.pi * np.array(crystal.cell.frac.mat).T  # columns: a*, b*, c*
    lengths = np.array([crystal.cell.a, crystal.cell.b, crystal.cell.c])
    top = np.floor(q_max * lengths / (2.0 * np.pi)).astype(int) + 1
    axes = [np.arange(-n, n + 1) for n in top]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = hkl @ reciprocal.T
    q = np.linalg.norm(vectors, axis=1)
    keep = (q > 1e-6) & (q <= q_max)
    hkl, vectors, q = hkl[keep], vectors[keep], q[keep]
    phases = np.exp(2j * np.pi * (hkl @ crystal.xyz.T))
    damping = crystal.occupancy * np.exp(-np.outer((q / (4 * np.pi)) ** 2, crystal.b_iso + extra_b))
    amplitude = np.zeros(len(q), dtype=np.complex128)
    mass = 0.0
    for element in sorted(set(crystal.elements)):
        sites = np.array([e == element for e in crystal.elements])
        f, number = atom(element).f(q), float(crystal.occupancy[sites].sum())
        other, share = replaced.get(element, ("", 0.0))
        f = (1.0 - share) * f + (share * atom(other).f(q) if other else 0.0)
        mass += number * ((1.0 - share) * atom(element).mass + (share * atom(other).mass if other else 0.0))
        amplitude += f * (damping[:, sites] * phases[:, sites]).sum(axis=1)
    axis = np.array(crystal.cell.orth.mat)[:, 2] / crystal.cell.c
    cos_c = np.abs(vectors @ axis) / q
    key = np.round(np.stack([q, cos_c], axis=1), 5)
    unique, inverse = np.unique(key, axis=0, return_inverse=True)
    area = 2.0 * np.pi**2 * np.bincount(inverse.ravel(), np.abs(amplitude) ** 2) / (crystal.cell.volume * mass)
    strong = area > 1e-6 * area.max()
    return Reflections(q=unique[strong, 0], cos_c=unique[strong, 1], area=area[strong])


def between_reflections(crystal: Structure, q: Array, *, extra_b: float = 0.0) -> Array:
    """Thermal diffuse scattering of independent atoms and disorder of half-filled sites, e.u. per dalton."""
    x2 = (q / (4 * np.pi)) ** 2
    total = np.zeros_like(q)
    for element in sorted(set(crystal.elements)):
        sites = np.array([e == element for e in crystal.elements])
        o, b = crystal.occupancy[sites], crystal.b_iso[sites] + extra_b
        total += np.abs(atom(element).f(q)) ** 2 * (o.sum() - (o**2) @ np.exp(-2.0 * np.outer(b, x2)))
    return np.asarray(total / crystal.mass, dtype=np.float64)
