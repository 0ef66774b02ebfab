"""History of an instrument: check runs of standards in an SQLite file, its charts, and what an analysis says of them.

The file is append-only (triggers refuse changes), in write-ahead mode where the file system has it, so that readers and
writers do not wait for each other; each record is one transaction, on the disk before it is confirmed. Nothing is
deleted: a run that must not count is excluded with a reason, a service begins a new baseline. Each call opens the file
and closes it, so that any number of processes may use it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

import xrdcomp
from xrdcomp.data import Diagnostic, Pattern, Record, TgaRun, message_kind
from xrdcomp.disk import whole_file
from xrdcomp.errors import OutputError, ReadError, RecipeError, printable
from xrdcomp.instrument.control import BASELINE_RUNS, RULES, control_chart
from xrdcomp.recipe import HistoryRecipe
from xrdcomp.results import ControlChart, Estimate

APPLICATION_ID = 0x78726463
"""``xrdc``: tells the program's histories from other SQLite files."""
PATIENCE_S = 60.0
"""How long a writer waits for others; a transaction takes milliseconds."""
Kind = Literal["xrd", "tga"]
_SECONDS = "CAST(strftime('%s', {}) AS INTEGER)"
_EXCLUDED = "(SELECT reason FROM event WHERE event.kind = 'exclusion' AND event.run = run.id)"
_EXPECTED = "a history that `xrdcomp qc record` made"

OUT_OF_CONTROL = message_kind(
    "INSTRUMENT_OUT_OF_CONTROL", "warning",
    "The last check run of the instrument lies beyond its control limits.",
    remedy="Measure the check standard again; if it is still out of control, have the instrument serviced and record "
        "the service.",
    threshold="Westgard's rules 1-3s, 2-2s and R-4s",
    origin="Westgard et al. 1981, Clin. Chem. 27, 493; false-alarm rates in the drift study", concerns=("xrd",),
)  # fmt: skip
DRIFTS = message_kind(
    "INSTRUMENT_DRIFTS", "warning", "Check runs of the instrument drift, although the last one is within its limits.",
    remedy="Look for the cause before the limits are reached.",
    threshold="CUSUM beyond 5 standard deviations, four runs beyond 1 or ten on one side",
    origin="ISO 7870-4 and Westgard et al. 1981; run lengths in the drift study", concerns=("xrd",),
)  # fmt: skip
NOT_CHECKED = message_kind(
    "INSTRUMENT_NOT_CHECKED", "warning",
    "The history contains no check run from the time before the measurement, or too few for a baseline.",
    remedy="Measure the check standard and record it with `xrdcomp qc record`.",
    threshold="`history.interval_days` before the measurement, `history.baseline_runs` runs",
    origin="settings of the laboratory", concerns=("xrd",),
)  # fmt: skip

MIGRATIONS = (
    """
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('xrd', 'tga')),
        instrument TEXT NOT NULL CHECK (instrument <> ''),
        standard TEXT NOT NULL CHECK (standard <> ''),
        measured_at TEXT NOT NULL,   -- UTC, ISO 8601
        dated_by TEXT NOT NULL,      -- who says so: file, user, or time stamp of the file
        recorded_at TEXT NOT NULL,
        file TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        conditions TEXT NOT NULL,
        operator TEXT NOT NULL,
        note TEXT NOT NULL,
        xrdcomp TEXT NOT NULL        -- version of the program that measured the values
    );
    CREATE UNIQUE INDEX run_once ON run (instrument, standard, sha256) WHERE sha256 <> '';
    CREATE TABLE value (
        run INTEGER NOT NULL REFERENCES run (id),
        quantity TEXT NOT NULL,
        value REAL NOT NULL,
        std REAL,
        unit TEXT NOT NULL,
        PRIMARY KEY (run, quantity)
    ) WITHOUT ROWID;
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('service', 'exclusion')),
        instrument TEXT NOT NULL,
        at TEXT NOT NULL,
        run INTEGER REFERENCES run (id),
        reason TEXT NOT NULL CHECK (reason <> ''),
        recorded_at TEXT NOT NULL
    );
    """,
    """
    CREATE INDEX run_in_time ON run (instrument, standard, measured_at);
    CREATE INDEX value_by_quantity ON value (quantity, run);
    """
    + "".join(
        f"CREATE TRIGGER {table}_stays_{what.lower()} BEFORE {what} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'a history is append-only'); END;\n"
        for table in ("run", "value", "event")
        for what in ("UPDATE", "DELETE")
    ),
)
"""Steps from an empty file to the present schema; ``user_version`` counts those done."""


