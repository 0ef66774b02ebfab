"""The phase search on small simulated scans: what is found, what is not, and how it is said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy_identification import MEDICAL_PHASES, found_in, others, run_search, with_line
from tests.helpers import assert_close
from xrdcomp.data import EmissionLine, Pattern
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.physics import reflections as lattice
from xrdcomp.recipe import IdentificationRecipe, Recipe
from xrdcomp.refinement.refine import Refinement, group_columns
from xrdcomp.results import DetectionRule
from xrdcomp.search.detection import limit_z, surely_above
from xrdcomp.search.doubts import implausible
from xrdcomp.search.nuisance import chance_scatter, library_scatter, score_phases, search_residual, widened
from xrdcomp.search.report import unexplained_peaks
from xrdcomp.search.search import Identification, _refine_with, search_from
from xrdcomp.search.templates import (
    COLD_VARIANTS,
    Variant,
    _Shift,
    candidate,
    draw_crystals,
    draw_patterns,
    library,
    make_grid,
    reflection_fwhm,
    searched_phases,
)
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.scattering import MATERIALS, AmorphousMaterial, HaloShape
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import identify
from xrdcomp.units import FloatArray, two_theta_to_d

CONDITIONS = XrdConditions(peak_counts=4000.0, two_theta_min=10.0, two_theta_max=65.0, step=0.03)


def scan(*, apatite: float = 0.3, seed: int = 1, **other: float) -> Pattern:
    rest = 1.0 - apatite - sum(other.values())
    model = SpecimenModel(apatite=apatite, protein=0.8 * rest, water=0.2 * rest, other=other)
    return simulate_pattern(model, CONDITIONS, seed=seed)[0]


@pytest.fixture(scope="module")
def clean() -> Identification:
    return run_search(scan())


@pytest.fixture(scope="module")
def state() -> Refinement:
    pattern = scan(halite=0.03)
    instrument = build_instrument(pattern, Recipe().instrument)
    return Refinement.run(pattern, load_phases(("hydroxyapatite",)), instrument)


def test_a_phase_without_a_limit_is_not_called_absent(clean: Identification) -> None:
    misread = run_search(replace(scan(), two_theta=scan().two_theta - 5.0))  # nothing fits: no limit can be given
    for phase in (*clean.phases, *misread.phases):
        assert phase.decision == "detected" or phase.undecided or not phase.evidence.tested or phase.detection_limit
    unseen = [phase.id for phase in clean.phases if not phase.evidence.tested]
    assert unseen, "every phase of the library shows in this scan: the test needs another"
    assert all(clean.phases[name].decision == "inconclusive" for name in unseen)
    assert not any("Neither shown" in item.text for item in clean.messages)


def test_clean_specimen_has_apatite_and_nothing_else(clean: Identification) -> None:
    assert [p.id for p in clean.phases if p.decision == "detected"] == ["hydroxyapatite"]
    assert others(clean, "inconclusive") == []
    assert clean.unexplained == ()


def test_every_phase_of_the_library_is_reported_once(clean: Identification) -> None:
    ids = [p.id for p in clean.phases]
    assert sorted(ids) == sorted({p.id for p in library(())})


def test_absent_phases_have_limits_of_a_few_per_cent_at_most(clean: Identification) -> None:
    named = [p for p in clean.phases if p.id in MEDICAL_PHASES]
    assert all(p.decision == "not_detected" for p in named)
    limits = np.array([p.detection_limit for p in named], float)
    assert (limits > 0).all()
    assert np.median(limits) < 0.02


def test_other_apatites_are_not_told_apart(clean: Identification) -> None:
    other = next(p for p in clean.phases if p.id == "bioapatite_model")
    assert other.decision in {"inconclusive", "not_detected"}
    assert other.evidence.reason
    assert other.weight_fraction is None


def test_halite_is_found_by_lines_that_apatite_leaves_free() -> None:
    found = run_search(scan(halite=0.03))
    halite = next(p for p in found.phases if p.id == "halite")
    assert halite.decision == "detected"
    assert halite.weight_fraction is not None
    assert_close(halite.weight_fraction.value, 0.03, atol=0.007, because="the stated accuracy of 0.7 wt%")
    assert others(found, "detected", known=("halite",)) == []


def test_no_apatite_is_said_with_a_limit() -> None:
    found = run_search(scan(apatite=0.0))
    apatite = next(p for p in found.phases if p.id == "hydroxyapatite")
    assert apatite.decision == "not_detected"
    assert apatite.detection_limit is not None
    assert apatite.detection_limit < 0.1


def test_identify_starts_from_nothing() -> None:
    pattern = scan(apatite=0.0, calcite=0.5)
    found = identify(pattern, build_instrument(pattern, Recipe().instrument))
    assert found_in(found, "calcite")
    assert others(found, "detected", known=("calcite",)) == []


def test_a_phase_that_is_not_there_does_not_stay_because_it_was_asked_for() -> None:
    found = run_search(scan(apatite=0.0, quartz=0.3))
    assert [p.id for p in found.phases if p.decision == "detected"] == ["quartz"]


def test_phases_that_share_their_lines_are_named_as_alternatives() -> None:
    found = run_search(scan(whitlockite=0.08))
    same = {"whitlockite", "beta_tcp", "beta_tcp_mg"}
    hit = [p for p in found.phases if p.decision == "detected" and p.id in same]
    assert hit
    assert set(hit[0].evidence.alternatives) & same


def test_lines_of_no_known_phase_are_listed_as_peaks() -> None:
    pattern = scan()
    bump = 600.0 * np.exp(-0.5 * ((pattern.two_theta - 19.3) / 0.06) ** 2)
    spiked = Pattern(
        two_theta=pattern.two_theta,
        intensity=np.round(pattern.intensity + bump),
        sigma=np.sqrt(np.maximum(pattern.intensity + bump, 1.0)),
        intensity_unit="counts",
        emission_lines=pattern.emission_lines,
        anode=pattern.anode,
        metadata=pattern.metadata,
    )
    found = run_search(spiked)
    assert any(abs(peak.two_theta - 19.3) < 0.05 for peak in found.unexplained)
    assert any(d.code == "XRD_UNEXPLAINED_PEAKS" for d in found.messages)
    assert others(found, "detected") == []


def test_search_can_be_narrowed() -> None:
    pattern = scan(halite=0.03)
    instrument = build_instrument(pattern, Recipe().instrument)
    found = identify(pattern, instrument, IdentificationRecipe(library=("hydroxyapatite", "halite")))
    assert {p.id for p in found.phases} == {"hydroxyapatite", "halite"}
    assert len(repr(found)) < 2700, "one screen of 24 lines"
    assert re.search(r"halite +detected", repr(found))
    assert found.to_dataframe().loc["halite", "decision"] == found.phases["halite"].decision


def test_score_is_the_amount_of_one_more_term(state: Refinement) -> None:
    nuisance = search_residual(state).projected()
    lines = [candidate(load_phase(name), state) for name in ("halite", "quartz")]
    scores = score_phases(lines, nuisance)
    assert scores["halite"].z > 10.0
    assert scores["halite"].reflections_agree
    assert abs(scores["quartz"].z) < 4.0
    total = float(np.maximum(state.evidence.amounts.amounts, 0.0).sum())
    assert_close(
        scores["halite"].amount / total, 0.03, atol=0.01, because="template widths differ from the lines by some 20 %"
    )


def test_a_real_phase_is_no_coincidence(state: Refinement) -> None:
    nuisance = search_residual(state).projected()
    lines = candidate(load_phase("halite"), state)
    assert chance_scatter(lines, nuisance, score_phases([lines], nuisance)["halite"]) == 1.0


@pytest.fixture(scope="module")
def low_angles() -> Refinement:
    """Apatite fitted to a scan with 1 % of octacalcium phosphate, whose strongest lines lie at 9.4 degrees."""
    wide = replace(CONDITIONS, two_theta_min=5.0)
    model = SpecimenModel(apatite=0.3, protein=0.5, water=0.19, other={"octacalcium_phosphate": 0.01})
    pattern, _ = simulate_pattern(model, wide, seed=4)
    instrument = build_instrument(pattern, Recipe().instrument)
    return Refinement.run(pattern, load_phases(("hydroxyapatite",)), instrument)


def test_cells_that_overlap_the_candidate_are_no_evidence_of_chance(low_angles: Refinement) -> None:
    """0.8 % of the spacing at 9.4 degrees is half a line width: what is there is seen by the wrong cell too."""
    nuisance = search_residual(low_angles).projected()
    lines = candidate(load_phase("octacalcium_phosphate"), low_angles)
    score = score_phases([lines], nuisance)["octacalcium_phosphate"]
    moved = [replace(score.variant, strain=score.variant.strain + s) for s in (0.0, 0.008)]
    drawn = draw_patterns([lines], nuisance.grid, moved, (score.size_nm,))[0, 0]
    z, alike = nuisance.correlated_scores(drawn)
    assert_close(z[0], score.z, rtol=1e-4, because="read from a grid that reaches farther, in single precision")
    assert_close(alike[0], 1.0, rtol=1e-12, because="a pattern is like itself")
    assert 0.2 < alike[1] < 1.0
    assert z[1] > 2.0
    assert chance_scatter(lines, nuisance, score) == 1.0


def test_asking_for_a_phase_again_leaves_the_displacement(low_angles: Refinement) -> None:
    """Without the main phase everything of it is residual, which no displacement explains."""
    state = low_angles.add([load_phase("octacalcium_phosphate")])
    screen = search_residual(state)
    assert screen.projected(without="hydroxyapatite").grid.moved == screen.projected().grid.moved


def test_apatite_stays_beside_a_phase_that_is_found(low_angles: Refinement) -> None:
    found = search_from(low_angles, Recipe().identification)
    detected = {p.id for p in found.phases if p.decision == "detected"}
    assert detected == {"hydroxyapatite", "octacalcium_phosphate"}


def test_templates_lie_where_the_fit_puts_lines(low_angles: Refinement) -> None:
    """Axial divergence moves lines at low angles by more than half their width; templates follow."""
    phase = load_phase("octacalcium_phosphate")
    state = low_angles.add([phase])
    moved = {"axial_divergence": 0.04, "sample_displacement_mm": 0.2}
    names, cell = lattice.cell_freedom(phase.crystal_system)[0], phase.cell.parameters
    nominal = {f"{phase.id}_{name}": value for name, value in zip(names, cell, strict=True)}
    lines = state.model.reflections[state.model.phase_ids.index(phase.id)]
    grid = make_grid(state)
    drawn = draw_patterns([candidate(phase, state)], replace(grid, moved=moved), (Variant(),), (25.0,)).ravel()
    fitted, _ = lines.pattern({**state.solution.values, **moved, **nominal})
    fitted = grid.mean(fitted - lines.diffuse)
    x = grid.two_theta
    near = (x > 8.0) & (x < 11.0)

    def centre(curve: FloatArray) -> float:
        return float((x * curve)[near].sum() / curve[near].sum())

    plain = draw_patterns([candidate(phase, state)], grid, (Variant(),), (25.0,)).ravel()
    assert_close(centre(drawn), centre(fitted), atol=0.03, because="widths and tails differ; lines move by 0.22")
    assert centre(plain) - centre(drawn) > 0.1


def test_background_of_another_shape_is_no_broad_line() -> None:
    """Bumps of 2 % at low angles, beyond what the background's own terms take up, are not all left to lines."""
    long = replace(CONDITIONS, two_theta_min=5.0, peak_counts=20000.0)
    model = SpecimenModel(apatite=0.3, protein=0.5, water=0.2)
    pattern, _ = simulate_pattern(model, long, seed=4)
    instrument = build_instrument(pattern, Recipe().instrument)
    state = Refinement.run(pattern, load_phases(("hydroxyapatite",)), instrument)
    screen = search_residual(state)
    x = screen.grid.two_theta
    smooth = screen.grid.mean(state.solution.columns @ state.solution.coefficients) - screen.bragg.sum(axis=1)
    bumps = 0.02 * np.exp(-0.5 * ((x - np.array([[6.0], [9.3], [12.0]])) / 0.8) ** 2) * smooth

    def left(blocks: int) -> FloatArray:
        nuisance = replace(screen, nuisance=screen.nuisance[:blocks]).projected()
        curves = bumps / nuisance.sigma
        return np.asarray((curves**2).sum(axis=1) - ((curves @ nuisance.half.T) ** 2).sum(axis=1))

    without, with_it = left(len(screen.nuisance) - 1), left(len(screen.nuisance))
    assert without.max() > 2.0
    assert (with_it < 0.8 * without).all()
    assert with_it.sum() < 0.3 * without.sum()


