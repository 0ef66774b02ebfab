"""The mass of a specimen in the thermobalance: every component goes by its own kinetics.

Water dries with a tail, amorphous mineral gives its bound water before and after 220 °C, protein and lipid burn in
overlapping steps (air) or pyrolyse to char (inert gas), which may go on losing mass above 700 °C, lattice carbonate
leaves over 600–950 °C, apatite loses hydroxyl above 900 °C. Peak temperatures are for 10 K/min and move with the rate
by the activation energy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.data import TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.scattering import table_rows
from xrdcomp.simulate.specimens import (
    CELSIUS_ZERO_K,
    LIPID,
    PROTEIN,
    Reaction,
    SpecimenModel,
    TgaConditions,
    extent,
    peak_reaction,
)
from xrdcomp.units import FloatArray

CO2_PER_CO3 = 44.0095 / 60.009
# mg/cm³ at 25 °C and 1 bar, ideal gas: p M / (R T); an unknown gas counts as air
_GAS_DENSITY = {
    "air": 1.169, "oxygen": 1.291, "nitrogen": 1.130, "argon": 1.612, "helium": 0.1615, "carbon_dioxide": 1.775,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A mass fraction that leaves by one reaction, and what it is."""

    name: str
    mass_fraction: float
    reaction: Reaction


# Share of the mass of what decomposes, peak at 10 K/min, activation energy, reaction order. Losses of phases by
# stoichiometry; temperatures of calcium oxalate after Frost & Weier (2004), of the sulfate and the others such that
# neighbouring steps are separated as in published curves. Water: free first, then what protein holds, a drying curve
# with a tail to about 200 °C. Apatite: 2 Ca5(PO4)3OH give one H2O.
_DECOMPOSITION = """
of                    leaves               share peak_c kJ_mol order
water                 water              0.70      68     48   0.6
water                 water              0.20      98     62   1.0
water                 water              0.10     135     75   1.2
bound_water_early     bound_water_early  1.0      135     70   1.3
bound_water_late      bound_water_late   0.6      300     95   1.5
bound_water_late      bound_water_late   0.4      400    110   1.5
hydrogen_phosphate    condensation       1.0      400    120   1.6
apatite_hydroxyl      hydroxyl           0.01793 1080    280   1.3
lattice_carbonate     carbonate          0.35     705    220   1.2
lattice_carbonate     carbonate          0.40     775    240   1.1
lattice_carbonate     carbonate          0.25     845    260   1.0
calcite               carbonate          0.43972  770    190   0.6
aragonite             carbonate          0.43972  765    190   0.6
vaterite              carbonate          0.43972  760    190   0.6
whewellite            crystal_water      0.12329  162    110   0.8
whewellite            carbon_monoxide    0.19170  479    250   0.8
whewellite            carbonate          0.30119  684    210   0.6
weddellite            crystal_water      0.21950  150     95   0.9
weddellite            carbon_monoxide    0.17070  479    250   0.8
weddellite            carbonate          0.26810  684    210   0.6
struvite              crystal_water      0.5099   118     95   1.2
struvite              condensation       0.0367   480    150   1.2
newberyite            crystal_water      0.310    150    100   1.1
newberyite            condensation       0.0517   480    150   1.2
brushite              crystal_water      0.20935  185    130   1.1
brushite              condensation       0.05234  430    150   1.2
monetite              condensation       0.0662   440    160   1.2
octacalcium_phosphate crystal_water      0.0917   140     80   1.8
octacalcium_phosphate condensation       0.0183   430    140   1.3
gypsum                crystal_water      0.2093   145    100   0.9
portlandite           hydroxyl           0.24315  460    190   0.7
brucite               hydroxyl           0.3089   390    170   0.8
halite                chloride           1.0      960    190   0.3
sylvite               chloride           1.0      930    190   0.3
char                  char               0.5      790    190   1.4
char                  char               0.5      880    260   1.0
uric_acid             organic            0.75     415    200   1.0
uric_acid             organic            0.25     520    170   1.0
cystine               organic            0.60     265    180   1.2
cystine               organic            0.40     540    150   1.0
copper_sulfate        water_1            0.14431   72    150   0.5
copper_sulfate        water_2            0.14431  116    170   0.6
copper_sulfate        water_3            0.07215  240    170   0.7
copper_sulfate        sulfur_oxide_1     0.16033  690    260   0.7
copper_sulfate        sulfur_oxide_2     0.16033  765    280   0.7
"""


