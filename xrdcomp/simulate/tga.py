"""The mass of a specimen in the thermobalance: every component goes by its own kinetics.

Water dries with a tail, amorphous mineral gives its bound water before and after 220 °C, protein and lipid
burn in overlapping steps (air) or pyrolyse to char (inert gas), lattice carbonate leaves over 600–950 °C,
apatite loses hydroxyl above 900 °C. Peak temperatures are for 10 K/min and move with the rate by the
activation energy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xrdcomp.data import TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.simulate.specimens import (
    LIPID,
    PROTEIN,
    OrganicKinetics,
    Reaction,
    SpecimenModel,
    TgaConditions,
    extent,
    mass_fractions,
    peak_reaction,
)
from xrdcomp.units import CELSIUS_ZERO_K, FloatArray

CO2_PER_CO3 = 44.0095 / 60.009
HYDROXYL_LOSS = 0.01793  # 2 Ca5(PO4)3OH -> H2O, mass fraction of hydroxyapatite
_STANDARD_PRESSURE_DENSITY = {  # mg/cm³ at 25 °C and 1 bar, ideal gas: p M / (R T)
    "air": 1.169,
    "oxygen": 1.291,
    "nitrogen": 1.130,
    "argon": 1.612,
    "carbon_dioxide": 1.775,
    "unknown": 1.169,
}


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A mass fraction that leaves by one reaction, and what it is."""

    name: str
    mass_fraction: float
    reaction: Reaction


# rows: share of the phase's mass, name of what leaves, peak °C at 10 K/min, E kJ/mol, order
_PHASE_STEPS: dict[str, tuple[tuple[float, str, float, float, float], ...]] = {
    "calcite": ((0.43972, "carbonate", 770.0, 190.0, 0.6),),
    "aragonite": ((0.43972, "carbonate", 765.0, 190.0, 0.6),),
    "vaterite": ((0.43972, "carbonate", 760.0, 190.0, 0.6),),
    "whewellite": (
        (0.12329, "crystal_water", 162.0, 110.0, 0.8),
        (0.19170, "carbon_monoxide", 479.0, 250.0, 0.8),
        (0.30119, "carbonate", 684.0, 210.0, 0.6),
    ),
    "weddellite": (
        (0.21950, "crystal_water", 150.0, 95.0, 0.9),
        (0.17070, "carbon_monoxide", 479.0, 250.0, 0.8),
        (0.26810, "carbonate", 684.0, 210.0, 0.6),
    ),
    "struvite": ((0.5099, "crystal_water", 118.0, 95.0, 1.2), (0.0367, "condensation", 480.0, 150.0, 1.2)),
    "newberyite": ((0.310, "crystal_water", 150.0, 100.0, 1.1), (0.0517, "condensation", 480.0, 150.0, 1.2)),
    "brushite": ((0.20935, "crystal_water", 185.0, 130.0, 1.1), (0.05234, "condensation", 430.0, 150.0, 1.2)),
    "monetite": ((0.0662, "condensation", 440.0, 160.0, 1.2),),
    "octacalcium_phosphate": (
        (0.0917, "crystal_water", 140.0, 80.0, 1.8),
        (0.0183, "condensation", 430.0, 140.0, 1.3),
    ),
    "gypsum": ((0.2093, "crystal_water", 145.0, 100.0, 0.9),),
    "portlandite": ((0.24315, "hydroxyl", 460.0, 190.0, 0.7),),
    "brucite": ((0.3089, "hydroxyl", 390.0, 170.0, 0.8),),
    "halite": ((1.0, "chloride", 960.0, 190.0, 0.3),),
    "sylvite": ((1.0, "chloride", 930.0, 190.0, 0.3),),
    "uric_acid": ((0.75, "organic", 415.0, 200.0, 1.0), (0.25, "organic", 520.0, 170.0, 1.0)),
    "cystine": ((0.60, "organic", 265.0, 180.0, 1.2), (0.40, "organic", 540.0, 150.0, 1.0)),
}


@dataclass(frozen=True, kw_only=True)
class _Standard:
    formula: str
    steps: tuple[tuple[float, str, float, float, float], ...]


