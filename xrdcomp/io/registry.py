"""Registry of formats: a reader in a module, and its name in `READERS`, add a format.

Other packages add theirs through the entry-point group ``xrdcomp.readers``; each entry point is a `Reader` or a
callable that returns one. If one cannot be loaded, there is a warning, never a crash. Two-dimensional frames are
recognised here too, so that they can be refused with an explanation where a scan is expected.
"""

from __future__ import annotations

import difflib
import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal, TypeVar

import numpy as np

from xrdcomp.data import TgaRun
from xrdcomp.errors import MissingExtraError, ReadError, XrdcompError
from xrdcomp.io.scans import RawScan
from xrdcomp.io.source import SourceFile

_T = TypeVar("_T")
Kind = Literal["xrd", "tga", "xrd_frame"]

READERS = tuple(
    f"xrdcomp.io.{module}:{name}"
    for module, names in (
        ("xrd.panalytical", "xrdml"), ("xrd.bruker", "raw1 raw2 raw3 raw4"), ("xrd.philips_stoe_seifert", "stoe"),
        ("xrd.bruker", "brml"), ("xrd.rigaku", "ras rasx rigaku_ascii"), ("xrd.bruker", "uxd"),
        ("xrd.ascii", "fullprof dbws chi ascii_raw mdi jcamp_xrd"), ("xrd.philips_stoe_seifert", "seifert udf rd"),
        ("xrd.ascii", "cpi"), ("registry", "FRAMES"), ("xrd.gsas", "gsas"), ("xrd.cif", "pdcif"),
        ("xrd.text", "columns workbook"), ("tga.netzsch", "netzsch_text netzsch_ngb"),
        ("tga.ta", "ta_universal ta_trios"), ("tga.mettler", "mettler_stare"), ("tga.perkinelmer", "perkinelmer_pyris"),
        ("tga.table", "SETARAM SHIMADZU HITACHI tga_excel jcamp CSV"),
    )
    for name in names.split()
)  # fmt: skip
"""``module:NAME`` of a `Reader`, or of several; of two equally sure of a file the earlier one wins."""

ENTRY_POINT_GROUP = "xrdcomp.readers"
SUFFIX_BONUS = 0.04
"""Content decides; a fitting suffix only settles a near tie."""
LEAST_SCORE = 0.1
SIGNATURE = 1.0
"""A signature settles the matter: readers behind it are not asked."""


@dataclass(frozen=True, kw_only=True)
class TgaOptions:
    """Facts of a thermogravimetric file that the user gives because the file does not.

    Units are ``mg ug g percent fraction``, ``C K F``, ``s min h``, or "" if the file states them; `columns`
    has a column's name or number (from 1) for ``temperature``, ``mass``, ``time``, or is empty if they are to be
    recognised. `empty_pan` marks the run of an empty pan: only its change counts, and readings of a tared balance
    scatter about zero. `run` chooses, from 0, among several runs of one file.
    """

    mass_unit: str = ""
    temperature_unit: str = ""
    time_unit: str = ""
    initial_mass_mg: float | None = None
    columns: Mapping[str, str | int] = field(default_factory=dict)
    empty_pan: bool = False
    run: int | None = None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Common part of all readers: facts about a format, and its sniffer.

    `id` is stable and lower-case (``bruker_raw_v3``) and goes into results; `name` is for people; `extensions`
    are the usual suffixes, lower-case, without dot. `sniff` returns, from the content, how certain it is: 0 for another
    format, 0.3 for something generic, 0.6 for a header that fits, 1 for a signature; it must be quick and look at
    ``head`` first. `extras` names optional extras of the package that it needs. `verified` is False if no real file of
    the format was available and the reader follows a description.
    """

    kind: ClassVar[Kind] = "xrd"
    id: str
    name: str
    extensions: tuple[str, ...]
    sniff: Callable[[SourceFile], float]
    extras: tuple[str, ...] = ()
    verified: bool = True


@dataclass(frozen=True, kw_only=True)
class XrdReader(Reader):
    """A one-dimensional diffraction format: `read` returns every scan of the file, or the only one."""

    read: Callable[[SourceFile], RawScan | Sequence[RawScan]]


def xrd_reader(
    id: str,
    name: str,
    extensions: str,
    sniff: Callable[[SourceFile], float],
    *,
    verified: bool = True,
    extras: tuple[str, ...] = (),
) -> Callable[[Callable[[SourceFile], RawScan | Sequence[RawScan]]], XrdReader]:
    """Declare the decorated function as the `read` of a diffraction format; `extensions` are separated by blanks."""
    suffixes = tuple(extensions.split())
    return lambda read: XrdReader(
        id=id, name=name, extensions=suffixes, sniff=sniff, read=read, verified=verified, extras=extras
    )


@dataclass(frozen=True, kw_only=True)
class TgaReader(Reader):
    """A thermogravimetric format: `read` returns the run with all its segments."""

    kind: ClassVar[Kind] = "tga"
    read: Callable[[SourceFile, TgaOptions], TgaRun]


@dataclass(frozen=True, kw_only=True)
class FrameReader(Reader):
    """A frame format: recognised here, read by the azimuthal integration."""

    kind: ClassVar[Kind] = "xrd_frame"


def begins(pattern: bytes, score: float = SIGNATURE) -> Callable[[SourceFile], float]:
    """Sniffer for files that begin with a pattern; ``.`` matches line ends too."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda source: score if compiled.match(source.head) else 0.0


