"""Commands of quality control: shells over `xrdcomp.qc`; they compute nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from xrdcomp.cli import EXIT_FAILED_CHECK, EXIT_NOT_JUDGED
from xrdcomp.cli.options import examples, format_option, print_json, progress, say


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

    RESULTS are result.json, folders of specimens, or folders that batch or watch wrote. The exit code is 0 where every
    rule passes, 1 where one fails, 4 where none fails but one could not be judged, and 2 for what is no result or no
    policy.
    """


@qc.command(epilog=examples("xrdcomp qc results --policy qc.toml --junit qc.xml"))
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...")
@click.option("--policy", metavar="FILE", help="Rules as TOML [default: those that ship].")
@click.option("--junit", metavar="FILE", help="Write a JUnit report: one suite a result, one case a rule.")
@click.option("--explain", is_flag=True, help="Print every rule in words, what it saw and why it is asked.")
@format_option
@click.option("--overwrite", is_flag=True, help="Replace FILE of --junit where xrdcomp did not write it.")
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
