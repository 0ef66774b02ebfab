"""Findings of a search: phases fitted, absent or undecided, peaks that no phase explains, and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Phase, message_kind
from xrdcomp.phases.library import list_phases, phase_info
from xrdcomp.refinement.refine import Refinement, Substitution
from xrdcomp.results import (
    UNLIKELY_MEMBER,
    Decision,
    DetectionEvidence,
    DetectionRule,
    Estimate,
    FitResult,
    MemberComparison,
    PhaseResult,
    UnexplainedPeak,
    UnidentifiedCrystals,
)
from xrdcomp.search.detection import decision_threshold, detection_limit, surely_above
from xrdcomp.search.metals import Metal
from xrdcomp.search.nuisance import GRAIN_STD, ProjectedResidual, Score, matched_filter, separate_peaks
from xrdcomp.search.templates import Candidate, bragg_share
from xrdcomp.units import two_theta_to_d

MOST_PEAKS = 20  # unexplained peaks that are listed

UNEXPLAINED_PEAKS = message_kind(
    "XRD_UNEXPLAINED_PEAKS",
    "warning",
    "Peaks of the pattern belong to no phase of the fit; they are listed with angle, spacing and significance.",
    remedy="Check for reflections of the sample holder, a contamination, or a phase outside the library (add its CIF "
    "to the phases).",
    threshold="identification.false_alarm_rate, for one or more false peaks in the pattern",
    origin="normal tail over two trials per width of a reflection",
)
PHASE_INCONCLUSIVE = message_kind(
    "XRD_PHASE_INCONCLUSIVE",
    "warning",
    "A phase is neither shown nor excluded; only some of its expected reflections appear, or their ratio is wrong.",
    remedy="Count longer or look at the listed reflections.",
    threshold="the decision threshold of the search",
    origin="identification.false_alarm_rate",
)
METAL_LINES = message_kind(
    "XRD_METAL_LINES",
    "warning",
    "Peaks that belong to no phase lie at the reflections of a metal; the sample holder or another part is in the "
    "beam, or the metal is in the specimen. The interval of the unidentified crystals covers both cases, from none of "
    "it to all of it.",
    remedy="Check the length of the beam on the specimen and the holder, or add a CIF of the metal to the phases.",
    threshold="all reflections of the range, for one cell to four digits and one displacement, and a chance of 1 % "
    "that equally dense peaks coincide with them",
    origin="an element has one cell",
    concerns=("xrd", "composition"),
)
RESIDUAL_LINES = message_kind(
    "XRD_RESIDUAL_LINES",
    "warning",
    "Strong reflections appear a second time with Kβ of the tube or with the L lines of tungsten, more strongly than a "
    "filter would leave them; these lines were fitted.",
    remedy="Set instrument.kbeta_ratio or instrument.w_la_ratio, and check filter, monochromator and tube.",
    threshold="two images between 5 and 40 % of their reflections, and half of the excess χ² is removed by the lines",
    origin="filtered tubes leave 0.1 to 2 %, unfiltered copper has 20 % of Kβ",
)
STARTS_LATE = message_kind(
    "XRD_STARTS_LATE",
    "warning",
    "The scan begins at such a high angle that the rising side of the organic scattering and strong reflections of the "
    "phases named in the text are outside.",
    remedy="Start the scan at 10° or below.",
    threshold="largest spacing in the range 4.45 Å (20° with copper Kα)",
    origin="position of the maximum of the amorphous scattering of protein",
)

_AREA_OF_PEAK = 1.28  # of height times width, of a pseudo-Voigt half Lorentzian
_NEAR = 4e-3  # relative difference of spacings up to which a library reflection counts as near
_STRONG = 25.0  # of the strongest 100
_TRIALS_PER_FWHM = 2.0  # the filter output is correlated over about half a width
_LARGEST_SPACING = 4.45  # Å: 20° of copper Kα; a scan should show larger spacings than this
_INDISPENSABLE = 70.0  # of the strongest 100: a reflection without which a phase is judged by what is left
_SHOWS = 2.0  # standard deviations, of a spike
_UNKNOWN_STD = 1e3  # of a share where next to nothing was fitted
_CELL_RULED_OUT = 0.006  # relative difference of a or c beyond which another member of the family is excluded
_INTENSITY_RATIO = 1.2  # χ² of one over that of the other; grains and substitutions in hydroxyapatite make less
_INTENSITY_EXCESS = 40.0  # Δχ² over the better fit's inflation; a hundred hydroxyapatites gave at most 5
_INTENSITY_TOLERANCE = 0.01  # of χ², where a fifth decides
_INTENSITY_POINTS = 5.0  # to the width of the narrowest reflection; fewer move what the cell decides
_MEMBER_SCATTER = 5.0  # an excess of 40, which decides, then stands for odds of 50 : 1
_LOST = 30.0  # of a log-likelihood below that of the member found, from which on it need not be known
_FAR_FROM_CELL = 50.0  # χ² from which on an apatite of other elements is likelier than the member
OPTICS_CELL_STD = 5e-4  # relative, of cells where nobody calibrated the instrument
UNKNOWN_LOG_STD = 1.1  # of ln of the scattering per gram of unknown crystals: a factor of three


# ---- peaks that no phase of the fit explains, and whose they might be


def unexplained_peaks(
    residual: ProjectedResidual, known: Sequence[Candidate], false_alarm_rate: float
) -> tuple[UnexplainedPeak, ...]:
    """Search the projected residual with a matched filter for peaks of instrumental width, at most `MOST_PEAKS`.

    `known` are phases whose strong reflections are named beside a peak, `false_alarm_rate` is the chance of one or more
    false peaks in the pattern.
    """
    grid = residual.grid
    x, fwhm = grid.two_theta, grid.peak_fwhm
    threshold = decision_threshold(false_alarm_rate, _TRIALS_PER_FWHM * (x[-1] - x[0]) / fwhm)
    z, height = matched_filter(grid, residual.residual, residual.sigma)
    free_share = np.maximum(1.0 - (residual.half**2).sum(axis=0), 0.05)
    z = z / np.sqrt(free_share * residual.inflation)
    peaks = []
    for i in separate_peaks(x, np.where(z >= threshold, z, 0.0), distance=2.5 * fwhm, most=MOST_PEAKS):
        angle = float(x[i])
        if 0 < i < len(x) - 1:
            # a maximum between bins: vertex of the parabola through three of them
            curvature = z[i - 1] - 2.0 * z[i] + z[i + 1]
            part = 0.5 * (z[i - 1] - z[i + 1]) / curvature if curvature < 0.0 else 0.0
            angle += float(np.clip(part, -0.5, 0.5) * (x[i + 1] - x[i]))
        area = float(height[i]) * fwhm * _AREA_OF_PEAK
        peaks.append(explain_peak(grid.fit, angle, z=float(z[i]), height=float(height[i]), known=known, area=area))
    return tuple(peaks)


def explain_peak(
    fit: Refinement, two_theta: float, *, z: float, height: float, known: Sequence[Candidate], area: float
) -> UnexplainedPeak:
    """Give the spacing of a peak at an observed angle (degrees), and the phases whose strong reflections lie there."""
    true = two_theta - angle_offset(fit, two_theta)
    d = float(two_theta_to_d(true, fit.instrument.wavelength))
    near = []
    for item in (item for item in known if len(item.d_spacing)):
        relative = 100.0 * item.apparent / item.apparent.max()
        close = np.abs(item.d_spacing / d - 1.0) < _NEAR
        if (close & (relative > _STRONG)).any():
            near.append((float(relative[close].max()), item.phase.id))
    names = tuple(name for _, name in sorted(near, reverse=True)[:3])
    return UnexplainedPeak(two_theta=two_theta, d_spacing=d, z=z, height=height, area=area, candidates=names)


def angle_offset(fit: Refinement, two_theta: Any) -> Any:
    """Observed less true angle by zero and displacement, degrees: zero − (2 s / R) cosθ."""
    values = fit.solution.values
    lever = -np.degrees(2.0 * values.get("sample_displacement_mm", 0.0) / fit.instrument.radius_mm)
    return values.get("zero_shift", fit.instrument.zero_shift) + lever * np.cos(np.radians(two_theta / 2.0))


def residual_lines_message(fit: FitResult) -> Diagnostic:
    """Message on the residual emission lines that a fit has."""
    names = {"kbeta_ratio": "Kβ of the tube", "w_la_ratio": "tungsten Lα"}
    found = {key: fit.parameters[key].value for key in names if key in fit.parameters}
    shares = " and ".join(f"{names[key]} ({100.0 * value:.1f} % of Kα1)" for key, value in found.items())
    text = f"Strong reflections appear a second time with {shares}. These lines were fitted; they are not a phase. "
    return RESIDUAL_LINES(text + RESIDUAL_LINES.remedy, **found)


# ---- PhaseResult of each phase that was asked after: fitted, absent, or not to be told apart


def _result(phase: Phase, decision: Decision, evidence: DetectionEvidence, **known: Any) -> PhaseResult:
    of_phase: dict[str, Any] = {name: getattr(phase, name) for name in ("id", "name", "formula", "facts")}
    return PhaseResult(decision=decision, evidence=evidence, **of_phase, **known)


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What all reports of a search share: rule, unknown crystals, members of the apatite family, reasons of refusal.

    The strongest reflection of a phase must be higher than `overtopped` for it to be believed beside what no phase
    explains, whose intensities leave `room` for the amounts of each phase, by id.
    """

    rule: DetectionRule
    unidentified: UnidentifiedCrystals | None = None
    members: Mapping[str, MemberComparison] = msgspec.field(default_factory=dict)
    refused: Mapping[str, str] = msgspec.field(default_factory=dict)
    overtopped: float = 0.0
    room: Mapping[str, float] = msgspec.field(default_factory=dict)


