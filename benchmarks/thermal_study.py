"""What thermogravimetry promises, measured: mass balances, standards, activation energies, time.

    python -m benchmarks.thermal_study [--runs 500]

Specimens, laboratories and kinetics are drawn by the simulator, which shares no code with the analysis. Writes
benchmarks/results/thermal.json (name, value, unit, bar, holds), the machine beside it, and the table in
docs/evidence/thermal.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.report import ROOT, Row, machine, put_into_page, shortfalls, table, write_rows
from xrdcomp.data import Atmosphere
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.simulate.cohort import simulate_tga
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, peak_reaction, vary_character, vary_conditions
from xrdcomp.simulate.tga import simulate_reaction, simulate_standard, simulate_tga_blank, specimen_pools
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.kinetics import (
    conversion_curve,
    flynn_wall_ozawa,
    friedman,
    kissinger,
    kissinger_akahira_sunose,
    vyazovkin,
)
from xrdcomp.thermal.standards import tga_check
from xrdcomp.units import FloatArray

PAGE = ROOT / "docs" / "evidence" / "thermal.md"
NAMES = ("water", "organic", "carbonate", "residue")
LEAVES_AS = {
    "water": 0,
    "bound_water_early": 0,
    "protein": 1,
    "lipid": 1,
    "char": 1,
    "bound_water_late": 1,
    "condensation": 1,
    "carbonate": 2,
    "hydroxyl": 3,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Which laboratory: gas, blank run or not, how the sample mass is drawn."""

    name: str
    atmosphere: Atmosphere = "air"
    blank: bool = False
    even_mass: bool = True
    judged: bool = True


NITROGEN = Case(name="nitrogen", atmosphere="nitrogen")
CASES = (
    Case(name="air"),
    Case(name="air, blank run", blank=True),
    Case(name="air, masses even in their logarithm", even_mass=False, judged=False),
    Case(name="air, blank run, masses even in their logarithm", blank=True, even_mass=False, judged=False),
    NITROGEN,
    Case(name="nitrogen, blank run", atmosphere="nitrogen", blank=True, judged=False),
)


def draw(seed: int, case: Case) -> tuple[SpecimenModel, TgaConditions]:
    """Specimen and laboratory: 2–40 K/min, 1–30 mg, 0.5–10 µg noise, drift, buoyancy, several organics.

    Water, organic and mineral are drawn evenly over all mixtures; half of the specimens hold amorphous mineral,
    up to 40 % of theirs, and the rest of the mineral is apatite with up to 8 % carbonate.
    """
    rng = np.random.default_rng(seed)
    water, organic, mineral = rng.dirichlet((1.0, 1.0, 1.0))
    amorphous = mineral * float(rng.uniform(0.0, 0.4)) * float(rng.random() < 0.5)
    carbonate = (mineral - amorphous) * float(rng.uniform(0.0, 0.08))
    lipid = organic * float(rng.beta(2.0, 4.0))
    composition = SpecimenModel(
        apatite=mineral - amorphous - carbonate,
        protein=organic - lipid,
        lipid=lipid,
        water=water,
        amorphous_mineral=amorphous,
        carbonate=carbonate,
    )
    model = vary_character(composition, rng)
    conditions = vary_conditions(rng, atmosphere=case.atmosphere)[1]
    mass = float(rng.uniform(1.0, 30.0)) if case.even_mass else conditions.sample_mass_mg
    density = float(rng.uniform(1.2, 2.2))
    return model, replace(conditions, sample_mass_mg=mass, points=5000, sample_density_g_cm3=density)


def truth(model: SpecimenModel, *, inert: bool) -> FloatArray:
    """What leaves as water, organic, carbonate, and what stays; in nitrogen with the char counted as organic."""
    left = np.zeros(4)
    for pool in specimen_pools(model, inert=inert):
        left[LEAVES_AS[pool.name]] += pool.mass_fraction
    if inert:
        stays = 1.0 - model.char_lost
        left[1] += stays * (model.char_fraction * model.protein + model.char_of_lipid * model.lipid)
    left[3] = 1.0 - left[:3].sum()
    return left


