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
# Where `make kube-assets` has put what it built: root would look elsewhere.
KUBE_ENV = env XDG_CACHE_HOME="$${XDG_CACHE_HOME:-$$HOME/.cache}" \
    KUBEBUILDER_ASSETS="$${KUBEBUILDER_ASSETS:-}" PATH="$$PATH"

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
	$(BIN)/pytest -q -n auto -m 'not ovn and not kube and not lab'

.PHONY: test
test: check ## check, then test with real databases and networks; skips what needs root or packages
	@bash scripts/test.sh

.PHONY: kube-assets
kube-assets: ## find a Kubernetes API server, or build one with Go, once; 10 min, quick when done
	@bash scripts/kube-assets.sh

.PHONY: test-differential
test-differential: setup ## play 1300 random histories through ovn-ic and ours, record the result; 20 min
	@bash scripts/differential.sh

.PHONY: test-ovn-matrix
test-ovn-matrix: setup ## test the engine with newer OVN, in Debian suites built once (SUITES=sid)
	@bash scripts/ovn-matrix.sh $(or $(SUITES),sid)

.PHONY: test-live-edits
test-live-edits: setup ## count the packets that live edits lose, 2 min (RECORD=1: write them to docs)
	@$(SUDO) env ISTHMUS_REQUIRE_ALL=1 $(if $(RECORD),ISTHMUS_RECORD_LIVE_EDITS=1) PYTHONDONTWRITEBYTECODE=1 \
	    $(BIN)/pytest -q -p no:cacheprovider tests/lab/test_live_edits.py

.PHONY: test-icdb-orders
test-icdb-orders: setup ## found 2,640 clusters of IC databases, members started in all orders, record it; 3 h (MINUTES=60)
	@$(SUDO) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m icdb.orders --record \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: test-icdb-chaos
test-icdb-chaos: setup ## 1000 random faults on three IC databases and on five, record them; 1.5 h (FAULTS=60 SEED=7)
	@status=0; for members in 3 5; do \
	    $(SUDO) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m chaos.run --record \
	        --members $$members $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED)) || status=1; \
	done; exit $$status

.PHONY: test-icdb-faults
test-icdb-faults: setup ## break the IC databases under traffic, down for 10 min once, record it; 13 min
	@$(SUDO) env ISTHMUS_REQUIRE_ALL=1 ISTHMUS_RECORD_IC_FAULTS=1 PYTHONDONTWRITEBYTECODE=1 \
	    $(BIN)/pytest -q -p no:cacheprovider tests/lab/test_ic_faults.py

.PHONY: test-container
test-container: setup ## carry out the container file in a Debian directory, and run what it makes; 5 min
	@$(SUDO) env ISTHMUS_CONTAINER=1 PYTHONDONTWRITEBYTECODE=1 \
	    $(BIN)/pytest -q -p no:cacheprovider tests/container

.PHONY: bench
bench: setup ## measure Isthmus beside ovn-ic, 20 min (QUICK=1: 3 min); results in bench/results
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(QUICK),--quick)

.PHONY: demo
demo: setup ## build two clusters here, join them, show pods reaching each other (KUBE=1: by kubectl)
	@$(if $(KUBE),$(MAKE) kube-assets)
	@$(SUDO) $(if $(KUBE),$(KUBE_ENV)) $(BIN)/isthmus lab demo $(if $(KUBE),--kube)

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