# Losses by stoichiometry; temperatures of calcium oxalate after Frost & Weier (2004), of the sulfate and the
# others such that neighbouring steps are separated as in published curves.
STANDARDS: dict[str, _Standard] = {
    "calcium-oxalate-monohydrate": _Standard(formula="CaC2O4.H2O", steps=_PHASE_STEPS["whewellite"]),
    "copper-sulfate-pentahydrate": _Standard(
        formula="CuSO4.5H2O",
        steps=(
            (0.14431, "water_1", 72.0, 150.0, 0.5),
            (0.14431, "water_2", 116.0, 170.0, 0.6),
            (0.07215, "water_3", 240.0, 170.0, 0.7),
            (0.16033, "sulfur_oxide_1", 690.0, 260.0, 0.7),
            (0.16033, "sulfur_oxide_2", 765.0, 280.0, 0.7),
        ),
    ),
    "calcite": _Standard(formula="CaCO3", steps=_PHASE_STEPS["calcite"]),
    "portlandite": _Standard(formula="Ca(OH)2", steps=_PHASE_STEPS["portlandite"]),
}


def _pool(row: tuple[float, str, float, float, float], mass: float) -> Pool:
    share, name, peak, energy, order = row
    return Pool(name=name, mass_fraction=share * mass, reaction=peak_reaction(peak, energy, order))


def specimen_pools(model: SpecimenModel, *, inert: bool) -> tuple[Pool, ...]:
    """Everything that a specimen loses on heating, as pools with their reactions.

    Parameters
    ----------
    inert : bool
        Whether organic matter chars (nitrogen, argon) instead of burning.
    """
    rows: list[Pool] = [
        # free water first, then what protein holds: a drying curve with a tail to about 200 °C
        _pool((0.70, "water", 68.0, 48.0, 0.6), model.water),
        _pool((0.20, "water", 98.0, 62.0, 1.0), model.water),
        _pool((0.10, "water", 135.0, 75.0, 1.2), model.water),
    ]
    bound = model.bound_water * model.amorphous_mineral
    rows.append(_pool((1.0 - model.bound_water_late, "bound_water_early", 135.0, 70.0, 1.3), bound))
    rows.append(_pool((0.6 * model.bound_water_late, "bound_water_late", 300.0, 95.0, 1.5), bound))
    rows.append(_pool((0.4 * model.bound_water_late, "bound_water_late", 400.0, 110.0, 1.5), bound))
    kinetics: Mapping[str, OrganicKinetics] = model.organics or {"protein": PROTEIN, "lipid": LIPID}
    for name, mass in (("protein", model.protein), ("lipid", model.lipid)):
        steps = kinetics[name].inert if inert else kinetics[name].air
        gone = (1.0 - model.char_fraction) if inert else 1.0
        rows += [Pool(name=name, mass_fraction=gone * mass * s.share, reaction=s.reaction) for s in steps]
    if model.carbonate_site != "calcite":
        co2 = CO2_PER_CO3 * model.carbonate
        rows.append(_pool((0.35, "carbonate", 705.0, 220.0, 1.2), co2))
        rows.append(_pool((0.40, "carbonate", 775.0, 240.0, 1.1), co2))
        rows.append(_pool((0.25, "carbonate", 845.0, 260.0, 1.0), co2))
    mineral = model.apatite + model.amorphous_mineral
    rows.append(_pool((model.hpo4_water, "condensation", 400.0, 120.0, 1.6), mineral))
    rows.append(_pool((HYDROXYL_LOSS, "hydroxyl", 1080.0, 280.0, 1.3), model.apatite))
    named = ("apatite", "protein", "lipid", "water", "amorphous_mineral", "carbonate")
    for phase_id, mass in mass_fractions(model).items():
        if phase_id not in named:
            rows += [_pool(row, mass) for row in _PHASE_STEPS.get(phase_id, ())]
    return tuple(pool for pool in rows if pool.mass_fraction > 0.0)


def heating_programme(conditions: TgaConditions) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Time (s), temperature (°C) and segment number of every reading.

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
    return time, ramp, segment


def expected_mass(pools: tuple[Pool, ...], time_s: FloatArray, temperature_c: FloatArray) -> FloatArray:
    """True mass relative to the start, without balance effects."""
    mass = np.ones(len(time_s))
    for pool in pools:
        mass -= pool.mass_fraction * extent(pool.reaction, time_s, temperature_c)
    return mass


