"""Is each phase found at the limit that was stated for it?

    python -m benchmarks.detection_limits [--world home|measured|debye] [--trials 100] [--phases a,b] [--store FILE]
    python -m benchmarks.detection_limits --page

At home the specimens are those of the study of false phases: apatite with organic, water and amorphous mineral in
varied laboratories, a quarter grainy, a quarter without apatite. Each is measured and searched once; the limits printed
for it are noted. Then every phase in turn replaces exactly its limit of the specimen, which is measured anew (the same
grains, fresh counts) and searched; the fit of apatite to it starts where that to the clean specimen ended, which saves
three quarters of the time. In the other worlds (``benchmarks/worlds``) a specimen is whatever their population holds,
and the phase is what their own optics and structure factors make of its published atoms, in grains of 60 to 250 nm
whose intensities and spacings scatter as that world has it; what is in the specimen already is not tried. Trials are
kept in ``build/identification/`` as soon as a specimen is done, so that an interrupted run goes on where it stopped as
long as the package has not changed. ``--page`` puts what is there of the other worlds into ``docs/identification.md``.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import gemmi
import numpy as np

from benchmarks.accuracy_identification import MEDICAL_PHASES, Row, clean_scan, found_in, others, row
from benchmarks.report import ROOT, put_into_page, source_hash
from benchmarks.store import append_store, read_store
from benchmarks.worlds import population
from benchmarks.worlds.atoms import Array, elements
from benchmarks.worlds.crystals import Structure
from benchmarks.worlds.debye import pattern as debye
from benchmarks.worlds.draw import FIRST_SEED
from benchmarks.worlds.measured import pattern as measured
from benchmarks.worlds.optics import expected, exposed
from xrdcomp.data import Pattern
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phase, load_phases
from xrdcomp.recipe import Recipe
from xrdcomp.refinement.model import Points
from xrdcomp.refinement.refine import Refinement
from xrdcomp.search.search import Identification, search_from
from xrdcomp.simulate.specimens import SpecimenModel, XrdConditions
from xrdcomp.simulate.xrd import expected_pattern, measure

LARGEST_LIMIT = 0.5
"""Phases whose stated limit is more than half the specimen are not tried: it cannot be called a limit."""

LOW, HIGH = 0.90, 0.99
ENOUGH = 100


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One phase in one specimen at the limit stated for it.

    Attributes
    ----------
    specimen : which of the clean specimens
    limit : weight fraction stated for the specimen without the phase, and put in
    found : whether it, or one that a pattern cannot tell from it, was detected, and apatite as before
    z : of the phase itself, decision : about it
    reason : why it was not, where the search says
    instead : phases detected beside apatite and it
    """

    specimen: int
    phase: str
    limit: float
    found: bool
    z: float
    decision: str
    reason: str
    instead: str


Spike = Callable[[str, float], Pattern]
"""From a phase and its mass fraction to the scan of the specimen with it."""
WORLDS = {"measured": measured, "debye": debye}


def at_home(specimen: int) -> tuple[Pattern, Spike, bool]:
    """Scan of a clean specimen of the package's simulator, of the same with a phase, and whether apatite is in it."""
    model, conditions, pattern = clean_scan(specimen)
    spike = partial(with_phase, (model, conditions), number=specimen)
    return pattern, spike, model.apatite > 0.0


