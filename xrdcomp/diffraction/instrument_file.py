"""An instrument on disk: TOML with the fields of `Instrument`, as `xrdcomp calibrate` writes it."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from xrdcomp.errors import OutputError, RecipeError
from xrdcomp.types import Instrument

__all__ = ["read_instrument", "write_instrument"]

_FIELDS = tuple(field.name for field in dataclasses.fields(Instrument))
_PROVENANCE = "provenance"


def read_instrument(path: str | Path) -> Instrument:
    """Read an instrument file.

    Parameters
    ----------
    path : path
        TOML; keys are the fields of `Instrument`, ``emission_lines`` is a list of tables with ``wavelength``
        in ångström and ``weight``. Fields that are left out take their defaults; the table ``provenance``
        is for people.

    Returns
    -------
    Instrument

    Raises
    ------
    RecipeError
        The file cannot be read, a key does not exist (the nearest is proposed) or has an illegal value.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{path}: cannot be read as an instrument ({reason}). Expected: TOML as `xrdcomp calibrate` writes."
        raise RecipeError(msg) from error
    data.pop(_PROVENANCE, None)
    unknown = [key for key in data if key not in _FIELDS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], _FIELDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else f" Known: {', '.join(_FIELDS)}."
        msg = f"{path}: {unknown[0]}: an instrument has no such property.{hint}"
        raise RecipeError(msg)
    try:
        return msgspec.convert(data, Instrument)
    except msgspec.ValidationError as error:
        msg = f"{path}: {error}"
        raise RecipeError(msg) from error


def write_instrument(
    instrument: Instrument, path: str | Path, *, provenance: Mapping[str, str | float] | None = None
) -> Path:
    """Write an instrument file, whole or not at all.

    Parameters
    ----------
    instrument : Instrument
    path : path
    provenance : mapping, optional
        Where the numbers come from (standard, file, figures of the fit); kept, not used.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    OutputError
        The place cannot be written.
    """
    target = Path(path)
    fields = dataclasses.asdict(instrument)
    lines = fields.pop("emission_lines")
    parts = [_table(fields), *(f"[[emission_lines]]\n{_table(line)}" for line in lines)]
    if provenance:
        parts.append(f"[{_PROVENANCE}]\n{_table(provenance)}")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        msg = f"{target}: cannot be written ({error.strerror}). Choose another place with -o."
        raise OutputError(msg) from error
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
        stream.write("\n".join(parts))
    Path(name).chmod(0o644)
    Path(name).replace(target)
    return target


def _table(values: Mapping[str, object]) -> str:
    """``key = value`` lines; None is left out. JSON's strings, numbers and booleans are TOML's as well."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n"
        for key, value in values.items()
        if value is not None
    )
