"""Specimens and laboratories: what is simulated, how it is measured, and populations of both.

The conditions of both instruments come first, then the kinetics of what burns, the model of a specimen with its
truth, and last the populations for calibration studies. Everything random there comes from a numpy Generator; the
order of its draws is part of what a seed promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from xrdcomp.data import Atmosphere, Cell, EmissionLine, Pattern, Record, TgaRun
from xrdcomp.errors import AnalysisError, PatternError
from xrdcomp.simulate.scattering import MATERIALS, AmorphousMaterial, CrystalliteShape, table_rows
from xrdcomp.units import FloatArray

# --- the diffractometer and the thermobalance ------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TubeLine:
    """An emission line of the tube: wavelength and natural FWHM in ångström, weight relative to Kα1 as it arrives."""

    wavelength: float
    weight: float
    fwhm: float


def _tube(kalpha1: float, kalpha2: float, kbeta: float, energy_width_ev: float) -> dict[str, TubeLine]:
    width = kalpha1 * kalpha1 * energy_width_ev / 12398.42
    return {
        "kalpha1": TubeLine(wavelength=kalpha1, weight=1.0, fwhm=width),
        "kalpha2": TubeLine(wavelength=kalpha2, weight=0.0, fwhm=1.15 * width),
        "kbeta": TubeLine(wavelength=kbeta, weight=0.0, fwhm=1.5 * width * (kbeta / kalpha1) ** 2),
    }


# Peak wavelengths as in common use (Hölzer et al. 1997 for Cr, Co, Cu; Bearden 1967 for Mo, Ag); natural
# widths of Kα1 in eV after Krause & Oliver (1979).
TUBES: dict[str, dict[str, TubeLine]] = {
    "Cu": _tube(1.540598, 1.544426, 1.392250, 2.3), "Co": _tube(1.789010, 1.792900, 1.620830, 2.9),
    "Mo": _tube(0.709319, 0.713609, 0.632305, 6.4), "Cr": _tube(2.289760, 2.293663, 2.084920, 2.1),
    "Ag": _tube(0.559422, 0.563813, 0.497082, 8.9), "Fe": _tube(1.936042, 1.939980, 1.756610, 2.6),
}  # fmt: skip
_TUNGSTEN_LALPHA = TubeLine(wavelength=1.476300, weight=0.0, fwhm=0.001150)


@dataclass(frozen=True, kw_only=True)
class Hump:
    """A broad maximum of the holder: `two_theta` and `fwhm` in degrees, `height` relative to the mean signal."""

    two_theta: float
    fwhm: float
    height: float


@dataclass(frozen=True, kw_only=True)
class XrdConditions:
    """The diffractometer and the scan; angles in degrees, ratios relative to Kα1."""

    anode: str = "Cu"  # or Co, Mo, Cr, Ag, Fe
    two_theta_min: float = 5.0
    two_theta_max: float = 80.0
    step: float = 0.02
    peak_counts: float = 5000.0  # expected counts at the highest point; more lowers the noise
    # Counts of a thick specimen are absolute_scale · σ(2θ) / (2 μ/ρ), σ in electron units per dalton, μ/ρ in cm²/g.
    # Replaces `peak_counts`, so that specimens can be compared with an external standard.
    absolute_scale: float | None = None
    counting_time_s: float = 1.0  # written into the pattern; does not change the counts
    radius_mm: float = 240.0  # of the goniometer
    # Specimen surface behind the axis (positive): reflections move by −2 s cosθ / R, to lower angles.
    displacement_mm: float = 0.0
    zero_shift: float = 0.0  # observed = true + zero_shift
    monochromator_two_theta: float | None = None  # diffraction angle of the crystal; None for a filter
    kalpha2_ratio: float = 0.5  # half as many electrons fall; 0 for a Kα1 instrument
    kbeta_ratio: float = 0.0  # residual Kβ as it reaches the detector
    tungsten_ratio: float = 0.0  # residual W Lα as it reaches the detector
    fwhm_u: float = 0.004  # deg²; Gaussian part of the optics, FWHM² = U tan²θ + V tanθ + W
    fwhm_v: float = -0.002
    fwhm_w: float = 0.0025
    receiving_slit_deg: float = 0.03  # width of the receiving slit, a box in 2θ
    axial_half_angle_deg: float = 1.6  # passed by the Soller slits; larger pulls tails to low angles, 0: none
    transparency: bool = False  # the beam's depth in the (thick) specimen broadens and shifts the reflections
    variable_slit: bool = False  # intensity carries a factor sinθ
    background_constant: float = 0.05  # relative to the specimen's mean signal
    air_scatter: float = 0.25  # at 10°, relative to the specimen's mean signal
    air_exponent: float = 1.5  # air scatter falls as (10° / 2θ) to this power
    humps: tuple[Hump, ...] = ()  # of the specimen holder

    def __post_init__(self) -> None:
        if self.anode not in TUBES:
            raise PatternError(f"anode {self.anode!r} is not simulated; choose one of {', '.join(TUBES)}.")
        if not 0.0 < self.two_theta_min < self.two_theta_max <= 170.0 or self.step <= 0.0:
            msg = f"the scan {self.two_theta_min:g} to {self.two_theta_max:g} degrees, step {self.step:g}, is not one"
            raise PatternError(f"{msg}; angles must rise between 0 and 170 with a positive step.")

    @property
    def wavelength(self) -> float:
        """Wavelength of Kα1, ångström."""
        return TUBES[self.anode]["kalpha1"].wavelength

    @property
    def tube_lines(self) -> tuple[TubeLine, ...]:
        """All emission lines that reach the detector, Kα1 first."""
        tube = TUBES[self.anode]
        lines = (
            tube["kalpha1"],
            replace(tube["kalpha2"], weight=self.kalpha2_ratio),
            replace(tube["kbeta"], weight=self.kbeta_ratio),
            replace(_TUNGSTEN_LALPHA, weight=self.tungsten_ratio),
        )
        return tuple(line for line in lines if line.weight > 0.0)

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Kα1 and Kα2, as an instrument's file would state them: residual lines are not announced."""
        stated = self.tube_lines[: 2 if self.kalpha2_ratio > 0.0 else 1]
        return tuple(EmissionLine(wavelength=line.wavelength, weight=line.weight) for line in stated)


