"""Many patterns of one grid where they lie: a data set of HDF5 (NeXus) or Zarr, the files of a folder, scans of a file.

Opening reads angles and coordinates; the patterns are read from place to place and never all at once.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import EmissionLine, Pattern
from xrdcomp.errors import MissingExtraError, ReadError, XrdcompError
from xrdcomp.io.front import read_xrd, read_xrd_scans
from xrdcomp.units import FloatArray

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_ANGLES = ("two_theta", "2theta", "2th", "tth", "ttheta", "twotheta", "polar_angle", "q")
"""Names that an axis of angles has where no attribute says which it is."""
_WAVELENGTHS = ("beam/incident_wavelength", "instrument/beam/incident_wavelength", "sample/beam/incident_wavelength",
                "instrument/monochromator/wavelength", "monochromator/wavelength")  # fmt: skip
_EXPECTED = "FILE.h5::path or FILE.zarr::path of an array (patterns, …, points), a folder of patterns, or a file"


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some patterns of a stack, (k, n), with standard deviations where the file has them.

    `problems` says for each why it cannot be fitted, "" where nothing is wrong; its intensities are then NaN.
    """

    intensities: FloatArray
    sigmas: FloatArray | None
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Where many patterns of one grid lie.

    `shape` is that of the stack without the angles, (patterns,) or (rows, columns) of a map. `axes` are its dimensions
    in their order, as (name, values along it); `units` are those of the columns of `coordinates`, "" for text.
    """

    source: str
    shape: tuple[int, ...]
    two_theta: FloatArray
    emission_lines: tuple[EmissionLine, ...] = ()
    axes: tuple[tuple[str, Any], ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def read(self, start: int, stop: int) -> Block:
        """Patterns from `start` to before `stop`, counted along the last dimension first."""
        raise NotImplementedError

    def coordinates(self, start: int, stop: int) -> dict[str, Any]:
        """Columns of coordinates of some patterns: those of the axes that `units` names."""
        place = np.unravel_index(np.arange(start, stop), self.shape)
        return {name: values[place[d]] for d, (name, values) in enumerate(self.axes) if name in self.units}

    def pattern(self, place: int) -> Pattern | None:
        """One pattern with what its file says of it; None where it cannot be fitted."""
        block = self.read(place, place + 1)
        y, sigma = block.intensities[0], None if block.sigmas is None else block.sigmas[0]
        if block.problems[0] or not np.isfinite(y).all() or np.ptp(y) == 0.0:
            return None
        return Pattern.from_xy(self.two_theta, y, sigma, emission_lines=self.emission_lines)


def open_stack(source: str | os.PathLike[str], *, two_theta: str = "", wavelength: float | None = None) -> Stack:
    """Find the patterns of ``FILE.h5::path``, ``FILE.zarr::path``, of a folder, or of a file with several scans.

    `two_theta` is the path of the angles in the file where its attributes do not say it; `wavelength` in ångström is
    needed for an axis of q.

    Raises
    ------
    ReadError
        Nothing of that kind, no axis of angles, or an axis that does not increase.
    MissingExtraError
        HDF5 needs h5py (extra ``nexus``), Zarr the extra ``cluster``.
    """
    name, _, inner = os.fspath(source).partition("::")
    path = Path(name)
    if "://" in name or (path / "zarr.json").is_file() or (path / ".zgroup").is_file() or (path / ".zarray").is_file():
        return _open_array(name, inner, "zarr", two_theta, wavelength)
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise ReadError("there is no such file or folder", file=name, expected=_EXPECTED)
    with path.open("rb") as stream:
        is_hdf5 = stream.read(len(HDF5_MARK)) == HDF5_MARK
    if is_hdf5 or inner:
        if not is_hdf5:
            raise ReadError(f"this is no HDF5 file, and ::{inner} means one", file=name, expected=_EXPECTED)
        return _open_array(name, inner, "h5py", two_theta, wavelength)
    return _open_scans(name)


# --- HDF5 and Zarr: the same kind of tree


@dataclass(frozen=True, kw_only=True)
class ArrayStack(Stack):
    """Patterns of an array of HDF5 or Zarr, the angles along its last dimension."""

    library: str
    signal: str
    errors: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)  # columns by name: paths of arrays of the stack's shape
    ascending: bool = True

    def coordinates(self, start: int, stop: int) -> dict[str, Any]:
        """Columns of the axes, and of the arrays beside the patterns that have one value for each."""
        found = super().coordinates(start, stop)
        if self.beside:
            with _tree(self.source, self.library) as root:
                found |= {name: self._part(root[path], start, stop) for name, path in self.beside.items()}
        return found

    def read(self, start: int, stop: int) -> Block:
        """Read whole lines of the array and keep what was asked for."""
        with _tree(self.source, self.library) as root:
            y = self._rows(root[self.signal], start, stop)
            sigmas = self._rows(root[self.errors], start, stop) if self.errors else None
        return Block(intensities=y, sigmas=sigmas, problems=("",) * len(y))

    def _rows(self, array: Any, start: int, stop: int) -> FloatArray:
        part = self._part(array, start, stop)
        return part if self.ascending else part[:, ::-1]

    def _part(self, array: Any, start: int, stop: int) -> FloatArray:
        """Values of some patterns: line by line of a map, of each only what is needed."""
        width = self.shape[-1]
        pieces = []
        for line in range(start // width, (stop - 1) // width + 1):
            place = tuple(int(i) for i in np.unravel_index(line, self.shape[:-1])) if len(self.shape) > 1 else ()
            low, high = max(start - line * width, 0), min(stop - line * width, width)
            pieces.append(np.asarray(array[(*place, slice(low, high))], dtype=np.float64))
        return np.concatenate(pieces)


@contextlib.contextmanager
def _tree(name: str, library: str) -> Iterator[Any]:
    try:
        if library == "h5py":
            import h5py

            with h5py.File(name, "r") as file:
                yield file
        else:
            import zarr

            yield zarr.open(name, mode="r")
    except ImportError as missing:
        extra = "nexus" if library == "h5py" else "cluster"
        msg = f"{name}: this needs {library}: pip install 'xrdcomp[{extra}]'"
        raise MissingExtraError(msg) from missing


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _is_array(node: Any) -> bool:
    return hasattr(node, "shape") and hasattr(node, "dtype")


def _arrays(group: Any) -> dict[str, Any]:
    """Arrays directly in a group, by name."""
    return {key: group[key] for key in sorted(group.keys()) if _is_array(group[key])}


def _open_array(name: str, inner: str, library: str, two_theta: str, wavelength: float | None) -> ArrayStack:
    with _tree(name, library) as root:
        group, key, axes = _signal(name, root, inner)
        array = root if _is_array(root) else group[key]
        if array.ndim < 2:
            msg = f"{key or 'the array'} has shape {tuple(array.shape)}: one pattern, or none"
            raise ReadError(msg, file=name, expected="an array (patterns, …, points)")
        shape, n = tuple(int(k) for k in array.shape[:-1]), int(array.shape[-1])
        beside = {} if group is None else _arrays(group)
        angle = _angle_axis(name, root, beside, two_theta or axes.get(array.ndim - 1, ""), n)
        path = "" if group is None else _text(getattr(group, "path", None) or group.name).strip("/")
        lines = _emission_lines(root, path)
        length = wavelength if wavelength is not None else lines[0].wavelength if lines else None
        x = _as_two_theta(name, *angle, length)
        steps = np.diff(x)
        if not np.isfinite(x).all() or not ((steps > 0).all() or (steps < 0).all()):
            raise ReadError(f"the angles {angle[0]} neither increase nor decrease throughout", file=name)
        errors = next((e for e in ("errors", f"{key}_errors") if e in beside and beside[e].shape == array.shape), "")
        along, units = _axes(beside, axes, shape)
        prefix = f"{path}/" if path else ""
        taken = {key, errors, Path(angle[0]).name, *units}
        columns = {
            k: f"{prefix}{k}"
            for k, x in beside.items()
            if x.shape == shape and x.dtype.kind in "iuf" and k not in taken
        }
        units |= {k: _text(beside[k].attrs.get("units")) or "1" for k in columns}
        return ArrayStack(
            source=name, shape=shape, two_theta=x[:: 1 if steps[0] > 0 else -1].copy(), ascending=bool(steps[0] > 0),
            emission_lines=lines if wavelength is None else (), axes=along, units=units, beside=columns,
            library=library, signal=f"{prefix}{key}", errors=f"{prefix}{errors}" if errors else "",
        )  # fmt: skip


def _signal(name: str, root: Any, inner: str) -> tuple[Any, str, dict[int, str]]:
    """Group and name of the array of intensities, and names of its axes by dimension."""
    node, path = root, inner.strip("/")
    try:
        node = root[path] if path else root
        while not path and not _is_array(node) and "default" in node.attrs:  # NeXus: root -> entry -> data
            node = node[_text(node.attrs["default"])]
    except KeyError:
        inside = ", ".join(f"{key} {tuple(x.shape)}" for key, x in _listed(root).items())
        raise ReadError(f"there is no {inner}", file=name, expected=f"one of: {inside or 'nothing is there'}") from None
    if _is_array(node):
        parent, _, key = path.rpartition("/")
        group = None if node is root or not path else root[parent] if parent else root
    else:
        group, key = node, _text(node.attrs.get("signal"))
        if not key:
            large = [k for k, x in _arrays(node).items() if x.ndim >= 2]
            if len(large) != 1:
                inside = ", ".join(f"{k} {tuple(x.shape)}" for k, x in _listed(root).items())
                what = "which array holds the patterns is not said"
                raise ReadError(what, file=name, expected=f"FILE::path with one of: {inside or 'nothing is there'}")
            key = large[0]
    array: Any = node if _is_array(node) or group is None else group[key]
    named: Any = getattr(getattr(array, "metadata", None), "dimension_names", None) or array.attrs.get(
        "_ARRAY_DIMENSIONS"
    )
    if named is None and group is not None and _text(group.attrs.get("signal")) == key:
        named = group.attrs.get("axes")
    if isinstance(named, str | bytes):
        named = re.split(r"[:,]", _text(named))
    return group, key, {d: _text(item) for d, item in enumerate([] if named is None else named) if _text(item) != "."}


def _listed(root: Any, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Arrays of at least two dimensions, by their paths; no deeper than NeXus files are."""
    found: dict[str, Any] = {}
    if _is_array(root) or depth > 5:
        return found
    for key in sorted(root.keys()):
        node = root[key]
        if _is_array(node):
            found |= {f"{prefix}{key}": node} if node.ndim >= 2 else {}
        else:
            found |= _listed(node, f"{prefix}{key}/", depth + 1)
    return found


