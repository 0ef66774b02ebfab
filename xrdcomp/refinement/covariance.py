"""Covariance of amounts and parameters at a minimum: misfit, bounded background, microabsorption, jackknife.

The joint linearised problem in all linear coefficients and non-linear parameters is Gaussian; its data part is divided
by the residual's overdispersion and autocorrelation, so that systematic misfit widens every interval. Amounts of
phases are signed, those of amorphous components the ones at the minimum; background terms cannot be negative: all are
marginalised over them with that bound (moments of a truncated normal distribution).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from scipy import linalg

from xrdcomp.data import Instrument, Phase
from xrdcomp.errors import AnalysisError
from xrdcomp.physics import amorphous, corrections, elements, reflections
from xrdcomp.recipe import FitRecipe
from xrdcomp.refinement.model import UNCONTROLLED_STD, PatternModel, Points
from xrdcomp.refinement.reflections import emitted_weight, polarization
from xrdcomp.refinement.solver import Solution, solve_linear
from xrdcomp.results import XrdAmounts
from xrdcomp.units import CO3_MASS, BoolArray, FloatArray, two_theta_to_q

# Microabsorption: grains of a phase that absorbs more than the mean of the powder hide part of their own scattering
# [Brindley 1945 Phil. Mag. 36, 347]. Their size is rarely measured; ground powders have grains of a few micrometres.
# Correcting for a typical size and carrying the whole correction's uncertainty is nearer the truth than no correction.

GRAIN_LOG_STD = 0.7  # of ln(grain size): a factor of two either way
# The same of a grain size that was measured: one diameter for grains of many sizes and shapes.
KNOWN_LOG_STD = 0.35
# Smaller crystallites belong to aggregates of nano-crystals in a matrix, which absorb like it.
COARSE_NM = 60.0
_CONTRAST_MAX = 2.9  # |Δμ|·D; beyond 3 Brindley's factor means nothing
_DALTON_PER_CUBIC_ANGSTROM = 1.66053907  # in g/cm³


def grain_factors(
    phases: Sequence[Phase],
    amounts: Mapping[str, float],
    sizes_nm: Mapping[str, float],
    *,
    wavelength: float,
    grain_size_um: float,
    known_um: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Brindley factors τ by phase, by which apparent amounts are to be divided.

    `amounts` are apparent masses of phases and amorphous components in any common unit. Phases whose crystallites
    (`sizes_nm`) are below 60 nm get τ = 1. `grain_size_um` is the typical grain diameter: 0 turns the correction off,
    larger makes it stronger; `known_um` holds the diameters that were measured, whatever the size of the crystallites.

    Raises AnalysisError where a known diameter gives a factor beyond 2 either way, where the theory ends.
    """
    known = known_um or {}
    linear, volume = {}, {}
    for phase in phases:
        atoms: dict[str, float] = {}
        for element, occupancy in zip(phase.site_element, phase.site_occupancy, strict=True):
            atoms[element] = atoms.get(element, 0.0) + float(occupancy)
        mass = sum(elements.atomic_weight(e) * n for e, n in atoms.items())
        density = mass * _DALTON_PER_CUBIC_ANGSTROM / reflections.cell_volume(phase.cell.parameters)
        fractions = elements.mass_fractions_of(atoms)
        linear[phase.id] = density * elements.mass_attenuation_of(fractions, wavelength)
        volume[phase.id] = max(amounts.get(phase.id, 0.0), 0.0) / density
    for name, component in amorphous.AMORPHOUS.items():
        if name in amounts:
            fractions = elements.mass_fractions_of(component.atoms)
            linear[name] = component.density * elements.mass_attenuation_of(fractions, wavelength)
            volume[name] = max(amounts[name], 0.0) / component.density
    total = sum(volume.values())
    if total <= 0.0 or (grain_size_um <= 0.0 and not known):
        return {phase.id: 1.0 for phase in phases}
    mean = sum(volume[name] * linear[name] for name in volume) / total
    out = {}
    for phase in phases:
        size = known.get(phase.id, grain_size_um if sizes_nm.get(phase.id, 0.0) >= COARSE_NM else 0.0)
        contrast = abs(linear[phase.id] - mean) * 1e-4  # from 1/cm to 1/µm
        # a typical size is only a guess: it is cut where Brindley's series ends, a measured one is refused there
        inside = min(size, _CONTRAST_MAX / max(contrast, 1e-12))
        out[phase.id] = float(corrections.brindley_factor(linear[phase.id], mean, inside)) if inside else 1.0
        if phase.id in known and (inside < size or not 0.5 < out[phase.id] < 2.0):
            msg = (
                f"grains of {size:g} µm give {phase.id} a microabsorption factor of {out[phase.id]:.2f}, beyond "
                "what the correction can do. Grind finer, below 10 µm."
            )
            raise AnalysisError(msg)
    return out