def balances(case: Case, runs: int) -> tuple[list[Row], list[float]]:
    """Errors and coverage of one case."""
    recipe = ThermalRecipe(bound_water_fraction=0.0)
    errors, inside, seconds = [], [], []
    for seed in range(runs):
        model, conditions = draw(seed, case)
        run = simulate_tga(model, conditions, seed=seed)
        blank = simulate_tga_blank(conditions, seed=seed + 10**6) if case.blank else None
        began = time.process_time()
        result = analyze_tga(run, recipe, blank=blank)
        seconds.append(time.process_time() - began)
        keys = ("water", "organic", "carbonate_co2", "residue")
        if not result.quantities:
            errors.append(np.full(4, np.nan))
            inside.append(np.full(4, np.nan))
            continue
        estimates = [result.quantities[k] for k in keys]
        expected = truth(model, inert=conditions.inert)
        errors.append(np.array([e.value for e in estimates]) - expected)
        inside.append(
            np.array([e.ci95[0] <= t <= e.ci95[1] for e, t in zip(estimates, expected, strict=True) if e.ci95])
        )
    error, covered = np.array(errors), np.array(inside, dtype=float)
    missing = float(np.isnan(error[:, 0]).mean())
    bar = 0.3 if case.atmosphere == "air" else 2.5
    rows = [Row(name=f"{case.name}: runs without a balance", value=100 * missing, unit="%")]
    for k, name in enumerate(NAMES):
        rms = 100 * float(np.sqrt(np.nanmean(error[:, k] ** 2)))
        middle = 100 * float(np.nanmedian(np.abs(error[:, k])))
        shift = 100 * float(np.nanmean(error[:, k]))
        share = 100 * float(np.nanmean(covered[:, k]))
        rows += [
            Row(
                name=f"{case.name}: {name}, RMS error",
                value=rms,
                unit="wt%",
                bar=f"<= {bar}" if case.judged else None,
                holds=rms <= bar if case.judged else None,
            ),
            Row(name=f"{case.name}: {name}, median of absolute errors", value=middle, unit="wt%"),
            Row(name=f"{case.name}: {name}, mean error", value=shift, unit="wt%"),
            Row(
                name=f"{case.name}: {name}, coverage of 95 % intervals",
                value=share,
                unit="%",
                bar="92 to 98" if case.judged else None,
                holds=92.0 <= share <= 98.0 if case.judged else None,
            ),
        ]
    return rows, seconds


def salts(low: float, high: float) -> list[Row]:
    """Carbonate of 24 specimens with a fraction `low` to `high` of a salt that evaporates beside and after it."""
    errors, pulls = [], []
    for seed in range(24):
        rng = np.random.default_rng([7, seed])
        salt = float(rng.uniform(low, high))
        rest = 1.0 - salt
        model = SpecimenModel(
            apatite=0.40 * rest,
            carbonate=0.03 * rest,
            protein=0.35 * rest,
            lipid=0.10 * rest,
            water=0.12 * rest,
            other={("halite", "sylvite")[seed % 2]: salt},
        )
        conditions = replace(vary_conditions(rng, atmosphere="air")[1], sample_mass_mg=15.0, points=5000)
        result = analyze_tga(simulate_tga(model, conditions, seed=seed))
        estimate = result.quantities["carbonate_co2"]
        left = sum(p.mass_fraction for p in specimen_pools(model, inert=False) if p.name == "carbonate")
        errors.append(abs(estimate.value - left))
        pulls.append(errors[-1] / (estimate.std or np.inf))
    name = f"24 specimens with {100 * low:g} to {100 * high:g} % halite or sylvite: carbonate,"
    return [
        Row(name=f"{name} largest error", value=100 * max(errors), unit="wt%"),
        Row(name=f"{name} largest error in standard uncertainties", value=max(pulls), unit=""),
    ]


def fat() -> list[Row]:
    """Share of specimens whose organic is nearly all fat that are read as tissue in nitrogen."""
    read = []
    for seed in range(150):
        rng = np.random.default_rng([8, seed])
        model, conditions = draw(seed, NITROGEN)
        organic = model.protein + model.lipid
        lipid = organic * float(rng.uniform(0.85, 1.0))
        fatty = replace(model, lipid=lipid, protein=organic - lipid)
        if organic > 0.25:
            read.append(bool(analyze_tga(simulate_tga(fatty, conditions, seed=seed)).quantities))
    name = f"{len(read)} specimens with more than 25 % organic, 85 to 100 % of it fat, in nitrogen: read as tissue"
    return [Row(name=name, value=100 * float(np.mean(read)), unit="%")]


