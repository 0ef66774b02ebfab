"""Turn a finished minimisation into the FitResult that travels on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xrdcomp.data import Diagnostic, Instrument
from xrdcomp.physics.amorphous import HOLDERS, Holder, holder_shape
from xrdcomp.refinement.covariance import bragg_area_lost, misfit_covariance
from xrdcomp.refinement.model import ALL_AMORPHOUS
from xrdcomp.refinement.parameters import FitParameter
from xrdcomp.refinement.reflections import SCHERRER_CONSTANT, diffuse_now, line_properties
from xrdcomp.refinement.solver import solve_linear
from xrdcomp.results import Estimate, FitResult, ReflectionTable, XrdAmounts
from xrdcomp.units import FloatArray

if TYPE_CHECKING:
    from xrdcomp.refinement.refine import FitState

# ------------ Whether a holder of glass, PMMA or Kapton shows beneath a specimen.

_MIN_Z = 4.0
_MIN_HEIGHT = 0.04  # of the median intensity


def holder_below(state: FitState) -> tuple[Diagnostic, ...]:
    """Name the holder whose humps, not negative, improve a fit most.

    One column is added to the linear problem and halos with their deformations, air and lines are fitted again beside
    it; a holder is named where the cost, over the misfit's inflation, falls by 4² and the hump exceeds 4 % of the
    median intensity. Humps where the specimen's own halos lie (glass, Kapton below an organic) mostly pass for
    these: nothing but an empty-holder scan tells them.

    Parameters
    ----------
    state : FitState
        With amorphous components and without an empty-holder scan.

    Returns
    -------
    One Diagnostic ``HOLDER_HUMP``, or none.
    """
    solution = state.solution
    y = state.intensity / state.sigma
    gram = state.evidence.gram + np.diag(solution.linear_prior + 1e-12)
    right = state.evidence.right
    bounded = np.array([c.nonnegative for c in state.model.columns])
    plain = _cost(gram, right, bounded)[0]
    best: tuple[float, Holder, float] | None = None
    for holder in HOLDERS:
        shape = holder_shape(holder, state.two_theta, state.instrument.wavelength)
        if shape is None:
            continue
        column = shape / state.sigma
        cross = solution.columns.T @ (column / state.sigma)
        wider = np.block([[gram, cross[:, None]], [cross[None, :], np.array([[column @ column]])]])
        cost, coefficient = _cost(wider, np.append(right, column @ y), np.append(bounded, True))
        height = coefficient * float(shape.max()) / max(float(np.median(state.intensity)), 1e-300)
        if best is None or plain - cost > best[0]:
            best = (plain - cost, holder, height)
    if best is None:
        return ()
    gain, holder, height = best
    z = float(np.sqrt(max(gain, 0.0) / state.evidence.inflation))
    if z < _MIN_Z or height < _MIN_HEIGHT:
        return ()
    positions = ", ".join(f"{p:.1f}" for p, *_ in holder.humps)
    text = (
        f"The broad maxima of {holder.name} ({positions}° for Cu Kα) show beneath the specimen, {100 * height:.0f} % "
        f"of the median intensity (z = {z:.0f}): {holder.advice}. Pass the empty-holder scan with --blank, or use a "
        "zero-background holder."
    )
    facts: dict[str, str | float] = {"holder": holder.name, "height": height, "z": z}
    return (Diagnostic(code="HOLDER_HUMP", severity="warning", text=text, facts=facts),)


def _cost(gram: FloatArray, right: FloatArray, bounded: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Cost of the linear solution but for a constant, and its last coefficient."""
    c = solve_linear(gram, right, bounded).coefficients
    return float(c @ gram @ c - 2.0 * right @ c), float(c[-1])


# ------------ Turn a finished minimisation into the FitResult that travels on.

_LOW_COUNTS = 300.0
_OPTICS_CELL_STD = 1.2e-5
"""Relative standard uncertainty of cell lengths from aberrations nobody measured: what a refined cell of LaB6 moves by
between the admissible axial correlations and divergences of ``instrument.build``."""

_SPECTRUM_CELL_STD = 4e-5
"""The same where emission lines are taken as symmetric: centroid and top of Cu Kα1 differ by 3.7e-5 [Hölzer et al.
1997 Phys. Rev. A 56, 4554], and broad lines follow the centroid, tables of wavelengths the top."""

