"""The straight line: measurements and a recipe in, one SampleResult out."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import xrdcomp
from xrdcomp.checks.registry import Analysis, run_checks
from xrdcomp.composition.claims import evaluate_claims, undecided_claims, without_poor_fits
from xrdcomp.composition.compose import compose, weigh_phases, without_standard
from xrdcomp.composition.evidence import InternalStandard
from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, Sample, TgaRun
from xrdcomp.errors import AnalysisError, naming
from xrdcomp.instrument.build import build_instrument, empty_holder_messages, instrument_messages
from xrdcomp.instrument.radiation_check import other_optics
from xrdcomp.io.front import read_empty_pan, read_tga, read_xrd
from xrdcomp.phases.library import own_phase_files
from xrdcomp.quantification.methods import Quantification
from xrdcomp.quantification.microstructure import with_apatite_indices
from xrdcomp.quantification.select import (
    external_scale,
    known_grains,
    quantify_or_say_why,
    refuse_unknown_names,
    standard_crystallinity,
    uses_external_scan,
    with_external_scan,
)
from xrdcomp.recipe import FitRecipe, QuantificationRecipe, Recipe, ThermalRecipe
from xrdcomp.refinement.model import measured_amorphous, with_measured_amorphous
from xrdcomp.results import Claim, Composition, FitResult, PhaseList, PhaseResult, SampleResult, TgaResult
from xrdcomp.search.report import late_start
from xrdcomp.search.search import Identification, fit_and_search, start_phases
from xrdcomp.search.templates import searched_phases
from xrdcomp.simulate.cohort import CohortEntry
from xrdcomp.thermal.balance import mass_balance

DEFAULT_RECIPE = Recipe()


def analyze(
    xrd: str | Path | Pattern | None = None,
    *,
    tga: str | Path | TgaRun | None = None,
    blank: str | Path | Pattern | None = None,
    tga_blank: str | Path | TgaRun | None = None,
    sample_id: str | None = None,
    recipe: Recipe = DEFAULT_RECIPE,
    scan: int | None = None,
) -> SampleResult:
    """Analyse one specimen: from instrument exports to composition, phases and claims.

    Parameters
    ----------
    xrd : path or Pattern, optional
        Powder pattern; without it the result says only what thermogravimetry alone can.
    tga : path or TgaRun, optional
        Thermogravimetric curve; without it the result says only what diffraction alone can.
    blank : path or Pattern, optional
        Scan of the empty holder; fixes the instrument background and narrows every amorphous fraction.
    tga_blank : path or TgaRun, optional
        Run with an empty pan and the same program; removes drift and buoyancy.
    sample_id : str, optional
        Name of the specimen; by default the recipe's, else the name of the first file.
    recipe : Recipe
        Everything that was chosen; the default fits hydroxyapatite and searches the whole library.
    scan : int, optional
        Which scan of `xrd` where the file holds several, from 0.

    Returns
    -------
    SampleResult

    Raises
    ------
    ReadError, PatternError, PhaseError, RecipeError, AnalysisError
        See their messages: each names the file, the place, what was expected and what to do.

    Examples
    --------
    >>> import xrdcomp as xc
    >>> result = xc.analyze("a.xrdml", tga="a.csv")     # doctest: +SKIP
    >>> print(result.composition)                       # doctest: +SKIP
    """
    if xrd is None and tga is None:
        msg = (
            "nothing to analyse: expected a powder pattern, a thermogravimetric curve (--tga FILE), or both."
        )
        raise AnalysisError(msg)
    if (xrd is None and blank is not None) or (tga is None and tga_blank is not None):
        msg = "a blank belongs to a measurement: --blank needs a pattern, --tga-blank needs --tga FILE."
        raise AnalysisError(msg)
    pattern, run = _pattern(xrd, scan), _run(tga)
    standard = (recipe.internal_standard, recipe.internal_standard_fraction)
    sample = Sample(
        sample_id=sample_id or recipe.sample_id or _name_of(pattern, run),
        pattern=pattern,
        tga=run,
        blank=_pattern(blank, None),
        tga_blank=_run(tga_blank, empty_pan=True),
        internal_standard=standard if recipe.internal_standard else None,
        metadata={"simulated": True} if _simulated(pattern, run) else {},
    )
    return analyze_sample(sample, recipe)


def analyze_sample(sample: Sample, recipe: Recipe = DEFAULT_RECIPE) -> SampleResult:
    """Analyse what was measured of one specimen; the whole line on one screen.

    `sample.instrument` overrides what the recipe says of the instrument.

    Parameters
    ----------
    sample : Sample
    recipe : Recipe

    Returns
    -------
    SampleResult
    """
    instrument: Instrument | None = None
    search: Identification | None = None
    assumed: tuple[Diagnostic, ...] = ()
    phases: tuple[Phase, ...] = ()
    references: dict[str, Pattern] = {}
    standard = sample.internal_standard
    if sample.pattern is not None:
        phases, standard = start_phases(recipe, standard)
        references = _references(recipe, phases)
        instrument = sample.instrument or build_instrument(sample.pattern, recipe.instrument)
        if sample.instrument is None and not recipe.instrument.file:
            assumed = instrument_messages(sample.pattern, recipe.instrument)
        with naming(*_files(sample.pattern)):
            search = fit_and_search(
                sample.pattern,
                phases,
                instrument,
                _fit_recipe(recipe, standard, instrument, references),
                recipe.identification,
                blank=sample.blank,
                named=bool(recipe.phases),
            )
    thermal = None
    if sample.tga is not None:
        with naming(*_files(sample.tga)):
            thermal = analyze_tga(sample.tga, recipe.thermal, blank=sample.tga_blank)
    fit, found = (search.fit, search.phases) if search else (None, ())
    if fit is not None:
        found = with_apatite_indices(found, fit, {phase.id for phase in found if phase.is_apatite})
    with naming(*_files(sample.pattern, sample.tga)):
        quantified, why, scale = _quantify(fit, recipe, (phases, standard, references), thermal)
        spike = _spike(recipe, standard)
        composition = compose(
            fit, found, thermal, recipe.composition, internal_standard=spike, known_scale=scale
        )
    beside = run_checks(Analysis(recipe=recipe, xrd=fit, phases=found), ["search"])
    holder = (
        empty_holder_messages(sample.blank, wavelength=fit.wavelengths[0])
        if fit is not None and sample.blank is not None
        else ()
    )
    why += (*holder, *beside, *late_start(fit, found))
    doubt: tuple[Diagnostic, ...] = ()
    if search is not None and sample.pattern is not None and sample.instrument is None:
        doubt = other_optics(search, sample.pattern, phases, recipe, sample.blank)
    own = weigh_phases(without_standard(found, standard), composition)
    claims = _claims(composition, own, recipe, (search, spike.id if spike else "", doubt))
    found_so_far = Analysis(
        sample=sample, recipe=recipe, xrd=fit, phases=own, tga=thermal, composition=composition, claims=claims
    )
    mutual = run_checks(
        Analysis(sample=sample, recipe=recipe, xrd=fit, phases=found, tga=thermal), ["specimen"]
    )
    measured = (sample.pattern, sample.blank, sample.tga, sample.tga_blank)
    return SampleResult(
        sample_id=sample.sample_id,
        composition=composition,
        phases=PhaseList(own),
        claims=claims,
        settings=_settings(recipe, sample.sample_id, instrument, fit),
        software=_software(),
        inputs=_inputs(sample, references),
        sources=tuple(item.source for item in measured if item is not None and item.source is not None),
        xrd=fit,
        tga=thermal,
        messages=(
            *_diagnostics((*assumed, *doubt, *mutual, *why), *measured, search, fit, thermal, composition),
            *run_checks(found_so_far, ["composition"]),
        ),
        metadata=_metadata(sample, search, quantified),
    )


def analyze_tga(
    run: TgaRun, recipe: ThermalRecipe | None = None, *, blank: TgaRun | None = None
) -> TgaResult:
    """Mass balance of a thermogravimetric run, with what the checks say of it.

    Parameters
    ----------
    run : TgaRun
    recipe : ThermalRecipe, optional
    blank : TgaRun, optional
        Empty pan under the same programme, in mg (or percent with its start mass).

    Returns
    -------
    TgaResult
        Steps, residue and, where the losses can be read as water, organic and carbonate, the balance with its
        covariance, quantities as received and dry, and the variance budget. A run that ends before the
        carbonate has gone gives ``("water", "organic", "residue_with_carbonate")``; its residue is the mass
        at its end.

    Raises
    ------
    AnalysisError
        Too few points, a signal that is not a mass, time that runs backwards, a blank that does not fit.
    """
    result = mass_balance(run, recipe, blank=blank)
    return replace(result, messages=result.messages + run_checks(Analysis(tga=result), ["tga"]))


def analyze_embedded(entry: CohortEntry, recipe: Recipe = DEFAULT_RECIPE) -> SampleResult:
    """Analyse one specimen of a simulated cohort; its metadata then say so and hold the truth.

    Radiation and atmosphere are those of the cohort's list, because not every export format can state them.

    Parameters
    ----------
    entry : CohortEntry
        Of `load_cohort`.
    recipe : Recipe

    Returns
    -------
    SampleResult
    """
    known = {"instrument.radiation": entry.radiation, "thermal.atmosphere": entry.atmosphere}
    result = analyze(
        entry.xrd, tga=entry.tga, sample_id=entry.specimen_id, recipe=recipe.with_settings(known)
    )
    metadata = {"simulated": True, "kind": entry.kind, "truth": entry.truth["components"]}
    return replace(result, metadata={**result.metadata, **metadata})


def _spike(recipe: Recipe, standard: tuple[str, float] | None) -> InternalStandard | None:
    """Return the weighed spike with the crystallinity that the settings give it, or that is known of its kind."""
    if standard is None:
        return None
    value, std = standard_crystallinity(recipe.quantification, standard[0])
    return InternalStandard(id=standard[0], fraction=standard[1], crystallinity=value, crystallinity_std=std)


def _references(recipe: Recipe, phases: tuple[Phase, ...]) -> dict[str, Pattern]:
    """Read the patterns of other materials that settings name, by setting; names of phases in settings are checked."""
    refuse_unknown_names(recipe, [phase.id for phase in phases])
    groups = {
        "fit.amorphous_patterns": recipe.fit.amorphous_patterns,
        "quantification.reference_patterns": recipe.quantification.reference_patterns,
    }
    named = {f"{key}.{name}": file for key, files in groups.items() for name, file in files.items()}
    if uses_external_scan(recipe):
        named["quantification.external_scan"] = recipe.quantification.external_scan
    return {setting: read_xrd(file) for setting, file in named.items()}


def _fit_recipe(
    recipe: Recipe,
    standard: tuple[str, float] | None,
    instrument: Instrument,
    references: Mapping[str, Pattern],
) -> FitRecipe:
    """Settings of the fit, with grain sizes that are known and measured amorphous patterns on their scale."""
    chosen = recipe.with_settings({"fit.grain_sizes_um": known_grains(recipe, standard)}).fit
    measured = {}
    for name, file in chosen.amorphous_patterns.items():
        reference = references[f"fit.amorphous_patterns.{name}"]
        stated = bool(reference.emission_lines or reference.anode) and not recipe.instrument.file
        with naming(file):
            own = build_instrument(reference, recipe.instrument) if stated else instrument
            measured[name] = measured_amorphous(name, reference, own)
    return with_measured_amorphous(chosen, measured)


def _with_scale(recipe: Recipe, references: Mapping[str, Pattern]) -> QuantificationRecipe:
    """Settings of the quantification, the external standard's constant found from its scan where one is wanted."""
    scan = references.get("quantification.external_scan")
    if scan is None:
        return recipe.quantification
    with naming(recipe.quantification.external_scan):
        return with_external_scan(recipe, scan)


