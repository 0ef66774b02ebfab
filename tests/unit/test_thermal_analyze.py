"""analyze_tga: balance, covariance, steps, gases, blanks, messages."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.helpers import assert_close
from tests.unit.thermal_curves import TISSUE, TISSUE_BALANCE, run_of
from xrdcomp.data import Atmosphere, MassUnit, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import ThermalRecipe
from xrdcomp.results import TgaResult
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.curve import to_mass_fraction

NO_BUOYANCY = ThermalRecipe(pan_volume_cm3=0.0, sample_density_g_cm3=1e6, bound_water_fraction=0.0)
# one logistic step alone is as narrow as a hydroxide's, and would not be read as tissue's
SAID_TISSUE = msgspec.structs.replace(NO_BUOYANCY, assignment="tissue")
CUT = "tails of logistic steps beyond the cuts (0.05 wt%) and 1 µg of noise on 20 mg"


def codes(result: TgaResult) -> set[str]:
    return {d.code for d in result.messages}


def test_losses_of_tissue_are_found_and_sum_to_one() -> None:
    result = analyze_tga(run_of(), NO_BUOYANCY)
    assert result.balance_names == ("water", "organic", "carbonate", "residue")
    assert_close(result.balance, TISSUE_BALANCE, atol=1e-3, because=CUT)
    assert_close(result.balance.sum(), 1.0, atol=1e-12, because="closure is built in")
    assert_close(result.covariance.sum(axis=1), np.zeros(4), atol=1e-12, because="rows of a closed balance")
    assert [step.name for step in result.steps[:3]] == ["water", "organic", "carbonate"]


def test_neighbours_share_a_boundary_and_are_anticorrelated() -> None:
    # a drifting balance would move neighbouring losses alike
    steps = analyze_tga(run_of(noise_ug=20.0), msgspec.structs.replace(NO_BUOYANCY, drift_std_ug=0.0))
    covariance = steps.covariance
    assert covariance[0, 1] < 0
    assert covariance[1, 2] < 0
    assert steps.steps[0].end_c == steps.steps[1].start_c


def test_a_mass_that_drifts_upwards_has_no_loss_left_at_the_boundary() -> None:
    """A rise is no loss that could belong to the other side: it is left to noise, drift and buoyancy."""
    run, gain = run_of(noise_ug=0.1), 2e-5
    drifting = replace(run, mass=run.mass + gain * (run.temperature_c - run.temperature_c[0]) * float(run.mass[0]))
    variances = []
    for placed in (NO_BUOYANCY, msgspec.structs.replace(NO_BUOYANCY, placement_std_c=0.0)):
        result = analyze_tga(drifting, placed)
        variances.append(result.budget["carbonate_co2"]["placement"] * float(result.covariance[2, 2]))
    assert_close(*variances, rtol=1e-9, because="only the windows searched are moved")
    both_boundaries = float(np.sqrt(2.0)) * NO_BUOYANCY.placement_std_c
    assert np.sqrt(variances[0]) < 0.7 * gain * both_boundaries, "a window of 30 °C and its edge move by 12 °C each"


def test_step_shapes_are_those_of_the_logistic_curve() -> None:
    step = analyze_tga(run_of(((0.3, 320.0, 16.0),), noise_ug=0.1), SAID_TISSUE).steps[1]
    assert step.peak_c is not None
    assert step.onset_c is not None
    assert step.endset_c is not None
    assert_close(step.peak_c, 320.0, atol=1.0, because="one grid step: smoothing does not move a symmetric step")
    assert_close(step.onset_c, 288.0, atol=2.0, because="tangent of a logistic step meets its feet at ±2 widths")
    assert_close(step.endset_c, 352.0, atol=2.0, because="tangent of a logistic step meets its feet at ±2 widths")


@pytest.mark.parametrize("unit", ["mg", "ug", "g", "percent", "fraction"])
def test_units_give_the_same_balance(unit: MassUnit) -> None:
    expected = analyze_tga(run_of(), NO_BUOYANCY).balance
    actual = analyze_tga(run_of(unit=unit), NO_BUOYANCY).balance
    assert_close(actual, expected, atol=1e-9, because="a unit is a factor")


def test_percent_without_start_mass_is_allowed_and_said() -> None:
    result = analyze_tga(run_of(unit="percent", header=False), NO_BUOYANCY)
    assert "TGA_NO_START_MASS" in codes(result)
    assert_close(result.balance, TISSUE_BALANCE, atol=1e-3, because=CUT)


def test_same_run_same_result() -> None:
    first, second = analyze_tga(run_of(noise_ug=5.0)), analyze_tga(run_of(noise_ug=5.0))
    assert first.to_dict() == second.to_dict()


def test_budget_shares_sum_to_one_and_grow_with_their_source() -> None:
    quiet = analyze_tga(run_of(noise_ug=0.5))
    noisy = analyze_tga(run_of(noise_ug=100.0))
    for shares in quiet.budget.values():
        assert_close(sum(shares.values()), 1.0, atol=1e-9, because="sources are independent and exhaustive")
    assert noisy.budget["water"]["noise"] > quiet.budget["water"]["noise"]
    assert (noisy.quantities["water"].std or 0) > (quiet.quantities["water"].std or 0)


def test_light_specimens_are_less_sure_because_of_buoyancy() -> None:
    light, heavy = (analyze_tga(run_of(start_mg=m)).quantities["residue"].std or 0.0 for m in (1.0, 30.0))
    assert light > 5.0 * heavy


def test_air_leaves_no_char_and_nitrogen_does() -> None:
    air = analyze_tga(run_of(), NO_BUOYANCY)
    inert = analyze_tga(run_of(atmosphere="nitrogen"), NO_BUOYANCY)
    assert air.char_fraction is None
    assert inert.char_fraction is not None
    assert "TGA_INERT_CHAR" in codes(inert)
    assert_close(inert.balance[:2], air.balance[:2], atol=1e-4, because="only the carbonate's loss holds char")
    char = inert.char_fraction.value
    assert 0.1 < char < 0.25, "one narrow reaction: less than protein's 0.22, more than an acrylic's"
    gasified = 0.12 * char / (1 - char) * air.balance[1]  # a share of the char that 37 % of the mass leave
    assert_close(inert.balance[3] - air.balance[3], gasified, atol=1e-3, because="CO2 takes char, not mineral")
    organic = inert.quantities["organic"].value
    assert_close(organic, inert.balance[1] / (1 - char), atol=2e-3, because="cut of the prior at no mineral")
    total = sum(inert.quantities[n].value for n in ("water", "organic", "carbonate_co2", "residue"))
    assert_close(total, 1.0, atol=1e-9, because="char moves from residue to organic")


def test_char_never_takes_more_than_the_residue() -> None:
    rows = ((0.10, 90.0, 12.0), (0.80, 320.0, 16.0), (0.0, 770.0, 16.0))
    result = analyze_tga(run_of(rows, atmosphere="nitrogen"), NO_BUOYANCY)
    assert result.quantities["residue"].value > -0.005


def test_bound_water_widens_the_organic_downwards_only() -> None:
    without = analyze_tga(run_of(), NO_BUOYANCY).quantities["organic"]
    with_bound = analyze_tga(run_of(), ThermalRecipe(pan_volume_cm3=0.0, sample_density_g_cm3=1e6)).quantities[
        "organic"
    ]
    assert without.ci95 is not None
    assert with_bound.ci95 is not None
    assert with_bound.value == without.value
    assert with_bound.ci95[0] < without.ci95[0] - 0.005
    assert_close(with_bound.ci95[1], without.ci95[1], atol=1e-12, because="it can only lower the organic")


def test_an_early_end_says_only_what_can_be_said() -> None:
    result = analyze_tga(run_of(end_c=700.0), NO_BUOYANCY)
    assert result.balance_names == ("water", "organic", "residue_with_carbonate")
    assert_close(result.balance, (0.10, 0.37, 0.53), atol=1e-3, because=CUT)
    assert "TGA_CARBONATE_LEFT" in codes(result)
    assert result.quantities == {}
    assert_close(result.residue.value, result.mass_fraction[-1], atol=1e-12, because="the residue is what is left")


def test_what_is_lost_after_the_organic_of_a_short_run_can_be_too_much_for_carbonate() -> None:
    rows = ((0.10, 90.0, 12.0), (0.37, 320.0, 16.0), (0.30, 690.0, 4.0))
    result = analyze_tga(run_of(rows, end_c=720.0), NO_BUOYANCY)
    text = next(d.text for d in result.messages if d.code == "TGA_NOT_ASSIGNED")
    assert "calcium carbonate loses no more than 44 %" in text
    assert result.balance_names == ()
    lost = sum(step.mass_loss.value for step in result.steps)
    assert_close(lost + result.residue.value, 1.0, atol=0.01, because="steps and residue are the whole curve")


def test_a_run_without_the_organic_window_numbers_its_steps() -> None:
    result = analyze_tga(run_of(end_c=300.0), NO_BUOYANCY)
    assert result.balance_names == ()
    assert "TGA_RUN_TOO_SHORT" in codes(result)


def test_a_late_single_reaction_is_not_tissue_unless_told() -> None:
    run = run_of(((0.24, 460.0, 8.0),))
    auto, forced = analyze_tga(run), analyze_tga(run, ThermalRecipe(assignment="tissue"))
    assert auto.balance_names == ()
    assert "TGA_NOT_ASSIGNED" in codes(auto)
    assert [s.name for s in auto.steps] == ["step_1"]
    assert forced.balance_names != ()


@pytest.mark.parametrize(("atmosphere", "tissue"), [("nitrogen", True), ("unknown", False)])
def test_fat_alone_goes_late_where_nothing_burns(atmosphere: Atmosphere, tissue: bool) -> None:
    fat = replace(run_of(((0.10, 90.0, 12.0), (0.45, 395.0, 22.0), (0.01, 760.0, 20.0))), atmosphere=atmosphere)
    result = analyze_tga(fat, NO_BUOYANCY)
    assert ("TGA_NOT_ASSIGNED" not in codes(result)) == tissue


@pytest.mark.parametrize("rows", [((0.24, 460.0, 8.0),), ((0.08, 395.0, 22.0),), ((0.95, 440.0, 12.0),)])
def test_a_late_reaction_in_nitrogen_is_no_fat(rows: tuple[tuple[float, float, float], ...]) -> None:
    """Portlandite, bound water of a cement, polyethylene: too late, or too little."""
    result = analyze_tga(replace(run_of(rows), atmosphere="nitrogen"), NO_BUOYANCY)
    assert "TGA_NOT_ASSIGNED" in codes(result)


def test_more_than_calcite_can_lose_is_no_carbonate() -> None:
    run = run_of(((0.10, 90.0, 12.0), (0.70, 320.0, 16.0), (0.15, 770.0, 10.0)))
    result = analyze_tga(run, NO_BUOYANCY)
    reason = next(d for d in result.messages if d.code == "TGA_NOT_ASSIGNED")
    assert "calcium carbonate" in reason.text


def test_a_gain_of_mass_is_named_with_its_size() -> None:
    result = analyze_tga(run_of((*TISSUE, (-0.02, 620.0, 8.0))), NO_BUOYANCY)
    gain = next(d for d in result.messages if d.code == "TGA_MASS_GAIN")
    assert_close(float(gain.facts["gain"]), 0.02, atol=2e-3, because="noise of the extremes")


def test_a_gap_is_named_where_it_is() -> None:
    whole = run_of()
    keep = (whole.temperature_c < 300.0) | (whole.temperature_c > 350.0)
    assert whole.time_s is not None
    holed = TgaRun(
        temperature_c=whole.temperature_c[keep],
        mass=whole.mass[keep],
        mass_unit="mg",
        time_s=whole.time_s[keep],
        initial_mass_mg=20.0,
        atmosphere="air",
    )
    result = analyze_tga(holed, NO_BUOYANCY)
    gap = next(d for d in result.messages if d.code == "TGA_GAP")
    assert_close(float(gap.facts["from_c"]), 300.0, atol=2.0, because="grid step")
    assert_close(result.balance, TISSUE_BALANCE, atol=1.5e-3, because=CUT)


def test_what_is_no_mass_is_refused() -> None:
    run = run_of()
    heat_flow = replace(run, mass=np.sin(run.temperature_c / 30.0) - 0.2)
    with pytest.raises(AnalysisError, match="not a mass"):
        analyze_tga(heat_flow)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(AnalysisError, match="too few"):
        analyze_tga(TgaRun(temperature_c=np.arange(10.0), mass=np.ones(10), mass_unit="mg"))


def test_time_that_runs_backwards_is_refused_with_its_place() -> None:
    run = run_of()
    assert run.time_s is not None
    time = np.array(run.time_s)
    time[1000] -= 50.0
    with pytest.raises(AnalysisError, match="point 1000"):
        analyze_tga(replace(run, time_s=time))


def test_cooling_is_dropped() -> None:
    run = run_of()
    assert run.time_s is not None
    cooling = np.linspace(1000.0, 100.0, 500)
    longer = TgaRun(
        temperature_c=np.concatenate((run.temperature_c, cooling)),
        mass=np.concatenate((run.mass, np.full(500, run.mass[-1] + 1.0))),
        mass_unit="mg",
        time_s=np.concatenate((run.time_s, run.time_s[-1] + np.arange(1, 501))),
        initial_mass_mg=20.0,
        atmosphere="air",
    )
    result = analyze_tga(longer, NO_BUOYANCY)
    assert "TGA_COOLING_DROPPED" in codes(result)
    assert_close(result.balance, TISSUE_BALANCE, atol=1e-3, because=CUT)


def test_water_may_leave_during_a_hold() -> None:
    minutes = np.concatenate((np.arange(0, 8, 1 / 60), np.arange(8, 38, 1 / 60), np.arange(38, 128, 1 / 60)))
    temperature = np.interp(minutes, [0, 8, 38, 128], [25.0, 105.0, 105.0, 1005.0])
    water = 0.2 * -np.expm1(-np.clip(minutes - 2.0, 0.0, None) / 5.0)
    other = 1.0 - (0.3 / (1 + np.exp(-(temperature - 330.0) / 14.0)))
    run = TgaRun(
        temperature_c=temperature,
        mass=10.0 * (other - water),
        mass_unit="mg",
        time_s=60.0 * minutes,
        initial_mass_mg=10.0,
        atmosphere="air",
    )
    result = analyze_tga(run, SAID_TISSUE)
    assert_close(result.balance, (0.2, 0.3, 0.0, 0.5), atol=1.5e-3, because=CUT)
    assert_close(result.heating_rate_k_min or 0.0, 10.0, rtol=0.01, because="the hold does not count")


def test_a_blank_takes_out_buoyancy_and_drift() -> None:
    run = run_of()
    baseline = 0.2 * (1.0 - 298.0 / (run.temperature_c + 273.0)) + 5e-5 * run.temperature_c
    disturbed = replace(run, mass=run.mass + baseline)
    blank = TgaRun(temperature_c=run.temperature_c, mass=baseline, mass_unit="mg", time_s=run.time_s)
    corrected = analyze_tga(disturbed, NO_BUOYANCY, blank=blank)
    assert_close(corrected.balance, TISSUE_BALANCE, atol=1e-3, because=CUT)
    uncorrected = analyze_tga(disturbed, NO_BUOYANCY)
    assert abs(uncorrected.balance[3] - 0.5) > 5e-3
    assert "TGA_NO_BLANK" not in codes(corrected)


def test_a_blank_that_does_not_reach_is_refused() -> None:
    run = run_of()
    blank = TgaRun(temperature_c=np.linspace(25.0, 500.0, 900), mass=np.zeros(900), mass_unit="mg")
    with pytest.raises(AnalysisError, match="covers"):
        analyze_tga(run, blank=blank)


def test_a_percent_blank_without_start_mass_is_refused() -> None:
    run = run_of()
    with pytest.raises(AnalysisError, match="percent"):
        analyze_tga(run, blank=run_of(unit="percent", header=False))


def test_a_wet_start_counts_from_the_weighed_mass() -> None:
    run = run_of()
    late = run.temperature_c > 80.0
    assert run.time_s is not None
    started_late = TgaRun(
        temperature_c=run.temperature_c[late],
        mass=run.mass[late],
        mass_unit="mg",
        time_s=run.time_s[late],
        initial_mass_mg=20.0,
        atmosphere="air",
    )
    result = analyze_tga(started_late, NO_BUOYANCY)
    assert "TGA_LOSS_BEFORE_START" in codes(result)
    assert_close(result.balance[0], 0.10, atol=1e-3, because=CUT)


def test_a_header_of_another_run_is_not_believed() -> None:
    result = analyze_tga(replace(run_of(), initial_mass_mg=37.0), NO_BUOYANCY)
    assert "TGA_START_MASS" in codes(result)
    assert_close(result.balance, TISSUE_BALANCE, atol=1e-3, because=CUT)


def test_hydroxyl_loss_stays_in_the_residue() -> None:
    result = analyze_tga(run_of((*TISSUE, (0.009, 985.0, 6.0)), end_c=1020.0), NO_BUOYANCY)
    assert "TGA_LATE_LOSS" in codes(result)
    assert_close(result.balance, TISSUE_BALANCE, atol=1.2e-3, because=CUT)


@pytest.mark.parametrize("energy_kj", [220.0, 280.0, 350.0])
def test_what_left_before_the_carbonate_s_end_is_given_back(energy_kj: float) -> None:
    """A front of hydroxyl: 0.03 wt% by 930 °C, 0.17 by 1000 °C at 280 kJ/mol."""
    run = run_of(noise_ug=0.5)
    kelvin, at = run.temperature_c + 273.15, 1203.15
    front = 3e-4 * (kelvin / at) ** 2 * np.exp(energy_kj / 8.314e-3 * (1.0 / at - 1.0 / kelvin))
    with_front = analyze_tga(replace(run, mass=run.mass - 20.0 * front), NO_BUOYANCY)
    without = analyze_tga(run, NO_BUOYANCY)
    drawn = with_front.quantities["carbonate_co2"]
    assert drawn.std is not None
    assert_close(drawn.value, without.quantities["carbonate_co2"].value, atol=2e-4, because="half of the front remains")
    assert abs(drawn.value - without.quantities["carbonate_co2"].value) < 2.0 * drawn.std
    assert with_front.budget["carbonate_co2"]["late_loss"] > without.budget["carbonate_co2"]["late_loss"]


def test_a_run_that_ends_with_the_carbonate_gives_back_no_more_than_hydroxyl_explains() -> None:
    whole, cut = (analyze_tga(run_of(end_c=end), NO_BUOYANCY).quantities["carbonate_co2"] for end in (1000.0, 925.0))
    most = 0.05 * 0.018 * 0.5
    assert_close(cut.value, whole.value, atol=most, because="5 % of the hydroxyl of half the mass")
    assert (cut.std or 0.0) > (whole.std or 0.0)


def test_the_noise_of_a_blank_counts() -> None:
    run = run_of()
    noise = 1e-3 * np.random.default_rng(3).standard_normal(len(run))
    shares = []
    for ug in (1.0, 30.0):
        blank = TgaRun(temperature_c=run.temperature_c, mass=ug * noise, mass_unit="mg", time_s=run.time_s)
        shares.append(analyze_tga(run, NO_BUOYANCY, blank=blank).budget["water"]["blank"])
    assert shares[0] < 0.05
    assert shares[1] > 0.3


def test_overlap_adds_doubt() -> None:
    apart = run_of()
    close = run_of(((0.10, 130.0, 25.0), (0.25, 300.0, 30.0), (0.12, 470.0, 14.0), (0.03, 770.0, 16.0)))
    doubt = [analyze_tga(r, NO_BUOYANCY).budget["water"]["overlap"] for r in (apart, close)]
    assert doubt[0] == 0.0
    certain = ThermalRecipe(decompose="always", placement_std_c=1.0)  # placement would hold the same error
    assert analyze_tga(close, certain).budget["water"]["overlap"] > 0.0


def test_parts_of_the_organic_step_are_listed() -> None:
    organic = analyze_tga(run_of(), NO_BUOYANCY).steps[1]
    assert_close([p.peak_c or 0.0 for p in organic.parts], (320.0, 470.0), atol=3.0, because="three grid steps")
    assert_close([p.mass_loss.value for p in organic.parts], (0.25, 0.12), atol=4e-3, because="feet of the peaks")
    assert "parts" in organic.to_dict()


def test_smoothing_setting_is_obeyed() -> None:
    fine = analyze_tga(run_of(noise_ug=100.0), ThermalRecipe(smoothing_c=2.0))
    coarse = analyze_tga(run_of(noise_ug=100.0), ThermalRecipe(smoothing_c=12.0))
    assert np.abs(np.diff(coarse.dtg_per_min)).sum() < np.abs(np.diff(fine.dtg_per_min)).sum()


def test_the_dtg_follows_the_rate_when_segments_differ() -> None:
    temperature = np.concatenate((np.arange(25.0, 250.0, 0.05), np.arange(250.0, 1000.0, 0.4)))
    minutes = np.concatenate((np.arange(4500) * 0.025, 4500 * 0.025 + np.arange(1875) * 0.01))
    mass = 1.0 - 0.2 / (1 + np.exp(-(temperature - 120.0) / 10.0)) - 0.3 / (1 + np.exp(-(temperature - 450.0) / 10.0))
    run = TgaRun(
        temperature_c=temperature, mass=10.0 * mass, mass_unit="mg", time_s=60.0 * minutes, initial_mass_mg=10.0
    )
    result = analyze_tga(run, NO_BUOYANCY)
    slow = result.dtg_per_min[result.temperature_c < 240.0].max()
    fast = result.dtg_per_min[result.temperature_c > 300.0].max()
    assert_close(slow, 0.2 / 40.0 * 2.0, rtol=0.05, because="smoothing of 4 °C flattens the top")
    assert_close(fast, 0.3 / 40.0 * 40.0, rtol=0.05, because="smoothing of 4 °C flattens the top")


def test_no_width_to_search_leaves_the_boundary_at_its_literature_value() -> None:
    fixed = analyze_tga(run_of(), msgspec.structs.replace(NO_BUOYANCY, search_half_width_c=0.0, water_end_c=231.0))
    assert_close(fixed.steps[0].end_c, 231.0, atol=1.0, because="one grid step")
    assert np.isfinite(fixed.covariance).all()


@pytest.mark.parametrize(("factor", "read"), [(0.056, False), (0.7, True), (1.0, True), (1.3, False)])
def test_per_cent_that_are_none_are_not_read_as_water(factor: float, read: bool) -> None:
    """Milligrams said to be per cent: what is missing at the start would be counted as water."""
    run = run_of(unit="percent")
    result = analyze_tga(replace(run, mass=factor * run.mass), NO_BUOYANCY)
    assert bool(result.quantities) is read
    assert ("TGA_NOT_ASSIGNED" in codes(result)) is not read
    assert ("TGA_PERCENT_START" in codes(result)) is (factor != 1.0)


def test_a_specimen_that_dries_before_the_programme_starts_keeps_its_water() -> None:
    """At 44 % water the first 15 readings may see 0.5 % of the mass go; their middle is not the start."""
    lost = np.maximum(10.0 - 0.007 * np.arange(3000.0), 6.0)
    found = to_mass_fraction(
        TgaRun(temperature_c=np.linspace(25.0, 600.0, 3000), mass=lost, mass_unit="mg", time_s=np.arange(3000.0))
    )
    assert_close(found.start_mass_mg or 0.0, 10.0, rtol=1e-9, because="a straight line is followed exactly")


def test_noise_of_the_first_readings_is_no_slope() -> None:
    rng = np.random.default_rng(3)
    starts = []
    for _ in range(300):
        mass = 10.0 + 0.001 * rng.standard_normal(3000)
        run = TgaRun(temperature_c=np.linspace(25.0, 600.0, 3000), mass=mass, mass_unit="mg")
        starts.append(to_mass_fraction(run).start_mass_mg)
    because = "the median of 15 readings has 1.25 / sqrt(15) = 0.32 of one reading's noise; 300 leave 4 % of it"
    assert_close(float(np.std(starts)), 0.00032, rtol=0.2, because=because)
