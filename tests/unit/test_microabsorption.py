"""Microabsorption: whose grains count, and how far the correction goes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.errors import AnalysisError
from xrdcomp.phases.library import load_phases
from xrdcomp.quantification.select import known_grains
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.covariance import GRAIN_LOG_STD, KNOWN_LOG_STD, apply_factors, grain_factors

PHASES = load_phases(("hydroxyapatite", "corundum"))
SEEN = {"hydroxyapatite": 0.4, "corundum": 0.2, "protein": 0.4}
SIZES = {"hydroxyapatite": 15.0, "corundum": 150.0}


def factors(grain: float = 3.0, **known: float) -> dict[str, float]:
    return grain_factors(PHASES, SEEN, SIZES, wavelength=1.5406, grain_size_um=grain, known_um=known)


def test_the_typical_grain_counts_for_coarse_crystallites_only() -> None:
    found = factors()
    assert found["hydroxyapatite"] == 1.0
    assert 0.97 < found["corundum"] < 1.0
    assert factors(0.0) == {"hydroxyapatite": 1.0, "corundum": 1.0}


def test_a_known_grain_counts_whatever_the_crystallites() -> None:
    found = factors(hydroxyapatite=5.0)
    assert 1.02 < 1.0 / found["hydroxyapatite"] < 1.08, "first order 0.75 Δμ D = 0.06 for 5 µm"
    assert_close(found["corundum"], factors()["corundum"], rtol=1e-12, because="the other phase keeps its own")
    fine = factors(corundum=0.5)["corundum"]
    assert_close(
        (1.0 - fine) / (1.0 - factors()["corundum"]),
        0.5 / 3.0,
        rtol=0.02,
        because="the correction is proportional to the diameter to first order",
    )


def test_grains_beyond_the_theory_are_refused() -> None:
    with pytest.raises(AnalysisError, match=r"hydroxyapatite .* Grind finer"):
        factors(hydroxyapatite=80.0)


def test_a_corundum_spike_is_fine_and_settings_come_first() -> None:
    recipe = Recipe()
    assert known_grains(recipe, None) == {}
    assert known_grains(recipe, ("corundum", 0.2)) == {"corundum": 0.5}
    assert known_grains(recipe, ("zincite", 0.2)) == {}
    own = recipe.with_settings({"quantification.particle_size_um": {"corundum": 2.0, "calcite": 4.0}})
    assert known_grains(own, ("corundum", 0.2)) == {"corundum": 2.0, "calcite": 4.0}
    off = recipe.with_settings({"fit.grain_size_um": 0.0})
    assert known_grains(off, ("corundum", 0.2)) == {}


def test_a_measured_grain_is_half_as_uncertain_as_the_typical_one() -> None:
    amounts, tau = np.array([2.0, 1.0, 1.0]), np.array([0.9, 1.05, 1.0])
    none = np.zeros((3, 3))
    typical = apply_factors(amounts, none, tau, np.array([False, False, False]))
    measured = apply_factors(amounts, none, tau, np.array([True, True, False]))
    assert_close(typical[0], amounts / tau, rtol=1e-12, because="divided by the factor either way")
    assert_close(measured[0], typical[0], rtol=1e-12, because="divided by the factor either way")
    ratio = np.sqrt(np.diag(typical[1])[:2] / np.diag(measured[1])[:2])
    assert_close(ratio, GRAIN_LOG_STD / KNOWN_LOG_STD, rtol=1e-12, because="ln τ is proportional to the size")
    assert typical[1][0, 1] < 0.0, "one typical size: what raises one lowers the other"
    assert measured[1][0, 1] == 0.0, "each size was measured for itself"
