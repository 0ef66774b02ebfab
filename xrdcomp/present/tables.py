"""Results as text and HTML: labels and number formats for people, tables of a terminal, pages of results."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xrdcomp.data import SCREEN_WIDTH
from xrdcomp.results import (
    COMPONENTS,
    Claim,
    Composition,
    ControlChart,
    Estimate,
    FitResult,
    PhaseResult,
    SampleResult,
    TgaResult,
)

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
SIZE_LABELS = {"c_axis": "size along c", "a_axis": "size along a", "volume_mean": "mean size"}
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
    (fluorapatite)``, and crystals with carbonate, which is counted by itself, say so.
    """
    if result is None or name not in ("crystalline_hydroxyapatite", "other_crystalline"):
        return label_of(name)
    detected = [phase for phase in result.phases if phase.decision == "detected" and not phase.internal_standard]
    if name == "other_crystalline":
        with_carbonate = any(phase.facts.carbonate_fraction > 0.0 and not phase.is_apatite for phase in detected)
        return f"{label_of(name)} (excl. CO₃)" if with_carbonate else label_of(name)
    found = [phase for phase in detected if phase.is_apatite]
    members = [phase.evidence.member for phase in result.phases if phase.is_apatite]
    known = [member.probability for member in members if member is not None and member.probability is not None]
    if known and sum(known) < 0.5:
        return "crystalline apatite (of other elements)"
    if not found and any(phase.is_apatite and phase.undecided for phase in result.phases):
        return "crystalline apatite (undecided)"
    told = ["excl. CO₃"] if any(phase.weight_fraction is not None for phase in found) else []
    if likelier := _likelier_member(result, found):
        return f"crystalline apatite ({', '.join([f'probably {likelier}', *told])})"
    if all(phase.id.startswith("hydroxyapatite") for phase in found):
        return f"{label_of(name)} (excl. CO₃)" if told else label_of(name)
    told = [*(phase.name.split(" (")[0].lower() for phase in found), *told]
    return f"crystalline apatite ({', '.join(told)})"


def _likelier_member(result: SampleResult, found: Sequence[PhaseResult]) -> str:
    """Name of the likeliest member where one of another kind than the apatite that was fitted has more than even odds.

    The fit keeps the structure whose cell it found; which member it is, cell and intensities say together.
    """
    kinds = {phase.facts.end_member for phase in found}
    likely = [
        (member.probability, phase)
        for phase in result.phases
        if phase.is_apatite and phase.facts.end_member not in kinds
        if (member := phase.evidence.member) is not None and (member.probability or 0.0) > 0.5
    ]
    return likely[0][1].name.split(" (")[0].lower() if found and likely else ""


def budget_label(name: str) -> str:
    """Readable form of an input of the uncertainty budget."""
    return label_of(name).replace("xrd", "XRD").replace("tga", "TGA")


def component_order(components: Mapping[str, object]) -> list[str]:
    """Component names in the package's order, unknown ones last."""
    known = [name for name in COMPONENTS if name in components]
    return known + [name for name in components if name not in COMPONENTS]


MOST_DECIMALS = 4
MOST_PLACES, MOST_IN_FULL = 8, 1e7
"""Decimals, and size, up to which numbers are written without a power of ten."""


def decimals(std: float | None) -> int:
    """Decimals to which a value with this standard uncertainty is written, by the rule of the Particle Data Group.

    Two figures where the first three of the uncertainty are 100 to 354 or 950 to 999, else one, as in the package
    ``uncertainties``; 1 where there is nothing to round to.
    """
    if std is None or not math.isfinite(std) or std <= 0:
        return 1
    return min(MOST_DECIMALS, max(0, _places(std)))


def _places(std: float) -> int:
    exponent = math.floor(math.log10(std))
    leading = int(std / 10.0 ** (exponent - 2)) if exponent >= 0 else int(std / 10.0 ** (exponent + 1) * 1000)
    return (1 if leading <= 354 else 0) - exponent


