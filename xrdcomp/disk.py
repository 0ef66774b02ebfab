"""Files on disk: read bounded and regular, written whole or not at all, never over what the program did not write.

Reading: `read_bytes` opens regular files only, no larger than a limit; measurements, settings, structures and
calibrations all come through it. Writing: `whole_file` for one file, `replaced_folder` for a folder. Both prepare
beside the target, flush to the disk and exchange in one step, so that a kill at any moment leaves the earlier or the
new output whole; what a kill left beside it is taken away by the next writer. A folder keeps a list of the files that
the program wrote (`LIST`); every other file in it stays. Writers of one place wait for each other.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import importlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xrdcomp.errors import OutputError, ReadError, RecipeError, printable

fcntl: Any = None  # no file locks on this system: two writers are then told apart by their names alone
with contextlib.suppress(ImportError):
    fcntl = importlib.import_module("fcntl")

MAX_SETTINGS_BYTES = 2**20
"""Largest file of settings or facts: the longest recipe has 4 kB."""
MAX_STRUCTURE_BYTES = 16 * 2**20
"""Largest CIF: those with diffraction data inside have some MB."""
MAX_RESULT_BYTES = 64 * 2**20
"""Largest result.json: one with every phase of the library and 100 messages has 1 MB."""
LIST = ".xrdcomp-files.json"
"""List, in a folder that the program wrote, of its files there, with their SHA-256."""
PATIENCE_S = 60.0
"""How long a writer waits for another one at the same place; an exchange takes milliseconds."""
_MARKS = re.compile(rb"xrdcomp|\Atwo_theta,(counts|intensity_cps|intensity),sigma\r?\n")
"""What a file that the program wrote says of itself: its name, or the head of its CSV."""
_EARLIER = re.compile(r"(result|truth|cohort)\.json|curves\.npz|recipe\.toml|report\.html|figures/\w+\.(png|svg)")
"""Files of results that were written before there was a list."""
_NEW, _OLD = ".partial", ".old"
"""Ends of the names of what is being written, and of what was moved aside for it."""
_AT_A_TIME = 8
"""Files on their way to the disk: 26 small ones take a sixth of the time that they take one after another."""


# Reading


def read_bytes(path: str | os.PathLike[str], *, limit: int = MAX_SETTINGS_BYTES, expected: str = "") -> bytes:
    """Content of one regular file of 1 to `limit` bytes.

    A `ReadError` names what is missing, a folder, a device or pipe (which is never opened), empty, unreadable, too
    large or still growing, and what was `expected`.
    """
    name, wanted = os.fspath(path), expected or "one regular file"

    def refuse_unless_regular(info: os.stat_result) -> None:
        kind = stat.S_IFMT(info.st_mode)
        if kind != stat.S_IFREG:
            named = {stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
            raise ReadError(f"this is {named.get(kind, 'a pipe or socket')}, not a file", file=name, expected=wanted)
        if info.st_size == 0:
            raise ReadError("the file is empty (0 bytes)", file=name, expected=expected, hint="Export it again.")
        if info.st_size > limit:
            what = f"the file has {info.st_size} bytes, more than the {limit} that are opened"
            raise ReadError(what, file=name, expected=wanted)

    try:
        refuse_unless_regular(Path(path).stat())
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            refuse_unless_regular(os.fstat(handle))  # it may have been exchanged meanwhile
            data = stream.read(limit + 1)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        hint = "Check name and permission."
        raise ReadError(f"the file cannot be opened: {reason}", file=name, expected=expected, hint=hint) from problem
    if not data or len(data) > limit:
        what = f"the file changed while it was read ({len(data)} bytes)"
        raise ReadError(what, file=name, hint="Wait until it has been written to the end.")
    return data


def read_text(path: str | os.PathLike[str], *, limit: int = MAX_SETTINGS_BYTES, expected: str = "") -> str:
    """Text of a file as `read_bytes` opens it, in UTF-8, with line feeds as line ends."""
    data = read_bytes(path, limit=limit, expected=expected)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        what, place = "the file is no text in UTF-8", f"byte {problem.start}"
        raise ReadError(what, place, expected or "text in UTF-8", file=os.fspath(path)) from problem
    return text.replace("\r\n", "\n")


def read_toml(path: str | os.PathLike[str], expected: str) -> dict[str, Any]:
    """Settings in a TOML file as `read_text` opens it; RecipeError where it is none, or holds what is no finite number.

    `expected` says what the file should be, ``a recipe, such as recipe.toml of a result``.
    """
    try:
        text = read_text(path, expected=f"TOML, {expected}")
    except ReadError as error:
        raise RecipeError(str(error)) from error
    return parsed_toml(text, file=os.fspath(path), expected=expected)


def parsed_toml(text: str, *, file: str, expected: str) -> dict[str, Any]:
    """Settings in TOML text, each number finite; RecipeError otherwise."""
    name = printable(file)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RecipeError(f"{name}: not valid TOML: {printable(reason)}. Expected: {expected}.") from error
    if key := not_finite(data):
        raise RecipeError(f"{name}: {printable(key)} is not a finite number. Expected: {expected}.")
    return data


def not_finite(value: object, key: str = "") -> str:
    """Dotted key of the first number in nested settings that is NaN or infinite; "" where all are finite."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else key or "a value"
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return next(filter(None, (not_finite(part, f"{key}.{name}".lstrip(".")) for name, part in parts)), "")


