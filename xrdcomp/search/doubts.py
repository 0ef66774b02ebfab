"""Reasons to doubt a phase that was found: what reflections of something else would explain as well."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from xrdcomp.data import Phase
from xrdcomp.physics import reflections
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.unsought import rise_without
from xrdcomp.results import PhaseResult
from xrdcomp.search import report
from xrdcomp.search.detection import INDEPENDENT_CELLS
from xrdcomp.search.nuisance import SearchResidual
from xrdcomp.search.report import angle_offset
from xrdcomp.search.room import smoothed
from xrdcomp.search.templates import bragg_share, candidate, library
from xrdcomp.search.unknown import (
    COMPARABLE,
    MANY,
    MOST_TESTED,
    TEXTURED,
    WEAKEST_OF_TEXTURED,
    Peaks,
    broad_reflections,
    own_reflections,
)
from xrdcomp.units import FloatArray, d_to_two_theta, two_theta_to_d

# Expected number of phases of the library that meet unexplained peaks by chance, up to which one counts as found.
_MOST_CHANCE = 0.05
_NO_CHANCE = 1e-3  # of them, with which it is certain
_SURE = 3.0  # standard deviations
REACH = 1.5  # widths within which a peak and a reflection are taken for one, both sides together
_LEAST_MAXIMUM = 0.1  # of the highest, of one that a phase must have
_OWN = 0.1  # of a phase's highest intensity, below which an angle is beside its reflections
_ESSENTIAL = 0.02  # of the strongest reflection: a peak of another compound with the same lattice
_SAME_LATTICE = 1e-3  # chance that so many peaks fall on a lattice, below which it is theirs
_FEWEST = 2
_OUT_OF_RATIO = 9.0  # χ² per reflection about the common amount
_CLOSE_RATIO = 1.0  # χ² per reflection, with which a phase stands beside whatever is unexplained
_SHARP_NM = 50.0  # crystals whose reflections meet one peak each
_SMALL_NM = 12.0  # crystals whose reflections run together, which raises that χ²
_SMALL_RATIO = 10.0
_NEARLY_ALL = 0.9  # of what a fit lacks without small crystals, where they and no other crystal make it up
_SHORT = 20.0  # degrees, a scan that shows so little of a phase that one reflection may be all
_FAR_ABOVE = 40.0  # standard deviations of an amount with which its second reflection would be seen as well
MIN_INTENSITY_SHARE = 5e-4
_CELL_KEPT = 0.008  # mean relative change of spacings by refinement; impossible cells begin there
_SUBSTITUTED = 0.012  # of an axis, beyond the end members: a fifth of carbonate shortens a of hydroxyapatite by as much
_SMALLEST_NM = 6.0  # templates have 20 nm and more; below a third of that, amorphous scattering is followed
SETTLED_GOF = 1.5  # a start from nothing that ends above is held against the start from the phases asked for


def withdraw_false_phases(
    reports: Sequence[PhaseResult],
    search: SearchResidual,
    named: Collection[str],
    library_size: int,
    left: Peaks,
    *,
    standard: str = "",
    sharp: bool,
) -> list[PhaseResult]:
    """Take back what was detected where reflections of something else explain it as well.

    Such a phase becomes inconclusive, and the reason is stated. `search` is that of the fit that the phases are in,
    `named` the ids of phases that the user named, which are doubted beside higher peaks of something else only,
    `library_size` the number of phases that were searched for, `left` the peaks that no phase explains, `standard` the
    spike, which is known, `sharp` whether those peaks are reflections of large crystals.
    """
    out = []
    for item in reports:
        if item.decision == "detected" and item.id != standard:
            s = Suspect(search, item.id, left, sharp=sharp)
            if item.id in named:
                reason = s.beneath_others(1)
            else:
                reason = other_cell(search.fit, s.fitted) or s.contradicted()
                reason = reason or s.out_of_ratio(library_size) or s.one_reflection()
                reason = reason or s.beneath_others(library_size) or s.met_by_chance(library_size)
                reason = reason or s.of_another_compound()
            if reason:
                item = replace(item, decision="inconclusive", evidence=replace(item.evidence, reason=reason))
        out.append(item)
    return out


class Suspect:
    """A detected phase and the peaks that no phase explains; each method gives a reason to doubt it, or none."""

    def __init__(self, search: SearchResidual, phase: str, left: Peaks, *, sharp: bool) -> None:
        index, x = search.fit.model.phase_ids.index(phase), search.grid.two_theta
        self.search, self.phase, self.index, self.sharp = search, phase, index, sharp
        # what stands on its own reflections is misfit of their profile or grains of its own
        own = np.interp(left.two_theta, x, search.bragg[:, index])
        beside = own < _OWN * float(search.bragg[:, index].max())
        self.left = Peaks(two_theta=left.two_theta[beside], z=left.z[beside], height=left.height[beside])
        self.fitted = search.fit.phases[index]
        self.score = search.presence(self.fitted)
        self.reflections = own_reflections(search, index)
        self.span = float(x[-1] - x[0])

    def contradicted(self) -> str:
        """Doubt a phase of which strong reflections are clearly missing."""
        n = self.score.contradicted
        which = "one of its strong reflections is" if n == 1 else f"{n} of its strong reflections are"
        return f"{which} missing, although it should appear at the amount given by the others" if n else ""

    def proved(self, library_size: int) -> bool:
        """All of six sharp reflections are seen where chance would not put them; broad ones meet several peaks each.

        Every free parameter of the cell lets the refinement choose among as many cells. Chance puts them on the feet of
        higher peaks as well as on peaks of their own height.
        """
        sharp = self.score.size_nm >= _SHARP_NM
        free, _ = reflections.cell_freedom(self.fitted.crystal_system)
        cells = INDEPENDENT_CELLS ** (len(free) - 1)
        return (
            sharp and self.score.reflections_seen > MANY and cells * self.chance(library_size, feet=True) < _NO_CHANCE
        )

    def explains_the_rest(self) -> bool:
        """Tell whether broad reflections beside sharp unknown ones make up nearly all that is left without them.

        The share of χ² that the phase takes from the fit without it, beyond one per point, where strong reflections of
        something else are masked. The ratio of broad reflections depends on the size that a template has; reflections
        of another crystal would leave much of their pattern to nothing.
        """
        if not self.sharp or self.score.size_nm >= _SHARP_NM:
            return False
        fit = self.search.fit
        seen = len(fit.points) - int(fit.points.masked.sum())
        rise = rise_without(self.phase, fit.evidence, fit.solution, fit.model)
        left = max(float((fit.solution.residual(fit.points) ** 2).sum()) - seen, 0.0)
        return rise > _NEARLY_ALL * (rise + left)

    def out_of_ratio(self, library_size: int) -> str:
        """Doubt reflections that disagree by more than texture makes, where something else is wrong too.

        Where the fit does not describe the pattern they must agree as well as a candidate's, unless they run together.
        """
        score, described = self.score, self.search.fit.describes_pattern
        complete = described and score.reflections_seen == score.reflections_expected
        agree = score.consistency < _OUT_OF_RATIO
        if not described and score.size_nm > _SMALL_NM:
            agree = score.in_ratio
        if complete or agree or self.proved(library_size):
            return ""
        counts = f"{score.reflections_seen} of {score.reflections_expected} expected reflections appear"
        where = "" if described else ", in a fit that does not describe the pattern"
        return f"{counts}, but not in the ratio of this phase{where}"

    def one_reflection(self) -> str:
        """Doubt a single reflection, in a short scan or of a phase far above its threshold."""
        score = self.score
        if score.reflections_expected > 1 or (score.z < _FAR_ABOVE and self.span > _SHORT):
            return ""
        return "the scan contains only one of its reflections, and one reflection does not identify a phase"

    def beneath_others(self, library_size: int) -> str:
        """Doubt what higher unexplained peaks stand beside, unless its own reflections are clear proof.

        They are where most of the six are seen, in close ratio, or all of them where no chance would put them, or where
        they are broad beside sharp ones and explain the rest of the pattern.
        """
        heights, others = self.reflections.height, self.left.height
        # sharp reflections of something else are not taken for broad ones
        small = self.sharp and self.score.size_nm <= _SMALL_NM
        ratio = _SMALL_RATIO if small else _CLOSE_RATIO
        clear = self.score.consistency < ratio or self.proved(library_size) or self.explains_the_rest()
        if (clear and self.score.reflections_seen >= MANY) or not len(heights) or not len(others):
            return ""
        alike = int((others > COMPARABLE * heights[0]).sum())
        if others.max() < heights[0] and alike < MANY:
            return ""
        which = "peaks higher than" if others.max() >= heights[0] else f"{alike} peaks comparable to"
        return (
            f"{which} its strongest reflection belong to no phase of the library, and its own reflections are few or "
            "not quite in its ratio"
        )

    def chance(self, library_size: int, *, feet: bool = False) -> float:
        """Expected number of phases of the library that would meet as many unexplained peaks by chance.

        Π (1 − exp(−ρ w)) over its reflections that are seen, times the trials of the search, with ρ the density of
        peaks at least half as high and w the distance within which reflections count as met; with their `feet` no less
        than the share of the scan in which what no phase explains is half as high.
        """
        seen = self.reflections.height[: max(self.score.reflections_seen, 1)]
        # each of its reflections could have been met by the others that it is said to have
        density = [float((self.left.height > COMPARABLE * h).sum() + len(seen) - 1) / self.span for h in seen]
        met = [1.0 - np.exp(-d * REACH * self.search.grid.peak_fwhm) for d in density]
        if feet:
            met = np.maximum(met, self.covered(COMPARABLE * seen)).tolist()
        return library_size * INDEPENDENT_CELLS * float(np.prod(met)) if len(seen) else 0.0

    def covered(self, heights: FloatArray) -> FloatArray:
        """Shares of the scan within reach of points at which what no phase explains is so high, (heights,)."""
        grid, points = self.search.grid, self.search.fit.points
        near = round(0.5 * REACH * grid.peak_fwhm / grid.step)
        left = np.pad(smoothed(grid.mean(points.intensity - self.search.fit.solution.calculated)), near)
        highest = np.lib.stride_tricks.sliding_window_view(left, 2 * near + 1).max(axis=1)
        return np.asarray((highest > heights[:, None]).mean(axis=1))

    def met_by_chance(self, library_size: int) -> str:
        """Doubt reflections that are no more than a search among so many peaks must find."""
        if self.chance(library_size) < _MOST_CHANCE:
            return ""
        span, seen = self.span, self.reflections.height[: max(self.score.reflections_seen, 1)]
        n = int((self.left.height > COMPARABLE * float(seen[-1])).sum())
        if not n:
            lines = "one reflection" if len(seen) == 1 else f"{len(seen)} reflections"
            return f"the scan of {span:.0f}° contains only {lines} of it; some other phase would fit as many by chance"
        lines = "one reflection is" if len(seen) == 1 else f"{len(seen)} reflections are"
        peaks = "one peak as high belongs" if n == 1 else f"{n} peaks as high belong"
        others = f"{peaks} to no phase of the library"
        return f"only {lines} seen, and {others}; some phase would match as many of them by chance"

    def lacks_maxima(self) -> str:
        """Doubt crystals of a few nanometres, in a fit that leaves much, where maxima of their kind are no phase's.

        Broad reflections are no peaks of the residual, and amorphous scattering makes up for those that are missing.
        """
        fit = self.search.fit
        # apatite of bone is as small, and its maxima are judged where it leaves the pattern undescribed
        apatite = self.fitted.is_apatite and fit.describes_pattern
        if apatite or self.score.size_nm > _SMALL_NM or fit.goodness < SETTLED_GOF:
            return ""
        d = np.concatenate([candidate(phase, fit).d_spacing for phase in fit.phases])
        bare = 2.0 * np.degrees(np.arcsin(np.minimum(fit.instrument.wavelength / (2.0 * d), 1.0)))
        places = bare + angle_offset(fit, bare)
        found = broad_reflections(self.search)
        least = _LEAST_MAXIMUM * max((peak.height for peak in found), default=0.0)
        for peak in found:
            if peak.height > least and np.abs(places - peak.two_theta).min() > 0.5 * peak.width:
                return (
                    f"its crystals would measure a few nanometres, but do not explain the maximum at "
                    f"{peak.two_theta:.1f}°"
                )
        return ""

    def of_another_compound(self) -> str:
        """Doubt a phase where peaks that it cannot explain lie where its lattice has reflections without intensity."""
        from scipy.special import bdtrc

        fit, grid, own = self.search.fit, self.search.grid, self.reflections
        if not len(own.height):
            return ""
        # texture may make its weakest reflections many times as high
        weak = own_reflections(self.search, self.index, least=WEAKEST_OF_TEXTURED, most=MOST_TESTED)
        near = np.abs(self.left.two_theta[:, None] - weak.two_theta) < grid.peak_fwhm
        textured = TEXTURED * np.where(near, weak.height, 0.0).max(axis=1, initial=0.0)
        strong = self.left.two_theta[self.left.height > np.maximum(_ESSENTIAL * own.height[0], textured)]
        if len(strong) < _FEWEST:
            return ""
        wavelength, fwhm = fit.instrument.wavelength, grid.peak_fwhm
        d_max, d_min = two_theta_to_d(grid.two_theta[[0, -1]], wavelength)
        for centring in (self.fitted.centring, [np.zeros(3)]):
            lattice = reflections.generate_reflections(
                fit.cell(self.phase), [np.eye(3)], [np.zeros(3)], centring, d_min=float(d_min), d_max=float(d_max)
            )
            bare = d_to_two_theta(np.unique(lattice.d_spacing.round(6)), wavelength)
            places = bare + angle_offset(fit, bare)
            free = places[np.abs(places[:, None] - own.two_theta).min(axis=1) > fwhm]
            if not len(free):
                continue
            on = int((np.abs(strong[:, None] - free).min(axis=1) < 0.5 * fwhm).sum())
            covered = (np.abs(grid.two_theta[:, None] - free).min(axis=1) < 0.5 * fwhm).mean()
            if on >= _FEWEST and bdtrc(on - 1, len(strong), covered) <= _SAME_LATTICE:
                return (
                    f"{on} of {len(strong)} strong peaks that it cannot explain lie on its own lattice, so it is "
                    "probably another compound with the same lattice"
                )
        return ""


def implausible(fit: Refinement, phase: Phase) -> str:
    """Reason for which a refined phase cannot be what it was taken for, or none.

    Its amount is not positive or without intensity; its crystallites are smaller than any but apatite's; or its cell
    left what the phase can have: its reflections ran to those of another.
    """
    amounts = fit.evidence.amounts
    positive = bool(amounts.amounts[amounts.names.index(phase.id)] > 0.0)
    if not positive or bragg_share(fit, phase) <= MIN_INTENSITY_SHARE:
        return "its intensity vanishes on refinement"
    inverse = max(fit.solution.value("inverse_size", phase.id, axis) for axis in "ac")
    if not phase.is_apatite and inverse * _SMALLEST_NM > 1.0:
        return f"its reflections would be those of crystals below {_SMALLEST_NM:g} nm, that is, amorphous matter"
    refined = reflections.cell_volume(fit.cell(phase.id))
    nominal = reflections.cell_volume(np.array(phase.cell.parameters))
    change = float(np.cbrt(refined / nominal) - 1.0)
    if abs(change) >= _CELL_KEPT:
        return f"its spacings would have to be {100 * abs(change):.1f} % {'larger' if change > 0 else 'smaller'}"
    return other_cell(fit, phase)


def other_cell(fit: Refinement, phase: Phase, *, doubted: bool = False) -> str:
    """Reason to doubt a phase whose axes, each by itself, are not those that the compound can have; else none.

    An apatite with another cell is another apatite, and its members are compared with each other. Only where crystals
    have a few nanometres, or its reflections are `doubted` for themselves, is a cell beyond those of all members what
    the fit makes of reflections of something else.
    """
    inverse = min(fit.solution.value("inverse_size", phase.id, axis) for axis in "ac")
    if phase.is_apatite and inverse * _SMALL_NM < 1.0 and not doubted:
        return ""
    optics = 0.0 if fit.instrument.calibrated else report.OPTICS_CELL_STD
    ranges = _family_ranges(phase) if phase.is_apatite else phase.cell_tolerance
    for axis, (low, high) in ranges.items():
        found, nominal = fit.parameter("cell", phase.id, axis), float(getattr(phase.cell, axis))
        if found is None or found.std is None:
            continue
        change, error = found.value / nominal - 1.0, _SURE * float(np.hypot(found.std / nominal, optics))
        if not low - error <= change <= high + error:
            side = "longer" if change > 0 else "shorter"
            return (
                f"{axis} would have to be {found.value:.4f} Å, {100 * abs(change):.2f} % {side} than that of "
                f"{phase.name.lower() if phase.name.istitle() else phase.name}, which allows {100 * low:+.2f} to "
                f"{100 * high:+.2f} %"
            )
    return ""


def _family_ranges(phase: Phase) -> dict[str, tuple[float, float]]:
    """Ranges of a and c relative to an apatite's own, from the smallest to the largest of the library's members."""
    members = [member for member in library(()) if member.is_apatite]
    out = {}
    for axis in ("a", "c"):
        nominal = float(getattr(phase.cell, axis))
        ends = [float(getattr(member.cell, axis)) / nominal - 1.0 for member in members]
        out[axis] = min(ends) - _SUBSTITUTED, max(ends) + _SUBSTITUTED
    return out
