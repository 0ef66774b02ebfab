"""Thermogravimetric runs by kinetics of their own: nth-order reactions stepped in time under any programme and gas.

Shares nothing with `xrdcomp.simulate`: activation energies, orders and rate constants are rounder and other ones, char
is a pool that only oxygen takes away, and readings have noise and, where asked for, jumps and gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xrdcomp.data import Atmosphere, GasChange, TgaRun

R = 8.314462618
OXIDISING = ("air", "oxygen")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Mass (fraction of the specimen) that leaves by one reaction: peak in °C at 10 K/min, energy in kJ/mol, order."""

    mass: float
    peak_c: float
    energy_kj: float
    order: float = 1.0
    char: float = 0.0  # share of it that stays as char


def bone(*, water: float = 0.10, organic: float = 0.25, carbonate: float = 0.035, char: float = 0.22) -> list[Pool]:
    """Moist bone: water, collagen in two stages, carbonate in two."""
    return [
        Pool(mass=0.6 * water, peak_c=75, energy_kj=45), Pool(mass=0.4 * water, peak_c=100, energy_kj=60),
        Pool(mass=0.65 * organic, peak_c=325, energy_kj=160, order=1.6, char=char),
        Pool(mass=0.35 * organic, peak_c=405, energy_kj=170, order=1.4, char=char),
        Pool(mass=0.3 * carbonate, peak_c=690, energy_kj=230), Pool(mass=0.7 * carbonate, peak_c=765, energy_kj=240),
    ]  # fmt: skip


HYDRATES = {
    "struvite": [Pool(mass=0.514, peak_c=112, energy_kj=95)],
    "gypsum": [Pool(mass=0.157, peak_c=138, energy_kj=105), Pool(mass=0.052, peak_c=160, energy_kj=110)],
    "brushite": [Pool(mass=0.209, peak_c=190, energy_kj=130), Pool(mass=0.052, peak_c=425, energy_kj=190)],
    "newberyite": [Pool(mass=0.310, peak_c=145, energy_kj=100), Pool(mass=0.052, peak_c=470, energy_kj=170)],
    "epsomite": [
        Pool(mass=0.35, peak_c=95, energy_kj=70), Pool(mass=0.09, peak_c=160, energy_kj=90),
        Pool(mass=0.07, peak_c=290, energy_kj=120),
    ],
    "vivianite": [Pool(mass=0.15, peak_c=150, energy_kj=85), Pool(mass=0.12, peak_c=220, energy_kj=95)],
    "gypsum in two steps": [
        Pool(mass=0.157, peak_c=135, energy_kj=95), Pool(mass=0.052, peak_c=175, energy_kj=120),
    ],
    "moist gypsum": [
        Pool(mass=0.03, peak_c=75, energy_kj=45), Pool(mass=0.20, peak_c=150, energy_kj=100),
    ],
}  # fmt: skip
INORGANIC = {
    "brucite": [Pool(mass=0.309, peak_c=390, energy_kj=150)],
    "gibbsite": [
        Pool(mass=0.04, peak_c=235, energy_kj=110), Pool(mass=0.24, peak_c=298, energy_kj=150),
        Pool(mass=0.055, peak_c=520, energy_kj=190),
    ],
    "goethite": [Pool(mass=0.02, peak_c=90, energy_kj=50), Pool(mass=0.105, peak_c=290, energy_kj=140)],
    "whewellite": [
        Pool(mass=0.123, peak_c=175, energy_kj=100), Pool(mass=0.192, peak_c=490, energy_kj=230),
        Pool(mass=0.301, peak_c=700, energy_kj=210),
    ],
    "silica gel": [
        Pool(mass=0.08, peak_c=85, energy_kj=45),
        *(Pool(mass=0.004, peak_c=t, energy_kj=60 + 0.2 * t, order=2) for t in range(150, 901, 75)),
    ],
    "zeolite": [
        Pool(mass=0.10, peak_c=140, energy_kj=45, order=2), Pool(mass=0.06, peak_c=230, energy_kj=55, order=2.5),
    ],
    "amorphous calcium phosphate": [
        Pool(mass=0.10, peak_c=100, energy_kj=45, order=1.5), Pool(mass=0.05, peak_c=200, energy_kj=55, order=2.5),
        Pool(mass=0.01, peak_c=400, energy_kj=90, order=2),
    ],
}  # fmt: skip

