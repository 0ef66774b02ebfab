"""Crystals that the library does not hold: each of its phases left out in turn, simulated and searched for.

A specimen is one phase, pure or with some protein, of a drawn laboratory; the search has every other phase. A phase
that is detected is false, unless it is of the same family (`SAME`: the others of the apatites and of the whitlockites
diffract alike). ``--made-up N`` adds crystals that nobody has: structures of the library with other axes and other
elements, searched for with the whole library. One line for each specimen, then the counts:
``python -m benchmarks.left_out [--runs 2] [--made-up 120]``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

import xrdcomp as xc
from xrdcomp.data import Cell, Pattern, Phase
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.simulate.specimens import SpecimenModel, vary_conditions
from xrdcomp.simulate.xrd import expected_pattern, measure

SAME = ({"beta_tcp", "beta_tcp_mg", "whitlockite"}, {"cppd_triclinic", "cppd_monoclinic"})
SEED = 44
EXCHANGES = {
    "Ca": ("Sr", "Ba", "Mn", "Mg", "Zn"), "Mg": ("Fe", "Zn", "Mn", "Ca"), "P": ("S", "Si", "Ti"), "S": ("P", "Si"),
    "Al": ("Fe", "Ti", "B"), "Si": ("Ti", "Zr", "Al"), "Ti": ("Zr", "Si", "Mn"), "Na": ("K", "Cu"), "K": ("Na", "Cu"),
    "Cl": ("F", "S"), "F": ("Cl",), "Ba": ("Sr", "Ca"), "Zn": ("Mg", "Cu", "Fe"), "C": ("B", "N"), "La": ("Ba", "Sr"),
    "B": ("C", "Al"), "Fe": ("Mn", "Zn"),
}  # fmt: skip
"""Elements that take another's place in a made-up crystal."""
PROTEIN = (0.0, 0.3)  # of the specimen, one after the other


@dataclass(frozen=True)
class Found:
    """What was said of one specimen: ids of false phases, intervals, components, share of organic as a lower bound."""

    phase: str
    false: tuple[str, ...]
    unidentified: tuple[float, float] | None
    crystalline: tuple[float, float] | None
    organic_from: float
    status: str
    truth: float
    seconds: float


def family(phase: str) -> set[str]:
    """Ids that a pattern cannot tell from this one."""
    apatites = {name for name in list_phases() if load_phase(name).is_apatite}
    return next((group for group in (apatites, *SAME) if phase in group), {phase})


def made_up(rng: np.random.Generator) -> Phase:
    """Structure of the library with axes 4 to 12 % longer or shorter and one or more elements exchanged, or a metal."""
    base = load_phase(str(rng.choice([name for name in list_phases() if load_phase(name).quantifiable])))
    a, b, c = rng.uniform(0.04, 0.12, 3) * rng.choice([-1.0, 1.0], 3) + 1.0
    if base.crystal_system == "cubic":
        b = c = a
    elif base.crystal_system in ("tetragonal", "trigonal", "hexagonal"):
        b = a
    own = base.cell
    cell = Cell(a=own.a * a, b=own.b * b, c=own.c * c, alpha=own.alpha, beta=own.beta, gamma=own.gamma)
    if base.crystal_system == "cubic" and rng.random() < 0.5:
        metal = str(rng.choice(["Al", "Cu", "Fe", "Ti", "Zr"]))
        exchanged = dict.fromkeys(base.site_element, metal)
    else:
        able = sorted(set(base.site_element) & EXCHANGES.keys())
        chosen = rng.permutation(able)[: rng.integers(1, len(able) + 1)] if able else np.array([])
        exchanged = {str(element): str(rng.choice(EXCHANGES[str(element)])) for element in chosen}
    elements = tuple(exchanged.get(element, element) for element in base.site_element)
    return replace(base, id=f"made_up_{base.id}", cell=cell, site_element=elements)


