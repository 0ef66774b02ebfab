"""The instrument's resolution from a scan of a line-profile standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, message_kind
from xrdcomp.errors import AnalysisError, RecipeError, either
from xrdcomp.instrument import build
from xrdcomp.phases.library import list_phases, load_phase, load_phases
from xrdcomp.physics import profiles
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.refinement.refine import Refinement, initial_parameters
from xrdcomp.refinement.reflections import SCHERRER_CONSTANT, refined_ratios
from xrdcomp.refinement.threads import single_threaded
from xrdcomp.results import Estimate, FitResult, parameter_name
from xrdcomp.search.nuisance import search_residual
from xrdcomp.search.report import unexplained_peaks
from xrdcomp.search.templates import candidate, library
from xrdcomp.units import FloatArray

_MIN_REFLECTIONS = 5  # widths at fewer angles do not fix U, V, W and two Lorentzian terms
_FEW_REFLECTIONS = 10  # above a hundredth of the strongest: the widths' parameters then hang on few
_SHORT_SCAN = 80.0  # degrees
_LOW_PEAK_COUNTS = 2000.0
_WRONG_RWP = 0.4  # left by a fit whose reflections lie elsewhere, with counts that could show better
_CELL_DIFFERS = 1e-4  # relative; several times what typical aberrations move a refined cell
_FALSE_ALARM_RATE = 0.005
# 1/nm: crystallites of 250 nm. Certified line-profile standards have 0.3 µm or more, and laboratory optics leave no
# more to a width that goes with 1/cosθ.
_LARGEST_BROADENING = 0.004

FOREIGN_PEAKS = message_kind(
    "CALIBRATION_FOREIGN_LINES",
    "warning",
    "The scan contains peaks that do not belong to the standard; where they overlap its reflections, widths are wrong.",
    remedy="Clean the standard and measure it again.",
    threshold="false-alarm rate of 0.005 for one or more peaks",
    origin="normal tail over two trials per width",
)
BROAD = message_kind(
    "CALIBRATION_BROAD",
    "warning",
    "The standard's own crystallites broaden its reflections; sizes found with this file come out too large.",
    remedy="Use a standard of micrometre-sized grains.",
    threshold="crystallites of 250 nm",
    origin="certified line-profile standards have 0.3 µm or more",
)
LOW_COUNTS = message_kind(
    "CALIBRATION_LOW_COUNTS",
    "warning",
    "The scan of the standard has few counts.",
    remedy="Count longer.",
    threshold="2000 counts at the strongest point",
    origin="judgement",
)
NOT_CERTIFIED = message_kind(
    "CALIBRATION_NOT_CERTIFIED",
    "warning",
    "The standard has no certified cell: its own broadening is attributed to the instrument, and sizes are relative to "
    "it.",
)
SHORT_RANGE = message_kind(
    "CALIBRATION_SHORT_RANGE",
    "warning",
    "With few reflections, or a scan that ends early, the angular dependence of widths is not determined.",
    remedy="Scan the standard to 100° or beyond.",
    threshold="10 reflections above 1 % of the strongest; 80° (info)",
    origin="U, V, W and two Lorentzian terms need widths over the whole range",
)
CELL_DIFFERS = message_kind(
    "CALIBRATION_CELL_DIFFERS",
    "warning",
    "A refined cell differs from the certified one that was kept fixed; the difference is absorbed by displacement and "
    "widths.",
    remedy="Check the standard, its temperature, the wavelengths and the radius.",
    threshold="1e-4 of the cell length, and four standard deviations",
    origin="several times what typical aberrations move a refined cell",
)


@dataclass(frozen=True, kw_only=True)
class Standard:
    """A powder of certified cell: lengths (Å) of `phase` at `temperature_c`, linear `expansion` near it, 1/K."""

    phase: str
    cell: Mapping[str, float]
    expansion: Mapping[str, float]
    temperature_c: float = 22.5

    def cell_at(self, temperature_c: float) -> dict[str, float]:
        """Cell lengths at a temperature, a (1 + α ΔT)."""
        change = temperature_c - self.temperature_c
        return {k: v * (1.0 + self.expansion.get(k, 0.0) * change) for k, v in self.cell.items()}


# NIST certificates of the standard reference materials; standard uncertainty 4e-5 Å, half of the certificates' k = 2
_SI, _LAB6, _CORUNDUM = {"a": 2.6e-6}, {"a": 6.9e-6}, {"a": 5.0e-6, "c": 5.7e-6}
STANDARDS: Mapping[str, Standard] = {
    "srm640d": Standard(phase="silicon", cell={"a": 5.43123}, expansion=_SI),
    "srm640e": Standard(phase="silicon", cell={"a": 5.431179}, expansion=_SI),
    "srm640f": Standard(phase="silicon", cell={"a": 5.431144}, expansion=_SI),
    "srm660b": Standard(phase="lab6", cell={"a": 4.15691}, expansion=_LAB6),
    "srm660c": Standard(phase="lab6", cell={"a": 4.156826}, expansion=_LAB6),
    "srm676a": Standard(phase="corundum", cell={"a": 4.759091, "c": 12.991779}, expansion=_CORUNDUM),
}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Findings of a scan of a standard about the instrument.

    `instrument` has ``calibrated=True``: its resolution is held in later fits. `cell` is the refined one, with the
    model's spread, or the certified one that was held (std None). `provenance` goes into the file beside it.
    """

    instrument: Instrument
    standard: str
    fit: FitResult
    displacement_mm: Estimate | None
    cell: Mapping[str, Estimate]
    provenance: Mapping[str, str | float]
    messages: tuple[Diagnostic, ...] = ()


