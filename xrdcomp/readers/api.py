"""What users call: read a pattern, list the scans of a file, say what a file is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from xrdcomp.errors import ReadError
from xrdcomp.readers.registry import (
    Reader,
    TgaOptions,
    TgaReader,
    XrdReader,
    all_readers,
    call_reader,
    find_reader,
    recognise,
)
from xrdcomp.readers.scan import RawScan, to_pattern
from xrdcomp.readers.source import SourceFile, open_source
from xrdcomp.types import Pattern

__all__ = ["inspect_file", "list_formats", "read_xrd", "read_xrd_scans", "why_not_powder"]

PLAUSIBLE = 0.3
SURE = 0.55
"""From this score on a reader has recognised its format; below, it only could read such content."""


def read_xrd(path: str | os.PathLike[str], *, scan: int | None = None, format: str | None = None) -> Pattern:
    """Read one powder diffraction scan from an instrument's file.

    Parameters
    ----------
    path : path
        The file; gzip and bzip2 are undone.
    scan : int, optional
        Number of the scan in the file, from 0. Without it the only powder scan is taken; where there are
        several, they are listed and the choice is asked for.
    format : str, optional
        Id of the format (``xrdcomp formats`` lists them); without it the content decides.

    Returns
    -------
    Pattern
        With the standard deviations, wavelengths, counting time and other facts that the file holds, and
        diagnostics on what is suspicious.

    Raises
    ------
    ReadError
        The file cannot be read, or must not be because a number in it would be a guess.
    MissingExtraError
        The format needs an optional package.
    """
    source = open_source(path)
    reader = _xrd_reader(source, format)
    scans = _raw_scans(reader, source)
    if scan is not None:
        if not 0 <= scan < len(scans):
            msg = f"there is no scan {scan}"
            raise source.error(msg, format_id=reader.id, expected=f"0 to {len(scans) - 1}")
        return call_reader(reader, source, lambda: to_pattern(scans[scan], source, reader.id))
    powder = [raw for raw in scans if not raw.not_powder and raw.default]
    if len(powder) > 1:
        listing = "; ".join(f"scan={i}: {_outline(raw)}" for i, raw in enumerate(scans[:20]))
        msg = f"the file holds {len(powder)} powder scans ({listing}{'; …' if len(scans) > 20 else ''})"
        raise source.error(msg, format_id=reader.id, hint="Pass scan=N (on the command line --scan N).")
    chosen = powder[0] if len(powder) == 1 else scans[0]
    return call_reader(reader, source, lambda: to_pattern(chosen, source, reader.id))


def read_xrd_scans(path: str | os.PathLike[str], *, format: str | None = None) -> tuple[Pattern, ...]:
    """Read every powder scan of a file, in its order; scans that are none are left out.

    Parameters
    ----------
    path : path
    format : str, optional
        Id of the format; without it the content decides.

    Returns
    -------
    tuple of Pattern

    Raises
    ------
    ReadError
        As `read_xrd`; also where no scan is a powder scan.
    """
    source = open_source(path)
    reader = _xrd_reader(source, format)
    scans = _raw_scans(reader, source)
    powder = [raw for raw in scans if not raw.not_powder] or list(scans[:1])
    return call_reader(reader, source, lambda: tuple(to_pattern(raw, source, reader.id) for raw in powder))


def list_formats() -> list[dict[str, str | bool | list[str]]]:
    """List the formats: id, name, kind, extensions, extras needed, whether verified on real files.

    Returns
    -------
    list of dict
        In the order in which formats are tried.
    """
    return [
        {
            "id": reader.id,
            "name": reader.name,
            "kind": reader.kind,
            "extensions": list(reader.extensions),
            "extras": list(reader.extras),
            "verified": reader.verified,
        }
        for reader in all_readers()
    ]


def inspect_file(path: str | os.PathLike[str]) -> dict[str, object]:
    """Say what a file is and what it holds, without judging whether it can be analysed.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        ``kind``, ``format`` and ``scans`` (patterns; empty for frames, whose facts ``xrdcomp.frames`` tells) or
        ``segments`` (thermogravimetry), ready for JSON. Angles in degrees, wavelengths in ångström, temperature
        in °C, mass in mg, time in s.

    Raises
    ------
    ReadError
        Nothing recognises the file, or it is damaged.
    """
    source = open_source(path)
    found = recognise(source)
    if not found:
        raise _unknown(source)
    reader = found[0][1]
    if isinstance(reader, XrdReader):
        scans = _raw_scans(reader, source)
        return {"kind": "xrd", "format": reader.id, "scans": [_describe(raw) for raw in scans]}
    if isinstance(reader, TgaReader):
        from xrdcomp.readers.tga_api import describe_run

        run = call_reader(reader, source, lambda: reader.read(source, TgaOptions()))
        return {"kind": "tga", "format": reader.id, "segments": describe_run(run)}
    return {"kind": reader.kind, "format": reader.id, "scans": []}


def _describe(raw: RawScan) -> dict[str, object]:
    n = len(raw.two_theta)
    return {
        "n_points": n,
        "two_theta_min": float(raw.two_theta.min()) if n else None,
        "two_theta_max": float(raw.two_theta.max()) if n else None,
        "intensity_max": float(raw.intensity.max()) if n else None,
        "intensity_unit": raw.unit,
        "wavelengths": [line.wavelength for line in raw.emission_lines],
        "axis": raw.axis,
    }


def why_not_powder(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Say for each scan of a file why it is no powder scan; "" for one that is.

    Parameters
    ----------
    path : path

    Returns
    -------
    tuple of str
        One per scan.

    Raises
    ------
    ReadError, MissingExtraError
        As `read_xrd`.
    """
    source = open_source(path)
    return tuple(raw.not_powder for raw in _raw_scans(_xrd_reader(source, None), source))


