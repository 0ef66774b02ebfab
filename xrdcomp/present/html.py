"""Results as HTML: a table for notebooks, a plain page for one specimen, a plain page for a cohort.

The pages are self-contained: style and figures are inside, nothing is fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from xrdcomp.present.tables import (
    BASIS_WORDS,
    CLAIM_ORDER,
    NOT_SEPARABLE,
    component_order,
    component_words,
    gas_words,
    interval_text,
    limit_text,
    percent,
    words_for,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xrdcomp.results import Estimate, SampleResult

EMBEDDED_DPI = 100
FIGURE_TITLES = {
    "fit": "Whole-pattern fit",
    "tga": "Thermogravimetry",
    "composition": "Composition",
    "uncertainty_budget": "Where the uncertainty comes from",
    "cohort": "All specimens",
}
FIGURE_WORDS = {
    "fit": "Whole-pattern fit: observed points, calculated curve, background, amorphous parts, phase ticks "
    "and difference against the scattering angle",
    "tga": "Mass and mass-loss rate against temperature, steps shaded and labelled with their mass loss",
    "composition": "Bars of the mass fraction of each component with its 95 % interval",
    "uncertainty_budget": "Stacked bars: share of each input in the variance of each component",
    "cohort": "Estimates with 95 % intervals of every component for every specimen",
}


def result_html(result: SampleResult) -> str:
    """Compact HTML fragment for a notebook: composition, phases, claims, messages.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    str
        HTML.
    """
    return _environment().get_template("result.html.j2").render(_context(result))


def render_report(result: SampleResult, figures: Mapping[str, Figure]) -> str:
    """One self-contained page about one specimen.

    Parameters
    ----------
    result : SampleResult
    figures : mapping of name to Figure
        As `draw_figures` gives them.

    Returns
    -------
    str
        HTML.
    """
    return (
        _environment()
        .get_template("report.html.j2")
        .render(_context(result), figures=_embed(figures), full=True)
    )


def render_cohort_page(
    results: Sequence[SampleResult],
    figures: Mapping[str, Figure],
    specimen_figures: Mapping[str, Mapping[str, bytes]],
) -> str:
    """One self-contained page about a cohort.

    Parameters
    ----------
    results : sequence of SampleResult
    figures : mapping
        Figures of the whole cohort by name.
    specimen_figures : mapping
        For each sample id its figures by name, as PNG bytes.

    Returns
    -------
    str
        HTML.
    """
    specimens = [
        _context(result)
        | {"figures": [_image(name, png) for name, png in specimen_figures[result.sample_id].items()]}
        for result in results
    ]
    return (
        _environment()
        .get_template("cohort.html.j2")
        .render(
            specimens=specimens,
            figures=_embed(figures),
            claim_order=[(name, words_for(name)) for name in CLAIM_ORDER],
            simulated=any(result.metadata.get("simulated") for result in results),
            has_truth=any(result.metadata.get("truth") for result in results),
            software=results[0].software,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xrdcomp.present"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, interval=interval_text, limit=limit_text, words=words_for, gas=gas_words
    )
    return environment


def _percent(estimate: Estimate | None) -> str:
    return NOT_SEPARABLE if estimate is None else percent(estimate, unit=False)


def _context(result: SampleResult) -> dict[str, Any]:
    composition = result.composition
    shown = [phase for phase in result.phases if phase.decision != "not_detected"]
    return {
        "result": result,
        "basis": BASIS_WORDS[composition.basis],
        "components": [
            (name, component_words(name, result), composition.components[name])
            for name in component_order(composition.components)
        ],
        "sums": list(composition.identifiable_sums.items()),
        "phases": shown,
        "absent": [phase for phase in result.phases if phase.decision == "not_detected"],
        "claims": {claim.id: claim for claim in result.claims},
        "truth": result.metadata.get("truth") or {},
        "simulated": bool(result.metadata.get("simulated")),
    }


def _embed(figures: Mapping[str, Figure]) -> list[dict[str, str]]:
    from xrdcomp.present.figures import to_png

    return [_image(name, to_png(figure, dpi=EMBEDDED_DPI)) for name, figure in figures.items()]


def _image(name: str, png: bytes) -> dict[str, str]:
    from xrdcomp.present.figures import smaller_png

    return {
        "title": FIGURE_TITLES.get(name, words_for(name)),
        "alt": FIGURE_WORDS.get(name, words_for(name)),
        "source": "data:image/png;base64," + base64.b64encode(smaller_png(png)).decode("ascii"),
    }
