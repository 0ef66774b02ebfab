"""Results from disk: what `write_result` wrote becomes a `SampleResult` again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from xrdcomp.data import Diagnostic, HeatingLosses, PhaseFacts, Source
from xrdcomp.errors import ReadError
from xrdcomp.present.write import FIT_CURVES, REFLECTION_COLUMNS, TGA_CURVES
from xrdcomp.results import (
    EVIDENCE_KEYS,
    STEP_PLACES,
    Claim,
    Composition,
    DetectionEvidence,
    DetectionRule,
    Estimate,
    FitResult,
    MemberComparison,
    PhaseList,
    PhaseResult,
    ReflectionTable,
    SampleResult,
    TgaResult,
    TgaStep,
    XrdAmounts,
)
from xrdcomp.units import FloatArray

MAJOR_VERSION = "1"
_MEMBER = ("cell_difference", "fits_better", "excluded_as_main")
Curves = Mapping[str, Any]
Kind = TypeVar("Kind")


def read_result(path: str | os.PathLike[str]) -> SampleResult:
    """Read a result that was written before.

    Parameters
    ----------
    path : path
        The folder of one specimen, or its ``result.json``, with ``curves.npz`` beside it.

    Returns
    -------
    SampleResult
        As it was written, curves included, so that its figures can be drawn again. What ``result.json`` does not hold
        (noise and boundaries of the thermogravimetric curve, and of earlier results the covariance of the fit and the
        facts about phases of the library) is empty.

    Raises
    ------
    ReadError
        No result, one of a later schema, or one without its curves.
    """
    file = Path(path)
    file = file / "result.json" if file.is_dir() else file
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        expected = "a folder that `write` left, or its result.json"
        raise ReadError(f"no result can be read ({reason})", file=str(file), expected=expected) from error
    version = str(data.get("schema_version", "")) if isinstance(data, dict) else ""
    if version.partition(".")[0] != MAJOR_VERSION:
        raise ReadError(
            f"schema_version is {version or 'missing'}", file=str(file), expected=f"{MAJOR_VERSION}.x",
            hint="A later xrdcomp wrote it: install that one." if version else "It is no result of xrdcomp.",
        )  # fmt: skip
    try:
        return _result(data, _read_curves(file, needed="xrd" in data or "tga" in data))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        told = f"a part of the result is missing or no such part: {error}"
        raise ReadError(told, file=str(file), expected="what `write` wrote") from error


def _read_curves(file: Path, *, needed: bool) -> dict[str, Any]:
    beside = file.with_name("curves.npz")
    try:
        with np.load(beside, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, BadZipFile) as error:
        if not needed and not beside.exists():
            return {}
        raise ReadError(
            "the curves of the result cannot be read", file=str(beside), expected="curves.npz beside result.json",
            hint="For the figures alone, json.load reads result.json.",
        ) from error  # fmt: skip


def _result(data: Mapping[str, Any], curves: Curves) -> SampleResult:
    settings = data["settings"].get("identification", {})
    phases = PhaseList(_phase(item, settings) for item in data["phases"])
    return SampleResult(
        **{name: data[name] for name in ("sample_id", "settings", "software")},
        composition=_composition(data["composition"], curves),
        phases=phases,
        claims=tuple(_picked(Claim, item) for item in data["claims"]),
        inputs=tuple(data["inputs"]),
        sources=tuple(_picked(Source, item) for item in data["inputs"] if "setting" not in item),
        xrd=_fit(data["xrd"], data.get("metadata", {}), phases, curves) if "xrd" in data else None,
        tga=_tga(data["tga"], curves) if "tga" in data else None,
        messages=tuple(_picked(Diagnostic, item) for item in data["messages"]),
        metadata=data.get("metadata", {}),
    )


def _picked(kind: type[Kind], item: Mapping[str, Any]) -> Kind:
    """Record of the keys that are its fields; a later version may have written more."""
    return kind(**{name: item[name] for name in kind.__dataclass_fields__ if name in item})  # type: ignore[attr-defined]


def _estimate(item: Mapping[str, Any]) -> Estimate:
    low, high = item.get("ci95") or (None, None)
    interval = None if low is None or high is None else (low, high)
    return Estimate(value=item["value"], std=item["std"], ci95=interval, unit=item.get("unit", ""))


def _optional(item: Mapping[str, Any] | None) -> Estimate | None:
    return None if item is None else _estimate(item)


def _estimates(items: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: _estimate(item) for name, item in items.items()}


def _matrix(rows: Any) -> FloatArray:
    return np.array(rows, dtype=float) if rows else np.empty((0, 0))


def _composition(item: Mapping[str, Any], curves: Curves) -> Composition:
    covariance = item.get("covariance", {})
    draws = {"draws": curves["composition_draws"]} if "composition_draws" in curves else {}
    return Composition(
        basis=item["basis"],
        method=item["method"],
        components={name: _optional(value) for name, value in item["components"].items()},
        identifiable_sums=_estimates(item.get("identifiable_sums", {})),
        covariance_names=tuple(covariance.get("names", ())),
        covariance=_matrix(covariance.get("matrix")),
        budget=item.get("budget", {}),
        prior_share=item.get("prior_share", {}),
        other_basis={name: _optional(value) for name, value in item.get("other_basis", {}).items()},
        **draws,
    )


def _phase(item: Mapping[str, Any], settings: Mapping[str, Any]) -> PhaseResult:
    told = dict(item.get("evidence", {}))
    known: dict[str, Any] = {name: told.pop(key) for key, name in EVIDENCE_KEYS.items() if key in told}
    known["alternatives"] = tuple(known.get("alternatives", ()))
    if (threshold := told.pop("threshold", None)) is not None:
        from scipy.special import ndtri

        probability = settings.get("detection_probability", 0.95)
        known["rule"] = DetectionRule(
            false_alarm_rate=settings.get("false_alarm_rate", 0.002),
            detection_probability=probability,
            threshold=threshold,
            quantile=float(ndtri(probability)),
        )
    if _MEMBER[0] in told:
        known["member"] = MemberComparison(**{name: told.pop(name) for name in _MEMBER})
    member, carbonate = told.pop("apatite", ""), told.pop("carbonate_fraction", None)
    if (stated := item.get("facts")) is not None:
        heating = _picked(HeatingLosses, stated.get("heating", {}))
        facts = replace(_picked(PhaseFacts, stated), heating=heating)
    elif carbonate is not None:  # earlier results state it of structures from outside the library alone
        family = "apatite" if member else ""
        facts = PhaseFacts(family=family, end_member=member, carbonate_fraction=carbonate, own=True)
    else:
        facts = PhaseFacts()
    return PhaseResult(
        id=item["id"],
        name=item["name"],
        formula=item.get("formula", ""),
        decision=item["decision"],
        detection_limit=item["detection_limit"],
        weight_fraction=_optional(item.get("weight_fraction")),
        crystalline_weight_fraction=_optional(item.get("crystalline_weight_fraction")),
        cell=_estimates(item.get("cell", {})),
        crystallite_size_nm=_estimates(item.get("crystallite_size_nm", {})),
        microstrain=_optional(item.get("microstrain")),
        intensity_share=item.get("intensity_share", 0.0),
        facts=facts,
        internal_standard=told.pop("internal_standard", False),
        pattern_weight_fraction=_optional(told.pop("weight_fraction_from_pattern_alone", None)),
        evidence=DetectionEvidence(**known),
        apatite_indices=told,
    )


def _fit(item: Mapping[str, Any], metadata: Mapping[str, Any], asked: PhaseList, curves: Curves) -> FitResult:
    amorphous, phases = (
        {name.removeprefix(kind): curve for name, curve in curves.items() if name.startswith(kind)}
        for kind in ("xrd_amorphous_", "xrd_phase_")
    )
    listed = [
        name.removeprefix("reflections_").removesuffix("_hkl") for name in curves if name.endswith("_hkl")
    ]
    names = tuple(map(str, curves.get("amounts_names", ())))
    amounts = XrdAmounts(
        names=names,
        amounts=curves.get("amounts_values", np.empty(0)),
        covariance=curves.get("amounts_covariance", np.empty((0, 0))),
        crystalline=tuple(map(bool, curves.get("amounts_crystalline", ()))),
        counting_covariance=curves.get("amounts_counting_covariance"),
        misfit_covariance=curves.get("amounts_misfit_covariance"),
        facts={phase.id: phase.facts for phase in asked if phase.id in names},
    )
    return FitResult(
        **{name: curves[f"xrd_{name}"] for name in FIT_CURVES},
        amorphous=amorphous,
        phases=phases,
        reflections={
            name: ReflectionTable(
                **{part: curves[f"reflections_{name}_{part}"] for part in REFLECTION_COLUMNS}
            )
            for name in listed
        },
        parameters=_estimates(item.get("parameters", {})),
        covariance_names=tuple(map(str, curves.get("covariance_names", ()))),
        covariance=curves.get("covariance", np.empty((0, 0))),
        amounts=amounts,
        wavelengths=tuple(item["wavelengths"]),
        n_parameters=item["n_parameters"],
        n_iterations=item.get("n_iterations", 0),
        converged=item.get("converged", True),
        crystallinity=_optional(item.get("crystallinity")),
        bragg_area_lost=metadata.get("bragg_area_lost", {}),
    )


def _tga(item: Mapping[str, Any], curves: Curves) -> TgaResult:
    balance = item.get("balance", {})
    return TgaResult(
        **{name: curves[f"tga_{name}"] for name in TGA_CURVES},
        steps=tuple(map(_step, item["steps"])),
        residue=_estimate(item["residue"]),
        atmosphere=item["atmosphere"],
        initial_mass_mg=item["initial_mass_mg"],
        heating_rate_k_min=item.get("heating_rate_K_per_min"),
        balance_names=tuple(balance.get("names", ())),
        balance=np.array(balance.get("values", ()), dtype=float),
        covariance=_matrix(balance.get("covariance")),
        quantities=_estimates(item.get("quantities", {})),
        budget=item.get("budget", {}),
    )


def _step(item: Mapping[str, Any]) -> TgaStep:
    places: dict[str, Any] = {f"{place}_c": item.get(f"{place}_C") for place in STEP_PLACES}
    parts = tuple(map(_step, item.get("parts", ())))
    return TgaStep(name=item["name"], mass_loss=_estimate(item["mass_loss"]), parts=parts, **places)
