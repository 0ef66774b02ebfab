"""Profiles of reflections with their derivatives, and sums of many profiles over the points that they reach.

Everything is vectorised over lines or over (line, point) pairs; nothing here knows of phases or patterns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from functools import cached_property, lru_cache
from itertools import pairwise

import msgspec
import numpy as np
from scipy import sparse

from xrdcomp.units import FloatArray, IntArray

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_LN2 = float(np.log(2.0))
_LORENTZIAN = 2.0 / np.pi  # heights of a Lorentzian and a Gaussian of unit area and unit width
_GAUSSIAN = 2.0 * float(np.sqrt(_LN2 / np.pi))
# Thompson, Cox & Hastings (1987) J. Appl. Cryst. 20, 79: Γ⁵ = Σ c_k Γ_G^(5−k) Γ_L^k and η(Γ_L/Γ).
_TCH = np.array([1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0])
_ETA = np.array([1.36603, -0.47719, 0.11116])
_BLOCK = 8192  # values worked on at a time: what they need stays in a core's cache


def pseudo_voigt_value(offset: FloatArray, fwhm: FloatArray, eta: FloatArray) -> FloatArray:
    """Unit-area pseudo-Voigt PV = eta L + (1 − eta) G, 1/degree, of flat arrays of one length.

    L = (2/πΓ) / (1 + 4t²/Γ²) and G = (2/Γ) sqrt(ln2/π) exp(−4 ln2 t²/Γ²) of the same full width at half maximum Γ
    [Wertheim et al. 1974]; eta 0 is Gaussian, 1 Lorentzian.
    """
    out = np.empty_like(offset)
    for first in range(0, len(offset), _BLOCK):
        part = slice(first, first + _BLOCK)
        inv = 1.0 / fwhm[part]
        u = offset[part] * inv
        u *= 2.0
        u *= u
        lorentz = (2.0 / np.pi) * inv
        lorentz /= 1.0 + u
        u *= -_LN2
        gauss = np.exp(np.maximum(u, -40.0, out=u), out=u)
        gauss *= inv
        gauss *= _GAUSSIAN
        lorentz -= gauss
        lorentz *= eta[part]
        gauss += lorentz
        out[part] = gauss
    return out


def shoulder_factors(eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P and q of `spread_shoulder`, without its 1/√24."""
    top, half = 3.0, (2.0 * _LN2) ** 2 - 12.0 * _LN2 + 3.0  # H4 at the centre and where G is half its height
    p = _GAUSSIAN * (top - half) / (2.0 * _LN2 * (1.0 - eta) * _GAUSSIAN + eta * _LORENTZIAN)
    height = top * _GAUSSIAN - p * (eta * _LORENTZIAN + (1.0 - eta) * _GAUSSIAN)
    return p, height / (_GAUSSIAN - _LORENTZIAN)


class TchWidths(msgspec.Struct, frozen=True, kw_only=True):
    """Pseudo-Voigt fwhm and eta of each line, with derivatives by the Gaussian and Lorentzian widths."""

    fwhm: FloatArray
    eta: FloatArray
    d_fwhm_gauss: FloatArray
    d_fwhm_lorentz: FloatArray
    d_eta_gauss: FloatArray
    d_eta_lorentz: FloatArray