def _quantify(
    fit: FitResult | None,
    recipe: Recipe,
    known: tuple[tuple[Phase, ...], tuple[str, float] | None, Mapping[str, Pattern]],
    thermal: TgaResult | None,
) -> tuple[Quantification | None, tuple[Diagnostic, ...], tuple[float, float] | None]:
    """Fractions from diffraction alone, and the scale of an external standard where the composition is to use it.

    Attenuation may use the mineral balance of thermogravimetry.
    """
    if fit is None:
        return None, (), None
    phases, standard, references = known
    ids = {phase.id for phase in phases}
    if not set(fit.phases) <= ids:
        phases += tuple(p for p in searched_phases(recipe.identification) if p.id not in ids)
    phases = tuple(phase for phase in phases if phase.id in fit.phases)
    settings = _with_scale(recipe, references)
    mineral = thermal.quantities.get("total_mineral") if thermal is not None else None
    found, why = quantify_or_say_why(
        fit,
        phases,
        settings,
        internal_standard=standard,
        mineral=mineral,
        references={
            name: references[f"quantification.reference_patterns.{name}"]
            for name in settings.reference_patterns
        },
    )
    wanted = recipe.composition.method == "xrd+external_standard"
    return found, why, external_scale(fit, phases, settings, mineral) if wanted else None


