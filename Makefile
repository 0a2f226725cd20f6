# make demo   a fresh machine to a trained language model
# make test   lint, types, architecture, unit tests
# make check  the fast part of it
# make bench  the layers against torch.nn, into build/bench
# make build  the kernels anew, after a change in csrc/
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check build bench format clean

$(STAMP): pyproject.toml constraints.txt CMakeLists.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/recurra demo

test: check
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py

build: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .

bench: $(STAMP)
	$(BIN)/python benchmarks/layers.py --save build/bench

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
