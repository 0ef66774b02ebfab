"""Refinement of a whole pattern: parameters, model, variable projection, covariance."""
