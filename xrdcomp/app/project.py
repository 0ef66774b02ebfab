"""A project on disk: measurements, one TOML file a specimen with all its earlier states, results, a cohort.

    files/NAME                    measurements, as they were dropped
    specimens/NAME.toml           recipe and measurements of a specimen; `xrdcomp analyze --recipe` repeats it
    specimens/.history/NAME/N.toml    every state that was saved
    results/NAME/RUN.toml         what a run was asked for; RUN/ is its result
    instruments/NAME.toml         calibrations; check-runs.sqlite holds check runs
    cohort.toml                   specimens that are looked at together
    .app/                         queue, facts about files, lock

Every file is written whole; a state is numbered, and saving one asks for the number that it was made from, so that two
tabs cannot undo each other's work unnoticed. No name reaches the disk unchecked, and no link is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from xrdcomp import disk
from xrdcomp.app.looks import Look, look_at
from xrdcomp.batch.specimen_file import Measured, SpecimenFile, read_specimen_file
from xrdcomp.errors import OutputError, RecipeError, XrdcompError, printable
from xrdcomp.io.source import MAX_FILE_BYTES
from xrdcomp.present.files import safe_sample_id
from xrdcomp.present.toml import to_toml
from xrdcomp.recipe import PROJECT, Recipe

FOLDERS = ("files", "specimens", "results", "instruments", ".app")
MOST_FILES = 2000
MOST_BYTES = 4 * 2**30
"""Of all measurements together: more is no project but an archive."""
SHOWN_STATES = 200
_RUN = re.compile(r"[0-9]{3,6}")


class Conflict(XrdcompError):
    """A newer state, for example from another tab, has been saved since the one that a change is based on."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a specimen: its number as text, what it was asked for, and its folder if it has a result."""

    name: str
    number: str
    asked: SpecimenFile
    result: Path | None


