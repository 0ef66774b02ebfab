"""Varieties of apatite told apart by intensities, and only where these decide."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fit_cases import EMPTY, INSTRUMENT, made_pattern
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.phases.library import load_phase
from xrdcomp.recipe import FitRecipe, IdentificationRecipe
from xrdcomp.refinement import refine
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.report import compare_intensities
from xrdcomp.search.search import better_member, fit_and_search
from xrdcomp.simulate.cohort import simulate_pattern
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions

HA = load_phase("hydroxyapatite")
VARIETIES = ("fluorapatite", "chlorapatite", "carbonate_apatite")


@pytest.fixture(scope="module")
def ordinary() -> Pattern:
    parts = {**EMPTY, "apatite": 0.4, "protein": 0.6}
    model = SpecimenModel(specimen_id="plain", apatite_model=ApatiteModel(), **parts)
    return simulate_pattern(model, XrdConditions(peak_counts=5000), seed=2)[0]


def test_hydroxyapatite_of_a_few_nanometres_is_no_other_variety(ordinary: Pattern) -> None:
    state = Refinement.run(ordinary, [HA], INSTRUMENT, FitRecipe())
    assert [compare_intensities(state, HA, load_phase(name)) for name in VARIETIES] == [-1, -1, -1]
    assert compare_intensities(state, HA, load_phase("bioapatite_model")) == 0, "a hydroxyapatite too"


def test_members_that_share_reflections_fit_as_alone(ordinary: Pattern, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared windows are those of any member: χ² differs by the feet of faint reflections, below what decides."""
    state = Refinement.run(ordinary, [HA], INSTRUMENT, FitRecipe())
    others = [load_phase(name) for name in ("bioapatite_model", *VARIETIES)]
    together = state.substitutes(HA, [HA, *others], tolerance=0.01)
    hopeless = state.substitutes(HA, [HA, *others], tolerance=0.01, most=10.0)
    assert hopeless[0].cost == together[0].cost
    assert all(a.cost >= b.cost - 1e-6 * b.cost for a, b in zip(hopeless, together, strict=True))
    monkeypatch.setattr(refine, "_share_reflections", lambda *_: False)
    alone = state.substitutes(HA, [HA, *others], tolerance=0.01)
    for own, other in zip(together, alone, strict=True):
        assert_close(own.cost, other.cost, rtol=0.002, because="40 of 1500 decide; tolerance of the fits is 0.01")
        assert_close(own.inflation, other.inflation, rtol=0.01, because="of the same residual")


def test_few_counts_decide_nothing(ordinary: Pattern) -> None:
    counts = np.random.default_rng(0).poisson(ordinary.intensity / 500.0).astype(float)
    faint = Pattern(
        two_theta=ordinary.two_theta, intensity=counts, sigma=np.sqrt(np.maximum(counts, 1.0)), intensity_unit="counts"
    )
    state = Refinement.run(faint, [HA], INSTRUMENT, FitRecipe())
    assert compare_intensities(state, HA, load_phase("fluorapatite")) == 0


def test_a_search_from_the_wrong_variety_changes_over() -> None:
    fluor = load_phase("fluorapatite")
    scan = made_pattern(seed=3, variety="fluorapatite")
    state = Refinement.run(scan, [HA], INSTRUMENT, FitRecipe())
    assert compare_intensities(state, HA, fluor) == 1
    found = fit_and_search(scan, [HA], INSTRUMENT, FitRecipe(), IdentificationRecipe())
    assert [p.id for p in found.phases if p.decision == "detected"] == ["fluorapatite"]
    kept = fit_and_search(scan, [HA], INSTRUMENT, FitRecipe(), IdentificationRecipe(), named=True)
    reports = {p.id: p for p in kept.phases}
    assert reports["hydroxyapatite"].decision == "detected", "named by the user"
    assert "describes cell and intensities better" in reports["fluorapatite"].evidence.reason
    assert better_member(state, found.phases) is None, "nothing better than the one found"


def _beside_unknown(variety: str) -> Pattern:
    """Nano-apatite beside twenty sharp reflections of a crystal of no list."""
    scan, rng = made_pattern(seed=3, variety=variety), np.random.default_rng(9)
    curve = scan.intensity.copy()
    for angle, height in zip(rng.uniform(14.0, 68.0, 20), rng.exponential(1500.0, 20), strict=True):
        curve += height / (1.0 + ((scan.two_theta - angle) / 0.07) ** 2)
    counts = rng.poisson(curve).astype(float)
    return Pattern(
        two_theta=scan.two_theta, intensity=counts, sigma=np.sqrt(np.maximum(counts, 1.0)), intensity_unit="counts"
    )


@pytest.mark.parametrize("variety", ["fluorapatite", "hydroxyapatite"])
def test_beside_unknown_crystals_the_likeliest_variety_gives_the_name(variety: str) -> None:
    """The search begins with nothing there, and hydroxyapatite is what it tries first."""
    found = fit_and_search(_beside_unknown(variety), [HA], INSTRUMENT, FitRecipe(), IdentificationRecipe())
    assert [p.id for p in found.phases if p.decision == "detected"] == [variety]
    assert found.unidentified is not None
    assert {"hydroxyapatite", "fluorapatite"} <= {p.id for p in found.phases}, "the other one is reported as well"
