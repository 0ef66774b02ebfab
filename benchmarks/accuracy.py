"""Every promised figure of accuracy in one table, measured on real standards and simulated specimens.

    XRDCOMP_FIXTURES=folder python -m benchmarks.accuracy [--only NAME[,NAME…]] [--share 1.0] [--dry]

Sections: fluorapatite, round_robin, apatite_alone, embedded, and the studies of identification, quantification and
thermogravimetry in modules of their own. Those on real files need the folder of real measurements and are left out,
with a word, where XRDCOMP_FIXTURES does not name it. Writes ``benchmarks/results/accuracy.json`` and
``docs/accuracy.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import calibration
from benchmarks.report import (
    RESULTS,
    ROOT,
    Row,
    as_row,
    at_least,
    at_most,
    between,
    machine,
    put_into_page,
    sentence,
    shortfalls,
    source_hash,
    table,
    write_rows,
)
from benchmarks.store import read_store
from xrdcomp.analysis import analyze, analyze_embedded
from xrdcomp.instrument.build import build_instrument
from xrdcomp.io.front import read_xrd
from xrdcomp.phases.library import load_phases
from xrdcomp.recipe import Recipe
from xrdcomp.results import COMPONENTS
from xrdcomp.simulate.cohort import load_cohort
from xrdcomp.stages import fit_pattern

PAGE = ROOT / "docs" / "accuracy.md"
COMMAND = Path(sys.executable).parent / "xrdcomp"
ROUND_ROBIN = {"1a": (0.0115, 0.0404, 0.9481), "1d": (0.1353, 0.3289, 0.5358), "1g": (0.3137, 0.3421, 0.3442)}
ROUND_ROBIN_PHASES = ("corundum", "zincite", "fluorite")
FLUORAPATITE = {
    "phases": ["fluorapatite"],
    "instrument.wavelengths": [1.5405, 1.5443],
    "fit.two_theta_range": [15.0, 129.985],
}
FLUORAPATITE_CELL = {"a": (9.371724, 5e-4), "c": (6.885867, 5e-4)}


def cpu_of(call: Callable[[], Any], repeats: int = 3) -> float:
    """Least CPU time of a call, seconds."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best