def percent(estimate: Estimate | None, *, unit: bool = True) -> str:
    """``12.3 ± 0.8 wt%``, or the words for a component that these measurements cannot separate."""
    if estimate is None:
        return NOT_SEPARABLE
    value, places, tail = 100 * estimate.value, decimals(100 * (estimate.std or 0.0)), " wt%" if unit else ""
    return f"{value:z.{places}f}" + (f" ± {100 * estimate.std:.{places}f}" if estimate.std is not None else "") + tail


def limit_text(limit: float | None) -> str:
    """Detection limit in wt% with two figures; "" where there is none."""
    if limit is None:
        return ""
    value = 100 * limit
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def interval_text(estimate: Estimate | None) -> str:
    """``10.7 – 13.9``: the 95 % interval in wt% to the decimals of its value, "" where there is none."""
    if estimate is None or estimate.ci95 is None:
        return ""
    low, high = (100 * end for end in estimate.ci95)
    places = decimals(100 * estimate.std if estimate.std else (high - low) / 4)
    return f"{low:z.{places}f} – {high:z.{places}f}"


def brackets(estimate: Estimate | None, *, unit: bool = False) -> str:
    """``9.4046(13) Å``: the value with its standard uncertainty in units of the last figure; "" where there is none."""
    if estimate is None:
        return ""
    value, std = estimate.value, estimate.std
    if not std or not math.isfinite(std):
        text = f"{value:.6g}"
    elif (places := _places(std)) > MOST_PLACES or abs(value) >= MOST_IN_FULL:
        text = f"{estimate:S}"
    else:
        shown = f"{round(std, places):.{max(places, 0)}f}"
        last = shown if float(shown) >= 1.0 else shown.removeprefix("0.").lstrip("0")
        text = f"{round(value, places):.{max(places, 0)}f}({last})"
    return f"{text} {estimate.unit}" if unit and estimate.unit else text


UNIT_LABELS = {"counts": "counts", "cps": "counts/s", "arbitrary": "arb. units"}
CLAIM_ORDER = tuple(CLAIM_LABELS)
_MARKS = {"supported": "yes", "refuted": "no", "inconclusive": "?"}


