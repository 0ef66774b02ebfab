"""The instrument's resolution from a scan of a line-profile standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from xrdcomp.data import Diagnostic, EmissionLine, Instrument, Pattern, Phase
from xrdcomp.errors import AnalysisError, RecipeError
from xrdcomp.instrument.build import (
    AXIAL_CORRELATION,
    EQUATORIAL_DIVERGENCE,
    build_instrument,
    with_tube_optics,
)
from xrdcomp.phases.library import list_phases, load_phase, load_phases
from xrdcomp.physics import profiles
from xrdcomp.recipe import FitRecipe, InstrumentRecipe
from xrdcomp.refinement.refine import Refinement, initial_parameters
from xrdcomp.refinement.reflections import SCHERRER_CONSTANT, refined_ratios
from xrdcomp.results import Estimate, FitResult, parameter_name
from xrdcomp.search.nuisance import search_residual
from xrdcomp.search.report import unexplained_peaks
from xrdcomp.search.templates import candidate, library
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    import lmfit

# ------------ Whether a scan of a standard is fit to calibrate with: counts, range, foreign lines, its own
# broadening.

_LOW_PEAK_COUNTS = 2000.0
_FEW_LINES = 10  # of the strongest line's hundredth: U, V, W and two Lorentzian terms then hang on few widths
_SHORT_SCAN = 80.0
_FALSE_ALARM_RATE = 0.005
_LARGEST_BROADENING = 0.004
"""1/nm: crystallites of 250 nm. Certified line-profile standards have 0.3 µm or more, and laboratory optics leave no
more to a width that goes with 1/cosθ."""


def standard_messages(
    state: Refinement, fit: FitResult, phase: Phase, *, name: str, certified: bool
) -> tuple[Diagnostic, ...]:
    """Warn of what makes a calibration worse than it looks.

    Parameters
    ----------
    state, fit : Refinement, FitResult
        Of the standard's scan, cell held where it is certified.
    phase : Phase
        The standard's structure.
    name : str
        What the user called the standard.
    certified : bool

    Returns
    -------
    tuple of Diagnostic
        ``CALIBRATION_FOREIGN_LINES``, ``_BROAD``, ``_LOW_COUNTS``, ``_NOT_CERTIFIED``, ``_SHORT_RANGE``.
    """
    out = [*_foreign_lines(state, phase, name), *_broad(state, phase, name)]
    peak = float(state.points.intensity.max())
    if state.pattern.intensity_unit == "counts" and peak < _LOW_PEAK_COUNTS:
        text = f"The strongest point of the standard has {peak:.0f} counts; count to {_LOW_PEAK_COUNTS:.0f} or more."
        out.append(_warning("LOW_COUNTS", text, peak_counts=peak))
    if not certified:
        text = (
            f"{name} is no certified standard: its cell was refined, and its own size and strain broadening counts as "
            "the instrument's. Sizes found with this file are relative to it."
        )
        out.append(_warning("NOT_CERTIFIED", text))
    lines = int((fit.reflections[phase.id].intensity > 1.0).sum())
    top = float(fit.two_theta[-1])
    if lines < _FEW_LINES:
        text = (
            f"Only {lines} lines of {name} lie in {fit.two_theta[0]:.0f}-{top:.0f}°: how widths follow the angle is "
            "poorly known, and wrong beyond them. Scan the standard to 100° or beyond."
        )
        out.append(_warning("SHORT_RANGE", text, lines=lines, two_theta_max=top))
    elif top < _SHORT_SCAN:
        text = f"The scan ends at {top:.0f}°: widths beyond are extrapolated, and U and the tanθ term are poorly known."
        facts = {"two_theta_max": top}
        out.append(Diagnostic(code="CALIBRATION_SHORT_RANGE", severity="info", text=text, facts=facts))
    return tuple(out)


def _warning(code: str, text: str, **facts: float) -> Diagnostic:
    return Diagnostic(code=f"CALIBRATION_{code}", severity="warning", text=text, facts=facts)


def _foreign_lines(state: Refinement, phase: Phase, name: str) -> list[Diagnostic]:
    """Peaks that the standard has not: another powder in it, a holder, residual radiation."""
    nuisance = search_residual(state).projected()
    if not unexplained_peaks(nuisance, (), _FALSE_ALARM_RATE):
        return []
    known = tuple(candidate(other, state) for other in library(()) if other.id != phase.id)
    peaks = unexplained_peaks(nuisance, known, _FALSE_ALARM_RATE)
    share = max(peak.height for peak in peaks) / float(state.points.intensity.max())
    text = (
        f"{len(peaks)} peak(s) up to {100 * share:.2g} % of the strongest line are not lines of {name}: "
        f"{'; '.join(str(peak) for peak in peaks[:5])}. Another powder or the holder is in this scan; where such "
        "peaks overlap the standard's the widths are wrong. Measure it again, clean."
    )
    return [_warning("FOREIGN_LINES", text, peaks=len(peaks), relative_height=share)]


def _broad(state: Refinement, phase: Phase, name: str) -> list[Diagnostic]:
    """A standard whose widths rise with 1/cosθ as those of small crystallites do."""
    inverse = state.solution.value("inverse_size", phase.id, "a")
    if inverse <= _LARGEST_BROADENING:
        return []
    text = (
        f"The lines of {name} are broadened as by crystallites of {1.0 / inverse:.0f} nm, which this calibration gives "
        "to the instrument: sizes found with it come out too large. Use a standard of micrometre-sized grains; where "
        "this one is known to be, the instrument's own optics do it and nothing is lost."
    )
    return [_warning("BROAD", text, size_nm=1.0 / inverse)]


# ------------ The instrument's resolution from a scan of a line-profile standard.

_MIN_LINES = 5  # widths at fewer angles do not fix U, V, W and two Lorentzian terms
_WRONG_RWP = 0.4  # what a fit leaves whose lines lie elsewhere, with counts that could show better
_CELL_DIFFERS = 1e-4  # relative; several times what typical aberrations move a refined cell


@dataclass(frozen=True, kw_only=True)
class Standard:
    """A powder of certified cell.

    Attributes
    ----------
    id, phase : str
        Name of the standard and the catalogue phase whose structure it has.
    cell : mapping from a, c to ångström at `temperature_c`
    cell_std : mapping, one standard deviation (half of the certificate's k = 2)
    expansion : mapping from a, c to 1/K
        Linear thermal expansion near room temperature.
    source : str
    """

    id: str
    phase: str
    cell: Mapping[str, float]
    cell_std: Mapping[str, float]
    expansion: Mapping[str, float]
    temperature_c: float = 22.5
    source: str = ""

    def cell_at(self, temperature_c: float) -> dict[str, float]:
        """Cell lengths at a temperature, a (1 + α ΔT)."""
        change = temperature_c - self.temperature_c
        return {k: v * (1.0 + self.expansion.get(k, 0.0) * change) for k, v in self.cell.items()}


def _standard(
    name: str, phase: str, cell: Mapping[str, float], std: float, expansion: Mapping[str, float], source: str
) -> Standard:
    stds = dict.fromkeys(cell, std)
    return Standard(id=name, phase=phase, cell=cell, cell_std=stds, expansion=expansion, source=source)


_SI, _LAB6 = {"a": 2.6e-6}, {"a": 6.9e-6}
STANDARDS: Mapping[str, Standard] = {
    s.id: s
    for s in (
        _standard("srm640d", "silicon", {"a": 5.43123}, 4e-5, _SI, "NIST certificate, SRM 640d"),
        _standard("srm640e", "silicon", {"a": 5.431179}, 4e-5, _SI, "NIST certificate, SRM 640e"),
        _standard("srm640f", "silicon", {"a": 5.431144}, 4e-5, _SI, "NIST certificate, SRM 640f"),
        _standard("srm660b", "lab6", {"a": 4.15691}, 4e-5, _LAB6, "NIST certificate, SRM 660b"),
        _standard("srm660c", "lab6", {"a": 4.156826}, 4e-5, _LAB6, "NIST certificate, SRM 660c"),
        _standard(
            "srm676a",
            "corundum",
            {"a": 4.759091, "c": 12.991779},
            4e-5,
            {"a": 5.0e-6, "c": 5.7e-6},
            "NIST certificate, SRM 676a",
        ),
    )
}
"""Standards with certified cells at 22.5 °C."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a scan of a standard says about the instrument.

    Attributes
    ----------
    instrument : Instrument
        With ``calibrated=True``: its resolution is held in later fits.
    displacement_mm : Estimate or None
    cell : mapping
        Refined cell, or the certified one that was held (std None). Refined values carry the model's spread.
    provenance : mapping
        What goes into the instrument file besides the instrument.
    standard : str
    fit : FitResult
        Of the standard's scan.
    messages : tuple of Diagnostic
    """

    instrument: Instrument
    standard: str
    fit: FitResult
    displacement_mm: Estimate | None
    cell: Mapping[str, Estimate]
    provenance: Mapping[str, str | float]
    messages: tuple[Diagnostic, ...] = field(default_factory=tuple)


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
    """Refine the resolution of an instrument on a standard.

    Refined: Caglioti U, V, W; the Lorentzian terms 1/cosθ and tanθ; axial divergence; specimen displacement, or
    zero shift instead of it; Kα2 ratio; B; scale and background. Spectrum and fixed aberrations are those of
    ``instrument.build``. The cell is held at the certificate's value, at the temperature of the scan; a refined one
    carries what the typical aberrations may be off.

    Whatever broadening the standard has of its own counts as the instrument's, so sizes found later are
    relative to it: use one of micrometre-sized, strain-free grains.

    Parameters
    ----------
    pattern : Pattern
        Scan of the standard, to 100° or beyond.
    two_theta_range : (float, float) or None, degrees
        Part of the scan to fit.
    standard : str
        A key of ``STANDARDS``, or a phase id or CIF file: then the cell is refined, because nothing certifies it.
    recipe : InstrumentRecipe, optional
        Radiation, radius, monochromator …; its `file` is not read.
    temperature_c : float, optional
        Of the specimen; by default the file's, else the certificate's.
    refine_cell : bool
        Check instead of calibrate: the cell found tells how good positions are.
    refine_zero : bool
        Zero shift instead of displacement. Both together cannot be told from the cell.

    Returns
    -------
    Calibration

    Messages warn of lines that are not the standard's, of one that is itself broadened, of few counts or lines.

    Raises
    ------
    RecipeError
        An unknown standard.
    AnalysisError
        Too few points or lines, or a scan whose lines are not the standard's.
    """
    chosen, phase = _choose(standard)
    base = with_tube_optics(build_instrument(pattern, _without_file(recipe)), recipe, pattern)
    at = None if chosen is None else _temperature(chosen, temperature_c, pattern)
    held = None if chosen is None or at is None or refine_cell else chosen.cell_at(at)
    options = _recipe(phase, two_theta_range, refine_zero=refine_zero)
    state = _fit(pattern, phase, base, options, held)
    result = state.result()
    _check(result, phase, standard)
    edges = {axis: result.parameter("cell", phase.id, axis) for axis in "abc"}
    cell = {axis: estimate for axis, estimate in edges.items() if estimate is not None}
    displacement = result.parameter("sample_displacement_mm")
    differs: tuple[Diagnostic, ...] = ()
    if held is not None:
        differs = _cell_message(_fit(pattern, phase, base, options, None), held, phase, standard)
    else:
        cell = {n: _without_model(e, result, parameter_name("cell", phase.id, n)) for n, e in cell.items()}
        for other in _other_optics(base):
            found = _fit(pattern, phase, other, options, held).solution
            cell = {n: _widened(e, found.value("cell", phase.id, n)) for n, e in cell.items()}
            if displacement is not None:
                displacement = _widened(displacement, found.value("sample_displacement_mm"))
    instrument = _calibrated(state, phase, standard)
    return Calibration(
        instrument=instrument,
        standard=standard,
        fit=result,
        displacement_mm=displacement,
        cell=cell,
        provenance=_provenance(pattern, standard, result, instrument, displacement) | _stated(at),
        messages=(
            *result.messages,
            *standard_messages(state, result, phase, name=standard, certified=chosen is not None),
            *differs,
        ),
    )


def _check(fit: FitResult, phase: Phase, standard: str) -> None:
    """Refuse a scan that cannot calibrate: too few lines, or lines of something else."""
    lines = fit.reflections[phase.id]
    count = int((lines.intensity > 1.0).sum())
    span = f"{fit.two_theta[0]:.1f}-{fit.two_theta[-1]:.1f}°"
    if count < _MIN_LINES:
        msg = (
            f"{count} line(s) of {standard} lie in {span}; widths need at least {_MIN_LINES} to follow the angle. "
            "Scan the standard to 100° or beyond, or pass a wider --range."
        )
        raise AnalysisError(msg)
    if fit.rwp > _WRONG_RWP and fit.gof > 2.0:
        msg = (
            f"the lines of {standard} ({phase.name}) are not those of this scan: the fit leaves Rwp {fit.rwp:.2f}, "
            f"counting explains {fit.rexp:.2f}, in {span} at {fit.wavelengths[0]:.4f} Å. Check --standard and "
            "--radiation; xrdcomp identify says what the scan shows."
        )
        raise AnalysisError(msg)


def _cell_message(
    free: Refinement, held: Mapping[str, float], phase: Phase, standard: str
) -> tuple[Diagnostic, ...]:
    """Compare a refined cell with the held one."""
    out = []
    for name, certified in held.items():
        estimate = free.parameter("cell", phase.id, name)
        assert estimate is not None, "the cell was refined"
        change = estimate.value - certified
        if abs(change) <= max(_CELL_DIFFERS * certified, 4.0 * (estimate.std or 0.0)):
            continue
        text = (
            f"Refined, {name} of this scan is {estimate.value:.5f} Å; the certificate of {standard} says "
            f"{certified:.5f} Å, which was held. The difference is now in displacement and widths. Check the standard, "
            "its temperature, the wavelengths and the radius."
        )
        facts = {"refined": estimate.value, "held": certified}
        out.append(Diagnostic(code="CALIBRATION_CELL_DIFFERS", severity="warning", text=text, facts=facts))
    return tuple(out)


def instrument_fwhm(instrument: Instrument, two_theta: FloatArray) -> FloatArray:
    """Full width at half maximum of the instrument's profile for its strongest line, without asymmetry.

    Γ_G² = U tan²θ + V tanθ + W, Γ_L = X/cosθ + (Y + 2 Δλ/λ) tanθ, joined as in ``physics.profiles.tch_widths``.

    Parameters
    ----------
    two_theta : (n,) array, degrees
    """
    theta = np.radians(two_theta) / 2.0
    tangent = np.tan(theta)
    i = instrument
    gauss = np.sqrt(np.maximum(i.caglioti_u * tangent**2 + i.caglioti_v * tangent + i.caglioti_w, 1e-4))
    top = max(i.emission_lines, key=lambda line: line.weight)
    natural = np.degrees(2.0 * top.fwhm / top.wavelength)
    lorentz = i.lorentzian_size / np.cos(theta) + (i.lorentzian_strain + natural) * tangent
    return profiles.tch_widths(gauss, np.maximum(lorentz, 1e-4)).fwhm


def _choose(name: str) -> tuple[Standard | None, Phase]:
    key = name.lower().replace(" ", "").replace("-", "")
    if key in STANDARDS:
        return STANDARDS[key], load_phase(STANDARDS[key].phase)
    if name in list_phases():
        return None, load_phase(name)
    if name.lower().endswith(".cif"):
        return None, load_phases((name,))[0]
    msg = (
        f"standard {name!r} is not known. Certified: {', '.join(STANDARDS)}; or a phase id of `xrdcomp phases` or a "
        "CIF file, whose cell is then refined."
    )
    raise RecipeError(msg)


def _without_file(recipe: InstrumentRecipe | None) -> InstrumentRecipe:
    import msgspec

    return msgspec.structs.replace(recipe or InstrumentRecipe(), file="")


def _temperature(standard: Standard, temperature_c: float | None, pattern: Pattern) -> float:
    """Temperature of the specimen: the user's, else the file's, else the certificate's."""
    if temperature_c is not None:
        return temperature_c
    stated = pattern.metadata.get("specimen_temperature_c")
    return float(stated) if isinstance(stated, int | float) else standard.temperature_c


def _other_optics(instrument: Instrument) -> tuple[Instrument, ...]:
    """Instruments whose aberrations differ as much as the typical ones may be off."""
    if instrument.geometry != "bragg_brentano":
        return ()
    out = [
        replace(instrument, axial_correlation=min(instrument.axial_correlation + AXIAL_CORRELATION[1], 1.0))
    ]
    if instrument.equatorial_divergence > 0.0:
        wider = instrument.equatorial_divergence + EQUATORIAL_DIVERGENCE[1]
        out.append(replace(instrument, equatorial_divergence=wider))
    return tuple(out)


def _recipe(phase: Phase, two_theta_range: tuple[float, float] | None, *, refine_zero: bool) -> FitRecipe:
    cubic = phase.crystal_system == "cubic"
    return FitRecipe(
        two_theta_range=two_theta_range,
        background="flexible",
        amorphous=(),
        size="isotropic",
        strain=False,
        texture="none" if cubic else "harmonic",
        displacement=not refine_zero,
        zero_shift=refine_zero,
    )


def _fit(
    pattern: Pattern,
    phase: Phase,
    instrument: Instrument,
    recipe: FitRecipe,
    held: Mapping[str, float] | None,
) -> Refinement:
    params: lmfit.Parameters = initial_parameters((phase,), instrument, recipe)
    params[parameter_name("size_mixing", phase.id)].set(value=1.0, vary=False)
    params[parameter_name("inverse_size", phase.id, "a")].set(value=0.002, min=0.0, max=0.05)
    for axis, value in (held or {}).items():
        params[parameter_name("cell", phase.id, axis)].set(value=value, vary=False)
    return Refinement.run(pattern, (phase,), instrument, recipe, params=params)


def _without_model(estimate: Estimate, fit: FitResult, name: str) -> Estimate:
    """Return the estimate with the covariance's standard uncertainty alone, without that of typical aberrations."""
    i = fit.covariance_names.index(name)
    return replace(estimate, std=float(np.sqrt(max(fit.covariance[i, i], 0.0))))


def _widened(estimate: Estimate, other: float) -> Estimate:
    """Add the change under another admissible axial model to the standard uncertainty."""
    std = float(np.hypot(estimate.std or 0.0, estimate.value - other))
    return Estimate.normal(estimate.value, std, unit=estimate.unit)


def _calibrated(state: Refinement, phase: Phase, standard: str) -> Instrument:
    values, old = state.solution.values, state.instrument
    inverse = state.solution.value("inverse_size", phase.id, "a")
    size_width = np.degrees(SCHERRER_CONSTANT * old.wavelength / 10.0 * inverse)
    return replace(
        old,
        emission_lines=_weighted(old, values),
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


def _weighted(instrument: Instrument, values: Mapping[str, float]) -> tuple[EmissionLine, ...]:
    """Emission lines with the weights that were refined."""
    factor = {
        wavelength: values[name] / start
        for name, (wavelengths, start) in refined_ratios(instrument).items()
        if name in values
        for wavelength in wavelengths
    }
    return tuple(
        replace(line, weight=line.weight * factor.get(line.wavelength, 1.0))
        for line in instrument.emission_lines
    )


def _provenance(
    pattern: Pattern,
    standard: str,
    fit: FitResult,
    instrument: Instrument,
    displacement: Estimate | None,
) -> dict[str, str | float]:
    out: dict[str, str | float] = {"standard": standard}
    if pattern.source is not None:
        out |= {"file": pattern.source.file, "sha256": pattern.source.sha256}
    out |= {
        "two_theta_min": float(fit.two_theta[0]),
        "two_theta_max": float(fit.two_theta[-1]),
        "rwp": fit.rwp,
        "gof": fit.gof,
    }
    middle = np.array([30.0, 60.0, 90.0])
    for angle, width in zip(middle, instrument_fwhm(instrument, middle), strict=True):
        out[f"fwhm_at_{angle:.0f}"] = float(width)
    if displacement is not None:
        out["sample_displacement_mm"] = displacement.value
    for name in (
        "caglioti_u",
        "caglioti_v",
        "caglioti_w",
        "instrument_lorentzian_strain",
        "axial_divergence",
    ):
        std = fit.parameters[name].std if name in fit.parameters else None
        if std is not None:
            out[f"{name}_std"] = std
    return out


def _stated(temperature_c: float | None) -> dict[str, float]:
    return {} if temperature_c is None else {"temperature_c": round(temperature_c, 2)}