def fitted_phase(
    fit: Refinement, score: Score, told: Findings, *, alternatives: tuple[str, ...] = (), known: bool = False
) -> PhaseResult:
    """Report a phase of the fit: amounts, cell, size, strain; `alternatives` fitted the same reflections.

    A phase that is `known` to be there, as a spike is, counts as detected if it shows at all.
    """
    phase, rule = score.phase, told.rule
    crystal = _share(fit, phase, told, crystalline_only=True)
    member = told.members.get(phase.id)
    return _result(
        phase,
        "detected"
        if (known and score.z > _SHOWS) or (score.z > rule.threshold and crystal is not None)
        else "inconclusive",
        DetectionEvidence(z=score.z, rule=rule, fitted=True, alternatives=alternatives, member=member),
        detection_limit=_limit(fit, score, told),
        weight_fraction=_share(fit, phase, told, crystalline_only=False),
        crystalline_weight_fraction=crystal,
        cell=_cell(fit, phase),
        crystallite_size_nm=_sizes(fit, phase),
        microstrain=fit.parameter("microstrain", phase.id),
        intensity_share=bragg_share(fit, phase),
    )


def without_numbers(item: PhaseResult, reason: str) -> PhaseResult:
    """Report of a phase in a fit that says nothing of the specimen: no decision, no amount, no limit."""
    evidence = replace(item.evidence, reason=reason, tested=item.decision != "not_detected" and item.evidence.tested)
    return without_amounts(replace(item, decision="inconclusive", evidence=evidence))


