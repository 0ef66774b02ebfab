"""Which measurements belong to which specimen: from a manifest, or from the names of the files in a folder."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xrdcomp.data import presenter
from xrdcomp.errors import OutputError, ReadError, RecipeError
from xrdcomp.io.registry import recognise
from xrdcomp.io.source import open_source
from xrdcomp.recipe import COMMAND_NAMES, Recipe

MEASUREMENTS = ("xrd", "tga", "blank", "tga_blank")
"""Columns of a manifest that name files."""
MOST_SPECIMENS = 200_000
"""Rows beyond which a manifest is taken for a mistake; split it."""
_TOKENS = r"p?xrd|xrpd|pxrd|diffraction|pattern|scan|tga?|sta|thermo(?:gram)?"
_KIND_AT_END = re.compile(rf"(?<=[^\W_])[\s_.\-]+(?:{_TOKENS})$", re.IGNORECASE)
_KIND_AT_START = re.compile(rf"^(?:{_TOKENS})[\s_.\-]+(?=\w)", re.IGNORECASE)
_EMPTY = re.compile(r"(?:^|[\W_])(?:blank|empty|holder|background)(?:$|[\W_])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """Files and settings of one specimen of a batch.

    `settings` take precedence over the recipe of the batch; they are named as on the command line, or with dots.
    `problem` says why the specimen cannot be analysed although it was requested; it becomes a failed row.
    """

    sample_id: str
    xrd: str | None = None
    tga: str | None = None
    blank: str | None = None
    tga_blank: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def recipe(self, base: Recipe) -> Recipe:
        """Recipe of this specimen; RecipeError for a setting that does not exist or has an illegal value."""
        dotted = {key: value for key, value in self.settings.items() if "." in key}
        named = {key: value for key, value in self.settings.items() if key not in dotted}
        return Recipe.of(base.with_settings(dotted), **named, sample_id=self.sample_id)

    @property
    def files(self) -> dict[str, str]:
        """Files by kind of measurement."""
        found = {kind: getattr(self, kind) for kind in MEASUREMENTS}
        return {kind: file for kind, file in found.items() if file}

    def with_absolute_paths(self) -> Specimen:
        """Copy with absolute paths, valid in any working directory."""
        paths: dict[str, Any] = {kind: str(Path(file).absolute()) for kind, file in self.files.items()}
        return replace(self, **paths)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Specimens in the order of the manifest or of their names; `left_out` are files of a folder and why not."""

    specimens: tuple[Specimen, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def with_blanks(self, blank: str | None = None, tga_blank: str | None = None) -> Found:
        """Copy with one scan of the empty holder and one run of the empty pan for all specimens that name none."""
        own = (
            replace(item, blank=item.blank or (blank if item.xrd else None),
                    tga_blank=item.tga_blank or (tga_blank if item.tga else None))
            for item in self.specimens
        )  # fmt: skip
        return replace(self, specimens=tuple(own))


def settings_hash(recipe: Recipe) -> str:
    """Hash of all settings, and of the content of the files and folders that they name."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Mapping):
            for key in sorted(value):
                digest.update(f"{key}=".encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        else:
            digest.update(f"{value!r};".encode())
            path = Path(value) if isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value else None
            if path is None or not path.exists():
                return
            for file in [path] if path.is_file() else sorted(path.glob("*")) if path.is_dir() else []:
                if file.is_file():
                    digest.update(hashlib.sha256(file.read_bytes()).digest())

    add(recipe.to_dict())
    return digest.hexdigest()


def find_specimens(source: str | Path) -> Found:
    """Specimens of a manifest (a CSV file) or of a folder of measurements.

    Raises
    ------
    RecipeError
        There is no such file or folder, the folder holds no measurement, or the manifest is not one; the line and
        the column are named.
    """
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return Found(specimens=_of_manifest(path))
    msg = f"{path}: there is no such folder or file. Expected: a folder of measurements, or a manifest (CSV)."
    raise RecipeError(msg)


def _of_manifest(path: Path) -> tuple[Specimen, ...]:
    """Specimens of a manifest: columns sample_id, xrd, tga, blank, tga_blank, and any setting."""
    try:
        text = open_source(path).text.removeprefix("\ufeff")
    except ReadError as error:
        msg = f"{error} Expected: a manifest as CSV, such as sample_id,xrd,tga."
        raise RecipeError(msg) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)  # as spreadsheets of all countries write them
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    numbered = [(n, [cell.strip() for cell in row]) for n, row in enumerate(rows, start=1) if any(map(str.strip, row))]
    expected = "a header line with sample_id, xrd, tga, blank, tga_blank and settings, then one line a specimen"
    if len(numbered) < 2:
        msg = f"{path}: the manifest holds no specimen. Expected: {expected}."
        raise RecipeError(msg)
    (head_line, header), *body = numbered
    if len(body) > MOST_SPECIMENS:
        msg = f"{path}: {len(body)} specimens are more than the {MOST_SPECIMENS} of one batch. Split the manifest."
        raise RecipeError(msg)
    if not set(header) & {"xrd", "tga"} or len(set(header)) < len(header):
        what = "has neither xrd nor tga" if len(set(header)) == len(header) else "names a column twice"
        msg = f"{path}, line {head_line}: the header {what}: {', '.join(header)}. Expected: {expected}."
        raise RecipeError(msg)
    found: list[Specimen] = []
    lines: dict[str, int] = {}
    for number, row in body:
        place = f"{path}, line {number}"
        if len(row) != len(header):
            msg = f"{place}: {len(row)} cells under {len(header)} columns. Quote cells that hold {delimiter!r}."
            raise RecipeError(msg)
        cells = {name: cell for name, cell in zip(header, row, strict=True) if cell}
        specimen = _of_row(cells, path.parent, place)
        if (earlier := lines.setdefault(specimen.sample_id.casefold(), number)) != number:
            msg = f"{place}: sample_id {specimen.sample_id!r} stands in line {earlier} as well. Give each its own."
            raise RecipeError(msg)
        found.append(specimen)
    return tuple(found)


def _of_row(cells: Mapping[str, str], folder: Path, place: str) -> Specimen:
    files = {kind: str(folder / cells[kind]) for kind in MEASUREMENTS if kind in cells}
    if not {"xrd", "tga"} & set(files):
        msg = f"{place}: neither xrd nor tga is given. Expected: the file of a pattern, of a run, or both."
        raise RecipeError(msg)
    name = cells.get("sample_id") or name_of(Path(files.get("xrd") or files["tga"]))
    others = {key: text for key, text in cells.items() if key not in (*MEASUREMENTS, "sample_id")}
    specimen = Specimen(
        sample_id=_safe(name, place),
        settings={key: _setting(key, text, place) for key, text in others.items()},
        **files,
    )
    try:
        specimen.recipe(Recipe())
    except RecipeError as error:
        msg = f"{place}: {error}"
        raise RecipeError(msg) from error
    missing = [file for file in files.values() if not Path(file).exists()]
    if missing:
        problem = f"{', '.join(missing)}: there is no such file. Paths of a manifest are relative to its folder."
        specimen = replace(specimen, problem=problem)
    return specimen


def _safe(name: str, place: str) -> str:
    try:
        return str(presenter("files").safe_sample_id(name))
    except OutputError as error:
        msg = f"{place}: {error}"
        raise RecipeError(msg) from error


def _setting(key: str, text: str, place: str) -> Any:
    """Value of a cell as the option of the same name takes it."""
    if key == "phases":
        return [part.strip() for part in re.split(r"[,;]", text) if part.strip()]
    if key in ("wavelength", "range", "two_theta_range"):
        try:
            return [float(part) for part in re.split(r"[,; ]+", text)]
        except ValueError:
            msg = f"{place}: {key} is {text!r}. Expected: numbers with a decimal point, separated by commas."
            raise RecipeError(msg) from None
    if key == "internal_standard":
        name, _, fraction = text.rpartition(":")
        try:
            return name, float(fraction)
        except ValueError:
            msg = f"{place}: internal_standard is {text!r}. Expected: phase and fraction, such as corundum:0.2."
            raise RecipeError(msg) from None
    return text if key in COMMAND_NAMES or "." in key else _toml(text)


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _of_folder(folder: Path) -> Found:
    """Specimens of a folder: a pattern and a run belong together where their names do."""
    left_out: dict[str, str] = {}
    kinds: dict[Path, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if is_empty_by_name(path):
            left_out[path.name] = "an empty holder or pan by its name; a manifest says which specimens it belongs to"
            continue
        kind = kind_of(path)
        if kind not in ("xrd", "tga"):
            left_out[path.name] = "neither a pattern nor a run" if kind is None else "a frame: integrate it first"
            continue
        kinds[path] = kind
    if not kinds:
        msg = (
            f"{folder}: holds neither a pattern nor a thermogravimetric run. `xrdcomp formats` lists what can be read."
        )
        raise RecipeError(msg)
    return Found(specimens=paired_by_name(kinds), left_out=left_out)


def is_empty_by_name(path: Path) -> bool:
    """Whether a file's name says that holder or pan were empty: which specimens it belongs to, only a manifest says."""
    return bool(_EMPTY.search(path.stem))


def paired_by_name(kinds: Mapping[Path, str]) -> tuple[Specimen, ...]:
    """Specimens of files, given with their kinds (xrd or tga), in the order of their names."""
    files: dict[str, dict[str, list[Path]]] = {}
    for path, kind in sorted(kinds.items()):
        files.setdefault(name_of(path), {}).setdefault(kind, []).append(path)
    return tuple(_paired(name, found) for name, found in sorted(files.items()))


def _paired(name: str, found: Mapping[str, Sequence[Path]]) -> Specimen:
    sample_id = re.sub(r"\.\.+|[^\w.+()-]", "_", name)[:100].strip(".-_") or "specimen"
    files: dict[str, Any] = {kind: str(paths[0]) for kind, paths in found.items()}
    several = [
        f"{len(paths)} {kind} files ({', '.join(p.name for p in paths)})"
        for kind, paths in found.items()
        if len(paths) > 1
    ]
    problem = f"{' and '.join(several)} have the same name: a manifest says which is meant." if several else ""
    return Specimen(sample_id=sample_id, problem=problem, **files)


def name_of(path: Path) -> str:
    """Name of the specimen in a file's name: without endings, and without words such as xrd or tga at its ends."""
    stem = path.stem
    if path.suffix.casefold() in {".gz", ".bz2"}:
        stem = Path(stem).stem
    for rule in (_KIND_AT_END, _KIND_AT_START):
        stem = rule.sub("", stem) or stem
    return stem


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Kind of measurement that a file's beginning shows: xrd, tga, xrd_frame; None where no reader knows it."""
    try:
        found = recognise(open_source(path))
    except ReadError:
        return None
    return found[0][1].kind if found else None