def has_all(*rules: tuple[float, tuple[str, ...]]) -> Callable[[SourceFile], float]:
    """Sniffer for texts: the score of the first rule all of whose patterns are found in the head.

    ``^`` and ``$`` match at every line. A plain word first in a rule costs a tenth of a pattern and settles most texts.
    """
    compiled = [(score, [re.compile(p, re.MULTILINE) for p in patterns]) for score, patterns in rules]

    def sniff(source: SourceFile) -> float:
        return next((score for score, patterns in compiled if all(p.search(source.head_text) for p in patterns)), 0.0)

    return sniff


FRAMES = tuple(
    FrameReader(
        id=name, name=title, extensions=tuple(suffixes.split()), sniff=sniff, extras=("frames",),
        verified=name not in {"edf", "hdf5"},  # no real file of these could be had
    )
    for name, title, suffixes, sniff in (
        ("gfrm", "Bruker frame (GFRM, SFRM)", "gfrm sfrm", begins(rb"FORMAT\s*:\s*(?:86|100)")),
        ("tiff", "TIFF frame", "tif tiff", begins(rb"II\*\x00|MM\x00\*")),
        ("cbf", "CBF frame (Dectris, imgCIF)", "cbf", begins(rb"###CBF:|.*Content-Type: application/octet-stream")),
        ("edf", "ESRF data format frame", "edf", begins(rb"\s*\{.{0,2040}?(?:Dim_1|HeaderID)", 0.9)),
        ("hdf5", "HDF5 container (Eiger, NeXus)", "h5 hdf5 nxs", begins(rb"\x89HDF\r\n\x1a\n", 0.6)),
        ("poni", "pyFAI geometry (no measurement)", "poni", has_all((0.9, ("Poni1:", "Rot1:")))),
    )
)  # fmt: skip


@cache
def all_readers() -> tuple[Reader, ...]:
    """Every reader: those of the package in the order of `READERS`, then those of other packages."""
    return tuple(_one_by_one())


def _one_by_one(kind: Kind | None = None) -> Iterator[Reader]:
    """Readers in their order, each loaded when its turn comes: a signature settles most files after a few.

    Folders ``xrd`` and ``tga`` are not opened where another `kind` is looked for.
    """
    for line in READERS:
        folder = line.split(".")[2]
        if kind is None or folder == kind or folder not in ("xrd", "tga"):
            yield from _of_package(line)
    yield from _of_other_packages()


@cache
def _of_package(line: str) -> tuple[Reader, ...]:
    module, _, name = line.partition(":")
    item = getattr(importlib.import_module(module), name)
    return (item,) if isinstance(item, Reader) else tuple(item)


@cache
def _of_other_packages() -> tuple[Reader, ...]:
    from importlib.metadata import entry_points

    found: dict[str, Reader] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = entry.load()
            reader = loaded if isinstance(loaded, Reader) else loaded()
            if not isinstance(reader, Reader):
                raise TypeError(f"it gave {type(reader).__name__}, not a Reader")
        except Exception as problem:  # noqa: BLE001 - code of others; whatever it raises is only a warning
            warnings.warn(f"reader plug-in {entry.name!r} could not be loaded: {problem}", stacklevel=2)
            continue
        own = (known.id for line in READERS for known in _of_package(line))
        if reader.id in own or found.setdefault(reader.id, reader) is not reader:
            warnings.warn(f"reader {reader.id!r} of another package hides none: the id is taken", stacklevel=2)
    return tuple(found.values())


def find_reader(format_id: str) -> Reader:
    """Return the reader with this id; if there is none, a `ReadError` proposes the nearest ids."""
    readers = {reader.id: reader for reader in all_readers()}
    if format_id in readers:
        return readers[format_id]
    near = difflib.get_close_matches(format_id, readers, n=3) or sorted(readers)
    hint = f"Did you mean {', '.join(near)}? `xrdcomp formats` lists them."
    raise ReadError(f"there is no format {format_id!r}", hint=hint)


def recognise(source: SourceFile, kind: Kind | None = None) -> list[tuple[float, Reader]]:
    """Readers that could read the file, with their scores, the most certain first."""
    scored: list[tuple[float, int, Reader]] = []
    for order, reader in enumerate(_one_by_one(kind)):
        if kind is not None and reader.kind != kind:
            continue
        try:
            score = float(reader.sniff(source))
        except Exception:  # noqa: BLE001 - a sniffer that stumbles over content has not recognised it
            score = 0.0
        if score >= LEAST_SCORE:
            bonus = SUFFIX_BONUS if source.suffix in reader.extensions else 0.0
            scored.append((score + bonus, -order, reader))
        if score >= SIGNATURE:
            break
    scored.sort(key=lambda item: item[:2], reverse=True)
    return [(score, reader) for score, _, reader in scored]


def call_reader(reader: Reader, source: SourceFile, action: Callable[[], _T]) -> _T:
    """Run `action`; any exception in it becomes a `ReadError` that names file and format.

    `MissingExtraError` is kept, with the name of the file before it, because it concerns the installation.
    """
    try:
        with np.errstate(all="ignore"):  # damaged numbers overflow; what is not finite is refused by name
            return action()
    except MissingExtraError as missing:
        raise MissingExtraError(f"{source.path} [{reader.id}]: {missing}") from missing
    except ReadError as problem:
        problem.file = problem.file or str(source.path)
        problem.format_id = problem.format_id or reader.id
        raise
    except XrdcompError as problem:
        raise source.error(str(problem), format_id=reader.id) from problem
    except Exception as problem:
        msg = f"the content does not follow the format ({type(problem).__name__}: {problem})"
        hint = "The file is damaged or of another format; export it again, or as text with two columns."
        raise source.error(msg, format_id=reader.id, hint=hint) from problem