@dataclass(frozen=True, kw_only=True)
class TgaConditions:
    """The thermobalance and its programme.

    The balance is taken to show the mass in vacuum at the start. A balance shows less by the buoyancy of the cold
    specimen (0.08 % at 1.5 g/cm³), so that what has left weighs too little here by its own: the largest error that
    zeroing can make.
    """

    heating_rate_k_min: float = 10.0
    start_c: float = 25.0
    end_c: float = 1000.0
    sample_mass_mg: float = 12.0
    noise_ug: float = 2.0  # standard deviation of a reading
    drift_ug_h: float = 0.0  # steady drift of the balance; positive lets the mass grow
    wander_ug: float = 0.0  # standard deviation of a slow random walk at the end of the run
    pan_volume_cm3: float = 0.03  # pan and suspension in the hot zone; buoyancy is theirs and the specimen's
    sample_density_g_cm3: float = 1.5
    atmosphere: Atmosphere = "air"
    holds: tuple[tuple[float, float], ...] = ()  # °C and minutes of isothermal segments, in rising order
    points: int = 3500  # readings in the run, evenly spaced in time
    furnace_lag_s: float = 15.0  # time constant with which the furnace takes up the ramp

    def __post_init__(self) -> None:
        if self.heating_rate_k_min <= 0 or self.end_c <= self.start_c or self.points < 10:
            msg = f"a programme from {self.start_c:g} to {self.end_c:g} °C at {self.heating_rate_k_min:g} K/min with "
            msg += f"{self.points} points is not one; the rate must be positive, the end above the start, and there "
            raise PatternError(f"{msg}must be 10 points or more.")
        temperatures = [t for t, _ in self.holds]
        inside = all(self.start_c <= t <= self.end_c for t in temperatures)
        if not inside or temperatures != sorted(temperatures):
            raise PatternError(f"holds must rise within the programme; they are {temperatures} °C.")

    @property
    def inert(self) -> bool:
        """True where organic matter chars instead of burning."""
        return self.atmosphere in ("nitrogen", "argon", "helium")


