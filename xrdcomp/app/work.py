"""What worker processes of the app do: analyse a specimen, calibrate on a standard, record a check run."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xrdcomp.errors import XrdcompError


@dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work of a `kind` in the project at `root`; `stage` is a file that is told how far it is."""

    kind: str
    root: str
    stage: str
    arguments: dict[str, Any] = field(default_factory=dict)


def perform(task: Task) -> dict[str, str]:
    """Do a task: ``said`` in words, and ``status`` ok, warning or failed.

    What was given wrongly is an outcome in words; a defect of the program is raised.
    """
    kinds = {"analysis": _analyse, "calibration": _calibrate, "check": _record}
    try:
        with contextlib.chdir(task.root):
            return kinds[task.kind](task)
    except XrdcompError as error:
        return {"status": "error", "said": error.for_command(())}


def _at(task: Task, stage: str) -> None:
    with contextlib.suppress(OSError):
        Path(task.stage).write_text(stage, encoding="utf-8")


def _analyse(task: Task) -> dict[str, str]:
    """Analyse what a run was asked for, as ``xrdcomp analyze`` does, and put its folder in place in one step."""
    from xrdcomp.batch.specimen_file import read_specimen_file
    from xrdcomp.present.files import write_result

    name, number = task.arguments["specimen"], task.arguments["run"]
    asked = read_specimen_file(Path("results", name, f"{number}.toml"))
    assert asked is not None, "runs are written by the project"
    target = Path("results", name, number)
    if not target.exists():
        _at(task, "reading, fitting and searching")
        result = asked.analyze()
        _at(task, "drawing figures and writing the report")
        aside = Path("results", name, f".{number}")
        shutil.rmtree(aside, ignore_errors=True)
        folder = write_result(result, aside, figures=True, report=True)
        folder.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        return {"status": result.status, "said": result.verdict}
    from xrdcomp.present.files import read_result

    found = read_result(target)
    return {"status": found.status, "said": found.verdict}


def _calibrate(task: Task) -> dict[str, str]:
    from xrdcomp.instrument.build import write_instrument
    from xrdcomp.instrument.calibrate import calibrate
    from xrdcomp.io.front import read_xrd
    from xrdcomp.recipe import Recipe

    told = task.arguments
    recipe = Recipe.of(None, radiation=told.get("radiation"), range=told.get("range"))
    recipe = recipe.with_settings({f"instrument.{key}": told[key] for key in ("radius_mm", "monochromator_two_theta")
                                   if told.get(key) is not None})  # fmt: skip
    _at(task, "fitting the standard")
    found = calibrate(
        read_xrd(told["file"], scan=told.get("scan")), told["standard"], recipe.instrument,
        temperature_c=told.get("temperature_c"), two_theta_range=recipe.fit.two_theta_range,
    )  # fmt: skip
    target = Path("instruments", f"{told['name']}.toml")
    write_instrument(found.instrument, target, provenance=found.provenance)
    notes = [f"{message.severity}: {message.text}" for message in found.messages]
    said = f"written: {target}; Rwp {100 * found.fit.rwp:.1f} %, expected {100 * found.fit.rexp:.1f} %."
    worst = "warning" if any(message.severity != "info" for message in found.messages) else "ok"
    return {"status": worst, "said": " ".join([said, *notes])}


def _record(task: Task) -> dict[str, str]:
    from xrdcomp.instrument.history import InstrumentHistory
    from xrdcomp.present.tables import label_of
    from xrdcomp.qc.check_standards import measure_standard, moment_of
    from xrdcomp.recipe import Recipe

    told = task.arguments
    _at(task, "measuring the standard")
    run, messages = measure_standard(
        told["file"], told["standard"], told["instrument"], Recipe(), scan=told.get("scan"),
        measured_at=moment_of(told.get("date")), operator=told.get("operator", ""), note=told.get("note", ""),
    )  # fmt: skip
    history = InstrumentHistory(path="check-runs.sqlite")
    recorded = history.record(run)
    values = ", ".join(
        f"{label_of(name)} {value.value:.6g} {value.unit}".rstrip() for name, value in run.values.items()
    )
    new = "" if recorded.new else " It was recorded before; nothing changed."
    said = f"Run {recorded.id} of {run.standard} on {run.instrument}, {run.measured_at:%Y-%m-%d}: {values}.{new}"
    notes = [f"{message.severity}: {message.text}" for message in messages]
    for name in run.values:
        state = history.chart(run.instrument, run.standard, name).state
        if state in ("out_of_control", "drifting"):
            notes.append(f"{label_of(name).capitalize()} is {label_of(state)}: see its chart.")
    if recorded.other_conditions:
        notes.append(f"Measured otherwise than the run before: {run.conditions}, not {recorded.other_conditions}.")
    return {"status": "warning" if notes else "ok", "said": " ".join([said, *notes])}