_POOLS: dict[str, tuple[Pool, ...]] = {}
for _row in table_rows(_DECOMPOSITION):
    _reaction = peak_reaction(*(float(_row[name]) for name in ("peak_c", "kJ_mol", "order")))
    _pool = Pool(name=_row["leaves"], mass_fraction=float(_row["share"]), reaction=_reaction)
    _POOLS[_row["of"]] = (*_POOLS.get(_row["of"], ()), _pool)

STANDARDS: dict[str, tuple[Pool, ...]] = {
    "calcium-oxalate-monohydrate": _POOLS["whewellite"],  # CaC2O4·H2O
    "copper-sulfate-pentahydrate": _POOLS["copper_sulfate"],  # CuSO4·5H2O
    "calcite": _POOLS["calcite"],
    "portlandite": _POOLS["portlandite"],
}


def specimen_pools(model: SpecimenModel, *, inert: bool) -> tuple[Pool, ...]:
    """Everything that a specimen loses on heating, as pools with their reactions.

    In an `inert` gas (nitrogen, argon, helium) organic matter chars instead of burning.
    """

    def of(mass: float, substance: str) -> list[Pool]:
        """Pools of a component or phase, of which there is a mass fraction of the specimen."""
        pools = _POOLS.get(substance, ())
        return [replace(pool, mass_fraction=pool.mass_fraction * mass) for pool in pools]

    bound, late = model.bound_water * model.amorphous_mineral, model.bound_water_late
    pools = of(model.water, "water")
    pools += of((1.0 - late) * bound, "bound_water_early") + of(late * bound, "bound_water_late")
    kinetics = model.organics or {"protein": PROTEIN, "lipid": LIPID}
    for name, mass, char in (
        ("protein", model.protein, model.char_fraction),
        ("lipid", model.lipid, model.char_of_lipid),
    ):
        steps, gone = (kinetics[name].inert, 1.0 - char) if inert else (kinetics[name].air, 1.0)
        pools += [Pool(name=name, mass_fraction=gone * mass * s.share, reaction=s.reaction) for s in steps]
        if inert:
            pools += of(model.char_lost * char * mass, "char")
    if model.carbonate_site != "calcite":
        pools += of(CO2_PER_CO3 * model.carbonate, "lattice_carbonate")
    pools += of(model.hpo4_water * (model.apatite + model.amorphous_mineral), "hydrogen_phosphate")
    pools += of(model.apatite, "apatite_hydroxyl")
    for phase_id, mass in model.other_phases.items():
        pools += of(mass, phase_id)
    return tuple(pool for pool in pools if pool.mass_fraction > 0.0)


@dataclass(frozen=True, kw_only=True)
class HeatingProgramme:
    """`time_s`, `temperature_c` and number of the `segment` at every reading."""

    time_s: FloatArray
    temperature_c: FloatArray
    segment: FloatArray


def heating_programme(conditions: TgaConditions) -> HeatingProgramme:
    """Return the programme as the furnace runs it.

    A plain ramp starts with the furnace's lag; a hold is a segment of its own, without lag.
    """
    rate = conditions.heating_rate_k_min / 60.0
    corners_t, corners_c, starts = [0.0], [conditions.start_c], [0.0]
    for corner, minutes in (*conditions.holds, (conditions.end_c, 0.0)):
        corners_t.append(corners_t[-1] + (corner - corners_c[-1]) / rate)
        corners_c.append(corner)
        if minutes > 0.0:
            starts.append(corners_t[-1])
            corners_t.append(corners_t[-1] + 60.0 * minutes)
            corners_c.append(corner)
            starts.append(corners_t[-1])
    lag = 0.0 if conditions.holds else conditions.furnace_lag_s
    time: FloatArray = np.linspace(0.0, corners_t[-1] + lag, conditions.points)
    ramp: FloatArray = np.interp(time, corners_t, corners_c)
    if lag > 0.0:
        # response of a first-order furnace to a ramp, reaching the programme's end a lag later
        ramp = conditions.start_c + rate * (time - lag * -np.expm1(-time / lag))
    segment = np.searchsorted(np.array(starts[1:]), time, side="right").astype(float)
    return HeatingProgramme(time_s=time, temperature_c=ramp, segment=segment)


