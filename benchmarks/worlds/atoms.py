"""Atoms at Cu Kα: form factors, dispersion, Compton scattering, attenuation.

Tabulated values, interpolated: coherent form factors and incoherent scattering functions of Hubbell et al. (1975) over
sinθ/λ, dispersion corrections and total cross sections at 8.0478 keV, all as xraylib returns them. The package takes
its form factors from International Tables C and its Compton scattering from a fit of its own.
"""

from __future__ import annotations

from functools import lru_cache

import gemmi
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Array = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# element, f′, f″, μ/ρ (cm²/g) | f0 at the nodes; | incoherent intensity at the nodes, electron units
_NODES = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0])
_TABLE = """
H  -0.0000  0.0000    0.391 | 1 0.9469 0.8108 0.6413 0.4808 0.3498 0.2513 0.1804 0.1305 0.0706 0.04033 0.01534 0.006882
    | 0 0.1033 0.3426 0.5887 0.7688 0.8777 0.9369 0.9674 0.983 0.995 0.9984 0.9998 1
C   0.0190  0.0095    4.495 | 6 5.754 5.122 4.331 3.578 2.961 2.502 2.176 1.951 1.686 1.536 1.321 1.112
    | 0 0.3086 1.039 1.866 2.604 3.198 3.643 3.959 4.184 4.478 4.69 5.051 5.348
N   0.0329  0.0188    7.424 | 7 6.776 6.184 5.387 4.56 3.825 3.218 2.748 2.394 1.938 1.695 1.446 1.262
    | 0 0.31 1.08 2.003 2.858 3.559 4.097 4.497 4.792 5.182 5.437 5.809 6.113
O   0.0516  0.0335   11.424 | 8 7.797 7.244 6.47 5.62 4.805 4.086 3.484 3.003 2.335 1.944 1.567 1.376
    | 0 0.271 0.977 1.885 2.799 3.614 4.293 4.835 5.257 5.828 6.175 6.596 6.901
F   0.0753  0.0552   15.731 | 9 8.815 8.301 7.558 6.706 5.848 5.05 4.348 3.755 2.87 2.306 1.733 1.481
    | 0 0.242 0.888 1.761 2.691 3.569 4.347 5.007 5.552 6.339 6.832 7.376 7.703
Na  0.1376  0.1272   29.658 | 11 10.57 9.756 9.021 8.338 7.616 6.877 6.149 5.465 4.289 3.394 2.299 1.782
    | 0 0.674 1.503 2.16 2.891 3.667 4.431 5.148 5.804 6.903 7.724 8.729 9.252
Mg  0.1750  0.1817   39.892 | 12 11.51 10.45 9.472 8.713 8.075 7.431 6.802 6.188 5.032 4.052 2.72 2.021
    | 0 0.831 2.066 2.829 3.444 4.096 4.771 5.434 6.064 7.181 8.086 9.304 9.975
Al  0.2154  0.2507   49.457 | 13 12.44 11.22 10.05 9.155 8.461 7.867 7.311 6.762 5.686 4.705 3.212 2.325
    | 0 0.832 2.264 3.324 4.047 4.653 5.25 5.849 6.435 7.523 8.459 9.83 10.65
Si  0.2566  0.3363   63.589 | 14 13.44 12.14 10.77 9.669 8.852 8.223 7.692 7.198 6.232 5.303 3.741 2.692
    | 0 0.782 2.293 3.587 4.52 5.218 5.808 6.364 6.903 7.937 8.867 10.33 11.29
P   0.2965  0.4401   75.306 | 15 14.46 13.13 11.62 10.32 9.327 8.591 8.023 7.541 6.667 5.818 4.273 3.11
    | 0 0.719 2.206 3.611 4.732 5.611 6.312 6.903 7.435 8.419 9.323 10.83 11.89
S   0.3342  0.5638   93.082 | 16 15.48 14.17 12.57 11.1 9.916 9.028 8.368 7.848 7.011 6.242 4.775 3.558
    | 0 0.666 2.151 3.68 4.96 5.984 6.795 7.448 8.002 8.96 9.829 11.34 12.47
Cl  0.3606  0.7095  105.726 | 17 16.51 15.23 13.59 11.98 10.62 9.565 8.772 8.169 7.298 6.585 5.227 4.01
    | 0 0.617 2.065 3.665 5.074 6.239 7.182 7.936 8.553 9.539 10.38 11.87 13.05
K   0.3796  1.0724  144.499 | 19 18.2 16.73 15.24 13.71 12.25 10.96 9.89 9.042 7.872 7.117 5.94 4.834
    | 0 1.105 2.5 3.905 5.301 6.555 7.652 8.599 9.405 10.65 11.57 13.01 14.22
Ca  0.3478  1.2922  169.876 | 20 19.09 17.32 15.71 14.29 12.95 11.69 10.57 9.63 8.252 7.377 6.21 5.181
    | 0 1.375 3.105 4.401 5.69 6.899 7.981 8.943 9.79 11.16 12.16 13.63 14.83
Fe -1.1058  3.1916  301.066 | 26 25.3 23.67 21.8 20.03 18.34 16.73 15.2 13.81 11.47 9.716 7.604 6.515
    | 0 1.06 2.891 4.405 5.781 7.138 8.432 9.629 10.73 12.69 14.34 16.83 18.49
Ag  0.0948  4.3271  212.986 | 47 46.12 43.93 41.13 38.14 35.15 32.34 29.8 27.57 24.02 21.44 17.93 15.16
    | 0 1.139 3.362 5.631 7.785 9.77 11.6 13.32 14.97 18.08 20.86 25.16 28.2
Ce -1.8537  9.6967  367.438 | 58 56.34 52.93 49.45 46.1 42.86 39.9 37.27 34.95 30.98 27.57 22.16 18.58
    | 0 2.162 5.025 7.634 10.19 12.59 14.84 16.89 18.71 21.74 24.33 29.02 33.08
"""


