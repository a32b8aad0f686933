# `make help` lists the targets. The commands behind them are in scripts/ and pyproject.toml.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Debian installs the daemons of OVN and Open vSwitch here; users' PATH often lacks these.
export PATH := $(PATH):/usr/sbin:/sbin

# Creating network namespaces requires root.
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)
# `make kube-assets` installs into the cache of the calling user; root has another one.
KUBE_ENV = env XDG_CACHE_HOME="$${XDG_CACHE_HOME:-$$HOME/.cache}" \
    KUBEBUILDER_ASSETS="$${KUBEBUILDER_ASSETS:-}" PATH="$$PATH"

.PHONY: help
help: ## list all targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: setup
setup: ## install Debian packages (root or sudo) and the virtual environment; fast if up to date
	@bash scripts/setup.sh

.PHONY: venv
venv: ## create the virtual environment only; does not need root
	@bash scripts/setup.sh --venv

.PHONY: format
format: venv ## format the code and apply the linter's automatic fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: check
check: venv ## check format, lint, types, layers and wording; run unit and property tests; no root, < 2 min
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q -n auto -m 'not ovn and not kube and not lab'

.PHONY: prose
prose: venv ## report wording that docs/STYLE.md rules out (IN=src/isthmus/model: there only)
	@$(BIN)/python scripts/prose.py $(IN)

.PHONY: test
test: check ## run check, then tests with real databases and networks; without root, skips some
	@bash scripts/test.sh

.PHONY: kube-assets
kube-assets: ## find a Kubernetes API server, or build one with Go (10 min, once)
	@bash scripts/kube-assets.sh

.PHONY: test-differential
test-differential: setup ## run 1300 random histories through ovn-ic and Isthmus, record the result; 20 min
	@bash scripts/differential.sh

.PHONY: test-ovn-matrix
test-ovn-matrix: setup ## test the engine with newer OVN releases from other Debian suites (SUITES=sid)
	@bash scripts/ovn-matrix.sh $(or $(SUITES),sid)

.PHONY: test-harm
test-harm: venv ## make 500 random histories of bad edits, no working path may be lost; 1 min (COUNT=50 SEED=7)
	@PYTHONHASHSEED=0 HARM_HISTORIES=$(or $(COUNT),500) HARM_SEED=$(or $(SEED),0) \
	    $(BIN)/pytest -q -n auto tests/property/test_no_harm.py

.PHONY: test-live-edits
test-live-edits: setup ## count packets lost during live edits; 2 min (RECORD=1: write the table in docs)
	@$(SUDO) env ISTHMUS_REQUIRE_ALL=1 $(if $(RECORD),ISTHMUS_RECORD_LIVE_EDITS=1) PYTHONDONTWRITEBYTECODE=1 \
	    $(BIN)/pytest -q -p no:cacheprovider tests/lab/test_live_edits.py

.PHONY: test-icdb-orders
test-icdb-orders: setup ## bootstrap 2,640 IC database clusters in every start order, record it; 3 h (MINUTES=60)
	@$(SUDO) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m icdb.orders --record \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: test-icdb-chaos
test-icdb-chaos: setup ## inject 1000 random faults into 3 and 5 IC database members, record it; 1.5 h (FAULTS=60 SEED=7)
	@status=0; for members in 3 5; do \
	    $(SUDO) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m chaos.run --record \
	        --members $$members $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED)) || status=1; \
	done; exit $$status

.PHONY: test-icdb-faults
test-icdb-faults: setup ## break the IC databases under traffic, with one outage of 10 min, record it; 13 min
	@$(SUDO) env ISTHMUS_REQUIRE_ALL=1 ISTHMUS_RECORD_IC_FAULTS=1 PYTHONDONTWRITEBYTECODE=1 \
	    $(BIN)/pytest -q -p no:cacheprovider tests/lab/test_ic_faults.py

.PHONY: test-hostile
test-hostile: setup ## attack a fleet with packets from all sides, record it; 1 h (MINUTES=20 SEED=7)
	@$(SUDO) env PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m hostile.run --record \
	    $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

.PHONY: test-container
test-container: setup ## build the container file into a Debian chroot, run it, and the systemd unit with it; 5 min
	@$(SUDO) env ISTHMUS_CONTAINER=1 PYTHONDONTWRITEBYTECODE=1 \
	    $(BIN)/pytest -q -p no:cacheprovider tests/container

# In a directory of its own: wheels of atheris exist only for some platforms, and only fuzzers need it.
build/fuzz: requirements/fuzz.txt | venv
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --upgrade \
	    --target build/fuzz --require-hashes --requirement requirements/fuzz.txt
	@touch build/fuzz

.PHONY: fuzz
fuzz: build/fuzz ## fuzz each parser for 30 minutes of CPU time with atheris (TARGET=rows MINUTES=1)
	@status=0; for target in $(or $(TARGET),manifests json_stream rows certificates backups); do \
	    PYTHONPATH=tests:build/fuzz PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m fuzz.run $$target \
	        --minutes $(or $(MINUTES),30) || status=1; \
	done; exit $$status

.PHONY: bench
bench: setup ## benchmark Isthmus against ovn-ic; 20 min (QUICK=1: 3 min); results in bench/results
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(QUICK),--quick)

.PHONY: demo
demo: setup ## build two clusters, connect them, show pods reaching each other (KUBE=1: with kubectl)
	@$(if $(KUBE),$(MAKE) kube-assets)
	@$(SUDO) $(if $(KUBE),$(KUBE_ENV)) $(BIN)/isthmus lab demo $(if $(KUBE),--kube)

.PHONY: down
down: venv ## remove what `make demo` built
	@$(SUDO) $(BIN)/isthmus lab down

.PHONY: bounds-page
bounds-page: venv ## write the tables of docs/reference/bounds.md from the code
	@$(BIN)/python -c "from isthmus.model.bounds import page_tables; from pathlib import Path; \
	    page = Path('docs/reference/bounds.md'); head = page.read_text().partition('\n## ')[0]; \
	    page.write_text(head + '\n' + page_tables())"

.PHONY: sbom
sbom: ## write the software bill of materials of Isthmus to build/isthmus.cdx.json (CycloneDX)
	@bash scripts/sbom.sh build/isthmus.cdx.json

.PHONY: lock
lock: ## resolve the dependencies in pyproject.toml again and pin them with hashes in requirements/
	@bash scripts/lock.sh

.PHONY: clean
clean: ## remove the virtual environment, caches and test output
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	    build dist test-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