# Writing


def no_formula(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, made plain by an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def umask() -> int:
    """Return the permissions that new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def output_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system says about `target` into words."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "Free some space there, or choose another place." if full else "Choose another place."
        reason = error.strerror or str(error)
        raise OutputError(f"{target}: cannot be written ({reason}); what was there is unchanged. {hint}") from error


def refuse_inputs(target: Path, inputs: Iterable[str | os.PathLike[str] | None]) -> None:
    """Refuse a target that is one of the files that are read, or a folder that holds one the program did not write."""
    real = Path(os.path.realpath(target))
    for item in inputs:
        if not item:
            continue
        file = Path(os.path.realpath(item))
        if file != real and real not in file.parents:
            continue
        if file != real and file.relative_to(real).as_posix() in _own_files(real):
            continue
        place = "is the file that is read" if file == real else f"holds the file that is read, {file.name}"
        raise OutputError(f"{target} {place}; nothing was written. Choose another place for the output.")


def refuse_foreign(target: Path, *, overwrite: bool = False) -> None:
    """Refuse to replace what is no file, must not be written to, or, without `overwrite`, is not of xrdcomp."""
    with output_errors(target):
        if not target.is_file():
            kind = "a folder" if target.is_dir() else "no file"
            raise OutputError(f"{target} is {kind}; nothing was written. Choose another name.")
        if not os.access(target, os.W_OK):
            raise OutputError(f"{target} must not be written to; nothing was written. Choose another name.")
        with target.open("rb") as stream:
            data = stream.read(2**23)
        if data and not _MARKS.search(data) and not overwrite:
            raise OutputError(
                f"{target} exists and was not written by xrdcomp; nothing was written. Choose another name, move it "
                "away, or allow it with --overwrite (in Python: overwrite=True)."
            )


@contextmanager
def whole_file(target: Path, *, overwrite: bool = False, parents: bool = False) -> Iterator[Path]:
    """Yield a temporary file that becomes `target` when the block ends well, and vanishes otherwise.

    A link is written through; a device or pipe gets the bytes at the end; `parents` makes missing folders. OutputError:
    a file that the program did not write (`overwrite` replaces it; an empty one always), one without permission to
    write, a folder, or whatever the operating system refuses.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(output_errors(target))
        real = Path(os.path.realpath(target))
        if parents:
            real.parent.mkdir(parents=True, exist_ok=True)
        mode = real.stat().st_mode if real.exists() else None
        through = mode is not None and (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode))
        if mode is not None and not through:
            refuse_foreign(target, overwrite=overwrite)
        folder = Path(tempfile.gettempdir()) if through else real.parent
        with _locked(folder):
            _sweep(folder, real.name)
            handle, name = tempfile.mkstemp(prefix=_hidden(real.name), suffix=_NEW + target.suffix, dir=folder)
            os.close(handle)
            work = Path(name)
            stack.callback(_close, _held(work))
        stack.callback(work.unlink, missing_ok=True)
        yield work
        if through:
            _pour(work, real)
            return
        # a temporary file is private, the one under its name is not
        work.chmod(0o666 & ~umask() if mode is None else stat.S_IMODE(mode))
        _flush(work)
        work.replace(real)
        _flush(real.parent)


def write_whole(target: Path, data: bytes | str, *, overwrite: bool = False, parents: bool = False) -> Path:
    """Write bytes, or text in UTF-8, as `whole_file` does; return the target."""
    with whole_file(target, overwrite=overwrite, parents=parents) as work:
        work.write_bytes(data.encode() if isinstance(data, str) else data)
    return target


