"""Run lengths of control charts: how soon a drift is found, how often a stable instrument is blamed.

``python -m benchmarks.drift`` simulates check runs of a stable and of a drifting quantity (0.5, 1, 2 standard
deviations a month, in runs on each working day or once a week). Mean and standard deviation are known, or those of a
baseline of 20, 50 or 100 runs. The rules are those of ``xrdcomp.instrument.control``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.report import Row, at_most, between, machine, put_into_page, shortfalls, write_rows
from xrdcomp.instrument.control import CUSUM_LIMIT, DRIFTING, REJECTING, cusum, westgard
from xrdcomp.units import FloatArray

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "qc.md"
SEED = 18
LONGEST = 4000
"""Runs after which a stable instrument is no longer followed."""
RATES = {"each working day": 21.0, "once a week": 30.4375 / 7.0}
"""Check runs a month."""
DRIFTS = (0.5, 1.0, 2.0)
BASELINES = (None, 100, 50, 20)
SETS = {"out of control": REJECTING, "CUSUM": ("cusum",), "drifts": DRIFTING}
"""What is asked of a chart: the rules behind a state, any of which tells."""


@dataclass(frozen=True, kw_only=True)
class RunLengths:
    """Runs until each set of rules told for the first time; NaN where none did."""

    first: dict[str, FloatArray]
    longest: int

    def mean(self, name: str) -> float:
        """Mean run length, those that were cut off counted as an exponential law has it."""
        found = self.first[name]
        told = int(np.isfinite(found).sum())
        return float(np.where(np.isfinite(found), found, self.longest).sum()) / max(told, 1)

    def quantile(self, name: str, share: float) -> float:
        """Run length that this share does not exceed; infinite where fewer were told."""
        found = np.where(np.isfinite(self.first[name]), self.first[name], np.inf)
        return float(np.quantile(found, share, method="higher"))

    def share_within(self, name: str, runs: float) -> float:
        """Share of the charts on which the set told within some runs."""
        return float((self.first[name] <= runs).mean())


def run_lengths(drift_per_run: float, baseline: int | None, charts: int, longest: int, seed: int) -> RunLengths:
    """Simulate `charts` with a drift that begins with the first run that is judged."""
    rng = np.random.default_rng([SEED, seed])
    first = {name: np.full(charts, np.nan) for name in SETS}
    for chart in range(charts):
        mean, std = 0.0, 1.0
        if baseline is not None:
            base = rng.normal(size=baseline)
            mean, std = float(base.mean()), float(base.std(ddof=1))
        runs = rng.normal(size=longest) + drift_per_run * np.arange(1, longest + 1)
        scores = (runs - mean) / std
        broken = {name: found[:1] for name, found in westgard(scores).items()}
        broken["cusum"] = np.flatnonzero(np.maximum(*cusum(scores)) > CUSUM_LIMIT)[:1]
        for name, rules in SETS.items():
            hits = np.concatenate([broken[rule] for rule in rules])
            if len(hits):
                first[name][chart] = hits.min() + 1
    return RunLengths(first=first, longest=longest)


def stable(charts: int) -> tuple[list[Row], str]:
    """False alarms: mean run length, and share of charts with one within a year of weekly runs."""
    lines = ["| baseline | out of control | CUSUM | drifts (CUSUM, 4-1s or 10x) |", "|---|---|---|---|"]
    rows = []
    for number, baseline in enumerate(BASELINES):
        found = run_lengths(0.0, baseline, charts, LONGEST, number)
        name = "known mean and s" if baseline is None else f"{baseline} runs"
        cells = [f"{found.mean(kind):.0f} ({100 * found.share_within(kind, 52):.0f} %)" for kind in SETS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        title = f"runs to a false alarm, {name}"
        rows += [Row(name=f"{title}, {kind}", value=found.mean(kind), unit="runs") for kind in SETS]
        if baseline is None:
            told = found.mean("CUSUM")
            # ISO 7870-4: 465; the mean of 2000 exponential lengths is known to 1/√2000, three of which are 7 %
            low, high = 465.0 * (1.0 - 3.0 / charts**0.5), 465.0 * (1.0 + 3.0 / charts**0.5)
            rows.append(
                between("CUSUM, known mean and s, against 465 of theory", told, round(low), round(high), "runs")
            )
    return rows, "\n".join(lines)


def drifting(charts: int) -> tuple[list[Row], str]:
    """Run lengths to a found drift: median and 95 % quantile, in runs and in months."""
    head = (
        "| drift, s per month | check runs | baseline | drift reported, median | drift reported, 95 % "
        "| out of control, median |"
    )
    lines = [head, "|---|---|---|---|---|---|"]
    rows = []
    number = 100
    for drift in DRIFTS:
        for rate, per_month in RATES.items():
            longest = int(12.0 / drift * per_month)  # until the mean is off by 12
            for baseline in (None, 20):
                number += 1
                found = run_lengths(drift / per_month, baseline, charts, longest, number)
                name = "known" if baseline is None else f"{baseline} runs"
                told, late, out = (
                    found.quantile(kind, share)
                    for kind, share in (("drifts", 0.5), ("drifts", 0.95), ("out of control", 0.5))
                )
                cells = [f"{runs:.0f} runs, {runs / per_month:.1f} months" for runs in (told, late, out)]
                lines.append(f"| {drift:g} | {rate} | {name} | {' | '.join(cells)} |")
                title = f"drift {drift:g} s a month, {rate}, baseline {name}"
                months = late / per_month
                # where the mean is off by 4, five of six runs break 1-3s by themselves: drift must be told before
                bar = 4.0 / drift
                rows += [
                    Row(name=f"{title}: median", value=told, unit="runs"),
                    at_most(f"{title}: 95 % told within", months, bar, "months"),
                ]
    return rows, "\n".join(lines)


def main() -> int:
    """Run everything; the exit code says whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--charts", type=int, default=2000)
    charts = parser.parse_args().charts
    alarms, first = stable(charts)
    delays, second = drifting(charts)
    rows = [*alarms, *delays]
    write_rows("drift", rows, machine(charts=charts, seed=SEED))
    told = (
        f"Made by `python -m benchmarks.drift --charts {charts}`, seed {SEED}: {charts} charts per row.\n\n"
        "Mean number of runs until a false alarm for a stable instrument and, in brackets, the share of charts with "
        f"one within 52 runs:\n\n{first}\n\n"
        f"Time until a drift that begins after the baseline is reported:\n\n{second}"
    )
    put_into_page(PAGE, "drift", told)
    print(told)
    return 1 if shortfalls(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
