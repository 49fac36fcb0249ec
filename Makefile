# make rehearse: the whole upgrade on the twin. make test: all checks and tests.
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=

QUICK := not soak and not e2e and not browser and not twin
# these stand in one folder each (tests/conftest.py sees to it): a worker need not collect all the others
WIRES := tests/twin -m "not soak and not e2e and (browser or twin)"
NIGHTS := tests/e2e -m "not soak and e2e"
# the quick tests alone have to show every goal of every numbered row: no, yes and unknown (tests/checker/shown.py)
RUN_QUICK := $(BIN)/pytest -q -n 2 --dist loadfile --traces -m "$(QUICK)"
# three at a time: both kinds wait about half of their time
# a browser on a busy machine: a failure is tried once more, and named at the end (docs/decisions/second-try.md)
SECOND := --reruns 1 -rR

.PHONY: help setup rehearse test quick soak lint clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 14

setup: $(READY) ## the virtual environment .venv and a Chromium

$(READY): pyproject.toml tools/setup.sh
	@tools/setup.sh
	@touch $@

rehearse: $(READY) ## the whole upgrade on the twin (options: ARGS="--seed 2 --keep")
	@$(BIN)/mopflow rehearse $(ARGS)

test: $(READY) ## every check and every test but the long ones
	@$(MAKE) --no-print-directory -j 2 lint quick # mypy alone would leave a core idle
	$(BIN)/pytest -q -n 3 --dist loadscope $(SECOND) $(WIRES)
	$(BIN)/pytest -q -n 3 --dist load --maxschedchunk 1 $(SECOND) $(NIGHTS)

quick: $(READY) ## the tests that need neither twin nor browser
	$(RUN_QUICK)

soak: $(READY) ## the long tests
	$(BIN)/pytest -q -n 2 --dist worksteal -m soak

lint: $(READY) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## remove the virtual environment and all caches; runs/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
