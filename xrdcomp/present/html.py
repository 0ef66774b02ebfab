"""Results as HTML: tables for notebooks, and the templates of all pages.

Pages are self-contained: style, drawings and scripts are inside, nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from xrdcomp.errors import printable
from xrdcomp.present.tables import (
    BASIS_LABELS,
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
    """Phases that were found or are undecided, and those that were not found or not tested."""
    return [phase for phase in phases if not phase.unseen], [phase for phase in phases if phase.unseen]


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
