"""Results to disk, whole or not at all, and back; `xrdcomp.disk` says how, and what stays."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import BadZipFile

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, Source
from xrdcomp.disk import MAX_RESULT_BYTES, read_bytes, read_text, refuse_inputs, replaced_folder, write_whole
from xrdcomp.errors import OutputError, ReadError
from xrdcomp.present.exchange import tables_of, to_csv
from xrdcomp.present.report import render_report
from xrdcomp.present.toml import to_toml
from xrdcomp.results import (
    EVIDENCE_KEYS,
    STEP_PLACES,
    Claim,
    Composition,
    DetectionRule,
    FitResult,
    PhaseList,
    PhaseResult,
    ReflectionTable,
    SampleResult,
    TgaResult,
    TgaStep,
    XrdAmounts,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xrdcomp.present.style import FigureOptions

FIT_CURVES = ("two_theta", "observed", "sigma", "calculated", "background")
REFLECTION_COLUMNS = ("hkl", "two_theta", "intensity")
REFLECTION_MEASURES = ("d_spacing", "area", "height", "fwhm")  # not in earlier results
TGA_CURVES = ("temperature_c", "mass_fraction", "dtg_per_min")
AMOUNT_ARRAYS = (
    *("covariance", "counting_covariance", "misfit_covariance", "area_covariance"),
    *("lattice_diffuse", "flatter_halo"),
)
_LEGAL = re.compile(r"\w(?:[\w .+()-]{0,118}[\w+)])?")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def safe_sample_id(sample_id: str) -> str:
    """Return `sample_id` where it can name a folder on every system, refuse it (OutputError) otherwise.

    Letters, digits, blanks and ``_ . + ( ) -`` are legal, 1 to 120 characters, beginning with a letter,
    digit or underscore; a path or a name that Windows reserves is not.
    """
    if not _LEGAL.fullmatch(sample_id) or _RESERVED.fullmatch(sample_id) or ".." in sample_id:
        raise OutputError(
            f"sample id {sample_id!r} cannot name a folder. Expected: 1 to 120 letters, digits, blanks or "
            "_ . + ( ) -, beginning with a letter, digit or underscore. Choose another sample id "
            "(in Python: sample_id=)."
        )
    return sample_id


def write_result(
    result: SampleResult,
    folder: str | Path,
    *,
    figures: bool | FigureOptions = True,
    report: bool = False,
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
) -> Path:
    """Write one specimen's result below ``folder/<sample_id>`` and return that path; `read_result` reads it back.

    ``result.json`` (the contract of ``xrdcomp/result.schema.json``), ``curves.npz`` (arrays only, readable with
    ``allow_pickle=False``), ``recipe.toml`` (repeats the run), ``tables/*.csv``, ``figures/*.svg`` unless `figures` is
    off, and ``report.html``, one page of all, where `report` is asked for. The figures are the drawings of the page;
    `figures` with formats, width and resolution asks for those of Matplotlib, as `SampleResult.plot` draws them.

    Files that the program did not write stay. OutputError: the sample id cannot name a folder, the folder holds
    something else than a result, one of other measurements or changed files (replaced with `overwrite`), one of the
    `inputs` lies in it, or it cannot be written.
    """
    target = Path(folder) / safe_sample_id(result.sample_id)
    refuse_inputs(target, inputs)

    def replaceable(earlier: Path) -> None:
        try:
            before = json.loads((earlier / "result.json").read_bytes())["inputs"]
            same = _measured_files(before) == _measured_files(result.inputs)
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise OutputError(
                f"{target} holds the result of other measurements; nothing was written. Choose another sample id or "
                "folder, or allow it with --overwrite (in Python: overwrite=True)."
            )

    with replaced_folder(target, marker="result.json", replaceable=replaceable, overwrite=overwrite) as work:
        names: tuple[str, ...] = ()
        drawn: dict[str, str] = {}
        if report or figures is True:
            from xrdcomp.present.drawings import drawing_file, drawings_of

            drawn = drawings_of(result)
        if figures is True:
            (work / "figures").mkdir()
            names = tuple(f"figures/{name}.svg" for name in drawn)
            for name, drawing in drawn.items():
                whole = drawing_file(drawing, name, result)
                (work / "figures" / f"{name}.svg").write_text(whole, encoding="utf-8")
        elif figures:
            names = _write_figures(draw_figures(result, width_mm=figures.width_mm), work / "figures", figures)
        (work / "result.json").write_text(result.to_json(figures=names) + "\n", encoding="utf-8")
        _write_curves(work / "curves.npz", result)
        (work / "tables").mkdir()
        for name, table in tables_of(result).items():
            (work / "tables" / f"{name}.csv").write_text(to_csv(table), encoding="utf-8")
        named: Any = result.settings.get("used", {}).get("files", [])
        files = [
            f"{item.get('setting') or item['kind']}: {item['file']} (SHA-256 {item['sha256']})"
            for item in (*result.inputs, *named)
        ]
        software = ", ".join(f"{name} {version}" for name, version in result.software.items())
        settings = {name: value for name, value in result.settings.items() if name != "used"}
        head = f"Settings of the analysis of {result.sample_id}. They repeat it:"
        comment = [head, "xrdcomp analyze FILE ... --recipe recipe.toml", *files, software]
        recipe = to_toml(settings, comment="\n".join(comment))
        (work / "recipe.toml").write_text(recipe, encoding="utf-8")
        if report:
            (work / "report.html").write_text(render_report(result, drawn=drawn), encoding="utf-8")
    return target


def _measured_files(inputs: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Kinds and SHA-256 of the files that an analysis read, settings' files left out."""
    return sorted((item["kind"], item["sha256"]) for item in inputs if "setting" not in item)


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> Path:
    """Write a text file in UTF-8 as `xrdcomp.disk.write_whole` does, with the folders it needs; return its path."""
    return write_whole(Path(path), text, overwrite=overwrite, parents=True)


def write_figure(figure: Figure, path: str | Path, *, dpi: int = 160, overwrite: bool = False) -> Path:
    """Write a figure as PNG, SVG or PDF, by the suffix of `path`, whole or not at all; return its path.

    OutputError: another suffix, a file that xrdcomp did not write (`overwrite` replaces it), or a place that cannot be
    written.
    """
    from xrdcomp.present.style import FORMATS, to_bytes

    target = Path(path)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        legal = ", ".join(f".{known}" for known in FORMATS)
        msg = f"{target}: a figure cannot be written as {target.suffix or 'a file without suffix'}. Expected: {legal}."
        raise OutputError(msg)
    return write_whole(target, to_bytes(figure, suffix, dpi=dpi), overwrite=overwrite, parents=True)


def draw_figures(result: SampleResult, *, width_mm: float = 180.0) -> dict[str, Figure]:
    """Return the figures there are by name: fit, tga, composition, uncertainty_budget."""
    from xrdcomp.present.figures import plot_budget, plot_composition, plot_fit, plot_tga
    from xrdcomp.present.style import figure_of

    drawn: dict[str, Axes] = {}
    if result.xrd is not None:
        drawn["fit"] = plot_fit(result, width_mm=width_mm)
    if result.tga is not None:
        drawn["tga"] = plot_tga(result, width_mm=width_mm)
    drawn["composition"] = plot_composition(result, width_mm=width_mm)
    if result.composition.budget:
        drawn["uncertainty_budget"] = plot_budget(result, width_mm=width_mm)
    return {name: figure_of(axes) for name, axes in drawn.items()}


def _write_figures(drawn: Mapping[str, Figure], folder: Path, options: FigureOptions) -> tuple[str, ...]:
    from xrdcomp.present.style import freeze_layout, to_bytes

    folder.mkdir(parents=True)
    names: list[str] = []
    for name, figure in drawn.items():
        freeze_layout(figure)
        for suffix in options.formats:
            (folder / f"{name}.{suffix}").write_bytes(to_bytes(figure, suffix, dpi=options.dpi))
            names.append(f"figures/{name}.{suffix}")
    return tuple(names)


def _write_curves(file: Path, result: SampleResult) -> None:
    """Write curves.npz, whose names say kind and unit; ``xrdcomp.present.files`` reads them back."""
    arrays: dict[str, Any] = {}
    if (fit := result.xrd) is not None:
        arrays |= {f"xrd_{name}": getattr(fit, name) for name in FIT_CURVES}
        arrays |= {f"xrd_amorphous_{name}": curve for name, curve in fit.amorphous.items()}
        arrays |= {f"xrd_phase_{name}": curve for name, curve in fit.phases.items()}
        arrays |= {"xrd_unidentified": fit.unidentified} if fit.unidentified is not None else {}
        for name, table in fit.reflections.items():
            arrays |= {f"reflections_{name}_{part}": getattr(table, part) for part in REFLECTION_COLUMNS}
            measures = {f"reflections_{name}_{part}": getattr(table, part) for part in REFLECTION_MEASURES}
            arrays |= {key: values for key, values in measures.items() if values is not None}
        arrays |= {"covariance_names": fit.covariance_names, "covariance": fit.covariance}
        amounts = fit.amounts
        arrays |= {f"amounts_{name}": getattr(amounts, name) for name in ("names", "crystalline")}
        if amounts.called_for:
            arrays["amounts_called_for"] = amounts.called_for
        if amounts.holder_share > 0.0:
            arrays["amounts_holder_share"] = np.array(amounts.holder_share)
        arrays["amounts_values"] = amounts.amounts
        for name in AMOUNT_ARRAYS:
            if (matrix := getattr(amounts, name)) is not None:
                arrays[f"amounts_{name}"] = matrix
    if (tga := result.tga) is not None:
        arrays |= {f"tga_{name}": getattr(tga, name) for name in TGA_CURVES}
    if result.composition.draws.size:
        arrays["composition_draws"] = result.composition.draws
    with file.open("wb") as stream:
        # not compressed: of noise a quarter would be saved, for a twentieth of the time of an analysis
        np.savez(stream, allow_pickle=False, **{name: np.asarray(item) for name, item in arrays.items()})


# Results from disk: what `write_result` wrote becomes a `SampleResult` again.

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
    expected = "a folder that `write` left, or its result.json"
    text = read_text(file, limit=MAX_RESULT_BYTES, expected=expected)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReadError("no result can be read (it is no JSON)", file=str(file), expected=expected) from error
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
        if not needed and not beside.exists():
            return {}
        with np.load(io.BytesIO(read_bytes(beside, limit=MAX_RESULT_BYTES)), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, BadZipFile, ReadError) as error:
        raise ReadError(
            "the curves of the result cannot be read", file=str(beside), expected="curves.npz beside result.json",
            hint="For the figures alone, json.load reads result.json.",
        ) from error  # fmt: skip


def _result(data: Mapping[str, Any], curves: Curves) -> SampleResult:
    item, facts = data["composition"], data.get("metadata", {})
    phases = tuple(_phase(phase, data["settings"].get("identification", {})) for phase in data["phases"])
    draws = {"draws": curves["composition_draws"]} if "composition_draws" in curves else {}
    matrix = _covariance(item.get("covariance", {}), "matrix", names="covariance_names", values="")
    return SampleResult(
        **{name: data[name] for name in ("sample_id", "settings", "software")},
        composition=_record(Composition, item, **matrix, **draws),
        phases=PhaseList(phases),
        claims=tuple(_record(Claim, claim) for claim in data["claims"]),
        inputs=tuple(data["inputs"]),
        sources=tuple(_record(Source, source) for source in data["inputs"] if "setting" not in source),
        xrd=_fit(data["xrd"], facts, phases, curves) if "xrd" in data else None,
        tga=_tga(data["tga"], curves) if "tga" in data else None,
        messages=tuple(_record(Diagnostic, message) for message in data["messages"]),
        metadata=facts,
    )


def _record(kind: type[Kind], item: Mapping[str, Any], **others: Any) -> Kind:
    """Record of the keys that are its fields, each checked; a later version may have written more."""
    return msgspec.convert({**item, **others}, kind, dec_hook=lambda _, value: np.asarray(value, dtype=float))


def _covariance(item: Mapping[str, Any], matrix: str, *, names: str, values: str) -> dict[str, Any]:
    """Fields of a record from the JSON of quantities with their covariance, which lacks what is empty."""
    return {field: item[key] for field, key in ((names, "names"), (values, "values"), ("covariance", matrix))
            if item.get(key)} | ({} if item.get(matrix) else {"covariance": np.empty((0, 0))})  # fmt: skip


def _phase(item: Mapping[str, Any], settings: Mapping[str, Any]) -> PhaseResult:
    told = dict(item.get("evidence", {}))
    known: dict[str, Any] = {name: told.pop(key) for key, name in EVIDENCE_KEYS.items() if key in told}
    if (threshold := told.pop("threshold", None)) is not None:
        from scipy.special import ndtri

        probability = settings.get("detection_probability", 0.95)
        known["rule"] = DetectionRule(
            false_alarm_rate=settings.get("false_alarm_rate", 0.002), detection_probability=probability,
            threshold=threshold, quantile=float(ndtri(probability)),
        )  # fmt: skip
    if _MEMBER[0] in told:
        known["member"] = {name: told.pop(name) for name in (*_MEMBER, "probability") if name in told}
    member, carbonate = told.pop("apatite", ""), told.pop("carbonate_fraction", None)
    facts = item.get("facts", {})
    if not facts and carbonate is not None:  # earlier results state it of structures from outside the library alone
        facts = {"family": "apatite" if member else "", "end_member": member, "own": True}
        facts["carbonate_fraction"] = carbonate
    return _record(
        PhaseResult, {"formula": "", **item}, facts=facts, evidence=known,
        internal_standard=told.pop("internal_standard", False),
        pattern_weight_fraction=told.pop("weight_fraction_from_pattern_alone", None), apatite_indices=told,
    )  # fmt: skip


def _fit(
    item: Mapping[str, Any], metadata: Mapping[str, Any], asked: Sequence[PhaseResult], curves: Curves
) -> FitResult:
    parts = {
        kind: {name.removeprefix(start): curve for name, curve in curves.items() if name.startswith(start)}
        for kind, start in (("amorphous", "xrd_amorphous_"), ("phases", "xrd_phase_"))
    }
    listed = [name.removeprefix("reflections_").removesuffix("_hkl") for name in curves if name.endswith("_hkl")]
    names = tuple(map(str, curves.get("amounts_names", ())))
    matrices: dict[str, Any] = {name: curves.get(f"amounts_{name}") for name in AMOUNT_ARRAYS}
    amounts = XrdAmounts(
        names=names,
        amounts=curves.get("amounts_values", np.empty(0)),
        crystalline=tuple(map(bool, curves.get("amounts_crystalline", ()))),
        facts={phase.id: phase.facts for phase in asked if phase.id in names},
        called_for=tuple(map(str, curves.get("amounts_called_for", ()))),
        holder_share=float(curves.get("amounts_holder_share", 0.0)),
        **matrices | ({"covariance": np.empty((0, 0))} if matrices["covariance"] is None else {}),
    )
    return _record(
        FitResult, {"n_iterations": 0, "converged": True, "parameters": {}, **item},
        **{name: curves[f"xrd_{name}"] for name in FIT_CURVES}, **parts,
        reflections={
            name: ReflectionTable(
                **{part: curves[f"reflections_{name}_{part}"] for part in REFLECTION_COLUMNS},
                **{part: values for part in REFLECTION_MEASURES
                   if (values := curves.get(f"reflections_{name}_{part}")) is not None},
            )
            for name in listed
        },
        covariance_names=tuple(map(str, curves.get("covariance_names", ()))),
        covariance=curves.get("covariance", np.empty((0, 0))),
        amounts=amounts, bragg_area_lost=metadata.get("bragg_area_lost", {}),
        unidentified=curves.get("xrd_unidentified"),
    )  # fmt: skip


def _tga(item: Mapping[str, Any], curves: Curves) -> TgaResult:
    rate = {"heating_rate_k_min": item.get("heating_rate_K_per_min"), "steps": tuple(map(_step, item["steps"]))}
    balance = _covariance(item.get("balance", {}), "covariance", names="balance_names", values="balance")
    return _record(TgaResult, item, **rate, **{"balance": np.empty(0)} | balance,
                   **{name: curves[f"tga_{name}"] for name in TGA_CURVES})  # fmt: skip


def _step(item: Mapping[str, Any]) -> TgaStep:
    places: dict[str, Any] = {f"{place}_c": item.get(f"{place}_C") for place in STEP_PLACES}
    return _record(TgaStep, item, parts=tuple(map(_step, item.get("parts", ()))), **places)
