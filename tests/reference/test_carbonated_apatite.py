"""Carbonate in the lattice of apatite: what reflections lose to its disorder scatters between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp import Composition, analyze
from xrdcomp.composition import priors
from xrdcomp.data import Phase
from xrdcomp.phases.library import load_phase
from xrdcomp.simulate import SpecimenModel, simulate_specimen
from xrdcomp.simulate.scattering import carbonated, cell_mass, coherent_amplitude, crystal_diffuse
from xrdcomp.simulate.specimens import ApatiteModel


@pytest.mark.parametrize("vacancies", [0.0, 0.5, 1.0])
def test_disorder_of_carbonate_by_hand(vacancies: float) -> None:
    """Carbon for phosphorus, an oxygen and some calcium missing, as x (1 − x) |Δf|² without displacements."""
    apatite = replace(load_phase("hydroxyapatite"), site_b_iso=np.zeros(len(load_phase("hydroxyapatite").site_b_iso)))
    q, wavelength = np.array([1.5, 2.5, 3.5]), 1.540598
    changed = carbonated(apatite, 0.06, vacancies)
    f = {e: coherent_amplitude(e, q / (4.0 * np.pi), wavelength) for e in ("Ca", "P", "C", "O")}
    x = sum(o for e, o in zip(changed.site_element, changed.site_occupancy, strict=True) if e == "C") / 6.0
    gone = vacancies * 6.0 * x / 10.0
    expected = 6.0 * x * (1.0 - x) * np.abs(f["P"] - f["C"]) ** 2
    expected += (
        24.0 * (x / 4.0) * (1.0 - x / 4.0) * np.abs(f["O"]) ** 2 + 10.0 * gone * (1.0 - gone) * np.abs(f["Ca"]) ** 2
    )
    own = crystal_diffuse(apatite, q, wavelength=wavelength) * cell_mass(apatite)
    found = crystal_diffuse(changed, q, wavelength=wavelength) * cell_mass(changed) - own
    # Compton scattering of what is there: 1 to 5 electron units less for each atom gone or lighter
    lost = found - expected
    assert (lost < 0.0).all()
    assert (lost > -6.0 * x * 14.0 - 10.0 * gone * 16.0).all()


def _bragg(phase: Phase, wavelength: float = 1.5418) -> float:
    """Intensity of all reflections between 10 and 60°, by the plain sum over the atoms of the cell."""
    orders = range(-7, 8)
    hkl = np.array([(h, k, m) for h in orders for k in orders for m in orders if (h, k, m) != (0, 0, 0)])
    h, k, m = hkl.T
    s = 0.5 * np.sqrt(4.0 / 3.0 * (h**2 + h * k + k**2) / phase.cell.a**2 + m**2 / phase.cell.c**2)
    theta = np.arcsin(np.minimum(s * wavelength, 1.0))
    inside = (theta > np.radians(5.0)) & (theta < np.radians(30.0))
    hkl, s, theta = hkl[inside], s[inside], theta[inside]
    amplitude = np.zeros(len(s), dtype=complex)
    for name, place, share, b in zip(
        phase.site_element, phase.site_xyz, phase.site_occupancy, phase.site_b_iso, strict=True
    ):
        atom = coherent_amplitude(name, s, wavelength) * np.exp(-b * s**2)
        amplitude += share * atom * np.exp(2j * np.pi * (hkl @ place))
    polarized = (1.0 + np.cos(2.0 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    return float(polarized @ np.abs(amplitude) ** 2)


def _in_channel(phase: Phase) -> np.ndarray:
    """Sites on the axis of the channel, those of the hydroxyls."""
    x, y, _ = phase.site_xyz.T
    return np.asarray(np.hypot(x - np.rint(x), y - np.rint(y)) < 0.02)


def _with(phase: Phase, element: str, at: np.ndarray, share: float) -> Phase:
    """Atoms of an element on the sites `at`, of each of which they take a share."""
    occupancy = np.where(at, 1.0 - share, 1.0) * phase.site_occupancy
    return replace(
        phase,
        site_element=(*phase.site_element, *(element for _ in np.flatnonzero(at))),
        site_xyz=np.concatenate([phase.site_xyz, phase.site_xyz[at]]),
        site_occupancy=np.concatenate([occupancy, share * phase.site_occupancy[at]]),
        site_b_iso=np.concatenate([phase.site_b_iso, phase.site_b_iso[at]]),
    )


@pytest.mark.parametrize("carbonate", [0.03, 0.06])
def test_what_carbonate_takes_from_reflections_in_a_neutral_lattice(carbonate: float) -> None:
    """ε lies in the prior for each way to make up for the charge, and outside it where nothing does."""
    apatite = load_phase("hydroxyapatite")
    per_gram = _bragg(apatite) / cell_mass(apatite)

    def intensity(changed: Phase, number: float) -> float:
        mass = number * 60.009
        bare = cell_mass(changed) - mass
        return float((_bragg(changed) / per_gram - bare) / mass)

    found, number = {}, {}
    for vacancies in (0.0, 0.5, 1.0):
        phase = carbonated(apatite, carbonate, vacancies)
        number[vacancies] = sum(o for e, o in zip(phase.site_element, phase.site_occupancy, strict=True) if e == "C")
        found[vacancies] = phase
    calcium = np.array(found[0.0].site_element) == "Ca"
    sodium = _with(found[0.0], "Na", calcium, number[0.0] / 10.0)
    bare = replace(
        found[1.0],
        site_occupancy=np.where(_in_channel(found[1.0]), 1.0 - number[1.0] / 2.0, 1.0) * found[1.0].site_occupancy,
    )
    prior = priors.CARBONATE_INTENSITY
    neutral = [intensity(sodium, number[0.0]), intensity(found[0.5], number[0.5]), intensity(bare, number[1.0])]
    assert_close(neutral, prior.mean, atol=0.75 * prior.std, because="each way must be well inside the prior")
    for vacancies in (0.0, 1.0):
        alone = intensity(found[vacancies], number[vacancies])
        assert abs(alone - prior.mean) > 2.5 * prior.std, f"a charge is left with {vacancies} vacancies"


def test_disorder_of_carbonate_is_no_halo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bone with 8 wt% of CO3 in its apatite: taken for a halo, the disorder costs half a per cent of apatite."""
    apatite = ApatiteModel(substitution=True, vacancies=0.5)
    bone = SpecimenModel(apatite=0.46, protein=0.32, water=0.10, carbonate=0.04, amorphous_mineral=0.08)
    simulated = simulate_specimen(replace(bone, apatite_model=apatite), seed=0)

    def crystals() -> float:
        composition = analyze(xrd=simulated.pattern, tga=simulated.tga).composition
        assert isinstance(composition, Composition)
        found = composition.components["crystalline_hydroxyapatite"]
        assert found is not None
        return 100.0 * found.value

    corrected = crystals()
    monkeypatch.setattr(priors, "DIFFUSE_LOSS", np.inf)
    assert_close(corrected - crystals(), 0.6, atol=0.3, because="what the background takes of it differs by pattern")
