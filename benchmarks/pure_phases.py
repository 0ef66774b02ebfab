"""Every crystalline phase of the library simulated alone and with organic matter: ``python -m benchmarks.pure_phases``.

Asked is whether the interval of the crystalline sum covers the truth, whether any other phase is found, and whether a
pure powder is free of organic matter (null, or below 2 wt%). Members of one family, which share their reflections, are
not counted as false phases.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from xrdcomp.analysis import analyze
from xrdcomp.phases.library import list_phases, load_phase
from xrdcomp.simulate import SpecimenModel, simulate_pattern

SHARES = (0.0, 0.05, 0.2, 0.5)
"""Mass fractions of protein."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One specimen: what is known of it and what the analysis said."""

    phase: str
    protein: float
    crystalline: tuple[float, float] | None
    false_phases: tuple[str, ...]
    organic: float | None
    detected: bool
    status: str

    @property
    def covered(self) -> bool:
        """The crystalline sum is null, or its interval holds the truth."""
        truth = 1.0 - self.protein
        return self.crystalline is None or self.crystalline[0] - 1e-9 <= truth <= self.crystalline[1] + 1e-9

    @property
    def free_of_organic(self) -> bool:
        return self.organic is None or self.organic < 0.02


def examine(name: str, protein: float, *, seed: int = 5) -> Finding:
    """Simulate and analyse one phase with some protein, from nothing but the radiation."""
    own = load_phase(name)
    model = SpecimenModel(specimen_id=name, protein=protein, other={name: 1.0 - protein})
    result = analyze(simulate_pattern(model, seed=seed)[0], radiation="CuKa")
    found = [phase for phase in result.phases if phase.decision == "detected"]
    whole = result.composition.identifiable_sums.get("crystalline")
    organic = result.composition.components.get("organic")
    return Finding(
        phase=name,
        protein=protein,
        crystalline=None if whole is None else (whole.low, whole.high),
        false_phases=tuple(p.id for p in found if p.id != name and not (own.facts.is_apatite and p.is_apatite)),
        organic=None if organic is None else organic.value,
        detected=any(p.id == name or (own.facts.is_apatite and p.is_apatite) for p in found),
        status=result.status,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each specimen, and a line for each share of protein."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protein", type=float, nargs="*", default=SHARES)
    parser.add_argument(
        "--phases", nargs="*", default=[name for name in list_phases() if load_phase(name).quantifiable]
    )
    options = parser.parse_args(arguments)
    for share in options.protein:
        found = []
        for name in options.phases:
            item = examine(name, share)
            found.append(item)
            right = item.covered and item.detected and not item.false_phases and (share > 0.0 or item.free_of_organic)
            print(f"  {'right' if right else 'wrong'} {item}", flush=True)
        print(
            f"protein {100 * share:.0f} wt%: {len(found)} phases, covered {sum(f.covered for f in found)}, found "
            f"{sum(f.detected for f in found)}, without false phases {sum(not f.false_phases for f in found)}, "
            f"organic null or below 2 wt% {sum(f.free_of_organic for f in found)}, "
            f"ok {sum(f.status == 'ok' for f in found)}, failed {sum(f.status == 'failed' for f in found)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
