"""Populations of specimens and of laboratories, for calibration studies.

`draw_specimen` draws compositions, `vary_character` gives a specimen halos, crystallites and kinetics that need
not be what an analysis assumes, `vary_conditions` draws a laboratory. Each takes a numpy Generator and nothing
else that is random.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.amorphous import AmorphousMaterial
from xrdcomp.simulate.conditions import TgaConditions, XrdConditions
from xrdcomp.simulate.model import ApatiteModel, SpecimenModel
from xrdcomp.simulate.reactions import LIPID, PROTEIN, OrganicKinetics, Step, vary_steps
from xrdcomp.types import Atmosphere, Cell

__all__ = ["SpecimenKind", "draw_specimen", "tissue", "vary_character", "vary_conditions"]

SpecimenKind = Literal["broad", "solid", "fluid", "bone", "dentine", "enamel"]
Tissue = Literal["bone", "dentine", "enamel"]

# mineral / organic / water, CO3 of the whole, cell (Dorozhkin 2011, table 2), column lengths c and a in nm
# (bone: 20–32 along c and 8–10 across, Foley 2020; dentine alike; enamel long and thick)
_TISSUES: dict[str, tuple[float, float, float, float, tuple[float, float], tuple[float, float]]] = {
    "bone": (0.65, 0.25, 0.10, 0.074, (9.41, 6.89), (25.0, 9.0)),
    "dentine": (0.70, 0.20, 0.10, 0.056, (9.421, 6.887), (22.0, 8.0)),
    "enamel": (0.97, 0.015, 0.015, 0.035, (9.441, 6.880), (90.0, 40.0)),
}
_FOREIGN = ("weddellite", "whewellite", "struvite", "brushite", "halite", "calcite")


def tissue(kind: Tissue) -> SpecimenModel:
    """Return a mineralised tissue of published composition.

    Parameters
    ----------
    kind : {"bone", "dentine", "enamel"}
        Mineral / organic / water 65/25/10, 70/20/10 and 97/1.5/1.5 wt% with 7.4, 5.6 and 3.5 wt% CO3 in the
        lattice [Dorozhkin 2011, Biomatter 1, 121].

    Returns
    -------
    SpecimenModel
        Mass fractions, 0 to 1.
    """
    if kind not in _TISSUES:
        msg = f"{kind!r} is not a tissue with a published composition; choose one of {', '.join(_TISSUES)}."
        raise AnalysisError(msg)
    mineral, organic, water, co3, (a, c), (length_c, length_a) = _TISSUES[kind]
    return SpecimenModel(
        specimen_id=kind,
        apatite=mineral - co3,
        protein=organic,
        water=water,
        carbonate=co3,
        apatite_model=ApatiteModel(
            length_c_nm=length_c, length_a_nm=length_a, cell=Cell(a=a, b=a, c=c, gamma=120.0)
        ),
    )


def draw_specimen(
    rng: np.random.Generator,
    *,
    kind: SpecimenKind = "broad",
    specimen_id: str = "drawn",
    absent_probability: float = 0.08,
    no_amorphous_probability: float = 0.25,
    foreign_probability: float = 0.0,
) -> SpecimenModel:
    """Draw a composition.

    Parameters
    ----------
    rng : numpy Generator
    kind : {"broad", "solid", "fluid", "bone", "dentine", "enamel"}
        ``broad``: apatite 0–60 %, organic 20–95 %, water 1–70 %, amorphous mineral 0–15 %, carbonate 0–6 % but
        no more than 12 % of the apatite; each uniform before closure. ``solid`` and ``fluid`` resemble the
        two sorts of draining calcinosis. Tissues are fixed.
    specimen_id : str
    absent_probability : float
        Probability that there is no crystalline apatite at all.
    no_amorphous_probability : float
        Probability that there is no amorphous mineral at all. 0 makes the population the plain broad prior;
        above it, intervals whose prior has no such point mass are tested where they are weakest.
    foreign_probability : float
        Probability of 1–5 wt% of one further crystalline phase.

    Returns
    -------
    SpecimenModel
        With the default character; see `vary_character`.
    """
    if kind not in get_args(SpecimenKind):
        msg = f"there is no population {kind!r}; choose one of {', '.join(get_args(SpecimenKind))}."
        raise AnalysisError(msg)
    if kind in ("bone", "dentine", "enamel"):
        return replace(tissue(kind), specimen_id=specimen_id)
    other: dict[str, float] = {}
    if rng.random() < foreign_probability:
        other[str(rng.choice(_FOREIGN))] = float(rng.uniform(0.01, 0.05))
    absent = bool(rng.random() < absent_probability)
    no_amorphous = bool(rng.random() < no_amorphous_probability)
    while True:
        (apatite, amorphous, carbonate), water = _mineral_and_water(rng, kind)
        apatite, carbonate = (0.0, 0.0) if absent else (apatite, carbonate)
        amorphous = 0.0 if no_amorphous else amorphous
        organic = 1.0 - apatite - amorphous - carbonate - water - sum(other.values())
        if 0.20 <= organic <= 0.95:
            break
    lipid_share = float(rng.beta(2.0, 4.0))
    return SpecimenModel(
        specimen_id=specimen_id,
        apatite=apatite,
        protein=organic * (1.0 - lipid_share),
        lipid=organic - organic * (1.0 - lipid_share),
        water=water,
        amorphous_mineral=amorphous,
        carbonate=carbonate,
        other=other,
    )


def _mineral_and_water(
    rng: np.random.Generator, kind: SpecimenKind
) -> tuple[tuple[float, float, float], float]:
    """Draw (apatite, amorphous mineral, carbonate) and water."""
    apatite_range, water_range = {
        "broad": ((0.0, 0.60), (0.01, 0.70)),
        "solid": ((0.15, 0.50), (0.03, 0.12)),
        "fluid": ((0.01, 0.18), (0.20, 0.50)),
    }[kind]
    apatite = float(rng.uniform(*apatite_range))
    amorphous = float(rng.uniform(0.0, 0.15 if kind == "broad" else 0.05))
    carbonate = min(float(rng.uniform(0.0, 0.06)), 0.12 * apatite)
    return (apatite, amorphous, carbonate), float(rng.uniform(*water_range))


def vary_character(
    model: SpecimenModel, rng: np.random.Generator, *, graininess: float = 0.0
) -> SpecimenModel:
    """Give a specimen halos, crystallites, disorder and kinetics other than the default ones.

    Halos move by 0.4° (σ), their widths by 8 %, heights by 8 %, scattering per gram by 4 %, and their family
    changes; crystallites are needles of 12–40 by 5–16 nm with distributions of any width; B is up to 0.3 Å²
    higher, and in every other specimen carbonate weakens the lines (`carbonated`); protein and lipid take their
    steps at other temperatures and in other proportions; char is 0.22 ± 0.05 and the water bound by amorphous
    mineral 0.10 ± 0.03.

    Parameters
    ----------
    model : SpecimenModel
    rng : numpy.random.Generator
    graininess : float
        Standard deviation of the lognormal factor on each line of the apatite.

    Returns
    -------
    SpecimenModel
        Of the same composition.
    """
    length_a = float(rng.uniform(5.0, 16.0))
    apatite = replace(
        model.apatite_model,
        length_a_nm=length_a,
        length_c_nm=float(max(length_a, rng.uniform(12.0, 40.0))),
        sigma_ln=float(rng.uniform(0.1, 0.5)),
        shape="ellipsoid" if rng.random() < 0.6 else "cylinder",
        microstrain=float(rng.uniform(0.0, 0.003)),
        b_excess=float(rng.uniform(0.0, 0.3)),
        a_offset=float(rng.normal(0.02, 0.01)),
        c_offset=float(rng.normal(0.0, 0.005)),
        graininess=graininess,
    )
    materials = {name: vary_material(material, rng) for name, material in model.materials.items()}
    organics = {"protein": _vary_kinetics(PROTEIN, rng), "lipid": _vary_kinetics(LIPID, rng)}
    varied = replace(
        model,
        apatite_model=apatite,
        materials=materials,
        organics=organics,
        char_fraction=float(np.clip(rng.normal(0.22, 0.05), 0.08, 0.36)),
        bound_water=float(np.clip(rng.normal(0.10, 0.03), 0.02, 0.2)),
        bound_water_late=float(np.clip(rng.normal(0.8, 0.15), 0.2, 1.0)),
    )
    return replace(varied, apatite_model=replace(apatite, substitution=bool(rng.random() < 0.5)))


def vary_material(material: AmorphousMaterial, rng: np.random.Generator) -> AmorphousMaterial:
    """Return the component with another halo; see `vary_character` for how far it moves."""
    halo = material.halo.jittered(
        shift=float(rng.normal(0.0, 0.4)),
        width=float(np.exp(rng.normal(0.0, 0.08))),
        height=float(np.exp(rng.normal(0.0, 0.08))),
    )
    return replace(
        material,
        halo=replace(
            halo,
            family="gaussian" if (u := rng.random()) < 0.5 else "lorentzian" if u < 0.8 else "hard_sphere",
            low_q=halo.low_q * float(rng.uniform(0.5, 1.8)),
            area_factor=halo.area_factor * float(np.exp(rng.normal(0.0, 0.04))),
            packing_height=halo.packing_height * float(rng.uniform(0.0, 2.0)),
            second_height=halo.second_height * float(rng.uniform(0.5, 1.5)),
        ),
    )


def _vary_kinetics(kinetics: OrganicKinetics, rng: np.random.Generator) -> OrganicKinetics:
    def varied(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return vary_steps(
            steps,
            shifts=tuple(rng.normal(0.0, 8.0, len(steps))),
            energy_factors=tuple(rng.uniform(0.9, 1.15, len(steps))),
            weights=tuple(np.exp(rng.normal(0.0, 0.25, len(steps)))),
        )

    return OrganicKinetics(air=varied(kinetics.air), inert=varied(kinetics.inert))


def vary_conditions(
    rng: np.random.Generator, *, atmosphere: Atmosphere = "air"
) -> tuple[XrdConditions, TgaConditions]:
    """Draw a laboratory: a diffractometer and a thermobalance with their programmes.

    Peak counts 10³–10⁴, other optics, alignment, axial divergence, monochromator or filter with residual Kβ,
    transparency, air scatter; heating rate 2–40 K/min, 1–30 mg, noise 0.5–10 µg, drift of some µg over the
    run, pan volume 0.01–0.05 cm³.

    Parameters
    ----------
    rng : numpy.random.Generator
    atmosphere : str

    Returns
    -------
    XrdConditions, TgaConditions
    """
    monochromator = 26.6 if rng.random() < 0.3 else None
    filtered = monochromator is None and rng.random() < 0.6
    xrd = XrdConditions(
        step=float(rng.choice([0.02, 0.025, 0.03])),
        peak_counts=float(10.0 ** rng.uniform(3.0, 4.0)),
        radius_mm=float(rng.choice([173.0, 185.0, 217.5, 240.0, 280.0])),
        displacement_mm=float(rng.normal(0.0, 0.05)),
        zero_shift=float(rng.normal(0.0, 0.01)),
        monochromator_two_theta=monochromator,
        kbeta_ratio=float(rng.uniform(0.001, 0.01)) if filtered else 0.0,
        tungsten_ratio=float(rng.uniform(0.0, 0.004)) if rng.random() < 0.2 else 0.0,
        fwhm_u=float(rng.uniform(0.0, 0.01)),
        fwhm_v=float(rng.uniform(-0.004, 0.0)),
        fwhm_w=float(rng.uniform(0.003, 0.008)),
        axial_half_angle_deg=float(rng.uniform(0.8, 2.3)),
        transparency=bool(rng.random() < 0.3),
        background_constant=float(rng.uniform(0.02, 0.15)),
        air_scatter=float(rng.uniform(0.1, 0.5)),
        air_exponent=float(rng.uniform(1.0, 2.0)),
    )
    rate = float(np.exp(rng.uniform(np.log(2.0), np.log(40.0))))
    hours = 975.0 / rate / 60.0
    tga = TgaConditions(
        heating_rate_k_min=rate,
        sample_mass_mg=float(np.exp(rng.uniform(np.log(1.0), np.log(30.0)))),
        noise_ug=float(np.exp(rng.uniform(np.log(0.5), np.log(10.0)))),
        drift_ug_h=float(rng.normal(0.0, 4.0)) / hours,
        wander_ug=float(rng.uniform(0.0, 2.0)),
        pan_volume_cm3=float(rng.uniform(0.01, 0.05)),
        atmosphere=atmosphere,
    )
    return xrd, tga
