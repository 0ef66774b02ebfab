"""Selection of the method of quantification that a specimen gets, and the scale of an external standard."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Pattern, Phase, message_kind
from xrdcomp.errors import AnalysisError, RecipeError, naming
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.physics import elements
from xrdcomp.physics.amorphous import AMORPHOUS
from xrdcomp.quantification import methods
from xrdcomp.quantification.methods import (
    RANGE_TOLERANCE,
    Quantification,
    crystalline_fraction,
    prior_constant,
    read_amorphous,
    sum_patterns,
)
from xrdcomp.recipe import QuantificationRecipe, Recipe
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.result import describes_pattern
from xrdcomp.results import Estimate, FitResult
from xrdcomp.search.templates import searched_phases

METHOD = message_kind(
    "QUANTIFICATION_METHOD", "info", "The method that gave the fractions from diffraction alone, and why this one."
)
IMPOSSIBLE = message_kind(
    "QUANTIFICATION_IMPOSSIBLE",
    "warning",
    "The automatic choice found no method that gives fractions from diffraction alone.",
    remedy="See the reason in the text; a spike fixes the scale of any specimen.",
)
SECOND_PHASE = message_kind(
    "QUANTIFICATION_SECOND_PHASE",
    "warning",
    "The degree of crystallinity was calibrated for one crystalline phase, and the specimen contains a second one, "
    "whose reflections have a different intensity per gram.",
    remedy="Calibrate with the same phases, or take another method.",
    threshold="5 % of the crystalline part",
)
OVER_ONE = message_kind(
    "QUANTIFICATION_OVER_ONE",
    "warning",
    "According to the internal standard, the crystalline phases sum to more than the specimen.",
    remedy="Check the spike's fraction, its grain size and the phases.",
    threshold="two standard uncertainties above one",
)

_ONE_SPACING = 0.01  # degrees: reflections of equal spacing
_REASONS = {
    "internal_standard": "a weighed spike fixes the scale, whatever the organic part is made of",
    "external_standard": "the diffractometer's constant was given; the specimen must be thick and flat",
    "ponkcs": "calibrated intensities per gram were given",
    "crystallinity": "a calibration constant was given",
    "rir": "areas of the strongest reflections are compared through the reference intensity ratios given",
    "summation": "the pattern is a sum of the reference patterns given",
    "absolute": "amorphous parts were fitted and nothing else fixes the scale: their scattering per gram is calculated",
    "hill_howard": "no amorphous part was fitted: fractions refer to the crystalline part only",
}


def phase_attenuation(phase: Phase, wavelength: float) -> float:
    """Mass attenuation μ* in cm²/g of a phase with atoms."""
    site = np.array(phase.site_element)
    atoms = {element: float(phase.site_occupancy[site == element].sum()) for element in dict.fromkeys(site.tolist())}
    return elements.mass_attenuation_of(elements.mass_fractions_of(atoms), wavelength)


def known_grains(recipe: Recipe, internal_standard: tuple[str, float] | None) -> dict[str, float]:
    """Grain diameters in µm that replace the fit's typical one, for ``fit.grain_sizes_um``.

    Those of the settings, and that of a corundum spike, which is taken for SRM 676a as its crystallinity is: a
    standard of fine grains hides nothing, whatever the specimen absorbs. Nothing is added where the correction is off.
    `internal_standard` is its phase id and its fraction of the spiked mass.
    """
    standard = internal_standard[0] if internal_standard is not None else ""
    spike = {standard: methods.CORUNDUM_GRAIN_UM} if standard == "corundum" and recipe.fit.grain_size_um else {}
    return {**spike, **recipe.quantification.particle_size_um, **recipe.fit.grain_sizes_um}


def quantify(
    fit: FitResult,
    phases: Sequence[Phase],
    recipe: QuantificationRecipe,
    *,
    internal_standard: tuple[str, float] | None = None,
    mineral: Estimate | None = None,
    references: Mapping[str, Pattern] | None = None,
) -> Quantification:
    """Mass fractions by the recipe's method, or by the best that the data allow.

    In order: internal standard, external standard, PONKCS factors, calibrated degree of crystallinity, the absolute
    scale, Hill-Howard. Microabsorption is part of the fit's amounts: see `known_grains`.

    `phases`: those of the fit, for attenuation and density; `internal_standard`: (phase id, fraction of the spiked
    mass); `mineral`: mineral mass fraction from thermogravimetry, for the attenuation of the external-standard method;
    `references` (mapping of name to Pattern): what ``recipe.reference_patterns`` names, read. Returns mass fractions, 0
    to 1, not cut where the data say more or less. Raises AnalysisError: the method asked for lacks what it needs;
    RecipeError: A calibration file that cannot be read, or of another range of angles.
    """
    amounts, asked = fit.amounts, recipe.method != "auto"
    method: str = recipe.method
    if not asked:
        usable = {
            "internal_standard": internal_standard is not None,
            "external_standard": recipe.external_constant[0] > 0.0,
            "ponkcs": bool(recipe.ponkcs_factors),
            "crystallinity": bool(recipe.amorphous_file) or recipe.k is not None,
            "hill_howard": all(amounts.crystalline),
            "absolute": True,
        }
        method = next(name for name, use in usable.items() if use)
    factors = {n: Estimate(value=v, std=s) for n, (v, s) in recipe.ponkcs_factors.items()}
    if method == "ponkcs" and not factors and recipe.amorphous_file:
        together = read_amorphous(recipe.amorphous_file).factor
        factors = {} if together is None else {methods.AMORPHOUS_TOGETHER: together}
    ratios = {name: Estimate(value=v, std=s) for name, (v, s) in recipe.reference_ratios.items()}
    tabled = (bool(ratios), "quantification.reference_ratios = { phase = [I/Ic, standard uncertainty] }")
    needs = {
        "internal_standard": (internal_standard is not None, "the spike: internal_standard and its fraction"),
        "external_standard": (
            recipe.external_constant[0] > 0.0,
            "quantification.external_scan = 'corundum.xy', or external_constant = [G, standard uncertainty]",
        ),
        "ponkcs": (bool(factors), "quantification.ponkcs_factors, or an amorphous_file of calibrate-amorphous"),
        "crystallinity": (not all(amounts.crystalline), "an amorphous component in the fit (fit.amorphous)"),
        "rir": tabled,
        "summation": tabled
        if not ratios
        else (bool(recipe.reference_patterns), "quantification.reference_patterns = { name = 'file' }"),
    }
    given, lacking = needs.get(method, (True, ""))
    if not given:
        msg = f"quantification.method = {method!r} needs {lacking}. Give it, or set the method to 'auto'."
        raise AnalysisError(msg)
    why = _REASONS[method]
    if method == "internal_standard" and internal_standard is not None:
        pure = standard_crystallinity(recipe, internal_standard[0])
        found = methods.internal_standard(amounts, *internal_standard, crystallinity=pure)
        rest = found.estimate("non_crystalline")
        if not rest.value > -2.0 * (rest.std or 0.0):
            text = (
                f"The crystalline phases sum to {1.0 - rest.value:.3f} of the specimen, "
                f"{-rest.value / (rest.std or 1.0):.1f} standard uncertainties above one. Check the spike's fraction, "
                "its grain size and the phases."
            )
            found = replace(found, messages=(OVER_ONE(text, excess=-rest.value),))
    elif method == "external_standard":
        found = _by_external_standard(fit, phases, recipe, mineral)
    elif method == "ponkcs":
        found = methods.ponkcs(amounts, factors)
    elif method == "crystallinity":
        found = _by_crystallinity(fit, recipe)
        if not recipe.amorphous_file and recipe.k is None:
            why = "no constant was given, so k is calculated, ± 20 %"
    elif method == "absolute":
        found = methods.whole_pattern(amounts, per_gram_std=recipe.per_gram_std, amorphous_std=recipe.amorphous_std)
        if asked:
            why = "the scattering per gram of amorphous parts is calculated"
    elif method == "rir":
        found = methods.rir(strongest_line_areas(fit), ratios, standard=internal_standard)
    elif method == "summation":
        scan = Pattern(two_theta=fit.two_theta, intensity=fit.observed, sigma=fit.sigma)
        found = sum_patterns(scan, references or {}, ratios).quantification
    else:
        found = methods.hill_howard(amounts)
        if asked:
            why = "they refer to the crystalline part only"
    chosen = "as asked for;" if asked else "chosen because"
    text = f"Fractions from diffraction by {method.replace('_', ' ')}, {chosen} {why}."
    return replace(found, messages=(METHOD(text, method=method), *found.messages))


class PatternQuantities(msgspec.Struct, frozen=True, kw_only=True):
    """Fractions from diffraction alone, with the messages on them.

    `scale` is amount per mass and its relative standard uncertainty, where the composition takes it from an external
    standard.
    """

    found: Quantification | None = None
    messages: tuple[Diagnostic, ...] = ()
    scale: tuple[float, float] | None = None


def quantify_specimen(
    fit: FitResult,
    phases: Sequence[Phase],
    recipe: Recipe,
    *,
    standard: tuple[str, float] | None,
    mineral: Estimate | None,
    references: Mapping[str, Pattern],
) -> PatternQuantities:
    """Quantify the phases of a specimen's fit as its recipe says.

    `phases` are those the search started from, `standard` the spike and its fraction of the spiked mass, `mineral` the
    mineral fraction by thermogravimetry, for the attenuation, `references` the patterns that settings name, by setting.
    The automatic choice that finds nothing to quantify gives a message; a method that was asked for by name raises.
    """
    asked, settings = {phase.id for phase in phases}, recipe.quantification
    added = () if asked >= set(fit.phases) else searched_phases(recipe.identification)
    fitted = [p for p in (*phases, *(p for p in added if p.id not in asked)) if p.id in fit.phases]
    scan = references.get("quantification.external_scan")
    if scan is not None:
        with naming(settings.external_scan):
            settings = _with_external_scan(recipe, scan)
    pure = {name: references[f"quantification.reference_patterns.{name}"] for name in settings.reference_patterns}
    found, messages = None, tuple[Diagnostic, ...]()
    if settings.method == "auto" and standard is None and not (fit.amounts.amounts > 0.0).any():
        return PatternQuantities()  # nothing of the library is there to share in; the composition has the rest
    try:
        found = quantify(fit, fitted, settings, internal_standard=standard, mineral=mineral, references=pure)
        messages = found.messages
    except AnalysisError as error:
        if settings.method != "auto":
            raise
        messages = (IMPOSSIBLE(f"No fractions from diffraction alone: {error}"),)
    scale: tuple[float, float] | None = None
    if recipe.composition.method == "xrd+external_standard" and settings.external_constant[0] > 0.0:
        # Amount per mass K = Σ a_i / Σ w_i = G / μ*_m over the crystalline phases, w_i by the external standard. Its
        # uncertainty is that of G and of the attenuation; that of the amounts is left out, because whoever takes the
        # scale has them.
        amounts = fit.amounts
        exact = replace(fit, amounts=replace(amounts, covariance=np.zeros_like(np.asarray(amounts.covariance))))
        by_standard = _by_external_standard(exact, fitted, settings, mineral)
        total = float(by_standard.fractions[:-1].sum())
        if total > 0.0:
            std = float(np.sqrt(max(by_standard.covariance[:-1, :-1].sum(), 0.0)))
            scale = float(amounts.amounts[np.array(amounts.crystalline)].sum() / total), std / total
    return PatternQuantities(found=found, messages=messages, scale=scale)


def strongest_line_areas(fit: FitResult) -> dict[str, Estimate]:
    """Area of the strongest line of every fitted phase, what a reference intensity ratio refers to.

    The phase's Bragg area times its strongest line's share of it; lines at one angle count as one. The relative
    standard uncertainty is that of the amount, which the same lines determine.
    """
    out, amounts = {}, fit.amounts
    for name, area in fit.bragg_area.items():
        table, i = fit.reflections[name], amounts.names.index(name)
        if not len(table.intensity) or not amounts.amounts[i] > 0.0 or not area > 0.0:
            continue
        group = np.cumsum(np.diff(table.two_theta, prepend=table.two_theta[0]) > _ONE_SPACING)
        share = np.bincount(group, table.intensity).max() / table.intensity.sum()
        relative = float(np.sqrt(amounts.covariance[i, i]) / amounts.amounts[i])
        value = float(area * share)
        out[name] = Estimate(value=value, std=relative * value)
    return out


def standard_crystallinity(recipe: QuantificationRecipe, standard: str) -> tuple[float, float]:
    """Crystalline share of a spike and its standard uncertainty: that of the settings, else what is usual of its kind.

    Certified for corundum; of any other spike (by its phase id) one per cent may be amorphous surface.
    """
    usual = methods.CORUNDUM_CRYSTALLINITY if standard == "corundum" else (0.99, 0.01)
    return recipe.standard_crystallinity or usual


def _by_external_standard(
    fit: FitResult, phases: Sequence[Phase], settings: QuantificationRecipe, mineral: Estimate | None
) -> Quantification:
    """`methods.external_standard` with the attenuation of the fit's `phases`, and the constant of the settings."""
    wavelength = max(fit.wavelengths[:1] or (1.5406,))
    attenuation = {p.id: phase_attenuation(p, wavelength) for p in phases}
    constant = Estimate(value=settings.external_constant[0], std=settings.external_constant[1])
    known = None if mineral is None else (mineral.value, mineral.std or 0.0)
    return methods.external_standard(fit.amounts, constant, attenuation, settings.rest_attenuation, mineral=known)


