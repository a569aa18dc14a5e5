# make demo    simulate a million curves, fit them, show what came out
# make test    the tests
# make lint    what must hold of the code: style, types, layers
# make clean   remove the demo and the environment
#
# Each makes its own environment in .venv first, if it is not there, with the first Python that is
# new enough. Another interpreter: make PYTHON=python3.13 test

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11, \
    $(shell $(p) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(p))) python3)
endif
VENV   := .venv
BIN    := $(VENV)/bin
CURVES ?= 1000000

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(BIN)/manyfit simulate --model exponential_decay --curves $(CURVES) --points 50 \
	    --x-range 0:5 --truth a=2,b=1.5,c=0.5 --noise 0.05 --files 4 --out demo/data --overwrite
	rm -rf demo/fits
	$(BIN)/manyfit fit demo/data --model exponential_decay --out demo/fits
	$(BIN)/manyfit show demo/fits --truth demo/data

test: $(VENV)/.installed-dev $(VENV)/bin/azurite-blob
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf demo $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# Azure's emulator, for the tests of az://.
$(VENV)/bin/azurite-blob: | $(VENV)/bin/pip
	npm install --global --prefix $(VENV) --silent --no-audit --no-fund azurite@3 || \
	    echo "tests of az:// need npm: they are skipped, or fail where CI is set"

$(VENV)/bin/pip:
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	    echo "manyfit needs Python 3.11 or newer, and $(PYTHON) is" \
	        "$$($(PYTHON) --version 2>/dev/null || echo missing):" \
	        "make PYTHON=python3.12 $(MAKECMDGOALS)"; \
	    exit 1; }
	$(PYTHON) -m venv $(VENV)
