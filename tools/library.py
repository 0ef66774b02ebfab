"""Write library.msgpack and reflections.msgpack in data/reference_patterns, which spare a command much of its start.

python -m tools.library
"""

from __future__ import annotations

from xrdcomp.phases.library import list_phases, store_library
from xrdcomp.search.structures import store_reflections


def main() -> None:
    """Write both files and say how large they are."""
    for file in (store_library(), store_reflections()):
        print(f"{file}: {len(list_phases())} phases, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
