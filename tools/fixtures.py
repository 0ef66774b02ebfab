"""Table of the real files of the tests: what each of them is read as, or why it is refused.

python -m tools.fixtures [--check]

The folder is the one that XRDCOMP_FIXTURES names. The table goes to docs/fixtures.md; with `--check` nothing is
written, and the exit code is 1 where the page is not current.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xrdcomp.errors import MissingExtraError, ReadError, printable
from xrdcomp.io.front import read_tga, read_xrd_scans
from xrdcomp.io.registry import recognise
from xrdcomp.io.source import open_source

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fixtures.md"
NO_MEASUREMENT = {"rir.csv"}
"""Tables beside the measurements."""
HEAD = """# The real files of the tests

Written by `python -m tools.fixtures`. The files belong to others and are not in the repository. Each is read, or
refused for the reason given here. A refusal is correct: the file is cut, or contains neither a powder scan nor a run.

"""


def describe(path: Path, *, run: bool) -> tuple[str, str]:
    """Format of a file, and what it is read as or why it is refused."""
    found = recognise(open_source(path))
    best = found[0][1] if found else None
    if best is not None and best.kind == "xrd_frame":
        return best.id, "a frame or its geometry: `xrdcomp integrate` takes it, with the extra `frames`"
    if best is not None and "ngb" in best.extras:
        return best.id, "read with the extra `ngb`"
    try:
        if run:
            one = read_tga(path)
            segments = 1 if one.segment is None else len(set(one.segment.tolist()))
            low, high = float(one.temperature_c.min()), float(one.temperature_c.max())
            parts = f"{segments} segment{'s' * (segments != 1)}, " if segments > 1 else ""
            content = f"read: {parts}{len(one)} points, {low:.0f} to {high:.0f} °C, mass in {one.mass_unit}"
            return one.source.format if one.source else "", content
        scans = read_xrd_scans(path)
    except ReadError as refusal:
        return refusal.format_id, f"refused: {refusal.reason}"
    except MissingExtraError:
        return best.id if best else "", f"read with the extra `{', '.join(best.extras if best else ())}`"
    spans = "; ".join(f"{len(one)} points, {one.two_theta[0]:g} to {one.two_theta[-1]:g}°" for one in scans[:3])
    return scans[0].source.format if scans[0].source else "", f"read: {spans}"


def page(folder: Path) -> str:
    """The whole page."""
    parts = [HEAD]
    counts = {"read": 0, "refused": 0, "a frame": 0}
    for title, below, run in (
        ("Diffraction", "xrd", False), ("Thermogravimetry", "tga", True), ("Standards", "standards", False),
    ):  # fmt: skip
        rows = [f"## {title}\n", "| file | format | |", "|---|---|---|"]
        for path in sorted((folder / below).rglob("*")):
            if not path.is_file() or path.name in NO_MEASUREMENT:
                continue
            format_id, content = describe(path, run=run)
            counts[next(word for word in counts if content.startswith(word))] += 1
            shown = printable(content).replace("|", "\\|").replace("\n", " ")
            rows.append(f"| {printable(str(path.relative_to(folder)))} | `{format_id}` | {shown} |")
        parts.append("\n".join(rows) + "\n")
    total = ", ".join(f"{number} {word}" for word, number in counts.items())
    parts.insert(1, f"In all: {total.replace('a frame', 'frames or their geometry')}.\n")
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def main() -> int:
    """Write the page, or say whether it is current."""
    folder = os.environ.get("XRDCOMP_FIXTURES")
    if not folder:
        sys.stderr.write("XRDCOMP_FIXTURES names no folder\n")
        return 2
    fresh = page(Path(folder))
    if "--check" in sys.argv[1:]:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != fresh)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
