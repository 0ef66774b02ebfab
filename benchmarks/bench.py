"""How long things take: CPU seconds, and ratios to a fixed piece of numpy work measured in the same run.

    python -m benchmarks.bench [--repeats 5] [--only PART ...] [--patterns 500] [--specimens 100] [--peers PYTHON]
        [--dry]

Writes ``benchmarks/results/bench.json`` and ``docs/benchmarks.md``; one part alone its own file and its own place on
the page, where that has one. Input is simulated or written by the writers of the tests; FAP.XRA and its resampled
series are added where XRDCOMP_FIXTURES names the folder of real measurements, and rietx and phasesmith on the same data
where PYTHON is an interpreter of an environment that has them (``make bench PEERS=…``; ``pip install rietx
'phasesmith[cif]'``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy import FLUORAPATITE, cpu_of, cpu_of_command, fixtures_folder
from benchmarks.report import ROOT, Row, at_least, at_most, machine, put_into_page, sentence, shortfalls, write_rows
from benchmarks.series_map import write_map
from tests import tga_writers, xrd_writers
from xrdcomp.analysis import analyze_sample
from xrdcomp.batch.chunks import SeriesProgress, start_run
from xrdcomp.batch.run import FailedSample, analyze_many
from xrdcomp.batch.series import probe_of, rows_of_arrays, series_rows, start_series
from xrdcomp.batch.workers import work_off
from xrdcomp.composition.compose import compose
from xrdcomp.data import Pattern, Sample
from xrdcomp.instrument.build import build_instrument
from xrdcomp.io.front import read_tga, read_xrd
from xrdcomp.phases.library import load_phases
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.series import PatternFit
from xrdcomp.results import SampleResult
from xrdcomp.simulate.cohort import load_cohort, simulate_specimen
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions
from xrdcomp.stages import analyze_tga, fit_pattern, identify
from xrdcomp.units import FloatArray

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
    yield at_most(f"{shell}, without figures and report", times["without"], 0.9, "s CPU")
    yield at_most(f"{shell}, with figures and report", times["with"], 2.0, "s CPU")
    yield at_most("figures and report, times an analysis without", times["with"] / times["without"], 1.3, "×")
    yield Row(name=f"{shell}, figures as PNG by Matplotlib and report", value=times["with PNG"], unit="s CPU")
    yield from series(pattern, recipe)


def batch_of_specimens(repeats: int) -> Iterator[Row]:
    """Embedded specimens, X-rays, thermogravimetry, search and composition without figures, one after another."""
    samples = [
        {"xrd": e.xrd, "tga": e.tga, "sample_id": e.specimen_id, "atmosphere": e.atmosphere, "radiation": e.radiation}
        for e in load_cohort()
    ]
    results: list[Any] = []
    spent = cpu_of(lambda: results.extend(analyze_many(samples, progress=False)), min(repeats, 2))
    name = f"batch of {len(samples)} specimens, both instruments"
    yield at_least(name, len(samples) / spent, 10.0, "per s CPU")
    backward: list[Any] = list(analyze_many(samples[::-1], progress=False))[::-1]
    pairs = list(zip(results[: len(samples)], backward, strict=True))
    changed = sum([(p.id, p.decision) for p in a.phases] != [(p.id, p.decision) for p in b.phases] for a, b in pairs)
    yield at_most(f"{name}: decisions changed by their order", float(changed), 0.0, "specimens")
    moved = max(float(np.abs(a.composition.draws - b.composition.draws).max()) for a, b in pairs)
    yield at_most(f"{name}: largest change of a draw by their order", moved, 0.0, "mass fraction")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    yield at_most(f"{name}: memory of the process", peak, 600.0, "MB")


BESIDE = ("calcite", "quartz", "brushite", "halite", "whitlockite", "gypsum", "", "", "")


def mixed_specimen(number: int) -> Sample:
    """A specimen of a cohort of many kinds: mineral, organic and water at random, two in three with another phase."""
    rng = np.random.default_rng([16, number])
    apatite, carbonate, protein, lipid, water = rng.dirichlet([4, 0.3, 4, 1, 2]).tolist()
    other = BESIDE[number % len(BESIDE)]
    share = float(rng.choice([0.01, 0.03, 0.1, 0.3])) if other else 0.0
    left = 1.0 - share
    model = SpecimenModel(
        apatite=left * apatite,
        carbonate=left * carbonate,
        protein=left * protein,
        lipid=left * lipid,
        water=left * water,
        other={other: share} if other else {},
        apatite_model=ApatiteModel(length_c_nm=float(rng.uniform(15, 50)), length_a_nm=float(rng.uniform(6, 25))),
    )
    conditions = XrdConditions(peak_counts=float(rng.choice([2000.0, 6000.0, 20000.0])))
    made = simulate_specimen(model, xrd=conditions, seed=number)
    return Sample(sample_id=f"mixed{number}", pattern=made.pattern, tga=made.tga)


@dataclass
class Run:
    """A batch as it went: seconds until each result, memory of its processes, and what was found."""

    processes: int
    kept: set[str]
    found: dict[str, Outcome] = field(default_factory=dict)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def over(self, samples: Sequence[Sample]) -> Run:
        """Go through the samples; memory is that of the largest worker, of this process where it does the work."""
        began, spent = time.perf_counter(), time.process_time()
        for result in analyze_many(samples, workers=self.processes, progress=False):
            self.wall.append(time.perf_counter() - began)
            self.cpu.append(time.process_time() - spent)
            pids = [child.pid for child in multiprocessing.active_children()] if self.processes > 1 else ["self"]
            self.memory.append(max((resident_mb(pid) for pid in pids), default=0.0))
            if isinstance(result, FailedSample):
                raise RuntimeError(result.message)
            if result.sample_id in self.kept:
                self.found[result.sample_id] = outcome_of(result)
        return self


class Outcome(NamedTuple):
    """What a batch must not change: decisions, and mean and standard deviation of each component."""

    decisions: tuple[tuple[str, str], ...]
    mean: FloatArray
    std: FloatArray


def outcome_of(result: SampleResult) -> Outcome:
    decisions = tuple((phase.id, phase.decision) for phase in result.phases)
    draws = result.composition.draws
    return Outcome(decisions, draws.mean(axis=0), draws.std(axis=0))


def resident_mb(pid: Any) -> float:
    """Resident set of a process now; 0 of one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        return 0.0


