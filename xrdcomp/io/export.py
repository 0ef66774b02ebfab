"""Write a pattern as XY, XYE, CSV, powder CIF or NeXus, so that other programs can read it.

Numbers are written with enough digits to restore them exactly; the file appears under its name only when it is
complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from xrdcomp.data import Pattern
from xrdcomp.disk import refuse_inputs, whole_file
from xrdcomp.errors import MissingExtraError, ReadError, printable
from xrdcomp.io.front import read_xrd

_OF_THE_FILE_READ = {"scan_axis", "separator", "intensity_column"}
"""Facts that are not those of the file that is written."""


def convert_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    scan: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
) -> Pattern:
    """Read a diffraction file and write it in the format of the target's suffix, one of `WRITERS`.

    `scan` and `format` are as in `read_xrd`. In addition to the errors of `read_xrd`, a `ReadError` says that the
    suffix names no format that can be written, and an `OutputError` that the target is the source itself, or a file
    that xrdcomp did not write (replaced with `overwrite`): a measurement is never replaced. NeXus needs the extra
    ``nexus`` (h5py).
    """
    path = Path(target)
    _writer(path)
    refuse_inputs(path, [source])
    pattern = read_xrd(source, scan=scan, format=format)
    write_pattern(pattern, target, overwrite=overwrite)
    return pattern


def write_pattern(pattern: Pattern, target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a pattern; the suffix of `target` decides the format.

    A file that xrdcomp did not write is replaced only with `overwrite` (otherwise OutputError).
    """
    path = Path(target)
    write = _writer(path)
    with whole_file(path, overwrite=overwrite) as work:
        content = write(pattern)
        work.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _writer(path: Path) -> Callable[[Pattern], bytes | str]:
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        msg = f"{path.suffix or 'no suffix'!r} names no format that can be written"
        raise ReadError(msg, expected=", ".join(WRITERS), hint="Choose one of these.", file=str(path))
    return write


def _rows(pattern: Pattern, separator: str, *, sigma: bool) -> str:
    arrays = [pattern.two_theta, pattern.intensity, pattern.sigma][: 3 if sigma else 2]
    rows = zip(*(map(repr, array.tolist()) for array in arrays), strict=True)
    return "\n".join(map(separator.join, rows)) + "\n"


def _text(pattern: Pattern, *, sigma: bool) -> str:
    """Columns under comment lines with the origin, the emission lines and the facts of the pattern."""
    source = pattern.source
    head = ["written by xrdcomp", *([f"source: {source.file} sha256 {source.sha256}"] if source else [])]
    head += [f"wavelength: {line.wavelength} (weight {line.weight:g})" for line in pattern.emission_lines]
    head.append(f"intensity unit: {pattern.intensity_unit}")
    head += [f"{key}: {value}" for key, value in pattern.metadata.items() if key not in _OF_THE_FILE_READ]
    head.append("two_theta intensity sigma" if sigma else "two_theta intensity")
    comments = "".join(f"# {printable(' '.join(line.split()))}\n" for line in head)
    return comments + _rows(pattern, " ", sigma=sigma)


def _csv(pattern: Pattern) -> str:
    name = {"counts": "counts", "cps": "intensity_cps"}.get(pattern.intensity_unit, "intensity")
    return f"two_theta,{name},sigma\n" + _rows(pattern, ",", sigma=True)


def _cif(pattern: Pattern) -> str:
    from gemmi import cif

    document = cif.Document()
    block = document.add_new_block("pattern")
    block.set_pair("_audit_creation_method", "xrdcomp")
    if pattern.source:
        block.set_pair("_pd_meas_info_author_name", "?")
        block.set_pair("_pd_proc_info_data_reduction", cif.quote(printable(f"from {pattern.source.file}")))
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
    return document.as_string()


def _nexus(pattern: Pattern) -> bytes:
    """HDF5 built in memory: the library itself ends the process where it meets a full disk."""
    try:
        import h5py
    except ImportError as missing:
        raise MissingExtraError("NeXus needs h5py: pip install 'xrdcomp[nexus]'") from missing
    lines = pattern.emission_lines
    with h5py.File("pattern.nxs", "w", driver="core", backing_store=False) as file:
        file.attrs.update({"default": "entry", "creator": "xrdcomp"})
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
        facts = {printable(key): printable(x) if isinstance(x, str) else x for key, x in pattern.metadata.items()}
        notes.attrs.update({"NX_class": "NXnote", **facts})
        file.flush()
        return bytes(file.id.get_file_image())


WRITERS: dict[str, Callable[[Pattern], bytes | str]] = {
    ".xy": partial(_text, sigma=False),
    ".xye": partial(_text, sigma=True),
    ".csv": _csv,
    ".cif": _cif,
    ".h5": _nexus,
    ".nxs": _nexus,
}
