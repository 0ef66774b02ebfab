"""Scattering of amorphous matter on the absolute scale, from measurements and computations of others.

Measured: molecular form factors of Peplow & Verghese 1998 (Phys. Med. Biol. 43, 2431), F² in electrons² per dalton
against x = sinθ/λ, as EGSnrc distributes them (water, pork fat, PMMA, polycarbonate). Computed: liquid water from the
pair distribution functions of Soper 2013 (ISRN Phys. Chem. 279463); melted hydrocarbon chains by the Debye equation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xrdcomp.physics import elements
from xrdcomp.units import FloatArray

_DATA = Path(__file__).parent / "data"
_WATER_DENSITY = 0.03334  # molecules per Å³
FORMULAS = {"water": "H2O", "adipose": "C57H104O6", "pmma": "C5H8O2", "polycarbonate": "C16H14O3"}


def measured(name: str, q: FloatArray) -> FloatArray:
    """Coherent scattering per gram of a material as measured, q in Å⁻¹ up to 12."""
    from scipy.interpolate import PchipInterpolator

    table = np.genfromtxt(_DATA / "molecular_form_factors.csv", delimiter=",", names=True)
    return np.asarray(PchipInterpolator(4.0 * np.pi * table["x"], table[name] ** 2)(q))


def triglyceride(q: FloatArray) -> FloatArray:
    """Measured adipose tissue less 8 % of water, and less the Compton scattering that S = 1 at 5-10 Å⁻¹ shows left."""
    own = (measured("adipose", q) - 0.08 * measured("water", q)) / 0.92
    return np.asarray(own - 0.22 * elements.incoherent_per_gram(elements.compound("C57H104O6"), q))


def water_from_pairs(q: FloatArray) -> FloatArray:
    """Coherent scattering per gram of liquid water from g(r), with the charge transfer of Sorenson et al. 2000."""
    table = np.genfromtxt(_DATA / "water_pair_distributions.csv", delimiter=",", names=True)
    r = np.arange(0.005, 10.02, 0.01)
    moved = np.exp(-(q**2) / (2.0 * 2.2**2))
    oxygen = elements.form_factor("O", q / (4.0 * np.pi)) * (1.0 + 0.11 * moved)
    hydrogen = elements.form_factor("H", q / (4.0 * np.pi)) * (1.0 - 0.44 * moved)
    kernel = np.sinc(np.outer(q, r) / np.pi) * np.sinc(r / r[-1]) * r**2  # Lorch's window ends the integral

    def between(pair: str) -> FloatArray:
        g = np.interp(r, table["r"], table[pair])
        return np.asarray(4.0 * np.pi * _WATER_DENSITY * np.trapezoid(kernel * (g - 1.0), r, axis=1))

    def within(distance: float, spread: float) -> FloatArray:
        return np.asarray(np.sinc(distance * q / np.pi) * np.exp(-(spread**2) * q**2 / 2.0))

    molecule = oxygen**2 + 2.0 * hydrogen**2
    molecule = molecule + 4.0 * oxygen * hydrogen * within(0.98, 0.067) + 2.0 * hydrogen**2 * within(1.55, 0.11)
    others = oxygen**2 * between("oo") + 4.0 * oxygen * hydrogen * between("oh") + 4.0 * hydrogen**2 * between("hh")
    return np.asarray((molecule + others) / 18.015)


def melted_chain(q: FloatArray, *, carbons: int = 17, chains: int = 30, seed: int = 1) -> FloatArray:
    """S(q) of single melted hydrocarbon chains by the Debye equation, bonds 62 % trans; no pairs between chains."""
    rng = np.random.default_rng(seed)
    total, free = np.zeros_like(q), np.zeros_like(q)
    carbon, hydrogen = (elements.form_factor(e, q / (4.0 * np.pi)) for e in "CH")
    turn = np.pi - np.radians(112.5)
    for _ in range(chains):
        at = [np.zeros(3), np.array([1.53, 0.0, 0.0])]
        at.append(at[1] + 1.53 * np.array([np.cos(turn), np.sin(turn), 0.0]))
        for _ in range(3, carbons):
            phi = np.pi if rng.random() < 0.62 else np.radians(65.0) * rng.choice([-1.0, 1.0])
            along = (at[-1] - at[-2]) / 1.53
            normal = np.cross(at[-2] - at[-3], along)
            normal /= np.linalg.norm(normal)
            side = np.cos(phi) * np.cross(normal, along) + np.sin(phi) * normal
            at.append(at[-1] + 1.53 * (np.cos(turn) * along + np.sin(turn) * side))
        atoms, inner = list(at), range(1, carbons - 1)
        for i in inner:
            before, after = (at[i] - at[k] for k in (i - 1, i + 1))
            out, across = before + after, np.cross(before, after)
            out, across = out / np.linalg.norm(out), across / np.linalg.norm(across)
            atoms += [at[i] + 1.09 * (0.595 * out + sign * 0.804 * across) for sign in (1.0, -1.0)]
        f = np.stack([carbon] * carbons + [hydrogen] * (2 * len(inner)))
        first, second = np.triu_indices(len(atoms), 1)
        r = np.linalg.norm(np.array(atoms)[first] - np.array(atoms)[second], axis=1)
        spread = np.where(r < 2.7, 0.004, np.minimum(0.01 * (r - 1.5), 0.15))  # Å², disorder grows along the chain
        pairs = np.sinc(np.outer(r, q) / np.pi) * np.exp(-np.outer(spread, q**2) / 2.0)
        total += (f**2).sum(axis=0) + 2.0 * (f[first] * f[second] * pairs).sum(axis=0)
        free += (f**2).sum(axis=0)
    return np.asarray(total / free)
