# Suyan: `make demo` shows everything offline, `make test` checks everything; both set themselves up.
# TORCH=cpu installs PyTorch without CUDA; INDEX=ADDRESS asks this package index, for pip and uv both.
PYTHON ?= python3
TORCH  ?=
INDEX  ?=
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := $(VENV)/.ready-dev

# PyTorch's own index, which TORCH asks, has other files than the registry whose hashes are pinned.
PINS   := --constraint constraints.txt $(if $(TORCH),--torch-backend $(TORCH) --no-verify-hashes)
INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(PINS) --editable

ifneq ($(INDEX),)
export PIP_INDEX_URL := $(INDEX)
export UV_DEFAULT_INDEX := $(INDEX)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo run ui test test-fast check format pins clean

help:
	@echo "make setup   what the commands of suyan need, in .venv (6.9 GB; about 2.1 GB with TORCH=cpu)"
	@echo "make demo    the whole pipeline, offline, in about ten minutes"
	@echo "make run     the default recipe (make-up <-> bare face) against Baidu image search"
	@echo "make ui      the Prefect UI over all runs so far"
	@echo "make test    all tests, in as many processes as there are cores"
	@echo "make test-fast   the tests that take less than two seconds each"
	@echo "make check   lint and types"
	@echo "make format  format the code"
	@echo "make pins    the hashes of constraints.txt, after a version in it was changed"
	@echo "make clean   remove the virtual environment (the workspace stays)"
	@echo
	@echo "TORCH=cpu    PyTorch without CUDA, or another backend of uv, e.g. cu128; for a new .venv"
	@echo "INDEX=...    the address of a package index to install from, e.g. of a mirror"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Suyan needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {uv = 1} uv; uv && !/\\$$/ {exit}' constraints.txt > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --requirement $(VENV)/uv.txt
	$(INSTALL) '.[web,export]'
	@touch $(READY)

$(TOOLS): $(READY)
	$(INSTALL) '.[dev]'
	@touch $(TOOLS)

demo: $(READY)
	$(BIN)/suyan demo

run: $(READY)
	$(BIN)/suyan run

ui: $(READY)
	$(BIN)/suyan ui

test: $(TOOLS)
	$(BIN)/pytest --numprocesses auto --dist loadgroup

test-fast: $(TOOLS)
	$(BIN)/pytest --numprocesses auto --dist loadgroup -m "not slow"

check: $(TOOLS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(TOOLS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: $(READY)
	@sed -n '/^#/p' constraints.txt > $(VENV)/pins
	$(BIN)/uv pip compile --quiet --no-deps --generate-hashes --no-header --no-annotate --python-version 3.11 --output-file $(VENV)/pins.txt constraints.txt
	@cat $(VENV)/pins $(VENV)/pins.txt > constraints.txt
	@touch $(READY)

clean:
	rm -rf $(VENV)
