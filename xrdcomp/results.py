"""Records that travel out: estimates with uncertainty, fits, steps, compositions, claims. Frozen and keyword-only.

``SampleResult.to_dict`` gives the contract of ``xrdcomp/result.schema.json``.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
import numpy as np

from xrdcomp.data import (
    Atmosphere,
    Diagnostic,
    GasChange,
    PhaseFacts,
    Record,
    Source,
    drawn,
    one_screen,
    presenter,
    screen,
)
from xrdcomp.errors import ArgumentError, printable
from xrdcomp.units import BoolArray, FloatArray, molar_mass

if TYPE_CHECKING:
    import os

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from uncertainties import UFloat

SCHEMA_VERSION = "1.1"
COMPONENTS = ("crystalline_hydroxyapatite", "organic", "water", "carbonate", "amorphous_mineral", "other_crystalline")
UNIDENTIFIED = "unidentified_crystalline"
"""Component of crystals outside the library; a composition has it, last, where reflections that no phase explains ask
for it."""
Verdict = Literal["supported", "refuted", "inconclusive"]
Decision = Literal["detected", "not_detected", "inconclusive"]
ControlState = Literal["baseline", "in_control", "attention", "drifting", "out_of_control"]
Quality = Literal["describes", "doubtful", "useless"]
"""What a fit is worth as evidence; thresholds are in `refinement.result`."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Estimate:
    """A value with its standard uncertainty (one sigma) and its 95 % interval.

    Attributes
    ----------
    value : float
        In `unit`.
    std : float or None
        Standard uncertainty; None only for a parameter that was held fixed.
    ci95 : (float, float) or None
        Ends of the 95 % interval, which need not be symmetric.
    unit : str
        "" for fractions and whatever else has none.
    """

    value: float
    std: float | None = None
    ci95: tuple[float, float] | None = None
    unit: str = ""

    @classmethod
    def normal(
        cls,
        value: float,
        std: float,
        *,
        unit: str = "",
        low: float = -math.inf,
        high: float = math.inf,
        coverage_factor: float = 1.96,
    ) -> Estimate:
        """Estimate with the interval of a normal error, ``value ± coverage_factor · std``.

        Parameters
        ----------
        value, std : float
            In `unit`.
        unit : str
        low, high : float
            Bounds of what is possible (0 and 1 for a fraction); the interval is cut there, but always holds `value`.
        coverage_factor : float
            1.96 for a normal error at 95 %; Student's t where few degrees of freedom stand behind `std`.
        """
        half = coverage_factor * std
        interval = (min(max(value - half, low), value), max(min(value + half, high), value))
        return cls(value=value, std=std, ci95=interval, unit=unit)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's ``quantity``."""
        out: dict[str, Any] = {"value": float(self.value), "std": None if self.std is None else float(self.std)}
        if self.ci95 is not None:
            out["ci95"] = [float(self.ci95[0]), float(self.ci95[1])]
        if self.unit:
            out["unit"] = self.unit
        return out

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval; of a normal one where none is stated."""
        return self.ci95[0] if self.ci95 is not None else self.value - 1.96 * (self.std or 0.0)

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval; of a normal one where none is stated."""
        return self.ci95[1] if self.ci95 is not None else self.value + 1.96 * (self.std or 0.0)

    def reaching(self, low: float, high: float) -> Estimate:
        """Return this estimate with an interval that reaches `low` and `high` at least."""
        return replace(self, ci95=(min(self.low, low), max(self.high, high)))

    @property
    def nominal_value(self) -> float:
        """The value, by the name it has in the package ``uncertainties``."""
        return self.value

    @property
    def std_dev(self) -> float:
        """Standard uncertainty as in the package ``uncertainties``: 0 for a value that was held fixed."""
        return self.std or 0.0

    @property
    def ufloat(self) -> UFloat:
        """Value and standard uncertainty for calculations with the package ``uncertainties``, independent of others."""
        from uncertainties import ufloat

        return ufloat(self.value, self.std_dev)

    def __format__(self, spec: str) -> str:
        """Format as ``uncertainties`` does, value and uncertainty to one place: ``{e:.1f}``, ``{e:.2%}``, ``{e:S}``."""
        if not spec:
            return str(self)
        return self._rounded(spec)

    def _rounded(self, spec: str = "") -> str:
        if not self.std or not math.isfinite(self.std):  # nothing to round to
            open_end = f" ± {self.std}" if self.std else ""
            return format(self.value, spec.rstrip("PSLu") or ".6g") + open_end
        text = format(self.ufloat, spec if spec[-1:] in tuple("PSL") else f"{spec}P")
        return text.replace("±", " ± ")

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.std is None:
            return f"{self.value:.6g}{unit} (fixed)"
        text = self._rounded()
        return f"({text}){unit}" if unit and "±" in text and not text.startswith("(") else f"{text}{unit}"

    def __repr__(self) -> str:
        interval = "" if self.ci95 is None else f", 95 %: {self.ci95[0]:.4g} to {self.ci95[1]:.4g}"
        return f"Estimate({self}{interval})"

    def _repr_html_(self) -> str:
        return f"<code>{self!r}</code>"


def row_of_estimate(
    estimate: Estimate | None, name: str = "value", *, scale: float = 1.0, unit: str = ""
) -> dict[str, float]:
    """Columns of an estimate in a table: value, standard uncertainty, ends of the interval; NaN where unknown."""
    unit = f" ({unit})" if unit else ""
    value, std = (math.nan, None) if estimate is None else (estimate.value, estimate.std)
    low, high = (estimate.ci95 if estimate is not None else None) or (math.nan, math.nan)
    numbers = {"": value, "std": math.nan if std is None else std, "ci95_low": low, "ci95_high": high}
    prefix = "" if name == "value" else f"{name}_"
    return {f"{f'{prefix}{part}' if part else name}{unit}": scale * number for part, number in numbers.items()}


def _table(rows: Iterable[Mapping[str, Any]], index: str) -> pd.DataFrame:
    import pandas as pd

    found = pd.DataFrame(list(rows))
    return found.set_index(index) if index in found else found


class _Tabulated(Record):
    """A record that prints as the command line shows it, and as HTML in a notebook.

    `shown` names what shows it in ``xrdcomp.present``: ``<shown>_table`` and ``<shown>_html``.
    """

    _shown: ClassVar[str]

    def __init_subclass__(cls, *, shown: str) -> None:
        cls._shown = shown

    def __str__(self) -> str:
        return str(getattr(presenter("tables"), f"{self._shown}_table")(self))

    def __repr__(self) -> str:
        return one_screen(str(self))

    def _repr_html_(self) -> str:
        return str(getattr(presenter("html"), f"{self._shown}_html")(self))


@lru_cache(maxsize=4096)
def parameter_name(kind: str, phase: str = "", axis: str = "") -> str:
    """Name of a refined parameter in tables and in lmfit, as ``hydroxyapatite_inverse_size_c``; see `ParameterId`."""
    return "_".join(part for part in (phase, "" if kind == "cell" else kind, axis) if part)


