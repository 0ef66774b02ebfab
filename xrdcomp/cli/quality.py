"""Commands of quality control: shells over `xrdcomp.qc`; they compute nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from xrdcomp.cli import EXIT_FAILED_CHECK, EXIT_NOT_JUDGED
from xrdcomp.cli.options import (
    atmosphere_option,
    build_recipe,
    examples,
    format_option,
    print_json,
    progress,
    quiet_option,
    recipe_options,
    say,
    scan_options,
    xrd_options,
)
from xrdcomp.cli.options import history_option as analysis_history_option


class _Judging(click.Group):
    """A group whose first command goes without its name: ``qc results`` is ``qc judge results``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command there."""
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["judge", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of the command without a name, then the others."""
        judge.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Usage of the command without a name."""
        return judge.collect_usage_pieces(ctx)


@click.group(
    cls=_Judging,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "xrdcomp qc results",
        "xrdcomp qc results --policy qc.toml --junit qc.xml",
        "xrdcomp qc results/S1 --policy qc.toml --explain",
    ),
)
def qc() -> None:
    """Judge results by a policy, for scripts; check standards and charts of an instrument.

    RESULTS are result.json files, folders of specimens, or folders written by batch or watch. The exit code is 0 if
    every rule passes, 1 if one fails, 4 if none fails but one could not be judged, and 2 if there is no result or the
    policy is not valid.
    """


@qc.command(epilog=examples("xrdcomp qc results --policy qc.toml --junit qc.xml"))
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...")
@click.option("--policy", metavar="FILE", help="Rules as TOML [default: those that ship].")
@click.option("--junit", metavar="FILE", help="Write a JUnit report: one suite per result, one case per rule.")
@click.option("--explain", is_flag=True, help="Print every rule in words, with what it found and its reason.")
@format_option
@click.option("--overwrite", is_flag=True, help="Replace the FILE of --junit even if xrdcomp did not write it.")
def judge(results: tuple[str, ...], **options: Any) -> None:
    """Judge results by a policy: exit code 0 pass, 1 fail, 4 could not be judged."""
    from xrdcomp.disk import refuse_inputs, write_whole
    from xrdcomp.qc import policy as rules

    policy = rules.read_policy(options["policy"])
    found = [
        rules.judge(file, policy) if file is not None else rules.without_result(name, problem, policy)
        for name, file, problem in rules.find_results(results)
    ]
    if options["junit"]:
        target = Path(options["junit"])
        refuse_inputs(target, [options["policy"]])
        write_whole(target, rules.to_junit(found), overwrite=options["overwrite"], parents=True)
        progress(f"written: {target}", quiet=False)
    verdict = rules.worst(one.verdict for one in found)
    if options["output_format"] == "json":
        print_json({"policy": policy.name, "verdict": verdict, "results": [one.to_dict() for one in found]})
    else:
        for one in found:
            explained = [f"  {line}" for item in one.rules for line in item.explained().splitlines()]
            say("\n".join([f"{one.sample_id}:", *explained]) if options["explain"] else str(one))
        counts = Counter(one.verdict for one in found)
        told = ", ".join(f"{counts[kind]} {word}" for kind, word in rules.VERDICT_WORDS.items() if counts[kind])
        say(f"{rules.VERDICT_WORDS[verdict]}: {told}, by {policy.name} ({len(policy.rule)} rules)")
    if code := {"fail": EXIT_FAILED_CHECK, "undecided": EXIT_NOT_JUDGED}.get(verdict):
        raise click.exceptions.Exit(code)


# The history of an instrument

HISTORY = "xrdcomp-history.sqlite"
history_option = click.option(
    "--history", default=HISTORY, show_default=True, metavar="FILE", help="History of check runs (SQLite)."
)


@qc.command(
    epilog=examples(
        "xrdcomp qc record lab6.xrdml --standard srm660c --instrument D8",
        "xrdcomp qc record oxalate.csv --standard calcium-oxalate-monohydrate --instrument TGA2",
        "xrdcomp qc record empty.xy --standard empty-holder --instrument D8 --date 2026-01-31T09:00+01:00",
        "xrdcomp qc record --standard balance-weight --instrument TGA2 --kind tga --value mass_mg=100.002",
        'xrdcomp qc record --instrument D8 --service "new tube"',
        'xrdcomp qc record --exclude 17 --reason "specimen not packed"',
    )
)
@click.argument("file", required=False)
@history_option
@click.option("--instrument", "name", metavar="NAME", help="Name of the instrument in the history.")
@click.option("--standard", metavar="NAME", help="srm660c, srm640f, srm676a, calcium-oxalate-monohydrate, portlandite, "
              "calcite, empty-holder, empty-pan … or a name of your own with --value.")  # fmt: skip
@click.option(
    "--date", metavar="TIME", help="When it was measured, ISO 8601 [default: the file's, else its time stamp]."
)
@click.option("--value", "values", multiple=True, metavar="NAME=NUMBER", help="A quantity measured elsewhere.")
@click.option("--kind", type=click.Choice(["xrd", "tga"]), default="xrd", show_default=True,
              help="Of the instrument, with --value.")  # fmt: skip
@click.option("--operator", default="", metavar="NAME")
@click.option("--note", default="", metavar="TEXT")
@click.option("--service", metavar="TEXT", help="Note a service instead: a new baseline begins after it.")
@click.option("--exclude", type=int, metavar="RUN", help="Exclude a run instead, with --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Why a run is excluded.")
@scan_options
@recipe_options
@format_option
def record(file: str | None, **options: Any) -> None:
    """Measure a check standard and record it, note a service, or exclude a run.

    Several processes may record in one history at the same time. A file is recorded only once; nothing is ever deleted
    or changed.
    """
    from xrdcomp.errors import RecipeError
    from xrdcomp.instrument.history import InstrumentHistory
    from xrdcomp.qc.check_standards import check_run_of_values, measure_standard, moment_of

    history, moment = InstrumentHistory(path=options["history"]), moment_of(options["date"])
    if options["exclude"] is not None:
        history.exclude(options["exclude"], options["reason"])
        say(f"run {options['exclude']} excluded: {options['reason']}")
        return
    if not options["name"]:
        raise RecipeError("a record needs the instrument. Expected: --instrument NAME, e.g. --instrument D8.")
    if options["service"] is not None:
        history.service(options["name"], options["service"], moment)
        say(f"{options['name']}: service noted; a new baseline begins with the next check run")
        return
    if not options["standard"] or bool(file) == bool(options["values"]):
        raise RecipeError("nothing to record. Expected: --standard NAME with a FILE or with --value, or --service.")
    told = {name: options[name] for name in ("operator", "note")}
    if file:
        run, messages = measure_standard(
            file, options["standard"], options["name"], build_recipe(options | {"history": None}), scan=options["scan"],
            input_format=options["input_format"], measured_at=moment, **told,
        )  # fmt: skip
    else:
        run = check_run_of_values(
            options["values"], options["standard"], options["name"], options["kind"], measured_at=moment, **told
        )
        messages = ()
    recorded = history.record(run)
    if options["output_format"] == "json":
        from xrdcomp.results import named

        print_json(named(recorded, "id", "new") | named(run, "standard", "instrument", "dated_by", "values")
                   | {"measured_at": run.measured_at.isoformat(), "messages": messages})  # fmt: skip
        return
    say(f"run {recorded.id} of {run.standard} on {run.instrument}, {run.measured_at:%Y-%m-%d %H:%M} ({run.dated_by})"
        + ("" if recorded.new else ": was recorded before, nothing changed"))  # fmt: skip
    for quantity, estimate in run.values.items():
        text = str(estimate) if estimate.std is not None else f"{estimate.value:.7g} {estimate.unit}"
        say(f"  {quantity:20s} {text}")
    if recorded.other_conditions:
        say(
            f"warning: measured otherwise than the run before: {run.conditions}, not {recorded.other_conditions}",
            err=True,
        )
    for message in messages:
        say(f"{message.severity}: {message.text}", err=True)


@qc.command(
    epilog=examples(
        "xrdcomp qc chart --history lab.sqlite",
        "xrdcomp qc chart --history lab.sqlite --instrument D8 --quantity cell_a --out charts",
    )
)
@history_option
@click.option("--instrument", metavar="NAME", help="This one only.")
@click.option("--standard", metavar="NAME", help="This one only.")
@click.option("--quantity", metavar="NAME", help="This one only.")
@click.option("--baseline", type=click.IntRange(5, 1000), metavar="N", help="Runs of the baseline [default: 20].")
@click.option("--out", metavar="DIR", help="Draw Levey-Jennings charts with CUSUM there, PNG.")
@click.option("--svg", is_flag=True, help="SVG instead of PNG.")
@format_option
@click.option("--overwrite", is_flag=True, help="Replace charts that xrdcomp did not write.")
def chart(**options: Any) -> None:
    """Judge every quantity of the history by Westgard's rules and CUSUM, and draw its chart.

    Exit code 0 if all are in control (a drift is reported), 1 if one is out of control, 4 while every baseline is still
    being collected.
    """
    from xrdcomp.errors import RecipeError
    from xrdcomp.instrument.control import BASELINE_RUNS
    from xrdcomp.instrument.history import InstrumentHistory

    history = InstrumentHistory(path=options["history"])
    asked = {key: options[key] for key in ("instrument", "standard", "quantity") if options[key]}
    known = history.quantities()
    rows = [row for row in known if all(row[key] == value for key, value in asked.items())]
    if not rows:
        there = "; ".join(f"{row['instrument']} {row['standard']} {row['quantity']}" for row in known) or "nothing"
        raise RecipeError(f"{options['history']}: holds no such quantity. It holds: {there}.")
    charts = [
        history.chart(
            row["instrument"], row["standard"], row["quantity"], baseline_runs=options["baseline"] or BASELINE_RUNS
        )
        for row in rows
    ]
    if options["output_format"] == "json":
        print_json([one.to_dict() for one in charts])
    else:
        from xrdcomp.present.tables import control_table

        say(control_table(charts))
    if options["out"]:
        from xrdcomp.present.files import write_figure

        for one in charts:
            name = "_".join((one.instrument, one.standard, one.quantity))
            legal = "".join(c if c.isalnum() or c in "_-+." else "_" for c in name)
            target = Path(options["out"]) / f"{legal}.{'svg' if options['svg'] else 'png'}"
            write_figure(one.plot(), target, overwrite=options["overwrite"])
            progress(f"written: {target}", quiet=False)
    states = {one.state for one in charts}
    if "out_of_control" in states:
        raise click.exceptions.Exit(EXIT_FAILED_CHECK)
    if states == {"baseline"}:
        raise click.exceptions.Exit(EXIT_NOT_JUDGED)


@qc.command(epilog=examples("xrdcomp qc export --history lab.sqlite --out runs.csv"))
@history_option
@click.option("--out", metavar="FILE", help="CSV or JSON by --format [default: standard output].")
@click.option("--format", "output_format", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace FILE where xrdcomp did not write it.")
def export(**options: Any) -> None:
    """Write every value with its run: one row per value, or JSON with services and exclusions."""
    import json

    from xrdcomp.disk import write_whole
    from xrdcomp.instrument.history import InstrumentHistory

    history = InstrumentHistory(path=options["history"])
    if options["output_format"] == "csv":
        text = history.to_csv()
    else:
        text = json.dumps({"values": history.rows(), "events": history.events()}, indent=1, ensure_ascii=False) + "\n"
    if not options["out"]:
        say(text, nl=False)
        return
    target = write_whole(Path(options["out"]), text, overwrite=options["overwrite"], parents=True)
    progress(f"written: {target}", quiet=False)


@qc.command(epilog=examples("xrdcomp qc backup backups/2026-01-31.sqlite --history lab.sqlite"))
@click.argument("target", metavar="FILE")
@history_option
@click.option("--overwrite", is_flag=True, help="Replace FILE where xrdcomp did not write it.")
def backup(target: str, history: str, overwrite: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Copy the history to one file while others use it, and check the copy."""
    from xrdcomp.instrument.history import InstrumentHistory

    path = InstrumentHistory(path=history).backup(target, overwrite=overwrite)
    progress(f"written: {path}", quiet=False)


