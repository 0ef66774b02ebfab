"""Carbonate in the lattice of apatite: what reflections lose to its disorder scatters between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import assert_close
from xrdcomp import Composition, analyze
from xrdcomp.composition import priors
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
    assert_close(corrected - crystals(), 0.5, atol=0.2, because="what the background takes of it differs by pattern")
