"""Populations of specimens and of laboratories, for calibration studies.

`draw_specimen` draws compositions, `vary_character` gives a specimen halos, crystallites and kinetics that need
not be what an analysis assumes, `vary_conditions` draws a laboratory. Each takes a numpy Generator and nothing
else that is random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from xrdcomp.data import Atmosphere, Cell, EmissionLine, Pattern, TgaRun
from xrdcomp.errors import AnalysisError, PatternError
from xrdcomp.simulate.amorphous import MATERIALS, AmorphousMaterial
from xrdcomp.simulate.crystals import CrystalliteShape
from xrdcomp.units import CELSIUS_ZERO_K, KALPHA2_RATIO, FloatArray

# ------------ How a simulated specimen is measured: the diffractometer and the thermobalance.


@dataclass(frozen=True, kw_only=True)
class TubeLine:
    """One line of the tube: wavelength in ångström, weight relative to Kα1, natural FWHM in ångström."""

    wavelength: float
    weight: float
    fwhm: float


def _tube(
    kalpha1: float, kalpha2: float, kbeta: float, energy_width_ev: float
) -> dict[str, tuple[float, float]]:
    width = kalpha1 * kalpha1 * energy_width_ev / 12398.42
    return {
        "kalpha1": (kalpha1, width),
        "kalpha2": (kalpha2, 1.15 * width),
        "kbeta": (kbeta, 1.5 * width * (kbeta / kalpha1) ** 2),
    }


# Peak wavelengths as in common use (Hölzer et al. 1997 for Cr, Co, Cu; Bearden 1967 for Mo, Ag); natural
# widths of Kα1 in eV after Krause & Oliver (1979).
_TUBES: dict[str, dict[str, tuple[float, float]]] = {
    "Cu": _tube(1.540598, 1.544426, 1.392250, 2.3),
    "Co": _tube(1.789010, 1.792900, 1.620830, 2.9),
    "Mo": _tube(0.709319, 0.713609, 0.632305, 6.4),
    "Cr": _tube(2.289760, 2.293663, 2.084920, 2.1),
    "Ag": _tube(0.559422, 0.563813, 0.497082, 8.9),
    "Fe": _tube(1.936042, 1.939980, 1.756610, 2.6),
}
RADIATIONS = tuple(_TUBES)


def anode_lines(anode: str) -> dict[str, tuple[float, float]]:
    """Wavelength and natural FWHM (Å) of ``kalpha1``, ``kalpha2`` and ``kbeta`` of an anode."""
    return dict(_TUBES[anode])


_TUNGSTEN_LALPHA = (1.476300, 0.001150)


@dataclass(frozen=True, kw_only=True)
class Hump:
    """A broad maximum of the holder: centre and FWHM in degrees, height relative to the mean signal.

    Attributes
    ----------
    two_theta, fwhm : float, degrees
    height : float
    """

    two_theta: float
    fwhm: float
    height: float


@dataclass(frozen=True, kw_only=True)
class XrdConditions:
    """The diffractometer and the scan.

    Parameters
    ----------
    anode : str, one of ``RADIATIONS``
    two_theta_min, two_theta_max, step : float, degrees
    peak_counts : float
        Expected counts at the highest point of the pattern; more lowers the noise.
    absolute_scale : float or None
        Counts of a thick specimen are absolute_scale · σ(2θ) / (2 μ/ρ), σ in electron units per dalton and
        μ/ρ in cm²/g.
        Replaces `peak_counts`, so that specimens can be compared with an external standard.
    counting_time_s : float
        Written into the pattern; does not change the counts.
    radius_mm : float
    displacement_mm : float
        Specimen surface behind the goniometer axis (positive): lines move by −2 s cosθ / R, to lower angles.
    zero_shift : float, degrees, observed = true + zero_shift
    monochromator_two_theta : float or None
        Diffraction angle of a crystal monochromator, None for a filter.
    kalpha2_ratio : float
        Kα2 relative to Kα1; 0 for a Kα1 instrument.
    kbeta_ratio, tungsten_ratio : float
        Residual Kβ and W Lα relative to Kα1 as they reach the detector.
    fwhm_u, fwhm_v, fwhm_w : float, deg²
        Gaussian part of the optics, FWHM² = U tan²θ + V tanθ + W.
    receiving_slit_deg : float
        Width of the receiving slit, a box in 2θ.
    axial_half_angle_deg : float
        Half angle that the Soller slits pass in the incident and diffracted beam; larger pulls longer tails
        to low angles. 0 switches axial divergence off.
    transparency : bool
        Whether the beam's depth in the specimen broadens and shifts the lines (thick specimen).
    variable_slit : bool
        Intensity then carries a factor sinθ.
    background_constant, air_scatter : float
        Flat background, and air scatter at 10°, relative to the specimen's mean signal.
    air_exponent : float
        Air scatter falls as (10° / 2θ) to this power.
    humps : tuple of Hump
        Of the specimen holder; none by default.
    """

    anode: str = "Cu"
    two_theta_min: float = 5.0
    two_theta_max: float = 80.0
    step: float = 0.02
    peak_counts: float = 5000.0
    absolute_scale: float | None = None
    counting_time_s: float = 1.0
    radius_mm: float = 240.0
    displacement_mm: float = 0.0
    zero_shift: float = 0.0
    monochromator_two_theta: float | None = None
    kalpha2_ratio: float = KALPHA2_RATIO
    kbeta_ratio: float = 0.0
    tungsten_ratio: float = 0.0
    fwhm_u: float = 0.004
    fwhm_v: float = -0.002
    fwhm_w: float = 0.0025
    receiving_slit_deg: float = 0.03
    axial_half_angle_deg: float = 1.6
    transparency: bool = False
    variable_slit: bool = False
    background_constant: float = 0.05
    air_scatter: float = 0.25
    air_exponent: float = 1.5
    humps: tuple[Hump, ...] = ()

    def __post_init__(self) -> None:
        if self.anode not in _TUBES:
            msg = f"anode {self.anode!r} is not simulated; choose one of {', '.join(_TUBES)}."
            raise PatternError(msg)
        if not 0.0 < self.two_theta_min < self.two_theta_max <= 170.0 or self.step <= 0.0:
            msg = (
                f"the scan {self.two_theta_min:g} to {self.two_theta_max:g} degrees, step {self.step:g}, "
                "is not one; angles must rise between 0 and 170 with a positive step."
            )
            raise PatternError(msg)

    @property
    def wavelength(self) -> float:
        """Wavelength of Kα1, ångström."""
        return _TUBES[self.anode]["kalpha1"][0]

    @property
    def tube_lines(self) -> tuple[TubeLine, ...]:
        """All lines that reach the detector, Kα1 first."""
        tube = _TUBES[self.anode]
        wanted = [("kalpha1", 1.0), ("kalpha2", self.kalpha2_ratio), ("kbeta", self.kbeta_ratio)]
        lines = [TubeLine(wavelength=tube[n][0], weight=w, fwhm=tube[n][1]) for n, w in wanted if w > 0.0]
        if self.tungsten_ratio > 0.0:
            wavelength, fwhm = _TUNGSTEN_LALPHA
            lines.append(TubeLine(wavelength=wavelength, weight=self.tungsten_ratio, fwhm=fwhm))
        return tuple(lines)

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Kα1 and Kα2, as an instrument's file would state them: residual lines are not announced."""
        tube = _TUBES[self.anode]
        lines = [EmissionLine(wavelength=tube["kalpha1"][0], weight=1.0)]
        if self.kalpha2_ratio > 0.0:
            lines.append(EmissionLine(wavelength=tube["kalpha2"][0], weight=self.kalpha2_ratio))
        return tuple(lines)