def measured(phase: Phase, protein: float, run: int, rng: np.random.Generator) -> Pattern:
    """Pattern of a phase with protein in a drawn laboratory."""
    conditions, _ = vary_conditions(rng)
    model = SpecimenModel(protein=protein, other={phase.id: 1.0 - protein})
    apatite = model.apatite_model.phase
    phases, drawn = {apatite: load_phase(apatite), phase.id: phase}, np.random.default_rng(run)
    expected = expected_pattern(model, conditions, phases, drawn)
    return measure(expected.two_theta, expected.specimen + expected.background, conditions, drawn, "simulated")


def left_out(phase: str, run: int) -> Found:
    """Simulate one phase and search for all others."""
    rng = np.random.default_rng([SEED, run, *phase.encode()])
    protein = PROTEIN[run % len(PROTEIN)]
    pattern = measured(load_phase(phase), protein, run, rng)
    same = family(phase)
    rest = tuple(name for name in list_phases() if name not in same)
    return judged(phase, pattern, protein, {"identification.library": rest, "identification.start": "nothing"})


def nobody_has(run: int) -> Found:
    """Simulate a made-up crystal, every other time with protein, and search for the library."""
    rng = np.random.default_rng([SEED, run])
    phase, protein = made_up(rng), PROTEIN[run % len(PROTEIN)]
    return judged(phase.id, measured(phase, protein, run, rng), protein, {})


def judged(phase: str, pattern: Pattern, protein: float, settings: dict[str, object]) -> Found:
    """Analyse and compare with what is known."""
    start = time.process_time()
    result = xc.analyze(pattern, recipe=xc.Recipe().with_settings(settings))
    seconds = time.process_time() - start
    parts, sums = result.composition.components, result.composition.identifiable_sums
    unknown, hard = parts.get("unidentified_crystalline"), sums.get("crystalline")
    organic = parts.get("organic")
    return Found(
        phase=phase,
        false=tuple(item.id for item in result.phases if item.decision == "detected"),
        unidentified=unknown.ci95 if unknown is not None else None,
        crystalline=hard.ci95 if hard is not None else None,
        organic_from=organic.ci95[0] if organic is not None and organic.ci95 is not None else 0.0,
        status=result.status,
        truth=1.0 - protein,
        seconds=seconds,
    )


def covers(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval holds the truth; none says nothing wrong."""
    return interval is None or interval[0] - 1e-9 <= truth <= interval[1] + 1e-9


def main(runs: int, others: int) -> None:
    """Print a line for each specimen and the counts."""
    phases = [name for name in list_phases() if load_phase(name).quantifiable]
    todo = [partial(left_out, phase, run) for run in range(runs) for phase in phases]
    found = []
    for task in (*todo, *(partial(nobody_has, run) for run in range(others))):
        item = task()
        found.append(item)
        unknown = "none" if item.unidentified is None else "{:.2f} to {:.2f}".format(*item.unidentified)
        hard = "none" if item.crystalline is None else "{:.2f} to {:.2f}".format(*item.crystalline)
        print(
            f"{item.phase:34} true {item.truth:.2f} unidentified {unknown:13} crystalline {hard:13} "
            f"{item.status:8} {item.seconds:4.1f} s  {', '.join(item.false)}",
            flush=True,
        )
    n = len(found)
    print(f"specimens {n}, with a false phase {sum(bool(item.false) for item in found)}")
    print(f"unidentified crystals stated {sum(item.unidentified is not None for item in found)}")
    print(f"their interval holds the truth {sum(covers(item.unidentified, item.truth) for item in found)}")
    print(f"the interval of all crystals holds it {sum(covers(item.crystalline, item.truth) for item in found)}")
    print(f"organic said to be there for certain {sum(i.organic_from > 0.0 for i in found)}")
    print(f"organic said to be there without any {sum(i.organic_from > 0.02 and i.truth == 1.0 for i in found)}")
    print(f"processor seconds, median {np.median([item.seconds for item in found]):.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="of each phase, every other one with protein")
    parser.add_argument("--made-up", type=int, default=0)
    options = parser.parse_args()
    main(options.runs, options.made_up)
