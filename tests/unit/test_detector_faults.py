"""What a detector does to single points: spikes, dead channels, its ceiling and its dead time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import calibration
from xrdcomp.analysis import analyze
from xrdcomp.data import Pattern
from xrdcomp.refinement.detector import PointFaults, background_subtracted
from xrdcomp.refinement.result import rolling_background
from xrdcomp.results import SampleResult
from xrdcomp.simulate import ApatiteModel, SpecimenModel, XrdConditions, simulate_pattern
from xrdcomp.simulate.cohort import simulate_specimen

CU = 1.5406
APATITE = SpecimenModel(apatite=1.0, apatite_model=ApatiteModel(length_a_nm=40.0, length_c_nm=60.0))


def apatite(counts: float = 20_000.0, step: float = 0.02) -> Pattern:
    return simulate_pattern(APATITE, XrdConditions(peak_counts=counts, step=step), seed=3)[0]


def changed(pattern: Pattern, intensity: np.ndarray) -> Pattern:
    return replace(pattern, intensity=intensity, sigma=np.sqrt(np.maximum(intensity, 1.0)))


def codes(result: SampleResult) -> set[str]:
    return {message.code for message in result.messages}


@pytest.fixture(scope="module")
def whole() -> SampleResult:
    return analyze(apatite())


def test_a_plain_scan_has_no_faults(whole: SampleResult) -> None:
    pattern = apatite()
    faults = PointFaults.of(pattern, CU)
    assert not faults.spikes.any()
    assert not faults.saturated.any()
    assert not codes(whole) & {"XRD_SPIKES_LEFT_OUT", "XRD_DETECTOR_SATURATED", "XRD_STRONG_REFLECTIONS_LOW"}


def test_spikes_and_dead_points_are_no_crystals() -> None:
    pattern = apatite()
    intensity = pattern.intensity.copy()
    places = [600, 1500, 2500, 3000]
    intensity[places] += 3000.0
    intensity[2000] = 0.0
    struck = changed(pattern, intensity)
    assert np.flatnonzero(PointFaults.of(struck, CU).spikes).tolist() == [600, 1500, 2000, 2500, 3000]
    result = analyze(struck)
    assert "unidentified_crystalline" not in result.composition.components
    assert "XRD_SPIKES_LEFT_OUT" in codes(result)
    assert result.status == "ok"


@pytest.mark.parametrize("step", [0.02, 0.05, 0.1])
def test_reflections_of_coarse_scans_are_no_spikes(step: float) -> None:
    model = SpecimenModel(other={"silicon": 1.0}, other_size_nm=500.0)
    pattern = simulate_pattern(model, XrdConditions(step=step, axial_half_angle_deg=0.5), seed=4)[0]
    assert not PointFaults.of(pattern, CU).spikes.any()


def test_a_ceiling_is_said_and_does_not_bend_the_intensities(whole: SampleResult) -> None:
    pattern = apatite()
    result = analyze(changed(pattern, np.minimum(pattern.intensity, 5000.0)))
    assert "XRD_DETECTOR_SATURATED" in codes(result)
    assert result.xrd is not None
    assert whole.xrd is not None
    assert result.xrd.gof < 1.1
    names = [fit.amounts.names.index("hydroxyapatite") for fit in (result.xrd, whole.xrd)]
    found, known = (float(fit.amounts.amounts[i]) for fit, i in zip((result.xrd, whole.xrd), names, strict=True))
    assert abs(found / known - 1.0) < 0.03


def test_few_counts_repeat_their_highest_value() -> None:
    assert not PointFaults.of(apatite(counts=12.0), CU).saturated.any()


def test_dead_time_is_said() -> None:
    pattern = apatite()
    lost = changed(pattern, np.round(pattern.intensity / (1.0 + 0.4 * pattern.intensity / pattern.intensity.max())))
    assert "XRD_STRONG_REFLECTIONS_LOW" in codes(analyze(lost))


@pytest.mark.parametrize("loss", [0.4, 1.0])
def test_dead_time_is_said_where_few_reflections_show_it(loss: float) -> None:
    """Widths and texture of a phase with one strong reflection take up most of what that lost."""
    quartz = SpecimenModel(other={"quartz": 1.0})
    pattern = simulate_pattern(quartz, XrdConditions(peak_counts=50_000.0), seed=3)[0]
    lost = np.round(pattern.intensity / (1.0 + loss * pattern.intensity / pattern.intensity.max()))
    assert "XRD_STRONG_REFLECTIONS_LOW" not in codes(analyze(pattern))
    assert "XRD_STRONG_REFLECTIONS_LOW" in codes(analyze(changed(pattern, lost)))


def test_profiles_that_the_model_does_not_quite_describe_are_no_dead_time() -> None:
    """Sizes with another distribution leave a few per cent of misfit at the tops of the reflections."""
    model, conditions, _ = calibration.specimen(7003, varied=True)
    pattern = simulate_specimen(model, xrd=conditions, seed=7003).pattern
    assert "XRD_STRONG_REFLECTIONS_LOW" not in codes(analyze(pattern))


def _mixture(intensity_of: Callable[[Pattern], np.ndarray]) -> SampleResult:
    model = SpecimenModel(
        apatite=0.5, protein=0.2, other={"quartz": 0.3},
        apatite_model=ApatiteModel(length_a_nm=30.0, length_c_nm=50.0),
    )  # fmt: skip
    pattern = simulate_pattern(model, seed=7)[0]
    return analyze((pattern.two_theta, intensity_of(pattern)), radiation="CuKa")


def test_a_pattern_without_its_background_weighs_no_crystals() -> None:
    """Halos go with a background that is taken off: 80 wt% of crystals passed for 91."""
    whole = _mixture(lambda pattern: pattern.intensity)
    bare = _mixture(lambda p: np.maximum(p.intensity - rolling_background(p.intensity, 0.02, 6.0), 0.0))
    assert "XRD_BACKGROUND_SUBTRACTED" not in codes(whole)
    assert whole.composition.identifiable_sums["crystalline"].low < 0.8
    assert "XRD_BACKGROUND_SUBTRACTED" in codes(bare)
    assert bare.status == "warning"
    assert "crystalline" not in bare.composition.identifiable_sums
    found = {phase.id: phase for phase in bare.phases if phase.decision == "detected"}
    assert set(found) == {"hydroxyapatite", "quartz"}
    assert all(phase.weight_fraction is None for phase in found.values())
    share = found["quartz"].crystalline_weight_fraction
    assert share is not None
    assert abs(share.value - 0.375) < 0.03


def _smooth(y: np.ndarray) -> np.ndarray:
    return np.convolve(y, np.full(7, 1.0 / 7.0), mode="same")


def _bare(y: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(y - rolling_background(_smooth(y), 0.02, 4.0), 0.0))


@pytest.mark.parametrize("phase", ["calcite", "gypsum", "hydroxyapatite"])
@pytest.mark.parametrize(
    "exported",
    [lambda y: 100.0 * y / y.max(), _smooth, lambda y: np.round(10_000.0 * y / y.max())],
    ids=["normalised", "smoothed", "rounded"],
)
def test_a_background_that_was_taken_off_shows_on_any_scale(
    phase: str, exported: Callable[[np.ndarray], np.ndarray]
) -> None:
    model = SpecimenModel(other={phase: 0.7}, protein=0.3)
    pattern = simulate_pattern(model, XrdConditions(peak_counts=30_000.0), seed=5)[0]
    y = pattern.intensity
    assert not background_subtracted(changed(pattern, exported(y)))
    assert background_subtracted(changed(pattern, exported(_bare(y))))


@pytest.mark.parametrize("counts", [20.0, 200.0, 50_000.0])
def test_counts_as_they_are_have_all_their_background(counts: float) -> None:
    assert not background_subtracted(apatite(counts))
