"""A cohort of specimens: how many of n, one group against another, a table.

Counts carry both uncertainties: whether each specimen has the property, P_i, and that n specimens are a sample.
The number K with the property is Poisson-binomial in the P_i; given K the share in the population has a
Beta(K + ½, n - K + ½) posterior (Jeffreys). Groups are compared by the exact permutation distribution of the
rank sum (Wilcoxon 1945; Mann & Whitney 1947), ties by mid-ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrdcomp.composition.claims import CLAIM_IDS, apatite_limit
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS, Claim, Estimate, SampleResult
from xrdcomp.types import FloatArray

__all__ = [
    "CohortClaim",
    "CohortSummary",
    "GroupComparison",
    "evaluate_cohort",
    "exact_rank_sum",
    "share_interval",
]

_TITLES = {
    "hydroxyapatite_present": "hydroxyapatite present",
    "hydroxyapatite_only_crystalline_phase": "hydroxyapatite the only crystalline phase",
    "hydroxyapatite_minor_component": "hydroxyapatite a minor component",
    "organic_more_than_half": "more than half organic",
}


@dataclass(frozen=True, kw_only=True)
class CohortClaim:
    """One finding over a cohort.

    Parameters
    ----------
    id : str
    supported, refuted, inconclusive : tuple of str
        Sample ids by verdict.
    share : Estimate or None
        Share of specimens with the property in the population these are a sample of; None where no specimen
        could be decided.
    expected_count : float
        Σ P_i over the specimens with a probability.
    statement : str
    """

    id: str
    supported: tuple[str, ...]
    refuted: tuple[str, ...]
    inconclusive: tuple[str, ...]
    share: Estimate | None
    expected_count: float
    statement: str

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return {
            "id": self.id,
            "supported": list(self.supported),
            "refuted": list(self.refuted),
            "inconclusive": list(self.inconclusive),
            "share": None if self.share is None else self.share.to_dict(),
            "expected_count": self.expected_count,
            "statement": self.statement,
        }


@dataclass(frozen=True, kw_only=True)
class GroupComparison:
    """One component in two groups of specimens.

    Parameters
    ----------
    component : str
    groups : (str, str)
    sizes : (int, int)
    medians : (float, float)
        Of the central values.
    difference : Estimate
        Difference of the group medians (first minus second) over the posterior draws of every specimen.
    p_greater, p_two_sided : float
        Exact permutation probabilities of the rank sum of the central values.
    test : str
        Name of the test in words.
    """

    component: str
    groups: tuple[str, str]
    sizes: tuple[int, int]
    medians: tuple[float, float]
    difference: Estimate
    p_greater: float
    p_two_sided: float
    test: str

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return {
            "component": self.component,
            "groups": list(self.groups),
            "sizes": list(self.sizes),
            "medians": list(self.medians),
            "difference": self.difference.to_dict(),
            "p_greater": self.p_greater,
            "p_two_sided": self.p_two_sided,
            "test": self.test,
        }


@dataclass(frozen=True, kw_only=True)
class CohortSummary:
    """What a cohort shows.

    Parameters
    ----------
    n : int
    basis : str
    claims : tuple of CohortClaim
    comparison : GroupComparison or None
        None where there are not two groups with decided specimens.
    rows : tuple of dict
        One per specimen, for a table: plain strings and numbers (fractions).
    simulated : bool
        Whether any specimen is simulated; tables and figures must then say so.
    """

    n: int
    basis: str
    claims: tuple[CohortClaim, ...]
    comparison: GroupComparison | None
    rows: tuple[dict[str, Any], ...]
    simulated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return {
            "n": self.n,
            "basis": self.basis,
            "simulated": self.simulated,
            "claims": [claim.to_dict() for claim in self.claims],
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "rows": [dict(row) for row in self.rows],
        }


def evaluate_cohort(
    results: Sequence[SampleResult],
    *,
    groups: Mapping[str, str] | None = None,
    component: str = "crystalline_hydroxyapatite",
    order: tuple[str, str] = ("solid", "fluid"),
) -> CohortSummary:
    """Summarise the findings over a cohort.

    Parameters
    ----------
    results : sequence of SampleResult, at least one, all on one basis
    groups : mapping of sample id to group name, optional
        Default: the metadata's ``kind``.
    component : str
        What is compared between the groups.
    order : (str, str)
        The groups, first the one expected to have more.

    Returns
    -------
    CohortSummary

    Raises
    ------
    AnalysisError
        No results, different bases, a sample id twice, or an unknown component.
    """
    _check(results, component)
    by_sample = dict(groups) if groups is not None else _groups_of(results)
    return CohortSummary(
        n=len(results),
        basis=results[0].composition.basis,
        claims=tuple(_cohort_claim(claim_id, results) for claim_id in CLAIM_IDS),
        comparison=_compare(results, by_sample, component, order),
        rows=tuple(_row(result, by_sample.get(result.sample_id, "")) for result in results),
        simulated=any(bool(result.metadata.get("simulated")) for result in results),
    )


def _check(results: Sequence[SampleResult], component: str) -> None:
    if not results:
        msg = "a cohort needs at least one result."
        raise AnalysisError(msg)
    if component not in COMPONENTS:
        msg = f"there is no component {component!r}; choose one of {', '.join(COMPONENTS)}."
        raise AnalysisError(msg)
    bases = sorted({result.composition.basis for result in results})
    if len(bases) > 1:
        msg = (
            f"a cohort must be on one basis; got {', '.join(bases)}. Analyse all with one composition.basis."
        )
        raise AnalysisError(msg)
    names = [result.sample_id for result in results]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"sample id {twice[0]!r} occurs twice; combine replicates first or rename."
        raise AnalysisError(msg)


def _groups_of(results: Sequence[SampleResult]) -> dict[str, str]:
    return {result.sample_id: str(result.metadata["kind"]) for result in results if "kind" in result.metadata}


def share_interval(probabilities: Sequence[float]) -> Estimate:
    """Share of a population from specimens that have a property with given probabilities.

    Parameters
    ----------
    probabilities : sequence of float in [0, 1], at least one
        P_i that specimen i has the property; 0 and 1 give the Jeffreys interval of a plain count.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc

    n = len(probabilities)
    counts = np.ones(1)
    for p in probabilities:
        counts = np.convolve(counts, [1.0 - p, p])
    k = np.arange(n + 1)
    mean = float(counts @ ((k + 0.5) / (n + 1.0)))
    second = float(counts @ ((k + 0.5) * (k + 1.5) / ((n + 1.0) * (n + 2.0))))

    def quantile(level: float) -> float:
        return float(brentq(lambda t: float(counts @ betainc(k + 0.5, n - k + 0.5, t)) - level, 0.0, 1.0))

    low = 0.0 if counts[0] > 1 - 1e-9 else quantile(0.025)
    high = 1.0 if counts[-1] > 1 - 1e-9 else quantile(0.975)
    return Estimate(value=mean, std=float(np.sqrt(max(second - mean**2, 0.0))), interval=(low, high))


