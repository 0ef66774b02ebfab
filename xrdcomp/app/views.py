"""What each page of the app shows, as plain values for its template, and the drawings that are made for it."""

from __future__ import annotations

import functools
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import xrdcomp
from xrdcomp.app.forms import GASES, RADIATIONS, UNITS, values_of
from xrdcomp.app.jobs import Job, Queue
from xrdcomp.app.looks import Look
from xrdcomp.app.project import Project, Run, changes, most_upload
from xrdcomp.batch.specimen_file import Measured, SpecimenFile
from xrdcomp.batch.specimens import name_of, paired_by_name
from xrdcomp.errors import RecipeError, XrdcompError
from xrdcomp.present.files import safe_sample_id
from xrdcomp.present.html import specimen_basics, template_environment
from xrdcomp.recipe import Recipe

if TYPE_CHECKING:
    from xrdcomp.data import Pattern, TgaRun
    from xrdcomp.results import SampleResult

STATE_WORDS = {
    "waiting": "waiting", "running": "running", "done": "finished", "error": "not possible", "cancelled": "cancelled",
    "interrupted": "interrupted",
}  # fmt: skip
STATUS_WORDS = {"ok": "ok", "warning": "with warnings", "failed": "failed: not to be used", "": ""}
_DRAWING = threading.Lock()
"""Matplotlib draws for one thread at a time."""


@functools.cache
def _environment() -> Any:
    import jinja2

    environment = template_environment()
    environment.loader = jinja2.PackageLoader("xrdcomp.app")
    environment.globals |= {
        "version": xrdcomp.__version__, "state_words": STATE_WORDS, "status_words": STATUS_WORDS, "units": UNITS,
        "radiations": RADIATIONS, "gases": GASES,
    }  # fmt: skip
    environment.filters["pair"] = lambda text: (text, text.replace("_", " "))
    environment.filters["instrument_row"] = lambda file: (file, Path(file).stem)
    return environment


def template(name: str) -> Any:
    """Template of a page."""
    return _environment().get_template(f"{name}.html.j2")


# Project


def home(project: Project, queue: Queue) -> dict[str, Any]:
    """Files with their specimens, pairs that names propose, specimens, queue."""
    looks, names = project.files(), project.specimens()
    users: dict[str, list[str]] = {look.name: [] for look in looks}
    jobs = _jobs_of(queue)
    rows, broken = [], {}
    for name in names:
        try:
            item = project.specimen(name)
        except XrdcompError as error:
            broken[name] = str(error)
            continue
        for file in item.measured.files.values():
            users.setdefault(file.removeprefix("files/"), []).append(name)
        numbers = project.run_numbers(name)
        run = _run_shown(project.run(name, numbers[-1]), jobs) if numbers else None
        rows.append({"name": name, "files": _file_names(item), "run": run})
    return {
        "title": project.root.name, "looks": looks, "all_users": users, "most": most_upload(),
        "rows": rows, "broken": broken,
        "proposals": _proposals(looks, users, names), "choices": _choices(looks), **_queue_shown(queue),
    }  # fmt: skip


def _file_names(item: SpecimenFile) -> str:
    return ", ".join(file.removeprefix("files/") for file in item.measured.files.values())


def _choices(looks: Sequence[Look]) -> dict[str, list[tuple[str, str]]]:
    """Files of each kind as a list to choose from: value, text."""
    return {
        kind: [(f"files/{look.name}", look.name) for look in looks if look.kind == kind and look.sha256]
        for kind in ("xrd", "tga")
    }


def _proposals(looks: Sequence[Look], users: Mapping[str, list[str]], taken: Sequence[str]) -> list[dict[str, str]]:
    """Specimens that could be made of files that belong to none, by their names; empty holders and pans left out."""
    free = {Path(look.name): look.kind for look in looks
            if look.kind in ("xrd", "tga") and look.sha256 and not users.get(look.name) and not look.empty}  # fmt: skip
    by_name: dict[str, dict[str, str]] = {}
    used = set(taken)
    for specimen in paired_by_name(free):
        files = specimen.files
        several = (
            [] if not specimen.problem else [p for p in free if name_of(p) == name_of(Path(next(iter(files.values()))))]
        )
        groups = [{free[path]: path.name} for path in several] or [files]
        for group in groups:
            name, number = specimen.sample_id, 2
            while name in used:
                name, number = f"{specimen.sample_id}-{number}", number + 1
            used.add(name)
            by_name[name] = {kind: f"files/{file}" for kind, file in group.items()}
    return [{"name": name, **group} for name, group in by_name.items()]


