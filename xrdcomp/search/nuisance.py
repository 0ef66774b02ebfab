"""How well each candidate answers to what a fit leaves unexplained, as a whole and line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import linalg, optimize

from xrdcomp.data import Phase
from xrdcomp.physics import elements, profiles
from xrdcomp.refinement.refine import Refinement, group_columns
from xrdcomp.search.templates import (
    STRAINS,
    TEMPLATE_SIZES_NM,
    CandidateLines,
    Grid,
    Variant,
    draw_crystals,
    draw_lines,
    draw_patterns,
    make_grid,
    refined_fwhm,
    template_fwhm,
)
from xrdcomp.units import FloatArray

# ------------ What a fit leaves unexplained, and everything that could imitate a phase in it.
# For a candidate's pattern b per gram (normalised by sigma) and the nuisance columns A of the fit with prior
# precisions P, the amount is
#
# ŵ = b·r⊥ / b·b⊥,   b⊥ = b − A (AᵀA + P)⁻¹ Aᵀ b,   var(ŵ) = f / b·b⊥,   z = ŵ / sqrt(var)
#
# with f the overdispersion of the residual. It is the generalised least-squares estimate of one more term, so no
# refinement is needed to score a phase; accepted phases are refined afterwards.
#
# Nuisance columns are the fit's linear terms, the Jacobian of its non-linear ones, each group of reflections of the
# fitted phases (grainy specimens change intensities line by line), copies of all lines at fixed offsets (tails of
# the tube) and at the places of residual Kβ and W Lα.

GRAIN_STD = 0.25
"""Prior relative standard deviation of each reflection's intensity in a phase already fitted."""

TAIL_STD = 0.01
"""Prior standard deviation of a copy of the lines at a fixed offset, relative to the lines."""

GHOST_STD = 0.02
"""Prior standard deviation of residual Kβ and W Lα relative to Kα1."""

BACKGROUND_STD = 0.05
"""Prior standard deviation of what bumps of 2.4° add to everything but the lines at low angles, relative to it.

Rings of organic matter, air scatter, the beam stop and a specimen shorter than the beam make shapes that the background
terms only resemble; they are broader than lines."""

