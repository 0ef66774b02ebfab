"""A flatter halo of amorphous calcium phosphate: a fit tells what it would read of one, and does so."""

from __future__ import annotations

from dataclasses import replace

from tests.helpers import assert_close
from xrdcomp.instrument.build import build_instrument
from xrdcomp.phases.library import load_phase
from xrdcomp.physics.amorphous import AMORPHOUS, FLATTER_PHOSPHATE, change_of_form
from xrdcomp.recipe import InstrumentRecipe
from xrdcomp.refinement.reflections import emitted_weight, polarization
from xrdcomp.simulate import SpecimenModel, simulate_specimen
from xrdcomp.stages import fit_pattern
from xrdcomp.units import two_theta_to_q

BONE = SpecimenModel(apatite=0.40, protein=0.30, water=0.12, carbonate=0.03, amorphous_mineral=0.15)


def test_what_a_fit_takes_up_of_a_flatter_halo_is_what_it_finds() -> None:
    pattern = simulate_specimen(BONE, seed=3).pattern
    instrument, phases = build_instrument(pattern, InstrumentRecipe()), [load_phase("hydroxyapatite")]
    before = fit_pattern(pattern, phases, instrument).amounts
    wavelength, mass = instrument.wavelength, 0.1 * float(before.amounts.sum())
    own = AMORPHOUS["amorphous_calcium_phosphate"]
    change = change_of_form(own, FLATTER_PHOSPHATE, two_theta_to_q(pattern.two_theta, wavelength), wavelength)
    added = mass * emitted_weight(instrument) * polarization(pattern.two_theta, instrument) * change
    flatter = replace(pattern, intensity=pattern.intensity + added)
    after = fit_pattern(flatter, phases, instrument).amounts
    assert before.flatter_halo is not None
    assert before.names == after.names
    found = dict(zip(before.names, (after.amounts - before.amounts) / mass, strict=True))
    told = dict(zip(before.names, before.flatter_halo, strict=True))
    because = "linear equations, where the fit lets forms vary with the amounts they belong to"
    for name in ("hydroxyapatite", "amorphous_calcium_phosphate"):
        assert_close(told[name], found[name], atol=0.05, because=because)
    soft = ("protein", "lipid", "water")
    assert_close(sum(told[n] for n in soft), sum(found[n] for n in soft), atol=0.1, because=because)
    assert -0.6 < told["amorphous_calcium_phosphate"] < -0.25, "some of it is taken for a form of the mineral's own"