@dataclass(frozen=True, kw_only=True)
class CheckRun:
    """One run of a check standard.

    Attributes
    ----------
    kind : str
        Kind of instrument.
    instrument, standard : str
        Names (srm660c, empty_holder …).
    measured_at : datetime
        With its time zone.
    values : mapping of str to Estimate
        The quantities measured.
    dated_by : str
        Who says when it was measured.
    file, sha256 : str
        The measurement, which is recorded once.
    conditions : str
        How it was measured, so that runs of another program are noticed.
    operator, note : str
        Free text.
    """

    kind: Kind
    instrument: str
    standard: str
    measured_at: datetime
    values: Mapping[str, Estimate]
    dated_by: str = "user"
    file: str = ""
    sha256: str = ""
    conditions: str = ""
    operator: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Number of a run in the history; whether it is new; conditions of the run before it where they were others."""

    id: int
    new: bool
    other_conditions: str = ""


@dataclass(frozen=True, kw_only=True)
class InstrumentHistory(Record):
    """History of check runs in an SQLite file; several processes may read and record at the same time.

    Attributes
    ----------
    path : Path
        The file; the first `record` makes it.
    """

    path: str | os.PathLike[str]

    def record(self, run: CheckRun) -> Recorded:
        """Record a run, which is on the disk when this returns; one that is there already, by its SHA-256, stays.

        Raises ReadError for a file that is no history or is damaged, RecipeError for a run without values.
        """
        values = {name: value for name, value in run.values.items() if math.isfinite(value.value)}
        if not values or not run.instrument.strip() or not run.standard.strip():
            raise RecipeError("a check run needs the names of instrument and standard, and a number at least.")
        with self._writing() as base:
            key = (run.instrument, run.standard, run.sha256)
            known = "SELECT id FROM run WHERE instrument = ? AND standard = ? AND sha256 = ? AND sha256 <> ''"
            if row := base.execute(known, key).fetchone():
                return Recorded(id=row[0], new=False)
            before = base.execute(
                "SELECT conditions FROM run WHERE instrument = ? AND standard = ? ORDER BY measured_at DESC LIMIT 1",
                key[:2],
            ).fetchone()
            columns = {
                "kind": run.kind, "instrument": run.instrument, "standard": run.standard,
                "measured_at": _stamp(run.measured_at), "dated_by": run.dated_by,
                "recorded_at": _stamp(datetime.now(UTC)),
                "file": run.file, "sha256": run.sha256, "conditions": run.conditions, "operator": run.operator,
                "note": run.note, "xrdcomp": xrdcomp.__version__,
            }  # fmt: skip
            marks = ", ".join("?" * len(columns))
            texts = [printable(text) for text in columns.values()]
            number = base.execute(f"INSERT INTO run ({', '.join(columns)}) VALUES ({marks})", texts).lastrowid
            rows = [(number, name, float(e.value), e.std, e.unit) for name, e in values.items()]
            base.executemany("INSERT INTO value VALUES (?, ?, ?, ?, ?)", rows)
        changed = before is not None and before[0] != run.conditions
        return Recorded(id=int(number or 0), new=True, other_conditions=before[0] if changed else "")

    def service(self, instrument: str, reason: str, at: datetime | None = None) -> None:
        """Note what was done to an instrument; a new baseline begins with the next run after it."""
        self._event("service", instrument, reason, at or datetime.now(UTC), None)

    def exclude(self, run: int, reason: str) -> None:
        """Exclude a run from baselines and rules, with the reason; it stays on the chart and in the file."""
        with self._reading() as base:
            row = base.execute("SELECT instrument FROM run WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise RecipeError(f"{self._name}: there is no run {run}. `xrdcomp qc export` lists them.")
        self._event("exclusion", row[0], reason, datetime.now(UTC), run)

    def _event(self, kind: str, instrument: str, reason: str, at: datetime, run: int | None) -> None:
        if not reason.strip():
            raise RecipeError(f"an {kind} needs a reason.")
        with self._writing() as base:
            row = (kind, instrument, _stamp(at), run, printable(reason), _stamp(datetime.now(UTC)))
            base.execute("INSERT INTO event (kind, instrument, at, run, reason, recorded_at) VALUES (?,?,?,?,?,?)", row)

    def quantities(self) -> list[dict[str, Any]]:
        """What there is to be charted: kind, instrument, standard, quantity, unit, number of runs, last run (UTC)."""
        names = ("kind", "instrument", "standard", "quantity", "unit", "runs", "last")
        with self._reading() as base:
            rows = base.execute(
                "SELECT kind, instrument, standard, quantity, MAX(unit), COUNT(*), MAX(measured_at) FROM run "
                "JOIN value ON value.run = run.id GROUP BY kind, instrument, standard, quantity ORDER BY 1, 2, 3, 4"
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def chart(
        self,
        instrument: str,
        standard: str,
        quantity: str,
        *,
        until: datetime | None = None,
        baseline_runs: int = BASELINE_RUNS,
    ) -> ControlChart:
        """Chart of a quantity, of runs up to `until`, whose first `baseline_runs` are held to be in control."""
        end = _stamp(until) if until is not None else "9"
        with self._reading() as base:
            rows = base.execute(
                f"SELECT run.id, {_SECONDS.format('measured_at')}, value, unit, {_EXCLUDED} FROM run "
                "JOIN value ON value.run = run.id WHERE instrument = ? AND standard = ? AND quantity = ? "
                "AND measured_at <= ? ORDER BY measured_at, run.id",
                (instrument, standard, quantity, end),
            ).fetchall()
            services = base.execute(
                f"SELECT {_SECONDS.format('at')}, reason FROM event "
                "WHERE kind = 'service' AND instrument = ? AND at <= ?",
                (instrument, end),
            ).fetchall()
        return control_chart(
            np.array([row[1] for row in rows], dtype=np.float64), np.array([row[2] for row in rows], dtype=np.float64),
            services={float(at): reason for at, reason in services},
            excluded={number: row[4] for number, row in enumerate(rows) if row[4]},
            baseline_runs=baseline_runs, instrument=instrument, standard=standard, quantity=quantity,
            unit=rows[-1][3] if rows else "",
        )  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """Every value with its run, in the order of recording."""
        with self._reading() as base:
            found = base.execute(
                f"SELECT run.*, quantity, value, std, unit, {_EXCLUDED} AS excluded FROM run "
                "JOIN value ON value.run = run.id ORDER BY run.id, quantity"
            )
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

    def events(self) -> list[dict[str, Any]]:
        """Services and exclusions, in the order of recording."""
        with self._reading() as base:
            found = base.execute("SELECT * FROM event ORDER BY id")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

    def to_csv(self) -> str:
        """`rows` as CSV text."""
        stream, rows = io.StringIO(), self.rows()
        table = csv.DictWriter(stream, list(rows[0]) if rows else ["id", "xrdcomp"], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return stream.getvalue()

    def backup(self, target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Copy the history while others use it to one file, whole or not at all, and check the copy."""
        path = Path(target)
        if os.path.realpath(path) == os.path.realpath(self.path):
            raise OutputError(f"{path} is the history itself; nothing was written. Choose another name.")
        with self._reading() as base, whole_file(path, overwrite=overwrite, parents=True) as work:
            with contextlib.closing(sqlite3.connect(work)) as copy:
                base.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without the log beside it
                found = copy.execute("PRAGMA integrity_check").fetchone()[0]
            if found != "ok":
                raise ReadError(f"the history is damaged: {found}", file=self._name, hint="Take an earlier backup.")
        return path

    # How the file is opened

    @property
    def _name(self) -> str:
        return os.fspath(self.path)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._words():
            if not Path(self.path).is_file():
                raise ReadError("there is no such file", file=self._name, expected=_EXPECTED)
            uri = Path(self.path).resolve().as_uri()
            try:
                base = self._connected(f"{uri}?mode=ro")
            except sqlite3.OperationalError:
                if Path(f"{self.path}-wal").exists():  # others write in it
                    raise
                base = self._connected(f"{uri}?mode=ro&immutable=1")  # a folder in which no log can be made
            with contextlib.closing(base):
                version = base.execute("PRAGMA user_version").fetchone()[0]
                if version < len(MIGRATIONS):  # one of an earlier version, or without any record
                    with self._writing():
                        pass
                base.execute("BEGIN")  # one state of the file, whatever others write meanwhile
                yield base

    def _connected(self, uri: str) -> sqlite3.Connection:
        base = sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)
        try:
            self._refuse_foreign(base)
        except BaseException:
            base.close()
            raise
        return base

    def _refuse_foreign(self, base: sqlite3.Connection) -> None:
        tables = base.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if tables and base.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise ReadError("this is a database of another program", file=self._name, expected=_EXPECTED)
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            what = f"the history has schema {version}, this program knows {len(MIGRATIONS)}"
            raise ReadError(what, file=self._name, hint="Use a newer xrdcomp.")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open the file, made or brought to the present schema where needed; commit when the block ends well."""
        with self._words():
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=PATIENCE_S, isolation_level=None)) as base:
                self._refuse_foreign(base)
                _patiently(base, "PRAGMA journal_mode = WAL")  # "delete" stays where a file system has no shared memory
                base.execute("PRAGMA synchronous = FULL")
                base.execute("PRAGMA foreign_keys = ON")
                base.execute("BEGIN IMMEDIATE")
                try:
                    done = base.execute("PRAGMA user_version").fetchone()[0]
                    for step in MIGRATIONS[done:]:
                        for statement in _statements(step):
                            base.execute(statement)
                    base.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    base.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
                    yield base
                except BaseException:
                    base.execute("ROLLBACK")
                    raise
                base.execute("COMMIT")

    @contextmanager
    def _words(self) -> Iterator[None]:
        """Turn what SQLite and the operating system say into words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = "Check name, permission, and whether another program holds it."
            raise ReadError(f"the history cannot be used: {error}", file=self._name, hint=hint) from error
        except sqlite3.DatabaseError as error:
            hint = "Take the last backup (`xrdcomp qc backup`)."
            raise ReadError(str(error), file=self._name, expected=_EXPECTED, hint=hint) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReadError(f"the history cannot be used: {reason}", file=self._name) from error


