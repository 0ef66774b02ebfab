"""Composition of one specimen from a diffraction fit, a thermal balance, or both.

`compose` takes the evidence of the two instruments, samples the joint posterior and reports it: central values and
intervals of components and sums (`interval_of` is their one rule), wet and dry, and the share of every input in the
variances. `weigh_phases` and `without_standard` bring the fractions of single phases into line with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from xrdcomp.composition import priors
from xrdcomp.composition.evidence import (
    AMORPHOUS,
    CARBONATE,
    ORGANIC,
    OTHER,
    PARTS,
    UNSEEN,
    WATER,
    H,
    InternalStandard,
    ThermalEvidence,
    XrdEvidence,
    reduce_xrd,
    shows_something,
    thermal_evidence,
)
from xrdcomp.composition.model import MINERAL, JointModel, Reading, build_model, reported, widened
from xrdcomp.composition.sampler import Optimum, Posterior, best_fit, free_scale, sample_mixture
from xrdcomp.data import Diagnostic, frozen_array, message_kind
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import CompositionRecipe
from xrdcomp.refinement.result import describes_pattern
from xrdcomp.results import (
    COMPONENTS,
    UNIDENTIFIED,
    AmorphousExcess,
    Composition,
    Consistency,
    Estimate,
    FitResult,
    MineralBalance,
    PhaseResult,
    ScaleDifference,
    StandardShare,
    TgaResult,
    XrdAmounts,
)
from xrdcomp.units import CO2_PER_CARBONATE, FloatArray

XRD_NOT_USED = message_kind(
    "XRD_NOT_USED", "warning",
    "The pattern was not used, because it shows none of the phases searched for and no amorphous scattering, or "
    "because another radiation, axis or slit explains it.",
    remedy="Measure longer, look at the unexplained peaks, check the radiation, add phases.",
    threshold="nothing detected and the sum of all amounts below 2 standard uncertainties",
    origin="an empty holder has no composition",
)  # fmt: skip
TGA_NOT_USED = message_kind(
    "TGA_NOT_USED", "warning",
    "The run was not used, because its losses could not be assigned to water, organic matter and carbonate.",
    remedy="Check range and atmosphere of the run, or set the windows in the recipe.",
)  # fmt: skip
ORGANIC_OPEN = message_kind(
    "FUSION_ORGANIC_OPEN", "info",
    "A loss is assigned to organic matter by its temperatures alone; the interval includes the alternatives.",
    remedy='Measure a diffraction pattern, or set specimen.kind = "tissue" if it is tissue.',
    threshold="organic matter below 8 % of the dry specimen; narrow losses; in an inert gas a residue of up to 30 % "
    "and no peak of CO2",
    origin="sepiolite, zeolites and cement by published steps; epoxy, poly(vinyl chloride) and chitin with their char",
)  # fmt: skip
CRYSTAL_WATER_OPEN = message_kind(
    "FUSION_CRYSTAL_WATER_OPEN", "warning",
    "Part of the water is lost in one narrow reaction: crystal water, water and CO2 of a hydrogencarbonate, or a "
    "liquid that evaporates. The interval of the water is extended downwards by it, those of mineral and organic "
    "matter upwards.",
    remedy="Measure a diffraction pattern, which shows the crystals.",
    threshold="1 % above the minima beside it, half of it within 18 °C at 150 °C (proportional to T² at other "
    "temperatures), 110 to 215 °C at 10 K/min",
    origin="gypsum, brushite, newberyite, whewellite, hydrogencarbonates by published kinetics; simulated moisture",
)  # fmt: skip
TAKEN_FOR_TISSUE = message_kind(
    "SPECIMEN_TAKEN_FOR_TISSUE", "info",
    "A mineral of tissue was found, which is the only evidence that the amorphous matter is tissue. Values assume "
    "organic matter, water and amorphous mineral; intervals, standard uncertainties and claims allow for glass, silica "
    "and polymers as well.",
    remedy='Set specimen.kind = "tissue" for tissue, "unknown" for synthetic mixtures, rocks and soils, or measure '
    "thermogravimetry.",
)  # fmt: skip
SMALL_CRYSTALS = message_kind(
    "XRD_SMALL_CRYSTALS_OR_AMORPHOUS", "warning",
    "No phase was found, and no known amorphous scattering describes the broad maxima, which may be reflections of "
    "crystals of a few nanometres. The interval of the crystals extends to the whole specimen.",
    remedy="Name the phase (phases), or measure amorphous matter of this kind and pass fit.amorphous_patterns.",
    threshold="4 % of the intensity unexplained, beyond counting",
    origin="simulated glasses, polymers and tissues, measured obsidian and fulvic acid leave at most 3 %, oxides of "
    "2 nm 6 % and more",
)  # fmt: skip
STANDARD_UNSEEN = message_kind(
    "COMPOSITION_STANDARD_UNSEEN", "error",
    "The internal standard is not visible in the pattern, so that no amount can be referred to it.",
    remedy="Check its id and fraction, and that the pattern is that of the spiked powder.",
    threshold="amount below 2 standard uncertainties",
    origin="the amount of a one per cent spike is tens of standard uncertainties",
)  # fmt: skip

SUMS: Mapping[str, tuple[int, ...]] = {
    "total_mineral": (H, CARBONATE, AMORPHOUS, OTHER, UNSEEN),
    "calcium_phosphate": (H, AMORPHOUS),
    "crystalline": (H, OTHER, UNSEEN),
    "non_crystalline": (ORGANIC, WATER, CARBONATE, AMORPHOUS),
    "organic_and_water": (ORGANIC, WATER),
    "volatile": (ORGANIC, WATER),
}
"""Sums of components, by position in ``PARTS``; a composition without crystals of no phase lacks the last."""


# Fractions of single phases.


def weigh_phases(phases: Sequence[PhaseResult], composition: Composition) -> tuple[PhaseResult, ...]:
    """Give the phases that the composition counts their share of its crystalline part.

    w_j = f_j · C with f_j the fraction of the crystalline part and C the crystalline mass fraction (lattice
    carbonate included) that all instruments together determine; to first order
    σ_w² = C² σ_f² + f² σ_C². The fraction from the pattern alone is kept beside it. Beside crystals of no phase, whose
    mass is known to a factor of three, f_j is that of its own group instead, apatite or others, and C the group's; the
    fraction of the crystalline part is then what follows from both masses.

    Counted is what was found and, where the composition weighs crystals, apatite in doubt. Any other undecided phase
    has no weight, and the shares of the counted ones are those without it. Without a crystalline sum (one instrument
    that does not give it) the phases that were found keep the weight that the pattern alone gives them.
    """
    crystalline = composition.identifiable_sums.get("crystalline")
    if crystalline is not None and crystalline.std is None:
        crystalline = None
    doubtful = None if crystalline is None else "inconclusive"
    counted = [p.decision == "detected" or (p.decision == doubtful and p.is_apatite) for p in phases]
    left_out = [p.crystalline_weight_fraction for p, own in zip(phases, counted, strict=True) if not own]
    total = 1.0 - sum(share.value for share in left_out if share is not None)
    groups = _weighed_groups([p for p, own in zip(phases, counted, strict=True) if own], composition)
    out = []
    for phase, counts in zip(phases, counted, strict=True):
        share, alone = phase.crystalline_weight_fraction, phase.weight_fraction
        changes: dict[str, Estimate | None] = {}
        if not counts and phase.decision == "inconclusive" and (alone or share) is not None:
            alone = alone or phase.pattern_weight_fraction
            changes = {"weight_fraction": None, "crystalline_weight_fraction": None, "pattern_weight_fraction": alone}
        if counts and share is not None and 0.0 < total < 1.0 - 1e-9:
            value, std = share.value / total, (share.std or 0.0) / total
            only = 1.0 - value < 1e-9  # the one phase that counts: its share is one, whatever its amount
            counted_alone = Estimate.normal(1.0, 0.0) if only else Estimate.normal(value, std, low=0.0, high=1.0)
            # those that are undecided may be there all the same
            beside_them = replace(counted_alone, std=float(np.hypot(counted_alone.std or 0.0, value - share.value)))
            changes["crystalline_weight_fraction"] = beside_them.reaching(share.low, counted_alone.high)
            share = counted_alone
        if counts and crystalline is not None and share is not None and alone is not None:
            part, whole = groups.get(phase.id, (share, crystalline))
            weight = _part_of(part, whole)
            changes |= {"weight_fraction": weight, "pattern_weight_fraction": alone}
            if phase.id in groups and crystalline.value > 0.0:
                changes["crystalline_weight_fraction"] = _share_of(weight.value / crystalline.value, share)
        out.append(replace(phase, **changes))  # type: ignore[arg-type]  # fields by name
    return tuple(out)


_MOST_SPREAD = 2.0
"""Standard uncertainty of the logarithm of a ratio, up to which its interval is one of ratios."""


def _share_of(value: float, fitted: Estimate) -> Estimate:
    """Share of the crystals beside some of which the mass is known to a factor, as the composition weighs both.

    An error of the factor is symmetric in the logarithm of the ratio to the rest, of which the `fitted` share tells the
    standard uncertainty: the interval reaches neither nothing nor all.
    """
    value = min(max(value, 0.0), 1.0)
    there = fitted.value * (1.0 - fitted.value)
    if not (0.0 < value < 1.0 and there > 0.0 and fitted.std):
        return Estimate.normal(value, fitted.std or 0.0, low=0.0, high=1.0)
    spread = fitted.std / there
    if spread > _MOST_SPREAD:  # of a share that is nearly nothing or all of it
        return Estimate.normal(value, fitted.std, low=0.0, high=1.0)
    low, high = (value * f / (1.0 - value + value * f) for f in np.exp([-1.96 * spread, 1.96 * spread]))
    return Estimate(value=value, std=value * (1.0 - value) * spread, ci95=(float(low), float(high)))


def _part_of(share: Estimate, whole: Estimate) -> Estimate:
    """Mass of a share of what is known with an interval that need not be symmetric."""
    value, own_std = share.value * whole.value, share.std or 0.0
    std = float(np.hypot(whole.value * own_std, share.value * (whole.std or 0.0)))
    ends = (whole.value - whole.low, whole.high - whole.value)
    down, up = (float(np.hypot(1.96 * whole.value * own_std, share.value * distance)) for distance in ends)
    return Estimate(value=value, std=std, ci95=(max(value - down, 0.0), min(value + up, 1.0)))


def _weighed_groups(counted: Sequence[PhaseResult], composition: Composition) -> dict[str, tuple[Estimate, Estimate]]:
    """Share of each phase in its group, and the group's mass with its CO3, where crystals of no phase are weighed.

    A share within the group does not hold what is uncertain of the others; its uncertainty is that of the rest of its
    group, at most what the phase's share of all crystals has.
    """
    unknown, crystalline = composition.components.get(UNIDENTIFIED), composition.identifiable_sums.get("crystalline")
    if unknown is None or crystalline is None:
        return {}
    out = {}
    for name, kind in ((COMPONENTS[H], True), (COMPONENTS[OTHER], False)):
        own = {p.id: p.crystalline_weight_fraction for p in counted if p.is_apatite is kind and not p.internal_standard}
        group = {key: share for key, share in own.items() if share is not None}
        mass, shares = composition.components.get(name), {key: share.value for key, share in group.items()}
        total = sum(shares.values())
        if mass is None or total <= 0.0:
            continue
        # CO3 that is counted with carbonate: of the minerals by their formulae, of the lattice what crystals have more
        bare = sum(shares[p.id] * (1.0 - p.facts.carbonate_fraction) for p in counted if p.id in shares) / total
        factor = 1.0 / bare
        if kind:
            parts = (composition.components.get(item) for item in (COMPONENTS[OTHER], UNIDENTIFIED))
            left = crystalline.value - sum(part.value for part in parts if part is not None)
            factor = float(np.clip(left / max(mass.value, 1e-9), 1.0, 1.2))
        whole = Estimate(
            value=min(mass.value * factor, 1.0), std=(mass.std or 0.0) * factor,
            ci95=(min(mass.low * factor, 1.0), min(mass.high * factor, 1.0)),
        )  # fmt: skip
        for key, share in group.items():
            own_std = 0.0 if len(group) == 1 else (share.std or 0.0) * (1.0 - share.value / total)
            out[key] = Estimate.normal(share.value / total, own_std), whole
    return out


def without_standard(found: tuple[PhaseResult, ...], standard: tuple[str, float] | None) -> tuple[PhaseResult, ...]:
    """Fractions and limits of the original specimen: what was measured of the spiked powder, over 1 - s.

    `standard` is the phase id and its fraction s of the spiked mass. Shares of the crystalline part are f/(f+g), g what
    the other phases of the specimen share; f and g are taken as independent. The standard itself keeps its share of the
    spiked powder and has none of the specimen.
    """
    if standard is None:
        return found
    name, spiked = standard
    own = {p.id: p.crystalline_weight_fraction for p in found if p.id != name and p.crystalline_weight_fraction}
    total = sum(share.value for share in own.values())
    spike = next((p.crystalline_weight_fraction for p in found if p.id == name), None)
    everything = total + (spike.value if spike is not None else 0.0)
    total += max(1.0 - everything, 0.0)  # crystals of no phase
    out = []
    for phase in found:
        if phase.id == name:
            out.append(replace(phase, weight_fraction=None, internal_standard=True))
            continue
        limit, share, whole = phase.detection_limit, own.get(phase.id), phase.weight_fraction
        limit = None if limit is None else min(1.0, limit / (1.0 - spiked))
        if share is not None and total > 0.0:
            rest = sum((other.std or 0.0) ** 2 for key, other in own.items() if key != phase.id) ** 0.5
            std = float(np.hypot((total - share.value) * (share.std or 0.0), share.value * rest)) / total**2
            share = Estimate.normal(share.value / total, std, low=0.0, high=1.0)
        if whole is not None:
            value, std = whole.value / (1.0 - spiked), (whole.std or 0.0) / (1.0 - spiked)
            whole = Estimate.normal(value, std, low=0.0, high=1.0)
        out.append(replace(phase, detection_limit=limit, weight_fraction=whole, crystalline_weight_fraction=share))
    return tuple(out)


# From draws to what is reported: central values and intervals of components and sums, wet and dry.

_SPLITS = 21
"""Intervals of one probability that are compared, from the lowest to the highest."""
_ROUNDING = 1e-12
_LONGER = 0.02
"""Relative excess of length over the shortest interval's with which one counts 1/e: larger ones come nearer to equal
tails, and ends scatter less (to half as much where the shortest of 2 000 draws is picked from a gamma distribution)."""
_BESIDE_BOUND = (2.5, 3.5)
"""Standard deviations from 0 or 1 between which an interval goes over from one of a bound to one with equal tails."""
_AT_ZERO, _NEAR_ZERO = 0.1, 0.002
"""Twice the share of its width, and mass fraction, within which an interval's lower end counts as being at 0."""
_BOTH_AT_THEIR_ENDS = 0.68
"""Share of the probability within which a sum is taken where one of its parts is taken at its own end: one standard
uncertainty beside two, 0.4 % where the two are independent."""
_BARELY = 0.25
"""Share of the probability at which a case counts in full from which on it counts at all."""