class Atom:
    """One element at Cu Kα."""

    def __init__(self, row: str) -> None:
        head, coherent, incoherent = row.split("|")
        symbol, f1, f2, mu = head.split()
        self.symbol = symbol
        self.mass = float(gemmi.Element(symbol).weight)
        self.dispersion = complex(float(f1), float(f2))
        self.attenuation = float(mu)
        # both are even in sinθ/λ, with zero slope at the origin
        self._f0 = CubicSpline(_NODES, [float(v) for v in coherent.split()], bc_type=("clamped", "not-a-knot"))
        compton = [float(v) for v in incoherent.split()]
        self._compton = CubicSpline(_NODES, compton, bc_type=("clamped", "not-a-knot"))

    def f(self, q: Array) -> ComplexArray:
        """Complex amplitude at q = 4π sinθ/λ in Å⁻¹, electrons."""
        return np.asarray(self._f0(np.minimum(q / (4 * np.pi), 1.0)) + self.dispersion, dtype=np.complex128)

    def compton(self, q: Array) -> Array:
        """Incoherent intensity, electron units."""
        return np.asarray(self._compton(np.minimum(q / (4 * np.pi), 1.0)), dtype=np.float64)


@lru_cache(maxsize=1)
def _atoms() -> dict[str, Atom]:
    lines = _TABLE.strip().splitlines()
    rows = [Atom(first + second) for first, second in zip(lines[::2], lines[1::2], strict=True)]
    return {atom.symbol: atom for atom in rows}


def atom(symbol: str) -> Atom:
    """Atom by its symbol."""
    return _atoms()[symbol]


def elements() -> frozenset[str]:
    """Symbols of the atoms that these worlds know."""
    return frozenset(_atoms())


def formula_mass(formula: dict[str, float]) -> float:
    """Mass in dalton of a formula unit."""
    return sum(n * atom(symbol).mass for symbol, n in formula.items())


def free_atoms(formula: dict[str, float], q: Array) -> Array:
    """Coherent scattering of a formula unit's atoms apart, Σ n |f|², electron units per dalton."""
    total = sum((n * np.abs(atom(symbol).f(q)) ** 2 for symbol, n in formula.items()), np.zeros_like(q))
    return np.asarray(total / formula_mass(formula), dtype=np.float64)


def compton(formula: dict[str, float], q: Array) -> Array:
    """Incoherent scattering, electron units per dalton."""
    total = sum((n * atom(symbol).compton(q) for symbol, n in formula.items()), np.zeros_like(q))
    return np.asarray(total / formula_mass(formula), dtype=np.float64)