def differences(name: str, found: Mapping[str, Outcome], other: Mapping[str, Outcome]) -> Iterator[Row]:
    """Decisions that differ, and the largest distance of a component, of specimens that both hold."""
    pairs = [(found[key], other[key]) for key in found if key in other]
    changed = sum(a.decisions != b.decisions for a, b in pairs)
    yield at_most(f"{name}: changed decisions in {len(pairs)}", float(changed), 0.0, "specimens")
    # some hold unidentified crystals and some do not: one that differs in that differs without bound
    away = [
        float(np.max(np.abs(a.mean - b.mean) / (a.std + 1e-12))) if len(a.mean) == len(b.mean) else np.inf
        for a, b in pairs
    ]
    yield at_most(f"{name}: largest change of a component", max(away), 0.1, "σ")


def batch_of_kinds(_: int, specimens: int = 100) -> Iterator[Row]:
    """Simulated specimens of many kinds, shuffled: all by two processes, a quarter by one, a twentieth each alone.

    Rates of one process are per CPU second, of two by the clock, which asks for two idle cores.
    """
    samples = [mixed_specimen(number) for number in np.random.default_rng(16).permutation(specimens).tolist()]
    single = {s.sample_id: outcome_of(analyze_sample(s)) for s in samples[:: -max(specimens // 50, 1)]}
    some = samples[: max(specimens // 4, 1)]
    ids = {s.sample_id for s in some}
    one, two = Run(1, ids | set(single)).over(some), Run(2, ids | set(single)).over(samples)
    name = f"batch of {specimens} simulated specimens of many kinds"
    yield at_least(f"{name}, one process ({len(some)} of them)", len(some) / one.cpu[-1], 10.0, "per s CPU")
    # what starts the processes is left out: the clock runs from the first result on
    rate = (specimens - 1) / (two.wall[-1] - two.wall[0])
    yield at_least(f"{name}, two processes by the clock", rate, 18.0, "per s")
    both = rate * one.wall[-1] / len(some)
    yield at_least(f"{name}, two processes over one by the clock", both, 1.8, "×")
    yield Row(name=f"{name}: start of two processes and first result", value=two.wall[0], unit="s")
    for run, kind in ((one, "one process"), (two, "the larger of two processes")):
        tenth = max(len(run.wall) // 10, 1)
        yield at_most(f"{name}: memory of {kind}", max(run.memory), 600.0, "MB")
        growth = max(run.memory[tenth:]) - max(run.memory[:tenth])
        yield Row(name=f"{name}: growth of memory of {kind} after the first tenth", value=growth, unit="MB")
    # mean cost a specimen at two sizes, ten times apart, and what the law between them says of ten times as many
    cost = [(two.wall[k] - two.wall[0]) / k for k in (max(specimens // 10, 2) - 1, specimens - 1)]
    yield Row(name=f"{name}: cost a specimen over that of the first tenth", value=cost[1] / cost[0], unit="×")
    hours = 10 * specimens * cost[1] ** 2 / cost[0] / 3600.0
    yield Row(name=f"{name}: ten times as many by the same law, two processes", value=hours, unit="h")
    yield from differences(f"{name}, one process against single analyses", single, one.found)
    yield from differences(f"{name}, two processes against single analyses", single, two.found)
    yield from differences(f"{name}, two processes against one", one.found, two.found)


def series(pattern: Pattern, recipe: Recipe) -> Iterator[Row]:
    """Patterns per CPU second where a known set of phases is fitted to many patterns, one after another."""
    plain = recipe.with_settings({"identification.search": False})
    rng = np.random.default_rng(1)
    patterns = [replace(pattern, intensity=rng.poisson(pattern.intensity).astype(float)) for _ in range(10)]
    samples = [Sample(sample_id=str(i), pattern=item) for i, item in enumerate(patterns)]
    spent = cpu_of(lambda: [analyze_sample(sample, plain) for sample in samples], 2)
    yield Row(name="patterns of a series without search", value=len(samples) / spent, unit="per s CPU")


def out_of_core(repeats: int) -> Iterator[Row]:
    """Series of two phases from HDF5 to Parquet by chunks, over the same rows of arrays in memory."""
    n, recipe = 96, Recipe.of(phases=("fluorapatite", "calcite"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_map(folder / "series.h5", (n,), n=1001)
        run = start_run(source, folder / "rows.parquet", recipe, chunk=32, resume=False)
        block = run.stack.read(0, n)
        plain = cpu_of(lambda: series_rows(run.job.engine(), block.intensities), repeats)

        def again() -> list[SeriesProgress]:
            (folder / "rows.parquet").unlink(missing_ok=True)
            return list(start_run(source, folder / "rows.parquet", recipe, chunk=32, resume=False).work())

        whole = cpu_of(again, repeats)
    yield Row(name="series from HDF5 to Parquet, two phases, 1001 points", value=n / whole, unit="patterns per s CPU")
    yield at_most("series from HDF5 to Parquet, times the same rows in memory", whole / plain, 1.2, "×")


def real_fit(repeats: int, peers: Path | None = None) -> Iterator[Row]:
    fixtures = fixtures_folder()
    if fixtures is None:
        return
    pattern = read_xrd(fixtures / "xrd" / "gsas" / "FAP.XRA")
    recipe = Recipe().with_settings(FLUORAPATITE)
    phases, instrument = load_phases(recipe.phases), build_instrument(pattern, recipe.instrument)
    spent = cpu_of(lambda: fit_pattern(pattern, phases, instrument, recipe.fit), repeats)
    yield at_most("fit of FAP.XRA, 5 750 points", spent, 1.0, "s CPU")
    # what other programs fit: free background of 12 terms, no texture
    plain = recipe.with_settings(PLAIN).fit
    mine = fit_pattern(pattern, phases, instrument, plain)
    spent = cpu_of(lambda: fit_pattern(pattern, phases, instrument, plain), repeats)
    yield Row(name=f"FAP.XRA, {SAME_WORK}", value=spent, unit="s CPU")
    yield Row(name=f"FAP.XRA, {SAME_WORK}: Rwp", value=100.0 * mine.rwp, unit="%")
    if peers is None:
        return
    for freedom in FREEDOMS:
        own = recipe.with_settings({**PLAIN, **freedom.settings}).fit
        found = fit_pattern(pattern, phases, instrument, own)
        alike = cpu_of(partial(fit_pattern, pattern, phases, instrument, own), repeats)
        cell = {axis: found.parameters[f"fluorapatite_{axis}"].value for axis in "ac"} if freedom.cell_held else None
        what = f"FAP.XRA, {SAME_WORK}, {freedom.what}"
        yield Row(name=f"{what}, ours", value=alike, unit="s CPU")
        yield Row(name=f"{what}, ours: Rwp", value=100.0 * found.rwp, unit="%")
        for other in peer_fits(freedom.peer, peers, [pattern], 15.0, 129.985, cell=cell, words=freedom.words):
            beside = f"{what}, {freedom.peer}"
            yield Row(name=f"{beside} {other['version']}", value=other["cpu_s"], unit="s CPU")
            yield Row(name=f"{beside}: Rwp", value=100.0 * other["rwp"], unit="%")
            yield at_least(f"{beside}: Rwp over ours", other["rwp"] / found.rwp, 1.0, "×")
            yield at_least(f"{beside}: CPU time over ours", other["cpu_s"] / alike, 60.0, "×")
            yield Row(
                name=f"{beside}: CPU time over ours with all our parameters", value=other["cpu_s"] / spent, unit="×"
            )


PLAIN = {"fit.background": "flexible", "fit.background_terms": 12, "fit.texture": "none"}
SAME_WORK = "same structure, 12 background terms, no texture"


class Freedom(NamedTuple):
    """What a program and we refine alike, beside scale and background: settings of ours, words for its script."""

    peer: str
    what: str
    settings: Mapping[str, Any]
    words: tuple[str, ...] = ()
    cell_held: bool = False


_ONE_SHIFT = {"fit.displacement": False, "fit.zero_shift": True}
_ONE_WIDTH = {"fit.size": "isotropic", "fit.strain": False, "fit.b_overall": False}
_ALIKE = {**_ONE_SHIFT, **_ONE_WIDTH}
_SYMMETRIC = {**_ALIKE, "fit.asymmetry": False}
FREEDOMS = (
    Freedom("rietx", "cell, shift, U V W X Y, Kα2 and axial divergence", _ALIKE, ("--axial",)),
    Freedom("rietx", "cell, shift, U V W X Y", _SYMMETRIC),
    Freedom("phasesmith", "shift, U V W X Y, its cell held at ours", _SYMMETRIC, cell_held=True),
)
"""Ours has the ratio of Kα2 and the form of the size profile free as well; its cell is free beside phasesmith, which
refuses to refine the cell with two wavelengths."""

PEERS = {"rietx": "", "phasesmith": " with our cell held"}
"""Other programs beside the series, by their own order, and what is done for them."""


def peer_fits(
    name: str,
    peers: Path,
    patterns: Sequence[Pattern],
    low: float,
    high: float,
    *,
    cell: Mapping[str, float] | None = None,
    words: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Fits of fluorapatite by another program, none where the interpreter does not have it.

    One pattern is fitted twice, so that the last one finds everything loaded.
    """
    if subprocess.run([peers, "-c", f"import {name}"], check=False, capture_output=True).returncode:
        print(f"{peers} has no {name}", file=sys.stderr)
        return []
    structure = (ROOT / "data" / "reference_patterns" / "fluorapatite" / "structure.cif").read_text()
    for axis, length in (cell or {}).items():
        for own in {"a": "ab"}.get(axis, axis):
            structure = re.sub(rf"(?m)^(_cell_length_{own}\s+)\S+", rf"\g<1>{length:.5f}", structure)
    with tempfile.TemporaryDirectory() as folder:
        cif = Path(folder) / "structure.cif"
        cif.write_text(structure)
        files = [Path(folder) / f"{i}.xye" for i in range(len(patterns))]
        for file, pattern in zip(files, patterns, strict=True):
            np.savetxt(file, np.column_stack([pattern.two_theta, pattern.intensity, pattern.sigma]), fmt="%.6g")
        script = Path(__file__).with_name(f"peer_{name}.py")
        command = [peers, script, *words, cif, low, high, 12, files[0], *files]
        told = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, cwd=folder).stdout
    return [json.loads(line) for line in told.splitlines() if line.startswith("{")][1:]


def series_of_fap(repeats: int, patterns: int = 500, peers: Path | None = None) -> Iterator[Row]:
    """Resampled FAP.XRA, 20 to 70°: cell, sizes, shift, amounts and background of each, covariance included."""
    fixtures = fixtures_folder()
    if fixtures is None:
        return
    pattern = read_xrd(fixtures / "xrd" / "gsas" / "FAP.XRA")
    recipe = Recipe().with_settings({**FLUORAPATITE, "fit.two_theta_range": (20.0, 70.0)})
    instrument = build_instrument(pattern, recipe.instrument)
    inside = (pattern.two_theta > 19.99) & (pattern.two_theta < 70.01)
    x, mean = pattern.two_theta[inside], pattern.intensity[inside]
    counts = np.random.default_rng(16).poisson(mean, size=(patterns, len(mean))).astype(float)
    places = probe_of(len(counts))
    probe = [Pattern.from_xy(x, counts[i], intensity_unit="counts") for i in places]
    engine = start_series(probe, recipe.phases, recipe, instrument=instrument)
    began = time.process_time()
    rows = series_rows(engine, counts)
    spent = time.process_time() - began
    what = f"series of {len(counts)} resampled FAP patterns, {len(x)} points"
    yield at_least(f"{what}: rows with covariance", len(counts) / spent, 40.0, "per s CPU")
    chunks = [(part, None) for part in np.array_split(counts, max(len(counts) // 16, 1))]
    clock = []
    for processes in (1, 2):
        before = time.perf_counter()
        done = list(work_off(partial(rows_of_arrays, engine), chunks, workers=processes))
        clock.append(time.perf_counter() - before)
        same = np.array_equal(np.concatenate([item.given() for item in done]), rows, equal_nan=True)
        yield at_least(f"{what}: the same rows by {processes} process(es) in chunks", float(same), 1.0, "(1 = yes)")
    yield at_least(f"{what}: two processes over one by the clock", clock[0] / clock[1], 1.8, "×")
    few = counts[: min(100, len(counts))]
    bare = cpu_of(lambda: [engine.fit(y) for y in few], repeats)
    yield at_least(f"{what}: bare fits", len(few) / bare, 120.0, "per s CPU")
    table = dict(zip(engine.units, rows.T, strict=True))
    yield Row(name=f"{what}: fitted by themselves", value=float(table["single"].sum()))
    groups = {item.name: item.id.kind for item in engine.table.free}
    amounts = engine.common.evidence.amounts
    for amount, of_phase in zip(amounts.names, amounts.crystalline, strict=True):
        groups[f"amount_{amount}"] = "amount of a phase" if of_phase else "amount of amorphous matter"
    away: dict[str, float] = {}
    for k, y in enumerate(counts[:20]):
        alone = engine.row_of(PatternFit(fit=engine.single(engine.points(y)), settled=True))
        for name, group in groups.items():
            # most of what is near nothing is held at zero: its resamples do not show what it scatters by
            at_zero = name.startswith("amount_") and bool((table[name] == 0.0).any())
            if (std := float(np.median(table[f"{name}_std"]) if at_zero else table[name].std())) > 0.0:
                away[group] = max(away.get(group, 0.0), abs(float(table[name][k]) - alone[name]) / std)
    for group, value in away.items():
        yield at_most(f"{what}: {group}, largest distance from single fits of 20", value, 0.1, "σ")
    if peers is not None:
        noisy = [Pattern.from_xy(x, y, intensity_unit="counts") for y in counts[:3]]
        cell = {axis: engine.common.solution.values[f"fluorapatite_{axis}"] for axis in "ac"}
        for name, held in PEERS.items():
            other = peer_fits(name, peers, noisy, 20.0, 70.0, cell=cell if held else None)
            for version in {item["version"] for item in other}:
                per_fit = float(np.mean([item["cpu_s"] for item in other]))
                ratio = per_fit * len(counts) / spent
                yield at_least(f"{what}, {name}{held} {version}: CPU time a pattern over ours", ratio, 50.0, "×")


def bench_table(rows: list[Row], unit: float) -> str:
    """Markdown table with a column of ratios to the fixed work."""
    lines = ["| what | value | bar | holds | times the fixed work |", "|---|---|---|---|---|"]
    for row in rows:
        verdict = {True: "yes", False: "**no**", None: ""}[row.holds]
        ratio = f"{row.value / unit:.3g}" if row.unit == "s CPU" else ""
        lines.append(f"| {row.name} | {row.value:.3g} {row.unit} | {row.bar or ''} | {verdict} | {ratio} |")
    return "\n".join(lines)


PARTS = (
    "startup",
    "analysis",
    "batch_of_specimens",
    "batch_of_kinds",
    "real_fit",
    "series_of_fap",
    "out_of_core",
    "reading",
)


def main() -> int:
    """Measure everything; the exit code says whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--patterns", type=int, default=500, help="of the resampled series")
    parser.add_argument("--specimens", type=int, default=100, help="of the batch of many kinds")
    parser.add_argument("--peers", type=Path, help="interpreter of an environment that has rietx and phasesmith")
    parser.add_argument("--dry", action="store_true", help="print only, leave results and page as they are")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    unit = cpu_of(reference_work, 5 * repeats)
    rows = [Row(name="fixed numpy work", value=unit, unit="s CPU")]
    parts: dict[str, Callable[[int], Iterator[Row]]] = {
        "startup": startup,
        "analysis": analysis,
        "batch_of_specimens": batch_of_specimens,
        "batch_of_kinds": partial(batch_of_kinds, specimens=arguments.specimens),
        "real_fit": partial(real_fit, peers=arguments.peers),
        "series_of_fap": partial(series_of_fap, patterns=arguments.patterns, peers=arguments.peers),
        "out_of_core": out_of_core,
        "reading": reading,
    }
    for name in arguments.only:
        rows += parts[name](repeats)
        print(name, file=sys.stderr)
    rows += [
        Row(name=f"{row.name}, times the fixed work", value=row.value / unit) for row in rows[1:] if row.unit == "s CPU"
    ]
    about = machine(repeats=repeats, clock="CPU time, best of the repeats")
    shown = bench_table([row for row in rows if row.unit], unit)
    print(shown)
    if not arguments.dry:
        # a part that is measured alone has its own place, so that rows of different code are never mixed
        name = "bench" if len(arguments.only) == len(PARTS) else "_".join(["bench", *arguments.only])
        write_rows(name, rows, about)
        if f"<!-- {name}: begin -->" in PAGE.read_text(encoding="utf-8"):
            put_into_page(PAGE, name, f"{shown}\n\n{sentence(about)}")
    return 1 if shortfalls(rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
