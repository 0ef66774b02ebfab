"""Sums of many pseudo-Voigt lines over the points that they reach, and their derivatives.

All (line, point) pairs stand in one array, line after line: the entries of a sparse matrix (points × lines), whose
products with small dense ones are the sums. The entries are made in blocks that stay in a core's cache, and whatever
is one number for each line goes into the dense ones. Where there are many millions the lines are taken in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from xrdcomp.physics.profile import TchWidths
from xrdcomp.types import FloatArray, IntArray

__all__ = ["Lines", "Slopes", "reach_of", "spread_shoulder", "spread_slopes", "spread_value"]

_LN2 = float(np.log(2.0))
_LORENTZ = 2.0 / np.pi  # heights of a Lorentzian and a Gaussian of unit area and unit width
_GAUSS = 2.0 * float(np.sqrt(_LN2 / np.pi))
_BLOCK = 16384  # pairs that are worked on at a time
_PIECE = 2**16  # pairs that are held at a time: fresh memory for many millions costs as much as the work
_NOTHING = -300.0  # exponent of a Gaussian that adds nothing


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Lines on points: two_theta (n,), the points of each line as of `reach_of`, and its position and widths."""

    two_theta: FloatArray
    point: IntArray
    indptr: IntArray
    position: FloatArray
    widths: TchWidths


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """Changes by parameters, (l, k) arrays: of intensity; of position, Γ and eta, multiplied by the intensity.

    Those of Γ and of eta are by the same parameters.
    """

    intensity: FloatArray
    position: FloatArray
    fwhm: FloatArray
    eta: FloatArray


def reach_of(two_theta: FloatArray, position: FloatArray, half: FloatArray) -> tuple[IntArray, IntArray]:
    """Points within `half` of each line.

    Parameters
    ----------
    two_theta : (n,) array, increasing
    position, half : (l,) arrays

    Returns
    -------
    point, indptr : (nnz,), (l + 1,) integer arrays
        Those of line i are ``point[indptr[i]:indptr[i + 1]]``.
    """
    first = np.searchsorted(two_theta, position - half)
    length = np.searchsorted(two_theta, position + half) - first
    indptr = np.concatenate([[0], np.cumsum(length)])
    point = np.arange(indptr[-1], dtype=np.int32) - np.repeat((indptr[:-1] - first).astype(np.int32), length)
    return point, indptr.astype(np.int32)


def spread_value(lines: Lines, intensity: FloatArray) -> FloatArray:
    """Σ_l I_l PV_l on the points; `intensity` is (l,), the result (n,)."""
    total = np.zeros(len(lines.two_theta))
    for which, rows, piece in _pieces(lines):
        lorentz, gauss = _heights(piece.widths)
        values = np.empty(len(piece.point))
        for part, length, own, u in _blocks(piece):
            r, g = _functions(u)
            r *= np.repeat(lorentz[own], length)
            g *= np.repeat(gauss[own], length)
            np.add(r, g, out=values[part])
        total[rows] += _matrix(piece, values) @ intensity[which]
    return total


