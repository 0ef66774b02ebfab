"""When a phase counts as found, how much of an absent one would have been found, and how both follow from the settings.

A phase is detected where z, its amount over the standard uncertainty that the amount has without the phase, exceeds
the decision threshold (critical value). The detection limit is the amount that exceeds it with the stated detection
probability (minimum detectable value). [Currie 1968 Anal. Chem. 40, 586; ISO 11843-1:1997]

These are the only rules. They travel with every result as `xrdcomp.results.DetectionRule`, where whatever is said later
of presence, absence and hidden amounts reads them.
"""

from __future__ import annotations

import math

import numpy as np

from xrdcomp.phases.library import list_phases
from xrdcomp.recipe import IdentificationRecipe
from xrdcomp.results import DetectionRule
from xrdcomp.search.templates import STRAINS, TEMPLATE_SIZES_NM, searched_phases

# Trials that the cells tried for one phase amount to: neighbouring strains overlap, every third stands for itself.
INDEPENDENT_CELLS = max(1, len(STRAINS) // 3)

# Detection limits in units of those of one perfect template: see the page on identification. A template sees of a phase
# whose reflections have an unknown width an amount with this relative standard deviation.
_LIMIT_FACTOR = 0.865
# Scatter of z about its mean beyond the counting that it is reckoned with, by misfit of profiles and background: 1.5
# against 1.2 of specimens of the kind that the residual model was made on.
_MISFIT_SCATTER = 1.25
_WIDTH_STD = 0.1
_LARGEST_STD = 0.4


def decision_threshold(false_alarm_rate: float, trials: float) -> float:
    """Return the z that pure chance exceeds in one or more of so many independent trials at this rate (Bonferroni)."""
    from scipy.special import ndtri

    return float(-ndtri(false_alarm_rate / trials))


def number_searched(recipe: IdentificationRecipe) -> int:
    """Count the phases that a search tries, without loading them where they are the library's."""
    if not recipe.own_phases and set(recipe.library) <= set(list_phases()):
        return len(recipe.library) or len(list_phases())
    return len(searched_phases(recipe))


def detection_rule(recipe: IdentificationRecipe) -> DetectionRule:
    """Return the rule of a search: its rates, and the threshold that they give with all its phases, sizes and cells."""
    from scipy.special import ndtri

    trials = number_searched(recipe) * len(TEMPLATE_SIZES_NM) * INDEPENDENT_CELLS
    return DetectionRule(
        false_alarm_rate=recipe.false_alarm_rate,
        detection_probability=recipe.detection_probability,
        threshold=decision_threshold(recipe.false_alarm_rate, trials),
        quantile=float(ndtri(recipe.detection_probability)),
    )


def limit_z(rule: DetectionRule, relative_std: float) -> float:
    """Return the mean z at which the threshold t is exceeded with the detection probability (normal quantile q).

    z then scatters by k, which misfit makes larger than 1, and by `relative_std` (s) of itself from specimen to
    specimen, because neither the mass that diffracts, nor the width of the reflections, nor the share of the grains
    that meet the condition of Bragg is known well: m − t = q √(k² + m² s²), solved for m.
    """
    t, q = rule.threshold, rule.quantile
    scatter = (q * min(relative_std, _LARGEST_STD)) ** 2
    return (t + float(np.sqrt(t**2 - (1.0 - scatter) * (t**2 - (q * _MISFIT_SCATTER) ** 2)))) / (1.0 - scatter)


def detection_limit(rule: DetectionRule, std: float, relative_std: float, grain_std: float) -> float:
    """Return the smallest mass fraction that is found with the detection probability, at most 1.

    `std` is the standard uncertainty of the fraction without the phase, `relative_std` that of the mass in the beam,
    `grain_std` the scatter of its intensity that grains make.
    """
    widened = math.hypot(relative_std, _WIDTH_STD, grain_std)  # the first may be beyond any square
    return float(min(1.0, _LIMIT_FACTOR * limit_z(rule, widened) * std))


def surely_above(rule: DetectionRule, amount: float, grain_std: float) -> float:
    """Return the mean at which an intensity is above that of `amount` with the detection probability.

    It scatters by the width of the reflection and by `grain_std`.
    """
    return amount * (1.0 + rule.quantile * float(np.hypot(_WIDTH_STD, grain_std)))