def _patiently(base: sqlite3.Connection, statement: str) -> None:
    """Execute what SQLite refuses at once, without waiting, while another connection is busy."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            base.execute(statement)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01 + 0.02 * random.random())
        else:
            return


def _statements(script: str) -> Iterator[str]:
    """Statements of a script one by one: executescript would commit what it is part of."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def _stamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise RecipeError(f"{moment}: a time needs its zone, e.g. 2026-01-31T12:00+01:00.")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stated_time(measured: Pattern | TgaRun | None) -> datetime | None:
    """When a measurement was made, where its file says so in ISO 8601; without a zone it is the computer's."""
    text = str(measured.metadata.get("date", "")) if measured is not None else ""
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# What an analysis says


def instrument_charts(
    recipe: HistoryRecipe, pattern: Pattern | None, run: TgaRun | None
) -> tuple[tuple[ControlChart, ...], tuple[Diagnostic, ...]]:
    """Charts of the instruments of a specimen up to its measurement, and messages where one is not in control."""
    history = InstrumentHistory(path=recipe.file)
    known = history.quantities()
    charts: list[ControlChart] = []
    messages: list[Diagnostic] = []
    measured: dict[str, tuple[str, Pattern | TgaRun | None]] = {
        "xrd": (recipe.diffractometer, pattern), "tga": (recipe.thermobalance, run),
    }  # fmt: skip
    for kind, (name, item) in measured.items():
        if item is None:
            continue
        names = {row["instrument"] for row in known if row["kind"] == kind}
        setting = "history.diffractometer" if kind == "xrd" else "history.thermobalance"
        if (name and name not in names) or (not name and len(names) > 1):
            what = f"{name!r} is not in {recipe.file}" if name else f"{recipe.file} holds several"
            raise RecipeError(f"{setting}: {what}. Expected one of: {', '.join(sorted(names)) or 'none is there'}.")
        own = [row for row in known if row["kind"] == kind and row["instrument"] in (name or names)]
        moment = stated_time(item)
        found = [
            history.chart(
                row["instrument"], row["standard"], row["quantity"], until=moment, baseline_runs=recipe.baseline_runs
            )
            for row in own
        ]
        charts += found
        messages += _said(found, kind, recipe, moment or datetime.now(UTC))
    return tuple(charts), tuple(messages)


