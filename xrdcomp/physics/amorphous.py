"""Amorphous matter on the absolute per-gram scale: protein, lipid, water, calcium phosphate, holders.

The coherent part is the independent-atom scattering Σ f² times a structure factor S(q) that tends to 1 at high
q; the incoherent part is added. S(q) is a low-q suppression and a few Gaussian rings whose positions are those
of the literature (collagen and protein: diffuse ring at 4.2-4.6 Å and interchain packing near 11 Å; lipid acyl
chains: 4.5-4.6 Å; liquid water: 3.1 Å with a second ring near 2.2 Å; amorphous calcium phosphate: 2.9-3.1 Å and
a second ring near 1.9 Å). Heights follow from a sum rule: between 0.7 and 4.1 Å⁻¹ the coherent scattering is
1.00 to 1.04 times that of free atoms, as measured humic acid, peat, kerogen and liquid water have it.
Positions, widths and heights have stated uncertainties that the fit carries as nuisance columns, because real
halos differ from specimen to specimen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from xrdcomp.physics import elements
from xrdcomp.units import FloatArray

_FORM_STD = 0.1  # departure of a ring from a Gaussian, as a Hermite coefficient
_SMOOTH_CENTRES = (0.8, 1.4, 2.0, 2.6, 3.2, 3.8, 4.4)  # Å⁻¹
_SMOOTH_WIDTH = 0.3
_SMOOTH_STD = 0.1
_AREA_WINDOW = (0.7, 4.1)  # Å⁻¹: 10 to 60° with Cu Kα


@dataclass(frozen=True, kw_only=True)
class Ring:
    """One Gaussian ring of S(q): position and standard width in Å⁻¹, height above 1, and their uncertainties."""

    q: float
    width: float
    height: float
    q_std: float
    width_relative_std: float = 0.19
    height_relative_std: float = 0.19


@dataclass(frozen=True, kw_only=True)
class AmorphousComponent:
    """A non-crystalline material: number of `atoms` of each element per formula unit, and its S(q).

    S rises from `floor` to 1 around `q_core`, S = floor + (1 − floor) / (1 + exp(−(q − q_core)/core_width)), q in Å⁻¹,
    and the rings stand on it; the small-angle rise is left to the instrument background.
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
            Ring(q=1.494, width=0.238, height=1.074, q_std=0.055),
            Ring(q=2.92, width=0.36, height=0.107, q_std=0.15, height_relative_std=0.8),
            Ring(q=0.57, width=0.08, height=0.20, q_std=0.09, height_relative_std=0.8),
        ),
        floor=0.15,
        q_core=1.28,
        core_width=0.178,
    ),
    "lipid": AmorphousComponent(
        name="lipid",
        label="lipid (triglyceride)",
        atoms={"C": 57, "H": 104, "O": 6},
        rings=(
            Ring(q=1.385, width=0.179, height=1.361, q_std=0.05),
            Ring(q=2.92, width=0.27, height=0.109, q_std=0.15, height_relative_std=0.8),
        ),
        floor=0.10,
        q_core=1.224,
        core_width=0.134,
    ),
    "water": AmorphousComponent(
        name="water",
        label="water",
        atoms={"H": 2, "O": 1},
        rings=(
            Ring(q=2.011, width=0.293, height=1.459, q_std=0.055),
            Ring(q=2.89, width=0.44, height=0.321, q_std=0.12, height_relative_std=0.8),
        ),
        floor=0.08,
        q_core=1.747,
        core_width=0.22,
    ),
    "amorphous_calcium_phosphate": AmorphousComponent(
        name="amorphous_calcium_phosphate",
        label="amorphous calcium phosphate",
        atoms={"Ca": 9, "P": 6, "O": 27, "H": 6},
        rings=(
            Ring(q=2.12, width=0.204, height=2.216, q_std=0.055, height_relative_std=0.3),
            Ring(q=3.253, width=0.307, height=0.487, q_std=0.15, height_relative_std=0.8),
        ),
        floor=0.20,
        q_core=1.936,
        core_width=0.153,
    ),
}


def _core(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-(q - component.q_core) / component.core_width)))


def _bell(ring: Ring, q: FloatArray) -> FloatArray:
    return np.asarray(ring.height * np.exp(-0.5 * ((q - ring.q) / ring.width) ** 2))


