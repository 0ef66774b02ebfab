"""What crystalline phases other than apatite lose on heating, as mass fractions of the phase.

Each entry splits the loss over the three windows of a thermogravimetric balance: water (below about 220 °C),
organic (220 to 600 °C) and carbonate (600 to about 950 °C). The figures are stoichiometric, from molar masses
(IUPAC 2021: H 1.008, C 12.011, N 14.007, O 15.999, Na 22.990, Mg 24.305, P 30.974, S 32.06, Cl 35.45,
K 39.098, Ca 40.078).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from xrdcomp.types import FloatArray

__all__ = ["CO2_PER_CARBONATE", "SALTS", "carbonate_share", "mixed_losses"]

CO2_PER_CARBONATE = 44.009 / 60.008
"""Mass of CO2 that leaves per mass of CO3."""

SALTS = frozenset({"halite", "sylvite"})
"""Chlorides that stay below about 800 °C and evaporate above."""

_LOSSES: Mapping[str, tuple[float, float, float]] = {
    # CaCO3 -> CaO + CO2
    "calcite": (0.0, 0.0, 0.4397),
    "aragonite": (0.0, 0.0, 0.4397),
    "vaterite": (0.0, 0.0, 0.4397),
    # CaC2O4·nH2O: water, CO near 480 °C, CO2 near 680 °C
    "whewellite": (0.1233, 0.1917, 0.3012),
    "weddellite": (0.2195, 0.1707, 0.2681),
    # CaHPO4·2H2O: crystal water, then 2 HPO4 -> P2O7 + H2O
    "brushite": (0.2094, 0.0523, 0.0),
    "monetite": (0.0, 0.0662, 0.0),
    # Ca8H2(PO4)6·5H2O
    "octacalcium_phosphate": (0.0917, 0.0183, 0.0),
    "gypsum": (0.2093, 0.0, 0.0),
    # MgNH4PO4·6H2O -> MgHPO4 below 220 °C, then ½ Mg2P2O7
    "struvite": (0.5099, 0.0367, 0.0),
    "newberyite": (0.3100, 0.0517, 0.0),
    "cppd_triclinic": (0.1242, 0.0, 0.0),
    "cppd_monoclinic": (0.1242, 0.0, 0.0),
    "portlandite": (0.0, 0.2431, 0.0),
    "brucite": (0.0, 0.3089, 0.0),
    # crystals that burn
    "uric_acid": (0.0, 1.0, 0.0),
    "cystine": (0.0, 1.0, 0.0),
    "cholesterol_monohydrate": (0.0445, 0.9555, 0.0),
    # NaC5H3N4O3·H2O: water, then the ring; sodium stays as carbonate
    "monosodium_urate": (0.0866, 0.6587, 0.0),
}

_NONE: Mapping[str, float] = MappingProxyType({})
_CARBONATE_PHASES: Mapping[str, float] = dict.fromkeys(("calcite", "aragonite", "vaterite"), 60.008 / 100.086)


def carbonate_share(masses: Mapping[str, float], carbonate: Mapping[str, float] = _NONE) -> float:
    """Mass of CO3 per mass of a mixture of phases; oxalate is not carbonate.

    Parameters
    ----------
    masses : mapping from phase id to relative mass
        Negative entries count as absent.
    carbonate : mapping from phase id to mass fraction
        CO3 in phases from outside the library.
    """
    total = sum(max(mass, 0.0) for mass in masses.values())
    held = sum(
        max(mass, 0.0) * _CARBONATE_PHASES.get(name, carbonate.get(name, 0.0))
        for name, mass in masses.items()
    )
    return held / total if total > 0 else 0.0


def mixed_losses(masses: Mapping[str, float], carbonate: Mapping[str, float] = _NONE) -> FloatArray:
    """Losses of a mixture of phases, (3,): water, organic, carbonate windows; zero where nothing is there.

    Parameters
    ----------
    masses : mapping from phase id to relative mass
        Negative entries count as absent; a phase without listed losses is taken to stay.
    carbonate : mapping from phase id to mass fraction
        CO3 in phases from outside the library, whose CO2 leaves in the carbonate window.
    """
    total = sum(max(mass, 0.0) for mass in masses.values())
    mixed = np.zeros(3)
    if total > 0:
        for phase_id, mass in masses.items():
            own = (0.0, 0.0, CO2_PER_CARBONATE * carbonate.get(phase_id, 0.0))
            mixed += max(mass, 0.0) / total * np.array(_LOSSES.get(phase_id, own))
    return mixed
