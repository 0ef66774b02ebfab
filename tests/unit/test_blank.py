"""The empty-holder scan: its noise, its lines, its scale."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fit_cases import INSTRUMENT, VALUES
from tests.helpers import assert_close
from xrdcomp.data import Pattern
from xrdcomp.errors import AnalysisError
from xrdcomp.phases.library import load_phase
from xrdcomp.refinement.model import smooth_blank
from xrdcomp.refinement.refine import Refinement
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.units import FloatArray

PHASE = load_phase("hydroxyapatite")


def holder(x: FloatArray) -> FloatArray:
    """PMMA and air, counts."""
    humps = ((13.8, 5.0, 40.0), (30.9, 6.0, 16.0), (42.3, 6.0, 8.0))
    out = 15.0 + 20.0 * (8.0 / x) ** 1.5
    for centre, fwhm, height in humps:
        out = out + height * np.exp(-4.0 * np.log(2.0) * ((x - centre) / fwhm) ** 2)
    return np.asarray(out)


def counted(x: FloatArray, y: FloatArray, seed: int) -> Pattern:
    counts = np.random.default_rng(seed).poisson(y).astype(float)
    sigma = np.sqrt(np.maximum(counts, 1.0))
    return Pattern(two_theta=x, intensity=counts, sigma=sigma, intensity_unit="counts")


def line(x: FloatArray, height: float) -> FloatArray:
    return np.asarray(height * np.exp(-4.0 * np.log(2.0) * ((x - 38.5) / 0.12) ** 2))


def test_noise_goes_and_lines_of_the_holder_stay() -> None:
    x = np.arange(6.0, 80.0, 0.02)
    blank = counted(x, holder(x) + line(x, 200.0), 1)
    smooth = smooth_blank(blank, x)
    away = np.abs(x - 38.5) > 2.5
    noise = (smooth / holder(x) - 1.0)[away]
    because = "1.5 √(1/150 points) of a fifth to an eighth; the rise at 6° bends by a per cent"
    assert_close(float(noise.std()), 0.025, atol=0.01, because=because)
    near = np.abs(x - 38.5) < 0.2
    np.testing.assert_array_equal(smooth[near], blank.intensity[near])
    assert_close(smooth_blank(counted(x, 1e6 * holder(x), 2), x) / holder(x) / 1e6, 1.0, atol=0.03, because="bending")


@pytest.mark.parametrize(("time", "step"), [(0.3, 0.05), (3.0, 0.02)])
def test_a_noisy_blank_keeps_its_scale(time: float, step: float) -> None:
    x = np.arange(8.0, 70.0, 0.02)
    lines = PhaseReflections.freeze(PHASE, INSTRUMENT, x, VALUES)
    apatite, _ = lines.pattern(VALUES)
    scan = counted(x, 4000.0 * apatite / apatite.max() + holder(x), 3)
    at = np.arange(7.0, 72.0, step)
    blank = counted(at, time * holder(at), 4)
    state = Refinement.run(scan, (PHASE,), INSTRUMENT, blank=blank)
    names = [column.name for column in state.model.columns]
    scale = time * state.solution.coefficients[names.index("background_blank")]
    assert 0.5 < scale < 1.4, "halos and air resemble a part of it; with its noise the scale came out as 0.06 and 0.4"


def test_a_blank_that_ends_too_early_is_refused() -> None:
    x = np.arange(8.0, 70.0, 0.02)
    scan, short = counted(x, holder(x), 1), np.arange(8.0, 50.0, 0.02)
    with pytest.raises(AnalysisError, match=r"the blank covers 8\.00-49\.98°, the fit 8\.00-69\.98°"):
        Refinement.run(scan, (), INSTRUMENT, blank=counted(short, holder(short), 2))