@dataclass(frozen=True, kw_only=True)
class TgaConditions:
    """The thermobalance and its programme.

    Parameters
    ----------
    heating_rate_k_min : float
    start_c, end_c : float, °C
    sample_mass_mg : float
        In vacuum; the balance is taken to show it at the start. A balance shows less by the buoyancy of the cold
        specimen (0.08 % at 1.5 g/cm³), so that what has left weighs too little here by its own: the largest error
        that zeroing can make.
    noise_ug : float
        Standard deviation of a reading.
    drift_ug_h : float
        Steady drift of the balance; positive lets the mass grow.
    wander_ug : float
        Standard deviation of a slow random walk at the end of the run.
    pan_volume_cm3 : float
        Volume of pan and suspension in the hot zone; with the specimen's own volume it gives the buoyancy.
    sample_density_g_cm3 : float
    atmosphere : {"air", "nitrogen", …}
    holds : tuple of (temperature °C, minutes)
        Isothermal segments, in rising order.
    points : int
        Readings in the run, evenly spaced in time.
    furnace_lag_s : float
        Time constant with which the furnace takes up the ramp.
    """

    heating_rate_k_min: float = 10.0
    start_c: float = 25.0
    end_c: float = 1000.0
    sample_mass_mg: float = 12.0
    noise_ug: float = 2.0
    drift_ug_h: float = 0.0
    wander_ug: float = 0.0
    pan_volume_cm3: float = 0.03
    sample_density_g_cm3: float = 1.5
    atmosphere: Atmosphere = "air"
    holds: tuple[tuple[float, float], ...] = ()
    points: int = 3500
    furnace_lag_s: float = 15.0

    def __post_init__(self) -> None:
        if self.heating_rate_k_min <= 0 or self.end_c <= self.start_c or self.points < 10:
            msg = (
                f"a programme from {self.start_c:g} to {self.end_c:g} °C at {self.heating_rate_k_min:g} "
                f"K/min with {self.points} points is not one; the rate must be positive, the end above "
                "the start, and there must be 10 points or more."
            )
            raise PatternError(msg)
        temperatures = [t for t, _ in self.holds]
        if temperatures != sorted(temperatures) or any(
            not self.start_c <= t <= self.end_c for t in temperatures
        ):
            msg = f"holds must rise within the programme; they are {temperatures} °C."
            raise PatternError(msg)

    @property
    def inert(self) -> bool:
        """Whether organic matter chars instead of burning."""
        return self.atmosphere in ("nitrogen", "argon")


