# %% [markdown]
# # How sure?
#
# Whether intervals hold what they promise; where the uncertainty comes from; what one instrument alone can and cannot
# say. All specimens are **simulated**.

# %%
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

import xrdcomp as xc
from xrdcomp.analysis import analyze_sample
from xrdcomp.data import Sample
from xrdcomp.present.figures import plot_budget
from xrdcomp.results import COMPONENTS
from xrdcomp.simulate.cohort import load_cohort, simulate_specimen
from xrdcomp.simulate.specimens import ApatiteModel, SpecimenModel, TgaConditions, XrdConditions

RESULTS = Path.cwd().parent / "benchmarks" / "results"


def show(figure, dpi=90):
    """Show a figure as a small picture."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    display(Image(stream.getvalue()))


def words(name):
    return name.replace("_", " ")


# %% [markdown]
# ## Coverage
#
# Specimens drawn from a broad population, measured in varied laboratories, analysed blind: how often does the interval
# contain the truth? The simulator differs from what the analysis assumes: other halos, crystallites, kinetics, optics.
# These are the stored figures of `make calibration`.

# %%
calibration = RESULTS / "calibration.json"
rows = json.loads(calibration.read_text(encoding="utf-8")) if calibration.is_file() else []
values = {row["name"]: row["value"] for row in rows}
scenes = list(dict.fromkeys(name.split(": ")[0] for name in values if name.endswith("coverage of 68 % intervals")))
JUDGED = [name for name in COMPONENTS if name != "other_crystalline"]
if rows:
    figure = Figure(figsize=(9.0, 1.0 + 0.9 * len(scenes)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    colours = dict(zip(JUDGED, ("#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#009E73"), strict=True))
    for axes, level in zip(panels, (95, 68), strict=True):
        for place, scene in enumerate(scenes):
            for shift, component in enumerate(JUDGED):
                share = values.get(f"{scene}: {component}, coverage of {level} % intervals")
                n = values.get(f"{scene}: {component}, specimens", 0)
                if share is None or n < 20:
                    continue
                y = place + 0.15 * (shift - 2)
                half = 200 * np.sqrt(level / 100 * (1 - level / 100) / n)
                axes.plot([level - half, min(level + half, 100)], [y, y], color="#D0D0D0", linewidth=5, solid_capstyle="butt")
                axes.plot([share], [y], "o", markersize=5, color=colours[component])
        axes.axvline(level, color="black", linewidth=0.8)
        axes.set_xlabel(f"truths inside {level} % intervals, %")
    titles = [scene.replace(", ", ",\n", 1) for scene in scenes]
    panels[0].set_yticks(range(len(scenes)), titles, fontsize=8)
    panels[0].set_ylim(len(scenes) - 0.5, -0.5)
    handles = [
        panels[0].plot([], [], "o", color=colours[component], label=words(component))[0] for component in JUDGED
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    show(figure)
    counts = ", ".join(
        f"{scene}: {values[f'{scene}: crystalline_hydroxyapatite, specimens']:.0f}" for scene in scenes
    )
    display(Markdown(f"Grey: two standard deviations of a count of n specimens around the nominal value. n = {counts}."))
else:
    display(Markdown("`make calibration` has not been run in this checkout."))

# %%
if rows:
    lines = ["| measured with | component | mean absolute error, wt% | mean half width of 95 %, wt% |", "|---|---|---|---|"]
    for scene in scenes:
        for component in ("crystalline_hydroxyapatite", "organic", "amorphous_mineral"):
            mae = values.get(f"{scene}: {component}, mean absolute error")
            if mae is not None and values[f"{scene}: {component}, specimens"] >= 20:
                half = values[f"{scene}: {component}, mean half width of 95 % intervals"]
                lines.append(f"| {scene} | {words(component)} | {mae:.2f} | {half:.2f} |")
    display(Markdown("\n".join(lines)))

# %% [markdown]
# ## The uncertainty budget
#
# Which input contributes what share of each component's variance: what to improve first.

# %%
entry = load_cohort()[0]
result = xc.analyze(entry.xrd, tga=entry.tga)
show(plot_budget(result).figure, dpi=110)

# %%
lines = ["| component | standard uncertainty, wt% | largest contribution | share |", "|---|---|---|---|"]
for name in JUDGED:
    estimate, parts = result.composition.components[name], result.composition.budget.get(name)
    if estimate is None or not parts:
        continue
    first = max(parts, key=parts.get)
    lines.append(f"| {words(name)} | {100 * estimate.std:.2f} | {words(first)} | {100 * parts[first]:.0f} % |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## One instrument alone
#
# Thermogravimetry cannot tell crystalline from amorphous mineral; diffraction cannot tell what burns from the rest of
# what does not diffract, nor tissue from glass or a polymer, unless somebody says that it is tissue. What cannot be
# separated is not given; sums that can be are.

# %%
tissue = xc.Recipe().with_settings({"specimen.kind": "tissue"})
single = {
    "both": result,
    "diffraction alone": xc.analyze(entry.xrd),
    "diffraction of what is called tissue": xc.analyze(entry.xrd, recipe=tissue),
    "thermogravimetry alone": xc.analyze(tga=entry.tga),
}
truth = entry.truth["components"]


def text(estimate):
    if estimate is None:
        return "not separable"
    low, high = estimate.ci95
    return f"{100 * estimate.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


sums = dict.fromkeys(name for item in single.values() for name in item.composition.identifiable_sums)
columns = {}
for title, item in single.items():
    columns[title] = {words(name): text(item.composition.components[name]) for name in COMPONENTS} | {
        f"sum: {words(name)}": text(item.composition.identifiable_sums[name])
        if name in item.composition.identifiable_sums
        else ""
        for name in sums
    }
columns["truth"] = {words(name): f"{100 * truth[name]:.1f}" for name in COMPONENTS}
display(pd.DataFrame(columns).fillna(""))
for title, item in single.items():
    claims = ", ".join(f"{words(claim.id)}: {claim.verdict}" for claim in item.claims)
    display(Markdown(f"**{title[0].upper()}{title[1:]}.** {claims or 'no claim can be judged'}."))

# %% [markdown]
# ## What would help
#
# One specimen measured in several ways; the half width of the 95 % interval of crystalline hydroxyapatite and of organic
# says what each is worth.

# %%
model = SpecimenModel(
    apatite=0.25,
    carbonate=0.016,
    protein=0.38,
    lipid=0.13,
    water=0.18,
    amorphous_mineral=0.044,
    apatite_model=ApatiteModel(length_c_nm=22.0, length_a_nm=9.0),
)
base = simulate_specimen(model, xrd=XrdConditions(peak_counts=2000.0), seed=11)
longer = simulate_specimen(model, xrd=XrdConditions(peak_counts=20_000.0), seed=11)
inert = simulate_specimen(model, xrd=XrdConditions(peak_counts=2000.0), tga=TgaConditions(atmosphere="nitrogen"), seed=11)
both = Sample(sample_id="both", pattern=base.pattern, tga=base.tga)
ways = {
    "diffraction alone": replace(both, tga=None),
    "diffraction alone, empty holder": replace(both, tga=None, blank=base.blank),
    "both, run in nitrogen": replace(both, tga=inert.tga),
    "both, run in air": both,
    "both, ten times the counts": replace(both, pattern=longer.pattern),
    "both, blank run": replace(both, tga_blank=base.tga_blank),
    "both, empty holder": replace(both, blank=base.blank),
    "both, empty holder, ten times the counts": replace(both, pattern=longer.pattern, blank=longer.blank),
}
widths, outside = {}, []
for title, sample in ways.items():
    composition = analyze_sample(sample, tissue).composition
    widths[title] = {}
    for name in ("crystalline_hydroxyapatite", "organic", "amorphous_mineral"):
        estimate = composition.components[name]
        if estimate is None:
            continue
        low, high = estimate.ci95
        widths[title][words(name)] = 50 * (high - low)
        if not low - 1e-9 <= base.truth["components"][name] <= high + 1e-9:
            outside.append(f"{words(name)} ({title})")
table = pd.DataFrame(widths).T
display(Markdown("Half width of the 95 % interval, wt%:"))
display(table.round(2).astype(object).where(table.notna(), "not separable"))
given = int(table.notna().sum().sum())
display(
    Markdown(
        f"{given - len(outside)} of these {given} intervals contain the truth"
        + (f"; not {', '.join(outside)}." if outside else ".")
    )
)

# %%
figure = Figure(figsize=(7.2, 3.2), layout="constrained")
axes = figure.add_subplot()
names = list(table.columns)
for shift, (name, colour) in enumerate(zip(names, ("#0072B2", "#E69F00", "#009E73"), strict=True)):
    axes.barh(np.arange(len(table)) + 0.27 * (shift - 1), table[name], height=0.25, color=colour, label=name)
axes.set_yticks(range(len(table)), table.index, fontsize=8)
axes.invert_yaxis()
axes.set_xlabel("half width of the 95 % interval, wt% (no bar: not separable)")
axes.legend(fontsize=8, frameon=False)
show(figure)

# %%
worth = table["crystalline hydroxyapatite"]
best = worth.idxmin()
display(
    Markdown(
        f"For crystalline hydroxyapatite, thermogravimetry in air narrows the interval from ±{worth['diffraction alone']:.1f} "
        f"to ±{worth['both, run in air']:.1f} wt%; the narrowest here is *{best}* with ±{worth[best]:.1f} wt%."
    )
)
