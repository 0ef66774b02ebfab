"""Two-dimensional frames, recognised so that they are refused in words where a scan is expected."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xrdcomp.readers.registry import Kind, Reader
from xrdcomp.readers.source import SourceFile

__all__ = ["READERS", "FrameReader"]


@dataclass(frozen=True, kw_only=True)
class FrameReader(Reader):
    """A frame format: recognised here, read by the azimuthal integration."""

    @property
    def kind(self) -> Kind:
        """Kind of measurement."""
        return "xrd_frame"


def _bruker(source: SourceFile) -> float:
    return 1.0 if re.match(rb"FORMAT\s*:\s*(?:86|100)", source.data[:80]) else 0.0


def _tiff(source: SourceFile) -> float:
    return 1.0 if source.data[:4] in {b"II*\x00", b"MM\x00*"} else 0.0


def _cbf(source: SourceFile) -> float:
    return (
        1.0
        if source.data[:7] == b"###CBF:" or b"Content-Type: application/octet-stream" in source.head
        else 0.0
    )


def _edf(source: SourceFile) -> float:
    head = source.data[:2048]
    return 0.9 if head.lstrip()[:1] == b"{" and (b"Dim_1" in head or b"HeaderID" in head) else 0.0


def _hdf(source: SourceFile) -> float:
    return 0.6 if source.data[:8] == b"\x89HDF\r\n\x1a\n" else 0.0


def _poni(source: SourceFile) -> float:
    return 0.9 if b"Poni1:" in source.head and b"Rot1:" in source.head else 0.0


READERS = tuple(
    FrameReader(
        id=name,
        name=title,
        extensions=extensions,
        sniff=sniff,
        extras=("frames",),
        verified=name not in {"edf", "hdf5"},  # no real file of these could be had
    )
    for name, title, extensions, sniff in (
        ("gfrm", "Bruker frame (GFRM, SFRM)", ("gfrm", "sfrm"), _bruker),
        ("tiff", "TIFF frame", ("tif", "tiff"), _tiff),
        ("cbf", "CBF frame (Dectris, imgCIF)", ("cbf",), _cbf),
        ("edf", "ESRF data format frame", ("edf",), _edf),
        ("hdf5", "HDF5 container (Eiger, NeXus)", ("h5", "hdf5", "nxs"), _hdf),
        ("poni", "pyFAI geometry (no measurement)", ("poni",), _poni),
    )
)
