"""How well each candidate answers to what a fit leaves unexplained, as a whole and line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrdcomp.diffraction.candidates import CandidateLines
from xrdcomp.diffraction.screening import Nuisance
from xrdcomp.diffraction.templates import Variant, draw_lines, draw_patterns
from xrdcomp.types import FloatArray, Phase

__all__ = [
    "COLD_VARIANTS",
    "CONSISTENT",
    "STRAINS",
    "TEMPLATE_SIZES_NM",
    "Score",
    "coincidence",
    "score_phases",
]

STRAINS = tuple(Variant(strain=float(s)) for s in np.linspace(-0.004, 0.004, 9))
"""Relative changes of all spacings that are tried for a candidate: solid solution, temperature."""

COLD_VARIANTS = tuple(
    Variant(strain=float(strain), shift=float(shift))
    for shift in np.linspace(-0.15, 0.15, 7)
    for strain in np.linspace(-0.002, 0.002, 5)
)
"""Strains and displacements tried while no phase has fixed the displacement yet."""

_DECOYS = tuple(sign * s for s in (0.008, 0.011, 0.015, 0.02, 0.026, 0.033) for sign in (1.0, -1.0))
_CHANCE = 1.25  # rms of a dozen standard normal numbers that is exceeded in 4 %

TEMPLATE_SIZES_NM = (80.0, 20.0)

INTENSITY_STD = 0.35
"""Relative standard deviation allowed to the intensity of each line of a candidate: texture, grains."""

CONSISTENT = 4.0
"""χ² per line of the lines' own amounts up to which they count as being in the phase's ratio."""

_LOOK_AT_LINES = 3.0
_MOST_LINES = 6
_SAME_LINE = 2e-3


@dataclass(frozen=True, kw_only=True)
class Score:
    """Best score of one phase over templates.

    Attributes
    ----------
    amount, std, z : of the best template, grams on the fit's scale
    nominal_std : standard deviation of the amount at the library's cell with the larger crystallites
    lines_expected, lines_seen : of the six strongest, how many should show at this amount and how many do
    consistency : χ² per expected line of the lines' own amounts about the common one
    """

    phase: Phase
    amount: float
    std: float
    z: float
    nominal_std: float
    variant: Variant
    size_nm: float
    lines_expected: int
    lines_seen: int
    consistency: float

    @property
    def lines_agree(self) -> bool:
        """Whether the lines that should show do, in about the right ratio."""
        need = min(2, self.lines_expected)
        enough = self.lines_seen >= need and self.lines_seen >= 0.6 * self.lines_expected
        return enough and self.consistency < CONSISTENT

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
            nominal_std=float(std[0, i, nominal]),
            variant=choice[1],
            size_nm=choice[2],
            lines_expected=expected,
            lines_seen=seen,
            consistency=consistency,
        )
    return out


def coincidence(lines: CandidateLines, nuisance: Nuisance, score: Score) -> float:
    """Scatter of z over impossible cells of a candidate, at least 1: what lines of unknown phases do to it.

    In a residual full of lines that belong to nothing in the library, any pattern of many lines meets some; at
    spacings 0.8 to 3.3 % off, only by chance. A score half as high again as the best of those is no coincidence.
    """
    moved = [Variant(strain=score.variant.strain + decoy, shift=score.variant.shift) for decoy in _DECOYS]
    amount, std = nuisance.estimate(draw_patterns([lines], nuisance.grid, moved, (score.size_nm,)))
    z = np.abs(amount / std)
    if score.z > 1.5 * float(z.max()):
        return 1.0
    return max(1.0, float(np.sqrt(np.mean(z**2))) / _CHANCE)


def _check_lines(
    lines: CandidateLines, nuisance: Nuisance, choice: tuple[float, Variant, float]
) -> tuple[int, int, float]:
    """How many of the strongest lines should show at this amount, how many do, and the χ² per line of their ratio."""
    amount, variant, size = choice
    apparent = lines.strength * lines.d_spacing**2
    strongest = _strongest_groups(lines.d_spacing, apparent)
    value, error = nuisance.estimate(draw_lines(lines, strongest, nuisance.grid, variant, size))
    expected = amount / error > 3.0
    seen = expected & (value / error > 1.5) & (value > 0.25 * amount)
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
