"""Tables and pages: right numbers, right words, nothing from a file taken as markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.builders import estimate, make_result
from xrdcomp.data import Diagnostic
from xrdcomp.present.figures import plot_cohort, to_png
from xrdcomp.present.files import draw_figures, render_cohort_page, render_report, result_html
from xrdcomp.present.tables import cohort_table, component_label, interval_text, limit_text, percent, result_table
from xrdcomp.results import Estimate

TRUTH = {"crystalline_hydroxyapatite": 0.34, "organic": 0.515}
VOID = {"meta", "link", "img", "br", "hr"}


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
        (0.5, 0.004, "50.00 ± 0.40 wt%"),
        (0.5, 0.12, "50 ± 12 wt%"),
        (0.5, 0.00001, "50.00 ± 0.00 wt%"),
        (1.0, 0.0, "100.0 ± 0.0 wt%"),
        (0.25, None, "25.0 wt%"),
    ],
)
def test_percent_shows_two_figures_of_the_uncertainty(value: float, std: float | None, expected: str) -> None:
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


def test_result_table_holds_every_part() -> None:
    text = result_table(make_result(metadata={"simulated": True}))
    for words in (
        "S1 (simulated specimen): ok",
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
    assert re.search(r"33\.0 ± 1\.5\s+34\.0\s+52\.00 ± 0\.40\s+51\.5", lines[1])
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


def test_report_is_one_self_contained_accessible_page() -> None:
    result = make_result(metadata={"simulated": True})
    html = render_report(result, draw_figures(result))
    page = Page(html)
    assert len(page.images) == 4
    assert all(image["alt"] for image in page.images)
    assert all(source.startswith("data:") for source in page.sources), "nothing may be fetched"
    assert '<html lang="en">' in html
    assert "simulated specimen" in html
    assert "not a diagnostic device" in html


def test_cohort_page_is_self_contained_labelled_and_linked() -> None:
    results = [make_result(sample_id=name, metadata={"simulated": True, "truth": TRUTH}) for name in ("A 1", "B")]
    figure = plot_cohort(results)
    png = to_png(figure, dpi=50)
    html = render_cohort_page(results, {"cohort": figure}, {r.sample_id: {"fit": png} for r in results})
    page = Page(html)
    assert len(page.images) == 3
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in page.images)
    links = [source for source in page.sources if not source.startswith("data:")]
    assert "#A%201" in links
    assert 'id="A%201"' in html
    assert all(link.startswith("#") or link.split("/")[0] in {"A%201", "B"} for link in links)
    assert "simulated cohort" in html
    assert page.tables.count("caption") == 5
    assert "34.0" in html


def test_a_fitted_fluorapatite_is_not_called_hydroxyapatite() -> None:
    result = make_result()
    other = replace(result.phases[0], id="fluorapatite", name="Fluorapatite (synthetic)")
    absent = replace(result.phases[0], id="chlorapatite", name="Chlorapatite", decision="not_detected")
    fluor = replace(result, phases=(other, absent))
    words = "crystalline apatite (fluorapatite)"
    assert component_label("crystalline_hydroxyapatite", result) == "crystalline hydroxyapatite"
    assert component_label("crystalline_hydroxyapatite", fluor) == words
    assert component_label("organic", fluor) == "organic"
    assert words in result_table(fluor)
    assert words in result_html(fluor)
    assert words not in result_html(result)
