# %% [markdown]
# # Tour of the Python interface
#
# Every public object once: what it takes, how it shows itself, its table, its figure. Each prints on one screen, gives a
# `to_dataframe()` whose columns carry their units, and draws itself on axes of yours with `plot(ax=…)`. The specimen is
# **simulated**.

# %%
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

import xrdcomp as xc
from xrdcomp.present.style import new_figure


def shown(*objects):
    """Reprs, as a prompt shows them."""
    display(Markdown("\n\n".join(f"```\n{item!r}\n```" for item in objects)))


def table(frame, rows=6):
    """The first rows of a table."""
    display(HTML(frame.head(rows).to_html(float_format=lambda value: f"{value:.4g}")))


# %% [markdown]
# ## Measurements: `Pattern`, `TgaRun`
#
# `xc.read_xrd` and `xc.read_tga` read files of instruments. Arrays and tables do as well: they are judged as the same
# columns in a file would be, and standard deviations follow from counting where the intensities are counts.

# %%
from xrdcomp.simulate.cohort import load_cohort

entry = load_cohort()[0]
pattern, run = xc.read_xrd(entry.xrd), xc.read_tga(entry.tga)
mine = xc.Pattern.from_xy(pattern.two_theta, pattern.intensity, wavelength=(1.5406, 1.5444))
warm = xc.TgaRun.from_arrays(run.temperature_c, run.mass, run.time_s, mass_unit=run.mass_unit, atmosphere="air")
shown(pattern, run, mine)

# %%
table(pattern.to_dataframe())
again = xc.Pattern.from_dataframe(pd.DataFrame({"two_theta": mine.two_theta, "intensity": mine.intensity}))
display(Markdown(f"Records compare by value: {pattern == xc.read_xrd(entry.xrd)}; without its wavelength: {again == mine}."))

# %%
figure = new_figure(9, 2.6)
pattern.plot(ax=figure.add_subplot(1, 2, 1))
warm.plot(ax=figure.add_subplot(1, 2, 2))
display(figure)

# %% [markdown]
# ## Settings: `Recipe`
#
# A recipe shows what differs from the default. Wherever one is taken, its file or a dict will do; `analyze` also takes
# settings by the names of the command line, and refuses a name that does not exist.

# %%
recipe = xc.Recipe.of({"fit": {"mode": "structure"}}, range=(8, 75), atmosphere="air", basis="dry")
shown(xc.Recipe(), recipe)
try:
    xc.analyze(pattern, radation="CuKa")
except xc.XrdcompError as error:
    display(Markdown(f"`{type(error).__name__}: {error}`"))

# %% [markdown]
# ## Phases and the instrument: `Phase`, `Instrument`, `EmissionLine`

# %%
calcite = xc.load_phase("calcite")
instrument = xc.build_instrument(pattern)
shown(calcite, instrument, xc.EmissionLine(wavelength=1.5406))
pair = ", ".join(phase.name for phase in xc.load_phases(["quartz", "gypsum"]))
display(Markdown(f"By several: {pair}. The library has {len(xc.list_phases())} phases, `{xc.list_phases()[0]}` the first."))

# %% [markdown]
# ## Stage by stage: `FitResult`, `TgaResult`, `Identification`, `Composition`, `Claim`
#
# Phases by id or file, a whole recipe where a part of it is meant; `compose` knows its arguments by their type.

# %%
fit = xc.fit_pattern(pattern, "hydroxyapatite", instrument, recipe)
shown(fit)
table(fit.to_dataframe())
table(fit.to_dataframe("reflections"), rows=3)
display(fit.plot().figure)

# %%
thermal = xc.analyze_tga(run, recipe)
shown(thermal)
table(thermal.to_dataframe())
display(thermal.plot().figure)

# %%
found = xc.identify(pattern, recipe=recipe)
shown(found)
table(found.to_dataframe(), rows=4)

# %%
composition = xc.compose(fit, thermal, recipe=recipe)
claims = xc.evaluate_claims(composition, found, recipe)
shown(composition, *claims[:2])
table(composition.to_dataframe())
display(composition.plot().figure)

# %% [markdown]
# ## Numbers with their uncertainty: `Estimate`
#
# Printed to the place of the uncertainty; with `ufloat` the package *uncertainties* calculates on.

# %%
organic = composition["organic"]
shown(organic)
display(Markdown(f"`{organic}`, `{organic:.1%}`, `{organic:S}`, doubled `{2 * organic.ufloat}`"))

# %% [markdown]
# ## All at once: `analyze`, `Sample`, `SampleResult`