_LOW_ANGLES = 20.0
_BUMP = 1.0  # degrees, standard deviation
_FARTHEST = 0.15  # degrees
SHIFTS = ("sample_displacement_mm", "zero_shift", "axial_divergence")
_TAIL_OFFSETS = (0.06, 0.12, 0.18, 0.24, 0.30, 0.38, 0.48, 0.60, 0.80)  # degrees
_WINDOW = 5.0  # degrees on either side, for the local scatter
_MAD = 1.4826
_BLOCK = 64  # patterns judged at a time: what they need stays in a core's cache
_FAR_ABOVE = 10.0  # z from which a line may be found without weights


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """Everything that can imitate a phase, factorised, and the residual it leaves.

    Attributes
    ----------
    grid : bins that are searched, with the displacement that the fit has when grains are reckoned with
    sigma : (n,) standard deviation of those bins, profile misfit of the fitted lines included
    half : (k, n) array
        L⁻¹Aᵀ with LLᵀ = AᵀA + P, so that a template's information is b·b − |half b|².
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
        for first in range(0, len(rows), _BLOCK):
            part = slice(first, first + _BLOCK)
            flat = rows[part] * inverse
            _, information[part] = self._left(flat)
            amount[part] = (flat @ self.residual) / information[part]
        return amount.reshape(shape), np.sqrt(self.inflation / information).reshape(shape)

    def response(self, patterns: FloatArray, crystals: FloatArray) -> FloatArray:
        """Amount that each pattern (n, bins) finds in one gram of crystals (n, bins), on the average: (n,)."""
        flat, true = patterns / self.sigma, crystals / self.sigma
        explained, information = self._left(flat)
        shared = np.einsum("ij,ij->i", flat, true) - np.einsum("ij,ij->i", explained, true @ self.half.T)
        return np.asarray(shared / information)

    def _left(self, flat: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What the nuisance columns explain of patterns in units of sigma, and the information that they leave."""
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
class _Block:
    """Columns with prior precisions, their pull towards the prior mean, the phase or parameters they belong to."""

    columns: FloatArray
    precision: FloatArray
    pull: FloatArray
    phase: str = ""
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A fit prepared for the search: bins, residual, sigma and blocks of nuisance columns.

    residual, counting, sigma : (n,) arrays; sigma has the misfit of all phases in it, counting that of none
    bragg, single : (n, phases) arrays, all emission lines and the strongest alone
    presence : scores of the fit's own phases, kept by whoever asked for them
    """

    state: Refinement
    grid: Grid
    residual: FloatArray
    counting: FloatArray
    sigma: FloatArray
    bragg: FloatArray
    single: FloatArray
    blocks: tuple[_Block, ...]
    presence: dict[str, Score] = field(default_factory=dict)

    @cached_property
    def _everything(self) -> Nuisance:
        return self._factorised("")

    def nuisance(self, without: str = "") -> Nuisance:
        """Factorise all nuisance columns.

        Parameters
        ----------
        without : str
            Phase id whose own terms are left out, so that the phase itself can be asked for again. The displacement
            remains that which follows with the phase.
        """
        if not without:
            return self._everything
        return replace(self._factorised(without), grid=self._everything.grid)

    def _factorised(self, without: str) -> Nuisance:
        blocks = [b for b in self.blocks if not without or b.phase != without]
        residual, sigma = self.residual, self.sigma
        if without:
            index = self.state.model.phase_ids.index(without)
            residual = residual + self.bragg[:, index]
            rest = np.delete(self.bragg, index, axis=1)
            sigma = _full_sigma(self.grid, self.counting, self.residual, rest)
        blocks += _parameter_blocks(self.state, self.grid, without) + _images(self, without)
        columns = np.concatenate([b.columns for b in blocks], axis=1) / sigma[:, None]
        gram = columns.T @ columns
        precision = np.concatenate([b.precision for b in blocks])
        gram[np.diag_indices_from(gram)] += precision + 1e-9 * np.diag(gram) + 1e-12
        lower = linalg.cholesky(gram, lower=True, check_finite=False)
        half = linalg.solve_triangular(lower, columns.T, lower=True, check_finite=False)
        normal = residual / sigma
        pull = np.concatenate([b.pull for b in blocks])
        shift = half @ normal + linalg.solve_triangular(lower, pull, lower=True, check_finite=False)
        cleaned = normal - half.T @ shift
        steps = linalg.solve_triangular(lower, shift, lower=True, trans=1, check_finite=False)
        names = [name for b in blocks for name in b.parameters or [""] * b.columns.shape[1]]
        grid = replace(self.grid, moved=_moved(self.state, dict(zip(names, steps.tolist(), strict=True))))
        effective = max(len(cleaned) - float((half**2).sum()), 1.0)
        inflation = max(1.0, float(np.minimum(cleaned**2, 12.0).sum()) / effective)
        return Nuisance(grid=grid, sigma=sigma, half=half, residual=cleaned, inflation=inflation)


def _moved(state: Refinement, steps: Mapping[str, float]) -> dict[str, float]:
    """Where steps lead the parameters that move lines, within their limits and `_FARTHEST` of where the fit ended."""
    reach = {
        "sample_displacement_mm": np.radians(_FARTHEST) * state.instrument.radius_mm / 2.0,
        "zero_shift": _FARTHEST,
        "axial_divergence": np.inf,
    }
    values = state.solution.values
    return {
        item.name: float(
            np.clip(
                values[item.name] + np.clip(steps[item.name], -reach[item.name], reach[item.name]),
                item.low,
                item.high,
            )
        )
        for item in state.table.free
        if item.name in SHIFTS and item.name in steps
    }


def make_screen(state: Refinement) -> Screen:
    """Bin a finished fit and collect what may imitate a phase in its residual."""
    grid = make_grid(state)
    solution = state.solution
    residual = grid.mean(state.points.intensity - solution.calculated)
    n_phases = len(state.phases)
    bragg = grid.mean(solution.columns[:, :n_phases] * solution.coefficients[:n_phases])
    counting = np.sqrt(grid.mean(state.points.sigma**2) / grid.per_bin)
    blocks = _linear_blocks(state, grid)
    single = np.zeros_like(bragg)
    for k in range(n_phases):
        raw, one_line = _grain_columns(state, k)
        grains, single[:, k] = grid.mean(raw), grid.mean(one_line)
        n = grains.shape[1]
        blocks.append(
            _Block(
                columns=grains,
                precision=np.full(n, GRAIN_STD**-2),
                pull=np.zeros(n),
                phase=state.phases[k].id,
            )
        )
    blocks.append(_background_block(state, grid, bragg))
    return Screen(
        state=state,
        grid=grid,
        residual=residual,
        counting=counting,
        sigma=_full_sigma(grid, counting, residual, bragg),
        bragg=bragg,
        single=single,
        blocks=tuple(blocks),
    )


def _background_block(state: Refinement, grid: Grid, bragg: FloatArray) -> _Block:
    x = grid.two_theta
    smooth = grid.mean(state.solution.columns @ state.solution.coefficients) - bragg.sum(axis=1)
    centres = np.arange(x[0], min(_LOW_ANGLES, float(x[-1])), _BUMP)
    bumps = np.exp(-0.5 * ((x[:, None] - centres) / _BUMP) ** 2)
    n = len(centres)
    return _Block(columns=bumps * smooth[:, None], precision=np.full(n, BACKGROUND_STD**-2), pull=np.zeros(n))


def _linear_blocks(state: Refinement, grid: Grid) -> list[_Block]:
    solution, model = state.solution, state.model
    names = {c.name for c in model.columns if c.kind == "phase"}
    owner = np.array([next((n for n in (c.name, c.parent) if n in names), "") for c in model.columns])
    columns = grid.mean(solution.columns)
    blocks = []
    for name in np.unique(owner[solution.active]):
        pick = solution.active & (owner == name)
        precision = solution.linear_prior[pick]
        blocks.append(
            _Block(
                columns=columns[:, pick],
                precision=precision,
                pull=-precision * solution.coefficients[pick],
                phase=str(name),
            )
        )
    return blocks


def _parameter_blocks(state: Refinement, grid: Grid, without: str) -> list[_Block]:
    """Jacobian columns, less what the phase that is left out has in them.

    Its own parameters go with it. Shared ones (displacement, resolution) keep what the other phases have in them:
    with its own share they would resemble the phase itself.
    """
    solution = state.solution
    ids = [p.id for p in state.phases]
    owner = np.array([item.id.phase for item in state.table.free], dtype=str)
    keep = owner != without if without else np.ones(len(owner), bool)
    if ids == [without] or not keep.any():
        return []
    jacobian = solution.jacobian
    if without:
        jacobian = jacobian - _jacobian_share(state, state.model.phase_ids.index(without))
    precision = solution.parameter_prior[keep]
    return [
        _Block(
            columns=grid.mean(jacobian[:, keep]),
            precision=precision,
            pull=-precision * solution.offset[keep],
            parameters=tuple(item.name for item, kept in zip(state.table.free, keep, strict=True) if kept),
        )
    ]


def _jacobian_share(state: Refinement, index: int) -> FloatArray:
    """What one phase has in the Jacobian of the free parameters."""
    table, values = state.table, state.solution.values
    _, slopes = state.model.reflections[index].pattern(values, table.needed)
    full = np.zeros((len(state.points.two_theta), len(table.items)))
    row = {name: i for i, name in enumerate(table.names)}
    for name, slope in slopes.items():
        full[:, row[name]] = state.solution.coefficients[index] * state.model.slit * slope
    return np.asarray(full @ table.tie_matrix())


def _images(screen: Screen, without: str) -> list[_Block]:
    """Faint copies of the fitted lines: tails of the tube, residual Kβ and W Lα.

    Emission beside the focus makes an image of every line at a constant angle from it [Bergmann, Kleeberg,
    Haase & Breidenstein 2000 Mater. Sci. Forum 347, 303]. A residual line of wavelength λ' shows what Kα1 shows
    at θ again at sinθ' = sinθ λ'/λ. Neither must pass for a phase.
    """
    state, x = screen.state, screen.grid.two_theta
    keep = [k for k, name in enumerate(state.model.phase_ids) if name != without]
    if not keep:
        return []
    diffuse = [screen.grid.mean(state.model.reflections[k].diffuse) * screen.grid.slit for k in keep]
    coefficients = state.solution.coefficients[keep]
    bragg = screen.bragg[:, keep].sum(axis=1) - np.stack(diffuse, axis=1) @ coefficients
    tails = [np.interp(x, x + s * offset, bragg) for offset in _TAIL_OFFSETS for s in (1.0, -1.0)]
    wavelength = state.instrument.wavelength
    single = screen.single[:, keep].sum(axis=1)
    ghosts = []
    for other in elements.residual_wavelengths(wavelength):
        sine = np.sin(np.radians(x / 2.0)) * wavelength / other
        seen_at = np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
        ghosts.append(np.interp(seen_at, x, single, left=0.0, right=0.0))
    columns = np.stack([*tails, *ghosts], axis=1)
    std = np.array([TAIL_STD] * len(tails) + [GHOST_STD] * len(ghosts))
    return [_Block(columns=columns, precision=std**-2, pull=np.zeros(len(std)))]


def _full_sigma(grid: Grid, counting: FloatArray, residual: FloatArray, bragg: FloatArray) -> FloatArray:
    """Standard deviation of each bin: counting, misfit of the lines of some phases, local scatter."""
    sigma = _with_misfit(grid, counting, residual, np.abs(bragg).sum(axis=1))
    return sigma * _local_scatter(grid, residual / sigma)


def _with_misfit(grid: Grid, sigma: FloatArray, residual: FloatArray, bragg: FloatArray) -> FloatArray:
    """Standard deviation of each bin with the misfit of line profiles added.

    σ² + a B² + b (w dB/d2θ)² + c S², B the Bragg intensity of the fitted phases, w their line width, S what stands
    beside strong lines (B smeared over three widths, less B). a, b and c are estimated from the residual by
    non-negative least squares: errors of height, of width and position, and of the feet of lines scale so. They
    are the same over a line's width and not independent from bin to bin, which the variance is enlarged for.
    """
    if not bragg.any():
        return sigma
    fwhm = refined_fwhm(grid.state)
    slope = np.gradient(bragg, grid.two_theta) * fwhm
    half = min(int(np.ceil(6.0 * fwhm / grid.step)), (len(bragg) - 1) // 2)
    offset = np.asarray(np.arange(-half, half + 1) * grid.step, dtype=np.float64)
    kernel = np.exp(-4.0 * np.log(2.0) * (offset / (3.0 * fwhm)) ** 2)
    feet = np.maximum(np.convolve(bragg, kernel / kernel.sum(), mode="same") - bragg, 0.0)
    terms = np.stack([bragg**2, slope**2, feet**2], axis=1)
    weight = 1.0 / (sigma**2 + (0.05 * bragg) ** 2 + (0.05 * slope) ** 2 + (0.02 * feet) ** 2)
    target = np.clip(residual**2 - sigma**2, None, 25.0 / weight)
    share, _ = optimize.nnls(terms * weight[:, None], target * weight)
    coherent = max(fwhm / grid.step, 1.0)
    return np.asarray(np.sqrt(sigma**2 + coherent * (terms @ share)))


def _local_scatter(grid: Grid, normal: FloatArray) -> FloatArray:
    """Factor by which the residual scatters more than counting at the scale of a line, at least 1.

    The median absolute value of the matched-filter output within 10° does not see the few lines that a missing
    phase has, but does see smoothed or rescaled data and a wavy background.
    """
    x = grid.two_theta
    trace = matched_filter(grid, normal, np.ones_like(normal))[0]
    centres = np.arange(x[0] + min(0.5 * _WINDOW, 0.5 * float(np.ptp(x))), x[-1], _WINDOW)
    first, last = np.searchsorted(x, centres - _WINDOW), np.searchsorted(x, centres + _WINDOW)
    scatter = [
        _MAD * float(np.median(np.abs(trace[i:j]))) if j - i > 30 else 1.0
        for i, j in zip(first, last, strict=True)
    ]
    return np.maximum(np.interp(x, centres, scatter), 1.0)


def matched_filter(grid: Grid, normal: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Significance and height of a line of instrumental width at every bin, a constant taken out around it.

    Weighted by 1/σ². A line far above everything is found without weights: the variance of counts that it has
    itself would hide it.

    Parameters
    ----------
    normal : (n,) residual / sigma
    sigma : (n,) in which heights are measured
    """
    fwhm = max(template_fwhm(grid.state, 100.0), 3.0 * grid.step)
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