def without_amounts(item: PhaseResult) -> PhaseResult:
    """Report of a phase in a fit that says what is there, but not how much: no amount, no limit."""
    return replace(item, weight_fraction=None, crystalline_weight_fraction=None, detection_limit=None)


def _total(fit: Refinement, told: Findings) -> float:
    """Everything in the beam on the scale of the amounts, unknown crystals included."""
    foreign = told.unidentified.mass if told.unidentified is not None else 0.0
    return max(float(np.maximum(fit.evidence.amounts.amounts, 0.0).sum()) + foreign, 1e-300)


def _limit(fit: Refinement, score: Score, told: Findings) -> float | None:
    """Smallest share of the specimen that is found with the stated probability; None where nothing was tested.

    That is so where the fit does not describe the pattern, where the phase has no reflection in the range, or where
    nothing less than the whole specimen would be found. Beside peaks that no phase explains it must overtop them.
    """
    if fit.quality != "describes" or not score.tested:
        return None
    total = _total(fit, told)
    relative_std = float(np.sqrt(max(fit.amounts.covariance.sum(), 0.0))) / total
    limit = detection_limit(told.rule, score.nominal_std / total, relative_std, score.grain_std)
    if told.overtopped > 0.0 and score.height > 0.0:
        limit = max(limit, surely_above(told.rule, told.overtopped / (score.height * total), GRAIN_STD))
    return limit if limit < 1.0 else None


