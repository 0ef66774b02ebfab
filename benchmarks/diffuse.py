"""Crystals against amorphous matter from other sources: materials, geometries, components left out.

    python -m benchmarks.diffuse [--table materials,areas,geometries,subsets] [--seed 1301] [--dry]

Each table is printed and stored in ``docs/evidence/diffuse.md``. A specimen is apatite of bone beside amorphous matter
whose scattering was measured (points and form factors of others) or computed from pair distances; nothing of it is the
package's, but for the crystals of the geometries. It is counted to 10 000 in a diffractometer with ordinary air scatter
and analysed as a user would, blind but for what the table says was given.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.report import ROOT, put_into_page
from benchmarks.worlds.atoms import Array, compton
from benchmarks.worlds.debye import liquids
from benchmarks.worlds.debye import pattern as debye
from benchmarks.worlds.files import Scan, write_xy
from benchmarks.worlds.measured import halos
from benchmarks.worlds.measured.apatite import Mineral
from benchmarks.worlds.optics import Diffractometer, count, expected
from tests import diffuse_sources
from xrdcomp import Pattern, analyze
from xrdcomp.composition.compose import compose_evidence
from xrdcomp.composition.evidence import ThermalEvidence
from xrdcomp.physics.amorphous import AMORPHOUS, AREA_WINDOW, COPPER, halo_columns
from xrdcomp.recipe import FitRecipe, Recipe
from xrdcomp.refinement.model import DEFAULT_AMORPHOUS
from xrdcomp.results import Composition, SampleResult
from xrdcomp.stages import fit_pattern
from xrdcomp.units import CO2_PER_CARBONATE

PAGE = ROOT / "docs" / "evidence" / "diffuse.md"
HA, OPTICS = "crystalline_hydroxyapatite", Diffractometer(peak_counts=10_000.0)
BONE = Mineral(
    tissue="bone", length_c_nm=25.0, length_a_nm=8.0, a=9.42, c=6.885, strain=0.002, mixing=0.5, extra_b=0.2,
    carbonate=0.05,
)  # fmt: skip


BARE = 1.0 - BONE.carbonate  # hydroxyapatite of the mineral, carbonate being counted apart


@cache
def curve_of(material: str, source: str, seed: int) -> Callable[[Array], Array]:
    """Coherent and incoherent scattering of a material, electron units per dalton, as a function of q (Å⁻¹)."""
    if source == "form factors":
        name = {"lipid": "adipose"}.get(material, material)
        formula = {"water": {"H": 2, "O": 1}, "lipid": {"C": 57, "H": 104, "O": 6}, "pmma": {"C": 5, "H": 8, "O": 2}}
        atoms: dict[str, float] = dict(formula.get(material, {"C": 16, "H": 14, "O": 3}))
        own = diffuse_sources.triglyceride if material == "lipid" else lambda q: diffuse_sources.measured(name, q)
        return lambda q: own(q) + compton(atoms, q)
    if source == "points":
        known_as = halos.MATERIALS[material]
        return halos.Halo(material=known_as, area=known_as.area, stretch=1.0, contrast=1.0).intensity
    batch = seed % debye.BATCHES
    known = {"water": debye.water_batch, "acp": debye.phosphate_batch}
    y = known[material](batch) if material in known else liquids.melt(material, 1 + batch)
    return lambda q: np.asarray(np.interp(q, liquids.Q, y), dtype=np.float64)


def specimen(
    apatite: float,
    matter: dict[str, float],
    source: str,
    seed: int,
    *,
    optics: Diffractometer = OPTICS,
    seen: Callable[[Array], Array] = np.ones_like,
    mineral: Mineral = BONE,
) -> Scan:
    """Scan of `mineral` and other matter by mass fraction; `seen` is what geometry leaves of the signal at 2θ."""

    def cross_section(q: Array, _: float) -> Array:
        total = apatite * (mineral.bragg(q) + mineral.diffuse(q)) if apatite > 0.0 else np.zeros_like(q)
        for name, mass in matter.items():
            total = total + mass * curve_of(name, source, seed)(q)
        return np.asarray(total, dtype=np.float64)

    two_theta, signal = expected(cross_section, optics)
    return count(two_theta, signal * seen(two_theta), optics, np.random.default_rng([7, seed]))


def blind(scan: Scan, **settings: Any) -> SampleResult:
    """Analysis of tissue by X-rays alone."""
    recipe = Recipe().with_settings({"specimen.kind": "tissue"} | settings)
    found: SampleResult = analyze(_pattern(scan), recipe=recipe)
    return found


def _pattern(scan: Scan) -> Pattern:
    sigma = np.sqrt(np.maximum(scan.counts, 1.0))
    return Pattern(two_theta=scan.two_theta, intensity=scan.counts, sigma=sigma, intensity_unit="counts")


_EXACT = 1e-4  # mass fraction, to which ends of intervals count: draws do not reach zero


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Error of a component in wt%, half its 95 % interval, and whether that holds the truth."""

    error: float
    half_width: float
    inside: bool

    @classmethod
    def of(cls, composition: Composition, truth: float, name: str = HA) -> Judged | None:
        estimate = composition.components[name]
        if estimate is None or estimate.ci95 is None:
            return None
        inside = estimate.low - _EXACT <= truth <= estimate.high + _EXACT
        half_width = 50.0 * (estimate.high - estimate.low)
        return cls(error=100.0 * (estimate.value - truth), half_width=half_width, inside=inside)

    def __str__(self) -> str:
        return f"{self.error:+.1f} ± {self.half_width:.1f}{'' if self.inside else ' **missed**'}"