def _grain_columns(state: Refinement, index: int) -> tuple[FloatArray, FloatArray]:
    """Contribution of each group of overlapping reflections of a fitted phase, and all of them in Kα1 alone."""
    lines = group_columns(state.model, index, state.solution.values)
    amount = abs(float(state.solution.coefficients[index]))
    strong = amount * lines.columns.max(axis=0, initial=0.0) > float(np.median(state.points.sigma))
    return amount * lines.columns[:, strong], amount * lines.strongest


# ------------ How well each candidate answers to what a fit leaves unexplained, as a whole and line by
# line.

_DECOYS = tuple(sign * s for s in (0.008, 0.011, 0.015, 0.02, 0.026, 0.033) for sign in (1.0, -1.0))
_APART = 0.9  # correlation of two cells of one phase up to which they are two
_CHANCE = 1.25  # rms of a dozen standard normal numbers that is exceeded in 4 %

INTENSITY_STD = 0.35
"""Relative standard deviation allowed to the intensity of each line of a candidate: texture, grains."""

CONSISTENT = 4.0
"""χ² per line of the lines' own amounts up to which they count as being in the phase's ratio."""

_FEW_LINES = {1: 7.9, 2: 5.3, 3: 4.3}
"""The same for so few lines that chance alone would exceed it: 99.5 % quantiles of χ² per line."""

