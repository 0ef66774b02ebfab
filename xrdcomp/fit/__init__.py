"""Whole-pattern fitting: linear terms solved inside, the rest by Levenberg-Marquardt."""

from xrdcomp.fit.lmfit_face import minimizer_result
from xrdcomp.fit.pattern import fit_pattern, fit_state, initial_parameters

__all__ = ["fit_pattern", "fit_state", "initial_parameters", "minimizer_result"]
