"""Assertions whose tolerance carries its reason, and what scripts may rely on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SCAN_KEYS = {*("n_points", "two_theta_min", "two_theta_max", "intensity_max", "intensity_unit", "wavelengths", "axis")}
SEGMENT_KEYS = {
    *("n_points", "temperature_min_C", "temperature_max_C", "mass_start_mg", "mass_unit_in_file", "duration_s")
}
"""Keys of one scan and of one segment that ``xrdcomp inspect --format json`` prints, no more and no less."""


def assert_close(
    actual: npt.ArrayLike, expected: npt.ArrayLike, *, because: str, atol: float = 0.0, rtol: float = 0.0
) -> None:
    """Compare within a tolerance that `because` justifies."""
    assert because, "a tolerance needs its reason"
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=rtol, err_msg=because)


def binomial_band(n: int, p: float, *, z: float = 3.0) -> tuple[float, float]:
    """Band that a share out of n with true probability p stays in with z standard deviations (3: 99.7 %)."""
    half = z * np.sqrt(p * (1 - p) / n)
    return p - half, p + half