def test_displacement_reckons_with_grains() -> None:
    """Intensities that grains have changed pull the fitted displacement; templates are drawn at what is left of it."""
    mm_to_degrees = -2.0 * np.degrees(1.0 / CONDITIONS.radius_mm)

    def shift(values: Mapping[str, float]) -> float:
        return values.get("zero_shift", 0.0) + mm_to_degrees * values.get("sample_displacement_mm", 0.0)

    fitted, judged = [], []
    for seed in range(8):
        crystal = replace(ApatiteModel(), graininess=0.4)
        model = SpecimenModel(apatite=0.4, protein=0.45, water=0.15, apatite_model=crystal)
        pattern, _ = simulate_pattern(model, CONDITIONS, seed=seed)
        instrument = build_instrument(pattern, Recipe().instrument)
        state = Refinement.run(pattern, load_phases(("hydroxyapatite",)), instrument)
        truth = CONDITIONS.zero_shift + mm_to_degrees * CONDITIONS.displacement_mm
        fitted.append(shift(state.solution.values) - truth)
        judged.append(shift(search_residual(state).projected().grid.moved) - truth)
    assert np.sqrt(np.mean(np.square(fitted))) > 0.02
    assert np.mean(np.square(judged)) < 0.7 * np.mean(np.square(fitted))