_OPTICS_DISPLACEMENT_STD = 7e-6
"""The same of a displacement, as a share of the goniometer's radius."""

_DEPTH_STD = (0.15, 0.03, 0.02)
"""Of a refined transparency, as a share and in mm, and what it leaves of the displacement, per mm: the decay with depth
is modelled by its mean and variance, which moves depths of 0.2 to 1.2 mm by a tenth."""

_SIZE_SHAPE_STD = 0.04
"""Relative standard uncertainty of a size: a distribution of sizes and shapes has no pseudo-Voigt profile, which moves
lengths of simulated lognormal crystals by 2 to 4 %."""

_STANDARD_OWN = 0.001
"""1/nm, what an instrument file leaves open of a size: the standard's own crystallites of about a micrometre."""

_GENERIC_WIDTH_STD = 0.03
"""Degrees, standard uncertainty of the width of an instrument that nobody calibrated: 0.05 to 0.12° are usual."""

POOR_FIT_GOF = 6.0
"""Goodness of fit beyond which a fit is no evidence; clean powders with high counts reach 3 by imperfect profiles."""
POOR_FIT_MISFIT = 0.20
"""Rwp beyond counting, sqrt(Rwp² - Rexp²), beyond which a fit is no evidence: few counts excuse no fit that leaves a
fifth of the intensity. Measured powders with the right phases and wavelength stay below 0.15."""


def goodness_of_fit(state: FitState) -> float:
    """Goodness of fit: root of the mean squared residual in standard deviations, free numbers allowed for.

    Parameters
    ----------
    state : FitState

    Returns
    -------
    float
    """
    return state.solution.goodness(state.intensity, state.sigma)


def summarize(state: FitState) -> FitResult:
    """Curves, parameters with uncertainties, amounts and messages of a fit."""
    model, solution = state.model, state.solution
    c = solution.coefficients
    kinds = np.array([column.kind for column in model.columns])
    curves = {column.name: solution.columns[:, i] * c[i] for i, column in enumerate(model.columns)}
    amorphous = {
        column.name: curves[column.name].copy() for column in model.columns if column.kind == "amorphous"
    }
    largest = max(amorphous, key=lambda name: float(amorphous[name].sum()), default="")
    phases = {item.phase.id: curves[item.phase.id].copy() for item in model.lines}
    for column in model.columns:
        if column.kind == "mode":
            owner = largest if column.parent == ALL_AMORPHOUS else column.parent
            part = amorphous if owner in amorphous else phases
            part[owner] = part[owner] + curves[column.name]
    instrument_part = np.isin(kinds, ["background", "correction"])
    background = solution.columns[:, instrument_part] @ c[instrument_part]
    free_names = tuple(item.name for item in state.table.free)
    parameters = _parameters(state)
    bragg = {item.phase.id: float(_bragg_area(state, i)) for i, item in enumerate(model.lines)}
    halo = sum(float(np.trapezoid(np.maximum(curve, 0.0), model.two_theta)) for curve in amorphous.values())
    return FitResult(
        two_theta=model.two_theta,
        observed=state.intensity,
        sigma=state.sigma,
        calculated=solution.columns @ c,
        background=background,
        amorphous=amorphous,
        phases=phases,
        reflections={item.phase.id: _reflections(state, i) for i, item in enumerate(model.lines)},
        parameters=parameters,
        covariance_names=free_names,
        covariance=state.evidence.parameter_covariance,
        amounts=_with_misfit(state),
        wavelengths=tuple(line.wavelength for line in state.instrument.emission_lines),
        n_parameters=int(solution.active.sum()) + len(free_names),
        n_iterations=solution.n_iterations,
        converged=solution.converged,
        crystallinity=_crystallinity(state, bragg, halo),
        bragg_area=bragg,
        bragg_area_lost=bragg_area_lost(state, bragg),
        messages=_diagnostics(state, amorphous),
    )


def _with_misfit(state: FitState) -> XrdAmounts:
    """Amounts with what misfit leaves open beyond the covariance that the search worked with."""
    evidence, solution = state.evidence, state.solution
    residual = (state.intensity - solution.columns @ solution.coefficients) / state.sigma
    covariance = misfit_covariance(state.model, solution, (residual, state.sigma), evidence.inflation)
    factors = evidence.grain_factors
    return replace(evidence.amounts, misfit_covariance=covariance / np.outer(factors, factors))