Jobs = dict[tuple[Any, Any], Job]


def _jobs_of(queue: Queue) -> Jobs:
    """Jobs by specimen and run."""
    return {(job.arguments.get("specimen"), job.arguments.get("run")): job for job in reversed(queue.jobs())}


def _run_shown(run: Run, jobs: Jobs) -> dict[str, Any]:
    """What became of a run."""
    job = jobs.get((run.name, run.number))
    state, status, said = "interrupted", "", "The app ended before this was finished. Run it again."
    if run.result is not None:
        state, (status, said) = "done", _answer(run.result, run.result.stat().st_mtime_ns)
    elif job is not None and job.state != "done":
        state, status, said = job.state, job.status, job.said
    return {
        "number": run.number, "state": state, "status": status, "said": said, "job": job, "asked": run.asked,
        "revision": run.asked.measured.revision, "result": run.result,
    }  # fmt: skip


def _runs(project: Project, queue: Queue, name: str) -> list[dict[str, Any]]:
    """Runs of a specimen, with the settings that were changed since the run before."""
    jobs = _jobs_of(queue)
    rows = [_run_shown(run, jobs) for run in project.runs(name)]
    for before, after in zip([None, *rows], rows, strict=False):
        after["changes"] = [] if before is None else list(changes(before["asked"], after["asked"]))
    return rows


