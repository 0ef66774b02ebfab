"""The external standard: its scan turned into the diffractometer's constant, and the scale that this gives a fit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from xrdcomp.diffraction import absorption
from xrdcomp.diffraction.choice import (
    by_external_standard,
    known_grains,
    phase_attenuation,
    standard_crystallinity,
)
from xrdcomp.diffraction.instrument import build_instrument
from xrdcomp.diffraction.quantify import with_amounts
from xrdcomp.errors import AnalysisError
from xrdcomp.fit import describes_pattern, fit_pattern
from xrdcomp.phases import load_phase
from xrdcomp.recipe import QuantificationRecipe, Recipe
from xrdcomp.results import Estimate, FitResult
from xrdcomp.types import Pattern, Phase

__all__ = ["external_scale", "uses_external_scan", "with_external_scan"]


def uses_external_scan(recipe: Recipe) -> bool:
    """Whether the scan of an external standard is wanted: named, and nothing that goes before it is given.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    bool
    """
    settings = recipe.quantification
    wanted = (
        settings.method == "external_standard"
        or recipe.composition.method == "xrd+external_standard"
        or (settings.method == "auto" and not recipe.internal_standard)
    )
    return bool(settings.external_scan) and wanted and not settings.external_constant[0] > 0.0


def with_external_scan(recipe: Recipe, scan: Pattern) -> QuantificationRecipe:
    """Quantification settings with G measured on the scan of a pure standard.

    The scan is fitted with ``external_phase`` and the specimen's settings of instrument and fit; see
    `xrdcomp.diffraction.absorption.external_constant`.

    Parameters
    ----------
    recipe : Recipe
    scan : Pattern
        What ``quantification.external_scan`` names, read.

    Returns
    -------
    QuantificationRecipe
        With ``external_constant``.

    Raises
    ------
    AnalysisError
        The scan shows nothing of the phase.
    """
    settings = recipe.quantification
    phase = load_phase(settings.external_phase)
    pure = standard_crystallinity(settings, phase.id)
    grains = known_grains(recipe, (phase.id, pure[0]))
    changed = recipe.with_settings({"fit.grain_sizes_um": {k: v for k, v in grains.items() if k == phase.id}})
    fit = fit_pattern(scan, (phase,), build_instrument(scan, recipe.instrument), changed.fit)
    if not fit.amounts.amounts[fit.amounts.names.index(phase.id)] > 0.0 or not describes_pattern(
        fit.gof, fit.rwp
    ):
        msg = (
            f"quantification.external_scan = {settings.external_scan!r} is not described by {phase.id} (Rwp "
            f"{100 * fit.rwp:.0f} %). Give the scan of the pure standard and its phase as external_phase."
        )
        raise AnalysisError(msg)
    wavelength = max(fit.wavelengths[:1] or (1.5406,))
    found = absorption.external_constant(
        fit.amounts, phase.id, phase_attenuation(phase, wavelength), crystallinity=pure
    )
    return msgspec.structs.replace(settings, external_constant=(found.value, found.std or 0.0))


def external_scale(
    fit: FitResult, phases: Sequence[Phase], settings: QuantificationRecipe, mineral: Estimate | None = None
) -> tuple[float, float] | None:
    """Amount per mass on the scale of a fit, from the diffractometer's constant, and its relative standard uncertainty.

    K = Σ a_i / Σ w_i = G / μ*_m over the crystalline phases, w_i as in `absorption.external_standard`. Its uncertainty
    is that of G and of the attenuation; that of the amounts is left out, because whoever takes the scale has them.

    Parameters
    ----------
    fit : FitResult
    phases : sequence of Phase
        Those of the fit.
    settings : QuantificationRecipe
        With ``external_constant``.
    mineral : Estimate or None
        Mineral fraction of thermogravimetry, for the attenuation.

    Returns
    -------
    (float, float) or None
        None where no constant is known, or nothing crystalline is there.
    """
    if not settings.external_constant[0] > 0.0:
        return None
    exact = with_amounts(fit.amounts, fit.amounts.amounts, np.zeros_like(np.asarray(fit.amounts.covariance)))
    found = by_external_standard(fit, exact, phases, settings, mineral)
    weights, crystals = found.fractions[:-1], np.array(fit.amounts.crystalline)
    if not weights.sum() > 0.0:
        return None
    std = float(np.sqrt(max(found.covariance[:-1, :-1].sum(), 0.0)))
    return float(fit.amounts.amounts[crystals].sum() / weights.sum()), std / float(weights.sum())
