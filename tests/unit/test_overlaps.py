"""Phases among heavier unknown crystals are weighed by their free reflections."""

import numpy as np
import pytest

import xrdcomp as xc
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.overlaps import _agreed, _Groups, weigh_beside
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions
from xrdcomp.simulate.xrd import expected_pattern, measure

UNLISTED = {"alpha_tcp": 0.3, "gypsum": 0.16, "struvite": 0.24}
QUARTZ, SPIKE = 0.1, 0.2
LIBRARY = tuple(name for name in list_phases() if name not in UNLISTED)


@pytest.fixture(scope="module")
def soil() -> xc.Pattern:
    """Quartz and corundum among three minerals of no list, whose reflections lie on many of theirs."""
    shares = {"quartz": QUARTZ, "corundum": SPIKE, **UNLISTED}
    model, conditions = SpecimenModel(other=shares, other_size_nm=70.0), XrdConditions(peak_counts=4000.0)
    rng = np.random.default_rng(3)
    phases = {name: load_phase(name) for name in (*shares, model.apatite_model.phase)}
    found = expected_pattern(model, conditions, phases, rng)
    return measure(found.two_theta, found.specimen + found.background, conditions, rng, "soil")


def weighed(soil: xc.Pattern) -> tuple[xc.SampleResult, float]:
    recipe = xc.Recipe().with_settings({"phases": ["quartz"], "identification.library": LIBRARY})
    result = xc.analyze(soil, recipe=recipe, internal_standard=("corundum", SPIKE))
    assert result.xrd is not None
    amounts = dict(zip(result.xrd.amounts.names, result.xrd.amounts.amounts.tolist(), strict=True))
    return result, amounts["quartz"] / amounts["corundum"] * SPIKE / QUARTZ


def test_quartz_among_unlisted_minerals_is_weighed_by_its_free_reflections(
    soil: xc.Pattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, ratio = weighed(soil)
    assert result.xrd is not None
    assert ratio == pytest.approx(1.0, abs=0.25)  # two standard uncertainties
    unknown, truth = result.composition.components["unidentified_crystalline"], 1.0 - QUARTZ / (1.0 - SPIKE)
    assert unknown.ci95 is not None
    assert unknown.ci95[0] < truth < unknown.ci95[1] + 1e-9
    # what is taken off is shown, not lost: the curve that was measured is the result's
    assert np.isin(result.xrd.observed, soil.intensity).all()

    monkeypatch.setattr("xrdcomp.search.overlaps.weigh_beside", lambda fit, _: fit)
    plain, other = weighed(soil)
    assert other > 1.0 + 1.5 * abs(ratio - 1.0)
    assert plain.xrd is not None
    assert result.xrd.gof < 0.8 * plain.xrd.gof


def groups(n: int) -> _Groups:
    return _Groups(columns=np.ones((5, n)), place=np.arange(n, dtype=float), height=np.full(n, 100.0), fwhm=0.2)


def test_an_excess_of_some_reflections_is_taken_off_and_a_lack_is_not() -> None:
    heights, std = np.full(60, 80.0), np.full(8, 0.05)
    values = np.array([1.0, 0.95, 1.05, 1.0, 2.5, 1.9, 1.0, 1.0])
    share, error, excess = _agreed(groups(8), values, std, heights, 60.0)
    assert share == pytest.approx(1.0, abs=0.06)  # 0.15 of grains and 0.05 over six free ones
    assert error < 0.1
    assert excess[4] == pytest.approx(1.5, abs=0.1)
    assert excess[[0, 1, 3, 6]] == pytest.approx(0.0, abs=0.02)
    # a single one that is lower stays a grain: it does not pull the others down to it
    values[0] = 0.5
    assert _agreed(groups(8), values, std, heights, 60.0)[0] > 0.85


def test_nothing_is_taken_off_where_hardly_any_unknown_reflection_stands() -> None:
    values = np.array([1.0, 0.9, 1.1, 1.0, 1.3, 1.2, 0.8, 0.9])
    share, _, excess = _agreed(groups(8), values, np.full(8, 0.02), np.full(2, 20.0), 60.0)
    assert share == pytest.approx(values.mean(), rel=0.05)
    assert np.abs(excess).max() < 0.1


def test_fits_without_unknown_reflections_stay_as_they_are(soil: xc.Pattern) -> None:
    fit = Refinement.run(soil, [load_phase("quartz")], build_instrument(soil, xc.Recipe().instrument))
    assert weigh_beside(fit, []) is fit


def test_the_larger_phase_is_as_unsure_as_what_broad_maxima_take_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {"quartz": 0.05, "corundum": 0.65, "alpha_tcp": 0.2, "struvite": 0.1}
    model, conditions = SpecimenModel(other=shares, other_size_nm=70.0), XrdConditions(peak_counts=4000.0)
    rng = np.random.default_rng(5)
    phases = {name: load_phase(name) for name in (*shares, model.apatite_model.phase)}
    found = expected_pattern(model, conditions, phases, rng)
    scan = measure(found.two_theta, found.specimen + found.background, conditions, rng, "soil")
    fits: list[tuple[Refinement, Refinement]] = []

    def kept(fit: Refinement, heights: list[float]) -> Refinement:
        fits.append((fit, weigh_beside(fit, heights)))
        return fits[-1][1]

    monkeypatch.setattr("xrdcomp.search.overlaps.weigh_beside", kept)
    settings = {"phases": ["quartz", "corundum"], "identification.library": LIBRARY}
    xc.analyze(scan, recipe=xc.Recipe().with_settings(settings))
    plain, weighed = fits[0]
    assert set(weighed.weighed) == {"quartz", "corundum"}
    place = weighed.model.phase_ids.index("corundum")
    before, after = (fit.solution.coefficients[place] for fit in (plain, weighed))
    factor, relative = weighed.weighed["corundum"]
    assert factor == 1.0, "it keeps the amount of the fit"
    assert relative == pytest.approx(abs(before / after - 1.0) / 3.0**0.5)