# --- kinetics: what leaves the pan, when, at which rate --------------------------------------------------
# A reaction of order n loses its pool as dα/dt = A exp(−E/RT) (1 − α)ⁿ. Its solution needs only the integral
# I(t) = ∫ A exp(−E/RT) dt, taken numerically over the actual programme, holds included:
# 1 − α = exp(−I) for n = 1 and [1 + (n − 1) I]^(1/(1−n)) otherwise.

CELSIUS_ZERO_K = 273.15
GAS_CONSTANT = 8.31446261815324e-3  # kJ/(mol K)
_REFERENCE_RATE_K_MIN = 10.0


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """Kinetics of one step: `activation_energy` in kJ/mol, `ln_a` = ln A with A in 1/s, reaction `order`."""

    activation_energy: float
    ln_a: float
    order: float = 1.0

    def shifted(self, kelvin: float, *, energy_factor: float = 1.0) -> Reaction:
        """Return a reaction that peaks `kelvin` higher at 10 K/min, its activation energy multiplied."""
        t = 600.0
        rate = _REFERENCE_RATE_K_MIN / 60.0
        e = self.activation_energy / GAS_CONSTANT
        # the peak solves E β / (R T²) = A exp(−E/RT); solved for the T of the exponential, the iteration contracts
        for _ in range(60):
            t = e / (self.ln_a - np.log(e * rate) + 2.0 * np.log(t))
        return peak_reaction(float(t) + kelvin - CELSIUS_ZERO_K, energy_factor * self.activation_energy, self.order)


def peak_reaction(peak_c: float, activation_energy: float, order: float = 1.0) -> Reaction:
    """Return the reaction whose rate peaks at `peak_c` when heated at 10 K/min.

    A = (β E / R T²) exp(E / R T)  [Kissinger 1957; exact for first order, within a few kelvin otherwise]. A larger
    `activation_energy` (kJ/mol) makes the step narrower; an `order` above 1 draws a tail to high temperatures, below 1
    it ends the step abruptly.
    """
    t = peak_c + CELSIUS_ZERO_K
    e = activation_energy / GAS_CONSTANT
    ln_a = np.log(_REFERENCE_RATE_K_MIN / 60.0 * e / (t * t)) + e / t
    return Reaction(activation_energy=activation_energy, ln_a=float(ln_a), order=order)


def extent(reaction: Reaction, time_s: FloatArray, temperature_c: FloatArray) -> FloatArray:
    """Share of the pool that has reacted, 0 at the start to 1, at every reading of a temperature programme."""
    t = temperature_c + CELSIUS_ZERO_K
    # cut at e⁶⁰ per second, where any pool is gone within one reading, so that no programme overflows
    rate = np.exp(np.minimum(reaction.ln_a - reaction.activation_energy / (GAS_CONSTANT * t), 60.0))
    # the rate is nearly exponential between readings: its logarithmic mean integrates that exactly, the trapezoid
    # would overrate it; where the rate hardly changes the logarithmic mean is 0/0 and the plain one serves
    first, second = rate[:-1], rate[1:]
    ratio = np.log(np.maximum(second, 1e-300) / np.maximum(first, 1e-300))
    flat = np.abs(ratio) < 1e-6
    mean = np.where(flat, 0.5 * (first + second), (second - first) / np.where(flat, 1.0, ratio))
    integral = np.concatenate([[0.0], np.cumsum(mean * np.diff(time_s))])
    n = reaction.order
    if abs(n - 1.0) < 1e-9:
        return np.asarray(-np.expm1(-integral), dtype=np.float64)
    # below first order the pool is used up at a finite time: the base reaches zero and must not pass it
    base = np.maximum(1.0 + (n - 1.0) * integral, 0.0)
    with np.errstate(divide="ignore"):
        left = np.where(base > 0.0, np.power(np.maximum(base, 1e-300), 1.0 / (1.0 - n)), 0.0)
    return 1.0 - np.minimum(left, 1.0)


@dataclass(frozen=True, kw_only=True)
class Step:
    """The `share` of something that leaves by one `reaction`."""

    share: float
    reaction: Reaction


