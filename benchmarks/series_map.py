"""Synthetic maps of two phases for studies of series: amounts, cell and displacement change from place to place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrdcomp.data import EmissionLine, Instrument
from xrdcomp.phases.library import load_phase
from xrdcomp.refinement.reflections import PhaseReflections
from xrdcomp.units import FloatArray

LINES = (EmissionLine(wavelength=1.5405929), EmissionLine(wavelength=1.5444274, weight=0.5))
INSTRUMENT = Instrument(emission_lines=LINES)
NODES = 9
"""Cells of the main phase between which a map is interpolated; to 1e-4 of a count at these steps."""


def two_theta(n: int = 2501) -> FloatArray:
    """Angles of every pattern."""
    return np.linspace(20.0, 70.0, n)


def _pure(phase: str, x: FloatArray, **values: float) -> FloatArray:
    optics = {"sample_displacement_mm": 0.02, "axial_divergence": 0.03, "caglioti_w": 0.004, **values}
    cell = load_phase(phase).cell
    own = {f"{phase}_a": cell.a, f"{phase}_c": cell.c, f"{phase}_inverse_size_a": 0.02, f"{phase}_inverse_size_c": 0.02}
    lines = PhaseReflections.freeze(load_phase(phase), INSTRUMENT, x, {**own, **optics})
    curve, _ = lines.pattern({**own, **optics})
    found: FloatArray = curve / curve.max()
    return found


def expected(shape: Sequence[int], x: FloatArray, *, counts: float = 2000.0) -> tuple[FloatArray, FloatArray]:
    """Curves whose mixture every pattern is, (curves, n), and their amounts at every place, (places, curves)."""
    cell = load_phase("fluorapatite").cell
    grown = np.linspace(-0.004, 0.004, NODES)
    apatites = [_pure("fluorapatite", x, fluorapatite_a=cell.a + d, fluorapatite_c=cell.c) for d in grown]
    curves = np.array([*apatites, _pure("calcite", x), np.ones_like(x)])
    axes = np.meshgrid(*(np.linspace(0.0, 1.0, k) for k in shape), indexing="ij")
    first, last = axes[0].ravel(), axes[-1].ravel()
    at = (NODES - 1) * (0.5 + 0.45 * np.sin(2.0 * np.pi * last) * np.cos(np.pi * first))
    low = np.minimum(at.astype(int), NODES - 2)
    amounts = np.zeros((len(first), len(curves)))
    places = np.arange(len(first))
    apatite = counts * (0.3 + 0.6 * first)
    amounts[places, low], amounts[places, low + 1] = apatite * (low + 1 - at), apatite * (at - low)
    amounts[:, NODES], amounts[:, NODES + 1] = counts * (0.1 + 0.4 * (1.0 - last)), 0.03 * counts
    return curves, amounts


def write_map(path: Path, shape: Sequence[int], *, n: int = 2501, seed: int = 1, block: int = 2000) -> Path:
    """Write a map or a series as NeXus: counts (rows, columns, n) as uint16 with its axes, block by block."""
    import h5py

    x = two_theta(n)
    curves, amounts = expected(shape, x)
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        names = [*(("y", "x") if len(shape) == 2 else ("temperature",)), "two_theta"]
        data.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": names})
        data.create_dataset("two_theta", data=x).attrs["units"] = "deg"
        for name, size in zip(names, shape, strict=False):
            along: Any = np.arange(size) * 2.0 if len(shape) == 2 else np.linspace(25.0, 900.0, size)
            data.create_dataset(name, data=along).attrs["units"] = "um" if len(shape) == 2 else "C"
        beam = entry.create_group("beam")
        lengths = beam.create_dataset("incident_wavelength", data=[line.wavelength for line in LINES])
        lengths.attrs["units"] = "angstrom"
        beam.create_dataset("incident_wavelength_weights", data=[line.weight for line in LINES])
        whole = data.create_dataset("counts", shape=(*shape, n), dtype="uint16")
        width = int(shape[-1]) if len(shape) == 2 else 1
        lines = max(block // width, 1)
        for first in range(0, len(amounts), lines * width):
            part = slice(first, first + lines * width)
            drawn = np.random.default_rng([seed, first]).poisson(amounts[part] @ curves).astype(np.uint16)
            start = first // width
            whole[start : start + len(drawn) // width] = drawn.reshape(-1, *shape[1:], n)
    return path