@single_threaded
def calibrate(
    pattern: Pattern,
    standard: str,
    recipe: InstrumentRecipe | None = None,
    *,
    temperature_c: float | None = None,
    refine_cell: bool = False,
    refine_zero: bool = False,
    two_theta_range: tuple[float, float] | None = None,
) -> Calibration:
    """Refine the resolution of an instrument on a scan of a standard, which should reach 100° or beyond.

    Refined: Caglioti U, V, W; the Lorentzian terms 1/cosθ and tanθ; axial divergence; specimen displacement, or with
    `refine_zero` the zero shift instead (both together cannot be told from the cell); Kα2 ratio; B; scale and
    background. Spectrum and fixed aberrations are those of ``instrument.build``. Whatever broadening the standard has
    of its own counts as the instrument's, so sizes found later are relative to it: use one of micrometre-sized,
    strain-free grains.

    `standard` is a key of ``STANDARDS``, whose cell is held at the certificate's value at the temperature of the
    specimen: `temperature_c`, else the file's, else the certificate's. With `refine_cell` it is refined, as a check of
    how good positions are, and so is that of a phase id or CIF file, which nothing certifies; a refined cell carries
    what the typical aberrations may be off. `recipe` holds radiation, radius, monochromator …, its `file` is not read;
    `two_theta_range` is the part of the scan to fit, degrees.

    Messages warn of peaks that are not the standard's, of one that is itself broadened, of few counts or reflections.
    RecipeError: an unknown standard. AnalysisError: too few points or reflections, or a scan whose reflections are not
    the standard's.
    """
    certificate = STANDARDS.get(standard.lower().replace(" ", "").replace("-", ""))
    if certificate is not None:
        phase = load_phase(certificate.phase)
    elif standard in list_phases() or standard.lower().endswith(".cif"):
        (phase,) = load_phases((standard,))
    else:
        msg = (
            f"standard {standard!r} is not known. Certified: {', '.join(STANDARDS)}; or a phase id of `xrdcomp phases` "
            "or a CIF file, whose cell is then refined."
        )
        raise RecipeError(msg)
    plain = msgspec.structs.replace(recipe or InstrumentRecipe(), file="")
    start = build.with_tube_optics(build.build_instrument(pattern, plain), recipe, pattern)
    held: Mapping[str, float] = {}
    if certificate is None:
        temperature_c = None
    else:
        if temperature_c is None:
            stated = pattern.metadata.get("specimen_temperature_c")
            temperature_c = float(stated) if isinstance(stated, int | float) else certificate.temperature_c
        held = {} if refine_cell else certificate.cell_at(temperature_c)
    options = FitRecipe(
        two_theta_range=two_theta_range,
        background="flexible",
        amorphous=(),
        size="isotropic",
        strain=False,
        texture="none" if phase.crystal_system == "cubic" else "harmonic",
        displacement=not refine_zero,
        zero_shift=refine_zero,
    )

    def fitted(instrument: Instrument, held: Mapping[str, float]) -> Refinement:
        """Fit the standard, some lengths of its cell held, with one size that carries the Lorentzian 1/cosθ."""
        params = initial_parameters((phase,), instrument, options)
        params[parameter_name("size_mixing", phase.id)].set(value=1.0, vary=False)
        params[parameter_name("inverse_size", phase.id, "a")].set(value=0.002, min=0.0, max=0.05)
        for axis, value in held.items():
            params[parameter_name("cell", phase.id, axis)].set(value=value, vary=False)
        return Refinement.run(pattern, (phase,), instrument, options, params=params)

    fit = fitted(start, held)
    result = fit.result()
    messages = [*result.messages, *_judge(fit, result, phase, standard, certified=certificate is not None)]
    every = {axis: parameter_name("cell", phase.id, axis) for axis in "abc"}
    names = {axis: name for axis, name in every.items() if name in result.parameters}
    cell = {axis: result.parameters[name] for axis, name in names.items()}
    displacement = result.parameters.get("sample_displacement_mm")
    if held:
        free = fitted(start, {}).result()
        for axis, certified in held.items():
            estimate = free.parameters[names[axis]]
            change = estimate.value - certified
            if abs(change) <= max(_CELL_DIFFERS * certified, 4.0 * (estimate.std or 0.0)):
                continue
            text = (
                f"Refined, {axis} of this scan is {estimate.value:.5f} Å; the certificate of {standard} says "
                f"{certified:.5f} Å, which was held. The difference is now in displacement and widths. Check the "
                "standard, its temperature, the wavelengths and the radius."
            )
            messages.append(CELL_DIFFERS(text, refined=estimate.value, held=certified))
    else:
        # what typical aberrations leave open of the cell is judged here by trying others, not by their typical effect
        for axis, name in names.items():
            i = result.covariance_names.index(name)
            std = float(np.sqrt(max(result.covariance[i, i], 0.0)))
            cell[axis] = replace(cell[axis], std=std)
        for other in _admissible_optics(start):
            values = fitted(other, held).solution.values
            cell = {axis: _widened(e, values[names[axis]]) for axis, e in cell.items()}
            if displacement is not None:
                displacement = _widened(displacement, values["sample_displacement_mm"])
    instrument = _calibrated(fit, phase, standard)
    provenance = _provenance(pattern, standard, result, instrument)
    if displacement is not None:
        provenance["sample_displacement_mm"] = displacement.value
    if temperature_c is not None:
        provenance["temperature_c"] = round(temperature_c, 2)
    return Calibration(
        instrument=instrument,
        standard=standard,
        fit=result,
        displacement_mm=displacement,
        cell=cell,
        provenance=provenance,
        messages=tuple(messages),
    )


