"""Results as text and HTML: labels and number formats for people, tables of a terminal, pages of results."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence

from xrdcomp.results import COMPONENTS, Claim, Composition, Estimate, FitResult, PhaseResult, SampleResult, TgaResult

COMPONENT_LABELS = {
    "crystalline_hydroxyapatite": "crystalline hydroxyapatite",
    "organic": "organic",
    "water": "water",
    "carbonate": "carbonate (CO₃)",
    "amorphous_mineral": "amorphous mineral",
    "other_crystalline": "other crystalline",
    "unidentified_crystalline": "unidentified crystalline",
    "total_mineral": "total mineral",
    "non_crystalline": "non-crystalline",
    "carbonate_co2": "carbonate as CO₂",
    "carbonate_co3": "carbonate as CO₃",
    "dry_carbonate_co2": "dry carbonate as CO₂",
    "dry_carbonate_co3": "dry carbonate as CO₃",
}
CLAIM_LABELS = {
    "hydroxyapatite_present": "hydroxyapatite is present",
    "hydroxyapatite_only_crystalline_phase": "hydroxyapatite is the only crystalline phase",
    "hydroxyapatite_minor_component": "hydroxyapatite is a minor component",
    "organic_more_than_half": "organic is more than half",
}
BASIS_LABELS = {"as_received": "as received", "dry": "dry"}
NOT_SEPARABLE = "not separable"


def step_label(name: str) -> str:
    """Readable form of a mass-loss step; what leaves in the carbonate step is CO₂."""
    return "CO₂ of carbonate" if name == "carbonate" else label_of(name)


def gas_label(atmosphere: str) -> str:
    """Readable form of the gas of a thermogravimetric run, which files often do not name."""
    return "gas not stated" if atmosphere == "unknown" else label_of(atmosphere)


def label_of(name: str) -> str:
    """Readable form of a component, claim or parameter id."""
    return COMPONENT_LABELS.get(name) or CLAIM_LABELS.get(name) or name.replace("_", " ")


def component_label(name: str, result: SampleResult | None = None) -> str:
    """Readable form of a component; the apatite of a result is called what was found, e.g. ``crystalline apatite
    (fluorapatite)``.
    """
    if result is None:
        return label_of(name)
    found = [phase for phase in result.phases if phase.is_apatite and phase.decision == "detected"]
    if name != COMPONENTS[0] or all(phase.id.startswith("hydroxyapatite") for phase in found):
        return label_of(name)
    return f"crystalline apatite ({', '.join(phase.name.split(' (')[0].lower() for phase in found)})"


def budget_label(name: str) -> str:
    """Readable form of an input of the uncertainty budget."""
    return label_of(name).replace("xrd", "XRD").replace("tga", "TGA")


def component_order(components: Mapping[str, object]) -> list[str]:
    """Component names in the package's order, unknown ones last."""
    known = [name for name in COMPONENTS if name in components]
    return known + [name for name in components if name not in COMPONENTS]


def _digits(scale: float) -> int:
    """Decimals so that an uncertainty of `scale` shows two figures, at most 3."""
    if not math.isfinite(scale) or scale <= 0:
        return 1
    return min(3, max(0, 1 - math.floor(math.log10(scale))))


def percent(estimate: Estimate | None, *, unit: bool = True) -> str:
    """``12.3 ± 0.8 wt%``, or the words for a component that these measurements cannot separate."""
    if estimate is None:
        return NOT_SEPARABLE
    tail = " wt%" if unit else ""
    if estimate.std is None:
        return f"{100 * estimate.value:.1f}{tail}"
    std = 100 * estimate.std
    digits = min(_digits(std), 2)
    return f"{100 * estimate.value:.{digits}f} ± {std:.{digits}f}{tail}"


def limit_text(limit: float | None) -> str:
    """Detection limit in wt% with two figures; "" where there is none."""
    if limit is None:
        return ""
    value = 100 * limit
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def interval_text(estimate: Estimate | None) -> str:
    """``10.7 – 13.9``: the 95 % interval in wt%, "" where there is none."""
    if estimate is None or estimate.ci95 is None:
        return ""
    low, high = (100 * end for end in estimate.ci95)
    digits = min(_digits((high - low) / 4), 2)
    return f"{low:.{digits}f} – {high:.{digits}f}"


CLAIM_ORDER = tuple(CLAIM_LABELS)
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


_SEVERITIES = ("error", "warning", "info")
_LEAST_NAMED = 0.02  # mass fraction: smaller parts stay out of a sentence


