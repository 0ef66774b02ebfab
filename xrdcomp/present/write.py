"""Results to disk: whole or not at all.

Everything is written into a temporary folder beside the target and moved in one step at the end; a failure
leaves what was there before.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xrdcomp.errors import OutputError, umask, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xrdcomp.results import SampleResult

FIGURE_FORMATS = ("png", "svg")
FIT_CURVES = ("two_theta", "observed", "sigma", "calculated", "background")
REFLECTION_COLUMNS = ("hkl", "two_theta", "intensity")
TGA_CURVES = ("temperature_c", "mass_fraction", "dtg_per_min")
_LEGAL = re.compile(r"\w(?:[\w .+()-]{0,118}[\w+)])?")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def safe_sample_id(sample_id: str) -> str:
    """Return `sample_id` where it can name a folder on every system, refuse it (OutputError) otherwise.

    Letters, digits, blanks and ``_ . + ( ) -`` are legal, 1 to 120 characters, beginning with a letter,
    digit or underscore; a path or a name that Windows reserves is not.
    """
    if not _LEGAL.fullmatch(sample_id) or _RESERVED.fullmatch(sample_id) or ".." in sample_id:
        msg = (
            f"sample id {sample_id!r} cannot name a folder. Expected: 1 to 120 letters, digits, blanks or "
            "_ . + ( ) -, beginning with a letter, digit or underscore. Pass another one with --sample-id "
            "(in Python: sample_id=)."
        )
        raise OutputError(msg)
    return sample_id


def write_result(
    result: SampleResult, folder: str | Path, *, figures: bool = True, report: bool = False
) -> Path:
    """Write one specimen's result below ``folder/<sample_id>`` and return that path; `read_result` reads it back.

    ``result.json`` (the contract of ``xrdcomp/result.schema.json``), ``curves.npz`` (arrays only, readable
    with ``allow_pickle=False``), ``recipe.toml`` (repeats the run), ``figures/*.png`` and ``*.svg`` unless `figures` is
    off, and ``report.html``, which shows the figures as well, where `report` is asked for.

    The folder is created where it does not exist; an earlier result of the same specimen is replaced. OutputError: the
    sample id cannot name a folder, the target holds something else than a result, or cannot be written.
    """
    target = Path(folder) / safe_sample_id(result.sample_id)
    with replaced_folder(target, marker="result.json") as work:
        drawn = draw_figures(result) if figures or report else {}
        names = _write_figures(drawn, work / "figures") if figures else ()
        (work / "result.json").write_text(result.to_json(figures=names) + "\n", encoding="utf-8")
        _write_curves(work / "curves.npz", result)
        named: Any = result.settings.get("used", {}).get("files", [])
        files = [
            f"{item.get('setting') or item['kind']}: {item['file']} (SHA-256 {item['sha256']})"
            for item in (*result.inputs, *named)
        ]
        software = ", ".join(f"{name} {version}" for name, version in result.software.items())
        settings = {name: value for name, value in result.settings.items() if name != "used"}
        comment = [
            f"Settings of the analysis of {result.sample_id}. They repeat it:",
            "xrdcomp analyze FILE ... --recipe recipe.toml",
            *files,
            software,
        ]
        recipe = to_toml(settings, comment="\n".join(comment))
        (work / "recipe.toml").write_text(recipe, encoding="utf-8")
        if report:
            from xrdcomp.present.html import render_report

            (work / "report.html").write_text(render_report(result, drawn), encoding="utf-8")
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file whole or not at all (UTF-8; written beside the target, then moved); return its path."""
    target = Path(path)
    with _moved_file(target) as work:
        work.write_text(text, encoding="utf-8", newline="\n")
    return target


def write_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG or SVG, by the suffix of `path`, whole or not at all; return its path.

    OutputError: another suffix, or a place that cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FIGURE_FORMATS:
        legal = " or ".join(f".{known}" for known in FIGURE_FORMATS)
        msg = f"{target}: a figure cannot be written as {target.suffix or 'a file without suffix'}. Expected: {legal}."
        raise OutputError(msg)
    with _moved_file(target) as work:
        work.write_bytes(_figure_bytes(figure, suffix))
    return target


def _figure_bytes(figure: Figure, suffix: str) -> bytes:
    from xrdcomp.present.figures import figure_style, to_png

    if suffix == "png":
        return to_png(figure)
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw_figures(result: SampleResult) -> dict[str, Figure]:
    """Return the figures there are by name: fit, tga, composition, uncertainty_budget."""
    from xrdcomp.present.figures import plot_budget, plot_composition, plot_fit, plot_tga

    drawn: dict[str, Figure] = {}
    if result.xrd is not None:
        drawn["fit"] = plot_fit(result)
    if result.tga is not None:
        drawn["tga"] = plot_tga(result)
    drawn["composition"] = plot_composition(result)
    if result.composition.budget:
        drawn["uncertainty_budget"] = plot_budget(result)
    return drawn


def _write_figures(drawn: Mapping[str, Figure], folder: Path) -> tuple[str, ...]:
    from xrdcomp.present.figures import freeze_layout

    folder.mkdir(parents=True)
    names: list[str] = []
    for name, figure in drawn.items():
        freeze_layout(figure)
        for suffix in FIGURE_FORMATS:
            (folder / f"{name}.{suffix}").write_bytes(_figure_bytes(figure, suffix))
            names.append(f"figures/{name}.{suffix}")
    return tuple(names)


def _write_curves(file: Path, result: SampleResult) -> None:
    """Write curves.npz, whose names say kind and unit; ``xrdcomp.present.read`` reads them back."""
    arrays: dict[str, Any] = {}
    if (fit := result.xrd) is not None:
        arrays |= {f"xrd_{name}": getattr(fit, name) for name in FIT_CURVES}
        arrays |= {f"xrd_amorphous_{name}": curve for name, curve in fit.amorphous.items()}
        arrays |= {f"xrd_phase_{name}": curve for name, curve in fit.phases.items()}
        for name, table in fit.reflections.items():
            arrays |= {f"reflections_{name}_{part}": getattr(table, part) for part in REFLECTION_COLUMNS}
        arrays |= {"covariance_names": fit.covariance_names, "covariance": fit.covariance}
        amounts = fit.amounts
        arrays |= {f"amounts_{name}": getattr(amounts, name) for name in ("names", "crystalline")}
        arrays["amounts_values"] = amounts.amounts
        for name in ("covariance", "counting_covariance", "misfit_covariance"):
            if (matrix := getattr(amounts, name)) is not None:
                arrays[f"amounts_{name}"] = matrix
    if (tga := result.tga) is not None:
        arrays |= {f"tga_{name}": getattr(tga, name) for name in TGA_CURVES}
    if result.composition.draws.size:
        arrays["composition_draws"] = result.composition.draws
    with file.open("wb") as stream:
        np.savez_compressed(
            stream, allow_pickle=False, **{name: np.asarray(item) for name, item in arrays.items()}
        )


@contextmanager
def _moved_file(target: Path) -> Iterator[Path]:
    """Yield a temporary file beside `target` that takes its place when the block ends well."""
    with _output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as work:
            yield work


@contextmanager
def replaced_folder(target: Path, *, marker: str) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    `marker` is the file that a folder must hold to be replaced; an empty folder is replaced as well. OutputError:
    `target` is something else, or cannot be written; nothing was changed.
    """
    with _output_errors(target):
        ours = target.is_dir() and ((target / marker).is_file() or not any(target.iterdir()))
        if target.exists() and not ours:
            msg = (
                f"{target} exists and is no earlier output (it holds no {marker}); nothing was written. "
                "Choose another --out folder, or move it away."
            )
            raise OutputError(msg)
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        try:
            work.chmod(0o777 & ~umask())
            yield work
            if target.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
                target.replace(old / target.name)
                try:
                    work.replace(target)
                except BaseException:
                    (old / target.name).replace(target)
                    raise
                finally:
                    shutil.rmtree(old, ignore_errors=True)
            else:
                work.replace(target)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise


@contextmanager
def _output_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system says about `target` into words."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        msg = f"{target}: cannot be written ({reason}); nothing was left behind. Choose another --out folder."
        raise OutputError(msg) from error


# TOML out: the recipe of a result, as a file that repeats it (the standard library only reads TOML)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(data: Mapping[str, Any], *, comment: str = "") -> str:
    """Write nested mappings as TOML 1.0 text, `comment` at its head, one ``#`` per line.

    Keys whose value is None are left out, because TOML has no null; a reader then takes its default. A value that is
    not text, bool, number, mapping or a sequence of these raises TypeError, a number that is not finite ValueError.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    if lines:
        lines.append("")
    _write_table(data, (), lines)
    return "\n".join(lines).rstrip("\n") + "\n"


def _write_table(data: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    for key, value in data.items():
        if value is not None and not isinstance(value, Mapping):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in data.items():
        if isinstance(value, Mapping):
            nested = (*path, key)
            if lines and lines[-1]:
                lines.append("")
            lines.append(f"[{'.'.join(_key(part) for part in nested)}]")
            _write_table(value, nested, lines)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"a setting must be finite; got {value}."
        raise ValueError(msg)
    if isinstance(value, str | int | float):
        # JSON writes truth values, numbers and text as TOML does, except that TOML also wants DEL escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        items = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    msg = f"cannot write {type(value).__name__} as TOML."
    raise TypeError(msg)
