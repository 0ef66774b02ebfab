"""One simulated specimen, and the embedded cohort: ten specimens of draining calcinosis, regenerated from a seed.

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

from xrdcomp.data import Atmosphere, Pattern, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate.exports import write_pattern, write_tga
from xrdcomp.simulate.scattering import table_rows
from xrdcomp.simulate.specimens import (
    CALCITE_CO3,
    SimulatedSpecimen,
    SpecimenModel,
    TgaConditions,
    XrdConditions,
    truth_of,
)
from xrdcomp.simulate.tga import simulate_tga_blank, specimen_pools, weigh
from xrdcomp.simulate.xrd import apatite_sizes, expected_pattern, measure

_CARBONATE_PHASES = {"calcite": CALCITE_CO3, "aragonite": CALCITE_CO3, "vaterite": CALCITE_CO3}


def simulate_pattern(
    model: SpecimenModel, conditions: XrdConditions | None = None, *, seed: int
) -> tuple[Pattern, Pattern]:
    """Diffraction pattern of a specimen in counts, and the scan of its empty holder.

    The blank holds air scatter, flat background and the holder's humps only, unattenuated. The seed decides counting
    noise and grainy intensities.
    """
    conditions = conditions or XrdConditions()
    rng = np.random.default_rng(seed)
    phases = {name: load_phase(name) for name in (model.apatite_model.phase, *model.other_phases)}
    expected = expected_pattern(model, conditions, phases, rng)
    total = expected.specimen + expected.background
    pattern = measure(expected.two_theta, total, conditions, rng, f"{model.specimen_id} (simulated)")
    blank = measure(expected.two_theta, expected.background, conditions, rng, "empty holder (simulated)")
    return pattern, blank


def simulate_tga(model: SpecimenModel, conditions: TgaConditions | None = None, *, seed: int) -> TgaRun:
    """Thermogravimetric run of a specimen; the seed decides noise and wander."""
    conditions = conditions or TgaConditions()
    pools = specimen_pools(model, inert=conditions.inert)
    return weigh(pools, conditions, seed=seed, name=f"{model.specimen_id} (simulated)")


def simulate_specimen(
    model: SpecimenModel, *, xrd: XrdConditions | None = None, tga: TgaConditions | None = None, seed: int
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
    # streams of their own, so that the length of a pattern does not decide the noise of the balance
    run = simulate_tga(model, tga, seed=seed + 1_000_003)
    tga_blank = simulate_tga_blank(tga, seed=seed + 2_000_003)
    truth = truth_of(model, _CARBONATE_PHASES)
    losses: dict[str, float] = {}
    for pool in specimen_pools(model, inert=tga.inert):
        losses[pool.name] = losses.get(pool.name, 0.0) + pool.mass_fraction
    truth |= apatite_sizes(model.apatite_model) if model.apatite > 0.0 else {}
    truth |= {"tga_losses": losses, "tga_atmosphere": tga.atmosphere}
    return SimulatedSpecimen(
        model=model, pattern=pattern, tga=run, blank=blank, tga_blank=tga_blank, truth=truth
    )


# --- the embedded cohort ---------------------------------------------------------------------------------

COHORT_SEED = 20171017
Kind = Literal["solid", "fluid"]
_MANIFEST = "cohort.json"
_SUFFIX = {"gsas": "gsa", "netzsch": "txt", "ta": "txt"}  # of a format; the others are their own

# Mass fractions (carbonate: CO3 in the lattice of the apatite), column lengths along c and a
# in nm, formats of the two exports, gas, counts at the highest point, step in degrees.
_COHORT = """
specimen_id apatite carbonate protein lipid water amorphous_mineral    c    a xrd   tga     gas      counts  step
sim01_solid   0.340     0.022   0.400 0.130 0.080             0.028 24.0  9.0 xrdml netzsch air        6000  0.02
sim02_solid   0.270     0.018   0.420 0.180 0.070             0.042 21.0  8.0 xy    csv     air        4000  0.02
sim03_solid   0.560     0.040   0.240 0.060 0.060             0.040 30.0 12.0 ras   ta      air        9000  0.02
sim04_solid   0.210     0.013   0.460 0.210 0.090             0.017 19.0  7.5 gsas  csv     air        6000 0.025
sim05_solid   0.390     0.027   0.370 0.140 0.055             0.018 27.0 10.0 csv   netzsch air        7000  0.02
sim06_solid   0.300     0.020   0.360 0.200 0.100             0.020 22.0  9.0 xye   ta      air        6000  0.03
sim07_fluid   0.090     0.006   0.400 0.140 0.350             0.014 20.0  8.0 xrdml csv     air        5000  0.02
sim08_fluid   0.050     0.003   0.420 0.240 0.280             0.007 18.0  8.0 xy    netzsch nitrogen   6000  0.03
sim09_fluid   0.140     0.009   0.380 0.170 0.280             0.021 23.0  8.5 xrdml ta      air        6000  0.02
sim10_fluid     0.0       0.0   0.450 0.250 0.270             0.030 20.0  8.0 csv   csv     air        6000 0.025
"""


@dataclass(frozen=True, kw_only=True)
class CohortEntry:
    """One embedded specimen: its two exports, and what an analysis should find."""

    specimen_id: str
    kind: Kind
    xrd: Path
    tga: Path
    radiation: str  # of the pattern, for formats that cannot state it
    atmosphere: Atmosphere  # of the thermogravimetric run
    truth: dict[str, Any]  # see `specimens.truth_of`


def _cohort_model(row: dict[str, Any], rng: np.random.Generator) -> SpecimenModel:
    """Specimen of a row; amorphous maxima (by 0.25°, widths by 4 %, heights by 5 %), disorder and cell are drawn."""
    parts = ("apatite", "carbonate", "protein", "lipid", "water", "amorphous_mineral")
    known: dict[str, Any] = {name: float(row[name]) for name in parts}
    plain = SpecimenModel(specimen_id=row["specimen_id"], char_fraction=0.21, **known)
    materials = {
        name: replace(m, halo=m.halo.jittered(rng, shift=0.25, width=0.04, height=0.05))
        for name, m in plain.materials.items()
    }
    apatite = replace(
        plain.apatite_model,
        length_c_nm=float(row["c"]),
        length_a_nm=float(row["a"]),
        sigma_ln=float(rng.uniform(0.2, 0.4)),
        microstrain=float(rng.uniform(0.0008, 0.002)),
        b_excess=float(rng.uniform(0.0, 0.15)),
        a_offset=float(rng.normal(0.02, 0.005)),
    )
    return replace(plain, materials=materials, apatite_model=apatite)


def generate_cohort(folder: Path, *, seed: int = COHORT_SEED) -> tuple[CohortEntry, ...]:
    """Write the ten specimens: ``<id>/<id>.*``, ``<id>/<id>_tga.*``, ``<id>/truth.json``, ``cohort.json``.

    The same seed writes the same bytes. Files of these names are replaced, others in the folder stay.
    """
    folder = Path(folder)
    rows: list[dict[str, Any]] = [*table_rows(_COHORT)]
    rng = np.random.default_rng(seed)
    models = [_cohort_model(row, rng) for row in rows]
    manifest: list[dict[str, str]] = []
    for number, (row, model) in enumerate(zip(rows, models, strict=True)):
        xrd = XrdConditions(
            step=float(row["step"]),
            peak_counts=float(row["counts"]),
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
            atmosphere=row["gas"],
            points=3000,
        )
        simulated = simulate_specimen(model, xrd=xrd, tga=tga, seed=seed + 101 * (number + 1))
        name, kind = model.specimen_id, model.specimen_id.partition("_")[2]
        xrd_file = f"{name}/{name}.{_SUFFIX.get(row['xrd'], row['xrd'])}"
        tga_file = f"{name}/{name}_tga.{_SUFFIX.get(row['tga'], row['tga'])}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_pattern(folder / xrd_file, simulated.pattern, row["xrd"])
        write_tga(folder / tga_file, simulated.tga, row["tga"])
        truth = simulated.truth | {"kind": kind, "seed": seed}
        # ten decimals, so that 0.1 + 0.2 reads 0.3
        rounded = json.loads(json.dumps(truth), parse_float=lambda text: round(float(text), 10))
        (folder / name / "truth.json").write_bytes(_json(rounded))
        entry = {"specimen_id": name, "kind": kind, "xrd": xrd_file, "tga": tga_file}
        manifest.append(entry | {"radiation": "CuKa", "atmosphere": tga.atmosphere})
    text = {"simulated": True, "generator": "xrdcomp.simulate", "seed": seed, "specimens": manifest}
    (folder / _MANIFEST).write_bytes(_json(text))
    return load_cohort(folder)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def load_cohort(folder: Path | None = None) -> tuple[CohortEntry, ...]:
    """Return the specimens that come with the package, or those that `generate_cohort` wrote into `folder`."""
    package = Path(__file__).resolve().parents[1]  # installed, or in a source tree
    embedded = (package / "_data" / "specimens", package.parent / "data" / "specimens")
    places = embedded if folder is None else (Path(folder),)
    root = next((place for place in places if (place / _MANIFEST).is_file()), None)
    if root is None:
        msg = f"{folder} holds no {_MANIFEST}; write one with generate_cohort."
        if folder is None:
            msg = f"the embedded specimens are missing: neither {embedded[0]} nor {embedded[1]} exists. Reinstall."
        raise AnalysisError(msg)

    def entry(row: dict[str, Any]) -> CohortEntry:
        truth = json.loads((root / row["specimen_id"] / "truth.json").read_text(encoding="utf-8"))
        return CohortEntry(**row | {"xrd": root / row["xrd"], "tga": root / row["tga"], "truth": truth})

    return tuple(map(entry, json.loads((root / _MANIFEST).read_text(encoding="utf-8"))["specimens"]))
