"""Recovery of simulated truth: mass balances with coverage, standards, activation energies.

The simulator shares no code with the analysis. ``benchmarks/thermal_study.py`` does the same on five hundred curves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.thermal_study import truth
from tests.helpers import assert_close, binomial_band
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.simulate.cohort import simulate_tga
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions, peak_reaction, vary_character, vary_conditions
from xrdcomp.simulate.tga import simulate_reaction, simulate_standard
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

QUANTITIES = ("water", "organic", "carbonate_co2", "residue")
N = 60


def draw(seed: int, atmosphere: str) -> tuple[SpecimenModel, TgaConditions]:
    rng = np.random.default_rng(seed)
    water, organic, mineral = rng.dirichlet((1.0, 1.0, 1.0))
    carbonate = 0.05 * mineral * float(rng.random())
    lipid = 0.3 * organic
    model = SpecimenModel(
        apatite=mineral - carbonate, protein=organic - lipid, lipid=lipid, water=water, carbonate=carbonate
    )
    conditions = vary_conditions(rng, atmosphere=atmosphere)[1]  # type: ignore[arg-type]  # parametrised by name
    heavier = max(conditions.sample_mass_mg, 3.0)
    return vary_character(model, rng), replace(conditions, sample_mass_mg=heavier, points=4000)


@pytest.mark.parametrize(("atmosphere", "bar"), [("air", 0.003), ("nitrogen", 0.025)])
def test_mass_balance_of_simulated_specimens(atmosphere: str, bar: float) -> None:
    errors, inside = [], []
    for seed in range(N):
        model, conditions = draw(seed, atmosphere)
        left = truth(model, inert=conditions.inert)
        result = analyze_tga(simulate_tga(model, conditions, seed=seed), ThermalRecipe(bound_water_fraction=0.0))
        found = [result.quantities[name] for name in QUANTITIES]
        errors.append(np.array([q.value for q in found]) - left)
        inside.append([q.ci95 is not None and q.ci95[0] <= t <= q.ci95[1] for q, t in zip(found, left, strict=True)])
    rms = np.sqrt((np.array(errors) ** 2).mean(axis=0))
    assert (rms <= 1.15 * bar).all(), "bar of the study, with the 10 % scatter of an RMS of 60 runs"
    low, _ = binomial_band(N, 0.95)
    assert (np.mean(inside, axis=0) >= low).all()


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("standard", ["calcium-oxalate-monohydrate", "copper-sulfate-pentahydrate", "calcite"])
def test_standards_follow_stoichiometry(standard: str, rate: float) -> None:
    conditions = TgaConditions(heating_rate_k_min=rate, sample_mass_mg=12.0, noise_ug=3.0)
    check = tga_check(simulate_standard(standard, conditions, seed=4), standard)
    for step in check.steps:
        assert_close(step.measured.value, step.theory, atol=0.002, because="0.2 wt% is the promise")
    assert check.passed


def test_portlandite_simulated_without_carbonate() -> None:
    check = tga_check(simulate_standard("portlandite", TgaConditions(), seed=2), "portlandite")
    assert_close(check.steps[0].measured.value, 0.2431, atol=0.002, because="0.2 wt% is the promise")
    assert check.carbonate is not None
    assert abs(check.carbonate.value) < 0.002


@pytest.mark.parametrize(("energy", "order", "peak_c"), [(100.0, 1.0, 350.0), (180.0, 1.4, 420.0), (260.0, 0.8, 650.0)])
def test_activation_energies_from_noisy_runs(energy: float, order: float, peak_c: float) -> None:
    curves, peaks, rates = [], [], []
    for rate in (2.0, 5.0, 10.0, 20.0, 40.0):
        conditions = TgaConditions(heating_rate_k_min=rate, noise_ug=2.0)
        run = simulate_reaction(peak_reaction(peak_c, energy, order), conditions, seed=int(rate))
        result = analyze_tga(run, ThermalRecipe(assignment="none"))
        step = max(result.steps, key=lambda s: s.mass_loss.value)
        peaks.append(step.peak_c or 0.0)
        rates.append(result.heating_rate_k_min or rate)
        curves.append(conversion_curve(result, step.start_c, step.end_c))
    found = [kissinger(peaks, rates).energy.value]
    found += [f(curves).mean.value for f in (friedman, kissinger_akahira_sunose, flynn_wall_ozawa, vyazovkin)]
    assert_close(found, np.full(5, energy), rtol=0.02, because="2 % is the promise")