_TEXTURED = 9.0  # the same where every one of the expected lines is seen
_ALL_OF = 4
_LOOK_AT_LINES = 3.0
_MOST_LINES = 6
_EXPECTED = 3.0  # standard deviations from which on a line should show
_SEEN = 1.0  # and from which on one that should counts as seen: one that is there is below in 2 %
_MANY = 20  # phases, from which on their typical z is worth something
_MOST_MISFIT = 2.0
_RESEMBLANCE = 0.8
_SAME_LINE = 2e-3
_RESPONSE = (0.5, 2.0)  # what widths make of it; beyond, little but what imitates a phase is left


@dataclass(frozen=True, kw_only=True)
class Score:
    """Best score of one phase over templates.

    Attributes
    ----------
    amount, std, z : of the best template, grams on the fit's scale
    nominal_std : amount of the larger crystallites, with the library's cell, whose z is 1 on the average
    typical_z : median absolute z of all templates
    widening : factor that is in z and the standard deviations already, see `widened`
    lines_expected, lines_seen : of the six strongest, how many should show at this amount and how many do
    consistency : χ² per expected line of the lines' own amounts about the common one
    """

    phase: Phase
    amount: float
    std: float
    z: float
    nominal_std: float
    typical_z: float
    variant: Variant
    size_nm: float
    lines_expected: int
    lines_seen: int
    consistency: float
    widening: float = 1.0

    @property
    def lines_agree(self) -> bool:
        """Whether the lines that should show do, in about the right ratio.

        Four or more lines that all are where they should be are no chance; texture may then have its way.
        """
        need = min(2, self.lines_expected)
        enough = self.lines_seen >= need and self.lines_seen >= 0.6 * self.lines_expected
        return enough and self.in_ratio

    @property
    def in_ratio(self) -> bool:
        """Whether the lines' own amounts scatter no more than texture and grains make them."""
        complete = self.lines_expected >= _ALL_OF and self.lines_seen == self.lines_expected
        if complete:
            return self.consistency < _TEXTURED
        return self.consistency < _FEW_LINES.get(self.lines_expected, CONSISTENT)

    @property
    def lines_refute(self) -> bool:
        """Whether so many lines that should show are missing that the score belongs to something else."""
        return self.lines_expected >= 1 and self.lines_seen <= 0.5 * self.lines_expected


