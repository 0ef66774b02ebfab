"""A whole specimen of the measured world on a diffractometer."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.worlds.atoms import Array, compton
from benchmarks.worlds.crystals import Structure, between_reflections, reflections, structure
from benchmarks.worlds.files import Scan
from benchmarks.worlds.measured.apatite import Q_MAX, draw_mineral, lines_on
from benchmarks.worlds.measured.halos import draw_halo
from benchmarks.worlds.optics import KALPHA1, Diffractometer, count, draw_diffractometer, expected
from benchmarks.worlds.population import Specimen

# Minerals whose pure pattern lies among the fixtures, with a reference intensity against corundum beside it.
MEASURED_MINERALS = ("calcite", "quartz", "gypsum", "corundum")


@lru_cache(maxsize=8)
def measured_mineral(name: str) -> tuple[Array, Array] | None:
    """Measured pattern of a pure mineral as (2θ, e.u. per dalton without polarisation); None without fixtures.

    The patterns are normalised to their maximum; reference intensity ratios against corundum bring them to one scale,
    and the reflections of corundum, calculated, to the absolute one. A minimum filter over 3° takes off what the
    diffractometer adds between the reflections.
    """
    root = os.environ.get("XRDCOMP_FIXTURES")
    if root is None or name not in MEASURED_MINERALS:
        return None
    path = Path(root) / "standards" / "rockjock" / f"{name}.xy"
    ratios = Path(root) / "standards" / "rockjock" / "rir.csv"
    if not path.is_file() or not ratios.is_file():
        return None
    rows = np.array(
        [[float(v) for v in line.split()[:2]] for line in path.read_text().splitlines() if line[:1].strip().isdigit()]
    )
    angle, y = rows[:, 0], rows[:, 1]
    half = int(1.5 / (angle[1] - angle[0]))
    floor = np.array([y[max(0, i - half) : i + half + 1].min() for i in range(len(y))])
    floor = np.convolve(np.pad(floor, half, mode="edge"), np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
    net = np.maximum(y - floor, 0.0)
    polarised = 0.5 * (1.0 + np.cos(np.radians(angle)) ** 2)
    q = 4.0 * np.pi * np.sin(np.radians(angle / 2.0)) / KALPHA1
    # the area that the structure has between the same limits
    lines = reflections(structure(name), q_max=float(q[-1]) - 0.02)
    inside = lines.q > float(q[0]) + 0.02
    total = float(np.trapezoid(net / polarised * q**2, q))
    return q, net / polarised * float(lines.area[inside].sum()) / total


def foreign(crystal: Structure, rng: np.random.Generator, q: Array) -> Array:
    """A foreign crystal with well-formed grains, whose intensities scatter by the number of grains."""
    known = measured_mineral(crystal.name)
    diffuse = between_reflections(crystal, q) + compton(crystal.formula, q)
    if known is not None:
        at = q * float(rng.normal(1.0, 2e-4))
        return np.asarray(diffuse + np.interp(at, *known, left=0.0, right=0.0), dtype=np.float64)
    lines = reflections(crystal, q_max=Q_MAX)
    grainy = np.exp(rng.normal(0.0, float(rng.uniform(0.0, 0.2)), len(lines.q)))
    varied = type(lines)(q=lines.q * float(rng.normal(1.0, 3e-4)), cos_c=lines.cos_c, area=lines.area * grainy)
    breadths = np.full(len(lines.q), 2.0 * np.pi / float(rng.uniform(600.0, 2500.0)))
    return np.asarray(diffuse + lines_on(q, varied, breadths, 0.5), dtype=np.float64)


def pattern(specimen: Specimen, seed: int, optics: Diffractometer | None = None) -> tuple[Scan, dict[str, Any]]:
    """Scan of a specimen, on a drawn instrument or `optics`, and what is to be known of instrument and mineral."""
    two_theta, signal, optics, rng, facts = before_counting(specimen, seed, optics)
    return count(two_theta, signal, optics, rng), {"instrument": optics.facts()} | facts


def before_counting(
    specimen: Specimen, seed: int, optics: Diffractometer | None = None
) -> tuple[Array, Array, Diffractometer, np.random.Generator, dict[str, Any]]:
    """2θ and signal of a specimen, its instrument, the generator for counting, and what is to be known of it."""
    rng = np.random.default_rng([73, seed])
    drawn = draw_diffractometer(rng, overflow=0.12)
    optics = optics or drawn
    mineral_mass = specimen.apatite + specimen.carbonate
    mineral = draw_mineral(rng, specimen.carbonate / mineral_mass if mineral_mass > 0 else 0.0)
    amorphous = dict(specimen.organic)
    bound = specimen.bound_water * specimen.amorphous_mineral
    amorphous |= {"water": specimen.water + bound, "acp": specimen.amorphous_mineral - bound}
    grid = np.linspace(0.05, 7.5, 7000)
    smooth = np.zeros_like(grid)
    areas: dict[str, float] = {}
    for name, mass in amorphous.items():
        halo = draw_halo(name, rng)
        areas[name] = halo.area
        smooth += mass * halo.intensity(grid)
    if mineral_mass > 0:
        smooth += mineral_mass * mineral.diffuse(grid)
    crystals = [(mass, int(rng.integers(2**31)), name) for name, mass in specimen.crystals.items()]

    def cross_section(q: Array, _: float) -> Array:
        total = np.interp(q, grid, smooth)
        if mineral_mass > 0:
            total = total + mineral_mass * mineral.bragg(q)
        for mass, own, name in crystals:
            total = total + mass * foreign(structure(name), np.random.default_rng(own), q)
        return np.asarray(total, dtype=np.float64)

    two_theta, signal = expected(cross_section, optics)
    facts = {"tissue": mineral.tissue, "length_c_nm": mineral.length_c_nm, "length_a_nm": mineral.length_a_nm}
    return two_theta, signal, optics, rng, {"mineral": facts, "halo_areas": areas}
