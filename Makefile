# The chores of the project, each one word. PYTHON makes the environment, VENV is where it stands.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?= demo
ENGINES := $(abspath $(VENV))-engines

.PHONY: install demo test test-slow engines lint types format reference

install: $(STAMP)

# Redone only when what is installed changes.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,review,dev]'
	touch $@

# An earlier demo is replaced, so that the command can be said twice; nothing else is ever removed.
demo: $(STAMP)
	test ! -e $(DEMO)/results.json || rm -r $(DEMO)
	$(BIN)/adele demo --out $(DEMO) --device cpu

test: $(STAMP)
	$(BIN)/python -m pytest

# The engines of docs/pipelines, each in an environment of its own; where one cannot be installed, its test is skipped and says so.
engines:
	for name in snakemake prefect apache-airflow; do \
	  test -e $(ENGINES)/$$name/.installed || { $(PYTHON) -m venv $(ENGINES)/$$name && $(ENGINES)/$$name/bin/python -m pip install --quiet $$name \
	    && touch $(ENGINES)/$$name/.installed; } || echo "$$name could not be installed"; \
	done

# The conformance program and the rules of accessibility are JavaScript; without npm their tests are skipped and say so.
test-slow: $(STAMP) engines
	if command -v npm; then for place in conformance accessibility; do npm ci --prefix tests/$$place --ignore-scripts --no-audit --no-fund || exit 1; done; fi
	ADELE_ENGINES=$${ADELE_ENGINES:-$(ENGINES)/snakemake/bin:$(ENGINES)/prefect/bin:$(ENGINES)/apache-airflow/bin} $(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A test fails while the page is not what the program would say.
reference: $(STAMP)
	$(BIN)/python -m adelecli.cli.reference > docs/reference.new
	mv docs/reference.new docs/reference.md
