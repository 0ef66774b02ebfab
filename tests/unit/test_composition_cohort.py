"""Replicates of one specimen and cohorts of many."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import phase_result
from tests.helpers import assert_close, binomial_band
from tests.unit.composition_evidence import NO_APATITE, RULE, TYPICAL, balance, messages_of, phase, xrd_amounts
from xrdcomp.composition.claims import evaluate_claims
from xrdcomp.composition.cohort import (
    RandomEffects,
    combine_replicates,
    evaluate_cohort,
    exact_rank_sum,
    share_interval,
)
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.results import COMPONENTS, Composition, DetectionEvidence, Estimate, SampleResult

FAST = CompositionRecipe(draws=1000)


def runs(k: int, *, scatter: float = 0.0, seed: int = 1) -> list[Composition]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(k):
        x = TYPICAL.copy()
        moved = rng.normal(0.0, scatter)
        x[0], x[1] = x[0] + moved, x[1] - moved
        found.append(compose_evidence(xrd_amounts(x, rng=rng, counting_only=True), balance(x, rng=rng), FAST))
    return found


def specimen(name: str, x: np.ndarray, kind: str) -> SampleResult:
    absent = x[0] == 0
    apatite = phase_result(
        id="hydroxyapatite",
        name="hydroxyapatite",
        formula="Ca5(PO4)3OH",
        decision="not_detected" if absent else "detected",
        detection_limit=0.01,
        weight_fraction=None if absent else Estimate(value=float(x[0]), std=0.01),
        evidence=DetectionEvidence(rule=RULE),
    )
    phases = [apatite, *(phase(f"phase_{i}") for i in range(20))]
    rng = np.random.default_rng(len(name) + int(1000 * x[0]))
    composition = compose_evidence(xrd_amounts(x, rng=rng), balance(x, rng=rng), FAST, phases=phases)
    return SampleResult(
        sample_id=name,
        composition=composition,
        phases=tuple(phases),
        claims=evaluate_claims(composition, phases),
        settings={},
        software={},
        metadata={"kind": kind, "simulated": True},
    )


def cohort() -> list[SampleResult]:
    solid = [
        specimen(f"s{i}", np.array([h, 0.85 - h, 0.10, 0.01, 0.04, 0.0]), "solid")
        for i, h in enumerate((0.33, 0.28, 0.24, 0.30, 0.21, 0.18))
    ]
    fluid = [
        specimen(f"f{i}", np.array([h, 0.65 - h, 0.30, 0.01, 0.04, 0.0]), "fluid")
        for i, h in enumerate((0.05, 0.03, 0.08))
    ]
    return [*solid, *fluid, specimen("none", NO_APATITE, "fluid")]


# ---- replicates


def test_random_effects_without_scatter_is_the_weighted_mean() -> None:
    values, stds = np.array([1.0, 1.1, 0.95]), np.array([0.2, 0.3, 0.25])
    found = RandomEffects.of(values, stds)
    weights = 1 / stds**2
    assert found.between == 0.0
    assert_close(found.mean, weights @ values / weights.sum(), atol=1e-12, because="same formula")
    assert_close(found.std, weights.sum() ** -0.5, atol=1e-12, because="scatter below expectation")


def test_paule_mandel_makes_the_weighted_scatter_equal_its_expectation() -> None:
    values, stds = np.array([1.0, 2.0, 1.4, 3.1]), np.array([0.1, 0.2, 0.1, 0.3])
    found = RandomEffects.of(values, stds)
    weights = 1 / (stds**2 + found.between**2)
    scatter = weights @ (values - weights @ values / weights.sum()) ** 2
    assert_close(scatter, 3.0, atol=1e-6, because="the defining equation")
    assert found.homogeneity < 1e-6


def test_random_effects_intervals_cover_with_three_runs() -> None:
    from scipy.special import stdtrit

    rng = np.random.default_rng(4)
    n, covered = 2000, 0
    for _ in range(n):
        stds = rng.uniform(0.5, 1.5, 3)
        found = RandomEffects.of(rng.normal(0.0, np.hypot(stds, 2.0)), stds)
        covered += abs(found.mean) < stdtrit(2, 0.975) * found.std
    low, _ = binomial_band(n, 0.95)
    assert covered / n > low - 0.02, "Hartung-Knapp with 3 unequal runs may fall 2 % short"


def test_replicates_close_and_narrow_only_what_repeating_can_narrow() -> None:
    single = runs(1)[0]
    four = combine_replicates(runs(4))
    total = sum(v.value for v in four.components.values() if v is not None)
    assert_close(total, 1.0, atol=1e-9, because="closed by construction")
    for name, estimate in four.components.items():
        before = single.components[name]
        assert estimate is not None
        assert before is not None
        assert estimate.ci95 is not None
        assert 0 <= estimate.ci95[0] <= estimate.value <= estimate.ci95[1] <= 1
        shared = 1 - sum(v for k, v in single.budget[name].items() if k.startswith(("xrd_counting", "tga")))
        assert (estimate.std or 0) > 0.8 * np.sqrt(shared) * (before.std or 0)
        assert_close(sum(four.budget[name].values()), 1.0, atol=1e-6, because="shares")
    assert "(4 runs)" in four.method
    assert messages_of(four)[-1].code == "REPLICATES"


def test_sums_of_few_runs_are_as_wide_as_their_components() -> None:
    """Two runs: Student's t for one degree of freedom, and carbonate of the lattice weighs with the crystals."""
    two = runs(2, scatter=0.06)
    found = combine_replicates(two)
    organic = found.components["organic"]
    both = found.identifiable_sums["organic_and_water"]
    assert organic is not None
    for estimate in (organic, both):
        assert estimate.ci95 is not None
        assert np.ptp(estimate.ci95) > 2 * 3.0 * (estimate.std or 0.0), "1.96 would be that of many runs"
    crystals = found.identifiable_sums["crystalline"].value
    singles = [item.identifiable_sums["crystalline"].value for item in two]
    assert min(singles) - 0.005 < crystals < max(singles) + 0.005
    assert_close(crystals + found.identifiable_sums["non_crystalline"].value, 1.0, atol=1e-6, because="complements")