@dataclass(frozen=True, kw_only=True)
class OrganicKinetics:
    """Decomposition of an organic component: steps in `air` (to nothing) and in an `inert` gas (to char).

    The shares of each list sum to 1; in an inert gas they are of what does not stay as char.
    """

    air: tuple[Step, ...]
    inert: tuple[Step, ...]

    def __post_init__(self) -> None:
        for name, steps in (("air", self.air), ("inert", self.inert)):
            total = sum(step.share for step in steps)
            if abs(total - 1.0) > 1e-9:
                raise AnalysisError(f"the shares of the steps in {name} sum to {total:g}, not 1.")


# Collagen: main step 320–340 °C, E 120–220 kJ/mol; char burns at 450–550 °C (bone and collagen literature; the split
# into overlapping steps is this module's own). Triglyceride: several oxidation steps 250–450 °C in air, one at
# 380–430 °C in nitrogen. Peaks are at 10 K/min, activation energies in kJ/mol.
_ORGANIC_STEPS = """
component gas   share peak_c energy order
protein   air   0.16  285    130    1.5
protein   air   0.42  330    160    1.6
protein   air   0.17  420    130    1.4
protein   air   0.25  505    170    1.0
protein   inert 0.14  280    130    1.5
protein   inert 0.56  330    165    1.8
protein   inert 0.30  430    110    1.8
lipid     air   0.30  325    110    1.0
lipid     air   0.45  385    140    1.0
lipid     air   0.25  470    150    1.1
lipid     inert 0.10  300    110    1.0
lipid     inert 0.90  405    180    1.0
"""


def _organic(component: str) -> OrganicKinetics:
    steps: dict[str, tuple[Step, ...]] = {"air": (), "inert": ()}
    for row in table_rows(_ORGANIC_STEPS):
        if row["component"] == component:
            reaction = peak_reaction(*(float(row[name]) for name in ("peak_c", "energy", "order")))
            steps[row["gas"]] += (Step(share=float(row["share"]), reaction=reaction),)
    return OrganicKinetics(**steps)


PROTEIN, LIPID = _organic("protein"), _organic("lipid")


# --- a specimen and its truth ----------------------------------------------------------------------------

CALCITE_CO3 = 60.009 / 100.087
"""Mass fraction of CO3 in CaCO3."""
CarbonateSite = Literal["lattice", "calcite", "amorphous"]


@dataclass(frozen=True, kw_only=True)
class ApatiteModel:
    """The crystalline apatite: lattice, crystallites, disorder. Column lengths are what integral breadths measure."""

    phase: str = "hydroxyapatite"  # id of the phase whose atoms are used
    length_c_nm: float = 25.0  # volume-weighted mean column length along c
    length_a_nm: float = 9.0  # and across it
    sigma_ln: float = 0.25  # of the lognormal distribution of sizes by number; larger gives longer tails
    shape: CrystalliteShape = "ellipsoid"
    microstrain: float = 0.0015  # root mean square Δd/d
    b_excess: float = 0.05  # Å², added to all atoms' B, on top of `b_per_carbonate`
    # Per unit mass fraction of CO3 in the apatite: disorder in Å²; cell in Å. B-type substitution shortens a by 0.006 Å
    # per wt% (order of magnitude, after LeGeros) and lengthens c; +0.003 Å per wt% for c is an assumption.
    b_per_carbonate: float = 1.0
    a_per_carbonate: float = -0.6
    c_per_carbonate: float = 0.3
    a_offset: float = 0.02  # Å, added to the cell (lattice water, HPO4, chloride)
    c_offset: float = 0.0
    cell: Cell | None = None  # replaces the cell altogether
    graininess: float = 0.0  # σ of a lognormal factor on each reflection (large crystallites); 0: powder
    march_dollase: float = 1.0  # texture about c*; 1 is none
    substitution: bool = False  # occupancies follow the carbonate, see `scattering.carbonated`
    vacancies: float = 0.5  # calcium that is missing per carbonate; 0 where its charge is balanced otherwise