def _claims(
    composition: Composition,
    phases: tuple[PhaseResult, ...],
    recipe: Recipe,
    seen: tuple[Identification | None, str, tuple[Diagnostic, ...]],
) -> tuple[Claim, ...]:
    """Findings on one specimen; `seen` is the search, the id of a spike, and what is in doubt of the optics."""
    search, spike, doubt = seen
    fit = search.fit if search else None
    if not composition.draws.size:
        reason = "the pattern shows nothing that was searched for beyond doubt"
        return undecided_claims(reason) if fit is not None else ()
    left = len(search.unexplained) if search else 0
    claims = evaluate_claims(
        composition, phases, recipe.composition, internal_standard=spike, unexplained=left
    )
    return without_poor_fits(claims, fit, doubtful=bool(doubt))


def _pattern(item: str | Path | Pattern | None, scan: int | None) -> Pattern | None:
    if item is None or isinstance(item, Pattern):
        return item
    pattern: Pattern = read_xrd(item, scan=scan)
    return pattern


def _run(item: str | Path | TgaRun | None, *, empty_pan: bool = False) -> TgaRun | None:
    if item is None or isinstance(item, TgaRun):
        return item
    run: TgaRun = read_empty_pan(item) if empty_pan else read_tga(item)
    return run


def _files(*measured: Pattern | TgaRun | None) -> list[str]:
    return [item.source.file for item in measured if item is not None and item.source is not None]


