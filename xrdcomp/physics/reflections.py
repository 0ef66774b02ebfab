"""Unit cells, lattice spacings and reflections; structure factors on the absolute electron scale."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from xrdcomp.physics.elements import anomalous, form_factor
from xrdcomp.units import FloatArray, IntArray

MAX_CANDIDATES = 4_000_000  # lattice points looked at before a list is refused: 0.4 GB while they are sorted out

# free parameter -> positions among (a, b, c, alpha, beta, gamma) that move with it
_FREEDOM: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "triclinic": tuple((name, (i,)) for i, name in enumerate(("a", "b", "c", "alpha", "beta", "gamma"))),
    "monoclinic": (("a", (0,)), ("b", (1,)), ("c", (2,)), ("beta", (4,))),
    "orthorhombic": (("a", (0,)), ("b", (1,)), ("c", (2,))),
    "tetragonal": (("a", (0, 1)), ("c", (2,))),
    "trigonal": (("a", (0, 1)), ("c", (2,))),
    "hexagonal": (("a", (0, 1)), ("c", (2,))),
    "cubic": (("a", (0, 1, 2)),),
}
CRYSTAL_SYSTEMS = tuple(_FREEDOM)


class Reflections(msgspec.Struct, frozen=True):
    """Powder reflections, one row per set of Laue-equivalent ones, by decreasing spacing (Å).

    `hkl`, (n, 3), holds one representative: fewest negative indices first, then the largest h, k, l; `multiplicity` is
    the number of equivalent reflections, Friedel mates included.
    """

    hkl: IntArray
    multiplicity: IntArray
    d_spacing: FloatArray

    def __len__(self) -> int:
        return len(self.d_spacing)


def metric_tensor(cell6: npt.ArrayLike) -> FloatArray:
    """Metric tensor G of a cell, G_ij = a_i · a_j, in Å².

    A cell is a, b, c in ångström and alpha, beta, gamma in degrees, here and below. ValueError: not six finite numbers,
    an edge that is not positive, or angles that do not close to a cell.
    """
    cell = np.asarray(cell6, dtype=float)
    if cell.shape != (6,) or not np.isfinite(cell).all() or not (cell[:3] > 0).all():
        msg = f"a cell is six finite numbers (a, b, c > 0 in ångström, three angles in degrees); got {cell6!r}."
        raise ValueError(msg)
    length = cell[:3]
    cosines = np.cos(np.radians(cell[3:]))
    cosines[np.abs(cosines) < 1e-15] = 0.0  # exactly 90 degrees
    unit = np.eye(3)
    for (i, j), cosine in zip(((1, 2), (0, 2), (0, 1)), cosines, strict=True):
        unit[i, j] = unit[j, i] = cosine
    if np.linalg.det(unit) <= 0 or not ((cell[3:] > 0) & (cell[3:] < 180)).all():
        msg = f"the angles {cell[3:].tolist()} degrees do not close to a unit cell."
        raise ValueError(msg)
    metric: FloatArray = unit * np.outer(length, length)
    return metric


@lru_cache(maxsize=256)
def _metric_of(cell: tuple[float, ...]) -> tuple[FloatArray, FloatArray, float]:
    """Metric tensor of a cell, its inverse and the volume: a fit asks several times for those of one cell."""
    metric = metric_tensor(cell)
    inverse: FloatArray = np.linalg.inv(metric).astype(np.float64)
    return metric, inverse, float(np.sqrt(np.linalg.det(metric)))


def _metric(cell6: npt.ArrayLike) -> tuple[FloatArray, FloatArray, float]:
    return _metric_of(tuple(np.asarray(cell6, dtype=float).tolist()))


def cell_volume(cell6: npt.ArrayLike) -> float:
    """Volume of a unit cell in Å³, V = sqrt(det G)."""
    return _metric(cell6)[2]


def inverse_d_squared(hkl: npt.ArrayLike, cell6: npt.ArrayLike) -> FloatArray:
    """Squared reciprocal spacing 1/d² = hᵀ G⁻¹ h, in Å⁻², of reflections (n, 3)."""
    indices = np.asarray(hkl, dtype=float)
    values: FloatArray = np.sum((indices @ _metric(cell6)[1]) * indices, axis=1)
    return values


def inverse_d_squared_derivatives(hkl: npt.ArrayLike, cell6: npt.ArrayLike) -> FloatArray:
    """Derivatives of 1/d² of reflections (n, 3) with respect to the six cell parameters, (n, 6).

    From d(G⁻¹) = −G⁻¹ dG G⁻¹ follows ∂(1/d²)/∂p = −xᵀ (∂G/∂p) x with x = G⁻¹ h, exact for every cell. Columns a, b, c
    in Å⁻³, then alpha, beta, gamma in Å⁻² per **degree**.
    """
    cell = np.asarray(cell6, dtype=float)
    metric, inverse, _ = _metric(cell)
    x = np.asarray(hkl, dtype=float) @ inverse
    derivatives = np.empty((len(x), 6))
    derivatives[:, :3] = -2.0 * x * (x @ metric) / cell[:3]
    radians = np.radians(cell[3:])
    for column, (i, j) in enumerate(((1, 2), (0, 2), (0, 1))):
        slope = 2.0 * cell[i] * cell[j] * np.sin(radians[column]) * np.pi / 180.0
        derivatives[:, 3 + column] = slope * x[:, i] * x[:, j]
    return derivatives


@lru_cache(maxsize=16)
def cell_freedom(crystal_system: str) -> tuple[tuple[str, ...], FloatArray]:
    """Free cell parameters of a crystal system, by name, and the (6, k) matrix by which the six move with them.

    With M the matrix, ``cell6 = cell6_start + M @ (free - free_start)``, and derivatives with respect to the free
    parameters are ``inverse_d_squared_derivatives(...) @ M``. Trigonal cells are in hexagonal axes; monoclinic cells
    have b unique. ValueError: an unknown crystal system.
    """
    if crystal_system not in _FREEDOM:
        msg = f"unknown crystal system {crystal_system!r}; one of {', '.join(CRYSTAL_SYSTEMS)}."
        raise ValueError(msg)
    entries = _FREEDOM[crystal_system]
    matrix = np.zeros((6, len(entries)))
    for column, (_, rows) in enumerate(entries):
        matrix[list(rows), column] = 1.0
    matrix.flags.writeable = False
    return tuple(name for name, _ in entries), matrix


def generate_reflections(
    cell6: npt.ArrayLike,
    rotations: npt.ArrayLike,
    translations: npt.ArrayLike,
    centring: npt.ArrayLike,
    d_min: float,
    d_max: float = np.inf,
) -> Reflections:
    """All reflections a powder pattern can show between two spacings (Å), both ends included.

    Equivalent reflections (h R and −h R for every rotation R) are merged, systematic absences removed: a reflection is
    absent where h·v is not an integer for a centring vector v, or where an operation (R, t) with h R = h has h·t not an
    integer (International Tables A, 2016, section 1.6.4). `rotations` (m, 3, 3) act on coordinates, without centring;
    `centring` vectors include the zero vector. ValueError: d_min not positive or not below d_max, shapes that do not
    fit, or more than 4 million candidates.
    """
    cell = np.asarray(cell6, dtype=float)
    rot = np.asarray(rotations, dtype=float).reshape(-1, 3, 3)
    tran = np.asarray(translations, dtype=float).reshape(-1, 3)
    cen = np.asarray(centring, dtype=float).reshape(-1, 3)
    if len(rot) != len(tran) or len(rot) == 0:
        msg = f"{len(rot)} rotations for {len(tran)} translations; a space group has at least the identity."
        raise ValueError(msg)
    if not 0 < d_min < d_max:
        msg = f"d_min must be positive and below d_max; got {d_min:g} and {d_max:g} ångström."
        raise ValueError(msg)
    inverse_metric = np.asarray(np.linalg.inv(metric_tensor(cell)), dtype=np.float64)
    # Indices of one Friedel mate each between the spacings that the centring allows, as floats (n, 3).
    limit = np.floor(cell[:3] / d_min * (1.0 + 1e-12)).astype(int)  # |h| = |a · q| <= a / d
    count = int(np.prod(2 * limit + 1, dtype=float) / 2)
    if count > MAX_CANDIDATES:
        msg = (
            f"d_min = {d_min:g} ångström gives {count} candidate reflections for this cell "
            f"(limit {MAX_CANDIDATES}); raise d_min."
        )
        raise ValueError(msg)
    h, k, l_index = (np.arange(-n, n + 1, dtype=float) for n in limit)
    h = h[limit[0] :]
    grid = np.stack(np.meshgrid(h, k, l_index, indexing="ij"), axis=-1).reshape(-1, 3)
    # the plane h = 0 holds both mates: drop (0 k<0 l), (0 0 l<=0)
    keep = (grid[:, 0] > 0) | (grid[:, 1] > 0) | ((grid[:, 1] == 0) & (grid[:, 2] > 0))
    for vector in cen:
        if vector.any():
            product = grid @ vector
            keep &= np.abs(product - np.round(product)) < 1e-2
    grid = grid[keep]
    inverse = np.sum((grid @ inverse_metric) * grid, axis=1)
    tolerance = 1.0 + 1e-12
    inside = (inverse <= tolerance / d_min**2) & (inverse * tolerance >= 1.0 / d_max**2)
    candidates: FloatArray = grid[inside]
    base = 2.0 * (np.abs(candidates).max(initial=1.0) * 2.0) + 1.0
    weights = np.array([base * base, base, 1.0])
    images = candidates @ (rot @ weights).T  # one number per reflection and rotation, odd under inversion
    own = candidates @ weights
    first = own >= np.abs(images).max(axis=1)
    hkl, images, own = candidates[first], images[first], own[first]
    fixed = images == own[:, None]
    phase = hkl @ tran.T
    absent = (fixed & (np.abs(phase - np.round(phase)) > 1e-2)).any(axis=1)
    stabiliser = fixed.sum(axis=1) + (images == -own[:, None]).sum(axis=1)
    multiplicity = (2 * len(rot)) // stabiliser
    hkl, multiplicity = hkl[~absent], multiplicity[~absent]
    if len(hkl):
        # The equivalent that people write: fewest negative indices, l then k not negative, largest h, k, l.
        orbit = np.einsum("ni,mij->nmj", hkl, rot)
        orbit = np.concatenate([orbit, -orbit], axis=1)
        base, negative = 2.0 * np.abs(orbit).max() + 1.0, orbit < 0
        preference = 4.0 * negative.sum(axis=2) + 2.0 * negative[:, :, 2] + negative[:, :, 1]
        score = orbit @ np.array([base * base, base, 1.0]) - preference * base**3
        hkl = orbit[np.arange(len(hkl)), np.argmax(score, axis=1)] + 0.0
    d_spacing = 1.0 / np.sqrt(np.sum((hkl @ inverse_metric) * hkl, axis=1))
    order = np.lexsort((hkl[:, 2], hkl[:, 1], hkl[:, 0], -np.round(d_spacing, 10)))
    return Reflections(
        hkl=hkl[order].astype(np.int64), multiplicity=multiplicity[order].astype(np.int64), d_spacing=d_spacing[order]
    )


def expected_reflections(cell6: npt.ArrayLike, rotations: npt.ArrayLike, d_min: float, d_max: float = np.inf) -> float:
    """Number of reflections between two spacings (Å) before they are listed, absences not taken off.

    A half sphere of the reciprocal lattice, (2π/3) V (1/d_min³ − 1/d_max³), over the order of the Laue group and times
    two for Friedel mates.
    """
    rot = np.asarray(rotations, dtype=float).reshape(-1, 3, 3)
    inverted = any(np.array_equal(r, -np.eye(3)) for r in rot)
    half_sphere = 2.0 * np.pi / 3.0 * cell_volume(cell6) * (d_min**-3 - d_max**-3)
    return float(2.0 * half_sphere / (len(rot) * (1 if inverted else 2)))


CHUNK_BYTES = 100_000  # phase factors held at a time: some eight such arrays stay in a core's cache


def structure_factor_sq(
    hkl: npt.ArrayLike,
    d_spacing: npt.ArrayLike,
    site_xyz: npt.ArrayLike,
    site_element: Sequence[str],
    site_occupancy: npt.ArrayLike,
    site_b_iso: npt.ArrayLike,
    wavelength: float,
) -> FloatArray:
    """Squared structure factor |F|² of the full cell in electrons², mean of both Friedel mates.

    F(h) = Σ_j occ_j [f0_j(s) + f'_j + i f''_j] exp(−B_j s²) exp(2πi h·x_j), s = 1/(2d), over every site of the cell.
    With A = Σ (f0 + f') cos, B = Σ (f0 + f') sin, A″ = Σ f'' cos, B″ = Σ f'' sin (each weighted with occupancy and
    Debye-Waller factor) the mean of |F(h)|² and |F(−h)|² is A² + B² + A″² + B″²: a powder line holds both mates in
    equal number (International Tables C, 2004, section 6.1.1).

    Spacings are passed in so that a cell in refinement is not needed here; sites are all of the cell, not those of the
    asymmetric unit; B = 8π²U in Å², a larger value lowers reflections at small spacings. ValueError: shapes that do not
    fit, an element or an energy outside the tables.
    """
    indices = np.asarray(hkl, dtype=float).reshape(-1, 3)
    s_squared = 0.25 / np.asarray(d_spacing, dtype=float) ** 2
    xyz = np.asarray(site_xyz, dtype=float).reshape(-1, 3)
    occupancy = np.asarray(site_occupancy, dtype=float)
    b_iso = np.asarray(site_b_iso, dtype=float)
    if not len(xyz) == len(site_element) == len(occupancy) == len(b_iso) or len(indices) != len(s_squared):
        msg = (
            f"sites: {len(xyz)} positions, {len(site_element)} elements, {len(occupancy)} occupancies, "
            f"{len(b_iso)} b_iso; reflections: {len(indices)} hkl, {len(s_squared)} spacings. Must agree."
        )
        raise ValueError(msg)
    sums = element_sums(indices, s_squared, xyz, site_element, occupancy, b_iso)
    return squared_structure_factors(sums, np.sqrt(s_squared), wavelength)


class ElementSums(NamedTuple):
    """Real and imaginary sums of o exp(−B s²) exp(2πi h·x) over the sites of each element, (elements, n).

    They are the part of structure factors that no wavelength changes.
    """

    elements: tuple[str, ...]
    real: FloatArray
    imaginary: FloatArray


def element_sums(
    hkl: FloatArray,
    s_squared: FloatArray,
    site_xyz: FloatArray,
    site_element: Sequence[str],
    site_occupancy: FloatArray,
    site_b_iso: FloatArray,
) -> ElementSums:
    """Sums over the sites of each element for reflections (n, 3), with their s² = 1/(4d²) in Å⁻²."""
    # Equal sites share one factor: group number of each site, and element and b_iso of each group.
    kinds: dict[tuple[str, float], int] = {}
    sites = zip(site_element, site_b_iso, strict=True)
    group = [kinds.setdefault((element, float(b)), len(kinds)) for element, b in sites]
    membership = np.zeros((len(site_xyz), len(kinds)))
    membership[np.arange(len(site_xyz)), group] = site_occupancy
    cosine, sine = _phase_sums(hkl.tobytes(), site_xyz.tobytes(), membership.tobytes())
    elements = tuple(dict.fromkeys(element for element, _ in kinds))
    real, imaginary = np.zeros((2, len(elements), len(hkl)))
    for (element, b), in_phase, across in zip(kinds, cosine, sine, strict=True):
        damping, row = np.exp(-b * s_squared), elements.index(element)
        real[row] += damping * in_phase
        imaginary[row] += damping * across
    return ElementSums(elements, real, imaginary)


def squared_structure_factors(sums: ElementSums, s: FloatArray, wavelength: float) -> FloatArray:
    """Mean |F|² of both Friedel mates from the sums of each element, at s = 1/(2d) in Å⁻¹."""
    normal, anomalous_part = np.zeros((2, 2, len(s)))
    for element, *geometric in zip(*sums, strict=True):
        f0, (f1, f2) = form_factor(element, s), anomalous(element, wavelength)
        normal += (f0 + f1) * geometric
        anomalous_part += f2 * np.asarray(geometric)
    result: FloatArray = (normal**2).sum(axis=0) + (anomalous_part**2).sum(axis=0)
    return result


@lru_cache(maxsize=64)
def _phase_sums(hkl: bytes, xyz: bytes, membership: bytes) -> tuple[FloatArray, FloatArray]:
    """Real and imaginary sums of exp(2πi h·x) over the sites of each group, (groups, n): no cell changes them."""
    indices, sites = np.frombuffer(hkl).reshape(-1, 3), np.frombuffer(xyz).reshape(-1, 3)
    groups = np.frombuffer(membership).reshape(len(sites), -1)
    cosine, sine = np.empty((2, groups.shape[1], len(indices)))
    # exp(2πi (h x + k y)) times exp(2πi l z): of either there are far fewer than reflections
    plane = indices[:, 0] * (2.0 * np.abs(indices[:, 1]).max(initial=0.0) + 1.0) + indices[:, 1]
    _, at_plane, plane_of = np.unique(plane, return_index=True, return_inverse=True)
    layers, layer_of = np.unique(indices[:, 2], return_inverse=True)
    in_plane = (2.0 * np.pi) * (indices[at_plane, :2] @ sites[:, :2].T)
    along = (2.0 * np.pi) * np.outer(layers, sites[:, 2])
    (cos_plane, sin_plane), (cos_layer, sin_layer) = ((np.cos(x), np.sin(x)) for x in (in_plane, along))
    step = max(1, CHUNK_BYTES // (8 * max(len(sites), 1)))
    for start in range(0, len(indices), step):
        part = slice(start, start + step)
        c1, s1 = cos_plane[plane_of[part]], sin_plane[plane_of[part]]
        c2, s2 = cos_layer[layer_of[part]], sin_layer[layer_of[part]]
        cosine[:, part], sine[:, part] = ((c1 * c2 - s1 * s2) @ groups).T, ((s1 * c2 + c1 * s2) @ groups).T
    return cosine, sine
