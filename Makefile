# make demo   a fresh machine to a trained language model
# make test   lint, types, architecture, unit tests
# make check  the fast part of it
# make bench  the layers against torch.nn and ONNX Runtime, a language model and a translator, into build/bench
# make build  the kernels anew, after a change in csrc/
# make docs  the tables of options in docs/recipes.md, after a change of options
# make sanitize  the tests of the kernels under the address and undefined-behavior sanitizers, about five minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check build bench docs sanitize format clean

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
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt onnx onnxruntime
	$(BIN)/python benchmarks/layers.py --save build/bench
	$(BIN)/python benchmarks/language_model.py --save build/bench
	$(BIN)/python benchmarks/translation.py --save build/bench

docs: $(STAMP)
	$(BIN)/python docs/write_recipes.py

sanitize: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -C cmake.define.RECURRA_SANITIZE=ON -e .
	LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0 \
		$(BIN)/pytest tests/ops tests/nn/test_nn_streaming.py tests/nn/test_nn_losses.py; \
		status=$$?; $(MAKE) build; exit $$status

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