@dataclass(frozen=True, kw_only=True)
class SpecimenModel:
    """Mass fractions of the specimen as received (0–1, summing to 1) and the character of each component.

    Carbonate in the ``lattice`` scatters with the apatite and moves its cell; in ``calcite`` the calcium that goes
    with it is added to the crystalline phases and counts in the sum; ``amorphous`` makes it part of that mineral.
    """

    specimen_id: str = "simulated"
    apatite: float = 0.0  # crystalline, without its carbonate
    protein: float = 0.0
    lipid: float = 0.0
    water: float = 0.0  # free and adsorbed; what amorphous mineral binds belongs to the latter
    amorphous_mineral: float = 0.0  # amorphous calcium phosphate with its bound water
    carbonate: float = 0.0  # CO3
    carbonate_site: CarbonateSite = "lattice"
    other: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # further phases, by id
    bound_water: float = 0.10  # share of the amorphous mineral that is water
    bound_water_late: float = 0.8  # share of the bound water that leaves above 220 °C
    hpo4_water: float = 0.0  # from HPO4 (250–550 °C), share of apatite and amorphous mineral
    char_fraction: float = 0.22  # share of the organic that stays as char in an inert gas
    lipid_char: float | None = None  # of the lipid; None: as of the rest
    char_lost: float = 0.0  # share of the char that charring on and CO2 take between 700 and 950 °C
    organics: Mapping[str, OrganicKinetics] | None = None  # of ``protein`` and ``lipid``; None: the defaults
    # ``protein``, ``lipid``, ``water``, ``amorphous_calcium_phosphate``
    materials: Mapping[str, AmorphousMaterial] = field(default_factory=lambda: MappingProxyType(MATERIALS))
    apatite_model: ApatiteModel = field(default_factory=ApatiteModel)
    other_size_nm: float = 120.0  # mean column length of the further phases
    other_graininess: float = 0.0  # as `ApatiteModel.graininess`, for the further phases

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
        if self.carbonate_in_lattice > 0.0 and self.apatite <= 0.0:
            msg = "carbonate cannot sit in the lattice of an apatite that is absent; choose another carbonate_site."
            raise AnalysisError(msg)

    @property
    def char_of_lipid(self) -> float:
        """Share of the lipid that stays as char in an inert gas."""
        return self.char_fraction if self.lipid_char is None else self.lipid_char

    @property
    def carbonate_in_lattice(self) -> float:
        """Mass fraction of the specimen that is CO3 in the apatite's lattice."""
        return self.carbonate if self.carbonate_site == "lattice" else 0.0

    @property
    def lattice_carbonate(self) -> float:
        """Mass fraction of CO3 within the apatite itself."""
        co3 = self.carbonate_in_lattice
        return co3 / (self.apatite + co3) if co3 > 0.0 else 0.0

    @property
    def other_phases(self) -> dict[str, float]:
        """Mass fractions of the crystalline phases beside the apatite, calcite from `carbonate_site` included."""
        phases = dict(self.other)
        if self.carbonate_site == "calcite":
            phases["calcite"] = phases.get("calcite", 0.0) + self.carbonate * (1.0 / CALCITE_CO3)
        return phases


def mass_fractions(model: SpecimenModel) -> dict[str, float]:
    """Mass fractions of everything that is weighed, by the fields of `SpecimenModel` and by phase id."""
    names = ("apatite", "protein", "lipid", "water", "amorphous_mineral")
    parts = {name: float(getattr(model, name)) for name in names}
    if model.carbonate_site != "calcite":
        parts["carbonate"] = model.carbonate
    return parts | model.other_phases


