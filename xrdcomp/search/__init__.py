"""Phases found or not found in a pattern, with thresholds and detection limits."""
