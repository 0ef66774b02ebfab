"""Statistical control of one quantity of a check standard: Westgard rules for errors, a tabular CUSUM for drift.

A run's score is z = (x - m) / s with mean m and standard deviation s of the baseline: the first runs, and again the
first ones after each service. Runs of the baseline are not judged, excluded runs neither judged nor counted. Rates of
false alarms and run lengths to a found drift are those of ``benchmarks/drift.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xrdcomp.results import ControlChart, ControlState
from xrdcomp.units import FloatArray, IntArray

BASELINE_RUNS = 20
"""Runs that a baseline has at least: as many as Levey-Jennings charts are begun with [Westgard 1981]."""
CUSUM_SLACK, CUSUM_LIMIT = 0.5, 5.0
"""k and h of the tabular CUSUM, in standard deviations: half of the shift of 1 that is sought, and 465 runs between
false alarms of both sides together where mean and standard deviation are known [Montgomery, Statistical Quality
Control; ISO 7870-4]."""
RULES: Mapping[str, str] = {
    "1_2s": "one run beyond 2 standard deviations",
    "1_3s": "one run beyond 3 standard deviations",
    "2_2s": "two successive runs beyond 2 standard deviations on one side",
    "R_4s": "two successive runs more than 4 standard deviations apart, each beyond 2",
    "4_1s": "four successive runs beyond 1 standard deviation on one side",
    "10_x": "ten successive runs on one side of the mean",
    "cusum": "cumulative sum of deviations beyond 5 standard deviations",
}
"""Rules of Westgard et al. (1981), Clin. Chem. 27, 493, and the CUSUM, with what each asks."""
REJECTING = ("1_3s", "2_2s", "R_4s")
"""Rules that say that a run is out of control; the others, but 1_2s, which only calls for attention, tell drift."""
DRIFTING = ("4_1s", "10_x", "cusum")
_MONTH_S = 30.4375 * 86400.0


def westgard(scores: FloatArray) -> dict[str, IntArray]:
    """Numbers of the runs at which each Westgard rule is broken, for scores in the order of time."""

    def together(holds: np.ndarray, runs: int) -> np.ndarray:
        """True where the condition holds for this run and those before it, `runs` together."""
        found = holds.copy()
        for back in range(1, runs):
            found[back:] &= holds[:-back]
            found[:back] = False
        return found

    above, below = scores > 2.0, scores < -2.0
    opposite = np.zeros(len(scores), dtype=bool)
    opposite[1:] = (above[1:] & below[:-1]) | (below[1:] & above[:-1])
    broken = {
        "1_2s": above | below,
        "1_3s": np.abs(scores) > 3.0,
        "2_2s": together(above, 2) | together(below, 2),
        "R_4s": opposite,
        "4_1s": together(scores > 1.0, 4) | together(scores < -1.0, 4),
        "10_x": together(scores > 0.0, 10) | together(scores < 0.0, 10),
    }
    return {name: np.flatnonzero(found) for name, found in broken.items()}


def cusum(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Tabular CUSUM of scores: C+ = max(0, C+ + z - k) and C- = max(0, C- - z - k), after each run."""
    high, low = np.zeros(len(scores)), np.zeros(len(scores))
    up = down = 0.0
    for number, score in enumerate(scores.tolist()):
        up = max(0.0, up + score - CUSUM_SLACK)
        down = max(0.0, down - score - CUSUM_SLACK)
        high[number], low[number] = up, down
    return high, low


def control_chart(
    times: FloatArray,
    values: FloatArray,
    *,
    services: Mapping[float, str] | None = None,
    excluded: Mapping[int, str] | None = None,
    baseline_runs: int = BASELINE_RUNS,
    **names: str,
) -> ControlChart:
    """Chart of a quantity: `values` at `times` (seconds since 1970, in order).

    `services` are times after which a baseline begins anew, with what was done; `excluded` are numbers of runs that do
    not count, with the reason. `names` are ``instrument``, ``standard``, ``quantity`` and ``unit``.
    """
    services, excluded = dict(sorted((services or {}).items())), excluded or {}
    n = len(values)
    counted = np.ones(n, dtype=bool)
    counted[list(excluded)] = False
    centre, spread, scores, up, down = (np.full(n, np.nan) for _ in range(5))
    baseline = np.zeros(n, dtype=bool)
    broken: dict[str, list[int]] = {name: [] for name in RULES}
    segment = np.searchsorted(np.array(list(services)), times, side="right")
    last = int(segment[-1]) if n else 0
    for number in np.unique(segment):
        here = np.flatnonzero(segment == number)
        valid = here[counted[here]]
        first, judged = valid[:baseline_runs], valid[baseline_runs:]
        baseline[first] = True
        if len(first) < baseline_runs:
            continue
        mean, std = float(values[first].mean()), float(values[first].std(ddof=1))
        centre[here], spread[here] = mean, std
        if std <= 0.0 or std < 1e-12 * abs(mean):  # repeated numbers, not repeated measurements
            continue
        scores[here] = (values[here] - mean) / std
        for name, found in westgard(scores[judged]).items():
            broken[name] += judged[found].tolist()
        up[judged], down[judged] = cusum(scores[judged])
        broken["cusum"] += judged[np.maximum(up[judged], down[judged]) > CUSUM_LIMIT].tolist()
    state, slope, since, days = _state(times, scores, up, down, counted & ~baseline & (segment == last), broken)
    return ControlChart(
        **names,
        times=times, values=values, centre=centre, spread=spread, scores=scores, cusum_high=up, cusum_low=down,
        baseline=baseline, counted=counted, violations={name: tuple(found) for name, found in broken.items() if found},
        services=services, baseline_runs=baseline_runs, state=state, drift_per_month=slope, drift_since=since,
        days_to_limit=days,
    )  # fmt: skip


def _state(
    times: FloatArray,
    scores: FloatArray,
    up: FloatArray,
    down: FloatArray,
    judged: np.ndarray,
    broken: Mapping[str, list[int]],
) -> tuple[ControlState, float | None, float | None, float | None]:
    """State after the last run; of a drift its pace (standard deviations a month), its begin, and days until 3 s."""
    runs = np.flatnonzero(judged & np.isfinite(scores))
    if not len(runs):
        return "baseline", None, None, None
    now = int(runs[-1])
    rules = {name for name, found in broken.items() if found and found[-1] == now}
    if not rules & set(DRIFTING):
        if rules & set(REJECTING):
            return "out_of_control", None, None, None
        return ("attention" if rules else "in_control"), None, None, None
    state: ControlState = "out_of_control" if rules & set(REJECTING) else "drifting"
    sums = up[runs] if up[now] >= down[now] else -down[runs]
    zero = np.flatnonzero(sums == 0.0)
    since = runs[zero[-1] + 1 :] if len(zero) else runs  # a CUSUM leaves zero where the drift begins
    if len(since) < 3 or times[since[-1]] <= times[since[0]]:
        return state, None, float(times[since[0]]) if len(since) else None, None
    months = (times[since] - times[since[-1]]) / _MONTH_S
    slope, level = (float(x) for x in np.polyfit(months, scores[since], 1))
    sign = 1.0 if sums[-1] > 0 else -1.0
    days = (3.0 - sign * level) / (sign * slope) * 30.4375 if sign * slope > 0.0 else None
    return state, slope, float(times[since[0]]), None if days is None else max(days, 0.0)
