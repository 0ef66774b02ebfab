"""xrdcomp integrate: frames of an area detector to a powder pattern, with the ring that shows orientation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xrdcomp.cli.options import examples, parse_numbers
from xrdcomp.cli.output import print_json, progress
from xrdcomp.errors import AnalysisError, naming

if TYPE_CHECKING:
    from xrdcomp.frames import AzimuthalProfile
    from xrdcomp.types import Pattern

__all__ = ["integrate"]


@click.command(
    epilog=examples(
        "xrdcomp integrate frame_00.gfrm frame_01.gfrm -o pattern.xye",
        "xrdcomp integrate frame.tif --poni calibration.poni --mask beamstop.edf --ring 3.44",
    )
)
@click.argument("frames", metavar="FRAME…", nargs=-1, required=True)
@click.option(
    "--poni", "ponis", metavar="FILE", multiple=True,
    help="Calibration by pyFAI, once for all frames or once for each; replaces the geometry of the headers.",
)  # fmt: skip
@click.option("--mask", metavar="FILE", help="npy, TIFF or EDF; pixels that are not zero are not used.")
@click.option(
    "--sector", metavar="START,STOP",
    help="Azimuth in degrees, 0 towards higher columns, 90 towards higher rows [default: the full turn].",
)  # fmt: skip
@click.option("--points", type=click.IntRange(min=2), help="Steps of 2θ [default: of half a pixel].")
@click.option(
    "--polarization", type=click.FloatRange(-1, 1),
    help="Degree of polarisation of the beam, divided out; leave it out for a laboratory tube.",
)  # fmt: skip
@click.option(
    "--orientation", type=click.IntRange(1, 4),
    help="Corner of the first pixel, with --poni: 1 top left, 2 top right, 3 bottom right, 4 bottom left.",
)  # fmt: skip
@click.option(
    "--ring", metavar="D", type=float, help="Ring for the orientation, ångström [default: 3.44, 002]."
)
@click.option(
    "-o", "--out", metavar="FILE", help="xye, xy, csv, cif, nxs [default: name of the frame, .xye]."
)
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw frame, pattern and ring.")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def integrate(frames: tuple[str, ...], **options: Any) -> None:
    """Integrate frames of an area detector (GFRM, SFRM, TIFF, CBF, EDF, Eiger) to one powder pattern.

    Several frames are merged. Needs the optional packages fabio and pyFAI.
    """
    quiet, as_json = options["quiet"], options["output_format"] == "json"
    sector = options["sector"]
    limits = parse_numbers(sector, "--sector", counts=(2,)) if sector else None
    from xrdcomp.frames import integrate_frames
    from xrdcomp.frames.integrate import frame_stem
    from xrdcomp.readers.convert import write_pattern

    progress(f"integrating {len(frames)} frame{'s' * (len(frames) > 1)}", quiet=quiet)
    given: dict[str, Any] = {"poni": options["ponis"] or None, "mask": options["mask"]}
    given |= {"polarization": options["polarization"], "orientation": options["orientation"]}
    sector_of_turn = (limits[0], limits[1]) if limits else None
    with naming(*frames):
        pattern = integrate_frames(frames, **given, sector=sector_of_turn, n_points=options["points"])
    target = Path(options["out"] or f"{frame_stem(frames[0])}.xye")
    write_pattern(pattern, target)
    profile, reason = _ring(frames, given, options["ring"])
    written = [target]
    if options["figures"]:
        progress("drawing figures", quiet=quiet)
        written.append(_draw(frames, given, pattern, profile, target))
    summary = _summary(pattern, profile, reason, written)
    if as_json:
        print_json(summary)
    else:
        click.echo(_text(summary))


def _ring(
    frames: tuple[str, ...], given: dict[str, Any], d_spacing: float | None
) -> tuple[AzimuthalProfile | None, str]:
    """Profile of the ring; where none was asked for by name, a missing one is said, not an error."""
    from xrdcomp.frames import azimuthal_profile

    try:
        return azimuthal_profile(
            frames, **given, **({} if d_spacing is None else {"d_spacing": d_spacing})
        ), ""
    except AnalysisError as problem:
        if d_spacing is not None:
            raise
        return None, str(problem)


def _draw(
    frames: tuple[str, ...],
    given: dict[str, Any],
    pattern: Pattern,
    profile: AzimuthalProfile | None,
    target: Path,
) -> Path:
    from xrdcomp.frames.integrate import place_frames
    from xrdcomp.present import plot_frames, write_figure

    given = {**given, "poni": given["poni"][:1] if given["poni"] else None}
    figure = plot_frames(place_frames(frames[:1], **given)[0], pattern, profile)
    path: Path = write_figure(figure, target.with_suffix(".png"))
    return path


def _summary(
    pattern: Pattern, profile: AzimuthalProfile | None, reason: str, written: list[Path]
) -> dict[str, Any]:
    ring: dict[str, Any] | None = None
    if profile is not None:
        names = ("d_spacing", "two_theta", "amplitude", "amplitude_esd", "direction", "hermans", "coverage")
        ring = {name: getattr(profile, name) for name in (*names, "graininess", "oriented")}
    return {
        "n_points": len(pattern),
        "two_theta_min": float(pattern.two_theta[0]),
        "two_theta_max": float(pattern.two_theta[-1]),
        "intensity_max": float(pattern.intensity.max()),
        "intensity_unit": pattern.intensity_unit,
        "wavelengths": [line.wavelength for line in pattern.emission_lines],
        "frames": pattern.metadata["frames"],
        "ring": ring,
        "ring_missing": reason,
        "warnings": [note.text for note in pattern.diagnostics if note.severity != "info"],
        "notes": [note.text for note in pattern.diagnostics if note.severity == "info"],
        "written": [str(path) for path in written],
    }


def _text(summary: dict[str, Any]) -> str:
    lines = [
        f"{summary['frames']}: {summary['n_points']} points, 2θ {summary['two_theta_min']:.2f} to "
        f"{summary['two_theta_max']:.2f}°, maximum {summary['intensity_max']:.4g} {summary['intensity_unit']}"
    ]
    ring = summary["ring"]
    if ring is None:
        lines.append(f"orientation: not judged; {summary['ring_missing']}")
    else:
        hermans = "" if ring["hermans"] is None else f", Hermans factor {ring['hermans']:.2f}"
        verdict = {
            True: "oriented",
            False: "no orientation seen",
            None: "too little of the ring is seen to judge",
        }
        lines.append(
            f"orientation: ring d {ring['d_spacing']:g} Å at {ring['two_theta']:.2f}°: {verdict[ring['oriented']]}, "
            f"amplitude {ring['amplitude']:.3f} ± {ring['amplitude_esd']:.3f} along {ring['direction']:.0f}°"
            f"{hermans} (seen over {100 * ring['coverage']:.0f} % of the turn)"
        )
    lines += [f"warning: {text}" for text in summary["warnings"]]
    lines += [f"note: {text}" for text in summary["notes"]]
    return "\n".join([*lines, *(f"written: {path}" for path in summary["written"])])