class Project:
    """A folder of measurements, specimens and results; safe to be used by several threads of one process."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        given = Path(root)
        if given.exists() and not given.is_dir():
            raise OutputError(f"{given}: this is no folder. Choose another --project.")
        given.mkdir(parents=True, exist_ok=True)
        self.root = given.resolve()
        for name in FOLDERS:
            self.path(name).mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._looks: dict[str, tuple[tuple[int, int], Look]] = {}
        self._claim = os.open(self.path(".app", "lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if disk.fcntl is not None:
            try:
                disk.fcntl.flock(self._claim, disk.fcntl.LOCK_EX | disk.fcntl.LOCK_NB)
            except OSError:
                os.close(self._claim)
                msg = f"{given}: another app has this project open. Use that one, end it, or choose another --project."
                raise OutputError(msg) from None

    def close(self) -> None:
        """Let another process have the project."""
        os.close(self._claim)

    def path(self, *parts: str) -> Path:
        """Place in the project, of which no part is a link or leads out of it; OutputError otherwise."""
        place = self.root
        for part in parts:
            if part in ("", ".", "..") or re.search(r"[/\\\x00-\x1f\x7f:]", part):
                raise OutputError(f"{printable(part)!r} is no name of a file. Expected: a name without folders.")
            place /= part
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISLNK(place.lstat().st_mode):
                    raise OutputError(f"{part}: this is a link; the app follows none. Put the file itself there.")
        return place

    def _write(self, data: bytes | str, *parts: str) -> Path:
        target = self.path(*parts)
        self.path(*parts[:-1]).mkdir(parents=True, exist_ok=True)
        return disk.write_whole(target, data)

    # Measurements

    def files(self) -> list[Look]:
        """What each file is, in the order of their names."""
        names = sorted((entry.name for entry in os.scandir(self.path("files"))), key=str.casefold)
        return [self.look(name) for name in names if not name.startswith(".")]

    def look(self, name: str) -> Look:
        """What a file is; remembered, on disk as well, until the file changes."""
        try:
            file = self.path("files", name)
            info = file.stat()
        except (OSError, OutputError) as error:
            return Look(name=name, problem=str(error) if isinstance(error, OutputError) else "there is no such file")
        stamp = (info.st_size, info.st_mtime_ns)
        if name in self._looks and self._looks[name][0] == stamp:
            return self._looks[name][1]
        kept = self.path(".app", f"look-{hashlib.sha256(name.encode()).hexdigest()[:24]}.json")
        try:
            stored = json.loads(kept.read_bytes())
            found = msgspec.convert(stored["look"], Look) if tuple(stored["stamp"]) == stamp else None
        except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError):
            found = None
        if found is None:
            found = look_at(file)
            text = json.dumps({"written_by": "xrdcomp", "stamp": stamp, "look": msgspec.to_builtins(found)})
            self._write(text, ".app", kept.name)
        self._looks[name] = (stamp, found)
        return found

    def add_file(self, name: str, data: bytes, modified: float | None = None) -> tuple[Look, str]:
        """Keep a measurement under its name, or one beside it where that holds another file; a note says which.

        `modified` is when the file was written, in seconds since 1970: some do not say when they were measured.
        """
        if name.startswith(".") or not name.strip() or len(os.fsencode(name)) > 120 or name != printable(name):
            msg = f"{printable(name)[:130]!r} cannot name a file here. Expected: up to 120 bytes, no dot before them."
            raise OutputError(msg)
        with self._lock:
            self.path("files", name)
            there = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in os.scandir(self.path("files"))}
            if len(there) >= MOST_FILES or sum(there.values()) + len(data) > MOST_BYTES:
                raise OutputError(f"the project is full: {MOST_FILES} files or {MOST_BYTES >> 30} GB. Begin another.")
            stem, point, ending = name.partition(".")
            for number in range(1, 100):
                chosen = name if number == 1 else f"{stem}-{number}{point}{ending}"
                target = self.path("files", chosen)
                if not target.exists():
                    self._write(data, "files", chosen)
                    if modified is not None and 0.0 < modified < 4e9:
                        os.utime(target, (modified, modified))
                elif target.read_bytes() != data:
                    continue
                note = "was there already" if chosen in there else f"kept as {chosen}: another {name} is there"
                return self.look(chosen), note if chosen in there or chosen != name else ""
        raise OutputError(f"a hundred files are called {name}. Give it another name.")

    def remove_file(self, name: str) -> None:
        """Remove a measurement that no specimen uses."""
        users = [one for one in self.specimens() if f"files/{name}" in self.specimen(one).measured.files.values()]
        if users:
            raise OutputError(f"{name} belongs to {', '.join(users)}. Take it out there first.")
        file = self.path("files", name)
        if name.startswith(".") or not file.is_file():
            raise RecipeError(f"{printable(name)}: there is no such file in the project.")
        file.unlink(missing_ok=True)

    # Specimens

    def specimens(self) -> list[str]:
        """Names of the specimens."""
        return sorted((file.stem for file in self.path("specimens").glob("*.toml")), key=str.casefold)

    def specimen(self, name: str) -> SpecimenFile:
        """Present state of a specimen; RecipeError where there is none of that name or its file is broken."""
        file = self.path("specimens", f"{safe_sample_id(name)}.toml")
        if not file.is_file():
            raise RecipeError(f"{name}: there is no specimen of this name in the project.")
        return self._read(file)

    def _read(self, file: Path) -> SpecimenFile:
        found = read_specimen_file(file)
        if found is None:
            raise RecipeError(f"{file.name}: names no measurements. Expected: the table [{PROJECT}].")
        return found

    def save(self, name: str, measured: Measured, recipe: Recipe, *, revision: int, same_as: int = 0) -> SpecimenFile:
        """Save a state made from state number `revision` (0: a new specimen); `Conflict` if that is not the last."""
        safe_sample_id(name)
        for file in measured.files.values():
            self.path(*file.split("/"))
        with self._lock:
            now = self.specimen(name).measured.revision if self.path("specimens", f"{name}.toml").exists() else 0
            if now != revision:
                if not revision:
                    raise Conflict(f"{name}: a specimen of this name is there already. Choose another name.")
                raise Conflict(
                    f"{name} was saved meanwhile, as by another tab: its settings are now state {now}, yours were made "
                    f"from state {revision}. Nothing was overwritten."
                )
            # numbers are not given twice, so that what is kept of a specimen that was taken away stays
            kept = [int(file.stem) for file in self._states(name)]
            number = max([now, *kept]) + 1
            chosen = Recipe.of(recipe, sample_id=name)
            said = msgspec.to_builtins(msgspec.structs.replace(measured, folder="..", revision=number, same_as=same_as))
            text = self._toml(name, said, chosen)
            self._write(
                text.replace('folder = ".."', 'folder = "../../.."', 1),
                "specimens",
                ".history",
                name,
                f"{number:05d}.toml",
            )
            return self._read(self._write(text, "specimens", f"{name}.toml"))

    def _toml(self, name: str, measured: Mapping[str, Any], recipe: Recipe) -> str:
        head = f"Specimen {name} of an xrdcomp project. This repeats its analysis:\nxrdcomp analyze --recipe FILE"
        changed = recipe.changed()
        nested: dict[str, Any] = {}
        for key, value in changed.items():
            *path, last = key.split(".")
            node = nested
            for part in path:
                node = node.setdefault(part, {})
            node[last] = msgspec.to_builtins(value)
        return to_toml({**nested, PROJECT: measured}, comment=head)

    def _states(self, name: str) -> list[Path]:
        return sorted(self.path("specimens", ".history", safe_sample_id(name)).glob("[0-9]*.toml"))

    def states(self, name: str) -> list[SpecimenFile]:
        """Saved states of a specimen, the latest `SHOWN_STATES` of them, the earliest first."""
        return [self._read(file) for file in self._states(name)[-SHOWN_STATES:]]

    def go_back(self, name: str, *, revision: int, to: int | None = None) -> SpecimenFile:
        """Give a specimen the settings of state `to` again, or of the one before its present settings."""
        states = {item.measured.revision: item for item in self.states(name)}
        now = states.get(revision)
        if to is None:
            origin = (now.measured.same_as or revision) if now is not None else revision
            earlier = [number for number in states if number < origin]
            to = max(earlier, default=None)
        if to is None or to not in states:
            raise RecipeError(f"{name}: there is no earlier state to go back to.")
        chosen = states[to]
        return self.save(name, chosen.measured, chosen.recipe, revision=revision, same_as=chosen.measured.same_as or to)

    def take_away(self, name: str, *, revision: int) -> None:
        """Remove a specimen from the list; its states and results stay on disk, and its name brings them back."""
        with self._lock:
            if self.specimen(name).measured.revision != revision:
                raise Conflict(f"{name} was saved meanwhile, as by another tab; it was not taken away.")
            self.path("specimens", f"{name}.toml").unlink()

    # Runs

    def begin_run(self, name: str) -> str:
        """Write down what the next run of a specimen is asked for; its number."""
        with self._lock:
            numbers = [int(run) for run in self.run_numbers(name)]
            number = f"{max(numbers, default=0) + 1:03d}"
            text = self.path("specimens", f"{name}.toml").read_text(encoding="utf-8")
            text = text.replace('folder = ".."', 'folder = "../.."', 1)
            self._write(text, "results", name, f"{number}.toml")
            return number

    def run_numbers(self, name: str) -> list[str]:
        """Numbers of the runs of a specimen, the first one first."""
        found = (file.stem for file in self.path("results", safe_sample_id(name)).glob("*.toml"))
        return sorted((stem for stem in found if _RUN.fullmatch(stem)), key=int)

    def runs(self, name: str) -> list[Run]:
        """Runs of a specimen, the first one first."""
        return [self.run(name, number) for number in self.run_numbers(name)]

    def run(self, name: str, number: str) -> Run:
        """One run; RecipeError where there is none of that number."""
        if not _RUN.fullmatch(number) or not (file := self.path("results", name, f"{number}.toml")).is_file():
            raise RecipeError(f"{name}: there is no run {printable(number)}.")
        folder = self.path("results", name, number)
        return Run(name=name, number=number, asked=self._read(file), result=folder if folder.is_dir() else None)

    def last_result(self, name: str) -> Run | None:
        """Latest run of a specimen that has a result."""
        found = (self.run(name, number) for number in reversed(self.run_numbers(name)))
        return next((run for run in found if run.result is not None), None)

    # Cohort and instruments

    def cohort(self) -> tuple[list[str], int]:
        """Specimens that are looked at together, and the number of this choice."""
        try:
            data = disk.read_toml(self.path("cohort.toml"), "specimens of a cohort")
            return [str(name) for name in data["specimens"]], int(data["revision"])
        except (RecipeError, KeyError, TypeError, ValueError):
            return [], 0

    def save_cohort(self, names: Sequence[str], *, revision: int) -> None:
        """Choose specimens for the cohort; `Conflict` where the choice was changed meanwhile."""
        with self._lock:
            if self.cohort()[1] != revision:
                raise Conflict("the cohort was changed meanwhile, as by another tab. Nothing was overwritten.")
            known = [name for name in names if name in self.specimens()]
            data = {"revision": revision + 1, "specimens": known}
            self._write(to_toml(data, comment="Cohort of an xrdcomp project."), "cohort.toml")

    def instruments(self) -> list[str]:
        """Names of the calibrated instruments."""
        return sorted(file.stem for file in self.path("instruments").glob("*.toml"))

    @property
    def history(self) -> Path:
        """History of check runs."""
        return self.path("check-runs.sqlite")

    def free_bytes(self) -> int:
        """Free space on the disk."""
        return shutil.disk_usage(self.root).free


def most_upload() -> int:
    """Largest file that is taken."""
    return MAX_FILE_BYTES


def changes(before: SpecimenFile, after: SpecimenFile) -> Iterator[tuple[str, str, str]]:
    """Settings in which two states differ: name, before, after."""
    own = [
        {**item.recipe.changed(), **{k: v for k, v in msgspec.to_builtins(item.measured).items()
                                     if k not in ("revision", "same_as", "folder")}}
        for item in (before, after)
    ]  # fmt: skip
    for key in dict.fromkeys((*own[0], *own[1])):
        first, second = own[0].get(key), own[1].get(key)
        if first != second:
            yield key, _shown(first), _shown(second)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
