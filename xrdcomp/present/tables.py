"""Results as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from xrdcomp.present.words import (
    BASIS_WORDS,
    CLAIM_WORDS,
    NOT_SEPARABLE,
    component_order,
    component_words,
    gas_words,
    interval_text,
    limit_text,
    percent,
    words_for,
    words_for_step,
)
from xrdcomp.results import Claim, FitResult, SampleResult, TgaResult

__all__ = ["CLAIM_ORDER", "align", "cohort_table", "phase_table", "result_table", "tga_table"]

CLAIM_ORDER = tuple(CLAIM_WORDS)
_MARKS = {"supported": "yes", "refuted": "no", "inconclusive": "?"}


def align(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ") -> str:
    """Columns padded to equal width; `right` names the columns set flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        gap.join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def result_table(result: SampleResult) -> str:
    """One specimen: composition, steps, phases, claims and messages, as text.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    str
        Fractions in wt%, temperatures in °C.
    """
    label = " (simulated specimen)" if result.metadata.get("simulated") else ""
    blocks = [f"{result.sample_id}{label}: {result.status}", _composition_block(result)]
    if result.fit is not None:
        fit = result.fit
        blocks.append(
            f"fit over {fit.two_theta[0]:.2f}–{fit.two_theta[-1]:.2f}° 2θ: Rwp {100 * fit.rwp:.2f} %, "
            f"Rexp {100 * fit.rexp:.2f} %, GoF {fit.gof:.2f}, {len(fit.observed)} points, "
            f"{fit.n_parameters} parameters" + _bragg_lost(fit)
        )
    if result.phases:
        blocks.append(phase_table(result))
    if result.tga is not None:
        blocks.append(tga_table(result.tga))
    if result.claims:
        rows = [(words_for(c.id), c.verdict, _probability(c)) for c in result.claims]
        blocks.append("claims\n" + _indent(align(rows)))
    if result.diagnostics:
        lines = [f"{d.severity}: {d.code}: {d.text}" for d in result.diagnostics]
        blocks.append("messages\n" + _indent("\n".join(lines)))
    return "\n\n".join(blocks)


def _composition_block(result: SampleResult) -> str:
    composition = result.composition
    if not any(composition.components.values()):
        return "composition: not determined by these measurements (see messages)"
    rows = [("", "wt%", "95 % interval")]
    for name in component_order(composition.components):
        estimate = composition.components[name]
        value = NOT_SEPARABLE if estimate is None else percent(estimate, unit=False)
        rows.append((component_words(name, result), value, interval_text(estimate)))
    for name, total in composition.identifiable_sums.items():
        rows.append((f"sum: {words_for(name)}", percent(total, unit=False), interval_text(total)))
    head = f"composition, {BASIS_WORDS[composition.basis]} (from {composition.method})"
    return head + "\n" + _indent(align(rows, right=(1, 2)))


def phase_table(result: SampleResult) -> str:
    """Phases found or undecided in full, those not found in one line with their limits, as text.

    Parameters
    ----------
    result : SampleResult

    Returns
    -------
    str
        Fractions and limits in wt%.
    """
    rows = [("", "decision", "wt% of specimen", "wt% of crystalline", "a, c (Å)")]
    absent: list[str] = []
    for phase in result.phases:
        limit = "" if phase.detection_limit is None else f" < {limit_text(phase.detection_limit)}"
        if phase.decision == "not_detected":
            absent.append(f"{phase.id}{limit}")
            continue
        cell = ", ".join(f"{phase.cell[axis].value:.4f}" for axis in ("a", "c") if axis in phase.cell)
        specimen = "" if phase.weight_fraction is None else percent(phase.weight_fraction, unit=False)
        spike = phase.evidence.get("internal_standard") is True  # what it shares is the spiked powder
        share = None if spike else phase.crystalline_weight_fraction
        rows.append(
            (f"{phase.name} (internal standard)" if spike else phase.name, phase.decision.replace("_", " "), specimen,
             "" if share is None else percent(share, unit=False), cell)
        )  # fmt: skip
    text = "crystalline phases\n" + _indent(align(rows, right=(2, 3)))
    if absent:
        text += "\n  not detected (below, wt%): " + ", ".join(absent)
    if peaks := result.metadata.get("unexplained_peaks"):
        rows = [("unexplained peaks", "2θ (°)", "d (Å)", "z", "nearest candidates")]
        rows += [
            ("", f"{peak['two_theta']:.2f}", f"{peak['d_spacing']:.3f}", f"{peak['z']:.1f}",
             ", ".join(peak["candidates"]))
            for peak in peaks
        ]  # fmt: skip
        text += "\n" + _indent(align(rows, right=(1, 2, 3)))
    return text


