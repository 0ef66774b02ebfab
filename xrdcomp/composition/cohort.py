"""Several runs of one specimen, and a cohort of specimens.

Runs of one specimen are combined as random effects per component: run means scatter with s_i² + τ², s_i² being what
differs from run to run (counting, thermal noise, aliquot) and τ² the scatter beyond it (Paule & Mandel 1982). What all
runs share (amorphous scattering, scattering per gram, assumed constants) is added once and is not reduced by repeating.
The variance of the mean follows Hartung & Knapp 2001 and Sidik & Jonkman 2002, never below the classical one, with
Student's t for the few runs there are; degrees of freedom with the shared part after Welch & Satterthwaite.

Counts of a cohort carry both uncertainties: whether each specimen has the property, P_i, and that n specimens are a
sample. The number K with the property is Poisson-binomial in the P_i; given K the share in the population has a
Beta(K + ½, n - K + ½) posterior (Jeffreys). Groups are compared by the exact permutation distribution of the
rank sum (Wilcoxon 1945; Mann & Whitney 1947), ties by mid-ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from xrdcomp.composition.claims import CLAIM_IDS, MINOR, ONLY, PRESENT
from xrdcomp.composition.compose import SUMS
from xrdcomp.data import Diagnostic, frozen_array
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS, Composition, Estimate, RunScatter, SampleResult, apatite_limit, named
from xrdcomp.units import FloatArray

INDEPENDENT = ("xrd_counting", "tga", "aliquot")
"""Inputs of the uncertainty budget, by the beginning of their names, that differ from run to run."""


# Runs of one specimen.


@dataclass(frozen=True, kw_only=True)
class RandomEffects:
    """Mean of a few runs with its standard uncertainty `std`, shared part left out.

    `between` is τ, the standard deviation between runs beyond their own uncertainties; `homogeneity` the probability of
    scatter at least this large if τ were 0 (Cochran's Q).
    """

    mean: float
    std: float
    between: float
    homogeneity: float

    @classmethod
    def of(cls, values: FloatArray, stds: FloatArray) -> RandomEffects:
        """Combine k >= 2 estimates of one quantity; `stds` are independent between the runs, > 0."""
        from scipy.optimize import brentq
        from scipy.special import gammaincc

        k = len(values)

        def weighted_scatter(tau_sq: float) -> float:
            weights = 1.0 / (stds**2 + tau_sq)
            mean = weights @ values / weights.sum()
            return float(weights @ (values - mean) ** 2)

        # Paule & Mandel: τ² at which the weighted scatter equals its expectation k - 1; 0 where it is smaller already
        tau_sq = 0.0
        if weighted_scatter(0.0) > k - 1:
            high = float(np.ptp(values)) ** 2 * k + 1e-12
            tau_sq = float(brentq(lambda t: weighted_scatter(t) - (k - 1), 0.0, high, xtol=1e-14))
        weights = 1.0 / (stds**2 + tau_sq)
        mean = float(weights @ values / weights.sum())
        spread = float(weights @ (values - mean) ** 2) / (k - 1)
        return cls(
            mean=mean,
            # Hartung & Knapp, never below the classical one
            std=float(np.sqrt(max(spread, 1.0) / weights.sum())),
            between=float(np.sqrt(tau_sq)),
            homogeneity=float(gammaincc((k - 1) / 2, weighted_scatter(0.0) / 2)),
        )


def combine_replicates(compositions: Sequence[Composition], *, seed: int = 20170118) -> Composition:
    """Combine at least two scans, runs or aliquots of one specimen, on one basis, into one composition.

    A component that any of them could not separate stays None. Values sum to one; the budget has ``between_runs``,
    `scatter` is that between the `runs`. `seed` is for the draws. AnalysisError for fewer than two compositions, or
    different bases.
    """
    if (k := len(compositions)) < 2:
        msg = f"combining replicates needs at least two compositions; got {k}."
        raise AnalysisError(msg)
    if len(bases := sorted({item.basis for item in compositions})) > 1:
        msg = f"replicates must be on one basis; got {', '.join(bases)}. Run all with the same composition.basis."
        raise AnalysisError(msg)
    hidden = {name for item in compositions for name, value in item.components.items() if value is None}
    names = _names(compositions)
    # a run that shows no reflections of crystals outside the library has none of them
    filled = [np.pad(item.draws, ((0, 0), (0, len(names) - item.draws.shape[1]))) for item in compositions]
    means = np.array([each.mean(axis=0) for each in filled])
    variances = np.array([each.var(axis=0) for each in filled])
    # share of every variance that differs from run to run; all of it where a composition has no budget
    own = np.ones_like(variances)
    for run, item in enumerate(compositions):
        for i, inputs in enumerate(item.budget.get(name, {}) for name in names):
            if inputs:
                share = sum(value for key, value in inputs.items() if key.startswith(INDEPENDENT))
                own[run, i] = np.clip(share, 0.01, 1.0)
    effects = [
        RandomEffects.of(means[:, i], np.sqrt(np.maximum(own[:, i] * variances[:, i], 1e-12)))
        for i in range(len(names))
    ]
    shared = ((1.0 - own) * variances).mean(axis=0)
    repeated = np.array([item.std**2 for item in effects])
    total = repeated + shared
    # closure: what the means miss of one is spread over the components in proportion to their variances
    centre = np.array([item.mean for item in effects])
    centre = np.clip(centre - total / total.sum() * (centre.sum() - 1.0), 0.0, 1.0)
    centre /= centre.sum()
    # draws around the centre with the runs' mean correlation; a component without any variation (water on a dry basis)
    # gets a trace of noise, for it has no correlation otherwise
    noise, own_draws = np.random.default_rng(0), filled
    varied = [each + 1e-9 * noise.standard_normal(each.shape) for each in own_draws]
    correlation = np.mean([np.corrcoef(each, rowvar=False) for each in varied], axis=0)
    std = np.sqrt(total)
    eigenvalues, vectors = np.linalg.eigh(correlation * np.outer(std, std))
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    normal = np.random.default_rng(seed).standard_normal(own_draws[0].shape)
    draws = np.abs(centre + normal @ root.T)
    draws /= draws.sum(axis=1, keepdims=True)
    # Welch & Satterthwaite: only the repeated part has k - 1 degrees of freedom, the shared part is known
    freedom = (k - 1) * total**2 / np.maximum(repeated, 1e-300) ** 2
    known = [i for i, name in enumerate(names) if name not in hidden]
    # where kinds of amorphous matter are open, draws are of all of them, and values of one
    valued = {
        i: centre[i] + float(np.mean([_value(item, names[i], means[run, i]) for run, item in enumerate(compositions)]))
        for i in known
    }
    sums = {}
    for name, parts in SUMS.items():
        if not all(name in item.identifiable_sums for item in compositions):
            continue
        columns = [part for part in parts if part < len(names)]
        summed = draws[:, columns].sum(axis=1)
        # what a run's own sum has beyond its components: carbonate that weighs with the crystals
        beyond = [
            item.identifiable_sums[name].value - each[:, columns].sum(axis=1).mean()
            for item, each in zip(compositions, filled, strict=True)
        ]
        within, whole = (max(float(part[columns].sum()), 1e-300) for part in (repeated, total))
        value = float(np.clip(summed.mean() + np.mean(beyond), 0.0, 1.0))
        sums[name] = _student(value, float(summed.var()), (k - 1) * (whole / within) ** 2)
    messages: dict[str, Diagnostic] = {}
    for message in (message for item in compositions for message in item.messages):
        messages.setdefault(message.code, message)  # each kind once, from the first run that has it
    return Composition(
        basis=compositions[0].basis,
        method=f"{compositions[0].method} ({k} runs)",
        components={
            name: None if name in hidden else _student(float(np.clip(valued[i], 0.0, 1.0)), total[i], freedom[i])
            for i, name in enumerate(names)
        },
        identifiable_sums=sums,
        covariance_names=tuple(names[i] for i in known),
        covariance=frozen_array(np.atleast_2d(np.cov(draws[:, known], rowvar=False))),
        draws=frozen_array(draws),
        budget=_budget(compositions, variances, total),
        prior_share={
            name: float(np.mean([item.prior_share.get(name, 0.0) for item in compositions])) for name in names
        },
        messages=tuple(messages.values()),
        runs=tuple(compositions),
        scatter={names[i]: RunScatter(between=effects[i].between, homogeneity=effects[i].homogeneity) for i in known},
    )


def _student(value: float, variance: float, freedom: float) -> Estimate:
    """Fraction with the 95 % interval of Student's t."""
    from scipy.special import stdtrit

    quantile = float(stdtrit(min(freedom, 1e6), 0.975))
    return Estimate.normal(value, float(np.sqrt(variance)), low=0.0, high=1.0, coverage_factor=quantile)


def _names(compositions: Sequence[Composition]) -> tuple[str, ...]:
    """Components of all: those of the composition that has most of them."""
    named_by = max(compositions, key=lambda item: len(item.components))
    return tuple(named_by.components)


def _value(composition: Composition, name: str, mean: float) -> float:
    """Value of a component less the mean of its draws."""
    estimate = composition.components.get(name)
    return 0.0 if estimate is None else estimate.value - mean


def _budget(
    compositions: Sequence[Composition], variances: FloatArray, total: FloatArray
) -> dict[str, dict[str, float]]:
    """Shares of the combined variance; what single runs do not explain is ``between_runs``."""
    k = len(compositions)
    table: dict[str, dict[str, float]] = {}
    for i, name in enumerate(_names(compositions)):
        parts: dict[str, float] = {}
        for run, item in enumerate(compositions):
            for key, share in item.budget.get(name, {}).items():
                # the variance of a mean of k runs: over k where each has its own error, the mean one where all share it
                divisor = k**2 if key.startswith(INDEPENDENT) else k
                parts[key] = parts.get(key, 0.0) + share * variances[run, i] / divisor / max(total[i], 1e-300)
        within = sum(parts.values())
        scale = 1.0 / within if within > 1.0 else 1.0
        table[name] = {key: share * scale for key, share in parts.items()}
        table[name]["between_runs"] = max(1.0 - within, 0.0)
    return table


# Cohorts.

_TITLES = {PRESENT: "present", ONLY: "the only crystalline phase", MINOR: "a minor component"}


class _Exported:
    """Dataclass that can be written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return named(self, *(item.name for item in fields(self)))  # type: ignore[arg-type] # all are dataclasses


@dataclass(frozen=True, kw_only=True)
class CohortClaim(_Exported):
    """One finding over a cohort: sample ids by verdict, and the evidence in words.

    `share` is that of specimens with the property in the population these are a sample of; None where no specimen
    could be decided. `expected_count` is Σ P_i over the specimens with a probability.
    """

    id: str
    supported: tuple[str, ...]
    refuted: tuple[str, ...]
    inconclusive: tuple[str, ...]
    share: Estimate | None
    expected_count: float
    statement: str

    @classmethod
    def of(cls, claim_id: str, results: Sequence[SampleResult]) -> CohortClaim:
        """Count one claim over the results."""
        found = [next((claim for claim in result.claims if claim.id == claim_id), None) for result in results]
        verdicts: dict[str, list[str]] = {"supported": [], "refuted": [], "inconclusive": []}
        for result, claim in zip(results, found, strict=True):
            verdicts["inconclusive" if claim is None else claim.verdict].append(result.sample_id)
        known = [claim.probability for claim in found if claim is not None and claim.probability is not None]
        share = share_interval(known) if known else None
        title = f"Hydroxyapatite {_TITLES[claim_id]}" if claim_id in _TITLES else "More than half organic"
        text = f"{title}: {len(verdicts['supported'])} of {len(results)} specimens"
        if share is not None and share.ci95 is not None:
            low, high = share.ci95
            text += f" (share in the population 95 %: {100 * low:.0f} to {100 * high:.0f} %)"
        for verdict, words in (("refuted", "not in"), ("inconclusive", "not decided in")):
            if verdicts[verdict]:
                text += f"; {words} {', '.join(verdicts[verdict])}"
        who = {verdict: tuple(names) for verdict, names in verdicts.items()}
        return cls(id=claim_id, **who, share=share, expected_count=float(np.sum(known)), statement=f"{text}.")


@dataclass(frozen=True, kw_only=True)
class GroupComparison(_Exported):
    """One component in two groups of specimens.

    `medians` are of the central values; `difference` is that of the group medians (first minus second) over the
    posterior draws of every specimen. `p_greater` and `p_two_sided` are exact permutation probabilities of the rank sum
    of the central values, `test` the name of the test in words.
    """

    component: str
    groups: tuple[str, str]
    sizes: tuple[int, int]
    medians: tuple[float, float]
    difference: Estimate
    p_greater: float
    p_two_sided: float
    test: str

    @classmethod
    def of(
        cls, results: Sequence[SampleResult], groups: Mapping[str, str], component: str, order: tuple[str, str]
    ) -> GroupComparison | None:
        """Compare two groups; None where one of them has no specimen with the component."""
        index = COMPONENTS.index(component)
        decided = [r for r in results if r.composition.components.get(component) is not None]
        first, second = (
            [r.composition.draws[:, index] for r in decided if groups.get(r.sample_id, "") == group] for group in order
        )
        if not first or not second:
            return None
        values = [np.array([draws.mean() for draws in group]) for group in (first, second)]
        length = min(len(draws) for draws in (*first, *second))
        medians = [np.median([draws[:length] for draws in group], axis=0) for group in (first, second)]
        difference = np.asarray(medians[0] - medians[1])
        low, high = np.quantile(difference, [0.025, 0.975]).tolist()
        greater, two_sided = exact_rank_sum(values[0], values[1])
        return cls(
            component=component,
            groups=order,
            sizes=(len(first), len(second)),
            medians=(float(np.median(values[0])), float(np.median(values[1]))),
            difference=Estimate(value=float(difference.mean()), std=float(difference.std()), ci95=(low, high)),
            p_greater=greater,
            p_two_sided=two_sided,
            test="exact permutation test of the rank sum (Mann-Whitney)",
        )


@dataclass(frozen=True, kw_only=True)
class CohortSummary(_Exported):
    """Findings over a cohort of `n` specimens.

    `comparison` is None where there are not two groups with decided specimens. `rows` has one entry per specimen, for a
    table: plain strings and numbers (fractions). `simulated` tells that some specimen is simulated; tables and figures
    must then say so.
    """

    n: int
    basis: str
    simulated: bool = False
    claims: tuple[CohortClaim, ...]
    comparison: GroupComparison | None
    rows: tuple[dict[str, Any], ...]


def evaluate_cohort(
    results: Sequence[SampleResult],
    *,
    groups: Mapping[str, str] | None = None,
    component: str = "crystalline_hydroxyapatite",
    order: tuple[str, str] = ("solid", "fluid"),
) -> CohortSummary:
    """Summarise the findings over a cohort of at least one result, all on one basis.

    `groups` maps sample ids to group names, by default the metadata's ``kind``; `component` is compared between the two
    groups of `order`, the first the one expected to have more. AnalysisError for no results, different bases, a sample
    id twice, or an unknown component.
    """
    if not results:
        msg = "a cohort needs at least one result."
        raise AnalysisError(msg)
    if component not in COMPONENTS:
        msg = f"there is no component {component!r}; choose one of {', '.join(COMPONENTS)}."
        raise AnalysisError(msg)
    if len(bases := sorted({result.composition.basis for result in results})) > 1:
        msg = f"a cohort must be on one basis; got {', '.join(bases)}. Analyse all with one composition.basis."
        raise AnalysisError(msg)
    names = [result.sample_id for result in results]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"sample id {twice[0]!r} occurs twice; combine replicates first or rename."
        raise AnalysisError(msg)
    if groups is None:
        groups = {item.sample_id: str(item.metadata["kind"]) for item in results if "kind" in item.metadata}
    return CohortSummary(
        n=len(results),
        basis=results[0].composition.basis,
        claims=tuple(CohortClaim.of(claim_id, results) for claim_id in CLAIM_IDS),
        comparison=GroupComparison.of(results, groups, component, order),
        rows=tuple(_row(result, groups.get(result.sample_id, "")) for result in results),
        simulated=any(bool(result.metadata.get("simulated")) for result in results),
    )


def share_interval(probabilities: Sequence[float]) -> Estimate:
    """Share of a population from n >= 1 specimens that have a property with given probabilities, 0 to 1.

    Probabilities of 0 and 1 give the Jeffreys interval of a plain count.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc

    n = len(probabilities)
    counts = np.ones(1)  # Poisson-binomial distribution of the number with the property
    for p in probabilities:
        counts = np.convolve(counts, [1.0 - p, p])
    k = np.arange(n + 1)
    mean = float(counts @ ((k + 0.5) / (n + 1.0)))
    second = float(counts @ ((k + 0.5) * (k + 1.5) / ((n + 1.0) * (n + 2.0))))

    def quantile(level: float) -> float:
        return float(brentq(lambda t: float(counts @ betainc(k + 0.5, n - k + 0.5, t)) - level, 0.0, 1.0))

    low = 0.0 if counts[0] > 1 - 1e-9 else quantile(0.025)
    high = 1.0 if counts[-1] > 1 - 1e-9 else quantile(0.975)
    return Estimate(value=mean, std=float(np.sqrt(max(second - mean**2, 0.0))), ci95=(low, high))


def exact_rank_sum(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Exact permutation test of the rank sum of two small groups: P(greater) and the two-sided probability.

    Every assignment of the observed values to groups of these sizes is equally likely under the hypothesis
    of no difference; the number of assignments for every rank sum is counted, mid-ranks for ties (which the exact
    method of ``scipy.stats.mannwhitneyu`` does not allow for). P(greater) is the probability that the first group's
    rank sum is at least as large as observed; two-sided is twice the smaller tail, at most 1.
    """
    pooled = np.concatenate([first, second])
    order = np.sort(pooled)
    # twice the mid-ranks, so that they are integers and sums can be counted
    doubled = np.searchsorted(order, pooled, "left") + np.searchsorted(order, pooled, "right") + 1
    observed = int(doubled[: len(first)].sum())
    ways = np.zeros((len(first) + 1, int(doubled.sum()) + 1))  # by size of the group and sum of its ranks
    ways[0, 0] = 1.0
    for rank in doubled:
        for size in range(len(first), 0, -1):
            ways[size, rank:] += ways[size - 1, : ways.shape[1] - rank]
    counts = ways[len(first)] / ways[len(first)].sum()
    greater, less = float(counts[observed:].sum()), float(counts[: observed + 1].sum())
    return greater, min(1.0, 2 * min(greater, less))


def _row(result: SampleResult, group: str) -> dict[str, Any]:
    """One row of the table: identity, fractions with intervals, phases, verdicts."""
    row: dict[str, Any] = {"sample_id": result.sample_id, "group": group}
    row |= {"basis": result.composition.basis, "method": result.composition.method}
    for name in COMPONENTS:
        estimate = result.composition.components.get(name)
        row[name] = None if estimate is None else estimate.value
        low, high = (None, None) if estimate is None else (estimate.ci95 or (None, None))
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    asked = [phase for phase in result.phases if phase.is_apatite]
    decisions = [phase.decision for phase in asked]
    row["hydroxyapatite"] = "detected" if "detected" in decisions else next(iter(decisions), "not asked")
    row["hydroxyapatite_limit"] = apatite_limit(asked)
    others = [phase.id for phase in result.phases if not phase.is_apatite and phase.decision == "detected"]
    row["other_phases"] = ", ".join(others)
    row |= {claim.id: claim.verdict for claim in result.claims}
    row["messages"] = ", ".join(sorted({item.code for item in result.messages if item.severity != "info"}))
    return row
