# %% [markdown]
# # The published findings as executable claims
#
# Hsu, Emge and Schlesinger examined draining calcinosis of ten women with advanced systemic sclerosis (ACR/ARHP 2015,
# abstract 2969). This notebook runs their findings as tests.
#
# **The patients' raw data are not public, and nothing below was measured on patients.** What is analysed here is a
# simulated cohort with the published properties, unless you name a folder with your own files in the next cell.

# %%
import os

FOLDER = os.environ.get("XRDCOMP_COHORT", "")
# FOLDER = "my_cohort"    # <- your own specimens: exports and a cohort.csv, see below

# %% [markdown]
# ## Your own files
#
# Put the exports of both instruments into one folder, beside a `cohort.csv` with the columns
#
# | specimen_id | kind | xrd | tga | radiation | atmosphere |
# |---|---|---|---|---|---|
# | A-07 | solid | A-07.xrdml | A-07_tga.csv | | air |
# | A-08 | fluid | A-08.brml | | CuKa | |
#
# `kind` is `solid` or `fluid`. A specimen may lack one instrument. `radiation` and `atmosphere` may stay empty where
# the files state them. Nothing else in this notebook needs to change.

# %%
import pandas as pd
from IPython.display import Markdown, display

import xrdcomp as xc
from xrdcomp.analysis import analyze_embedded
from xrdcomp.composition.cohort import evaluate_cohort
from xrdcomp.present.figures import plot_cohort
from xrdcomp.recipe import Recipe
from xrdcomp.results import COMPONENTS
from xrdcomp.simulate.cohort import load_cohort


def own_specimens(folder):
    """Analyse what cohort.csv lists; kinds come along for the comparison of groups."""
    table = pd.read_csv(os.path.join(folder, "cohort.csv"), dtype=str).fillna("")
    found, kinds = [], {}
    for row in table.to_dict("records"):
        known = {"instrument.radiation": row.get("radiation"), "thermal.atmosphere": row.get("atmosphere")}
        files = {key: os.path.join(folder, row[key]) if row.get(key) else None for key in ("xrd", "tga")}
        recipe = Recipe().with_settings({key: value for key, value in known.items() if value})
        found.append(xc.analyze(files["xrd"], tga=files["tga"], sample_id=row["specimen_id"], recipe=recipe))
        kinds[row["specimen_id"]] = row["kind"]
    return found, kinds


if FOLDER:
    results, kinds = own_specimens(FOLDER)
    entries = ()
else:
    entries = load_cohort()
    results = [analyze_embedded(entry) for entry in entries]
    kinds = {entry.specimen_id: entry.kind for entry in entries}
simulated = all(result.metadata.get("simulated") for result in results)
sort = "**simulated** specimens" if simulated else "specimens"
groups = {kind: sum(value == kind for value in kinds.values()) for kind in dict.fromkeys(kinds.values())}
display(
    Markdown(
        f"Analysed: {len(results)} {sort}, " + ", ".join(f"{count} {kind}" for kind, count in groups.items()) + "."
    )
)

# %% [markdown]
# ## What is published, what is simulated, on what basis
#
# | property | published | in the simulated cohort | basis |
# |---|---|---|---|
# | hydroxyapatite the only crystalline phase | yes | yes | published |
# | hydroxyapatite present | in all specimens but one | the same | published |
# | hydroxyapatite the minor component | yes | in all with it but one | published; the exception is ours, because solid deposits richer in mineral are known |
# | more than half organic | in most | in all but one | published |
# | solid richer in hydroxyapatite than fluid | in general | always | order published, figures ours |
# | percentage of each specimen | not public | chosen | ours |
# | water, carbonate, amorphous mineral, lipid | not public | chosen | bone and enamel for carbonate, otherwise ours |
# | thermogravimetry, internal standard | not mentioned | a run for every specimen | ours: what the toolkit recommends |
# | wet or dry mass | not stated | as received | ours |
#
# Where these properties hold in the simulated cohort they were put in. Finding them again shows that the method works
# on specimens of this kind; it adds nothing to the evidence about patients.

