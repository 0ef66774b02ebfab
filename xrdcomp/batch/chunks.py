"""Series that exceed memory: patterns read in chunks, rows written as partitions, one table at the end.

A chunk is a unit of work. The process that takes it reads its patterns, fits them from the common fit and writes one
Parquet file, whole or not at all. The file contains a hash of the patterns, of those of the common fit and of all
settings, so doing a chunk twice is harmless, and a run that was killed continues where it stopped. Each process makes
the common fit itself, from the same patterns, so nothing large is transferred.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import xrdcomp
from xrdcomp.batch.cluster import spread
from xrdcomp.batch.series import coordinate_column, open_series, probe_of, probe_patterns, series_rows, start_series
from xrdcomp.batch.specimens import settings_hash
from xrdcomp.batch.tables import arrow_schema, csv_description
from xrdcomp.disk import no_formula, refuse_foreign, whole_file, write_whole
from xrdcomp.errors import MissingExtraError, OutputError, XrdcompError
from xrdcomp.io.stacks import Block, Stack
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.series import FREE, Free, SeriesEngine
from xrdcomp.results import SeriesView

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = ".parts"
"""End of the name of the folder of partitions, beside the table."""
MOST_CSV_ROWS = 1_000_000
"""Rows up to which a table is written as CSV too."""
_FEWEST, _USUAL, _MOST, _MANY = 16, 256, 2000, 10_000  # patterns of a chunk; chunks from which on it grows to the most
_DIGEST, _CHUNKS = b"xrdcomp_chunk", b"xrdcomp_chunks"


@dataclass(frozen=True, kw_only=True)
class SeriesJob:
    """All that a chunk depends on, as sent to the process that takes it; `key` hashes the input of the common fit."""

    source: str
    two_theta: str = ""
    recipe: str = "{}"
    free: tuple[str, ...] = FREE
    chunk: int = _USUAL
    parts: str = ""
    key: str = ""
    version: str = xrdcomp.__version__

    def stack(self) -> Stack:
        """Patterns, opened once in a process."""
        return _stack(self)

    def engine(self) -> SeriesEngine:
        """Common fit, made once in a process."""
        return _engine(self)

    def part(self, number: int) -> Path:
        """File of a chunk."""
        return Path(self.parts) / f"part-{number:08d}.parquet"


@lru_cache(maxsize=2)
def _stack(job: SeriesJob) -> Stack:
    return open_series(job.source, Recipe.of(json.loads(job.recipe)), job.two_theta)


@lru_cache(maxsize=2)
def _engine(job: SeriesJob) -> SeriesEngine:
    recipe = Recipe.of(json.loads(job.recipe))
    return start_series(probe_patterns(job.stack()), recipe.phases or ("hydroxyapatite",), recipe, free=_free(job.free))


def _free(names: Sequence[str]) -> Free:
    return "all" if tuple(names) == ("all",) else tuple(names)


def chunk_of(n: int) -> int:
    """Number of patterns per chunk for a series of n, which does not depend on the number of workers."""
    return min(max(min(max(-(-n // 200), _FEWEST), _USUAL), -(-n // _MANY)), _MOST)


def _bytes_of(block: Block) -> bytes:
    arrays = [block.intensities, *([] if block.sigmas is None else [block.sigmas])]
    digest = hashlib.sha256(json.dumps(block.problems).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


@dataclass(frozen=True, kw_only=True)
class SeriesProgress:
    """One finished chunk: its number, its number of patterns, and whether it existed already."""

    number: int
    patterns: int
    kept: bool
    digest: str


@dataclass(frozen=True, kw_only=True)
class SeriesRun:
    """A series being processed, from its patterns to a table.

    `target` is the table: one Parquet file or, if `partitioned`, a folder of them, which any reader of Parquet treats
    as one table. `scheduler` is the address of a Dask scheduler, or ``"local"``.
    """

    job: SeriesJob
    target: Path
    workers: int = 1
    scheduler: str = ""
    partitioned: bool = False
    overwrite: bool = False
    known: tuple[str, ...] = field(default=(), repr=False)  # hashes of the chunks of a table that stands there

    @property
    def stack(self) -> Stack:
        """Where the patterns lie."""
        return self.job.stack()

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-len(self.stack) // self.job.chunk)

    def work(self) -> Iterator[SeriesProgress]:
        """Do the remaining chunks in order; then assemble the table."""
        Path(self.job.parts).mkdir(parents=True, exist_ok=True)
        items = ((number, self.known[number] if self.known else "") for number in range(self.chunks))
        digests, kept = [], True
        for done in spread(partial(_write_part, self.job), items, workers=self.workers, scheduler=self.scheduler):
            found = done.given()
            digests.append(found.digest)
            yield found
        kept = tuple(digests) == self.known
        if not self.partitioned:
            if not kept:
                self._put_together(digests)
            _remove_parts(self.job)

    def _put_together(self, digests: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        earlier = pq.ParquetFile(self.target) if self.known else None
        first = _part_or_group(self.job, 0, earlier, digests[0])
        schema = first.schema.with_metadata(
            {**(first.schema.metadata or {}), _CHUNKS: json.dumps({"key": self.job.key, "chunks": digests}).encode()}
        )
        with (
            whole_file(self.target, overwrite=self.overwrite or bool(self.known)) as work,
            pq.ParquetWriter(work, schema, compression="zstd") as writer,
        ):
            for number, digest in enumerate(digests):
                table = _part_or_group(self.job, number, earlier, digest)
                writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Table of each chunk, of all or some columns, so that memory stays flat."""
        import pyarrow.parquet as pq

        chosen = None if columns is None else list(columns)
        if self.partitioned:
            for number in range(self.chunks):
                yield pq.ParquetFile(self.job.part(number)).read(columns=chosen)
            return
        file = pq.ParquetFile(self.target)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=chosen)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column of the table; "" for text."""
        return _units(self.job)

    def failed(self) -> int:
        """Patterns that could not be fitted."""
        return sum(len(table) - table["problem"].null_count for table in self.tables(["problem"]))

    def write_csv(self) -> list[Path]:
        """Write the table as CSV, with its description (CSV on the Web), beside it."""
        csv = self.target.with_suffix(".csv")
        described = csv.with_name(csv.name + "-metadata.json")
        with whole_file(csv, overwrite=self.overwrite or _starts_as_ours(csv)) as work, work.open("wb") as stream:
            for number, table in enumerate(self.tables()):
                frame = table.to_pandas().map(no_formula)
                stream.write(frame.to_csv(index=False, header=not number, lineterminator="\n").encode())
        write_whole(described, csv_description(csv.name, self.units, "pattern"), overwrite=self.overwrite)
        return [csv, described]


def start_run(  # noqa: PLR0913 - what may be said of a run
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    recipe: Recipe,
    *,
    two_theta: str = "",
    free: Free = FREE,
    chunk: int | None = None,
    workers: int = 1,
    scheduler: str = "",
    partitioned: bool = False,
    resume: bool = True,
    overwrite: bool = False,
) -> SeriesRun:
    """Open a series, make its common fit, and find out what has been done already.

    Raises
    ------
    ReadError, AnalysisError, RecipeError
        Nothing that can be read or fitted there.
    OutputError
        A target that was not written by xrdcomp.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as missing:
        raise MissingExtraError("a series is written as Parquet: pip install 'xrdcomp[batch]'") from missing
    path = Path(target).absolute()
    stack, probe = open_series(source, recipe, two_theta), hashlib.sha256()
    for place in probe_of(len(stack)):
        probe.update(_bytes_of(stack.read(place, place + 1)))
    size = chunk or chunk_of(len(stack))
    names = ("all",) if free == "all" else tuple(free)
    told = [xrdcomp.__version__, settings_hash(recipe), names, size, list(stack.shape), probe.hexdigest(), two_theta]
    told += [hashlib.sha256(stack.two_theta.tobytes()).hexdigest(), repr(stack.emission_lines)]
    name, mark, inner = os.fspath(source).partition("::")
    here = (name if "://" in name else str(Path(name).absolute())) + mark + inner
    job = SeriesJob(
        source=here, two_theta=two_theta, recipe=json.dumps(recipe.to_dict()), free=names, chunk=size,
        parts=str(path) if partitioned else f"{path}{PARTS}",
        key=hashlib.sha256(json.dumps(told).encode()).hexdigest(),
    )  # fmt: skip
    run = SeriesRun(
        job=job, target=path, workers=workers, scheduler=scheduler, partitioned=partitioned, overwrite=overwrite
    )
    if partitioned and path.is_file():
        raise OutputError(f"{path} is a file; nothing was written. Choose another name for the partitions.")
    if not partitioned and path.exists():
        known = _known(path, job.key) if resume else None
        if known is None and _ours(path) is None:
            refuse_foreign(path, overwrite=overwrite)
        run = replace(run, known=known or (), overwrite=True)
    if not resume:
        _remove_parts(job)
    _engine(job)  # before any process is forked from this one, which then has it
    return run


