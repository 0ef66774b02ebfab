"""Compositions, truth, populations."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.helpers import assert_close, binomial_band
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS
from xrdcomp.simulate.cohort import simulate_specimen
from xrdcomp.simulate.specimens import (
    CALCITE_CO3,
    SpecimenKind,
    SpecimenModel,
    TgaConditions,
    XrdConditions,
    draw_specimen,
    mass_fractions,
    tissue,
    truth_of,
    vary_character,
    vary_conditions,
)

SIMULATOR = Path(__file__).resolve().parents[2] / "xrdcomp" / "simulate"
SHORT = XrdConditions(two_theta_min=24.0, two_theta_max=36.0, step=0.05)


def test_fractions_must_sum_to_one_and_not_be_negative() -> None:
    with pytest.raises(AnalysisError, match="sum to"):
        SpecimenModel(apatite=0.5, protein=0.4)
    with pytest.raises(AnalysisError, match="negative"):
        SpecimenModel(apatite=1.2, protein=-0.2)
    with pytest.raises(AnalysisError, match="absent"):
        SpecimenModel(protein=0.99, carbonate=0.01)
    with pytest.raises(AnalysisError, match="negative"):
        SpecimenModel(apatite=float("nan"), protein=1.0)


def test_truth_has_the_components_of_a_result_and_closes() -> None:
    model = SpecimenModel(
        apatite=0.3, protein=0.3, lipid=0.1, water=0.1, amorphous_mineral=0.1, carbonate=0.02, other={"halite": 0.08}
    )
    truth = truth_of(model, {})
    assert set(truth["components"]) == set(COMPONENTS)
    assert_close(sum(truth["components"].values()), 1.0, atol=1e-12, because="closure")
    assert_close(truth["phases"]["hydroxyapatite"], 0.32, atol=1e-12, because="with its carbonate")
    assert truth["phases"]["halite"] == 0.08
    assert truth["simulated"] is True


def test_carbonate_as_calcite_takes_its_calcium_along() -> None:
    calcite = 0.02 / CALCITE_CO3
    model = SpecimenModel(apatite=0.4, protein=0.6 - calcite, carbonate=0.02, carbonate_site="calcite")
    assert_close(mass_fractions(model)["calcite"], calcite, atol=1e-12, because="stoichiometry")
    truth = simulate_specimen(model, xrd=SHORT, seed=1).truth
    assert_close(truth["components"]["carbonate"], 0.02, atol=1e-9, because="stoichiometry")
    assert_close(sum(truth["components"].values()), 1.0, atol=1e-12, because="closure")
    assert truth["carbonate_in_lattice"] == 0.0
    assert_close(truth["tga_losses"]["carbonate"], 0.02 * 44.0095 / 60.009, rtol=1e-3, because="CO2 of CaCO3")


def test_specimen_is_reproducible_and_whole() -> None:
    model = tissue("bone")
    first = simulate_specimen(model, xrd=SHORT, tga=TgaConditions(points=500), seed=9)
    again = simulate_specimen(model, xrd=SHORT, tga=TgaConditions(points=500), seed=9)
    assert np.array_equal(first.pattern.intensity, again.pattern.intensity)
    assert np.array_equal(first.tga.mass, again.tga.mass)
    assert first.truth == again.truth
    assert first.blank is not None
    assert first.tga_blank is not None
    assert len(first.tga_blank) == len(first.tga)
    assert first.pattern.metadata["simulated"] is True
    assert "simulated" in str(first.tga.metadata["sample_name"])


@pytest.mark.parametrize(
    ("kind", "mineral", "organic", "water"),
    [("bone", 0.65, 0.25, 0.10), ("dentine", 0.70, 0.20, 0.10), ("enamel", 0.97, 0.015, 0.015)],
)
def test_tissues_have_the_published_composition(kind: str, mineral: float, organic: float, water: float) -> None:
    components = truth_of(tissue(kind), {})["components"]  # type: ignore[arg-type]  # parametrised literal
    found = components["crystalline_hydroxyapatite"] + components["carbonate"]
    because = "as tabulated"
    assert_close(found, mineral, atol=1e-12, because=because)
    assert_close(components["organic"], organic, atol=1e-12, because=because)
    assert_close(components["water"], water, atol=1e-12, because=because)
    with pytest.raises(AnalysisError, match="not a tissue"):
        tissue("cement")  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("kind", get_args(SpecimenKind))
def test_drawn_specimens_close(kind: SpecimenKind) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        model = draw_specimen(rng, kind=kind, foreign_probability=0.3)
        assert_close(sum(mass_fractions(model).values()), 1.0, atol=1e-9, because="closure")


def test_broad_prior_covers_its_ranges() -> None:
    rng = np.random.default_rng(2)
    models = [draw_specimen(rng) for _ in range(1500)]
    apatite = np.array([m.apatite for m in models])
    organic = np.array([m.protein + m.lipid for m in models])
    water = np.array([m.water for m in models])
    amorphous = np.array([m.amorphous_mineral for m in models])
    carbonate = np.array([m.carbonate for m in models])
    for values, low, high in (
        (apatite, 0.0, 0.60),
        (organic, 0.20, 0.95),
        (water, 0.01, 0.70),
        (amorphous, 0.0, 0.15),
        (carbonate, 0.0, 0.06),
    ):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.15 * (high - low) < values.max() <= high
    low_share, high_share = binomial_band(len(models), 0.08)
    assert low_share < np.mean(apatite == 0.0) < high_share
    assert (carbonate <= 0.12 * apatite + 1e-12).all()


def test_foreign_phases_come_at_their_rate() -> None:
    rng = np.random.default_rng(3)
    models = [draw_specimen(rng, foreign_probability=0.4) for _ in range(400)]
    low, high = binomial_band(400, 0.4)
    assert low < np.mean([bool(m.other) for m in models]) < high
    assert all(0.01 <= v <= 0.05 for m in models for v in m.other.values())


def test_unknown_population_is_refused() -> None:
    with pytest.raises(AnalysisError, match="no population"):
        draw_specimen(np.random.default_rng(0), kind="moon rock")  # type: ignore[arg-type]  # the point


def test_varied_laboratories_simulate() -> None:
    rng = np.random.default_rng(4)
    seen: set[str] = set()
    for i in range(6):
        model = vary_character(draw_specimen(rng, specimen_id=f"s{i}"), rng)
        xrd, tga = vary_conditions(rng, atmosphere="nitrogen" if i % 2 else "air")
        simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=i)
        assert 900.0 < simulated.pattern.intensity.max() < 12_000.0
        assert 2.0 <= tga.heating_rate_k_min <= 40.0
        assert 1.0 <= tga.sample_mass_mg <= 30.0
        seen |= {m.halo.family for m in model.materials.values()}
    assert len(seen) == 3, "all families of halos occur among 24 components"


def test_simulator_takes_no_constant_and_no_formula_from_what_the_analysis_uses() -> None:
    """A wrong conversion on both sides would cancel, and a simulated truth would be recovered all the same."""
    for path in SIMULATOR.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "xrdcomp.units":
                assert all(alias.name.endswith("Array") for alias in node.names), path.name