MATERIALS = (
    *(("form factors", name) for name in ("water", "lipid", "pmma", "polycarbonate")),
    *(("points", name) for name in ("water", "lipid", "pmma", "collagen", "keratin", "acp")),
    *(("pair distances", name) for name in ("water", "lipid", "collagen", "keratin", "acp")),
)


def materials(seed: int, which: Iterable[tuple[str, str]] = MATERIALS) -> list[tuple[str, str, list[Judged | None]]]:
    """Material, source, and apatite at 30 and 50 wt% beside it."""
    found = []
    for source, material in which:
        row = []
        for apatite in (0.3, 0.5):
            result = blind(specimen(apatite, {material: 1.0 - apatite}, source, seed))
            row.append(Judged.of(result.composition, BARE * apatite))
        found.append((material, source, row))
    return found


STANDS_FOR = {
    "pmma": "polymer", "polycarbonate": "polymer", "collagen": "protein", "keratin": "protein",
    "acp": "amorphous_calcium_phosphate",
}  # fmt: skip


def areas(seed: int) -> list[tuple[str, ...]]:
    """Material, source, its area from 0.7 to 4.1 Å⁻¹ over the package's, and by how much apatite over matter is off.

    That is of the fit alone, with the one component that stands for the material and with all, where area alone would
    put it off by the first figure less one; the apatite (50 wt%) has no carbonate.
    """
    found = []
    for source, material in MATERIALS:
        own, q = STANDS_FOR.get(material, material), np.linspace(*AREA_WINDOW, 400)
        area = np.trapezoid(curve_of(material, source, seed)(q), q)
        area /= np.trapezoid(halo_columns(AMORPHOUS[own], q, COPPER).per_gram, q)
        scan = specimen(0.5, {material: 0.5}, source, seed, mineral=replace(BONE, carbonate=0.0))
        off = []
        for names in ((own,), None):
            fitted = fit_pattern(_pattern(scan), ["hydroxyapatite"], recipe=FitRecipe(amorphous=names)).amounts
            crystals = np.array(fitted.crystalline)
            off.append(float(fitted.amounts[crystals].sum() / max(fitted.amounts[~crystals].sum(), 1e-9)) - 1.0)
        told = ("" if abs(one) > 1.0 else f"{100.0 * one:+.0f} %" for one in off)
        found.append((material, source, f"{area:.2f}", *told))
    return found


def _through(two_theta: Array, incidence: float, mu_t: float) -> Array:
    """Share that a plate of μt lets through: paths summed over its depth."""
    depth, before = np.linspace(0.0, 1.0, 401), np.radians(90.0 - incidence)
    after = np.cos(np.radians(two_theta) - before)
    path = depth[:, None] / np.cos(before) + (1.0 - depth[:, None]) / after
    return np.asarray(np.exp(-mu_t * path).mean(axis=0), dtype=np.float64)


