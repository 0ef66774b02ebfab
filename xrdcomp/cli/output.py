"""What commands print and write: results to standard output, progress and messages to standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from xrdcomp.cli.options import DEFAULT_OUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from xrdcomp.results import SampleResult

__all__ = ["deliver", "print_json", "progress"]


def progress(text: str, *, quiet: bool) -> None:
    """Write one line of progress to standard error."""
    if not quiet:
        click.echo(text, err=True)


def print_json(data: Any) -> None:
    """Print strict JSON to standard output."""
    click.echo(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False))


def deliver(
    result: SampleResult, options: Mapping[str, Any], *, as_text: Callable[[SampleResult], str]
) -> None:
    """Write the result as the output options ask and print it; exit code 1 where its status is failed."""
    from xrdcomp.present import write_result

    as_json, quiet = options["output_format"] == "json", options["quiet"]
    out = options["out"] or (None if as_json else DEFAULT_OUT)
    text = None
    if out is not None:
        if options["figures"]:
            progress("drawing figures", quiet=quiet)
        folder = write_result(result, out, figures=options["figures"], report=options["report"])
        text = (folder / "result.json").read_text(encoding="utf-8")
    if as_json:
        click.echo(text if text is not None else result.to_json() + "\n", nl=False)
    else:
        click.echo(as_text(result))
    if out is not None:
        progress(f"written: {folder}", quiet=quiet)
    if result.status == "failed":
        raise click.exceptions.Exit(1)