@dataclass(frozen=True, kw_only=True)
class ParameterId:
    """Identity of a refined parameter.

    Attributes
    ----------
    kind : str
        ``cell``, ``inverse_size``, ``size_mixing``, ``microstrain``, ``b_extra``, ``b`` (of one element),
        ``march_dollase`` or ``harmonic`` for a parameter of a phase; the name itself, as ``zero_shift``, for one of the
        instrument.
    phase : str
        Id of the phase; "" for the instrument.
    axis : str
        Edge or angle of a cell, axis of a size, element of a ``b``, number of a harmonic.
    """

    kind: str
    phase: str = ""
    axis: str = ""

    @property
    def name(self) -> str:
        """Name in tables and in lmfit."""
        return parameter_name(self.kind, self.phase, self.axis)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReflectionTable(Record):
    """Reflections of one phase in the fitted range, for ticks and labels.

    Attributes
    ----------
    hkl : (n, 3) array of int
    two_theta : (n,) array
        Degrees, at the strongest wavelength, shifts included.
    intensity : (n,) array
        Area relative to that of the strongest reflection (100).
    d_spacing : (n,) array or None
        Å, of the refined cell. This and what follows are None in earlier results.
    area : (n,) array or None
        In all emission lines together, intensity times degrees.
    height : (n,) array or None
        Of the calculated profile at its maximum, without what overlaps it.
    fwhm : (n,) array or None
        Degrees, of the pseudo-Voigt in the strongest line.
    """

    hkl: FloatArray
    two_theta: FloatArray
    intensity: FloatArray
    d_spacing: FloatArray | None = None
    area: FloatArray | None = None
    height: FloatArray | None = None
    fwhm: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class XrdAmounts(Record):
    """Amounts by diffraction: masses of every component on one common, unknown scale.

    Every coefficient is (mass in the beam) × (one instrument constant), so that ratios are mass ratios:
    w_i = amount_i / Σ amount over everything in the beam.

    Attributes
    ----------
    names : (n,) tuple of str
        Phase ids, and amorphous components (``protein``, ``lipid``, ``water``, ``amorphous_calcium_phosphate``).
        Components that are not among them were not looked for.
    amounts : (n,) array
        Signed least-squares values for phases; amorphous components are not negative.
    covariance : (n, n) array
        Of counting, the form of amorphous scattering, its scattering per gram, and the error of the background model.
    crystalline : (n,) tuple of bool
        Which of `names` are phases.
    counting_covariance : (n, n) array or None
        The part of `covariance` that comes from counting alone.
    blank_measured : bool
        Whether an empty-holder scan fixed the instrument background.
    misfit_covariance : (n, n) array or None
        What a fit that does not describe its pattern everywhere leaves open beyond `covariance`; None or zero where it
        does.
    area_covariance : (n, n) array or None
        The part of `covariance` that comes from the scattering per gram of the amorphous components.
    lattice_diffuse : (n,) array or None
        What the disorder of a gram of CO3 in the lattice of an apatite adds to the amounts. Nothing is taken off for
        it.
    flatter_halo : (n,) array or None
        What a gram of amorphous calcium phosphate adds if its halo is `physics.amorphous.FLATTER_PHOSPHATE`.
    facts : mapping of str to PhaseFacts
        Family, losses on heating and carbonate, by phase id.
    called_for : tuple of str
        Components that were not looked for although the pattern asks for them. What they leave open is part of
        `misfit_covariance`.
    holder_share : float
        Part of the amorphous scattering that may be that of a holder, whose maxima show.
    """

    names: tuple[str, ...]
    amounts: FloatArray
    covariance: FloatArray
    crystalline: tuple[bool, ...]
    counting_covariance: FloatArray | None = None
    blank_measured: bool = False
    misfit_covariance: FloatArray | None = None
    area_covariance: FloatArray | None = None
    lattice_diffuse: FloatArray | None = None
    flatter_halo: FloatArray | None = None
    facts: Mapping[str, PhaseFacts] = field(default_factory=dict)
    called_for: tuple[str, ...] = ()
    holder_share: float = 0.0

    @property
    def sought(self) -> tuple[str, ...]:
        """Amorphous components that the fit looked for."""
        return tuple(name for name, crystal in zip(self.names, self.crystalline, strict=True) if not crystal)


@dataclass(frozen=True, kw_only=True)
class DetectionRule:
    """The rule by which a search decides, and what its limits mean [Currie 1968 Anal. Chem. 40, 586; ISO 11843].

    ``xrdcomp.search.detection`` makes it from the settings.

    Attributes
    ----------
    false_alarm_rate : float
        Probability of one or more false phases in the whole search.
    detection_probability : float
        Probability with which a phase at its detection limit is found.
    threshold : float
        The z that `false_alarm_rate` leads to.
    quantile : float
        Normal quantile of `detection_probability`.
    """

    false_alarm_rate: float
    detection_probability: float
    threshold: float
    quantile: float

    @property
    def limit_in_sigmas(self) -> float:
        """A detection limit over the standard uncertainty of a small amount: the threshold and the quantile."""
        return self.threshold + self.quantile


UNLIKELY_MEMBER = 0.05
"""Probability of being the main apatite, below which a member of the family is not one of those in question."""


@dataclass(frozen=True, kw_only=True)
class MemberComparison:
    """A member of the apatite family among all members that the apatite of the pattern may be.

    Attributes
    ----------
    cell_difference : float
        The larger relative difference of a or c from the cell found.
    fits_better : bool
        Whether it is likelier than the fitted one.
    excluded_as_main : bool
        Whether it is ruled out as the main apatite.
    probability : float or None
        Probability of being the main apatite, given that there is one, by the likelihood of cell and intensities with
        even prior odds of the end members. What the family lacks to 1, the fitted member included, is the probability
        of an apatite of other elements.
    """

    cell_difference: float
    fits_better: bool
    excluded_as_main: bool
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class UnexplainedPeak:
    """A peak in the residual.

    Attributes
    ----------
    two_theta, d_spacing : float
        Degrees and Å.
    z : float
        Significance.
    height, area : float
        Intensity, and intensity times degrees.
    candidates : tuple of str
        Phases with strong reflections near it.
    """

    two_theta: float
    d_spacing: float
    z: float
    height: float
    area: float = 0.0
    candidates: tuple[str, ...] = ()

    def __str__(self) -> str:
        near = f", near {', '.join(self.candidates)}" if self.candidates else ""
        return f"{self.two_theta:.2f}° (d = {self.d_spacing:.3f} Å, z = {self.z:.1f}{near})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "candidates": list(self.candidates)}


@dataclass(frozen=True, kw_only=True)
class UnidentifiedCrystals:
    """Crystals that the library does not hold, by the reflections that no phase of the fit explains.

    Attributes
    ----------
    mass : float
        On the scale of `XrdAmounts.amounts`: the area of those reflections over the median Bragg area per gram of the
        library's phases in the same range.
    std : float
        Standard uncertainty from counting and residual. The scattering per gram of an unknown crystal (a factor of
        about 3) is not in it.
    z : float
        Significance of the sum.
    share : float
        The part of all Bragg area that these reflections have, 0 to 1.
    peaks : tuple of UnexplainedPeak
    """

    mass: float
    std: float
    z: float
    share: float
    peaks: tuple[UnexplainedPeak, ...]


