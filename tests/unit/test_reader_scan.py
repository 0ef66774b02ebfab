"""From raw scan to pattern: counting statistics, refusals, and what is only suspicious."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_close, binomial_band
from tests.xrd_writers import example
from xrdcomp.data import EmissionLine, Pattern
from xrdcomp.errors import ReadError
from xrdcomp.io.scans import (
    RawScan,
    counting_scale,
    note_ends,
    note_open_end,
    note_steps,
    note_unusual_end,
    note_wild_points,
    to_pattern,
    two_theta_grid,
)
from xrdcomp.io.source import SourceFile

SCAN = example(801)
X, Y = SCAN.two_theta, SCAN.counts.astype(float)
RAW = RawScan(two_theta=X, intensity=Y, unit="counts", place="scan 0")
FILE = SourceFile(path=Path("a.xy"), data=b"1 2\n" * 100)


def judged(raw: RawScan) -> Pattern:
    return to_pattern(raw, FILE, "test")


def codes(pattern: Pattern) -> set[str]:
    return {note.code for note in pattern.messages}


def test_counts_rates_and_attenuated_counts_have_poisson_errors() -> None:
    zero = Y.copy()
    zero[5] = 0
    counts = judged(replace(RAW, intensity=zero))
    assert_close(counts.sigma, np.sqrt(np.maximum(zero, 1)), rtol=1e-14, because="sqrt(N), one count for none")
    rate = judged(replace(RAW, intensity=zero / 4, unit="cps", counting_time_s=4.0))
    assert_close(rate.sigma, counts.sigma / 4, rtol=1e-14, because="the same counts over 4 s")
    factor = np.where(np.arange(len(X)) > 400, 8.3, 1.0)
    weak = judged(replace(RAW, intensity=zero * factor, attenuation=factor))
    assert_close(weak.sigma, counts.sigma * factor, rtol=1e-14, because="absorber factor times sqrt(N)")
    times = np.where(np.arange(len(X)) > 400, 2.0, 1.0)
    varied = judged(replace(RAW, intensity=zero / times, unit="cps", counting_time_s=times))
    assert_close(varied.sigma, counts.sigma / times, rtol=1e-14, because="time per point")
    assert varied.counting_time_s is None


def test_noise_scale_of_poisson_counts_is_one_and_scales_with_them() -> None:
    rng = np.random.default_rng(11)
    scales = [counting_scale(rng.poisson(np.linspace(300, 80, 3000)).astype(float)) for _ in range(20)]
    # the median of 3000 chi-square values scatters by 4.3 %, and neighbours share points
    assert_close(np.mean(scales), 1.0, atol=4 * 0.06 / np.sqrt(20), because="mean of 20 medians of 3000 values")
    y = rng.poisson(200.0, 3000).astype(float)
    ten, plain = counting_scale(10 * y), counting_scale(y)
    assert ten is not None
    assert plain is not None
    assert_close(ten, 10 * plain, rtol=1e-12, because="variance of c·N is c times c·N")
    assert counting_scale(np.full(3000, 200.0)) == 0.0
    assert counting_scale(y[:30]) is None


def test_whole_numbers_of_unknown_unit_are_counts_only_if_they_scatter_like_counts() -> None:
    unknown = replace(RAW, unit="arbitrary")
    assert judged(unknown).intensity_unit == "counts"
    scaled = judged(replace(unknown, intensity=np.round(10 * Y)))
    assert (scaled.intensity_unit, "XRD_SIGMA_SCATTER" in codes(scaled)) == ("arbitrary", True)
    ratio = np.median(scaled.sigma**2 / scaled.intensity)
    assert_close(ratio, 10.0, rtol=0.25, because="median of 800 correlated chi-square values")


def test_patterns_without_noise_say_so() -> None:
    smooth = judged(replace(RAW, unit="arbitrary", intensity=1e-3 * (X - 15.0)))
    assert "XRD_SIGMA_ASSUMED" in codes(smooth)
    assert (smooth.sigma > 0).all()


def test_given_deviations_are_kept_and_zeros_among_them_do_not_get_infinite_weight() -> None:
    sigma = np.sqrt(Y)
    sigma[3] = 0.0
    pattern = judged(replace(RAW, sigma=sigma))
    assert pattern.sigma[3] == sigma.max()
    assert pattern.sigma[4] == sigma[4]
    assert "XRD_SIGMA_ZERO" in codes(pattern)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"two_theta": X[:4], "intensity": Y[:4]}, "4 point"),
        ({"intensity": Y[:-1]}, "801 angles and 800 intensities"),
        ({"intensity": np.where(X > 25, np.nan, Y)}, "nan"),
        ({"two_theta": np.where(X > 25, np.inf, X)}, "inf"),
        ({"intensity": np.where(X > 25, 1e36, Y)}, "1e+36"),
        ({"intensity": np.where(X > 25, -3.0, Y)}, "a count of -3"),
        ({"intensity": np.zeros(len(X))}, "every intensity is zero"),
        ({"two_theta": np.append(X[:400], X[:401])}, "does not increase"),
        ({"two_theta": X + 256.0}, "the axis runs from 276"),
        ({"two_theta": X - 60.0}, "the axis runs from -40"),
        ({"not_powder": "a rocking curve"}, "rocking"),
        ({"sigma": np.zeros(len(X))}, "no standard deviation"),
        ({"sigma": np.ones(3)}, "incomplete"),
        ({"unit": "cps", "counting_time_s": 0.0}, "counting time of 0 s"),
    ],
)
def test_refusals_name_file_place_and_value(change: dict[str, object], word: str) -> None:
    with pytest.raises(ReadError) as caught:
        judged(replace(RAW, **change))  # type: ignore[arg-type]  # fields by name, one per case
    assert word in caught.value.reason
    assert caught.value.file == "a.xy"
    assert caught.value.place.startswith("scan 0")


def test_descending_scans_are_turned_with_all_that_belongs_to_them() -> None:
    factor = np.linspace(1, 3, len(X))
    down = replace(RAW, two_theta=X[::-1], intensity=Y[::-1], attenuation=factor[::-1])
    pattern = judged(down)
    np.testing.assert_array_equal(pattern.two_theta, X)
    np.testing.assert_array_equal(pattern.sigma, judged(replace(RAW, attenuation=factor)).sigma)
    assert "XRD_SCAN_DESCENDING" in codes(pattern)


def test_angles_below_zero_are_kept_and_noted() -> None:
    assert "XRD_NEGATIVE_ANGLE" in codes(judged(replace(RAW, two_theta=X - 21.0)))


def test_reflectivity_is_told_from_a_pattern() -> None:
    x = two_theta_grid(0.2, 0.005, 1200)
    fall = np.round(1e6 * np.minimum(1.0, (0.4 / x) ** 4))
    with pytest.raises(ReadError, match="reflectivity"):
        judged(replace(RAW, two_theta=x, intensity=fall))
    short = judged(replace(RAW, two_theta=x, intensity=fall, emission_lines=(EmissionLine(wavelength=0.2),)))
    assert len(short) == 1200, "at 0.2 Å reflections stand below 12°"


def test_a_list_of_lines_is_noted() -> None:
    lines = np.array([10.8, 22.9, 25.9, 28.1, 31.8, 32.2, 32.9, 34.0, 39.8, 46.7])
    pattern = judged(replace(RAW, two_theta=lines, intensity=100 * np.ones(10)))
    assert "XRD_UNEVEN_STEP" in codes(pattern)


def test_subtracted_background_is_noted() -> None:
    pattern = judged(replace(RAW, unit="arbitrary", intensity=Y - 150.0))
    assert "XRD_NEGATIVE_INTENSITY" in codes(pattern)


def test_padding_at_the_end_is_noted_with_the_range_to_use() -> None:
    padded = Y.copy()
    padded[-3:] = 0
    (note,) = note_ends(X, padded)
    assert note.facts["two_theta_max"] == X[-4]
    assert note_ends(X, Y) == []


def test_wild_points_are_found_and_lines_are_not() -> None:
    sigma = np.sqrt(np.maximum(Y, 1))
    assert note_wild_points(X, Y, sigma) == []
    for value in (Y[40] + 12 * sigma[40] + 20, 40.0 * Y.max(), 0.0):
        damaged = Y.copy()
        damaged[40] = value
        (note,) = note_wild_points(X, damaged, sigma)
        assert note.facts["two_theta"] == X[40]


def test_wild_points_of_pure_poisson_noise_are_as_rare_as_eight_sigma() -> None:
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(100):
        y = rng.poisson(100.0, 2000).astype(float)
        false += bool(note_wild_points(two_theta_grid(10, 0.02, 2000), y, np.sqrt(np.maximum(y, 1))))
    low, high = binomial_band(100, 0.005)
    assert max(low, 0) <= false / 100 <= high


def test_uneven_steps() -> None:
    assert note_steps(X) == []
    assert note_steps(np.round(two_theta_grid(3, 0.0155922, 2374), 3)) == []
    flat_detector = np.degrees(np.arctan(np.linspace(0.01, 0.6, 1500)))
    assert note_steps(flat_detector) == [], "a step that changes steadily is regular"
    shifted = X.copy()
    shifted[100] += 0.005
    (note,) = note_steps(shifted)
    assert abs(float(note.facts["two_theta"]) - X[100]) < 0.03


def test_ends_of_cut_texts() -> None:
    assert note_unusual_end(two_theta_grid(10, 0.02, 3501)) == []
    assert note_unusual_end(two_theta_grid(10, 0.02, 3401 + 13))
    assert note_unusual_end(two_theta_grid(10.213, 0.02, 3401 + 13)) == [], "such a start says nothing about the end"
    assert note_open_end(b"1 2\n3 4") != []
    for whole in (b"1 2\n3 4\n", b"1 2\r3 4\r", b"1 2\r\n3 4\r\n", "1 2\n3 4\n".encode("utf-16-le")):
        assert note_open_end(whole) == []
    assert note_open_end(b"1 2\r\n3 4\r") != []
