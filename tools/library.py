"""Write data/reference_patterns/library.msgpack, the phases of the library as they are made of their files.

python -m tools.library
"""

from __future__ import annotations

from xrdcomp.phases.library import list_phases, store_library


def main() -> None:
    """Write the file and say what it holds."""
    file = store_library()
    print(f"{file}: {len(list_phases())} phases, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