def verdict(result: SampleResult) -> str:
    """One sentence: what the specimen is, how sure that is, and the weakest point, from typed fields alone."""
    composition, basis = result.composition, BASIS_LABELS[result.composition.basis]
    errors, warnings = ([item.text for item in result.messages if item.severity == kind] for kind in _SEVERITIES[:2])
    known = {name: item for name, item in composition.components.items() if item is not None}
    sums = composition.identifiable_sums
    named = sorted(((part.value, name) for name, part in known.items() if part.value >= _LEAST_NAMED), reverse=True)
    detected = [phase.name for phase in result.phases.detected if not phase.internal_standard]
    if named:
        parts = [f"{percent(known[name], unit=False)} wt% {component_label(name, result)}" for _, name in named[:4]]
        what = f"{_listed(parts)} ({basis}, one standard uncertainty)"
    elif shown := [name for name in ("total_mineral", "crystalline", "non_crystalline") if name in sums]:
        parts = [f"{interval_text(sums[name])} wt% {label_of(name)}" for name in shown[:2]]
        what = f"only sums can be told: {_listed(parts)} ({basis}, 95 %)"
    elif detected:
        what = f"crystalline {_listed(detected[:4])} found, without amounts"
    else:
        what = "these measurements do not determine what it is"
    if known and not errors:  # the part that is known least well, and what that rests on
        widest = max(known, key=lambda name: known[name].std or 0.0)
        inputs = composition.budget.get(widest, {})
        most = max(inputs, key=lambda name: inputs[name], default="")
        weak = f"least sure is {component_label(widest, result)}"
        weak += f", by {budget_label(most)}" if most else ""
    else:
        weak = ""
    told = f"not to be used: {_first_sentence(errors[0])}" if errors else _first_sentence((warnings or [""])[0])
    ends = [part for part in (weak, f"weakest point: {told}" if told and not errors else told) if part]
    return "; ".join([f"{result.sample_id}: {what}", *ends]).rstrip(".") + "."


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _first_sentence(text: str) -> str:
    """Beginning of a message up to its first full stop, colon or semicolon that ends a thought."""
    return textwrap.shorten(re.split(r"(?<=[\w)%°])[.;:] (?=\D)", text, maxsplit=1)[0], 160, placeholder=" …")


def wrapped(text: str, width: int) -> str:
    """Text with every line that is longer than `width` broken between words, and indented as it began."""
    lines = []
    for line in text.splitlines():
        inset = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, max(width, 40), subsequent_indent=inset, break_on_hyphens=False, break_long_words=False,
            drop_whitespace=len(line) > width, replace_whitespace=False,
        ) or [""]  # fmt: skip
    return "\n".join(lines)


def result_table(result: SampleResult) -> str:
    """One specimen: verdict, composition, steps, phases, claims, messages by severity, verdict again.

    Fractions in wt%, temperatures in °C.
    """
    label = " (simulated specimen)" if result.metadata.get("simulated") else ""
    conclusion = result.verdict
    blocks = [
        f"{result.sample_id}{label}: {result.status}\n{conclusion}",
        composition_table(result.composition, result),
    ]
    if result.xrd is not None:
        blocks.append(_fit_line(result.xrd))
        if "free_polynomial" in (lost := result.xrd.bragg_area_lost):
            own, free, rolling = (100.0 * lost[key] + 0.0 for key in ("fit", "free_polynomial", "rolling"))
            blocks[-1] += (
                f"\nBragg area lost to the background: {own:.1f} % in this fit, {free:.1f} % with a free polynomial; "
                f"a rolling background of ± 2° would take {rolling:.1f} %"
            )
    if result.phases:
        blocks.append(phase_block(result))
    if result.tga is not None:
        blocks.append(tga_table(result.tga))
    if result.claims:
        rows = [(label_of(c.id), c.verdict, _probability(c)) for c in result.claims]
        blocks.append("claims\n" + _indent(align(rows)))
    if result.messages:
        told = sorted(result.messages, key=lambda message: _SEVERITIES.index(message.severity))
        blocks.append("messages\n" + _indent("\n".join(map(str, told))))
    return "\n\n".join([*blocks, conclusion])


def result_summary(result: SampleResult) -> str:
    """One specimen on one screen: composition, phases found, claims, and how many messages there are."""
    label = " (simulated specimen)" if result.metadata.get("simulated") else ""
    lines = [f"SampleResult {result.sample_id}{label}: {result.status}", composition_table(result.composition, result)]
    if result.xrd is not None:
        lines.append(_fit_line(result.xrd))
    if result.phases:
        found = ", ".join(phase.name for phase in result.phases.detected) or "none"
        open_ = sum(phase.decision == "inconclusive" for phase in result.phases)
        lines.append(f"phases: {found} detected; {open_} inconclusive of {len(result.phases)}")
    if result.tga is not None:
        steps = ", ".join(f"{step_label(step.name)} {percent(step.mass_loss)}" for step in result.tga.steps)
        lines.append(f"thermogravimetry ({gas_label(result.tga.atmosphere)}): {steps or 'no step'}")
    rows = [(label_of(claim.id), claim.verdict, _probability(claim)) for claim in result.claims]
    if rows:
        lines.append("claims\n" + _indent(align(rows)))
    codes = ", ".join(message.code for message in result.messages if message.severity != "info")
    lines.append(f"{len(result.messages)} messages" + (f", to be heeded: {codes}" if codes else ""))
    return "\n".join(lines)