def refuse_unknown_names(recipe: Recipe, fitted: Collection[str]) -> None:
    """Refuse grain sizes and factors of what is neither a phase nor an amorphous component: a slip would do nothing.

    `fitted` are the ids of phases fitted first. Raises RecipeError, which names the setting and the nearest legal name.
    """
    crystals = {*fitted, *list_phases()}
    legal: dict[str, tuple[Collection[str], set[str]]] = {
        "fit.grain_sizes_um": (recipe.fit.grain_sizes_um, crystals),
        "quantification.particle_size_um": (recipe.quantification.particle_size_um, crystals),
        "quantification.ponkcs_factors": (
            recipe.quantification.ponkcs_factors,
            {*crystals, *AMORPHOUS, methods.AMORPHOUS_TOGETHER},
        ),
    }
    for setting, (given, names) in legal.items():
        if set(given) - names:  # the user's own among those that are searched for
            names |= {phase.id for phase in searched_phases(recipe.identification)}
        for name in sorted(set(given) - names):
            near = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise RecipeError(f"{setting}: {name!r} is neither a phase of the library nor one that is given.{hint}")


def _by_crystallinity(fit: FitResult, recipe: QuantificationRecipe) -> Quantification:
    """Crystalline and non-crystalline fraction by the calibrated degree of crystallinity."""
    if fit.crystallinity is None:
        raise AnalysisError("the fit shows neither reflections nor a halo, so there is no degree of crystallinity.")
    if recipe.amorphous_file:
        calibration = read_amorphous(recipe.amorphous_file)
        k = calibration.k
        ends, own = calibration.two_theta_range, (float(fit.two_theta[0]), float(fit.two_theta[-1]))
        if max(abs(a - b) for a, b in zip(ends, own, strict=True)) > RANGE_TOLERANCE:
            raise RecipeError(
                f"{recipe.amorphous_file}: k holds for {ends[0]:.1f}-{ends[1]:.1f}°, this fit covers {own[0]:.1f}-"
                f"{own[1]:.1f}°, where reflections and halo have other shares. Fit the same range, "
                f"{max(ends[0], own[0]):.1f},{min(ends[1], own[1]):.1f} here and in calibrate-amorphous."
            )
    elif recipe.k is not None:
        k = Estimate(value=recipe.k[0], std=recipe.k[1])
    else:
        k = prior_constant(fit)
    w = crystalline_fraction(fit.crystallinity, k)
    variance = (w.std or 0.0) ** 2
    # k is that of one phase; a second one has reflections of its own intensity per gram.
    amounts = fit.amounts
    mass = {n: float(a) for n, a, c in zip(amounts.names, amounts.amounts, amounts.crystalline, strict=True) if c}
    total = sum(max(a, 0.0) for a in mass.values())
    main = max(mass, key=lambda name: mass[name], default="")
    minor = {name: a / total for name, a in mass.items() if total > 0.0 and name != main and a > 0.05 * total}
    listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in minor.items())
    text = (
        f"k relates the reflections of one crystalline phase to the halo; beside {main} there is {listed} of the "
        "crystalline part, with other intensities per gram. Calibrate with the same phases, or take another method."
    )
    return Quantification(
        method="crystallinity",
        basis="specimen",
        names=("crystalline", "non_crystalline"),
        fractions=np.array([w.value, 1.0 - w.value]),
        covariance=variance * np.array([[1.0, -1.0], [-1.0, 1.0]]),
        constants={"k": k, "crystallinity": fit.crystallinity},
        messages=(SECOND_PHASE(text, **minor),) if minor else (),
    )


