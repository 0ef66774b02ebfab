"""Apatite crystallites by the Debye equation, I(q) = Σ f_i f_j sin(q r_ij) / (q r_ij).

A crystallite is a set of whole cells: block, plate, hexagonal needle or ellipsoid. The number of pairs of cells that
are a lattice vector apart is the autocorrelation of that set, exact by Fourier transform and averaged over a
distribution of sizes; with the atoms of the cell it gives the histogram of all pair distances. Nothing is assumed about
profiles, and thermal diffuse scattering comes by itself: displacements of atoms near each other are correlated, which
gathers it under the reflections.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from benchmarks.worlds.atoms import Array, ComplexArray, atom, compton
from benchmarks.worlds.crystals import Structure, structure

Shape = Literal["block", "plate", "needle", "ellipsoid"]
TYPES = ("Ca", "P", "O")  # hydrogen scatters by itself only: 2 of 502 electrons
BIN = 0.01  # Å; rounding costs (q · BIN)² / 24, 1e-4 at 5 Å⁻¹
POINTS = 1 << 18  # of the transform: q in steps of 0.0024 Å⁻¹
Q: Array = np.asarray(2.0 * np.pi * np.arange(3000) / (POINTS * BIN), dtype=np.float64)  # up to 7.2 Å⁻¹
# Distances (Å) at which the blur of pairs is worked out, linear between them: near pairs move together, and strain
# grows with distance. Steps instead would ring through the pattern, since pairs lie densely, down to negative counts.
NODES: Array = np.asarray([0.0, *np.geomspace(2.2, 760.0, 20), 2000.0])


@dataclass(frozen=True, kw_only=True)
class Morphology:
    """One kind of crystallites: edge lengths in nm along c, a and b, lognormal `spread` of sizes, cell, disorder.

    `strain` is the rms relative change of distances; `correlation` the length in Å over which thermal displacements
    are shared, as correlation / r.
    """

    shape: Shape
    length_c: float
    length_a: float
    length_b: float
    spread: float = 0.0
    a: float = 9.4166
    c: float = 6.8745
    strain: float = 0.0
    correlation: float = 1.6

    def crystal(self) -> Structure:
        return structure("hydroxyapatite").with_cell(self.a, self.c)


def cells_of(kind: Morphology, scale: float, size: tuple[int, int, int]) -> Array:
    """Cells (1 or 0) of one crystallite whose lengths are `scale` times the stated ones, on a grid of `size` cells."""
    u, v, w = np.meshgrid(*(np.arange(n) - (n - 1) / 2.0 for n in size), indexing="ij")
    x = kind.a * (u - 0.5 * v)
    y = kind.a * np.sqrt(0.75) * v
    z = kind.c * w
    half_a, half_b, half_c = (5.0 * scale * length for length in (kind.length_a, kind.length_b, kind.length_c))
    along = np.abs(z) <= half_c
    if kind.shape == "ellipsoid":
        inside = (x / half_a) ** 2 + (y / half_b) ** 2 + (z / half_c) ** 2 <= 1.0
    elif kind.shape == "needle":
        # hexagonal prism with its faces at half_a from the axis
        inside = along
        for angle in (0.0, 60.0, 120.0):
            inside = inside & (np.abs(x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))) <= half_a)
    else:
        inside = along & (np.abs(x) <= half_a) & (np.abs(y) <= half_b)
    return np.asarray(inside, dtype=np.float64)


def grid_of(kind: Morphology, scale: float) -> tuple[int, int, int]:
    """Cells along a, b and c of a grid that holds the crystallite `scale` times as large."""
    across = int(15.0 * scale * max(kind.length_a, kind.length_b) / kind.a) + 3
    return across, across, int(10.0 * scale * kind.length_c / kind.c) + 3


@lru_cache(maxsize=32)
def cell_pairs(kind: Morphology) -> tuple[Array, Array]:
    """Lattice vectors (n, 3) of a half space and the pairs of cells that far apart, per cell; sizes averaged."""
    quantiles = (-1.28, -0.52, 0.0, 0.52, 1.28) if kind.spread else (0.0,)
    scales = [float(np.exp(kind.spread * z)) for z in quantiles]
    top = max(scales)
    size = grid_of(kind, top)
    padded = (2 * size[0], 2 * size[1], 2 * size[2])
    total = np.zeros(padded)
    cells = 0.0
    for scale in scales:
        inside = cells_of(kind, scale, size)
        cells += inside.sum()
        total += np.fft.irfftn(np.abs(np.fft.rfftn(inside, padded, axes=(0, 1, 2))) ** 2, padded, axes=(0, 1, 2))
    index = np.argwhere(total > 0.5)
    vectors = np.where(index > np.array(size), index - np.array(padded), index).astype(np.float64)
    number = np.rint(total[tuple(index.T)])
    upper = (vectors @ np.array([1, 10_000, 100_000_000])) > 0  # one of each pair of opposite vectors
    return vectors[upper], np.asarray(number[upper] / cells, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class PairFunctions:
    """Per cell: for each pair of types 2 Σ o o' sin(qr)/(qr) with displacements, for each type Σ o; on `Q`.

    `shape` is the small-angle scattering of the bare crystallite per cell and squared electron of a cell.
    """

    pairs: dict[tuple[str, str], Array]
    shape: Array


def transform(histogram: Array) -> Array:
    """Σ h(r) sin(qr) / (qr) on `Q` of a histogram in bins of `BIN` around multiples of it; h(0) is ignored."""
    n = len(histogram)
    r = BIN * np.arange(n)
    weighted = np.divide(histogram, r, out=np.zeros(n), where=r > 0)
    # −Im Σ w exp(−i q r) = Σ w sin(qr)
    sines = -np.fft.rfft(weighted, POINTS).imag[: len(Q)]
    out = np.divide(sines, Q, out=np.zeros(len(Q)), where=Q > 0)
    out[0] = histogram[1:].sum()
    return np.asarray(out, dtype=np.float64)


def displacement(crystal: Structure, element: str) -> float:
    """Mean square displacement of an element along one direction, Å²."""
    sites = np.array([e == element for e in crystal.elements])
    return float(np.average(crystal.b_iso[sites], weights=crystal.occupancy[sites])) / (8.0 * np.pi**2)


@lru_cache(maxsize=32)
def pair_functions(kind: Morphology) -> PairFunctions:
    """Histogram of all pair distances, transformed; the expensive step, kept in memory."""
    crystal = kind.crystal()
    orth = np.array(crystal.cell.orth.mat)
    vectors, number = cell_pairs(kind)
    lattice = vectors @ orth.T
    atoms = crystal.xyz @ orth.T
    sites = {name: np.flatnonzero([e == name for e in crystal.elements]) for name in TYPES}
    bins = int(np.linalg.norm(np.abs(lattice).max(axis=0) + 15.0) / BIN) + 2
    pairs: dict[tuple[str, str], Array] = {}
    for i, first in enumerate(TYPES):
        for second in TYPES[i:]:
            histogram = np.zeros(bins)
            for one in sites[first]:
                # every ordered pair (one, other) over half the vectors is one of each unordered pair of cells
                for other in sites[second]:
                    step = atoms[other] - atoms[one]
                    weight = crystal.occupancy[one] * crystal.occupancy[other]
                    for sign in (1.0,) if first == second else (1.0, -1.0):
                        r = np.sqrt(((lattice + sign * step) ** 2).sum(axis=1))
                        histogram += np.bincount((r / BIN + 0.5).astype(np.int64), weight * number, minlength=bins)
                    if first != second or one < other:
                        histogram[int(np.linalg.norm(step) / BIN + 0.5)] += weight
            both = displacement(crystal, first) + displacement(crystal, second)
            total = np.zeros(len(Q))
            r = BIN * np.arange(bins)
            for k, node in enumerate(NODES):
                part = histogram * np.interp(r, NODES, np.arange(len(NODES)) == k)
                if part.any():
                    shared = min(0.8, kind.correlation / max(node, BIN))
                    total += transform(part) * np.exp(-0.5 * Q**2 * (both * (1.0 - shared) + (kind.strain * node) ** 2))
            pairs[first, second] = 2.0 * total
    apart = (np.linalg.norm(lattice, axis=1) / BIN + 0.5).astype(np.int64)
    cells = np.asarray(np.bincount(apart, number, minlength=bins), dtype=np.float64)
    shape = (1.0 + 2.0 * transform(cells)) * np.exp(-(Q**2) * crystal.cell.volume ** (2 / 3) / 12.0)
    fading = np.clip((0.62 - Q) / 0.2, 0.0, 1.0)  # before the first reflection at 0.77 Å⁻¹
    return PairFunctions(pairs=pairs, shape=np.asarray(shape * fading, dtype=np.float64))


def intensity(kind: Morphology, *, carbonate: float = 0.0, extra_b: float = 0.0, contrast: float = 0.35) -> Array:
    """Coherent and incoherent scattering on `Q`, electron units per dalton.

    `carbonate` is the mass fraction of CO3, on phosphate sites with a vacant oxygen each and a calcium less for two;
    sites are filled at random, so that the mean amplitude interferes and the rest scatters diffusely. `contrast` is the
    squared difference of electron densities to the matrix over that of the bare crystal: small-angle scattering keeps
    that share only.
    """
    crystal = kind.crystal()
    functions = pair_functions(kind)
    blurred = np.exp(-2.0 * extra_b * (Q / (4.0 * np.pi)) ** 2)  # static disorder, of each atom for itself
    x = 1004.6 * carbonate / (60.01 + 55.0 * carbonate)  # Ca10−x/2 (PO4)6−x (CO3)x (OH)2
    there = {"Ca": 1.0 - 0.05 * x, "P": 1.0 - x / 6.0, "O": 1.0 - x / 26.0}
    carbon = x / 6.0
    amplitude: dict[str, ComplexArray] = {name: there[name] * atom(name).f(Q) for name in TYPES}
    amplitude["P"] = amplitude["P"] + carbon * atom("C").f(Q)
    number = {name: crystal.formula[name] for name in TYPES}
    squared: dict[str, Array] = {name: there[name] * np.abs(atom(name).f(Q)) ** 2 for name in TYPES}
    squared["P"] = squared["P"] + carbon * np.abs(atom("C").f(Q)) ** 2
    total = sum((number[name] * squared[name] for name in TYPES), np.zeros(len(Q)))
    for (first, second), function in functions.pairs.items():
        total = total + (amplitude[first] * np.conj(amplitude[second])).real * function * blurred
    electrons = sum(number[name] * np.abs(amplitude[name][0]) for name in TYPES)
    total = total - (1.0 - contrast) * electrons**2 * functions.shape
    formula = {name: number[name] * there[name] for name in TYPES} | {"H": 2.0, "C": x}
    mass = sum(n * atom(name).mass for name, n in formula.items())
    total = total + 2.0 * np.abs(atom("H").f(Q)) ** 2
    return np.asarray(total / mass + compton(formula, Q), dtype=np.float64)