def structure_factor(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    """S(q) of a component, q in Å⁻¹; tends to 1 at high q."""
    total = component.floor + (1.0 - component.floor) / (1.0 + np.exp(-(q - component.q_core) / component.core_width))
    for ring in component.rings:
        total = total + _bell(ring, q)
    return np.asarray(total)


@dataclass(frozen=True, kw_only=True)
class HaloColumns:
    """Scattering of one gram of a component in electron units × mol/g, and its changes by the shape of S(q).

    `per_gram` is the coherent scattering times S(q) plus the `incoherent` one, both (n,). `modes`, (n, k), deform the
    halo of one gram by one standard deviation of each shape parameter. Main ring: position, width, skewness,
    peakedness, height; other rings: position and height; low-q core: floor and position. All but the height of the main
    ring leave the scattering between 0.7 and 4.1 Å⁻¹ unchanged, because what interference takes away at low angles it
    puts into the rings: the area per gram is known better than the shape.
    """

    per_gram: FloatArray
    incoherent: FloatArray
    modes: FloatArray


def halo_columns(component: AmorphousComponent, q: FloatArray) -> HaloColumns:
    """Columns that a fit needs of a component at q, (n,) in Å⁻¹."""
    w = elements.mass_fractions_of(component.atoms)
    coherent, incoherent = elements.coherent_per_gram(w, q), elements.incoherent_per_gram(w, q)
    # Each deformation gives or takes as much of the main ring as keeps its area in the window at zero.
    grid = np.linspace(*_AREA_WINDOW, 400)
    weight = elements.coherent_per_gram(w, grid)
    main = component.rings[0]
    bell, area = _bell(main, q), float(weight @ _bell(main, grid))
    added = [float(weight @ mode) / area for mode in _deformations(component, grid)]
    modes = np.stack(_deformations(component, q), axis=1) - bell[:, None] * added
    modes[:, 4] = bell * main.height_relative_std
    return HaloColumns(
        per_gram=coherent * structure_factor(component, q) + incoherent,
        incoherent=incoherent,
        modes=coherent[:, None] * modes,
    )


def _deformations(component: AmorphousComponent, q: FloatArray) -> list[FloatArray]:
    """Changes of S(q) by one standard deviation of each shape parameter, (n,) each, in the order of `HaloColumns`."""
    out = []
    for ring in component.rings:
        bell, u = _bell(ring, q), (q - ring.q) / ring.width
        out.append(bell * (q - ring.q) / ring.width**2 * ring.q_std)
        if ring is component.rings[0]:
            out.append(bell * u**2 * ring.width_relative_std)
            # third and fourth Hermite function: one flank steeper than the other; longer tails and a sharper top
            out.append(_FORM_STD / np.sqrt(6.0) * bell * (u**3 - 3.0 * u))
            out.append(_FORM_STD / np.sqrt(24.0) * bell * (u**4 - 6.0 * u**2 + 3.0))
        out.append(bell * ring.height_relative_std)
    core = _core(component, q)
    out.append(0.15 * (1.0 - core))
    out.append((1.0 - component.floor) * core * (1.0 - core) / component.core_width * 0.10)
    return out


def smooth_modes(q: FloatArray) -> FloatArray:
    """Deformations of S(q) that all amorphous components share, per gram of organic matter: (n, 7).

    Gaussians of 0.3 Å⁻¹ standard width every 0.6 Å⁻¹, one standard deviation being 0.1 in S.
    """
    coherent = elements.coherent_per_gram(elements.mass_fractions_of(AMORPHOUS["protein"].atoms), q)
    bells = [np.exp(-0.5 * ((q - centre) / _SMOOTH_WIDTH) ** 2) for centre in _SMOOTH_CENTRES]
    return np.asarray(_SMOOTH_STD * coherent[:, None] * np.stack(bells, axis=1))


COPPER = 1.541838
"""Mean Cu Kα in ångström, for which the angles are given."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A holder material and its broad maxima: (2θ for Cu Kα, FWHM, relative height) in degrees."""

    name: str
    humps: tuple[tuple[float, float, float], ...]
    advice: str


HOLDERS = (
    Holder(name="glass", humps=((26.1, 12.0, 1.0),), advice="its maximum lies under the water halo and beside 002"),
    Holder(
        name="PMMA",
        humps=((13.8, 5.0, 1.0), (30.9, 6.0, 0.4), (42.3, 6.0, 0.2)),
        advice="its 30.9° maximum lies under the apatite triplet and mimics amorphous calcium phosphate",
    ),
    Holder(
        name="Kapton",
        humps=((5.5, 1.5, 0.6), (20.5, 10.0, 1.0)),
        advice="its broad maximum lies under the organic halo",
    ),
)
"""Glass: maximum 26.1°, half height 19.5-32°; PMMA 13.8, 30.9, 42.3° (measured empty holders); Kapton 5.5° and
15-26°."""


@dataclass(frozen=True, kw_only=True)
class HolderMatch:
    """The holder that a pattern shows best: `gain` is the fall of χ² with it, `height` that of its highest maximum."""

    holder: Holder
    gain: float
    height: float


def best_holder(
    two_theta: FloatArray, wavelength: float, improve: Callable[[FloatArray], tuple[float, float]]
) -> HolderMatch | None:
    """Find the holder whose broad maxima explain most; None where none has a maximum of note inside the scan.

    `improve` fits a shape (n,) beside whatever else is there, not negative, and returns the fall of χ² and the shape's
    coefficient. Whether the holder shows is for the caller to judge, who knows the noise.
    """
    best: HolderMatch | None = None
    for holder in HOLDERS:
        shape, seen = (np.zeros_like(two_theta), False)  # sum of the maxima; whether one of note is inside the scan
        for position, fwhm, height in holder.humps:
            sine = np.sin(np.radians(position / 2.0)) * wavelength / COPPER
            if not sine < 1.0:
                continue
            centre = 2.0 * float(np.degrees(np.arcsin(sine)))
            scale = centre / position
            shape += height * np.exp(-4.0 * np.log(2.0) * ((two_theta - centre) / (fwhm * scale)) ** 2)
            seen = seen or (two_theta[0] < centre < two_theta[-1] and height >= 0.4)
        if not seen:
            continue
        gain, coefficient = improve(shape)
        if best is None or gain > best.gain:
            best = HolderMatch(holder=holder, gain=gain, height=coefficient * float(shape.max()))
    return best
