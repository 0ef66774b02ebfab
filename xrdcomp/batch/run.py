"""Analyses of many specimens: in order, on several processes, one folder each, resumed after an interruption.

What a specimen's analysis depends on (files by their SHA-256, settings, version of the program) is hashed into a key.
The key stands in the ledger, one small file a specimen below ``DIR/.xrdcomp-batch``, which is written after the result;
so a batch that was killed at any moment continues with the first specimen that has no entry with its key.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import xrdcomp
from xrdcomp.analysis import analyze, analyze_sample
from xrdcomp.batch.cluster import spread
from xrdcomp.batch.progress import progress_bar
from xrdcomp.batch.specimens import MEASUREMENTS, Specimen, settings_hash
from xrdcomp.batch.tables import failed_row, row_of
from xrdcomp.batch.workers import Done, WorkerDied, work_off
from xrdcomp.data import Sample, presenter
from xrdcomp.disk import write_whole
from xrdcomp.errors import ArgumentError, XrdcompError
from xrdcomp.io.registry import find_reader
from xrdcomp.laboratory import Laboratory
from xrdcomp.recipe import Recipe
from xrdcomp.results import SampleResult
from xrdcomp.stages import PathLike

LEDGER = ".xrdcomp-batch"
"""Folder of the ledger below the folder of the results."""


@dataclass(frozen=True, kw_only=True)
class FailedSample:
    """A specimen that could not be analysed.

    Attributes
    ----------
    sample_id : str
    kind : str
        Class of the exception (ReadError, AnalysisError …), or WorkerDied where its process ended.
    message : str
        What was wrong and what to do.
    """

    sample_id: str
    kind: str
    message: str

    @property
    def status(self) -> str:
        """Always ``failed``, as that of a result that must not be used."""
        return "failed"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One specimen of a batch as it stands in the ledger and in the tables."""

    key: str
    row: Mapping[str, Any]
    resumed: bool = False

    @property
    def failed(self) -> bool:
        """True where there is no result, or one that must not be used."""
        return bool(self.row["status"] == "failed")


def analyze_many(
    samples: Iterable[Sample | Specimen | Mapping[str, Any] | PathLike],
    recipe: Recipe | PathLike | Mapping[str, Any] | None = None,
    *,
    workers: int = 1,
    progress: bool = True,
) -> Iterator[SampleResult | FailedSample]:
    """Analyse many specimens; results come in their order, each as soon as it and those before it are done.

    Parameters
    ----------
    samples : iterable of Sample, Specimen, mapping or path
        A `Sample` holds measurements; a mapping names files and settings as a row of a manifest does (``xrd``, ``tga``,
        ``blank``, ``tga_blank``, ``sample_id``, ``atmosphere`` …); a path is a pattern. An iterator is not read ahead
        by more than a few items per worker, so memory use stays flat.
    recipe : Recipe, path of its TOML file or dict, optional
        Settings of all; those of a specimen take precedence.
    workers : int
        Processes. Results do not depend on their number.
    progress : bool
        Show count, rate and time left on standard error if that is a terminal.

    Yields
    ------
    SampleResult or FailedSample
        What cannot be analysed is an outcome with its message, and stops nothing.

    Raises
    ------
    ArgumentError
        Something that is no specimen.
    RecipeError
        Settings that do not exist or are not legal.
    """
    base = Recipe.of(recipe)
    one = partial(_analysed, recipe=base)
    known = len(samples) if isinstance(samples, Sequence) else None
    with progress_bar(known, "analysing", shown=progress) as advance:
        for done in work_off(one, map(_as_work, samples), workers=workers):
            advance("")
            yield _outcome(done)


def _as_work(item: Any) -> Sample | Specimen:
    if isinstance(item, Sample | Specimen):
        return item
    if isinstance(item, str | Path):
        return Specimen(sample_id="", xrd=str(item))
    if isinstance(item, Mapping):
        files: dict[str, Any] = {kind: None if item.get(kind) is None else str(item[kind]) for kind in MEASUREMENTS}
        settings = {key: value for key, value in item.items() if key not in (*MEASUREMENTS, "sample_id")}
        return Specimen(sample_id=str(item.get("sample_id") or ""), settings=settings, **files)
    raise ArgumentError("samples", item, "Sample objects, mappings with xrd and tga, or paths of patterns")


def _analysed(
    work: Sample | Specimen, *, recipe: Recipe, scan: int | None = None, input_format: str | None = None
) -> SampleResult:
    if isinstance(work, Sample):
        return analyze_sample(work, recipe)
    if work.problem:
        raise XrdcompError(work.problem)
    own = None if input_format is None else work.tga if find_reader(input_format).kind == "tga" else work.xrd
    result: SampleResult = analyze(
        work.xrd, tga=work.tga, blank=work.blank, tga_blank=work.tga_blank, recipe=work.recipe(recipe), scan=scan,
        input_format=input_format if own else None,
    )  # fmt: skip
    return result