def measure_mass(
    fraction: FloatArray,
    time_s: FloatArray,
    temperature_c: FloatArray,
    conditions: TgaConditions,
    rng: np.random.Generator,
) -> FloatArray:
    """Reading of the balance in mg: buoyancy, drift, wander and noise added to the true mass.

    Buoyancy: the displaced gas thins as 1/T, so the reading gains V (ρ(T0) − ρ(T)), V of pan and specimen.
    """
    density = _STANDARD_PRESSURE_DENSITY[conditions.atmosphere] * 298.15 / (temperature_c + CELSIUS_ZERO_K)
    sample = conditions.sample_mass_mg * fraction
    volume = conditions.pan_volume_cm3 + sample * 1e-3 / conditions.sample_density_g_cm3
    gain = volume[0] * density[0] - volume * density
    hours = time_s / 3600.0
    reading = sample + gain + 1e-3 * conditions.drift_ug_h * hours
    if conditions.wander_ug > 0.0:
        steps = rng.standard_normal(len(time_s))
        reading += 1e-3 * conditions.wander_ug * np.cumsum(steps) / np.sqrt(len(time_s))
    noisy: FloatArray = reading + 1e-3 * conditions.noise_ug * rng.standard_normal(len(time_s))
    return noisy


def weigh(pools: tuple[Pool, ...], conditions: TgaConditions, *, seed: int, name: str) -> TgaRun:
    """Run the programme on a set of pools and return what the balance's export would hold.

    Parameters
    ----------
    pools : tuple of Pool
    seed : int
        Decides the noise.
    name : str
        Sample name.

    Raises
    ------
    AnalysisError
        The pools lose more than there is.
    """
    total = sum(pool.mass_fraction for pool in pools)
    if total > 1.0 + 1e-9:
        msg = f"the pools of {name!r} lose {total:.4f} of the mass; no more than 1 can leave."
        raise AnalysisError(msg)
    time, temperature, segment = heating_programme(conditions)
    fraction = expected_mass(pools, time, temperature)
    rng = np.random.default_rng(seed)
    mass = measure_mass(fraction, time, temperature, conditions, rng)
    return _run(conditions, (time, temperature, segment), mass, name)


def _run(
    conditions: TgaConditions, axes: tuple[FloatArray, FloatArray, FloatArray], mass: FloatArray, name: str
) -> TgaRun:
    time, temperature, segment = axes
    return TgaRun(
        temperature_c=temperature,
        mass=mass,
        mass_unit="mg",
        time_s=time,
        initial_mass_mg=conditions.sample_mass_mg,
        segment=segment.astype(np.int64),
        atmosphere=conditions.atmosphere,
        heating_rate_k_min=conditions.heating_rate_k_min,
        metadata={"sample_name": name, "simulated": True, "instrument": "simulated by xrdcomp"},
    )


def simulate_tga_blank(conditions: TgaConditions, *, seed: int) -> TgaRun:
    """Run the same programme with an empty pan: buoyancy of the pan, drift and noise, starting at 0 mg.

    Parameters
    ----------
    conditions : TgaConditions
    seed : int

    Returns
    -------
    TgaRun
        Temperature in °C, apparent mass in mg, time in s.
    """
    time, temperature, segment = heating_programme(conditions)
    rng = np.random.default_rng(seed)
    mass = measure_mass(np.zeros(len(time)), time, temperature, conditions, rng)
    return _run(conditions, (time, temperature, segment), mass, "empty pan")


def simulate_standard(standard: str, conditions: TgaConditions, *, seed: int) -> TgaRun:
    """TGA run of a stoichiometric standard.

    Parameters
    ----------
    conditions : TgaConditions
    seed : int
    standard : str, one of ``STANDARDS``
        ``calcium-oxalate-monohydrate``, ``copper-sulfate-pentahydrate``, ``calcite``, ``portlandite``.

    Returns
    -------
    TgaRun
        Temperature in °C, mass in mg, time in s.

    Raises
    ------
    AnalysisError
        Unknown standard.
    """
    if standard not in STANDARDS:
        msg = f"{standard!r} is not a simulated standard; choose one of {', '.join(STANDARDS)}."
        raise AnalysisError(msg)
    pools = tuple(_pool(row, 1.0) for row in STANDARDS[standard].steps)
    return weigh(pools, conditions, seed=seed, name=f"{standard} (simulated)")


def simulate_reaction(
    reaction: Reaction, conditions: TgaConditions, *, loss: float = 0.4, seed: int
) -> TgaRun:
    """TGA run of a single-step reaction that loses `loss` of the mass, for tests of kinetics.

    Parameters
    ----------
    reaction : Reaction
    conditions : TgaConditions
    loss : float
        Fraction of the mass.
    seed : int

    Returns
    -------
    TgaRun
        Temperature in °C, mass in mg, time in s.
    """
    pool = Pool(name="reaction", mass_fraction=loss, reaction=reaction)
    return weigh((pool,), conditions, seed=seed, name="single step (simulated)")