@contextmanager
def replaced_folder(
    target: Path, *, marker: str, replaceable: Callable[[Path], None] | None = None, overwrite: bool = False
) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends well, and vanishes otherwise.

    The program's files of an earlier output there go, all others stay; `marker` is a file that every output holds.
    `replaceable` is asked for the earlier output, before the work and again when it is exchanged; it raises OutputError
    where that must stay. OutputError also where `target` holds files but no output, where a new file has the name of
    one that the program did not write or that was changed since (`overwrite` replaces it), or if it cannot be written.
    """

    def look() -> None:
        if real.exists() and not real.is_dir():
            raise OutputError(f"{target} exists and is no folder; nothing was written. Choose another folder.")
        if real.is_dir() and any(real.iterdir()):
            if not (real / marker).is_file() and not (real / LIST).is_file():
                raise OutputError(
                    f"{target} exists and is no earlier output (it holds no {marker}); nothing was written. Choose "
                    "another folder, or move it away."
                )
            if replaceable is not None and not overwrite:
                replaceable(real)

    with contextlib.ExitStack() as stack:
        stack.enter_context(output_errors(target))
        real = Path(os.path.realpath(target))
        real.parent.mkdir(parents=True, exist_ok=True)
        with _locked(real.parent):
            _sweep(real.parent, real.name)
            look()
            work = Path(tempfile.mkdtemp(prefix=_hidden(real.name), suffix=_NEW, dir=real.parent))
            try:
                _write_list(work, None)
            except BaseException:  # no room even for the list
                shutil.rmtree(work, ignore_errors=True)
                raise
            stack.callback(_close, _held(work / LIST))
        stack.callback(_discard, work, real, overwrite=overwrite)
        yield work
        _write_list(work, {name: _sha256(work / name) for name in _names(work) if name != LIST})
        work.chmod(stat.S_IMODE(real.stat().st_mode) if real.is_dir() else 0o777 & ~umask())
        _flush_all(Path(place, name) for place, _, files in os.walk(work) for name in (*files, ""))
        with _locked(real.parent):
            look()
            if not real.is_dir():
                work.rename(real)
            else:
                _keep_others(real, work, target, overwrite=overwrite)
                if not _exchange(work, real):
                    aside = Path(str(work).removesuffix(_NEW) + _OLD)
                    real.rename(aside)  # a kill from here on leaves it to `_sweep` to put it back
                    try:
                        work.rename(real)
                    except BaseException:
                        aside.rename(real)
                        raise
                    aside.rename(work)
            _flush(real.parent)
            _discard(work, real, overwrite=overwrite)


def _names(folder: Path) -> list[str]:
    """Everything in a folder but folders, by its path from there; links are not followed."""
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        found += [Path(place, name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(found)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _write_list(folder: Path, files: dict[str, str] | None) -> None:
    """Note the program's files in a folder; None while they are being written."""
    (folder / LIST).write_text(json.dumps({"written_by": "xrdcomp", "files": files}, indent=1) + "\n", encoding="utf-8")