def _outline(raw: RawScan) -> str:
    n = len(raw.two_theta)
    span = f"{raw.two_theta[0]:g} to {raw.two_theta[-1]:g}, {n} points" if n else "empty"
    return f"{raw.axis} {span}" + (" (no powder scan)" if raw.not_powder else "")


def _xrd_reader(source: SourceFile, format_id: str | None) -> XrdReader:
    if format_id is not None:
        chosen = find_reader(format_id)
        if isinstance(chosen, XrdReader):
            return chosen
        msg = f"format {format_id!r} is not a one-dimensional diffraction format"
        raise source.error(msg, hint="`xrdcomp formats` lists them.")
    found = recognise(source)
    best: Reader | None = found[0][1] if found else None
    if isinstance(best, XrdReader):
        return best
    if best is not None and found[0][0] >= SURE:
        raise _wrong_kind(source, best)
    for _, reader in found:
        if isinstance(reader, XrdReader):
            return reader
    raise _wrong_kind(source, best) if best and found[0][0] >= PLAUSIBLE else _unknown(source)


def _wrong_kind(source: SourceFile, reader: Reader) -> ReadError:
    if reader.kind == "tga":
        return source.error(
            f"this is a thermogravimetric file ({reader.name})",
            format_id=reader.id,
            expected="a diffraction pattern",
            hint="Pass it as the TGA file: read_tga(path), or --tga on the command line.",
        )
    return source.error(
        f"this is a two-dimensional frame ({reader.name})",
        format_id=reader.id,
        expected="a one-dimensional scan",
        hint="Integrate it first with `xrdcomp integrate`, which needs the extra `frames` (fabio, pyFAI).",
    )


def _unknown(source: SourceFile) -> ReadError:
    start = source.head[:16]
    return source.error(
        f"no reader recognises the content (it starts with {start!r})",
        expected="a format that `xrdcomp formats` lists",
        hint="Export the measurement as text with two columns, or pass format= if you know what it is.",
    )


def _raw_scans(reader: XrdReader, source: SourceFile) -> Sequence[RawScan]:
    scans = call_reader(reader, source, lambda: tuple(reader.read(source)))
    if not scans:
        msg = "the file holds no scan"
        raise source.error(
            msg, format_id=reader.id, hint="The measurement may have been stopped or not saved."
        )
    return scans
