"""The straight line: measurements and a recipe in, one SampleResult out; and what it records of where it comes from."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

import xrdcomp
from xrdcomp.checks.registry import Analysis, run_checks
from xrdcomp.composition.claims import evaluate_claims, undecided_claims, without_poor_fits
from xrdcomp.composition.compose import compose, weigh_phases, without_standard
from xrdcomp.composition.evidence import InternalStandard
from xrdcomp.data import Diagnostic, Instrument, Pattern, Phase, Sample, TgaRun
from xrdcomp.errors import AnalysisError, either, naming
from xrdcomp.instrument.build import build_instrument, empty_holder_messages, instrument_messages, refuse_wavelengths
from xrdcomp.instrument.radiation_check import OtherOptics, other_optics
from xrdcomp.io.front import read_xrd
from xrdcomp.io.registry import find_reader
from xrdcomp.phases.library import own_phase_files
from xrdcomp.quantification.microstructure import with_apatite_indices
from xrdcomp.quantification.select import (
    PatternQuantities,
    known_grains,
    quantify_specimen,
    refuse_unknown_names,
    standard_crystallinity,
    uses_external_scan,
)
from xrdcomp.recipe import FitRecipe, Recipe
from xrdcomp.refinement.model import Control, MeasuredAmorphous, measured_amorphous
from xrdcomp.refinement.threads import single_threaded
from xrdcomp.results import Claim, ControlChart, FitResult, PhaseList, SampleResult, TgaResult
from xrdcomp.search import search as searching
from xrdcomp.search.report import late_start, without_amounts, without_numbers
from xrdcomp.search.search import Identification, start_phases
from xrdcomp.stages import PathLike, PatternLike, RunLike, analyze_tga, as_pattern, as_run

if TYPE_CHECKING:
    from xrdcomp.simulate.cohort import CohortEntry


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that is known before anything is fitted.

    `phases` are those to fit, `standard` the spike by the id of its phase, `references` the patterns of other materials
    that settings name, by setting; `fit` are the settings of the fit with the grains of an internal standard,
    `amorphous` the components of the fit as measured, `assumed` the messages on an instrument that nobody described.
    Without a pattern, `instrument` is None.
    """

    sample: Sample
    recipe: Recipe
    instrument: Instrument | None = None
    phases: tuple[Phase, ...] = ()
    standard: tuple[str, float] | None = None
    references: Mapping[str, Pattern] = field(default_factory=dict)
    fit: FitRecipe = field(default_factory=FitRecipe)
    amorphous: tuple[MeasuredAmorphous, ...] = ()
    assumed: tuple[Diagnostic, ...] = ()

    @property
    def spike(self) -> InternalStandard | None:
        """The internal standard with the crystallinity that the settings give it, or that is known of its kind."""
        if self.standard is None:
            return None
        name, fraction = self.standard
        value, std = standard_crystallinity(self.recipe.quantification, name)
        return InternalStandard(id=name, fraction=fraction, crystallinity=value, crystallinity_std=std)


