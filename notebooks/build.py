"""Build the notebooks from their text twins: ``NN_name.py`` (cells begin with ``# %%``) gives ``NN_name.ipynb``.

    python notebooks/build.py [NAME …]     # build and execute; without names, all
    python notebooks/build.py --check      # does every stored notebook hold its twin's cells?

Edit the ``.py``; the ``.ipynb`` is stored executed for readers and never edited. Markdown cells begin with
``# %% [markdown]``, their lines with ``# ``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
TIMEOUT_S = 600


def twins() -> list[Path]:
    """Text twins in the order of their numbers."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def cells_of(text: str) -> list[tuple[str, str]]:
    """Kind (``code`` or ``markdown``) and source of every cell of a twin."""
    found: list[tuple[str, str]] = []
    for block in text.split("\n# %%")[1:]:
        head, _, body = block.partition("\n")
        body = body.strip("\n")
        if "[markdown]" in head:
            lines = (line.removeprefix("#").removeprefix(" ") for line in body.split("\n"))
            found.append(("markdown", "\n".join(lines)))
        else:
            found.append(("code", body))
    return found


def notebook_of(twin: Path) -> nbformat.NotebookNode:
    """Notebook of a twin, not executed; cell ids depend on place and source only."""
    cells = []
    for number, (kind, source) in enumerate(cells_of("\n" + twin.read_text(encoding="utf-8"))):
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        cells.append(make(source, id=hashlib.sha256(f"{number}{source}".encode()).hexdigest()[:8]))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run every cell in the folder of the notebooks; raises at the first error."""
    client = NotebookClient(notebook, timeout=TIMEOUT_S, record_timing=False)
    return client.execute(cwd=str(FOLDER))


def same_cells(stored: nbformat.NotebookNode, built: nbformat.NotebookNode) -> bool:
    """Whether a stored notebook holds the cells of its twin and was executed."""
    sources = [(cell.cell_type, cell.source) for cell in stored.cells]
    executed = all(cell.execution_count for cell in stored.cells if cell.cell_type == "code")
    return executed and sources == [(cell.cell_type, cell.source) for cell in built.cells]


def main() -> int:
    """Build what was asked for; with ``--check`` the exit code says whether a stored notebook differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="01_quick_start …")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    different = []
    for twin in twins():
        target = twin.with_suffix(".ipynb")
        if arguments.names and twin.stem not in arguments.names:
            continue
        built = notebook_of(twin)
        if arguments.check:
            if not (target.is_file() and same_cells(nbformat.read(target, as_version=4), built)):
                different.append(target.name)
            continue
        nbformat.write(execute(built), target)
        sys.stderr.write(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB\n")
    if different:
        sys.stderr.write(f"not what their twins say: {', '.join(different)}\n")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