def _admissible_optics(instrument: Instrument) -> list[Instrument]:
    """Instruments whose aberrations differ as much as the typical ones may be off."""
    axial, divergence = instrument.axial_correlation, instrument.equatorial_divergence
    if instrument.geometry != "bragg_brentano":
        return []
    out = [replace(instrument, axial_correlation=min(axial + build.AXIAL_CORRELATION[1], 1.0))]
    if divergence > 0.0:
        out.append(replace(instrument, equatorial_divergence=divergence + build.EQUATORIAL_DIVERGENCE[1]))
    return out


def _widened(estimate: Estimate, other: float) -> Estimate:
    """Add the change with other admissible aberrations to the standard uncertainty."""
    std = float(np.hypot(estimate.std or 0.0, estimate.value - other))
    return Estimate.normal(estimate.value, std, unit=estimate.unit)


def _calibrated(fit: Refinement, phase: Phase, standard: str) -> Instrument:
    """Put refined widths, aberrations and weights of emission lines into the instrument."""
    values, old = fit.solution.values, fit.instrument
    inverse = fit.solution.value("inverse_size", phase.id, "a")
    size_width = np.degrees(SCHERRER_CONSTANT * old.wavelength / 10.0 * inverse)
    factor = {
        wavelength: values[name] / start
        for name, (wavelengths, start) in refined_ratios(old).items()
        if name in values
        for wavelength in wavelengths
    }
    lines = old.emission_lines
    return replace(
        old,
        emission_lines=tuple(replace(x, weight=x.weight * factor.get(x.wavelength, 1.0)) for x in lines),
        caglioti_u=values["caglioti_u"],
        caglioti_v=values["caglioti_v"],
        caglioti_w=values["caglioti_w"],
        lorentzian_strain=values["instrument_lorentzian_strain"],
        lorentzian_size=old.lorentzian_size + float(size_width),
        axial_divergence=values.get("axial_divergence", old.axial_divergence),
        zero_shift=values.get("zero_shift", old.zero_shift),
        calibrated=True,
        name=f"calibrated on {standard}",
    )


def instrument_fwhm(instrument: Instrument, two_theta: FloatArray) -> FloatArray:
    """Full width at half maximum of the instrument's profile for its strongest line, without asymmetry; degrees.

    Γ_G² = U tan²θ + V tanθ + W, Γ_L = X/cosθ + (Y + 2 Δλ/λ) tanθ, joined as in ``physics.profiles.tch_widths``.
    """
    i, theta = instrument, np.radians(two_theta) / 2.0
    tangent = np.tan(theta)
    gauss = np.sqrt(np.maximum(i.caglioti_u * tangent**2 + i.caglioti_v * tangent + i.caglioti_w, 1e-4))
    top = max(i.emission_lines, key=lambda line: line.weight)
    natural = np.degrees(2.0 * top.fwhm / top.wavelength)
    lorentz = i.lorentzian_size / np.cos(theta) + (i.lorentzian_strain + natural) * tangent
    return profiles.tch_widths(gauss, np.maximum(lorentz, 1e-4)).fwhm


