"""A model at its minimum, and the FitResult that follows from it: curves, parameters, amounts, messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import linalg

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, message_kind
from xrdcomp.physics.amorphous import HolderMatch, best_holder
from xrdcomp.physics.profiles import pseudo_voigt_value
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.covariance import (
    FOREIGN_LIPID,
    GOOD_FIT_GOF,
    Evidence,
    LipidAmount,
    collect_evidence,
    misfit_covariance,
)
from xrdcomp.refinement.detector import PointFaults, background_subtracted
from xrdcomp.refinement.model import ALL_AMORPHOUS, CORRECTION_STD, ModelSetup, PatternModel, Points, padding_points
from xrdcomp.refinement.parameters import FitParameter, ParameterTable
from xrdcomp.refinement.reflections import SCHERRER_CONSTANT, PhaseReflections
from xrdcomp.refinement.solver import Solution, solve_linear
from xrdcomp.refinement.tilt import Tilt, states_nothing, tilts
from xrdcomp.refinement.unsought import CALLED_FOR, DECISIVE, Unsought
from xrdcomp.results import Estimate, FitResult, ParameterId, Quality, ReflectionTable, XrdAmounts, parameter_name
from xrdcomp.units import FloatArray

# What a model leaves open beyond the covariance of its minimum, as standard uncertainties.

# Relative, of cell lengths, from aberrations nobody measured: what a refined cell of LaB6 moves by between the
# admissible axial correlations and divergences of `instrument.build`.
_OPTICS_CELL_STD = 1.2e-5
# The same where emission lines are taken as symmetric: centroid and top of Cu Kα1 differ by 3.7e-5 [Hölzer et al. 1997
# Phys. Rev. A 56, 4554], and broad reflections follow the centroid, tables of wavelengths the top.
_SPECTRUM_CELL_STD = 4e-5
_OPTICS_DISPLACEMENT_STD = 7e-6  # the same of a displacement, as a share of the goniometer's radius
# Of a refined transparency, as a share and in mm, and what it leaves of the displacement, per mm: the decay with
# depth is modelled by its mean and variance, which moves depths of 0.2 to 1.2 mm by a tenth.
_DEPTH_RELATIVE_STD, _DEPTH_STD_MM, _DEPTH_ON_DISPLACEMENT = 0.15, 0.03, 0.02
# Relative, of a size: a distribution of sizes and shapes has no pseudo-Voigt profile, which moves lengths of simulated
# lognormal crystals by 2 to 4 %.
_SIZE_SHAPE_STD = 0.04
# 1/nm, what an instrument file leaves open of a size: the standard's own crystallites of about a micrometre.
_STANDARD_OWN = 0.001
_GENERIC_WIDTH_STD = 0.03  # degrees, of widths where nobody calibrated: 0.05 to 0.12° are usual

# Thresholds of the messages.

POOR_FIT_GOF = 6.0  # goodness of fit beyond which a fit is no evidence
POOR_FIT_MISFIT = 0.20  # of sqrt(Rwp² - Rexp²): few counts excuse no fit that leaves a fifth of the intensity
USELESS_MISFIT = 0.50  # of the same: where half of the intensity is left, no number of the fit may be used
_FEWEST_UNKNOWN = 3  # reflections that make unknown crystals of what is left
_LOW_COUNTS = 300.0
_MOST_NAMED = 8  # places that a message lists
# Standard deviations and share of the misfit from which on the highest intensities are said to be too low.
_CLEARLY_LOW, _MOSTLY_LOW = 8.0, 0.25
# Misfit, over what counting leaves, that counts as this much at least: less may come from profiles that the model does
# not quite describe, as those of sizes with other distributions.
_LEAST_EXCESS = 0.4
_EXTRA_B = 0.5  # Å²
# Å² from which on a geometry that puts it right is asked after, and by what χ² must fall; where the fit is not good B
# need not be off, and χ² must fall by far more over the misfit that the geometry leaves.
_BENT_B, _TILT_GAIN, _CLEAR_TILT_GAIN = 0.25, 12.0, 100.0
_HOLDER_Z = 4.0
_HOLDER_HEIGHT = 0.04  # of the median intensity

LOW_COUNTS = message_kind(
    "XRD_LOW_COUNTS",
    "warning",
    "The strongest point of the pattern has few counts, so that noise hides minor phases and amorphous scattering.",
    remedy="Count longer.",
    threshold=f"{_LOW_COUNTS:g} counts",
    origin="judgement: a phase of a few per cent is then lost in the noise",
)
PADDING_LEFT_OUT = message_kind(
    "XRD_PADDING_LEFT_OUT",
    "info",
    "Zeros at the end of the scan, next to a level well above zero, were regarded as padding of the file and left out.",
)
SPIKES_LEFT_OUT = message_kind(
    "XRD_SPIKES_LEFT_OUT",
    "info",
    "Single points far above or below both neighbours, narrower than any reflection of the scan, were regarded as "
    "faults of the detector (cosmic rays, dead channels) and left out.",
    threshold="8 standard deviations from a cubic through four neighbours, which rise by less than 15 % of it",
    origin="a reflection 1.15 steps broad; other reflections of the scan must be broader, or the step at most 0.0225 "
    "degrees",
)
SATURATED = message_kind(
    "XRD_DETECTOR_SATURATED",
    "warning",
    "The highest points of the pattern all have the same value, the limit of the detector or of the file. They were "
    "left out; the fit uses the flanks of these reflections.",
    remedy="Measure with a lower current, an absorber or a narrower slit.",
    threshold="three neighbouring points or five in all at exactly the highest value, which must be 900 counts or more",
    origin="counts of 900 scatter by 30, so that three neighbours are equal in one of some thousand scans",
)
SUBTRACTED = message_kind(
    "XRD_BACKGROUND_SUBTRACTED",
    "warning",
    "Low intensities scatter like much higher ones, which shows that a background was subtracted from the pattern. "
    "Amorphous scattering may have been removed too, so that the fraction of crystals in the specimen is not given.",
    remedy="Give the pattern as it was measured; if nothing was subtracted, set fit.background = 'physical'.",
    threshold="variance over intensity of the lowest quarter 2.2 times that of the upper half, if that is of counts; "
    "for values on any scale 3 times the least at any intensity, in each half of the scan as well",
    origin="measured scans reach 1.7, scans after subtraction of three quarters of their background 2.5 and more; on "
    "any scale measured scans reach 2.5, and scans after subtraction of all of it 2.5 to 35",
)
COMPRESSED = message_kind(
    "XRD_STRONG_REFLECTIONS_LOW",
    "warning",
    "Measured intensities fall short of the fit, the more the higher they are, as with dead time of a detector, "
    "extinction in large crystals, and sometimes reflections of few grains. Amounts of the phases with the strongest "
    "reflections are too low.",
    remedy="Measure with a lower current or an absorber and compare; grind the powder.",
    threshold=f"a term in the square of the intensity is negative by {_CLEARLY_LOW:g} standard deviations and removes "
    f"{100 * _MOSTLY_LOW:g} % of χ² beyond counting, taken as {100 * _LEAST_EXCESS:g} % of that of counting at least",
    origin="simulated powders: losses of 13 % at the highest point account for 5 to 90 %, of 30 % for 36 to 94 %; "
    "measured scans at most 9 %",
)
POOR_FIT = message_kind(
    "XRD_POOR_FIT",
    "warning",
    "The fit does not describe the pattern; a phase, the wavelength or the radiation is probably wrong. Do not rely on "
    "the amounts and limits of this fit.",
    remedy="Check the radiation, search the library, look at the figure, name the phases.",
    threshold=f"root mean square residual of {POOR_FIT_GOF:g} standard deviations, or sqrt(Rwp² - Rexp²) of "
    f"{POOR_FIT_MISFIT:.2f}",
    origin="clean powders with high counts reach 3 because of imperfect profiles; measured powders with the right "
    "phases and wavelength stay below 0.15",
)
DESCRIBES_NOTHING = message_kind(
    "XRD_FIT_DESCRIBES_NOTHING",
    "error",
    "The fit leaves half of the intensity unexplained, which is not due to reflections of unknown crystals. Neither "
    "amounts nor detection limits are given.",
    remedy="Check that the file is a powder scan (not a rocking curve, a single crystal or a film), its radiation "
    "(radiation, wavelength) and its range.",
    threshold=f"sqrt(Rwp² - Rexp²) of {USELESS_MISFIT:.2f} outside unknown reflections, or including them if they are "
    "fewer than three",
    origin="judgement: between unknown reflections, measured patterns of minerals outside the library stay below 0.35, "
    "a rocking curve reaches 0.9",
)
NOT_CONVERGED = message_kind(
    "XRD_NOT_CONVERGED",
    "warning",
    "The minimisation reached its limit of iterations without converging.",
    remedy="Check phases, wavelength and range, or raise fit.max_iterations.",
)
BLANK_MISSING = message_kind(
    "XRD_BLANK_MISSING",
    "info",
    "No empty-holder scan was given; only by its shape is the scattering of air and holder distinguished from the "
    "amorphous scattering of the specimen.",
    remedy="Measure the empty holder under the same conditions and give the scan as blank.",
)
HOLDER_SHOWS = message_kind(
    "HOLDER_HUMP",
    "warning",
    "The pattern contains the broad maxima of a holder of glass, PMMA or Kapton. PMMA is fitted as well (polymer) and "
    "counted as organic matter, because a specimen embedded in it looks the same.",
    remedy="Give the scan of the empty holder as blank, or use a zero-background holder.",
    threshold=f"z of {_HOLDER_Z:g}, and {100 * _HOLDER_HEIGHT:g} % of the median intensity",
    origin="judgement",
)


APATITE_B_TILTED = message_kind(
    "XRD_APATITE_B_TILTED",
    "warning",
    "The intensities of apatite change with the angle in a way that neither its structure nor disorder explains. The "
    "geometry is probably not the stated one, and the amounts are affected as well.",
    remedy="State instrument.geometry, instrument.incidence_angle, instrument.absorption_radius (a thin layer), "
    "instrument.specimen_length_mm with equatorial_divergence, or variable_slit.",
    threshold=f"B {_EXTRA_B:g} Å² above or below the structure's, exceeded by two standard deviations",
    origin="carbonated nano-apatites have 0 to 0.4 Å²; plates normal to the beam and thin layers give 0.8 to 4, fixed "
    "incidence and beams longer than the specimen about -1",
)
GEOMETRY_SHOWS = message_kind(
    "XRD_GEOMETRY_SHOWS",
    "warning",
    "Reflections and amorphous scattering change with the angle together, as in a geometry that was not stated; the "
    "amounts are those of a thick, long specimen in symmetric reflection.",
    remedy="State the geometry that was used, or check the length of the specimen and the slits.",
    threshold=f"with this geometry B of apatite is within {_EXTRA_B:g} Å² of that of the structure; without it B "
    f"differs by {_BENT_B:g} Å² and two standard deviations, and χ² decreases by {_TILT_GAIN:g}, misfit included, or, "
    f"if the goodness of fit exceeds {GOOD_FIT_GOF:g}, by {_CLEAR_TILT_GAIN:g} divided by the remaining misfit",
    origin="apatite beside amorphous matter that was not calculated by this program (docs/evidence/diffuse.md): 24 and "
    "more in wrong geometries; in the right one up to 33 if the halos differ from the model, but B then does not "
    "change or leaves its range",
)
FOREIGN_AMORPHOUS = message_kind(
    "XRD_AMORPHOUS_OF_OTHER_KIND",
    "warning",
    "The amorphous matter is none of the fitted components; lipid is negative, as for a glass, a polymer or another "
    "material with its first maximum at a different angle.",
    remedy="Name it (fit.amorphous with polymer), or measure it and pass fit.amorphous_patterns.",
    threshold=f"lipid below {FOREIGN_LIPID:g} of all amorphous matter, and two standard deviations below zero; "
    "all amorphous matter two above",
    origin="silica, obsidian and polymers fitted with protein, lipid and water",
)


UNSOUGHT_CALLED_FOR = message_kind(
    "XRD_AMORPHOUS_NOT_SOUGHT",
    "warning",
    "The pattern requires an amorphous component that is not in fit.amorphous. Its scattering was attributed to the "
    "fitted components and to the background; the uncertainties of the amounts include the difference to the fit with "
    "all components.",
    remedy="Add it to fit.amorphous, or omit this setting, so that all components are fitted.",
    threshold=f"χ² lower by {CALLED_FOR:g} with all components, divided by the remaining misfit and its correlation",
    origin="five standard deviations; if no component is missing χ² decreases by up to 14, otherwise mostly by 100 and "
    "more",
)
MONOCHROMATOR_INFERRED = message_kind(
    "XRD_MONOCHROMATOR_INFERRED",
    "info",
    "The polarisation of the beam was not stated; it was determined from the intensities of a phase whose B is known "
    "whether there was a graphite monochromator.",
    remedy="State instrument.monochromator_two_theta (26.6 for graphite with Cu Kα).",
    threshold=f"χ² lower by {DECISIVE:g} with the monochromator, misfit included; otherwise none is assumed",
    origin="odds of 20; the wrong choice changes B by 0.1 Å² and fractions of crystals by some 0.3 wt%",
)


def describes_pattern(gof: float, rwp: float) -> bool:
    """Tell whether a fit is good enough to be evidence, by the scatter that counting explains and the intensity left.

    `gof` is Rwp / Rexp, `rwp` the weighted profile R factor with the background not subtracted.
    """
    return bool(gof <= POOR_FIT_GOF and _misfit(gof, rwp) <= POOR_FIT_MISFIT)


def _misfit(gof: float, rwp: float) -> float:
    """Share of the intensity that counting does not explain, sqrt(Rwp² - Rexp²)."""
    return float(rwp * np.sqrt(max(1.0 - 1.0 / max(gof, 1e-9) ** 2, 0.0)))


ROLLING_HALF_WINDOW = 2.0  # degrees, of the background with which the one of a fit is compared


def rolling_background(curve: FloatArray, step: float, half_window: float = ROLLING_HALF_WINDOW) -> FloatArray:
    """Background by clipping peaks, y ← min(y, mean of the values w to either side), w falling to one point.

    [Ryan et al. 1988 Nucl. Instrum. Methods B34, 396, without its logarithms]; `step` between points and the first w,
    `half_window`, in degrees.
    """
    out = curve.copy()
    for w in range(max(round(half_window / step), 1), 0, -1):
        if 2 * w < len(out):
            out[w:-w] = np.minimum(out[w:-w], 0.5 * (out[: -2 * w] + out[2 * w :]))
    return out


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """A model at its minimum on the points of a pattern, and the results that follow from it."""

    pattern: Pattern
    setup: ModelSetup
    points: Points
    table: ParameterTable  # starts at the minimum
    model: PatternModel
    solution: Solution
    # Standard deviations by parameter from a constant shift and a displacement of the specimen being hard to tell
    # apart.
    shift_std: Mapping[str, float] = field(default_factory=dict)
    # By how much a graphite crystal lowers the sum of squares, misfit counted in; None where that was not asked.
    monochromator_gain: float | None = None
    # What asked for the polymer that is fitted although nobody named it.
    polymer_shown: HolderMatch | None = None
    # Of phases weighed by their free reflections, amounts over those of this minimum, and relative standard deviations.
    weighed: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    # What brings a fit to its minimum that was left near it; None where it is there.
    to_minimum: Callable[[], FittedModel] | None = field(default=None, repr=False, compare=False)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases of the fit."""
        return self.setup.phases

    @property
    def instrument(self) -> Instrument:
        """Instrument of the fit; refined values are in the solution."""
        return self.setup.instrument

    @property
    def recipe(self) -> FitRecipe:
        """Settings of the fit."""
        return self.setup.recipe

    @cached_property
    def evidence(self) -> Evidence:
        """Amounts of every component with their covariance, and that of the parameters."""
        evidence = collect_evidence(self.model, self.solution, self.points, self.recipe)
        if self.points.unknown is None:
            return evidence
        amounts = evidence.amounts
        factor, relative = np.array([self.weighed.get(name, (1.0, 0.0)) for name in amounts.names]).T
        own, scale = factor * amounts.amounts, np.outer(factor, factor)
        counted = amounts.counting_covariance
        weighed = replace(
            amounts,
            amounts=own,
            covariance=scale * amounts.covariance
            + np.diag((relative * np.maximum(own, 0.0)) ** 2)
            + np.outer(shared := self._amorphous_or_unknown(evidence), shared),
            counting_covariance=None if counted is None else scale * counted,
        )
        return replace(evidence, amounts=weighed)

    def _amorphous_or_unknown(self, evidence: Evidence) -> FloatArray:
        """Change of the amounts if amorphous matter had what was taken off for unknown crystals, (amounts,).

        Feet of crowded reflections and broad ones of small crystals are not told from amorphous scattering.
        """
        model, solution, points = self.model, self.solution, self.points
        assert points.unknown is not None
        amorphous = model.of_kind("amorphous")
        free = solution.active | amorphous
        columns = solution.columns[:, free] / points.sigma[:, None]
        normal = evidence.gram[np.ix_(free, free)] + np.diag(solution.linear_prior[free])
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        normal = normal / np.outer(scale, scale) + 1e-9 * np.eye(len(normal))
        change = np.zeros(len(free))
        change[free] = np.linalg.solve(normal, columns.T @ (points.unknown / points.sigma) / scale) / scale
        return (change * amorphous)[model.of_kind("phase", "amorphous")]

    @cached_property
    def background_subtracted(self) -> bool:
        """Whether a background had been taken off the pattern, as its scatter tells and nobody denied."""
        return self.recipe.background != "physical" and background_subtracted(self.pattern)

    @property
    def residual(self) -> FloatArray:
        """(observed − calculated) / sigma on the points, (n,)."""
        return self.solution.residual(self.points)

    @property
    def goodness(self) -> float:
        """Goodness of fit: root of the mean squared residual in standard deviations, free numbers allowed for."""
        residual, masked = self.residual, int(self.points.masked.sum())
        return float(np.sqrt(residual @ residual / max(len(residual) - masked - self.solution.n_free, 1)))

    @property
    def rwp(self) -> float:
        """Weighted profile R factor, background not subtracted."""
        observed = self.points.intensity / self.points.sigma
        return float(np.sqrt((self.residual**2).sum() / (observed**2).sum()))

    @property
    def unknown_curve(self) -> FloatArray:
        """Intensity of unknown crystals: what was taken off, and all that is left under masked points, (n,)."""
        points = self.points
        left = np.where(points.masked, points.intensity - self.solution.calculated, 0.0)
        return left if points.unknown is None else left + points.unknown

    @property
    def describes_pattern(self) -> bool:
        """Verdict of `describes_pattern` on this fit, free parameters not allowed for."""
        visible = self.residual[~self.points.masked]
        return describes_pattern(float(np.sqrt((visible**2).mean())) if len(visible) else np.inf, self.rwp)

    @cached_property
    def amounts(self) -> XrdAmounts:
        """Amounts with what misfit leaves open beyond the covariance that the search worked with."""
        evidence, factors = self.evidence, self.evidence.grain_factors
        misfit = misfit_covariance(self.model, self.solution, self.points, evidence.inflation)
        misfit, called_for = misfit / np.outer(factors, factors), tuple[str, ...]()
        if (unsought := self.unsought) is not None:
            misfit, called_for = misfit + unsought.covariance, unsought.called_for
        shown = None if evidence.amounts.blank_measured else self.polymer_shown or self.holder_shown
        holder = 0.0 if shown is None else min(shown.height, 1.0)
        return replace(evidence.amounts, misfit_covariance=misfit, called_for=called_for, holder_share=holder)

    @cached_property
    def unsought(self) -> Unsought | None:
        """What amorphous components that were left out would change; None where none were."""
        return None

    @cached_property
    def quality(self) -> Quality:
        """Worth of this fit as evidence, see `FitResult`.

        Reflections of unknown crystals are no misfit, unless they are so few that they may be anything.
        """
        points, masked = self.points, self.points.masked
        visible = self.residual[~masked]
        scatter = float(np.sqrt((visible**2).mean())) if len(visible) else np.inf
        if _misfit(scatter, self.rwp) > USELESS_MISFIT:
            return "useless"
        n_unknown = int((np.diff(masked.astype(int), prepend=0) > 0).sum())
        left = (points.intensity - self.solution.calculated) / points.own_sigma
        rwp = float(np.sqrt((left**2).sum() / ((points.intensity / points.own_sigma) ** 2).sum()))
        if n_unknown < _FEWEST_UNKNOWN and _misfit(float(np.sqrt((left**2).mean())), rwp) > USELESS_MISFIT:
            return "useless"
        return "describes" if self.describes_pattern else "doubtful"

    @property
    def quality_reason(self) -> str:
        """Figures that the `quality` rests on; empty where the fit describes the pattern."""
        figures = f"goodness of fit {self.goodness:.1f}, Rwp {100 * self.rwp:.0f} %"
        told = {
            "describes": "",
            "doubtful": f"The fit does not describe the pattern everywhere ({figures}).",
            "useless": f"The fit leaves half of the pattern unexplained and cannot be used ({figures}).",
        }
        return told[self.quality]

    def parameter(self, kind: str, phase: str = "", axis: str = "") -> Estimate | None:
        """Estimate of a parameter by what it is (see `results.ParameterId`); None where the fit has no such one."""
        wanted = ParameterId(kind=kind, phase=phase, axis=axis)
        item = next((item for item in self.table.items if item.id == wanted), None)
        return None if item is None else self._estimate(item)

    def cell(self, phase: str) -> FloatArray:
        """Edges (Å) and angles (degrees) of a phase at the minimum, (6,), by its id."""
        item = self.model.reflections[self.model.phase_ids.index(phase)]
        return item.cell6(item.free_cell(self.solution.values))

    def _estimate(self, item: FitParameter) -> Estimate:
        value = self.solution.values[item.name]
        free = [other.name for other in self.table.free]
        if item.name not in free:
            return Estimate(value=value, std=None, unit=item.unit)
        variance = self.evidence.parameter_covariance.diagonal()[free.index(item.name)]
        std = np.hypot(np.sqrt(max(variance, 0.0)), self._model_std(item, value))
        std = np.hypot(std, self.shift_std.get(item.name, 0.0))
        return Estimate.normal(value, float(std), unit=item.unit)

    def _model_std(self, item: FitParameter, value: float) -> float:
        """Return what the model leaves open of a parameter beyond the covariance."""
        instrument, kind = self.instrument, item.id.kind
        if kind == "cell" and item.unit == "Å" and not instrument.calibrated:
            skew = all(line.fwhm == 0.0 for line in instrument.emission_lines)
            return float(np.hypot(_OPTICS_CELL_STD, _SPECTRUM_CELL_STD if skew else 0.0)) * value
        if kind == "sample_displacement_mm":
            optics = 0.0 if instrument.calibrated else _OPTICS_DISPLACEMENT_STD * instrument.radius_mm
            return float(np.hypot(optics, _DEPTH_ON_DISPLACEMENT * self.solution.value("transparency_mm")))
        if kind == "transparency_mm":
            return float(np.hypot(_DEPTH_RELATIVE_STD * value, _DEPTH_STD_MM))
        if kind != "inverse_size":
            return 0.0
        own = _STANDARD_OWN
        if not instrument.calibrated:
            own = _GENERIC_WIDTH_STD / float(np.degrees(SCHERRER_CONSTANT * instrument.wavelength / 10.0))
        return float(np.hypot(_SIZE_SHAPE_STD * value, own))

    def result(self) -> FitResult:
        """Curves, parameters with uncertainties, amounts and messages of the fit."""
        model, solution = self.model, self.solution
        c = solution.coefficients
        curves = {column.name: solution.columns[:, i] * c[i] for i, column in enumerate(model.columns)}
        names = [column.name for column in model.columns if column.kind == "amorphous"]
        largest = max(names, key=lambda name: float(curves[name].sum()), default="")
        parts = {name: curves[name].copy() for name in (*names, *model.phase_ids)}
        for column in model.columns:
            if column.kind == "mode":
                owner = largest if column.parent == ALL_AMORPHOUS else column.parent
                parts[owner] = parts[owner] + curves[column.name]
        amorphous = {name: parts[name] for name in names}
        instrument_part = model.of_kind("background", "correction")
        pairs = zip(model.phase_ids, self._bragg_curves, c, strict=False)
        bragg = {name: float(np.trapezoid(curve, model.two_theta) * scale) for name, curve, scale in pairs}
        smooth = [np.trapezoid(np.maximum(curve, 0.0), model.two_theta) for curve in amorphous.values()]
        unknown = self.unknown_curve
        return FitResult(
            two_theta=model.two_theta,
            observed=self.points.measured,
            sigma=self.points.own_sigma,
            calculated=solution.calculated + unknown,
            unidentified=unknown if unknown.any() else None,
            background=solution.columns[:, instrument_part] @ c[instrument_part],
            amorphous=amorphous,
            phases={name: parts[name] for name in model.phase_ids},
            reflections={item.phase.id: self._reflections(item) for item in model.reflections},
            parameters={item.name: self._estimate(item) for item in self.table.items},
            covariance_names=tuple(item.name for item in self.table.free),
            covariance=self.evidence.parameter_covariance,
            amounts=self.amounts,
            wavelengths=tuple(line.wavelength for line in self.instrument.emission_lines),
            n_parameters=solution.n_free,
            n_iterations=solution.n_iterations,
            converged=solution.converged,
            crystallinity=self._crystallinity(bragg, sum(map(float, smooth))),
            bragg_area=bragg,
            bragg_area_lost=self._bragg_area_lost(bragg),
            quality=self.quality,
            quality_reason=self.quality_reason,
            messages=self._messages(),
        )

    def _reflections(self, item: PhaseReflections) -> ReflectionTable:
        """Positions and widths at the strongest wavelength, areas and heights of all reflections inside the range."""
        found = item.at(self.solution.values, slopes=False)
        strongest = item.frozen.wavelength == self.instrument.wavelength
        n, every, own = len(item.hkl), item.frozen.reflection, item.frozen.reflection[strongest]
        weight = np.bincount(own, found.intensity[strongest], minlength=n)
        moment = np.bincount(own, (found.intensity * found.position)[strongest], minlength=n)
        widths = found.widths
        with np.errstate(invalid="ignore", divide="ignore"):
            position = moment / weight
            fwhm = np.bincount(own, (found.intensity * widths.fwhm)[strongest], minlength=n) / weight
        x = self.model.two_theta
        inside = np.flatnonzero(np.isfinite(position) & (position >= x[0]) & (position <= x[-1]))
        # reflections of one angle differ in the last digits only, which must not decide on their order
        order = inside[np.lexsort((*-item.hkl[inside].T[::-1], np.round(position[inside], 6)))]
        relative = weight[order].astype(float)
        top = relative.max() if len(relative) else 1.0
        at_place = pseudo_voigt_value(position[every] - found.position, widths.fwhm, widths.eta)
        phase = self.model.phase_ids.index(item.phase.id)
        factor = self.solution.coefficients[phase] * np.interp(position[order], x, self.model.slit)
        return ReflectionTable(
            hkl=item.hkl[order],
            two_theta=position[order],
            intensity=100.0 * relative / top,
            d_spacing=item.d_spacing(self.solution.values)[order],
            area=factor * np.bincount(every, found.intensity, minlength=n)[order],
            height=factor * np.bincount(every, found.intensity * at_place, minlength=n)[order],
            fwhm=fwhm[order],
        )

    @cached_property
    def _bragg_curves(self) -> list[FloatArray]:
        """Bragg scattering of each phase per gram on the points, diffuse scattering taken off."""
        slit, columns, values = self.model.slit, self.solution.columns, self.solution.values
        return [columns[:, k] - slit * r.diffuse_at(values) for k, r in enumerate(self.model.reflections)]

    def _crystallinity(self, bragg: Mapping[str, float], amorphous_area: float) -> Estimate | None:
        """Bragg area over Bragg plus amorphous area on the fitted range; its uncertainty follows from the amounts."""
        crystalline = sum(max(area, 0.0) for area in bragg.values())
        total = crystalline + amorphous_area
        if total <= 0.0:
            return None
        value = crystalline / total
        amounts = self.evidence.amounts
        relative = []
        for flag in (True, False):
            pick = np.array(amounts.crystalline) == flag
            amount = float(np.maximum(amounts.amounts[pick], 0.0).sum())
            variance = float(amounts.covariance[np.ix_(pick, pick)].sum())
            relative.append(np.sqrt(max(variance, 0.0)) / amount if amount > 0 else 0.0)
        std = float(value * (1.0 - value) * np.hypot(relative[0], relative[1]))
        return Estimate.normal(value, std, low=0.0, high=1.0)

    def _bragg_area_lost(self, areas: Mapping[str, float]) -> dict[str, float]:
        """Shares of the crystalline phases' Bragg area that the background takes, or would take.

        Positions, widths and forms are held and the linear problem is solved with the physical background
        (non-negative falling terms, corrections of one per cent) and with a free polynomial. ``fit``: what the
        background of this fit takes more than the physical one, 0 for that one itself; negative where it takes less.
        ``free_polynomial``: what that would take; the amounts lean on the background by so much. ``rolling``: what
        lies under a rolling background of ± 2° laid under the fitted reflections, which a fit does not lose and an
        area ratio does. Empty without reflections.
        """
        total, solution, model, gram = sum(areas.values()), self.solution, self.model, self.evidence.gram
        if not total > 0.0:
            return {}
        c, n = solution.coefficients, len(self.phases)
        held = (CORRECTION_STD * float(np.median(self.points.intensity)) or 1.0) ** -2
        with_background, slow = [], np.array([c.kind == "correction" and not c.parent for c in model.columns])
        for precision, bounded in ((held, True), (0.0, False)):
            prior = np.where(slow, precision, solution.linear_prior)
            nonnegative = np.where(model.of_kind("background"), bounded, model.nonnegative)
            normal = gram + np.diag(prior + 1e-12 * np.diag(gram))
            found = solve_linear(normal, self.evidence.right, nonnegative)
            kept = zip(areas.values(), found[:n], c[:n], strict=True)
            with_background.append(float(sum(area * new / old for area, new, old in kept if old != 0.0)))
        physical, free = with_background
        bragg = np.maximum(sum(k * curve for k, curve in zip(c[:n], self._bragg_curves, strict=True)), 0.0)
        out = {"rolling": float(rolling_background(bragg, self.points.step).sum() / bragg.sum())}
        if physical > 0.0:
            out["fit"] = 1.0 - total / physical if self.recipe.background == "flexible" else 0.0
            out["free_polynomial"] = 1.0 - free / physical
        return out

    def _compression(self) -> tuple[float, float, float]:
        """Loss at the highest point if losses grow with the intensity, in its standard deviations; share of misfit.

        A term in the square of the calculated intensity, which a dead time or extinction makes negative, is fitted
        beside all linear coefficients and, to first order, all parameters: widths, texture and displacements take up
        most of a loss, and what is left of it beside them has its form all the same.
        """
        points, solution, seen = self.points, self.solution, ~self.points.masked
        curve, sigma, residual = solution.calculated[seen], points.sigma[seen], self.residual[seen]
        top = float(curve.max(initial=0.0))
        excess = float(residual @ residual) - len(residual)
        if not seen.any() or top <= 0.0 or excess <= 0.0:
            return 0.0, 0.0, 0.0
        own = np.concatenate([solution.columns, solution.jacobian], axis=1)[seen] / sigma[:, None]
        normal = own.T @ own + np.diag(np.concatenate([solution.linear_prior, solution.parameter_prior]))
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        normal = normal / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
        square = curve**2 / top / sigma
        left = square - own @ (np.linalg.solve(normal, own.T @ square / scale) / scale)
        information = float(left @ square)
        if information <= 0.0:
            return 0.0, 0.0, 0.0
        loss = -float(left @ residual) / information
        gain = loss**2 * information
        inflation = max((excess - gain) / len(residual) + 1.0, 1.0)
        share = gain / max(excess, _LEAST_EXCESS * len(residual))
        return loss, loss * float(np.sqrt(information / inflation)), share

    def _messages(self) -> tuple[Diagnostic, ...]:
        out = []
        peak = float(self.points.intensity.max())
        if self.pattern.intensity_unit == "counts" and peak < _LOW_COUNTS:
            text = f"The strongest point has {peak:.0f} counts, so that noise hides minor phases and halos."
            out.append(LOW_COUNTS(f"{text} {LOW_COUNTS.remedy}", peak_counts=peak))
        padding = int(padding_points(self.pattern).sum())
        if padding:
            text = (
                f"{padding} point(s) at the end of the scan are exactly zero next to a level well above zero; they "
                "were regarded as padding of the file and left out."
            )
            out.append(PADDING_LEFT_OUT(text, points=padding))
        if self.background_subtracted:
            out.append(SUBTRACTED(f"{SUBTRACTED.meaning} {SUBTRACTED.remedy}"))
        faults = PointFaults.of(self.pattern, self.instrument.wavelength)
        if faults.spikes.any():
            places = self.pattern.two_theta[faults.spikes]
            listed = ", ".join(f"{place:.2f}" for place in places[:_MOST_NAMED])
            listed += " …" if len(places) > _MOST_NAMED else ""
            text = f"{len(places)} single point(s) at {listed} degrees are narrower than any reflection and were left "
            out.append(SPIKES_LEFT_OUT(f"{text}out as detector faults.", points=len(places)))
        if faults.saturated.any():
            places = self.pattern.two_theta[faults.saturated]
            text = (
                f"{len(places)} points from {places[0]:.2f} to {places[-1]:.2f} degrees have exactly the highest "
                f"value, {faults.ceiling:g}, which is the limit of the detector or of the file. They were left out; "
                f"the fit uses the flanks of these reflections. {SATURATED.remedy}"
            )
            out.append(SATURATED(text, points=len(places), ceiling=faults.ceiling))
        loss, z, share = self._compression()
        if z > _CLEARLY_LOW and share > _MOSTLY_LOW:
            text = (
                f"The highest intensities of the pattern are about {100 * loss:.0f} % lower than in the fit, and lower "
                "ones by less, as with dead time of the detector, extinction in large crystals, or few grains. "
                f"{COMPRESSED.remedy}"
            )
            out.append(COMPRESSED(text, loss=loss))
        if self.quality == "useless":
            out.append(DESCRIBES_NOTHING(f"{self.quality_reason} {DESCRIBES_NOTHING.remedy}", rwp=self.rwp))
        elif not self.describes_pattern:
            gof, rwp = self.goodness, self.rwp
            text = (
                f"The residual is {gof:.1f} times the scatter expected from counting (goodness of fit {gof:.1f}, Rwp "
                f"{100 * rwp:.0f} %); a phase, the wavelength or the kind of radiation is probably wrong. Do not rely "
                f"on the amounts and limits of this fit. {POOR_FIT.remedy}"
            )
            out.append(POOR_FIT(text, gof=gof, rwp=rwp))
        if not self.solution.converged:
            iterations = self.solution.n_iterations
            text = f"The fit stopped after {iterations} iterations without converging. {NOT_CONVERGED.remedy}"
            out.append(NOT_CONVERGED(text, iterations=iterations))
        out += self._symptoms() if self.describes_pattern else []
        if (gain := self.monochromator_gain) is not None:
            found = "one was" if gain > DECISIVE else "none was" if gain < -DECISIVE else "this is undecided, none was"
            text = f"{MONOCHROMATOR_INFERRED.meaning} χ² is lower by {gain:.0f} with it; {found} assumed. "
            remedy = "" if abs(gain) > DECISIVE else MONOCHROMATOR_INFERRED.remedy
            out.append(MONOCHROMATOR_INFERRED((text + remedy).strip(), gain=gain))
        if self.model.of_kind("amorphous").any() and not self.model.blank_measured:
            text = (
                "No empty-holder scan was given. Only by its shape is the scattering of air and holder distinguished "
                "from the halo of the specimen, so that amorphous amounts from X-rays are uncertain by some 20 % of "
                f"their value. {BLANK_MISSING.remedy}"
            )
            out += [BLANK_MISSING(text), *self._holder_messages()]
        return tuple(out)

    def _symptoms(self) -> list[Diagnostic]:
        """Say what shows that geometry or amorphous matter are others than the model has."""
        out = []
        if self.unsought is not None and (names := self.unsought.called_for):
            shares = ", ".join(f"{name} ({100 * self.unsought.shares[name]:.0f} %)" for name in names)
            wanted = ", ".join(f'"{name}"' for name in (*self.evidence.amounts.sought, *names))
            text = (
                f"{UNSOUGHT_CALLED_FOR.meaning} Its share of all amorphous matter would be: {shares}; χ² decreases by "
                f"{self.unsought.gain:.0f}. Set fit.amorphous = [{wanted}], or omit this setting, so that all "
                "components are fitted."
            )
            out.append(UNSOUGHT_CALLED_FOR(text, components=", ".join(names), gain=self.unsought.gain))
        for phase in self.phases:
            extra = self.parameter("b_extra", phase.id)
            if not phase.facts.is_apatite or extra is None or extra.std is None:
                continue
            if abs(extra.value) - 2.0 * extra.std > _EXTRA_B:
                text = (
                    f"B of {phase.name.lower()} differs by {extra.value:+.1f} ± {extra.std:.1f} Å² from that of the "
                    "structure. "
                    f"{APATITE_B_TILTED.meaning} {APATITE_B_TILTED.remedy}"
                )
                out.append(APATITE_B_TILTED(text, phase=phase.id, b_extra=extra.value))
        if (tilt := self.tilt) is not None:
            text = f"The pattern indicates {tilt.what}; χ² decreases by {tilt.gain:.0f}. {GEOMETRY_SHOWS.meaning} "
            out.append(GEOMETRY_SHOWS(f"{text}Set {tilt.setting} if so.", geometry=tilt.what, gain=tilt.gain))
        found = self.evidence.amounts
        if "lipid" in found.sought:
            crystalline = np.array(found.crystalline)
            own = LipidAmount.of(found.names, crystalline, self.evidence.unbounded, found.covariance)
            below = min(FOREIGN_LIPID * own.whole, -2.0 * own.lipid_std)
            if own.whole > 2.0 * own.whole_std and own.lipid < below:
                share = own.lipid / own.whole
                text = f"The fraction of lipid in the amorphous matter is {share:.2f}. {FOREIGN_AMORPHOUS.meaning} "
                out.append(FOREIGN_AMORPHOUS(text + FOREIGN_AMORPHOUS.remedy, share=share))
        return out

    @cached_property
    def tilt(self) -> Tilt | None:
        """Geometry that was not stated and shows; asked where B of an apatite or the misfit give reason to."""
        free = [item.name for item in self.table.free]
        names = {phase.id: parameter_name("b_extra", phase.id) for phase in self.phases if phase.facts.is_apatite}
        extra = {free.index(n): self.parameter("b_extra", key) for key, n in names.items() if n in free}
        known = {place: (b.value, b.std or 0.0) for place, b in extra.items() if b is not None}
        bent = any(abs(value) - 2.0 * std > _BENT_B for value, std in known.values())
        poor = self.goodness > GOOD_FIT_GOF
        physical = self.recipe.background != "flexible" and self.recipe.mode != "peaks" and bool(self.setup.amorphous)
        if not (known and physical and (bent or poor) and states_nothing(self.instrument)):
            return None
        for tilt in tilts(self.model, self.solution, self.points, self.evidence):
            if all(abs(value + tilt.moved[place]) <= _EXTRA_B for place, (value, _) in known.items()):
                shows = tilt.clear_gain > _CLEAR_TILT_GAIN if poor else tilt.gain > _TILT_GAIN
                return tilt if shows else None
        return None

    @cached_property
    def holder_shown(self) -> HolderMatch | None:
        """The holder whose broad maxima, not negative, improve the fit most, if they show.

        One column is added to the linear problem, and amorphous scattering with its deformations, air and reflections
        are fitted again beside it; a holder shows where the cost, over the misfit's inflation, falls by 4² and the
        maximum exceeds 4 % of the median intensity, in which units `gain` and `height` are. Maxima where the specimen's
        own lie (glass, Kapton below an organic) mostly pass for these: nothing but an empty-holder scan tells them.
        """
        points, right, bounded = self.points, self.evidence.right, self.model.nonnegative
        gram = self.evidence.gram + np.diag(self.solution.linear_prior + 1e-12)

        def cost(gram: FloatArray, right: FloatArray, c: FloatArray) -> float:
            return float(c @ gram @ c - 2.0 * right @ c)

        plain, needed = cost(gram, right, solve_linear(gram, right, bounded)), _HOLDER_Z**2 * self.evidence.inflation
        scale = np.sqrt(np.diag(gram))
        factor = linalg.cho_factor(gram / np.outer(scale, scale) + 1e-12 * np.eye(len(scale)))
        free = linalg.cho_solve(factor, right / scale)

        def improve(shape: FloatArray) -> tuple[float, float]:
            column = shape / points.sigma
            cross = self.solution.columns.T @ (column / points.sigma)
            # without any bounds the cost falls by more: most holders are out of the question at once
            along = float(column @ (points.intensity / points.sigma) - cross / scale @ free)
            left = float(column @ column - cross / scale @ linalg.cho_solve(factor, cross / scale))
            most = plain + float(right / scale @ free) + along**2 / max(left, 1e-300)
            if most < 0.9 * needed:
                return most, 0.0
            wider = np.block([[gram, cross[:, None]], [cross[None, :], np.array([[column @ column]])]])
            more = np.append(right, column @ (points.intensity / points.sigma))
            found = solve_linear(wider, more, np.append(bounded, True))
            return plain - cost(wider, more, found), float(found[-1])

        best = best_holder(points.two_theta, self.instrument.wavelength, improve)
        if best is None:
            return None
        gain = max(best.gain, 0.0) / self.evidence.inflation
        height = best.height / max(float(np.median(points.intensity)), 1e-300)
        shows = gain >= _HOLDER_Z**2 and height >= _HOLDER_HEIGHT
        return replace(best, gain=gain, height=height) if shows else None

    def _holder_messages(self) -> tuple[Diagnostic, ...]:
        """Name the holder that shows, or the polymer that is fitted because it does."""
        shown = self.polymer_shown or self.holder_shown
        if shown is None:
            return ()
        holder, z = shown.holder, float(np.sqrt(shown.gain))
        positions = ", ".join(f"{p:.1f}" for p, *_ in holder.humps)
        what = f"{holder.advice}. "
        if self.polymer_shown is not None:
            what = (
                "fitted as polymer, which is counted as organic matter. This is right for a specimen embedded in "
                "acrylic resin, and wrong for one on an acrylic holder. "
            )
        text = (
            f"The broad maxima of {holder.name} ({positions}° with Cu Kα) appear beneath the specimen, with "
            f"{100 * shown.height:.0f} % of the median intensity (z = {z:.0f}): {what}{HOLDER_SHOWS.remedy}"
        )
        return (HOLDER_SHOWS(text, holder=holder.name, height=shown.height, z=z),)