SILICATES = {
    "montmorillonite": [
        Pool(mass=0.09, peak_c=90, energy_kj=50), Pool(mass=0.03, peak_c=145, energy_kj=80),
        Pool(mass=0.045, peak_c=665, energy_kj=220),
    ],
    "serpentine": [Pool(mass=0.01, peak_c=85, energy_kj=45), Pool(mass=0.125, peak_c=640, energy_kj=240)],
    "muscovite": [Pool(mass=0.002, peak_c=85, energy_kj=45), Pool(mass=0.045, peak_c=830, energy_kj=230, order=1.4)],
    "calcium silicate hydrate": [
        Pool(mass=0.05, peak_c=85, energy_kj=45), Pool(mass=0.05, peak_c=120, energy_kj=55, order=1.6),
        Pool(mass=0.03, peak_c=220, energy_kj=60, order=2.5), Pool(mass=0.02, peak_c=380, energy_kj=90, order=2),
        Pool(mass=0.015, peak_c=700, energy_kj=180),
    ],
    "ettringite": [
        Pool(mass=0.30, peak_c=115, energy_kj=75), Pool(mass=0.08, peak_c=190, energy_kj=70, order=2),
        Pool(mass=0.06, peak_c=270, energy_kj=110, order=2), Pool(mass=0.02, peak_c=700, energy_kj=180, order=2),
    ],
}  # fmt: skip
GELS = {
    "alumina gel": [
        Pool(mass=0.15, peak_c=100, energy_kj=45, order=1.3), Pool(mass=0.12, peak_c=250, energy_kj=70, order=2.5),
        Pool(mass=0.06, peak_c=400, energy_kj=100, order=2),
    ],
    "titania gel": [
        Pool(mass=0.12, peak_c=100, energy_kj=45), Pool(mass=0.05, peak_c=250, energy_kj=60, order=2),
        Pool(mass=0.02, peak_c=420, energy_kj=130),
    ],
    "fine hydromagnesite": [
        Pool(mass=0.03, peak_c=90, energy_kj=45), Pool(mass=0.15, peak_c=225, energy_kj=90, order=1.3),
        Pool(mass=0.039, peak_c=330, energy_kj=130), Pool(mass=0.36, peak_c=440, energy_kj=170, order=1.2),
    ],
    "boehmite gel": [
        Pool(mass=0.14, peak_c=100, energy_kj=45, order=1.3), Pool(mass=0.05, peak_c=290, energy_kj=85, order=1.5),
        Pool(mass=0.12, peak_c=430, energy_kj=150, order=1.5),
    ],
    "magnesia gel": [
        Pool(mass=0.12, peak_c=110, energy_kj=45, order=1.2), Pool(mass=0.18, peak_c=360, energy_kj=120, order=1.3),
        Pool(mass=0.06, peak_c=470, energy_kj=150, order=1.5),
    ],
}  # fmt: skip


def silanol(total: float, middle_c: float | None, spread_c: float) -> list[Pool]:
    """Hydroxyl of silica over 200 to 900 °C, evenly or about a temperature [Zhuravlev 2000: 4.9 OH/nm² by 190 °C,
    2.4 at 400, 1.5 at 600, 0.7 at 800]."""
    places = np.linspace(200.0, 900.0, 12)
    weights = np.ones(12) if middle_c is None else np.exp(-(((places - middle_c) / spread_c) ** 2))
    shares = (total * weights / weights.sum()).tolist()
    return [
        Pool(mass=mass, peak_c=t, energy_kj=60 + 0.1 * t, order=2)
        for mass, t in zip(shares, places.tolist(), strict=True)
    ]


