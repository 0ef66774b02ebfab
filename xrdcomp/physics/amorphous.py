"""Amorphous matter on the absolute per-gram scale: protein, lipid, water, calcium phosphate, polymers; holders.

The coherent part is the independent-atom scattering Σ |f0 + f' + i f"|² times a structure factor S(q) that tends to 1
at high q; the incoherent part is added. S(q) is a low-q suppression and Gaussian maxima and minima, fitted for each
material to what was measured or computed of it on the absolute scale, under the sum rule of the Faber-Ziman structure
factor, ∫ q² (S − 1) ⟨f²⟩/⟨f⟩² dq = −2π² ρ0 with ρ0 the number density of atoms: what interference takes away at low
angles comes back where it costs q², so that the area of a halo depends on where its first maximum lies. There is no
area common to all materials. Positions, widths and heights have stated uncertainties that the fit carries as modes,
because halos differ from specimen to specimen; modes leave the area alone, whose uncertainty is one of the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from xrdcomp.physics import elements
from xrdcomp.units import FloatArray

_FORM_STD = 0.1  # departure of a ring from a Gaussian, as a Hermite coefficient
_SMOOTH_CENTRES = (0.8, 1.4, 2.0, 2.6, 3.2, 3.8, 4.4)  # Å⁻¹
_SMOOTH_WIDTH = 0.3
_SMOOTH_STD = 0.1
AREA_WINDOW = (0.7, 4.1)
"""Å⁻¹, over which areas are compared: 10 to 60° with Cu Kα."""


@dataclass(frozen=True, kw_only=True)
class Ring:
    """A Gaussian maximum of S(q), or a minimum where `height` is negative; position and standard width in Å⁻¹.

    What has no uncertainty is not freed: neither position nor height beyond 4 Å⁻¹ matter to a pattern.
    """

    q: float
    width: float
    height: float
    q_std: float = 0.0
    height_std: float = 0.0
    width_relative_std: float = 0.15


@dataclass(frozen=True, kw_only=True)
class AmorphousComponent:
    """A non-crystalline material: number of `atoms` of each element per formula unit, `density` (g/cm³), and its S(q).

    S rises from `floor` to 1 around `q_core`, S = floor + (1 − floor) / (1 + exp(−(q − q_core)/core_width)), q in Å⁻¹,
    and the rings, first the main one, stand on it; the small-angle rise is left to the instrument background.
    `area_std` is the relative standard uncertainty of the scattering per gram, `floor_std` and `q_core_std` (Å⁻¹) those
    of the core.
    """

    name: str
    label: str
    atoms: Mapping[str, float]
    density: float
    area_std: float
    rings: tuple[Ring, ...]
    floor: float
    q_core: float
    core_width: float
    floor_std: float = 0.10
    q_core_std: float = 0.06


AMORPHOUS: Mapping[str, AmorphousComponent] = {
    # Liquid water: measured molecular form factors [Peplow & Verghese 1998 Phys. Med. Biol. 43, 2431] and, above
    # 1.7 Å⁻¹, the pair distribution functions of Soper 2013 (ISRN Phys. Chem. 279463) with the charge transfer of
    # Sorenson et al. 2000 (J. Chem. Phys. 113, 9149) with nearly equal weight; below they ring, and S stays at its
    # value at zero, 0.1 by the compressibility, up to 1.2 Å⁻¹. Areas over free atoms 0.80 and 0.81, here 0.79.
    "water": AmorphousComponent(
        name="water",
        label="water",
        atoms={"H": 2, "O": 1},
        density=0.997,
        area_std=0.03,
        rings=(
            Ring(q=2.083, width=0.279, height=0.485, q_std=0.03, height_std=0.10),
            Ring(q=2.937, width=0.348, height=0.676, q_std=0.05, height_std=0.06),
            Ring(q=3.384, width=0.483, height=-0.359, height_std=0.05),
            Ring(q=4.4, width=0.14, height=-0.042),
            Ring(q=5.962, width=0.465, height=-0.235),
        ),
        floor=0.107,
        q_core=1.633,
        core_width=0.116,
        floor_std=0.03,
    ),
    # Triglycerides: adipose tissue measured by Peplow & Verghese, its water and the Compton scattering they left (22 %
    # of the tabulated, judged by S = 1 at 5-10 Å⁻¹) taken off: area 1.33, S 3.5 at 1.45, 0.85 at 2.2, 1.4 at 3.0 Å⁻¹;
    # against Debye sums over melted chains of 17 carbons, whose pairs alone give 0.65, 0.96 and, with the first
    # neighbours', 0.5 at 2.2 Å⁻¹, area 1.2. The mean of both.
    "lipid": AmorphousComponent(
        name="lipid",
        label="lipid (triglyceride)",
        atoms={"C": 57, "H": 104, "O": 6},
        density=0.91,
        area_std=0.08,
        rings=(
            Ring(q=1.435, width=0.136, height=2.66, q_std=0.035, height_std=0.35),
            Ring(q=1.744, width=0.134, height=0.283, height_std=0.12),
            Ring(q=2.308, width=0.226, height=-0.32, q_std=0.06, height_std=0.18),
            Ring(q=3.021, width=0.293, height=0.364, q_std=0.06, height_std=0.12),
            Ring(q=4.038, width=0.588, height=-0.308, height_std=0.08),
            Ring(q=5.261, width=0.375, height=0.145),
            Ring(q=6.906, width=0.743, height=-0.227),
        ),
        floor=0.333,
        q_core=1.030,
        core_width=0.091,
    ),
    # Protein: first ring of collagen, keratin and globular proteins at 4.2-4.4 Å, S 1.6-1.85. Beyond it and below
    # 1.1 Å⁻¹ the mean of two views: bonds and angles shared with lipid (S 1.1 at 3.0, 0.4 at 0.85 Å⁻¹), and Debye sums
    # over packed polypeptides, stretched and coiled, with which measured dry proteins agree (0.8; 0.6 to 0.95). The
    # maximum of chains 10 to 11 Å apart may be nearly as high as the first ring in dry powders. Area between those of
    # Debye sums, 0.97, and of muscle less its water and fat, 1.0 to 1.12 [Peplow & Verghese 1998].
    "protein": AmorphousComponent(
        name="protein",
        label="protein (collagen)",
        atoms={"C": 65, "H": 102, "N": 18, "O": 21},
        density=1.35,
        area_std=0.08,
        rings=(
            Ring(q=1.485, width=0.212, height=0.756, q_std=0.055, height_std=0.15),
            Ring(q=2.412, width=0.278, height=-0.036, q_std=0.10, height_std=0.10),
            Ring(q=2.900, width=0.500, height=0.0, height_std=0.10),
            Ring(q=0.60, width=0.12, height=0.21, q_std=0.09, height_std=0.40),
            Ring(q=3.912, width=0.565, height=-0.183, height_std=0.08),
            Ring(q=5.310, width=0.275, height=0.104),
            Ring(q=6.4, width=0.6, height=-0.108),
        ),
        floor=0.28,
        q_core=0.970,
        core_width=0.20,
        floor_std=0.25,
        q_core_std=0.10,
    ),
    # Ca9(PO4)6 · 3 H2O: one measured pattern with a corundum spike gives 0.79 ± 0.1 of free atoms; maxima at 29-31 and
    # 45-50° with Cu Kα (remembered of Eanes & Posner, not looked up); P-O pairs at 1.53 Å
    # give the maximum at 5 Å⁻¹.
    "amorphous_calcium_phosphate": AmorphousComponent(
        name="amorphous_calcium_phosphate",
        label="amorphous calcium phosphate",
        atoms={"Ca": 9, "P": 6, "O": 27, "H": 6},
        density=2.3,
        area_std=0.20,
        rings=(
            Ring(q=2.133, width=0.196, height=1.232, q_std=0.055, height_std=0.25),
            Ring(q=2.810, width=0.222, height=-0.304, q_std=0.08, height_std=0.12),
            Ring(q=3.391, width=0.224, height=0.092, q_std=0.12, height_std=0.12),
            Ring(q=4.013, width=0.380, height=-0.345, height_std=0.10),
            Ring(q=5.006, width=0.353, height=0.270),
            Ring(q=6.292, width=0.594, height=-0.118),
        ),
        floor=0.203,
        q_core=1.644,
        core_width=0.200,
    ),
    # Poly(methyl methacrylate) as measured by Peplow & Verghese, with 8 % of the tabulated Compton scattering taken
    # off: area 1.24. Polycarbonate has its first ring at 1.2 Å⁻¹ and area 1.26.
    "polymer": AmorphousComponent(
        name="polymer",
        label="polymer (acrylic)",
        atoms={"C": 5, "H": 8, "O": 2},
        density=1.19,
        area_std=0.10,
        rings=(
            Ring(q=0.952, width=0.231, height=1.221, q_std=0.08, height_std=0.20),
            Ring(q=1.723, width=0.192, height=-0.231, q_std=0.08, height_std=0.12),
            Ring(q=2.159, width=0.217, height=0.288, q_std=0.10, height_std=0.15),
            Ring(q=2.971, width=0.174, height=0.266, q_std=0.10, height_std=0.12),
            Ring(q=4.123, width=0.772, height=-0.230, height_std=0.06),
            Ring(q=5.662, width=0.246, height=0.226),
            Ring(q=6.905, width=0.555, height=-0.151),
        ),
        floor=0.281,
        q_core=0.826,
        core_width=0.045,
    ),
}

FLATTER_PHOSPHATE = replace(
    AMORPHOUS["amorphous_calcium_phosphate"],
    rings=tuple(
        replace(ring, height={2.133: 0.47, 4.013: 0.025}.get(ring.q, ring.height))
        for ring in AMORPHOUS["amorphous_calcium_phosphate"].rings
    ),
)
"""Amorphous calcium phosphate with S 1.4 at the first maximum and 1.03 at 4 Å⁻¹, in place of 2.2 and 0.65, as molecular
dynamics of quenched Ca3(PO4)2 gives it (780 rigid ions of Pedone et al. 2006, 2.4 and 2.8 g/cm³, no water)."""


def _core(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-(q - component.q_core) / component.core_width)))


def _bell(ring: Ring, q: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * ((q - ring.q) / ring.width) ** 2))


def structure_factor(component: AmorphousComponent, q: FloatArray) -> FloatArray:
    """S(q) of a component, q in Å⁻¹; tends to 1 at high q."""
    total = component.floor + (1.0 - component.floor) * _core(component, q)
    for ring in component.rings:
        total = total + ring.height * _bell(ring, q)
    return np.asarray(total)


def area_over_free_atoms(component: AmorphousComponent, wavelength: float) -> float:
    """Coherent scattering between 0.7 and 4.1 Å⁻¹ over that of free atoms."""
    grid = np.linspace(*AREA_WINDOW, 400)
    free = elements.coherent_per_gram(elements.mass_fractions_of(component.atoms), grid, wavelength)
    return float(free @ structure_factor(component, grid) / free.sum())


class HaloColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Scattering of one gram of a component in electron units × mol/g, and its changes by the shape of S(q).

    `per_gram` is the coherent scattering times S(q) plus the `incoherent` one, both (n,). `modes`, (n, k), deform the
    halo of one gram by one standard deviation of each shape parameter: of the main ring position, width, skewness,
    peakedness and height; of other rings position and height where they are uncertain; floor and position of the low-q
    core. What a mode adds between 0.7 and 4.1 Å⁻¹ it takes from the whole: the area has its own uncertainty.
    """

    per_gram: FloatArray
    incoherent: FloatArray
    modes: FloatArray


