"""Reference structures: the library of phases, and structures from the user's CIF files."""

from xrdcomp.phases.catalogue import (
    PhaseInfo,
    list_phases,
    load_phase,
    load_phases,
    own_phase_files,
    phase_info,
    reference_folder,
)

__all__ = [
    "PhaseInfo",
    "list_phases",
    "load_phase",
    "load_phases",
    "own_phase_files",
    "phase_info",
    "reference_folder",
]
