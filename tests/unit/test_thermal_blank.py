"""A blank run that is not the specimen's programme to the degree, and the noise of its beginning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp.errors import AnalysisError
from xrdcomp.results import TgaResult
from xrdcomp.simulate.cohort import simulate_tga
from xrdcomp.simulate.specimens import SpecimenModel, TgaConditions
from xrdcomp.simulate.tga import simulate_tga_blank
from xrdcomp.stages import analyze_tga
from xrdcomp.thermal.smoothing import end_factor, whittaker
from xrdcomp.units import FloatArray

SPECIMEN = SpecimenModel(apatite=0.4, protein=0.35, lipid=0.1, water=0.12, carbonate=0.03)
LIGHT = TgaConditions(sample_mass_mg=3.0, pan_volume_cm3=0.05, noise_ug=1.0)


def balance(start_c: float, blank_start_c: float, blank_end_c: float) -> TgaResult:
    run = simulate_tga(SPECIMEN, replace(LIGHT, start_c=start_c), seed=1)
    empty = replace(LIGHT, start_c=blank_start_c, end_c=blank_end_c)
    return analyze_tga(run, blank=simulate_tga_blank(empty, seed=2))


@pytest.mark.parametrize(
    ("start_c", "blank_start_c", "blank_end_c"), [(100.0, 25.0, 1000.0), (25.0, -20.0, 1000.0), (25.0, 25.0, 1200.0)]
)
def test_what_a_blank_holds_before_and_after_the_run_does_not_count(
    start_c: float, blank_start_c: float, blank_end_c: float
) -> None:
    longer, same = balance(start_c, blank_start_c, blank_end_c), balance(start_c, start_c, 1000.0)
    because = "other noise of the blank, three times 0.3 µg of 3 mg; the pan gains 0.2 wt% in 75 K at the beginning"
    assert_close(longer.balance, same.balance, atol=3e-4, because=because)


def test_a_blank_of_a_few_readings_is_refused() -> None:
    run, empty = simulate_tga(SPECIMEN, LIGHT, seed=1), replace(LIGHT, points=15)
    with pytest.raises(AnalysisError, match=r"readings in the range of the specimen.s run; 20 are needed"):
        analyze_tga(run, blank=simulate_tga_blank(empty, seed=2))


def test_a_blank_that_begins_later_is_less_sure_at_its_start() -> None:
    shares = [balance(25.0, begin, 1000.0).budget["water"]["blank"] for begin in (25.0, 44.0)]
    assert shares[1] > 2.0 * shares[0], "its change before 44 °C is extrapolated"


@pytest.mark.parametrize(
    "weights", [np.ones(300), np.concatenate((np.zeros(15), np.ones(285))), np.linspace(0.5, 1.5, 300)]
)
def test_noise_of_the_first_smoothed_value(weights: FloatArray) -> None:
    trials = 1000
    noise = np.random.default_rng(5).standard_normal((len(weights), trials))
    data = np.where(weights > 0, 1.0, 0.0)[:, None] * noise / np.sqrt(np.maximum(weights, 1e-9))[:, None]
    seen = float(whittaker(data, weights, 15.0)[0].std())
    because = "4σ of a standard deviation of n trials"
    assert_close(end_factor(weights, 15.0), seen, rtol=4.0 / np.sqrt(2 * trials), because=because)
