"""Residual of a fit, with everything that could imitate a phase projected out, and scores of candidates in it.

For a candidate's pattern b per gram (normalised by sigma) and the nuisance columns A of the fit with prior precisions
P, the amount is

    ŵ = b·r⊥ / b·b⊥,   b⊥ = b − A (AᵀA + P)⁻¹ Aᵀ b,   var(ŵ) = f / b·b⊥,   z = ŵ / sqrt(var)

with f the variance inflation of the residual. It is the generalised least-squares estimate of one more term, so no
refinement is needed to score a phase; accepted phases are refined afterwards.

Nuisance columns are the fit's linear terms, the Jacobian of its non-linear ones, each group of reflections of the
fitted phases (grainy specimens change intensities one by one), copies of all reflections at fixed offsets (tails of
the tube) and at the places of residual Kβ and W Lα.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from xrdcomp.data import Phase
from xrdcomp.physics import elements, profiles
from xrdcomp.refinement.refine import Refinement, group_columns
from xrdcomp.refinement.solver import solve_nonnegative
from xrdcomp.search import templates
from xrdcomp.search.templates import COLD_VARIANTS, STRAINS, Candidate, Grid, Variant, candidate
from xrdcomp.units import FloatArray, median, two_theta_to_d

# Prior standard deviations: of each reflection's intensity in a phase already fitted, relative to it; of a copy of the
# reflections at a fixed offset, relative to the reflections; of residual Kβ and W Lα, relative to Kα1; of what maxima
# of 2.4° add to everything but the reflections at low angles, relative to it. Scattering of organic matter and air, the
# beam stop and a specimen shorter than the beam make shapes, broader than reflections, that background terms resemble
# only.
GRAIN_STD = 0.25
_TAIL_STD = 0.01
_RESIDUAL_LINE_STD = 0.02
BACKGROUND_STD = 0.05
_ANY_HALO_STD = 1.0  # of the same, for halos of a shape that the fit does not have: as high as all that is not crystals

# Sizes with which phases of the fit are tested; the limit of one that is not there holds for the first. They are fixed,
# since a free size lets a broad maximum pass for crystals.
PRESENCE_SIZES_NM = (60.0, 80.0, 25.0, 12.0)

SHIFTS = ("sample_displacement_mm", "zero_shift", "axial_divergence")  # move reflections of all phases

LOW_ANGLES = 20.0
_BROAD_STD = 1.0  # degrees
_FARTHEST = 0.15  # degrees by which the linearised fit may still move reflections
_TAIL_OFFSETS = (0.06, 0.12, 0.18, 0.24, 0.30, 0.38, 0.48, 0.60, 0.80)  # degrees
_WINDOW = 5.0  # degrees on either side, for the local scatter
_MAD = 1.4826
_BLOCK = 64  # patterns judged at a time: what they need stays in a core's cache
_LEFT = 1e-2  # of a pattern's information, below which it is calculated in double precision
_STANDS_OUT = 30.0  # standard deviations: seven thresholds
_FAR_ABOVE = 10.0  # z from which a peak may be found without weights


@dataclass(frozen=True, kw_only=True)
class ProjectedResidual:
    """Residual of a fit with whatever can imitate a phase projected out.

    grid : bins that are searched, with the displacement that the fit has when grains are reckoned with
    sigma : (n,) standard deviation of those bins, profile misfit of the fitted reflections included
    half : (k, n) array, L⁻¹Aᵀ with LLᵀ = AᵀA + P, so that a template's information is b·b − |half b|²
    residual : (n,) normalised residual of the fit, with what the nuisance columns explain taken out
    inflation : factor on variances from misfit that is left
    """

    grid: Grid
    sigma: FloatArray
    half: FloatArray
    residual: FloatArray
    inflation: float

    def estimate(self, patterns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Amounts of patterns (..., bins) and their standard deviations, each (...)."""
        shape = patterns.shape[:-1]
        rows = patterns.reshape(-1, patterns.shape[-1])
        amount, information = np.empty(len(rows)), np.empty(len(rows))
        inverse = 1.0 / self.sigma
        quick, half, residual = inverse.astype(np.float32), *self._single
        for first in range(0, len(rows), _BLOCK):
            part = slice(first, first + _BLOCK)
            flat = rows[part] * quick
            raw, explained = np.einsum("ij,ij->i", flat, flat), flat @ half
            left = raw - np.einsum("ij,ij->i", explained, explained)
            amount[part], information[part] = flat @ residual, left
            # single precision takes half the time, where enough of a pattern is left
            if (poor := np.flatnonzero(left <= _LEFT * raw)).size:
                exact = rows[part][poor] * inverse
                amount[first + poor], information[first + poor] = exact @ self.residual, self._left(exact)[1]
        return (amount / information).reshape(shape), np.sqrt(self.inflation / information).reshape(shape)

    @cached_property
    def _single(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`half`, transposed, and `residual` in single precision."""
        return np.ascontiguousarray(self.half.T, dtype=np.float32), self.residual.astype(np.float32)

    def response(self, patterns: FloatArray, crystals: FloatArray) -> FloatArray:
        """Amount that each pattern (n, bins) finds in one gram of crystals (n, bins), on the average: (n,)."""
        flat, true = patterns / self.sigma, crystals / self.sigma
        explained, information = self._left(flat)
        shared = np.einsum("ij,ij->i", flat, true) - np.einsum("ij,ij->i", explained, true @ self.half.T)
        return np.asarray(shared / information)

    def _left(self, flat: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Part of patterns in units of sigma that nuisance columns explain, and the information that they leave."""
        raw = np.einsum("ij,ij->i", flat, flat)
        explained = flat @ self.half.T
        left = np.maximum(raw - np.einsum("ij,ij->i", explained, explained), 1e-9 * raw + 1e-300)
        return explained, left

    def correlated_scores(self, patterns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Z of each of a few patterns (n, bins), and its correlation with that of the first, each (n,)."""
        flat = patterns / self.sigma
        explained = flat @ self.half.T
        information = flat @ flat.T - explained @ explained.T
        scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
        z = flat @ self.residual / (scale * np.sqrt(self.inflation))
        return z, information[0] / (scale[0] * scale)


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Nuisance columns with prior precisions, how far the fit is from the prior means, and what they belong to."""

    columns: FloatArray
    precision: FloatArray | float
    away: FloatArray | float = 0.0
    phase: str = ""
    parameters: tuple[str, ...] = ()

    def each(self, value: FloatArray | float) -> FloatArray:
        """One value for every column."""
        return np.broadcast_to(value, self.columns.shape[1])


@dataclass(frozen=True, kw_only=True)
class SearchResidual:
    """A fit prepared for the search: residual in bins, its sigma, and all that may imitate a phase in it.

    residual, counting, sigma : (n,) arrays; sigma has the misfit of all phases in it, counting that of none
    bragg, single : (n, phases) arrays, all emission lines and the strongest alone
    """

    fit: Refinement
    grid: Grid
    residual: FloatArray
    counting: FloatArray
    sigma: FloatArray
    bragg: FloatArray
    single: FloatArray
    nuisance: tuple[_Columns, ...]
    _presence: dict[str, Score] = field(default_factory=dict, repr=False)

    @cached_property
    def _with_everything(self) -> ProjectedResidual:
        return self._project("")

    def projected(self, without: str = "") -> ProjectedResidual:
        """Project all nuisance columns out.

        `without` names a phase whose own terms are left out, so that the phase itself can be asked for again. The
        displacement remains that which follows with the phase.
        """
        if not without:
            return self._with_everything
        return replace(self._project(without), grid=self._with_everything.grid)

    def presence(self, phase: Phase) -> Score:
        """Score of a phase of the fit, its own terms left out, with templates of fixed size.

        A phase that is alone has set the displacement itself: where it does not stand out, it is given the freedom that
        it was found with.
        """
        if phase.id not in self._presence:
            self._presence[phase.id] = self._scored(phase, self.projected(without=phase.id))
        return self._presence[phase.id]

    def presence_beside_any_halo(self, phase: Phase) -> Score:
        """Score of a phase of the fit beside broad maxima of any height at low angles.

        Halos of amorphous matter that the fit has no shape for leave more than the usual share of them. Reflections are
        a tenth as broad, so that a phase which is there hardly loses by it, and one without any there loses nothing.
        """
        longest = float(candidate(phase, self.fit).d_spacing.max(initial=0.0))
        if longest < two_theta_to_d(LOW_ANGLES + 3.0 * _BROAD_STD, self.fit.instrument.wavelength):
            return self.presence(phase)
        *rest, maxima = self.nuisance
        beside = replace(self, nuisance=(*rest, replace(maxima, precision=_ANY_HALO_STD**-2)), _presence={})
        return self._scored(phase, replace(beside._project(phase.id), grid=self.projected().grid))

    def _scored(self, phase: Phase, residual: ProjectedResidual) -> Score:
        """Score of a phase of the fit in a residual without its own terms."""
        own = [candidate(phase, self.fit)]
        found = score_phases(own, residual, sizes=PRESENCE_SIZES_NM)[phase.id]
        if len(self.fit.phases) == 1 and found.z < _STANDS_OUT:
            variants = (*STRAINS, *COLD_VARIANTS)
            found = score_phases(own, residual, variants=variants, sizes=PRESENCE_SIZES_NM)[phase.id]
        return found

    def _project(self, without: str) -> ProjectedResidual:
        fit = self.fit
        parts = [b for b in self.nuisance if not without or b.phase != without]
        residual, sigma = self.residual, self.sigma
        if without:
            index = fit.model.phase_ids.index(without)
            residual = residual + self.bragg[:, index]
            rest = np.delete(self.bragg, index, axis=1)
            sigma = _full_sigma(self.grid, self.counting, self.residual, rest)
        parts += [b for b in (self._parameters(without), self._images(without)) if b is not None]
        columns = np.empty((len(sigma), sum(b.columns.shape[1] for b in parts)))
        ends = np.cumsum([b.columns.shape[1] for b in parts])
        for part, end in zip(parts, ends.tolist(), strict=True):
            np.divide(part.columns, sigma[:, None], out=columns[:, end - part.columns.shape[1] : end])
        gram = columns.T @ columns
        precision = np.concatenate([b.each(b.precision) for b in parts])
        gram[np.diag_indices_from(gram)] += precision + 1e-9 * np.diag(gram) + 1e-12
        lower = linalg.cholesky(gram, lower=True, check_finite=False)
        half = linalg.solve_triangular(lower, columns.T, lower=True, check_finite=False)
        normal = residual / sigma
        pull = -precision * np.concatenate([b.each(b.away) for b in parts])
        shift = half @ normal + linalg.solve_triangular(lower, pull, lower=True, check_finite=False)
        cleaned = normal - half.T @ shift
        # the same projection moves displacement and zero; templates are drawn where it leads, not where the fit,
        # which knows of no grains, ended; never beyond limits, nor far from it
        steps = linalg.solve_triangular(lower, shift, lower=True, trans=1, check_finite=False)
        names = [name for b in parts for name in b.parameters or [""] * b.columns.shape[1]]
        step = dict(zip(names, steps.tolist(), strict=True))
        farthest = (np.radians(_FARTHEST) * fit.instrument.radius_mm / 2.0, _FARTHEST, np.inf)
        reach = dict(zip(SHIFTS, farthest, strict=True))
        moved = {}
        for item in fit.table.free:
            if item.name in reach and item.name in step:
                most = reach[item.name]
                value = fit.solution.values[item.name] + np.clip(step[item.name], -most, most)
                moved[item.name] = float(np.clip(value, item.low, item.high))
        hidden = float((self.grid.mean(fit.points.masked.astype(float)) > 0.5).sum())
        effective = max(len(cleaned) - hidden - float(np.linalg.norm(half)) ** 2, 1.0)
        # reflections of a phase that is missing must not inflate the variance by which it is judged: capped
        inflation = max(1.0, float(np.minimum(cleaned**2, 12.0).sum()) / effective)
        grid = replace(self.grid, moved=moved)
        return ProjectedResidual(grid=grid, sigma=sigma, half=half, residual=cleaned, inflation=inflation)

    def _parameters(self, without: str) -> _Columns | None:
        """Jacobian columns, less what the phase that is left out has in them.

        Its own parameters go with it. Shared ones (displacement, resolution) keep what the other phases have in them:
        with its own share they would resemble the phase itself.
        """
        fit, solution, table = self.fit, self.fit.solution, self.fit.table
        owner = np.array([item.id.phase for item in table.free], dtype=str)
        keep = owner != without if without else np.ones(len(owner), bool)
        if fit.model.phase_ids == (without,) or not keep.any():
            return None
        jacobian = solution.jacobian[:, keep]
        if without:
            index = fit.model.phase_ids.index(without)
            # slopes by its own parameters, which go with it, are needed only where some are tied
            shared = frozenset(item.name for item, kept in zip(table.free, keep, strict=True) if kept)
            shared = shared if table.ties is None else table.needed
            _, slopes = fit.model.reflections[index].pattern(solution.values, shared)
            share = np.zeros((len(fit.points.two_theta), len(table.items)))
            row = {name: i for i, name in enumerate(table.names)}
            for name, slope in slopes.items():
                share[:, row[name]] = solution.coefficients[index] * fit.model.slit * slope
            jacobian = jacobian - share @ table.tie_matrix()[:, keep]
        return _Columns(
            columns=self.grid.mean(jacobian),
            precision=solution.parameter_prior[keep],
            away=solution.offset[keep],
            parameters=tuple(item.name for item, kept in zip(table.free, keep, strict=True) if kept),
        )

    def _images(self, without: str) -> _Columns | None:
        """Faint copies of the fitted reflections: tails of the tube, residual Kβ and W Lα.

        Emission beside the focus makes an image of every reflection at a constant angle from it [Bergmann, Kleeberg,
        Haase & Breidenstein 2000 Mater. Sci. Forum 347, 303]. A residual line of wavelength λ' shows what Kα1 shows
        at θ again at sinθ' = sinθ λ'/λ. Neither must pass for a phase.
        """
        fit, grid, x = self.fit, self.grid, self.grid.two_theta
        keep = [k for k, name in enumerate(fit.model.phase_ids) if name != without]
        if not keep:
            return None
        diffuse = [grid.mean(fit.model.reflections[k].diffuse) * grid.slit for k in keep]
        bragg = self.bragg[:, keep].sum(axis=1) - np.stack(diffuse, axis=1) @ fit.solution.coefficients[keep]
        tails = [np.interp(x, x + s * offset, bragg) for offset in _TAIL_OFFSETS for s in (1.0, -1.0)]
        wavelength, single = fit.instrument.wavelength, self.single[:, keep].sum(axis=1)
        images = []
        for other in elements.residual_wavelengths(wavelength):
            sine = np.sin(np.radians(x / 2.0)) * wavelength / other
            seen_at = np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
            images.append(np.interp(seen_at, x, single, left=0.0, right=0.0))
        std = np.array([_TAIL_STD] * len(tails) + [_RESIDUAL_LINE_STD] * len(images))
        return _Columns(columns=np.stack([*tails, *images], axis=1), precision=std**-2)


def search_residual(fit: Refinement) -> SearchResidual:
    """Bin a finished fit and collect what may imitate a phase in its residual."""
    grid, solution, model = templates.make_grid(fit), fit.solution, fit.model
    residual = grid.mean(fit.points.intensity - solution.calculated)
    n_phases = len(fit.phases)
    bragg = grid.mean(solution.columns[:, :n_phases] * solution.coefficients[:n_phases])
    counting = np.sqrt(grid.mean(fit.points.sigma**2) / grid.per_bin)
    # linear terms of the fit, by the phase that they belong to ("" for none)
    names = {c.name for c in model.columns if c.kind == "phase"}
    owner = np.array([next((n for n in (c.name, c.parent) if n in names), "") for c in model.columns])
    linear = grid.mean(solution.columns)
    nuisance = []
    for name in np.unique(owner[solution.active]):
        pick = solution.active & (owner == name)
        prior, away = solution.linear_prior[pick], solution.coefficients[pick]
        nuisance.append(_Columns(columns=linear[:, pick], precision=prior, away=away, phase=str(name)))
    single = np.zeros_like(bragg)
    for k, phase in enumerate(fit.phases):
        # each group of overlapping reflections is free to be stronger or weaker, as grains make it
        groups = group_columns(model, k, solution.values)
        amount = abs(float(solution.coefficients[k]))
        strong = amount * groups.columns.max(axis=0, initial=0.0) > float(np.median(fit.points.sigma))
        grains = grid.mean(amount * groups.columns[:, strong])
        nuisance.append(_Columns(columns=grains, precision=GRAIN_STD**-2, phase=phase.id))
        single[:, k] = grid.mean(amount * groups.strongest)
    x = grid.two_theta
    smooth = grid.mean(solution.columns @ solution.coefficients) - bragg.sum(axis=1)
    centres = np.arange(x[0], min(LOW_ANGLES, float(x[-1])), _BROAD_STD)
    maxima = np.exp(-0.5 * ((x[:, None] - centres) / _BROAD_STD) ** 2)
    nuisance.append(_Columns(columns=maxima * smooth[:, None], precision=BACKGROUND_STD**-2))
    return SearchResidual(
        fit=fit,
        grid=grid,
        residual=residual,
        counting=counting,
        sigma=_full_sigma(grid, counting, residual, bragg),
        bragg=bragg,
        single=single,
        nuisance=tuple(nuisance),
    )


def _full_sigma(grid: Grid, counting: FloatArray, residual: FloatArray, bragg: FloatArray) -> FloatArray:
    """Standard deviation of each bin: counting, misfit of the profiles of some phases, local scatter.

    σ² + a B² + b (w dB/d2θ)² + c S², B the Bragg intensity of the fitted phases, w the width of their reflections, S
    what stands beside strong reflections (B smeared over three widths, less B). a, b and c are estimated from the
    residual by non-negative least squares: errors of height, of width and position, and of the feet of reflections
    scale so. They are the same over a reflection's width and not independent from bin to bin, which the variance is
    enlarged for.

    All is then multiplied by the factor, at least 1, by which the residual scatters more than that at the scale of a
    reflection. The median absolute value of the matched-filter output within 10° does not see the few reflections that
    a missing phase has, but does see smoothed or rescaled data and a wavy background.
    """
    sigma, x, step = counting, grid.two_theta, grid.step
    bragg = np.abs(bragg).sum(axis=1)
    if bragg.any():
        fwhm = templates.reflection_fwhm(grid.fit, grid.fit.solution.values)
        slope = np.gradient(bragg, x) * fwhm
        half = min(int(np.ceil(6.0 * fwhm / step)), (len(bragg) - 1) // 2)
        offset = np.asarray(np.arange(-half, half + 1) * step, dtype=np.float64)
        kernel = np.exp(-4.0 * np.log(2.0) * (offset / (3.0 * fwhm)) ** 2)
        feet = np.maximum(np.convolve(bragg, kernel / kernel.sum(), mode="same") - bragg, 0.0)
        terms = np.stack([bragg**2, slope**2, feet**2], axis=1)
        weight = 1.0 / (sigma**2 + (0.05 * bragg) ** 2 + (0.05 * slope) ** 2 + (0.02 * feet) ** 2)
        target = np.clip(residual**2 - sigma**2, None, 25.0 / weight)
        orthogonal, upper = np.linalg.qr(terms * weight[:, None])
        share = solve_nonnegative(upper, orthogonal.T @ (target * weight))
        sigma = np.sqrt(sigma**2 + max(fwhm / step, 1.0) * (terms @ share))
    trace = np.abs(matched_filter(grid, residual / sigma, np.ones_like(sigma))[0])
    centres = np.arange(x[0] + min(0.5 * _WINDOW, 0.5 * float(np.ptp(x))), x[-1], _WINDOW)
    bounds = np.searchsorted(x, [centres - _WINDOW, centres + _WINDOW]).T
    scatter = [_MAD * median(trace[i:j]) if j - i > 30 else 1.0 for i, j in bounds]
    return np.asarray(sigma * np.maximum(np.interp(x, centres, scatter), 1.0))


def matched_filter(grid: Grid, normal: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Significance and height of a peak of instrumental width at every bin, a constant taken out around it.

    `normal` is the residual over `sigma` (n,), in which heights are measured. Weighted by 1/σ². A peak far above
    everything is found without weights: the variance of counts that it has itself would hide it.
    """
    fwhm = grid.peak_fwhm
    half = min(int(np.ceil(2.0 * fwhm / grid.step)), (len(normal) - 1) // 2)
    offset = np.asarray(np.arange(-half, half + 1) * grid.step, dtype=np.float64)
    kernel = profiles.pseudo_voigt_value(offset, np.full_like(offset, fwhm), np.full_like(offset, 0.4))
    kernel = kernel - kernel.mean()
    signal = np.convolve(normal / sigma, kernel, mode="same")
    power = np.convolve(sigma**-2, kernel**2, mode="same")
    z, height = signal / np.sqrt(power), signal / power
    plain = np.convolve(normal * sigma, kernel, mode="same")
    plain_z = plain / np.sqrt(np.convolve(sigma**2, kernel**2, mode="same"))
    far = plain_z > np.maximum(_FAR_ABOVE, z)
    z = np.where(far, plain_z, z)
    height = np.where(far, plain / float((kernel**2).sum()), height)
    z[: half + 1] = z[-half - 1 :] = 0.0
    return z, height * float(kernel.max())


def separate_peaks(x: FloatArray, height: FloatArray, *, distance: float, most: int) -> list[int]:
    """Indices of the highest positive values that are at least a distance apart, highest first."""
    taken, found = height <= 0.0, []
    for i in np.argsort(height)[::-1]:
        if taken[i]:
            continue
        taken |= np.abs(x - x[i]) < distance
        found.append(int(i))
        if len(found) == most:
            break
    return found


# ---- scores of candidates, as a whole and reflection by reflection

_INTENSITY_STD = 0.35  # relative, allowed to each reflection of a candidate: texture, grains
_CONSISTENT = 4.0  # χ² per reflection of their own amounts up to which they count as being in the phase's ratio
_FEW_REFLECTIONS = {1: 7.9, 2: 5.3, 3: 4.3}  # the same for so few: 99.5 % quantiles, which chance alone would exceed
_TEXTURED = 9.0  # the same where every one of the expected reflections is seen
_ALL_OF = 4
_LOOK_AT_REFLECTIONS = 3.0
_MOST_REFLECTIONS = 6
_EXPECTED = 3.0  # standard deviations from which on a reflection should show
_SEEN = 1.0  # and from which on one that should counts as seen: one that is there is below in 2 %
_STRONG = 0.4  # of the strongest reflection: one whose absence contradicts the phase,
_SHARP_NM = 50.0
_MISSING = 0.2  # where not even this share of what the others say can be there
_OTHER_CELLS = tuple(sign * s for s in (0.008, 0.011, 0.015, 0.02, 0.026, 0.033) for sign in (1.0, -1.0))
_APART = 0.9  # correlation of two cells of one phase up to which they are two
_CHANCE = 1.25  # rms of a dozen standard normal numbers that is exceeded in 4 %
_MANY = 20  # phases, from which on their typical z is worth something
_MOST_MISFIT = 2.0
_RESEMBLANCE = 0.8
_SAME_REFLECTION = 2e-3
_RESPONSE = (0.5, 2.0)  # what widths make of it; beyond, little but what imitates a phase is left


@dataclass(frozen=True, kw_only=True)
class Score:
    """Best score of one phase over templates.

    amount, std, z : of the best template, grams on the fit's scale
    nominal_std : amount of the larger crystallites, with the library's cell, whose z is 1 on the average
    typical_z : median absolute z of all templates
    widening : factor that is in z and the standard deviations already, see `widened`
    reflections_expected, reflections_seen : of the six strongest, how many should show at this amount, how many do
    grain_std : relative scatter of its amount from specimen to specimen that grains make, few reflections more
    height : of the strongest reflection of one gram of the larger crystallites
    tested : whether any reflection lies in the range
    contradicted : of those, strong ones that are clearly not there
    consistency : χ² per expected reflection of the reflections' own amounts about the common one
    checked : whether that was looked at
    """

    phase: Phase
    amount: float
    std: float
    z: float
    nominal_std: float
    typical_z: float
    variant: Variant
    size_nm: float
    grain_std: float = 0.0
    height: float = 0.0
    tested: bool = True
    reflections_expected: int = 0
    reflections_seen: int = 0
    contradicted: int = 0
    consistency: float = 0.0
    checked: bool = False
    widening: float = 1.0

    @property
    def reflections_agree(self) -> bool:
        """Agreement: the reflections that should show do, in about the right ratio."""
        need = min(2, self.reflections_expected)
        enough = self.reflections_seen >= need and self.reflections_seen >= 0.6 * self.reflections_expected
        return enough and self.in_ratio and not self.contradicted

    @property
    def in_ratio(self) -> bool:
        """Scatter of the reflections' own amounts no larger than texture and grains make it.

        Four or more that all are where they should be are no chance; texture may then have its way.
        """
        complete = self.reflections_expected >= _ALL_OF and self.reflections_seen == self.reflections_expected
        if complete:
            return self.consistency < _TEXTURED
        return self.consistency < _FEW_REFLECTIONS.get(self.reflections_expected, _CONSISTENT)

    @property
    def reflections_refute(self) -> bool:
        """Absence of so many reflections that should show that the score belongs to something else."""
        return self.reflections_expected >= 1 and self.reflections_seen <= 0.5 * self.reflections_expected


def score_phases(
    candidates: Sequence[Candidate],
    residual: ProjectedResidual,
    *,
    variants: Sequence[Variant] = STRAINS,
    sizes: Sequence[float] = templates.TEMPLATE_SIZES_NM,
) -> dict[str, Score]:
    """Score candidates over variants and sizes, by phase id; check the reflections of those that stand out."""
    if not candidates:
        return {}
    ranking = Ranking.of(candidates, residual, variants=variants, sizes=sizes)
    return ranking.completed(ranking.scores)


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of candidates by z alone; what only some of them need is asked for by and by.

    scores : by phase id; their `nominal_std` are those of templates, `height` and reflections are not known yet
    nominal : (candidates, n) templates of the larger crystallites with the library's cell
    """

    candidates: Mapping[str, Candidate]
    residual: ProjectedResidual
    size_nm: float
    scores: dict[str, Score]
    nominal: FloatArray

    @classmethod
    def of(
        cls,
        candidates: Sequence[Candidate],
        residual: ProjectedResidual,
        *,
        variants: Sequence[Variant] = STRAINS,
        sizes: Sequence[float] = templates.TEMPLATE_SIZES_NM,
    ) -> Ranking:
        """Score candidates over variants and sizes."""
        patterns = templates.draw_patterns(candidates, residual.grid, variants, sizes)
        amount, std = residual.estimate(patterns)
        z = amount / std
        nominal = int(np.argmin([abs(v.strain) + abs(v.shift) for v in variants]))
        typical = np.median(np.abs(z), axis=(0, 2))
        scores = {}
        for i, item in enumerate(candidates):
            size, variant = divmod(int(np.argmax(z[:, i])), len(variants))
            scores[item.phase.id] = Score(
                phase=item.phase,
                amount=float(amount[size, i, variant]),
                std=float(std[size, i, variant]),
                z=float(z[size, i, variant]),
                nominal_std=float(std[0, i, nominal]),
                typical_z=float(typical[i]),
                variant=variants[variant],
                size_nm=sizes[size],
                grain_std=GRAIN_STD * float(np.sqrt((item.apparent**4).sum()) / max((item.apparent**2).sum(), 1e-300)),
                tested=len(item.d_spacing) > 0,
            )
        known = {item.phase.id: item for item in candidates}
        return cls(
            candidates=known, residual=residual, size_nm=sizes[0], scores=scores, nominal=patterns[0, :, nominal].copy()
        )

    def checked(self, score: Score) -> Score:
        """Score with its reflections checked, where it stands out."""
        if score.z * score.widening <= _LOOK_AT_REFLECTIONS or score.checked:
            return score
        return _with_reflections_checked(self.candidates[score.phase.id], self.residual, score)

    def completed(self, scores: Mapping[str, Score]) -> dict[str, Score]:
        """Scores of these candidates, widened or not, with reflections, limits and heights."""
        crystals = templates.draw_crystals(tuple(self.candidates.values()), self.residual.grid, self.size_nm)
        response = np.clip(self.residual.response(self.nominal, crystals), *_RESPONSE)
        highest, places = crystals.max(axis=1, initial=0.0), {name: i for i, name in enumerate(self.candidates)}
        return {
            name: replace(
                self.checked(score),
                nominal_std=float(score.nominal_std / response[places[name]]),
                height=float(highest[places[name]]),
            )
            for name, score in scores.items()
        }


def library_scatter(scores: Iterable[Score]) -> float:
    """Factor, 1 to 2, by which the z of phases that are not there scatter more than they should.

    Most phases of a library are absent; their z are a sample of what misfit of profiles, smoothing and counts that
    are not counts do to any phase: their median absolute value is 0.67 without. A phase at its detection limit, which
    others resemble here and there, adds up to 0.8 to the square of the scatter, which is let pass. Beyond a factor
    of 2, reflections of unknown phases are at work, see `chance_scatter`. A short library says nothing.
    """
    typical = [s.typical_z for s in scores]
    if len(typical) < _MANY:
        return 1.0
    scatter = _MAD * float(np.median(typical))
    return float(np.clip(np.sqrt(max(scatter**2 - _RESEMBLANCE, 0.0)), 1.0, _MOST_MISFIT))


def widened(score: Score, factor: float) -> Score:
    """Return the score with all standard deviations larger by a factor."""
    return replace(
        score,
        z=score.z / factor,
        std=score.std * factor,
        nominal_std=score.nominal_std * factor,
        widening=score.widening * factor,
    )


def chance_scatter(item: Candidate, residual: ProjectedResidual, score: Score) -> float:
    """Scatter of z over impossible cells of a candidate, at least 1: what reflections of unknown phases do to it.

    In a residual full of peaks that belong to nothing in the library, any pattern of many reflections meets some; at
    spacings 0.8 to 3.3 % off, only by chance. A score half as high again as the best of those is no coincidence.
    At low angles so small a change leaves reflections half on top of where they were; what the candidate itself gives
    such a cell is taken out of its z.
    """
    variants = [replace(score.variant, strain=score.variant.strain + d) for d in (0.0, *_OTHER_CELLS)]
    patterns = templates.draw_patterns([item], residual.grid, variants, (score.size_nm,))[0, 0]
    z, alike = residual.correlated_scores(patterns)
    apart = alike[1:] < _APART
    if not apart.any():
        return 1.0
    beside = (z[1:] - alike[1:] * z[0])[apart] / np.sqrt(1.0 - alike[1:][apart] ** 2) / score.widening
    if score.z > 1.5 * float(np.abs(beside).max()):
        return 1.0
    return max(1.0, float(np.sqrt(np.mean(beside**2))) / _CHANCE)


def _with_reflections_checked(item: Candidate, residual: ProjectedResidual, score: Score) -> Score:
    """Count the strongest reflections that should show at this amount and those that do, and judge their ratio."""
    groups = _strongest_groups(item)
    drawn = templates.draw_patterns(groups, residual.grid, [score.variant], [score.size_nm])
    value, error = residual.estimate(drawn[0, :, 0])
    expected = score.amount / error > _EXPECTED
    seen = expected & (value / error > _SEEN) & (value > 0.25 * score.amount)
    apparent = np.array([float(group.apparent.sum()) for group in groups])
    # texture makes some reflections far higher than the others: what is missing is so against the median of those seen;
    # broad reflections run together, and one by itself says nothing
    level = float(np.median(value[seen])) if seen.any() and score.size_nm >= _SHARP_NM else 0.0
    missing = (apparent > _STRONG * apparent.max(initial=0.0)) & (value + 2.0 * error < _MISSING * level) & (level > 0)
    deviation = (value - score.amount) / np.hypot(error, _INTENSITY_STD * score.amount)
    return replace(
        score,
        reflections_expected=int(expected.sum()),
        reflections_seen=int(seen.sum()),
        contradicted=int((expected & missing).sum()),
        consistency=float((deviation[expected] ** 2).mean()) if expected.any() else 0.0,
        checked=True,
    )


@lru_cache(maxsize=256)  # candidates are kept as well, and groups are looked up by identity
def _strongest_groups(item: Candidate) -> tuple[Candidate, ...]:
    """Reflections closer than 0.2 % in spacing around each of the strongest, none twice."""
    d, left = item.d_spacing, np.ones(len(item.d_spacing), bool)
    groups: list[Candidate] = []
    for i in np.argsort(item.apparent)[::-1]:
        if left[i] and len(groups) < _MOST_REFLECTIONS:
            group = (np.abs(d / d[i] - 1.0) < _SAME_REFLECTION) & left
            left &= ~group
            groups.append(replace(item, d_spacing=d[group], strength=item.strength[group]))
    return tuple(groups)