def interval_from_draws(
    draws: FloatArray, probability: float = 0.95, *, equal_tails: bool = False
) -> tuple[float, float]:
    """Interval of a fraction that holds `probability` of its draws, (n,) within [0, 1].

    The mean of all that hold it, each with a weight that falls with its length, so that neither noise nor a threshold
    decides: nearly equal-tailed where draws are symmetric, nearly the shortest where they are skewed or lie beside 0 or
    1, which it can reach (a lower end beside 0 comes to it). Where `equal_tails` are asked for it has them, but for
    three standard deviations beside 0 or 1.

    Where it is open whether the component is there at all, the interval is that of the draws with it: over both cases
    it would be short because of their assumed odds. The more of the draws are without it, the nearer its lower end
    comes to 0, which it reaches where ``1 - probability`` are (from a quarter of that on, in the logarithm, so that no
    end jumps); where as few are with it the upper end comes down alike. The same holds for what may be all there is.
    """
    return _interval(np.sort(draws), probability, equal_tails=equal_tails)


def _interval(ordered: FloatArray, probability: float, *, equal_tails: bool = False) -> tuple[float, float]:
    """`interval_from_draws` of draws in ascending order."""
    n = len(ordered)
    first, last = np.searchsorted(ordered, 0.0, side="right"), np.searchsorted(ordered, 1.0 - _ROUNDING)
    part, none, whole = ordered[first:last], float(first / n), float(1.0 - last / n)
    credible, there = 1.0 - probability, len(part) / n
    if there <= _BARELY * credible:
        return (1.0, 1.0) if whole > 0.5 else (0.0, 0.0)
    mean, std = float(part.mean()), float(part.std())
    # candidates: all the intervals between two quantiles that hold the probability, each known by its lower tail
    tails = _tails(credible)
    lower, upper = _quantiles(part, np.concatenate([tails, probability + tails])).reshape(2, -1)
    lower[0], upper[-1] = 0.0, 1.0
    width = upper - lower
    least = float(width.min())
    weight = np.exp((least - width) / (_LONGER * max(least, _ROUNDING)))
    tail = float(weight @ tails) / float(weight.sum())
    beside_zero, beside_one = _beside_bound(mean, std), _beside_bound(1.0 - mean, std)
    if equal_tails:
        tail += (0.5 * credible - tail) * (1.0 - max(beside_zero, beside_one))
    low, high = (float(np.interp(tail, tails, ends)) for ends in (lower, upper))
    # the bound alone keeps draws off it: half as near it is reached, and evenly
    low -= beside_zero * min(low, max(min(_AT_ZERO * (high - low), _NEAR_ZERO) - low, 0.0))
    low *= 1.0 - _part_way(none, credible)
    high += (1.0 - high) * _part_way(whole, credible)
    if whole <= none:
        return low, high * _part_way(there, credible)
    return 1.0 - (1.0 - low) * _part_way(there, credible), high


