"""Apatite beside amorphous matter whose scattering was measured or computed by others, on the absolute scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.worlds.measured import halos
from tests import diffuse_sources
from tests.fit_cases import INSTRUMENT, VALUES
from xrdcomp.data import Pattern
from xrdcomp.phases.library import load_phase
from xrdcomp.physics import elements
from xrdcomp.physics.corrections import polarization
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.units import FloatArray, two_theta_to_q

X = np.arange(10.0, 70.0, 0.04)
Q = two_theta_to_q(X, INSTRUMENT.wavelength)
PHASE = load_phase("hydroxyapatite")
BRAGG, _ = PhaseReflections.freeze(PHASE, INSTRUMENT, X, VALUES).pattern(VALUES)
Curve = Callable[[FloatArray], FloatArray]


def measured(name: str) -> Curve:
    return lambda q: diffuse_sources.measured(name, q)


def fitted(curve: Curve, formula: str, apatite: float) -> tuple[float, float]:
    """Error of the apatite's share of the specimen, and its standard uncertainty, in wt%."""
    compton = elements.incoherent_per_gram(elements.compound(formula), Q)
    mean = apatite * BRAGG + (1.0 - apatite) * 1.5 * polarization(X) * (curve(Q) + compton)
    mean = 2e4 * mean / mean.max()
    mean = mean + 0.05 * np.median(mean) * (1.0 + 10.0 / X)
    counts = np.random.default_rng(3).poisson(mean).astype(float)
    sigma = np.sqrt(np.maximum(counts, 1.0))
    pattern = Pattern(two_theta=X, intensity=counts, sigma=sigma, intensity_unit="counts")
    amounts = Refinement.run(pattern, (PHASE,), INSTRUMENT, FitRecipe()).result().amounts
    share = amounts.amounts[0] / amounts.amounts.sum()
    slope = (np.eye(len(amounts.amounts))[0] - share) / amounts.amounts.sum()
    misfit = 0.0 if amounts.misfit_covariance is None else amounts.misfit_covariance
    std = np.sqrt(slope @ (amounts.covariance + misfit) @ slope)
    return 100.0 * float(share - apatite), 100.0 * float(std)


@pytest.mark.parametrize("apatite", [0.3, 0.5])
@pytest.mark.parametrize(
    ("curve", "formula"),
    [
        (measured("water"), "H2O"),
        (diffuse_sources.water_from_pairs, "H2O"),
        (measured("adipose"), "C57H104O6"),
        (diffuse_sources.triglyceride, "C57H104O6"),
    ],
)
def test_error_beside_water_and_lipid(curve: Curve, formula: str, apatite: float) -> None:
    error, std = fitted(curve, formula, apatite)
    assert abs(error) < 1.5, "the source's difference from the mean of sources, and counting"
    assert abs(error) < 2.0 * std


@pytest.mark.parametrize("apatite", [0.3, 0.5])
@pytest.mark.parametrize("name", ["collagen", "keratin", "acp"])
def test_batches_of_another_hand_lie_within_the_interval(name: str, apatite: float) -> None:
    formula = "".join(f"{element}{number}" for element, number in halos.MATERIALS[name].formula.items())
    batch = halos.draw_halo(name, np.random.default_rng(5))
    compton = elements.compound(formula)
    error, std = fitted(lambda q: batch.intensity(q) - elements.incoherent_per_gram(compton, q), formula, apatite)
    assert abs(error) < 2.0 * std


@pytest.mark.parametrize("apatite", [0.3, 0.5])
@pytest.mark.parametrize(("name", "formula"), [("pmma", "C5H8O2"), ("polycarbonate", "C16H14O3")])
def test_polymers_that_no_one_named_lie_within_the_interval(name: str, formula: str, apatite: float) -> None:
    error, std = fitted(measured(name), formula, apatite)
    assert abs(error) < 2.0 * std