def _outcome(done: Done[Any, SampleResult]) -> SampleResult | FailedSample:
    if done.result is not None:
        return done.result
    error = done.error
    if not isinstance(error, XrdcompError | WorkerDied):
        raise error if error is not None else RuntimeError("an analysis gave nothing")
    return FailedSample(sample_id=done.item.sample_id, kind=type(error).__name__, message=str(error))


# ---- batches with folders


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How the files of a batch are read, and what is written for each specimen.

    `figures` is that of `write_result`; `scan` and `input_format` are those of `analyze`; `laboratory` is noted in each
    result; hints of errors name `options` of the command line where there are any, else keywords of Python.
    """

    figures: Any = False
    report: bool = False
    overwrite: bool = False
    scan: int | None = None
    input_format: str | None = None
    options: tuple[str, ...] = ()
    laboratory: Laboratory | None = None


def run_batch(
    specimens: Sequence[Specimen],
    out: str | Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    resume: bool = True,
    asked: Asked | None = None,
    scheduler: str = "",
) -> Iterator[Entry]:
    """Analyse specimens and write ``out/<sample_id>/`` for each; entries in order, those of an earlier run first read.

    With `resume`, a specimen that already has a result there, from the same files and settings, is not analysed again.
    Results that no batch wrote there are replaced only with `overwrite`; without it the specimen is a failed row.
    `scheduler` is the address of one of Dask, or ``"local"``; its workers must see files and folder by the same paths.
    """
    folder = Path(out).absolute() if scheduler else Path(out)
    if scheduler:
        specimens = [item.with_absolute_paths() for item in specimens]
    (folder / LEDGER).mkdir(parents=True, exist_ok=True)
    one = partial(_written, folder=folder, recipe=recipe, resume=resume, asked=asked or Asked())
    for done in spread(one, specimens, workers=workers, scheduler=scheduler):
        if done.result is not None:
            yield done.result
        elif isinstance(done.error, WorkerDied):
            yield Entry(key="", row=failed_row(done.item, "WorkerDied", str(done.error)))
        elif done.error is not None:
            raise done.error


def _written(specimen: Specimen, *, folder: Path, recipe: Recipe, resume: bool, asked: Asked) -> Entry:
    """Analyse one specimen, write its folder, then its entry in the ledger."""
    own = specimen.recipe(recipe)
    key = _key(specimen, own, asked)
    ledger = folder / LEDGER / f"{specimen.sample_id}.json"
    if resume and (earlier := _earlier(ledger, key, folder / specimen.sample_id)) is not None:
        return earlier
    started = time.process_time()
    try:
        result = _analysed(specimen, recipe=recipe, scan=asked.scan, input_format=asked.input_format)
        result = replace(result, sample_id=specimen.sample_id)
        result = asked.laboratory.noted(result) if asked.laboratory is not None else result
        # what the ledger knows was written by this batch and may be replaced, though its files have changed
        overwrite = asked.overwrite or ledger.exists()
        given = {"figures": asked.figures, "report": asked.report, "overwrite": overwrite}
        presenter("files").write_result(result, folder, **given, inputs=specimen.files.values())
        row = row_of(specimen, result)
    except XrdcompError as error:
        said = error.for_command(asked.options) if asked.options else str(error)
        row = failed_row(specimen, type(error).__name__, said)
    entry = Entry(key=key, row={**row, "cpu_s": round(time.process_time() - started, 3)})
    stored = {"xrdcomp": xrdcomp.__version__, "key": entry.key, "row": entry.row}
    write_whole(ledger, json.dumps(stored, ensure_ascii=False) + "\n")
    return entry


def _key(specimen: Specimen, recipe: Recipe, asked: Asked) -> str:
    """Hash of all that the specimen's result depends on."""
    digest = hashlib.sha256()
    for kind, file in specimen.files.items():
        path = Path(file)
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        digest.update(f"{kind} {path.name} {content}\n".encode())
    told = [settings_hash(recipe), xrdcomp.__version__, specimen.problem, str(asked.figures), asked.report]
    told += [asked.scan, asked.input_format, asked.laboratory and asked.laboratory.sha256]
    digest.update(json.dumps(told, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def ledger_files(out: str | Path) -> list[Path]:
    """Entries of the ledger below a folder of results, without those that a kill left half-written."""
    return sorted((Path(out) / LEDGER).glob("[!.]*.json"))


def ledger_rows(out: str | Path) -> dict[str, dict[str, Any]]:
    """Rows of the ledger below a folder of results by specimen; a damaged entry is left out: it states nothing."""
    rows = {}
    for entry in ledger_files(out):
        try:
            row = json.loads(entry.read_bytes())["row"]
            rows[str(row["sample_id"])] = dict(row)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return rows


def _earlier(ledger: Path, key: str, folder: Path) -> Entry | None:
    """Entry of an earlier run with the same key whose result is still there; None otherwise."""
    try:
        stored = json.loads(ledger.read_text(encoding="utf-8"))
        row = stored["row"]
        whole = row["error_kind"] is not None or (folder / "result.json").is_file()
        return Entry(key=key, row=row, resumed=True) if stored["key"] == key and whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # an entry that cannot be read is one that has to be made again
