"""PhaseResult of each phase that was asked after: fitted, absent, or not to be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xrdcomp.diffraction.scoring import Score
from xrdcomp.diffraction.varieties import compare_intensities
from xrdcomp.fit.pattern import FitState
from xrdcomp.fit.summary import parameter_estimate
from xrdcomp.results import Decision, Estimate, PhaseResult
from xrdcomp.types import Phase

__all__ = ["Test", "absent_phase", "fitted_phase", "undecided_apatite"]

LIMIT_FACTOR = 0.865
"""Detection limits in units of those of one perfect template: see the page on identification."""

_UNKNOWN_STD = 1e3  # of a share where next to nothing was fitted

WIDTH_STD = 0.1
"""Relative standard deviation of what a template sees of a phase whose line width is not known."""

_LARGEST_STD = 0.4
_CELL_RULED_OUT = 0.006  # relative difference of a or c beyond which another variety is excluded


@dataclass(frozen=True)
class Test:
    """Z from which a phase counts as found, and the normal quantile with which one at its limit is found."""

    __test__ = False  # not a class of tests

    threshold: float
    quantile: float

    def limit_z(self, relative_std: float) -> float:
        """Mean z at which the threshold is exceeded with the stated probability.

        z then scatters by 1, and by `relative_std` of itself from specimen to specimen, because neither the mass
        that diffracts nor the width of the lines is known well: m − t = q √(1 + m² s²), solved for m.
        """
        spread = (self.quantile * min(relative_std, _LARGEST_STD)) ** 2
        t = self.threshold
        return (t + float(np.sqrt(t**2 - (1.0 - spread) * (t**2 - self.quantile**2)))) / (1.0 - spread)


def _limit(state: FitState, score: Score, test: Test) -> float:
    """Smallest share of the specimen that is found with the stated probability."""
    amounts = state.evidence.amounts
    total = max(float(np.maximum(amounts.amounts, 0.0).sum()), 1e-300)
    relative_std = float(np.hypot(np.sqrt(max(amounts.covariance.sum(), 0.0)) / total, WIDTH_STD))
    return float(min(1.0, LIMIT_FACTOR * test.limit_z(relative_std) * score.nominal_std / total))


def _share(state: FitState, index: int, *, crystalline_only: bool) -> Estimate | None:
    """Mass share of one component of all (or of the crystalline ones), first order; None where nothing is there."""
    amounts = state.evidence.amounts
    pick = np.array(amounts.crystalline) if crystalline_only else np.ones(len(amounts.names), bool)
    values = np.where(pick, np.maximum(amounts.amounts, 0.0), 0.0)
    total = float(values.sum())
    if total <= 0.0:
        return None
    gradient = -values[index] / total * pick
    gradient[index] += 1.0
    variance = float(gradient @ amounts.covariance @ gradient) / total**2
    return _fraction(float(values[index] / total), variance)


def _fraction(value: float, variance: float) -> Estimate:
    std = float(np.sqrt(max(variance, 0.0)))
    low, high = max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std)
    return Estimate(value=value, std=std, interval=(min(low, value), max(high, value)))


def fitted_phase(state: FitState, phase: Phase, test: Test, score: Score) -> PhaseResult:
    """Report a phase of the fit: amounts, cell, size, strain."""
    amounts = state.evidence.amounts
    index = amounts.names.index(phase.id)
    whole = _share(state, index, crystalline_only=False)
    crystal = _share(state, index, crystalline_only=True)
    z = score.z
    areas = [
        float(np.abs(state.solution.columns[:, k] * state.solution.coefficients[k]).sum())
        for k in range(len(state.phases))
    ]
    position = [p.id for p in state.phases].index(phase.id)
    share = areas[position] / max(sum(areas), 1e-300)
    decision: Decision = "detected" if z > test.threshold and crystal is not None else "inconclusive"
    return PhaseResult(
        id=phase.id,
        name=phase.name,
        formula=phase.formula,
        decision=decision,
        detection_limit=_limit(state, score, test),
        weight_fraction=whole,
        crystalline_weight_fraction=crystal,
        cell=_cell(state, phase),
        crystallite_size_nm=_sizes(state, phase),
        microstrain=parameter_estimate(state, f"{phase.id}_microstrain"),
        intensity_share=share,
        evidence={"z": z, "threshold": test.threshold, "fitted": True, **_structure(phase)},
    )


def _structure(phase: Phase) -> dict[str, Any]:
    """Facts of a structure from outside the library, by which the composition knows it."""
    facts: dict[str, Any] = {}
    if "apatite" in phase.metadata:
        facts["apatite"] = phase.metadata["apatite"]
    if "user_file" in phase.metadata:
        facts["carbonate_fraction"] = phase.carbonate_fraction
    return facts


def _cell(state: FitState, phase: Phase) -> dict[str, Estimate]:
    out = {}
    for name in ("a", "b", "c", "alpha", "beta", "gamma"):
        estimate = parameter_estimate(state, f"{phase.id}_{name}")
        if estimate is not None:
            unit = "Å" if name in "abc" else "deg"
            out[name] = Estimate(
                value=estimate.value, std=estimate.std, interval=estimate.interval, unit=unit
            )
    return out


def _sizes(state: FitState, phase: Phase) -> dict[str, Estimate]:
    """Crystallite sizes (Scherrer, K 0.9 on FWHM) along c and across it, and their geometric volume mean."""
    inverse = {axis: parameter_estimate(state, f"{phase.id}_inverse_size_{axis}") for axis in "ac"}
    out: dict[str, Estimate] = {}
    for axis, key in (("c", "c_axis"), ("a", "a_axis")):
        estimate = inverse[axis]
        if estimate is None or (axis == "a" and inverse["c"] is None):
            continue
        out[key] = _reciprocal(estimate)
    first = inverse["a"]
    if first is not None and first.value > 0:
        second = inverse["c"] or first
        if second.value > 0:
            mean = float(np.cbrt(first.value**2 * second.value))
            relative = np.hypot(
                2.0 / 3.0 * (first.std or 0.0) / first.value, (second.std or 0.0) / second.value / 3.0
            )
            out["volume_mean"] = _reciprocal(Estimate(value=mean, std=float(relative * mean)))
    return out


def _reciprocal(inverse: Estimate) -> Estimate:
    """Size from inverse size; the interval is transformed end by end, at most 10 µm.

    Where the lines show no broadening the size has no upper end of its own: its standard deviation is then that of
    the interval, not that of an inverse near zero.
    """
    low = max(inverse.value, 1e-4)
    size = 1.0 / low
    half = 1.96 * (inverse.std or 0.0)
    interval = (1.0 / (low + half), 1.0 / max(low - half, 1e-4))
    std = min((inverse.std or 0.0) / low**2, (interval[1] - interval[0]) / 3.92)
    return Estimate(
        value=size, std=float(std), interval=(min(interval[0], size), max(interval[1], size)), unit="nm"
    )


def absent_phase(state: FitState, score: Score, test: Test) -> PhaseResult:
    """Report a phase that was not accepted, with the fraction that would have been seen.

    Significant but not accepted means inconclusive, unless lines that should show at that amount are missing:
    then the signal belongs to something else.
    """
    total = max(float(np.maximum(state.evidence.amounts.amounts, 0.0).sum()), 1e-300)
    unclear = score.z > test.threshold and not score.lines_refute
    evidence: dict[str, Any] = {
        "z": score.z,
        "threshold": test.threshold,
        "lines_expected": score.lines_expected,
        "lines_seen": score.lines_seen,
        "template_size_nm": score.size_nm,
        "fitted": False,
        **_structure(score.phase),
    }
    if score.z > test.threshold:
        evidence["reason"] = f"{score.lines_seen} of {score.lines_expected} lines that should show do" + (
            ", not in the ratio of this phase" if not score.in_ratio else ""
        )
    if not score.phase.quantifiable:
        evidence["limit_basis"] = "line positions only; intensity per gram taken from a similar compound"
    fraction = None
    if unclear and score.phase.quantifiable:
        fraction = _fraction(
            float(np.clip(score.amount / total, 0.0, 1.0)), min(score.std / total, _UNKNOWN_STD) ** 2
        )
    return PhaseResult(
        id=score.phase.id,
        name=score.phase.name,
        formula=score.phase.formula,
        decision="inconclusive" if unclear else "not_detected",
        detection_limit=_limit(state, score, test),
        weight_fraction=fraction,
        evidence=evidence,
    )


def undecided_apatite(state: FitState, family: Phase, other: Phase) -> PhaseResult:
    """Report another variety of apatite beside the fitted one: excluded by cell or intensities, or not to be told."""
    fitted = _cell(state, family)
    away, own = (
        max((abs(fitted[k].value / getattr(p.cell, k) - 1.0) for k in ("a", "c") if k in fitted), default=0.0)
        for p in (other, family)
    )
    hidden = f"a small share beside it would hide under the lines of {family.id}"
    reason = f"apatite, variety not determined: its lines coincide with those of {family.id}"
    verdict = compare_intensities(state, family, other) if away <= _CELL_RULED_OUT else -1
    better = verdict > 0 and away <= own
    if better:
        reason += ", and it describes cell and intensities better"
    elif away > _CELL_RULED_OUT:
        reason = f"not the main apatite: its cell differs by {100 * away:.2f} % from the one found; {hidden}"
    elif verdict < 0:
        reason = f"not the main apatite: its intensities are not those found; {hidden}"
    return PhaseResult(
        id=other.id,
        name=other.name,
        formula=other.formula,
        decision="inconclusive",
        detection_limit=None,
        evidence={
            "reason": reason,
            "cell_difference": float(away),
            "fitted": False,
            "fits_better": better,
            "excluded_as_main": away > _CELL_RULED_OUT or verdict < 0,
            **_structure(other),
        },
    )
