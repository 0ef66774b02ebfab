"""The simulated thermogravimetric curve: mass balance, kinetics, balance effects, programme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.errors import AnalysisError, PatternError
from xrdcomp.simulate.cohort import simulate_tga
from xrdcomp.simulate.specimens import (
    GAS_CONSTANT,
    LIPID,
    PROTEIN,
    OrganicKinetics,
    Reaction,
    SpecimenModel,
    Step,
    TgaConditions,
    extent,
    peak_reaction,
)
from xrdcomp.simulate.tga import (
    STANDARDS,
    expected_mass,
    heating_programme,
    measure_mass,
    simulate_reaction,
    simulate_standard,
    simulate_tga_blank,
    specimen_pools,
)

CALM = TgaConditions(noise_ug=0.0, pan_volume_cm3=0.0, sample_density_g_cm3=1e9)
SPECIMEN = SpecimenModel(apatite=0.30, protein=0.35, lipid=0.15, water=0.12, amorphous_mineral=0.06, carbonate=0.02)


def lost(model: SpecimenModel, *, inert: bool) -> dict[str, float]:
    total: dict[str, float] = {}
    for pool in specimen_pools(model, inert=inert):
        total[pool.name] = total.get(pool.name, 0.0) + pool.mass_fraction
    return total


def test_mass_balance_in_air() -> None:
    parts = lost(SPECIMEN, inert=False)
    because = "float arithmetic on given fractions"
    assert_close(parts["water"], 0.12, atol=1e-12, because=because)
    assert_close(parts["protein"] + parts["lipid"], 0.50, atol=1e-12, because=because)
    assert_close(parts["carbonate"], 0.02 * 44.0095 / 60.009, atol=1e-12, because=because)
    bound = parts["bound_water_early"] + parts["bound_water_late"]
    assert_close(bound, 0.006, atol=1e-12, because=because)
    assert_close(parts["bound_water_late"] / bound, 0.8, atol=1e-12, because=because)
    assert_close(parts["hydroxyl"], 0.01793 * 0.30, atol=1e-12, because=because)


def test_char_stays_in_an_inert_gas() -> None:
    model = replace(SPECIMEN, char_fraction=0.25)
    air, nitrogen = lost(model, inert=False), lost(model, inert=True)
    kept = sum(air[k] - nitrogen[k] for k in ("protein", "lipid"))
    assert_close(kept, 0.25 * 0.50, atol=1e-12, because="float arithmetic")
    run = simulate_tga(model, replace(CALM, atmosphere="nitrogen"), seed=1)
    burnt = simulate_tga(model, CALM, seed=1)
    difference = (run.mass[-1] - burnt.mass[-1]) / CALM.sample_mass_mg
    assert_close(difference, 0.125, atol=1e-3, because="tails of pyrolysis at the end of the run")


def test_curve_falls_from_the_initial_mass_to_the_residue() -> None:
    run = simulate_tga(SPECIMEN, replace(CALM, end_c=1000.0), seed=1)
    fraction = run.mass / CALM.sample_mass_mg
    assert_close(fraction[0], 1.0, atol=1e-4, because="water leaves from the first second")
    assert (np.diff(fraction) <= 1e-12).all()
    parts = lost(SPECIMEN, inert=False)
    residue = 1.0 - sum(v for k, v in parts.items() if k != "hydroxyl")
    assert residue - parts["hydroxyl"] < fraction[-1] < residue
    at = {t: float(np.interp(t, run.temperature_c, fraction)) for t in (220.0, 600.0, 960.0)}
    assert_close(1.0 - at[220.0], 0.12, atol=0.012, because="early bound water and the first of the protein")
    assert_close(at[220.0] - at[600.0], 0.5, atol=0.01, because="late bound water on one side, tail on the other")
    assert_close(at[600.0] - at[960.0], parts["carbonate"], atol=0.003, because="hydroxyl and combustion's tail")


def test_extent_of_first_order_reaction_against_fine_integration() -> None:
    reaction = peak_reaction(400.0, 160.0)
    programme = heating_programme(replace(CALM, points=400))
    time, temperature = programme.time_s, programme.temperature_c
    fine = np.linspace(0.0, time[-1], 200_001)
    rate = np.exp(reaction.ln_a - 160.0 / (GAS_CONSTANT * (np.interp(fine, time, temperature) + 273.15)))
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(fine))])
    exact = 1.0 - np.exp(-np.interp(time, fine, integral))
    because = "2.4 K between readings, rate taken as exponential between them"
    assert_close(extent(reaction, time, temperature), exact, atol=3e-4, because=because)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_extent_solves_its_rate_equation(order: float) -> None:
    reaction = peak_reaction(350.0, 150.0, order)
    programme = heating_programme(replace(CALM, points=20_000))
    time, temperature = programme.time_s, programme.temperature_c
    alpha = extent(reaction, time, temperature)
    assert alpha[0] == 0.0
    assert_close(alpha[-1], 1.0, atol=5e-3, because="second order leaves a tail")
    middle = (alpha > 0.05) & (alpha < 0.95)
    rate = np.gradient(alpha, time)[middle]
    t = temperature[middle] + 273.15
    law = np.exp(reaction.ln_a - 150.0 / (GAS_CONSTANT * t)) * (1.0 - alpha[middle]) ** order
    assert_close(rate, law, rtol=2e-3, because="central differences over 0.05 K")


@pytest.mark.parametrize("rate", [2.0, 10.0, 40.0])
def test_peak_follows_kissinger(rate: float) -> None:
    reaction = peak_reaction(400.0, 180.0)
    conditions = replace(CALM, heating_rate_k_min=rate, points=20_000, furnace_lag_s=0.0)
    programme = heating_programme(conditions)
    time, temperature = programme.time_s, programme.temperature_c
    slope = np.gradient(extent(reaction, time, temperature), time)
    peak = temperature[int(np.argmax(slope))] + 273.15
    left = np.log(rate / 60.0 / peak**2)
    right = np.log(np.exp(reaction.ln_a) * GAS_CONSTANT / 180.0) - 180.0 / (GAS_CONSTANT * peak)
    assert_close(left, right, atol=0.01, because="peak read to 0.05 K of a slope of 0.05 per K")


@pytest.mark.parametrize("kinetics", [PROTEIN, LIPID])
def test_organic_burns_between_200_and_600(kinetics: OrganicKinetics) -> None:
    programme = heating_programme(CALM)
    time, temperature = programme.time_s, programme.temperature_c
    gone = sum(step.share * extent(step.reaction, time, temperature) for step in kinetics.air)
    assert float(np.interp(200.0, temperature, gone)) < 0.02
    assert float(np.interp(600.0, temperature, gone)) > 0.99


def test_shifted_reaction_moves_by_the_kelvin_asked() -> None:
    reaction = LIPID.inert[1].reaction
    programme = heating_programme(replace(CALM, points=20_000, furnace_lag_s=0.0))
    time, temperature = programme.time_s, programme.temperature_c
    peaks = [
        temperature[int(np.argmax(np.gradient(extent(r, time, temperature), time)))]
        for r in (reaction, reaction.shifted(20.0))
    ]
    assert_close(peaks[1] - peaks[0], 20.0, atol=0.2, because="0.05 K between readings")


def test_shares_must_sum_to_one() -> None:
    step = Step(share=0.5, reaction=peak_reaction(300.0, 100.0))
    with pytest.raises(AnalysisError, match="sum to"):
        OrganicKinetics(air=(step,), inert=(step, step))


def test_buoyancy_of_an_ideal_gas() -> None:
    blank = simulate_tga_blank(replace(CALM, pan_volume_cm3=1.0, start_c=25.0, end_c=800.0), seed=1)
    because = "air 1.18 mg/cm³ at 25 °C and 0.33 at 800 °C"
    assert_close(blank.mass[-1] - blank.mass[0], 0.85, atol=0.01, because=because)


def test_drift_noise_and_wander() -> None:
    programme = heating_programme(CALM)
    time = programme.time_s
    flat = np.ones(len(time))
    drifting = replace(CALM, drift_ug_h=60.0)
    reading = measure_mass(flat, programme, drifting, np.random.default_rng(0))
    gained = reading[-1] - reading[0]
    assert_close(gained, 0.06 * time[-1] / 3600.0, rtol=1e-6, because="linear drift")
    noisy = measure_mass(flat, programme, replace(CALM, noise_ug=5.0), np.random.default_rng(0))
    n = len(time)
    assert_close(noisy.std(), 5e-3, rtol=4.0 / np.sqrt(2 * n), because="4σ of a standard deviation of n")
    walk = measure_mass(flat, programme, replace(CALM, wander_ug=3.0), np.random.default_rng(0))
    assert 1e-4 < np.ptp(walk) < 2e-2


def test_programme_with_a_hold() -> None:
    conditions = replace(CALM, holds=((120.0, 10.0),), end_c=300.0, points=4000)
    programme = heating_programme(conditions)
    time, temperature, segment = programme.time_s, programme.temperature_c, programme.segment
    assert set(segment) == {0.0, 1.0, 2.0}
    held = temperature[segment == 1.0]
    assert_close(held, 120.0, atol=1e-9, because="isothermal")
    assert_close(time[-1], 600.0 + 60.0 * 27.5, atol=1e-6, because="275 K at 10 K/min and ten minutes")
    run = simulate_tga(SPECIMEN, conditions, seed=1)
    assert run.segment is not None
    assert run.segment.max() == 2


def test_ramp_reaches_its_end_at_its_rate() -> None:
    programme = heating_programme(CALM)
    time, temperature = programme.time_s, programme.temperature_c
    assert_close(temperature[[0, -1]], [25.0, 1000.0], atol=0.01, because="lag has died out")
    slope = np.gradient(temperature, time)[len(time) // 2]
    assert_close(slope, 10.0 / 60.0, rtol=1e-6, because="steady ramp")


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
@pytest.mark.parametrize(
    ("standard", "losses"),
    [
        ("calcium-oxalate-monohydrate", (0.1233, 0.1917, 0.3012)),
        ("copper-sulfate-pentahydrate", (0.1443, 0.1443, 0.0722)),
        ("calcite", (0.4397,)),
        ("portlandite", (0.2431,)),
    ],
)
def test_standards_lose_what_stoichiometry_says(standard: str, losses: tuple[float, ...], rate: float) -> None:
    conditions = replace(CALM, heating_rate_k_min=rate, atmosphere="nitrogen")
    run = simulate_standard(standard, conditions, seed=1)
    fraction = run.mass / conditions.sample_mass_mg
    slope = -np.gradient(fraction, run.temperature_c)
    done = np.cumsum(losses)
    for i, total in enumerate(done[:-1] if len(losses) > 1 else done):
        middle = float(np.interp(total - losses[i] / 2, 1.0 - fraction, run.temperature_c))
        if i + 1 < len(losses):
            after = float(np.interp(total + losses[i + 1] / 2, 1.0 - fraction, run.temperature_c))
            between = np.flatnonzero((run.temperature_c > middle) & (run.temperature_c < after))
            valley = between[int(np.argmin(slope[between]))]
        else:
            valley = len(fraction) - 1
        because = "steps that overlap by some 0.1 % of the mass at the valley of the slope"
        assert_close(1.0 - fraction[valley], total, atol=0.001, because=because)


def test_single_reaction_loses_what_was_asked() -> None:
    run = simulate_reaction(peak_reaction(350.0, 150.0), CALM, loss=0.3, seed=1)
    assert_close(run.mass[-1] / CALM.sample_mass_mg, 0.7, atol=1e-6, because="first order is over at 1000 °C")
    never = Reaction(activation_energy=150.0, ln_a=-50.0)
    assert_close(simulate_reaction(never, CALM, seed=1).mass, CALM.sample_mass_mg, rtol=1e-6, because="no rate")


@pytest.mark.parametrize(
    ("phase", "loss"), [("calcite", 0.4397), ("whewellite", 0.6162), ("struvite", 0.5466), ("brushite", 0.2617)]
)
def test_other_phases_decompose(phase: str, loss: float) -> None:
    run = simulate_tga(SpecimenModel(protein=0.5, other={phase: 0.5}), CALM, seed=1)
    because = "stoichiometry, tails below 0.1 %"
    assert_close(1.0 - run.mass[-1] / CALM.sample_mass_mg, 0.5 + 0.5 * loss, atol=1.5e-3, because=because)


def test_seed_decides_the_noise_only() -> None:
    noisy = TgaConditions(wander_ug=1.0)
    first, again, other = (simulate_tga(SPECIMEN, noisy, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.mass, again.mass)
    assert not np.array_equal(first.mass, other.mass)
    assert np.abs(first.mass - other.mass).max() < 0.03
    assert first.initial_mass_mg == noisy.sample_mass_mg
    assert first.atmosphere == "air"


def test_impossible_runs_are_refused() -> None:
    with pytest.raises(AnalysisError, match="not a simulated standard"):
        simulate_standard("chalk", CALM, seed=1)
    with pytest.raises(AnalysisError, match="no more than 1"):
        simulate_reaction(peak_reaction(300.0, 100.0), CALM, loss=1.2, seed=1)
    with pytest.raises(PatternError, match="not one"):
        TgaConditions(heating_rate_k_min=-1.0)
    with pytest.raises(PatternError, match="holds"):
        TgaConditions(holds=((500.0, 5.0), (200.0, 5.0)))
    assert set(STANDARDS) >= {"calcite", "portlandite"}


def test_expected_mass_without_pools_is_one() -> None:
    assert_close(expected_mass((), heating_programme(CALM)), 1.0, atol=0.0, because="nothing leaves")
