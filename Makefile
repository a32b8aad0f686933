# `make help` lists the targets. What they run is in scripts/ and pyproject.toml.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Where Debian has OVN's and Open vSwitch's daemons, and users' shells do not look.
export PATH := $(PATH):/usr/sbin:/sbin

# Building networks takes root.
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: setup
setup: ## install Debian packages (root or sudo) and the virtual environment; quick when done
	@bash scripts/setup.sh

.PHONY: venv
venv: ## make the virtual environment alone; needs no root
	@bash scripts/setup.sh --venv

.PHONY: format
format: venv ## format the code and mend what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: check
check: venv ## check format, lint, types and layers, run unit and property tests; no root, < 2 min
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q -n auto -m 'not ovn and not lab'

.PHONY: test
test: check ## check, then test with real databases and networks; skips what needs root or packages
	@bash scripts/test.sh

.PHONY: test-differential
test-differential: setup ## play 1300 random histories through ovn-ic and ours, record the result; 20 min
	@bash scripts/differential.sh

.PHONY: test-ovn-matrix
test-ovn-matrix: setup ## test the engine with newer OVN, in Debian suites built once (SUITES=sid)
	@bash scripts/ovn-matrix.sh $(or $(SUITES),sid)

.PHONY: bench
bench: setup ## measure Isthmus beside ovn-ic, 15 min (QUICK=1: 2 min); results in bench/results
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(QUICK),--quick)

.PHONY: demo
demo: setup ## build two clusters on this machine, join them, show pods reaching each other
	@$(SUDO) $(BIN)/isthmus lab demo

.PHONY: down
down: venv ## remove what `make demo` has built
	@$(SUDO) $(BIN)/isthmus lab down

.PHONY: lock
lock: ## resolve pyproject.toml's dependencies anew and pin them in requirements/
	@bash scripts/lock.sh

.PHONY: clean
clean: ## remove the virtual environment, caches and test output
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	    build dist test-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
