"""Tables and pages: right numbers, right words, nothing from a file taken as markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from uncertainties import ufloat

from tests.builders import estimate, known_facts, make_result
from xrdcomp.data import Diagnostic
from xrdcomp.present.batch_page import groups_of, page_row, render_batch_page
from xrdcomp.present.drawings import construction
from xrdcomp.present.html import result_html
from xrdcomp.present.methods import methods_of
from xrdcomp.present.report import render_report
from xrdcomp.present.tables import (
    brackets,
    cohort_table,
    component_label,
    decimals,
    interval_text,
    limit_text,
    percent,
    phase_table,
    result_table,
)
from xrdcomp.results import Estimate, MemberComparison, PhaseResult, TgaStep

TRUTH = {"crystalline_hydroxyapatite": 0.34, "organic": 0.515}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Checks nesting and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.sources: list[str] = []
        self.tables: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        facts = dict(attrs)
        if tag == "img":
            self.images.append(facts)
        if tag in {"caption", "th"}:
            self.tables.append(tag)
        self.sources += [str(facts[name]) for name in ("src", "href") if name in facts]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("value", "std", "expected"),
    [
        (0.123456, 0.0149, "12.3 ± 1.5 wt%"),
        (0.5, 0.004, "50.0 ± 0.4 wt%"),
        (0.5, 0.00352, "50.00 ± 0.35 wt%"),
        (0.5, 0.0097, "50.0 ± 1.0 wt%"),
        (0.5, 0.12, "50 ± 12 wt%"),
        (0.5, 0.00001, "50.0000 ± 0.0010 wt%"),
        (1.0, 0.0, "100.0 ± 0.0 wt%"),
        (0.25, None, "25.0 wt%"),
    ],
)
def test_percent_is_rounded_by_its_uncertainty(value: float, std: float | None, expected: str) -> None:
    assert percent(Estimate(value=value, std=std)) == expected


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.006, "0.6"), (0.0012, "0.12"), (0.0234, "2.3"), (1.0, "100"), (None, "")]
)
def test_detection_limits_are_plain_numbers(limit: float | None, expected: str) -> None:
    assert limit_text(limit) == expected


def test_what_is_not_there_is_said() -> None:
    assert percent(None) == "not separable"
    assert interval_text(None) == ""
    assert interval_text(estimate(0.33, 0.015)) == "30.1 – 35.9"


@pytest.mark.parametrize("std", [3.2, 0.951, 0.949, 0.3549, 0.0355, 0.0947, 0.0996, 0.01, 21.0, 0.00352])
def test_decimals_are_those_of_the_package_uncertainties(std: float) -> None:
    shown = f"{ufloat(12.3456789, std)}".split("+/-")[1]
    assert f"{std:.{decimals(std)}f}" == (shown if std < 10 else shown.removesuffix(".0"))


def test_value_uncertainty_and_interval_have_the_same_decimals() -> None:
    part = Estimate(value=0.336712, std=0.00412, ci95=(0.32871, 0.34512))
    assert (percent(part, unit=False), interval_text(part)) == ("33.7 ± 0.4", "32.9 – 34.5")
    assert brackets(Estimate(value=9.404610, std=0.00125, unit="Å"), unit=True) == "9.4046(13) Å"
    assert brackets(Estimate(value=27.094, std=3.1525, unit="nm")) == "27.1(3.2)"
    assert brackets(Estimate(value=90.0, unit="°")) == "90"
    assert brackets(Estimate(value=10020.0, std=2040.0, unit="nm")) == "10000(2000)"
    assert brackets(Estimate(value=153.0, std=31.6)) == "153(32)"
    assert brackets(Estimate(value=3.1e-12, std=2.2e-13)) == f"{Estimate(value=3.1e-12, std=2.2e-13):S}"


@pytest.mark.parametrize("std", [0.951, 0.949, 0.3549, 0.0355, 0.0947, 0.0996, 0.00125])
def test_brackets_are_those_of_the_package_uncertainties(std: float) -> None:
    assert brackets(Estimate(value=9.4046101, std=std)) == f"{Estimate(value=9.4046101, std=std):S}"


def test_tangents_are_drawn_where_readings_share_a_temperature() -> None:
    tga = make_result().tga
    assert tga is not None
    twice = replace(tga, temperature_c=np.repeat(tga.temperature_c[::2], 2)[: len(tga.temperature_c)])
    for run, tolerance in ((tga, 0.01), (twice, 0.07)):  # a step of 0.8 °C in six may be counted or not
        line = construction(run, 285.0, 340.0, 395.0)
        assert line is not None
        assert line.x == (285.0, 395.0)
        slope = (line.y[1] - line.y[0]) / 110.0  # of 52 / (1 + exp((T - 340) / 45)): -52 / (4 · 45)
        assert slope == pytest.approx(-0.2889, rel=tolerance)


@pytest.mark.parametrize("width", [60, 80, 110, 160])
@pytest.mark.parametrize("severity", ["error", "warning", None])
def test_three_lines_stand_first_and_last_and_fit(width: int, severity: str | None) -> None:
    told = Diagnostic(code="X", severity=severity, text="Nobody measured the empty holder. Do.") if severity else None
    result = replace(make_result(), messages=(told,) if told else ())
    for verbose in (True, False):
        lines = result_table(result, width, verbose=verbose, written="report: out/S1/report.html").splitlines()
        assert lines[:3] == lines[-3:]
        assert lines[3] == ""
        assert max(map(len, lines)) <= width
    assert lines[0].startswith("S1: 52.0 ± 0.4")
    words = {"error": "NOT TO BE USED", "warning": "use with care", None: "sound"}[severity]
    assert lines[1].startswith(words)
    assert ("Nobody" in lines[1]) is bool(severity)
    assert lines[2] == "report: out/S1/report.html"


def test_what_is_not_determined_has_a_verdict_too() -> None:
    result = make_result()
    unknown = replace(result.composition, components=dict.fromkeys(result.composition.components), identifiable_sums={})
    result = replace(result, composition=unknown, phases=(), xrd=None, tga=None)
    assert result.verdict == "S1: these measurements do not determine what it is."
    assert result_table(result).startswith("S1: these measurements do not determine what it is\nsound (status ok)\n\n")


def test_phases_that_cannot_be_seen_are_listed_as_not_tested() -> None:
    result = make_result()
    absent = next(phase for phase in result.phases if phase.decision == "not_detected")
    evidence = replace(absent.evidence, tested=False)
    unseen = replace(absent, id="cppd_monoclinic", decision="inconclusive", detection_limit=None, evidence=evidence)
    text = phase_table((*result.phases, unseen))
    assert "not tested (the pattern cannot show it): cppd_monoclinic" in text
    assert "cppd_monoclinic <" not in text
    assert "calcite < 0.6" in text


def test_cell_size_and_strain_are_shown_with_their_uncertainties() -> None:
    found = replace(
        make_result().phases[0], cell={"a": Estimate(value=9.404610, std=0.00125, unit="Å")},
        crystallite_size_nm={"c_axis": Estimate(value=27.094, std=3.1525, unit="nm")},
        microstrain=Estimate(value=0.00062436, std=0.00013065),
    )  # fmt: skip
    text = phase_table([found])
    assert "a (Å) 9.4046(13), size along c (nm) 27.1(3.2), microstrain 0.00062(13)" in text


def test_notes_are_told_by_their_codes_unless_asked_for() -> None:
    note = Diagnostic(code="SOME_NOTE", severity="info", text="Something.")
    worse = Diagnostic(code="BAD", severity="error", text="Broken.")
    result = replace(make_result(), messages=(note, worse))
    short = result_table(result)
    assert "Something." not in short
    assert short.index("errors: no number of this kind may be used") < short.index("1 note: SOME_NOTE; --verbose")
    assert "Something." in result_table(result, verbose=True)


def test_result_table_holds_every_part() -> None:
    text = result_table(make_result(metadata={"simulated": True}), verbose=True)
    for words in (
        "sound (status ok, simulated specimen)",
        "crystalline hydroxyapatite",
        "Rwp 3.5",
        "hydroxyapatite  detected",
        "not detected (below, wt%): calcite < 0.6",
        "thermogravimetry (air)",
        "hydroxyapatite is present",
    ):
        assert words in text


def test_cohort_table_puts_truth_beside_the_estimate_only_where_known() -> None:
    known = make_result(sample_id="A", metadata={"simulated": True, "truth": TRUTH})
    unknown = make_result(sample_id="B", tga=False)
    lines = cohort_table([known, unknown]).splitlines()
    assert re.search(r"33\.0 ± 1\.5\s+34\.0\s+52\.0 ± 0\.4\s+51\.5", lines[1])
    assert "not separable" in lines[2]
    assert "true" not in cohort_table([unknown]).splitlines()[0]
    assert "yes (1.00)" in lines[1]


def test_notebook_table_escapes_what_files_say() -> None:
    hostile = Diagnostic(code="X", severity="warning", text="<script>alert(1)</script>")
    result = replace(make_result(), messages=(hostile,))
    html = result._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "needs &lt;thermogravimetry&gt;" in html
    Page(html)


def test_report_is_one_self_contained_page_with_drawings() -> None:
    result = make_result(metadata={"simulated": True})
    html = render_report(result)
    page = Page(html)
    assert html.count('role="img" aria-label="S1: ') == 2
    assert page.images == []
    assert all(source.startswith(("data:", "#")) for source in page.sources), "nothing may be fetched"
    assert '<html lang="en">' in html
    assert "simulated specimen" in html
    assert "not a diagnostic device" in html
    assert len(html) < 2_000_000


def test_report_escapes_what_files_say_also_in_the_data_of_its_script() -> None:
    hostile = "</script><script>alert(1)</script>"
    told = Diagnostic(code="X", severity="warning", text=hostile)
    html = render_report(replace(make_result(), sample_id=hostile, messages=(told,)))
    Page(html)
    assert "<script>alert" not in html
    assert "\\u003c/script>" in html


def test_report_is_the_same_from_run_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert render_report(make_result()) == render_report(make_result())
    assert "this page written 2023-11-14 22:13 UTC" in render_report(make_result())


def test_a_failed_result_looks_so() -> None:
    bad = Diagnostic(code="XRD_BAD", severity="error", text="Nothing fits.")
    for result, status, word in (
        (make_result(), "ok", "✓ sound"),
        (replace(make_result(), messages=(bad,)), "failed", "✕ NOT TO BE USED"),
    ):
        html = render_report(result)
        assert f'<div class="verdict {status}">' in html
        assert word in html
        assert ("What weakens it" in html) is (status == "failed")


def test_report_without_bokeh_has_its_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xrdcomp.present.report.bokeh_script", lambda: "")
    html = render_report(make_result())
    assert "xrdcompPlots" not in html
    assert html.count("<svg ") == 2


def test_methods_tell_what_was_done_and_cite_in_order() -> None:
    told = methods_of(make_result())
    assert told.text.startswith(
        "The specimen was analysed from an X-ray powder pattern and thermogravimetry with xrdcomp"
    )
    assert "from 10.00 to 69.98° 2θ, 3000 points" in told.text
    cited = [int(number) for group in re.findall(r"\[([\d,]+)\]", told.text) for number in group.split(",")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(told.references) + 1))
    alone = methods_of(make_result(fit=False)).text
    assert "pattern" not in alone
    assert "(air, 10 K/min, 12.3 mg)" in alone


def test_cohort_page_is_self_contained_labelled_and_linked() -> None:
    simulated = {"simulated": True, "truth": TRUTH}
    results = [
        make_result(sample_id=name, metadata=simulated) for name in ("A 1_solid", "B_solid", "C_fluid", "D_fluid")
    ]
    links = {result.sample_id: f"{result.sample_id}/report.html" for result in results}
    html = render_batch_page(list(map(page_row, results)), title="Cohort", results=results, links=links, table_link="")
    page = Page(html)
    assert page.images == []
    addresses = [source for source in page.sources if not source.startswith(("data:", "#"))]
    assert set(addresses) == set(links.values())
    assert "simulated cohort" in html
    assert html.count('<span class="note">true 34.0</span>') == 4
    assert "Components by group" in html
    assert html.count("solid</text>") >= 6, "a lane for each component"
    for text in ("Hydroxyapatite against organic of every specimen", "4 specimens: intensity", "4 specimens: mass"):
        assert text in html
    assert len(html) < 5_000_000


def test_batch_page_without_results_is_a_table_alone() -> None:
    bad = {"sample_id": "B", "status": "failed", "error": "no", "error_kind": "X"}
    rows = [page_row(make_result(sample_id="A")), bad]
    html = render_batch_page(rows)
    Page(html)
    assert 'href="A/result.json"' in html
    assert "xrdcompPlots" not in html
    assert html.count('data-status="failed"') == 1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_x", "b_x", "c_y", "d_y"], ["x", "x", "y", "y"]), (["a_x", "b_y", "c_z"], ["", "", ""]),
        (["a", "b_x", "c_x"], ["", "", ""]), (["a_1", "b_1", "c_2", "d_2"], [""] * 4),
    ],
)  # fmt: skip
def test_groups_are_told_by_names_only_where_all_have_one(names: list[str], expected: list[str]) -> None:
    assert groups_of(names) == expected


def test_a_fitted_fluorapatite_is_not_called_hydroxyapatite() -> None:
    result = make_result()
    other = replace(result.phases[0], id="fluorapatite", name="Fluorapatite (synthetic)")
    absent = replace(result.phases[0], id="chlorapatite", name="Chlorapatite", decision="not_detected")
    fluor = replace(result, phases=(other, absent))
    words = "crystalline apatite (fluorapatite, excl. CO₃)"
    assert component_label("crystalline_hydroxyapatite", result) == "crystalline hydroxyapatite (excl. CO₃)"
    assert component_label("crystalline_hydroxyapatite", fluor) == words
    assert component_label("organic", fluor) == "organic"
    assert words in result_table(fluor)
    assert words in result_html(fluor)
    assert words not in result_html(result)


def test_an_apatite_that_is_likelier_another_member_is_called_so() -> None:
    result = make_result()
    own = result.phases[0]

    def judged(probability: float, **changes: object) -> PhaseResult:
        member = MemberComparison(
            cell_difference=0.001, fits_better=False, excluded_as_main=False, probability=probability
        )
        phase = replace(own, evidence=replace(own.evidence, member=member))
        return replace(phase, **changes)  # type: ignore[arg-type]

    fluor = {
        "id": "fluorapatite", "name": "Fluorapatite (synthetic)", "decision": "inconclusive",
        "facts": known_facts("fluorapatite"),
    }  # fmt: skip
    hydroxyl = {"facts": known_facts("hydroxyapatite")}
    likely = replace(result, phases=(judged(0.02, **hydroxyl), judged(0.98, **fluor)))
    unlikely = replace(result, phases=(judged(0.98, **hydroxyl), judged(0.02, **fluor)))
    words = "crystalline apatite (probably fluorapatite, excl. CO₃)"
    assert component_label("crystalline_hydroxyapatite", likely) == words
    assert component_label("crystalline_hydroxyapatite", unlikely) == "crystalline hydroxyapatite (excl. CO₃)"


def test_the_verdict_names_no_part_that_is_mostly_uncertainty() -> None:
    result = make_result()
    parts = dict.fromkeys(result.composition.components) | {
        "organic": estimate(0.61, 0.01),
        "water": estimate(0.05, 0.07),
    }
    shown = replace(result, composition=replace(result.composition, components=parts)).verdict
    assert "61.0 ± 1.0 wt% organic" in shown
    assert "wt% water" not in shown


def test_the_verdict_tells_an_interval_that_no_normal_error_describes() -> None:
    result = make_result()
    skewed = replace(estimate(0.97, 0.03), ci95=(0.32, 1.0))
    parts = dict.fromkeys(result.composition.components) | {"unidentified_crystalline": skewed}
    shown = replace(result, composition=replace(result.composition, components=parts)).verdict
    assert "32.0 – 100.0 wt% (95 %) unidentified crystalline" in shown
    assert "97" not in shown
    near = replace(estimate(0.97, 0.01), ci95=(0.88, 1.0))
    parts |= {"unidentified_crystalline": near}
    shown = replace(result, composition=replace(result.composition, components=parts)).verdict
    assert "97.0 ± 1.0 wt% unidentified crystalline" in shown


def test_an_apatite_that_is_undecided_is_called_so() -> None:
    result = make_result()
    apatite = next(phase for phase in result.phases if phase.is_apatite)
    undecided = replace(apatite, decision="inconclusive")
    phases = [
        undecided if phase is apatite else phase for phase in result.phases if phase is apatite or not phase.is_apatite
    ]
    shown = replace(result, phases=type(result.phases)(phases))
    assert "crystalline apatite (undecided)" in shown.verdict
    assert "undecided" not in result.verdict


def test_the_verdict_of_unassigned_losses_says_what_was_lost() -> None:
    result = make_result()
    nothing = replace(result.composition, components=dict.fromkeys(result.composition.components), identifiable_sums={})
    absent = replace(result, composition=nothing, phases=type(result.phases)(()))
    steps = tuple(
        TgaStep(name=f"step_{i}", start_c=at - 50, end_c=at + 50, peak_c=at, mass_loss=estimate(loss, 0.001))
        for i, (at, loss) in enumerate(((150.0, 0.123), (500.0, 0.192)), start=1)
    )
    lost = replace(absent, tga=replace(result.tga, steps=steps)).verdict
    assert "no composition; the run loses 12.30 ± 0.10 wt% at 150 °C and 19.20 ± 0.10 wt% at 500 °C" in lost
    assert "do not determine" in replace(absent, tga=None).verdict
