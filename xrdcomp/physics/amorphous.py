"""Amorphous components on the absolute per-gram scale: protein, lipid, water, amorphous calcium phosphate.

The coherent part is the independent-atom scattering Σ f² times a structure factor S(q) that tends to 1 at high
q; the incoherent part is added. S(q) is a low-q suppression and a few Gaussian rings whose positions are those
of the literature (collagen and protein: diffuse ring at 4.2-4.6 Å and interchain packing near 11 Å; lipid acyl
chains: 4.5-4.6 Å; liquid water: 3.1 Å with a second ring near 2.2 Å; amorphous calcium phosphate: 2.9-3.1 Å and
a second ring near 1.9 Å). Positions, widths and heights have stated uncertainties that the fit carries as
nuisance columns, because real halos differ from specimen to specimen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xrdcomp.physics import scattering

__all__ = [
    "AMORPHOUS",
    "AmorphousComponent",
    "Ring",
    "mass_fractions",
    "scattering_per_gram",
    "shape_modes",
    "structure_factor",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Ring:
    """One Gaussian ring of S(q): position and standard width in Å⁻¹, height above 1, and their uncertainties."""

    q: float
    width: float
    height: float
    q_std: float
    width_relative_std: float = 0.15
    height_relative_std: float = 0.25


@dataclass(frozen=True, kw_only=True)
class AmorphousComponent:
    """A non-crystalline material.

    Attributes
    ----------
    atoms : mapping
        Element → number of atoms per formula unit.
    rings : tuple of Ring
    floor : float
        S(q → 0); the small-angle rise is left to the instrument background.
    q_core, core_width : float, Å⁻¹
        S rises from `floor` to 1 around q_core: S = floor + (1 − floor) / (1 + exp(−(q − q_core)/core_width)).
    """

    name: str
    label: str
    atoms: Mapping[str, float]
    rings: tuple[Ring, ...]
    floor: float = 0.3
    q_core: float = 1.0
    core_width: float = 0.2


AMORPHOUS: Mapping[str, AmorphousComponent] = {
    "protein": AmorphousComponent(
        name="protein",
        label="protein (collagen)",
        atoms={"C": 65, "H": 102, "N": 18, "O": 21},
        rings=(
            Ring(q=1.44, width=0.24, height=1.1, q_std=0.05),
            Ring(q=0.57, width=0.10, height=0.3, q_std=0.06, height_relative_std=0.8),
        ),
    ),
    "lipid": AmorphousComponent(
        name="lipid",
        label="lipid (triglyceride)",
        atoms={"C": 57, "H": 104, "O": 6},
        rings=(Ring(q=1.38, width=0.15, height=2.0, q_std=0.03),),
    ),
    "water": AmorphousComponent(
        name="water",
        label="water",
        atoms={"H": 2, "O": 1},
        rings=(
            Ring(q=2.02, width=0.30, height=0.75, q_std=0.04),
            Ring(q=2.93, width=0.28, height=0.20, q_std=0.06),
        ),
        q_core=1.45,
    ),
    "amorphous_calcium_phosphate": AmorphousComponent(
        name="amorphous_calcium_phosphate",
        label="amorphous calcium phosphate",
        atoms={"Ca": 9, "P": 6, "O": 27, "H": 6},
        rings=(
            Ring(q=2.13, width=0.20, height=1.0, q_std=0.04),
            Ring(q=3.25, width=0.30, height=0.25, q_std=0.08),
        ),
        q_core=1.45,
        core_width=0.25,
    ),
}


def mass_fractions(atoms: Mapping[str, float]) -> dict[str, float]:
    """Mass fraction of each element from atom counts."""
    masses = {element: count * scattering.atomic_weight(element) for element, count in atoms.items()}
    total = sum(masses.values())
    return {element: mass / total for element, mass in masses.items()}


def structure_factor(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    """S(q) of a component; tends to 1 at high q.

    Parameters
    ----------
    q : (n,) array, Å⁻¹
    """
    total = component.floor + (1.0 - component.floor) / (
        1.0 + np.exp(-(q - component.q_core) / component.core_width)
    )
    for ring in component.rings:
        total = total + ring.height * np.exp(-0.5 * ((q - ring.q) / ring.width) ** 2)
    return np.asarray(total)


def scattering_per_gram(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    """Coherent times S(q) plus incoherent scattering of one gram, electron units × mol/g."""
    w = mass_fractions(component.atoms)
    coherent = scattering.coherent_per_gram(w, q) * structure_factor(component, q)
    return np.asarray(coherent + scattering.incoherent_per_gram(w, q))


def shape_modes(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    """Columns that deform the halo of one gram by one standard deviation of each shape parameter.

    Returns
    -------
    (n, k) array
        Ring position, width and height of every ring, and the height of the low-q core.
    """
    coherent = scattering.coherent_per_gram(mass_fractions(component.atoms), q)
    modes = []
    for ring in component.rings:
        u = (q - ring.q) / ring.width
        bell = ring.height * np.exp(-0.5 * u**2)
        modes.append(bell * u / ring.width * ring.q_std)
        modes.append(bell * u**2 * ring.width_relative_std)
        modes.append(bell * ring.height_relative_std)
    core = 1.0 / (1.0 + np.exp(-(q - component.q_core) / component.core_width))
    modes.append(0.25 * (1.0 - core))
    modes.append((1.0 - component.floor) * core * (1.0 - core) / component.core_width * 0.1)
    return coherent[:, None] * np.stack(modes, axis=1)
