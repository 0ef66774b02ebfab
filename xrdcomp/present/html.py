"""Results as HTML: tables for notebooks, and the templates of all pages.

Pages are self-contained: style, drawings and scripts are inside, nothing is fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from xrdcomp.errors import printable
from xrdcomp.present.tables import (
    BASIS_LABELS,
    CLAIM_ORDER,
    component_label,
    component_order,
    gas_label,
    interval_text,
    label_of,
    limit_text,
    percent,
)
from xrdcomp.results import Composition, Estimate, PhaseResult, SampleResult, TgaResult

if TYPE_CHECKING:
    import jinja2
    from matplotlib.figure import Figure

EMBEDDED_DPI = 100
FIGURE_TITLES = {
    "fit": "Whole-pattern fit",
    "tga": "Thermogravimetry",
    "composition": "Composition",
    "uncertainty_budget": "Where the uncertainty comes from",
    "cohort": "All specimens",
}
FIGURE_DESCRIPTIONS = {
    "fit": "Whole-pattern fit: observed points, calculated curve, background, amorphous parts, phase ticks "
    "and difference against the scattering angle",
    "tga": "Mass and mass-loss rate against temperature, steps shaded and labelled with their mass loss",
    "composition": "Bars of the mass fraction of each component with its 95 % interval",
    "uncertainty_budget": "Stacked bars: share of each input in the variance of each component",
    "cohort": "Estimates with 95 % intervals of every component for every specimen",
}


def result_html(result: SampleResult) -> str:
    """Compact HTML fragment for a notebook: composition, phases, claims, messages."""
    return template_environment().get_template("result.html.j2").render(specimen_basics(result))


def composition_html(composition: Composition) -> str:
    """HTML table of a composition for a notebook."""
    sums = list(composition.identifiable_sums.items())
    basis = BASIS_LABELS[composition.basis]
    return _part("composition", _components(composition), sums, basis, composition.method, {})


class _Component(NamedTuple):
    """Component of a composition as templates show it."""

    id: str
    label: str
    estimate: Estimate | None


def _components(composition: Composition, result: SampleResult | None = None) -> list[_Component]:
    """Components in the order of tables; `result` tells which apatite was found."""
    found = composition.components
    return [_Component(name, component_label(name, result), found[name]) for name in component_order(found)]


def phases_html(phases: Sequence[PhaseResult]) -> str:
    """HTML table of phases for a notebook; those not found are folded away."""
    return _part("phase_table", *_by_decision(phases))


def tga_html(tga: TgaResult) -> str:
    """HTML table of thermogravimetric steps for a notebook."""
    return _part("step_table", tga)


def _part(macro: str, *arguments: Any) -> str:
    return str(getattr(template_environment().get_template("parts.html.j2").module, macro)(*arguments))


def _by_decision(phases: Sequence[PhaseResult]) -> tuple[list[PhaseResult], list[PhaseResult]]:
    """Phases that were found or are undecided, and those that were not found."""
    absent = [phase for phase in phases if phase.decision == "not_detected"]
    return [phase for phase in phases if phase.decision != "not_detected"], absent


def render_cohort_page(
    results: Sequence[SampleResult], figures: Mapping[str, Figure], specimen_figures: Mapping[str, Mapping[str, bytes]]
) -> str:
    """One self-contained page about a cohort.

    `figures` are those of the whole cohort by name, `specimen_figures` those of each specimen, by sample id, as PNG.
    """
    specimens = [
        specimen_basics(result)
        | {"figures": [_image(name, png) for name, png in specimen_figures[result.sample_id].items()]}
        for result in results
    ]
    return template_environment().get_template("cohort.html.j2").render(
        specimens=specimens,
        figures=_embed(figures),
        claim_order=[(name, label_of(name)) for name in CLAIM_ORDER],
        simulated=any(result.metadata.get("simulated") for result in results),
        has_truth=any(result.metadata.get("truth") for result in results),
        software=results[0].software,
    )  # fmt: skip


def template_environment() -> jinja2.Environment:
    """Environment of the page templates, with the filters that they use."""
    import jinja2  # late: a table of the terminal needs none
    from markupsafe import Markup

    def shown(value: object) -> object:
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xrdcomp.present"), autoescape=True, undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "percent": partial(percent, unit=False), "interval": interval_text, "limit": limit_text, "label": label_of,
        "gas": gas_label,
    }  # fmt: skip
    return environment


def specimen_basics(result: SampleResult) -> dict[str, Any]:
    """What every template of one specimen shows."""
    composition = result.composition
    shown, absent = _by_decision(result.phases)
    return {
        "result": result,
        "basis": BASIS_LABELS[composition.basis],
        "components": _components(composition, result),
        "sums": list(composition.identifiable_sums.items()),
        "phases": shown,
        "absent": absent,
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
        "title": FIGURE_TITLES.get(name, label_of(name)),
        "alt": FIGURE_DESCRIPTIONS.get(name, label_of(name)),
        "source": "data:image/png;base64," + base64.b64encode(smaller_png(png)).decode("ascii"),
    }
