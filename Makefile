# The chores of the project, each one word. PYTHON makes the environment, VENV is where it stands.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?= demo

.PHONY: install demo test test-slow lint types format reference

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

# The conformance program and the rules of accessibility are JavaScript; without npm their tests are skipped and say so.
test-slow: $(STAMP)
	if command -v npm; then for place in conformance accessibility; do npm ci --prefix tests/$$place --ignore-scripts --no-audit --no-fund || exit 1; done; fi
	$(BIN)/python -m pytest -m slow

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