def _angle_axis(name: str, root: Any, beside: Mapping[str, Any], told: str, n: int) -> tuple[str, FloatArray, str]:
    """Name, values and unit of the axis of angles."""
    found: Any = None
    key = told
    if told in beside:
        found = beside[told]
    elif told and not _is_array(root) and told in root:
        found = root[told]
    else:
        fits = [k for k, x in beside.items() if x.shape == (n,) and k.casefold().startswith(_ANGLES)]
        key, found = (fits[0], beside[fits[0]]) if len(fits) == 1 else (told, None)
    if found is None or not _is_array(found) or found.shape != (n,):
        what = f"the angles of the {n} points are not said" if found is None else f"{key} has no {n} values"
        hint = "Name their path in the file: --two-theta entry/data/tth (in Python: two_theta_path=…)."
        raise ReadError(what, file=name, expected="an axis two_theta in degrees, or q", hint=hint)
    attributes = found.attrs
    return key, np.asarray(found[:], dtype=np.float64), _text(attributes.get("units", attributes.get("unit", "")))


def _as_two_theta(name: str, key: str, values: FloatArray, unit: str, wavelength: float | None) -> FloatArray:
    """Angles in degrees of 2θ from degrees, radians, or q."""
    short = unit.casefold().replace(" ", "").replace("å", "a")
    if any(mark in short for mark in ("-1", "1/", "^-", "⁻¹")):
        if wavelength is None:
            raise ReadError(f"{key} is q, and no wavelength is known", file=name, hint="Pass the wavelength.")
        sine = values * (0.1 if "nm" in short else 1.0) * wavelength / (4.0 * np.pi)
        if not (np.abs(sine) < 1.0).all():
            raise ReadError(f"{key} in {unit} goes beyond 4π/λ for λ = {wavelength:g} Å", file=name)
        angles: FloatArray = 2.0 * np.degrees(np.arcsin(sine))
        return angles
    if "rad" in short:
        return np.degrees(values)
    if "deg" in short or short == "°" or (not short and not key.casefold().rpartition("/")[2].startswith("q")):
        return values
    expected = "deg, rad, or 1/A or 1/nm of q"
    raise ReadError(f"the unit of {key} is {unit!r}" if unit else f"{key} has no unit", file=name, expected=expected)


