"""How well each candidate answers to what a fit leaves unexplained, as a whole and line by line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xrdcomp.diffraction.candidates import CandidateLines
from xrdcomp.diffraction.screening import Nuisance
from xrdcomp.diffraction.templates import Variant, draw_crystals, draw_lines, draw_patterns
from xrdcomp.types import FloatArray, Phase

__all__ = [
    "COLD_VARIANTS",
    "CONSISTENT",
    "STRAINS",
    "TEMPLATE_SIZES_NM",
    "Score",
    "coincidence",
    "misfit",
    "score_phases",
    "widened",
]

STRAINS = (
    *(Variant(strain=float(s)) for s in np.linspace(-0.004, 0.004, 9)),
    *(Variant(shift=s) for s in (-0.06, -0.03, 0.03, 0.06)),
)
"""Relative changes of all spacings that are tried for a candidate, for solid solution and temperature, and what broad
lines leave open of the displacement: at 10 degrees a change of spacing moves lines too little to stand for it."""

COLD_VARIANTS = tuple(
    Variant(strain=float(strain), shift=float(shift))
    for shift in np.linspace(-0.15, 0.15, 7)
    for strain in np.linspace(-0.002, 0.002, 5)
)
"""Strains and displacements tried while no phase has fixed the displacement yet."""

_DECOYS = tuple(sign * s for s in (0.008, 0.011, 0.015, 0.02, 0.026, 0.033) for sign in (1.0, -1.0))
_APART = 0.9  # correlation of two cells of one phase up to which they are two
_CHANCE = 1.25  # rms of a dozen standard normal numbers that is exceeded in 4 %

TEMPLATE_SIZES_NM = (80.0, 20.0)

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