def _parameters(state: FitState) -> dict[str, Estimate]:
    std = np.sqrt(np.maximum(np.diag(state.evidence.parameter_covariance), 0.0))
    free = dict(zip((item.name for item in state.table.free), std.tolist(), strict=True))
    return {item.name: _estimate(state, item, free.get(item.name)) for item in state.table.items}


def parameter_estimate(state: FitState, name: str) -> Estimate | None:
    """Value of a parameter and its standard uncertainty, what the model leaves open included; None if it has none.

    Parameters
    ----------
    state : FitState
    name : str
        As ``hydroxyapatite_a``.

    Returns
    -------
    Estimate or None
    """
    free = [item.name for item in state.table.free]
    item = next((item for item in state.table.items if item.name == name), None)
    if item is None:
        return None
    i = free.index(name) if name in free else None
    covariance = state.evidence.parameter_covariance
    return _estimate(state, item, None if i is None else float(np.sqrt(max(covariance[i, i], 0.0))))


def _estimate(state: FitState, item: FitParameter, std: float | None) -> Estimate:
    """Estimate of a parameter; `std` from the covariance, None where it was held."""
    value = state.solution.values[item.name]
    if std is None:
        return Estimate(value=value, std=None, unit=item.unit)
    s = float(
        np.hypot(
            std, _model_std(item, value, state.instrument, state.solution.values.get("transparency_mm", 0.0))
        )
    )
    s = float(np.hypot(s, state.shift_std.get(item.name, 0.0)))
    return Estimate.normal(value, s, unit=item.unit)


def _model_std(item: FitParameter, value: float, instrument: Instrument, depth: float) -> float:
    """Return what the model leaves open of a cell length, displacement or inverse size, beyond the covariance."""
    if item.meaning == "cell" and item.unit == "Å" and not instrument.calibrated:
        skew = all(line.fwhm == 0.0 for line in instrument.emission_lines)
        return float(np.hypot(_OPTICS_CELL_STD, _SPECTRUM_CELL_STD if skew else 0.0)) * value
    if item.name == "sample_displacement_mm":
        optics = 0.0 if instrument.calibrated else _OPTICS_DISPLACEMENT_STD * instrument.radius_mm
        return float(np.hypot(optics, _DEPTH_STD[2] * depth))
    if item.name == "transparency_mm":
        return float(np.hypot(_DEPTH_STD[0] * value, _DEPTH_STD[1]))
    if "_inverse_size_" not in item.name:
        return 0.0
    own = _STANDARD_OWN
    if not instrument.calibrated:
        own = _GENERIC_WIDTH_STD / float(np.degrees(SCHERRER_CONSTANT * instrument.wavelength / 10.0))
    return float(np.hypot(_SIZE_SHAPE_STD * value, own))


def _bragg_area(state: FitState, index: int) -> float:
    lines = state.model.lines[index]
    diffuse = diffuse_now(lines, state.solution.values)
    bragg = state.solution.columns[:, index] - state.model.slit * diffuse
    return float(np.trapezoid(bragg, state.model.two_theta) * state.solution.coefficients[index])


def _crystallinity(state: FitState, bragg: dict[str, float], halo: float) -> Estimate | None:
    """Bragg area over Bragg plus halo area on the fitted range; its spread follows from the amounts."""
    crystalline = sum(max(area, 0.0) for area in bragg.values())
    total = crystalline + halo
    if total <= 0.0:
        return None
    value = crystalline / total
    amounts = state.evidence.amounts
    relative = []
    for flag in (True, False):
        pick = np.array(amounts.crystalline) == flag
        amount = float(np.maximum(amounts.amounts[pick], 0.0).sum())
        variance = float(amounts.covariance[np.ix_(pick, pick)].sum())
        relative.append(np.sqrt(max(variance, 0.0)) / amount if amount > 0 else 0.0)
    std = float(value * (1.0 - value) * np.hypot(relative[0], relative[1]))
    return Estimate.normal(value, std, low=0.0, high=1.0)


