"""How long things take: CPU seconds, and ratios to a fixed piece of numpy work measured in the same run.

    python -m benchmarks.bench [--repeats 5] [--dry]

Writes ``benchmarks/results/bench.json`` and ``docs/benchmarks.md``. Input is simulated or written by the
writers of the tests; FAP.XRA is added where XRDCOMP_FIXTURES names the folder of real measurements.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import FLUORAPATITE, cpu_of, cpu_of_command, fixtures_folder
from benchmarks.report import ROOT, Row, at_most, machine, put_into_page, sentence, shortfalls, write_rows
from tests import tga_writers, xrd_writers
from xrdcomp.analysis import analyze_sample
from xrdcomp.composition.compose import compose
from xrdcomp.data import Pattern, Sample
from xrdcomp.instrument.build import build_instrument
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.phases.library import load_phases
from xrdcomp.recipe import Recipe
from xrdcomp.simulate.cohort import load_cohort, simulate_specimen
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import analyze_tga, fit_pattern, identify

PAGE = ROOT / "docs" / "benchmarks.md"
POINTS = 10_000


def reference_work() -> float:
    """Fixed work, about a tenth of a second on a laboratory computer of today."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(4000, 60))
    total = 0.0
    for _ in range(12):
        normal = columns.T @ columns
        total += float(np.linalg.cholesky(normal)[0, 0])
        total += float(np.exp(-0.5 * columns**2).sum())
        columns = columns[::-1] + 0.0
    return total


def startup(repeats: int) -> Iterator[Row]:
    """Import in a fresh interpreter, its own start subtracted."""

    def spent(code: str) -> float:
        timer = "import time as t; b = t.process_time(); "
        whole = timer + code + "; print(t.process_time() - b)"
        runs = [
            subprocess.run([sys.executable, "-c", whole], check=True, capture_output=True, text=True).stdout
            for _ in range(repeats)
        ]
        return min(map(float, runs))

    yield at_most("import xrdcomp", spent("import xrdcomp"), 0.5, "s CPU")
    yield Row(name="import everything analyze needs", value=spent("from xrdcomp import analyze"), unit="s CPU")


def reading(repeats: int) -> Iterator[Row]:
    """Each format with 10 000 points, files written by the writers of the tests."""
    scan = xrd_writers.example(POINTS, start=10.0, step=0.01)
    curve = tga_writers.make_curve(POINTS)
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, write) in sorted(xrd_writers.WRITERS.items()):
            path = Path(folder) / f"{name}.{suffix}"
            path.write_bytes(write(scan))
            yield Row(name=f"read {name}", value=cpu_of(lambda: read_xrd(path), repeats), unit="s CPU")  # noqa: B023 - called at once
        for name, write_run in tga_writers.TEXTS.items():
            path = Path(folder) / f"{name}.txt"
            path.write_text(write_run(curve), encoding="utf-8")
            yield Row(name=f"read {name}", value=cpu_of(lambda: read_tga(path), repeats), unit="s CPU")  # noqa: B023 - called at once


def specimen() -> Sample:
    model = SpecimenModel(
        apatite=0.30,
        carbonate=0.02,
        protein=0.38,
        lipid=0.12,
        water=0.15,
        amorphous_mineral=0.03,
        apatite_model=ApatiteModel(length_c_nm=25.0, length_a_nm=9.0),
    )
    simulated = simulate_specimen(model, xrd=XrdConditions(peak_counts=6000.0), seed=1)
    return Sample(sample_id="speed", pattern=simulated.pattern, tga=simulated.tga)


