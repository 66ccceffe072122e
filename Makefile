# Headwater. `make` alone lists what there is.
#
# Everything runs in .venv, which is made on first use with a supported Python found on this
# machine (or the one named by PYTHON=) and brought up to date when the requirements change.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test lint types imports pytest browser axe faults-short faults drill bench-sync bench-events bench-contracts bench-reads bench-writes bench-console requirements clean

# Dozens of processes start here: what one has compiled serves the others, also where a machine forbids it.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
# Wheels only, so that no compiler is needed; but for pure Python packages that publish none.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes \
  --only-binary :all: --no-binary promise

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runtime.stamp ## Start everything: services, sandbox, web, workers; first sync; addresses
	@exec $(BIN)/python -m hub.launch run --stop-with-parent

test: lint imports types pytest ## The whole gate: lint, import contracts, types, tests

lint: $(VENV)/dev.stamp ## Style and likely mistakes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

imports: $(VENV)/dev.stamp ## Imports run down only
	@$(BIN)/lint-imports --no-cache

types: $(VENV)/dev.stamp ## Static types, strict
	@PYTHONPATH=. $(BIN)/mypy

pytest: $(VENV)/dev.stamp ## The tests, on real PostgreSQL and Valkey, in two processes
	@$(BIN)/python -m pytest -n $(if $(DATABASE_URL)$(REDIS_URL),0,2) --dist loadfile

axe: $(VENV)/dev.stamp ## axe-core on every page of the console; a part of it is in `make test`
	@HEADWATER_EVERY_PAGE=1 $(BIN)/python -m pytest tests/browser/test_accessibility.py

faults-short: $(VENV)/dev.stamp ## Ten thousand events and three hundred writes under every fault; a part of `make test`
	@$(BIN)/python -m pytest tests/faults/test_short.py

faults: $(VENV)/dev.stamp ## Every fault at full length, for hours (FAULTS="--only stops --times 5")
	@$(BIN)/python -m tests.faults $(FAULTS)

drill: $(VENV)/dev.stamp ## A while without a fault, then each of 25: which incident names which system and hop (DRILL="--only ...")
	@$(BIN)/python -m tests.drill $(DRILL)

bench-sync: $(VENV)/bench.stamp ## First sync, unchanged and 1 % changed, beside dlt and Node
	@$(BIN)/python -m tests.benchmarks.sync

bench-events: $(VENV)/bench.stamp ## Webhook to GraphQL, idle and saturated, beside BullMQ
	@$(BIN)/python -m tests.benchmarks.events

bench-contracts: $(VENV)/dev.stamp ## Pages validated and mapped, beside plain Pydantic and Zod
	@$(BIN)/python -m tests.benchmarks.contracts

bench-reads: $(VENV)/dev.stamp ## Reads beside GraphQL Yoga, PostGraphile and Fastify (needs wrk)
	@$(BIN)/python -m tests.benchmarks.reads

bench-writes: $(VENV)/dev.stamp ## A bid through all its steps at a hundred a second, upstreams 20 ms away
	@$(BIN)/python -m tests.benchmarks.writes $(BENCH)

bench-console: $(VENV)/dev.stamp ## Every page of the console on 137,000 products and a million revisions
	@$(BIN)/python -m tests.benchmarks.console $(BENCH)

requirements: $(VENV)/dev.stamp ## Pin requirements.txt and requirements-dev.txt again (needs uv)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url requirements.in -o requirements.txt
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url requirements-dev.in -o requirements-dev.txt

clean: ## Remove the state of `make run`: all data
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m hub.launch clean; else rm -rf .headwater; fi

# --- the environment ------------------------------------------------------------------------------

$(VENV)/bin/python:
	@for candidate in $(PYTHON) python3.12 python3.13 python3.11 python3 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    if ! "$$candidate" -c 'import venv, ensurepip' 2>/dev/null; then \
	      echo "headwater: $$candidate lacks venv; install it (Debian: apt install python3-venv)" >&2; exit 1; \
	    fi; \
	    echo "  making $(VENV) with $$("$$candidate" --version)"; \
	    exec "$$candidate" -m venv $(VENV); \
	  fi; \
	done; \
	echo "headwater: Python 3.11, 3.12 or 3.13 is needed and none was found; name one with PYTHON=/path/to/python" >&2; \
	exit 1

$(VENV)/runtime.stamp: requirements.txt | $(VENV)/bin/python
	@echo "  installing the packages of requirements.txt"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp
	@echo "  installing the packages of requirements-dev.txt"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/bench.stamp: tests/benchmarks/requirements.txt $(VENV)/dev.stamp
	@echo "  installing what the benchmarks compare with"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet -r tests/benchmarks/requirements.txt
	@touch $@