# %%
result = xc.analyze(entry.xrd, tga=entry.tga, atmosphere="air", radiation="CuKa")
shown(result, result.phases["hydroxyapatite"], result.messages[0])
shown(xc.Sample(sample_id="by hand", pattern=pattern, tga=run))
result.plot()

# %% [markdown]
# A result is written as a folder and read back as it was.

# %%
import tempfile

with tempfile.TemporaryDirectory() as folder:
    written = result.write(folder)
    names = sorted(path.name for path in written.iterdir())
    same = xc.read_result(written).to_dict() == result.to_dict()
display(Markdown(f"{', '.join(names)}; read back equal: `{same}`"))

# %% [markdown]
# ## Taken away: `export`
#
# Every table by name as a data frame, and as Excel, CSV, Parquet, LaTeX or powder CIF, of one result or of many.

# %%
display(result.to_dataframe("peaks").sort_values("relative_intensity (%)", ascending=False).head(5))
with tempfile.TemporaryDirectory() as folder:
    sizes = {name: xc.export(result, f"{folder}/{name}").stat().st_size > 0 for name in ("S1.csv", "S1.tex", "S1.cif")}
display(Markdown(f"written: {', '.join(sizes)}; tables: {', '.join(result.tables())}"))

# %% [markdown]
# ## Many specimens: `analyze_many`, `FailedSample`
#
# Results come in order; what cannot be analysed is an outcome with its message and stops nothing.

# %%
samples = [{"tga": entry.tga, "sample_id": "S1"}, {"tga": "none.csv", "sample_id": "S2"}]
many = list(xc.analyze_many(samples, {"thermal.atmosphere": "air"}, progress=False))
failed = [item for item in many if isinstance(item, xc.FailedSample)]
display(Markdown(f"{[item.status for item in many]}: {failed[0].kind}, {failed[0].message}"))

# %% [markdown]
# ## Series of one grid: `fit_series`, `SeriesResult`
#
# Many patterns with the same phases, each fitted from one common fit; here three counts of one specimen.

# %%
counted = np.random.default_rng(1).poisson(np.maximum(pattern.intensity, 0.0), size=(3, len(pattern.intensity)))
series = xc.fit_series(pattern.two_theta, counted, phases="hydroxyapatite", range=(20, 60))
shown(series)
table(series.to_dataframe().filter(like="hydroxyapatite_a"))

# %% [markdown]
# ## Quality control: `judge`, `read_policy`
#
# A policy is a list of rules with reasons; its verdict is pass, fail or undecided.

# %%
policy = xc.read_policy()
judged = xc.judge(result, policy)
shown(policy.rule[2], judged.rules[2])
display(Markdown(f"{policy.name}, {len(policy.rule)} rules: `{judged.verdict}`"))

# %% [markdown]
# ## Instruments over time: `InstrumentHistory`, `CheckRun`
#
# Check runs of a standard in one file, judged by Westgard's rules and a CUSUM; here 40 made-up cells that drift.

# %%
from datetime import datetime, timedelta, timezone

import numpy as np

with tempfile.TemporaryDirectory() as folder:
    history = xc.InstrumentHistory(path=f"{folder}/lab.sqlite")
    cells = 4.156826 + 2e-5 * np.random.default_rng(5).normal(size=40) + 1e-6 * np.arange(40)
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for week, cell in enumerate(cells):
        values = {"cell_a": xc.Estimate(value=cell, std=1e-5, unit="Å")}
        when = begin + timedelta(weeks=week)
        history.record(
            xc.CheckRun(kind="xrd", instrument="D8", standard="srm660c", measured_at=when, values=values)
        )
    chart = history.chart("D8", "srm660c", "cell_a")
display(Markdown(f"`{chart.state}`: {chart.to_dict()}"))
chart.plot()

# %% [markdown]
# ## Errors: `XrdcompError`, `ReadError`
#
# An argument of another kind is named, with what was expected.

# %%
for call in (lambda: xc.fit_pattern(pattern, 5), lambda: xc.compose(pattern), lambda: xc.read_xrd("none.xy")):
    try:
        call()
    except xc.XrdcompError as error:
        display(Markdown(f"`{type(error).__name__}: {error}`"))

# %% [markdown]
# ## Simulated specimens: `simulate_specimen`

# %%
from xrdcomp.simulate.specimens import SpecimenModel

model = SpecimenModel(
    specimen_id="made up", apatite=0.3, carbonate=0.02, protein=0.4, lipid=0.1, water=0.15, amorphous_mineral=0.03
)
shown(xc.simulate_specimen(model, seed=1))