def _own_files(folder: Path) -> dict[str, str]:
    """Files in a folder that the program wrote, with their SHA-256, "" where an earlier version kept no list."""
    try:
        listed = json.loads((folder / LIST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return dict.fromkeys(filter(_EARLIER.fullmatch, _names(folder)), "") if folder.is_dir() else {}
    return {str(name): str(digest) for name, digest in listed.items()} if isinstance(listed, dict) else {}


def _keep_others(real: Path, work: Path, target: Path, *, overwrite: bool) -> None:
    """Link what the program did not write in the earlier folder into the new one, or refuse where both have a name."""
    own, new = _own_files(real), set(_names(work))
    for place, folders, files in os.walk(real):
        inside = Path(place).relative_to(real)
        links = [name for name in folders if Path(place, name).is_symlink()]
        others = [
            name for name in (inside / item for item in (*files, *links))
            if name.as_posix() != LIST
            and (name.as_posix() not in own or own[name.as_posix()] not in ("", _sha256(real / name)))
        ]  # fmt: skip
        foreign_folder = not any(name.startswith(f"{inside.as_posix()}/") for name in own) and inside != Path()
        if others or foreign_folder:
            if (work / inside).exists() and not (work / inside).is_dir():
                raise OutputError(f"{target / inside} is not of xrdcomp and in the way; nothing was written.")
            if not (work / inside).is_dir():
                (work / inside).mkdir(parents=True)
                shutil.copystat(real / inside, work / inside)
        for name in others:
            taken = name.as_posix() in new or (work / name).is_dir()
            if taken and not overwrite:
                state = "was changed since xrdcomp wrote it" if name.as_posix() in own else "was not written by xrdcomp"
                raise OutputError(
                    f"{target / name} {state} and has the name of a new file; nothing was written. Move it away, or "
                    "allow it with --overwrite (in Python: overwrite=True)."
                )
            if not taken:
                _link(real / name, work / name)


def _link(source: Path, target: Path) -> None:
    """Second name for a file of any kind; a copy where the file system knows none."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        if not source.is_symlink() and not source.is_file():
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _discard(folder: Path, real: Path, *, overwrite: bool = False) -> None:
    """Remove what is left of an output that was replaced or not finished; what is not the program's goes to `real`."""
    if not folder.is_dir():
        return
    own, now = _own_files(folder), set(_own_files(real)) if overwrite else set()
    for name in () if _unfinished(folder) else _names(folder):
        left, kept = folder / name, real / name
        if name == LIST or name in now or own.get(name) in ("", _sha256(left)):
            continue
        if os.path.lexists(kept) and _same(left, kept):
            continue
        # written by somebody while the folders were exchanged
        while os.path.lexists(kept):
            kept = kept.with_name(f"{kept.name}.kept")
        kept.parent.mkdir(parents=True, exist_ok=True)
        left.rename(kept)
    # the list last: after a kill amid this, the rest is still known as the program's
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LIST:
            with contextlib.suppress(OSError):
                path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _same(first: Path, second: Path) -> bool:
    """Whether two names mean one file, or equal ones where the file system knows no second names."""
    a, b = first.lstat(), second.lstat()
    if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino):
        return True
    return stat.S_IFMT(a.st_mode) == stat.S_IFMT(b.st_mode) and a.st_size == b.st_size and a.st_mtime == b.st_mtime


def _sweep(folder: Path, name: str) -> None:
    """Take away what a kill left of earlier outputs of this name; only while the folder is locked."""
    for left in list(folder.iterdir()):
        if not left.name.startswith(_hidden(name)) or not {_NEW, _OLD} & set(left.suffixes) or left.is_symlink():
            continue
        held = left / LIST if left.is_dir() else left
        handle = _held(held) if held.exists() else None
        if handle is None and held.exists() and fcntl is not None:
            continue  # its writer lives
        try:
            if not left.is_dir():
                left.unlink()
            elif left.suffix == _OLD and not (folder / name).exists():
                left.rename(folder / name)
            else:
                _discard(left, folder / name)
        finally:
            _close(handle)


def _unfinished(folder: Path) -> bool:
    """Whether a folder is one that was being filled, so that all in it is the program's."""
    try:
        return json.loads((folder / LIST).read_bytes())["files"] is None
    except (OSError, ValueError, KeyError, TypeError):
        return not _names(folder)


def _hidden(name: str) -> str:
    """Beginning of the names of what is written for an output of this name."""
    return f".{name[:60]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}."


def _held(path: Path) -> int | None:
    """Open a file or folder and keep it for this process until it is closed or the process ends; None if it is taken.

    None as well where the system cannot open or lock it.
    """
    if fcntl is None:
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(handle)
            return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers from changing the entries of a folder; wait while another one does."""
    deadline = time.monotonic() + PATIENCE_S
    while (handle := _held(folder)) is None and fcntl is not None:
        if time.monotonic() > deadline:
            raise OutputError(
                f"{folder}: another process has been writing there for {PATIENCE_S:.0f} s; nothing was written. Wait "
                "until it has ended, or choose another place."
            )
        time.sleep(0.02)
    try:
        yield
    finally:
        _close(handle)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step (Linux, renameat2); False where the system cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <linux/fs.h>
    if call(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(second))


def _flush(path: Path) -> None:
    """Write a file or the entries of a folder to the disk, where the system can."""
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # folders cannot be opened everywhere
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _flush_all(paths: Iterable[Path]) -> None:
    """Write files and folders to the disk, several at a time: it takes what waits together in one go."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for _ in pool.map(_flush, paths):
            pass


def _pour(work: Path, device: Path) -> None:
    """Write a finished file to a device or pipe; a pipe that nobody reads is an error, not a wait."""
    handle = os.open(device, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    os.set_blocking(handle, True)
    with os.fdopen(handle, "wb") as stream:
        stream.write(work.read_bytes())
