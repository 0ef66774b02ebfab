"""Write the tables of xrdcomp/physics/data. Needs gemmi, xraylib and xraydb in an environment of its own.

    python -m benchmarks.make_scattering_tables xrdcomp/physics/data

- elements.csv      atomic weight; coherent form factor coefficients of International Tables C (1992),
                    section 6.1.1.4, as gemmi ships them (MPL-2.0 program, published numbers).
- anomalous.npz     f', f'' by the method of Cromer & Liberman (1981), as gemmi computes it.
- incoherent.npz    incoherent scattering functions of Hubbell et al., J. Phys. Chem. Ref. Data 4 (1975) 471,
                    as xraylib tabulates them.
- attenuation.npz   mass attenuation of Elam, Ravel & Sieber, Radiat. Phys. Chem. 63 (2002) 121, as xraydb
                    tabulates it.

The two energy tables are halved until linear (f', f'') or log-log (attenuation) interpolation holds, and
down to half an electronvolt at absorption edges.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import xraydb
import xraylib

LAST_ELEMENT = 92
ENERGY_EV = (4000.0, 60000.0, 130000.0)  # laboratory tubes, then synchrotrons: 3.10, 0.207 and 0.0954 ångström
START_POINTS = (33, 9)
STEP_AT_EDGE_EV = 0.5
S_GRID = 6.0 * np.linspace(0.0, 1.0, 181) ** 2  # sin(theta)/lambda, dense where the functions bend


def refine(
    values: Callable[[np.ndarray], np.ndarray], bad: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Energies and values in each range, halved until interpolation holds; the ranges are joined, not mixed."""
    parts = [_refined(values, bad, np.geomspace(low, high, points))
             for low, high, points in zip(ENERGY_EV, ENERGY_EV[1:], START_POINTS, strict=False)]  # fmt: skip
    joined = [parts[0], *((energy[1:], table[1:]) for energy, table in parts[1:])]
    return np.concatenate([energy for energy, _ in joined]), np.concatenate([table for _, table in joined])


def _refined(
    values: Callable[[np.ndarray], np.ndarray], bad: Callable[[np.ndarray, np.ndarray], np.ndarray], energy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    table = values(energy)
    while True:
        middle = 0.5 * (energy[1:] + energy[:-1])
        true = values(middle)
        linear = 0.5 * (table[1:] + table[:-1])
        split = bad(true, linear) & (np.diff(energy) > STEP_AT_EDGE_EV)
        if not split.any():
            return energy, table
        energy = np.concatenate([energy, middle[split]])
        table = np.concatenate([table, true[split]])
        order = np.argsort(energy)
        energy, table = energy[order], table[order]


def pack(name: Path, entries: list[tuple[np.ndarray, np.ndarray]], columns: tuple[str, ...]) -> None:
    start = np.cumsum([0] + [len(e) for e, _ in entries])
    table = np.concatenate([v for _, v in entries])
    arrays: dict[str, Any] = {column: table[:, i].astype(np.float32) for i, column in enumerate(columns)}
    energy = np.concatenate([e for e, _ in entries])
    np.savez_compressed(name, start=start, energy_ev=energy, **arrays)
    print(name.name, len(energy), "rows", name.stat().st_size, "bytes")


def hubbell(z: int, s: float) -> float:
    """S(s), continued as s squared below the first tabulated point."""
    first = 0.001
    if s >= first:
        return float(xraylib.SF_Compt(z, s))
    return float(xraylib.SF_Compt(z, first)) * (s / first) ** 2


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    elements = [gemmi.Element(z) for z in range(1, LAST_ELEMENT + 1)]
    lines = ["element,atomic_number,atomic_weight,a1,a2,a3,a4,b1,b2,b3,b4,c"]
    for element in elements:
        f = element.it92
        numbers = ",".join(f"{x:g}" for x in (*f.a, *f.b, f.c))
        lines.append(f"{element.name},{element.atomic_number},{element.weight:g},{numbers}")
    (folder / "elements.csv").write_text("\n".join(lines) + "\n")

    def f1f2(z: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda ev: np.array([gemmi.cromer_liberman(z, float(e)) for e in ev])

    dispersion = [
        refine(f1f2(e.atomic_number), lambda t, v: (np.abs(t - v) > 0.01 + 0.001 * np.abs(t)).any(axis=1))
        for e in elements
    ]
    pack(folder / "anomalous.npz", dispersion, ("f1", "f2"))

    def log_mu(symbol: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda ev: np.log(np.asarray(xraydb.mu_elam(symbol, ev)))[:, None]

    attenuation = [refine(log_mu(e.name), lambda t, v: (np.abs(t - v) > 0.002).any(axis=1)) for e in elements]
    pack(folder / "attenuation.npz", attenuation, ("log_mu",))

    compton = np.array([[hubbell(e.atomic_number, float(s)) for s in S_GRID] for e in elements])
    np.savez_compressed(folder / "incoherent.npz", s=S_GRID, function=compton.astype(np.float32))
    print("incoherent.npz", compton.shape)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