EVIDENCE_KEYS = {
    "z": "z",
    "lines_expected": "reflections_expected",
    "lines_seen": "reflections_seen",
    "template_size_nm": "template_size_nm",
    "fitted": "fitted",
    "reason": "reason",
    "limit_basis": "limit_basis",
    "alternatives": "alternatives",
    "tested": "tested",
    "most": "most",
}
"""Evidence on a phase: key of the JSON, field of `DetectionEvidence`."""


@dataclass(frozen=True, kw_only=True, repr=False)
class DetectionEvidence(Record):
    """Grounds of a decision on one phase; None or empty where something was not asked.

    Attributes
    ----------
    z : float or None
        Amount over its standard uncertainty, held against ``rule.threshold``.
    rule : DetectionRule or None
    fitted : bool or None
        Whether the phase is part of the fit.
    reflections_expected, reflections_seen : int or None
        Of the six strongest, those that should show at this amount, and those that do.
    template_size_nm : float or None
        Crystallite size that scored best.
    reason : str
        Why the phase is neither shown nor excluded.
    limit_basis : str
        What a limit of less than full worth rests on.
    alternatives : tuple of str
        Phases that fitted the same reflections about as well.
    tested : bool
        False where the pattern could show the phase at no amount: nothing then speaks for it or against it.
    most : float or None
        Largest mass fraction that the intensities beside unknown reflections leave room for, and the detection limit at
        most.
    member : MemberComparison or None
        Of an apatite.
    """

    z: float | None = None
    rule: DetectionRule | None = None
    fitted: bool | None = None
    reflections_expected: int | None = None
    reflections_seen: int | None = None
    template_size_nm: float | None = None
    reason: str = ""
    limit_basis: str = ""
    alternatives: tuple[str, ...] = ()
    tested: bool = True
    most: float | None = None
    member: MemberComparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values."""
        out: dict[str, Any] = {key: getattr(self, name) for key, name in EVIDENCE_KEYS.items()}
        if self.rule is not None and self.z is not None:
            out["threshold"] = self.rule.threshold
        if self.member is not None:
            out |= asdict(self.member)
        if self.tested:
            del out["tested"]
        return {key: value for key, value in plain(out).items() if value not in (None, "", [])}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PhaseResult(Record):
    """One crystalline phase that was asked after, found or not.

    Attributes
    ----------
    id, name, formula : str
        As in the catalogue.
    decision : {"detected", "not_detected", "inconclusive"}
    detection_limit : float or None
        Mass fraction that would have been found; None where none can be stated.
    weight_fraction : Estimate or None
        Of the whole specimen.
    crystalline_weight_fraction : Estimate or None
        Of the crystalline part.
    cell : mapping of str to Estimate
        Edges in Å, angles in degrees.
    crystallite_size_nm : mapping of str to Estimate
        Along and across the axis.
    microstrain : Estimate or None
        Δd/d.
    intensity_share : float
        Share of the calculated Bragg intensity in the fitted range, 0 to 1.
    facts : PhaseFacts
        Family, losses on heating, carbonate.
    evidence : DetectionEvidence
        What the decision rests on.
    internal_standard : bool
        Marks the spike.
    pattern_weight_fraction : Estimate or None
        Fraction from the pattern alone, where another replaces it.
    apatite_indices : mapping
        Those of ``quantification.microstructure``.
    """

    id: str
    name: str
    formula: str
    decision: Decision
    detection_limit: float | None
    weight_fraction: Estimate | None = None
    crystalline_weight_fraction: Estimate | None = None
    cell: Mapping[str, Estimate] = field(default_factory=dict)
    crystallite_size_nm: Mapping[str, Estimate] = field(default_factory=dict)
    microstrain: Estimate | None = None
    intensity_share: float = 0.0
    facts: PhaseFacts = field(default_factory=PhaseFacts)
    evidence: DetectionEvidence = DetectionEvidence()
    internal_standard: bool = False
    pattern_weight_fraction: Estimate | None = None
    apatite_indices: Mapping[str, Any] = field(default_factory=dict)

    def _headline(self) -> str:
        return f"PhaseResult {self.id}: {self.decision.replace('_', ' ')}"

    @property
    def is_apatite(self) -> bool:
        """Membership of the apatite family, of the library or recognised by its atoms."""
        return self.facts.is_apatite

    @property
    def undecided(self) -> bool:
        """True where something speaks for the phase and not enough; False also where the pattern cannot show it."""
        return self.decision == "inconclusive" and self.evidence.tested

    @property
    def unseen(self) -> bool:
        """True where nothing speaks for the phase: not detected, or the pattern cannot show it."""
        return self.decision == "not_detected" or not self.evidence.tested

    @property
    def limit_sigma(self) -> float | None:
        """Standard uncertainty of a small mass fraction that the detection limit implies; None where either is open."""
        rule = self.evidence.rule
        if rule is None or not self.detection_limit:
            return None
        return self.detection_limit / rule.limit_in_sigmas

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of the contract's ``phases``."""
        evidence = self.evidence.to_dict()
        if self.facts.own:
            evidence |= {"apatite": self.facts.end_member} if self.is_apatite else {}
            evidence["carbonate_fraction"] = self.facts.carbonate_fraction
        if self.internal_standard:
            evidence["internal_standard"] = True
        if self.pattern_weight_fraction is not None:
            evidence["weight_fraction_from_pattern_alone"] = self.pattern_weight_fraction.to_dict()
        out = named(
            self, "id", "name", "formula", "decision", "detection_limit", "weight_fraction",
            "crystalline_weight_fraction", "cell", "crystallite_size_nm", "microstrain", "intensity_share",
        ) | {"evidence": {**evidence, **self.apatite_indices}}  # fmt: skip
        return out | ({"facts": facts} if (facts := self.facts.to_dict()) else {})


class PhaseList(tuple[PhaseResult, ...]):
    """Phases of a result: a tuple that also takes ids, ``phases["calcite"]``."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        """Phase by its id or number; a slice gives a list of the same kind."""
        if isinstance(key, str):
            found = next((phase for phase in self if phase.id == key), None)
            if found is None:
                raise KeyError(_unknown(key, "phase of this result", self.keys()))
            return found
        found = super().__getitem__(key)
        return PhaseList(found) if isinstance(key, slice) else found

    def keys(self) -> tuple[str, ...]:
        """Ids in the order of the list."""
        return tuple(phase.id for phase in self)

    def __contains__(self, item: object) -> bool:
        return item in self.keys() if isinstance(item, str) else super().__contains__(item)

    @property
    def detected(self) -> PhaseList:
        """Those that were found."""
        return PhaseList(phase for phase in self if phase.decision == "detected")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `to_dataframe`."""
        axes = [axis for axis in ("a", "b", "c") if any(axis in phase.cell for phase in self)]
        sizes = list(dict.fromkeys(name for phase in self for name in phase.crystallite_size_nm))
        rows = []
        for phase in self:
            row: dict[str, Any] = {"id": phase.id, "name": phase.name, "decision": phase.decision}
            for name in ("weight_fraction", "crystalline_weight_fraction"):
                row |= row_of_estimate(getattr(phase, name), name, scale=100.0, unit="wt%")
            limit = phase.detection_limit
            row["detection_limit (wt%)"] = math.nan if limit is None else 100.0 * limit
            for axis in axes:
                row |= dict(list(row_of_estimate(phase.cell.get(axis), axis, unit="Å").items())[:2])
            for size in sizes:
                estimate = phase.crystallite_size_nm.get(size)
                row |= dict(list(row_of_estimate(estimate, f"crystallite_size_{size}", unit="nm").items())[:2])
            rows.append(row | {"intensity_share": phase.intensity_share, "z": phase.evidence.z})
        return rows

    def to_dataframe(self) -> pd.DataFrame:
        """Phases as a table by id: decision, fractions and detection limit in wt%, cell in Å, sizes in nm, z."""
        return _table(self.rows(), "id")

    def __repr__(self) -> str:
        return one_screen(presenter("tables").phase_table(self, ids=True)) if self else "PhaseList()"

    def _repr_html_(self) -> str:
        return str(presenter("html").phases_html(self))


