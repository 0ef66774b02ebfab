"""Elements: scattering, dispersion and absorption per atom and per gram; emission lines of tubes.

Everything is on one absolute scale, electrons squared, so that crystalline and amorphous material can be
compared without a standard: see `coherent_per_gram`. The tables are package data written by
``benchmarks/make_scattering_tables.py``, which names their sources.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xrdcomp.units import HC_KEV_ANGSTROM, KALPHA2_RATIO, FloatArray, wavelength_to_energy_kev

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm "
    "Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"
)
ELEMENTS: tuple[str, ...] = tuple(_SYMBOLS.split())
"""Symbols of the tabulated elements, hydrogen to uranium."""

WAVELENGTHS = (HC_KEV_ANGSTROM / 130.0, HC_KEV_ANGSTROM / 4.0)
"""Shortest and longest wavelength of the tables of dispersion and absorption, ångström."""
LARGEST_S = 6.0
"""End of the tables of scattering, s = sinθ/λ in Å⁻¹."""

_INDEX = {symbol: i for i, symbol in enumerate(ELEMENTS)} | {"D": 0}


class _EnergyTable(NamedTuple):
    start: npt.NDArray[np.int64]
    energy_ev: FloatArray
    columns: tuple[FloatArray, ...]


class _ElementTable(NamedTuple):
    weight: FloatArray
    a: FloatArray
    b: FloatArray
    c: FloatArray


class _IncoherentTable(NamedTuple):
    s: FloatArray
    function: FloatArray


@cache
def _elements() -> _ElementTable:
    text = files("xrdcomp.physics").joinpath("data/elements.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    if tuple(row["element"] for row in rows) != ELEMENTS:
        msg = "elements.csv does not list the elements hydrogen to uranium in order."
        raise ValueError(msg)

    def columns(*names: str) -> FloatArray:
        return np.array([[float(row[name]) for name in names] for row in rows])

    return _ElementTable(
        weight=columns("atomic_weight")[:, 0],
        a=columns("a1", "a2", "a3", "a4"),
        b=columns("b1", "b2", "b3", "b4"),
        c=columns("c")[:, 0],
    )


@cache
def _energy_table(name: str, columns: tuple[str, ...]) -> _EnergyTable:
    with files("xrdcomp.physics").joinpath(f"data/{name}.npz").open("rb") as stream, np.load(stream) as data:
        return _EnergyTable(
            start=data["start"].astype(np.int64),
            energy_ev=data["energy_ev"].astype(np.float64),
            columns=tuple(data[column].astype(np.float64) for column in columns),
        )


@cache
def _incoherent_table() -> _IncoherentTable:
    with files("xrdcomp.physics").joinpath("data/incoherent.npz").open("rb") as stream, np.load(stream) as data:
        return _IncoherentTable(data["s"].astype(np.float64), data["function"].astype(np.float64))


def _index(element: str) -> int:
    index = _INDEX.get(element)
    if index is None:
        near = difflib.get_close_matches(str(element).capitalize(), ELEMENTS, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"unknown element {element!r}; tabulated are H to U, written like 'Ca'.{hint}"
        raise ValueError(msg)
    return index


def _at_energy(table: _EnergyTable, element: str, wavelength: float) -> tuple[float, ...]:
    index = _index(element)
    part = slice(int(table.start[index]), int(table.start[index + 1]))
    energy = table.energy_ev[part]
    if not wavelength > 0:
        msg = f"wavelength must be positive; got {wavelength!r} ångström."
        raise ValueError(msg)
    value = 1000.0 * wavelength_to_energy_kev(wavelength)
    if not energy[0] <= value <= energy[-1]:
        msg = (
            f"wavelength {wavelength:g} ångström ({value / 1000:.3f} keV) lies outside the tables, "
            f"{energy[0] / 1000:g} to {energy[-1] / 1000:g} keV."
        )
        raise ValueError(msg)
    return tuple(float(np.interp(value, energy, column[part])) for column in table.columns)


@cache
def atomic_weight(element: str) -> float:
    """Atomic weight in g/mol (the values gemmi ships)."""
    return float(_elements().weight[_index(element)])


def form_factor(element: str, s: npt.ArrayLike) -> FloatArray:
    """Coherent form factor f0 of the neutral atom, electrons: four Gaussians and a constant.

    f0(s) = Σ a_i exp(−b_i s²) + c, s = sinθ/λ = Q/4π in Å⁻¹, good to about 0.02 electrons for s < 2 Å⁻¹ (International
    Tables C, 1992, table 6.1.1.4). ValueError: an element outside H to U.
    """
    table, index = _elements(), _index(element)
    s_squared = np.square(np.asarray(s, dtype=float))
    factor: FloatArray = np.full_like(s_squared, table.c[index])
    for a, b in zip(table.a[index], table.b[index], strict=True):
        factor += a * np.exp(-b * s_squared)
    return factor


@lru_cache(maxsize=512)
def anomalous(element: str, wavelength: float) -> tuple[float, float]:
    """Anomalous dispersion (f', f'') in electrons, method of Cromer & Liberman (Acta Cryst. A37 (1981) 267).

    Linear interpolation in a table whose points lie closer near absorption edges, to within about 0.01 electrons off
    the edges. Free atoms: the fine structure within some 50 eV of an edge is not contained. 4 to 130 keV, 0.0954 to
    3.10 Å; ValueError outside.
    """
    f1, f2 = _at_energy(_energy_table("anomalous", ("f1", "f2")), element, wavelength)
    return f1, f2


def incoherent(element: str, s: npt.ArrayLike) -> FloatArray:
    """Incoherent (Compton) scattering function S(s) in electrons, from 0 (forward) to the atomic number.

    Hubbell et al., J. Phys. Chem. Ref. Data 4 (1975) 471; not Z − Σf²/Z, which is up to 55 % larger. The Breit-Dirac
    recoil factor and the energy shift are not contained. s = sinθ/λ from 0 to 6 Å⁻¹; ValueError outside.
    """
    table = _incoherent_table()
    position = np.asarray(s, dtype=float)
    if position.size and not (position.min() >= 0 and position.max() <= table.s[-1]):
        msg = f"s = sin(theta)/lambda must lie within 0 to {table.s[-1]:g} per ångström."
        raise ValueError(msg)
    values: FloatArray = np.interp(position, table.s, table.function[_index(element)])
    return values


def mass_attenuation(element: str, wavelength: float) -> float:
    """Mass attenuation coefficient μ/ρ in cm²/g, photoabsorption and scattering, 4 to 130 keV (else ValueError).

    Elam, Ravel & Sieber, Radiat. Phys. Chem. 63 (2002) 121.
    """
    (log_mu,) = _at_energy(_energy_table("attenuation", ("log_mu",)), element, wavelength)
    return float(np.exp(log_mu))


def mass_fractions_of(atoms: Mapping[str, float]) -> dict[str, float]:
    """Mass fractions from numbers of atoms on any scale; ValueError for none at all or a negative number."""
    if not atoms or min(atoms.values()) < 0 or sum(atoms.values()) <= 0:
        msg = f"a composition needs numbers of atoms that are not negative and not all zero; got {dict(atoms)}."
        raise ValueError(msg)
    masses = {element: number * atomic_weight(element) for element, number in atoms.items()}
    total = sum(masses.values())
    return {element: mass / total for element, mass in masses.items()}


def compound(formula: str | Mapping[str, float]) -> dict[str, float]:
    """Mass fractions from a chemical formula or numbers of atoms.

    ``"Ca5(PO4)3OH"``, ``"CaSO4·2H2O"``: brackets nest, numbers may be decimal, ``·`` or ``*`` (or a dot before water,
    ``"CaHPO4.2H2O"``) joins parts. ValueError: a formula that cannot be read to its end, or an unknown element.
    """
    if not isinstance(formula, str):
        return mass_fractions_of(formula)
    text = "".join(formula.split())
    text = re.sub(r"(?<![^\d]0)\.(\d*H2O)$", r"·\1", text)
    atoms: dict[str, float] = {}
    for part in re.split(r"[·*]", text):
        match = re.match(r"\d+(\.\d+)?(?=[A-Z(\[])", part)
        factor = float(match.group()) if match else 1.0
        for element, number in _count(part[match.end() if match else 0 :], formula).items():
            atoms[element] = atoms.get(element, 0.0) + factor * number
    return mass_fractions_of(atoms)


_TOKEN = re.compile(r"([A-Z][a-z]?|[(\[]|[)\]])(\d+\.?\d*|\.\d+)?")


def _count(text: str, formula: str) -> dict[str, float]:
    """Numbers of atoms of a formula without joining dots."""
    stack: list[dict[str, float]] = [{}]
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        opening = match is not None and match.group(1) in "(["
        closing = match is not None and match.group(1) in ")]"
        if match is None or (opening and match.group(2)) or (closing and len(stack) == 1):
            msg = f"cannot read formula {formula!r} at {text[position:]!r}."
            raise ValueError(msg)
        position = match.end()
        number = float(match.group(2) or 1.0)
        if opening:
            stack.append({})
            continue
        group = stack.pop() if closing else {match.group(1): 1.0}
        for element, amount in group.items():
            _index(element)
            stack[-1][element] = stack[-1].get(element, 0.0) + number * amount
    if len(stack) != 1 or not stack[0]:
        msg = f"formula {formula!r} is empty or has a bracket that is not closed."
        raise ValueError(msg)
    return stack[0]


def _checked(mass_fractions: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(mass_fractions.values())
    if not abs(total - 1.0) < 1e-3:
        msg = f"mass fractions must sum to 1; these sum to {total:.4f}: {dict(mass_fractions)}."
        raise ValueError(msg)
    return mass_fractions


def mass_attenuation_of(mass_fractions: Mapping[str, float], wavelength: float) -> float:
    """Mass attenuation coefficient of a mixture or compound in cm²/g, Σ w_i (μ/ρ)_i."""
    return sum(w * mass_attenuation(element, wavelength) for element, w in _checked(mass_fractions).items())


def coherent_per_gram(
    mass_fractions: Mapping[str, float], q: npt.ArrayLike, wavelength: float | None = None
) -> FloatArray:
    """Independent-atom coherent scattering per gram, Σ w_i |f_i(Q)|² / A_i, Q in Å⁻¹.

    A wavelength (Å) adds f' and f''; without it f0 alone is taken. In electrons² per (g/mol): times Avogadro's number
    it is electrons² per gram. The area of a reflection on the same scale is that of a cell over the cell's molar mass.
    """
    s = np.asarray(q, dtype=float) / (4.0 * np.pi)
    total = np.zeros_like(s)
    for element, w in _checked(mass_fractions).items():
        f1, f2 = (0.0, 0.0) if wavelength is None else anomalous(element, wavelength)
        total += w * ((form_factor(element, s) + f1) ** 2 + f2**2) / atomic_weight(element)
    return total


def incoherent_per_gram(mass_fractions: Mapping[str, float], q: npt.ArrayLike) -> FloatArray:
    """Incoherent scattering per gram, Σ w_i S_i(Q) / A_i, in electrons² per (g/mol)."""
    s = np.asarray(q, dtype=float) / (4.0 * np.pi)
    total = np.zeros_like(s)
    for element, w in _checked(mass_fractions).items():
        total += w * incoherent(element, s) / atomic_weight(element)
    return total


# X-ray emission lines of laboratory tubes.

# Wavelengths in ångström, International Tables C (2004) table 4.2.2.4 = Deslattes et al., Rev. Mod. Phys. 75
# (2003) 35: Kα1 (K-L3), Kα2 (K-L2), mean Kβ1,3 (K-M2,3). Bearden's older scale (1967) differs by up to
# 30 parts per million (Mo Kα2, Ag Kα1) and is not mixed with these.
_K_LINES: dict[str, tuple[float, float, float]] = {
    "Cr": (2.2897260, 2.2936510, 2.0848810),
    "Fe": (1.9360410, 1.9399730, 1.7566040),
    "Co": (1.7889960, 1.7928350, 1.6208260),
    "Cu": (1.5405929, 1.5444274, 1.3922340),
    "Mo": (0.70931715, 0.713607, 0.632303),
    "Ag": (0.55942178, 0.5638131, 0.497082),
}
_SAME_ANODE = 3e-3  # relative: Kα1, Kα2 and their mean belong to one anode

W_L_ALPHA = (1.476311, 1.487521)
"""Tungsten Lα1, Lα2 in ångström (Deslattes et al. 2003; 8398.2, 8335.0 eV): filament metal on the anode."""
W_L_RATIO = 0.11  # of Lα2 to Lα1

_TABLE: dict[str, tuple[tuple[float, float], ...]] = {}
for _anode, (_a1, _a2, _b) in _K_LINES.items():
    _TABLE[f"{_anode}Ka"] = ((_a1, 1.0), (_a2, KALPHA2_RATIO))
    _TABLE[f"{_anode}Ka1"] = ((_a1, 1.0),)
    _TABLE[f"{_anode}Ka2"] = ((_a2, 1.0),)
    _TABLE[f"{_anode}Kb"] = ((_b, 1.0),)
_TABLE["WLa"] = ((W_L_ALPHA[0], 1.0), (W_L_ALPHA[1], W_L_RATIO))
RADIATIONS = MappingProxyType(_TABLE)
"""Name -> ((wavelength in ångström, weight), ...): ``CuKa`` is the doublet, ``CuKa1`` one line."""

# Hölzer et al., Phys. Rev. A 56 (1997) 4554, table II: energy eV, FWHM eV, integrated intensity
_CU_HOELZER = ((8047.837, 2.285, 0.579), (8045.367, 3.358, 0.080), (8027.993, 2.666, 0.236), (8026.504, 3.571, 0.105))
# Berger, X-Ray Spectrom. 15 (1986) 241, in ångström and milliångström: the fifth is the satellite group
_CU_BERGER = (
    (1.534753, 3.6854, 0.0159),
    (1.540596, 0.4370, 0.5791),
    (1.541058, 0.6000, 0.0762),
    (1.544410, 0.5200, 0.2417),
    (1.544721, 0.6200, 0.0871),
)


_ANODE_WORDS = {
    "Cu": "copper kupfer cuivre cobre rame", "Co": "cobalto cobalt kobalt", "Cr": "chromium chrome chrom cromo",
    "Mo": "molybdän molybdenum molybdène molibdeno", "Fe": "iron eisen ferro fer hierro",
    "Ag": "silver silber argento argent plata", "W": "tungsten wolfram",
}  # fmt: skip
"""What laboratories call the anodes, in lower case; of two words with one beginning the longer stands first."""


def _canonical(name: str) -> str:
    text = "".join(c for c in str(name) if c.isalnum())
    text = text.replace("α", "a").replace("β", "b")
    text = text.lower().replace("alpha", "a").replace("beta", "b").removesuffix("12")
    for anode, words in _ANODE_WORDS.items():
        if word := next((word for word in words.split() if text.startswith(word)), ""):
            text = anode.lower() + text.removeprefix(word)
    if text in {anode.lower() for anode in _K_LINES}:
        text += "ka"
    return {key.lower(): key for key in RADIATIONS}.get(text, "")


def emission_lines(name: str) -> tuple[tuple[float, float], ...]:
    """Wavelengths (Å) and weights relative to the strongest line of a radiation.

    Anode and line, ``"CuKa"`` (doublet), ``"CuKa1"``, ``"CuKb"``, likewise Cr, Fe, Co, Mo, Ag; ``"WLa"``. Also written
    ``"Cu"``, ``"copper"``, ``"Cu Kα"``, ``"cu k-alpha1"``. ValueError: an unknown name; the nearest is proposed.
    """
    key = _canonical(name)
    if not key:
        near = difflib.get_close_matches(str(name).lower(), [k.lower() for k in RADIATIONS], n=1, cutoff=0.4)
        proposal = [k for k in RADIATIONS if k.lower() in near]
        hint = f" Did you mean {proposal[0]!r}?" if proposal else ""
        msg = f"unknown radiation {name!r}.{hint} Known: {', '.join(RADIATIONS)}."
        raise ValueError(msg)
    return RADIATIONS[key]


def kbeta_wavelength(wavelength: float) -> float:
    """Mean Kβ wavelength (Å) of the anode whose Kα line is given; ValueError where none lies within 0.3 %."""
    for first, _, beta in _K_LINES.values():
        if abs(wavelength / first - 1.0) < _SAME_ANODE:
            return beta
    msg = f"{wavelength:g} Å is no Kα line of {', '.join(_K_LINES)}: its Kβ line is not known; give the wavelengths."
    raise ValueError(msg)


def residual_wavelengths(wavelength: float) -> tuple[float, ...]:
    """Return Kβ of the tube with this Kα1, where it is known, and tungsten's Lα1 and Lα2, ångström."""
    return (*kbeta_wavelengths(wavelength), *W_L_ALPHA)


def kbeta_wavelengths(wavelength: float) -> tuple[float, ...]:
    """Return Kβ (Å) of the tube with this Kα1; none of a synchrotron."""
    return tuple(beta for first, _, beta in _K_LINES.values() if abs(wavelength / first - 1.0) < _SAME_ANODE)


def fine_profile(name: str = "hoelzer") -> FloatArray:
    """Cu Kα emission profile as a sum of Lorentzians, for instruments that resolve its shape.

    "hoelzer": four lines (Hölzer et al., Phys. Rev. A 56 (1997) 4554); "berger": five with the satellite group at
    1.5348 Å (Berger, X-Ray Spectrom. 15 (1986) 241). Rows, strongest first: wavelength and full width at half maximum
    in ångström, share of the total (summing to 1).
    """
    if name == "hoelzer":
        energy, width, share = np.array(_CU_HOELZER).T
        wavelength = 1000.0 * HC_KEV_ANGSTROM / energy
        rows = np.column_stack([wavelength, wavelength * width / energy, share])
    elif name == "berger":
        rows = np.array(_CU_BERGER)
        rows[:, 1] *= 1e-3
    else:
        msg = f"unknown Cu Kα profile {name!r}; one of 'hoelzer', 'berger'."
        raise ValueError(msg)
    rows[:, 2] /= rows[:, 2].sum()
    ordered: FloatArray = rows[np.argsort(-rows[:, 2])]
    return ordered


def profile_top(rows: FloatArray) -> float:
    """Wavelength (Å) at which rows of `fine_profile` sum highest: what tables of wavelengths call the line."""
    centre, width = float(rows[0, 0]), float(rows[0, 1])
    for _ in range(3):
        grid = centre + width * np.linspace(-0.5, 0.5, 2001)
        offset = (grid[:, None] - rows[:, 0]) / rows[:, 1]
        centre = float(grid[np.argmax((rows[:, 2] / rows[:, 1] / (1.0 + 4.0 * offset**2)).sum(axis=1))])
        width *= 0.01
    return centre