def _sine(degrees: Array) -> Array:
    return np.asarray(np.sin(np.radians(degrees)), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What is `seen` of a thick specimen's signal, the settings that say so, and the last angle of the scan."""

    seen: Callable[[Array], Array]
    settings: dict[str, Any]
    last: float = 80.0


GEOMETRIES = {
    "plate normal to the beam, μt 1": Geometry(
        seen=lambda x: _through(x, 90.0, 1.0),
        settings={"geometry": "transmission", "incidence_angle": 90.0, "absorption_radius": 1.0},
        last=65.0,
    ),
    "plate normal to the beam, μt 2": Geometry(
        seen=lambda x: _through(x, 90.0, 2.0),
        settings={"geometry": "transmission", "incidence_angle": 90.0, "absorption_radius": 2.0},
        last=65.0,
    ),
    "oblique plate, 75°, μt 1": Geometry(
        seen=lambda x: _through(x, 75.0, 1.0),
        settings={"geometry": "transmission", "incidence_angle": 75.0, "absorption_radius": 1.0},
        last=65.0,
    ),
    "fixed incidence, 5°": Geometry(
        seen=lambda x: 2.0 / (1.0 + _sine(np.full_like(x, 5.0)) / _sine(x - 5.0)), settings={"incidence_angle": 5.0}
    ),
    "fixed incidence, 10°": Geometry(
        seen=lambda x: 2.0 / (1.0 + _sine(np.full_like(x, 10.0)) / _sine(x - 10.0)), settings={"incidence_angle": 10.0}
    ),
    "layer, μt 0.2": Geometry(seen=lambda x: 1.0 - np.exp(-0.4 / _sine(x / 2.0)), settings={"absorption_radius": 0.2}),
    "layer, μt 0.05": Geometry(
        seen=lambda x: 1.0 - np.exp(-0.1 / _sine(x / 2.0)), settings={"absorption_radius": 0.05}
    ),
    "15 mm under a slit of 1°": Geometry(
        seen=lambda x: np.minimum(1.0, _sine(x / 2.0) * 15.0 / (np.radians(1.0) * 240.0)),
        settings={"specimen_length_mm": 15.0, "equatorial_divergence": 1.0, "radius_mm": 240.0},
    ),
    "10 mm under a slit of 1°": Geometry(
        seen=lambda x: np.minimum(1.0, _sine(x / 2.0) * 10.0 / (np.radians(1.0) * 240.0)),
        settings={"specimen_length_mm": 10.0, "equatorial_divergence": 1.0, "radius_mm": 240.0},
    ),
}
SYMPTOMS = {"XRD_APATITE_B_TILTED", "XRD_GEOMETRY_SHOWS", "XRD_AMORPHOUS_OF_OTHER_KIND", "XRD_POOR_FIT"}


def geometries(
    seed: int, which: Iterable[str] = tuple(GEOMETRIES)
) -> list[tuple[str, Judged | None, Judged | None, str]]:
    """Geometry, apatite at 60 wt% with it given and without, and what is said without."""
    found = []
    for name in which:
        geometry = GEOMETRIES[name]
        first = 12.0 if "incidence_angle" in geometry.settings else 8.0
        optics = Diffractometer(peak_counts=10_000.0, first=first, last=geometry.last)
        scan = specimen(0.6, {"collagen": 0.4}, "points", seed, optics=optics, seen=geometry.seen)
        given = blind(scan, **{f"instrument.{key}": value for key, value in geometry.settings.items()})
        untold = blind(scan)
        said = ", ".join(sorted({m.code for m in untold.messages} & SYMPTOMS))
        with_it, without = (Judged.of(result.composition, BARE * 0.6) for result in (given, untold))
        found.append((name, with_it, without, said))
    return found


SUBSETS = tuple(names for n in range(1, 5) for names in combinations(DEFAULT_AMORPHOUS, n))
SPECIMENS = {
    "dry": (0.6, {"collagen": 0.4}),
    "moist": (0.4, {"collagen": 0.25, "lipid": 0.05, "water": 0.2, "acp": 0.1}),
}


def weighed(apatite: float, matter: dict[str, float]) -> ThermalEvidence:
    """What thermogravimetry loses of such a specimen in air: amorphous mineral holds a tenth of its mass in water."""
    organic = sum(mass for name, mass in matter.items() if name not in ("water", "acp"))
    bound = 0.1 * matter.get("acp", 0.0)
    losses = np.array(
        [matter.get("water", 0.0) + 0.2 * bound, organic + 0.8 * bound, CO2_PER_CARBONATE * BONE.carbonate * apatite]
    )
    differences = np.vstack([np.eye(3), -np.ones(3)])
    covariance = differences @ np.diag([0.002, 0.003, 0.002]) ** 2 @ differences.T
    return ThermalEvidence(values=np.append(losses, 1.0 - losses.sum()), covariance=covariance, inert=False)


def subsets(
    seed: int, which: Iterable[Sequence[str]] = SUBSETS, halo: bool = True
) -> list[tuple[str, dict[str, tuple[str, str]]]]:
    """Fitted components, and for each specimen which components miss, by X-rays alone and beside thermogravimetry."""
    found = []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "collagen.xy"
        bare = Diffractometer(peak_counts=10_000.0, air=0.0, flat=0.0)
        write_xy(file, specimen(0.0, {"collagen": 1.0}, "points", seed, optics=bare), "collagen")
        single: dict[str, Any] = {"fit.amorphous": ["protein"], "fit.amorphous_patterns": {"protein": str(file)}}
        cases: list[tuple[str, dict[str, Any]]] = [(" + ".join(n), {"fit.amorphous": list(n)}) for n in which]
        for label, settings in [*cases, *([("a measured halo of protein", single)] if halo else [])]:
            row = {}
            for name, (apatite, matter) in SPECIMENS.items():
                result = blind(specimen(apatite, matter, "points", seed), **settings)
                assert result.xrd is not None
                both = compose_evidence(result.xrd.amounts, weighed(apatite, matter), phases=result.phases)
                truth = dict.fromkeys(result.composition.components, 0.0) | {
                    HA: BARE * apatite,
                    "carbonate": BONE.carbonate * apatite,
                    "organic": sum(mass for kind, mass in matter.items() if kind not in ("water", "acp")),
                    "water": matter.get("water", 0.0),
                    "amorphous_mineral": matter.get("acp", 0.0),
                }
                row[name] = (_missed(result.composition, truth), _missed(both, truth))
            found.append((label, row))
    return found


def _missed(composition: Composition, truth: dict[str, float]) -> str:
    """Apatite's error, and components outside their interval."""
    judged = {name: Judged.of(composition, value, name) for name, value in truth.items()}
    missed = [f"{name} {one}" for name, one in judged.items() if one is not None and not one.inside and name != HA]
    return "; ".join([str(judged[HA] or "null"), *missed])


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join('null' if v is None else str(v) for v in row)} |" for row in rows)])


def main() -> None:
    """Print and store the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="materials,areas,geometries,subsets")
    parser.add_argument("--seed", type=int, default=1301)
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    for name in arguments.table.split(","):
        head: Sequence[str]
        if name == "materials":
            head = ("material", "source", "apatite 30 wt%", "apatite 50 wt%")
            text = _table(head, ((material, source, *row) for material, source, row in materials(arguments.seed)))
        elif name == "areas":
            head = ("material", "source", "area over the package's", "its component alone", "all components")
            text = _table(head, areas(arguments.seed))
        elif name == "geometries":
            text = _table(("geometry", "given", "not given", "said then"), geometries(arguments.seed))
        else:
            head = ("fitted", *(f"{one}, {kind}" for one in SPECIMENS for kind in ("X-rays", "both")))
            found = subsets(arguments.seed)
            text = _table(head, ((label, *(cell for pair in row.values() for cell in pair)) for label, row in found))
        print(f"{name}, seed {arguments.seed}\n{text}\n")
        if not arguments.dry:
            put_into_page(PAGE, name, text)


if __name__ == "__main__":
    main()
