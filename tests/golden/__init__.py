"""Golden results: what the whole line gave when it was last looked at, figure by figure.

``pytest tests/golden -k NAME`` compares, ``python -m tests.golden.record [NAME ...]`` records anew and says what
changed. A change of a stored figure belongs into a commit that says why it changed.
"""