def tga_table(tga: TgaResult) -> str:
    """Steps of a thermogravimetric run as text."""
    rows = [("", "start °C", "end °C", "peak °C", "onset °C", "loss wt%", "95 % interval")]
    rows += [
        (words_for_step(step.name), f"{step.start_c:.0f}", f"{step.end_c:.0f}", _celsius(step.peak_c),
         _celsius(step.onset_c), percent(step.mass_loss, unit=False), interval_text(step.mass_loss))
        for step in tga.steps
    ]  # fmt: skip
    rows.append(("residue", "", "", "", "", percent(tga.residue, unit=False), interval_text(tga.residue)))
    head = f"thermogravimetry ({gas_words(tga.atmosphere)})"
    text = head + "\n" + _indent(align(rows, right=(1, 2, 3, 4, 5, 6)))
    if tga.quantities:
        quantities = [
            (words_for(name), percent(value) if not value.unit else str(value))
            for name, value in tga.quantities.items()
        ]
        text += "\n\nmass balance\n" + _indent(align(quantities))
    return text


def cohort_table(results: Sequence[SampleResult]) -> str:
    """One line per specimen: hydroxyapatite and organic, beside truth where simulated, and the claims.

    Parameters
    ----------
    results : sequence of SampleResult

    Returns
    -------
    str
        Fractions in wt%.
    """
    simulated = any(result.metadata.get("truth") for result in results)
    head = ["specimen", "HA wt%", "organic wt%", "HA present", "HA only", "HA minor", "organic > half"]
    if simulated:
        head[2:2] = ["true"]
        head[4:4] = ["true"]
    rows = [head]
    for result in results:
        truth = result.metadata.get("truth") or {}
        row = [result.sample_id]
        for name in ("crystalline_hydroxyapatite", "organic"):
            estimate = result.composition.components.get(name)
            row.append(NOT_SEPARABLE if estimate is None else percent(estimate, unit=False))
            if simulated:
                row.append(f"{100 * truth[name]:.1f}" if name in truth else "")
        verdicts = {claim.id: claim for claim in result.claims}
        row += [_verdict(verdicts.get(claim)) for claim in CLAIM_ORDER]
        rows.append(row)
    numbers = range(1, 5 if simulated else 3)
    return align(rows, right=tuple(numbers))


def _verdict(claim: Claim | None) -> str:
    if claim is None:
        return "-"
    probability = "" if claim.probability is None else f" ({claim.probability:.2f})"
    return _MARKS[claim.verdict] + probability


def _probability(claim: Claim) -> str:
    return "" if claim.probability is None else f"P = {claim.probability:.3f}"


def _celsius(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _bragg_lost(fit: FitResult) -> str:
    """One line on the share of the Bragg area that backgrounds take."""
    lost = fit.bragg_area_lost
    if "free_polynomial" not in lost:
        return ""
    own, free, rolling = (100.0 * lost[key] + 0.0 for key in ("fit", "free_polynomial", "rolling"))
    return (
        f"\nBragg area lost to the background: {own:.1f} % in this fit, {free:.1f} % with a free polynomial; a rolling "
        f"background of ± 2° would take {rolling:.1f} %"
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
