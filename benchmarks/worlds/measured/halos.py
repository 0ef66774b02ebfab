"""Amorphous matter as measured: structure factors through digitised points, on the absolute scale.

S(q) is coherent intensity over that of the free atoms. The points carry position and height of the first ring, the
dips between the rings and the level at low angles as absolute measurements report them; the area over the free atoms
between 0.7 and 4.1 Å⁻¹ is then set to its measured value, with its uncertainty. Sources:

- water: 0.77–0.80 and S 1.3–1.5 at 2.0 Å⁻¹, 63 electron units a molecule [Narten & Levy 1971; Peplow & Verghese 1998
  for the molecular form factor; I(0) = 6.4 from the compressibility], nearly as high at 2.8 Å⁻¹, where its second
  maximum makes a shoulder, 0.8 at 3.7 Å⁻¹;
- lipid: 1.21–1.35, S 3.4–3.7 at 1.38 Å⁻¹, 0.5 at 2.2 Å⁻¹;
- collagen and keratin: 0.97–1.17, S 1.6–1.85 at 1.3–1.5 Å⁻¹; lateral packing 12–14 Å (collagen), 9.8 Å (keratin);
- polysaccharide: as organic matter with its ring at 1.3–1.5 Å⁻¹;
- PMMA: 1.24, rings at 13.8, 30.9 and 42.3° with Cu Kα;
- amorphous calcium phosphate: 0.79 ± 0.1, rings at 2.1 Å⁻¹ and 45–50°.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from benchmarks.worlds.atoms import Array, compton, formula_mass, free_atoms

WINDOW = (0.7, 4.1)  # Å⁻¹, where areas are stated


@dataclass(frozen=True, kw_only=True)
class Material:
    """`formula`, mean area over free atoms in `WINDOW` with its `area_std`, and points (q, S) of the curve."""

    formula: dict[str, float]
    area: float
    area_std: float
    points: tuple[tuple[float, float], ...]


# Elemental analyses: collagen C 50.5, H 6.8, N 17, O 25.7 wt%; keratin with 4 wt% S; triolein; cellulose; monomer.
MATERIALS = {
    "water": Material(
        formula={"H": 2, "O": 1},
        area=0.785,
        area_std=0.02,
        points=(
            *((0.0, 0.10), (0.4, 0.11), (0.8, 0.14), (1.1, 0.20), (1.4, 0.42), (1.7, 1.05), (1.95, 1.58), (2.15, 1.57)),
            *((2.5, 1.34), (2.8, 1.33), (3.1, 1.17), (3.4, 0.89), (3.7, 0.80), (4.0, 0.84), (4.4, 0.97), (4.8, 1.06)),
            *((5.3, 1.04), (5.9, 0.98), (6.6, 1.0)),
        ),
    ),
    "lipid": Material(
        formula={"C": 57, "H": 104, "O": 6},
        area=1.28,
        area_std=0.05,
        points=(
            *((0.0, 0.25), (0.35, 0.45), (0.6, 0.40), (0.9, 0.75), (1.1, 1.55), (1.25, 2.75), (1.38, 3.55), (1.5, 2.9)),
            *((1.65, 1.75), (1.85, 0.90), (2.2, 0.52), (2.5, 0.66), (2.8, 1.0), (3.05, 1.14), (3.4, 1.02), (3.8, 0.88)),
            *((4.3, 0.96), (4.9, 1.12), (5.5, 1.07), (6.3, 1.0)),
        ),
    ),
    "collagen": Material(
        formula={"C": 4.205, "H": 6.75, "N": 1.214, "O": 1.606},
        area=1.07,
        area_std=0.05,
        points=(
            *((0.0, 0.9), (0.3, 1.1), (0.47, 2.3), (0.62, 1.1), (0.85, 0.75), (1.05, 1.02), (1.25, 1.52), (1.42, 1.75)),
            *((1.6, 1.55), (1.85, 1.15), (2.1, 0.98), (2.25, 1.0), (2.6, 0.86), (2.95, 0.90), (3.3, 0.90), (3.8, 0.88)),
            *((4.4, 0.97), (5.0, 1.09), (5.6, 1.04), (6.4, 1.0)),
        ),
    ),
    "keratin": Material(
        formula={"C": 4.1, "H": 6.6, "N": 1.15, "O": 1.55, "S": 0.13},
        area=1.05,
        area_std=0.05,
        points=(
            *((0.0, 0.8), (0.4, 1.0), (0.64, 2.0), (0.82, 1.1), (1.05, 1.0), (1.25, 1.45), (1.4, 1.68), (1.55, 1.56)),
            *((1.85, 1.12), (2.1, 0.95), (2.5, 0.88), (2.95, 0.92), (3.4, 0.9), (3.9, 0.9), (4.5, 0.98), (5.1, 1.08)),
            *((5.7, 1.03), (6.4, 1.0)),
        ),
    ),
    "polysaccharide": Material(
        formula={"C": 6, "H": 10, "O": 5},
        area=1.05,
        area_std=0.06,
        points=(
            *((0.0, 0.5), (0.4, 0.55), (0.8, 0.65), (1.05, 1.05), (1.3, 1.85), (1.45, 2.05), (1.6, 1.75), (1.85, 1.2)),
            *((2.1, 0.95), (2.5, 0.84), (2.8, 0.92), (3.1, 0.96), (3.6, 0.86), (4.2, 0.95), (4.8, 1.08), (5.4, 1.05)),
            (6.3, 1.0),
        ),
    ),
    "pmma": Material(
        formula={"C": 5, "H": 8, "O": 2},
        area=1.24,
        area_std=0.05,
        points=(
            *((0.0, 0.3), (0.5, 0.55), (0.75, 1.4), (0.98, 2.75), (1.15, 2.25), (1.4, 1.45), (1.7, 1.15), (1.95, 1.2)),
            *((2.17, 1.28), (2.4, 1.05), (2.65, 0.9), (2.94, 1.02), (3.2, 0.95), (3.7, 0.84), (4.3, 0.95), (4.9, 1.1)),
            *((5.5, 1.06), (6.3, 1.0)),
        ),
    ),
    "acp": Material(
        formula={"Ca": 9, "P": 6, "O": 24},
        area=0.80,
        area_std=0.07,
        points=(
            *((0.0, 0.25), (0.4, 0.2), (0.8, 0.22), (1.2, 0.33), (1.5, 0.55), (1.8, 1.05), (2.05, 1.62), (2.2, 1.6)),
            *((2.4, 1.2), (2.65, 0.75), (2.9, 0.62), (3.15, 0.82), (3.35, 0.96), (3.6, 0.86), (3.9, 0.80), (4.3, 0.98)),
            *((4.7, 1.12), (5.2, 1.02), (5.8, 0.97), (6.5, 1.0)),
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Halo:
    """One real batch of a material: measured `area`, its ring moved by the factor `stretch`, contrast of the rings."""

    material: Material
    area: float
    stretch: float = 1.0
    contrast: float = 1.0

    def structure_factor(self, q: Array) -> Array:
        """S(q): the points, stretched and scaled to the area in `WINDOW`, 1 beyond the last point."""
        points = np.array(self.material.points)
        values = points[:, 1] ** self.contrast
        curve = PchipInterpolator(points[:, 0] * self.stretch, values, extrapolate=False)

        def plain(at: Array) -> Array:
            return np.nan_to_num(np.asarray(curve(at), dtype=np.float64), nan=1.0)

        def fading(at: Array) -> Array:
            # the scale is that of the window and fades out above it
            return np.asarray(np.clip((5.6 - at) / 1.5, 0.0, 1.0), dtype=np.float64)

        grid = np.linspace(*WINDOW, 341)
        weights = free_atoms(self.material.formula, grid)
        scale = self.area * weights.sum() / float(np.sum(plain(grid) * weights))
        return np.asarray(plain(q) * (1.0 + (scale - 1.0) * fading(q)), dtype=np.float64)

    def intensity(self, q: Array) -> Array:
        """Coherent and incoherent scattering in electron units per dalton."""
        formula = self.material.formula
        return free_atoms(formula, q) * self.structure_factor(q) + compton(formula, q)


def draw_halo(name: str, rng: np.random.Generator) -> Halo:
    """A batch: the area within its uncertainty, rings 1 % elsewhere (organic matter 2.5 %), contrast ± 8 %."""
    material = MATERIALS[name]
    spread = 0.006 if name == "water" else 0.012 if name in ("lipid", "pmma", "acp") else 0.025
    return Halo(
        material=material,
        area=float(rng.normal(material.area, material.area_std)),
        stretch=float(np.clip(rng.normal(1.0, spread), 0.93, 1.07)),
        contrast=float(np.clip(rng.normal(1.0, 0.03 if name == "water" else 0.08), 0.8, 1.2)),
    )


def electron_units_per_molecule(halo: Halo, q: Array) -> Array:
    """Coherent intensity of a formula unit, for comparison with absolute measurements."""
    formula = halo.material.formula
    return free_atoms(formula, q) * halo.structure_factor(q) * formula_mass(formula)
