"""X-ray emission lines of laboratory tubes."""

from __future__ import annotations

import difflib
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from xrdcomp.units import HC_KEV_ANGSTROM

__all__ = [
    "RADIATIONS",
    "emission_lines",
    "fine_profile",
    "kbeta_absorber_edge",
    "kbeta_wavelength",
    "profile_top",
]

FloatArray = npt.NDArray[np.float64]

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
KALPHA2_RATIO = 0.5
"""Integrated Kα2 over Kα1: statistical weight; measured 0.51 to 0.52 for Cr to Cu (Hölzer et al. 1997)."""

W_L_ALPHA = (1.476311, 1.487521)
"""Tungsten Lα1, Lα2 in ångström (Deslattes et al. 2003; 8398.2, 8335.0 eV): filament metal on the anode."""

_TABLE: dict[str, tuple[tuple[float, float], ...]] = {}
for _anode, (_a1, _a2, _b) in _K_LINES.items():
    _TABLE[f"{_anode}Ka"] = ((_a1, 1.0), (_a2, KALPHA2_RATIO))
    _TABLE[f"{_anode}Ka1"] = ((_a1, 1.0),)
    _TABLE[f"{_anode}Ka2"] = ((_a2, 1.0),)
    _TABLE[f"{_anode}Kb"] = ((_b, 1.0),)
_TABLE["WLa"] = ((W_L_ALPHA[0], 1.0), (W_L_ALPHA[1], 0.11))
RADIATIONS = MappingProxyType(_TABLE)
"""Name -> ((wavelength in ångström, weight), ...): ``CuKa`` is the doublet, ``CuKa1`` one line."""

# Hölzer et al., Phys. Rev. A 56 (1997) 4554, table II: energy eV, FWHM eV, integrated intensity
_CU_HOELZER = (
    (8047.837, 2.285, 0.579),
    (8045.367, 3.358, 0.080),
    (8027.993, 2.666, 0.236),
    (8026.504, 3.571, 0.105),
)
# Berger, X-Ray Spectrom. 15 (1986) 241, in ångström and milliångström: the fifth is the satellite group
_CU_BERGER = (
    (1.534753, 3.6854, 0.0159),
    (1.540596, 0.4370, 0.5791),
    (1.541058, 0.6000, 0.0762),
    (1.544410, 0.5200, 0.2417),
    (1.544721, 0.6200, 0.0871),
)


def _canonical(name: str) -> str:
    text = "".join(c for c in str(name) if c.isalnum())
    text = text.replace("α", "a").replace("β", "b")
    text = text.lower().replace("alpha", "a").replace("beta", "b").removesuffix("12")
    if text in {anode.lower() for anode in _K_LINES}:
        text += "ka"
    return {key.lower(): key for key in RADIATIONS}.get(text, "")


def emission_lines(name: str) -> tuple[tuple[float, float], ...]:
    """Wavelengths and weights of a radiation by name.

    Parameters
    ----------
    name : str
        Anode and line: ``"CuKa"`` (doublet), ``"CuKa1"``, ``"CuKb"``, likewise Cr, Fe, Co, Mo, Ag; ``"WLa"``.
        Also written ``"Cu"``, ``"Cu Kα"``, ``"cu k-alpha1"``.

    Returns
    -------
    tuple of (wavelength in ångström, weight relative to the strongest line)

    Raises
    ------
    ValueError
        Unknown name; the message proposes the nearest.

    Examples
    --------
    >>> emission_lines("Cu Kα")
    ((1.5405929, 1.0), (1.5444274, 0.5))
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
    """Mean Kβ wavelength of the anode whose Kα line is given, ångström.

    Raises
    ------
    ValueError
        No tabulated Kα line lies within 0.3 %.

    Examples
    --------
    >>> kbeta_wavelength(1.5418)
    1.392234
    """
    for first, _, beta in _K_LINES.values():
        if abs(wavelength / first - 1.0) < 3e-3:
            return beta
    msg = f"{wavelength:g} Å is no Kα line of {', '.join(_K_LINES)}: its Kβ line is not known; give the wavelengths."
    raise ValueError(msg)


def fine_profile(name: str = "hoelzer") -> FloatArray:
    """Cu Kα emission profile as a sum of Lorentzians, for instruments that resolve its shape.

    Parameters
    ----------
    name : {"hoelzer", "berger"}
        Four lines (Hölzer et al., Phys. Rev. A 56 (1997) 4554), or five with the satellite group at
        1.5348 Å (Berger, X-Ray Spectrom. 15 (1986) 241).

    Returns
    -------
    (n, 3) array
        Wavelength in ångström, full width at half maximum in ångström, share of the total (summing to 1);
        strongest line first.

    Raises
    ------
    ValueError
        Unknown name.
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
    """Wavelength at which a sum of Lorentzians is highest: what tables of wavelengths call the line, ångström.

    Parameters
    ----------
    rows : (n, 3) array
        As `fine_profile` returns them, strongest line first.
    """
    centre, width = float(rows[0, 0]), float(rows[0, 1])
    for _ in range(3):
        grid = centre + width * np.linspace(-0.5, 0.5, 2001)
        offset = (grid[:, None] - rows[:, 0]) / rows[:, 1]
        centre = float(grid[np.argmax((rows[:, 2] / rows[:, 1] / (1.0 + 4.0 * offset**2)).sum(axis=1))])
        width *= 0.01
    return centre


# K edges of the usual beta filters, ångström (Deslattes et al. 2003; Mo and Ag: Zr and Rh)
_FILTERS: dict[str, tuple[str, float]] = {
    "Cr": ("V", 2.269211),
    "Fe": ("Mn", 1.896459),
    "Co": ("Fe", 1.743617),
    "Cu": ("Ni", 1.488140),
    "Mo": ("Zr", 0.688959),
    "Ag": ("Rh", 0.533951),
}


def kbeta_absorber_edge(anode: str) -> tuple[str, float]:
    """Usual Kβ filter of an anode and its K absorption edge in ångström: a step in the background's tails.

    Raises
    ------
    ValueError
        Anode without a usual filter.

    Examples
    --------
    >>> kbeta_absorber_edge("Cu")
    ('Ni', 1.48814)
    """
    if anode not in _FILTERS:
        msg = f"no Kβ filter is known for anode {anode!r}; known: {', '.join(_FILTERS)}."
        raise ValueError(msg)
    return _FILTERS[anode]