def _reflections(state: FitState, index: int) -> ReflectionTable:
    """Positions at the strongest wavelength and areas of all reflections inside the range."""
    lines = state.model.lines[index]
    properties = line_properties(lines, state.instrument, state.solution.values, slopes=False)
    strongest = lines.wavelength == state.instrument.wavelength
    n = len(lines.hkl)
    weight = np.bincount(lines.reflection[strongest], properties.intensity[strongest], minlength=n)
    moment = np.bincount(
        lines.reflection[strongest], (properties.intensity * properties.position)[strongest], minlength=n
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        position = moment / weight
    x = state.model.two_theta
    inside = np.isfinite(position) & (position >= x[0]) & (position <= x[-1])
    area = weight[inside]
    top = float(area.max()) if inside.any() else 1.0
    order = np.argsort(position[inside])
    return ReflectionTable(
        hkl=lines.hkl[inside][order], two_theta=position[inside][order], intensity=100.0 * area[order] / top
    )


def _diagnostics(state: FitState, amorphous: dict[str, FloatArray]) -> tuple[Diagnostic, ...]:
    out = []
    peak = float(state.intensity.max())
    if state.pattern.intensity_unit == "counts" and peak < _LOW_COUNTS:
        out.append(
            Diagnostic(
                code="XRD_LOW_COUNTS",
                severity="warning",
                text=f"The strongest point has {peak:.0f} counts; small phases and halos drown in noise. Count longer.",
                facts={"peak_counts": peak},
            )
        )
    if state.dead_points:
        out.append(
            Diagnostic(
                code="XRD_PADDING_LEFT_OUT",
                severity="info",
                text=(
                    f"{state.dead_points} point(s) at the end of the scan are exactly zero beside a clear level; "
                    "they were taken for padding of the file and left out."
                ),
                facts={"points": state.dead_points},
            )
        )
    out += _poor_fit(state)
    if not state.solution.converged:
        out.append(
            Diagnostic(
                code="XRD_NOT_CONVERGED",
                severity="warning",
                text=(
                    f"The fit stopped after {state.solution.n_iterations} iterations without settling. Check phases, "
                    "wavelength and range, or raise fit.max_iterations."
                ),
                facts={"iterations": state.solution.n_iterations},
            )
        )
    if amorphous and not state.evidence.amounts.blank_measured:
        out.append(
            Diagnostic(
                code="XRD_BLANK_MISSING",
                severity="warning",
                text=(
                    "No empty-holder scan was given: air and holder scattering are told from the specimen's halo by "
                    "shape alone, so amorphous amounts from X-rays are uncertain by some 20 % of their value. Measure "
                    "the empty holder under the same conditions and pass --blank."
                ),
            )
        )
        out += holder_below(state)
    return tuple(out)


def pattern_misfit(state: FitState) -> tuple[float, float]:
    """Root mean square of the residual in standard deviations, and Rwp (background not subtracted).

    Parameters
    ----------
    state : FitState

    Returns
    -------
    gof, rwp : float
        What `describes_pattern` asks for; free parameters are not allowed for.
    """
    weighted = (state.intensity - state.solution.columns @ state.solution.coefficients) / state.sigma
    observed = state.intensity / state.sigma
    return float(np.sqrt((weighted**2).mean())), float(np.sqrt((weighted**2).sum() / (observed**2).sum()))


def describes_pattern(gof: float, rwp: float) -> bool:
    """Whether a fit is good enough to be evidence: by the scatter that counting explains and by the intensity left.

    Parameters
    ----------
    gof : float
        Rwp / Rexp.
    rwp : float
        Weighted profile R factor, background not subtracted.

    Returns
    -------
    bool
    """
    misfit = rwp * np.sqrt(max(1.0 - 1.0 / gof**2, 0.0))
    return bool(gof <= POOR_FIT_GOF and misfit <= POOR_FIT_MISFIT)


def _poor_fit(state: FitState) -> list[Diagnostic]:
    """Say where a fit does not describe its pattern."""
    gof, rwp = pattern_misfit(state)
    if describes_pattern(gof, rwp):
        return []
    gof = goodness_of_fit(state)  # as everywhere else in the result
    text = (
        f"The fit leaves {gof:.1f} times the scatter that counting explains (goodness of fit {gof:.1f}, Rwp "
        f"{100 * rwp:.0f} %): a phase, the wavelength or the kind of radiation is probably wrong. Amounts and "
        "limits of this fit prove nothing. Check --radiation, run xrdcomp identify, look at the figure, name the "
        "phases with --phases."
    )
    return [Diagnostic(code="XRD_POOR_FIT", severity="warning", text=text, facts={"gof": gof, "rwp": rwp})]