@lru_cache(maxsize=8)
def _tails(credible: float) -> FloatArray:
    """Probabilities below the lower end of the intervals that are compared."""
    tails = np.linspace(0.0, credible, _SPLITS)
    tails.flags.writeable = False
    return tails


def _beside_bound(distance: float, std: float) -> float:
    """From 1 where a bound is so near that it counts to 0 where it is so far that it does not, linear between."""
    near, far = (std * z for z in _BESIDE_BOUND)
    return 0.0 if distance >= far else 1.0 if distance <= near else 1.0 - (distance - near) / (far - near)


def _part_way(probability: float, full: float) -> float:
    """From 0 at a quarter of `full` to 1 at `full` and beyond, linear in the logarithm of a probability."""
    return min(max(1.0 - math.log(max(probability, 1e-300) / full) / math.log(_BARELY), 0.0), 1.0)


def _quantiles(ordered: FloatArray, at: FloatArray) -> FloatArray:
    """Quantiles of values in ascending order, linear between neighbours."""
    place = at * (len(ordered) - 1)
    below = np.clip(place.astype(np.intp), 0, max(len(ordered) - 2, 0))
    above = np.minimum(below + 1, len(ordered) - 1)
    found: FloatArray = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return found


def _open_to_nothing(draws: FloatArray, probability: float) -> float:
    """How near the interval of a component comes to 0, from 0 where it is equal-tailed (within a fifth) to 1 at 0."""
    ordered = np.sort(draws)
    part = ordered[np.searchsorted(ordered, 0.0, side="right") :]
    end = float(_quantiles(part, np.array(0.5 * (1.0 - probability)))) if len(part) else 0.0
    if end <= 0.0:
        return 1.0
    return min(max(1.0 - _interval(ordered, probability)[0] / (0.8 * end), 0.0), 1.0)


def interval_of(
    draws: FloatArray,
    parts: Sequence[int],
    probability: float = 0.95,
    *,
    held: FloatArray | float = 0.0,
    told_apart: bool = True,
    known: dict[int, float] | None = None,
) -> tuple[float, float]:
    """Interval of a component or of a sum of components (positions `parts`) from draws (n, 6 or 7): one rule for both.

    The interval of the quantity's own draws (`interval_from_draws`), and as far as the split of the mineral allows
    beyond it. Crystals and amorphous mineral are told apart less well than their sum is known, so a quantity that
    holds one of the two is held against the other: where the interval of the part it lacks reaches 0, all of that
    part may belong to it, and the upper end is at least that of the two together; where the interval of the part it
    holds reaches 0, the lower end is at most that of what is left without. These are ends of two thirds of the
    probability, because a part at its end and a sum at its end together are far less likely than either.

    Such a quantity's own interval has equal tails: beside amorphous mineral that may be absent, crystals have a narrow
    peak at their upper end, and the shortest interval would leave out nothing there but twice as much of the long tail
    below, in which specimens lie that hold some.

    `held` (n,) is added to the sum: carbonate that weighs with the crystals, or the negative of it. `told_apart` says
    whether both crystals and amorphous mineral are reported; where not, the split is the prior's, which is no evidence
    that one is absent, and the interval is that of the quantity's own draws. `known` keeps how near crystals and
    amorphous mineral come to 0 between quantities of the same draws.
    """
    known = {} if known is None else known

    def open_to_nothing(part: int) -> float:
        if part not in known:
            known[part] = _open_to_nothing(draws[:, part], probability)
        return known[part]

    def total(of: Sequence[int]) -> FloatArray:
        return _total(draws, of, held)

    if not told_apart or (H in parts) == (AMORPHOUS in parts):
        return interval_from_draws(total(parts), probability)
    low, high = interval_from_draws(total(parts), probability, equal_tails=True)
    narrower = _BOTH_AT_THEIR_ENDS * probability
    own, other = (H, AMORPHOUS) if H in parts else (AMORPHOUS, H)
    if (share := open_to_nothing(other)) > 0.0:
        high += share * max(interval_from_draws(total((*parts, other)), narrower)[1] - high, 0.0)
    if (share := open_to_nothing(own)) > 0.0:
        without = total([part for part in parts if part != own])
        low -= share * max(low - interval_from_draws(without, narrower)[0], 0.0)
    return low, high


def _total(draws: FloatArray, parts: Sequence[int], held: FloatArray | float) -> FloatArray:
    """Sum (n,) of those of the parts that draws (n, 6 or 7) have, and of what is held besides, within [0, 1]."""
    total = np.zeros(len(draws))
    for part in parts:
        if part < draws.shape[1]:
            total += draws[:, part]
    total += held
    return np.clip(total, 0.0, 1.0, out=total)


def estimates_of(
    draws: FloatArray,
    quantities: Mapping[str, Sequence[int]],
    *,
    held: Mapping[str, FloatArray] | None = None,
    told_apart: bool = True,
) -> dict[str, Estimate]:
    """Mean, standard deviation and 95 % interval of components and sums, by name.

    Arguments are those of `interval_of`, `held` by name. The interval always contains the mean; a constant has no
    width.
    """
    draws = np.asfortranarray(draws)  # one component after another, as they are used
    found, known = dict[str, Estimate](), dict[int, float]()
    for name, parts in quantities.items():
        beside = 0.0 if held is None else held.get(name, 0.0)
        total = _total(draws, parts, beside)
        mean, std = float(np.clip(total.mean(), 0.0, 1.0)), float(total.std())
        low = high = mean
        if std < _ROUNDING:
            std = 0.0
        else:
            low, high = interval_of(draws, parts, held=beside, told_apart=told_apart, known=known)
        found[name] = Estimate(value=mean, std=std, ci95=(min(low, mean), max(high, mean)))
    return found


def _solid(draws: FloatArray) -> FloatArray:
    """Mass fraction (n,) of what is not water."""
    return np.maximum(1.0 - draws[:, WATER], 1e-9)


def to_dry(draws: FloatArray) -> FloatArray:
    """Fractions of the dry mass from those as received, (n, 6 or 7): every component over 1 - water, and water 0."""
    dry = draws / _solid(draws)[:, None]
    dry[:, WATER] = 0.0
    out: FloatArray = dry / dry.sum(axis=1, keepdims=True)
    return out


# Readings of the amorphous matter.