def _emission_lines(root: Any, path: str) -> tuple[EmissionLine, ...]:
    """Wavelengths that a NeXus file states for the entry that holds the data."""
    if _is_array(root):
        return ()
    entry = path.partition("/")[0]
    for place in _WAVELENGTHS:
        full = f"{entry}/{place}".strip("/")
        if full not in root or not _is_array(root[full]):
            continue
        node = root[full]
        scale = {"angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "m": 1e10}
        factor = scale.get(_text(node.attrs.get("units")).casefold())
        lengths = np.atleast_1d(np.asarray(node[()], dtype=np.float64)).ravel()
        weights = f"{full}_weights"
        shares = np.asarray(root[weights][()], dtype=np.float64).ravel() if weights in root else np.ones(1)
        if factor is None or len(shares) != len(lengths) or not (lengths > 0.0).all():
            return ()
        return tuple(
            EmissionLine(wavelength=float(length * factor), weight=float(share))
            for length, share in zip(lengths, shares, strict=True)
        )
    return ()


def _axes(
    beside: Mapping[str, Any], named: Mapping[int, str], shape: tuple[int, ...]
) -> tuple[tuple[tuple[str, Any], ...], dict[str, str]]:
    """Name and values along each dimension; units of those that are columns: all of a map, of a series where known."""
    along, units = [], {}
    for d, size in enumerate(shape):
        key = named.get(d, "")
        known = key in beside and beside[key].shape == (size,) and beside[key].dtype.kind in "iuf"
        label = key or (("row", "column", "layer")[d] if len(shape) in (2, 3) else "frame" if not d else f"axis_{d}")
        values = np.asarray(beside[key][:], dtype=np.float64) if known else np.arange(size, dtype=np.float64)
        along.append((label, values))
        if known or len(shape) > 1:
            units[label] = (_text(beside[key].attrs.get("units")) or "1") if known else "1"
    return tuple(along), units


# --- files


@dataclass(frozen=True, kw_only=True)
class FileStack(Stack):
    """Patterns of the files of a folder, in the natural order of their names."""

    files: tuple[str, ...]

    def coordinates(self, start: int, stop: int) -> dict[str, Any]:
        """Names of some files."""
        return {"file": np.array([Path(file).name for file in self.files[start:stop]], dtype=object)}

    def pattern(self, place: int) -> Pattern | None:
        """One pattern as its file has it; None where it cannot be read or lies on other angles."""
        try:
            found = read_xrd(self.files[place])
        except XrdcompError:
            return None
        return found if len(found) == len(self.two_theta) and np.allclose(found.two_theta, self.two_theta) else None

    def read(self, start: int, stop: int) -> Block:
        """Read some files; what one of them says against it is its problem."""
        n = len(self.two_theta)
        y, sigmas, problems = np.full((stop - start, n), np.nan), np.ones((stop - start, n)), [""] * (stop - start)
        for row, file in enumerate(self.files[start:stop]):
            try:
                pattern = read_xrd(file)
            except XrdcompError as error:
                problems[row] = str(error)
                continue
            if len(pattern) != n or not np.allclose(pattern.two_theta, self.two_theta):
                x = pattern.two_theta
                span = f"{x[0]:g} to {x[-1]:g}° in {len(x)} points"
                grid = f"{self.two_theta[0]:g} to {self.two_theta[-1]:g}° in {n}"
                problems[row] = f"{file}: {span}, the others {grid}: a series has one grid"
                continue
            y[row], sigmas[row] = pattern.intensity, pattern.sigma
        return Block(intensities=y, sigmas=sigmas, problems=tuple(problems))


@dataclass(frozen=True, kw_only=True)
class ScanStack(Stack):
    """Scans of one file, which is small enough to be read as a whole."""

    @cached_property
    def _patterns(self) -> Sequence[Pattern]:
        return read_xrd_scans(self.source)

    def pattern(self, place: int) -> Pattern | None:
        """One scan as the file has it."""
        return self._patterns[place]

    def read(self, start: int, stop: int) -> Block:
        """Some scans of the file."""
        some = self._patterns[start:stop]
        y, sigma = np.array([p.intensity for p in some]), np.array([p.sigma for p in some])
        return Block(intensities=y, sigmas=sigma, problems=("",) * len(some))


def _open_folder(folder: Path) -> FileStack:
    """Files of the most frequent ending in a folder, frame_2 before frame_10."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    ends = Counter(_ending(path) for path in files)
    usual = min(ends, key=lambda end: (-ends[end], end), default="")
    chosen = sorted((path for path in files if _ending(path) == usual), key=natural_order)
    problem: XrdcompError | None = None
    for path in chosen:
        try:
            first = read_xrd(path)
        except XrdcompError as error:
            problem = problem or error
            continue
        return FileStack(
            source=str(folder), shape=(len(chosen),), two_theta=first.two_theta, emission_lines=first.emission_lines,
            axes=(("file", np.arange(len(chosen), dtype=np.float64)),), units={"file": ""},
            files=tuple(map(str, chosen)),
        )  # fmt: skip
    what = f"no pattern can be read: {problem}" if problem else "the folder holds no file"
    raise ReadError(what, file=str(folder), expected=_EXPECTED)


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:] if path.suffix.casefold() in (".gz", ".bz2") else path.suffixes[-1:]).casefold()


def natural_order(path: Path) -> tuple[tuple[str, int], ...]:
    """Order of names in which numbers count as such: frame_2 before frame_10."""
    parts = re.findall(r"(\D*)(\d*)", path.name.casefold())
    return tuple((text, int(number or -1)) for text, number in parts)


def _open_scans(name: str) -> ScanStack:
    found = read_xrd_scans(name)
    x = found[0].two_theta
    for number, pattern in enumerate(found):
        if len(pattern) != len(x) or not np.allclose(pattern.two_theta, x):
            msg = f"scan {number} has other angles than scan 0: a series has one grid"
            raise ReadError(msg, file=name)
    return ScanStack(
        source=name, shape=(len(found),), two_theta=x, emission_lines=found[0].emission_lines,
        axes=(("scan", np.arange(len(found), dtype=np.float64)),),
    )  # fmt: skip