def _share(fit: Refinement, phase: Phase, told: Findings, *, crystalline_only: bool) -> Estimate | None:
    """Mass share of one phase in all (or the crystalline) components, to first order; None where nothing is there.

    Misfit widens it as it widens the composition; unknown crystals are part of the whole, within their factor. Where a
    background was taken off, crystals are not the whole, and there is nothing to weigh them against.
    """
    amounts = fit.amounts
    if not crystalline_only and fit.background_subtracted and all(amounts.crystalline):
        return None
    covariance = (
        amounts.covariance if amounts.misfit_covariance is None else (amounts.covariance + amounts.misfit_covariance)
    )
    index = amounts.names.index(phase.id)
    pick = np.array(amounts.crystalline) if crystalline_only else np.ones(len(amounts.names), bool)
    values = np.where(pick, np.maximum(amounts.amounts, 0.0), 0.0)
    if not values[index] > 0.0:
        return None
    foreign = told.unidentified.mass if told.unidentified is not None else 0.0
    total = float(values.sum()) + foreign
    share = float(values[index] / total)
    gradient = -share * pick
    gradient[index] += 1.0
    variance = float(gradient @ covariance @ gradient) + (share * foreign * UNKNOWN_LOG_STD) ** 2
    return Estimate.normal(share, float(np.sqrt(max(variance, 0.0))) / total, low=0.0, high=1.0)


def _cell(fit: Refinement, phase: Phase) -> dict[str, Estimate]:
    units = dict.fromkeys("abc", "Å") | dict.fromkeys(("alpha", "beta", "gamma"), "deg")
    found = {name: fit.parameter("cell", phase.id, name) for name in units}
    # a cell that was held to weigh the phase was not found
    held = {name for name, item in found.items() if item is None or (phase.id in fit.weighed and item.std is None)}
    return {name: replace(item, unit=units[name]) for name, item in found.items() if item and name not in held}


def _sizes(fit: Refinement, phase: Phase) -> dict[str, Estimate]:
    """Crystallite sizes (Scherrer, K 0.9 on FWHM) along c and across it, and their geometric volume mean."""
    across, along = (fit.parameter("inverse_size", phase.id, axis) for axis in "ac")
    out = {} if along is None else {"c_axis": _reciprocal(along)}
    if along is not None and across is not None:
        out["a_axis"] = _reciprocal(across)
    along = along or across
    if across is not None and along is not None and across.value > 0 and along.value > 0:
        mean = float(np.cbrt(across.value**2 * along.value))
        relative = [(e.std or 0.0) / e.value for e in (across, along)]
        std = float(np.hypot(2.0 / 3.0 * relative[0], relative[1] / 3.0) * mean)
        out["volume_mean"] = _reciprocal(Estimate(value=mean, std=std))
    return out


def _reciprocal(inverse: Estimate) -> Estimate:
    """Size (nm) from inverse size; the interval is transformed end by end, at most 10 µm.

    Where reflections show no broadening the size has no upper end: its standard deviation is then the interval's.
    """
    least = 1e-4  # 1/nm
    value, half = max(inverse.value, least), 1.96 * (inverse.std or 0.0)
    size, low, high = 1.0 / value, 1.0 / (value + half), 1.0 / max(value - half, least)
    std = min((inverse.std or 0.0) / value**2, (high - low) / 3.92)
    return Estimate(value=size, std=float(std), ci95=(min(low, size), max(high, size)), unit="nm")


