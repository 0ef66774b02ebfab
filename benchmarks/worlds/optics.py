"""A Bragg–Brentano diffractometer with Cu Kα: from a cross section to counts.

A thick flat specimen in symmetric reflection shows its cross section per gram times polarisation, times a constant that
its attenuation decides. What is added: beam that misses a short specimen, emission doublet, optical broadening,
displacement and zero shift, air scatter, fluorescence, counting noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.worlds.atoms import Array
from benchmarks.worlds.files import Scan

KALPHA1, KALPHA2 = 1.540593, 1.544427  # Å, Hölzer et al. (1997)


@dataclass(frozen=True, kw_only=True)
class Diffractometer:
    """One instrument and its scan; the file says nothing of monochromator, slits or specimen length.

    `graphite`: diffracted-beam monochromator, which also stops fluorescence. `covered_from` is the 2θ above which the
    beam stays on the specimen. `air`, `flat` and `fluorescence` are relative to the specimen's mean counts, the first
    at 10° and falling as (10° / 2θ)^`air_exponent`.
    """

    first: float = 5.0
    last: float = 80.0
    step: float = 0.02
    peak_counts: float = 5000.0
    radius_mm: float = 240.0
    displacement_mm: float = 0.0
    zero_shift: float = 0.0
    graphite: bool = False
    covered_from: float = 0.0
    fwhm: float = 0.08
    lorentzian: float = 0.4
    air: float = 0.2
    air_exponent: float = 1.5
    flat: float = 0.05
    fluorescence: float = 0.0

    @property
    def overflow(self) -> bool:
        """Whether the beam misses the specimen at the lowest angles of the scan."""
        return self.covered_from > self.first

    def facts(self) -> dict[str, Any]:
        return asdict(self) | {"overflow": self.overflow}


def draw_diffractometer(rng: np.random.Generator, *, overflow: float = 0.0) -> Diffractometer:
    """Draw an instrument; a share `overflow` of the specimens is shorter than the beam at low angles."""
    graphite = rng.random() < 0.4
    radius = float(rng.choice([150.0, 173.0, 217.5, 240.0, 280.0]))
    covered = 0.0
    if rng.random() < overflow:
        # length of the illuminated strip is divergence · R / sinθ: 1/2 to 1 degree on 10 to 20 mm
        divergence = np.radians(float(rng.choice([0.5, 0.6, 1.0])))
        covered = 2.0 * float(np.degrees(np.arcsin(divergence * radius / float(rng.uniform(10.0, 20.0)))))
    return Diffractometer(
        first=float(rng.choice([4.0, 5.0, 8.0, 10.0], p=(0.1, 0.6, 0.15, 0.15))),
        last=float(rng.choice([60.0, 70.0, 80.0, 90.0], p=(0.15, 0.3, 0.35, 0.2))),
        step=float(rng.choice([0.02, 0.03, 0.04])),
        peak_counts=float(np.exp(rng.uniform(np.log(800.0), np.log(20000.0)))),
        radius_mm=radius,
        displacement_mm=float(rng.normal(0.0, 0.06)),
        zero_shift=float(rng.normal(0.0, 0.012)),
        graphite=graphite,
        covered_from=covered,
        fwhm=float(rng.uniform(0.05, 0.14)),
        lorentzian=float(rng.uniform(0.1, 0.8)),
        air=float(np.exp(rng.uniform(np.log(0.03), np.log(0.6)))),
        air_exponent=float(rng.uniform(0.8, 2.2)),
        flat=float(rng.uniform(0.005, 0.1)),
        fluorescence=0.0 if graphite else float(rng.uniform(0.0, 0.12)),
    )


def polarisation(two_theta: Array, *, graphite: bool) -> Array:
    """Factor of an unpolarised beam, with a graphite analyser (26.6°) behind the specimen where there is one."""
    k = np.cos(np.radians(26.6)) ** 2 if graphite else 1.0
    return np.asarray((1.0 + k * np.cos(np.radians(two_theta)) ** 2) / (1.0 + k), dtype=np.float64)


def broadened(y: Array, step: float, fwhm: float, lorentzian: float) -> Array:
    """Convolve with a pseudo-Voigt of the optics; the ends are continued."""
    half = int(30.0 * fwhm / step)
    x = np.arange(-half, half + 1) * step
    gauss = np.exp(-4.0 * np.log(2.0) * (x / fwhm) ** 2)
    lorentz = 1.0 / (1.0 + 4.0 * (x / fwhm) ** 2)
    kernel = (1.0 - lorentzian) * gauss / gauss.sum() + lorentzian * lorentz / lorentz.sum()
    n = len(y) + 2 * half
    size = 1 << (n + 2 * half - 1).bit_length()
    padded = np.pad(y, half, mode="edge")
    whole = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(kernel, size), size)
    return np.asarray(whole[2 * half : 2 * half + len(y)], dtype=np.float64)


def expected(
    cross_section: Callable[[Array, float], Array], optics: Diffractometer, broaden: float | None = None
) -> tuple[Array, Array]:
    """2θ and the specimen's signal at full doublet weight, without background and noise.

    `cross_section(q, λ)` is in electron units per dalton, on the given q in Å⁻¹, which rise.
    """
    fine = optics.step / 2.0
    margin = 1.5
    axis = np.arange(max(optics.first - margin, 0.5), optics.last + margin, fine)
    theta = np.radians(axis / 2.0)
    signal = np.zeros_like(axis)
    for wavelength, weight in ((KALPHA1, 2.0 / 3.0), (KALPHA2, 1.0 / 3.0)):
        signal += weight * cross_section(4.0 * np.pi * np.sin(theta) / wavelength, wavelength)
    signal *= polarisation(axis, graphite=optics.graphite)
    if optics.covered_from > 0.0:
        signal *= np.minimum(1.0, np.sin(theta) / np.sin(np.radians(optics.covered_from / 2.0)))
    signal = broadened(signal, fine, broaden or optics.fwhm, optics.lorentzian)
    n = round((optics.last - optics.first) / optics.step) + 1
    observed = optics.first + optics.step * np.arange(n, dtype=np.float64)
    shift = optics.zero_shift - np.degrees(
        2.0 * optics.displacement_mm * np.cos(np.radians(observed / 2.0)) / optics.radius_mm
    )
    return np.asarray(observed, dtype=np.float64), np.asarray(
        np.interp(observed - shift, axis, signal), dtype=np.float64
    )


def exposed(two_theta: Array, signal: Array, optics: Diffractometer) -> tuple[Array, float]:
    """Expected counts of a specimen, the instrument's background included, and what its signal was multiplied by."""
    mean = float(signal.mean())
    background = optics.flat + optics.fluorescence + optics.air * (10.0 / two_theta) ** optics.air_exponent
    total = signal + mean * background
    scale = optics.peak_counts / float(total[two_theta > 15.0].max())
    return np.asarray(scale * total, dtype=np.float64), scale


def count(two_theta: Array, signal: Array, optics: Diffractometer, rng: np.random.Generator) -> Scan:
    """Add the instrument's background and count photons."""
    counts = rng.poisson(exposed(two_theta, signal, optics)[0]).astype(np.float64)
    return Scan(two_theta=two_theta, counts=counts, radius_mm=optics.radius_mm)