def tch_widths(gauss: FloatArray, lorentz: FloatArray, *, slopes: bool = True) -> TchWidths:
    """Width and mixing of the pseudo-Voigt that stands for a Voigt function of two widths, degrees, not both 0.

    Γ⁵ = Γ_G⁵ + 2.69269 Γ_G⁴Γ_L + 2.42843 Γ_G³Γ_L² + 4.47163 Γ_G²Γ_L³ + 0.07842 Γ_GΓ_L⁴ + Γ_L⁵,
    eta = 1.36603 q − 0.47719 q² + 0.11116 q³, q = Γ_L/Γ
    [Thompson, Cox & Hastings 1987 J. Appl. Cryst. 20, 79; good to about 1 % of the Voigt width].
    Without `slopes` the derivatives are empty.
    """
    g, x = gauss, lorentz
    # products: NumPy raises to powers above the second by logarithms, ten times as slowly
    g_sq, gx, x_sq = g * g, g * x, x * x
    fourth = np.stack([g_sq * g_sq, g_sq * gx, g_sq * x_sq, gx * x_sq, x_sq * x_sq])
    fifth = g * fourth[0] + x * (_TCH[1:] @ fourth)
    fwhm = fifth**0.2
    q = x / fwhm
    eta = q * (_ETA[0] + q * (_ETA[1] + q * _ETA[2]))
    if not slopes:
        none = np.empty(0)
        return TchWidths(
            fwhm=fwhm, eta=eta, d_fwhm_gauss=none, d_fwhm_lorentz=none, d_eta_gauss=none, d_eta_lorentz=none
        )
    third = np.stack([g_sq * g, g_sq * x, g * x_sq, x_sq * x])
    by_gauss = 5.0 * fourth[0] + x * (_TCH[1:5] * np.arange(4, 0, -1) @ third)
    by_lorentz = _TCH[1:] * np.arange(1, 6) @ fourth
    d_fwhm_gauss, d_fwhm_lorentz = (0.2 * fwhm / fifth * slope for slope in (by_gauss, by_lorentz))
    d_eta_q = _ETA[0] + q * (2.0 * _ETA[1] + 3.0 * q * _ETA[2])
    return TchWidths(
        fwhm=fwhm,
        eta=eta,
        d_fwhm_gauss=d_fwhm_gauss,
        d_fwhm_lorentz=d_fwhm_lorentz,
        d_eta_gauss=-d_eta_q * q / fwhm * d_fwhm_gauss,
        d_eta_lorentz=d_eta_q * (1.0 - q * d_fwhm_lorentz) / fwhm,
    )


def size_components(eta: float) -> tuple[float, float, float, float]:
    """Gaussian and Lorentzian shares of a pseudo-Voigt's width, and their derivatives by eta.

    Γ_L/Γ = 0.72928 eta + 0.19289 eta² + 0.07783 eta³, Γ_G/Γ = sqrt(1 − 0.74417 eta − 0.24781 eta² − 0.00810 eta³)
    [Thompson, Cox & Hastings 1987, inverse of `tch_widths`].
    """
    lorentz = eta * (0.72928 + eta * (0.19289 + eta * 0.07783))
    d_lorentz = 0.72928 + eta * (2 * 0.19289 + eta * 3 * 0.07783)
    square = max(1.0 - eta * (0.74417 + eta * (0.24781 + eta * 0.00810)), 1e-8)
    gauss = float(np.sqrt(square))
    d_gauss = -0.5 / gauss * (0.74417 + eta * (2 * 0.24781 + eta * 3 * 0.00810))
    return gauss, lorentz, d_gauss, d_lorentz


def axial_shift(two_theta: FloatArray, height: FloatArray | float, correlation: float = 0.0) -> FloatArray:
    """Apparent shift, in degrees, of radiation that left the equatorial plane by `height` (h / radius).

    cos(2φ) = cos(2θ) sqrt(1 + h²)   [Finger, Cox & Jephcoat 1994 J. Appl. Cryst. 27, 892, eq. 4]

    The shift 2φ − 2θ is negative below 90° and positive above. Inclinations α before and β behind the specimen
    give cos2θ = cosα cosβ cos2φ + sinα sinβ; where they are correlated, κ = −2⟨αβ⟩ / ⟨α² + β²⟩, the mean shift has
    a second part, −κ h² / (2 sin2θ).
    """
    radians = np.radians(two_theta)
    cosine = np.clip(np.cos(radians) * np.sqrt(1.0 + np.square(height)), -1.0, 1.0)
    even = correlation * np.square(height) / (2.0 * np.sin(radians))
    shift: FloatArray = np.degrees(np.arccos(cosine) - even) - two_theta
    return shift


def axial_shift_slope(two_theta: FloatArray, height: FloatArray | float, correlation: float = 0.0) -> FloatArray:
    """Derivative of `axial_shift` by the height, degrees."""
    radians = np.radians(two_theta)
    root = np.sqrt(1.0 + np.square(height))
    cosine = np.clip(np.cos(radians) * root, -1.0, 1.0)
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 1e-12))
    odd = -np.cos(radians) * np.asarray(height) / root / sine
    slope: FloatArray = np.degrees(odd - correlation * np.asarray(height) / np.sin(radians))
    return slope


