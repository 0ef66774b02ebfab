"""An internal standard whose stated share the pattern contradicts."""

from __future__ import annotations

import pytest

from xrdcomp.analysis import analyze
from xrdcomp.simulate import ApatiteModel, SpecimenModel, simulate_pattern


@pytest.mark.parametrize(("there", "stated", "contradicted"), [(0.2, 0.2, False), (0.4, 0.1, True), (0.1, 0.4, True)])
def test_a_wrong_share_of_the_standard_is_said(there: float, stated: float, contradicted: bool) -> None:
    model = SpecimenModel(
        apatite=0.6 * (1.0 - there), protein=0.3 * (1.0 - there), water=0.1 * (1.0 - there), other={"corundum": there},
        apatite_model=ApatiteModel(length_a_nm=20.0, length_c_nm=40.0),
    )  # fmt: skip
    result = analyze(simulate_pattern(model, seed=8)[0], internal_standard=("corundum", stated))
    consistency = result.composition.consistency
    assert consistency is not None
    assert consistency.standard is not None
    assert consistency.standard.stated == stated
    assert abs(consistency.standard.seen - there) < 3.0 * there * consistency.standard.relative_std
    assert (abs(consistency.standard.z) > 3.0) is contradicted
    said = {message.code: message.text for message in result.messages}
    assert ("FUSION_STANDARD_SHARE" in said) is contradicted
    if contradicted:
        assert f"{100 * stated:.1f} wt%" in said["FUSION_STANDARD_SHARE"]
        assert f"{100 * consistency.standard.seen:.0f} wt%" in said["FUSION_STANDARD_SHARE"]