def cpu_of_command(*arguments: str | Path) -> float:
    """CPU time of one command with everything it imports, seconds.

    Bytecode is kept, as in an installation, also where the surroundings have that switched off.
    """
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [COMMAND, *map(str, arguments), "--out", folder, "--quiet"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=surroundings,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fluorapatite(fixtures: Path, _: float) -> list[Row]:
    """Fit of the real fluorapatite scan with atoms held at the literature structure."""
    file = fixtures / "xrd" / "gsas" / "FAP.XRA"
    recipe = Recipe().with_settings(FLUORAPATITE)
    pattern = read_xrd(file)
    instrument = build_instrument(pattern, recipe.instrument)
    phases = load_phases(recipe.phases)
    fit = fit_pattern(pattern, phases, instrument, recipe.fit)
    rows = [at_most("FAP.XRA: Rwp", fit.rwp, 0.0885)]
    for texture in ("none", "march_dollase", "harmonic"):
        other = recipe.with_settings({"fit.texture": texture})
        rwp = fit_pattern(pattern, phases, instrument, other.fit).rwp
        rows.append(Row(name=f"FAP.XRA: Rwp, texture {texture}", value=rwp))
    for axis, (value, width) in FLUORAPATITE_CELL.items():
        found = fit.parameters[f"fluorapatite_{axis}"].value
        rows.append(between(f"FAP.XRA: cell {axis}", found, value - width, value + width, "Å"))
    spent = cpu_of(lambda: fit_pattern(pattern, phases, instrument, recipe.fit))
    rows.append(at_most("FAP.XRA: time of the fit", spent, 1.0, "s CPU"))
    command = cpu_of_command(
        "analyze", file, "--phases", "fluorapatite", "--wavelength", "1.5405,1.5443", "--range", "15,129.985"
    )
    rows.append(Row(name="FAP.XRA: time of the whole command, figures included", value=command, unit="s CPU"))
    result = analyze(file, recipe=recipe)
    (phase,) = (item for item in result.phases if item.id == "fluorapatite")
    others = [p.id for p in result.phases if p.decision == "detected" and p.id != "fluorapatite"]
    peaks = result.metadata["unexplained_peaks"]
    high = phase.weight_fraction.ci95[1] if phase.weight_fraction and phase.weight_fraction.ci95 else float("nan")
    return [
        *rows,
        at_most("FAP.XRA: phases found beyond fluorapatite", len(others), 0),
        at_most("FAP.XRA: unexplained peaks", len(peaks), 0),
        at_least("FAP.XRA: upper end of the 95 % interval of the apatite (truth 1)", high, 1.0),
    ]


def round_robin(fixtures: Path, _: float) -> list[Row]:
    """Weighed mixtures of the round robin, one identical command."""
    recipe = Recipe().with_settings({"phases": list(ROUND_ROBIN_PHASES)})
    errors, inside, slowest = [], [], 0.0
    rows: list[Row] = []
    for name, truth in ROUND_ROBIN.items():
        file = fixtures / "standards" / "cpd_round_robin" / f"cpd-{name}.prn"
        began = time.process_time()
        result = analyze(file, recipe=recipe)
        slowest = max(slowest, time.process_time() - began)
        found = {phase.id: phase.crystalline_weight_fraction for phase in result.phases}
        for phase, weighed in zip(ROUND_ROBIN_PHASES, truth, strict=True):
            estimate = found[phase]
            if estimate is None or estimate.ci95 is None:
                msg = f"{phase} of {name} was not quantified"
                raise RuntimeError(msg)
            errors.append(100 * (estimate.value - weighed))
            inside.append(estimate.ci95[0] <= weighed <= estimate.ci95[1])
            rows.append(Row(name=f"round robin {name}: {phase}, error", value=errors[-1], unit="wt%"))
    command = cpu_of_command("analyze", file, "--phases", ",".join(ROUND_ROBIN_PHASES))
    return [
        at_most("round robin: RMS of nine", float(np.sqrt(np.mean(np.square(errors)))), 0.25, "wt%"),
        at_most("round robin: worst of nine", float(np.max(np.abs(errors))), 0.6, "wt%"),
        at_least("round robin: truth inside the 95 % interval, of nine", sum(inside), 8),
        at_most("round robin: time of one analysis, slowest", slowest, 2.0, "s CPU"),
        Row(
            name="round robin: time of one whole command, figures included (last mixture)", value=command, unit="s CPU"
        ),
        *rows,
    ]


def apatite_alone(_: Path | None, share: float) -> list[Row]:
    """Apatite from one pattern without a spike, without an empty holder, without thermogravimetry.

    The specimens are the first of the calibration study, as many as it holds already and no more than 300.
    """
    store = ROOT / "build" / "calibration" / f"{source_hash()}.csv"
    known = {item.seed for item in read_store(store, calibration.Outcome) if item.scene == "air"}
    n = max(20, round(300 * share), min(300, len(known)))
    found = calibration.run([("air", seed) for seed in range(n)], store)
    summary = calibration.summarize(found, "xrd", calibration.APATITE)
    if summary is None:
        msg = "diffraction alone gave no apatite at all"
        raise RuntimeError(msg)
    name = "apatite from one pattern"
    return [
        Row(name=f"{name}: simulated specimens", value=summary.n),
        at_most(f"{name}: mean absolute error", summary.mae, 1.5, "wt%"),
        at_least(f"{name}: coverage of 95 % intervals", summary.covered95, 92.0, "%"),
        at_most(f"{name}: mean half width of 95 % intervals", summary.half_width, 4.0, "wt%"),
        Row(name=f"{name}: largest error", value=summary.largest, unit="wt%"),
    ]


def embedded(_: Path | None, __: float) -> list[Row]:
    """The ten embedded simulated specimens: errors, coverage, and the four findings."""
    entries = load_cohort()
    results = [analyze_embedded(entry) for entry in entries]
    rows = []
    covered = []
    for index, component in enumerate(COMPONENTS[:-1]):
        errors = []
        for entry, result in zip(entries, results, strict=True):
            truth = entry.truth["components"][component]
            estimate = result.composition.components[component]
            errors.append(100 * (result.composition.draws[:, index].mean() - truth))
            if estimate is not None and estimate.ci95 is not None:
                covered.append(estimate.ci95[0] <= truth <= estimate.ci95[1])
        mae = float(np.mean(np.abs(errors)))
        rows.append(Row(name=f"ten embedded specimens: {component}, mean absolute error", value=mae, unit="wt%"))
    present = ["hydroxyapatite" in {p.id for p in result.phases if p.decision == "detected"} for result in results]
    truly = [entry.truth["components"][COMPONENTS[0]] > 0 for entry in entries]
    other = [any(p.decision == "detected" and p.id != "hydroxyapatite" for p in result.phases) for result in results]
    return [
        *rows,
        Row(name="ten embedded specimens: share inside 95 % intervals", value=100 * float(np.mean(covered)), unit="%"),
        at_least(
            "ten embedded specimens: apatite rightly present or absent",
            sum(a == b for a, b in zip(present, truly, strict=True)),
            10,
        ),
        at_most("ten embedded specimens: specimens with a phase that is not there", sum(other), 0),
    ]


def identification(fixtures: Path | None, share: float) -> list[Row]:
    """False phases, detection limits, overlaps, real standards; a share of the trials of the whole study."""
    from benchmarks import accuracy_identification as study
    from benchmarks.detection_limits import detection_limits

    trials = max(2, round(100 * share))
    found = [*study.purity(max(20, round(200 * share))), *detection_limits(trials)]
    found += [*study.halite_beside_apatite(max(5, round(20 * share))), *study.mixtures(max(10, round(40 * share)))]
    if fixtures is not None:
        found += [*study.real_fluorapatite(fixtures), *study.real_standards(fixtures)]
    return [Row(name="trials of each phase at its limit", value=trials), *map(as_row, found)]


def quantification(fixtures: Path | None, _: float) -> list[Row]:
    """Certified cell, summation of measured patterns, internal standard, wrong constants, sizes."""
    from benchmarks import accuracy_quantification as study

    return [as_row(item) for item in study.all_rows(fixtures)]


def thermal(_: Path | None, share: float) -> list[Row]:
    """Thermogravimetry: balances of many runs per laboratory, standards, activation energies, time."""
    from benchmarks import thermal_study

    runs = max(20, round(500 * share))
    found: list[Any] = [Row(name="runs of each laboratory", value=runs)]
    for case in thermal_study.CASES:
        found += thermal_study.balances(case, runs)[0]
    found += [*thermal_study.standards(), *thermal_study.energies(), *thermal_study.speed()]
    return [as_row(item) for item in found]


REAL = {"fluorapatite": fluorapatite, "round_robin": round_robin}
SECTIONS: dict[str, Callable[[Any, float], list[Row]]] = {
    **REAL,
    "quantification": quantification,
    "embedded": embedded,
    "apatite_alone": apatite_alone,
    "identification": identification,
    "thermal": thermal,
}


def fixtures_folder() -> Path | None:
    value = os.environ.get("XRDCOMP_FIXTURES")
    if not value:
        return None
    folder = Path(value).resolve()
    if not (folder / "MANIFEST.csv").is_file():
        msg = f"XRDCOMP_FIXTURES names {folder}, which holds no MANIFEST.csv"
        raise SystemExit(msg)
    return folder


def collect(names: Iterable[str], share: float) -> dict[str, list[Row]]:
    """Rows of each section; without the real files their sections are left out and named on standard error."""
    fixtures = fixtures_folder()
    found: dict[str, list[Row]] = {}
    for name in names:
        if name in REAL and fixtures is None:
            print(f"{name}: left out, XRDCOMP_FIXTURES does not name the folder of real files", file=sys.stderr)
            continue
        began = time.monotonic()
        found[name] = SECTIONS[name](fixtures, share)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return found


def keep(found: Mapping[str, list[Row]], share: float, *, alone: bool) -> None:
    """Write the results and the page; unless `alone`, sections that were not run now stay as they are stored.

    The file beside the results says for every section how many rows it has, what code measured it, and with what
    share of the trials.
    """
    about = machine()
    code = about.pop("source")
    stored = {} if alone else stored_sections()
    for name, rows in found.items():
        stored[name] = (rows, {"source": code, "share_of_trials": share})
    parts = {name: stored[name] for name in SECTIONS if name in stored}
    sections = [{"name": name, "rows": len(rows), **how} for name, (rows, how) in parts.items()]
    write_rows("accuracy", [row for rows, _ in parts.values() for row in rows], about | {"sections": sections})
    tables = [f"## {name.replace('_', ' ').capitalize()}\n\n{table(rows)}" for name, (rows, _) in parts.items()]
    measured: dict[str, list[str]] = {}
    for name, (_, how) in parts.items():
        key = f"source {how['source']}, share of trials {how['share_of_trials']:g}"
        measured.setdefault(key, []).append(name)
    by = "; ".join(f"{key}: {' '.join(names)}" for key, names in measured.items())
    put_into_page(PAGE, "accuracy", "\n\n".join([*tables, f"{sentence(about)}; {by}"]))


def stored_sections() -> dict[str, tuple[list[Row], dict[str, Any]]]:
    """Rows of each stored section and how they were measured; nothing where nothing is stored."""
    if not (RESULTS / "accuracy.json").is_file():
        return {}
    rows = [Row(**row) for row in json.loads((RESULTS / "accuracy.json").read_text(encoding="utf-8"))]
    about = json.loads((RESULTS / "accuracy.machine.json").read_text(encoding="utf-8"))
    found: dict[str, tuple[list[Row], dict[str, Any]]] = {}
    for section in about["sections"]:
        count = section.pop("rows")
        found[section.pop("name")] = (rows[:count], section)
        rows = rows[count:]
    return found


def main() -> int:
    """Run the sections; the exit code says whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"of {', '.join(SECTIONS)}; the others stay as stored")
    parser.add_argument("--share", type=float, default=1.0, help="of the simulated trials; 0.1 for a quick look")
    parser.add_argument("--dry", action="store_true", help="print only, leave results and page as they are")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else list(SECTIONS)
    found = collect(names, arguments.share)
    rows = [row for section in found.values() for row in section]
    print(table(rows))
    if not arguments.dry:
        keep(found, arguments.share, alone=not arguments.only)
    return 1 if shortfalls(rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