# %%
if entries:
    put_in = pd.DataFrame(
        {
            "kind": [entry.kind for entry in entries],
            **{name: [100 * entry.truth["components"][name] for entry in entries] for name in COMPONENTS},
        },
        index=[entry.specimen_id for entry in entries],
    )
    display(Markdown("What was put in, wt% as received:"))
    display(put_in.round(1))

# %% [markdown]
# ## Table 1
#
# Median and range over the specimens of a group; fractions in wt% as received. Components that the measurements of a
# specimen cannot separate are left out of its group's figure.

# %%
def spread(values):
    values = pd.Series(values, dtype=float).dropna()
    if values.empty:
        return "not determined"
    return f"{values.median():.1f} ({values.min():.1f}–{values.max():.1f})"


summary = evaluate_cohort(results, groups=kinds)
rows = pd.DataFrame(summary.rows)
columns = {"all": rows, **{kind: rows[rows.group == kind] for kind in groups}}
table1 = {"specimens, n": {name: str(len(part)) for name, part in columns.items()}}
for component in COMPONENTS:
    label = f"{component.replace('_', ' ')}, wt%"
    table1[label] = {name: spread(100 * part[component].astype(float)) for name, part in columns.items()}
lengths = {
    result.sample_id: phase.crystallite_size_nm["c_axis"].value
    for result in results
    for phase in result.phases
    if phase.id == "hydroxyapatite" and "c_axis" in phase.crystallite_size_nm
}
if lengths:
    table1["crystallite length along c, nm"] = {
        name: spread([lengths.get(sample) for sample in part.sample_id]) for name, part in columns.items()
    }
for claim in summary.claims:
    table1[f"{claim.id.replace('_', ' ')}, n"] = {
        name: f"{sum(sample in claim.supported for sample in part.sample_id)} of {len(part)}"
        for name, part in columns.items()
    }
note = "Simulated specimens. " if simulated else ""
display(Markdown(f"**Table 1.** {note}Median (range)."))
display(pd.DataFrame(table1).T)

# %% [markdown]
# ## Every specimen with its intervals

# %%
plot_cohort(results).figure

# %%
def interval(row, component):
    if pd.isna(row[component]):
        return "not separable"
    return f"{100 * row[component]:.1f} ({100 * row[f'{component}_low']:.1f} to {100 * row[f'{component}_high']:.1f})"


display(
    pd.DataFrame(
        {
            "group": rows.group,
            "hydroxyapatite, wt% (95 %)": [
                interval(row, "crystalline_hydroxyapatite") for _, row in rows.iterrows()
            ],
            "organic, wt% (95 %)": [interval(row, "organic") for _, row in rows.iterrows()],
            "hydroxyapatite": rows.hydroxyapatite,
            "would have been seen above, wt%": [
                "" if pd.isna(limit) else f"{100 * limit:.2g}" for limit in rows.hydroxyapatite_limit
            ],
            "other phases": rows.other_phases.replace("", "none found"),
        }
    ).set_index(rows.sample_id)
)

# %% [markdown]
# ## The four claims, specimen by specimen
#
# P(claim | measurements). A claim is supported above, refuted below the thresholds of the recipe, inconclusive between.

# %%
probabilities = pd.DataFrame(
    {claim.id: {result.sample_id: None for result in results} for claim in summary.claims}, dtype=object
)
for result in results:
    for claim in result.claims:
        shown = "undecided" if claim.probability is None else f"{claim.probability:.3f}"
        probabilities.loc[result.sample_id, claim.id] = f"{shown} {claim.verdict}"
probabilities.columns = [name.replace("_", " ") for name in probabilities.columns]
display(probabilities)

# %% [markdown]
# ## The claims for the cohort
#
# Two uncertainties count: whether each specimen has the property, and that these specimens are a sample of a population.
# The interval of the share holds both.

