"""Starting a search from nothing: the variety of apatite, and material without any."""

from __future__ import annotations

import xrdcomp as xc
from xrdcomp.simulate import load_cohort

FROM_NOTHING = xc.Recipe().with_settings({"identification.start": "nothing", "instrument.radiation": "CuKa"})


def found(index: int) -> list[str]:
    result = xc.analyze(load_cohort()[index].xrd, recipe=FROM_NOTHING)
    return [phase.id for phase in result.phases if phase.decision == "detected"]


def test_apatite_is_called_by_its_usual_name() -> None:
    assert found(0) == ["hydroxyapatite"]


def test_nothing_is_found_where_nothing_is() -> None:
    assert found(9) == []