@functools.lru_cache(maxsize=1000)
def _answer(folder: Path, stamp: int) -> tuple[str, str]:
    """Status and verdict of a result; `stamp` is when it was written."""
    del stamp
    try:
        data = json.loads((folder / "result.json").read_bytes())
        return str(data["status"]), str(data["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return "failed", "The result cannot be read."


def _queue_shown(queue: Queue, kinds: Sequence[str] = ("analysis", "calibration", "check")) -> dict[str, Any]:
    jobs = [job for job in queue.jobs() if job.kind in kinds]
    active = [job for job in reversed(jobs) if job.active]
    return {
        "active": [_job_shown(queue, job) for job in active],
        "ended": [_job_shown(queue, job) for job in jobs if not job.active][:10],
        "queue_problem": queue.problem,
    }  # fmt: skip


def _job_shown(queue: Queue, job: Job) -> dict[str, Any]:
    usual = queue.usual_seconds(job.kind)
    return {
        "job": job, "stage": queue.stage(job) if job.state == "running" else "", "usual": usual,
        "percent": min(95, int(100 * job.seconds / usual)) if usual else None,
    }  # fmt: skip


# One specimen


def specimen(project: Project, queue: Queue, name: str) -> dict[str, Any]:
    """Fields with their values, what can be chosen, drawings of what was measured, runs, saved states."""
    item = project.specimen(name)
    states, looks = project.states(name), project.files()
    steps = [
        {"number": after.measured.revision, "same_as": after.measured.same_as, "changes": list(changes(before, after))}
        for before, after in itertools.pairwise(states)
    ]
    runs = _runs(project, queue, name)
    own = [(f"files/{look.name}", f"{look.name} (own)") for look in looks if look.kind == "structure"]
    origin = item.measured.same_as or item.measured.revision
    return {
        "name": name, "item": item, "values": values_of(item), "errors": {}, "conflict": "",
        "looks": {f"files/{look.name}": look for look in looks}, "choices": _choices(looks), "phases": own + _phases(),
        "instruments": [f"instruments/{one}.toml" for one in project.instruments()],
        "histories": [("check-runs.sqlite", "by the project's check runs")] if project.history.exists() else [],
        "steps": steps[::-1], "can_undo": any(state.measured.revision < origin for state in states),
        "runs": runs[::-1], "active": [run for run in runs if run["state"] in ("waiting", "running")],
        "view": pattern_view(project, item), "tga_view": run_view(project, item),
        "last": next((run for run in reversed(runs) if run["result"] is not None), None),
        "progress": {run["number"]: _job_shown(queue, run["job"]) for run in runs if run["job"] is not None},
    }  # fmt: skip


def same_settings(item: SpecimenFile, measured: Measured, recipe: Recipe) -> bool:
    """Whether a form says what is saved already."""
    own = msgspec.structs.replace(item.measured, folder="", revision=0, same_as=0)
    return own == measured and item.recipe == recipe


@functools.cache
def _phases() -> list[tuple[str, str]]:
    from xrdcomp.phases.library import list_phases, phase_info

    infos = [phase_info(phase) for phase in list_phases()]
    return sorted(
        ((info.id, info.mineral or info.name or info.id) for info in infos), key=lambda row: row[1].casefold()
    )


@functools.lru_cache(maxsize=24)
def _pattern(file: Path, stamp: int, scan: int | None) -> Pattern:
    from xrdcomp.io.front import read_xrd

    del stamp
    return read_xrd(file, scan=scan)


@functools.lru_cache(maxsize=24)
def _run(file: Path, stamp: int) -> TgaRun:
    from xrdcomp.io.front import read_tga

    del stamp
    return read_tga(file)


def pattern_view(project: Project, item: SpecimenFile) -> dict[str, Any]:
    """Drawing of the pattern with the part that is fitted and the empty holder; ``problem`` where there is none."""
    import numpy as np

    from xrdcomp.present.drawings import LEFT, RIGHT, WIDTH, Panel, thinned

    if not item.measured.xrd:
        return {}
    try:
        file = project.path(*item.measured.xrd.split("/"))
        pattern = _pattern(file, file.stat().st_mtime_ns, item.measured.scan)
    except (XrdcompError, OSError) as error:
        said = error.for_command(()) if isinstance(error, XrdcompError) else str(error)
        return {"problem": said.replace(f"{project.root}/files/", "")}
    x, y = pattern.two_theta, pattern.intensity
    panel = Panel(top=8, height=250, x=(float(x[0]), float(x[-1])), y=(min(0.0, float(y.min())), float(y.max()) * 1.03))
    rows = thinned(y, 1600)
    parts = [panel.line(x[rows], y[rows], "measured")]
    if item.measured.blank:
        try:
            file = project.path(*item.measured.blank.split("/"))
            blank = _pattern(file, file.stat().st_mtime_ns, None)
            inside = (blank.two_theta >= x[0]) & (blank.two_theta <= x[-1])
            if inside.any():
                parts.append(panel.line(blank.two_theta[inside], np.clip(blank.intensity[inside], *panel.y), "blank"))
        except (XrdcompError, OSError):
            pass  # said beside the field and by the run
    low, high = item.recipe.fit.two_theta_range or panel.x
    width = WIDTH - LEFT - RIGHT
    ends = [min(max(float(panel.px(value)), LEFT), LEFT + width) for value in (low, high)]
    shade = "".join(
        f'<rect class="unused" data-side="{side}" x="{a:.1f}" y="8" width="{max(b - a, 0):.1f}" height="250"/>'
        for side, a, b in (("low", float(LEFT), ends[0]), ("high", ends[1], float(LEFT + width)))
    )
    parts += [shade, panel.frame(f"intensity ({pattern.intensity_unit})", xlabel="2θ (°)")]
    told = f"Pattern {item.measured.xrd.removeprefix('files/')}, {x[0]:.4g} to {x[-1]:.4g}° 2θ, as measured"
    drawn = _svg(304, told, parts, f'data-left="{LEFT}" data-width="{width}" data-low="{x[0]}" data-high="{x[-1]}"')
    return {"svg": drawn, "low": float(x[0]), "high": float(x[-1])}


def run_view(project: Project, item: SpecimenFile) -> dict[str, Any]:
    """Drawing of the run as measured."""
    import numpy as np

    from xrdcomp.present.drawings import Panel

    if not item.measured.tga:
        return {}
    try:
        file = project.path(*item.measured.tga.split("/"))
        run = _run(file, file.stat().st_mtime_ns)
    except (XrdcompError, OSError) as error:
        said = error.for_command(()) if isinstance(error, XrdcompError) else str(error)
        return {"problem": said.replace(f"{project.root}/files/", "")}
    rows = np.unique(np.linspace(0, len(run) - 1, 800).astype(int))
    x, y = run.temperature_c[rows], run.mass[rows]
    pad = 0.04 * (float(y.max() - y.min()) or 1.0)
    panel = Panel(top=8, height=170, x=(float(x.min()), float(x.max())), y=(float(y.min()) - pad, float(y.max()) + pad))
    parts = [panel.line(x, y, "measured"), panel.frame(f"mass ({run.mass_unit})", xlabel="temperature (°C)", most=4)]
    return {
        "svg": _svg(224, f"Run {item.measured.tga.removeprefix('files/')}, mass over temperature, as measured", parts)
    }


def _svg(height: float, told: str, parts: Sequence[str], more: str = "") -> Any:
    from markupsafe import Markup

    from xrdcomp.present.drawings import WIDTH

    head = f'<svg class="drawing" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(told)}" {more}>'
    return Markup(f"{head}{''.join(parts)}</svg>")


# Runs


def _read(run: Run) -> SampleResult:
    from xrdcomp.present.files import read_result

    if run.result is None:
        raise RecipeError(f"{run.name}, run {run.number}: it has no result.")
    return read_result(run.result)


def run(project: Project, queue: Queue, name: str, run: str) -> dict[str, Any]:
    """One run: what became of it, its answer, files to keep."""
    found = project.run(name, run)
    row = next(row for row in _runs(project, queue, name) if row["number"] == found.number)
    shown: dict[str, Any] = {"name": name, "run": row, "others": [], "progress": None}
    if row["job"] is not None:
        shown["progress"] = _job_shown(queue, row["job"])
    if found.result is not None:
        files = sorted(file.relative_to(found.result).as_posix() for file in found.result.rglob("*")
                       if file.is_file() and not file.name.startswith("."))  # fmt: skip
        shown["files"] = {
            "Report": [file for file in files if file == "report.html"],
            "Figures": [file for file in files if file.startswith("figures/")],
            "Tables": [file for file in files if file.startswith("tables/")],
            "Numbers and settings": [file for file in files if "/" not in file and file != "report.html"],
        }
        shown["others"] = [other.number for other in project.runs(name)
                           if other.result is not None and other.number != found.number]  # fmt: skip
    return shown


def compare(project: Project, name: str, a: str, b: str) -> dict[str, Any]:
    """Two runs: their compositions with differences, settings in which they differ, messages that only one has."""
    done = [run.number for run in project.runs(name) if run.result is not None]
    if len(done) < 2:
        raise RecipeError(f"{name}: two finished runs are compared; there are {len(done)}. Run it again first.")
    runs = [project.run(name, a or done[-2]), project.run(name, b or done[-1])]
    results = [_read(run) for run in runs]
    shown = [specimen_basics(result)["components"] for result in results]
    names = list(dict.fromkeys(part.id for parts in shown for part in parts))
    labels = {part.id: part.label for parts in shown for part in parts}
    rows = []
    for key in names:
        pair = [result.composition.components.get(key) for result in results]
        first, second = pair
        told = "" if first is None or second is None else _signed(100 * (second.value - first.value))
        rows.append({"label": labels[key], "pair": pair, "difference": told})
    fits = [result.xrd for result in results if result.xrd is not None]
    texts = [{(message.severity, message.text) for message in result.messages} for result in results]
    return {
        "name": name, "done": done, "runs": runs, "results": results, "rows": rows,
        "rwp": _signed(100 * (fits[1].rwp - fits[0].rwp)) if len(fits) == 2 else "",
        "changes": list(changes(runs[0].asked, runs[1].asked)),
        "only": [sorted(texts[0] - texts[1]), sorted(texts[1] - texts[0])],
    }  # fmt: skip


def _signed(value: float) -> str:
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text.strip("+−") == "0.00" else text


# Cohort


def _cohort_runs(project: Project) -> list[tuple[str, Run]]:
    known = project.specimens()
    found = ((name, project.last_result(name)) for name in project.cohort()[0] if name in known)
    return [(name, run) for name, run in found if run is not None]


def cohort(project: Project) -> dict[str, Any]:
    """Specimens with their latest results, and which of them are chosen."""
    chosen, revision = project.cohort()
    rows = []
    for name in project.specimens():
        run = project.last_result(name)
        told = ("", "") if run is None or run.result is None else _answer(run.result, run.result.stat().st_mtime_ns)
        rows.append({"name": name, "run": run, "status": told[0], "said": told[1]})
    shown = _cohort_runs(project)
    return {"rows": rows, "chosen": chosen, "revision": revision, "shown": [name for name, _ in shown]}


def cohort_html(project: Project) -> str:
    """Page of the cohort's latest results."""
    from xrdcomp.present.batch_page import page_row, render_batch_page

    results = [_read(run) for _, run in _cohort_runs(project)]
    if not results:
        raise RecipeError("the cohort is empty: choose specimens that have results.")
    rows = [page_row(result) for result in results]
    return render_batch_page(rows, title=f"Cohort of {project.root.name}", results=results, links={}, table_link="")


def cohort_csv(project: Project) -> str:
    """Table of the cohort as ``results.csv`` of a batch has it."""
    from xrdcomp.batch.specimens import Specimen
    from xrdcomp.batch.tables import row_of, to_dataframe
    from xrdcomp.disk import no_formula

    rows = []
    for name, run in _cohort_runs(project):
        files: dict[str, Any] = run.asked.measured.files
        rows.append(row_of(Specimen(sample_id=name, **files), _read(run)))
    return str(to_dataframe(rows).map(no_formula).to_csv(index=False, lineterminator="\n"))


# Instruments


def instruments(project: Project, queue: Queue) -> dict[str, Any]:
    """Calibrations with where they come from, charts of check runs, forms for both."""
    import tomllib

    from xrdcomp.instrument.calibrate import STANDARDS
    from xrdcomp.instrument.history import InstrumentHistory
    from xrdcomp.present.tables import label_of
    from xrdcomp.qc.check_standards import standards

    calibrated = []
    for name in project.instruments():
        data = tomllib.loads(project.path("instruments", f"{name}.toml").read_text(encoding="utf-8"))
        calibrated.append({"name": name, "from": data.get("provenance", {})})
    history = InstrumentHistory(path=project.history)
    charts = history.quantities() if project.history.exists() else []
    states = {}
    for row in charts:
        chart = history.chart(row["instrument"], row["standard"], row["quantity"])
        states[row["instrument"], row["standard"], row["quantity"]] = label_of(chart.state)
    looks = project.files()
    return {
        "calibrated": calibrated, "charts": charts, "states": states, "choices": _choices(looks),
        "line_profiles": list(STANDARDS), "standards": standards(), **_queue_shown(queue, ("calibration", "check")),
        "known": sorted({row["instrument"] for row in charts}),
    }  # fmt: skip


def instrument_task(project: Project, form: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of the work that a form of the page of instruments asks for; "" where it is done at once."""
    from xrdcomp.instrument.history import InstrumentHistory
    from xrdcomp.qc.check_standards import moment_of

    def number(field: str) -> float | None:
        text = form.get(field, "").strip().replace(",", ".")
        try:
            return float(text) if text else None
        except ValueError:
            raise RecipeError(f"{field.replace('_', ' ')}: {text} is no number.") from None

    asked, name = form.get("kind", ""), form.get("name", "").strip()
    if not name:
        raise RecipeError("which instrument? Give its name.")
    if asked == "service":
        InstrumentHistory(path=project.history).service(name, form.get("note", "").strip() or "service")
        return "", {}
    file, standard = form.get("file", ""), form.get("standard", "")
    if file.removeprefix("files/") not in {look.name for look in project.files() if look.sha256}:
        raise RecipeError("which measurement? Choose a file; drop it in on the page of the project first.")
    if asked == "check":
        moment_of(form.get("date") or None)
        told = {key: form.get(key, "").strip() for key in ("date", "operator", "note") if form.get(key, "").strip()}
        return "check", {"title": f"check of {name}", "file": file, "standard": standard, "instrument": name, **told}
    safe_sample_id(name)
    if name in project.instruments():
        msg = (
            f"an instrument file {name} is there, and results may depend on it. Choose another name, with the year say."
        )
        raise RecipeError(msg)
    numbers = {key: number(key) for key in ("temperature_c", "radius_mm", "monochromator_two_theta")}
    radiation = form.get("radiation") or None
    return "calibration", {"title": f"calibration {name}", "name": name, "file": file, "standard": standard,
                           "radiation": radiation, **numbers}  # fmt: skip


def chart_svg(project: Project, *, instrument: str, standard: str, quantity: str) -> bytes:
    """Chart of a quantity as SVG; RecipeError where the history does not hold it."""
    from xrdcomp.instrument.history import InstrumentHistory
    from xrdcomp.present.style import to_bytes

    history = InstrumentHistory(path=project.history)
    known = {(row["instrument"], row["standard"], row["quantity"]) for row in history.quantities()}
    if (instrument, standard, quantity) not in known:
        raise RecipeError("the history holds no such quantity.")
    chart = history.chart(instrument, standard, quantity)
    with _DRAWING:
        return to_bytes(chart.plot(), "svg")