def test_scatter_between_aliquots_is_seen_said_and_widens() -> None:
    quiet, loud = combine_replicates(runs(4)), combine_replicates(runs(4, scatter=0.06))
    assert "REPLICATE_SCATTER" in {item.code for item in messages_of(loud)}
    assert quiet.components["organic"] is not None
    assert loud.components["organic"] is not None
    assert (loud.components["organic"].std or 0) > 3 * (quiet.components["organic"].std or 1)
    assert loud.budget["organic"]["between_runs"] > 0.5


def test_rules_speak_once_of_combined_runs() -> None:
    """A chloride in the second run only: its message is that of the run, beside the one on the scatter."""
    first, second = runs(2)
    assert second.consistency is not None
    salty = replace(second, consistency=replace(second.consistency, salts={"halite": 0.02}))
    combined = combine_replicates([first, salty])
    assert combined.runs == (first, salty)
    assert set(combined.scatter) == set(COMPONENTS)
    codes = [item.code for item in messages_of(combined)]
    assert codes.count("FUSION_SALT") == 1
    assert len(codes) == len(set(codes))


def test_replicates_that_cannot_be_combined_are_refused() -> None:
    one = runs(1)
    dry = compose_evidence(xrd_amounts(TYPICAL), balance(TYPICAL), CompositionRecipe(basis="dry"))
    with pytest.raises(AnalysisError, match="at least two"):
        combine_replicates(one)
    with pytest.raises(AnalysisError, match="one basis"):
        combine_replicates([*one, dry])
    assert combine_replicates([dry, dry]).components["water"] is not None


def test_what_one_run_cannot_separate_stays_open() -> None:
    alone = compose_evidence(xrd_amounts(TYPICAL), None, FAST)
    assert combine_replicates([alone, *runs(1)]).components["organic"] is None


# ---- cohorts


@pytest.mark.parametrize("seed", range(5))
def test_rank_sum_is_the_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, 8).astype(float)  # with ties
    first, second = values[:3], values[3:]
    ranks = np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])
    observed = ranks[:3].sum()
    sums = np.array([sum(ranks[list(c)]) for c in itertools.combinations(range(8), 3)])
    greater, two_sided = exact_rank_sum(first, second)
    assert_close(greater, (sums >= observed - 1e-9).mean(), atol=1e-12, because="all 56 assignments")
    less = (sums <= observed + 1e-9).mean()
    assert_close(two_sided, min(1, 2 * min(greater, less)), atol=1e-12, because="definition")