def axial_correlation(lengths_mm: tuple[float, float, float], soller_deg: float, radius_mm: float) -> float:
    """Correlation κ of axial inclinations before and behind the specimen, for `axial_shift`.

    Inclinations α = (z_specimen − z_source)/R and β = (z_slit − z_specimen)/R of uniformly lit lengths (source,
    specimen, receiving slit), each passed with triangular weight up to half the full Soller acceptance (larger raises
    the correlation, 180 means none); κ = −2⟨αβ⟩ / ⟨α² + β²⟩ by the midpoint rule.
    """
    grids = [((np.arange(40) + 0.5) / 40 - 0.5) * length / radius_mm for length in lengths_mm]
    source, specimen, slit = np.meshgrid(*grids, indexing="ij", sparse=True)
    before, behind = specimen - source, slit - specimen
    half = np.radians(soller_deg) / 2.0
    weight = np.maximum(1.0 - np.abs(before) / half, 0.0) * np.maximum(1.0 - np.abs(behind) / half, 0.0)
    return float(-2.0 * (weight * before * behind).sum() / (weight * (before**2 + behind**2)).sum())


@lru_cache(maxsize=32)
def axial_nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Quadrature over axial divergence for equal slit and sample heights: u_k in 0 … 1, and weights with sum 1.

    The intensity at relative height u = h / (S + H) is proportional to 1 − u [Finger, Cox & Jephcoat 1994, eqs. 7-10,
    in the variable h, where their integrand is regular]. A line's shift is proportional to u², so the nodes are those
    of Gauss in t = u²: ∫ f(u²) 2(1 − u) du ≈ Σ w_k f(u_k²), exact for polynomials in t of degree 2·count − 1. One node
    already has the mean shift, two its spread.
    """
    u, w = np.polynomial.legendre.leggauss(8 * count)
    u = 0.5 * (u + 1.0)
    t, density = u**2, w * (1.0 - u) / (w * (1.0 - u)).sum()
    # three-term recurrence of the polynomials orthogonal on the density (Stieltjes), then Golub & Welsch 1969
    diagonal, off = np.zeros(count), np.zeros(count)
    before, now = np.zeros_like(t), np.sqrt(density)
    for k in range(count):
        diagonal[k] = now @ (t * now)
        following = (t - diagonal[k]) * now - off[k] * before
        norm = float(np.sqrt(following @ following))
        if k + 1 < count:
            off[k + 1] = norm
        before, now = now, following / norm
    jacobi = np.diag(diagonal) + np.diag(off[1:], 1) + np.diag(off[1:], -1)
    values, vectors = np.linalg.eigh(jacobi)
    nodes, weights = np.sqrt(values), np.square(vectors[0])
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


# Sums of many pseudo-Voigt lines over the points that they reach, and their derivatives.
# All (line, place) pairs stand in one array, line after line: the entries of a sparse matrix (places × lines), whose
# products with small dense ones are the sums. The entries are made in blocks that stay in a core's cache, and whatever
# is one number for each line goes into the dense ones. Where there are many millions the lines are taken in pieces.

_SPREAD_BLOCK = 16384  # pairs that are worked on at a time
_PIECE = 2**16  # pairs that are held at a time: fresh memory for many millions costs as much as the work
_KEPT = 2**20  # pairs up to which their places are kept between sums
_NOTHING = -300.0  # exponent of a Gaussian that adds nothing
# A polynomial through five Chebyshev nodes is within 6e-5 of the height of a Lorentzian, a Gaussian and their slopes
# where the cell is no wider than 1/2.5 of the distance from its middle to the pole at half a width beside the centre;
# in the tails, where most cells lie, within a tenth of that.
_CELL, _NODES = 16, 5
_SMOOTH = 2.5


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of consecutive lines: which pairs of the piece, how many of each line, which lines, place of each pair."""

    pairs: slice
    length: IntArray
    which: slice
    two_theta: FloatArray


class _Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the lines, on the places that they reach: which lines, which places, matrix of (places × lines)."""

    which: slice
    rows: slice
    n_pairs: int
    blocks: tuple[_Block, ...]
    places: sparse.csc_matrix  # places of the entries, which are checked once; its own entries mean nothing

    def matrix(self, values: FloatArray) -> sparse.csc_matrix:
        """Matrix with these entries, one for each pair."""
        out = copy(self.places)
        out.data = values
        return out


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where profiles are evaluated: points and nodes, from which the points of a cell have what is smooth in it.

    Cells follow each other, the points of each before its nodes; points that fill no cell come last.
    """

    two_theta: FloatArray  # degrees
    middle: FloatArray  # degrees, of each cell; one more stands for the points that fill none
    width: FloatArray  # degrees
    to_points: sparse.csr_matrix  # (n_points, places)

    @classmethod
    def of(cls, two_theta: FloatArray) -> Places:
        """Places for points (degrees, increasing)."""
        return _places_of(two_theta.tobytes())

    def on_points(self, sums: FloatArray) -> FloatArray:
        """Sums over lines on the points, (n,) or (n, k), from those on the places."""
        return np.asarray(self.to_points @ sums)