def _ours(table: Path) -> dict[str, Any] | None:
    """Hashes that stand in a table of ours; None for any other file."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        found: dict[str, Any] = json.loads((pq.read_schema(table).metadata or {})[_CHUNKS])
    except (OSError, KeyError, ValueError, ArrowException):
        return None
    return found


def _known(table: Path, key: str) -> tuple[str, ...] | None:
    found = _ours(table)
    return tuple(found["chunks"]) if found is not None and found.get("key") == key else None


def _digest_in(part: Path) -> str:
    """Hash of the chunk that a partition is of; "" where there is none."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        return str((pq.read_schema(part).metadata or {}).get(_DIGEST, b""), "ascii")
    except (OSError, ValueError, ArrowException):
        return ""


def _part_or_group(job: SeriesJob, number: int, earlier: Any, digest: str) -> pa.Table:
    import pyarrow.parquet as pq

    part = job.part(number)
    if _digest_in(part) == digest:
        return pq.read_table(part)
    if earlier is None:
        msg = f"{part} is gone or was changed while the series ran; the same command makes it again."
        raise OutputError(msg)
    return earlier.read_row_group(number)


def _remove_parts(job: SeriesJob) -> None:
    folder = Path(job.parts)
    for part in [*folder.glob("part-*.parquet"), *folder.glob(".part-*")]:
        part.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)


