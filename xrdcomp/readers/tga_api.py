"""Read a thermogravimetric run from an instrument's file."""

from __future__ import annotations

import os

from xrdcomp.readers.registry import TgaOptions, TgaReader, call_reader, find_reader, recognise
from xrdcomp.readers.source import open_source
from xrdcomp.types import TgaRun

__all__ = ["describe_run", "read_tga"]


def read_tga(
    path: str | os.PathLike[str], *, format: str | None = None, options: TgaOptions | None = None
) -> TgaRun:
    """Read one thermogravimetric run with all its segments.

    Parameters
    ----------
    path : path
    format : str, optional
        Id of the format; without it the content decides.
    options : TgaOptions, optional
        Units and columns, where the file does not tell them.

    Raises
    ------
    ReadError
        The file cannot be read, or must not be because a number in it would be a guess.
    """
    source = open_source(path)
    given = options or TgaOptions()
    candidates = [find_reader(format)] if format else [each for _, each in recognise(source, "tga")]
    reader = next((each for each in candidates if isinstance(each, TgaReader)), None)
    if reader is None:
        msg = "no thermogravimetric reader recognises the content"
        raise source.error(msg, expected="a format that `xrdcomp formats` lists as tga")
    return call_reader(reader, source, lambda: reader.read(source, given))


def describe_run(run: TgaRun) -> list[dict[str, float | int | str | None]]:
    """One record per segment, as `xrdcomp inspect` prints it."""
    records: list[dict[str, float | int | str | None]] = []
    assert run.segment is not None
    for number in dict.fromkeys(run.segment.tolist()):
        inside = run.segment == number
        time = run.time_s[inside] if run.time_s is not None else None
        first = float(run.mass[inside][0])
        records.append(
            {
                "n_points": int(inside.sum()),
                "temperature_min_C": float(run.temperature_c[inside].min()),
                "temperature_max_C": float(run.temperature_c[inside].max()),
                "mass_start_mg": {"mg": first, "ug": first / 1e3, "g": first * 1e3}.get(run.mass_unit),
                "mass_unit_in_file": str(run.metadata.get("mass_unit_in_file", run.mass_unit)),
                "duration_s": None if time is None else float(time[-1] - time[0]),
            }
        )
    return records
