SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Where it is set, pytest rewrites every test module anew in each of its processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo dagster test soak mutants bench lint lock clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed ## Install everything, pinned and hash-checked, into .venv

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## Invent a TailTracker, pull from it, build, check and publish, then serve the dashboard
	$(BIN)/tailtracker-bi demo

dagster: setup ## Serve Dagster on http://127.0.0.1:3000, with its schedule and sensors
	$(BIN)/python -m tailtracker_bi.defs.serve

test: setup ## Run the tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow" -o faulthandler_timeout=600

soak: setup ## Run what takes long: further random worlds, time zones, screen widths, kinds of damage, 200 kills, the demo, a wheel
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m slow -o faulthandler_timeout=1800

mutants: setup ## Put in each of the plausible mistakes, and see a test fail (half an hour)
	$(BIN)/python -m tests.mutants

bench: setup ## Measure what the speed claims rest on
	$(BIN)/python -m benchmarks.landing
	$(BIN)/python -m benchmarks.readers
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.refresh
	$(BIN)/python -m benchmarks.money

lint: setup ## Style, types and SQL
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar -q dbt_project/models dbt_project/tests

lock: ## Pin the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group dev --extra sandbox --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade -o requirements.lock

clean: ## Remove what setup and tests made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs
