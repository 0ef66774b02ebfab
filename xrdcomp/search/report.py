"""What a search has to say beside its list of phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, Phase
from xrdcomp.phases.library import list_phases, phase_info
from xrdcomp.refinement.refine import Refinement
from xrdcomp.results import (
    Decision,
    DetectionEvidence,
    DetectionRule,
    Estimate,
    FitResult,
    MemberComparison,
    PhaseResult,
)
from xrdcomp.search.detection import decision_threshold, detection_limit
from xrdcomp.search.family import compare_intensities
from xrdcomp.search.nuisance import Nuisance, Score, matched_filter
from xrdcomp.search.templates import CandidateLines, template_fwhm
from xrdcomp.units import FloatArray, two_theta_to_d

# ------------ Peaks that no phase of the fit explains, and whose they might be.

_MATCH = 4e-3  # relative difference of spacings up to which a library line counts as near
_STRONG = 25.0
MOST_PEAKS = 20
"""Unexplained peaks that are listed at most."""

_TRIALS_PER_FWHM = 2.0  # the filter output is correlated over about half a width


@dataclass(frozen=True, kw_only=True)
class UnexplainedPeak:
    """A peak in the residual: angle (deg), spacing (Å), significance (z), nearest strong library lines."""

    two_theta: float
    d_spacing: float
    z: float
    height: float
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        near = f", near {', '.join(self.candidates)}" if self.candidates else ""
        return f"{self.two_theta:.2f}° (d = {self.d_spacing:.3f} Å, z = {self.z:.1f}{near})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "two_theta": self.two_theta,
            "d_spacing": self.d_spacing,
            "z": self.z,
            "height": self.height,
            "candidates": list(self.candidates),
        }


def unexplained_peaks(
    nuisance: Nuisance, library: Sequence[CandidateLines], false_alarm_rate: float
) -> tuple[UnexplainedPeak, ...]:
    """Matched-filter search of the cleaned residual for peaks of instrumental width.

    Parameters
    ----------
    library : lines of the phases whose strong ones are named as candidates
    false_alarm_rate : float
        Chance of one or more false peaks in the pattern.
    """
    grid = nuisance.grid
    x = grid.two_theta
    fwhm = max(template_fwhm(grid.state, 100.0), 3.0 * grid.step)
    threshold = decision_threshold(false_alarm_rate, _TRIALS_PER_FWHM * (x[-1] - x[0]) / fwhm)
    z, height = matched_filter(grid, nuisance.residual, nuisance.sigma)
    free_share = np.maximum(1.0 - (nuisance.half**2).sum(axis=0), 0.05)
    z = z / np.sqrt(free_share * nuisance.inflation)
    found: list[UnexplainedPeak] = []
    taken = np.zeros(len(x), bool)
    for i in np.argsort(z)[::-1]:
        if z[i] < threshold or len(found) >= MOST_PEAKS:
            break
        if taken[i]:
            continue
        taken[np.abs(x - x[i]) < 2.5 * fwhm] = True
        found.append(
            explain_peak(grid.state, _vertex(x, z, int(i)), (float(z[i]), float(height[i])), library)
        )
    return tuple(found)


def _vertex(x: FloatArray, z: FloatArray, i: int) -> float:
    """Angle of a maximum between bins, from the parabola through three of them."""
    if not 0 < i < len(x) - 1:
        return float(x[i])
    curvature = z[i - 1] - 2.0 * z[i] + z[i + 1]
    part = 0.5 * (z[i - 1] - z[i + 1]) / curvature if curvature < 0.0 else 0.0
    return float(x[i] + np.clip(part, -0.5, 0.5) * (x[i + 1] - x[i]))


def explain_peak(
    state: Refinement, two_theta: float, size: tuple[float, float], library: Sequence[CandidateLines]
) -> UnexplainedPeak:
    """Spacing of a peak at an observed angle, and whose strong lines lie there.

    Parameters
    ----------
    two_theta : float
        Degrees, as observed.
    size : (significance, height)
    library : lines of the phases that may be named as candidates
    """
    values = state.solution.values
    lever = -np.degrees(2.0 * values.get("sample_displacement_mm", 0.0) / state.instrument.radius_mm)
    true = (
        two_theta
        - values.get("zero_shift", state.instrument.zero_shift)
        - lever * np.cos(np.radians(two_theta / 2.0))
    )
    d = float(two_theta_to_d(true, state.instrument.wavelength))
    near = []
    for lines in library:
        if not len(lines.d_spacing):
            continue
        intensity = lines.strength * lines.d_spacing**2
        relative = 100.0 * intensity / intensity.max()
        close = np.abs(lines.d_spacing / d - 1.0) < _MATCH
        if (close & (relative > _STRONG)).any():
            near.append((float(relative[close].max()), lines.phase.id))
    near.sort(reverse=True)
    names = tuple(name for _, name in near[:3])
    return UnexplainedPeak(two_theta=two_theta, d_spacing=d, z=size[0], height=size[1], candidates=names)


# ------------ What a scan that begins late does not show.

_LARGEST_SPACING = 4.45
"""Å: 20° of copper Kα, the maximum of the protein's halo. A scan should show larger spacings than this."""
_COVERAGE_STRONG = 70.0
"""Height of a line, of the strongest 100, without which a phase is judged by what is left."""