def align(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ", width: int = 0) -> str:
    """Columns padded to equal width; `right` names the columns set flush right.

    Where they take more than `width` (0: no limit), words of the first row and of columns that are flush left go on in
    further lines of their cell, the widest column first.
    """
    columns = range(len(rows[0]))
    widths = [max(len(row[i]) for row in rows) for i in columns]
    body = [max((len(row[i]) for row in rows[1:]), default=0) for i in columns]  # numbers are never broken
    longest = [max((len(word) for row in rows for word in row[i].split()), default=0) for i in columns]
    least = [max(body[i] if i in right else 0, min(longest[i], 12)) for i in columns]
    while width and (excess := sum(widths) + len(gap) * (len(widths) - 1) - width) > 0:
        widest = max((i for i in columns if widths[i] > least[i]), key=lambda i: widths[i] - least[i], default=None)
        if widest is None:
            break
        widths[widest] -= min(excess, max(1, (widths[widest] - least[widest]) // 2))
    lines = []
    for row in rows:
        cells = [textwrap.wrap(cell, max(room, 1), break_on_hyphens=False) if len(cell) > room else [cell]
                 for cell, room in zip(row, widths, strict=True)]  # fmt: skip
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = (part.rjust(widths[i]) if i in right else part.ljust(widths[i]) for i, part in enumerate(parts))
            lines.append(gap.join(padded).rstrip())
    return "\n".join(lines)


_SEVERITIES = ("error", "warning", "info")
MESSAGE_HEADS = {
    "error": "errors: no number of this kind may be used", "warning": "warnings: usable with care", "info": "notes"
}  # fmt: skip
_LEAST_NAMED = 0.02  # mass fraction: smaller parts stay out of a sentence
_SKEWED = 2.0  # times as far as a normal error would, from which on an end of the interval is told instead of it,
_FAR = 0.2  # where it is so far, mass fraction


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the specimen is (`parts` under `head`, `tail` after them), the least sure part, and the weakest point."""

    head: str
    parts: tuple[str, ...]
    tail: str
    least_sure: str
    weakest: str

    def what(self, number: int = 4) -> str:
        """The first `number` parts as a sentence."""
        return self.head + (_listed(self.parts[:number]) if self.parts else "")


def _amount(part: Estimate) -> str:
    """Value with its standard uncertainty, or the 95 % interval where that reaches much farther than such an error."""
    farthest = max(part.value - part.low, part.high - part.value)
    if part.std is None or farthest <= max(_SKEWED * 1.96 * part.std, _FAR):
        return f"{percent(part, unit=False)} wt%"
    return f"{interval_text(part)} wt% (95 %)"


def _answer(result: SampleResult) -> _Answer:
    composition, basis = result.composition, BASIS_LABELS[result.composition.basis]
    errors, warnings = ([item.text for item in result.messages if item.severity == kind] for kind in _SEVERITIES[:2])
    known = {name: item for name, item in composition.components.items() if item is not None}
    sums = composition.identifiable_sums
    told = {name: part.value for name, part in known.items() if part.value >= max(_LEAST_NAMED, part.std or 0.0)}
    named = sorted(((value, name) for name, value in told.items()), reverse=True)  # not what is mostly its uncertainty
    detected = [phase.name for phase in result.phases.detected if not phase.internal_standard]
    head, parts, tail = "", [], ""
    if named:
        parts = [f"{_amount(known[name])} {component_label(name, result)}" for _, name in named[:4]]
        tail = f" ({basis}, one standard uncertainty)" if any("±" in part for part in parts) else f" ({basis})"
    elif shown := [name for name in ("total_mineral", "crystalline", "non_crystalline") if name in sums]:
        head = "only sums can be told: "
        parts = [f"{interval_text(sums[name])} wt% {label_of(name)}" for name in shown[:2]]
        tail = f" ({basis}, 95 %)"
    elif detected:
        head, parts, tail = "crystalline ", detected[:4], " found, without amounts"
    elif result.tga is not None and result.tga.steps and not errors:
        head = "no composition; the run loses "
        largest = sorted(result.tga.steps, key=lambda step: step.mass_loss.value)[-4:]
        steps = [(step.start_c if step.peak_c is None else step.peak_c, step.mass_loss) for step in largest]
        parts = [f"{percent(loss, unit=False)} wt% at {at:.0f} °C" for at, loss in sorted(steps, key=lambda of: of[0])]
    else:
        head = "these measurements do not determine what it is"
    least = ""
    if known and not errors:  # the part that is known least well, and what that rests on
        widest = max(known, key=lambda name: known[name].std or 0.0)
        inputs = composition.budget.get(widest, {})
        most = max(inputs, key=lambda name: inputs[name], default="")
        least = f"least sure is {component_label(widest, result)}"
        least += f", by {budget_label(most)}" if most else ""
    weakest = _first_sentence((errors or warnings or [""])[0])
    return _Answer(head=head, parts=tuple(parts), tail=tail, least_sure=least, weakest=weakest)


def verdict(result: SampleResult) -> str:
    """One sentence: what the specimen is, how sure that is, and the weakest point, from typed fields alone."""
    found = _answer(result)
    failed = result.status == "failed"
    told = f"{'not to be used' if failed else 'weakest point'}: {found.weakest}" if found.weakest else ""
    ends = [part for part in (found.least_sure, told) if part]
    return "; ".join([f"{result.sample_id}: {found.what()}{found.tail}", *ends]).rstrip(".") + "."


STATUS_WORDS = {"ok": "sound", "warning": "use with care", "failed": "NOT TO BE USED"}


def verdict_lines(result: SampleResult, width: int = SCREEN_WIDTH, written: str = "") -> list[str]:
    """Three lines: what the specimen is; how sure that is and its weakest point; where the report is.

    The first two are made to fit `width`, by naming fewer parts and by ending a sentence in "…".
    """
    found = _answer(result)
    head, simulated = f"{result.sample_id}: ", ", simulated specimen" * bool(result.metadata.get("simulated"))
    forms = [found.what() + found.tail, found.what()]
    if all("wt%" in part for part in found.parts):  # the unit once, then fewer parts
        short = [part.replace(" wt%", "").replace("crystalline ", "") for part in found.parts]
        forms += [
            f"{found.head}{', '.join(short[:n])}{', …' * (n < len(short))} (wt%)" for n in range(len(short), 0, -1)
        ]
    first = head + next((form for form in forms if len(head) + len(form) <= width), forms[-1])
    sure = f"{STATUS_WORDS[result.status]} (status {result.status}{simulated})"
    weakest = f"weakest point: {found.weakest}" if found.weakest else ""
    second = "; ".join(filter(None, (sure, found.least_sure, weakest)))
    if len(second) > width:  # the weakest point goes before the least sure part
        second = textwrap.shorten(f"{sure}; {weakest or found.least_sure}", max(width, 40), placeholder=" …")
    return [first, second.rstrip("."), *([written] if written else [])]


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


def result_table(result: SampleResult, width: int = SCREEN_WIDTH, *, verbose: bool = False, written: str = "") -> str:
    """One specimen: verdict, composition, fit, phases, steps, claims, messages by severity, verdict again.

    Fractions in wt%, temperatures in °C, no line longer than `width`. `verbose` shows mass balance, parameters of the
    fit and notes as well; `written` tells where the report is.
    """
    conclusion = "\n".join(verdict_lines(result, width, written))
    blocks = [conclusion, composition_table(result.composition, result)]
    if result.xrd is not None:
        blocks.append(_fit_line(result.xrd))
        if verbose and "free_polynomial" in (lost := result.xrd.bragg_area_lost):
            own, free, rolling = (100.0 * lost[key] + 0.0 for key in ("fit", "free_polynomial", "rolling"))
            blocks[-1] += (
                f"\nBragg area lost to the background: {own:.1f} % in this fit, {free:.1f} % with a free polynomial; "
                f"a rolling background of ± 2° would take {rolling:.1f} %"
            )
    if result.phases:
        blocks.append(phase_block(result, width))
    if result.tga is not None:
        blocks.append(tga_table(result.tga, width, balance=verbose))
    if result.claims:
        rows = [(label_of(c.id), c.verdict, _probability(c)) for c in result.claims]
        blocks.append("claims\n" + _indent(align(rows, width=width - 2)))
    if verbose and result.xrd is not None and result.xrd.parameters:
        values = [(name, str(value)) for name, value in result.xrd.parameters.items()]
        blocks.append("parameters of the fit\n" + _indent(align(values, width=width - 2)))
    blocks += [block for block in (message_block(result, verbose=verbose),) if block]
    return wrapped("\n\n".join([*blocks, conclusion]), width)


def message_block(result: SampleResult, *, verbose: bool = False) -> str:
    """Messages by severity, errors first; of notes only the codes, unless `verbose`."""
    lines = []
    for severity, head in MESSAGE_HEADS.items():
        found = [message for message in result.messages if message.severity == severity]
        if severity == "info" and found and not verbose:
            codes = ", ".join(dict.fromkeys(message.code for message in found))
            lines.append(f"{len(found)} note{'s' * (len(found) > 1)}: {codes}; --verbose shows them")
        elif found:
            lines.append(head + "\n" + _indent("\n".join(map(str, found))))
    return "\n".join(lines)


def result_summary(result: SampleResult) -> str:
    """One specimen on one screen: composition, phases found, claims, and how many messages there are."""
    label = " (simulated specimen)" if result.metadata.get("simulated") else ""
    lines = [f"SampleResult {result.sample_id}{label}: {result.status}", composition_table(result.composition, result)]
    if result.xrd is not None:
        lines.append(_fit_line(result.xrd))
    if result.phases:
        found = ", ".join(phase.name for phase in result.phases.detected) or "none"
        open_ = sum(phase.undecided for phase in result.phases)
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


def by_decision(phases: Sequence[PhaseResult]) -> dict[str, list[PhaseResult]]:
    """Phases that were found, are undecided, are absent with a limit, and were not tested."""
    groups: dict[str, list[PhaseResult]] = {"found": [], "undecided": [], "absent": [], "not_tested": []}
    for phase in phases:
        names = {"detected": "found", "inconclusive": "undecided", "not_detected": "absent"}
        groups[names[phase.decision] if phase.evidence.tested else "not_tested"].append(phase)
    return groups


def phase_table(phases: Sequence[PhaseResult], width: int = SCREEN_WIDTH, *, ids: bool = False) -> str:
    """Phases found with amounts and microstructure; those undecided, absent with their limits, and not tested in lists.

    Fractions in wt%. `ids` names them as Python does, which is shorter.
    """
    groups = by_decision(phases)
    weighed = [phase for phase in groups["undecided"] if phase.weight_fraction is not None]
    rows = [("", "decision", "wt% of specimen", "wt% of crystalline")]
    for phase in (*groups["found"], *weighed):
        # Of the crystalline part, a spike has no share: what it shares is the spiked powder.
        shares = (phase.weight_fraction, None if phase.internal_standard else phase.crystalline_weight_fraction)
        specimen, crystalline = ("" if share is None else percent(share, unit=False) for share in shares)
        name = (phase.id if ids else phase.name) + " (internal standard)" * phase.internal_standard
        rows.append((name, phase.decision.replace("_", " "), specimen, crystalline))
    blocks = [align(rows, right=(2, 3), width=width - 2)] if len(rows) > 1 else ["none found"]
    head, *structure = microstructure_rows((*groups["found"], *weighed), ids=ids) or [()]
    for name, *values in structure:
        told = (f"{what} {value}" for what, value in zip(head[1:], values, strict=True) if value)
        blocks.append(f"{name}: " + ", ".join(told))
    if open_ := [phase for phase in groups["undecided"] if phase.weight_fraction is None]:
        reasons: dict[str, list[str]] = {}
        for phase in open_:
            reasons.setdefault(phase.evidence.reason, []).append(phase.id if ids else phase.name)
        listed = (", ".join(names) + (f" ({reason})" if reason else "") for reason, names in reasons.items())
        blocks.append("undecided: " + "; ".join(listed))
    if absent := [f"{phase.id} < {limit_text(phase.detection_limit)}" for phase in groups["absent"]]:
        blocks.append("not detected (below, wt%): " + ", ".join(absent))
    if groups["not_tested"]:
        blocks.append("not tested (the pattern cannot show it): " + ", ".join(x.id for x in groups["not_tested"]))
    return wrapped("crystalline phases\n" + _indent("\n".join(blocks)), width)


def microstructure_columns(phases: Sequence[PhaseResult]) -> dict[str, str]:
    """Heads of cell, crystallite sizes and microstrain, as far as phases have them, by their places in a phase."""
    edges = [axis for axis in ("a", "b", "c", "alpha", "beta", "gamma") if any(axis in phase.cell for phase in phases)]
    sizes = dict.fromkeys(name for phase in phases for name in phase.crystallite_size_nm)
    heads = {f"cell.{edge}": f"{edge} ({'°' if len(edge) > 1 else 'Å'})" for edge in edges}
    heads |= {f"crystallite_size_nm.{name}": f"{SIZE_LABELS.get(name, label_of(name))} (nm)" for name in sizes}
    return heads | ({"microstrain": "microstrain"} if any(phase.microstrain for phase in phases) else {})


def microstructure_of(phase: PhaseResult, place: str) -> Estimate | None:
    """What stands at a place of `microstructure_columns`."""
    field, _, name = place.partition(".")
    found: Estimate | Mapping[str, Estimate] | None = getattr(phase, field)
    return found.get(name) if isinstance(found, Mapping) else found


def microstructure_rows(phases: Sequence[PhaseResult], *, ids: bool = False) -> list[tuple[str, ...]]:
    """Head and rows of cell, crystallite sizes and microstrain of phases that have them; empty where none has."""
    heads = microstructure_columns(phases)
    known = [phase for phase in phases if any(microstructure_of(phase, place) for place in heads)]
    rows = [
        (phase.id if ids else phase.name, *(brackets(microstructure_of(phase, place)) for place in heads))
        for phase in known
    ]
    return [("", *heads.values()), *rows] if rows else []


def phase_block(result: SampleResult, width: int = SCREEN_WIDTH) -> str:
    """Phases of one specimen and the peaks that none of them explains, as text."""
    text = phase_table(result.phases, width)
    weighed = [p for p in result.phases if p.weight_fraction is not None and not p.internal_standard]
    if any(p.is_apatite or p.facts.carbonate_fraction > 0.0 for p in weighed):
        text += "\n" + _indent("with the CO₃ of their lattices, which the composition counts as carbonate")
    if peaks := result.metadata.get("unexplained_peaks"):
        rows = [("unexplained peaks", "2θ (°)", "d (Å)", "z", "nearest candidates")]
        rows += [
            ("", f"{peak['two_theta']:.2f}", f"{peak['d_spacing']:.3f}", f"{peak['z']:.1f}",
             ", ".join(peak["candidates"]))
            for peak in peaks
        ]  # fmt: skip
        text += "\n" + _indent(align(rows, right=(1, 2, 3), width=width - 2))
    return text


def tga_table(tga: TgaResult, width: int = SCREEN_WIDTH, *, balance: bool = True) -> str:
    """Steps of a thermogravimetric run as text, and its mass balance."""
    rows = [("", "start °C", "end °C", "peak °C", "onset °C", "loss wt%", "95 % interval")]
    rows += [
        (step_label(step.name), f"{step.start_c:.0f}", f"{step.end_c:.0f}", _celsius(step.peak_c),
         _celsius(step.onset_c), percent(step.mass_loss, unit=False), interval_text(step.mass_loss))
        for step in tga.steps
    ]  # fmt: skip
    rows.append(("residue", "", "", "", "", percent(tga.residue, unit=False), interval_text(tga.residue)))
    head = f"thermogravimetry ({gas_label(tga.atmosphere)})"
    text = head + "\n" + _indent(align(rows, right=(1, 2, 3, 4, 5, 6), width=width - 2))
    if tga.quantities and balance:
        quantities = [
            (label_of(name), percent(value) if not value.unit else str(value)) for name, value in tga.quantities.items()
        ]
        text += "\n\nmass balance\n" + _indent(align(quantities, width=width - 2))
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


CONTROL_LABELS = {
    "baseline": "baseline", "in_control": "in control", "attention": "attention", "drifting": "DRIFTS",
    "out_of_control": "OUT OF CONTROL",
}  # fmt: skip


def control_table(charts: Sequence[ControlChart]) -> str:
    """State of each quantity of a history, with the rules that its last run breaks and where a drift leads."""
    rows: list[tuple[str, ...]] = [
        ("instrument", "standard", "quantity", "runs", "last value", "mean", "s", "z", "state")
    ]
    for chart in charts:
        told = chart.to_dict()
        numbers = [f"{told[name]:{form}}" if told[name] is not None else "" for name, form in
                   (("value", ".7g"), ("centre", ".7g"), ("spread", ".2g"), ("score", "+.1f"))]  # fmt: skip
        state = CONTROL_LABELS[chart.state]
        if chart.state == "baseline":
            state += f", {min(told['runs'], chart.baseline_runs)} of {chart.baseline_runs}"
        if chart.rules_now:
            state += f" ({', '.join(chart.rules_now)})"
        if chart.drift_per_month is not None:
            state += f", {chart.drift_per_month:+.2g} s a month"
        if chart.days_to_limit:
            state += f", 3 s in {chart.days_to_limit:.0f} d"
        quantity = f"{chart.quantity} ({chart.unit})" if chart.unit else chart.quantity
        rows.append((chart.instrument, chart.standard, quantity, str(told["runs"]), *numbers, state))
    return align(rows, right=(3, 4, 5, 6, 7))


def _probability(claim: Claim) -> str:
    return "" if claim.probability is None else f"P = {claim.probability:.3f}"


def _celsius(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _fit_line(fit: FitResult) -> str:
    crystallinity = "" if fit.crystallinity is None else f", crystallinity {percent(fit.crystallinity, unit=False)} %"
    return (
        f"fit over {fit.two_theta[0]:.2f}–{fit.two_theta[-1]:.2f}° 2θ: Rwp {100 * fit.rwp:.2f} %, Rexp "
        f"{100 * fit.rexp:.2f} %, GoF {fit.gof:.2f}, {len(fit.observed)} points, {fit.n_parameters} parameters"
        + crystallinity
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def specimen_name(result: SampleResult) -> str:
    """Sample id for titles; says "simulated" where the measurements were computed, not measured."""
    return f"{result.sample_id} (simulated)" if result.metadata.get("simulated") else result.sample_id