# ------------ Reaction kinetics: what leaves the pan, when, at which rate.
# A reaction of order n loses its pool as dα/dt = A exp(−E/RT) (1 − α)ⁿ. Its solution needs only the integral
# I(t) = ∫ A exp(−E/RT) dt, taken numerically over the actual programme, holds included:
# 1 − α = exp(−I) for n = 1 and [1 + (n − 1) I]^(1/(1−n)) otherwise.

GAS_CONSTANT = 8.31446261815324e-3  # kJ/(mol K)
_REFERENCE_RATE_K_MIN = 10.0


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """Kinetics of one step: activation energy kJ/mol, ln of the pre-exponential factor (1/s), order.

    Attributes
    ----------
    activation_energy : float, kJ/mol
    ln_a : float
        A in 1/s.
    order : float
    """

    activation_energy: float
    ln_a: float
    order: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """A share of something that leaves by one reaction."""

    share: float
    reaction: Reaction


@dataclass(frozen=True, kw_only=True)
class OrganicKinetics:
    """How an organic component goes: steps in air (to nothing) and in an inert gas (to char).

    The shares of each list sum to 1; in an inert gas they are of what does not stay as char.
    """

    air: tuple[Step, ...]
    inert: tuple[Step, ...]

    def __post_init__(self) -> None:
        for name, steps in (("air", self.air), ("inert", self.inert)):
            total = sum(step.share for step in steps)
            if abs(total - 1.0) > 1e-9:
                msg = f"the shares of the steps in {name} sum to {total:g}, not 1."
                raise AnalysisError(msg)

    def shifted(self, *, kelvin: float) -> OrganicKinetics:
        """Return a copy whose steps peak `kelvin` higher at the reference rate."""
        return OrganicKinetics(
            air=tuple(_shift(s, kelvin) for s in self.air), inert=tuple(_shift(s, kelvin) for s in self.inert)
        )


def _shift(step: Step, kelvin: float) -> Step:
    r = step.reaction
    peak = _peak_temperature(r)
    return replace(step, reaction=peak_reaction(peak + kelvin - CELSIUS_ZERO_K, r.activation_energy, r.order))


def vary_steps(
    steps: tuple[Step, ...],
    *,
    shifts: tuple[float, ...],
    energy_factors: tuple[float, ...],
    weights: tuple[float, ...],
) -> tuple[Step, ...]:
    """Return steps that peak `shifts` kelvin higher with other energies and shares; the shares still sum to 1.

    Parameters
    ----------
    steps : tuple of Step
    shifts : K at the reference rate, one per step
    energy_factors, weights : factors on activation energy and share, one per step
    """
    total = sum(step.share * w for step, w in zip(steps, weights, strict=True))
    varied = []
    for step, shift, factor, weight in zip(steps, shifts, energy_factors, weights, strict=True):
        r = step.reaction
        peak = _peak_temperature(r) + shift - CELSIUS_ZERO_K
        reaction = peak_reaction(peak, factor * r.activation_energy, r.order)
        varied.append(Step(share=step.share * weight / total, reaction=reaction))
    return tuple(varied)