MOISTURE = Pool(mass=0.05, peak_c=85, energy_kj=45)
# by published steps: hydrotalcite 15 % of interlayer water, 25 to 30 % of OH and CO2 by 500 °C [Miyata 1975]; aluminium
# hydroxide gel that has taken up CO2
FADING = {
    "silica gel, even": [MOISTURE, *silanol(0.05, None, 1.0)],
    "silica gel, early": [MOISTURE, *silanol(0.05, 200.0, 350.0)],
    "dried silica gel": silanol(0.034, 200.0, 350.0),
    "silica gel, Zhuravlev": [MOISTURE, *silanol(0.045, 330.0, 260.0)],
    "hydrotalcite": [
        Pool(mass=0.06, peak_c=90, energy_kj=45), Pool(mass=0.11, peak_c=210, energy_kj=85, order=1.2),
        Pool(mass=0.25, peak_c=385, energy_kj=110, order=1.5), Pool(mass=0.02, peak_c=600, energy_kj=150, order=2),
    ],
}  # fmt: skip
WITHOUT_CHAR = {
    "carbonated alumina gel": [
        Pool(mass=0.15, peak_c=100, energy_kj=45, order=1.3), Pool(mass=0.18, peak_c=280, energy_kj=80, order=2),
        Pool(mass=0.03, peak_c=650, energy_kj=150, order=2),
    ],
    "carbonated zirconia gel": [
        Pool(mass=0.10, peak_c=95, energy_kj=45), Pool(mass=0.12, peak_c=260, energy_kj=85, order=1.6),
        Pool(mass=0.02, peak_c=700, energy_kj=200),
    ],
}  # fmt: skip
# with their char in an inert gas: lignin 40 %, lignite half (fixed carbon of proximate analysis)
CHARRING = {
    "lignin": [
        Pool(mass=0.05, peak_c=65, energy_kj=45), Pool(mass=0.95, peak_c=370, energy_kj=80, order=2.2, char=0.40),
    ],
    "lignite": [
        Pool(mass=0.15, peak_c=80, energy_kj=45), Pool(mass=0.75, peak_c=430, energy_kj=90, order=2.5, char=0.5),
    ],
}  # fmt: skip
# sepiolite [Földvári 2011], ammonium zeolite Y, cement paste with portlandite and calcite
LATE_WATER = {
    "sepiolite": [
        Pool(mass=0.09, peak_c=90, energy_kj=45), Pool(mass=0.03, peak_c=280, energy_kj=90),
        Pool(mass=0.03, peak_c=480, energy_kj=110, order=1.5), Pool(mass=0.025, peak_c=820, energy_kj=250),
    ],
    "ammonium zeolite Y": [
        Pool(mass=0.20, peak_c=130, energy_kj=45, order=1.8), Pool(mass=0.04, peak_c=320, energy_kj=85, order=1.3),
        Pool(mass=0.02, peak_c=620, energy_kj=140, order=1.5),
    ],
    "cement paste": [
        Pool(mass=0.10, peak_c=110, energy_kj=50, order=1.5), Pool(mass=0.04, peak_c=170, energy_kj=70, order=1.5),
        Pool(mass=0.025, peak_c=280, energy_kj=70, order=2.5), Pool(mass=0.035, peak_c=450, energy_kj=190),
        Pool(mass=0.03, peak_c=690, energy_kj=180),
    ],
}  # fmt: skip
# Ammonium sulfate goes in two stages by 450 °C, the chloride sublimes [Kiyoura & Urano 1970; Chaiken 1962]; an order
# below 1 is that of a surface
AMMONIUM = {
    "sulfate": [Pool(mass=0.2, peak_c=315, energy_kj=115), Pool(mass=0.8, peak_c=425, energy_kj=140, order=0.5)],
    "sulfate and chloride": [
        Pool(mass=0.45, peak_c=290, energy_kj=85, order=0.4), Pool(mass=0.11, peak_c=320, energy_kj=115),
        Pool(mass=0.44, peak_c=425, energy_kj=140, order=0.5),
    ],
    "sulfate in sand": [
        Pool(mass=0.16, peak_c=315, energy_kj=115), Pool(mass=0.62, peak_c=425, energy_kj=140, order=0.5),
    ],
}  # fmt: skip
# more water above 200 °C than 8 % of the dry specimen, and a carbonate
CARBONATED = {
    "old cement paste": [
        Pool(mass=0.08, peak_c=110, energy_kj=50, order=1.5), Pool(mass=0.05, peak_c=170, energy_kj=70, order=1.5),
        Pool(mass=0.055, peak_c=285, energy_kj=75, order=2.5), Pool(mass=0.045, peak_c=450, energy_kj=185),
        Pool(mass=0.04, peak_c=700, energy_kj=190),
    ],
    "paste with aluminate": [
        Pool(mass=0.06, peak_c=110, energy_kj=50, order=1.5), Pool(mass=0.06, peak_c=235, energy_kj=80, order=1.8),
        Pool(mass=0.03, peak_c=355, energy_kj=90, order=2), Pool(mass=0.035, peak_c=445, energy_kj=180),
        Pool(mass=0.05, peak_c=705, energy_kj=190),
    ],
    "alumina gel on calcite": [
        Pool(mass=0.09, peak_c=100, energy_kj=45, order=1.3), Pool(mass=0.09, peak_c=250, energy_kj=80, order=2),
        Pool(mass=0.04, peak_c=405, energy_kj=110, order=2), Pool(mass=0.12, peak_c=755, energy_kj=195, order=0.67),
    ],
}  # fmt: skip
# with their char in an inert gas, van Krevelen, Properties of Polymers, chapter 21; chitin about a quarter
POLYMERS = {
    "epoxy": [Pool(mass=1.0, peak_c=385, energy_kj=170, order=1.3, char=0.12)],
    "poly(vinyl chloride)": [
        Pool(mass=0.65, peak_c=290, energy_kj=140), Pool(mass=0.35, peak_c=460, energy_kj=200, char=0.35),
    ],
    "chitin": [Pool(mass=0.06, peak_c=70, energy_kj=45), Pool(mass=0.94, peak_c=370, energy_kj=150, char=0.24)],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Programme:
    """Heating from `start_c` to `end_c` at `rate` K/min, with holds of (°C, minutes) on the way."""

    start_c: float = 25.0
    end_c: float = 950.0
    rate: float = 10.0
    holds: tuple[tuple[float, float], ...] = ()
    after: tuple[tuple[float, float], ...] = ()  # levels and minutes there after the end, cooler ones too, at `rate`
    gas: Atmosphere = "air"
    oxygen_at_min: float | None = None  # and the gas that comes then
    later: Atmosphere = "air"
    reading_s: float = 5.0
    before_c: float = 25.0  # what the specimen went through unseen, from here to `start_c`


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Jumps as (°C, fraction) that are added from there on, gaps as (from °C, to °C)."""

    jumps: tuple[tuple[float, float], ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    noise_ug: float = 1.0
    mass_mg: float = 12.0


@dataclass(frozen=True, kw_only=True)
class Made:
    """A run and what is true of it, as fractions of the mass at the first reading."""

    run: TgaRun
    lost: dict[str, float] = field(default_factory=dict)
    residue: float = 0.0


def temperature_of(programme: Programme) -> tuple[np.ndarray, np.ndarray]:
    """Minutes and °C of the readings."""
    times, places = [0.0], [programme.start_c]
    for level, minutes in sorted(programme.holds):
        times.append(times[-1] + (level - places[-1]) / programme.rate)
        places.append(level)
        times.append(times[-1] + minutes)
        places.append(level)
    times.append(times[-1] + max(programme.end_c - places[-1], 0.0) / programme.rate)
    places.append(max(programme.end_c, places[-1]))
    for level, minutes in programme.after:
        times += [times[-1] + abs(level - places[-1]) / programme.rate]
        times += [times[-1] + minutes]
        places += [level, level]
    minutes = np.arange(0.0, times[-1], programme.reading_s / 60.0)
    return minutes, np.interp(minutes, times, places)


def make(pools: list[Pool], programme: Programme, faults: Faults | None = None, *, seed: int = 1) -> Made:
    """Weigh a specimen of some pools under a programme."""
    faults = faults or Faults()
    minutes, temperature = temperature_of(programme)
    lead = np.arange(programme.before_c, programme.start_c, 0.5)
    seen = np.concatenate((np.zeros(len(lead), dtype=bool), np.ones(len(minutes), dtype=bool)))
    path = np.concatenate((lead, temperature))
    step = np.concatenate((np.full(len(lead), 0.5 / programme.rate), np.gradient(minutes)))
    switch = np.inf if programme.oxygen_at_min is None else programme.oxygen_at_min
    clock = np.concatenate((np.full(len(lead), -1.0), minutes))
    oxygen = np.where(clock < switch, programme.gas in OXIDISING, programme.later in OXIDISING)
    mass = np.full(len(path), 1.0 - sum(p.mass for p in pools))
    char = np.zeros(len(path))
    for pool in pools:
        at, e = pool.peak_c + 273.15, 1e3 * pool.energy_kj / R
        ln_k = np.log(10.0 * e / at**2) + e / at
        left = 1.0
        for i, (t, dt) in enumerate(zip(path, step, strict=True)):
            rate = np.exp(ln_k - e / (t + 273.15))
            if pool.order == 1.0:
                left *= np.exp(-rate * dt)
            else:
                left = max(left ** (1 - pool.order) + (pool.order - 1) * rate * dt, 0.0) ** (1 / (1 - pool.order))
            mass[i] += pool.mass * left
            char[i] += pool.char * pool.mass * (1.0 - left)
    # char burns first order with oxygen: slow at 400 °C, within a minute at 600
    there = np.zeros(len(path))
    burnt = 0.0
    for i, (t, dt) in enumerate(zip(path, step, strict=True)):
        k = 2.0 * np.exp(-1.3e5 / R * (1.0 / (t + 273.15) - 1.0 / 773.15)) if oxygen[i] else 0.0
        burnt += (char[i] - burnt) * (1.0 - np.exp(-min(k, 3.0) * dt))
        there[i] = char[i] - burnt
    total = (mass + there)[seen]
    first, shown = float(total[0]), total / float(total[0])
    for place, size in faults.jumps:
        shown = shown + np.where(temperature >= place, size, 0.0)
    shown = shown + 1e-3 * faults.noise_ug / faults.mass_mg * np.random.default_rng(seed).standard_normal(len(shown))
    keep = np.ones(len(shown), dtype=bool)
    for low, high in faults.gaps:
        keep &= (temperature <= low) | (temperature >= high)
    changes = () if not np.isfinite(switch) else (GasChange(gas=programme.later, from_min=switch, source="user"),)
    run = TgaRun(temperature_c=temperature[keep], mass=faults.mass_mg * shown[keep], mass_unit="mg",
                 time_s=60.0 * minutes[keep], atmosphere=programme.gas, gas_changes=changes)  # fmt: skip
    mineral = 1.0 - sum(p.mass for p in pools)
    return Made(run=run, residue=mineral / first)


def untold(made: Made, gas: Atmosphere | None = None) -> TgaRun:
    """The same run without its change of gas."""
    from dataclasses import replace

    return replace(made.run, gas_changes=(), atmosphere=gas or made.run.atmosphere)