def apatite_limit(phases: Iterable[PhaseResult]) -> float | None:
    """Detection limit of apatite of any kind: the largest of its members; None where none is stated.

    A limit of 1 says that a member cannot be told from the others, not that it may be all there is.
    """
    limits = (phase.detection_limit for phase in phases if phase.is_apatite)
    return max((limit for limit in limits if limit is not None and limit < 1.0), default=None)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FitResult(Record):
    """A whole-pattern fit: curves on the fitted points, parameters, amounts.

    ``calculated = background + Σ amorphous + Σ phases``, and `unidentified` where there is such a curve. All curves
    have the pattern's intensity unit.

    Attributes
    ----------
    two_theta : (n,) array
        Degrees, the fitted points.
    observed, sigma : (n,) array
        What was fitted, and its standard deviation.
    calculated : (n,) array
    background : (n,) array
        Of instrument and air only.
    amorphous : mapping of str to (n,) array
        One curve for each amorphous component.
    phases : mapping of str to (n,) array
        One curve for each crystalline phase, its Bragg and its own diffuse scattering.
    reflections : mapping of str to ReflectionTable
        By phase, for ticks.
    parameters : mapping of str to Estimate
    covariance_names : (p,) tuple of str
    covariance : (p, p) array
        Of the refined parameters in the order of `covariance_names`.
    amounts : XrdAmounts
    wavelengths : tuple of float
        Å, strongest first.
    n_parameters, n_iterations : int
    converged : bool
    crystallinity : Estimate or None
        Bragg area over all scattering, 0 to 1.
    bragg_area : mapping of str to float
        By phase, for ``quantification.methods``.
    bragg_area_lost : mapping of str to float
        Share of it that backgrounds take (`refinement.result`).
    unidentified : (n,) array or None
        Curve of reflections that no phase explains; None where there are none. Where they are strong it is what was
        measured: those points tell nothing of the rest of the pattern and count for no misfit. Beside and beneath
        reflections of phases that they outweigh it is fitted.
    quality : {"describes", "doubtful", "useless"}
        Whether the fit describes the pattern. No number of a useless one may be used.
    quality_reason : str
    messages : tuple of Diagnostic
    """

    two_theta: FloatArray
    observed: FloatArray
    sigma: FloatArray
    calculated: FloatArray
    background: FloatArray
    amorphous: Mapping[str, FloatArray]
    phases: Mapping[str, FloatArray]
    reflections: Mapping[str, ReflectionTable]
    parameters: Mapping[str, Estimate]
    covariance_names: tuple[str, ...]
    covariance: FloatArray
    amounts: XrdAmounts
    wavelengths: tuple[float, ...]
    n_parameters: int
    n_iterations: int
    converged: bool
    crystallinity: Estimate | None = None
    bragg_area: Mapping[str, float] = field(default_factory=dict)
    bragg_area_lost: Mapping[str, float] = field(default_factory=dict)
    unidentified: FloatArray | None = None
    quality: Quality = "describes"
    quality_reason: str = ""
    messages: tuple[Diagnostic, ...] = ()

    def parameter(self, kind: str, phase: str = "", axis: str = "") -> Estimate | None:
        """Estimate of a parameter by what it is (see `ParameterId`); None where the fit has none of this kind."""
        return self.parameters.get(parameter_name(kind, phase, axis))

    @property
    def rwp(self) -> float:
        """Weighted profile R factor, sqrt(Σ w (yo−yc)² / Σ w yo²), background not subtracted."""
        w, residual = 1.0 / self.sigma**2, self.observed - self.calculated
        return float(np.sqrt((w * residual**2).sum() / (w * self.observed**2).sum()))

    @property
    def _left_out(self) -> BoolArray:
        """Points where all that is left is taken for unknown crystals, (n,)."""
        if self.unidentified is None:
            return np.zeros(len(self.observed), dtype=bool)
        nothing_left = np.abs(self.observed - self.calculated) <= 1e-9 * np.abs(self.observed)
        return np.asarray(nothing_left & (self.unidentified != 0.0))

    @property
    def rexp(self) -> float:
        """Expected R factor, sqrt((n − p) / Σ w yo²)."""
        free = max(len(self.observed) - int(self._left_out.sum()) - self.n_parameters, 1)
        return float(np.sqrt(free / (1.0 / self.sigma**2 * self.observed**2).sum()))

    @property
    def gof(self) -> float:
        """Goodness of fit rwp / rexp (the square root of reduced χ²)."""
        return self.rwp / self.rexp

    @property
    def correlations(self) -> FloatArray:
        """Correlation coefficients of the refined parameters in the order of `covariance_names`; 0 for a held one."""
        scale = np.sqrt(self.covariance.diagonal())
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.nan_to_num(self.covariance / np.outer(scale, scale)))

    @property
    def gof_of_phases(self) -> float:
        """Goodness of fit of the phases alone: reflections that no phase explains count as misfit.

        Not what lies beside or beneath those of the phases.
        """
        if self.unidentified is None:
            return self.gof
        missing = np.where(self._left_out, self.unidentified, 0.0)
        return replace(self, calculated=self.calculated - missing, unidentified=None).gof

    def to_dataframe(self, table: Literal["parameters", "curves", "reflections"] = "parameters") -> pd.DataFrame:
        """Parameters with their units, curves over the fitted points, or reflections, as a table."""
        import pandas as pd

        if table == "curves":
            parts = {f"amorphous {name}": curve for name, curve in self.amorphous.items()}
            parts |= {f"phase {name}": curve for name, curve in self.phases.items()}
            parts |= {} if self.unidentified is None else {"unidentified": self.unidentified}
            whole = {name: getattr(self, name) for name in ("observed", "sigma", "calculated", "background")}
            return pd.DataFrame({"two_theta (deg)": self.two_theta, **whole, **parts})
        if table == "reflections":
            found = []
            for name, item in self.reflections.items():
                columns = {"phase": name, **dict(zip("hkl", item.hkl.T.astype(int), strict=True))}
                columns |= {"two_theta (deg)": item.two_theta, "intensity (%)": item.intensity}
                measures = {"d (Å)": item.d_spacing, "area": item.area, "height": item.height, "fwhm (deg)": item.fwhm}
                columns |= {name: values for name, values in measures.items() if values is not None}
                found.append(pd.DataFrame(columns))
            return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
        if table != "parameters":
            raise ArgumentError("table", table, "'parameters', 'curves' or 'reflections'")
        return _table(self.rows(), "name")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table of parameters."""
        return [{"name": name, **row_of_estimate(value), "unit": value.unit} for name, value in self.parameters.items()]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw observed, calculated, background, difference and reflections on `ax`, or on new axes; return them."""
        return drawn("draw_fit_on", self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's ``xrd`` object."""
        told = ("rwp", "rexp", "gof", "n_parameters", "n_iterations", "converged", "quality", "quality_reason")
        return named(self, *told) | {
            "n_points": len(self.observed),
            "two_theta_min": float(self.two_theta[0]),
            "two_theta_max": float(self.two_theta[-1]),
            **named(self, "wavelengths", "crystallinity", "parameters"),
        }

    def __repr__(self) -> str:
        rows = {name: str(value) for name, value in list(self.parameters.items())[:16]}
        if left := len(self.parameters) - len(rows):
            rows["…"] = f"and {left} more parameters: to_dataframe()"
        shares = ", ".join(self.phases) or "no phase"
        return screen(
            f"FitResult: {shares}; Rwp {100 * self.rwp:.2f} %, GoF {self.gof:.2f} over {self.two_theta[0]:.2f} to "
            f"{self.two_theta[-1]:.2f}° 2θ, {len(self.observed)} points, {self.n_parameters} parameters"
            + ("" if self.converged else ", not converged"),
            rows,
        )


STEP_PLACES = ("start", "end", "peak", "onset", "endset")
"""Temperatures of a step, by the name before their unit."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TgaStep(Record):
    """One mass-loss step.

    Attributes
    ----------
    name : str
        The substance, or ``step_1`` …
    start_c, end_c : float
        °C, where the step begins and ends.
    mass_loss : Estimate
        Fraction of the initial mass.
    peak_c : float or None
        °C, where the loss is quickest; None where no peak shows.
    onset_c, endset_c : float or None
        °C, where the tangents of the step meet; None where no peak shows.
    parts : tuple of TgaStep
        Peaks that the step is made of, where the DTG shows more than one.
    """

    name: str
    start_c: float
    end_c: float
    mass_loss: Estimate
    peak_c: float | None = None
    onset_c: float | None = None
    endset_c: float | None = None
    parts: tuple[TgaStep, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of the contract's ``tga.steps``."""
        places = {f"{place}_C": getattr(self, f"{place}_c") for place in STEP_PLACES}
        out = {"name": self.name, **places, "mass_loss": self.mass_loss.to_dict()}
        return out | ({"parts": plain(self.parts)} if self.parts else {})


OXALATE_RATIO = molar_mass(C=1, O=1) / molar_mass(C=1, O=2)
"""CO over CO2 of calcium oxalate, 0.6365."""


@dataclass(frozen=True, kw_only=True)
class OxalateSteps:
    """Two steps whose losses stand as CO and CO2 of calcium oxalate; `ratio` is the first over the second."""

    monoxide: TgaStep
    dioxide: TgaStep

    @property
    def ratio(self) -> float:
        """Loss of the first over that of the second step; 0.6365 by stoichiometry."""
        return self.monoxide.mass_loss.value / self.dioxide.mass_loss.value


@dataclass(frozen=True, kw_only=True)
class OpenReading:
    """How much less or more there may be than thermogravimetry reads, mass fractions of the start.

    Attributes
    ----------
    organic_less : float
        Organic that may be water of a mineral, a salt or a carbonate.
    organic_more : float
        Char that counts as mineral.
    carbonate_more : float
        CO2 that counts as organic.
    water_less : float
        Water that may be crystal water, or CO2 of a hydrogencarbonate.
    """

    organic_less: float = 0.0
    organic_more: float = 0.0
    carbonate_more: float = 0.0
    water_less: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TgaResult(_Tabulated, shown="tga"):
    """A thermogravimetric mass balance.

    Attributes
    ----------
    temperature_c : (n,) array
        °C, the heating part that was analysed.
    mass_fraction, dtg_per_min : (n,) array
        Smoothed mass over that of the start, and its rate of loss, 1/min.
    steps : tuple of TgaStep
    residue : Estimate
        Fraction of the initial mass. In an inert gas it still holds the char.
    atmosphere : str
        "unknown" where neither file nor user tells.
    initial_mass_mg, heating_rate_k_min : float or None
        None where unknown.
    balance_names : tuple of str
        ``("water", "organic", "carbonate", "residue")`` where the steps could be assigned, with carbonate as the CO2
        that left; empty otherwise.
    balance : (m,) array
        Fractions of the initial mass in the order of `balance_names`; they sum to 1.
    covariance : (m, m) array
        Of `balance`; singular, since that sums to 1.
    char_fraction : Estimate or None
        Share of the organic that stayed as char in an inert gas.
    boundary_c, boundary_mass : (b,) array
        Temperatures (°C) at which water, organic and carbonate end, as far as the run reaches them and also where the
        losses were not read so, and the mass fractions there, without char that burnt.
    salts_apart : bool
        Whether a salt evaporated after the carbonate and was kept out of it.
    oxalate_steps : OxalateSteps or None
        Two steps whose losses stand as calcium oxalate's.
    noise : float
        Standard deviation of the mass fraction at one point of the curve before smoothing.
    gas_changes : tuple of GasChange
        The later gases in order: from the file, from the user, or inferred where char burnt, which then counts as
        organic.
    started_c : float or None
        °C at the first reading.
    water_unknown : bool
        True where the run began dry or warm: what had left before is not known, and only the dry quantities are stated.
    nature : {"tissue", "not_tissue", "open"}
        Whether the losses are those of tissue.
    nature_reason : str
        Why they are not, or why the gas is doubted.
    doubted : tuple of str
        Which of organic and carbonate may as well be water of gels or silicates, unless diffraction found a mineral of
        tissue.
    open_reading : OpenReading
        How far the losses may be something else by thermogravimetry alone.
    quantities : mapping of str to Estimate
        The substances, mass fractions.
    budget : mapping of str to mapping of str to float
        Shares of the variance of each quantity by source.
    messages : tuple of Diagnostic
    """

    temperature_c: FloatArray
    mass_fraction: FloatArray
    dtg_per_min: FloatArray
    steps: tuple[TgaStep, ...]
    residue: Estimate
    atmosphere: Atmosphere
    initial_mass_mg: float | None
    heating_rate_k_min: float | None
    balance_names: tuple[str, ...] = ()
    balance: FloatArray = field(default_factory=lambda: np.empty(0))
    covariance: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    char_fraction: Estimate | None = None
    boundary_c: FloatArray = field(default_factory=lambda: np.empty(0))
    boundary_mass: FloatArray = field(default_factory=lambda: np.empty(0))
    salts_apart: bool = False
    oxalate_steps: OxalateSteps | None = None
    noise: float = 0.0
    gas_changes: tuple[GasChange, ...] = ()
    started_c: float | None = None
    water_unknown: bool = False
    nature: Literal["tissue", "not_tissue", "open"] = "open"
    nature_reason: str = ""
    doubted: tuple[str, ...] = ()
    open_reading: OpenReading = field(default_factory=OpenReading)
    quantities: Mapping[str, Estimate] = field(default_factory=dict)
    budget: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()

    def to_dataframe(self, table: Literal["steps", "quantities", "curves"] = "steps") -> pd.DataFrame:
        """Steps (°C, wt%), quantities of the mass balance, or curves (°C, fractions, 1/min) as a table."""
        import pandas as pd

        if table == "curves":
            columns = {"temperature (°C)": self.temperature_c, "mass (wt%)": 100.0 * self.mass_fraction}
            return pd.DataFrame(columns | {"mass_loss_rate (wt%/min)": 100.0 * self.dtg_per_min})
        return _table(self.rows(table), "name")

    def rows(self, table: Literal["steps", "quantities"] = "steps") -> list[dict[str, Any]]:
        """Return the rows of a table of `to_dataframe`."""
        if table == "quantities":
            return [
                {
                    "name": name,
                    **row_of_estimate(value, scale=1.0 if value.unit else 100.0),
                    "unit": value.unit or "wt%",
                }
                for name, value in self.quantities.items()
            ]
        if table != "steps":
            raise ArgumentError("table", table, "'steps', 'quantities' or 'curves'")
        return [
            {"name": step.name, **{f"{place} (°C)": getattr(step, f"{place}_c") for place in STEP_PLACES}}
            | row_of_estimate(step.mass_loss, "mass_loss", scale=100.0, unit="wt%")
            for step in self.steps
        ]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw mass, its loss rate on a second axis, and the steps on `ax`, or on new axes; return them."""
        return drawn("draw_tga_on", self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's ``tga`` object; a gas that its ``atmosphere`` does not know stands under ``gas``."""
        known = self.atmosphere != "helium"
        gas = {"atmosphere": self.atmosphere} if known else {"atmosphere": "unknown", "gas": self.atmosphere}
        balance = {"names": self.balance_names, "values": self.balance, "covariance": self.covariance}
        changes = (
            {"gas": c.gas, "from_min": c.from_min, "from_C": c.from_c, "source": c.source} for c in self.gas_changes
        )
        return gas | {
            "initial_mass_mg": self.initial_mass_mg,
            "gas_changes": list(changes),
            "heating_rate_K_per_min": self.heating_rate_k_min,
            **named(self, "steps", "residue", "quantities", "budget"),
            "balance": plain(balance),
        }


@dataclass(frozen=True, kw_only=True)
class MineralBalance:
    """Crystals by diffraction against mineral by thermogravimetry, mass fractions of the specimen.

    From `crystals_std` on the fields say what right pairs of measurements differ by; they are infinite where there is
    nothing to compare.

    Attributes
    ----------
    crystalline, with_amorphous : float
        By diffraction alone, without and with the amorphous mineral.
    mineral : float
        What heating leaves, and the carbonate.
    std : float
        Standard uncertainty of `crystalline` - `mineral`.
    char : float
        Mineral that the char of the organic would stand for.
    inert : bool
        Whether the gas was inert, so that `char` is taken off.
    crystals_std, amorphous_std : float
        Standard uncertainties of crystals and of amorphous mineral by diffraction.
    organic_difference, organic_std : float
        Organic matter by thermogravimetry minus that by diffraction.
    carbonate_difference, carbonate_std : float
        The same of carbonate, which diffraction takes from the apatite's cell and from carbonate minerals.
    """

    crystalline: float
    with_amorphous: float
    mineral: float
    std: float
    char: float
    inert: bool
    crystals_std: float = math.inf
    amorphous_std: float = math.inf
    organic_difference: float = 0.0
    organic_std: float = math.inf
    carbonate_difference: float = 0.0
    carbonate_std: float = math.inf

    @property
    def unseen_std(self) -> float:
        """Standard uncertainty of `with_amorphous` - mineral with what right pairs differ by."""
        return math.hypot(self.crystals_std, self.amorphous_std)

    @property
    def pair_probability(self) -> float:
        """Probability that one specimen's two measurements differ by this much in mineral, organic and carbonate.

        Mineral that is no crystal must be the amorphous mineral; crystals cannot be more than the mineral.
        """
        from scipy.special import chdtrc

        if math.isinf(self.crystals_std):
            return 1.0
        beside, amorphous = self.mineral - self.crystalline, self.with_amorphous - self.crystalline
        squares = (beside / self.crystals_std) ** 2 + (amorphous / self.amorphous_std) ** 2
        if beside > 0.0:
            squares = ((amorphous - beside) / self.unseen_std) ** 2
        others = ((self.organic_difference, self.organic_std), (self.carbonate_difference, self.carbonate_std))
        squares += sum((difference / std) ** 2 for difference, std in others)
        return float(chdtrc(1 + sum(math.isfinite(std) for _, std in others), squares))

    @property
    def z(self) -> float:
        """Crystals minus mineral in standard uncertainties."""
        return (self.crystalline - self.mineral) / self.std

    @property
    def too_many_crystals(self) -> bool:
        """More crystals than mineral, by more than one right pair in a hundred."""
        return self.z > 2.33

    @property
    def mineral_unseen(self) -> bool:
        """Crystals are less than the mineral by two, with amorphous mineral by 2.6 standard uncertainties."""
        return self.z < -2.0 and self.mineral - self.with_amorphous > 2.6 * max(self.unseen_std, self.std)

    @property
    def contradiction(self) -> float:
        """How far the two balances contradict each other, from 0 to 1 over one standard uncertainty."""
        unseen = (self.mineral - self.with_amorphous) / max(self.unseen_std, self.std)
        surplus, deficit = self.z - 1.33, min(-1.0 - self.z, unseen - 1.6)
        return min(max(surplus, deficit, 0.0), 1.0)

    @property
    def agrees_in_other_gas(self) -> bool:
        """Both would agree if the run had been in the other kind of gas, air or inert."""
        difference = self.crystalline - self.mineral
        otherwise = difference + (-self.char if self.inert else self.char)
        return abs(otherwise) <= min(self.std, abs(difference) / 2)


@dataclass(frozen=True, kw_only=True)
class AmorphousExcess:
    """Amorphous scattering near 30 degrees, read as amorphous mineral, against what the mineral balance allows.

    Attributes
    ----------
    seen, std : float
        Mass fraction by diffraction, and its standard uncertainty.
    allowed : float
        Upper end of the composition's interval.
    """

    seen: float
    std: float
    allowed: float


@dataclass(frozen=True, kw_only=True)
class ScaleDifference:
    """Relative error of crystalline intensities that would make both instruments agree.

    Attributes
    ----------
    bias, std : float
        By the evidence alone, with its standard uncertainty.
    expected_std : float
        Error that the method is taken to be good for.
    """

    bias: float
    std: float
    expected_std: float


@dataclass(frozen=True, kw_only=True)
class StandardShare:
    """Share of the internal standard in the spiked powder, as it was stated and as the pattern alone shows it.

    Attributes
    ----------
    stated, seen : float
        Mass fractions of the spiked powder; `seen` is that of everything crystalline and amorphous that the fit shows.
    relative_std : float
        Standard uncertainty of the logarithm of `seen`.
    """

    stated: float
    seen: float
    relative_std: float

    @property
    def z(self) -> float:
        """Logarithm of `seen` over `stated` in standard uncertainties."""
        return math.log(max(self.seen, 1e-9) / self.stated) / self.relative_std


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Agreement of the evidence of one specimen with one composition, and which assumptions decide.

    Attributes
    ----------
    xrd, tga : bool
        Which instruments count.
    weighs_crystals : bool
        Whether diffraction weighs crystals against the whole specimen.
    mineral_balance : MineralBalance or None
    amorphous_excess : AmorphousExcess or None
    scale : ScaleDifference or None
        Comparisons of the two instruments; None where there is nothing to compare.
    standard : StandardShare or None
        The internal standard as stated and as seen; None without one, or where amorphous matter is not seen.
    misfit_probability : float
        Probability of a larger χ² than was found.
    birge_ratio : float
        Factor by which the misfit widens the standard uncertainties of the amounts by diffraction (1: not at all).
    thermal_share : float
        Power, 0 to 1, to which `birge_ratio` widens those of thermogravimetry.
    impossible : bool
        True where the two instruments did not measure one specimen: nothing that joins them holds.
    char : Estimate or None
        Share of the organic taken to stay in an inert gas.
    salts : mapping of str to float
        Mass fractions of chlorides.
    salts_evaporate : bool
        Whether a part of them may have evaporated.
    no_amorphous_probability : float or None
        Probability of no amorphous mineral at all; None where it was not asked.
    no_amorphous_prior : float
        The same before measuring.
    prior_dominated : mapping of str to float
        Components whose variance rests mostly on assumptions, with that share.
    effective_size : float
        Number of independent draws behind the posterior.
    kind : {"tissue", "presumed", "unknown"}
        What the specimen is taken for: tissue; tissue by nothing but its mineral; or matter of unknown kind, whose
        amorphous part X-rays alone do not take apart.
    silicate_hydroxyl : float
        Mass that counts as CO2 of carbonate and may be hydroxyl of clay. The interval of the carbonate reaches down
        by it.
    """

    xrd: bool
    tga: bool
    weighs_crystals: bool
    mineral_balance: MineralBalance | None = None
    amorphous_excess: AmorphousExcess | None = None
    scale: ScaleDifference | None = None
    standard: StandardShare | None = None
    misfit_probability: float = 1.0
    birge_ratio: float = 1.0
    thermal_share: float = 0.0
    impossible: bool = False
    char: Estimate | None = None
    salts: Mapping[str, float] = field(default_factory=dict)
    salts_evaporate: bool = False
    no_amorphous_probability: float | None = None
    no_amorphous_prior: float = 0.0
    prior_dominated: Mapping[str, float] = field(default_factory=dict)
    effective_size: float = math.inf
    kind: Literal["tissue", "presumed", "unknown"] = "tissue"
    silicate_hydroxyl: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunScatter:
    """Scatter of a component between runs of one specimen beyond their own uncertainties.

    Attributes
    ----------
    between : float
        Its standard deviation, mass fraction.
    homogeneity : float
        Probability of at least this much scatter if there were none.
    """

    between: float
    homogeneity: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Composition(_Tabulated, shown="composition"):
    """Mass fractions of the specimen; None where these measurements cannot separate a component.

    Attributes
    ----------
    basis : {"as_received", "dry"}
        What the fractions, 0 to 1, refer to.
    method : str
        What they came from (``xrd+tga`` …).
    components : mapping of str to Estimate or None
        A key for each of ``COMPONENTS``, and for ``UNIDENTIFIED`` where reflections belong to no phase.
    identifiable_sums : mapping of str to Estimate
        Sums that can be told, also where their parts cannot.
    covariance_names : (p,) tuple of str
    covariance : (p, p) array
    draws : (k, 6) or (k, 7) array
        Posterior draws in the order of `components`, those included that are None: any probability can be formed from
        them.
    budget : mapping of str to mapping of str to float
        Share of the variance of each component that each input contributes.
    prior_share : mapping of str to float
        The part of each variance that rests on assumptions about compositions.
    other_basis : mapping of str to Estimate or None
        Components on the other basis.
    messages : tuple of Diagnostic
        Those that arose while composing.
    consistency : Consistency or None
        What the rules of `xrdcomp.checks.composition` judge; None where nothing was composed.
    runs : tuple of Composition
        The single compositions, where several were combined.
    scatter : mapping of str to RunScatter
        How each component scatters between them.
    """

    basis: Literal["as_received", "dry"]
    method: str
    components: Mapping[str, Estimate | None]
    identifiable_sums: Mapping[str, Estimate] = field(default_factory=dict)
    covariance_names: tuple[str, ...] = ()
    covariance: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    draws: FloatArray = field(default_factory=lambda: np.empty((0, len(COMPONENTS))))
    budget: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    prior_share: Mapping[str, float] = field(default_factory=dict)
    other_basis: Mapping[str, Estimate | None] = field(default_factory=dict)
    messages: tuple[Diagnostic, ...] = ()
    consistency: Consistency | None = None
    runs: tuple[Composition, ...] = ()
    scatter: Mapping[str, RunScatter] = field(default_factory=dict)

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Components that these measurements do not determine."""
        return tuple(name for name in self.components if self.components[name] is None)

    def __getitem__(self, name: str) -> Estimate | None:
        """Estimate of a component, or of a sum that can be told; None where it cannot be separated."""
        known = {**self.identifiable_sums, **self.components}
        if name not in known:
            raise KeyError(_unknown(str(name), "component", known))
        return known[name]

    def keys(self) -> tuple[str, ...]:
        """Names of the components."""
        return tuple(self.components)

    def __iter__(self) -> Iterator[str]:
        return iter(self.components)

    def to_dataframe(self) -> pd.DataFrame:
        """Components, and below them sums that can be told, with standard uncertainties and intervals in wt%."""
        return _table(self.rows(), "name")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `to_dataframe`."""
        kinds = {"component": self.components, "sum": self.identifiable_sums}
        return [
            {"name": name, "kind": kind, **row_of_estimate(estimate, scale=100.0, unit="wt%")}
            for kind, found in kinds.items()
            for name, estimate in found.items()
        ]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw bars with 95 % intervals on `ax`, or on new axes, and return them."""
        return drawn("draw_composition", self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's ``composition`` object."""
        matrix = {"names": self.covariance_names, "matrix": self.covariance}
        return named(self, "basis", "method", "components", "identifiable_sums") | {
            "covariance": plain(matrix),
            **named(self, "budget", "prior_share", "other_basis"),
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Claim(Record):
    """A published finding as a test on this specimen.

    Attributes
    ----------
    id : str
        The contract's.
    verdict : {"supported", "refuted", "inconclusive"}
    probability : float or None
        P(claim | data); None where these measurements give none.
    statement : str
        The evidence in words.
    """

    id: str
    verdict: Verdict
    probability: float | None
    statement: str

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of the contract's ``claims``."""
        return named(self, "id", "verdict", "probability", "statement")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SampleResult(_Tabulated, shown="result"):
    """Everything about one specimen; what `analyze` returns.

    Attributes
    ----------
    sample_id : str
        Name of the specimen.
    composition : Composition
    phases : PhaseList
    claims : tuple of Claim
    settings : mapping
        The whole recipe.
    software : mapping of str to str
        Versions.
    inputs : tuple of mapping
        The files, with what they say of themselves.
    sources : tuple of Source
        Where the files came from.
    xrd : FitResult or None
    tga : TgaResult or None
        What the answers rest on; None where not measured.
    messages : tuple of Diagnostic
        Every message, those of the parts included.
    metadata : mapping
        Further facts (the truth of a simulation …).
    """

    sample_id: str
    composition: Composition
    phases: PhaseList
    claims: tuple[Claim, ...]
    settings: Mapping[str, Any]
    software: Mapping[str, str]
    inputs: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[Source, ...] = ()
    xrd: FitResult | None = None
    tga: TgaResult | None = None
    messages: tuple[Diagnostic, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", PhaseList(self.phases))

    @property
    def status(self) -> Literal["ok", "warning", "failed"]:
        """The worst severity among the messages: ok, warning or failed."""
        severities = {d.severity for d in self.messages}
        if "error" in severities:
            return "failed"
        return "warning" if "warning" in severities else "ok"

    @property
    def verdict(self) -> str:
        """One sentence in plain words: what the specimen is, how sure that is, and the weakest point."""
        return str(presenter("tables").verdict(self))

    def to_dict(self, *, figures: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the contract's ``result.json`` as plain dictionaries."""
        out = {
            "schema_version": SCHEMA_VERSION,
            **named(self, "sample_id", "status", "verdict"),
            **named(self, "messages", "inputs", "software", "settings", "composition", "phases", "claims"),
            "figures": list(figures),
            "metadata": plain(self.metadata),
        }
        return out | {name: value for name, value in named(self, "xrd", "tga").items() if value is not None}

    def to_json(self, *, indent: int | None = 2, figures: tuple[str, ...] = ()) -> str:
        """Return ``result.json`` as text, naming `figures`; NaN and infinities are refused (ValueError)."""
        # without indents json is compiled, with them it is not
        text = json.dumps(self.to_dict(figures=figures), allow_nan=False, ensure_ascii=False)
        return text if indent is None else msgspec.json.format(text, indent=indent)

    def to_dataframe(self, table: str = "composition") -> pd.DataFrame:
        """Composition, or another of the tables that `tables` lists."""
        if table == "composition":
            return self.composition.to_dataframe()
        found = self.tables()
        if table not in found:
            raise ArgumentError("table", table, f"one of {', '.join(found)}")
        return found[table]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table of the result by name, as in ``tables/*.csv``; units in the heads and in ``attrs["units"]``."""
        found = presenter("exchange").tables_of(self)
        return {name: table.to_dataframe() for name, table in found.items()}

    def export(self, target: str | os.PathLike[str], *, tables: Sequence[str] = (), overwrite: bool = False) -> Path:
        """Write tables as ``.xlsx``, ``.csv``, ``.txt``, ``.parquet``, ``.tex``, or the fit as ``.cif``: `export`."""
        return Path(presenter("exchange").export(self, target, tables=tables, overwrite=overwrite))

    def plot(self) -> Figure:
        """Draw fit, thermogravimetry and composition in one figure."""
        figure: Figure = presenter("figures").plot_overview(self)
        return figure

    def write(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the result below ``folder/<sample_id>`` and return that path; `read_result` reads it back.

        What xrdcomp did not write there stays. The result of other measurements, or a file that was changed since, is
        replaced with `overwrite` only; without it, that is an error of the class ``OutputError``.
        """
        return Path(presenter("files").write_result(self, folder, overwrite=overwrite))

    def __repr__(self) -> str:
        return one_screen(presenter("tables").result_summary(self))


@dataclass(frozen=True, kw_only=True)
class SeriesView:
    """Means over bins of a series of patterns, fine enough to be drawn.

    Attributes
    ----------
    axes : tuple of (str, str, array)
        Name, unit and values of the bins along each dimension.
    quantities, stds : mapping of str to array
        Quantities and their standard uncertainties, (bins,) or, of a map, (rows, columns).
    units : mapping of str to str
    """

    axes: tuple[tuple[str, str, FloatArray], ...]
    quantities: Mapping[str, FloatArray]
    stds: Mapping[str, FloatArray]
    units: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ControlChart(Record):
    """One quantity of a check standard on one instrument over time, judged as `xrdcomp.instrument.control` says.

    Attributes
    ----------
    instrument, standard, quantity, unit : str
    times : (n,) array
        Seconds since 1970.
    values : (n,) array
        In `unit`.
    centre, spread : (n,) array
        Mean and standard deviation of the baseline that a run is held against.
    scores : (n,) array
        (value - centre) / spread; NaN where there is no baseline.
    cusum_high, cusum_low : (n,) array
        Sums after each run; NaN where there are none.
    baseline, counted : (n,) array of bool
        Runs that the baseline is made of, and runs that are not excluded.
    violations : mapping of str to tuple of int
        Numbers of the runs that break a rule, by rule.
    services : mapping of float to str
        What was done to the instrument, by time.
    baseline_runs : int
    state : {"baseline", "in_control", "attention", "drifting", "out_of_control"}
        After the last run.
    drift_per_month : float or None
        Pace of a drift, in standard deviations.
    drift_since : float or None
        Time at which it began.
    days_to_limit : float or None
        Time until the mean is off by three standard deviations.
    """

    instrument: str
    standard: str
    quantity: str
    unit: str = ""
    times: FloatArray
    values: FloatArray
    centre: FloatArray
    spread: FloatArray
    scores: FloatArray
    cusum_high: FloatArray
    cusum_low: FloatArray
    baseline: Any
    counted: Any
    violations: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    services: Mapping[float, str] = field(default_factory=dict)
    baseline_runs: int = 0
    state: ControlState = "baseline"
    drift_per_month: float | None = None
    drift_since: float | None = None
    days_to_limit: float | None = None

    @property
    def rules_now(self) -> tuple[str, ...]:
        """Rules that the last counted run breaks."""
        runs = np.flatnonzero(self.counted)
        return tuple(name for name, found in self.violations.items() if len(runs) and found[-1] == runs[-1])

    def to_dict(self) -> dict[str, Any]:
        """Return the state and the last run as plain values, without the curves."""
        facts = ("instrument", "standard", "quantity", "unit", "state", "drift_per_month", "days_to_limit")
        runs = np.flatnonzero(self.counted)
        told = named(self, *facts) | {"rules": list(self.rules_now), "runs": len(runs)}
        for name in ("values", "centre", "spread", "scores"):
            number = float(getattr(self, name)[runs[-1]]) if len(runs) else math.nan
            told[{"values": "value", "scores": "score"}.get(name, name)] = number if math.isfinite(number) else None
        return told

    def plot(self) -> Figure:
        """Draw the Levey-Jennings chart with the CUSUM below."""
        figure: Figure = presenter("control_chart").plot_control_chart(self)
        return figure


def plain(value: Any) -> Any:
    """Records as their `to_dict`, mappings, sequences, arrays and scalars of numpy as plain JSON types.

    Text is escaped as `printable` says: names and facts of files may hold anything.
    """
    if value is None or type(value) in (float, int, bool):  # most of what there is
        return value
    if isinstance(value, str):
        return printable(value)
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, Mapping):
        return {printable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def named(record: Any, *names: str) -> dict[str, Any]:
    """Fields and properties of a record that the contract calls by the same names, as plain values."""
    return {name: plain(getattr(record, name)) for name in names}


def _unknown(name: str, kind: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"{name}: no {kind}" + (f"; did you mean {close[0]}?" if close else "")