def expected_mass(pools: Iterable[Pool], programme: HeatingProgramme) -> FloatArray:
    """True mass relative to the start, without balance effects."""
    mass = np.ones(len(programme.time_s))
    for pool in pools:
        mass -= pool.mass_fraction * extent(pool.reaction, programme.time_s, programme.temperature_c)
    return mass


def measure_mass(
    fraction: FloatArray, programme: HeatingProgramme, conditions: TgaConditions, rng: np.random.Generator
) -> FloatArray:
    """Reading of the balance in mg: buoyancy, drift, wander and noise added to the true mass fraction.

    Buoyancy: the displaced gas thins as 1/T, so the reading gains V (ρ(T0) − ρ(T)), V of pan and specimen.
    """
    points = len(programme.time_s)
    at_25c = _GAS_DENSITY.get(conditions.atmosphere, _GAS_DENSITY["air"])
    density = at_25c * 298.15 / (programme.temperature_c + CELSIUS_ZERO_K)
    sample = conditions.sample_mass_mg * fraction
    volume = conditions.pan_volume_cm3 + sample * 1e-3 / conditions.sample_density_g_cm3
    gain = volume[0] * density[0] - volume * density
    hours = programme.time_s / 3600.0
    reading = sample + gain + 1e-3 * conditions.drift_ug_h * hours
    if conditions.wander_ug > 0.0:
        # a random walk whose end has the standard deviation asked for, however many readings there are
        steps = rng.standard_normal(points)
        reading += 1e-3 * conditions.wander_ug * np.cumsum(steps) / np.sqrt(points)
    return np.asarray(reading + 1e-3 * conditions.noise_ug * rng.standard_normal(points), dtype=np.float64)


def weigh(pools: tuple[Pool, ...] | None, conditions: TgaConditions, *, seed: int, name: str) -> TgaRun:
    """Run the programme on a set of pools, or on an empty pan, as the balance's export would hold it."""
    programme = heating_programme(conditions)
    if pools is None:
        fraction = np.zeros(len(programme.time_s))
    else:
        total = sum(pool.mass_fraction for pool in pools)
        if total > 1.0 + 1e-9:
            msg = f"the pools of {name!r} lose {total:.4f} of the mass; no more than 1 can leave."
            raise AnalysisError(msg)
        fraction = expected_mass(pools, programme)
    return TgaRun(
        temperature_c=programme.temperature_c,
        mass=measure_mass(fraction, programme, conditions, np.random.default_rng(seed)), mass_unit="mg",
        time_s=programme.time_s, initial_mass_mg=conditions.sample_mass_mg, segment=programme.segment.astype(np.int64),
        atmosphere=conditions.atmosphere, heating_rate_k_min=conditions.heating_rate_k_min,
        metadata={"sample_name": name, "simulated": True, "instrument": "simulated by xrdcomp"},
    )  # fmt: skip


def simulate_tga_blank(conditions: TgaConditions, *, seed: int) -> TgaRun:
    """Run the same programme with an empty pan: buoyancy of the pan, drift and noise, starting at 0 mg."""
    return weigh(None, conditions, seed=seed, name="empty pan")


def simulate_standard(standard: str, conditions: TgaConditions, *, seed: int) -> TgaRun:
    """Run a stoichiometric standard, one of `STANDARDS`."""
    if standard not in STANDARDS:
        msg = f"{standard!r} is not a simulated standard; choose one of {', '.join(STANDARDS)}."
        raise AnalysisError(msg)
    return weigh(STANDARDS[standard], conditions, seed=seed, name=f"{standard} (simulated)")


def simulate_reaction(reaction: Reaction, conditions: TgaConditions, *, loss: float = 0.4, seed: int) -> TgaRun:
    """Run a single-step reaction that loses `loss` of the mass, for tests of kinetics."""
    pool = Pool(name="reaction", mass_fraction=loss, reaction=reaction)
    return weigh((pool,), conditions, seed=seed, name="single step (simulated)")
