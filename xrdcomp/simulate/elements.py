"""What one atom scatters and absorbs: the simulator's own tables, shared with no other part of the package.

Coherent: f0 of International Tables C (1992) table 6.1.1.4 and the dispersion corrections of Cromer &
Liberman, both as gemmi gives them. Incoherent: S(x) = Σ aᵢ (1 − exp(−bᵢ x²)) with x = sinθ/λ, fitted for this
module to the tabulated incoherent scattering functions of Hubbell et al. (1975) as xraylib 4 returns them
(x ≤ 1.2 Å⁻¹; largest deviation 0.4 % for carbon, below 0.3 % otherwise; carbon at 0.3 Å⁻¹ is 3.64 electron
units). Attenuation: total cross sections per gram from xraylib 4 at the Kα energies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xrdcomp.errors import PhaseError
from xrdcomp.types import FloatArray
from xrdcomp.units import HC_KEV_ANGSTROM

__all__ = [
    "ANODES",
    "ComplexArray",
    "atomic_mass",
    "attenuation_cm2_g",
    "coherent_amplitude",
    "incoherent_intensity",
]

ComplexArray = npt.NDArray[np.complex128]

ANODES = ("Cu", "Co", "Mo", "Cr", "Ag", "Fe")

# element: (a1..a4), (b1..b4 in Å²)
_INCOHERENT: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "H": ((0.1326, 0.5391, 0.2997, 0.0286), (91.4433, 46.8777, 21.9769, 8.1566)),
    "B": ((0.3933, 2.3440, 0.3804, 1.7817), (142.2526, 39.8653, 12.5029, 1.7548)),
    "C": ((0.3667, 1.5095, 2.1270, 1.8431), (114.0680, 35.3042, 16.0068, 1.3117)),
    "N": ((0.5598, 2.3897, 1.9384, 1.8924), (77.4450, 26.9367, 10.5845, 1.0440)),
    "O": ((0.6355, 2.5266, 2.6272, 1.9122), (59.0120, 20.3443, 8.4102, 0.8720)),
    "F": ((0.6066, 2.3359, 3.6675, 1.9272), (50.0647, 17.7320, 7.1743, 0.8413)),
    "Na": ((0.9937, 1.2690, 5.1991, 2.5281), (304.5061, 20.2904, 5.7574, 1.2553)),
    "Mg": ((1.9564, 0.9124, 4.8903, 3.0653), (184.3986, 17.4698, 4.9115, 1.3277)),
    "Al": ((0.7834, 2.2329, 2.8708, 5.5704), (224.3129, 83.3579, 6.9473, 1.9488)),
    "Si": ((1.0607, 2.8754, 2.3517, 6.0724), (166.4813, 53.1531, 6.2688, 1.7411)),
    "P": ((1.3428, 3.4622, 1.9187, 6.5307), (132.9417, 34.3160, 6.0526, 1.5700)),
    "S": ((1.4867, 4.1272, 1.5678, 6.9501), (104.6994, 27.4233, 6.4610, 1.4351)),
    "Cl": ((1.6115, 4.6758, 1.5051, 7.2200), (85.9175, 22.3927, 7.2480, 1.3041)),
    "K": ((1.0091, 2.1536, 6.0916, 7.4701), (458.1781, 45.4600, 10.9873, 1.0942)),
    "Ca": ((1.9818, 2.1305, 6.2227, 7.4844), (299.4974, 35.4877, 8.6492, 0.9177)),
    "Ti": ((2.1041, 2.7445, 7.1099, 7.6319), (236.3684, 29.5728, 6.4583, 0.7841)),
    "Mn": ((2.1605, 3.1212, 7.9946, 8.1451), (186.8181, 24.2694, 4.8848, 0.8595)),
    "Fe": ((2.1563, 3.2704, 7.8801, 8.5804), (175.7346, 22.7042, 4.7243, 0.9478)),
    "Cu": ((1.1585, 3.4444, 6.1753, 12.4254), (183.4876, 28.5574, 5.8758, 1.3649)),
    "Zn": ((2.1115, 3.0526, 5.7100, 13.1462), (143.4722, 20.6655, 5.5576, 1.3050)),
    "Sr": ((1.9819, 2.4080, 8.2066, 16.8322), (356.9397, 50.3612, 9.8975, 1.0725)),
    "Zr": ((2.2795, 2.9658, 9.2133, 16.8905), (269.5184, 45.2256, 7.9514, 0.9156)),
    "Ba": ((2.0006, 2.2990, 10.4731, 24.6872), (451.3981, 75.0982, 14.4269, 1.2474)),
    "La": ((2.1573, 2.5433, 11.0276, 24.8284), (392.3099, 72.3596, 13.1607, 1.1611)),
}

# element: cm²/g at Kα of the anodes in the order of ANODES
_ATTENUATION: dict[str, tuple[float, ...]] = {
    "H": (0.3912, 0.3967, 0.3729, 0.4117, 0.3667, 0.4004),
    "B": (2.306, 3.584, 0.3671, 7.58, 0.2663, 4.546),
    "C": (4.495, 7.057, 0.5737, 14.98, 0.3723, 8.974),
    "N": (7.424, 11.67, 0.8406, 24.7, 0.5003, 14.84),
    "O": (11.42, 17.93, 1.215, 37.72, 0.6807, 22.76),
    "F": (15.73, 24.63, 1.624, 51.43, 0.8735, 31.2),
    "Na": (29.66, 46.09, 3.013, 94.77, 1.551, 58.11),
    "Mg": (39.89, 61.75, 4.068, 126, 2.07, 77.69),
    "Al": (49.46, 76.25, 5.084, 154.4, 2.569, 95.69),
    "Si": (63.59, 97.63, 6.604, 196.1, 3.323, 122.2),
    "P": (75.31, 115.1, 7.924, 229.7, 3.98, 143.8),
    "S": (93.08, 141.7, 9.929, 280.7, 4.985, 176.7),
    "Cl": (105.7, 160.3, 11.45, 315.3, 5.75, 199.4),
    "K": (144.5, 217.4, 16.12, 420.7, 8.128, 269.1),
    "Ca": (169.9, 254.1, 19.23, 489.8, 9.717, 313.7),
    "Ti": (199.3, 290.2, 23.28, 589.3, 11.82, 357.7),
    "Mn": (269.3, 391.8, 32.87, 97.38, 16.86, 61.46),
    "Fe": (301.1, 57.1, 37.41, 112.4, 19.25, 70.93),
    "Cu": (51.7, 77.82, 48.83, 152.9, 25.46, 96.66),
    "Zn": (57.79, 86.93, 53.71, 170.5, 28.04, 107.9),
    "Sr": (113.1, 169.2, 90.13, 328.1, 48.8, 209.3),
    "Zr": (133.5, 199.3, 16.25, 385.1, 55.51, 246.4),
    "Ba": (328.3, 479.2, 42.09, 565.7, 22.26, 585.1),
    "La": (347.4, 505.9, 44.67, 210.5, 23.64, 617),
}


def _known(element: str) -> None:
    if element not in _INCOHERENT:
        msg = (
            f"the simulator has no scattering table for element {element!r}; "
            f"it knows {', '.join(_INCOHERENT)}. Leave the phase out or replace the element."
        )
        raise PhaseError(msg)


def atomic_mass(element: str) -> float:
    """Standard atomic mass in dalton."""
    import gemmi

    _known(element)
    return float(gemmi.Element(element).weight)


def coherent_amplitude(element: str, s: FloatArray, wavelength: float) -> ComplexArray:
    """Complex amplitude f0(s) + f′ + i f″ of an atom, electrons.

    Parameters
    ----------
    element : str
    s : array, sinθ/λ in Å⁻¹
    wavelength : float, ångström
        Decides the dispersion corrections.

    Returns
    -------
    complex array of the shape of `s`
    """
    import gemmi

    _known(element)
    entry = gemmi.Element(element)
    table = entry.it92
    s2 = np.square(np.asarray(s, dtype=float))
    f0 = np.full(s2.shape, float(table.c))
    for a, b in zip(table.a, table.b, strict=True):
        f0 += a * np.exp(-b * s2)
    energy_ev = 1000.0 * HC_KEV_ANGSTROM / wavelength
    f_prime, f_second = gemmi.cromer_liberman(z=entry.atomic_number, energy=energy_ev)
    amplitude: ComplexArray = np.asarray(f0 + f_prime + 1j * f_second, dtype=np.complex128)
    return amplitude


def incoherent_intensity(element: str, s: FloatArray) -> FloatArray:
    """Compton scattering of an atom in electron units, S(s) = Σ a (1 − exp(−b s²)); s = sinθ/λ in Å⁻¹."""
    _known(element)
    weights, exponents = _INCOHERENT[element]
    s2 = np.square(np.asarray(s, dtype=float))
    total = np.zeros(s2.shape)
    for a, b in zip(weights, exponents, strict=True):
        total += a * -np.expm1(-b * s2)
    return total


def attenuation_cm2_g(element_mass_fractions: dict[str, float], anode: str) -> float:
    """Mass attenuation coefficient of a mixture at the anode's Kα energy, Σ wᵢ μᵢ/ρᵢ.

    Parameters
    ----------
    element_mass_fractions : dict, element symbol -> mass fraction
    anode : str, one of ``ANODES``

    Returns
    -------
    float, cm²/g
    """
    column = ANODES.index(anode)
    for element in element_mass_fractions:
        _known(element)
    return sum(w * _ATTENUATION[e][column] for e, w in element_mass_fractions.items())
