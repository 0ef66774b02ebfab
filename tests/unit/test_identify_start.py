"""Starting a search from nothing: the variety of apatite, and material without any."""

from __future__ import annotations

import xrdcomp as xc
from xrdcomp.simulate.cohort import load_cohort, simulate_specimen
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, XrdConditions

FROM_NOTHING = xc.Recipe().with_settings({"identification.start": "nothing", "instrument.radiation": "CuKa"})


def found(index: int) -> list[str]:
    result = xc.analyze(load_cohort()[index].xrd, recipe=FROM_NOTHING)
    return [phase.id for phase in result.phases if phase.decision == "detected"]


def test_apatite_is_called_by_its_usual_name() -> None:
    assert found(0) == ["hydroxyapatite"]


def test_nothing_is_found_where_nothing_is() -> None:
    assert found(9) == []


def test_small_apatite_beside_sharp_lines_is_not_lost_when_the_start_gives_way() -> None:
    """Sharp lines of 3 % calcite make the fit of apatite alone poor; from nothing, 7 nm crystals are no lines."""
    model = SpecimenModel(
        specimen_id="T3", apatite=0.05, carbonate=0.005, protein=0.38, water=0.455, amorphous_mineral=0.08,
        other={"calcite": 0.03}, apatite_model=ApatiteModel(length_c_nm=20.0, length_a_nm=7.0),
    )  # fmt: skip
    pattern = simulate_specimen(model, xrd=XrdConditions(step=0.02, peak_counts=1e5), seed=5).pattern
    result = xc.analyze(pattern)
    assert {phase.id for phase in result.phases if phase.decision == "detected"} == {"hydroxyapatite", "calcite"}