def analyze(  # noqa: PLR0913 - one keyword for each thing that may be said of a specimen
    xrd: PatternLike | None = None,
    *,
    tga: RunLike | None = None,
    blank: PatternLike | None = None,
    tga_blank: RunLike | None = None,
    sample_id: str | None = None,
    recipe: Recipe | PathLike | Mapping[str, Any] | None = None,
    scan: int | None = None,
    input_format: str | None = None,
    instrument: Instrument | PathLike | None = None,
    **settings: Any,
) -> SampleResult:
    """Analyse one specimen: from instrument exports to composition, phases and claims.

    Parameters
    ----------
    xrd : path, Pattern, DataFrame or arrays, optional
        Powder pattern; without it the result says only what thermogravimetry alone can.
    tga : path, TgaRun, DataFrame or arrays, optional
        Thermogravimetric curve; without it the result says only what diffraction alone can.
    blank : as `xrd`, optional
        Scan of the empty holder; fixes the instrument background and narrows every amorphous fraction.
    tga_blank : as `tga`, optional
        Run with an empty pan and the same program; removes drift and buoyancy.
    sample_id : str, optional
        Name of the specimen; by default the recipe's, else the name of the first file.
    recipe : Recipe, path of its TOML file or dict, optional
        Everything that was chosen; the default fits hydroxyapatite and searches the whole library.
    scan : int, optional
        Which scan of `xrd` where the file holds several, from 0.
    input_format : str, optional
        Id of the format of the files (``xrdcomp formats`` lists them) where the content does not tell: of pattern and
        holder, or of the runs, as its kind is.
    instrument : Instrument or path, optional
        Instrument, or its file as ``xrdcomp calibrate`` writes it.
    **settings
        Settings by the names of the command line, which go before the recipe: ``phases``, ``radiation``,
        ``wavelength``, ``range``, ``atmosphere``, ``internal_standard=("corundum", 0.2)``, ``basis`` …;
        see `Recipe.of`.

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
    >>> result = xc.analyze("a.xrdml", tga="a.csv", atmosphere="air")     # doctest: +SKIP
    >>> result.composition["organic"]                                     # doctest: +SKIP
    """
    if not isinstance(instrument, Instrument):
        settings["instrument"] = instrument
    chosen = Recipe.of(recipe, **settings)
    if xrd is None and tga is None:
        given = either(" (tga=…)", " (--tga FILE)")
        raise AnalysisError(
            f"nothing to analyse: expected a powder pattern, a thermogravimetric curve{given}, or both."
        )
    if (xrd is None and blank is not None) or (tga is None and tga_blank is not None):
        needs = either(
            "blank= needs a pattern, tga_blank= needs tga=.", "--blank needs a pattern, --tga-blank needs --tga FILE."
        )
        raise AnalysisError(f"a blank belongs to a measurement: {needs}")
    of_run = input_format is not None and find_reader(input_format).kind == "tga"
    xrd_format, tga_format = (None, input_format) if of_run else (input_format, None)
    if (xrd if tga_format is None else tga) is None and input_format is not None:
        raise AnalysisError(f"the format {input_format!r} is not that of a file that was given.")
    pattern = None if xrd is None else as_pattern(xrd, "xrd", scan=scan, format=xrd_format)
    run = None if tga is None else as_run(tga, "tga", format=tga_format)
    standard = (chosen.internal_standard, chosen.internal_standard_fraction)
    sample = Sample(
        sample_id=sample_id or chosen.sample_id or _name_of(pattern, run),
        pattern=pattern,
        tga=run,
        instrument=instrument if isinstance(instrument, Instrument) else None,
        blank=None if blank is None else as_pattern(blank, "blank", format=xrd_format),
        tga_blank=None if tga_blank is None else as_run(tga_blank, "tga_blank", empty_pan=True, format=tga_format),
        internal_standard=standard if chosen.internal_standard else None,
        metadata={"simulated": True} if _simulated(pattern, run) else {},
    )
    return analyze_sample(sample, chosen)


@single_threaded
def analyze_sample(sample: Sample, recipe: Recipe | PathLike | Mapping[str, Any] | None = None) -> SampleResult:
    """Analyse what was measured of one specimen: the straight line on one screen.

    `sample`: its `instrument` goes before what the recipe says of one; `recipe`: recipe, path of its TOML
    file or dict.
    """
    setup = prepare(sample, Recipe.of(recipe))
    charts: tuple[ControlChart, ...] = ()
    control: tuple[Diagnostic, ...] = ()
    if setup.recipe.history.file:  # few have one, and it brings SQLite
        from xrdcomp.instrument.history import instrument_charts

        charts, control = instrument_charts(setup.recipe.history, sample.pattern, sample.tga)
    search = fit_and_search(setup)
    fit, found = (search.fit, search.phases) if search is not None else (None, ())
    optics: OtherOptics | None = None
    if search is not None and sample.pattern is not None and sample.instrument is None:
        # The tube or the slits that fit better, where those that were assumed fit badly.
        optics = other_optics(search, sample.pattern, setup.phases, setup.recipe, sample.blank)
    if optics is not None:
        reason = optics.reason
        found = PhaseList(without_numbers(phase, reason) if reason else without_amounts(phase) for phase in found)
    thermal = analyze_curve(setup)
    with naming(*_files(sample.pattern, sample.tga)):
        quantities = quantify(setup, fit, thermal)
        composition = compose(
            fit, found, thermal, setup.recipe.composition,
            kind=setup.recipe.specimen.kind, internal_standard=setup.spike, known_scale=quantities.scale,
            unidentified=search.unidentified_mass if search is not None else None, other_optics=optics is not None,
            metal_share=search.metal_share if search is not None else 0.0,
        )  # fmt: skip
    holder: tuple[Diagnostic, ...] = ()
    if fit is not None and sample.blank is not None:
        holder = empty_holder_messages(sample.blank, wavelength=fit.wavelengths[0])
    phases = weigh_phases(without_standard(found, setup.standard), composition)
    seen = Analysis(sample=sample, recipe=setup.recipe, xrd=fit, phases=found, tga=thermal, composition=composition)
    claims = claims_on(setup, replace(seen, phases=phases), search, doubtful=optics is not None)
    measured = (sample.pattern, sample.blank, sample.tga, sample.tga_blank)
    return SampleResult(
        sample_id=sample.sample_id,
        composition=composition,
        phases=PhaseList(phases),
        claims=claims,
        settings=_settings(setup, fit),
        software=dict(_software()),
        inputs=_inputs(setup),
        sources=tuple(item.source for item in measured if item is not None and item.source is not None),
        xrd=fit,
        tga=thermal,
        messages=(
            *_each_once(
                control, setup.assumed, () if optics is None else (optics.message,),
                run_checks(seen, ["specimen"]), quantities.messages, holder, run_checks(seen, ["search"]),
                late_start(fit, found),
                *(stage.messages for stage in (*measured, search, fit, thermal, composition) if stage is not None),
            ),
            *run_checks(replace(seen, phases=phases, claims=claims), ["composition"]),
        ),
        metadata=_metadata(sample, search, quantities)
        | ({"instrument_control": [chart.to_dict() for chart in charts]} if charts else {}),
    )  # fmt: skip