# A folder that is watched

WATCH_OUT = "xrdcomp-watch"
_seconds = click.FloatRange(min=0.0)


@click.command(
    epilog=examples(
        "xrdcomp watch /mnt/diffractometer --out results",
        "xrdcomp watch incoming --out results --manifest manifest.csv --policy qc.toml --history lab.sqlite",
        "xrdcomp watch incoming --out results --once",
    )
)
@click.argument("folder")
@click.option("--out", default=WATCH_OUT, show_default=True, metavar="DIR", help="Folder for the results and the page.")
@click.option("--policy", metavar="FILE", help="Rules as TOML [default: those that ship].")
@click.option("--manifest", metavar="FILE", help="Which files belong together [default: by name].")
@click.option("--once", is_flag=True, help="Stop when nothing more is expected from the files present.")
@click.option("--interval", type=click.FloatRange(min=0.05), default=2.0, show_default=True, metavar="S",
              help="Seconds between two checks of the folder.")  # fmt: skip
@click.option("--settle", type=_seconds, default=10.0, show_default=True, metavar="S",
              help="Seconds without a change after which a file is finished.")  # fmt: skip
@click.option("--pair-wait", type=_seconds, metavar="S",
              help="Seconds that a pattern waits for its run, or a run for its pattern [default: 60; 0 with --once].",
)  # fmt: skip
@click.option("--patience", type=_seconds, default=300.0, show_default=True, metavar="S",
              help="Seconds without a change after which an unreadable file is damaged.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Processes.")
