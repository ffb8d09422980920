# One door for everything: what a hand types here, the hook and the CI run as well.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install run up down test lint kibana bench clean pictures

BIN := .venv/bin
STAMP := .venv/.installed
# The interpreter is one that is here: uv must not fetch another.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv from uv.lock; costs nothing when it is up to date

$(STAMP): uv.lock pyproject.toml
	@python=; for name in python3.11 python3.12 python3.13 python3 python; do \
	  if command -v $$name >/dev/null 2>&1 && $$name -c '$(FITS)' 2>/dev/null; then python=$$(command -v $$name); break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Sitrep needs Python 3.11, 3.12 or 3.13, and none is on the PATH. Install one (Debian 12: apt install python3 python3-venv) and type make again." >&2; \
	  exit 1; \
	fi; \
	if [ -x $(BIN)/python ] && ! $(BIN)/python -c '$(FITS)' 2>/dev/null; then rm -rf .venv; fi; \
	if command -v uv >/dev/null 2>&1; then uv=uv; else \
	  uv=$(BIN)/uv; \
	  if [ ! -x $(BIN)/python ] && ! $$python -m venv .venv; then \
	    rm -rf .venv; \
	    echo "$$python cannot make a virtual environment. Install its venv module (Debian: apt install python3-venv) and type make again." >&2; \
	    exit 1; \
	  fi; \
	  if [ ! -x $$uv ]; then echo "Installing uv into .venv"; $(BIN)/python -m pip install --quiet --disable-pip-version-check uv || exit 1; fi; \
	fi; \
	$$uv sync --quiet --frozen --all-extras --inexact --python "$$python" || exit 1
	@touch $@

run: install ## Both jobs on this machine: the bundled archive, then today's feeds; ends with a report
	@$(BIN)/python ops/run.py

up: install ## Airflow with its web page and scheduler on 127.0.0.1, in the background
	@$(BIN)/python ops/up.py up

down: install ## Stop what `make up` started
	@$(BIN)/python ops/up.py down

test: lint ## Every check: style, types, floors, tests
	@echo "== pytest"; $(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder

lint: install ## Style, types and floors alone
	@echo "== ruff check"; $(BIN)/ruff check --quiet .
	@echo "== ruff format"; $(BIN)/ruff format --quiet --check .
	@echo "== mypy"; $(BIN)/mypy --no-error-summary
	@echo "== import-linter"; $(BIN)/lint-imports --no-cache >/dev/null || { $(BIN)/lint-imports --no-cache; exit 1; }

kibana: install ## Kibana's saved objects, from seeds/kibana/objects.yaml
	@$(BIN)/python ops/kibana.py

pictures: install ## Take docs/pictures anew, with Chromium
	@$(BIN)/python ops/pictures.py

bench: install ## Measure against peers; no part of the tests
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

clean: ## Remove what was made: .venv and caches; var/ with your data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
