"""Write a pattern as XY, XYE, CSV, powder CIF or NeXus, so that other programs can read it.

Numbers are written with the figures that give them back exactly; the file appears under its name only when
it is complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from xrdcomp.data import Pattern
from xrdcomp.errors import MissingExtraError, ReadError, whole_file
from xrdcomp.io.front import read_xrd

_OF_THE_FILE_READ = {"scan_axis", "separator", "intensity_column"}
"""Facts that are not those of the file that is written."""


def convert_file(source: str | os.PathLike[str], target: str | os.PathLike[str], *, scan: int | None = None) -> Pattern:
    """Read a diffraction file and write it in the format of the target's suffix, one of `WRITERS`.

    `scan` is as in `read_xrd`. Besides its refusals, a `ReadError` says that the suffix names no format that
    can be written, or that the target is the source itself: a measurement is never replaced. NeXus needs the
    extra ``nexus`` (h5py).
    """
    path = Path(target)
    _writer(path)
    if path.exists() and path.samefile(source):
        msg = "the target is the file that is read; it would be lost"
        raise ReadError(msg, file=str(path), expected="another name for OUT", hint="Nothing was written.")
    pattern = read_xrd(source, scan=scan)
    write_pattern(pattern, target)
    return pattern


def write_pattern(pattern: Pattern, target: str | os.PathLike[str]) -> Path:
    """Write a pattern; the suffix of `target` decides the format."""
    path = Path(target)
    write = _writer(path)
    with ExitStack() as stack:
        try:
            work = stack.enter_context(whole_file(path))
        except OSError as problem:
            msg = f"the file cannot be written: {problem.strerror}"
            raise ReadError(msg, hint="Check folder and permission.", file=str(path)) from problem
        write(pattern, work)
    return path


def _writer(path: Path) -> Callable[[Pattern, Path], None]:
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        msg = f"{path.suffix or 'no suffix'!r} names no format that can be written"
        raise ReadError(msg, expected=", ".join(WRITERS), hint="Choose one of these.", file=str(path))
    return write


def _rows(pattern: Pattern, separator: str, *, sigma: bool) -> str:
    arrays = [pattern.two_theta, pattern.intensity, pattern.sigma][: 3 if sigma else 2]
    rows = zip(*(map(repr, array.tolist()) for array in arrays), strict=True)
    return "\n".join(map(separator.join, rows)) + "\n"


def _write_text(pattern: Pattern, path: Path, *, sigma: bool) -> None:
    """Columns under comment lines with the origin, the emission lines and the facts of the pattern."""
    source = pattern.source
    head = [f"source: {source.file} sha256 {source.sha256}"] if source else []
    head += [f"wavelength: {line.wavelength} (weight {line.weight:g})" for line in pattern.emission_lines]
    head.append(f"intensity unit: {pattern.intensity_unit}")
    head += [f"{key}: {value}" for key, value in pattern.metadata.items() if key not in _OF_THE_FILE_READ]
    head.append("two_theta intensity sigma" if sigma else "two_theta intensity")
    comments = "".join(f"# {' '.join(line.split())}\n" for line in head)
    path.write_text(comments + _rows(pattern, " ", sigma=sigma), encoding="utf-8")


def _write_csv(pattern: Pattern, path: Path) -> None:
    name = {"counts": "counts", "cps": "intensity_cps"}.get(pattern.intensity_unit, "intensity")
    path.write_text(f"two_theta,{name},sigma\n" + _rows(pattern, ",", sigma=True), encoding="utf-8")


def _write_cif(pattern: Pattern, path: Path) -> None:
    from gemmi import cif

    document = cif.Document()
    block = document.add_new_block("pattern")
    if pattern.source:
        block.set_pair("_pd_meas_info_author_name", "?")
        block.set_pair("_pd_proc_info_data_reduction", cif.quote(f"from {pattern.source.file}"))
    block.set_pair("_pd_meas_number_of_points", str(len(pattern)))
    if pattern.emission_lines:
        loop = block.init_loop("_diffrn_radiation_wavelength", ["", "_wt"])
        for line in pattern.emission_lines:
            loop.add_row([repr(line.wavelength), repr(line.weight)])
    counts = pattern.intensity_unit == "counts" and (pattern.intensity == np.round(pattern.intensity)).all()
    name = "_pd_meas_counts_total" if counts else "_pd_meas_intensity_total"
    table = block.init_loop("", ["_pd_meas_2theta_scan", name, "_pd_proc_ls_weight"])
    columns = (pattern.two_theta, pattern.intensity, 1.0 / pattern.sigma**2)
    table.set_all_values([list(map(repr, column.tolist())) for column in columns])
    path.write_text(document.as_string(), encoding="utf-8")


def _write_nexus(pattern: Pattern, path: Path) -> None:
    try:
        import h5py
    except ImportError as missing:
        raise MissingExtraError("NeXus needs h5py: pip install 'xrdcomp[nexus]'") from missing
    lines = pattern.emission_lines
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "intensity", "axes": "two_theta"})
        data.create_dataset("two_theta", data=pattern.two_theta).attrs["units"] = "degree"
        data.create_dataset("intensity", data=pattern.intensity).attrs["units"] = pattern.intensity_unit
        data.create_dataset("intensity_errors", data=pattern.sigma)
        beam = entry.create_group("beam")
        beam.attrs["NX_class"] = "NXbeam"
        wavelength = beam.create_dataset("incident_wavelength", data=[e.wavelength for e in lines])
        wavelength.attrs["units"] = "angstrom"
        beam.create_dataset("incident_wavelength_weights", data=[e.weight for e in lines])
        notes = entry.create_group("notes")
        notes.attrs.update({"NX_class": "NXnote", **pattern.metadata})


WRITERS: dict[str, Callable[[Pattern, Path], None]] = {
    ".xy": partial(_write_text, sigma=False),
    ".xye": partial(_write_text, sigma=True),
    ".csv": _write_csv,
    ".cif": _write_cif,
    ".h5": _write_nexus,
    ".nxs": _write_nexus,
}
