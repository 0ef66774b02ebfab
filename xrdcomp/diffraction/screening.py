"""What a fit leaves unexplained, and everything that could imitate a phase in it.

For a candidate's pattern b per gram (normalised by sigma) and the nuisance columns A of the fit with prior
precisions P, the amount is

ŵ = b·r⊥ / b·b⊥,   b⊥ = b − A (AᵀA + P)⁻¹ Aᵀ b,   var(ŵ) = f / b·b⊥,   z = ŵ / sqrt(var)

with f the overdispersion of the residual. It is the generalised least-squares estimate of one more term, so no
refinement is needed to score a phase; accepted phases are refined afterwards.

Nuisance columns are the fit's linear terms, the Jacobian of its non-linear ones, each group of reflections of the
fitted phases (grainy specimens change intensities line by line), copies of all lines at fixed offsets (tails of
the tube) and at the places of residual Kβ and W Lα.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, optimize

from xrdcomp.diffraction.templates import Grid, make_grid, refined_fwhm, template_fwhm
from xrdcomp.fit.lines import phase_columns
from xrdcomp.fit.parameters import phase_of
from xrdcomp.fit.pattern import FitState
from xrdcomp.fit.peaks import group_columns
from xrdcomp.physics import profile
from xrdcomp.types import FloatArray

if TYPE_CHECKING:
    from xrdcomp.diffraction.scoring import Score

__all__ = ["SHIFTS", "Nuisance", "Screen", "foreign_wavelengths", "make_screen", "matched_filter"]

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
_KBETA = {
    1.540598: 1.392250,
    1.789010: 1.620830,
    0.709319: 0.632305,
    2.289760: 2.084920,
    0.559422: 0.497082,
    1.936042: 1.756610,
}
"""Kβ of Cu, Co, Mo, Cr, Ag, Fe by Kα1, ångström [as in common use: Hölzer et al. 1997; Bearden 1967]."""

_FARTHEST = 0.15  # degrees
SHIFTS = ("sample_displacement_mm", "zero_shift", "axial_divergence")
_TUNGSTEN = (1.476300, 1.487440)  # Lα1, Lα2
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

    state: FitState
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


def _moved(state: FitState, steps: Mapping[str, float]) -> dict[str, float]:
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


def make_screen(state: FitState) -> Screen:
    """Bin a finished fit and collect what may imitate a phase in its residual."""
    grid = make_grid(state)
    solution = state.solution
    residual = grid.mean(state.intensity - solution.columns @ solution.coefficients)
    n_phases = len(state.phases)
    bragg = grid.mean(solution.columns[:, :n_phases] * solution.coefficients[:n_phases])
    counting = np.sqrt(grid.mean(state.sigma**2) / grid.per_bin)
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


def _background_block(state: FitState, grid: Grid, bragg: FloatArray) -> _Block:
    x = grid.two_theta
    smooth = grid.mean(state.solution.columns @ state.solution.coefficients) - bragg.sum(axis=1)
    centres = np.arange(x[0], min(_LOW_ANGLES, float(x[-1])), _BUMP)
    bumps = np.exp(-0.5 * ((x[:, None] - centres) / _BUMP) ** 2)
    n = len(centres)
    return _Block(columns=bumps * smooth[:, None], precision=np.full(n, BACKGROUND_STD**-2), pull=np.zeros(n))


def _linear_blocks(state: FitState, grid: Grid) -> list[_Block]:
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


def _parameter_blocks(state: FitState, grid: Grid, without: str) -> list[_Block]:
    """Jacobian columns, less what the phase that is left out has in them.

    Its own parameters go with it. Shared ones (displacement, resolution) keep what the other phases have in them:
    with its own share they would resemble the phase itself.
    """
    solution = state.solution
    ids = [p.id for p in state.phases]
    owner = np.array([phase_of(item.name, ids) for item in state.table.free], dtype=str)
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


def _jacobian_share(state: FitState, index: int) -> FloatArray:
    """What one phase has in the Jacobian of the free parameters."""
    table, values = state.table, state.solution.values
    _, slopes = phase_columns(state.model.lines[index], state.instrument, values, table.needed)
    full = np.zeros((len(state.two_theta), len(table.items)))
    row = {name: i for i, name in enumerate(table.names)}
    for name, slope in slopes.items():
        full[:, row[name]] = state.solution.coefficients[index] * state.model.slit * slope
    return np.asarray(full @ table.tie_matrix())


def foreign_wavelengths(wavelength: float) -> list[float]:
    """Kβ of the tube with this Kα1, and tungsten's Lα lines, ångström.

    Parameters
    ----------
    wavelength : float, ångström
    """
    return [b for a, b in _KBETA.items() if abs(a - wavelength) < 0.002] + list(_TUNGSTEN)


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
    diffuse = [screen.grid.mean(state.model.lines[k].diffuse) * screen.grid.slit for k in keep]
    coefficients = state.solution.coefficients[keep]
    bragg = screen.bragg[:, keep].sum(axis=1) - np.stack(diffuse, axis=1) @ coefficients
    tails = [np.interp(x, x + s * offset, bragg) for offset in _TAIL_OFFSETS for s in (1.0, -1.0)]
    wavelength = state.instrument.wavelength
    foreign = foreign_wavelengths(wavelength)
    single = screen.single[:, keep].sum(axis=1)
    ghosts = []
    for other in foreign:
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
    kernel = profile.pseudo_voigt_value(offset, np.full_like(offset, fwhm), np.full_like(offset, 0.4))
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


def _grain_columns(state: FitState, index: int) -> tuple[FloatArray, FloatArray]:
    """Contribution of each group of overlapping reflections of a fitted phase, and all of them in Kα1 alone."""
    lines = group_columns(state.model, index, state.solution.values)
    amount = abs(float(state.solution.coefficients[index]))
    strong = amount * lines.columns.max(axis=0, initial=0.0) > float(np.median(state.sigma))
    return amount * lines.columns[:, strong], amount * lines.strongest
