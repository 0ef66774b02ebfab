"""xrdcomp formats, inspect, convert: what can be read, what a file is, the same in another format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from xrdcomp.cli.options import examples
from xrdcomp.cli.output import print_json
from xrdcomp.errors import MissingExtraError

__all__ = ["convert", "formats", "inspect"]

_FORMAT = click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")


@click.command(
    epilog=examples(
        "xrdcomp formats",
    )
)
@_FORMAT
def formats(output_format: str) -> None:
    """List the file formats that can be read, with the extra packages that some need."""
    from xrdcomp.present.tables import align
    from xrdcomp.readers import list_formats

    found = list_formats()
    if output_format == "json":
        print_json(found)
        return
    rows = [("id", "kind", "suffixes", "needs", "verified on real files", "name")]
    for item in found:
        needs = ", ".join(f"xrdcomp[{extra}]" for extra in _list(item["extras"]))
        verified = "yes" if item["verified"] else "no: from its description"
        suffixes = " ".join(_list(item["extensions"]))
        rows.append((str(item["id"]), str(item["kind"]), suffixes, needs, verified, str(item["name"])))
    click.echo(align(rows))


@click.command(
    epilog=examples(
        "xrdcomp inspect scan.raw --format json",
    )
)
@click.argument("file")
@click.option("--figure", metavar="FILE", help="Draw the measurement as .png or .svg.")
@click.option("--scan", type=click.IntRange(min=0), help="Which scan to draw, from 0.")
@_FORMAT
def inspect(file: str, figure: str | None, scan: int | None, output_format: str) -> None:
    """Say what a file is and what it holds, without analysing it."""
    from xrdcomp.present.tables import align
    from xrdcomp.readers import inspect_file, why_not_powder

    found = inspect_file(file)
    frame = _frame(file) if found["kind"] == "xrd_frame" and found["format"] != "poni" else None
    if frame is not None:
        found["scans"] = [_frame_as_scan(frame)]
    if figure is not None:
        _draw(file, figure, kind=str(found["kind"]), scan=scan)
    if output_format == "json":
        print_json(found)
        return
    parts: Any = [] if frame else found.get("scans") or found.get("segments") or []
    count = f", {len(parts)} {_noun(found, len(parts))}" if parts else ""
    click.echo(f"{file}: {found['kind']}, format {found['format']}{count}")
    if frame is not None:
        click.echo(align([(name, _cell(value)) for name, value in frame.items()]))
    if parts:
        head = ["", *parts[0]]
        rows = [head, *([str(i), *(_cell(value) for value in part.values())] for i, part in enumerate(parts))]
        click.echo(align(rows))
    reasons = why_not_powder(file) if found["kind"] == "xrd" else ()
    for number, reason in enumerate(reasons):
        if reason:
            click.echo(f"scan {number} is no powder scan: {reason}")


@click.command(
    epilog=examples(
        "xrdcomp convert scan.brml scan.xye",
    )
)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option("--scan", type=click.IntRange(min=0), help="Which scan of the file, from 0.")
def convert(source: str, target: str, scan: int | None) -> None:
    """Write a pattern in another format, chosen by the suffix of OUT: xy, xye, csv, cif, nxs."""
    from xrdcomp.readers import convert_file

    convert_file(source, target, **({} if scan is None else {"scan": scan}))
    click.echo(f"written: {target}", err=True)


def _frame(file: str) -> dict[str, object] | None:
    """Facts of a frame; None, with a word on standard error, where the extra is not installed."""
    from xrdcomp.frames import describe_frame

    try:
        facts: dict[str, object] = describe_frame(file)
    except MissingExtraError as missing:
        click.echo(str(missing), err=True)
        return None
    return facts


def _frame_as_scan(frame: Mapping[str, Any]) -> dict[str, object]:
    """Say of a frame what is said of a scan; it has angles only once it is integrated."""
    return {
        "n_points": frame["rows"] * frame["columns"],
        "two_theta_min": None,
        "two_theta_max": None,
        "intensity_max": frame["counts_max"],
        "intensity_unit": "counts",
        "wavelengths": frame["wavelengths"],
        "axis": "frame",
    }


def _draw(file: str, target: str, *, kind: str, scan: int | None) -> None:
    from xrdcomp.present import plot_measurement, write_figure
    from xrdcomp.readers import read_tga, read_xrd

    if kind == "xrd_frame":
        from xrdcomp.frames import read_frame
        from xrdcomp.present import plot_frame_image

        write_figure(plot_frame_image(read_frame(file)), target)
        click.echo(f"written: {target}", err=True)
        return
    measured = read_tga(file) if kind == "tga" else read_xrd(file, scan=scan)
    write_figure(plot_measurement(measured), target)
    click.echo(f"written: {target}", err=True)


def _list(value: object) -> list[str]:
    return list(value) if isinstance(value, list) else []


def _noun(found: Mapping[str, Any], count: int) -> str:
    noun = "segment" if found["kind"] == "tga" else "scan"
    return noun if count == 1 else noun + "s"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return " ".join(_cell(item) for item in value)
    return "" if value is None else str(value)