def _cohort_claim(claim_id: str, results: Sequence[SampleResult]) -> CohortClaim:
    claims = {result.sample_id: _claim_of(result, claim_id) for result in results}
    verdicts: dict[str, list[str]] = {"supported": [], "refuted": [], "inconclusive": []}
    for name, claim in claims.items():
        verdicts["inconclusive" if claim is None else claim.verdict].append(name)
    known = [c.probability for c in claims.values() if c is not None and c.probability is not None]
    share = share_interval(known) if known else None
    return CohortClaim(
        id=claim_id,
        supported=tuple(verdicts["supported"]),
        refuted=tuple(verdicts["refuted"]),
        inconclusive=tuple(verdicts["inconclusive"]),
        share=share,
        expected_count=float(np.sum(known)),
        statement=_statement(claim_id, verdicts, len(results), share),
    )


def _claim_of(result: SampleResult, claim_id: str) -> Claim | None:
    return next((claim for claim in result.claims if claim.id == claim_id), None)


def _statement(claim_id: str, verdicts: Mapping[str, list[str]], n: int, share: Estimate | None) -> str:
    text = f"{_TITLES[claim_id].capitalize()}: {len(verdicts['supported'])} of {n} specimens"
    if share is not None and share.interval is not None:
        low, high = share.interval
        text += f" (share in the population 95 %: {100 * low:.0f} to {100 * high:.0f} %)"
    for verdict, words in (("refuted", "not in"), ("inconclusive", "not decided in")):
        if verdicts[verdict]:
            text += f"; {words} {', '.join(verdicts[verdict])}"
    return text + "."


