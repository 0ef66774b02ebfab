"""What a simulated specimen is made of, and what comes out of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.amorphous import MATERIALS, AmorphousMaterial
from xrdcomp.simulate.crystallites import CrystalliteShape
from xrdcomp.simulate.reactions import OrganicKinetics
from xrdcomp.types import Cell, Pattern, TgaRun

__all__ = [
    "CALCITE_CO3",
    "CARBONATE_TO_CALCITE",
    "ApatiteModel",
    "SimulatedSpecimen",
    "SpecimenModel",
    "mass_fractions",
    "truth_of",
]

CALCITE_CO3 = 60.009 / 100.087  # mass fraction of CO3 in CaCO3
CARBONATE_TO_CALCITE = 1.0 / CALCITE_CO3
_EMPTY: Mapping[str, float] = MappingProxyType({})
CarbonateSite = Literal["lattice", "calcite", "amorphous"]


@dataclass(frozen=True, kw_only=True)
class ApatiteModel:
    """The crystalline apatite: lattice, crystallites, disorder.

    Parameters
    ----------
    phase : str
        Phase id whose atoms are used.
    length_c_nm, length_a_nm : float
        Volume-weighted mean column lengths along c and across it: what integral breadths measure.
    sigma_ln : float
        Width of the lognormal distribution of crystallite sizes by number; larger gives longer tails.
    shape : {"ellipsoid", "cylinder"}
    microstrain : float
        Root mean square Δd/d.
    b_excess : float, Å²
        Added to all atoms' B, on top of `b_per_carbonate`.
    b_per_carbonate : float, Å² per unit mass fraction of CO3 in the apatite
        Disorder that carbonate brings.
    a_per_carbonate, c_per_carbonate : float, Å per unit mass fraction of CO3 in the apatite
        B-type substitution shortens a by 0.006 Å per wt% (order of magnitude, after LeGeros) and lengthens c;
        the value for c, +0.003 Å per wt%, is an assumption.
    a_offset, c_offset : float, Å
        Added to the cell (lattice water, HPO4, chloride).
    cell : Cell or None
        Replaces the cell altogether.
    graininess : float
        Standard deviation of a lognormal factor on each line (few large crystallites); 0 is a fine powder.
    march_dollase : float
        Texture about c*; 1 is none.
    substitution : bool
        Whether occupancies follow the carbonate, so that the lines weaken (see `carbonation.carbonated`).
    """

    phase: str = "hydroxyapatite"
    length_c_nm: float = 25.0
    length_a_nm: float = 9.0
    sigma_ln: float = 0.25
    shape: CrystalliteShape = "ellipsoid"
    microstrain: float = 0.0015
    b_excess: float = 0.05
    b_per_carbonate: float = 1.0
    a_per_carbonate: float = -0.6
    c_per_carbonate: float = 0.3
    a_offset: float = 0.02
    c_offset: float = 0.0
    cell: Cell | None = None
    graininess: float = 0.0
    march_dollase: float = 1.0
    substitution: bool = False


@dataclass(frozen=True, kw_only=True)
class SpecimenModel:
    """Mass fractions of the specimen as received (0–1, summing to 1) and the character of each component.

    Parameters
    ----------
    specimen_id : str
    apatite : float
        Crystalline apatite without its carbonate.
    protein, lipid, water : float
        `water` is free and adsorbed water; what amorphous mineral binds belongs to the latter.
    amorphous_mineral : float
        Amorphous calcium phosphate with its bound water.
    carbonate : float
        CO3 in the site `carbonate_site`. In ``"calcite"``, the calcium that goes with it is added to the
        crystalline phases and counts in the sum.
    carbonate_site : {"lattice", "calcite", "amorphous"}
        ``lattice``: it scatters with the apatite and moves its cell.
    other : mapping of phase id to mass fraction
        Further crystalline phases.
    bound_water : float
        Share of the amorphous mineral that is water; `bound_water_late` of it leaves above 220 °C.
    hpo4_water : float
        Water from HPO4 condensation as a share of apatite and amorphous mineral (250–550 °C); 0 by default.
    char_fraction : float
        Share of the organic that stays as char in an inert gas.
    apatite_model : ApatiteModel
        Crystallites and lattice of the apatite.
    organics : tuple of OrganicKinetics
        How protein and lipid decompose; None takes the defaults.
    materials : mapping of amorphous component to AmorphousMaterial
        Composition and halo shape of ``protein``, ``lipid``, ``water``, ``amorphous_calcium_phosphate``.
    other_size_nm : float
        Mean column length of the further phases.
    other_graininess : float
        As `ApatiteModel.graininess`, for the further phases.
    """

    specimen_id: str = "simulated"
    apatite: float = 0.0
    protein: float = 0.0
    lipid: float = 0.0
    water: float = 0.0
    amorphous_mineral: float = 0.0
    carbonate: float = 0.0
    carbonate_site: CarbonateSite = "lattice"
    other: Mapping[str, float] = field(default_factory=lambda: _EMPTY)
    bound_water: float = 0.10
    bound_water_late: float = 0.8
    hpo4_water: float = 0.0
    char_fraction: float = 0.22
    organics: Mapping[str, OrganicKinetics] | None = None
    materials: Mapping[str, AmorphousMaterial] = field(default_factory=lambda: MappingProxyType(MATERIALS))
    apatite_model: ApatiteModel = field(default_factory=ApatiteModel)
    other_size_nm: float = 120.0
    other_graininess: float = 0.0

    def __post_init__(self) -> None:
        parts = mass_fractions(self)
        for name, value in parts.items():
            if not value >= 0.0:
                msg = f"mass fraction of {name} is {value:g}; fractions of a specimen cannot be negative."
                raise AnalysisError(msg)
        total = sum(parts.values())
        if abs(total - 1.0) > 1e-6:
            listed = ", ".join(f"{k} {v:.4f}" for k, v in parts.items() if v)
            msg = f"mass fractions of specimen {self.specimen_id!r} sum to {total:.6f}, not 1 ({listed})."
            raise AnalysisError(msg)
        if self.carbonate_site == "lattice" and self.carbonate > 0.0 and self.apatite <= 0.0:
            msg = (
                "carbonate cannot sit in the lattice of an apatite that is absent; "
                "choose another carbonate_site."
            )
            raise AnalysisError(msg)

    @property
    def lattice_carbonate(self) -> float:
        """Mass fraction of CO3 within the apatite itself."""
        if self.carbonate_site != "lattice" or self.carbonate <= 0.0:
            return 0.0
        return self.carbonate / (self.apatite + self.carbonate)


def mass_fractions(model: SpecimenModel) -> dict[str, float]:
    """Mass fractions of everything that is weighed, keys as the fields of `SpecimenModel` and phase ids.

    The carbonate of ``carbonate_site="calcite"`` appears as calcite.
    """
    parts = {
        "apatite": model.apatite,
        "protein": model.protein,
        "lipid": model.lipid,
        "water": model.water,
        "amorphous_mineral": model.amorphous_mineral,
    }
    phases = dict(model.other)
    if model.carbonate_site == "calcite":
        phases["calcite"] = phases.get("calcite", 0.0) + model.carbonate * CARBONATE_TO_CALCITE
    else:
        parts["carbonate"] = model.carbonate
    return parts | phases


def truth_of(model: SpecimenModel, carbonate_of_phase: Mapping[str, float]) -> dict[str, Any]:
    """Return the truth of a specimen in the terms of a result.

    ``components`` has the keys of a composition and sums to 1: `carbonate` is all CO3, also that of carbonate
    minerals, and `other_crystalline` is the further phases without their CO3; `amorphous_mineral` includes
    its bound water. ``phases`` gives each crystalline phase with its carbonate.

    Parameters
    ----------
    carbonate_of_phase : mapping of phase id to the mass fraction of CO3 in it
    """
    parts = mass_fractions(model)
    other = {k: v for k, v in parts.items() if k not in _WEIGHED and v > 0.0}
    mineral_co3 = sum(v * carbonate_of_phase.get(k, 0.0) for k, v in other.items())
    in_lattice = model.carbonate if model.carbonate_site == "lattice" else 0.0
    phases = dict(other)
    if model.apatite > 0.0:
        phases[model.apatite_model.phase] = model.apatite + in_lattice
    return {
        "simulated": True,
        "specimen_id": model.specimen_id,
        "basis": "as_received",
        "components": {
            "crystalline_hydroxyapatite": model.apatite,
            "organic": model.protein + model.lipid,
            "water": model.water,
            "carbonate": parts.get("carbonate", 0.0) + mineral_co3,
            "amorphous_mineral": model.amorphous_mineral,
            "other_crystalline": sum(other.values()) - mineral_co3,
        },
        "protein": model.protein,
        "lipid": model.lipid,
        "phases": phases,
        "carbonate_site": model.carbonate_site if model.carbonate > 0.0 else "none",
        "carbonate_in_lattice": in_lattice,
        "amorphous_bound_water": model.bound_water * model.amorphous_mineral,
        "char_fraction": model.char_fraction,
    }


_WEIGHED = ("apatite", "protein", "lipid", "water", "amorphous_mineral", "carbonate")


@dataclass(frozen=True, kw_only=True)
class SimulatedSpecimen:
    """A simulated measurement with its truth.

    Parameters
    ----------
    model : SpecimenModel
    pattern, tga : the measurements, as a reader would return them
    blank : Pattern or None
        Scan of the empty holder on the same scale.
    tga_blank : TgaRun or None
        The same programme with an empty pan.
    truth : dict
        See `truth_of`; ready for JSON.
    """

    model: SpecimenModel
    pattern: Pattern
    tga: TgaRun
    blank: Pattern | None
    tga_blank: TgaRun | None
    truth: dict[str, Any]