def halo_columns(component: AmorphousComponent, q: FloatArray, wavelength: float) -> HaloColumns:
    """Columns that a fit needs of a component at q, (n,) in Å⁻¹, with f' and f" of a wavelength (Å)."""
    w = elements.mass_fractions_of(component.atoms)
    coherent, incoherent = elements.coherent_per_gram(w, q, wavelength), elements.incoherent_per_gram(w, q)
    grid = np.linspace(*AREA_WINDOW, 400)
    weight = elements.coherent_per_gram(w, grid, wavelength)
    s = structure_factor(component, q)
    area = float(weight @ structure_factor(component, grid))
    added = [float(weight @ mode) / area for mode in _deformations(component, grid)]
    modes = np.stack(_deformations(component, q), axis=1) - s[:, None] * added
    return HaloColumns(per_gram=coherent * s + incoherent, incoherent=incoherent, modes=coherent[:, None] * modes)


def change_of_form(
    component: AmorphousComponent, other: AmorphousComponent, q: FloatArray, wavelength: float
) -> FloatArray:
    """What a gram of a component scatters more or less, (n,), with the S(q) of another one and its own area.

    Units and arguments as of `halo_columns`.
    """
    w, grid = elements.mass_fractions_of(component.atoms), np.linspace(*AREA_WINDOW, 400)
    weight = elements.coherent_per_gram(w, grid, wavelength)
    ratio = float(weight @ structure_factor(component, grid)) / float(weight @ structure_factor(other, grid))
    change = ratio * structure_factor(other, q) - structure_factor(component, q)
    return np.asarray(elements.coherent_per_gram(w, q, wavelength) * change, dtype=np.float64)