def uses_external_scan(recipe: Recipe) -> bool:
    """Whether the scan of an external standard is wanted: named, and nothing that goes before it is given."""
    settings = recipe.quantification
    if not settings.external_scan or settings.external_constant[0] > 0.0:
        return False
    asked = settings.method == "external_standard" or recipe.composition.method == "xrd+external_standard"
    return asked or (settings.method == "auto" and not recipe.internal_standard)


def _with_external_scan(recipe: Recipe, scan: Pattern) -> QuantificationRecipe:
    """Quantification settings with G measured on the scan of a pure standard.

    `scan`, which ``quantification.external_scan`` names, is fitted with ``external_phase`` and the specimen's settings
    of instrument and fit; see `methods.external_constant`. Raises AnalysisError where it shows nothing of the phase.
    """
    settings = recipe.quantification
    phase = load_phase(settings.external_phase)
    pure = standard_crystallinity(settings, phase.id)
    grains = known_grains(recipe, (phase.id, pure[0]))
    changed = recipe.with_settings({"fit.grain_sizes_um": {k: v for k, v in grains.items() if k == phase.id}})
    instrument = build_instrument(scan, recipe.instrument)
    fit = Refinement.run(scan, (phase,), instrument, changed.fit).result()
    if not fit.amounts.amounts[fit.amounts.names.index(phase.id)] > 0.0 or not describes_pattern(fit.gof, fit.rwp):
        raise AnalysisError(
            f"quantification.external_scan = {settings.external_scan!r} is not described by {phase.id} (Rwp "
            f"{100 * fit.rwp:.0f} %). Give the scan of the pure standard and its phase as external_phase."
        )
    wavelength = max(fit.wavelengths[:1] or (1.5406,))
    found = methods.external_constant(fit.amounts, phase.id, phase_attenuation(phase, wavelength), crystallinity=pure)
    return msgspec.structs.replace(settings, external_constant=(found.value, found.std or 0.0))