def _mixed(readings: Sequence[Reading], seed: int) -> FloatArray:
    """Draws (n, 6 or 7) of which each reading has its share."""
    if len(readings) == 1:
        return readings[0].compositions
    draws = readings[0].compositions.copy()
    ends = np.round(np.cumsum([each.probability for each in readings]) * len(draws)).astype(int)
    order = np.random.default_rng(seed).permutation(len(draws))
    for i, each in enumerate(readings[1:], start=1):
        chosen = order[ends[i - 1] : ends[i]]
        draws[chosen] = each.compositions[chosen]
    return draws


def _over_readings(found: Sequence[Mapping[str, Estimate]], readings: Sequence[Reading]) -> dict[str, Estimate]:
    """Estimates of the first reading with the intervals of all, and at least the standard deviation about its value.

    A mean over readings would be the value of none of them, and one interval of all of them together would be short
    because of the odds assumed before measuring.
    """
    out = dict(found[0])
    for name, first in found[0].items() if len(found) > 1 else ():
        each = [item[name] for item in found]
        variance = sum(
            reading.probability * ((item.std or 0.0) ** 2 + (item.value - first.value) ** 2)
            for item, reading in zip(each, readings, strict=True)
        )
        reached = first.reaching(min(item.low for item in each), max(item.high for item in each))
        out[name] = replace(reached, std=max(math.sqrt(variance), first.std or 0.0))
    return out


def _with_kind(
    budget: dict[str, dict[str, float]], first: FloatArray, mixed: FloatArray
) -> dict[str, dict[str, float]]:
    """Shares of variances with what all readings (draws `mixed`) add to those of the first one."""
    out = {}
    for i, (name, shares) in enumerate(budget.items()):
        one, every = float(first[:, i].var()), float(mixed[:, i].var())
        own = one / every if every > one else 1.0
        out[name] = {key: share * own for key, share in shares.items()} | {priors.GLASS_RESPONSE.input: 1.0 - own}
    return out


# Where the uncertainty comes from.

_FLAT_STD = 0.14
"""Standard deviation of a component under the flat prior on the simplex of six parts: √(5/36/7)."""
_SPLIT_STD = 0.3
"""The same for a part of the mineral, relative to the mineral: no part exceeds the whole."""


def variance_shares(model: JointModel, composition: FloatArray, constants: FloatArray) -> dict[str, dict[str, float]]:
    """Share of every input in the variance of each component: component -> input -> share, sum 1.

    The joint model is linearised at composition (7,) and constants (p,), usually the posterior mean. For weighted least
    squares with independent inputs j of covariance Σ_j the estimate's covariance is Σ_j G Σ_j Gᵀ with
    G = (JᵀWJ)⁻¹JᵀW (law of total variance): each input's term is its share. ``prior`` is what rests on fractions being
    positive and taken as equally likely.
    """
    n_parts = len(PARTS) - (UNSEEN in model.absent)
    n_free, p, m = n_parts - 1, len(constants), len(model.values)
    # derivative of the prediction by all components but the last, which is the rest, and by the constants
    step = 1e-6
    points = np.vstack([constants, constants + step * np.eye(p), constants - step * np.eye(p)])
    matrix, offset = model.design(points)
    predicted = matrix @ composition + offset
    by_constant = (predicted[1 : p + 1] - predicted[p + 1 :]) / (2 * step)
    jacobian = np.concatenate([matrix[0][:, :n_free] - matrix[0][:, [n_free]], by_constant.T], axis=1)
    # priors count as observations: row of the Jacobian, standard deviation, input of the budget
    unit = np.eye(n_free + p)
    assumed = [(unit[n_free + i], item.std, item.input) for i, item in enumerate(model.priors) if np.isfinite(item.std)]
    if model.carbonate_is_assumed and model.xrd is not None:
        share = priors.ASSUMED_CARBONATE
        row = unit[CARBONATE] - share.mean * unit[[H, CARBONATE, AMORPHOUS]].sum(axis=0)
        mineral = max(model.xrd.row("apatite") + model.xrd.row("amorphous_mineral"), priors.MINERAL_FLOOR)
        assumed.append((row, share.std * mineral, share.input))
    # the flat prior as a normal of the same width for each component; what was not found has its limit instead
    mineral = max(float(composition[list(MINERAL)].sum()), priors.MINERAL_FLOOR)
    hidden = model.xrd.hidden if model.xrd is not None else {}
    for index in range(n_parts):
        row = unit[index] if index < n_free else -unit[:n_free].sum(axis=0)
        width, name = _FLAT_STD, "prior"
        if index in model.absent:
            width, name = max(hidden.get(index, 0.0), 1e-6), "detection_limit"
        elif index in MINERAL:
            width = min(_FLAT_STD, _SPLIT_STD * mineral)
        assumed.append((row, width, name))
    stds = np.array([std for _, std, _ in assumed])
    rows = np.concatenate([jacobian, [row for row, _, _ in assumed]])
    weight = np.zeros((len(rows), len(rows)))
    weight[:m, :m] = np.linalg.inv(model.covariance)
    tail = np.arange(m, len(rows))
    weight[tail, tail] = 1.0 / stds**2
    normal = rows.T @ weight @ rows + 1e-9 * np.eye(n_free + p)
    directions = np.concatenate([np.eye(n_free), -np.ones((1, n_free)), np.zeros((len(PARTS) - n_parts, n_free))])
    gain = reported(directions.T, model).T @ np.linalg.solve(normal, rows.T @ weight)[:n_free]
    variance: dict[str, FloatArray] = {
        name: np.einsum("ij,jk,ik->i", gain[:, :m], part, gain[:, :m]) for name, part in model.parts.items()
    }
    for (_, _, name), term in zip(assumed, ((gain[:, m:] * stds) ** 2).T, strict=True):
        variance[name] = variance.get(name, np.zeros(len(model.components))) + term
    variance = {name: np.maximum(part, 0.0) for name, part in variance.items()}
    total = np.maximum(np.sum(list(variance.values()), axis=0), 1e-300)
    return {
        component: {name: float(part[i] / total[i]) for name, part in variance.items()}
        for i, component in enumerate(model.components)
    }


# Composing.


