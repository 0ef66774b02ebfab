"""The stages of an analysis as users call them, with whatever stands for a pattern, a run, phases or settings.

Each function turns its arguments into records and calls the engine behind it; the straight line of `xrdcomp.analysis`
calls the same engines. Engines are imported when they are called, so that one stage does not load all others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from xrdcomp.data import Instrument, Pattern, TgaRun
from xrdcomp.errors import ArgumentError
from xrdcomp.phases.library import PhasesLike, load_phases
from xrdcomp.recipe import (
    CompositionRecipe,
    FitRecipe,
    IdentificationRecipe,
    InstrumentRecipe,
    Recipe,
    SpecimenRecipe,
    ThermalRecipe,
)
from xrdcomp.refinement.threads import single_threaded
from xrdcomp.results import Claim, Composition, FitResult, PhaseResult, TgaResult

if TYPE_CHECKING:
    import lmfit
    import pandas as pd

    from xrdcomp.composition.evidence import InternalStandard
    from xrdcomp.search.search import Identification

PathLike: TypeAlias = "str | os.PathLike[str]"
PatternLike: TypeAlias = "Pattern | PathLike | pd.DataFrame | tuple[Any, ...]"
"""A pattern, its file, a table of its points, or the arrays of `Pattern.from_xy`."""
RunLike: TypeAlias = "TgaRun | PathLike | pd.DataFrame | tuple[Any, ...]"
"""A run, its file, a table of its points, or the arrays of `TgaRun.from_arrays`."""
InstrumentLike: TypeAlias = "Instrument | InstrumentRecipe | Recipe | PathLike"
"""An instrument, its file, or the settings that say what is known of it."""
Part = TypeVar("Part")


def as_pattern(value: Any, argument: str = "pattern", *, scan: int | None = None, format: str | None = None) -> Pattern:
    """Pattern of whatever stands for one: see `PatternLike`; `scan` and `format` are those of `read_xrd`."""
    from xrdcomp.io.front import read_xrd

    arrays = "(two_theta, intensity[, sigma])"
    found: Pattern = _measured(
        value, argument, Pattern, partial(read_xrd, scan=scan, format=format), Pattern.from_xy, arrays
    )
    return found


def as_run(value: Any, argument: str = "run", *, empty_pan: bool = False, format: str | None = None) -> TgaRun:
    """Thermogravimetric run of whatever stands for one: see `RunLike`; `format` is that of `read_tga`."""
    from xrdcomp.io.front import read_empty_pan, read_tga

    read = partial(read_empty_pan if empty_pan else read_tga, format=format)
    arrays = "(temperature_c, mass[, time_s])"
    found: TgaRun = _measured(value, argument, TgaRun, read, TgaRun.from_arrays, arrays)
    return found


def _measured(value: Any, argument: str, kind: Any, read: Any, of_arrays: Any, arrays: str) -> Any:
    """Object of `kind` from itself, a file, a table, or arrays."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str | os.PathLike):
        return read(value)
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return kind.from_dataframe(value)
    columns = isinstance(value, tuple | list) and len(value) in (2, 3)
    if columns and all(hasattr(x, "__len__") and not isinstance(x, str | bytes | Mapping) for x in value):
        return of_arrays(*value)
    raise ArgumentError(argument, value, f"a {kind.__name__}, a file, a DataFrame, or arrays {arrays}")


def as_instrument(value: Any, argument: str = "instrument", *, pattern: Pattern | None = None) -> Instrument:
    """Instrument of whatever stands for one: see `InstrumentLike`; what is not said is taken from the `pattern`."""
    if isinstance(value, Instrument):
        from xrdcomp.instrument.build import refuse_wavelengths

        return refuse_wavelengths(value)
    if isinstance(value, str | os.PathLike):
        value = InstrumentRecipe(file=os.fspath(value))
    if value is None or isinstance(value, Recipe | InstrumentRecipe):
        from xrdcomp.instrument.build import build_instrument

        return build_instrument(pattern, part_of(value, InstrumentRecipe))
    raise ArgumentError(argument, value, "an Instrument, an instrument file, or a Recipe")


def part_of(recipe: Any, kind: type[Part], argument: str = "recipe") -> Part:
    """Settings of one stage: itself, or its part of a whole recipe; the default ones for None."""
    if isinstance(recipe, kind):
        return recipe
    if recipe is None or isinstance(recipe, Recipe | str | os.PathLike | Mapping):
        name = kind.__name__.removesuffix("Recipe").lower()
        part: Part = getattr(Recipe.of(recipe), name)
        return part
    raise ArgumentError(argument, recipe, f"a {kind.__name__}, a Recipe, its file or a dict")


