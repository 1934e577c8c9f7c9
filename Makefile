# Suyan: `make demo` shows everything offline, `make test` checks everything; both set themselves up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo run ui test test-fast check format clean

help:
	@echo "make demo    the whole pipeline, offline, in about ten minutes"
	@echo "make run     the default recipe (make-up <-> bare face) against Baidu image search"
	@echo "make ui      the Prefect UI over all runs so far"
	@echo "make test    all tests, in as many processes as there are cores"
	@echo "make test-fast   the tests that take less than two seconds each"
	@echo "make check   lint and types"
	@echo "make format  format the code"
	@echo "make clean   remove the virtual environment (the workspace stays)"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Suyan needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/suyan demo

run: $(READY)
	$(BIN)/suyan run

ui: $(READY)
	$(BIN)/suyan ui

test: $(READY)
	$(BIN)/pytest --numprocesses auto --dist loadgroup

test-fast: $(READY)
	$(BIN)/pytest --numprocesses auto --dist loadgroup -m "not slow"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)