def apply_factors(
    amounts: FloatArray, covariance: FloatArray, factors: FloatArray, known: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Divide amounts (n,) by their factors; the uncertainty of the typical grain size is common to all that have it.

    ln τ is proportional to the grain size to first order, so that its standard deviation is |ln τ| times that of
    ln(size): 0.7 for the typical size, 0.35, independently, for each size that was measured (`known`).
    """
    corrected = amounts / factors
    scaled = covariance / np.outer(factors, factors)
    moved = corrected * np.log(factors)
    common = np.where(known, 0.0, GRAIN_LOG_STD * moved)
    own = np.where(known, KNOWN_LOG_STD * moved, 0.0)
    return corrected, scaled + np.outer(common, common) + np.diag(own**2)


# Misfit, and moments over a bounded background.


def residual_inflation(residual: FloatArray, n_parameters: int) -> tuple[float, float]:
    """Factor by which variances grow because of misfit, and the correlation length behind it, in points.

    Variances are multiplied by max(1, χ²_ν) · τ with τ = 1 + 2 Σ ρ_k, the integrated autocorrelation of the
    residual (observed − calculated) / sigma up to its first negative value [after Bérar & Lelann 1991 J. Appl. Cryst.
    24, 1, who treat serial correlation of profile residuals; τ in the form of Geyer 1992 Stat. Sci. 7, 473].
    """
    n = len(residual)
    chi_sq = float(residual @ residual) / max(n - n_parameters, 1)
    centred = residual - residual.mean()
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2  # twice as long, so that the ends do not meet
    auto = np.fft.irfft(power)[: min(n, 400)]
    rho = auto[1:] / max(float(auto[0]), 1e-300)
    negative = np.flatnonzero(rho < 2.0 / np.sqrt(n))
    stop = int(negative[0]) if len(negative) else len(rho)
    tau = 1.0 + 2.0 * float(rho[:stop].sum())
    return max(1.0, chi_sq) * tau, tau


# Rank-1 lattice of 8 191 points in up to eight dimensions, made one component at a time for the smallest P2 [Sloan &
# Reztsov 2002 Math. Comput. 71, 263]: moments of four background terms err by 0.002 of a standard deviation.
_POINTS = 8191
_GENERATOR = np.array([1, 4734, 1043, 5176, 732, 4486, 8107, 159])
_COPIES = 16  # of the lattice, each shifted, where few of its points carry the weight
_FEW = 200  # effective points


def truncated_moments(mean: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean (k,) and covariance (k, k) of a normal distribution restricted to the positive orthant.

    Importance integration by separation of variables [Genz 1992 J. Comput. Graph. Stat. 1, 141], each variable drawn
    above its bound given those before it, the one that is least likely to be there first [Gibson, Glasbey & Elston 1994
    Statistics 14, 419], on a lattice: the same numbers in, the same bytes out.
    """
    from scipy.special import erfcx

    k = len(mean)
    root, order, drawn = np.zeros((k, k)), list[int](), np.zeros(k)
    for j in range(k):
        left = [i for i in range(k) if i not in order]
        std = np.sqrt(np.maximum(covariance[left, left] - (root[left] ** 2).sum(axis=1), 1e-300))
        margin = (mean[left] + root[left] @ drawn) / std
        first = int(np.argmin(margin))
        chosen = left[first]
        root[left, j] = (covariance[left, chosen] - root[left] @ root[chosen]) / std[first]
        root[chosen, j] = std[first]
        # mean of a normal variable above -margin
        drawn[j] = np.sqrt(2.0 / np.pi) / erfcx(-margin[first] / np.sqrt(2.0))
        order.append(chosen)
    sample, weights = _above_zero(mean[order], root[order], 1)
    if 1.0 / (weights @ weights) < _FEW:
        sample, weights = _above_zero(mean[order], root[order], _COPIES)
    centre = sample @ weights
    away = sample - centre[:, None]
    back = np.argsort(order)
    return centre[back], ((away * weights) @ away.T)[np.ix_(back, back)]


def _above_zero(mean: FloatArray, root: FloatArray, copies: int) -> tuple[FloatArray, FloatArray]:
    """Points (k, n) of a normal distribution above zero in up to eight coordinates, and weights, which sum to one."""
    from scipy.special import log_ndtr, ndtri_exp

    k = len(mean)
    shifts = (np.arange(copies) + 0.5) / copies
    even = np.arange(_POINTS) * _GENERATOR[:k, None] / _POINTS
    even = np.mod(np.concatenate([even + shift for shift in shifts], axis=1), 1.0)
    # a tent, so that there is no jump where the cube ends; neither 0 nor 1, which have no quantile
    log_even = np.log1p(-np.clip(np.abs(2.0 * even - 1.0), 1e-15, 1.0 - 1e-15))
    z, log_weight = np.empty_like(even), np.zeros(even.shape[1])
    for j in range(k):
        log_above = log_ndtr((mean[j] + root[j, :j] @ z[:j]) / root[j, j])
        z[j] = -ndtri_exp(log_above + log_even[j])
        log_weight += log_above
    weights = np.exp(log_weight - log_weight.max())
    return np.maximum(mean[:, None] + root @ z, 0.0), weights / weights.sum()


def _newton(
    gram: FloatArray, prior: FloatArray, gradient: FloatArray, start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """One Newton step with all bounds lifted, and the covariance there."""
    normal = gram + np.diag(prior)
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = normal / np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += 1e-11
    inverse = linalg.inv(scaled) / np.outer(scale, scale)
    inverse = 0.5 * (inverse + inverse.T)
    return start + inverse @ gradient, inverse


# Amounts of every component with their complete covariance.

# Relative, of a crystal's calculated intensity per gram: structure, B, form factors; where B of an ordered phase is
# known, form factors alone are left: those of ions and free atoms differ by 1 to 2 %, tables by 0.6 %.
PHASE_PER_GRAM_STD = 0.03
ORDERED_PER_GRAM_STD = 0.015
# Share of the instrument background that may have the form of amorphous scattering without a blank.
BLANK_STD = 0.2
# Share of all amorphous matter below which a lipid amount is the sign of a material that no component stands for.
FOREIGN_LIPID = -0.15
_PROTEIN_RANGE = (10.0, 55.0)  # degrees, under the broad maximum of protein


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Covariances at the minimum."""

    amounts: XrdAmounts
    parameter_covariance: FloatArray  # of the free parameters
    covariance: FloatArray  # of all coefficients and free parameters, bounds lifted
    inflation: float
    grain_factors: FloatArray  # by which the amounts are divided
    gram: FloatArray  # Φᵀ W Φ of the columns, no prior in it
    right: FloatArray  # Φᵀ W y
    unbounded: FloatArray  # amounts with all bounds lifted


def collect_evidence(model: PatternModel, solution: Solution, points: Points, recipe: FitRecipe) -> Evidence:
    """Amounts of every component with their complete covariance."""
    columns, jacobian = solution.columns / points.sigma[:, None], solution.jacobian / points.sigma[:, None]
    joint = np.concatenate([columns, jacobian], axis=1)
    residual = solution.residual(points)
    inflation, _ = residual_inflation(residual, solution.n_free + int(points.masked.sum()))
    gram = joint.T @ joint
    prior = np.concatenate([solution.linear_prior, solution.parameter_prior])
    start = np.concatenate([solution.coefficients, np.zeros(jacobian.shape[1])])
    pull = -prior * np.concatenate([solution.coefficients, solution.offset])
    moved, covariance = _newton(gram / inflation, prior, joint.T @ residual / inflation + pull, start)
    _, uninflated = _newton(gram, prior, joint.T @ residual + pull, start)
    # where misfit counts, the minimum has to weigh the pattern against the priors of forms as the covariance does: at
    # the minimum of the fit many counts would bend forms by many of their standard deviations to take up misfit
    nonnegative = np.concatenate([model.nonnegative, np.zeros(jacobian.shape[1], dtype=bool)])
    normal = gram / inflation + np.diag(prior)
    minimum = solve_linear(normal, normal @ start + joint.T @ residual / inflation + pull, nonnegative)
    # what the priors of amorphous and profile forms leave open is not counting
    counting = uninflated @ gram @ uninflated
    m = len(model.columns)
    is_amount = model.of_kind("phase", "amorphous")
    bounded = model.of_kind("background") & model.nonnegative
    narrower = np.ones(m)
    if points.masked.any():
        narrower = _of_sharp_phases(model, solution, points, gram, prior, covariance, inflation)
    means, amount_cov = _over_background(
        moved[:m], covariance[:m, :m] * np.outer(narrower, narrower), is_amount, bounded, minimum[:m][bounded]
    )
    amounts = np.where(model.of_kind("phase")[is_amount], means, minimum[:m][is_amount])
    names = tuple(c.name for c in model.columns if c.kind in ("phase", "amorphous"))
    crystalline = model.of_kind("phase")[is_amount]
    if "protein" in names and not model.blank_measured:
        index = names.index("protein")
        amount_cov[index, index] += _hidden_amorphous_variance(model, solution)
    phases = [item.phase for item in model.reflections]
    # of two refined sizes the smaller one says whether a phase consists of nano-crystals
    inverse = {p.id: [solution.value("inverse_size", p.id, axis) for axis in "ac"] for p in phases}
    by_phase = grain_factors(
        phases,
        amounts=dict(zip(names, amounts.tolist(), strict=True)),
        sizes_nm={name: 1.0 / max(*both, 1e-6) for name, both in inverse.items()},
        wavelength=model.instrument.wavelength,
        grain_size_um=recipe.grain_size_um,
        known_um=recipe.grain_sizes_um,
    )
    factors = np.array([by_phase.get(name, 1.0) for name in names])
    measured = np.array([name in recipe.grain_sizes_um for name in names])
    amounts, amount_cov = apply_factors(amounts, amount_cov, factors, measured)
    # what a gram scatters is known of each material by itself, and what the settings add to it
    own = np.array([c.area_std for c in model.columns if c.kind in ("phase", "amorphous")])
    positive = np.maximum(amounts, 0.0)
    area = np.diag((np.hypot(own, recipe.per_gram_std) * positive * ~crystalline) ** 2)
    unbounded = moved[:m][is_amount]
    strange = UNCONTROLLED_STD * foreign_share(names, crystalline, unbounded, amount_cov + area)
    area += strange**2 * np.outer(positive * ~crystalline, positive * ~crystalline)
    ordered = {p.id for p in phases if p.facts.b_iso is not None}
    structure = np.array([ORDERED_PER_GRAM_STD if name in ordered else PHASE_PER_GRAM_STD for name in names])
    scale = np.diag((structure * positive * crystalline) ** 2)
    # amounts that are held at zero move with a halo of another form: their covariance has no bounds either
    normal = gram + inflation * np.diag(prior)
    polarized, disorder, flatter = _without_place(model.two_theta.tobytes(), model.instrument)
    weight = emitted_weight(model.instrument) * model.slit * polarized
    lifted = solution.active | model.of_kind("amorphous")
    return Evidence(
        amounts=XrdAmounts(
            names=names,
            amounts=amounts,
            covariance=amount_cov + scale + area,
            area_covariance=area,
            crystalline=tuple(bool(v) for v in crystalline),
            counting_covariance=counting[:m, :m][np.ix_(is_amount, is_amount)],
            blank_measured=model.blank_measured,
            facts={item.phase.id: item.phase.facts for item in model.reflections},
            lattice_diffuse=_taken_up(joint, normal, solution.active, weight * disorder / points.sigma)[is_amount],
            flatter_halo=_taken_up(joint, normal, lifted, weight * flatter / points.sigma)[is_amount],
        ),
        parameter_covariance=covariance[m:, m:],
        covariance=covariance,
        inflation=inflation,
        grain_factors=factors,
        gram=gram[:m, :m],
        right=columns.T @ (points.intensity / points.sigma),
        unbounded=unbounded,
    )


class LipidAmount(NamedTuple):
    """Lipid of a fit, free to be negative, beside all amorphous matter, and their standard deviations."""

    lipid: float
    whole: float
    lipid_std: float
    whole_std: float

    @classmethod
    def of(cls, names: Sequence[str], crystalline: BoolArray, unbounded: FloatArray, covariance: FloatArray) -> Self:
        """Take it from amounts that none was held at zero of, and their covariance."""
        k, amorphous = list(names).index("lipid"), ~crystalline
        whole_std = float(np.sqrt(covariance[np.ix_(amorphous, amorphous)].sum()))
        return cls(float(unbounded[k]), float(unbounded[amorphous].sum()), float(np.sqrt(covariance[k, k])), whole_std)


def foreign_share(names: Sequence[str], crystalline: BoolArray, unbounded: FloatArray, covariance: FloatArray) -> float:
    """How clearly the amorphous matter is of a kind that no component stands for, from 0 to 1.

    Lipid, free to be negative, is so for materials whose first maximum lies elsewhere (glass, polymers). Below
    `FOREIGN_LIPID` of all amorphous matter it comes in over one standard deviation, where that matter itself is clear.
    """
    if "lipid" not in names:
        return 0.0
    found = LipidAmount.of(names, crystalline, unbounded, covariance)
    below = (FOREIGN_LIPID * found.whole - found.lipid) / max(found.lipid_std, 1e-300)
    clear = found.whole / max(found.whole_std, 1e-300)
    return float(np.clip(below, 0.0, 1.0) * np.clip(clear - 1.0, 0.0, 1.0))


def _of_sharp_phases(
    model: PatternModel,
    solution: Solution,
    points: Points,
    gram: FloatArray,
    prior: FloatArray,
    covariance: FloatArray,
    inflation: float,
) -> FloatArray:
    """Factor, at most 1, on the standard deviation of each coefficient, (m,), where unknown crystals disturb the fit.

    Their crowded reflections leave broad misfit, whose long correlation inflates all variances. It resembles amorphous
    scattering and small crystals; the amount of a phase with sharp reflections hangs on the misfit that is left when
    what is broader than `_STRETCH` has been taken out.
    """
    out = np.ones(len(model.columns))
    sizes = [max(solution.value("inverse_size", item.phase.id, axis) for axis in "ac") for item in model.reflections]
    sharp = np.flatnonzero(model.of_kind("phase"))[np.array(sizes) * _SHARP_NM < 1.0]
    seen = ~points.masked
    residual = solution.residual(points)[seen]
    width = min(round(_STRETCH / points.step), len(residual) - 1) | 1
    slow = np.convolve(np.pad(residual, width // 2, mode="reflect"), np.full(width, 1.0 / width), mode="valid")
    quick, _ = residual_inflation(residual - slow, solution.n_free)
    if len(sharp) and quick < inflation:
        _, own = _newton(gram / quick, prior, np.zeros(len(prior)), np.zeros(len(prior)))
        out[sharp] = np.minimum(np.sqrt(np.diag(own)[sharp] / np.diag(covariance)[sharp]), 1.0)
    return out


def _taken_up(joint: FloatArray, normal: FloatArray, active: BoolArray, scattering: FloatArray) -> FloatArray:
    """Change of the coefficients, (m,), by scattering over sigma, (n,), for which a fit has no place.

    `normal` is the matrix of the normal equations of coefficients and parameters (`joint`); coefficients that are not
    `active` (m,) stay where they are.
    """
    free = np.concatenate([active, np.ones(joint.shape[1] - len(active), dtype=bool)])
    matrix = normal[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    matrix = matrix / np.outer(scale, scale) + 1e-11 * np.eye(len(matrix))
    out = np.zeros(joint.shape[1])
    out[free] = np.linalg.solve(matrix, joint[:, free].T @ scattering / scale) / scale
    return out[: len(active)]


@lru_cache(maxsize=16)
def _without_place(two_theta: bytes, instrument: Instrument) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Polarisation on a grid that comes again, and scattering of a mass of one for which a fit has no place, (n,) each.

    The latter, in electron units × mol/g, is the disorder of carbonate in the lattice of apatite, and what amorphous
    calcium phosphate scatters more or less where its halo is flatter.
    """
    x, wavelength = np.frombuffer(two_theta), instrument.wavelength
    q, acp = two_theta_to_q(x, wavelength), amorphous.AMORPHOUS["amorphous_calcium_phosphate"]
    flatter = amorphous.change_of_form(acp, amorphous.FLATTER_PHOSPHATE, q, wavelength)
    out = polarization(x, instrument), _lattice_disorder(q, wavelength), flatter
    for curve in out:
        curve.flags.writeable = False
    return out


def _lattice_disorder(q: FloatArray, wavelength: float) -> FloatArray:
    """Scattering of a gram of CO3 in the lattice of apatite between the reflections, (n,), q in Å⁻¹.

    Carbon and vacancies on the sites of others are disorder (Laue scattering) that falls into the amorphous amounts; a
    fit by itself cannot tell it from them. Per carbonate: carbon for phosphorus, an oxygen and half a calcium missing.
    """
    s, f = q / (4.0 * np.pi), {}
    for element in ("C", "P", "O", "Ca"):
        f1, f2 = elements.anomalous(element, wavelength)
        f[element] = elements.form_factor(element, s) + f1 + 1j * f2
    disorder = np.abs(f["P"] - f["C"]) ** 2 + np.abs(f["O"]) ** 2 + 0.5 * np.abs(f["Ca"]) ** 2
    return np.asarray(disorder / CO3_MASS, dtype=np.float64)


def _over_background(
    mean: FloatArray, covariance: FloatArray, is_amount: BoolArray, bounded: BoolArray, held: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean of the amounts over background terms that are not negative, and covariance about the minimum (`held`).

    Given the bounded terms, amounts are normal and linear in them: their moments follow from those of the terms. The
    mean of what cannot be negative lies above what the pattern asks for, most where there is hardly any air scatter,
    and could only take from the amorphous amounts (2 to 4 wt% of apatite): these are taken at the minimum, and the
    distance of the mean from it is part of the covariance.
    """
    caa = covariance[np.ix_(is_amount, is_amount)]
    if not bounded.any():
        return mean[is_amount], caa
    cab = covariance[np.ix_(is_amount, bounded)]
    cbb = covariance[np.ix_(bounded, bounded)]
    truncated_mean, truncated_cov = truncated_moments(mean[bounded], cbb)
    gain, off = np.linalg.solve(cbb, cab.T).T, truncated_mean - held
    variance = caa - gain @ cab.T + gain @ (truncated_cov + np.outer(off, off)) @ gain.T
    return mean[is_amount] + gain @ (truncated_mean - mean[bounded]), 0.5 * (variance + variance.T)


def _hidden_amorphous_variance(model: PatternModel, solution: Solution) -> float:
    """Variance of the amount of protein from what air and holder may scatter in its shape, where no blank was measured.

    A share of the instrument background (`BLANK_STD`) is expressed as an amount of protein, whose maximum lies where
    glass and plastic holders and air have theirs.
    """
    window = (model.two_theta >= _PROTEIN_RANGE[0]) & (model.two_theta <= _PROTEIN_RANGE[1])
    if not window.any():
        return 0.0
    instrument = model.of_kind("background", "correction")
    level = solution.columns[np.ix_(window, instrument)] @ solution.coefficients[instrument]
    column = [c.name for c in model.columns].index("protein")
    per_gram = float(solution.columns[window, column].sum())
    return float((BLANK_STD * max(float(level.sum()), 0.0) / per_gram) ** 2)


# How far amounts hang on single stretches of a pattern that is fitted badly.

# Goodness of fit up to which misfit is what counting and the stated forms of amorphous scattering and profiles leave:
# of 400 simulated specimens whose amorphous scattering, profiles and optics are not those of the model the worst had
# 1.15.
GOOD_FIT_GOF = 1.2
# Share of the intensity that forms of halos and profiles leave unexplained however many the counts: 0.011 to 0.014 in
# specimens of two simulators (halos by a rule, measured halos) that show it; few grains leave several times that.
GOOD_FIT_MISFIT = 0.015
# The same of a phase's reflections by themselves: structure factors are good to 3 to 5 %, which `PHASE_PER_GRAM_STD`
# holds.
GOOD_AREAS_MISFIT = 0.05
_STRETCH = 2.0  # degrees; a reflection with what overlaps it: residuals of either sign of one profile belong together
_SHARP_NM = 30.0  # crystals with reflections far narrower than that
_CLEAR_MISFIT = 3.0  # standard deviations of the mean square of a phase's areas
# Weight of a stretch that is left out, so that a phase with all its reflections in one stays finite.
_KEPT = 0.02


def misfit_covariance(model: PatternModel, solution: Solution, points: Points, inflation: float) -> FloatArray:
    """Covariance of the amounts, (k, k), from misfit that is not spread evenly over the pattern.

    The fit's own covariance takes the misfit as noise of one size everywhere (`residual_inflation`, whose factor is
    `inflation`). Where the intensities of reflections are wrong (few large grains, texture, a missing phase under one
    of them) the misfit sits on the very points that determine an amount. It shows when stretches of the pattern are
    left out in turn: the amounts then move by more than noise of that size moves them (jackknife over blocks, Künsch
    1989 Ann. Stat. 17, 1217), V = (K - 1)/K Σ d_k d_kᵀ with the linearised change d_k of the amounts without stretch
    k. What V has beyond the noise that the fit assumed is returned, weighted with (g² - g₀²)/(g² - 1), the share of the
    excess of χ² that lies beyond a good fit's; g is the goodness of fit, g₀ = `GOOD_FIT_GOF`. Up to g₀ it is zero. As
    g grows with the counts where the misfit stays, the same holds of the share of the intensity that counting does not
    explain, with `GOOD_FIT_MISFIT`.

    A phase of few reflections may be fitted badly in a fit that is good elsewhere. Of the areas of each phase's
    reflections the same share is asked for, and the larger counts.

    It is in the order of the amounts, before corrections for grains, and positive semidefinite.
    """
    residual = solution.residual(points)
    amounts = np.flatnonzero(model.of_kind("phase", "amorphous"))
    excess = float(residual @ residual) / max(len(residual) - int(points.masked.sum()) - solution.n_free, 1)
    found = np.zeros((len(amounts), len(amounts)))
    unexplained = (excess - 1.0) * len(residual) / float(((points.intensity / points.sigma) ** 2).sum())
    x = model.two_theta
    edges = np.searchsorted(x, np.arange(x[0], x[-1], _STRETCH)[1:]).tolist()
    stretches = [slice(low, high) for low, high in pairwise([0, *edges, len(x)]) if high > low]
    share = np.full(len(amounts), _share_of_misfit(excess, unexplained))
    phases = model.of_kind("phase")
    for i, column in enumerate(amounts):
        if phases[column]:
            own = solution.columns[:, column] * solution.coefficients[column] / points.sigma
            own_share = _share_of_misfit(*_misfit_of_areas(own, residual, stretches), GOOD_AREAS_MISFIT)
            share[i] = max(share[i], own_share)
    if not share.any():
        return found
    joint = np.concatenate([solution.columns, solution.jacobian], axis=1) / points.sigma[:, None]
    prior = np.concatenate([solution.linear_prior, solution.parameter_prior])
    # in units of each column's own standard deviation, which keeps the sums of very different columns solvable
    scale = np.sqrt(np.maximum((joint**2).sum(axis=0) / inflation + prior, 1e-300))
    joint, prior = joint / scale / np.sqrt(inflation), prior / scale**2 + 1e-9
    gram = joint.T @ joint
    right = np.eye(len(gram))[:, amounts]
    for part in stretches:
        # the normal equations without the stretch, solved for the rows of the inverse that belong to amounts
        own = joint[part]
        gain = np.linalg.solve(gram + np.diag(prior) - (1.0 - _KEPT) * own.T @ own, right)
        move = gain.T @ (own.T @ residual[part]) / np.sqrt(inflation)
        found += np.outer(move, move)
    gain = np.linalg.solve(gram + np.diag(prior), right)
    k = len(stretches)
    beyond = (found * (k - 1) / k - gain.T @ gram @ gain) / np.outer(scale[amounts], scale[amounts])
    values, vectors = np.linalg.eigh(0.5 * (beyond + beyond.T))
    out: FloatArray = (vectors * np.maximum(values, 0.0)) @ vectors.T * np.sqrt(np.outer(share, share))
    return out


def _share_of_misfit(excess: float, unexplained: float, good: float = GOOD_FIT_MISFIT) -> float:
    """Share of the excess of χ² that lies beyond a good fit's, of the intensity too; 0 for a good fit."""
    if excess <= GOOD_FIT_GOF**2 or unexplained <= good**2:
        return 0.0
    return (excess - GOOD_FIT_GOF**2) / (excess - 1.0) * (1.0 - good**2 / unexplained)


def _misfit_of_areas(curve: FloatArray, residual: FloatArray, stretches: Sequence[slice]) -> tuple[float, float]:
    """Mean square by which areas of a curve (n,) are off in stretches, in units of noise and of the areas.

    Curve and residuals are in units of noise. Errors of profiles cancel in a stretch. The first figure is what the mean
    square exceeds with three standard deviations of noise: a phase may have few reflections.
    """
    power = np.array([float(curve[part] @ curve[part]) for part in stretches])
    total = float(power.sum())
    if total <= 0.0:
        return 1.0, 0.0
    off = np.array([float(curve[part] @ residual[part]) for part in stretches])
    spread = np.sqrt(2.0 * float(power @ power)) / total
    excess = float(off @ off) / total - _CLEAR_MISFIT * spread
    return excess, (excess - 1.0) * total / float(power @ power)