def build_instrument(
    pattern: PatternLike | None = None, recipe: InstrumentRecipe | Recipe | PathLike | None = None
) -> Instrument:
    """Build the instrument for a pattern: wavelengths of the recipe, else of the pattern, else copper Kα.

    With an instrument file, resolution and aberrations are taken from it; settings of the recipe that differ from their
    defaults go before it.

    Parameters
    ----------
    pattern : Pattern or what stands for one, optional
    recipe : InstrumentRecipe, Recipe or its file, optional

    Returns
    -------
    Instrument
        Wavelengths in ångström, angles in degrees, lengths in mm.

    Raises
    ------
    RecipeError
        Unknown radiation, an instrument file that cannot be read, or one of another radiation or geometry.
    """
    from xrdcomp.instrument.build import build_instrument as build

    measured = None if pattern is None else as_pattern(pattern)
    return build(measured, part_of(recipe, InstrumentRecipe))


@single_threaded
def fit_pattern(
    pattern: PatternLike,
    phases: PhasesLike,
    instrument: InstrumentLike | None = None,
    recipe: FitRecipe | Recipe | PathLike | None = None,
    *,
    blank: PatternLike | None = None,
    params: lmfit.Parameters | None = None,
) -> FitResult:
    """Fit a whole pattern with crystalline phases, amorphous components and a background.

    Parameters
    ----------
    pattern : Pattern or what stands for one
    phases : ids, files or Phase objects
        Their relative intensities follow from the structure.
    instrument : Instrument, its file, or a Recipe, optional
        None: wavelengths of the pattern, else copper Kα.
    recipe : FitRecipe, Recipe or its file, optional
    blank : Pattern or what stands for one, optional
        Empty-holder scan, scaled into the background.
    params : lmfit.Parameters, optional
        From ``xrdcomp.refinement.refine.initial_parameters``, changed by the user.

    Returns
    -------
    FitResult
        Angles in degrees, lengths in ångström, sizes in nm, amounts signed on one common scale.

    Raises
    ------
    AnalysisError
        Too few points, a phase without atoms, a blank that does not cover the range.
    """
    from xrdcomp.refinement.refine import Refinement

    measured = as_pattern(pattern)
    given = recipe if instrument is None and isinstance(recipe, Recipe) else instrument
    holder = None if blank is None else as_pattern(blank, "blank")
    optics, settings = as_instrument(given, pattern=measured), part_of(recipe, FitRecipe)
    return Refinement.run(measured, load_phases(phases), optics, settings, blank=holder, params=params).result()


@single_threaded
def identify(
    pattern: PatternLike,
    instrument: InstrumentLike | None = None,
    recipe: IdentificationRecipe | Recipe | PathLike | None = None,
    *,
    fit: FitRecipe | Recipe | None = None,
    blank: PatternLike | None = None,
) -> Identification:
    """Search a pattern for every crystalline phase of the library, with none assumed.

    Parameters
    ----------
    pattern : Pattern or what stands for one
    instrument : Instrument, its file, or a Recipe, optional
    recipe : IdentificationRecipe, Recipe or its file, optional
        Library, false-alarm rate, detection probability; a whole Recipe also says how to fit.
    fit : FitRecipe or Recipe, optional
    blank : Pattern or what stands for one, optional
        Empty-holder scan.

    Returns
    -------
    Identification
        The fit, every phase with its decision and detection limit, and the peaks that none explains.
    """
    from xrdcomp.search.search import fit_and_search

    measured = as_pattern(pattern)
    whole = recipe if isinstance(recipe, Recipe) else None
    holder = None if blank is None else as_pattern(blank, "blank")
    optics = as_instrument(whole if instrument is None else instrument, pattern=measured)
    settings = part_of(whole if fit is None else fit, FitRecipe, "fit")
    return fit_and_search(measured, (), optics, settings, part_of(recipe, IdentificationRecipe), blank=holder)