def absent_phase(fit: Refinement, score: Score, told: Findings) -> PhaseResult:
    """Report a phase that was not accepted, with the fraction that would have been seen.

    Significant but not accepted means inconclusive, unless reflections that should show at that amount are missing:
    then the signal belongs to something else. A phase that the pattern could show at no amount is inconclusive too, and
    its evidence says that it was not tested.
    """
    phase, rule, total = score.phase, told.rule, _total(fit, told)
    significant, limit = score.z > rule.threshold, _limit(fit, score, told)
    unclear = significant and not score.reflections_refute and not score.contradicted
    fraction, basis = None, ""
    reason = f"{score.reflections_seen} of {score.reflections_expected} expected reflections appear"
    reason += ", not in the ratio of this phase" if not score.in_ratio else ""
    reason += ", and strong ones are missing" if score.contradicted else ""
    if phase.id in told.refused:
        reason = told.refused[phase.id]
    unseen = "the pattern could not show any amount of it"
    unseen = unseen if fit.quality == "describes" else "the fit does not describe the pattern"
    most = None
    if fit.quality != "useless" and phase.id in told.room:
        most = min(told.room[phase.id] / total, limit or 1.0)
        unseen += f"; the intensity that no phase explains allows at most {100.0 * most:.2g} wt% of it"
    if not phase.quantifiable:
        basis = "reflection positions only; intensity per gram assumed as in a similar compound"
    elif unclear:
        share = float(np.clip(score.amount / total, 0.0, 1.0))
        fraction = Estimate.normal(share, min(float(score.std / total), _UNKNOWN_STD), low=0.0, high=1.0)
    evidence = DetectionEvidence(
        z=score.z,
        rule=rule,
        fitted=False,
        reflections_expected=score.reflections_expected,
        reflections_seen=score.reflections_seen,
        template_size_nm=score.size_nm,
        reason=reason if significant else unseen if limit is None else "",
        limit_basis=basis,
        tested=unclear or limit is not None,
        most=most,
    )
    decision: Decision = "inconclusive" if unclear or limit is None else "not_detected"
    return _result(phase, decision, evidence, detection_limit=limit, weight_fraction=fraction)


def other_member(fitted: Phase, other: Phase, told: Findings) -> PhaseResult:
    """Report another member of the apatite family beside the fitted one: excluded by cell or intensities, or open."""
    member = told.members[other.id]
    if member.excluded_as_main:
        cell_off = f"its cell differs by {100 * member.cell_difference:.2f} % from the refined one"
        why = cell_off if member.cell_difference > _CELL_RULED_OUT else "its intensities differ from the observed ones"
        reason = f"not the main apatite, because {why}; the reflections of {fitted.id} would hide a small amount of it"
    else:
        coincide = f"its reflections coincide with those of {fitted.id}"
        if member.probability is not None and member.probability < UNLIKELY_MEMBER:
            reason = f"probably not the main apatite, by cell and intensities, but {coincide}"
        else:
            reason = f"apatite whose member of the family is not determined, because {coincide}"
        reason += ", and it describes cell and intensities better" if member.fits_better else ""
    evidence = DetectionEvidence(rule=told.rule, reason=reason, fitted=False, member=member)
    return _result(other, "inconclusive", evidence, detection_limit=None)


