# Every target works on a fresh machine that has CPython 3.11, cargo, make and a C++ compiler.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
BENCH := .venv-bench
UV_VERSION := 0.13.9
SHARED_DATA ?= ../shared/data
RUST := $(shell find rust benches -name '*.rs' 2>/dev/null) Cargo.toml Cargo.lock
PYTEST := $(BIN)/pytest -p no:benchmark
BENCHMARK := $(BENCH)/bin/pytest -q -o python_files='bench_*.py' -o python_functions='bench_*' \
	-o pythonpath=benches/peers -W default $(BENCH_OPTIONS)
# What a CPU with AVX2 alone would do: ours, torch and its libraries, faiss and its own.
AVX2 := LLMSEQ_CPU=avx2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	ONEDNN_MAX_CPU_ISA=AVX2 FAISS_OPT_LEVEL=avx2 OPENBLAS_CORETYPE=Haswell
PARALLEL := --numprocesses 2 --dist loadscope

export LLMSEQ_SHARED_DATA := $(abspath $(SHARED_DATA))
export HF_HUB_OFFLINE := 1
export UV_SYSTEM_CERTS ?= 1

.PHONY: help demo test build fmt lint typecheck test-rust test-exact test-python test-fast test-real doctest bench bench-core wheel constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: build ## make a small shop, compare nine models on it, open the report path it prints
	$(BIN)/llmseq demo --out runs/demo

test: lint typecheck test-rust doctest test-python ## everything CI runs

build: $(VENV)/.built ## create .venv, install, build the extension

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --constraint constraints.txt \
		--requirement pyproject.toml --all-extras --group dev
	touch $@

$(VENV)/.built: $(VENV)/.installed $(RUST)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet --uv
	touch $@

fmt: build ## rewrite the sources in the house format
	$(BIN)/ruff format python tests benches
	$(BIN)/ruff check --fix python tests benches
	cargo fmt

lint: build ## formats, ruff, clippy, layers
	$(BIN)/ruff format --check python tests benches
	$(BIN)/ruff check python tests benches
	cargo fmt --check
	cargo clippy --quiet --all-targets --features python -- --deny warnings
	$(BIN)/lint-imports

typecheck: build ## mypy strict, and the stub against the compiled module
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest llmseq._core

test-rust: ## the core alone, without Python
	cargo test --quiet

test-exact: ## top-k against a full scan, a million queries on every path of this machine
	LLMSEQ_EXACT_QUERIES=1000000 cargo test --release --quiet --test exactness -- --nocapture

test-python: build ## every Python test but the full ones
	$(PYTEST) $(PARALLEL) -m "not full" tests

test-fast: build ## leaves out what takes seconds
	$(PYTEST) $(PARALLEL) -m "not full and not slow and not realdata" tests

test-real: build ## real data and a real language model in full: the figures of the README
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --group language-model
	$(PYTEST) -m "full" tests

doctest: build ## the examples in the docstrings
	$(PYTEST) --doctest-modules python/llmseq --ignore python/llmseq/testing

$(BENCH)/.installed: pyproject.toml constraints.txt $(VENV)/.installed
	$(UV) venv --quiet --clear --python $(BIN)/python $(BENCH)
	VIRTUAL_ENV=$(abspath $(BENCH)) $(UV) pip install --quiet --constraint constraints.txt \
		--requirement pyproject.toml --extra train --extra embed --extra offline --group peers
	touch $@

bench: wheel $(BENCH)/.installed ## every kernel beside its peers; rewrites docs/performance.md
	VIRTUAL_ENV=$(abspath $(BENCH)) $(UV) pip install --quiet --reinstall --no-deps target/wheels/*.whl
	$(BENCHMARK) benches/peers --benchmark-json target/bench.json
	$(AVX2) $(BENCHMARK) benches/peers/bench_topk.py --benchmark-json target/bench-avx2.json
	$(BENCH)/bin/python benches/peers/performance.py target/bench.json target/bench-avx2.json docs

bench-core: ## criterion for the core alone
	cargo bench --bench core

wheel: build ## a wheel, installed into an empty environment and tested there
	rm -rf target/wheels target/wheel-env
	$(BIN)/maturin build --release --quiet --compatibility pypi --out target/wheels
	ls -l target/wheels
	$(UV) venv --quiet --python $(BIN)/python target/wheel-env
	VIRTUAL_ENV=$(abspath target/wheel-env) $(UV) pip install --quiet --constraint constraints.txt \
		target/wheels/*.whl pytest hypothesis
	target/wheel-env/bin/pytest -q -p no:cacheprovider tests/core

constraints: $(VENV)/.installed ## renew the pinned versions
	$(UV) pip compile --quiet pyproject.toml --all-extras --group dev --no-annotate --no-header \
		--upgrade --python-version 3.11 --output-file constraints.txt

clean: ## remove what the targets made
	rm -rf $(VENV) $(BENCH) target