@lru_cache(maxsize=16)
def _places_of(points: bytes) -> Places:
    two_theta = np.frombuffer(points)
    n, cells = len(two_theta), len(two_theta) // _CELL
    own = two_theta[: cells * _CELL].reshape(cells, _CELL)
    middle, width = 0.5 * (own[:, 0] + own[:, -1]), own[:, -1] - own[:, 0]
    k = np.arange(_NODES)
    cosine = np.cos(np.pi * (2 * k + 1) / (2 * _NODES))
    nodes = middle[:, None] + 0.5 * width[:, None] * cosine
    # values at the nodes → coefficients of Chebyshev polynomials → values at the points
    t = np.clip((own - middle[:, None]) / (0.5 * width[:, None]), -1.0, 1.0)
    inward = np.cos(np.pi * np.outer(k, 2 * k + 1) / (2 * _NODES)) * (2.0 - (k[:, None] == 0)) / _NODES
    weights = np.cos(k * np.arccos(t)[..., None]) @ inward  # (cells, points, nodes)
    # a row for each point: the point itself, and the nodes of its cell
    size, last = _CELL + _NODES, n - cells * _CELL
    begin = size * np.repeat(np.arange(cells), _CELL)
    itself = begin + np.tile(np.arange(_CELL), cells)
    columns = np.concatenate([itself[:, None], begin[:, None] + _CELL + k], axis=1)
    entries = np.concatenate([np.ones((len(itself), 1)), weights.reshape(-1, _NODES)], axis=1)
    indices = np.concatenate([columns.ravel(), size * cells + np.arange(last)]).astype(np.int32)
    filled = np.concatenate([entries.ravel(), np.ones(last)])
    indptr = np.concatenate([[0], np.cumsum(np.repeat([_NODES + 1, 1], [cells * _CELL, last]))]).astype(np.int32)
    places = np.concatenate([np.concatenate([own, nodes], axis=1).ravel(), two_theta[cells * _CELL :]])
    places.flags.writeable = False
    return Places(
        two_theta=places,
        middle=np.append(middle, 0.0),
        width=np.append(width, np.inf),
        to_points=sparse.csr_matrix((filled, indices, indptr), shape=(n, len(places))),
    )