def member_comparisons(fit: Refinement, members: Sequence[Phase]) -> dict[str, MemberComparison]:
    """Compare the members of the apatite family, by id, as the main apatite of a fit; empty where it has none.

    ln L = −Δχ²/(2 κ) − χ²_cell/2. Δχ² is what χ² is larger by than with the best member, each fitted in the place of
    the one found; κ the misfit that is left times `_MEMBER_SCATTER`: real crystals differ from every tabulated
    structure by vacancies, substitutions and grains. χ²_cell is the squared distance of a and c from the range that
    the member can have, in standard deviations of the cell found. End members have even prior odds; each is as likely
    as the best of its structures, among which it is shared by their likelihoods. So has an apatite of other elements
    (strontium, lead, silicate), which has any cell, and intensities like the best: what it takes is missing in the sum.
    """
    fitted = next((phase for phase in fit.phases if phase.is_apatite), None)
    if fitted is None:
        return {}
    cell, optics = _cell(fit, fitted), 0.0 if fit.instrument.calibrated else OPTICS_CELL_STD
    away, distances = dict[str, float](), dict[str, float]()
    for phase in members:
        change = {k: cell[k].value / getattr(phase.cell, k) - 1.0 for k in ("a", "c") if k in cell}
        away[phase.id] = max(map(abs, change.values()), default=0.0)
        distance = 0.0
        for axis, value in change.items():
            low, high = phase.cell_tolerance.get(axis, (-_CELL_RULED_OUT, _CELL_RULED_OUT))
            std = max(float(np.hypot((cell[axis].std or 0.0) / cell[axis].value, optics)), 1e-9)
            distance += (max(low - value, value - high, 0.0) / std) ** 2
        distances[phase.id] = distance
    # a cell far off decides alone
    near = [p for p in members if away[p.id] <= _CELL_RULED_OUT or distances[p.id] <= _FAR_FROM_CELL]
    own, *others = _in_place(fit, fitted, [p for p in near if p is not fitted])
    trials = {fitted.id: own, **dict(zip((p.id for p in near if p is not fitted), others, strict=True))}
    log, verdict, foreign = dict[str, float](), dict[str, int](), -np.inf
    for phase in members:
        distance, trial = distances[phase.id], trials.get(phase.id, own)
        if phase is fitted:
            verdict[phase.id] = 0
        else:
            verdict[phase.id] = _verdict(fitted, phase, own, trial) if away[phase.id] <= _CELL_RULED_OUT else -1
        scatter = _MEMBER_SCATTER * min(own.inflation, trial.inflation)
        log[phase.id] = -0.5 * (trial.cost - own.cost) / scatter - 0.5 * distance
        foreign = max(foreign, log[phase.id] + 0.5 * distance - 0.5 * _FAR_FROM_CELL)
    groups: dict[str, list[str]] = {}
    for phase in members:
        groups.setdefault(phase.facts.end_member or phase.id, []).append(phase.id)
    top = max(*log.values(), foreign)
    likelihood = {name: float(np.exp(value - top)) for name, value in log.items()}
    best = {group: max(likelihood[name] for name in names) for group, names in groups.items()}
    every, out = sum(best.values()) + float(np.exp(foreign - top)), dict[str, MemberComparison]()
    for group, names in groups.items():
        within = sum(likelihood[name] for name in names) or 1.0
        for name in names:
            out[name] = MemberComparison(
                cell_difference=float(away[name]),
                fits_better=verdict[name] > 0 and away[name] <= away[fitted.id],
                excluded_as_main=verdict[name] < 0,
                probability=best[group] / every * likelihood[name] / within,
            )
    return out


def compare_intensities(fit: Refinement, fitted: Phase, other: Phase) -> int:
    """Tell whether another member in the place of the fitted one describes the pattern better (1) or worse (-1).

    Both are fitted at the place of the reflections that were found, so that only intensities count (the cell is judged
    by itself). The answer is decisive where χ² differs by a factor of 1.2 and by 40 in units of the misfit that is
    left; 0 where it is not, or where both are hydroxyapatite.
    """
    own, trial = _in_place(fit, fitted, [other])
    return _verdict(fitted, other, own, trial)


def _in_place(fit: Refinement, fitted: Phase, others: Sequence[Phase]) -> list[Substitution]:
    """Fits of the apatite that was found and of others in its place, as exactly as intensities decide."""
    most = 2.0 * _MEMBER_SCATTER * _LOST
    options = {"tolerance": _INTENSITY_TOLERANCE, "per_fwhm": _INTENSITY_POINTS, "most": most}
    return fit.substitutes(fitted, [fitted, *others], **options)