@single_threaded
def analyze_tga(
    run: RunLike, recipe: ThermalRecipe | Recipe | PathLike | None = None, *, blank: RunLike | None = None
) -> TgaResult:
    """Mass balance of a thermogravimetric run, with what the checks say of it.

    Parameters
    ----------
    run : TgaRun or what stands for one
    recipe : ThermalRecipe, Recipe or its file, optional
    blank : TgaRun or what stands for one, optional
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
    from xrdcomp.checks.registry import Analysis, run_checks
    from xrdcomp.thermal.balance import mass_balance

    empty = None if blank is None else as_run(blank, "blank", empty_pan=True)
    result = mass_balance(as_run(run), part_of(recipe, ThermalRecipe), blank=empty)
    return replace(result, messages=result.messages + run_checks(Analysis(tga=result), ["tga"]))


@single_threaded
def compose(
    *results: FitResult | TgaResult | Identification | Sequence[PhaseResult] | CompositionRecipe | Recipe | None,
    recipe: CompositionRecipe | Recipe | PathLike | None = None,
    internal_standard: InternalStandard | tuple[str, float] | None = None,
    known_scale: tuple[float, float] | None = None,
) -> Composition:
    """Mass fractions of crystalline hydroxyapatite, organic, water, carbonate, amorphous mineral and the rest.

    Parameters
    ----------
    *results : FitResult, TgaResult, Identification, phases
        In any order, recognised by their type: ``compose(fit, thermal)``, ``compose(identify(pattern), thermal)``.
        Decisions on phases (of an Identification, or a sequence of PhaseResult) keep what was not detected out.
    recipe : CompositionRecipe, Recipe or its file, optional
    internal_standard : (phase id, fraction of the spiked mass) or InternalStandard, optional
        Fractions are then reported for the original specimen, without the standard.
    known_scale : (amount per mass, relative std), optional
        Scale of the fit's amounts from an external standard measured under the same conditions.

    Returns
    -------
    Composition
        Mass fractions, 0 to 1, on the basis that the recipe names.

    Raises
    ------
    AnalysisError
        Nothing to compose, or the recipe asks for evidence that is missing.
    ArgumentError
        An argument that is no result.
    """
    from xrdcomp.checks.registry import Analysis, run_checks
    from xrdcomp.composition.compose import compose as engine
    from xrdcomp.search.search import Identification

    fit: FitResult | None = None
    tga: TgaResult | None = None
    phases: tuple[PhaseResult, ...] = ()
    unidentified, metal_share = None, 0.0
    for number, item in enumerate(results, start=1):
        if isinstance(item, Identification):
            fit, phases = item.fit, tuple(item.phases)
            unidentified, metal_share = item.unidentified_mass, item.metal_share
        elif isinstance(item, FitResult):
            fit = item
        elif isinstance(item, TgaResult):
            tga = item
        elif isinstance(item, CompositionRecipe | Recipe):
            recipe = item
        elif isinstance(item, Sequence) and all(isinstance(phase, PhaseResult) for phase in item):
            phases = tuple(item)
        elif item is not None:
            expected = "a FitResult, a TgaResult, an Identification, or phases of one"
            raise ArgumentError(f"argument {number} of compose", item, expected)
    settings = part_of(recipe, CompositionRecipe)
    kind = "auto" if isinstance(recipe, CompositionRecipe) else part_of(recipe, SpecimenRecipe).kind
    found = engine(
        fit, phases, tga, settings,
        kind=kind, internal_standard=internal_standard, known_scale=known_scale,
        unidentified=unidentified, metal_share=metal_share,
    )  # fmt: skip
    whole = Analysis(recipe=Recipe(composition=settings), xrd=fit, phases=phases, tga=tga, composition=found)
    return replace(found, messages=found.messages + run_checks(whole, ["composition"]))


@single_threaded
def evaluate_claims(
    composition: Composition,
    phases: Sequence[PhaseResult] | Identification,
    recipe: CompositionRecipe | Recipe | PathLike | None = None,
    *,
    internal_standard: str = "",
    unexplained: int = 0,
) -> tuple[Claim, ...]:
    """Evaluate the four published findings on one specimen.

    Parameters
    ----------
    composition : Composition
        Probabilities are shares of its posterior draws, on its basis.
    phases : sequence of PhaseResult, or Identification
        Decisions and detection limits of the search; they decide presence and absence. Limits are of the
        specimen: those of a spiked powder must be divided by 1 - its fraction of the standard first.
    recipe : CompositionRecipe, Recipe or its file, optional
        Thresholds of the verdicts and of the claims.
    internal_standard : str
        Phase id of a spike, which is not a phase of the specimen.
    unexplained : int
        Peaks that belong to no phase: of another one, or of the holder.

    Returns
    -------
    tuple of Claim
        Four. Where the measurements do not decide (an instrument missing), the probability is None and the verdict
        inconclusive.
    """
    from xrdcomp.composition.claims import evaluate_claims as evaluate
    from xrdcomp.search.search import Identification

    if not isinstance(composition, Composition):
        raise ArgumentError("composition", composition, "a Composition, as compose() gives it")
    if isinstance(phases, Identification):
        unexplained = unexplained or len(phases.unexplained)
        phases = phases.phases
    settings = part_of(recipe, CompositionRecipe)
    return evaluate(composition, phases, settings, internal_standard=internal_standard, unexplained=unexplained)
