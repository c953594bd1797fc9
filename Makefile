# Every target does everything that it needs first, so `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SYSTEM := $(VENV)/.system-packages
CONFIG ?= config.yaml
ARGS ?=
# Test processes, about two for each core, because many tests wait for programs that they start: on 2 cores
# the suite takes about 8 minutes. A file's tests stay in one process, and the folders with the longest files
# come first (tests/conftest.py). 0: none beside pytest itself, e.g. for a debugger.
WORKERS ?= 4

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Without byte code each of the many processes that a target starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-model table-models serve test chaos gpu-figures check format reference drawing install upgrade roll-back clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) $(SYSTEM) ## Virtual environment, pinned dependencies, Debian packages for the tests, database
	@$(BIN)/echo-agent db upgrade --config $(CONFIG)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

$(SYSTEM): apt-packages.txt scripts/system-packages | $(STAMP)
	@scripts/system-packages
	@touch $@

demo: setup ## The whole chain on this machine; options: make demo ARGS="--studies 3 --json"
	@$(BIN)/echo-agent demo $(ARGS)

demo-model: $(STAMP) ## Train the shipped demonstration checkpoint from nothing (resumable, up to 2.5 hours)
	$(BIN)/echo-model demo-model $(ARGS)

table-models: $(STAMP) ## Train the table's further networks from the runs of demo-model (resumable, about 2 hours)
	$(BIN)/echo-model table-models $(ARGS)
	$(BIN)/echo-model baseline runs/demo/ar ar
	$(BIN)/echo-model baseline runs/demo/rad base
	$(BIN)/echo-model baseline runs/table/t3d/t3d t3d

serve: setup ## Run the service with config.yaml
	@$(BIN)/echo-agent serve --config $(CONFIG) $(ARGS)

test: setup ## All tests; options: make test ARGS="-k listener"
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25 $(ARGS)

chaos: setup ## Kill the processes again and again; options: make chaos ARGS="--kills 200 --json"
	@$(BIN)/python benchmarks/chaos.py $(ARGS)

gpu-figures: $(STAMP) ## Every figure that needs a GPU, at most 8 minutes; rehearse: make gpu-figures ARGS=--rehearse
	$(BIN)/python benchmarks/gpu_figures.py $(ARGS)

check: $(STAMP) ## Lint, format, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	$(BIN)/python scripts/rooms.py --check

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(STAMP) drawing ## Rewrite the documents that are made from the code
	$(BIN)/echo-agent config reference > docs/settings.md

drawing: $(STAMP) ## Draw the rooms of the code again: docs/rooms.svg
	$(BIN)/python scripts/rooms.py --draw docs/rooms.svg

# PREFIX, DESTDIR, PYTHON, WHEELS and EXTRAS are explained in scripts/deploy and docs/operations.md.
install: ## Install the service: make install [PREFIX=/opt/echo-agent] [DESTDIR=]
	@PYTHON=$(PYTHON) scripts/deploy install

upgrade: ## Back up the database, bring an installation to this version, migrate, restart
	@PYTHON=$(PYTHON) scripts/deploy upgrade

roll-back: ## Back to the version and the database of before the last upgrade
	@PYTHON=$(PYTHON) scripts/deploy roll-back

export PREFIX DESTDIR WHEELS EXTRAS SHARE

clean: ## Remove what was built; keeps var/ (the data)
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
