"""A whole specimen of the Debye world on a diffractometer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.worlds.atoms import Array, compton
from benchmarks.worlds.crystals import Structure, between_reflections, reflections, structure
from benchmarks.worlds.debye import crystallites, liquids
from benchmarks.worlds.debye.crystallites import Morphology
from benchmarks.worlds.files import Scan
from benchmarks.worlds.measured.apatite import lines_on
from benchmarks.worlds.optics import Diffractometer, count, draw_diffractometer, expected
from benchmarks.worlds.population import Specimen

BATCHES = 4
# Bone and dentine are plates, enamel-like and ectopic mineral needles and blocks; nm along c and across.
MORPHOLOGIES = (
    Morphology(shape="plate", length_c=26.0, length_a=16.0, length_b=4.5, spread=0.25, a=9.414, c=6.888, strain=1e-3),
    Morphology(shape="plate", length_c=30.0, length_a=20.0, length_b=6.0, spread=0.3, a=9.418, c=6.885),
    Morphology(shape="plate", length_c=20.0, length_a=12.0, length_b=5.0, spread=0.15, a=9.408, c=6.892, strain=2e-3),
    Morphology(shape="needle", length_c=32.0, length_a=9.0, length_b=9.0, spread=0.2, a=9.425, c=6.884, strain=1e-3),
    Morphology(shape="needle", length_c=24.0, length_a=7.0, length_b=7.0, spread=0.3, a=9.419, c=6.881, strain=1.5e-3),
    Morphology(shape="needle", length_c=38.0, length_a=10.0, length_b=10.0, spread=0.1, a=9.432, c=6.880),
    Morphology(shape="block", length_c=22.0, length_a=11.0, length_b=11.0, spread=0.2, a=9.421, c=6.879),
    Morphology(shape="block", length_c=16.0, length_a=8.0, length_b=8.0, spread=0.3, a=9.405, c=6.890, strain=1e-3),
    Morphology(shape="ellipsoid", length_c=30.0, length_a=12.0, length_b=12.0, spread=0.2, a=9.428, c=6.882),
    Morphology(
        shape="ellipsoid", length_c=22.0, length_a=10.0, length_b=7.0, spread=0.3, a=9.412, c=6.886, strain=2e-3
    ),
)


@lru_cache(maxsize=BATCHES)
def phosphate_batch(number: int) -> Array:
    """Amorphous phosphate with clusters of 9.5–14 Å and densities of 2.7–2.95 g/cm³."""
    rng = np.random.default_rng([4711, number])
    return liquids.phosphate(
        cluster=float(rng.uniform(9.5, 14.0)),
        blur=float(rng.uniform(0.12, 0.2)),
        growth=float(rng.uniform(0.03, 0.08)),
        expansion=float(rng.uniform(1.022, 1.052)),
    )


@lru_cache(maxsize=BATCHES)
def water_batch(number: int) -> Array:
    """Water whose second shell is weaker or stronger than that of the pure liquid."""
    return liquids.water(sharpness=0.88 + 0.08 * number)


def foreign(crystal: Structure, rng: np.random.Generator, q: Array) -> Array:
    """A foreign crystal of well-formed grains: reflections of 80–250 nm."""
    lines = reflections(crystal, q_max=6.6)
    breadths = np.full(len(lines.q), 2.0 * np.pi / float(rng.uniform(800.0, 2500.0)))
    diffuse = between_reflections(crystal, q) + compton(crystal.formula, q)
    return np.asarray(diffuse + lines_on(q, lines, breadths, 0.6), dtype=np.float64)


def pattern(specimen: Specimen, seed: int, optics: Diffractometer | None = None) -> tuple[Scan, dict[str, Any]]:
    """Scan of a specimen, on a drawn instrument or `optics`, and what is to be known of instrument and mineral."""
    two_theta, signal, optics, rng, facts = before_counting(specimen, seed, optics)
    return count(two_theta, signal, optics, rng), {"instrument": optics.facts()} | facts


def before_counting(
    specimen: Specimen, seed: int, optics: Diffractometer | None = None
) -> tuple[Array, Array, Diffractometer, np.random.Generator, dict[str, Any]]:
    """2θ and signal of a specimen, its instrument, the generator for counting, and what is to be known of it."""
    rng = np.random.default_rng([59, seed])
    drawn = draw_diffractometer(rng)
    optics = optics or drawn
    kind = MORPHOLOGIES[int(rng.integers(len(MORPHOLOGIES)))]
    extra_b, stretch = float(rng.uniform(0.0, 0.4)), float(rng.normal(1.0, 4e-4))
    smooth = np.zeros(len(liquids.Q))
    for name, mass in specimen.organic.items():
        smooth += mass * liquids.melt(name, 1 + int(rng.integers(BATCHES)))
    bound = specimen.bound_water * specimen.amorphous_mineral
    smooth += (specimen.water + bound) * water_batch(int(rng.integers(BATCHES)))
    smooth += (specimen.amorphous_mineral - bound) * phosphate_batch(int(rng.integers(BATCHES)))
    mineral_mass = specimen.apatite + specimen.carbonate
    mineral = np.zeros(len(crystallites.Q))
    if mineral_mass > 0:
        mineral = crystallites.intensity(kind, carbonate=specimen.carbonate / mineral_mass, extra_b=extra_b)
    crystals = [(mass, int(rng.integers(2**31)), name) for name, mass in specimen.crystals.items()]

    def cross_section(q: Array, _: float) -> Array:
        total = np.interp(q, liquids.Q, smooth) + mineral_mass * np.interp(q * stretch, crystallites.Q, mineral)
        for mass, own, name in crystals:
            total = total + mass * foreign(structure(name), np.random.default_rng(own), q)
        return np.asarray(total, dtype=np.float64)

    two_theta, signal = expected(cross_section, optics)
    facts = {"shape": kind.shape, "length_c_nm": kind.length_c, "length_a_nm": kind.length_a, "extra_b": extra_b}
    return two_theta, signal, optics, rng, {"mineral": facts}