def test_curves_kept_for_many_specimens_serve_each(state: Refinement, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn once without displacement and with a rung of asymmetry, they are those drawn for one fit, whose own it has.

    Asymmetry that is wrong by a twentieth changes the form of a reflection at 10° by a hundredth of its height.
    """
    residual = search_residual(state).projected()
    phases = [p for p in searched_phases(IdentificationRecipe()) if p.quantifiable and not p.is_apatite]
    rest = [candidate(phase, state) for phase in phases]
    kept = score_phases(rest, residual)
    monkeypatch.setattr(_Shift, "beside_usual", lambda *_: None)
    own = score_phases(rest, residual)
    z, other = (np.array([found[p.id].z for p in phases]) for found in (own, kept))
    assert_close(other, z, atol=0.1, rtol=0.01, because="of a threshold of 4; 0.02 in most")


def test_templates_shift_with_strain_and_keep_their_area(state: Refinement) -> None:
    grid = make_grid(state)
    lines = [candidate(load_phase("halite"), state)]
    drawn = draw_patterns(lines, grid, (Variant(), Variant(strain=0.004)), (80.0, 20.0))
    assert drawn.shape == (2, 1, 2, len(grid.two_theta))
    area = (drawn / grid.slit).sum(axis=-1)
    assert_close(area[1], area[0], rtol=0.05, because="broader tails leave the scan and their window")
    near = np.abs(grid.two_theta - 45.45) < 1.0
    top = grid.two_theta[near][np.argmax(drawn[0, 0][:, near], axis=1)]
    expected = np.degrees(0.004 * 2.0 * np.tan(np.radians(45.45 / 2.0)))
    assert_close(top[0] - top[1], expected, atol=grid.step, because="maxima fall on bins")


@pytest.mark.parametrize("longer", [0.0, 0.01])
def test_a_phase_gets_all_parameters_where_it_may_be_itself(longer: float) -> None:
    """Halite stands for halite, and for something else with a lattice a per cent shorter than the phase's."""
    pattern, halite = scan(apatite=0.0, halite=0.5), load_phase("halite")
    axis = halite.cell.a * (1.0 + longer)
    phase = replace(halite, cell=replace(halite.cell, a=axis, b=axis, c=axis))
    fit = Refinement.run(pattern, (), build_instrument(pattern, Recipe().instrument))
    residual = search_residual(fit).projected()
    score = score_phases([candidate(phase, fit)], residual, variants=COLD_VARIANTS)["halite"]
    score = replace(score, variant=replace(score.variant, strain=-longer), size_nm=80.0)
    *_, trial = _refine_with(fit, score, residual.grid.moved)
    free = {item.name for item in trial.table.free}
    assert bool(implausible(trial, phase)) == (longer > 0.0)
    assert ("halite_b_extra" in free) == (longer == 0.0)


def test_leaving_a_phase_out_brings_it_back(state: Refinement) -> None:
    screen = search_residual(state)
    lines = candidate(load_phase("hydroxyapatite"), state)
    with_it = score_phases([lines], screen.projected())["hydroxyapatite"]
    without = score_phases([lines], screen.projected(without="hydroxyapatite"), sizes=(25.0, 12.0))
    assert without["hydroxyapatite"].z > 20.0 > abs(with_it.z)


def test_a_halo_takes_nothing_from_reflections_beyond_it() -> None:
    instrument = build_instrument(pattern := scan(halite=0.1, brushite=0.1), Recipe().instrument)
    phases = load_phases(("hydroxyapatite", "halite", "brushite"))
    search = search_residual(Refinement.run(pattern, phases, instrument, Recipe().fit))
    halite, brushite = phases[1:]
    assert search.presence_beside_any_halo(halite) is search.presence(halite), "its first reflection is at 27°"
    beside, alone = search.presence_beside_any_halo(brushite).z, search.presence(brushite).z
    assert 0.7 * alone < beside < alone, "one is at 12°, a tenth as broad as a halo, and others beyond"


def test_peaks_of_pure_noise_are_rare(state: Refinement) -> None:
    found = unexplained_peaks(search_residual(state).projected(), (), 1e-9)
    assert all(peak.z > 6.0 for peak in found)


def test_spacing_of_a_peak_counts_the_known_zero_shift() -> None:
    pattern = scan()
    shifted = replace(pattern, two_theta=pattern.two_theta + 0.1)
    instrument = replace(build_instrument(shifted, Recipe().instrument), zero_shift=0.1)
    bump = 600.0 * np.exp(-0.5 * ((pattern.two_theta - 19.3) / 0.06) ** 2)
    shifted = replace(shifted, intensity=shifted.intensity + bump)
    state = Refinement.run(shifted, load_phases(("hydroxyapatite",)), instrument)
    assert "zero_shift" not in state.solution.values
    (peak,) = unexplained_peaks(search_residual(state).projected(), (), 0.005)
    assert_close(
        peak.d_spacing,
        two_theta_to_d(19.3, 1.540598),
        rtol=1.5e-3,
        because="the maximum of noisy counts on 0.03° steps, and the refined displacement",
    )


def test_groups_of_reflections_follow_the_strongest_line(state: Refinement) -> None:
    lines = state.instrument.emission_lines
    with_beta = replace(
        state.instrument, emission_lines=(*lines, EmissionLine(wavelength=1.39225, weight=0.01, label="kbeta"))
    )
    model, other = (
        replace(state.setup, instrument=item).build(state.points, state.table) for item in (state.instrument, with_beta)
    )
    plain = group_columns(model, 0, state.solution.values)
    grouped = group_columns(other, 0, state.solution.values)
    number = {tuple(hkl): k for hkl, k in zip(other.reflections[0].hkl, grouped.group, strict=True)}
    inside = np.sqrt(model.reflections[0].inverse_d_squared) < 2.0 * np.sin(np.radians(31.0)) / 1.5406
    common = zip(model.reflections[0].hkl[inside], plain.group[inside], strict=True)
    pairs = {(k, number[tuple(hkl)]) for hkl, k in common}
    assert len(pairs) == len({k for k, _ in pairs}) == len({k for _, k in pairs}) > 30
    assert_close(
        grouped.strongest,
        plain.strongest,
        atol=1e-2 * plain.strongest.max(),
        because="a line outside the scan that Kβ brings in has its foot inside",
    )
    assert grouped.columns.sum() > plain.columns.sum() > plain.strongest.sum()


def test_a_limit_grows_with_what_is_not_known_of_the_specimen() -> None:
    rule = DetectionRule(false_alarm_rate=0.002, detection_probability=0.95, threshold=4.12, quantile=1.645)
    assert_close(limit_z(rule, 0.0), 4.12 + 1.25 * 1.645, rtol=1e-12, because="t + k q: misfit scatters z by k = 1.25")
    m = limit_z(rule, 0.15)
    assert m > 6.0
    assert_close(m - 4.12, 1.645 * np.sqrt(1.25**2 + (0.15 * m) ** 2), rtol=1e-12, because="the equation solved")
    assert limit_z(rule, 0.4) == limit_z(rule, 3.0), "beyond 40 % a limit says nothing more"


def test_leaving_out_a_phase_keeps_another_with_a_longer_name() -> None:
    phases = load_phases(("beta_tcp", "beta_tcp_mg"))
    pattern = scan(apatite=0.0, beta_tcp=0.3)
    both = Refinement.run(pattern, phases, build_instrument(pattern, Recipe().instrument))
    one = both.drop(["beta_tcp"])
    kept = {item.id for item in both.table.items if item.id.phase == "beta_tcp_mg"}
    assert kept
    assert kept <= {item.id for item in one.table.items}
    assert {item.id.phase for item in one.table.items} == {"", "beta_tcp_mg"}


def test_misfit_is_what_absent_phases_scatter_too_much(state: Refinement) -> None:
    lines = [candidate(p, state) for p in library(()) if p.id not in {"hydroxyapatite", "halite"}]
    scores = list(score_phases(lines, search_residual(state).projected()).values())
    assert library_scatter(scores[:5]) == 1.0, "a short library says nothing"
    wild = [replace(score, typical_z=1.2) for score in scores]
    assert_close(library_scatter(wild), np.sqrt((1.4826 * 1.2) ** 2 - 0.8), rtol=1e-12, because="definition")
    wide = widened(scores[0], 2.0)
    assert (wide.z, wide.std, wide.nominal_std) == (scores[0].z / 2.0, scores[0].std * 2.0, scores[0].nominal_std * 2.0)


def test_small_crystallites_do_not_set_the_width_of_templates(state: Refinement) -> None:
    plain = make_grid(replace(state, setup=replace(state.setup, phases=()))).fwhm(80.0)
    assert make_grid(state).fwhm(80.0) == plain
    assert reflection_fwhm(state, state.solution.values) != plain


def test_lines_of_crystals_widen_with_the_angle(low_angles: Refinement) -> None:
    """Equal areas; sharper and higher than the template's at 9.4 degrees, broader and lower at 57.5."""
    grid = make_grid(low_angles)
    lines = [candidate(p, low_angles) for p in load_phases(("octacalcium_phosphate", "corundum"))]
    flat = draw_patterns(lines, grid, (Variant(),), (80.0,))[0, :, 0]
    true = draw_crystals(lines, grid, 80.0)
    assert_close(true.sum(axis=1), flat.sum(axis=1), rtol=5e-3, because="the scan cuts tails, broad ones elsewhere")
    first, last = (np.abs(grid.two_theta - at) < 0.3 for at in (9.4, 57.5))
    widths = [make_grid(low_angles).fwhm(80.0, theta) for theta in (4.7, 18.0, 28.75)]
    assert widths == sorted(widths)
    assert_close(widths[1], make_grid(low_angles).fwhm(80.0), rtol=1e-12, because="the middle is the default")
    assert true[0, first].max() > 1.02 * flat[0, first].max()
    assert true[1, last].max() < 0.98 * flat[1, last].max()


def test_limits_hold_for_crystals_and_not_for_their_templates(low_angles: Refinement) -> None:
    nuisance = search_residual(low_angles).projected()
    lines = [candidate(p, low_angles) for p in load_phases(("octacalcium_phosphate", "corundum"))]
    flat = draw_patterns(lines, nuisance.grid, (Variant(),), (80.0,))[0, :, 0]
    assert_close(nuisance.response(flat, 3.0 * flat), np.full(2, 3.0), rtol=1e-6, because="single precision")
    _, std = nuisance.estimate(flat)
    response = nuisance.response(flat, draw_crystals(lines, nuisance.grid, 80.0))
    found = [s.nominal_std for s in score_phases(lines, nuisance).values()]
    because = "mean z is response over std, read from a grid that reaches farther"
    assert_close(np.array(found), std / response, rtol=1e-4, because=because)
    assert response[0] > 1.0 > response[1]


def test_a_phase_tested_again_in_its_fit_scores_as_it_did_before() -> None:
    pattern, halite = scan(halite=0.003), load_phase("halite")
    state = Refinement.run(pattern, load_phases(("hydroxyapatite",)), build_instrument(pattern, Recipe().instrument))
    first = score_phases([candidate(halite, state)], search_residual(state).projected())["halite"]
    with_it = state.add([halite])
    nuisance = search_residual(with_it).projected(without="halite")
    again = score_phases([candidate(halite, with_it)], nuisance)["halite"]
    assert first.z > 4.0
    assert_close(again.z, first.z, rtol=0.15, because="displacement and apatite move by their uncertainties")
    assert_close(again.std, first.std, rtol=0.15, because="misfit is estimated from each residual anew")


def test_a_scan_of_a_few_degrees_can_be_searched() -> None:
    pattern = scan()
    few = (pattern.two_theta > 30.5) & (pattern.two_theta < 33.5)
    cut = {name: getattr(pattern, name)[few] for name in ("two_theta", "intensity", "sigma")}
    found = run_search(replace(pattern, **cut))
    assert found.fit.two_theta[-1] < 33.5
    assert len({p.id for p in found.phases}) == len(found.phases) > 20


def test_a_model_on_bins_is_the_mean_of_the_model_on_points(state: Refinement) -> None:
    n = len(state.points) // 2
    coarse = state.setup.build(state.points.binned(2), state.table, like=state.model)
    halos = sum(column.kind in ("amorphous", "mode") for column in state.model.columns)
    means = state.model.fixed[: 2 * n, :halos].reshape(n, 2, halos).mean(axis=1)
    assert_close(coarse.fixed[:, :halos], means, rtol=1e-12, because="means of the same numbers")
    assert_close(
        coarse.reflections[0].strength,
        state.model.reflections[0].strength,
        rtol=5e-3,
        because="the last step of the fit moved the cell after its model was frozen",
    )


def test_lines_that_all_show_may_be_textured(state: Refinement) -> None:
    score = score_phases([candidate(load_phase("halite"), state)], search_residual(state).projected())["halite"]
    off = replace(score, reflections_expected=5, reflections_seen=5, consistency=6.0)
    assert off.reflections_agree
    assert not replace(off, reflections_seen=4).reflections_agree
    assert not replace(off, reflections_expected=3, reflections_seen=3).reflections_agree
    assert not replace(off, consistency=10.0).reflections_agree


def test_a_limit_beside_unknown_peaks_is_what_overtops_them() -> None:
    pattern = scan()
    height = 0.15 * float(pattern.intensity.max())
    with_unknown = with_line(pattern, [(36.9, height), (43.7, 0.7 * height), (51.3, 0.6 * height)])
    limits = []
    for each in (pattern, with_unknown):
        found = run_search(each)
        limits.append({p.id: p.detection_limit for p in found.phases if p.decision == "not_detected"})
    alone, beside = limits
    for name in ("calcite", "quartz", "halite"):
        lower, upper = alone[name], beside[name]
        assert lower is not None
        assert upper is not None
        assert upper > 1.5 * lower
    rule = DetectionRule(false_alarm_rate=0.002, detection_probability=0.95, threshold=4.4, quantile=1.645)
    assert_close(surely_above(rule, 0.01, 0.0), 0.01 * 1.1645, because="10 % by the width", atol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_a_halo_at_low_angles_is_no_octacalcium_phosphate(share: float) -> None:
    """An amorphous maximum 1.8° broad at 9.8°, where octacalcium phosphate has reflections; polymers' are broader."""
    halo = HaloShape(
        two_theta=19.4, fwhm=6.5, low_q=0.3, area_factor=1.25, packing_two_theta=9.8, packing_height=0.5,
        second_two_theta=43.0, second_height=0.1,
    )  # fmt: skip
    polymer = AmorphousMaterial(atoms=(("C", 8.0), ("H", 8.0)), halo=halo)
    model = SpecimenModel(
        specimen_id="polymer", apatite=0.5 - share, protein=0.5, other={"octacalcium_phosphate": share},
        materials={**MATERIALS, "protein": polymer},
    )  # fmt: skip
    pattern = simulate_pattern(model, seed=3)[0]
    found = run_search(pattern, ("hydroxyapatite",))
    expected = {"hydroxyapatite"} | ({"octacalcium_phosphate"} if share else set())
    assert {p.id for p in found.phases if p.decision == "detected"} == expected