def _peak_temperature(reaction: Reaction) -> float:
    """Peak at the reference rate in kelvin, from E β / (R T²) = A exp(−E/RT)."""
    t = 600.0
    rate = _REFERENCE_RATE_K_MIN / 60.0
    e = reaction.activation_energy / GAS_CONSTANT
    for _ in range(60):
        t = e / (reaction.ln_a - np.log(e * rate) + 2.0 * np.log(t))
    return float(t)


def peak_reaction(peak_c: float, activation_energy: float, order: float = 1.0) -> Reaction:
    """Return the reaction whose rate peaks at `peak_c` when heated at 10 K/min.

    A = (β E / R T²) exp(E / R T)  [Kissinger 1957; exact for first order, within a few kelvin otherwise].

    Parameters
    ----------
    peak_c : float, °C
    activation_energy : float, kJ/mol; larger makes the step narrower
    order : float; above 1 draws a tail to high temperatures, below 1 ends the step abruptly

    Returns
    -------
    Reaction
    """
    t = peak_c + CELSIUS_ZERO_K
    e = activation_energy / GAS_CONSTANT
    ln_a = np.log(_REFERENCE_RATE_K_MIN / 60.0 * e / (t * t)) + e / t
    return Reaction(activation_energy=activation_energy, ln_a=float(ln_a), order=order)


def extent(reaction: Reaction, time_s: FloatArray, temperature_c: FloatArray) -> FloatArray:
    """Share of the pool that has reacted, 0 at the start, over a temperature programme.

    Parameters
    ----------
    time_s, temperature_c : (n,) arrays

    Returns
    -------
    (n,) array, 0–1
    """
    t = temperature_c + CELSIUS_ZERO_K
    rate = np.exp(np.minimum(reaction.ln_a - reaction.activation_energy / (GAS_CONSTANT * t), 60.0))
    # the rate is nearly exponential between readings: logarithmic mean instead of the trapezoid
    first, second = rate[:-1], rate[1:]
    ratio = np.log(np.maximum(second, 1e-300) / np.maximum(first, 1e-300))
    flat = np.abs(ratio) < 1e-6
    mean = np.where(flat, 0.5 * (first + second), (second - first) / np.where(flat, 1.0, ratio))
    integral = np.concatenate([[0.0], np.cumsum(mean * np.diff(time_s))])
    n = reaction.order
    if abs(n - 1.0) < 1e-9:
        done: FloatArray = -np.expm1(-integral)
        return done
    base = np.maximum(1.0 + (n - 1.0) * integral, 0.0)
    with np.errstate(divide="ignore"):
        left = np.where(base > 0.0, np.power(np.maximum(base, 1e-300), 1.0 / (1.0 - n)), 0.0)
    return 1.0 - np.minimum(left, 1.0)


def _steps(*rows: tuple[float, float, float, float]) -> tuple[Step, ...]:
    """Build steps from rows of (share, peak °C at 10 K/min, E kJ/mol, order)."""
    return tuple(Step(share=w, reaction=peak_reaction(p, e, n)) for w, p, e, n in rows)


# Collagen: main step 320–340 °C, E 120–220 kJ/mol; char burns at 450–550 °C (bone and collagen literature;
# the split into overlapping steps is this module's own).
PROTEIN = OrganicKinetics(
    air=_steps(
        (0.16, 285.0, 130.0, 1.5),
        (0.42, 330.0, 160.0, 1.6),
        (0.17, 420.0, 130.0, 1.4),
        (0.25, 505.0, 170.0, 1.0),
    ),
    inert=_steps((0.14, 280.0, 130.0, 1.5), (0.56, 330.0, 165.0, 1.8), (0.30, 430.0, 110.0, 1.8)),
)
# Triglyceride: several oxidation steps 250–450 °C in air, one at 380–430 °C in nitrogen.
LIPID = OrganicKinetics(
    air=_steps((0.30, 325.0, 110.0, 1.0), (0.45, 385.0, 140.0, 1.0), (0.25, 470.0, 150.0, 1.1)),
    inert=_steps((0.10, 300.0, 110.0, 1.0), (0.90, 405.0, 180.0, 1.0)),
)


# ------------ What a simulated specimen is made of, and what comes out of a simulation.

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


# ------------ Populations of specimens and of laboratories, for calibration studies.
# `draw_specimen` draws compositions, `vary_character` gives a specimen halos, crystallites and kinetics that need
# not be what an analysis assumes, `vary_conditions` draws a laboratory. Each takes a numpy Generator and nothing
# else that is random.

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
