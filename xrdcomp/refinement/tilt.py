"""Geometries that nobody stated: whether the pattern asks for one of them.

What geometry does to a specimen's scattering, it does to reflections and halos alike, and not to the air. Each geometry
is tried with the fit at its minimum linearised: all that the specimen scatters is multiplied by its factor, and scales,
modes, backgrounds and the steps of all parameters, B among them, are solved anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.data import Instrument
from xrdcomp.errors import AnalysisError
from xrdcomp.refinement.covariance import Evidence, residual_inflation
from xrdcomp.refinement.model import PatternModel, Points
from xrdcomp.refinement.reflections import geometry_factor
from xrdcomp.refinement.solver import Solution, solve_linear
from xrdcomp.units import FloatArray

_OVERFLOW_TO = (12.0, 20.0, 30.0)  # 2θ in degrees, below which the beam is longer than the specimen
_INCIDENCES = (2.0, 5.0, 10.0)
_LAYERS = (0.05, 0.2, 0.5)
_PLATES = (1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class Tilt:
    """A geometry that describes the pattern better than the stated one, and the `setting` that says so.

    `gain` is by how much χ² falls, over the inflation of the residual as it is, `clear_gain` over that of the residual
    which the geometry leaves. `moved` are the changes of the free parameters.
    """

    what: str
    setting: str
    gain: float
    clear_gain: float
    moved: FloatArray


def states_nothing(instrument: Instrument) -> bool:
    """Tell whether an instrument is that of a thick, long specimen in symmetric reflection, said or assumed."""
    stated = (instrument.variable_slit, instrument.absorption_radius, instrument.incidence_angle)
    return instrument.geometry == "bragg_brentano" and not any((*stated, instrument.specimen_length_mm))


def _geometries(instrument: Instrument) -> Iterator[tuple[str, str, Instrument]]:
    """What it is, the settings that say so, and the instrument."""
    yield "variable slits", "instrument.variable_slit = true", replace(instrument, variable_slit=True)
    for angle in _INCIDENCES:
        changed = replace(instrument, incidence_angle=angle)
        yield f"a beam at a fixed angle of some {angle:g}°", "instrument.incidence_angle", changed
    for mu_t in _LAYERS:
        changed = replace(instrument, absorption_radius=mu_t)
        yield f"a thin layer (μt of some {mu_t:g})", "instrument.absorption_radius", changed
    for angle in _OVERFLOW_TO:
        length = np.radians(1.0) * instrument.radius_mm / np.sin(np.radians(angle / 2.0))
        changed = replace(instrument, equatorial_divergence=1.0, specimen_length_mm=float(length))
        setting = "instrument.specimen_length_mm with equatorial_divergence and radius_mm"
        yield f"a beam longer than the specimen below some {angle:g}°", setting, changed
    for mu_t in _PLATES:
        changed = replace(instrument, geometry="transmission", incidence_angle=90.0, absorption_radius=mu_t)
        setting = 'instrument.geometry = "transmission" with incidence_angle and absorption_radius'
        yield f"a plate in transmission (μt of some {mu_t:g})", setting, changed


def tilts(model: PatternModel, solution: Solution, points: Points, evidence: Evidence) -> list[Tilt]:
    """Geometries that lower χ², most of all the first."""
    specimen = model.of_kind("phase", "amorphous", "mode")
    places, others = np.flatnonzero(specimen), np.flatnonzero(~specimen)
    n, jacobian, x = len(model.columns), solution.jacobian, model.two_theta
    prior = np.concatenate([solution.linear_prior, solution.parameter_prior])
    pull = np.concatenate([np.zeros(n), solution.parameter_prior * solution.offset])
    nonnegative = np.concatenate([model.nonnegative, np.zeros(jacobian.shape[1], dtype=bool)])
    y = points.intensity / points.sigma

    def solved(factor: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        weight = (factor / points.sigma)[:, None]
        fixed = solution.columns[:, ~specimen] / points.sigma[:, None]
        joint = np.empty((len(x), n + jacobian.shape[1]))
        joint[:, places], joint[:, others] = solution.columns[:, specimen] * weight, fixed
        joint[:, n:] = jacobian * weight
        gram, right = joint.T @ joint + np.diag(prior + 1e-12), joint.T @ y - pull
        found = solve_linear(gram, right, nonnegative)
        return float(found @ gram @ found - 2.0 * right @ found), found, y - joint @ found

    before, _, _ = solved(np.ones_like(x))
    out = []
    for what, setting, instrument in _geometries(model.instrument):
        try:
            factor = geometry_factor(instrument, x)
        except AnalysisError:  # the angle hides part of the range: it was none
            continue
        cost, found, residual = solved(factor / factor.mean())
        gain = (before - cost) / evidence.inflation
        if gain > 0.0:
            left, _ = residual_inflation(residual, solution.n_free + int(points.masked.sum()))
            clear = gain * evidence.inflation / left
            out.append(Tilt(what=what, setting=setting, gain=gain, clear_gain=clear, moved=found[n:]))
    return sorted(out, key=lambda tilt: -tilt.gain)