def _said(charts: list[ControlChart], kind: str, recipe: HistoryRecipe, moment: datetime) -> Iterator[Diagnostic]:
    what = "diffractometer" if kind == "xrd" else "thermobalance"
    last = max((float(chart.times[-1]) for chart in charts if len(chart.times)), default=None)
    days = math.inf if last is None else (moment.timestamp() - last) / 86400.0
    if days > recipe.interval_days:
        when = "no check run" if last is None else f"its last check run {days:.0f} days"
        text = (
            f"The history holds {when} of the {what} before the measurement; {recipe.interval_days:g} days are "
            "allowed. Measure the check standard and record it."
        )
        yield NOT_CHECKED.at(kind)(text, **({} if last is None else {"days": days}))
        return
    if all(chart.state == "baseline" for chart in charts):
        runs = max(int(chart.counted.sum()) for chart in charts)
        text = f"The baseline of the {what} has {runs} of {recipe.baseline_runs} check runs: it cannot be judged yet."
        yield NOT_CHECKED.at(kind)(text, runs=runs)
    for state, message in (("out_of_control", OUT_OF_CONTROL), ("drifting", DRIFTS)):
        bad = [chart for chart in charts if chart.state == state]
        if not bad:
            continue
        parts = [f"{chart.quantity} of {chart.standard}: {_in_words(chart)}" for chart in bad]
        head = "is out of control" if state == "out_of_control" else "drifts"
        text = f"The {what} {bad[0].instrument} {head} by its last check run: {'; '.join(parts)}."
        yield message.at(kind)(text, quantities=", ".join(chart.quantity for chart in bad), days_since_check=days)


def _in_words(chart: ControlChart) -> str:
    """Score of the last run, rules that it breaks, and where a drift leads."""
    score = chart.to_dict()["score"]
    told = f"{score:+.1f} standard deviations, " + ", ".join(RULES[rule] for rule in chart.rules_now if rule != "1_2s")
    if chart.drift_per_month is not None:
        told += f", {chart.drift_per_month:+.2g} standard deviations a month"
    if chart.days_to_limit:
        told += f", the limit of 3 in {chart.days_to_limit:.0f} days"
    return told