def score_phases(
    candidates: Sequence[CandidateLines],
    nuisance: Nuisance,
    *,
    variants: Sequence[Variant] = STRAINS,
    sizes: Sequence[float] = TEMPLATE_SIZES_NM,
) -> dict[str, Score]:
    """Score candidates over variants and sizes, and check the strongest lines of those that stand out.

    Returns
    -------
    dict of phase id to Score
    """
    if not candidates:
        return {}
    patterns = draw_patterns(candidates, nuisance.grid, variants, sizes)
    amount, std = nuisance.estimate(patterns)
    z = amount / std
    nominal = int(np.argmin([abs(v.strain) + abs(v.shift) for v in variants]))
    response = nuisance.response(patterns[0, :, nominal], draw_crystals(candidates, nuisance.grid, sizes[0]))
    nominal_std = std[0, :, nominal] / np.clip(response, *_RESPONSE)
    out = {}
    for i, lines in enumerate(candidates):
        size, variant = divmod(int(np.argmax(z[:, i])), len(variants))
        best = float(amount[size, i, variant])
        choice = (best, variants[variant], sizes[size])
        expected, seen, consistency = 0, 0, 0.0
        if z[size, i, variant] > _LOOK_AT_LINES:
            expected, seen, consistency = _check_lines(lines, nuisance, choice)
        out[lines.phase.id] = Score(
            phase=lines.phase,
            amount=best,
            std=float(std[size, i, variant]),
            z=float(z[size, i, variant]),
            nominal_std=float(nominal_std[i]),
            typical_z=float(np.median(np.abs(z[:, i]))),
            variant=choice[1],
            size_nm=choice[2],
            lines_expected=expected,
            lines_seen=seen,
            consistency=consistency,
        )
    return out