def analysis(repeats: int) -> Iterator[Row]:
    """One specimen, 3 751 points of nano-apatite in organic matter, both instruments."""
    sample, recipe = specimen(), Recipe()
    if sample.pattern is None or sample.tga is None:
        msg = "the simulated specimen lacks an instrument"
        raise RuntimeError(msg)
    pattern, run = sample.pattern, sample.tga
    instrument = build_instrument(pattern, recipe.instrument)
    phases = load_phases(("hydroxyapatite",))
    result = analyze_sample(sample, recipe)
    thermal = result.tga
    calls = {
        "fit of one pattern, nano-apatite": lambda: fit_pattern(pattern, phases, instrument, recipe.fit),
        "search of the whole library, fit included": lambda: identify(pattern, instrument, recipe.identification),
        "thermogravimetry": lambda: analyze_tga(run, recipe.thermal),
        "composition from both": lambda: compose(result.xrd, result.phases, thermal, recipe.composition),
    }
    for name, call in calls.items():
        yield Row(name=name, value=cpu_of(call, repeats), unit="s CPU")
    both = cpu_of(lambda: analyze_sample(sample, recipe), repeats)
    yield at_most("analyze, both instruments, warm, figures not included", both, 0.3, "s CPU")
    alone = replace(sample, tga=None)
    yield Row(
        name="analyze, diffraction alone, warm",
        value=cpu_of(lambda: analyze_sample(alone, recipe), repeats),
        unit="s CPU",
    )
    entry = load_cohort()[0]
    shell = "xrdcomp analyze from the shell, both"
    files = ("analyze", entry.xrd, "--tga", entry.tga)
    asked = {"without": ("--no-figures", "--no-report"), "with": (), "with PNG": ("--figure-format", "png")}
    times = {name: min(cpu_of_command(*files, *words) for _ in range(repeats)) for name, words in asked.items()}
    yield at_most(f"{shell}, without figures and report", times["without"], 3.0, "s CPU")
    yield at_most(f"{shell}, with figures and report", times["with"], 2.0, "s CPU")
    yield at_most("figures and report, times an analysis without", times["with"] / times["without"], 1.3, "×")
    yield Row(name=f"{shell}, figures as PNG by Matplotlib and report", value=times["with PNG"], unit="s CPU")
    yield from series(pattern, recipe)


def series(pattern: Pattern, recipe: Recipe) -> Iterator[Row]:
    """Patterns per CPU second where a known set of phases is fitted to many patterns, one after another."""
    plain = recipe.with_settings({"identification.search": False})
    rng = np.random.default_rng(1)
    patterns = [replace(pattern, intensity=rng.poisson(pattern.intensity).astype(float)) for _ in range(10)]
    samples = [Sample(sample_id=str(i), pattern=item) for i, item in enumerate(patterns)]
    spent = cpu_of(lambda: [analyze_sample(sample, plain) for sample in samples], 2)
    yield Row(name="patterns of a series without search", value=len(samples) / spent, unit="per s CPU")


def real_fit(repeats: int) -> Iterator[Row]:
    fixtures = fixtures_folder()
    if fixtures is None:
        return
    pattern = read_xrd(fixtures / "xrd" / "gsas" / "FAP.XRA")
    recipe = Recipe().with_settings(FLUORAPATITE)
    phases, instrument = load_phases(recipe.phases), build_instrument(pattern, recipe.instrument)
    spent = cpu_of(lambda: fit_pattern(pattern, phases, instrument, recipe.fit), repeats)
    yield at_most("fit of FAP.XRA, 5 750 points", spent, 1.0, "s CPU")


def bench_table(rows: list[Row], unit: float) -> str:
    """Markdown table with a column of ratios to the fixed work."""
    lines = ["| what | value | bar | holds | times the fixed work |", "|---|---|---|---|---|"]
    for row in rows:
        verdict = {True: "yes", False: "**no**", None: ""}[row.holds]
        ratio = f"{row.value / unit:.3g}" if row.unit == "s CPU" else ""
        lines.append(f"| {row.name} | {row.value:.3g} {row.unit} | {row.bar or ''} | {verdict} | {ratio} |")
    return "\n".join(lines)


def main() -> int:
    """Measure everything; the exit code says whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="print only, leave results and page as they are")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    unit = cpu_of(reference_work, 5 * repeats)
    rows = [Row(name="fixed numpy work", value=unit, unit="s CPU")]
    for part in (startup, analysis, real_fit, reading):
        rows += part(repeats)
        print(part.__name__, file=sys.stderr)
    rows += [
        Row(name=f"{row.name}, times the fixed work", value=row.value / unit) for row in rows[1:] if row.unit == "s CPU"
    ]
    about = machine(repeats=repeats, clock="CPU time, best of the repeats")
    shown = bench_table([row for row in rows if row.unit], unit)
    print(shown)
    if not arguments.dry:
        write_rows("bench", rows, about)
        put_into_page(PAGE, "bench", f"{shown}\n\n{sentence(about)}")
    return 1 if shortfalls(rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