def compose(  # noqa: PLR0913 - one keyword for each thing that is known besides
    fit: FitResult | None,
    phases: Sequence[PhaseResult] = (),
    tga: TgaResult | None = None,
    recipe: CompositionRecipe = CompositionRecipe(),  # noqa: B008 - a frozen struct
    *,
    kind: Literal["auto", "tissue", "unknown"] = "auto",
    internal_standard: InternalStandard | tuple[str, float] | None = None,
    known_scale: tuple[float, float] | None = None,
    unidentified: tuple[float, float] | None = None,
    other_optics: bool = False,
    metal_share: float = 0.0,
) -> Composition:
    """Composition as `xrdcomp.stages.compose` describes it, without the messages of the rules.

    `kind` is ``specimen.kind``; by itself a specimen is tissue where a biomineral was found. With `other_optics` the
    pattern does not count, because another radiation, axis or slit than that of the fit explains it. `metal_share` is
    the share of the unidentified crystals that may be a holder's metal, and no part of the specimen.

    Its `consistency` holds what the two instruments say of each other; the rules of `xrdcomp.checks.composition` turn
    that into messages. Of `fit` its `amounts` are used; of `phases` a phase that was not detected adds no mass.
    AnalysisError where there is nothing to compose, or the recipe asks for evidence that is missing.
    """
    messages: tuple[Diagnostic, ...] = ()
    thermal = None
    if tga is not None:
        thermal = thermal_evidence(tga)
        if thermal is None:
            text = (
                f"The losses of the thermal run (steps: {len(tga.steps)}) could not be assigned to water, organic "
                "matter and carbonate, so that the run was not used for the composition. Check the range and the "
                "atmosphere of the run, or set the windows in the recipe."
            )
            messages = (TGA_NOT_USED(text, steps=len(tga.steps)),)
    standard = internal_standard
    if isinstance(standard, tuple):
        standard = InternalStandard(id=standard[0], fraction=standard[1])
    amounts = fit.amounts if fit is not None else None
    if amounts is not None and standard is not None and standard.id in amounts.names:
        index = amounts.names.index(standard.id)
        if amounts.amounts[index] < 2.0 * np.sqrt(max(float(amounts.covariance[index, index]), 0.0)):
            text = (
                f"The internal standard {standard.id} is not visible in the pattern, although "
                f"{100 * standard.fraction:g} wt% were stated to be weighed in. Fractions are those of the measured "
                f"powder, without a standard. {STANDARD_UNSEEN.remedy}"
            )
            messages, standard = (*messages, STANDARD_UNSEEN(text, fraction=standard.fraction)), None
    useless = fit is not None and (other_optics or fit.quality == "useless")
    silent = unidentified is None and standard is None
    doubtful = False
    if fit is not None and fit.quality != "describes" and standard is None:
        # a few unknown peaks in a poor fit say nothing of the rest; where they are more than all other amounts, and
        # more than these are uncertain by, they do
        foreign = unidentified[0] if unidentified is not None else 0.0
        rest = float(np.maximum(fit.amounts.amounts, 0.0).sum())
        doubtful = foreign < max(rest, float(np.sqrt(max(fit.amounts.covariance.sum(), 0.0))))
    if amounts is not None and (useless or ((silent or doubtful) and not shows_something(amounts, phases))):
        text = (
            "The pattern shows none of the phases that were searched for beyond doubt, and no amorphous scattering "
            "above the background, so that it was not used for the composition. If this is not an empty "
            "holder, measure longer, look at the unexplained peaks, check the radiation, and add the phases that are "
            "there."
        )
        if other_optics:
            text = (
                "A radiation, axis or slit other than that of the fit explains the pattern; until it is stated, the "
                "pattern is not used for the composition."
            )
        nothing = XRD_NOT_USED(text)
        messages, amounts = (*messages, nothing), None
    if amounts is None and thermal is None and messages:
        # no step of the run or no part of the pattern is the tissue's: nothing is known
        method = "xrd" if fit is not None else "tga"
        return Composition(basis=recipe.basis, method=method, components=dict.fromkeys(COMPONENTS), messages=messages)
    crystals = any(phase.decision == "detected" for phase in phases)
    left_over = 0.0 if fit is None else float(np.sqrt(max(fit.rwp**2 - fit.rexp**2, 0.0)))
    alone = amounts is not None and thermal is None
    known = crystals or standard is not None or kind == "tissue"
    small_crystals = alone and not known and left_over > priors.SMALL_CRYSTALS_MISFIT
    messages += _on_small_crystals(left_over) if small_crystals and silent else ()
    if fit is not None and silent and not (crystals and describes_pattern(fit.gof, fit.rwp)):
        # Phases may hide in what a fit leaves: √(Rwp² - Rexp²) stands for one standard deviation of what may be there.
        # Crystals of a few nanometres that the library lacks have no peaks to be found by: where no phase was found,
        # any misfit may be theirs.
        least = min(left_over / priors.HIDDEN_PER_LIMIT, priors.LARGEST_LIMIT)
        phases = [
            replace(phase, detection_limit=max(phase.detection_limit or 0.0, least)) if phase.unseen else phase
            for phase in phases
        ]
    biomineral = amounts is not None and _holds_biomineral(amounts, phases)
    if thermal is not None:
        # what is known to be mineral of tissue holds carbonate, and so does a carbonate
        carbonate = any(p.decision == "detected" and p.facts.carbonate_fraction > 0.0 for p in phases)
        told = {"organic", "carbonate"} if kind == "tissue" or biomineral else {"carbonate"} if carbonate else set()
        thermal = replace(thermal, doubted=tuple(name for name in thermal.doubted if name not in told))
    found = compose_evidence(
        amounts, thermal, recipe, phases=phases, internal_standard=standard, known_scale=known_scale,
        unidentified=unidentified,
        lattice_carbonate=None if fit is None else _lattice_carbonate(fit, phases),
        surface=1.0 if fit is None else _apatite_surface(fit, phases),
        tissue=kind == "tissue" or (kind == "auto" and (thermal is not None or biomineral)),
        presumed=kind == "auto" and thermal is None,
        small_crystals=small_crystals,
        metal_share=metal_share,
    )  # fmt: skip
    stated = found.components.get("organic") or found.identifiable_sums.get("organic_and_water")
    if kind == "auto" and thermal is None and biomineral and stated is not None:
        minerals = ", ".join(phase.name for phase in phases if phase.facts.biomineral and phase.decision == "detected")
        text = f"{minerals or 'A mineral of tissue'} was found. Values therefore assume that the amorphous matter is "
        text += "that of tissue: organic matter, water and amorphous mineral. Intervals and claims allow for glass, "
        text += "silica and polymers as well, which X-rays alone do not distinguish from it. "
        text += TAKEN_FOR_TISSUE.remedy
        messages = (*messages, TAKEN_FOR_TISSUE(text))
    if tga is not None and thermal is not None and kind != "tissue":
        found = _with_silicates(found, tga, biomineral=biomineral, alone=fit is None)
        if fit is None:
            found, notes = _with_other_reading(found, tga)
            messages += notes
    return replace(found, messages=messages)


def _on_small_crystals(left_over: float) -> tuple[Diagnostic, ...]:
    """Message on broad maxima that may be crystals: `left_over` is the share of the intensity left by the fit."""
    text = (
        f"No phase was found, and amorphous scattering leaves {100 * left_over:.0f} % of the intensity unexplained. "
        "The broad maxima may be reflections of crystals of a few nanometres, so that the interval of the crystals "
        f"extends to the whole specimen. {SMALL_CRYSTALS.remedy}"
    )
    return (SMALL_CRYSTALS(text, left=left_over),)


def _with_other_reading(found: Composition, tga: TgaResult) -> tuple[Composition, tuple[Diagnostic, ...]]:
    """Organic matter down by what may be a mineral's water or a salt, up to all that is left where it may be char, and
    water down by what may be a mineral's, or a liquid that evaporates, which is organic matter.
    """
    reading = tga.open_reading
    less, more, dioxide = reading.organic_less, reading.organic_more, reading.carbonate_more
    organic, water = found.components.get("organic"), found.components.get("water")
    if organic is None:
        less = more = dioxide = 0.0
    crystal_water = reading.water_less if water is not None else 0.0
    if max(less, more, crystal_water) <= 0.0:
        return found, ()

    def widened(of: Mapping[str, Estimate | None], *, dry: bool) -> dict[str, Estimate | None]:
        solid = max(1.0 - (water.value if water is not None and dry else 0.0), 1e-6)
        out = dict(of)
        for name, down, up in (
            ("organic", less, more + crystal_water), ("total_mineral", more, less + crystal_water),
            ("water", crystal_water, 0.0),
        ):  # fmt: skip
            if (estimate := out.get(name)) is not None:
                low = max(estimate.low - down / solid, 0.0) if down > 0.0 else estimate.low
                out[name] = estimate.reaching(low, min(estimate.high + up / solid, 1.0))
        if dioxide > 0.0 and (estimate := out.get("carbonate")) is not None:
            high = estimate.high + dioxide / CO2_PER_CARBONATE / solid
            out["carbonate"] = estimate.reaching(estimate.low, min(high, 1.0))
        return out

    dry = found.basis == "dry"
    components = widened(found.components, dry=dry)
    sums = widened(found.identifiable_sums, dry=dry)
    notes: tuple[Diagnostic, ...] = ()
    if (reached := components["organic"]) is not None and max(less, more) > 0.0:
        text = f"The organic matter is assigned by thermogravimetry alone: {tga.nature_reason}. Its interval therefore "
        text += f"extends from {100 * reached.low:.1f} to {100 * reached.high:.1f} wt%. {ORGANIC_OPEN.remedy}"
        notes += (ORGANIC_OPEN(text, less=less, more=more),)
    if crystal_water > 0.0:
        text = f"{100 * crystal_water:.1f} wt% of the water are lost in one narrow reaction: crystal water, water and "
        text += f"CO2 of a hydrogencarbonate, or a liquid that evaporates. {CRYSTAL_WATER_OPEN.remedy}"
        notes += (CRYSTAL_WATER_OPEN(text, less=crystal_water),)
    widened_sums = {name: value for name, value in sums.items() if value is not None}
    other = widened(found.other_basis, dry=not dry)
    found = replace(found, components=components, identifiable_sums=widened_sums, other_basis=other)
    return found, notes