def analyze_embedded(entry: CohortEntry, recipe: Recipe | None = None) -> SampleResult:
    """Analyse one specimen of a simulated cohort, as `load_cohort` lists it; metadata say so and hold the truth.

    Radiation and atmosphere are those of the cohort's list, because not every export format can state them.
    """
    result = analyze(
        entry.xrd, tga=entry.tga, sample_id=entry.specimen_id, recipe=recipe,
        radiation=entry.radiation, atmosphere=entry.atmosphere,
    )  # fmt: skip
    metadata = {"simulated": True, "kind": entry.kind, "truth": entry.truth["components"]}
    return replace(result, metadata={**result.metadata, **metadata})


# Stages of the line


def prepare(sample: Sample, recipe: Recipe) -> Setup:
    """Decide phases, standard and instrument, and read the patterns of other materials that settings name."""
    if sample.pattern is None:
        return Setup(sample=sample, recipe=recipe, standard=sample.internal_standard)
    phases, standard = start_phases(recipe, sample.internal_standard)
    refuse_unknown_names(recipe, [phase.id for phase in phases])
    groups = {
        "fit.amorphous_patterns": recipe.fit.amorphous_patterns,
        "fit.amorphous_control": recipe.fit.amorphous_control,
        "quantification.reference_patterns": recipe.quantification.reference_patterns,
    }
    named = {f"{key}.{name}": file for key, files in groups.items() for name, file in files.items()}
    if uses_external_scan(recipe):
        named["quantification.external_scan"] = recipe.quantification.external_scan
    references = {setting: read_xrd(file) for setting, file in named.items()}
    given = sample.instrument
    instrument = refuse_wavelengths(given) if given is not None else build_instrument(sample.pattern, recipe.instrument)
    described = sample.instrument is not None or recipe.instrument.file
    fit = recipe.with_settings({"fit.grain_sizes_um": known_grains(recipe, standard)}).fit
    amorphous, control = [], None
    for name in fit.amorphous_control:
        control = Control(name=name, pattern=references[f"fit.amorphous_control.{name}"])
    for name, file in fit.amorphous_patterns.items():
        reference = references[f"fit.amorphous_patterns.{name}"]
        stated = bool(reference.emission_lines or reference.anode) and not recipe.instrument.file
        with naming(file):
            own = build_instrument(reference, recipe.instrument) if stated else instrument
            formula = fit.amorphous_formulas.get(name, "")
            amorphous.append(measured_amorphous(name, reference, own, formula=formula, control=control))
    return Setup(
        sample=sample, recipe=recipe, instrument=instrument, phases=phases, standard=standard, references=references,
        fit=fit, amorphous=tuple(amorphous),
        assumed=() if described else instrument_messages(sample.pattern, recipe.instrument),
    )  # fmt: skip


def fit_and_search(setup: Setup) -> Identification | None:
    """Fit the pattern and search it for other phases; the indices of apatite are added to its members."""
    sample, recipe = setup.sample, setup.recipe
    if sample.pattern is None or setup.instrument is None:
        return None
    with naming(*_files(sample.pattern)):
        search = searching.fit_and_search(
            sample.pattern, setup.phases, setup.instrument, setup.fit, recipe.identification,
            blank=sample.blank, measured=setup.amorphous, named=bool(recipe.phases),
            standard=setup.standard[0] if setup.standard else "",
        )  # fmt: skip
    apatites = {phase.id for phase in search.phases if phase.is_apatite}
    return replace(search, phases=PhaseList(with_apatite_indices(search.phases, search.fit, apatites)))


def analyze_curve(setup: Setup) -> TgaResult | None:
    """Mass balance of the thermogravimetric run, where there is one."""
    sample = setup.sample
    if sample.tga is None:
        return None
    with naming(*_files(sample.tga)):
        return analyze_tga(sample.tga, setup.recipe.thermal, blank=sample.tga_blank)