def _verdict(fitted: Phase, other: Phase, own: Substitution, trial: Substitution) -> int:
    # structures of hydroxyapatite with more or less calcium are one member, which preparations differ in
    if fitted.facts.end_member == other.facts.end_member == "hydroxyapatite":
        return 0
    low, high = sorted((own, trial), key=lambda item: item.cost)
    excess = high.cost - low.cost
    if high.cost < _INTENSITY_RATIO * low.cost or excess < _INTENSITY_EXCESS * low.inflation:
        return 0
    return 1 if low is trial else -1


# ---- messages


def search_messages(
    reports: Sequence[PhaseResult],
    peaks: tuple[UnexplainedPeak, ...],
    *,
    searched: bool = True,
    metal: Metal | None = None,
) -> tuple[Diagnostic, ...]:
    """Name peaks that no phase explains, and phases neither shown nor excluded, of a search or a fit of named phases.

    `searched` says whether the library was searched; some of the peaks may be those of a `metal`.
    """
    out = []
    if metal is not None:
        angles = ", ".join(f"{angle:.2f}°" for angle in metal.two_theta)
        text = f"Peaks at {angles} lie at the reflections of {metal.name}; a sample holder or another part is in the "
        text += f"beam, or the metal is in the specimen. {METAL_LINES.remedy}"
        out.append(METAL_LINES(text, metal=metal.name, share=metal.share))
    if peaks:
        listed = "; ".join(str(peak) for peak in peaks[:5])
        whose = "outside the library (add its CIF to the phases)"
        whose = whose if searched else "of the library, which was not searched (identification.search)"
        text = f"{len(peaks)} peak(s) belong to no phase of the fit: {listed}."
        text += f" Check for sample-holder lines, a contamination, or a phase {whose}."
        out.append(UNEXPLAINED_PEAKS(text, count=len(peaks), strongest_d=peaks[0].d_spacing))
    undecided = [r for r in reports if r.undecided and not r.is_apatite]
    if undecided:
        names = ", ".join(r.name for r in undecided)
        unseen = "named for the fit, but its reflections do not appear"
        told = [f"{r.name}: {r.evidence.reason or unseen}" for r in undecided if r.evidence.fitted]
        why = ""
        if len(told) < len(undecided):
            why = "Only some of the expected reflections appear, or their ratio is wrong. "
        why += "".join(f"{text[0].upper()}{text[1:]}. " for text in told if text)
        text = f"Neither shown nor excluded: {names}. {why}Count longer or look at the listed reflections."
        out.append(PHASE_INCONCLUSIVE(text))
    return tuple(out)


def late_start(fit: FitResult | None, phases: Sequence[PhaseResult]) -> tuple[Diagnostic, ...]:
    """Name phases that have lost their strongest reflections, and amorphous scattering that is cut, in a late scan.

    A fitted range is late that begins at 20° of copper Kα or more, or at the same spacing of another radiation; of the
    phases that were asked after and not found only those of the library are named.
    """
    if fit is None:
        return ()
    begin = float(fit.two_theta[0])
    seen = fit.wavelengths[0] / 2.0 / float(np.sin(np.radians(begin / 2.0)))
    if seen > _LARGEST_SPACING:
        return ()
    lost = []
    for phase in (p for p in phases if p.decision != "detected" and p.id in list_phases()):
        strong = (r for r in phase_info(phase.id).strongest_lines if r.relative_intensity >= _INDISPENSABLE)
        lost += [phase.name] if any(line.d_spacing > seen for line in strong) else []
    better = 2.0 * float(np.degrees(np.arcsin(fit.wavelengths[0] / 2.0 / 9.0)))
    named = f" Strong reflections of {', '.join(lost)} are outside; decisions on them rest on weaker ones."
    named = named if lost else ""
    text = (
        f"The pattern is used from {begin:.1f}° on (spacings below {seen:.2f} Å); the rising side of the organic "
        "scattering is cut off, so that only its falling side distinguishes it from background and water."
        f"{named} Start the scan at {better:.0f}° or below."
    )
    return (STARTS_LATE(text, from_two_theta=begin, largest_d=seen, phases=len(lost)),)