def misfit(scores: Iterable[Score]) -> float:
    """Factor, 1 to 2, by which the z of phases that are not there scatter more than they should.

    Most phases of a library are absent; their z are a sample of what misfit of profiles, smoothing and counts that
    are not counts do to any phase: their median absolute value is 0.67 without. A phase at its detection limit, which
    others resemble here and there, adds up to 0.8 to the square of the scatter, which is let pass. Beyond a factor
    of 2, lines of unknown phases are at work, see `coincidence`. A short library says nothing.
    """
    typical = [s.typical_z for s in scores]
    if len(typical) < _MANY:
        return 1.0
    scatter = 1.4826 * float(np.median(typical))
    return float(np.clip(np.sqrt(max(scatter**2 - _RESEMBLANCE, 0.0)), 1.0, _MOST_MISFIT))


def widened(score: Score, factor: float) -> Score:
    """The score with all standard deviations larger by a factor."""
    return replace(
        score,
        z=score.z / factor,
        std=score.std * factor,
        nominal_std=score.nominal_std * factor,
        widening=score.widening * factor,
    )


def coincidence(lines: CandidateLines, nuisance: Nuisance, score: Score) -> float:
    """Scatter of z over impossible cells of a candidate, at least 1: what lines of unknown phases do to it.

    In a residual full of lines that belong to nothing in the library, any pattern of many lines meets some; at
    spacings 0.8 to 3.3 % off, only by chance. A score half as high again as the best of those is no coincidence.
    At low angles so small a change leaves lines half on top of where they were; what the candidate itself gives such
    a cell is taken out of its z.
    """
    variants = [Variant(strain=score.variant.strain + d, shift=score.variant.shift) for d in (0.0, *_DECOYS)]
    patterns = draw_patterns([lines], nuisance.grid, variants, (score.size_nm,))[0, 0]
    z, alike = nuisance.correlated_scores(patterns)
    apart = alike[1:] < _APART
    if not apart.any():
        return 1.0
    beside = (z[1:] - alike[1:] * z[0])[apart] / np.sqrt(1.0 - alike[1:][apart] ** 2) / score.widening
    if score.z > 1.5 * float(np.abs(beside).max()):
        return 1.0
    return max(1.0, float(np.sqrt(np.mean(beside**2))) / _CHANCE)


def _check_lines(
    lines: CandidateLines, nuisance: Nuisance, choice: tuple[float, Variant, float]
) -> tuple[int, int, float]:
    """How many of the strongest lines should show at this amount, how many do, and the χ² per line of their ratio."""
    amount, variant, size = choice
    apparent = lines.strength * lines.d_spacing**2
    strongest = _strongest_groups(lines.d_spacing, apparent)
    value, error = nuisance.estimate(draw_lines(lines, strongest, nuisance.grid, variant, size))
    expected = amount / error > _EXPECTED
    seen = expected & (value / error > _SEEN) & (value > 0.25 * amount)
    spread = (value - amount) / np.hypot(error, INTENSITY_STD * amount)
    consistency = float((spread[expected] ** 2).mean()) if expected.any() else 0.0
    return int(expected.sum()), int(seen.sum()), consistency


def _strongest_groups(
    d_spacing: FloatArray, apparent: FloatArray
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Groups of lines closer than 0.2 % in spacing around each of the strongest, no line twice."""
    groups: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = []
    left = np.ones(len(d_spacing), bool)
    for i in np.argsort(apparent)[::-1]:
        if not left[i]:
            continue
        group = (np.abs(d_spacing / d_spacing[i] - 1.0) < _SAME_LINE) & left
        left &= ~group
        groups.append(group)
        if len(groups) == _MOST_LINES:
            break
    return np.array(groups).reshape(len(groups), len(d_spacing))