def quantify(setup: Setup, fit: FitResult | None, thermal: TgaResult | None) -> PatternQuantities:
    """Fractions from diffraction alone; attenuation may use the mineral balance of thermogravimetry."""
    if fit is None:
        return PatternQuantities()
    mineral = thermal.quantities.get("total_mineral") if thermal is not None else None
    return quantify_specimen(
        fit, setup.phases, setup.recipe, standard=setup.standard, mineral=mineral, references=setup.references
    )


def claims_on(setup: Setup, seen: Analysis, search: Identification | None, *, doubtful: bool) -> tuple[Claim, ...]:
    """Findings on one specimen; undecided where the pattern shows nothing beyond doubt or the optics are `doubtful`."""
    if seen.composition is None or not seen.composition.draws.size:
        reason = "the pattern shows nothing that was searched for beyond doubt"
        return undecided_claims(reason) if seen.xrd is not None else ()
    spike, unexplained = setup.standard[0] if setup.standard else "", len(search.unexplained) if search else 0
    claims = evaluate_claims(
        seen.composition, seen.phases, setup.recipe.composition, internal_standard=spike, unexplained=unexplained
    )
    return without_poor_fits(claims, seen.xrd, doubtful=doubtful)


def _each_once(*groups: tuple[Diagnostic, ...]) -> list[Diagnostic]:
    """Messages in the order of the line, each once: stages hand on those of the stages before them."""
    found: dict[tuple[str, str], Diagnostic] = {}
    for message in (message for group in groups for message in group):
        found.setdefault((message.code, message.text), message)
    return list(found.values())


# What a result records of where it comes from


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
    """Tell whether a file says of itself that it was simulated, in its sample name, title or instrument."""
    texts = (value for item in measured if item is not None for value in item.metadata.values())
    return any("simulated" in str(text).casefold() for text in texts)


def _inputs(setup: Setup) -> tuple[dict[str, Any], ...]:
    """Every measurement that went in: kind, name, SHA-256, format, and what the file says of itself.

    Patterns of other materials that a setting names follow those of the specimen and carry its key as ``setting``.
    """
    sample = setup.sample
    measured = {"xrd": sample.pattern, "xrd_blank": sample.blank, "tga": sample.tga, "tga_blank": sample.tga_blank}
    named: list[tuple[str, dict[str, str], Any]] = [(kind, {}, item) for kind, item in measured.items()]
    named += [("xrd", {"setting": setting}, pattern) for setting, pattern in setup.references.items()]
    return tuple(
        {"kind": kind, **asdict(item.source), "metadata": dict(item.metadata), **setting}
        for kind, setting, item in named
        if item is not None and item.source is not None
    )


def _files_of_settings(recipe: Recipe) -> list[dict[str, str]]:
    """Calibrations and structures that settings name, with their SHA-256: what they hold decides results as well."""
    search, standard = recipe.identification, recipe.internal_standard
    groups = {
        "phases": recipe.phases,
        "internal_standard": (standard,) if standard else (),
        "identification.library": search.library,
        "identification.own_phases": search.own_phases,
    }
    single = {"instrument.file": recipe.instrument.file}
    single["quantification.amorphous_file"] = recipe.quantification.amorphous_file
    files = [(key, file) for key, names in groups.items() for file in own_phase_files(names)]
    files += [(key, Path(name)) for key, name in single.items() if name]
    return [
        {"setting": key, "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for key, file in files
    ]


def _settings(setup: Setup, fit: FitResult | None) -> dict[str, Any]:
    """Return the whole recipe, defaults included, and under ``used`` what the files decided."""
    settings, instrument = setup.recipe.to_dict() | {"sample_id": setup.sample.sample_id}, setup.instrument
    if instrument is not None and fit is not None:
        lines = [{"wavelength": line.wavelength, "weight": line.weight} for line in instrument.emission_lines]
        settings["used"] = {"phases": list(fit.phases), "instrument": instrument.name, "emission_lines": lines}
        if files := _files_of_settings(setup.recipe):
            settings["used"]["files"] = files
    return settings


@cache
def _software() -> dict[str, str]:
    libraries = {"numpy": np.__version__, "scipy": scipy.__version__}
    return {"xrdcomp": xrdcomp.__version__, "python": platform.python_version(), **libraries}


def _metadata(sample: Sample, search: Identification | None, quantities: PatternQuantities) -> dict[str, Any]:
    """Facts about the specimen, unit of its curves, peaks that no phase explains, fractions from diffraction."""
    facts: dict[str, Any] = dict(sample.metadata)
    if sample.pattern is not None:
        facts["intensity_unit"] = sample.pattern.intensity_unit
    if search is not None:
        facts["unexplained_peaks"] = [peak.to_dict() for peak in search.unexplained]
        facts["bragg_area_lost"] = dict(search.fit.bragg_area_lost)
    if quantities.found is not None:
        facts["quantification"] = quantities.found.to_dict()
    return facts
