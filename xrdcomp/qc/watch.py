"""Analysis of the files of a folder as instruments finish writing them, once each, with the verdict of a policy.

A file is finished when size and time have not changed for a while and it can be read to its end. How long a while is
adapts: three times the longest pause that was seen between two writes in this folder. A file that cannot be read is
waited for, and reported as damaged when nothing has come for longer than an instrument pauses. What was analysed stands
in the ledger of `xrdcomp.batch.run`, so that a watch that was killed goes on where it was. The folder is polled,
because network shares tell nothing; with the package watchfiles a change on a local disk is seen at once.
"""

from __future__ import annotations

import importlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xrdcomp import disk
from xrdcomp.batch.run import Asked, ledger_rows, run_batch
from xrdcomp.batch.specimens import Specimen, find_specimens, is_empty_by_name, kind_of, name_of, paired_by_name
from xrdcomp.batch.tables import failed_row, to_dataframe, write_tables
from xrdcomp.errors import OutputError, ReadError, RecipeError
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.io.registry import all_readers, find_reader
from xrdcomp.io.source import open_source
from xrdcomp.qc.policy import VERDICT_WORDS, Judgement, Policy, judge, without_result
from xrdcomp.recipe import Recipe

STATE = ".xrdcomp-watch.json"
"""File below the results that tells which content was analysed under which name, so that a renamed file is known."""
LOCK = ".xrdcomp-watch.lock"
TEMPORARY = {"tmp", "temp", "part", "partial", "crdownload", "filepart", "swp", "lock", "bak", "writing"}
"""Endings of files that programs write and then rename."""
PAUSES = 3.0
"""A file is finished after this many times the longest pause between two writes."""
State = Literal["growing", "waiting", "ready", "damaged", "left_out", "copy"]


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """How a folder is watched.

    In seconds: how often it is looked at (`interval_s`), how long a finished file has not changed (`settle_s`), how
    long a pattern waits for its run or a run for its pattern (`pair_wait_s`), and after which time without a change a
    file that cannot be read is damaged (`patience_s`). `once` ends when nothing is to come.
    """

    interval_s: float = 2.0
    settle_s: float = 10.0
    pair_wait_s: float = 60.0
    patience_s: float = 300.0
    once: bool = False
    workers: int = 1
    figures: bool = False
    report: bool = False
    scan: int | None = None
    input_format: str | None = None
    manifest: str | None = None
    blank: str | None = None


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What happened to a specimen or a file: its row, the verdict of the policy, whether an earlier watch did it.

    `damaged` is the reason why a file (`name`) will not be analysed; `row` and `judgement` are then None.
    """

    name: str
    row: Mapping[str, Any] | None = None
    judgement: Judgement | None = None
    resumed: bool = False
    damaged: str = ""


@dataclass(kw_only=True)
class _File:
    """What is known of a file: size and time of change, since when they are the same, what it was found to be."""

    path: Path
    signature: tuple[int, int]
    since: float
    state: State = "growing"
    kind: str = ""
    sha256: str = ""
    reason: str = ""
    look_again: float = 0.0
    ready_since: float = 0.0


@dataclass
class _Watch:
    """Files of a folder over time, and what became of them."""

    folder: Path
    out: Path
    recipe: Recipe
    policy: Policy
    options: WatchOptions
    files: dict[str, _File] = field(default_factory=dict)
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    judged: dict[str, Judgement] = field(default_factory=dict)
    done: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # file name under which a content was analysed, by SHA-256
    told: set[tuple[str, tuple[int, int]]] = field(default_factory=set)
    analysed: set[str] = field(default_factory=set)  # contents, by SHA-256
    held: int = 0  # specimens that wait for a file
    looked: bool = False
    problem: str = ""
    longest_pause: float = 0.0
    listed: tuple[Specimen, ...] = ()
    listed_at: tuple[int, int] | None = None

    # Files

    def look(self) -> None:
        """Notice files that are new, have changed or are gone, and judge those that have not changed for a while."""
        now, seen = time.monotonic(), set()
        try:
            candidates = self._candidates()
        except ReadError as error:
            if not self.looked:
                raise
            self.problem = str(error)  # a network share that is away for a while ends no watch
            return
        self.looked, self.problem = True, ""
        for path in candidates:
            try:
                info = path.stat()
            except OSError:
                continue  # renamed or taken away since it was listed
            if not stat.S_ISREG(info.st_mode):
                continue
            seen.add(path.name)
            signature = (info.st_size, info.st_mtime_ns)
            known = self.files.get(path.name)
            if known is None:
                self.files[path.name] = _File(path=path, signature=signature, since=now)
            elif known.signature != signature:
                if known.state in ("growing", "waiting"):  # a finished file that changes is a new one, no pause
                    self.longest_pause = max(self.longest_pause, now - known.since)
                self.files[path.name] = _File(path=path, signature=signature, since=now)
        for name in set(self.files) - seen:
            del self.files[name]
        for file in self.files.values():
            if file.state in ("growing", "waiting") and now >= max(file.look_again, file.since + self._settle()):
                self._judge(file, now)

    def _candidates(self) -> list[Path]:
        try:
            with os.scandir(self.folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReadError(f"the folder cannot be read: {reason}", file=str(self.folder)) from error
        hidden = (".", "~", "#")
        own = {os.path.realpath(name) for name in (self.options.manifest, self.options.blank) if name}
        paths = [self.folder / name for name in names if not name.startswith(hidden) and not name.endswith("~")]
        return [
            path
            for path in paths
            if path.suffix.lower().lstrip(".") not in TEMPORARY and os.path.realpath(path) not in own
        ]

    def _settle(self) -> float:
        """Seconds without a change after which a file is finished."""
        return min(max(self.options.settle_s, PAUSES * self.longest_pause), self.options.patience_s)

    def _judge(self, file: _File, now: float) -> None:
        """Say what a file is that has not changed for a while, or wait further where it may not be whole."""
        patience = now - file.since >= self.options.patience_s
        try:
            if not patience and not _ends_with_a_line(file.path) and now - file.since < PAUSES * self._settle():
                file.state, file.reason = "waiting", "its last line has no end"
                return
            source = open_source(file.path)
            file.sha256 = source.sha256
            named = find_reader(self.options.input_format) if self.options.input_format else None
            file.kind = kind_of(source) or (named.kind if named else "")
            own = named.id if named and named.kind == file.kind else None
            if file.kind == "xrd":
                read_xrd(source, scan=self.options.scan or 0, format=own)
            elif file.kind == "tga":
                read_tga(source, format=own)
            info = file.path.stat()
            if (info.st_size, info.st_mtime_ns) != file.signature:
                return  # it was written to while it was read; the next look sees that
            problem = "" if file.kind else "no reader knows it"
        except (ReadError, OSError) as error:
            problem = str(error)
        if not problem:
            file.ready_since, file.reason = now, ""
            if is_empty_by_name(file.path):
                file.state, file.reason = "left_out", "an empty holder or pan by its name"
            elif file.kind == "xrd_frame":
                file.state, file.reason = "left_out", "a frame: integrate it first"
            else:
                file.state = "ready"
        elif not file.kind and not _looks_like_a_measurement(file.path):
            file.state, file.reason = "left_out", "neither a pattern nor a run"
        elif patience:
            file.state, file.reason = "damaged", problem
        else:
            file.state, file.reason = "waiting", problem
            file.look_again = now + self._settle()

    # Specimens

    def due(self) -> list[Specimen]:
        """Specimens whose files are finished and that were not analysed with these files."""
        self._know_copies()
        found = self._of_manifest() if self.options.manifest else self._by_name()
        due = []
        for specimen in found:
            if self.options.blank and specimen.xrd and not specimen.blank:
                specimen = Specimen(**{**vars(specimen), "blank": self.options.blank})
            key = tuple(sorted((kind, self._content(file)) for kind, file in specimen.files.items()))
            key += (("problem", specimen.problem),)
            if self.done.get(specimen.sample_id) != key:
                self.done[specimen.sample_id] = key
                due.append(specimen)
        return due

    def _content(self, file: str) -> str:
        known = self.files.get(Path(file).name)
        return known.sha256 if known is not None and Path(file).parent == self.folder else file

    def _know_copies(self) -> None:
        """Leave out files whose content was analysed under another name, or stands there under one before them."""
        for name, file in sorted(self.files.items()):
            if file.state not in ("ready", "copy"):
                continue
            known = self.names.get(file.sha256, name)
            other = self.files.get(known)
            present = other is not None and other.sha256 == file.sha256
            if known == name or not (present or file.sha256 in self.analysed):
                self.names[file.sha256] = name
                file.state, file.reason = "ready", ""
            else:
                how = "a copy of" if present else "analysed under its earlier name,"
                file.state, file.reason = "copy", f"{how} {known}"

    def _by_name(self) -> list[Specimen]:
        now = time.monotonic()
        kinds = {file.path: file.kind for file in self.files.values() if file.state == "ready"}
        unfinished = {name_of(f.path) for f in self.files.values() if f.state in ("growing", "waiting")}
        found = []
        self.held = 0
        for specimen in paired_by_name(kinds):
            files = [self.files[Path(name).name] for name in specimen.files.values()]
            waited = now - max(file.ready_since for file in files)
            alone = len(specimen.files) == 1
            if name_of(files[0].path) in unfinished or (alone and waited < self.options.pair_wait_s):
                self.held += 1
                continue
            found.append(specimen)
        return found

    def _of_manifest(self) -> list[Specimen]:
        path = Path(self.options.manifest or "")
        try:
            info = path.stat()
            if self.listed_at != (info.st_size, info.st_mtime_ns):
                self.listed, self.listed_at = find_specimens(path).specimens, (info.st_size, info.st_mtime_ns)
        except OSError:
            if self.listed_at is None:
                find_specimens(path)  # says in words that there is none
        except RecipeError:
            if self.listed_at is None:
                raise
            # somebody is editing it: what it said before holds until it can be read again
        return [specimen for specimen in self.listed if all(map(self._finished, specimen.files.values()))]

    def _finished(self, file: str) -> bool:
        """Whether a file of the manifest can be analysed: ready where it is of the folder, there where it is not."""
        path = Path(file)
        if os.path.realpath(path.parent) != os.path.realpath(self.folder):
            return path.is_file()
        known = self.files.get(path.name)
        return known is not None and known.state in ("ready", "copy", "left_out") and bool(known.kind)

    def analyse(self, due: Sequence[Specimen]) -> Iterator[Watched]:
        """Analyse specimens and judge their results."""
        options = self.options
        asked = Asked(
            figures=options.figures, report=options.report, scan=options.scan, input_format=options.input_format
        )
        left = list(due)
        while left:
            try:
                for entry in run_batch(
                    tuple(left), self.out, self.recipe, workers=options.workers, asked=asked
                ):  # in their order
                    yield self._noted(left.pop(0), entry.row, resumed=entry.resumed)
            except Exception as error:  # noqa: BLE001 - a defect on one specimen must not end the watch over all others
                problem = f"{error} (a defect of the program: please report it)"
                yield self._noted(left[0], failed_row(left.pop(0), type(error).__name__, problem))

    def _noted(self, specimen: Specimen, row: Mapping[str, Any], *, resumed: bool = False) -> Watched:
        name = specimen.sample_id
        self.rows[name], self.judged[name] = row, self.judgement_on(name, row)
        self.analysed |= {self._content(file) for file in specimen.files.values()}
        self.remember()
        return Watched(name=name, row=row, judgement=self.judged[name], resumed=resumed)

    def judgement_on(self, name: str, row: Mapping[str, Any]) -> Judgement:
        """Judgement on a specimen of the ledger."""
        if row.get("error"):
            return without_result(name, str(row["error"]), self.policy)
        try:
            return judge(self.out / name, self.policy)
        except ReadError as error:
            return without_result(name, str(error), self.policy)

    def damaged(self) -> Iterator[Watched]:
        """Files that were found damaged since the last call."""
        for name, file in sorted(self.files.items()):
            if file.state == "damaged" and (name, file.signature) not in self.told:
                self.told.add((name, file.signature))
                yield Watched(name=name, damaged=file.reason)

    @property
    def pending(self) -> bool:
        """Whether anything is still to come of the files that are there."""
        return (
            bool(self.problem)
            or self.held > 0
            or any(file.state in ("growing", "waiting") for file in self.files.values())
        )

    # What is kept and shown

    def remember(self) -> None:
        """Keep which content was analysed under which name."""
        names = {sha256: name for sha256, name in self.names.items() if sha256 in self.analysed}
        text = json.dumps({"written_by": "xrdcomp", "names": names}, ensure_ascii=False, indent=1)
        disk.write_whole(self.out / STATE, text + "\n")

    def recall(self) -> None:
        """Take up what an earlier watch left."""
        try:
            names = json.loads((self.out / STATE).read_bytes())["names"]
            self.names = {str(sha256): str(name) for sha256, name in names.items()}
            self.analysed = set(self.names)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.names = {}  # a copy may then be analysed once more, nothing else
        self.rows = dict(ledger_rows(self.out))
        self.judged = {name: self.judgement_on(name, row) for name, row in self.rows.items()}

    def page(self) -> dict[str, Any]:
        """What the status page shows, as plain values."""
        specimens = [
            {**self.rows[name], "qc": VERDICT_WORDS[judged.verdict], "qc_text": "\n".join(judged.complaints)}
            for name, judged in sorted(self.judged.items())
        ]
        files = [
            {"name": name, "state": file.state, "reason": file.reason, "bytes": file.signature[0]}
            for name, file in sorted(self.files.items())
            if file.state != "ready"
        ]
        about = {"folder": os.path.realpath(self.folder), "policy": self.policy.name, "problem": self.problem}
        return about | {"specimens": specimens, "files": files}


def watch_folder(
    folder: str | Path,
    out: str | Path,
    recipe: Recipe,
    policy: Policy,
    options: WatchOptions,
    *,
    shown: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> Iterator[Watched]:
    """Watch a folder, analyse what is finished into ``out/<sample_id>/`` and tell what happened, until stopped.

    With ``options.once`` it ends when nothing is to come of the files that are there. `shown` is called with the state
    of everything whenever that changes, for a page.

    Raises
    ------
    ReadError
        There is no such folder, or it cannot be read.
    RecipeError
        A manifest that is none.
    OutputError
        Results among the measurements, or another watch that writes to the same place.
    """
    here, there = Path(folder), Path(out)
    if not here.is_dir():
        raise ReadError("there is no such folder", file=str(here), expected="a folder of measurements")
    if os.path.realpath(here) == os.path.realpath(there):
        raise OutputError(f"{there}: results among the measurements would be taken for measurements. Choose another.")
    there.mkdir(parents=True, exist_ok=True)
    watch = _Watch(folder=here, out=there, recipe=recipe, policy=policy, options=options)
    with _alone(there):
        watch.recall()
        last: dict[str, Any] = {}
        wait = _waiter(here, options.interval_s)
        while True:
            watch.look()
            news = False
            for event in (*watch.damaged(), *watch.analyse(watch.due())):
                news = True
                yield event
            if news:
                write_tables(to_dataframe([watch.rows[name] for name in sorted(watch.rows)]), there)
            if (state := watch.page()) != last:
                last = state
                shown(state)
            if options.once and not watch.pending:
                return
            wait()


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Refuse a second watch that writes to the same folder; the lock goes with the process, however that ends."""
    handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if disk.fcntl is not None:
            try:
                disk.fcntl.flock(handle, disk.fcntl.LOCK_EX | disk.fcntl.LOCK_NB)
            except OSError:
                msg = f"{out}: another watch writes its results there. Choose another folder, or end that one."
                raise OutputError(msg) from None
        yield
    finally:
        os.close(handle)