@click.option("--figures/--no-figures", default=False, show_default=True, help="Draw figures of each specimen.")
@click.option("--report/--no-report", default=False, show_default=True, help="Write report.html of each specimen.")
@xrd_options
@atmosphere_option
@analysis_history_option
@recipe_options
@quiet_option
def watch(folder: str, **options: Any) -> None:
    """Analyse the files of a folder as the instrument finishes writing them, once each, with a QC verdict.

    A file counts as finished when its size has not changed for a while and it can be read to the end. Pattern and run
    are paired by their names or by the manifest. DIR/index.html shows specimens, verdicts and files that cannot be
    read; DIR/<sample_id>/ holds each result. After a stop or a kill, the same command continues where it stopped. With
    --once the exit code is 1 if a file cannot be read, a specimen failed or a rule fails.
    """
    from datetime import datetime

    from xrdcomp.disk import write_whole
    from xrdcomp.present.watch_page import render_watch_page
    from xrdcomp.qc.policy import VERDICT_WORDS, read_policy
    from xrdcomp.qc.watch import WatchOptions, watch_folder

    recipe, policy, quiet = build_recipe(options), read_policy(options["policy"]), options["quiet"]
    pair_wait = options["pair_wait"] if options["pair_wait"] is not None else (0.0 if options["once"] else 60.0)
    told = WatchOptions(
        interval_s=options["interval"], settle_s=options["settle"],
        patience_s=max(options["patience"], options["settle"]), pair_wait_s=pair_wait, blank=options["blank"],
        **{name: options[name] for name in ("once", "workers", "manifest", "figures", "report")},
        **{name: options[name] for name in ("scan", "input_format")},
    )  # fmt: skip
    page, bad = Path(options["out"]) / "index.html", False

    def shown(state: Any) -> None:
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        write_whole(page, render_watch_page(state, updated=now), parents=True)

    progress(f"watching {folder}; the state is in {page}", quiet=quiet)
    for event in watch_folder(folder, options["out"], recipe, policy, told, shown=shown):
        if event.judgement is None or event.row is None:
            bad = True
            say(f"{event.name}: cannot be read: {event.damaged}")
            continue
        verdict, error = event.judgement.verdict, event.row.get("error")
        bad = bad or verdict == "fail" or event.row["status"] == "failed"
        kept = " (of an earlier watch)" if event.resumed else ""
        say(f"{event.name}: {event.row['status']}, {VERDICT_WORDS[verdict]}{kept}" + (f": {error}" if error else ""))
        for complaint in event.judgement.complaints if not error else ():
            say(f"  {complaint}")
    if bad:
        raise click.exceptions.Exit(EXIT_FAILED_CHECK)
