"""A scan that begins late says what it cannot show."""

from __future__ import annotations

import numpy as np

from tests.builders import make_fit, make_result
from tests.unit.composition_evidence import phase
from xrdcomp.results import FitResult
from xrdcomp.search.report import late_start

ASKED = (phase("brushite"), phase("gypsum"), phase("calcite"), phase("of_my_own"))


def beginning_at(two_theta: float) -> FitResult:
    from dataclasses import fields, replace

    fit = make_fit()
    keep = fit.two_theta >= two_theta
    cut = {
        item.name: getattr(fit, item.name)[keep]
        for item in fields(fit)
        if isinstance(getattr(fit, item.name), np.ndarray) and getattr(fit, item.name).shape == keep.shape
    }
    return replace(fit, **cut)


def test_a_late_start_names_the_phases_that_lose_their_strongest_lines() -> None:
    (message,) = late_start(beginning_at(22.0), ASKED)
    assert message.code == "XRD_STARTS_LATE"
    assert "brushite, gypsum are outside" in message.text
    assert "calcite" not in message.text, "its strongest line lies at 29.4 degrees"
    assert "of_my_own" not in message.text
    assert "10°" in message.text


def test_what_was_found_is_judged() -> None:
    (message,) = late_start(beginning_at(22.0), (phase("brushite", decision="detected"),))
    assert "brushite" not in message.text


def test_an_ordinary_scan_needs_no_advice() -> None:
    assert make_result().xrd is not None
    assert late_start(make_fit(), ASKED) == ()
    assert late_start(None, ASKED) == ()