def _waiter(folder: Path, interval_s: float) -> Callable[[], None]:
    """Function that waits for a change of the folder, `interval_s` at most."""
    try:
        watchfiles = importlib.import_module("watchfiles")
    except ImportError:
        return lambda: time.sleep(interval_s)
    milliseconds = max(int(1000 * interval_s), 50)
    changes = watchfiles.watch(
        folder, recursive=False, debounce=milliseconds, rust_timeout=milliseconds, yield_on_timeout=True,
        raise_interrupt=True,
    )  # fmt: skip

    def wait() -> None:
        begin = time.monotonic()
        next(changes)
        time.sleep(max(0.0, min(0.2, interval_s) - (time.monotonic() - begin)))  # a burst of writes is one look

    return wait


def _ends_with_a_line(path: Path) -> bool:
    """Whether a text ends with the end of a line; what is no text has no such sign and counts as ended."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 256, 0))
        tail = stream.read()
    return b"\0" in tail or not tail.isascii() or tail.endswith((b"\n", b"\r", b">", b"\x1a"))


def _looks_like_a_measurement(path: Path) -> bool:
    """Whether a file that no reader knows has an ending that some reader's files have."""
    suffixes = {suffix for reader in all_readers() for suffix in reader.extensions}
    name = path.with_suffix("") if path.suffix.lower() in (".gz", ".bz2") else path
    return name.suffix.lower().lstrip(".") in suffixes
