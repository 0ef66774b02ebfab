"""The thermobalance and the laboratory: programme, gas, buoyancy, drift, jumps, noise, blanks and exports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.worlds.files import Array, Curve
from benchmarks.worlds.kinetics.reactions import conversion
from benchmarks.worlds.kinetics.substances import Pool, pools_of
from benchmarks.worlds.population import Specimen

DRY_AIR, NITROGEN = 1.184, 1.145  # g/l at 25 °C and 1 atm


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """One run. `volume_cm3` is what buoyancy is left in the export: 0 if the software took it off already.

    `blank_cm3` None: no blank is handed over; otherwise that of a blank of another day, which need not repeat.
    """

    rate_k_min: float
    mass_mg: float
    end_c: float
    gas: str
    switch_c: float | None
    volume_cm3: float
    blank_cm3: float | None
    noise_ug: float
    drift_ug: float
    wander_ug: float
    jump_ug: float
    jump_at: float
    lag_k: float
    points: int

    @property
    def inert(self) -> bool:
        return self.gas == "nitrogen"

    @property
    def atmosphere(self) -> str:
        """Gas as an analysis is told of it, with its change."""
        return self.gas if self.switch_c is None else f"{self.gas},air@{self.switch_c:.0f}C"

    def facts(self) -> dict[str, Any]:
        return asdict(self) | {"atmosphere": self.atmosphere}


def draw_laboratory(rng: np.random.Generator) -> Laboratory:
    """Draw a balance and its habits.

    2–40 K/min, 2–30 mg; two runs in five are corrected exports (no buoyancy left), two in five raw with an apparent
    0.01–0.05 cm³, the rest corrected with a blank of another day that leaves ± 0.008 cm³; one raw run in three comes
    with its blank, 15 % off. One run in ten jumps by 5–60 µg.
    """
    kind = rng.random()
    volume = 0.0 if kind < 0.4 else float(rng.uniform(0.01, 0.05)) if kind < 0.8 else float(rng.normal(0.0, 0.008))
    with_blank = 0.4 <= kind < 0.8 and rng.random() < 1 / 3
    inert = rng.random() < 0.35
    jumps = rng.random() < 0.10
    return Laboratory(
        rate_k_min=float(np.exp(rng.uniform(np.log(2.0), np.log(40.0)))),
        mass_mg=float(np.exp(rng.uniform(np.log(2.0), np.log(30.0)))),
        end_c=float(rng.choice([950.0, 1000.0, 1050.0], p=(0.15, 0.7, 0.15))),
        gas="nitrogen" if inert else "air",
        switch_c=float(rng.choice([600.0, 700.0, 850.0])) if inert and rng.random() < 0.5 else None,
        volume_cm3=volume,
        blank_cm3=volume * float(rng.normal(1.0, 0.15)) if with_blank else None,
        noise_ug=float(np.exp(rng.uniform(np.log(0.3), np.log(6.0)))),
        drift_ug=float(rng.normal(0.0, 5.0)),
        wander_ug=float(np.exp(rng.uniform(np.log(0.3), np.log(4.0)))),
        jump_ug=float(rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(np.log(5.0), np.log(60.0)))) if jumps else 0.0,
        jump_at=float(rng.uniform(0.1, 0.95)),
        lag_k=float(rng.uniform(0.0, 4.0)),
        points=int(rng.integers(900, 4000)),
    )


def programme(laboratory: Laboratory) -> tuple[Array, Array]:
    """Time (s) and temperature (°C) of every reading: the ramp, which the furnace takes up with a lag."""
    rate = laboratory.rate_k_min / 60.0
    lag = laboratory.lag_k / rate
    time = np.linspace(0.0, (laboratory.end_c - 26.0) / rate + lag, laboratory.points)
    taken_up = lag * -np.expm1(-time / lag) if lag > 0.0 else np.zeros_like(time)
    return time, 26.0 + rate * (time - taken_up)


def true_mass(pools: list[Pool], laboratory: Laboratory, time: Array, temperature: Array) -> Array:
    """Mass relative to the start; what only burns waits for oxygen."""
    mass = np.ones_like(time)
    for pool in pools:
        if not pool.burns:
            mass -= pool.mass * conversion(pool.reaction, time, temperature)
        elif laboratory.switch_c is not None:
            # no rate before the gas has changed, and half a minute until it is through
            after = temperature >= laboratory.switch_c
            began = int(np.argmax(after)) if after.any() else len(time)
            waited = time[began:]
            if len(waited) > 1:
                mass[began:] -= (
                    pool.mass
                    * conversion(pool.reaction, waited, temperature[began:])
                    * -np.expm1(-(waited - waited[0]) / 30.0)
                )
    return mass


def buoyancy(volume_cm3: float, temperature: Array, density: float) -> Array:
    """Gain of the reading in mg: the gas that is displaced thins as 1/T."""
    return volume_cm3 * density * (1.0 - 299.15 / (temperature + 273.15))


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """Run of a specimen, that of the empty pan where there is one, and what leaves by kind, as mass fractions."""

    run: Curve
    blank: Curve | None
    losses: dict[str, float]


def weigh(specimen: Specimen, laboratory: Laboratory, seed: int) -> Weighed:
    """Heat a specimen; the seed decides kinetics and disturbances."""
    rng = np.random.default_rng([41, seed])
    pools = pools_of(specimen, rng, inert=laboratory.inert)
    time, temperature = programme(laboratory)
    density = NITROGEN if laboratory.inert else DRY_AIR

    def reading(mass_mg: Array, volume: float, *, jump_ug: float) -> Array:
        share = time / time[-1]
        walk = np.cumsum(rng.standard_normal(len(time))) / np.sqrt(len(time))
        noise = laboratory.noise_ug * rng.standard_normal(len(time))
        disturbance = (
            laboratory.drift_ug * share + laboratory.wander_ug * walk + noise + jump_ug * (share > laboratory.jump_at)
        )
        return np.asarray(mass_mg + buoyancy(volume, temperature, density) + 1e-3 * disturbance, dtype=np.float64)

    mass = laboratory.mass_mg * true_mass(pools, laboratory, time, temperature)
    gas = "Air" if not laboratory.inert else "Nitrogen"

    def curve(reading_mg: Array) -> Curve:
        return Curve(
            time_s=time,
            temperature_c=temperature,
            mass_mg=reading_mg,
            initial_mass_mg=laboratory.mass_mg,
            gas=gas,
            rate_k_min=round(laboratory.rate_k_min, 2),
        )

    run = curve(reading(mass, laboratory.volume_cm3, jump_ug=laboratory.jump_ug))
    losses: dict[str, float] = {}
    for pool in pools:
        losses[pool.kind] = losses.get(pool.kind, 0.0) + pool.mass
    blank = None
    if laboratory.blank_cm3 is not None:
        blank = curve(reading(np.zeros_like(time), laboratory.blank_cm3, jump_ug=0.0))
    return Weighed(run=run, blank=blank, losses=losses)