def _name_of(*measured: Pattern | TgaRun | None) -> str:
    """Name of the first file without its endings, with characters that folders dislike replaced by _."""
    for item in measured:
        if item is not None and item.source is not None:
            name = Path(item.source.file)
            stem = Path(name.stem).stem if name.suffix in {".gz", ".bz2"} else name.stem
            legal = re.sub(r"\.\.+|[^\w.+()-]", "_", stem)[:100].rstrip(".-")
            return legal if re.match(r"\w", legal) else f"specimen_{legal}".rstrip("_.-")
    return "specimen"


def _simulated(*measured: Pattern | TgaRun | None) -> bool:
    """Whether a file says of itself that it was simulated, in its sample name, title or instrument."""
    texts = (value for item in measured if item is not None for value in item.metadata.values())
    return any("simulated" in str(text).casefold() for text in texts)


def _inputs(sample: Sample, references: Mapping[str, Pattern]) -> tuple[dict[str, Any], ...]:
    """Every measurement that went in: kind, name, SHA-256, format, and what the file says of itself.

    Patterns of other materials that a setting names follow those of the specimen and carry its key as ``setting``.
    """
    kinds = (
        ("xrd", "", sample.pattern),
        ("xrd_blank", "", sample.blank),
        ("tga", "", sample.tga),
        ("tga_blank", "", sample.tga_blank),
        *(("xrd", setting, pattern) for setting, pattern in references.items()),
    )
    return tuple(
        {
            "kind": kind,
            "file": item.source.file,
            "sha256": item.source.sha256,
            "format": item.source.format,
            "metadata": dict(item.metadata),
            **({"setting": setting} if setting else {}),
        }
        for kind, setting, item in kinds
        if item is not None and item.source is not None
    )


def _files_of_settings(recipe: Recipe) -> list[dict[str, str]]:
    """Calibrations and structures that settings name, with their SHA-256: what they hold decides results as well."""
    groups = {
        "phases": recipe.phases,
        "internal_standard": (recipe.internal_standard,) if recipe.internal_standard else (),
        "identification.library": recipe.identification.library,
        "identification.own_phases": recipe.identification.own_phases,
    }
    files = [(key, file) for key, names in groups.items() for file in own_phase_files(names)]
    single = {
        "instrument.file": recipe.instrument.file,
        "quantification.amorphous_file": recipe.quantification.amorphous_file,
    }
    files += [(key, Path(name)) for key, name in single.items() if name]
    return [
        {"setting": key, "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for key, file in files
    ]


def _settings(
    recipe: Recipe, sample_id: str, instrument: Instrument | None, fit: FitResult | None
) -> dict[str, Any]:
    """Return the whole recipe, defaults included, and under ``used`` what the files decided."""
    settings = recipe.to_dict() | {"sample_id": sample_id}
    if instrument is not None and fit is not None:
        settings["used"] = {
            "phases": list(fit.phases),
            "instrument": instrument.name,
            "emission_lines": [
                {"wavelength": line.wavelength, "weight": line.weight} for line in instrument.emission_lines
            ],
        }
        if files := _files_of_settings(recipe):
            settings["used"]["files"] = files
    return settings


def _software() -> dict[str, str]:
    from importlib.metadata import version

    return {
        "xrdcomp": xrdcomp.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
    }


def _metadata(
    sample: Sample, search: Identification | None, quantified: Quantification | None
) -> dict[str, Any]:
    """Facts about the specimen, unit of its curves, peaks that no phase explains, fractions from diffraction."""
    facts: dict[str, Any] = dict(sample.metadata)
    if sample.pattern is not None:
        facts["intensity_unit"] = sample.pattern.intensity_unit
    if search is not None:
        facts["unexplained_peaks"] = [peak.to_dict() for peak in search.unexplained]
        facts["bragg_area_lost"] = dict(search.fit.bragg_area_lost)
    if quantified is not None:
        facts["quantification"] = quantified.to_dict()
    return facts


def _diagnostics(
    first: tuple[Diagnostic, ...],
    *stages: Pattern | TgaRun | Identification | FitResult | TgaResult | Composition | None,
) -> tuple[Diagnostic, ...]:
    """`first`, then every stage's messages in the order of the line, each once."""
    seen: dict[tuple[str, str], Diagnostic] = {}
    for messages in (first, *(stage.messages for stage in stages if stage is not None)):
        for message in messages:
            seen.setdefault((message.code, message.text), message)
    return tuple(seen.values())