def spread_slopes(lines: Lines, slopes: Slopes) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Changes of Σ_l I_l PV_l by parameters that act on intensities, on positions and on widths.

    With u = 2t/Γ, r = 1/(1 + u²), g = exp(−ln2 u²), a = eta 2/(πΓ) and b = (1 − eta) 2 sqrt(ln2/π)/Γ:
    PV = a r + b g, ∂PV/∂t = −(4/Γ) K with K = u (a r² + ln2 b g), ∂PV/∂Γ = −(PV − 2 u K)/Γ,
    ∂PV/∂eta = (2 r/π − 2 sqrt(ln2/π) g)/Γ.

    Parameters
    ----------
    lines : Lines
    slopes : Slopes

    Returns
    -------
    by_intensity, by_position, by_width : (k, n) arrays
    """
    n = len(lines.two_theta)
    by_intensity, by_position = (
        np.zeros((n, slopes.intensity.shape[1])),
        np.zeros((n, slopes.position.shape[1])),
    )
    by_width = np.zeros((n, slopes.fwhm.shape[1]))
    for which, rows, piece in _pieces(lines):
        inverse = (1.0 / piece.widths.fwhm)[:, None]
        value, place, width, mixing = _entries(piece)
        matrix = _matrix(piece, value)
        by_intensity[rows] += matrix @ slopes.intensity[which]
        matrix.data = place  # the places of the entries, which were checked, are those of all four
        by_position[rows] += matrix @ (4.0 * inverse * slopes.position[which])
        matrix.data = width
        by_width[rows] += matrix @ (-inverse * slopes.fwhm[which])
        matrix.data = mixing
        by_width[rows] += matrix @ (inverse * slopes.eta[which])
    return by_intensity.T.copy(), by_position.T.copy(), by_width.T.copy()


def _entries(lines: Lines) -> FloatArray:
    """PV, K, PV − 2 u K, and ∂PV/∂eta times Γ, of `spread_slopes`: (4, nnz)."""
    lorentz, gauss = _heights(lines.widths)
    values = np.empty((4, len(lines.point)))
    for part, length, own, u in _blocks(lines):
        value, place, width, mixing = values[:, part]
        r, g = _functions(u)
        bell = np.multiply(g, np.repeat(gauss[own], length), out=width)
        tail = np.multiply(r, np.repeat(lorentz[own], length), out=place)
        np.add(tail, bell, out=value)
        tail *= r
        bell *= _LN2
        place += bell
        place *= u
        u *= -2.0
        np.multiply(u, place, out=width)
        width += value
        r *= _LORENTZ
        g *= _GAUSS
        np.subtract(r, g, out=mixing)
    return values


def spread_shoulder(lines: Lines, intensity: FloatArray) -> FloatArray:
    """Σ_l I_l D_l with the deformation D of ``physics.profile.pseudo_voigt_shoulder``; arrays as in `spread_value`."""
    total = np.zeros(len(lines.two_theta))
    for which, rows, piece in _pieces(lines):
        factors = _shoulder_factors(piece.widths)
        values = np.empty(len(piece.point))
        for part, length, own, u in _blocks(piece):
            c = [np.repeat(factor[own], length) for factor in factors]
            r, g = _functions(u)
            u *= u
            c[1] *= r
            c[1] += c[0]
            c[1] *= r
            c[4] *= u
            c[4] += c[3]
            c[4] *= u
            c[4] += c[2]
            c[4] *= g
            np.add(c[1], c[4], out=values[part])
        total[rows] += _matrix(piece, values) @ (intensity[which] / np.sqrt(24.0))
    return total


def _shoulder_factors(widths: TchWidths) -> tuple[FloatArray, ...]:
    """Factors c of D = r (c0 + c1 r) + g (c2 + c3 u² + c4 u⁴); ∂PV/∂Γ is written with u² r² = r − r²."""
    eta, inverse = widths.eta, 1.0 / widths.fwhm
    lorentz, gauss = _heights(widths)
    top, half = 3.0, (2.0 * _LN2) ** 2 - 12.0 * _LN2 + 3.0
    p = _GAUSS * (top - half) / (2.0 * _LN2 * (1.0 - eta) * _GAUSS + eta * _LORENTZ)
    q = (top * _GAUSS - p * (eta * _LORENTZ + (1.0 - eta) * _GAUSS)) / (_GAUSS - _LORENTZ)
    bell = _GAUSS * inverse
    return (
        p * lorentz + q * _LORENTZ * inverse,
        -2.0 * p * lorentz,
        top * bell - p * gauss - q * bell,
        2.0 * _LN2 * (p * gauss - 6.0 * bell),
        (2.0 * _LN2) ** 2 * bell,
    )


def _heights(widths: TchWidths) -> tuple[FloatArray, FloatArray]:
    """Heights of the Lorentzian and the Gaussian part of lines of unit area."""
    return widths.eta * (_LORENTZ / widths.fwhm), (1.0 - widths.eta) * (_GAUSS / widths.fwhm)


def _matrix(lines: Lines, values: FloatArray) -> sparse.csc_matrix:
    shape = (len(lines.two_theta), len(lines.position))
    return sparse.csc_matrix((values, lines.point, lines.indptr), shape=shape, copy=False)


def _edges(indptr: IntArray, size: int) -> list[int]:
    """Numbers of the lines at which about `size` pairs more have been passed, both ends included."""
    wanted = np.arange(0, int(indptr[-1]) + size, size)
    edges: list[int] = np.unique(np.minimum(np.searchsorted(indptr, wanted), len(indptr) - 1)).tolist()
    return edges


def _pieces(lines: Lines) -> Iterator[tuple[slice, slice, Lines]]:
    """Consecutive lines of about `_PIECE` pairs on the points that they reach: which lines, which points."""
    indptr = lines.indptr
    if len(lines.point) <= _PIECE:
        yield slice(None), slice(None), lines
        return
    for first, last in pairwise(_edges(indptr, _PIECE)):
        own, point = slice(first, last), lines.point[indptr[first] : indptr[last]]
        if not len(point):
            continue
        rows = slice(int(point.min()), int(point.max()) + 1)
        widths = {name: value[own] for name, value in vars(lines.widths).items()}
        piece = Lines(
            two_theta=lines.two_theta[rows],
            point=point - np.int32(rows.start),
            indptr=indptr[first : last + 1] - indptr[first],
            position=lines.position[own],
            widths=TchWidths(**widths),
        )
        yield own, rows, piece


def _blocks(lines: Lines) -> Iterator[tuple[slice, IntArray, slice, FloatArray]]:
    """Consecutive lines of about `_BLOCK` pairs: their pairs, the number of each, which lines, and u of each pair."""
    indptr, double = lines.indptr, 2.0 / lines.widths.fwhm
    for first, last in pairwise(_edges(indptr, _BLOCK)):
        own = slice(first, last)
        part = slice(int(indptr[first]), int(indptr[last]))
        length = np.diff(indptr[first : last + 1])
        u = lines.two_theta.take(lines.point[part], mode="clip")  # all are inside; faster than a check
        u -= np.repeat(lines.position[own], length)
        u *= np.repeat(double[own], length)
        yield part, length, own, u


def _functions(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lorentzian and Gaussian of height one and half width one."""
    g = np.square(u)
    r = g + 1.0
    np.divide(1.0, r, out=r)
    g *= -_LN2
    np.maximum(g, _NOTHING, out=g)
    np.exp(g, out=g)
    return r, g
