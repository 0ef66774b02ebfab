# %% [markdown]
# # Quick start
#
# From two instrument exports to a composition with intervals. The specimen used here is **simulated** and comes
# with the package; replace the two paths by your own files.

# %%
from IPython.display import Markdown, display

import xrdcomp as xc
from xrdcomp.simulate.cohort import load_cohort

entry = load_cohort()[0]
result = xc.analyze(entry.xrd, tga=entry.tga)
result

# %% [markdown]
# `entry.xrd` and `entry.tga` are ordinary files. `xrdcomp formats` lists what can be read; the same analysis from a
# shell is `xrdcomp analyze XRD_FILE --tga TGA_FILE`.

# %%
pattern, run = xc.read_xrd(entry.xrd), xc.read_tga(entry.tga)
display(
    Markdown(
        f"The pattern `{entry.xrd.name}` has {len(pattern):,} points from {pattern.two_theta[0]:.1f} to "
        f"{pattern.two_theta[-1]:.1f}° 2θ; the run `{entry.tga.name}` has {len(run):,} points up to "
        f"{run.temperature_c.max():.0f} °C in {run.atmosphere}."
    )
)

# %% [markdown]
# ## Everything in one figure
#
# Above left the measured pattern and the fit, with the amorphous parts and the crystals apart; right the mass curve
# with its steps; below the composition with 95 % intervals.

# %%
result.plot()

# %% [markdown]
# ## The numbers
#
# Fractions are 0–1 of the specimen as received. Every estimate has a value, a standard uncertainty and a 95 % interval.

# %%
lines = ["| component | value, wt% | standard uncertainty | 95 % interval |", "|---|---|---|---|"]
for name, estimate in result.composition.components.items():
    if estimate is None:
        lines.append(f"| {name} | not separable | | |")
        continue
    low, high = estimate.ci95
    lines.append(
        f"| {name} | {100 * estimate.value:.2f} | {100 * estimate.std:.2f} | {100 * low:.2f} to {100 * high:.2f} |"
    )
display(Markdown("\n".join(lines)))

# %%
hydroxyapatite = result.composition.components["crystalline_hydroxyapatite"]
true = entry.truth["components"]["crystalline_hydroxyapatite"]
low, high = hydroxyapatite.ci95
inside = "inside" if low <= true <= high else "outside"
display(
    Markdown(
        f"Because the specimen is simulated, the truth is known: **{100 * true:.1f} wt%** crystalline hydroxyapatite were "
        f"put in, **{100 * hydroxyapatite.value:.1f} wt%** came out. The truth lies {inside} the 95 % interval."
    )
)

# %% [markdown]
# ## What the measurements say about the findings
#
# Four published findings, each as a probability with its evidence.

# %%
for claim in result.claims:
    display(Markdown(f"- **{claim.verdict}** (P = {claim.probability:.3f}): {claim.statement}"))

# %% [markdown]
# ## Messages
#
# Whatever is doubtful carries a message with its figure and with what to do about it.

# %%
for message in result.messages:
    display(Markdown(f"- `{message.code}` ({message.severity}): {message.text}"))

# %% [markdown]
# ## One instrument alone
#
# Leave out `tga=` or the pattern. What cannot be separated is then `None`, and the sums that can be are given. X-rays do
# not tell tissue from glass or a polymer, so say that it is tissue; else intervals hold all of them.

# %%
tissue = xc.Recipe().with_settings({"specimen.kind": "tissue"})
alone = xc.analyze(entry.xrd, recipe=tissue)
known = [name for name, estimate in alone.composition.components.items() if estimate is not None]
sums = [
    f"{name.replace('_', ' ')} {100 * total.value:.1f} ± {100 * total.std:.1f} wt%"
    for name, total in alone.composition.identifiable_sums.items()
]
display(
    Markdown(
        f"Diffraction alone determines {', '.join(name.replace('_', ' ') for name in known)}; and the sums "
        f"{', '.join(sums)}."
    )
)

# %% [markdown]
# ## Settings
#
# A recipe holds everything that was chosen and nothing that was measured. Unknown keys are refused. The same recipe and
# the same files give the same result; it is stored with every result.

# %%
recipe = xc.Recipe().with_settings({"composition.basis": "dry"})
dry = xc.analyze(entry.xrd, tga=entry.tga, recipe=recipe)
organic, wet = dry.composition.components["organic"], result.composition.components["organic"]
display(
    Markdown(
        f"Organic: {100 * wet.value:.1f} wt% of the specimen as received, {100 * organic.value:.1f} wt% of the dry mass."
    )
)

# %% [markdown]
# `result.write("folder")` stores `result.json`, the curves, the figures and the recipe that repeats the analysis. The
# next notebook analyses a whole cohort.