def _deformations(component: AmorphousComponent, q: FloatArray) -> list[FloatArray]:
    """Changes of S(q) by one standard deviation of each shape parameter, (n,) each, in the order of `HaloColumns`."""
    out = []
    for ring in component.rings:
        shape, u = _bell(ring, q), (q - ring.q) / ring.width
        bell = ring.height * shape
        if ring.q_std:
            out.append(bell * u / ring.width * ring.q_std)
        if ring is component.rings[0]:
            out.append(bell * u**2 * ring.width_relative_std)
            # third and fourth Hermite function: one flank steeper than the other; longer tails and a sharper top
            out.append(_FORM_STD / np.sqrt(6.0) * bell * (u**3 - 3.0 * u))
            out.append(_FORM_STD / np.sqrt(24.0) * bell * (u**4 - 6.0 * u**2 + 3.0))
        if ring.height_std:
            out.append(shape * ring.height_std)
    core = _core(component, q)
    out.append(component.floor_std * (1.0 - core))
    out.append((1.0 - component.floor) * core * (1.0 - core) / component.core_width * component.q_core_std)
    return out


def smooth_modes(q: FloatArray, wavelength: float) -> FloatArray:
    """Deformations of S(q) that all amorphous components share, per gram of organic matter: (n, 7).

    Gaussians of 0.3 Å⁻¹ standard width every 0.6 Å⁻¹, one standard deviation being 0.1 in S, less what they add to the
    area.
    """
    protein = AMORPHOUS["protein"]
    w, grid = elements.mass_fractions_of(protein.atoms), np.linspace(*AREA_WINDOW, 400)
    weight = elements.coherent_per_gram(w, grid, wavelength)
    s, area = structure_factor(protein, q), float(weight @ structure_factor(protein, grid))
    out = []
    for centre in _SMOOTH_CENTRES:
        ring = Ring(q=centre, width=_SMOOTH_WIDTH, height=1.0)
        out.append(_bell(ring, q) - s * float(weight @ _bell(ring, grid)) / area)
    return np.asarray(_SMOOTH_STD * elements.coherent_per_gram(w, q, wavelength)[:, None] * np.stack(out, axis=1))


COPPER = 1.541838
"""Mean Cu Kα in ångström, for which the angles are given."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A holder material and its broad maxima: (2θ for Cu Kα, FWHM, relative height) in degrees."""

    name: str
    humps: tuple[tuple[float, float, float], ...]
    advice: str


ACRYLIC = "PMMA"
HOLDERS = (
    Holder(name="glass", humps=((26.1, 12.0, 1.0),), advice="its maximum lies under the water halo and beside 002"),
    Holder(
        name=ACRYLIC,
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
