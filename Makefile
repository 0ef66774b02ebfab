# Two commands do all set-up: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export MPLBACKEND := Agg

# The tests run side by side; more than four processes wait for memory and for the browser.
PYTEST_SPREAD := -n logical --maxprocesses 4 --dist worksteal

DOCS := .venv-docs

.PHONY: help demo docs test browser test-frames test-lowest check wheel dist accuracy calibration bench convergence worlds notebooks clean

help:
	@echo "make demo    analyse the ten simulated specimens into demo-results/"
	@echo "make test    run ruff, mypy and the whole test suite"
	@echo "make browser  install Chromium, with which the tests look at the pages, where there is none (Debian, as root)"
	@echo "make test-frames  the tests that need the optional extras (frames, ngb, nexus), in .venv-frames"
	@echo "make test-lowest  unit and contract tests with the lowest versions that pyproject.toml allows, in .venv-lowest"
	@echo "make docs    build the documentation into docs/_build, in .venv-docs"
	@echo "make check   ruff and mypy only"
	@echo "make accuracy, make bench, make convergence   measure every promised figure; see docs/"
	@echo "make calibration  choose constants on all simulators but one, judge them on the one left out; then many specimens at home"
	@echo "make worlds  judge the analysis on simulators of other hands; see docs/worlds.md"
	@echo "make notebooks   build and execute the notebooks again"
	@echo "make wheel   build the wheel into dist/"
	@echo "make dist    build wheel and source archive into dist/, for a release"
	@echo "make clean   remove the environment and everything built"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("xrdcomp needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(BIN)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet -e .
	@touch $@

$(BIN)/.tested: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet -e ".[test,check]"
	@touch $@ $(BIN)/.installed

demo: $(BIN)/.installed
	$(BIN)/xrdcomp demo --out demo-results

test: check
	$(BIN)/python -m pytest $(PYTEST_SPREAD)

# Without a browser the tests of the pages are skipped and say so.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } \
		|| echo "no Chromium and no way to install it here: install one, the tests of the pages need it"

# The optional extras bring some hundred megabytes (fabio and pyFAI 300 MB, of which 190 MB are compression plug-ins
# for HDF5): an environment of their own, in which the tests run that need them.
FRAMES := .venv-frames

$(FRAMES)/.tested: pyproject.toml
	$(PYTHON) -m venv $(FRAMES)
	$(FRAMES)/bin/python -m pip --disable-pip-version-check install --quiet -e ".[frames,ngb,nexus,test]"
	@touch $@

test-frames: $(FRAMES)/.tested
	$(FRAMES)/bin/python -m pytest tests/unit/test_frames_files.py tests/unit/test_frames_integrate.py tests/real/test_frames_real.py \
		tests/real/test_fixtures_tga.py tests/real/test_thermal_real.py tests/unit/test_reader_convert.py
	$(FRAMES)/bin/python -m pytest tests/golden -k "integrate or binary"

# The lowest versions of what the core and the tests need, so that the stated bounds are true ones.
LOWEST := .venv-lowest

$(LOWEST)/.tested: pyproject.toml tools/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python tools/lowest.py test > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet -e ".[test]" -c $(LOWEST)/constraints.txt
	@touch $@

test-lowest: $(LOWEST)/.tested
	$(LOWEST)/bin/python -m pytest $(PYTEST_SPREAD) tests/unit tests/contract

# The site has an environment of its own, so that the tests do not need Sphinx; a warning is an error.
$(DOCS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check install --quiet -e ".[docs]"
	@touch $@

docs: $(DOCS)/.installed
	$(DOCS)/bin/python -m tools.settings
	$(DOCS)/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build

check: $(BIN)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(BIN)/.tested
	$(PIP) wheel . --quiet --no-deps --wheel-dir dist

dist: $(BIN)/.tested
	$(BIN)/hatchling build --directory dist

# Real measurements lie beside the repository; without them their sections are left out. One BLAS thread: several
# wait for each other on busy cores and their waiting counts as CPU time.
FIXTURES ?= ../shared/fixtures

# The worlds of other hands, each judged by itself and left out in turn.
worlds: $(BIN)/.tested
	$(BIN)/python -m benchmarks.worlds.study --world all --n 40 --seed 71001

accuracy calibration bench convergence worlds test test-frames test-lowest: export OPENBLAS_NUM_THREADS := 1
accuracy bench calibration convergence worlds: export XRDCOMP_FIXTURES := $(or $(XRDCOMP_FIXTURES),$(if $(wildcard $(FIXTURES)),$(abspath $(FIXTURES))))
accuracy bench convergence: $(BIN)/.tested
	$(BIN)/python -m benchmarks.$@ $(if $(filter bench,$@),$(if $(PEERS),--peers $(abspath $(PEERS))))

# Constants are chosen on all simulators but one and judged on the one left out; then the long study at home. Either may
# fall short of its bars, which does not keep the other from being run.
calibration: $(BIN)/.tested
	status=0; $(BIN)/python -m benchmarks.worlds.rotation --n 40 || status=1; \
		$(BIN)/python -m benchmarks.calibration || status=1; exit $$status

notebooks: export OPENBLAS_NUM_THREADS := 1
notebooks: export XRDCOMP_FIXTURES := $(or $(XRDCOMP_FIXTURES),$(if $(wildcard $(FIXTURES)),$(abspath $(FIXTURES))))
notebooks: $(BIN)/.tested
	$(BIN)/python notebooks/build.py

clean:
	rm -rf $(VENV) $(FRAMES) $(LOWEST) $(DOCS) docs/_build dist build demo-results xrdcomp-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