def truth_of(model: SpecimenModel, carbonate_of_phase: Mapping[str, float]) -> dict[str, Any]:
    """Return the truth of a specimen in the terms of a result.

    ``components`` has the keys of a composition and sums to 1: `carbonate` is all CO3, also that of carbonate minerals
    (`carbonate_of_phase`: mass fraction of CO3 in each), and `other_crystalline` is the further phases without their
    CO3; `amorphous_mineral` includes its bound water. ``phases`` gives each crystalline phase with its carbonate.
    """
    other = {k: v for k, v in model.other_phases.items() if v > 0.0}
    mineral_co3 = sum(v * carbonate_of_phase.get(k, 0.0) for k, v in other.items())
    phases = dict(other)
    if model.apatite > 0.0:
        phases[model.apatite_model.phase] = model.apatite + model.carbonate_in_lattice
    return {
        "simulated": True,
        "specimen_id": model.specimen_id,
        "basis": "as_received",
        "components": {
            "crystalline_hydroxyapatite": model.apatite,
            "organic": model.protein + model.lipid,
            "water": model.water,
            "carbonate": (model.carbonate if model.carbonate_site != "calcite" else 0.0) + mineral_co3,
            "amorphous_mineral": model.amorphous_mineral,
            "other_crystalline": sum(other.values()) - mineral_co3,
        },
        "protein": model.protein,
        "lipid": model.lipid,
        "phases": phases,
        "carbonate_site": model.carbonate_site if model.carbonate > 0.0 else "none",
        "carbonate_in_lattice": model.carbonate_in_lattice,
        "amorphous_bound_water": model.bound_water * model.amorphous_mineral,
        "char_fraction": model.char_fraction,
        **({} if model.lipid_char is None else {"lipid_char": model.lipid_char}),
        **({"char_lost": model.char_lost} if model.char_lost > 0.0 else {}),
    }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SimulatedSpecimen(Record):
    """A simulated measurement with its truth.

    `model` is what was measured; `pattern` and `tga` are the measurements as a reader would return them, `blank` is
    the scan of the empty holder on the same scale and `tga_blank` the same programme with an empty pan (None where
    there is none); `truth` is that of `truth_of`, ready for JSON.
    """

    model: SpecimenModel
    pattern: Pattern
    tga: TgaRun
    blank: Pattern | None
    tga_blank: TgaRun | None
    truth: dict[str, Any]


# --- populations of specimens and of laboratories --------------------------------------------------------

SpecimenKind = Literal["broad", "solid", "fluid", "bone", "dentine", "enamel"]
Tissue = Literal["bone", "dentine", "enamel"]
_FOREIGN = ("weddellite", "whewellite", "struvite", "brushite", "halite", "calcite")


# Dorozhkin 2011, Biomatter 1, 121, table 2. Column lengths along c and across: bone 20–32 and 8–10 nm [Foley 2020],
# dentine alike, enamel long and thick.
_TISSUES = """
tissue  mineral organic water co3   a     c     length_c_nm length_a_nm
bone    0.65    0.25    0.10  0.074 9.41  6.89  25          9
dentine 0.70    0.20    0.10  0.056 9.421 6.887 22          8
enamel  0.97    0.015   0.015 0.035 9.441 6.880 90          40
"""


def tissue(kind: Tissue) -> SpecimenModel:
    """Return a mineralised tissue of published composition, cell and carbonate in the lattice."""
    rows = {row.pop("tissue"): row for row in table_rows(_TISSUES)}
    if kind not in rows:
        msg = f"{kind!r} is not a tissue with a published composition; choose one of {', '.join(rows)}."
        raise AnalysisError(msg)
    known = {name: float(value) for name, value in rows[kind].items()}
    apatite = ApatiteModel(
        length_c_nm=known["length_c_nm"],
        length_a_nm=known["length_a_nm"],
        cell=Cell(a=known["a"], b=known["a"], c=known["c"], gamma=120.0),
    )
    return SpecimenModel(
        specimen_id=kind, apatite=known["mineral"] - known["co3"], protein=known["organic"], water=known["water"],
        carbonate=known["co3"], apatite_model=apatite,
    )  # fmt: skip


