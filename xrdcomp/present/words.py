"""Words and number formats for people: component names, percentages with uncertainty, intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping

from xrdcomp.results import COMPONENTS, Estimate, SampleResult

__all__ = [
    "BASIS_WORDS",
    "CLAIM_WORDS",
    "COMPONENT_WORDS",
    "NOT_SEPARABLE",
    "budget_words",
    "component_order",
    "component_words",
    "gas_words",
    "interval_text",
    "limit_text",
    "percent",
    "words_for",
    "words_for_step",
]

COMPONENT_WORDS = {
    "crystalline_hydroxyapatite": "crystalline hydroxyapatite",
    "organic": "organic",
    "water": "water",
    "carbonate": "carbonate (CO₃)",
    "amorphous_mineral": "amorphous mineral",
    "other_crystalline": "other crystalline",
    "total_mineral": "total mineral",
    "non_crystalline": "non-crystalline",
    "carbonate_co2": "carbonate as CO₂",
    "carbonate_co3": "carbonate as CO₃",
    "dry_carbonate_co2": "dry carbonate as CO₂",
    "dry_carbonate_co3": "dry carbonate as CO₃",
}
CLAIM_WORDS = {
    "hydroxyapatite_present": "hydroxyapatite is present",
    "hydroxyapatite_only_crystalline_phase": "hydroxyapatite is the only crystalline phase",
    "hydroxyapatite_minor_component": "hydroxyapatite is a minor component",
    "organic_more_than_half": "organic is more than half",
}
BASIS_WORDS = {"as_received": "as received", "dry": "dry"}
NOT_SEPARABLE = "not separable"


def words_for_step(name: str) -> str:
    """Readable form of a mass-loss step; what leaves in the carbonate step is CO₂."""
    return "CO₂ of carbonate" if name == "carbonate" else words_for(name)


def gas_words(atmosphere: str) -> str:
    """Readable form of the gas of a thermogravimetric run, which files often do not name."""
    return "gas not stated" if atmosphere == "unknown" else words_for(atmosphere)


def words_for(name: str) -> str:
    """Readable form of a component, claim or parameter id."""
    return COMPONENT_WORDS.get(name) or CLAIM_WORDS.get(name) or name.replace("_", " ")


def component_words(name: str, result: SampleResult) -> str:
    """Readable form of a component of one result: the crystalline apatite is called what was found.

    Parameters
    ----------
    name : str
        Component or sum of the composition.
    result : SampleResult

    Returns
    -------
    str
        ``crystalline hydroxyapatite``, or e.g. ``crystalline apatite (fluorapatite)``.
    """
    found = [phase for phase in result.phases if phase.is_apatite and phase.decision == "detected"]
    if name != COMPONENTS[0] or all(phase.id.startswith("hydroxyapatite") for phase in found):
        return words_for(name)
    return f"crystalline apatite ({', '.join(phase.name.split(' (')[0].lower() for phase in found)})"


def budget_words(name: str) -> str:
    """Readable form of an input of the uncertainty budget."""
    return words_for(name).replace("xrd", "XRD").replace("tga", "TGA")


def component_order(components: Mapping[str, object]) -> list[str]:
    """Component names in the package's order, unknown ones last."""
    known = [name for name in COMPONENTS if name in components]
    return known + [name for name in components if name not in COMPONENTS]


def _digits(scale: float) -> int:
    """Decimals so that an uncertainty of `scale` shows two figures, at most 3."""
    if not math.isfinite(scale) or scale <= 0:
        return 1
    return min(3, max(0, 1 - math.floor(math.log10(scale))))


def percent(estimate: Estimate | None, *, unit: bool = True) -> str:
    """``12.3 ± 0.8 wt%``, or the words for a component that these measurements cannot separate."""
    if estimate is None:
        return NOT_SEPARABLE
    tail = " wt%" if unit else ""
    if estimate.std is None:
        return f"{100 * estimate.value:.1f}{tail}"
    std = 100 * estimate.std
    digits = min(_digits(std), 2)
    return f"{100 * estimate.value:.{digits}f} ± {std:.{digits}f}{tail}"


def limit_text(limit: float | None) -> str:
    """Detection limit in wt% with two figures; "" where there is none."""
    if limit is None:
        return ""
    value = 100 * limit
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def interval_text(estimate: Estimate | None) -> str:
    """``10.7 – 13.9``: the 95 % interval in wt%, "" where there is none."""
    if estimate is None or estimate.interval is None:
        return ""
    low, high = (100 * end for end in estimate.interval)
    digits = min(_digits((high - low) / 4), 2)
    return f"{low:.{digits}f} – {high:.{digits}f}"