def _units(job: SeriesJob) -> dict[str, str]:
    """Columns with their units: number of the pattern, coordinates, quantities, and what was wrong."""
    own = job.engine().units
    coordinates = {_coordinate_column(name, own): unit for name, unit in job.stack().units.items()}
    return {"pattern": "1", **coordinates, **own, "problem": ""}


def _coordinate_column(name: str, own: Mapping[str, str]) -> str:
    return coordinate_column(name, ("pattern", "problem", *own))


def _write_part(job: SeriesJob, item: tuple[int, str]) -> SeriesProgress:
    """Do one chunk: read, fit, write; nothing where its file, or the table, has it from the same patterns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if xrdcomp.__version__ != job.version:
        msg = f"this worker has xrdcomp {xrdcomp.__version__}, the series was started with {job.version}."
        raise XrdcompError(msg)
    number, known = item
    stack = job.stack()
    start, stop = number * job.chunk, min((number + 1) * job.chunk, len(stack))
    block, coordinates = stack.read(start, stop), stack.coordinates(start, stop)
    digest = hashlib.sha256(job.key.encode() + _bytes_of(block))
    for name, values in coordinates.items():
        digest.update(f"{name}{values.tolist()}".encode())
    own = digest.hexdigest()[:32]
    done = SeriesProgress(number=number, patterns=stop - start, kept=True, digest=own)
    if own in (known, _digest_in(job.part(number))):
        return done
    rows = series_rows(job.engine(), block.intensities, block.sigmas)
    units = _units(job)
    columns: dict[str, Any] = {"pattern": np.arange(start, stop)}
    columns |= {_coordinate_column(name, job.engine().units): values for name, values in coordinates.items()}
    columns |= dict(zip(job.engine().units, rows.T, strict=True))
    unfitted = [bool(np.isnan(row).all()) for row in rows]
    columns["problem"] = [
        problem or ("the fit found no minimum, or there is nothing to fit" if bad else None)
        for problem, bad in zip(block.problems, unfitted, strict=True)
    ]
    schema = arrow_schema(units, whole=("pattern",)).with_metadata(
        {"creator": "xrdcomp", "units": json.dumps(units), _DIGEST: own}
    )
    with whole_file(job.part(number), overwrite=True) as work:
        pq.write_table(pa.table(columns, schema=schema), work, compression="zstd")
    return replace(done, kept=False)


def _starts_as_ours(csv: Path) -> bool:
    try:
        with csv.open("rb") as stream:
            return stream.read(8) == b"pattern,"
    except OSError:
        return False


# --- what is drawn


def view_of(run: SeriesRun, *, bins: int = 600) -> SeriesView:
    """Bin a series for its figure, chunk by chunk."""
    stack, units = run.stack, run.units
    names = [name for name in run.job.engine().units if f"{name}_std" in units and units[name] != "1/nm"] + ["rwp"]
    shape = stack.shape if len(stack.shape) == 2 else (len(stack),)
    fewer = [-(-size // bins) for size in shape]
    size = tuple(-(-n // k) for n, k in zip(shape, fewer, strict=True))
    wanted = [name for name in names if name in units] + [f"{name}_std" for name in names if f"{name}_std" in units]
    sums, counts = np.zeros((len(wanted), *size)), np.zeros((len(wanted), *size))
    for table in run.tables(["pattern", *wanted]):
        place = np.unravel_index(table["pattern"].to_numpy(), shape)
        index = tuple(p // k for p, k in zip(place, fewer, strict=True))
        for row, name in enumerate(wanted):
            values = table[name].to_numpy()
            good = np.isfinite(values)
            at = tuple(i[good] for i in index)
            np.add.at(sums[row], at, values[good])
            np.add.at(counts[row], at, 1.0)
    with np.errstate(invalid="ignore"):
        means = dict(zip(wanted, sums / counts, strict=True))
    axes = []
    for d, (n, k) in enumerate(zip(shape, fewer, strict=True)):
        name, values = stack.axes[d] if len(stack.axes) == len(shape) else ("pattern", np.arange(n, dtype=float))
        unit = "" if name not in stack.units or stack.units[name] == "1" else stack.units[name]
        axes.append((name, unit, np.array([values[i : i + k].mean() for i in range(0, n, k)])))
    return SeriesView(
        axes=tuple(axes), quantities={name: means[name] for name in names if name in means},
        stds={name: means[f"{name}_std"] for name in names if f"{name}_std" in means}, units=units,
    )  # fmt: skip
