"""Several runs of one specimen combined, with the scatter between them.

Random effects per component: run means scatter with s_i² + τ², s_i² being what differs from run to run (counting,
thermal noise, aliquot) and τ² the scatter beyond it (Paule & Mandel 1982). What all runs share (halo shapes,
scattering per gram, assumed constants) is added once and is not reduced by repeating. The variance of the mean
follows Hartung & Knapp 2001 and Sidik & Jonkman 2002, never below the classical one, with Student's t for the
few runs there are; degrees of freedom with the shared part after Welch & Satterthwaite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.composition.estimates import SUMS
from xrdcomp.errors import AnalysisError
from xrdcomp.results import COMPONENTS, Composition, Estimate
from xrdcomp.types import Diagnostic, FloatArray, frozen_array

__all__ = ["RandomEffects", "combine_replicates", "random_effects"]

INDEPENDENT = ("xrd_counting", "tga", "aliquot")
"""Inputs, by the beginning of their names, that differ from run to run."""
_SCATTER_PROBABILITY = 0.05


@dataclass(frozen=True, kw_only=True)
class RandomEffects:
    """Mean of a few runs.

    Parameters
    ----------
    mean, std : float
        `std` is the standard uncertainty of the mean, shared part left out.
    between : float
        τ, standard deviation between runs beyond their own uncertainties.
    degrees_of_freedom : float
        Runs minus one.
    homogeneity : float
        Probability of scatter at least this large if τ were 0 (Cochran's Q).
    """

    mean: float
    std: float
    between: float
    degrees_of_freedom: float
    homogeneity: float


def random_effects(values: FloatArray, stds: FloatArray) -> RandomEffects:
    """Combine a few estimates of one quantity.

    Parameters
    ----------
    values : (k,) array, k >= 2
    stds : (k,) array
        Standard uncertainties that are independent between the runs, > 0.
    """
    from scipy.special import gammaincc

    k = len(values)
    tau_sq = _paule_mandel(values, stds**2)
    weights = 1.0 / (stds**2 + tau_sq)
    mean = float(weights @ values / weights.sum())
    spread = float(weights @ (values - mean) ** 2) / (k - 1)
    fixed = 1.0 / stds**2
    q = float(fixed @ (values - fixed @ values / fixed.sum()) ** 2)
    return RandomEffects(
        mean=mean,
        std=float(np.sqrt(max(spread, 1.0) / weights.sum())),
        between=float(np.sqrt(tau_sq)),
        degrees_of_freedom=float(k - 1),
        homogeneity=float(gammaincc((k - 1) / 2, q / 2)),
    )


def _paule_mandel(values: FloatArray, variances: FloatArray) -> float:
    """τ² at which the weighted scatter equals its expectation, k - 1; 0 where it is smaller already."""
    from scipy.optimize import brentq

    def excess(tau_sq: float) -> float:
        weights = 1.0 / (variances + tau_sq)
        mean = weights @ values / weights.sum()
        return float(weights @ (values - mean) ** 2) - (len(values) - 1)

    if excess(0.0) <= 0:
        return 0.0
    high = float(np.ptp(values)) ** 2 * len(values) + 1e-12
    return float(brentq(excess, 0.0, high, xtol=1e-14))


def combine_replicates(compositions: Sequence[Composition], *, seed: int = 20170118) -> Composition:
    """Combine scans, runs or aliquots of one specimen into one composition.

    Parameters
    ----------
    compositions : sequence of Composition, at least two
        On one basis. A component that any of them could not separate stays None.
    seed : int
        For the draws.

    Returns
    -------
    Composition
        Values sum to one; its budget has ``between_runs``; a message gives the scatter between runs and, where
        it exceeds the single runs' uncertainties, says so.

    Raises
    ------
    AnalysisError
        Fewer than two compositions, or different bases.
    """
    k = len(compositions)
    if k < 2:
        msg = f"combining replicates needs at least two compositions; got {k}."
        raise AnalysisError(msg)
    bases = sorted({item.basis for item in compositions})
    if len(bases) > 1:
        msg = f"replicates must be on one basis; got {', '.join(bases)}. Run all with the same composition.basis."
        raise AnalysisError(msg)
    hidden = {name for item in compositions for name, value in item.components.items() if value is None}
    means = np.array([item.draws.mean(axis=0) for item in compositions])
    variances = np.array([item.draws.var(axis=0) for item in compositions])
    own = np.array([[_independent_share(item, name) for name in COMPONENTS] for item in compositions])
    effects = [
        random_effects(means[:, i], np.sqrt(np.maximum(own[:, i] * variances[:, i], 1e-12)))
        for i in range(len(COMPONENTS))
    ]
    shared = ((1.0 - own) * variances).mean(axis=0)
    repeated = np.array([item.std**2 for item in effects])
    total = repeated + shared
    centre = np.array([item.mean for item in effects])
    centre = np.clip(centre - total / total.sum() * (centre.sum() - 1.0), 0.0, 1.0)
    centre /= centre.sum()
    draws = _draws(centre, total, compositions, seed)
    freedom = (k - 1) * total**2 / np.maximum(repeated, 1e-300) ** 2
    components = {
        name: None if name in hidden else _estimate(centre[i], total[i], freedom[i])
        for i, name in enumerate(COMPONENTS)
    }
    known = [i for i, name in enumerate(COMPONENTS) if name not in hidden]
    sums = set.intersection(*(set(item.identifiable_sums) for item in compositions))
    return Composition(
        basis=compositions[0].basis,
        method=f"{compositions[0].method} ({k} runs)",
        components=components,
        identifiable_sums={
            name: _sum_estimate(name, compositions, draws, (repeated, total)) for name in SUMS if name in sums
        },
        covariance_names=tuple(COMPONENTS[i] for i in known),
        covariance=frozen_array(np.atleast_2d(np.cov(draws[:, known], rowvar=False))),
        draws=frozen_array(draws),
        budget=_budget(compositions, variances, total),
        prior_share={
            name: float(np.mean([item.prior_share.get(name, 0.0) for item in compositions]))
            for name in COMPONENTS
        },
        diagnostics=(*_shared_messages(compositions), _scatter(effects, hidden, k)),
    )


def _independent_share(composition: Composition, name: str) -> float:
    """Share of a component's variance that differs from run to run."""
    parts = composition.budget.get(name, {})
    if not parts:
        return 1.0
    return float(np.clip(sum(v for key, v in parts.items() if key.startswith(INDEPENDENT)), 0.01, 1.0))


def _estimate(value: float, variance: float, freedom: float) -> Estimate:
    from scipy.special import stdtrit

    std = float(np.sqrt(variance))
    half = float(stdtrit(min(freedom, 1e6), 0.975)) * std
    return Estimate(
        value=float(value), std=std, interval=(float(max(value - half, 0.0)), float(min(value + half, 1.0)))
    )


def _sum_estimate(
    name: str,
    compositions: Sequence[Composition],
    draws: FloatArray,
    variances: tuple[FloatArray, FloatArray],
) -> Estimate:
    """Sum of components over the runs, with Student's t as for the components.

    What a run's own sum has beyond its components (carbonate that weighs with the crystals) is added as the runs'
    mean. `variances` are those of the components: what repeating reduces, and all.
    """
    parts = list(SUMS[name])
    beyond = [
        item.identifiable_sums[name].value - item.draws[:, parts].sum(axis=1).mean() for item in compositions
    ]
    summed = draws[:, parts].sum(axis=1)
    repeated, total = (max(float(part[parts].sum()), 1e-300) for part in variances)
    freedom = (len(compositions) - 1) * (total / repeated) ** 2
    value = float(np.clip(summed.mean() + np.mean(beyond), 0.0, 1.0))
    return _estimate(value, float(summed.var()), freedom)


def _draws(
    centre: FloatArray, variance: FloatArray, compositions: Sequence[Composition], seed: int
) -> FloatArray:
    """Draws around the combined centre with the runs' mean correlation; each sums to one."""
    correlation = np.mean(
        [np.corrcoef(item.draws + 0.0, rowvar=False) for item in _varied(compositions)], axis=0
    )
    std = np.sqrt(variance)
    values, vectors = np.linalg.eigh(correlation * np.outer(std, std))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    n = len(compositions[0].draws)
    draws = np.abs(centre + np.random.default_rng(seed).standard_normal((n, len(centre))) @ root.T)
    out: FloatArray = draws / draws.sum(axis=1, keepdims=True)
    return out


def _varied(compositions: Sequence[Composition]) -> list[Composition]:
    """Compositions whose draws vary in every component; a dry basis has a constant water."""
    from dataclasses import replace

    rng = np.random.default_rng(0)
    return [
        replace(item, draws=item.draws + 1e-9 * rng.standard_normal(item.draws.shape))
        for item in compositions
    ]


def _budget(
    compositions: Sequence[Composition], variances: FloatArray, total: FloatArray
) -> dict[str, dict[str, float]]:
    """Shares of the combined variance; what single runs do not explain is ``between_runs``."""
    k = len(compositions)
    table: dict[str, dict[str, float]] = {}
    for i, name in enumerate(COMPONENTS):
        parts: dict[str, float] = {}
        for run, item in enumerate(compositions):
            for key, share in item.budget.get(name, {}).items():
                divisor = k**2 if key.startswith(INDEPENDENT) else k
                parts[key] = parts.get(key, 0.0) + share * variances[run, i] / divisor / max(total[i], 1e-300)
        within = sum(parts.values())
        scale = 1.0 / within if within > 1.0 else 1.0
        table[name] = {key: share * scale for key, share in parts.items()}
        table[name]["between_runs"] = max(1.0 - within, 0.0)
    return table


def _shared_messages(compositions: Sequence[Composition]) -> tuple[Diagnostic, ...]:
    """Every code once, from the first run that has it."""
    seen: dict[str, Diagnostic] = {}
    for item in compositions:
        for message in item.diagnostics:
            seen.setdefault(message.code, message)
    return tuple(seen.values())


def _scatter(effects: Sequence[RandomEffects], hidden: set[str], k: int) -> Diagnostic:
    shown = {name: item for name, item in zip(COMPONENTS, effects, strict=True) if name not in hidden}
    excess = {
        name: item for name, item in shown.items() if item.homogeneity < _SCATTER_PROBABILITY / len(shown)
    }
    facts = {f"between_{name}": item.between for name, item in shown.items()} | {"runs": k}
    if not excess:
        return Diagnostic(
            code="REPLICATES",
            severity="info",
            text=f"{k} runs agree within their own uncertainties; intervals use Student's t for {k} runs.",
            facts=facts,
        )
    listed = ", ".join(
        f"{name.replace('_', ' ')} {100 * item.between:.1f} wt%" for name, item in excess.items()
    )
    return Diagnostic(
        code="REPLICATE_SCATTER",
        severity="warning",
        text=(
            f"{k} runs scatter more than their own uncertainties: {listed} between runs (standard deviation). "
            "Likely: the specimen is not homogeneous, or drying between runs. Grind and dry it, take more "
            "aliquots, and set composition.aliquot_std to this figure for single runs."
        ),
        facts=facts,
    )
