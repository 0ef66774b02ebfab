"""Rietveld fits by rietx for comparison; run by an interpreter that has it, without xrdcomp.

    PYTHON peer_rietx.py [--axial] STRUCTURE.cif LOW HIGH TERMS PATTERN.xye ...

Prints one JSON object a pattern: CPU seconds of the fit and Rwp. Cell, scale, zero, Caglioti U, V, W, Lorentzian X, Y
and a Chebyshev background of TERMS are refined in the package's own order; structure held, no texture. With
``--axial`` the ratio of Kα2 and both lengths of the axial divergence follow, as in its plan for laboratory instruments,
which adds a displacement to the shift as well.
"""

from __future__ import annotations

import json
import sys
import time

import rietx  # type: ignore[import-not-found]  # of another environment
from rietx.strategy.staged import RefinementPlan, Stage  # type: ignore[import-not-found]

AXIAL = ("instrument.source.lines.*.weight", "instrument.geometry.axial_sl", "instrument.geometry.axial_hl")


def main(*words: str) -> None:
    axial = words[0] == "--axial"
    cif, low, high, terms, *patterns = words[1:] if axial else words
    plan = RefinementPlan.mccusker_default()
    if axial:
        plan.stages.append(Stage("lines_axial", list(AXIAL)))
    for pattern in patterns:
        data = rietx.read_pattern(pattern)
        optics = rietx.Instrument.bragg_brentano(radiation="CuKa")
        one = optics.background.coefficients[0]
        background = optics.background.model_copy(
            update={"coefficients": [one.model_copy(deep=True) for _ in range(int(terms))]}
        )
        optics = optics.model_copy(update={"background": background})
        work = rietx.Refinement(rietx.Structure.from_cif(cif), optics, history=False)
        start = time.process_time()
        found = work.fit(data, two_theta_limits=(float(low), float(high)), telemetry=False, plan=plan)
        spent = time.process_time() - start
        rwp = float(found.statistics.rwp)
        print(json.dumps({"version": rietx.__version__, "cpu_s": spent, "rwp": rwp, "status": str(found.status)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