class Pairs(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Places that lines reach: those of line i are ``point[indptr[i]:indptr[i + 1]]``."""

    places: Places
    point: IntArray
    indptr: IntArray

    @classmethod
    def reached(cls, two_theta: FloatArray, position: FloatArray, half: FloatArray, fwhm: FloatArray) -> Pairs:
        """Points (degrees, increasing) within `half` of each line; nodes of the cells where its profile is smooth."""
        places = Places.of(two_theta)
        begin, end = (np.searchsorted(two_theta, edge) for edge in (position - half, position + half))
        # every cell that a line reaches into: its nodes, or those of its points that are reached
        first = begin // _CELL
        count = np.where(end > begin, -(-end // _CELL) - first, 0)
        line, passed = np.repeat(np.arange(len(position)), count), np.cumsum(count)
        cell = np.arange(len(line)) - np.repeat(passed - count - first, count)
        low, high = np.maximum(begin[line], _CELL * cell), np.minimum(end[line], _CELL * (cell + 1))
        pole_sq = np.square(places.middle[cell] - position[line]) + np.square(0.5 * fwhm[line])
        smooth = (high - low == _CELL) & (pole_sq >= np.square(_SMOOTH * places.width[cell]))
        start = _NODES * cell + np.where(smooth, _CELL * (cell + 1), low)
        length = np.where(smooth, _NODES, high - low)
        passed_pairs = np.concatenate([[0], np.cumsum(length)])
        point = np.arange(passed_pairs[-1], dtype=np.int32)
        point += np.repeat((start - passed_pairs[:-1]).astype(np.int32), length)
        indptr = passed_pairs[np.concatenate([[0], passed])].astype(np.int32)
        return cls(places=places, point=point, indptr=indptr)

    def pieces(self) -> Iterable[_Piece]:
        """Consecutive lines of about `_PIECE` pairs; kept for the next sum where there are not many millions."""
        return self._kept if len(self.point) <= _KEPT else self._made()

    @cached_property
    def _kept(self) -> tuple[_Piece, ...]:
        return tuple(self._made())

    def _made(self) -> Iterator[_Piece]:
        indptr, n = self.indptr, len(self.places.two_theta)
        edges = _edges(indptr, _PIECE) if len(self.point) > _PIECE else [0, len(indptr) - 1]
        for first, last in pairwise(edges):
            begin, end = int(indptr[first]), int(indptr[last])
            point = self.point[begin:end]
            if not len(point):
                continue
            rows = slice(int(point.min()), int(point.max()) + 1) if len(edges) > 2 else slice(0, n)
            own = indptr[first : last + 1] - indptr[first]
            shape = (rows.stop - rows.start, last - first)
            blocks = []
            for k, m in pairwise(_edges(own, _SPREAD_BLOCK)):
                part = slice(int(own[k]), int(own[m]))
                x = self.places.two_theta.take(point[part], mode="clip")  # all are inside; faster than a check
                length, which = np.diff(own[k : m + 1]), slice(first + k, first + m)
                blocks.append(_Block(pairs=part, length=length, which=which, two_theta=x))
            entries = (np.empty(end - begin), point - np.int32(rows.start), own)
            yield _Piece(
                which=slice(first, last),
                rows=rows,
                n_pairs=end - begin,
                blocks=tuple(blocks),
                places=sparse.csc_matrix(entries, shape=shape, copy=False),
            )


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Lines on the places that they reach, and the position and widths of each."""

    pairs: Pairs
    position: FloatArray
    widths: TchWidths

    def away(self, block: _Block) -> FloatArray:
        """Distance u of each pair of a block from its line, in half widths."""
        u = block.two_theta - np.repeat(self.position[block.which], block.length)
        u *= np.repeat(2.0 / self.widths.fwhm[block.which], block.length)
        return u


class Slopes(msgspec.Struct, frozen=True, kw_only=True):
    """Changes by parameters, (l, k) arrays: of intensity; of position, Γ and eta, multiplied by the intensity.

    Those of Γ and of eta are by the same parameters.
    """

    intensity: FloatArray
    position: FloatArray
    fwhm: FloatArray
    eta: FloatArray


def spread_value(lines: Lines, intensity: FloatArray) -> FloatArray:
    """Σ_l I_l PV_l on the points; `intensity` is (l,), the result (n,)."""
    total = np.zeros(len(lines.pairs.places.two_theta))
    for piece in lines.pairs.pieces():
        total[piece.rows] += piece.matrix(_values(lines, piece)) @ intensity[piece.which]
    return lines.pairs.places.on_points(total)


def value_of_each(lines: Lines) -> FloatArray:
    """Return PV_l of every line on the places that it reaches, line after line."""
    return np.concatenate([np.empty(0), *(_values(lines, piece) for piece in lines.pairs.pieces())])


def _values(lines: Lines, piece: _Piece) -> FloatArray:
    lorentz, gauss = _heights(lines.widths)
    values = np.empty(piece.n_pairs)
    for block in piece.blocks:
        r, g = _functions(lines.away(block))
        r *= np.repeat(lorentz[block.which], block.length)
        g *= np.repeat(gauss[block.which], block.length)
        np.add(r, g, out=values[block.pairs])
    return values


def spread_slopes(lines: Lines, slopes: Slopes) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Changes of Σ_l I_l PV_l, (k, n), by parameters that act on intensities, on positions and on widths.

    With u = 2t/Γ, r = 1/(1 + u²), g = exp(−ln2 u²), a = eta 2/(πΓ) and b = (1 − eta) 2 sqrt(ln2/π)/Γ:
    PV = a r + b g, ∂PV/∂t = −(4/Γ) K with K = u (a r² + ln2 b g), ∂PV/∂Γ = −(PV − 2 u K)/Γ,
    ∂PV/∂eta = (2 r/π − 2 sqrt(ln2/π) g)/Γ.
    """
    places = lines.pairs.places
    n = len(places.two_theta)
    by_intensity, by_position = (np.zeros((n, slopes.intensity.shape[1])), np.zeros((n, slopes.position.shape[1])))
    by_width = np.zeros((n, slopes.fwhm.shape[1]))
    lorentz, gauss = _heights(lines.widths)
    for piece in lines.pairs.pieces():
        values = np.empty((4, piece.n_pairs))  # PV, K, PV − 2 u K, and ∂PV/∂eta times Γ
        for block in piece.blocks:
            length, own, u = block.length, block.which, lines.away(block)
            value, place, width, mixing = values[:, block.pairs]
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
            r *= _LORENTZIAN
            g *= _GAUSSIAN
            np.subtract(r, g, out=mixing)
        value, place, width, mixing = values
        which, rows = piece.which, piece.rows
        inverse = (1.0 / lines.widths.fwhm[which])[:, None]
        by_intensity[rows] += piece.matrix(value) @ slopes.intensity[which]
        by_position[rows] += piece.matrix(place) @ (4.0 * inverse * slopes.position[which])
        by_width[rows] += piece.matrix(width) @ (-inverse * slopes.fwhm[which])
        by_width[rows] += piece.matrix(mixing) @ (inverse * slopes.eta[which])
    by_intensity, by_position, by_width = map(places.on_points, (by_intensity, by_position, by_width))
    return by_intensity.T.copy(), by_position.T.copy(), by_width.T.copy()


def spread_shoulder(lines: Lines, intensity: FloatArray) -> FloatArray:
    """Σ_l I_l D_l with a deformation D that leaves area, height and full width at half maximum of a profile unchanged.

    D = h G H4(u) + p Γ ∂PV/∂Γ + q ∂PV/∂eta with u = t/σ, H4 = u⁴ − 6u² + 3 and h = 1/√24 (the fourth term of a
    Gram-Charlier series); p and q follow from D(0) = D(Γ/2) = 0. Positive amounts move area from the tails to the
    shoulders between a half and one FWHM from the centre. Profiles of ellipsoids with lognormal sizes (standard
    deviation of ln size 0.4, 0.25, 0.05) take amounts of about +0.06, −0.03 and −0.15 of their area. Arrays as in
    `spread_value`, or (l, k) and (n, k) for several sets of lines at the same places.
    """
    total = np.zeros((len(lines.pairs.places.two_theta), *intensity.shape[1:]))
    # Factors c of D = r (c0 + c1 r) + g (c2 + c3 u² + c4 u⁴); ∂PV/∂Γ is written with u² r² = r − r².
    inverse = 1.0 / lines.widths.fwhm
    lorentz, gauss = _heights(lines.widths)
    p, q = shoulder_factors(lines.widths.eta)
    bell = _GAUSSIAN * inverse
    factors = (
        p * lorentz + q * _LORENTZIAN * inverse,
        -2.0 * p * lorentz,
        3.0 * bell - p * gauss - q * bell,
        2.0 * _LN2 * (p * gauss - 6.0 * bell),
        (2.0 * _LN2) ** 2 * bell,
    )
    for piece in lines.pairs.pieces():
        values = np.empty(piece.n_pairs)
        for block in piece.blocks:
            u = lines.away(block)
            c = [np.repeat(factor[block.which], block.length) for factor in factors]
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
            np.add(c[1], c[4], out=values[block.pairs])
        total[piece.rows] += piece.matrix(values) @ (intensity[piece.which] / np.sqrt(24.0))
    return lines.pairs.places.on_points(total)


def _heights(widths: TchWidths) -> tuple[FloatArray, FloatArray]:
    """Heights of the Lorentzian and the Gaussian part of lines of unit area."""
    return widths.eta * (_LORENTZIAN / widths.fwhm), (1.0 - widths.eta) * (_GAUSSIAN / widths.fwhm)


def _edges(indptr: IntArray, size: int) -> list[int]:
    """Numbers of the lines at which about `size` pairs more have been passed, both ends included."""
    wanted = np.arange(0, int(indptr[-1]) + size, size)
    edges = np.minimum(np.searchsorted(indptr, wanted), len(indptr) - 1).tolist()
    return [edge for k, edge in enumerate(edges) if k == 0 or edge > edges[k - 1]]


def _functions(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lorentzian and Gaussian of height one and half width one."""
    g = np.square(u)
    r = g + 1.0
    np.divide(1.0, r, out=r)
    g *= -_LN2
    np.maximum(g, _NOTHING, out=g)
    np.exp(g, out=g)
    return r, g
