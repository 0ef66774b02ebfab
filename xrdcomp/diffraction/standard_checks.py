"""Whether a scan of a standard is fit to calibrate with: counts, range, foreign lines, its own broadening."""

from __future__ import annotations

from xrdcomp.diffraction.candidates import library, phase_lines
from xrdcomp.diffraction.peaks import unexplained_peaks
from xrdcomp.diffraction.screening import make_screen
from xrdcomp.fit.pattern import FitState
from xrdcomp.results import FitResult
from xrdcomp.types import Diagnostic, Phase

__all__ = ["standard_messages"]

_LOW_PEAK_COUNTS = 2000.0
_FEW_LINES = 10  # of the strongest line's hundredth: U, V, W and two Lorentzian terms then hang on few widths
_SHORT_SCAN = 80.0
_FALSE_ALARM_RATE = 0.005
_LARGEST_BROADENING = 0.004
"""1/nm: crystallites of 250 nm. Certified line-profile standards have 0.3 µm or more, and laboratory optics leave no
more to a width that goes with 1/cosθ."""


def standard_messages(
    state: FitState, fit: FitResult, phase: Phase, *, name: str, certified: bool
) -> tuple[Diagnostic, ...]:
    """Warn of what makes a calibration worse than it looks.

    Parameters
    ----------
    state, fit : FitState, FitResult
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
    peak = float(state.intensity.max())
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


def _foreign_lines(state: FitState, phase: Phase, name: str) -> list[Diagnostic]:
    """Peaks that the standard has not: another powder in it, a holder, residual radiation."""
    nuisance = make_screen(state).nuisance()
    if not unexplained_peaks(nuisance, (), _FALSE_ALARM_RATE):
        return []
    known = tuple(phase_lines(other, state) for other in library(()) if other.id != phase.id)
    peaks = unexplained_peaks(nuisance, known, _FALSE_ALARM_RATE)
    share = max(peak.height for peak in peaks) / float(state.intensity.max())
    text = (
        f"{len(peaks)} peak(s) up to {100 * share:.2g} % of the strongest line are not lines of {name}: "
        f"{'; '.join(str(peak) for peak in peaks[:5])}. Another powder or the holder is in this scan; where such "
        "peaks overlap the standard's the widths are wrong. Measure it again, clean."
    )
    return [_warning("FOREIGN_LINES", text, peaks=len(peaks), relative_height=share)]


def _broad(state: FitState, phase: Phase, name: str) -> list[Diagnostic]:
    """A standard whose widths rise with 1/cosθ as those of small crystallites do."""
    inverse = state.solution.values[f"{phase.id}_inverse_size_a"]
    if inverse <= _LARGEST_BROADENING:
        return []
    text = (
        f"The lines of {name} are broadened as by crystallites of {1.0 / inverse:.0f} nm, which this calibration gives "
        "to the instrument: sizes found with it come out too large. Use a standard of micrometre-sized grains; where "
        "this one is known to be, the instrument's own optics do it and nothing is lost."
    )
    return [_warning("BROAD", text, size_nm=1.0 / inverse)]