def elsewhere(world: str, specimen: int) -> tuple[Pattern, Spike, bool]:
    """As `at_home`, of a specimen of another world; the phase takes the place of a share of everything."""
    seed = FIRST_SEED[world] + specimen
    drawn = population.draw(seed, embedded=world != "debye")
    two_theta, signal, optics, rng, _ = WORLDS[world].before_counting(drawn, seed)
    counts, scale = exposed(two_theta, signal, optics)

    def scan(total: Array, counting: np.random.Generator) -> Pattern:
        y = counting.poisson(total).astype(np.float64)
        sigma = np.sqrt(np.maximum(y, 1.0))
        return Pattern(
            two_theta=two_theta,
            intensity=y,
            sigma=sigma,
            anode="Cu",
            metadata={"goniometer_radius_mm": optics.radius_mm},
        )

    def spiked(phase: str, fraction: float) -> Pattern:
        own = [seed, zlib.crc32(phase.encode())]
        loaded = load_phase(phase)
        crystal = Structure(
            name=f"{phase} by its atoms",
            cell=gemmi.UnitCell(*loaded.cell.parameters),
            elements=loaded.site_element,
            xyz=loaded.site_xyz,
            occupancy=loaded.site_occupancy,
            b_iso=loaded.site_b_iso,
        )

        def cross_section(q: Array, _: float) -> Array:
            return np.asarray(WORLDS[world].foreign(crystal, np.random.default_rng(own), q), dtype=np.float64)

        phase_signal = expected(cross_section, optics)[1]
        return scan(counts + fraction * scale * (phase_signal - signal), np.random.default_rng([1, *own]))

    return scan(counts, rng), spiked, drawn.apatite > 0.0


def trials_of(specimen: int, phases: Sequence[str], world: str = "home") -> Iterator[Trial]:
    """Search a clean specimen, then the same with each phase at its stated limit."""
    recipe = Recipe()
    pattern, spike, holds_apatite = at_home(specimen) if world == "home" else elsewhere(world, specimen)
    instrument = build_instrument(pattern, recipe.instrument)
    fit = Refinement.run(pattern, load_phases(recipe.phases or ("hydroxyapatite",)), instrument, recipe.fit)
    clean = search_from(fit, recipe.identification)
    limits = {p.id: p.detection_limit for p in clean.phases if p.decision == "not_detected"}
    for phase in phases:
        limit = limits.get(phase)
        if limit is None or limit > LARGEST_LIMIT:
            continue
        spiked = spike(phase, limit)
        start = replace(fit, pattern=spiked, points=Points.select(spiked, recipe.fit, fit.instrument.wavelength))
        search = search_from(start.add([]), recipe.identification)
        report = next(p for p in search.phases if p.id == phase)
        yield Trial(
            specimen=specimen,
            phase=phase,
            limit=limit,
            found=found_in(search, phase) and (not holds_apatite or _has_apatite(search) >= _has_apatite(clean)),
            z=np.nan if report.evidence.z is None else report.evidence.z,
            decision=report.decision,
            reason=report.evidence.reason,
            instead=" ".join(others(search, "detected", known=(phase,))),
        )


def _has_apatite(found: Identification) -> bool:
    return any(p.decision == "detected" and p.is_apatite for p in found.phases)


def with_phase(specimen: tuple[SpecimenModel, XrdConditions], phase: str, fraction: float, *, number: int) -> Pattern:
    """Replace a share of a specimen by a phase and measure it: its own grains, fresh counts."""
    model, conditions = specimen
    names = ("apatite", "protein", "lipid", "water", "amorphous_mineral", "carbonate")
    rest = {name: getattr(model, name) * (1.0 - fraction) for name in names}
    mixed = replace(model, **rest, other={phase: fraction})
    loaded = {name: load_phase(name) for name in (model.apatite_model.phase, phase)}
    expected = expected_pattern(mixed, conditions, loaded, np.random.default_rng(number))
    counting = np.random.default_rng([number, zlib.crc32(phase.encode())])
    total = expected.specimen + expected.background
    return measure(expected.two_theta, total, conditions, counting, f"{phase} in {number}")


def run(trials: int, phases: Sequence[str], store: Path | None = None, world: str = "home") -> list[Trial]:
    """Every trial of the first specimens that the store does not hold yet."""
    found = read_store(store, Trial)
    done = {(item.specimen, item.phase) for item in found}
    for specimen in range(trials):
        left = [phase for phase in phases if (specimen, phase) not in done]
        if left:
            new = list(trials_of(specimen, left, world))
            append_store(store, new)
            found += new
            print(f"specimen {specimen + 1} of {trials}", file=sys.stderr)
    return [item for item in found if item.specimen < trials and item.phase in phases]