def _provenance(pattern: Pattern, standard: str, result: FitResult, instrument: Instrument) -> dict[str, str | float]:
    out: dict[str, str | float] = {"standard": standard}
    if pattern.source is not None:
        out |= {"file": pattern.source.file, "sha256": pattern.source.sha256}
    first, last = (float(result.two_theta[k]) for k in (0, -1))
    out |= {"two_theta_min": first, "two_theta_max": last, "rwp": result.rwp, "gof": result.gof}
    angles = (30.0, 60.0, 90.0)
    widths = instrument_fwhm(instrument, np.array(angles)).tolist()
    out |= {f"fwhm_at_{angle:.0f}": width for angle, width in zip(angles, widths, strict=True)}
    for name in (*(f"caglioti_{k}" for k in "uvw"), "instrument_lorentzian_strain", "axial_divergence"):
        std = result.parameters[name].std if name in result.parameters else None
        if std is not None:
            out[f"{name}_std"] = std
    return out


def _judge(fit: Refinement, result: FitResult, phase: Phase, name: str, *, certified: bool) -> list[Diagnostic]:
    """Refuse a scan that cannot calibrate; warn of what makes a calibration worse than it looks.

    Refused are too few reflections, or those of something else; warned is of foreign peaks, broadening, few counts and
    a short scan.
    """
    count = int((result.reflections[phase.id].intensity > 1.0).sum())
    first, last = (float(result.two_theta[k]) for k in (0, -1))
    span = f"{first:.1f}-{last:.1f}°"
    if count < _MIN_REFLECTIONS:
        msg = (
            f"{count} line(s) of {name} lie in {span}; widths need at least {_MIN_REFLECTIONS} to follow the "
            "angle. Scan the standard to 100° or beyond."
            + either(" Or pass a wider two_theta_range.", " Or pass a wider --range.")
        )
        raise AnalysisError(msg)
    if result.rwp > _WRONG_RWP and result.gof > 2.0:
        msg = (
            f"the lines of {name} ({phase.name}) are not those of this scan: the fit leaves Rwp {result.rwp:.2f}, "
            f"counting explains {result.rexp:.2f}, in {span} at {result.wavelengths[0]:.4f} Å. "
            "Check standard and radiation; `xrdcomp identify` says what the scan shows."
        )
        raise AnalysisError(msg)
    out = []
    left, highest = search_residual(fit).projected(), float(fit.points.intensity.max())
    if unexplained_peaks(left, (), _FALSE_ALARM_RATE):
        known = tuple(candidate(other, fit) for other in library(()) if other.id != phase.id)
        peaks = unexplained_peaks(left, known, _FALSE_ALARM_RATE)
        share = max(peak.height for peak in peaks) / highest
        text = (
            f"{len(peaks)} peak(s) up to {100 * share:.2g} % of the strongest line are not lines of {name}: "
            f"{'; '.join(str(peak) for peak in peaks[:5])}. Another powder or the holder is in this scan; where such "
            "peaks overlap the standard's the widths are wrong. Measure it again, clean."
        )
        out.append(FOREIGN_PEAKS(text, peaks=len(peaks), relative_height=share))
    inverse = fit.solution.value("inverse_size", phase.id, "a")
    if inverse > _LARGEST_BROADENING:
        text = (
            f"The lines of {name} are broadened as by crystallites of {1.0 / inverse:.0f} nm, which this calibration "
            "gives to the instrument: sizes found with it come out too large. Use a standard of micrometre-sized "
            "grains; where this one is known to be, the instrument's own optics do it and nothing is lost."
        )
        out.append(BROAD(text, size_nm=1.0 / inverse))
    if fit.pattern.intensity_unit == "counts" and highest < _LOW_PEAK_COUNTS:
        text = f"The strongest point of the standard has {highest:.0f} counts; count to {_LOW_PEAK_COUNTS:.0f} or more."
        out.append(LOW_COUNTS(text, peak_counts=highest))
    if not certified:
        text = (
            f"{name} is no certified standard: its cell was refined, and its own size and strain broadening counts as "
            "the instrument's. Sizes found with this file are relative to it."
        )
        out.append(NOT_CERTIFIED(text))
    if count < _FEW_REFLECTIONS:
        text = (
            f"Only {count} lines of {name} lie in {first:.0f}-{last:.0f}°: how widths follow the angle is poorly "
            "known, and wrong beyond them. Scan the standard to 100° or beyond."
        )
        out.append(SHORT_RANGE(text, lines=count, two_theta_max=last))
    elif last < _SHORT_SCAN:
        text = f"The scan ends at {last:.0f}°: widths beyond are extrapolated, U and the tanθ term are poorly known."
        out.append(replace(SHORT_RANGE(text, two_theta_max=last), severity="info"))
    return out
