"""Scattering on the absolute scale, in electron units per dalton: atoms, crystals, amorphous components.

The tables of atoms are the simulator's own, shared with no other part of the package. Crystals come from the sites of
the whole cell that a `Phase` carries; symmetry is used only to merge equivalent reflections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from xrdcomp.data import Cell, Phase, frozen_array
from xrdcomp.errors import AnalysisError, PhaseError
from xrdcomp.units import ComplexArray, FloatArray

# --- atoms -----------------------------------------------------------------------------------------------
# Coherent: f0 of International Tables C (1992) table 6.1.1.4 and the dispersion corrections of Cromer &
# Liberman, both as gemmi gives them. Incoherent: S(x) = Σ aᵢ (1 − exp(−bᵢ x²)) with x = sinθ/λ, fitted for this
# module to the tabulated incoherent scattering functions of Hubbell et al. (1975) as xraylib 4 returns them
# (x ≤ 1.2 Å⁻¹; largest deviation 0.4 % for carbon, below 0.3 % otherwise; carbon at 0.3 Å⁻¹ is 3.64 electron
# units). Attenuation: total cross sections per gram from xraylib 4 at the Kα energies.

_HC_EV_ANGSTROM = 12398.419843320026
# a1..a4, b1..b4 in Å², and cm²/g at Kα of six anodes
_ATOMS = """
atom     a1     a2      a3      a4       b1      b2      b3     b4     Cu     Co     Mo     Cr     Ag     Fe
H    0.1326 0.5391  0.2997  0.0286  91.4433 46.8777 21.9769 8.1566 0.3912 0.3967 0.3729 0.4117 0.3667 0.4004
B    0.3933 2.3440  0.3804  1.7817 142.2526 39.8653 12.5029 1.7548  2.306  3.584 0.3671   7.58 0.2663  4.546
C    0.3667 1.5095  2.1270  1.8431 114.0680 35.3042 16.0068 1.3117  4.495  7.057 0.5737  14.98 0.3723  8.974
N    0.5598 2.3897  1.9384  1.8924  77.4450 26.9367 10.5845 1.0440  7.424  11.67 0.8406   24.7 0.5003  14.84
O    0.6355 2.5266  2.6272  1.9122  59.0120 20.3443  8.4102 0.8720  11.42  17.93  1.215  37.72 0.6807  22.76
F    0.6066 2.3359  3.6675  1.9272  50.0647 17.7320  7.1743 0.8413  15.73  24.63  1.624  51.43 0.8735   31.2
Na   0.9937 1.2690  5.1991  2.5281 304.5061 20.2904  5.7574 1.2553  29.66  46.09  3.013  94.77  1.551  58.11
Mg   1.9564 0.9124  4.8903  3.0653 184.3986 17.4698  4.9115 1.3277  39.89  61.75  4.068    126   2.07  77.69
Al   0.7834 2.2329  2.8708  5.5704 224.3129 83.3579  6.9473 1.9488  49.46  76.25  5.084  154.4  2.569  95.69
Si   1.0607 2.8754  2.3517  6.0724 166.4813 53.1531  6.2688 1.7411  63.59  97.63  6.604  196.1  3.323  122.2
P    1.3428 3.4622  1.9187  6.5307 132.9417 34.3160  6.0526 1.5700  75.31  115.1  7.924  229.7   3.98  143.8
S    1.4867 4.1272  1.5678  6.9501 104.6994 27.4233  6.4610 1.4351  93.08  141.7  9.929  280.7  4.985  176.7
Cl   1.6115 4.6758  1.5051  7.2200  85.9175 22.3927  7.2480 1.3041  105.7  160.3  11.45  315.3   5.75  199.4
K    1.0091 2.1536  6.0916  7.4701 458.1781 45.4600 10.9873 1.0942  144.5  217.4  16.12  420.7  8.128  269.1
Ca   1.9818 2.1305  6.2227  7.4844 299.4974 35.4877  8.6492 0.9177  169.9  254.1  19.23  489.8  9.717  313.7
Ti   2.1041 2.7445  7.1099  7.6319 236.3684 29.5728  6.4583 0.7841  199.3  290.2  23.28  589.3  11.82  357.7
Mn   2.1605 3.1212  7.9946  8.1451 186.8181 24.2694  4.8848 0.8595  269.3  391.8  32.87  97.38  16.86  61.46
Fe   2.1563 3.2704  7.8801  8.5804 175.7346 22.7042  4.7243 0.9478  301.1   57.1  37.41  112.4  19.25  70.93
Cu   1.1585 3.4444  6.1753 12.4254 183.4876 28.5574  5.8758 1.3649   51.7  77.82  48.83  152.9  25.46  96.66
Zn   2.1115 3.0526  5.7100 13.1462 143.4722 20.6655  5.5576 1.3050  57.79  86.93  53.71  170.5  28.04  107.9
Sr   1.9819 2.4080  8.2066 16.8322 356.9397 50.3612  9.8975 1.0725  113.1  169.2  90.13  328.1   48.8  209.3
Zr   2.2795 2.9658  9.2133 16.8905 269.5184 45.2256  7.9514 0.9156  133.5  199.3  16.25  385.1  55.51  246.4
Ba   2.0006 2.2990 10.4731 24.6872 451.3981 75.0982 14.4269 1.2474  328.3  479.2  42.09  565.7  22.26  585.1
La   2.1573 2.5433 11.0276 24.8284 392.3099 72.3596 13.1607 1.1611  347.4  505.9  44.67  210.5  23.64    617
"""


def table_rows(text: str) -> list[dict[str, str]]:
    """Rows of a table whose first line names the columns, all separated by blanks."""
    names, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


_TABLE = {row.pop("atom"): {name: float(value) for name, value in row.items()} for row in table_rows(_ATOMS)}


def _known(element: str) -> None:
    if element not in _TABLE:
        msg = f"the simulator has no scattering table for element {element!r}; it knows {', '.join(_TABLE)}."
        raise PhaseError(f"{msg} Leave the phase out or replace the element.")


def atomic_mass(element: str) -> float:
    """Standard atomic mass in dalton."""
    import gemmi

    _known(element)
    return float(gemmi.Element(element).weight)


def coherent_amplitude(element: str, s: FloatArray, wavelength: float) -> ComplexArray:
    """Complex amplitude f0(s) + f′ + i f″ of an atom in electrons; s = sinθ/λ in Å⁻¹, wavelength in Å."""
    import gemmi

    _known(element)
    entry = gemmi.Element(element)
    table = entry.it92
    s2 = np.square(np.asarray(s, dtype=float))
    f0 = np.full(s2.shape, float(table.c))
    for a, b in zip(table.a, table.b, strict=True):
        f0 += a * np.exp(-b * s2)
    energy_ev = _HC_EV_ANGSTROM / wavelength
    f_prime, f_second = gemmi.cromer_liberman(z=entry.atomic_number, energy=energy_ev)
    amplitude: ComplexArray = np.asarray(f0 + f_prime + 1j * f_second, dtype=np.complex128)
    return amplitude


def incoherent_intensity(element: str, s: FloatArray) -> FloatArray:
    """Compton scattering of an atom in electron units, S(s) = Σ a (1 − exp(−b s²)); s = sinθ/λ in Å⁻¹."""
    _known(element)
    known, s2 = _TABLE[element], np.square(np.asarray(s, dtype=float))
    total = np.zeros(s2.shape)
    for i in "1234":
        total += known[f"a{i}"] * -np.expm1(-known[f"b{i}"] * s2)
    return total


def attenuation_cm2_g(element_mass_fractions: dict[str, float], anode: str) -> float:
    """Mass attenuation coefficient of a mixture at the Kα energy of an anode, Σ wᵢ μᵢ/ρᵢ in cm²/g."""
    for element in element_mass_fractions:
        _known(element)
    return sum(w * _TABLE[e][anode] for e, w in element_mass_fractions.items())


def cell_mass(phase: Phase) -> float:
    """Mass of the cell in dalton, occupancies counted."""
    return float(sum(o * atomic_mass(e) for e, o in zip(phase.site_element, phase.site_occupancy, strict=True)))


def element_mass_fractions(phase: Phase) -> dict[str, float]:
    """Mass fraction of each element of a phase."""
    mass = cell_mass(phase)
    fractions: dict[str, float] = {}
    for element, occupancy in zip(phase.site_element, phase.site_occupancy, strict=True):
        fractions[element] = fractions.get(element, 0.0) + float(occupancy) * atomic_mass(element) / mass
    return fractions


# --- reflections and diffuse scattering ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PowderReflections:
    """The reflections of a phase, equivalents merged; (n,) arrays.

    `q` is 4π sinθ/λ in Å⁻¹, `cos_c` the cosine between scattering vector and c axis. `strength` is
    2π² m ⟨|F|²⟩ / (V M) in electron units per dalton and Å³, so that the cross section per dalton is
    ``strength · p(Q − q) / (Q q)`` with p the reflection's profile of unit area in Q.
    """

    q: FloatArray
    strength: FloatArray
    cos_c: FloatArray


def _metric(cell: Cell) -> FloatArray:
    """Metric tensor of the direct lattice, Å²."""
    a, b, c, *angles = cell.parameters
    ca, cb, cg = np.cos(np.radians(angles))
    bc, ac, ab = b * c * ca, a * c * cb, a * b * cg
    return np.array([[a * a, ab, ac], [ab, b * b, bc], [ac, bc, c * c]])


def powder_reflections(
    phase: Phase,
    *,
    q_max: float,
    wavelength: float,
    cell: Cell | None = None,
    b_excess: float = 0.0,
    march_dollase: float = 1.0,
) -> PowderReflections:
    """Reflections of a phase with atoms up to `q_max` (Å⁻¹), their strength on the absolute scale.

    The cross section of a powder per cell is 2π² m|F|² δ(Q − q) / (V Q²) electron units
    [e.g. Warren, X-ray Diffraction, 1969]; it is divided by the cell's mass here. `wavelength` (Å) decides f′ and f″;
    `cell` replaces the phase's cell, fractional coordinates stay; `b_excess` (Å²) is added to every atom's B, larger
    weakens the reflections at high angles; `march_dollase` is the texture about c* of a flat plate, 1 is none, < 1
    strengthens 00l [Dollase 1986].
    """
    if not phase.quantifiable:
        msg = f"phase {phase.id!r} is known by reflection positions only and cannot be simulated; take one with atoms."
        raise PhaseError(msg)
    used = cell or phase.cell
    metric = _metric(used)
    reciprocal = np.asarray((2.0 * np.pi) ** 2 * np.linalg.inv(metric), dtype=np.float64)
    # |h| ≤ q_max a / 2π bounds every index of a reflection within the sphere, in any lattice
    limit = np.floor(q_max * np.sqrt(np.diag(metric)) / (2.0 * np.pi)).astype(int)
    axes = [np.arange(-n, n + 1) for n in limit]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    q2 = np.einsum("ni,ij,nj->n", hkl, reciprocal, hkl)
    inside = (q2 > 0) & (q2 <= q_max * q_max)
    hkl, q = hkl[inside].astype(np.int64), np.sqrt(q2[inside])
    # Equivalents share the largest code, read as a number in base `span`, of all their images. Friedel mates count
    # as equivalent: a powder shows them together, and the structure factor below is their mean.
    span = 2 * int(np.abs(hkl).max()) + 1
    best = np.full(len(hkl), np.iinfo(np.int64).min)
    for rotation in phase.rotations:
        code = (hkl @ rotation) @ np.array([span * span, span, 1])
        np.maximum(best, np.maximum(code, -code), out=best)
    _, first, inverse = np.unique(best, return_index=True, return_inverse=True)
    multiplicity = np.bincount(inverse).astype(float)
    # texture is averaged over the equivalents, which lie at different angles to c*:
    # W(α) = (r² cos²α + sin²α / r)^(−3/2)
    cos_sq = np.square(hkl @ reciprocal[:, 2] / (q * np.sqrt(reciprocal[2, 2])))
    weight = (march_dollase * march_dollase * cos_sq + (1.0 - cos_sq) / march_dollase) ** -1.5
    texture = np.bincount(inverse, weight) / multiplicity
    unique, q_unique = hkl[first], q[first]
    # mean of |F(h)|² and |F(−h)|² over the whole cell, electrons squared; they differ where f″ is not zero
    plus, minus = np.zeros(len(unique), dtype=complex), np.zeros(len(unique), dtype=complex)
    s, elements = q_unique / (4.0 * np.pi), np.array(phase.site_element)
    for element in dict.fromkeys(phase.site_element):
        sites = np.flatnonzero(elements == element)
        phases = 2.0 * np.pi * (unique @ phase.site_xyz[sites].T)
        damping = phase.site_occupancy[sites] * np.exp(-np.outer(s * s, phase.site_b_iso[sites] + b_excess))
        real, imag = (np.sum(damping * part(phases), axis=1) for part in (np.cos, np.sin))
        f = coherent_amplitude(element, s, wavelength)
        plus += f * (real + 1j * imag)
        minus += f * (real - 1j * imag)
    f_sq = 0.5 * (np.abs(plus) ** 2 + np.abs(minus) ** 2)
    keep = f_sq > 1e-7 * f_sq.max()  # the rest is extinct by symmetry, up to rounding
    volume = float(np.sqrt(np.linalg.det(metric)))
    strength = 2.0 * np.pi**2 * multiplicity * f_sq * texture / (volume * cell_mass(phase))
    cos_c = 2.0 * np.pi * unique[:, 2] / (q_unique * used.c)
    return PowderReflections(q=q_unique[keep], strength=strength[keep], cos_c=np.clip(np.abs(cos_c[keep]), 0.0, 1.0))


def crystal_diffuse(phase: Phase, q: FloatArray, *, wavelength: float, b_excess: float = 0.0) -> FloatArray:
    """Scattering of a crystal between its reflections: thermal and occupational diffuse, and Compton.

    Einstein solid: Σ o|f|² − |Σ o f exp(−Bs²)|² over the atoms of each site, and Σ o S_inc(s), electron units per
    dalton; q in Å⁻¹.
    """
    s = np.asarray(q, dtype=float) / (4.0 * np.pi)
    f = {element: coherent_amplitude(element, s, wavelength) for element in dict.fromkeys(phase.site_element)}
    sites: dict[tuple[float, ...], FloatArray | complex] = {}
    total = np.zeros_like(s)
    atoms = zip(phase.site_element, phase.site_xyz, phase.site_occupancy, phase.site_b_iso + b_excess, strict=True)
    for element, xyz, occupancy, b_iso in atoms:
        total += occupancy * (np.abs(f[element]) ** 2 + incoherent_intensity(element, s))
        place = tuple(np.round(xyz % 1.0, 4) % 1.0)
        sites[place] = sites.get(place, 0.0) + occupancy * f[element] * np.exp(-b_iso * s * s)
    return np.asarray((total - sum(np.abs(site) ** 2 for site in sites.values())) / cell_mass(phase))


# --- crystallite size, without any formula for the profile -----------------------------------------------
# The intensity profile of a reflection is the cosine transform of the mean common-volume function A(L) of the
# crystallites along the scattering vector [Stokes & Wilson 1942; Bertaut 1949]. A(L) is summed over a lognormal
# distribution of sizes at fixed shape and transformed numerically.

CrystalliteShape = Literal["ellipsoid", "cylinder"]

_X = np.linspace(0.0, 8.0, 801)  # L in units of the mean column length, and q times it
_Y = np.concatenate([np.linspace(0.0, 10.0, 201), np.geomspace(10.2, 60.0, 100)])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(11)


def _common_volume(shape: CrystalliteShape, length: FloatArray, cos_c: float, aspect: float) -> FloatArray:
    """Share of a crystallite (diameter 1, height `aspect`) that overlaps its copy moved along a direction."""
    if shape == "ellipsoid":
        # an affine map makes it a sphere of the diameter along the direction
        diameter = 1.0 / np.sqrt((1.0 - cos_c**2) + cos_c**2 / aspect**2)
        x = np.minimum(length / diameter, 1.0)
        return np.asarray(1.0 - 1.5 * x + 0.5 * x**3, dtype=np.float64)
    # a cylinder's overlap is that of its discs times that of its height
    across = np.minimum(length * np.sqrt(max(0.0, 1.0 - cos_c**2)), 1.0)
    along = np.maximum(1.0 - length * cos_c / aspect, 0.0)
    disc = (2.0 / np.pi) * (np.arccos(across) - across * np.sqrt(1.0 - across**2))
    return np.asarray(disc * along, dtype=np.float64)


@lru_cache(maxsize=1)
def _cosine_transform() -> FloatArray:
    """Matrix that turns A on `_X` into the profile on `_Y` by the trapezoidal rule."""
    weight = np.full(len(_X), _X[1] - _X[0])
    weight[[0, -1]] *= 0.5
    return np.asarray((2.0 / np.pi) * np.cos(np.outer(_Y, _X)) * weight, dtype=np.float64)


@lru_cache(maxsize=4096)
def mean_column_length(shape: CrystalliteShape, cos_c: float, aspect: float) -> float:
    """Mean column length by volume, 2∫A dL, of a crystallite of diameter 1: λ / (β cosθ), β the integral breadth."""
    length = np.linspace(0.0, float(np.hypot(1.0, aspect)), 4001)
    values = _common_volume(shape, length, cos_c, aspect)
    return 2.0 * float(values.sum() - 0.5 * (values[0] + values[-1])) * float(length[1])


@lru_cache(maxsize=4096)
def size_profile(
    shape: CrystalliteShape, cos_c: float, aspect: float, sigma_ln: float
) -> tuple[FloatArray, FloatArray]:
    """Cumulative size profile: y = q · ⟨L⟩ from 0 upwards, and the share of the reflection between −y and +y.

    `cos_c` is the cosine between scattering vector and c axis, `aspect` the length along c over the diameter (> 1 is a
    needle), `sigma_ln` the width of the lognormal distribution of sizes by number; larger gives longer tails.
    """
    unit = mean_column_length(shape, cos_c, aspect)
    # Gauss-Hermite nodes of the lognormal distribution by volume; d is the diameter over its volume-weighted mean
    d = np.exp(sigma_ln * _NODES - 0.5 * sigma_ln**2)
    weight = _WEIGHTS / _WEIGHTS.sum()
    # domains scatter coherently within themselves only: their common-volume functions add, not their amplitudes
    a = sum(w * _common_volume(shape, _X * unit / di, cos_c, aspect) for w, di in zip(weight, d, strict=True))
    density = _cosine_transform() @ a
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(_Y))])
    # beyond the grid the profile falls as 1/q² and carries what is left of the unit area
    far = np.geomspace(63.0, 60.0 * 400.0, 120)
    tail = 1.0 - (1.0 - integral[-1]) * _Y[-1] / far
    return frozen_array(np.concatenate([_Y, far])), frozen_array(np.concatenate([integral, tail]))


def scherrer_ratio(shape: CrystalliteShape, cos_c: float, aspect: float, sigma_ln: float) -> float:
    """Size that the Scherrer formula gives from the FWHM with K = 0.9, over the mean column length.

    A full width at half maximum underrates the tails: for spheres of one size the formula gives 1.08 times the mean
    column length, more for a broad distribution.
    """
    y, integral = size_profile(shape, cos_c, aspect, sigma_ln)
    density, middle = np.diff(integral) / np.diff(y), 0.5 * (y[1:] + y[:-1])
    below = int(np.argmax(density < 0.5 * density[0]))
    half = np.interp(-0.5 * density[0], -density[below - 1 : below + 1], middle[below - 1 : below + 1])
    return 0.9 * np.pi / float(half)


def sum_size_profiles(
    edges: FloatArray,
    positions: FloatArray,
    strengths: FloatArray,
    lengths: FloatArray,
    profiles: list[tuple[FloatArray, FloatArray]],
) -> FloatArray:
    """Integrated strength per bin between uniform `edges` in Q (Å⁻¹), every reflection spread by its size profile.

    A reflection has a position (Å⁻¹), a strength, a mean column length (Å) and a profile from `size_profile`. The
    cumulative profile is differenced at the edges, so that no share is lost however narrow a reflection is.
    """
    step = edges[1] - edges[0]
    out = np.zeros(len(edges) - 1)
    # 700 mean breadths: 0.1 % of a reflection lies beyond
    reach = 700.0 / lengths + 2.0 * step
    low = np.clip(np.floor((positions - reach - edges[0]) / step).astype(int), 0, len(out))
    high = np.clip(np.ceil((positions + reach - edges[0]) / step).astype(int), 0, len(out))
    for i in range(len(positions)):
        if high[i] <= low[i]:
            continue
        offset = (edges[low[i] : high[i] + 1] - positions[i]) * lengths[i]
        y, total = profiles[i]
        cumulative = np.copysign(np.interp(np.abs(offset), y, total), offset)
        out[low[i] : high[i]] += 0.5 * strengths[i] * np.diff(cumulative)
    return out


# --- carbonate in the phosphate sites of an apatite ------------------------------------------------------

_PHOSPHATE_BOND = 1.75  # Å, above every P-O bond and below every other P…O distance
_CO3, _PO4 = 60.009, 94.971


def carbonated(phase: Phase, carbonate: float, vacancies: float = 0.5) -> Phase:
    """Return the apatite with CO3 for PO4 (B-type), calcium vacancies for the charge.

    `carbonate` is the mass fraction of CO3 in the apatite, up to 0.2. A share x of the phosphorus becomes carbon, of
    the phosphate oxygens x/4 go, and 0.3 x of the calcium (half a vacancy for each carbonate of a cell with six
    phosphates and ten calciums). The channel stays filled. Positions are kept: a model of the intensities, not of the
    structure.
    """
    elements = np.array(phase.site_element)
    phosphorus, oxygen, calcium = elements == "P", elements == "O", elements == "Ca"
    if not 0.0 <= carbonate <= 0.2 or not phosphorus.any():
        msg = f"{carbonate:g} of CO3 cannot be put into {phase.id!r}: it takes phosphate sites and at most 0.2."
        raise AnalysisError(msg)
    count = float(phase.site_occupancy[phosphorus].sum())
    calciums = float(phase.site_occupancy[calcium].sum())
    missing = vacancies * count / calciums  # share of the calcium, per share of the phosphorus
    # the cell gets lighter by what leaves it: the share follows from x · count · CO3 = carbonate · (mass − x · lighter)
    lighter = count * (_PO4 - _CO3) + missing * calciums * atomic_mass("Ca")
    share = carbonate * cell_mass(phase) / (count * _CO3 + carbonate * lighter)
    # oxygens bonded to phosphorus, in the nearest image of the cell; those of the channel are not
    delta = phase.site_xyz[oxygen][:, None, :] - phase.site_xyz[phosphorus][None, :, :]
    delta -= np.rint(delta)
    distance_sq = np.einsum("opi,ij,opj->op", delta, _metric(phase.cell), delta)
    bonded = np.flatnonzero(oxygen)[(distance_sq < _PHOSPHATE_BOND**2).any(axis=1)]
    occupancy = np.array(phase.site_occupancy)
    occupancy[phosphorus] *= 1.0 - share
    occupancy[bonded] *= 1.0 - share / 4.0
    occupancy[calcium] *= 1.0 - missing * share
    carbon = np.flatnonzero(phosphorus)
    return replace(
        phase,
        site_element=(*phase.site_element, *("C" for _ in carbon)),
        site_xyz=frozen_array(np.concatenate([phase.site_xyz, phase.site_xyz[carbon]])),
        site_occupancy=frozen_array(np.concatenate([occupancy, share * phase.site_occupancy[carbon]])),
        site_b_iso=frozen_array(np.concatenate([phase.site_b_iso, phase.site_b_iso[carbon]])),
    )


# --- amorphous components --------------------------------------------------------------------------------
# Per dalton: (Σ|f|²/M) · S(Q) + Σ S_inc / M. S(Q) is a liquid-like structure factor that is small at low Q and tends
# to 1 at high Q. Its family can be chosen and its halos moved, so that what is simulated need not have the shape that
# a fit assumes. Positions and widths are those that measured patterns show with Cu Kα (collagen 20–22°, FWHM 7–9°;
# lipid acyl halo 19.3–19.8°, 5–7°; water 28° and 40–42°, about 10°; amorphous calcium phosphate 29–31°, 6–8°, second
# 45–50°): Eanes & Posner for the phosphate, Narten & Levy for water, fibre-diffraction texts for collagen. The
# maximum of the halo, not of S, is put there.

HaloFamily = Literal["gaussian", "lorentzian", "hard_sphere"]
_CU_KA1 = 1.540598


@dataclass(frozen=True, kw_only=True)
class HaloShape:
    """The liquid-like structure factor S of an amorphous component; angles in degrees with Cu Kα1."""

    two_theta: float  # maximum of the scattered intensity
    fwhm: float  # of that maximum; larger blurs the structure
    height: float = 1.0  # factor on the maximum of S; other than 1 it changes the scattering per gram
    second_two_theta: float = 44.0  # second maximum of S, in the families with peaks
    second_height: float = 0.0  # relative to the first; 0 leaves it out
    low_q: float = 0.08  # S at Q = 0, between 0 (incompressible) and 1
    packing_two_theta: float = 6.8  # lateral packing of protein chains (12–14 Å)
    packing_height: float = 0.0  # in S; 0 leaves it out
    # Coherent scattering in 10–60° relative to that of free atoms, at `height` 1: what is missing at low angles has
    # gone into the maximum.
    area_factor: float = 1.0
    area_spread: float = 0.05  # relative standard deviation of that between specimens
    dip_two_theta: float = 36.0  # minimum of S behind the main maximum, and how far it lies below 1
    dip_depth: float = 0.0
    # Peaks on a step, sharper peaks with longer tails, or a Percus-Yevick liquid.
    family: HaloFamily = "gaussian"

    def jittered(self, rng: np.random.Generator, *, shift: float, width: float, height: float) -> HaloShape:
        """Return a copy moved by a draw of standard deviation `shift` (degrees), with another width and height.

        `width` and `height` are the standard deviations of the logarithms of the factors on them.
        """
        moved = self.two_theta + float(rng.normal(0.0, shift))
        wider, higher = (float(np.exp(rng.normal(0.0, std))) for std in (width, height))
        return replace(self, two_theta=moved, fwhm=self.fwhm * wider, height=self.height * higher)


@dataclass(frozen=True, kw_only=True)
class AmorphousMaterial:
    """Composition (`atoms` per formula unit) and `halo` of an amorphous component."""

    atoms: tuple[tuple[str, float], ...]
    halo: HaloShape

    def element_mass_fractions(self) -> dict[str, float]:
        """Mass fraction of each element."""
        parts = {e: n * atomic_mass(e) for e, n in self.atoms}
        return {e: part / sum(parts.values()) for e, part in parts.items()}


# Collagen as amino-acid analysis gives it; triolein; Ca9(PO4)6 with about 10 % of its mass as bound water. Areas over
# free atoms and their relative spread between specimens: water 0.77 by molecular dynamics and 0.80 measured, lipid 1.21
# to 1.35, dry proteins 0.97 to 1.17, one amorphous calcium phosphate 0.79 ± 0.1. S falls below 1 behind the main
# maximum: the depth is that of this minimum.
_MATERIALS = """
material formula two_theta fwhm second_two_theta second_height low_q packing_height area_factor area_spread dip_two_theta dip_depth
protein                     C65H102N18O21    21.0 8.0 42.0 0.05 0.40 0.15 1.06 0.07 31.5 0.15
lipid                       C57H104O6        19.6 5.3 42.5 0.13 0.30 0    1.28 0.07 31.0 0.45
water                       H2O1             28.6 8.5 41.5 0.80 0.09 0    0.79 0.03 53.5 0.25
amorphous_calcium_phosphate Ca9P6O29.25H10.5 30.0 6.5 47.5 0.25 0.25 0    0.79 0.15 39.5 0.40
"""  # noqa: E501 - names of columns


def _material(formula: str, **halo: str) -> AmorphousMaterial:
    atoms = tuple((element, float(n)) for element, n in re.findall(r"([A-Z][a-z]?)([\d.]+)", formula))
    shape: dict[str, Any] = {name: float(value) for name, value in halo.items()}
    return AmorphousMaterial(atoms=atoms, halo=HaloShape(**shape))


MATERIALS: dict[str, AmorphousMaterial] = {row.pop("material"): _material(**row) for row in table_rows(_MATERIALS)}


def _q(two_theta: float | FloatArray) -> FloatArray:
    """4π sinθ/λ of Cu Kα1 in Å⁻¹ from 2θ in degrees."""
    return np.asarray(4.0 * np.pi * np.sin(np.radians(two_theta) / 2.0) / _CU_KA1, dtype=np.float64)


def independent_atoms(
    atoms: tuple[tuple[str, float], ...], q: FloatArray, wavelength: float
) -> tuple[FloatArray, FloatArray]:
    """Coherent Σ|f|²/M and incoherent ΣS/M of free atoms, electron units per dalton, at Q in Å⁻¹."""
    s = np.asarray(q, dtype=float) / (4.0 * np.pi)
    mass = sum(n * atomic_mass(e) for e, n in atoms)
    coherent = sum(n * np.abs(coherent_amplitude(e, s, wavelength)) ** 2 for e, n in atoms) / mass
    incoherent = sum(n * incoherent_intensity(e, s) for e, n in atoms) / mass
    return np.asarray(coherent), np.asarray(incoherent)


def _percus_yevick(q_diameter: FloatArray, packing: float) -> FloatArray:
    """Hard-sphere structure factor [Percus & Yevick 1958; Wertheim 1963], q·diameter > 0."""
    # 1/S − 1 is the transform of the direct correlation function α + βr + γr³ inside a sphere
    eta = packing
    alpha = (1.0 + 2.0 * eta) ** 2 / (1.0 - eta) ** 4
    beta = -6.0 * eta * (1.0 + 0.5 * eta) ** 2 / (1.0 - eta) ** 4
    gamma = 0.5 * eta * alpha
    x = np.maximum(q_diameter, 1e-2)  # differences of nearly equal terms lose all digits below
    sin, cos = np.sin(x), np.cos(x)
    g = alpha * (sin - x * cos) / x**2
    g += beta * (2.0 * x * sin + (2.0 - x**2) * cos - 2.0) / x**3
    g += gamma * (-(x**4) * cos + 4.0 * ((3.0 * x**2 - 6.0) * cos + (x**3 - 6.0 * x) * sin + 6.0)) / x**5
    return np.asarray(1.0 / (1.0 + 24.0 * eta * g / x), dtype=np.float64)


def _peak(family: HaloFamily, q: FloatArray, centre: float, fwhm: float) -> FloatArray:
    t = (q - centre) / fwhm
    if family == "lorentzian":  # squared Lorentzian: longer tails than a Gaussian, still integrable
        return np.asarray(1.0 / (1.0 + 4.0 * (np.sqrt(2.0) - 1.0) * t * t) ** 2, dtype=np.float64)
    return np.asarray(np.exp(-4.0 * np.log(2.0) * t * t), dtype=np.float64)


def _dip(halo: HaloShape, q: FloatArray, width: float) -> FloatArray:
    return halo.dip_depth * _peak("gaussian", q, float(_q(halo.dip_two_theta)), max(width, 0.55))


def _base_and_peaks(halo: HaloShape, q: FloatArray, centre: float) -> tuple[FloatArray, FloatArray]:
    """S(Q) without its main maximum, tending to 1, and the maximum of unit height with its second one."""
    width = float(halo.fwhm * (_q(halo.two_theta + 0.5) - _q(halo.two_theta - 0.5)))
    family: HaloFamily = "gaussian" if halo.family == "hard_sphere" else halo.family
    peaks = _peak(family, q, centre, width)
    if halo.family == "hard_sphere":
        # disorder of real bonds damps the oscillations of a liquid of hard spheres beyond its first maximum
        liquid = _percus_yevick(q * 7.05 / centre, 0.32)
        loss = np.exp(-np.square(q / (3.0 * centre)))
        return halo.low_q + (1.0 - halo.low_q) * (1.0 + (liquid - 1.0) * loss) - _dip(halo, q, width), peaks
    rise = 1.0 / (1.0 + np.exp(-(q - (centre - 0.35 * width)) / (0.33 * width)))
    base: FloatArray = halo.low_q + (1.0 - halo.low_q) * rise - _dip(halo, q, width)
    if halo.packing_height > 0.0:
        q_packing = float(_q(halo.packing_two_theta))
        base = base + halo.packing_height * _peak(family, q, q_packing, 0.13)
    if halo.second_height > 0.0:
        second = float(_q(halo.second_two_theta))
        peaks = peaks + halo.second_height * _peak(family, q, second, 1.4 * width)
    return base, peaks


def structure_factor(material: AmorphousMaterial, q: FloatArray) -> FloatArray:
    """S(Q) of an amorphous component whose scattering has its maximum at `halo.two_theta`.

    The free-atom curve falls with Q and would pull the maximum to lower angles; the centre of S is found by
    bisection so that polarised S·Σ|f|² has it where asked. At `height` 1 the maximum of S is as high as makes
    the scattering in the window `area_factor` times that of free atoms; S tends to 1 beyond in any case. q in Å⁻¹.
    """
    halo = material.halo
    two_theta = np.linspace(10.0, 60.0, 1001)
    grid = _q(two_theta)
    atoms, _ = independent_atoms(material.atoms, grid, _CU_KA1)
    atoms = atoms * 0.5 * (1.0 + np.cos(np.radians(two_theta)) ** 2)
    target = float(_q(halo.two_theta))
    # only the maximum near the one asked for is followed: a second one may be as high
    near = np.abs(two_theta - halo.two_theta) < max(4.0, halo.fwhm)
    low, high = 0.8 * target, 1.5 * target
    for _ in range(30):
        centre = 0.5 * (low + high)
        base, peaks = _base_and_peaks(halo, grid, centre)
        height = halo.height * (halo.area_factor * atoms.sum() - atoms @ base) / (atoms @ peaks)
        curve = np.where(near, atoms * (base + height * peaks), 0.0)
        if float(two_theta[int(np.argmax(curve))]) < halo.two_theta:
            low = centre
        else:
            high = centre
    base, peaks = _base_and_peaks(halo, np.asarray(q, dtype=float), centre)
    return np.asarray(base + height * peaks, dtype=np.float64)


def amorphous_scattering(material: AmorphousMaterial, q: FloatArray, wavelength: float) -> FloatArray:
    """Coherent and Compton scattering of an amorphous component, electron units per dalton, Q in Å⁻¹."""
    coherent, incoherent = independent_atoms(material.atoms, q, wavelength)
    return coherent * structure_factor(material, q) + incoherent
