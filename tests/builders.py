"""Small made-up results, for tests of what reads results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xrdcomp.data import Diagnostic, PhaseFacts
from xrdcomp.phases.library import list_phases, phase_info
from xrdcomp.recipe import Recipe
from xrdcomp.results import (
    Claim,
    Composition,
    DetectionEvidence,
    Estimate,
    FitResult,
    PhaseResult,
    ReflectionTable,
    SampleResult,
    TgaResult,
    TgaStep,
    XrdAmounts,
)

# 2θ of Cu Kα1, h, k, l, intensity relative to 100: hydroxyapatite's stronger lines
APATITE_LINES = np.array(
    [
        [10.84, 1, 0, 0, 13], [16.85, 1, 0, 1, 4], [21.78, 2, 0, 0, 6], [22.87, 1, 1, 1, 6],
        [25.90, 0, 0, 2, 34], [28.15, 1, 0, 2, 8], [28.94, 2, 1, 0, 15], [31.79, 2, 1, 1, 100],
        [32.22, 1, 1, 2, 50], [32.92, 3, 0, 0, 62], [34.09, 2, 0, 2, 21], [39.82, 3, 1, 0, 20],
        [46.73, 2, 2, 2, 31], [48.12, 3, 1, 2, 13], [49.53, 2, 1, 3, 33], [50.52, 3, 2, 1, 18],
        [51.30, 4, 1, 0, 12], [53.26, 0, 0, 4, 15],
    ]
)  # fmt: skip


def estimate(value: float, std: float) -> Estimate:
    """Estimate with a 95 % interval that stays within 0 and 1."""
    return Estimate(value=value, std=std, ci95=(max(0.0, value - 1.96 * std), min(1.0, value + 1.96 * std)))


def known_facts(name: str) -> PhaseFacts:
    """What the library knows of a phase; nothing of one that it does not have."""
    return phase_info(name).facts if name in list_phases() else PhaseFacts()


def phase_result(**given: Any) -> PhaseResult:
    """Result of one phase, with what the library knows of it."""
    return PhaseResult(**{"facts": known_facts(given["id"]), **given})


def amounts_of(**given: Any) -> XrdAmounts:
    """Amounts of components, with what the library knows of the phases among them."""
    return XrdAmounts(**{"facts": {name: known_facts(name) for name in given["names"]}, **given})


def _peaks(two_theta: np.ndarray, table: ReflectionTable, *, width: float) -> np.ndarray:
    """Sum of Lorentzians of half width `width`, heights as the table's intensities."""
    offset = (two_theta[:, None] - table.two_theta) / width
    return (table.intensity / (1 + offset**2)).sum(axis=1)


def make_fit(*, seed: int = 1, foreign: bool = False) -> FitResult:
    """Apatite on a protein halo with Poisson noise, 10 to 70 degrees."""
    two_theta = np.arange(10.0, 70.0, 0.02)
    table = ReflectionTable(hkl=APATITE_LINES[:, 1:4], two_theta=APATITE_LINES[:, 0], intensity=APATITE_LINES[:, 4])
    bragg = 24.0 * _peaks(two_theta, table, width=0.28)
    background = 60.0 + 900.0 / two_theta
    amorphous = {
        "protein": 1500.0 * np.exp(-(((two_theta - 20.5) / 5.5) ** 2)) + 150.0,
        "water": 420.0 * np.exp(-(((two_theta - 28.5) / 7.5) ** 2)) + 60.0,
    }
    phases, reflections = {"hydroxyapatite": bragg}, {"hydroxyapatite": table}
    if foreign:
        line = ReflectionTable(
            hkl=np.array([[1.0, 0.0, 4.0], [0.0, 1.0, 2.0]]),
            two_theta=np.array([29.40, 23.05]),
            intensity=np.array([100.0, 9.0]),
        )
        phases["calcite"], reflections["calcite"] = 9.0 * _peaks(two_theta, line, width=0.15), line
    calculated = background + sum(amorphous.values()) + sum(phases.values())
    observed = np.random.default_rng(seed).poisson(calculated).astype(float)
    names = (*phases, *amorphous)
    amounts = np.array([0.3, 0.05, 0.5, 0.15][-len(names) :])
    return FitResult(
        two_theta=two_theta,
        observed=observed,
        sigma=np.sqrt(np.maximum(observed, 1.0)),
        calculated=calculated,
        background=background,
        amorphous=amorphous,
        phases=phases,
        reflections=reflections,
        parameters={"hydroxyapatite.a": Estimate(value=9.42, std=0.001, unit="Å")},
        covariance_names=("hydroxyapatite.a",),
        covariance=np.array([[1e-6]]),
        amounts=amounts_of(
            names=names,
            amounts=amounts,
            covariance=np.diag((0.05 * amounts) ** 2),
            crystalline=tuple(name in phases for name in names),
        ),
        wavelengths=(1.540598, 1.544426),
        n_parameters=19,
        n_iterations=8,
        converged=True,
        crystallinity=estimate(0.31, 0.02),
    )


