"""Whole-pattern fitting: linear terms solved inside, the rest by Levenberg-Marquardt."""

from xrdcomp.fit.lmfit_face import minimizer_result
from xrdcomp.fit.pattern import fit_pattern, fit_state, initial_parameters
from xrdcomp.fit.summary import describes_pattern

__all__ = ["describes_pattern", "fit_pattern", "fit_state", "initial_parameters", "minimizer_result"]