def _with_silicates(found: Composition, tga: TgaResult, *, biomineral: bool, alone: bool) -> Composition:
    """Carbonate down to what is left of it if clay lost its hydroxyl there, unless all crystals are known.

    Beside a mineral of tissue only crystals that no phase explains may be clay.
    """
    from xrdcomp.thermal.nature import silicate_hydroxyl
    from xrdcomp.thermal.smoothing import UNIFORM_STD

    unknown = found.components.get(UNIDENTIFIED)
    most = 1.0 if not biomineral else 0.0 if unknown is None else unknown.high
    hydroxyl = silicate_hydroxyl(tga, minerals=most, alone=alone)
    carbonate, water = found.components.get("carbonate"), found.components.get("water")
    if carbonate is None or hydroxyl <= 0.0 or found.consistency is None or found.consistency.impossible:
        return found

    def lowered(of: Mapping[str, Estimate | None], *, dry: bool) -> dict[str, Estimate | None]:
        if (estimate := of["carbonate"]) is None:  # on a basis that is not known
            return dict(of)
        solid = 1.0 - (water.value if water is not None else 0.0) if dry else 1.0
        less = hydroxyl / CO2_PER_CARBONATE / max(solid, 1e-6)
        low = max(estimate.low - less, 0.0)
        # anything from none to all of it is as likely: variance of a uniform distribution about its end
        std = float(np.hypot(estimate.std or 0.0, min(less, estimate.value) * UNIFORM_STD))
        return {**of, "carbonate": replace(estimate.reaching(low, low), std=std)}

    dry = found.basis == "dry"
    return replace(
        found,
        components=lowered(found.components, dry=dry),
        other_basis=lowered(found.other_basis, dry=not dry),
        consistency=replace(found.consistency, silicate_hydroxyl=hydroxyl),
    )


def _holds_biomineral(amounts: XrdAmounts | None, phases: Sequence[PhaseResult]) -> bool:
    """Tell if a mineral of tissue was found; without decisions of a search, one beyond three standard deviations."""
    if phases or amounts is None:
        return any(phase.facts.biomineral and phase.decision == "detected" for phase in phases)
    stds = np.sqrt(np.diag(amounts.covariance))
    return any(
        name in amounts.facts and amounts.facts[name].biomineral and value > 3.0 * std
        for name, value, std in zip(amounts.names, amounts.amounts, stds, strict=True)
    )


def compose_evidence(  # noqa: PLR0913 - two evidences and what is known of them: all by name
    xrd: XrdAmounts | None,
    thermal: ThermalEvidence | None,
    recipe: CompositionRecipe = CompositionRecipe(),  # noqa: B008 - a frozen struct
    *,
    phases: Sequence[PhaseResult] = (),
    internal_standard: InternalStandard | None = None,
    known_scale: tuple[float, float] | None = None,
    unidentified: tuple[float, float] | None = None,
    tissue: bool = True,
    presumed: bool = False,
    lattice_carbonate: float | None = None,
    surface: float = 1.0,
    small_crystals: bool = False,
    metal_share: float = 0.0,
) -> Composition:
    """Composition from amounts and a mass balance, without a fit; arguments as in `compose`.

    `lattice_carbonate` is the share of CO3 in the apatite that its cell tells; it is compared with thermogravimetry.
    `surface` is that of the apatite's crystals over that of bone's, 1 at most, to which their hydrogen phosphate goes.
    Where the specimen is no `tissue`, its amorphous matter may be glass, silica, polymer or organic alike: X-rays alone
    then give its sum only, and with the uncertainty of matter of unknown kind. Where tissue is `presumed`, by nothing
    but its mineral, values are those of tissue; intervals, standard deviations and draws hold the other kinds too. With
    `small_crystals` amorphous scattering may by X-rays alone be that of crystals as well; a `metal_share` of the
    unidentified crystals may be no part of the specimen.

    The reported values are posterior means, so that they sum to one; intervals are 95 %. The model is
    described in `xrdcomp.composition.model`, the sampling in `xrdcomp.composition.sampler`. The more the evidence
    contradicts itself, the wider its uncertainties become: those of diffraction alone while the two mineral balances
    agree, since its amorphous scattering is the weaker part; all as far as the balances contradict each other too.
    """
    method = recipe.method
    wants_xrd, wants_tga = method.startswith("xrd"), method.endswith("tga")
    spiked, scaled = method.endswith("internal_standard"), method.endswith("external_standard")
    needs = {
        "a diffraction fit": wants_xrd and xrd is None,
        "a thermal balance with assigned steps": wants_tga and thermal is None,
        "an internal standard (id and fraction)": spiked and internal_standard is None,
        "a scale (quantification.external_scan or external_constant)": scaled and known_scale is None,
    }
    if lacking := [what for what, missing in needs.items() if missing]:
        msg = f"composition.method = {method!r} needs {' and '.join(lacking)}. Give it, or set method = 'auto'."
        raise AnalysisError(msg)
    if method != "auto":
        xrd, thermal = (xrd if wants_xrd else None), (thermal if wants_tga else None)
    evidence, bias_std, log_scale = None, recipe.xrd_bias_std, None
    if xrd is not None:
        evidence = reduce_xrd(xrd, phases, standard=internal_standard, unidentified=unidentified)
        bias_std *= priors.BLANK_GAIN if evidence.blank_measured else 1.0
        if (not tissue and thermal is None) or (evidence.sees_amorphous and not evidence.seeks_all):
            bias_std = max(bias_std, priors.UNKNOWN_KIND_STD)
        if known_scale is not None:
            log_scale = (float(np.log(known_scale[0] / evidence.total)), known_scale[1])
    standard = internal_standard if evidence is not None else None
    model = build_model(
        evidence, thermal, standard=standard, known_scale=log_scale, bias_std=bias_std, aliquot_std=recipe.aliquot_std,
        tissue=tissue, presumed=tissue and presumed, surface=surface, small_crystals=small_crystals,
        metal_share=metal_share,
    )  # fmt: skip
    best = best_fit(model)
    consistency = _consistency(model, best, bias_std=bias_std, lattice_carbonate=lattice_carbonate)
    ratio, thermal_share = consistency.birge_ratio, consistency.thermal_share
    model = widened(model, ratio, thermal=ratio**thermal_share)
    posterior = sample_mixture(model, draws=recipe.draws, seed=recipe.seed, near=best)
    return _report(model, posterior, consistency, recipe)


def _pair_differences(
    xrd: XrdEvidence, thermal: ThermalEvidence, crystals: float, organic: float, lattice: float | None
) -> dict[str, float]:
    """Fields of `MineralBalance` on what right pairs differ by; never narrower than the evidence's own uncertainties.

    `crystals` are by diffraction, `organic` by thermogravimetry, `lattice` is the share of CO3 in the apatite.
    """
    own = {}
    for name in ("organic", "amorphous_mineral"):
        share, gradient = xrd.share_of_total(name)
        own[name] = share, float(np.sqrt(gradient @ xrd.covariance @ gradient))
    beside = max(1.0 - float(thermal.losses[0]) - organic - crystals, 0.0)
    amorphous_std = max(own["amorphous_mineral"][1], priors.PAIR_AMORPHOUS_STD)
    out = {
        "crystals_std": priors.PAIR_CRYSTALS_STD,
        "amorphous_std": float(np.hypot(amorphous_std, priors.PAIR_AMORPHOUS_SHARE * beside)),
    }
    if {"organic", "water"} <= set(xrd.rows):
        out["organic_difference"] = own["organic"][0] - organic
        out["organic_std"] = max(own["organic"][1], priors.PAIR_ORGANIC_STD)
    if lattice is not None and thermal.sees_carbonate:
        apatite, other = (max(xrd.share_of_total(name)[0], 0.0) for name in ("apatite", "other"))
        mineral = xrd.carbonate_share * other
        out["carbonate_difference"] = float(thermal.losses[2]) / CO2_PER_CARBONATE - lattice * apatite - mineral
        # organic matter that burns late is weighed as carbonate, carbonate never as organic matter
        late = priors.LATE_ORGANIC * organic * (out["carbonate_difference"] > 0.0)
        weighed = float(thermal.loss_covariance[2, 2] ** 0.5) / CO2_PER_CARBONATE
        std = priors.PAIR_CARBONATE_STD, priors.LATTICE_CARBONATE_STD * apatite, 0.1 * mineral, late, weighed
        out["carbonate_std"] = float(np.linalg.norm(std))
    return out