def make_tga() -> TgaResult:
    """Water, organic and carbonate steps of a run in air."""
    temperature = np.linspace(30.0, 990.0, 2400)
    steps = {"water": (110.0, 25.0, 0.08), "organic": (340.0, 45.0, 0.52), "carbonate": (760.0, 40.0, 0.02)}
    loss = sum(size / (1 + np.exp(-(temperature - peak) / width)) for peak, width, size in steps.values())
    mass = 1.0 - loss
    return TgaResult(
        temperature_c=temperature,
        mass_fraction=mass,
        dtg_per_min=-np.gradient(mass, temperature) * 10.0,
        steps=tuple(
            TgaStep(
                name=name, start_c=start, end_c=end, peak_c=steps[name][0], onset_c=onset,
                mass_loss=estimate(steps[name][2], 0.003),
            )
            for name, start, end, onset in (
                ("water", 30.0, 210.0, 70.0), ("organic", 210.0, 600.0, 285.0),
                ("carbonate", 600.0, 950.0, 700.0)
            )
        ),
        residue=estimate(0.38, 0.004),
        atmosphere="air",
        initial_mass_mg=12.3,
        heating_rate_k_min=10.0,
        balance_names=("water", "organic", "carbonate", "residue"),
        balance=np.array([0.08, 0.52, 0.02, 0.38]),
        covariance=np.diag([9e-6, 9e-6, 9e-6, 1.6e-5]),
        quantities={"total_mineral": estimate(0.40, 0.005)},
    )  # fmt: skip


def make_composition(*, separable: bool = True) -> Composition:
    """All six components, or those of diffraction alone."""
    components: dict[str, Estimate | None] = {
        "crystalline_hydroxyapatite": estimate(0.330, 0.015),
        "organic": estimate(0.520, 0.004),
        "water": estimate(0.080, 0.003),
        "carbonate": estimate(0.025, 0.003),
        "amorphous_mineral": estimate(0.040, 0.014),
        "other_crystalline": estimate(0.005, 0.002),
    }
    sums: dict[str, Estimate] = {}
    if not separable:
        for name in ("organic", "water", "carbonate", "amorphous_mineral"):
            components[name] = None
        sums = {"non_crystalline": estimate(0.665, 0.02)}
    return Composition(
        basis="as_received",
        method="xrd+tga" if separable else "xrd",
        components=components,
        identifiable_sums=sums,
        covariance_names=tuple(components),
        covariance=np.diag([2e-4] * 6),
        budget={
            name: {"counting": 0.2, "halo shapes": 0.3, "per-gram scattering": 0.4, "TGA boundaries": 0.1}
            for name, value in components.items()
            if value is not None
        },
        messages=()
        if separable
        else (
            Diagnostic(
                code="COMPOSITION_NOT_SEPARABLE",
                severity="info",
                text="organic, water, carbonate and amorphous mineral need a TGA curve.",
            ),
        ),
    )


def make_result(
    *,
    sample_id: str = "S1",
    fit: bool = True,
    tga: bool = True,
    foreign: bool = False,
    metadata: dict[str, Any] | None = None,
) -> SampleResult:
    """Whole made-up result of one specimen."""
    composition = make_composition(separable=fit and tga)
    phases = (
        phase_result(
            id="hydroxyapatite",
            name="hydroxyapatite",
            formula="Ca5(PO4)3OH",
            decision="detected",
            detection_limit=0.004,
            weight_fraction=estimate(0.33, 0.015),
            crystalline_weight_fraction=estimate(1.0, 0.0),
            cell={"a": Estimate(value=9.42, std=0.001, unit="Å"),
                  "c": Estimate(value=6.88, std=0.001, unit="Å")},
            intensity_share=1.0,
            evidence=DetectionEvidence(z=np.float64(120.0), reflections_seen=np.int64(14)),  # type: ignore[arg-type]  # as numpy gives it
        ),
        phase_result(
            id="calcite", name="calcite", formula="CaCO3", decision="not_detected", detection_limit=0.006
        ),
    )  # fmt: skip
    return SampleResult(
        sample_id=sample_id,
        composition=composition,
        phases=phases,
        claims=(
            Claim(
                id="hydroxyapatite_present", verdict="supported", probability=0.9999,
                statement="crystalline hydroxyapatite 33.0 wt%",
            ),
            Claim(
                id="organic_more_than_half", verdict="inconclusive", probability=None,
                statement="needs <thermogravimetry>",
            ),
        ),
        settings=Recipe(sample_id=sample_id).to_dict() | {"used": {"instrument": "made up"}},
        software={"xrdcomp": "0", "python": "3", "numpy": "2", "scipy": "1"},
        inputs=({"kind": "xrd", "file": "a.xy", "sha256": "0" * 64, "format": "text", "metadata": {}},),
        xrd=make_fit(foreign=foreign) if fit else None,
        tga=make_tga() if tga else None,
        messages=composition.messages,
        metadata=metadata or {},
    )  # fmt: skip


def cif_text(name: str, cell: tuple[float, ...], space_group: str, atoms: Sequence[str]) -> str:
    """CIF of a structure: `cell` in Å and degrees, `atoms` as label, element, x, y, z and B (Å²)."""
    axes = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{name}", *(f"_cell_{axis} {value}" for axis, value in zip(axes, cell, strict=True))]
    lines += [f"_space_group_name_H-M_alt '{space_group}'", "loop_"]
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "B_iso_or_equiv")
    return "\n".join([*lines, *(f"_atom_site_{column}" for column in columns), *atoms, ""])
