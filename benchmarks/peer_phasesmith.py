"""Rietveld fits by phasesmith for comparison; run by an interpreter that has it, without xrdcomp.

    PYTHON peer_phasesmith.py STRUCTURE.cif LOW HIGH TERMS PATTERN.xye ...

Prints one JSON object a pattern: CPU seconds of the fit and Rwp. Refined are the scale, U, V, W, Lorentzian X, Y, the
zero shift and a Chebyshev background of TERMS; structure and cell are held, since it refuses to refine the cell with
two wavelengths. Scale and background start from a linear fit and are solved for again between blocks of the others, as
its own validation does it.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import phasesmith as ps  # type: ignore[import-not-found]  # of another environment
from phasesmith.refinement import rietveld  # type: ignore[import-not-found]
from phasesmith.refinement.background import ChebyshevBackground  # type: ignore[import-not-found]
from phasesmith.validation import _rietveld_parity as parity  # type: ignore[import-not-found]
from phasesmith.validation.real_data import QARR_1G_CUKA_FIXED_DISPERSION  # type: ignore[import-not-found]

LINES = (1.5405929, 1.5444274)
PROFILE = ("u_deg2", "v_deg2", "w_deg2", "x_deg", "y_deg", "zero_shift_deg")
BLOCKS, SETTLED = 20, 1e-5
"""Most blocks, and the relative change of Rwp at which no further one is made."""


def fitted(cif: str, pattern: ps.PowderPattern, terms: int) -> float:
    """Rwp of a fit."""
    instrument = ps.ConstantWavelengthInstrument(LINES[0], 2e-4, -2e-4, 5e-4, 1e-2, 1e-2)
    experiment = ps.ConstantWavelengthExperiment.x_ray_components(
        instrument, ps.WavelengthComponents.doublet(*LINES, 0.5), axial_geometry=ps.FcjGeometry(1e-3, 1e-3)
    )
    held = {"lattice": False, "coordinates": False, "occupancy": False, "u_iso": False}
    start = rietveld.RietveldInput.from_cif(
        pattern,
        experiment,
        cif,
        phase_id="phase",
        selection=rietveld.RietveldParameterSelection(phase_scale=False, **held),
        scattering=ps.XrayFixedDispersion({**QARR_1G_CUKA_FIXED_DISPERSION, "P": complex(0.295, 0.4335)}),
        intensity_correction=ps.BraggBrentanoPolarizedLp(LINES[0], 0.5),
        coordinate_tolerance=1e-4,
    )
    phases, one = start.phases, ps.ExecutionPolicy(threads=1)
    background = ChebyshevBackground("background", (0.0,) * terms, (float(pattern.x[0]), float(pattern.x[-1])))
    phases, background = parity.solve_linear_profile_block(pattern, experiment, phases, background, one)
    free = rietveld.RietveldParameterSelection(phase_scale=True, instrument_parameters=PROFILE, background=True, **held)
    before = np.inf
    for _ in range(BLOCKS):
        state = (pattern, experiment, phases, background)
        found = parity.refine_nonlinear_block(*state, free, one, iterations=20, step=0.25)
        experiment = found.experiment
        phases, background = parity.solve_linear_profile_block(pattern, experiment, found.phases, found.background, one)
        now = float(found.metrics.rwp)
        if before - now < SETTLED * now:
            break
        before = now
    return now


def main(cif: str, low: str, high: str, terms: str, *patterns: str) -> None:
    for name in patterns:
        x, y, sigma = np.loadtxt(name, unpack=True)
        inside = (x >= float(low)) & (x <= float(high))
        x, y, sigma = (values[inside] for values in (x, y, sigma))
        pattern = ps.PowderPattern(x, observed_y=y, uncertainty=sigma, background=np.zeros_like(y))
        start = time.process_time()
        rwp = fitted(cif, pattern, int(terms))
        spent = time.process_time() - start
        print(json.dumps({"version": ps.__version__, "cpu_s": spent, "rwp": rwp}))


if __name__ == "__main__":
    main(*sys.argv[1:])