def late_start(fit: FitResult | None, phases: Sequence[PhaseResult]) -> tuple[Diagnostic, ...]:
    """Say which phases have lost their strongest lines, and that the halo is cut, where a fit begins late.

    Parameters
    ----------
    fit : FitResult or None
    phases : sequence of PhaseResult
        Those that the search asked after; only phases of the library are named.

    Returns
    -------
    tuple of Diagnostic
        ``XRD_STARTS_LATE`` where the fitted range begins at 20° of copper Kα or more, or at the same spacing of
        another radiation.
    """
    if fit is None:
        return ()
    begin = float(fit.two_theta[0])
    seen = fit.wavelengths[0] / 2.0 / float(np.sin(np.radians(begin / 2.0)))
    if seen > _LARGEST_SPACING:
        return ()
    library = set(list_phases())
    asked = [phase for phase in phases if phase.decision != "detected" and phase.id in library]
    lost = [phase.name for phase in asked if _strong_line_beyond(phase.id, seen)]
    better = 2.0 * float(np.degrees(np.arcsin(fit.wavelengths[0] / 2.0 / 9.0)))
    named = ""
    if lost:
        named = f" Strong lines are outside of {', '.join(lost)}: what is said of them rests on weaker ones."
    return (
        Diagnostic(
            code="XRD_STARTS_LATE",
            severity="warning",
            text=(
                f"The pattern is used from {begin:.1f}° on (spacings below {seen:.2f} Å): the rise of the organic "
                f"halo is cut off, so that it is told from background and water by its falling side alone.{named} "
                f"Start the scan at {better:.0f}° or below."
            ),
            facts={"from_two_theta": begin, "largest_d": seen, "phases": len(lost)},
        ),
    )


def _strong_line_beyond(name: str, spacing: float) -> bool:
    lines = phase_info(name).strongest_lines
    return any(line.d_spacing > spacing and line.relative_intensity >= _COVERAGE_STRONG for line in lines)


# ------------ PhaseResult of each phase that was asked after: fitted, absent, or not to be told apart.

_UNKNOWN_STD = 1e3  # of a share where next to nothing was fitted
_CELL_RULED_OUT = 0.006  # relative difference of a or c beyond which another variety is excluded


def _limit(state: Refinement, score: Score, rule: DetectionRule) -> float:
    """Return the smallest share of the specimen that is found with the stated probability."""
    amounts = state.evidence.amounts
    total = max(float(np.maximum(amounts.amounts, 0.0).sum()), 1e-300)
    relative_std = float(np.sqrt(max(amounts.covariance.sum(), 0.0))) / total
    return detection_limit(rule, score.nominal_std / total, relative_std)


def _share(state: Refinement, index: int, *, crystalline_only: bool) -> Estimate | None:
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
    return Estimate.normal(
        float(values[index] / total), float(np.sqrt(max(variance, 0.0))), low=0.0, high=1.0
    )


def fitted_phase(state: Refinement, phase: Phase, rule: DetectionRule, score: Score) -> PhaseResult:
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
    decision: Decision = "detected" if z > rule.threshold and crystal is not None else "inconclusive"
    return PhaseResult(
        id=phase.id,
        name=phase.name,
        formula=phase.formula,
        facts=phase.facts,
        decision=decision,
        detection_limit=_limit(state, score, rule),
        weight_fraction=whole,
        crystalline_weight_fraction=crystal,
        cell=_cell(state, phase),
        crystallite_size_nm=_sizes(state, phase),
        microstrain=state.parameter("microstrain", phase.id),
        intensity_share=share,
        evidence=DetectionEvidence(z=z, rule=rule, fitted=True),
    )


def _cell(state: Refinement, phase: Phase) -> dict[str, Estimate]:
    out = {}
    for name in ("a", "b", "c", "alpha", "beta", "gamma"):
        estimate = state.parameter("cell", phase.id, name)
        if estimate is not None:
            unit = "Å" if name in "abc" else "deg"
            out[name] = Estimate(value=estimate.value, std=estimate.std, ci95=estimate.ci95, unit=unit)
    return out


