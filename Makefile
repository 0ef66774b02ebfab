# Two commands do all set-up: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export MPLBACKEND := Agg

.PHONY: demo test check accuracy calibration bench clean

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("xrdcomp needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(BIN)/.tested: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet -e ".[test,check]"
	touch $@

demo: $(BIN)/.installed
	$(BIN)/xrdcomp demo --out demo-results

test: $(BIN)/.tested check
	$(BIN)/python -m pytest

check: $(BIN)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

accuracy calibration bench: $(BIN)/.tested
	$(BIN)/python benchmarks/$@.py

clean:
	rm -rf $(VENV) demo-results
