"""What a fit that does not describe its pattern leaves open of the amounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.unit.composition_evidence import FULL, TYPICAL, balance, phase, thermal_result, xrd_amounts
from xrdcomp.analysis import analyze
from xrdcomp.composition.compose import compose, compose_evidence
from xrdcomp.composition.evidence import reduce_xrd
from xrdcomp.data import Pattern
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phases
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.refinement.covariance import GOOD_FIT_GOF
from xrdcomp.refinement.result import describes_pattern
from xrdcomp.results import COMPONENTS, FitResult
from xrdcomp.simulate.cohort import simulate_specimen
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import fit_pattern


def fitted(graininess: float) -> FitResult:
    model = SpecimenModel(
        apatite=0.4,
        protein=0.45,
        water=0.15,
        apatite_model=ApatiteModel(graininess=graininess, a_offset=0.0, length_c_nm=40.0, length_a_nm=20.0),
    )
    pattern = simulate_specimen(model, xrd=XrdConditions(peak_counts=20000.0), seed=5).pattern
    return fit_pattern(pattern, load_phases(("hydroxyapatite",)), build_instrument(pattern, InstrumentRecipe()))


@pytest.fixture(scope="module")
def grainy() -> FitResult:
    return fitted(0.8)


def test_a_good_fit_leaves_nothing_more_open() -> None:
    good = fitted(0.0)
    assert good.gof < GOOD_FIT_GOF
    assert good.amounts is not None
    assert good.amounts.misfit_covariance is not None
    assert not good.amounts.misfit_covariance.any()


@pytest.mark.parametrize("graininess", [0.0, 0.8])
def test_few_grains_of_a_small_phase_leave_its_amount_open(graininess: float) -> None:
    """Quartz whose three reflections disagree, in a pattern that is described well elsewhere."""
    model = SpecimenModel(
        apatite=0.5, protein=0.3, water=0.1, other={"quartz": 0.1}, other_graininess=graininess,
        apatite_model=ApatiteModel(length_c_nm=25.0, length_a_nm=8.0),
    )  # fmt: skip
    pattern = simulate_specimen(model, xrd=XrdConditions(peak_counts=1500.0), seed=6).pattern
    phases = load_phases(("hydroxyapatite", "quartz"))
    amounts = fit_pattern(pattern, phases, build_instrument(pattern, InstrumentRecipe())).amounts
    assert amounts is not None
    assert amounts.misfit_covariance is not None
    at = amounts.names.index("quartz")
    open_std = float(amounts.misfit_covariance[at, at]) ** 0.5
    assert (open_std > 0.05 * amounts.amounts[at]) == (graininess > 0.0)


def test_wrong_intensities_leave_the_amount_of_the_crystals_open(grainy: FitResult) -> None:
    """Few large grains: errors of lines are errors of the amount, which noise of one size everywhere understates."""
    amounts = grainy.amounts
    assert grainy.gof > GOOD_FIT_GOF
    assert amounts is not None
    misfit = amounts.misfit_covariance
    assert misfit is not None
    assert_close(misfit, misfit.T, atol=1e-12 * misfit.max(), because="a covariance")
    assert np.linalg.eigvalsh(misfit)[0] >= -1e-9 * np.linalg.eigvalsh(misfit)[-1]
    crystals = amounts.names.index("hydroxyapatite")
    assert misfit[crystals, crystals] > 0.3 * amounts.covariance[crystals, crystals]


def test_misfit_widens_the_composition_and_its_budget_says_so(grainy: FitResult) -> None:
    amounts = grainy.amounts
    assert amounts is not None
    without = compose_evidence(replace(amounts, misfit_covariance=None), None)
    found = compose_evidence(amounts, None)
    name = COMPONENTS[0]
    before, after = without.components[name], found.components[name]
    assert before is not None
    assert after is not None
    assert (after.std or 0.0) > 1.03 * (before.std or 0.0)  # 5 % of the variance or more, as the budget says
    assert found.budget[name]["xrd_misfit"] > 0.05
    assert "xrd_misfit" not in without.budget[name]
    assert_close(sum(found.budget[name].values()), 1.0, atol=1e-9, because="shares")


def test_no_misfit_changes_nothing() -> None:
    amounts = xrd_amounts(TYPICAL)
    zero = replace(amounts, misfit_covariance=np.zeros_like(amounts.covariance))
    plain, same = (compose_evidence(item, balance(TYPICAL)) for item in (amounts, zero))
    assert_close(same.draws, plain.draws, atol=0.0, because="the same numbers, the same seed")


def test_misfit_is_summed_and_scaled_as_the_rest_of_the_covariance() -> None:
    amounts = xrd_amounts(TYPICAL, scale=3.0)
    noisy = replace(amounts, misfit_covariance=0.5 * amounts.covariance)
    plain, wider = reduce_xrd(amounts), reduce_xrd(noisy)
    assert_close(wider.covariance - wider.misfit, plain.covariance, rtol=1e-9, because="added once")
    assert_close(wider.counting, plain.counting, rtol=1e-9, because="counting is not misfit")


def test_a_fit_that_does_not_describe_its_pattern_excludes_no_apatite() -> None:
    """Lines of something unknown all over may hide what was not found, as far as heating allows."""
    model = SpecimenModel(apatite=0.15, protein=0.55, water=0.20, amorphous_mineral=0.10)
    pattern = simulate_specimen(model, seed=6).pattern
    foreign = sum(1.0 / (1.0 + ((pattern.two_theta - at) / 0.08) ** 2) for at in np.arange(12.3, 60.0, 3.4).tolist())
    intensity = np.round(pattern.intensity + 2.0 * pattern.intensity.max() * foreign)
    pattern = replace(pattern, intensity=intensity, sigma=np.sqrt(np.maximum(intensity, 1.0)))
    fit = fit_pattern(pattern, (), build_instrument(pattern, InstrumentRecipe()))
    assert not describes_pattern(fit.gof, fit.rwp)
    absent = (phase("hydroxyapatite", limit=0.01), phase("calcite", limit=0.01))
    thermal = thermal_result(FULL, [0.208, 0.558, 0.0, 0.234])
    found = compose(fit, absent, thermal)
    crystals, organic = found.components[COMPONENTS[0]], found.components["organic"]
    assert crystals is not None
    assert organic is not None
    assert crystals.ci95 is not None
    assert crystals.ci95[0] == 0.0
    assert crystals.ci95[1] > 0.15, "the truth is not excluded"
    assert_close(organic.value, 0.55, atol=0.02, because="weighed by heating, whatever the pattern")


@pytest.mark.parametrize("points", [156, 157])
def test_a_scan_shorter_than_the_stretch_of_broad_misfit_is_analysed(points: int) -> None:
    """Three strong reflections of no phase in less than 2°: broad misfit is then sought over the whole scan."""
    two_theta = 31.0 + 0.012 * np.arange(points)
    mean = 200.0 + sum(
        h / (1.0 + ((two_theta - p) / 0.04) ** 2) for p, h in ((31.4, 9000.0), (32.1, 20000.0), (32.6, 2000.0))
    )
    counts = np.random.default_rng(5).poisson(mean).astype(np.float64)
    pattern = Pattern(two_theta=two_theta, intensity=counts, sigma=np.sqrt(counts))
    result = analyze(pattern, radiation="CuKa")
    assert result.status in {"warning", "failed"}
    assert result.xrd is None or np.isfinite(result.xrd.gof)