def draw_specimen(
    rng: np.random.Generator,
    *,
    kind: SpecimenKind = "broad",
    specimen_id: str = "drawn",
    absent_probability: float = 0.08,
    no_amorphous_probability: float = 0.25,
    foreign_probability: float = 0.0,
) -> SpecimenModel:
    """Draw a composition, with the default character (see `vary_character`).

    ``broad``: apatite 0–60 %, organic 20–95 %, water 1–70 %, amorphous mineral 0–15 %, carbonate 0–6 % but no more
    than 12 % of the apatite; each uniform before closure. ``solid`` and ``fluid`` resemble the two sorts of draining
    calcinosis. Tissues are fixed. There is no crystalline apatite at all with `absent_probability`, and 1–5 wt% of one
    further crystalline phase with `foreign_probability`. There is no amorphous mineral at all with
    `no_amorphous_probability`: 0 makes the population the plain broad prior; above it, intervals whose prior has no
    such point mass are tested where they are weakest.
    """
    if kind not in get_args(SpecimenKind):
        msg = f"there is no population {kind!r}; choose one of {', '.join(get_args(SpecimenKind))}."
        raise AnalysisError(msg)
    if kind in ("bone", "dentine", "enamel"):
        return replace(tissue(kind), specimen_id=specimen_id)
    apatite_range, water_range = {
        "broad": ((0.0, 0.60), (0.01, 0.70)),
        "solid": ((0.15, 0.50), (0.03, 0.12)),
        "fluid": ((0.01, 0.18), (0.20, 0.50)),
    }[kind]
    other: dict[str, float] = {}
    if rng.random() < foreign_probability:
        other[str(rng.choice(_FOREIGN))] = float(rng.uniform(0.01, 0.05))
    absent = bool(rng.random() < absent_probability)
    no_amorphous = bool(rng.random() < no_amorphous_probability)
    # organic matter is what is left; draws that leave too little or too much are drawn anew
    while True:
        apatite = float(rng.uniform(*apatite_range))
        amorphous = float(rng.uniform(0.0, 0.15 if kind == "broad" else 0.05))
        carbonate = min(float(rng.uniform(0.0, 0.06)), 0.12 * apatite)
        water = float(rng.uniform(*water_range))
        apatite, carbonate = (0.0, 0.0) if absent else (apatite, carbonate)
        amorphous = 0.0 if no_amorphous else amorphous
        organic = 1.0 - apatite - amorphous - carbonate - water - sum(other.values())
        if 0.20 <= organic <= 0.95:
            break
    lipid_share = float(rng.beta(2.0, 4.0))
    return SpecimenModel(
        specimen_id=specimen_id, apatite=apatite, protein=organic * (1.0 - lipid_share),
        lipid=organic - organic * (1.0 - lipid_share), water=water, amorphous_mineral=amorphous, carbonate=carbonate,
        other=other,
    )  # fmt: skip


def vary_character(model: SpecimenModel, rng: np.random.Generator, *, graininess: float = 0.0) -> SpecimenModel:
    """Give a specimen halos, crystallites, disorder and kinetics other than the default ones.

    Halos move by 0.4° (σ), their widths by 8 %, heights by 8 %, scattering per gram by 4 %, and their family
    changes; crystallites are needles of 12–40 by 5–16 nm with distributions of any width; B is up to 0.3 Å²
    higher, and carbonate weakens the reflections (`carbonated`) with up to one vacancy each; protein and lipid take
    their steps at other temperatures and in other proportions; char is 0.22 ± 0.05, of lipid, which hardly chars,
    a tenth of that, and loses 0.10 ± 0.05 of itself above 700 °C; the water bound by amorphous mineral is
    0.10 ± 0.03. The composition stays; `graininess` is that of the `ApatiteModel`.
    """
    length_a = float(rng.uniform(5.0, 16.0))
    apatite = replace(
        model.apatite_model, length_a_nm=length_a, length_c_nm=float(max(length_a, rng.uniform(12.0, 40.0))),
        sigma_ln=float(rng.uniform(0.1, 0.5)), shape="ellipsoid" if rng.random() < 0.6 else "cylinder",
        microstrain=float(rng.uniform(0.0, 0.003)), b_excess=float(rng.uniform(0.0, 0.3)),
        a_offset=float(rng.normal(0.02, 0.01)), c_offset=float(rng.normal(0.0, 0.005)), graininess=graininess,
    )  # fmt: skip
    materials = {}
    for name, material in model.materials.items():
        halo = material.halo.jittered(rng, shift=0.4, width=0.08, height=0.04)
        varied = replace(
            halo,
            family="gaussian" if (u := rng.random()) < 0.5 else "lorentzian" if u < 0.8 else "hard_sphere",
            low_q=halo.low_q * float(rng.uniform(0.5, 1.8)),
            area_factor=halo.area_factor * float(np.exp(rng.normal(0.0, halo.area_spread))),
            dip_depth=halo.dip_depth * float(rng.uniform(0.5, 1.5)),
            packing_height=halo.packing_height * float(rng.uniform(0.0, 2.0)),
            second_height=halo.second_height * float(rng.uniform(0.5, 1.5)),
        )
        materials[name] = replace(material, halo=varied)
    organics = {
        name: OrganicKinetics(air=_vary_steps(known.air, rng), inert=_vary_steps(known.inert, rng))
        for name, known in (("protein", PROTEIN), ("lipid", LIPID))
    }
    char = float(np.clip(rng.normal(0.22, 0.05), 0.08, 0.36))
    bound = float(np.clip(rng.normal(0.10, 0.03), 0.02, 0.2))
    late = float(np.clip(rng.normal(0.8, 0.15), 0.2, 1.0))
    lost = float(np.clip(rng.spawn(1)[0].normal(0.10, 0.05), 0.0, 0.3))
    return replace(
        model, apatite_model=replace(apatite, substitution=True, vacancies=float(rng.random())), materials=materials,
        organics=organics, char_fraction=char, lipid_char=0.1 * char, char_lost=lost, bound_water=bound,
        bound_water_late=late,
    )  # fmt: skip


