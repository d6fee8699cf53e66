# make train    virtual environment, build, train the book's network on MNIST, report
# make test     virtual environment, build, all CPU tests
# make check    lint, types, formatting, import direction, quick tests
# make asan     build the core with AddressSanitizer and UBSan, run the tests of kernels and runtime on it
# make tsan     the same with ThreadSanitizer
# make clean    remove what the others made

PYTHON ?= python3
VENV ?= .venv
TRAIN_ARGS ?= --net dbl_conv_relu --epochs 16 --seed 1 --out runs/train
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SOURCES := setup.py pyproject.toml CMakeLists.txt $(shell find csrc kernels -name "*.cpp" -o -name "*.h" -o -name "*.def")
CPP := $(shell find csrc kernels tests/cpp -name "*.cpp" -o -name "*.h" -o -name "*.cu" -o -name "*.cuh")

.PHONY: train test check asan tsan clean

train: $(VENV)/installed-train
	$(BIN)/symconv train $(TRAIN_ARGS)

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -q -n auto --dist worksteal

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/python -m pytest -q -x -m "not slow" tests/test_import_direction.py
	$(BIN)/python -m pytest -q -x -m "not slow"

asan: $(VENV)/installed-test
	PYTHON=$(BIN)/python .ci/sanitize address -n auto

tsan: $(VENV)/installed-test
	PYTHON=$(BIN)/python .ci/sanitize thread -n auto

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "symconv needs Python >= 3.10, $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# Editable: Python sources are used in place; the C++ core is built again when its sources change.
$(VENV)/installed-train: EXTRAS := train,viz
$(VENV)/installed-test: EXTRAS := test
$(VENV)/installed-dev: EXTRAS := dev
$(VENV)/installed-%: $(VENV)/bin/python $(SOURCES)
	$(PIP) -e '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	rm -f symconv/_core*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