def composition_table(composition: Composition, result: SampleResult | None = None) -> str:
    """Components and sums that can be told as text, wt%; `result` tells which apatite was found."""
    if not any(composition.components.values()):
        return "composition: not determined by these measurements (see messages)"
    rows = [("", "wt%", "95 % interval")]
    for name in component_order(composition.components):
        estimate = composition.components[name]
        rows.append((component_label(name, result), percent(estimate, unit=False), interval_text(estimate)))
    for name, total in composition.identifiable_sums.items():
        rows.append((f"sum: {label_of(name)}", percent(total, unit=False), interval_text(total)))
    head = f"composition, {BASIS_LABELS[composition.basis]} (from {composition.method})"
    return head + "\n" + _indent(align(rows, right=(1, 2)))


def phase_table(phases: Sequence[PhaseResult], *, ids: bool = False) -> str:
    """Phases found or undecided in full, those not found in one line with their limits, as text in wt%.

    `ids` names them as Python does, which is shorter.
    """
    rows = [("", "decision", "wt% of specimen", "wt% of crystalline", "a, c (Å)")]
    absent: list[str] = []
    for phase in phases:
        limit = "" if phase.detection_limit is None else f" < {limit_text(phase.detection_limit)}"
        if phase.decision == "not_detected":
            absent.append(f"{phase.id}{limit}")
            continue
        cell = ", ".join(f"{phase.cell[axis].value:.4f}" for axis in ("a", "c") if axis in phase.cell)
        # Of the crystalline part, a spike has no share: what it shares is the spiked powder.
        shares = (phase.weight_fraction, None if phase.internal_standard else phase.crystalline_weight_fraction)
        specimen, crystalline = ("" if share is None else percent(share, unit=False) for share in shares)
        name = (phase.id if ids else phase.name) + " (internal standard)" * phase.internal_standard
        rows.append((name, phase.decision.replace("_", " "), specimen, crystalline, cell))
    text = "crystalline phases\n" + _indent(align(rows, right=(2, 3)))
    if absent:
        text += "\n  not detected (below, wt%): " + ", ".join(absent)
    return text


def phase_block(result: SampleResult) -> str:
    """Phases of one specimen and the peaks that none of them explains, as text."""
    text = phase_table(result.phases)
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
        (step_label(step.name), f"{step.start_c:.0f}", f"{step.end_c:.0f}", _celsius(step.peak_c),
         _celsius(step.onset_c), percent(step.mass_loss, unit=False), interval_text(step.mass_loss))
        for step in tga.steps
    ]  # fmt: skip
    rows.append(("residue", "", "", "", "", percent(tga.residue, unit=False), interval_text(tga.residue)))
    head = f"thermogravimetry ({gas_label(tga.atmosphere)})"
    text = head + "\n" + _indent(align(rows, right=(1, 2, 3, 4, 5, 6)))
    if tga.quantities:
        quantities = [
            (label_of(name), percent(value) if not value.unit else str(value)) for name, value in tga.quantities.items()
        ]
        text += "\n\nmass balance\n" + _indent(align(quantities))
    return text


def cohort_table(results: Sequence[SampleResult]) -> str:
    """One line per specimen: hydroxyapatite and organic in wt%, beside truth where simulated, and the claims."""
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
        marks = {
            claim.id: _MARKS[claim.verdict] + ("" if claim.probability is None else f" ({claim.probability:.2f})")
            for claim in result.claims
        }
        rows.append(row + [marks.get(claim, "-") for claim in CLAIM_ORDER])
    return align(rows, right=range(1, 5 if simulated else 3))


def _probability(claim: Claim) -> str:
    return "" if claim.probability is None else f"P = {claim.probability:.3f}"


def _celsius(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _fit_line(fit: FitResult) -> str:
    return (
        f"fit over {fit.two_theta[0]:.2f}–{fit.two_theta[-1]:.2f}° 2θ: Rwp {100 * fit.rwp:.2f} %, "
        f"Rexp {100 * fit.rexp:.2f} %, GoF {fit.gof:.2f}, {len(fit.observed)} points, {fit.n_parameters} parameters"
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