def _vary_steps(steps: tuple[Step, ...], rng: np.random.Generator) -> tuple[Step, ...]:
    """Steps at other temperatures (σ 8 K), with other energies and shares; the shares still sum to 1."""
    shifts = rng.normal(0.0, 8.0, len(steps))
    energy_factors = rng.uniform(0.9, 1.15, len(steps))
    weights = np.exp(rng.normal(0.0, 0.25, len(steps)))
    total = sum(step.share * w for step, w in zip(steps, weights, strict=True))
    return tuple(
        Step(share=step.share * w / total, reaction=step.reaction.shifted(shift, energy_factor=factor))
        for step, shift, factor, w in zip(steps, shifts, energy_factors, weights, strict=True)
    )


def vary_conditions(rng: np.random.Generator, *, atmosphere: Atmosphere = "air") -> tuple[XrdConditions, TgaConditions]:
    """Draw a laboratory: a diffractometer and a thermobalance with their programmes.

    Peak counts 10³–10⁴, other optics, alignment, axial divergence, monochromator or filter with residual Kβ,
    transparency, air scatter; heating rate 2–40 K/min, 1–30 mg, noise 0.5–10 µg, drift of some µg over the
    run, pan volume 0.01–0.05 cm³.
    """
    monochromator = 26.6 if rng.random() < 0.3 else None
    filtered = monochromator is None and rng.random() < 0.6
    xrd = XrdConditions(
        step=float(rng.choice([0.02, 0.025, 0.03])), peak_counts=float(10.0 ** rng.uniform(3.0, 4.0)),
        radius_mm=float(rng.choice([173.0, 185.0, 217.5, 240.0, 280.0])), displacement_mm=float(rng.normal(0.0, 0.05)),
        zero_shift=float(rng.normal(0.0, 0.01)), monochromator_two_theta=monochromator,
        kbeta_ratio=float(rng.uniform(0.001, 0.01)) if filtered else 0.0,
        tungsten_ratio=float(rng.uniform(0.0, 0.004)) if rng.random() < 0.2 else 0.0,
        fwhm_u=float(rng.uniform(0.0, 0.01)), fwhm_v=float(rng.uniform(-0.004, 0.0)),
        fwhm_w=float(rng.uniform(0.003, 0.008)), axial_half_angle_deg=float(rng.uniform(0.8, 2.3)),
        transparency=bool(rng.random() < 0.3), background_constant=float(rng.uniform(0.02, 0.15)),
        air_scatter=float(rng.uniform(0.1, 0.5)), air_exponent=float(rng.uniform(1.0, 2.0)),
    )  # fmt: skip
    rate = float(np.exp(rng.uniform(np.log(2.0), np.log(40.0))))
    hours = 975.0 / rate / 60.0
    tga = TgaConditions(
        heating_rate_k_min=rate, sample_mass_mg=float(np.exp(rng.uniform(np.log(1.0), np.log(30.0)))),
        noise_ug=float(np.exp(rng.uniform(np.log(0.5), np.log(10.0)))), drift_ug_h=float(rng.normal(0.0, 4.0)) / hours,
        wander_ug=float(rng.uniform(0.0, 2.0)), pan_volume_cm3=float(rng.uniform(0.01, 0.05)), atmosphere=atmosphere,
    )  # fmt: skip
    return xrd, tga