def standards() -> list[Row]:
    """Largest difference from theory at 5, 10 and 20 K/min over five seeds each."""
    rows = []
    for name in ("calcium-oxalate-monohydrate", "copper-sulfate-pentahydrate", "calcite"):
        worst = 0.0
        for rate in (5.0, 10.0, 20.0):
            for seed in range(5):
                conditions = TgaConditions(heating_rate_k_min=rate, sample_mass_mg=12.0, noise_ug=3.0)
                check = tga_check(simulate_standard(name, conditions, seed=seed), name)
                worst = max(worst, *(abs(s.difference) for s in check.steps if "residue" not in s.name))
        rows.append(
            Row(
                name=f"{name}: largest difference of a step from theory",
                value=100 * worst,
                unit="wt%",
                bar="<= 0.2",
                holds=worst <= 0.002,
            )
        )
    return rows


def energies() -> list[Row]:
    """Activation energies of single-step reactions at 2, 5, 10, 20 and 40 K/min."""
    worst: dict[str, float] = {}
    recipe = ThermalRecipe(assignment="none")
    for energy, order, peak in ((90.0, 1.0, 350.0), (150.0, 1.5, 400.0), (220.0, 0.8, 500.0), (280.0, 1.0, 700.0)):
        curves, peaks, rates = [], [], []
        for rate in (2.0, 5.0, 10.0, 20.0, 40.0):
            conditions = TgaConditions(heating_rate_k_min=rate, noise_ug=2.0, pan_volume_cm3=0.03, points=5000)
            run = simulate_reaction(peak_reaction(peak, energy, order), conditions, seed=int(rate))
            result = analyze_tga(run, recipe)
            step = max(result.steps, key=lambda s: s.mass_loss.value)
            peaks.append(step.peak_c or 0.0)
            rates.append(result.heating_rate_k_min or rate)
            curves.append(conversion_curve(result, step.start_c, step.end_c))
        found = {"kissinger": kissinger(peaks, rates).energy.value}
        for method in (friedman, kissinger_akahira_sunose, flynn_wall_ozawa, vyazovkin):
            found[method.__name__] = method(curves).mean.value
        for name, value in found.items():
            worst[name] = max(worst.get(name, 0.0), abs(value / energy - 1.0))
    return [
        Row(
            name=f"activation energy, {name}: largest error",
            value=100 * value,
            unit="%",
            bar="<= 2",
            holds=value <= 0.02,
        )
        for name, value in worst.items()
    ]


def speed() -> list[Row]:
    """CPU seconds per run of 5 000 points, and how time grows with points."""
    model, _ = draw(0, CASES[0])
    spent = {}
    for points in (5_000, 50_000):
        run = simulate_tga(model, TgaConditions(points=points), seed=0)
        analyze_tga(run)
        trials = []
        for _ in range(7):
            began = time.process_time()
            analyze_tga(run)
            trials.append(time.process_time() - began)
        spent[points] = min(trials)
    ratio = spent[50_000] / spent[5_000]
    return [
        Row(name="one run of 5 000 points", value=spent[5_000], unit="s CPU", bar="<= 0.3", holds=spent[5_000] <= 0.3),
        Row(
            name="50 000 points relative to 5 000 (linear: at most 10)",
            value=ratio,
            unit="",
            bar="<= 10",
            holds=ratio <= 10.0,
        ),
    ]


def main() -> int:
    """Run everything; the exit code says whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    rows: list[Row] = []
    seconds: list[float] = []
    for case in CASES:
        found, spent = balances(case, runs)
        rows += found
        seconds += spent
    median = float(np.median(seconds))
    rows.append(Row(name="median of all simulated runs", value=median, unit="s CPU", bar="<= 0.3", holds=median <= 0.3))
    rows += salts(0.015, 0.08) + salts(0.002, 0.015) + fat() + standards() + energies() + speed()
    write_rows("thermal", rows, machine(runs_per_case=runs))
    put_into_page(PAGE, "study", table(rows))
    print(table(rows))
    return 1 if shortfalls(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