def _lattice_carbonate(fit: FitResult, phases: Sequence[PhaseResult]) -> float | None:
    """Mass fraction of CO3 in the apatite that its c axis tells; None without one, or of fluor- or chlorapatite."""
    for phase in phases:
        axis = fit.parameters.get(f"{phase.id}_c")
        hydroxyl = phase.is_apatite and phase.facts.end_member not in ("fluorapatite", "chlorapatite")
        if phase.decision == "detected" and hydroxyl and axis is not None and axis.std is not None:
            if axis.std > priors.CARBONATE_C_AXIS * priors.LATTICE_CARBONATE_STD:
                return None
            share = (axis.value - priors.HYDROXYL_C_AXIS) / priors.CARBONATE_C_AXIS
            return float(np.clip(share, 0.0, priors.LATTICE_CARBONATE_MOST))
    return None


def _apatite_surface(fit: FitResult, phases: Sequence[PhaseResult]) -> float:
    """Surface per volume of the apatite's crystals over that of bone's, at most 1, which it is where none is known."""
    found = []
    for phase in phases:
        if phase.is_apatite and phase.decision == "detected":
            across, along = (fit.parameter("inverse_size", phase.id, axis) for axis in "ac")
            if across is not None:
                found.append(2.0 * across.value + (along or across).value)
    return min(max(found, default=priors.BONE_SURFACE) / priors.BONE_SURFACE, 1.0)


def _consistency(model: JointModel, best: Optimum, *, bias_std: float, lattice_carbonate: float | None) -> Consistency:
    """Compare the two instruments with each other and with the model, where the evidence as it is fits best."""
    from scipy.special import gammaincc

    xrd, thermal = model.xrd, model.thermal
    balance = scale = None
    if xrd is not None and thermal is not None and xrd.sees_amorphous:
        # crystalline mineral by diffraction against total mineral by thermogravimetry; amounts are signed: beside
        # negative amorphous scattering crystals are more than all
        crystals = ("apatite", "other", "unidentified")
        share, gradient = xrd.share_of_total(*crystals)
        share = min(max(share, 0.0), 1.0)
        variance = float(gradient @ xrd.covariance @ gradient) + (share * (1 - share) * bias_std) ** 2
        unknown = max(xrd.share_of_total("unidentified")[0], 0.0)
        variance += (unknown * (1 - share) * priors.UNIDENTIFIED_RESPONSE.std) ** 2
        per_loss = thermal.char_fraction / (1 - thermal.char_fraction)
        burnt = 1 + (per_loss if thermal.inert else 0.0)  # organic per organic loss
        toward = np.array([-1.0, -burnt, 0.0])[: len(thermal.losses)]
        mineral_variance = float(toward @ thermal.loss_covariance @ toward)
        if thermal.inert:
            mineral_variance += (thermal.losses[1] * thermal.char_std / (1 - thermal.char_fraction) ** 2) ** 2
        balance = MineralBalance(
            crystalline=share,
            with_amorphous=min(xrd.share_of_total(*crystals, "amorphous_mineral")[0], 1.0),
            mineral=float(1.0 - thermal.losses[0] - burnt * thermal.losses[1]),
            std=float(np.sqrt(variance + mineral_variance)),
            char=per_loss * float(thermal.losses[1]),
            inert=thermal.inert,
            **_pair_differences(xrd, thermal, share, burnt * float(thermal.losses[1]), lattice_carbonate),
        )
        bias, std = free_scale(model, best)
        scale = ScaleDifference(bias=bias, std=std, expected_std=bias_std)
    # Observations minus free fractions and scale; a fraction that positivity holds at zero is not free.
    chi_square, at_zero = best.chi_square, int((best.composition < 1e-4).sum())
    redundant = max(len(model.values) - (len(PARTS) - 1 - at_zero + (xrd is not None)), 0)
    misfit, ratio = 1.0, 1.0
    if redundant > 0:
        misfit = float(gammaincc(redundant / 2, chi_square / 2))
        ratio = float(np.sqrt((priors.DISCREPANCY_DOF + chi_square) / (priors.DISCREPANCY_DOF + redundant)))
    char, final_c = None, None if thermal is None else thermal.final_c
    if thermal is not None and thermal.inert:
        char = Estimate(value=thermal.char_fraction, std=thermal.char_std)
    return Consistency(
        xrd=xrd is not None,
        tga=thermal is not None,
        weighs_crystals=model.weighs_crystals,
        mineral_balance=balance,
        scale=scale,
        standard=_standard_share(model),
        misfit_probability=misfit,
        birge_ratio=max(ratio, 1.0),
        thermal_share=(balance.contradiction if balance is not None else float(xrd is None)),
        impossible=xrd is not None and thermal is not None and misfit < priors.IMPOSSIBLE,
        char=char,
        salts=xrd.salts if xrd is not None and thermal is not None else {},
        kind="presumed" if model.presumed else "tissue" if model.tissue else "unknown",
        salts_evaporate=final_c is not None and final_c > priors.SALT_FROM_C,
    )


def _standard_share(model: JointModel) -> StandardShare | None:
    """Compare what was weighed in of the standard with its share of all that the pattern shows.

    The share rests on what a gram of each kind of matter scatters, as far as amorphous matter of any kind and crystals
    of no phase leave that open.
    """
    xrd, standard = model.xrd, model.standard
    if xrd is None or standard is None or not xrd.sees_amorphous:
        return None
    shown, everything = xrd.row("standard"), float(xrd.values.sum())
    weighed = shown / standard.crystallinity
    if weighed <= 0.0 or everything <= weighed:
        return None
    gradient: FloatArray = xrd.marks("standard") / shown - 1.0 / everything  # of the logarithm of the share
    soft, unknown = (
        max(sum(xrd.row(name) for name in names), 0.0) / everything
        for names in (("organic", "water", "amorphous_mineral"), ("unidentified",))
    )
    rest = 1.0 - weighed / everything
    own_std = math.sqrt(max(float(gradient @ xrd.covariance @ gradient), 0.0))
    kind = priors.GLASS_RESPONSE.mean + priors.GLASS_RESPONSE.std
    ratio_std = max(standard.scatter_std, priors.MEASURED_RATIO_STD)
    stds = (own_std, rest * ratio_std, soft * kind, unknown * priors.UNIDENTIFIED_RESPONSE.std)
    return StandardShare(stated=standard.fraction, seen=weighed / everything, relative_std=float(np.linalg.norm(stds)))


def _soft_share(model: JointModel) -> tuple[float, float]:
    """Mass fraction of what is no crystal, with its sign, and its standard uncertainty.

    Beside a standard it is what the crystals leave, each of them weighed against it.
    """
    xrd = model.xrd
    assert xrd is not None
    spread = {item.name: item.std for item in model.priors}
    if model.standard is None:
        share, gradient = xrd.share_of_total("organic", "water", "amorphous_mineral")
        unknown = max(xrd.share_of_total("unidentified")[0], 0.0) * spread.get("unidentified_response", 0.0)
        variance = (share * (1.0 - share) * spread["xrd_bias"]) ** 2 + (share * unknown) ** 2
        return share, float(np.sqrt(gradient @ xrd.covariance @ gradient + variance))
    crystals, shown = xrd.marks("apatite", "other"), xrd.row("standard")
    known = shown / (model.standard.per_specimen * model.standard.crystallinity)
    weighed = float(crystals @ xrd.values) / known
    gradient = crystals / known - xrd.marks("standard") * weighed / shown
    scale = np.hypot(spread["standard_scatter"], spread["standard_crystallinity"] / model.standard.crystallinity)
    return 1.0 - weighed, float(np.sqrt(gradient @ xrd.covariance @ gradient + (weighed * scale) ** 2))


def _soft_range(model: JointModel) -> tuple[float, float]:
    """Ends between which the mass fraction of what is no crystal lies with 95 %."""
    share, std = _soft_share(model)
    low, high = (float(np.clip(share + sign * 1.96 * std, 0.0, 1.0)) for sign in (-1.0, 1.0))
    return low, high


