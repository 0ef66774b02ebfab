"""The optional packages, asked for in words where they are missing."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

from xrdcomp.errors import MissingExtraError

__all__ = ["INSTALL", "require"]

INSTALL = 'pip install "xrdcomp[frames]"'


def require(module: str) -> ModuleType:
    """Import a module of fabio, pyFAI, h5py or hdf5plugin.

    Raises
    ------
    MissingExtraError
        It is not installed; the message says how to install it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside these packages are not the user's concern
            return importlib.import_module(module)
    except ImportError as missing:
        package = module.partition(".")[0]
        msg = f"frames of area detectors need {package}, which is not installed: {INSTALL}"
        raise MissingExtraError(msg) from missing
