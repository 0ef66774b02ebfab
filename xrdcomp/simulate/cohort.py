"""The embedded cohort: ten simulated specimens of draining calcinosis, regenerated from a seed.

What is published of ten patients is qualitative: hydroxyapatite in all specimens but one and the only
crystalline phase, minor in most, organic matter above one half in most, more apatite in solid than in fluid
samples. The compositions below were chosen to have these properties; nothing in them was measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xrdcomp.data import Atmosphere, Pattern, Phase, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.exports import write_pattern, write_tga
from xrdcomp.simulate.specimens import (
    CALCITE_CO3,
    SimulatedSpecimen,
    SpecimenModel,
    TgaConditions,
    XrdConditions,
    mass_fractions,
    truth_of,
)
from xrdcomp.simulate.tga import simulate_tga_blank, specimen_pools, weigh
from xrdcomp.simulate.xrd import apatite_sizes, expected_pattern, measure

# ------------ One simulated specimen: pattern and curve from one composition.

_CARBONATE_PHASES = {"calcite": CALCITE_CO3, "aragonite": CALCITE_CO3, "vaterite": CALCITE_CO3}
_NAMED = ("apatite", "protein", "lipid", "water", "amorphous_mineral", "carbonate")


def _phases_of(model: SpecimenModel) -> dict[str, Phase]:
    names = [name for name in mass_fractions(model) if name not in _NAMED]
    return {name: load_phase(name) for name in dict.fromkeys([model.apatite_model.phase, *names])}


def simulate_pattern(
    model: SpecimenModel, conditions: XrdConditions | None = None, *, seed: int
) -> tuple[Pattern, Pattern]:
    """Diffraction pattern of a specimen and the scan of its empty holder.

    Parameters
    ----------
    model : SpecimenModel
    conditions : XrdConditions, optional
    seed : int
        Decides counting noise and grainy intensities.

    Returns
    -------
    pattern, blank : Pattern
        Counts; the blank holds air scatter, flat background and the holder's humps only, unattenuated.
    """
    conditions = conditions or XrdConditions()
    rng = np.random.default_rng(seed)
    expected = expected_pattern(model, conditions, _phases_of(model), rng)
    total = expected.specimen + expected.background
    pattern = measure(expected.two_theta, total, conditions, rng, f"{model.specimen_id} (simulated)")
    blank = measure(expected.two_theta, expected.background, conditions, rng, "empty holder (simulated)")
    return pattern, blank


def simulate_tga(model: SpecimenModel, conditions: TgaConditions | None = None, *, seed: int) -> TgaRun:
    """Thermogravimetric run of a specimen.

    Parameters
    ----------
    model : SpecimenModel
    conditions : TgaConditions, optional
    seed : int
        Decides noise and wander.

    Returns
    -------
    TgaRun
        Temperature in °C, mass in mg, time in s.
    """
    conditions = conditions or TgaConditions()
    pools = specimen_pools(model, inert=conditions.inert)
    return weigh(pools, conditions, seed=seed, name=f"{model.specimen_id} (simulated)")


def simulate_specimen(
    model: SpecimenModel,
    *,
    xrd: XrdConditions | None = None,
    tga: TgaConditions | None = None,
    seed: int,
) -> SimulatedSpecimen:
    """Measure a specimen with both instruments.

    One composition goes through two independent forward models: the pattern on the absolute scale of electron
    units per gram, the curve by the kinetics of each component. Nothing here uses the analysis' own physics,
    so that recovering `truth` means something.

    Parameters
    ----------
    model : SpecimenModel
    xrd, tga : conditions, optional
        A laboratory diffractometer with Cu Kα and a run in air at 10 K/min by default.
    seed : int
        The same model, conditions and seed give the same measurement.

    Returns
    -------
    SimulatedSpecimen

    Examples
    --------
    >>> from xrdcomp.simulate import SpecimenModel, simulate_specimen
    >>> bone = SpecimenModel(apatite=0.60, protein=0.25, water=0.10, carbonate=0.05)
    >>> simulated = simulate_specimen(bone, seed=1)
    >>> round(simulated.truth["components"]["organic"], 2)
    0.25
    """
    tga = tga or TgaConditions()
    pattern, blank = simulate_pattern(model, xrd, seed=seed)
    truth = truth_of(model, _CARBONATE_PHASES)
    run = simulate_tga(model, tga, seed=seed + 1_000_003)
    losses: dict[str, float] = {}
    for pool in specimen_pools(model, inert=tga.inert):
        losses[pool.name] = losses.get(pool.name, 0.0) + pool.mass_fraction
    truth |= apatite_sizes(model.apatite_model) if model.apatite > 0.0 else {}
    truth["tga_losses"] = losses
    truth["tga_atmosphere"] = tga.atmosphere
    return SimulatedSpecimen(
        model=model,
        pattern=pattern,
        tga=run,
        blank=blank,
        tga_blank=simulate_tga_blank(tga, seed=seed + 2_000_003),
        truth=truth,
    )


# ------------ The embedded cohort: ten simulated specimens of draining calcinosis, regenerated from a seed.
# What is published of ten patients is qualitative: hydroxyapatite in all specimens but one and the only
# crystalline phase, minor in most, organic matter above one half in most, more apatite in solid than in fluid
# samples. The compositions below were chosen to have these properties; nothing in them was measured.

COHORT_SEED = 20171017
Kind = Literal["solid", "fluid"]
_MANIFEST = "cohort.json"
_SUFFIX = {"gsas": "gsa", "xy": "xy", "xye": "xye", "csv": "csv", "xrdml": "xrdml", "ras": "ras"}


@dataclass(frozen=True, kw_only=True)
class CohortEntry:
    """One embedded specimen.

    Parameters
    ----------
    specimen_id : str
    kind : {"solid", "fluid"}
    xrd, tga : Path
        The two exports.
    radiation : str
        Radiation of the pattern, for formats that cannot state it.
    atmosphere : str
        Of the thermogravimetric run.
    truth : dict
        See `xrdcomp.simulate.specimens.truth_of`.
    """

    specimen_id: str
    kind: Kind
    xrd: Path
    tga: Path
    radiation: str
    atmosphere: Atmosphere
    truth: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Row:
    specimen_id: str
    kind: Kind
    fractions: tuple[float, float, float, float, float, float]
    length_nm: tuple[float, float]
    exports: tuple[str, str]
    atmosphere: Atmosphere = "air"
    peak_counts: float = 6000.0
    step: float = 0.02


# fractions: apatite, carbonate in its lattice, protein, lipid, water, amorphous mineral
_ROWS = (
    _Row(
        specimen_id="sim01_solid",
        kind="solid",
        fractions=(0.340, 0.022, 0.400, 0.130, 0.080, 0.028),
        length_nm=(24.0, 9.0),
        exports=("xrdml", "netzsch"),
    ),
    _Row(
        specimen_id="sim02_solid",
        kind="solid",
        fractions=(0.270, 0.018, 0.420, 0.180, 0.070, 0.042),
        length_nm=(21.0, 8.0),
        exports=("xy", "csv"),
        peak_counts=4000.0,
    ),
    _Row(
        specimen_id="sim03_solid",
        kind="solid",
        fractions=(0.560, 0.040, 0.240, 0.060, 0.060, 0.040),
        length_nm=(30.0, 12.0),
        exports=("ras", "ta"),
        peak_counts=9000.0,
    ),
    _Row(
        specimen_id="sim04_solid",
        kind="solid",
        fractions=(0.210, 0.013, 0.460, 0.210, 0.090, 0.017),
        length_nm=(19.0, 7.5),
        exports=("gsas", "csv"),
        step=0.025,
    ),
    _Row(
        specimen_id="sim05_solid",
        kind="solid",
        fractions=(0.390, 0.027, 0.370, 0.140, 0.055, 0.018),
        length_nm=(27.0, 10.0),
        exports=("csv", "netzsch"),
        peak_counts=7000.0,
    ),
    _Row(
        specimen_id="sim06_solid",
        kind="solid",
        fractions=(0.300, 0.020, 0.360, 0.200, 0.100, 0.020),
        length_nm=(22.0, 9.0),
        exports=("xye", "ta"),
        step=0.03,
    ),
    _Row(
        specimen_id="sim07_fluid",
        kind="fluid",
        fractions=(0.090, 0.006, 0.400, 0.140, 0.350, 0.014),
        length_nm=(20.0, 8.0),
        exports=("xrdml", "csv"),
        peak_counts=5000.0,
    ),
    _Row(
        specimen_id="sim08_fluid",
        kind="fluid",
        fractions=(0.050, 0.003, 0.420, 0.240, 0.280, 0.007),
        length_nm=(18.0, 8.0),
        exports=("xy", "netzsch"),
        atmosphere="nitrogen",
        step=0.03,
    ),
    _Row(
        specimen_id="sim09_fluid",
        kind="fluid",
        fractions=(0.140, 0.009, 0.380, 0.170, 0.280, 0.021),
        length_nm=(23.0, 8.5),
        exports=("xrdml", "ta"),
    ),
    _Row(
        specimen_id="sim10_fluid",
        kind="fluid",
        fractions=(0.0, 0.0, 0.450, 0.250, 0.270, 0.030),
        length_nm=(20.0, 8.0),
        exports=("csv", "csv"),
        step=0.025,
    ),
)


def cohort_models(rng: np.random.Generator) -> tuple[SpecimenModel, ...]:
    """Return the ten specimens with halo shapes, disorder and cells that differ from one to the next.

    Parameters
    ----------
    rng : numpy Generator
        Halos move by 0.25° (σ), widths by 4 %, heights by 5 %; the compositions stay.
    """
    models = []
    for row in _ROWS:
        apatite, carbonate, protein, lipid, water, amorphous = row.fractions
        model = SpecimenModel(
            specimen_id=row.specimen_id,
            apatite=apatite,
            carbonate=carbonate,
            protein=protein,
            lipid=lipid,
            water=water,
            amorphous_mineral=amorphous,
            carbonate_site="lattice",
            char_fraction=0.21,
        )
        materials = {
            name: replace(
                material,
                halo=material.halo.jittered(
                    shift=float(rng.normal(0.0, 0.25)),
                    width=float(np.exp(rng.normal(0.0, 0.04))),
                    height=float(np.exp(rng.normal(0.0, 0.05))),
                ),
            )
            for name, material in model.materials.items()
        }
        character = replace(
            model.apatite_model,
            length_c_nm=row.length_nm[0],
            length_a_nm=row.length_nm[1],
            sigma_ln=float(rng.uniform(0.2, 0.4)),
            microstrain=float(rng.uniform(0.0008, 0.002)),
            b_excess=float(rng.uniform(0.0, 0.15)),
            a_offset=float(rng.normal(0.02, 0.005)),
        )
        models.append(replace(model, materials=materials, apatite_model=character))
    return tuple(models)


def _conditions(row: _Row, rng: np.random.Generator) -> tuple[XrdConditions, TgaConditions]:
    xrd = XrdConditions(
        step=row.step,
        peak_counts=row.peak_counts,
        displacement_mm=float(rng.normal(0.0, 0.04)),
        axial_half_angle_deg=float(rng.uniform(1.2, 1.9)),
        background_constant=float(rng.uniform(0.03, 0.08)),
        air_scatter=float(rng.uniform(0.15, 0.35)),
    )
    tga = TgaConditions(
        sample_mass_mg=round(float(rng.uniform(8.0, 18.0)), 3),
        noise_ug=float(rng.uniform(1.0, 3.0)),
        drift_ug_h=float(rng.normal(0.0, 3.0)),
        wander_ug=1.0,
        pan_volume_cm3=float(rng.uniform(0.015, 0.03)),
        atmosphere=row.atmosphere,
        points=3000,
    )
    return xrd, tga


def generate_cohort(folder: Path, *, seed: int = COHORT_SEED) -> tuple[CohortEntry, ...]:
    """Write the ten specimens: ``<id>/<id>.*``, ``<id>/<id>_tga.*``, ``<id>/truth.json``, ``cohort.json``.

    Parameters
    ----------
    folder : Path
        Created if it does not exist; files of the same names are replaced, others stay.
    seed : int
        The same seed writes the same bytes.

    Returns
    -------
    tuple of CohortEntry, in the order of the manifest
    """
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    manifest: list[dict[str, str]] = []
    for number, (row, model) in enumerate(zip(_ROWS, cohort_models(rng), strict=True)):
        xrd, tga = _conditions(row, rng)
        simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed + 101 * (number + 1))
        place = folder / row.specimen_id
        place.mkdir(parents=True, exist_ok=True)
        xrd_format, tga_format = row.exports
        xrd_name = f"{row.specimen_id}.{_SUFFIX[xrd_format]}"
        tga_name = f"{row.specimen_id}_tga.{'csv' if tga_format == 'csv' else 'txt'}"
        write_pattern(place / xrd_name, simulated.pattern, xrd_format)
        write_tga(place / tga_name, simulated.tga, tga_format)
        truth = simulated.truth | {"kind": row.kind, "seed": seed}
        (place / "truth.json").write_bytes(_json(_rounded(truth)))
        manifest.append(
            {
                "specimen_id": row.specimen_id,
                "kind": row.kind,
                "xrd": f"{row.specimen_id}/{xrd_name}",
                "tga": f"{row.specimen_id}/{tga_name}",
                "radiation": "CuKa",
                "atmosphere": row.atmosphere,
            }
        )
    text = {"simulated": True, "generator": "xrdcomp.simulate", "seed": seed, "specimens": manifest}
    (folder / _MANIFEST).write_bytes(_json(text))
    return load_cohort(folder)


def _rounded(value: Any) -> Any:
    """Round the floats of a truth to ten decimals, so that 0.1 + 0.2 reads 0.3."""
    if isinstance(value, float):
        return round(value, 10)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return value


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def specimens_folder() -> Path:
    """Folder of the embedded specimens: inside the installed package, or beside it in a source tree.

    Raises
    ------
    AnalysisError
        Neither exists: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    candidates = (package / "_data" / "specimens", package.parent / "data" / "specimens")
    for folder in candidates:
        if (folder / _MANIFEST).is_file():
            return folder
    msg = (
        f"the embedded specimens are missing: neither {candidates[0]} nor {candidates[1]} exists. Reinstall."
    )
    raise AnalysisError(msg)


def load_cohort(folder: Path | None = None) -> tuple[CohortEntry, ...]:
    """Return the embedded specimens, or those that `generate_cohort` wrote into `folder`.

    Parameters
    ----------
    folder : path, optional
        Without it the specimens that come with the package.

    Returns
    -------
    tuple of CohortEntry
        Paths of the exports and the truth; nothing is analysed.

    Raises
    ------
    AnalysisError
        The folder holds no cohort.
    """
    root = specimens_folder() if folder is None else Path(folder)
    if not (root / _MANIFEST).is_file():
        msg = f"{root} holds no {_MANIFEST}; write one with generate_cohort."
        raise AnalysisError(msg)
    rows = json.loads((root / _MANIFEST).read_text(encoding="utf-8"))["specimens"]
    return tuple(
        CohortEntry(
            specimen_id=row["specimen_id"],
            kind=row["kind"],
            xrd=root / row["xrd"],
            tga=root / row["tga"],
            radiation=row["radiation"],
            atmosphere=row["atmosphere"],
            truth=json.loads((root / row["specimen_id"] / "truth.json").read_text(encoding="utf-8")),
        )
        for row in rows
    )