def _pure_or_mixed(
    components: Mapping[str, Estimate | None], sums: Mapping[str, Estimate], model: JointModel
) -> tuple[dict[str, Estimate | None], dict[str, Estimate]]:
    """Intervals by X-rays alone, as far as the uncertainty of all amorphous scattering together carries them.

    Positive amounts of several amorphous components are more than their sum where that is small: draws hold a pure
    powder of crystals to be impossible. The sum itself, which the fit gives with its sign, keeps both: crystals and
    nothing else where it lies within its uncertainty of nothing, and a mixture in any case. Each interval is the union
    of that of the draws and what this sum allows; the single parts follow, so that no two ends contradict each other.
    """
    low, high = _soft_range(model)
    soft, hard = sums["non_crystalline"], sums["crystalline"]
    out = {**sums, "non_crystalline": soft.reaching(low, high), "crystalline": hard.reaching(1.0 - high, 1.0 - low)}
    parts = dict(components)
    nearer = min(low / max(soft.low, 1e-9), 1.0)
    for found, names in ((parts, ("organic", "water", "amorphous_mineral")), (out, ("organic_and_water",))):
        for name in names:
            if (estimate := found.get(name)) is not None:
                found[name] = estimate.reaching(nearer * estimate.low, estimate.high)
    # crystals of one kind may be all that the others leave, and no less than what they leave at most
    top, bottom = max(hard.high, 1.0 - low), min(hard.low, 1.0 - high)
    kinds = ("crystalline_hydroxyapatite", "other_crystalline", UNIDENTIFIED)
    given = {name: estimate for name in kinds if (estimate := parts.get(name)) is not None}
    largest = max(given, key=lambda name: given[name].value, default=None)
    if largest is not None:
        others = [estimate for name, estimate in given.items() if name != largest]
        least, usual, most = (sum(getattr(e, end) for e in others) for end in ("low", "value", "high"))
        fewest = bottom - most
        if UNIDENTIFIED in given:
            # few crystals in all and much of what unknown ones hide are less likely together than either
            fewest = hard.value - usual - float(np.hypot(hard.value - bottom, most - usual))
        # the CO3 of carbonate minerals weighs with the crystals, and is no part of theirs
        bare = 1.0 - model.xrd.carbonate_share if largest == COMPONENTS[OTHER] and model.xrd is not None else 1.0
        ends = (bare * max(end, 0.0) for end in (fewest, top - least))
        parts[largest] = given[largest].reaching(*ends)
        # their ratio is that of reflections, whatever all crystals together are: the other kinds go with these
        for name in given.keys() - {largest, UNIDENTIFIED}:
            own = given[name].value / max(hard.value, 1e-9)
            parts[name] = given[name].reaching(own * bottom, min(own * top, 1.0))
    return parts, out


def _amorphous_excess(model: JointModel, posterior: Posterior) -> AmorphousExcess | None:
    """Amorphous mineral by its scattering alone, beside what the mineral balance leaves of it; None without both."""
    xrd = model.xrd
    if xrd is None or model.thermal is None or "amorphous_mineral" not in xrd.rows or H in xrd.absent:
        return None
    share, gradient = xrd.share_of_total("amorphous_mineral")
    return AmorphousExcess(
        seen=share,
        std=max(float(np.sqrt(gradient @ xrd.covariance @ gradient)), priors.PAIR_AMORPHOUS_STD),
        allowed=float(np.quantile(posterior.composition[:, AMORPHOUS], 0.975)),
    )


def _report(
    model: JointModel, posterior: Posterior, consistency: Consistency, recipe: CompositionRecipe
) -> Composition:
    """Wet and dry estimates of what the evidence determines, with their budget."""
    wet = reported(model.with_hidden(posterior.composition, posterior.constants, recipe.seed), model)
    readings = model.readings(wet, recipe.seed)
    mixed = _mixed(readings, recipe.seed)
    budget = variance_shares(model, posterior.composition.mean(axis=0), posterior.constants.mean(axis=0))
    if len(readings) > 1:
        budget = _with_kind(budget, wet, mixed)
    assumed = ("prior", priors.ASSUMED_CARBONATE.input)  # what rests on assumptions instead of measurements
    prior_share = {name: sum(parts.get(key, 0.0) for key in assumed) for name, parts in budget.items()}
    dried = model.thermal is not None and model.thermal.water_unknown
    as_received = recipe.basis == "as_received" and not dried
    hidden = model.undetermined(prior_share, mixed)
    names = model.components
    known = [i for i, name in enumerate(names) if name not in hidden]
    shown = {names[i]: (i,) for i in known}
    told_apart = {H, AMORPHOUS} <= set(known)
    received, dry = ([turned(each.compositions) for each in readings] for turned in (np.asarray, to_dry))
    of_readings, of_others = (received, dry) if as_received else (dry, received)
    on_basis, on_other = (
        dict.fromkeys(names)
        | _over_readings([estimates_of(draws, shown, told_apart=told_apart) for draws in found], readings)
        for found in (of_readings, of_others)
    )
    dominated = {
        names[i]: prior_share[names[i]]
        for i in known
        if prior_share[names[i]] > 0.5 and np.quantile(mixed[:, i], 0.975) > priors.NOTABLE_FRACTION
    }
    # crystals weigh with the carbonate of their lattice and of carbonate minerals, which the components count apart
    inside = np.zeros(len(wet))
    if model.xrd is not None:
        in_lattice = posterior.constants[:, model.names.index("carbonate_in_lattice")]
        inside = in_lattice * posterior.composition[:, CARBONATE]
        inside = inside + model.xrd.carbonate_share * posterior.composition[:, OTHER]
    held = [inside * each.growth / (1.0 if as_received else _solid(each.compositions)) for each in readings]
    sums = _over_readings(
        [
            estimates_of(
                found,
                {name: SUMS[name] for name in model.determined_sums},
                held={"crystalline": own, "non_crystalline": -own},
                told_apart=model.xrd is not None and model.thermal is not None,
            )
            for found, own in zip(of_readings, held, strict=True)
        ],
        readings,
    )
    draws = mixed if as_received else to_dry(mixed)
    # unknown crystals are weighed to a factor of three: beside a standard the draws alone say what is left
    alone = model.method == "xrd" or (model.method == "xrd+internal_standard" and UNIDENTIFIED not in names)
    apatite, unknown = on_basis.get(COMPONENTS[H]), on_basis.get(UNIDENTIFIED)
    if model.xrd is not None and not model.xrd.apatite_certain and apatite is not None:
        # reflections that may be an apatite's may as well be of what the library does not hold
        for each in (on_basis, on_other):
            if (crystals := each[COMPONENTS[H]]) is not None:
                each[COMPONENTS[H]] = crystals.reaching(0.0, 0.0)
        if unknown is not None:
            most = min(unknown.high + apatite.high, sums["crystalline"].high if "crystalline" in sums else 1.0)
            on_basis[UNIDENTIFIED] = unknown.reaching(1.0, most)
    if as_received and alone and "non_crystalline" in sums:
        on_basis, sums = _pure_or_mixed(on_basis, sums, model)
    elif as_received and alone and model.xrd is not None and unknown is not None:
        # apatite that nobody can exclude keeps all crystals from being weighed, the unknown ones not
        low, high = _soft_range(model)
        on_basis[UNIDENTIFIED] = unknown.reaching(1.0 - high, 1.0 - low)
    return Composition(
        basis="as_received" if as_received else "dry",
        method=model.method,
        components=on_basis,
        identifiable_sums=sums,
        covariance_names=tuple(names[i] for i in known),
        covariance=frozen_array(np.cov(draws[:, known], rowvar=False).reshape(len(known), len(known))),
        draws=frozen_array(draws),
        budget=budget,
        prior_share=prior_share,
        other_basis=dict.fromkeys(names) if dried else on_other,
        consistency=replace(
            consistency,
            amorphous_excess=_amorphous_excess(model, posterior),
            prior_dominated=dominated,
            no_amorphous_probability=posterior.no_amorphous_probability,
            no_amorphous_prior=posterior.no_amorphous_prior,
            effective_size=posterior.effective_size,
        ),
    )