def test_rank_sum_agrees_with_scipy_without_ties() -> None:
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    first, second = rng.normal(0.5, 1, 7), rng.normal(0, 1, 9)
    expected = mannwhitneyu(first, second, alternative="greater", method="exact").pvalue
    assert_close(exact_rank_sum(first, second)[0], expected, atol=1e-12, because="both exact")


def test_share_of_certain_specimens_is_the_jeffreys_interval() -> None:
    from scipy.stats import beta

    found = share_interval([1.0] * 9 + [0.0])
    assert found.ci95 is not None
    assert_close(found.ci95, beta.ppf([0.025, 0.975], 9.5, 1.5), atol=1e-9, because="same distribution")
    unsure = share_interval([0.9] * 9 + [0.1])
    assert unsure.ci95 is not None
    assert np.ptp(unsure.ci95) > np.ptp(found.ci95)
    everyone = share_interval([1.0, 1.0])
    assert everyone.ci95 is not None
    assert everyone.ci95[1] == 1.0


def test_a_cohort_with_the_published_findings() -> None:
    summary = evaluate_cohort(cohort())
    claims = {claim.id: claim for claim in summary.claims}
    assert claims["hydroxyapatite_present"].refuted == ("none",)
    assert len(claims["hydroxyapatite_present"].supported) == 9
    assert "9 of 10" in claims["hydroxyapatite_present"].statement
    assert len(claims["hydroxyapatite_minor_component"].supported) == 9, "one specimen has none to be minor"
    assert summary.comparison is not None
    assert summary.comparison.sizes == (6, 4)
    # complete separation of 6 and 4: one assignment of 210
    assert_close(summary.comparison.p_greater, 1 / 210, atol=1e-12, because="exact")
    assert summary.comparison.difference.ci95 is not None
    assert summary.comparison.difference.ci95[0] > 0
    assert summary.simulated
    assert len(summary.rows) == 10
    assert summary.rows[9]["hydroxyapatite"] == "not_detected"
    assert set(COMPONENTS) <= set(summary.rows[0])


def test_the_table_states_the_limit_that_the_claim_states() -> None:
    result = specimen("f0", np.array([0.0, 0.70, 0.25, 0.01, 0.04, 0.0]), "fluid")
    other = phase_result(
        id="fluorapatite",
        name="fluorapatite",
        formula="",
        decision="not_detected",
        detection_limit=0.013,
        evidence=DetectionEvidence(rule=RULE),
    )
    blind = replace(other, id="chlorapatite", detection_limit=1.0)
    phases = (*result.phases, other, blind)
    result = replace(result, phases=phases, claims=evaluate_claims(result.composition, phases))
    row = evaluate_cohort([result]).rows[0]
    assert row["hydroxyapatite_limit"] == 0.013
    assert "1.3 wt%" in result.claims[0].statement


def test_the_order_of_specimens_does_not_matter() -> None:
    results = cohort()
    forward, backward = evaluate_cohort(results), evaluate_cohort(results[::-1])
    assert forward.comparison is not None
    assert backward.comparison is not None
    assert forward.comparison.p_greater == backward.comparison.p_greater
    for a, b in zip(forward.claims, backward.claims, strict=True):
        assert a.share is not None
        assert b.share is not None
        assert_close(a.share.value, b.share.value, atol=1e-12, because="the order of a sum")


def test_a_summary_is_plain_json() -> None:
    import json

    text = json.dumps(evaluate_cohort(cohort()).to_dict(), allow_nan=False)
    assert '"simulated": true' in text


def test_cohorts_that_cannot_be_summarised_are_refused() -> None:
    results = cohort()
    with pytest.raises(AnalysisError, match="at least one"):
        evaluate_cohort([])
    with pytest.raises(AnalysisError, match="twice"):
        evaluate_cohort([results[0], results[0]])
    with pytest.raises(AnalysisError, match="component"):
        evaluate_cohort(results, component="hydroxyapatite")
    assert evaluate_cohort(results, groups={}).comparison is None