def exact_rank_sum(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Exact permutation test of the rank sum of two small groups.

    Every assignment of the observed values to groups of these sizes is equally likely under the hypothesis
    of no difference; the number of assignments for every rank sum is counted, mid-ranks for ties.

    Parameters
    ----------
    first, second : (m,), (n,) arrays, each with at least one value

    Returns
    -------
    p_greater, p_two_sided : float
        Probability that the first group's rank sum is at least as large as observed, and twice the smaller
        tail, at most 1.
    """
    pooled = np.concatenate([first, second])
    order = np.sort(pooled)
    doubled = np.searchsorted(order, pooled, "left") + np.searchsorted(order, pooled, "right") + 1
    observed = int(doubled[: len(first)].sum())
    ways = np.zeros((len(first) + 1, int(doubled.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in doubled:
        for size in range(len(first), 0, -1):
            ways[size, rank:] += ways[size - 1, : ways.shape[1] - rank]
    counts = ways[len(first)] / ways[len(first)].sum()
    greater, less = float(counts[observed:].sum()), float(counts[: observed + 1].sum())
    return greater, min(1.0, 2 * min(greater, less))


def _compare(
    results: Sequence[SampleResult], by_sample: Mapping[str, str], component: str, order: tuple[str, str]
) -> GroupComparison | None:
    index = COMPONENTS.index(component)
    members: tuple[list[SampleResult], list[SampleResult]] = ([], [])
    for result in results:
        group = by_sample.get(result.sample_id, "")
        if group in order and result.composition.components.get(component) is not None:
            members[order.index(group)].append(result)
    if not members[0] or not members[1]:
        return None
    values = [np.array([r.composition.draws[:, index].mean() for r in group]) for group in members]
    length = min(len(r.composition.draws) for group in members for r in group)
    medians = [np.median([r.composition.draws[:length, index] for r in group], axis=0) for group in members]
    difference = np.asarray(medians[0] - medians[1])
    low, high = np.quantile(difference, [0.025, 0.975])
    greater, two_sided = exact_rank_sum(values[0], values[1])
    return GroupComparison(
        component=component,
        groups=order,
        sizes=(len(members[0]), len(members[1])),
        medians=(float(np.median(values[0])), float(np.median(values[1]))),
        difference=Estimate(
            value=float(difference.mean()), std=float(difference.std()), interval=(float(low), float(high))
        ),
        p_greater=greater,
        p_two_sided=two_sided,
        test="exact permutation test of the rank sum (Mann-Whitney)",
    )


def _row(result: SampleResult, group: str) -> dict[str, Any]:
    """One line of the table: identity, fractions with intervals, phases, verdicts."""
    row: dict[str, Any] = {
        "sample_id": result.sample_id,
        "group": group,
        "basis": result.composition.basis,
        "method": result.composition.method,
    }
    for name in COMPONENTS:
        estimate = result.composition.components.get(name)
        row[name] = None if estimate is None else estimate.value
        low, high = (None, None) if estimate is None else (estimate.interval or (None, None))
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    asked = [phase for phase in result.phases if phase.is_apatite]
    found = next((phase for phase in asked if phase.decision == "detected"), asked[0] if asked else None)
    row["hydroxyapatite"] = "not asked" if found is None else found.decision
    row["hydroxyapatite_limit"] = apatite_limit(asked)
    others = [p for p in result.phases if not p.is_apatite and p.decision == "detected"]
    row["other_phases"] = ", ".join(phase.id for phase in others)
    for claim in result.claims:
        row[claim.id] = claim.verdict
    row["messages"] = ", ".join(sorted({item.code for item in result.diagnostics if item.severity != "info"}))
    return row