# %%
for claim in summary.claims:
    display(
        Markdown(
            f"- {claim.statement} Expected number of specimens with the property, Σ P = **{claim.expected_count:.2f}** of "
            f"{summary.n}."
        )
    )

# %% [markdown]
# ## The specimen without hydroxyapatite

# %%
present = next(claim for claim in summary.claims if claim.id == "hydroxyapatite_present")
for name in present.refuted:
    result = next(item for item in results if item.sample_id == name)
    claim = next(item for item in result.claims if item.id == "hydroxyapatite_present")
    display(Markdown(f"**{name}** (P = {claim.probability:.4f}): {claim.statement}"))
    estimate = result.composition.components["crystalline_hydroxyapatite"]
    if estimate is not None and estimate.ci95 is not None:
        display(
            Markdown(f"Its interval of crystalline hydroxyapatite ends at {100 * estimate.ci95[1]:.2f} wt%.")
        )
if not present.refuted:
    display(Markdown("Hydroxyapatite is not refuted in any specimen."))
without = [entry.specimen_id for entry in entries if entry.truth["components"]["crystalline_hydroxyapatite"] == 0]
if entries:
    assert list(present.refuted) == without, "the specimen without hydroxyapatite was not told from the others"
    display(Markdown(f"Put in without hydroxyapatite: {', '.join(without)}; found so: {', '.join(present.refuted)}."))

# %% [markdown]
# ## Solid against fluid
#
# Exact permutation test of the rank sum: with few specimens no distribution is assumed. The difference of the medians
# carries the uncertainty of every specimen.

# %%
comparison = summary.comparison
if comparison is None:
    display(Markdown("There are not two groups with decided specimens, so nothing can be compared."))
else:
    first, second = comparison.groups
    low, high = comparison.difference.ci95
    display(
        Markdown(
            f"Median crystalline hydroxyapatite: {100 * comparison.medians[0]:.1f} wt% in {comparison.sizes[0]} {first}, "
            f"{100 * comparison.medians[1]:.1f} wt% in {comparison.sizes[1]} {second} specimens. Difference of the medians "
            f"{100 * comparison.difference.value:.1f} wt% (95 %: {100 * low:.1f} to {100 * high:.1f}). "
            f"{comparison.test[0].upper()}{comparison.test[1:]}: P(at least this much more in {first} by chance) = {comparison.p_greater:.4f}, two-sided "
            f"{comparison.p_two_sided:.4f}."
        )
    )

# %% [markdown]
# ## In short

# %%
lines = ["| claim | supported | refuted | not decided | share in the population, 95 % |", "|---|---|---|---|---|"]
for claim in summary.claims:
    low, high = claim.share.ci95 if claim.share is not None and claim.share.ci95 else (float("nan"),) * 2
    counts = " | ".join(str(len(getattr(claim, verdict))) for verdict in ("supported", "refuted", "inconclusive"))
    lines.append(f"| {claim.id.replace('_', ' ')} | {counts} | {100 * low:.0f} to {100 * high:.0f} % |")
display(Markdown("\n".join(lines)))
whose = "of the simulation" if simulated else "of these specimens"
display(Markdown(f"These are findings {whose}, {summary.basis.replace('_', ' ')}, from {len(results)} specimens."))

# %%
if entries:
    wrong = []
    for entry, result in zip(entries, results, strict=True):
        for name in COMPONENTS[:-1]:
            estimate = result.composition.components[name]
            low, high = estimate.ci95
            if not low - 1e-9 <= entry.truth["components"][name] <= high + 1e-9:
                wrong.append(f"{entry.specimen_id}: {name}")
    total = len(entries) * (len(COMPONENTS) - 1)
    display(
        Markdown(
            f"Against the truth of the simulation: {total - len(wrong)} of {total} values lie inside their 95 % intervals"
            + (f"; outside: {', '.join(wrong)}." if wrong else ".")
        )
    )
