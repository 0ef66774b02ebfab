"""Composition of one specimen from both instruments: priors, model, posterior, claims, cohorts."""