def _sizes(state: Refinement, phase: Phase) -> dict[str, Estimate]:
    """Crystallite sizes (Scherrer, K 0.9 on FWHM) along c and across it, and their geometric volume mean."""
    inverse = {axis: state.parameter("inverse_size", phase.id, axis) for axis in "ac"}
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
        value=size, std=float(std), ci95=(min(interval[0], size), max(interval[1], size)), unit="nm"
    )


def absent_phase(state: Refinement, score: Score, rule: DetectionRule) -> PhaseResult:
    """Report a phase that was not accepted, with the fraction that would have been seen.

    Significant but not accepted means inconclusive, unless lines that should show at that amount are missing:
    then the signal belongs to something else.
    """
    total = max(float(np.maximum(state.evidence.amounts.amounts, 0.0).sum()), 1e-300)
    unclear = score.z > rule.threshold and not score.lines_refute
    reason, basis = "", ""
    if score.z > rule.threshold:
        reason = f"{score.lines_seen} of {score.lines_expected} lines that should show do" + (
            ", not in the ratio of this phase" if not score.in_ratio else ""
        )
    if not score.phase.quantifiable:
        basis = "line positions only; intensity per gram taken from a similar compound"
    fraction = None
    if unclear and score.phase.quantifiable:
        share = float(np.clip(score.amount / total, 0.0, 1.0))
        fraction = Estimate.normal(share, min(float(score.std / total), _UNKNOWN_STD), low=0.0, high=1.0)
    return PhaseResult(
        id=score.phase.id,
        name=score.phase.name,
        formula=score.phase.formula,
        facts=score.phase.facts,
        decision="inconclusive" if unclear else "not_detected",
        detection_limit=_limit(state, score, rule),
        weight_fraction=fraction,
        evidence=DetectionEvidence(
            z=score.z,
            rule=rule,
            fitted=False,
            reflections_expected=score.lines_expected,
            reflections_seen=score.lines_seen,
            template_size_nm=score.size_nm,
            reason=reason,
            limit_basis=basis,
        ),
    )


def undecided_apatite(state: Refinement, family: Phase, other: Phase, rule: DetectionRule) -> PhaseResult:
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
        facts=other.facts,
        decision="inconclusive",
        detection_limit=None,
        evidence=DetectionEvidence(
            rule=rule,
            reason=reason,
            fitted=False,
            member=MemberComparison(
                cell_difference=float(away),
                fits_better=better,
                excluded_as_main=away > _CELL_RULED_OUT or verdict < 0,
            ),
        ),
    )


# ------------ What a search has to say beside its list of phases.


def search_messages(
    reports: Sequence[PhaseResult], peaks: tuple[UnexplainedPeak, ...], *, searched: bool = True
) -> tuple[Diagnostic, ...]:
    """Messages of a search: peaks that no phase explains, phases neither shown nor excluded.

    Parameters
    ----------
    reports : sequence of PhaseResult
    peaks : tuple of UnexplainedPeak
    searched : bool
        Whether the library was searched.
    """
    out = []
    if peaks:
        listed = "; ".join(str(peak) for peak in peaks[:5])
        outside = "a phase outside the library (add its CIF with --phases)"
        phase = (
            outside if searched else "a phase of the library, which was not searched (identification.search)"
        )
        out.append(
            Diagnostic(
                code="XRD_UNEXPLAINED_PEAKS",
                severity="warning",
                text=(
                    f"{len(peaks)} peak(s) belong to no phase of the fit: {listed}. Check for sample-holder lines, "
                    f"a contamination, or {phase}."
                ),
                facts={"count": len(peaks), "strongest_d": peaks[0].d_spacing},
            )
        )
    undecided = [r for r in reports if r.decision == "inconclusive" and not r.is_apatite]
    if undecided:
        names = ", ".join(r.name for r in undecided)
        unseen = "named for the fit, but its lines do not show"
        told = [f"{r.name}: {r.evidence.reason or unseen}" for r in undecided if r.evidence.fitted]
        why = (
            "Lines appear where this phase has some, but not all that should show do, or not in its ratio. "
            if len(told) < len(undecided)
            else ""
        )
        why += "".join(f"{text[0].upper()}{text[1:]}. " for text in told if text)
        out.append(
            Diagnostic(
                code="XRD_PHASE_INCONCLUSIVE",
                severity="warning",
                text=f"Neither shown nor excluded: {names}. {why}Count longer or look at the listed lines.",
            )
        )
    return tuple(out)