def rows_of(found: Sequence[Trial]) -> list[Row]:
    """Share of trials in which each phase is found, the extremes of the phases, and all together.

    A single phase is held against the bar from `ENOUGH` trials on: ten of ten say little about 0.99.
    """
    bar = f"{LOW:.2f} to {HIGH:.2f}"
    by_phase: dict[str, list[Trial]] = {}
    for item in found:
        by_phase.setdefault(item.phase, []).append(item)
    shares = {phase: float(np.mean([t.found for t in items])) for phase, items in sorted(by_phase.items())}
    rows = []
    for phase, share in shares.items():
        limit = 100 * float(np.median([item.limit for item in by_phase[phase]]))
        n = len(by_phase[phase])
        told = bar if n >= ENOUGH else ""
        rows.append(row(f"{phase} at its limit (median {limit:.2f} wt%), of {n} trials found", share, "", told))
    lowest, highest = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    enough = min(map(len, by_phase.values())) >= ENOUGH
    return [
        *rows,
        row(f"phase found least often at its limit: {lowest}", shares[lowest], "", f">= {LOW}" if enough else ""),
        row(f"phase found most often at its limit: {highest}", shares[highest], "", f"<= {HIGH}" if enough else ""),
        row("all phases at their limits", float(np.mean([item.found for item in found])), "", bar),
    ]


def detection_limits(trials: int = 100, phases: Sequence[str] = MEDICAL_PHASES) -> list[Row]:
    """Run the study, or what is left of it, and return its figures."""
    searched = tuple(p.id for p in load_phases(tuple(phases)) if p.quantifiable)
    return rows_of(run(trials, searched, ROOT / "build" / "identification" / f"{source_hash()}.csv"))


def store_of(world: str) -> Path:
    """Where the trials of this code are kept."""
    return ROOT / "build" / "identification" / f"{world}_{source_hash()}.csv"


def page() -> str:
    """Markdown table of the trials of this code in the other worlds: median limit, trials and share found."""
    found = {world: read_store(store_of(world), Trial) for world in WORLDS}
    head = " | ".join(f"{world}: limit (wt%) | n | found (%)" for world in WORLDS)
    lines = [f"| phase | {head} |", "|---" * (1 + 3 * len(WORLDS)) + "|"]

    def cells(items: Sequence[Trial]) -> str:
        if not items:
            return " | | "
        n, hits = len(items), sum(item.found for item in items)
        return f"{100 * np.median([item.limit for item in items]):.2f} | {n} | {100 * hits / n:.0f}"

    for phase in sorted({item.phase for items in found.values() for item in items}):
        own = [cells([item for item in items if item.phase == phase]) for items in found.values()]
        lines.append(f"| {phase} | {' | '.join(own)} |")
    lines.append(f"| all | {' | '.join(cells(items) for items in found.values())} |")
    specimens = ", ".join(
        f"{world} {len({item.specimen for item in items})} specimens from seed {FIRST_SEED[world]}"
        for world, items in found.items()
    )
    return "\n".join([*lines, "", f"Code `{source_hash()}`; {specimens}."])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=("home", *WORLDS), default="home")
    parser.add_argument("--page", action="store_true", help="put the trials of the other worlds into the page")
    parser.add_argument("--trials", type=int, default=100, help="specimens")
    parser.add_argument("--phases", default=",".join(MEDICAL_PHASES))
    parser.add_argument("--store", type=Path, help="keep trials there, whatever code they come from")
    arguments = parser.parse_args()
    if arguments.page:
        put_into_page(ROOT / "docs" / "identification.md", "limits", page())
        return
    phases = tuple(arguments.phases.split(","))
    if arguments.store or arguments.world != "home":
        able = [p for p in load_phases(phases) if p.quantifiable]
        searched = tuple(p.id for p in able if arguments.world == "home" or elements() >= set(p.site_element))
        store = arguments.store or store_of(arguments.world)
        rows = rows_of(run(arguments.trials, searched, store, arguments.world))
    else:
        rows = detection_limits(arguments.trials, phases)
    for item in rows:
        mark = {True: "holds", False: "FAILS", None: ""}[item["holds"]]
        print(f"{item['name']:<80} {item['value']:8.3f} {item['bar']:<16} {mark}")


if __name__ == "__main__":
    main()
