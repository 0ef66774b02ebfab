"""A file at a glance: kind, format, scan or run, instrument, sample name, and what it does not state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from xrdcomp.batch.specimens import is_empty_by_name, kind_of
from xrdcomp.data import Pattern, TgaRun
from xrdcomp.errors import MissingExtraError, ReadError, XrdcompError
from xrdcomp.io.front import inspect_file, list_formats, read_tga, read_xrd
from xrdcomp.io.source import SourceFile, open_source

KINDS = {"structure": "structure", "xrd": "pattern", "tga": "TGA run", "xrd_frame": "frame", "": "not known"}
_UNITS = ("mass_unit", "temperature_unit", "time_unit")


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is: `facts` in words, `missing` what it does not state, `problem` why it cannot be used as it is."""

    name: str
    kind: str = ""
    format: str = ""
    size: int = 0
    sha256: str = ""
    sample_name: str = ""
    instrument: str = ""
    facts: list[str] = []
    missing: list[str] = []
    problem: str = ""
    scans: int = 0
    empty: bool = False
    simulated: bool = False

    @property
    def kind_in_words(self) -> str:
        """Kind for people."""
        return KINDS.get(self.kind, self.kind)


def look_at(path: Path) -> Look:
    """Open a file once and describe it; its content never raises an exception."""
    known: dict[str, Any] = {"name": path.name, "size": path.stat().st_size, "empty": is_empty_by_name(path)}
    try:
        source = open_source(path)
        known["kind"] = kind_of(source) or ""
        if known["kind"] == "tga":
            return Look(**known | _of_run(read_tga(source)))
        found = inspect_file(source)
        known |= {"kind": found["kind"], "format": _format_name(str(found["format"]))}
        if found["kind"] == "tga":
            return Look(**known | _of_run(read_tga(source)))
        if found["kind"] == "xrd":
            return Look(**known | _of_pattern(source, found))
        problem = "This is a frame of an area detector. Integrate it to a pattern first: xrdcomp integrate."
    except ReadError as error:
        if path.suffix.lower() == ".cif" and (found := _of_structure(path)):
            return Look(**known | found)
        problem = error.for_command(()).replace(str(path), path.name)
    except MissingExtraError as error:
        problem = error.for_command(())
    except XrdcompError as error:
        problem = error.for_command(()).replace(str(path), path.name)
    except Exception as error:  # noqa: BLE001 - a defect of a reader on one file must not take the page away
        problem = f"{path.name}: it cannot be read because of a defect of the program ({error}). Please report it."
    return Look(**known | {"problem": problem, "kind": known.get("kind", "")})


def _of_structure(path: Path) -> dict[str, Any]:
    """Phase of a CIF that holds no pattern; empty where it holds no structure either."""
    from xrdcomp.phases.library import load_phase

    try:
        phase = load_phase(path)
    except XrdcompError:
        return {}
    told = f"{phase.name or phase.id}, {phase.formula}".strip(", ")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"kind": "structure", "format": "CIF", "facts": [told, "to be ticked among the phases"], "sha256": digest}


def _format_name(format_id: str) -> str:
    return next((str(row["name"]) for row in list_formats() if row["id"] == format_id), format_id)


def _of_pattern(source: SourceFile, found: Mapping[str, Any]) -> dict[str, Any]:
    scans = found["scans"]
    facts = [
        f"{row['two_theta_min']:.4g} to {row['two_theta_max']:.4g}° 2θ, {row['n_points']} points"
        for row in scans[:3] if row["n_points"]
    ]  # fmt: skip
    if len(scans) > 1:
        facts = [f"{len(scans)} scans: {'; '.join(facts)}{' …' if len(scans) > 3 else ''}"]
    try:
        pattern = read_xrd(source)
    except XrdcompError:
        if len(scans) < 2:
            raise
        pattern = read_xrd(source, scan=0)
    told = {"facts": facts, "scans": len(scans), **_named(pattern)}
    missing = ["which of its scans"] if len(scans) > 1 else []
    if pattern.emission_lines:
        facts.append(
            f"λ {pattern.emission_lines[0].wavelength:.5g} Å" + (f" ({pattern.anode})" if pattern.anode else "")
        )
    elif pattern.anode:
        facts.append(f"{pattern.anode} tube")
    else:
        missing.append("radiation (copper Kα is taken)")
    if pattern.intensity_unit == "arbitrary":
        missing.append("unit of the intensities")
    return told | {"missing": missing}


def _of_run(run: TgaRun) -> dict[str, Any]:
    low, high = float(run.temperature_c.min()), float(run.temperature_c.max())
    facts = [f"{low:.0f} to {high:.0f} °C, {len(run)} points"]
    missing = []
    if run.initial_mass_mg is not None:
        facts.append(f"{run.initial_mass_mg:.4g} mg")
    elif run.mass_unit in ("percent", "fraction"):
        missing.append("mass weighed in")
    if run.heating_rate_k_min:
        facts.append(f"{run.heating_rate_k_min:.3g} K/min")
    gases = [run.atmosphere, *(str(change) for change in run.gas_changes)]
    if run.atmosphere == "unknown":
        missing.append("gas")
    else:
        facts.append(", ".join(gases).replace("_", " "))
    return {"facts": facts, "missing": missing, **_named(run)}


def _named(measured: Pattern | TgaRun) -> dict[str, Any]:
    source, facts = measured.source, measured.metadata
    name = (source.sample_name if source is not None else None) or ""
    instrument = str(facts.get("instrument") or facts.get("device") or "")
    simulated = any("simulated" in str(value).casefold() for value in facts.values())
    return {
        "sample_name": name, "instrument": instrument, "simulated": simulated,
        **({"sha256": source.sha256, "format": _format_name(source.format)} if source is not None else {}),
    }  # fmt: skip
